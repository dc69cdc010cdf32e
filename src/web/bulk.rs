//! One change to very many accounts: a few of them are rehearsed and shown, the job does all, some at a time.
//!
//! What is held in memory are the names. A change that fails for some accounts is tried for each of them alone, so that
//! one broken `user.tab` does not keep the others from it; after [`FAILURES_MAX`] of them it is given up. Each account that
//! was changed has a row in the audit log. A change that was interrupted may be repeated: what is done already stays.

use std::path::Path;

use super::App;
use super::audit::{self, Note};
use super::deed::Change;
use crate::admin::backup::Progress;
use crate::admin::{Admin, AdminError};
use crate::mailroot::history::with_origin;

/// Up to so many accounts are shown with all their files, and changed while the browser waits. Ours.
pub(super) const AT_ONCE_MAX: usize = 1000;

/// Of more accounts so many are shown. Ours.
const SHOWN: usize = 20;

/// After so many failures the rest would fail as well: a full disk, a group that is gone. Ours.
const FAILURES_MAX: usize = 100;

/// Accounts changed in one go where each has a file of its own: other changes wait for them. Ours.
pub(super) const FILES_AT_ONCE: usize = 200;

/// Accounts changed in one go where they are rows of one table, which is written for them as a whole. Ours.
pub(super) const ROWS_AT_ONCE: usize = 10_000;

type Run = dyn Fn(&Admin, &[String]) -> Result<(), AdminError> + Send + Sync;

/// A change of many accounts of a domain.
pub(super) struct Bulk {
    pub(super) domain: String,
    pub(super) names: Vec<String>,
    at_once: usize,
    run: Box<Run>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) done: usize,
    /// Accounts that were removed meanwhile.
    pub(super) gone: usize,
    pub(super) failed: usize,
    /// The first account that failed, and why.
    pub(super) first: String,
    /// Accounts that were not tried any more.
    pub(super) left: usize,
}

impl Bulk {
    /// `run` may be called with the same accounts several times.
    pub(super) fn new(
        domain: String,
        names: Vec<String>,
        at_once: usize,
        run: impl Fn(&Admin, &[String]) -> Result<(), AdminError> + Send + Sync + 'static,
    ) -> Self {
        Self { domain, names, at_once, run: Box::new(run) }
    }

    /// Whether a job does it.
    pub(super) fn is_long(&self) -> bool {
        self.names.len() > AT_ONCE_MAX
    }

    /// The accounts that are shown.
    pub(super) fn shown(&self) -> &[String] {
        if self.is_long() { &self.names[..SHOWN] } else { &self.names }
    }

    /// Does it to the accounts that are shown.
    pub(super) fn run_shown(&self, admin: &Admin) -> Result<(), AdminError> {
        (self.run)(admin, self.shown())
    }

    /// Bytes of the names.
    pub(super) fn bytes(&self) -> usize {
        self.names.iter().map(|name| name.len() + size_of::<String>()).sum()
    }

    /// Does it to all accounts.
    pub(super) fn run_all(&self, app: &App, note: &Note<'_>, tell: &(dyn Fn(Progress) + Sync)) -> Outcome {
        let mut outcome = Outcome::default();
        with_origin(&format!("web {}", note.name), || {
            for some in self.names.chunks(self.at_once) {
                match outcome.failed >= FAILURES_MAX {
                    true => outcome.left += some.len(),
                    false => self.run_some(app, note, some, &mut outcome),
                }
                let files = (outcome.done + outcome.gone + outcome.failed) as u64;
                tell(Progress { files, bytes: 0 });
            }
        });
        outcome
    }

    fn run_some(&self, app: &App, note: &Note<'_>, some: &[String], outcome: &mut Outcome) {
        let admin = &app.services.admin;
        let there = admin.still_accounts(&self.domain, some);
        outcome.gone += some.len() - there.len();
        let mut done: Vec<&String> = Vec::new();
        match (self.run)(admin, &there) {
            Ok(()) => done.extend(&there),
            Err(_) => {
                for (index, name) in there.iter().enumerate() {
                    if outcome.failed >= FAILURES_MAX {
                        outcome.left += there.len() - index;
                        break;
                    }
                    match (self.run)(admin, std::slice::from_ref(name)) {
                        Ok(()) => done.push(name),
                        // What was tried with the others has removed it.
                        Err(AdminError::UserNotFound) => done.push(name),
                        Err(error) => outcome.fail(name, &error),
                    }
                }
            }
        }
        outcome.done += done.len();
        let address = |name: &&String| Change::of(Path::new(&format!("{name}@{}", self.domain)), "");
        if !done.is_empty() {
            audit::write(app, note, &done.iter().map(address).collect::<Vec<_>>());
        }
    }
}

impl Outcome {
    fn fail(&mut self, name: &str, error: &AdminError) {
        if self.failed == 0 {
            self.first = format!("{name}: {error}");
        }
        self.failed += 1;
    }
}
