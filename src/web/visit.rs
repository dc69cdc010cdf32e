//! One request as handlers see it: who asks, in which language, with which form; and how they answer.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use bstr::ByteSlice as _;
use minijinja::Value;
use serde::Serialize;

use super::deed::{self, Deed, Draft};
use super::error::WebError;
use super::i18n::Language;
use super::sessions::{Flash, Kept};
use super::templates::context;
use super::upload::TextFile;
use super::{App, HOME, trouble};
use crate::admin::backup::Receiving;
use crate::admin::{AdminError, PasswordFault};
use crate::auth::constant_time_eq;
use crate::mailroot::Snapshot;
use crate::mailroot::edit::EditError;
use crate::mailroot::webadmin::{WebAdmin, WebRole};
use crate::net::tls::SERVER_KEY;
use crate::tab::fields;

/// Names and values of a query or a form, in order.
pub(super) type Pairs = Vec<(String, String)>;

/// A table that a page shows.
#[derive(Debug)]
pub(super) struct ShownTable {
    /// The name that this version is kept under.
    pub(super) id: String,
    pub(super) file: PathBuf,
    pub(super) bytes: Arc<Vec<u8>>,
}

/// One request.
pub(super) struct Visit {
    pub(super) app: Arc<App>,
    /// What stands in the braces of the route's path.
    pub(super) params: Pairs,
    pub(super) query: Pairs,
    pub(super) form: Pairs,
    /// Tables that the page shows.
    pub(super) shown: Mutex<Vec<ShownTable>>,
    /// The file of a form that has one.
    pub(super) upload: Mutex<Option<Receiving>>,
    /// The small file of a form that has one.
    pub(super) text_file: Option<TextFile>,
    /// Who is logged in.
    pub(super) who: Option<WebAdmin>,
    /// The id of the session.
    pub(super) session: Option<String>,
    /// What forms must carry.
    pub(super) csrf: String,
    pub(super) language: Language,
    /// `light`, `dark` or `auto`.
    pub(super) theme: &'static str,
    pub(super) peer: IpAddr,
    /// Path and query.
    pub(super) here: String,
    /// The path that was asked for: of a form its action.
    pub(super) path: String,
    /// Why the form was refused whose page is shown again.
    pub(super) refused: Option<Refused>,
    /// Below which topic the page is.
    pub(super) topic: &'static str,
}

/// Why a form was refused.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    pub(super) text: String,
    /// The field that is wrong; empty: the one that names what the form is about.
    pub(super) field: &'static str,
}

/// A refused form, for the page that shows it again.
#[derive(Debug, Serialize)]
struct Refusal<'a> {
    #[serde(flatten)]
    refused: &'a Refused,
    action: &'a str,
    values: &'a Pairs,
}

/// Rows on one page of a list. Ours.
pub(super) const PAGE_ROWS: usize = 50;

fn value<'a>(pairs: &'a Pairs, wanted: &str) -> &'a str {
    pairs.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value)
}

impl Visit {
    /// A part of the path; empty where the route has none of the name.
    pub(super) fn param(&self, name: &str) -> &str {
        value(&self.params, name)
    }

    /// A value of the query, trimmed.
    pub(super) fn query(&self, name: &str) -> &str {
        value(&self.query, name).trim()
    }

    /// A value of the form, trimmed.
    pub(super) fn field(&self, name: &str) -> &str {
        value(&self.form, name).trim()
    }

    /// A value of the form as it was typed.
    pub(super) fn raw_field(&self, name: &str) -> &str {
        value(&self.form, name)
    }

    /// The file of the form; once.
    pub(super) fn take_upload(&self) -> Option<Receiving> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether the form carries the token of its page.
    pub(super) fn has_token(&self) -> bool {
        !self.csrf.is_empty() && constant_time_eq(self.field("csrf").as_bytes(), self.csrf.as_bytes())
    }

    /// The tables now.
    pub(super) fn tables(&self) -> Arc<Snapshot> {
        self.app.tables()
    }

    /// Who is logged in.
    ///
    /// # Errors
    /// Nobody is: routes for everybody must not ask.
    pub(super) fn administrator(&self) -> Result<&WebAdmin, WebError> {
        self.who.as_ref().ok_or(WebError::Forbidden)
    }

    /// Whether everything may be administered.
    pub(super) fn is_system(&self) -> bool {
        self.who.as_ref().is_some_and(WebAdmin::is_system)
    }

    /// The domain of the path as `domains.tab` has it.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) fn domain(&self) -> Result<String, WebError> {
        let tables = self.tables();
        tables.domains.get(self.param("domain")).map(|row| row.domain.to_string()).ok_or(WebError::NotFound)
    }

    /// A text in the visitor's language.
    pub(super) fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        self.app.catalogs.text(self.language, key, values)
    }

    /// A sentence of ours that comes as English text, or what the system says.
    pub(super) fn phrase(&self, english: &str) -> String {
        self.app.catalogs.phrase(self.language, english)
    }

    /// The help for a variable or column, whose English is in the description.
    pub(super) fn schema<'a>(&'a self, key: &str, english: &'a str) -> &'a str {
        self.app.catalogs.schema(self.language, key, english)
    }

    /// The text of an error.
    pub(super) fn error_text(&self, error: &WebError) -> String {
        if let WebError::Password(fault) = error {
            return self.password_fault(*fault);
        }
        self.say(error.key(), &[("detail", &trouble::detail(&self.app.catalogs, self.language, error))])
    }

    /// What is wrong with a password.
    pub(super) fn password_fault(&self, fault: PasswordFault) -> String {
        match fault {
            PasswordFault::Empty => self.say("password.empty", &[]),
            PasswordFault::Blank => self.say("password.blank", &[]),
            PasswordFault::Control => self.say("password.control", &[]),
            PasswordFault::NotAscii { character } => {
                self.say("password.not_ascii", &[("character", &character.to_string())])
            }
            PasswordFault::TooLong { limit } => self.say("password.long", &[("limit", &limit.to_string())]),
            PasswordFault::TooShort { needed } => {
                self.say("password.short", &[("needed", &needed.to_string())])
            }
        }
    }

    /// Says something on the next page.
    pub(super) fn flash(&self, tone: &'static str, text: String) {
        if let Some(id) = &self.session {
            self.app.sessions.peek(id, |session| session.flash.push(Flash { tone, text }));
        }
    }

    /// Says whether work has begun, or something else is being done.
    pub(super) fn flash_begun(&self, has_begun: bool) {
        match has_begun {
            true => self.flash("good", self.say("backup.begun", &[])),
            false => self.flash("bad", self.say("backup.busy", &[])),
        }
    }

    /// Keeps something for when the page comes back.
    ///
    /// # Errors
    /// Nobody is logged in, or no random numbers.
    pub(super) fn keep(&self, kept: Kept) -> Result<String, WebError> {
        let id = self.session.as_ref().ok_or(WebError::Forbidden)?;
        let base = match &kept {
            Kept::Base(file, bytes) => Some((file.clone(), Arc::clone(bytes))),
            _ => None,
        };
        let id = self.app.sessions.peek(id, |session| session.keep(kept)).ok_or(WebError::Forbidden)??;
        if let Some((file, bytes)) = base {
            self.shown.lock().unwrap_or_else(PoisonError::into_inner).push(ShownTable {
                id: id.clone(),
                file,
                bytes,
            });
        }
        Ok(id)
    }

    /// Has the page tell what is wrong with a table that it shows without a form for it.
    ///
    /// # Errors
    /// The table cannot be read, and as [`Visit::keep`].
    pub(super) fn shows(&self, file: PathBuf) -> Result<(), WebError> {
        let bytes = self.app.services.admin.table_text(&file)?;
        self.keep(Kept::Base(file, Arc::new(bytes))).map(drop)
    }

    /// The version of a file that the form was made from, named by its field `base`.
    ///
    /// # Errors
    /// `Stale`: it is forgotten, or of another file.
    pub(super) fn base(&self, wanted: &Path) -> Result<Arc<Vec<u8>>, WebError> {
        match self.kept(self.field("base")) {
            Some(Kept::Base(file, bytes)) if file == wanted => Ok(bytes),
            _ => Err(WebError::Stale),
        }
    }

    pub(super) fn kept(&self, name: &str) -> Option<Kept> {
        let id = self.session.as_ref()?;
        self.app.sessions.peek(id, |session| session.kept(name))?
    }

    /// Shows what a deed would change and asks for its confirmation. One that changes nothing is not asked about.
    ///
    /// # Errors
    /// Those of the use-case.
    pub(super) fn propose(&self, deed: Deed, back: &str) -> Result<Response, WebError> {
        let planned = match self.app.services.admin.rehearse(|admin| deed.run(admin)) {
            Err(AdminError::Edit(EditError::Conflict(conflict))) => {
                return super::pages::deeds::show_conflict(self, &deed, back, &conflict);
            }
            planned => planned?,
        };
        let mut changes = deed::changes(&planned, self.context_lines());
        let bulk =
            deed.bulk().map(|bulk| context! { count => bulk.names.len(), shown => bulk.shown().len() });
        if changes.is_empty() && bulk.is_none() {
            self.flash("good", self.say("confirm.nothing", &[]));
            return Ok(redirect(back));
        }
        let mut problems = Vec::new();
        for (file, content) in deed.tables() {
            problems.extend(super::pages::raw::problems(self, file, content));
        }
        for change in changes.iter_mut().filter(|change| change.file == SERVER_KEY) {
            // What stands in the place of a key is ours.
            change.lines.iter_mut().for_each(|line| line.text = self.phrase(&line.text));
        }
        let unshown = deed::shorten(&mut changes);
        let title = self.say(deed.key(), &[]);
        let grave = deed.is_grave();
        let id = self.keep(Kept::Draft(Arc::new(Draft { deed, back: back.to_owned() })))?;
        self.page(
            "confirm.html",
            context! { title, changes, unshown, problems, grave, bulk, draft => id, back },
        )
    }

    /// The domains that alone may be told of; `None`: all may.
    pub(super) fn within(&self) -> Option<&[Box<str>]> {
        match self.who.as_ref().map(|who| &who.role) {
            Some(WebRole::System) => None,
            Some(WebRole::Domains(domains)) => Some(domains),
            None => Some(&[]),
        }
    }

    /// Whether the visitor administers the domain, or the one that it is another name of.
    pub(super) fn holds(&self, domain: &str) -> bool {
        let tables = self.tables();
        let is_real = tables.domains.get(domain).is_some();
        let real = if is_real { domain } else { tables.real_domain(domain) };
        self.who.as_ref().is_some_and(|who| who.holds(real))
    }

    /// Whether a line of a file may be seen: of tables that all domains share, who administers some sees the rows of these.
    pub(super) fn may_see(&self, file: &Path, line: &[u8]) -> bool {
        let is_shared = file.components().count() == 1;
        let first = || fields(line.trim_end()).first().map(|field| field.value.to_str_lossy().into_owned());
        let holds = |domain: String| self.who.as_ref().is_some_and(|who| who.holds(&domain));
        self.is_system() || !is_shared || first().is_some_and(holds)
    }

    /// Unchanged rows around a change belong to other domains as well.
    pub(super) fn context_lines(&self) -> usize {
        if self.is_system() { 2 } else { 0 }
    }

    /// A page.
    ///
    /// # Errors
    /// The template's.
    pub(super) fn page(&self, template: &str, context: Value) -> Result<Response, WebError> {
        self.page_with(StatusCode::OK, template, context)
    }

    /// A page with a status.
    ///
    /// # Errors
    /// The template's.
    pub(super) fn page_with(
        &self,
        status: StatusCode,
        template: &str,
        context: Value,
    ) -> Result<Response, WebError> {
        let flashes = self
            .session
            .as_ref()
            .and_then(|id| self.app.sessions.peek(id, |session| std::mem::take(&mut session.flash)));
        let nav = super::routes::navigation(self.who.as_ref(), super::rows::topic(self));
        let shown = std::mem::take(&mut *self.shown.lock().unwrap_or_else(PoisonError::into_inner));
        let base = context! {
            faults => super::pages::raw::faults(self, template, &shown),
            lang => self.language.tag(),
            theme => self.theme,
            csrf => self.csrf,
            who => self.who.as_ref().map(|who| who.name.to_string()),
            is_system => self.is_system(),
            here => self.here,
            home => HOME,
            flashes => flashes.unwrap_or_default(),
            nav,
            refusal => self.refused.as_ref().map(|refused| Refusal { refused, action: &self.path, values: &self.form }),
        };
        let status = if self.refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { status };
        let html = self.app.templates.render(template, minijinja::context! { ..context, ..base })?;
        Ok(answer(status, "text/html; charset=utf-8", html.into()))
    }

    /// The page of an error.
    pub(super) fn error_page(&self, error: &WebError) -> Response {
        if error.status().is_server_error() {
            tracing::error!("web administration: {}: {error}", self.here);
        }
        let text = self.error_text(error);
        let title = self.say(error.title_key(), &[]);
        let page = self.page_with(error.status(), "error.html", context! { title, text });
        page.unwrap_or_else(|_| answer(error.status(), "text/plain; charset=utf-8", error.to_string().into()))
    }
}

/// An answer with a body.
pub(super) fn answer(status: StatusCode, content_type: &str, body: Body) -> Response {
    let built = Response::builder().status(status).header(header::CONTENT_TYPE, content_type).body(body);
    // Status and type are ours and always valid.
    built.unwrap_or_default()
}

/// Goes on elsewhere with GET (RFC 9110 15.4.4). `to` is a path of ours.
pub(super) fn redirect(to: &str) -> Response {
    let to = if is_ours(to) { to } else { HOME };
    let built = Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, to);
    built.body(Body::empty()).unwrap_or_default()
}

/// Whether a path is one of ours: nobody sends our users elsewhere.
pub(super) fn is_ours(path: &str) -> bool {
    path.starts_with(HOME)
        && !path.contains("//")
        && !path.contains('\\')
        && path.bytes().all(|b| b.is_ascii_graphic())
}

/// Adds a cookie to an answer.
pub(super) fn with_cookie(mut answer: Response, cookie: &str) -> Response {
    if let Ok(value) = cookie.parse() {
        answer.headers_mut().append(HeaderName::from_static("set-cookie"), value);
    }
    answer
}

/// A part of a path, percent-encoded.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
