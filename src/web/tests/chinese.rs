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

/// Words of a language, one after the other: at least three, of which two begin with a small letter.
fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut run: Vec<&str> = Vec::new();
        for part in line.split(' ').chain([""]) {
            let word = part.trim_matches(|c: char| c.is_ascii_punctuation());
            let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic() || c == '\'');
            if is_word {
                run.push(word);
            }
            if !is_word || part.ends_with(['.', ':', ';', ',']) {
                let small =
                    run.iter().filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).count();
                if run.len() >= 3 && small >= 2 {
                    found.push(run.join(" "));
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

fn furnished() -> House {
    let house = house();
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

#[tokio::test]
async fn no_untranslated_sentence_is_on_a_chinese_page() {
    let house = furnished();
    let mut root = logged_in(&house, "root").await;
    root.language = "zh-CN";
    root.get(&house, "/jdwa/").await;
    let check = root.get(&house, "/jdwa/check").await;
    root.submit(&house, &check, "/jdwa/check", &[]).await;
    for _ in 0..20_000 {
        if root.get(&house, "/jdwa/check").await.text.contains("TAB") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut found = BTreeSet::new();
    let mut posted = BTreeSet::new();
    for path in paths() {
        let page = root.get(&house, &path).await;
        found.extend(sentences(&visible(&page.text)).into_iter().map(|text| format!("{text}   <- {path}")));
        for (action, fields) in forms(&page.text) {
            if ["preferences", "logout", "jdwa/password", "jdwa/login"]
                .iter()
                .any(|skipped| action.contains(skipped))
            {
                continue;
            }
            for nonsense in ["", "a b/../%", "9999999999999", "x@y@z"] {
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| match name.as_str() {
                        "csrf" | "base" | "act" | "draft" | "line" => (name.as_str(), value.as_str()),
                        name => (name, nonsense),
                    })
                    .collect();
                assert!(action.parse::<axum::http::Uri>().is_ok(), "{action} of {path}");
                let answer = root.post(&house, &action, &fields).await;
                posted.insert(format!("{action} {}", answer.status));
                let shown = visible(&answer.text);
                found.extend(
                    sentences(&shown)
                        .into_iter()
                        .map(|text| format!("{text}   <- POST {action} {nonsense:?}")),
                );
            }
        }
    }
    assert!(
        found.is_empty(),
        "{}\n{}",
        found.into_iter().collect::<Vec<_>>().join("\n"),
        posted.into_iter().collect::<Vec<_>>().join("\n")
    );
}
