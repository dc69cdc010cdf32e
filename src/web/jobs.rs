//! Work that takes longer than a page: one thing at a time, on a thread of its own, with its progress for pages.
//!
//! Shape: while something runs, [`LOCK`] is held and [`NOTE`] says what it is:
//!
//! ```text
//! "what" TAB "domain" TAB unix seconds TAB accounts
//! ```
//!
//! A process that starts and finds the note, but nobody who holds the lock, knows that the work was interrupted, and says
//! so until other work begins. All work may be begun again: what it has done stays, and nothing is half written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderValue, header};
use axum::response::Response;
use bstr::ByteSlice as _;
use serde::Serialize;

use super::App;
use crate::admin::backup::Progress;
use crate::durable::FileLock;
use crate::tab::{Record, fields, lines};

/// Held while something runs, in the MailRoot.
const LOCK: &str = ".tabmail/job.lock";

/// What runs, in the MailRoot.
const NOTE: &str = ".tabmail/job.tab";

/// How often a page with running work is loaded anew, in seconds.
const RELOAD_SECS: &str = "2";

/// The work of this process: what runs, or what ran last.
pub(super) struct Jobs {
    last: Mutex<Option<Job>>,
    root: PathBuf,
}

/// Something to do.
pub(super) struct Task {
    /// The key of its text.
    pub(super) what: &'static str,
    /// The domain whose administrators see it, too.
    pub(super) domain: Option<String>,
    /// Accounts that it is done to; 0: other work.
    pub(super) total: u64,
}

impl From<&'static str> for Task {
    fn from(what: &'static str) -> Self {
        Self { what, domain: None, total: 0 }
    }
}

/// Something that runs or ran.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Job {
    /// The key of its text.
    pub(super) what: String,
    pub(super) domain: Option<String>,
    pub(super) begun_unix_secs: i64,
    /// Files, or accounts, that are done.
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Accounts that it is done to; 0: other work.
    pub(super) total: u64,
    pub(super) is_running: bool,
    /// Whether the process ended before it did.
    pub(super) is_interrupted: bool,
    /// What came of it, in the language of whoever began it.
    pub(super) result: String,
    pub(super) is_good: bool,
}

impl Jobs {
    /// The work in a MailRoot: what was interrupted, if something was.
    pub(super) fn open(root: &Path) -> Self {
        let noted = fs::read(root.join(NOTE)).ok().and_then(|bytes| Job::noted(&bytes));
        // Whoever holds the lock still works on it.
        let is_held = || matches!(FileLock::try_acquire(&root.join(LOCK)), Ok(None));
        Self { last: Mutex::new(noted.filter(|_| !is_held())), root: root.to_owned() }
    }

    /// What runs, or ran last.
    pub(super) fn last(&self) -> Option<Job> {
        self.lock().clone()
    }

    /// The same, when it is about this domain.
    pub(super) fn last_of(&self, domain: &str) -> Option<Job> {
        self.last().filter(|job| job.domain.as_deref().is_some_and(|of| of.eq_ignore_ascii_case(domain)))
    }

    /// Begins something; false when something else runs. `work` tells its progress and gives back what people are told.
    pub(super) fn begin(
        app: &Arc<App>,
        task: impl Into<Task>,
        work: impl FnOnce(&App, &(dyn Fn(Progress) + Sync)) -> Result<String, String> + Send + 'static,
    ) -> bool {
        let Task { what, domain, total } = task.into();
        let begun_unix_secs = app.services.clock.unix_secs();
        let job =
            Job { what: what.to_owned(), domain, total, begun_unix_secs, is_running: true, ..Job::default() };
        let mut last = app.jobs.lock();
        if last.as_ref().is_some_and(|job| job.is_running) {
            return false;
        }
        let lock = match app.jobs.note(app, &job) {
            Ok(Some(lock)) => Some(lock),
            // Another process works.
            Ok(None) => return false,
            // A backup may be made where nothing can be written.
            Err(error) => {
                tracing::warn!("{NOTE}: {error}");
                None
            }
        };
        *last = Some(job);
        drop(last);
        let ending = Ending { app: Arc::clone(app), outcome: Err(String::new()), lock };
        let run = move || {
            let mut ending = ending;
            let begun = Arc::clone(&ending.app);
            let tell = |progress: Progress| {
                if let Some(job) = begun.jobs.lock().as_mut() {
                    (job.files, job.bytes) = (progress.files, progress.bytes);
                }
            };
            ending.outcome = work(&begun, &tell);
        };
        if let Err(error) = std::thread::Builder::new().name("web job".into()).spawn(run) {
            // The ending was dropped with the thread's work.
            if let Some(job) = app.jobs.lock().as_mut() {
                job.result = error.to_string();
            }
        }
        true
    }

    /// Takes the lock and writes what begins; `None`: somebody else has the lock.
    fn note(&self, app: &App, job: &Job) -> io::Result<Option<FileLock>> {
        let disk = &app.services.disk;
        let note = self.root.join(NOTE);
        disk.create_dir_all(note.parent().unwrap_or(&self.root))?;
        let Some(lock) = FileLock::try_acquire(&self.root.join(LOCK))? else { return Ok(None) };
        disk.replace(&note, &job.note())?;
        Ok(Some(lock))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Job>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Job {
    fn note(&self) -> Vec<u8> {
        let (begun, total) = (self.begun_unix_secs.to_string(), self.total.to_string());
        let domain = self.domain.as_deref().unwrap_or_default();
        let record = Record::quoted(&[&self.what, domain, &begun, &total]);
        record.map(|record| [record.as_bytes(), b"\n"].concat()).unwrap_or_default()
    }

    fn noted(bytes: &[u8]) -> Option<Self> {
        let row = fields(lines(bytes).next()?.content());
        let text = |index: usize| row.get(index)?.value.to_str().ok().map(str::to_owned);
        Some(Self {
            what: text(0)?,
            domain: text(1).filter(|domain| !domain.is_empty()),
            begun_unix_secs: text(2)?.parse().ok()?,
            total: text(3)?.parse().ok()?,
            is_interrupted: true,
            ..Self::default()
        })
    }
}

/// The answer of a page that shows work.
pub(super) fn reloading(mut page: Response, is_running: bool) -> Response {
    if is_running {
        page.headers_mut().insert(header::REFRESH, HeaderValue::from_static(RELOAD_SECS));
    }
    page
}

/// When it is dropped, however the work ended, the next job may begin.
struct Ending {
    app: Arc<App>,
    outcome: Result<String, String>,
    lock: Option<FileLock>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut last = self.app.jobs.lock();
        if self.lock.is_some() {
            let path = self.app.jobs.root.join(NOTE);
            if let Err(error) = self.app.services.disk.remove(&path) {
                tracing::warn!("{}: {error}", path.display());
            }
        }
        // Before the next one may begin.
        self.lock = None;
        if let Some(job) = last.as_mut() {
            job.is_running = false;
            job.is_good = self.outcome.is_ok();
            job.result = match &self.outcome {
                Ok(text) | Err(text) => text.clone(),
            };
        }
    }
}
