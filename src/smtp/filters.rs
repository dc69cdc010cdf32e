//! Runs the SMTP filters on the session's file (`mailflow.md` 5.2).
//!
//! The file stands in `XMAIL_TEMP` under a name that the session keeps, is made when the first program of a table is to
//! run, and is gone with its `.rej` afterwards, whatever happens. The message itself stays where it was received
//! until a post-data filter has ended by itself and left a file that can be read; then that is the message. What a
//! program leaves that crashed or ran out of time is not looked at, and the next one gets the file as it was.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bstr::{BString, ByteSlice as _};

use super::answers::blocking;
use super::reply;
use super::serve::Services;
use super::session::{BadEdit, Edit, FilterRun, FilterVerdict, is_data_mark};
use crate::durable::FILE_MODE;
use crate::filter::{Ran, rejection_path, take_rejection, undecided_is_tempfail};
use crate::mailroot::filters::FilterProgram;
use crate::net::dots::{ToCrlf, Transformed};
use crate::spool::{Draft, HEADER_LINE_BYTES_MAX, Spool, SpoolError};

/// Lines before the message that are read back: more than any message has recipients. Ours.
const ENVELOPE_LINES_MAX: usize = 100_000;

/// Bytes moved at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Runs the programs of the run's table. `draft` is the message after DATA; it comes back, changed or not, when mail goes
/// on. Dropping the future kills the program and removes the file.
pub(super) async fn run(
    services: &Services,
    path: &Path,
    run: FilterRun,
    draft: Option<Draft>,
) -> (FilterVerdict, Option<Draft>) {
    let programs = FilterProgram::clone(run.programs().1);
    let is_tempfail = undecided_is_tempfail(&run.snapshot.server);
    let FilterRun { subject, envelope, mut macros, .. } = run;
    macros.push(("FILE", path.as_os_str().as_encoded_bytes().into()));
    let value = |name: &str| macros.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let file = SessionFile { path: path.to_owned(), spool: services.spool.clone(), state: State::Missing };
    let mut work = Work { file, envelope, draft, edit: None };
    for row in programs.rows() {
        if subject.exclusion(row.flags).is_none() {
            work = match on_disk(work, Work::provide).await {
                Some((work, Ok(()))) => work,
                Some((_, Err(error))) => return unavailable(&error),
                None => return (FilterVerdict::Unavailable, None),
            };
        }
        let ran = services.filters.run(row, &subject, value).await;
        if ran == Ran::Skipped {
            continue;
        }
        let (returned, concluded) = match on_disk(work, move |work| work.conclude(ran)).await {
            Some(concluded) => concluded,
            None => return (FilterVerdict::Unavailable, None),
        };
        work = returned;
        match (concluded, ran) {
            (Err(error), _) => return unavailable(&error),
            (Ok(_), Ran::Undecided(_)) if is_tempfail => return (FilterVerdict::Unavailable, None),
            (Ok(reason), Ran::Decided(verdict)) if verdict.refuses_in_smtp() => {
                return (FilterVerdict::Reject(reason.map(|line| reply::of_filter(line.as_bstr()))), None);
            }
            (Ok(_), Ran::Decided(verdict)) if verdict.is_last() => break,
            _ => {}
        }
    }
    let verdict = work.edit.map_or(FilterVerdict::Accept, FilterVerdict::Edited);
    (verdict, work.draft)
}

fn unavailable(error: &FileError) -> (FilterVerdict, Option<Draft>) {
    tracing::error!(%error, "an SMTP filter's file");
    (FilterVerdict::Unavailable, None)
}

async fn on_disk<T: Send + 'static>(
    mut work: Work,
    step: impl FnOnce(&mut Work) -> T + Send + 'static,
) -> Option<(Work, T)> {
    blocking(move || {
        let result = step(&mut work);
        (work, result)
    })
    .await
}

/// What cannot be done with the session's file.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("{}: a filter left {source}", path.display())]
    Edit { path: PathBuf, source: BadEdit },
    #[error("{}: a filter left {what}", path.display())]
    Content { path: PathBuf, what: &'static str },
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// The session's file and what it is made from.
struct Work {
    file: SessionFile,
    envelope: Vec<u8>,
    draft: Option<Draft>,
    edit: Option<Edit>,
}

impl Work {
    /// The file as the next program is to find it.
    fn provide(&mut self) -> Result<(), FileError> {
        if self.file.state != State::Missing {
            return Ok(());
        }
        let written = self.file.write(&self.envelope, self.draft.as_ref());
        written.map_err(|source| FileError::Disk { path: self.file.path.clone(), source })
    }

    /// After a program; gives the line of its `.rej` file.
    fn conclude(&mut self, ran: Ran) -> Result<Option<BString>, FileError> {
        let reason = take_rejection(&self.file.path);
        if self.file.is_changed() {
            match ran {
                Ran::Decided(verdict) if verdict.refuses_in_smtp() => {}
                Ran::Decided(_) if self.draft.is_some() => self.read_back()?,
                // Before the data there is nothing to change: what was accepted was answered already.
                _ => self.file.state = State::Missing,
            }
        }
        Ok(reason)
    }

    fn read_back(&mut self) -> Result<(), FileError> {
        // A program that ran out of space may not have noticed; the client still has the mail (decision 191).
        let bytes = self.draft.as_ref().map_or(0, Draft::bytes);
        self.file.spool.check_room_for(&self.file.path, bytes)?;
        let (lines, edit, draft) = self.file.read()?;
        self.envelope = lines;
        self.draft = Some(draft);
        self.edit = Some(edit);
        // The next program gets the normalised text.
        self.file.state = State::Missing;
        Ok(())
    }
}

/// Removed with its `.rej` when dropped.
struct SessionFile {
    path: PathBuf,
    spool: Spool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is to be written again.
    Missing,
    /// It was written and had this inode and size.
    Written { inode: u64, bytes: u64 },
}

/// The modification time that a file gets when it is written: a program that writes to it cannot keep it by chance, not
/// even within one tick of the file system's clock.
const WRITTEN_UNIX_SECS: i64 = 1;

impl SessionFile {
    fn write(&mut self, envelope: &[u8], draft: Option<&Draft>) -> io::Result<()> {
        self.remove();
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&self.path)?;
        let mut writer = BufWriter::with_capacity(PIECE_BYTES, file);
        writer.write_all(envelope)?;
        if let Some(draft) = draft {
            draft.copy_to(&mut writer)?;
        }
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        let then = UNIX_EPOCH + Duration::from_secs(WRITTEN_UNIX_SECS.unsigned_abs());
        file.set_times(FileTimes::new().set_modified(then))?;
        let written = file.metadata()?;
        self.state = State::Written { inode: written.ino(), bytes: written.size() };
        Ok(())
    }

    fn is_changed(&self) -> bool {
        let State::Written { inode, bytes } = self.state else { return true };
        match fs::symlink_metadata(&self.path) {
            Ok(now) => (now.ino(), now.size(), now.mtime()) != (inode, bytes, WRITTEN_UNIX_SECS),
            Err(_) => true,
        }
    }

    /// What a program made of it: the lines before the message as they are, what they mean, and the message.
    fn read(&self) -> Result<(Vec<u8>, Edit, Draft), FileError> {
        let disk = |source| FileError::Disk { path: self.path.clone(), source };
        if !fs::symlink_metadata(&self.path).map_err(disk)?.is_file() {
            return Err(FileError::Content { path: self.path.clone(), what: "no plain file" });
        }
        let mut reader = BufReader::with_capacity(PIECE_BYTES, File::open(&self.path).map_err(disk)?);
        let lines = self.envelope_lines(&mut reader)?;
        let edit =
            Edit::of_lines(&lines).map_err(|source| FileError::Edit { path: self.path.clone(), source })?;
        let mut envelope: Vec<u8> =
            lines.iter().flat_map(|line| [line.as_slice(), b"\r\n"]).flatten().copied().collect();
        envelope.extend_from_slice(b"<<MAIL-DATA>>\r\n");
        let mut draft = self.spool.draft();
        let mut data = Transformed::new(reader, ToCrlf::default());
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = data.read(&mut piece).map_err(disk)?;
            if count == 0 {
                return Ok((envelope, edit, draft));
            }
            if piece[..count].contains(&0) {
                return Err(FileError::Content { path: self.path.clone(), what: "a NUL" });
            }
            draft.write(&piece[..count])?;
        }
    }

    /// Up to the data mark.
    fn envelope_lines(&self, reader: &mut impl BufRead) -> Result<Vec<BString>, FileError> {
        let content = |what| FileError::Content { path: self.path.clone(), what };
        let mut lines = Vec::new();
        while lines.len() < ENVELOPE_LINES_MAX {
            let mut line = Vec::new();
            let mut limited = reader.by_ref().take(HEADER_LINE_BYTES_MAX as u64);
            let count = limited.read_until(b'\n', &mut line);
            count.map_err(|source| FileError::Disk { path: self.path.clone(), source })?;
            if !line.ends_with(b"\n") {
                return Err(content("no <<MAIL-DATA>>"));
            }
            let text = line.trim_end_with(|c| c == '\r' || c == '\n');
            if is_data_mark(text) {
                return Ok(lines);
            }
            lines.push(text.into());
        }
        Err(content("no <<MAIL-DATA>>"))
    }

    fn remove(&mut self) {
        self.state = State::Missing;
        for path in [&self.path, &rejection_path(&self.path)] {
            if let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!("{}: cannot be removed: {error}", path.display());
            }
        }
    }
}

impl Drop for SessionFile {
    fn drop(&mut self) {
        self.remove();
    }
}
