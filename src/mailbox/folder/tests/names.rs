//! Large folders at their first look: UIDs by names, dates and sizes afterwards.

use std::time::{Duration, SystemTime};

use super::*;

const COUNT: u64 = 1200;
const BEGUN_SECS: u64 = 1_700_000_000;

fn file_name(number: u64) -> String {
    format!("{}.e2c4.{number:x}.vm", (BEGUN_SECS + number) * 1000)
}

/// Messages whose files were written in another order than their names say, as after a copy.
fn large() -> House {
    let house = House::new(Kind::Maildir);
    for number in 0..COUNT {
        house.put_new(&file_name(number), &"x".repeat(number as usize % 50 + 1));
        let file =
            fs::File::options().write(true).open(house.path("Maildir/new").join(file_name(number))).unwrap();
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGUN_SECS - number);
        file.set_modified(written).unwrap();
    }
    // Long enough ago for one look to be enough.
    for below in ["Maildir/new", "Maildir/cur"] {
        fs::create_dir_all(house.path(below)).unwrap();
        let directory = fs::File::open(house.path(below)).unwrap();
        directory.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(BEGUN_SECS)).unwrap();
    }
    house
}

fn check_all(folder: &Folder) {
    let (messages, _) = folder.messages();
    assert_eq!(messages.len() as u64, COUNT);
    for (number, message) in (0..COUNT).zip(&messages) {
        let (uid, date, bytes) = (number as u32 + 1, (BEGUN_SECS - number) as i64, number % 50 + 1);
        assert_eq!((message.uid, message.internal_date, message.file_bytes), (uid, date, bytes));
    }
}

#[test]
fn a_large_folder_is_known_by_its_names_first_and_measured_when_asked() {
    let house = large();
    let inbox = house.folders().open(&FolderName::inbox()).unwrap();
    assert!(inbox.lock_names().is_unmeasured);
    assert_eq!(inbox.uids().0, (1..=COUNT as u32).collect::<Vec<_>>());
    assert_eq!((inbox.status().messages, inbox.first_unseen()), (COUNT as u32, Some(1)));
    // As SELECT does before it answers.
    inbox.look().unwrap();
    assert_eq!(inbox.changes_since(inbox.status().highest_modseq).unwrap().changed, []);
    assert!(inbox.lock_names().is_unmeasured, "nobody has asked for a date or a size");
    check_all(&inbox);
    assert!(!inbox.lock_names().is_unmeasured);
}

#[test]
fn what_was_told_is_written_down_also_when_nobody_asked_for_more() {
    let house = large();
    let inbox = house.folders().open(&FolderName::inbox()).unwrap();
    let validity = inbox.status().uid_validity;
    drop(inbox);
    let inbox = house.folders().open(&FolderName::inbox()).unwrap();
    assert_eq!(inbox.status().uid_validity, validity);
    assert!(inbox.lock_names().is_unmeasured, "nobody has looked yet");
    check_all(&inbox);
}

#[test]
fn a_crash_before_anything_was_measured_gives_no_uid_to_another_message() {
    let house = large();
    let inbox = house.folders().open(&FolderName::inbox()).unwrap();
    let validity = inbox.status().uid_validity;
    // As after a SIGKILL: its end is never written.
    std::mem::forget(inbox);
    let inbox = house.folders().open(&FolderName::inbox()).unwrap();
    assert_eq!(inbox.status().uid_validity, validity);
    check_all(&inbox);
}

#[test]
fn what_goes_before_it_is_measured_is_gone_at_the_next_look() {
    let house = large();
    let inbox = house.folders().open(&FolderName::inbox()).unwrap();
    fs::remove_file(house.path("Maildir/new").join(file_name(7))).unwrap();
    inbox.look().unwrap();
    let (uids, _) = inbox.uids();
    assert_eq!((uids.len() as u64, uids.contains(&8)), (COUNT - 1, false));
    let flags = change(How::Add, Flags::SEEN, &[]);
    inbox.store(&[9], &flags, None).unwrap();
    assert_eq!(inbox.message(9).unwrap().file_bytes, 9);
}

#[test]
fn other_names_are_ordered_by_when_the_files_were_written() {
    let house = large();
    fs::rename(house.path("Maildir/new").join(file_name(0)), house.path("Maildir/new/by-hand")).unwrap();
    let inbox = house.folders().open(&FolderName::inbox()).unwrap();
    assert!(!inbox.lock_names().is_unmeasured);
    let (messages, _) = inbox.messages();
    assert!(messages.windows(2).all(|pair| pair[0].internal_date < pair[1].internal_date));
}
