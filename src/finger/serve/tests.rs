//! Whole sessions over loopback, as text dialogues.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::dns;
use crate::dns::stub::{Stub, Zone};
use crate::mailroot::MailRoot;
use crate::net::{BindAddress, Link, ListenOptions, Listener, SessionCounter, TlsStore};

const USERS: &str = "\"example.test\"\t\"bob\"\t\"\"\t1\t\"bob\"\t\"U\"\n";
const BOB: &str = "S: EMail       : bob@example.test\nS:   Real Name : Bob B\nS:   Home Page : ??\n";

struct Server {
    root: tempfile::TempDir,
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _dns: Stub,
}

async fn start(server_tab: &str, ipmap: &str, sessions_max: usize, zone: Zone) -> Server {
    let root = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
    put("server.tab", server_tab);
    put("finger.ipmap.tab", ipmap);
    put("mailusers.tab", USERS);
    put("domains.tab", "\"example.test\"\n");
    fs::create_dir_all(root.path().join("logs")).unwrap();
    fs::create_dir_all(root.path().join("domains/example.test/bob")).unwrap();
    put("domains/example.test/bob/user.tab", "\"RealName\"\t\"Bob B\"\n");
    let dns = Stub::start(zone).await.unwrap();
    let resolver =
        Resolver::new(dns::Config { name_servers: Some(vec![dns.address()]), ..dns::Config::default() });
    let clock = Clock::manual("2026-11-23T10:37:31Z".parse().unwrap());
    let hands = clock.clone();
    let services = Services {
        tables: Tables::open(&MailRoot::new(root.path())),
        resolver: resolver.unwrap(),
        logs: Logs::new(root.path(), move || hands.zoned(), NonZeroU32::new(24).unwrap(), [LogKind::Finger]),
        clock,
    };
    let any = BindAddress::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = Listener::bind(any, &ListenOptions::default()).unwrap();
    let address = listener.local_addr();
    let tls = Arc::new(TlsStore::new(root.path()));
    let door = Door { listener, link: Link::Plain, tls, sessions: SessionCounter::default(), sessions_max };
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(door, Arc::new(services), stop.clone()));
    Server { root, address, stop, task, _dns: dns }
}

impl Server {
    /// One session: the query as `C:`, every line of the answer as `S:`.
    async fn ask(&self, query: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses may have closed before the query arrives.
        let _ = socket.write_all(format!("{query}\r\n").as_bytes()).await;
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap().lines().map(|line| format!("S: {line}\n")).collect()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("logs/finger-202611230000")).unwrap_or_default()
    }
}

const ROOT_DOMAIN: &str = "\"RootDomain\"\t\"root.test\"\n";
const BOTH: &str = "\"RootDomain\"\t\"root.test\"\n\"POP3Domain\"\t\"example.test\"\n";

#[tokio::test]
async fn a_query_is_answered_and_logged() {
    let zone = Zone::new().ptr([127, 0, 0, 1].into(), "mail.own.test");
    let server = start(BOTH, "", 1, zone).await;
    assert_eq!(server.ask("bob").await, BOB);
    assert_eq!(server.ask("").await, "S: Empty query not allowed\n");
    assert_eq!(server.ask("bob@example.test@x.test").await, "S: Invalid query\n");
    assert_eq!(server.ask(&"x".repeat(LINE_BYTES_MAX + 10)).await, "S: Invalid query\n");
    let log = server.log();
    let queries: Vec<&str> = log.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(queries, ["\"bob\"", "\"\"", "\"bob@example.test@x.test\"", "\"\""]);
    assert!(log.contains("\t\"127.0.0.1\"\t\"2026-11-23 10:37:31\"\t\"bob\"\n"), "{log}");
}

#[test]
fn the_default_domain() {
    let dir = tempfile::tempdir().unwrap();
    let check = |server_tab: &str, own_name: Option<&str>, expected: &str| {
        fs::write(dir.path().join("server.tab"), server_tab).unwrap();
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        assert_eq!(default_domain(&snapshot, host_and_domain(own_name).1), expected, "{own_name:?}");
    };
    check(BOTH, Some("mail.own.test"), "example.test");
    check(ROOT_DOMAIN, Some("mail.own.test"), "own.test");
    check(ROOT_DOMAIN, Some("localhost"), "root.test");
    check(ROOT_DOMAIN, None, "root.test");
    check("", None, "");
}

#[tokio::test]
async fn who_is_denied_or_has_no_room_hears_nothing() {
    let deny = "\"127.0.0.1\"\t\"255.255.255.255\"\t\"DENY\"\t\"1\"\n";
    let server = start(BOTH, deny, 1, Zone::new()).await;
    assert_eq!(server.ask("bob").await, "");
    assert_eq!(server.log(), "");
    let full = start(BOTH, "", 0, Zone::new()).await;
    assert_eq!(full.ask("bob").await, "");
}

#[tokio::test]
async fn the_stop_does_not_wait_for_a_silent_client() {
    let server = start(BOTH, "", 2, Zone::new()).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    // The next client is accepted after the silent one.
    assert_eq!(server.ask("bob").await, BOB);
    server.stop.cancel();
    server.task.await.unwrap();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
}
