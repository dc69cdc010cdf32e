//! Queued mail and the end of the server, by crash or by exchange for another.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{House, Sink};
use crate::recording::fixtures;
use crate::support::{eventually, free_ports};

#[test]
fn queued_mail_survives_a_crash_and_is_delivered_once() {
    let [closed] = free_ports();
    let mut house = House::new();
    house.write("smtpfwd.tab", &format!("\"*\"\t\"127.0.0.1:{closed}\"\n"));
    house.start();
    for n in 0..5 {
        house.send_as_alice(&format!("x{n}@remote.test"), &format!("Subject: number {n}\n\nbody\n"));
    }
    house.server().crash();
    // What waited for its first attempt is in the journal.
    let root = house.root();
    let recovered =
        Command::new(env!("CARGO_BIN_EXE_tabmail")).arg("recover").arg("-Ms").arg(&root).output().unwrap();
    assert!(recovered.status.success(), "{recovered:?}");
    assert!(!root.join("spool/.journal").exists());
    assert_eq!(house.spooled(&["mess", "rsnd"]).len(), 5, "what was answered 250 is on disk");

    let sink = Sink::open(&[]);
    house.write("smtpfwd.tab", &format!("\"*\"\t\"{}\"\n", sink.address()));
    house.start();
    house.wait_empty_spool();
    let mut received = sink.received();
    received.sort_by_key(|message| message.split("number ").nth(1).map(str::to_owned));
    assert_eq!(received.len(), 5);
    assert!((0..5).all(|n| received[n].contains(&format!("Subject: number {n}"))));
}

#[test]
fn a_crash_in_the_middle_of_data_leaves_nothing_behind() {
    let mut house = House::open();
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<s@c.test>\nS: 250\nC: RCPT TO:<alice@example.test>\nS: 250\nC: DATA\nS: 354");
    client.send(&"half a message\r\n".repeat(10_000));
    house.server().crash();
    house.start();
    house.send("s@client.test", "alice@example.test", "Subject: whole\n\nbody\n");
    let mail = house.wait_mail("alice@example.test", 1);
    assert!(mail[0].contains("Subject: whole"));
    house.wait_empty_spool();
    assert!(house.spooled(&["froz"]).is_empty());
}

#[test]
fn mail_that_xmail_left_in_its_spool_is_delivered() {
    let sink = Sink::open(&[]);
    for moment in ["during-remote", "after-try-1"] {
        let mut house = House::new();
        house.write("smtpfwd.tab", &format!("\"*\"\t\"{}\"\n", sink.address()));
        copy(&fixtures().join("spool").join(moment), &house.root());
        house.start();
        house.wait_empty_spool();
        eventually(&format!("{moment}: no log is left"), || house.spooled(&["slog", "froz"]).is_empty());
    }
    let received = sink.received();
    assert_eq!(received.len(), 3, "two from mess, one from rsnd: {received:#?}");
    assert!(received.iter().all(|message| message.contains("[XMail 1.27 ESMTP Server]")));
}

#[test]
fn local_mail_that_xmail_was_working_on_is_delivered_and_its_private_copy_removed() {
    let mut house = House::new();
    copy(&fixtures().join("spool/during-mailproc"), &house.root());
    house.start();
    house.wait_mail("alice@example.test", 1);
    house.wait_empty_spool();
    eventually("no private copy is left", || house.spooled(&["mprc", "slog"]).is_empty());
}

#[test]
fn a_damaged_spool_file_is_frozen_with_its_reason_and_others_flow() {
    for (what, damage) in [
        ("garbage", &b"\x00\xff\xfenothing of a message"[..]),
        ("empty", b""),
        ("cut off", b"[127.0.0.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 11:15:18 +0000\r\nmx.example.test\r\nS9\r\nMAIL FROM:<a@x.te"),
    ] {
        let mut house = House::new();
        for place in ["0/0", "1/2"] {
            let name = format!("spool/{place}/mess/1795432518705.7fc9147f86c0.3fad.7.mail.example.test");
            fs::create_dir_all(house.path(&name).parent().unwrap()).unwrap();
            fs::write(house.path(&name), damage).unwrap();
        }
        house.start();
        house.send("s@client.test", "alice@example.test", "Subject: x\n\nbody\n");
        house.wait_mail("alice@example.test", 1);
        eventually(&format!("{what}: frozen; {}", house.output()), || house.spooled(&["froz"]).len() == 2);
        eventually(&format!("{what}: nothing left in mess"), || house.spooled(&["mess"]).is_empty());
        eventually("a log beside each, and none else", || house.spooled(&["slog"]).len() == 2);
        let log = fs::read_to_string(&house.spooled(&["slog"])[0]).unwrap();
        assert!(log.contains("ErrString"), "{what}: {log}");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
