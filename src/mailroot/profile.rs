//! `user.tab` and `userdef.tab`: the variables of an account (`mailroot.md` 9).
//!
//! Rows are exactly name and value; names are case-sensitive, the first of equal names counts, unknown ones are kept.

use bstr::{BStr, BString, ByteSlice};

use super::problem::{ProblemKind, Problems};
use super::schema;
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
        self.value(variable).is_some()
    }

    /// `MaxMBSize` in bytes; `None` = unlimited.
    pub fn mailbox_bytes_max(&self) -> Option<u64> {
        self.kilobytes(&schema::user::MAX_MB_SIZE)
    }

    /// The value of a variable; the first row of that name.
    fn value(&self, variable: &schema::Variable) -> Option<&BStr> {
        self.rows.iter().find(|row| row.name == variable.name).map(|row| row.value.as_bstr())
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
