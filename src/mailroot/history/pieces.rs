//! The versions of one file: a directory with the newest whole and the way back, piece by piece.
//!
//! Shape of a piece: a head line `tabmail-history whole|back|gone BYTES SUM LENGTH OLDER`, then LENGTH bytes: the
//! version, or a [`delta`]. BYTES and SUM (XXH3 of 64 bits, in hex) are those of the version it leads to; `gone` leads
//! to no file. OLDER is, in a way back, the state in which that version was recorded, 0 for the one before the first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use twox_hash::XxHash3_64;

use super::{Change, HistoryError, Version, delta};
use crate::durable::Disk;

const MAGIC: &str = "tabmail-history";

/// The pieces of one file.
pub(super) struct Pieces<'a> {
    disk: &'a Disk,
    directory: PathBuf,
}

/// What a directory of pieces holds, by the numbers of states, ascending.
#[derive(Debug, Default)]
struct Listing {
    wholes: Vec<u64>,
    backs: Vec<u64>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(disk: &'a Disk, directory: PathBuf) -> Self {
        Self { disk, directory }
    }

    fn path(&self, number: u64, kind: &str) -> PathBuf {
        self.directory.join(format!("{number}.{kind}"))
    }

    fn listing(&self) -> Result<Listing, HistoryError> {
        let mut listing = Listing::default();
        for (name, _) in entries(&self.directory)? {
            match name.to_str().and_then(|name| name.split_once('.')) {
                Some((number, "whole")) => listing.wholes.extend(number.parse::<u64>().ok()),
                Some((number, "back")) => listing.backs.extend(number.parse::<u64>().ok()),
                _ => {}
            }
        }
        listing.wholes.sort_unstable();
        listing.backs.sort_unstable();
        Ok(listing)
    }

    /// The state of the newest version.
    pub(super) fn newest(&self) -> Result<Option<u64>, HistoryError> {
        Ok(self.listing()?.wholes.last().copied())
    }

    /// The version as of a state; `None` when it is not known.
    pub(super) fn as_of(&self, number: u64) -> Result<Option<Version>, HistoryError> {
        let Some(mut at) = self.newest()? else { return Ok(None) };
        let mut version = self.read(&self.path(at, "whole"), &None)?.0;
        while number < at {
            let back = self.path(at, "back");
            if !back.exists() {
                return Ok(None);
            }
            (version, at) = self.read(&back, &version)?;
        }
        Ok(Some(version))
    }

    /// Adds a version; false when it is the newest one already.
    pub(super) fn add(&self, number: u64, change: &Change) -> Result<bool, HistoryError> {
        let newest = self.newest()?;
        let before = match newest {
            Some(newest) => match self.read(&self.path(newest, "whole"), &None) {
                Ok((version, _)) => Some(version),
                // Newer states can be recorded again from here on; the older ones have been lost before.
                Err(HistoryError::Damaged { path, reason }) => {
                    tracing::error!("{}: {reason}; the history of this file begins anew", path.display());
                    self.forget_all()?;
                    None
                }
                Err(error) => return Err(error),
            },
            None => change.before.clone(),
        };
        if before.as_ref() == Some(&change.after) {
            return Ok(false);
        }
        let failed = |source| HistoryError::Disk { path: self.directory.clone(), source };
        self.disk.create_dir_all(&self.directory).map_err(failed)?;
        if let Some(before) = before {
            let older = newest.unwrap_or(0);
            let piece = match (&before, &change.after) {
                (Some(before), Some(after)) => piece("back", before, &delta::make(after, before), older),
                (Some(before), None) => piece("whole", before, before, older),
                (None, _) => piece("gone", b"", b"", older),
            };
            self.write(&self.path(number, "back"), &piece)?;
        }
        let whole = change
            .after
            .as_ref()
            .map_or_else(|| piece("gone", b"", b"", 0), |bytes| piece("whole", bytes, bytes, 0));
        self.write(&self.path(number, "whole"), &whole)?;
        Ok(true)
    }

    /// Removes whole versions that are not the newest.
    pub(super) fn tidy(&self) -> Result<(), HistoryError> {
        let listing = self.listing()?;
        let older = listing.wholes.split_last().map_or([].as_slice(), |(_, older)| older);
        older.iter().try_for_each(|&number| self.remove(&self.path(number, "whole")).map(drop))
    }

    /// Removes the ways back to versions before a state, and returns how many bytes that gave.
    pub(super) fn forget_up_to(&self, number: u64) -> Result<u64, HistoryError> {
        let listing = self.listing()?;
        let old = listing.backs.iter().filter(|&&back| back <= number);
        old.map(|&back| self.remove(&self.path(back, "back"))).sum()
    }

    fn forget_all(&self) -> Result<(), HistoryError> {
        let listing = self.listing()?;
        for (numbers, kind) in [(&listing.backs, "back"), (&listing.wholes, "whole")] {
            numbers.iter().try_for_each(|&number| self.remove(&self.path(number, kind)).map(drop))?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<u64, HistoryError> {
        let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.disk
            .remove(path)
            .map(|()| size)
            .map_err(|source| HistoryError::Disk { path: path.to_owned(), source })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), HistoryError> {
        self.disk.replace(path, bytes).map_err(|source| HistoryError::Disk { path: path.to_owned(), source })
    }

    /// The version that a piece leads to from `from`, and the state in which it was recorded.
    fn read(&self, path: &Path, from: &Version) -> Result<(Version, u64), HistoryError> {
        let damaged = |reason| HistoryError::Damaged { path: path.to_owned(), reason };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("it is missing")),
            Err(source) => return Err(HistoryError::Disk { path: path.to_owned(), source }),
        };
        let (head, body) = bytes.split_once_str(b"\n").ok_or_else(|| damaged("it has no head line"))?;
        let head = Head::parse(head).ok_or_else(|| damaged("its head line is not one"))?;
        if body.len() != head.length {
            return Err(damaged("it is cut, or longer than it says"));
        }
        let version = match head.kind {
            "gone" => return Ok((None, head.older)),
            "whole" => body.to_owned(),
            "back" => {
                let made = from.as_ref().and_then(|from| delta::apply(from, body));
                made.ok_or_else(|| damaged("it does not fit the version after it"))?
            }
            _ => return Err(damaged("its head line is not one")),
        };
        if version.len() != head.bytes || checksum(&version) != head.sum {
            return Err(damaged("its content was altered"));
        }
        Ok((Some(version), head.older))
    }
}

struct Head<'a> {
    kind: &'a str,
    bytes: usize,
    sum: &'a str,
    length: usize,
    older: u64,
}

impl<'a> Head<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.to_str().ok()?.split(' ');
        (words.next()? == MAGIC).then_some(())?;
        let (kind, bytes, sum) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        let (length, older) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { kind, bytes, sum, length, older })
    }
}

fn piece(kind: &str, version: &[u8], body: &[u8], older: u64) -> Vec<u8> {
    let (bytes, sum, length) = (version.len(), checksum(version), body.len());
    let mut out = format!("{MAGIC} {kind} {bytes} {sum} {length} {older}\n").into_bytes();
    out.extend_from_slice(body);
    out
}

/// Against damage, not against forgery: a table of 10 MB takes a millisecond.
fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(bytes))
}

/// The entries of a directory; none when there is no directory.
fn entries(directory: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>, HistoryError> {
    let failed = |source| HistoryError::Disk { path: directory.to_owned(), source };
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(failed)?;
        // What vanishes meanwhile was a temporary file.
        if let Ok(metadata) = entry.metadata() {
            found.push((PathBuf::from(entry.file_name()), metadata));
        }
    }
    Ok(found)
}

/// Directories that hold a whole version, relative to `top`.
pub(super) fn recorded_files(top: &Path) -> Result<Vec<PathBuf>, HistoryError> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let mut is_file = false;
        for (name, metadata) in entries(&top.join(&relative))? {
            if metadata.is_dir() {
                open.push(relative.join(name));
            } else {
                is_file |= name.extension().is_some_and(|kind| kind == "whole");
            }
        }
        if is_file {
            found.push(relative);
        }
    }
    found.sort();
    Ok(found)
}

/// The bytes of all files below `top`.
pub(super) fn size_of(top: &Path) -> Result<u64, HistoryError> {
    let mut size = 0;
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        for (name, metadata) in entries(&directory)? {
            if metadata.is_dir() {
                open.push(directory.join(name));
            } else {
                size += metadata.len();
            }
        }
    }
    Ok(size)
}
