//! A MailRoot of its own and the IMAP service on it, within the process of the test.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tabmail::auth::{Salts, xmail_encode};
use tabmail::clock::Clock;
use tabmail::dns::{Config, Resolver};
use tabmail::durable::Disk;
use tabmail::imap::{Limits, Services, serve};
use tabmail::logs::Logs;
use tabmail::mailbox::{Kind, Mailboxes};
use tabmail::mailroot::{MailRoot, Tables};
use tabmail::net::tls::{TlsStore, ensure_self_signed};
use tabmail::net::{BindAddress, Door, Link, ListenOptions, Listener, SessionCounter};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The accounts; the password is the name and `pw`.
const USERS: [&str; 3] = ["anna", "bert", "carl"];

/// What time the server thinks it is.
const NOW: &str = "2026-11-23T10:33:05Z";

/// A running service; dropping it stops it.
pub(crate) struct Server {
    root: TempDir,
    kind: Kind,
    services: Arc<Services>,
    limits: Limits,
    runtime: Runtime,
    stop: CancellationToken,
    delivered: u32,
}

impl Server {
    pub(crate) fn new(kind: Kind) -> Self {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        put("server.tab", "\"RootDomain\"\t\"home.test\"\n\"POP3Domain\"\t\"home.test\"\n");
        put("domains.tab", "\"home.test\"\n");
        let row = |name: &str| {
            let stored = xmail_encode(format!("{name}pw").as_bytes());
            format!("\"home.test\"\t\"{name}\"\t\"{stored}\"\t1\t\"{name}\"\t\"U\"\n")
        };
        put("mailusers.tab", &USERS.map(row).concat());
        for user in USERS {
            fs::create_dir_all(root.path().join("domains/home.test").join(user)).unwrap();
        }
        ensure_self_signed(root.path(), &["home.test".to_owned()]).unwrap();
        let mail_root = MailRoot::new(root.path());
        let services = Services {
            tables: Tables::open(&mail_root),
            mailboxes: Mailboxes::new(mail_root, kind, Disk::default()),
            resolver: Resolver::new(Config::default()).unwrap(),
            clock: Clock::manual(NOW.parse().unwrap()),
            logs: Logs::none(),
            tls: Arc::new(TlsStore::new(root.path())),
            salts: Some(Arc::new(Salts::new().unwrap())),
        };
        let limits = Limits { bad_login_pause: Duration::from_millis(1), ..Limits::default() };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
        let (services, stop) = (Arc::new(services), CancellationToken::new());
        Self { root, kind, services, limits, runtime, stop, delivered: 0 }
    }

    /// How long later clients may be silent.
    pub(crate) fn set_idle(&mut self, idle: Duration) {
        self.limits.idle = idle;
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.services.clock
    }

    /// Opens a door for one more client and tells its address.
    pub(crate) fn open(&self, link: Link) -> SocketAddr {
        let _guard = self.runtime.enter();
        let any = BindAddress::from(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = Listener::bind(any, &ListenOptions::default()).unwrap();
        let address = listener.local_addr();
        let tls = Arc::clone(&self.services.tls);
        let door = Door { listener, link, tls, sessions: SessionCounter::default(), sessions_max: 100 };
        self.runtime.spawn(serve(door, Arc::clone(&self.services), self.limits, self.stop.clone()));
        address
    }

    /// As the watcher of tables does.
    pub(crate) fn reload(&self) {
        self.services.tables.fresh();
    }

    /// Stops the service, as a shutdown does.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// A path of the dialogue: `INBOX` is the directory in which new messages of anna are.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let home = self.root.path().join("domains/home.test/anna");
        let (top, inbox) = match self.kind {
            Kind::Maildir => (home.join("Maildir"), home.join("Maildir/new")),
            Kind::Mailbox => (home.join("mailbox"), home.join("mailbox")),
        };
        match name.split_once('/') {
            _ if name == "INBOX" => inbox,
            Some(("INBOX", rest)) => inbox.join(rest),
            Some(("FOLDERS", rest)) => top.join(rest),
            Some(("HOME", rest)) => home.join(rest),
            _ => self.root.path().join(name),
        }
    }

    /// What a delivery agent does: a file with this date appears in the directory, whole.
    pub(crate) fn deliver(&mut self, directory: &Path, unix_secs: u64, text: &[u8]) {
        self.delivered += 1;
        fs::create_dir_all(directory).unwrap();
        let name = format!("{}.{}.home.test", unix_secs, self.delivered);
        let temporary = self.root.path().join(&name);
        fs::write(&temporary, text).unwrap();
        let file = fs::File::options().write(true).open(&temporary).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(unix_secs)).unwrap();
        fs::rename(temporary, directory.join(name)).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
