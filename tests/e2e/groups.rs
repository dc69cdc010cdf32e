//! Groups of accounts and relays of domains (`jdmail.md` JD-42, JD-45, JD-68): what the pages write is what the server does.

use crate::harness::{House, Sink};
use crate::support::eventually;

const ALICE: &str = "AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3";

fn may_read(house: &House) -> bool {
    let mut client = house.pop3();
    client.talk("S: +OK\nC: USER alice@example.test\nS: +OK");
    client.send("PASS alicepw\r\n");
    client.reply().starts_with("+OK")
}

fn may_log_in_to_send(house: &House) -> bool {
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO client.test\nS: 250");
    client.send(&format!("AUTH PLAIN {ALICE}\r\n"));
    client.reply().starts_with("235")
}

fn takes_mail(house: &House) -> bool {
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO client.test\nS: 250\nC: MAIL FROM:<s@client.test>\nS: 250");
    client.send("RCPT TO:<alice@example.test>\r\n");
    client.reply().starts_with("250")
}

#[test]
fn hold_for_their_members_at_once_and_end_with_the_membership() {
    let house = House::open();
    assert!(may_read(&house) && may_log_in_to_send(&house) && takes_mail(&house));
    let off = "\"PopEnable\"\t\"0\"\n\"SmtpEnable\"\t\"0\"\n\"ReceiveEnable\"\t\"0\"\n";
    std::fs::create_dir_all(house.path("groups/example.test/gone")).unwrap();
    house.write("groups/example.test/gone/user.tab", off);
    assert!(may_read(&house), "nobody is a member yet");
    house.write("groups/example.test/gone/members.tab", "# left\n\"Alice\"\n");
    eventually("the group closes POP3", || !may_read(&house));
    assert!(!may_log_in_to_send(&house) && !takes_mail(&house));
    house.write("domains/example.test/alice/user.tab", "\"ReceiveEnable\"\t\"1\"\n");
    eventually("the account's own row goes before", || takes_mail(&house));
    assert!(!may_read(&house), "the others still hold");
    house.write("groups/example.test/gone/members.tab", "# left\n\"bob\"\n");
    eventually("membership is over", || may_read(&house) && may_log_in_to_send(&house));
}

#[test]
fn of_a_domain_its_relay_takes_all_mail_that_its_users_write() {
    let (of_domain, of_server) = (Sink::open(&[]), Sink::open(&[]));
    let mut house = House::new();
    house.write("smtpfwd.tab", &format!("\"*\"\t\"{}\"\n", of_server.address()));
    house.write("domains/example.test/smtpfwd.tab", &format!("\"*\"\t\"{}\"\n", of_domain.address()));
    house.start();
    house.send_as_alice("x@remote.test", "Subject: through the relay\n\nbody\n");
    eventually("the message at the domain's relay", || !of_domain.received().is_empty());
    house.wait_empty_spool();
    assert_eq!(of_server.attempts(), 0);
}
