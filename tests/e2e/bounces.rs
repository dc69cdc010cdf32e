//! Notices of failure.

use crate::harness::{House, Sink};
use crate::support::eventually;

fn house_before(sink: &Sink) -> House {
    let mut house = House::new();
    house.server_tab(&[("NoSenderBounce", "1")]);
    house.write("smtpfwd.tab", &format!("\"*\"\t\"{}\"\n", sink.address()));
    house.start();
    house
}

#[test]
fn a_permanent_refusal_returns_to_the_sender_with_its_reason() {
    let sink = Sink::open(&["550 5.1.1 no such user here"]);
    let house = house_before(&sink);
    house.send_as_alice("nobody@remote.test", "Subject: lost\n\nbody\n");
    let notice = house.wait_mail("alice@example.test", 1).remove(0);
    // XMail's notices come from the postmaster (recorded: spool_permfail); ours have the null reverse-path.
    assert!(notice.starts_with("Return-Path: <>"), "{notice}");
    for part in ["550 5.1.1 no such user here", "nobody@remote.test", "Subject: lost"] {
        assert!(notice.contains(part), "{part} is missing in {notice}");
    }
    house.wait_empty_spool();
    assert_eq!(sink.attempts(), 1, "a permanent refusal is not tried again");
}

#[test]
fn a_notice_that_cannot_be_delivered_makes_no_second_notice() {
    let sink = Sink::open(&["550 5.1.1 no such user here"]);
    let mut house = House::new();
    house.write("smtpfwd.tab", &format!("\"*\"\t\"{}\"\n", sink.address()));
    house.write("smtprelay.tab", "\"127.0.0.1\"\t\"255.255.255.255\"\n");
    house.start();
    house.send("", "nobody@remote.test", "Subject: notice\n\nbody\n");
    eventually("the attempt", || sink.attempts() == 1);
    // A failed message is frozen, or deleted; until then it is nowhere in the queue's directories.
    eventually("the end of the attempt", || !house.spooled(&["froz"]).is_empty());
    house.wait_empty_spool();
    for account in ["postmaster@example.test", "alice@example.test"] {
        assert!(house.mail(account).is_empty(), "{account} got {:?}", house.mail(account));
    }
}
