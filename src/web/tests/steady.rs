//! What the pages do where the server is stopped, tables are broken, or nothing can be written.

use super::*;
use crate::durable::{Faults, Step};
use std::io;

/// A MailRoot in which every page of the table finds what it shows.
fn furnished() -> House {
    let house = house();
    house.admin.add_user("a.test", "news", b"pw", "M").unwrap();
    house.write("groups/a.test/staff/members.tab", "\"anna\"\n");
    house.write("groups/a.test/staff/user.tab", "\"MaxMBSize\"\t\"100\"\n");
    house.write("custdomains/x.test.tab", "\"redirect\"\t\"y.test\"\n");
    house
}

/// Every page opens while no mail server runs; those that need one say so in words.
#[tokio::test]
async fn every_page_works_with_the_server_stopped() {
    let house = furnished();
    house.write("spool/0/0/rsnd/1795427000000.a.b.1.mx", system::spooled("x@c.test"));
    house.write("backups/tabmail-1-system.tar.gz", "no archive");
    let mut root = logged_in(&house, "root").await;
    for route in ROUTES.iter().filter(|route| route.method == Method::Get) {
        let name = match route.path {
            path if path.starts_with("/jdwa/queue/") => "1795427000000.a.b.1.mx",
            path if path.starts_with("/jdwa/backup/") => "tabmail-1-system.tar.gz",
            _ => "anna",
        };
        let file = match route.path {
            path if path.contains("/commands/") => "x.tab",
            path if path.contains("/files/") => "x.test.tab",
            _ => "admin.css",
        };
        let table = if route.path.contains("/users/{name}/rows") { "mailproc" } else { "spammers.tab" };
        let table = if route.path.contains("{domain}/rows") { "aliases.tab" } else { table };
        let path = route.path.replace("{name}", name).replace("{file}", file).replace("{table}", table);
        let answer = root.get(&house, &sample(&path)).await;
        assert!(!answer.status.is_server_error(), "{path}: {} {}", answer.status, answer.text);
    }
}

impl Answer {
    /// As people read it.
    fn plain(&self) -> String {
        self.text.replace("&#x2f;", "/").replace("&quot;", "\"")
    }
}

const BROKEN: &str = "\"half\"\n\"unclosed\n\"\"\n";

/// A root table of each kind with a fault: its page opens, names file and line, and leads to the text.
#[tokio::test]
async fn a_broken_root_table_of_each_kind_is_shown_with_its_fault_and_the_editor() {
    let house = furnished();
    let known = |table: &str| fs::read_to_string(house.directory.path().join(table)).unwrap_or_default();
    let broken = |table: &&'static str| (*table, known(table) + BROKEN);
    let tables: Vec<(&str, String)> = crate::mailroot::snapshot::ROOT_TABLES.iter().map(broken).collect();
    tables.iter().for_each(|(table, text)| house.write(table, text));
    house.admin.reload_tables(crate::admin::Reload::Now);
    let mut root = logged_in(&house, "root").await;
    for (table, text) in tables {
        let raw = format!("/jdwa/raw/{table}");
        let mut page = root.get(&house, &format!("/jdwa/tables/{table}")).await;
        let is_text_only = page.location() == raw;
        if is_text_only {
            page = root.get(&house, &raw).await;
        }
        assert_eq!(page.status, StatusCode::OK, "{table}");
        let problems =
            (schema::table::of_file(table.as_ref()).unwrap().load)(table.as_ref(), text.as_bytes());
        let first =
            problems.iter().find(|problem| problem.kind.severity() != crate::mailroot::Severity::Note);
        let Some(first) = first else { continue };
        let place = if is_text_only { format!("{}", first.line) } else { format!("{table}:{}", first.line) };
        let plain = page.plain();
        assert!(plain.contains(&place) && plain.contains(&raw), "{table} {place}: {plain}");
    }
}

/// The same for tables of domains, accounts, lists and groups; who may not edit the text is told whom to ask.
#[tokio::test]
async fn a_broken_table_of_an_account_a_list_or_a_group_is_shown_with_its_fault_and_the_editor() {
    let house = furnished();
    let base = "/jdwa/domains/a.test";
    let (mut root, mut of_a) = (logged_in(&house, "root").await, logged_in(&house, "of-a").await);
    for (file, path) in [
        ("userdef.tab", "/jdwa/defaults".to_owned()),
        ("domains/a.test/userdef.tab", format!("{base}/defaults")),
        ("domains/a.test/anna/user.tab", format!("{base}/users/anna")),
        ("domains/a.test/news/user.tab", format!("{base}/lists/news")),
        ("domains/a.test/news/mlusers.tab", format!("{base}/lists/news")),
        ("groups/a.test/staff/user.tab", format!("{base}/groups/staff")),
        ("groups/a.test/staff/members.tab", format!("{base}/groups/staff")),
        ("domains/a.test/anna/mailproc.tab", format!("{base}/users/anna/rows/mailproc.tab")),
        ("domains/a.test/mailproc.tab", format!("{base}/rows/mailproc.tab")),
        ("domains/a.test/addressbook.tab", format!("{base}/addressbook")),
        ("custdomains/x.test.tab", "/jdwa/files/custdomains/x.test.tab".to_owned()),
        ("cmdaliases/a.test/x.tab", format!("{base}/commands/x.tab")),
    ] {
        let before = fs::read(house.directory.path().join(file)).ok();
        house.write(file, format!("# kept\n\n{}{BROKEN}", "\"a\"\t\"b\"\t\"c\"\t\"d\"\t\"e\"\n"));
        let page = root.get(&house, &path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        let plain = page.plain();
        let place = plain.split(&format!("{file}:")).nth(1).and_then(|after| after.chars().next());
        assert!(place.is_some_and(|digit| digit.is_ascii_digit()), "{file}: {plain}");
        let link = plain.split("href=\"/jdwa/text/").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let editor = format!("/jdwa/text/{link}");
        let raw = root.get(&house, &editor).await;
        assert!(raw.plain().contains("\"unclosed") && raw.plain().contains(file), "{file}: {}", raw.text);
        let fields = [("base", raw.hidden("base")), ("text", "# kept\n".to_owned())];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let done = root.change(&house, &raw, &editor, &fields).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{file}: {}", done.text);
        assert_eq!(house.text(file), "# kept\n");
        assert_eq!(of_a.get(&house, &editor).await.status, StatusCode::FORBIDDEN);
        if path.starts_with(base) {
            house.write(file, BROKEN);
            let theirs = of_a.get(&house, &path).await.plain();
            assert!(
                theirs.contains("administrator of the system can repair") && !theirs.contains("/jdwa/text/"),
                "{file}: {theirs}"
            );
        }
        before.into_iter().for_each(|bytes| house.write(file, bytes));
    }
    assert_eq!(root.get(&house, "/jdwa/text/nothing").await.status, StatusCode::CONFLICT);
}

/// A disk that takes nothing.
struct Closed(io::ErrorKind);

impl Faults for Closed {
    fn before(&self, _: Step<'_>) -> io::Result<()> {
        Err(self.0.into())
    }
}

/// The page with the form, the path, the fields.
type Change<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Where nothing can be written, every change is refused in words, and no page fails.
#[tokio::test]
async fn changes_are_refused_in_words_where_nothing_can_be_written() {
    for (kind, words) in [
        (io::ErrorKind::ReadOnlyFilesystem, "mounted read-only"),
        (io::ErrorKind::PermissionDenied, "no permission to write"),
        (io::ErrorKind::StorageFull, "the disk is full"),
    ] {
        let House { directory, .. } = furnished();
        let house = opened(directory, Arc::new(NoRoof), Disk::with_faults(Arc::new(Closed(kind))));
        let before = house.text("mailusers.tab");
        let mut root = logged_in(&house, "root").await;
        let changes: [Change<'_>; 8] = [
            ("/jdwa/domains", "/jdwa/domains", &[("domain", "new.test")]),
            (
                "/jdwa/domains/a.test/users",
                "/jdwa/domains/a.test/users",
                &[("name", "bert"), ("password", "long-enough")],
            ),
            ("/jdwa/domains/a.test/users/anna", "/jdwa/domains/a.test/users/anna/delete", &[]),
            ("/jdwa/domains/a.test/users/anna", "/jdwa/domains/a.test/users/anna/rename", &[("new", "anne")]),
            (
                "/jdwa/domains/a.test/users/anna",
                "/jdwa/domains/a.test/users/anna/password",
                &[("password", "another-one")],
            ),
            (
                "/jdwa/domains/a.test/users",
                "/jdwa/domains/a.test/selection",
                &[("name", "anna"), ("act", "disable")],
            ),
            ("/jdwa/domains/a.test/groups", "/jdwa/domains/a.test/groups", &[("group", "other")]),
            ("/jdwa/domains", "/jdwa/domains/a.test/delete", &[]),
        ];
        for (page, path, fields) in changes {
            let form = root.get(&house, page).await;
            let shown = root.submit(&house, &form, path, fields).await;
            assert_eq!(shown.status, StatusCode::OK, "{path}: {}", shown.text);
            let draft = shown.hidden("draft");
            let done = root.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
            assert_eq!(done.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {}", done.text);
            assert!(done.text.contains(words), "{path}: {}", done.text);
        }
        assert_eq!(house.text("mailusers.tab"), before);
        for route in ROUTES {
            let path = sample(route.path);
            if path == "/jdwa/logout" {
                continue;
            }
            let form = root.get(&house, "/jdwa/password").await;
            let answer = match route.method {
                Method::Get => root.get(&house, &path).await,
                Method::Post => root.submit(&house, &form, &path, &[]).await,
            };
            assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{kind:?} {path} {}", answer.text);
        }
    }
}

/// An answer that comes before the end of the form reaches a browser that sends all of it first.
#[tokio::test]
async fn a_refusal_is_read_by_a_browser_that_still_sends() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let house = house();
    let address = crate::net::BindAddress::parse("127.0.0.1:0", 0).unwrap();
    let listener = crate::net::Listener::bind(address, &crate::net::ListenOptions::default()).unwrap();
    let (to, stop) = (listener.local_addr(), tokio_util::sync::CancellationToken::new());
    let door = crate::web::Door { listener, tls: None };
    let serving = tokio::spawn(crate::web::serve(door, house.app.clone(), stop.clone()));
    let root = logged_in(&house, "root").await;
    let mut socket = tokio::net::TcpStream::connect(to).await.unwrap();
    let bytes = 48 << 20;
    let head = format!(
        "POST /jdwa/backup/upload HTTP/1.1\r\nHost: x\r\nCookie: {}\r\nContent-Length: {bytes}\r\n\
         Content-Type: multipart/form-data; boundary=limit\r\n\r\n--limit\r\n\
         Content-Disposition: form-data; name=\"csrf\"\r\n\r\nforeign\r\n--limit\r\n",
        root.cookies.join("; ")
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // More than the buffers of both sides hold.
    socket.write_all(&vec![b'x'; bytes - 1024]).await.unwrap();
    let mut answer = Vec::new();
    socket.shutdown().await.unwrap();
    socket.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 403"),
        "{}",
        String::from_utf8_lossy(&answer[..200.min(answer.len())])
    );
    stop.cancel();
    serving.await.unwrap();
}
