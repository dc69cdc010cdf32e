//! What an error tells beyond its key, in both languages. The English is the error's own; the Chinese stands in
//! `schema.zh.tab` under `trouble.<what>`, what was tried under `action.<verb>`, and what the system says as a phrase.

use std::fmt::Display;
use std::io;
use std::path::Path;

use super::error::WebError;
use super::i18n::{Catalogs, Language, fill};
use super::schema_text;
use crate::address::PathError;
use crate::admin::AdminError;
use crate::admin::backup::BackupError;
use crate::mailroot::Problem;
use crate::mailroot::edit::EditError;
use crate::mailroot::history::HistoryError;
use crate::spool::SpoolError;

/// What an error tells.
pub(super) fn detail(catalogs: &Catalogs, language: Language, error: &WebError) -> String {
    match language {
        Language::English => error.to_string(),
        Language::Chinese => Chinese(catalogs).web(error),
    }
}

/// What an error of a use-case tells.
pub(super) fn of_admin(catalogs: &Catalogs, language: Language, error: &AdminError) -> String {
    match language {
        Language::English => error.to_string(),
        Language::Chinese => Chinese(catalogs).admin(error),
    }
}

struct Chinese<'a>(&'a Catalogs);

impl Chinese<'_> {
    fn say(&self, key: &str, values: &[(&str, &dyn Display)]) -> String {
        let key = format!("trouble.{key}");
        let texts: Vec<(&str, String)> =
            values.iter().map(|(name, value)| (*name, value.to_string())).collect();
        let pairs: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        fill(self.0.schema(Language::Chinese, &key, &key), &pairs)
    }

    fn phrase(&self, english: &dyn Display) -> String {
        self.0.phrase(Language::Chinese, &english.to_string())
    }

    /// Something was tried on a file.
    fn disk(&self, action: &'static str, path: &Path, source: &io::Error) -> String {
        let action = self.0.schema(Language::Chinese, &format!("action.{action}"), action);
        self.say("disk", &[("file", &path.display()), ("action", &action), ("reason", &self.phrase(source))])
    }

    fn file(&self, path: &Path, reason: &dyn Display) -> String {
        self.say("file", &[("file", &path.display()), ("reason", &self.phrase(reason))])
    }

    fn problem(&self, problem: &Problem) -> String {
        let place = problem.to_string();
        let place = place.strip_suffix(&format!(": {}", problem.kind)).unwrap_or_default();
        let what = schema_text::problem(self.0, Language::Chinese, &problem.kind);
        self.say("problem", &[("place", &place), ("what", &what)])
    }

    fn web(&self, error: &WebError) -> String {
        match error {
            WebError::Admin(error) => self.admin(error),
            WebError::History(error) => self.history(error),
            WebError::Random(error) => self.say("random", &[("reason", error)]),
            WebError::Disk { path, source } => self.file(path, source),
            // Their keys say all, or they are for whoever writes templates.
            WebError::NotFound
            | WebError::Forbidden
            | WebError::BadToken
            | WebError::BadForm
            | WebError::Stale
            | WebError::Password(_)
            | WebError::BadAlias
            | WebError::Template(_) => error.to_string(),
        }
    }

    fn admin(&self, error: &AdminError) -> String {
        match error {
            AdminError::Random(error) => self.say("random", &[("reason", error)]),
            AdminError::Hash(_) => self.say("hash", &[]),
            AdminError::BadRelay(kind) => schema_text::problem(self.0, Language::Chinese, kind),
            AdminError::Address(error) => self.say(address_key(*error), &[]),
            AdminError::BadTable { problems } => {
                problems.first().map(|problem| self.problem(problem)).unwrap_or_default()
            }
            AdminError::SwitchedOff { option } => self.say("switched_off", &[("option", option)]),
            AdminError::Certificate(reason) => self.phrase(reason),
            AdminError::Archive(error) => self.backup(error),
            AdminError::Edit(error) => self.edit(error),
            AdminError::Mailbox(error) => self.disk(error.action, &error.path, &error.source),
            AdminError::Spool(SpoolError::Disk { action, path, source }) => self.disk(action, path, source),
            AdminError::Spool(SpoolError::Stopping) => self.say("stopping", &[]),
            AdminError::Spool(error @ SpoolError::NoSuchMessage { .. }) => error.to_string(),
            AdminError::MakeDirectory { path, source } => self.disk("make", path, source),
            AdminError::RemoveDirectory { path, source } => self.disk("remove", path, source),
            AdminError::Disk { action, path, source } => self.disk(action, path, source),
            // Their keys say all.
            AdminError::DomainNotHandled
            | AdminError::DomainExists
            | AdminError::AliasDomainExists
            | AdminError::AliasDomainNotFound
            | AdminError::NotACustomDomain
            | AdminError::UserExists
            | AdminError::UserNotFound
            | AdminError::BadUserName
            | AdminError::NoMailbox
            | AdminError::PasswordTooLong { .. }
            | AdminError::PasswordTooShort { .. }
            | AdminError::AdministratorExists
            | AdminError::AdministratorNotFound
            | AdminError::LastAdministrator
            | AdminError::NoMailProc
            | AdminError::AliasExists
            | AdminError::AliasNotFound
            | AdminError::ExternalAliasExists
            | AdminError::ExternalAliasNotFound
            | AdminError::GroupExists
            | AdminError::GroupNotFound
            | AdminError::BadGroupName
            | AdminError::MailboxBusy
            | AdminError::CannotExchange
            | AdminError::BadWelcome
            | AdminError::BadDepartment
            | AdminError::DepartmentNotFound
            | AdminError::NotAList
            | AdminError::MemberExists
            | AdminError::MemberNotFound
            | AdminError::LinkExists
            | AdminError::LinkNotFound
            | AdminError::BadPath
            | AdminError::NoSuchDirectory
            | AdminError::NoSuchFile
            | AdminError::FileRefused
            | AdminError::FrozenNotFound
            | AdminError::NoSpool
            | AdminError::NoServer
            | AdminError::NoSuchService => error.to_string(),
        }
    }

    fn edit(&self, error: &EditError) -> String {
        match error {
            EditError::BadPath { file } => self.say("outside", &[("file", &file.display())]),
            EditError::Busy { waited } => self.say("busy", &[("secs", &waited.as_secs())]),
            EditError::Lock { source } => self.say("lock", &[("reason", &self.phrase(source))]),
            EditError::Read { file, source } => self.disk("read", file, source),
            EditError::Write { file, source } => self.disk("write", file, source),
            EditError::Conflict(conflict) => self.say("changed", &[("file", &conflict.file.display())]),
            EditError::OpenForWriting { file, program, pid } => {
                self.say("open", &[("file", &file.display()), ("program", program), ("pid", pid)])
            }
            EditError::ChangedMeanwhile { file } => self.say("changed", &[("file", &file.display())]),
            EditError::NoSuchRow { file, line } => {
                self.say("no_row", &[("file", &file.display()), ("line", line)])
            }
            EditError::Value { file, column, reason } => {
                let reason = self.phrase(reason);
                self.say("value", &[("file", &file.display()), ("column", column), ("reason", &reason)])
            }
            EditError::ColumnCount { file, needed, found } => {
                self.say("columns", &[("file", &file.display()), ("needed", needed), ("found", found)])
            }
            EditError::LineTooLong { file, line, length, limit } => self.say(
                "line_too_long",
                &[("file", &file.display()), ("line", line), ("length", length), ("limit", limit)],
            ),
            EditError::NulByte { file, line } => {
                self.say("nul", &[("file", &file.display()), ("line", line)])
            }
            EditError::Rejected { problem } => self.problem(problem),
        }
    }

    fn backup(&self, error: &BackupError) -> String {
        match error {
            BackupError::Archive { path, source } | BackupError::File { path, source } => {
                self.file(path, source)
            }
            BackupError::NoRoom { path, free_bytes } => {
                let free = super::i18n::size(Language::Chinese, *free_bytes);
                self.say("no_room", &[("file", &path.display()), ("free", &free)])
            }
            BackupError::TooLarge { limit } => {
                self.say("tables_too_large", &[("limit", &super::i18n::size(Language::Chinese, *limit))])
            }
            BackupError::TooLargeToReceive { limit } => {
                self.say("too_large", &[("limit", &super::i18n::size(Language::Chinese, *limit))])
            }
            BackupError::NeverStill => self.say("never_still", &[]),
        }
    }

    fn history(&self, error: &HistoryError) -> String {
        match error {
            HistoryError::None { path } => self.say("no_history", &[("file", &path.display())]),
            HistoryError::NoSuchState { number, oldest, newest } => {
                self.say("no_state", &[("number", number), ("oldest", oldest), ("newest", newest)])
            }
            HistoryError::NotRecorded { file, number } => {
                self.say("not_recorded", &[("file", &file.display()), ("number", number)])
            }
            HistoryError::Damaged { path, reason } => {
                self.say("damaged", &[("file", &path.display()), ("reason", &self.phrase(reason))])
            }
            HistoryError::Name { file, source } => self.file(file, &source.reason),
            HistoryError::Disk { path, source } => self.file(path, source),
        }
    }
}

fn address_key(error: PathError) -> &'static str {
    match error {
        PathError::NoAngleBrackets => "address.brackets",
        PathError::TooLong => "address.long",
        PathError::Grammar => "address.grammar",
        PathError::Host => "address.host",
        PathError::NonAscii => "address.ascii",
        PathError::NullForwardPath => "address.null",
    }
}
