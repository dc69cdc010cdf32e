//! Ways to stop, and the one that does not.

use std::fs::{self, File};

use rustix::process::Signal;

use crate::harness::House;
use crate::support::eventually;

#[test]
fn term_int_and_quit_stop_with_code_zero() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut house = House::open();
        house.server().signal(signal);
        assert_eq!(house.server().wait_end().code(), Some(0), "{signal:?}");
    }
}

#[test]
fn the_shutdown_file_stops_the_server_and_is_removed() {
    let mut house = House::open();
    assert_eq!(house.server().stop().code(), Some(0));
    assert!(!house.path(".shutdown").exists());
}

#[test]
fn a_shutdown_file_from_before_the_start_stops_nothing() {
    let mut house = House::new();
    File::create(house.path(".shutdown")).unwrap();
    house.start();
    house.send("s@client.test", "alice@example.test", "Subject: x\n\nbody\n");
    house.wait_mail("alice@example.test", 1);
    assert!(!house.path(".shutdown").exists());
}

#[test]
fn open_sessions_are_closed_at_a_stop() {
    let mut house = House::open();
    let mut smtp = house.smtp();
    smtp.talk("S: 220\nC: EHLO client.test\nS: 250");
    let mut pop3 = house.pop3();
    pop3.log_in("alice@example.test", "alicepw");
    assert_eq!(house.server().stop().code(), Some(0));
    let parting = smtp.line();
    assert!(parting.is_empty() || parting.starts_with("421"), "{parting}");
    assert!(!house.path("pop3locks/alice@example.test.lock").exists());
}

#[test]
fn hup_reads_the_tables_again_and_keeps_serving() {
    let mut house = House::open();
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO client.test\nS: 250");
    fs::write(house.path("aliases.tab"), "\"example.test\"\t\"al\"\t\"alice\"\n").unwrap();
    house.server().signal(Signal::HUP);
    eventually("the alias", || {
        client.talk("C: RSET\nS: 250\nC: MAIL FROM:<s@client.test>\nS: 250");
        client.send("RCPT TO:<al@example.test>\r\n");
        client.reply().starts_with("250")
    });
    assert!(!house.server().has_ended());
}
