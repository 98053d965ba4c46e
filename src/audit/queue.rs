//! The queue between sessions and the writer: what somebody waits for wakes the writer at once, everything else waits a
//! moment for company.
//!
//! To wake a thread costs more than to write a record, so that a record by itself is not worth it. Knows who waits, and
//! nothing of what is in a record.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{AUDIT_BATCH_MAX, AUDIT_LINGER_MS};

/// The sessions' end. The writer is told when the last of them is dropped.
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// The writer's end.
pub(super) struct Receiver<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    woken: Condvar,
}

struct State<T> {
    messages: Vec<T>,
    /// when the oldest of them came
    since: Option<Instant>,
    /// they are to be taken at once
    urgent: bool,
    /// the writer waits, and is not woken yet
    asleep: bool,
    senders: usize,
    closed: bool,
}

/// What the writer gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<T> {
    /// in the order they were sent; at least one
    Messages(Vec<T>),
    /// nothing until then
    Due,
    /// nothing, and nobody is left to send
    Disconnected,
}

/// A queue.
pub(super) fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            messages: Vec::new(),
            since: None,
            urgent: false,
            asleep: false,
            senders: 1,
            closed: false,
        }),
        woken: Condvar::new(),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Shared<T> {
    /// The state is whole after any panic: nothing is done to it that could.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Sends a message; an urgent one is taken at once, and all before it.
    ///
    /// # Errors
    /// The message, when the writer has ended.
    pub(super) fn send(&self, message: T, urgent: bool) -> Result<(), T> {
        let mut state = self.0.lock();
        if state.closed {
            return Err(message);
        }
        let first = state.messages.is_empty();
        state.since.get_or_insert_with(Instant::now);
        state.messages.push(message);
        let full = state.messages.len() == AUDIT_BATCH_MAX;
        state.urgent |= urgent || full;
        if (first || urgent || full) && std::mem::take(&mut state.asleep) {
            drop(state);
            self.0.woken.notify_one();
        }
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        if state.senders == 0 {
            drop(state);
            self.0.woken.notify_one();
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for messages, or until something else is due.
    pub(super) fn receive(&self, due: Option<Instant>) -> Received<T> {
        let mut state = self.0.lock();
        loop {
            let until = match state.since {
                Some(since) => {
                    let full = since + Duration::from_millis(AUDIT_LINGER_MS);
                    if state.urgent || state.senders == 0 || full <= Instant::now() {
                        state.urgent = false;
                        state.since = None;
                        return Received::Messages(std::mem::take(&mut state.messages));
                    }
                    Some(full)
                }
                None if state.senders == 0 => return Received::Disconnected,
                None if due.is_some_and(|due| due <= Instant::now()) => return Received::Due,
                None => due,
            };
            state.asleep = true;
            state = match until {
                Some(until) => {
                    let pause = until.saturating_duration_since(Instant::now());
                    let woken = self.0.woken.wait_timeout(state, pause);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let woken = self.0.woken.wait(state);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
            state.asleep = false;
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        // Who waits for one of them hears that nobody will answer.
        let left = std::mem::take(&mut state.messages);
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_waits_for_comes_together_and_what_somebody_waits_for_at_once() {
        let (sender, receiver) = queue();
        let began = Instant::now();
        sender.send(1, false).unwrap();
        sender.send(2, false).unwrap();
        assert_eq!(receiver.receive(None), Received::Messages(vec![1, 2]));
        assert!(began.elapsed() >= Duration::from_millis(AUDIT_LINGER_MS));
        sender.send(3, false).unwrap();
        sender.send(4, true).unwrap();
        let long_ago = Some(began);
        assert_eq!(receiver.receive(long_ago), Received::Messages(vec![3, 4]));
        assert_eq!(receiver.receive(long_ago), Received::Due);
    }

    #[test]
    fn what_somebody_waits_for_does_not_linger() {
        let (sender, receiver) = queue();
        let once = || {
            let began = Instant::now();
            sender.send(1, false).unwrap();
            sender.send(2, true).unwrap();
            assert_eq!(receiver.receive(None), Received::Messages(vec![1, 2]));
            began.elapsed()
        };
        let least = (0..20).map(|_| once()).min().unwrap();
        assert!(least < Duration::from_millis(AUDIT_LINGER_MS), "{least:?}");
    }

    #[test]
    fn a_sleeping_writer_is_woken() {
        for urgent in [false, true] {
            let (sender, receiver) = queue();
            std::thread::scope(|scope| {
                let got = scope.spawn(move || receiver.receive(None));
                std::thread::sleep(Duration::from_millis(20));
                sender.send(7, urgent).unwrap();
                assert_eq!(got.join().unwrap(), Received::Messages(vec![7]));
            });
        }
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let (sender, receiver) = queue();
        for n in 0..AUDIT_BATCH_MAX {
            sender.send(n, false).unwrap();
        }
        let Received::Messages(messages) = receiver.receive(None) else {
            panic!("there are messages")
        };
        assert_eq!(messages.len(), AUDIT_BATCH_MAX);
    }

    #[test]
    fn the_ends_hear_of_each_other() {
        let (sender, receiver) = queue();
        let other = sender.clone();
        other.send(1, false).unwrap();
        drop((sender, other));
        assert_eq!(receiver.receive(None), Received::Messages(vec![1]));
        assert_eq!(receiver.receive(None), Received::Disconnected);
        let (sender, receiver) = queue();
        drop(receiver);
        assert_eq!(sender.send(1, true), Err(1));
    }
}
