//! Flags and keywords of a message, and Maildir's letters for them.

use std::fmt;

/// The system flags of RFC 9051 section 2.3.2, a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// `\Draft`, Maildir `D`.
    pub const DRAFT: Self = Self(1);
    /// `\Flagged`, Maildir `F`.
    pub const FLAGGED: Self = Self(2);
    /// `\Answered`, Maildir `R`.
    pub const ANSWERED: Self = Self(4);
    /// `\Seen`, Maildir `S`.
    pub const SEEN: Self = Self(8);
    /// `\Deleted`, Maildir `T`.
    pub const DELETED: Self = Self(16);
    /// All with Maildir's letter and IMAP's name, in the order of the letters.
    pub const ALL: [(Self, char, &'static str); 5] = [
        (Self::DRAFT, 'D', "\\Draft"),
        (Self::FLAGGED, 'F', "\\Flagged"),
        (Self::ANSWERED, 'R', "\\Answered"),
        (Self::SEEN, 'S', "\\Seen"),
        (Self::DELETED, 'T', "\\Deleted"),
    ];

    /// Whether all of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The flag with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(name)).map(|(flag, ..)| *flag)
    }

    /// The names of the set ones.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(move |(flag, ..)| self.contains(*flag)).map(|(_, _, name)| name)
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits & 31)
    }
}

/// Keywords a folder can have: Maildir has the letters `a` to `z` for them.
pub const KEYWORDS_MAX: usize = 26;

/// Which of the keywords of a folder a message has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeywordSet(u32);

impl KeywordSet {
    /// The set of one; keywords are counted from 0.
    pub fn one(index: usize) -> Self {
        Self(if index < KEYWORDS_MAX { 1 << index } else { 0 })
    }

    /// Both together.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in `other`.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are in it.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The numbers of the keywords.
    pub fn indexes(self) -> impl Iterator<Item = usize> {
        (0..KEYWORDS_MAX).filter(move |index| self.contains(Self::one(*index)))
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }

    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits & ((1 << KEYWORDS_MAX) - 1))
    }
}

/// Whether a client may make a keyword of this name: an atom of RFC 9051 that can stand in a table.
pub fn is_keyword(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= KEYWORD_BYTES_MAX
        && name.bytes().all(|octet| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet))
}

/// Octets of a keyword's name. Ours.
const KEYWORD_BYTES_MAX: usize = 100;

/// What stands before a file name's flags.
const INFO: &str = ":2,";

/// The part of a file name before `:2,`, and the flags behind it.
pub(super) fn split(file_name: &str) -> (&str, Flags, KeywordSet) {
    match split_info(file_name) {
        Some((base, letters)) => {
            let (flags, keywords) = from_letters(letters);
            (base, flags, keywords)
        }
        None => (file_name, Flags::default(), KeywordSet::default()),
    }
}

/// What is before the first [`INFO`], and what is behind it. Thousands of names are split for each look.
fn split_info(file_name: &str) -> Option<(&str, &str)> {
    let is_info = |at: &usize| file_name[*at..].starts_with(INFO);
    let at = memchr::memchr_iter(b':', file_name.as_bytes()).find(is_info)?;
    Some((&file_name[..at], &file_name[at + INFO.len()..]))
}

/// Maildir's letters; unknown ones mean nothing.
pub(super) fn from_letters(letters: &str) -> (Flags, KeywordSet) {
    let mut flags = Flags::default();
    let mut keywords = KeywordSet::default();
    for letter in letters.chars() {
        match letter {
            'a'..='z' => keywords = keywords.union(KeywordSet::one(letter as usize - 'a' as usize)),
            _ => {
                if let Some((flag, ..)) = Flags::ALL.iter().find(|(_, known, _)| *known == letter) {
                    flags = flags.union(*flag);
                }
            }
        }
    }
    (flags, keywords)
}

/// `base:2,` and the letters, capitals first, in the order of ASCII; letters in `former` that we do not know are kept.
pub(super) fn with_flags(former: &str, flags: Flags, keywords: KeywordSet) -> String {
    let (base, former_letters) = split_info(former).unwrap_or((former, ""));
    let mut letters: Vec<char> = former_letters
        .chars()
        .filter(|letter| {
            letter.is_ascii_uppercase() && Flags::ALL.iter().all(|(_, known, _)| known != letter)
        })
        .collect();
    letters.extend(Letters(flags).iter());
    letters.sort_unstable();
    letters.extend(keywords.indexes().map(letter_of));
    format!("{base}{INFO}{}", letters.into_iter().collect::<String>())
}

/// The letter of a keyword.
pub(super) fn letter_of(index: usize) -> char {
    char::from(b'a' + u8::try_from(index).unwrap_or(25).min(25))
}

/// The letters of a set of flags.
pub(super) struct Letters(pub(super) Flags);

impl Letters {
    fn iter(&self) -> impl Iterator<Item = char> {
        Flags::ALL.into_iter().filter(|(flag, ..)| self.0.contains(*flag)).map(|(_, letter, _)| letter)
    }
}

impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|letter| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_in_file_names() {
        let check = |former: &str, add: Flags, expected: &str| {
            let (_, flags, keywords) = split(former);
            assert_eq!(with_flags(former, flags.union(add), keywords), expected);
        };
        check("1.x.host", Flags::SEEN, "1.x.host:2,S");
        check("1.x.host:2,S", Flags::DELETED, "1.x.host:2,ST");
        check("1.x.host:2,RSab", Flags::FLAGGED, "1.x.host:2,FRSab");
        check("1.x.host:2,PS", Flags::FLAGGED, "1.x.host:2,FPS");
        check("1.x.host:2,", Flags::default(), "1.x.host:2,");
        assert_eq!(split("a:2,Sc"), ("a", Flags::SEEN, KeywordSet::one(2)));
        assert_eq!(split("a:1,x"), ("a:1,x", Flags::default(), KeywordSet::default()));
    }

    #[test]
    fn names_of_keywords() {
        for good in ["$Forwarded", "Junk", "a.b-c_d", "NonJunk"] {
            assert!(is_keyword(good), "{good}");
        }
        for bad in ["", "a b", "\\Seen", "a\"b", "ä", "a(b", "x]"] {
            assert!(!is_keyword(bad), "{bad}");
        }
    }
}
