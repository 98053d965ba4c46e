//! CancelRequests: pgveil's own keys towards clients, and which session of the server each one stands for.
//!
//! The process number is the server's own: clients look themselves up by it in `pg_stat_activity` and `pg_locks`,
//! give it to `pg_terminate_backend`, and compare it with the sender of a notification. The secret beside it is
//! random and of pgveil's making, so that it says nothing of the server's; a guessed one cancels nothing, and
//! guesses are slow. It knows no session beyond its key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::sync::Semaphore;

use crate::limits::{CANCEL_GUESS_MS, CANCELS_AT_ONCE_MAX};
use crate::upstream::connect::{self, Target};
use crate::wire::startup::CancelKey;

/// What the keys of open sessions stand for.
#[derive(Clone)]
pub struct Cancels(Arc<Inner>);

struct Inner {
    /// by process number; more than one where the server uses a number again before pgveil has seen the old session
    /// end, or where servers behind one address number alike
    sessions: DashMap<u32, Vec<Session>>,
    places: Semaphore,
}

struct Session {
    /// what the client was given
    shown: CancelKey,
    /// what the server gave
    upstream: CancelKey,
}

impl fmt::Debug for Cancels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancels({} sessions)", self.0.sessions.len())
    }
}

impl Default for Cancels {
    fn default() -> Self {
        Self(Arc::new(Inner {
            sessions: DashMap::new(),
            places: Semaphore::new(CANCELS_AT_ONCE_MAX),
        }))
    }
}

/// A key that is good as long as this lives.
#[derive(Debug)]
pub struct Registered {
    cancels: Cancels,
    key: CancelKey,
}

impl Registered {
    /// What the client is given.
    pub fn key(&self) -> &CancelKey {
        &self.key
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let sessions = &self.cancels.0.sessions;
        sessions.remove_if_mut(&self.key.process, |_, alike| {
            alike.retain(|session| !session.shown.matches(&self.key));
            alike.is_empty()
        });
    }
}

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random number generator failed")]
pub struct NoRandom;

impl Cancels {
    /// A key for a session, with a secret of that many bytes, that stands for the server's.
    ///
    /// # Errors
    /// [`NoRandom`].
    pub fn register(
        &self,
        upstream: CancelKey,
        secret_bytes: usize,
    ) -> Result<Registered, NoRandom> {
        let mut secret = vec![0; secret_bytes];
        SysRng.try_fill_bytes(&mut secret).map_err(|_| NoRandom)?;
        let key = CancelKey::new(upstream.process, secret);
        let session = Session {
            shown: key.clone(),
            upstream,
        };
        let mut alike = self.0.sessions.entry(key.process).or_default();
        alike.push(session);
        Ok(Registered {
            cancels: self.clone(),
            key,
        })
    }

    /// Cancels what the session with that key is doing; false when there is none.
    pub async fn cancel(&self, target: &Target, key: &CancelKey) -> bool {
        // The semaphore is never closed: an error could only mean that there are no places at all.
        let _place = self.0.places.acquire().await;
        let Some(upstream) = self.upstream(key) else {
            tokio::time::sleep(Duration::from_millis(CANCEL_GUESS_MS)).await;
            return false;
        };
        if let Err(fault) = connect::cancel(target, &upstream).await {
            tracing::warn!(%fault, "a cancel request did not reach the server");
        }
        true
    }

    fn upstream(&self, key: &CancelKey) -> Option<CancelKey> {
        let alike = self.0.sessions.get(&key.process)?;
        let session = alike.iter().find(|session| session.shown.matches(key))?;
        Some(session.upstream.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n07_only_the_right_key_is_good_and_only_while_its_session_lives() {
        let cancels = Cancels::default();
        let upstream = CancelKey::new(77, vec![1, 2, 3, 4]);
        let registered = cancels.register(upstream.clone(), 4).unwrap();
        let key = registered.key().clone();
        assert!(key.process == 77 && key.secret().len() == 4);
        assert_eq!(cancels.upstream(&key), Some(upstream.clone()));
        assert_eq!(cancels.upstream(&upstream), None);
        let mut guessed = key.secret().to_vec();
        guessed[0] ^= 1;
        assert_eq!(
            cancels.upstream(&CancelKey::new(key.process, guessed)),
            None
        );
        assert_eq!(
            cancels.upstream(&CancelKey::new(key.process, Vec::new())),
            None
        );
        drop(registered);
        assert_eq!(cancels.upstream(&key), None);
    }

    #[test]
    fn sessions_of_one_process_number_are_told_apart_by_their_secrets() {
        let cancels = Cancels::default();
        let (old, new) = (
            CancelKey::new(77, vec![1; 4]),
            CancelKey::new(77, vec![2; 4]),
        );
        let before = cancels.register(old.clone(), 32).unwrap();
        let after = cancels.register(new.clone(), 32).unwrap();
        assert_eq!(cancels.upstream(before.key()), Some(old));
        assert_eq!(cancels.upstream(after.key()), Some(new.clone()));
        drop(before);
        assert_eq!(cancels.upstream(after.key()), Some(new));
        drop(after);
        assert!(cancels.0.sessions.is_empty());
    }
}
