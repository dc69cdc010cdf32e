//! Frozen messages and the flush of waiting ones (`mailflow.md` 2.7, 2.8). The work is the spool's.

use std::collections::HashSet;

use super::{Admin, AdminError};
use crate::spool::{FrozenMessage, Name, Place, Spool, SpoolError};
use crate::tab::wildcard;

impl Admin {
    /// All frozen messages (`frozlist`).
    ///
    /// # Errors
    /// `NoSpool`, `Spool`.
    pub fn frozen(&self) -> Result<Vec<FrozenMessage>, AdminError> {
        Ok(self.spool()?.frozen()?)
    }

    /// The whole spool file of a frozen message (`frozgetmsg`).
    ///
    /// # Errors
    /// `FrozenNotFound`, also for levels that are no numbers; `BadPath` for a name that is not one file name (decision
    /// 16); `NoSpool`, `Spool`.
    pub fn frozen_message(&self, levels: [&str; 2], name: &str) -> Result<Vec<u8>, AdminError> {
        Ok(self.spool()?.read_frozen(place(levels, name)?, name)?)
    }

    /// The `slog` file of a frozen message (`frozgetlog`).
    ///
    /// # Errors
    /// As [`Admin::frozen_message`].
    pub fn frozen_log(&self, levels: [&str; 2], name: &str) -> Result<Vec<u8>, AdminError> {
        Ok(self.spool()?.read_frozen_log(place(levels, name)?, name)?)
    }

    /// Puts a frozen message back into the queue (`frozsubmit`).
    ///
    /// # Errors
    /// As [`Admin::frozen_message`].
    pub fn submit_frozen(&self, levels: [&str; 2], name: &str) -> Result<(), AdminError> {
        Ok(self.spool()?.submit_frozen(place(levels, name)?, name)?)
    }

    /// Deletes a frozen message (`frozdel`).
    ///
    /// # Errors
    /// As [`Admin::frozen_message`].
    pub fn remove_frozen(&self, levels: [&str; 2], name: &str) -> Result<(), AdminError> {
        Ok(self.spool()?.remove_frozen(place(levels, name)?, name)?)
    }

    /// Tries waiting messages now (`etrn`, `mailflow.md` 2.8): a pattern with `@` is compared with the first part of
    /// the recipient's path, one without with its domain. Returns how many were moved.
    ///
    /// # Errors
    /// `NoSpool`.
    pub fn flush_queue(&self, patterns: &[&str]) -> Result<usize, AdminError> {
        let outbox = self.spool()?.outbox();
        Ok(outbox.flush(|first_part| patterns.iter().any(|pattern| first_part_fits(pattern, first_part))))
    }

    /// Tries messages of the queue now, named as `level1/level2/name`: waiting ones at once, frozen ones as new
    /// (`queuetry`). Those that are gone meanwhile, or being delivered, are passed. Returns how many there were.
    ///
    /// # Errors
    /// `FrozenNotFound` for what names no message; `NoSpool`, `Spool`.
    pub fn try_messages(&self, paths: &[&str]) -> Result<usize, AdminError> {
        let (spool, names) = (self.spool()?, names(paths)?);
        let mut count = spool.try_now(&names);
        for name in &names {
            count += was_there(spool.submit_frozen(name.place(), name.file_name()))?;
        }
        Ok(count)
    }

    /// Deletes messages of the queue, waiting or frozen (`queuedel`); as [`Admin::try_messages`].
    ///
    /// # Errors
    /// As [`Admin::try_messages`].
    pub fn remove_messages(&self, paths: &[&str]) -> Result<usize, AdminError> {
        let (spool, names) = (self.spool()?, names(paths)?);
        let mut count = spool.remove_waiting(&names)?;
        for name in &names {
            count += was_there(spool.remove_frozen(name.place(), name.file_name()))?;
        }
        Ok(count)
    }

    /// Sets waiting messages aside until an operator decides (`queuefrz`); as [`Admin::try_messages`], and frozen ones are
    /// passed.
    ///
    /// # Errors
    /// As [`Admin::try_messages`].
    pub fn freeze_messages(&self, paths: &[&str]) -> Result<usize, AdminError> {
        Ok(self.spool()?.freeze_waiting(&names(paths)?)?)
    }

    fn spool(&self) -> Result<&Spool, AdminError> {
        self.spool.as_ref().ok_or(AdminError::NoSpool)
    }
}

fn names(paths: &[&str]) -> Result<HashSet<Name>, AdminError> {
    let name = |path: &&str| {
        let mut parts = path.splitn(3, '/');
        let mut next = || parts.next().ok_or(AdminError::FrozenNotFound);
        let (levels, name) = ([next()?, next()?], next()?);
        Name::existing(place(levels, name)?, name).ok_or(AdminError::FrozenNotFound)
    };
    paths.iter().map(name).collect()
}

fn was_there(done: Result<(), SpoolError>) -> Result<usize, AdminError> {
    match done {
        Ok(()) => Ok(1),
        Err(SpoolError::NoSuchMessage { .. }) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn first_part_fits(pattern: &str, first_part: &str) -> bool {
    if pattern.contains('@') {
        return wildcard::matches(pattern.as_bytes(), first_part.as_bytes());
    }
    // A first part that is a hop (`@relay`) has no domain to compare.
    match first_part.split_once('@') {
        Some((local_part, domain)) if !local_part.is_empty() => {
            wildcard::matches(pattern.as_bytes(), domain.as_bytes())
        }
        _ => false,
    }
}

/// The split directory that two levels name. A name that could lead out of it is refused before it is looked for.
fn place([level1, level2]: [&str; 2], name: &str) -> Result<Place, AdminError> {
    if name.contains(['/', '\\']) {
        return Err(AdminError::BadPath);
    }
    let number = |level: &str| level.parse::<u32>().map_err(|_| AdminError::FrozenNotFound);
    Ok(Place { level1: number(level1)?, level2: number(level2)? })
}
