//! Other names for accounts.

use crate::harness::House;

fn house() -> House {
    let mut house = House::new();
    house.write(
        "aliases.tab",
        "\"example.test\"\t\"al\"\t\"alice\"\n\"example.test\"\t\"wild*\"\t\"bob\"\n\"*\"\t\"abuse\"\t\"postmaster@example.test\"\n",
    );
    house.write("aliasdomain.tab", "\"alias.test\"\t\"example.test\"\n");
    house.start();
    house
}

#[test]
fn mail_to_an_alias_reaches_its_account() {
    let house = house();
    for to in ["al@example.test", "AL@EXAMPLE.TEST", "alice@alias.test"] {
        house.send("s@client.test", to, "Subject: x\n\nbody\n");
    }
    house.wait_mail("alice@example.test", 3);
    house.send("s@client.test", "wildcat@example.test", "Subject: x\n\nbody\n");
    house.wait_mail("bob@example.test", 1);
    house.send("s@client.test", "abuse@second.test", "Subject: x\n\nbody\n");
    house.wait_mail("postmaster@example.test", 1);
}

#[test]
fn an_unknown_name_is_refused() {
    house().smtp().talk(
        "S: 220
         C: EHLO client.test
         S: 250
         C: MAIL FROM:<s@client.test>
         S: 250
         C: RCPT TO:<nobody@example.test>
         S: 550
         C: RCPT TO:<nobody@alias.test>
         S: 550
         C: RCPT TO:<al@second.test>
         S: 550",
    );
}
