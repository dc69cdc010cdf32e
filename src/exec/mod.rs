//! Runs external command lines: `external` and `filter` lines, filters, authentication programs.
//!
//! The only place that starts programs. No shell sees the arguments: a program gets exactly the list it is given, so
//! an address cannot become a command (mailflow.md 1.8). [`macros`] puts values into that list.
//!
//! What a program gets: our environment plus additions, our working directory, `/dev/null` as its three standard
//! handles, and nothing else of ours: descriptors are close-on-exec (decision 29). It leads a process group of its
//! own; when its time is up, or nobody waits for it any more, the whole group is killed (decision 40). What leaves
//! the group on purpose (a daemon) is out of reach. Programs that a command leaves behind after a normal end are not
//! ours to judge and go on running.

pub mod macros;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bstr::BString;
use rustix::process::{Pid, Signal};
use thiserror::Error;
use tokio::process::Child;

/// A program, its arguments, and how it is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program's file. Not searched for in `PATH`: a name without a slash is in the working directory (execv).
    pub program: PathBuf,
    /// What follows `argv[0]`, which is `program` itself.
    pub args: Vec<BString>,
    /// How urgent it is compared with the server.
    pub priority: Priority,
    /// Variables added to, or replaced in, our own environment.
    pub env: Vec<(OsString, OsString)>,
}

impl Command {
    /// A command of normal priority with our environment.
    pub fn new(program: impl Into<PathBuf>, args: Vec<BString>) -> Self {
        Self { program: program.into(), args, priority: Priority::default(), env: Vec::new() }
    }

    /// The command that an expanded list means: the program, then its arguments. None for an empty list.
    pub fn from_words(words: &[BString]) -> Option<Self> {
        let (program, args) = words.split_first()?;
        Some(Self::new(OsStr::from_bytes(program), args.to_vec()))
    }

    /// The same command with another priority.
    #[must_use]
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }
}

/// The priority column of `external` and `filter` lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Nicer than the server by [`NICE_STEP`].
    Below,
    /// As the server.
    #[default]
    Normal,
    /// More urgent than the server by [`NICE_STEP`]; needs the right to it, else it runs as normal.
    Above,
}

impl Priority {
    /// The column's number: negative below, zero normal, positive above.
    pub fn from_column(number: i64) -> Self {
        match number {
            i64::MIN..=-1 => Self::Below,
            0 => Self::Normal,
            1.. => Self::Above,
        }
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ended itself with this exit code, 0 to 255. (255 means "could not start" to XMail: error 114.)
    Code(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was started and nobody waits for it.
    NotWaited,
}

impl Exit {
    /// The number for the logs and for decisions on flags: the exit code, or -1 where there is none
    /// (mailflow.md 1.8). Beware of -1 as flags: every bit is set.
    pub fn code_or_minus_one(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(_) | Self::NotWaited => -1,
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            // Neither ended nor killed: wait does not report such children.
            (None, None) => Self::NotWaited,
        }
    }
}

/// Why a program gave no [`Exit`].
#[derive(Debug, Error)]
pub enum ExecError {
    /// It is missing, not executable, an argument holds a NUL, or the system has no room for it.
    #[error("cannot start {program}: {source}")]
    NotStarted {
        /// The program's file.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was still running after its time and was killed with its process group.
    #[error("{program} was killed after {} s", limit.as_secs_f64())]
    TimedOut {
        /// The program's file.
        program: PathBuf,
        /// The time it had.
        limit: Duration,
    },
    /// It was started but its end cannot be learned; it was killed.
    #[error("cannot wait for {program}: {source}")]
    NotAwaited {
        /// The program's file.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The wait column of `external` and `filter` lines, in seconds: 0 or less is "do not wait" (mailflow.md 1.8).
pub fn wait_from_column(secs: i64) -> Option<Duration> {
    u64::try_from(secs).ok().filter(|secs| *secs > 0).map(Duration::from_secs)
}

/// Runs `command` and waits for its end, `wait` at most; with None it is started and [`Exit::NotWaited`] returned at
/// once (its end is awaited in the background, so that it leaves no zombie). Dropping the future of a waiting run
/// kills the program's process group. Must be called inside a tokio runtime.
///
/// # Errors
/// [`ExecError`]; a program that fails by its own account is not an error but an [`Exit`].
pub async fn run(command: Command, wait: Option<Duration>) -> Result<Exit, ExecError> {
    let mut child = start(&command)?;
    let Some(limit) = wait else {
        tokio::spawn(async move { child.wait().await });
        return Ok(Exit::NotWaited);
    };
    let mut group = Group::of(child);
    match tokio::time::timeout(limit, group.child.wait()).await {
        Ok(Ok(status)) => {
            group.is_over = true;
            Ok(status.into())
        }
        Ok(Err(source)) => Err(ExecError::NotAwaited { program: command.program, source }),
        Err(_) => {
            group.kill_and_reap().await;
            Err(ExecError::TimedOut { program: command.program, limit })
        }
    }
}

fn start(command: &Command) -> Result<Child, ExecError> {
    let mut std_command = std::process::Command::new(without_path_search(&command.program));
    std_command
        .arg0(&command.program)
        .args(command.args.iter().map(|arg| OsStr::from_bytes(arg)))
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let child = tokio::process::Command::from(std_command)
        .spawn()
        .map_err(|source| ExecError::NotStarted { program: command.program.clone(), source })?;
    set_priority(&child, command);
    Ok(child)
}

/// `std` looks for a name without a slash in `PATH`; execv does not.
fn without_path_search(program: &Path) -> PathBuf {
    if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        program.to_owned()
    } else {
        Path::new(".").join(program)
    }
}

/// Sets the niceness of the whole group: the program may have started others already. A priority that cannot be had
/// is no reason not to run.
fn set_priority(child: &Child, command: &Command) {
    let step = match command.priority {
        Priority::Normal => return,
        Priority::Below => NICE_STEP,
        Priority::Above => -NICE_STEP,
    };
    let nice = rustix::process::getpriority_process(None).unwrap_or(0) + step;
    let set = pid_of(child).map_or(Ok(()), |pid| rustix::process::setpriority_pgrp(Some(pid), nice));
    if let Err(error) = set {
        tracing::debug!(program = %command.program.display(), nice, %error, "priority not set");
    }
}

/// A new name for a temporary file that a program sees: `<directory>/<32 hex digits>.xtmp` (mailflow.md 1.3). Nobody can
/// guess it; the file is not made.
///
/// # Errors
/// When the system has no random numbers.
pub fn temporary_path(directory: &Path) -> io::Result<PathBuf> {
    let random = || getrandom::u64().map_err(io::Error::other);
    Ok(directory.join(format!("{:016x}{:016x}.xtmp", random()?, random()?)))
}

/// What `+` and `-` of one priority step are in niceness (mailflow.md 1.8).
pub const NICE_STEP: i32 = 5;

/// The process' id while it has not been reaped; until then the system gives the number to nobody else.
fn pid_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

/// A running program and what it started; killed when dropped before its end.
struct Group {
    child: Child,
    is_over: bool,
}

impl Group {
    fn of(child: Child) -> Self {
        Self { child, is_over: false }
    }

    fn kill(&mut self) {
        if let Some(leader) = pid_of(&self.child)
            && let Err(error) = rustix::process::kill_process_group(leader, Signal::KILL)
        {
            tracing::warn!(group = %leader, %error, "cannot kill an external program");
        }
        self.is_over = true;
    }

    async fn kill_and_reap(&mut self) {
        self.kill();
        if let Err(error) = self.child.wait().await {
            tracing::warn!(%error, "cannot learn the end of a killed program");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_over {
            // tokio reaps the leader in the background.
            self.kill();
        }
    }
}

#[cfg(test)]
mod tests;
