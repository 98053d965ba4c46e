//! The connections that have not answered yet: how many, and which of them goes when there are too many.
//!
//! The oldest goes: a client that means to log in answers within milliseconds, one that holds its place does not.
//! So a crowd of half-open connections is pushed out by its own newcomers, and the others still get through.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::limits::LOGINS_AT_ONCE_MAX;

/// Those that have not answered, in the order they came.
#[derive(Debug, Default)]
pub struct Crowd(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    places: BTreeMap<u64, Arc<Notify>>,
}

/// A place in the crowd; given up when dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Mutex<Waiting>>,
    number: u64,
    sent_away: Arc<Notify>,
}

impl Crowd {
    /// Takes a place; where there is none left the oldest is sent away.
    pub fn enter(&self) -> Place {
        let sent_away = Arc::new(Notify::new());
        let mut waiting = lock(&self.0);
        if waiting.places.len() >= LOGINS_AT_ONCE_MAX
            && let Some((_, oldest)) = waiting.places.pop_first()
        {
            oldest.notify_one();
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.places.insert(number, Arc::clone(&sent_away));
        Place {
            crowd: Arc::clone(&self.0),
            number,
            sent_away,
        }
    }
}

impl Place {
    /// Returns when the place is another's.
    pub async fn lost(&self) {
        self.sent_away.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.crowd).places.remove(&self.number);
    }
}

fn lock(crowd: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // What is under the lock is whole after every step.
    crowd.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn n04_the_oldest_of_a_crowd_is_sent_away_and_no_other() {
        let crowd = Crowd::default();
        let mut places: Vec<Place> = (0..LOGINS_AT_ONCE_MAX).map(|_| crowd.enter()).collect();
        drop(places.remove(1));
        let newcomer = crowd.enter();
        let soon = std::time::Duration::from_millis(1);
        assert!(
            tokio::time::timeout(soon, places[0].lost()).await.is_err(),
            "there was room"
        );
        let last = crowd.enter();
        places[0].lost().await;
        for other in [&places[1], &newcomer, &last] {
            assert!(tokio::time::timeout(soon, other.lost()).await.is_err());
        }
        drop((places, newcomer, last));
        assert!(lock(&crowd.0).places.is_empty());
    }
}
