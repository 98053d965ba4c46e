//! pgveil: a transparent encrypting proxy for PostgreSQL.
//!
//! # The life of a statement
//!
//! 1. [`wire`] cuts the client's bytes into frames;
//! 2. [`session`] takes a frame and asks [`statement`] what becomes of its text;
//! 3. [`statement`] goes `lex → parse → resolve → infer → authorise → rewrite → verify` and answers
//!    *untouched*, a *plan*, or a *refusal*;
//! 4. [`values`] fills a plan's slots with sealed values ([`seal`], [`token`], [`types`], [`keyring`]);
//! 5. [`audit`] has it on record before [`upstream`] sends it;
//! 6. rows come back through [`values`] (open, detokenise, [`mask`]) and leave as frames.
//!
//! ARCHITECTURE.md has the code map and the invariants.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod audit;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod document;
pub mod ident;
pub mod keyring;
pub mod lifecycle;
pub mod limits;
pub mod mask;
pub mod metrics;
pub mod pattern;
pub mod policy;
pub mod seal;
pub mod secret;
pub mod server;
pub mod session;
pub mod statement;
pub mod token;
pub mod types;
pub mod upstream;
pub mod values;
pub mod wire;
