//! Spool names (`mailroot.md` 16.2): `MS.TID.PID.SEQ.HOST`, which are also mailbox file names and UIDLs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A message's name and its split directory, which it keeps for life.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    place: Place,
    file_name: Box<str>,
}

/// A split directory: `spool/<a>/<b>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The first level.
    pub level1: u32,
    /// The second level.
    pub level2: u32,
}

impl Place {
    /// `<a>/<b>`.
    pub fn to_path(self) -> PathBuf {
        PathBuf::from(self.level1.to_string()).join(self.level2.to_string())
    }
}

impl Name {
    /// The name of a file found in a split directory; `None` unless it is one plain, visible file name.
    pub fn existing(place: Place, file_name: &str) -> Option<Self> {
        Self::is_plain(file_name).then(|| Self { place, file_name: file_name.into() })
    }

    /// Whether a file name is one of a message.
    pub(super) fn is_plain(file_name: &str) -> bool {
        !file_name.is_empty()
            && !file_name.starts_with('.')
            && !file_name.contains(['/', '\\', '\0', '\r', '\n', '\t', '"'])
    }

    /// The split directory.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The name itself.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }
}

/// Makes names that no other message has.
pub(super) struct Generator {
    levels: u32,
    run: u64,
    process: u32,
    sequence: AtomicU64,
    places: AtomicU64,
    host: Box<str>,
}

/// Bits of the random number that stands where XMail puts its thread id.
const RUN_BITS: u32 = 48;

impl Generator {
    pub(super) fn new(levels: u32) -> Self {
        Self {
            levels,
            // Random per run: names stay unique over restarts within one millisecond and re-used process ids.
            run: random() >> (64 - RUN_BITS),
            process: std::process::id(),
            sequence: AtomicU64::new(0),
            places: AtomicU64::new(random()),
            host: host_name(),
        }
    }

    /// The split levels in use.
    pub(super) fn levels(&self) -> u32 {
        self.levels
    }

    /// A split directory.
    pub(super) fn place(&self) -> Place {
        // Spread by a multiplicative hash of a counter: even, and without a system call for each message.
        let random = self.places.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let random = random ^ (random >> 29);
        let levels = u64::from(self.levels);
        let pick = |bits: u64| u32::try_from(bits % levels).unwrap_or(0);
        Place { level1: pick(random & 0xffff_ffff), level2: pick(random >> 32) }
    }

    pub(super) fn name(&self, place: Place, unix_millis: i64) -> Name {
        Name { place, file_name: self.file_name(unix_millis).into() }
    }

    pub(super) fn file_name(&self, unix_millis: i64) -> String {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{unix_millis}.{:x}.{:x}.{sequence:x}.{}", self.run, self.process, self.host)
    }
}

/// Whether a file name has the five parts that [`Generator`], or XMail, gives: `MS.TID.PID.SEQ.HOST`.
pub(super) fn is_generated(file_name: &str) -> bool {
    let parts: Vec<&str> = file_name.splitn(5, '.').collect();
    let all = |part: &str, fits: fn(&u8) -> bool| !part.is_empty() && part.as_bytes().iter().all(fits);
    matches!(parts[..], [ms, tid, pid, seq, host]
        if all(ms, u8::is_ascii_digit) && [tid, pid, seq].iter().all(|part| all(part, u8::is_ascii_hexdigit)) && !host.is_empty())
}

/// The smallest prime that is at least `n` (`-Mx` is raised to it).
pub(super) fn next_prime(n: u32) -> u32 {
    let is_prime = |n: u32| n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    // XMail accepts 1 as a split of one directory; the next prime of 1 and 2 is 2.
    (n.max(2)..).find(|&candidate| is_prime(candidate)).unwrap_or(n)
}

fn host_name() -> Box<str> {
    let name = crate::net::host_name();
    let plain: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    if plain.is_empty() { "localhost".into() } else { plain.into() }
}

fn random() -> u64 {
    // Only a system without a random source fails here; names then rest on time, process and sequence.
    getrandom::u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_five_parts_and_differ() {
        let names = Generator::new(3);
        let (one, two) =
            (names.name(names.place(), 1_795_434_299_251), names.name(names.place(), 1_795_434_299_251));
        assert!(one.file_name().starts_with("1795434299251."));
        assert!(is_generated(one.file_name()) && !is_generated("100.a.host") && !is_generated("notes.txt"));
        assert_ne!(one.file_name(), two.file_name());
        assert!(one.place().level1 < 3 && one.place().level2 < 3);
    }

    #[test]
    fn only_plain_visible_names_are_messages() {
        let place = Place { level1: 0, level2: 0 };
        for bad in ["", ".", "..", ".hidden", "a/b", "../x", "a\\b", "a\nb", "a\0"] {
            assert_eq!(Name::existing(place, bad), None, "{bad:?}");
        }
        assert!(Name::existing(place, "100.a.host").is_some());
    }

    #[test]
    fn split_levels_are_raised_to_a_prime() {
        for (given, prime) in [(1, 2), (2, 2), (3, 3), (4, 5), (23, 23), (24, 29), (100, 101)] {
            assert_eq!(next_prime(given), prime);
        }
    }
}
