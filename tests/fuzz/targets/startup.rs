//! `pgveil_fuzz::startup` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pgveil_fuzz::startup::body(data));
