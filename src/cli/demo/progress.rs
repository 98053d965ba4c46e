//! What the demo is doing, on standard error: bars on a terminal, lines elsewhere.
//!
//! Knows nothing of the steps themselves; standard output belongs to what the demo shows.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a bar without a known length turns.
const TURN: Duration = Duration::from_millis(100);

/// One step that takes time.
#[derive(Debug)]
pub struct Step {
    name: &'static str,
    bar: Option<ProgressBar>,
}

impl Step {
    /// A step whose length is not known.
    pub fn begin(name: &'static str) -> Self {
        let step = Self::new(name, ProgressBar::no_length(), "{spinner} {msg} {elapsed}");
        if let Some(bar) = &step.bar {
            bar.enable_steady_tick(TURN);
        }
        step
    }

    /// A step of so many equal parts.
    pub fn of(name: &'static str, parts: u64) -> Self {
        const BAR: &str = "{msg} [{bar:30}] {pos}/{len} {elapsed}";
        Self::new(name, ProgressBar::new(parts), BAR)
    }

    fn new(name: &'static str, bar: ProgressBar, template: &'static str) -> Self {
        if !stderr().is_terminal() {
            eprintln!("{name} …");
            return Self { name, bar: None };
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(name);
        Self {
            name,
            bar: Some(bar),
        }
    }

    /// So many parts are done.
    pub fn at(&self, parts: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(parts);
        }
    }

    /// Says something beside the step.
    pub fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text} …"),
        }
    }

    /// The step is done.
    pub fn done(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            eprintln!(
                "{} – done in {:.1} s",
                self.name,
                bar.elapsed().as_secs_f64()
            );
        }
    }
}
