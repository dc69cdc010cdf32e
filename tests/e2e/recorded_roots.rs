//! MailRoots as XMail left them, served by us.

use crate::harness::House;
use crate::recording::Recording;

/// Logs in and reads every message.
fn read_all(house: &House, user: &str, password: &str) -> Vec<Vec<String>> {
    let mut client = house.pop3();
    client.log_in(user, password);
    client.talk("C: UIDL\nS: +OK");
    let count = client.lines_to_dot().len();
    (1..=count)
        .map(|n| {
            client.talk(&format!("C: RETR {n}\nS: +OK"));
            client.lines_to_dot()
        })
        .collect()
}

fn check(name: &str, flag: &str, expected: &[(&str, &str)]) {
    let recording = Recording::load(name);
    let house = House::around(|root| recording.lay_out_final(root), &[flag]);
    for (user, password) in expected {
        let (local, domain) = user.split_once('@').unwrap();
        let account = format!("domains/{domain}/{local}/");
        let in_maildrop = |path: &&String| {
            path.strip_prefix(&account)
                .is_some_and(|rest| rest.starts_with("Maildir/new/") || rest.starts_with("mailbox/"))
                && !path.rsplit('/').next().unwrap().starts_with('.')
        };
        let stored = recording.capture.snapshots["final"].keys().filter(in_maildrop).count();
        let mail = read_all(&house, user, password);
        assert!(stored > 0 && mail.len() >= stored, "{name}: {user} has {} of {stored} messages", mail.len());
        assert!(
            mail.iter().all(|message| message.iter().any(|line| line.starts_with("Subject:"))),
            "{name}: {mail:?}"
        );
    }
}

#[test]
fn mail_in_a_recorded_maildir_is_served() {
    check("pop3_maildir", "-MM", &[("alice@example.test", "alicepw")]);
}

#[test]
fn mail_in_a_recorded_mailbox_is_served() {
    check("boxes_mailbox", "-Mm", &[("alice@example.test", "alicepw"), ("postmaster@example.test", "pmpw")]);
    check("pop3_mailbox", "-Mm", &[("alice@example.test", "alicepw")]);
}
