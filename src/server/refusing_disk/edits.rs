//! Every step of a change by CTRL refused: the tables stand whole, the answer says no, and the same command works once
//! there is room.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::house::{Refusals, directory, door};
use super::peers::Lines;
use super::{Extent, REASONS, Refusal};
use crate::admin::Admin;
use crate::auth::xmail_encode;
use crate::clock::Clock;
use crate::ctrl;
use crate::durable::{Disk, is_temporary};
use crate::logs::Logs;
use crate::mailbox::{Kind, Mailboxes};
use crate::mailroot::{MailRoot, Tables, made};
use crate::net::TlsStore;

/// Tables and directories by their path; a directory has no content.
type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// A MailRoot with CTRL on it.
struct Office {
    dir: TempDir,
    faults: Arc<Refusals>,
    lines: Lines,
    stop: CancellationToken,
}

impl Office {
    async fn open(plan: Option<Refusal>) -> Self {
        let dir = directory();
        write_tables(dir.path());
        let root = MailRoot::new(dir.path());
        let faults = Refusals::new(plan);
        let disk = Disk::with_faults(faults.clone());
        let clock = Clock::manual("2026-11-23T10:34:43Z".parse().unwrap());
        let tables = Tables::open(&root);
        let mailboxes = Mailboxes::new(root, Kind::Maildir, disk.clone());
        let admin = Admin::new(tables.clone(), mailboxes, None, clock.clone(), disk);
        let tls = Arc::new(TlsStore::new(dir.path()));
        let (address, door) = door(&tls);
        let services = ctrl::Services { admin: Arc::new(admin), tables, clock, logs: Logs::none(), tls };
        let stop = CancellationToken::new();
        tokio::spawn(ctrl::serve(door, Arc::new(services), ctrl::Limits::default(), stop.clone()));
        let mut lines = Lines::connect(address).await;
        lines.ask("").await;
        assert!(lines.ask("admin\tadminpw").await.starts_with('+'));
        Self { dir, faults, lines, stop }
    }

    async fn says_yes(&mut self, command: &str) -> bool {
        self.lines.ask(command).await.starts_with('+')
    }

    fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        collect(self.dir.path(), self.dir.path(), &mut tree);
        tree
    }
}

fn write_tables(root: &Path) {
    let password = xmail_encode(b"adminpw");
    let files = [
        ("server.tab", "\"RootDomain\"\t\"home.test\"\n".to_owned()),
        ("ctrlaccounts.tab", format!("\"admin\"\t\"{password}\"\n")),
        ("domains.tab", "# kept\n\"home.test\"\n\"gone.test\"\n".to_owned()),
        (
            "mailusers.tab",
            "\"home.test\"\t\"anna\"\t\"00\"\t1\t\"anna\"\t\"U\"\n\"gone.test\"\t\"bert\"\t\"00\"\t2\t\"bert\"\t\"U\"\n"
                .to_owned(),
        ),
        ("aliases.tab", "\"home.test\"\t\"ann\"\t\"anna\"\n\"gone.test\"\t\"b\"\t\"bert\"\n".to_owned()),
        ("userdef.tab", "\"RealName\"\t\"New\"\n".to_owned()),
        ("domains/home.test/anna/user.tab", "\"RealName\"\t\"Anna\"\n".to_owned()),
        ("domains/gone.test/bert/user.tab", "\"RealName\"\t\"Bert\"\n".to_owned()),
        ("cmdaliases/home.test/.keep", String::new()),
    ];
    for (name, text) in files {
        made::write(root, name, text);
    }
    fs::create_dir_all(root.join("domains/home.test/anna/Maildir/new")).unwrap();
}

/// All but what is not the operator's: temporary and lock files, and what is remembered of tables.
fn collect(root: &Path, directory: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if is_temporary(path.file_name().unwrap()) || name.ends_with(".lock") || name == "tabindex" {
            continue;
        }
        if path.is_dir() {
            tree.insert(name, None);
            collect(root, &path, tree);
        } else {
            tree.insert(name, Some(fs::read(&path).unwrap()));
        }
    }
}

/// What stands in the tables is what stood there before or what shall stand there, never anything else.
fn check_whole(what: &str, now: &Tree, before: &Tree, after: &Tree) {
    for (name, content) in now.iter().filter(|(_, content)| content.is_some()) {
        let is_known = [before, after].iter().any(|tree| tree.get(name) == Some(content));
        // A profile is made before its account; then it is not complete yet, or it is.
        assert!(
            is_known,
            "{what}: {name} has {:?}",
            content.as_ref().map(|bytes| String::from_utf8_lossy(bytes))
        );
    }
    for name in before.keys().filter(|name| after.contains_key(*name)) {
        assert!(now.contains_key(name), "{what}: {name} is gone");
    }
}

async fn refuse(command: &str, refusal: Refusal, before: &Tree, after: &Tree) {
    let what = format!("{command} {refusal:?}");
    let mut office = Office::open(Some(refusal)).await;
    office.faults.arm();
    let is_done = office.says_yes(command).await;
    office.faults.disarm();
    let now = office.tree();
    check_whole(&what, &now, before, after);
    check_accounts(&what, &now);
    if is_done {
        check_same(&format!("{what}: it said yes"), &now, after);
    } else {
        let repeated = office.says_yes(command).await;
        check_same(&format!("{what}: the second time it said {repeated}"), &office.tree(), after);
    }
    // Whatever happened, the next one works.
    assert!(office.says_yes("aliasdomainadd\thome.test\tnext.test").await, "{what}");
    office.stop.cancel();
}

fn check_same(what: &str, now: &Tree, wanted: &Tree) {
    let names = now.keys().chain(wanted.keys());
    let wrong: Vec<&String> = names.filter(|name| now.get(*name) != wanted.get(*name)).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?}");
}

/// An account that is in the table has a mailbox: mail for it would be refused for good.
fn check_accounts(what: &str, now: &Tree) {
    let users = now["mailusers.tab"].as_deref().unwrap_or_default();
    if String::from_utf8_lossy(users).contains("\"new\"") {
        assert!(
            now.contains_key("domains/home.test/new/Maildir/new"),
            "{what}: an account without a mailbox"
        );
    }
}

async fn run(command: &str) -> usize {
    let mut office = Office::open(None).await;
    let before = office.tree();
    office.faults.arm();
    assert!(office.says_yes(command).await, "{command}");
    let steps = office.faults.disarm_after(None);
    let after = office.tree();
    office.stop.cancel();
    for at in 1..=steps {
        for reason in REASONS {
            for extent in [Extent::One, Extent::Lasting] {
                refuse(command, Refusal { at, reason, extent }, &before, &after).await;
            }
        }
    }
    steps
}

#[track_caller]
fn check(command: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let steps = runtime.block_on(run(command));
    assert!(steps > 0, "{command}: no step was seen");
    println!("{}: {steps} steps, {} refusals", command.replace('\t', " "), steps * REASONS.len() * 2);
}

#[test]
fn an_account_is_added_or_not() {
    check("useradd\thome.test\tnew\tnewpw\tU");
}

#[test]
fn a_list_is_added_or_not() {
    check("useradd\thome.test\tnews\tpw\tM");
}

#[test]
fn an_account_is_changed_or_not() {
    check("userpasswd\thome.test\tanna\tother");
    check("uservarsset\thome.test\tanna\tRealName\tAnna K");
}

#[test]
fn accounts_and_domains_are_removed_at_the_second_time() {
    check("userdel\thome.test\tanna");
    check("domaindel\tgone.test");
}

#[test]
fn rows_are_added_and_removed_or_not() {
    check("domainadd\tnew.test");
    check("aliasadd\thome.test\ta\tanna");
    check("aliasdel\thome.test\tann");
    check("aliasdomainadd\thome.test\tother.test");
}
