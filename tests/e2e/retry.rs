//! Mail that cannot be delivered now.

use crate::harness::{House, Sink};
use crate::support::{eventually, free_ports};

#[test]
fn a_temporary_refusal_is_tried_again_and_delivered_once() {
    let sink = Sink::open(&["451 4.3.0 later", "451 4.3.0 later"]);
    let mut house = House::new();
    house.write("smtpfwd.tab", &format!("\"*\"\t\"{}\"\n", sink.address()));
    house.start();
    house.send_as_alice("x@remote.test", "Subject: patience\n\nbody\n");
    eventually("a waiting message with its log", || {
        sink.attempts() > 0 && (!house.spooled(&["slog"]).is_empty() || !sink.received().is_empty())
    });
    eventually("the message at the gateway", || !sink.received().is_empty());
    house.wait_empty_spool();
    assert_eq!((sink.attempts(), sink.received().len()), (3, 1));
    assert!(house.mail("alice@example.test").is_empty(), "no notice for delivered mail");
}

#[test]
fn a_message_is_given_up_after_the_last_attempt() {
    let sink = Sink::open(&["451 4.3.0 later"; 10]);
    let mut house = House::new();
    house.server_tab(&[("NotifySendLogToSender", "1")]);
    house.write("smtpfwd.tab", &format!("\"*\"\t\"{}\"\n", sink.address()));
    house.start();
    house.send_as_alice("x@remote.test", "Subject: patience\n\nbody\n");
    let notice = house.wait_mail("alice@example.test", 1).remove(0);
    assert!(notice.contains("The maximum number of delivery attempts has been reached"), "{notice}");
    assert!(notice.contains("451 4.3.0 later"), "the attempt log is there: {notice}");
    house.wait_empty_spool();
    assert_eq!(sink.attempts(), 3, "-Qr 3 means three attempts");
}

#[test]
fn a_dead_destination_with_many_messages_does_not_delay_local_mail() {
    let [dead] = free_ports();
    let mut house = House::new();
    house.write("smtpfwd.tab", &format!("\"dead.test\"\t\"127.0.0.1:{dead}\"\n"));
    house.flag("-Qt 600");
    house.start();
    let mut client = house.smtp();
    client.talk(
        "S: 220\nC: EHLO client.test\nS: 250\nC: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3\nS: 235",
    );
    for n in 0..100 {
        client.talk(&format!(
            "C: MAIL FROM:<alice@example.test>\nS: 250\nC: RCPT TO:<x{n}@dead.test>\nS: 250\nC: DATA\nS: 354\nC: Subject: {n}\nC: \nC: .\nS: 250"
        ));
    }
    house.send("alice@example.test", "bob@example.test", "Subject: quick\n\nbody\n");
    house.wait_mail("bob@example.test", 1);
    eventually("all mail for the dead host waits", || house.spooled(&["rsnd"]).len() == 100);
}
