//! Headers, charsets, transfer encodings, HTML, search and previews.

use proptest::prelude::*;

use super::super::{
    CharsetDecoder, HtmlText, Searcher, TextDecoder, TransferDecoder, TransferEncoding, TransferError,
    base_subject, charset_is_known, decoded_header, fold, preview, sent_date,
};
use super::{crlf, scan};

#[test]
fn headers_are_decoded() {
    let cases: &[(&[u8], &str)] = &[
        (b" plain text \r\n", "plain text"),
        (b"=?utf-8?Q?J=C3=B6rg?= <j@a.test>", "Jörg <j@a.test>"),
        (b"=?utf-8?Q?a?= =?utf-8?Q?b?=\r\n =?utf-8?B?Yw==?= d", "abc d"),
        (b"(=?iso-8859-1?Q?=E4_b?=)", "(ä b)"),
        (b"=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=", "テスト"),
        (b"=?bad =?utf-8?Q?x?= ?=", "=?bad x ?="),
        (b"=?utf-8?Q?unclosed", "=?utf-8?Q?unclosed"),
        ("roh \u{fc}".as_bytes(), "roh \u{fc}"),
        (b"\xff", "\u{fffd}"),
        (b"", ""),
    ];
    for (raw, expected) in cases {
        assert_eq!(decoded_header(raw), *expected, "{}", String::from_utf8_lossy(raw));
    }
    let long = format!("{} =?utf-8?Q?=C3=A4?=", "word ".repeat(10_000));
    assert!(decoded_header(long.as_bytes()).ends_with("word  ä"));
    // Encoded words that never end take no quadratic time that anyone would see.
    decoded_header(b"=?a?q?=?aa?q?".repeat(20_000).as_slice());
}

#[test]
fn base_subjects_are_those_of_the_rfc() {
    let cases = [
        ("Re: hello", "hello", true),
        ("RE : [x] Fwd: [list] hello (fwd) ", "hello", true),
        ("hello", "hello", false),
        ("[list] hello", "hello", false),
        ("[list]", "[list]", false),
        ("[a] [b]", "[b]", false),
        ("Re[2]: hello", "hello", true),
        ("Re: [fwd: Re: hello]", "hello", true),
        ("[Fwd: hello] ", "hello", true),
        ("Fw:Fwd:re:", "", true),
        ("Regarding: x", "Regarding: x", false),
        ("a \t  b\r\n c", "a b c", false),
        ("", "", false),
        ("(fwd)", "", true),
        ("[un[closed: x", "[un[closed: x", false),
        ("Re: [", "[", true),
        ("é(fwd)", "é", true),
    ];
    for (subject, text, is_reply) in cases {
        let base = base_subject(subject);
        assert_eq!((base.text.as_str(), base.is_reply), (text, is_reply), "{subject:?}");
    }
}

#[test]
fn dates_are_read_with_forgiveness() {
    let cases = [
        ("Mon, 1 Jan 2024 10:00:00 +0000", Some(1_704_103_200)),
        ("1 Jan 2024 10:00:00 GMT", Some(1_704_103_200)),
        ("Mon,  1 Jan 2024 12:00:00 +0200 (CEST)", Some(1_704_103_200)),
        ("Mon, 1 Jan 2024 05:00:00 EST", Some(1_704_103_200)),
        ("1 Jan 24 10:00 +0000", Some(1_704_103_200)),
        ("Mon,\r\n 1 Jan 2024 10:00:00 -0000", Some(1_704_103_200)),
        ("Sat, 31 Dec 2016 23:59:60 +0000", Some(1_483_228_799)),
        ("junk", None),
        ("", None),
    ];
    for (raw, expected) in cases {
        assert_eq!(sent_date(raw.as_bytes()), expected, "{raw}");
    }
}

fn decode(encoding: TransferEncoding, text: &[u8], length: usize) -> (Vec<u8>, Result<(), TransferError>) {
    let mut decoder = TransferDecoder::new(encoding);
    let mut decoded = Vec::new();
    for piece in text.chunks(length) {
        if let Err(error) = decoder.push(piece, &mut decoded) {
            return (decoded, Err(error));
        }
    }
    let end = decoder.finish(&mut decoded);
    (decoded, end)
}

#[test]
fn transfer_encodings_are_decoded_in_any_pieces() {
    use TransferEncoding::{Base64, Identity, QuotedPrintable};
    let cases: &[(TransferEncoding, &[u8], &[u8])] = &[
        (Identity, b"a=20\r\n", b"a=20\r\n"),
        (Base64, b"aGVs\r\nbG8=\r\n", b"hello"),
        (Base64, b"aGVsbG8", b"hello"),
        (Base64, b"aGk=aGk=", b"hihi"),
        (Base64, b"", b""),
        (QuotedPrintable, b"a=3Db=\r\nc  \r\nd=zz=e4=", b"a=bc\r\nd=zz\xe4"),
        (QuotedPrintable, b"soft =  \r\nend=3", b"soft end=3"),
        (QuotedPrintable, b"x \t\r\n\r\n=0D=0A", b"x\r\n\r\n\r\n"),
    ];
    for (encoding, text, expected) in cases {
        for length in [1, 2, 3, 5, 100] {
            let (decoded, end) = decode(*encoding, text, length);
            assert_eq!((decoded.as_slice(), end), (*expected, Ok(())), "{text:?} by {length}");
        }
    }
    for broken in [&b"aGVs*G8="[..], b"aGVsb"] {
        for length in [1, 100] {
            assert_eq!(decode(Base64, broken, length).1, Err(TransferError::Base64), "{broken:?}");
        }
    }
    assert_eq!(decode(TransferEncoding::named(b"x-uue"), b"a", 1).1, Err(TransferError::Unknown));
}

fn characters(charset: &str, bytes: &[u8], length: usize) -> String {
    let mut decoder = CharsetDecoder::new(Some(charset.as_bytes()));
    let mut text = String::new();
    bytes.chunks(length).for_each(|piece| decoder.push(piece, &mut text));
    decoder.finish(&mut text);
    text
}

#[test]
fn charsets_are_decoded_in_any_pieces() {
    let cases: &[(&str, &[u8], &str)] = &[
        ("utf-8", "aä€😀\u{10ffff}".as_bytes(), "aä€😀\u{10ffff}"),
        ("utf-8", b"a\xffb\xe2\x82", "a\u{fffd}b\u{fffd}"),
        ("us-ascii", "ä".as_bytes(), "ä"),
        ("ISO-8859-1", b"\xe4\r\n\xf6", "ä\r\nö"),
        ("koi8-r", b"\xf0\xd2", "Пр"),
        ("shift_jis", b"\x83\x6e\x83\x8d\x81\x5b", "ハロー"),
        ("utf-16be", b"\x00a\x00\xe4", "aä"),
        ("x-nothing", b"abc", "abc"),
    ];
    for (charset, bytes, expected) in cases {
        for length in [1, 2, 3, 100] {
            assert_eq!(characters(charset, bytes, length), *expected, "{charset} by {length}");
        }
    }
    let long: Vec<u8> = b"\x83\x6e\x83\x8d\r\n".repeat(20_000);
    assert_eq!(characters("shift_jis", &long, 1001), "ハロ\r\n".repeat(20_000));
    assert!(
        charset_is_known(b"UTF-8") && charset_is_known(b"windows-1252") && !charset_is_known(b"x-nothing")
    );
}

fn html(text: &str, length: usize) -> String {
    let mut reader = HtmlText::new();
    let mut shown = String::new();
    let letters: Vec<char> = text.chars().collect();
    for piece in letters.chunks(length) {
        reader.push(&piece.iter().collect::<String>(), &mut shown);
    }
    reader.finish(&mut shown);
    shown
}

#[test]
fn html_is_read_as_its_text() {
    let cases = [
        ("<p>Hello <b>wor</b>ld</p><p>next", "Hello world\nnext"),
        ("<html><head><title>t</title><style>p{}</style></head><body>x</body></html>", "x\n"),
        ("a &lt;b&gt; &amp; &eacute;&#228;&#xe4; &nbsp;&bogus; &", "a <b> & éää  &bogus; &"),
        ("1 < 2 <!-- gone > -- --> 3 <!DOCTYPE x> 4", "1 < 2 3 4"),
        ("<script>if (a<b) x()</script>y<br/>z", "y\nz"),
        ("<a href=\"x\">link</a>, <td>1</td><td>2</td>", "link, 1 2"),
        ("</ x", "</ x"),
        ("<b", ""),
    ];
    for (source, expected) in cases {
        for length in [1, 2, 1000] {
            assert_eq!(html(source, length), expected, "{source} by {length}");
        }
    }
}

#[test]
fn search_knows_no_case_and_no_borders() {
    let cases = [
        ("Straße", "die STRASSE ist", true),
        ("ΣΊΣΥΦΟΣ", "ο σίσυφος", true),
        ("hello", "say HeLLo", true),
        ("hello", "hell o", false),
        ("", "", true),
        ("É", "caf\u{e9}", true),
    ];
    for (wanted, text, expected) in cases {
        let letters: Vec<char> = text.chars().collect();
        for length in [1, 2, 100] {
            let mut searcher = Searcher::new(wanted);
            for piece in letters.chunks(length) {
                searcher.push(&piece.iter().collect::<String>());
            }
            assert_eq!(searcher.is_found(), expected, "{wanted} in {text} by {length}");
        }
    }
    let mut searcher = Searcher::new("ab");
    searcher.push("a");
    searcher.next_text();
    assert!(!searcher.push("b"));
    assert_eq!(fold("ſK"), "sk");
}

#[test]
fn text_parts_are_decoded_down_to_their_text() {
    let message = crlf(
        "Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n<p>Gr=FC=DFe &amp; <b>Ku=\nchen</b></p>\n",
    );
    let structure = scan(&message).structure;
    let part = structure.first_text().unwrap();
    let body = &message[part.body.start as usize..part.body.end as usize];
    for length in [1, 3, 1000] {
        for (strips, expected) in
            [(true, "Grüße & Kuchen\n"), (false, "<p>Grüße &amp; <b>Kuchen</b></p>\r\n")]
        {
            let mut decoder = TextDecoder::new(part, strips);
            let mut text = String::new();
            body.chunks(length).for_each(|piece| decoder.push(piece, &mut text));
            decoder.finish(&mut text);
            assert_eq!(text, expected, "by {length}");
        }
    }
}

#[test]
fn previews_are_short_and_on_one_line() {
    assert_eq!(preview("  a\r\n\r\n b\u{200b}\u{0}c  "), "a bc");
    assert_eq!(preview(&"ä".repeat(300)).chars().count(), 200);
    assert_eq!(preview(&"a ".repeat(300)).chars().count(), 199);
    assert_eq!(preview(""), "");
}

const CHARSETS: [&str; 16] = [
    "utf-8",
    "utf-7",
    "utf-16",
    "utf-16le",
    "ucs-2",
    "iso-2022-jp",
    "iso-2022-kr",
    "shift_jis",
    "euc-jp",
    "euc-kr",
    "big5",
    "gbk",
    "gb18030",
    "windows-1252",
    "iso-8859-8",
    "x-user-defined",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn decoders_take_anything(bytes in prop::collection::vec(any::<u8>(), 0..300), length in 1_usize..50) {
        decoded_header(&bytes);
        sent_date(&bytes);
        for charset in CHARSETS {
            let text = characters(charset, &bytes, length);
            html(&text, length);
            preview(&text);
            base_subject(&text);
        }
        for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
            let whole = decode(encoding, &bytes, 1000);
            let pieces = decode(encoding, &bytes, length);
            prop_assert_eq!(whole.1, pieces.1);
            if whole.1.is_ok() {
                prop_assert_eq!(whole.0, pieces.0);
            }
        }
    }

    #[test]
    fn words_and_dates_take_anything(text in "[=?a-zA-Z0-9_ <>&;#/(),:+\\-\\[\\]\r\n]{0,120}", length in 1_usize..9) {
        decoded_header(text.as_bytes());
        decoded_header(format!("=?utf-7?q?{text}?=").as_bytes());
        sent_date(text.as_bytes());
        base_subject(&text);
        prop_assert_eq!(html(&text, length), html(&text, 1000));
    }
}
