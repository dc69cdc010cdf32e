//! Why a page is not shown or a change not made, and how people are told.

use std::io::{self, ErrorKind};

use axum::http::StatusCode;

use crate::address::PathError;
use crate::admin::{AdminError, PasswordFault};
use crate::mailroot::edit::EditError;
use crate::mailroot::history::HistoryError;

/// Why a request is not answered as it was meant.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebError {
    /// No such page, domain, user or table.
    #[error("not found")]
    NotFound,
    /// Not with this role.
    #[error("forbidden")]
    Forbidden,
    /// The form is not from a page of ours, or too old.
    #[error("the form is not ours")]
    BadToken,
    /// The form is not one: too large, or not as browsers send it.
    #[error("not a form")]
    BadForm,
    /// What the form was made from is forgotten.
    #[error("the page is too old")]
    Stale,
    /// A use-case refused or failed.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A password that its owner could not log in with.
    #[error("{0:?}")]
    Password(PasswordFault),
    /// The name of an alias that is no local part.
    #[error("not the name of an alias")]
    BadAlias,
    /// The history.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A template.
    #[error("{0:#}")]
    Template(#[from] minijinja::Error),
    /// No random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// A file that is only read.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl WebError {
    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::History(HistoryError::None { .. } | HistoryError::NoSuchState { .. }) => {
                StatusCode::NOT_FOUND
            }
            Self::Forbidden | Self::BadToken => StatusCode::FORBIDDEN,
            Self::BadForm => StatusCode::BAD_REQUEST,
            Self::Stale => StatusCode::CONFLICT,
            _ if self.disk_key().is_some() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Admin(AdminError::Edit(EditError::Conflict(_))) => StatusCode::CONFLICT,
            Self::Password(_) | Self::BadAlias => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Admin(error) if is_answer(error) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The key for a disk that takes no change, whatever was to be changed.
    fn disk_key(&self) -> Option<&'static str> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return match error.kind() {
                    ErrorKind::ReadOnlyFilesystem => Some("error.read_only"),
                    ErrorKind::PermissionDenied => Some("error.no_permission"),
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("error.disk_full"),
                    _ => None,
                };
            }
            cause = error.source();
        }
        None
    }

    /// The key of what the page is called.
    pub(super) fn title_key(&self) -> &'static str {
        match self {
            Self::NotFound => "error.not_found_title",
            Self::Forbidden => "error.forbidden_title",
            _ => "error.title",
        }
    }

    /// The field of a form that it is about; empty: the one that names what the form is about.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::Password(_) => "password",
            _ => "",
        }
    }

    /// The key of its text; `error.other` shows the error's own words.
    pub(super) fn key(&self) -> &'static str {
        if let Some(key) = self.disk_key() {
            return key;
        }
        match self {
            Self::NotFound => "error.not_found",
            Self::Forbidden => "error.forbidden",
            Self::BadToken => "error.bad_token",
            Self::BadForm => "error.bad_form",
            Self::Stale => "error.stale",
            Self::BadAlias => "error.bad_alias",
            Self::Admin(error) => admin_key(error),
            Self::History(HistoryError::None { .. }) => "error.no_history",
            _ => "error.other",
        }
    }
}

/// Whether a refusal is about what was asked, and not about the disk.
fn is_answer(error: &AdminError) -> bool {
    admin_key(error) != "error.other"
}

fn admin_key(error: &AdminError) -> &'static str {
    match error {
        AdminError::DomainNotHandled => "error.domain_not_handled",
        AdminError::DomainExists => "error.domain_exists",
        AdminError::AliasDomainExists => "error.alias_domain_exists",
        AdminError::AliasDomainNotFound => "error.alias_domain_not_found",
        AdminError::UserExists => "error.user_exists",
        AdminError::UserNotFound => "error.user_not_found",
        AdminError::BadUserName => "error.bad_user_name",
        AdminError::PasswordTooLong { .. } => "error.password_too_long",
        AdminError::PasswordTooShort { .. } => "error.password_too_short",
        AdminError::AliasExists => "error.alias_exists",
        AdminError::GroupExists => "error.group_exists",
        AdminError::GroupNotFound => "error.group_not_found",
        AdminError::BadGroupName => "error.bad_group_name",
        AdminError::NoMailbox => "error.no_mailbox",
        AdminError::MailboxBusy => "error.mailbox_busy",
        AdminError::BadRelay(_) => "error.bad_relay",
        AdminError::BadWelcome => "error.bad_welcome",
        AdminError::NotAList => "error.not_a_list",
        AdminError::AliasNotFound => "error.alias_not_found",
        AdminError::AdministratorExists => "error.administrator_exists",
        AdminError::AdministratorNotFound => "error.administrator_not_found",
        AdminError::LastAdministrator => "error.last_administrator",
        AdminError::BadDepartment => "error.bad_department",
        AdminError::DepartmentNotFound => "error.department_not_found",
        AdminError::ExternalAliasExists => "error.alias_exists",
        AdminError::ExternalAliasNotFound => "error.alias_not_found",
        AdminError::LinkExists => "error.link_exists",
        AdminError::LinkNotFound => "error.link_not_found",
        AdminError::Address(PathError::Host) => "error.bad_host",
        AdminError::Address(PathError::TooLong) => "error.address_too_long",
        AdminError::Address(PathError::NonAscii) => "error.not_ascii",
        AdminError::Address(_) => "error.bad_address",
        AdminError::FileRefused => "error.file_refused",
        AdminError::FrozenNotFound => "error.frozen_not_found",
        AdminError::NoSpool => "error.no_spool",
        AdminError::NoServer => "error.no_server",
        AdminError::NoSuchService => "error.no_such_service",
        AdminError::SwitchedOff { .. } => "error.switched_off",
        AdminError::Archive(_) => "error.archive",
        AdminError::Certificate(_) => "error.certificate",
        AdminError::BadTable { .. } => "error.bad_table",
        AdminError::MakeDirectory { .. } => "error.directory_exists",
        AdminError::Edit(EditError::Busy { .. }) => "error.busy",
        AdminError::Edit(EditError::OpenForWriting { .. }) => "error.open_for_writing",
        AdminError::Edit(EditError::ChangedMeanwhile { .. }) => "error.changed_meanwhile",
        AdminError::Edit(EditError::Value { .. } | EditError::ColumnCount { .. }) => "error.bad_value",
        AdminError::Edit(EditError::LineTooLong { .. }) => "error.line_too_long",
        AdminError::Edit(EditError::Rejected { .. }) => "error.rejected",
        AdminError::Edit(EditError::Conflict(_)) => "error.changed_meanwhile",
        AdminError::NotACustomDomain => "error.not_a_custom_domain",
        AdminError::NoMailProc | AdminError::NoSuchFile => "error.no_such_file",
        AdminError::NoSuchDirectory => "error.no_such_directory",
        AdminError::BadPath => "error.file_refused",
        AdminError::CannotExchange => "error.cannot_exchange",
        AdminError::MemberExists => "error.member_exists",
        AdminError::MemberNotFound => "error.member_not_found",
        AdminError::Random(_)
        | AdminError::Hash(_)
        | AdminError::Mailbox(_)
        | AdminError::Spool(_)
        | AdminError::RemoveDirectory { .. }
        | AdminError::Disk { .. }
        | AdminError::Edit(
            EditError::BadPath { .. }
            | EditError::Lock { .. }
            | EditError::Read { .. }
            | EditError::Write { .. }
            | EditError::NoSuchRow { .. }
            | EditError::NulByte { .. },
        ) => "error.other",
    }
}
