//! Accounts from a text, one a line, as JDMail's bulk import takes them (`jdmail.md` JD-44).
//!
//! ```text
//! user SEP [domain] [SEP [password] [SEP [name] [SEP phone]]]
//! SEP    = TAB / "," / "/" / ";" / ":"      ; the first of them in a line is the one of the whole line
//! ```
//!
//! A field may stand in quotes, with `""` for a quote in it. Without a domain the default one is meant, but its separator
//! stays; `user@domain` in the first field names it as well. An account without a password gets the one that
//! new accounts share ([`Admin::default_password`](super::Admin::default_password)), else a random one of
//! [`RANDOM_PASSWORD_CHARS`](super::RANDOM_PASSWORD_CHARS) characters. Blank lines and lines that begin with `#` are skipped.
//!
//! Pure: what the tables say is asked through [`Known`].

use std::collections::HashMap;

use super::PasswordFault;
use crate::address::is_rfc822_name;

/// Columns of a line.
const COLUMNS_MAX: usize = 5;

const SEPARATORS: [char; 5] = ['\t', ',', '/', ';', ':'];

/// What stands in a line that can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRow {
    /// The line, from 1.
    pub line: usize,
    /// The account's name.
    pub name: String,
    /// Its domain.
    pub domain: String,
    /// The password; empty: the shared one, or a random one.
    pub password: String,
    /// The real name; may be empty.
    pub real_name: String,
    /// The telephone number; may be empty.
    pub phone: String,
}

/// Why a line is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportFault {
    /// A quote is not closed, or text stands behind a closing one.
    Quote,
    /// More columns than there are.
    TooManyColumns {
        /// How many.
        found: usize,
    },
    /// No name, or one that cannot be.
    BadName {
        /// It.
        name: String,
    },
    /// The domain is not here, or not the administrator's.
    BadDomain {
        /// It.
        domain: String,
    },
    /// The account exists.
    Exists,
    /// An alias has the name.
    Alias,
    /// An earlier line has the same account.
    Twice {
        /// That line.
        first: usize,
    },
    /// Its owner could not log in with the password.
    Password(PasswordFault),
}

/// A line that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultyLine {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: ImportFault,
}

/// A text read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// The lines that can be taken.
    pub rows: Vec<ImportRow>,
    /// The others, but for blank ones and comments.
    pub faults: Vec<FaultyLine>,
}

/// What there is already.
pub trait Known {
    /// Whether accounts may be added to the domain.
    fn takes_domain(&self, domain: &str) -> bool;

    /// The least characters of a password.
    fn password_chars_min(&self) -> usize;

    /// What stands in the way of a new account in a domain that is taken.
    fn obstacle(&self, domain: &str, name: &str) -> Option<ImportFault>;
}

/// Reads a text.
pub fn read(text: &str, default_domain: &str, known: &impl Known) -> Import {
    let mut import = Import::default();
    let mut first: HashMap<(String, String), usize> = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let number = index + 1;
        let read = read_line(number, line, default_domain).and_then(|row| {
            judge(&row, known)?;
            let key = (row.domain.to_ascii_lowercase(), row.name.to_ascii_lowercase());
            match *first.entry(key).or_insert(number) {
                line if line == number => Ok(row),
                line => Err(ImportFault::Twice { first: line }),
            }
        });
        match read {
            Ok(row) => import.rows.push(row),
            Err(fault) => import.faults.push(FaultyLine { line: number, fault }),
        }
    }
    import
}

fn read_line(number: usize, line: &str, default_domain: &str) -> Result<ImportRow, ImportFault> {
    let mut columns = split(line)?;
    let found = columns.len();
    if found > COLUMNS_MAX {
        return Err(ImportFault::TooManyColumns { found });
    }
    columns.resize(COLUMNS_MAX, String::new());
    let [name, domain, password, real_name, phone] =
        <[String; COLUMNS_MAX]>::try_from(columns).unwrap_or_default();
    let (name, own_domain) = match name.split_once('@') {
        Some((name, own)) => (name.to_owned(), own.to_owned()),
        None => (name, String::new()),
    };
    let domain = [domain, own_domain].into_iter().find(|domain| !domain.is_empty());
    let domain = domain.unwrap_or_else(|| default_domain.to_owned());
    Ok(ImportRow { line: number, name, domain, password, real_name, phone })
}

fn judge(row: &ImportRow, known: &impl Known) -> Result<(), ImportFault> {
    if !is_rfc822_name(row.name.as_bytes()) || !super::is_directory_name(&row.name) {
        return Err(ImportFault::BadName { name: row.name.clone() });
    }
    if !known.takes_domain(&row.domain) {
        return Err(ImportFault::BadDomain { domain: row.domain.clone() });
    }
    let is_given = !row.password.is_empty();
    let fault = is_given.then(|| PasswordFault::of(&row.password, known.password_chars_min())).flatten();
    if let Some(fault) = fault {
        return Err(ImportFault::Password(fault));
    }
    known.obstacle(&row.domain, &row.name).map_or(Ok(()), Err)
}

/// The columns of a line, without quotes and the blanks around them.
fn split(line: &str) -> Result<Vec<String>, ImportFault> {
    let mut columns = Vec::new();
    let mut separator = None;
    let mut rest = line;
    loop {
        let (column, behind) = match rest.trim_start_matches(' ').strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let is_end = |found: char| separator.map_or(SEPARATORS.contains(&found), |one| one == found);
                let end = rest.find(is_end).unwrap_or(rest.len());
                (rest[..end].trim_matches(' ').to_owned(), &rest[end..])
            }
        };
        columns.push(column);
        let Some(next) = behind.chars().next() else { return Ok(columns) };
        if !separator.map_or(SEPARATORS.contains(&next), |one| one == next) {
            return Err(ImportFault::Quote);
        }
        separator = Some(next);
        rest = &behind[next.len_utf8()..];
    }
}

/// A quoted text, from behind its first quote, and what follows.
fn unquote(text: &str) -> Result<(String, &str), ImportFault> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"').ok_or(ImportFault::Quote)?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None => return Ok((value, rest.trim_start_matches(' '))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;

    impl Known for Two {
        fn takes_domain(&self, domain: &str) -> bool {
            ["a.test", "b.test"].contains(&domain)
        }

        fn password_chars_min(&self) -> usize {
            2
        }

        fn obstacle(&self, _domain: &str, name: &str) -> Option<ImportFault> {
            (name == "old").then_some(ImportFault::Exists)
        }
    }

    fn row(line: usize, texts: [&str; 5]) -> ImportRow {
        let [name, domain, password, real_name, phone] = texts.map(str::to_owned);
        ImportRow { line, name, domain, password, real_name, phone }
    }

    #[track_caller]
    fn check(line: &str, expected: [&str; 5]) {
        let found = read(line, "a.test", &Two);
        assert_eq!((found.faults, found.rows), (vec![], vec![row(1, expected)]), "{line}");
    }

    #[track_caller]
    fn refuse(line: &str, fault: ImportFault) {
        let found = read(line, "a.test", &Two);
        assert_eq!(found, Import { rows: vec![], faults: vec![FaultyLine { line: 1, fault }] }, "{line}");
    }

    /// JD-44.
    #[test]
    fn every_separator_and_quotes() {
        for separator in SEPARATORS {
            let line = ["anna", "b.test", "pw", "Anna K.", "123"].join(&separator.to_string());
            check(&line, ["anna", "b.test", "pw", "Anna K.", "123"]);
        }
        check("anna", ["anna", "a.test", "", "", ""]);
        check("anna,,secret,\"K., Anna\",1", ["anna", "a.test", "secret", "K., Anna", "1"]);
        check("anna,,pa:ss/wo;rd,李 娜", ["anna", "a.test", "pa:ss/wo;rd", "李 娜", ""]);
        check("anna\t\t\t\"say \"\"hi\"\"\" \t", ["anna", "a.test", "", "say \"hi\"", ""]);
        check(" anna , b.test ,pw", ["anna", "b.test", "pw", "", ""]);
        check("anna@b.test,,pw", ["anna", "b.test", "pw", "", ""]);
        check("\"anna\";;\"p;w\"", ["anna", "a.test", "p;w", "", ""]);
    }

    #[test]
    fn faults_are_named_by_line() {
        refuse("anna,,\"pw", ImportFault::Quote);
        refuse("anna,,\"p\"w", ImportFault::Quote);
        refuse("a,b,c,d,e,f", ImportFault::TooManyColumns { found: 6 });
        refuse(",a.test,pw", ImportFault::BadName { name: String::new() });
        refuse("an na,,pw", ImportFault::BadName { name: "an na".into() });
        refuse("..,,pw", ImportFault::BadName { name: "..".into() });
        refuse("anna,c.test,pw", ImportFault::BadDomain { domain: "c.test".into() });
        refuse("old,,pw", ImportFault::Exists);
        for (password, fault) in [
            ("x".repeat(256), PasswordFault::TooLong { limit: 255 }),
            ("pass word".into(), PasswordFault::Blank),
            ("密码".into(), PasswordFault::NotAscii { character: '密' }),
            ("x".into(), PasswordFault::TooShort { needed: 2 }),
        ] {
            refuse(&format!("anna,,{password}"), ImportFault::Password(fault));
        }
        let found = read("# all\r\n\r\nanna,,aa\r\nbad name,,bb\r\nANNA,,cc\r\nbert,,dd", "a.test", &Two);
        let lines: Vec<usize> = found.rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [3, 6]);
        assert_eq!(found.faults[1], FaultyLine { line: 5, fault: ImportFault::Twice { first: 3 } });
        assert_eq!(found.faults[0].line, 4);
    }
}
