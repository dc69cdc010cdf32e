//! Results on the wire, and which error number an [`AdminError`] has.

use bstr::ByteSlice;

use crate::address::PathError;
use crate::admin::AdminError;
use crate::mailroot::edit::EditError;
use crate::status::{number, xmail_error_text};

/// A result, with the lines that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+00000 OK`
    Done,
    /// `+00000 Ready to start TLS mode`
    ReadyForTls,
    /// `+00100 OK`, the lines and the final dot.
    Lines(Lines),
    /// `+00101 OK`: send lines.
    Send,
    /// `-NNNNN` and XMail's text; the number is positive.
    Error(i32),
}

impl Reply {
    /// The octets to send.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Done => b"+00000 OK\r\n".to_vec(),
            Self::ReadyForTls => b"+00000 Ready to start TLS mode\r\n".to_vec(),
            Self::Lines(lines) => [b"+00100 OK\r\n", lines.octets.as_slice(), b".\r\n"].concat(),
            Self::Send => b"+00101 OK\r\n".to_vec(),
            Self::Error(number) => format!("-{number:05} {}\r\n", xmail_error_text(*number)).into_bytes(),
        }
    }
}

/// The lines of a listing. None of them can be taken for the final dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    octets: Vec<u8>,
}

impl Lines {
    /// Adds a row: columns in double quotes, without escaping.
    pub fn row<V: AsRef<[u8]>>(&mut self, columns: &[V]) {
        for (index, column) in columns.iter().enumerate() {
            self.octets.extend_from_slice(if index > 0 { b"\t\"" } else { b"\"" });
            self.octets.extend_from_slice(column.as_ref());
            self.octets.push(b'"');
        }
        self.octets.extend_from_slice(b"\r\n");
    }

    /// The lines of a file, a leading dot doubled.
    pub fn file(bytes: &[u8]) -> Self {
        let mut octets = Vec::with_capacity(bytes.len() + bytes.len() / 16);
        for line in bytes.lines_with_terminator() {
            if line.starts_with(b".") {
                octets.push(b'.');
            }
            octets.extend_from_slice(line.trim_end_with(|c| c == '\r' || c == '\n'));
            octets.extend_from_slice(b"\r\n");
        }
        Self { octets }
    }
}

/// XMail's error number of a refusal (golden `ctrl_commands`; the texts are in `mailflow.md` 16).
pub fn error_number(error: &AdminError) -> i32 {
    match error {
        // XMail's own number 12 is overwritten by a later lookup in all commands but userdel; clients see this.
        AdminError::UserNotFound => RECORD_NOT_FOUND,
        AdminError::DomainNotHandled => number::DOMAIN_NOT_HANDLED,
        AdminError::DomainExists => ALREADY_EXIST,
        AdminError::AliasDomainExists => number::DOMAIN_ALIAS_EXISTS,
        AdminError::AliasDomainNotFound => number::DOMAIN_ALIAS_NOT_FOUND,
        AdminError::NotACustomDomain => number::NOT_A_CUSTOM_DOMAIN,
        AdminError::UserExists => number::USER_EXISTS,
        AdminError::BadUserName => number::NOT_RFC822_NAME,
        AdminError::NoMailbox => OPENDIR,
        AdminError::PasswordTooLong { .. }
        | AdminError::PasswordTooShort { .. }
        | AdminError::Hash(_)
        | AdminError::Random(_) => number::INVALID_PASSWORD,
        // No command of CTRL is about the web pages' administrators.
        AdminError::AdministratorExists => ALREADY_EXIST,
        AdminError::AdministratorNotFound | AdminError::LastAdministrator => RECORD_NOT_FOUND,
        AdminError::NoMailProc => number::NO_MAILPROC,
        AdminError::AliasExists => number::ALIAS_EXISTS,
        AdminError::AliasNotFound => number::ALIAS_NOT_FOUND,
        AdminError::ExternalAliasExists => number::EXTERNAL_ALIAS_EXISTS,
        AdminError::ExternalAliasNotFound => number::EXTERNAL_ALIAS_NOT_FOUND,
        AdminError::GroupExists => ALREADY_EXIST,
        AdminError::GroupNotFound | AdminError::DepartmentNotFound => RECORD_NOT_FOUND,
        AdminError::BadGroupName | AdminError::BadDepartment => number::NOT_RFC822_NAME,
        AdminError::MailboxBusy => number::SERVER_TOO_BUSY,
        AdminError::CannotExchange => DIRECTORY_CREATE,
        AdminError::BadRelay(_) | AdminError::BadWelcome => number::FILE_INVALID,
        AdminError::NotAList => number::NOT_A_MAILING_LIST,
        AdminError::MemberExists => number::LIST_USER_EXISTS,
        AdminError::MemberNotFound => number::LIST_USER_NOT_FOUND,
        AdminError::LinkExists => number::POP3_LINK_EXISTS,
        AdminError::LinkNotFound => number::POP3_LINK_NOT_FOUND,
        AdminError::Address(PathError::Host) => number::HOST_NAME,
        AdminError::Address(_) => number::ADDRESS_SYNTAX,
        AdminError::BadPath => number::RELATIVE_PATH,
        AdminError::NoSuchDirectory => DIRECTORY_NOT_FOUND,
        AdminError::NoSuchFile | AdminError::FrozenNotFound => number::FILE_OPEN,
        AdminError::FileRefused => FILE_CREATE,
        AdminError::BadTable { .. } => number::FILE_INVALID,
        AdminError::NoSpool | AdminError::NoServer => number::SERVER_TOO_BUSY,
        AdminError::NoSuchService | AdminError::SwitchedOff { .. } => number::CTRL_SYNTAX,
        AdminError::Certificate(_) | AdminError::Archive(_) => number::FILE_INVALID,
        AdminError::Edit(error) => edit_number(error),
        AdminError::Mailbox(_) | AdminError::MakeDirectory { .. } => DIRECTORY_CREATE,
        AdminError::RemoveDirectory { .. } => DIRECTORY_REMOVE,
        AdminError::Spool(_) => number::FILE_OPEN,
        AdminError::Disk { action: "read" | "list", .. } => number::FILE_OPEN,
        AdminError::Disk { action: "remove", .. } => number::FILE_DELETE,
        AdminError::Disk { .. } => FILE_WRITE,
    }
}

fn edit_number(error: &EditError) -> i32 {
    match error {
        EditError::BadPath { .. } => number::RELATIVE_PATH,
        EditError::Busy { .. }
        | EditError::Lock { .. }
        | EditError::ChangedMeanwhile { .. }
        | EditError::Conflict(_)
        | EditError::OpenForWriting { .. } => LOCKED,
        EditError::Read { .. } => number::FILE_OPEN,
        EditError::Value { .. } => number::CTRL_SYNTAX,
        EditError::NoSuchRow { .. }
        | EditError::ColumnCount { .. }
        | EditError::NulByte { .. }
        | EditError::Rejected { .. } => number::FILE_INVALID,
        EditError::LineTooLong { .. } => number::LINE_TOO_LONG,
        EditError::Write { source, .. } if source.kind() == std::io::ErrorKind::NotFound => FILE_CREATE,
        EditError::Write { .. } => FILE_WRITE,
    }
}

/// Whether the operator of the server should see the error too: the disk's doing, not the client's.
pub fn is_servers_fault(error: &AdminError) -> bool {
    matches!(
        error,
        AdminError::Hash(_)
            | AdminError::NoSpool
            | AdminError::Mailbox(_)
            | AdminError::Spool(_)
            | AdminError::MakeDirectory { .. }
            | AdminError::RemoveDirectory { .. }
            | AdminError::Disk { .. }
            | AdminError::Edit(
                EditError::Busy { .. }
                    | EditError::Lock { .. }
                    | EditError::Read { .. }
                    | EditError::Rejected { .. }
                    | EditError::Write { .. }
            )
    )
}

// Numbers of XMail that only CTRL uses.
const LOCKED: i32 = 6;
const FILE_CREATE: i32 = 10;
const DIRECTORY_CREATE: i32 = 17;
const DIRECTORY_REMOVE: i32 = 18;
const FILE_WRITE: i32 = 21;
const OPENDIR: i32 = 97;
const RECORD_NOT_FOUND: i32 = 157;
/// `frozsubmit` of a message that is not there.
pub const FILE_MOVE: i32 = 164;
const DIRECTORY_NOT_FOUND: i32 = 211;
const ALREADY_EXIST: i32 = 231;
/// `#!TLS` under TLS.
pub const TLS_ACTIVE: i32 = 242;
/// `#!TLS` with `EnableCTRL-TLS` 0.
pub const TLS_DISABLED: i32 = 249;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_five_digits_and_xmails_text() {
        assert_eq!(Reply::Error(59).to_bytes(), b"-00059 POP3 domain not handled\r\n");
        assert_eq!(Reply::Error(TLS_DISABLED).to_bytes(), b"-00249 TLS service disabled\r\n");
        assert_eq!(Reply::Error(TLS_ACTIVE).to_bytes(), b"-00242 TLS link already active\r\n");
        assert_eq!(Reply::Error(FILE_MOVE).to_bytes(), b"-00164 Unable to move file\r\n");
        assert_eq!(Reply::Error(DIRECTORY_NOT_FOUND).to_bytes(), b"-00211 Listing directory not found\r\n");
    }

    #[test]
    fn no_line_of_a_file_ends_a_listing() {
        let reply = Reply::Lines(Lines::file(b"a\n.\n..b\r\n\n.c"));
        assert_eq!(reply.to_bytes(), b"+00100 OK\r\na\r\n..\r\n...b\r\n\r\n..c\r\n.\r\n");
    }

    #[test]
    fn rows_are_quoted_without_escaping() {
        let mut lines = Lines::default();
        lines.row(&["a", "", "say \"hi\""]);
        assert_eq!(Reply::Lines(lines).to_bytes(), b"+00100 OK\r\n\"a\"\t\"\"\t\"say \"hi\"\"\r\n.\r\n");
    }
}
