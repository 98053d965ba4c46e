//! Bringing a database to its policy: setup, check, plan, apply, revert, discover.
//!
//! [`plan`] says what lies between the two, [`hindrance`] what stands in the way, [`apply`] does it, [`check`] looks
//! without changing anything. Knows keys and values; knows no session and no client.

pub mod apply;
pub mod check;
mod constant;
pub mod convert;
mod ddl;
mod fill;
pub mod hindrance;
mod index;
mod mentions;
pub mod plan;
mod rows;
mod settings;
pub mod setup;
