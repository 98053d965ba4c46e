//! The protocol's bytes: startup, SCRAM, TLS settings.
pub mod scram;
