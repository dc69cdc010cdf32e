//! The process in its system: PID file, trigger file, signals, one server per MailRoot, and XMail's way of going to
//! the background.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;
use crate::durable::FileLock;
use crate::mailroot::MailRoot;

/// Held by the server that works on a MailRoot, so that a second one refuses to.
const SERVER_LOCK: &str = ".tabmail.server.lock";

/// Existence of this file stops the server (`mailroot.md` 17.2).
const SHUTDOWN_FILE: &str = ".shutdown";

/// How often [`SHUTDOWN_FILE`] is looked for; XMail looks every 2 s.
const SHUTDOWN_POLL: Duration = Duration::from_millis(500);

/// Where the PID file goes without `XMAIL_PID_DIR`.
const PID_DIRECTORY: &str = "/var/run";

/// Set in the environment of the copy of ourselves that runs in the background.
const BACKGROUND_MARK: &str = "TABMAIL_IN_BACKGROUND";

/// Takes the MailRoot for this process; `None` when another server has it.
pub(super) fn take_mail_root(root: &MailRoot) -> io::Result<Option<FileLock>> {
    FileLock::try_acquire(&root.path().join(SERVER_LOCK))
}

/// Raises the limit of open files as far as the system allows: the usual first limit of 1024 is less than the remote
/// deliveries and sessions that may run at once, and a delivery without a free descriptor fails for now.
pub(super) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// The trigger file that stops the server.
pub(super) struct ShutdownFile {
    path: PathBuf,
}

impl ShutdownFile {
    /// Removes one that was left from before.
    pub(super) fn new(root: &MailRoot) -> Self {
        let file = Self { path: root.path().join(SHUTDOWN_FILE) };
        file.remove();
        file
    }

    /// Waits until the file exists.
    pub(super) async fn appears(&self) {
        let mut ticks = tokio::time::interval(SHUTDOWN_POLL);
        while !self.path.exists() {
            ticks.tick().await;
        }
    }

    /// Makes the file, as XMail does on a stop signal: its disappearance tells watchers that the server has stopped.
    pub(super) fn create(&self, clock: &Clock) {
        if !self.path.exists()
            && let Err(error) = fs::write(&self.path, format!("{}\n", clock.mail_date()))
        {
            tracing::warn!("{}: cannot be made: {error}", self.path.display());
        }
    }

    /// Removes the file: the server has stopped.
    pub(super) fn remove(&self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!("{}: cannot be removed: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

/// `$XMAIL_PID_DIR/<program>.pid`, removed when dropped. Failing to make it is no reason not to serve mail.
pub(super) struct PidFile {
    path: Option<PathBuf>,
}

impl PidFile {
    pub(super) fn create(program: &str) -> Self {
        let directory = std::env::var_os("XMAIL_PID_DIR").map_or_else(|| PID_DIRECTORY.into(), PathBuf::from);
        let path = directory.join(format!("{program}.pid"));
        match fs::write(&path, std::process::id().to_string()) {
            Ok(()) => Self { path: Some(path) },
            Err(error) => {
                tracing::warn!("{}: cannot be written: {error}", path.display());
                Self { path: None }
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// What a signal asks for (decision 23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// TERM, INT, QUIT.
    Stop,
    /// HUP.
    Reload,
}

/// The signals we act on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.quit.recv() => Request::Stop,
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}

/// Whether this process is the copy that [`go_to_background`] has started.
pub fn is_in_background() -> bool {
    std::env::var_os(BACKGROUND_MARK).is_some()
}

/// Goes to the background as XMail does without `-Md`: a copy of this process in its own session, with its standard
/// handles on `/dev/null`. Returns `true` in the process that should end.
///
/// # Errors
/// When the copy cannot be started.
pub fn go_to_background() -> io::Result<bool> {
    if is_in_background() {
        // A session of our own: the terminal that started us may close.
        let _ = rustix::process::setsid();
        std::env::set_current_dir(Path::new("/"))?;
        return Ok(false);
    }
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    Command::new(std::env::current_exe()?)
        .arg0_of(&program)
        .args(words)
        .env(BACKGROUND_MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(true)
}

trait ArgZero {
    fn arg0_of(&mut self, program: &std::ffi::OsStr) -> &mut Self;
}

impl ArgZero for Command {
    /// Keeps the name we were called by, which decides what we are.
    fn arg0_of(&mut self, program: &std::ffi::OsStr) -> &mut Self {
        use std::os::unix::process::CommandExt;
        self.arg0(program)
    }
}
