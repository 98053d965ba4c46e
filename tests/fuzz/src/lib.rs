//! What is fuzzed: one module a target, each with the body that libFuzzer and the smoke run (`tests/fuzz_smoke.rs`)
//! call with the same bytes, and the seeds it starts from.
//!
//! A body panics where something that must hold does not; returning means nothing.

pub mod frames;
pub mod scram;
pub mod session;
pub mod site;
pub mod startup;
pub mod statement;

/// A target: its name, its body, its seeds.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// All of them.
pub const TARGETS: &[Target] = &[
    ("frames", frames::body, frames::seeds),
    ("startup", startup::body, startup::seeds),
    ("scram", scram::body, scram::seeds),
    ("session", session::body, session::seeds),
    ("statement", statement::body, statement::seeds),
];

/// A message: its type, the length, the body.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [&[tag][..], &length.to_be_bytes(), body].concat()
}
