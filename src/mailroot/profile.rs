//! `user.tab` and `userdef.tab`: the variables of an account (`mailroot.md` 9).
//!
//! Rows are exactly name and value; names are case-sensitive, the first of equal names counts, unknown ones are kept.

use bstr::{BStr, BString, ByteSlice};

use super::problem::{ProblemKind, Problems};
use super::server_tab::leading_number;
use super::table::{Row, RowSpec, Table};

/// The variables of one account, in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserTab {
    rows: Vec<UserVariable>,
}

/// A row of `user.tab`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserVariable {
    /// The line, from 1.
    pub line: u32,
    /// The name.
    pub name: BString,
    /// The value.
    pub value: BString,
}

impl UserTab {
    /// All rows in file order, later duplicates included.
    pub fn rows(&self) -> &[UserVariable] {
        &self.rows
    }

    /// The value of a variable; the first row of that name.
    pub fn bytes(&self, name: &str) -> Option<&BStr> {
        self.rows.iter().find(|row| row.name == name).map(|row| row.value.as_bstr())
    }

    /// The value of a variable as text; `None` when it is absent, empty or not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.bytes(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
    }

    /// A flag: decimal, non-zero = on.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.bytes(name).map_or(default, |value| leading_number(value) != 0)
    }

    /// `MaxMBSize` in bytes; `None` = unlimited.
    pub fn mailbox_bytes_max(&self) -> Option<u64> {
        let kilobytes = self.bytes("MaxMBSize").map_or(0, |value| leading_number(value));
        u64::try_from(kilobytes).ok().filter(|&kb| kb > 0).map(|kb| kb.saturating_mul(1024))
    }
}

impl Table for UserTab {
    const SPEC: RowSpec = RowSpec::exactly(2, 2046);

    fn push(&mut self, row: Row, problems: &mut Problems) {
        if let Some(first) = self.rows.iter().find(|known| known.name == row.bytes(0)) {
            problems.note(row.line, row.column(0), ProblemKind::Duplicate { first: first.line });
        }
        self.rows.push(UserVariable {
            line: row.line,
            name: row.bytes(0).to_owned(),
            value: row.bytes(1).to_owned(),
        });
    }
}
