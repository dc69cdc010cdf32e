//! Work that takes longer than a page: one thing at a time, on a thread of its own, with its progress for pages.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::App;
use crate::admin::backup::Progress;

/// The work of this process: what runs, or what ran last.
#[derive(Default)]
pub(super) struct Jobs {
    last: Mutex<Option<Job>>,
}

/// Something that runs or ran.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Job {
    /// The key of its text.
    pub(super) what: &'static str,
    pub(super) begun_unix_secs: i64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) is_running: bool,
    /// What came of it, in the language of whoever began it.
    pub(super) result: String,
    pub(super) is_good: bool,
}

impl Jobs {
    /// What runs, or ran last.
    pub(super) fn last(&self) -> Option<Job> {
        self.lock().clone()
    }

    /// Begins something; false when something else runs. `work` tells its progress and gives back what people are told.
    pub(super) fn begin(
        app: &Arc<App>,
        what: &'static str,
        work: impl FnOnce(&App, &(dyn Fn(Progress) + Sync)) -> Result<String, String> + Send + 'static,
    ) -> bool {
        {
            let mut last = app.jobs.lock();
            if last.as_ref().is_some_and(|job| job.is_running) {
                return false;
            }
            let begun_unix_secs = app.services.clock.unix_secs();
            let (result, is_good) = (String::new(), false);
            *last =
                Some(Job { what, begun_unix_secs, files: 0, bytes: 0, is_running: true, result, is_good });
        }
        let begun = Arc::clone(app);
        let run = move || {
            let mut ending = Ending { app: Arc::clone(&begun), outcome: Err(String::new()) };
            let tell = |progress: Progress| {
                if let Some(job) = begun.jobs.lock().as_mut() {
                    (job.files, job.bytes) = (progress.files, progress.bytes);
                }
            };
            let outcome = work(&begun, &tell);
            ending.outcome = outcome;
        };
        if let Err(error) = std::thread::Builder::new().name("web job".into()).spawn(run) {
            drop(Ending { app: Arc::clone(app), outcome: Err(error.to_string()) });
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Option<Job>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When it is dropped, however the work ended, the next job may begin.
struct Ending {
    app: Arc<App>,
    outcome: Result<String, String>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(job) = self.app.jobs.lock().as_mut() {
            job.is_running = false;
            job.is_good = self.outcome.is_ok();
            job.result = match &self.outcome {
                Ok(text) | Err(text) => text.clone(),
            };
        }
    }
}
