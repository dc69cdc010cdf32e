//! The front door: one message, one or more recipients, onto stable storage.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::BString;

use super::file::first_part_of;
use super::name::Name;
use super::outbox::Ready;
use super::{Header, MailData, Spool, SpoolError, State};
use crate::durable::FILE_MODE;

/// One recipient's message: what stands before the shared data.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The envelope.
    pub header: Header,
    /// Our own header fields for this recipient (`Received`, ...), CRLF lines, dot-stuffing not needed.
    pub trace_fields: BString,
}

impl Spool {
    /// Puts a message into the queue for all its recipients, or for none.
    ///
    /// When this returns `Ok`, every file and its directory entry is on stable storage: **now 250 may be answered.**
    /// On an error nothing of the message stays queued.
    ///
    /// # Errors
    /// The disk's.
    pub async fn submit(&self, messages: Vec<NewMessage>, data: MailData) -> Result<Vec<Name>, SpoolError> {
        let spool = self.clone();
        tokio::task::spawn_blocking(move || spool.submit_blocking(&messages, &data))
            .await
            .map_err(|_| SpoolError::Stopping)?
    }

    /// As [`Spool::submit`], for callers on blocking threads.
    ///
    /// # Errors
    /// The disk's.
    pub fn submit_blocking(&self, messages: &[NewMessage], data: &MailData) -> Result<Vec<Name>, SpoolError> {
        // One split directory for all recipients: one directory to sync.
        let place = self.shared.names.place();
        let now = self.clock().unix_millis();
        let names: Vec<Name> = messages.iter().map(|_| self.shared.names.name(place, now)).collect();
        let mut undo = Undo { spool: self, made: Vec::new() };
        for (name, message) in names.iter().zip(messages) {
            undo.made.push(self.path(name, State::Temp));
            self.write_temp(name, message, data)?;
        }
        for name in &names {
            let (from, to) = (self.path(name, State::Temp), self.path(name, State::Mess));
            self.disk().rename(&from, &to).map_err(SpoolError::disk("move to mess", &from))?;
            undo.made.push(to);
        }
        let directory = self.place_directory(place, State::Mess);
        self.disk().sync_dir(&directory).map_err(SpoolError::disk("sync", &directory))?;
        undo.made.clear();
        for (name, message) in names.iter().zip(messages) {
            self.enqueue_new(name, &message.header.rcpt_to);
        }
        Ok(names)
    }

    fn write_temp(&self, name: &Name, message: &NewMessage, data: &MailData) -> Result<(), SpoolError> {
        let path = self.path(name, State::Temp);
        let directory = self.place_directory(name.place(), State::Temp);
        if !directory.is_dir() {
            self.make_place(name.place())?;
        }
        let write = || {
            let mut file = BufWriter::with_capacity(64 * 1024, self.disk().create_new(&path, FILE_MODE)?);
            file.write_all(&message.header.to_bytes())?;
            file.write_all(&message.trace_fields)?;
            data.copy_to(&mut file)?;
            file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync()
        };
        write().map_err(SpoolError::disk("write", &path))
    }

    fn enqueue_new(&self, name: &Name, rcpt_to: &[u8]) {
        let first_part = first_part_of(rcpt_to);
        let lane = (self.shared.config.lane_of)(&first_part);
        self.outbox().push(Ready::new(Arc::new(name.clone()), lane, first_part));
    }
}

/// Removes what a failed submission has made.
struct Undo<'a> {
    spool: &'a Spool,
    made: Vec<PathBuf>,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        for path in &self.made {
            remove_if_there(self.spool, path);
        }
    }
}

fn remove_if_there(spool: &Spool, path: &Path) {
    if let Err(error) = spool.disk().remove(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::error!("{}: cannot be removed: {error}", path.display());
    }
}
