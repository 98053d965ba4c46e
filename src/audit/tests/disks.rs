//! Disks that are full, slow, or stand still: who waits for what, and what is lost (X05: nothing).

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use super::*;

/// A medium that takes so many bytes, and then half of what comes.
struct Small {
    file: fs::File,
    left: Arc<Mutex<Option<usize>>>,
    may_cut: bool,
}

impl medium::Medium for Small {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut left = self.left.lock().unwrap();
        if let Some(left) = left.as_mut() {
            if *left < bytes.len() {
                (&self.file).write_all(&bytes[..bytes.len() / 2])?;
                return Err(io::ErrorKind::StorageFull.into());
            }
            *left -= bytes.len();
        }
        (&self.file).write_all(bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        if !self.may_cut {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn small(place: &Place, left: &Arc<Mutex<Option<usize>>>, may_cut: bool) -> Recorder {
    let left = Arc::clone(left);
    let opener: medium::Opener = Box::new(move |path| {
        let file = fs::OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        let left = Arc::clone(&left);
        Ok(Arc::new(Small {
            file,
            left,
            may_cut,
        }))
    });
    Recorder::start_on(place.settings.clone(), &place.keyring, None, opener).unwrap()
}

/// The disk is full: nothing begins, nothing handed over is lost, and it goes on when there is room.
async fn disk_full(may_cut: bool) {
    let place = place();
    let left = Arc::new(Mutex::new(None));
    let recorder = small(&place, &left, may_cut);
    let begun = recorder.begin(select("a", "before")).await.unwrap();
    *left.lock().unwrap() = Some(100);
    recorder
        .end(begun, select("a", "ended while full"))
        .await
        .unwrap();
    let fault = recorder.begin(select("a", "refused")).await;
    assert!(matches!(fault, Err(AuditFault::Failing(_))), "{fault:?}");
    assert!(recorder.check().is_err());
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(recorder.begin(select("a", "refused again")).await.is_err());
    *left.lock().unwrap() = None;
    for _ in 0..100 {
        if recorder.check().is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    recorder.begin(select("a", "after")).await.unwrap();
    recorder.close().await.unwrap();
    let verdict = place.verdict();
    assert!(verdict.is_intact(false), "{verdict:?}");
    let texts: Vec<_> = place
        .records(&Filter::default())
        .iter()
        .map(|record| record["statement"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, ["before", "ended while full", "after"]);
    assert_eq!(verdict.torn.is_empty(), may_cut);
}

#[tokio::test]
async fn x05_a_full_disk_refuses_and_loses_nothing() {
    disk_full(true).await;
}

#[tokio::test]
async fn x05_a_full_disk_that_cannot_even_cut_begins_another_file() {
    disk_full(false).await;
}

/// A disk that stands still while the gate is shut.
struct Still {
    file: fs::File,
    shut: Arc<Mutex<()>>,
}

impl medium::Medium for Still {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let _open = self.shut.lock().unwrap();
        (&self.file).write_all(bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x05_a_disk_that_stands_still_is_waited_for_in_bounded_memory() {
    let place = place();
    let shut = Arc::new(Mutex::new(()));
    let opener: medium::Opener = {
        let shut = Arc::clone(&shut);
        Box::new(move |path| {
            let file = fs::OpenOptions::new()
                .append(true)
                .create_new(true)
                .open(path)?;
            let shut = Arc::clone(&shut);
            Ok(Arc::new(Still { file, shut }))
        })
    };
    let recorder =
        Recorder::start_on(place.settings.clone(), &place.keyring, None, opener).unwrap();
    recorder.begin(select("a", "before")).await.unwrap();
    let (held, release) = std::sync::mpsc::channel::<()>();
    let gate = Arc::clone(&shut);
    let keeper = std::thread::spawn(move || {
        let _shut = gate.lock().unwrap();
        let _ = release.recv();
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.begin(select("a", "waits")).await }
    });
    // Each takes more than a MiB of the queue; who finds no room waits.
    let many = AUDIT_QUEUE_KIB as usize / 1024 * 2;
    let text = "x".repeat(crate::limits::AUDIT_STATEMENT_BYTES_MAX);
    let records: Vec<_> = (0..many)
        .map(|_| {
            let (recorder, record) = (recorder.clone(), select("a", &text));
            tokio::spawn(async move { recorder.record(record).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!begun.is_finished(), "it is not on record yet");
    let taken = records.iter().filter(|r| r.is_finished()).count();
    assert!(taken > 0 && taken < many / 2 + 1, "{taken} of {many} wait");
    held.send(()).unwrap();
    keeper.join().unwrap();
    begun.await.unwrap().unwrap();
    for record in records {
        record.await.unwrap().unwrap();
    }
    recorder.close().await.unwrap();
    let verdict = place.verdict();
    assert!(verdict.is_intact(false), "{verdict:?}");
    assert_eq!(place.records(&Filter::default()).len(), many + 2);
}

/// A disk that takes so many milliseconds to take something, and to force it.
#[derive(Clone, Default)]
struct Pace {
    append: Arc<AtomicU64>,
    sync: Arc<AtomicU64>,
    /// bytes that it took, and those of them that it was asked to force
    taken: Arc<AtomicU64>,
    forced: Arc<AtomicU64>,
}

struct Paced {
    file: fs::File,
    pace: Pace,
}

fn pause(ms: &AtomicU64) {
    std::thread::sleep(Duration::from_millis(ms.load(Ordering::Relaxed)));
}

impl medium::Medium for Paced {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        pause(&self.pace.append);
        let count = bytes.len() as u64;
        self.pace.taken.fetch_add(count, Ordering::SeqCst);
        (&self.file).write_all(bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let taken = self.pace.taken.load(Ordering::SeqCst);
        self.pace.forced.store(taken, Ordering::SeqCst);
        pause(&self.pace.sync);
        Ok(())
    }
}

fn paced(place: &Place, pace: &Pace) -> Recorder {
    let pace = pace.clone();
    let opener: medium::Opener = Box::new(move |path| {
        let options = fs::OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path);
        let pace = pace.clone();
        options.map(|file| Arc::new(Paced { file, pace }) as Arc<dyn medium::Medium>)
    });
    Recorder::start_on(place.settings.clone(), &place.keyring, None, opener).unwrap()
}

/// How long the slowest of so many beginnings took.
async fn slowest(recorder: &Recorder, count: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..count {
        let began = std::time::Instant::now();
        recorder.begin(select("a", "SELECT")).await.unwrap();
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

/// How long the slowest of some beginnings took while a sync was under way that took two seconds.
async fn slowest_beside_a_sync() -> Duration {
    let (place, pace) = (place(), Pace::default());
    let recorder = paced(&place, &pace);
    pace.sync.store(2000, Ordering::Relaxed);
    recorder.begin(select("a", "SELECT")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(crate::limits::AUDIT_SYNC_MS + 100)).await;
    let slowest = slowest(&recorder, 20).await;
    pace.sync.store(0, Ordering::Relaxed);
    recorder.close().await.unwrap();
    assert!(place.verdict().is_intact(false));
    slowest
}

#[tokio::test]
async fn nothing_waits_for_a_sync() {
    // A machine that lets a thread wait for long makes the disk look slow.
    let mut least = Duration::MAX;
    for _ in 0..5 {
        least = least.min(slowest_beside_a_sync().await);
        if least < Duration::from_secs(1) {
            return;
        }
    }
    panic!("{least:?}");
}

/// What is written while a sync is under way is forced by the next one, though nothing comes any more.
#[tokio::test]
async fn what_comes_during_a_sync_is_forced_too() {
    let (place, pace) = (place(), Pace::default());
    let recorder = paced(&place, &pace);
    pace.sync.store(300, Ordering::Relaxed);
    recorder.begin(select("a", "SELECT")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(crate::limits::AUDIT_SYNC_MS + 50)).await;
    recorder.begin(select("a", "SELECT")).await.unwrap();
    // Long before the head is signed, which forces all.
    for _ in 0..40 {
        if pace.forced.load(Ordering::SeqCst) == pace.taken.load(Ordering::SeqCst) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (forced, taken) = (&pace.forced, &pace.taken);
    assert_eq!(forced.load(Ordering::SeqCst), taken.load(Ordering::SeqCst));
    recorder.close().await.unwrap();
}

/// How long somebody waited who found the writer taken: by a session, or by the writer's thread that has a long sync
/// before it.
async fn waited_for_a_taken_writer(by_thread: bool) -> Duration {
    const APPEND_MS: u64 = 150;
    let (place, pace) = (place(), Pace::default());
    let recorder = paced(&place, &pace);
    recorder.begin(select("a", "SELECT")).await.unwrap();
    pace.sync.store(2000, Ordering::Relaxed);
    pace.append.store(APPEND_MS, Ordering::Relaxed);
    let first = recorder.clone();
    let taking = tokio::spawn(async move {
        if by_thread {
            // Its thread will be writing this when the sync becomes due.
            tokio::time::sleep(Duration::from_millis(crate::limits::AUDIT_SYNC_MS - 40)).await;
            first.record(select("a", "lingers")).await
        } else {
            first.begin(select("a", "SELECT")).await.map(|_| ())
        }
    });
    let until = if by_thread {
        crate::limits::AUDIT_SYNC_MS + 20
    } else {
        50
    };
    tokio::time::sleep(Duration::from_millis(until)).await;
    let began = std::time::Instant::now();
    recorder.begin(select("a", "SELECT")).await.unwrap();
    let waited = began.elapsed();
    taking.await.unwrap().unwrap();
    pace.append.store(0, Ordering::Relaxed);
    pace.sync.store(0, Ordering::Relaxed);
    recorder.close().await.unwrap();
    waited
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_had_the_writer_looks_again() {
    for by_thread in [false, true] {
        let mut least = Duration::MAX;
        for _ in 0..5 {
            least = least.min(waited_for_a_taken_writer(by_thread).await);
            if least < Duration::from_secs(1) {
                break;
            }
        }
        assert!(least < Duration::from_secs(1), "{by_thread}: {least:?}");
    }
}

/// A runtime of one thread: while one session waits for a slow disk, the others go on.
#[tokio::test]
async fn x05_a_slow_disk_is_waited_for_by_the_writers_thread() {
    let (place, pace) = (place(), Pace::default());
    let recorder = paced(&place, &pace);
    pace.append.store(1000, Ordering::Relaxed);
    // The first one cannot know.
    recorder.begin(select("a", "SELECT")).await.unwrap();
    let others = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut begun = std::pin::pin!(recorder.begin(select("a", "SELECT")));
    tokio::select! {
        _ = &mut begun => panic!("the others stood still"),
        () = others => {}
    }
    begun.await.unwrap();
    pace.append.store(0, Ordering::Relaxed);
    recorder.close().await.unwrap();
    assert!(place.verdict().is_intact(false));
}

/// However sessions and the writer's thread meet, everybody who waits is answered, and each session's records stand in
/// the order it sent them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_waits_is_answered() {
    let (place, pace) = (place(), Pace::default());
    let recorder = paced(&place, &pace);
    let hasty = |session: usize| {
        let recorder = recorder.clone();
        async move {
            for i in 0..400 {
                let record = select(&format!("u{session}"), &format!("SELECT {i}"));
                let seq = recorder.begin(record.clone()).await.unwrap();
                recorder.end(seq, record).await.unwrap();
                if i % 50 == session {
                    tokio::time::sleep(Duration::from_millis(7)).await;
                }
            }
        }
    };
    let sessions: Vec<_> = (0..8).map(|session| tokio::spawn(hasty(session))).collect();
    // The disk is quick, slow, and quick again.
    for ms in [0, 15, 0] {
        pace.append.store(ms, Ordering::Relaxed);
        pace.sync.store(ms, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    for session in sessions {
        let answered = tokio::time::timeout(Duration::from_secs(60), session);
        answered.await.expect("an answer").unwrap();
    }
    recorder.close().await.unwrap();
    assert!(place.verdict().is_intact(false));
    for session in 0..8 {
        let filter = Filter {
            user: Some(format!("u{session}")),
            ..Filter::default()
        };
        let texts: Vec<_> = place.records(&filter);
        let sent = (0..400).flat_map(|i| [format!("SELECT {i}"), format!("SELECT {i}")]);
        let written = texts.iter().map(|r| r["statement"].as_str().unwrap());
        assert!(written.eq(sent), "session {session}");
    }
}
