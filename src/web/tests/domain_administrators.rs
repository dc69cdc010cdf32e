//! What who administers some domains has of pages about the whole server: explain and POP3 links.

use super::*;

const LINKS: &str = "\"b.test\"\t\"bea\"\t\"pop.b.isp\"\t\"bea\"\t\"00b\"\t\"CLR\"\n\
                     # of anna\n\"a.test\"\t\"anna\"\t\"pop.a.isp\"\t\"anna.k\"\t\"00a\"\t\"CLR\"\n\
                     \"?a.test,x.test\"\t\"all\"\t\"pop.all.isp\"\t\"all\"\t\"00c\"\t\"CLR\"\n\
                     \"b.test\"\t\"broken\"\n";

const PAGE: &str = "/jdwa/domains/a.test/rows/pop3links.tab";

fn linked() -> House {
    let house = house();
    house.write("pop3links.tab", LINKS);
    house.admin.reload_tables(crate::admin::Reload::Now);
    house
}

async fn change(house: &House, browser: &mut Browser, at: &str, to: &str, fields: &[(&str, &str)]) {
    let page = browser.get(house, at).await;
    let base = page.hidden("base");
    let fields: Vec<_> = [("base", base.as_str())].into_iter().chain(fields.iter().copied()).collect();
    let done = browser.change(house, &page, to, &fields).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, PAGE), "{}", done.text);
}

/// JD-57: only rows whose first column is the domain itself are theirs; of others neither rows nor faults are shown.
#[tokio::test]
async fn jd57_who_administers_a_domain_sees_the_links_of_its_accounts() {
    let house = linked();
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, PAGE).await;
    assert!(page.text.contains("pop.a.isp") && page.text.contains("of anna"), "{}", page.text);
    for foreign in ["pop.b.isp", "pop.all.isp", "broken", "/raw/", "&#x2f;raw&#x2f;", "&#x2f;move"] {
        assert!(!page.text.contains(foreign), "{foreign}: {}", page.text);
    }
    let searched = of_a.get(&house, &format!("{PAGE}?q=pop")).await;
    assert!(searched.text.contains("pop.a.isp") && !searched.text.contains("pop.b.isp"));
    for line in [1, 4, 5] {
        let row = of_a.get(&house, &format!("{PAGE}/row?line={line}")).await;
        assert_eq!(row.status, StatusCode::NOT_FOUND, "{line}");
    }
    let form = of_a.get(&house, &format!("{PAGE}/row?line=3")).await;
    assert!(form.text.contains("anna.k") && !form.text.contains("name=\"c0"), "{}", form.text);
    for path in [PAGE, &format!("{PAGE}/row"), "/jdwa/tables/pop3links.tab", "/jdwa/pop3-links"] {
        let name = if path.starts_with(PAGE) { "of-b" } else { "of-a" };
        let mut other = logged_in(&house, name).await;
        assert_eq!(other.get(&house, path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}

/// JD-57: added, changed, let rest and removed by the forms that the role system has; all other lines stay.
#[tokio::test]
async fn jd57_who_administers_a_domain_changes_its_links_and_no_others() {
    let house = linked();
    let mut of_a = logged_in(&house, "of-a").await;
    let row = format!("{PAGE}/row");
    let fields = [
        ("c0.domain", "b.test"),
        ("c0", "b.test"),
        ("c1", "anna"),
        ("c2", "h.isp:995"),
        ("c3", "u"),
        ("c4", "pw"),
    ];
    change(&house, &mut of_a, &row, &row, &fields).await;
    let added =
        format!("\"a.test\"\t\"anna\"\t\"h.isp:995\"\t\"u\"\t\"{}\"", crate::auth::xmail_encode(b"pw"));
    let text = house.text("pop3links.tab");
    let last = text.strip_prefix(LINKS).unwrap_or_else(|| panic!("{text}"));
    assert!(last.starts_with(&added), "{text}");
    let fields = [("line", "3"), ("c1", "anna"), ("c2", "new.isp"), ("c3", "anna.k")];
    change(&house, &mut of_a, &format!("{row}?line=3"), &row, &fields).await;
    let text = house.text("pop3links.tab");
    assert!(text.contains("# of anna\n\"a.test\"\t\"anna\"\t\"new.isp\"\t\"anna.k\"\t\"00a\""), "{text}");
    assert!(
        text.contains("\"b.test\"\t\"bea\"\t\"pop.b.isp\"") && text.contains("\"?a.test,x.test\""),
        "{text}"
    );

    let page = of_a.get(&house, PAGE).await;
    let switch = "/jdwa/domains/a.test/pop3-links/switch";
    let off =
        [("domain", "b.test"), ("name", "anna"), ("host", "new.isp"), ("user", "anna.k"), ("to", "off")];
    let done = of_a.change(&house, &page, switch, &off).await;
    assert_eq!(done.location(), PAGE);
    assert!(house.exists("domains/a.test/anna/anna.k@new.isp.disabled"));

    change(&house, &mut of_a, PAGE, &row, &[("line", "3"), ("remove", "1")]).await;
    let text = house.text("pop3links.tab");
    assert!(!text.contains("new.isp") && !text.contains("# of anna"), "{text}");
    assert!(text.contains("pop.b.isp") && text.contains("pop.all.isp") && text.contains("h.isp"), "{text}");
}

/// JD-57: neither a row of others, nor an account that is not there, nor an order.
#[tokio::test]
async fn jd57_links_of_other_domains_cannot_be_reached() {
    let house = linked();
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, PAGE).await;
    let base = page.hidden("base");
    for line in ["1", "4", "5"] {
        for what in [("remove", "1"), ("c1", "anna")] {
            let fields = [("base", base.as_str()), ("line", line), what];
            let answer = of_a.submit(&house, &page, &format!("{PAGE}/row"), &fields).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{line} {what:?}");
        }
    }
    let moved = [("base", base.as_str()), ("line", "3"), ("to", "up")];
    let answer = of_a.submit(&house, &page, &format!("{PAGE}/move"), &moved).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let nobody = [("base", base.as_str()), ("c1", "nobody"), ("c2", "h.isp"), ("c3", "u"), ("c4", "p")];
    let answer = of_a.submit(&house, &page, &format!("{PAGE}/row"), &nobody).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text.contains("no account of this name in a.test"), "{}", answer.text);
    for (switch, status) in [
        ("/jdwa/domains/a.test/pop3-links/switch", StatusCode::NOT_FOUND),
        ("/jdwa/domains/b.test/pop3-links/switch", StatusCode::FORBIDDEN),
        ("/jdwa/pop3-links/switch", StatusCode::FORBIDDEN),
    ] {
        let fields =
            [("domain", "b.test"), ("name", "bea"), ("host", "pop.b.isp"), ("user", "bea"), ("to", "off")];
        let answer = of_a.submit(&house, &page, switch, &fields).await;
        assert!(
            answer.status == status || answer.status == StatusCode::UNPROCESSABLE_ENTITY,
            "{switch} {}",
            answer.status
        );
    }
    assert_eq!(house.text("pop3links.tab"), LINKS);
}

/// JD-57: what somebody else writes at the same place is not shown to who may not see it.
#[tokio::test]
async fn jd57_a_conflict_shows_no_rows_of_other_domains() {
    let house = linked();
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, PAGE).await;
    let base = page.hidden("base");
    let fields =
        [("base", base.as_str()), ("line", "3"), ("c1", "anna"), ("c2", "new.isp"), ("c3", "anna.k")];
    let shown = of_a.submit(&house, &page, &format!("{PAGE}/row"), &fields).await;
    assert!(
        shown.text.contains("new.isp") && !shown.text.contains("pop.b.isp") && !shown.text.contains("broken"),
        "{}",
        shown.text
    );
    house.write(
        "pop3links.tab",
        LINKS.replace("\"a.test\"\t\"anna\"\t\"pop.a.isp\"", "\"b.test\"\t\"bea\"\t\"hidden.isp\""),
    );
    let draft = shown.hidden("draft");
    let answer = of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    assert!(answer.text.contains("***") && !answer.text.contains("hidden.isp"), "{}", answer.text);
}

/// JD-63: explain is for recipients of their domains, by their other names, too.
#[tokio::test]
async fn jd63_explain_answers_about_recipients_of_the_own_domains_only() {
    let house = house();
    for (name, language, refused) in [
        ("of-a", "en", "is not an address of a domain that you administer"),
        ("of-a", "zh-CN", "不是您所管理的域中的地址"),
    ] {
        let mut browser = Browser { language, ..Browser::default() };
        browser.try_log_in(&house, name, PASSWORD).await;
        let is_told = |page: &Answer| page.text.contains("<pre class=\"text\"");
        for (query, is_answered) in [
            ("recipient=anna@a.test", true),
            ("recipient=ANNA@C.test&login=anna@a.test", true),
            ("recipient=bea@b.test", false),
            ("recipient=x@far.example", false),
            ("recipient=@a.test:bea@b.test", false),
            ("recipient=anna@a.test%3E+%3Cbea@b.test", false),
            ("recipient=anna", false),
            ("recipient=anna@a.test&login=bea@b.test", false),
            ("recipient=anna@a.test&login=bea:b.test", false),
            ("recipient=anna@a.test&login=smarthost", false),
        ] {
            let page = browser.get(&house, &format!("/jdwa/explain?{query}")).await;
            assert_eq!(page.status, StatusCode::OK);
            assert_eq!(is_told(&page), is_answered, "{query}: {}", page.text);
            assert_eq!(page.text.contains(refused), !is_answered, "{query}: {}", page.text);
        }
        let page = browser.get(&house, "/jdwa/explain?message=S1").await;
        assert!(!is_told(&page) && !page.text.contains("name=\"message\""), "{}", page.text);
        let source = [("source", "From: x@far.example\nTo: anna@a.test, bea@b.test\n\nhi\n")];
        let page = browser.submit(&house, &page, "/jdwa/explain", &source).await;
        assert!(page.text.contains("mail to anna@a.test") && page.text.contains(refused), "{}", page.text);
        assert!(!page.text.contains("mail to bea@b.test"), "{}", page.text);
    }
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/explain?recipient=x@far.example&message=S1").await;
    assert!(page.text.contains("mail to x@far.example") && page.text.contains("message S1"));
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, "/jdwa/domains/a.test/users/anna/rows/mailproc.tab").await;
    assert!(page.text.contains("explain?recipient=anna"), "{}", page.text);
}
