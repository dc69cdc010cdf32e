//! The web administration: thin handlers over [`crate::admin`], below `/jdwa/` (`jdmail.md` 4, JD-22).
//!
//! Shape: one table of routes ([`routes::ROUTES`]) says method, path, who may use it, and the handler. [`enter`] does
//! for all of them what none may forget: log-in, role, CSRF token, limits, headers. A handler reads a [`visit::Visit`],
//! asks `admin`, and renders a template of `webadmin/`; it is synchronous and runs off the async threads.
//!
//! Every change is a [`deed::Deed`]. It is rehearsed first ([`Admin::rehearse`]) and shown as file and diff; the confirmed
//! deed runs the same code for real, through [`crate::mailroot::edit`], so it merges with a shell's edit or is refused
//! as a conflict, row by row.
//!
//! ```text
//! form -> handler -> Deed -> rehearsal -> page with diffs -> confirm -> Deed -> tables, audit log
//! ```
//!
//! Paths: names from forms and URLs are looked up (a domain in the snapshot, a table in a fixed list); none is ever
//! joined to a path here. Templates, styles and texts are embedded; a directory may replace them ([`assets::Assets`]).
//!
//! To add a page: a handler in `pages/`, a row in [`routes::ROUTES`], a template, its texts in both `webadmin/i18n`
//! files. The tests of this room then hold it to roles, texts and escaping.

pub mod assets;
mod audit;
mod bans;
mod certificate;
mod cookies;
mod deed;
mod enter;
mod error;
mod form;
mod i18n;
mod pages;
pub mod routes;
mod rows;
mod schema_text;
mod serve;
mod sessions;
mod templates;
#[cfg(test)]
mod tests;
mod visit;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;

use crate::admin::Admin;
use crate::clock::Clock;
use crate::durable::Disk;
use crate::mailroot::{MailRoot, Snapshot, Tables};
use crate::net::TlsStore;
use assets::{AssetError, Assets};
use bans::Bans;
use i18n::Catalogs;
use sessions::Sessions;
use templates::Templates;

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
}

/// What the pages ask of higher floors.
pub trait Roof: Send + Sync {
    /// Whether a mail server works on this MailRoot now.
    fn is_serving(&self) -> bool;

    /// What would happen to mail from a client to a recipient, as text.
    ///
    /// # Errors
    /// What stands in the way, as text.
    fn explain(&self, question: &Question<'_>) -> Result<String, String>;

    /// Has the running mail server carry out one CTRL command that answers with no list.
    ///
    /// # Errors
    /// No server runs, or it refuses; as text.
    fn control(&self, command: &[&str]) -> Result<(), String>;
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
}

/// The state of the administration.
pub(crate) struct App {
    services: Services,
    sessions: Sessions,
    bans: Bans,
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
        let (sessions, bans) = (Sessions::default(), Bans::default());
        Ok(Self { services, sessions, bans, templates, catalogs, secret, nobodys_hash })
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
