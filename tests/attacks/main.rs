//! The attempts of the threat model, against a real PostgreSQL through pgveil: each test bears the number of its row.
//!
//! A restricted role's attempts are tried over the simple and over the extended protocol.

#![allow(
    clippy::too_many_lines,
    reason = "a list of attempts reads best in one piece"
)]

mod copying;
mod errors;
mod probing;
mod session;
mod site;
mod stored;
#[path = "../support/mod.rs"]
mod support;
