//! SMTP filters: real scripts on the session's file, well-behaved and not.

use super::*;

const POST_RCPT: &str = "filters.post-rcpt.tab";
const PRE_DATA: &str = "filters.pre-data.tab";
const POST_DATA: &str = "filters.post-data.tab";

/// A server with one row for each script in `table`; `$1` is the session's file, `$2` the MailRoot. Scripts run through
/// `/bin/sh`, so that no other test's fork holds a program open for writing.
async fn filtered(table: &str, scripts: &[&str], more: &[(&str, &str)]) -> Server {
    filtered_on(table, scripts, more, Disk::default()).await
}

async fn filtered_on(table: &str, scripts: &[&str], more: &[(&str, &str)], disk: Disk) -> Server {
    let root = mailroot(more);
    let mut rows = String::new();
    for (index, script) in scripts.iter().enumerate() {
        let (flags, script) = match script.strip_prefix('!').and_then(|rest| rest.split_once(' ')) {
            Some((flags, script)) => (format!("\"!{flags}\"\t"), script),
            None => (String::new(), *script),
        };
        let path = root.path().join(format!("filter{index}.sh"));
        std::fs::write(&path, script).unwrap();
        let (path, root) = (path.display(), root.path().display());
        rows.push_str(&format!("{flags}\"/bin/sh\"\t\"{path}\"\t\"@@FILE\"\t\"{root}\"\t\"$(CRCPT)\"\n"));
    }
    write(root.path(), table, &rows);
    start_on(root, Limits::default(), 1024, disk).await
}

const RCPT: &str = "C: MAIL FROM:<a@client.test>
    S: 250 2.1.0 OK
    C: RCPT TO:<al@example.test>
    ";

const BODY: &str = "S: 354 …
    C: Subject: x
    C:
    C: ..dot
    C: .
    ";

/// DATA up to and with the reply to the message.
async fn data(server: &Server, reply: &str) {
    server.dialogue(&hello(&format!("{RCPT}S: 250 2.1.5 OK\nC: DATA\n{BODY}S: {reply}"))).await;
}

fn seen(server: &Server) -> String {
    std::fs::read_to_string(server.root.path().join("seen")).unwrap_or_default()
}

/// Golden `filter_smtp_capture`.
#[tokio::test]
async fn each_stage_sees_the_session_so_far() {
    let head = "client.test;[127.0.0.1]:P;mx.example.test;[127.0.0.1]:P;Mon, 23 Nov 2026 10:33:05 +0000;[Tabmail V ESMTP Server]\r\nmx.example.test\r\nS2\r\nMAIL FROM:<a@client.test>\r\n";
    let rcpt = "RCPT TO:<al@example.test> {ra=alice@example.test}\r\n";
    let message = "<<MAIL-DATA>>\r\nSubject: x\r\n\r\n..dot\r\n";
    for (table, expected) in [
        (POST_RCPT, head.to_owned()),
        (PRE_DATA, format!("{head}{rcpt}")),
        (POST_DATA, format!("{head}{rcpt}{message}")),
    ] {
        let server = filtered(table, &["cat \"$1\" > \"$2/seen\""], &[]).await;
        data(&server, "250 …").await;
        let ports = |text: String| {
            let mut plain = String::new();
            for (index, part) in text.split("]:").enumerate() {
                let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
                plain.push_str(if index == 0 { part } else { "]:P" });
                plain.push_str(if index == 0 { "" } else { rest });
            }
            plain.replace(crate::status::VERSION, "V")
        };
        assert_eq!(ports(seen(&server)), expected, "{table}");
        assert_eq!(server.spooled().len(), 1);
        server.assert_no_leftovers();
    }
}

/// Golden `filter_{postrcpt,predata,postdata}_exit_3_*` and decision 13.
#[tokio::test]
async fn three_refuses_with_the_line_of_the_rej_file() {
    for (rej, reply) in [
        ("echo '554 5.7.1 custom answer' > \"$1.rej\"; exit 3", "554 5.7.1 custom answer"),
        ("echo 'no code answer' > \"$1.rej\"; exit 19", "554 5.7.1 no code answer"),
        ("exit 3", "554 5.7.1 Transaction failed"),
        ("echo '250 OK' > \"$1.rej\"; exit 3", "554 5.7.1 250 OK"),
        ("head -c 3000000 /dev/zero | tr '\\0' x > \"$1.rej\"; exit 3", "554 5.7.1 xxxxxxxx…"),
    ] {
        let is_default = reply.ends_with("failed");
        let server = filtered(POST_RCPT, &[rej, "touch \"$2/seen\""], &[]).await;
        let of_rcpt = if is_default { "550 5.7.1 Recipient rejected" } else { reply };
        // The transaction stays, without this recipient.
        let dialogue = format!("{RCPT}S: {of_rcpt}\nC: DATA\nS: 503 …");
        server.dialogue(&hello(&dialogue)).await;
        let server_pre = filtered(PRE_DATA, &[rej], &[]).await;
        let dialogue = format!("{RCPT}S: 250 2.1.5 OK\nC: DATA\nS: {reply}\nC: DATA\nS: 503 …");
        server_pre.dialogue(&hello(&dialogue)).await;
        let server_post = filtered(POST_DATA, &[rej], &[]).await;
        data(&server_post, reply).await;
        for server in [server, server_pre, server_post] {
            assert!(server.spooled().is_empty() && !server.root.path().join("seen").exists(), "{rej}");
            server.assert_no_leftovers();
        }
    }
}

#[tokio::test]
async fn only_the_refused_recipient_is_left_out() {
    let script = "case $3 in bob*) echo '450 not bob' > \"$1.rej\"; exit 3;; esac";
    let server = filtered(POST_RCPT, &[script], &[]).await;
    let more =
        format!("{RCPT}S: 250 2.1.5 OK\nC: RCPT TO:<bob@example.test>\nS: 450 not bob\nC: DATA\n{BODY}");
    server.dialogue(&hello(&format!("{more}S: 250 …"))).await;
    assert_eq!(server.spooled().len(), 1);
    assert!(server.log().iter().any(|line| line.contains("'bob@example.test' 'S2' 'RCPT=EFILTER'")));
}

/// Golden `filter_postdata_modify`; also by a new file, in the lines before the message, and after BDAT.
#[tokio::test]
async fn a_post_data_filter_may_change_everything() {
    for (script, expected) in [
        ("printf 'added\\n' >> \"$1\"", "Subject: x\r\n\r\n..dot\r\nadded\r\n"),
        ("sed -i 's/^Subject: x/Subject: y/' \"$1\"", "Subject: y\r\n\r\n..dot\r\n"),
        ("sed -i 's/^Subject: x/Subject: longer/' \"$1\"; exit 7", "Subject: longer\r\n\r\n..dot\r\n"),
        ("printf '.\\nno end' >> \"$1\"; exit 16", "Subject: x\r\n\r\n..dot\r\n..\r\nno end\r\n"),
    ] {
        let server = filtered(POST_DATA, &[script], &[]).await;
        data(&server, "250 …").await;
        let message = &server.spooled()[0];
        assert!(message.ends_with(expected), "{script}: {message}");
        assert!(message.contains("\r\n<<MAIL-DATA>>\r\nReceived: from client.test"), "{message}");
        server.assert_no_leftovers();
    }
    let script = "sed -i 's/^RCPT.*/RCPT TO:<bob@example.test> {x}\\r\\nRCPT TO:<c@far.test>\\r/; s/a@client/b@client/' \"$1\"";
    let server = filtered(POST_DATA, &[script], &[]).await;
    let bdat = format!("{RCPT}S: 250 2.1.5 OK\nC: BDAT 12 LAST\nC: Subject: x\nS: 250 …");
    server.dialogue(&hello(&bdat)).await;
    let spooled = server.spooled();
    assert_eq!(spooled.len(), 2);
    assert!(
        spooled[0].contains("MAIL FROM:<b@client.test>\r\nRCPT TO:<bob@example.test>\r\n<<"),
        "{spooled:?}"
    );
    assert!(spooled[1].contains("\r\nRCPT TO:<c@far.test>\r\n<<"), "{spooled:?}");
}

/// Whatever a program does that does not end by itself, the mail passes as it came.
#[tokio::test]
async fn what_a_broken_filter_leaves_is_not_mail() {
    for script in [
        "echo garbage > \"$1\"; kill -SEGV $$",
        "rm \"$1\"; exit 255",
        "!timeo=1 head -c 50 \"$1\" > \"$1.new\"; mv \"$1.new\" \"$1\"; sleep 60 & sleep 60; :",
    ] {
        let server = filtered(POST_DATA, &[script, "cat \"$1\" > \"$2/seen\""], &[]).await;
        data(&server, "250 …").await;
        assert!(server.spooled()[0].ends_with("Subject: x\r\n\r\n..dot\r\n"), "{script}");
        assert!(seen(&server).ends_with("<<MAIL-DATA>>\r\nSubject: x\r\n\r\n..dot\r\n"), "{script}");
        server.assert_no_leftovers();
    }
}

/// A program that says it is done and leaves no message: the client keeps the mail, and the session goes on.
#[tokio::test]
async fn an_unusable_edit_is_a_temporary_failure() {
    for script in [
        "rm \"$1\"",
        "head -c 100000 /dev/urandom > \"$1\"",
        ": > \"$1\"",
        "printf 'a\\0b' >> \"$1\"",
        "sed -i '/^RCPT/d' \"$1\"",
        "sed -i '/MAIL-DATA/d' \"$1\"",
        "rm \"$1\"; ln -s /dev/zero \"$1\"",
        "rm \"$1\"; mkfifo \"$1\"",
        "rm \"$1\"; mkdir \"$1\"; rmdir \"$1\"",
    ] {
        let server = filtered(POST_DATA, &[script], &[]).await;
        let again = format!("{RCPT}S: 250 2.1.5 OK\nC: DATA\n{BODY}S: 451 4.3.0 …\n");
        server.dialogue(&hello(&format!("{again}{again}C: NOOP\nS: 250 …"))).await;
        assert!(server.spooled().is_empty(), "{script}");
        server.assert_no_leftovers();
    }
}

/// Decision 191: a program on a full disk says that all is well and leaves the half. Who changes nothing is not in the way.
#[tokio::test]
async fn an_edit_on_a_full_disk_is_a_temporary_failure() {
    struct Full;
    impl crate::durable::Faults for Full {
        fn before(&self, _: crate::durable::Step<'_>) -> std::io::Result<()> {
            Ok(())
        }
        fn free_space(&self) -> Option<u64> {
            Some(0)
        }
    }
    let cut = "head -c -8 \"$1\" > \"$1.new\"; mv \"$1.new\" \"$1\"";
    for (script, reply, spooled) in [(cut, "451 4.3.0 …", 0), ("cat \"$1\" > /dev/null", "250 …", 1)] {
        let server = filtered_on(POST_DATA, &[script], &[], Disk::with_faults(Arc::new(Full))).await;
        data(&server, reply).await;
        assert_eq!(server.spooled().len(), spooled, "{script}");
        server.assert_no_leftovers();
    }
}

/// Decision 12.
#[tokio::test]
async fn filter_missing_makes_mail_wait() {
    let row = "\"/no/such/filter\"\t\"@@FILE\"\n";
    for (table, dialogue) in [
        (POST_RCPT, format!("{RCPT}S: 451 4.3.0 …\nC: NOOP\nS: 250 …")),
        (PRE_DATA, format!("{RCPT}S: 250 2.1.5 OK\nC: DATA\nS: 451 4.3.0 …")),
        (POST_DATA, format!("{RCPT}S: 250 2.1.5 OK\nC: DATA\n{BODY}S: 451 4.3.0 …")),
    ] {
        let server = start(&[(table, row)], Limits::default()).await;
        data(&server, "250 …").await;
        assert_eq!(server.spooled().len(), 1, "{table}: passes by default");
        let files = [(table, row), ("server.tab", "\"FilterMissing\"\t\"tempfail\"\n")];
        let server = start(&files, Limits::default()).await;
        server.dialogue(&hello(&dialogue)).await;
        assert!(server.spooled().is_empty(), "{table}");
    }
}

/// A filter of one session holds up nobody else; at the stop it is killed and nothing is left.
#[tokio::test]
async fn a_hanging_filter_disturbs_nobody() {
    let script = "case $3 in al*) sleep 600;; esac";
    let server = filtered(PRE_DATA, &[script], &[]).await;
    let mut held = server.connect().await;
    talk(&mut held, &hello(&format!("{RCPT}S: 250 2.1.5 OK\nC: DATA"))).await;
    let other = format!("{RCPT}S: 250 2.1.5 OK\nC: DATA\n{BODY}S: 250 …").replace("al@", "bob@");
    server.dialogue(&hello(&other)).await;
    server.stop.cancel();
    talk(&mut held, "S: 421 …").await;
    let root = server.stop().await;
    assert_eq!(std::fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
}

/// Large mail is in a file and not in memory.
#[tokio::test]
async fn large_mail_passes_the_filters_whole() {
    let script = "wc -c < \"$1\" > \"$2/seen\"; echo end >> \"$1\"";
    let server = filtered(POST_DATA, &[script], &[]).await;
    let mut stream = server.connect().await;
    talk(&mut stream, &hello(&format!("{RCPT}S: 250 2.1.5 OK\nC: DATA\nS: 354 …"))).await;
    let line = "x".repeat(98) + "\r\n";
    stream.write_all(line.repeat(10_000).as_bytes()).await.unwrap();
    talk(&mut stream, "C: .\nS: 250 …").await;
    let message = &server.spooled()[0];
    assert!(message.len() > 1_000_000 && message.ends_with("x\r\nend\r\n"));
    assert!(seen(&server).trim().parse::<u64>().unwrap() > 1_000_000);
    server.assert_no_leftovers();
}
