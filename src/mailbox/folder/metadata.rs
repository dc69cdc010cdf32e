//! What mail readers note about an account and its folders: `imapmetadata.tab` (RFC 5464).
//!
//! Entries without a folder are about the account. They go where their folder goes, and end with it. What a folder is for
//! stands in `imapfolders.tab` alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;

use super::name::FolderName;
use super::state::FolderError;
use super::table;
use super::tree::Folders;
use crate::mailbox::MailboxError;
use crate::mailroot::MailRoot;
use crate::mailroot::edit::EditRow;
use crate::mailroot::folders::{ImapMetadata, ImapMetadataRow, SpecialUse};
use crate::mailroot::schema::tables::folders::IMAPMETADATA;
use crate::mailroot::table::Table as _;

/// Octets of a value at most. Ours; RFC 5464 section 3 asks for 1,024.
pub const METADATA_VALUE_OCTETS_MAX: usize = 8 * 1024;

/// Octets of an entry's name at most. Ours.
pub const METADATA_NAME_OCTETS_MAX: usize = 256;

/// Entries of an account and its folders at most. Ours; RFC 5464 section 3 asks for ten of a folder.
const ENTRIES_MAX: usize = 1_000;

/// Size of the table in bytes at most, so that it can be read and written whole. Ours.
const TABLE_BYTES_MAX: usize = 1024 * 1024;

impl Folders {
    /// The entries of a folder, or of the account, by name.
    ///
    /// # Errors
    /// The disk's.
    pub fn metadata(&self, folder: Option<&FolderName>) -> Result<BTreeMap<String, Vec<u8>>, FolderError> {
        let path = self.mailboxes.root.path().join(self.metadata_table());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(MailboxError::on("read", &path)(error).into()),
        };
        let rows = read(&bytes).rows().to_vec();
        Ok(rows
            .into_iter()
            .filter(|row| is_about(&row.folder, folder))
            .map(|row| (row.entry.into(), row.value))
            .collect())
    }

    /// Sets entries, all or none; `None` removes one.
    ///
    /// # Errors
    /// [`FolderError::Metadata`] where there would be too much, the disk's.
    pub fn set_metadata(
        &self,
        folder: Option<&FolderName>,
        values: &[(String, Option<Vec<u8>>)],
    ) -> Result<(), FolderError> {
        self.change(&self.metadata_table(), |edit| {
            for (entry, value) in values {
                let is_meant = |row: &EditRow| is_of(row, folder) && row.value(1) == entry.as_str();
                let Some(value) = value else {
                    edit.remove_where(is_meant);
                    continue;
                };
                let columns = ImapMetadataRow::columns(text_of(folder), entry, value);
                match edit.find(is_meant) {
                    Some(row) => edit.set(row.index, &columns)?,
                    None => edit.push(&columns)?,
                }
            }
            let adds = values.iter().any(|(_, value)| value.is_some());
            if adds && (edit.rows().count() > ENTRIES_MAX || edit.to_bytes().len() > TABLE_BYTES_MAX) {
                return Err(FolderError::Metadata);
            }
            Ok(())
        })
    }

    /// What a folder is for.
    ///
    /// # Errors
    /// The disk's.
    pub fn special_use(&self, folder: &FolderName) -> Result<Option<SpecialUse>, FolderError> {
        Ok(self.rows()?.into_iter().find(|row| row.name == *folder).and_then(|row| row.special_use))
    }

    /// Says what a folder is for.
    ///
    /// # Errors
    /// [`FolderError::Inbox`], the disk's.
    pub fn set_special_use(
        &self,
        folder: &FolderName,
        special_use: Option<SpecialUse>,
    ) -> Result<(), FolderError> {
        if folder.is_inbox() {
            return Err(FolderError::Inbox);
        }
        self.edit(|edit| table::set(edit, folder, |row| row.special_use = special_use).map(drop))
    }

    /// A folder has another name, or none any more.
    pub(super) fn move_metadata(
        &self,
        from: &FolderName,
        to: Option<&FolderName>,
    ) -> Result<(), FolderError> {
        let entries = self.metadata(Some(from))?;
        if entries.is_empty() {
            return Ok(());
        }
        self.change(&self.metadata_table(), |edit| {
            edit.remove_where(|row| is_of(row, Some(from)));
            for (entry, value) in to.is_some().then_some(&entries).into_iter().flatten() {
                edit.push(&ImapMetadataRow::columns(text_of(to), entry, value))?;
            }
            Ok(())
        })
    }

    fn metadata_table(&self) -> PathBuf {
        MailRoot::account_directory(&self.account).join(IMAPMETADATA.name)
    }
}

fn read(bytes: &[u8]) -> ImapMetadata {
    ImapMetadata::load(Path::new(IMAPMETADATA.name), bytes).0
}

fn text_of(folder: Option<&FolderName>) -> &str {
    folder.map_or("", FolderName::as_str)
}

fn is_of(row: &EditRow, folder: Option<&FolderName>) -> bool {
    row.value(0).to_str().is_ok_and(|text| is_about(text, folder))
}

fn is_about(text: &str, folder: Option<&FolderName>) -> bool {
    match folder {
        Some(folder) => FolderName::parse(text).is_ok_and(|known| known == *folder),
        None => text.is_empty(),
    }
}
