//! The spool: mail that we answered for and have not delivered yet, in XMail's layout (`mailroot.md` 16).
//!
//! One file is one message for one recipient. It lives in a *split directory* `spool/<a>/<b>/` chosen for its whole
//! life, under one name, and its state is the sub-directory that holds it:
//!
//! | state | `temp` | `mess` | `rsnd` | `froz` | `slog` | `mprc` `cust` |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | arriving | x | | | | | |
//! | ready, never tried | | x | | | | |
//! | first attempt | | x | | | x | maybe |
//! | waiting for a retry, or in one | | | x | | x | maybe |
//! | frozen | | | | x | x | |
//! | gone | | | | | | |
//!
//! | step | in this order | a crash in the middle leaves | who cleans |
//! | --- | --- | --- | --- |
//! | [`Spool::submit`] | each recipient: write `temp`, sync it; then each: rename to `mess`; sync `mess`; **250** | files in `temp`: never answered for; files in `mess` without a 250: delivered, and the client sends again | [`Spool::open`] empties `temp` |
//! | [`Attempt::begin`] | append `[PeekTime]` to `slog` | an attempt counted that did nothing | nobody needs to |
//! | [`Attempt::retry`] | append the entry to `slog`; rename to `rsnd` | a message in `mess` with a `slog`: its attempts are counted all the same | nobody needs to |
//! | [`Attempt::keep_copy`] | copy to `temp`; a program works on the message; copy removed, or renamed back | what the program left, and the copy in `temp` | [`Spool::open`] empties `temp`, and removes a `.rej` beside its message |
//! | [`Attempt::freeze`] | rename to `froz`; remove `mprc`, `cust` | a frozen message with a command file | [`Spool::open`] |
//! | [`Attempt::remove`] | remove the message; sync; then `slog`, `mprc`, `cust`, `info` | a `slog` without its message | [`Spool::open`] |
//!
//! **Delivered twice?** A local delivery writes the mailbox file *under the spool name*, syncs it and its directory, and
//! only then removes the message here. A crash between the two leaves both. At the next attempt the mailbox finds a
//! file of that name (in `new`, or in `cur` with flags behind it), knows the mail has arrived, and only the spool entry
//! is removed. A duplicate remains possible when the owner took and deleted the mail before the restart.
//!
//! Delivery of the first attempt starts at once, a retry at its exact time (decision 24). The times are XMail's
//! ([`schedule`]). All numeric split directories are scanned at the start, also above `-Mx` (decision 48).
//!
//! Calls that touch the disk block; callers on async threads use `spawn_blocking`.

mod attempt;
mod data;
mod file;
mod frozen;
pub mod inspect;
mod intake;
mod kept;
mod name;
mod number;
mod outbox;
mod recovery;
pub mod schedule;
pub mod slog;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use attempt::{Attempt, Private};
pub use data::{Draft, MEMORY_BYTES_MAX, MailData};
pub use file::{BadHeader, BadSpoolFile, HEADER_BYTES_MAX, HEADER_LINE_BYTES_MAX, Header, SpoolFile};
pub use frozen::FrozenMessage;
pub use intake::NewMessage;
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
        let numbers = number::Counter::new(&config.root);
        let outbox = Outbox::new(config.limits, config.clock.clone());
        let spool = Self { shared: Arc::new(Shared { config, names, numbers, outbox }) };
        let recovery = recovery::run(&spool)?;
        Ok((spool, recovery))
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

    /// `spool/<a>/<b>/<state>/<name>`, absolute.
    fn path(&self, name: &Name, state: State) -> PathBuf {
        self.place_directory(name.place(), state).join(name.file_name())
    }

    fn place_directory(&self, place: Place, state: State) -> PathBuf {
        self.directory().join(place.to_path()).join(state.directory())
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
