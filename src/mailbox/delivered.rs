//! Putting a message into a mailbox.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::folder::FolderName;
use super::{Kind, MailboxError, Mailboxes};
use crate::durable::FILE_MODE;
use crate::mailroot::Account;

/// What a delivery came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The message is now in the mailbox; with [`Safety::Now`] on stable storage.
    Now(StoredFile),
    /// This very message was there already: a delivery before a crash had got this far. It is on stable storage, or its
    /// owner has taken it away since.
    Before,
}

/// A message file as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The file, absolute.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The CRC-32 of its content.
    pub crc: u32,
}

/// When a delivered message has to be on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// When the delivery has ended.
    Now,
    /// Somebody keeps it elsewhere until the file system is synced.
    Later,
}

/// One message for one mailbox.
pub struct Delivery<'a> {
    /// The file name, which becomes the UIDL: the spool name.
    pub name: &'a str,
    /// Header fields put in front, CRLF lines.
    pub prefix: &'a [u8],
    /// The message, stored as it comes (dot-stuffed, CRLF).
    pub data: &'a mut dyn Read,
    /// The folder; `None`: INBOX. Who empties or renames a folder tells nobody, so that only [`Safety::Now`] is safe there.
    pub folder: Option<&'a FolderName>,
    /// Whether a file of this name may exist from an attempt before a crash. A first attempt need not look.
    pub may_have_arrived: bool,
    /// When it has to be safe.
    pub safety: Safety,
}

impl Mailboxes {
    /// Delivers a message. Where an earlier attempt may have left a file of its name, that is compared: the same content
    /// is kept, another (a crash may leave a part, or nothing) is replaced.
    ///
    /// # Errors
    /// The disk's; nothing of the message is visible then, or, when only the last sync failed, all of it: the next attempt
    /// finds it.
    pub fn deliver(&self, account: &Account, mut delivery: Delivery<'_>) -> Result<Delivered, MailboxError> {
        let earlier = match delivery.may_have_arrived {
            // It may have gone into INBOX then, when the folder could not be had.
            true => self
                .arrived(account, delivery.folder, delivery.name)
                .or_else(|| self.arrived(account, None, delivery.name)),
            false => None,
        };
        let directory = self.temporary_directory(account);
        let temporary = directory.join(delivery.name);
        let inbox = self.new_of(account, delivery.folder);
        let (is_directory_known, is_inbox_known) =
            (self.known.is_known(&directory), self.known.is_known(&inbox));
        let (bytes, crc) = self.write_temporary(&directory, &temporary, &mut delivery).inspect_err(|_| {
            // Whatever is left is removed at the next attempt.
            let _ = self.disk.remove(&temporary);
        })?;
        if let Some(path) = &earlier
            && is_same(path, bytes, crc)
        {
            let _ = self.disk.remove(&temporary);
            return self.sync(path).map(|()| Delivered::Before);
        }
        // Asked last, for the owner may take it while we look.
        let is_removed = |folder| self.removed.contains(&self.top_of(account, folder).join(delivery.name));
        if delivery.may_have_arrived && (is_removed(delivery.folder) || is_removed(None)) {
            let _ = self.disk.remove(&temporary);
            return Ok(Delivered::Before);
        }
        let is_new = earlier.is_none();
        let path = earlier.unwrap_or_else(|| inbox.join(delivery.name));
        self.move_in(account, &temporary, &path)?;
        let home = path.parent().unwrap_or(Path::new("."));
        if delivery.safety == Safety::Now {
            self.disk.sync_dir(home).map_err(MailboxError::on("sync", home))?;
        }
        if is_directory_known {
            self.known.note(&directory, None);
        }
        if is_inbox_known && is_new {
            self.known.note_file(&inbox, &path);
        }
        Ok(Delivered::Now(StoredFile { path, bytes, crc }))
    }

    /// Where a message is written before it gets its name, absolute. XMail takes a directory of the domain for Maildirs
    /// too. All mailboxes then share that directory's lock, and ext4 puts a file's inode near the directory in which it
    /// was made: the mail of all mailboxes crowds into one group of inodes, which took ten times as long when there was
    /// much of it. `Maildir/tmp` has neither fault, and is always on the mailbox's file system.
    pub(super) fn temporary_directory(&self, account: &Account) -> PathBuf {
        match self.kind {
            Kind::Maildir => self.directory(account).join("tmp"),
            Kind::Mailbox => self.root.temporary_directory(&account.domain),
        }
    }

    /// Puts a delivered message on stable storage, with its name.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&self, path: &Path) -> Result<(), MailboxError> {
        let sync = || {
            self.disk.sync_file(path)?;
            self.disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
        };
        sync().map_err(MailboxError::on("sync", path))
    }

    /// An account row without its directories: mail is not lost because of that.
    fn move_in(&self, account: &Account, temporary: &Path, path: &Path) -> Result<(), MailboxError> {
        let moved = match self.disk.rename(temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(account).and_then(|()| {
                self.disk
                    .rename(temporary, path)
                    .map_err(MailboxError::on("move into the mailbox", temporary))
            }),
            other => other.map_err(MailboxError::on("move into the mailbox", temporary)),
        };
        moved.inspect_err(|_| {
            let _ = self.disk.remove(temporary);
        })
    }

    /// Returns the size and checksum. The directory is made when it is missing; what a crash has left goes.
    fn write_temporary(
        &self,
        directory: &Path,
        path: &Path,
        delivery: &mut Delivery<'_>,
    ) -> Result<(u64, u32), MailboxError> {
        let create = || self.disk.create_new(path, FILE_MODE);
        let created = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.create_dir_all(directory).map_err(MailboxError::on("create", directory))?;
                create()
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(path).map_err(MailboxError::on("remove", path))?;
                create()
            }
            other => other,
        };
        let write = || {
            let mut file = BufWriter::with_capacity(BUFFER_BYTES, Summed::new(created?));
            file.write_all(delivery.prefix)?;
            io::copy(delivery.data, &mut file)?;
            let mut summed = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            if delivery.safety == Safety::Now {
                summed.file.sync()?;
            }
            Ok((summed.bytes, summed.sum.finalize()))
        };
        write().map_err(MailboxError::on("write", path))
    }
}

/// Whether a file has this content.
fn is_same(path: &Path, bytes: u64, crc: u32) -> bool {
    let read = || {
        let mut sum = Summed::new(io::sink());
        io::copy(&mut File::open(path)?, &mut sum)?;
        io::Result::Ok((sum.bytes, sum.sum.finalize()))
    };
    read().is_ok_and(|found| found == (bytes, crc))
}

/// Counts and sums what passes.
struct Summed<W> {
    file: W,
    bytes: u64,
    sum: crc32fast::Hasher,
}

impl<W> Summed<W> {
    fn new(file: W) -> Self {
        Self { file, bytes: 0, sum: crc32fast::Hasher::new() }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.sum.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Bytes written at once.
const BUFFER_BYTES: usize = 64 * 1024;
