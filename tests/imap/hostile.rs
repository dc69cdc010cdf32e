//! Bad input over the wire: whatever a client sends, and whatever stands in its directories, it gets a tagged NO or BAD or
//! a BYE, memory stays bounded, and others are served.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use flate2::{Compress, Compression, FlushCompress};
use rustix::fs::{CWD, FileType, Mode, mknodat};

mod house;

use house::{House, Visitor};

const MIB: usize = 1024 * 1024;

fn small(number: usize) -> Vec<u8> {
    format!("From: a@home.test\r\nSubject: {number}\r\n\r\ntext {number}\r\n").into_bytes()
}

#[test]
fn huge_literals_are_refused_before_they_come() {
    let house = House::start();
    // Not logged in; the client waits.
    let mut visitor = house.knock();
    for size in ["4097", "2147483648", "9223372036854775807", "99999999999999999999999"] {
        let outcome = visitor.say(&format!("LOGIN {{{size}}}"));
        assert!(outcome.is("BAD [TOOBIG]") && outcome.told.is_empty(), "{size}: {outcome:?}");
    }
    assert!(visitor.say("NOOP").is("OK"));
    // It does not wait: little is passed over, the rest is too much.
    visitor.begin(b"LOGIN {5000+}");
    visitor.client.send(&[vec![b'x'; 5000], b" y\r\n".to_vec()].concat());
    visitor.expect("h6 BAD [TOOBIG]");
    assert!(visitor.say("NOOP").is("OK"));
    visitor.begin(b"LOGIN {2147483648+}");
    visitor.expect("h8 BAD");
    assert!(visitor.hears_bye());

    let mut visitor = house.enter();
    for command in [
        "SEARCH SUBJECT {2147483648}",
        "SELECT {70000}",
        "CREATE {2147483648}",
        "FETCH {2147483648}",
        "FROB {2147483648}",
    ] {
        assert!(visitor.say(command).is("BAD [TOOBIG]"), "{command}");
    }
    assert!(visitor.say("APPEND INBOX {9223372036854775807}").is("NO [TOOBIG]"));
    assert!(visitor.say("APPEND Missing {2147483648}").is("NO [TRYCREATE]"));
    visitor.begin(b"APPEND INBOX {70000+}");
    visitor.client.send(&[vec![b'x'; 70_000], b"\r\n".to_vec()].concat());
    visitor.expect("h9 BAD [TOOBIG]");
    // Literals where none are, and octets that no literal may have.
    for command in ["NOOP {5+}\r\nhello", "LIST \"\" {1+}\r\n\0", "SELECT {0+}\r\n", "{3+}\r\nabc"] {
        let outcome = visitor.say(command);
        assert!(outcome.is("BAD") || outcome.is("NO"), "{command:?}: {outcome:?}");
    }
    assert!(visitor.say("NOOP").is("OK"));
    visitor.begin(b"APPEND INBOX {2147483648+}");
    assert!(visitor.hears_bye());
    // Thirty commands with as much as may be held.
    let mut visitor = house.enter();
    let literals = "{65536}".to_owned();
    for _ in 0..30 {
        visitor.begin(format!("SEARCH SUBJECT {literals}").as_bytes());
        visitor.expect("+");
        visitor.client.send(&[vec![b'x'; 65_536], b"\r\n".to_vec()].concat());
        assert!(visitor.client.response().is_some());
    }
    house.assert_memory_within(40);
    house.assert_serves_others();
}

#[test]
fn lines_without_end_are_dropped() {
    let house = House::start();
    let mut visitor = house.knock();
    visitor.client.send(&[b"a ".to_vec(), vec![b'x'; 8 * MIB], b"\r\n".to_vec()].concat());
    visitor.expect("a BAD [TOOBIG]");
    assert!(visitor.say("NOOP").is("OK"));
    let piece = vec![b'x'; MIB];
    for _ in 0..70 {
        visitor.client.send(&piece);
    }
    assert!(visitor.hears_bye());
    house.assert_memory_within(20);
    house.assert_serves_others();
}

#[test]
fn wrong_commands_are_answered_one_by_one() {
    let house = House::start();
    let mut visitor = house.enter();
    for nth in 0..5000 {
        let wrong =
            ["FROB", "FETCH", "LOGIN a b", "UID", "\"", "SELECT \"", "(((", "\x01\x02", "STORE 1 (", "[]{}"];
        let outcome = visitor.say(wrong[nth % wrong.len()]);
        assert!(outcome.is("BAD") && outcome.told.is_empty(), "{nth}: {outcome:?}");
    }
    assert!(visitor.say("SELECT INBOX").is("OK"));
    // A browser, say, or a scanner.
    let mut visitor = house.knock();
    visitor.client.send(&b"GET / HTTP/1.1\r\n".repeat(100));
    assert!(visitor.hears_bye());
    house.assert_memory_within(20);
}

#[test]
fn pipelined_commands_all_have_their_answer() {
    const COMMANDS: usize = 20_000;
    let house = House::start();
    let mut visitor = house.enter();
    let text: String = (0..COMMANDS).map(|nth| format!("p{nth} CAPABILITY\r\n")).collect();
    let mut other = visitor.client.second_end();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut other, text.as_bytes()).unwrap());
    for nth in 0..COMMANDS {
        visitor.expect("* CAPABILITY");
        visitor.expect(&format!("p{nth} OK"));
    }
    sending.join().unwrap();
    house.assert_memory_within(20);
}

#[test]
fn clients_that_never_read_are_not_read_from() {
    let house = House::start();
    let mut deaf: Vec<Visitor> = (0..20).map(|_| house.enter()).collect();
    for visitor in &mut deaf {
        let mut other = visitor.client.second_end();
        other.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let commands = b"x CAPABILITY\r\ny FROB \"\r\n".repeat(4000);
        // The server stops reading once its answers are not taken.
        while std::io::Write::write_all(&mut other, &commands).is_ok() {}
    }
    house.assert_memory_within(40);
    house.assert_serves_others();
}

#[test]
fn texts_that_nobody_reads_stay_on_disk() {
    let house = House::start();
    let text = [b"Subject: large\r\n\r\n".to_vec(), b"0123456789abcdef\r\n".repeat(1024 * 1024)].concat();
    for nth in 0..8 {
        house.deliver(&format!("{nth}.large.host"), &text);
    }
    let mut deaf: Vec<Visitor> = (0..20).map(|_| house.enter()).collect();
    for visitor in &mut deaf {
        assert!(visitor.say("SELECT INBOX").is("OK"));
        visitor.begin(b"FETCH 1:8 (BODY.PEEK[] BODY.PEEK[1])");
        visitor.begin(b"FETCH 1:8 RFC822");
    }
    house.assert_serves_others();
    house.assert_memory_within(60);
    drop(deaf);
    house.assert_serves_others();
}

/// `multipart/mixed` inside each other, as deep; the innermost says where it is.
fn nested(depth: usize) -> Vec<u8> {
    let mut text = b"Subject: deep\r\nMIME-Version: 1.0\r\n".to_vec();
    for level in 0..depth {
        text.extend(
            format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n").bytes(),
        );
    }
    text.extend(b"Content-Type: text/plain\r\n\r\nneedle in the depth\r\n");
    for level in (0..depth).rev() {
        text.extend(format!("--b{level}--\r\n").bytes());
    }
    text
}

#[test]
fn nested_parts_are_looked_into_as_deep_as_is_sound() {
    let house = House::start();
    house.deliver("1.shallow.host", &nested(20));
    house.deliver("2.deep.host", &nested(1000));
    let mut messages = b"Subject: matryoshka\r\n".to_vec();
    messages.extend(b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n".repeat(1000));
    house.deliver("3.messages.host", &messages);
    let many: String = (0..20_000).map(|nth| format!("--b\r\nX: {nth}\r\n\r\n.\r\n")).collect();
    let many = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{many}");
    house.deliver("4.many.host", many.as_bytes());
    let mut visitor = house.enter();
    assert!(visitor.say("SELECT INBOX").is("OK"));
    let part = |depth: usize| vec!["1"; depth].join(".");
    for items in [
        "BODYSTRUCTURE".to_owned(),
        "(ENVELOPE BODY RFC822.SIZE PREVIEW)".to_owned(),
        format!("BODY.PEEK[{}]", part(1000)),
        format!("BODY.PEEK[{}.MIME]", part(1000)),
        format!("BODY.PEEK[{}.HEADER]", part(500)),
        format!("BINARY.PEEK[{}]", part(1000)),
        format!("BINARY.SIZE[{}]", part(1000)),
        format!("BODY.PEEK[{}]", part(10_000)),
        format!("BODY.PEEK[{}]", vec!["4294967295"; 1000].join(".")),
        "BODY[]".to_owned(),
    ] {
        let outcome = visitor.say(&format!("FETCH 1:4 {items}"));
        assert!(
            outcome.is("OK") && outcome.count("* ") >= 4,
            "{}: {}",
            &items[..20.min(items.len())],
            outcome.ended
        );
    }
    let outcome = visitor.say(&format!("FETCH 1 BODY.PEEK[{}]", part(20)));
    assert!(outcome.told[0].windows(6).any(|octets| octets == b"needle"), "{outcome:?}");
    for key in [
        "BODY needle",
        "TEXT needle",
        "TEXT \"subject: matryoshka\"",
        "TEXT \"Subject: inner\"",
        "HEADER Subject deep",
    ] {
        let outcome = visitor.say(&format!("SEARCH {key}"));
        assert!(outcome.is("OK") && outcome.count("* SEARCH ") == 1, "{key}: {outcome:?}");
    }
    assert!(visitor.say("SORT (SUBJECT) UTF-8 ALL").is("OK"));
    assert!(visitor.say("THREAD REFERENCES UTF-8 ALL").is("OK"));
    house.assert_memory_within(40);
}

#[test]
fn half_written_messages_are_messages() {
    let house = House::start();
    let whole = [nested(3), b"\r\n--b0\r\nContent-Type: text/html; charset=\"utf-8\r\n\r\n<b>&auml".to_vec()]
        .concat();
    let halves: Vec<&[u8]> = (0..whole.len()).step_by(5).map(|end| &whole[..end]).collect();
    for (nth, half) in halves.iter().enumerate() {
        house.deliver(&format!("{nth}.half.host"), half);
    }
    let mut visitor = house.enter();
    assert!(visitor.say("SELECT INBOX").is("OK"));
    let items =
        "(ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[1.1] BODY.PEEK[2.MIME] BODY.PEEK[HEADER] PREVIEW)";
    let outcome = visitor.say(&format!("FETCH 1:* {items}"));
    assert!(outcome.is("OK") && outcome.count("* ") == halves.len(), "{}", outcome.ended);
    for command in
        ["SEARCH TEXT needle", "SEARCH BODY xyz", "SORT (DATE FROM) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL"]
    {
        assert!(visitor.say(command).is("OK"), "{command}");
    }
    house.assert_serves_others();
}

#[test]
fn an_answer_of_a_thousand_items_is_bounded() {
    let house = House::start();
    let header: String = (0..2000).map(|nth| format!("To: a{nth}@home.test, b{nth}@home.test\r\n")).collect();
    let body = "x".repeat(76) + "\r\n";
    house.deliver("1.items.host", format!("{header}\r\n{}", body.repeat(50_000)).as_bytes());
    let mut visitor = house.enter();
    assert!(visitor.say("SELECT INBOX").is("OK"));
    for item in [
        "ENVELOPE",
        "BINARY.PEEK[1]",
        "BODY.PEEK[HEADER.FIELDS (To)]",
        "BODY.PEEK[HEADER.FIELDS.NOT (X)]",
        "PREVIEW",
    ] {
        let items = vec![item; 60_000 / (item.len() + 1)].join(" ");
        let outcome = visitor.say(&format!("FETCH 1 ({items})"));
        assert!(outcome.is("OK") || outcome.is("NO [LIMIT]"), "{item}: {}", outcome.ended);
    }
    assert!(visitor.say("FETCH 1 (ENVELOPE BINARY.PEEK[1])").is("OK"));
    house.assert_memory_within(200);
    house.assert_serves_others();
}

#[test]
fn files_that_change_under_a_session_harm_nobody() {
    let house = House::start();
    let paths: Vec<_> = (1..=9).map(|nth| house.deliver(&format!("{nth}.x.host"), &small(nth))).collect();
    let secret = house.root().join("secret");
    fs::write(&secret, b"Subject: secret\r\n\r\nsecret\r\n").unwrap();
    let mut visitor = house.enter();
    let other = house.enter();
    assert!(visitor.say("SELECT INBOX").is("OK"));
    fs::File::options().write(true).open(&paths[0]).unwrap().set_len(20).unwrap();
    fs::remove_file(&paths[1]).unwrap();
    fs::remove_file(&paths[2]).unwrap();
    fs::create_dir(&paths[2]).unwrap();
    fs::remove_file(&paths[3]).unwrap();
    mknodat(CWD, &paths[3], FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::remove_file(&paths[4]).unwrap();
    symlink(&secret, &paths[4]).unwrap();
    fs::remove_file(&paths[5]).unwrap();
    symlink("/nowhere", &paths[5]).unwrap();
    fs::remove_file(&paths[6]).unwrap();
    symlink(&paths[6], &paths[6]).unwrap();
    fs::File::options().append(true).open(&paths[7]).unwrap().set_len(1_000_000).unwrap();
    for number in 1..=8 {
        let outcome = visitor.say(&format!("FETCH {number} (BODY.PEEK[] ENVELOPE)"));
        assert!(outcome.is("NO [EXPUNGEISSUED]"), "{number}: {outcome:?}");
        let told: Vec<u8> = outcome.told.concat();
        assert!(!told.windows(6).any(|octets| octets == b"secret"));
    }
    assert!(visitor.say("FETCH 9 BODY.PEEK[]").is("OK"));
    let outcome = visitor.say("NOOP");
    assert!(
        outcome.is("OK") && outcome.told.iter().any(|answer| answer.ends_with(b"EXPUNGE\r\n")),
        "{outcome:?}"
    );
    // What is left: the two that were written to, as new messages, and the one nobody touched.
    let outcome = visitor.say("SEARCH ALL");
    assert_eq!(outcome.told, [b"* SEARCH 1 2 3\r\n"]);
    assert!(visitor.say("SEARCH BODY text").is("OK"));
    assert!(visitor.say("COPY 1:* INBOX").is("OK"));
    drop(other);
    house.assert_serves_others();
}

#[test]
fn what_is_no_file_is_no_message() {
    let house = House::start();
    let (inbox, cur) = (house.inbox(), house.home().join("Maildir/cur"));
    fs::create_dir_all(&cur).unwrap();
    fs::create_dir_all(house.home().join("Maildir/.Box/cur")).unwrap();
    let secret = house.root().join("secret");
    fs::write(&secret, b"Subject: secret\r\n\r\nsecret\r\n").unwrap();
    for (nth, directory) in [inbox, cur, house.home().join("Maildir/.Box/cur")].into_iter().enumerate() {
        mknodat(CWD, directory.join("1.fifo.host"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        symlink(&secret, directory.join("2.link.host:2,S")).unwrap();
        fs::create_dir(directory.join("3.directory.host")).unwrap();
        fs::write(directory.join("3.directory.host/4.inner.host"), "x").unwrap();
        fs::write(directory.join(format!("5.{nth}.empty.host")), "").unwrap();
        fs::write(directory.join(format!("6.{nth}.\u{fffd}\n\t\"\\.host")), small(6)).unwrap();
    }
    let mut visitor = house.enter();
    for (folder, exists) in [("INBOX", 4), ("Box", 2 + 4)] {
        let outcome = visitor.say(&format!("SELECT {folder}"));
        assert!(outcome.told.contains(&format!("* {exists} EXISTS\r\n").into_bytes()), "{outcome:?}");
        let outcome = visitor.say("FETCH 1:* (FLAGS RFC822.SIZE ENVELOPE BODYSTRUCTURE PREVIEW BODY.PEEK[])");
        assert!(outcome.is("OK") && outcome.count("* ") == exists, "{outcome:?}");
        assert!(visitor.say("STORE 1:* +FLAGS (\\Flagged word)").is("OK"));
        assert!(visitor.say("SEARCH TEXT secret").told.contains(&b"* SEARCH\r\n".to_vec()));
        assert!(visitor.say("COPY 1:* Box").is("OK"));
    }
    house.assert_serves_others();
}

#[test]
fn a_text_cut_short_while_it_is_sent_ends_that_session_only() {
    let house = House::start();
    let text = [b"Subject: cut\r\n\r\n".to_vec(), b"0123456789abcdef\r\n".repeat(1_000_000)].concat();
    let path = house.deliver("1.cut.host", &text);
    let mut visitor = house.enter();
    assert!(visitor.say("SELECT INBOX").is("OK"));
    visitor.begin(b"FETCH 1 BODY.PEEK[]");
    // Part of it is on its way: no socket holds it all.
    let mut octets = [0; 1];
    std::io::Read::read_exact(&mut visitor.client.second_end(), &mut octets).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut visitor.client.second_end(), &mut rest).unwrap();
    assert!(rest.len() < text.len());
    assert!(rest.ends_with(b"* BYE A message has changed on disk while it was sent\r\n"));
    house.assert_serves_others();
}

/// All directories below the MailRoot, without those of folders.
fn directories(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![house.root().to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let is_folder = entry.path().parent().unwrap().ends_with("anna/Maildir")
                && entry.file_name().to_str().unwrap().starts_with('.');
            if entry.file_type().unwrap().is_dir() && !is_folder {
                found.push(entry.path().to_str().unwrap().to_owned());
                left.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn names_lead_nowhere_but_to_folders() {
    let house = House::start();
    let mut visitor = house.enter();
    let before = directories(&house);
    let names = [
        "..".to_owned(),
        "../..".to_owned(),
        "../../bert/Maildir".to_owned(),
        "a/../../b".to_owned(),
        "/etc".to_owned(),
        "a//b".to_owned(),
        "//".to_owned(),
        ".".to_owned(),
        ".hidden".to_owned(),
        "..x".to_owned(),
        "x\0y".to_owned(),
        "x\r\ny".to_owned(),
        "x\ty\x7f\x1b[2J".to_owned(),
        "~root".to_owned(),
        "#news.x".to_owned(),
        "&".to_owned(),
        "&garbage".to_owned(),
        "&AAA-".to_owned(),
        "&2D0-".to_owned(),
        "&AC8-&AC4-".to_owned(),
        "&AGE-".to_owned(),
        "&Jjo!-".to_owned(),
        "\u{e4}\u{202e}".to_owned(),
        "a*b%".to_owned(),
        "\"".to_owned(),
        "\\".to_owned(),
        "CON".to_owned(),
        "inbox".to_owned(),
        "INBOX/".to_owned(),
        "cur".to_owned(),
        "new/cur".to_owned(),
        "x".repeat(300),
        "&AOQ-".repeat(100),
        "x".repeat(60_000),
        vec!["d"; 33].join("/"),
        vec!["d"; 30_000].join("/"),
        "/".repeat(60_000),
        " ".to_owned(),
        String::new(),
    ];
    for name in &names {
        for command in [
            "CREATE",
            "SELECT",
            "EXAMINE",
            "STATUS",
            "SUBSCRIBE",
            "RENAME",
            "LIST",
            "LSUB",
            "GETQUOTAROOT",
            "APPEND",
            "DELETE",
            "UNSUBSCRIBE",
        ] {
            let literal = format!("{{{}}}", name.len());
            let (first, last): (String, &[u8]) = match command {
                "STATUS" => (format!("STATUS {literal}"), b" (MESSAGES SIZE)"),
                "RENAME" => (format!("RENAME Missing {literal}"), b""),
                "LIST" | "LSUB" => (format!("{command} \"\" {literal}"), b""),
                "APPEND" => (format!("APPEND {literal}"), b" {3+}\r\na\r\n"),
                _ => (format!("{command} {literal}"), b""),
            };
            let tag = visitor.begin(first.as_bytes());
            visitor.expect("+");
            visitor.client.send(&[name.as_bytes(), last, b"\r\n"].concat());
            let outcome = visitor.hear(&tag);
            let ended = ["OK", "NO", "BAD"].iter().any(|end| outcome.is(end));
            assert!(ended, "{command} {:?}: {outcome:?}", &name[..name.len().min(40)]);
        }
    }
    assert!(visitor.say("UNSELECT").is("OK") || visitor.say("NOOP").is("OK"));
    assert_eq!(directories(&house), before);
    assert!(!house.root().join("domains/home.test/bert/Maildir/.x").exists());
    house.assert_memory_within(40);
}

#[test]
fn ten_thousand_folders_are_listed() {
    const FOLDERS: usize = 10_000;
    let house = House::start();
    for nth in 0..FOLDERS {
        let name = format!("Maildir/.Level{}.Folder{nth}/cur", nth % 100);
        fs::create_dir_all(house.home().join(name)).unwrap();
    }
    let mut visitor = house.enter();
    let mut timed = |command: &str, listed: usize, secs: u64| {
        let begun = Instant::now();
        let outcome = visitor.say(command);
        assert!(
            outcome.is("OK") && outcome.count("* L") == listed,
            "{command}: {}, {}",
            outcome.ended,
            outcome.told.len()
        );
        assert!(begun.elapsed() < Duration::from_secs(secs), "{:.50}: {:?}", command, begun.elapsed());
    };
    timed("LIST \"\" *", FOLDERS + 101, 20);
    timed("LIST \"\" %", 101, 20);
    timed("LSUB \"\" *", 0, 20);
    timed(&format!("LIST \"\" {}x", "*a%".repeat(20_000)), 0, 20);
    timed(&format!("LIST \"\" {}", "*".repeat(60_000)), FOLDERS + 101, 20);
    timed("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" *", 0, 20);
    timed("LIST \"\" Level1/* RETURN (STATUS (MESSAGES UIDNEXT))", 100, 20);
    let patterns: Vec<String> = (0..8000).map(|nth| format!("*{nth}*")).collect();
    assert!(visitor.say(&format!("LIST \"\" ({})", patterns.join(" "))).is("NO [LIMIT]"));
    house.assert_memory_within(60);
    house.assert_serves_others();
}

#[test]
fn idle_ends_with_done_and_with_nothing_else() {
    let house = House::start();
    let mut visitor = house.enter();
    assert!(visitor.say("SELECT INBOX").is("OK"));
    for garbage in ["", "STOP", "DONE x", "DON", "h9 NOOP", &"x".repeat(100_000), "DONE\0"] {
        let tag = visitor.begin(b"IDLE");
        visitor.expect("+");
        visitor.client.send(&[garbage.as_bytes(), b"\r\n"].concat());
        assert!(visitor.hear(&tag).is("BAD"), "{garbage:.20}");
        assert!(visitor.say("NOOP").is("OK"));
    }
    // All at once.
    let pipelined = b"i1 IDLE\r\ndone\r\ni2 IDLE\r\nDONE\r\ni3 NOOP\r\n";
    visitor.client.send(pipelined);
    assert!(visitor.hear("i1").is("OK") && visitor.hear("i2").is("OK") && visitor.hear("i3").is("OK"));
}

/// What is left of an APPEND that was not.
#[track_caller]
fn assert_nothing_was_added(house: &House) {
    let files = |directory: &str| {
        let read = fs::read_dir(house.home().join("Maildir").join(directory));
        read.map_or(0, |entries| entries.map(Result::unwrap).filter(|entry| entry.path().is_file()).count())
    };
    let begun = Instant::now();
    // A session that was hung up on ends a moment later.
    while files("tmp") > 0 && begun.elapsed() < Duration::from_secs(10) {
        std::thread::yield_now();
    }
    assert_eq!((files("tmp"), files("new"), files("cur")), (0, 0, 0));
}

#[test]
fn an_append_that_fails_leaves_nothing() {
    let house = House::start();
    let mut visitor = house.enter();
    for arguments in [
        "(\\Seen \"1-Jan-2026 10:00:00 +0000\" {3+}\r\na\r\n",
        "\"1-Foo-2026 10:00:00 +0000\" {3+}\r\na\r\n",
        "\"31-Feb-2026 10:00:00 +0000\" {3+}\r\na\r\n",
        "\"01-Jan-2026 25:00:00 +0000\" {3+}\r\na\r\n",
        "\"01-Jan-99999 10:00:00 +0000\" {3+}\r\na\r\n",
        "\"\" {3+}\r\na\r\n",
        "(\\) {3+}\r\na\r\n",
        "(a(b) {3+}\r\na\r\n",
        "{3+}\r\na\r\n x {3+}\r\nb\r\n",
        "{3+}\r\na\r\n (\\Seen {3+}\r\nb\r\n",
        "{3+}\r\na\r\n {0+}\r\n",
        "{3+}\r\na\r\n trailing",
        "UTF8 (~{3+}\r\na\r\n",
        "CATENATE (TEXT {3+}\r\na\r\n)",
        "",
        "x",
    ] {
        let outcome = visitor.say(&format!("APPEND INBOX {arguments}"));
        assert!(outcome.is("BAD") || outcome.is("NO"), "{arguments:?}: {outcome:?}");
        assert!(visitor.say("NOOP").is("OK"), "{arguments:?}");
        assert_nothing_was_added(&house);
    }
    // Hung up in the middle: of the octets, between two messages, before the end of the line.
    for said in [
        "APPEND INBOX {100000}\r\n",
        "APPEND INBOX {3+}\r\na\r\n {4000+}\r\nSubject",
        "APPEND INBOX {3+}\r\na\r\n (\\Seen) {3+}\r\nb\r\n",
    ] {
        let mut visitor = house.enter();
        visitor.client.send(format!("a {said}").as_bytes());
        if said.ends_with("{100000}\r\n") {
            visitor.expect("+");
            visitor.client.send(&[b'x'; 50_000]);
        }
        drop(visitor);
        assert_nothing_was_added(&house);
    }
    // More than the account may have.
    fs::write(house.home().join("user.tab"), "\"MaxMBSize\"\t\"10\"\n").unwrap();
    let mut visitor = house.enter();
    assert!(visitor.say("APPEND INBOX {20000}").is("NO [OVERQUOTA]"));
    let more = format!("APPEND INBOX {{4000+}}\r\n{0} {{4000+}}\r\n{0} {{4000+}}\r\n{0}", "x".repeat(4000));
    assert!(visitor.say(&more).is("NO [OVERQUOTA]"));
    assert!(visitor.say("NOOP").is("OK"));
    assert_nothing_was_added(&house);
    house.assert_memory_within(20);
}

#[test]
fn one_append_of_thousands_needs_few_descriptors() {
    const MESSAGES: usize = 3000;
    let house = House::start();
    let mut visitor = house.enter();
    let tag = visitor.begin("APPEND INBOX".to_owned().as_bytes());
    assert!(visitor.hear(&tag).is("BAD"));
    let mut said = b"m APPEND INBOX".to_vec();
    for nth in 0..MESSAGES - 1 {
        let text = small(nth);
        said.extend(format!(" {{{}+}}\r\n", text.len()).bytes().chain(text));
    }
    said.extend(b" {10}\r\n");
    visitor.client.send(&said);
    visitor.expect("+");
    assert!(house.descriptors() < 200, "{}", house.descriptors());
    visitor.client.send(b"Subject:\r\n\r\n");
    let outcome = visitor.hear("m");
    assert!(outcome.is("OK [APPENDUID ") && outcome.ended.contains(" 1:3000]"), "{outcome:?}");
    house.assert_memory_within(30);
}

#[test]
fn a_deflate_bomb_is_unpacked_bit_by_bit() {
    let house = House::start();
    let pack = |octets: &[u8]| {
        let mut compress = Compress::new(Compression::best(), false);
        let mut packed = Vec::with_capacity(octets.len() / 500 + 1024);
        compress.compress_vec(octets, &mut packed, FlushCompress::Sync).unwrap();
        packed
    };
    let bomb = pack(&vec![b'x'; 200 * MIB]);
    for packed in
        [bomb, pack(&b"a NOOP\r\n".repeat(MIB)), vec![0xff; 10_000], b"\x00\x00\x00\xff\xff".repeat(100_000)]
    {
        let mut visitor = house.enter();
        assert!(visitor.say("COMPRESS DEFLATE").is("OK"));
        let mut other = visitor.client.second_end();
        other.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = std::io::Write::write_all(&mut other, &packed);
        house.assert_serves_others();
        // The end comes by itself where nothing can be made of it.
        drop(visitor);
        house.assert_memory_within(30);
    }
}

#[test]
fn plain_text_behind_starttls_is_dropped() {
    let house = House::start();
    let mut visitor = house.knock();
    visitor.client.send(b"s STARTTLS\r\ni LOGIN anna annapw\r\ni CREATE Injected\r\n");
    let begun = visitor.client.response().unwrap();
    assert!(begun.starts_with(b"s OK"));
    visitor.client.start_tls(&house.certificate());
    let outcome = visitor.say("SELECT INBOX");
    assert!(outcome.is("BAD") && outcome.told.is_empty(), "{outcome:?}");
    // The half of a command, too.
    let mut visitor = house.knock();
    visitor.client.send(b"s STARTTLS\r\ni LOGIN anna {6}\r\nann");
    visitor.expect("s OK");
    visitor.client.start_tls(&house.certificate());
    assert!(visitor.say("LOGIN anna annapw").is("OK"));
    assert!(!house.home().join("Maildir/.Injected").exists());
    // Plain text instead of a handshake.
    let mut visitor = house.knock();
    assert!(visitor.say("STARTTLS").is("OK"));
    visitor.client.send(&b"LOGIN anna annapw\r\n".repeat(100));
    while visitor.client.read_some() > 0 {}
    house.assert_serves_others();
}

#[test]
fn searches_of_any_shape_end() {
    let house = House::start();
    for nth in 0..300 {
        house.deliver(&format!("{nth}.x.host"), &small(nth));
    }
    let mut visitor = house.enter();
    assert!(visitor.say("SELECT INBOX").is("OK"));
    let refused = [
        format!("SEARCH {}ALL{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SEARCH {}ALL", "(".repeat(30_000)),
        format!("SEARCH {}ALL", "NOT ".repeat(15_000)),
        format!("SEARCH {}ALL", "OR ALL ".repeat(9000)),
        format!("SEARCH {}", "OR ".repeat(20_000)),
        format!("SEARCH {}", "1:* ".repeat(15_000)),
        format!("SEARCH {}", "$ ".repeat(15_000)),
        format!("SEARCH UID {}", "1:* UID ".repeat(7000)),
        format!("SEARCH {}ALL", "BODY x ".repeat(9000)),
        format!("SEARCH {}ALL", "NOT TEXT x ".repeat(101)),
        "SEARCH 1:4294967295".to_owned(),
        "FETCH 1:4294967295 FLAGS".to_owned(),
        "FETCH 0 FLAGS".to_owned(),
        "FETCH 4294967296 FLAGS".to_owned(),
        "FETCH 1: FLAGS".to_owned(),
        "STORE 301 +FLAGS (x)".to_owned(),
    ];
    for command in refused {
        let outcome = visitor.say(&command);
        assert!(outcome.is("BAD") || outcome.is("NO [LIMIT]"), "{:.40}: {outcome:?}", command);
    }
    let set = |ranges: usize| {
        (0..ranges).map(|nth| format!("{}:{}", 1 + nth % 300, 300 - nth % 7)).collect::<Vec<_>>()
    };
    for command in [
        format!("SEARCH {}ALL{}", "(".repeat(99), ")".repeat(99)),
        format!("SEARCH {}", "1:* ".repeat(900).trim_end()),
        format!("SEARCH {}", vec!["*"; 30_000].join(",")),
        format!("FETCH {} FLAGS", vec!["1:*"; 15_000].join(",")),
        format!("FETCH {} FLAGS", set(7000).join(",")),
        format!("UID FETCH 1:4294967295,{} UID", set(6000).join(",")),
        format!("UID STORE {},4294967295:1 +FLAGS (word)", set(6000).join(",")),
        format!("UID COPY {} INBOX", vec!["4294967295"; 5000].join(",")),
        "UID SEARCH UID 4294967295:1,1:4294967295,*".to_owned(),
        "UID EXPUNGE 1:4294967295".to_owned(),
    ] {
        let begun = Instant::now();
        let outcome = visitor.say(&command);
        assert!(outcome.is("OK"), "{:.40}: {}", command, outcome.ended);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:.40}: {:?}", command, begun.elapsed());
    }
    assert!(visitor.say("ENABLE QRESYNC").is("OK"));
    let status = visitor.say("STATUS INBOX (UIDVALIDITY)");
    let text = String::from_utf8_lossy(&status.told[0]).into_owned();
    let validity: String = text.chars().filter(char::is_ascii_digit).collect();
    let begun = Instant::now();
    let uids = (1..8000).map(|nth| (nth * 1000).to_string()).collect::<Vec<_>>().join(",");
    let outcome = visitor.say(&format!("SELECT INBOX (QRESYNC ({validity} 1 {uids}))"));
    assert!(outcome.is("OK") && begun.elapsed() < Duration::from_secs(20), "{outcome:?}");
    house.assert_memory_within(40);
}
