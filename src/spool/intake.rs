//! The front door: one message, one or more recipients, onto stable storage.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::BString;

use super::file::first_part_of;
use super::held::{Held, Parts};
use super::journal::record::{Recipient, message_payload, message_payload_bytes, parse_message};
use super::journal::{Content, Id, Journal, Refusal};
use super::name::{Name, Place};
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
    /// When this returns `Ok`, the message is on stable storage for every recipient, in the journal or as files with
    /// their directory entries: **now 250 may be answered.** On an error nothing of the message stays queued.
    ///
    /// # Errors
    /// The disk's.
    pub async fn submit(&self, messages: Vec<NewMessage>, data: MailData) -> Result<Vec<Name>, SpoolError> {
        if let Some((journal, prepared)) = self.prepare(&messages, &data) {
            let Prepared { names, sequence, content, recipients } = prepared;
            let written = journal.submit(sequence, content, recipients).await;
            if let Some(result) = self.outcome(written, names) {
                return result;
            }
        }
        let spool = self.clone();
        tokio::task::spawn_blocking(move || spool.submit_files(&messages, &data))
            .await
            .map_err(|_| SpoolError::Stopping)?
    }

    /// As [`Spool::submit`], for callers on blocking threads.
    ///
    /// # Errors
    /// The disk's.
    pub fn submit_blocking(&self, messages: &[NewMessage], data: &MailData) -> Result<Vec<Name>, SpoolError> {
        if let Some((journal, prepared)) = self.prepare(messages, data) {
            let Prepared { names, sequence, content, recipients } = prepared;
            let written = journal.submit_blocking(sequence, content, recipients);
            if let Some(result) = self.outcome(written, names) {
                return result;
            }
        }
        self.submit_files(messages, data)
    }

    /// The message as the journal takes it; `None` when there is no journal, or no room in it.
    fn prepare(&self, messages: &[NewMessage], data: &MailData) -> Option<(&Journal, Prepared)> {
        let journal = self.shared.journal.get().filter(|_| data.is_in_memory())?;
        let sequence = journal.admit(message_payload_bytes(messages, data.bytes()))?;
        let place = self.shared.names.place();
        let names = self.names(place, messages.len());
        let payload = message_payload(place, &names, messages, data).ok()?;
        let content = journal.hold(payload);
        let parts = parts(&content.payload)?;
        let entry = |((name, parts), (recipient, message)): ((&Name, Parts), (u32, &NewMessage))| {
            let mut entry = self.entry(name, &message.header.rcpt_to);
            let id = Id { sequence, recipient };
            let held = Held::new(Arc::clone(&entry.name), id, Arc::clone(&content), parts);
            entry.held = Some(Arc::new(held));
            entry
        };
        let recipients = names.iter().zip(parts).zip((0..).zip(messages)).map(entry).collect();
        Some((journal, Prepared { names, sequence, content, recipients }))
    }

    /// What came of the journal; `None`: the files have to take it.
    fn outcome(
        &self,
        written: Result<(), Refusal>,
        names: Vec<Name>,
    ) -> Option<Result<Vec<Name>, SpoolError>> {
        match written {
            Ok(()) => Some(Ok(names)),
            Err(Refusal::NoRoom) => None,
            Err(Refusal::Disk(error)) => {
                Some(Err(SpoolError::disk("write the journal in", &self.journal_directory())(error)))
            }
        }
    }

    fn names(&self, place: Place, count: usize) -> Vec<Name> {
        let now = self.clock().unix_millis();
        (0..count).map(|_| self.shared.names.name(place, now)).collect()
    }

    /// Every recipient gets a file.
    fn submit_files(&self, messages: &[NewMessage], data: &MailData) -> Result<Vec<Name>, SpoolError> {
        self.shared.leftovers.remove(self.disk());
        // One split directory for all recipients: one directory to sync.
        let place = self.shared.names.place();
        let names = self.names(place, messages.len());
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
        let entries =
            names.iter().zip(messages).map(|(name, message)| self.entry(name, &message.header.rcpt_to));
        self.outbox().push_all(entries.collect());
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

    fn entry(&self, name: &Name, rcpt_to: &[u8]) -> Ready {
        let first_part = first_part_of(rcpt_to);
        let lane = (self.shared.config.lane_of)(&first_part);
        Ready::new(Arc::new(name.clone()), lane, first_part)
    }
}

/// A message for the journal.
struct Prepared {
    names: Vec<Name>,
    sequence: u64,
    content: Arc<Content>,
    recipients: Vec<Ready>,
}

/// Where the parts of each recipient are in a payload of ours.
fn parts(payload: &[u8]) -> Option<Vec<Parts>> {
    let message = parse_message(payload)?;
    let data = message.data;
    let part = |recipient: Recipient| Parts {
        header: recipient.header,
        fields: recipient.fields,
        data: data.clone(),
    };
    Some(message.recipients.into_iter().map(part).collect())
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
        spool.shared.leftovers.add([path.to_owned()]);
    }
}
