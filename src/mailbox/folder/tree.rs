//! The folders of an account: which there are, making, naming and removing them, opening one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::sync::watch;

use super::look::unix_secs;
use super::name::{FolderName, fresh_file_name};
use super::stale::remove_stale;
use super::state::{Folder, FolderError, Places, State};
use super::table::{self, Row};
use crate::mailbox::{Kind, MailboxError, Mailboxes};
use crate::mailroot::edit::{Edit, EditError, Editor};
use crate::mailroot::folders::SpecialUse;
use crate::mailroot::schema::tables::folders::IMAPFOLDERS;
use crate::mailroot::{Account, MailRoot};

/// The folder for junk of an account that has none yet; the name that mail readers give theirs.
const JUNK: &str = "Junk";

/// All folders of an account. Cheap to make and to clone.
#[derive(Clone, Debug)]
pub struct Folders {
    pub(super) mailboxes: Mailboxes,
    pub(super) account: Arc<Account>,
}

/// A folder as LIST tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRow {
    /// The name.
    pub name: FolderName,
    /// Whether there is such a folder; one that is only subscribed to, or only above others, is not there.
    pub exists: bool,
    /// Whether it is subscribed to.
    pub is_subscribed: bool,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Whether there are folders below it.
    pub has_children: bool,
}

impl Mailboxes {
    /// The folders of an account.
    pub fn folders(&self, account: &Arc<Account>) -> Folders {
        Folders::new(self, account)
    }
}

impl Folders {
    pub(super) fn new(mailboxes: &Mailboxes, account: &Arc<Account>) -> Self {
        Self { mailboxes: mailboxes.clone(), account: Arc::clone(account) }
    }

    /// All folders, those that are only subscribed to, and names that are only above others, by name; INBOX is first.
    ///
    /// # Errors
    /// The disk's.
    pub fn list(&self) -> Result<Vec<FolderRow>, FolderError> {
        let existing = self.existing()?;
        let mut rows: BTreeMap<FolderName, Row> = BTreeMap::new();
        for row in self.rows()? {
            rows.entry(row.name.clone()).or_insert(row);
        }
        let mut names: BTreeSet<FolderName> = existing.iter().cloned().collect();
        names.extend(rows.values().filter(|row| row.is_subscribed).map(|row| row.name.clone()));
        let above: BTreeSet<FolderName> = existing.iter().flat_map(FolderName::parents).collect();
        names.extend(above.iter().cloned());
        let mut listed: Vec<FolderRow> = names
            .into_iter()
            .map(|name| FolderRow {
                exists: existing.contains(&name),
                is_subscribed: rows.get(&name).is_some_and(|row| row.is_subscribed),
                special_use: rows.get(&name).and_then(|row| row.special_use),
                has_children: above.contains(&name),
                name,
            })
            .collect();
        listed.sort_by_key(|row| (!row.name.is_inbox(), row.name.clone()));
        Ok(listed)
    }

    /// The folders that are there, INBOX among them.
    fn existing(&self) -> Result<BTreeSet<FolderName>, FolderError> {
        let top = self.mailboxes.directory(&self.account);
        let mut names = BTreeSet::from([FolderName::inbox()]);
        let entries = match fs::read_dir(&top) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            Err(error) => return Err(MailboxError::on("read", &top)(error).into()),
        };
        for entry in entries {
            let entry = entry.map_err(MailboxError::on("read", &top))?;
            // With `-Mm` there are as many messages as entries here: the name is looked at first.
            let name = entry.file_name().to_str().and_then(FolderName::from_directory_name);
            names.extend(name.filter(|_| entry.path().join("cur").is_dir()));
        }
        Ok(names)
    }

    pub(super) fn rows(&self) -> Result<Vec<Row>, FolderError> {
        let path = self.mailboxes.root.path().join(self.table());
        match fs::read(&path) {
            Ok(bytes) => Ok(table::rows(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(MailboxError::on("read", &path)(error).into()),
        }
    }

    fn table(&self) -> PathBuf {
        MailRoot::account_directory(&self.account).join(IMAPFOLDERS.name)
    }

    /// Changes the table of folders and says what came of it.
    pub(super) fn edit<T>(
        &self,
        change: impl FnOnce(&mut Edit) -> Result<T, EditError>,
    ) -> Result<T, FolderError> {
        self.change(&self.table(), |edit| change(edit).map_err(FolderError::from))
    }

    /// Changes a table and says what came of it.
    pub(super) fn change<T>(
        &self,
        table: &Path,
        change: impl FnOnce(&mut Edit) -> Result<T, FolderError>,
    ) -> Result<T, FolderError> {
        let editor = Editor::new(&self.mailboxes.root, self.mailboxes.disk.clone());
        let mut edit = editor.begin(table)?;
        let before = edit.to_bytes();
        let changed = change(&mut edit)?;
        if edit.to_bytes() != before {
            edit.commit()?;
        }
        Ok(changed)
    }

    /// Whether there is such a folder.
    pub fn exists(&self, name: &FolderName) -> bool {
        name.is_inbox() || self.places(name).cur.is_some_and(|cur| cur.is_dir())
    }

    fn places(&self, name: &FolderName) -> Places {
        Places::of(&self.mailboxes, &self.account, name)
    }

    /// The directory of a folder other than INBOX.
    fn directory(&self, name: &FolderName) -> Result<PathBuf, FolderError> {
        let directory = name.directory_name().ok_or(FolderError::Inbox)?;
        Ok(self.mailboxes.directory(&self.account).join(directory))
    }

    /// Makes a folder, and those above it that are not there.
    ///
    /// # Errors
    /// [`FolderError::Exists`], the disk's.
    pub fn create(&self, name: &FolderName, special_use: Option<SpecialUse>) -> Result<(), FolderError> {
        if self.exists(name) {
            return Err(FolderError::Exists);
        }
        let mut missing: Vec<FolderName> = name.parents().filter(|above| !self.exists(above)).collect();
        missing.reverse();
        missing.push(name.clone());
        let made = self.make_directories(&missing).and_then(|()| {
            self.edit(|edit| {
                for missing in &missing {
                    let special_use = special_use.filter(|_| missing == name);
                    let uid_validity = table::new_uid_validity(edit, unix_secs(SystemTime::now()))?;
                    table::set(edit, missing, |row| {
                        row.uid_validity = uid_validity;
                        row.special_use = special_use.or(row.special_use);
                    })?;
                }
                Ok(())
            })
        });
        if made.is_err() {
            // Without `cur` there is no folder; what else is left does no harm, and is used at the next attempt.
            for missing in missing.iter().rev() {
                let Ok(directory) = self.directory(missing) else { continue };
                for part in ["cur", "new", "tmp", ""] {
                    let _ = fs::remove_dir(directory.join(part));
                }
            }
            return made;
        }
        // What is left of a folder that had the name.
        missing.iter().for_each(|made| self.note_end(made, None));
        Ok(())
    }

    /// The folder for junk: the one whose special use that is, else `Junk`, which is made and subscribed to if it is missing.
    ///
    /// # Errors
    /// The disk's.
    pub fn junk(&self) -> Result<FolderName, FolderError> {
        let is_junk = |row: &Row| {
            row.special_use == Some(SpecialUse::Junk) && !row.name.is_inbox() && self.exists(&row.name)
        };
        if let Some(row) = self.rows()?.into_iter().find(is_junk) {
            return Ok(row.name);
        }
        let name = FolderName::parse(JUNK)?;
        match self.create(&name, Some(SpecialUse::Junk)) {
            Ok(()) => self.subscribe(&name, true)?,
            // Made by a mail reader that did not say what for, or by another delivery just now.
            Err(FolderError::Exists) => self.edit(|edit| {
                table::set(edit, &name, |row| row.special_use = Some(SpecialUse::Junk)).map(drop)
            })?,
            Err(error) => return Err(error),
        }
        Ok(name)
    }

    fn make_directories(&self, names: &[FolderName]) -> Result<(), FolderError> {
        for name in names {
            let directory = self.directory(name)?;
            // `cur` comes last: with it the folder is there.
            for part in ["tmp", "new", "cur"] {
                let path = directory.join(part);
                self.mailboxes.disk.create_dir_all(&path).map_err(MailboxError::on("create", &path))?;
            }
        }
        Ok(())
    }

    /// Opens a folder and looks at its directories. INBOX is made if it is missing.
    ///
    /// # Errors
    /// [`FolderError::NoSuchFolder`], the disk's.
    pub fn open(&self, name: &FolderName) -> Result<Arc<Folder>, FolderError> {
        let folder = self.open_to_add(name)?;
        folder.look()?;
        Ok(folder)
    }

    /// As [`Folders::open`], for those who only add messages: one that is open already is not looked at.
    ///
    /// # Errors
    /// As [`Folders::open`].
    pub fn open_to_add(&self, name: &FolderName) -> Result<Arc<Folder>, FolderError> {
        if name.is_inbox() {
            self.mailboxes.create(&self.account)?;
        } else if !self.exists(name) {
            return Err(FolderError::NoSuchFolder);
        }
        let folder = self.open_once(name)?;
        if folder.lock_names().looked.is_none() {
            folder.look()?;
        }
        Ok(folder)
    }

    fn open_once(&self, name: &FolderName) -> Result<Arc<Folder>, FolderError> {
        let places = self.places(name);
        let mut open = self.mailboxes.open_folders.lock();
        // Where nobody has it and the table tells another UIDVALIDITY, it is opened anew.
        let known = self.rows()?.into_iter().find(|row| row.name == *name).map_or(0, |row| row.uid_validity);
        if let Some(folder) = open.find(&places.cache, known) {
            return Ok(folder);
        }
        // A UIDVALIDITY that could not be written down is given to nobody else in this process.
        let spare = open.former_validity(&places.cache).map_or(0, |former| former + 1);
        let now = unix_secs(SystemTime::now()).max(i64::from(spare));
        let new_validity = || {
            self.edit(|edit| {
                let uid_validity = table::new_uid_validity(edit, now)?;
                table::set(edit, name, |row| row.uid_validity = uid_validity)?;
                Ok(uid_validity)
            })
        };
        let spare = u32::try_from(now).unwrap_or(u32::MAX).max(self.greatest_validity().saturating_add(1));
        let spare = table::unwritten_uid_validity(spare);
        let state = State::open(&self.mailboxes, &places, known, new_validity, spare)?;
        if self.mailboxes.kind() == Kind::Maildir || !name.is_inbox() {
            // With `-Mm` that of INBOX is not a Maildir's, and others write there.
            remove_stale(&self.mailboxes.disk, &places.tmp, SystemTime::now());
        }
        let folder = Arc::new(Folder {
            name: name.clone(),
            // Not the open folders: they hold this one.
            mailboxes: Mailboxes { open_folders: Default::default(), ..self.mailboxes.clone() },
            account: Arc::clone(&self.account),
            places,
            state: Mutex::new(state),
            order: Mutex::default(),
            changed: watch::Sender::new(0),
            ended: Arc::default(),
        });
        open.insert(&folder);
        Ok(folder)
    }

    /// The greatest UIDVALIDITY that the table knows.
    fn greatest_validity(&self) -> u32 {
        let path = self.mailboxes.root.path().join(self.table());
        fs::read(&path).map_or(0, |bytes| table::greatest_validity(&bytes))
    }

    /// Writes down a UIDVALIDITY that was given before that was possible.
    pub(super) fn write_validity(&self, name: &FolderName, uid_validity: u32) -> Result<(), FolderError> {
        self.edit(|edit| {
            table::note_uid_validity(edit, uid_validity)?;
            table::set(edit, name, |row| row.uid_validity = uid_validity).map(drop)
        })
    }

    /// Takes a folder's directory away by `deed`, while nobody opens it and nobody does anything in it. Who has it open
    /// can do nothing with it afterwards.
    fn retire(
        &self,
        name: &FolderName,
        deed: impl FnOnce() -> Result<(), FolderError>,
    ) -> Result<(), FolderError> {
        let mut open = self.mailboxes.open_folders.lock();
        let path = self.places(name).cache;
        let Some(folder) = open.get(&path) else { return deed() };
        let mut state = folder.lock();
        deed()?;
        state.close();
        state.is_gone = true;
        drop(state);
        open.remove(&path);
        drop(open);
        folder.tell();
        Ok(())
    }

    /// Removes a folder with its messages. Folders below it stay.
    ///
    /// # Errors
    /// [`FolderError::Inbox`], [`FolderError::NoSuchFolder`], the disk's.
    pub fn delete(&self, name: &FolderName) -> Result<(), FolderError> {
        let directory = self.directory(name)?;
        if !self.exists(name) {
            return Err(FolderError::NoSuchFolder);
        }
        // Under a name that is no folder's it is gone at once; a crash leaves at most waste.
        let waste = self.mailboxes.directory(&self.account).join(format!("..{}", fresh_file_name()));
        let top = self.mailboxes.directory(&self.account);
        self.retire(name, || self.rename_durably(&[(directory.clone(), waste.clone())], &top))?;
        if let Err(error) = fs::remove_dir_all(&waste) {
            tracing::warn!("{}: cannot be removed: {error}", waste.display());
        }
        let noted = self.edit(|edit| {
            // Whoever subscribed to it stays subscribed (RFC 9051 section 6.3.7).
            match edit.find(|row| row.value(0) == name.as_str().as_bytes() && row.value(2).contains(&b'S')) {
                Some(_) => {
                    table::set(edit, name, |row| (row.uid_validity, row.special_use) = (0, None)).map(drop)
                }
                None => {
                    table::remove(edit, name);
                    Ok(())
                }
            }
        });
        if let Err(error) = noted {
            // The folder is gone all the same; one of its name gets another UIDVALIDITY when it is made.
            tracing::warn!("{}: cannot be written: {error}", self.table().display());
        }
        self.note_end(name, None);
        Ok(())
    }

    /// What is noted about a folder goes where it goes. The folder has gone already: a disk that takes no notes is no error.
    fn note_end(&self, name: &FolderName, to: Option<&FolderName>) {
        if let Err(error) = self.move_metadata(name, to) {
            tracing::warn!("{}: {name}: notes cannot be moved: {error}", self.account.address());
        }
    }

    /// Gives a folder, and those below it, another name. Of INBOX the messages move, and it stays.
    ///
    /// # Errors
    /// [`FolderError::Exists`], [`FolderError::NoSuchFolder`], the disk's.
    pub fn rename(&self, from: &FolderName, to: &FolderName) -> Result<(), FolderError> {
        if self.exists(to) {
            return Err(FolderError::Exists);
        }
        if from.is_inbox() {
            return self.rename_inbox(to);
        }
        let existing = self.existing()?;
        let moves: Vec<(FolderName, FolderName)> = existing
            .into_iter()
            .filter(|name| name == from || name.is_below(from))
            .map(|name| name.moved(from, to).map(|moved| (name, moved)))
            .collect::<Result<_, _>>()?;
        if !moves.iter().any(|(name, _)| name == from) || to.is_below(from) {
            return Err(FolderError::NoSuchFolder);
        }
        if moves.iter().any(|(_, moved)| self.exists(moved)) {
            return Err(FolderError::Exists);
        }
        for above in to.parents().filter(|above| !self.exists(above)).collect::<Vec<_>>().into_iter().rev() {
            self.create(&above, None)?;
        }
        let top = self.mailboxes.directory(&self.account);
        // The table first: a folder whose row has another UIDVALIDITY than its cache would lose its UIDs.
        self.edit(|edit| {
            for (name, moved) in &moves {
                let known = table::set(edit, name, |_| ())?.uid_validity;
                table::set(edit, moved, |new| new.uid_validity = known)?;
            }
            Ok(())
        })?;
        for (nth, (name, moved)) in moves.iter().enumerate() {
            let (old, new) = (self.directory(name)?, self.directory(moved)?);
            let renamed = self.retire(name, || self.rename_durably(&[(old.clone(), new.clone())], &top));
            if let Err(error) = renamed {
                // All have their new names, or none.
                for (name, moved) in moves[..nth].iter().rev() {
                    let (old, new) = (self.directory(name)?, self.directory(moved)?);
                    let _ = self.retire(moved, || self.rename_durably(&[(new.clone(), old.clone())], &top));
                }
                return Err(error);
            }
        }
        let noted = self.edit(|edit| {
            for (name, moved) in &moves {
                let row = table::set(edit, name, |_| ())?;
                table::remove(edit, name);
                table::set(edit, moved, |new| {
                    (new.uid_validity, new.special_use) = (row.uid_validity, row.special_use);
                })?;
                if row.is_subscribed {
                    // The subscription is to the old name (RFC 9051 section 6.3.6).
                    table::set(edit, name, |old| old.is_subscribed = true)?;
                }
            }
            Ok(())
        });
        if let Err(error) = noted {
            // The folders have their new names and their UIDs; only rows of the old ones are left.
            tracing::warn!("{}: cannot be written: {error}", self.table().display());
        }
        moves.iter().for_each(|(name, moved)| self.note_end(name, Some(moved)));
        Ok(())
    }

    /// Renames directories and syncs the one they are in; when that fails they have their old names.
    fn rename_durably(&self, renames: &[(PathBuf, PathBuf)], top: &Path) -> Result<(), FolderError> {
        let disk = &self.mailboxes.disk;
        for (from, to) in renames {
            disk.rename(from, to).map_err(MailboxError::on("rename", from))?;
            disk.sync_dir(top).map_err(MailboxError::on("sync", top)).inspect_err(|_| {
                let _ = disk.rename(to, from);
            })?;
        }
        Ok(())
    }

    fn rename_inbox(&self, to: &FolderName) -> Result<(), FolderError> {
        let inbox = self.open(&FolderName::inbox())?;
        self.create(to, None)?;
        let folder = self.open(to)?;
        let uids: Vec<u32> = inbox.messages().0.iter().map(|message| message.uid).collect();
        inbox.move_to(&uids, &folder).map(drop)
    }

    /// Subscribes, or no longer does. The folder need not be there.
    ///
    /// # Errors
    /// The disk's.
    pub fn subscribe(&self, name: &FolderName, is_subscribed: bool) -> Result<(), FolderError> {
        self.edit(|edit| {
            if !is_subscribed && edit.find(|row| row.value(0) == name.as_str().as_bytes()).is_none() {
                return Ok(());
            }
            let row = table::set(edit, name, |row| row.is_subscribed = is_subscribed)?;
            if !is_subscribed && row.uid_validity == 0 {
                table::remove(edit, name);
            }
            Ok(())
        })
    }
}
