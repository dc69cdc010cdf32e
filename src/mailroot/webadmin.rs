//! `webadmin.tab`: who may log in to the web administration (`jdmail.md` JD-63). Ours.
//!
//! Shape: name TAB password TAB role TAB domains TAB flags. A row whose role is unknown gives no rights at all.

use bstr::BString;
use jiff::civil::Date;

use super::problem::{ProblemKind, Problems};
use super::schema::tables::authentication::{
    CHANGED, MUST_CHANGE, WEB_ROLE_DOMAIN, WEB_ROLE_SYSTEM, WEBADMIN,
};
use super::table::{Row, RowSpec, Table};

/// `webadmin.tab`: the administrators.
#[derive(Clone, Debug, Default)]
pub struct WebAdmins {
    rows: Vec<WebAdmin>,
}

/// A row of `webadmin.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebAdmin {
    /// The line, from 1.
    pub line: u32,
    /// The name, compared without regard to case.
    pub name: Box<str>,
    /// The password as stored.
    pub password: BString,
    /// What the administrator may touch.
    pub role: WebRole,
    /// Whether a new password must be chosen before anything else.
    pub must_change: bool,
    /// The day on which the password was chosen, where it is known.
    pub changed_on: Option<Date>,
}

/// What an administrator may touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebRole {
    /// Everything.
    System,
    /// These domains, as written; whether they exist is not looked at.
    Domains(Vec<Box<str>>),
}

impl WebAdmins {
    /// The first row of this name; it decides.
    pub fn get(&self, name: &str) -> Option<&WebAdmin> {
        self.rows.iter().find(|row| row.name.eq_ignore_ascii_case(name))
    }

    /// All rows in file order, duplicates left out.
    pub fn rows(&self) -> &[WebAdmin] {
        &self.rows
    }
}

impl WebAdmin {
    /// Whether the administrator may administer this domain.
    pub fn holds(&self, domain: &str) -> bool {
        match &self.role {
            WebRole::System => true,
            WebRole::Domains(domains) => domains.iter().any(|held| held.eq_ignore_ascii_case(domain)),
        }
    }

    /// Whether the password is older than that on `today`; one of an unknown day is. `max_days` 0: no password is.
    pub fn is_too_old(&self, today: Date, max_days: i64) -> bool {
        let age = |since: Date| since.until(today).map_or(i64::MAX, |span| i64::from(span.get_days()));
        max_days > 0 && self.changed_on.is_none_or(|since| age(since) > max_days)
    }

    /// Whether the administrator may administer everything.
    pub fn is_system(&self) -> bool {
        self.role == WebRole::System
    }
}

impl Table for WebAdmins {
    const SPEC: RowSpec = WEBADMIN.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(name) = row.text(0, problems) else { return };
        if let Some(first) = self.get(&name) {
            problems.note(row.line, row.column(0), ProblemKind::Duplicate { first: first.line });
            return;
        }
        WEBADMIN.check(&row, [1, 2], problems);
        let role = row.bytes(2);
        let role = if role.eq_ignore_ascii_case(WEB_ROLE_SYSTEM.as_bytes()) {
            WebRole::System
        } else if role.eq_ignore_ascii_case(WEB_ROLE_DOMAIN.as_bytes()) {
            WebRole::Domains(words(row.bytes(3)).map(Into::into).collect())
        } else {
            WebRole::Domains(Vec::new())
        };
        let must_change = words(row.bytes(4)).any(|flag| flag.eq_ignore_ascii_case(MUST_CHANGE));
        let changed_on = words(row.bytes(4)).find_map(|flag| flag.strip_prefix(CHANGED)?.parse().ok());
        let password = row.bytes(1).to_owned();
        self.rows.push(WebAdmin { line: row.line, name, password, role, must_change, changed_on });
    }
}

/// The elements of a comma list; what is not UTF-8 names nothing.
fn words(list: &[u8]) -> impl Iterator<Item = &str> {
    let text = std::str::from_utf8(list).unwrap_or_default();
    text.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_row_gives_what_it_says_and_an_odd_one_nothing() {
        let text = "\"admin\"\t\"\"\t\"system\"\n\"anna\"\t\"\"\t\"Domain\"\t\"a.test, B.test\"\t\"must-change\"\n\
                    \"odd\"\t\"\"\t\"king\"\t\"a.test\"\n\"ADMIN\"\t\"\"\t\"domain\"\n";
        let (table, problems) = WebAdmins::load(Path::new("webadmin.tab"), text.as_bytes());
        assert_eq!(table.rows().len(), 3);
        assert_eq!(problems.len(), 2, "{problems:?}");
        let anna = table.get("ANNA").unwrap();
        assert!(anna.must_change && anna.holds("b.test") && !anna.holds("c.test") && !anna.is_system());
        assert!(table.get("admin").unwrap().is_system() && table.get("Admin").unwrap().holds("c.test"));
        assert!(!table.get("odd").unwrap().holds("a.test"));
    }

    /// JD-63: password age.
    #[test]
    fn a_password_gets_too_old_and_one_of_an_unknown_day_is() {
        let text = "\"a\"\t\"x\"\t\"system\"\t\"\"\t\"changed=2026-11-01\"\n\"b\"\t\"x\"\t\"system\"\n";
        let (table, _) = WebAdmins::load(Path::new("webadmin.tab"), text.as_bytes());
        let is_too_old =
            |name, today: &str, days| table.get(name).unwrap().is_too_old(today.parse().unwrap(), days);
        assert!(!is_too_old("a", "2026-12-01", 30) && is_too_old("a", "2026-12-02", 30));
        assert!(is_too_old("a", "2028-01-01", 30) && !is_too_old("a", "2028-01-01", 0));
        assert!(is_too_old("b", "2026-11-01", 30) && !is_too_old("b", "2026-11-01", 0));
    }
}
