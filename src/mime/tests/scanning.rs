//! The scanner on ugly mail, its limits, and sections.

use proptest::prelude::*;

use super::super::{
    Content, DEPTH_MAX, Dialect, Envelope, HEADER_KEPT_BYTES_MAX, PARTS_MAX, Packed as _, Part,
    STRUCTURE_KEPT_BYTES_MAX, Scanner, SectionPart, Structure, body_structure_text, envelope_text,
    header_fields,
};
use super::{crlf, scan};

/// Every part lies in its parent's body, siblings are in order, and each is some other part's child once.
pub(super) fn check_ranges(structure: &Structure) {
    let root = structure.root().unwrap();
    assert_eq!((root.header.start, root.body.end), (0, structure.total_bytes));
    assert_eq!(structure.header_bytes, root.header.end);
    let mut parents = vec![0; structure.parts.len()];
    for part in &structure.parts {
        assert!(part.header.start <= part.header.end && part.header.end == part.body.start, "{part:?}");
        assert!(part.body.start <= part.body.end, "{part:?}");
        let children: &[u32] = match &part.content {
            Content::Leaf => &[],
            Content::Multipart(children) => children,
            Content::Message { root, .. } => std::slice::from_ref(root),
        };
        let mut place = part.body.start;
        for child in children {
            let inner: &Part = &structure.parts[*child as usize];
            assert!(place <= inner.header.start && inner.body.end <= part.body.end, "{part:?}\n{inner:?}");
            place = inner.body.end;
            parents[*child as usize] += 1;
        }
    }
    assert!(parents.iter().skip(1).all(|count| *count == 1) && parents[0] == 0);
    assert_eq!(structure.section(&[], SectionPart::Whole), Some(0..structure.total_bytes));
}

/// Line ends counted by the scanner are those in the body.
fn check_lines(message: &[u8], structure: &Structure) {
    for part in &structure.parts {
        let body = &message[part.body.start as usize..part.body.end as usize];
        let counted = body.iter().filter(|octet| **octet == b'\n').count() as u64;
        assert_eq!(part.lines, counted, "{part:?}");
    }
}

fn depth(structure: &Structure, index: u32) -> usize {
    let mut deepest = 0;
    let mut waiting = vec![(index, 1)];
    while let Some((index, depth)) = waiting.pop() {
        deepest = deepest.max(depth);
        match &structure.parts[index as usize].content {
            Content::Leaf => {}
            Content::Multipart(children) => waiting.extend(children.iter().map(|child| (*child, depth + 1))),
            Content::Message { root, .. } => waiting.push((*root, depth + 1)),
        }
    }
    deepest
}

fn tell(structure: &Structure) -> Vec<u8> {
    let mut text = Vec::new();
    body_structure_text(structure, true, Dialect::Rev2, &mut text);
    text
}

#[test]
fn nesting_is_bounded() {
    let mut multiparts = String::new();
    let mut messages = String::new();
    for level in 0..1000 {
        multiparts
            .push_str(&format!("Content-Type: multipart/mixed; boundary=\"n{level}x\"\n\n--n{level}x\n"));
        messages.push_str("Content-Type: message/rfc822\n\n");
    }
    for text in [multiparts, messages] {
        let message = crlf(&format!("{text}\nend\n"));
        let structure = scan(&message).structure;
        assert_eq!(depth(&structure, 0), DEPTH_MAX);
        check_ranges(&structure);
        check_lines(&message, &structure);
        assert!(tell(&structure).len() < 100_000);
        let mut packed = Vec::new();
        structure.pack(&mut packed);
        assert_eq!(Structure::unpack(&packed), Some(structure));
    }
}

#[test]
fn the_number_of_parts_is_bounded() {
    let mut text = String::from("Content-Type: multipart/mixed; boundary=b\n\n");
    for _ in 0..5000 {
        text.push_str("--b\n\nx\n");
    }
    text.push_str("--b--\nepilogue\n");
    let message = crlf(&text);
    let structure = scan(&message).structure;
    assert_eq!(structure.parts.len(), PARTS_MAX);
    check_ranges(&structure);
    check_lines(&message, &structure);
    let last = structure.parts.last().unwrap();
    assert!(last.lines > 10_000, "the last part has the rest: {}", last.lines);
}

#[test]
fn kept_texts_are_bounded() {
    let params: String = (0..150).map(|n| format!(";\n p{n}={}", "v".repeat(300))).collect();
    let mut text = String::from("Content-Type: multipart/mixed; boundary=b\n\n");
    for _ in 0..300 {
        text.push_str(&format!("--b\nContent-Type: text/plain{params}\n\nx\n"));
    }
    let message = crlf(&text);
    let structure = scan(&message).structure;
    assert_eq!(structure.parts.len(), 301);
    assert!(tell(&structure).len() < 2 * STRUCTURE_KEPT_BYTES_MAX);
    check_ranges(&structure);
}

#[test]
fn a_huge_header_is_counted_and_its_beginning_read() {
    let mut text = String::from("Subject: here\n");
    text.push_str(&format!("X-Long: {}\n", "y".repeat(2 * HEADER_KEPT_BYTES_MAX)));
    text.push_str("To: too@late.test\n\nbody\n");
    let message = crlf(&text);
    let scanned = scan(&message);
    assert_eq!(scanned.envelope.subject.as_deref(), Some(&b"here"[..]));
    assert!(scanned.envelope.to.is_empty());
    assert_eq!(scanned.structure.total_bytes - scanned.structure.header_bytes, 6);
}

#[test]
fn overlong_delimiters_are_delimiters_in_any_pieces() {
    let long = "x".repeat(5000);
    let message = crlf(&format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b{long}\nSubject: x\n\nbody\n--b--{long}\n"
    ));
    let whole = scan(&message);
    let part = &whole.structure.parts[1];
    assert_eq!(&message[part.header.start as usize..part.header.end as usize], b"Subject: x\r\n\r\n");
    assert_eq!(&message[part.body.start as usize..part.body.end as usize], b"body");
    for length in [1, 999, 1000, 1001, 1003] {
        let mut scanner = Scanner::new();
        message.chunks(length).for_each(|piece| scanner.push(piece));
        assert_eq!(scanner.finish(), whole, "in pieces of {length}");
    }
}

#[test]
fn sections_are_those_of_the_rfc() {
    // The example of RFC 9051 6.4.5.1, as text.
    let message = crlf(
        "Subject: top\nContent-Type: multipart/mixed; boundary=o\n\n--o\n\none\n--o\nContent-Type: application/octet-stream\n\ntwo\n--o\nContent-Type: message/rfc822\n\nSubject: three\nContent-Type: multipart/mixed; boundary=m\n\n--m\n\n3.1\n--m\nContent-Type: application/octet-stream\n\n3.2\n--m--\n--o\nContent-Type: multipart/mixed; boundary=f\n\n--f\nContent-Type: image/gif\n\n4.1\n--f\nContent-Type: message/rfc822\nX-Part: 4.2\n\nSubject: four\nContent-Type: multipart/alternative; boundary=a\n\n--a\n\n4.2.1\n--a\nContent-Type: text/richtext\n\n4.2.2\n--a--\n--f--\n--o--\n",
    );
    let structure = scan(&message).structure;
    let cut = |path: &[u32], what| {
        structure.section(path, what).map(|range| {
            String::from_utf8(message[range.start as usize..range.end as usize].to_vec()).unwrap()
        })
    };
    use SectionPart::{Header, Mime, Text, Whole};
    assert!(cut(&[], Header).unwrap().starts_with("Subject: top\r\n"));
    assert!(cut(&[], Text).unwrap().starts_with("--o\r\n"));
    assert_eq!(cut(&[1], Whole).as_deref(), Some("one"));
    assert_eq!(cut(&[1], Mime).as_deref(), Some("\r\n"));
    assert_eq!(cut(&[2], Whole).as_deref(), Some("two"));
    assert_eq!(cut(&[2], Mime).as_deref(), Some("Content-Type: application/octet-stream\r\n\r\n"));
    assert!(cut(&[3], Whole).unwrap().starts_with("Subject: three"));
    assert!(cut(&[3], Header).unwrap().starts_with("Subject: three"));
    assert!(cut(&[3], Header).unwrap().ends_with("boundary=m\r\n\r\n"));
    assert!(cut(&[3], Text).unwrap().starts_with("--m\r\n"));
    assert_eq!(cut(&[3, 1], Whole).as_deref(), Some("3.1"));
    assert_eq!(cut(&[3, 2], Whole).as_deref(), Some("3.2"));
    assert_eq!(cut(&[4, 1], Whole).as_deref(), Some("4.1"));
    assert!(cut(&[4, 1], Mime).unwrap().contains("image/gif"));
    assert!(cut(&[4, 2], Header).unwrap().starts_with("Subject: four"));
    assert!(cut(&[4, 2], Mime).unwrap().contains("X-Part: 4.2"));
    assert_eq!(cut(&[4, 2, 1], Whole).as_deref(), Some("4.2.1"));
    assert_eq!(cut(&[4, 2, 2], Whole).as_deref(), Some("4.2.2"));
    let none = [
        (&[][..], Mime),
        (&[1], Header),
        (&[4], Text),
        (&[5], Whole),
        (&[0], Whole),
        (&[1, 1], Whole),
        (&[4, 2, 3], Whole),
    ];
    for (path, what) in none {
        assert_eq!(cut(path, what), None, "{path:?} {what:?}");
    }
}

#[test]
fn part_one_of_a_simple_message_is_its_body() {
    let message = crlf("Subject: x\n\nbody\n");
    let structure = scan(&message).structure;
    assert_eq!(structure.section(&[1], SectionPart::Whole), Some(14..20));
    assert_eq!(structure.section(&[1], SectionPart::Mime), Some(0..14));
    assert_eq!(structure.section(&[1, 1], SectionPart::Whole), None);
    assert_eq!(structure.section(&[2], SectionPart::Whole), None);
    let message = crlf("Content-Type: message/rfc822\n\nSubject: in\n\nbody\n");
    let structure = scan(&message).structure;
    let part = |path: &[u32], what| structure.section(path, what).map(|range| (range.start, range.end));
    assert_eq!(part(&[1], SectionPart::Whole), Some((32, 53)));
    assert_eq!(part(&[1], SectionPart::Header), Some((32, 47)));
    assert_eq!(part(&[1], SectionPart::Text), Some((47, 53)));
    assert_eq!(part(&[1, 1], SectionPart::Whole), Some((47, 53)));
}

#[test]
fn chosen_fields_stay_as_they_are() {
    let block = b"From: a\r\nSubject : one\r\n two\r\njunk\r\nTo: b\r\nSUBJECT: again\r\n\r\n";
    let chosen = header_fields(block, &[b"subject", b"X"], false);
    assert_eq!(chosen, b"Subject : one\r\n two\r\nSUBJECT: again\r\n\r\n");
    assert_eq!(header_fields(block, &[b"subject"], true), b"From: a\r\nTo: b\r\n\r\n");
    assert_eq!(header_fields(b"From: a", &[b"FROM"], false), b"From: a\r\n\r\n");
    assert_eq!(header_fields(b"", &[b"FROM"], false), b"\r\n");
}

/// Pieces of mail that meet each other in bad ways.
fn ugly() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"\r\n",
        b"\n",
        b"\r",
        b"--b",
        b"--b--",
        b"--bb",
        b"--",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/digest; boundary=\"bb\"\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: text/html; a*0=x; a*1*=%20; charset=(\r\n",
        b"Content-Disposition: attachment; filename=\"\\\r\n",
        b"From: <<a@@b>, g: (x \"y\" <@r:z@[1]>;\r\n",
        b"To: \"a\\\" (b\r\n c: , ; <",
        b"Subject: =?utf-8?B?w6Q=?= =?x?q?=\r\n",
        b"Date: Mon, 99 Foo 99999 25:61\r\n",
        b"References: <a> <b <c>>\r\n",
        b" folded\r\n",
        b"text",
        b"\xff\x00",
        b"\r\n\r\n",
        b"\r\n--b\r\n",
        b"\r\n--bb\r\n",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn ugly_mail_has_a_sound_structure(message in ugly(), cuts in prop::collection::vec(1_usize..9, 1..20)) {
        let whole = scan(&message);
        check_ranges(&whole.structure);
        check_lines(&message, &whole.structure);
        let mut scanner = Scanner::new();
        let mut rest = &message[..];
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            scanner.push(piece);
            rest = behind;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(&scanner.finish(), &whole);
        let mut packed = Vec::new();
        whole.structure.pack(&mut packed);
        let unpacked = Structure::unpack(&packed);
        prop_assert_eq!(unpacked.as_ref(), Some(&whole.structure));
        for length in 0..packed.len() {
            prop_assert!(Structure::unpack(&packed[..length]).is_none());
        }
        let mut text = tell(&whole.structure);
        envelope_text(&whole.envelope, &mut text);
    }

    #[test]
    fn garbage_is_no_packed_value(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(first) = bytes.first_mut() {
            *first = super::super::PACKED_VERSION;
        }
        if let Some(structure) = Structure::unpack(&bytes) {
            tell(&structure);
        }
        let _ = Envelope::unpack(&bytes);
    }

    #[test]
    fn changed_packed_values_are_harmless(message in ugly(), place in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut packed = Vec::new();
        scan(&message).structure.pack(&mut packed);
        let place = place.index(packed.len());
        packed[place] = octet;
        if let Some(structure) = Structure::unpack(&packed) {
            tell(&structure);
        }
    }
}
