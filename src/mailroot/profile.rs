//! `user.tab` and `userdef.tab`: the variables of an account (`mailroot.md` 9).
//!
//! Rows are exactly name and value; names are case-sensitive, the first of equal names counts, unknown ones are kept.
//! What counts for an account, with its groups, is [`UserSettings`](super::groups::UserSettings).

use bstr::{BStr, BString, ByteSlice};

use super::problem::{ProblemKind, Problems};
use super::schema;
use super::schema::tables::variables::USER;
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

    /// Whether the variable is there.
    pub fn has(&self, variable: &schema::Variable) -> bool {
        self.value(variable).is_some()
    }

    /// The value of a variable; the first row of that name.
    pub fn value(&self, variable: &schema::Variable) -> Option<&BStr> {
        self.rows.iter().find(|row| row.name == variable.name).map(|row| row.value.as_bstr())
    }
}

impl Table for UserTab {
    const SPEC: RowSpec = USER.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        if let Some(first) = self.rows.iter().find(|known| known.name == row.bytes(0)) {
            problems.note(row.line, row.column(0), ProblemKind::Duplicate { first: first.line });
        } else {
            USER.check_variable(&row, false, problems);
        }
        self.rows.push(UserVariable {
            line: row.line,
            name: row.bytes(0).to_owned(),
            value: row.bytes(1).to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::mailroot::UserTab;
    use crate::mailroot::table::load_text;

    /// Other programs keep variables of their own here, so only what looks like a slip is reported.
    #[test]
    fn values_are_checked_and_strangers_are_not() {
        let (_, problems) = load_text::<UserTab>(
            "user.tab",
            "\"RealName\"\t\"Anna\"\n\"MaxMBSize\"\t\"10M\"\n\"Popenable\"\t\"0\"\n\"jdwm-skin\"\t\"blue\"\n\
             \"SmtpPerms\"\t\"MRq\"\n\"Telephone\"\t\"1\"\n",
        );
        assert_eq!(
            problems,
            [
                "user.tab:2:13: is not a decimal number, so it counts as 10: \"10M\"",
                "user.tab:3:1: is not a variable; did you mean PopEnable?",
                "user.tab:5:13: \"q\" counts for nothing: accepted are M, R, V, T, Z, S",
            ]
        );
    }
}
