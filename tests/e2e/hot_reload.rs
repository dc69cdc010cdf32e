//! Tables edited while sessions are open.

use std::fs;

use crate::harness::{Client, House};
use crate::support::eventually;

/// A session that is ready for recipients.
fn ready(house: &House) -> Client {
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO client.test\nS: 250");
    client
}

fn accepts(client: &mut Client, to: &str) -> bool {
    client.talk("C: RSET\nS: 250\nC: MAIL FROM:<s@client.test>\nS: 250");
    client.send(&format!("RCPT TO:<{to}>\r\n"));
    client.reply().starts_with("250")
}

#[test]
fn an_edited_table_is_live_in_all_open_sessions() {
    let house = House::open();
    let (mut one, mut two) = (ready(&house), ready(&house));
    assert!(!accepts(&mut one, "new@example.test"));
    house.write("aliases.tab", "\"example.test\"\t\"new\"\t\"alice\"\n");
    eventually("the new alias in the first session", || accepts(&mut one, "new@example.test"));
    eventually("and in the second", || accepts(&mut two, "new@example.test"));
    house.write("aliases.tab", "# none any more\n");
    eventually("the alias gone again", || !accepts(&mut one, "new@example.test"));
}

#[test]
fn a_table_replaced_by_a_directory_keeps_its_last_content() {
    let mut house = House::new();
    house.write("aliases.tab", "\"example.test\"\t\"al\"\t\"alice\"\n");
    house.start();
    let mut client = ready(&house);
    assert!(accepts(&mut client, "al@example.test"));
    fs::remove_file(house.path("aliases.tab")).unwrap();
    fs::create_dir(house.path("aliases.tab")).unwrap();
    // The next edit is the sign that the server has looked at the directory, too.
    house.write("aliasdomain.tab", "\"later.test\"\t\"example.test\"\n");
    eventually("the later edit", || accepts(&mut client, "alice@later.test"));
    assert!(accepts(&mut client, "al@example.test"), "the last good content is served");
    eventually("a report that names the table", || house.output().contains("aliases.tab"));
}

#[test]
fn a_malformed_line_is_reported_with_file_and_line_and_its_neighbours_work() {
    let mut house = House::new();
    house.write(
        "aliases.tab",
        "\"example.test\"\t\"one\"\t\"alice\"\n\"example.test\"\t\"two\"\n\"example.test\"\t\"three\"\t\"bob\"\n",
    );
    house.start();
    let mut client = ready(&house);
    assert!(accepts(&mut client, "one@example.test"));
    assert!(!accepts(&mut client, "two@example.test"));
    assert!(accepts(&mut client, "three@example.test"));
    eventually("the report of line 2", || house.output().contains("aliases.tab:2"));
}

#[test]
fn a_user_added_by_hand_receives_and_reads_mail_at_once() {
    let house = House::open();
    let mut client = ready(&house);
    assert!(!accepts(&mut client, "dora@example.test"));
    let mut users = fs::read_to_string(house.path("mailusers.tab")).unwrap();
    users.push_str("\"example.test\"\t\"dora\"\t\"010a17041512\"\t9\t\"dora\"\t\"U\"\n");
    house.make_maildir("example.test", "dora");
    house.write("mailusers.tab", &users);
    eventually("the new user", || accepts(&mut client, "dora@example.test"));
    client.talk("C: DATA\nS: 354\nC: Subject: welcome\nC: \nC: .\nS: 250");
    house.wait_mail("dora@example.test", 1);
    house.pop3().log_in("dora@example.test", "dorapw");
}

/// Runs `tabmail` with these words and the house's MailRoot: exit code and standard output.
fn tabmail(house: &House, before: &str, after: &[&str]) -> (i32, String) {
    let root = house.root();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tabmail"))
        .args(before.split(' '))
        .arg("-Ms")
        .arg(&root)
        .args(after)
        .stdin(std::process::Stdio::null())
        .output()
        .expect("tabmail runs");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_bad_edit_keeps_the_old_table_and_everybody_tells_where_the_fault_is() {
    let mut house = House::open();
    let mut client = ready(&house);
    house.write("aliases.tab", "\"example.test\"\t\"one\"\t\"alice\"\n");
    let (code, text) = tabmail(&house, "reload", &["--wait"]);
    assert_eq!(code, 0, "{text}");
    assert!(accepts(&mut client, "one@example.test"), "it is live when reload says so");

    house.write("aliases.tab", "\"example.test\"\t\"two\"\t\"alice\"\n\"example.test\"\t\"three\"\n");
    for (words, more) in [("reload", &["--wait"][..]), ("reload", &[]), ("status", &[])] {
        let (code, text) = tabmail(&house, words, more);
        assert_eq!(code, 1, "{words} {more:?}: {text}");
        assert!(text.contains("aliases.tab: rejected since"), "{text}");
        assert!(text.contains("aliases.tab:2: error[TAB002]: needs 3 columns"), "{text}");
    }
    assert!(accepts(&mut client, "one@example.test") && !accepts(&mut client, "two@example.test"));
    assert!(house.output().contains("aliases.tab:2"), "{}", house.output());

    // Through CTRL: the listing, the refusal of an edit that could not become live, and other edits.
    let (code, text) = tabmail(&house, "ctl", &["--tsv", "tabstat"]);
    assert_eq!(code, 0);
    assert!(text.lines().any(|line| line.starts_with("aliases.tab\trejected\t")), "{text}");
    assert_eq!(tabmail(&house, "ctl", &["tabreload"]).0, 4);
    assert_eq!(tabmail(&house, "ctl", &["aliasadd", "example.test", "four", "bob"]).0, 4);
    assert_eq!(tabmail(&house, "ctl", &["domainadd", "third.test"]).0, 0);

    house.write("aliases.tab", "\"example.test\"\t\"two\"\t\"alice\"\n");
    assert_eq!(tabmail(&house, "reload", &["--wait"]).0, 0);
    assert!(accepts(&mut client, "two@example.test"));
    assert_eq!(tabmail(&house, "status", &[]).0, 0);
    assert_eq!(tabmail(&house, "ctl", &["aliasadd", "example.test", "four", "bob"]).0, 0);
    assert!(accepts(&mut client, "four@example.test"));
    house.server().stop();
    assert_eq!(tabmail(&house, "status", &[]).0, 2);
    assert!(!house.path(".tabmail.sock").exists());
}

#[test]
fn force_takes_a_table_with_errors() {
    let house = House::open();
    let mut client = ready(&house);
    house.write("aliases.tab", "\"example.test\"\t\"one\"\t\"alice\"\n");
    assert_eq!(tabmail(&house, "reload", &[]).0, 0);
    house.write("aliases.tab", "\"example.test\"\t\"two\"\t\"alice\"\nshort\n");
    assert_eq!(tabmail(&house, "reload", &[]).0, 1);
    let (code, text) = tabmail(&house, "reload", &["--force"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("aliases.tab: live since"), "the error is still told: {text}");
    assert!(accepts(&mut client, "two@example.test"));
}

#[test]
fn accounts_that_vanish_under_the_server_are_an_accident() {
    let house = House::open();
    let mut client = ready(&house);
    fs::rename(house.path("mailusers.tab"), house.path("mailusers.tab.gone")).unwrap();
    let (code, text) = tabmail(&house, "reload", &["--wait"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("mailusers.tab: error[TAB026]: is missing"), "{text}");
    assert!(accepts(&mut client, "alice@example.test"));
    assert_eq!(tabmail(&house, "ctl", &["useradd", "example.test", "eve", "pw", "U"]).0, 4);
    assert!(!house.path("mailusers.tab").exists(), "no table of one account is made");
    fs::rename(house.path("mailusers.tab.gone"), house.path("mailusers.tab")).unwrap();
    assert_eq!(tabmail(&house, "reload", &["--wait"]).0, 0);
    assert_eq!(tabmail(&house, "ctl", &["useradd", "example.test", "eve", "pw", "U"]).0, 0);
}
