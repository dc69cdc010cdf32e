//! Opening a folder, and looking at its directories: what came, what went, whose flags others have changed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bstr::ByteSlice;
use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;

use super::cache::{Cache, FILE_NAME, KeptPlaces, Loaded, Record};
use super::flags::{Flags, KEYWORDS_MAX, KeywordSet, from_letters, split};
use super::name::FolderName;
use super::several::several;
use super::state::{Entry, Folder, FolderError, Keeping, Looked, MessageState, Places, State};
use super::tree::Folders;
use crate::durable::Disk;
use crate::mailbox::{Kind, MailboxError, Mailboxes};
use crate::mailroot::folders::{ImapFlags, ImapKeywords};
use crate::mailroot::schema::tables::folders::{IMAPFLAGS, IMAPKEYWORDS};
use crate::mailroot::table::Table;
use crate::mailroot::{Account, MailRoot};

/// How long a directory may change without changing its time: file systems keep time in steps of a timer tick.
const TICK: Duration = Duration::from_millis(20);

impl Places {
    /// Where a folder of this name is.
    pub(super) fn of(mailboxes: &Mailboxes, account: &Account, name: &FolderName) -> Self {
        let top = mailboxes.directory(account);
        match name.directory_name() {
            Some(directory) => {
                let directory = top.join(directory);
                Self {
                    new: directory.join("new"),
                    cur: Some(directory.join("cur")),
                    tmp: directory.join("tmp"),
                    cache: directory.join(FILE_NAME),
                    flags_table: None,
                    keywords_table: Some(directory.join(IMAPKEYWORDS.name)),
                }
            }
            None => {
                let own = mailboxes.root.path().join(MailRoot::account_directory(account));
                Self {
                    new: mailboxes.inbox(account),
                    cur: (mailboxes.kind() == Kind::Maildir).then(|| top.join("cur")),
                    tmp: mailboxes.temporary_directory(account),
                    cache: own.join(FILE_NAME),
                    flags_table: Some(own.join(IMAPFLAGS.name)),
                    keywords_table: None,
                }
            }
        }
    }
}

/// When a file was written (seconds, nanoseconds since 1970), and its octets.
type Written = ((i64, i64), u64);

/// A new file, and its index.
type Arrived = (Written, usize);

/// Files that one thread looks at before it takes more.
const FILES_AT_ONCE: usize = 100;

/// The size, in a message's state and in the cache, of a file that nobody has looked at yet; its date is that of its name.
const UNMEASURED: u64 = u64::MAX;

/// So many new files are worth a thread that looks at them. Ours.
const FILES_EACH: usize = 1000;

/// A file that was found.
struct Found {
    file_name: String,
    is_in_cur: bool,
    inode: u64,
}

impl State {
    /// What the cache tells. Without one `new_validity` gives a new number and writes it down; where that fails, `spare` is
    /// taken, and the UIDs end with this process.
    pub(super) fn open(
        mailboxes: &Mailboxes,
        places: &Places,
        known_validity: u32,
        new_validity: impl FnOnce() -> Result<u32, FolderError>,
        spare: u32,
    ) -> Result<Self, FolderError> {
        let (disk, path) = (&mailboxes.disk, &places.cache);
        match Cache::open(disk, path) {
            Ok(Some((cache, loaded))) if loaded.uid_validity == known_validity => {
                return Ok(Self::from_cache(disk, path, cache, loaded));
            }
            Ok(_) => {}
            // The next attempt finds it in order.
            Err(error) if is_passing(&error) => return Err(MailboxError::on("open", path)(error).into()),
            // A cache is no reason to refuse a folder.
            Err(error) => tracing::warn!("{}: cannot be used: {error}", path.display()),
        }
        let made = new_validity().map(|uid_validity| (uid_validity, Cache::begin(disk, path, uid_validity)));
        Ok(match made {
            Ok((uid_validity, Ok(cache))) => Self::new(disk, path, Some(cache), uid_validity),
            Ok((uid_validity, Err(error))) => {
                tracing::warn!("{}: cannot be written: {error}", path.display());
                Self::new(disk, path, None, uid_validity)
            }
            Err(error) => {
                tracing::warn!("{}: no UIDVALIDITY can be written down: {error}", path.display());
                Self { is_validity_saved: false, ..Self::new(disk, path, None, spare) }
            }
        })
    }

    fn new(disk: &Disk, path: &Path, cache: Option<Cache>, uid_validity: u32) -> Self {
        Self {
            disk: disk.clone(),
            cache_path: path.to_owned(),
            keeping: if cache.is_some() { Keeping::Whole } else { Keeping::Not },
            tried: cache.is_none().then(Instant::now),
            is_validity_saved: true,
            uid_validity,
            next_uid: 1,
            modseq: 1,
            reserved: (0, 0),
            entries: Vec::new(),
            contents: 0,
            by_base: Default::default(),
            gone: Vec::new(),
            gone_known_after: 0,
            keywords: Vec::new(),
            cache,
            looked: None,
            is_gone: false,
            is_unmeasured: false,
            recent_from: 1,
        }
    }

    fn from_cache(disk: &Disk, path: &Path, cache: Cache, loaded: Loaded) -> Self {
        let entries: Vec<Entry> = loaded
            .messages
            .into_iter()
            .map(|message| Entry {
                state: MessageState {
                    uid: message.uid,
                    modseq: message.modseq,
                    flags: Flags::from_bits(message.flags),
                    keywords: KeywordSet::from_bits(message.keywords),
                    internal_date: message.modified,
                    file_bytes: message.bytes,
                },
                is_in_cur: message.is_in_cur,
                inode: message.inode,
                kept: loaded.kept.get(&message.uid).copied().unwrap_or_default(),
                file_name: message.file_name.into(),
            })
            .collect();
        let by_base =
            entries.iter().map(|entry| (split(&entry.file_name).0.into(), entry.state.uid)).collect();
        let is_unmeasured = entries.iter().any(|entry| entry.state.file_bytes == UNMEASURED);
        let highest = entries.iter().map(|entry| entry.state.uid).max().unwrap_or(0);
        Self {
            next_uid: loaded.next_uid.max(highest + 1),
            modseq: loaded.modseq.saturating_sub(1).max(1),
            recent_from: highest + 1,
            entries,
            by_base,
            gone: loaded.gone,
            gone_known_after: loaded.gone_known_after,
            is_unmeasured,
            ..Self::new(disk, path, Some(cache), loaded.uid_validity)
        }
    }
}

impl Folder {
    /// Looks at the directories if anything may have happened since the last look. What is new has its UID then.
    ///
    /// # Errors
    /// [`FolderError::NoSuchFolder`] when it was removed; the disk's: what was known stays.
    pub fn look(&self) -> Result<(), FolderError> {
        let mut state = self.lock_names();
        if self.look_with(&mut state)? {
            drop(state);
            self.tell();
        }
        Ok(())
    }

    /// As [`Folder::look`]; whether anything has happened.
    pub(super) fn look_with(&self, state: &mut State) -> Result<bool, FolderError> {
        if state.is_gone {
            return Err(FolderError::NoSuchFolder);
        }
        let looked = self.times()?;
        if state.looked.as_ref().is_some_and(|last| last.is_settled && last.is_same(&looked)) {
            return Ok(false);
        }
        let before = state.modseq;
        let mut found = self.files()?;
        if !looked.is_settled && state.misses_some_of(&found) {
            // A file that is renamed while its directory is read may be seen under neither name.
            found = self.files()?;
        }
        let has_news = state.has_news(&found);
        // One mod-sequence for each of what is gone, changed and new.
        if has_news && let Err(error) = state.reserve(state.room_for(&found)) {
            return self.show_what_is_known(state, error);
        }
        self.read_keywords(state);
        let (mut records, mut fresh, mut has_renamed) = (Vec::new(), Vec::new(), false);
        if has_news {
            records = self.take_gone(state, &mut found)?;
            let known_before = records.len();
            fresh = self.take_known(state, found, &mut records);
            // INBOX: a row may be about a new name, too.
            has_renamed = records.len() > known_before;
        }
        if (has_renamed || state.looked.as_ref().map(|last| last.flags_table) != Some(looked.flags_table))
            && let Err(error) = self.read_flags_table(state, &mut records)
        {
            // Nothing was written down yet: where something was, there is a reserve.
            return self.show_what_is_known(state, error);
        }
        let taken = self.take_new(state, fresh, &mut records);
        state.write(&records);
        match taken {
            Ok(()) => state.looked = Some(looked),
            Err(error) => drop(self.show_what_is_known(state, error)?),
        }
        self.name_letters(state);
        if state.wants_new_cache() {
            self.compact(state);
        }
        Ok(state.modseq != before)
    }

    /// While no UID and no mod-sequence can be given, clients see what they have seen; nothing of it can change on such a
    /// disk.
    fn show_what_is_known(&self, state: &mut State, error: FolderError) -> Result<bool, FolderError> {
        state.looked = None;
        self.read_keywords(state);
        if self.places.flags_table.is_some() {
            // The numbers of keywords are those of this process.
            let told = self.flags_rows(state);
            for entry in &mut state.entries {
                let named = self.told_by_name(&entry.file_name);
                let now = told.get(&*entry.file_name).copied().unwrap_or(named);
                (entry.state.flags, entry.state.keywords) = now;
            }
        }
        self.name_letters(state);
        match error {
            FolderError::Mailbox(error) => {
                tracing::warn!("{} {}: nothing new is shown: {error}", self.account.address(), self.name);
                Ok(false)
            }
            other => Err(other),
        }
    }

    /// The directories' times now, before they are read.
    pub(super) fn times(&self) -> Result<Looked, FolderError> {
        let time_of = |path: &Path| match fs::metadata(path) {
            Ok(meta) => Ok(meta.modified().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MailboxError::on("look at", path)(error)),
        };
        let new = time_of(&self.places.new)?;
        let cur = self.places.cur.as_deref().map(time_of).transpose()?.flatten();
        if new.is_none() && cur.is_none() && !self.name.is_inbox() {
            return Err(FolderError::NoSuchFolder);
        }
        let flags_table = self.places.flags_table.as_deref().and_then(version_of);
        let settled_before = SystemTime::now().checked_sub(TICK);
        let times = [new, cur, flags_table.map(|(time, ..)| time)];
        let is_settled =
            times.iter().flatten().all(|time| settled_before.is_some_and(|before| *time < before));
        Ok(Looked { new, cur, flags_table, is_settled })
    }

    /// Our own change of the directories is no news: what is there now counts as looked at, if nothing else had happened
    /// before it. What others did in the same instant is found at the next look after [`TICK`].
    pub(super) fn note_own_change(&self, state: &mut State, before: Option<Looked>) {
        let was_current =
            state.looked.as_ref().zip(before.as_ref()).is_some_and(|(last, now)| last.is_same(now));
        state.looked = match self.times() {
            Ok(now) if was_current => Some(Looked { is_settled: false, ..now }),
            _ => None,
        };
    }

    /// The times before a change of our own, for [`Folder::note_own_change`].
    pub(super) fn times_before(&self) -> Option<Looked> {
        self.times().ok()
    }

    fn files(&self) -> Result<Vec<Found>, FolderError> {
        let mut found = Vec::new();
        let directories =
            [Some((&self.places.new, false)), self.places.cur.as_ref().map(|path| (path, true))];
        for (path, is_in_cur) in directories.into_iter().flatten() {
            let entries = match fs::read_dir(path) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(MailboxError::on("read", path)(error).into()),
            };
            for entry in entries {
                let entry = entry.map_err(MailboxError::on("read", path))?;
                let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                let Ok(file_name) = entry.file_name().into_string() else { continue };
                if is_file && !file_name.starts_with('.') {
                    found.push(Found { file_name, is_in_cur, inode: entry.ino() });
                }
            }
        }
        Ok(found)
    }

    /// Takes out what is no longer there, or is another file of the same name: what XMail's queue puts in the place of a
    /// part that a crash has left, or what is still being written in its place by hand.
    fn take_gone(&self, state: &mut State, found: &mut [Found]) -> Result<Vec<Record>, FolderError> {
        if state.entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut gone: Vec<u32> = state.missing(found).collect();
        for file in found.iter() {
            let index = state.by_base.get(split(&file.file_name).0).and_then(|uid| state.find(*uid));
            let Some(index) = index.filter(|&index| state.entries[index].inode != file.inode) else {
                continue;
            };
            let path = self.directory(file.is_in_cur).join(&file.file_name);
            let meta = match fs::metadata(&path) {
                Ok(meta) => meta,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(MailboxError::on("look at", &path)(error).into()),
            };
            let entry = &mut state.entries[index];
            entry.inode = file.inode;
            if meta.len() != entry.state.file_bytes {
                gone.push(entry.state.uid);
            } else if meta.modified().ok().map(unix_secs) != Some(entry.state.internal_date) {
                // As long as before: a copy of the MailRoot, as a rule. What it says is read again.
                entry.kept = KeptPlaces::default();
                state.contents += 1;
            }
        }
        gone.sort_unstable();
        gone.dedup();
        Ok(state.take_out(&gone))
    }

    fn directory(&self, is_in_cur: bool) -> &Path {
        match &self.places.cur {
            Some(cur) if is_in_cur => cur,
            _ => &self.places.new,
        }
    }

    /// The flags a file's name tells. Letters of keywords mean something in folders only.
    pub(super) fn told_by_name(&self, file_name: &str) -> (Flags, KeywordSet) {
        let (_, flags, keywords) = split(file_name);
        (flags, if self.name.is_inbox() { KeywordSet::default() } else { keywords })
    }

    /// Letters that no table names have themselves as names: no new keyword gets such a letter.
    fn name_letters(&self, state: &mut State) {
        let used = state.entries.iter().map(|entry| entry.state.keywords);
        let last = used.fold(KeywordSet::default(), KeywordSet::union).indexes().last();
        while last.is_some_and(|last| state.keywords.len() <= last) {
            state.keywords.push(super::flags::letter_of(state.keywords.len()).to_string());
        }
    }

    /// Notes where known messages are now and what their names say; gives back the files that are new.
    fn take_known(&self, state: &mut State, found: Vec<Found>, records: &mut Vec<Record>) -> Vec<Found> {
        if state.entries.is_empty() {
            return found;
        }
        let mut fresh = Vec::new();
        let mut seen = HashSet::new();
        let modseq = state.modseq + 1;
        for file in found {
            let (base, ..) = split(&file.file_name);
            let Some(index) = state.by_base.get(base).and_then(|uid| state.find(*uid)) else {
                fresh.push(file);
                continue;
            };
            let entry = &mut state.entries[index];
            let is_same = *entry.file_name == *file.file_name && entry.is_in_cur == file.is_in_cur;
            if !seen.insert(entry.state.uid) || is_same {
                // Two files of one name, but for the flags, are one message.
                continue;
            }
            entry.is_in_cur = file.is_in_cur;
            let (flags, keywords) = self.told_by_name(&file.file_name);
            if (entry.state.flags, entry.state.keywords) != (flags, keywords) {
                (entry.state.flags, entry.state.keywords, entry.state.modseq) = (flags, keywords, modseq);
                state.modseq = modseq;
            }
            entry.file_name = file.file_name.into();
            records.push(entry.record());
        }
        fresh
    }

    /// Gives UIDs to new files, in the order in which they were written.
    fn take_new(
        &self,
        state: &mut State,
        fresh: Vec<Found>,
        records: &mut Vec<Record>,
    ) -> Result<(), FolderError> {
        if fresh.is_empty() {
            return Ok(());
        }
        let told = self.flags_rows(state);
        let by_names = if state.entries.is_empty() { in_order_of_names(&fresh) } else { None };
        let is_unmeasured = by_names.is_some();
        let mut arrived = by_names.map_or_else(|| self.arrived(&fresh), Ok)?;
        if arrived.is_empty() {
            return Ok(());
        }
        arrived.sort_unstable_by(|a, b| {
            let (one, other) = (&fresh[a.1].file_name, &fresh[b.1].file_name);
            a.0.0.cmp(&b.0.0).then_with(|| one.cmp(other))
        });
        state.reserve(u32::try_from(arrived.len()).map_err(|_| FolderError::NoUids)?)?;
        let modseq = state.next_modseq();
        state.entries.reserve(arrived.len());
        state.by_base.reserve(arrived.len());
        records.reserve(arrived.len());
        for ((modified, bytes), index) in arrived {
            let file = &fresh[index];
            let (base, ..) = split(&file.file_name);
            if state.by_base.contains_key(base) {
                // The second file of one name.
                continue;
            }
            let base = Box::from(base);
            let named = self.told_by_name(&file.file_name);
            let (flags, keywords) = told.get(&file.file_name).copied().unwrap_or(named);
            let message = MessageState {
                uid: 0,
                modseq,
                flags,
                keywords,
                internal_date: modified.0,
                file_bytes: bytes,
            };
            let entry = Entry {
                state: message,
                is_in_cur: file.is_in_cur,
                inode: file.inode,
                file_name: file.file_name.as_str().into(),
                kept: KeptPlaces::default(),
            };
            records.push(state.add(base, entry));
        }
        state.is_unmeasured = is_unmeasured;
        Ok(())
    }

    /// Finds out the dates and sizes that names did not tell, and writes them down.
    pub(super) fn measure(&self, state: &mut State) {
        let unmeasured = |entry: &Entry| entry.state.file_bytes == UNMEASURED;
        let indexes: Vec<usize> =
            (0..state.entries.len()).filter(|&index| unmeasured(&state.entries[index])).collect();
        let found = |&index: &usize| {
            let entry = &state.entries[index];
            let (is_in_cur, inode) = (entry.is_in_cur, entry.inode);
            Found { file_name: entry.file_name.to_string(), is_in_cur, inode }
        };
        let files: Vec<Found> = indexes.iter().map(found).collect();
        let arrived = match self.arrived(&files) {
            Ok(arrived) => arrived,
            Err(error) => {
                tracing::warn!("{} {}: {error}", self.account.address(), self.name);
                return;
            }
        };
        state.is_unmeasured = arrived.len() < files.len();
        if state.is_unmeasured {
            // What is missing has gone: the next look finds that out.
            state.looked = None;
        }
        let mut records = Vec::with_capacity(arrived.len());
        for ((modified, bytes), at) in arrived {
            let entry = &mut state.entries[indexes[at]];
            (entry.state.internal_date, entry.state.file_bytes) = (modified.0, bytes);
            records.push(entry.record());
        }
        state.write(&records);
    }

    /// Those of new files that are still there.
    fn arrived(&self, fresh: &[Found]) -> Result<Vec<Arrived>, FolderError> {
        let next = AtomicUsize::new(0);
        let look = || {
            let mut arrived = Vec::new();
            // Names are looked up from the directory on: from the root it takes twice as long.
            let mut open: [Option<File>; 2] = [None, None];
            loop {
                let from = next.fetch_add(FILES_AT_ONCE, Ordering::Relaxed);
                let Some(some) = fresh.get(from..) else { return Ok::<_, FolderError>(arrived) };
                for (index, file) in (from..).zip(some.iter().take(FILES_AT_ONCE)) {
                    arrived.extend(self.stat(file, &mut open)?.map(|written| (written, index)));
                }
                if some.is_empty() {
                    return Ok(arrived);
                }
            }
        };
        let arrived = several(fresh.len(), FILES_EACH, look).into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(arrived.into_iter().flatten().collect())
    }

    /// When a file was written and how long it is; `None` when it was taken away while we looked. `open` holds the directories.
    fn stat(&self, file: &Found, open: &mut [Option<File>; 2]) -> Result<Option<Written>, FolderError> {
        let path = self.directory(file.is_in_cur);
        let directory = match &mut open[usize::from(file.is_in_cur)] {
            Some(directory) => directory,
            none => none.insert(File::open(path).map_err(MailboxError::on("read", path))?),
        };
        match statat(&*directory, &*file.file_name, AtFlags::empty()) {
            Ok(stat) => {
                let modified = (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0));
                Ok(Some((modified, u64::try_from(stat.st_size).unwrap_or(0))))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(MailboxError::on("look at", &path.join(&file.file_name))(error.into()).into()),
        }
    }

    /// The flags of INBOX were edited, by somebody else or by us.
    fn read_flags_table(&self, state: &mut State, records: &mut Vec<Record>) -> Result<(), FolderError> {
        if self.places.flags_table.is_none() {
            return Ok(());
        }
        let told = self.flags_rows(state);
        let mut changed = Vec::new();
        for (index, entry) in state.entries.iter().enumerate() {
            let named = self.told_by_name(&entry.file_name);
            let now = told.get(&*entry.file_name).copied().unwrap_or(named);
            if (entry.state.flags, entry.state.keywords) != now {
                changed.push((index, now));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        state.reserve(0)?;
        let modseq = state.next_modseq();
        for (index, now) in changed {
            let entry = &mut state.entries[index];
            (entry.state.flags, entry.state.keywords) = now;
            entry.state.modseq = modseq;
            records.push(entry.record());
        }
        Ok(())
    }

    /// What the flags' table says of each file name.
    fn flags_rows(&self, state: &mut State) -> HashMap<String, (Flags, KeywordSet)> {
        let Some(path) = &self.places.flags_table else { return Default::default() };
        let table: ImapFlags = read_table(path);
        // Only the last row of a name counts: keywords of others take none of the few numbers.
        let last: HashMap<&[u8], usize> =
            table.rows().iter().enumerate().map(|(index, row)| (&*row.file, index)).collect();
        let mut told: HashMap<String, (Flags, KeywordSet)> = HashMap::with_capacity(last.len());
        for (index, row) in table.rows().iter().enumerate() {
            let Some(file_name) = row.file.to_str().ok().filter(|_| last.get(&*row.file) == Some(&index))
            else {
                continue;
            };
            let (flags, _) = from_letters(&row.letters);
            let mut keywords = KeywordSet::default();
            for keyword in &row.keywords {
                keywords =
                    keywords.union(state.keyword(keyword).map_or_else(KeywordSet::default, KeywordSet::one));
            }
            told.insert(file_name.to_owned(), (flags, keywords));
        }
        told
    }

    /// Which keywords the letters are; those nobody has named have their letter as name.
    fn read_keywords(&self, state: &mut State) {
        let Some(path) = &self.places.keywords_table else { return };
        let table: ImapKeywords = read_table(path);
        for row in table.rows() {
            let index = row.letter as usize - 'a' as usize;
            while state.keywords.len() <= index {
                let unnamed = super::flags::letter_of(state.keywords.len());
                state.keywords.push(unnamed.to_string());
            }
            state.keywords[index] = row.keyword.as_ref().to_owned();
        }
    }

    /// Writes the cache file anew; what is there stays when that fails.
    fn compact(&self, state: &mut State) {
        state.tried = Some(Instant::now());
        if !state.is_validity_saved {
            let folders = Folders::new(&self.mailboxes, &self.account);
            if let Err(error) = folders.write_validity(&self.name, state.uid_validity) {
                tracing::debug!("{}: {error}", self.name);
                return;
            }
            state.is_validity_saved = true;
        }
        let created = Cache::create(&self.mailboxes.disk, &self.places.cache, state.records());
        match created {
            Ok(_) => {
                // What is kept has moved.
                let reopened = Cache::open(&self.mailboxes.disk, &self.places.cache);
                if let Ok(Some((cache, loaded))) = reopened {
                    for entry in &mut state.entries {
                        entry.kept = loaded.kept.get(&entry.state.uid).copied().unwrap_or_default();
                    }
                    (state.cache, state.keeping) = (Some(cache), Keeping::Whole);
                }
            }
            Err(error) => tracing::warn!("{}: cannot be written: {error}", self.places.cache.display()),
        }
    }
}

/// The files as if they had been written when their names say so; `None` unless all names do, and where the files are few.
fn in_order_of_names(fresh: &[Found]) -> Option<Vec<Arrived>> {
    if fresh.len() < FILES_EACH {
        return None;
    }
    let arrived = |(index, file): (usize, &Found)| {
        let millis = time_in_name(&file.file_name)?;
        Some((((millis / 1000, millis % 1000), UNMEASURED), index))
    };
    fresh.iter().enumerate().map(arrived).collect()
}

/// The milliseconds since 1970 that a file name begins with: XMail's and ours with 13 digits, the seconds of other Maildirs
/// with 10; then a dot.
fn time_in_name(file_name: &str) -> Option<i64> {
    let (digits, _) = file_name.split_once('.')?;
    let is_number = digits.bytes().all(|octet| octet.is_ascii_digit());
    match digits.len() {
        13 if is_number => digits.parse().ok(),
        10 if is_number => digits.parse().ok().map(|secs: i64| secs * 1000),
        _ => None,
    }
}

impl State {
    /// The UIDs of messages whose files are not among these.
    fn missing(&self, found: &[Found]) -> impl Iterator<Item = u32> {
        let bases: HashSet<&str> = found.iter().map(|file| split(&file.file_name).0).collect();
        let entries = self.entries.iter().filter(move |entry| !bases.contains(split(&entry.file_name).0));
        entries.map(|entry| entry.state.uid)
    }

    fn misses_some_of(&self, found: &[Found]) -> bool {
        !self.entries.is_empty() && self.missing(found).next().is_some()
    }

    /// Whether the directories hold anything else than is known.
    fn has_news(&self, found: &[Found]) -> bool {
        let is_known = |file: &Found| {
            let uid = self.by_base.get(split(&file.file_name).0);
            let entry = uid.and_then(|uid| self.find(*uid)).map(|index| &self.entries[index]);
            entry.is_some_and(|entry| {
                *entry.file_name == *file.file_name
                    && (entry.is_in_cur, entry.inode) == (file.is_in_cur, file.inode)
            })
        };
        // No two files have both name and directory, so as many that are known are all that are known.
        found.len() != self.entries.len() || !found.iter().all(is_known)
    }

    /// UIDs that the new among these will need; none where there are not as many left.
    fn room_for(&self, found: &[Found]) -> u32 {
        let more = u32::try_from(found.len().saturating_sub(self.entries.len())).unwrap_or(0);
        self.next_uid.checked_add(more).map_or(0, |_| more)
    }

    /// Adds a message under the next UID, and says how to write it down.
    pub(super) fn add(&mut self, base: Box<str>, mut entry: Entry) -> Record {
        entry.state.uid = self.next_uid;
        self.next_uid += 1;
        self.by_base.insert(base, entry.state.uid);
        let record = entry.record();
        self.entries.push(entry);
        record
    }

    /// Takes messages out that are gone, under one mod-sequence, and says how to write that down.
    pub(super) fn take_out(&mut self, uids: &[u32]) -> Vec<Record> {
        if uids.is_empty() {
            return Vec::new();
        }
        let modseq = self.next_modseq();
        let gone: HashSet<u32> = uids.iter().copied().collect();
        let by_base = &mut self.by_base;
        self.entries.retain(|entry| {
            let stays = !gone.contains(&entry.state.uid);
            if !stays {
                by_base.remove(split(&entry.file_name).0);
            }
            stays
        });
        uids.iter().for_each(|&uid| self.add_gone(modseq, uid));
        uids.iter().map(|&uid| Record::Gone { uid, modseq }).collect()
    }

    /// The number of a keyword, new ones included; `None` when there are too many.
    pub(super) fn keyword(&mut self, name: &str) -> Option<usize> {
        let known = self.keywords.iter().position(|known| known.eq_ignore_ascii_case(name));
        known.or_else(|| {
            (self.keywords.len() < KEYWORDS_MAX).then(|| {
                self.keywords.push(name.to_owned());
                self.keywords.len() - 1
            })
        })
    }
}

impl Looked {
    fn is_same(&self, other: &Self) -> bool {
        (self.new, self.cur, self.flags_table) == (other.new, other.cur, other.flags_table)
    }
}

/// Modification, size and inode of a file; `None` when there is none.
fn version_of(path: &Path) -> Option<(SystemTime, u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

/// Whether an error says nothing about the file: no descriptors, no memory, interrupted.
fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR];
    Errno::from_io_error(error).is_some_and(|errno| passing.contains(&errno))
}

/// A table that is not there or cannot be read says nothing.
fn read_table<T: Table>(path: &Path) -> T {
    match fs::read(path) {
        Ok(bytes) => return T::load(path, &bytes).0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("{}: cannot be read: {error}", path.display()),
    }
    T::default()
}

/// Seconds since 1970.
pub(super) fn unix_secs(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    }
}
