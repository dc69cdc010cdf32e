//! `domains.tab`, `aliasdomain.tab`, `mailusers.tab`, `aliases.tab`, `extaliases.tab`: who is who.
//!
//! XMail finds rows of these five through `tabindex/`; we keep them in memory and never read it (decision 19).
//! Lookups fold ASCII case; of duplicate keys the first row wins (`mailroot.md` 3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Component, Path};
use std::sync::Arc;

use bstr::BString;

use super::problem::{ProblemKind, Problems};
use super::schema::tables::accounts as tables;
use super::table::{Row, RowSpec, Table};
use crate::tab::wildcard;

/// `domains.tab`: the domains handled here.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    rows: Vec<DomainRow>,
    by_name: HashMap<String, usize>,
}

/// A row of `domains.tab`.
#[derive(Clone, Debug)]
pub struct DomainRow {
    /// The line, from 1.
    pub line: u32,
    /// The domain as written.
    pub domain: Box<str>,
}

impl Domains {
    /// The row of `domain`.
    pub fn get(&self, domain: &str) -> Option<&DomainRow> {
        self.by_name.get(&domain.to_ascii_lowercase()).map(|&index| &self.rows[index])
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[DomainRow] {
        &self.rows
    }
}

impl Table for Domains {
    const SPEC: RowSpec = tables::DOMAINS.rows;

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let Some(domain) = row.text(0, problems) else { return };
        tables::DOMAINS.check(&row, [0], problems);
        match self.by_name.entry(domain.to_ascii_lowercase()) {
            Entry::Occupied(first) => {
                let first = self.rows[*first.get()].line;
                problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
            }
            Entry::Vacant(free) => {
                free.insert(self.rows.len());
                self.rows.push(DomainRow { line: row.line, domain });
            }
        }
    }
}

/// `aliasdomain.tab`: other names of domains; exact names first, then the first pattern in file order.
#[derive(Clone, Debug, Default)]
pub struct AliasDomains {
    rows: Vec<AliasDomainRow>,
    exact: HashMap<String, usize>,
    patterns: Vec<usize>,
}

/// A row of `aliasdomain.tab`.
#[derive(Clone, Debug)]
pub struct AliasDomainRow {
    /// The line, from 1.
    pub line: u32,
    /// The alias domain: a name, or a pattern when it holds `*` or `?`.
    pub alias: Box<str>,
    /// The domain meant.
    pub domain: Box<str>,
}

impl AliasDomains {
    /// The row that renames `domain`, one step (`mailroot.md` 7.2).
    pub fn get(&self, domain: &str) -> Option<&AliasDomainRow> {
        let exact = self.exact.get(&domain.to_ascii_lowercase()).copied();
        let index = exact.or_else(|| {
            self.patterns
                .iter()
                .copied()
                .find(|&index| wildcard::matches(self.rows[index].alias.as_bytes(), domain.as_bytes()))
        });
        index.map(|index| &self.rows[index])
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[AliasDomainRow] {
        &self.rows
    }
}

impl Table for AliasDomains {
    const SPEC: RowSpec = tables::ALIASDOMAIN.rows;

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let (Some(alias), Some(domain)) = (row.text(0, problems), row.text(1, problems)) else { return };
        tables::ALIASDOMAIN.check(&row, [0, 1], problems);
        let index = self.rows.len();
        if wildcard::is_pattern(alias.as_bytes()) {
            self.patterns.push(index);
        } else {
            match self.exact.entry(alias.to_ascii_lowercase()) {
                Entry::Occupied(first) => {
                    let first = self.rows[*first.get()].line;
                    problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
                }
                Entry::Vacant(free) => {
                    free.insert(index);
                }
            }
        }
        self.rows.push(AliasDomainRow { line: row.line, alias, domain });
    }
}

/// `mailusers.tab`: the accounts.
#[derive(Clone, Debug, Default)]
pub struct MailUsers {
    rows: Vec<Arc<Account>>,
    by_key: HashMap<Box<str>, usize>,
}

/// A row of `mailusers.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The line, from 1.
    pub line: u32,
    /// The domain, as written.
    pub domain: Box<str>,
    /// The account name, as written.
    pub name: Box<str>,
    /// The password as stored: XMail's hex digits, or a PHC string (decision 18).
    pub password: BString,
    /// The id; 0 when it is not a number.
    pub id: u64,
    /// The account directory below `domains/<domain>/`.
    pub directory: Box<str>,
    /// The first letter of the type, upper case: `U`, `M`, or what stands there.
    pub kind: AccountKind,
    /// The type as written.
    pub kind_text: Box<str>,
}

/// The type column of `mailusers.tab`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// `U`: a user with a mailbox.
    User,
    /// `M`: a mailing list.
    List,
    /// Any other letter: mail treats it as a list, the list commands refuse it (`mailroot.md` 7.3).
    Other,
}

impl Account {
    /// `name@domain`, as written in the table.
    pub fn address(&self) -> String {
        format!("{}@{}", self.name, self.domain)
    }
}

impl MailUsers {
    /// The account with exactly this domain and name.
    pub fn get(&self, domain: &str, name: &str) -> Option<&Arc<Account>> {
        self.by_key.get(key(domain, name).as_str()).map(|&index| &self.rows[index])
    }

    /// All accounts in file order, duplicates left out.
    pub fn rows(&self) -> &[Arc<Account>] {
        &self.rows
    }

    /// The highest id in the table; the next account gets one more.
    pub fn highest_id(&self) -> u64 {
        self.rows.iter().map(|account| account.id).max().unwrap_or(0)
    }
}

impl Table for MailUsers {
    const SPEC: RowSpec = tables::MAILUSERS.rows;

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let (Some(domain), Some(name), Some(directory), Some(kind_text)) =
            (row.text(0, problems), row.text(1, problems), row.text(4, problems), row.text(5, problems))
        else {
            return;
        };
        if !is_plain_name(&directory) || !is_plain_name(&domain) {
            problems.note(row.line, row.column(4), ProblemKind::BadName(directory.into()));
            return;
        }
        tables::MAILUSERS.check(&row, [0, 1, 2], problems);
        let id_text = row.bytes(3).to_string();
        let id = id_text.parse().unwrap_or_else(|_| {
            problems.note(row.line, row.column(3), ProblemKind::NotANumber(id_text));
            0
        });
        let kind = match kind_text.as_bytes().first().map(u8::to_ascii_uppercase) {
            Some(b'U') => AccountKind::User,
            Some(b'M') => AccountKind::List,
            _ => AccountKind::Other,
        };
        if kind == AccountKind::Other {
            let found = kind_text.to_string();
            problems.note(row.line, row.column(5), ProblemKind::UnknownWord { found, accepted: "U, M" });
        }
        match self.by_key.entry(key(&domain, &name).into_boxed_str()) {
            Entry::Occupied(first) => {
                let first = self.rows[*first.get()].line;
                problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
            }
            Entry::Vacant(free) => {
                free.insert(self.rows.len());
                let password = row.bytes(2).to_owned();
                self.rows.push(Arc::new(Account {
                    line: row.line,
                    domain,
                    name,
                    password,
                    id,
                    directory,
                    kind,
                    kind_text,
                }));
            }
        }
    }
}

/// `aliases.tab`: other names of accounts. An exact row wins; else the longest matching pattern.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    rows: Vec<AliasRow>,
    exact: HashMap<Box<str>, usize>,
    patterns: Vec<usize>,
}

/// A row of `aliases.tab`.
#[derive(Clone, Debug)]
pub struct AliasRow {
    /// The line, from 1.
    pub line: u32,
    /// Domain, or a pattern.
    pub domain: Box<str>,
    /// Alias name, or a pattern.
    pub alias: Box<str>,
    /// An account name in the queried domain, or a full address.
    pub target: Box<str>,
}

impl AliasRow {
    fn is_pattern(&self) -> bool {
        wildcard::is_pattern(self.domain.as_bytes()) || wildcard::is_pattern(self.alias.as_bytes())
    }
}

impl Aliases {
    /// The row for `name` in `domain` (`mailroot.md` 7.4): exact first, else the matching pattern with the
    /// greatest length of both columns, the first in the file on a tie.
    pub fn get(&self, domain: &str, name: &str) -> Option<&AliasRow> {
        if let Some(&index) = self.exact.get(key(domain, name).as_str()) {
            return Some(&self.rows[index]);
        }
        let mut best: Option<&AliasRow> = None;
        for row in self.patterns.iter().map(|&index| &self.rows[index]) {
            let length = |row: &AliasRow| row.domain.len() + row.alias.len();
            if best.is_none_or(|best| length(row) > length(best))
                && wildcard::matches(row.domain.as_bytes(), domain.as_bytes())
                && wildcard::matches(row.alias.as_bytes(), name.as_bytes())
            {
                best = Some(row);
            }
        }
        best
    }

    /// The row whose columns are exactly these, patterns taken as text.
    pub fn row(&self, domain: &str, alias: &str) -> Option<&AliasRow> {
        self.rows
            .iter()
            .find(|row| row.domain.eq_ignore_ascii_case(domain) && row.alias.eq_ignore_ascii_case(alias))
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[AliasRow] {
        &self.rows
    }
}

impl Table for Aliases {
    const SPEC: RowSpec = tables::ALIASES.rows;

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let (Some(domain), Some(alias), Some(target)) =
            (row.text(0, problems), row.text(1, problems), row.text(2, problems))
        else {
            return;
        };
        tables::ALIASES.check(&row, [0, 1, 2], problems);
        let index = self.rows.len();
        let alias_row = AliasRow { line: row.line, domain, alias, target };
        if alias_row.is_pattern() {
            self.patterns.push(index);
        } else {
            match self.exact.entry(key(&alias_row.domain, &alias_row.alias).into_boxed_str()) {
                Entry::Occupied(first) => {
                    let first = self.rows[*first.get()].line;
                    problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
                }
                Entry::Vacant(free) => {
                    free.insert(index);
                }
            }
        }
        self.rows.push(alias_row);
    }
}

/// `extaliases.tab`: the address a user has outside, and the local address to show instead.
#[derive(Clone, Debug, Default)]
pub struct ExtAliases {
    rows: Vec<ExtAliasRow>,
    by_key: HashMap<Box<str>, usize>,
}

/// A row of `extaliases.tab`.
#[derive(Clone, Debug)]
pub struct ExtAliasRow {
    /// The line, from 1.
    pub line: u32,
    /// Domain of the outside address.
    pub remote_domain: Box<str>,
    /// Local part of the outside address.
    pub remote_name: Box<str>,
    /// Domain of the local address.
    pub domain: Box<str>,
    /// Local part of the local address.
    pub name: Box<str>,
}

impl ExtAliases {
    /// The row of an outside address.
    pub fn get(&self, remote_domain: &str, remote_name: &str) -> Option<&ExtAliasRow> {
        self.by_key.get(key(remote_domain, remote_name).as_str()).map(|&index| &self.rows[index])
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[ExtAliasRow] {
        &self.rows
    }
}

impl Table for ExtAliases {
    const SPEC: RowSpec = tables::EXTALIASES.rows;

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let (Some(remote_domain), Some(remote_name), Some(domain), Some(name)) =
            (row.text(0, problems), row.text(1, problems), row.text(2, problems), row.text(3, problems))
        else {
            return;
        };
        tables::EXTALIASES.check(&row, [0, 1, 2, 3], problems);
        match self.by_key.entry(key(&remote_domain, &remote_name).into_boxed_str()) {
            Entry::Occupied(first) => {
                let first = self.rows[*first.get()].line;
                problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
            }
            Entry::Vacant(free) => {
                free.insert(self.rows.len());
                self.rows.push(ExtAliasRow { line: row.line, remote_domain, remote_name, domain, name });
            }
        }
    }
}

/// Whether `name` is one path component that stays where it is: no `/`, no NUL, not `.` or `..`.
pub fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name)
        && !name.contains('\0')
}

fn key(domain: &str, name: &str) -> String {
    let mut key = String::with_capacity(domain.len() + 1 + name.len());
    key.push_str(domain);
    key.push('\t');
    key.push_str(name);
    key.make_ascii_lowercase();
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load<T: Table>(text: &str) -> (T, Vec<String>) {
        let (table, problems) = T::load(Path::new("x.tab"), text.as_bytes());
        (table, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn users_are_found_without_case_and_the_first_row_wins() {
        let (users, problems) = load::<MailUsers>(
            "# c\n\"Home.test\"\t\"Anna\"\t\"1d\"\t3\t\"anna\"\t\"U\"\n\"home.test\"\t\"anna\"\t\"\"\t4\t\"x\"\t\"M\"\nshort\n",
        );
        assert_eq!(users.get("HOME.test", "aNNA").unwrap().id, 3);
        assert_eq!(
            problems,
            [
                "x.tab:3:1: has the same key as line 2, which wins",
                "x.tab:4: needs 6 columns, has 1; the row is ignored"
            ]
        );
    }

    #[test]
    fn an_account_directory_cannot_leave_its_domain() {
        for directory in ["../x", "a/b", "..", ".", "", "/etc"] {
            let (users, problems) =
                load::<MailUsers>(&format!("\"d\"\t\"u\"\t\"\"\t1\t\"{directory}\"\t\"U\"\n"));
            assert!(users.rows().is_empty(), "{directory}");
            assert_eq!(problems.len(), 1, "{directory}");
        }
    }

    #[test]
    fn the_longest_alias_pattern_wins_and_an_exact_row_before_it() {
        let (aliases, _) = load::<Aliases>(
            "\"*\"\t\"sales\"\t\"root@d\"\n\"home.test\"\t\"sa*\"\t\"anna\"\n\"home.test\"\t\"sales\"\t\"bert\"\n\"home.test\"\t\"s*es2\"\t\"carl\"\n",
        );
        let target = |domain: &str, name: &str| aliases.get(domain, name).map(|row| row.target.to_string());
        assert_eq!(target("home.test", "SALES").as_deref(), Some("bert"));
        assert_eq!(target("home.test", "sales2").as_deref(), Some("carl"));
        assert_eq!(target("other.test", "sales").as_deref(), Some("root@d"));
        assert_eq!(target("other.test", "none"), None);
    }

    #[test]
    fn two_columns_in_aliases_are_a_problem_not_a_crash() {
        let (aliases, problems) = load::<Aliases>("\"d\"\t\"a\"\n");
        assert!(aliases.get("d", "a").is_none());
        assert_eq!(problems, ["x.tab:1: needs 3 columns, has 2; the row is ignored"]);
    }

    #[test]
    fn alias_domains_match_exactly_then_by_the_first_pattern() {
        let (domains, _) =
            load::<AliasDomains>("\"*.a.test\"\t\"one\"\n\"*\"\t\"two\"\n\"x.a.test\"\t\"three\"\n");
        assert_eq!(&*domains.get("X.A.test").unwrap().domain, "three");
        assert_eq!(&*domains.get("y.a.test").unwrap().domain, "one");
        assert_eq!(&*domains.get("z").unwrap().domain, "two");
    }
}
