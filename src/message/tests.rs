use proptest::prelude::*;

use super::*;

/// Names and unfolded values as text, and where the header block ends.
fn check(message: &str, fields: &[(&str, &str)], end: HeaderEnd) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let scanner = HeaderScanner::new(message.as_bytes());
    let got: Vec<_> = scanner.clone().map(|field| (text(field.name), text(&field.value()))).collect();
    let expected: Vec<_> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!((got, scanner.end()), (expected, end), "{message:?}");
}

#[test]
fn fields_and_the_end_of_the_headers() {
    use HeaderEnd::{BlankLine, EndOfInput, NotAHeader};
    check("", &[], EndOfInput);
    check("\r\nbody", &[], BlankLine { body: 2 });
    check("A: 1\r\nB:2\r\n\r\nC: 3\r\n", &[("A", "1"), ("B", "2")], BlankLine { body: 13 });
    check("A: 1\nB:2\n\nbody", &[("A", "1"), ("B", "2")], BlankLine { body: 10 });
    check("A: 1\r\n 2\n\t3\r\nB: 4\n\r\n", &[("A", "1 2\t3"), ("B", "4")], BlankLine { body: 20 });
    check("A:\r\n folded\r\n\r\n", &[("A", "folded")], BlankLine { body: 15 });
    check("A:\r\nB: \r\n\r\n", &[("A", ""), ("B", "")], BlankLine { body: 11 });
    check("A : old style\r\n\r\n", &[("A", "old style")], BlankLine { body: 17 });
    check("A: x:y\r\n\r\n", &[("A", "x:y")], BlankLine { body: 10 });
    check("A: caf\u{e9}\r\n\r\n", &[("A", "caf\u{e9}")], BlankLine { body: 12 });
    // mailflow.md 2.3: what is not a header is the first line of the body.
    check("no headers at all\r\n", &[], NotAHeader { body: 0 });
    check("A: 1\r\nnot a header\r\nB: 2\r\n", &[("A", "1")], NotAHeader { body: 6 });
    check(" continuation first: x\r\nA: 1\r\n", &[], NotAHeader { body: 0 });
    check(": no name\r\n", &[], NotAHeader { body: 0 });
    check("A: 1\r\n.\r\n", &[("A", "1")], NotAHeader { body: 6 });
    // A prefix, cut anywhere.
    check("A: 1\r\nB: 2", &[("A", "1"), ("B", "2")], EndOfInput);
    check("A: 1\r\n", &[("A", "1")], EndOfInput);
    check("A: 1\r", &[("A", "1")], EndOfInput);
}

#[test]
fn a_field_knows_where_it_stands() {
    let message = b"A: 1\r\nB: 2\r\n 3\nC: 4\r\n\r\n";
    let field = first(message, "b").unwrap();
    assert_eq!(field.whole, 6..15);
    assert_eq!(field.raw_value, b" 2\r\n 3");
    assert_eq!(&message[field.whole.clone()], b"B: 2\r\n 3\n");
    assert!(first(message, "D").is_none());
}

#[test]
fn a_body_without_headers_gets_its_blank_line() {
    assert_eq!(missing_blank_line(b"Received: x\r\nno headers at all\r\n"), Some(13));
    assert_eq!(missing_blank_line(b"Received: x\r\n\r\nbody\r\n"), None);
    assert_eq!(missing_blank_line(b"Received: x\r\n"), None);
}

#[test]
fn hops_are_counted() {
    let check = |message: &str, expected: usize| assert_eq!(count_trace_fields(message.as_bytes()), expected);
    check("Subject: x\r\n\r\nReceived: in the body\r\n", 0);
    check("Received: a\r\nRECEIVED: b\r\nX-Deliver-To: c\r\nReceived-SPF: d\r\n\r\n", 3);
    check(&"Received: x\r\n\tby y\r\n".repeat(17), 17);
}

#[test]
fn only_our_own_auth_user_counts() {
    let check = |message: &str, expected: Option<&str>| {
        assert_eq!(auth_user(message.as_bytes()).as_deref(), expected.map(str::as_bytes), "{message}");
    };
    check("X-AuthUser: bob@example.test\r\nReceived: x\r\n\r\n", Some("bob@example.test"));
    check("Received: x\r\nX-AuthUser: forged@example.test\r\n\r\n", None);
    check("X-AuthUser: a\r\nX-AuthUser: b\r\nReceived: x\r\n\r\n", Some("a"));
    check("X-AuthUser:\r\nReceived: x\r\n\r\n", None);
    check("Subject: x\r\n\r\nX-AuthUser: body\r\n", None);
}

fn received(layout: ReceivedHdrType, is_authenticated: bool) -> String {
    let field = Received {
        layout,
        helo: b"client.test",
        client: "127.0.0.1:35268".parse().unwrap(),
        server_domain: "mx.example.test",
        server: "127.0.0.1:2525".parse().unwrap(),
        is_authenticated,
        product: "[XMail 1.27 ESMTP Server]",
        message_number: "S2",
        recipient: "alice@example.test",
        sender: if is_authenticated { "bob@example.test" } else { "" },
        date: "Mon, 23 Nov 2026 10:36:38 -0000",
    };
    String::from_utf8(field.to_bytes()).unwrap()
}

/// Golden `smtp_received_0` to `smtp_received_4`: the third and the second message of each.
#[test]
fn received_fields_are_as_recorded() {
    let check = |number: i64, is_authenticated: bool, client: &str, server: &str| {
        let sender = if is_authenticated { "bob@example.test" } else { "" };
        let expected = format!(
            "Received: from client.test{client}\r\n\
             \tby mx.example.test{server} with [XMail 1.27 ESMTP Server]\r\n\
             \tid <S2> for <alice@example.test> from <{sender}>;\r\n\
             \tMon, 23 Nov 2026 10:36:38 -0000\r\n"
        );
        assert_eq!(received(ReceivedHdrType::from_number(number), is_authenticated), expected, "{number}");
    };
    let (client, server) = (" ([127.0.0.1]:35268)", " ([127.0.0.1]:2525)");
    check(0, false, client, "");
    check(0, true, client, "");
    check(1, false, client, server);
    check(1, true, client, server);
    check(2, false, "", "");
    check(2, true, "", "");
    check(3, false, client, "");
    check(3, true, "", "");
    check(4, false, client, server);
    check(4, true, "", server);
    check(-7, false, client, "");
    check(5, true, client, "");
}

/// Golden `spool_local`.
#[test]
fn lmail_received_is_as_recorded() {
    let field = LocalReceived {
        root_domain: "example.test",
        product: "[XMail 1.27 LMAIL Server]",
        recipient: "alice@example.test",
        sender: "bob@example.test",
        date: "Mon, 23 Nov 2026 10:39:46 -0000",
    };
    let expected = "Received: from /spool/local\r\n\tby example.test with [XMail 1.27 LMAIL Server]\r\n\
                    \tfor <alice@example.test> from <bob@example.test>;\r\n\tMon, 23 Nov 2026 10:39:46 -0000\r\n";
    assert_eq!(String::from_utf8(field.to_bytes()).unwrap(), expected);
}

#[test]
fn short_fields() {
    assert_eq!(x_auth_user(b"bob@example.test"), b"X-AuthUser: bob@example.test\r\n");
    assert_eq!(x_auth_user(b"bob\r\nReceived: forged"), b"X-AuthUser: bob??Received: forged\r\n");
    assert_eq!(return_path(""), b"Return-Path: <>\r\n");
    assert_eq!(return_path("@r.test:a@b.test"), b"Return-Path: <@r.test:a@b.test>\r\n");
    assert_eq!(delivered_to("alice@example.test"), b"Delivered-To: alice@example.test\r\n");
    assert_eq!(x_deliver_to("alice@example.test"), b"X-Deliver-To: alice@example.test\r\n");
    let prefix = mailbox_prefix(b"Subject: x\r\n\r\n", "a@b.test", "u@d.test");
    assert_eq!(prefix, b"Return-Path: <a@b.test>\r\nDelivered-To: u@d.test\r\n");
    assert_eq!(mailbox_prefix(b"return-path: <x>\r\n\r\n", "a@b.test", "u@d.test"), b"");
}

#[test]
fn mapped_addresses_are_shown_as_ipv4() {
    let mut field = received_parts();
    field.client = "[::ffff:192.0.2.1]:25".parse().unwrap();
    assert!(field.to_bytes().starts_with(b"Received: from h ([192.0.2.1]:25)\r\n"));
    field.client = "[2001:db8::1]:25".parse().unwrap();
    assert!(field.to_bytes().starts_with(b"Received: from h ([2001:db8::1]:25)\r\n"));
    field.helo = b"h\r\nX: y";
    assert_eq!(HeaderScanner::new(&field.to_bytes()).count(), 1);
}

fn received_parts() -> Received<'static> {
    Received {
        layout: ReceivedHdrType::Standard,
        helo: b"h",
        client: "127.0.0.1:1".parse().unwrap(),
        server_domain: "d",
        server: "127.0.0.1:2".parse().unwrap(),
        is_authenticated: false,
        product: "p",
        message_number: "S1",
        recipient: "r@d",
        sender: "",
        date: "date",
    }
}

proptest! {
    /// The fields are a gapless cover of everything before the end of the headers.
    #[test]
    fn scanning_covers_the_header_block(message in "(A: b|x|:| |\t|\r\n|\n|\r|é){0,20}") {
        let bytes = message.as_bytes();
        let mut position = 0;
        for field in HeaderScanner::new(bytes) {
            prop_assert_eq!(field.whole.start, position);
            prop_assert!(field.whole.end > position);
            position = field.whole.end;
        }
        match header_end(bytes) {
            HeaderEnd::BlankLine { body } => prop_assert!(matches!(&bytes[position..body], b"\n" | b"\r\n")),
            HeaderEnd::NotAHeader { body } => prop_assert_eq!(body, position),
            HeaderEnd::EndOfInput => prop_assert_eq!(position, bytes.len()),
        }
    }

    #[test]
    fn any_bytes_are_scanned(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (header_end(&bytes), count_trace_fields(&bytes), auth_user(&bytes).is_some());
        prop_assert!(!unfold(&bytes).contains(&b'\n'));
    }
}
