//! One attempt to deliver one message: its files, and the steps that end it.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::held::Held;
use super::journal::Stored;
use super::name::Name;
use super::outbox::{Lane, Ready, Rest};
use super::schedule::Next;
use super::{BadSpoolFile, Spool, SpoolError, SpoolFile, State, slog};
use crate::durable::FILE_MODE;

/// A message taken from the outbox. Exactly one of [`Attempt::retry`], [`Attempt::freeze`] and [`Attempt::remove`]
/// ends it; dropped without an end (a panic, a stop), the message is tried again after the usual wait.
pub struct Attempt {
    spool: Spool,
    /// `None` once the attempt has ended.
    entry: Option<Ready>,
    lane: Lane,
    name: Arc<Name>,
    begun_unix_secs: i64,
}

/// The private copies of command files that a message carries along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Private {
    /// `mprc`: the mailproc commands still to be done.
    Mprc,
    /// `cust`: the cmdalias or custom-domain commands still to be done.
    Cust,
}

impl Private {
    fn state(self) -> State {
        match self {
            Self::Mprc => State::Mprc,
            Self::Cust => State::Cust,
        }
    }
}

impl Spool {
    /// Waits for the next message whose turn it is; `None` once the outbox is closed. For one caller at a time.
    pub async fn next_attempt(&self) -> Option<Attempt> {
        let entry = self.outbox().take().await?;
        Some(Attempt::new(self, entry))
    }

    /// The next local message without waiting, past the limit of deliveries at once; only one that needs no file.
    pub fn next_local_in_memory(&self) -> Option<Attempt> {
        let entry = self.outbox().take_local(|entry| entry.held.is_some())?;
        Some(Attempt::new(self, entry))
    }
}

impl Attempt {
    fn new(spool: &Spool, entry: Ready) -> Self {
        let (lane, name) = (entry.lane.clone(), Arc::clone(&entry.name));
        let begun_unix_secs = spool.clock().unix_secs();
        Self { spool: spool.clone(), entry: Some(entry), lane, name, begun_unix_secs }
    }

    /// Whether the message's delivery is over and only the disk stood in the way of its end: [`Attempt::end_again`].
    pub fn is_over(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.rest.is_some())
    }

    /// Ends a message of which [`Attempt::is_over`] is true, without another delivery. Blocks.
    ///
    /// # Errors
    /// The disk's; it is tried again after the usual wait.
    pub fn end_again(self) -> Result<(), SpoolError> {
        match self.entry.as_ref().and_then(|entry| entry.rest) {
            Some(Rest::Freeze) => self.freeze(),
            Some(Rest::Remove) => self.remove(),
            None => Ok(()),
        }
    }

    /// Begins: counts the attempt and notes its time in the slog. A failing disk does not stop the attempt.
    pub fn begin(&mut self) {
        self.spool.shared.leftovers.remove(self.spool.disk());
        let Some(entry) = &mut self.entry else { return };
        self.begun_unix_secs = self.spool.clock().unix_secs();
        entry.attempts.count = entry.attempts.count.saturating_add(1);
        entry.attempts.last_unix_secs = self.begun_unix_secs;
        let line = slog::peek_time(self.begun_unix_secs, &self.spool.clock().mail_date());
        self.append_slog(line.as_bytes());
    }

    pub(super) fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The message's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The lane it came from.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The number of this attempt, from 1 (after [`Attempt::begin`]).
    pub fn number(&self) -> u32 {
        self.entry.as_ref().map_or(0, |entry| entry.attempts.count)
    }

    /// Whether an earlier attempt, of this run or of one that a crash ended, may have delivered the message already.
    pub fn may_have_been_delivered(&self) -> bool {
        self.number() > 1 || self.entry.as_ref().is_some_and(|entry| entry.found)
    }

    /// The message in memory, when it has no file.
    fn held(&self) -> Option<&Arc<Held>> {
        self.entry.as_ref().and_then(|entry| entry.held.as_ref())
    }

    /// Whether the message waits in the journal, so that its mailbox file need not be synced before
    /// [`Attempt::delivered`].
    pub fn is_journaled(&self) -> bool {
        self.held().is_some_and(|held| held.content().is_some())
    }

    /// Gives a message that waits in the journal its spool file, on stable storage. Blocks.
    ///
    /// # Errors
    /// The disk's; it stays in the journal then.
    pub fn need_file(&self) -> Result<(), SpoolError> {
        self.held().map_or(Ok(()), |held| held.write_spool_file(&self.spool.shared, State::Mess).map(drop))
    }

    /// Where the message file is now; there is one for sure only after [`Attempt::need_file`].
    pub fn path(&self) -> PathBuf {
        let resent = self.entry.as_ref().is_some_and(|entry| entry.resent);
        self.spool.path(&self.name, if resent { State::Rsnd } else { State::Mess })
    }

    /// Loads the envelope.
    ///
    /// # Errors
    /// [`BadSpoolFile`] with file and line.
    pub fn load(&self) -> Result<SpoolFile, BadSpoolFile> {
        match self.held().and_then(|held| held.content()) {
            Some((content, parts)) => SpoolFile::held(&self.path(), content, parts),
            None => SpoolFile::load(&self.path()),
        }
    }

    /// Appends an entry to the slog.
    pub fn log(&self, entry: &slog::Entry) {
        self.append_slog(entry.to_text().as_bytes());
    }

    /// The slog so far; empty when there is none.
    pub fn slog(&self) -> Vec<u8> {
        let in_memory = self.held().and_then(|held| held.slog());
        in_memory.unwrap_or_else(|| fs::read(self.spool.path(&self.name, State::Slog)).unwrap_or_default())
    }

    fn append_slog(&self, bytes: &[u8]) {
        if self.held().is_some_and(|held| held.append_slog(bytes)) {
            return;
        }
        let path = self.spool.path(&self.name, State::Slog);
        if let Err(error) = self.spool.disk().append(&path, FILE_MODE, bytes, false) {
            tracing::warn!("{}: cannot be written: {error}", path.display());
        }
    }

    /// The message's private copy of its commands, if it has one.
    ///
    /// # Errors
    /// The disk's.
    pub fn private(&self, kind: Private) -> Result<Option<Vec<u8>>, SpoolError> {
        let unsaved = self.entry.as_ref().and_then(|entry| entry.unsaved.as_ref()?.of(kind));
        if let Some(bytes) = unsaved {
            return Ok(Some(bytes.clone()));
        }
        if self.is_journaled() {
            return Ok(None);
        }
        let path = self.spool.path(&self.name, kind.state());
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SpoolError::disk("read", &path)(error)),
        }
    }

    /// Writes the private copy, durably.
    ///
    /// # Errors
    /// The disk's.
    pub fn set_private(&mut self, kind: Private, bytes: &[u8]) -> Result<(), SpoolError> {
        self.need_file()?;
        let path = self.spool.path(&self.name, kind.state());
        self.spool.disk().replace(&path, bytes).map_err(SpoolError::disk("write", &path))?;
        if let Some(unsaved) = self.entry.as_mut().and_then(|entry| entry.unsaved.as_mut()) {
            unsaved.set(kind, None);
        }
        Ok(())
    }

    /// Keeps a private copy in memory that [`Attempt::set_private`] could not write: what is done already is not done
    /// again by the next attempt.
    pub fn remember_private(&mut self, kind: Private, bytes: Vec<u8>) {
        if let Some(entry) = &mut self.entry {
            entry.unsaved.get_or_insert_default().set(kind, Some(bytes));
        }
    }

    /// What follows if this attempt fails for now.
    pub fn next(&self) -> Next {
        self.spool.shared.config.retry.after(self.number())
    }

    /// When the message is tried again if this attempt fails for now, in Unix seconds.
    pub fn next_unix_secs(&self) -> i64 {
        let wait = self.spool.shared.config.retry.wait_secs(self.number());
        self.begun_unix_secs.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX))
    }

    /// Ends the attempt: the message waits in `rsnd` for its next time.
    pub fn retry(mut self) {
        let written = self.held().map(|held| held.write_spool_file(&self.spool.shared, State::Rsnd));
        let Some(mut entry) = self.entry.take() else { return };
        match written {
            Some(Ok(true)) => entry.resent = true,
            // It stays in the journal, and is tried again all the same.
            Some(Err(error)) => {
                tracing::error!(%error, "a message has no spool file");
                return self.wait(entry);
            }
            Some(Ok(false)) | None => {}
        }
        entry.held = None;
        if !entry.resent {
            let (from, to) =
                (self.spool.path(&self.name, State::Mess), self.spool.path(&self.name, State::Rsnd));
            match self.spool.disk().rename(&from, &to) {
                Ok(()) => entry.resent = true,
                // It stays in mess, where the next attempt and the next start find it just as well.
                Err(error) => tracing::error!("{}: cannot be moved to rsnd: {error}", from.display()),
            }
        }
        self.wait(entry);
    }

    fn wait(&self, entry: Ready) {
        let due = self.next_due_unix_millis(&entry);
        self.spool.outbox().push_at(entry, due);
    }

    fn next_due_unix_millis(&self, entry: &Ready) -> i64 {
        let wait = self.spool.shared.config.retry.wait_secs(entry.attempts.count);
        let secs = self.begun_unix_secs.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX));
        secs.saturating_mul(1000)
    }

    /// Ends the attempt: the message is set aside in `froz` with its slog.
    ///
    /// # Errors
    /// The disk's; the message then stays in the queue, not to be delivered but to be ended: [`Attempt::is_over`].
    pub fn freeze(mut self) -> Result<(), SpoolError> {
        let frozen = self.move_to_froz();
        self.keep_for(Rest::Freeze, frozen)
    }

    fn move_to_froz(&mut self) -> Result<(), SpoolError> {
        let written = self.held().map(|held| held.write_spool_file(&self.spool.shared, State::Froz));
        if written.transpose()? == Some(true) {
            self.entry = None;
            return Ok(());
        }
        let (from, to) = (self.path(), self.spool.path(&self.name, State::Froz));
        self.spool.disk().rename(&from, &to).map_err(SpoolError::disk("move to froz", &from))?;
        self.entry = None;
        self.remove_if_there(&[State::Mprc, State::Cust]);
        Ok(())
    }

    /// Ends the attempt: the message is delivered, or done with. All its files go; the removal is synced, so that a
    /// crash does not bring the message back.
    ///
    /// # Errors
    /// As [`Attempt::freeze`].
    pub fn remove(mut self) -> Result<(), SpoolError> {
        if self.held().is_some_and(|held| held.finish(&self.spool.shared, None)) {
            self.entry = None;
            return Ok(());
        }
        let removed = self.remove_file();
        self.keep_for(Rest::Remove, removed)
    }

    fn keep_for(&mut self, rest: Rest, ended: Result<(), SpoolError>) -> Result<(), SpoolError> {
        if let (Err(_), Some(entry)) = (&ended, &mut self.entry) {
            entry.rest = Some(rest);
        }
        ended
    }

    /// Ends the attempt of a message whose mailbox file was not synced. The journal keeps the message until that has
    /// happened.
    ///
    /// # Errors
    /// The attempt itself, when the message has a spool file by now: sync the mailbox, then [`Attempt::remove`] it.
    pub fn delivered(mut self, stored: Stored) -> Result<(), Self> {
        if !self.held().is_some_and(|held| held.finish(&self.spool.shared, Some(stored))) {
            return Err(self);
        }
        self.entry = None;
        Ok(())
    }

    fn remove_file(&mut self) -> Result<(), SpoolError> {
        let path = self.path();
        match self.spool.disk().remove(&path) {
            // Somebody removed it by hand: nothing is left to be done.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(SpoolError::disk("remove", &path))?,
        }
        self.entry = None;
        if let Some(directory) = path.parent()
            && let Err(error) = self.spool.disk().sync_dir(directory)
        {
            tracing::warn!("{}: cannot be synced: {error}", directory.display());
        }
        self.remove_if_there(&[State::Slog, State::Mprc, State::Cust, State::Info]);
        Ok(())
    }

    fn remove_if_there(&self, states: &[State]) {
        for &state in states {
            let path = self.spool.path(&self.name, state);
            if let Err(error) = self.spool.disk().remove(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("{}: cannot be removed: {error}", path.display());
            }
        }
    }

    /// The next message for the same destination, for a delivery that can use its open connection again.
    pub fn next_of_lane(&self) -> Option<Self> {
        self.spool.outbox().take_from(&self.lane).map(|entry| Self::new(&self.spool, entry))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.wait(entry);
        }
        self.spool.outbox().release(&self.lane);
    }
}
