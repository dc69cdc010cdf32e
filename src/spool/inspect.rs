//! Where messages stand, for those who only look: nothing is made, moved or removed, and no [`Spool`](super::Spool) is
//! opened. A server may work on the same spool meanwhile; a message that moves during the look may be missed once.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::name::Name;
use super::recovery::{names_at, places_in};
use super::slog::{self, History};
use super::{BadSpoolFile, HEADER_BYTES_MAX, Header, SpoolError, SpoolFile, State};
use crate::mailroot::MailRoot;
use crate::message::HEADER_BLOCK_BYTES_MAX;

/// A message in the spool.
#[derive(Debug)]
pub struct Standing {
    /// Name and split directory.
    pub name: Name,
    /// The state's directory: `temp`, `mess`, `rsnd` or `froz`.
    pub state: &'static str,
    /// The message file, relative to the MailRoot.
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

/// The states that hold messages, in the order of a message's life.
const HOLDING: [State; 4] = [State::Temp, State::Mess, State::Rsnd, State::Froz];

/// The messages that `wanted` means: a spool name, the beginning of one, a path that ends in one, or a message number
/// such as `S1F`, which all recipients of one message share.
///
/// # Errors
/// When `spool/` cannot be read.
pub fn find(root: &MailRoot, wanted: &str) -> Result<Vec<Standing>, SpoolError> {
    let top = root.path().join("spool");
    let wanted = wanted.rsplit('/').next().unwrap_or(wanted);
    let mut found = Vec::new();
    for place in places_in(&top).map_err(SpoolError::disk("read", &top))? {
        for state in HOLDING {
            let directory = top.join(place.to_path()).join(state.directory());
            for name in names_at(&directory, place) {
                if is_meant(&directory, &name, wanted) {
                    found.push(standing(root, name, state));
                }
            }
        }
    }
    Ok(found)
}

fn is_meant(directory: &Path, name: &Name, wanted: &str) -> bool {
    if wanted.is_empty() {
        return false;
    }
    name.file_name().starts_with(wanted)
        || header_of(&directory.join(name.file_name()))
            .is_some_and(|header| header.number.eq_ignore_ascii_case(wanted.as_bytes()))
}

fn header_of(path: &Path) -> Option<Header> {
    let mut head = Vec::new();
    fs::File::open(path).ok()?.take(HEADER_BYTES_MAX as u64).read_to_end(&mut head).ok()?;
    Header::parse(&head).ok().map(|(header, _)| header)
}

fn standing(root: &MailRoot, name: Name, state: State) -> Standing {
    let relative = |state: State| {
        Path::new("spool").join(name.place().to_path()).join(state.directory()).join(name.file_name())
    };
    let read = |state: State| -> io::Result<(PathBuf, Vec<u8>)> {
        let file = relative(state);
        fs::read(root.path().join(&file)).map(|bytes| (file, bytes))
    };
    let file = relative(state);
    let envelope = SpoolFile::load(&root.path().join(&file));
    let head = envelope.as_ref().ok().and_then(|file| file.head(HEADER_BLOCK_BYTES_MAX).ok());
    let (slog_file, slog) = read(State::Slog).unwrap_or_else(|_| (relative(State::Slog), Vec::new()));
    let (cust, mprc) = (read(State::Cust).ok(), read(State::Mprc).ok());
    Standing {
        state: state.directory(),
        file,
        envelope,
        head: head.unwrap_or_default(),
        slog: (slog_file, slog::history(&slog)),
        cust,
        mprc,
        name,
    }
}
