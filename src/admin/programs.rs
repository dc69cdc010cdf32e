//! Programs that are told of changes of accounts (`mailroot.md` 12.4; golden `pop3_extauth`).

use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use crate::auth::programs::{self, Action, ProgramCall};
use crate::exec::Exit;
use crate::mailroot::Tables;

/// Programs that are told of changes of accounts: the seam for them.
pub trait AccountPrograms: Send + Sync {
    /// Tells of a change that was made; what comes of it changes nothing (`mailroot.md` 12.4).
    fn tell(&self, change: AccountChange<'_>);
}

/// What happens to an account or a domain. Directories are relative to the MailRoot.
#[derive(Clone, Copy, Debug)]
pub enum AccountChange<'a> {
    /// `useradd`.
    UserAdded {
        /// The account's domain.
        domain: &'a str,
        /// The account.
        name: &'a str,
        /// Its password in clear.
        password: &'a [u8],
        /// Its directory.
        directory: &'a Path,
    },
    /// `useredit`.
    PasswordChanged {
        /// The account's domain.
        domain: &'a str,
        /// The account.
        name: &'a str,
        /// Its new password in clear.
        password: &'a [u8],
        /// Its directory.
        directory: &'a Path,
    },
    /// `userdel`: the rows are gone, the directory is still there.
    UserRemoved {
        /// The account's domain.
        domain: &'a str,
        /// The account.
        name: &'a str,
        /// Its directory.
        directory: &'a Path,
    },
    /// `domaindrop`: the rows are gone, the directories are still there.
    DomainRemoved {
        /// The domain.
        domain: &'a str,
    },
}

/// The programs of `userauth/pop3/*.tab`.
///
/// A change waits for its program's end, as in XMail, so that programs hear of changes in the order they happen;
/// a program that hangs holds up changes for [`programs::TIME_LIMIT`], and nothing else.
#[derive(Debug)]
pub struct ExternalPrograms {
    tables: Tables,
    runtime: Handle,
}

impl ExternalPrograms {
    /// Programs that are run by `runtime`. [`AccountPrograms::tell`] must then be called off its async threads.
    pub fn new(tables: Tables, runtime: Handle) -> Self {
        Self { tables, runtime }
    }
}

impl AccountPrograms for ExternalPrograms {
    fn tell(&self, change: AccountChange<'_>) {
        let snapshot = self.tables.fresh();
        let path = directory(&change).map(|relative| snapshot.root().path().join(relative));
        let call = call(&change, path.as_ref());
        let (action, domain) = (call.action.name(), call.domain);
        match self.runtime.block_on(programs::run(&snapshot, &call)) {
            None | Some(Ok(Exit::Code(0))) => {}
            Some(Ok(exit)) => tracing::warn!(action, domain, ?exit, "userauth/pop3: the program failed"),
            Some(Err(error)) => tracing::warn!(action, domain, "userauth/pop3: {error}"),
        }
    }
}

fn directory<'a>(change: &AccountChange<'a>) -> Option<&'a Path> {
    match *change {
        AccountChange::UserAdded { directory, .. }
        | AccountChange::PasswordChanged { directory, .. }
        | AccountChange::UserRemoved { directory, .. } => Some(directory),
        AccountChange::DomainRemoved { .. } => None,
    }
}

fn call<'a>(change: &AccountChange<'a>, path: Option<&'a PathBuf>) -> ProgramCall<'a> {
    let (action, domain, user, password): (_, _, _, &[u8]) = match *change {
        AccountChange::UserAdded { domain, name, password, .. } => (Action::UserAdd, domain, name, password),
        AccountChange::PasswordChanged { domain, name, password, .. } => {
            (Action::UserEdit, domain, name, password)
        }
        AccountChange::UserRemoved { domain, name, .. } => (Action::UserDel, domain, name, b""),
        AccountChange::DomainRemoved { domain } => (Action::DomainDrop, domain, "", b""),
    };
    ProgramCall { action, domain, user, password, path: path.map(PathBuf::as_path) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use crate::admin::{Admin, ExternalPrograms};
    use crate::clock::Clock;
    use crate::durable::Disk;
    use crate::mailbox::{Kind, Mailboxes};
    use crate::mailroot::{MailRoot, Tables};

    /// The CTRL part of golden `pop3_extauth`: what `pa.log` holds after it, and whether the directory was still
    /// there when the program ran.
    #[test]
    fn golden_pop3_extauth() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let put = |name: &str, text: &str| {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        };
        put("domains.tab", "\"example.test\"\n");
        put("mailusers.tab", "\"example.test\"\t\"alice\"\t\"\"\t1\t\"dir\"\t\"U\"\n");
        for name in ["aliases.tab", "extaliases.tab", "aliasdomain.tab", "pop3links.tab"] {
            put(name, "");
        }
        fs::create_dir_all(root.join("domains/example.test/dir")).unwrap();
        let log = root.join("pa.log");
        let script = format!(
            "d={}; printf '[%s]' \\\"\\$@\\\" >> {}; ls \\$d/domains/example.test | wc -l >> {1}; exit 1",
            root.display(),
            log.display()
        );
        let row = |action: &str, args: &str| {
            format!("\"{action}\"\t\"/bin/sh\"\t\"-c\"\t\"{script}\"\t\"pa\"\t\"{action}\"\t{args}\n")
        };
        let all = "\"@@USER\"\t\"@@DOMAIN\"\t\"@@PASSWD\"\t\"@@PATH\"";
        let rows = [
            row("useradd", all),
            row("useredit", all),
            row("userdel", "\"@@USER\"\t\"@@DOMAIN\"\t\"@@PATH\""),
            row("domaindrop", "\"@@DOMAIN\""),
        ];
        put("userauth/pop3/example.test.tab", &rows.concat());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mail_root = MailRoot::new(root);
        let tables = Tables::open(&mail_root);
        let mailboxes = Mailboxes::new(mail_root, Kind::Maildir, Disk::default());
        let programs = ExternalPrograms::new(tables.clone(), runtime.handle().clone());
        let admin = Admin::new(tables, mailboxes, None, Clock::system(), Disk::default())
            .with_programs(Arc::new(programs));
        // The programs' exit codes are ignored.
        admin.add_user("example.test", "newu", b"newpw", "U").unwrap();
        admin.set_password("example.test", "newu", b"pw2").unwrap();
        admin.set_password("example.test", "alice", b"pw3").unwrap();
        admin.remove_user("example.test", "newu").unwrap();
        admin.remove_domain("example.test").unwrap();
        let domain = root.join("domains/example.test");
        let path = domain.display();
        let expected = format!(
            "[useradd][newu][example.test][newpw][{path}/newu]2\n\
             [useredit][newu][example.test][pw2][{path}/newu]2\n\
             [useredit][alice][example.test][pw3][{path}/dir]2\n\
             [userdel][newu][example.test][{path}/newu]2\n\
             [domaindrop][example.test]1\n"
        );
        assert_eq!(fs::read_to_string(log).unwrap(), expected);
        assert!(!domain.exists());
    }
}
