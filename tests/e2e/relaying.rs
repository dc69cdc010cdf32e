//! Who may send where.

use crate::harness::{House, Sink};
use crate::support::eventually;

#[test]
fn relay_is_refused_without_auth() {
    let house = House::open();
    house.smtp().talk(
        "S: 220
         C: EHLO client.test
         S: 250
         C: MAIL FROM:<stranger@elsewhere.test>
         S: 250
         C: RCPT TO:<x@remote.test>
         S: 550
         C: RCPT TO:<alice@example.test>
         S: 250
         C: QUIT
         S: 221",
    );
    assert!(house.spooled(&["mess", "rsnd"]).is_empty());
}

#[test]
fn relay_is_allowed_to_addresses_in_smtprelay_tab() {
    let mut house = House::new();
    house.write("smtprelay.tab", "\"127.0.0.1\"\t\"255.255.255.255\"\n");
    house.start();
    house.smtp().talk(
        "S: 220
         C: EHLO client.test
         S: 250
         C: MAIL FROM:<stranger@elsewhere.test>
         S: 250
         C: RCPT TO:<x@remote.test>
         S: 250
         C: RSET
         S: 250",
    );
}

#[test]
fn mail_of_an_authenticated_sender_reaches_the_gateway_byte_for_byte() {
    let sink = Sink::open(&[]);
    let mut house = House::new();
    house.write("smtpfwd.tab", &format!("\"*\"\t\"{}\"\n", sink.address()));
    house.start();
    house.send_as_alice("x@remote.test", "Subject: out\n\n..a dot first\ntext\n");
    eventually("the message at the gateway", || !sink.received().is_empty());
    house.wait_empty_spool();
    let message = sink.received().remove(0);
    assert!(message.ends_with("Subject: out\n\n..a dot first\ntext\n"), "{message}");
    assert!(message.contains("Received: from client.test"), "{message}");
    assert_eq!(sink.attempts(), 1);
}

#[test]
fn mail_between_local_accounts_is_delivered_and_read_by_pop3() {
    let house = House::open();
    house.send("bob@example.test", "carol@second.test", "Subject: hello\n\n..dot\nlast");
    let mail = house.wait_mail("carol@second.test", 1);
    assert!(mail[0].starts_with("Return-Path: <bob@example.test>"), "{}", mail[0]);
    let mut client = house.pop3();
    client.log_in("carol@second.test", "carolpw");
    client.talk("C: RETR 1\nS: +OK");
    let lines = client.lines_to_dot();
    assert_eq!(lines[lines.len() - 2..], ["..dot", "last"]);
}
