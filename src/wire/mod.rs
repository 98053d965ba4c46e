//! The protocol's bytes: frames, messages, startup, SCRAM, TLS settings. No sockets.

pub mod authentication;
pub mod certificate;
pub mod client;
pub mod frame;
pub mod md5;
pub mod message;
pub mod scram;
pub mod startup;
pub mod tls;
pub mod upstream;
