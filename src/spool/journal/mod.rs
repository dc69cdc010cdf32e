//! The journal in front of the spool: one write and one fdatasync for all messages that arrive together.
//!
//! It lies in `spool/.journal/`, which XMail does not look at, and exists only while the server runs; see the table at
//! the head of [`crate::spool`] for what a crash leaves.
//!
//! ```text
//! submit -> pending --+                          outbox -> delivery: from memory
//! done   -> marks   --+-> committer: write, sync --> 250       |
//!                     |                                        v
//!                     +--------------------------------- done(mark)
//! checkpoint: what a full segment holds is delivered or given a spool file; the mailboxes' file systems are synced;
//!             then the watermark goes up, and the segment's slot is free
//! ```
//!
//! Two threads: the *committer* is the only one that writes; the *checkpointer* looks every [`TICK`] whether segments
//! can be freed. Nothing else waits for a disk but who calls [`Journal::submit_blocking`].
//!
//! Limits: [`Sizes`]. A message that does not fit (too large, memory or slots used up) is refused by
//! [`Journal::admit`] or with [`Refusal::NoRoom`] and goes the way of the spool files instead.

mod checkpoint;
mod committer;
pub(super) mod record;
pub(super) mod replay;
mod segment;
pub(super) mod view;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::held::Held;
use super::outbox::Ready;
use super::{Shared, SpoolError};
use crate::durable::Disk;
pub use record::Stored;
pub(super) use record::{Id, Mark};

/// How much the journal may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of one segment on the disk.
    pub segment_bytes: u64,
    /// Segments at most.
    pub segments_max: usize,
    /// Bytes of mail held in memory until it is delivered or has a spool file.
    pub held_bytes_max: usize,
    /// How long a segment may stay unfinished before what waits in it gets spool files.
    pub age_max: Duration,
}

impl Default for Sizes {
    /// 16 segments of 8 MB, 64 MB in memory, 5 s. Ours.
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            segments_max: 16,
            held_bytes_max: 64 << 20,
            age_max: Duration::from_secs(5),
        }
    }
}

/// How often the checkpointer looks.
const TICK: Duration = Duration::from_millis(500);

/// How long a mark that nobody waits for may wait for company.
const MARKS_WAIT: Duration = Duration::from_millis(50);

/// How long the owner of a mailbox waits at most for that mark. Ours.
const TAKEN_WAIT: Duration = Duration::from_secs(10);

/// Bytes at the end of a segment that only marks and watermarks may use, so that a full one can still be freed.
const RESERVED_BYTES: u64 = 4096;

/// The running journal.
pub(super) struct Journal {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Inner {
    disk: Disk,
    /// The MailRoot.
    root: PathBuf,
    /// In `spool/.journal`.
    slots: segment::Slots,
    sizes: Sizes,
    queue: Mutex<Queue>,
    /// Something is in the queue.
    wanted: Condvar,
    ledger: Mutex<Ledger>,
    /// A segment was sealed, a slot is free, or all ends.
    changed: Condvar,
    /// One checkpoint at a time.
    passing: Mutex<()>,
    sequence: AtomicU64,
    held_bytes: AtomicUsize,
}

/// What waits for the committer.
#[derive(Default)]
struct Queue {
    pending: Vec<Pending>,
    marks: Vec<Mark>,
    /// Somebody wants the marks on stable storage soon.
    marks_are_urgent: bool,
    /// All segments below are over; to be written down.
    watermark: Option<u64>,
    /// The segment in use is to be ended.
    seal: bool,
    /// Dropped when the marks of this moment are written.
    waiters: Vec<SyncSender<()>>,
    stop: bool,
    /// The committer sleeps.
    is_waited_for: bool,
}

/// A message to be written.
struct Pending {
    sequence: u64,
    content: Arc<Content>,
    recipients: Vec<Ready>,
    reply: Reply,
}

enum Reply {
    Async(oneshot::Sender<Result<(), Refusal>>),
    Blocking(std::sync::mpsc::SyncSender<Result<(), Refusal>>),
}

/// Why a message is not in the journal.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing was tried: no free slot, or the journal ends. The spool's files may have room.
    NoRoom,
    /// The disk refused; nothing of the message is there.
    Disk(io::Error),
}

/// A message's payload in memory; counts against [`Sizes::held_bytes_max`] while anybody needs it.
pub(super) struct Content {
    pub(super) payload: Vec<u8>,
    counted: Weak<Inner>,
}

impl Content {
    /// A payload that was read, and counts nowhere.
    fn read(payload: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { payload, counted: Weak::new() })
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if let Some(inner) = self.counted.upgrade() {
            inner.held_bytes.fetch_sub(self.payload.len(), Ordering::Relaxed);
        }
    }
}

/// The segments that are not over, the oldest first; the last one is being written.
#[derive(Default)]
struct Ledger {
    live: VecDeque<Live>,
    free_slots: VecDeque<usize>,
    slots_made: usize,
    next_number: u64,
    is_ending: bool,
}

/// One segment.
struct Live {
    number: u64,
    slot: usize,
    begun: Instant,
    is_sealed: bool,
    /// Recipients that nothing has become of yet.
    waiting: HashMap<Id, Arc<Held>>,
    /// Delivered ones, by their names.
    delivered: HashMap<Box<str>, (Id, Stored)>,
    /// Where those are, below the MailRoot.
    directories: HashSet<PathBuf>,
}

impl Journal {
    /// Begins a journal in an empty directory; nothing is written before the first message.
    pub(super) fn start(
        disk: Disk,
        root: &Path,
        directory: PathBuf,
        sizes: Sizes,
        spool: Weak<Shared>,
    ) -> Self {
        // Only a system without a random source fails here.
        let run = getrandom::u64().unwrap_or(0);
        let ledger = Ledger { next_number: 1, ..Ledger::default() };
        let inner = Arc::new(Inner {
            disk,
            root: root.to_owned(),
            slots: segment::Slots { directory, run, bytes: sizes.segment_bytes },
            sizes,
            queue: Mutex::default(),
            wanted: Condvar::new(),
            ledger: Mutex::new(ledger),
            changed: Condvar::new(),
            passing: Mutex::default(),
            sequence: AtomicU64::new(1),
            held_bytes: AtomicUsize::new(0),
        });
        let committer = {
            let (inner, spool) = (Arc::clone(&inner), Weak::clone(&spool));
            std::thread::Builder::new().name("journal".into()).spawn(move || committer::run(&inner, &spool))
        };
        let checkpointer = {
            let inner = Arc::clone(&inner);
            std::thread::Builder::new()
                .name("checkpoint".into())
                .spawn(move || checkpoint::run(&inner, &spool))
        };
        let threads = [committer, checkpointer].into_iter().flatten().collect::<Vec<_>>();
        let journal = Self { inner, threads: Mutex::new(threads) };
        if lock(&journal.threads).len() < 2 {
            tracing::error!("no thread for the journal; mail goes through spool files");
            lock(&journal.inner.queue).stop = true;
        }
        journal
    }

    /// Room for a message whose payload has this many bytes; `None` when it has to take the other way.
    pub(super) fn admit(&self, payload_bytes: usize) -> Option<u64> {
        let inner = &self.inner;
        let fits = payload_bytes as u64 <= inner.sizes.segment_bytes / RECORD_SHARE
            && inner.held_bytes.load(Ordering::Relaxed) + payload_bytes <= inner.sizes.held_bytes_max;
        fits.then(|| inner.sequence.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a payload into account.
    pub(super) fn hold(&self, payload: Vec<u8>) -> Arc<Content> {
        self.inner.held_bytes.fetch_add(payload.len(), Ordering::Relaxed);
        Arc::new(Content { payload, counted: Arc::downgrade(&self.inner) })
    }

    /// Writes a message. On `Ok` it is on stable storage, and `recipients` stand in the outbox.
    pub(super) async fn submit(
        &self,
        sequence: u64,
        content: Arc<Content>,
        recipients: Vec<Ready>,
    ) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        self.push(Pending { sequence, content, recipients, reply: Reply::Async(reply) });
        answer.await.unwrap_or(Err(Refusal::NoRoom))
    }

    /// As [`Journal::submit`], for callers on blocking threads.
    pub(super) fn submit_blocking(
        &self,
        sequence: u64,
        content: Arc<Content>,
        recipients: Vec<Ready>,
    ) -> Result<(), Refusal> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.push(Pending { sequence, content, recipients, reply: Reply::Blocking(reply) });
        answer.recv().unwrap_or(Err(Refusal::NoRoom))
    }

    fn push(&self, pending: Pending) {
        let mut queue = lock(&self.inner.queue);
        if queue.stop {
            drop(queue);
            return pending.reply.send(Err(Refusal::NoRoom));
        }
        queue.pending.push(pending);
        let wakes = std::mem::take(&mut queue.is_waited_for);
        drop(queue);
        if wakes {
            self.inner.wanted.notify_one();
        }
    }

    /// Notes what became of a recipient's message that was written to the segment `number`.
    pub(super) fn done(&self, number: u64, name: &str, mark: Mark) {
        let is_urgent = matches!(mark, Mark::Over(_));
        {
            let mut ledger = lock(&self.inner.ledger);
            if let Some(live) = ledger.live.iter_mut().find(|live| live.number == number) {
                match &mark {
                    Mark::Over(id) => drop(live.waiting.remove(id)),
                    Mark::Delivered(id, stored) => {
                        live.waiting.remove(id);
                        if let Some(directory) = stored.path.parent()
                            && !live.directories.contains(directory)
                        {
                            live.directories.insert(directory.to_owned());
                        }
                        live.delivered.insert(name.into(), (*id, stored.clone()));
                    }
                }
            }
        }
        self.inner.push_mark(mark, is_urgent);
    }

    /// Messages with these file names were removed from a mailbox by their owner: they must not come back. Blocks until
    /// that is on stable storage, when there are any that were delivered moments ago.
    pub(super) fn taken(&self, names: &[String]) {
        let found: Vec<Id> = {
            let mut ledger = lock(&self.inner.ledger);
            let mut take = |name: &String| {
                ledger.live.iter_mut().find_map(|live| live.delivered.remove(name.as_str())).map(|(id, _)| id)
            };
            names.iter().filter_map(&mut take).collect()
        };
        if found.is_empty() {
            return;
        }
        let (waiter, written) = std::sync::mpsc::sync_channel(1);
        {
            let mut queue = lock(&self.inner.queue);
            if queue.stop {
                return;
            }
            queue.marks.extend(found.into_iter().map(Mark::Over));
            queue.marks_are_urgent = true;
            queue.waiters.push(waiter);
            queue.is_waited_for = false;
        }
        self.inner.wanted.notify_one();
        // Ends with an error when the waiter is dropped. A disk that hangs must not hang the session for ever.
        let _ = written.recv_timeout(TAKEN_WAIT);
    }

    /// Bytes held in memory now.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.inner.held_bytes.load(Ordering::Relaxed)
    }

    /// Ends the journal: what waits gets spool files, what is in mailboxes is synced, the directory is removed. When the
    /// disk refuses any of that the directory stays, for the next start.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn close(&self, spool: &Arc<Shared>) -> Result<(), SpoolError> {
        self.end_threads();
        checkpoint::everything(&self.inner, spool)?;
        replay::remove_directory(&self.inner.disk, &self.inner.slots.directory)
            .map_err(SpoolError::disk("remove", &self.inner.slots.directory))
    }

    fn end_threads(&self) {
        lock(&self.inner.queue).stop = true;
        lock(&self.inner.ledger).is_ending = true;
        self.inner.wanted.notify_all();
        self.inner.changed.notify_all();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // One of them may hold the last reference to the spool.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the journal ended with a panic");
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.end_threads();
    }
}

impl Inner {
    fn push_mark(&self, mark: Mark, is_urgent: bool) {
        let mut queue = lock(&self.queue);
        let was_empty = queue.marks.is_empty();
        queue.marks.push(mark);
        queue.marks_are_urgent |= is_urgent;
        let wakes = queue.is_waited_for && (was_empty || is_urgent);
        if wakes {
            queue.is_waited_for = false;
        }
        drop(queue);
        if wakes {
            self.wanted.notify_one();
        }
    }
}

impl Reply {
    /// A submitter that is gone needs no answer: its message is queued all the same.
    fn send(self, result: Result<(), Refusal>) {
        match self {
            Self::Async(sender) => drop(sender.send(result)),
            Self::Blocking(sender) => drop(sender.send(result)),
        }
    }
}

/// A record takes at most one of this many parts of a segment.
const RECORD_SHARE: u64 = 4;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
