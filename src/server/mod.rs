//! Sockets: accepts clients, performs what sessions decide, serves the HTTP side.

pub mod admission;
pub mod drive;
pub mod http;
pub mod login;
pub mod record;
