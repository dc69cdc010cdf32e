//! What is told to who administers some domains only.

use super::*;

/// Accounts of another domain, and ways that lead there.
const ELSEWHERE: &[(&str, &str)] = &[
    ("domains.tab", "\"home.test\"\n\"far.test\"\n"),
    (
        "mailusers.tab",
        "\"home.test\"\t\"anna\"\t\"1d0a\"\t1\t\"anna\"\t\"U\"\n\"far.test\"\t\"zoe\"\t\"1d0a\"\t2\t\"zoe\"\t\"U\"\n",
    ),
    ("aliases.tab", "\"home.test\"\t\"out\"\t\"zoe@far.test\"\n\"*\"\t\"secret*\"\t\"zoe@far.test\"\n"),
    (
        "domains/home.test/anna/mailproc.tab",
        "\"mailbox\"\n\"redirect\"\t\"zoe@far.test\"\t\"x@other.example\"\n",
    ),
    ("domains/far.test/zoe/mailproc.tab", "\"external\"\t\"0\"\t\"5\"\t\"/bin/zoes\"\n"),
    ("domains/far.test/zoe/user.tab", "\"MaxMBSize\"\t\"777\"\n"),
];

async fn told(sender: &str, recipient: &str, domain: &str) -> [String; 2] {
    let root = root();
    for (name, text) in ELSEWHERE {
        write(root.path(), name, text);
    }
    fs::create_dir_all(root.path().join("domains/far.test/zoe/Maildir/new")).unwrap();
    let within = Within::new([domain]);
    let settings = Settings { within: Some(within.clone()), ..settings(root.path()) };
    let client = Client { sender: sender.into(), ..client("10.0.0.1") };
    let explanation = rcpt(&settings, &client, recipient).await.unwrap();
    [Language::English, Language::Chinese].map(|language| {
        let rows = Rows::within(settings.snapshot.root(), within.clone());
        Renderer::new(rows, settings.clock.clone(), language).text(&explanation)
    })
}

/// JD-63: their own rows are cited in full, those of the server by their place, those of other domains not at all.
#[tokio::test]
async fn jd63_mail_is_followed_to_the_border_of_the_domains() {
    let [text, chinese] = told("s@c.example", "anna@home.test", "Home.test").await;
    check_text(
        &text,
        &[
            "mailusers.tab:1  \"home.test\" \"anna\" *** \"1\" \"anna\" \"U\"  ->  anna@home.test is an account",
            "filters.in.tab:1  ->  filter (in, filters/scan.tab): *** would be run; taken to accept",
            "ends: mailbox of anna@home.test",
            "ends: not followed: zoe@far.test, whose domain is administered by others",
            "ends: another server, by SMTP, for <x@other.example>: smart.example",
            "accepted: 250 2.1.5 OK",
        ],
        &[
            "/bin/",
            "777",
            "domains/far.test",
            "10.0.0.0",
            "\"smart.example\"",
            "is an account\nmailusers.tab:2",
        ],
    );
    assert!(chinese.contains("zoe@far.test，其域由其他管理员管理"), "{chinese}");
    assert!(!chinese.contains("/bin/"), "{chinese}");
}

/// JD-63: an alias that leads to another domain is told, what is there is not.
#[tokio::test]
async fn jd63_an_alias_is_told_and_not_the_account_of_another_domain() {
    let [text, _] = told("s@c.example", "out@home.test", "home.test").await;
    check_text(
        &text,
        &[
            "aliases.tab:1  \"home.test\" \"out\" \"zoe@far.test\"  ->  out@home.test is an alias of zoe@far.test",
            "ends: not followed: out@home.test, whose domain is administered by others",
        ],
        &["/bin/", "777", "domains/far.test", "zoe@far.test is an account", "secret*"],
    );
    let [text, _] = told("s@c.example", "zoe@far.test", "home.test").await;
    check_text(&text, &[], &["/bin/", "777", "domains/far.test", "\"zoe\"", "is an account"]);
    let [text, _] = told("s@c.example", "zoe@far.test", "far.test").await;
    assert!(text.contains("/bin/zoes") && text.contains("777"), "{text}");
}
