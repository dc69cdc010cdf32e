//! Sessions with scripted servers on loopback: what arrives in the queue, what the server hears, what is logged.

use std::path::Path;
use std::sync::Mutex;

use bstr::ByteSlice;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::dns::Config as DnsConfig;
use crate::mailroot::MailRoot;
use crate::spool::{Config, Lane, Limits, RetryPlan};

/// How long the tests let a server be silent.
const TIMEOUT: Duration = Duration::from_millis(300);

const SERVER_TAB: &str = "\"RootDomain\"\t\"home.test\"\n";
const ERROR_ACCOUNT: &str = "\"Pop3SyncErrorAccount\"\t\"bob@home.test\"\n";

fn spool_on(root: &MailRoot, clock: &Clock, disk: Disk) -> Spool {
    let config = Config {
        root: root.clone(),
        split_levels: 2,
        journal: None,
        retry: RetryPlan::default(),
        limits: Limits { local: 1, per_destination: 1, remote: 1 },
        lane_of: Arc::new(|_| Lane::Local),
        disk,
        clock: clock.clone(),
    };
    Spool::open(config).unwrap().0
}

struct Bench {
    dir: tempfile::TempDir,
    services: Services,
}

impl Bench {
    fn new(server_tab: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let write = |name: &str, content: &str| std::fs::write(path.join(name), content).unwrap();
        for directory in ["logs", "pop3links", "domains/home.test/alice", "tmp"] {
            std::fs::create_dir_all(path.join(directory)).unwrap();
        }
        write("server.tab", &format!("{SERVER_TAB}{server_tab}"));
        write("domains.tab", "\"home.test\"\n");
        write(
            "mailusers.tab",
            "\"home.test\"\t\"alice\"\t\"00\"\t1\t\"alice\"\t\"U\"\n\"home.test\"\t\"bob\"\t\"00\"\t2\t\"bob\"\t\"U\"\n",
        );
        let root = MailRoot::new(path);
        let clock = Clock::manual("2026-11-23T10:38:52Z".parse().unwrap());
        let spool = spool_on(&root, &clock, Disk::default());
        let log_clock = clock.clone();
        let services = Services {
            tables: Tables::open(&root),
            spool,
            resolver: Resolver::new(DnsConfig::default()).unwrap(),
            clock,
            logs: Logs::new(path, move || log_clock.zoned(), 24.try_into().unwrap(), [LogKind::Psync]),
            disk: Disk::default(),
            schedule: Schedule { interval: Duration::ZERO, links_at_once: 8, timeout: TIMEOUT },
            stop: CancellationToken::new(),
            unsaved: Unsaved::default(),
        };
        Self { dir, services }
    }

    /// Works these links once: target, server, user, options.
    async fn work(&self, links: &[(&str, &str, &str, &str)]) {
        let rows: Vec<String> = links
            .iter()
            .map(|(domain, host, user, options)| {
                format!("\"{domain}\"\t\"alice\"\t\"{host}\"\t\"{user}\"\t\"1700081512\"\t\"{options}\"\n")
            })
            .collect();
        std::fs::write(self.path("pop3links.tab"), rows.concat()).unwrap();
        self.services.tables.reload_now();
        let slots = Arc::new(Semaphore::new(8));
        let mut sessions = JoinSet::new();
        work_all(&self.services, &slots, &mut sessions, &mut None).await;
        while let Some(ended) = sessions.join_next().await {
            ended.unwrap();
        }
        assert_eq!(std::fs::read_dir(self.path("pop3linklocks")).map_or(0, Iterator::count), 0);
        assert_eq!(std::fs::read_dir(self.path("tmp")).unwrap().count(), 0);
    }

    /// From now on the queue is on this disk.
    fn use_disk(&mut self, faults: Arc<dyn crate::durable::Faults>) {
        let root = MailRoot::new(self.dir.path());
        self.services.spool = spool_on(&root, &self.services.clock, Disk::with_faults(faults));
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// The psync log's lines from the options on, in the order of their text.
    fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.services.logs.path(LogKind::Psync)).unwrap_or_default();
        let columns = |line: &str| line.replace('"', "").split('\t').skip(5).collect::<Vec<_>>().join(" ");
        let mut lines: Vec<String> = log.lines().map(columns).collect();
        lines.sort();
        lines
    }

    fn queued(&self) -> usize {
        let (ready, waiting) = self.services.spool.outbox().counts();
        ready + waiting
    }

    /// Takes the next message out of the queue, as text.
    async fn next(&self) -> String {
        let attempt = self.services.spool.next_attempt().await.unwrap();
        let text = std::fs::read_to_string(attempt.load().unwrap().path()).unwrap();
        attempt.remove().unwrap();
        text
    }
}

/// What a server says to each command; what stands between two `*` at a reply's end is repeated for ever.
#[derive(Clone, Default)]
struct Script {
    messages: Vec<Vec<u8>>,
    /// Replies that differ from those of a good server, by command line.
    replies: Vec<(&'static str, Vec<u8>)>,
    /// After this reply the server closes.
    closes_after: &'static str,
    /// At this command ours is told to stop.
    stops: Option<(&'static str, CancellationToken)>,
}

struct Server {
    host: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, script.clone(), Arc::clone(&all)));
            }
        });
        Self { host, heard }
    }

    fn heard(&self) -> String {
        self.heard.lock().unwrap().drain(..).collect::<Vec<_>>().join(" | ")
    }
}

async fn serve(socket: TcpStream, script: Script, heard: Arc<Mutex<Vec<String>>>) {
    let mut socket = BufReader::new(socket);
    let mut command = String::new();
    loop {
        let reply = script.reply(&command);
        let (once, endless) = match reply.strip_suffix(b"*").and_then(|reply| reply.split_once_str(b"*")) {
            Some((once, endless)) => (once, Some(endless)),
            None => (reply.as_slice(), None),
        };
        if socket.write_all(once).await.is_err() {
            return;
        }
        while let Some(octets) = endless {
            if socket.write_all(octets).await.is_err() {
                return;
            }
        }
        if !script.closes_after.is_empty() && command == script.closes_after {
            return;
        }
        let mut line = String::new();
        if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        command = line.trim_end().to_owned();
        heard.lock().unwrap().push(command.clone());
        if let Some((_, stop)) = script.stops.as_ref().filter(|(at, _)| *at == command) {
            stop.cancel();
        }
        if command == "QUIT" {
            let _ = socket.write_all(b"+OK bye\r\n").await;
            return;
        }
    }
}

impl Script {
    fn of(messages: &[&str]) -> Self {
        Self {
            messages: messages.iter().map(|text| text.replace('|', "\r\n").into()).collect(),
            ..Self::default()
        }
    }

    fn but(mut self, command: &'static str, reply: impl Into<Vec<u8>>) -> Self {
        self.replies.push((command, reply.into()));
        self
    }

    fn reply(&self, command: &str) -> Vec<u8> {
        if let Some((_, reply)) = self.replies.iter().find(|(known, _)| *known == command) {
            return reply.clone();
        }
        let rows = |row: &dyn Fn(usize) -> String| {
            let rows: String =
                (0..self.messages.len()).map(|at| format!("{} {}\r\n", at + 1, row(at))).collect();
            format!("+OK\r\n{rows}.\r\n").into_bytes()
        };
        match command.split_once(' ').unwrap_or((command, "")) {
            ("LIST", _) => rows(&|at| self.messages[at].len().to_string()),
            ("UIDL", _) => rows(&|at| format!("uid-{}", at + 1)),
            ("RETR", number) => {
                let message = &self.messages[number.parse::<usize>().unwrap() - 1];
                [b"+OK\r\n", message.as_slice(), b".\r\n"].concat()
            }
            _ => b"+OK\r\n".to_vec(),
        }
    }
}

const M1: &str = "Return-Path: <orig@sender.test>|Subject: m1||body1|..dot|";
const M2: &str = "From: \"F N\" <f@sender.test>|To: Bob <bob@m.test>, <nobody@m.test>|Subject: m2||body2|";

/// Golden `psync_at_domain`: the spool file; dots stay stuffed.
/// JD-57: the table goes over the command line, also while the server runs.
#[test]
fn the_interval_is_that_of_the_table() {
    let check = |server_tab: &str, expected: u64| {
        let bench = Bench::new(server_tab);
        let schedule = Schedule { interval: Duration::from_secs(90), ..bench.services.schedule };
        let found = interval(&bench.services.tables.current(), schedule);
        assert_eq!(found, Duration::from_secs(expected), "{server_tab}");
    };
    check("", 90);
    check("\"Pop3SyncInterval\"\t\"30\"\n", 30);
    check("\"Pop3SyncInterval\"\t\"0\"\n", 0);
}

#[tokio::test]
async fn messages_arrive_in_the_queue() {
    let bench = Bench::new("");
    let server = Server::start(Script::of(&[M1, M2])).await;
    bench.work(&[("@home.test", &server.host, "u", "CLR")]).await;
    assert_eq!(
        bench.next().await,
        "[127.0.0.1]:0;[127.0.0.1]:0;Mon, 23 Nov 2026 10:38:52 +0000\r\nhome.test\r\nP2\r\n\
         MAIL FROM: <orig@sender.test>\r\nRCPT TO: <alice@home.test>\r\n<<MAIL-DATA>>\r\n\
         Return-Path: <orig@sender.test>\r\nSubject: m1\r\n\r\nbody1\r\n..dot\r\n"
    );
    assert!(bench.next().await.contains("\r\nP3\r\nMAIL FROM: <f@sender.test>\r\n"));
    assert_eq!(bench.queued(), 0);
    let sizes = M1.replace('|', "\r\n").len() + M2.replace('|', "\r\n").len();
    assert_eq!(bench.log(), [format!("CLR SYNC=OK 2 {sizes} 0 0")]);
    assert_eq!(
        server.heard(),
        "USER u | PASS rempw | STAT | UIDL | LIST | RETR 1 | DELE 1 | RETR 2 | DELE 2 | QUIT"
    );
}

#[tokio::test]
async fn recipients_come_from_the_headers() {
    let bench = Bench::new("");
    let server = Server::start(Script::of(&[M2, M1])).await;
    bench.work(&[("?home.test,m.test", &server.host, "u", "CLR")]).await;
    let (first, second) = (bench.next().await, bench.next().await);
    assert!(first.contains("\r\nP2\r\n") && first.contains("RCPT TO: <bob@home.test>"), "{first}");
    assert!(second.contains("\r\nP2\r\n") && second.contains("RCPT TO: <nobody@home.test>"), "{second}");
    // M1 is for nobody here, and stays.
    assert_eq!(bench.queued(), 0);
    assert!(!server.heard().contains("DELE 2"));
    assert_eq!(bench.log().len(), 1);
    assert!(bench.log()[0].ends_with(&format!(" 1 {}", M1.replace('|', "\r\n").len())), "{:?}", bench.log());
}

#[tokio::test]
async fn what_nobody_gets_goes_to_the_error_account() {
    let bench = Bench::new(ERROR_ACCOUNT);
    let server = Server::start(Script::of(&[M1])).await;
    // The second domain is not ours: its mail is not relayed.
    bench
        .work(&[("?home.test,m.test", &server.host, "u", "CLR"), ("@other.test", &server.host, "v", "CLR")])
        .await;
    for _ in 0..2 {
        assert!(bench.next().await.contains("RCPT TO: <bob@home.test>"));
    }
    let size = M1.replace('|', "\r\n").len();
    assert_eq!(bench.log(), [format!("CLR SYNC=OK 0 0 1 {size}"), format!("CLR SYNC=OK 0 0 1 {size}")]);
    assert_eq!(server.heard().matches("DELE 1").count(), 2);
}

/// Every kind of bad server beside a good one: nothing is lost, and the good link is served.
#[tokio::test]
async fn a_bad_server_harms_its_own_link_only() {
    let long_line = vec![b'x'; 100_000];
    let endless_line = [b"*", vec![b'x'; 64 * 1024].as_slice(), b"*"].concat();
    let endless_listing = format!("+OK\r\n*{}*", "1 1\r\n".repeat(10_000));
    let half = "+OK\r\nSubject: half\r\n\r\nx\r\n";
    let closes = |after, script| Script { closes_after: after, ..script };
    let m1 = || Script::of(&[M1]);
    // What the server does, the options of its link, how many messages arrive before.
    let cases: Vec<(Script, &str, usize)> = vec![
        (m1().but("STAT", ""), "silent", 0),
        (m1().but("USER u", endless_line), "endless line", 0),
        (m1().but("LIST", [b"+OK\r\n", long_line.as_slice(), b"\r\n"].concat()), "long line", 0),
        (m1().but("LIST", endless_listing), "endless listing", 0),
        (Script::of(&[M1, M2]).but("RETR 2", half), "no final dot", 1),
        (closes("RETR 1", m1().but("RETR 1", half)), "closes in a message", 0),
        (closes("DELE 1", Script::of(&[M1, M2])), "closes after DELE", 1),
        (m1().but("", "220 mx.test ESMTP\r\n"), "speaks SMTP", 0),
        (m1().but("PASS rempw", "-ERR no\r\n"), "refuses", 0),
        (m1().but("STLS", "-ERR what\r\n"), "FSTLS", 0),
        (m1(), "FSTLS,hangs in the handshake", 0),
        (m1(), "POP3S", 0),
    ];
    for (script, options, arrives) in cases {
        let bench = Bench::new("");
        let (bad, good) = (Server::start(script).await, Server::start(Script::of(&[M2])).await);
        bench.work(&[("home.test", &bad.host, "u", options), ("home.test", &good.host, "u", "good")]).await;
        let log = bench.log();
        let good_line = format!("good SYNC=OK 1 {} 0 0", M2.replace('|', "\r\n").len());
        assert!(log.contains(&good_line), "{log:?}");
        assert!(
            log.iter().any(|line| line.starts_with(&format!("{options} SYNC=EFAIL {arrives} "))),
            "{log:?}"
        );
        assert_eq!(bench.queued(), 1 + arrives, "{options}");
        for _ in 0..bench.queued() {
            assert!(!bench.next().await.contains("half"), "{options}");
        }
        assert_eq!(bad.heard().matches("DELE").count(), arrives, "{options}");
    }
}

#[tokio::test]
async fn sizes_that_are_lies_do_not_matter() {
    let bench = Bench::new("");
    let script = Script::of(&[M1]).but("LIST", "+OK\r\n1 3\r\n.\r\n").but("STAT", "+OK 77 1\r\n");
    let server = Server::start(script).await;
    bench.work(&[("home.test", &server.host, "u", "CLR")]).await;
    assert!(bench.next().await.ends_with("..dot\r\n"));
    assert_eq!(bench.log(), [format!("CLR SYNC=OK 1 {} 0 0", M1.replace('|', "\r\n").len())]);
}

/// More than stays in memory: the message goes through a file in `tmp/`, which is gone afterwards.
#[tokio::test]
async fn a_large_message_arrives_whole() {
    let bench = Bench::new("");
    let line = format!("{}|", "y".repeat(70));
    let large = format!("{M1}{}", line.repeat(30_000));
    let server = Server::start(Script::of(&[&large])).await;
    bench.work(&[("home.test", &server.host, "u", "CLR")]).await;
    assert!(bench.next().await.ends_with(&large.replace('|', "\r\n")));
}

/// Golden `psync_leave`.
#[tokio::test]
async fn messages_left_on_the_server_come_once() {
    let bench = Bench::new("");
    let server = Server::start(Script::of(&[M1, M2])).await;
    let link = [("home.test", server.host.as_str(), "re/mu:ser", "CLR,Leave=1")];
    bench.work(&link).await;
    let memory = bench.path(&format!("msgsync/{}/re_mu_ser.uidb", server.host.replace(':', "_")));
    assert_eq!(std::fs::read_to_string(&memory).unwrap(), "uid-1\nuid-2\n");
    assert!(!server.heard().contains("DELE"));
    bench.work(&link).await;
    assert_eq!(bench.queued(), 2);
    assert!(!server.heard().contains("RETR"));
}

/// A session that breaks remembers what it has fetched and forgets nothing.
#[tokio::test]
async fn a_broken_session_keeps_its_memory() {
    let bench = Bench::new("");
    let script = Script::of(&[M1, M2]).but("RETR 2", "+OK\r\nSubject: half\r\n");
    let server = Server::start(Script { closes_after: "RETR 2", ..script }).await;
    let memory = bench.path(&format!("msgsync/{}/u.uidb", server.host.replace(':', "_")));
    std::fs::create_dir_all(memory.parent().unwrap()).unwrap();
    std::fs::write(&memory, "gone\n").unwrap();
    bench.work(&[("home.test", &server.host, "u", "Leave")]).await;
    assert_eq!(std::fs::read_to_string(&memory).unwrap(), "uid-1\n");
    assert_eq!(bench.queued(), 1);
    // And one that breaks before UIDL.
    let silent = Server::start(Script::of(&[]).but("UIDL", "")).await;
    let memory = bench.path(&format!("msgsync/{}/u.uidb", silent.host.replace(':', "_")));
    std::fs::create_dir_all(memory.parent().unwrap()).unwrap();
    std::fs::write(&memory, "old\n").unwrap();
    bench.work(&[("home.test", &silent.host, "u", "Leave")]).await;
    assert_eq!(std::fs::read_to_string(&memory).unwrap(), "old\n");
}

#[tokio::test]
async fn names_cannot_leave_their_directories() {
    let bench = Bench::new("");
    let server = Server::start(Script::of(&[M1])).await;
    bench.work(&[("home.test", &server.host, "../../../evil", "Leave")]).await;
    let memory = bench.path(&format!("msgsync/{}/.._.._.._evil.uidb", server.host.replace(':', "_")));
    assert_eq!(std::fs::read_to_string(memory).unwrap(), "uid-1\n");
    assert!(server.heard().starts_with("USER ../../../evil | "));
}

#[tokio::test]
async fn disabled_and_locked_links_and_those_of_nobody_are_skipped() {
    let bench = Bench::new("");
    let server = Server::start(Script::of(&[M1])).await;
    let host = server.host.clone();
    let touch = |path: String| {
        std::fs::create_dir_all(Path::new(&bench.path(&path)).parent().unwrap()).unwrap();
        std::fs::write(bench.path(&path), "").unwrap();
    };
    touch(format!("domains/home.test/alice/u@{host}.disabled"));
    touch(format!("pop3links/v@{host}.disabled"));
    bench
        .work(&[("home.test", &host, "u", ""), ("@home.test", &host, "v", ""), ("gone.test", &host, "w", "")])
        .await;
    assert_eq!((server.heard().as_str(), bench.log().len()), ("", 0));
    // The disable file of one kind of link does not disable the other.
    bench.work(&[("@home.test", &host, "u", "")]).await;
    assert!(server.heard().contains("RETR 1"));
    let lock = format!("x@{}.lock", host.replace(':', "_"));
    touch(format!("pop3linklocks/{lock}"));
    let link = &bench.services.tables.current().pop3_links.rows()[0].clone();
    let locked = Pop3Link { remote_user: "x".into(), ..link.clone() };
    work(&bench.services, &bench.services.tables.current(), &locked, &AtomicBool::new(false)).await;
    assert_eq!(server.heard(), "");
    lock::remove_stale(bench.services.tables.current().root());
    work(&bench.services, &bench.services.tables.current(), &locked, &AtomicBool::new(false)).await;
    assert!(server.heard().starts_with("USER x"));
}

/// Each UIDL is forgotten only when the server no longer has its message; the queue that cannot take a message leaves it.
#[tokio::test]
async fn a_full_disk_leaves_the_message_on_the_server() {
    use crate::durable::{Faults, Step};
    struct Full;
    impl Faults for Full {
        fn before(&self, step: Step<'_>) -> io::Result<()> {
            match step {
                Step::Write(path) if path.starts_with("/") && path.to_string_lossy().contains("/spool/") => {
                    Err(io::ErrorKind::StorageFull.into())
                }
                _ => Ok(()),
            }
        }
    }
    let mut bench = Bench::new("");
    bench.use_disk(Arc::new(Full));
    let server = Server::start(Script::of(&[M1, M2])).await;
    bench.work(&[("home.test", &server.host, "u", "")]).await;
    assert_eq!(server.heard(), "USER u | PASS rempw | STAT | UIDL | LIST | RETR 1 | QUIT");
    assert_eq!(bench.log(), [" SYNC=EFAIL 0 0 0 0"]);
    assert_eq!(bench.queued(), 0);
}

#[tokio::test]
async fn the_trigger_file_starts_a_run_and_stop_ends_it() {
    let bench = Bench::new("");
    let server = Server::start(Script::of(&[M1])).await;
    let row = format!("\"home.test\"\t\"alice\"\t\"{}\"\t\"u\"\t\"1700081512\"\t\"\"\n", server.host);
    std::fs::write(bench.path("pop3links.tab"), row).unwrap();
    bench.services.tables.reload_now();
    std::fs::create_dir_all(bench.path("pop3linklocks")).unwrap();
    std::fs::write(bench.path(&format!("pop3linklocks/u@{}.lock", server.host.replace(':', "_"))), "1\0")
        .unwrap();
    std::fs::write(bench.path(TRIGGER), "").unwrap();
    let running = tokio::spawn(run(bench.services.clone()));
    assert!(bench.next().await.ends_with("..dot\r\n"));
    bench.services.stop.cancel();
    running.await.unwrap();
    assert!(!bench.path(TRIGGER).exists());
    assert_eq!(bench.log().len(), 1);
    assert!(server.heard().ends_with("DELE 1 | QUIT"));
}

/// The server deletes what it was told to delete only after QUIT.
#[tokio::test]
async fn a_stop_ends_the_session_behind_the_present_message() {
    use crate::durable::{Faults, Step};
    struct StopAtWrite(CancellationToken);
    impl Faults for StopAtWrite {
        fn before(&self, step: Step<'_>) -> io::Result<()> {
            if matches!(step, Step::Write(_)) {
                self.0.cancel();
            }
            Ok(())
        }
    }
    let mut bench = Bench::new("");
    bench.use_disk(Arc::new(StopAtWrite(bench.services.stop.clone())));
    let server = Server::start(Script::of(&[M1, M2])).await;
    bench.work(&[("home.test", &server.host, "u", "CLR")]).await;
    assert!(server.heard().ends_with("LIST | RETR 1 | DELE 1 | QUIT"));
    assert_eq!(bench.queued(), 1);
}

/// Some servers take their time with an answer to a wrong password; the server stops all the same.
#[tokio::test]
async fn a_stop_does_not_wait_for_a_session_without_messages() {
    for silent_at in ["PASS rempw", "UIDL", "RETR 1"] {
        let mut bench = Bench::new("");
        bench.services.schedule.timeout = Duration::from_secs(600);
        let mut script = Script::of(&[M1]).but(silent_at, "");
        script.stops = Some((silent_at, bench.services.stop.clone()));
        let server = Server::start(script).await;
        let begun = std::time::Instant::now();
        bench.work(&[("home.test", &server.host, "u", "CLR")]).await;
        assert!(begun.elapsed() < STOP_GRACE && server.heard().ends_with(silent_at), "{silent_at}");
        assert_eq!((bench.log(), bench.queued()), (vec!["CLR SYNC=EFAIL 0 0 0 0".to_owned()], 0));
    }
}

/// `STLS` and `POP3S` with a real certificate.
#[tokio::test]
async fn tls_is_used_where_asked() {
    use crate::net::tls::{TlsStore, ensure_self_signed};
    let bench = Bench::new("");
    ensure_self_signed(bench.dir.path(), &["pop.test".to_owned()]).unwrap();
    let acceptor = TlsStore::new(bench.dir.path()).acceptor().unwrap().tls().clone();
    for options in ["FSTLS", "POP3S"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let acceptor = acceptor.clone();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            if options == "FSTLS" {
                socket.write_all(b"+OK plain\r\n").await.unwrap();
                let mut line = [0; 6];
                socket.read_exact(&mut line).await.unwrap();
                assert_eq!(&line, b"STLS\r\n");
                socket.write_all(b"+OK go\r\n").await.unwrap();
            }
            let mut tls = BufReader::new(acceptor.accept(socket).await.unwrap());
            if options == "POP3S" {
                tls.write_all(b"+OK tls\r\n").await.unwrap();
            }
            let script = Script::of(&[M1]);
            let mut line = String::new();
            while tls.read_line(&mut line).await.unwrap_or(0) > 0 {
                tls.write_all(&script.reply(line.trim_end())).await.unwrap();
                line.clear();
            }
        });
        bench.work(&[("home.test", &host, "u", options)]).await;
        assert!(bench.next().await.ends_with("..dot\r\n"), "{options}");
        server.await.unwrap();
    }
}
