//! `pgveil_fuzz::statement` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pgveil_fuzz::statement::body(data));
