//! Deliveries from a real spool to real mailboxes and to test servers on loopback.

mod filters;
mod lists;
mod rules;
mod script;
mod wire;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bstr::BString;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::dns::stub::{Stub, Zone};
use crate::durable::{Disk, Faults, Step};
use crate::logs::LogKind;
use crate::mailbox::Kind;
use crate::mailroot::{MailRoot, made};
use crate::spool::{Config, Header, Limits, MailData, NewMessage, RetryPlan};

const TABLES: &[(&str, &str)] = &[
    (
        "server.tab",
        "\"RootDomain\"\t\"home.test\"\n\"PostMaster\"\t\"root@home.test\"\n\"HeloDomain\"\t\"helo.home.test\"\n\"NotifyTryPattern\"\t\"1\"\n",
    ),
    ("domains.tab", "\"home.test\"\n"),
    (
        "mailusers.tab",
        "\"home.test\"\t\"anna\"\t\"\"\t1\t\"anna\"\t\"U\"\n\"home.test\"\t\"bert\"\t\"\"\t2\t\"bert\"\t\"U\"\n\"home.test\"\t\"all\"\t\"\"\t3\t\"all\"\t\"M\"\n",
    ),
    (
        "domains/home.test/all/mlusers.tab",
        "\"bert@home.test\"\t\"RW\"\n\"quiet@far.test\"\t\"W\"\n\"anna@home.test\"\n",
    ),
    ("logs/.keep", ""),
];

/// Two attempts, the second after 60 seconds.
const RETRY: RetryPlan = RetryPlan { first_wait_secs: 60, increment_ratio: 0, attempts_max: 2 };

struct House {
    root: PathBuf,
    services: Arc<Services>,
    clock: Clock,
    _stub: Stub,
}

impl House {
    async fn at(root: &Path, disk: Disk, per_destination: usize) -> Self {
        let loopback = |last: u8| std::net::IpAddr::from([127, 0, 0, last]);
        let zone = Zone::new()
            .mx("nullmx.test", 0, ".")
            .address("plain.test", loopback(1))
            .mx("two.test", 20, "second.two.test")
            .mx("two.test", 10, "first.two.test")
            .address("first.two.test", loopback(2))
            .address("second.two.test", loopback(3));
        let stub = Stub::start(zone).await.unwrap();
        let config = crate::dns::Config { name_servers: Some(vec![stub.address()]), ..Default::default() };
        let mail_root = MailRoot::new(root);
        let tables = Tables::open(&mail_root);
        let clock = Clock::manual("2026-11-23T10:34:43Z".parse::<Timestamp>().unwrap());
        let (lanes, now) = (tables.clone(), clock.clone());
        let (spool, _) = Spool::open(Config {
            root: mail_root.clone(),
            split_levels: 2,
            journal: None,
            retry: RETRY,
            limits: Limits { local: 4, per_destination, remote: 8 },
            lane_of: Arc::new(move |first_part| lane_of(&lanes.current(), first_part)),
            disk: disk.clone(),
            clock: clock.clone(),
        })
        .unwrap();
        let filter_limits =
            crate::filter::Limits { time_limit: Duration::from_secs(20), queue_programs_max: 4 };
        let kinds = [LogKind::Smail, LogKind::Filters];
        let logs = Logs::new(root, move || now.zoned(), 24.try_into().unwrap(), kinds);
        let services = Arc::new(Services {
            tables,
            spool,
            mailboxes: Mailboxes::new(mail_root, Kind::Maildir, disk),
            resolver: Resolver::new(config).unwrap(),
            smtp_port: SMTP_PORT,
            clock: clock.clone(),
            filters: Filters::new(logs.clone(), clock.clone(), filter_limits),
            logs,
            temp_directory: root.join("tmp"),
            tls: ClientTlsCache::default(),
        });
        Self { root: root.to_owned(), services, clock, _stub: stub }
    }

    async fn submit(&self, from: &str, to: &str) {
        let header = Header {
            trace: "[127.0.0.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 10:34:43 +0000".into(),
            smtp_domain: "mx.home.test".into(),
            number: "S2".into(),
            mail_from: format!("MAIL FROM:<{from}>").into(),
            rcpt_to: format!("RCPT TO:<{to}>").into(),
        };
        let message = NewMessage { header, trace_fields: BString::default() };
        let data = MailData::from_bytes(b"Subject: hi\r\n\r\n..dot\r\nbody\r\n".to_vec());
        self.services.spool.submit(vec![message], data).await.unwrap();
    }

    /// Begins the next attempt in a task of its own.
    async fn begin(&self) -> tokio::task::JoinHandle<()> {
        let attempt = self.services.spool.next_attempt().await.unwrap();
        let work = attempt::deliver_all(
            Arc::clone(&self.services),
            attempt::First::of(attempt),
            CancellationToken::new(),
            Arc::default(),
        );
        tokio::spawn(work)
    }

    /// Makes attempts until nothing is ready.
    async fn settle(&self) {
        while self.services.spool.outbox().counts().0 > 0 {
            self.begin().await.await.unwrap();
        }
    }

    fn mail_of(&self, user: &str) -> Vec<String> {
        let new = self.root.join("domains/home.test").join(user).join("Maildir/new");
        let mut files: Vec<_> = fs::read_dir(new).into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.sort();
        files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    /// The files of one spool state, over all split directories.
    fn spooled(&self, state: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for (one, two) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let directory = self.root.join(format!("spool/{one}/{two}/{state}"));
            found.extend(fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        found
    }

    fn slog(&self) -> String {
        self.spooled("slog").iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    /// Columns from the sender on, without the date.
    fn smail(&self) -> Vec<String> {
        let text = fs::read_to_string(self.services.logs.path(LogKind::Smail)).unwrap_or_default();
        let columns = |line: &str| {
            let all: Vec<_> = line.split('\t').map(|column| column.trim_matches('"').to_owned()).collect();
            [&all[3..7], &all[8..]].concat().join(" ")
        };
        text.lines().map(columns).collect()
    }
}

fn mail_root(extra: &[(&str, &str)]) -> tempfile::TempDir {
    made::mail_root(TABLES.iter().chain(extra))
}

/// An SMTP server: what it hears goes to `heard`; before it answers the final dot it waits for a permit of `gate`.
struct Sink {
    port: u16,
    heard: mpsc::UnboundedReceiver<String>,
    gate: Arc<tokio::sync::Semaphore>,
}

impl Sink {
    async fn start(rcpt_reply: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, heard) = mpsc::unbounded_channel();
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let permits = Arc::clone(&gate);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, tell.clone(), Arc::clone(&permits), rcpt_reply));
            }
        });
        Self { port, heard, gate }
    }

    async fn hear(&mut self, wanted: &str) {
        while self.heard.recv().await.unwrap() != wanted {}
    }

    /// All that was heard up to and with the line.
    async fn until(&mut self, wanted: &str) -> String {
        let mut text = String::new();
        loop {
            let line = self.heard.recv().await.unwrap();
            text.push_str(&line);
            text.push('\n');
            if line == wanted {
                return text;
            }
        }
    }

    fn open(&self) {
        self.gate.add_permits(1000);
    }

    fn forwarding(&self, domain: &str) -> String {
        format!("\"{domain}\"\t\"127.0.0.1:{}\"\n", self.port)
    }
}

async fn serve(
    mut socket: tokio::net::TcpStream,
    tell: mpsc::UnboundedSender<String>,
    gate: Arc<tokio::sync::Semaphore>,
    rcpt_reply: &str,
) {
    let (read, mut write) = socket.split();
    let mut lines = BufReader::new(read).lines();
    let _ = tell.send("(connected)".into());
    write.write_all(b"220 sink.test\r\n").await.unwrap();
    let mut in_data = false;
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = tell.send(line.clone());
        let reply = match (in_data, line.split(' ').next().unwrap_or_default()) {
            (true, ".") => {
                in_data = false;
                let Ok(permit) = gate.acquire().await else { return };
                permit.forget();
                "250 accepted <id7>"
            }
            (true, _) => continue,
            (false, "RCPT") if line.contains("<refused@") => "550 5.1.1 refused",
            (false, "RCPT") => rcpt_reply,
            (false, "DATA") => {
                in_data = true;
                "354 go on"
            }
            (false, "EHLO") => "250-sink.test\r\n250 SIZE 0",
            (false, "QUIT") => {
                let _ = write.write_all(b"221 bye\r\n").await;
                return;
            }
            _ => "250 ok",
        };
        if write.write_all(format!("{reply}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
    let _ = tell.send("(closed)".into());
}

#[tokio::test]
async fn local_mail_reaches_the_mailbox_and_leaves_the_spool() {
    let directory = mail_root(&[]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "Anna@home.test").await;
    house.settle().await;
    assert_eq!(
        house.mail_of("anna"),
        ["Return-Path: <x@far.test>\r\nDelivered-To: anna@home.test\r\nSubject: hi\r\n\r\n..dot\r\nbody\r\n"]
    );
    assert_eq!(house.smail(), ["x@far.test Anna@home.test LOCAL anna@home.test "]);
    for state in ["mess", "rsnd", "slog", "froz", "mprc"] {
        assert!(house.spooled(state).is_empty(), "{state}");
    }
}

#[tokio::test]
async fn an_unknown_user_is_told_to_the_sender_and_the_message_set_aside() {
    let directory = mail_root(&[]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "nobody@home.test").await;
    house.submit("", "nobody@home.test").await;
    house.settle().await;
    let notices = house.mail_of("anna");
    assert_eq!(notices.len(), 1, "the null sender gets none");
    assert!(notices[0].contains("Error=[Unknown user \"nobody\" in domain \"home.test\"]"), "{}", notices[0]);
    assert_eq!(house.spooled("froz").len(), 2);
    assert!(house.slog().contains("ErrCode   = -157"));
}

#[tokio::test]
async fn remove_spool_errors_removes_instead() {
    let directory = mail_root(&[("server.tab", "\"RemoveSpoolErrors\"\t\"1\"\n")]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "nobody@home.test").await;
    house.settle().await;
    assert!(house.spooled("froz").is_empty() && house.spooled("slog").is_empty());
    // Neither RootDomain nor PostMaster is set: the notice comes from the host's own name (decision 42).
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(house.mail_of("anna")[0].contains(&format!("From: {host} PostMaster <postmaster@{host}>")));
}

#[tokio::test]
async fn remote_mail_is_sent_as_the_recordings_show() {
    let mut sink = Sink::start("250 rcpt ok").await;
    sink.open();
    let directory = mail_root(&[("smtpfwd.tab", &sink.forwarding("far.test"))]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "x@far.test").await;
    house.settle().await;
    assert_eq!(
        sink.until("QUIT").await,
        "(connected)\nEHLO helo.home.test\nMAIL FROM:<anna@home.test> SIZE=28\nRCPT TO:<x@far.test>\nDATA\nSubject: hi\n\n..dot\nbody\n.\nQUIT\n"
    );
    assert_eq!(house.smail(), [format!("anna@home.test x@far.test FWD 127.0.0.1:{} id7", sink.port)]);
    assert!(house.spooled("mess").is_empty());
}

#[tokio::test]
async fn a_temporary_refusal_is_tried_again_at_its_time_and_then_returned() {
    let mut sink = Sink::start("451 4.3.0 later").await;
    let directory = mail_root(&[("smtpfwd.tab", &sink.forwarding("far.test"))]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "x@far.test").await;
    house.settle().await;
    sink.hear("RCPT TO:<x@far.test>").await;
    assert_eq!(house.spooled("rsnd").len(), 1);
    let notices = house.mail_of("anna");
    assert!(
        notices[0].contains("try to resend the message at : Mon, 23 Nov 2026 10:35:43 +0000"),
        "{}",
        notices[0]
    );
    assert_eq!(house.services.spool.outbox().counts(), (0, 1));
    house.clock.advance(Duration::from_secs(60));
    house.begin().await.await.unwrap();
    house.settle().await;
    sink.hear("RCPT TO:<x@far.test>").await;
    assert_eq!((house.spooled("rsnd").len(), house.spooled("froz").len()), (0, 1));
    assert_eq!(house.slog().matches("ErrInfo   = 451 4.3.0 later").count(), 2);
    assert_eq!(house.slog().matches("[PeekTime]").count(), 2);
    assert!(house.mail_of("anna")[1].contains(
        "[<02>] The reason of the delivery failure was:\r\n\r\nThe maximum number of delivery attempts"
    ));
}

#[tokio::test]
async fn a_permanent_refusal_is_returned_at_once() {
    let sink = Sink::start("550-5.1.1 no\r\n550 5.1.1 never").await;
    let directory = mail_root(&[("smtpfwd.tab", &sink.forwarding("far.test"))]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "x@far.test").await;
    house.settle().await;
    assert_eq!(house.spooled("froz").len(), 1);
    let notice = &house.mail_of("anna")[0];
    assert!(
        notice.contains(&format!("Server:    <127.0.0.1:{0}> [127.0.0.1:{0}]\r\n", sink.port)),
        "{notice}"
    );
    assert!(notice.contains("was:\r\n\r\n550-5.1.1 no\r\n550 5.1.1 never\r\n"), "{notice}");
}

#[tokio::test]
async fn the_dns_decides_what_is_final() {
    let directory = mail_root(&[]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "x@nullmx.test").await;
    house.submit("anna@home.test", "x@missing.test").await;
    house.settle().await;
    let notices = house.mail_of("anna").concat();
    assert!(notices.contains("Error=[556 5.1.10 Recipient domain \"nullmx.test\" does not accept mail"));
    assert!(notices.contains("Error=[Recipient domain \"missing.test\" does not exist"));
    assert_eq!(house.spooled("froz").len(), 2);
}

#[tokio::test]
async fn a_slow_destination_delays_nobody_else() {
    let mut slow = Sink::start("250 ok").await;
    let mut quick = Sink::start("250 ok").await;
    quick.open();
    let rows = slow.forwarding("slow.test") + &quick.forwarding("quick.test");
    let directory = mail_root(&[("smtpfwd.tab", &rows)]);
    let house = House::at(directory.path(), Disk::default(), 1).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(Arc::clone(&house.services), stop.clone()));
    for n in 0..20 {
        house.submit("anna@home.test", &format!("x{n}@slow.test")).await;
    }
    slow.hear(".").await;
    house.submit("anna@home.test", "y@quick.test").await;
    quick.hear("QUIT").await;
    // The bounce of local mail to nobody proves that local deliveries go on, up to a mailbox and back out.
    house.submit("z@quick.test", "nobody@home.test").await;
    quick.hear("RCPT TO:<z@quick.test>").await;
    slow.open();
    for _ in 0..19 {
        slow.hear(".").await;
    }
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_waiting_message_goes_through_the_open_connection() {
    let mut sink = Sink::start("250 ok").await;
    let directory = mail_root(&[("smtpfwd.tab", &sink.forwarding("far.test"))]);
    let house = House::at(directory.path(), Disk::default(), 1).await;
    house.submit("anna@home.test", "one@far.test").await;
    let running = house.begin().await;
    sink.hear(".").await;
    house.submit("anna@home.test", "two@far.test").await;
    house.submit("", "three@far.test").await;
    sink.open();
    running.await.unwrap();
    let rest = sink.until("QUIT").await;
    assert!(rest.starts_with("MAIL FROM:<anna@home.test> SIZE=28\nRCPT TO:<two@far.test>\nDATA\n"), "{rest}");
    assert!(rest.contains("MAIL FROM:<> SIZE=28\nRCPT TO:<three@far.test>\nDATA\n"), "{rest}");
    assert!(!rest.contains("(connected)"), "{rest}");
    assert_eq!(house.smail().len(), 3);
    assert_eq!(house.services.spool.outbox().counts(), (0, 0));
}

/// The server that refuses one of three recipients says so once; the others go on over a fresh connection.
#[tokio::test]
async fn a_refusal_on_a_used_connection_is_final() {
    let mut sink = Sink::start("250 ok").await;
    let directory = mail_root(&[("smtpfwd.tab", &sink.forwarding("far.test"))]);
    let house = House::at(directory.path(), Disk::default(), 1).await;
    house.submit("anna@home.test", "one@far.test").await;
    let running = house.begin().await;
    sink.hear(".").await;
    house.submit("anna@home.test", "refused@far.test").await;
    house.submit("anna@home.test", "three@far.test").await;
    sink.open();
    running.await.unwrap();
    house.settle().await;
    let rest = sink.until("RCPT TO:<three@far.test>").await;
    assert_eq!(rest.matches("RCPT TO:<refused@far.test>").count(), 1, "{rest}");
    assert_eq!(rest.matches("(connected)").count(), 1, "{rest}");
    assert_eq!(house.spooled("froz").len(), 1);
    assert!(house.mail_of("anna")[0].contains("Error=[550 5.1.1 refused]"));
}

/// A server that vanishes after the final dot may have the message: no other host gets it in the same attempt.
#[tokio::test]
async fn a_doubtful_end_is_not_followed_by_another_host() {
    let mut first = Sink::start("250 ok").await;
    let second = Sink::start("250 ok").await;
    let row = format!("\"far.test\"\t\"127.0.0.1:{};127.0.0.1:{}\"\n", first.port, second.port);
    let directory = mail_root(&[("smtpfwd.tab", &row)]);
    let house = House::at(directory.path(), Disk::default(), 1).await;
    house.submit("", "one@far.test").await;
    let running = house.begin().await;
    first.hear(".").await;
    // The server's task fails without its gate, and drops the connection.
    first.gate.close();
    running.await.unwrap();
    assert_eq!(house.slog().matches("ErrCode").count(), 1, "{}", house.slog());
    assert!(second.heard.is_empty());
    assert_eq!(house.spooled("rsnd").len(), 1);
}

#[tokio::test]
async fn a_stop_ends_running_deliveries_and_keeps_their_mail() {
    let mut sink = Sink::start("250 ok").await;
    let directory = mail_root(&[("smtpfwd.tab", &sink.forwarding("far.test"))]);
    let house = House::at(directory.path(), Disk::default(), 1).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(Arc::clone(&house.services), stop.clone()));
    house.submit("anna@home.test", "one@far.test").await;
    sink.hear(".").await;
    // From here on only time can end it: the server never answers the final dot.
    tokio::time::pause();
    stop.cancel();
    running.await.unwrap();
    assert_eq!(house.spooled("mess").len(), 1);
}

/// Fails to remove anything from `mess`, as a crash right after the delivery would.
struct NoRemoval;

impl Faults for NoRemoval {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        match step {
            Step::Remove(path) if path.parent().is_some_and(|parent| parent.ends_with("mess")) => {
                Err(io::Error::other("crash"))
            }
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_crash_between_mailbox_and_spool_makes_no_second_copy() {
    let directory = mail_root(&[]);
    let house = House::at(directory.path(), Disk::with_faults(Arc::new(NoRemoval)), 1).await;
    house.submit("x@far.test", "anna@home.test").await;
    house.settle().await;
    assert_eq!((house.mail_of("anna").len(), house.spooled("mess").len()), (1, 1));
    // Read in the meantime: moved to cur with flags.
    let inbox = directory.path().join("domains/home.test/anna/Maildir");
    let name = fs::read_dir(inbox.join("new")).unwrap().next().unwrap().unwrap().file_name();
    let read = format!("{}:2,S", name.to_str().unwrap());
    fs::rename(inbox.join("new").join(&name), inbox.join("cur").join(read)).unwrap();
    drop(house);

    let house = House::at(directory.path(), Disk::default(), 1).await;
    house.settle().await;
    assert_eq!((house.mail_of("anna").len(), house.spooled("mess").len()), (0, 0));
    assert_eq!(fs::read_dir(inbox.join("cur")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_list_gives_each_reader_one_copy() {
    let directory = mail_root(&[]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "all@home.test").await;
    house.settle().await;
    for user in ["anna", "bert"] {
        let mail = house.mail_of(user);
        assert_eq!(mail.len(), 1, "{user}");
        assert!(mail[0].contains("\r\nReply-To: all@home.test\r\nSubject: hi\r\n"), "{}", mail[0]);
    }
    assert!(house.spooled("mess").is_empty(), "quiet@far.test reads nothing");
}

#[tokio::test]
async fn a_mailproc_redirects_and_keeps_a_copy() {
    let commands = "\"redirect\"\t\"bert@home.test\"\n\"mailbox\"\n";
    let directory = mail_root(&[("domains/home.test/anna/mailproc.tab", commands)]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "anna@home.test").await;
    house.settle().await;
    assert_eq!(house.mail_of("anna").len(), 1);
    let redirected = &house.mail_of("bert")[0];
    assert!(redirected.contains("\r\nX-Deliver-To: anna@home.test\r\nSubject: hi\r\n"), "{redirected}");
    assert!(redirected.starts_with("Return-Path: <x@far.test>\r\n"));
    assert!(house.smail().contains(&"x@far.test anna@home.test REDIR bert@home.test ".to_owned()));
    assert!(house.spooled("mprc").is_empty() && house.spooled("mess").is_empty());
}

/// Decision 11.
#[tokio::test]
async fn commands_without_effect_lose_no_mail() {
    for commands in [
        "",
        "# nothing\n",
        "\"smtp\"\n",
        "\"frobnicate\"\n",
        "\"redirect\"\t\"not@@valid\"\n",
        "\"external\"\t\"0\"\t\"5\"\t\"/no/such/program\"\t\"x\"\n",
        "\"filter\"\t\"0\"\t\"5\"\t\"/bin/true\"\t\"x\"\n",
    ] {
        let directory = mail_root(&[("domains/home.test/anna/mailproc.tab", commands)]);
        let house = House::at(directory.path(), Disk::default(), 2).await;
        house.submit("x@far.test", "anna@home.test").await;
        house.settle().await;
        assert_eq!(house.mail_of("anna").len(), 1, "{commands:?}");
    }
    let directory = mail_root(&[("cmdaliases/home.test/robot.tab", "\"mailbox\"\n")]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "robot@home.test").await;
    house.settle().await;
    assert!(house.mail_of("anna")[0].contains("Error=[554 5.3.5 "));
}

#[tokio::test]
async fn a_program_gets_its_arguments_and_16_stops() {
    let commands = "\"external\"\t\"0\"\t\"10\"\t\"/bin/sh\"\t\"-c\"\t\"cat $1 > $2; exit 16\"\t\"sh\"\t\"@@FILE\"\t\"OUT/@@X\"\n\"mailbox\"\n";
    // A lone `$` ends the expansion, so the file's name is in the script's place of its own.
    let directory = mail_root(&[]);
    let out = directory.path().join("seen");
    let script = directory.path().join("see.sh");
    fs::write(&script, "#!/bin/sh\ncat \"$1\" > \"$2\"\nexit 16\n").unwrap();
    let commands = commands.lines().last().map(|mailbox| {
        format!(
            "\"external\"\t\"0\"\t\"10\"\t\"/bin/sh\"\t\"{}\"\t\"@@FILE\"\t\"{}\"\n{mailbox}\n",
            script.display(),
            out.display()
        )
    });
    fs::create_dir_all(directory.path().join("domains/home.test/anna")).unwrap();
    fs::write(directory.path().join("domains/home.test/anna/mailproc.tab"), commands.unwrap()).unwrap();
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "anna@home.test").await;
    house.settle().await;
    assert!(
        fs::read_to_string(out).unwrap().contains("RCPT TO:<anna@home.test>\r\n<<MAIL-DATA>>\r\nSubject: hi")
    );
    assert!(house.mail_of("anna").is_empty());
    assert_eq!(house.smail(), ["x@far.test anna@home.test EXTRN /bin/sh "]);
}

#[tokio::test]
async fn what_a_command_file_has_done_is_not_done_again() {
    let mut sink = Sink::start("451 later").await;
    let directory = mail_root(&[]);
    let commands = format!(
        "\"smtprelay\"\t\"127.0.0.1:{}\"\n\"redirect\"\t\"bert@home.test\"\n\"mailbox\"\n",
        sink.port
    );
    fs::create_dir_all(directory.path().join("domains/home.test/anna")).unwrap();
    fs::write(directory.path().join("domains/home.test/anna/mailproc.tab"), &commands).unwrap();
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("", "anna@home.test").await;
    house.settle().await;
    sink.hear("RCPT TO:<anna@home.test>").await;
    assert_eq!((house.mail_of("anna").len(), house.mail_of("bert").len()), (1, 1));
    let copy = fs::read_to_string(&house.spooled("mprc")[0]).unwrap();
    assert_eq!(copy, commands.lines().next().unwrap().to_owned() + "\n");
    assert!(house.slog().contains(&format!("USMAIL SMTP-Send RLYS = \"127.0.0.1:{}\"", sink.port)));
    house.clock.advance(Duration::from_secs(60));
    house.begin().await.await.unwrap();
    sink.hear("RCPT TO:<anna@home.test>").await;
    assert_eq!((house.mail_of("anna").len(), house.mail_of("bert").len()), (1, 1));
}

#[tokio::test]
async fn a_full_mailbox_returns_the_mail() {
    let directory = mail_root(&[("domains/home.test/bert/user.tab", "\"MaxMBSize\"\t\"1\"\n")]);
    let new = directory.path().join("domains/home.test/bert/Maildir/new");
    fs::create_dir_all(&new).unwrap();
    fs::write(new.join("old"), vec![b'x'; 1024]).unwrap();
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "bert@home.test").await;
    house.settle().await;
    assert!(house.mail_of("anna")[0].contains("Error=[User maximum mailbox size reached]"));
    assert_eq!(house.mail_of("bert").len(), 1);
}

#[tokio::test]
async fn a_message_removed_by_hand_is_forgotten() {
    let directory = mail_root(&[]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "bert@home.test").await;
    fs::remove_file(&house.spooled("mess")[0]).unwrap();
    house.settle().await;
    assert_eq!(house.services.spool.outbox().counts(), (0, 0));
    assert!(house.spooled("slog").is_empty());
    assert!(house.mail_of("anna").is_empty() && house.mail_of("bert").is_empty());
}

#[tokio::test]
async fn a_file_that_is_no_message_is_set_aside() {
    let directory = mail_root(&[]);
    let mess = directory.path().join("spool/0/0/mess");
    fs::create_dir_all(&mess).unwrap();
    fs::write(mess.join("1.2.3.4.x"), "no message\r\n").unwrap();
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.settle().await;
    assert_eq!(house.spooled("froz").len(), 1);
    assert!(house.slog().contains("Unable to load spool file \""), "{}", house.slog());
    assert!(house.slog().ends_with("SMTP-Error = \"554 Error loading spool file\"\n>>\n"));
}
