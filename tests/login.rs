//! Logins against a real PostgreSQL: who comes in, as whom, and what the others are told.
