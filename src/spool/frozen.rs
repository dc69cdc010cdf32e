//! Frozen messages: set aside in `froz` until an operator decides (`mailflow.md` 2.7, 11.2 `froz*`).

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::file::first_part_of;
use super::name::{Name, Place};
use super::outbox::Ready;
use super::{Header, Spool, SpoolError, SpoolFile, State, slog};

/// A line of the list of frozen messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenMessage {
    /// Name and split directory.
    pub name: Name,
    /// The sender's path without brackets; empty when null or unreadable.
    pub from: String,
    /// The recipient's path without brackets; empty when unreadable.
    pub to: String,
    /// When it was last tried, in Unix seconds.
    pub last_try_unix_secs: i64,
    /// Attempts made.
    pub attempts: u32,
    /// The size of the whole spool file.
    pub bytes: u64,
}

impl Spool {
    /// All frozen messages, by split directory and name.
    ///
    /// # Errors
    /// The disk's.
    pub fn frozen(&self) -> Result<Vec<FrozenMessage>, SpoolError> {
        let mut found = Vec::new();
        for place in super::recovery::places(self)? {
            for name in super::recovery::names_in(self, place, State::Froz) {
                found.extend(self.frozen_message(name));
            }
        }
        Ok(found)
    }

    fn frozen_message(&self, name: Name) -> Option<FrozenMessage> {
        let path = self.path(&name, State::Froz);
        let bytes = fs::metadata(&path).ok()?.len();
        let attempts = slog::attempts(&fs::read(self.path(&name, State::Slog)).unwrap_or_default());
        let (from, to) = match SpoolFile::load(&path) {
            Ok(file) => (
                file.reverse_path.path().map(ToString::to_string).unwrap_or_default(),
                file.forward_path.path().to_string(),
            ),
            Err(_) => (String::new(), String::new()),
        };
        let last_try_unix_secs = attempts.last_unix_secs;
        Some(FrozenMessage { name, from, to, last_try_unix_secs, attempts: attempts.count, bytes })
    }

    /// The whole spool file of a frozen message.
    ///
    /// # Errors
    /// [`SpoolError::NoSuchMessage`], also for names that are not one plain file name; the disk's.
    pub fn read_frozen(&self, place: Place, file_name: &str) -> Result<Vec<u8>, SpoolError> {
        self.read_of_frozen(place, file_name, State::Froz)
    }

    /// The slog of a frozen message.
    ///
    /// # Errors
    /// As [`Spool::read_frozen`].
    pub fn read_frozen_log(&self, place: Place, file_name: &str) -> Result<Vec<u8>, SpoolError> {
        self.read_of_frozen(place, file_name, State::Slog)
    }

    fn read_of_frozen(&self, place: Place, file_name: &str, state: State) -> Result<Vec<u8>, SpoolError> {
        let (name, _) = self.find_frozen(place, file_name)?;
        let path = self.path(&name, state);
        fs::read(&path).map_err(SpoolError::disk("read", &path))
    }

    /// Puts a frozen message back into the queue with no attempts counted: its slog is removed.
    ///
    /// # Errors
    /// As [`Spool::read_frozen`].
    pub fn submit_frozen(&self, place: Place, file_name: &str) -> Result<(), SpoolError> {
        let (name, from) = self.find_frozen(place, file_name)?;
        let bytes = fs::read(&from).map_err(SpoolError::disk("read", &from))?;
        let to = self.path(&name, State::Mess);
        self.disk().rename(&from, &to).map_err(SpoolError::disk("move to mess", &from))?;
        self.remove_if_there(&name, State::Slog)?;
        let rcpt_to = Header::parse(&bytes).map(|(header, _)| header.rcpt_to).unwrap_or_default();
        let first_part = first_part_of(&rcpt_to);
        let lane = (self.shared.config.lane_of)(&first_part);
        self.outbox().push(Ready::new(Arc::new(name), lane, first_part));
        Ok(())
    }

    /// Deletes a frozen message with all its files.
    ///
    /// # Errors
    /// As [`Spool::read_frozen`].
    pub fn remove_frozen(&self, place: Place, file_name: &str) -> Result<(), SpoolError> {
        let (name, path) = self.find_frozen(place, file_name)?;
        self.disk().remove(&path).map_err(SpoolError::disk("remove", &path))?;
        for state in [State::Slog, State::Mprc, State::Cust, State::Info] {
            self.remove_if_there(&name, state)?;
        }
        Ok(())
    }

    fn find_frozen(&self, place: Place, file_name: &str) -> Result<(Name, PathBuf), SpoolError> {
        let missing = || SpoolError::NoSuchMessage { name: file_name.to_owned() };
        let name = Name::existing(place, file_name).ok_or_else(missing)?;
        let path = self.path(&name, State::Froz);
        if path.is_file() { Ok((name, path)) } else { Err(missing()) }
    }

    pub(super) fn remove_if_there(&self, name: &Name, state: State) -> Result<(), SpoolError> {
        let path = self.path(name, state);
        match self.disk().remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SpoolError::disk("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}
