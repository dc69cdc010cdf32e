//! The versions of one file: a directory with some of them whole, and steps between them that can be gone either way.
//!
//! Shape of a piece: a head line, then LENGTH bytes:
//!
//! ```text
//! tabmail-history whole BYTES SUM LENGTH 0                                   the version
//! tabmail-history gone 0 SUM 0 0                                             no file
//! tabmail-history step BYTES SUM LENGTH OLDER STEPSUM OLDERBYTES OLDERSUM    a step from the version before
//! tabmail-history back BYTES SUM LENGTH OLDER                                a way to the version before (old)
//! ```
//!
//! BYTES and SUM (XXH3 of 64 bits, in hex) are those of the version it leads to, SUM is `-` where there is no file; a
//! step names those of both its ends and the sum of its own LENGTH bytes. OLDER is the state in which the version at
//! the older end was recorded, 0 for the one before the first.
//!
//! `back` and `gone` as a way back are what the first histories had. They are read, and go as their states go.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice;
use twox_hash::XxHash3_64;

use super::step::{self, Rope, Way};
use super::{Change, HistoryError, Version, back};
use crate::durable::{Disk, is_temporary};

const MAGIC: &str = "tabmail-history";

/// Where the sum would be of a file that is not there.
const NO_FILE: &str = "-";

/// A head line is shorter, in bytes.
const HEAD_BYTES_MAX: u64 = 256;

/// After so many steps a version is kept whole: so far a damaged piece can reach where no later version is whole. Ours.
const STEPS_MAX: usize = 256;

/// Or when the steps need this part of the version's size, and at least so many bytes. Ours.
const STEPS_SIZE_PART: u64 = 4;
const STEPS_BYTES_MIN: u64 = 4096;

/// The pieces of one file.
pub(super) struct Pieces<'a> {
    disk: &'a Disk,
    directory: PathBuf,
}

/// What a directory of pieces holds: the numbers of states, and which piece there is.
#[derive(Debug, Default)]
struct Listing {
    wholes: BTreeMap<u64, PathBuf>,
    /// Ways between a version and the one before.
    steps: BTreeMap<u64, PathBuf>,
    backs: BTreeMap<u64, PathBuf>,
}

/// A version that was found, and the state in which it was recorded.
pub(super) type Found = (Version, u64);

impl<'a> Pieces<'a> {
    pub(super) fn new(disk: &'a Disk, directory: PathBuf) -> Self {
        Self { disk, directory }
    }

    pub(super) fn path(&self, number: u64, kind: &str) -> PathBuf {
        self.directory.join(format!("{number}.{kind}"))
    }

    fn listing(&self) -> Result<Listing, HistoryError> {
        let mut listing = Listing::default();
        for name in names(&self.directory)? {
            let Some((number, kind)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            let kind = match kind {
                "whole" => &mut listing.wholes,
                "step" => &mut listing.steps,
                "back" => &mut listing.backs,
                _ => continue,
            };
            kind.insert(number, self.directory.join(&name));
        }
        Ok(listing)
    }

    /// The state of the newest version.
    pub(super) fn newest(&self) -> Result<Option<u64>, HistoryError> {
        Ok(self.listing()?.newest())
    }

    /// The version as of a state; `None` when it is not known.
    pub(super) fn as_of(&self, number: u64) -> Result<Option<Found>, HistoryError> {
        self.listing()?.as_of(number)
    }

    /// Adds a version; false when it is the newest one already.
    ///
    /// A step comes first and is all there is to most versions. After a crash behind it the version is there.
    pub(super) fn add(&self, number: u64, change: &Change) -> Result<bool, HistoryError> {
        let listing = self.listing()?;
        let newest = listing.newest();
        let before = match newest {
            None => change.before.clone(),
            Some(newest) => self.last_version(&listing, newest, change)?,
        };
        if before.as_ref() == Some(&change.after) {
            return Ok(false);
        }
        let failed = |source| HistoryError::Disk { path: self.directory.clone(), source };
        self.disk.create_dir_all(&self.directory).map_err(failed)?;
        let after_bytes = bytes_of(&change.after).len() as u64;
        let step = before.as_ref().map(|before| step::make(bytes_of(before), bytes_of(&change.after)));
        // A step as large as the versions themselves is no gain.
        let small = |step: &Vec<u8>| (step.len() as u64) < after_bytes / 2 + STEPS_BYTES_MIN;
        match (&before, step.filter(small)) {
            (Some(before), Some(step)) => {
                let piece = step_piece(newest.unwrap_or(0), before, &change.after, &step);
                self.write(number, "step", &piece)?;
                if !listing.needs_whole(piece.len() as u64, after_bytes) {
                    return Ok(true);
                }
            }
            (Some(before), None) if newest.is_none() => self.write_whole(0, before)?,
            _ => {}
        }
        self.write_whole(number, &change.after)?;
        Ok(true)
    }

    /// The newest version; `None` when it cannot be found any more.
    ///
    /// What the caller says it was need not be read. A newest version that is damaged and still what the file holds is
    /// kept whole: from there the versions behind the damage are found again.
    fn last_version(
        &self,
        listing: &Listing,
        newest: u64,
        change: &Change,
    ) -> Result<Option<Version>, HistoryError> {
        let mark = listing.mark(newest);
        if let (Some(before), Ok(mark)) = (&change.before, &mark)
            && Mark::of(before) == *mark
        {
            return Ok(Some(before.clone()));
        }
        let reason = match listing.as_of(newest) {
            Ok(Some((version, _))) => return Ok(Some(version)),
            Ok(None) => "its newest version cannot be found".to_owned(),
            Err(error @ HistoryError::Disk { .. }) => return Err(error),
            Err(error) => error.to_string(),
        };
        tracing::error!("{}: {reason}; the history of this file goes on from here", self.directory.display());
        if mark.is_ok_and(|mark| mark == Mark::of(&change.after)) {
            self.write_whole(newest, &change.after)?;
            return Ok(Some(change.after.clone()));
        }
        Ok(None)
    }

    /// Removes what leads to versions before the one of a state, and returns how many bytes that gave. As long as no
    /// later version is whole and linked to it, what that version stands on stays.
    ///
    /// Whole versions go first, then steps from the oldest on: whatever a crash leaves leads to the right version or
    /// to none.
    pub(super) fn forget_up_to(&self, number: u64) -> Result<u64, HistoryError> {
        let listing = self.listing()?;
        let Some(first) = listing.version_at(number) else { return Ok(0) };
        let Some(cut) = listing.cut_at(first) else { return Ok(0) };
        let mut freed = 0;
        for (_, path) in listing.wholes.range(..cut) {
            freed += self.remove(path)?;
        }
        for number in listing.ways().filter(|&number| number <= cut) {
            for path in [listing.steps.get(&number), listing.backs.get(&number)].into_iter().flatten() {
                freed += self.remove(path)?;
            }
        }
        Ok(freed)
    }

    /// Whole versions that a later whole one leads to as well, with their sizes in bytes.
    pub(super) fn spare(&self) -> Result<Vec<(u64, u64)>, HistoryError> {
        let listing = self.listing()?;
        let wholes: Vec<u64> = listing.wholes.keys().copied().collect();
        let linked = wholes.windows(2).filter(|pair| listing.is_linked(pair[0], pair[1]));
        Ok(linked.map(|pair| (pair[0], size(&listing.wholes[&pair[0]]))).collect())
    }

    /// Removes a spare whole version if the next one really leads to the same, and returns how many bytes that gave.
    pub(super) fn drop_spare(&self, number: u64) -> Result<u64, HistoryError> {
        let listing = self.listing()?;
        let (Some(path), Some((&next, _))) =
            (listing.wholes.get(&number), listing.wholes.range(behind(number)).next())
        else {
            return Ok(0);
        };
        match (listing.backward(next, number), read_piece(path)) {
            (Ok(Some((version, at))), Ok(whole)) if at == number && whole.head.mark == Mark::of(&version) => {
                self.remove(path)
            }
            _ => Ok(0),
        }
    }

    /// Keeps the newest version whole, and nothing else.
    pub(super) fn keep_newest_only(&self) -> Result<(), HistoryError> {
        let listing = self.listing()?;
        let Some(newest) = listing.newest() else { return Ok(()) };
        if !listing.wholes.contains_key(&newest) {
            let Some((version, _)) = listing.as_of(newest)? else { return Ok(()) };
            self.write_whole(newest, &version)?;
        }
        self.forget_up_to(newest).map(drop)
    }

    fn remove(&self, path: &Path) -> Result<u64, HistoryError> {
        let size = size(path);
        self.disk
            .remove(path)
            .map(|()| size)
            .map_err(|source| HistoryError::Disk { path: path.to_owned(), source })
    }

    fn write_whole(&self, number: u64, version: &Version) -> Result<(), HistoryError> {
        let (kind, body) = (if version.is_some() { "whole" } else { "gone" }, bytes_of(version));
        let mark = Mark::of(version);
        let mut piece = format!("{MAGIC} {kind} {mark} {} 0\n", body.len()).into_bytes();
        piece.extend_from_slice(body);
        self.write(number, "whole", &piece)
    }

    fn write(&self, number: u64, kind: &str, piece: &[u8]) -> Result<(), HistoryError> {
        let path = self.path(number, kind);
        self.disk.replace(&path, piece).map_err(|source| HistoryError::Disk { path, source })
    }
}

fn step_piece(older: u64, before: &Version, after: &Version, step: &[u8]) -> Vec<u8> {
    let (from, to, length, sum) = (Mark::of(before), Mark::of(after), step.len(), checksum(step));
    let mut out = format!("{MAGIC} step {to} {length} {older} {sum} {from}\n").into_bytes();
    out.extend_from_slice(step);
    out
}

impl Listing {
    /// The state of the newest version. A way back is one to a version, and no version itself.
    fn newest(&self) -> Option<u64> {
        self.wholes.keys().next_back().max(self.steps.keys().next_back()).copied()
    }

    /// States that have a way to the version before, ascending; one that has two comes twice.
    fn ways(&self) -> impl Iterator<Item = u64> {
        let mut ways: Vec<u64> = self.steps.keys().chain(self.backs.keys()).copied().collect();
        ways.sort_unstable();
        ways.into_iter()
    }

    fn has_way(&self, number: u64) -> bool {
        self.steps.contains_key(&number) || self.backs.contains_key(&number)
    }

    /// The state in which the version of a state was recorded, as far as the names tell.
    fn version_at(&self, number: u64) -> Option<u64> {
        let newest = [&self.wholes, &self.steps, &self.backs].map(|map| map.range(..=number).next_back());
        newest.into_iter().flatten().map(|(&number, _)| number).max()
    }

    /// Whether every version from behind `older` up to `newer` has a way to the one before.
    fn is_linked(&self, older: u64, newer: u64) -> bool {
        if older == newer {
            return true;
        }
        let between = (Excluded(older), Included(newer));
        let all_have_ways = self.wholes.range(between).all(|(&number, _)| self.has_way(number));
        // The first of them must lead to the older one, not past it.
        let first = self.ways().find(|number| between.contains(number));
        all_have_ways && first.and_then(|first| self.older_of(first)) == Some(older)
    }

    /// Where the way from a version leads.
    fn older_of(&self, number: u64) -> Option<u64> {
        let path = self.steps.get(&number).or_else(|| self.backs.get(&number))?;
        read_head(path).ok().map(|head| head.older)
    }

    /// Up to where pieces can go when only `first` and what comes after it is kept.
    fn cut_at(&self, first: u64) -> Option<u64> {
        let later = self.wholes.range(first..).next().map(|(&number, _)| number);
        let leads_back = |&later: &u64| {
            later == first || matches!(self.backward(later, first), Ok(Some((_, at))) if at == first)
        };
        // Reading the way is only worth it where a whole version would go.
        let is_enough = |later: &u64| self.wholes.range(..first).next().is_none() || leads_back(later);
        match later.filter(is_enough) {
            Some(_) => Some(first),
            None => self.wholes.range(..first).next_back().map(|(&number, _)| number),
        }
    }

    /// Whether a version behind another step of `bytes` is to be kept whole.
    fn needs_whole(&self, bytes: u64, version_bytes: u64) -> bool {
        let Some((&last, _)) = self.wholes.last_key_value() else { return true };
        let steps: Vec<_> = self.steps.range(behind(last)).map(|(_, path)| path).collect();
        let size = steps.iter().map(|path| size(path)).sum::<u64>() + bytes;
        steps.len() + 1 >= STEPS_MAX || size > STEPS_BYTES_MIN.max(version_bytes / STEPS_SIZE_PART)
    }

    /// What the newest version is, without its content.
    fn mark(&self, newest: u64) -> Result<Mark, HistoryError> {
        // The step is read in the same moment as the version is added; a whole one may have come later to heal.
        let path = self.steps.get(&newest).or_else(|| self.wholes.get(&newest));
        path.map_or(Ok(Mark::default()), |path| read_head(path).map(|head| head.mark))
    }

    /// Tries the whole versions from the nearest on, below and then above: a damaged piece hides a version only when
    /// it lies on all ways.
    fn as_of(&self, number: u64) -> Result<Option<Found>, HistoryError> {
        let mut failure = None;
        for &base in self.wholes.range(..=number).rev().map(|(base, _)| base) {
            match self.forward(base, number) {
                Ok(found) => return Ok(Some(found)),
                Err(error) => failure.get_or_insert(error),
            };
        }
        for &base in self.wholes.range(behind(number)).map(|(base, _)| base) {
            match self.backward(base, number) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    fn forward(&self, base: u64, number: u64) -> Result<Found, HistoryError> {
        let whole = read_piece(&self.wholes[&base])?;
        let mut at = base;
        let mut steps = Vec::new();
        for (&next, path) in self.steps.range((Excluded(base), Included(number))) {
            let step = read_piece(path)?;
            if step.head.older != at {
                return Err(damaged(path, "the step before it is missing"));
            }
            at = next;
            steps.push((path, step));
        }
        if at < number
            && let Some((_, path)) = self.steps.range(behind(number)).next()
            && read_head(path).is_ok_and(|head| head.older > at)
        {
            return Err(damaged(path, "the step before it is missing"));
        }
        Ok((walk(&whole, &steps, Way::Forward)?, at))
    }

    /// `None`: the way ends before it comes to that state.
    fn backward(&self, base: u64, number: u64) -> Result<Option<Found>, HistoryError> {
        let whole = read_piece(&self.wholes[&base])?;
        let mut at = base;
        let mut steps = Vec::new();
        while number < at
            && let Some(path) = self.steps.get(&at)
        {
            let step = read_piece(path)?;
            if step.head.older >= at {
                return Err(damaged(path, "its head line is not one"));
            }
            at = step.head.older;
            steps.push((path, step));
        }
        let mut version = walk(&whole, &steps, Way::Back)?;
        while number < at {
            let Some(path) = self.backs.get(&at) else { return Ok(None) };
            let piece = read_piece(path)?;
            if piece.head.older >= at {
                return Err(damaged(path, "its head line is not one"));
            }
            version = go_back(path, &piece, &version)?;
            at = piece.head.older;
        }
        Ok(Some((version, at)))
    }
}

/// The version at the end of some steps.
fn walk(whole: &Piece, steps: &[(&PathBuf, Piece)], way: Way) -> Result<Version, HistoryError> {
    let mut rope: Rope<'_> = vec![&whole.body];
    let mut mark = &whole.head.mark;
    for (path, step) in steps {
        let (from, to) = match way {
            Way::Forward => (&step.head.older_mark, &step.head.mark),
            Way::Back => (&step.head.mark, &step.head.older_mark),
        };
        let gone = (mark == from).then(|| step::go(&rope, &step.body, way)).flatten();
        rope = gone.ok_or_else(|| damaged(path, "it does not fit the version beside it"))?;
        mark = to;
    }
    let version = mark.0.as_ref().map(|_| Arc::new(rope.concat()));
    match steps.last() {
        Some((path, _)) if Mark::of(&version) != *mark => Err(damaged(path, "its content was altered")),
        _ => Ok(version),
    }
}

/// Goes a way back of the first histories.
fn go_back(path: &Path, piece: &Piece, from: &Version) -> Result<Version, HistoryError> {
    let version = match piece.head.kind.as_str() {
        "gone" => None,
        "whole" => Some(Arc::new(piece.body.clone())),
        _ => {
            let made = from.as_ref().and_then(|from| back::apply(from, &piece.body));
            Some(Arc::new(made.ok_or_else(|| damaged(path, "it does not fit the version beside it"))?))
        }
    };
    if Mark::of(&version) != piece.head.mark {
        return Err(damaged(path, "its content was altered"));
    }
    Ok(version)
}

/// What a version is known by: its length in bytes and its sum; nothing where there is no file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mark(Option<(usize, String)>);

impl Mark {
    fn of(version: &Version) -> Self {
        Self(version.as_ref().map(|bytes| (bytes.len(), checksum(bytes))))
    }

    fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let (bytes, sum) = (words.next()?.parse().ok()?, words.next()?);
        Some(Self((sum != NO_FILE).then(|| (bytes, sum.to_owned()))))
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some((bytes, sum)) => write!(f, "{bytes} {sum}"),
            None => write!(f, "0 {NO_FILE}"),
        }
    }
}

/// A piece whose length and sum are right.
struct Piece {
    head: Head,
    body: Vec<u8>,
}

struct Head {
    kind: String,
    mark: Mark,
    length: usize,
    older: u64,
    step_sum: Option<String>,
    older_mark: Mark,
}

impl Head {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.to_str().ok()?.split(' ');
        (words.next()? == MAGIC).then_some(())?;
        let (kind, mark) = (words.next()?.to_owned(), Mark::parse(&mut words)?);
        let (length, older) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (mark, step_sum, older_mark) = match kind.as_str() {
            "step" => (mark, Some(words.next()?.to_owned()), Mark::parse(&mut words)?),
            "gone" => (Mark::default(), None, Mark::default()),
            "whole" | "back" => (mark, None, Mark::default()),
            _ => return None,
        };
        Some(Self { kind, mark, length, older, step_sum, older_mark })
    }
}

fn damaged(path: &Path, reason: &'static str) -> HistoryError {
    HistoryError::Damaged { path: path.to_owned(), reason }
}

fn unread(path: &Path, source: io::Error) -> HistoryError {
    match source.kind() {
        io::ErrorKind::NotFound => damaged(path, "it is missing"),
        _ => HistoryError::Disk { path: path.to_owned(), source },
    }
}

fn read_head(path: &Path) -> Result<Head, HistoryError> {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(HEAD_BYTES_MAX).read_to_end(&mut start));
    read.map_err(|source| unread(path, source))?;
    let (head, _) = start.split_once_str(b"\n").ok_or_else(|| damaged(path, "it has no head line"))?;
    Head::parse(head).ok_or_else(|| damaged(path, "its head line is not one"))
}

fn read_piece(path: &Path) -> Result<Piece, HistoryError> {
    let mut bytes = fs::read(path).map_err(|source| unread(path, source))?;
    let (line, body) = bytes.split_once_str(b"\n").ok_or_else(|| damaged(path, "it has no head line"))?;
    let head = Head::parse(line).ok_or_else(|| damaged(path, "its head line is not one"))?;
    if body.len() != head.length {
        return Err(damaged(path, "it is cut, or longer than it says"));
    }
    // What a way back leads to is judged when it has been gone.
    let is_good = match (head.kind.as_str(), &head.step_sum, &head.mark.0) {
        ("whole", _, Some((length, sum))) => body.len() == *length && checksum(body) == *sum,
        ("step", Some(sum), _) => checksum(body) == *sum,
        _ => true,
    };
    if !is_good {
        return Err(damaged(path, "its content was altered"));
    }
    let start = line.len() + 1;
    bytes.drain(..start);
    Ok(Piece { head, body: bytes })
}

/// The numbers above this one.
fn behind(number: u64) -> (Bound<u64>, Bound<u64>) {
    (Excluded(number), Unbounded)
}

fn bytes_of(version: &Version) -> &[u8] {
    version.as_ref().map_or(b"", |bytes| bytes.as_slice())
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Against damage, not against forgery: a table of 10 MB takes a millisecond.
fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(bytes))
}

/// The names in a directory; none when there is no directory.
fn names(directory: &Path) -> Result<Vec<PathBuf>, HistoryError> {
    Ok(entries(directory)?.into_iter().map(|entry| PathBuf::from(entry.file_name())).collect())
}

fn entries(directory: &Path) -> Result<Vec<fs::DirEntry>, HistoryError> {
    let failed = |source| HistoryError::Disk { path: directory.to_owned(), source };
    match fs::read_dir(directory) {
        Ok(listed) => listed.map(|entry| entry.map_err(failed)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(failed(source)),
    }
}

/// Directories that hold a whole version, relative to `top`.
pub(super) fn recorded_files(top: &Path) -> Result<Vec<PathBuf>, HistoryError> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let mut is_file = false;
        for entry in entries(&top.join(&relative))? {
            let name = PathBuf::from(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
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
        for entry in entries(&directory)? {
            // What vanishes meanwhile was a temporary file.
            let Ok(metadata) = entry.metadata() else { continue };
            match metadata.is_dir() {
                true => open.push(entry.path()),
                false => size += metadata.len(),
            }
        }
    }
    Ok(size)
}

/// Removes what a crash left of pieces that were being written. Nobody else may be writing.
pub(super) fn remove_temporaries(disk: &Disk, top: &Path) -> Result<(), HistoryError> {
    let mut open = vec![top.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in entries(&directory)? {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            } else if is_temporary(&entry.file_name()) {
                disk.remove(&path).map_err(|source| HistoryError::Disk { path, source })?;
            }
        }
    }
    Ok(())
}
