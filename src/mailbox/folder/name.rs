//! Names of folders, as clients and people say them, and as directories.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::mutf7;

/// Between the levels of a name.
pub const SEPARATOR: char = '/';

/// Octets of a folder's directory name; file systems allow 255.
const DIRECTORY_NAME_BYTES_MAX: usize = 255;

/// Levels of a name. Ours: what walks up a name stays short.
const LEVELS_MAX: usize = 32;

/// The name of INBOX.
const INBOX: &str = "INBOX";

/// A folder's name: `INBOX` in capitals, or levels separated by [`SEPARATOR`]. A name that begins with INBOX in any case
/// and a separator has it in capitals.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderName(String);

/// Why this cannot be a folder's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing, or nothing between two separators, or one at an end.
    #[error("a folder name has an empty level")]
    Empty,
    /// A control character.
    #[error("a folder name has a control character")]
    Control,
    /// `*` or `%`, which are patterns.
    #[error("a folder name has a wildcard")]
    Wildcard,
    /// The directory would have a name that file systems do not take.
    #[error("the folder name is too long")]
    Long,
    /// Too many levels.
    #[error("the folder name has more than {LEVELS_MAX} levels")]
    Deep,
}

impl FolderName {
    /// INBOX.
    pub fn inbox() -> Self {
        Self(INBOX.to_owned())
    }

    /// Reads a name.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn parse(text: &str) -> Result<Self, BadName> {
        if text.chars().any(char::is_control) {
            return Err(BadName::Control);
        }
        if text.contains(['*', '%']) {
            return Err(BadName::Wildcard);
        }
        let mut levels: Vec<&str> = text.split(SEPARATOR).collect();
        if levels.iter().any(|level| level.is_empty()) {
            return Err(BadName::Empty);
        }
        if levels.len() > LEVELS_MAX {
            return Err(BadName::Deep);
        }
        if levels[0].eq_ignore_ascii_case(INBOX) {
            levels[0] = INBOX;
        }
        let name = Self(levels.join("/"));
        match name.directory_name() {
            Some(directory) if directory.len() > DIRECTORY_NAME_BYTES_MAX => Err(BadName::Long),
            _ => Ok(name),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX.
    pub fn is_inbox(&self) -> bool {
        self.0 == INBOX
    }

    /// The names above this one, the nearest first.
    pub fn parents(&self) -> impl Iterator<Item = Self> {
        let mut rest = self.0.as_str();
        std::iter::from_fn(move || {
            rest = &rest[..rest.rfind(SEPARATOR)?];
            Some(Self(rest.to_owned()))
        })
    }

    /// Whether this is below `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.starts_with(SEPARATOR))
    }

    /// The same below another name: `from` in front is replaced by `to`.
    ///
    /// # Errors
    /// [`BadName`], when it becomes too long or deep.
    pub fn moved(&self, from: &Self, to: &Self) -> Result<Self, BadName> {
        Self::parse(&format!("{}{}", to.0, self.0.strip_prefix(&from.0).unwrap_or_default()))
    }

    /// `.Work.2026`; `None` for INBOX, which is the mailbox directory itself.
    pub(in crate::mailbox) fn directory_name(&self) -> Option<String> {
        if self.is_inbox() {
            return None;
        }
        Some(self.0.split(SEPARATOR).map(|level| format!(".{}", encoded(level))).collect())
    }

    /// The folder of a directory that begins with a dot; `None` for other things with such names.
    pub(super) fn from_directory_name(directory: &str) -> Option<Self> {
        let levels: Option<Vec<String>> = directory.strip_prefix('.')?.split('.').map(decoded).collect();
        let levels = levels?;
        if levels.iter().any(|level| level.contains(SEPARATOR) || level.is_empty()) {
            return None;
        }
        let name = Self::parse(&levels.join("/")).ok()?;
        // A directory with another spelling of the same name would be a second folder of that name.
        (name.directory_name().as_deref() == Some(directory)).then_some(name)
    }
}

/// A level in modified UTF-7, where a dot is encoded, too: it separates levels on disk.
fn encoded(level: &str) -> String {
    mutf7::encode(level).replace('.', DOT)
}

/// The other way round.
fn decoded(level: &str) -> Option<String> {
    let pieces: Result<Vec<String>, _> =
        level.split(DOT).map(|piece| mutf7::decode(piece.as_bytes())).collect();
    pieces.ok().map(|pieces| pieces.join("."))
}

/// `.` in modified UTF-7, which would not encode it by itself.
const DOT: &str = "&AC4-";

/// A name for a message file, as the spool gives them (`mailroot.md` 16.2): nobody else has it.
pub(super) fn fresh_file_name() -> String {
    static RUN: OnceLock<(u64, String)> = OnceLock::new();
    static SEQUENCE: AtomicU64 = AtomicU64::new(1);
    let (run, host) = RUN.get_or_init(|| {
        let random = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        (random >> 16, crate::net::host_name())
    });
    let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    format!("{millis}.{run:x}.{:x}.{sequence:x}.{host}", std::process::id())
}

impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_directories() {
        let check = |text: &str, name: &str, directory: Option<&str>| {
            let got = FolderName::parse(text).unwrap();
            assert_eq!((got.as_str(), got.directory_name().as_deref()), (name, directory));
            if let Some(directory) = directory {
                assert_eq!(FolderName::from_directory_name(directory), Some(got));
            }
        };
        check("inbox", "INBOX", None);
        check("Sent", "Sent", Some(".Sent"));
        check("Work/2026", "Work/2026", Some(".Work.2026"));
        check("Inbox/Old", "INBOX/Old", Some(".INBOX.Old"));
        check("v1.2", "v1.2", Some(".v1&AC4-2"));
        check("草稿", "草稿", Some(".&g0l6Pw-"));
        check("a&b", "a&b", Some(".a&-b"));
        check("..", "..", Some(".&AC4-&AC4-"));
    }

    #[test]
    fn what_is_no_name() {
        let check = |text: &str, error: BadName| assert_eq!(FolderName::parse(text), Err(error), "{text:?}");
        check("", BadName::Empty);
        check("/etc", BadName::Empty);
        check("a//b", BadName::Empty);
        check("a/", BadName::Empty);
        check("a\0b", BadName::Control);
        check("a\nb", BadName::Control);
        check("a*", BadName::Wildcard);
        check(&"x".repeat(300), BadName::Long);
        check(&["x"; 40].join("/"), BadName::Deep);
        for directory in ["Sent", ".", "..", ".a..b", ".&AC8-", ".&", ".a/b", ".&AGE-"] {
            assert_eq!(FolderName::from_directory_name(directory), None, "{directory}");
        }
    }

    #[test]
    fn above_and_below() {
        let name = |text| FolderName::parse(text).unwrap();
        let parents: Vec<FolderName> = name("a/b/c").parents().collect();
        assert_eq!(parents, [name("a/b"), name("a")]);
        assert!(name("a/b").is_below(&name("a")) && !name("ab").is_below(&name("a")));
        assert_eq!(name("a/b/c").moved(&name("a/b"), &name("x")), Ok(name("x/c")));
    }
}
