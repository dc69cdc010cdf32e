//! An open folder: what is known of its messages, shared by all sessions that look at it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::cache::{Cache, Kept, KeptPlaces, Place, Record};
use super::content::HEADS_AT_ONCE;
use super::flags::{Flags, KeywordSet};
use super::name::FolderName;
use super::order::Order;
use crate::durable::Disk;
use crate::mailbox::{MailboxError, Mailboxes};
use crate::mailroot::Account;
use crate::mailroot::edit::EditError;

/// Removals remembered for clients that come back (RFC 7162 `VANISHED`); older ones are forgotten. Ours.
const GONE_MAX: usize = 20_000;

/// What a folder cannot do.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is no such folder, or no longer.
    #[error("no such folder")]
    NoSuchFolder,
    /// There is one already.
    #[error("the folder exists")]
    Exists,
    /// INBOX can be neither made nor removed.
    #[error("INBOX is always there")]
    Inbox,
    /// The name is none.
    #[error(transparent)]
    Name(#[from] super::name::BadName),
    /// Maildir has letters for so many keywords only.
    #[error("the folder has {} keywords, more cannot be told apart in file names", super::KEYWORDS_MAX)]
    Keywords,
    /// More would be noted about the account and its folders than we keep.
    #[error("too much is noted about this account and its mailboxes")]
    Metadata,
    /// All UIDs have been given.
    #[error("the folder has run out of UIDs")]
    NoUids,
    /// The mailbox's disk.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The tables'.
    #[error(transparent)]
    Table(#[from] EditError),
}

/// A folder that somebody looks at. All sessions of this process share it; it is closed with the last one.
pub struct Folder {
    pub(super) name: FolderName,
    pub(super) mailboxes: Mailboxes,
    pub(super) account: Arc<Account>,
    pub(super) places: Places,
    pub(super) state: Mutex<State>,
    /// Never waited for by who holds the state.
    pub(super) order: Mutex<Order>,
    pub(super) changed: watch::Sender<u64>,
    pub(super) ended: Arc<Ended>,
}

/// Whether a folder's end has been written into its cache: nobody else may open that before.
#[derive(Debug, Default)]
pub(super) struct Ended {
    has: Mutex<bool>,
    told: Condvar,
}

impl Ended {
    fn tell(&self) {
        *self.has.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }

    pub(super) fn is_over(&self) -> bool {
        *self.has.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end of a folder that nobody holds any more.
    pub(super) fn wait(&self) {
        let mut has = self.has.lock().unwrap_or_else(PoisonError::into_inner);
        while !*has {
            has = self.told.wait(has).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Where a folder is, absolute.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Where messages are: the directory for new ones first.
    pub(super) new: PathBuf,
    /// `None` for the INBOX of `-Mm`.
    pub(super) cur: Option<PathBuf>,
    /// Where messages are written.
    pub(super) tmp: PathBuf,
    pub(super) cache: PathBuf,
    /// INBOX: its flags' table. Others have their flags in file names.
    pub(super) flags_table: Option<PathBuf>,
    /// Others: which keywords the letters are.
    pub(super) keywords_table: Option<PathBuf>,
}

/// A message, as far as clients can change or sort it without reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageState {
    /// The UID.
    pub uid: u32,
    /// The mod-sequence of its last change.
    pub modseq: u64,
    /// The flags.
    pub flags: Flags,
    /// The keywords, by number in [`Folder::keywords`].
    pub keywords: KeywordSet,
    /// INTERNALDATE: seconds since 1970.
    pub internal_date: i64,
    /// Octets of the file, which differ from those that are sent where dots are stuffed or line ends are LF.
    pub file_bytes: u64,
}

/// The numbers of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub next_uid: u32,
    /// HIGHESTMODSEQ.
    pub highest_modseq: u64,
    /// MESSAGES.
    pub messages: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Whether the UIDs will be the same after a restart. Not while the disk takes no cache.
    pub keeps_uids: bool,
}

/// What has happened in a folder since some mod-sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// UIDs that are gone, ascending.
    pub gone: Vec<u32>,
    /// New and changed messages by UID.
    pub changed: Vec<MessageState>,
    /// Up to which mod-sequence this tells.
    pub highest_modseq: u64,
}

/// What is known.
#[derive(Debug)]
pub(super) struct State {
    pub(super) uid_validity: u32,
    pub(super) next_uid: u32,
    /// The greatest mod-sequence given.
    pub(super) modseq: u64,
    /// UIDs and mod-sequences below these may be given; `(0, 0)` before the first.
    pub(super) reserved: (u32, u64),
    /// By UID.
    pub(super) entries: Vec<Entry>,
    /// Counts how often a message turned out to say something else than before.
    pub(super) contents: u64,
    /// By the file name without flags.
    pub(super) by_base: HashMap<Box<str>, u32>,
    /// Oldest first.
    pub(super) gone: Vec<(u64, u32)>,
    /// Removals up to this mod-sequence may be forgotten.
    pub(super) gone_known_after: u64,
    pub(super) keywords: Vec<String>,
    pub(super) disk: Disk,
    pub(super) cache_path: PathBuf,
    /// `None` when none could be made.
    pub(super) cache: Option<Cache>,
    pub(super) keeping: Keeping,
    /// When a cache file that tells everything was last tried to be written.
    pub(super) tried: Option<Instant>,
    /// Whether the UIDVALIDITY is in the table of folders.
    pub(super) is_validity_saved: bool,
    pub(super) looked: Option<Looked>,
    /// The folder was removed or renamed.
    pub(super) is_gone: bool,
    /// The UIDs of some messages were given by names alone: their dates and sizes are found out when somebody asks.
    pub(super) is_unmeasured: bool,
    /// Messages below this UID were told to somebody who selected the folder for writing.
    pub(super) recent_from: u32,
}

/// How good the cache file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// It tells everything.
    Whole,
    /// Its limits hold, but it does not tell everything: it must not say that its end was orderly.
    Behind,
    /// There is none, as no limit could be put on stable storage: the UIDs end with this process.
    Not,
}

/// What the directories were like at the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) new: Option<SystemTime>,
    pub(super) cur: Option<SystemTime>,
    /// Modification, size and inode of the flags' table.
    pub(super) flags_table: Option<(SystemTime, u64, u64)>,
    /// Nothing can have happened at the times above after we looked.
    pub(super) is_settled: bool,
}

/// A message file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) state: MessageState,
    pub(super) is_in_cur: bool,
    /// 0 when it is not known: then the file's size and time are compared at the next look.
    pub(super) inode: u64,
    pub(super) file_name: Box<str>,
    pub(super) kept: KeptPlaces,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder")
            .field("account", &self.account.address())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Folder {
    /// The name it was opened by.
    pub fn name(&self) -> &FolderName {
        &self.name
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The numbers, as of the last look.
    pub fn status(&self) -> Status {
        let state = self.lock_names();
        let count = |wanted: fn(&MessageState) -> bool| {
            u32::try_from(state.entries.iter().filter(|entry| wanted(&entry.state)).count())
                .unwrap_or(u32::MAX)
        };
        Status {
            uid_validity: state.uid_validity,
            next_uid: state.next_uid,
            highest_modseq: state.modseq,
            messages: count(|_| true),
            unseen: count(|message| !message.flags.contains(Flags::SEEN)),
            deleted: count(|message| message.flags.contains(Flags::DELETED)),
            keeps_uids: state.keeping != Keeping::Not,
        }
    }

    /// The UIDs of all messages, as of the last look, and the mod-sequence up to which that is.
    pub fn uids(&self) -> (Vec<u32>, u64) {
        let state = self.lock_names();
        (state.entries.iter().map(|entry| entry.state.uid).collect(), state.modseq)
    }

    /// The UID of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<u32> {
        let state = self.lock_names();
        let is_unseen = |entry: &&Entry| !entry.state.flags.contains(Flags::SEEN);
        state.entries.iter().find(is_unseen).map(|entry| entry.state.uid)
    }

    /// All messages by UID, as of the last look, and the mod-sequence up to which that is.
    pub fn messages(&self) -> (Vec<MessageState>, u64) {
        let state = self.lock();
        (state.entries.iter().map(|entry| entry.state).collect(), state.modseq)
    }

    /// A message; `None` when it is gone.
    pub fn message(&self, uid: u32) -> Option<MessageState> {
        let state = self.lock();
        state.find(uid).map(|index| state.entries[index].state)
    }

    /// What has happened since `modseq`; `None` when that is too long ago to tell which messages are gone.
    pub fn changes_since(&self, modseq: u64) -> Option<Changes> {
        let mut state = self.lock_names();
        if modseq < state.gone_known_after {
            return None;
        }
        if modseq < state.modseq && state.is_unmeasured {
            self.measure(&mut state);
        }
        let first = state.gone.partition_point(|(at, _)| *at <= modseq);
        let mut gone: Vec<u32> = state.gone[first..].iter().map(|(_, uid)| *uid).collect();
        gone.sort_unstable();
        let changed = state.entries.iter().map(|entry| entry.state).filter(|message| message.modseq > modseq);
        Some(Changes { gone, changed: changed.collect(), highest_modseq: state.modseq })
    }

    /// From which UID on messages are recent (RFC 3501) for who selects the folder now; with `takes` they are for nobody else.
    /// It is forgotten with the folder.
    pub fn take_recent(&self, takes: bool) -> u32 {
        let mut state = self.lock_names();
        let from = state.recent_from;
        if takes {
            state.recent_from = state.next_uid;
        }
        from
    }

    /// The names of the keywords; [`KeywordSet`] counts them.
    pub fn keywords(&self) -> Vec<String> {
        self.lock_names().keywords.clone()
    }

    /// Counts the changes that were noticed; more may have happened in the directory ([`Folder::look`]).
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether the cache file is the one that is open, and the table's UIDVALIDITY ours.
    pub(super) fn is_current(&self, known_validity: u32) -> bool {
        let state = self.lock_names();
        let is_in_place = state.cache.as_ref().is_some_and(|cache| cache.is_in_place(&state.cache_path));
        // UIDs that no file knows end with those who have seen them.
        let keeps_uids = state.keeping != Keeping::Not && state.is_validity_saved;
        !state.is_gone && keeps_uids && state.uid_validity == known_validity && is_in_place
    }

    /// Everything that is known, dates and sizes of all files, too.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock_names();
        if state.is_unmeasured {
            self.measure(&mut state);
        }
        state
    }

    /// The same for those who need no dates and sizes: see [`State::is_unmeasured`].
    pub(super) fn lock_names(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.close();
        self.ended.tell();
    }
}

/// UIDs reserved at once: so many numbers are skipped after an end that was not orderly.
const RESERVE_UIDS: u32 = 1000;

/// Mod-sequences reserved at once.
const RESERVE_MODSEQS: u64 = 100_000;

/// Mod-sequences that one look may give: to what is gone, renamed, named by a table, and new; and one for its caller.
const MODSEQS_AT_ONCE: u64 = 8;

/// How long after a failure a new cache file is tried.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

impl State {
    pub(super) fn find(&self, uid: u32) -> Option<usize> {
        self.entries.binary_search_by_key(&uid, |entry| entry.state.uid).ok()
    }

    /// Makes sure that so many UIDs and some mod-sequences can be given: their limit is on stable storage. Where the disk
    /// takes none, the cache file is removed, for good: without it the next process gives a new UIDVALIDITY.
    ///
    /// # Errors
    /// [`FolderError::NoUids`]; the disk's, when not even that is possible: no UID may be given then.
    pub(super) fn reserve(&mut self, uids: u32) -> Result<(), FolderError> {
        let (Some(needed), needed_modseq) = (self.next_uid.checked_add(uids), self.modseq + MODSEQS_AT_ONCE)
        else {
            return Err(FolderError::NoUids);
        };
        if needed <= self.reserved.0 && needed_modseq <= self.reserved.1 {
            return Ok(());
        }
        let next_uid = needed.saturating_add(RESERVE_UIDS);
        let modseq = self.modseq + RESERVE_MODSEQS;
        let record = Record::Reserve { next_uid, modseq };
        if self.keeping != Keeping::Not
            && let Some(cache) = &mut self.cache
        {
            match cache.append(std::iter::once(&record)).and_then(|()| cache.sync()) {
                Ok(()) => {
                    self.reserved = (next_uid, modseq);
                    return Ok(());
                }
                Err(error) => {
                    tracing::warn!("{}: cannot be written: {error}", self.cache_path.display());
                    self.keeping = Keeping::Behind;
                }
            }
        }
        if self.cache.is_some() {
            Cache::remove(&self.disk, &self.cache_path)
                .map_err(MailboxError::on("remove", &self.cache_path))?;
        }
        (self.keeping, self.tried) = (Keeping::Not, Some(Instant::now()));
        self.reserved = (next_uid, modseq);
        Ok(())
    }

    /// Whether it is time to write a whole cache file.
    pub(super) fn wants_new_cache(&mut self) -> bool {
        let Self { keeping, cache, entries, .. } = &mut *self;
        match keeping {
            Keeping::Whole => cache.as_mut().is_some_and(|cache| {
                cache.is_worth_compacting(|| entries.iter().map(Entry::record_bytes).sum())
            }),
            _ => self.tried.is_none_or(|at| at.elapsed() > RETRY_INTERVAL),
        }
    }

    /// The octets at places in the cache, in this order; none of them when they cannot be read.
    pub(super) fn read_kept(&self, places: impl Iterator<Item = Place>) -> Vec<Vec<u8>> {
        let places: Vec<Place> = places.collect();
        self.cache.as_ref().and_then(|cache| cache.read_kept(&places).ok()).unwrap_or_default()
    }

    /// The next mod-sequence. [`State::reserve`] has seen to it.
    pub(super) fn next_modseq(&mut self) -> u64 {
        self.modseq += 1;
        self.modseq
    }

    /// Writes records down; without success the file is known not to tell everything.
    pub(super) fn write(&mut self, records: &[Record]) {
        let Some(cache) = self.cache.as_mut().filter(|_| self.keeping == Keeping::Whole) else { return };
        if records.is_empty() {
            return;
        }
        if let Err(error) = cache.append(records.iter()) {
            tracing::warn!("{}: cannot be written: {error}", self.cache_path.display());
            (self.keeping, self.tried) = (Keeping::Behind, Some(Instant::now()));
        }
    }

    /// Remembers a removal.
    pub(super) fn add_gone(&mut self, modseq: u64, uid: u32) {
        self.gone.push((modseq, uid));
        if self.gone.len() > GONE_MAX {
            let forgotten = self.gone.len() - GONE_MAX / 2;
            self.gone_known_after = self.gone[forgotten - 1].0;
            self.gone.drain(..forgotten);
        }
    }

    /// Everything as records, for a new cache file. What is kept is read while it is asked for.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let begin =
            Record::Begin { uid_validity: self.uid_validity, gone_known_after: self.gone_known_after };
        let reserve = Record::Reserve {
            next_uid: self.reserved.0.max(self.next_uid),
            modseq: self.reserved.1.max(self.modseq + 1),
        };
        [begin, reserve]
            .into_iter()
            .chain(self.gone.iter().map(|&(modseq, uid)| Record::Gone { uid, modseq }))
            .chain(self.entries.iter().map(Entry::record))
            .chain(self.kept_records(Kept::Head))
            .chain(self.kept_records(Kept::Fields))
    }

    fn kept_records(&self, kept: Kept) -> impl Iterator<Item = Record> {
        self.entries.chunks(HEADS_AT_ONCE).flat_map(move |entries| {
            let known = |entry: &Entry| Some((entry.state.uid, entry.kept.get(kept)?));
            let known: Vec<(u32, Place)> = entries.iter().filter_map(known).collect();
            let read = self.read_kept(known.iter().map(|(_, place)| *place));
            known.into_iter().zip(read).map(move |((uid, _), packed)| Record::Kept { kept, uid, packed })
        })
    }

    /// The orderly end.
    pub(super) fn close(&mut self) {
        if self.reserved == (0, 0) || self.is_gone {
            return;
        }
        let Some(cache) = self.cache.as_mut().filter(|_| self.keeping == Keeping::Whole) else { return };
        let record = Record::Closed { next_uid: self.next_uid, modseq: self.modseq + 1 };
        if let Err(error) = cache.append(std::iter::once(&record)) {
            tracing::warn!("{}: cannot be written: {error}", self.cache_path.display());
        }
    }
}

impl Entry {
    /// Octets of its records in the cache file, more or less.
    pub(super) fn record_bytes(&self) -> u64 {
        super::cache::message_bytes(&self.file_name) + self.kept.record_bytes()
    }

    pub(super) fn record(&self) -> Record {
        let state = &self.state;
        Record::Message(super::cache::Message {
            uid: state.uid,
            modseq: state.modseq,
            flags: state.flags.bits(),
            keywords: state.keywords.bits(),
            modified: state.internal_date,
            bytes: state.file_bytes,
            is_in_cur: self.is_in_cur,
            inode: self.inode,
            file_name: self.file_name.to_string(),
        })
    }
}
