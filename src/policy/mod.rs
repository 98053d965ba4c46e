//! The policy language: what the file says (`model`), how it is read (`load`), what it decides (`decide`).
//!
//! Knows the words of masks, tokens and types; knows nothing of sessions, statements or keys.

pub mod bind;
pub mod decide;
pub mod load;
pub mod model;
pub mod reference;
pub mod roles;
pub mod rule;
mod settle;
pub mod trust;
mod words;

pub use crate::document::Fault;
pub use bind::{BindFault, Obstacle, bind};
pub use load::{Loaded, load};
pub use roles::{Allow, Role};
pub use rule::{Policy, Rule};

#[cfg(test)]
mod tests;
