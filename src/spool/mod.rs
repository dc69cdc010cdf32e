//! The spool: mail that we answered for and have not delivered yet, in XMail's layout (`mailroot.md` 16), behind a
//! journal.
//!
//! New mail goes to the *journal* (`spool/.journal/`, one record for all recipients) and waits in memory for its first
//! attempt. What is delivered by that attempt never gets a spool file. What is not (put off, frozen, needed as a file by
//! a program, waiting for more than a few seconds, or too large or too much to be held in memory) is a spool file, as
//! everything is when `SpoolJournal` is off: one message for one recipient. It lives in a *split directory*
//! `spool/<a>/<b>/` chosen for its whole life, under one name, and its state is the sub-directory that holds it:
//!
//! | state | journal | `temp` | `mess` | `rsnd` | `froz` | `slog` | `mprc` `cust` |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | journaled: ready, or in its first attempt | x | | | | | | |
//! | in a mailbox, which is not synced yet | x | | | | | | |
//! | arriving as a file | | x | | | | | |
//! | ready, never tried | | | x | | | | |
//! | first attempt | | | x | | | x | maybe |
//! | waiting for a retry, or in one | | | | x | | x | maybe |
//! | frozen | | | | | x | x | |
//! | gone | | | | | | | |
//!
//! # The contract
//!
//! **250 means** that the message is on stable storage for every recipient: its record was written and synced
//! (fdatasync of a preallocated file), or its files and their directory entries were. This holds for SMTP, for the
//! removal of a file from `spool/local` (pickup), for the deletion of mail on a remote POP3 server (PSYNC), and for
//! notices, redirects and list copies, which all enter by [`Spool::submit`].
//!
//! | step | in this order | a crash in the middle leaves | who cleans |
//! | --- | --- | --- | --- |
//! | [`Spool::submit`], journal | write the records of all who wait; fdatasync; **250** | a record that is torn: ignored, never answered for; a whole one without a 250: delivered, and the client sends again | [`Spool::open`] replays |
//! | the same, files | each recipient: write `temp`, sync it; then each: rename to `mess`; sync `mess`; **250** | files in `temp`: never answered for; files in `mess` without a 250: as above | [`Spool::open`] empties `temp` |
//! | [`Attempt::delivered`] | write the mailbox file, rename it into the mailbox; append the mark *delivered* with its path, size and checksum; none of it synced | a record without its mark: given a spool file, and the mailbox looked at; with its mark: the file checked, and the message given a spool file when it is not there or not whole | [`Spool::open`] |
//! | checkpoint | all of a segment has its end; the mailboxes' file systems are synced; the watermark is raised and synced; then the segment's slot is used again | nothing, or a segment whose messages are all done | [`Spool::open`] |
//! | a journaled message gets its file | slog; write `temp`, sync; rename to `mess`, `rsnd` or `froz`; sync the directory; append the mark *over*, synced soon | file and record both: the file counts | [`Spool::open`] |
//! | [`Attempt::remove`], journaled | append the mark *over*, synced soon | a record without its mark: the attempt is made again | the attempt |
//! | [`Spool::close`] | spool files for all that wait; mailboxes synced; journal removed | the journal, once more | [`Spool::open`] |
//! | replay | `temp` written, all synced; renamed to `mess`, all synced; journal removed; only then deliveries begin | the journal, once more | [`Spool::open`] |
//! | [`Attempt::begin`] | append `[PeekTime]` to `slog` | an attempt counted that did nothing | nobody needs to |
//! | [`Attempt::retry`] | append the entry to `slog`; rename to `rsnd` | a message in `mess` with a `slog`: its attempts are counted all the same | nobody needs to |
//! | [`Attempt::keep_copy`] | copy to `temp`; a program works on the message; copy removed, or renamed back | what the program left, and the copy in `temp` | [`Spool::open`] empties `temp`, and removes a `.rej` beside its message |
//! | [`Attempt::freeze`] | rename to `froz`; remove `mprc`, `cust` | a frozen message with a command file | [`Spool::open`] |
//! | [`Attempt::remove`], file | remove the message; sync; then `slog`, `mprc`, `cust`, `info` | a `slog` without its message | [`Spool::open`] |
//!
//! **A disk that refuses.** A batch that cannot be written or synced is answered 4yz as a whole and overwritten with
//! zeros before anything else is written. Where the journal has no room (full disk, no slot), the spool files are tried.
//! What a refused submission or a refused spool file has left under a visible name is removed as soon as that is possible,
//! before anything could deliver it. A message whose delivery is over, but whose file cannot be removed or moved to `froz`,
//! waits for that only: it is not delivered again, nor its sender told again, unless the process ends meanwhile.
//! A mailbox file system whose sync fails gets its new files once more, each synced; until that works the segment stays.
//!
//! **Damage.** A record that cannot be read although a later batch says it was synced is reported, and its segment kept
//! aside as `spool/.journal/damaged-...`; everything that can be read is delivered. A last record that cannot be read
//! cannot be told from a torn one.
//!
//! **Delivered twice?** At least once, and exactly once but for these windows:
//! - *no 250 heard*: the machine, the process or the line stops between our sync and the client's reading of 250: the
//!   client sends again (every SMTP server).
//! - *remote*: the process stops between the remote server's 250 and our mark on stable storage (a few milliseconds).
//! - *local*: a mailbox has the message under its spool name, so the delivery of a message that a crash brought back
//!   finds it (in `new`, or in `cur` with flags behind it), compares it, and keeps it or, where the crash left a part,
//!   replaces it. Twice only when the owner took and deleted the mail before the crash: by our POP3 or IMAP and
//!   before its QUIT or EXPUNGE was answered ([`Spool::taken`]), or while the disk refused the journal; by another program
//!   within the seconds until the checkpoint. What is taken after the crash, while its delivery still waits to be made
//!   sure of, does not come back (`mailbox::removed`), unless another crash comes before that delivery, or another program
//!   took it.
//! - *lists, redirects, notices*: the process stops between the submission of the copies and the mark of the original.
//!   For these and for *remote* the window lasts as long as a disk refuses that mark.
//!
//! Going back to XMail needs a clean stop, or `tabmail recover` after a crash: XMail does not look at the journal.
//!
//! Delivery of the first attempt starts at once, a retry at its exact time (decision 24). The times are XMail's
//! ([`schedule`]). All numeric split directories are scanned at the start, also above `-Mx` (decision 48).
//!
//! Calls that touch the disk block; callers on async threads use `spawn_blocking`. [`Spool::submit`] only waits.

mod attempt;
mod data;
mod file;
mod frozen;
mod held;
pub mod inspect;
mod intake;
mod journal;
mod kept;
mod leftovers;
mod name;
mod number;
mod outbox;
mod recovery;
pub mod schedule;
pub mod slog;
#[cfg(test)]
mod tests;
mod withdraw;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use attempt::{Attempt, Private};
pub use data::{Draft, MEMORY_BYTES_MAX, MailData};
pub use file::{BadHeader, BadSpoolFile, HEADER_BYTES_MAX, HEADER_LINE_BYTES_MAX, Header, SpoolFile};
pub use frozen::FrozenMessage;
pub use intake::NewMessage;
pub use journal::{Sizes as JournalSizes, Stored};
pub use kept::KeptCopy;
pub use name::{Name, Place};
pub use number::{MessageNumber, Origin};
pub use outbox::{Lane, Limits, Outbox};
pub use recovery::Recovery;
pub use schedule::RetryPlan;

use crate::clock::Clock;
use crate::durable::Disk;
use crate::mailroot::MailRoot;

/// The default of `-Mx`: split levels of the spool before it is raised to a prime.
pub const SPLIT_LEVELS: u32 = 23;

/// The journal's directory in `spool/`.
const JOURNAL: &str = ".journal";

/// How a [`Spool`] is set up.
#[derive(Clone)]
pub struct Config {
    /// Where `spool/` and `message.id` are.
    pub root: MailRoot,
    /// `-Mx`: new messages go to one of `split_levels`² directories; raised to the next prime.
    pub split_levels: u32,
    /// `-Qt`, `-Qi`, `-Qr`.
    pub retry: RetryPlan,
    /// How many deliveries run at once.
    pub limits: Limits,
    /// Which lane of the outbox a recipient goes to; asked once per message and start.
    pub lane_of: Arc<dyn Fn(&str) -> Lane + Send + Sync>,
    /// The journal in front of the spool files; `None`: every message gets its spool file at once.
    pub journal: Option<JournalSizes>,
    /// The disk.
    pub disk: Disk,
    /// The time.
    pub clock: Clock,
}

/// The queue storage: intake at its front, [`Outbox`] at its back.
#[derive(Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

/// What intake, outbox and attempts share.
struct Shared {
    config: Config,
    names: name::Generator,
    numbers: number::Counter,
    outbox: Outbox,
    journal: OnceLock<journal::Journal>,
    leftovers: leftovers::Leftovers,
}

impl Spool {
    /// Makes the directories, empties `temp`, loads what waits in `mess` and `rsnd`.
    ///
    /// # Errors
    /// Only when `spool/` itself cannot be made or read; single bad entries are skipped and reported in the
    /// [`Recovery`].
    pub fn open(mut config: Config) -> Result<(Self, Recovery), SpoolError> {
        config.split_levels = name::next_prime(config.split_levels.max(1));
        let names = name::Generator::new(config.split_levels);
        let numbers = number::Counter::new(&config.root, config.disk.clone());
        let outbox = Outbox::new(config.limits, config.clock.clone());
        let (journal, leftovers) = (OnceLock::new(), leftovers::Leftovers::default());
        let spool = Self { shared: Arc::new(Shared { config, names, numbers, outbox, journal, leftovers }) };
        let recovery = recovery::run(&spool)?;
        if let Some(sizes) = spool.shared.config.journal {
            let (disk, weak) = (spool.disk().clone(), Arc::downgrade(&spool.shared));
            let directory = spool.journal_directory();
            let journal = journal::Journal::start(disk, spool.root().path(), directory, sizes, weak);
            // Nobody else has the spool yet.
            let _ = spool.shared.journal.set(journal);
        }
        Ok((spool, recovery))
    }

    /// Ends the journal: what waits in it gets spool files, so that the queue is XMail's alone. Mail that is submitted
    /// afterwards gets its spool file at once. Blocks.
    ///
    /// # Errors
    /// The disk's; the journal is left for the next start then.
    pub fn close(&self) -> Result<(), SpoolError> {
        self.shared.leftovers.remove(self.disk());
        self.shared.journal.get().map_or(Ok(()), |journal| journal.close(&self.shared))
    }

    /// Messages with these file names were removed from a mailbox by their owner, for good. Those that were delivered
    /// moments ago must not come back after a crash: on return that is on stable storage. Blocks.
    pub fn taken(&self, file_names: &[String]) {
        if let Some(journal) = self.shared.journal.get() {
            journal.taken(file_names);
        }
    }

    /// Messages waiting to be delivered.
    pub fn outbox(&self) -> &Outbox {
        &self.shared.outbox
    }

    /// Takes the next message number from `message.id`.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn next_number(&self, origin: Origin) -> Result<MessageNumber, SpoolError> {
        self.shared.numbers.next(origin)
    }

    /// The MailRoot of this spool.
    pub fn root(&self) -> &MailRoot {
        &self.shared.config.root
    }

    fn disk(&self) -> &Disk {
        &self.shared.config.disk
    }

    fn clock(&self) -> &Clock {
        &self.shared.config.clock
    }

    /// `spool/`, absolute.
    fn directory(&self) -> PathBuf {
        self.root().path().join("spool")
    }

    /// `spool/.journal/`, absolute.
    fn journal_directory(&self) -> PathBuf {
        self.directory().join(JOURNAL)
    }

    /// `spool/<a>/<b>/<state>/<name>`, absolute.
    fn path(&self, name: &Name, state: State) -> PathBuf {
        self.shared.path(name, state)
    }

    fn place_directory(&self, place: Place, state: State) -> PathBuf {
        self.shared.place_directory(place, state)
    }
}

impl Shared {
    fn path(&self, name: &Name, state: State) -> PathBuf {
        self.place_directory(name.place(), state).join(name.file_name())
    }

    fn place_directory(&self, place: Place, state: State) -> PathBuf {
        let spool = self.config.root.path().join("spool");
        spool.join(place.to_path()).join(state.directory())
    }
}

/// The sub-directories of a split directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Temp,
    Mess,
    Rsnd,
    Froz,
    Slog,
    Mprc,
    Cust,
    Info,
}

impl State {
    /// All sub-directories that XMail makes at its start.
    const ALL: [Self; 8] =
        [Self::Mess, Self::Rsnd, Self::Info, Self::Temp, Self::Slog, Self::Cust, Self::Mprc, Self::Froz];

    fn directory(self) -> &'static str {
        match self {
            Self::Temp => "temp",
            Self::Mess => "mess",
            Self::Rsnd => "rsnd",
            Self::Froz => "froz",
            Self::Slog => "slog",
            Self::Mprc => "mprc",
            Self::Cust => "cust",
            Self::Info => "info",
        }
    }
}

/// What the disk did to us.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A step of writing, moving or removing failed.
    #[error("{}: cannot {action}: {source}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A frozen message that does not exist, or whose name is not one.
    #[error("no frozen message {name:?}")]
    NoSuchMessage {
        /// The name that was asked for.
        name: String,
    },
    /// The blocking task was lost (only at a hurried stop).
    #[error("the server is stopping")]
    Stopping,
}

impl SpoolError {
    fn disk(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Disk { action, path: path.to_owned(), source }
    }
}
