//! The SMTP service alone, in this process, with a name server that knows what the one of the recordings knew
//! (`compat-fixtures/names.txt`).
//!
//! A server process asks the name servers of its system, which no test may rely on; the service asks whom it is given.
//! Tables, policy, sessions and sockets are those of the server; there is no delivery.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use serde_json::Value;
use tabmail::clock::Clock;
use tabmail::dns::stub::{Stub, Zone};
use tabmail::dns::{Config as DnsConfig, Resolver};
use tabmail::durable::Disk;
use tabmail::filter::{self, Filters};
use tabmail::logs::Logs;
use tabmail::mailbox::Mailboxes;
use tabmail::mailroot::{MailRoot, Snapshot, Tables};
use tabmail::net::tls::TlsStore;
use tabmail::net::{BindAddress, Door, Link, ListenOptions, Listener, SessionCounter};
use tabmail::options::Options;
use tabmail::server::dns_config;
use tabmail::smtp::{Limits, Services, serve};
use tabmail::spool::{self, Lane, Spool};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::recording;

/// The name server that the recorded MailRoots name, as written in `SmartDNSHost`.
pub(crate) const RECORDED_NAME_SERVER: &str = "127.0.0.53:udp";

/// The recorded server's resolver tried names that were not found in its own domain, too.
const SEARCHED: &str = ".example.test";

/// A running name server.
#[derive(Debug)]
pub(crate) struct NameServer {
    runtime: Runtime,
    stub: Stub,
}

/// The running service; it ends with its name server at the latest.
#[derive(Debug)]
pub(crate) struct SmtpService {
    stop: CancellationToken,
}

impl SmtpService {
    /// Asks it to end.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

impl NameServer {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let text = fs::read_to_string(recording::fixtures().join("names.txt")).expect("the names");
        let stub = runtime.block_on(Stub::start(zone(&text))).expect("a free port");
        Self { runtime, stub }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.stub.address()
    }

    /// The names that the recorded server asked about and nobody asked about here.
    pub(crate) fn not_asked(&self, recording: &str) -> Vec<String> {
        let path = recording::fixtures().join("recordings").join(recording).join("dns.json");
        let recorded: Value = serde_json::from_str(&recording::read(&path)).expect("questions");
        let recorded = recorded.as_array().expect("a list").iter();
        let names: BTreeSet<String> =
            recorded.map(|question| question["name"].as_str().expect("a name").to_owned()).collect();
        let asked = self.stub.asked();
        let is_asked = |name: &String| asked.iter().any(|line| line.rsplit(' ').next() == Some(name));
        names.into_iter().filter(|name| !name.ends_with(SEARCHED) && !is_asked(name)).collect()
    }

    /// Serves SMTP on `port` of 127.0.0.1.
    pub(crate) fn serve_smtp(&self, root: &Path, flags: &[String], port: u16) -> SmtpService {
        let _entered = self.runtime.enter();
        let options = Options::parse(flags).expect("recorded options").0;
        let services = services(root, &options, self.address());
        let address = BindAddress::parse(&format!("127.0.0.1:{port}"), port).expect("an address");
        let listener = Listener::bind(address, &ListenOptions::default()).expect("the port is free");
        let door = Door {
            listener,
            link: Link::Plain,
            tls: Arc::clone(&services.tls),
            sessions: SessionCounter::default(),
            sessions_max: options.smtp.sessions_max,
        };
        let stop = CancellationToken::new();
        self.runtime.spawn(serve(door, Arc::new(services), stop.clone()));
        SmtpService { stop }
    }
}

/// As the server has it, but for whom it asks; nothing is kept in the MailRoot.
pub(crate) fn resolver(options: &Options, snapshot: &Snapshot, name_server: SocketAddr) -> Resolver {
    let config = dns_config(options, snapshot);
    let config = DnsConfig { cache: None, name_servers: Some(vec![name_server]), ..config };
    Resolver::new(config).expect("a resolver")
}

fn services(root: &Path, options: &Options, name_server: SocketAddr) -> Services {
    let root = MailRoot::new(root);
    for directory in MailRoot::directories() {
        fs::create_dir_all(root.path().join(directory)).expect("a directory");
    }
    let (clock, disk, tables) = (Clock::system(), Disk::default(), Tables::open(&root));
    let config = spool::Config {
        root: root.clone(),
        split_levels: options.split_levels,
        retry: options.retry,
        limits: spool::Limits { local: 1, per_destination: 1, remote: 1 },
        lane_of: Arc::new(|_| Lane::Local),
        journal: None,
        disk: disk.clone(),
        clock: clock.clone(),
    };
    let (spool, _) = Spool::open(config).expect("an empty spool");
    let (log_clock, kinds) = (clock.clone(), options.logs.iter().copied());
    let logs = Logs::new(root.path(), move || log_clock.zoned(), options.log_rotation_hours, kinds);
    let filter_limits = filter::Limits { time_limit: options.filter_timeout, queue_programs_max: 1 };
    Services {
        resolver: resolver(options, &tables.current(), name_server),
        mailboxes: Mailboxes::new(root.clone(), options.mailbox_kind, disk),
        filters: Filters::new(logs.clone(), clock.clone(), filter_limits),
        temp_directory: root.path().join("tmp"),
        tls: Arc::new(TlsStore::new(root.path())),
        limits: Limits {
            idle: options.smtp.idle,
            recipients_max: options.smtp.recipients_max,
            pop_auth_lifetime: options.smtp.pop_auth_lifetime,
        },
        tables,
        spool,
        clock,
        logs,
    }
}

/// Reads `names.txt`: a line for each record, `#` begins a comment line.
fn zone(text: &str) -> Zone {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.fold(Zone::new(), |zone, line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name, "MX", "SERVFAIL"] => zone.code(name, RecordType::MX, ResponseCode::ServFail),
            [name, "A", "SERVFAIL"] => zone.code(name, RecordType::A, ResponseCode::ServFail),
            [name, "MX", preference, host] => zone.mx(name, preference.parse().expect("a number"), host),
            [name, "A", address] => zone.address(name, address.parse().expect("an address")),
            [name, "PTR", host] => zone.ptr(reversed(name), host),
            // Nobody asks for texts; that there is one makes the name exist.
            [name, "TXT", _] => zone.code(name, RecordType::TXT, ResponseCode::NoError),
            _ => panic!("names.txt: {line:?}"),
        }
    })
}

/// The address of `4.3.2.1.in-addr.arpa`.
fn reversed(name: &str) -> IpAddr {
    let octets: Vec<u8> = name.split('.').take(4).map(|part| part.parse().expect("an octet")).collect();
    Ipv4Addr::new(octets[3], octets[2], octets[1], octets[0]).into()
}
