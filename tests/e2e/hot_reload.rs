//! Tables edited while sessions are open.

use std::fs;

use crate::harness::{Client, House};
use crate::support::eventually;

/// A session that is ready for recipients.
fn ready(house: &House) -> Client {
    let mut client = house.smtp();
    client.talk("S: 220\nC: EHLO client.test\nS: 250");
    client
}

fn accepts(client: &mut Client, to: &str) -> bool {
    client.talk("C: RSET\nS: 250\nC: MAIL FROM:<s@client.test>\nS: 250");
    client.send(&format!("RCPT TO:<{to}>\r\n"));
    client.reply().starts_with("250")
}

#[test]
fn an_edited_table_is_live_in_all_open_sessions() {
    let house = House::open();
    let (mut one, mut two) = (ready(&house), ready(&house));
    assert!(!accepts(&mut one, "new@example.test"));
    house.write("aliases.tab", "\"example.test\"\t\"new\"\t\"alice\"\n");
    eventually("the new alias in the first session", || accepts(&mut one, "new@example.test"));
    eventually("and in the second", || accepts(&mut two, "new@example.test"));
    house.write("aliases.tab", "# none any more\n");
    eventually("the alias gone again", || !accepts(&mut one, "new@example.test"));
}

#[test]
fn a_table_replaced_by_a_directory_keeps_its_last_content() {
    let house = House::new();
    house.write("aliases.tab", "\"example.test\"\t\"al\"\t\"alice\"\n");
    let mut house = house;
    house.start();
    let mut client = ready(&house);
    assert!(accepts(&mut client, "al@example.test"));
    fs::remove_file(house.path("aliases.tab")).unwrap();
    fs::create_dir(house.path("aliases.tab")).unwrap();
    // The next edit is the sign that the server has looked at the directory, too.
    house.write("aliasdomain.tab", "\"later.test\"\t\"example.test\"\n");
    eventually("the later edit", || accepts(&mut client, "alice@later.test"));
    assert!(accepts(&mut client, "al@example.test"), "the last good content is served");
    eventually("a report that names the table", || house.output().contains("aliases.tab"));
}

#[test]
fn a_malformed_line_is_reported_with_file_and_line_and_its_neighbours_work() {
    let house = House::new();
    house.write(
        "aliases.tab",
        "\"example.test\"\t\"one\"\t\"alice\"\n\"example.test\"\t\"two\"\n\"example.test\"\t\"three\"\t\"bob\"\n",
    );
    let mut house = house;
    house.start();
    let mut client = ready(&house);
    assert!(accepts(&mut client, "one@example.test"));
    assert!(!accepts(&mut client, "two@example.test"));
    assert!(accepts(&mut client, "three@example.test"));
    eventually("the report of line 2", || house.output().contains("aliases.tab:2"));
}

#[test]
fn a_user_added_by_hand_receives_and_reads_mail_at_once() {
    let house = House::open();
    let mut client = ready(&house);
    assert!(!accepts(&mut client, "dora@example.test"));
    let mut users = fs::read_to_string(house.path("mailusers.tab")).unwrap();
    users.push_str("\"example.test\"\t\"dora\"\t\"010a17041512\"\t9\t\"dora\"\t\"U\"\n");
    house.make_maildir("example.test", "dora");
    house.write("mailusers.tab", &users);
    eventually("the new user", || accepts(&mut client, "dora@example.test"));
    client.talk("C: DATA\nS: 354\nC: Subject: welcome\nC: \nC: .\nS: 250");
    house.wait_mail("dora@example.test", 1);
    house.pop3().log_in("dora@example.test", "dorapw");
}
