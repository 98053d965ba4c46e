//! How many files the process may have open: a client is two, its own connection and the server's.
//!
//! Asks the system and says what it answers; knows no connection.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{LOGINS_AT_ONCE_MAX, OWN_FILES_MAX};

/// Raises the process's limit to what the system allows it, as no other program shares it, and warns when that is
/// less than so many sessions need.
pub fn provide(sessions_max: u32) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let all = Rlimit {
            current: limit.maximum,
            ..limit
        };
        if setrlimit(Resource::Nofile, all).is_err() {
            tracing::warn!("the limit of open files cannot be raised");
        }
    }
    // None is unlimited.
    if let Some(limit) = getrlimit(Resource::Nofile).current
        && let Some(needed) = short_of(limit, sessions_max)
    {
        tracing::warn!(
            limit,
            needed,
            sessions_max,
            "the limit of open files is low: beyond it connections wait, and the audit cannot begin a new file \
             (ulimit -n, LimitNOFILE=)"
        );
    }
}

/// What is needed, where the limit is less.
fn short_of(limit: u64, sessions_max: u32) -> Option<u64> {
    let needed = 2 * u64::from(sessions_max) + LOGINS_AT_ONCE_MAX as u64 + OWN_FILES_MAX;
    (limit < needed).then_some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_a_session_and_room_for_logins() {
        assert_eq!(short_of(1024, 1000), Some(2000 + 4096 + 128));
        assert_eq!(short_of(6224, 1000), None);
    }
}
