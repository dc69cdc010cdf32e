//! What a logged-in client works on, and the shape of its work: jobs in steps. Blocks; no tokio here.
//!
//! A command becomes a [`Job`]. Each [`Job::step`] gives some octets and ends soon, so that a client who reads slowly holds
//! neither a thread nor more than [`STEP_BYTES`] of memory. After the last step come what others have changed meanwhile
//! and the tagged answer.

use std::io;
use std::sync::Arc;

use super::command::Flag;
use super::encode::{self, Code, Condition};
use super::grammar::NameEncoding;
use super::selected::Selected;
use crate::clock::Clock;
use crate::mailbox::Mailboxes;
use crate::mailbox::folder::{FolderError, FolderName, Folders};
use crate::mailroot::schema::server as variables;
use crate::mailroot::{Account, Tables};

/// Octets that one step gives, give or take one message's answer without its text.
pub(super) const STEP_BYTES: usize = 128 * 1024;

/// What a logged-in client works on.
pub(super) struct Work {
    pub(super) account: Arc<Account>,
    pub(super) mailboxes: Mailboxes,
    pub(super) folders: Folders,
    pub(super) tables: Tables,
    pub(super) clock: Clock,
    pub(super) modes: Modes,
    pub(super) selected: Option<Selected>,
    /// The client cannot go on; this is what it is told.
    pub(super) farewell: Option<&'static str>,
}

/// What a client has enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modes {
    pub(super) rev2: bool,
    pub(super) utf8: bool,
    pub(super) condstore: bool,
    pub(super) qresync: bool,
}

/// What is left to do.
pub(super) enum Progress {
    /// Another step.
    More,
    /// Nothing: the tagged OK.
    Done(Option<Code>, &'static str),
}

/// Why a command is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) condition: Condition,
    pub(super) code: Option<Code>,
    pub(super) text: String,
}

/// The work of one command.
pub(super) trait Job: Send {
    /// Does some of it.
    fn step(&mut self, work: &mut Work, out: &mut Vec<u8>) -> Result<Progress, Refusal>;
}

/// A job of one step.
pub(super) struct Once<F>(pub(super) Option<F>);

impl<F> Job for Once<F>
where
    F: FnOnce(&mut Work, &mut Vec<u8>) -> Result<Progress, Refusal> + Send,
{
    fn step(&mut self, work: &mut Work, out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        self.0.take().map_or(Ok(Progress::Done(None, "done")), |work_once| work_once(work, out))
    }
}

/// A command that is being done.
pub(super) struct Running {
    pub(super) tag: String,
    pub(super) job: Box<dyn Job>,
    /// The rules let the client hear of removals now (RFC 9051 section 7.5.1).
    pub(super) may_expunge: bool,
}

impl Running {
    /// Does some of it; whether that was all.
    pub(super) fn step(&mut self, work: &mut Work, out: &mut Vec<u8>) -> bool {
        let (condition, code, text) = match self.job.step(work, out) {
            Ok(Progress::More) => return false,
            Ok(Progress::Done(code, text)) => (Condition::Ok, code, text.to_owned()),
            Err(refusal) => (refusal.condition, refusal.code, refusal.text),
        };
        work.sync(out, self.may_expunge);
        encode::tagged(out, &self.tag, condition, code.as_ref(), &text);
        true
    }
}

impl Work {
    /// Tells what has happened in the selected folder.
    pub(super) fn sync(&mut self, out: &mut Vec<u8>, may_expunge: bool) {
        let Some(selected) = &mut self.selected else { return };
        match selected.sync(out, self.modes, may_expunge) {
            Ok(()) => {}
            Err(FolderError::NoSuchFolder) => {
                self.selected = None;
                self.farewell = Some("The mailbox was removed or renamed");
            }
            // What was known is still good.
            Err(error) => tracing::error!("{} {}: {error}", self.account.address(), selected.folder.name()),
        }
    }

    /// The selected folder.
    pub(super) fn selected(&mut self) -> Result<&mut Selected, Refusal> {
        self.selected.as_mut().ok_or_else(|| Refusal::bad("No mailbox is selected"))
    }

    /// The selected folder, if it may be changed.
    pub(super) fn writable(&mut self) -> Result<&mut Selected, Refusal> {
        let selected = self.selected()?;
        if selected.read_only {
            return Err(Refusal::no(Some(Code::NoPerm), "The mailbox is selected read-only"));
        }
        Ok(selected)
    }

    /// How the client reads and writes mailbox names.
    pub(super) fn names(&self) -> NameEncoding {
        if self.modes.rev2 || self.modes.utf8 { NameEncoding::Utf8 } else { NameEncoding::ModifiedUtf7 }
    }

    /// Whether so many octets still fit the account (`MaxMBSize`).
    pub(super) fn check_quota(&self, bytes: u64) -> Result<(), Refusal> {
        let snapshot = self.tables.fresh();
        let Some(limit) = snapshot.user_settings(&self.account).mailbox_bytes_max() else { return Ok(()) };
        let stored = self.mailboxes.quota_usage(&self.account).map_err(FolderError::from)?.bytes;
        if stored.saturating_add(bytes) > limit {
            return Err(Refusal::no(Some(Code::OverQuota), "The mailbox is full"));
        }
        Ok(())
    }

    /// The largest message that is taken (`MaxMessageSize`); `None` without a limit.
    pub(super) fn append_limit(&self) -> Option<u64> {
        self.tables.current().server.kilobytes(&variables::MAX_MESSAGE_SIZE)
    }
}

impl Modes {
    /// Whether mod-sequences are told.
    pub(super) fn tells_modseq(self) -> bool {
        self.condstore || self.qresync
    }
}

impl Refusal {
    pub(super) fn no(code: Option<Code>, text: impl Into<String>) -> Self {
        Self { condition: Condition::No, code, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { condition: Condition::Bad, code: Some(Code::ClientBug), text: text.into() }
    }

    /// The target of COPY, MOVE and APPEND is not there: the client may make it.
    pub(super) fn of_target(error: FolderError) -> Self {
        match error {
            FolderError::NoSuchFolder => Self::no(Some(Code::TryCreate), "There is no such mailbox"),
            other => other.into(),
        }
    }
}

impl From<FolderError> for Refusal {
    fn from(error: FolderError) -> Self {
        let code = match &error {
            FolderError::NoSuchFolder => Code::NonExistent,
            FolderError::Exists => Code::AlreadyExists,
            FolderError::Inbox | FolderError::Name(_) => Code::Cannot,
            FolderError::Keywords | FolderError::NoUids => Code::Limit,
            FolderError::Metadata => Code::MetadataTooMany,
            FolderError::Mailbox(_) | FolderError::Table(_) => {
                tracing::error!("IMAP: {error}");
                return Self::no(Some(Code::Unavailable), "The server's disk fails, try again later");
            }
        };
        Self::no(Some(code), error.to_string())
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        tracing::error!("IMAP: {error}");
        Self::no(Some(Code::Unavailable), "The server's disk fails, try again later")
    }
}

/// The folder a client names.
pub(super) fn folder_name(name: &super::command::MailboxName) -> Result<FolderName, Refusal> {
    // Clients end the names of folders that will have others below with the separator.
    let text = name.as_str();
    let text = text.strip_suffix('/').unwrap_or(text);
    FolderName::parse(text).map_err(|error| Refusal::no(Some(Code::Cannot), error.to_string()))
}

/// The system flags and keywords of a list; `\Recent` and unknown ones with a backslash mean nothing.
pub(super) fn flags_of(flags: &[Flag]) -> (crate::mailbox::folder::Flags, Vec<String>) {
    use crate::mailbox::folder::Flags;
    let mut system = Flags::default();
    let mut keywords = Vec::new();
    for flag in flags {
        match flag {
            Flag::Keyword(name) => keywords.push(name.clone()),
            Flag::Recent | Flag::Extension(_) => {}
            named => system = system.union(Flags::from_name(&named.to_text()).unwrap_or_default()),
        }
    }
    (system, keywords)
}
