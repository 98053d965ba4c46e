//! Logins against a real PostgreSQL: who comes in and as whom, what the others are told, and what a stranger on
//! the wire can do before that (ATTACKS N01 to N05, N08, S06).

mod binding;
mod certificates;
mod control;
mod crowd;
mod gate;
mod passwords;
mod reload;
mod scram;
mod server;
mod stranger;
#[path = "../support/mod.rs"]
mod support;
