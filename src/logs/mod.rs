//! XMail log files, and diagnostics for the operator.
//!
//! Shape of a log (mailroot.md 17.1, columns in mailflow.md 15):
//!
//! ```text
//! ROOT/logs/<name>-YYYYMMDDHHMM       the start of the current rotation step, local time
//! "column" TAB "column" ... LF        no escaping; the date column is `2026-11-23 10:33:05`, local
//! ```
//!
//! A step starts when the hours since 1970-01-01 00:00 local are a multiple of the rotation hours (24: midnight).
//! Lines are opened for, appended with one write, and closed, so files may be moved or deleted at any time. A server
//! collects lines for a moment ([`Logs::buffered`]). Old files are never deleted.
//!
//! XMail writes values raw; a peer could so forge lines and columns. Here control characters (CR, LF, TAB, NUL, DEL
//! and the others below space) are written as `?`; a `"` inside a value stays, as programs that read these logs
//! split at TAB.
//!
//! A line that cannot be written is lost; that is said once through `tracing`, and again after lines could be
//! written meanwhile. Logging never stops mail.
//!
//! [`read`] reads them again, from their ends.

pub mod read;

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, Zoned};

/// The log files of one MailRoot. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    now: Box<dyn Fn() -> Zoned + Send + Sync>,
    rotation_hours: NonZeroU32,
    enabled: Vec<LogKind>,
    is_failing: AtomicBool,
    /// Where the lines of each log go now, and since which step.
    paths: Mutex<Vec<(LogKind, DateTime, PathBuf)>>,
    buffer: Option<Arc<Buffer>>,
}

/// The log of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogKind {
    /// `smtp`, option `-Sl`.
    Smtp,
    /// `pop3`, option `-Pl`.
    Pop3,
    /// `imap`, option `-Il`.
    Imap,
    /// `smail`, option `-Ql`.
    Smail,
    /// `lmail`, option `-Ll`.
    Lmail,
    /// `psync`, option `-Yl`.
    Psync,
    /// `finger`, option `-Fl`.
    Finger,
    /// `ctrl`, option `-Cl`.
    Ctrl,
    /// `filters`, option `-Qg`.
    Filters,
}

impl LogKind {
    /// All logs there are.
    pub const ALL: [Self; 9] = [
        Self::Smtp,
        Self::Pop3,
        Self::Imap,
        Self::Smail,
        Self::Lmail,
        Self::Psync,
        Self::Finger,
        Self::Ctrl,
        Self::Filters,
    ];

    /// What the file name begins with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
            Self::Imap => "imap",
            Self::Smail => "smail",
            Self::Lmail => "lmail",
            Self::Psync => "psync",
            Self::Finger => "finger",
            Self::Ctrl => "ctrl",
            Self::Filters => "filters",
        }
    }

    /// The option of a server that writes it (`mailroot.md` 18.1).
    pub fn option(self) -> &'static str {
        match self {
            Self::Smtp => "-Sl",
            Self::Pop3 => "-Pl",
            Self::Imap => "-Il",
            Self::Smail => "-Ql",
            Self::Lmail => "-Ll",
            Self::Psync => "-Yl",
            Self::Finger => "-Fl",
            Self::Ctrl => "-Cl",
            Self::Filters => "-Qg",
        }
    }
}

impl Logs {
    /// The logs in `root`/`logs`. `now` gives the local time (`move || clock.zoned()`); logs that are not `enabled`
    /// are not written.
    pub fn new(
        root: &Path,
        now: impl Fn() -> Zoned + Send + Sync + 'static,
        rotation_hours: NonZeroU32,
        enabled: impl IntoIterator<Item = LogKind>,
    ) -> Self {
        let shared = Shared {
            directory: root.join("logs"),
            now: Box::new(now),
            rotation_hours,
            enabled: enabled.into_iter().collect(),
            is_failing: AtomicBool::new(false),
            paths: Mutex::default(),
            buffer: None,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Logs that write nothing, for tests and one-shot commands.
    pub fn none() -> Self {
        Self::new(Path::new(""), Zoned::default, NonZeroU32::MIN, [])
    }

    /// True when lines of this log are written; spares the making of columns.
    pub fn is_enabled(&self, kind: LogKind) -> bool {
        self.shared.enabled.contains(&kind)
    }

    /// Adds a line to the log, if it is enabled. Blocks for one open, write and close; nothing is synced.
    pub fn write(&self, kind: LogKind, columns: &[&[u8]]) {
        if !self.is_enabled(kind) {
            return;
        }
        let path = self.path(kind);
        let line = line(columns);
        match &self.shared.buffer {
            Some(buffer) => buffer.push(&self.shared, path, &line),
            None => self.shared.append(&path, &line),
        }
    }

    /// Collects lines for up to [`BUFFERED_FOR`] and writes them together, on a thread of its own. Those that are
    /// collected are lost when the process is killed.
    pub fn buffered(self) -> Self {
        let buffer = Arc::new(Buffer::default());
        let (Ok(mut shared), worker) = (Arc::try_unwrap(self.shared), Arc::clone(&buffer)) else {
            // Somebody writes already, without a buffer.
            return Self::none();
        };
        shared.buffer = Some(buffer);
        let shared = Arc::new(shared);
        let weak = Arc::downgrade(&shared);
        let started = std::thread::Builder::new().name("logs".into()).spawn(move || worker.run(&weak));
        if let Err(error) = started {
            tracing::error!(%error, "no thread for the logs");
        }
        Self { shared }
    }

    /// Writes what was collected.
    pub fn flush(&self) {
        if let Some(buffer) = &self.shared.buffer {
            buffer.write_all(&self.shared);
        }
    }

    /// The file that a line written now goes to.
    pub fn path(&self, kind: LogKind) -> PathBuf {
        let start = step_start((self.shared.now)().datetime(), self.shared.rotation_hours);
        let mut paths = self.shared.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, path)) = paths.iter().find(|(of, since, _)| *of == kind && *since == start) {
            return path.clone();
        }
        let name = format!("{}-{}", kind.name(), start.strftime("%Y%m%d%H%M"));
        let path = self.shared.directory.join(name);
        paths.retain(|(of, _, _)| *of != kind);
        paths.push((kind, start, path.clone()));
        path
    }
}

impl Shared {
    fn append(&self, path: &Path, lines: &[u8]) {
        match append(path, lines) {
            Ok(()) => self.is_failing.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(file = %path.display(), %error, "log lines are lost");
                }
            }
        }
    }
}

/// Lines on their way to the files.
#[derive(Default)]
struct Buffer {
    lines: Mutex<Vec<(PathBuf, Vec<u8>)>>,
    /// One writer at a time, so that lines keep their order.
    writing: Mutex<()>,
    wanted: Condvar,
}

/// How long lines are collected. Ours.
pub const BUFFERED_FOR: Duration = Duration::from_millis(20);

/// Bytes collected before whoever logs writes them itself. Ours.
const BUFFERED_BYTES_MAX: usize = 1 << 20;

impl Buffer {
    fn push(&self, shared: &Shared, path: PathBuf, line: &[u8]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = lines.is_empty();
        let is_full = match lines.iter_mut().find(|(of, _)| *of == path) {
            Some((_, text)) => {
                text.extend_from_slice(line);
                text.len() > BUFFERED_BYTES_MAX
            }
            None => {
                lines.push((path, line.to_vec()));
                false
            }
        };
        drop(lines);
        if was_empty {
            self.wanted.notify_one();
        }
        if is_full {
            self.write_all(shared);
        }
    }

    fn write_all(&self, shared: &Shared) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        for (path, text) in lines {
            shared.append(&path, &text);
        }
    }

    /// Writes until the logs are no longer used.
    fn run(&self, shared: &Weak<Shared>) {
        loop {
            {
                let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
                let woken = self.wanted.wait_timeout_while(lines, LOOK_AROUND, |lines| lines.is_empty());
                drop(woken);
            }
            std::thread::sleep(BUFFERED_FOR);
            let Some(shared) = shared.upgrade() else { return };
            self.write_all(&shared);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.clone() {
            buffer.write_all(self);
        }
    }
}

/// How often the writer asks whether it is still needed.
const LOOK_AROUND: Duration = Duration::from_secs(5);

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs")
            .field("directory", &self.shared.directory)
            .field("rotation_hours", &self.shared.rotation_hours)
            .field("enabled", &self.shared.enabled)
            .finish_non_exhaustive()
    }
}

/// Permission bits of new log files: `ctrl`, `pop3` and `imap` lines hold passwords, so not for everybody.
pub const LOG_MODE: u32 = 0o640;

/// What stands for a control character.
const REPLACEMENT: u8 = b'?';

/// Local time floored to a multiple of `hours` since 1970-01-01 00:00 local, counted without regard to summer time.
fn step_start(local: DateTime, hours: NonZeroU32) -> DateTime {
    let epoch = date(1970, 1, 1).at(0, 0, 0, 0);
    let step_secs = i64::from(hours.get()) * 3600;
    let secs = local.duration_since(epoch).as_secs();
    let start = secs - secs.rem_euclid(step_secs);
    epoch.checked_add(SignedDuration::from_secs(start)).unwrap_or(epoch)
}

fn line(columns: &[&[u8]]) -> Vec<u8> {
    let mut line = Vec::with_capacity(columns.iter().map(|column| column.len() + 3).sum());
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            line.push(b'\t');
        }
        line.push(b'"');
        line.extend(column.iter().map(|byte| if byte.is_ascii_control() { REPLACEMENT } else { *byte }));
        line.push(b'"');
    }
    line.push(b'\n');
    line
}

fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(LOG_MODE).open(path)?.write_all(line)
}

/// Sends diagnostics to stderr: what `RUST_LOG` asks for, else warnings and information, with `debug` (option
/// `-Md`) also our own debugging messages. A second call does nothing.
pub fn init_tracing(debug: bool) {
    // The error of a second call: the first one's settings stay.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(diagnostics(debug))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
}

/// Sends diagnostics to `logs/tabmail.log` of the MailRoot: for a server in the background, whose stderr nobody sees.
/// The file is opened for each line, as XMail's logs are, so it may be moved or deleted at any time.
pub fn init_tracing_to_file(root: &Path, debug: bool) {
    let path = root.join("logs").join(DIAGNOSTICS_LOG);
    let open = move || -> Box<dyn io::Write> {
        let opened = OpenOptions::new().append(true).create(true).mode(LOG_MODE).open(&path);
        opened.map_or_else(|_| Box::new(io::sink()) as Box<dyn io::Write>, |file| Box::new(file))
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(diagnostics(debug))
        .with_writer(open)
        .with_ansi(false)
        .try_init();
}

/// The diagnostics of a server in the background, in `logs/`.
pub const DIAGNOSTICS_LOG: &str = "tabmail.log";

fn diagnostics(debug: bool) -> tracing_subscriber::EnvFilter {
    use tracing_subscriber::EnvFilter;
    let default = if debug { "info,tabmail=debug" } else { "info" };
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}

#[cfg(test)]
mod tests;
