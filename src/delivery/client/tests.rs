//! Dialogues as text. `C:` is what we send; `TLS` and `DATA` are what the shell does; `OK` and `FAIL` end one.

use super::*;

fn plan() -> Plan {
    Plan { helo: "us.test".into(), need_tls: NeedTls::No, login: None }
}

fn envelope() -> Envelope {
    Envelope {
        mail_from: "a@us.test".into(),
        rcpt_to: "b@them.test".into(),
        size_bytes: 99,
        ..Envelope::default()
    }
}

/// Plays the server's lines of `script` and compares all others with what the client does.
fn check(plan: Plan, envelope: &Envelope, script: &str) {
    let (mut dialogue, mut action) = Dialogue::new(plan);
    let mut seen = String::new();
    let mut replies = script.lines().map(str::trim).filter_map(|line| line.strip_prefix("S: "));
    loop {
        let reply = match action {
            Action::Exchange(octets, _) => {
                for line in String::from_utf8(octets).unwrap().lines() {
                    seen.push_str(&format!("C: {line}\n"));
                }
                true
            }
            Action::SendMessage => {
                seen.push_str("DATA\n");
                true
            }
            Action::StartTls => {
                seen.push_str("TLS\n");
                action = dialogue.on_tls();
                continue;
            }
            Action::Ready => {
                action = dialogue.begin(envelope.clone());
                continue;
            }
            Action::Finished(result) => {
                match result {
                    Ok(_) => seen.push_str(&format!("OK ready={}\n", dialogue.is_ready())),
                    Err(f) => {
                        let kind = if f.is_permanent { "permanent" } else { "transient" };
                        seen.push_str(&format!(
                            "FAIL {} {kind} {}\n",
                            f.error,
                            f.reason.replace("\r\n", "|")
                        ));
                    }
                }
                break;
            }
        };
        assert!(reply);
        // Lines of one reply are joined with `|` in scripts.
        let Some(text) = replies.next() else { break };
        seen.push_str(&format!("S: {text}\n"));
        let wire = text.split('|').map(|line| format!("{line}\r\n")).collect::<String>();
        action = dialogue.on_reply(&Reply::parse(wire.as_bytes()).unwrap());
    }
    let expected: String =
        script.lines().map(str::trim).filter(|l| !l.is_empty()).map(|l| format!("{l}\n")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_message_is_sent_as_the_recordings_show() {
    check(
        plan(),
        &envelope(),
        "S: 220 sink.test ESMTP sink
         C: EHLO us.test
         S: 250-sink.test|250-SIZE 0|250 8BITMIME
         C: MAIL FROM:<a@us.test> SIZE=99
         S: 250 sender ok
         C: RCPT TO:<b@them.test>
         S: 250 rcpt ok
         C: DATA
         S: 354 go on
         DATA
         S: 250 accepted
         OK ready=true",
    );
}

#[test]
fn helo_follows_a_refused_ehlo_and_takes_nothing_from_it() {
    check(
        plan(),
        &Envelope { is_8bit: true, ..envelope() },
        "S: 220 x
         C: EHLO us.test
         S: 502 not here
         C: HELO us.test
         S: 250-x|250 SIZE 1
         C: MAIL FROM:<a@us.test>
         S: 250 ok
         C: RCPT TO:<b@them.test>
         S: 550-5.1.1 first|550 5.1.1 second
         FAIL 77 permanent 550-5.1.1 first|550 5.1.1 second",
    );
}

#[test]
fn each_step_has_its_error() {
    let start = "S: 220 x\nC: EHLO us.test\nS: 250 x\nC: MAIL FROM:<a@us.test>\n";
    let check = |rest: &str| check(plan(), &envelope(), &format!("{start}{rest}"));
    check("S: 553 bad sender\nFAIL 76 permanent 553 bad sender");
    check("S: 250 ok\nC: RCPT TO:<b@them.test>\nS: 451 later\nFAIL 77 transient 451 later");
    check("S: 250 ok\nC: RCPT TO:<b@them.test>\nS: 250 ok\nC: DATA\nS: 452 full\nFAIL 78 transient 452 full");
    check(
        "S: 250 ok\nC: RCPT TO:<b@them.test>\nS: 250 ok\nC: DATA\nS: 354 go\nDATA\nS: 554 no\nFAIL 41 permanent 554 no",
    );
}

#[test]
fn an_unfriendly_greeting_ends_it() {
    check(plan(), &envelope(), "S: 554 go away\nFAIL 41 permanent 554 go away");
    check(plan(), &envelope(), "S: 421 busy\nFAIL 41 transient 421 busy");
}

#[test]
fn pipelining_sends_the_envelope_at_once() {
    let start = "S: 220 x\nC: EHLO us.test\nS: 250-x|250 PIPELINING\nC: MAIL FROM:<a@us.test>\nC: RCPT TO:<b@them.test>\nC: DATA\n";
    let check = |rest: &str| check(plan(), &envelope(), &format!("{start}{rest}"));
    check("S: 250 a\nS: 250 b\nS: 354 c\nDATA\nS: 250 d\nOK ready=true");
    // The first refusal counts, the other replies are read.
    check("S: 250 a\nS: 550 b\nS: 503 c\nFAIL 77 permanent 550 b");
    check("S: 451 a\nS: 503 b\nS: 503 c\nFAIL 76 transient 451 a");
    // DATA accepted without a recipient: an empty message ends it (RFC 2920 section 3.1).
    check("S: 250 a\nS: 550 b\nS: 354 c\nC: .\nS: 554 d\nFAIL 77 permanent 550 b");
}

#[test]
fn starttls_is_used_as_need_tls_says() {
    let with = |need_tls| Plan { need_tls, ..plan() };
    let offered = "S: 220 x\nC: EHLO us.test\nS: 250-x|250-PIPELINING|250 STARTTLS\n";
    let secured =
        format!("{offered}C: STARTTLS\nS: 220 go\nTLS\nC: EHLO us.test\nS: 250 x\nC: MAIL FROM:<a@us.test>");
    check(with(NeedTls::Required), &envelope(), &secured);
    check(with(NeedTls::IfOffered), &envelope(), &secured);
    let refused = format!("{offered}C: STARTTLS\nS: 454 not now\n");
    check(with(NeedTls::Required), &envelope(), &format!("{refused}FAIL 41 transient 454 not now"));
    check(
        with(NeedTls::IfOffered),
        &envelope(),
        &format!("{refused}C: MAIL FROM:<a@us.test>\nC: RCPT TO:<b@them.test>\nC: DATA"),
    );
    check(
        with(NeedTls::Required),
        &envelope(),
        "S: 220 x\nC: EHLO us.test\nS: 250 x\nFAIL 241 permanent Remote server does not support TLS",
    );
    // HELO offers nothing: required is required.
    check(
        with(NeedTls::Required),
        &envelope(),
        "S: 220 x\nC: EHLO us.test\nS: 500 x\nC: HELO us.test\nS: 250 x\nFAIL 241 permanent Remote server does not support TLS",
    );
}

#[test]
fn log_ins_come_before_mail() {
    let with = |mechanism| Plan { login: Some((mechanism, b"user".to_vec(), b"secret".to_vec())), ..plan() };
    let start = "S: 220 x\nC: EHLO us.test\nS: 250-x|250 AUTH LOGIN PLAIN\n";
    check(
        with(Mechanism::Plain),
        &envelope(),
        &format!("{start}C: AUTH PLAIN AHVzZXIAc2VjcmV0\nS: 235 ok\nC: MAIL FROM:<a@us.test>"),
    );
    check(
        with(Mechanism::Login),
        &envelope(),
        &format!(
            "{start}C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dXNlcg==\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\nS: 535 no\nFAIL 148 permanent 535 no"
        ),
    );
}

#[test]
fn limits_and_extensions_of_the_server_are_kept() {
    let start = "S: 220 x\nC: EHLO us.test\n";
    let too_big =
        format!("{start}S: 250-x|250 SIZE 98\nFAIL 202 permanent Message too big for the remote SMTP server");
    check(plan(), &envelope(), &too_big);
    check(plan(), &envelope(), &format!("{start}S: 250-x|250 SIZE 99\nC: MAIL FROM:<a@us.test> SIZE=99"));
    let eight = Envelope { is_8bit: true, ..envelope() };
    check(plan(), &eight, &format!("{start}S: 250-x|250 8bitmime\nC: MAIL FROM:<a@us.test> BODY=8BITMIME"));
    let utf8 = Envelope { needs_smtputf8: true, ..envelope() };
    check(plan(), &utf8, &format!("{start}S: 250-x|250 SMTPUTF8\nC: MAIL FROM:<a@us.test> SMTPUTF8"));
    let refused = "553 5.6.7 The remote server does not accept internationalized addresses";
    check(plan(), &utf8, &format!("{start}S: 250 x\nFAIL 41 permanent {refused}"));
}

#[test]
fn the_remote_id_is_what_stands_in_brackets() {
    let check = |text: &str, id: &str| {
        assert_eq!(remote_id(&Reply::parse(text.as_bytes()).unwrap()), id.as_bytes(), "{text}");
    };
    check("250 OK <S2>\r\n", "S2");
    check("250 accepted\r\n", "accepted");
    check("250-x\r\n250 2.0.0 queued as 1234\r\n", "2.0.0 queued as 1234");
}
