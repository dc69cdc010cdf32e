//! What is kept of messages, by the cache file and by open folders.

use super::*;
use crate::mime::{SortKey, header_fields};

/// What a folder says of fields without opening a file.
fn known_fields(folder: &Folder, uid: u32, names: &[&[u8]]) -> Option<String> {
    let fields = folder.known_fields(&[uid]).remove(0)?;
    let kept = fields.kept()?;
    kept.tells(names, false).then(|| String::from_utf8(header_fields(kept.block(), names, false)).unwrap())
}

const MAIL: &str = "Received: by a\r\nFrom: a@b.test\r\nX-List: one\r\n\r\nSubject: no\r\n";

#[test]
fn fields_are_kept_with_what_else_was_read() {
    let house = House::new(Kind::Maildir);
    house.put_new("1.a.b.1.host", MAIL);
    house.put_new("2.a.b.1.host", "Subject: x\n y\n\n.\n");
    let folders = house.folders();
    let inbox = folders.open(&name("INBOX")).unwrap();
    inbox.look().unwrap();
    assert_eq!(known_fields(&inbox, 1, &[b"from"]), None);
    inbox.head(1).unwrap().unwrap();
    inbox.fields(&[2]).unwrap();
    let check = |folder: &Folder, uid: u32| {
        assert_eq!(known_fields(folder, uid, &[b"X-LIST"]).as_deref(), Some("X-List: one\r\n\r\n"));
        assert_eq!(known_fields(folder, uid, &[b"Subject", b"To"]).as_deref(), Some("\r\n"));
        assert_eq!(known_fields(folder, uid, &[b"Received"]), None);
    };
    check(&inbox, 1);
    assert_eq!(known_fields(&inbox, 2, &[b"Subject"]).as_deref(), Some("Subject: x\r\n y\r\n\r\n"));
    assert!(inbox.known_heads(&[2]).remove(0).is_some());

    // Copied and moved messages are known where they are then.
    folders.create(&name("Archive"), None).unwrap();
    let archive = folders.open(&name("Archive")).unwrap();
    let copied = inbox.copy(&[1], &archive).unwrap()[0].to;
    let moved = inbox.move_to(&[1], &archive).unwrap()[0].to;
    check(&archive, copied);
    check(&archive, moved);
    assert_eq!(archive.known_heads(&[copied]), archive.known_heads(&[moved]));
    assert!(archive.known_heads(&[moved]).remove(0).is_some());
    drop((inbox, archive, folders));

    // After a restart, too.
    let archive = house.folders().open(&name("Archive")).unwrap();
    check(&archive, copied);
    check(&archive, moved);
}

#[test]
fn a_cache_that_is_written_anew_keeps_what_was_known() {
    let house = House::new(Kind::Maildir);
    for number in 1..=600 {
        house.put_new(&format!("{number:04}.a.b.1.host"), &format!("Subject: {number}\r\n\r\nx\r\n"));
    }
    let inbox = house.folders().open(&name("INBOX")).unwrap();
    let all = uids(&inbox);
    inbox.each_head(&all, |_, _| {}).unwrap();
    for round in 0..40 {
        let how = if round % 2 == 0 { How::Add } else { How::Remove };
        inbox.store(&all, &change(how, Flags::SEEN, &[]), None).unwrap();
    }
    inbox.lock().looked = None;
    inbox.look().unwrap();
    // 40 changes of 600 messages would be more than two million octets.
    let bytes = fs::metadata(house.path("imapcache")).unwrap().len();
    assert!(bytes < 1_500_000, "{bytes}");
    for uid in all {
        let subject = known_fields(&inbox, uid, &[b"subject"]).unwrap();
        let head = inbox.known_heads(&[uid]).remove(0).unwrap();
        assert_eq!(
            subject,
            format!("Subject: {}\r\n\r\n", String::from_utf8_lossy(head.texts().subject.unwrap()))
        );
    }
}

#[test]
fn many_files_are_read_in_order_and_no_more_than_fit() {
    let house = House::new(Kind::Maildir);
    let to: Vec<String> = (0..4000).map(|number| format!("somebody{number:05}@far.test")).collect();
    for number in 0..120 {
        // Some of each kind: plain, with LF, with dots, and all with much to say.
        let end = ["\r\n\r\nx\r\n", "\n\nx\n", "\r\n\r\n..x\r\n"][number % 3];
        let text = format!("Subject: {number:03}\r\nTo: {}{end}", to.join(",\r\n "));
        house.put_new(&format!("{number:04}.a.b.1.host"), &text);
    }
    let inbox = house.folders().open(&name("INBOX")).unwrap();
    let all = uids(&inbox);
    let first = inbox.heads(&all).unwrap();
    assert!(!first.is_empty() && first.len() < all.len(), "{}", first.len());
    let mut seen = Vec::new();
    inbox
        .each_head(&all, |uid, head| {
            let text = text_of(&inbox, uid);
            assert_eq!(head.size(), text.len() as u64);
            let subject = String::from_utf8_lossy(head.texts().subject.unwrap_or_default()).into_owned();
            assert!(text.starts_with(&format!("Subject: {subject}\r\n")), "{subject}");
            assert_eq!(head.is_plain(), (uid - 1) % 3 == 0);
            seen.push(uid);
        })
        .unwrap();
    assert_eq!(seen, all);
    assert_eq!(
        inbox.heads(&[500, 1]).unwrap().iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn files_that_many_threads_look_at_are_told_apart() {
    let house = House::new(Kind::Maildir);
    for number in 0..2500 {
        house.put_new(&format!("{number:04}.a.b.1.host"), &"x".repeat(number));
    }
    let inbox = house.folders().open(&name("INBOX")).unwrap();
    assert_eq!(uids(&inbox).len(), 2500);
    for uid in [1, 99, 100, 101, 2499, 2500] {
        let index = inbox.lock().find(uid).unwrap();
        let entry = inbox.lock().entries[index].clone();
        let number: u64 = entry.file_name[..4].parse().unwrap();
        assert_eq!(entry.state.file_bytes, number, "{uid}");
    }
}

#[test]
fn the_order_of_messages_follows_those_that_come_and_go() {
    let house = House::new(Kind::Maildir);
    let put = |number: u32, subject: &str| {
        house.put_new(&format!("{number}.a.b.1.host"), &format!("Subject: {subject}\r\n\r\nx\r\n"));
    };
    let inbox = house.folders().open(&name("INBOX")).unwrap();
    let check = |subjects: &[&str]| {
        let all = uids(&inbox);
        let values = inbox.sort_values(SortKey::Subject, &all).unwrap();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|index| values[*index]);
        let sorted: Vec<String> = order
            .iter()
            .map(|index| known_fields(&inbox, all[*index], &[b"subject"]).unwrap().trim_end().to_owned())
            .collect();
        assert_eq!(
            sorted,
            subjects
                .iter()
                .map(|subject| format!("Subject: {subject}").trim_end().to_owned())
                .collect::<Vec<_>>()
        );
        let numbers = inbox.subjects(&all).unwrap();
        assert_eq!(numbers.len(), all.len());
        let sizes = inbox.sort_values(SortKey::Size, &all).unwrap();
        for (uid, size) in all.iter().zip(sizes) {
            assert_eq!(size, Some(i64::try_from(text_of(&inbox, *uid).len()).unwrap()));
        }
        (all, numbers)
    };
    put(1, "m");
    put(2, "Re: z");
    put(3, "m");
    let (all, numbers) = check(&["m", "m", "Re: z"]);
    assert_eq!((numbers[0], numbers[1].unwrap().is_reply), (numbers[2], true));
    put(4, "b");
    put(5, "Re: M");
    let (more, numbers) = check(&["b", "m", "m", "Re: M", "Re: z"]);
    assert_eq!(numbers[0].unwrap().number, numbers[4].unwrap().number);
    assert_eq!(inbox.sort_values(SortKey::Subject, &more[1..2]).unwrap().len(), 1);
    inbox.remove(&all[..1]).unwrap();
    put(6, "");
    let (left, numbers) = check(&["", "b", "m", "Re: M", "Re: z"]);
    assert_eq!((left.len(), numbers[4].unwrap().number), (5, None));
    assert_eq!(inbox.sort_values(SortKey::Arrival, &[1, left[0]]).unwrap()[0], None);
    assert_eq!(inbox.sort_values(SortKey::Cc, &[77]).unwrap(), [None]);
}
