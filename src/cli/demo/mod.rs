//! `pgveil demo`: a CRM, a database and pgveil, running, with nothing to set up.

pub mod cluster;
pub mod server_programs;
