//! Dialogues as text. `C:` is what we say, `S:` the server; `TLS`, `MESSAGE` and the last line are what the shell sees.
//! A message is `Queued` unless its number stands in `aside` or `left`.

use super::*;

#[derive(Default)]
struct Case {
    options: LinkOptions,
    seen: &'static str,
    aside: &'static [u32],
    left: &'static [u32],
    leave_early_at: u32,
}

fn plan(case: &Case) -> Plan {
    Plan {
        options: case.options,
        user: b"remuser".to_vec(),
        password: b"rempw".to_vec(),
        seen: case.seen.split_whitespace().map(Into::into).collect(),
    }
}

/// Plays the server's lines of `script` and compares all others with what the dialogue does.
fn check(case: &Case, script: &str) -> Dialogue {
    let (mut dialogue, mut action) = Dialogue::new(plan(case));
    let mut seen = String::new();
    let mut lines = script.lines().map(str::trim).filter_map(|line| line.strip_prefix("S:"));
    loop {
        action = match action {
            Action::Exchange(octets) => {
                for line in String::from_utf8(octets).unwrap().lines() {
                    seen.push_str(&format!("C: {line}\n"));
                }
                match lines.next() {
                    Some(line) => {
                        seen.push_str(&format!("S:{line}\n"));
                        dialogue.on_line(line.strip_prefix(' ').unwrap_or(line).as_bytes())
                    }
                    None if dialogue.is_quitting() => dialogue.on_closed(),
                    None => break,
                }
            }
            Action::StartTls => {
                seen.push_str("TLS\n");
                dialogue.on_tls()
            }
            Action::Receive(message) => {
                let uid = message.uid.unwrap_or_default();
                seen.push_str(format!("MESSAGE {} {uid}", message.number).trim_end());
                seen.push('\n');
                let outcome = match message.number {
                    number if case.aside.contains(&number) => Outcome::SetAside,
                    number if case.left.contains(&number) => Outcome::Left,
                    _ => Outcome::Queued,
                };
                if case.leave_early_at == message.number {
                    dialogue.leave_early();
                }
                dialogue.on_message(outcome, 100)
            }
            Action::Finished(result) => {
                let Tally { fetched, fetched_bytes, failed, failed_bytes } = dialogue.tally();
                let result = result.map_or_else(|error| format!("FAIL {error}"), |()| "OK".to_owned());
                seen.push_str(&format!("{result} {fetched} {fetched_bytes} {failed} {failed_bytes}\n"));
                break;
            }
        };
    }
    let expected: String = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(seen, expected);
    dialogue
}

fn with(options: &str) -> Case {
    let has = |name: &str| options.split(',').any(|option| option == name);
    let options = LinkOptions {
        apop: has("APOP"),
        apop_only: has("FAPOP"),
        stls: has("STLS"),
        stls_only: has("FSTLS"),
        pop3s: has("POP3S"),
        leave: has("Leave"),
        out_bind: None,
    };
    Case { options, ..Case::default() }
}

const LOGIN: &str = "S: +OK ready\nC: USER remuser\nS: +OK\nC: PASS rempw\nS: +OK\n";
const EMPTY: &str =
    "C: STAT\nS: +OK 0 0\nC: UIDL\nS: +OK\nS: .\nC: LIST\nS: +OK\nS: .\nC: QUIT\nS: +OK bye\nOK 0 0 0 0";

/// Two messages up to the first RETR.
fn two() -> String {
    format!(
        "{LOGIN}C: STAT\nS: +OK 2 200\nC: UIDL\nS: +OK\nS: 1 uid-1\nS: 2 uid-2\nS: .\nC: LIST\nS: +OK\nS: 1 100\nS: 2 100\nS: .\n"
    )
}

/// Golden `psync_clr`.
#[test]
fn messages_are_fetched_and_deleted() {
    check(
        &with("CLR"),
        &format!(
            "{}C: RETR 1\nS: +OK\nMESSAGE 1 uid-1\nC: DELE 1\nS: +OK\nC: RETR 2\nS: +OK\nMESSAGE 2 uid-2\nC: DELE 2\n\
             S: +OK\nC: QUIT\nS: +OK bye\nOK 2 200 0 0",
            two()
        ),
    );
    check(&with(""), &format!("{LOGIN}{EMPTY}"));
}

/// Golden `psync_badpw`, and what else ends a session early.
#[test]
fn refusals_end_in_quit() {
    check(
        &with(""),
        "S: +OK <1.2@remote> ready\nC: USER remuser\nS: +OK\nC: PASS rempw\nS: -ERR no\nC: QUIT\nS: +OK bye\n\
         FAIL the server refused PASS: \"no\" 0 0 0 0",
    );
    check(&with(""), "S: -ERR busy\nC: QUIT\nFAIL the server refused our connecting: \"busy\" 0 0 0 0");
    check(
        &with(""),
        "S: HTTP/1.1 400 Bad\nFAIL the reply to our connecting is not one of POP3: \"HTTP/1.1 400 Bad\" 0 0 0 0",
    );
    check(
        &with(""),
        &format!(
            "{LOGIN}C: STAT\nS: -ERR locked\nC: QUIT\nS: +OK\nFAIL the server refused STAT: \"locked\" 0 0 0 0"
        ),
    );
}

/// Golden `psync_apop`, `psync_fapop`.
#[test]
fn apop() {
    let stamped = "S: +OK <1.2@remote> ready\nC: APOP remuser e93da70143d8df904031dbe66d6921e9\n";
    check(&with("APOP"), &format!("{stamped}S: +OK\n{EMPTY}"));
    check(&with("FAPOP"), &format!("{stamped}S: +OK\n{EMPTY}"));
    check(
        &with("APOP"),
        &format!("{stamped}S: -ERR\nC: USER remuser\nS: +OK\nC: PASS rempw\nS: +OK\n{EMPTY}"),
    );
    check(&with("APOP"), &format!("{LOGIN}{EMPTY}"));
    let no = "C: QUIT\nS: +OK\nFAIL";
    check(&with("FAPOP"), &format!("{stamped}S: -ERR x\n{no} the server refused APOP: \"x\" 0 0 0 0"));
    let no_apop = format!("{no} FAPOP: the server does not offer APOP 0 0 0 0");
    check(&with("FAPOP"), &format!("S: +OK ready\n{no_apop}"));
    // Not a message id: an answer to it could be used elsewhere.
    check(&with("FAPOP"), &format!("S: +OK <\u{1}1.2@remote>\n{no_apop}"));
    check(&with("FAPOP"), &format!("S: +OK <12>\n{no_apop}"));
}

#[test]
fn tls() {
    let asked = "S: +OK <1.2@remote>\nC: STLS\n";
    let user = format!("C: USER remuser\nS: +OK\nC: PASS rempw\nS: +OK\n{EMPTY}");
    check(&with("STLS"), &format!("{asked}S: +OK\nTLS\n{user}"));
    check(&with("STLS"), &format!("{asked}S: -ERR\n{user}"));
    check(&with("FSTLS"), &format!("{asked}S: +OK\nTLS\n{user}"));
    check(
        &with("FSTLS"),
        &format!("{asked}S: -ERR x\nC: QUIT\nS: +OK\nFAIL the server refused STLS: \"x\" 0 0 0 0"),
    );
    // The greeting's stamp counts after STLS too, where XMail skips APOP.
    check(
        &with("STLS,APOP"),
        &format!("{asked}S: +OK\nTLS\nC: APOP remuser e93da70143d8df904031dbe66d6921e9\nS: +OK\n{EMPTY}"),
    );
    check(&with("POP3S"), &format!("TLS\n{LOGIN}{EMPTY}"));
    check(&with("POP3S,STLS"), &format!("TLS\n{LOGIN}{EMPTY}"));
}

/// Golden `psync_leave`.
#[test]
fn leave_fetches_what_is_new() {
    let quit = "C: QUIT\nS: +OK bye\nOK";
    let fetch = "C: RETR 1\nS: +OK\nMESSAGE 1 uid-1\nC: RETR 2\nS: +OK\nMESSAGE 2 uid-2\n";
    let dialogue = check(&with("Leave"), &format!("{}{fetch}{quit} 2 200 0 0", two()));
    assert_eq!(dialogue.present().unwrap(), HashSet::from(["uid-1".into(), "uid-2".into()]));
    let seen = Case { seen: "uid-1 uid-9", ..with("Leave") };
    check(&seen, &format!("{}C: RETR 2\nS: +OK\nMESSAGE 2 uid-2\n{quit} 1 100 0 0", two()));
    let all = Case { seen: "uid-1 uid-2", ..with("Leave") };
    check(&all, &format!("{}{quit} 0 0 0 0", two()));
    check(
        &with("Leave"),
        &format!(
            "{LOGIN}C: STAT\nS: +OK 1 1\nC: UIDL\nS: -ERR\nC: QUIT\nS: +OK\n\
             FAIL Leave: the server does not support UIDL 0 0 0 0"
        ),
    );
}

#[test]
fn a_server_without_uidl_or_list_is_served() {
    let uidl = format!("{LOGIN}C: STAT\nS: +OK 1 1\nC: UIDL\nS: -ERR\nC: LIST\n");
    let rest = "C: RETR 1\nS: +OK\nMESSAGE 1\nC: DELE 1\nS: +OK\nC: QUIT\nS: +OK bye\nOK 1 100 0 0";
    for list in
        ["S: +OK\nS: 1 7\nS: .\n", "S: -ERR\n", "S: +OK\nS: 1\nS: .\n", "S: +OK\nS: 1 many\nS: 1 7\nS: .\n"]
    {
        let dialogue = check(&with(""), &format!("{uidl}{list}{rest}"));
        assert_eq!(dialogue.present(), None);
    }
}

/// Golden `psync_masq`: what `Pop3SyncErrorAccount` takes is deleted and counted as failed.
#[test]
fn what_has_no_recipient_counts_as_failed() {
    let aside = Case { aside: &[1], left: &[2], ..with("") };
    check(
        &aside,
        &format!(
            "{}C: RETR 1\nS: +OK\nMESSAGE 1 uid-1\nC: DELE 1\nS: +OK\nC: RETR 2\nS: +OK\nMESSAGE 2 uid-2\nC: QUIT\n\
             S: +OK\nOK 0 0 2 200",
            two()
        ),
    );
    check(
        &with(""),
        &format!(
            "{}C: RETR 1\nS: -ERR gone\nC: RETR 2\nS: +OK\nMESSAGE 2 uid-2\nC: DELE 2\nS: +OK\nC: QUIT\nS: +OK\nOK 1 100 1 0",
            two()
        ),
    );
}

#[test]
fn a_server_that_refuses_dele_gets_no_further_retr() {
    check(
        &with(""),
        &format!(
            "{}C: RETR 1\nS: +OK\nMESSAGE 1 uid-1\nC: DELE 1\nS: -ERR read-only\nC: QUIT\nS: +OK\n\
             FAIL the server refused DELE: \"read-only\" 1 100 0 0",
            two()
        ),
    );
}

#[test]
fn a_session_can_end_after_the_present_message() {
    check(
        &Case { leave_early_at: 1, ..with("") },
        &format!("{}C: RETR 1\nS: +OK\nMESSAGE 1 uid-1\nC: DELE 1\nS: +OK\nC: QUIT\nOK 1 100 0 0", two()),
    );
}

/// UIDL and LIST that do not agree, and sizes that are lies.
#[test]
fn contradictions_forget_and_repeat_nothing() {
    let listings = |uidl: &str, list: &str| {
        format!("{LOGIN}C: STAT\nS: +OK 9 9\nC: UIDL\nS: +OK\n{uidl}S: .\nC: LIST\nS: +OK\n{list}S: .\n")
    };
    let quit = "C: QUIT\nS: +OK\nOK";
    // No UIDL for message 2: it would come again at every run.
    let script = listings("S: 1 a\nS: 7 z\nS: 8\n", "S: 1 1\nS: 2 2\n");
    let dialogue =
        check(&with("Leave"), &format!("{script}C: RETR 1\nS: +OK\nMESSAGE 1 a\n{quit} 1 100 1 0"));
    assert!(dialogue.present().is_some_and(|present| present.contains(&BString::from("a"))));
    let dialogue = check(&with("Leave"), &format!("{}{quit} 0 0 0 0", listings("S: 1 a\n", "")));
    assert_eq!(dialogue.present(), None);
    let dialogue = check(
        &Case { seen: "a", ..with("Leave") },
        &format!("{}{quit} 0 0 1 0", listings("S: 1 a\n", "S: 1 1\nS: 2 2\n")),
    );
    assert_eq!(dialogue.present(), None);
    // A number twice, and a message that is too large to be asked for.
    let script = listings("", "S: 1 1\nS: 1 1\nS: 2 99999999999999\n");
    let fetch = "C: RETR 1\nS: +OK\nMESSAGE 1\nC: DELE 1\nS: +OK\n";
    check(&with(""), &format!("{script}{fetch}{quit} 1 100 1 0"));
}

#[test]
fn listings_have_limits() {
    check(
        &with(""),
        &format!(
            "{LOGIN}C: STAT\nS: +OK\nC: UIDL\nS: +OK\nS: one two\nFAIL a row of UIDL does not begin with a number: \"one two\" 0 0 0 0"
        ),
    );
    let (mut dialogue, _) = Dialogue::new(plan(&with("")));
    for line in ["+OK", "+OK", "+OK", "+OK", "+OK"] {
        dialogue.on_line(line.as_bytes());
    }
    let ended = (0..=MESSAGES_MAX).find(|_| matches!(dialogue.on_line(b"1 x"), Action::Finished(Err(_))));
    assert_eq!(ended, Some(MESSAGES_MAX));
}
