//! The session core over frames in memory.
