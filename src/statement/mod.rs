//! What becomes of a statement: `lex → parse → resolve → infer → authorise → rewrite → verify`.
//!
//! Pure: no I/O, no clock, no key. The only user of sqlparser. What is not understood is refused.

pub mod plan;
