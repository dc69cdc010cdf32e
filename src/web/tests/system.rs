//! The pages about the system: dashboard, services, logs, queue, passwords, backup, certificates, settings, explain, about.

use std::sync::Mutex;

use super::*;
use crate::admin::CertificatePair;

/// A server that answers what is written down and remembers what it was told.
#[derive(Default)]
pub(super) struct Beside {
    told: Mutex<Vec<String>>,
}

impl Roof for Beside {
    fn is_serving(&self) -> bool {
        self.told.lock().unwrap().last().is_none_or(|told| told != "srvstop")
    }

    fn explain(&self, language: Language, question: &Question<'_>) -> Result<String, String> {
        let ip = question.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let to = if language == Language::Chinese { "发往" } else { "to" };
        Ok(format!("{} {to} {} from {ip}", question.sender, question.recipient))
    }

    fn control(&self, command: &[&str]) -> Result<(), String> {
        self.told.lock().unwrap().push(command.join(" "));
        if command.contains(&"nosuch") { Err("no such service".into()) } else { Ok(()) }
    }

    fn list(&self, command: &[&str]) -> Result<Vec<Vec<String>>, String> {
        assert_eq!(command, ["srvlist"]);
        let rows = [
            "smtp|0.0.0.0:25|open|",
            "pop3||closed|",
            "imap|192.0.2.1:143|failed|address is <taken>",
            "imaps||off|IMAPS-Listen",
            "smtps||off|-X-",
        ];
        Ok(rows.iter().map(|row| row.split('|').map(str::to_owned).collect()).collect())
    }

    fn start(&self) -> Start {
        Start::Here("tabmail serve".into())
    }

    fn start_server(&self) -> Result<(), String> {
        self.told.lock().unwrap().push("start".into());
        Ok(())
    }

    fn explain_message(&self, language: Language, message: &str) -> Result<String, String> {
        let waits = if language == Language::Chinese { "等待中" } else { "it waits" };
        if message == "S1" { Ok(waits.into()) } else { Err(format!("no message {message}")) }
    }
}

pub(super) fn beside() -> (House, Arc<Beside>) {
    let roof = Arc::new(Beside::default());
    (house_with(Arc::<Beside>::clone(&roof)), roof)
}

/// How long a test waits for work of a thread: many edits, each of them synced, on a busy disk.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(180);

/// Loads a page until something is in it that a thread of ours puts there.
pub(super) async fn until(browser: &mut Browser, house: &House, path: &str, wanted: &str) -> Answer {
    let begun = std::time::Instant::now();
    while begun.elapsed() < WAIT_MAX {
        let page = browser.get(house, path).await;
        if page.text.contains(wanted) {
            return page;
        }
        tokio::task::yield_now().await;
    }
    panic!("{path} never has {wanted}: {}", browser.get(house, path).await.text);
}

pub(super) fn spooled(to: &str) -> String {
    format!(
        "[192.0.2.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 10:00:00 +0000\r\nmx.a.test\r\nS1\r\nMAIL FROM:<s@b.test>\r\n\
         RCPT TO:<{to}>\r\n<<MAIL-DATA>>\r\nSubject: hello\r\n\r\nbody\r\n"
    )
}

const SLOG: &str = "[PeekTime] 1795428000 : Mon, 23 Nov 2026 10:00:00 +0000\n<<\nErrCode   = -77\nErrString = not permitted\n\
                    SMTP-Error = \"550 no such <user>\"\n>>\n";

fn queue(house: &House) {
    for (state, name, to) in [
        ("rsnd", "1795427000000.a.b.1.mx", "x@c.test"),
        ("froz", "1795427000001.a.b.2.mx", "y@d.test"),
        ("froz", "1795427000002.a.b.3.mx", "z@d.test"),
    ] {
        house.write(&format!("spool/0/1/{state}/{name}"), spooled(to));
    }
    house.write("spool/0/1/slog/1795427000001.a.b.2.mx", SLOG);
}

#[tokio::test]
async fn the_dashboard_shows_mail_by_hours_and_what_the_check_found_with_links_to_the_row() {
    let (house, _) = beside();
    house.write("logs/smtp-202611230000", "\"mx\"\t\"a\"\t\"192.0.2.1\"\t\"2026-11-23 09:10:00\"\t\"h\"\t\"a.test\"\t\"s\"\t\"r\"\t\"S1\"\t\"RECV=OK\"\t\"\"\t\"9\"\n");
    house.write("aliases.tab", "\"a.test\"\t\"boss\"\t\"nobody-here\"\n");
    house.admin.reload_tables(crate::admin::Reload::Now);
    queue(&house);
    let mut root = logged_in(&house, "root").await;
    let page = until(&mut root, &house, "/jdwa/", "aliases.tab?line=1").await;
    for shown in [
        "<svg viewBox",
        "role=\"img\"",
        "<desc",
        "09:00 Received: 1",
        "<code>0.0.0.0:25</code>",
        "cannot listen",
        "2 frozen",
    ] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(!page.text.contains("style="));
    let week = root.get(&house, "/jdwa/?span=week").await;
    assert!(week.text.contains("11-23 05:00"), "{}", week.text);
    let found = root.get(&house, "/jdwa/check?severity=error").await;
    assert!(found.text.contains("TAB101") && !found.text.contains("TAB3"), "{}", found.text);
    house.write("aliases.tab", "\"a.test\"\t\"boss\"\t\"anna\"\n");
    let again = root.submit(&house, &page, "/jdwa/check", &[]).await;
    assert_eq!(again.location(), "/jdwa/check");
    for _ in 0..20_000 {
        let page = root.get(&house, "/jdwa/check?severity=error").await;
        if !page.text.contains("TAB101") {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the check does not see the repair");
}

/// JD-61. The pages of a search are of one moment; its first page looks anew.
#[tokio::test]
async fn jd61_a_search_is_made_once_for_all_its_pages() {
    let house = house();
    for n in 0..120 {
        house.write(
            &format!("spool/0/1/rsnd/{}.a.b.{n}.mx", 1_795_427_000_000_u64 + n),
            spooled("wanted@c.test"),
        );
    }
    let mut root = logged_in(&house, "root").await;
    let first = root.get(&house, "/jdwa/queue?q=wanted").await;
    assert!(first.text.contains("Found as of 23 Nov 2026"), "{}", first.text);
    let spool = house.directory.path().join("spool/0/1/rsnd");
    let gone = spool.join("1795427000119.a.b.119.mx");
    fs::remove_file(gone).unwrap();
    house.write("spool/0/1/rsnd/1795427000200.a.b.200.mx", spooled("wanted@c.test"));
    let rows = |page: &Answer| page.text.matches("name=\"m\"").count();
    let last = root.get(&house, "/jdwa/queue?q=wanted&page=3").await;
    assert_eq!(
        (rows(&last), last.text.contains("a.b.200")),
        (19, false),
        "what is gone is not shown: {}",
        last.text
    );
    // Another search, another part, or a later one is not mixed up with it.
    assert_eq!(rows(&root.get(&house, "/jdwa/queue?q=wanted&part=frozen&page=2").await), 0);
    assert_eq!(rows(&root.get(&house, "/jdwa/queue?q=nobody&page=2").await), 0);
    root.get(&house, "/jdwa/queue?q=wanted").await;
    house.write("spool/0/1/rsnd/1795427000201.a.b.201.mx", spooled("wanted@c.test"));
    house.clock.advance(std::time::Duration::from_secs(61));
    let later = root.get(&house, "/jdwa/queue?q=wanted&page=3").await;
    assert_eq!((rows(&later), later.text.contains("a.b.201")), (21, true), "{}", later.text);
}

/// JD-59.
#[tokio::test]
async fn jd59_services_are_shown_opened_and_closed_and_the_server_is_stopped_and_reloaded() {
    let (house, roof) = beside();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/services").await;
    assert!(
        page.text.contains("address is &lt;taken&gt;") && page.text.contains("0.0.0.0:25"),
        "{}",
        page.text
    );
    for off in ["<code>IMAPS-Listen</code></a>", "command line: <code>-X-</code>"] {
        assert!(page.text.contains(off), "{off}: {}", page.text);
    }
    for (service, is_offered) in [("POP3", true), ("SMTPS", false), ("IMAPS", false)] {
        assert_eq!(page.text.contains(&format!("aria-label=\"Open {service}\"")), is_offered, "{service}");
    }
    for (act, service) in
        [("close", "smtp"), ("open", "pop3"), ("reopen", "imap"), ("reload", ""), ("stop", "")]
    {
        root.submit(&house, &page, "/jdwa/services", &[("act", act), ("service", service)]).await;
    }
    let told =
        ["srvclose smtp", "srvopen pop3", "srvclose imap", "srvopen imap", "tabreload wait", "srvstop"];
    assert_eq!(*roof.told.lock().unwrap(), told);
    root.submit(&house, &page, "/jdwa/services", &[("act", "close"), ("service", "nosuch")]).await;
    assert!(root.get(&house, "/jdwa/services").await.text.contains("no such service"));
    let house = super::house();
    let page = logged_in(&house, "root").await.get(&house, "/jdwa/services").await;
    assert!(
        page.text.contains("tabmail serve -Ms &#x2f;srv&#x2f;mail") && !page.text.contains("value=\"start\"")
    );
    assert!(house.text("logs/webadmin-202611230000").contains("log-in"));
}

/// JD-59: one click for stop and start, where the start is allowed here.
#[tokio::test]
async fn jd59_the_server_is_restarted() {
    let (house, roof) = beside();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/services").await;
    assert!(page.text.contains("value=\"restart\""), "{}", page.text);
    root.submit(&house, &page, "/jdwa/services", &[("act", "restart")]).await;
    assert_eq!(*roof.told.lock().unwrap(), ["srvstop", "start"]);
    assert!(house.text("logs/webadmin-202611230000").contains("service restart"));
    let house = super::house();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/services").await;
    assert!(!page.text.contains("value=\"restart\""), "{}", page.text);
    root.submit(&house, &page, "/jdwa/services", &[("act", "restart")]).await;
    assert!(root.get(&house, "/jdwa/services").await.text.contains("not started with a command"));
}

/// JD-60.
#[tokio::test]
async fn jd60_logs_are_searched_by_sender_and_recipient_paged_and_followed_without_passwords() {
    let house = house();
    let line = |n: usize, from: &str, to: &str| {
        format!(
            "\"mx\"\t\"a\"\t\"192.0.2.1\"\t\"2026-11-23 09:10:{:02}\"\t\"h\"\t\"a.test\"\t\"{from}\"\t\"{to}\"\t\"N{n}.\"\t\"RECV=OK\"\t\"\"\t\"9\"\n",
            n % 60
        )
    };
    let lines: String =
        (0..250).map(|n| line(n, "s@b.test", if n == 7 { "Seven@a.test" } else { "r@a.test" })).collect();
    house.write("logs/smtp-202611230000", &lines);
    house.write("logs/smtp-202611220000", line(900, "old@b.test", "r@a.test"));
    house.write(
        "logs/pop3-202611230000",
        "\"mx\"\t\"a\"\t\"192.0.2.1\"\t\"2026-11-23 09:10:00\"\t\"anna\"\t\"geheim\"\t\"ELOGIN\"\n",
    );
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/logs").await;
    assert!(
        page.text.contains("N249.") && page.text.contains("N150.") && !page.text.contains("N149."),
        "the newest"
    );
    let place = page.text.split("before&#x3d;").nth(1).or(page.text.split("before=").nth(1)).unwrap();
    let place: String = place.chars().take_while(char::is_ascii_digit).collect();
    let older = root.get(&house, &format!("/jdwa/logs?before={place}")).await;
    assert!(
        older.text.contains("N149.") && older.text.contains("N50.") && !older.text.contains("N49."),
        "older ones"
    );
    let found = root.get(&house, "/jdwa/logs?to=seven").await;
    assert!(found.text.contains("N7.") && !found.text.contains("N8."));
    let none = root.get(&house, "/jdwa/logs?from=seven").await;
    assert!(!none.text.contains("N7."), "a recipient is no sender");
    let day = root.get(&house, "/jdwa/logs?file=smtp-202611220000").await;
    assert!(day.text.contains("N900.") && !day.text.contains("N249."));
    let pop3 = root.get(&house, "/jdwa/logs?kind=pop3").await;
    assert!(pop3.text.contains("ELOGIN") && pop3.text.contains("***") && !pop3.text.contains("geheim"));
    let searched = root.get(&house, "/jdwa/logs?kind=pop3&q=geheim").await;
    assert!(!searched.text.contains("ELOGIN"), "a password cannot be guessed by searching");
    let followed = root.get(&house, "/jdwa/logs?follow=1").await;
    assert_eq!(followed.headers["refresh"], "5");
    house.write("logs/smtp-202611230000", format!("{lines}{}", line(251, "s@b.test", "<i>@a.test")));
    let tail =
        root.get(&house, &format!("/jdwa/logs/tail?file=smtp-202611230000&place={}", lines.len())).await;
    assert!(
        tail.text.contains("N251.") && !tail.text.contains("N249.") && tail.text.contains("&lt;i&gt;"),
        "{}",
        tail.text
    );
    let outside = root.get(&house, "/jdwa/logs/tail?file=../server.tab&place=0").await;
    assert_eq!(outside.status, StatusCode::NOT_FOUND);
}

/// JD-61.
#[tokio::test]
async fn jd61_the_queue_is_listed_searched_and_messages_are_tried_or_deleted_after_a_question() {
    let (house, roof) = beside();
    queue(&house);
    let mut root = logged_in(&house, "root").await;
    let waiting = root.get(&house, "/jdwa/queue").await;
    assert!(waiting.text.contains("x@c.test") && !waiting.text.contains("y@d.test"));
    let page = root.get(&house, "/jdwa/queue?part=frozen&q=D.test").await;
    assert!(
        page.text.contains("550 no such &lt;user&gt;") && page.text.contains("z@d.test"),
        "{}",
        page.text
    );
    let message = root.get(&house, "/jdwa/queue/0/1/1795427000001.a.b.2.mx").await;
    assert!(message.text.contains("Subject: hello") && message.text.contains("PeekTime"), "{}", message.text);
    assert!(!message.text.contains("body\r\n"), "the head only");
    let one = "0/1/1795427000001.a.b.2.mx";
    root.submit(
        &house,
        &page,
        "/jdwa/queue",
        &[("act", "resubmit"), ("part", "frozen"), ("scope", "selected"), ("m", one)],
    )
    .await;
    assert_eq!(roof.told.lock().unwrap().pop().unwrap(), format!("queuetry {one}"));
    let all = [("act", "delete"), ("part", "frozen"), ("scope", "all"), ("q", "z@D")];
    let asked = root.submit(&house, &page, "/jdwa/queue", &all).await;
    assert!(
        asked.text.contains("Delete 1 message?") && roof.told.lock().unwrap().is_empty(),
        "{}",
        asked.text
    );
    let messages = asked.hidden("messages");
    let sure = [("act", "delete"), ("part", "frozen"), ("messages", messages.as_str())];
    assert_eq!(root.submit(&house, &asked, "/jdwa/queue", &sure).await.location(), "/jdwa/queue?part=frozen");
    assert_eq!(*roof.told.lock().unwrap(), ["queuedel 0/1/1795427000002.a.b.3.mx"]);
    root.submit(&house, &asked, "/jdwa/queue", &sure).await;
    assert_eq!(roof.told.lock().unwrap().len(), 1, "a second click does nothing");
    assert!(house.text("logs/webadmin-202611230000").contains("queuedel 1:"));
    assert!(!page.text.contains("value=\"freeze\""), "they are frozen already");
    roof.told.lock().unwrap().clear();
    let (waits, page) = ("0/1/1795427000000.a.b.1.mx", root.get(&house, "/jdwa/queue").await);
    let one = [("act", "freeze"), ("part", "waiting"), ("scope", "selected"), ("m", waits)];
    root.submit(&house, &page, "/jdwa/queue", &one).await;
    assert_eq!(roof.told.lock().unwrap().pop().unwrap(), format!("queuefrz {waits}"));
    let all = [("act", "freeze"), ("part", "waiting"), ("scope", "all"), ("q", "c.test")];
    let asked = root.submit(&house, &page, "/jdwa/queue", &all).await;
    assert!(asked.text.contains("Freeze 1 message?"), "{}", asked.text);
    let messages = asked.hidden("messages");
    let sure = [("act", "freeze"), ("part", "waiting"), ("messages", messages.as_str())];
    root.submit(&house, &asked, "/jdwa/queue", &sure).await;
    assert_eq!(*roof.told.lock().unwrap(), [format!("queuefrz {waits}")]);
    let one = "0/1/1795427000001.a.b.2.mx";
    let house = super::house();
    queue(&house);
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/queue").await;
    let refused = root.submit(&house, &page, "/jdwa/queue", &[("act", "resubmit"), ("m", one)]).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "without a server nobody has the queue open"
    );
}

/// JD-61: what a page of a long queue reads is bounded by what it shows.
#[tokio::test]
async fn jd61_a_queue_of_ten_thousand_has_pages() {
    let house = house();
    let place = house.directory.path().join("spool/0/0/froz");
    fs::create_dir_all(&place).unwrap();
    for n in 0..10_000 {
        fs::write(place.join(format!("1795427{n:06}.a.b.{n:x}.mx")), "").unwrap();
    }
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/queue?part=frozen&page=3").await;
    assert!(page.text.contains("Page 3 of 200"), "{}", page.text);
    assert_eq!(page.text.matches("type=\"checkbox\"").count(), crate::web::visit::PAGE_ROWS);
}

/// JD-63: length, age, tries and bans, roles.
#[tokio::test]
async fn jd63_the_password_policy_is_kept_and_bans_are_seen_and_lifted() {
    let house = house();
    house.write(
        "server.tab",
        "\"WebPasswordMinLength\"\t\"12\"\n\"WebLoginTries\"\t\"2\"\n\"WebBanTime\"\t\"600\"\n",
    );
    house.admin.reload_tables(crate::admin::Reload::Now);
    let mut guesser = Browser::default();
    for _ in 0..2 {
        guesser.try_log_in(&house, "nobody", "wrong").await;
    }
    assert_eq!(guesser.try_log_in(&house, "nobody", "wrong").await.status, StatusCode::TOO_MANY_REQUESTS);
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/passwords").await;
    assert!(page.text.contains("WebBanTime") && page.text.contains("<td>nobody</td>"), "{}", page.text);
    let ban = [("name", "nobody"), ("address", "0.0.0.0")];
    assert_eq!(root.submit(&house, &page, "/jdwa/settings/bans", &ban).await.status, StatusCode::SEE_OTHER);
    assert_eq!(guesser.try_log_in(&house, "nobody", "wrong").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = root.get(&house, "/jdwa/password").await;
    let short = [("old", PASSWORD), ("new", "elevenchars"), ("again", "elevenchars")];
    assert_eq!(
        root.submit(&house, &page, "/jdwa/password", &short).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let good = [("old", PASSWORD), ("new", "twelve chars"), ("again", "twelve chars")];
    assert_eq!(root.submit(&house, &page, "/jdwa/password", &good).await.location(), "/jdwa/");
    assert!(house.text("webadmin.tab").contains("\"changed=2026-11-23\""));
    house.write("server.tab", "\"WebPasswordMaxAge\"\t\"30\"\n");
    house.admin.reload_tables(crate::admin::Reload::Now);
    assert_eq!(root.get(&house, "/jdwa/domains").await.status, StatusCode::OK);
    let mut unknown = logged_in(&house, "of-a").await;
    assert_eq!(
        unknown.get(&house, "/jdwa/domains").await.location(),
        "/jdwa/password",
        "nobody knows how old it is"
    );
    house.clock.advance(std::time::Duration::from_secs(31 * 86_400));
    let mut root = Browser::default();
    root.try_log_in(&house, "root", "twelve chars").await;
    assert_eq!(root.get(&house, "/jdwa/domains").await.location(), "/jdwa/password");
}

/// JD-63: an administrator gets another role; the last one of the role system keeps it.
#[tokio::test]
async fn jd63_roles_change_but_somebody_keeps_the_system() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/administrators").await;
    let role = [("name", "of-a"), ("role", "domain"), ("domains", "a.test, b.test")];
    root.change(&house, &page, "/jdwa/administrators/role", &role).await;
    assert!(house.text("webadmin.tab").contains("\"a.test,b.test\""));
    let system = [("name", "new"), ("role", "domain"), ("domains", "a.test")];
    root.change(&house, &page, "/jdwa/administrators/role", &system).await;
    let last = [("name", "root"), ("role", "domain"), ("domains", "a.test")];
    let refused = root.submit(&house, &page, "/jdwa/administrators/role", &last).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
}

/// JD-63: a minimum for accounts holds for every way of setting a password.
#[test]
fn jd63_short_passwords_of_accounts_are_refused_where_a_minimum_is_set() {
    let house = house();
    assert!(house.admin.set_password("a.test", "anna", b"short").is_ok());
    house.write("server.tab", "\"PasswordMinLength\"\t\"8\"\n");
    house.admin.reload_tables(crate::admin::Reload::Now);
    let refused = house.admin.set_password("a.test", "anna", b"short");
    assert!(matches!(refused, Err(crate::admin::AdminError::PasswordTooShort { needed: 8 })), "{refused:?}");
    assert!(house.admin.set_password("a.test", "anna", "密码密码密码密码".as_bytes()).is_ok());
}

/// JD-64.
#[tokio::test]
async fn jd64_a_backup_is_made_compared_and_brought_back() {
    let house = house();
    house.write("domains/a.test/anna/Maildir/cur/1.a:2,S", "mail");
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/backup").await;
    root.submit(&house, &page, "/jdwa/backup", &[("act", "make"), ("scope", "mail")]).await;
    let page = until(&mut root, &house, "/jdwa/backup", "was made").await;
    let name = "tabmail-20261123-100000-mail.tar.gz";
    assert!(page.text.contains(name), "{}", page.text);
    let file = root.send_bytes(&house, &format!("/jdwa/backup/{name}/download")).await;
    assert_eq!(file, fs::read(house.directory.path().join("backups").join(name)).unwrap());
    house.write("aliases.tab", "");
    fs::remove_file(house.directory.path().join("domains/a.test/anna/Maildir/cur/1.a:2,S")).unwrap();
    house.admin.reload_tables(crate::admin::Reload::Now);
    let path = format!("/jdwa/backup/{name}");
    let shown = root.get(&house, &path).await;
    assert!(
        shown.text.contains("value=\"aliases.tab\"") && !shown.text.contains("value=\"domains.tab\""),
        "{}",
        shown.text
    );
    let sneaky =
        root.submit(&house, &shown, &path, &[("act", "tables"), ("table", "../../etc/passwd")]).await;
    assert_eq!(sneaky.location(), path, "it is not among the tables that differ");
    let done = root.change(&house, &shown, &path, &[("act", "tables"), ("table", "aliases.tab")]).await;
    assert_eq!(done.location(), path);
    assert_eq!(house.text("aliases.tab"), "\"a.test\"\t\"boss\"\t\"anna\"\n");
    root.submit(&house, &shown, &path, &[("act", "files"), ("within", "anna@a.test")]).await;
    until(&mut root, &house, "/jdwa/backup", "1 files were brought back").await;
    assert_eq!(house.text("domains/a.test/anna/Maildir/cur/1.a:2,S"), "mail");
    for nowhere in ["/jdwa/backup/..%2Fserver.tab/download", "/jdwa/backup/server.tab"] {
        assert_eq!(root.get(&house, nowhere).await.status, StatusCode::NOT_FOUND, "{nowhere}");
    }
    root.submit(&house, &shown, "/jdwa/backup", &[("act", "delete"), ("name", name)]).await;
    assert_eq!(root.get(&house, &path).await.status, StatusCode::NOT_FOUND);
}

/// A form with a file, as browsers send it.
fn multipart(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let file = if *name == "archive" { "; filename=\"../../x.tar.gz\"" } else { "" };
        let head = format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(b"--limit--\r\n");
    body
}

impl Browser {
    async fn upload(&mut self, house: &House, body: impl Into<Body>, bytes: Option<u64>) -> StatusCode {
        let mut request = Request::post("/jdwa/backup/upload")
            .header(header::COOKIE, self.cookies.join("; "))
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=limit");
        if let Some(bytes) = bytes {
            request = request.header(header::CONTENT_LENGTH, bytes);
        }
        house.app.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap().status()
    }
}

/// What is in the directory of backups.
fn kept(house: &House) -> Vec<String> {
    let entries = fs::read_dir(house.directory.path().join("backups")).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// JD-64.
#[tokio::test]
async fn jd64_a_backup_is_uploaded_read_through_and_restored() {
    let house = house();
    let made = house.admin.make_backup(
        &house.directory.path().join("elsewhere"),
        crate::admin::backup::Scope::System,
        &|_| (),
    );
    let archive = fs::read(made.unwrap()).unwrap();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/backup").await;
    assert!(page.text.contains("enctype=\"multipart/form-data\"") && page.text.contains("type=\"file\""));
    let csrf = page.hidden("csrf");
    let form = multipart(&[("csrf", csrf.as_bytes()), ("archive", &archive)]);
    assert_eq!(root.upload(&house, form, None).await, StatusCode::SEE_OTHER);
    let name = "tabmail-20261123-100000-received.tar.gz";
    until(&mut root, &house, "/jdwa/backup", &format!("is here: {name}")).await;
    assert_eq!(kept(&house), [name]);
    assert_eq!(fs::read(house.directory.path().join("backups").join(name)).unwrap(), archive);
    house.write("aliases.tab", "");
    house.admin.reload_tables(crate::admin::Reload::Now);
    let shown = root.get(&house, &format!("/jdwa/backup/{name}")).await;
    assert!(shown.text.contains("value=\"aliases.tab\""), "{}", shown.text);
    // One that ends too early is told, and not kept.
    let half = multipart(&[("csrf", csrf.as_bytes()), ("archive", &archive[..archive.len() / 2])]);
    assert_eq!(root.upload(&house, half, None).await, StatusCode::SEE_OTHER);
    until(&mut root, &house, "/jdwa/backup", "class=\"flash bad\"").await;
    assert_eq!(kept(&house), [name]);
}

/// JD-64.
#[tokio::test]
async fn jd64_an_upload_without_token_or_end_or_room_leaves_nothing() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let csrf = root.get(&house, "/jdwa/backup").await.hidden("csrf");
    let csrf = ("csrf", csrf.as_bytes());
    let archive = ("archive", &b"something"[..]);
    let large = vec![b'x'; 200 << 10];
    let whole = multipart(&[csrf, archive]);
    let cut = whole[..whole.len() - 12].to_vec();
    let cases = [
        (multipart(&[archive]), None, StatusCode::FORBIDDEN),
        (multipart(&[("csrf", b"0000"), archive]), None, StatusCode::FORBIDDEN),
        (multipart(&[archive, csrf]), None, StatusCode::FORBIDDEN),
        (multipart(&[("csrf", &large), archive]), None, StatusCode::BAD_REQUEST),
        (multipart(&[csrf]), None, StatusCode::BAD_REQUEST),
        (multipart(&[csrf, ("other", b"x")]), None, StatusCode::BAD_REQUEST),
        (multipart(&[csrf, archive, archive]), None, StatusCode::BAD_REQUEST),
        (cut, None, StatusCode::BAD_REQUEST),
        (b"nothing of the kind".to_vec(), None, StatusCode::BAD_REQUEST),
        (whole, Some(1 << 50), StatusCode::UNPROCESSABLE_ENTITY),
        (multipart(&[csrf, ("archive", b"")]), None, StatusCode::SEE_OTHER),
    ];
    for (at, (form, bytes, expected)) in cases.into_iter().enumerate() {
        assert_eq!(root.upload(&house, form, bytes).await, expected, "{at}");
    }
    assert!(root.get(&house, "/jdwa/backup").await.text.contains("No file was chosen"));
    // A writer that is given up ends by itself.
    for _ in 0..20_000 {
        if kept(&house).is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(kept(&house), [""; 0]);
    let mut other = logged_in(&house, "of-a").await;
    assert_eq!(other.upload(&house, multipart(&[csrf, archive]), None).await, StatusCode::FORBIDDEN);
    let page = root.get(&house, "/jdwa/domains").await;
    let request = Request::post("/jdwa/domains")
        .header(header::COOKIE, root.cookies.join("; "))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=limit");
    let form = multipart(&[("csrf", page.hidden("csrf").as_bytes()), ("domain", b"c.test")]);
    let answer = house.app.clone().oneshot(request.body(Body::from(form)).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "only where a file is expected");
}

impl Browser {
    async fn send_bytes(&mut self, house: &House, path: &str) -> Vec<u8> {
        let request = Request::get(path).header(header::COOKIE, self.cookies.join("; "));
        let response = house.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_when_its_key_fits_and_the_key_is_never_shown() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/certificates").await;
    let [one, two] = [(); 2].map(|()| CertificatePair::self_signed(&["mx.a.test".to_owned()]).unwrap());
    let wrong = [("act", "paste"), ("certificate", one.certificate.as_str()), ("key", two.key.as_str())];
    let refused = root.submit(&house, &page, "/jdwa/certificates", &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("BEGIN CERTIFICATE") && !refused.text.contains(two.key.lines().nth(1).unwrap())
    );
    assert!(!house.directory.path().join("server.key").exists());
    let good = [("act", "paste"), ("certificate", one.certificate.as_str()), ("key", one.key.as_str())];
    let shown = root.submit(&house, &page, "/jdwa/certificates", &good).await;
    assert!(
        shown.text.contains("server.key") && !shown.text.contains(one.key.lines().nth(1).unwrap()),
        "{}",
        shown.text
    );
    root.change(&house, &page, "/jdwa/certificates", &good).await;
    assert_eq!(house.text("server.key").trim(), one.key.trim());
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(house.directory.path().join("server.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let page = root.get(&house, "/jdwa/certificates").await;
    assert!(page.text.contains("mx.a.test") && page.text.contains("SHA-256"), "{}", page.text);
    let names = [("act", "self_signed"), ("names", "new.a.test")];
    root.change(&house, &page, "/jdwa/certificates", &names).await;
    assert!(root.get(&house, "/jdwa/certificates").await.text.contains("new.a.test"));
    let log = house.text("logs/webadmin-202611230000");
    assert!(log.contains("replace_certificate") && !log.contains(one.key.lines().nth(1).unwrap()));
}

/// JD-58.
#[tokio::test]
async fn jd58_a_refused_setting_comes_back_with_what_was_typed_and_the_reason() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/settings?topic=administration").await;
    let base = page.hidden("base");
    let fields = [
        ("base", base.as_str()),
        ("topic", "administration"),
        ("v.WebBanTime", "half an hour"),
        ("v.WebLoginTries", "7"),
    ];
    let refused = root.submit(&house, &page, "/jdwa/settings", &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("half an hour") && refused.text.contains("class=\"problem\""),
        "{}",
        refused.text
    );
    let fields = [
        ("base", base.as_str()),
        ("topic", "administration"),
        ("v.WebBanTime", "1200"),
        ("v.WebLoginTries", "7"),
    ];
    root.change(&house, &refused, "/jdwa/settings", &fields).await;
    assert!(
        house.text("server.tab").starts_with("# kept\n")
            && house.text("server.tab").contains("\"WebBanTime\"\t\"1200\"")
    );
}

#[tokio::test]
async fn a_message_of_the_queue_or_a_pasted_one_is_explained() {
    let (house, _) = beside();
    let mut root = logged_in(&house, "root").await;
    assert!(root.get(&house, "/jdwa/explain?message=S1").await.text.contains("it waits"));
    let page = root.get(&house, "/jdwa/explain?message=S2").await;
    assert!(page.text.contains("no message S2"));
    let source = "Received: from x ([192.0.2.7])\r\nFrom: <s@b.test>\r\nTo: <anna@a.test>, bert@a.test\r\n\r\nhello\r\n";
    let page = root.submit(&house, &page, "/jdwa/explain", &[("source", source)]).await;
    for told in ["s@b.test to anna@a.test from 192.0.2.7", "s@b.test to bert@a.test from 192.0.2.7"] {
        assert!(page.text.contains(told), "{told}: {}", page.text);
    }
}

/// JD-67.
#[tokio::test]
async fn jd67_the_program_says_its_version_and_licence() {
    let house = house();
    let page = logged_in(&house, "of-a").await.get(&house, "/jdwa/about").await;
    assert!(
        page.text.contains(env!("CARGO_PKG_VERSION")) && page.text.contains("Apache License"),
        "{}",
        page.text
    );
}
