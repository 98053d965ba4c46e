//! The policy language: what the file says (`model`), how it is read (`load`), what it decides (`decide`).
//!
//! Knows the words of masks, tokens and types; knows nothing of sessions, statements or keys.

pub mod decide;
