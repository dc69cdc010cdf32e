use proptest::prelude::*;

use super::*;

fn check(reply: &Reply, wire: &str) {
    assert_eq!(String::from_utf8(reply.to_wire()).unwrap(), wire);
}

#[test]
fn replies_on_the_wire() {
    check(&Reply::new(354, "Start mail input"), "354 Start mail input\r\n");
    check(&Reply::enhanced(250, EnhancedCode(2, 0, 0), "OK"), "250 2.0.0 OK\r\n");
    check(
        &Reply::multi_line(250, ["example.test", "PIPELINING", "SIZE"]),
        "250-example.test\r\n250-PIPELINING\r\n250 SIZE\r\n",
    );
    // RFC 2034: the code stands on every line.
    let help = Reply::multi_line(214, ["HELO EHLO", "QUIT"]).with_enhanced(EnhancedCode(2, 0, 0));
    check(&help, "214-2.0.0 HELO EHLO\r\n214 2.0.0 QUIT\r\n");
    check(&Reply::multi_line(250, Vec::<&str>::new()), "250 \r\n");
    check(&Reply::new(550, "caf\u{e9}\tx"), "550 caf\u{e9}\tx\r\n");
}

#[test]
fn an_enhanced_code_of_another_class_is_not_sent() {
    check(&Reply::enhanced(354, EnhancedCode(3, 0, 0), "go"), "354 go\r\n");
    check(&Reply::enhanced(550, EnhancedCode(4, 2, 2), "full"), "550 full\r\n");
}

#[test]
fn texts_cannot_forge_lines() {
    check(&Reply::new(550, "no\r\n250 yes\0\x7f"), "550 no??250 yes??\r\n");
}

#[test]
fn peers_replies() {
    let check = |text: &[u8], expected: Result<(u16, &[&str]), ReplyError>| {
        let got = Reply::parse(text).map(|reply| (reply.code, reply.lines));
        let expected =
            expected.map(|(code, lines)| (code, lines.iter().map(|line| (*line).into()).collect()));
        assert_eq!(got, expected, "{}", String::from_utf8_lossy(text));
    };
    check(b"250 OK\r\n", Ok((250, &["OK"])));
    check(b"250 OK", Ok((250, &["OK"])));
    check(b"250\r\n", Ok((250, &[""])));
    check(b"250-a\r\n250-b\n250 c\r\nrest", Ok((250, &["a", "b", "c"])));
    check(b"250-a\r\n550 b\r\n", Ok((550, &["a", "b"])));
    check(b"550 5.1.1 no such user\r\n", Ok((550, &["5.1.1 no such user"])));
    check(b"250-a\r\n250-b\r\n", Err(ReplyError::Incomplete));
    check(b"", Err(ReplyError::Incomplete));
    check(b"25\r\n", Err(ReplyError::NotAReply));
    check(b"2x0 OK\r\n", Err(ReplyError::NotAReply));
    check(b"250:OK\r\n", Err(ReplyError::NotAReply));
    check(b"HTTP/1.1 400 Bad Request\r\n", Err(ReplyError::NotAReply));
    check(&b"250-x\r\n".repeat(10_000), Err(ReplyError::TooLong));
}

#[test]
fn a_reader_takes_one_reply_after_the_other() {
    let mut reader = ReplyReader::default();
    assert_eq!(reader.push(b"250-a\r\n"), Ok(None));
    assert!(reader.is_pending());
    assert_eq!(reader.push(b"250 b\r\n"), Ok(Some(Reply::multi_line(250, ["a", "b"]))));
    assert!(!reader.is_pending());
    assert_eq!(reader.push(b"354 go"), Ok(Some(Reply::new(354, "go"))));
}

#[test]
fn enhanced_codes_of_peers() {
    let check = |text: &str, expected: Option<EnhancedCode>| {
        assert_eq!(Reply::parse(text.as_bytes()).unwrap().enhanced_code(), expected, "{text}");
    };
    check("550 5.1.1 no such user", Some(EnhancedCode(5, 1, 1)));
    check("550-5.7.26 This mail\r\n550 5.7.26 is refused", Some(EnhancedCode(5, 7, 26)));
    check("250 2.0.0", Some(EnhancedCode(2, 0, 0)));
    check("550 4.1.1 mixed", None);
    check("550 5.1 short", None);
    check("550 5.1.1.1 long", None);
    check("550 5.1000.1 big", None);
    check("550 5..1 gap", None);
    check("220 mx.example.test ready", None);
}

/// `mailflow.md` 4.7.
#[test]
fn classes() {
    let check = |code: u16, class: ReplyClass, is_permanent: bool| {
        let reply = Reply::new(code, "");
        assert_eq!((reply.class(), reply.is_permanent()), (class, is_permanent), "{code}");
    };
    check(199, ReplyClass::Unknown, false);
    check(250, ReplyClass::Positive, false);
    check(354, ReplyClass::Intermediate, false);
    check(421, ReplyClass::Transient, false);
    check(500, ReplyClass::Permanent, true);
    check(599, ReplyClass::Permanent, true);
    check(600, ReplyClass::Unknown, false);
}

/// Decision 13.
#[test]
fn rejections_of_filters() {
    assert_eq!(Reply::parse_rejection(b"552 5.3.4 too big\r\n"), Some(Reply::new(552, "5.3.4 too big")));
    assert_eq!(Reply::parse_rejection(b"451 later"), Some(Reply::new(451, "later")));
    assert_eq!(Reply::parse_rejection(b"250 fine"), None);
    assert_eq!(Reply::parse_rejection(b"550-more"), None);
    assert_eq!(Reply::parse_rejection(b"go away"), None);
}

#[test]
fn xmail_errors() {
    let check = |number: i32, text: &str| assert_eq!(xmail_error_text(number), text, "{number}");
    check(0, "Success");
    check(11, "Unknown error code");
    check(number::CTRL_LOGIN, "Bad controller login");
    check(-105, "Bad controller login");
    check(132, "Bad tag ( From: , etc ... ) address");
    check(number::NOT_RFC822_NAME, "Name does not respect RFC822");
    check(number::HOST_NAME, "Invalid host name");
    check(267, "Failed to create for eventfd");
    check(XMAIL_ERROR_MAX, "Unknown error code");
    check(269, "Unknown error code");
    check(i32::MIN, "Unknown error code");
}

/// The comparator of the recordings recognises a product as name, version and service.
#[test]
fn products() {
    assert_eq!(product("ESMTP Server"), format!("[Tabmail {} ESMTP Server]", env!("CARGO_PKG_VERSION")));
}

proptest! {
    #[test]
    fn what_we_build_can_be_read(code in 200u16..600, lines in proptest::collection::vec("[^\u{0}-\u{1f}\u{7f}]{0,20}", 1..4)) {
        let reply = Reply::multi_line(code, lines);
        prop_assert_eq!(Reply::parse(&reply.to_wire()), Ok(reply));
    }

    #[test]
    fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = (Reply::parse(&bytes), Reply::parse_rejection(&bytes), EnhancedCode::split(&bytes));
    }
}
