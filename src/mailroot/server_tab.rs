//! `server.tab`: the server's variables (`mailroot.md` 8).
//!
//! Rows are name and value; names are case-sensitive and of equal names the first counts (decision 49). Kinds:
//! a *flag* is a decimal number, non-zero = on; an *int* is decimal, absent or empty = the default, not a number = 0.
//! Sizes are in kB in the file and in bytes in our answers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bstr::{BStr, BString, ByteSlice};

use super::problem::{ProblemKind, Problems};
use super::routing;
use super::table::{Row, RowSpec, Table};

/// The variables of `server.tab`.
#[derive(Clone, Debug, Default)]
pub struct ServerTab {
    variables: HashMap<Box<str>, Variable>,
}

/// One variable and where it stands.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The line, from 1.
    pub line: u32,
    /// The value as written.
    pub value: BString,
}

/// `MaxMTAOps` when it is not set.
pub const MAX_MTA_OPS: i64 = 16;

/// `DefaultSmtpPerms` when it is not set: what XMail does, not what its manual says (`mailflow.md` 17).
pub const DEFAULT_SMTP_PERMS: &str = "MRVZ";

impl ServerTab {
    /// The row of a variable.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// All variables, in no order.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.variables.iter().map(|(name, variable)| (&**name, variable))
    }

    /// The value of a variable as bytes; `None` when it is absent.
    pub fn bytes(&self, name: &str) -> Option<&BStr> {
        self.variables.get(name).map(|variable| variable.value.as_bstr())
    }

    /// The value of a variable as text; `None` when it is absent, empty or not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.bytes(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
    }

    /// A flag: decimal, non-zero = on. A present but empty or non-numeric value is off.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.bytes(name).map_or(default, |value| leading_number(value) != 0)
    }

    /// An integer: absent or empty gives the default, not a number gives 0.
    pub fn integer(&self, name: &str, default: i64) -> i64 {
        match self.bytes(name) {
            None => default,
            Some(value) if value.is_empty() => default,
            Some(value) => leading_number(value),
        }
    }

    /// A size in kB as bytes; absent, 0 or negative means none.
    pub fn kilobytes(&self, name: &str) -> Option<u64> {
        u64::try_from(self.integer(name, 0)).ok().filter(|&kb| kb > 0).map(|kb| kb.saturating_mul(1024))
    }

    /// `RootDomain`: the primary domain, required.
    pub fn root_domain(&self) -> Option<&str> {
        self.text("RootDomain")
    }

    /// `PostMaster`: the sender of notices, required for them.
    pub fn postmaster(&self) -> Option<&str> {
        self.text("PostMaster")
    }
}

impl Table for ServerTab {
    const SPEC: RowSpec = RowSpec::at_least(2, 2046);

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let Some(name) = row.text(0, problems) else { return };
        match self.variables.entry(name) {
            Entry::Occupied(first) => {
                let first = first.get().line;
                problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
            }
            Entry::Vacant(free) => {
                routing::check_variable(&row, problems);
                free.insert(Variable { line: row.line, value: row.bytes(1).to_owned() });
            }
        }
    }
}

/// Reads a decimal number the way C's `atoi` does: blanks, a sign, digits, and what follows is dropped.
pub fn leading_number(value: &[u8]) -> i64 {
    let text = value.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let magnitude = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_i64, |sum, byte| sum.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn kinds() {
        let text = "\"A\"\t\"1\"\n\"B\"\t\"\"\n\"C\"\t\"x\"\n\"D\"\t\"30\"\n\"A\"\t\"0\"\n\"N\"\t\"-5\"\n";
        let (server, problems) = ServerTab::load(Path::new("server.tab"), text.as_bytes());
        assert!(server.flag("A", false));
        assert!(!server.flag("B", true));
        assert!(!server.flag("C", true));
        assert!(server.flag("missing", true));
        assert_eq!(server.integer("B", 7), 7);
        assert_eq!(server.integer("C", 7), 0);
        assert_eq!(server.integer("N", 0), -5);
        assert_eq!(server.kilobytes("D"), Some(30 * 1024));
        assert_eq!(server.text("B"), None);
        assert_eq!(problems[0].to_string(), "server.tab:5:1: has the same key as line 1, which wins");
    }
}
