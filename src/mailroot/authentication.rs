//! Accounts beside `mailusers.tab` and programs that check log-ins: `smtpauth.tab`, `smtpextauth.tab`,
//! `ctrlaccounts.tab`, `userauth/pop3/*.tab`, `userauth/smtp/*.tab` (`mailroot.md` 12).
//!
//! Only the rows are here; checking a password is for `auth`, running a program for `exec`.

use std::fmt;
use std::path::Path;

use bstr::BString;

use super::accounts::is_plain_name;
use super::problem::{ProblemKind, Problems};
use super::schema::tables::authentication::{
    CTRLACCOUNTS, SMTPAUTH, SMTPEXTAUTH, USERAUTH_POP3, USERAUTH_SMTP,
};
use super::snapshot::{Loaded, Snapshot};
use super::table::{Row, RowSpec, Table};

/// How many mechanisms of `smtpextauth.tab` are offered (`mailroot.md` 12.3).
pub const MECHANISMS_MAX: usize = 16;

/// What an authenticated SMTP client may do (`mailroot.md` 12.1): the letters of `SmtpPerms`, `DefaultSmtpPerms` and
/// `smtpauth.tab`. Having any value of this type, even an empty one, lifts marks and delays by address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmtpPerms {
    /// `M`: send where `MailAuth` demands authentication.
    pub mail: bool,
    /// `R`: relay.
    pub relay: bool,
    /// `V`: VRFY.
    pub vrfy: bool,
    /// `T`: ETRN.
    pub etrn: bool,
    /// `Z`: no message size limit.
    pub any_size: bool,
    /// `S`: exempt from `WantTLS`.
    pub without_tls: bool,
}

impl SmtpPerms {
    /// Reads the letters, upper case only; other bytes are ignored.
    ///
    /// ```
    /// use tabmail::mailroot::authentication::SmtpPerms;
    /// assert_eq!(SmtpPerms::parse(b"ZRm").to_string(), "RZ");
    /// ```
    pub fn parse(letters: &[u8]) -> Self {
        let has = |letter| letters.contains(&letter);
        Self {
            mail: has(b'M'),
            relay: has(b'R'),
            vrfy: has(b'V'),
            etrn: has(b'T'),
            any_size: has(b'Z'),
            without_tls: has(b'S'),
        }
    }
}

impl fmt::Display for SmtpPerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [
            (self.mail, "M"),
            (self.relay, "R"),
            (self.vrfy, "V"),
            (self.etrn, "T"),
            (self.any_size, "Z"),
            (self.without_tls, "S"),
        ];
        letters.iter().filter(|(has, _)| *has).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// `smtpauth.tab`: users that exist for SMTP only.
#[derive(Clone, Debug, Default)]
pub struct SmtpAuth {
    rows: Vec<SmtpAuthRow>,
}

/// A row of `smtpauth.tab`.
#[derive(Clone, Debug)]
pub struct SmtpAuthRow {
    /// The line, from 1.
    pub line: u32,
    /// The user, compared byte for byte.
    pub user: BString,
    /// The password in clear, compared byte for byte.
    pub password: BString,
    /// What the user may do.
    pub perms: SmtpPerms,
}

impl SmtpAuth {
    /// All rows of `user` in file order; the first whose password fits authenticates.
    pub fn find<'a>(&'a self, user: &'a [u8]) -> impl Iterator<Item = &'a SmtpAuthRow> {
        self.rows.iter().filter(move |row| row.user == user)
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[SmtpAuthRow] {
        &self.rows
    }
}

impl Table for SmtpAuth {
    const SPEC: RowSpec = SMTPAUTH.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        SMTPAUTH.check(&row, [2], problems);
        self.rows.push(SmtpAuthRow {
            line: row.line,
            user: row.bytes(0).to_owned(),
            password: row.bytes(1).to_owned(),
            perms: SmtpPerms::parse(row.bytes(2)),
        });
    }
}

/// `smtpextauth.tab`: programs that check SMTP log-ins.
#[derive(Clone, Debug, Default)]
pub struct SmtpExtAuth {
    rows: Vec<SmtpExtAuthRow>,
}

/// A row of `smtpextauth.tab`.
#[derive(Clone, Debug)]
pub struct SmtpExtAuthRow {
    /// The line, from 1.
    pub line: u32,
    /// The mechanism as written.
    pub mechanism: Box<str>,
    /// The program, macros not expanded.
    pub program: BString,
    /// Its arguments, macros not expanded.
    pub args: Vec<BString>,
}

impl SmtpExtAuth {
    /// The mechanisms to offer, in file order, each once; empty: the internal ones are offered.
    pub fn mechanisms(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for row in &self.rows {
            if found.len() < MECHANISMS_MAX
                && !found.iter().any(|known| known.eq_ignore_ascii_case(&row.mechanism))
            {
                found.push(&row.mechanism);
            }
        }
        found
    }

    /// The first row of a mechanism, without regard to case.
    pub fn for_mechanism(&self, mechanism: &str) -> Option<&SmtpExtAuthRow> {
        self.rows.iter().find(|row| row.mechanism.eq_ignore_ascii_case(mechanism))
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[SmtpExtAuthRow] {
        &self.rows
    }
}

impl Table for SmtpExtAuth {
    const SPEC: RowSpec = SMTPEXTAUTH.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(mechanism) = row.text(0, problems) else { return };
        SMTPEXTAUTH.check(&row, [0, 1], problems);
        if let Some(first) = self.for_mechanism(&mechanism) {
            problems.note(row.line, row.column(0), ProblemKind::Duplicate { first: first.line });
        }
        self.rows.push(SmtpExtAuthRow {
            line: row.line,
            mechanism,
            program: row.bytes(1).to_owned(),
            args: row.values_from(2).map(ToOwned::to_owned).collect(),
        });
    }
}

/// `ctrlaccounts.tab`: who may log in to CTRL.
#[derive(Clone, Debug, Default)]
pub struct CtrlAccounts {
    rows: Vec<CtrlAccount>,
}

/// A row of `ctrlaccounts.tab`.
#[derive(Clone, Debug)]
pub struct CtrlAccount {
    /// The line, from 1.
    pub line: u32,
    /// The user.
    pub user: BString,
    /// The password as stored; `None` when it cannot be decoded: then nobody can log in (decision 46).
    pub password: Option<BString>,
}

impl CtrlAccounts {
    /// The first row of `user`, without regard to case; it decides.
    pub fn get(&self, user: &[u8]) -> Option<&CtrlAccount> {
        self.rows.iter().find(|row| row.user.eq_ignore_ascii_case(user))
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[CtrlAccount] {
        &self.rows
    }
}

impl Table for CtrlAccounts {
    const SPEC: RowSpec = CTRLACCOUNTS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        if let Some(first) = self.get(row.bytes(0)) {
            problems.note(row.line, row.column(0), ProblemKind::Duplicate { first: first.line });
        }
        let password = is_password_encoding(row.bytes(1)).then(|| row.bytes(1).to_owned());
        CTRLACCOUNTS.check(&row, [1], problems);
        self.rows.push(CtrlAccount { line: row.line, user: row.bytes(0).to_owned(), password });
    }
}

/// Whether a stored password can be decoded: pairs of hex digits, or a PHC string (`mailroot.md` 5, decision 18).
pub fn is_password_encoding(stored: &[u8]) -> bool {
    stored.starts_with(b"$argon2id$")
        || (stored.len().is_multiple_of(2) && stored.iter().all(u8::is_ascii_hexdigit))
}

/// `userauth/pop3/<domain>.tab`: programs for log-ins and for changes of accounts (`mailroot.md` 12.4).
#[derive(Clone, Debug, Default)]
pub struct Pop3ExtAuth {
    rows: Vec<Pop3ExtAuthRow>,
}

/// A row of `userauth/pop3/*.tab`.
#[derive(Clone, Debug)]
pub struct Pop3ExtAuthRow {
    /// The line, from 1.
    pub line: u32,
    /// `userauth`, `useradd`, `useredit`, `userdel` or `domaindrop`, in any case.
    pub action: Box<str>,
    /// The program, macros not expanded.
    pub program: BString,
    /// Its arguments, macros not expanded.
    pub args: Vec<BString>,
}

impl Pop3ExtAuth {
    /// The first row of an action, without regard to case.
    pub fn for_action(&self, action: &str) -> Option<&Pop3ExtAuthRow> {
        self.rows.iter().find(|row| row.action.eq_ignore_ascii_case(action))
    }

    /// All rows in file order.
    pub fn rows(&self) -> &[Pop3ExtAuthRow] {
        &self.rows
    }
}

impl Table for Pop3ExtAuth {
    const SPEC: RowSpec = USERAUTH_POP3.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(action) = row.text(0, problems) else { return };
        USERAUTH_POP3.check(&row, [0, 1], problems);
        self.rows.push(Pop3ExtAuthRow {
            line: row.line,
            action,
            program: row.bytes(1).to_owned(),
            args: row.values_from(2).map(ToOwned::to_owned).collect(),
        });
    }
}

/// `userauth/smtp/<host>.tab`: how to log in when we are the SMTP client. Only the first row counts.
#[derive(Clone, Debug, Default)]
pub struct SmtpClientAuth {
    first: Option<Result<ClientAuth, BadClientAuth>>,
}

/// The row of `userauth/smtp/<host>.tab` that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// The line, from 1.
    pub line: u32,
    /// The mechanism.
    pub mechanism: ClientMechanism,
    /// The user.
    pub user: BString,
    /// The password in clear.
    pub password: BString,
}

/// A mechanism we can use as a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMechanism {
    /// `PLAIN` (RFC 4616).
    Plain,
    /// `LOGIN`.
    Login,
    /// `CRAM-MD5` (RFC 2195).
    CramMd5,
}

impl ClientMechanism {
    /// The mechanism of this name, without regard to case.
    pub fn parse(name: &[u8]) -> Option<Self> {
        [Self::Plain, Self::Login, Self::CramMd5]
            .into_iter()
            .find(|known| name.eq_ignore_ascii_case(known.name().as_bytes()))
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
        }
    }
}

/// The first row does not say how to log in: delivery to this host fails (`mailroot.md` 6, note b).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} does not say how to log in (mechanism, user, password)")]
pub struct BadClientAuth {
    /// The line, from 1.
    pub line: u32,
}

impl SmtpClientAuth {
    /// How to log in; `None`: without authentication.
    ///
    /// # Errors
    /// The first row has fewer than three columns or an unknown mechanism.
    pub fn credentials(&self) -> Result<Option<&ClientAuth>, BadClientAuth> {
        match &self.first {
            None => Ok(None),
            Some(Ok(row)) => Ok(Some(row)),
            Some(Err(bad)) => Err(*bad),
        }
    }
}

impl Table for SmtpClientAuth {
    const SPEC: RowSpec = USERAUTH_SMTP.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        if self.first.is_some() {
            problems.note(row.line, 0, ProblemKind::TooMany { limit: 1 });
            return;
        }
        let bad = BadClientAuth { line: row.line };
        let (found, needed) = (row.fields.len(), USERAUTH_SMTP.columns.len());
        if found < needed {
            problems.note(row.line, 0, ProblemKind::TooFewColumns { needed, found });
            self.first = Some(Err(bad));
            return;
        }
        let mechanism = ClientMechanism::parse(row.bytes(0));
        USERAUTH_SMTP.check(&row, [0], problems);
        self.first = Some(mechanism.ok_or(bad).map(|mechanism| ClientAuth {
            line: row.line,
            mechanism,
            user: row.bytes(1).to_owned(),
            password: row.bytes(2).to_owned(),
        }));
    }
}

impl Snapshot {
    /// The credentials for an SMTP server: `userauth/smtp/a.b.c.tab`, `b.c.tab`, `c.tab`, the first file that exists
    /// (`mailroot.md` 12.5). The final dot of names from MX records is ignored (`mailflow.md` 19). Each name is tried
    /// as given and then in lower case.
    pub fn smtp_client_auth(&self, host: &str) -> Option<Loaded<SmtpClientAuth>> {
        let host = host.strip_suffix('.').unwrap_or(host);
        // An address has no parent domains: 192.0.2.1 must not be given what 2.1.tab holds.
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        let parents = host.match_indices('.').map(|(dot, _)| &host[dot + 1..]);
        std::iter::once(host)
            .chain(parents.take(if is_address { 0 } else { usize::MAX }))
            .filter(|name| !name.is_empty())
            .flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()])
            .find_map(|name| self.existing_in("userauth/smtp", &format!("{name}.tab")))
    }

    /// The programs for a domain: `userauth/pop3/<domain>.tab`, as typed by the client, else `userauth/pop3/.tab`.
    pub fn pop3_ext_auth(&self, domain: &str) -> Option<Loaded<Pop3ExtAuth>> {
        [domain, ""].iter().find_map(|name| self.existing_in("userauth/pop3", &format!("{name}.tab")))
    }

    /// The table `directory/file` if `file` is a plain name and exists.
    pub(super) fn existing_in<T: Table>(&self, directory: &str, file: &str) -> Option<Loaded<T>> {
        is_plain_name(file).then(|| self.file(&Path::new(directory).join(file))).filter(Loaded::exists)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::made;
    use crate::mailroot::table::load_text;

    #[test]
    fn users_of_smtpauth_are_found_exactly_and_in_order() {
        let (table, problems) = load_text::<SmtpAuth>(
            "smtpauth.tab",
            "\"relayhost\"\t\"s3cret\"\t\"MRZ\"\n\"relayhost\"\t\"other\"\t\"Mr\"\n\"x\"\t\"y\"\n",
        );
        let found: Vec<_> = table.find(b"relayhost").map(|row| row.password.to_string()).collect();
        assert_eq!(found, ["s3cret", "other"]);
        assert_eq!(table.find(b"RELAYHOST").count(), 0);
        assert_eq!(table.rows()[0].perms.to_string(), "MRZ");
        assert_eq!(table.rows()[1].perms, SmtpPerms { mail: true, ..SmtpPerms::default() });
        assert_eq!(
            problems,
            [
                "smtpauth.tab:2:21: \"r\" counts for nothing: accepted are M, R, V, T, Z, S",
                "smtpauth.tab:3: needs 3 columns, has 2; the row is ignored"
            ]
        );
    }

    #[test]
    fn programs_for_mechanisms_are_found_without_case() {
        let (table, problems) = load_text::<SmtpExtAuth>(
            "smtpextauth.tab",
            "\"PLAIN\"\t\"/opt/mail/authcheck\"\t\"-u\"\t\"@@USER\"\n\"Login\"\t\"/l\"\n\"plain\"\t\"/p\"\nX\t/x\n",
        );
        assert_eq!(table.mechanisms(), ["PLAIN", "Login", "X"]);
        let row = table.for_mechanism("plain").unwrap();
        assert_eq!(
            (row.program.as_slice(), &row.args[..]),
            (&b"/opt/mail/authcheck"[..], &["-u".into(), "@@USER".into()][..])
        );
        assert!(table.for_mechanism("CRAM-MD5").is_none());
        assert_eq!(
            problems,
            [
                "smtpextauth.tab:3:1: has the same key as line 1, which wins",
                "smtpextauth.tab:4:1: \"X\" is not one of: LOGIN, PLAIN, CRAM-MD5",
            ]
        );
        let many: String = (0..20).map(|n| format!("M{n}\t/p\n")).collect();
        assert_eq!(load_text::<SmtpExtAuth>("x.tab", &many).0.mechanisms().len(), MECHANISMS_MAX);
    }

    /// Decision 46: comments and odd-length passwords are no way in.
    #[test]
    fn the_first_row_of_a_ctrl_user_decides() {
        let (table, problems) = load_text::<CtrlAccounts>(
            "ctrlaccounts.tab",
            "# \"ghost\"\t\"1d\"\n\"operator\"\t\"160006170011\"\n\"Operator\"\t\"1d\"\n\"odd\"\t\"1d0\"\n\"no\"\t\"zz\"\n",
        );
        assert_eq!(table.get(b"OPERATOR").unwrap().password.as_ref().unwrap(), "160006170011");
        assert!(table.get(b"# \"ghost\"").is_none());
        assert_eq!(table.get(b"odd").unwrap().password, None);
        let bad =
            "is not a password encoding (pairs of hex digits, or $argon2id$...); nobody can log in with it";
        assert_eq!(
            problems,
            [
                "ctrlaccounts.tab:3:1: has the same key as line 2, which wins".to_owned(),
                format!("ctrlaccounts.tab:4:7: {bad}"),
                format!("ctrlaccounts.tab:5:6: {bad}"),
            ]
        );
    }

    #[test]
    fn only_the_first_row_of_client_credentials_counts() {
        let credentials = |text| {
            let (table, problems) = load_text::<SmtpClientAuth>("userauth/smtp/a.tab", text);
            let credentials = table.credentials().map(|row| row.cloned());
            (credentials, problems)
        };
        let (row, problems) = credentials("# c\n\"cram-md5\"\t\"u\"\t\"p\"\n\"PLAIN\"\t\"u\"\t\"p\"\n");
        let expected = ClientAuth {
            line: 2,
            mechanism: ClientMechanism::CramMd5,
            user: "u".into(),
            password: "p".into(),
        };
        assert_eq!(row, Ok(Some(expected)));
        assert_eq!(problems, ["userauth/smtp/a.tab:3: comes after the 1 that count; it is ignored"]);
        let (row, problems) = credentials("\"PLAIN\"\t\"u\"\n");
        assert_eq!(row, Err(BadClientAuth { line: 1 }));
        assert_eq!(problems, ["userauth/smtp/a.tab:1: needs 3 columns, has 2; the row is ignored"]);
        let (row, problems) = credentials("\"NTLM\"\t\"u\"\t\"p\"\n");
        assert_eq!(row, Err(BadClientAuth { line: 1 }));
        assert_eq!(problems, ["userauth/smtp/a.tab:1:1: \"NTLM\" is not one of: LOGIN, PLAIN, CRAM-MD5"]);
        assert_eq!(credentials("\n").0, Ok(None));
    }

    #[test]
    fn client_credentials_are_searched_up_the_domain() {
        let (_directory, snapshot) = made::snapshot(&[
            ("userauth/smtp/mx.a.test.tab", "PLAIN\tmx\tp\n"),
            ("userauth/smtp/a.test.tab", "PLAIN\ta\tp\n"),
            ("userauth/smtp/2.1.tab", "PLAIN\tno\tp\n"),
            ("userauth/evil.tab", "PLAIN\tno\tp\n"),
        ]);
        let user = |host: &str| {
            let table = snapshot.smtp_client_auth(host)?;
            table.credentials().unwrap().map(|row| row.user.to_string())
        };
        assert_eq!(user("mx.a.test").as_deref(), Some("mx"));
        assert_eq!(user("MX.a.test.").as_deref(), Some("mx"));
        assert_eq!(user("mx2.A.test").as_deref(), Some("a"));
        assert_eq!(user("b.test"), None);
        assert_eq!(user("192.0.2.1"), None);
        assert_eq!(user("../evil"), None);
        assert_eq!(user(""), None);
    }

    #[test]
    fn programs_for_pop3_are_those_of_the_domain_or_of_all() {
        let (_directory, snapshot) = made::snapshot(&[
            ("userauth/pop3/a.test.tab", "\"UserAuth\"\t\"/bin/check\"\t\"@@USER\"\n"),
            ("userauth/pop3/.tab", "userauth\t/bin/all\nlogin\t/bin/x\n"),
        ]);
        let program = |domain: &str| {
            let table = snapshot.pop3_ext_auth(domain)?;
            table.for_action("userauth").map(|row| row.program.to_string())
        };
        assert_eq!(program("a.test").as_deref(), Some("/bin/check"));
        assert_eq!(program("b.test").as_deref(), Some("/bin/all"));
        assert_eq!(program("../pop3/a.test").as_deref(), Some("/bin/all"));
        let problems: Vec<_> =
            snapshot.pop3_ext_auth("b.test").unwrap().problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "userauth/pop3/.tab:2:1: \"login\" is not one of: userauth, useradd, useredit, userdel, domaindrop"
            ]
        );
    }
}
