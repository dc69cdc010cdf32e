//! The web administration on the roof: as a part of a server (`tabmail serve --web`), or by itself (`tabmail web`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::dns_config;
use super::process::{Request, Signals};
use crate::admin::{Admin, ExternalPrograms};
use crate::clock::Clock;
use crate::commands::local;
use crate::ctrl;
use crate::dns::{Config as DnsConfig, Resolver};
use crate::durable::Disk;
use crate::explain::render::{self, Renderer};
use crate::explain::rows::Rows;
use crate::explain::{self, Client, Settings, Within};
use crate::language::Language;
use crate::mailbox::Mailboxes;
use crate::mailroot::history::Recorder;
use crate::mailroot::{MailRoot, Tables, watch};
use crate::net::{BindAddress, BindAddressError, ListenOptions, Listener, TlsStore};
use crate::options::Options;
use crate::web::assets::Assets;
use crate::web::{Door, PORT, Question, Roof, Services, Start, WebSetupError, app, serve};

/// Where and how the administration is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebOptions {
    /// `addr:port`, `addr` or `port`; else port 8080 of the loopback address, with TLS of every address: without TLS
    /// passwords cross the network in clear.
    pub listen: Option<String>,
    /// Browsers come with TLS, with the server's certificate.
    pub tls: bool,
    /// A directory whose templates, styles and texts go over the embedded ones.
    pub templates: Option<PathBuf>,
    /// Where backups are made and read; else `backups/` of the MailRoot. Named on the command line only: no form leads
    /// out of the MailRoot.
    pub backups: Option<PathBuf>,
    /// `tabmail web --may-start`: the pages may start the mail server.
    pub may_start: bool,
}

impl WebOptions {
    /// Takes `--web`, `--web=ADDR:PORT`, `--web-tls`, `--web-templates=DIR` and `--web-backups=DIR` out of the words of `tabmail serve`.
    pub fn take(words: &mut Vec<String>) -> Option<Self> {
        let mut found: Option<Self> = None;
        words.retain(|word| {
            let options = || found.clone().unwrap_or_default();
            let taken = match word.split_once('=') {
                _ if word == "--web" => options(),
                _ if word == "--web-tls" => Self { tls: true, ..options() },
                Some(("--web", listen)) => Self { listen: Some(listen.to_owned()), ..options() },
                Some(("--web-templates", directory)) => {
                    Self { templates: Some(directory.into()), ..options() }
                }
                Some(("--web-backups", directory)) => Self { backups: Some(directory.into()), ..options() },
                _ => return true,
            };
            found = Some(taken);
            false
        });
        found
    }

    fn address(&self) -> Result<SocketAddr, BindAddressError> {
        let any = if self.tls { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        match self.listen.as_deref() {
            None => Ok((any, PORT).into()),
            Some(text) => match text.parse::<u16>() {
                Ok(port) => Ok((any, port).into()),
                Err(_) => BindAddress::parse(text, PORT).map(|address| address.socket_addr()),
            },
        }
    }
}

/// The directory of backups in the MailRoot.
const BACKUPS: &str = "backups";

/// Why the administration is not served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The address to listen on is none.
    #[error(transparent)]
    Address(#[from] BindAddressError),
    /// It cannot be listened on.
    #[error("{address}: cannot listen: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Templates and texts.
    #[error(transparent)]
    Setup(#[from] WebSetupError),
    /// The first administrator.
    #[error("webadmin.tab: {0}")]
    Administrator(#[from] crate::admin::AdminError),
    /// The MailRoot is not there.
    #[error("{path}: no such directory; make a new MailRoot with: tabmail init {path}", path = .0.display())]
    MissingMailRoot(PathBuf),
    /// The system refuses signal handlers.
    #[error("signals: {0}")]
    Signals(io::Error),
}

/// What the administration has to be given.
pub(super) struct Parts {
    pub(super) admin: Arc<Admin>,
    pub(super) tables: Tables,
    pub(super) mailboxes: Mailboxes,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    pub(super) tls: Arc<TlsStore>,
    pub(super) options: Options,
    /// Whether the mail server runs in this process.
    pub(super) is_server: bool,
}

/// Binds, makes the first administrator where there is none, and gives back what serves until `stop`.
///
/// # Errors
/// [`WebError`].
pub(super) fn prepare(
    options: &WebOptions,
    parts: Parts,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + use<>, WebError> {
    let address = options.address()?;
    let listen = |source| WebError::Listen { address, source };
    // Written with its port, an address is always one.
    let bind = BindAddress::parse(&address.to_string(), PORT)?;
    let listener = Listener::bind(bind, &ListenOptions::default()).map_err(listen)?;
    let bound = listener.local_addr();
    let first_password = parts.admin.ensure_administrator()?;
    let door_tls = options.tls.then(|| Arc::clone(&parts.tls));
    let roof = OnTop {
        tables: parts.tables.clone(),
        mailboxes: parts.mailboxes,
        options: parts.options,
        clock: parts.clock.clone(),
        runtime: Handle::current(),
        start: start_of(options, parts.is_server, parts.tables.current().root()),
    };
    let backups = match &options.backups {
        Some(directory) => std::path::absolute(directory).unwrap_or_else(|_| directory.clone()),
        None => parts.tables.current().root().path().join(BACKUPS),
    };
    let services = Services {
        admin: parts.admin,
        tables: parts.tables,
        clock: parts.clock,
        disk: parts.disk,
        tls: parts.tls,
        is_tls: options.tls,
        roof: Arc::new(roof),
        assets: Assets { directory: options.templates.clone() },
        backups,
    };
    let app = app(services)?;
    announce(bound, options.tls, first_password);
    Ok(serve(Door { listener, tls: door_tls }, app, stop))
}

/// The password goes to the terminal only, never into a log.
#[expect(clippy::print_stderr, reason = "the operator at the terminal is told the first password, once")]
fn announce(bound: SocketAddr, tls: bool, first_password: Option<String>) {
    let scheme = if tls { "https" } else { "http" };
    eprintln!("web administration: {scheme}://{bound}/jdwa/");
    if let Some(password) = first_password {
        eprintln!("web administration: user admin  password {password}  (shown only now)");
    }
}

/// `tabmail web`: the administration alone, until a signal ends it.
///
/// # Errors
/// [`WebError`] when it cannot start.
pub async fn run_web(options: Options, web: &WebOptions) -> Result<(), WebError> {
    let path = options.mail_root.clone().unwrap_or_default();
    let root = path.canonicalize().ok().filter(|path| path.is_dir()).map(MailRoot::new);
    let Some(root) = root else { return Err(WebError::MissingMailRoot(path)) };
    let (clock, disk, stop) = (Clock::system(), Disk::default(), CancellationToken::new());
    let mut signals = Signals::listen().map_err(WebError::Signals)?;
    let tables = Tables::open(&root);
    let tls = super::certificate(&root, &tables.current());
    // A server on the same MailRoot records as well; the history takes one change once.
    let recorder = Recorder::start(&tables, disk.clone(), clock.clone());
    let recorder = recorder.inspect_err(|error| tracing::error!("history: {error}")).ok();
    let mailboxes = Mailboxes::new(root.clone(), options.mailbox_kind, disk.clone());
    let programs = ExternalPrograms::new(tables.clone(), Handle::current());
    let admin = Admin::new(tables.clone(), mailboxes.clone(), None, clock.clone(), disk.clone())
        .with_programs(Arc::new(programs));
    let watching = tokio::spawn(watch::watch(tables.clone(), stop.clone()));
    let parts = Parts {
        admin: Arc::new(admin),
        tables: tables.clone(),
        mailboxes,
        clock,
        disk,
        tls,
        options,
        is_server: false,
    };
    let serving = tokio::spawn(prepare(web, parts, stop.clone())?);
    loop {
        match signals.next().await {
            Request::Stop => break,
            Request::Reload => drop(tables.reload_now()),
        }
    }
    stop.cancel();
    // Both end by the token; a panic has been logged.
    let _ = (serving.await, watching.await);
    let _ = tokio::task::spawn_blocking(move || drop(recorder)).await;
    Ok(())
}

/// What the pages ask of higher floors.
struct OnTop {
    tables: Tables,
    mailboxes: Mailboxes,
    options: Options,
    clock: Clock,
    runtime: Handle,
    start: Start,
}

/// The words of the command that starts the server of a MailRoot in the background; `MAIL_CMD_LINE`, which it inherits,
/// has the rest.
fn start_words(root: &MailRoot) -> [String; 4] {
    ["serve", "--background", "-Ms", &root.path().display().to_string()].map(str::to_owned)
}

fn start_of(options: &WebOptions, is_server: bool, root: &MailRoot) -> Start {
    let command = format!("tabmail {}", start_words(root).join(" "));
    match (is_server, options.may_start) {
        (true, _) => Start::Together,
        (false, true) => Start::Here(command),
        (false, false) => Start::Elsewhere(command),
    }
}

/// How long a server may take until it answers on its local socket. Ours: loading 100,000 accounts takes about a second.
const START_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often that is looked at.
const START_POLL: Duration = Duration::from_millis(100);

/// A documentation address (RFC 5737): nobody's.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

impl OnTop {
    fn settings(&self, asks_about_peer: bool) -> Result<Settings, String> {
        let snapshot = self.tables.fresh();
        let config = DnsConfig { cache: None, ..dns_config(&self.options, &snapshot) };
        Ok(Settings {
            mailboxes: self.mailboxes.clone(),
            resolver: Some(Resolver::new(config).map_err(|error| error.to_string())?),
            asks_about_peer,
            clock: self.clock.clone(),
            recipients_max: self.options.smtp.recipients_max,
            pop_auth_lifetime: self.options.smtp.pop_auth_lifetime,
            retry: self.options.retry,
            is_tls_available: TlsStore::new(snapshot.root().path()).available(),
            within: None,
            snapshot,
        })
    }
}

impl Roof for OnTop {
    fn is_serving(&self) -> bool {
        ctrl::local::connect(self.tables.current().root().path()).is_ok()
    }

    fn explain(&self, language: Language, question: &Question<'_>) -> Result<String, String> {
        let client = Client {
            peer: SocketAddr::new(question.ip.unwrap_or(STRANGER), 49152),
            local: (Ipv4Addr::LOCALHOST, 25).into(),
            helo: "client.invalid".to_owned(),
            is_tls: false,
            login: Some(question.login).filter(|login| !login.is_empty()).map(str::to_owned),
            sender: question.sender.to_owned(),
            size_bytes: 0,
            content: (!question.content.is_empty()).then(|| question.content.into()),
        };
        let _entered = self.runtime.enter();
        let within = question.within.map(|domains| Within::new(domains.iter().map(ToString::to_string)));
        let settings = Settings { within: within.clone(), ..self.settings(question.ip.is_some())? };
        let found = self.runtime.block_on(explain::rcpt(&settings, &client, question.recipient));
        let explanation = found.map_err(|error| render::trouble(language, &error))?;
        let root = settings.snapshot.root();
        let rows = within.map_or_else(|| Rows::of(root), |within| Rows::within(root, within));
        Ok(Renderer::new(rows, self.clock.clone(), language).text(&explanation))
    }

    fn control(&self, command: &[&str]) -> Result<(), String> {
        local::command(self.tables.current().root().path(), command).map_err(|error| error.to_string())
    }

    fn list(&self, command: &[&str]) -> Result<Vec<Vec<String>>, String> {
        local::listing(self.tables.current().root().path(), command).map_err(|error| error.to_string())
    }

    fn start(&self) -> Start {
        self.start.clone()
    }

    /// The command is the operator's: nothing of it comes from a form.
    fn start_server(&self) -> Result<(), String> {
        if !matches!(self.start, Start::Here(_)) {
            return Err("not from here".to_owned());
        }
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let words = start_words(self.tables.current().root());
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(status.to_string());
        }
        let begun = Instant::now();
        while begun.elapsed() < START_WAIT_MAX {
            if self.is_serving() {
                return Ok(());
            }
            std::thread::sleep(START_POLL);
        }
        Err(format!("no answer within {} s; look at logs/tabmail.log", START_WAIT_MAX.as_secs()))
    }

    fn explain_message(&self, language: Language, message: &str) -> Result<String, String> {
        let _entered = self.runtime.enter();
        let settings = self.settings(false)?;
        let found = self.runtime.block_on(explain::message(&settings, message));
        let explanations = found.map_err(|error| render::trouble(language, &error))?;
        let mut renderer = Renderer::new(Rows::of(settings.snapshot.root()), self.clock.clone(), language);
        let texts: Vec<String> = explanations.iter().map(|one| renderer.text(one)).collect();
        Ok(texts.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<&str>, rest: &str) {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let taken = WebOptions::take(&mut words);
        let address = taken.map(|options| options.address().unwrap().to_string());
        assert_eq!((address.as_deref(), words.join(" ").as_str()), (expected, rest), "{line}");
    }

    #[test]
    fn the_words_of_serve_name_the_address() {
        check("-Ms /x -Sl", None, "-Ms /x -Sl");
        check("--web -Ms /x", Some("127.0.0.1:8080"), "-Ms /x");
        check("-Ms /x --web=127.0.0.1:2080 -Sl", Some("127.0.0.1:2080"), "-Ms /x -Sl");
        check("--web=2080", Some("127.0.0.1:2080"), "");
        check("--web --web-tls", Some("0.0.0.0:8080"), "");
        check("--web=[::1]:99 --web-tls", Some("[::1]:99"), "");
    }
}
