//! `imapfolders.tab`, one row for each folder of an account, and the letters' meanings in `imapkeywords.tab`.
//!
//! ```text
//! "INBOX"<TAB>"1795434299"<TAB>"S"<TAB>""
//! "Sent"<TAB>"1795434300"<TAB>"S"<TAB>"\Sent"
//! ""<TAB>"1795434300"<TAB>""<TAB>""              the greatest UIDVALIDITY ever given
//! ```
//!
//! A folder without a row is a folder all the same; it gets its row when it is opened.

use bstr::ByteSlice;

use super::name::FolderName;
use crate::mailroot::edit::{Edit, EditError, EditRow};
use crate::tab::{LineKind, fields, lines};

/// What a folder is for (RFC 6154).
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
    const ALL: [(Self, &'static str); 6] = [
        (Self::Archive, "\\Archive"),
        (Self::Drafts, "\\Drafts"),
        (Self::Flagged, "\\Flagged"),
        (Self::Junk, "\\Junk"),
        (Self::Sent, "\\Sent"),
        (Self::Trash, "\\Trash"),
    ];

    /// The use of this name, in any case, with its backslash.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(special, _)| *special)
    }

    /// The name, with its backslash.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(special, _)| *special == self).map_or("", |(_, name)| name)
    }
}

/// A row of `imapfolders.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: FolderName,
    /// 0 when the folder has never been opened.
    pub(super) uid_validity: u32,
    pub(super) is_subscribed: bool,
    pub(super) special_use: Option<SpecialUse>,
}

impl Row {
    pub(super) fn new(name: FolderName) -> Self {
        Self { name, uid_validity: 0, is_subscribed: false, special_use: None }
    }

    fn from_values(values: &[&[u8]]) -> Option<Self> {
        let text =
            |column: usize| values.get(column).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Some(Self {
            name: FolderName::parse(text(0)).ok()?,
            uid_validity: text(1).parse().unwrap_or(0),
            is_subscribed: text(2).contains(['S', 's']),
            special_use: SpecialUse::from_name(text(3)),
        })
    }

    fn values(&self) -> [String; 4] {
        [
            self.name.to_string(),
            self.uid_validity.to_string(),
            if self.is_subscribed { "S".to_owned() } else { String::new() },
            self.special_use.map_or_else(String::new, |special| special.name().to_owned()),
        ]
    }
}

/// The rows of the table; lines that are none of ours are passed over.
pub(super) fn rows(bytes: &[u8]) -> Vec<Row> {
    records(bytes)
        .filter_map(|values| Row::from_values(&values.iter().map(Vec::as_slice).collect::<Vec<_>>()))
        .collect()
}

/// The columns of each record.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = Vec<Vec<u8>>> {
    lines(bytes)
        .filter(|line| line.kind() == LineKind::Record)
        .map(|line| fields(line.content()).into_iter().map(|field| field.value.to_vec()).collect())
}

/// Changes the row of a folder, or makes one.
pub(super) fn set(
    edit: &mut Edit,
    name: &FolderName,
    change: impl FnOnce(&mut Row),
) -> Result<Row, EditError> {
    let found = edit.find(|row| is_of(row, name));
    let known = found.as_ref().and_then(|row| {
        Row::from_values(&row.fields.iter().map(|field| &field.value[..]).collect::<Vec<_>>())
    });
    let mut row = known.unwrap_or_else(|| Row::new(name.clone()));
    change(&mut row);
    match found {
        Some(found) => edit.set(found.index, &row.values())?,
        None => edit.push(&row.values())?,
    }
    Ok(row)
}

/// Removes the row of a folder.
pub(super) fn remove(edit: &mut Edit, name: &FolderName) {
    edit.remove_where(|row| is_of(row, name));
}

fn is_of(row: &EditRow, name: &FolderName) -> bool {
    row.value(0).to_str().is_ok_and(|text| FolderName::parse(text).is_ok_and(|known| known == *name))
}

/// A UIDVALIDITY that this account never had: the time, or more. It is written down with the edit, and even; those that
/// could not be written down are odd, so that no process gives one of them to others ([`unwritten_uid_validity`]).
pub(super) fn new_uid_validity(edit: &mut Edit, unix_secs: i64) -> Result<u32, EditError> {
    let greatest = edit.rows().map(|row| number(row.value(1))).max().unwrap_or(0);
    let next = u32::try_from(unix_secs).unwrap_or(1).max(greatest.saturating_add(1)).max(1);
    let next = next.saturating_add(next % 2);
    note_uid_validity(edit, next)?;
    Ok(next)
}

/// Writes down that no UIDVALIDITY up to this one is to be given again.
pub(super) fn note_uid_validity(edit: &mut Edit, uid_validity: u32) -> Result<(), EditError> {
    let values = [String::new(), uid_validity.to_string(), String::new(), String::new()];
    match edit.find(|row| row.value(0).is_empty()) {
        Some(row) if number(row.value(1)) >= uid_validity => Ok(()),
        Some(row) => edit.set(row.index, &values),
        None => edit.push(&values),
    }
}

/// The greatest UIDVALIDITY in the table.
pub(super) fn greatest_validity(bytes: &[u8]) -> u32 {
    records(bytes).filter_map(|values| values.get(1).map(|value| number(value))).max().unwrap_or(0)
}

fn number(value: &[u8]) -> u32 {
    value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A UIDVALIDITY of at least `least` for a folder of which nothing can be written down.
pub(super) fn unwritten_uid_validity(least: u32) -> u32 {
    least | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::Disk;
    use crate::mailroot::MailRoot;
    use crate::mailroot::edit::Editor;
    use std::path::Path;

    #[test]
    fn rows_are_changed_in_place_and_validities_only_grow() {
        let dir = tempfile::tempdir().unwrap();
        let file = Path::new("imapfolders.tab");
        std::fs::write(dir.path().join(file), "# mine\n\"Sent\"\t\"50\"\t\"\"\t\"\\sent\"\nrubbish//\n")
            .unwrap();
        let editor = Editor::new(&MailRoot::new(dir.path()), Disk::default());
        let mut edit = editor.begin(file).unwrap();
        set(&mut edit, &FolderName::parse("Sent").unwrap(), |row| row.is_subscribed = true).unwrap();
        assert_eq!(new_uid_validity(&mut edit, 7).unwrap(), 52);
        assert_eq!(new_uid_validity(&mut edit, 7).unwrap(), 54);
        assert_eq!(new_uid_validity(&mut edit, 1000).unwrap(), 1000);
        assert_eq!((unwritten_uid_validity(1000), unwritten_uid_validity(1001)), (1001, 1001));
        edit.commit().unwrap();
        let text = std::fs::read_to_string(dir.path().join(file)).unwrap();
        let expected = "# mine\n\"Sent\"\t\"50\"\t\"S\"\t\"\\Sent\"\nrubbish//\n\"\"\t\"1000\"\t\"\"\t\"\"\n";
        assert_eq!(text, expected);
        let rows = rows(text.as_bytes());
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!((rows[0].uid_validity, rows[0].special_use), (50, Some(SpecialUse::Sent)));
    }
}
