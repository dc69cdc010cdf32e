//! `server.tab` by topic (`jdmail.md` JD-58).

use std::path::Path;
use std::sync::Arc;

use crate::web::templates::context;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::admin::PasswordFault;
use crate::mailroot::schema::{Variable, server};
use crate::tab::TabFile;
use crate::web::audit::{self, Note};
use crate::web::deed::Deed;
use crate::web::error::WebError;
use crate::web::form::{self, Field};
use crate::web::sessions::Kept;
use crate::web::visit::{Visit, redirect};

const FILE: &str = "server.tab";

/// The settings of these pages themselves, apart from the mail server's (JD-58).
const ADMINISTRATION: &str = "settings.administration";

/// A topic: the key of its name, and its variables.
pub(in crate::web) struct Topic {
    pub(in crate::web) key: &'static str,
    pub(in crate::web) variables: Vec<&'static Variable>,
}

/// All topics; a test sees to it that every variable is in one of them.
pub(in crate::web) fn topics() -> Vec<Topic> {
    use server::*;
    let topic = |key, variables: &[&'static Variable]| Topic { key, variables: variables.to_vec() };
    vec![
        topic(
            "settings.names",
            &[&ROOT_DOMAIN, &SMTP_SERVER_DOMAIN, &POP3_DOMAIN, &HELO_DOMAIN, &POST_MASTER],
        ),
        topic(
            "settings.notices",
            &[
                &ERRORS_ADMIN,
                &TEMP_ERRORS_ADMIN,
                &REMOVE_SPOOL_ERRORS,
                &NOTIFY_MSG_LINES_EXTRA,
                &NOTIFY_SEND_LOG_TO_SENDER,
                &NOTIFY_TRY_PATTERN,
                &NO_SENDER_BOUNCE,
                &NO_BOUNCE_TO_REPLY_ADDRESS,
            ],
        ),
        topic(
            "settings.receiving",
            &[
                &MAX_MESSAGE_SIZE,
                &SMTP_MAX_ERRORS,
                &SMTP_BARE_LF,
                &ALLOW_NULL_SENDER,
                &CHECK_MAILER_DOMAIN,
                &LOCAL_DOMAIN_AUTH,
                &ALLOW_SMTP_VRFY,
                &ALLOW_SMTP_ETRN,
                &ENABLE_AUTH_SMTP_POP3,
                &DEFAULT_SMTP_PERMS,
                &SMTP_CONFIG,
                &SMTP_NO_TLS_AUTHS,
                &MAX_MTA_OPS,
                &RECEIVED_HDR_TYPE,
                &DISABLE_EMIT_AUTH_USER,
            ],
        ),
        topic(
            "settings.spam",
            &[
                &SMTP_IP_MAP_DROP_CODE,
                &CUST_MAPS_LIST,
                &SMTP_RDNS_CHECK,
                &SMTP_MSG_IP_BAN,
                &SMTP_MSG_IP_BAN_SPAMMERS,
                &SMTP_MSG_IP_BAN_MAPS,
                &SMTP_MSG_IP_BAN_SPAM_ADDRESS,
                &CUSTOM_SMTP_MESSAGE,
            ],
        ),
        topic("settings.sending", &[&DEFAULT_SMTP_GATEWAYS, &SMTP_GW_CONFIG, &SMART_DNS_HOST]),
        topic(
            "settings.tls",
            &[
                &ENABLE_SMTP_TLS,
                &ENABLE_POP3_TLS,
                &ENABLE_IMAP_TLS,
                &IMAP_LOGIN_NEEDS_TLS,
                &ENABLE_CTRL_TLS,
                &SSL_USE_CERTS_FILE,
                &SSL_USE_CERTS_DIR,
                &SSL_WANT_VERIFY,
                &SSL_WANT_CERT,
                &SSL_ALLOW_SELF_SIGNED,
                &SSL_MAX_CERTS_DEPTH,
            ],
        ),
        topic(
            "settings.listening",
            &[
                &SMTP_LISTEN,
                &SMTPS_LISTEN,
                &POP3_LISTEN,
                &POP3S_LISTEN,
                &IMAP_LISTEN,
                &IMAPS_LISTEN,
                &CTRL_LISTEN,
                &CTRLS_LISTEN,
                &FINGER_LISTEN,
            ],
        ),
        topic("settings.fetching", &[&POP3_SYNC_INTERVAL, &POP3_SYNC_ERROR_ACCOUNT, &FETCH_HDR_TAGS]),
        topic(
            "settings.storage",
            &[
                &SPOOL_JOURNAL,
                &HISTORY_MAX_SIZE,
                &SMTP_MIN_DISK_SPACE,
                &SMTP_MIN_VIRT_MEM_SPACE,
                &POP3_MIN_VIRT_MEM_SPACE,
                &MAIL_BOX_PATH,
            ],
        ),
        topic(
            "settings.other",
            &[
                &PASSWORD_SCHEME,
                &CTRL_HIDE_PASSWORDS,
                &POP3_LOG_PASSWD,
                &FILTER_MISSING,
                &SMTP_LOCAL_RULE1,
                &SMTP_LOCAL_RULE2,
            ],
        ),
        topic(
            ADMINISTRATION,
            &[
                &WEB_PASSWORD_MIN_LENGTH,
                &WEB_PASSWORD_MAX_AGE,
                &WEB_LOGIN_TRIES,
                &WEB_BAN_TIME,
                &WEB_SESSION_IDLE,
                &PASSWORD_MIN_LENGTH,
                &DEFAULT_PASSWORD,
            ],
        ),
    ]
}

#[derive(Debug, Serialize)]
struct Tab {
    key: &'static str,
    link: String,
    is_here: bool,
}

fn link(key: &str) -> String {
    format!("/jdwa/settings?topic={}", key.trim_start_matches("settings."))
}

/// The topic that is asked for, else the first.
fn chosen(topics: &[Topic], wanted: &str) -> Option<usize> {
    topics.iter().position(|topic| topic.key.trim_start_matches("settings.") == wanted)
}

/// One topic.
pub(in crate::web) fn show(visit: &Visit) -> Result<Response, WebError> {
    show_topic(visit, visit.query("topic"))
}

/// The topic of administrators' passwords and bans (JD-63).
pub(in crate::web) fn passwords(visit: &Visit) -> Result<Response, WebError> {
    show_topic(visit, ADMINISTRATION.trim_start_matches("settings."))
}

fn show_topic(visit: &Visit, topic: &str) -> Result<Response, WebError> {
    let topics = topics();
    let here = chosen(&topics, topic).unwrap_or(0);
    let path = Path::new(FILE);
    let bytes = visit.app.services.admin.table_text(path)?;
    let fields = fields(visit, &topics[here], &TabFile::parse(&bytes));
    let base = visit.keep(Kept::Base(path.to_owned(), Arc::new(bytes)))?;
    page(visit, StatusCode::OK, &topics, here, fields, &base)
}

/// The fields of a topic, with what is wrong with the password that new accounts share.
fn fields(visit: &Visit, topic: &Topic, file: &TabFile) -> Vec<Field> {
    let mut fields = form::variable_fields(visit, "server", &topic.variables, file);
    if let Some(field) =
        topic.variables.iter().position(|variable| is_default_password(variable)).map(|at| &mut fields[at])
    {
        field.problem = default_password_fault(file).map(|fault| visit.password_fault(fault));
    }
    fields
}

fn is_default_password(variable: &Variable) -> bool {
    variable.name == server::DEFAULT_PASSWORD.name
}

/// As the file has it, which may not be the one that is read yet; none has no fault.
fn default_password_fault(file: &TabFile) -> Option<PasswordFault> {
    let value = |name: &str| form::variable_value(file, name).unwrap_or_default();
    let chars_min = value(server::PASSWORD_MIN_LENGTH.name).parse().unwrap_or(0);
    let shared = value(server::DEFAULT_PASSWORD.name);
    PasswordFault::of(&shared, chars_min).filter(|_| !shared.is_empty())
}

fn page(
    visit: &Visit,
    status: StatusCode,
    topics: &[Topic],
    here: usize,
    fields: Vec<Field>,
    base: &str,
) -> Result<Response, WebError> {
    let tab = |(index, topic): (usize, &Topic)| Tab {
        key: topic.key,
        link: link(topic.key),
        is_here: index == here,
    };
    let tabs: Vec<Tab> = topics.iter().enumerate().map(tab).collect();
    let (key, topic) = (topics[here].key, topics[here].key.trim_start_matches("settings."));
    let is_refused = status != StatusCode::OK;
    let shares_password =
        fields.iter().any(|field| field.label == server::DEFAULT_PASSWORD.name && !field.value.is_empty());
    let bans = if key == ADMINISTRATION { Some(visit.app.bans.all(&visit.app)) } else { None };
    visit.page_with(
        status,
        "settings.html",
        context! { tabs, key, topic, fields, base, file => FILE, is_refused, bans, shares_password },
    )
}

/// Saves one topic. A value that is typed and wrong comes back with the form and the reason beside it.
pub(in crate::web) fn save(visit: &Visit) -> Result<Response, WebError> {
    let topics = topics();
    let Some(here) = chosen(&topics, visit.field("topic")) else { return Ok(redirect("/jdwa/settings")) };
    let path = Path::new(FILE);
    let base = visit.base(path)?;
    let content = form::with_variables(visit, path, &topics[here].variables, &base)?;
    let (before, after) = (TabFile::parse(&base), TabFile::parse(&content));
    let fields = fields(visit, &topics[here], &after);
    let is_changed = |name: &str| form::variable_value(&before, name) != form::variable_value(&after, name);
    let is_wrong = |(field, variable): (&Field, &&'static Variable)| {
        // A shared password may become too short by what is wanted of all.
        let is_too_short = is_default_password(variable) && is_changed(server::PASSWORD_MIN_LENGTH.name);
        field.problem.is_some() && (is_changed(variable.name) || is_too_short)
    };
    if fields.iter().zip(&topics[here].variables).any(is_wrong) {
        let base = visit.field("base").to_owned();
        return page(visit, StatusCode::UNPROCESSABLE_ENTITY, &topics, here, fields, &base);
    }
    let deed = Deed::save_table(path.to_owned(), base, content);
    visit.propose(deed, &link(topics[here].key))
}

/// Lifts a ban (JD-05, JD-63).
pub(in crate::web) fn lift_ban(visit: &Visit) -> Result<Response, WebError> {
    let (address, name) = (visit.field("address"), visit.field("name"));
    let lifted = visit.app.bans.lift(&visit.app, address, name);
    if !lifted.map_err(|(path, source)| WebError::Disk { path, source })? {
        return Err(WebError::NotFound);
    }
    let deed = format!("ban lifted {address} {name}");
    let who = &visit.administrator()?.name;
    audit::write(&visit.app, &Note { name: who, peer: visit.peer, deed: &deed }, &[]);
    visit.flash("good", visit.say("bans.lifted", &[]));
    Ok(redirect(&link(ADMINISTRATION)))
}
