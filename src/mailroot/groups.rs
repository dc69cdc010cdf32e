//! `groups/<domain>/<group>/`: groups of accounts, with variables that count for all members (`jdmail.md` JD-45, JD-68).
//! The shape is ours; XMail does not look there.
//!
//! ```text
//! groups/<domain>/<group>/members.tab   one account of the domain per row
//! groups/<domain>/<group>/user.tab      variables, as in an account's user.tab
//! ```
//!
//! A variable counts where it stands first: the account's own `user.tab`, then the groups of the account by name. Where
//! none has it, what the variable says about its absence counts: a variable of `server.tab`, or what is built in.
//! Everything that reads variables of an account to decide asks [`Snapshot::user_settings`].
//!
//! The names of a domain's groups are remembered as long as the directory's times stay; a domain without groups costs one
//! failing `stat`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bstr::BStr;

use super::accounts::is_plain_name;
use super::index::KeyIndex;
use super::problem::{ProblemKind, Problems};
use super::profile::UserTab;
use super::schema;
use super::schema::tables::accounts::MEMBERS;
use super::snapshot::{Loaded, Snapshot};
use super::table::{Row, RowSpec, Table};
use super::trail::Citation;
use super::{Account, MailRoot};

/// The directory of all groups, in the MailRoot.
pub const GROUPS: &str = "groups";

/// The file of a group's members.
pub const MEMBERS_TAB: &str = "members.tab";

/// `members.tab`: the members of a group.
#[derive(Clone, Debug, Default)]
pub struct GroupMembers {
    rows: Vec<GroupMember>,
    by_name: KeyIndex,
}

/// A row of `members.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The line, from 1.
    pub line: u32,
    /// The name of an account of the domain, as written.
    pub name: Box<str>,
}

impl GroupMembers {
    /// Whether an account of the domain is a member.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.get([name], |row| [&self.rows[row].name]).is_some()
    }

    /// All rows in file order, duplicates left out.
    pub fn rows(&self) -> &[GroupMember] {
        &self.rows
    }
}

impl Table for GroupMembers {
    const SPEC: RowSpec = MEMBERS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(name) = row.text(0, problems) else { return };
        MEMBERS.check(&row, [0], problems);
        let rows = &self.rows;
        if let Some(first) = self.by_name.insert([&name], rows.len(), |row| [&rows[row].name]) {
            let first = rows[first].line;
            problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
            return;
        }
        self.rows.push(GroupMember { line: row.line, name });
    }
}

/// The variables that count for an account, with the files they stand in.
#[derive(Clone, Debug)]
pub struct UserSettings {
    /// In the order of precedence.
    files: Vec<SettingsFile>,
}

/// One of the files that an account's variables stand in.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    /// The name of the group; `None`: the account's own.
    pub group: Option<Box<str>>,
    /// Relative to the MailRoot.
    pub path: PathBuf,
    /// What it holds.
    pub variables: Loaded<UserTab>,
}

impl UserSettings {
    /// The files, the account's own first, then those of its groups.
    pub fn files(&self) -> &[SettingsFile] {
        &self.files
    }

    /// The file whose row of the variable counts.
    pub fn source(&self, variable: &schema::Variable) -> Option<&SettingsFile> {
        self.files.iter().find(|file| file.variables.has(variable))
    }

    /// The row that counts.
    pub fn citation(&self, variable: &schema::Variable) -> Option<Citation> {
        let file = self.source(variable)?;
        Some(Citation::new(&file.path, file.variables.line_of(variable)?))
    }

    /// The value that counts, as written.
    pub fn value(&self, variable: &schema::Variable) -> Option<&BStr> {
        self.source(variable)?.variables.value(variable)
    }

    /// A text as bytes; `None` when it is absent.
    pub fn bytes(&self, variable: &schema::Text) -> Option<&BStr> {
        variable.read_bytes(self.value(variable))
    }

    /// A text; `None` when it is absent, empty or not UTF-8.
    pub fn text(&self, variable: &schema::Text) -> Option<&str> {
        variable.read(self.value(variable))
    }

    /// A flag: decimal, non-zero = on.
    pub fn flag(&self, variable: &schema::Flag) -> bool {
        variable.read(self.value(variable))
    }

    /// A number.
    pub fn integer(&self, variable: &schema::Integer) -> i64 {
        variable.read(self.value(variable))
    }

    /// A size in kB as bytes; absent, 0 or negative means none.
    pub fn kilobytes(&self, variable: &schema::Kilobytes) -> Option<u64> {
        variable.read(self.value(variable))
    }

    /// Whether the variable is there: without it one of `server.tab` may count.
    pub fn has(&self, variable: &schema::Variable) -> bool {
        self.source(variable).is_some()
    }

    /// `MaxMBSize` in bytes; `None` = unlimited.
    pub fn mailbox_bytes_max(&self) -> Option<u64> {
        self.kilobytes(&schema::user::MAX_MB_SIZE)
    }
}

impl MailRoot {
    /// `groups/<domain>` in lower case, relative to the MailRoot. The domain must be a plain name.
    pub fn groups_directory(domain: &str) -> PathBuf {
        debug_assert!(is_plain_name(domain));
        Path::new(GROUPS).join(domain.to_ascii_lowercase())
    }

    /// `groups/<domain>/<group>`, relative to the MailRoot. The group must be one of [`Snapshot::groups`], or a plain name.
    pub fn group_directory(domain: &str, group: &str) -> PathBuf {
        debug_assert!(is_plain_name(group));
        Self::groups_directory(domain).join(group)
    }
}

impl Snapshot {
    /// The names of a domain's groups, sorted.
    pub fn groups(&self, domain: &str) -> Arc<[Box<str>]> {
        if !is_plain_name(domain) {
            return Arc::default();
        }
        self.group_names().of(self.root(), &MailRoot::groups_directory(domain))
    }

    /// The members of a group.
    pub fn group_members(&self, domain: &str, group: &str) -> Loaded<GroupMembers> {
        self.file(&MailRoot::group_directory(domain, group).join(MEMBERS_TAB))
    }

    /// The groups that an account is in, by name.
    pub fn groups_of(&self, account: &Account) -> Vec<Box<str>> {
        let groups = self.groups(&account.domain);
        let is_in = |group: &str| self.group_members(&account.domain, group).contains(&account.name);
        groups.iter().filter(|group| is_in(group)).cloned().collect()
    }

    /// The variables that count for an account: its own, then those of its groups (JD-68). May block.
    pub fn user_settings(&self, account: &Account) -> UserSettings {
        let own = SettingsFile {
            group: None,
            path: MailRoot::user_tab(account),
            variables: self.own_user_tab(account),
        };
        let of_group = |group: Box<str>| {
            let path = MailRoot::group_directory(&account.domain, &group).join("user.tab");
            SettingsFile { group: Some(group), variables: self.file(&path), path }
        };
        let files = std::iter::once(own).chain(self.groups_of(account).into_iter().map(of_group)).collect();
        UserSettings { files }
    }
}

/// The names of the groups of domains, as last read.
#[derive(Debug, Default)]
pub(super) struct GroupNames {
    read: Mutex<HashMap<PathBuf, (Stamp, Names)>>,
}

/// Sorted.
type Names = Arc<[Box<str>]>;

/// Device, inode, time of change of a directory.
type Stamp = (u64, u64, i64, i64);

/// A directory that changed so short a time ago may change again without another time. Ours: many ticks of any file
/// system.
const SETTLED: Duration = Duration::from_millis(500);

/// Domains whose groups are remembered. Ours.
const DOMAINS_MAX: usize = 10_000;

impl GroupNames {
    fn of(&self, root: &MailRoot, relative: &Path) -> Arc<[Box<str>]> {
        let path = root.path().join(relative);
        let Ok(metadata) = fs::metadata(&path) else { return Arc::default() };
        let stamp = (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
        let lock = || self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, names)) = lock().get(relative)
            && *known == stamp
        {
            return Arc::clone(names);
        }
        let names = directories(&path);
        if is_settled(&metadata) {
            let mut read = lock();
            if read.len() >= DOMAINS_MAX {
                read.clear();
            }
            read.insert(relative.to_owned(), (stamp, Arc::clone(&names)));
        }
        names
    }
}

fn is_settled(metadata: &fs::Metadata) -> bool {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let nanos = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    changed.elapsed().is_ok_and(|age| age >= SETTLED)
}

/// Directories with plain names that are not hidden, sorted.
fn directories(path: &Path) -> Arc<[Box<str>]> {
    let Ok(entries) = fs::read_dir(path) else { return Arc::default() };
    let name = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let fits = is_plain_name(&name) && !name.starts_with('.') && entry.path().is_dir();
        fits.then(|| name.into_boxed_str())
    };
    let mut names: Vec<Box<str>> = entries.flatten().filter_map(name).collect();
    names.sort_unstable();
    names.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::Tables;
    use crate::mailroot::made::write;
    use crate::mailroot::schema::user as variables;
    use crate::mailroot::table::load_text;

    /// JD-68: built-in < server < group < user, live.
    #[test]
    fn the_accounts_own_row_counts_then_those_of_its_groups_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        write(top, "domains.tab", "\"a.test\"\n");
        write(top, "mailusers.tab", "\"A.test\"\t\"Anna\"\t\"1d0a\"\t1\t\"anna\"\t\"U\"\n");
        write(top, "domains/a.test/anna/user.tab", "\"RealName\"\t\"Anna\"\n");
        let tables = Tables::open(&MailRoot::new(top));
        let settings = || {
            let snapshot = tables.fresh();
            let account = Arc::clone(snapshot.users.get("a.test", "anna").unwrap());
            snapshot.user_settings(&account)
        };
        assert!(settings().flag(&variables::POP_ENABLE), "built in");
        write(top, "groups/a.test/staff/members.tab", "# of the house\n\"ANNA\"\n");
        write(top, "groups/a.test/staff/user.tab", "\"PopEnable\"\t\"0\"\n\"MaxMBSize\"\t\"10\"\n");
        write(top, "groups/a.test/zz/members.tab", "anna\n");
        write(top, "groups/a.test/zz/user.tab", "\"MaxMBSize\"\t\"20\"\n\"SmtpPerms\"\t\"M\"\n");
        write(top, "groups/a.test/others/members.tab", "\"bert\"\n");
        write(top, "groups/a.test/others/user.tab", "\"HomePage\"\t\"x\"\n");
        let found = settings();
        assert!(!found.flag(&variables::POP_ENABLE), "the group's, without a restart");
        assert_eq!(found.mailbox_bytes_max(), Some(10 * 1024), "the first group by name");
        assert_eq!(found.bytes(&variables::SMTP_PERMS).unwrap(), "M");
        assert_eq!(found.text(&variables::HOME_PAGE), None, "no member");
        let row = found.citation(&variables::SMTP_PERMS).unwrap();
        assert_eq!(row.to_string(), "groups/a.test/zz/user.tab:2");
        write(top, "domains/a.test/anna/user.tab", "\"RealName\"\t\"Anna\"\n\"PopEnable\"\t\"1\"\n");
        let found = settings();
        assert!(found.flag(&variables::POP_ENABLE), "the account's own");
        assert_eq!(found.source(&variables::POP_ENABLE).unwrap().group, None);
        fs::remove_dir_all(top.join("groups/a.test/staff")).unwrap();
        assert_eq!(settings().mailbox_bytes_max(), Some(20 * 1024));
    }

    #[test]
    fn members_are_accounts_and_stand_once() {
        let (members, problems) =
            load_text::<GroupMembers>("groups/a.test/g/members.tab", "anna\n\"bert\"\n\"ANNA\"\n\"x@y\"\n");
        assert!(members.contains("Bert") && !members.contains("carl"));
        assert_eq!(members.rows().len(), 3);
        assert!(problems[0].starts_with("groups/a.test/g/members.tab:3:1: "), "{problems:?}");
        assert!(problems[1].starts_with("groups/a.test/g/members.tab:4:1: "), "{problems:?}");
    }
}
