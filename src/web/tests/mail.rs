//! The tables of mail by rows (`jdmail.md` JD-48 to JD-57, and command files).

use super::*;

/// A change, its confirmation, and where it leads.
async fn change(
    house: &House,
    browser: &mut Browser,
    from: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let page = browser.get(house, from).await;
    assert_eq!(page.status, StatusCode::OK, "{from}: {} {}", page.location(), page.text);
    let base = page.hidden("base");
    let all: Vec<(&str, &str)> =
        [("base", base.as_str())].into_iter().chain(fields.iter().copied()).collect();
    browser.change(house, &page, path, &all).await
}

/// A form that is refused: nothing is to be confirmed.
async fn refused(house: &House, browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> Answer {
    let page = browser.get(house, path).await;
    let base = page.hidden("base");
    let all: Vec<(&str, &str)> =
        [("base", base.as_str())].into_iter().chain(fields.iter().copied()).collect();
    let answer = browser.submit(house, &page, path.split('?').next().unwrap(), &all).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    assert!(answer.text.contains("class=\"problem\""), "{}", answer.text);
    answer
}

impl House {
    fn put(&self, file: &str, text: &str) {
        let path = self.directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.admin.reload_tables(crate::admin::Reload::Now);
    }
}

/// JD-49.
#[tokio::test]
async fn jd49_the_allow_list_has_a_box_for_each_option_and_a_remark() {
    let house = house();
    house.put("smtp.ipprop.tab", "# head\n# of the file\n\"192.0.2.7/32\"\t\"WhiteList=1\"\t\"Odd\"\n");
    let mut root = logged_in(&house, "root").await;
    let path = "/jdwa/tables/smtp.ipprop.tab";
    let row = format!("{path}/row");
    let page = root.get(&house, &format!("{row}?line=3")).await;
    for option in ["EaseTLS", "EnableETRN", "EnableVRFY", "NoAuth", "SenderDomainCheck", "WhiteList"] {
        assert!(page.text.contains(&format!("name=\"c1.{option}\"")), "{option}: {}", page.text);
    }
    let fields = [
        ("line", "3"),
        ("c0", "192.0.2.7/32"),
        ("c1.WhiteList", "1"),
        ("c1.NoAuth", "1"),
        ("c1.SenderDomainCheck", "1"),
    ];
    change(&house, &mut root, &format!("{row}?line=3"), &row, &fields).await;
    let first = "# head\n# of the file\n\"192.0.2.7/32\"\t\"WhiteList=1\"\t\"Odd\"\t\"NoAuth=1\"\t\"SenderDomainCheck=0\"\n";
    assert_eq!(house.text("smtp.ipprop.tab"), first);
    let fields = [("c0", "192.0.2.9"), ("c1.EaseTLS", "1"), ("remark", "old printer")];
    let done = change(&house, &mut root, &row, &row, &fields).await;
    assert_eq!(done.location(), path);
    assert_eq!(
        house.text("smtp.ipprop.tab"),
        format!("{first}# old printer\n\"192.0.2.9/32\"\t\"EaseTLS=1\"\n")
    );
    let page = root.get(&house, &format!("{path}?ask=192.0.2.9")).await;
    assert!(page.text.contains("old printer") && page.text.contains("(line 5)"), "{}", page.text);
    assert!(page.text.contains("mail to postmaster@a.test"), "the whole story is told: {}", page.text);
    refused(&house, &mut root, &row, &[("c0", "192.0.2.300")]).await;
}

/// JD-50.
#[tokio::test]
async fn jd50_access_is_shown_in_the_order_in_which_it_counts() {
    let house = house();
    let text =
        "\"192.0.2.0\"\t\"255.255.255.0\"\t\"ALLOW\"\t\"1\"\n\"0.0.0.0\"\t\"0.0.0.0\"\t\"DENY\"\t\"5\"\n";
    house.put("pop3.ipmap.tab", text);
    let mut root = logged_in(&house, "root").await;
    let path = "/jdwa/tables/pop3.ipmap.tab";
    let page = root.get(&house, &format!("{path}?ask=192.0.2.7")).await;
    let [all, one] =
        ["0.0.0.0&#x2f;0.0.0.0", "192.0.2.0&#x2f;255.255.255.0"].map(|net| page.text.find(net).unwrap());
    assert!(all < one, "the highest precedence stands first");
    assert!(
        page.text.contains("May not connect. (line 2)") && page.text.contains("Never decides"),
        "{}",
        page.text
    );
    let row = format!("{path}/row");
    let fields = [("c0", "192.0.2.0/25"), ("c2", "ALLOW"), ("c3", "9"), ("remark", "office")];
    change(&house, &mut root, &row, &row, &fields).await;
    let added = "# office\n\"192.0.2.0\"\t\"255.255.255.128\"\t\"ALLOW\"\t\"9\"\n";
    assert_eq!(house.text("pop3.ipmap.tab"), format!("{text}{added}"));
    let page = root.get(&house, &format!("{path}?ask=192.0.2.7")).await;
    assert!(page.text.contains("May connect. (line 4)"), "{}", page.text);
    refused(&house, &mut root, &row, &[("c0", "192.0.2.0/25"), ("c2", "MAYBE"), ("c3", "9")]).await;
    let answer = refused(&house, &mut root, &row, &[("c0", "10.0.0.1"), ("c2", "ALLOW"), ("c3", "x")]).await;
    assert!(answer.text.contains("value=\"x\""), "what was typed stays: {}", answer.text);
    let mut of_a = logged_in(&house, "of-a").await;
    assert_eq!(of_a.get(&house, path).await.status, StatusCode::FORBIDDEN);
    let own = "/jdwa/domains/a.test/users/anna/rows/imap.ipmap.tab";
    let fields = [("c0", "2001:db8::/32"), ("c2", "DENY"), ("c3", "1")];
    change(&house, &mut of_a, &format!("{own}/row"), &format!("{own}/row"), &fields).await;
    let expected = "\"2001:db8::/32\"\t\"-\"\t\"DENY\"\t\"1\"\n";
    assert_eq!(house.text("domains/a.test/anna/imap.ipmap.tab"), expected);
    let page = of_a.get(&house, &format!("{own}?ask=2001:db8::1")).await;
    assert!(page.text.contains("May not connect. (line 1)"), "{}", page.text);
}

/// JD-51 and JD-52.
#[tokio::test]
async fn jd51_jd52_hosts_have_fields_for_their_options() {
    let house = house();
    let old = "\"*.old.test\"\t\"mx.old.test:2525\"\t\"NeedTLS=1\"\n";
    house.put("smtpfwd.tab", old);
    let mut root = logged_in(&house, "root").await;
    let path = "/jdwa/tables/smtpfwd.tab";
    let row = format!("{path}/row");
    let fields = [
        ("c0", "partner.test"),
        ("c1.0.host", "mx1.partner.test"),
        ("c1.0.tls", "2"),
        ("c1.1.host", "mx2.partner.test:2525"),
        ("c1.1.bind", "192.0.2.1"),
        ("c1.random", "1"),
    ];
    change(&house, &mut root, &row, &row, &fields).await;
    let new = "\"partner.test\"\t\"#mx1.partner.test,NeedTLS=2;mx2.partner.test:2525,OutBind=192.0.2.1\"\n";
    assert_eq!(house.text("smtpfwd.tab"), format!("{old}{new}"));
    let page = root.get(&house, &format!("{row}?line=2")).await;
    assert!(
        page.text.contains("value=\"mx2.partner.test:2525\"") && page.text.contains("checked"),
        "{}",
        page.text
    );
    let page = root.get(&house, &format!("{path}?ask=partner.test")).await;
    assert!(
        page.text.contains("Mail goes through mx1.partner.test, mx2.partner.test:2525."),
        "{}",
        page.text
    );
    change(&house, &mut root, path, &format!("{path}/move"), &[("line", "2"), ("to", "up")]).await;
    assert_eq!(house.text("smtpfwd.tab"), format!("{new}{old}"));
    refused(&house, &mut root, &row, &[("c0", "x.test"), ("c1.0.host", "not a host")]).await;
    refused(&house, &mut root, &row, &[("c0", "x.test"), ("c1.0.host", "")]).await;
    let row = "/jdwa/tables/smtpgw.tab/row";
    change(&house, &mut root, row, row, &[("c0", "*.branch.test"), ("c1", "relay1.test, relay2.test")]).await;
    assert_eq!(house.text("smtpgw.tab"), "\"*.branch.test\"\t\"@relay1.test,@relay2.test\"\n");
    refused(&house, &mut root, row, &[("c0", "b.test"), ("c1", "relay:25")]).await;
}

/// JD-53.
#[tokio::test]
async fn jd53_log_ins_at_relays_are_files_whose_passwords_are_not_shown() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let list = "/jdwa/files/smtp-client";
    let page = root.get(&house, list).await;
    for bad in ["../server", "a/b", "", "x..y", "a b"] {
        let answer = root.submit(&house, &page, list, &[("name", bad)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
    let opened = root.submit(&house, &page, list, &[("name", "Relay.isp.test")]).await;
    assert_eq!(opened.location(), "/jdwa/files/smtp-client/relay.isp.test.tab");
    let row = format!("{}/row", opened.location());
    refused(&house, &mut root, &row, &[("c0", "PLAIN"), ("c1", "anna.k"), ("c2", "")]).await;
    change(&house, &mut root, &row, &row, &[("c0", "PLAIN"), ("c1", "anna.k"), ("c2", "s3cret")]).await;
    let file = "userauth/smtp/relay.isp.test.tab";
    assert_eq!(house.text(file), "\"PLAIN\"\t\"anna.k\"\t\"s3cret\"\n");
    let page = root.get(&house, &format!("{list}?ask=mx.relay.isp.test")).await;
    assert!(page.text.contains("logs in as anna.k") && !page.text.contains("s3cret"), "{}", page.text);
    let page = root.get(&house, &format!("{row}?line=1")).await;
    assert!(!page.text.contains("s3cret"), "{}", page.text);
    change(
        &house,
        &mut root,
        &format!("{row}?line=1"),
        &row,
        &[("line", "1"), ("c0", "LOGIN"), ("c1", "anna.k")],
    )
    .await;
    assert_eq!(house.text(file), "\"LOGIN\"\t\"anna.k\"\t\"s3cret\"\n", "an empty password is the old one");
    change(&house, &mut root, &row, &row, &[("line", "1"), ("remove", "1")]).await;
    assert!(!house.exists(file), "with its last row the file goes");
    assert!(!house.text("logs/webadmin-202611230000").contains("s3cret"));
}

/// JD-54.
#[tokio::test]
async fn jd54_spammers_are_refused_let_in_after_log_in_or_slowed_down() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let path = "/jdwa/tables/spammers.tab";
    let row = format!("{path}/row");
    let fields = [("c0", "203.0.113.0/24"), ("c2.what", "login"), ("remark", "dial-up")];
    change(&house, &mut root, &row, &row, &fields).await;
    let fields = [("c0", "198.51.100.7"), ("c2.what", "delay"), ("c2.secs", "5")];
    change(&house, &mut root, &row, &row, &fields).await;
    let added = "# dial-up\n\"203.0.113.0\"\t\"255.255.255.0\"\t\"code=0\"\n\"198.51.100.7\"\t\"255.255.255.255\"\t\"code=-5\"\n";
    assert_eq!(house.text("spammers.tab"), format!("\"192.0.2.0/24\"\n{added}"));
    let page = root.get(&house, path).await;
    assert!(page.text.contains("A delay of 5 seconds before each reply") && page.text.contains("dial-up"));
    let fields = [("line", "1"), ("c0", "192.0.2.0/24"), ("c2.what", "login")];
    change(&house, &mut root, &format!("{row}?line=1"), &row, &fields).await;
    assert_eq!(house.text("spammers.tab"), format!("\"192.0.2.0/24\"\t\"code=0\"\n{added}"));
    let page = root.get(&house, &format!("{path}?ask=198.51.100.7")).await;
    assert!(page.text.contains("(line 4)"), "{}", page.text);
    let page = root.get(&house, &format!("{path}?ask=10.0.0.1")).await;
    assert!(page.text.contains("No row is about it."), "{}", page.text);
    refused(&house, &mut root, &row, &[("c0", "10.0.0.1"), ("c2.what", "delay"), ("c2.secs", "soon")]).await;
    change(&house, &mut root, path, &row, &[("line", "3"), ("remove", "1")]).await;
    let left = "\"192.0.2.0/24\"\t\"code=0\"\n\"198.51.100.7\"\t\"255.255.255.255\"\t\"code=-5\"\n";
    assert_eq!(house.text("spammers.tab"), left, "the remark goes with its row");
}

/// JD-55.
#[tokio::test]
async fn jd55_senders_are_refused_by_pattern() {
    let house = house();
    house.put("spam-address.tab", "# kept\n\n\"*@bulk.test\"\n");
    let mut root = logged_in(&house, "root").await;
    let path = "/jdwa/tables/spam-address.tab";
    let row = format!("{path}/row");
    change(&house, &mut root, &row, &row, &[("c0", "win*@*.test")]).await;
    assert_eq!(house.text("spam-address.tab"), "# kept\n\n\"*@bulk.test\"\n\"win*@*.test\"\n");
    let page = root.get(&house, &format!("{path}?ask=winner@x.test")).await;
    assert!(page.text.contains("Mail from this sender is refused. (line 4)"), "{}", page.text);
    refused(&house, &mut root, &row, &[("c0", "")]).await;
}

/// JD-48.
#[tokio::test]
async fn jd48_aliases_are_searched_edited_in_place_and_asked() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let row = "/jdwa/tables/extaliases.tab/row";
    let fields = [("c0", "isp.test"), ("c1", "anna.k"), ("c2", "a.test"), ("c3", "anna")];
    change(&house, &mut root, row, row, &fields).await;
    assert_eq!(house.text("extaliases.tab"), "\"isp.test\"\t\"anna.k\"\t\"a.test\"\t\"anna\"\n");
    let page = root.get(&house, "/jdwa/tables/extaliases.tab?ask=Anna.K@isp.test").await;
    assert!(page.text.contains("It is shown as anna@a.test. (line 1)"), "{}", page.text);
    refused(&house, &mut root, row, &[("c0", "isp.test"), ("c1", ""), ("c2", "a.test"), ("c3", "anna")])
        .await;
    let path = "/jdwa/tables/aliases.tab";
    let page = root.get(&house, &format!("{path}?q=nobody")).await;
    assert!(!page.text.contains("boss"), "{}", page.text);
    let page = root.get(&house, &format!("{path}?ask=boss@a.test")).await;
    assert!(page.text.contains("It is anna@a.test. (line 1)"), "{}", page.text);
    let fields = [("line", "1"), ("c0", "a.test"), ("c1", "chief"), ("c2", "anna")];
    change(&house, &mut root, &format!("{path}/row?line=1"), &format!("{path}/row"), &fields).await;
    assert_eq!(house.text("aliases.tab"), "\"a.test\"\t\"chief\"\t\"anna\"\n");
    let mut of_a = logged_in(&house, "of-a").await;
    let own = "/jdwa/domains/a.test/aliases";
    let page = of_a.get(&house, own).await;
    let fields = [("old", "chief"), ("alias", "boss*"), ("target", "anna@a.test")];
    of_a.change(&house, &page, &format!("{own}/change"), &fields).await;
    assert_eq!(house.text("aliases.tab"), "\"a.test\"\t\"boss*\"\t\"anna@a.test\"\n");
    for (fields, status) in [
        ([("old", "chief"), ("alias", "x"), ("target", "anna")], StatusCode::UNPROCESSABLE_ENTITY),
        ([("old", "boss*"), ("alias", "anna"), ("target", "anna")], StatusCode::UNPROCESSABLE_ENTITY),
        ([("old", "boss*"), ("alias", "x"), ("target", "x@b.test")], StatusCode::FORBIDDEN),
    ] {
        let answer = of_a.submit(&house, &page, &format!("{own}/change"), &fields).await;
        assert_eq!(answer.status, status, "{fields:?}");
    }
    let page = root.get(&house, "/jdwa/other-names").await;
    assert_eq!(page.location(), path);
}

/// JD-57.
#[tokio::test]
async fn jd57_links_have_fields_for_methods_and_keep_their_password() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let row = "/jdwa/tables/pop3links.tab/row";
    let fields = [
        ("c0.form", "account"),
        ("c0.domain", "a.test"),
        ("c1", "anna"),
        ("c2", "pop.isp.test:995"),
        ("c3", "anna.k"),
        ("c4", "secret"),
        ("c5.APOP", "1"),
        ("c5.POP3S", "1"),
        ("c5.Leave", "1"),
        ("c5.OutBind", "192.0.2.1"),
    ];
    change(&house, &mut root, row, row, &fields).await;
    let encoded = crate::auth::xmail_encode(b"secret");
    let line = |name: &str, options: &str| {
        format!("\"a.test\"\t\"{name}\"\t\"pop.isp.test:995\"\t\"anna.k\"\t\"{encoded}\"\t\"{options}\"\n")
    };
    assert_eq!(house.text("pop3links.tab"), line("anna", "APOP,POP3S,Leave,OutBind=192.0.2.1"));
    let page = root.get(&house, "/jdwa/tables/pop3links.tab").await;
    assert!(!page.text.contains(&encoded), "{}", page.text);
    let fields = [
        ("line", "1"),
        ("c0.form", "account"),
        ("c0.domain", "a.test"),
        ("c1", "anna"),
        ("c2", "pop.isp.test:995"),
        ("c3", "anna.k"),
        ("c5.STLS", "1"),
        ("c5.Leave", "1"),
    ];
    change(&house, &mut root, &format!("{row}?line=1"), row, &fields).await;
    assert_eq!(house.text("pop3links.tab"), line("anna", "Leave,STLS"));
    let bad =
        [("c0.form", "replace"), ("c0.domain", "a.test"), ("c1", "x"), ("c2", "h"), ("c3", "u"), ("c4", "p")];
    refused(&house, &mut root, row, &bad).await;
}

/// JD-43, JD-99: what is done with a user's mail.
#[tokio::test]
async fn mail_processing_is_told_in_words_and_edited_line_by_line() {
    let house = house();
    let file = "domains/a.test/anna/mailproc.tab";
    house.put(
        file,
        "# mine\n# all of it\n\"mailbox\"\n\"filter\"\t\"0\"\t\"90\"\t\"/opt/scan\"\t\"@@FILE\"\n",
    );
    let mut of_a = logged_in(&house, "of-a").await;
    let path = "/jdwa/domains/a.test/users/anna/rows/mailproc.tab";
    let row = format!("{path}/row");
    let page = of_a.get(&house, path).await;
    assert!(page.text.contains("Put it into the mailbox") && page.text.contains("Only for the role system"));
    for command in ["external", "filter", "smtp"] {
        let answer = of_a.get(&house, &format!("{row}?command={command}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{command}");
    }
    let from = format!("{row}?command=redirect");
    change(
        &house,
        &mut of_a,
        &from,
        &row,
        &[("command", "redirect"), ("c1", "bert@b.test\r\nc@isp.test\r\n")],
    )
    .await;
    let head = "# mine\n# all of it\n";
    let filter = "\"filter\"\t\"0\"\t\"90\"\t\"/opt/scan\"\t\"@@FILE\"\n";
    let redirect = "\"redirect\"\t\"bert@b.test\"\t\"c@isp.test\"\n";
    assert_eq!(house.text(file), format!("{head}\"mailbox\"\n{filter}{redirect}"));
    let page = of_a.get(&house, path).await;
    assert!(page.text.contains("Send a copy to bert@b.test, c@isp.test; the sender stays."), "{}", page.text);
    change(&house, &mut of_a, path, &format!("{path}/move"), &[("line", "5"), ("to", "up")]).await;
    assert_eq!(house.text(file), format!("{head}\"mailbox\"\n{redirect}{filter}"));
    let page = of_a.get(&house, path).await;
    let base = page.hidden("base");
    for fields in [
        vec![("line", "5"), ("remove", "1")],
        vec![("line", "5"), ("c1", "0"), ("c2", "1"), ("c3", "/bin/sh"), ("c4", "x")],
    ] {
        let all: Vec<_> = [("base", base.as_str())].into_iter().chain(fields).collect();
        let answer = of_a.submit(&house, &page, &row, &all).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "a program is the role system's");
    }
    let all = [
        ("base", base.as_str()),
        ("command", "external"),
        ("c1", "0"),
        ("c2", "1"),
        ("c3", "/bin/sh"),
        ("c4", "x"),
    ];
    assert_eq!(of_a.submit(&house, &page, &row, &all).await.status, StatusCode::NOT_FOUND);
    refused(&house, &mut of_a, &from, &[("command", "redirect"), ("c1", "not an address")]).await;
    let mut of_b = logged_in(&house, "of-b").await;
    assert_eq!(of_b.get(&house, path).await.status, StatusCode::FORBIDDEN);
    let mut root = logged_in(&house, "root").await;
    let fields = [("line", "5"), ("c1", "0"), ("c2", "30"), ("c3", "/opt/scan"), ("c4", "@@FILE\n@@FROM")];
    change(&house, &mut root, &format!("{row}?line=5"), &row, &fields).await;
    assert!(house.text(file).ends_with("\"filter\"\t\"0\"\t\"30\"\t\"/opt/scan\"\t\"@@FILE\"\t\"@@FROM\"\n"));
}

#[tokio::test]
async fn command_files_of_addresses_and_other_domains_come_and_go() {
    let house = house();
    let mut of_a = logged_in(&house, "of-a").await;
    let list = "/jdwa/domains/a.test/commands";
    let page = of_a.get(&house, list).await;
    let opened = of_a.submit(&house, &page, list, &[("name", "Sales@a.test")]).await;
    assert_eq!(opened.location(), "/jdwa/domains/a.test/commands/sales.tab");
    for bad in ["../x", "a/b", ".hidden", ""] {
        let answer = of_a.submit(&house, &page, list, &[("name", bad)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
    let row = format!("{}/row", opened.location());
    change(
        &house,
        &mut of_a,
        &format!("{row}?command=lredirect"),
        &row,
        &[("command", "lredirect"), ("c1", "anna@a.test")],
    )
    .await;
    assert_eq!(house.text("cmdaliases/a.test/sales.tab"), "\"lredirect\"\t\"anna@a.test\"\n");
    assert!(of_a.get(&house, list).await.text.contains("sales.tab"));
    change(&house, &mut of_a, &row.replace("/row", ""), &row, &[("line", "1"), ("remove", "1")]).await;
    assert!(!house.exists("cmdaliases/a.test/sales.tab"));
    assert_eq!(
        of_a.get(&house, "/jdwa/domains/a.test/commands/..%2f..%2fserver.tab").await.status,
        StatusCode::NOT_FOUND
    );

    let mut root = logged_in(&house, "root").await;
    let list = "/jdwa/files/custdomains";
    let page = root.get(&house, list).await;
    for (typed, file) in [("", ".tab"), (".far.test", ".far.test.tab"), ("far.test", "far.test.tab")] {
        let opened = root.submit(&house, &page, list, &[("name", typed)]).await;
        assert_eq!(opened.location(), format!("{list}/{file}"));
    }
    let row = format!("{list}/.far.test.tab/row");
    let fields = [("command", "smtprelay"), ("c1.0.host", "relay.test:587"), ("c1.0.tls", "2")];
    change(&house, &mut root, &format!("{row}?command=smtprelay"), &row, &fields).await;
    assert_eq!(house.text("custdomains/.far.test.tab"), "\"smtprelay\"\t\"relay.test:587,NeedTLS=2\"\n");
    let page = root.get(&house, &format!("{list}?ask=x.far.test")).await;
    assert!(page.text.contains("Send it through relay.test:587 (STARTTLS required)."), "{}", page.text);
    let page = root.get(&house, &format!("{list}?ask=far.test")).await;
    assert!(page.text.contains("No file is about it."), "{}", page.text);
    assert_eq!(of_a.get(&house, list).await.status, StatusCode::FORBIDDEN);
    assert_eq!(root.get(&house, "/jdwa/files/spool").await.status, StatusCode::NOT_FOUND);
}

/// JD-46.
#[tokio::test]
async fn jd46_the_address_book_is_a_tree_of_departments_with_entries() {
    let house = house();
    let file = "domains/a.test/addressbook.tab";
    house.put(file, "# kept\n\n\"Sales\"\t\"Anna <b>\"\t\"anna@a.test\"\t\"1\"\t\"2\"\n\"Sales/EU\"\t\"Bert\"\t\"bert@a.test\"\n");
    let mut of_a = logged_in(&house, "of-a").await;
    let path = "/jdwa/domains/a.test/addressbook";
    assert_eq!(of_a.get(&house, "/jdwa/addressbook").await.location(), path);
    let page = of_a.get(&house, path).await;
    assert!(page.text.contains("Anna &lt;b&gt;") && page.text.contains("bert@a.test"), "{}", page.text);
    let page = of_a.get(&house, &format!("{path}?q=bert")).await;
    assert!(!page.text.contains("anna@a.test"), "{}", page.text);
    let page = of_a.get(&house, path).await;
    of_a.change(&house, &page, path, &[("act", "add"), ("path", "Board"), ("order", "1")]).await;
    let fields = [("act", "move"), ("path", "Sales"), ("above", "Board"), ("name", "Trade")];
    of_a.change(&house, &page, path, &fields).await;
    let moved = "# kept\n\n\"Board/Trade\"\t\"Anna <b>\"\t\"anna@a.test\"\t\"1\"\t\"2\"\n\"Board/Trade/EU\"\t\"Bert\"\t\"bert@a.test\"\n\"Board\"\t\"\"\t\"\"\t\"\"\t\"1\"\n";
    assert_eq!(house.text(file), moved);
    for bad in [
        vec![("act", "move"), ("path", "Board"), ("above", "Board/Trade"), ("name", "x")],
        vec![("act", "move"), ("path", "Nothing"), ("above", ""), ("name", "x")],
        vec![("act", "add"), ("path", " / ")],
        vec![("act", "remove"), ("path", "Nothing")],
    ] {
        let answer = of_a.submit(&house, &page, path, &bad).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad:?}");
    }
    let row = "/jdwa/domains/a.test/rows/addressbook.tab/row";
    let form = of_a.get(&house, &format!("{row}?c0=Board")).await;
    assert!(form.text.contains("value=\"Board\""), "{}", form.text);
    let fields = [("c0", "Board"), ("c1", "Zoe"), ("c2", "zoe@a.test"), ("c3", "+49 30"), ("c4", "3")];
    change(&house, &mut of_a, row, row, &fields).await;
    let entry = "\"Board\"\t\"Zoe\"\t\"zoe@a.test\"\t\"+49 30\"\t\"3\"\n";
    assert_eq!(house.text(file), format!("{moved}{entry}"));
    refused(&house, &mut of_a, row, &[("c0", "Board"), ("c1", "Zoe"), ("c2", "no address")]).await;
    let page = of_a.get(&house, path).await;
    of_a.change(&house, &page, path, &[("act", "remove"), ("path", "Board/Trade")]).await;
    assert_eq!(house.text(file), format!("# kept\n\n\"Board\"\t\"\"\t\"\"\t\"\"\t\"1\"\n{entry}"));
    let mut of_b = logged_in(&house, "of-b").await;
    assert_eq!(of_b.get(&house, path).await.status, StatusCode::FORBIDDEN);
}

/// JD-56.
#[tokio::test]
async fn jd56_rules_have_choices_for_where_and_how_to_look() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let path = "/jdwa/tables/rules.tab";
    let row = format!("{path}/row");
    let page = root.get(&house, &row).await;
    for word in ["subject", "attachment", "contains", "matches", "junk", "reject", "delete"] {
        assert!(page.text.contains(&format!("<option value=\"{word}\"")), "{word}: {}", page.text);
    }
    let fields = [
        ("c0", "lottery"),
        ("c1", "*@a.test"),
        ("c2", "subject"),
        ("c3", "contains"),
        ("c4", "发票"),
        ("c5", "junk"),
    ];
    change(&house, &mut root, &row, &row, &fields).await;
    let expected = "\"lottery\"\t\"*@a.test\"\t\"subject\"\t\"contains\"\t\"发票\"\t\"junk\"\n";
    assert_eq!(house.text("rules.tab"), expected);
    let bad = [("c0", "x"), ("c1", "*"), ("c2", "soul"), ("c3", "contains"), ("c4", "x"), ("c5", "junk")];
    refused(&house, &mut root, &row, &bad).await;
    let bad = [("c0", "x"), ("c1", "*"), ("c2", "body"), ("c3", "contains"), ("c4", ""), ("c5", "junk")];
    refused(&house, &mut root, &row, &bad).await;
    let mut of_a = logged_in(&house, "of-a").await;
    assert_eq!(of_a.get(&house, path).await.status, StatusCode::FORBIDDEN);
}

/// JD-56.
#[tokio::test]
async fn jd56_who_administers_a_domain_has_rules_for_it() {
    let house = house();
    let file = "domains/a.test/rules.tab";
    house.put(file, "# ours\n\"old\"\t\"*\"\t\"from\"\t\"contains\"\t\"spam\"\t\"junk\"\n");
    let mut of_a = logged_in(&house, "of-a").await;
    let path = "/jdwa/domains/a.test/rows/rules.tab";
    let page = of_a.get(&house, path).await;
    assert!(page.text.contains("spam") && page.text.contains("rules · a.test <small>"), "{}", page.text);
    let overview = of_a.get(&house, "/jdwa/domains/a.test").await;
    assert!(overview.text.contains("/rows/rules.tab\">Keyword and condition rules</a>"), "{}", overview.text);
    let row = format!("{path}/row");
    let fields =
        [("c0", "new"), ("c1", "*"), ("c2", "body"), ("c3", "contains"), ("c4", "发票"), ("c5", "delete")];
    change(&house, &mut of_a, &row, &row, &fields).await;
    let expected = "# ours\n\"old\"\t\"*\"\t\"from\"\t\"contains\"\t\"spam\"\t\"junk\"\n\
                    \"new\"\t\"*\"\t\"body\"\t\"contains\"\t\"发票\"\t\"delete\"\n";
    assert_eq!(house.text(file), expected);
    let bad = [("c0", "x"), ("c1", "*"), ("c2", "body"), ("c3", "contains"), ("c4", "x"), ("c5", "burn")];
    refused(&house, &mut of_a, &row, &bad).await;
    let mut of_b = logged_in(&house, "of-b").await;
    assert_eq!(of_b.get(&house, path).await.status, StatusCode::FORBIDDEN);
}
