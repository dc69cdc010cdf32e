//! The roof: builds the services, binds, supervises, reloads and stops.
//!
//! Order at the start: one server per MailRoot (a lock), directories, `.shutdown` removed, tables, certificate, spool
//! (which recovers), delivery, pickup, PSYNC, the web administration where it is asked for, listeners. Order at the stop: listeners close and sessions end after their
//! command, pickup and delivery end, `tabindex/` is emptied (decision 19), `.shutdown` and the PID file vanish.

mod listeners;
mod process;
#[cfg(test)]
mod refusing_disk;
mod switchboard;
pub mod web;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use listeners::BindError;
pub use process::{go_to_background, is_in_background};

use crate::admin::{Admin, ExternalPrograms};
use crate::auth::Salts;
use crate::clock::Clock;
use crate::dns::{CacheDir, Config as DnsConfig, Resolver, SetupError, SmartHost};
use crate::durable::Disk;
use crate::filter::{self, Filters};
use crate::logs::Logs;
use crate::mailbox::Mailboxes;
use crate::mailroot::edit::Editor;
use crate::mailroot::history::Recorder;
use crate::mailroot::schema::server as variables;
use crate::mailroot::{MailRoot, Snapshot, Tables, tabindex, watch};
use crate::net::tls::ensure_self_signed;
use crate::net::{Door, Link, SessionCounter, TlsStore, host_name};
use crate::options::{Options, Service};
use crate::spool::{Config as SpoolConfig, JournalSizes, Limits, Recovery, Spool, SpoolError};
use crate::{ctrl, delivery, finger, imap, pickup, pop3, psync, smtp};
use listeners::Listeners;
use process::{PidFile, Request, ShutdownFile, Signals};
use switchboard::Switchboard;

/// Deliveries to all remote destinations together, however many there are.
const REMOTE_DELIVERIES_MAX: usize = 512;

/// Where files for external programs go without `XMAIL_TEMP` (`mailflow.md` 1.1).
const TEMP_DIRECTORY: &str = "/tmp";

/// How long the parts of the server may take to end; XMail gives each service 480 s.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The least `-YT`: with 0 every read of PSYNC would fail.
const PSYNC_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Listeners that could not be bound are tried again this often.
const REBIND_INTERVAL: Duration = Duration::from_secs(5);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Neither `-Ms` nor `MAIL_ROOT`.
    #[error("no MailRoot: name its directory with -Ms DIR or in the environment variable MAIL_ROOT")]
    NoMailRoot,
    /// The MailRoot does not exist (XMail's error 8).
    #[error("{path}: no such directory; make a new MailRoot with: tabmail init {path}", path = .0.display())]
    MissingMailRoot(PathBuf),
    /// Another server works on this MailRoot.
    #[error("{}: another server is running on this MailRoot", .0.display())]
    Taken(PathBuf),
    /// A part of the MailRoot cannot be used.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The queue cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The resolver cannot be set up.
    #[error(transparent)]
    Dns(#[from] SetupError),
    /// Not a single address could be bound.
    #[error("{0}")]
    NothingBound(BindError),
    /// The system refuses signal handlers.
    #[error("signals: {0}")]
    Signals(io::Error),
}

/// `XMAIL_TEMP`: where files for external programs go.
fn temp_directory() -> PathBuf {
    std::env::var_os("XMAIL_TEMP").map_or_else(|| TEMP_DIRECTORY.into(), PathBuf::from)
}

/// Everything that runs.
struct Server {
    options: Options,
    root: MailRoot,
    tables: Tables,
    clock: Clock,
    resolver: Resolver,
    spool: Spool,
    logs: Logs,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    /// Records the tables' history; `None` when the system had no thread for it.
    recorder: Option<Recorder>,
    board: Arc<Switchboard>,
}

/// Serves until a signal or `.shutdown` ends it. `program` names the PID file.
///
/// # Errors
/// [`ServerError`] when the server cannot start; running, it does not end by itself.
pub async fn run(options: Options, program: &str) -> Result<(), ServerError> {
    let path = options.mail_root.clone().ok_or(ServerError::NoMailRoot)?;
    if !path.is_dir() {
        return Err(ServerError::MissingMailRoot(path));
    }
    let disk = |source| ServerError::Disk { path: path.clone(), source };
    let root = MailRoot::new(path.canonicalize().map_err(disk)?);
    let Some(_lock) = process::take_mail_root(&root).map_err(disk)? else {
        return Err(ServerError::Taken(path));
    };
    process::raise_file_limit();
    let mut signals = Signals::listen().map_err(ServerError::Signals)?;
    let shutdown = ShutdownFile::new(&root);
    let _pid_file = PidFile::create(program);
    let (mut server, mut listeners) = Server::start(options, root).await?;
    server.supervise(&mut listeners, &mut signals, &shutdown).await;
    shutdown.create(&server.clock);
    server.end(listeners).await;
    shutdown.remove();
    Ok(())
}

impl Server {
    async fn start(options: Options, root: MailRoot) -> Result<(Self, Listeners), ServerError> {
        let disk = Disk::default();
        make_directories(&root, &disk)?;
        let clock = Clock::system();
        remove_leftovers(&root, &disk);
        let tables = Tables::open(&root);
        let stop = CancellationToken::new();
        let tls = certificate(&root, &tables.current());
        let resolver = Resolver::new(dns_config(&options, &tables.current()))?;
        let log_clock = clock.clone();
        let logs = Logs::new(
            root.path(),
            move || log_clock.zoned(),
            options.log_rotation_hours,
            options.logs.iter().copied(),
        )
        .buffered();
        let mailboxes = Mailboxes::new(root.clone(), options.mailbox_kind, disk.clone());
        mailboxes.remove_stale_locks();
        let spool = open_spool(&options, &root, &tables, &disk, &clock).await?;
        let recorder = Recorder::start(&tables, disk.clone(), clock.clone())
            .inspect_err(|error| tracing::error!("history: {error}"))
            .ok();
        let for_removals = spool.clone();
        let mailboxes = mailboxes.on_removal(move |file_names| for_removals.taken(file_names));
        let tasks = vec![watch::watch(tables.clone(), stop.clone())];
        let logs_of_server = logs.clone();
        let mut server = Self {
            options,
            root,
            tables,
            clock,
            resolver,
            spool,
            logs: logs_of_server,
            stop,
            tasks,
            recorder,
            board: Arc::default(),
        };
        server.start_work(&mailboxes, &logs, &disk);
        let start = server.faces(&mailboxes, &logs, &tls, &disk);
        let mut listeners =
            Listeners::new(server.options.clone(), start, server.stop.clone(), Arc::clone(&server.board));
        let mut errors = listeners.follow(&server.tables.current());
        if listeners.none_bound() && !errors.is_empty() {
            return Err(ServerError::NothingBound(errors.remove(0)));
        }
        Ok((server, listeners))
    }

    fn filters(&self, logs: &Logs) -> Filters {
        let limits = filter::Limits {
            time_limit: self.options.filter_timeout,
            queue_programs_max: self.options.delivery_workers,
        };
        Filters::new(logs.clone(), self.clock.clone(), limits)
    }

    /// Delivery, pickup and, unless `-Y-`, the remote POP3 accounts.
    fn start_work(&mut self, mailboxes: &Mailboxes, logs: &Logs, disk: &Disk) {
        let services = delivery::Services {
            tables: self.tables.clone(),
            spool: self.spool.clone(),
            mailboxes: mailboxes.clone(),
            resolver: self.resolver.clone(),
            smtp_port: delivery::SMTP_PORT,
            clock: self.clock.clone(),
            logs: logs.clone(),
            temp_directory: temp_directory(),
            tls: delivery::ClientTlsCache::default(),
            filters: self.filters(logs),
        };
        self.tasks.push(tokio::spawn(delivery::run(Arc::new(services), self.stop.clone())));
        let services = pickup::Services {
            tables: self.tables.clone(),
            spool: self.spool.clone(),
            clock: self.clock.clone(),
            logs: logs.clone(),
            disk: disk.clone(),
            taken: pickup::Taken::default(),
        };
        self.tasks.push(tokio::spawn(pickup::run(services, self.options.pickup_interval, self.stop.clone())));
        if let Some(options) = self.options.psync {
            let schedule = psync::Schedule {
                interval: options.interval,
                links_at_once: options.links_at_once,
                timeout: options.timeout.max(PSYNC_TIMEOUT_MIN),
            };
            let services = psync::Services {
                tables: self.tables.clone(),
                spool: self.spool.clone(),
                resolver: self.resolver.clone(),
                clock: self.clock.clone(),
                logs: logs.clone(),
                disk: disk.clone(),
                schedule,
                stop: self.stop.clone(),
                unsaved: psync::Unsaved::default(),
            };
            self.tasks.push(tokio::spawn(psync::run(services)));
        }
    }

    /// What serves a listener of each service.
    fn faces(
        &mut self,
        mailboxes: &Mailboxes,
        logs: &Logs,
        tls: &Arc<TlsStore>,
        disk: &Disk,
    ) -> listeners::Start {
        let admin = Admin::new(
            self.tables.clone(),
            mailboxes.clone(),
            Some(self.spool.clone()),
            self.clock.clone(),
            disk.clone(),
        );
        let programs = ExternalPrograms::new(self.tables.clone(), Handle::current());
        let board: Arc<dyn crate::admin::Board> = Arc::<Switchboard>::clone(&self.board);
        let admin = admin.with_programs(Arc::new(programs)).with_board(board);
        let ctrl = Arc::new(ctrl::Services {
            admin: Arc::new(admin),
            tables: self.tables.clone(),
            clock: self.clock.clone(),
            logs: logs.clone(),
            tls: Arc::clone(tls),
        });
        let ctrl_limits = ctrl::Limits { idle: self.options.ctrl.idle };
        self.start_local_control(&ctrl, ctrl_limits);
        self.start_web(&ctrl.admin, mailboxes, tls, disk);
        let ctrl_sessions = (SessionCounter::default(), self.options.ctrl.sessions_max);
        let pop3 = Arc::new(pop3::Services {
            tables: self.tables.clone(),
            mailboxes: mailboxes.clone(),
            resolver: self.resolver.clone(),
            clock: self.clock.clone(),
            logs: logs.clone(),
            tls: Arc::clone(tls),
        });
        let pop3_limits = pop3::Limits {
            idle: self.options.pop3.idle,
            bad_login_pause: self.options.pop3.bad_login_pause,
            hang_on_bad_login: self.options.pop3.hang_on_bad_login,
        };
        let pop3_sessions = (SessionCounter::default(), self.options.pop3.sessions_max);
        let imap = Arc::new(imap::Services {
            tables: self.tables.clone(),
            mailboxes: mailboxes.clone(),
            resolver: self.resolver.clone(),
            clock: self.clock.clone(),
            logs: logs.clone(),
            tls: Arc::clone(tls),
            salts: Salts::new().map(Arc::new).ok(),
        });
        let imap_limits = imap::Limits {
            idle: self.options.imap.idle,
            bad_login_pause: self.options.imap.bad_login_pause,
            hang_on_bad_login: self.options.imap.hang_on_bad_login,
        };
        let imap_sessions = (SessionCounter::default(), self.options.imap.sessions_max);
        let finger = Arc::new(finger::Services {
            tables: self.tables.clone(),
            resolver: self.resolver.clone(),
            clock: self.clock.clone(),
            logs: logs.clone(),
        });
        let finger_sessions = (SessionCounter::default(), finger::SESSIONS_MAX);
        let tls = Arc::clone(tls);
        let smtp_sessions = (SessionCounter::default(), self.options.smtp.sessions_max);
        let smtp = Arc::new(self.smtp_services(mailboxes, logs, &tls));
        let door = move |service, listener, (sessions, sessions_max): &(SessionCounter, usize)| {
            let (tls, sessions) = (Arc::clone(&tls), sessions.clone());
            Door { listener, link: link_of(service), tls, sessions, sessions_max: *sessions_max }
        };
        Box::new(move |service, listener, stop| match service {
            Service::Pop3 | Service::Pop3s => {
                let door = door(service, listener, &pop3_sessions);
                tokio::spawn(pop3::serve(door, Arc::clone(&pop3), pop3_limits, stop))
            }
            Service::Imap | Service::Imaps => {
                let door = door(service, listener, &imap_sessions);
                tokio::spawn(imap::serve(door, Arc::clone(&imap), imap_limits, stop))
            }
            Service::Ctrl | Service::Ctrls => {
                let door = door(service, listener, &ctrl_sessions);
                tokio::spawn(ctrl::serve(door, Arc::clone(&ctrl), ctrl_limits, stop))
            }
            Service::Smtp | Service::Smtps => {
                let door = door(service, listener, &smtp_sessions);
                tokio::spawn(smtp::serve(door, Arc::clone(&smtp), stop))
            }
            Service::Finger => {
                let door = door(service, listener, &finger_sessions);
                tokio::spawn(finger::serve(door, Arc::clone(&finger), stop))
            }
        })
    }

    /// The web administration, where it is asked for; serving mail does not depend on it.
    fn start_web(&mut self, admin: &Arc<Admin>, mailboxes: &Mailboxes, tls: &Arc<TlsStore>, disk: &Disk) {
        let Some(options) = self.options.web.clone() else { return };
        let parts = web::Parts {
            admin: Arc::clone(admin),
            tables: self.tables.clone(),
            mailboxes: mailboxes.clone(),
            clock: self.clock.clone(),
            disk: disk.clone(),
            tls: Arc::clone(tls),
            options: self.options.clone(),
            is_server: true,
        };
        match web::prepare(&options, parts, self.stop.clone()) {
            Ok(serving) => self.tasks.push(tokio::spawn(serving)),
            Err(error) => tracing::error!("web administration: {error}"),
        }
    }

    /// CTRL for the operator of this machine; serving mail does not depend on it.
    fn start_local_control(&mut self, services: &Arc<ctrl::Services>, limits: ctrl::Limits) {
        match ctrl::LocalSocket::bind(self.root.path()) {
            Ok(socket) => {
                let serving = ctrl::serve_local(socket, Arc::clone(services), limits, self.stop.clone());
                self.tasks.push(tokio::spawn(serving));
            }
            Err(error) => tracing::warn!("{}: cannot be made: {error}", ctrl::local::SOCKET),
        }
    }

    fn smtp_services(&self, mailboxes: &Mailboxes, logs: &Logs, tls: &Arc<TlsStore>) -> smtp::Services {
        let options = &self.options.smtp;
        let limits = smtp::Limits {
            idle: options.idle,
            recipients_max: options.recipients_max,
            pop_auth_lifetime: options.pop_auth_lifetime,
        };
        smtp::Services {
            tables: self.tables.clone(),
            spool: self.spool.clone(),
            mailboxes: mailboxes.clone(),
            resolver: self.resolver.clone(),
            clock: self.clock.clone(),
            logs: logs.clone(),
            tls: Arc::clone(tls),
            limits,
            filters: self.filters(logs),
            temp_directory: temp_directory(),
        }
    }

    /// Follows the tables, the signals and the trigger file until one of them says stop.
    async fn supervise(&mut self, listeners: &mut Listeners, signals: &mut Signals, shutdown: &ShutdownFile) {
        let mut changes = self.tables.subscribe();
        let mut rebind = tokio::time::interval(REBIND_INTERVAL);
        let (stopped, board) = (shutdown.appears(), Arc::clone(&self.board));
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return,
                () = board.asked_to_stop() => return,
                () = board.changed() => drop(listeners.follow(&self.tables.current())),
                request = signals.next() => match request {
                    Request::Stop => return,
                    Request::Reload => drop(self.tables.reload_now()),
                },
                _ = rebind.tick() => drop(listeners.follow(&self.tables.current())),
                changed = changes.changed() => {
                    if changed.is_ok() {
                        self.follow(listeners);
                    }
                }
            }
        }
    }

    fn follow(&self, listeners: &mut Listeners) {
        let snapshot = self.tables.current();
        listeners.follow(&snapshot);
        if let Err(error) = self.resolver.configure(dns_config(&self.options, &snapshot)) {
            tracing::error!("SmartDNSHost: {error}; the old resolvers stay");
        }
    }

    /// Ends everything in order; what does not end within [`STOP_LIMIT`] is left behind.
    async fn end(self, listeners: Listeners) {
        tracing::info!("stopping");
        self.stop.cancel();
        self.spool.outbox().close();
        let all = async {
            listeners.ended().await;
            for task in self.tasks {
                // A panic has been logged; the others are still waited for.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(STOP_LIMIT, all).await.is_err() {
            tracing::warn!("some sessions or deliveries did not end within {} s", STOP_LIMIT.as_secs());
        }
        // Waits for its thread, which may be writing.
        let _ = tokio::task::spawn_blocking(move || drop(self.recorder)).await;
        let spool = self.spool.clone();
        match tokio::task::spawn_blocking(move || spool.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "mail stays in the journal: tabmail recover brings it out")
            }
            Err(error) => {
                tracing::error!(%error, "mail may stay in the journal: tabmail recover brings it out")
            }
        }
        tabindex::forget_all(&self.root);
        self.logs.flush();
        tracing::info!("stopped");
    }
}

/// Whether a service begins with TLS.
fn link_of(service: Service) -> Link {
    match service {
        Service::Pop3 | Service::Smtp | Service::Imap | Service::Ctrl | Service::Finger => Link::Plain,
        Service::Pop3s | Service::Smtps | Service::Imaps | Service::Ctrls => Link::ImplicitTls,
    }
}

fn make_directories(root: &MailRoot, disk: &Disk) -> Result<(), ServerError> {
    for name in MailRoot::directories() {
        let path = root.path().join(name);
        disk.create_dir_all(&path).map_err(|source| ServerError::Disk { path, source })?;
    }
    Ok(())
}

/// Temporary files of edits that a crash has interrupted, beside the root tables.
fn remove_leftovers(root: &MailRoot, disk: &Disk) {
    match Editor::new(root, disk.clone()).remove_leftovers(Path::new("")) {
        Ok(0) => {}
        Ok(count) => tracing::info!("{count} temporary files of interrupted edits removed"),
        Err(error) => tracing::warn!("{error}"),
    }
}

/// The certificate; a self-signed one is made where there is none.
fn certificate(root: &MailRoot, snapshot: &Snapshot) -> Arc<TlsStore> {
    let mut names: Vec<String> =
        [&variables::SMTP_SERVER_DOMAIN, &variables::ROOT_DOMAIN, &variables::POP3_DOMAIN]
            .into_iter()
            .filter_map(|variable| snapshot.server.text(variable).map(str::to_owned))
            .chain([host_name()])
            .collect();
    names.dedup();
    match ensure_self_signed(root.path(), &names) {
        Ok(true) => tracing::info!("server.cert and server.key: a self-signed certificate was made"),
        Ok(false) => {}
        Err(error) => tracing::error!("server.cert, server.key: cannot be made: {error}; there is no TLS"),
    }
    Arc::new(TlsStore::new(root.path()))
}

/// How the DNS is asked, by the server's options and `server.tab`.
pub fn dns_config(options: &Options, snapshot: &Snapshot) -> DnsConfig {
    let smart_hosts = snapshot.server.text(&variables::SMART_DNS_HOST).map(SmartHost::parse_list).transpose();
    let smart_hosts = smart_hosts.unwrap_or_else(|error| {
        tracing::error!("server.tab: SmartDNSHost: {error}; the system's resolver is used");
        None
    });
    DnsConfig {
        smart_hosts: smart_hosts.unwrap_or_default(),
        family: options.family,
        cache: Some(CacheDir {
            path: snapshot.root().path().join("dnscache"),
            directories: options.dns_cache_directories,
        }),
        name_servers: None,
    }
}

async fn open_spool(
    options: &Options,
    root: &MailRoot,
    tables: &Tables,
    disk: &Disk,
    clock: &Clock,
) -> Result<Spool, ServerError> {
    let journal = tables.current().server.flag(&variables::SPOOL_JOURNAL).then(JournalSizes::default);
    let config = spool_config(options, root, tables, disk, clock, journal);
    let opened = tokio::task::spawn_blocking(move || Spool::open(config)).await;
    let (spool, recovery) = opened.unwrap_or(Err(SpoolError::Stopping))?;
    tracing::info!(
        ready = recovery.ready,
        waiting = recovery.waiting,
        unfinished = recovery.unfinished,
        orphans = recovery.orphans,
        unreadable = recovery.unreadable,
        replayed = recovery.replayed,
        damaged = recovery.damaged,
        "spool loaded"
    );
    Ok(spool)
}

/// Brings the spool of a server that was killed into order, as the next start would, and ends: afterwards it is XMail's
/// alone, without a journal.
///
/// # Errors
/// [`ServerError`], for example when a server is running.
pub fn recover(options: &Options) -> Result<Recovery, ServerError> {
    let path = options.mail_root.clone().ok_or(ServerError::NoMailRoot)?;
    if !path.is_dir() {
        return Err(ServerError::MissingMailRoot(path));
    }
    let failed = |source| ServerError::Disk { path: path.clone(), source };
    let root = MailRoot::new(path.canonicalize().map_err(failed)?);
    let Some(_lock) = process::take_mail_root(&root).map_err(failed)? else {
        return Err(ServerError::Taken(path));
    };
    let tables = Tables::open(&root);
    let config = spool_config(options, &root, &tables, &Disk::default(), &Clock::system(), None);
    Ok(Spool::open(config)?.1)
}

fn spool_config(
    options: &Options,
    root: &MailRoot,
    tables: &Tables,
    disk: &Disk,
    clock: &Clock,
    journal: Option<JournalSizes>,
) -> SpoolConfig {
    let lanes = tables.clone();
    SpoolConfig {
        root: root.clone(),
        split_levels: options.split_levels,
        journal,
        retry: options.retry,
        limits: Limits {
            local: options.delivery_workers,
            per_destination: options.delivery_workers,
            remote: REMOTE_DELIVERIES_MAX.max(options.delivery_workers),
        },
        lane_of: Arc::new(move |first_part| delivery::lane_of(&lanes.current(), first_part)),
        disk: disk.clone(),
        clock: clock.clone(),
    }
}
