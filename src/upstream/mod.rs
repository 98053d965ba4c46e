//! Connections to PostgreSQL: the control connection, the catalog loader.
//!
//! Knows nothing of sessions or clients; what it sends for clients is ready to be sent.

pub mod catalog;
pub mod configured;
pub mod connect;
pub mod control;
pub mod credential;
mod evidence;
pub mod fault;
pub mod handshake;
pub mod reach;
mod records;
pub mod socket;
pub mod stream;
mod types;
