//! What `imapfolders.tab` means and how it is changed; how it is written is [`crate::mailroot::folders`]'.
//!
//! A folder without a row is a folder all the same; it gets its row when it is opened. The first row of a name counts.

use std::path::Path;

use bstr::ByteSlice;

use super::name::FolderName;
use crate::mailroot::edit::{Edit, EditError, EditRow};
use crate::mailroot::folders::{ImapFolderRow, ImapFolders, SpecialUse};
use crate::mailroot::schema::tables::folders::IMAPFOLDERS;
use crate::mailroot::table::Table as _;

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

    fn of(row: &ImapFolderRow) -> Option<Self> {
        Some(Self {
            name: FolderName::parse(&row.name).ok()?,
            uid_validity: row.uid_validity,
            is_subscribed: row.subscribed,
            special_use: row.special_use,
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

/// The rows that name folders, in their order.
pub(super) fn rows(bytes: &[u8]) -> Vec<Row> {
    read(bytes).rows().iter().filter_map(Row::of).collect()
}

/// The table as it stands. What is wrong with it, `tabmail check` tells.
fn read(bytes: &[u8]) -> ImapFolders {
    ImapFolders::load(Path::new(IMAPFOLDERS.name), bytes).0
}

/// Changes the row of a folder, or makes one.
pub(super) fn set(
    edit: &mut Edit,
    name: &FolderName,
    change: impl FnOnce(&mut Row),
) -> Result<Row, EditError> {
    let found = edit.find(|row| is_of(row, name));
    let known = rows(&edit.to_bytes()).into_iter().find(|row| row.name == *name);
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
    let greatest = greatest_validity(&edit.to_bytes());
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
    read(bytes).greatest_uid_validity()
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
