//! The tables of IMAP folders: `imapfolders.tab`, `imapflags.tab`, `imapkeywords.tab`, `imapmetadata.tab`. Ours; XMail never reads them.
//!
//! Shape:
//!
//! ```text
//! imapfolders.tab    "Sent" TAB "1795430250" TAB "S" TAB "\Sent"    a folder: name, UIDVALIDITY, subscribed or not, special use
//!                    "" TAB "1795430250" TAB "" TAB ""            the greatest UIDVALIDITY ever given
//! imapflags.tab      "1795430250.1.host" TAB "FS" TAB "work" a message of INBOX: file, Maildir letters, keywords; the last row counts
//! imapkeywords.tab   "a" TAB "work"                          a folder's letter in Maildir flags, and the keyword it stands for; the last row counts
//! imapmetadata.tab   "Sent" TAB "/private/comment" TAB "mine"   what is noted about a folder; with "B" after it in base64
//! ```
//!
//! The rows are as they stand in the file; what they mean together is for the room that keeps the folders. A row is used as
//! far as it can be understood: a UIDVALIDITY that is no number is as good as none.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::problem::{ProblemKind, Problems};
use super::schema::Words;
use super::schema::tables::folders::{
    IMAPFLAGS, IMAPFOLDERS, IMAPKEYWORDS, IMAPMETADATA, IN_BASE64, SPECIAL_USES, SUBSCRIBED,
};
use super::table::{Row, RowSpec, Table};

/// What a folder is for (RFC 6154); the words are [`SPECIAL_USES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialUse {
    /// `\Archive`.
    Archive,
    /// `\Drafts`.
    Drafts,
    /// `\Flagged`.
    Flagged,
    /// `\Junk`.
    Junk,
    /// `\Sent`.
    Sent,
    /// `\Trash`.
    Trash,
}

impl SpecialUse {
    /// All, in the order of [`SPECIAL_USES`].
    const ALL: [Self; 6] = [Self::Archive, Self::Drafts, Self::Flagged, Self::Junk, Self::Sent, Self::Trash];

    /// The use of this name, in any case, with its backslash.
    pub fn from_name(name: &str) -> Option<Self> {
        let word = SPECIAL_USES.find(name.as_bytes())?.word;
        Self::ALL.into_iter().find(|special| special.name() == word)
    }

    /// The name, with its backslash.
    pub fn name(self) -> &'static str {
        SPECIAL_USES.words.get(self as usize).map_or("", |known| known.word)
    }
}

/// `imapfolders.tab` of one account.
#[derive(Clone, Debug, Default)]
pub struct ImapFolders {
    rows: Vec<ImapFolderRow>,
    /// The first line of each name.
    lines: HashMap<Box<str>, u32>,
    greatest_uid_validity: u32,
}

/// A row of `imapfolders.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapFolderRow {
    /// The line, from 1.
    pub line: u32,
    /// The folder; empty in the row that holds the greatest UIDVALIDITY given.
    pub name: Box<str>,
    /// Its UIDVALIDITY; 0 when it was never opened.
    pub uid_validity: u32,
    /// `S`: subscribed.
    pub subscribed: bool,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
}

/// `imapflags.tab` of one account.
#[derive(Clone, Debug, Default)]
pub struct ImapFlags {
    rows: Vec<ImapFlagsRow>,
}

/// A row of `imapflags.tab`. Of equal names the last row counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapFlagsRow {
    /// The line, from 1.
    pub line: u32,
    /// The name of the message's file.
    pub file: Vec<u8>,
    /// Maildir letters, such as `FS`.
    pub letters: Box<str>,
    /// The keywords.
    pub keywords: Vec<Box<str>>,
}

/// `imapkeywords.tab` of one folder.
#[derive(Clone, Debug, Default)]
pub struct ImapKeywords {
    rows: Vec<ImapKeywordRow>,
}

/// A row of `imapkeywords.tab`. Of equal letters the last row counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapKeywordRow {
    /// The line, from 1.
    pub line: u32,
    /// `a` to `z`.
    pub letter: char,
    /// The keyword.
    pub keyword: Box<str>,
}

/// `imapmetadata.tab` of one account.
#[derive(Clone, Debug, Default)]
pub struct ImapMetadata {
    rows: Vec<ImapMetadataRow>,
    /// The first line of each key.
    lines: HashMap<(Box<str>, Box<str>), u32>,
}

/// A row of `imapmetadata.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapMetadataRow {
    /// The line, from 1.
    pub line: u32,
    /// The folder; empty for the account as a whole.
    pub folder: Box<str>,
    /// The entry.
    pub entry: Box<str>,
    /// What it holds.
    pub value: Vec<u8>,
}

impl ImapMetadataRow {
    /// The columns of a row that holds this.
    pub fn columns(folder: &str, entry: &str, value: &[u8]) -> [Vec<u8>; 4] {
        let is_plain = std::str::from_utf8(value).is_ok_and(|text| {
            text.chars().all(|letter| !letter.is_control() && !matches!(letter, '"' | '\\'))
        });
        let (value, encoding) = match is_plain {
            true => (value.to_vec(), ""),
            false => (BASE64_STANDARD.encode(value).into_bytes(), "B"),
        };
        [folder.into(), entry.into(), value, encoding.into()]
    }
}

impl ImapMetadata {
    /// All rows in file order, the first of each key alone.
    pub fn rows(&self) -> &[ImapMetadataRow] {
        &self.rows
    }
}

impl ImapFolders {
    /// All rows in file order.
    pub fn rows(&self) -> &[ImapFolderRow] {
        &self.rows
    }

    /// The greatest UIDVALIDITY in any row, also in one that nothing else can be made of; 0 without one.
    pub fn greatest_uid_validity(&self) -> u32 {
        self.greatest_uid_validity
    }
}

impl ImapFlags {
    /// All rows in file order.
    pub fn rows(&self) -> &[ImapFlagsRow] {
        &self.rows
    }
}

impl ImapKeywords {
    /// All rows in file order.
    pub fn rows(&self) -> &[ImapKeywordRow] {
        &self.rows
    }
}

impl Table for ImapFolders {
    const SPEC: RowSpec = IMAPFOLDERS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let number = row.bytes(1).to_string();
        let uid_validity = number.parse::<u32>().unwrap_or_else(|_| {
            problems.note(row.line, row.column(1), ProblemKind::NotANumber(number));
            0
        });
        self.greatest_uid_validity = self.greatest_uid_validity.max(uid_validity);
        let Some(name) = row.text(0, problems) else { return };
        let mut known = |index: usize, words: Words| {
            let found = words.find(row.bytes(index)).map(|known| known.word);
            if found.is_none() && !row.bytes(index).is_empty() {
                let (found, accepted) = (row.bytes(index).to_string(), words.accepted);
                problems.note(row.line, row.column(index), ProblemKind::UnknownWord { found, accepted });
            }
            found
        };
        let subscribed = known(2, SUBSCRIBED).is_some();
        let special_use = known(3, SPECIAL_USES).and_then(SpecialUse::from_name);
        match self.lines.get(&name) {
            Some(&first) => problems.note(row.line, row.column(0), ProblemKind::Duplicate { first }),
            None => drop(self.lines.insert(name.clone(), row.line)),
        }
        self.rows.push(ImapFolderRow { line: row.line, name, uid_validity, subscribed, special_use });
    }
}

impl Table for ImapFlags {
    const SPEC: RowSpec = IMAPFLAGS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let (Some(letters), Some(keywords)) = (row.text(1, problems), row.str(2, problems)) else { return };
        IMAPFLAGS.check(&row, [1], problems);
        let keywords = keywords.split(' ').filter(|word| !word.is_empty()).map(Into::into).collect();
        self.rows.push(ImapFlagsRow { line: row.line, file: row.bytes(0).to_vec(), letters, keywords });
    }
}

impl Table for ImapKeywords {
    const SPEC: RowSpec = IMAPKEYWORDS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(keyword) = row.text(1, problems) else { return };
        let &[letter @ b'a'..=b'z'] = &**row.bytes(0) else {
            let found = row.bytes(0).to_string();
            return problems.note(
                row.line,
                row.column(0),
                ProblemKind::UnknownWord { found, accepted: "a letter from a to z" },
            );
        };
        let letter = char::from(letter);
        if let Some(former) = self.rows.iter().rev().find(|other| other.letter == letter) {
            problems.note(former.line, 1, ProblemKind::Duplicate { first: row.line });
        }
        self.rows.push(ImapKeywordRow { line: row.line, letter, keyword });
    }
}

impl Table for ImapMetadata {
    const SPEC: RowSpec = IMAPMETADATA.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let (Some(folder), Some(entry)) = (row.text(0, problems), row.text(1, problems)) else { return };
        let mut unknown = |column: usize, accepted| {
            let found = row.bytes(column).to_string();
            problems.note(row.line, row.column(column), ProblemKind::UnknownWord { found, accepted });
        };
        let encoding = row.bytes(3);
        let value = match IN_BASE64.find(encoding) {
            Some(_) => match BASE64_STANDARD.decode(&**row.bytes(2)) {
                Ok(value) => value,
                Err(_) => return unknown(2, "base64"),
            },
            None if encoding.is_empty() => row.bytes(2).to_vec(),
            None => return unknown(3, IN_BASE64.accepted),
        };
        let key = (folder.clone(), entry.clone());
        if let Some(&first) = self.lines.get(&key) {
            return problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
        }
        self.lines.insert(key, row.line);
        self.rows.push(ImapMetadataRow { line: row.line, folder, entry, value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::table::load_text;

    #[test]
    fn folders() {
        let text = "\"\"\t\"9\"\t\"\"\t\"\"\n\"Sent\"\t\"7\"\t\"S\"\t\"\\Sent\"\n\"Été\"\t\"0\"\t\"\"\n\"Sent\"\t\"9\"\n\"x\"\t\"-\"\n\"y\"\t\"1\"\t\"T\"\t\"Sent\"\n";
        let (table, problems) = load_text::<ImapFolders>("imapfolders.tab", text);
        let shown: Vec<String> = table
            .rows()
            .iter()
            .map(|row| format!("{} {} {} {:?}", row.name, row.uid_validity, row.subscribed, row.special_use))
            .collect();
        assert_eq!(
            shown,
            [
                " 9 false None",
                "Sent 7 true Some(Sent)",
                "Été 0 false None",
                "Sent 9 false None",
                "x 0 false None",
                "y 1 false None"
            ]
        );
        assert_eq!(
            problems,
            [
                "imapfolders.tab:4:1: has the same key as line 2, which wins",
                "imapfolders.tab:5:5: is not a decimal number: \"-\"",
                "imapfolders.tab:6:9: \"T\" is not one of: S",
                "imapfolders.tab:6:13: \"Sent\" is not one of: \\Archive, \\Drafts, \\Flagged, \\Junk, \\Sent, \\Trash",
            ]
        );
    }

    #[test]
    fn special_uses_have_the_words_of_the_table() {
        for (index, known) in SPECIAL_USES.words.iter().enumerate() {
            let special = SpecialUse::from_name(&known.word.to_lowercase()).unwrap();
            assert_eq!((special as usize, special.name()), (index, known.word));
            assert_eq!(known.word, format!("\\{special:?}"));
        }
        assert_eq!(SPECIAL_USES.words.len(), SpecialUse::ALL.len());
        assert_eq!(SpecialUse::from_name("Sent"), None);
    }

    #[test]
    fn flags_of_one_file_may_stand_twice() {
        let text = "\"1.2.h\"\t\"FS\"\t\"work  later\"\n\"1.2.h\"\t\"\"\n\"x\"\t\"Q\"\n";
        let (table, problems) = load_text::<ImapFlags>("imapflags.tab", text);
        let rows = table.rows();
        assert_eq!((&*rows[0].letters, rows[0].keywords.len(), &*rows[1].letters), ("FS", 2, ""));
        assert_eq!(rows[0].file, b"1.2.h");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("imapflags.tab:3:5:"), "{problems:?}");
    }

    #[test]
    fn metadata_holds_all_octets() {
        let values: [&[u8]; 5] =
            [b"plain", "\u{8bf4}\u{660e}".as_bytes(), b"a \"quoted\\ one", b"two\r\nlines", b"\0\xff"];
        let text: String = values
            .iter()
            .enumerate()
            .map(|(nth, value)| {
                let columns = ImapMetadataRow::columns("Sent", &format!("/private/{nth}"), value);
                columns.map(|column| format!("\"{}\"", String::from_utf8(column).unwrap())).join("\t") + "\n"
            })
            .collect();
        let (table, problems) = load_text::<ImapMetadata>("imapmetadata.tab", &text);
        assert_eq!(problems, [""; 0]);
        assert!(text.starts_with("\"Sent\"\t\"/private/0\"\t\"plain\"\t\"\"\n"), "{text}");
        assert_eq!(table.rows().iter().map(|row| &*row.value).collect::<Vec<_>>(), values);
        let bad = "\"\"\t\"/private/a\"\t\"x\"\n\"\"\t\"/private/a\"\t\"y\"\n\"\"\t\"/private/b\"\t\"!\"\t\"B\"\n\"\"\t\"/private/c\"\t\"x\"\t\"Q\"\n";
        let (table, problems) = load_text::<ImapMetadata>("imapmetadata.tab", bad);
        assert_eq!(table.rows().len(), 1);
        assert_eq!(
            problems,
            [
                "imapmetadata.tab:2:1: has the same key as line 1, which wins",
                "imapmetadata.tab:3:17: \"!\" is not one of: base64",
                "imapmetadata.tab:4:21: \"Q\" is not one of: B",
            ]
        );
    }

    #[test]
    fn keywords_have_one_small_letter() {
        let text = "\"a\"\t\"work\"\n\"A\"\t\"later\"\n\"a\"\t\"again\"\n";
        let (table, problems) = load_text::<ImapKeywords>("imapkeywords.tab", text);
        assert_eq!(table.rows()[0], ImapKeywordRow { line: 1, letter: 'a', keyword: "work".into() });
        assert_eq!(
            problems,
            [
                "imapkeywords.tab:2:1: \"A\" is not one of: a letter from a to z",
                "imapkeywords.tab:1:1: has the same key as line 3, which wins",
            ]
        );
    }
}
