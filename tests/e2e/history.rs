//! The history of the tables, recorded by a running server and rolled back beside it.

use std::process::Command;

use crate::harness::House;
use crate::support::eventually;

/// Runs `tabmail` with these words and the MailRoot of the house.
fn tabmail(house: &House, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tabmail"));
    command.args(words).env("MAIL_ROOT", house.root());
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    String::from_utf8(output.stdout).unwrap() + &error
}

/// Origins and files of the log, the oldest first.
fn log(house: &House) -> Vec<String> {
    let log = tabmail(house, &["log"]);
    let row = |line: &str| {
        line.split_once("UTC  ").map(|(_, row)| row.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    log.lines().rev().filter_map(row).collect()
}

fn accepts(house: &House, to: &str) -> bool {
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO client.test\nS: 250\nC: MAIL FROM:<s@client.test>\nS: 250");
    client.send(&format!("RCPT TO:<{to}>\r\n"));
    client.reply().starts_with("250")
}

#[test]
fn every_edit_is_a_state_and_a_rollback_beside_the_server_is_live_at_once() {
    let mut house = House::new();
    house.server_tab(&[("HistoryMaxSize", "1000")]);
    house.start();
    eventually("the first state", || log(&house).len() == 1);
    let port = house.ctrl_port().to_string();
    let ctl = ["ctl", "-s", "127.0.0.1", "-n", &port, "-u", "admin", "-p", "adminpw"];
    let add = [&ctl[..], &["aliasadd", "example.test", "byctl", "alice"]].concat();
    let said = tabmail(&house, &add);
    eventually("the state of the CTRL command", || log(&house).len() == 2 || panic_with(&said));
    house.write("aliases.tab", "\"example.test\"\t\"byhand\"\t\"alice\"\n");
    eventually("the state of the edit by hand", || log(&house).len() == 3);
    eventually("the edit", || {
        accepts(&house, "byhand@example.test") && !accepts(&house, "byctl@example.test")
    });

    let shown = tabmail(&house, &["show", "3", "-Ms", house.root().to_str().unwrap()]);
    assert!(
        shown.contains("-\"example.test\"\t\"byctl\"\t\"alice\"\n+\"example.test\"\t\"byhand\""),
        "{shown}"
    );
    let done = tabmail(&house, &["rollback", "2"]);
    assert!(done.contains("as in state 2: aliases.tab, now state 4"), "{done}");
    eventually("the rollback", || {
        accepts(&house, "byctl@example.test") && !accepts(&house, "byhand@example.test")
    });
    house.server().stop();
    let log = log(&house);
    assert!(log[0].starts_with("on server.tab, domains.tab"), "{log:?}");
    assert_eq!(log[1..], ["ctl admin aliases.tab", "hand aliases.tab", "rollback 2 aliases.tab"]);
}

/// What the command said belongs to the failure.
fn panic_with(said: &str) -> bool {
    assert!(!said.contains("ERR"), "{said}");
    false
}

#[test]
fn an_existing_mailroot_has_no_history_before_it_is_switched_on() {
    let mut house = House::open();
    house.write("aliases.tab", "\"example.test\"\t\"one\"\t\"alice\"\n");
    eventually("the edit", || accepts(&house, "one@example.test"));
    house.server().stop();
    assert!(!house.path(".tabmail").exists());
    assert!(tabmail(&house, &["log"]).contains("no history; it is switched on by HistoryMaxSize"));
}
