//! `server.tab`: the server's variables (`mailroot.md` 8).
//!
//! Rows are name and value; names are case-sensitive and of equal names the first counts (decision 49). Kinds:
//! a *flag* is a decimal number, non-zero = on; an *int* is decimal, absent or empty = the default, not a number = 0.
//! Sizes are in kB in the file and in bytes in our answers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;

use bstr::{BStr, BString, ByteSlice};

use super::option_list::OptionList;
use super::problem::{ProblemKind, Problems};
use super::schema;
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

impl ServerTab {
    /// The row of a variable by its name, for those who do not mean a certain one.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// All variables, in no order.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.variables.iter().map(|(name, variable)| (&**name, variable))
    }

    /// A text as bytes; `None` when it is absent and has no default.
    pub fn bytes(&self, variable: &schema::Text) -> Option<&BStr> {
        variable.read_bytes(self.value(variable))
    }

    /// A text; `None` when it is absent, empty or not UTF-8, and has no default.
    pub fn text(&self, variable: &schema::Text) -> Option<&str> {
        variable.read(self.value(variable))
    }

    /// A flag: decimal, non-zero = on. A present but empty or non-numeric value is off.
    pub fn flag(&self, variable: &schema::Flag) -> bool {
        variable.read(self.value(variable))
    }

    /// An integer: absent or empty gives the default, not a number gives 0.
    pub fn integer(&self, variable: &schema::Integer) -> i64 {
        variable.read(self.value(variable))
    }

    /// A size in kB as bytes; absent, 0 or negative means none.
    pub fn kilobytes(&self, variable: &schema::Kilobytes) -> Option<u64> {
        variable.read(self.value(variable))
    }

    /// One of some words, as the description writes it.
    pub fn choice(&self, variable: &schema::Choice) -> &'static str {
        variable.read(self.value(variable))
    }

    /// The options for a local address of a variable with forms for one address: `<name>-<ip>,<port>`, else
    /// `<name>-<ip>`, else `<name>`. The most specific one counts alone.
    pub fn options_at(&self, variable: &schema::Text, local: SocketAddr) -> OptionList {
        let row = self.rows_at(variable, local).next();
        row.map_or_else(OptionList::default, |row| OptionList::parse(&row.value))
    }

    /// The rows for a local address behind [`ServerTab::options_at`], the most specific one first.
    pub fn rows_at(&self, variable: &schema::Text, local: SocketAddr) -> impl Iterator<Item = &Variable> {
        let (name, ip) = (variable.name, local.ip().to_canonical());
        let names = [format!("{name}-{ip},{}", local.port()), format!("{name}-{ip}"), name.to_owned()];
        names.into_iter().filter_map(|name| self.variable(&name))
    }

    /// `RootDomain`: the primary domain, required.
    pub fn root_domain(&self) -> Option<&str> {
        self.text(&schema::server::ROOT_DOMAIN)
    }

    /// `PostMaster`: the sender of notices, required for them.
    pub fn postmaster(&self) -> Option<&str> {
        self.text(&schema::server::POST_MASTER)
    }

    fn value(&self, variable: &schema::Variable) -> Option<&BStr> {
        self.variables.get(variable.name).map(|row| row.value.as_bstr())
    }
}

impl Table for ServerTab {
    const SPEC: RowSpec = schema::tables::variables::SERVER.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(name) = row.text(0, problems) else { return };
        match self.variables.entry(name) {
            Entry::Occupied(first) => {
                let first = first.get().line;
                problems.note(row.line, row.column(0), ProblemKind::Duplicate { first });
            }
            Entry::Vacant(free) => {
                schema::tables::variables::SERVER.check_variable(&row, true, problems);
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
    use crate::mailroot::schema::Kind;
    use crate::mailroot::schema::kind::words;
    use crate::mailroot::schema::variable::{choice, flag, integer, kilobytes, text, text_or};
    use std::path::Path;

    #[test]
    fn kinds() {
        let content = "\"A\"\t\"1\"\n\"B\"\t\"\"\n\"C\"\t\"x\"\n\"D\"\t\"30\"\n\"A\"\t\"0\"\n\"N\"\t\"-5\"\n";
        let (server, problems) = ServerTab::load(Path::new("server.tab"), content.as_bytes());
        assert!(server.flag(&flag("A", false)));
        assert!(!server.flag(&flag("B", true)));
        assert!(!server.flag(&flag("C", true)));
        assert!(server.flag(&flag("missing", true)));
        let number = |name, default| server.integer(&integer(name, default, (0, 9), ""));
        assert_eq!((number("B", 7), number("C", 7), number("N", 0)), (7, 0, -5));
        assert_eq!(server.kilobytes(&kilobytes("D")), Some(30 * 1024));
        assert_eq!(server.text(&text("B", Kind::Text, "")), None);
        assert_eq!(server.text(&text_or("B", Kind::Text, "x")), Some("x"));
        assert_eq!(server.bytes(&text_or("B", Kind::Text, "x")).unwrap(), "");
        let words = words!("one": "", "x": "");
        assert_eq!(
            ["missing", "B", "C", "A"].map(|name| server.choice(&choice(name, words))),
            ["one", "one", "x", "one"]
        );
        assert_eq!(problems[4].to_string(), "server.tab:5:1: has the same key as line 1, which wins");
    }

    #[track_caller]
    fn check(name: &str, value: &str, expected: &[&str]) {
        let content = format!("\"{name}\"\t\"{value}\"\n");
        let (_, problems) = ServerTab::load(Path::new("server.tab"), content.as_bytes());
        let found: Vec<String> = problems.iter().map(|problem| problem.kind.to_string()).collect();
        assert_eq!(found, expected, "{content}");
    }

    #[test]
    fn values_are_checked_by_their_kind() {
        check("RootDomain", "home.test", &[]);
        check("RootDomain", "anna@home.test", &["is not a domain: \"anna@home.test\""]);
        check("RootDomain", "", &[]);
        check("Rootdomain", "home.test", &["is not a variable; did you mean RootDomain?"]);
        check("Colour", "blue", &["is not a variable"]);
        check("PostMaster", "root", &["is not a mail address: \"root\""]);
        check("AllowNullSender", "1", &[]);
        check("AllowNullSender", "yes", &["is not a decimal number, so it counts as 0: \"yes\""]);
        check("AllowNullSender", "", &["is not a decimal number, so it counts as 0: \"\""]);
        check("MaxMTAOps", "16 hops", &["is not a decimal number, so it counts as 16: \"16 hops\""]);
        check("ReceivedHdrType", "7", &["is not a number from 0 to 4: \"7\""]);
        check("MaxMessageSize", "-1", &["is not a number of kB, at least 0: \"-1\""]);
        check("SmtpMsgIPBan", "Go away", &["does not begin with a reply code such as 554: \"Go away\""]);
        check("DefaultSmtpPerms", "MRx", &["\"x\" counts for nothing: accepted are M, R, V, T, Z, S"]);
        check("SmtpConfig-192.0.2.1,25", "MailAuth,WantTLS=1", &[]);
        check(
            "SmtpConfig",
            "mailauth",
            &["\"mailauth\" counts for nothing: accepted are MailAuth, mail-auth, WantTLS"],
        );
        check(
            "SmtpNoTLSAuths",
            "cram-md5,digest",
            &["\"digest\" counts for nothing: accepted are LOGIN, PLAIN, CRAM-MD5"],
        );
        check("CustMapsList", "bl.test.:1,b2.test.", &[]);
        check("CustMapsList", "bl.test.:x", &["is not a decimal number, so it counts as 0: \"x\""]);
        check("SmartDNSHost", "192.0.2.1:udp,x", &["\"x\" is not one of: server:udp, server:tcp"]);
        check("SMTP-Listen", "-", &[]);
        check("SMTP-Listen", "0.0.0.0,[::]:26", &[]);
        check("SMTP-Listen", "everywhere", &["is not an IP address: \"everywhere\""]);
        check("PasswordScheme", "ARGON2ID", &[]);
        check("PasswordScheme", "argon2", &["\"argon2\" is not one of: xmail, argon2id"]);
        check("NotifyTryPattern", "1,4, 9", &[]);
        check("NotifyTryPattern", "1;4", &["\"1;4\" counts for nothing: accepted are numbers of attempts"]);
        check(
            "MailBoxPath",
            "/mail",
            &[
                "has no effect: mail stays below `domains`, where XMail finds it; mail below that directory must be moved back",
            ],
        );
    }
}
