//! The queue between sessions and the writer.
//!
//! What somebody waits for is hurried; everything else lingers for company, because to wake a thread costs more than to
//! write a record. Knows nothing of what is in a record.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::AuditFault;
use super::batch::{Ack, Batch};
use crate::limits::{AUDIT_BATCH_MAX, AUDIT_LINGER_MS};

/// Tells who asked for the end how it went.
pub(super) type Closing = oneshot::Sender<Result<(), AuditFault>>;

/// The sessions' end. The writer's thread is told when the last of them is dropped.
pub(super) struct Sender(Arc<Shared>);

/// The end of the writer's thread.
pub(super) struct Receiver(Arc<Shared>);

/// The writer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

struct Shared {
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Default)]
struct State {
    batch: Batch,
    /// who asked for the end; nothing is taken behind it
    closing: Option<Closing>,
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
pub(super) fn queue() -> (Sender, Receiver) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            senders: 1,
            ..State::default()
        }),
        woken: Condvar::new(),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl Shared {
    /// The state is whole after any panic: nothing is done to it that could.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread where it sleeps.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.woken.notify_one();
        }
    }

    fn take(&self, to: &mut Batch) {
        let mut state = self.lock();
        to.take(&mut state.batch);
        state.since = None;
        state.hurried = false;
    }

    fn is_hurried(&self) -> bool {
        self.lock().hurried
    }
}

impl Sender {
    /// Sends a record, and the KiB of the room it takes. One that nobody waits for may linger; a full batch calls the
    /// thread. One that somebody waits for does not: who sends it has it written, or calls.
    ///
    /// # Errors
    /// [`Ended`].
    pub(super) fn send(&self, record: &[u8], kib: u32, ack: Option<Ack>) -> Result<(), Ended> {
        let mut state = self.0.lock();
        if state.closed || state.closing.is_some() {
            return Err(Ended);
        }
        if ack.is_some() {
            state.hurried = true;
            state.batch.push(record, kib, ack);
            return Ok(());
        }
        let first = state.batch.is_empty();
        state.since.get_or_insert_with(Instant::now);
        state.batch.push(record, kib, ack);
        let full = state.batch.len() == AUDIT_BATCH_MAX;
        state.called |= full;
        if first || full {
            self.0.wake(state);
        }
        Ok(())
    }

    /// Asks for the end: what is queued is written, and nothing behind it.
    ///
    /// # Errors
    /// [`Ended`].
    pub(super) fn close(&self, closing: Closing) -> Result<(), Ended> {
        let mut state = self.0.lock();
        if state.closed || state.closing.is_some() {
            return Err(Ended);
        }
        state.closing = Some(closing);
        state.called = true;
        self.0.wake(state);
        Ok(())
    }

    /// Has the thread look after the records, and after what is due.
    pub(super) fn call(&self) {
        let mut state = self.0.lock();
        state.called = true;
        self.0.wake(state);
    }

    /// Whether somebody waits for a record.
    pub(super) fn is_hurried(&self) -> bool {
        self.0.is_hurried()
    }

    /// How many records wait.
    pub(super) fn len(&self) -> usize {
        self.0.lock().batch.len()
    }

    /// Moves the records to the end of `to`.
    pub(super) fn take(&self, to: &mut Batch) {
        self.0.take(to);
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.0.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.senders -= 1;
        if state.senders == 0 {
            self.0.wake(state);
        }
    }
}

impl Receiver {
    /// Waits until there is something to do. Records that are left are due at once when nobody can send any more.
    pub(super) fn wait(&self, due: Option<Instant>) -> Waited {
        let mut state = self.0.lock();
        // Somebody found the writer taken by the thread itself.
        state.called |= state.hurried;
        loop {
            if state.senders == 0 && state.batch.is_empty() {
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

    /// Whether somebody waits for a record.
    pub(super) fn is_hurried(&self) -> bool {
        self.0.is_hurried()
    }

    /// Moves the records to the end of `to`; who asked for the end, if somebody did.
    pub(super) fn take(&self, to: &mut Batch) -> Option<Closing> {
        self.0.take(to);
        let mut state = self.0.lock();
        let closing = state.closing.take();
        state.closed |= closing.is_some();
        closing
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        // Who waits for one of them hears that nobody will answer.
        let left = (std::mem::take(&mut state.batch), state.closing.take());
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(sender: &Sender, text: &str) -> Result<(), Ended> {
        sender.send(text.as_bytes(), 1, None)
    }

    fn hurry(sender: &Sender, text: &str) -> Result<(), Ended> {
        sender.send(text.as_bytes(), 1, Some(oneshot::channel().0))
    }

    fn taken(receiver: &Receiver) -> Vec<String> {
        let mut batch = Batch::default();
        assert!(receiver.take(&mut batch).is_none());
        let texts = batch.iter(0..batch.len());
        let texts = texts.map(|text| String::from_utf8_lossy(text).into_owned());
        texts.collect()
    }

    #[test]
    fn what_nobody_waits_for_comes_together() {
        let (sender, receiver) = queue();
        let began = Instant::now();
        send(&sender, "1").unwrap();
        send(&sender, "2").unwrap();
        assert_eq!(receiver.wait(None), Waited::Due);
        assert!(began.elapsed() >= Duration::from_millis(AUDIT_LINGER_MS));
        assert_eq!(taken(&receiver), ["1", "2"]);
        let long_ago = Some(began);
        assert_eq!(receiver.wait(long_ago), Waited::Due);
        assert!(taken(&receiver).is_empty());
    }

    #[test]
    fn who_calls_is_not_kept_waiting() {
        let (sender, receiver) = queue();
        let once = || {
            let began = Instant::now();
            send(&sender, "1").unwrap();
            hurry(&sender, "2").unwrap();
            assert!(receiver.is_hurried());
            sender.call();
            assert_eq!(receiver.wait(None), Waited::Due);
            assert_eq!(taken(&receiver), ["1", "2"]);
            assert!(!sender.is_hurried());
            began.elapsed()
        };
        let least = (0..20).map(|_| once()).min().unwrap();
        assert!(least < Duration::from_millis(AUDIT_LINGER_MS), "{least:?}");
    }

    #[test]
    fn a_thread_that_had_the_writer_looks_again() {
        let (sender, receiver) = queue();
        hurry(&sender, "1").unwrap();
        let began = Instant::now();
        assert_eq!(receiver.wait(None), Waited::Due);
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!(taken(&receiver), ["1"]);
    }

    #[test]
    fn a_sleeping_thread_is_woken() {
        for calls in [false, true] {
            let (sender, receiver) = queue();
            std::thread::scope(|scope| {
                let got = scope.spawn(move || (receiver.wait(None), taken(&receiver)));
                std::thread::sleep(Duration::from_millis(20));
                if calls {
                    hurry(&sender, "7").unwrap();
                    sender.call();
                } else {
                    send(&sender, "7").unwrap();
                }
                assert_eq!(got.join().unwrap(), (Waited::Due, vec!["7".to_owned()]));
            });
        }
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let (sender, receiver) = queue();
        for _ in 0..AUDIT_BATCH_MAX {
            send(&sender, "").unwrap();
        }
        let began = Instant::now();
        let much_later = Some(began + Duration::from_secs(60));
        assert_eq!(receiver.wait(much_later), Waited::Due);
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!(sender.len(), AUDIT_BATCH_MAX);
    }

    #[test]
    fn the_end_is_asked_for_once() {
        let (sender, receiver) = queue();
        send(&sender, "1").unwrap();
        sender.close(oneshot::channel().0).unwrap();
        assert_eq!(sender.close(oneshot::channel().0), Err(Ended));
        assert_eq!(send(&sender, "2"), Err(Ended));
        let mut batch = Batch::default();
        assert_eq!(receiver.wait(None), Waited::Due);
        assert!(receiver.take(&mut batch).is_some());
        assert_eq!(batch.len(), 1);
    }

    #[test]
    fn the_ends_hear_of_each_other() {
        let (sender, receiver) = queue();
        let other = sender.clone();
        send(&other, "1").unwrap();
        drop((sender, other));
        assert_eq!(receiver.wait(None), Waited::Due);
        assert_eq!(taken(&receiver), ["1"]);
        assert_eq!(receiver.wait(None), Waited::Disconnected);
        let (sender, receiver) = queue();
        drop(receiver);
        assert_eq!(send(&sender, "1"), Err(Ended));
        assert_eq!(hurry(&sender, "1"), Err(Ended));
    }
}
