//! Sockets: accepts clients, performs what sessions decide, serves the HTTP side.

pub mod login;
