use std::path::Path;

use super::*;
use crate::mailroot::made;

const TABLES: &[(&str, &str)] = &[
    ("server.tab", "\"RootDomain\"\t\"home.test\"\n"),
    ("domains.tab", "\"home.test\"\n"),
    ("aliasdomain.tab", "\"alias.test\"\t\"home.test\"\n"),
    (
        "mailusers.tab",
        "\"home.test\"\t\"anna\"\t\"1d0a\"\t1\t\"anna\"\t\"U\"\n\"home.test\"\t\"bert\"\t\"1d0a\"\t2\t\"bert\"\t\"U\"\n\
         \"home.test\"\t\"all\"\t\"\"\t3\t\"all\"\t\"M\"\n",
    ),
    ("aliases.tab", "\"home.test\"\t\"info\"\t\"anna\"\n\"home.test\"\t\"in*\"\t\"bert\"\n"),
    ("domains/home.test/bert/mailproc.tab", "\"mailbox\"\n"),
    ("domains/home.test/all/mlusers.tab", "\"bert@home.test\"\n"),
    ("cmdaliases/home.test/robot.tab", "\"external\"\t\"0\"\t\"5\"\t\"/bin/robot\"\t\"x\"\n"),
    ("custdomains/cust.test.tab", "\"smtprelay\"\t\"relay.test\"\n"),
    ("smtpfwd.tab", "\"far.test\"\t\"relay.test\"\n\"*.far.test\"\t\"relay.test\"\n"),
    ("smtp.ipmap.tab", "\"0.0.0.0/0\"\t\"-\"\t\"ALLOW\"\t1\n\"10.0.0.0/8\"\t\"-\"\t\"DENY\"\t2\n"),
    ("smtprelay.tab", "\"127.0.0.0/8\"\n"),
    ("smtpauth.tab", "\"printer\"\t\"pw\"\t\"MR\"\n"),
    ("ctrlaccounts.tab", "\"admin\"\t\"1d0a\"\n"),
];

fn root(edits: &[(&str, &str)]) -> (tempfile::TempDir, Snapshot) {
    made::snapshot(TABLES.iter().chain(edits))
}

/// Each change in one line, the digests of contents left out: `Subject: old -> new [old rows | new rows]`.
fn changes(edits: &[(&str, &str)]) -> Vec<String> {
    let ((_old_root, old), (_new_root, new)) = (root(&[]), root(edits));
    let rows = |side: &Side| side.rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let facts = |side: &Side| {
        let facts = side.facts.join("; ");
        let mut parts = facts.split(" (");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + part.split_once(')').map_or("", |(_, rest)| rest))
    };
    let line = |change: &Change| {
        let (old, new) = (&change.old, &change.new);
        format!("{:?}: {} -> {} [{} | {}]", change.subject, facts(old), facts(new), rows(old), rows(new))
    };
    diff(&old, &new).changes.iter().map(line).collect()
}

#[track_caller]
fn check(edits: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(changes(edits), expected, "{edits:?}");
}

#[test]
fn what_changes_nothing_is_no_difference() {
    check(&[], &[]);
    check(
        &[
            (
                "aliases.tab",
                "# moved\n\"HOME.test\"\t\"in*\"\t\"Bert\"\n\n\"home.test\"\t\"INFO\"\t\"anna@home.test\"\n",
            ),
            ("domains.tab", "# ours\n\"Home.Test\"\n"),
            ("smtp.ipmap.tab", "\"10.0.0.0/9\"\t\"-\"\t\"DENY\"\t2\n\"10.128.0.0/9\"\t\"-\"\t\"DENY\"\t3\n"),
        ],
        &[],
    );
}

#[test]
fn an_address_changes_its_destination() {
    check(
        &[("aliases.tab", "\"home.test\"\t\"in*\"\t\"bert\"\n")],
        &[
            "Address(\"info@home.test\"): mailbox of anna@home.test, domains/home.test/anna -> mailbox of bert@home.test, domains/home.test/bert, commands: mailbox [domains.tab:1 aliases.tab:1 mailusers.tab:1 | domains.tab:1 aliases.tab:1 mailusers.tab:2]",
        ],
    );
    check(
        &[("domains/home.test/bert/mailproc.tab", "\"redirect\"\t\"x@far.test\"\n")],
        &[
            "Address(\"bert@home.test\"): mailbox of bert@home.test, domains/home.test/bert, commands: mailbox -> mailbox of bert@home.test, domains/home.test/bert, commands: redirect [domains.tab:1 mailusers.tab:2 | domains.tab:1 mailusers.tab:2]",
        ],
    );
    let listed = changes(&[("domains/home.test/all/mlusers.tab", "\"anna@home.test\"\n")]);
    assert!(listed.len() == 1 && listed[0].starts_with("Address(\"all@home.test\")"), "{listed:?}");
    let robot =
        changes(&[("cmdaliases/home.test/robot.tab", "\"external\"\t\"0\"\t\"5\"\t\"/bin/robot\"\t\"y\"\n")]);
    assert!(robot.len() == 1 && robot[0].starts_with("Address(\"robot@home.test\")"), "{robot:?}");
}

#[test]
fn a_mailbox_comes_and_goes() {
    let without_anna = TABLES[3].1.split_once('\n').unwrap().1;
    let found = changes(&[("mailusers.tab", without_anna)]);
    let starts = [
        "Address(\"anna@home.test\"): mailbox of anna@home.test, domains/home.test/anna -> refused: no such mailbox",
        "Address(\"info@home.test\"): mailbox of anna@home.test, domains/home.test/anna -> refused: no such mailbox",
    ];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    assert!(found.iter().zip(starts).all(|(found, start)| found.starts_with(start)), "{found:?}");
    let disabled =
        changes(&[("domains/home.test/anna/user.tab", "\"ReceiveEnable\"\t\"0\"\n\"MaxMBSize\"\t\"5\"\n")]);
    assert!(
        disabled.iter().all(|line| line.contains("takes no mail")) && disabled.len() == 2,
        "{disabled:?}"
    );
}

#[test]
fn permissions_change() {
    check(
        &[("domains/home.test/anna/user.tab", "\"SmtpPerms\"\t\"M\"\n\"PopEnable\"\t\"0\"\n")],
        &[
            "Account(\"anna@home.test\"): permissions \"MRVZ\"; any size; POP3 on; IMAP on; a password -> permissions \"M\"; the server's size limit; POP3 off; IMAP on; a password [mailusers.tab:1 | domains/home.test/anna/user.tab:1 mailusers.tab:1]",
        ],
    );
    let passwords = TABLES[3].1.replacen("1d0a", "1d0b", 1);
    let found = changes(&[
        ("mailusers.tab", &passwords),
        ("smtpauth.tab", "\"printer\"\t\"pq\"\t\"MR\"\n"),
        ("ctrlaccounts.tab", ""),
    ]);
    assert!(found[0].contains("another password than before") && !found[0].contains("1d0"), "{found:?}");
    assert!(
        found[1].starts_with("SmtpLogin(\"printer\")") && found[1].contains("another password"),
        "{found:?}"
    );
    assert!(found[2].starts_with("CtrlLogin(\"admin\"): may administer ->  ["), "{found:?}");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn networks_are_compared_by_what_they_may_do() {
    check(
        &[
            ("smtprelay.tab", "\"127.0.0.0/9\"\n\"2001:db8::/32\"\n"),
            ("smtp.ipmap.tab", "\"0.0.0.0/0\"\t\"-\"\t\"ALLOW\"\t1\n\"10.1.0.0/16\"\t\"-\"\t\"DENY\"\t2\n"),
            ("spammers.tab", "\"192.0.2.7/32\"\n"),
            ("pop3.ipmap.tab", "\"192.0.2.0/24\"\t\"-\"\t\"DENY\"\t1\n"),
            ("imap.ipmap.tab", "\"198.51.100.0/24\"\t\"-\"\t\"DENY\"\t1\n"),
        ],
        &[
            "SmtpPeers(\"10.0.0.0 - 10.0.255.255\"): refused -> served [smtp.ipmap.tab:2 | smtp.ipmap.tab:1]",
            "SmtpPeers(\"10.2.0.0 - 10.255.255.255\"): refused -> served [smtp.ipmap.tab:2 | smtp.ipmap.tab:1]",
            "SmtpPeers(\"192.0.2.7\"): served -> refused [smtp.ipmap.tab:1 | smtp.ipmap.tab:1 spammers.tab:1]",
            "RelayPeers(\"127.128.0.0 - 127.255.255.255\"): may relay ->  [smtprelay.tab:1 | ]",
            "RelayPeers(\"2001:db8:: - 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff\"):  -> may relay [ | smtprelay.tab:2]",
            "Peers(\"imap.ipmap.tab\", \"198.51.100.0 - 198.51.100.255\"): may connect -> may not connect [ | imap.ipmap.tab:1]",
            "Peers(\"pop3.ipmap.tab\", \"192.0.2.0 - 192.0.2.255\"): may connect -> may not connect [ | pop3.ipmap.tab:1]",
        ],
    );
}

#[test]
fn domains_patterns_and_ways_change() {
    let found = changes(&[
        ("domains.tab", "\"home.test\"\n\"new.test\"\n"),
        ("aliasdomain.tab", ""),
        ("aliases.tab", "\"home.test\"\t\"info\"\t\"anna\"\n\"home.test\"\t\"*\"\t\"bert\"\n"),
        ("custdomains/cust.test.tab", "\"smtp\"\n"),
        ("smtpfwd.tab", "\"far.test\"\t\"relay.test\"\t\"NeedTLS=2\"\n"),
        ("server.tab", "\"RootDomain\"\t\"home.test\"\n\"DefaultSMTPGateways\"\t\"gw.test\"\n"),
    ]);
    let starts = [
        "AliasPattern(\"*@home.test\"):  -> aliases of bert",
        "AliasPattern(\"in*@home.test\"): aliases of bert -> ",
        "Domain(\"alias.test\"): another name of home.test -> ",
        "Domain(\"new.test\"):  -> ours",
        "Way(\"*.far.test\"): sent to relay.test -> ",
        "Way(\"cust.test\"): custom domain, commands: smtprelay -> custom domain, commands: smtp",
        "Way(\"elsewhere.invalid\"): sent to the mail exchangers -> sent to gw.test",
        "Way(\"far.test\"): sent to relay.test -> sent to relay.test NeedTLS=Required",
        "Variable(\"DefaultSMTPGateways\"):  -> \"gw.test\"",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}\n  {start}");
    }
}

/// What changes nothing must not be looked for twice: the number of questions grows with the accounts, and no faster.
#[test]
fn ten_thousand_accounts_are_compared() {
    let users: String =
        (0..10_000).map(|n| format!("\"home.test\"\t\"u{n}\"\t\"1d\"\t{n}\t\"u{n}\"\t\"U\"\n")).collect();
    let aliases: String = (0..10_000).map(|n| format!("\"home.test\"\t\"a{n}\"\t\"u{n}\"\n")).collect();
    let (_old_root, old) = root(&[("mailusers.tab", &users), ("aliases.tab", &aliases)]);
    let edited = aliases.replace("\"a77\"\t\"u77\"", "\"a77\"\t\"u78\"");
    let (_new_root, new) = root(&[("mailusers.tab", &users), ("aliases.tab", &edited)]);
    let found = diff(&old, &new);
    assert_eq!(found.addresses, 20_001, "and the command alias");
    assert_eq!(found.changes.len(), 1);
    assert_eq!(found.changes[0].subject, Subject::Address("a77@home.test".into()));
    assert_eq!(found.changes[0].new.rows[1], Citation::new(Path::new("aliases.tab"), 78));
}
