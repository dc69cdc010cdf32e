//! Passwords of accounts: how they are stored (decision 18), and which ones their owners could log in with.
//!
//! ```text
//! password = 1*255%x21-7E          ; no fewer characters than PasswordMinLength
//! ```
//!
//! That is what every log-in takes: POP3 cuts `PASS` at blanks and refuses lines with anything but printable ASCII
//! (`mailflow.md` 9.1, decision 43), XMail's buffers end at 255 bytes (`mailroot.md` 5), and an empty password proves
//! nothing. IMAP and SMTP alone would take more: all but NUL. CTRL stores what it is given, as XMail does; who offers a
//! form asks [`Admin::password_fault`] first.
//!
//! Hashes cost some 20 ms and 19 MiB each, so they are made side by side and while no change is held. A rehearsal makes
//! none: it hides them.

use std::thread;

use bstr::{BString, ByteSlice as _};

use super::{Admin, AdminError};
use crate::auth;
use crate::mailroot::Snapshot;
use crate::mailroot::schema::server as variables;

/// Threads that hash at once. Ours: more would want more than 152 MiB.
const HASHING_THREADS_MAX: usize = 8;

/// What stands for a hash in a rehearsal.
const NOT_YET_HASHED: &str = "$argon2id$";

/// Characters of a random password, unless the operator wants more.
pub const RANDOM_PASSWORD_CHARS: usize = 8;

/// Why the owner of an account could not log in everywhere with a password, or may not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordFault {
    /// There is none.
    Empty,
    /// A blank or TAB: POP3 cuts there, and then there are too many arguments.
    Blank,
    /// A control character.
    Control,
    /// No ASCII: POP3 takes none.
    NotAscii {
        /// The first such character.
        character: char,
    },
    /// More bytes than a table can hold.
    TooLong {
        /// How many there may be.
        limit: usize,
    },
    /// Fewer characters than the operator wants (`PasswordMinLength`).
    TooShort {
        /// How many there must be.
        needed: usize,
    },
}

impl PasswordFault {
    /// What is wrong with a password that must have so many characters.
    pub fn of(password: &str, chars_min: usize) -> Option<Self> {
        let first = |is: fn(&char) -> bool| password.chars().find(is);
        if password.is_empty() {
            return Some(Self::Empty);
        }
        if password.contains([' ', '\t']) {
            return Some(Self::Blank);
        }
        if first(|c| c.is_control()).is_some() {
            return Some(Self::Control);
        }
        if let Some(character) = first(|c| !c.is_ascii()) {
            return Some(Self::NotAscii { character });
        }
        if password.len() > auth::PASSWORD_BYTES_MAX {
            return Some(Self::TooLong { limit: auth::PASSWORD_BYTES_MAX });
        }
        (password.chars().count() < chars_min).then_some(Self::TooShort { needed: chars_min })
    }
}

/// How passwords are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// As XMail does.
    XMail,
    /// As a hash.
    Argon2id,
}

impl Scheme {
    /// That of new passwords.
    pub(super) fn of(tables: &Snapshot) -> Self {
        match tables.server.choice(&variables::PASSWORD_SCHEME) == variables::ARGON2ID {
            true => Self::Argon2id,
            false => Self::XMail,
        }
    }
}

impl Admin {
    /// Why the owner of an account could not log in with a password.
    pub fn password_fault(&self, password: &str) -> Option<PasswordFault> {
        PasswordFault::of(password, self.password_chars_min())
    }

    /// The least characters of a new password of an account.
    pub fn password_chars_min(&self) -> usize {
        password_chars_min(&self.snapshot())
    }

    /// The password that all new accounts share (`DefaultPassword`, JD-63); `None` where the operator wants none, and where
    /// their owners could not log in with it.
    pub fn default_password(&self) -> Option<String> {
        let tables = self.snapshot();
        let shared = tables.server.text(&variables::DEFAULT_PASSWORD).unwrap_or_default();
        PasswordFault::of(shared, password_chars_min(&tables)).is_none().then(|| shared.to_owned())
    }

    /// A random password of so many characters, or of more where the operator wants more.
    ///
    /// # Errors
    /// `Random`.
    pub fn random_password(&self, chars: usize) -> Result<String, AdminError> {
        let wanted = chars.max(self.password_chars_min()).min(auth::PASSWORD_BYTES_MAX);
        let mut password = String::new();
        while password.len() < wanted {
            password.push_str(&auth::random_password()?);
        }
        // Letters are ASCII.
        password.truncate(wanted);
        Ok(password)
    }

    /// Passwords as the table will hold them, in order. Call it while no change is held.
    pub(super) fn stored_passwords(
        &self,
        scheme: Scheme,
        passwords: &[&[u8]],
    ) -> Result<Vec<BString>, AdminError> {
        let of_share = |share: &[&[u8]]| -> Vec<Result<BString, AdminError>> {
            share.iter().map(|password| self.stored_password(scheme, password)).collect()
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let threads = processors.min(HASHING_THREADS_MAX).min(passwords.len());
        if threads < 2 || scheme == Scheme::XMail || self.editor.rehearsal().is_some() {
            return of_share(passwords).into_iter().collect();
        }
        thread::scope(|scope| {
            let shares = passwords.chunks(passwords.len().div_ceil(threads));
            let workers: Vec<_> = shares.map(|share| scope.spawn(move || of_share(share))).collect();
            let joined = workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect()
        })
    }

    /// A password as the table will hold it. None stays none: its hash would let everybody in who gives none.
    pub(super) fn stored_password(&self, scheme: Scheme, password: &[u8]) -> Result<BString, AdminError> {
        match scheme {
            _ if password.is_empty() => Ok(BString::default()),
            Scheme::XMail => Ok(auth::xmail_encode(password).into()),
            Scheme::Argon2id => Ok(self.hashed(password)?.into()),
        }
    }

    /// A hash, or in a rehearsal what stands for one.
    pub(super) fn hashed(&self, password: &[u8]) -> Result<String, AdminError> {
        match self.editor.rehearsal() {
            Some(_) => Ok(NOT_YET_HASHED.to_owned()),
            None => Ok((self.hash)(password)?),
        }
    }

    /// Whether a password fits into the table and is as long as the operator wants it.
    pub(super) fn check_password_length(tables: &Snapshot, password: &[u8]) -> Result<(), AdminError> {
        if password.len() > auth::PASSWORD_BYTES_MAX {
            return Err(AdminError::PasswordTooLong { length: password.len() });
        }
        let needed = password_chars_min(tables);
        if password.to_str_lossy().chars().count() < needed {
            return Err(AdminError::PasswordTooShort { needed });
        }
        Ok(())
    }
}

/// The least characters of a new password.
pub(super) fn password_chars_min(tables: &Snapshot) -> usize {
    usize::try_from(tables.server.integer(&variables::PASSWORD_MIN_LENGTH)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};
    use std::thread::{scope, spawn};
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::admin::{Hash, NewUser, NewUsers};
    use crate::clock::Clock;
    use crate::durable::Disk;
    use crate::mailbox::{Kind, Mailboxes};
    use crate::mailroot::edit::Planned;
    use crate::mailroot::{AccountKind, MailRoot, Tables};

    /// How long a test that has failed already goes on.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn house(hash: Arc<Hash>) -> (TempDir, Arc<Admin>) {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        put("server.tab", "\"PasswordScheme\"\t\"argon2id\"\n");
        put("domains.tab", "\"a.test\"\n");
        put("mailusers.tab", "\"a.test\"\t\"old\"\t\"\"\t1\t\"old\"\t\"U\"\n");
        put("aliases.tab", "");
        fs::create_dir_all(directory.path().join("domains/a.test")).unwrap();
        let root = MailRoot::new(directory.path());
        let boxes = Mailboxes::new(root.clone(), Kind::Maildir, Disk::default());
        let admin = Admin::new(Tables::open(&root), boxes, None, Clock::system(), Disk::default());
        (directory, Arc::new(admin.with_hash(hash)))
    }

    /// A hash that counts, and looks like one.
    fn counting(count: &Arc<AtomicUsize>) -> Arc<Hash> {
        let count = Arc::clone(count);
        Arc::new(move |password| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(format!("$argon2id$of-{}", password.to_str_lossy()))
        })
    }

    fn users(names: &[&str]) -> NewUsers {
        let user = |name: &&str| NewUser {
            domain: "a.test".into(),
            name: (*name).into(),
            password: format!("pw-{name}").into(),
            kind: AccountKind::User,
            variables: Vec::new(),
        };
        NewUsers::new(names.iter().map(user).collect())
    }

    fn rows(directory: &TempDir) -> String {
        fs::read_to_string(directory.path().join("mailusers.tab")).unwrap()
    }

    /// JD-44: the hash is held back until another change is done; were the change lock held meanwhile, that would never be.
    #[test]
    fn other_changes_go_through_while_passwords_are_hashed() {
        let (begun, has_begun) = channel();
        let (go, may_go) = channel::<()>();
        let (begun, may_go) = (Mutex::new(begun), Mutex::new(may_go));
        let (directory, admin) = house(Arc::new(move |password| {
            begun.lock().unwrap().send(()).unwrap();
            let _ = may_go.lock().unwrap().recv();
            Ok(format!("$argon2id$of-{}", password.to_str_lossy()))
        }));
        scope(|scope| {
            let importing = scope.spawn(|| admin.add_users(&users(&["anna", "bert"])));
            has_begun.recv_timeout(PATIENCE).unwrap();
            let (done, is_done) = channel();
            let other = Arc::clone(&admin);
            spawn(move || done.send(other.add_alias("a.test", "boss", "old")));
            let meanwhile = is_done.recv_timeout(PATIENCE);
            drop(go);
            meanwhile.expect("an alias waits for hashes").unwrap();
            importing.join().unwrap().unwrap();
        });
        assert!(rows(&directory).contains("\"bert\"\t\"$argon2id$of-pw-bert\"\t3"), "{}", rows(&directory));
    }

    /// What was checked before is checked again: the name became an alias meanwhile. The next attempt has its hashes.
    #[test]
    fn what_became_impossible_meanwhile_leaves_nothing_but_hashes() {
        let count = Arc::new(AtomicUsize::new(0));
        let (begun, has_begun) = channel();
        let (go, may_go) = channel::<()>();
        let (begun, may_go, hash) = (Mutex::new(begun), Mutex::new(may_go), counting(&count));
        let (directory, admin) = house(Arc::new(move |password| {
            begun.lock().unwrap().send(()).unwrap();
            let _ = may_go.lock().unwrap().recv();
            hash(password)
        }));
        let (before, new) = (rows(&directory), users(&["anna", "bert"]));
        scope(|scope| {
            let importing = scope.spawn(|| admin.add_users(&new));
            has_begun.recv_timeout(PATIENCE).unwrap();
            admin.add_alias("a.test", "bert", "old").unwrap();
            drop(go);
            assert!(matches!(importing.join().unwrap(), Err(AdminError::AliasExists)));
        });
        assert_eq!(rows(&directory), before);
        assert!(!directory.path().join("domains/a.test/anna").exists());
        admin.remove_alias("a.test", "bert").unwrap();
        admin.add_users(&new).unwrap();
        assert!(rows(&directory).contains("\"bert\"\t\"$argon2id$of-pw-bert\"\t3"), "{}", rows(&directory));
        assert_eq!(count.load(Ordering::SeqCst), 2, "no password is hashed twice");
    }

    #[test]
    fn a_rehearsal_hashes_nothing_and_shows_no_password() {
        let count = Arc::new(AtomicUsize::new(0));
        let (_directory, admin) = house(counting(&count));
        let new = users(&["anna", "bert"]);
        let planned = admin.rehearse(|admin| admin.add_users(&new)).unwrap();
        let table = planned.into_iter().find_map(|step| match step {
            Planned::File { file, after, .. } if file.ends_with("mailusers.tab") => after,
            _ => None,
        });
        let table = String::from_utf8(table.unwrap()).unwrap();
        assert!(table.contains("\"bert\"\t\"$argon2id$\"\t3"), "{table}");
        assert!(!table.contains("pw-") && !table.contains(&auth::xmail_encode(b"pw-")), "{table}");
        admin.rehearse(|admin| admin.set_password("a.test", "old", b"new")).unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 0);
        assert!(!format!("{new:?}").contains("pw-anna"), "nor does a trace");
    }

    /// JD-43, JD-44: every log-in takes what has no fault.
    #[test]
    fn a_password_without_fault_is_one_that_pop3_takes() {
        for (password, expected) in [
            ("", Some(PasswordFault::Empty)),
            ("a b", Some(PasswordFault::Blank)),
            (" ab", Some(PasswordFault::Blank)),
            ("a\tb", Some(PasswordFault::Blank)),
            ("a\u{7}b", Some(PasswordFault::Control)),
            ("a\u{7f}b", Some(PasswordFault::Control)),
            ("a\r\nb", Some(PasswordFault::Control)),
            ("p\u{e4}ss", Some(PasswordFault::NotAscii { character: '\u{e4}' })),
            ("密码123", Some(PasswordFault::NotAscii { character: '密' })),
            ("a\u{a0}b", Some(PasswordFault::NotAscii { character: '\u{a0}' })),
            ("abc", Some(PasswordFault::TooShort { needed: 4 })),
            ("abcd", None),
            ("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", None),
        ] {
            assert_eq!(PasswordFault::of(password, 4), expected, "{password:?}");
        }
        assert_eq!(PasswordFault::of(&"x".repeat(255), 0), None);
        assert_eq!(PasswordFault::of(&"x".repeat(256), 0), Some(PasswordFault::TooLong { limit: 255 }));
    }

    #[test]
    fn random_passwords_are_as_long_as_the_operator_wants() {
        let (directory, admin) = house(counting(&Arc::default()));
        assert_eq!(admin.random_password(RANDOM_PASSWORD_CHARS).unwrap().len(), 8);
        let table = "\"PasswordMinLength\"\t\"40\"\n";
        fs::write(directory.path().join("server.tab"), table).unwrap();
        admin.reload_tables(crate::admin::Reload::Now);
        let password = admin.random_password(RANDOM_PASSWORD_CHARS).unwrap();
        assert_eq!((password.len(), admin.password_fault(&password)), (40, None));
    }

    /// JD-63: one that its owners could not log in with is none.
    #[test]
    fn jd_63_a_default_password_obeys_what_holds_for_every_password() {
        let (directory, admin) = house(counting(&Arc::default()));
        for (rows, expected) in [
            ("", None),
            ("\"DefaultPassword\"\t\"\"\n", None),
            ("\"DefaultPassword\"\t\"welcome-1\"\n", Some("welcome-1")),
            ("\"DefaultPassword\"\t\"wel come\"\n", None),
            ("\"DefaultPassword\"\t\"short\"\n\"PasswordMinLength\"\t\"8\"\n", None),
        ] {
            fs::write(directory.path().join("server.tab"), rows).unwrap();
            admin.reload_tables(crate::admin::Reload::Now);
            assert_eq!(admin.default_password().as_deref(), expected, "{rows}");
        }
    }

    #[test]
    fn no_password_has_no_hash() {
        let count = Arc::new(AtomicUsize::new(0));
        let (directory, admin) = house(counting(&count));
        admin.add_user("a.test", "anna", b"", "U").unwrap();
        assert!(rows(&directory).contains("\"anna\"\t\"\"\t2"), "{}", rows(&directory));
    }
}
