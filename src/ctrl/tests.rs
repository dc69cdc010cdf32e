//! Dialogues without a socket, on a MailRoot of their own. Results and rows are those of golden `ctrl_commands`,
//! `ctrl_auth` and `tab_quoting` where no decision says otherwise.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::ByteSlice;
use proptest::prelude::*;
use tempfile::TempDir;

use super::answer::answer;
use super::reply::Reply;
use super::session::{Action, Context, Session, UPLOAD_LINE_BYTES_MAX};
use crate::admin::Admin;
use crate::auth::apop_digest;
use crate::clock::Clock;
use crate::durable::Disk;
use crate::mailbox::{Kind, Mailboxes};
use crate::mailroot::made::write;
use crate::mailroot::{MailRoot, Tables};
use crate::net::{Line, LineEnding};
use crate::spool::{self, Lane, RetryPlan, Spool};

const STAMP: &str = "<1795430028.140283186489024@127.0.0.1>";

/// A MailRoot and a session on it.
struct Scene {
    root: TempDir,
    tables: Tables,
    admin: Arc<Admin>,
    clock: Clock,
    session: Session,
    tls_enabled: bool,
    heard: VecDeque<String>,
    closed: bool,
}

impl Scene {
    /// The tables of golden `ctrl_commands`, before the log-in.
    fn before_login() -> Self {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| write(root.path(), name, text);
        put("server.tab", "\"RootDomain\"\t\"example.test\"\n");
        put("domains.tab", "\"example.test\"\n\"second.test\"\n");
        put("userdef.tab", "\"RealName\"\t\"New User\"\n\"MaxMBSize\"\t\"10000\"\n\"SmtpPerms\"\t\"MR\"\n");
        put("ctrlaccounts.tab", "\"admin\"\t\"0401080c0b1512\"\n\"other\"\t\"0a451512\"\n#ghost\t\"0401\"\n");
        put(
            "mailusers.tab",
            "\"example.test\"\t\"postmaster\"\t\"15081512\"\t1\t\"postmaster\"\t\"U\"\n\
             \"example.test\"\t\"alice\"\t\"04090c06001512\"\t2\t\"alice\"\t\"U\"\n\
             \"example.test\"\t\"bob\"\t\"070a071512\"\t3\t\"bob\"\t\"U\"\n\
             \"second.test\"\t\"carol\"\t\"0604170a091512\"\t4\t\"carol\"\t\"U\"\n",
        );
        for name in ["aliases.tab", "extaliases.tab", "aliasdomain.tab", "pop3links.tab", "smtprelay.tab"] {
            put(name, "");
        }
        for account in
            ["example.test/postmaster", "example.test/alice", "example.test/bob", "second.test/carol"]
        {
            put(&format!("domains/{account}/user.tab"), "\"RealName\"\t\"Somebody\"\n");
            fs::create_dir_all(root.path().join("domains").join(account).join("Maildir/new")).unwrap();
        }
        for directory in ["custdomains", "cmdaliases", "logs", "pop3links", "msgsync", "filters"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        Self::on(root)
    }

    fn on(root: TempDir) -> Self {
        let mail_root = MailRoot::new(root.path());
        let tables = Tables::open(&mail_root);
        let clock = Clock::manual("2026-11-23T10:33:49Z".parse().unwrap());
        let config = spool::Config {
            root: mail_root.clone(),
            split_levels: 2,
            journal: None,
            retry: RetryPlan::default(),
            limits: spool::Limits { local: 1, per_destination: 1, remote: 1 },
            lane_of: Arc::new(|_| Lane::Local),
            disk: Disk::default(),
            clock: clock.clone(),
        };
        let spool = Spool::open(config).unwrap().0;
        let mailboxes = Mailboxes::new(mail_root, Kind::Maildir, Disk::default());
        let admin = Admin::new(tables.clone(), mailboxes, Some(spool), clock.clone(), Disk::default());
        Self {
            root,
            tables,
            admin: Arc::new(admin),
            clock,
            session: Session::new(false),
            tls_enabled: true,
            heard: VecDeque::new(),
            closed: false,
        }
    }

    fn new() -> Self {
        let mut scene = Self::before_login();
        scene.talk("C: admin\tadminpw\nS: +00000 OK");
        scene
    }

    /// One line of the client.
    fn say(&mut self, line: &[u8]) {
        assert!(!self.closed, "the session is closed");
        let context = Context { tls_enabled: self.tls_enabled };
        let line = match line.len() + 2 > self.session.line_bytes_max() {
            true => Line::TooLong,
            false => Line::Text(line.to_vec(), LineEnding::CrLf),
        };
        let mut action = self.session.on_line(line, &context);
        while let Action::Ask(question) = action {
            let answer = answer(question, &self.admin, || self.tables.fresh(), STAMP, &self.clock);
            action = self.session.on_answer(answer);
        }
        match action {
            Action::Reply(reply) => self.hear(&reply),
            Action::Close(reply) => {
                self.hear(&reply);
                self.closed = true;
            }
            Action::StartTls => {
                self.hear(&Reply::ReadyForTls);
                self.session.on_tls();
            }
            Action::Read | Action::Ask(_) => {}
        }
    }

    fn hear(&mut self, reply: &Reply) {
        let octets = reply.to_bytes();
        self.heard.extend(octets.lines().map(|line| line.to_str_lossy().into_owned()));
    }

    /// Plays a dialogue: `C:` lines are said, each `S:` line must be the next one heard, and nothing else be heard.
    #[track_caller]
    fn talk(&mut self, dialogue: &str) {
        for line in dialogue.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            if let Some(said) = line.strip_prefix("C: ").or_else(|| line.strip_prefix("C:")) {
                assert_eq!(self.heard, VecDeque::<String>::new(), "heard before {line:?}");
                self.say(said.as_bytes());
            } else if let Some(expected) = line.strip_prefix("S: ").or_else(|| line.strip_prefix("S:")) {
                assert_eq!(self.heard.pop_front().as_deref(), Some(expected), "in {dialogue}");
            } else {
                panic!("{line:?}");
            }
        }
        assert_eq!(self.heard, VecDeque::<String>::new(), "heard after {dialogue}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    #[track_caller]
    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn put(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self.tables.reload_now();
    }
}

#[test]
fn log_in_with_the_clear_password_or_the_digest() {
    let digest = apop_digest(STAMP.as_bytes(), b"adminpw");
    for line in [
        "admin\tadminpw".to_owned(),
        "\"ADMIN\"\t\"adminpw\"".to_owned(),
        "other\to pw".to_owned(),
        format!("admin\t#{digest}"),
        format!("admin\t#{}", digest.to_uppercase()),
    ] {
        Scene::before_login().talk(&format!("C: {line}\nS: +00000 OK\nC: noop\nS: +00000 OK"));
    }
}

#[test]
fn a_wrong_log_in_closes_with_one_number() {
    let long = "x".repeat(300);
    for line in [
        "admin\twrong",
        "nobody\tx",
        "admin",
        "",
        "admin adminpw",
        "admin\tadminpw\textra",
        "admin\t#1b8ca6c705da079df164b2cdce258365",
        "admin\t#",
        "#ghost\tad",
        "admin\t\"\"",
        "noop",
        &long,
    ] {
        let mut scene = Scene::before_login();
        scene.talk(&format!("C: {line}\nS: -00105 Bad controller login"));
        assert!(scene.closed, "{line}");
    }
}

#[test]
fn tls_is_asked_for_before_the_log_in() {
    let mut scene = Scene::before_login();
    scene.talk("C: #!tls\nS: +00000 Ready to start TLS mode\nC: admin\tadminpw\nS: +00000 OK");
    let mut scene = Scene::before_login();
    scene.talk("C: #!TLS\nS: +00000 Ready to start TLS mode\nC: #!TLS\nS: -00242 TLS link already active");
    assert!(scene.closed);
    let mut scene = Scene::before_login();
    scene.tls_enabled = false;
    scene.talk("C: #!TLS\nS: -00249 TLS service disabled");
    assert!(scene.closed);
}

#[test]
fn wrong_commands_are_answered_and_the_session_goes_on() {
    let mut scene = Scene::new();
    for line in ["", " noop", "nosuchcmd", "noop\textra", "help", "useradd", "userlist\ta\tb\tc"] {
        scene.talk(&format!("C: {line}\nS: -00103 Bad CTRL command syntax"));
    }
    scene.talk(&format!("C: noop\t{}\nS: -00103 Bad CTRL command syntax", "x".repeat(9000)));
    // Decision 15: XMail hangs up here.
    scene.say(b"useradd\tsecond.test\tnewuser\tp\xe4w\tU");
    scene.talk("S: -00103 Bad CTRL command syntax\nC: NOOP\nS: +00000 OK\nC: \"quit\"\nS: +00000 OK");
    assert!(scene.closed);
}

#[test]
fn users_are_added() {
    let mut scene = Scene::new();
    scene.talk(
        "C: useradd\texample.test\tnewuser\tnewpw\tU
         S: +00000 OK
         C: useradd\texample.test\tNewUser\tnewpw\tU
         S: -00013 User already exist
         C: useradd\texample.test\tnewlist\tx\tM
         S: +00000 OK
         C: useradd\tnosuch.test\tu\tp\tU
         S: -00059 POP3 domain not handled
         C: useradd\tEXAMPLE.TEST\tUpper\tPw\tX
         S: +00000 OK
         C: useradd\texample.test\tbad name\tp\tU
         S: -00216 Name does not respect RFC822
         C: useradd\texample.test\tbad@x\tp\tU
         S: -00216 Name does not respect RFC822
         C: useradd\texample.test\tnopw\t\tU
         S: -00103 Bad CTRL command syntax
         C: useradd\texample.test\tmüller\tpöw\tU
         S: +00000 OK
         C: userlist\texample.test\t[mnu]*
         S: +00100 OK
         S: \"example.test\"\t\"newuser\"\t\"newpw\"\t\"U\"
         S: \"example.test\"\t\"newlist\"\t\"x\"\t\"M\"
         S: \"EXAMPLE.TEST\"\t\"Upper\"\t\"Pw\"\t\"U\"
         S: \"example.test\"\t\"müller\"\t\"pöw\"\t\"U\"
         S: .",
    );
    assert!(
        scene.text("mailusers.tab").ends_with(
            "\"example.test\"\t\"newuser\"\t\"0b00121512\"\t5\t\"newuser\"\t\"U\"\n\
             \"example.test\"\t\"newlist\"\t\"1d\"\t6\t\"newlist\"\t\"M\"\n\
             \"EXAMPLE.TEST\"\t\"Upper\"\t\"3512\"\t7\t\"Upper\"\t\"U\"\n\
             \"example.test\"\t\"müller\"\t\"15a6d312\"\t8\t\"müller\"\t\"U\"\n"
        ),
        "{}",
        scene.text("mailusers.tab")
    );
    assert_eq!(scene.text("domains/example.test/newuser/user.tab"), scene.text("userdef.tab"));
    assert_eq!(scene.text("domains/example.test/newlist/mlusers.tab"), "");
    assert!(scene.path("domains/example.test/Upper/Maildir/tmp").is_dir());
    assert!(!scene.path("domains/example.test/newlist/Maildir").exists());
}

#[test]
fn a_domains_own_userdef_is_used_alone() {
    let mut scene = Scene::new();
    scene.put("domains/second.test/userdef.tab", "# ours\n\"A\"\t\"1\"\n\"three\"\t\"2\"\t\"3\"\n");
    scene.talk("C: useradd\tsecond.test\tdora\tx\tU\nS: +00000 OK");
    assert_eq!(scene.text("domains/second.test/dora/user.tab"), "\"A\"\t\"1\"\n");
}

#[test]
fn a_directory_without_an_owner_is_not_given_to_a_new_user() {
    let mut scene = Scene::new();
    scene.put("domains/example.test/old/Maildir/new/1", "somebody's mail");
    scene.talk("C: useradd\texample.test\told\tx\tU\nS: -00017 Unable to create directory");
    assert!(scene.path("domains/example.test/old/Maildir/new/1").exists());
    assert!(!scene.text("mailusers.tab").contains("\"old\""));
}

#[test]
fn passwords_are_changed_and_checked() {
    let mut scene = Scene::new();
    scene.put("aliasdomain.tab", "\"adom.test\"\t\"example.test\"\n");
    scene.talk(
        "C: userpasswd\texample.test\tbob\tchanged
         S: +00000 OK
         C: userauth\texample.test\tBOB\tchanged
         S: +00000 OK
         C: userauth\tadom.test\tbob\tchanged
         S: +00000 OK
         C: userauth\texample.test\tbob\tbobpw
         S: -00024 Invalid password
         C: userauth\texample.test\tnosuch\tx
         S: -00157 Record not found in TAB file
         C: userpasswd\tnosuch.test\tbob\tx
         S: -00059 POP3 domain not handled
         C: userpasswd\texample.test\tbob\ta\\
         S: +00000 OK
         C: userauth\texample.test\tbob\ta\\
         S: +00000 OK",
    );
}

#[test]
fn hashed_and_hidden_passwords_are_not_shown() {
    let mut scene = Scene::new();
    scene.put("server.tab", "\"PasswordScheme\"\t\"argon2id\"\n");
    scene.talk(
        "C: userpasswd\texample.test\tbob\tsecret
         S: +00000 OK
         C: userauth\texample.test\tbob\tsecret
         S: +00000 OK
         C: userauth\texample.test\tbob\twrong
         S: -00024 Invalid password
         C: userlist\texample.test\t[ab]*
         S: +00100 OK
         S: \"example.test\"\t\"alice\"\t\"alicepw\"\t\"U\"
         S: \"example.test\"\t\"bob\"\t\"\"\t\"U\"
         S: .",
    );
    assert!(scene.text("mailusers.tab").contains("$argon2id$"));
    scene.put("server.tab", "\"CtrlHidePasswords\"\t\"1\"\n");
    scene.talk(
        "C: poplnkadd\texample.test\talice\tpop.test\tr\tclear\tCLR
         S: +00000 OK
         C: poplnklist
         S: +00100 OK
         S: \"example.test\"\t\"alice\"\t\"pop.test\"\t\"r\"\t\"\"\t\"CLR\"\t\"ON\"
         S: .
         C: userlist\texample.test\talice
         S: +00100 OK
         S: \"example.test\"\t\"alice\"\t\"\"\t\"U\"
         S: .",
    );
}

#[test]
fn variables_keep_comments_and_order() {
    let mut scene = Scene::new();
    let file = "domains/example.test/alice/user.tab";
    scene.put(file, "# mine\n\"RealName\"\t\"Alice\"\n\n\"Dup\"\t\"1\"\n\"Dup\"\t\"2\"\n");
    scene.talk(
        "C: uservarsset\texample.test\talice\tRealName\tsay \"hi\"\tNew\t  x  \tGone\t.|rm
         S: +00000 OK
         C: uservars\texample.test\talice
         S: +00100 OK
         S: \"RealName\"\t\"say \"hi\"\"
         S: \"Dup\"\t\"1\"
         S: \"Dup\"\t\"1\"
         S: \"New\"\t\"  x  \"
         S: .
         C: uservarsset\texample.test\talice\tNew\t.|rm
         S: +00000 OK
         C: uservarsset\texample.test\talice\tOdd
         S: -00103 Bad CTRL command syntax
         C: uservarsset\texample.test\talice\tEnd\tbackslash\\
         S: -00103 Bad CTRL command syntax
         C: uservars\texample.test\tnosuch
         S: -00157 Record not found in TAB file
         C: uservars\tnosuch.test\tx
         S: -00059 POP3 domain not handled",
    );
    let expected = "# mine\n\"RealName\"\t\"say \\\"hi\\\"\"\n\n\"Dup\"\t\"1\"\n\"Dup\"\t\"2\"\n";
    assert_eq!(scene.text(file), expected);
}

#[test]
fn status_of_a_mailbox() {
    let mut scene = Scene::new();
    scene.put("domains/example.test/alice/Maildir/new/1", "12345");
    scene.put("aliases.tab", "\"example.test\"\t\"al\"\t\"alice\"\n");
    scene.talk(
        "C: userstat\texample.test\tal
         S: +00100 OK
         S: \"RealAddress\"\t\"alice@example.test\"
         S: \"MailboxSize\"\t\"5\"
         S: \"MailboxMessages\"\t\"1\"
         S: \"LastLoginTimeDate\"\t\"Mon, 23 Nov 2026 10:33:49 +0000\"
         S: \"LastLoginIP\"\t\"0.0.0.0\"
         S: .
         C: userstat\tnosuch.test\tx
         S: -00157 Record not found in TAB file
         C: useradd\texample.test\tlist\tx\tM
         S: +00000 OK
         C: userstat\texample.test\tlist
         S: -00097 Error in function {opendir}",
    );
}

#[test]
fn mail_processing_files() {
    let mut scene = Scene::new();
    scene.talk(
        "C: usergetmproc\texample.test\tbob
         S: -00116 User mail processing file not present
         C: usersetmproc\texample.test\tnosuch
         S: -00157 Record not found in TAB file
         C: usersetmproc\texample.test\tbob
         S: +00101 OK
         C: \"redirect\"\t\"x@y.test\"
         C: ..dotline
         C: .
         S: +00000 OK
         C: usersetmproc\texample.test\tbob\tD
         S: +00101 OK
         C: \"mailbox\"
         C: .
         S: +00000 OK
         C: usergetmproc\texample.test\tbob\tUD
         S: +00100 OK
         S: \"mailbox\"
         S: \"redirect\"\t\"x@y.test\"
         S: ..dotline
         S: .
         C: usergetmproc\texample.test\tbob\tU
         S: +00100 OK
         S: \"redirect\"\t\"x@y.test\"
         S: ..dotline
         S: .
         C: usersetmproc\texample.test\tbob
         S: +00101 OK
         C: .
         S: +00000 OK
         C: usergetmproc\texample.test\tbob\tU
         S: -00116 User mail processing file not present",
    );
    assert_eq!(scene.text("domains/example.test/mailproc.tab"), "\"mailbox\"\n");
    assert!(!scene.path("domains/example.test/bob/mailproc.tab").exists());
}

#[test]
fn an_upload_that_cannot_be_taken_is_read_to_its_end() {
    let mut scene = Scene::new();
    scene.talk("C: usersetmproc\texample.test\tbob\nS: +00101 OK");
    scene.say(&vec![b'x'; UPLOAD_LINE_BYTES_MAX]);
    scene.talk("C: \"mailbox\"\nC: .\nS: -00162 Stream line too long\nC: noop\nS: +00000 OK");
    assert!(!scene.path("domains/example.test/bob/mailproc.tab").exists());
}

#[test]
fn aliases() {
    let mut scene = Scene::new();
    scene.talk(
        "C: aliasadd\texample.test\tal1\tbob
         S: +00000 OK
         C: aliasadd\texample.test\tAL1\tbob
         S: -00026 Alias already exist
         C: aliasadd\texample.test\tal2\tbob@example.test
         S: +00000 OK
         C: aliasadd\texample.test\tal3\tremote@elsewhere.test
         S: -00157 Record not found in TAB file
         C: aliasadd\tnosuch.test\tx\tbob
         S: -00157 Record not found in TAB file
         C: aliasadd\t*\tpostm\tpostmaster@example.test
         S: +00000 OK
         C: aliasadd\texample.test\tBOB\talice
         S: -00013 User already exist
         C: aliasadd\texample.test\tbad name\tbob
         S: +00000 OK
         C: useradd\texample.test\tal1\tx\tU
         S: -00026 Alias already exist
         C: aliaslist\texample.test\t*\tbob
         S: +00100 OK
         S: \"example.test\"\t\"al1\"\t\"bob\"
         S: \"example.test\"\t\"bad name\"\t\"bob\"
         S: .
         C: aliasdel\texample.test\tal1
         S: +00000 OK
         C: aliasdel\texample.test\tal1
         S: -00028 Alias not found
         C: userdel\texample.test\tbob
         S: +00000 OK
         C: aliaslist
         S: +00100 OK
         S: \"*\"\t\"postm\"\t\"postmaster@example.test\"
         S: .",
    );
}

#[test]
fn external_aliases() {
    let mut scene = Scene::new();
    scene.talk(
        "C: exaliasadd\talice@example.test\talice@outside.test
         S: +00000 OK
         C: exaliasadd\tbob@example.test\tALICE@outside.test
         S: -00067 External alias already exist
         C: exaliasadd\tbad\tworse
         S: -00132 Bad tag ( From: , etc ... ) address
         C: exaliasadd\tbob@example.test\tBob@Outside.test
         S: +00000 OK
         C: exaliaslist\t*@example.test
         S: +00100 OK
         S: \"outside.test\"\t\"alice\"\t\"example.test\"\t\"alice\"
         S: \"Outside.test\"\t\"Bob\"\t\"example.test\"\t\"bob\"
         S: .
         C: exaliaslist\talice@*\t*outside*
         S: -00132 Bad tag ( From: , etc ... ) address
         C: exaliasdel\talice@outside.test
         S: +00000 OK
         C: exaliasdel\talice@outside.test
         S: -00069 External alias not found
         C: userdel\texample.test\tbob
         S: +00000 OK
         C: exaliaslist
         S: +00100 OK
         S: .",
    );
}

#[test]
fn list_members() {
    let mut scene = Scene::new();
    scene.talk(
        "C: useradd\texample.test\tnews\tx\tM
         S: +00000 OK
         C: mluseradd\texample.test\tnews\ta@x.test
         S: +00000 OK
         C: mluseradd\texample.test\tnews\tA@x.test
         S: -00052 Mailing list user already exist
         C: mluseradd\texample.test\tnews\td@x.test\tZZ
         S: +00000 OK
         C: mluseradd\texample.test\tnews\tnotanaddress
         S: -00132 Bad tag ( From: , etc ... ) address
         C: mluseradd\texample.test\talice\ta@x.test
         S: -00050 User is not a mailing list
         C: mluserlist\texample.test\tnosuch
         S: -00157 Record not found in TAB file
         C: mluserlist\texample.test\tnews
         S: +00100 OK
         S: \"a@x.test\"\t\"RW\"
         S: \"d@x.test\"\t\"ZZ\"
         S: .
         C: mluserdel\texample.test\tnews\ta@x.test
         S: +00000 OK
         C: mluserdel\texample.test\tnews\ta@x.test
         S: -00053 Mailing list user not found",
    );
    // A blank line crashes XMail (decision 46).
    scene.put("domains/example.test/news/mlusers.tab", "\n# c\n\"b@x.test\"\n\"\"\n");
    scene.talk("C: mluserlist\texample.test\tnews\nS: +00100 OK\nS: \"b@x.test\"\t\"RW\"\nS: .");
}

#[test]
fn domains_and_all_that_hangs_on_them() {
    let mut scene = Scene::new();
    scene.talk(
        "C: domainadd\tMiXeD.test
         S: +00000 OK
         C: domainadd\tmixed.test
         S: -00231 Already exist
         C: domainadd\tbad domain
         S: -00260 Invalid host name
         C: domainlist\t*d.test
         S: +00100 OK
         S: \"second.test\"
         S: \"mixed.test\"
         S: .
         C: useradd\tmixed.test\tu3\tp3\tU
         S: +00000 OK
         C: aliasadd\tmixed.test\tal\tu3
         S: +00000 OK
         C: exaliasadd\tu3@mixed.test\tu3@outside.test
         S: +00000 OK
         C: poplnkadd\tmixed.test\tu3\tpop.test\tr\tp\tCLR
         S: +00000 OK
         C: aliasdomainadd\tmixed.test\tadom.test
         S: +00000 OK
         C: domainadd\tadom.test
         S: -00231 Already exist
         C: domaindel\tadom.test
         S: -00059 POP3 domain not handled",
    );
    assert!(scene.path("cmdaliases/mixed.test").is_dir());
    scene.talk(
        "C: domaindel\tMIXED.test\nS: +00000 OK\nC: domaindel\tmixed.test\nS: -00059 POP3 domain not handled",
    );
    for table in ["domains", "mailusers", "aliases", "extaliases", "pop3links", "aliasdomain"] {
        assert!(!scene.text(&format!("{table}.tab")).contains("mixed.test"), "{table}");
    }
    assert!(!scene.path("domains/mixed.test").exists() && !scene.path("cmdaliases/mixed.test").exists());
    assert!(scene.text("mailusers.tab").contains("carol"));
}

#[test]
fn alias_domains() {
    let mut scene = Scene::new();
    scene.talk(
        "C: aliasdomainadd\texample.test\tadom.test
         S: +00000 OK
         C: aliasdomainadd\texample.test\tADOM.test
         S: -00205 Domain alias already exist
         C: aliasdomainadd\texample.test\t*.adom.test
         S: +00000 OK
         C: aliasdomainadd\tnosuch.test\tx.test
         S: -00059 POP3 domain not handled
         C: aliasdomainadd\texample.test\tsecond.test
         S: -00205 Domain alias already exist
         C: aliasdomainlist\t*\t*.adom*
         S: +00100 OK
         S: \"example.test\"\t\"*.adom.test\"
         S: .
         C: aliasdomaindel\t*.adom.test
         S: +00000 OK
         C: aliasdomaindel\t*.adom.test
         S: -00206 Domain alias not found
         C: userdel\tadom.test\talice
         S: -00012 User not found",
    );
    assert_eq!(scene.text("aliasdomain.tab"), "\"adom.test\"\t\"example.test\"\n");
}

#[test]
fn custom_domains() {
    let mut scene = Scene::new();
    scene.put("custdomains/.parent.test.tab", "\"smtp\"\n");
    scene.talk(
        "C: custdomget\tc1.test
         S: -00120 Not a custom domain
         C: custdomget\tx.Parent.test
         S: +00100 OK
         S: \"smtp\"
         S: .
         C: custdomset\tUP.test
         S: +00101 OK
         C: \"redirect\"\t\"x@y.test\"
         C: .
         S: +00000 OK
         C: custdomset\t.c2.test
         S: -00132 Bad tag ( From: , etc ... ) address
         C: custdomlist
         S: +00100 OK
         S: \".parent.test\"
         S: \"up.test\"
         S: .
         C: custdomset\tup.test
         S: +00101 OK
         C: .
         S: +00000 OK
         C: custdomset\tnosuch.test
         S: +00101 OK
         C: .
         S: +00000 OK
         C: custdomlist
         S: +00100 OK
         S: \".parent.test\"
         S: .",
    );
}

#[test]
fn links_to_accounts_elsewhere() {
    let mut scene = Scene::new();
    scene.talk(
        "C: poplnkadd\texample.test\talice\tpop.test\tr\trempw\tCLR
         S: +00000 OK
         C: poplnkadd\tEXAMPLE.test\talice\tpop.test\tr\tother\tCLR
         S: -00044 POP3 link already exist
         C: poplnkadd\texample.test\tnosuch\tpop.test\tr\tp\tCLR
         S: +00000 OK
         C: poplnkadd\t@example.test\tall\tp4.test:995\tr\tp\tAPOP,Leave=1
         S: +00000 OK
         C: poplnkenable\t0\texample.test\talice
         S: +00000 OK
         C: poplnkenable\t0\t@example.test\tall\tp4.test:995\tr
         S: +00000 OK
         C: poplnkenable\t0\texample.test\talice\tnosuch.test\tx
         S: -00046 POP3 link not found
         C: poplnklist
         S: +00100 OK
         S: \"example.test\"\t\"alice\"\t\"pop.test\"\t\"r\"\t\"rempw\"\t\"CLR\"\t\"OFF\"
         S: \"example.test\"\t\"nosuch\"\t\"pop.test\"\t\"r\"\t\"p\"\t\"CLR\"\t\"OFF\"
         S: \"@example.test\"\t\"all\"\t\"p4.test:995\"\t\"r\"\t\"p\"\t\"APOP,Leave=1\"\t\"OFF\"
         S: .",
    );
    let note = "domains/example.test/alice/r@pop.test.disabled";
    assert_eq!(scene.text(note), "23 Nov 2026 10:33:49 UTC\n");
    assert!(scene.path("pop3links/r@p4.test:995.disabled").exists());
    scene.put("msgsync/p4.test_995/r.uidb", "1\n");
    scene.talk(
        "C: poplnkenable\t1\texample.test\talice
         S: +00000 OK
         C: poplnkdel\t@example.test\tall\tp4.test:995\tr
         S: +00000 OK
         C: poplnkdel\t@example.test\tall\tp4.test:995\tr
         S: -00046 POP3 link not found
         C: poplnklist\texample.test\tALICE
         S: +00100 OK
         S: \"example.test\"\t\"alice\"\t\"pop.test\"\t\"r\"\t\"rempw\"\t\"CLR\"\t\"ON\"
         S: .",
    );
    for gone in [note, "pop3links/r@p4.test:995.disabled", "msgsync/p4.test_995/r.uidb"] {
        assert!(!scene.path(gone).exists(), "{gone}");
    }
}

#[test]
fn files_are_listed() {
    let mut scene = Scene::new();
    scene.talk(
        "C: filelist\tdomains/example.test/alice\t*
         S: +00100 OK
         S: \"user.tab\"\t\"22\"
         S: .
         C: filelist\t.\tdomains.*
         S: +00100 OK
         S: \"domains.tab\"\t\"29\"
         S: .
         C: filelist\t.\t.tabmail*
         S: +00100 OK
         S: .
         C: filelist\t../..\t*
         S: -00214 Error in relative path syntax
         C: filelist\t/etc\tpass*
         S: -00211 Listing directory not found",
    );
}

#[test]
fn tables_are_read_and_replaced_whole() {
    let mut scene = Scene::new();
    scene.talk(
        "C: cfgfileget\tctrlaccounts.tab
         S: +00100 OK
         S: \"admin\"\t\"0401080c0b1512\"
         S: \"other\"\t\"0a451512\"
         S: #ghost\t\"0401\"
         S: .
         C: cfgfileset\tsmtprelay.tab
         S: +00101 OK
         C: # comment kept?
         C: \"10.1.2.3\"\t\"255.255.255.255\"
         C:
         C: ..dot line
         C: .
         S: +00000 OK
         C: cfgfileget\tsmtprelay.tab
         S: +00100 OK
         S: # comment kept?
         S: \"10.1.2.3\"\t\"255.255.255.255\"
         S:
         S: ..dot line
         S: .",
    );
    let expected = "# comment kept?\n\"10.1.2.3\"\t\"255.255.255.255\"\n\n.dot line\n";
    assert_eq!(scene.text("smtprelay.tab"), expected);
    assert_eq!(scene.tables.fresh().smtp_relay.rows().len(), 1);
}

#[test]
fn a_table_that_would_lose_rows_is_refused() {
    let mut scene = Scene::new();
    let before = scene.text("mailusers.tab");
    for bad in [
        "\"replaced\"\t\"by\"\t\"cfgfileset\"",
        "\"d\"\t\"u\"\t\"\"\t1\t\"../x\"\t\"U\"",
        "\"d\"\t\"u\"\t\"\"\t1\t\"x\"\t\"U",
    ] {
        scene.talk(&format!(
            "C: cfgfileset\tmailusers.tab\nS: +00101 OK\nC: {bad}\nC: .\nS: -00020 Invalid file structure"
        ));
    }
    assert_eq!(scene.text("mailusers.tab"), before);
    // An empty upload deletes, but not what XMail cannot start without.
    scene.talk("C: cfgfileset\tsmtprelay.tab\nS: +00101 OK\nC: .\nS: +00000 OK");
    assert!(!scene.path("smtprelay.tab").exists());
    scene.talk("C: cfgfileset\taliases.tab\nS: +00101 OK\nC: .\nS: +00000 OK");
    assert_eq!(scene.text("aliases.tab"), "");
}

#[test]
fn only_the_files_of_a_mailroot_are_reached() {
    let mut scene = Scene::new();
    scene.put("server.key", "secret\n");
    scene.put("message.id", "7\r\n");
    scene.put("victim.tab", "victim\n");
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.tab"), "outside\n").unwrap();
    std::os::unix::fs::symlink(outside.path(), scene.path("custdomains/link.tab")).unwrap();
    std::os::unix::fs::symlink(outside.path(), scene.path("cmdaliases/linked")).unwrap();
    for file in [
        "server.key",
        "message.id",
        "victim.tab",
        "nosuch.tab",
        "logs",
        "/etc/hostname",
        "custdomains/link.tab",
        "cmdaliases/linked/x.tab",
        "domains/example.test/alice/Maildir/new/user.tab",
        "bin/x.tab",
    ] {
        scene.talk(&format!("C: cfgfileget\t{file}\nS: -00019 Unable to open file"));
        scene.talk(&format!("C: cfgfileset\t{file}\nS: -00010 Unable to create file"));
    }
    for file in ["../../etc/hostname", "../outside.tab", "domains/../server.tab", "custdomains\\x.tab"] {
        scene.talk(&format!("C: cfgfileget\t{file}\nS: -00214 Error in relative path syntax"));
        scene.talk(&format!("C: cfgfileset\t{file}\nS: -00214 Error in relative path syntax"));
    }
    scene.talk(
        "C: cfgfileset\tdomains/example.test/nobody/user.tab
         S: +00101 OK
         C: \"a\"\t\"b\"
         C: .
         S: -00010 Unable to create file
         C: cfgfileset\tfilters/av.tab
         S: +00101 OK
         C: \"/opt/av\"\t\"@@FILE\"
         C: .
         S: +00000 OK",
    );
    assert_eq!(fs::read_to_string(outside.path().join("x.tab")).unwrap(), "outside\n");
}

#[test]
fn names_do_not_lead_out_of_their_directories() {
    let mut scene = Scene::new();
    for (command, reply) in [
        ("useradd\texample.test\tslash/../x\tp\tU", "-00216 Name does not respect RFC822"),
        ("useradd\texample.test\ta/b\tp\tU", "-00216 Name does not respect RFC822"),
        ("useradd\texample.test\t..\tp\tU", "-00216 Name does not respect RFC822"),
        ("useradd\texample.test\tmailproc.tab\tp\tU", "-00216 Name does not respect RFC822"),
        ("useradd\t../example.test\tx\tp\tU", "-00059 POP3 domain not handled"),
        ("userdel\texample.test\t../alice", "-00012 User not found"),
        ("domainadd\t../evil", "-00132 Bad tag ( From: , etc ... ) address"),
        ("domainadd\ta/b", "-00132 Bad tag ( From: , etc ... ) address"),
        ("domaindel\t..", "-00059 POP3 domain not handled"),
        ("custdomget\ta/b", "-00132 Bad tag ( From: , etc ... ) address"),
        ("custdomset\t../evil", "-00132 Bad tag ( From: , etc ... ) address"),
        ("poplnkadd\t@d\tall\tp.test\t../../x\tp\tCLR", "-00214 Error in relative path syntax"),
        ("poplnkadd\t@d\tall\t../p\tx\tp\tCLR", "-00214 Error in relative path syntax"),
        ("frozdel\t0\t0\t../../../../server.tab", "-00214 Error in relative path syntax"),
        ("queuedel\t0/0/../../../../server.tab", "-00214 Error in relative path syntax"),
        ("queuetry\t0/0", "-00019 Unable to open file"),
        ("queuedel\tx/0/1.a", "-00019 Unable to open file"),
        ("queuefrz\t0/0/../../../../server.tab", "-00214 Error in relative path syntax"),
        ("srvstop", "-00129 Server too busy, retry later"),
        ("srvopen\tsmtp", "-00129 Server too busy, retry later"),
        ("frozgetmsg\t0\t0\t../../../../server.tab", "-00214 Error in relative path syntax"),
        ("frozgetlog\t0\t0\t../x", "-00214 Error in relative path syntax"),
        ("frozsubmit\t0\t0\t../x", "-00214 Error in relative path syntax"),
        ("frozgetmsg\t../..\t.\tserver.tab", "-00019 Unable to open file"),
        ("filelist\tdomains/..\t*", "-00214 Error in relative path syntax"),
    ] {
        scene.talk(&format!("C: {command}\nS: {reply}"));
    }
    assert!(scene.path("server.tab").exists());
    assert_eq!(fs::read_dir(scene.path("domains/example.test")).unwrap().count(), 3);
}

#[test]
fn frozen_messages() {
    let mut scene = Scene::new();
    let name = "1795429991410.7f1a.15a.3.mail.example.test";
    let message = "[127.0.0.1]:44926;[127.0.0.1]:2525;Mon, 23 Nov 2026 10:33:11 -0000\r\nmx.example.test\r\nS2\r\n\
                   MAIL FROM:<alice@example.test>\r\nRCPT TO:<t451@sink.test>\r\n<<MAIL-DATA>>\r\nSubject: x\r\n\r\n..\r\n";
    scene.put(&format!("spool/1/0/froz/{name}"), message);
    scene.put(
        &format!("spool/1/0/slog/{name}"),
        "[PeekTime] 1795429991 : Mon, 23 Nov 2026 10:33:11 +0000\n<<\nErrCode   = -77\n>>\n",
    );
    scene.talk(&format!(
        "C: frozlist
         S: +00100 OK
         S: \"{name}\"\t\"1\"\t\"0\"\t\"<alice@example.test>\"\t\"<t451@sink.test>\"\t\"2026-11-23 10:33:11\"\t\"{}\"\t\"1\"\t\"froz\"
         S: .
         C: frozgetlog\t1\t0\t{name}
         S: +00100 OK
         S: [PeekTime] 1795429991 : Mon, 23 Nov 2026 10:33:11 +0000
         S: <<
         S: ErrCode   = -77
         S: >>
         S: .
         C: frozgetmsg\t99\t99\t{name}
         S: -00019 Unable to open file
         C: frozsubmit\t1\t0\t{name}
         S: +00000 OK
         C: frozsubmit\t1\t0\t{name}
         S: -00164 Unable to move file
         C: frozdel\t1\t0\t{name}
         S: +00000 OK
         C: frozlist
         S: +00100 OK
         S: .
         C: etrn\t*@sink.test\tsink.test
         S: +00000 OK",
        message.len()
    ));
    assert!(scene.path(&format!("spool/1/0/mess/{name}")).exists());
    scene.talk(&format!("C: queuefrz\t1/0/{name}\t1/0/1.gone\nS: +00000 OK"));
    assert!(scene.path(&format!("spool/1/0/froz/{name}")).exists(), "it waited for its next attempt");
    scene.talk(&format!("C: frozsubmit\t1\t0\t{name}\nS: +00000 OK"));
    scene.talk(&format!("C: queuedel\t1/0/{name}\t1/0/1.gone\nS: +00000 OK"));
    assert!(!scene.path(&format!("spool/1/0/mess/{name}")).exists(), "it waited for its next attempt");
    scene.put(&format!("spool/1/0/froz/{name}"), message);
    scene.say(format!("frozgetmsg\t1\t0\t{name}").as_bytes());
    let lines: Vec<String> = scene.heard.drain(..).collect();
    assert_eq!(lines[lines.len() - 3..], ["", "...", "."]);
    scene.talk(&format!("C: frozdel\t1\t0\t{name}\nS: +00000 OK"));
    assert!(!scene.path(&format!("spool/1/0/froz/{name}")).exists());
}

#[test]
fn an_account_goes_with_its_directory() {
    let mut scene = Scene::new();
    scene.talk(
        "C: userdel\texample.test\talice
         S: +00000 OK
         C: userdel\texample.test\talice
         S: -00012 User not found
         C: userdel\tnosuch.test\tx
         S: -00059 POP3 domain not handled
         C: useradd\texample.test\talice\tnew\tU
         S: +00000 OK
         C: uservars\texample.test\talice
         S: +00100 OK
         S: \"RealName\"\t\"New User\"
         S: \"MaxMBSize\"\t\"10000\"
         S: \"SmtpPerms\"\t\"MR\"
         S: .",
    );
}

#[test]
fn a_directory_that_two_rows_share_stays_with_the_other() {
    let mut scene = Scene::new();
    let table = scene.text("mailusers.tab") + "\"example.test\"\t\"twin\"\t\"\"\t9\t\"alice\"\t\"U\"\n";
    scene.put("mailusers.tab", &table);
    scene.talk("C: userdel\texample.test\talice\nS: +00000 OK");
    assert!(scene.path("domains/example.test/alice/user.tab").exists());
}

#[test]
fn two_sessions_that_add_users_lose_no_row() {
    const EACH: usize = 15;
    let scene = Scene::new();
    std::thread::scope(|threads| {
        for session in 0..3 {
            let admin = &scene.admin;
            threads.spawn(move || {
                for number in 0..EACH {
                    admin.add_user("example.test", &format!("u{session}x{number}"), b"p", "U").unwrap();
                    // All three try this one; one wins.
                    let _ = admin.add_user("example.test", &format!("same{number}"), b"p", "U");
                }
            });
        }
    });
    let tables = scene.tables.fresh();
    assert_eq!(tables.users.rows().len(), 4 + 4 * EACH);
    let mut ids: Vec<u64> = tables.users.rows().iter().map(|account| account.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4 + 4 * EACH, "each account has an id of its own");
    assert!(!tables.users.problems().iter().any(|problem| problem.line > 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_line_makes_a_session_panic_or_write_outside(lines in prop::collection::vec(
        prop_oneof![
            "[^\r\n]{0,40}",
            "(useradd|userdel|domainadd|custdomset|cfgfileset|poplnkadd|filelist|frozdel|usersetmproc|aliasadd)\
             (\t([a-z./@\\\\*é]{1,8}|example.test)){1,6}",
        ],
        1..12,
    )) {
        let above = tempfile::tempdir().unwrap();
        let root = TempDir::new_in(above.path()).unwrap();
        fs::write(root.path().join("domains.tab"), "\"example.test\"\n").unwrap();
        fs::write(root.path().join("ctrlaccounts.tab"), "\"admin\"\t\"0401080c0b1512\"\n").unwrap();
        let mut scene = Scene::on(root);
        scene.say(b"admin\tadminpw");
        for line in lines {
            if !scene.closed {
                scene.say(line.as_bytes());
            }
        }
        prop_assert_eq!(fs::read_dir(above.path() as &Path).unwrap().count(), 1);
    }
}

#[test]
fn tables_are_looked_at_and_their_faults_told() {
    let mut scene = Scene::new();
    scene.put("aliases.tab", "\"example.test\"\t\"x\"\t\"alice\"\n");
    scene.talk("C: tabreload\nS: +00000 OK\nC: TabReload\twait\nS: +00000 OK");
    scene.put("aliases.tab", "\"example.test\"\t\"y\"\t\"alice\"\n\"z\"\n");
    scene.talk(
        "C: tabreload\tnow
         S: -00103 Bad CTRL command syntax
         C: tabreload
         S: -00020 Invalid file structure",
    );
    scene.say(b"tabstat");
    let lines: Vec<String> = scene.heard.drain(..).collect();
    assert_eq!(lines[0], "+00100 OK");
    assert!(
        lines[1].starts_with("\"generation\"\t\"") && lines[1].contains("\t\"kept\"\t\"1\"\t"),
        "{lines:?}"
    );
    let row: Vec<&str> =
        lines.iter().find(|line| line.contains("aliases.tab")).unwrap().split('\t').collect();
    assert_eq!(row[..2], ["\"aliases.tab\"", "\"rejected\""]);
    assert_eq!(row[3..8], ["\"1\"", "\"2\"", "\"0\"", "\"TAB002\"", "\"error\""]);
    scene.say(b"tabdiff");
    let lines: Vec<String> = scene.heard.drain(..).collect();
    let is_told = |name: &str, summary: &str| {
        lines.iter().any(|line| line.starts_with(&format!("\"mail to\"\t\"{name}\"\t\"{summary}\"\t")))
    };
    assert!(is_told("x@example.test", "loses its mailbox"), "{lines:?}");
    assert!(is_told("y@example.test", "gains a mailbox"), "{lines:?}");
    scene.talk(
        "C: aliasadd\texample.test\tw\tbob
         S: -00020 Invalid file structure
         C: tabreload\tforce
         S: +00000 OK
         C: aliasadd\texample.test\tw\tbob
         S: +00000 OK",
    );
    assert_eq!(scene.text("aliases.tab").lines().count(), 3);
}
