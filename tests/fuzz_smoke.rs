//! The fuzz targets on stable: each body over its seeds, over seeds with changes, and over bytes that nobody meant
//! anything by, for a few seconds. `cargo fuzz` looks further (`tests/fuzz/README.md`).
//!
//! `PGVEIL_FUZZ_SECONDS` is the time of each target; with `PGVEIL_FUZZ_SEEDS` the seeds are written into that folder
//! too, one folder a target, for `cargo fuzz run` to begin with.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[path = "fuzz/src/lib.rs"]
mod fuzz;

/// Seconds for each target, unless the environment says otherwise.
const SECONDS: u64 = 2;

/// Bytes of an input that is made up, and changes to one seed.
const BYTES_MAX: usize = 512;
const CHANGES_MAX: usize = 8;

/// Says which input it was when a body panics.
struct Replay(&'static str, u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("fuzz target {}, input number {}", self.0, self.1);
        }
    }
}

/// The input of that number, always the same one.
fn input(number: u64, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(number);
    if random.random_ratio(1, 8) {
        let length = random.random_range(0..BYTES_MAX);
        return (0..length).map(|_| random.random()).collect();
    }
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..=CHANGES_MAX) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..5) {
            0 => bytes.insert(at, random.random()),
            1 => bytes.truncate(at),
            2 => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            3 if at < bytes.len() => {
                bytes.remove(at);
            }
            _ if at < bytes.len() => bytes[at] = random.random(),
            _ => {}
        }
    }
    bytes
}

fn write_seeds(name: &str, seeds: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os("PGVEIL_FUZZ_SEEDS") else {
        return;
    };
    let folder = PathBuf::from(folder).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a file");
    }
}

#[test]
fn no_input_breaks_what_must_hold() {
    let seconds = std::env::var("PGVEIL_FUZZ_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    for (name, body, seeds) in fuzz::TARGETS {
        let seeds = seeds();
        write_seeds(name, &seeds);
        seeds.iter().for_each(|seed| body(seed));
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut number = 0;
        while Instant::now() < end {
            let _replay = Replay(name, number);
            body(&input(number, &seeds));
            number += 1;
        }
        println!("{name}: {number} inputs");
    }
}
