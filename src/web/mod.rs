//! The web administration: thin handlers over [`crate::admin`], below `/jdwa/` (`jdmail.md` 4, JD-22).
//!
//! Shape: one table of routes ([`routes::ROUTES`]) says method, path, who may use it, and the handler. `enter` does
//! for all of them what none may forget: log-in, role, CSRF token, limits, headers. A handler reads a `visit::Visit`,
//! asks `admin`, and renders a template of `webadmin/`; it is synchronous and runs off the async threads.
//!
//! Every change is a `deed::Deed`. It is rehearsed first ([`Admin::rehearse`]) and shown as file and diff; the confirmed
//! deed runs the same code for real, through [`crate::mailroot::edit`], so it merges with a shell's edit or is refused
//! as a conflict, row by row.
//!
//! ```text
//! form -> handler -> Deed -> rehearsal -> page with diffs -> confirm -> Deed -> tables, audit log
//! ```
//!
//! | modules | for |
//! | --- | --- |
//! | `serve`, `linger`, `cookies` | connections and HTTP |
//! | `enter`, `sessions`, `bans`, `routes` | who may do what |
//! | `visit`, `form`, `rows`, `upload`, `download` | what comes from a browser and goes to it |
//! | `deed`, `bulk`, `jobs`, `audit` | changes, also those to very many accounts |
//! | `templates`, `i18n`, `schema_text`, `trouble`, `error`, `assets` | how things are said and shown |
//! | `checks`, `traffic`, `certificate` | what the dashboard tells |
//! | `pages` | the pages |
//!
//! Paths: names from forms and URLs are looked up (a domain in the snapshot, a table in a fixed list); none is ever
//! joined to a path here. Templates, styles and texts are embedded; a directory may replace them ([`assets::Assets`]).
//!
//! To add a page: a handler in `pages/`, a row in [`routes::ROUTES`], a template, its texts in both `webadmin/i18n`
//! files. The tests of this room then hold it to roles, texts and escaping.

pub mod assets;
mod audit;
mod bans;
mod bulk;
mod certificate;
mod checks;
mod cookies;
mod deed;
mod download;
mod enter;
mod error;
mod form;
mod i18n;
mod jobs;
mod linger;
mod pages;
pub mod routes;
mod rows;
mod schema_text;
mod serve;
mod sessions;
mod templates;
#[cfg(test)]
mod tests;
mod traffic;
mod trouble;
mod upload;
mod visit;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;

use crate::admin::Admin;
use crate::clock::Clock;
use crate::durable::Disk;
use crate::language::Language;
use crate::mailroot::{MailRoot, Snapshot, Tables};
use crate::net::TlsStore;
use assets::{AssetError, Assets};
use bans::Bans;
use checks::Checks;
use i18n::Catalogs;
use jobs::Jobs;
use sessions::Sessions;
use templates::Templates;
use traffic::Traffic;

pub use serve::{Door, serve};

/// Where the administration is (`jdmail.md` JD-22).
pub const HOME: &str = "/jdwa/";

/// The port without `--listen`.
pub const PORT: u16 = 8080;

/// What the pages work with.
pub struct Services {
    /// The use-cases.
    pub admin: Arc<Admin>,
    /// The tables.
    pub tables: Tables,
    /// The time.
    pub clock: Clock,
    /// The disk.
    pub disk: Disk,
    /// The certificate.
    pub tls: Arc<TlsStore>,
    /// Whether browsers come with TLS, so that cookies must not leave it.
    pub is_tls: bool,
    /// What lies on higher floors.
    pub roof: Arc<dyn Roof>,
    /// Templates, styles, texts.
    pub assets: Assets,
    /// The directory of backups (JD-64).
    pub backups: PathBuf,
}

/// What the pages ask of higher floors.
pub trait Roof: Send + Sync {
    /// Whether a mail server works on this MailRoot now.
    fn is_serving(&self) -> bool;

    /// What would happen to mail from a client to a recipient, as text in this language.
    ///
    /// # Errors
    /// What stands in the way, as text.
    fn explain(&self, language: Language, question: &Question<'_>) -> Result<String, String>;

    /// Has the running mail server carry out one CTRL command that answers with no list.
    ///
    /// # Errors
    /// No server runs, or it refuses; as text.
    fn control(&self, command: &[&str]) -> Result<(), String>;

    /// The rows that the running mail server answers one CTRL command with.
    ///
    /// # Errors
    /// No server runs, or it refuses; as text.
    fn list(&self, command: &[&str]) -> Result<Vec<Vec<String>>, String>;

    /// How the mail server is started.
    fn start(&self) -> Start;

    /// Starts the mail server, where [`Start::Here`] says that this may be done.
    ///
    /// # Errors
    /// Why it does not start, as text.
    fn start_server(&self) -> Result<(), String>;

    /// What becomes of a message in the queue, or became of one that is gone: by its spool name or number; in this language.
    ///
    /// # Errors
    /// There is none, or what stands in the way; as text.
    fn explain_message(&self, language: Language, message: &str) -> Result<String, String>;
}

/// How the mail server is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It runs in this process: with the pages, or not at all.
    Together,
    /// The pages may start it, with this command.
    Here(String),
    /// Whoever looks after services does it, for example with this command.
    Elsewhere(String),
}

/// What [`Roof::explain`] is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// To whom.
    pub recipient: &'a str,
    /// From whom; empty: the null sender.
    pub sender: &'a str,
    /// From where; `None`: a stranger.
    pub ip: Option<IpAddr>,
    /// Logged in as; empty: not.
    pub login: &'a str,
    /// The message, for rules that look at it; empty: not known.
    pub content: &'a [u8],
    /// The domains of who asks, of which alone is told; `None`: all may be told.
    pub within: Option<&'a [Box<str>]>,
}

/// The state of the administration.
pub(crate) struct App {
    services: Services,
    sessions: Sessions,
    bans: Bans,
    checks: Checks,
    jobs: Jobs,
    traffic: Traffic,
    /// The last search in the queue.
    queue_search: Mutex<Option<Arc<pages::queue::Search>>>,
    templates: Templates,
    catalogs: Arc<Catalogs>,
    /// Proves that forms of people who are not logged in are ours.
    secret: [u8; 32],
    /// Checked where a name is unknown, so that the answer takes as long.
    nobodys_hash: String,
}

/// Why the administration cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WebSetupError {
    /// Templates or texts.
    #[error(transparent)]
    Assets(#[from] AssetError),
    /// No random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// No hash.
    #[error(transparent)]
    Hash(#[from] crate::auth::HashError),
}

impl App {
    fn new(services: Services) -> Result<Self, WebSetupError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let nobodys_hash = crate::auth::hash_password(&secret)?;
        let catalogs = Arc::new(Catalogs::load(&services.assets)?);
        let templates = Templates::load(&services.assets, &catalogs, &services.clock)?;
        if let Err(error) = services.admin.finish_rename() {
            tracing::error!(%error, "an interrupted rename of an account is not finished");
        }
        services.admin.remove_stale_password_lists();
        services.admin.remove_unfinished_backups(&services.backups);
        let (sessions, bans) = (Sessions::default(), Bans::default());
        let jobs = Jobs::open(services.tables.current().root().path());
        let (checks, traffic) = (Checks::default(), Traffic::default());
        Ok(Self {
            services,
            sessions,
            bans,
            checks,
            jobs,
            traffic,
            queue_search: Mutex::default(),
            templates,
            catalogs,
            secret,
            nobodys_hash,
        })
    }

    fn tables(&self) -> Arc<Snapshot> {
        self.services.tables.fresh()
    }

    fn root(&self) -> MailRoot {
        self.services.tables.current().root().clone()
    }
}

/// The administration as an axum application.
///
/// # Errors
/// [`WebSetupError`].
pub fn app(services: Services) -> Result<Router, WebSetupError> {
    Ok(enter::router(Arc::new(App::new(services)?)))
}
