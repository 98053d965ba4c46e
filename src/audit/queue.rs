//! The queue between sessions and the writer.
//!
//! What somebody waits for is hurried; everything else lingers for company, because to wake a thread costs more than to
//! write a record. Knows who waits, and nothing of what is in a record.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{AUDIT_BATCH_MAX, AUDIT_LINGER_MS};

/// The sessions' end. The writer's thread is told when the last of them is dropped.
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// The end of the writer's thread.
pub(super) struct Receiver<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    woken: Condvar,
}

struct State<T> {
    messages: Vec<T>,
    /// when the oldest of them came
    since: Option<Instant>,
    /// somebody waits for one of them
    hurried: bool,
    /// the thread is to look after them, or after what is due
    called: bool,
    /// the thread waits, and is not woken yet
    asleep: bool,
    senders: usize,
    closed: bool,
}

/// Why the thread's wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// it was called, something has lingered for long enough, or something else is due
    Due,
    /// nobody is left to send
    Disconnected,
}

/// A queue.
pub(super) fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            messages: Vec::new(),
            since: None,
            hurried: false,
            called: false,
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

    /// Wakes the thread where it sleeps.
    fn wake(&self, mut state: MutexGuard<'_, State<T>>) {
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.woken.notify_one();
        }
    }

    /// Moves at most so many messages to the end of `to`, the oldest first.
    fn take(&self, count_max: usize, to: &mut Vec<T>) {
        let mut state = self.lock();
        let count = count_max.min(state.messages.len());
        to.extend(state.messages.drain(..count));
        if state.messages.is_empty() {
            state.since = None;
            state.hurried = false;
        }
    }

    fn is_hurried(&self) -> bool {
        self.lock().hurried
    }
}

impl<T> Sender<T> {
    /// Sends a message that may linger. A full batch calls the thread.
    ///
    /// # Errors
    /// The message, when the writer has ended.
    pub(super) fn send(&self, message: T) -> Result<(), T> {
        let mut state = self.0.lock();
        if state.closed {
            return Err(message);
        }
        let first = state.messages.is_empty();
        state.since.get_or_insert_with(Instant::now);
        state.messages.push(message);
        let full = state.messages.len() == AUDIT_BATCH_MAX;
        state.called |= full;
        if first || full {
            self.0.wake(state);
        }
        Ok(())
    }

    /// Sends a message that somebody waits for. The thread is not called: who sends has it written, or calls.
    ///
    /// # Errors
    /// The message, when the writer has ended.
    pub(super) fn hurry(&self, message: T) -> Result<(), T> {
        let mut state = self.0.lock();
        if state.closed {
            return Err(message);
        }
        state.messages.push(message);
        state.hurried = true;
        Ok(())
    }

    /// Has the thread look after the messages, and after what is due.
    pub(super) fn call(&self) {
        let mut state = self.0.lock();
        state.called = true;
        self.0.wake(state);
    }

    /// Whether somebody waits for a message.
    pub(super) fn is_hurried(&self) -> bool {
        self.0.is_hurried()
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.0.lock().messages.len()
    }

    /// Moves at most so many messages to the end of `to`, the oldest first.
    pub(super) fn take(&self, count_max: usize, to: &mut Vec<T>) {
        self.0.take(count_max, to);
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
            self.0.wake(state);
        }
    }
}

impl<T> Receiver<T> {
    /// Waits until there is something to do. Messages that are left are due at once when nobody can send any more.
    pub(super) fn wait(&self, due: Option<Instant>) -> Waited {
        let mut state = self.0.lock();
        loop {
            if state.senders == 0 && state.messages.is_empty() {
                return Waited::Disconnected;
            }
            let lingered = state
                .since
                .map(|since| since + Duration::from_millis(AUDIT_LINGER_MS));
            let until = [lingered, due].into_iter().flatten().min();
            let is_due = until.is_some_and(|until| until <= Instant::now());
            if std::mem::take(&mut state.called) || is_due || state.senders == 0 {
                return Waited::Due;
            }
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

    /// Whether somebody waits for a message.
    pub(super) fn is_hurried(&self) -> bool {
        self.0.is_hurried()
    }

    /// Moves at most so many messages to the end of `to`, the oldest first.
    pub(super) fn take(&self, count_max: usize, to: &mut Vec<T>) {
        self.0.take(count_max, to);
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

    fn taken(receiver: &Receiver<usize>) -> Vec<usize> {
        let mut messages = Vec::new();
        receiver.take(AUDIT_BATCH_MAX, &mut messages);
        messages
    }

    #[test]
    fn what_nobody_waits_for_comes_together() {
        let (sender, receiver) = queue();
        let began = Instant::now();
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        assert_eq!(receiver.wait(None), Waited::Due);
        assert!(began.elapsed() >= Duration::from_millis(AUDIT_LINGER_MS));
        assert_eq!(taken(&receiver), [1, 2]);
        let long_ago = Some(began);
        assert_eq!(receiver.wait(long_ago), Waited::Due);
        assert!(taken(&receiver).is_empty());
    }

    #[test]
    fn who_calls_is_not_kept_waiting() {
        let (sender, receiver) = queue();
        let once = || {
            let began = Instant::now();
            sender.send(1).unwrap();
            sender.hurry(2).unwrap();
            assert!(receiver.is_hurried());
            sender.call();
            assert_eq!(receiver.wait(None), Waited::Due);
            assert_eq!(taken(&receiver), [1, 2]);
            assert!(!sender.is_hurried());
            began.elapsed()
        };
        let least = (0..20).map(|_| once()).min().unwrap();
        assert!(least < Duration::from_millis(AUDIT_LINGER_MS), "{least:?}");
    }

    #[test]
    fn a_sleeping_thread_is_woken() {
        for calls in [false, true] {
            let (sender, receiver) = queue();
            std::thread::scope(|scope| {
                let got = scope.spawn(move || (receiver.wait(None), taken(&receiver)));
                std::thread::sleep(Duration::from_millis(20));
                if calls {
                    sender.hurry(7).unwrap();
                    sender.call();
                } else {
                    sender.send(7).unwrap();
                }
                assert_eq!(got.join().unwrap(), (Waited::Due, vec![7]));
            });
        }
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let (sender, receiver) = queue();
        for n in 0..AUDIT_BATCH_MAX {
            sender.send(n).unwrap();
        }
        let began = Instant::now();
        assert_eq!(
            receiver.wait(Some(began + Duration::from_secs(60))),
            Waited::Due
        );
        assert_eq!(sender.len(), AUDIT_BATCH_MAX);
    }

    #[test]
    fn what_is_left_is_still_hurried() {
        let (sender, receiver) = queue();
        for n in 0..3 {
            sender.hurry(n).unwrap();
        }
        let mut messages = Vec::new();
        sender.take(2, &mut messages);
        assert_eq!(messages, [0, 1]);
        assert!(receiver.is_hurried());
        assert_eq!(taken(&receiver), [2]);
        assert!(!receiver.is_hurried());
    }

    #[test]
    fn the_ends_hear_of_each_other() {
        let (sender, receiver) = queue();
        let other = sender.clone();
        other.send(1).unwrap();
        drop((sender, other));
        assert_eq!(receiver.wait(None), Waited::Due);
        assert_eq!(taken(&receiver), [1]);
        assert_eq!(receiver.wait(None), Waited::Disconnected);
        let (sender, receiver) = queue();
        drop(receiver);
        assert_eq!(sender.send(1), Err(1));
        assert_eq!(sender.hurry(1), Err(1));
    }
}
