//! `tabmail mkusers`, XMail's `MkUsers`: accounts in bulk for a new MailRoot, before the server runs (`mailroot.md` 18.6;
//! golden `mkusers_*`).
//!
//! ```text
//! domain;user;password;real name;home page     no column empty; # first = a comment
//! ```
//!
//! Writes `domains/<domain>/<user>/` with the mailbox and `user.tab`, then `mailusers.tab`, at once and as the last: so
//! a run that failed in the middle can be repeated. `domains.tab` is not touched, as in XMail.
//!
//! Limits: lines of [`LINE_BYTES_MAX`] bytes. A line that makes no account is said ([`Skipped`]) and the others count;
//! XMail says nothing (decision 203). Directories of domains are in lower case, where the server looks (decision 204).

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use bstr::{BStr, ByteSlice};

use crate::address::{Domain, is_rfc822_name};
use crate::auth::{PASSWORD_BYTES_MAX, xmail_encode};
use crate::durable::Disk;
use crate::mailbox::{Kind, MailboxError, Mailboxes};
use crate::mailroot::accounts::is_plain_name;
use crate::mailroot::schema::user::{HOME_PAGE, MAX_MB_SIZE, REAL_NAME};
use crate::mailroot::{Account, AccountKind, MailRoot};
use crate::tab::{Record, TabFile, Unrepresentable};

/// Bytes of an input line without its line end; XMail's buffer.
pub const LINE_BYTES_MAX: usize = 1022;

/// How the options are used; `{program}` is what the program was called.
const USAGE: &str = "\
use :  {program}  [-adufrsimh]  ...
options :
       -a numusers      = create numusers accounts by itself, password = name
       -d domain        = set their domain [mkuser.net]
       -u username      = set their name's radix [mkuser]
       -f filename      = set the input file [stdin]: domain;user;password;real name;home page
       -r rootdir       = set the mail root directory [./]
       -s mboxsize      = set the mailbox size limit in kB [10000]
       -i useridbase    = set the first user id [1]
       -m               = create Maildir mailboxes
       -h               = show this
";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    automatic: u64,
    domain: String,
    radix: String,
    input: Option<PathBuf>,
    root: PathBuf,
    mailbox_kilobytes: u64,
    first_id: u64,
    kind: Kind,
}

/// A line that made no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}; skipped")]
pub struct Skipped {
    /// The line, from 1.
    pub line: usize,
    /// Why.
    pub reason: Reason,
}

/// Why a line made no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Too few columns, or an empty one.
    #[error("not five columns (domain;user;password;real name;home page), none of them empty")]
    Columns,
    /// More than [`LINE_BYTES_MAX`] bytes.
    #[error("longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// The first column is no domain.
    #[error("not a domain name: {0:?}")]
    Domain(String),
    /// The second column is no name for an account and its directory.
    #[error("not an account name: {0:?}")]
    Name(String),
    /// More than [`PASSWORD_BYTES_MAX`] bytes.
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    Password,
    /// The account was there before.
    #[error("{0} is there already")]
    Twice(String),
    /// A value that a table cannot hold.
    #[error(transparent)]
    Value(#[from] Unrepresentable),
}

/// Why there are no accounts.
#[derive(Debug, thiserror::Error)]
pub enum MkUsersError {
    /// `-h`, or a command line that cannot be used.
    #[error("{text}")]
    Usage {
        /// The usage.
        text: String,
        /// It was asked for.
        is_asked: bool,
    },
    /// The MailRoot has accounts.
    #[error("{}: exists already; MkUsers only makes the accounts of a new MailRoot", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A mailbox cannot be made.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// A value of the command line that a table cannot hold.
    #[error(transparent)]
    Value(#[from] Unrepresentable),
}

impl MkUsersError {
    /// XMail's exit code.
    pub fn exit_code(&self) -> u8 {
        u8::from(!matches!(self, Self::Usage { is_asked: true, .. }))
    }
}

/// Makes the accounts and says which lines made none. `input` is read unless `-f` or `-a` is given.
///
/// # Errors
/// [`MkUsersError`]; directories made so far stay.
pub fn run(program: &str, words: &[String], input: impl Read) -> Result<Vec<Skipped>, MkUsersError> {
    let options = Options::parse(words)
        .map_err(|is_asked| MkUsersError::Usage { text: USAGE.replace("{program}", program), is_asked })?;
    let table = options.root.join("mailusers.tab");
    if table.symlink_metadata().is_ok() {
        return Err(MkUsersError::Exists(table));
    }
    let (users, skipped) = match options.automatic {
        0 => read_users(&options.read(input)?),
        _ => (options.automatic_users(), Vec::new()),
    };
    options.make(&users)?;
    Ok(skipped)
}

/// An account to make.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NewUser {
    domain: String,
    name: String,
    password: Vec<u8>,
    real_name: Vec<u8>,
    home_page: Vec<u8>,
}

impl Options {
    /// Reads the words after the program's name; an error says whether the usage was asked for.
    fn parse(words: &[String]) -> Result<Self, bool> {
        let mut options = Self {
            automatic: 0,
            domain: "mkuser.net".into(),
            radix: "mkuser".into(),
            input: None,
            root: "./".into(),
            mailbox_kilobytes: 10_000,
            first_id: 1,
            kind: Kind::Mailbox,
        };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let mut value = || rest.next().ok_or(false);
            let number = |text: &String| text.parse().map_err(|_| false);
            match word.as_str() {
                "-a" => options.automatic = number(value()?)?,
                "-d" => options.domain.clone_from(value()?),
                "-u" => options.radix.clone_from(value()?),
                "-f" => options.input = Some(value()?.into()),
                "-r" => options.root = value()?.into(),
                "-s" => options.mailbox_kilobytes = number(value()?)?,
                "-i" => options.first_id = number(value()?)?,
                "-m" => options.kind = Kind::Maildir,
                "-h" => return Err(true),
                _ => return Err(false),
            }
        }
        let first = format!("{}1", options.radix);
        match check_names(options.domain.as_bytes(), first.as_bytes()) {
            Ok(_) => Ok(options),
            Err(_) => Err(false),
        }
    }

    fn read(&self, mut input: impl Read) -> Result<Vec<u8>, MkUsersError> {
        let mut bytes = Vec::new();
        let read = match &self.input {
            Some(path) => File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
            None => input.read_to_end(&mut bytes),
        };
        let path = || self.input.clone().unwrap_or_else(|| "-".into());
        read.map_err(|source| MkUsersError::File { path: path(), source })?;
        Ok(bytes)
    }

    fn automatic_users(&self) -> Vec<NewUser> {
        let user = |number: u64| {
            let name = format!("{}{number}", self.radix);
            NewUser {
                domain: self.domain.clone(),
                password: name.clone().into(),
                real_name: name.clone().into(),
                home_page: format!("http://www.{}/~{name}", self.domain).into(),
                name,
            }
        };
        (1..=self.automatic).map(user).collect()
    }

    fn make(&self, users: &[NewUser]) -> Result<(), MkUsersError> {
        let disk = Disk::default();
        let mailboxes = Mailboxes::new(MailRoot::new(&self.root), self.kind, disk.clone());
        let mut table = TabFile::default();
        for (user, id) in users.iter().zip(self.first_id..) {
            let account = user.account(id);
            table.push(&user.row(&account)?);
            let directory = self.root.join(MailRoot::account_directory(&account));
            let failed = |path: &PathBuf| {
                let path = path.clone();
                |source| MkUsersError::File { path, source }
            };
            disk.create_dir_all(&directory).map_err(failed(&directory))?;
            mailboxes.create(&account)?;
            let profile = self.root.join(MailRoot::user_tab(&account));
            if profile.symlink_metadata().is_err() {
                let bytes = user.profile(self.mailbox_kilobytes)?.to_bytes();
                disk.replace(&profile, &bytes).map_err(failed(&profile))?;
            }
        }
        disk.create_dir_all(&self.root)
            .map_err(|source| MkUsersError::File { path: self.root.clone(), source })?;
        let path = self.root.join("mailusers.tab");
        disk.replace(&path, &table.to_bytes()).map_err(|source| MkUsersError::File { path, source })
    }
}

impl NewUser {
    fn parse(line: &[u8]) -> Result<Self, Reason> {
        if line.len() > LINE_BYTES_MAX {
            return Err(Reason::TooLong);
        }
        let mut columns = line.split(|&byte| byte == b';').map(<[u8]>::to_vec);
        let mut column = || columns.next().filter(|column| !column.is_empty()).ok_or(Reason::Columns);
        let [domain, name, password] = [column()?, column()?, column()?];
        let [real_name, home_page] = [column()?, column()?];
        let (domain, name) = check_names(&domain, &name)?;
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(Reason::Password);
        }
        let user = Self { domain, name, password, real_name, home_page };
        // What cannot be written must not stop the others.
        user.row(&user.account(0))?;
        user.profile(0)?;
        Ok(user)
    }

    fn account(&self, id: u64) -> Account {
        Account {
            line: 0,
            domain: self.domain.as_str().into(),
            name: self.name.as_str().into(),
            password: xmail_encode(&self.password).into(),
            id,
            directory: self.name.as_str().into(),
            kind: AccountKind::User,
            kind_text: "U".into(),
        }
    }

    /// The row of `mailusers.tab`; `MkUsers` quotes the id too.
    fn row(&self, account: &Account) -> Result<Record, Unrepresentable> {
        let id = account.id.to_string();
        let (domain, name) = (account.domain.as_bytes(), account.name.as_bytes());
        Record::quoted(&[domain, name, &account.password, id.as_bytes(), name, b"U"])
    }

    fn profile(&self, mailbox_kilobytes: u64) -> Result<TabFile, Unrepresentable> {
        let mut profile = TabFile::default();
        let size = mailbox_kilobytes.to_string();
        for (name, value) in [
            (REAL_NAME.name, &*self.real_name),
            (HOME_PAGE.name, &*self.home_page),
            (MAX_MB_SIZE.name, size.as_bytes()),
        ] {
            profile.push(&Record::quoted(&[name.as_bytes(), value])?);
        }
        Ok(profile)
    }
}

/// Both become directories.
fn check_names(domain: &[u8], name: &[u8]) -> Result<(String, String), Reason> {
    let parsed = Domain::parse(domain).ok();
    let is_directory = |text: &&str| is_plain_name(text) && !text.starts_with('.') && !text.contains('\\');
    let domain = parsed
        .as_ref()
        .filter(|domain| !domain.is_literal())
        .map(Domain::as_str)
        .filter(is_directory)
        .ok_or_else(|| Reason::Domain(BStr::new(domain).to_string()))?;
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|text| is_rfc822_name(text.as_bytes()))
        .filter(is_directory)
        .ok_or_else(|| Reason::Name(BStr::new(name).to_string()))?;
    Ok((domain.to_owned(), name.to_owned()))
}

fn read_users(input: &[u8]) -> (Vec<NewUser>, Vec<Skipped>) {
    let (mut users, mut skipped) = (Vec::new(), Vec::new());
    let mut known = HashSet::new();
    for (index, line) in input.lines().enumerate() {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let user = NewUser::parse(line).and_then(|user| {
            let address = format!("{}@{}", user.name, user.domain);
            if known.insert(address.to_ascii_lowercase()) { Ok(user) } else { Err(Reason::Twice(address)) }
        });
        match user {
            Ok(user) => users.push(user),
            Err(reason) => skipped.push(Skipped { line: index + 1, reason }),
        }
    }
    (users, skipped)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn mk_users(root: &Path, args: &str, input: &str) -> Result<Vec<Skipped>, MkUsersError> {
        let mut words = vec!["-r".to_owned(), root.to_str().unwrap().to_owned()];
        words.extend(args.split_whitespace().map(str::to_owned));
        run("MkUsers", &words, input.as_bytes())
    }

    fn check(
        args: &str,
        input: &str,
        table: &str,
        profile: (&str, &str),
        directories: &[&str],
    ) -> Vec<Skipped> {
        let dir = tempfile::tempdir().unwrap();
        let skipped = mk_users(dir.path(), args, input).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("mailusers.tab"), table);
        assert_eq!(read(&format!("domains/{}/user.tab", profile.0)), profile.1);
        for name in directories {
            assert!(dir.path().join("domains").join(name).is_dir(), "{name}");
        }
        skipped
    }

    const ALICE: &str = "example.test;alice;alicepw;Alice A;http://a.test\n";

    #[test]
    fn golden_mkusers_file() {
        let input = format!("{ALICE}# comment\nexample.test;bob;bobpw;Bob;\nsecond.test;carol;pw;;\n");
        let skipped = check(
            "",
            &input,
            "\"example.test\"\t\"alice\"\t\"04090c06001512\"\t\"1\"\t\"alice\"\t\"U\"\n",
            (
                "example.test/alice",
                "\"RealName\"\t\"Alice A\"\n\"HomePage\"\t\"http://a.test\"\n\"MaxMBSize\"\t\"10000\"\n",
            ),
            &["example.test/alice/mailbox"],
        );
        let reason = Reason::Columns;
        assert_eq!(skipped, [3, 4].map(|line| Skipped { line, reason: reason.clone() }));
    }

    #[test]
    fn golden_mkusers_maildir() {
        let table = "\"example.test\"\t\"alice\"\t\"04090c06001512\"\t\"7\"\t\"alice\"\t\"U\"\n";
        let profile = "\"RealName\"\t\"Alice A\"\n\"HomePage\"\t\"http://a.test\"\n\"MaxMBSize\"\t\"5000\"\n";
        let maildir = ["cur", "new", "tmp"].map(|name| format!("example.test/alice/Maildir/{name}"));
        let maildir: Vec<&str> = maildir.iter().map(String::as_str).collect();
        // XMail cuts the last byte off even where it is no line end.
        for input in [ALICE, ALICE.trim_end(), &ALICE.replace('\n', "\r\n")] {
            let skipped = check("-m -s 5000 -i 7", input, table, ("example.test/alice", profile), &maildir);
            assert_eq!(skipped, []);
        }
    }

    #[test]
    fn golden_mkusers_auto() {
        let row = |number: u32, password: &str| {
            format!("\"auto.test\"\t\"usr{number}\"\t\"{password}\"\t\"{number}\"\t\"usr{number}\"\t\"U\"\n")
        };
        check(
            "-a 3 -d auto.test -u usr",
            "",
            &[row(1, "10161754"), row(2, "10161757"), row(3, "10161756")].concat(),
            (
                "auto.test/usr2",
                "\"RealName\"\t\"usr2\"\n\"HomePage\"\t\"http://www.auto.test/~usr2\"\n\"MaxMBSize\"\t\"10000\"\n",
            ),
            &["auto.test/usr1/mailbox", "auto.test/usr3/mailbox"],
        );
    }

    #[test]
    fn lines_that_make_no_account() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(LINE_BYTES_MAX);
        let input = format!(
            "Example.test;alice;pw;A;h\n../up;alice;pw;A;h\nexample.test;../up;pw;A;h\nexample.test;.hid;pw;A;h\n\
             example.test;ALICE;pw;A;h\nexample.test;tab;pw;A\tB;h\n{long};u;p;n;h\n\nexample.test;b;{};n;h\n\
             example.test;last;pw;A;h;more",
            "p".repeat(PASSWORD_BYTES_MAX + 1)
        );
        let skipped = mk_users(dir.path(), "", &input).unwrap();
        let lines: Vec<usize> = skipped.iter().map(|skipped| skipped.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6, 7, 9]);
        assert_eq!(skipped[0].to_string(), "line 2: not a domain name: \"../up\"; skipped");
        let table = fs::read_to_string(dir.path().join("mailusers.tab")).unwrap();
        assert_eq!(table.lines().count(), 2, "{table}");
        // Where the server will look for it.
        assert!(dir.path().join("domains/example.test/alice/user.tab").exists());
    }

    #[test]
    fn what_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let profile = dir.path().join("domains/example.test/alice/user.tab");
        fs::create_dir_all(profile.parent().unwrap()).unwrap();
        fs::write(&profile, "mine").unwrap();
        mk_users(dir.path(), "", ALICE).unwrap();
        assert_eq!(fs::read_to_string(&profile).unwrap(), "mine");
        let error = mk_users(dir.path(), "", ALICE).unwrap_err();
        assert!(matches!(error, MkUsersError::Exists(_)));
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn the_usage() {
        let dir = tempfile::tempdir().unwrap();
        for (args, code) in [("-h", 0), ("-z", 1), ("-a", 1), ("-a x", 1), ("-a 1 -u ../u", 1), ("word", 1)] {
            let error = mk_users(dir.path(), args, "").unwrap_err();
            assert!(error.to_string().starts_with("use :  MkUsers  ["), "{args}");
            assert_eq!(error.exit_code(), code, "{args}");
        }
        assert!(!dir.path().join("mailusers.tab").exists());
    }
}
