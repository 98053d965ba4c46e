//! What a run costs and what comes of many: processor time, memory, medians with their spread.

use std::fmt;
use std::fs;

use serde::Serialize;

/// Clock ticks a second in `/proc/PID/stat` (`USER_HZ`, proc(5)): 100 on every Linux of today.
const TICKS: f64 = 100.0;

/// Seconds of processor time that a process has used.
pub fn processor_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its state");
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let field = |at| {
        let found = fields.split_whitespace().nth(at);
        found.and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0)
    };
    // utime and stime; the first two fields are before the parenthesis.
    (field(11) + field(12)) / TICKS
}

/// Resident memory of a process in KiB, without what it shares.
pub fn anonymous_kib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its state");
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0.0)
}

/// What the processor is called.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|l| l.strip_prefix("model name"));
    let name = name.map_or("unknown", |n| n.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {cores} cores")
}

/// A median, and the least and the most of what it is of.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Median {
    median: f64,
    least: f64,
    most: f64,
}

impl Median {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Self {
            median,
            least: values[0],
            most: values[values.len() - 1],
        }
    }
}

impl fmt::Display for Median {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.median {
            m if m >= 100.0 => 0,
            m if m >= 10.0 => 1,
            _ => 2,
        };
        let Self {
            median,
            least,
            most,
        } = self;
        write!(f, "{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}
