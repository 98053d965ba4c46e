//! A proxy one can leave alone: signals, limits, a server that restarts or stands still, a catalog that changes, logs.
//!
//! Each test has the built program as a process of its own before a real PostgreSQL.

mod catalog;
mod drain;
mod limits;
mod logs;
mod restart;
mod site;
#[path = "../support/mod.rs"]
mod support;
