//! The tables in memory: an immutable [`Snapshot`] of all root tables, and [`Tables`], which keeps it current.
//!
//! A table is read again when its file's stamp (inode, size, times) changes. Three ways lead there, all to the same
//! code: a change notice from the directory watch, the re-stat every [`RESTAT_INTERVAL`], and [`Tables::fresh`], which
//! sessions call at their beginning so that an edit finished before a client connects is seen by that client.
//!
//! What a file does to its table:
//!
//! | file | table |
//! | --- | --- |
//! | changed, reads well | replaced |
//! | changed, but empty, gone or without a final line end, less than [`QUIET`] ago | kept for now: an editor may be at work |
//! | the same, and quiet for [`QUIET`] | replaced; a missing file is an empty table |
//! | unreadable (a directory, no permission, I/O error) | kept, with a problem |
//!
//! The files of one domain or account (`user.tab`, `mailproc.tab`, ...) are read when they are asked for, through a
//! cache of at most [`CACHED_FILES_MAX`] files under the same rules.

use std::any::Any;
use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::MailRoot;
use super::access::{HostProperties, IpMap, IpProperties, SmtpRelay, SpamAddresses, Spammers};
use super::accounts::{AliasDomains, Aliases, Domains, ExtAliases, MailUsers};
use super::authentication::{CtrlAccounts, SmtpAuth, SmtpExtAuth};
use super::filters::{FilterProgram, FilterRules};
use super::links::Pop3Links;
use super::problem::{Problem, ProblemKind};
use super::routing::{SmtpFwd, SmtpGw};
use super::server_tab::ServerTab;
use super::table::Table;

/// How long a file that looks half-written must be quiet before it is taken as it is.
pub const QUIET: Duration = Duration::from_millis(250);

/// How often all root tables are re-stat'ed, for file systems without change notices.
pub const RESTAT_INTERVAL: Duration = Duration::from_secs(1);

/// How many files of single domains and accounts are kept in memory.
pub const CACHED_FILES_MAX: usize = 20_000;

/// A table with its file's stamp and problems. Dereferences to the table.
#[derive(Debug)]
pub struct Loaded<T> {
    table: Arc<T>,
    problems: Arc<[Problem]>,
    stamp: Option<Stamp>,
    digest: u64,
    suspect: Option<Suspect>,
}

/// A version of the file that looks half-written, and since when it has been seen like that. `None` is a file that
/// is gone.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    stamp: Option<Stamp>,
    since: Instant,
}

impl<T> Clone for Loaded<T> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            problems: Arc::clone(&self.problems),
            stamp: self.stamp,
            digest: self.digest,
            suspect: self.suspect,
        }
    }
}

impl<T> Deref for Loaded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.table
    }
}

impl<T> Loaded<T> {
    /// What is wrong with the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether the file exists.
    pub fn exists(&self) -> bool {
        self.stamp.is_some()
    }

    /// Whether the file is there but cannot be read. The table is then the last good one, or empty if there was
    /// none: a caller that would lose mail over it can wait instead.
    pub fn is_unreadable(&self) -> bool {
        self.problems.iter().any(|problem| matches!(problem.kind, ProblemKind::Unreadable(_)))
    }

    /// Whether the next look may find something new although the file's stamp stays as it is.
    fn is_unsettled(&self) -> bool {
        self.suspect.is_some() || self.stamp.is_some_and(|stamp| stamp.may_hide_a_change)
    }

    /// Whether readers see a difference: in rows, in problems, or in whether there is a file.
    fn differs_from(&self, other: &Self) -> bool {
        !Arc::ptr_eq(&self.table, &other.table)
            || !Arc::ptr_eq(&self.problems, &other.problems)
            || self.exists() != other.exists()
    }
}

impl<T: Table> Loaded<T> {
    fn empty() -> Self {
        Self {
            table: Arc::default(),
            problems: Arc::from([]),
            stamp: None,
            digest: digest(b""),
            suspect: None,
        }
    }

    fn first(root: &MailRoot, file: &Path) -> Self {
        let empty = Self::empty();
        empty.next(root, file, Haste::Now).unwrap_or(empty)
    }

    /// What this table becomes after a look at its file; `None` when nothing changed.
    ///
    /// The stamp is taken before the content: a write in between makes the next look see another stamp.
    fn next(&self, root: &MailRoot, file: &Path, haste: Haste) -> Option<Self> {
        let path = root.path().join(file);
        let stamp = match Stamp::of(&path) {
            Ok(stamp) => stamp,
            Err(error) => return self.unreadable(file, &error),
        };
        if stamp == self.stamp && !self.is_unsettled() && !self.is_unreadable() {
            return None;
        }
        let (stamp, bytes) = match stamp.map(|_| fs::read(&path)).transpose() {
            Ok(bytes) => (stamp, bytes.unwrap_or_default()),
            // Removed after the stamp was taken.
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, Vec::new()),
            Err(error) => return self.unreadable(file, &error),
        };
        if haste == Haste::WaitForQuiet && looks_half_written(stamp, &bytes) && !self.is_quiet(stamp) {
            return self.suspecting(stamp);
        }
        Some(self.taking(file, stamp, &bytes))
    }

    /// This content as a table. Content that is known already keeps its table, so that nothing is announced.
    fn taking(&self, file: &Path, stamp: Option<Stamp>, bytes: &[u8]) -> Self {
        let digest = digest(bytes);
        if digest == self.digest && !self.is_unreadable() {
            return Self { stamp, suspect: None, ..self.clone() };
        }
        let (table, problems) = T::load(file, bytes);
        Self { table: Arc::new(table), problems: problems.into(), stamp, digest, suspect: None }
    }

    /// A version is quiet when its last write is past, by the clock or because it has been seen unchanged for a
    /// while. The latter counts for files that are gone, and where the clock went backwards.
    fn is_quiet(&self, stamp: Option<Stamp>) -> bool {
        let was_gone = stamp.is_none() && self.stamp.is_none();
        let by_clock = stamp.is_some_and(|stamp| stamp.age() >= QUIET);
        let seen = self.suspect.is_some_and(|seen| seen.stamp == stamp && seen.since.elapsed() >= QUIET);
        was_gone || by_clock || seen
    }

    /// This table, kept while the file looks half-written; `None` when that is known already.
    fn suspecting(&self, stamp: Option<Stamp>) -> Option<Self> {
        let is_known = self.suspect.is_some_and(|seen| seen.stamp == stamp);
        let suspect = Some(Suspect { stamp, since: Instant::now() });
        (!is_known).then(|| Self { suspect, ..self.clone() })
    }

    /// This table, kept while the file cannot be read; `None` when that is known already.
    fn unreadable(&self, file: &Path, error: &io::Error) -> Option<Self> {
        let kind = ProblemKind::Unreadable(error.kind());
        let problem = Problem { file: file.to_owned(), line: 0, column: 0, kind };
        if self.problems.contains(&problem) {
            return None;
        }
        Some(Self { problems: Arc::from([problem]), suspect: None, ..self.clone() })
    }
}

fn looks_half_written(stamp: Option<Stamp>, bytes: &[u8]) -> bool {
    stamp.is_none() || bytes.last() != Some(&b'\n')
}

/// Tells contents apart; for equality in this process only.
fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Whether a file that looks half-written is taken at once or after it has been quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    Now,
    WaitForQuiet,
}

/// What tells one version of a file from the next.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    identity: (u64, u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    /// The file was written so shortly before this look that another write could carry the same time.
    may_hide_a_change: bool,
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        (self.identity, self.modified, self.changed) == (other.identity, other.modified, other.changed)
    }
}

/// Clock ticks of file systems are at most this coarse.
const TIMESTAMP_TICK: Duration = Duration::from_millis(20);

impl Stamp {
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !meta.is_file() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut stamp = Self {
            identity: (meta.dev(), meta.ino(), meta.size()),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            may_hide_a_change: false,
        };
        stamp.may_hide_a_change = stamp.age() < TIMESTAMP_TICK;
        Ok(Some(stamp))
    }

    /// How long ago the inode last changed; zero for times in the future.
    fn age(&self) -> Duration {
        let nanos = u32::try_from(self.changed.1).unwrap_or(0);
        let since_epoch = Duration::new(u64::try_from(self.changed.0).unwrap_or(0), nanos);
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since_epoch).unwrap_or_default()
    }
}

macro_rules! root_tables {
    ($($(#[$doc:meta])* $field:ident: $table:ty = $file:literal,)*) => {
        /// All root tables at one moment. Immutable; take one per command or mail transaction.
        #[derive(Clone, Debug)]
        pub struct Snapshot {
            root: MailRoot,
            generation: u64,
            files: Arc<FileCache>,
            $($(#[$doc])* pub $field: Loaded<$table>,)*
        }

        /// The names of all root tables, in the order of the snapshot's fields.
        pub const ROOT_TABLES: &[&str] = &[$($file),*];

        impl Snapshot {
            /// Reads every root table of `root`. Missing tables are empty; problems are in the tables.
            pub fn load(root: &MailRoot) -> Self {
                Self {
                    root: root.clone(),
                    generation: 1,
                    files: Arc::default(),
                    $($field: Loaded::first(root, Path::new($file)),)*
                }
            }

            /// The snapshot after a look at every file, and the tables in which readers see a difference.
            fn next(&self, haste: impl Fn(&str) -> Haste) -> Option<(Self, Vec<&'static str>)> {
                let mut next: Option<Self> = None;
                let mut changed = Vec::new();
                $(if let Some(loaded) = self.$field.next(&self.root, Path::new($file), haste($file)) {
                    if loaded.differs_from(&self.$field) {
                        changed.push($file);
                    }
                    next.get_or_insert_with(|| self.clone()).$field = loaded;
                })*
                next.map(|mut next| {
                    next.generation += u64::from(!changed.is_empty());
                    (next, changed)
                })
            }

            /// Whether another look soon may find something new although no file changes.
            pub(super) fn is_unsettled(&self) -> bool {
                $(self.$field.is_unsettled())||*
            }

            /// What is wrong with the root tables, in file order.
            pub fn problems(&self) -> impl Iterator<Item = &Problem> {
                let tables: Vec<&[Problem]> = vec![$(&self.$field.problems),*];
                tables.into_iter().flatten()
            }
        }
    };
}

root_tables! {
    /// `server.tab`.
    server: ServerTab = "server.tab",
    /// `domains.tab`.
    domains: Domains = "domains.tab",
    /// `aliasdomain.tab`.
    alias_domains: AliasDomains = "aliasdomain.tab",
    /// `mailusers.tab`.
    users: MailUsers = "mailusers.tab",
    /// `aliases.tab`.
    aliases: Aliases = "aliases.tab",
    /// `extaliases.tab`.
    ext_aliases: ExtAliases = "extaliases.tab",
    /// `pop3links.tab`.
    pop3_links: Pop3Links = "pop3links.tab",
    /// `smtpgw.tab`.
    smtp_gw: SmtpGw = "smtpgw.tab",
    /// `smtpfwd.tab`.
    smtp_fwd: SmtpFwd = "smtpfwd.tab",
    /// `smtprelay.tab`.
    smtp_relay: SmtpRelay = "smtprelay.tab",
    /// `spammers.tab`.
    spammers: Spammers = "spammers.tab",
    /// `spam-address.tab`.
    spam_addresses: SpamAddresses = "spam-address.tab",
    /// `smtp.ipmap.tab`.
    smtp_ipmap: IpMap = "smtp.ipmap.tab",
    /// `pop3.ipmap.tab`.
    pop3_ipmap: IpMap = "pop3.ipmap.tab",
    /// `ctrl.ipmap.tab`.
    ctrl_ipmap: IpMap = "ctrl.ipmap.tab",
    /// `finger.ipmap.tab`.
    finger_ipmap: IpMap = "finger.ipmap.tab",
    /// `smtp.ipprop.tab`.
    ip_properties: IpProperties = "smtp.ipprop.tab",
    /// `smtp.hnprop.tab`.
    host_properties: HostProperties = "smtp.hnprop.tab",
    /// `smtpauth.tab`.
    smtp_auth: SmtpAuth = "smtpauth.tab",
    /// `smtpextauth.tab`.
    smtp_ext_auth: SmtpExtAuth = "smtpextauth.tab",
    /// `ctrlaccounts.tab`.
    ctrl_accounts: CtrlAccounts = "ctrlaccounts.tab",
    /// `filters.in.tab`.
    filters_in: FilterRules = "filters.in.tab",
    /// `filters.out.tab`.
    filters_out: FilterRules = "filters.out.tab",
    /// `filters.post-rcpt.tab`.
    filters_post_rcpt: FilterProgram = "filters.post-rcpt.tab",
    /// `filters.pre-data.tab`.
    filters_pre_data: FilterProgram = "filters.pre-data.tab",
    /// `filters.post-data.tab`.
    filters_post_data: FilterProgram = "filters.post-data.tab",
}

impl Snapshot {
    /// The MailRoot these tables are from.
    pub fn root(&self) -> &MailRoot {
        &self.root
    }

    /// Grows by one whenever root tables change, in their rows or in their problems.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// A table of one domain or account, by its path relative to the MailRoot. The path must be built by
    /// [`MailRoot`], never from raw input.
    pub fn file<T: Table>(&self, relative: &Path) -> Loaded<T> {
        self.files.get(&self.root, relative)
    }
}

/// Tables of single domains and accounts, as last read.
#[derive(Debug, Default)]
struct FileCache {
    files: Mutex<HashMap<PathBuf, Arc<dyn Any + Send + Sync>>>,
}

impl FileCache {
    fn forget(&self, relative: &Path) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).remove(relative);
    }

    fn forget_all(&self) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get<T: Table>(&self, root: &MailRoot, relative: &Path) -> Loaded<T> {
        let known = {
            let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.get(relative).and_then(|any| Arc::clone(any).downcast::<Loaded<T>>().ok())
        };
        let next = match &known {
            Some(known) => known.next(root, relative, Haste::WaitForQuiet),
            None => Some(Loaded::first(root, relative)),
        };
        let Some(next) = next else { return known.map_or_else(Loaded::empty, |known| (*known).clone()) };
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= CACHED_FILES_MAX {
            // Dropping all at once keeps the bound without the bookkeeping of an eviction order.
            files.clear();
        }
        // An absent file costs one failing stat at the next look; remembering it would only fill the cache.
        if next.exists() || next.suspect.is_some() || !next.problems.is_empty() {
            files.insert(relative.to_owned(), Arc::new(next.clone()));
        } else {
            files.remove(relative);
        }
        next
    }
}

/// The live tables: hands out snapshots and replaces them when files change.
#[derive(Clone, Debug)]
pub struct Tables {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    current: ArcSwap<Snapshot>,
    reload: Mutex<()>,
    generation: watch::Sender<u64>,
}

impl Tables {
    /// Loads all root tables. Never fails: an empty directory is a server without domains.
    pub fn open(root: &MailRoot) -> Self {
        let snapshot = Snapshot::load(root);
        for problem in snapshot.problems() {
            tracing::warn!("{problem}");
        }
        let generation = watch::Sender::new(snapshot.generation());
        let current = ArcSwap::from_pointee(snapshot);
        Self { inner: Arc::new(Inner { current, reload: Mutex::new(()), generation }) }
    }

    /// The snapshot in use, without a look at the files.
    pub fn current(&self) -> Arc<Snapshot> {
        self.inner.current.load_full()
    }

    /// The snapshot after a look at every root table's file: about thirty `stat` calls.
    pub fn fresh(&self) -> Arc<Snapshot> {
        self.refresh(|_| Haste::WaitForQuiet)
    }

    /// Takes every changed file as it stands, finished or not (SIGHUP).
    pub fn reload_now(&self) -> Arc<Snapshot> {
        self.current().files.forget_all();
        self.refresh(|_| Haste::Now)
    }

    /// Takes one file, by its path relative to the MailRoot, as it stands: [`super::edit`] has just finished it.
    pub fn edited(&self, relative: &Path) -> Arc<Snapshot> {
        self.current().files.forget(relative);
        self.refresh(|name| if Path::new(name) == relative { Haste::Now } else { Haste::WaitForQuiet })
    }

    /// Announces the generation of each new snapshot.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    fn refresh(&self, haste: impl Fn(&str) -> Haste) -> Arc<Snapshot> {
        let _one_at_a_time = self.inner.reload.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        let Some((next, changed)) = current.next(haste) else { return current };
        for name in &changed {
            tracing::info!("{name} read again");
            super::tabindex::forget(next.root(), name);
        }
        let known: Vec<&Problem> = current.problems().collect();
        for problem in next.problems().filter(|problem| !known.contains(problem)) {
            tracing::warn!("{problem}");
        }
        let next = Arc::new(next);
        self.inner.current.store(Arc::clone(&next));
        let generation = next.generation();
        self.inner.generation.send_if_modified(|known| std::mem::replace(known, generation) != generation);
        next
    }
}

#[cfg(test)]
mod tests;
