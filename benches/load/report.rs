//! What was measured, as lines for people and as JSON.

use serde::Serialize;

use super::measure::Median;

/// One measured thing.
#[derive(Debug, Serialize)]
pub struct Line {
    /// the part of the bench
    pub part: &'static str,
    /// what was done
    pub what: String,
    /// of what it is the figure
    pub figure: String,
    /// the medians over the rounds
    pub value: Median,
}

/// All lines so far; each is printed as it comes.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// what it ran on
    pub processor: String,
    /// when, by `date --iso`
    pub date: String,
    /// how
    pub settings: String,
    /// the figures
    pub lines: Vec<Line>,
}

impl Report {
    /// Adds a figure.
    pub fn add(&mut self, part: &'static str, what: &str, figure: &str, value: Median) {
        println!("{part}: {what}: {figure} {value}");
        self.lines.push(Line {
            part,
            what: what.to_owned(),
            figure: figure.to_owned(),
            value,
        });
    }

    /// A page for people.
    pub fn page(&self) -> String {
        let mut page = format!(
            "# Results\n\n{}; {}; {}. Medians over interleaved rounds, with the least and the most in brackets.\n\
             Made by `cargo bench --bench load -- --results`.\n",
            self.date, self.processor, self.settings
        );
        let mut part = "";
        for line in &self.lines {
            if line.part != part {
                part = line.part;
                page += &format!("\n## {part}\n\n| what | figure | value |\n|---|---|---|\n");
            }
            page += &format!("| {} | {} | {} |\n", line.what, line.figure, line.value);
        }
        page
    }
}
