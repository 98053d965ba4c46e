//! The protocol's bytes: frames, messages, startup, SCRAM, TLS settings. No sockets.

pub mod scram;
