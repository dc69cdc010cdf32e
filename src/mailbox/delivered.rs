//! Putting a message into a mailbox.

use std::io::{self, BufWriter, Read, Write};

use super::{MailboxError, Mailboxes};
use crate::durable::FILE_MODE;
use crate::mailroot::Account;

/// What a delivery came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The message is now in the mailbox, on stable storage.
    Now,
    /// A file of this name was there already: a delivery before a crash had got this far.
    Before,
}

/// One message for one mailbox.
pub struct Delivery<'a> {
    /// The file name, which becomes the UIDL: the spool name.
    pub name: &'a str,
    /// Header fields put in front, CRLF lines.
    pub prefix: &'a [u8],
    /// The message, stored as it comes (dot-stuffed, CRLF).
    pub data: &'a mut dyn Read,
    /// Whether a file of this name may exist from an attempt before a crash. A first attempt need not look.
    pub may_have_arrived: bool,
}

impl Mailboxes {
    /// Delivers a message. On `Ok` it is on stable storage.
    ///
    /// # Errors
    /// The disk's; nothing of the message is visible then.
    pub fn deliver(&self, account: &Account, delivery: Delivery<'_>) -> Result<Delivered, MailboxError> {
        if delivery.may_have_arrived
            && let Some(directory) = self.arrived(account, delivery.name)
        {
            // The earlier attempt may have ended before its last step.
            self.disk.sync_dir(&directory).map_err(MailboxError::on("sync", &directory))?;
            return Ok(Delivered::Before);
        }
        let inbox = self.inbox(account);
        if !inbox.is_dir() {
            // An account row without its directories: mail is not lost because of that.
            self.create(account)?;
        }
        let directory = self.root.temporary_directory(&account.domain);
        self.disk.create_dir_all(&directory).map_err(MailboxError::on("create", &directory))?;
        let temporary = directory.join(delivery.name);
        // Left by an attempt that a crash ended.
        match self.disk.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(MailboxError::on("remove", &temporary)(error));
            }
            _ => {}
        }
        let written = self.write(&temporary, delivery.prefix, delivery.data);
        let target = inbox.join(delivery.name);
        let moved = written.and_then(|()| {
            self.disk
                .rename(&temporary, &target)
                .map_err(MailboxError::on("move into the mailbox", &temporary))
        });
        if moved.is_err() {
            // Whatever is left is overwritten or removed at the next attempt.
            let _ = self.disk.remove(&temporary);
        }
        moved?;
        self.disk.sync_dir(&inbox).map_err(MailboxError::on("sync", &inbox))?;
        Ok(Delivered::Now)
    }

    fn write(&self, path: &std::path::Path, prefix: &[u8], data: &mut dyn Read) -> Result<(), MailboxError> {
        let mut write = || {
            let mut file = BufWriter::with_capacity(64 * 1024, self.disk.create_new(path, FILE_MODE)?);
            file.write_all(prefix)?;
            io::copy(data, &mut file)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync()
        };
        write().map_err(MailboxError::on("write", path))
    }
}
