//! Big lists, and lists that come back to themselves.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::*;

const MEMBERS: &str = "domains/home.test/all/mlusers.tab";

/// Remembers where files were created.
#[derive(Default)]
struct Created(Mutex<Vec<PathBuf>>);

impl Created {
    fn count(&self, directory: &str) -> usize {
        let created = self.0.lock().unwrap();
        created.iter().filter(|path| path.parent().is_some_and(|parent| parent.ends_with(directory))).count()
    }
}

impl Faults for Created {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        if let Step::Create(path) = step {
            self.0.lock().unwrap().push(path.to_owned());
        }
        Ok(())
    }
}

async fn submit_bytes(house: &House, to: &str, content: Vec<u8>) {
    let header = Header {
        trace: "[127.0.0.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 10:34:43 +0000".into(),
        smtp_domain: "mx.home.test".into(),
        number: "S2".into(),
        mail_from: "MAIL FROM:<x@far.test>".into(),
        rcpt_to: format!("RCPT TO:<{to}>").into(),
    };
    let message = NewMessage { header, trace_fields: BString::default() };
    house.services.spool.submit(vec![message], MailData::from_bytes(content)).await.unwrap();
}

#[tokio::test]
async fn ten_thousand_members_get_a_message_each() {
    let members: BTreeSet<String> = (0..10_000).map(|n| format!("member{n}@far.test")).collect();
    let rows: String = members.iter().map(|member| format!("\"{member}\"\t\"RW\"\n")).collect();
    let directory = mail_root(&[(MEMBERS, &rows)]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "all@home.test").await;
    house.begin().await.await.unwrap();
    let files = house.spooled("mess");
    assert_eq!(files.len(), members.len(), "the list's own message is gone");
    let recipient = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.ends_with("\r\nSubject: hi\r\n\r\n..dot\r\nbody\r\n"), "{text}");
        text.lines().nth(4).unwrap().trim_start_matches("RCPT TO: <").trim_end_matches('>').to_owned()
    };
    assert_eq!(files.iter().map(recipient).collect::<BTreeSet<_>>(), members);
}

#[tokio::test]
async fn a_list_without_its_members_file_keeps_its_mail() {
    let directory = mail_root(&[]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    fs::remove_file(directory.path().join(MEMBERS)).ok();
    house.submit("x@far.test", "all@home.test").await;
    house.begin().await.await.unwrap();
    assert_eq!(house.spooled("rsnd").len(), 1);
    assert!(house.slog().contains("List all@home.test : mlusers.tab is missing"), "{}", house.slog());
}

#[tokio::test]
async fn the_content_is_held_once_however_many_members_there_are() {
    let rows: String = (0..50).map(|n| format!("\"member{n}@far.test\"\n")).collect();
    let directory = mail_root(&[(MEMBERS, &rows)]);
    let created = Arc::new(Created::default());
    let house = House::at(directory.path(), Disk::with_faults(Arc::clone(&created) as _), 2).await;
    // More than what stays in memory: the draft in tmp is what all copies are written from.
    let line = [b"x".repeat(78), b"\r\n".to_vec()].concat();
    submit_bytes(&house, "all@home.test", [b"Subject: big\r\n\r\n", line.repeat(5000).as_slice()].concat())
        .await;
    assert_eq!((created.count("tmp"), created.count("temp")), (0, 1));
    house.begin().await.await.unwrap();
    assert_eq!((created.count("tmp"), created.count("temp")), (1, 51));
    assert_eq!(fs::read_dir(directory.path().join("tmp")).unwrap().count(), 0);
    assert!(house.spooled("mess").iter().all(|path| fs::metadata(path).unwrap().len() > 400_000));
}

/// Each reader has one copy, one message is set aside as a loop, and the log of it says so.
#[track_caller]
fn check_ended(house: &House, readers: &[&str]) {
    for reader in readers {
        let mail = house.mail_of(reader);
        assert_eq!(mail.iter().filter(|text| text.contains("Subject: hi")).count(), 1, "{reader}: {mail:#?}");
    }
    assert!(house.spooled("mess").is_empty());
    assert_eq!(house.spooled("froz").len(), 1);
    assert!(
        house.slog().contains("SMTP-Error = \"554 Message blocked by mail loop check\""),
        "{}",
        house.slog()
    );
}

#[tokio::test]
async fn a_list_that_contains_itself_ends() {
    let rows = "\"anna@home.test\"\n\"ALL@home.test\"\n\"bert@home.test\"\n";
    let directory = mail_root(&[(MEMBERS, rows)]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("", "all@home.test").await;
    house.settle().await;
    check_ended(&house, &["anna", "bert"]);
}

#[tokio::test]
async fn lists_that_contain_each_other_end() {
    let users = format!("{}\"home.test\"\t\"other\"\t\"\"\t4\t\"other\"\t\"M\"\n", TABLES[2].1);
    let directory = mail_root(&[
        ("mailusers.tab", &users),
        ("aliases.tab", "\"home.test\"\t\"every*\"\t\"all\"\n"),
        (MEMBERS, "\"anna@home.test\"\n\"other@home.test\"\n"),
        ("domains/home.test/other/mlusers.tab", "\"everyone@home.test\"\n\"bert@home.test\"\n"),
    ]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("", "all@home.test").await;
    house.settle().await;
    check_ended(&house, &["anna", "bert"]);
}

#[tokio::test]
async fn a_command_alias_that_redirects_to_itself_ends_by_the_loop_check() {
    let directory = mail_root(&[("cmdaliases/home.test/me.tab", "\"redirect\"\t\"me@home.test\"\n")]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("", "me@home.test").await;
    house.settle().await;
    check_ended(&house, &[]);
}
