use super::*;

/// golden spool_notifytry, the copy of the first temporary notice, with our product name and time zone.
const TEMPORARY: &str = "Date: Mon, 23 Nov 2026 10:34:43 +0000
X-MessageId: <1795430083058.7f304dff36c0.79f.5.mail.example.test>
X-SmtpMessageId: <S4>
From: example.test PostMaster <postmaster@example.test>
To: bob@example.test
Subject: Error sending message [1795430083058.7f304dff36c0.79f.5.mail.example.test] from [example.test]
X-MailerServer: Tabmail VERSION
X-MailerError: Message = [1795430083058.7f304dff36c0.79f.5.mail.example.test] Server = [example.test]

[<00>] XMail bounce: Rcpt=[t451@sink.test];Error=[451 4.3.0 try again later]


[<01>] Error sending message [1795430083058.7f304dff36c0.79f.5.mail.example.test] from [example.test].

ID:        <S4>
Mail From: <alice@example.test>
Rcpt To:   <t451@sink.test>
Server:    <mx1.sink.test.> [mx1.sink.test.]


[<02>] The reason of the delivery failure was:

451 4.3.0 try again later


[<03>] Note:

** This is a temporary error and you do not have to resend the message
** The system tried to send the message at      : Mon, 23 Nov 2026 10:34:43 +0000
** The current number of delivery attempts is   : 1
** The system will try to resend the message at : Mon, 23 Nov 2026 10:34:45 +0000



[<04>] Here is listed the message log file:

[PeekTime] 1795430083 : Mon, 23 Nov 2026 10:34:43 +0000
<<
ErrCode   = -77
>>


[<05>] Here is listed the initial part of the message:

From: <alice@example.test>
Subject: test

";

fn facts() -> Facts {
    Facts {
        date: "Mon, 23 Nov 2026 10:34:43 +0000".into(),
        spool_name: "1795430083058.7f304dff36c0.79f.5.mail.example.test".into(),
        number: "S4".into(),
        root_domain: "example.test".into(),
        postmaster: "postmaster@example.test".into(),
        addressee: "bob@example.test".into(),
        sender: "alice@example.test".into(),
        recipient: "t451@sink.test".into(),
        server: Some("mx1.sink.test.".into()),
        reason: Some("451 4.3.0 try again later".into()),
        note: Some(Note {
            tried: "Mon, 23 Nov 2026 10:34:43 +0000".into(),
            attempts: 1,
            next: "Mon, 23 Nov 2026 10:34:45 +0000".into(),
        }),
        slog: Some(
            b"[PeekTime] 1795430083 : Mon, 23 Nov 2026 10:34:43 +0000\n<<\nErrCode   = -77\n>>\n".to_vec(),
        ),
        quoted: quoted(b"From: <alice@example.test>\r\nSubject: test\r\n\r\nbody\r\n", 0),
    }
}

#[test]
fn a_notice_reads_as_recorded() {
    let expected = TEMPORARY.replace("VERSION", VERSION).replace('\n', "\r\n");
    assert_eq!(String::from_utf8(facts().to_stored()).unwrap(), expected);
}

#[test]
fn sections_without_facts_are_left_out() {
    let bare = Facts { server: None, reason: None, note: None, slog: None, ..facts() };
    let text = String::from_utf8(bare.to_stored()).unwrap();
    assert!(text.contains("Rcpt To:   <t451@sink.test>\r\n\r\n\r\n[<05>] Here is listed"), "{text}");
}

#[test]
fn what_is_told_cannot_end_the_message() {
    let reason = "554-a\r\n.\r\n554 b".to_owned();
    let told = Facts { reason: Some(reason), slog: Some(b".\n".to_vec()), ..facts() };
    let text = String::from_utf8(told.to_stored()).unwrap();
    assert!(!text.contains("\n.\r\n"), "{text}");
    assert!(text.contains("\r\n..\r\n"));
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
}

#[test]
fn the_quoted_part_has_headers_a_blank_line_and_so_many_lines() {
    let check = |message: &str, lines, expected: &str| {
        assert_eq!(String::from_utf8(quoted(message.as_bytes(), lines)).unwrap(), expected, "{message:?}");
    };
    check("A: b\r\n\r\none\r\n..two\r\nthree\r\n", 2, "A: b\r\n\r\none\r\n..two\r\n");
    check("A: b\r\n\r\none\r\n", 0, "A: b\r\n\r\n");
    check("A: b\r\nno header\r\n", 1, "A: b\r\n\r\nno header\r\n");
    check("A: b", 3, "A: b\r\n\r\n");
    check("A: b\n\nx\n", 1, "A: b\n\r\nx\n");
}

#[test]
fn a_notice_about_our_own_notice_is_a_loop() {
    let mail = b"From: x\r\nX-MailerError: Message = [1] Server = [example.test]\r\n\r\n";
    assert!(is_loop(mail, "example.test"));
    assert!(is_loop(mail, "EXAMPLE.test"));
    assert!(!is_loop(mail, "other.test"));
    assert!(!is_loop(b"x-mailererror: [example.test]\r\n", "example.test"));
    assert!(!is_loop(b"Subject: X-MailerError [example.test]\r\n", "example.test"));
}

#[test]
fn the_pattern_lists_attempts() {
    assert!(is_notified_try("1,4, 9", 9));
    assert!(!is_notified_try("1,4,9", 2));
    assert!(!is_notified_try("", 0));
}
