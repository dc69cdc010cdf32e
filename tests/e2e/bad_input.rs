//! Clients that are broken or hostile.

use std::fs;

use crate::harness::{Client, House};
use crate::support::eventually;

fn at_data(house: &House) -> Client {
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<s@c.test>\nS: 250\nC: RCPT TO:<alice@example.test>\nS: 250\nC: DATA\nS: 354");
    client
}

#[test]
fn an_overlong_line_gets_an_answer_and_the_session_goes_on() {
    let house = House::open();
    let mut client = house.smtp();
    client.talk("S: 220");
    for length in [600, 5_000, 1_000_000] {
        client.send(&format!("NOOP {}\r\n", "x".repeat(length)));
        let reply = client.reply();
        assert!(reply.starts_with("500"), "{length}: {reply}");
    }
    client.talk("C: NOOP\nS: 250");
    let mut pop3 = house.pop3();
    pop3.talk("S: +OK");
    pop3.send(&format!("USER {}\r\n", "x".repeat(100_000)));
    pop3.talk("S: -ERR");
}

#[test]
fn binary_lines_get_an_answer_and_the_session_goes_on() {
    let house = House::open();
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO c.test\nS: 250");
    for bytes in [&b"\xff\xfe\x80\r\n"[..], b"MAIL FROM:<\x00@x.test>\r\n", b"\x16\x03\x01\x02\x00\r\n"] {
        client.send_bytes(bytes);
        let reply = client.reply();
        assert!(reply.starts_with("50"), "{bytes:?}: {reply}");
    }
    client.talk("C: NOOP\nS: 250");
}

#[test]
fn mail_cannot_be_smuggled_by_other_line_ends() {
    for end in ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r\n\0.\r\n"] {
        let house = House::open();
        let mut client = at_data(&house);
        client.send(&format!(
            "Subject: one\r\n\r\nfirst{end}MAIL FROM:<evil@x.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nSubject: two\r\n\r\nsmuggled\r\n.\r\n"
        ));
        let reply = client.reply();
        assert!(reply.starts_with("250") || reply.starts_with("55"), "{end:?}: {reply}");
        client.talk("C: NOOP\nS: 250\nC: QUIT\nS: 221");
        let expected = usize::from(reply.starts_with("250"));
        assert_eq!(house.wait_mail("alice@example.test", expected).len(), expected, "{end:?}");
        house.wait_empty_spool();
        assert!(house.mail("bob@example.test").is_empty(), "{end:?}: smuggled");
    }
}

#[test]
fn thousands_of_recipients_are_limited_and_the_first_ones_get_their_mail() {
    let house = House::open();
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO c.test\nS: 250\nC: MAIL FROM:<s@c.test>\nS: 250");
    let (mut accepted, mut refused) = (0, 0);
    for n in 0..3000 {
        let name = ["alice", "bob", "postmaster"][n % 3];
        client.send(&format!("RCPT TO:<{name}@example.test>\r\n"));
        match client.reply() {
            reply if reply.starts_with("250") => accepted += 1,
            reply if reply.starts_with("452") || reply.starts_with("552") => refused += 1,
            reply => panic!("{n}: {reply}"),
        }
    }
    assert!(accepted >= 100 && refused > 0, "{accepted} accepted, {refused} refused (RFC 5321 4.5.3.1.8)");
    client.talk("C: DATA\nS: 354\nC: Subject: many\nC: \nC: .\nS: 250");
    house.wait_empty_spool();
    eventually("the first copies", || !house.mail("alice@example.test").is_empty());
}

#[test]
fn idle_clients_do_not_keep_others_from_being_served() {
    let house = House::open();
    let mut idle: Vec<Client> = Vec::new();
    for n in 0..200 {
        let mut client = house.smtp();
        client.send(if n % 2 == 0 { "EHL" } else { "" });
        idle.push(client);
    }
    house.send("s@client.test", "alice@example.test", "Subject: x\n\nbody\n");
    house.wait_mail("alice@example.test", 1);
    assert_eq!(idle.len(), 200);
}

#[test]
fn a_client_that_vanishes_in_data_leaves_nothing_behind() {
    let house = House::open();
    let mut client = at_data(&house);
    client.send(&"half a message\r\n".repeat(5_000));
    drop(client);
    house.send("s@client.test", "bob@example.test", "Subject: x\n\nbody\n");
    house.wait_mail("bob@example.test", 1);
    house.wait_empty_spool();
    eventually("no draft is left", || house.spooled(&["temp", "mess"]).is_empty());
    assert!(house.mail("alice@example.test").is_empty());
}

#[test]
fn a_full_disk_is_a_temporary_error_before_mail_is_taken() {
    let mut house = House::new();
    house.server_tab(&[("SmtpMinDiskSpace", "99999999999")]);
    house.start();
    house.smtp().talk("S: 4");
}

#[test]
fn a_failed_write_is_a_temporary_error_and_nothing_is_half_visible() {
    let mut house = House::new();
    // A shell's file size limit makes the write fail as a full disk does; the unit is 512 bytes.
    house.start_limited("trap '' XFSZ; ulimit -f 200");
    let mut client = at_data(&house);
    client.send(&format!("Subject: big\r\n\r\n{}.\r\n", "0123456789abcdef\r\n".repeat(20_000)));
    let reply = client.reply();
    assert!(reply.starts_with('4'), "{reply}");
    client.talk("C: RSET\nS: 250\nC: MAIL FROM:<s@c.test>\nS: 250\nC: RCPT TO:<bob@example.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: small\nC: \nC: .\nS: 250");
    house.wait_mail("bob@example.test", 1);
    assert!(house.mail("alice@example.test").is_empty());
    house.wait_empty_spool();
    let boxes = fs::read_dir(house.path("domains/example.test/alice")).unwrap().flatten();
    assert!(
        boxes.map(|entry| entry.path()).all(
            |path| !path.join("tmp").exists() || fs::read_dir(path.join("tmp")).unwrap().next().is_none()
        )
    );
}
