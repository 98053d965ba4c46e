//! Bringing a database to its policy: setup, check, plan, apply, revert, discover.
pub mod setup;
