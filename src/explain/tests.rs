mod within;

use std::fs;
use std::path::Path;

use super::render::Renderer;
use super::rows::Rows;
use super::*;
use crate::durable::Disk;
use crate::language::Language;
use crate::mailbox::Kind;
use crate::mailroot::MailRoot;
use crate::mailroot::made::{self, write};
use crate::spool::{self, Header, JournalSizes, Lane, MailData, NewMessage, Spool};

const TABLES: &[(&str, &str)] = &[
    ("server.tab", "\"RootDomain\"\t\"home.test\"\n\"SmtpServerDomain\"\t\"home.test\"\n"),
    ("domains.tab", "\"home.test\"\n"),
    ("aliasdomain.tab", "\"alias.test\"\t\"home.test\"\n\"al*.test\"\t\"nowhere.test\"\n"),
    (
        "mailusers.tab",
        "\"home.test\"\t\"anna\"\t\"1d0a\"\t1\t\"anna\"\t\"U\"\n\"home.test\"\t\"bert\"\t\"1d0a\"\t2\t\"bert\"\t\"U\"\n\
         \"home.test\"\t\"all\"\t\"\"\t3\t\"all\"\t\"M\"\n\"home.test\"\t\"anna\"\t\"00\"\t4\t\"x\"\t\"U\"\n\
         \"home.test\"\t\"lost\"\t\"1d0a\"\t5\t\"lost\"\t\"U\"\n",
    ),
    (
        "aliases.tab",
        "\"home.test\"\t\"info\"\t\"anna\"\n\"home.test\"\t\"*\"\t\"bert\"\n\"home.test\"\t\"in*\"\t\"anna\"\n\
         \"home.test\"\t\"anna\"\t\"bert\"\n\"home.test\"\t\"gone\"\t\"nobody\"\n",
    ),
    ("cmdaliases/home.test/robot.tab", "\"mailbox\"\n\"external\"\t\"0\"\t\"5\"\t\"/bin/robot\"\t\"x\"\n"),
    ("custdomains/cust.test.tab", "\"smtprelay\"\t\"relay.test:26\"\n"),
    (
        "domains/home.test/bert/mailproc.tab",
        "\"mailbox\"\n\"redirect\"\t\"info@alias.test\"\t\"x@far.example\"\n",
    ),
    ("domains/home.test/bert/user.tab", "\"MaxMBSize\"\t\"1\"\n\"SmtpPerms\"\t\"M\"\n"),
    ("domains/home.test/all/mlusers.tab", "\"bert@home.test\"\t\"RW\"\n\"bad\"\n\"all@home.test\"\n"),
    ("domains/home.test/all/user.tab", "\"ListSender\"\t\"boss@home.test\"\n"),
    (
        "smtp.ipmap.tab",
        "\"10.0.0.0/8\"\t\"-\"\t\"DENY\"\t1\n\"10.0.0.1/32\"\t\"-\"\t\"ALLOW\"\t2\n\"10.0.0.1/32\"\t\"-\"\t\"DENY\"\t-1\n",
    ),
    ("smtprelay.tab", "\"10.0.0.1/32\"\n"),
    ("smtpgw.tab", "\"gw.example\"\t\"@hop.test\"\n"),
    ("smtpfwd.tab", "\"far.example\"\t\"relay.example:2525\"\n\"*\"\t\"smart.example\"\n"),
    ("filters.in.tab", "\"*\"\t\"anna@home.test\"\t\"0.0.0.0/0\"\t\"0.0.0.0/0\"\t\"scan.tab\"\n"),
    ("filters/scan.tab", "\"/bin/scan\"\t\"@@FILE\"\n"),
];

fn settings(root: &Path) -> Settings {
    let root = MailRoot::new(root);
    Settings {
        snapshot: Arc::new(Snapshot::load(&root)),
        mailboxes: Mailboxes::new(root, Kind::Maildir, Disk::default()),
        resolver: None,
        asks_about_peer: false,
        clock: Clock::manual(jiff::Timestamp::from_second(1_795_430_000).unwrap()),
        recipients_max: 100,
        pop_auth_lifetime: Duration::from_secs(900),
        retry: RetryPlan::default(),
        is_tls_available: false,
        within: None,
    }
}

fn root() -> tempfile::TempDir {
    let directory = made::mail_root(TABLES);
    for account in ["anna", "bert", "all"] {
        fs::create_dir_all(directory.path().join(format!("domains/home.test/{account}/Maildir/new")))
            .unwrap();
    }
    directory
}

fn client(peer: &str) -> Client {
    Client {
        peer: SocketAddr::new(peer.parse().unwrap(), 1),
        local: "127.0.0.1:25".parse().unwrap(),
        helo: "c.test".into(),
        is_tls: false,
        login: None,
        sender: "s@c.example".into(),
        size_bytes: 0,
        content: None,
    }
}

/// The text of an explanation without its heads and numbers.
fn lines(text: &str) -> Vec<String> {
    let is_step = |line: &&str| line.starts_with(' ');
    let number = |line: &str| {
        line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim().to_owned()
    };
    text.lines()
        .filter(is_step)
        .map(number)
        .chain(text.lines().filter(|line| !is_step(line)).map(str::to_owned))
        .collect()
}

#[track_caller]
fn check_text(text: &str, expected: &[&str], absent: &[&str]) {
    let found = lines(text);
    for line in expected {
        assert!(found.iter().any(|found| found == line), "missing: {line}\n{text}");
    }
    for part in absent {
        assert!(!text.contains(part), "not expected: {part}\n{text}");
    }
}

/// The same steps with the same rows, each told in Chinese.
#[track_caller]
fn check_chinese(settings: &Settings, explanation: &Explanation, english: &str) {
    let rows = Rows::of(settings.snapshot.root());
    let text = Renderer::new(rows, settings.clock.clone(), Language::Chinese).text(explanation);
    let is_step = |line: &&str| line.starts_with("  ") && !line.starts_with("      ");
    let cited = |line: &str| {
        let step = line.split("  ->  ").next().filter(|_| line.contains("  ->  "));
        step.map(str::to_owned)
    };
    assert_eq!(text.lines().count(), english.lines().count(), "{text}");
    for (chinese, english) in text.lines().zip(english.lines()) {
        assert_eq!(cited(chinese), cited(english));
        assert!(!is_step(&english) || !chinese.is_ascii(), "{chinese}");
    }
    assert!(!text.lines().last().unwrap().is_ascii(), "{text}");
}

/// Issue 7, 5: an answer on a Chinese page.
#[tokio::test]
async fn the_answer_is_told_in_chinese_with_rows_and_replies_as_they_are() {
    let root = root();
    let settings = settings(root.path());
    let explanation = rcpt(&settings, &client("10.0.0.1"), "info@alias.test").await.unwrap();
    let rows = Rows::of(settings.snapshot.root());
    let text = Renderer::new(rows, settings.clock.clone(), Language::Chinese).text(&explanation);
    let expected = [
        "来自 10.0.0.1 的连接",
        "smtp.ipmap.tab:2  \"10.0.0.1/32\" \"-\" \"ALLOW\" \"2\"  ->  smtp.ipmap.tab 允许 10.0.0.1 连接",
        "aliasdomain.tab:1  \"alias.test\" \"home.test\"  ->  alias.test 是 home.test 的域别名",
        "未采用 aliases.tab:2  \"home.test\" \"*\" \"bert\"  （是通配符，完全相同的行优先）",
        "存入 anna@home.test 的邮箱",
        "去向：anna@home.test 的邮箱",
    ];
    check_text(&text, &expected, &["1d0a", "accepted", "ends:"]);
    assert!(text.ends_with(" OK\n") && text.contains("接受：250 "), "{text}");
    fs::create_dir(root.path().join("spool")).unwrap();
    let missing = message(&settings, "S9").await.unwrap_err();
    assert_eq!(super::render::trouble(Language::Chinese, &missing), "队列和 logs/smail-* 中都没有邮件 S9");
}

async fn check(client: Client, recipient: &str, is_good: bool, expected: &[&str]) {
    let root = root();
    let settings = settings(root.path());
    let explanation = rcpt(&settings, &client, recipient).await.unwrap();
    let mut renderer =
        Renderer::new(Rows::of(settings.snapshot.root()), settings.clock.clone(), Language::English);
    let text = renderer.text(&explanation);
    check_text(&text, expected, &["1d0a"]);
    check_chinese(&settings, &explanation, &text);
    assert_eq!(explanation.is_good(), is_good, "{text}");
    let json = renderer.json(&explanation);
    assert_eq!(json["ok"], is_good);
    assert!(!json.to_string().contains("1d0a"));
}

#[tokio::test]
async fn the_row_that_decides_and_those_that_nearly_did_are_cited() {
    check(
        client("192.0.2.1"),
        "info@alias.test",
        true,
        &[
            "aliasdomain.tab:1  \"alias.test\" \"home.test\"  ->  alias.test is another name of home.test",
            "not aliasdomain.tab:2  \"al*.test\" \"nowhere.test\"  (a pattern; the exact row comes before it)",
            "aliases.tab:1  \"home.test\" \"info\" \"anna\"  ->  info@home.test is an alias of anna",
            "not aliases.tab:2  \"home.test\" \"*\" \"bert\"  (a pattern; the exact row comes before it)",
            "mailusers.tab:1  \"home.test\" \"anna\" *** \"1\" \"anna\" \"U\"  ->  anna@home.test is an account",
            "not mailusers.tab:4  \"home.test\" \"anna\" *** \"4\" \"x\" \"U\"  (the same key again; the first row counts)",
            "filters.in.tab:1  \"*\" \"anna@home.test\" \"0.0.0.0/0\" \"0.0.0.0/0\" \"scan.tab\"  ->  filter (in, filters/scan.tab): /bin/scan would be run; taken to accept",
            "and filters/scan.tab:1  \"/bin/scan\" \"@@FILE\"",
            "ends: mailbox of anna@home.test",
            "accepted: 250 2.1.5 OK",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_longest_pattern_beats_shorter_ones_and_accounts_hide_aliases() {
    check(
        client("192.0.2.1"),
        "inbox@home.test",
        true,
        &[
            "aliases.tab:3  \"home.test\" \"in*\" \"anna\"  ->  inbox@home.test is an alias of anna",
            "not aliases.tab:2  \"home.test\" \"*\" \"bert\"  (a shorter pattern)",
        ],
    )
    .await;
    check(
        client("192.0.2.1"),
        "anna@home.test",
        true,
        &["not aliases.tab:4  \"home.test\" \"anna\" \"bert\"  (hidden: a real account has this name)"],
    )
    .await;
    check(
        client("192.0.2.1"),
        "gone@home.test",
        false,
        &[
            "aliases.tab:5  \"home.test\" \"gone\" \"nobody\"  ->  gone@home.test would be an alias of nobody, which is no account: the row does nothing",
            "no account and no alias is gone@home.test",
            "refused: 550 5.1.1 Mailbox unavailable <gone@home.test>",
        ],
    )
    .await;
}

#[tokio::test]
async fn command_files_and_lists_are_followed_to_their_ends() {
    check(
        client("192.0.2.1"),
        "bert@home.test",
        true,
        &[
            "domains/home.test/bert/user.tab:1  \"MaxMBSize\" \"1\"  ->  the mailbox holds 0 of 1024 bytes: there is room",
            "domains/home.test/bert/mailproc.tab:1  \"mailbox\"  ->  mailbox: carried out",
            "smtpfwd.tab:1  \"far.example\" \"relay.example:2525\"  ->  sent to relay.example:2525",
            "not smtpfwd.tab:2  \"*\" \"smart.example\"  (later in the file; the first row counts)",
            "ends: mailbox of bert@home.test",
            "ends: mailbox of anna@home.test",
            "ends: another server, by SMTP, for <x@far.example>: relay.example:2525",
        ],
    )
    .await;
    check(
        client("192.0.2.1"),
        "robot@home.test",
        true,
        &[
            "cmdaliases/home.test/robot.tab  ->  robot@home.test is a command alias",
            "not aliases.tab:2  \"home.test\" \"*\" \"bert\"  (hidden: a command alias has this name)",
            "cmdaliases/home.test/robot.tab:1  \"mailbox\"  ->  mailbox: does nothing here",
            "ends: program /bin/robot",
        ],
    )
    .await;
    check(
        client("192.0.2.1"),
        "all@home.test",
        true,
        &[
            "domains/home.test/all/mlusers.tab  ->  all@home.test gives a copy from boss@home.test to 2 members; 1 more have no valid address",
            "and domains/home.test/all/user.tab:1  \"ListSender\" \"boss@home.test\"",
            "ends: not followed: all@home.test, which was met already",
            "ends: mailbox of bert@home.test",
        ],
    )
    .await;
}

#[tokio::test]
async fn relaying_needs_a_row() {
    let denied = "no permission R, no row of smtprelay.tab and no custom domain: relaying is refused";
    check(client("192.0.2.1"), "x@far.example", false, &[denied, "refused: 550 5.7.1 Relay denied"]).await;
    check(
        client("10.0.0.1"),
        "x@gw.example",
        true,
        &[
            "smtp.ipmap.tab:2  \"10.0.0.1/32\" \"-\" \"ALLOW\" \"2\"  ->  smtp.ipmap.tab lets 10.0.0.1 connect",
            "not smtp.ipmap.tab:1  \"10.0.0.0/8\" \"-\" \"DENY\" \"1\"  (lower precedence)",
            "not smtp.ipmap.tab:3  \"10.0.0.1/32\" \"-\" \"DENY\" \"-1\"  (a negative precedence never applies)",
            "smtprelay.tab:1  \"10.0.0.1/32\"  ->  10.0.0.1 may relay",
            "smtpgw.tab:1  \"gw.example\" \"@hop.test\"  ->  smtpgw.tab: the way goes through @hop.test",
            "ends: another server, by SMTP, for <@hop.test:x@gw.example>: hop.test",
        ],
    )
    .await;
    check(
        client("10.0.0.2"),
        "anna@home.test",
        false,
        &["smtp.ipmap.tab:1  \"10.0.0.0/8\" \"-\" \"DENY\" \"1\"  ->  smtp.ipmap.tab denies 10.0.0.2: refused"],
    )
    .await;
    let with = |login: &str| Client { login: Some(login.into()), ..client("192.0.2.1") };
    check(
        with("bert@home.test"),
        "x@far.example",
        false,
        &["domains/home.test/bert/user.tab:2  \"SmtpPerms\" \"M\"  ->  bert@home.test has the permissions \"M\": may not relay", denied],
    )
    .await;
    check(with("anna@alias.test"), "x@far.example", true, &["the log-in has permission R: it may relay"])
        .await;
    check(with("nobody@home.test"), "x@far.example", false, &["nobody can log in as nobody@home.test"]).await;
    check(
        with("all@home.test"),
        "x@far.example",
        false,
        &["mailusers.tab:3  \"home.test\" \"all\" \"\" \"3\" \"all\" \"M\"  ->  all@home.test has no password, so nobody can log in with it"],
    )
    .await;
    check(
        client("192.0.2.1"),
        "x@cust.test",
        true,
        &[
            "custdomains/cust.test.tab  ->  cust.test is a custom domain: mail is taken from everybody",
            "custdomains/cust.test.tab:1  \"smtprelay\" \"relay.test:26\"  ->  smtprelay: carried out",
        ],
    )
    .await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let big = Client { size_bytes: 5000, ..client("192.0.2.1") };
    let room = "domains/home.test/bert/user.tab:1  \"MaxMBSize\" \"1\"  ->  the mailbox holds 0 of 1024 bytes: it does not fit";
    check(big, "bert@home.test", false, &[room]).await;
    let no_directory = "domains/home.test/lost/Maildir does not exist: mail is refused";
    check(client("192.0.2.1"), "lost@home.test", false, &[no_directory]).await;
    check(client("192.0.2.1"), "not an address", false, &[]).await;
}

#[tokio::test]
async fn a_message_tells_its_past_and_its_future() {
    let root = root();
    let name = "100.a.b.1.host";
    let file = "[1.2.3.4]:5;[127.0.0.1]:25;date\r\nhome.test\r\nS7\r\nMAIL FROM:<s@c.example>\r\nRCPT TO:<x@far.example>\r\n<<MAIL-DATA>>\r\nSubject: x\r\n\r\nhi\r\n";
    write(root.path(), format!("spool/0/1/rsnd/{name}"), file);
    let slog =
        "[PeekTime] 1795429000 : x\n<<\nErrCode   = -77\nErrString = no\nSMTP-Error = \"451 later\"\n>>\n";
    write(root.path(), format!("spool/0/1/slog/{name}"), slog);
    write(
        root.path(),
        "spool/0/0/froz/200.a.b.1.host",
        file.replace("S7", "S8").replace("x@far.example", "nobody@none.test"),
    );
    write(root.path(), "spool/0/0/mess/300.a.b.1.host", "rubbish");
    write(
        root.path(),
        "logs/smail-202611230000",
        "\"home.test\"\t\"90.a.b.1.host\"\t\"S6\"\t\"s@c.example\"\t\"anna@home.test\"\t\"LOCAL\"\t\"anna@home.test\"\t\"2026-11-23 10:33:05\"\t\"\"\n",
    );
    let settings = settings(root.path());
    let mut renderer =
        Renderer::new(Rows::of(settings.snapshot.root()), settings.clock.clone(), Language::English);
    for wanted in ["100.a", name, "s7", "spool/0/1/rsnd/100.a.b.1.host"] {
        let explanations = message(&settings, wanted).await.unwrap();
        check_text(
            &renderer.text(&explanations[0]),
            &[
                "spool/0/1/rsnd/100.a.b.1.host  ->  S7 from <s@c.example> to <x@far.example> waits for another attempt",
                "spool/0/1/slog/100.a.b.1.host:1  ->  tried Mon, 23 Nov 2026 10:16:40 +0000: 451 later",
                "attempt 2 of 32: Mon, 23 Nov 2026 10:24:40 +0000",
                "ends: another server, by SMTP, for <x@far.example>: relay.example:2525",
                "queued: the next attempt is to do the above",
            ],
            &[],
        );
    }
    write(root.path(), "spool/0/1/mess/400.a.b.1.host", file.replace("S7", "S5"));
    write(root.path(), "spool/0/1/slog/400.a.b.1.host", "[PeekTime] 1795429000 : x\r\n");
    let under_way = message(&settings, "S5").await.unwrap();
    check_text(
        &renderer.text(&under_way[0]),
        &[
            "spool/0/1/mess/400.a.b.1.host  ->  S5 from <s@c.example> to <x@far.example> is in its first attempt, or was when the server ended",
            "attempt 2 of 32: Mon, 23 Nov 2026 10:24:40 +0000",
        ],
        &[],
    );
    let frozen = message(&settings, "S8").await.unwrap();
    assert_eq!((&frozen[0].outcome, frozen[0].is_good()), (&Outcome::Frozen, false));
    let bad = message(&settings, "300").await.unwrap();
    assert!(matches!(&bad[0].outcome, Outcome::Unreadable(error) if error.contains("line 1")), "{bad:?}");
    let gone = message(&settings, "S6").await.unwrap();
    let expected = "logs/smail-202611230000:1  ->  2026-11-23 10:33:05: LOCAL anna@home.test, from <s@c.example> to <anna@home.test>";
    check_text(&renderer.text(&gone[0]), &[expected, "gone: it is not in the queue any more"], &[]);
    assert!(matches!(message(&settings, "S9").await, Err(ExplainError::NoSuchMessage(_))));
    assert!(matches!(message(&settings, "").await, Err(ExplainError::NoSuchMessage(_))));
    write(root.path(), "spool/0/0/mess/101.a.b.1.host", file);
    assert!(
        matches!(message(&settings, "10").await, Ok(found) if found.len() == 2),
        "one message, two recipients"
    );
    assert!(matches!(message(&settings, "1").await, Ok(found) if found.len() == 2));
    write(root.path(), "spool/0/0/mess/102.a.b.1.host", file.replace("S7", "S9"));
    assert!(
        matches!(message(&settings, "10").await, Err(ExplainError::Ambiguous { names, .. }) if names.len() == 3)
    );
}

/// Answered for, and neither delivered nor a spool file yet.
#[tokio::test]
async fn a_message_in_the_journal_only_is_seen() {
    let root = root();
    let settings = settings(root.path());
    let spool = spool(&settings);
    let new = |rcpt_to: &str| NewMessage {
        header: Header {
            trace: "[192.0.2.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 10:00:00 +0000".into(),
            smtp_domain: "home.test".into(),
            number: "S7".into(),
            mail_from: "MAIL FROM:<s@c.example>".into(),
            rcpt_to: format!("RCPT TO:<{rcpt_to}>").into(),
        },
        trace_fields: "".into(),
    };
    let data = MailData::from_bytes(b"Subject: x\r\n\r\nx\r\n".to_vec());
    let messages = vec![new("info@alias.test"), new("x@far.example")];
    let names = spool.submit(messages, data).await.unwrap();
    let mut renderer =
        Renderer::new(Rows::of(settings.snapshot.root()), settings.clock.clone(), Language::English);
    let found = message(&settings, "S7").await.unwrap();
    let [local, remote] = &found[..] else { panic!("{found:?}") };
    check_text(
        &renderer.text(local),
        &[
            "spool/.journal  ->  S7 from <s@c.example> to <info@alias.test> is in the journal, not yet delivered: it waits for its first attempt, or is in it",
            "attempt 1 of 32: Mon, 23 Nov 2026 10:33:20 +0000",
            "aliases.tab:1  \"home.test\" \"info\" \"anna\"  ->  info@home.test is an alias of anna",
            "ends: mailbox of anna@home.test",
            "queued: the next attempt is to do the above",
        ],
        &["tried"],
    );
    assert_eq!(renderer.json(local)["outcome"], "queued");
    let hop = "ends: another server, by SMTP, for <x@far.example>: relay.example:2525";
    check_text(&renderer.text(remote), &[hop], &[]);
    let by_name = message(&settings, names[1].file_name()).await.unwrap();
    assert_eq!(by_name.len(), 1);
    assert!(matches!(message(&settings, "S8").await, Err(ExplainError::NoSuchMessage(_))));

    let closed = spool.clone();
    tokio::task::spawn_blocking(move || closed.close()).await.unwrap().unwrap();
    let found = message(&settings, "S7").await.unwrap();
    assert_eq!(found.len(), 2);
    for explanation in &found {
        let text = renderer.text(explanation);
        assert!(text.contains("waits for its first attempt") && !text.contains("journal"), "{text}");
    }
}

/// The spool of a server with a journal, nobody of which delivers.
fn spool(settings: &Settings) -> Spool {
    let config = spool::Config {
        root: settings.snapshot.root().clone(),
        split_levels: 1,
        journal: Some(JournalSizes { age_max: Duration::from_secs(3600), ..JournalSizes::default() }),
        retry: settings.retry,
        limits: spool::Limits { local: 1, per_destination: 1, remote: 1 },
        lane_of: Arc::new(|_| Lane::Local),
        disk: Disk::default(),
        clock: settings.clock.clone(),
    };
    Spool::open(config).unwrap().0
}

const RULES: [(&str, &str); 2] = [
    ("rules.tab", "# all\n\"ads\"\t\"anna@*\"\t\"subject\"\t\"contains\"\t\"ads\"\t\"junk\"\n"),
    (
        "domains/home.test/rules.tab",
        "\"fraud\"\t\"*\"\t\"subject\"\t\"contains\"\t\"money\"\t\"reject\"\n\
         \"fraud\"\t\"*\"\t\"body\"\t\"contains\"\t\"now\"\t\"reject\"\n\
         \"gone\"\t\"*\"\t\"body\"\t\"contains\"\t\"void\"\t\"delete\"\n",
    ),
];

async fn with_rules(content: Option<&str>, recipient: &str, user_tab: &str) -> (bool, String) {
    let root = root();
    for (name, text) in RULES {
        write(root.path(), name, text);
    }
    write(root.path(), "domains/home.test/anna/user.tab", user_tab);
    let settings = settings(root.path());
    let content = content.map(|text| text.as_bytes().into());
    let client = Client { content, ..client("192.0.2.1") };
    let explanation = rcpt(&settings, &client, recipient).await.unwrap();
    let mut renderer =
        Renderer::new(Rows::of(settings.snapshot.root()), settings.clock.clone(), Language::English);
    (explanation.is_good(), renderer.text(&explanation))
}

/// JD-56.
#[tokio::test]
async fn rules_that_may_act_on_mail_for_an_address_are_cited() {
    let (is_good, text) = with_rules(None, "anna@home.test", "").await;
    let may = [
        "rules.tab:2  \"ads\" \"anna@*\" \"subject\" \"contains\" \"ads\" \"junk\"  ->  rule \"ads\" looks at what is in the mail; if it holds, the mail is marked as junk",
        "domains/home.test/rules.tab:1  \"fraud\" \"*\" \"subject\" \"contains\" \"money\" \"reject\"  ->  rule \"fraud\" looks at what is in the mail; if it holds, the mail is returned to its sender",
        "and domains/home.test/rules.tab:2  \"fraud\" \"*\" \"body\" \"contains\" \"now\" \"reject\"",
        "ends: mailbox of anna@home.test",
    ];
    check_text(&text, &may, &[]);
    assert!(is_good, "{text}");
    let (_, text) = with_rules(None, "info@gw.example", "").await;
    check_text(&text, &[], &["rules.tab"]);
}

/// JD-56.
#[tokio::test]
async fn the_rule_that_acts_on_a_known_message_is_cited() {
    let ads = "Subject: ads and money\r\n\r\nlater\r\n";
    for (user_tab, end) in [
        ("", "put into the mailbox of anna@home.test"),
        ("\"JunkFolder\"\t\"1\"\n", "put into the junk folder of anna@home.test"),
    ] {
        let (is_good, text) = with_rules(Some(ads), "anna@home.test", user_tab).await;
        let rule = "rules.tab:2  \"ads\" \"anna@*\" \"subject\" \"contains\" \"ads\" \"junk\"  ->  rule \"ads\" holds: the mail is marked as junk";
        check_text(&text, &[rule, end], &["fraud"]);
        assert!(is_good, "{text}");
    }
    let money = "Subject: money\r\n\r\nright now\r\n";
    let (is_good, text) = with_rules(Some(money), "info@home.test", "").await;
    check_text(
        &text,
        &["ends: returned to the sender: Message rejected by server filters"],
        &["\"ads\"", "scan.tab"],
    );
    assert!(!is_good, "{text}");
    let (is_good, text) = with_rules(Some("Subject: x\r\n\r\nvoid\r\n"), "anna@home.test", "").await;
    check_text(&text, &["ends: deleted; <anna@home.test> does not get it"], &[]);
    assert!(!is_good, "{text}");
}

/// JD-56.
#[tokio::test]
async fn the_rule_that_acts_on_a_queued_message_is_cited() {
    let root = root();
    for (name, text) in RULES {
        write(root.path(), name, text);
    }
    let file = "[192.0.2.1]:1;[127.0.0.1]:25;x\r\nmx.home.test\r\nS7\r\nMAIL FROM:<s@c.example>\r\n\
                RCPT TO:<anna@home.test>\r\n<<MAIL-DATA>>\r\nSubject: money\r\n\r\nnow\r\n";
    write(root.path(), "spool/0/1/mess/100.a.b.1.host", file);
    let settings = settings(root.path());
    let explanations = message(&settings, "S7").await.unwrap();
    let mut renderer =
        Renderer::new(Rows::of(settings.snapshot.root()), settings.clock.clone(), Language::English);
    let text = renderer.text(&explanations[0]);
    assert!(
        text.contains("domains/home.test/rules.tab:1") && text.contains("rule \"fraud\" holds"),
        "{text}"
    );
}
