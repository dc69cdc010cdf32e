//! `.ipconn` in an account's directory: who logged in last by POP3, and when (`mailroot.md` 12.7).
//!
//! One line, the peer's address and LF; the file's modification time is the time of the log-in. POP-before-SMTP and
//! `userstat` read it. It is a hint, not mail: it is written in place and not synced, as XMail does.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use bstr::ByteSlice;

use super::{MailboxError, Mailboxes};
use crate::durable::FILE_MODE;
use crate::mailroot::{Account, MailRoot};

/// The last log-in to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastLogin {
    /// From where.
    pub peer: IpAddr,
    /// When.
    pub at: SystemTime,
}

impl Mailboxes {
    /// Notes a log-in from `peer`, now.
    ///
    /// # Errors
    /// The disk's; also when the account has no directory.
    pub fn record_login(&self, account: &Account, peer: IpAddr) -> Result<(), MailboxError> {
        let path = self.last_login_path(account);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let written = options.open(&path).and_then(|mut file| file.write_all(format!("{peer}\n").as_bytes()));
        written.map_err(MailboxError::on("write", &path))
    }

    /// The last log-in; `None` when there was none, or the file says nothing readable.
    ///
    /// # Errors
    /// The disk's, other than a missing file.
    pub fn last_login(&self, account: &Account) -> Result<Option<LastLogin>, MailboxError> {
        let path = self.last_login_path(account);
        let read = fs::read(&path).and_then(|text| Ok((text, fs::metadata(&path)?.modified()?)));
        match read {
            Ok((text, at)) => {
                let peer = text.trim().to_str().ok().and_then(|text| text.parse().ok());
                Ok(peer.map(|peer| LastLogin { peer, at }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(MailboxError::on("read", &path)(error)),
        }
    }

    fn last_login_path(&self, account: &Account) -> PathBuf {
        self.root.path().join(MailRoot::account_directory(account)).join(".ipconn")
    }
}
