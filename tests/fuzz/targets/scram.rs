//! `pgveil_fuzz::scram` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pgveil_fuzz::scram::body(data));
