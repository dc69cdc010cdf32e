//! Putting an edit into its file while others may write to it at the same time: see the head of [`super`].

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use super::merge::merge_by_key;
use super::{Conflict, Edit, EditError, merge};
use crate::durable::{Displaced, Writer};

/// How long a program that has the file open may take to finish. Ours; `echo >>` and editors take milliseconds.
pub(super) const WRITER_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long a file that looks half-written must stay the same where its writer cannot be seen. As for the tables.
const QUIET: Duration = crate::mailroot::snapshot::QUIET;

/// How often a file is looked at meanwhile. Ours.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// How often foreign changes are merged before the edit is given up. Each round needs somebody who writes within the
/// same milliseconds. Ours.
const ROUNDS_MAX: usize = 64;

/// What a file held and what it holds now; `None`: there was none.
pub(super) type Written = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Writes `mine`, merged with what others wrote since `edit.original` was read.
/// What the file held and what it holds now is returned, if it was written.
pub(super) fn commit(edit: &Edit, mine: Vec<u8>) -> Result<Option<Written>, EditError> {
    let theirs = settled_file(edit)?;
    if theirs.is_none() && edit.original.is_some() {
        return Err(edit.changed_meanwhile());
    }
    let base = edit.original.as_deref().unwrap_or_default();
    let wanted = merge(&edit.file, base, &mine, theirs.as_deref().unwrap_or_default())?;
    if theirs.as_ref() == Some(&wanted) {
        return Ok(None);
    }
    edit.forget_index();
    let existed = theirs.is_some();
    let expected = theirs.clone().unwrap_or_default();
    let without = expected.clone();
    let rounds = Rounds { edit, existed, expected, wanted, without, left: ROUNDS_MAX, given_up: None };
    Ok(Some((theirs, Some(rounds.run()?))))
}

/// Removes the file, unless somebody changed it.
pub(super) fn delete(edit: &Edit) -> Result<(), EditError> {
    if edit.editor.read(&edit.file)? != edit.original {
        return Err(edit.changed_meanwhile());
    }
    edit.forget_index();
    let disk = &edit.editor.disk;
    let mut withdrawn = disk.withdraw(&edit.path()).map_err(|source| edit.failed(source))?;
    let found = settled(edit, &mut withdrawn, edit.original.as_deref().unwrap_or_default());
    let refused = match found {
        Ok(found) if Some(&found) == edit.original.as_ref() => None,
        Ok(_) => Some(edit.changed_meanwhile()),
        Err(error) => Some(error),
    };
    if let Some(error) = refused {
        withdrawn.put_back().map_err(|source| edit.failed(source))?;
        return Err(error);
    }
    // Its directory is not that of what a link points to.
    let path = edit.path();
    let directory = path.parent().unwrap_or(edit.editor.root.path());
    withdrawn.discard().and_then(|()| disk.sync_dir(directory)).map_err(|source| edit.failed(source))
}

/// The rounds of one commit.
struct Rounds<'a> {
    edit: &'a Edit,
    existed: bool,
    /// What the file holds as far as we know.
    expected: Vec<u8>,
    /// What it shall hold.
    wanted: Vec<u8>,
    /// What it would hold without this edit.
    without: Vec<u8>,
    /// Rounds that may still follow.
    left: usize,
    /// Why the edit is not made after all; what is still written then are changes of others.
    given_up: Option<EditError>,
}

/// How one round ended.
enum Round {
    /// The file holds what was wanted.
    Done,
    /// Somebody wrote meanwhile; another round brings both together.
    Again,
}

impl Rounds<'_> {
    /// Returns what the file holds in the end.
    fn run(mut self) -> Result<Vec<u8>, EditError> {
        while matches!(self.round()?, Round::Again) {
            self.left = self.left.saturating_sub(1);
        }
        self.given_up.map_or(Ok(self.wanted), Err)
    }

    fn round(&mut self) -> Result<Round, EditError> {
        let edit = self.edit;
        let disk = &edit.editor.disk;
        let exchanged = disk.exchange(&edit.path(), &self.wanted).map_err(|source| edit.failed(source))?;
        let Some(mut displaced) = exchanged else {
            return if self.existed { self.take_back() } else { self.finish() };
        };
        self.existed = true;
        let mut found = match settled(edit, &mut displaced, &self.expected) {
            Ok(found) => found,
            Err(error) => return self.give_up(displaced, error),
        };
        let mut synced = Ok(());
        if found == self.expected {
            synced = disk.sync_name(&edit.path());
            found = displaced.read().map_err(|source| edit.failed(source))?;
        }
        if found == self.expected {
            discard(displaced);
            return synced.map(|()| Round::Done).map_err(|source| edit.failed(source));
        }
        if self.left == 0 {
            return self.give_up(displaced, edit.changed_meanwhile());
        }
        match self.merged(&found) {
            Ok((next, without)) => {
                discard(displaced);
                self.without = without;
                self.expected = std::mem::replace(&mut self.wanted, next);
                // The other side made the same change: what stands is right, but not yet durable.
                if self.expected == self.wanted { self.finish() } else { Ok(Round::Again) }
            }
            Err(conflict) => self.give_up(displaced, conflict.into()),
        }
    }

    /// The change from what was expected to what was found, made to the file with and without this edit.
    fn merged(&self, found: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Conflict> {
        let file = &self.edit.file;
        let next = merge(file, &self.expected, &self.wanted, found)?;
        Ok((next, merge_by_key(file, &self.expected, &self.without, found)?))
    }

    fn finish(&self) -> Result<Round, EditError> {
        let edit = self.edit;
        edit.editor.disk.sync_name(&edit.path()).map_err(|source| edit.failed(source))?;
        Ok(Round::Done)
    }

    /// The file was removed before the swap: ours goes as well. What somebody has written to ours meanwhile goes to
    /// the file that has the name now.
    fn take_back(&mut self) -> Result<Round, EditError> {
        let edit = self.edit;
        let why = self.given_up.take().unwrap_or_else(|| edit.changed_meanwhile());
        let mut ours = match edit.editor.disk.withdraw(&edit.path()) {
            Ok(ours) => ours,
            // Somebody took ours away as well.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.stop(why),
            Err(source) => return Err(edit.failed(source)),
        };
        let found = settled(edit, &mut ours, &self.wanted).ok();
        if found.as_ref() == Some(&self.wanted) {
            discard(ours);
            return self.stop(why);
        }
        let now = edit.editor.read(&edit.file)?;
        let theirs = now.as_ref().unwrap_or(&self.without);
        let next = found.and_then(|found| merge_by_key(&edit.file, &self.wanted, &found, theirs).ok());
        match next {
            Some(next) if self.left > 0 => {
                discard(ours);
                self.existed = now.is_some();
                Ok(self.again_without_edit(now.unwrap_or_default(), next, why))
            }
            // Better a file that somebody made of ours than none.
            _ if now.is_none() => {
                ours.put_back().map_err(|source| edit.failed(source))?.into_iter().for_each(keep);
                self.stop(why)
            }
            _ => {
                keep(ours);
                self.stop(why)
            }
        }
    }

    fn again_without_edit(&mut self, expected: Vec<u8>, next: Vec<u8>, why: EditError) -> Round {
        self.expected = expected;
        self.without.clone_from(&next);
        self.wanted = next;
        self.given_up = Some(why);
        Round::Again
    }

    /// The displaced file gets its name back. What others wrote in earlier rounds, and to ours meanwhile, is merged
    /// into it in a further round.
    fn give_up(&mut self, mut displaced: Displaced, why: EditError) -> Result<Round, EditError> {
        let edit = self.edit;
        let theirs = displaced.read().map_err(|source| edit.failed(source))?;
        let why = self.given_up.take().unwrap_or(why);
        let ours = displaced.put_back().map_err(|source| edit.failed(source))?;
        let Some(mut ours) = ours else { return self.stop(why) };
        let found = settled(edit, &mut ours, &self.wanted).ok();
        match found.and_then(|found| self.without_edit(&theirs, &found)) {
            Some(next) if next == theirs => {
                discard(ours);
                self.stop(why)
            }
            Some(next) if self.left > 0 => {
                discard(ours);
                Ok(self.again_without_edit(theirs, next, why))
            }
            _ => {
                keep(ours);
                self.stop(why)
            }
        }
    }

    /// What all others wrote: `theirs` stands, `found` was made of our version; `None` when they do not go together.
    fn without_edit(&self, theirs: &[u8], found: &[u8]) -> Option<Vec<u8>> {
        let file = &self.edit.file;
        let theirs = merge_by_key(file, &self.expected, &self.without, theirs).ok()?;
        merge_by_key(file, &self.wanted, &theirs, found).ok()
    }

    fn stop(&mut self, why: EditError) -> Result<Round, EditError> {
        self.given_up = Some(why);
        self.finish()
    }
}

/// The content of the file once nobody is in the middle of writing it; `None` when there is none.
fn settled_file(edit: &Edit) -> Result<Option<Vec<u8>>, EditError> {
    let before = edit.original.as_deref().unwrap_or_default();
    let found = edit.editor.read(&edit.file)?;
    if found == edit.original {
        return Ok(found);
    }
    let mut waited = Duration::ZERO;
    loop {
        match File::open(edit.path()) {
            Ok(mut file) => return settle(edit, before, &mut file, read).map(Some),
            // An editor may have renamed the old file away and is about to write the new one.
            Err(error) if error.kind() == io::ErrorKind::NotFound && waited < QUIET => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(EditError::Read { file: edit.file.clone(), source }),
        }
        edit.editor.disk.pause(PAUSE);
        waited += PAUSE;
    }
}

fn read(edit: &Edit, file: &mut File) -> io::Result<(Writer, Vec<u8>)> {
    let writer = edit.editor.disk.writer_of(file);
    let mut bytes = Vec::new();
    io::Seek::rewind(file)?;
    file.read_to_end(&mut bytes)?;
    Ok((writer, bytes))
}

/// The content of a file that has lost its name, once nobody can write to it any more.
fn settled(edit: &Edit, displaced: &mut Displaced, before: &[u8]) -> Result<Vec<u8>, EditError> {
    // Who is asked before the content is read: a writer that was not there cannot come.
    settle(edit, before, displaced, |_, displaced| Ok((displaced.writer(), displaced.read()?)))
}

fn settle<F>(
    edit: &Edit,
    before: &[u8],
    file: &mut F,
    look: impl Fn(&Edit, &mut F) -> io::Result<(Writer, Vec<u8>)>,
) -> Result<Vec<u8>, EditError> {
    let (mut waited, mut same_for) = (Duration::ZERO, Duration::ZERO);
    let mut last: Option<Vec<u8>> = None;
    loop {
        let (writer, found) = look(edit, file).map_err(|source| edit.failed(source))?;
        let quiet = if looks_half_written(&found, before) { QUIET } else { PAUSE };
        match writer {
            Writer::Nobody => return Ok(found),
            Writer::Unknown if found == before || same_for >= quiet => return Ok(found),
            Writer::Program { name, pid } if waited >= WRITER_WAIT_MAX => {
                return Err(EditError::OpenForWriting { file: edit.file.clone(), program: name, pid });
            }
            Writer::Unknown if waited >= WRITER_WAIT_MAX => return Err(edit.changed_meanwhile()),
            Writer::Unknown | Writer::Program { .. } => {}
        }
        edit.editor.disk.pause(PAUSE);
        waited += PAUSE;
        same_for = if last.as_ref() == Some(&found) { same_for + PAUSE } else { Duration::ZERO };
        last = Some(found);
    }
}

/// As an editor leaves a file between truncating and writing it.
fn looks_half_written(found: &[u8], before: &[u8]) -> bool {
    before.ends_with(b"\n") && !found.ends_with(b"\n")
}

/// A file that stays is found by its name and removed when it is old.
fn discard(displaced: Displaced) {
    let path = displaced.temporary().map(Path::to_owned);
    if let Err(error) = displaced.discard() {
        tracing::warn!("{}: cannot be removed: {error}", path.unwrap_or_default().display());
    }
}

/// A foreign change that nothing can be done with: others wrote different things to two versions of the same instant.
/// Its name is not one that is cleaned up.
fn keep(displaced: Displaced) {
    match displaced.keep() {
        Ok(Some(path)) => {
            tracing::error!("{}: holds a change to a table that could not be merged", path.display());
        }
        Ok(None) => tracing::error!("a change to a table could not be merged and is lost"),
        Err(error) => tracing::error!("a change to a table could not be merged, nor kept for good: {error}"),
    }
}

impl Edit {
    fn failed(&self, source: io::Error) -> EditError {
        EditError::Write { file: self.file.clone(), source }
    }

    fn changed_meanwhile(&self) -> EditError {
        EditError::ChangedMeanwhile { file: self.file.clone() }
    }
}
