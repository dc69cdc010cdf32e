//! Whole sessions over loopback, with a MailRoot of their own.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use super::*;
use crate::auth::{apop_digest, hash_password, xmail_encode};
use crate::dns;
use crate::dns::stub::{Stub, Zone};
use crate::durable::Disk;
use crate::mailbox::Kind;
use crate::mailroot::MailRoot;
use crate::mailroot::made::write;
use crate::net::tls::TlsStore;
use crate::net::tls::{ClientTls, ClientVerify, ensure_self_signed};
use crate::net::{BindAddress, Link, ListenOptions, Listener, SessionCounter, Stream};

const SERVER_TAB: &str = "\"RootDomain\"\t\"example.test\"\n\"POP3Domain\"\t\"example.test\"\n";

/// A MailRoot and the service on it.
struct Server {
    root: TempDir,
    address: SocketAddr,
    sessions: SessionCounter,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _dns: Stub,
}

struct Setup {
    server_tab: String,
    limits: Limits,
    link: Link,
    sessions_max: usize,
    files: Vec<(&'static str, &'static str)>,
}

impl Default for Setup {
    fn default() -> Self {
        let limits = Limits { bad_login_pause: Duration::from_millis(1), ..Limits::default() };
        Self {
            server_tab: SERVER_TAB.to_owned(),
            limits,
            sessions_max: 1024,
            link: Link::Plain,
            files: Vec::new(),
        }
    }
}

impl Setup {
    async fn start(self) -> Server {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| write(root.path(), name, text);
        put("server.tab", &self.server_tab);
        put("domains.tab", "\"example.test\"\n");
        put("aliasdomain.tab", "\"alias.test\"\t\"example.test\"\n");
        let row = |name: &str, stored: &str| {
            format!("\"example.test\"\t\"{name}\"\t\"{stored}\"\t1\t\"{name}\"\t\"U\"\n")
        };
        let users = [
            row("alice", &xmail_encode(b"alicepw")),
            row("bob", &xmail_encode(b"bobpw")),
            row("carol", &hash_password(b"carolpw").unwrap()),
        ];
        put("mailusers.tab", &users.concat());
        for user in ["alice", "bob", "carol"] {
            for directory in ["new", "cur", "tmp"] {
                fs::create_dir_all(
                    root.path().join(format!("domains/example.test/{user}/Maildir/{directory}")),
                )
                .unwrap();
            }
        }
        fs::create_dir_all(root.path().join("logs")).unwrap();
        fs::create_dir_all(root.path().join("pop3locks")).unwrap();
        self.files.iter().for_each(|(name, text)| put(name, text));
        let dns = Stub::start(Zone::new().ptr([127, 0, 0, 1].into(), "mail.example.test")).await.unwrap();
        let resolver =
            Resolver::new(dns::Config { name_servers: Some(vec![dns.address()]), ..dns::Config::default() });
        ensure_self_signed(root.path(), &["example.test".to_owned()]).unwrap();
        let mail_root = MailRoot::new(root.path());
        let clock = Clock::manual("2026-11-23T10:33:05Z".parse().unwrap());
        let hands = clock.clone();
        let services = Services {
            tables: Tables::open(&mail_root),
            mailboxes: Mailboxes::new(mail_root, Kind::Maildir, Disk::default()),
            resolver: resolver.unwrap(),
            logs: Logs::new(
                root.path(),
                move || hands.zoned(),
                std::num::NonZeroU32::new(24).unwrap(),
                [LogKind::Pop3],
            ),
            tls: Arc::new(TlsStore::new(root.path())),
            clock,
        };
        let any = BindAddress::from(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = Listener::bind(any, &ListenOptions::default()).unwrap();
        let address = listener.local_addr();
        let (sessions, stop) = (SessionCounter::default(), CancellationToken::new());
        let door = Door {
            listener,
            link: self.link,
            tls: Arc::clone(&services.tls),
            sessions: sessions.clone(),
            sessions_max: self.sessions_max,
        };
        let task = tokio::spawn(serve(door, Arc::new(services), self.limits, stop.clone()));
        Server { root, address, sessions, stop, task, _dns: dns }
    }
}

impl Server {
    fn inbox(&self, name: &str) -> PathBuf {
        self.root.path().join("domains/example.test/alice/Maildir/new").join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.inbox(name), content).unwrap();
    }

    async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (read, write) = stream.into_split();
        Client { read: BufReader::new(read), write }
    }

    /// A client that is logged in as alice.
    async fn alice(&self) -> Client {
        let mut client = self.connect().await;
        client.line().await;
        client.ask("USER alice").await;
        let reply = client.ask("PASS alicepw").await;
        assert!(reply.starts_with("+OK Maildrop has "), "{reply}");
        client
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("logs/pop3-202611230000")).unwrap_or_default()
    }
}

struct Client {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Client {
    /// The next line without its CRLF; empty at the end.
    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.read.read_until(b'\n', &mut line).await.unwrap();
        String::from_utf8(line).unwrap().trim_end_matches("\r\n").to_owned()
    }

    async fn say(&mut self, octets: impl AsRef<[u8]>) {
        self.write.write_all(octets.as_ref()).await.unwrap();
    }

    async fn ask(&mut self, command: &str) -> String {
        self.say(format!("{command}\r\n")).await;
        self.line().await
    }

    /// The lines after the first, up to the dot.
    async fn listing(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.line().await {
                dot if dot == "." => return lines,
                line => lines.push(line),
            }
        }
    }

    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.read.read_to_string(&mut rest).await.unwrap();
        rest
    }
}

#[tokio::test]
async fn a_client_reads_and_removes_its_mail() {
    let server = Setup::default().start().await;
    server.put("1.a", "Subject: one\n\nfirst\n");
    server.put("2.b", "Subject: two\r\n\r\nl1\r\n..stuffed\r\nno end");
    let mut client = server.connect().await;
    let greeting = client.line().await;
    let (stamp, rest) = greeting.strip_prefix("+OK ").unwrap().split_once("> ").unwrap();
    assert!(stamp.starts_with("<1795429985.") && stamp.ends_with("@example.test"), "{greeting}");
    let product = crate::status::product("POP3 Server");
    assert_eq!(rest, format!("{product} service ready; Mon, 23 Nov 2026 10:33:05 +0000"));
    let digest = apop_digest(format!("{stamp}>").as_bytes(), b"alicepw").to_uppercase();
    let reply = client.ask(&format!("APOP alice%alias.test {digest}")).await;
    let bytes =
        "Subject: one\r\n\r\nfirst\r\n".len() + "Subject: two\r\n\r\nl1\r\n..stuffed\r\nno end\r\n".len();
    assert_eq!(reply, format!("+OK Maildrop has 2 messages ({bytes} bytes)"));
    assert_eq!(client.ask("UIDL").await, "+OK 2");
    assert_eq!(client.listing().await, ["1 1.a", "2 2.b"]);
    assert_eq!(client.ask("RETR 1").await, "+OK 23 bytes");
    assert_eq!(client.listing().await, ["Subject: one", "", "first"]);
    assert_eq!(client.ask("RETR 2").await, "+OK 39 bytes");
    assert_eq!(client.listing().await, ["Subject: two", "", "l1", "..stuffed", "no end"]);
    assert_eq!(client.ask("TOP 2 1").await, "+OK message is 39 bytes");
    assert_eq!(client.listing().await, ["Subject: two", "", "l1"]);
    assert_eq!(client.ask("DELE 1").await, "+OK Message deleted");
    assert!(server.inbox("1.a").exists());
    assert_eq!(client.ask("QUIT").await, format!("+OK {product} closing session"));
    assert_eq!(client.rest().await, "");
    assert!(!server.inbox("1.a").exists() && server.inbox("2.b").exists());
    let account = server.root.path().join("domains/example.test/alice");
    assert_eq!(fs::read_to_string(account.join(".ipconn")).unwrap(), "127.0.0.1\n");
    let expected = [
        "mail.example.test",
        "alias.test",
        "127.0.0.1",
        "2026-11-23 10:33:05",
        "alice",
        "",
        "LOGIN",
        "2",
        "62",
    ];
    assert_eq!(server.log(), expected.map(|column| format!("\"{column}\"")).join("\t") + "\n");
}

#[tokio::test]
async fn without_quit_nothing_is_removed_and_the_lock_is_given_back() {
    let server = Setup::default().start().await;
    server.put("1.a", "Subject: one\r\n\r\n");
    let lock = server.root.path().join("pop3locks/alice@example.test.lock");
    let mut first = server.alice().await;
    assert_eq!(first.ask("DELE 1").await, "+OK Message deleted");
    assert!(lock.exists());
    let mut second = server.connect().await;
    second.line().await;
    second.ask("USER alice").await;
    let busy = second.ask("PASS alicepw").await;
    assert_eq!(busy, "-ERR [IN-USE] Mailbox is in use by another session");
    first.write.shutdown().await.unwrap();
    assert_eq!(first.rest().await, "", "the server has closed, so the session is over");
    assert!(!lock.exists() && server.inbox("1.a").exists());
    second.ask("USER alice").await;
    assert!(second.ask("PASS alicepw").await.starts_with("+OK Maildrop has 1 messages"));
}

#[tokio::test]
async fn stopping_says_so_and_removes_nothing() {
    let server = Setup::default().start().await;
    server.put("1.a", "Subject: one\r\n\r\n");
    let mut client = server.alice().await;
    assert_eq!(client.ask("DELE 1").await, "+OK Message deleted");
    server.stop.cancel();
    assert_eq!(client.rest().await, "-ERR Server shutdown\r\n");
    server.task.await.unwrap();
    assert!(server.root.path().join("domains/example.test/alice/Maildir/new/1.a").exists());
    assert!(!server.root.path().join("pop3locks/alice@example.test.lock").exists());
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    assert_eq!(server.sessions.count(), 0);
}

#[tokio::test]
async fn every_reason_to_refuse_a_log_in_sounds_the_same() {
    let files = vec![
        ("domains/example.test/bob/user.tab", "\"PopEnable\"\t\"0\"\n"),
        ("domains/example.test/carol/pop3.ipmap.tab", "\"0.0.0.0\"\t\"0.0.0.0\"\t\"DENY\"\t\"1\"\n"),
    ];
    let server_tab = format!("{SERVER_TAB}\"Pop3LogPasswd\"\t\"1\"\n");
    let server = Setup { files, server_tab, ..Setup::default() }.start().await;
    let mut client = server.connect().await;
    client.line().await;
    for (name, password) in [
        ("alice", "wrong"),
        ("ALICE", "ALICEPW"),
        ("nobody", "x"),
        ("bob", "bobpw"),
        ("carol", "carolpw"),
        ("alice@nowhere.test", "alicepw"),
        ("alice@../example.test", "alicepw"),
    ] {
        assert!(client.ask(&format!("USER {name}")).await.starts_with("+OK Password required for "));
        let reply = client.ask(&format!("PASS {password}")).await;
        assert_eq!(reply, "-ERR Invalid auth or access denied", "{name}");
    }
    client.ask("USER alice").await;
    assert!(client.ask("PASS alicepw").await.starts_with("+OK"));
    let log = server.log();
    assert!(log.contains("\t\"alice\"\t\"wrong\"\t\"ELOGIN\"\n"), "{log}");
    assert!(log.contains("\t\"alice\"\t\"\"\t\"LOGIN\"\t\"0\"\t\"0\"\n"), "{log}");
}

#[tokio::test]
async fn where_a_program_decides_the_table_does_not() {
    // golden pop3_extauth
    let table = "\"userauth\"\t\"/bin/sh\"\t\"-c\"\t\"[ x\\$1 = xextpw ]\"\t\"sh\"\t\"@@PASSWD\"\n";
    let files = vec![("userauth/pop3/example.test.tab", table)];
    let server = Setup { files, ..Setup::default() }.start().await;
    let mut client = server.connect().await;
    client.line().await;
    for (name, password) in [("alice", "alicepw"), ("nobody", "extpw")] {
        client.ask(&format!("USER {name}")).await;
        assert_eq!(client.ask(&format!("PASS {password}")).await, "-ERR Invalid auth or access denied");
    }
    client.ask("USER alice").await;
    assert_eq!(client.ask("PASS extpw").await, "+OK Maildrop has 0 messages (0 bytes)");
}

#[tokio::test]
async fn hashed_passwords_log_in() {
    let server = Setup::default().start().await;
    let mut client = server.connect().await;
    client.line().await;
    client.ask("USER carol").await;
    assert_eq!(client.ask("PASS carolpw").await, "+OK Maildrop has 0 messages (0 bytes)");
}

#[tokio::test]
async fn a_failed_log_in_waits_or_hangs_up() {
    let limits = Limits { hang_on_bad_login: true, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let mut client = server.connect().await;
    client.line().await;
    client.say("USER alice\r\nPASS bad\r\nNOOP\r\n").await;
    let rest = client.rest().await;
    let expected = "+OK Password required for alice@example.test\r\n-ERR Invalid auth or access denied\r\n";
    assert_eq!(rest, expected);
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_pause() {
    let limits = Limits { bad_login_pause: Duration::from_secs(3600), ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let mut client = server.connect().await;
    client.line().await;
    client.say("USER alice\r\nPASS bad\r\n").await;
    assert_eq!(client.line().await, "+OK Password required for alice@example.test");
    server.stop.cancel();
    let rest = client.rest().await;
    assert!(rest.ends_with("-ERR Server shutdown\r\n"), "{rest}");
    server.task.await.unwrap();
}

#[tokio::test]
async fn pipelined_commands_and_bad_lines_are_all_answered() {
    let server = Setup::default().start().await;
    let mut client = server.connect().await;
    client.line().await;
    let long = "x".repeat(5000);
    client.say(format!("USER {long}\r\nUSER alice\nPASS \u{e4}\r\nPASS alicepw\r\nSTAT\r\nQUIT\r\n")).await;
    let rest = client.rest().await;
    let lines: Vec<&str> = rest.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "-ERR Stream line too long",
            "+OK Password required for alice@example.test",
            "-ERR Bad characters in command line",
            "+OK Maildrop has 0 messages (0 bytes)",
            "+OK 0 0",
        ]
    );
}

#[tokio::test]
async fn a_silent_client_is_dropped_without_a_word() {
    // golden pop3_timeout
    let limits = Limits { idle: Duration::from_millis(20), ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let mut client = server.connect().await;
    assert!(client.line().await.starts_with("+OK <"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn one_session_too_many_is_told_so() {
    let server = Setup { sessions_max: 1, ..Setup::default() }.start().await;
    let mut first = server.connect().await;
    first.line().await;
    let mut second = server.connect().await;
    assert_eq!(second.rest().await, "-ERR Server too busy, retry later\r\n");
    first.ask("QUIT").await;
    assert_eq!(first.rest().await, "");
    // The seat is given back just after the close; until then a newcomer is told to retry, so it does.
    while server.sessions.count() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(server.connect().await.line().await.starts_with("+OK <"));
}

#[tokio::test]
async fn unwelcome_addresses_are_told_so() {
    let files = vec![("pop3.ipmap.tab", "\"127.0.0.1\"\t\"255.255.255.255\"\t\"DENY\"\t\"1\"\n")];
    let server = Setup { files, ..Setup::default() }.start().await;
    assert_eq!(server.connect().await.rest().await, "-ERR Server does not like Your IP\r\n");
}

#[tokio::test]
async fn without_pop3domain_our_own_name_decides() {
    let server_tab = "\"RootDomain\"\t\"root.test\"\n".to_owned();
    let server = Setup { server_tab, ..Setup::default() }.start().await;
    let greeting = server.connect().await.line().await;
    assert!(greeting.contains("@example.test> "), "{greeting}");
}

#[tokio::test]
async fn a_message_that_is_gone_is_an_error_and_the_session_goes_on() {
    let server = Setup::default().start().await;
    server.put("1.a", "Subject: one\r\n\r\n");
    let mut client = server.alice().await;
    fs::remove_file(server.inbox("1.a")).unwrap();
    assert_eq!(client.ask("RETR 1").await, "-ERR Unable to open file");
    assert_eq!(client.ask("TOP 1 1").await, "-ERR Unable to open file");
    assert_eq!(client.ask("DELE 1").await, "+OK Message deleted");
    assert!(client.ask("QUIT").await.starts_with("+OK"));
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let server = Setup::default().start().await;
    let stored = format!("Subject: large\n\n{}", "0123456789abcdef\n..dot\r\n".repeat(100_000));
    server.put("1.a", &stored);
    let mut client = server.alice().await;
    let sent = stored.replace("\r\n", "\n").replace('\n', "\r\n");
    assert_eq!(client.ask("RETR 1").await, format!("+OK {} bytes", sent.len()));
    assert_eq!(client.listing().await.join("\r\n") + "\r\n", sent);
    assert_eq!(client.ask("NOOP").await, format!("+OK Maildrop has 1 messages ({} bytes)", sent.len()));
}

#[tokio::test]
async fn stls_and_the_tls_port_encrypt() {
    for link in [Link::Plain, Link::ImplicitTls] {
        let server = Setup { link, ..Setup::default() }.start().await;
        let stream = Stream::connect(server.address, None, Duration::from_secs(20)).await.unwrap();
        let mut client = Connection::new(stream);
        let tls = ClientTls::new(&ClientVerify::default()).unwrap();
        if link == Link::Plain {
            read(&mut client).await;
            // What is sent behind STLS in clear must not be taken for a command under TLS.
            client.queue(b"USER alice\r\nSTLS\r\n");
            read(&mut client).await;
            assert_eq!(read(&mut client).await, "+OK Begin TLS negotiation");
        }
        client.start_client_tls(&tls, "example.test").await.unwrap();
        if link == Link::ImplicitTls {
            assert!(read(&mut client).await.starts_with("+OK <"));
        }
        client.queue(b"PASS alicepw\r\nSTLS\r\nQUIT\r\n");
        assert_eq!(read(&mut client).await, "-ERR Command not valid here");
        assert_eq!(read(&mut client).await, "-ERR Command not permitted when TLS active");
        assert!(read(&mut client).await.starts_with("+OK ["));
    }
}

async fn read(client: &mut Connection) -> String {
    match client.read_line(600, Duration::from_secs(20)).await.unwrap() {
        Line::Text(text, _) => String::from_utf8(text).unwrap(),
        Line::TooLong => panic!("a reply of more than 600 octets"),
    }
}
