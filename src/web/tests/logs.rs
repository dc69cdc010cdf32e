//! The page of logs: which there are, what has them written, and parts of them (JD-60).

use super::*;

fn smtp(number: &str, status: &str) -> String {
    format!(
        "\"mx\"\t\"a\"\t\"192.0.2.1\"\t\"2026-11-23 09:10:00\"\t\"h\"\t\"a.test\"\t\"s@b.test\"\t\"r@a.test\"\t\"{number}\"\t\"{status}\"\t\"\"\t\"9\"\n"
    )
}

/// JD-60: every log that the server can write has its place, also before it was ever written.
#[tokio::test]
async fn jd60_all_logs_are_offered_and_what_has_them_written() {
    let house = house();
    for (language, nothing) in [("en", "Nothing was written"), ("zh-CN", "没有写入任何日志")] {
        let mut root = Browser { language, ..Browser::default() };
        root.try_log_in(&house, "root", PASSWORD).await;
        for kind in crate::logs::LogKind::ALL {
            let name = kind.name();
            let page = root.get(&house, &format!("/jdwa/logs?kind={name}")).await;
            assert_eq!(page.status, StatusCode::OK, "{name}");
            for kind in
                crate::logs::LogKind::ALL.iter().map(|kind| kind.name()).chain(["webadmin", "tabmail"])
            {
                assert!(page.text.contains(&format!("kind={kind}")), "{name} {kind}: {}", page.text);
            }
            let is_empty = name != "smtp";
            assert_eq!(page.text.contains(nothing), is_empty, "{name}: {}", page.text);
            assert_eq!(page.text.contains(kind.option()), is_empty, "{name}: {}", page.text);
        }
    }
    let mut root = logged_in(&house, "root").await;
    let background = root.get(&house, "/jdwa/logs?kind=tabmail").await;
    assert!(background.text.contains("in the background"), "{}", background.text);
    let unknown = root.get(&house, "/jdwa/logs?kind=../server.tab").await;
    assert!(unknown.text.contains("smtp-202611230000") && !unknown.text.contains("RootDomain"));
    fs::remove_dir_all(house.directory.path().join("logs")).unwrap();
    let none = root.get(&house, "/jdwa/logs").await;
    assert!(none.text.contains("-Sl") && none.text.contains("kind=filters"), "{}", none.text);
}

/// JD-60: going from log to log stays at the day.
#[tokio::test]
async fn jd60_a_day_without_lines_says_so_and_offers_the_others() {
    let house = house();
    house.write("logs/smtp-202611220000", smtp("N1.", "RECV=OK"));
    house.write("logs/smail-202611230000", "\"a.test\"\t\"1.a\"\n");
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/logs?file=smtp-202611220000").await;
    assert!(page.text.contains("kind=smail&amp;day=202611220000"), "{}", page.text);
    let page = root.get(&house, "/jdwa/logs?kind=smail&day=202611220000").await;
    assert!(
        page.text.contains("in the file of 2026-11-22 00:00") && page.text.contains("-Ql"),
        "{}",
        page.text
    );
    assert!(page.text.contains("value=\"smail-202611230000\""), "{}", page.text);
    let page = root.get(&house, "/jdwa/logs?kind=smtp&day=202611220000").await;
    assert!(page.text.contains("N1.") && !page.text.contains("Nothing was written"));
}

/// JD-60: JDMail's logs of refusals by reverse DNS and of junk are rows of the smtp and smail logs here.
#[tokio::test]
async fn jd60_refusals_reverse_dns_and_rules_are_shown_by_themselves() {
    let house = house();
    let lines = [
        ("N1.", "RECV=OK"),
        ("N2.", "SNDRIP=ERDNS"),
        ("N3.", "RCPT=ERELAY"),
        ("N4.", "AUTH=EFAIL:TYPE=PLAIN"),
    ];
    let lines = lines.map(|(number, status)| smtp(number, status)).concat();
    house.write("logs/smtp-202611230000", &lines);
    let smail = |name: &str, medium: &str| {
        format!(
            "\"a.test\"\t\"{name}\"\t\"S1\"\t\"s@b.test\"\t\"r@a.test\"\t\"{medium}\"\t\"p\"\t\"2026-11-23 09:10:00\"\t\"\"\n"
        )
    };
    house.write("logs/smail-202611230000", smail("N5.", "RULE") + &smail("N6.", "LOCAL"));
    let mut root = logged_in(&house, "root").await;
    for (query, expected) in [
        ("kind=smtp", "N1. N2. N3. N4."),
        ("kind=smtp&only=refused", "N2. N3."),
        ("kind=smtp&only=rdns", "N2."),
        ("kind=smail&only=rules", "N5."),
        ("kind=smail&only=rdns", "N5. N6."),
    ] {
        let page = root.get(&house, &format!("/jdwa/logs?{query}")).await;
        let found: Vec<&str> = ["N1.", "N2.", "N3.", "N4.", "N5.", "N6."]
            .into_iter()
            .filter(|number| page.text.contains(&format!("<td>{number}</td>")))
            .collect();
        assert_eq!(found.join(" "), expected, "{query}: {}", page.text);
    }
    let tail = root.get(&house, "/jdwa/logs/tail?file=smtp-202611230000&only=rdns&place=0").await;
    assert!(tail.text.contains("N2.") && !tail.text.contains("N3."), "{}", tail.text);
    let page = root.get(&house, "/jdwa/logs?kind=smtp&only=rdns").await;
    assert!(
        page.text.contains("name=\"only\" value=\"rdns\"") && page.text.contains("only=rdns"),
        "{}",
        page.text
    );
}

/// JD-60: of a row only the quotes around its columns go.
#[tokio::test]
async fn jd60_quotes_inside_a_column_stay() {
    let house = house();
    let row = "\"2026-11-23 09:00:00\"\t\"root\"\t\"192.0.2.1\"\t\"add_user\"\t\"mailusers.tab\"\t\"+\"a.test\" \"U\"\"\n";
    house.write("logs/webadmin-202611220000", row);
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/logs?file=webadmin-202611220000").await;
    assert!(page.text.contains("+&quot;a.test&quot; &quot;U&quot;</td>"), "{}", page.text);
    assert!(page.text.contains("<td>root</td>"), "{}", page.text);
}
