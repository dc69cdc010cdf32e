//! Dialogues without a socket: answers are given by hand where the real ones cannot happen yet.

use super::*;
use crate::mailroot::made;
use crate::smtp::command::parse;

struct Bench {
    _root: tempfile::TempDir,
    context: Context,
    session: Session,
    verdict: FilterVerdict,
    login: LoginVerdict,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let server_tab = [("server.tab", "\"RootDomain\"\t\"example.test\"\n")];
        let (root, snapshot) = made::snapshot(server_tab.iter().chain(files));
        let snapshot = Arc::new(snapshot);
        let link = Link {
            peer: "127.0.0.1:1111".parse().unwrap(),
            local: "127.0.0.1:25".parse().unwrap(),
            is_tls: false,
            server_domain: "mx.example.test".into(),
            stamp: "<1.2@mx.example.test>".into(),
        };
        let standing = Standing { delay: Duration::from_secs(3), ..Standing::default() };
        Self {
            _root: root,
            context: Context { snapshot, is_tls_available: true, recipients_max: 9 },
            session: Session::new(link, standing),
            verdict: FilterVerdict::Accept,
            login: LoginVerdict::Refused,
        }
    }

    /// The answers of a world where every recipient is remote and every message is taken.
    fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::SenderDomain(_) => Answer::SenderDomain(None),
            Question::PopBeforeSmtp { .. } => Answer::PopBeforeSmtp(None),
            Question::Open => Answer::Open(Ok(Opening { number: "S2".into(), date: "today".into() })),
            Question::Login { .. } => Answer::Login(self.login.clone()),
            Question::Recipient { .. } => Answer::Recipient(Ok(Recipient::Remote)),
            Question::Verify { .. } => Answer::Verify(None),
            Question::FlushQueue(_) => Answer::FlushQueue,
            Question::Filter(_) => Answer::Filter(self.verdict.clone()),
            Question::Submit(_) => Answer::Submit(Ok(())),
        }
    }

    fn say(&mut self, line: &str) -> String {
        let action = match self.session.expects_response() {
            true => self.session.on_response(line.as_bytes(), &self.context),
            false => self.session.on_command(parse(line.as_bytes()), &self.context),
        };
        self.follow(action)
    }

    fn follow(&mut self, action: Action) -> String {
        match action {
            Action::Ask(question) => {
                let answer = self.answer(&question);
                let action = self.session.on_answer(answer, &self.context);
                self.follow(action)
            }
            Action::ReceiveData(..) | Action::ReceiveChunk(..) => {
                let action = self.session.on_data(Received { bytes: 7, fault: None }, &self.context);
                self.follow(action)
            }
            Action::SkipChunk(octets, reply) => format!("skip {octets}, {}", text(&reply)),
            Action::Reply(reply) | Action::StartTls(reply) => text(&reply),
            Action::Close(reply) => format!("{}, close", text(&reply)),
        }
    }

    fn check(&mut self, dialogue: &[(&str, &str)]) {
        for (line, expected) in dialogue {
            assert_eq!(self.say(line), *expected, "{line}");
        }
    }
}

fn text(reply: &Reply) -> String {
    let wire = String::from_utf8(reply.to_wire()).unwrap();
    wire.lines().last().unwrap_or_default().to_owned()
}

const BEGIN: [(&str, &str); 2] = [("HELO c", "250 example.test"), ("MAIL FROM:<a@b.test>", "250 2.1.0 OK")];

const ROW: &str = "\"/bin/filter\"\n";

#[test]
fn a_post_rcpt_filter_refuses_the_recipient_only() {
    let mut bench = Bench::new(&[("filters.post-rcpt.tab", ROW)]);
    bench.check(&BEGIN);
    bench.verdict = FilterVerdict::Reject(None);
    bench.check(&[("RCPT TO:<x@y.test>", "550 5.7.1 Recipient rejected")]);
    bench.verdict = FilterVerdict::Reject(Some(Reply::new(554, "stop")));
    bench.check(&[("RCPT TO:<x@y.test>", "554 stop")]);
    bench.verdict = FilterVerdict::Accept;
    bench.check(&[("RCPT TO:<x@y.test>", "250 2.1.5 OK"), ("DATA", "250 2.0.0 OK <S2>")]);
    let statuses: Vec<_> = bench.session.take_log().into_iter().map(|line| line.status).collect();
    assert_eq!(statuses, ["RCPT=EFILTER", "RCPT=EFILTER", "RCPT=OK", "RECV=OK"]);
}

#[test]
fn data_filters_end_the_transaction() {
    for table in ["filters.pre-data.tab", "filters.post-data.tab"] {
        let mut bench = Bench::new(&[(table, ROW)]);
        bench.check(&BEGIN);
        bench.verdict = FilterVerdict::Reject(None);
        bench.check(&[
            ("RCPT TO:<x@y.test>", "250 2.1.5 OK"),
            ("DATA", "554 5.7.1 Transaction failed"),
            ("RCPT TO:<x@y.test>", "503 5.5.1 Bad sequence of commands"),
        ]);
    }
    let mut bench = Bench::new(&[("filters.pre-data.tab", ROW)]);
    bench.check(&BEGIN);
    bench.verdict = FilterVerdict::Reject(None);
    bench.check(&[
        ("RCPT TO:<x@y.test>", "250 2.1.5 OK"),
        ("BDAT 9 LAST", "skip 9, 554 5.7.1 Transaction failed"),
    ]);
}

#[test]
fn guessing_passwords_becomes_slow() {
    let mut bench = Bench::new(&[]);
    bench.check(&[("HELO c", "250 example.test")]);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        bench.check(&[("AUTH PLAIN AGEAYg==", "535 5.7.8 Authentication failed")]);
        pauses.push(bench.session.take_pause().as_secs());
    }
    assert_eq!(pauses, [0, 1, 2, 4, 8, 8]);
}

#[test]
fn a_log_in_lifts_the_delay_until_starttls() {
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.session.command_delay().as_secs(), 3);
    bench.login = LoginVerdict::Granted(Grant::default());
    bench.check(&[
        ("HELO c", "250 example.test"),
        ("AUTH PLAIN AGEAYg==", "235 2.7.0 Authentication successful"),
    ]);
    assert_eq!(bench.session.command_delay().as_secs(), 0);
    bench.check(&[("EHLO c", "503 Bad sequence of commands"), ("STARTTLS", "220 2.0.0 Ready to start TLS")]);
    bench.session.on_tls();
    assert_eq!(bench.session.command_delay().as_secs(), 3);
    bench.check(&[("MAIL FROM:<a@b.test>", "503 5.5.1 Bad sequence of commands")]);
}

#[test]
fn binary_data_is_not_offered() {
    let mut bench = Bench::new(&[]);
    bench.check(&[
        ("HELO c", "250 example.test"),
        ("MAIL FROM:<a@b.test> BODY=BINARYMIME", "555 5.6.1 BINARYMIME not supported"),
        ("BDAT", "501 5.5.4 Syntax error in parameters or arguments, close"),
    ]);
}

#[test]
fn an_unknown_sender_domain_is_temporary() {
    let tables = [("server.tab", "\"RootDomain\"\t\"example.test\"\n\"CheckMailerDomain\"\t\"1\"\n")];
    let mut bench = Bench::new(&tables);
    bench.check(&[
        ("HELO c", "250 example.test"),
        ("MAIL FROM:<a@b.test>", "451 4.4.3 Your domain has no DNS/MX entries"),
        ("MAIL FROM:<>", "250 2.1.0 OK"),
    ]);
}

#[test]
fn a_faulty_message_ends_its_transaction() {
    let faults = [
        (DataFault::TooBig, "552 5.3.4 Message exceeds fixed maximum message size"),
        (DataFault::BadContent, "550 5.5.2 Bare CR, bare LF or NUL in mail data"),
        (
            DataFault::Spool(SpoolFailure::DiskFull),
            "452 4.3.1 Requested action aborted: (-197) local error in processing",
        ),
        (
            DataFault::Spool(SpoolFailure::Disk),
            "451 4.3.0 Requested action aborted: (-21) local error in processing",
        ),
    ];
    for (fault, expected) in faults {
        let mut bench = Bench::new(&[]);
        bench.check(&BEGIN);
        bench.check(&[("RCPT TO:<x@y.test>", "250 2.1.5 OK")]);
        let action = bench.session.on_command(parse(b"DATA"), &bench.context);
        assert!(matches!(action, Action::ReceiveData(..)));
        let action = bench.session.on_data(Received { bytes: 7, fault: Some(fault) }, &bench.context);
        assert_eq!(bench.follow(action), expected);
        bench.check(&[("DATA", "503 5.5.1 Bad sequence of commands")]);
    }
}
