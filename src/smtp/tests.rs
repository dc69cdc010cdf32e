//! The server on a real socket, with a MailRoot, a spool and a DNS of its own.

mod filters;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::auth::xmail_encode;
use crate::clock::Clock;
use crate::dns::stub::{Stub, Zone};
use crate::dns::{self, Resolver};
use crate::durable::Disk;
use crate::filter::Filters;
use crate::logs::{LogKind, Logs};
use crate::mailbox::{Kind, Mailboxes};
use crate::mailroot::made::write;
use crate::mailroot::{MailRoot, Tables};
use crate::net::tls::{TlsStore, ensure_self_signed};
use crate::net::{BindAddress, Door, Link as Port, ListenOptions, Listener, SessionCounter};
use crate::spool::{self, Lane, RetryPlan, Spool};

/// A running server and its MailRoot.
pub(super) struct Server {
    root: tempfile::TempDir,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _dns: Stub,
}

const SERVER_TAB: &str = "\"RootDomain\"\t\"example.test\"\n\"SmtpServerDomain\"\t\"mx.example.test\"\n\
    \"PostMaster\"\t\"postmaster@example.test\"\n";

/// The clock stands here: all dates are known.
const NOW: &str = "2026-11-23T10:33:05Z";

/// Longer than anything takes here; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

fn user(domain: &str, name: &str, password: &str, kind: &str) -> String {
    let password = xmail_encode(password.as_bytes());
    format!("\"{domain}\"\t\"{name}\"\t\"{password}\"\t1\t\"{name}\"\t\"{kind}\"\n")
}

/// alice (`alicepw`), bob (no relay), postmaster; files add to or replace what is there. A `server.tab` is appended to
/// the usual one.
fn mailroot(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let users = [
        user("example.test", "alice", "alicepw", "U"),
        user("example.test", "bob", "bobpw", "U"),
        user("example.test", "postmaster", "pm", "U"),
    ];
    write(root.path(), "mailusers.tab", users.concat());
    write(root.path(), "domains.tab", "\"example.test\"\n");
    write(root.path(), "aliases.tab", "\"example.test\"\t\"al\"\t\"alice\"\n");
    write(root.path(), "smtpauth.tab", "\"authuser\"\t\"authpw\"\t\"MR\"\n");
    write(root.path(), "domains/example.test/alice/user.tab", "\"RealName\"\t\"Alice Tester\"\n");
    write(root.path(), "domains/example.test/bob/user.tab", "\"SmtpPerms\"\t\"M\"\n");
    write(root.path(), "server.tab", SERVER_TAB);
    for name in ["alice", "bob", "postmaster"] {
        let mailbox = root.path().join("domains/example.test").join(name).join("Maildir/new");
        std::fs::create_dir_all(mailbox).unwrap();
    }
    for (name, text) in files {
        let before = if *name == "server.tab" { SERVER_TAB } else { "" };
        write(root.path(), name, format!("{before}{text}"));
    }
    root
}

async fn start(files: &[(&str, &str)], limits: Limits) -> Server {
    start_in(mailroot(files), limits, 1024).await
}

async fn start_in(root: tempfile::TempDir, limits: Limits, sessions_max: usize) -> Server {
    start_on(root, limits, sessions_max, Disk::default()).await
}

async fn start_on(root: tempfile::TempDir, limits: Limits, sessions_max: usize, disk: Disk) -> Server {
    let mail_root = MailRoot::new(root.path());
    std::fs::create_dir_all(root.path().join("logs")).unwrap();
    let clock = Clock::manual(NOW.parse().unwrap());
    let zone = Zone::new()
        .address("aonly.test", "192.0.2.1".parse().unwrap())
        .mx("sink.test", 10, "mx.sink.test.")
        .address("6.0.0.127.rbl.test", "127.0.0.2".parse().unwrap());
    let dns = Stub::start(zone).await.unwrap();
    let resolver =
        Resolver::new(dns::Config { name_servers: Some(vec![dns.address()]), ..dns::Config::default() })
            .unwrap();
    let config = spool::Config {
        root: mail_root.clone(),
        split_levels: 1,
        journal: None,
        retry: RetryPlan::default(),
        limits: spool::Limits { local: 1, per_destination: 1, remote: 1 },
        lane_of: Arc::new(|_| Lane::Local),
        disk,
        clock: clock.clone(),
    };
    let (spool, _) = Spool::open(config).unwrap();
    let log_clock = clock.clone();
    let hours = 24.try_into().unwrap();
    let filter_limits = crate::filter::Limits { time_limit: PATIENCE, queue_programs_max: 1 };
    let kinds = [LogKind::Smtp, LogKind::Filters];
    let logs = Logs::new(root.path(), move || log_clock.zoned(), hours, kinds);
    std::fs::create_dir_all(root.path().join("tmp")).unwrap();
    let services = Services {
        tables: Tables::open(&mail_root),
        spool,
        mailboxes: Mailboxes::new(mail_root, Kind::Maildir, Disk::default()),
        resolver,
        filters: Filters::new(logs.clone(), clock.clone(), filter_limits),
        temp_directory: root.path().join("tmp"),
        clock,
        logs,
        tls: Arc::new(TlsStore::new(root.path())),
        limits,
    };
    let listener =
        Listener::bind(BindAddress::parse("127.0.0.1:0", 0).unwrap(), &ListenOptions::default()).unwrap();
    let (address, stop) = (listener.local_addr(), CancellationToken::new());
    let tls = Arc::clone(&services.tls);
    let door = Door { listener, link: Port::Plain, tls, sessions: SessionCounter::default(), sessions_max };
    let task = tokio::spawn(serve(door, Arc::new(services), stop.clone()));
    Server { root, address, stop, task, _dns: dns }
}

impl Server {
    async fn connect(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(self.address).await.unwrap())
    }

    async fn connect_from(&self, from: &str) -> BufReader<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        BufReader::new(socket.connect(self.address).await.unwrap())
    }

    /// Runs a dialogue on a new connection: see [`talk`].
    async fn dialogue(&self, text: &str) {
        talk(&mut self.connect().await, text).await;
    }

    async fn dialogue_from(&self, from: &str, text: &str) {
        talk(&mut self.connect_from(from).await, text).await;
    }

    /// The messages in the spool, in the order of their names.
    fn spooled(&self) -> Vec<String> {
        let mut files: Vec<PathBuf> = Vec::new();
        let spool = self.root.path().join("spool");
        for outer in 0..2 {
            for inner in 0..2 {
                let mess = spool.join(format!("{outer}/{inner}/mess"));
                files
                    .extend(std::fs::read_dir(mess).into_iter().flatten().map(|entry| entry.unwrap().path()));
            }
        }
        files.sort_by_key(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            u64::from_str_radix(name.split('.').nth(3).unwrap(), 16).unwrap()
        });
        files.iter().map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).collect()
    }

    /// Nothing unfinished lies around.
    fn assert_no_leftovers(&self) {
        for directory in ["tmp", "spool/temp"] {
            let path = self.root.path().join(directory);
            let left = std::fs::read_dir(path).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{directory}");
        }
    }

    /// The smtp log without server names, address and date: from the HELO name on.
    fn log(&self) -> Vec<String> {
        let path = self.root.path().join("logs/smtp-202611230000");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .map(|line| line.split('\t').skip(4).collect::<Vec<_>>().join(" ").replace('"', "'"))
            .collect()
    }

    async fn stop(self) -> tempfile::TempDir {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
        self.root
    }
}

/// `C: ` lines are sent with CRLF, `S: ` lines are expected; one that ends in `…` only has to begin so. `S: <closed>` is
/// the end of the connection.
async fn talk(stream: &mut BufReader<TcpStream>, text: &str) {
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(sent) = line.strip_prefix("C: ") {
            stream.write_all(format!("{sent}\r\n").as_bytes()).await.unwrap();
        } else if line == "C:" {
            stream.write_all(b"\r\n").await.unwrap();
        } else if let Some(expected) = line.strip_prefix("S: ") {
            let got = read_line(stream).await;
            match expected.strip_suffix('…') {
                Some(start) => assert!(got.starts_with(start), "expected {expected}, got {got}\nin {text}"),
                None => assert_eq!(got, expected, "in {text}"),
            }
        } else {
            panic!("not a dialogue line: {line}");
        }
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_until(b'\n', &mut line)).await.expect("a line");
    match read {
        Ok(0) => "<closed>".to_owned(),
        Ok(_) => String::from_utf8(line).unwrap().trim_end_matches("\r\n").to_owned(),
        Err(_) => "<closed>".to_owned(),
    }
}

const HELLO: &str = "
    S: 220 mx.example.test <…
    C: EHLO client.test
    S: 250-example.test
    S: 250-8BITMIME
    S: 250-PIPELINING
    S: 250-AUTH LOGIN PLAIN CRAM-MD5
    S: 250-ENHANCEDSTATUSCODES
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250 SIZE
";

fn hello(text: &str) -> String {
    format!("{HELLO}{text}")
}

/// base64 of NUL alice@example.test NUL alicepw.
const AUTH_ALICE: &str = "C: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3
    S: 235 2.7.0 Authentication successful\n";

#[tokio::test]
async fn a_message_is_in_the_spool_when_250_is_said() {
    let server = start(&[], Limits::default()).await;
    let text = "C: MAIL FROM:<a@client.test> BODY=8BITMIME
        S: 250 2.1.0 OK
        C: RCPT TO:<Alice@example.test>
        S: 250 2.1.5 OK
        C: RCPT TO:<bob@example.test> NOTIFY=NEVER
        S: 250 2.1.5 OK
        C: DATA
        S: 354 Start mail input; end with <CRLF>.<CRLF>
        C: Subject: test
        C:
        C: ..dot
        C: .
        S: 250 2.0.0 OK <S2>";
    let mut stream = server.connect().await;
    talk(&mut stream, &hello(text)).await;
    let spooled = server.spooled();
    let local = stream.get_ref().local_addr().unwrap();
    let message = |recipient: &str| {
        format!(
            "[127.0.0.1]:{port};[127.0.0.1]:{server};Mon, 23 Nov 2026 10:33:05 +0000\r\nmx.example.test\r\nS2\r\n\
             MAIL FROM:<a@client.test> BODY=8BITMIME\r\nRCPT TO:<{recipient}>\r\n<<MAIL-DATA>>\r\n\
             Received: from client.test ([127.0.0.1]:{port})\r\n\tby mx.example.test with {product}\r\n\
             \tid <S2> for <{recipient}> from <a@client.test>;\r\n\tMon, 23 Nov 2026 10:33:05 +0000\r\n\
             Subject: test\r\n\r\n..dot\r\n",
            port = local.port(),
            server = server.address.port(),
            product = reply::server_name(),
        )
    };
    assert_eq!(spooled, [message("Alice@example.test"), message("bob@example.test")]);
    talk(&mut stream, "C: QUIT\nS: 221 2.0.0 [Tabmail…\nS: <closed>").await;
    server.assert_no_leftovers();
    assert_eq!(
        server.log(),
        [
            "'client.test' 'example.test' 'a@client.test' 'Alice@example.test' 'S2' 'RCPT=OK' '' '0' ''",
            "'client.test' 'example.test' 'a@client.test' 'bob@example.test' 'S2' 'RCPT=OK' '' '0' ''",
            "'client.test' 'example.test' 'a@client.test' 'bob@example.test' 'S2' 'RECV=OK' '' '24' ''",
        ]
    );
}

#[tokio::test]
async fn commands_have_their_places() {
    let server = start(&[], Limits::default()).await;
    // Golden smtp_basic, connections s1, s2 and rcpt-run.
    server
        .dialogue(
            "S: 220 …
            C: NOOP
            S: 250 2.0.0 OK
            C: MAIL FROM:<a@client.test>
            S: 503 5.5.1 Bad sequence of commands
            C: AUTH
            S: 503 5.5.1 Bad sequence of commands
            C: VRFY alice@example.test
            S: 252 2.5.0 Argument not checked
            C: ETRN example.test
            S: 501 5.7.1 Command not accepted
            C: EXPN list
            S: 500 5.5.2 Syntax error, command unrecognized
            C:
            S: 500 5.5.2 Syntax error, command unrecognized
            C: HELO
            S: 501 Syntax error in parameters or arguments
            C: HELO client.test
            S: 250 example.test
            C: HELP MAIL
            S: 214-2.0.0 HELO EHLO MAIL RCPT DATA AUTH
            S: 214-2.0.0 RSET VRFY ETRN NOOP HELP QUIT
            S: 214 2.0.0 For more information please visit : http://www.xmailserver.org
            C: AUTH FOO
            S: 504 5.5.4 Unrecognized authentication type
            C: STARTTLS
            S: 454 4.7.0 TLS not available due to temporary reason
            C: MAIL FROM:<a@client.test>
            S: 250 2.1.0 OK
            C: DATA
            S: 503 5.5.1 Bad sequence of commands
            C: MAIL FROM:<a@client.test>
            S: 250 2.1.0 OK
            C: MAIL FROM:<b@client.test>
            S: 503 5.5.1 Bad sequence of commands
            C: RCPT TO:<alice@example.test>
            S: 503 5.5.1 Bad sequence of commands
            C: MAIL FROM:<a@client.test>
            S: 250 2.1.0 OK
            C: RCPT TO:<>
            S: 501 5.1.3 Syntax error in forward path
            C: RCPT TO:<nobody@example.test>
            S: 550 5.1.1 Mailbox unavailable <nobody@example.test>
            C: RCPT TO:<x@remote.test>
            S: 550 5.7.1 Relay denied
            C: RCPT TO:<alice@example.test>
            S: 250 2.1.5 OK
            C: RCPT TO:<alice>
            S: 501 5.1.3 Syntax error in parameters or arguments: (-132)
            C: RCPT TO:<alice@example.test>
            S: 503 5.5.1 Bad sequence of commands
            C: QUIT extra
            S: 221 …
            S: <closed>",
        )
        .await;
    assert_eq!(
        server.log()[..2],
        ["'' '' '' '' '' 'VRFY=EACCESS' '' '0' ''", "'' '' '' '' '' 'ETRN=EACCESS' '' '0' ''"]
    );
}

#[tokio::test]
async fn postmaster_and_source_routes_are_understood() {
    let server = start(&[], Limits::default()).await;
    server
        .dialogue(&hello(
            "C: MAIL FROM:<@hosta.test,@hostb.test:a@client.test> SIZE=10
            S: 250 2.1.0 OK
            C: RCPT TO:<PostMaster>
            S: 250 2.1.5 OK
            C: RCPT TO:<@remote.test:alice@example.test>
            S: 250 2.1.5 OK
            C: RCPT TO:<@example.test:x@remote.test>
            S: 550 5.7.1 Relay denied
            C: DATA
            S: 354 …
            C: .
            S: 250 2.0.0 OK <S2>",
        ))
        .await;
    let spooled = server.spooled();
    assert!(
        spooled[0].contains("\r\nMAIL FROM:<a@client.test> SIZE=10\r\nRCPT TO:<postmaster@example.test>\r\n")
    );
    assert!(spooled[1].contains("\r\nRCPT TO:<alice@example.test>\r\n"));
}

#[tokio::test]
async fn long_lines_and_strange_octets_do_not_end_the_session() {
    let server = start(&[], Limits::default()).await;
    let mut stream = server.connect().await;
    let text = format!(
        "C: NOOP {}\nS: 500 5.5.2 Line too long\nC: {}\nS: 500 5.5.2 Line too long\nC: NOOP\nS: 250 2.0.0 OK\n\
         C: HELO bücher\nS: 501 5.5.4 …\nC: MAIL FROM:<jörg@client.test>\nS: 501 5.6.7 …\n\
         C: MAIL FROM:<jörg@client.test> SMTPUTF8\nS: 250 2.1.0 OK\n\
         C: RCPT TO:<bücher@example.test>\nS: 550 5.1.1 Mailbox unavailable <bücher@example.test>\n\
         C: RSET\nS: 250 2.0.0 OK\nC: MAIL FROM:<a@client.test>\nS: 250 2.1.0 OK\n\
         C: RCPT TO:<bücher@example.test>\nS: 501 5.6.7 …\nC: RCPT TO:<bob@example.test>\nS: 250 2.1.5 OK",
        "y".repeat(3000),
        "y".repeat(100_000)
    );
    talk(&mut stream, &hello(&text)).await;
    stream.write_all(b"NOOP \xff\xfe\r\nNO\0OP\r\n").await.unwrap();
    talk(&mut stream, "S: 501 …\nS: 500 …").await;
}

#[tokio::test]
async fn smuggled_commands_stay_content() {
    let server = start(&[], Limits::default()).await;
    let mut stream = server.connect().await;
    talk(&mut stream, &hello("C: MAIL FROM:<a@client.test>\nS: 250 …\nC: RCPT TO:<alice@example.test>\nS: 250 …\nC: DATA\nS: 354 …"))
        .await;
    let evil: &[&[u8]] = &[
        b"x\n.\r\n",
        b"MAIL FROM:<evil@x.test>\n.\n",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\rRSET\r\n",
        &[b'y'; 32 * 1024],
        b"\r\n",
    ];
    for piece in evil {
        stream.write_all(piece).await.unwrap();
    }
    stream.write_all(b".\r\nQUIT\r\n").await.unwrap();
    talk(&mut stream, "S: 250 2.0.0 OK <S2>\nS: 221 …\nS: <closed>").await;
    let spooled = server.spooled();
    assert_eq!(spooled.len(), 1);
    assert!(spooled[0].contains("x\r\n..\r\nMAIL FROM:<evil@x.test>\r\n..\r\n"), "{}", &spooled[0][..600]);
    assert!(!spooled[0].contains("\r\n.\r\n"));
    assert!(!spooled[0].replace("\r\n", "").contains(['\r', '\n']));
}

#[tokio::test]
async fn bare_line_ends_are_refused_where_the_operator_says_so() {
    let server = start(&[("server.tab", "\"SMTP-BareLF\"\t\"reject\"\n")], Limits::default()).await;
    let mut stream = server.connect().await;
    let begin = "C: MAIL FROM:<a@client.test>\nS: 250 …\nC: RCPT TO:<alice@example.test>\nS: 250 …\nC: DATA\nS: 354 …";
    talk(&mut stream, &hello(begin)).await;
    stream.write_all(b"a\nb\r\n.\r\n").await.unwrap();
    talk(&mut stream, "S: 550 5.5.2 …").await;
    talk(&mut stream, begin).await;
    stream.write_all(b"a\0b\r\n.\r\n").await.unwrap();
    talk(&mut stream, "S: 550 5.5.2 …").await;
    assert!(server.spooled().is_empty());
}

#[tokio::test]
async fn log_ins_open_the_relay() {
    let server = start(&[], Limits::default()).await;
    server
        .dialogue(&hello(&format!(
            "{AUTH_ALICE}
            C: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3
            S: 503 5.5.1 Bad sequence of commands
            C: VRFY al@example.test
            S: 250 2.1.5 Alice Tester <alice@example.test>
            C: MAIL FROM:<alice@example.test>
            S: 250 …
            C: RCPT TO:<ok@sink.test>
            S: 250 2.1.5 OK
            C: DATA
            S: 354 …
            C: .
            S: 250 2.0.0 OK <S2>"
        )))
        .await;
    assert!(
        server.spooled()[0].contains("<<MAIL-DATA>>\r\nX-AuthUser: alice@example.test\r\nReceived: from ")
    );
    server
        .dialogue(&hello(
            "C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: YXV0aHVzZXI=
            S: 334 UGFzc3dvcmQ6
            C: YXV0aHB3
            S: 235 2.7.0 Authentication successful
            C: VRFY alice@example.test
            S: 252 …",
        ))
        .await;
    // PLAIN in two steps; `*`; bad base64; no domain in the name; a wrong password.
    server
        .dialogue(&hello(
            "C: AUTH PLAIN
            S: 334 …
            C: *
            S: 501 5.7.0 Syntax error in parameters or arguments
            C: AUTH PLAIN !!!
            S: 501 5.5.2 Syntax error in parameters or arguments
            C: AUTH PLAIN AGFsaWNlAGFsaWNlcHc=
            S: 535 5.7.8 Authentication failed
            C: MAIL FROM:<alice@example.test>
            S: 250 …
            C: RCPT TO:<ok@sink.test>
            S: 550 5.7.1 Relay denied",
        ))
        .await;
    assert_eq!(server.log().iter().filter(|line| line.contains("AUTH=EFAIL:TYPE=PLAIN")).count(), 3);
}

#[tokio::test]
async fn clear_mechanisms_can_be_kept_for_tls() {
    let files = [("server.tab", "\"SmtpNoTLSAuths\"\t\"CRAM-MD5,LOGIN\"\n")];
    let server = start(&files, Limits::default()).await;
    server
        .dialogue(
            "S: 220 …
            C: EHLO c
            S: 250-example.test
            S: 250-8BITMIME
            S: 250-PIPELINING
            S: 250-AUTH LOGIN CRAM-MD5
            S: 250-ENHANCEDSTATUSCODES
            S: 250-SMTPUTF8
            S: 250-CHUNKING
            S: 250 SIZE
            C: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3
            S: 504 5.5.4 Unrecognized authentication type
            C: AUTH CRAM-MD5
            S: 334 …",
        )
        .await;
}

/// Golden `smtp_extauth` with decisions 5 and 28: the response file's letters count.
#[tokio::test]
async fn a_program_lets_in_and_says_what_is_granted() {
    let root = mailroot(&[]);
    let script = "case $1 in alicepw) printf 'Perms=MR\\n' > $2;; esac";
    write(root.path(), "auth.sh", script);
    let path = root.path().join("auth.sh");
    let row = format!("\"PLAIN\"\t\"/bin/sh\"\t\"{}\"\t\"@@PASS\"\t\"@@RFILE\"\n", path.display());
    let rows = format!("{row}\"LOGIN\"\t\"/bin/false\"\n\"CRAM-MD5\"\t\"/no/such/program\"\n");
    write(root.path(), "smtpextauth.tab", &rows);
    let server = start_in(root, Limits::default(), 1024).await;
    let begin = "S: 220 …\nC: HELO c\nS: 250 …\n";
    let relay = "C: MAIL FROM:<a@b.test>\nS: 250 …\nC: RCPT TO:<x@far.test>\n";
    server.dialogue(&format!("{begin}{AUTH_ALICE}{relay}S: 250 2.1.5 OK")).await;
    // NUL usr NUL other: let in, without permissions.
    server.dialogue(&format!("{begin}C: AUTH PLAIN AHVzcgBvdGhlcg==\nS: 235 …\n{relay}S: 550 5.7.1 …")).await;
    let login = "C: AUTH LOGIN\nS: 334 …\nC: dXNy\nS: 334 …\nC: cHc=\n";
    server.dialogue(&format!("{begin}{login}S: 535 5.7.8 …")).await;
    let cram = "C: AUTH CRAM-MD5\nS: 334 …\nC: dXNyIDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm\n";
    server.dialogue(&format!("{begin}{cram}S: 454 4.7.0 Authentication failed")).await;
    server.assert_no_leftovers();
}

#[tokio::test]
async fn marked_peers_need_a_log_in() {
    let files = [
        ("spammers.tab", "\"127.0.0.7/32\"\t\"code=0\"\n\"127.0.0.8/32\"\n"),
        ("smtp.ipmap.tab", "\"127.0.0.9/32\"\t\"-\"\t\"DENY\"\t\"1\"\n"),
        ("server.tab", "\"SMTP-IpMapDropCode\"\t\"0\"\n\"CustMapsList\"\t\"rbl.test.:1\"\n"),
    ];
    let server = start(&files, Limits::default()).await;
    for from in ["127.0.0.7", "127.0.0.9"] {
        server
            .dialogue_from(
                from,
                &hello(&format!(
                    "C: MAIL FROM:<a@client.test>
                    S: 551 5.7.1 Server access forbidden by your IP
                    {AUTH_ALICE}
                    C: MAIL FROM:<a@client.test>
                    S: 250 2.1.0 OK"
                )),
            )
            .await;
    }
    let product = reply::server_name();
    let refused =
        format!("S: 421 {product} service not available (-107), closing transmission channel\nS: <closed>");
    server.dialogue_from("127.0.0.8", &refused).await;
    let listed = "S: 550 Denied due inclusion of your IP inside (rbl.test.)\nS: <closed>";
    server.dialogue_from("127.0.0.6", listed).await;
    let log = server.log();
    assert_eq!(log[0], "'client.test' '' 'a@client.test' '' '' 'SNDRIP=EIPSPAM' '' '0' ''");
    assert_eq!(log[1], "'client.test' '' 'a@client.test' '' '' 'SNDRIP=EIPBAN' '' '0' ''");
    assert_eq!(
        log[2..],
        ["'' '' '' '' '' 'SNDRIP=EIPSPAM' '' '0' ''", "'' '' '' '' '' 'SNDRIP=EIPMAP (rbl.test.)' '' '0' ''"]
    );
}

#[tokio::test]
async fn senders_are_checked_in_order() {
    let files = [
        ("spam-address.tab", "\"*@rude.test\"\n"),
        (
            "server.tab",
            "\"CheckMailerDomain\"\t\"1\"\n\"AllowNullSender\"\t\"0\"\n\"MaxMessageSize\"\t\"2\"\n\
             \"LocalDomainAuth\"\t\"1\"\n\"CustomSMTPMessage\"\t\"see help\"\n",
        ),
    ];
    let server = start(&files, Limits::default()).await;
    server
        .dialogue(
            "S: 220 …
            C: HELO client.test
            S: 250 …
            C: MAIL FROM:<>
            S: 501 5.1.7 Syntax error in return path - see help
            C: MAIL FROM:<a@nx.test>
            S: 505 5.1.8 Your domain has no DNS/MX entries - see help
            C: MAIL FROM:<a@aonly.test> SIZE=2049
            S: 552 5.3.4 Message exceeds fixed maximum message size - see help
            C: MAIL FROM:<a@aonly.test> SIZE=2048
            S: 250 2.1.0 OK",
        )
        .await;
    assert_eq!(
        server.log(),
        [
            "'client.test' '' '' '' '' 'SNDR=EEMPTY' '' '0' ''",
            "'client.test' '' 'a@nx.test' '' '' 'SNDR=ENODNS' '' '0' ''",
            "'client.test' '' 'a@aonly.test' '' '' 'SIZE=EBIG' '' '2049' ''",
        ]
    );
}

#[tokio::test]
async fn local_senders_can_be_made_to_log_in() {
    let server = start(&[("server.tab", "\"LocalDomainAuth\"\t\"1\"\n")], Limits::default()).await;
    server
        .dialogue(&hello(&format!(
            "C: MAIL FROM:<alice@example.test>
            S: 530 5.7.0 Server use forbidden
            C: MAIL FROM:<a@client.test>
            S: 250 2.1.0 OK
            C: RSET
            S: 250 2.0.0 OK
            {AUTH_ALICE}
            C: MAIL FROM:<bob@example.test>
            S: 250 2.1.0 OK"
        )))
        .await;
}

#[tokio::test]
async fn size_counts_what_is_stored_and_ends_with_552() {
    let server = start(&[("server.tab", "\"MaxMessageSize\"\t\"1\"\n")], Limits::default()).await;
    let mut stream = server.connect().await;
    for (lines, expected) in
        [(9, "S: 250 2.0.0 OK <S2>"), (20, "S: 552 5.3.4 …"), (100_000, "S: 552 5.3.4 …")]
    {
        if lines == 9 {
            talk(&mut stream, "S: 220 …\nC: HELO c\nS: 250 …").await;
        }
        talk(&mut stream, "C: MAIL FROM:<a@client.test>\nS: 250 …\nC: RCPT TO:<alice@example.test>\nS: 250 …\nC: DATA\nS: 354 …").await;
        stream.write_all("y".repeat(98).as_bytes()).await.unwrap();
        for _ in 0..lines {
            stream.write_all(format!("\r\n{}", "y".repeat(98)).as_bytes()).await.unwrap();
        }
        stream.write_all(b"\r\n.\r\n").await.unwrap();
        talk(&mut stream, expected).await;
    }
    assert_eq!(server.spooled().len(), 1);
    server.assert_no_leftovers();
}

#[tokio::test]
async fn mail_larger_than_memory_goes_through_a_file() {
    let server = start(&[], Limits::default()).await;
    let mut stream = server.connect().await;
    talk(&mut stream, &hello("C: MAIL FROM:<a@client.test>\nS: 250 …\nC: RCPT TO:<alice@example.test>\nS: 250 …\nC: DATA\nS: 354 …")).await;
    let line = format!("{}\r\n", "z".repeat(70));
    for _ in 0..20_000 {
        stream.write_all(line.as_bytes()).await.unwrap();
    }
    stream.write_all(b".\r\n").await.unwrap();
    talk(&mut stream, "S: 250 2.0.0 OK <S2>").await;
    assert!(server.spooled()[0].ends_with(&line.repeat(20_000)));
    server.assert_no_leftovers();
}

#[tokio::test]
async fn full_mailboxes_are_told_apart_from_small_ones() {
    let files = [
        ("domains/example.test/alice/user.tab", "\"MaxMBSize\"\t\"1\"\n"),
        ("domains/example.test/alice/Maildir/new/1.a.b.1.c", "0123456789"),
    ];
    let server = start(&files, Limits::default()).await;
    let big = "C: ".to_owned() + &"y".repeat(1020);
    server
        .dialogue(&hello(&format!(
            "C: MAIL FROM:<a@client.test> SIZE=2000
            S: 250 …
            C: RCPT TO:<alice@example.test>
            S: 452 4.2.2 Requested mail action aborted: exceeded storage allocation - <alice@example.test>
            C: RSET
            S: 250 …
            C: MAIL FROM:<a@client.test>
            S: 250 …
            C: RCPT TO:<alice@example.test>
            S: 250 …
            C: DATA
            S: 354 …
            {big}
            C: .
            S: 552 5.2.2 Requested mail action aborted: exceeded storage allocation - <alice@example.test>
            C: MAIL FROM:<a@client.test>
            S: 250 …
            C: RCPT TO:<alice@example.test>
            S: 250 …
            C: RCPT TO:<bob@example.test>
            S: 250 …
            C: DATA
            S: 354 …
            {big}
            C: .
            S: 250 2.0.0 OK <S4>"
        )))
        .await;
    write(server.root.path(), "domains/example.test/alice/Maildir/new/2.a.b.1.c", "x".repeat(1024));
    server
        .dialogue(&hello(
            "C: MAIL FROM:<a@client.test>
            S: 250 …
            C: RCPT TO:<alice@example.test>
            S: 552 5.2.2 Requested mail action aborted: exceeded storage allocation - <alice@example.test>",
        ))
        .await;
}

#[tokio::test]
async fn chunks_make_a_message() {
    let server = start(&[], Limits::default()).await;
    let mut stream = server.connect().await;
    let begin = "C: MAIL FROM:<a@client.test>\nS: 250 …\nC: RCPT TO:<alice@example.test>\nS: 250 …";
    talk(&mut stream, &hello(begin)).await;
    // Pipelined, cut in the middle of a line; `.` needs no stuffing and ends nothing.
    stream.write_all(b"BDAT 9\r\nSubject: BDAT 9 last\r\nx\r\n\r\n.\r\nyNOOP\r\n").await.unwrap();
    talk(&mut stream, "S: 250 2.0.0 9 octets received\nS: 250 2.0.0 OK <S2>\nS: 250 2.0.0 OK").await;
    assert!(server.spooled()[0].ends_with("\r\nSubject: x\r\n\r\n..\r\ny\r\n"), "{}", server.spooled()[0]);
}

#[tokio::test]
async fn refused_chunks_are_skipped() {
    let server = start(&[("server.tab", "\"MaxMessageSize\"\t\"1\"\n")], Limits::default()).await;
    let mut stream = server.connect().await;
    talk(&mut stream, "S: 220 …\nC: HELO c\nS: 250 …").await;
    stream.write_all(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n").await.unwrap();
    talk(&mut stream, "S: 503 5.5.1 …\nS: 250 2.0.0 OK").await;
    let begin = "C: MAIL FROM:<a@client.test>\nS: 250 …\nC: RCPT TO:<alice@example.test>\nS: 250 …";
    talk(&mut stream, begin).await;
    stream
        .write_all(format!("BDAT 1025\r\n{}BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "y".repeat(1025)).as_bytes())
        .await
        .unwrap();
    talk(&mut stream, "S: 552 5.3.4 …\nS: 503 5.5.1 …\nS: 250 2.0.0 OK").await;
    talk(&mut stream, begin).await;
    stream.write_all(b"BDAT 3\r\nabcDATA\r\nNOOP\r\n").await.unwrap();
    talk(&mut stream, "S: 250 2.0.0 3 octets received\nS: 503 5.5.1 …\nS: 250 2.0.0 OK").await;
    talk(&mut stream, "C: BDAT x\nS: 501 5.5.4 …\nS: <closed>").await;
    assert!(server.spooled().is_empty());
    server.assert_no_leftovers();
}

#[tokio::test]
async fn errors_are_counted_and_recipients_limited() {
    let limits = Limits { recipients_max: 2, ..Limits::default() };
    let server = start(&[("server.tab", "\"SMTP-MaxErrors\"\t\"3\"\n")], limits).await;
    server
        .dialogue(&hello(
            "C: MAIL FROM:<a@client.test>
            S: 250 …
            C: RCPT TO:<alice@example.test>
            S: 250 …
            C: RCPT TO:<alice@example.test>
            S: 250 …
            C: RCPT TO:<bob@example.test>
            S: 552 5.5.3 Too many recipients
            C: FOO
            S: 500 …
            C: BAR
            S: 500 5.5.2 Syntax error, command unrecognized
            S: <closed>",
        ))
        .await;
    let log = server.log();
    assert_eq!(log[2], "'client.test' 'example.test' 'a@client.test' '' 'S2' 'RCPT=ENBR' '' '0' ''");
    assert_eq!(log[3], "'client.test' 'example.test' 'a@client.test' '' 'S2' 'SMTP=EERRS' '' '0' ''");
}

#[tokio::test]
async fn a_pop3_log_in_opens_smtp_for_its_account() {
    let server = start(&[("domains/example.test/alice/.ipconn", "127.0.0.1\n")], Limits::default()).await;
    let path = server.root.path().join("domains/example.test/alice/.ipconn");
    let at = |text: &str| std::time::SystemTime::from(text.parse::<jiff::Timestamp>().unwrap());
    let touch =
        |text| std::fs::File::options().write(true).open(&path).unwrap().set_modified(at(text)).unwrap();
    touch("2026-11-23T10:20:00Z");
    let relay = |sender: &str, reply: &str| {
        hello(&format!("C: MAIL FROM:<{sender}>\nS: 250 …\nC: RCPT TO:<x@remote.test>\nS: {reply}"))
    };
    server.dialogue(&relay("alice@example.test", "250 2.1.5 OK")).await;
    server.dialogue(&relay("bob@example.test", "550 5.7.1 Relay denied")).await;
    server.dialogue_from("127.0.0.6", &relay("alice@example.test", "550 5.7.1 Relay denied")).await;
    touch("2026-11-23T10:18:04Z");
    server.dialogue(&relay("alice@example.test", "550 5.7.1 Relay denied")).await;
    touch("2026-11-23T10:33:05Z");
    std::fs::write(
        server.root.path().join("server.tab"),
        format!("{SERVER_TAB}\"EnableAuthSMTP-POP3\"\t\"0\"\n"),
    )
    .unwrap();
    server.dialogue(&relay("alice@example.test", "550 5.7.1 Relay denied")).await;
}

#[tokio::test]
async fn routes_of_smtpgw_are_put_in_front() {
    let files =
        [("smtpgw.tab", "\"*.gw.test\"\t\"@a.test,@b.test\"\n"), ("smtprelay.tab", "\"127.0.0.0/8\"\n")];
    let server = start(&files, Limits::default()).await;
    server
        .dialogue(&hello(
            "C: MAIL FROM:<>
            S: 250 …
            C: RCPT TO:<x@sub.gw.test>
            S: 250 …
            C: DATA
            S: 354 …
            C: .
            S: 250 2.0.0 OK <S2>",
        ))
        .await;
    let spooled = server.spooled();
    assert!(spooled[0].contains("\r\nRCPT TO:<@a.test,@b.test:x@sub.gw.test>\r\n"), "{}", spooled[0]);
    assert!(spooled[0].contains("for <@a.test,@b.test:x@sub.gw.test> from <>;"));
    assert!(server.log()[0].contains("'sub.gw.test' '' 'x@sub.gw.test' 'S2' 'RCPT=OK'"));
}

#[tokio::test]
async fn starttls_forgets_everything() {
    let root = mailroot(&[]);
    ensure_self_signed(root.path(), &["mx.example.test".to_owned()]).unwrap();
    let server = start_in(root, Limits::default(), 1024).await;
    let stream = crate::net::Stream::connect(server.address, None, PATIENCE).await.unwrap();
    let mut client = crate::net::Connection::new(stream);
    let say = async |client: &mut crate::net::Connection, line: &str| {
        if !line.is_empty() {
            client.queue(format!("{line}\r\n").as_bytes());
            client.flush().await.unwrap();
        }
        loop {
            let crate::net::Line::Text(text, _) = client.read_line(2000, PATIENCE).await.unwrap() else {
                panic!()
            };
            let text = String::from_utf8(text).unwrap();
            if text.as_bytes()[3] == b' ' {
                return text;
            }
        }
    };
    say(&mut client, "").await;
    assert_eq!(say(&mut client, "EHLO c").await, "250 STARTTLS");
    let authenticated = "AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3";
    assert!(say(&mut client, authenticated).await.starts_with("235"));
    // What is sent in plain behind STARTTLS must not be heard under TLS.
    assert_eq!(say(&mut client, "STARTTLS\r\nRSET").await, "220 2.0.0 Ready to start TLS");
    let tls = crate::net::tls::ClientTls::new(&Default::default()).unwrap();
    client.start_client_tls(&tls, "mx.example.test").await.unwrap();
    assert!(say(&mut client, "MAIL FROM:<a@client.test>").await.starts_with("503"));
    assert_eq!(say(&mut client, "EHLO c").await, "250 SIZE");
    assert!(say(&mut client, "STARTTLS").await.starts_with("454 4.7.0"));
    assert!(say(&mut client, "MAIL FROM:<a@client.test>").await.starts_with("250"));
    assert!(say(&mut client, "RCPT TO:<x@remote.test>").await.starts_with("550"), "the log-in is forgotten");
}

#[tokio::test]
async fn an_account_without_its_mailbox_directory_takes_no_mail() {
    let root = mailroot(&[]);
    std::fs::remove_dir_all(root.path().join("domains/example.test/bob")).unwrap();
    let server = start_in(root, Limits::default(), 1024).await;
    let mut client = server.connect().await;
    talk(&mut client, HELLO).await;
    talk(&mut client, "C: MAIL FROM:<a@client.test>\nS: 250 …\nC: RCPT TO:<bob@example.test>\nS: 552 …")
        .await;
    talk(&mut client, "C: RCPT TO:<alice@example.test>\nS: 250 …").await;
}

#[tokio::test]
async fn sessions_beyond_the_limit_hear_421() {
    let server = start_in(mailroot(&[]), Limits::default(), 1).await;
    let mut first = server.connect().await;
    talk(&mut first, HELLO).await;
    let busy = format!("S: 421 {} - Server too busy, retry later\nS: <closed>", reply::server_name());
    server.dialogue(&busy).await;
    talk(&mut first, "C: QUIT\nS: 221 …\nS: <closed>").await;
    // The permit comes back when the session has closed; until then the answer may still be 421.
    loop {
        let mut next = server.connect().await;
        if read_line(&mut next).await.starts_with("220") {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_ends_sessions_between_commands_and_drops_data_under_way() {
    let server = start(&[], Limits::default()).await;
    let (mut idle, mut sending) = (server.connect().await, server.connect().await);
    talk(&mut idle, HELLO).await;
    talk(&mut sending, &hello("C: MAIL FROM:<a@client.test>\nS: 250 …\nC: RCPT TO:<alice@example.test>\nS: 250 …\nC: DATA\nS: 354 …")).await;
    sending.write_all(b"half a message\r\n").await.unwrap();
    server.stop.cancel();
    let goodbye = "S: 421 4.3.2 …\nS: <closed>";
    talk(&mut idle, goodbye).await;
    talk(&mut sending, goodbye).await;
    assert!(server.spooled().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_silent_client_is_left() {
    let limits = Limits { idle: Duration::from_millis(50), ..Limits::default() };
    let server = start(&[], limits).await;
    let mut stream = server.connect().await;
    talk(&mut stream, "S: 220 …\nS: <closed>").await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_data_leaves_nothing() {
    let server = start(&[], Limits::default()).await;
    let mut stream = server.connect().await;
    talk(&mut stream, &hello("C: MAIL FROM:<a@client.test>\nS: 250 …\nC: RCPT TO:<alice@example.test>\nS: 250 …\nC: DATA\nS: 354 …")).await;
    stream.write_all(b"half").await.unwrap();
    stream.get_mut().shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"", "no 250");
    assert!(server.spooled().is_empty());
}

#[tokio::test]
async fn many_recipients_are_one_transaction() {
    let limits = Limits { recipients_max: 5000, ..Limits::default() };
    let server = start(&[], limits).await;
    let mut stream = server.connect().await;
    talk(&mut stream, &hello("C: MAIL FROM:<a@client.test>\nS: 250 …")).await;
    const RECIPIENTS: usize = 1000;
    // Pipelined as RFC 2920 allows it.
    stream.write_all("RCPT TO:<alice@example.test>\r\n".repeat(RECIPIENTS).as_bytes()).await.unwrap();
    for _ in 0..RECIPIENTS {
        talk(&mut stream, "S: 250 2.1.5 OK").await;
    }
    talk(&mut stream, "C: DATA\nS: 354 …\nC: x\nC: .\nS: 250 2.0.0 OK <S2>").await;
    assert_eq!(server.spooled().len(), RECIPIENTS);
}

#[tokio::test]
async fn a_server_without_server_tab_refuses_service() {
    let root = mailroot(&[]);
    std::fs::remove_file(root.path().join("server.tab")).unwrap();
    let server = start_in(root, Limits::default(), 1024).await;
    let line = read_line(&mut server.connect().await).await;
    assert!(line.starts_with("421"), "{line}");
    assert!(line.ends_with("service not available (-15), closing transmission channel"), "{line}");
}

/// Golden `smtp_opt_noserver` has none from the start; one that vanishes later is kept.
#[tokio::test]
async fn a_server_tab_that_vanishes_is_served_on() {
    let server = start(&[], Limits::default()).await;
    std::fs::remove_file(server.root.path().join("server.tab")).unwrap();
    let begun = std::time::Instant::now();
    while begun.elapsed() < 2 * crate::mailroot::snapshot::QUIET {
        let line = read_line(&mut server.connect().await).await;
        assert!(line.starts_with("220"), "{line}");
    }
}
