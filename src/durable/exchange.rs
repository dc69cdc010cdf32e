//! Replacing a file without losing what others write to it at the same moment.
//!
//! [`Disk::replace`] forgets the old file. [`Disk::exchange`] swaps the new one with it (`renameat2` with
//! `RENAME_EXCHANGE`): the old file is then ours to look at, under the temporary name, as a [`Displaced`]. What
//! somebody wrote between our reading and the swap is in it. A program that had opened it before can still write
//! into it afterwards; [`Displaced::writer`] looks for such programs.
//!
//! ```text
//! state                         a crash leaves                            who cleans
//! temporary file being written  old content, temporary file               `is_temporary`
//! temporary file synced         the same                                  the same
//! exchanged                     either content, the other as temporary    the same
//! directory synced              new content, the old one as temporary     the same
//! displaced file removed        new content                               nobody needs to
//! ```
//!
//! File systems without the swap: the old file is opened, then renamed over. What is written into it is still seen;
//! another file renamed to the same name between these two steps is lost, and [`Displaced::put_back`] writes its
//! content anew.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::replace::real_target;
use super::writers::{Writer, writer_of};
use super::{Disk, DiskFile, Step, parent};

/// How often a name may appear and vanish while we look for a way to take it. Ours.
const TRIES_MAX: usize = 8;

/// Of files that hold something for an operator to look at.
pub const KEPT_EXTENSION: &str = "kept";

/// The file that had a name before [`Disk::exchange`] gave it to another. Dropping it leaves the temporary file.
#[derive(Debug)]
pub struct Displaced {
    disk: Disk,
    /// The name that was exchanged, links resolved.
    target: PathBuf,
    /// Where the file is now; `None` where the file system could not swap: then it has no name any more.
    temporary: Option<PathBuf>,
    file: File,
}

impl Disk {
    /// Makes `bytes` the content of `path` as [`Disk::replace`] does, but returns the file that had the name, `None`
    /// when there was none. Not durable before [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the system says; the temporary file is gone and `path` unchanged then.
    pub fn exchange(&self, path: &Path, bytes: &[u8]) -> io::Result<Option<Displaced>> {
        let (_, displaced) = self.put(path, bytes, |temporary, target| self.take_name(temporary, target))?;
        Ok(displaced)
    }

    /// Gives the temporary file the name `target`. Whether there is a file of that name may change at any time.
    fn take_name(&self, temporary: &DiskFile, target: &Path) -> io::Result<Option<Displaced>> {
        let displaced = |temporary: Option<&Path>, file| Displaced {
            disk: self.clone(),
            target: target.to_owned(),
            temporary: temporary.map(Path::to_owned),
            file,
        };
        for _ in 0..TRIES_MAX {
            match self.rename_flagged(temporary.path(), target, RenameFlags::EXCHANGE) {
                Ok(()) => {
                    let file = self.open_displaced(temporary.path(), target)?;
                    return Ok(Some(displaced(Some(temporary.path()), file)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if is_unsupported(&error) => {
                    let old = File::open(target);
                    self.rename(temporary.path(), target)?;
                    return Ok(old.ok().map(|file| displaced(None, file)));
                }
                Err(error) => return Err(error),
            }
            match self.rename_flagged(temporary.path(), target, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if is_unsupported(&error) => {
                    self.rename(temporary.path(), target)?;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// A displaced file that cannot be looked at goes back: nobody could say what is in it.
    fn open_displaced(&self, temporary: &Path, target: &Path) -> io::Result<File> {
        File::open(temporary).inspect_err(|_| {
            let _ = renameat_with(CWD, temporary, CWD, target, RenameFlags::EXCHANGE);
        })
    }

    /// Takes a file away from its name without removing it yet: a link itself, not what it points to.
    ///
    /// # Errors
    /// `NotFound`, or what the system says; nothing has changed then.
    pub fn withdraw(&self, path: &Path) -> io::Result<Displaced> {
        // A new file takes a free name, and the rename its place.
        let temporary = self.create_temporary(parent(path))?;
        let temporary = temporary.path().to_owned();
        if let Err(error) = self.rename(path, &temporary) {
            let _ = self.remove(&temporary);
            return Err(error);
        }
        // Opened only now: the name may have changed hands before.
        let file = File::open(&temporary).inspect_err(|_| {
            let _ = renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE);
        })?;
        Ok(Displaced { disk: self.clone(), target: path.to_owned(), temporary: Some(temporary), file })
    }

    /// Makes the name of `path`, links resolved, durable.
    ///
    /// # Errors
    /// As [`Disk::sync_dir`].
    pub fn sync_name(&self, path: &Path) -> io::Result<()> {
        self.sync_dir(parent(&real_target(path)?))
    }

    /// Two names of one directory change places, in one step that nobody can see half of. Their directory is not synced.
    ///
    /// # Errors
    /// `Unsupported` where the file system cannot; what the system says; nothing has changed then.
    pub fn exchange_names(&self, one: &Path, other: &Path) -> io::Result<()> {
        match self.rename_flagged(one, other, RenameFlags::EXCHANGE) {
            Err(error) if is_unsupported(&error) => Err(io::ErrorKind::Unsupported.into()),
            done => done,
        }
    }

    fn rename_flagged(&self, from: &Path, to: &Path, flags: RenameFlags) -> io::Result<()> {
        if flags == RenameFlags::EXCHANGE {
            self.before(Step::Exchange { from, to })?;
        } else {
            self.before(Step::Rename { from, to })?;
        }
        Ok(renameat_with(CWD, from, CWD, to, flags)?)
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    error.kind() == io::ErrorKind::Unsupported
        || matches!(errno, Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP))
}

impl Displaced {
    /// The content as it is now.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A program that has the file open for writing.
    pub fn writer(&self) -> Writer {
        self.disk.writer_of(&self.file)
    }

    /// Where the file is, while it has a name.
    pub fn temporary(&self) -> Option<&Path> {
        self.temporary.as_deref()
    }

    /// Gives the file its name back and returns the one that had it meanwhile, if any. Not durable before
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the system says; nothing has changed then.
    pub fn put_back(mut self) -> io::Result<Option<Self>> {
        let Some(temporary) = self.temporary.take() else {
            let bytes = self.read()?;
            return self.disk.exchange(&self.target, &bytes);
        };
        for _ in 0..TRIES_MAX {
            match self.disk.rename_flagged(&temporary, &self.target, RenameFlags::EXCHANGE) {
                Ok(()) => {
                    let file = self.disk.open_displaced(&temporary, &self.target)?;
                    return Ok(Some(Self { temporary: Some(temporary), file, ..self }));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            match self.disk.rename_flagged(&temporary, &self.target, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Gives the file a name of its own, which [`is_temporary`](super::is_temporary) does not know, and returns it;
    /// `None` where the file has no name any more.
    ///
    /// # Errors
    /// What the system says; the temporary file stays then.
    pub fn keep(self) -> io::Result<Option<PathBuf>> {
        let Some(temporary) = &self.temporary else { return Ok(None) };
        let kept = temporary.with_extension(KEPT_EXTENSION);
        self.disk.rename_flagged(temporary, &kept, RenameFlags::NOREPLACE)?;
        Ok(Some(kept))
    }

    /// Removes the file for good.
    ///
    /// # Errors
    /// What the system says; the temporary file stays then and is found by its name.
    pub fn discard(self) -> io::Result<()> {
        self.temporary.as_deref().map_or(Ok(()), |path| self.disk.remove(path))
    }
}

impl Disk {
    /// A program that has this file open for writing; see [`Writer`].
    pub fn writer_of(&self, file: &File) -> Writer {
        let told = self.faults.as_ref().and_then(|faults| faults.writer_of(file));
        told.unwrap_or_else(|| writer_of(file))
    }

    /// Lets time pass; a test decides what happens meanwhile.
    pub fn pause(&self, time: Duration) {
        if !self.faults.as_ref().is_some_and(|faults| faults.pause(time)) {
            std::thread::sleep(time);
        }
    }
}
