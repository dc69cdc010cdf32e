//! Filter programs: runs one on a message file and says what its end means (`mailflow.md` 5, `mailroot.md` 13.4).
//!
//! ```text
//! row of a filter file     [!flags] program args...     mailroot::filters::FilterProgramRow
//! Subject                  the mail it looks at: who, from where, at which Stage
//! Ran                      Skipped (a flag) | Decided(Verdict) | Undecided (no usable end)
//! <file>.rej               one line of reason beside the file, see `take_rejection`
//! ```
//!
//! Besides programs there are rules about what is in a message (`rules.tab`, [`first_rule`]): pure, for local mail.
//!
//! What is done about a [`Verdict`] is for `delivery` (queue filters) and `smtp` (SMTP filters) to do; so is the order of
//! the rows, and the message file itself. Programs run through `exec`: no shell, their children are killed with them
//! when their time is up (decision 40) or when nobody waits any more.
//!
//! A program that cannot be started, takes too long or is killed by a signal has not decided: the mail passes, as in
//! XMail, unless `FilterMissing` is `tempfail` ([`undecided_is_tempfail`], decision 12).

mod content;
mod rejection;
mod verdict;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bstr::{BString, ByteSlice as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Clock;
use crate::exec::{self, Command, ExecError, Exit, macros};
use crate::logs::{LogKind, Logs};
use crate::mailroot::ServerTab;
use crate::mailroot::filters::{FilterFlags, FilterProgramRow};
use crate::mailroot::schema::server as variables;
use crate::status::number;

pub use content::{LOOKED_AT_BYTES_MAX, first_rule};
pub use rejection::{REJECTION_BYTES_MAX, rejection_path, take_rejection};
pub use verdict::{InQueue, Verdict};

/// The time limit of a program when `-QT` and `timeo` say nothing (`mailflow.md` 1.1).
pub const TIME_LIMIT: Duration = Duration::from_secs(90);

/// Runs filter programs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Filters {
    logs: Logs,
    clock: Clock,
    time_limit: Duration,
    inbound: Arc<Semaphore>,
    outbound: Arc<Semaphore>,
}

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `-QT`; zero means [`TIME_LIMIT`], because a filter that is not awaited decides nothing.
    pub time_limit: Duration,
    /// Programs of each of the two queue stages at once: `-Qn`, the number of XMail's delivery threads. There are more
    /// deliveries than that, and a content scanner is not cheap. SMTP filters are limited by the sessions (`-SX`).
    pub queue_programs_max: usize,
}

/// When a filter runs; the word is the log's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `filters.in.tab`.
    In,
    /// `filters.out.tab`.
    Out,
    /// `filters.post-rcpt.tab`.
    PostRcpt,
    /// `filters.pre-data.tab`.
    PreData,
    /// `filters.post-data.tab`.
    PostData,
}

impl Stage {
    /// The word in the `filters` log.
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::PostRcpt => "post-rcpt",
            Self::PreData => "pre-data",
            Self::PostData => "post-data",
        }
    }
}

/// The mail a filter looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// At which point.
    pub stage: Stage,
    /// The sender as the log shows it; empty when null.
    pub sender: String,
    /// The recipient as the log shows it; `*` for several.
    pub recipient: String,
    /// Our address.
    pub local: IpAddr,
    /// The client's address.
    pub remote: IpAddr,
    /// The sender authenticated: rows with `aex` are skipped.
    pub is_authenticated: bool,
    /// The client has `WhiteList`: rows with `wlex` are skipped.
    pub is_white_listed: bool,
}

impl Subject {
    /// Why a row is skipped, in the log's word; `aex` comes first (golden `filter_flags`).
    pub fn exclusion(&self, flags: FilterFlags) -> Option<&'static str> {
        if flags.skip_authenticated && self.is_authenticated {
            Some("EXCL")
        } else if flags.skip_white_listed && self.is_white_listed {
            Some("WLISTED")
        } else {
            None
        }
    }
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// A flag said that this mail is none of its business.
    Skipped,
    /// The program ended by itself.
    Decided(Verdict),
    /// It did not. What it left of the message file is not to be trusted.
    Undecided(Undecided),
}

/// Why a program has not decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// It is missing, not executable, or said 255, which is the same to XMail (`mailflow.md` 1.8).
    NotStarted,
    /// Its time was up; it was killed with its children.
    TimedOut,
    /// A signal killed it. XMail takes the exit code -1 for "stop here" because all its bits are set (decision 181).
    Crashed,
}

impl Undecided {
    /// XMail's error number, positive.
    pub fn error(self) -> i32 {
        match self {
            Self::NotStarted | Self::Crashed => number::EXTERNAL_PROGRAM,
            Self::TimedOut => TIMEOUT,
        }
    }
}

/// XMail's `Timeout error` (`mailflow.md` 16).
const TIMEOUT: i32 = 5;

/// `mailflow.md` 1.8.
const EXIT_NOT_STARTED: i32 = 255;

/// Whether mail waits when a filter has not decided: `FilterMissing` is `tempfail` (decision 12).
pub fn undecided_is_tempfail(server: &ServerTab) -> bool {
    server.choice(&variables::FILTER_MISSING) == variables::TEMPFAIL
}

impl Filters {
    /// Filters that log to `logs`.
    pub fn new(logs: Logs, clock: Clock, limits: Limits) -> Self {
        let time_limit = if limits.time_limit.is_zero() { TIME_LIMIT } else { limits.time_limit };
        let semaphore =
            || Arc::new(Semaphore::new(limits.queue_programs_max.clamp(1, Semaphore::MAX_PERMITS)));
        Self { logs, clock, time_limit, inbound: semaphore(), outbound: semaphore() }
    }

    /// Waits until another program may run. The semaphores are never closed.
    async fn turn(&self, stage: Stage) -> Option<SemaphorePermit<'_>> {
        match stage {
            Stage::In => self.inbound.acquire().await.ok(),
            Stage::Out => self.outbound.acquire().await.ok(),
            Stage::PostRcpt | Stage::PreData | Stage::PostData => None,
        }
    }

    /// Runs one row, or skips it, and logs it. `value` gives the macros' values. Dropping the future kills the program.
    pub async fn run(
        &self,
        row: &FilterProgramRow,
        subject: &Subject,
        value: impl Fn(&str) -> Option<BString>,
    ) -> Ran {
        if let Some(info) = subject.exclusion(row.flags) {
            // The words as written: nothing was expanded (golden `filter_flags`).
            self.log(subject, info, (-1, -1), words(&row.program, &row.args)).await;
            return Ran::Skipped;
        }
        let args = macros::expand(&row.args, value);
        let words = words(&row.program, &args);
        let program: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(row.program.as_slice());
        let limit = row.flags.time_limit.unwrap_or(self.time_limit);
        let turn = self.turn(subject.stage).await;
        let ended = exec::run(Command::new(PathBuf::from(program), args), Some(limit)).await;
        drop(turn);
        if let Err(error) = &ended {
            tracing::warn!(stage = subject.stage.name(), %error, "a filter has not decided");
        }
        let (ran, numbers) = judged(ended);
        self.log(subject, "", numbers, words).await;
        ran
    }

    /// A line of the `filters` log (`mailflow.md` 15).
    async fn log(&self, subject: &Subject, info: &'static str, (result, code): (i32, i32), words: Vec<u8>) {
        if !self.logs.is_enabled(LogKind::Filters) {
            return;
        }
        let columns: Vec<Vec<u8>> = vec![
            subject.sender.as_str().into(),
            subject.recipient.as_str().into(),
            subject.local.to_canonical().to_string().into(),
            subject.remote.to_canonical().to_string().into(),
            self.clock.log_date().into(),
            subject.stage.name().into(),
            info.into(),
            result.to_string().into(),
            code.to_string().into(),
            words,
        ];
        let logs = self.logs.clone();
        let write = move || {
            let columns: Vec<&[u8]> = columns.iter().map(Vec::as_slice).collect();
            logs.write(LogKind::Filters, &columns);
        };
        // The thread is lost only at a hurried stop, and a log line with it.
        let _ = tokio::task::spawn_blocking(write).await;
    }
}

/// Each word of the command with `;` behind it.
fn words(program: &BString, args: &[BString]) -> Vec<u8> {
    let all = std::iter::once(program).chain(args);
    all.flat_map(|word| [word.as_bytes(), b";"]).flatten().copied().collect()
}

/// The end of a program, and the two numbers of its log line: XMail's negative error number or 0, and the exit code.
fn judged(ended: Result<Exit, ExecError>) -> (Ran, (i32, i32)) {
    let undecided = match ended {
        Ok(Exit::Code(EXIT_NOT_STARTED))
        | Err(ExecError::NotStarted { .. } | ExecError::NotAwaited { .. }) => Undecided::NotStarted,
        Ok(Exit::Code(code)) => return (Ran::Decided(Verdict::of(code)), (0, code)),
        Ok(exit @ (Exit::Signal(_) | Exit::NotWaited)) => {
            return (Ran::Undecided(Undecided::Crashed), (0, exit.code_or_minus_one()));
        }
        Err(ExecError::TimedOut { .. }) => Undecided::TimedOut,
    };
    (Ran::Undecided(undecided), (-undecided.error(), -1))
}

#[cfg(test)]
mod tests;
