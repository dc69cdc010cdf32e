//! What goes over the wire to other servers: whole attempts against scripted servers.

use super::script::Script;
use super::*;

const BEGIN: &str = "S: 220 sink.test ESMTP\nC: EHLO helo.home.test\n";
const PLAIN: &str = "S: 250 sink.test\n";
const ENVELOPE: &str =
    "C: MAIL FROM:<anna@home.test>\nS: 250 ok\nC: RCPT TO:<x@far.test>\nS: 250 ok\nC: DATA\nS: 354 go\n";
const MESSAGE: &str = "C: Subject: hi\nC: \nC: ..dot\nC: body\nC: .\n";
const END: &str = "S: 250 2.0.0 ok <id7>\nC: QUIT\n";

/// The commands of the only message when nothing is offered, from MAIL to QUIT.
fn transaction() -> String {
    [ENVELOPE, MESSAGE, END].concat()
}

/// How one attempt for `anna@home.test` to `x@far.test` ended: `delivered`, `waits: slog`, `returned: reason`.
async fn attempt_with(tables: &[(&str, &str)]) -> String {
    let directory = mail_root(tables);
    let house = House::at(directory.path(), Disk::default(), 1).await;
    house.submit("anna@home.test", "x@far.test").await;
    outcome(&house).await
}

async fn outcome(house: &House) -> String {
    house.begin().await.await.unwrap();
    let slog = house.slog();
    if house.spooled("rsnd").len() == 1 {
        return format!("waits: {slog}");
    }
    if house.spooled("froz").is_empty() {
        assert_eq!(house.smail().len(), 1);
        return "delivered".to_owned();
    }
    house.settle().await;
    let notice = house.mail_of("anna").concat();
    let reason = notice.split("Error=[").nth(1).and_then(|rest| rest.split_once("]\r\n")).unwrap().0;
    format!("returned: {reason}")
}

/// One attempt along a row of `smtpfwd.tab` with these options; the server must see exactly its script.
#[track_caller]
fn check<'a>(
    options: &'a str,
    tables: &'a [(&'a str, &'a str)],
    script: &'a str,
    expected: &'a str,
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let server = Script::start(script).await;
        let row = format!("\"far.test\"\t\"127.0.0.1:{}\"\t\"{options}\"\n", server.port());
        let mut all = vec![("smtpfwd.tab", row.as_str())];
        all.extend(tables);
        let found = attempt_with(&all).await;
        let fits = match expected.strip_prefix("waits: ") {
            Some(part) => found.starts_with("waits: ") && found.contains(part),
            None => found == expected,
        };
        assert!(fits, "{caller}: {script}\nexpected {expected}, found {found}");
        server.check().await;
    }
}

#[tokio::test]
async fn starttls_really_encrypts() {
    let tls = format!(
        "{BEGIN}S: 250-sink.test|250-SIZE 1000|250 STARTTLS\nC: STARTTLS\nS: 220 go\nTLS\nC: EHLO helo.home.test\n{PLAIN}{}",
        transaction()
    );
    check("NeedTLS=1", &[], &tls, "delivered").await;
    check("NeedTLS=2", &[], &tls, "delivered").await;
    let clear = format!("{BEGIN}S: 250-sink.test|250 STARTTLS\n{}", transaction());
    check("NeedTLS=0", &[], &clear, "delivered").await;
    check("", &[], &clear, "delivered").await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_where_that_matters() {
    let variables = format!("{}\"SSLWantVerify\"\t\"1\"\n", TABLES[0].1);
    let script = format!("{BEGIN}S: 250-sink.test|250 STARTTLS\nC: STARTTLS\nS: 220 go\nTLS FAILED\n");
    check("NeedTLS=2", &[("server.tab", &variables)], &script, "waits: ErrCode   = -234").await;
}

#[tokio::test]
async fn without_starttls_only_need_tls_2_refuses() {
    let clear = format!("{BEGIN}{PLAIN}{}", transaction());
    check("NeedTLS=1", &[], &clear, "delivered").await;
    let refused = format!("{BEGIN}{PLAIN}C: QUIT\n");
    check("NeedTLS=2", &[], &refused, "returned: Remote server does not support TLS").await;
}

/// A failing handshake always fails (`mailflow.md` 4.7); only for now, because the server may be repaired.
#[tokio::test]
async fn a_broken_handshake_keeps_the_message_waiting() {
    let begin = format!("{BEGIN}S: 250-sink.test|250 STARTTLS\nC: STARTTLS\nS: 220 go\n");
    for options in ["NeedTLS=1", "NeedTLS=2"] {
        check(options, &[], &format!("{begin}GARBAGE\nDROP\n"), "waits: ErrCode   = -234").await;
        check(options, &[], &format!("{begin}DROP\n"), "waits: ErrCode   = -234").await;
        check(options, &[], &format!("{begin}SILENT 90\n"), "waits: ErrCode   = -234").await;
    }
}

#[tokio::test]
async fn log_ins_go_over_the_wire() {
    let offer = "S: 250-sink.test|250 AUTH PLAIN LOGIN CRAM-MD5\n";
    // RFC 2195 section 2: the example, whose user and secret these are.
    let cram = "C: AUTH CRAM-MD5\nS: 334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\nC: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\nS: 235 ok\n";
    for (mechanism, dialogue) in [
        ("PLAIN", "C: AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\nS: 235-2.7.0 welcome|235 2.7.0 tim\n"),
        (
            "LOGIN",
            "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dGlt\nS: 334 UGFzc3dvcmQ6\nC: dGFuc3RhYWZ0YW5zdGFhZg==\nS: 235 ok\n",
        ),
        ("CRAM-MD5", cram),
    ] {
        let row = format!("\"{mechanism}\"\t\"tim\"\t\"tanstaaftanstaaf\"\n");
        let tables = [("userauth/smtp/127.0.0.1.tab", row.as_str())];
        let script = format!("{BEGIN}{offer}{dialogue}{}", transaction());
        check("", &tables, &script, "delivered").await;
    }
    let tables = [("userauth/smtp/127.0.0.1.tab", "\"PLAIN\"\t\"tim\"\t\"x\"\n")];
    let refused = |code| format!("{BEGIN}{offer}C: AUTH PLAIN AHRpbQB4\nS: {code} no\nC: QUIT\n");
    check("", &tables, &refused(535), "returned: 535 no").await;
    check("", &tables, &refused(454), "waits: ErrInfo   = 454 no").await;
}

#[tokio::test]
async fn pipelining_waits_for_nothing_but_data() {
    let offered = format!("{BEGIN}S: 250-sink.test|250 PIPELINING\n");
    let commands = "C: MAIL FROM:<anna@home.test>\nC: RCPT TO:<x@far.test>\nC: DATA\n";
    let script =
        format!("{offered}{commands}S: 250-one|250 ok\nS: 250-two|250 ok\nS: 354 go\n{MESSAGE}{END}");
    check("", &[], &script, "delivered").await;
    let script = format!("{offered}{commands}S: 250 ok\nS: 550 no\nS: 354 go\nC: .\nS: 554 none\nC: QUIT\n");
    check("", &[], &script, "returned: 550 no").await;
}

/// The refusal was said before the connection broke; it counts.
#[tokio::test]
async fn a_refusal_before_a_hang_up_is_heard() {
    let script = format!(
        "{BEGIN}S: 250-sink.test|250 PIPELINING\nC: MAIL FROM:<anna@home.test>\nC: RCPT TO:<x@far.test>\nC: DATA\n"
    );
    check("", &[], &format!("{script}S: 550 5.7.1 go away\nDROP\n"), "returned: 550 5.7.1 go away").await;
    check("", &[], &format!("{script}S: 250 ok\nS: 550 none\nDROP\n"), "returned: 550 none").await;
    check("", &[], &format!("{script}S: 450 later\nDROP\n"), "waits: ErrInfo   = 450 later").await;
}

#[tokio::test]
async fn offers_and_needs_meet_in_mail() {
    let check = |mail_from: &'static str,
                 offers: &'static str,
                 rest: &'static str,
                 expected: &'static str| async move {
        let rest = match rest.strip_prefix("C: MAIL") {
            Some(parameters) => format!(
                "C: MAIL{parameters}\nS: 250 ok\nC: RCPT TO:<x@far.test>\nS: 250 ok\nC: DATA\nS: 354 go\n{MESSAGE}{END}"
            ),
            None => format!("{rest}\n"),
        };
        let server = Script::start(&format!("{BEGIN}S: 250-sink.test|{offers}\n{rest}")).await;
        let row = format!("\"far.test\"\t\"127.0.0.1:{}\"\n", server.port());
        let directory = mail_root(&[("smtpfwd.tab", &row)]);
        let house = House::at(directory.path(), Disk::default(), 1).await;
        submit_as(&house, mail_from, b"Subject: hi\r\n\r\n..dot\r\nbody\r\n").await;
        assert_eq!(outcome(&house).await, expected, "{mail_from} {offers}");
        server.check().await;
    };
    let plain = "<anna@home.test>";
    let eight = "<anna@home.test> BODY=8BITMIME";
    let utf8 = "<anna@home.test> BODY=8BITMIME SMTPUTF8";
    check(plain, "250-SIZE 28|250 8BITMIME", "C: MAIL FROM:<anna@home.test> SIZE=28", "delivered").await;
    check(eight, "250-SIZE|250 8BITMIME", "C: MAIL FROM:<anna@home.test> SIZE=28 BODY=8BITMIME", "delivered")
        .await;
    check(eight, "250 HELP", "C: MAIL FROM:<anna@home.test>", "delivered").await;
    check(plain, "250 SIZE 27", "C: QUIT", "returned: Message too big for the remote SMTP server").await;
    check(
        utf8,
        "250-8BITMIME|250 SMTPUTF8",
        "C: MAIL FROM:<anna@home.test> BODY=8BITMIME SMTPUTF8",
        "delivered",
    )
    .await;
    let refused = "returned: 553 5.6.7 The remote server does not accept internationalized addresses";
    check(utf8, "250 8BITMIME", "C: QUIT", refused).await;
}

async fn submit_as(house: &House, mail_from: &str, data: &[u8]) {
    let header = Header {
        trace: "[127.0.0.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 10:34:43 +0000".into(),
        smtp_domain: "mx.home.test".into(),
        number: "S2".into(),
        mail_from: format!("MAIL FROM:{mail_from}").into(),
        rcpt_to: "RCPT TO:<x@far.test>".into(),
    };
    let message = NewMessage { header, trace_fields: BString::default() };
    house.services.spool.submit(vec![message], MailData::from_bytes(data.to_vec())).await.unwrap();
}

#[tokio::test]
async fn out_bind_chooses_where_we_come_from() {
    let script = format!("FROM 127.0.0.5\n{BEGIN}{PLAIN}{}", transaction());
    check("OutBind=127.0.0.5", &[], &script, "delivered").await;
}

#[tokio::test]
async fn ipv6_hosts_are_reached() {
    let script = format!("FROM ::1\n{BEGIN}{PLAIN}{}", transaction());
    // A machine without IPv6 has nothing to test here.
    let Ok(server) = Script::start_at("[::1]:0", &script).await else { return };
    let row = format!("\"far.test\"\t\"[::1]:{}\"\n", server.port());
    assert_eq!(attempt_with(&[("smtpfwd.tab", &row)]).await, "delivered");
    server.check().await;
}

#[tokio::test]
async fn default_gateways_take_their_options_from_smtp_gw_config() {
    let script = format!(
        "FROM 127.0.0.9\n{BEGIN}S: 250-sink.test|250 STARTTLS\nC: STARTTLS\nS: 220 go\nTLS\nC: EHLO helo.home.test\n{PLAIN}{}",
        transaction()
    );
    let server = Script::start(&script).await;
    let variables = format!(
        "{}\"DefaultSMTPGateways\"\t\"127.0.0.1:{},NeedTLS=0,OutBind=127.0.0.9\"\n\"SmtpGwConfig\"\t\"NeedTLS=2\"\n",
        TABLES[0].1,
        server.port()
    );
    assert_eq!(attempt_with(&[("server.tab", &variables)]).await, "delivered");
    server.check().await;
}

/// All domains behind one gateway are one destination: two connections at once at most, used again across domains.
#[tokio::test]
async fn a_gateway_gets_no_more_connections_than_a_destination() {
    let mut sink = Sink::start("250 ok").await;
    let row = format!("\"*\"\t\"127.0.0.1:{}\"\n", sink.port);
    let directory = mail_root(&[("smtpfwd.tab", &row)]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(Arc::clone(&house.services), stop.clone()));
    for n in 0..20 {
        house.submit("anna@home.test", &format!("x@far{n}.test")).await;
    }
    let mut seen = sink.until(".").await + &sink.until(".").await;
    sink.open();
    for _ in 2..20 {
        seen += &sink.until(".").await;
    }
    assert_eq!(seen.matches("(connected)").count(), 2, "{seen}");
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn the_next_exchanger_is_tried_after_a_silent_or_absent_one() {
    let transaction = transaction().replace("far.test", "two.test");
    let server = Script::start_at("127.0.0.3:0", &format!("{BEGIN}{PLAIN}{transaction}")).await.unwrap();
    let directory = mail_root(&[]);
    let mut house = House::at(directory.path(), Disk::default(), 1).await;
    Arc::get_mut(&mut house.services).unwrap().smtp_port = server.port();
    // Nobody listens on this port of the first exchanger's address.
    house.submit("anna@home.test", "x@two.test").await;
    assert_eq!(outcome(&house).await, "delivered");
    assert_eq!(house.smail(), ["anna@home.test x@two.test SMTP second.two.test. id7"]);
    server.check().await;
}

/// A temporary failure of one host goes on to the next, a permanent one does not.
#[tokio::test]
async fn temporary_failures_go_on_to_the_next_host() {
    for failing in [
        "S: 421 busy\n".to_owned(),
        format!("{BEGIN}S: 421 busy\n"),
        format!("{BEGIN}{PLAIN}C: MAIL FROM:<anna@home.test>\nS: 451 later\nC: QUIT\n"),
        format!("{BEGIN}{PLAIN}{ENVELOPE}{MESSAGE}S: 452 full\nC: QUIT\n"),
        "SILENT 300\n".to_owned(),
    ] {
        let first = Script::start(&failing).await;
        let second = Script::start(&format!("{BEGIN}{PLAIN}{}", transaction())).await;
        let row = format!("\"far.test\"\t\"127.0.0.1:{};127.0.0.1:{}\"\n", first.port(), second.port());
        assert_eq!(attempt_with(&[("smtpfwd.tab", &row)]).await, "delivered", "{failing}");
        first.check().await;
        second.check().await;
    }
}

#[tokio::test]
async fn a_server_may_say_421_at_any_time() {
    let begin = [BEGIN, PLAIN].concat();
    let mail = format!("{begin}C: MAIL FROM:<anna@home.test>\n");
    let rcpt = format!("{mail}S: 250 ok\nC: RCPT TO:<x@far.test>\n");
    let data = format!("{rcpt}S: 250 ok\nC: DATA\n");
    let dot = format!("{data}S: 354 go\n{MESSAGE}");
    for before in ["", BEGIN, &mail, &rcpt, &data, &dot] {
        let said = "waits: ErrInfo   = 421-closing\r\n421 now";
        check("", &[], &format!("{before}S: 421-closing|421 now\nDROP\n"), said).await;
    }
}

/// The limits of RFC 5321 section 4.5.3.2.
#[tokio::test]
async fn silence_ends_at_its_time() {
    let begin = [BEGIN, PLAIN].concat();
    let mail = format!("{begin}C: MAIL FROM:<anna@home.test>\n");
    let rcpt = format!("{mail}S: 250 ok\nC: RCPT TO:<x@far.test>\n");
    let data = format!("{rcpt}S: 250 ok\nC: DATA\n");
    let dot = format!("{data}S: 354 go\n{MESSAGE}");
    for (before, secs) in [("", 300), (BEGIN, 300), (&mail, 300), (&rcpt, 300), (&data, 120), (&dot, 600)] {
        check("", &[], &format!("{before}SILENT {secs}\n"), "waits: ErrCode   = -5\n").await;
    }
}

#[tokio::test]
async fn endless_replies_end() {
    let begin = [BEGIN, PLAIN].concat();
    for before in ["", BEGIN, &begin] {
        let before =
            if before == begin { format!("{before}C: MAIL FROM:<anna@home.test>\n") } else { before.into() };
        check("", &[], &format!("{before}FLOOD\n"), "waits: ErrCode").await;
    }
}

#[tokio::test]
async fn what_is_no_smtp_keeps_the_message_waiting() {
    for said in ["SSH-2.0-server", "22", "250", "999 high", "100 low", "220 a|221 b", "220-a|+OK"] {
        let script = format!("S: {said}\nDROP\n");
        let server = Script::start(&script).await;
        let row = format!("\"far.test\"\t\"127.0.0.1:{}\"\n", server.port());
        let found = attempt_with(&[("smtpfwd.tab", &row)]).await;
        assert!(found.starts_with("waits: ") || said == "250", "{said}: {found}");
        drop(server);
    }
}

/// Large enough not to fit into the buffers of a connection.
const BIG_BYTES: usize = 16 << 20;

async fn submit_big(house: &House) {
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    submit_as(house, "<anna@home.test>", &line.repeat(BIG_BYTES / line.len())).await;
}

/// Without the final dot the server cannot have the message: the next host gets it.
#[tokio::test]
async fn a_server_that_leaves_in_the_middle_of_the_message_is_followed_by_the_next() {
    let first = Script::start(&format!("{BEGIN}{PLAIN}{ENVELOPE}DROP\n")).await;
    let second = Sink::start("250 ok").await;
    second.open();
    let row = format!("\"far.test\"\t\"127.0.0.1:{};127.0.0.1:{}\"\n", first.port(), second.port);
    let directory = mail_root(&[("smtpfwd.tab", &row)]);
    let house = House::at(directory.path(), Disk::default(), 1).await;
    submit_big(&house).await;
    assert_eq!(outcome(&house).await, "delivered");
    first.check().await;
}

#[tokio::test]
async fn a_server_that_stops_reading_does_not_hold_the_message() {
    let server = Script::start(&format!("{BEGIN}{PLAIN}{ENVELOPE}STUCK\n")).await;
    let row = format!("\"far.test\"\t\"127.0.0.1:{}\"\n", server.port());
    let directory = mail_root(&[("smtpfwd.tab", &row)]);
    let house = House::at(directory.path(), Disk::default(), 1).await;
    submit_big(&house).await;
    let found = outcome(&house).await;
    assert!(found.starts_with("waits: ") && found.contains("ErrCode   = -152\n"), "{found}");
    server.check().await;
}

#[tokio::test]
async fn one_connection_carries_at_most_its_share() {
    let mut sink = Sink::start("250 ok").await;
    sink.open();
    let directory = mail_root(&[("smtpfwd.tab", &sink.forwarding("far.test"))]);
    let house = House::at(directory.path(), Disk::default(), 1).await;
    for n in 0..205 {
        house.submit("anna@home.test", &format!("x{n}@far.test")).await;
    }
    house.settle().await;
    assert_eq!(house.smail().len(), 205);
    let mut connections = 0;
    while let Ok(line) = sink.heard.try_recv() {
        connections += usize::from(line == "(connected)");
    }
    assert_eq!(connections, 3);
    assert!(house.spooled("mess").is_empty() && house.spooled("rsnd").is_empty());
}
