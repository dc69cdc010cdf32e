//! Why a use-case was refused or failed.

use std::io;
use std::path::PathBuf;

use crate::address::PathError;
use crate::auth::HashError;
use crate::mailbox::MailboxError;
use crate::mailroot::edit::EditError;
use crate::mailroot::{Problem, ProblemKind};
use crate::spool::SpoolError;

/// Why a use-case was refused or failed. What was asked for is known to the caller and not repeated.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The domain is not in `domains.tab`.
    #[error("the domain is not handled here")]
    DomainNotHandled,
    /// The domain, or an alias domain of that name, exists.
    #[error("the domain exists already")]
    DomainExists,
    /// The alias domain, or a domain of that name, exists.
    #[error("the alias domain exists already")]
    AliasDomainExists,
    /// No such row in `aliasdomain.tab`.
    #[error("there is no such alias domain")]
    AliasDomainNotFound,
    /// No command file in `custdomains/` applies.
    #[error("this is no custom domain")]
    NotACustomDomain,
    /// The account exists.
    #[error("the user exists already")]
    UserExists,
    /// No such account.
    #[error("there is no such user")]
    UserNotFound,
    /// The name breaks the address grammar, or cannot name a directory.
    #[error("the name cannot be that of an account")]
    BadUserName,
    /// The account is a list and has no mailbox.
    #[error("the account has no mailbox")]
    NoMailbox,
    /// Longer than XMail can store.
    #[error("the password has {length} bytes, too many")]
    PasswordTooLong {
        /// Bytes given.
        length: usize,
    },
    /// Too few characters for an administrator's password.
    #[error("the password needs at least {needed} characters")]
    PasswordTooShort {
        /// Characters needed.
        needed: usize,
    },
    /// An administrator of that name exists.
    #[error("the administrator exists already")]
    AdministratorExists,
    /// No such row in `webadmin.tab`.
    #[error("there is no such administrator")]
    AdministratorNotFound,
    /// Without this one nobody could administer everything.
    #[error("this is the last administrator of the role system")]
    LastAdministrator,
    /// No random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// Neither the account nor its domain has a `mailproc.tab`.
    #[error("there is no mailproc.tab")]
    NoMailProc,
    /// An alias of that name exists.
    #[error("the alias exists already")]
    AliasExists,
    /// No such row in `aliases.tab`.
    #[error("there is no such alias")]
    AliasNotFound,
    /// A row for that outside address exists.
    #[error("the external alias exists already")]
    ExternalAliasExists,
    /// No such row in `extaliases.tab`.
    #[error("there is no such external alias")]
    ExternalAliasNotFound,
    /// The group exists.
    #[error("the group exists already")]
    GroupExists,
    /// No such group in the domain.
    #[error("there is no such group")]
    GroupNotFound,
    /// The name cannot name a directory.
    #[error("the name cannot be that of a group")]
    BadGroupName,
    /// A session has the mailbox open.
    #[error("the mailbox is in use")]
    MailboxBusy,
    /// The file system cannot exchange two names.
    #[error("the account's directory cannot be renamed safely on this file system")]
    CannotExchange,
    /// Not a host list, or options that are none.
    #[error("the relay is not valid: {0}")]
    BadRelay(ProblemKind),
    /// The template of welcome mail is too large or has no header.
    #[error("the welcome mail is not a message with a header")]
    BadWelcome,
    /// The path of a department is none, or is taken.
    #[error("this cannot be the path of a department")]
    BadDepartment,
    /// The address book has no such department.
    #[error("there is no such department")]
    DepartmentNotFound,
    /// The account is not a mailing list.
    #[error("the account is no mailing list")]
    NotAList,
    /// The address is a member already.
    #[error("the address is a member already")]
    MemberExists,
    /// The address is no member.
    #[error("the address is no member")]
    MemberNotFound,
    /// A link with these four columns exists.
    #[error("the link exists already")]
    LinkExists,
    /// No link matches.
    #[error("there is no such link")]
    LinkNotFound,
    /// A mail address or a domain breaks the grammar.
    #[error(transparent)]
    Address(#[from] PathError),
    /// A path leads out of its directory, or a name is not one plain component (decision 16).
    #[error("the path is not allowed")]
    BadPath,
    /// There is no such directory.
    #[error("there is no such directory")]
    NoSuchDirectory,
    /// There is no such file, or not one that may be read here (decision 16).
    #[error("there is no such file")]
    NoSuchFile,
    /// Not one of the files of a MailRoot that may be written here, or its directory is missing (decision 16).
    #[error("the file cannot be made")]
    FileRefused,
    /// An uploaded table would lose rows; it was not stored (decision 16).
    #[error("the table is not well-formed: {}", .problems.first().map(ToString::to_string).unwrap_or_default())]
    BadTable {
        /// What is wrong with it, at least one.
        problems: Vec<Problem>,
    },
    /// There is no such frozen message.
    #[error("there is no such frozen message")]
    FrozenNotFound,
    /// This server has no spool at hand.
    #[error("the spool is not open")]
    NoSpool,
    /// No server runs in this process.
    #[error("the mail server is not running here")]
    NoServer,
    /// No listening service is called so.
    #[error("there is no such service")]
    NoSuchService,
    /// The configuration switches the service off, so it cannot be opened.
    #[error("the service is switched off by {option}")]
    SwitchedOff {
        /// Of the command line, or a variable of `server.tab`.
        option: String,
    },
    /// A certificate and its key cannot be used.
    #[error("certificate and key: {0}")]
    Certificate(String),
    /// A backup cannot be made or read.
    #[error(transparent)]
    Archive(#[from] super::backup::BackupError),
    /// A table could not be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A mailbox could not be made or read.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The spool could not be read or changed.
    #[error(transparent)]
    Spool(SpoolError),
    /// A directory could not be made, or exists although nobody owns it.
    #[error("{}: cannot make the directory: {source}", path.display())]
    MakeDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory could not be removed.
    #[error("{}: cannot remove the directory: {source}", path.display())]
    RemoveDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another file could not be read or written.
    #[error("{}: cannot {action}: {source}", path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl From<SpoolError> for AdminError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::NoSuchMessage { .. } => Self::FrozenNotFound,
            other => Self::Spool(other),
        }
    }
}
