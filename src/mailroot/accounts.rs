//! `domains.tab`, `aliasdomain.tab`, `mailusers.tab`, `aliases.tab`, `extaliases.tab`: who is who.
//!
//! XMail finds rows of these five through `tabindex/`; we keep them in memory and never read it (decision 19).
//! Lookups fold ASCII case; of duplicate keys the first row wins (`mailroot.md` 3).

use std::sync::Arc;

use bstr::BString;

use super::index::KeyIndex;
use super::problem::{ProblemKind, Problems};
use super::revision::{Change, moved_line, spliced};
use super::schema::tables::accounts as tables;
use super::table::{Row, RowSpec, Table};
use crate::tab::wildcard;

/// `domains.tab`: the domains handled here.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    rows: Vec<DomainRow>,
    by_name: KeyIndex,
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
        let row = self.by_name.get([domain], |row| [&self.rows[row].domain])?;
        self.rows.get(row)
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[DomainRow] {
        &self.rows
    }
}

impl Table for Domains {
    const SPEC: RowSpec = tables::DOMAINS.rows;

    fn expect(&mut self, rows: usize) {
        self.rows.reserve_exact(rows);
        self.by_name.expect(rows);
    }

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(domain) = row.text(0, problems) else { return };
        tables::DOMAINS.check(&row, [0], problems);
        let rows = &self.rows;
        if let Some(first) = self.by_name.insert([&domain], rows.len(), |row| [&rows[row].domain]) {
            return note_duplicate(&row, rows[first].line, problems);
        }
        self.rows.push(DomainRow { line: row.line, domain });
    }
}

/// `aliasdomain.tab`: other names of domains; exact names first, then the first pattern in file order.
#[derive(Clone, Debug, Default)]
pub struct AliasDomains {
    rows: Vec<AliasDomainRow>,
    exact: KeyIndex,
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
        let exact = self.exact.get([domain], |row| [&self.rows[row].alias]);
        let index = exact.or_else(|| {
            self.patterns
                .iter()
                .copied()
                .find(|&index| wildcard::matches(self.rows[index].alias.as_bytes(), domain.as_bytes()))
        });
        index.map(|index| &self.rows[index])
    }

    /// All rows that fit `domain`, exact ones and patterns, in file order: what could decide if others did not.
    pub fn matching<'a>(&'a self, domain: &'a str) -> impl Iterator<Item = &'a AliasDomainRow> {
        self.rows.iter().filter(|row| wildcard::matches(row.alias.as_bytes(), domain.as_bytes()))
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[AliasDomainRow] {
        &self.rows
    }
}

impl Table for AliasDomains {
    const SPEC: RowSpec = tables::ALIASDOMAIN.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let (Some(alias), Some(domain)) = (row.text(0, problems), row.text(1, problems)) else { return };
        tables::ALIASDOMAIN.check(&row, [0, 1], problems);
        let index = self.rows.len();
        if wildcard::is_pattern(alias.as_bytes()) {
            self.patterns.push(index);
        } else if let Some(first) = self.exact.insert([&alias], index, |row| [&self.rows[row].alias]) {
            note_duplicate(&row, self.rows[first].line, problems);
        }
        self.rows.push(AliasDomainRow { line: row.line, alias, domain });
    }
}

/// `mailusers.tab`: the accounts.
#[derive(Clone, Debug, Default)]
pub struct MailUsers {
    rows: Vec<Arc<Account>>,
    by_key: KeyIndex,
}

/// A row of `mailusers.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The line, from 1.
    pub line: u32,
    /// The domain, as written. Rows of one domain that follow each other share it.
    pub domain: Arc<str>,
    /// The account name, as written.
    pub name: Arc<str>,
    /// The password as stored: XMail's hex digits, or a PHC string (decision 18).
    pub password: BString,
    /// The id; 0 when it is not a number.
    pub id: u64,
    /// The account directory below `domains/<domain>/`.
    pub directory: Arc<str>,
    /// The first letter of the type, upper case: `U`, `M`, or what stands there.
    pub kind: AccountKind,
    /// The type as written.
    pub kind_text: Arc<str>,
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

    fn key(&self) -> [&str; 2] {
        [&self.domain, &self.name]
    }
}

impl MailUsers {
    /// The account with exactly this domain and name.
    pub fn get(&self, domain: &str, name: &str) -> Option<&Arc<Account>> {
        let row = self.by_key.get([domain, name], |row| self.rows[row].key())?;
        self.rows.get(row)
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
    const IS_REVISABLE: bool = true;

    fn revised(&self, part: Self, change: &Change<'_>) -> Option<Self> {
        let moved = |account: &Arc<Account>, by: i64| match by {
            0 => Arc::clone(account),
            _ => Arc::new(Account { line: moved_line(account.line, by), ..Account::clone(account) }),
        };
        let (rows, place) = spliced(&self.rows, &part.rows, change, |account| account.line, moved);
        let mut by_key = self.by_key.clone();
        for gone in place.gone() {
            by_key.remove(self.rows[gone].key(), gone);
        }
        by_key.shift(place.old_end, place.shift());
        let is_new = |row: usize| by_key.insert(rows[row].key(), row, |row| rows[row].key()).is_none();
        place.new_rows().all(is_new).then_some(Self { rows, by_key })
    }

    fn expect(&mut self, rows: usize) {
        self.rows.reserve_exact(rows);
        self.by_key.expect(rows);
    }

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let (Some(domain), Some(name), Some(directory), Some(kind_text)) =
            (row.str(0, problems), row.str(1, problems), row.str(4, problems), row.str(5, problems))
        else {
            return;
        };
        if !is_plain_name(directory) || !is_plain_name(domain) {
            problems.note(row.line, row.column(4), ProblemKind::BadName(directory.into()));
            return;
        }
        tables::MAILUSERS.check(&row, [0, 1, 2], problems);
        let id = id(&row, problems);
        let kind = kind(&row, kind_text, problems);
        let rows = &self.rows;
        if let Some(first) = self.by_key.insert([domain, name], rows.len(), |row| rows[row].key()) {
            return note_duplicate(&row, rows[first].line, problems);
        }
        let before = self.rows.last();
        let name: Arc<str> = name.into();
        self.rows.push(Arc::new(Account {
            line: row.line,
            domain: shared(before.map(|account| &account.domain), domain),
            password: row.bytes(2).to_owned(),
            id,
            directory: shared(Some(&name), directory),
            name,
            kind,
            kind_text: shared(before.map(|account| &account.kind_text), kind_text),
        }));
    }
}

fn id(row: &Row<'_>, problems: &mut Problems) -> u64 {
    let text = row.bytes(3);
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| {
        problems.note(row.line, row.column(3), ProblemKind::NotANumber(text.to_string()));
        0
    })
}

fn kind(row: &Row<'_>, text: &str, problems: &mut Problems) -> AccountKind {
    match text.as_bytes().first().map(u8::to_ascii_uppercase) {
        Some(b'U') => AccountKind::User,
        Some(b'M') => AccountKind::List,
        _ => {
            let kind = ProblemKind::UnknownWord { found: text.into(), accepted: "U, M" };
            problems.note(row.line, row.column(5), kind);
            AccountKind::Other
        }
    }
}

/// `aliases.tab`: other names of accounts. An exact row wins; else the longest matching pattern.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    rows: Vec<AliasRow>,
    exact: KeyIndex,
    patterns: Vec<usize>,
}

/// A row of `aliases.tab`.
#[derive(Clone, Debug)]
pub struct AliasRow {
    /// The line, from 1.
    pub line: u32,
    /// Domain, or a pattern. Rows of one domain that follow each other share it.
    pub domain: Arc<str>,
    /// Alias name, or a pattern.
    pub alias: Arc<str>,
    /// An account name in the queried domain, or a full address.
    pub target: Arc<str>,
}

impl AliasRow {
    fn key(&self) -> [&str; 2] {
        [&self.domain, &self.alias]
    }

    /// Whether domain or name is a pattern.
    pub fn is_pattern(&self) -> bool {
        wildcard::is_pattern(self.domain.as_bytes()) || wildcard::is_pattern(self.alias.as_bytes())
    }
}

impl Aliases {
    /// The row for `name` in `domain` (`mailroot.md` 7.4): exact first, else the matching pattern with the
    /// greatest length of both columns, the first in the file on a tie.
    pub fn get(&self, domain: &str, name: &str) -> Option<&AliasRow> {
        if let Some(row) = self.exact.get([domain, name], |row| self.rows[row].key()) {
            return self.rows.get(row);
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

    /// All rows that fit the address, exact ones and patterns, in file order: what could decide if others did not.
    pub fn matching<'a>(&'a self, domain: &'a str, name: &'a str) -> impl Iterator<Item = &'a AliasRow> {
        self.rows.iter().filter(|row| {
            wildcard::matches(row.domain.as_bytes(), domain.as_bytes())
                && wildcard::matches(row.alias.as_bytes(), name.as_bytes())
        })
    }

    /// The row whose columns are exactly these, patterns taken as text.
    pub fn row(&self, domain: &str, alias: &str) -> Option<&AliasRow> {
        let is_wanted = |row: &&AliasRow| {
            row.domain.eq_ignore_ascii_case(domain) && row.alias.eq_ignore_ascii_case(alias)
        };
        if wildcard::is_pattern(domain.as_bytes()) || wildcard::is_pattern(alias.as_bytes()) {
            return self.patterns.iter().filter_map(|&row| self.rows.get(row)).find(is_wanted);
        }
        self.rows.get(self.exact.get([domain, alias], |row| self.rows[row].key())?)
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[AliasRow] {
        &self.rows
    }
}

impl Table for Aliases {
    const SPEC: RowSpec = tables::ALIASES.rows;
    const IS_REVISABLE: bool = true;

    fn revised(&self, part: Self, change: &Change<'_>) -> Option<Self> {
        let moved = |row: &AliasRow, by: i64| AliasRow { line: moved_line(row.line, by), ..row.clone() };
        let (rows, place) = spliced(&self.rows, &part.rows, change, |row| row.line, moved);
        let mut exact = self.exact.clone();
        for gone in place.gone() {
            exact.remove(self.rows[gone].key(), gone);
        }
        exact.shift(place.old_end, place.shift());
        let is_new = |row: usize| {
            rows[row].is_pattern() || exact.insert(rows[row].key(), row, |row| rows[row].key()).is_none()
        };
        if !place.new_rows().all(is_new) {
            return None;
        }
        let before = self.patterns.iter().copied().filter(|&row| row < place.start);
        let after = self.patterns.iter().copied().filter(|&row| row >= place.old_end);
        let after = after.map(|row| row.saturating_add_signed(place.shift()));
        let new = place.new_rows().filter(|&row| rows[row].is_pattern());
        let patterns = before.chain(new).chain(after).collect();
        Some(Self { rows, exact, patterns })
    }

    fn expect(&mut self, rows: usize) {
        self.rows.reserve_exact(rows);
        self.exact.expect(rows);
    }

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let (Some(domain), Some(alias), Some(target)) =
            (row.str(0, problems), row.str(1, problems), row.str(2, problems))
        else {
            return;
        };
        tables::ALIASES.check(&row, [0, 1, 2], problems);
        let domain = shared(self.rows.last().map(|before| &before.domain), domain);
        let (place, line) = (self.rows.len(), row.line);
        let alias_row = AliasRow { line, domain, alias: alias.into(), target: target.into() };
        if alias_row.is_pattern() {
            self.patterns.push(place);
        } else if let Some(first) = self.exact.insert(alias_row.key(), place, |row| self.rows[row].key()) {
            note_duplicate(&row, self.rows[first].line, problems);
        }
        self.rows.push(alias_row);
    }
}

/// `extaliases.tab`: the address a user has outside, and the local address to show instead.
#[derive(Clone, Debug, Default)]
pub struct ExtAliases {
    rows: Vec<ExtAliasRow>,
    by_key: KeyIndex,
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

impl ExtAliasRow {
    fn key(&self) -> [&str; 2] {
        [&self.remote_domain, &self.remote_name]
    }
}

impl ExtAliases {
    /// The row of an outside address.
    pub fn get(&self, remote_domain: &str, remote_name: &str) -> Option<&ExtAliasRow> {
        let row = self.by_key.get([remote_domain, remote_name], |row| self.rows[row].key())?;
        self.rows.get(row)
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[ExtAliasRow] {
        &self.rows
    }
}

impl Table for ExtAliases {
    const SPEC: RowSpec = tables::EXTALIASES.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let (Some(remote_domain), Some(remote_name), Some(domain), Some(name)) =
            (row.text(0, problems), row.text(1, problems), row.text(2, problems), row.text(3, problems))
        else {
            return;
        };
        tables::EXTALIASES.check(&row, [0, 1, 2, 3], problems);
        let rows = &self.rows;
        let key = [&*remote_domain, &*remote_name];
        if let Some(first) = self.by_key.insert(key, rows.len(), |row| rows[row].key()) {
            return note_duplicate(&row, rows[first].line, problems);
        }
        self.rows.push(ExtAliasRow { line: row.line, remote_domain, remote_name, domain, name });
    }
}

fn note_duplicate(row: &Row<'_>, first: u32, problems: &mut Problems) {
    problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
}

/// `text`, sharing the memory of a neighbour that says the same.
fn shared(neighbour: Option<&Arc<str>>, text: &str) -> Arc<str> {
    neighbour.filter(|neighbour| &***neighbour == text).map_or_else(|| text.into(), Arc::clone)
}

/// Whether `name` is one path component that stays where it is: no `/`, no NUL, not `.` or `..`.
pub fn is_plain_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.bytes().any(|byte| matches!(byte, b'/' | 0))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
