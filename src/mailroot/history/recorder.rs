//! Records while the server runs: what is told to it, on a thread of its own.
//!
//! Shape: a queue of changes: what the tables accepted, and our own edits, with what they replaced and their origin.
//! Changes of one origin that arrive within [`COLLECT`] are one state. When
//! the queue is full, of several changes of one file only the newest stays.
//!
//! Failures: logged, one line for each kind of failure until something is recorded again; serving goes on.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Change, History, HistoryError, Version};
use crate::clock::Clock;
use crate::durable::{Disk, FileLock};
use crate::mailroot::edit::LOCK_FILE;
use crate::mailroot::snapshot::{Observer, ROOT_TABLES};
use crate::mailroot::{Tables, schema};

/// How long changes are collected into one state: a use-case of administration writes several files. Ours.
const COLLECT: Duration = Duration::from_millis(100);

/// Changes that wait at most, before older ones of the same file are dropped. Ours.
const QUEUE_MAX: usize = 1000;

/// How long an edit that is going on is waited for, and how often it is looked at. Ours; one takes milliseconds.
const EDIT_WAIT_MAX: Duration = Duration::from_secs(1);
const EDIT_RETRY: Duration = Duration::from_millis(3);

/// Files in the MailRoot that are no tables of the snapshot but belong to the state.
const OTHER_FILES: [&str; 2] = ["dnsroots", "userdef.tab"];

/// Somebody outside: an editor, a shell, rsync.
const HAND: &str = "hand";

thread_local! {
    static ORIGIN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; what it edits in this thread is recorded as made by `origin`.
pub fn with_origin<T>(origin: &str, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<String>);
    impl Drop for Restore {
        fn drop(&mut self) {
            ORIGIN.set(self.0.take());
        }
    }
    let _restore = Restore(ORIGIN.replace(Some(origin.to_owned())));
    work()
}

/// Who edits in this thread; `tabmail` when nobody said so.
pub fn current_origin() -> String {
    ORIGIN.with_borrow(|origin| origin.clone().unwrap_or_else(|| "tabmail".to_owned()))
}

/// Takes changes from everywhere.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    noted: VecDeque<Noted>,
    stop: bool,
}

#[derive(Debug)]
struct Noted {
    file: PathBuf,
    origin: String,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    /// Somebody outside wrote this; an empty file may be none at all.
    Accepted { before: Arc<Vec<u8>>, bytes: Arc<Vec<u8>> },
    /// An edit of ours.
    Saved { before: Version, after: Version },
}

impl Noted {
    fn is_saved(&self) -> bool {
        matches!(self.contents, Contents::Saved { .. })
    }
}

impl Recorder {
    /// Begins to record what changes in `tables`, and what has changed since something was recorded last.
    ///
    /// # Errors
    /// The system has no thread.
    pub fn start(tables: &Tables, disk: Disk, clock: Clock) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        tables.observe(Arc::clone(&shared) as Arc<dyn Observer>);
        let history = History::new(tables.current().root(), disk);
        let (tables, ours) = (tables.clone(), Arc::clone(&shared));
        let work = Work { tables, history, clock, shared: ours, is_on: false, last_failure: None };
        let thread = thread::Builder::new().name("history".into()).spawn(move || work.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Records what is waiting, and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic has been logged.
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, noted: Noted) {
        let mut queue = self.lock();
        if let Contents::Saved { after, .. } = &noted.contents {
            // The tables may have seen the edit before it was told.
            let is_this_edit = |other: &Noted| match &other.contents {
                Contents::Accepted { bytes, .. } => {
                    other.file == noted.file && after.as_ref().is_none_or(|after| after == bytes)
                }
                Contents::Saved { .. } => false,
            };
            queue.noted.retain(|other| !is_this_edit(other));
        }
        if queue.noted.len() >= QUEUE_MAX {
            queue.noted.retain(|older| older.file != noted.file);
        }
        queue.noted.push_back(noted);
        drop(queue);
        self.wake.notify_all();
    }

    /// Waits for changes and collects those that follow at once; `None`: it is over.
    fn next(&self) -> Option<VecDeque<Noted>> {
        let queue = self.lock();
        let waited = self.wake.wait_while(queue, |queue| queue.noted.is_empty() && !queue.stop);
        let queue = waited.unwrap_or_else(PoisonError::into_inner);
        let collected = self.wake.wait_timeout_while(queue, COLLECT, |queue| !queue.stop);
        let (mut queue, _) = collected.unwrap_or_else(PoisonError::into_inner);
        let noted = std::mem::take(&mut queue.noted);
        (!noted.is_empty()).then_some(noted)
    }
}

impl Observer for Shared {
    fn accepted(&self, file: &Path, before: &Arc<Vec<u8>>, bytes: &Arc<Vec<u8>>) {
        let contents = Contents::Accepted { before: Arc::clone(before), bytes: Arc::clone(bytes) };
        self.note(Noted { file: file.to_owned(), origin: HAND.to_owned(), contents });
    }

    fn saved(&self, file: &Path, before: Option<Vec<u8>>, after: Option<Vec<u8>>) {
        let (before, after) = (before.map(Arc::new), after.map(Arc::new));
        self.note(Noted {
            file: file.to_owned(),
            origin: current_origin(),
            contents: Contents::Saved { before, after },
        });
    }
}

/// The thread.
struct Work {
    tables: Tables,
    history: History,
    clock: Clock,
    shared: Arc<Shared>,
    is_on: bool,
    last_failure: Option<String>,
}

impl Work {
    fn run(mut self) {
        self.catch_up();
        while let Some(noted) = self.shared.next() {
            if self.catch_up() {
                for group in
                    noted.into_iter().collect::<Vec<_>>().chunk_by(|one, next| one.origin == next.origin)
                {
                    self.record(group);
                }
            }
        }
    }

    fn bytes_max(&self) -> Option<u64> {
        self.tables.current().server.kilobytes(&schema::server::HISTORY_MAX_SIZE)
    }

    /// What changed while nobody recorded. Says whether the history is on.
    fn catch_up(&mut self) -> bool {
        let Some(bytes_max) = self.bytes_max() else {
            self.is_on = false;
            return false;
        };
        if !self.is_on {
            let caught_up = self.compare_all(bytes_max);
            self.is_on = caught_up.is_ok();
            self.report(caught_up);
        }
        true
    }

    fn compare_all(&self, bytes_max: u64) -> Result<(), HistoryError> {
        let lock = self.history.lock()?;
        self.history.recover(&lock, self.clock.now())?;
        let mut files = self.history.files()?;
        let origin = if files.is_empty() { "on" } else { "start" };
        let known = files.clone();
        let root = ROOT_TABLES.iter().chain(&OTHER_FILES).map(PathBuf::from);
        files.extend(root.filter(|file| !known.contains(file)));
        let mut changes = Vec::new();
        for file in files {
            let after = self.read(&file)?;
            if after.is_some() || known.contains(&file) {
                changes.push(Change { file, before: None, after });
            }
        }
        self.history.record(&lock, &changes, origin, self.clock.now(), bytes_max).map(drop)
    }

    /// One state: changes of one origin.
    fn record(&mut self, group: &[Noted]) {
        let recorded = self.try_record(group);
        self.report(recorded);
    }

    fn try_record(&self, group: &[Noted]) -> Result<(), HistoryError> {
        let (Some(bytes_max), Some(first)) = (self.bytes_max(), group.first()) else { return Ok(()) };
        let lock = self.history.lock()?;
        let mut changes: Vec<Change> = Vec::new();
        for noted in group {
            let (before, after) = match &noted.contents {
                Contents::Saved { before, after } => (Some(before.clone()), after.clone()),
                Contents::Accepted { .. } if self.is_saved_by_us(&noted.file) => continue,
                Contents::Accepted { before, bytes } => {
                    let known = (!before.is_empty()).then(|| Some(Arc::clone(before)));
                    let after =
                        if bytes.is_empty() { self.read(&noted.file)? } else { Some(Arc::clone(bytes)) };
                    (known, after)
                }
            };
            match changes.iter_mut().find(|change| change.file == noted.file) {
                Some(change) => change.after = after,
                None => changes.push(Change { file: noted.file.clone(), before, after }),
            }
        }
        self.history.record(&lock, &changes, &first.origin, self.clock.now(), bytes_max).map(drop)
    }

    /// Whether an edit of ours has just written the file, which is told with its origin.
    fn is_saved_by_us(&self, file: &Path) -> bool {
        let lock = self.tables.current().root().path().join(LOCK_FILE);
        let begun = Instant::now();
        // Without the lock the worst is a wrong origin.
        let _no_edit = loop {
            match FileLock::try_acquire(&lock) {
                Ok(None) if begun.elapsed() < EDIT_WAIT_MAX => thread::sleep(EDIT_RETRY),
                other => break other,
            }
        };
        self.shared.lock().noted.iter().any(|noted| noted.file == file && noted.is_saved())
    }

    fn read(&self, file: &Path) -> Result<Version, HistoryError> {
        let path = self.tables.current().root().path().join(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Arc::new(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HistoryError::Disk { path, source }),
        }
    }

    fn report(&mut self, result: Result<(), HistoryError>) {
        let failure = result.err().map(|error| error.to_string());
        if let Some(failure) = &failure
            && self.last_failure.as_ref() != Some(failure)
        {
            tracing::error!("history: {failure}");
        }
        self.last_failure = failure;
    }
}
