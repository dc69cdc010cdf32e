//! Another name for an account, which keeps its mail (`jdmail.md` JD-43).
//!
//! The row of `mailusers.tab` leads to the account's directory, so name and directory change together in one edit of one
//! row. Before it the directory gets its new name in a way that leaves it reachable under the old one. Whatever step a
//! crash comes after, the row that exists leads to the mail:
//!
//! | step | the account is | found in |
//! | --- | --- | --- |
//! | 1. `.tabmail/rename` says what is being done | old | `old/` |
//! | 2. a link `new` that leads nowhere | old | `old/` |
//! | 3. `old` and `new` change places: `new/` is the directory, `old` a link to it | old | `old` -> `new/` |
//! | 4. where wanted, an alias from the old name; the account still goes before it | old | `old` -> `new/` |
//! | 5. the row gets new name and directory | new | `new/` |
//! | 6. aliases, external aliases, POP3 links, list members and group members that named the old name | new | `new/` |
//! | 7. the link `old` and `.tabmail/rename` go | new | `new/` |
//!
//! What a crash leaves is finished by [`Admin::finish_rename`]: before the next rename, and when the web administration
//! starts. Until then aliases may still name the old name.
//!
//! Where the file system cannot exchange names, the directory keeps its old one. Sessions that have the mailbox open under
//! the old name end with an error.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::users::{MAIL_USERS, check_new_user};
use super::{Admin, AdminError};
use crate::mailroot::edit::{EditRow, Planned};
use crate::mailroot::{Account, AccountKind, MailRoot, Snapshot};
use crate::tab::{Record, fields};

/// The rename that is going on, in the MailRoot: domain, old name, new name, old directory, `alias` or nothing.
const JOURNAL: &str = ".tabmail/rename";

/// One rename.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Renaming {
    domain: String,
    old: String,
    new: String,
    /// The directory of the account before.
    directory: String,
    /// Whether the old name becomes an alias.
    keeps_alias: bool,
}

impl Admin {
    /// Gives an account another name; with `keeps_alias` mail to the old one still arrives.
    ///
    /// # Errors
    /// `DomainNotHandled`, `UserNotFound`, `BadUserName`, `UserExists`, `AliasExists`; `MakeDirectory` when there is a
    /// directory of the new name; `Edit`, `Disk`.
    pub fn rename_user(
        &self,
        domain: &str,
        old: &str,
        new: &str,
        keeps_alias: bool,
    ) -> Result<(), AdminError> {
        let _changing = self.changing();
        self.finish_interrupted()?;
        let tables = self.snapshot();
        let account = tables.users.get(domain, old).ok_or(AdminError::UserNotFound)?;
        check_new_user(&tables, &account.domain, new)?;
        let renaming = Renaming {
            domain: account.domain.to_string(),
            old: account.name.to_string(),
            new: new.to_owned(),
            directory: account.directory.to_string(),
            keeps_alias,
        };
        let path = self.root().path().join(renaming.directory_named(new));
        if path.symlink_metadata().is_ok() {
            let source = io::ErrorKind::AlreadyExists.into();
            return Err(AdminError::MakeDirectory { path, source });
        }
        self.write_journal(&renaming)?;
        self.go_on(&tables, &renaming)
    }

    /// Finishes a rename that a crash has interrupted. There is rarely one.
    ///
    /// # Errors
    /// As [`Admin::rename_user`].
    pub fn finish_rename(&self) -> Result<(), AdminError> {
        let _changing = self.changing();
        self.finish_interrupted()
    }

    fn finish_interrupted(&self) -> Result<(), AdminError> {
        let Some(renaming) = self.read(Path::new(JOURNAL))?.and_then(|bytes| Renaming::parse(&bytes)) else {
            return Ok(());
        };
        if self.editor.rehearsal().is_some() {
            return Ok(());
        }
        tracing::warn!(from = renaming.old, to = renaming.new, "an interrupted rename is finished");
        self.go_on(&self.snapshot(), &renaming)
    }

    /// Steps 2 to 7, from wherever an earlier run has come.
    fn go_on(&self, tables: &Snapshot, renaming: &Renaming) -> Result<(), AdminError> {
        let domain = &*renaming.domain;
        let [old, new] = [&renaming.old, &renaming.new].map(|name| tables.users.get(domain, name));
        if old.is_some() && new.is_some() {
            // Somebody has made an account of the new name since the crash: the rename did not take place. A link stays; the
            // old account's row may lead through it.
            return self.remove_file(Path::new(JOURNAL));
        }
        if let Some(account) = old {
            let is_moved = !is_shared(tables, account) && self.move_directory(renaming)?;
            if renaming.keeps_alias {
                self.keep_alias(renaming)?;
            }
            self.rename_row(renaming, is_moved)?;
        }
        if old.or(new).is_some() {
            self.rename_references(tables, renaming)?;
        }
        self.clean_up(renaming)
    }

    /// Steps 2 and 3. False: the directory keeps its name.
    fn move_directory(&self, renaming: &Renaming) -> Result<bool, AdminError> {
        let from = renaming.directory_named(&renaming.directory);
        let to = renaming.directory_named(&renaming.new);
        if let Some(rehearsal) = self.editor.rehearsal() {
            rehearsal.plan(Planned::MoveDirectory { from, to });
            return Ok(true);
        }
        let [from, to] = [from, to].map(|path| self.root().path().join(path));
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| AdminError::Disk { action, path, source }
        };
        if is_link(&from) && to.is_dir() {
            // Step 3 was done already.
            return Ok(true);
        }
        if to.symlink_metadata().is_ok() && !is_link(&to) {
            // Made by others since the crash.
            return Ok(false);
        }
        if !is_link(&to) {
            symlink(&renaming.new, &to).map_err(failed("link", &to))?;
        }
        match self.disk.exchange_names(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.disk.remove(&to).map_err(failed("remove", &to))?;
                return Ok(false);
            }
            Err(source) => return Err(failed("rename", &from)(source)),
        }
        let parent = from.parent().unwrap_or(&from);
        self.disk.sync_dir(parent).map_err(failed("sync", parent))?;
        Ok(true)
    }

    fn keep_alias(&self, renaming: &Renaming) -> Result<(), AdminError> {
        let mut edit = self.editor.begin(Path::new("aliases.tab"))?;
        if edit.find(|row| row.has_key(&[&renaming.domain, &renaming.old])).is_none() {
            edit.push(&[&renaming.domain, &renaming.old, &renaming.new])?;
        }
        Ok(edit.commit()?)
    }

    fn rename_row(&self, renaming: &Renaming, is_moved: bool) -> Result<(), AdminError> {
        let mut edit = self.editor.begin(Path::new(MAIL_USERS))?;
        let row = edit.find(|row| row.has_key(&[&renaming.domain, &renaming.old]));
        let row = row.ok_or(AdminError::UserNotFound)?;
        let mut values = values_of(&row);
        values.truncate(6);
        set(&mut values, 1, &renaming.new);
        if is_moved {
            set(&mut values, 4, &renaming.new);
        }
        edit.set(row.index, &values)?;
        Ok(edit.commit()?)
    }

    /// Step 6. Each edit does nothing when it is repeated.
    fn rename_references(&self, tables: &Snapshot, renaming: &Renaming) -> Result<(), AdminError> {
        let Renaming { domain, old, new, .. } = renaming;
        let is_address = |text: &str| {
            text.rsplit_once('@').is_some_and(|(name, of)| {
                name.eq_ignore_ascii_case(old) && tables.real_domain(of).eq_ignore_ascii_case(domain)
            })
        };
        let with_domain = |text: &str| text.rsplit_once('@').map(|(_, of)| format!("{new}@{of}"));
        self.change_rows(Path::new("aliases.tab"), |row, values| {
            let target = row.value(2).to_string();
            let is_name = row.has_key(&[domain]) && target.eq_ignore_ascii_case(old);
            if is_address(&target) {
                set(values, 2, &with_domain(&target).unwrap_or_default());
            } else if is_name {
                set(values, 2, new);
            }
        })?;
        let pair = |row: &EditRow, column: usize| {
            row.value(column).eq_ignore_ascii_case(domain.as_bytes())
                && row.value(column + 1).eq_ignore_ascii_case(old.as_bytes())
        };
        for (file, column) in [("extaliases.tab", 2), ("pop3links.tab", 0)] {
            self.change_rows(Path::new(file), |row, values| {
                if pair(row, column) {
                    set(values, column + 1, new);
                }
            })?;
        }
        let lists = tables.users.rows().iter().filter(|account| account.kind != AccountKind::User);
        for list in
            lists.filter(|list| tables.list_members(list).rows().iter().any(|row| is_address(&row.address)))
        {
            let mut directory = MailRoot::account_directory(list);
            if list.domain.eq_ignore_ascii_case(domain) && list.name.eq_ignore_ascii_case(old) {
                directory = renaming.directory_named(&renaming.present_directory(self));
            }
            self.change_rows(&directory.join("mlusers.tab"), |row, values| {
                let address = row.value(0).to_string();
                if is_address(&address) {
                    set(values, 0, &with_domain(&address).unwrap_or_default());
                }
            })?;
        }
        self.rename_in_groups(tables, domain, old, new)
    }

    /// Lets `change` have the values of every row, and writes the rows that it changes.
    fn change_rows(
        &self,
        file: &Path,
        change: impl Fn(&EditRow, &mut Vec<Vec<u8>>),
    ) -> Result<(), AdminError> {
        let mut edit = self.editor.begin(file)?;
        if !edit.existed() {
            return Ok(());
        }
        let rows: Vec<EditRow> = edit.rows().collect();
        for row in rows {
            let before = values_of(&row);
            let mut values = before.clone();
            change(&row, &mut values);
            if values != before {
                edit.set(row.index, &values)?;
            }
        }
        Ok(edit.commit()?)
    }

    fn write_journal(&self, renaming: &Renaming) -> Result<(), AdminError> {
        if self.editor.rehearsal().is_some() {
            return Ok(());
        }
        let path = self.root().path().join(JOURNAL);
        let failed = |source| AdminError::Disk { action: "write", path: path.clone(), source };
        if let Some(parent) = path.parent() {
            self.disk.create_dir_all(parent).map_err(failed)?;
        }
        self.disk.replace(&path, &renaming.to_bytes()).map_err(failed)
    }

    /// Step 7.
    fn clean_up(&self, renaming: &Renaming) -> Result<(), AdminError> {
        if self.editor.rehearsal().is_some() {
            return Ok(());
        }
        let path = |name: &str| self.root().path().join(renaming.directory_named(name));
        for stray in [path(&renaming.directory), path(&renaming.new)].iter().filter(|path| is_link(path)) {
            // A link of the operator's, which leads elsewhere, stays.
            let leads_to_new = std::fs::read_link(stray).is_ok_and(|to| to == Path::new(&renaming.new));
            if leads_to_new {
                self.disk.remove(stray).map_err(|source| AdminError::Disk {
                    action: "remove",
                    path: stray.clone(),
                    source,
                })?;
            }
        }
        self.remove_file(Path::new(JOURNAL))
    }
}

impl Renaming {
    /// The directory of this name in the domain, relative to the MailRoot.
    fn directory_named(&self, name: &str) -> PathBuf {
        MailRoot::domain_directory(&self.domain).join(name)
    }

    /// Where the account's files are while the rename goes on.
    fn present_directory(&self, admin: &Admin) -> String {
        let new = admin.root().path().join(self.directory_named(&self.new));
        if new.is_dir() { self.new.clone() } else { self.directory.clone() }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let alias = if self.keeps_alias { "alias" } else { "" };
        let values = [&*self.domain, &*self.old, &*self.new, &*self.directory, alias];
        // Names of accounts hold nothing that a table cannot.
        let record = Record::quoted(&values).map(|record| record.as_bytes().to_vec());
        record.unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let found = fields(bytes.strip_suffix(b"\n").unwrap_or(bytes));
        let text = |index: usize| String::from_utf8(found.get(index)?.value.to_vec()).ok();
        let renaming = Self {
            domain: text(0)?,
            old: text(1)?,
            new: text(2)?,
            directory: text(3)?,
            keeps_alias: text(4)? == "alias",
        };
        let is_plain = |name: &String| super::is_directory_name(name);
        let names = [&renaming.domain, &renaming.old, &renaming.new, &renaming.directory];
        names.into_iter().all(is_plain).then(|| renaming.clone())
    }
}

/// A hand-edited table: the directory is another account's as well.
fn is_shared(tables: &Snapshot, account: &Account) -> bool {
    let directory = MailRoot::account_directory(account);
    tables
        .users
        .rows()
        .iter()
        .any(|other| other.line != account.line && MailRoot::account_directory(other) == directory)
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_symlink())
}

fn values_of(row: &EditRow) -> Vec<Vec<u8>> {
    row.fields.iter().map(|field| field.value.to_vec()).collect()
}

fn set(values: &mut [Vec<u8>], column: usize, value: &str) {
    if let Some(place) = values.get_mut(column) {
        value.as_bytes().clone_into(place);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock::Clock;
    use crate::durable::Disk;
    use crate::mailbox::{Kind, Mailboxes};
    use crate::mailroot::{Tables, made};

    struct House {
        directory: tempfile::TempDir,
        admin: Admin,
    }

    fn house() -> House {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| made::write(directory.path(), file, text);
        write("server.tab", "\"RootDomain\"\t\"a.test\"\n");
        write("domains.tab", "\"a.test\"\n");
        write("aliasdomain.tab", "\"b.test\"\t\"a.test\"\n");
        write(
            "mailusers.tab",
            "# all\n\"a.test\"\t\"anna\"\t\"1d0a\"\t1\t\"anna\"\t\"U\"\n\"a.test\"\t\"news\"\t\"\"\t2\t\"news\"\t\"M\"\n",
        );
        write(
            "aliases.tab",
            "# short\n\"a.test\"\t\"boss\"\t\"anna\"\n\"*\"\t\"chief\"\t\"Anna@b.test\"\n\"a.test\"\t\"x\"\t\"news\"\n",
        );
        write("extaliases.tab", "\"isp.example\"\t\"a\"\t\"a.test\"\t\"anna\"\n");
        write("pop3links.tab", "\"a.test\"\t\"anna\"\t\"pop.example\"\t\"a\"\t\"00\"\t\"CLR\"\n");
        write("domains/a.test/anna/user.tab", "\"RealName\"\t\"Anna\"\n");
        write("domains/a.test/anna/Maildir/new/1.2.3", "mail");
        write("domains/a.test/news/mlusers.tab", "# readers\n\"anna@a.test\"\t\"RW\"\n\"x@isp.example\"\n");
        write("groups/a.test/staff/members.tab", "\"anna\"\n");
        let root = MailRoot::new(directory.path());
        let boxes = Mailboxes::new(root.clone(), Kind::Maildir, Disk::default());
        let admin = Admin::new(Tables::open(&root), boxes, None, Clock::system(), Disk::default());
        House { directory, admin }
    }

    impl House {
        fn text(&self, file: &str) -> String {
            fs::read_to_string(self.directory.path().join(file)).unwrap()
        }

        #[track_caller]
        fn is_renamed(&self) {
            assert_eq!(
                self.text("mailusers.tab"),
                "# all\n\"a.test\"\t\"anne\"\t\"1d0a\"\t1\t\"anne\"\t\"U\"\n\"a.test\"\t\"news\"\t\"\"\t2\t\"news\"\t\"M\"\n"
            );
            assert_eq!(
                self.text("aliases.tab"),
                "# short\n\"a.test\"\t\"boss\"\t\"anne\"\n\"*\"\t\"chief\"\t\"anne@b.test\"\n\
                 \"a.test\"\t\"x\"\t\"news\"\n\"a.test\"\t\"anna\"\t\"anne\"\n"
            );
            assert_eq!(self.text("extaliases.tab"), "\"isp.example\"\t\"a\"\t\"a.test\"\t\"anne\"\n");
            assert!(self.text("pop3links.tab").starts_with("\"a.test\"\t\"anne\"\t\"pop.example\"\t"));
            assert_eq!(
                self.text("domains/a.test/news/mlusers.tab"),
                "# readers\n\"anne@a.test\"\t\"RW\"\n\"x@isp.example\"\n"
            );
            assert_eq!(self.text("groups/a.test/staff/members.tab"), "\"anne\"\n");
            assert_eq!(self.text("domains/a.test/anne/Maildir/new/1.2.3"), "mail");
            let top = self.directory.path();
            assert!(top.join("domains/a.test/anna").symlink_metadata().is_err());
            assert!(!top.join("domains/a.test/anne").symlink_metadata().unwrap().is_symlink());
            assert!(!top.join(JOURNAL).exists());
        }
    }

    /// JD-43: rename keeping mail.
    #[test]
    fn a_renamed_account_keeps_its_mail_and_everything_that_named_it() {
        let house = house();
        let planned =
            house.admin.rehearse(|admin| admin.rename_user("a.test", "anna", "anne", true)).unwrap();
        assert!(planned.iter().any(|step| matches!(step, Planned::MoveDirectory { .. })), "{planned:?}");
        assert_eq!(house.text("domains/a.test/anna/Maildir/new/1.2.3"), "mail", "nothing yet");
        house.admin.rename_user("A.test", "Anna", "anne", true).unwrap();
        house.is_renamed();
        for step in planned {
            if let Planned::File { file, after, .. } = step {
                assert_eq!(Some(house.text(&file.display().to_string()).into_bytes()), after);
            }
        }
    }

    /// Each state that a crash can leave is finished, and in each the account's row leads to the mail.
    #[test]
    fn an_interrupted_rename_is_finished_from_every_step() {
        for steps in 1..=6 {
            let house = house();
            let renaming = Renaming {
                domain: "a.test".into(),
                old: "anna".into(),
                new: "anne".into(),
                directory: "anna".into(),
                keeps_alias: true,
            };
            let (admin, of_a) = (&house.admin, house.directory.path().join("domains/a.test"));
            admin.write_journal(&renaming).unwrap();
            let tables = admin.snapshot();
            let step: [&dyn Fn(); 5] = [
                &|| symlink("anne", of_a.join("anne")).unwrap(),
                &|| assert!(admin.move_directory(&renaming).unwrap()),
                &|| admin.keep_alias(&renaming).unwrap(),
                &|| admin.rename_row(&renaming, true).unwrap(),
                &|| admin.rename_references(&tables, &renaming).unwrap(),
            ];
            step.iter().take(steps - 1).for_each(|step| step());
            let now = admin.snapshot();
            let account = now.users.get("a.test", "anna").or(now.users.get("a.test", "anne")).unwrap();
            let mail = admin.mailboxes.directory(account).join("new/1.2.3");
            assert_eq!(fs::read_to_string(mail).unwrap(), "mail", "after step {steps}");
            admin.finish_rename().unwrap();
            house.is_renamed();
        }
    }

    #[test]
    fn names_that_are_taken_are_refused() {
        let house = house();
        let refused = |new: &str| house.admin.rename_user("a.test", "anna", new, false).unwrap_err();
        assert!(matches!(refused("news"), AdminError::UserExists));
        assert!(matches!(refused("boss"), AdminError::AliasExists));
        assert!(matches!(refused("../x"), AdminError::BadUserName));
        fs::create_dir(house.directory.path().join("domains/a.test/old")).unwrap();
        let error = house.admin.rename_user("a.test", "anna", "old", false).unwrap_err();
        assert!(matches!(error, AdminError::MakeDirectory { .. }), "{error}");
        assert!(house.text("mailusers.tab").contains("\"anna\""));
    }
}
