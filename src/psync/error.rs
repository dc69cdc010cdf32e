//! Why a link's session did not do all its work.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use bstr::BString;

use super::client::Command;
use crate::dns::DnsFailure;
use crate::net::ReadError;
use crate::net::tls::TlsError;
use crate::spool::SpoolError;

/// What ended a session before its QUIT, or kept it from beginning. Nothing of it is seen by the remote server.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    /// Column 4 or 5 cannot be sent: it holds a line end or a NUL, or the password cannot be decoded.
    #[error("pop3links.tab: the user or the password of this link cannot be sent")]
    BadLogin,
    /// A name that cannot be made a file name.
    #[error("pop3links.tab: remote host and user make no file name")]
    BadName,
    /// The host has no address in the wanted family.
    #[error("the remote host has no address")]
    NoAddress,
    /// DNS does not know.
    #[error("DNS error {}: {}", .0.code, .0.text)]
    Dns(DnsFailure),
    /// Nobody answers.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The last address that was tried.
        address: IpAddr,
        /// Why.
        source: io::Error,
    },
    /// The handshake failed.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The server was silent, went away or broke the connection.
    #[error("the server ended the session: {0}")]
    Read(#[from] ReadError),
    /// The server sends, but so slowly that it holds our slot.
    #[error("the server sends less than {} bytes a second", super::fetch::BYTES_PER_SECOND_MIN)]
    TooSlow,
    /// A line longer than [`super::fetch::REPLY_LINE_BYTES_MAX`].
    #[error("the server sent a line of more than {} bytes", super::fetch::REPLY_LINE_BYTES_MAX)]
    LineTooLong,
    /// Neither `+OK` nor `-ERR` (XMail's error 42).
    #[error("the reply to {command} is not one of POP3: {line:?}")]
    NotAReply {
        /// What we said.
        command: Command,
        /// The beginning of the line.
        line: BString,
    },
    /// A row of a listing that is none.
    #[error("a row of {command} does not begin with a number: {line:?}")]
    BadRow {
        /// `LIST` or `UIDL`.
        command: Command,
        /// The beginning of the row.
        line: BString,
    },
    /// `-ERR` where the session cannot go on.
    #[error("the server refused {command}: {text:?}")]
    Refused {
        /// What we said.
        command: Command,
        /// What it answered.
        text: BString,
    },
    /// `FAPOP`, and the greeting has no time stamp.
    #[error("FAPOP: the server does not offer APOP")]
    NoApop,
    /// `Leave` needs UIDL (XMail's error 247).
    #[error("Leave: the server does not support UIDL")]
    NoUidl,
    /// More messages than [`super::client::MESSAGES_MAX`].
    #[error("the server lists more than {} messages", super::client::MESSAGES_MAX)]
    TooManyMessages,
    /// A message of more than [`super::client::MESSAGE_BYTES_MAX`]; it was not said to be so large.
    #[error("message {number} has more than {} bytes", super::client::MESSAGE_BYTES_MAX)]
    MessageTooLarge {
        /// Its number in this session.
        number: u32,
    },
    /// The queue took nothing.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The memory of seen messages, or the lock, cannot be read or written.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

impl SyncError {
    /// Whether the connection still works, so that QUIT makes the server forget what we deleted.
    pub(super) fn leaves_a_session(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::NoApop
                | Self::NoUidl
                | Self::Spool(_)
                | Self::Disk { .. }
                | Self::Stopping
        )
    }
}
