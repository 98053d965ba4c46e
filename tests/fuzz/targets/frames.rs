//! `pgveil_fuzz::frames` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pgveil_fuzz::frames::body(data));
