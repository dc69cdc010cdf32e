//! The tables in memory: an immutable [`Snapshot`] of all root tables, and [`Tables`], which keeps it current.
//!
//! A table is read again when its file's stamp (inode, size, times) changes. Three ways lead there, all to the same
//! code: a change notice from the directory watch, the re-stat every [`RESTAT_INTERVAL`], and [`Tables::fresh`], which
//! sessions call at their beginning so that an edit finished before a client connects is seen by that client. Where
//! the system tells of every change the last of these is one system call (`notices`).
//!
//! What a file does to its table:
//!
//! | file | table |
//! | --- | --- |
//! | changed, reads well | replaced |
//! | changed, but empty, gone or without a final line end, less than [`QUIET`] ago | kept for now: an editor may be at work |
//! | the same for 4096 bytes or more that were rewritten in place or are in a new file, and not merely appended | kept for now |
//! | the same, and quiet for [`QUIET`] | replaced; a missing file is an empty table |
//! | changed, and has an error that the version in service does not have | kept; the new version is *rejected* |
//! | one of [`VITAL_TABLES`], gone or emptied for [`QUIET`] | kept, with a problem |
//! | unreadable (a directory, no permission, a link to itself, I/O error, more than [`TABLE_BYTES_MAX`]) | kept, with a problem |
//!
//! At the start, and for a file that comes where there was none, there is nothing to keep: what is usable is taken, as
//! XMail does. A rejected version is looked at again when its file changes. [`Tables::reload_now`] (SIGHUP) takes
//! half-written files as they are, but rejects as well; [`Tables::force`] takes what can be read.
//!
//! The files of one domain or account (`user.tab`, `mailproc.tab`, ...) are read when they are asked for, through a
//! cache of at most [`CACHED_FILES_MAX`] files under the same rules. One that left the cache is new to it.
//!
//! Only one thread reads changed tables; sessions that come meanwhile wait for it, at most [`FRESH_WAIT_MAX`], and go
//! on with the tables in service then.

mod files;
mod loaded;
mod notices;
mod stamp;
mod status;

use std::fmt;
use std::mem;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::MailRoot;
use super::access::{HostProperties, IpMap, IpProperties, SmtpRelay, SpamAddresses, Spammers};
use super::accounts::{AliasDomains, Aliases, Domains, ExtAliases, MailUsers};
use super::authentication::{CtrlAccounts, SmtpAuth, SmtpExtAuth};
use super::filters::{FilterProgram, FilterRules};
use super::groups::GroupNames;
use super::links::Pop3Links;
use super::problem::Problem;
use super::routing::{SmtpFwd, SmtpGw};
use super::rules::Rules;
use super::server_tab::ServerTab;
use super::table::Table;
use super::webadmin::WebAdmins;
use files::FileCache;
pub use files::{CACHED_BYTES_MAX, CACHED_FILES_MAX, Observer};
pub use loaded::Loaded;
use loaded::{Found, Haste, Taken};
use notices::Notices;
pub use stamp::TABLE_BYTES_MAX;
pub use status::{TableState, TableStatus, brief};

/// How long a file that looks half-written must be quiet before it is taken as it is.
pub const QUIET: Duration = Duration::from_millis(250);

/// How often all root tables are re-stat'ed, for file systems without change notices.
pub const RESTAT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a session waits at its beginning for tables that another thread is reading. Ours: many times what the
/// largest usual table takes.
pub const FRESH_WAIT_MAX: Duration = Duration::from_secs(1);

/// Without these no mail is taken. Gone or emptied under a running server, they are an accident: a full disk, a
/// command in the wrong directory.
pub const VITAL_TABLES: &[&str] = &["server.tab", "domains.tab", "mailusers.tab"];

/// How many problems of one file a look writes to the log.
const LOGGED_PROBLEMS_MAX: usize = 20;

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
                    $($field: Loaded::first(root, Path::new($file)).loaded,)*
                }
            }

            /// The tables as their files are: those in use that are so are shared, only the others are read anew.
            pub fn as_on_disk(&self) -> Self {
                Self {
                    root: self.root.clone(),
                    generation: self.generation,
                    files: Arc::default(),
                    $($field: match self.$field.is_live() {
                        true => self.$field.clone(),
                        false => Loaded::first(&self.root, Path::new($file)).loaded,
                    },)*
                }
            }

            /// The snapshot after a look at every file, and what happened to which table.
            fn next(&self, haste: impl Fn(&str) -> Haste) -> Option<(Self, Look)> {
                let mut next: Option<Self> = None;
                let mut look = Look::default();
                $(let found = self.$field.next(&self.root, Path::new($file), haste($file));
                if let Some(Found { loaded, accepted }) = found {
                    if loaded.differs_from(&self.$field) {
                        look.changed.push($file);
                    }
                    if loaded.is_rejected() && loaded.differs_from(&self.$field) {
                        look.rejected.push($file);
                    }
                    look.accepted.extend(accepted.map(|taken| Accepted { file: $file, taken }));
                    next.get_or_insert_with(|| self.clone()).$field = loaded;
                })*
                next.map(|mut next| {
                    next.generation += u64::from(!look.changed.is_empty());
                    (next, look)
                })
            }

            /// Whether a look would find nothing new: one `stat` per table.
            fn is_current(&self) -> bool {
                $(self.$field.is_current(&self.root, Path::new($file)))&&*
            }

            /// How each root table stands.
            fn root_status(&self) -> Vec<TableStatus> {
                vec![$(self.$field.status(Path::new($file))),*]
            }

            /// Whether another look soon may find something new although no file changes.
            pub(super) fn is_unsettled(&self) -> bool {
                $(self.$field.is_unsettled())||*
            }

            /// What is wrong with the root tables, in file order.
            pub fn problems(&self) -> impl Iterator<Item = &Problem> {
                let tables: Vec<&[Problem]> = vec![$(self.$field.problems()),*];
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
    /// `imap.ipmap.tab`.
    imap_ipmap: IpMap = "imap.ipmap.tab",
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
    /// `webadmin.tab`.
    web_admins: WebAdmins = "webadmin.tab",
    /// `filters.in.tab`.
    filters_in: FilterRules = "filters.in.tab",
    /// `filters.out.tab`.
    filters_out: FilterRules = "filters.out.tab",
    /// `rules.tab`.
    rules: Rules = "rules.tab",
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

    /// The names of groups, as last read.
    pub(super) fn group_names(&self) -> &GroupNames {
        &self.files.group_names
    }
}

/// A version of a root table that was taken into service.
#[derive(Debug)]
struct Accepted {
    /// The file's name in the MailRoot.
    file: &'static str,
    /// Its content, and the one before.
    taken: Taken,
}

/// What a look at the files has found.
#[derive(Debug, Default)]
struct Look {
    changed: Vec<&'static str>,
    rejected: Vec<&'static str>,
    accepted: Vec<Accepted>,
}

/// The live tables: hands out snapshots and replaces them when files change.
#[derive(Clone, Debug)]
pub struct Tables {
    inner: Arc<Inner>,
}

struct Inner {
    current: ArcSwap<Snapshot>,
    notices: Notices,
    /// Whether a thread is looking at the files.
    is_looking: Mutex<bool>,
    looked: Condvar,
    generation: watch::Sender<u64>,
    /// What the observer has not been told yet, oldest first.
    accepted: Mutex<Vec<Accepted>>,
    telling: Mutex<()>,
    opened: Instant,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").field("root", self.current.load().root()).finish_non_exhaustive()
    }
}

impl Tables {
    /// Loads all root tables. Never fails: an empty directory is a server without domains.
    pub fn open(root: &MailRoot) -> Self {
        let notices = Notices::of(root.path());
        let snapshot = Snapshot::load(root);
        for name in ROOT_TABLES {
            log(snapshot.problems().filter(|problem| problem.file == Path::new(name)));
        }
        let generation = watch::Sender::new(snapshot.generation());
        Self {
            inner: Arc::new(Inner {
                current: ArcSwap::from_pointee(snapshot),
                notices,
                is_looking: Mutex::default(),
                looked: Condvar::new(),
                generation,
                accepted: Mutex::default(),
                telling: Mutex::default(),
                opened: Instant::now(),
            }),
        }
    }

    /// How long ago the tables were opened: the server's uptime.
    pub fn age(&self) -> Duration {
        self.inner.opened.elapsed()
    }

    /// The snapshot in use, without a look at the files.
    pub fn current(&self) -> Arc<Snapshot> {
        self.inner.current.load_full()
    }

    /// The snapshot in use if no root table can have changed since the last look: [`Tables::fresh`] without waiting. One
    /// system call.
    pub fn unchanged(&self) -> Option<Arc<Snapshot>> {
        // In this order: a snapshot that comes after the answer is only newer.
        self.inner.notices.is_quiet().then(|| self.current())
    }

    /// The snapshot after a look at every root table's file, or without one where the system can tell that none has
    /// changed.
    pub fn fresh(&self) -> Arc<Snapshot> {
        self.unchanged().unwrap_or_else(|| self.look())
    }

    /// The snapshot after a look at every root table's file: about thirty `stat` calls. While another thread reads large
    /// tables this waits at most [`FRESH_WAIT_MAX`], and gives the snapshot in use then.
    pub(super) fn look(&self) -> Arc<Snapshot> {
        let before = self.inner.notices.before();
        let current = self.current();
        if current.is_current() {
            if !current.is_unsettled() {
                self.inner.notices.looked(before, current.root().path());
            }
            return current;
        }
        self.refresh(Some(FRESH_WAIT_MAX), |_| Haste::WaitForQuiet)
    }

    /// Takes every changed file as it stands, finished or not (SIGHUP), unless it brings errors.
    pub fn reload_now(&self) -> Arc<Snapshot> {
        self.current().files.hurry();
        self.refresh(None, |_| Haste::Now)
    }

    /// Takes every changed file that can be read, whatever errors it brings.
    pub fn force(&self) -> Arc<Snapshot> {
        self.current().files.forget_all();
        self.refresh(None, |_| Haste::Force)
    }

    /// Takes one file, by its path relative to the MailRoot, as it stands, errors included: [`super::edit`] has just
    /// finished it, from a file that was not rejected, and CTRL writes what XMail would (golden `ctrl_commands`).
    pub fn edited(&self, relative: &Path) -> Arc<Snapshot> {
        self.current().files.forget(relative);
        self.refresh(
            None,
            |name| {
                if Path::new(name) == relative { Haste::Force } else { Haste::WaitForQuiet }
            },
        )
    }

    /// Tells `observer` of each version of a file that is taken from now on: root tables in order, while no lock of
    /// ours is held that a session could wait for; files of single domains and accounts as they are read; and our own
    /// edits. The first observer stays.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        // A second one is a mistake of the composition; it changes nothing.
        let _ = self.current().files.observer.set(observer);
    }

    /// Who is told.
    pub(super) fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.current().files.observer.get().cloned()
    }

    /// Announces the generation of each new snapshot.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    /// How each root table stands, then the files of single domains and accounts that are not in order, as far as
    /// they have been used.
    pub fn status(&self) -> Vec<TableStatus> {
        let current = self.current();
        let mut found = current.root_status();
        found.extend(current.files.faulty());
        found
    }

    /// The first problem because of which the file is not taken as it is now; `None` when it is in order or never
    /// was in use.
    pub fn rejection(&self, relative: &Path) -> Option<Problem> {
        let rejected = |status: &TableStatus| status.file == relative && status.state.is_kept();
        self.status().into_iter().find(rejected).and_then(|status| status.problems.into_iter().next())
    }

    fn refresh(&self, patience: Option<Duration>, haste: impl Fn(&str) -> Haste) -> Arc<Snapshot> {
        let next = {
            let Some(_turn) = self.turn(patience) else { return self.current() };
            let current = self.current();
            let Some((next, look)) = current.next(haste) else { return current };
            self.put(&current, next, look)
        };
        self.tell();
        next
    }

    fn put(&self, current: &Snapshot, next: Snapshot, look: Look) -> Arc<Snapshot> {
        for name in &look.changed {
            match look.rejected.contains(name) {
                true => tracing::error!("{name}: the new content is not taken; the old table stays in use"),
                false => tracing::info!("{name} read again"),
            }
            super::tabindex::forget(next.root(), name);
            let known: Vec<&Problem> = of_file(current, name).collect();
            log(of_file(&next, name).filter(|problem| !known.contains(problem)));
        }
        let next = Arc::new(next);
        self.inner.current.store(Arc::clone(&next));
        self.inner.notices.disturb();
        if self.observer().is_some() {
            self.inner.accepted.lock().unwrap_or_else(PoisonError::into_inner).extend(look.accepted);
        }
        let generation = next.generation();
        self.inner.generation.send_if_modified(|known| mem::replace(known, generation) != generation);
        next
    }

    /// Tells the observer what it has not been told; whoever holds `telling` tells for all.
    fn tell(&self) {
        let Some(observer) = self.observer() else { return };
        let _in_order = self.inner.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = mem::take(&mut *self.inner.accepted.lock().unwrap_or_else(PoisonError::into_inner));
        accepted
            .iter()
            .for_each(|one| observer.accepted(Path::new(one.file), &one.taken.before, &one.taken.bytes));
    }

    /// The right to look at the files; `None` when another thread has had it for all of `patience`.
    fn turn(&self, patience: Option<Duration>) -> Option<Turn<'_>> {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut is_looking = self.inner.is_looking.lock().unwrap_or_else(PoisonError::into_inner);
        while *is_looking {
            let Some(until) = until else {
                is_looking = self.inner.looked.wait(is_looking).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.checked_duration_since(Instant::now())?;
            let waited = self.inner.looked.wait_timeout(is_looking, left);
            is_looking = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *is_looking = true;
        Some(Turn { tables: self })
    }
}

/// Held by the one thread that looks at the files.
struct Turn<'a> {
    tables: &'a Tables,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let inner = &self.tables.inner;
        *inner.is_looking.lock().unwrap_or_else(PoisonError::into_inner) = false;
        inner.looked.notify_one();
    }
}

fn of_file<'a>(snapshot: &'a Snapshot, name: &str) -> impl Iterator<Item = &'a Problem> {
    snapshot.problems().filter(move |problem| problem.file == Path::new(name))
}

/// Writes the problems of one file to the log, the first ones by line and the rest as a number.
fn log<'a>(problems: impl Iterator<Item = &'a Problem>) {
    let mut problems = problems.fuse();
    problems.by_ref().take(LOGGED_PROBLEMS_MAX).for_each(|problem| tracing::warn!("{}", brief(problem)));
    if let Some(next) = problems.next() {
        tracing::warn!("{}: {} more problems", next.file.display(), 1 + problems.count());
    }
}

#[cfg(test)]
mod tests;
