//! GETMETADATA and SETMETADATA (RFC 5464): what mail readers note about mailboxes and the account.
//!
//! Mailboxes belong to one account, so `/private` and `/shared` differ by name alone. The server's own `/shared` entries can be
//! read: `/shared/admin` is `PostMaster`. `/private/specialuse` of a mailbox is its special use (RFC 6154 section 4).

use std::collections::BTreeMap;

use super::command::{GetMetadata, MailboxName, MetadataDepth};
use super::encode::{self, Code};
use super::work::{Progress, Refusal, Work, folder_name};
use crate::mailbox::folder::{
    FolderError, FolderName, METADATA_NAME_OCTETS_MAX, METADATA_VALUE_OCTETS_MAX, SpecialUse,
};

/// Where a mailbox's special use is told.
const SPECIAL_USE: &str = "/private/specialuse";

/// Where the server's administrator is told.
const ADMIN: &str = "/shared/admin";

impl Work {
    /// GETMETADATA. An entry that is asked for alone and is not there is NIL; a value above MAXSIZE is left out.
    pub(super) fn metadata(&mut self, asked: &GetMetadata, out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        let folder = self.folder_or_account(asked.mailbox.as_ref())?;
        for entry in &asked.entries {
            let is_top = matches!(entry.as_str(), "/private" | "/shared");
            check_name(if is_top { "/private/all" } else { entry })?;
        }
        let known = self.entries(folder.as_ref())?;
        let mut told: BTreeMap<&str, Option<&[u8]>> = BTreeMap::new();
        for entry in &asked.entries {
            let below = known.iter().filter(|(name, _)| reaches(entry, name, asked.depth));
            told.extend(below.map(|(name, value)| (name.as_str(), Some(value.as_slice()))));
            if asked.depth == MetadataDepth::Zero {
                told.entry(entry).or_insert(None);
            }
        }
        let is_long = |value: &[u8]| asked.max_size.is_some_and(|max| value.len() as u64 > max);
        let longest = told.values().flatten().filter(|value| is_long(value)).map(|value| value.len()).max();
        told.retain(|_, value| !value.is_some_and(is_long));
        if !told.is_empty() {
            out.extend_from_slice(b"* METADATA ");
            match &folder {
                Some(folder) => encode::mailbox(out, folder.as_str(), self.names()),
                None => out.extend_from_slice(b"\"\""),
            }
            for (nth, (entry, value)) in told.iter().enumerate() {
                out.extend_from_slice(if nth == 0 { b" (" } else { b" " });
                encode::astring(out, entry.as_bytes());
                out.push(b' ');
                match value {
                    Some(value) => encode::literal8(out, value),
                    None => out.extend_from_slice(b"NIL"),
                }
            }
            out.extend_from_slice(b")\r\n");
        }
        let code = longest.map(|octets| Code::MetadataLongEntries(octets as u64));
        Ok(Progress::Done(code, "GETMETADATA completed"))
    }

    /// SETMETADATA: all values, or none.
    pub(super) fn set_metadata(
        &mut self,
        mailbox: Option<&MailboxName>,
        values: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<Progress, Refusal> {
        let folder = self.folder_or_account(mailbox)?;
        for (entry, value) in &values {
            check_name(entry)?;
            if folder.is_none() && entry.starts_with("/shared/") {
                return Err(Refusal::no(Some(Code::NoPerm), "The administrator says what the server shares"));
            }
            if value.as_ref().is_some_and(|value| value.len() > METADATA_VALUE_OCTETS_MAX) {
                let code = Code::MetadataMaxSize(METADATA_VALUE_OCTETS_MAX as u64);
                return Err(Refusal::no(Some(code), "The value is too long"));
            }
        }
        let (uses, values): (Vec<_>, Vec<_>) =
            values.into_iter().partition(|(entry, _)| folder.is_some() && entry == SPECIAL_USE);
        // The last of equal names counts, as in commands one after the other.
        let special_use = match uses.last() {
            Some((_, value)) => Some(special_use_of(value.as_deref())?),
            None => None,
        };
        self.folders.set_metadata(folder.as_ref(), &values)?;
        if let (Some(folder), Some(special_use)) = (&folder, special_use) {
            self.folders.set_special_use(folder, special_use)?;
        }
        Ok(Progress::Done(None, "SETMETADATA completed"))
    }

    /// Everything that is noted.
    fn entries(&self, folder: Option<&FolderName>) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
        let mut entries = self.folders.metadata(folder)?;
        let ours = match folder {
            Some(folder) => {
                let special_use = self.folders.special_use(folder)?;
                (SPECIAL_USE, special_use.map(|special_use| special_use.name().to_owned()))
            }
            None => {
                let snapshot = self.tables.current();
                (ADMIN, snapshot.server.postmaster().map(|address| format!("mailto:{address}")))
            }
        };
        match ours {
            (name, Some(value)) => drop(entries.insert(name.to_owned(), value.into_bytes())),
            (name, None) => drop(entries.remove(name)),
        }
        Ok(entries)
    }

    fn folder_or_account(&self, mailbox: Option<&MailboxName>) -> Result<Option<FolderName>, Refusal> {
        let Some(mailbox) = mailbox else { return Ok(None) };
        let folder = folder_name(mailbox)?;
        if !self.folders.exists(&folder) {
            return Err(FolderError::NoSuchFolder.into());
        }
        Ok(Some(folder))
    }
}

/// Names begin with `/private/` or `/shared/` (RFC 5464 section 3.2).
fn check_name(entry: &str) -> Result<(), Refusal> {
    let below = entry.strip_prefix("/private/").or_else(|| entry.strip_prefix("/shared/"));
    if below.is_none() {
        return Err(Refusal::bad("An entry's name begins with /private/ or /shared/"));
    }
    if entry.len() > METADATA_NAME_OCTETS_MAX {
        return Err(Refusal::no(Some(Code::Limit), "The entry's name is too long"));
    }
    Ok(())
}

/// Whether who asks for `entry` hears of `name`.
fn reaches(entry: &str, name: &str, depth: MetadataDepth) -> bool {
    let Some(below) = name.strip_prefix(entry) else { return false };
    match (below.strip_prefix('/'), depth) {
        (None, _) => below.is_empty(),
        (Some(_), MetadataDepth::Zero) => false,
        (Some(below), MetadataDepth::One) => !below.contains('/'),
        (Some(_), MetadataDepth::Infinity) => true,
    }
}

fn special_use_of(value: Option<&[u8]>) -> Result<Option<SpecialUse>, Refusal> {
    let text = value.map(String::from_utf8_lossy).unwrap_or_default();
    match text.trim() {
        "" => Ok(None),
        text => SpecialUse::from_name(text).map(Some).ok_or_else(super::folders::use_refused),
    }
}
