use proptest::prelude::*;

use super::*;

/// Limits small enough to reach.
const SMALL: Limits = Limits {
    line_octets_max: 40,
    literal_octets_max: 10,
    literals_octets_max: 15,
    non_synchronising_octets_max: 8,
};

/// What a client sees that sends `octets` in pieces cut at `cuts`, and never waits. Messages are received whole if they
/// are of at most 100 octets, else refused.
fn transcript(octets: &[u8], cuts: &[usize], limits: Limits) -> Vec<String> {
    let mut assembler = Assembler::new(limits);
    let mut seen = Vec::new();
    let mut message_left = 0;
    let mut start = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (octets.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(octets.len());
    for end in ends {
        let mut piece = &octets[start..end];
        start = end;
        loop {
            if message_left > 0 {
                let taken = piece.len().min(message_left);
                message_left -= taken;
                piece = &piece[taken..];
                if message_left > 0 {
                    break;
                }
                assembler.message_received();
            }
            let (used, step) = assembler.feed(piece);
            piece = &piece[used..];
            if let Some(text) = describe(&step) {
                seen.push(text);
            }
            match step {
                Step::NeedMore => {
                    assert!(piece.is_empty(), "NeedMore takes all");
                    break;
                }
                Step::AppendLiteral(announced) if announced.size_octets > 100 => {
                    seen.extend(describe(&assembler.refuse()));
                }
                Step::AppendLiteral(announced) => {
                    message_left = announced.size_octets as usize;
                    if message_left == 0 {
                        assembler.message_received();
                    }
                }
                Step::Hopeless(_) => return seen,
                _ => {}
            }
            assert!(assembler.text.len() <= limits.line_octets_max + limits.literals_octets_max as usize);
        }
    }
    seen
}

fn describe(step: &Step) -> Option<String> {
    let text = |octets: &[u8]| octets.escape_ascii().to_string();
    let problem =
        |error: &SyntaxError| format!("{} BAD {}", error.tag.as_deref().unwrap_or("*"), error.reason);
    Some(match step {
        Step::NeedMore => return None,
        Step::Continue => "+".to_owned(),
        Step::Complete(command) => format!("complete {}", text(command)),
        Step::AppendLiteral(announced) => format!(
            "append {:?} {}{}{}",
            text(&announced.text),
            announced.size_octets,
            if announced.synchronising { "" } else { "+" },
            if announced.literal8 { "~" } else { "" },
        ),
        Step::AppendEnd(end) => format!("end {:?}", text(end)),
        Step::TooLong(error) => problem(error),
        Step::Hopeless(error) => format!("hopeless {}", problem(error)),
        Step::Refused => "refused".to_owned(),
    })
}

/// Checks what `input` gives as a whole, octet by octet, and cut in two at every place.
#[track_caller]
fn check(input: impl AsRef<[u8]>, limits: Limits, expected: &[&str]) {
    let input = input.as_ref();
    assert_eq!(transcript(input, &[], limits), expected, "{}", input.escape_ascii());
    if input.len() <= 1000 {
        let all: Vec<usize> = (0..input.len()).collect();
        assert_eq!(transcript(input, &all, limits), expected, "octet by octet");
        for cut in 0..input.len() {
            assert_eq!(transcript(input, &[cut], limits), expected, "cut at {cut}");
        }
    }
}

#[test]
fn lines_and_literals_become_commands() {
    let limits = Limits::default();
    check("a NOOP\r\nb CHECK\r\n", limits, &["complete a NOOP", "complete b CHECK"]);
    check("a NOOP\nb X\r\r\n\r\n", limits, &["complete a NOOP", "complete b X", "complete "]);
    check("a NO\rOP\r\n", limits, &["complete a NO\\rOP"]);
    check("unfinished", limits, &[]);
    let login = r"complete a LOGIN {5}\r\nal\r\ne {0}\r\n x";
    check("a LOGIN {5}\r\nal\r\ne {0}\r\n x\r\nb NOOP\r\n", limits, &["+", "+", login, "complete b NOOP"]);
    check(
        "a LOGIN {5+}\r\nal\r\ne {0+}\r\n x\r\n",
        limits,
        &[r"complete a LOGIN {5+}\r\nal\r\ne {0+}\r\n x"],
    );
    check("a X {1}\n\n {1}\r\r\n\r\n", limits, &["+", "+", r"complete a X {1}\r\n\n {1}\r\n\r"]);
    check("a X (~{2+}\r\n\0\0)\r\n", limits, &[r"complete a X (~{2+}\r\n\x00\x00)"]);
    // What only looks like an announcement.
    for line in [
        "a LOGIN x p{5}",
        "a X {}",
        "a X {+}",
        "a X {5a}",
        "a X {-5}",
        "a X {5}x",
        "a X 5}",
        "{5}",
        "a X {5 }",
    ] {
        check(format!("{line}\r\n"), limits, &[&format!("complete {line}")]);
    }
    // A literal that ends with what looks like one.
    check("a X {5+}\r\n {3+}\r\n", limits, &[r"complete a X {5+}\r\n {3+}"]);
}

#[test]
fn messages_are_handed_over() {
    let limits = Limits::default();
    check(
        "a APPEND x (\\Seen) {5}\r\na\r\nb\n\r\nb NOOP\r\n",
        limits,
        &[r#"append "a APPEND x (\\\\Seen) " 5"#, r#"end """#, "complete b NOOP"],
    );
    check(
        "a append {3}\r\nx y {2+}\r\nhi {3+}\r\nyou \"date\" ~{0}\r\n\r\n",
        limits,
        &[
            "+",
            r#"append "a append {3}\\r\\nx y " 2+"#,
            r#"append " " 3+"#,
            r#"append " \\\"date\\\" " 0~"#,
            r#"end """#,
        ],
    );
    check(
        "a APPEND x UTF8 (~{2+}\r\nhi) UTF8 (~{1+}\r\nx)\r\n",
        limits,
        &[r#"append "a APPEND x UTF8 (" 2+~"#, r#"append ") UTF8 (" 1+~"#, r#"end ")""#],
    );
    check("a APPEND x\r\n", limits, &["complete a APPEND x"]);
    check("a APPEND x {1+}\r\nm y\r\n", limits, &[r#"append "a APPEND x " 1+"#, r#"end " y""#]);
    // Any size can be announced by one who waits.
    for size in ["2147483648", "18446744073709551615", "99999999999999999999"] {
        let number: u64 = size.parse().unwrap_or(u64::MAX);
        let announced = format!("append \"a APPEND x \" {number}");
        check(
            format!("a APPEND x {{{size}}}\r\nb NOOP\r\n"),
            limits,
            &[&announced, "refused", "complete b NOOP"],
        );
    }
}

#[test]
fn refused_messages_are_dropped() {
    let limits = Limits { non_synchronising_octets_max: 5000, ..Limits::default() };
    let message = "x".repeat(200);
    check(
        format!("a APPEND x {{200+}}\r\n{message} {{3+}}\r\nyou\r\nb NOOP\r\n"),
        limits,
        &[r#"append "a APPEND x " 200+"#, "refused", "complete b NOOP"],
    );
    // The second waits: then its octets do not come.
    check(
        format!("a APPEND x {{200+}}\r\n{message} {{3}}\r\nb NOOP\r\n"),
        limits,
        &[r#"append "a APPEND x " 200+"#, "refused", "complete b NOOP"],
    );
    check(
        "a APPEND x {1+}\r\nm {200}\r\nb NOOP\r\n",
        limits,
        &[r#"append "a APPEND x " 1+"#, r#"append " " 200"#, "refused", "complete b NOOP"],
    );
}

#[test]
fn an_append_can_be_refused_after_a_message() {
    let mut assembler = Assembler::new(Limits::default());
    assert_eq!(assembler.refuse(), Step::Refused, "there is nothing to refuse");
    let line = b"a APPEND x {2+}\r\n";
    assert!(matches!(assembler.feed(line), (17, Step::AppendLiteral(_))));
    assert_eq!(assembler.feed(b"hi"), (0, Step::NeedMore), "these are the caller's");
    assembler.message_received();
    assert!(!assembler.is_idle());
    assert_eq!(assembler.refuse(), Step::NeedMore);
    assert_eq!(assembler.refuse(), Step::NeedMore);
    assert_eq!(assembler.feed(b" {3+}\r\nyou {1"), (13, Step::NeedMore));
    assert_eq!(assembler.feed(b"}\r\nb NOOP\r\n"), (3, Step::Refused));
    assert!(assembler.is_idle());
    assert_eq!(assembler.feed(b"b NOOP\r\n"), (8, Step::Complete(b"b NOOP".to_vec())));
    assert_eq!(assembler.text.capacity(), 0, "an idle assembler holds no buffer");
}

#[test]
fn what_is_too_long_is_told_and_gone() {
    let line = "a command has at most 40 octets";
    let exact = format!("a {}", "x".repeat(38));
    check(format!("{exact}\nb NOOP\n"), SMALL, &[&format!("complete {exact}"), "complete b NOOP"]);
    let over = format!("{exact}x");
    check(format!("{over}\r\nb NOOP\r\n"), SMALL, &[&format!("a BAD {line}"), "complete b NOOP"]);
    check(format!("({over}\r\nb NOOP\r\n"), SMALL, &[&format!("* BAD {line}"), "complete b NOOP"]);
    // Its literals go with it, and so does what follows them; one that waits ends it.
    check(
        format!("{over} {{5+}}\r\n\n\n\n\n\n {{1+}}\n\nmore\r\nb NOOP\r\n"),
        SMALL,
        &[&format!("a BAD {line}"), "complete b NOOP"],
    );
    check(format!("{over} {{5}}\r\nb NOOP\r\n"), SMALL, &[&format!("a BAD {line}"), "complete b NOOP"]);
    // The announcement may begin within the limit.
    let across = format!("a {} {{3+}}\r\n\n\n\nx\r\nb NOOP\r\n", "x".repeat(36));
    check(across, SMALL, &[&format!("a BAD {line}"), "complete b NOOP"]);
    // Many short lines are one long command.
    let pieces = " {1+}\r\nx".repeat(9);
    check(format!("a X{pieces}\r\nb NOOP\r\n"), SMALL, &[&format!("a BAD {line}"), "complete b NOOP"]);
}

#[test]
fn literals_that_are_too_big_are_not_asked_for() {
    let literal = "a BAD a literal has at most 10 octets here";
    check("a LOGIN {11}\r\nb NOOP\r\n", SMALL, &[literal, "complete b NOOP"]);
    check("a APPEND {11}\r\nb NOOP\r\n", SMALL, &[literal, "complete b NOOP"]);
    for size in ["2147483648", "99999999999999", "99999999999999999999"] {
        check(format!("a LOGIN {{{size}}}\r\nb NOOP\r\n"), SMALL, &[literal, "complete b NOOP"]);
        let lost = "hopeless a BAD more octets than can be dropped";
        check(format!("a LOGIN {{{size}+}}\r\nb NOOP\r\n"), SMALL, &[lost]);
        check(format!("a APPEND x {{{size}+}}\r\nb NOOP\r\n"), SMALL, &[lost]);
    }
    let waiting = "a BAD a non-synchronising literal has at most 8 octets";
    check("a LOGIN {9+}\r\n123456789 x\r\nb NOOP\r\n", SMALL, &[waiting, "complete b NOOP"]);
    check("a APPEND x {9+}\r\n123456789\r\nb NOOP\r\n", SMALL, &[waiting, "complete b NOOP"]);
    check(
        "a APPEND x {1+}\r\nm {9+}\r\n123456789\r\nb NOOP\r\n",
        SMALL,
        &[r#"append "a APPEND x " 1+"#, waiting, "complete b NOOP"],
    );
    let all = "a BAD the literals of a command have at most 15 octets";
    check("a X {8+}\r\n12345678 {8+}\r\n12345678\r\nb NOOP\r\n", SMALL, &[all, "complete b NOOP"]);
    check(
        "a X {8+}\r\n12345678 {7}\r\n1234567\r\n",
        SMALL,
        &["+", r"complete a X {8+}\r\n12345678 {7}\r\n1234567"],
    );
}

#[test]
fn an_endless_command_is_given_up_in_bounded_memory() {
    let mut assembler = Assembler::default();
    let (_, step) = assembler.feed(b"a ");
    assert_eq!(step, Step::NeedMore);
    let chunk = vec![b'x'; 1 << 20];
    let mut fed = 0;
    let error = loop {
        match assembler.feed(&chunk) {
            (_, Step::NeedMore) => fed += chunk.len() as u64,
            (_, Step::Hopeless(error)) => break error,
            other => panic!("{other:?}"),
        }
        assert!(assembler.text.capacity() <= 2 * LINE_OCTETS_MAX);
    };
    assert_eq!(error.tag.as_deref(), Some("a"));
    assert!((SWALLOW_OCTETS_MAX - (2 << 20)..=SWALLOW_OCTETS_MAX + (2 << 20)).contains(&fed));
    assert!(matches!(assembler.feed(b"b NOOP\r\n"), (8, Step::Hopeless(_))), "and stays so");
}

fn dialogues() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "a ",
        "NOOP",
        "APPEND x ",
        "APPEND ",
        "LOGIN ",
        "{3}\r\n",
        "{3+}\r\n",
        " {3+}\r\n",
        " ~{2+}\r\n",
        " {0}\r\n",
        " {9}\n",
        " {9+}\n",
        " {12}\r\n",
        " {99999999999999}\r\n",
        " {200+}\r\n",
        "xyz",
        "\r\n",
        "\n",
        "\r",
        " ",
        "(",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "{",
        "}",
        "+",
        "\0",
        "\u{fc}",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn cuts_make_no_difference(octets in dialogues(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let whole = transcript(&octets, &[], SMALL);
        prop_assert_eq!(transcript(&octets, &cuts, SMALL), &whole[..]);
        let all: Vec<usize> = (0..octets.len()).collect();
        prop_assert_eq!(transcript(&octets, &all, SMALL), whole);
    }

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = transcript(&octets, &[], SMALL);
    }
}
