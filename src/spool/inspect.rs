//! Where messages stand, in the journal or in a spool file, for those who only look: nothing is made, moved, removed or
//! locked, and no [`Spool`](super::Spool) is opened. A server may work on the same spool meanwhile; a message whose file
//! moves during the look may be missed once.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::journal::view::{self, Waiting};
use super::name::{Name, Place};
use super::recovery::{names_at, places_in};
use super::slog::{self, History};
use super::{BadSpoolFile, HEADER_BYTES_MAX, Header, JOURNAL, SpoolError, SpoolFile, State};
use crate::mailroot::MailRoot;
use crate::message::HEADER_BLOCK_BYTES_MAX;

/// A message in the spool.
#[derive(Debug)]
pub struct Standing {
    /// Name and split directory.
    pub name: Name,
    /// The state's directory: `temp`, `mess`, `rsnd` or `froz`; or [`JOURNALED`].
    pub state: &'static str,
    /// The message file, or the journal's directory; relative to the MailRoot.
    pub file: PathBuf,
    /// Its envelope.
    pub envelope: Result<SpoolFile, BadSpoolFile>,
    /// The beginning of the message, enough for its headers.
    pub head: Vec<u8>,
    /// The `slog` file, relative to the MailRoot, and what it tells.
    pub slog: (PathBuf, History),
    /// The private copy in `cust`, if there is one: its file relative to the MailRoot, its content.
    pub cust: Option<(PathBuf, Vec<u8>)>,
    /// The private copy in `mprc`.
    pub mprc: Option<(PathBuf, Vec<u8>)>,
}

/// [`Standing::state`] of a message that is in the journal and has no spool file: it is ready, or in its first attempt.
pub const JOURNALED: &str = "journal";

/// The states that hold messages, in the order of a message's life.
const HOLDING: [State; 4] = [State::Temp, State::Mess, State::Rsnd, State::Froz];

/// The messages that `wanted` means: a spool name, the beginning of one, a path that ends in one, or a message number
/// such as `S1F`, which all recipients of one message share.
///
/// # Errors
/// When `spool/` or its journal cannot be read.
pub fn find(root: &MailRoot, wanted: &str) -> Result<Vec<Standing>, SpoolError> {
    let top = root.path().join("spool");
    let wanted = wanted.rsplit('/').next().unwrap_or(wanted);
    // Before the files: what leaves the journal in between has one then.
    let journaled = journaled(root, &top, wanted)?;
    let mut found = in_files(root, &top, wanted)?;
    let is_in = |messages: &[Standing], name: &Name| messages.iter().any(|message| message.name == *name);
    // A file in `temp` may be one that a journaled message is just getting.
    found.retain(|file| file.state != State::Temp.directory() || !is_in(&journaled, &file.name));
    let only_journaled: Vec<_> =
        journaled.into_iter().filter(|message| !is_in(&found, &message.name)).collect();
    found.extend(only_journaled);
    Ok(found)
}

/// How many messages have a file in the spool, by what they wait for. Those that are only in the journal are not
/// counted: they are in their first attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In `mess`: to be tried now.
    pub ready: usize,
    /// In `rsnd`: waiting for another attempt.
    pub waiting: usize,
    /// In `froz`: waiting for an operator.
    pub frozen: usize,
}

/// Counts the files of the queue.
///
/// # Errors
/// When `spool/` cannot be read.
pub fn counts(root: &MailRoot) -> Result<Counts, SpoolError> {
    let mut counts = Counts::default();
    for place in places(root)? {
        let directory = root.path().join("spool").join(place.to_path());
        let count = |state: State| count_at(&directory.join(state.directory()));
        counts.ready += count(State::Mess);
        counts.waiting += count(State::Rsnd);
        counts.frozen += count(State::Froz);
    }
    Ok(counts)
}

/// How many messages a part of the queue has.
///
/// # Errors
/// When `spool/` cannot be read.
pub fn count(root: &MailRoot, part: Part) -> Result<usize, SpoolError> {
    Ok(directories(root, part)?.map(|(_, _, directory)| count_at(&directory)).sum())
}

fn count_at(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let is_message = |entry: &fs::DirEntry| {
        entry.file_type().is_ok_and(|kind| kind.is_file())
            && entry.file_name().to_str().is_some_and(Name::is_plain)
    };
    entries.flatten().filter(is_message).count()
}

/// Which part of the queue is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `mess` and `rsnd`.
    Waiting,
    /// `froz`.
    Frozen,
}

impl Part {
    fn states(self) -> &'static [State] {
        match self {
            Self::Waiting => &[State::Mess, State::Rsnd],
            Self::Frozen => &[State::Froz],
        }
    }
}

/// A message of the queue in a list.
#[derive(Clone, Debug)]
pub struct Glance {
    /// Name and split directory.
    pub name: Name,
    /// The sender's path without brackets; empty when null or unreadable.
    pub from: String,
    /// The recipient's path; empty when unreadable.
    pub to: String,
    /// The size of the spool file.
    pub bytes: u64,
    /// Attempts made.
    pub attempts: usize,
    /// When the last one began, in Unix seconds.
    pub last_unix_secs: Option<i64>,
    /// Why it failed.
    pub reason: Option<String>,
}

impl Glance {
    /// When it came, in Unix seconds: its name begins with the milliseconds (`mailroot.md` 16.2).
    pub fn came_unix_secs(&self) -> Option<i64> {
        let (millis, _) = self.name.file_name().split_once('.')?;
        millis.parse::<i64>().ok().map(|millis| millis / 1000)
    }
}

/// Some messages of a part of the queue, in the order of their places, and how many there are in all. Each one shown
/// costs two small reads.
///
/// # Errors
/// When `spool/` cannot be read.
pub fn list(
    root: &MailRoot,
    part: Part,
    wanted: impl FnOnce(usize) -> std::ops::Range<usize>,
) -> Result<(usize, Vec<Glance>), SpoolError> {
    let (total, shown) = names_in(root, part, wanted)?;
    Ok((total, glances(root, &shown)))
}

/// These messages as they are now, without those that are gone.
pub fn glances(root: &MailRoot, found: &[Found]) -> Vec<Glance> {
    found.iter().filter_map(|found| glance(root, &found.name, found.state)).collect()
}

/// Where a message of the queue was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Name and split directory.
    pub name: Name,
    state: State,
}

/// The names in a range, and how many there are. Only the names of the directories that the range meets are held.
fn names_in(
    root: &MailRoot,
    part: Part,
    wanted: impl FnOnce(usize) -> std::ops::Range<usize>,
) -> Result<(usize, Vec<Found>), SpoolError> {
    let counted: Vec<_> = directories(root, part)?
        .map(|(state, place, directory)| (state, place, count_at(&directory), directory))
        .collect();
    let total = counted.iter().map(|(_, _, count, _)| count).sum();
    let range = wanted(total);
    let (mut at, mut shown) = (0, Vec::new());
    for (state, place, count, directory) in counted {
        let (begin, end) = (at, at + count);
        at = end;
        if count == 0 || end <= range.start || begin >= range.end {
            continue;
        }
        let names = names_at(&directory, place).into_iter().skip(range.start.saturating_sub(begin));
        shown.extend(names.take(range.end - begin.max(range.start)).map(|name| Found { name, state }));
    }
    Ok((total, shown))
}

/// All messages of a part that fit; without `fits`, all. With it, each message of the part costs two small reads.
///
/// # Errors
/// When `spool/` cannot be read.
pub fn matching(
    root: &MailRoot,
    part: Part,
    fits: Option<&dyn Fn(&Glance) -> bool>,
) -> Result<Vec<Found>, SpoolError> {
    let mut found = Vec::new();
    for (state, place, directory) in directories(root, part)? {
        let is_meant = |name: &Name| {
            fits.is_none_or(|fits| glance(root, name, state).is_some_and(|glance| fits(&glance)))
        };
        let names = names_at(&directory, place).into_iter().filter(is_meant);
        found.extend(names.map(|name| Found { name, state }));
    }
    Ok(found)
}

/// The directories of a part, in the order in which its messages are listed.
fn directories(
    root: &MailRoot,
    part: Part,
) -> Result<impl Iterator<Item = (State, Place, PathBuf)>, SpoolError> {
    let (top, places) = (root.path().join("spool"), places(root)?);
    Ok(part.states().iter().flat_map(move |&state| {
        let of = |place: Place| (state, place, top.join(place.to_path()).join(state.directory()));
        places.iter().copied().map(of).collect::<Vec<_>>()
    }))
}

/// `None` when the message is gone meanwhile.
fn glance(root: &MailRoot, name: &Name, state: State) -> Option<Glance> {
    let path = root.path().join(relative(name, state));
    let (bytes, header) = match fs::File::open(&path) {
        Ok(file) => (file.metadata().ok()?.len(), header_in(file)),
        Err(_) => (fs::metadata(&path).ok()?.len(), None),
    };
    let (from, to) = match header {
        Some(header) => {
            let from = header.reverse_path().ok();
            let from = from.and_then(|path| path.path().map(ToString::to_string)).unwrap_or_default();
            (from, header.forward_path().map(|path| path.path().to_string()).unwrap_or_default())
        }
        None => (String::new(), String::new()),
    };
    let slog = fs::read(root.path().join(relative(name, State::Slog))).unwrap_or_default();
    let history = slog::history(&slog);
    let last = history.attempts.last();
    Some(Glance {
        name: name.clone(),
        from,
        to,
        bytes,
        attempts: history.attempts.len(),
        last_unix_secs: last.map(|attempt| attempt.unix_secs),
        reason: last.and_then(|attempt| attempt.error.clone()),
    })
}

/// The split directories; none where there is no spool yet.
fn places(root: &MailRoot) -> Result<Vec<Place>, SpoolError> {
    let top = root.path().join("spool");
    match places_in(&top) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        places => places.map_err(SpoolError::disk("read", &top)),
    }
}

fn journaled(root: &MailRoot, top: &Path, wanted: &str) -> Result<Vec<Standing>, SpoolError> {
    let directory = top.join(JOURNAL);
    let waiting = view::waiting(&directory).map_err(SpoolError::disk("read", &directory))?;
    let is_wanted = |message: &Waiting| {
        let header = || Header::parse(&message.content.payload[message.parts.header.clone()]).ok();
        is_meant(&message.name, wanted, || header().map(|(header, _)| header))
    };
    Ok(waiting.into_iter().filter(is_wanted).map(|message| of_journal(root, message)).collect())
}

fn of_journal(root: &MailRoot, message: Waiting) -> Standing {
    let file = Path::new("spool").join(JOURNAL);
    let envelope = SpoolFile::held(&root.path().join(&file), message.content, message.parts);
    Standing {
        state: JOURNALED,
        head: head(&envelope),
        file,
        envelope,
        slog: (relative(&message.name, State::Slog), History::default()),
        cust: None,
        mprc: None,
        name: message.name,
    }
}

fn in_files(root: &MailRoot, top: &Path, wanted: &str) -> Result<Vec<Standing>, SpoolError> {
    let mut found = Vec::new();
    for place in places_in(top).map_err(SpoolError::disk("read", top))? {
        for state in HOLDING {
            let directory = top.join(place.to_path()).join(state.directory());
            for name in names_at(&directory, place) {
                if is_meant(&name, wanted, || header_of(&directory.join(name.file_name()))) {
                    found.push(standing(root, name, state));
                }
            }
        }
    }
    Ok(found)
}

fn is_meant(name: &Name, wanted: &str, header: impl FnOnce() -> Option<Header>) -> bool {
    if wanted.is_empty() {
        return false;
    }
    name.file_name().starts_with(wanted)
        || header().is_some_and(|header| header.number.eq_ignore_ascii_case(wanted.as_bytes()))
}

fn header_of(path: &Path) -> Option<Header> {
    header_in(fs::File::open(path).ok()?)
}

/// Most headers are there with the first read: one system call for each of 100,000 messages counts.
fn header_in(mut file: fs::File) -> Option<Header> {
    let mut head = vec![0; HEADER_BYTES_MOSTLY];
    let bytes = file.read(&mut head).ok()?;
    head.truncate(bytes);
    if let Ok((header, _)) = Header::parse(&head) {
        return Some(header);
    }
    file.take((HEADER_BYTES_MAX - bytes) as u64).read_to_end(&mut head).ok()?;
    Header::parse(&head).ok().map(|(header, _)| header)
}

/// Bytes of a spool file that are read first. Ours: its six lines have some hundred.
const HEADER_BYTES_MOSTLY: usize = 1024;

/// The file of a state, relative to the MailRoot.
fn relative(name: &Name, state: State) -> PathBuf {
    Path::new("spool").join(name.place().to_path()).join(state.directory()).join(name.file_name())
}

fn head(envelope: &Result<SpoolFile, BadSpoolFile>) -> Vec<u8> {
    let head = envelope.as_ref().ok().and_then(|file| file.head(HEADER_BLOCK_BYTES_MAX).ok());
    head.unwrap_or_default()
}

fn standing(root: &MailRoot, name: Name, state: State) -> Standing {
    let read = |state: State| -> io::Result<(PathBuf, Vec<u8>)> {
        let file = relative(&name, state);
        fs::read(root.path().join(&file)).map(|bytes| (file, bytes))
    };
    let file = relative(&name, state);
    let envelope = SpoolFile::load(&root.path().join(&file));
    let (slog_file, slog) = read(State::Slog).unwrap_or_else(|_| (relative(&name, State::Slog), Vec::new()));
    let (cust, mprc) = (read(State::Cust).ok(), read(State::Mprc).ok());
    Standing {
        state: state.directory(),
        file,
        head: head(&envelope),
        envelope,
        slog: (slog_file, slog::history(&slog)),
        cust,
        mprc,
        name,
    }
}
