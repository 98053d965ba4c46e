//! The protocol's bytes: frames, messages, startup, SCRAM, TLS settings. No sockets.

pub mod client;
pub mod frame;
pub mod message;
pub mod scram;
pub mod upstream;
