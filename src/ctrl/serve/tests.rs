//! Whole sessions over loopback.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::auth::apop_digest;
use crate::durable::Disk;
use crate::mailbox::{Kind, Mailboxes};
use crate::mailroot::MailRoot;
use crate::net::tls::{ClientTls, ClientVerify, ensure_self_signed};
use crate::net::{BindAddress, Link, ListenOptions, Listener, SessionCounter, Stream};

/// A MailRoot and the service on it.
struct Server {
    root: TempDir,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(link: Link, limits: Limits, files: &[(&str, &str)]) -> Server {
    start_with(link, limits, 512, files).await
}

async fn start_with(link: Link, limits: Limits, sessions_max: usize, files: &[(&str, &str)]) -> Server {
    let root = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
    put("server.tab", "\"RootDomain\"\t\"example.test\"\n");
    put("domains.tab", "\"example.test\"\n");
    put("ctrlaccounts.tab", "\"admin\"\t\"0401080c0b1512\"\n");
    fs::create_dir_all(root.path().join("logs")).unwrap();
    fs::create_dir_all(root.path().join("domains/example.test")).unwrap();
    files.iter().for_each(|(name, text)| put(name, text));
    let mail_root = MailRoot::new(root.path());
    let tables = Tables::open(&mail_root);
    let clock = Clock::manual("2026-11-23T10:33:05Z".parse().unwrap());
    let hands = clock.clone();
    let rotation = std::num::NonZeroU32::new(24).unwrap();
    let mailboxes = Mailboxes::new(mail_root, Kind::Maildir, Disk::default());
    let services = Services {
        admin: Arc::new(Admin::new(tables.clone(), mailboxes, None, clock.clone(), Disk::default())),
        tables,
        clock,
        logs: Logs::new(root.path(), move || hands.zoned(), rotation, [LogKind::Ctrl]),
        tls: Arc::new(TlsStore::new(root.path())),
    };
    let address = BindAddress::parse("127.0.0.1:0", 6017).unwrap();
    let listener = Listener::bind(address, &ListenOptions::default()).unwrap();
    let (address, stop) = (listener.local_addr(), CancellationToken::new());
    let tls = Arc::clone(&services.tls);
    let door = Door { listener, link, tls, sessions: SessionCounter::default(), sessions_max };
    let task = tokio::spawn(serve(door, Arc::new(services), limits, stop.clone()));
    Server { root, address, stop, task }
}

/// A plain client.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(server.address).await.unwrap()) }
    }

    /// The next line; empty at the end.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        // A reset is an end as well: the server closed with octets of ours unread.
        let _ = self.stream.read_line(&mut line).await;
        line.trim_end().to_owned()
    }

    async fn say(&mut self, line: &str) -> String {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.line().await
    }
}

fn stamp_of(greeting: &str) -> &str {
    greeting.split(' ').nth(1).unwrap()
}

#[tokio::test]
async fn a_session_from_greeting_to_quit_and_its_log() {
    let server = start(Link::Plain, Limits::default(), &[]).await;
    let mut client = Client::connect(&server).await;
    let greeting = client.line().await;
    assert!(greeting.starts_with("+00000 <1795429985."), "{greeting}");
    let ending = format!("@127.0.0.1> {}; Mon, 23 Nov 2026 10:33:05 +0000", product_name("CTRL Server"));
    assert!(greeting.ends_with(&ending), "{greeting}");
    let digest = apop_digest(stamp_of(&greeting).as_bytes(), b"adminpw");
    assert_eq!(client.say(&format!("admin\t#{digest}")).await, "+00000 OK");
    assert_eq!(client.say("useradd\texample.test\tnew\tpw\tU").await, "+00000 OK");
    assert_eq!(client.say("userlist").await, "+00100 OK");
    assert_eq!(client.line().await, "\"example.test\"\t\"new\"\t\"pw\"\t\"U\"");
    assert_eq!(client.line().await, ".");
    assert_eq!(client.say("quit").await, "+00000 OK");
    assert_eq!(client.line().await, "");
    let mut wrong = Client::connect(&server).await;
    wrong.line().await;
    assert_eq!(wrong.say("admin\twrong").await, "-00105 Bad controller login");
    assert_eq!(wrong.line().await, "");
    let log = fs::read_to_string(server.root.path().join("logs/ctrl-202611230000")).unwrap();
    let head = "\"127.0.0.1\"\t\"admin\"";
    let date = "\"2026-11-23 10:33:05\"";
    let expected = format!(
        "{head}\t\"#{digest}\"\t{date}\t\"REQ\"\n{head}\t\"#{digest}\"\t{date}\t\"AUTH\"\n\
         {head}\t\"wrong\"\t{date}\t\"REQ\"\n{head}\t\"wrong\"\t{date}\t\"FAIL\"\n"
    );
    assert_eq!(log, expected);
}

#[tokio::test]
async fn hidden_passwords_are_not_logged() {
    let hide = [("server.tab", "\"CtrlHidePasswords\"\t\"1\"\n")];
    let server = start(Link::Plain, Limits::default(), &hide).await;
    let mut client = Client::connect(&server).await;
    client.line().await;
    assert_eq!(client.say("admin\tadminpw").await, "+00000 OK");
    let log = fs::read_to_string(server.root.path().join("logs/ctrl-202611230000")).unwrap();
    assert!(!log.contains("adminpw") && log.contains("\t\"*\"\t"), "{log}");
}

#[tokio::test]
async fn the_ip_map_comes_before_the_greeting() {
    let deny = [("ctrl.ipmap.tab", "\"127.0.0.1\"\t\"255.255.255.255\"\t\"DENY\"\t\"1\"\n")];
    let server = start(Link::Plain, Limits::default(), &deny).await;
    let mut client = Client::connect(&server).await;
    assert_eq!(client.line().await, "-00130 Server does not like Your IP");
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn sessions_are_counted() {
    let server = start_with(Link::Plain, Limits::default(), 1, &[]).await;
    let mut first = Client::connect(&server).await;
    assert!(first.line().await.starts_with("+00000 <"));
    let mut second = Client::connect(&server).await;
    assert_eq!(second.line().await, "-00129 Server too busy, retry later");
    assert_eq!(second.line().await, "");
    first.say("admin\tadminpw").await;
    assert_eq!(first.say("quit").await, "+00000 OK");
    assert_eq!(first.line().await, "");
    // The seat is free when the connection is gone; that may take a moment longer than the client's view of it.
    loop {
        let line = Client::connect(&server).await.line().await;
        if line.starts_with("+00000 <") {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_idle_session_is_closed_without_a_word() {
    let server = start(Link::Plain, Limits { idle: Duration::from_millis(20) }, &[]).await;
    let mut client = Client::connect(&server).await;
    client.line().await;
    assert_eq!(client.say("admin\tadminpw").await, "+00000 OK");
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn stopping_closes_waiting_sessions_and_ends() {
    let server = start(Link::Plain, Limits::default(), &[]).await;
    let mut client = Client::connect(&server).await;
    client.line().await;
    client.say("admin\tadminpw").await;
    server.stop.cancel();
    assert_eq!(client.line().await, "");
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_handshake_that_does_not_come_does_not_keep_the_server() {
    for link in [Link::Plain, Link::ImplicitTls] {
        let server = start(link, Limits::default(), &[]).await;
        ensure_self_signed(server.root.path(), &["example.test".to_owned()]).unwrap();
        let mut client = Client::connect(&server).await;
        if link == Link::Plain {
            client.line().await;
            assert_eq!(client.say("#!TLS").await, "+00000 Ready to start TLS mode");
        }
        server.stop.cancel();
        server.task.await.unwrap();
    }
}

#[tokio::test]
async fn tls_on_request_and_from_the_start() {
    let client_tls = || {
        let verify = ClientVerify { want_verify: false, ..ClientVerify::default() };
        ClientTls::new(&verify).unwrap()
    };
    for link in [Link::Plain, Link::ImplicitTls] {
        let server = start(link, Limits::default(), &[]).await;
        ensure_self_signed(server.root.path(), &["example.test".to_owned()]).unwrap();
        let stream = Stream::connect(server.address, None, IO_TIMEOUT).await.unwrap();
        let mut client = Connection::new(stream);
        if link == Link::ImplicitTls {
            client.start_client_tls(&client_tls(), "example.test").await.unwrap();
        }
        let greeting = text(&mut client).await;
        assert!(greeting.starts_with("+00000 <"), "{greeting}");
        if link == Link::Plain {
            client.queue(b"#!TLS\r\n");
            assert_eq!(text(&mut client).await, "+00000 Ready to start TLS mode");
            client.start_client_tls(&client_tls(), "example.test").await.unwrap();
        }
        // The stamp of the greeting stays good.
        let digest = apop_digest(stamp_of(&greeting).as_bytes(), b"adminpw");
        client.queue(format!("admin\t#{digest}\r\n").as_bytes());
        assert_eq!(text(&mut client).await, "+00000 OK");
    }
}

#[tokio::test]
async fn without_a_certificate_the_session_ends_after_ready() {
    let server = start(Link::Plain, Limits::default(), &[]).await;
    let mut client = Client::connect(&server).await;
    client.line().await;
    assert_eq!(client.say("#!TLS").await, "+00000 Ready to start TLS mode");
    assert_eq!(client.line().await, "");
}

async fn text(connection: &mut Connection) -> String {
    match connection.read_line(4096, IO_TIMEOUT).await.unwrap() {
        Line::Text(line, _) => String::from_utf8(line).unwrap(),
        Line::TooLong => panic!("too long"),
    }
}
