//! One session per maildrop.

use crate::harness::House;
use crate::support::eventually;

#[test]
fn a_second_login_is_told_the_maildrop_is_in_use() {
    let house = House::open();
    let mut first = house.pop3();
    first.log_in("alice@example.test", "alicepw");
    let mut second = house.pop3();
    second.talk("S: +OK\nC: USER alice@example.test\nS: +OK\nC: PASS alicepw\nS: -ERR [IN-USE]");
    first.talk("C: QUIT\nS: +OK");
    eventually("a login after the first session's end", || {
        let mut third = house.pop3();
        third.talk("S: +OK\nC: USER alice@example.test\nS: +OK");
        third.send("PASS alicepw\r\n");
        third.reply().starts_with("+OK")
    });
}

#[test]
fn mail_arriving_during_a_session_is_shown_in_the_next() {
    let house = House::open();
    let mut first = house.pop3();
    first.log_in("alice@example.test", "alicepw");
    first.talk("C: STAT\nS: +OK 0 0");
    house.send("s@client.test", "alice@example.test", "Subject: x\n\nbody\n");
    house.wait_mail("alice@example.test", 1);
    first.talk("C: STAT\nS: +OK 0 0\nC: QUIT\nS: +OK");
    let mut second = house.pop3();
    second.log_in("alice@example.test", "alicepw");
    second.talk("C: STAT\nS: +OK 1 ");
}

#[test]
fn messages_vanish_at_quit_and_not_when_the_client_disappears() {
    let house = House::open();
    house.send("s@client.test", "alice@example.test", "Subject: x\n\nbody\n");
    house.wait_mail("alice@example.test", 1);
    let mut client = house.pop3();
    client.log_in("alice@example.test", "alicepw");
    client.talk("C: DELE 1\nS: +OK");
    drop(client);
    let lock = house.path("pop3locks/alice@example.test.lock");
    eventually("the lock is released", || !lock.exists());
    house.wait_mail("alice@example.test", 1);
    let mut client = house.pop3();
    client.log_in("alice@example.test", "alicepw");
    client.talk("C: STAT\nS: +OK 1 \nC: DELE 1\nS: +OK\nC: QUIT\nS: +OK");
    eventually("the message is gone", || house.mail("alice@example.test").is_empty());
}
