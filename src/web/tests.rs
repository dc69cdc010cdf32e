//! The administration as browsers see it, by `oneshot`: no sockets.

mod system;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use tempfile::TempDir;
use tower::ServiceExt as _;

mod bulk;
mod chinese;
mod domain_administrators;
mod logs;
mod mail;
mod passwords;
mod steady;
mod texts;

use super::assets::{Assets, EMBEDDED};
use super::i18n::{Catalogs, Language};
use super::pages::settings;
use super::routes::{Access, Method, ROUTES, Route, placed};
use super::{Question, Roof, Services, Start, app};
use crate::admin::Admin;
use crate::auth::hash_password;
use crate::clock::Clock;
use crate::durable::Disk;
use crate::mailbox::{Kind, Mailboxes};
use crate::mailroot::schema;
use crate::mailroot::{MailRoot, Tables, made};
use crate::net::TlsStore;

mod accounts;
mod forms;

struct NoRoof;

impl Roof for NoRoof {
    fn is_serving(&self) -> bool {
        false
    }

    fn explain(&self, _: Language, question: &Question<'_>) -> Result<String, String> {
        Ok(format!("mail to {}", question.recipient))
    }

    fn control(&self, _command: &[&str]) -> Result<(), String> {
        Err("no server".into())
    }

    fn list(&self, _command: &[&str]) -> Result<Vec<Vec<String>>, String> {
        Err("no server".into())
    }

    fn start(&self) -> Start {
        Start::Elsewhere("tabmail serve -Ms /srv/mail".into())
    }

    fn start_server(&self) -> Result<(), String> {
        Err("not from here".into())
    }

    fn explain_message(&self, _: Language, message: &str) -> Result<String, String> {
        Ok(format!("message {message}"))
    }
}

/// A MailRoot with two domains and administrators of all kinds, and its pages.
struct House {
    directory: TempDir,
    app: Router,
    clock: Clock,
    admin: Arc<Admin>,
}

const PASSWORD: &str = "correct horse";

fn house() -> House {
    house_with(Arc::new(NoRoof))
}

fn house_with(roof: Arc<dyn Roof>) -> House {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("server.tab", "# kept\n\"RootDomain\"\t\"a.test\"\n\"PasswordScheme\"\t\"xmail\"\n");
    write("domains.tab", "\"a.test\"\n\"b.test\"\n");
    write("mailusers.tab", "\"a.test\"\t\"anna\"\t\"1d0a\"\t1\t\"anna\"\t\"U\"\n");
    write("aliases.tab", "\"a.test\"\t\"boss\"\t\"anna\"\n");
    write("aliasdomain.tab", "\"c.test\"\t\"a.test\"\n");
    write("spammers.tab", "\"192.0.2.0/24\"\n");
    fs::create_dir_all(directory.path().join("domains/a.test/anna/Maildir/new")).unwrap();
    fs::create_dir_all(directory.path().join("domains/b.test")).unwrap();
    fs::create_dir_all(directory.path().join("spool")).unwrap();
    fs::create_dir_all(directory.path().join("logs")).unwrap();
    write("logs/smtp-202611230000", "\"a.test\"\t\"<script>\"\n");
    write("domains/a.test/anna/user.tab", "# mine\n\"RealName\"\t\"Anna\"\n");
    let hash = hash_password(PASSWORD.as_bytes()).unwrap();
    let row = |name: &str, rest: &str| format!("\"{name}\"\t\"{hash}\"\t{rest}\n");
    let rows = [
        row("root", "\"system\""),
        row("of-a", "\"domain\"\t\"a.test\""),
        row("of-b", "\"domain\"\t\"b.test\""),
        row("new", "\"system\"\t\"\"\t\"must-change\""),
    ];
    write("webadmin.tab", &rows.concat());
    opened(directory, roof, Disk::default())
}

/// The pages of a MailRoot that is there, as a process that starts has them.
fn opened(directory: TempDir, roof: Arc<dyn Roof>, disk: Disk) -> House {
    let root = MailRoot::new(directory.path());
    let tables = Tables::open(&root);
    let clock = Clock::manual("2026-11-23T10:00:00Z".parse().unwrap());
    let boxes = Mailboxes::new(root, Kind::Maildir, disk.clone());
    let admin = Arc::new(Admin::new(tables.clone(), boxes, None, clock.clone(), disk.clone()));
    let services = Services {
        admin: Arc::clone(&admin),
        tables,
        clock: clock.clone(),
        disk,
        tls: Arc::new(TlsStore::new(directory.path())),
        is_tls: false,
        roof,
        assets: Assets::default(),
        backups: directory.path().join("backups"),
    };
    House { app: app(services).unwrap(), directory, clock, admin }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    fn cookies(&self) -> Vec<String> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        all.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
    }

    /// The value of a hidden field.
    #[track_caller]
    fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let start =
            self.text.find(&mark).unwrap_or_else(|| panic!("no {name} in {}", self.text)) + mark.len();
        let end = self.text[start..].find('"').unwrap();
        self.text[start..start + end].to_owned()
    }
}

/// A browser: keeps cookies.
#[derive(Clone, Default)]
struct Browser {
    cookies: Vec<String>,
    language: &'static str,
}

impl Browser {
    async fn send(&mut self, house: &House, request: axum::http::request::Builder, body: String) -> Answer {
        let request = request
            .header(header::COOKIE, self.cookies.join("; "))
            .header(header::ACCEPT_LANGUAGE, self.language)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = house.app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, text };
        for cookie in answer.cookies() {
            let name = cookie.split('=').next().unwrap().to_owned() + "=";
            self.cookies.retain(|known| !known.starts_with(&name));
            self.cookies.push(cookie);
        }
        answer
    }

    async fn get(&mut self, house: &House, path: &str) -> Answer {
        self.send(house, Request::get(path), String::new()).await
    }

    async fn post(&mut self, house: &House, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(house, Request::post(path), body).await
    }

    /// Posts with the token of a page.
    async fn submit(&mut self, house: &House, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = page.hidden("csrf");
        let all: Vec<(&str, &str)> =
            [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
        self.post(house, path, &all).await
    }

    async fn try_log_in(&mut self, house: &House, name: &str, password: &str) -> Answer {
        let page = self.get(house, "/jdwa/login").await;
        self.submit(house, &page, "/jdwa/login", &[("name", name), ("password", password)]).await
    }

    /// Changes something: form, diff, confirmation.
    async fn change(&mut self, house: &House, page: &Answer, path: &str, fields: &[(&str, &str)]) -> Answer {
        let shown = self.submit(house, page, path, fields).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
        let draft = shown.hidden("draft");
        self.submit(house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await
    }
}

async fn logged_in(house: &House, name: &str) -> Browser {
    let mut browser = Browser::default();
    let answer = browser.try_log_in(house, name, PASSWORD).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/jdwa/"), "{}", answer.text);
    browser
}

impl House {
    /// As after the end of the process and its next start.
    fn restarted(self) -> Self {
        opened(self.directory, Arc::new(NoRoof), Disk::default())
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.directory.path().join(file)).unwrap()
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        made::write(self.directory.path(), file, text);
    }

    fn exists(&self, file: &str) -> bool {
        self.directory.path().join(file).exists()
    }
}

fn sample(path: &str) -> String {
    let values = [
        ("{domain}", "a.test"),
        ("{name}", "anna"),
        ("{table}", "spammers.tab"),
        ("{file}", "admin.css"),
        ("{group}", "staff"),
        ("{directory}", "custdomains"),
        ("{list}", "news"),
        ("{base}", "forgotten"),
        ("{level1}", "0"),
        ("{level2}", "0"),
        ("{state}", "1"),
    ];
    values.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// Every route as every role. What a handler makes of an empty form does not matter here, only who gets to it.
#[tokio::test]
async fn every_route_lets_in_whom_its_row_says_and_nobody_else() {
    let house = house();
    for (name, is_system, holds_a) in
        [("", false, false), ("of-b", false, false), ("of-a", false, true), ("root", true, true)]
    {
        // The table that domains share is one of those that the samples do not name.
        let shared = |route: &'static Route| {
            let path = route.path.replace("{table}", "pop3links.tab");
            (path != route.path && route.access == Access::Domain).then(|| (route, sample(&path)))
        };
        let sampled = ROUTES.iter().map(|route| (route, sample(route.path)));
        for (route, path) in sampled.chain(ROUTES.iter().filter_map(shared)) {
            // Afresh: log-out and others end sessions.
            let mut browser = match name {
                "" => Browser::default(),
                name => logged_in(&house, name).await,
            };
            let form =
                browser.get(&house, if name.is_empty() { "/jdwa/login" } else { "/jdwa/password" }).await;
            let answer = match route.method {
                Method::Get => browser.get(&house, &path).await,
                Method::Post => browser.submit(&house, &form, &path, &[]).await,
            };
            let is_in = match route.access {
                Access::Anyone => true,
                Access::Password | Access::SignedIn => !name.is_empty(),
                Access::Domain => holds_a,
                Access::System => is_system,
            };
            let what =
                format!("{:?} {path} as {name:?}: {} {}", route.method, answer.status, answer.location());
            let is_sent_away = answer.location() == "/jdwa/login" && route.path != "/jdwa/logout";
            if is_in {
                assert!(answer.status != StatusCode::FORBIDDEN && !is_sent_away, "{what}");
                assert!(answer.status != StatusCode::INTERNAL_SERVER_ERROR, "{what} {}", answer.text);
            } else if name.is_empty() {
                assert!(is_sent_away || answer.location() == "/jdwa/login", "{what}");
            } else {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
            }
        }
    }
    assert_eq!(house.text("domains.tab"), "\"a.test\"\n\"b.test\"\n");
}

/// Every topic has its place in the navigation, and every place a topic.
#[test]
fn the_navigation_has_a_place_for_every_topic_and_no_other() {
    let mut topics: Vec<&str> =
        ROUTES.iter().map(|route| route.topic).filter(|topic| !topic.is_empty()).collect();
    topics.sort_unstable();
    topics.dedup();
    let mut places: Vec<String> = placed().map(|name| format!("nav.{name}")).collect();
    places.sort_unstable();
    assert_eq!(places, topics);
}

#[tokio::test]
async fn nothing_is_changed_without_the_token_of_the_session() {
    let house = house();
    let (mut root, mut other) = (logged_in(&house, "root").await, logged_in(&house, "root").await);
    let foreign = other.get(&house, "/jdwa/domains").await.hidden("csrf");
    for fields in [vec![("domain", "d.test")], vec![("domain", "d.test"), ("csrf", foreign.as_str())]] {
        let answer = root.post(&house, "/jdwa/domains", &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    for route in ROUTES.iter().filter(|route| route.method == Method::Post) {
        let answer = root.post(&house, &sample(route.path), &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", route.path);
        let answer = Browser::default().post(&house, &sample(route.path), &[]).await;
        assert!(
            answer.status == StatusCode::FORBIDDEN || answer.location() == "/jdwa/login",
            "{}",
            route.path
        );
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_pages_apart() {
    let house = house();
    for path in ["/jdwa/login", "/jdwa/static/admin.css", "/", "/nowhere", "/jdwa/"] {
        let answer = Browser::default().get(&house, path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    for (name, text) in EMBEDDED.iter().filter(|(name, _)| name.ends_with(".html")) {
        assert!(!text.contains("style=") && !text.contains("onclick") && !text.contains("|safe"), "{name}");
    }
}

#[tokio::test]
async fn the_first_log_in_demands_a_password_of_ones_own() {
    let house = house();
    let mut browser = logged_in(&house, "new").await;
    assert_eq!(browser.get(&house, "/jdwa/domains").await.location(), "/jdwa/password");
    let page = browser.get(&house, "/jdwa/password").await;
    let with = |new: &'static str, again: &'static str| [("old", PASSWORD), ("new", new), ("again", again)];
    for refused in [with("short", "short"), with("long enough 1", "long enough 2"), with(PASSWORD, PASSWORD)]
    {
        let answer = browser.submit(&house, &page, "/jdwa/password", &refused).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let mut elsewhere = browser.clone();
    let good = with("long enough 1", "long enough 1");
    assert_eq!(browser.submit(&house, &page, "/jdwa/password", &good).await.location(), "/jdwa/");
    assert_eq!(browser.get(&house, "/jdwa/domains").await.status, StatusCode::OK);
    assert_eq!(
        elsewhere.get(&house, "/jdwa/domains").await.location(),
        "/jdwa/login",
        "other sessions are over"
    );
    assert!(!house.text("webadmin.tab").contains("must-change"));
}

#[tokio::test]
async fn a_fresh_mailroot_gets_an_administrator_once() {
    let house = house();
    assert_eq!(house.admin.ensure_administrator().unwrap(), None, "there are some");
    let administrators = house.text("webadmin.tab");
    fs::remove_file(house.directory.path().join("webadmin.tab")).unwrap();
    let password = house.admin.ensure_administrator().unwrap().unwrap();
    assert!(password.len() >= 16 && !house.text("webadmin.tab").contains(&password));
    let answer = Browser::default().try_log_in(&house, "admin", &password).await;
    assert_eq!(answer.location(), "/jdwa/");
    // Whose password is lost, and whose row was removed: the administrators of domains stay.
    let of_domains: String = administrators
        .lines()
        .filter(|row| row.contains("\"domain\""))
        .map(|row| format!("{row}\n"))
        .collect();
    house.write("webadmin.tab", &of_domains);
    assert!(house.admin.ensure_administrator().unwrap().is_some());
    assert!(house.text("webadmin.tab").starts_with(&format!("{of_domains}\"admin\"")));
    assert_eq!(house.admin.ensure_administrator().unwrap(), None);
}

#[tokio::test]
async fn five_wrong_passwords_are_enough_for_half_an_hour() {
    let house = house();
    let mut browser = Browser::default();
    for _ in 0..5 {
        let answer = browser.try_log_in(&house, "root", "wrong").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let answer = browser.try_log_in(&house, "ROOT", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        browser.clone().try_log_in(&house, "of-a", PASSWORD).await.location(),
        "/jdwa/",
        "another name"
    );
    house.clock.advance(std::time::Duration::from_secs(1801));
    assert_eq!(browser.clone().try_log_in(&house, "root", PASSWORD).await.location(), "/jdwa/");
    for _ in 0..5 {
        browser.try_log_in(&house, "root", "wrong").await;
    }
    fs::remove_file(house.directory.path().join(".tabmail/jdwa/.banned")).unwrap();
    assert_eq!(
        browser.try_log_in(&house, "root", PASSWORD).await.location(),
        "/jdwa/",
        "lifted by hand (JD-05)"
    );
    assert!(house.text("logs/webadmin-202611230000").contains("\"log-in refused\""));
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it() {
    let house = house();
    let mut browser = logged_in(&house, "root").await;
    house.clock.advance(std::time::Duration::from_secs(7199));
    assert_eq!(browser.get(&house, "/jdwa/domains").await.status, StatusCode::OK);
    house.clock.advance(std::time::Duration::from_secs(7201));
    assert_eq!(browser.get(&house, "/jdwa/domains").await.location(), "/jdwa/login");
    let mut browser = logged_in(&house, "root").await;
    let page = browser.get(&house, "/jdwa/domains").await;
    browser.submit(&house, &page, "/jdwa/logout", &[]).await;
    assert_eq!(browser.get(&house, "/jdwa/domains").await.location(), "/jdwa/login");
}

#[tokio::test]
async fn a_domain_and_a_user_are_added_after_their_diff_was_shown() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/domains").await;
    let shown = root.submit(&house, &page, "/jdwa/domains", &[("domain", "New.test")]).await;
    assert!(
        shown.text.contains("domains.tab") && shown.text.contains("&quot;new.test&quot;"),
        "{}",
        shown.text
    );
    assert_eq!(house.text("domains.tab"), "\"a.test\"\n\"b.test\"\n", "nothing yet");
    let draft = shown.hidden("draft");
    let done = root.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(done.location(), "/jdwa/domains");
    assert_eq!(house.text("domains.tab"), "\"a.test\"\n\"b.test\"\n\"new.test\"\n");
    let again = root.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "a second click does nothing");
    let page = root.get(&house, "/jdwa/domains/new.test/users").await;
    let fields = [("name", "bert"), ("password", "secret-word"), ("kind", "U")];
    let done = root.change(&house, &page, "/jdwa/domains/new.test/users", &fields).await;
    assert_eq!(done.location(), "/jdwa/domains/new.test/users/bert");
    assert!(house.text("mailusers.tab").contains("\"new.test\"\t\"bert\""));
    let page = root.get(&house, done.location()).await;
    assert!(page.text.contains("bert@new.test") && page.text.contains("MaxMBSize"), "{}", page.text);
    let log = house.text("logs/webadmin-202611230000");
    assert!(log.contains("\"root\"\t\"0.0.0.0\"\t\"add_user\"\t\"mailusers.tab\""), "{log}");
    assert!(!log.contains("secret-word"), "{log}");
    let refused = root.submit(&house, &page, "/jdwa/domains", &[("domain", "../etc")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn variables_are_changed_one_by_one_and_comments_stay() {
    let house = house();
    let mut of_a = logged_in(&house, "of-a").await;
    let path = "/jdwa/domains/a.test/users/anna";
    let page = of_a.get(&house, path).await;
    let base = page.hidden("base");
    let fields =
        [("base", base.as_str()), ("v.RealName", "Anna K."), ("v.MaxMBSize", "300"), ("v.Address", "")];
    assert_eq!(of_a.change(&house, &page, path, &fields).await.location(), path);
    let expected = "# mine\n\"RealName\"\t\"Anna K.\"\n\"MaxMBSize\"\t\"307200\"\n";
    assert_eq!(house.text("domains/a.test/anna/user.tab"), expected);
    let (page, fields) = (of_a.get(&house, path).await, [("v.RealName", "")]);
    let base = page.hidden("base");
    let all = [("base", base.as_str()), fields[0]];
    of_a.change(&house, &page, path, &all).await;
    assert_eq!(house.text("domains/a.test/anna/user.tab"), "# mine\n\"MaxMBSize\"\t\"307200\"\n");
}

#[tokio::test]
async fn a_shells_edit_between_load_and_save_is_merged_or_shown() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let file = house.directory.path().join("spammers.tab");
    let page = root.get(&house, "/jdwa/raw/spammers.tab").await;
    let base = page.hidden("base");
    fs::write(&file, "\"192.0.2.0/24\"\n\"198.51.100.0/24\"\n").unwrap();
    let mine = [("base", base.as_str()), ("text", "# mine\r\n\"192.0.2.0/24\"\r\n")];
    let done = root.change(&house, &page, "/jdwa/raw/spammers.tab", &mine).await;
    assert_eq!(done.location(), "/jdwa/raw/spammers.tab");
    assert_eq!(house.text("spammers.tab"), "# mine\n\"192.0.2.0/24\"\n\"198.51.100.0/24\"\n");

    let page = root.get(&house, "/jdwa/tables/spammers.tab/row?line=2").await;
    let base = page.hidden("base");
    let row = [("base", base.as_str()), ("line", "2"), ("c0", "192.0.2.0/25")];
    let shown = root.submit(&house, &page, "/jdwa/tables/spammers.tab/row", &row).await;
    let theirs = "# mine\n\"192.0.2.0/26\"\n\"198.51.100.0/24\"\n";
    fs::write(&file, theirs).unwrap();
    let draft = shown.hidden("draft");
    let conflict = root.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(conflict.status, StatusCode::CONFLICT);
    for version in ["192.0.2.0&#x2f;24", "192.0.2.0&#x2f;25", "192.0.2.0&#x2f;26"] {
        assert!(conflict.text.contains(version), "{version}: {}", conflict.text);
    }
    assert_eq!(house.text("spammers.tab"), theirs, "nothing was written");
}

#[tokio::test]
async fn a_text_is_judged_before_it_is_saved() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/raw/aliases.tab").await;
    let base = page.hidden("base");
    let broken = [("base", base.as_str()), ("text", "\"a.test\"\t\"boss\"\n")];
    let part = root.submit(&house, &page, "/jdwa/raw/aliases.tab/check?part=1", &broken).await;
    assert!(part.text.contains("class=\"error\"") && !part.text.contains("<html"), "{}", part.text);
    let refused = root.submit(&house, &page, "/jdwa/raw/aliases.tab", &broken).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(house.text("aliases.tab"), "\"a.test\"\t\"boss\"\t\"anna\"\n");
}

#[tokio::test]
async fn a_domains_administrator_sees_nothing_of_other_domains() {
    let house = house();
    let mut of_b = logged_in(&house, "of-b").await;
    let page = of_b.get(&house, "/jdwa/domains").await;
    assert!(page.text.contains("b.test") && !page.text.contains("a.test"), "{}", page.text);
    let page = of_b.get(&house, "/jdwa/domains/b.test/aliases").await;
    let across = [("alias", "spy"), ("target", "anna@a.test")];
    let answer = of_b.submit(&house, &page, "/jdwa/domains/b.test/aliases", &across).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_a_file_holds_is_text_and_never_markup() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/logs?file=smtp-202611230000").await;
    assert!(page.text.contains("&lt;script&gt;") && !page.text.contains("<script>"), "{}", page.text);
    let page = root.get(&house, "/jdwa/logs?file=../server.tab").await;
    assert!(!page.text.contains("RootDomain"), "only files of logs/ are shown");
    let page = root.get(&house, "/jdwa/explain?recipient=%3Cb%3E@a.test").await;
    assert!(page.text.contains("mail to &lt;b&gt;@a.test"), "{}", page.text);
}

#[tokio::test]
async fn pages_speak_the_browsers_language_or_the_chosen_one() {
    let house = house();
    let mut browser = Browser { language: "zh-CN,en;q=0.5", ..Browser::default() };
    let page = browser.get(&house, "/jdwa/login").await;
    assert!(page.text.contains("<html lang=\"zh-CN\"") && page.text.contains("密码"));
    let here = [("language", "en"), ("here", "/jdwa/login")];
    let answer = browser.submit(&house, &page, "/jdwa/preferences", &here).await;
    assert_eq!(answer.location(), "/jdwa/login");
    assert!(browser.get(&house, "/jdwa/login").await.text.contains("<html lang=\"en\""));
    let away = [("theme", "dark"), ("here", "//evil.test/")];
    let answer = browser.submit(&house, &page, "/jdwa/preferences", &away).await;
    assert_eq!(answer.location(), "/jdwa/");
    assert!(browser.get(&house, "/jdwa/login").await.text.contains("data-theme=\"dark\""));
}

/// Every key that templates and code use, whole: `t("a.b")`, and literals of the code that look like one.
fn used_keys(known: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (_, text) in EMBEDDED.iter().filter(|(name, _)| name.ends_with(".html")) {
        used.extend(text.split("t(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    let prefixes: BTreeSet<&str> =
        known.iter().filter_map(|key| key.split_once('.')).map(|(prefix, _)| prefix).collect();
    let mut pending = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")];
    while let Some(path) = pending.pop() {
        if path.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            pending.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.ends_with("tests.rs") || path.parent().is_some_and(|parent| parent.ends_with("tests")) {
            continue;
        }
        let code = fs::read_to_string(path).unwrap();
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for literal in code.split('"').skip(1).step_by(2) {
            let is_key = literal.split_once('.').is_some_and(|(prefix, name)| {
                prefixes.contains(prefix)
                    && !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            });
            if is_key && !literal.ends_with(".tab") && !literal.ends_with(".html") {
                used.insert(literal.to_owned());
            }
        }
    }
    used
}

#[test]
fn both_languages_have_the_texts_that_are_used_and_no_others() {
    let catalogs = Catalogs::load(&Assets::default()).unwrap();
    let [english, chinese] = Language::ALL.map(|language| catalogs.keys(language));
    assert_eq!(english, chinese);
    let known: BTreeSet<&str> = english.into_iter().collect();
    let used = used_keys(&known);
    let missing: Vec<_> = used.iter().filter(|key| !known.contains(key.as_str())).collect();
    let unused: Vec<_> = known.iter().filter(|key| !used.contains(**key)).collect();
    assert!(missing.is_empty() && unused.is_empty(), "missing: {missing:?}\nunused: {unused:?}");
    for key in known {
        let holes = |language| {
            let text = catalogs.text(language, key, &[]);
            let inner = text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
            // A word that follows a number stands in braces with it.
            let holes: BTreeSet<String> =
                inner.map(|hole| hole.split('|').next().unwrap_or_default().to_owned()).collect();
            holes
        };
        assert_eq!(holes(Language::English), holes(Language::Chinese), "{key}");
    }
}

#[test]
fn the_help_of_every_variable_is_there_in_chinese() {
    let catalogs = Catalogs::load(&Assets::default()).unwrap();
    let of = |table: &'static str, variables: &[&schema::Variable]| {
        variables.iter().map(|variable| format!("{table}.{}", variable.name)).collect::<Vec<_>>()
    };
    let all = [of("server", schema::server::VARIABLES), of("user", schema::user::VARIABLES)].concat();
    let missing: Vec<_> = all.iter().filter(|key| !catalogs.has_schema(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_variable_of_server_tab_is_under_one_topic() {
    let mut shown: Vec<&str> = settings::topics()
        .iter()
        .flat_map(|topic| topic.variables.iter().map(|variable| variable.name))
        .collect();
    let mut all: Vec<&str> = schema::server::VARIABLES.iter().map(|variable| variable.name).collect();
    shown.sort_unstable();
    all.sort_unstable();
    assert_eq!(shown, all);
}

#[test]
fn every_file_of_the_directory_is_embedded() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("webadmin");
    let mut found = Vec::new();
    for folder in ["i18n", "static", "templates"] {
        for entry in fs::read_dir(top.join(folder)).unwrap() {
            found.push(format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    found.sort();
    let mut embedded: Vec<&str> = EMBEDDED.iter().map(|(name, _)| *name).collect();
    embedded.sort_unstable();
    assert_eq!(found, embedded);
}

/// Not timed: what a page of 100,000 accounts reads is counted by what it shows; the time is printed.
#[tokio::test]
async fn a_page_of_100_000_accounts_shows_one_page() {
    let house = house();
    let rows: String = (0..100_000)
        .map(|n| format!("\"a.test\"\t\"user{n}\"\t\"1d0a\"\t{}\t\"user{n}\"\t\"U\"\n", n + 1))
        .collect();
    fs::write(house.directory.path().join("mailusers.tab"), rows).unwrap();
    house.admin.reload_tables(crate::admin::Reload::Now);
    let mut root = logged_in(&house, "root").await;
    let begun = std::time::Instant::now();
    let page = root.get(&house, "/jdwa/domains/a.test/users?q=user99&page=2").await;
    tracing::info!("users page over 100,000 accounts: {:?}", begun.elapsed());
    assert_eq!(page.text.matches("&#x2f;a.test&#x2f;users&#x2f;user").count(), super::visit::PAGE_ROWS);
    assert!(page.text.contains("Entries: 1,111") && page.text.contains("Page 2 of 23"), "{}", page.text);
    assert!(page.text.len() < 200_000);
}
