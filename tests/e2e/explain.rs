//! `tabmail explain` and `tabmail diff` beside a server that serves the same MailRoot.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::House;

fn tabmail(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tabmail"));
    command.args(words).env_remove("MAIL_ROOT").env_remove("MAIL_CMD_LINE").output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Every file below a directory with its content.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut pending) = (BTreeMap::new(), vec![directory.to_owned()]);
    while let Some(folder) = pending.pop() {
        for path in crate::support::entries(&folder) {
            match path.is_dir() {
                true => pending.push(path),
                false => drop(found.insert(path.clone(), fs::read(&path).unwrap_or_default())),
            }
        }
    }
    found
}

#[test]
fn the_exit_code_tells_whether_mail_gets_somewhere_and_nothing_is_written() {
    let house = House::new();
    house.write("aliases.tab", "\"example.test\"\t\"al\"\t\"alice\"\n");
    let root = house.root();
    let before = contents(&root);
    let root = root.to_str().unwrap();
    for (words, code, shown) in [
        (&["rcpt", "al@example.test"][..], 0, "aliases.tab:1  \"example.test\" \"al\" \"alice\"  ->  "),
        (&["rcpt", "nobody@example.test"], 1, "refused: 550 "),
        (&["relay", "--ip", "192.0.2.7"], 1, "refused: 550 5.7.1 Relay denied"),
        (&["relay", "--auth", "alice@example.test"], 0, "may relay"),
        (&["message", "S1"], 2, ""),
        (&["nonsense"], 2, ""),
    ] {
        let output = tabmail(&[&["explain", "--mail-root", root, "--no-dns"], words].concat());
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        assert!(text(&output).contains(shown), "{words:?}: {}", text(&output));
    }
    let json =
        tabmail(&["explain", "rcpt", "al@example.test", "--mail-root", root, "--no-dns", "--format", "json"]);
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["destinations"][0]["account"], "alice@example.test");
    assert_eq!(contents(Path::new(root)), before);
    let missing = tabmail(&["explain", "rcpt", "a@b.test", "--mail-root", "/nowhere"]);
    assert_eq!(missing.status.code(), Some(2));
    assert_eq!(tabmail(&["explain", "rcpt", "a@b.test"]).status.code(), Some(2), "no MailRoot is named");
}

#[test]
fn a_waiting_message_tells_its_next_attempt() {
    let mut house = House::new();
    // Nobody listens on the port of tcpmux here.
    house.write("smtpfwd.tab", "\"far.test\"\t\"127.0.0.1:1\"\n");
    house.flag("-Qt 900 -Qr 7");
    house.start();
    house.send_as_alice("bob@far.test", "Subject: x\n\nbody\n");
    crate::support::eventually("the first attempt fails", || !house.spooled(&["rsnd"]).is_empty());
    let path = house.spooled(&["rsnd"]).remove(0);
    let root = house.root();
    let (path, root) = (path.to_str().unwrap(), root.to_str().unwrap());
    let options = ["--mail-root", root, "--options", "-Qt 900 -Qr 7", "--no-dns"];
    let output = tabmail(&[&["explain", "message", path], &options[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for shown in
        ["waits for another attempt", "->  tried ", "attempt 2 of 7: ", "smtpfwd.tab:1", "127.0.0.1:1"]
    {
        assert!(text(&output).contains(shown), "{shown}: {}", text(&output));
    }
}

#[test]
fn a_diff_shows_what_changes_for_mail() {
    let (old, new) = (House::new(), House::new());
    let (old_root, new_root) = (old.root(), new.root());
    let words = ["diff", old_root.to_str().unwrap(), new_root.to_str().unwrap()];
    for house in [&old, &new] {
        house.write("server.tab", "\"RootDomain\"\t\"example.test\"\n");
    }
    assert_eq!(tabmail(&words).status.code(), Some(0), "{}", text(&tabmail(&words)));
    old.write("aliases.tab", "\"example.test\"\t\"al\"\t\"alice\"\n");
    new.write("aliases.tab", "# moved\n\"example.test\"\t\"al\"\t\"bob\"\n");
    let output = tabmail(&words);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for shown in [
        "@@ mail to al@example.test",
        "\n- mailbox of alice@",
        "\n+ mailbox of bob@",
        "+     aliases.tab:2  ",
    ] {
        assert!(text(&output).contains(shown), "{shown}: {}", text(&output));
    }
    let json = tabmail(&[&words[..], &["--format", "json"]].concat());
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["changes"][0]["name"], "al@example.test");
    assert_eq!(tabmail(&["diff", "/nowhere", "/nowhere"]).status.code(), Some(2));
}
