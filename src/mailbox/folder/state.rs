//! An open folder: what is known of its messages, shared by all sessions that look at it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use super::cache::{Cache, Place, Record};
use super::flags::{Flags, KeywordSet};
use super::name::FolderName;
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
    pub(super) changed: watch::Sender<u64>,
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
    /// Octets of all files.
    pub file_bytes: u64,
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
    /// By the file name without flags.
    pub(super) by_base: HashMap<Box<str>, u32>,
    /// Oldest first.
    pub(super) gone: Vec<(u64, u32)>,
    /// Removals up to this mod-sequence may be forgotten.
    pub(super) gone_known_after: u64,
    pub(super) keywords: Vec<String>,
    pub(super) cache: Cache,
    /// The cache file tells everything; when it does not, it must not say that its end was orderly.
    pub(super) is_cache_whole: bool,
    pub(super) looked: Option<Looked>,
    /// The folder was removed or renamed.
    pub(super) is_gone: bool,
    /// Messages below this UID were told to somebody who selected the folder for writing.
    pub(super) recent_from: u32,
}

/// What the directories were like at the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) new: Option<SystemTime>,
    pub(super) cur: Option<SystemTime>,
    /// Modification and size of the flags' table.
    pub(super) flags_table: Option<(SystemTime, u64)>,
    /// Nothing can have happened at the times above after we looked.
    pub(super) is_settled: bool,
}

/// A message file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) state: MessageState,
    pub(super) is_in_cur: bool,
    pub(super) file_name: Box<str>,
    pub(super) head: Option<Place>,
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
        let state = self.lock();
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
            file_bytes: state.entries.iter().map(|entry| entry.state.file_bytes).sum(),
        }
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
        let state = self.lock();
        if modseq < state.gone_known_after {
            return None;
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
        let mut state = self.lock();
        let from = state.recent_from;
        if takes {
            state.recent_from = state.next_uid;
        }
        from
    }

    /// The names of the keywords; [`KeywordSet`] counts them.
    pub fn keywords(&self) -> Vec<String> {
        self.lock().keywords.clone()
    }

    /// Counts the changes that were noticed; more may have happened in the directory ([`Folder::look`]).
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
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
    }
}

/// UIDs reserved at once: so many numbers are skipped after an end that was not orderly.
const RESERVE_UIDS: u32 = 1000;

/// Mod-sequences reserved at once.
const RESERVE_MODSEQS: u64 = 100_000;

impl State {
    pub(super) fn find(&self, uid: u32) -> Option<usize> {
        self.entries.binary_search_by_key(&uid, |entry| entry.state.uid).ok()
    }

    /// Makes sure that so many UIDs and some mod-sequences can be given: their limit is on stable storage.
    pub(super) fn reserve(&mut self, uids: u32) -> Result<(), FolderError> {
        let (Some(needed), needed_modseq) = (self.next_uid.checked_add(uids), self.modseq + 2) else {
            return Err(FolderError::NoUids);
        };
        if needed <= self.reserved.0 && needed_modseq <= self.reserved.1 {
            return Ok(());
        }
        let next_uid = needed.saturating_add(RESERVE_UIDS);
        let modseq = self.modseq + RESERVE_MODSEQS;
        let record = Record::Reserve { next_uid, modseq };
        let written = self.cache.append(std::iter::once(&record)).and_then(|()| self.cache.sync());
        written.map_err(MailboxError::on("write", self.cache.path()))?;
        self.reserved = (next_uid, modseq);
        Ok(())
    }

    /// The next mod-sequence. [`State::reserve`] has seen to it.
    pub(super) fn next_modseq(&mut self) -> u64 {
        self.modseq += 1;
        self.modseq
    }

    /// Writes records down; without success the file is known not to tell everything.
    pub(super) fn write(&mut self, records: &[Record]) {
        if !self.is_cache_whole || records.is_empty() {
            return;
        }
        if let Err(error) = self.cache.append(records.iter()) {
            tracing::warn!("{}: cannot be written: {error}", self.cache.path().display());
            self.is_cache_whole = false;
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

    /// Everything as records, for a new cache file.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records = vec![
            Record::Begin { uid_validity: self.uid_validity, gone_known_after: self.gone_known_after },
            Record::Reserve {
                next_uid: self.reserved.0.max(self.next_uid),
                modseq: self.reserved.1.max(self.modseq + 1),
            },
        ];
        records.extend(self.gone.iter().map(|&(modseq, uid)| Record::Gone { uid, modseq }));
        for entry in &self.entries {
            records.push(entry.record());
            let packed = entry.head.and_then(|place| self.cache.read_head(place).ok());
            records.extend(packed.map(|packed| Record::Head { uid: entry.state.uid, packed }));
        }
        records
    }

    /// The orderly end.
    pub(super) fn close(&mut self) {
        if self.reserved == (0, 0) || !self.is_cache_whole || self.is_gone {
            return;
        }
        let record = Record::Closed { next_uid: self.next_uid, modseq: self.modseq + 1 };
        if let Err(error) = self.cache.append(std::iter::once(&record)) {
            tracing::warn!("{}: cannot be written: {error}", self.cache.path().display());
        }
    }
}

impl Entry {
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
            file_name: self.file_name.to_string(),
        })
    }
}
