//! Issue 7, 5: no English sentence on a Chinese page: every page, what every form answers to nonsense, and refusals.

use super::*;
use crate::mailroot::schema::TABLES;
use crate::web::visit::segment;

/// Text between tags, and of attributes that are read aloud; what stands in `code`, `pre` and `textarea` is of files.
fn visible(html: &str) -> String {
    let mut text = String::new();
    let (mut rest, mut hidden) = (html, Vec::new());
    while let Some(open) = rest.find('<') {
        if hidden.is_empty() {
            text.push_str(&rest[..open]);
        }
        let close = open + rest[open..].find('>').unwrap_or(rest.len() - open - 1);
        let tag = &rest[open + 1..close];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if ["code", "pre", "textarea", "script"].contains(&name) {
            if tag.starts_with('/') {
                hidden.pop();
            } else {
                hidden.push(name);
            }
        }
        for attribute in [" title=\"", " aria-label=\"", " placeholder=\"", " alt=\""] {
            if let Some((_, value)) = tag.split_once(attribute) {
                text.push('\n');
                text.push_str(value.split('"').next().unwrap_or_default());
            }
        }
        text.push('\n');
        rest = &rest[(close + 1).min(rest.len())..];
    }
    text.push_str(rest);
    text.replace("&#x27;", "'")
        .replace("&quot;", "\"")
        .replace("&#x2f;", "/")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
}

/// Commands that are named in sentences.
const COMMANDS: [&str; 2] = ["tabmail web", "tabmail check"];

/// Words of a language, one after the other, of which one begins with a small letter.
fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut run: Vec<&str> = Vec::new();
        for part in line.split(' ').chain([""]) {
            let word = part.trim_matches(|c: char| c.is_ascii_punctuation());
            let is_word = word.len() > 1 && word.chars().all(|c| c.is_ascii_alphabetic() || c == '\'');
            if is_word {
                run.push(word);
            }
            if !is_word || part.ends_with(['.', ':', ';', ',']) {
                let small =
                    run.iter().filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).count();
                let joined = run.join(" ");
                if joined.contains(' ') && small >= 1 && !COMMANDS.contains(&&*joined) {
                    found.push(joined);
                }
                run.clear();
            }
        }
    }
    found
}

/// Forms of a page: the action, and names with values of the fields.
fn forms(html: &str) -> Vec<(String, Vec<(String, String)>)> {
    let attribute = |tag: &str, name: &str| {
        let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
        Some(tag[start..].split('"').next().unwrap_or_default().replace("&#x2f;", "/").replace("&amp;", "&"))
    };
    let parts = html.split("<form ").skip(1);
    let of = |part: &str| {
        let form = part.split("</form>").next().unwrap_or_default();
        let (head, body) = form.split_once('>')?;
        let head = format!(" {head}");
        let is_post = attribute(&head, "method")?.eq_ignore_ascii_case("post");
        let tags = body.split('<').filter(|tag| {
            ["input ", "select ", "textarea ", "button "].iter().any(|name| tag.starts_with(name))
        });
        let fields = tags.filter_map(|tag| {
            let name = attribute(tag, "name")?;
            Some((name, attribute(tag, "value").unwrap_or_default()))
        });
        is_post.then(|| Some((attribute(&head, "action")?, fields.collect())))?
    };
    parts.filter_map(of).collect()
}

fn furnished(house: House) -> House {
    house.write(
        "domains/a.test/anna/mailproc.tab",
        "\"mailbox\"\n\"redirect\"\t\"x@y.test\"\n\"external\"\t\"0\"\t\"5\"\t\"/bin/x\"\n",
    );
    house.write("groups/a.test/staff/members.tab", "\"anna\"\n");
    house.write("groups/a.test/staff/user.tab", "\"MaxMBSize\"\t\"x\"\n");
    house.write("domains/a.test/news/mlusers.tab", "\"anna@a.test\"\t\"RW\"\n");
    house.write("cmdaliases/a.test/anna.tab", "\"mailbox\"\n\"wait\"\t\"5\"\n");
    house.write("custdomains/anna.tab", "\"smtprelay\"\t\"relay.test:26\"\n");
    house.write("custdomains/admin.css", "");
    house.write(
        "smtp.ipmap.tab",
        "\"10.0.0.0/8\"\t\"-\"\t\"DENY\"\t1\n\"10.1.0.0/16\"\t\"-\"\t\"MAYBE\"\t0\n",
    );
    house.write("pop3links.tab", "\"a.test\"\t\"anna\"\t\"pop.b.test\"\t\"u\"\t\"0000\"\t\"CLR\"\n");
    house.write("smtpfwd.tab", "\"*\"\t\"\"\n\"b.example\"\t\"h,OutBind=x\"\n");
    house.write("spam-address.tab", "\"nobody\"\n\"*@x.test\"\n");
    house.write("filters.in.tab", "\"*\"\t\"*\"\t\"0.0.0.0/0\"\t\"0.0.0.0/0\"\t\"scan.tab\"\n");
    house.write("smtpauth.tab", "\"u\"\t\"p\"\t\"MR?\"\n");
    house.write("addressbook.tab", "\"a.test\"\t\"\"\t\"Anna\"\t\"anna@a.test\"\n");
    house.write("server.tab", "\"RootDomain\"\t\"a.test\"\n\"NoSuch\"\t\"1\"\n\"MaxMTAOps\"\t\"x\"\n\"SmtpConfig\"\t\"odd\"\n\"HistoryMaxSize\"\t\"1000\"\n\"SMTPLocalRule1\"\t\"1\"\n");
    let rows = house.text("mailusers.tab")
        + "\"a.test\"\t\"news\"\t\"\"\t2\t\"news\"\t\"M\"\n\"b.test\"\t\"bert\"\t\"1d0a\"\t2\t\"bert\"\t\"Q\"\n\"short\"\n";
    house.write("mailusers.tab", rows);
    house.write("spool/0/0/froz/1795427000001.a.b.2.mx", "[192.0.2.1]:1;[127.0.0.1]:25;Mon, 23 Nov 2026 10:00:00 +0000\r\nmx.a.test\r\nS1\r\nMAIL FROM:<s@b.test>\r\nRCPT TO:<y@d.test>\r\n<<MAIL-DATA>>\r\nSubject: hello\r\n\r\nbody\r\n");
    house.admin.reload_tables(crate::admin::Reload::Now);
    house
}

fn paths() -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for route in
        ROUTES.iter().filter(|route| route.method == Method::Get && route.path != "/jdwa/static/{file}")
    {
        if route.path.contains("{table}") {
            for table in TABLES {
                paths.push(sample(&route.path.replace("{table}", &segment(table.name))));
            }
        } else {
            paths.push(sample(route.path));
        }
    }
    paths.extend(
        [
            "/jdwa/queue?part=frozen",
            "/jdwa/queue/0/0/1795427000001.a.b.2.mx",
            "/jdwa/explain?recipient=anna@a.test&ip=x",
            "/nowhere",
        ]
        .map(str::to_owned),
    );
    paths
}

/// What stands on the pages of one visitor, and on those that answer its forms filled with nonsense.
async fn swept(house: &House, browser: &mut Browser, paths: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut posts = 0;
    for path in paths {
        let page = browser.get(house, path).await;
        found.extend(sentences(&visible(&page.text)).into_iter().map(|text| format!("{text}   <- {path}")));
        for (action, fields) in forms(&page.text) {
            // These would change who the visitor is.
            if ["preferences", "logout", "password", "login"].iter().any(|own| action.ends_with(own)) {
                continue;
            }
            for nonsense in ["", "q 9/../%", "9999999999999", "x@y@z"] {
                let is_kept = |name: &str| ["csrf", "base", "act", "draft", "line"].contains(&name);
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (&**name, if is_kept(name) { &**value } else { nonsense }))
                    .collect();
                let answer = browser.post(house, &action, &fields).await;
                posts += 1;
                let shown = sentences(&visible(&answer.text));
                found.extend(shown.into_iter().map(|text| format!("{text}   <- {action} {nonsense:?}")));
            }
        }
    }
    assert!(posts >= paths.len() / 2, "{posts} forms of {} pages", paths.len());
    found
}

async fn in_chinese(house: &House, name: &str) -> Browser {
    let mut browser = logged_in(house, name).await;
    browser.language = "zh-CN";
    browser
}

#[track_caller]
fn assert_none(found: &BTreeSet<String>) {
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn no_untranslated_sentence_is_on_a_chinese_page() {
    let house = furnished(house());
    let mut root = in_chinese(&house, "root").await;
    let check = root.get(&house, "/jdwa/check").await;
    root.submit(&house, &check, "/jdwa/check", &[]).await;
    for _ in 0..20_000 {
        if root.get(&house, "/jdwa/check").await.text.contains("TAB0") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let found = root.get(&house, "/jdwa/check").await;
    assert!(found.text.contains("TAB0") && found.text.contains("服务器的处理方式"), "{}", found.text);
    assert_none(&swept(&house, &mut root, &paths()).await);
}

#[tokio::test]
async fn nor_is_one_where_the_server_runs_or_for_the_administrator_of_a_domain() {
    let (house, _) = super::system::beside();
    let house = furnished(house);
    let mut root = in_chinese(&house, "root").await;
    let system =
        ["", "services", "queue?part=frozen", "certificates", "backup", "history", "explain?message=S9"];
    let system = system.map(|page| format!("/jdwa/{page}"));
    let mut found = swept(&house, &mut root, &system).await;
    let services = root.get(&house, "/jdwa/services").await;
    for act in ["open", "close", "reopen", "reload", "stop", "start"] {
        root.submit(&house, &services, "/jdwa/services", &[("act", act), ("service", "nosuch")]).await;
        let told = root.get(&house, "/jdwa/services").await;
        found.extend(sentences(&visible(&told.text)));
    }
    let mut of_a = in_chinese(&house, "of-a").await;
    let is_theirs = |path: &String| {
        path.starts_with("/jdwa/domains/a.test") && !path.contains("/rows/")
            || path.ends_with("/rows/mailproc.tab/row")
    };
    let theirs: Vec<String> = paths().into_iter().filter(is_theirs).collect();
    found.extend(swept(&house, &mut of_a, &theirs).await);
    // What this server beside answers is no sentence of ours.
    found.retain(|text| {
        !["address is", "such service", "no message"].iter().any(|told| text.starts_with(told))
    });
    assert_none(&found);
}

#[tokio::test]
async fn nor_is_one_for_guests_and_those_who_choose_a_password() {
    let house = house();
    let mut guest = Browser { language: "zh-CN", ..Browser::default() };
    let mut found = BTreeSet::new();
    for password in ["", "wrong", "wrong", "wrong", "wrong", "wrong", "wrong"] {
        let answer = guest.try_log_in(&house, "of-b", password).await;
        found.extend(sentences(&visible(&answer.text)));
    }
    let mut new = Browser { language: "zh-CN", ..Browser::default() };
    new.try_log_in(&house, "new", PASSWORD).await;
    for (old, first, second) in [
        ("", "", ""),
        (PASSWORD, "a", "a"),
        (PASSWORD, "long enough", "other"),
        (PASSWORD, PASSWORD, PASSWORD),
    ] {
        let page = new.get(&house, "/jdwa/password").await;
        let fields = [("old", old), ("new", first), ("again", second)];
        let answer = new.submit(&house, &page, "/jdwa/password", &fields).await;
        found.extend(sentences(&visible(&page.text)).into_iter().chain(sentences(&visible(&answer.text))));
    }
    assert_none(&found);
}

/// The answer of `explain` comes in the language of the page, also where it stands below a table.
#[tokio::test]
async fn explain_is_asked_in_the_language_of_the_page() {
    let (house, _) = super::system::beside();
    let mut root = in_chinese(&house, "root").await;
    for (path, expected) in [
        ("/jdwa/explain?recipient=anna@a.test&ip=192.0.2.1", "发往 anna@a.test"),
        ("/jdwa/explain?message=S1", "等待中"),
        ("/jdwa/tables/smtp.ipmap.tab?ask=192.0.2.1", "发往 "),
    ] {
        let page = root.get(&house, path).await;
        assert!(page.text.contains(expected), "{path}: {}", page.text);
    }
}

#[test]
fn the_search_for_sentences_sees_what_it_must_see() {
    let html = "<p title=\"a bad word\">文字 not so good 好</p><code>is not seen</code><b>tabmail web</b><i>Maildir</i>";
    assert_eq!(sentences(&visible(html)), ["bad word", "not so good"]);
}
