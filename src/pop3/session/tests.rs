//! Dialogues as text. `C:` is a line of the client, `S:` what is sent, `?` what is asked of the shell, `A:` its
//! answer (sizes of messages, or a word), `!` anything else the shell does.

use super::super::command::parse;
use super::*;

const HANG_UP: BadLogin = BadLogin::HangUp;
const PAUSE: BadLogin = BadLogin::Pause(Duration::from_secs(5));

fn check(tls: Tls, on_bad_login: BadLogin, dialogue: &str) {
    let mut session = Session::new("example.test".to_owned(), on_bad_login);
    let mut got = String::new();
    for line in dialogue.lines().map(str::trim).filter(|line| line.starts_with(['C', 'A'])) {
        got.push_str(&format!("{line}\n"));
        let action = match line.split_at(2) {
            ("A:", answer) => session.on_answer(answer_of(answer.trim())),
            (_, " (too long)") => session.on_long_line(),
            (_, text) => session.on_line(parse(text.strip_prefix(' ').unwrap_or(text).as_bytes()), tls),
        };
        got.push_str(&show(&action));
    }
    let expected: String = dialogue
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(got, expected);
}

fn answer_of(text: &str) -> Answer {
    match text {
        "denied" => Answer::Denied,
        "in use" => Answer::InUse,
        "failed" => Answer::Failed,
        sizes => Answer::LoggedIn(
            sizes
                .split_whitespace()
                .filter(|word| *word != "empty")
                .map(|size| Message { uid: format!("uid{size}"), size_bytes: size.parse().unwrap() })
                .collect(),
        ),
    }
}

fn show(action: &Action) -> String {
    let said = |reply: &Reply| -> String {
        let text = std::str::from_utf8(reply.as_bytes()).unwrap().strip_suffix("\r\n").unwrap().to_owned();
        text.split("\r\n").map(|line| format!("S: {line}\n")).collect::<String>()
    };
    match action {
        Action::Reply(reply) => said(reply),
        Action::LogIn(LogIn { name, domain, proof }) => match proof {
            Proof::Password(password) => format!("? {name} at {domain}, password {password}\n"),
            Proof::Apop(digest) => format!("? {name} at {domain}, digest {digest}\n"),
        },
        Action::PauseThenReply(pause, reply) => format!("! pause {}\n{}", pause.as_secs(), said(reply)),
        Action::Send { first, index, body_lines_max } => {
            format!("{}! message {index}, lines {body_lines_max:?}\n", said(first))
        }
        Action::StartTls(reply) => format!("{}! TLS\n", said(reply)),
        Action::Quit(marked) => format!("! remove {marked:?}\n"),
        Action::Close(reply) => format!("{}! close\n", said(reply)),
    }
}

#[test]
fn before_the_log_in_little_is_permitted() {
    // golden pop3_maildir [unauth]
    let product = product("POP3 Server");
    check(
        Tls::Offered,
        PAUSE,
        &format!(
            "C: STAT
            S: -ERR Command not valid here
            C: LIST
            S: -ERR Command not valid here
            C: NOOP
            S: -ERR Command not valid here
            C: FOO
            S: -ERR Invalid command
            C:
            S: -ERR Invalid command
            C: CAPA
            S: +OK Capability list follows
            S: TOP
            S: USER
            S: UIDL
            S: PIPELINING
            S: STLS
            S: IMPLEMENTATION {product}
            S: RESP-CODES
            S: .
            C: USER
            S: -ERR Invalid syntax
            C: PASS x
            S: -ERR Command not valid here
            C: APOP
            S: -ERR Invalid syntax
            C: APOP alice
            S: -ERR Invalid syntax
            C: RETR 1
            S: -ERR Command not valid here
            C: RETR
            S: -ERR Command not valid here
            C: AUTH PLAIN
            S: -ERR Invalid command
            C: QUIT
            ! remove []"
        ),
    );
}

#[test]
fn a_maildrop_is_listed_marked_and_given_back() {
    // golden pop3_maildir [main]
    check(
        Tls::Offered,
        PAUSE,
        "C: USER alice@example.test
        S: +OK Password required for alice@example.test
        C: PASS alicepw
        ? alice at example.test, password alicepw
        A: 273 270 475
        S: +OK Maildrop has 3 messages (1018 bytes)
        C: STAT
        S: +OK 3 1018
        C: LIST
        S: +OK 3 1018
        S: 1 273
        S: 2 270
        S: 3 475
        S: .
        C: LIST 2
        S: +OK 2 270
        C: LIST 99
        S: -ERR No such message
        C: LIST 0
        S: -ERR No such message
        C: LIST abc
        S: +OK 3 1018
        S: 1 273
        S: 2 270
        S: 3 475
        S: .
        C: UIDL 1
        S: +OK 1 uid273
        C: UIDL 99
        S: -ERR No such message
        C: LAST
        S: +OK 0
        C: RETR 1
        S: +OK 273 bytes
        ! message 0, lines None
        C: TOP 2 7
        S: +OK message is 270 bytes
        ! message 1, lines Some(7)
        C: RETR 99
        S: -ERR Message out of range
        C: RETR 0
        S: -ERR Message out of range
        C: RETR
        S: -ERR Invalid syntax
        C: RETR abc
        S: -ERR Invalid syntax
        C: TOP 2
        S: -ERR Invalid syntax
        C: TOP 99 1
        S: -ERR Message out of range
        C: LAST
        S: +OK 2
        C: DELE 1
        S: +OK Message deleted
        C: DELE 1
        S: -ERR Message deleted
        C: DELE 99
        S: -ERR Message out of range
        C: STAT
        S: +OK 2 745
        C: LIST
        S: +OK 2 745
        S: 2 270
        S: 3 475
        S: .
        C: LIST 1
        S: -ERR No such message
        C: UIDL
        S: +OK 2
        S: 2 uid270
        S: 3 uid475
        S: .
        C: RETR 1
        S: -ERR Message deleted
        C: TOP 1 1
        S: -ERR Message deleted
        C: LAST
        S: +OK 1
        C: RSET
        S: +OK Maildrop has 3 messages (1018 bytes)
        C: LAST
        S: +OK 0
        C: NOOP x
        S: +OK Maildrop has 3 messages (1018 bytes)
        C: USER bob
        S: -ERR Command not valid here
        C: PASS x
        S: -ERR Command not valid here
        C: APOP a b
        S: -ERR Command not valid here
        C: STLS
        S: -ERR Command not valid here
        C: dele 3
        S: +OK Message deleted
        C: DELE 1
        S: +OK Message deleted
        C: quit
        ! remove [0, 2]",
    );
}

#[test]
fn names_are_split_and_the_default_domain_stays() {
    // golden pop3_maildir [name-*]; decision 122 for the last two
    check(
        Tls::Offered,
        PAUSE,
        "C: USER alice:second.test
        S: +OK Password required for alice@second.test
        C: USER alice%second.test
        S: +OK Password required for alice@second.test
        C: USER alice@
        S: +OK Password required for alice@example.test
        C: USER @example.test
        S: +OK Password required for @example.test
        C: USER alice#example.test
        S: +OK Password required for alice#example.test@example.test
        C: USER ALICE@EXAMPLE.TEST
        S: +OK Password required for ALICE@EXAMPLE.TEST
        C: APOP alice%second.test 0123
        ? alice at second.test, digest 0123
        A: denied
        ! pause 5
        S: -ERR Invalid auth or access denied
        C: USER alice
        S: +OK Password required for alice@example.test",
    );
}

#[test]
fn failed_log_ins_start_over_and_wait_longer_each_time() {
    // golden pop3_default_badlogin
    let mut dialogue = String::new();
    for pause in [5, 10, 20, 40, 80, 120, 120] {
        dialogue.push_str(&format!(
            "C: USER a
            S: +OK Password required for a@example.test
            C: PASS b
            ? a at example.test, password b
            A: denied
            ! pause {pause}
            S: -ERR Invalid auth or access denied
            C: PASS b
            S: -ERR Command not valid here\n"
        ));
    }
    check(Tls::Offered, PAUSE, &dialogue);
    assert_eq!(bad_login_pause(Duration::from_secs(500), 3), Duration::from_secs(500));
    assert_eq!(bad_login_pause(Duration::from_secs(1), u32::MAX), BAD_LOGIN_PAUSE_MAX);
    assert_eq!(bad_login_pause(Duration::ZERO, 40), Duration::ZERO);
}

#[test]
fn with_ph_a_failed_log_in_is_the_end() {
    // golden pop3_hang
    check(
        Tls::Offered,
        HANG_UP,
        "C: USER a
        S: +OK Password required for a@example.test
        C: PASS b
        ? a at example.test, password b
        A: denied
        S: -ERR Invalid auth or access denied
        ! close",
    );
}

#[test]
fn a_busy_mailbox_and_a_failing_disk_do_not_count_as_failures() {
    // decision 39
    check(
        Tls::Offered,
        HANG_UP,
        "C: USER a
        S: +OK Password required for a@example.test
        C: PASS b
        ? a at example.test, password b
        A: in use
        S: -ERR [IN-USE] Mailbox is in use by another session
        C: STAT
        S: -ERR Command not valid here
        C: APOP a c
        ? a at example.test, digest c
        A: failed
        S: -ERR [SYS/TEMP] Mailbox not available, retry later
        C: APOP a c
        ? a at example.test, digest c
        A: empty
        S: +OK Maildrop has 0 messages (0 bytes)
        C: LIST
        S: +OK 0 0
        S: .
        C: UIDL
        S: +OK 0
        S: .
        C: RETR 1
        S: -ERR Message out of range",
    );
}

#[test]
fn bad_lines_do_not_end_the_session() {
    // golden pop3_maildir [pass-spaces]; decisions 43 and 121
    check(
        Tls::Offered,
        PAUSE,
        "C: USER a
        S: +OK Password required for a@example.test
        C: (too long)
        S: -ERR Stream line too long
        C: PASS \u{e4}
        S: -ERR Bad characters in command line
        C: PASS a b
        S: -ERR Invalid syntax
        C: PASS a
        S: -ERR Command not valid here",
    );
}

#[test]
fn tls_is_offered_only_where_it_works() {
    // golden smtp_tls [stls], [pop3s]
    let offers = |tls| String::from_utf8_lossy(capabilities(tls).as_bytes()).contains("\r\nSTLS\r\n");
    for (tls, reply) in [
        (Tls::Offered, "S: +OK Begin TLS negotiation\n! TLS"),
        (Tls::Active, "S: -ERR Command not permitted when TLS active"),
        (Tls::Disabled, "S: -ERR Command disabled"),
        (Tls::Unavailable, "S: -ERR Server TLS setup error"),
    ] {
        check(tls, PAUSE, &format!("C: STLS\n{reply}"));
        assert_eq!(offers(tls), tls == Tls::Offered);
    }
}

#[test]
fn tls_forgets_the_name_and_keeps_the_failures() {
    let mut session = Session::new("example.test".to_owned(), PAUSE);
    let _ = session.on_line(parse(b"APOP a b"), Tls::Offered);
    let _ = session.on_answer(Answer::Denied);
    let _ = session.on_line(parse(b"USER a"), Tls::Offered);
    session.on_tls();
    let pass = session.on_line(parse(b"PASS a"), Tls::Active);
    assert_eq!(pass, Action::Reply(Reply::err("Command not valid here")));
    let _ = session.on_line(parse(b"APOP a b"), Tls::Active);
    assert!(
        matches!(session.on_answer(Answer::Denied), Action::PauseThenReply(pause, _) if pause.as_secs() == 10)
    );
}

#[test]
fn farewells() {
    let check = |farewell: Farewell, expected: &str| {
        assert_eq!(String::from_utf8_lossy(farewell.reply().as_bytes()), expected);
    };
    check(Farewell::AllRemoved, &format!("+OK {} closing session\r\n", product("POP3 Server")));
    check(Farewell::SomeLeft, "-ERR some deleted messages not removed\r\n");
}

#[test]
fn proofs_are_not_shown_in_diagnostics() {
    let login = LogIn { name: "a".into(), domain: "b".into(), proof: Proof::Password("secret".into()) };
    assert!(!format!("{login:?}").contains("secret"));
}

proptest::proptest! {
    /// Whatever is said before a log-in, nothing of a mailbox is asked for.
    #[test]
    fn nothing_is_sent_or_removed_without_a_log_in(
        lines in proptest::collection::vec("(USER a|PASS b|STLS|RETR 1|TOP 1 1|DELE 1|QUIT|LIST|RSET|x)", 0..20),
    ) {
        let mut session = Session::new("example.test".to_owned(), PAUSE);
        for line in lines {
            let mut action = session.on_line(parse(line.as_bytes()), Tls::Offered);
            if let Action::LogIn(_) = action {
                action = session.on_answer(Answer::Denied);
            }
            let is_send = matches!(&action, Action::Send { .. });
            proptest::prop_assert!(!is_send);
            proptest::prop_assert!(!matches!(&action, Action::Quit(marked) if !marked.is_empty()));
            proptest::prop_assert!(session.totals().is_none());
        }
    }
}
