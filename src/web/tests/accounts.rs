//! Pages of domains, users, lists, groups, import and welcome mail (`jdmail.md` JD-40 to JD-47, JD-62, JD-68, JD-97).

use super::*;

const BASE: &str = "/jdwa/domains/a.test";
const ANNA: &str = "/jdwa/domains/a.test/users/anna";

impl House {
    fn add_users(&self, names: &[&str]) {
        for name in names {
            self.admin.add_user("a.test", name, b"pw", "U").unwrap();
        }
    }
}

/// All that JDMail's list of domains shows.
#[tokio::test]
async fn jd_40_domains_show_what_they_hold() {
    let house = house();
    house.write("domains/a.test/.avscan", "");
    house.write("domains/a.test/mailproc.tab", "\"smtprelay\"\t\"next.test\"\n");
    house.write("domains/a.test/anna/Maildir/new/1", "x".repeat(2048));
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/domains").await;
    for shown in ["a.test", "of-a", "c.test", "next.test", ".avscan", "not measured"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let page = root.get(&house, BASE).await;
    let answer = root.submit(&house, &page, &format!("{BASE}/measure"), &[]).await;
    assert_eq!(answer.location(), BASE);
    while !house.exists(".tabmail/usage/a.test.tab") {
        tokio::task::yield_now().await;
    }
    let page = root.get(&house, BASE).await;
    assert!(page.text.contains("2.0 KB in 1 message, measured 23 Nov 2026"), "{}", page.text);
    // A message that comes is not seen before somebody measures again.
    house.write("domains/a.test/anna/Maildir/new/2", "x");
    let page = root.get(&house, BASE).await;
    assert!(page.text.contains("in 1 message"), "{}", page.text);
    let mut of_b = logged_in(&house, "of-b").await;
    assert_eq!(of_b.get(&house, BASE).await.status, StatusCode::FORBIDDEN);
}

/// A file without content: shown and noted as a file that is made or removed.
#[tokio::test]
async fn jd_40_the_mark_for_a_virus_scan_is_switched() {
    let house = house();
    let file = "domains/a.test/.avscan";
    let mut of_a = logged_in(&house, "of-a").await;
    let path = format!("{BASE}/scan-mark");
    let page = of_a.get(&house, BASE).await;
    assert!(
        page.text.contains("does not have the mark") && page.text.contains("no virus scanner of its own")
    );
    let shown = of_a.submit(&house, &page, &path, &[("act", "on")]).await;
    assert!(shown.text.contains("domains&#x2f;a.test&#x2f;.avscan"), "{}", shown.text);
    assert!(shown.text.contains("is made") && !house.exists(file), "nothing yet");
    let draft = shown.hidden("draft");
    let done = of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(done.location(), BASE);
    assert_eq!(house.text(file), "");
    let page = of_a.get(&house, BASE).await;
    assert!(page.text.contains("The domain has the mark."), "{}", page.text);
    let again = of_a.submit(&house, &page, &path, &[("act", "on")]).await;
    assert_eq!(again.location(), BASE, "nothing to change");
    of_a.change(&house, &page, &path, &[("act", "off")]).await;
    assert!(!house.exists(file));
    let log = house.text("logs/webadmin-202611230000");
    for deed in ["mark_domain", "unmark_domain"] {
        let row = format!("\"of-a\"\t\"0.0.0.0\"\t\"{deed}\"\t\"{file}\"\t\"\"\n");
        assert!(log.contains(&row), "{log}");
    }
    assert!(!house.exists("domains/b.test/.avscan"));
    let mut of_b = logged_in(&house, "of-b").await;
    let answer = of_b.submit(&house, &of_b.clone().get(&house, "/jdwa/domains").await, &path, &[]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn jd_41_defaults_are_copied_into_new_accounts() {
    let house = house();
    house.write("userdef.tab", "# all\n\"MaxMBSize\"\t\"10240\"\n\"SmtpPerms\"\t\"MR\"\n");
    let mut of_a = logged_in(&house, "of-a").await;
    let path = format!("{BASE}/defaults");
    let page = of_a.get(&house, &path).await;
    assert!(
        page.text.contains("value=\"10\"") && page.text.contains("no defaults of its own"),
        "{}",
        page.text
    );
    let base = page.hidden("base");
    let fields = [
        ("base", base.as_str()),
        ("v.Department", "Sales"),
        ("v.MaxMBSize", "20480"),
        ("v.SmtpPerms.own", "own"),
        ("v.SmtpPerms", "M"),
        ("v.SmtpPerms", "Z"),
        ("v.PopEnable", "0"),
    ];
    let too_much = [("base", base.as_str()), ("v.MaxMBSize", "20481"), ("v.Department", "typed")];
    let refused = of_a.submit(&house, &page, &path, &too_much).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("value=\"20481\"") && refused.text.contains("0 to 20480"),
        "{}",
        refused.text
    );
    assert!(refused.text.contains("value=\"typed\""), "what was typed stays");
    assert_eq!(of_a.change(&house, &page, &path, &fields).await.location(), path);
    assert_eq!(
        house.text("domains/a.test/userdef.tab"),
        "# all\n\"MaxMBSize\"\t\"20971520\"\n\"SmtpPerms\"\t\"MZ\"\n\"Department\"\t\"Sales\"\n\"PopEnable\"\t\"0\"\n"
    );
    house.add_users(&["bert"]);
    assert!(house.text("domains/a.test/bert/user.tab").contains("\"Department\"\t\"Sales\""));
    let page = of_a.get(&house, &path).await;
    of_a.change(&house, &page, &format!("{path}/delete"), &[]).await;
    assert!(!house.exists("domains/a.test/userdef.tab"));
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/defaults").await;
    let base = page.hidden("base");
    let fields = [("base", base.as_str()), ("v.SmtpPerms.own", "")];
    root.change(&house, &page, "/jdwa/defaults", &fields).await;
    assert_eq!(house.text("userdef.tab"), "# all\n\"MaxMBSize\"\t\"10240\"\n");
    assert_eq!(of_a.get(&house, "/jdwa/defaults").await.status, StatusCode::FORBIDDEN);
}

/// A domain's mail on to another server, and its users' mail out through one.
#[tokio::test]
async fn jd_42_a_domain_has_relays() {
    let house = house();
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, BASE).await;
    let fields = [("hosts", "relay.test:587;two.test"), ("options", "NeedTLS=2")];
    assert_eq!(of_a.change(&house, &page, &format!("{BASE}/outgoing"), &fields).await.location(), BASE);
    assert_eq!(
        house.text("domains/a.test/smtpfwd.tab"),
        "\"*\"\t\"relay.test:587;two.test\"\t\"NeedTLS=2\"\n"
    );
    let fields = [("hosts", "next.test"), ("too", "1")];
    of_a.change(&house, &page, &format!("{BASE}/relay"), &fields).await;
    assert_eq!(house.text("domains/a.test/mailproc.tab"), "\"smtprelay\"\t\"next.test\"\n\"mailbox\"\n");
    let page = of_a.get(&house, BASE).await;
    assert!(page.text.contains("relay.test:587;two.test") && page.text.contains("value=\"1\" checked"));
    for wrong in ["no host!", "host:port"] {
        let answer = of_a.submit(&house, &page, &format!("{BASE}/outgoing"), &[("hosts", wrong)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}: {}", answer.text);
    }
    of_a.change(&house, &page, &format!("{BASE}/outgoing"), &[("hosts", "")]).await;
    of_a.change(&house, &page, &format!("{BASE}/relay"), &[("hosts", "")]).await;
    assert!(!house.exists("domains/a.test/smtpfwd.tab") && !house.exists("domains/a.test/mailproc.tab"));
}

/// What the owner could not log in with is refused at the field, in both languages; what was typed stays.
#[tokio::test]
async fn jd_43_a_password_that_pop3_cannot_carry_is_refused_at_its_field() {
    let house = house();
    house.write("server.tab", "\"PasswordScheme\"\t\"xmail\"\n\"PasswordMinLength\"\t\"4\"\n");
    let table = house.text("mailusers.tab");
    let long = "x".repeat(256);
    let mut of_a = logged_in(&house, "of-a").await;
    let users = format!("{BASE}/users");
    for (language, why) in [
        ("en", ["A password is needed", "blank or TAB", "“密”", "at most 255", "at least 4", "control"]),
        ("zh-CN", ["必须填写密码", "空格或制表符", "“密”", "最多 255", "至少 4", "控制字符"]),
    ] {
        of_a.language = language;
        let passwords = ["", "two words", "密码密码", &long, "abc", "ab\u{1}cd"];
        for (password, why) in passwords.into_iter().zip(why) {
            let page = of_a.get(&house, &users).await;
            let fields = [("name", "bert"), ("real_name", "Bert B."), ("password", password)];
            let refused = of_a.submit(&house, &page, &users, &fields).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{password}");
            assert!(refused.text.contains("<p class=\"problem\">"), "{}", refused.text);
            assert!(refused.text.contains(why) && refused.text.contains("value=\"Bert B.\""), "{why}");
            let page = of_a.get(&house, ANNA).await;
            let refused =
                of_a.submit(&house, &page, &format!("{ANNA}/password"), &[("password", password)]).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{password}");
            assert!(refused.text.contains("<p class=\"problem\">") && refused.text.contains(why), "{why}");
        }
        let page = of_a.get(&house, &format!("{BASE}/import")).await;
        let text = "bert,,two words\ncarl,,密码密码\nd,,abc\n";
        let fields = [("text", text), ("act", "preview")];
        let preview = of_a.submit(&house, &page, &format!("{BASE}/import"), &fields).await;
        for why in [why[1], why[2], why[4]] {
            assert!(preview.text.contains(why), "{why}: {}", preview.text);
        }
    }
    assert_eq!(house.text("mailusers.tab"), table);
    let page = of_a.get(&house, &users).await;
    let taken = [("name", "boss"), ("password", "good-one")];
    let refused = of_a.submit(&house, &page, &users, &taken).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("<p class=\"problem\">") && refused.text.contains("value=\"good-one\""));
    let fields = [("name", "bert"), ("password", "p{a}\"s's;")];
    of_a.change(&house, &page, &users, &fields).await;
    assert!(house.admin.check_password("a.test", "bert", b"p{a}\"s's;").unwrap());
    // CTRL stores what XMail would.
    house.admin.set_password("a.test", "bert", "密码 密码".as_bytes()).unwrap();
}

#[tokio::test]
async fn jd_43_users_are_found_in_all_domains_that_are_held() {
    let house = house();
    house.admin.add_user("b.test", "annabel", b"pw", "U").unwrap();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/users?q=ann").await;
    assert!(page.text.contains("anna@a.test") && page.text.contains("annabel@b.test"), "{}", page.text);
    let page = root.get(&house, "/jdwa/users?q=ann@b").await;
    assert!(!page.text.contains("anna@a.test") && page.text.contains("annabel@b.test"), "{}", page.text);
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, "/jdwa/users?q=ann").await;
    assert!(page.text.contains("anna@a.test") && !page.text.contains("annabel@b.test"), "{}", page.text);
}

#[tokio::test]
async fn jd_43_selected_users_are_changed_as_one() {
    let house = house();
    house.add_users(&["bert", "carl"]);
    house.write("groups/a.test/staff/members.tab", "# of the house\n\"anna\"\n");
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &format!("{BASE}/users")).await;
    let path = format!("{BASE}/selection");
    let both = [("name", "anna"), ("name", "bert")];
    let with = |extra: &[(&'static str, &'static str)]| [&both[..], extra].concat();
    let shown = of_a.submit(&house, &page, &path, &with(&[("act", "limit"), ("limit", "300")])).await;
    for file in ["domains&#x2f;a.test&#x2f;anna&#x2f;user.tab", "domains&#x2f;a.test&#x2f;bert&#x2f;user.tab"]
    {
        assert!(shown.text.contains(file), "{file}: {}", shown.text);
    }
    let draft = shown.hidden("draft");
    of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    let of_anna = "# mine\n\"RealName\"\t\"Anna\"\n\"MaxMBSize\"\t\"307200\"\n";
    assert_eq!(house.text("domains/a.test/anna/user.tab"), of_anna);
    assert!(!house.text("domains/a.test/carl/user.tab").contains("MaxMBSize"));
    of_a.change(&house, &page, &path, &with(&[("act", "disable")])).await;
    let off = house.text("domains/a.test/bert/user.tab");
    for name in ["ReceiveEnable", "SmtpEnable", "PopEnable", "ImapEnable"] {
        assert!(off.contains(&format!("\"{name}\"\t\"0\"")), "{off}");
    }
    let listed = of_a.get(&house, &format!("{BASE}/users")).await;
    assert_eq!(listed.text.matches(">disabled<").count(), 2, "{}", listed.text);
    of_a.change(&house, &page, &path, &with(&[("act", "enable")])).await;
    assert_eq!(house.text("domains/a.test/anna/user.tab"), of_anna);
    of_a.change(&house, &page, &path, &with(&[("act", "join"), ("group", "staff")])).await;
    assert_eq!(house.text("groups/a.test/staff/members.tab"), "# of the house\n\"anna\"\n\"bert\"\n");
    of_a.change(&house, &page, &path, &with(&[("act", "leave"), ("group", "staff")])).await;
    assert_eq!(house.text("groups/a.test/staff/members.tab"), "# of the house\n");
    let all = [("all", "1"), ("q", "r"), ("act", "delete")];
    let shown = of_a.submit(&house, &page, &path, &all).await;
    assert!(shown.text.contains("Mail is deleted"), "{}", shown.text);
    let draft = shown.hidden("draft");
    of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    let left = house.text("mailusers.tab");
    assert!(left.contains("\"anna\"") && !left.contains("\"bert\"") && !left.contains("\"carl\""), "{left}");
    for refused in [vec![("act", "disable")], vec![("name", "anna"), ("act", "limit"), ("limit", "x")]] {
        assert_eq!(of_a.submit(&house, &page, &path, &refused).await.status, StatusCode::SEE_OTHER);
    }
    let answer = of_a.submit(&house, &page, &path, &[("name", "../x"), ("act", "disable")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(house.text("domains/a.test/anna/user.tab"), of_anna);
}

#[tokio::test]
async fn jd_43_a_user_is_renamed_with_its_mail() {
    let house = house();
    house.write("domains/a.test/anna/Maildir/new/1", "mail");
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, ANNA).await;
    let taken = of_a.submit(&house, &page, &format!("{ANNA}/rename"), &[("new", "boss")]).await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
    let fields = [("new", "anne"), ("alias", "1")];
    let shown = of_a.submit(&house, &page, &format!("{ANNA}/rename"), &fields).await;
    assert!(shown.text.contains("directory becomes domains&#x2f;a.test&#x2f;anne"), "{}", shown.text);
    let draft = shown.hidden("draft");
    let done = of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(done.location(), "/jdwa/domains/a.test/users/anne");
    assert_eq!(house.text("domains/a.test/anne/Maildir/new/1"), "mail");
    assert_eq!(house.text("aliases.tab"), "\"a.test\"\t\"boss\"\t\"anne\"\n\"a.test\"\t\"anna\"\t\"anne\"\n");
    assert_eq!(of_a.get(&house, done.location()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn jd_43_a_user_has_relays() {
    let house = house();
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, ANNA).await;
    house.write("domains/a.test/anna/mailproc.tab", "# kept\n\"redirect\"\t\"x@y.test\"\n\"mailbox\"\n");
    of_a.change(&house, &page, &format!("{ANNA}/relay"), &[("hosts", "#one.test;two.test:26")]).await;
    let text = "# kept\n\"redirect\"\t\"x@y.test\"\n\"smtprelay\"\t\"#one.test;two.test:26\"\n";
    assert_eq!(house.text("domains/a.test/anna/mailproc.tab"), text);
    let fields = [("hosts", "one.test"), ("too", "1")];
    of_a.change(&house, &page, &format!("{ANNA}/relay"), &fields).await;
    assert!(house.text("domains/a.test/anna/mailproc.tab").ends_with("\"one.test\"\n\"mailbox\"\n"));
    of_a.change(&house, &page, &format!("{ANNA}/outgoing"), &[("hosts", "out.test")]).await;
    assert_eq!(house.text("domains/a.test/anna/smtpfwd.tab"), "\"*\"\t\"out.test\"\n");
    of_a.change(&house, &page, &format!("{ANNA}/relay"), &[("hosts", "")]).await;
    let text = "# kept\n\"redirect\"\t\"x@y.test\"\n\"mailbox\"\n";
    assert_eq!(house.text("domains/a.test/anna/mailproc.tab"), text, "other commands stay");
}

#[tokio::test]
async fn jd_97_mail_from_before_a_day_is_deleted() {
    let house = house();
    let at = |file: &str, time: &str| {
        house.write(file, "12345");
        let time: jiff::Timestamp = time.parse().unwrap();
        let file = fs::File::options().write(true).open(house.directory.path().join(file)).unwrap();
        file.set_modified(time.into()).unwrap();
    };
    at("domains/a.test/anna/Maildir/new/old", "2026-10-31T23:59:59Z");
    at("domains/a.test/anna/Maildir/cur/young:2,S", "2026-11-01T00:00:00Z");
    at("domains/a.test/anna/Maildir/.Sent/cur/sent:2,S", "2025-01-01T00:00:00Z");
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, ANNA).await;
    let path = format!("{ANNA}/old-mail");
    let wrong = of_a.submit(&house, &page, &path, &[("before", "yesterday")]).await;
    assert_eq!(wrong.location(), ANNA);
    let shown = of_a.submit(&house, &page, &path, &[("before", "2026-11-01")]).await;
    assert!(
        shown.text.contains("2 messages, 10 bytes") && shown.text.contains("Mail is deleted"),
        "{}",
        shown.text
    );
    assert!(house.exists("domains/a.test/anna/Maildir/new/old"), "nothing yet");
    let draft = shown.hidden("draft");
    of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert!(!house.exists("domains/a.test/anna/Maildir/new/old"));
    assert!(!house.exists("domains/a.test/anna/Maildir/.Sent/cur/sent:2,S"));
    assert!(house.exists("domains/a.test/anna/Maildir/cur/young:2,S"));
    assert!(fs::read_dir(house.directory.path().join("pop3locks")).unwrap().next().is_none());
}

#[tokio::test]
async fn jd_44_accounts_are_imported_with_a_preview() {
    let house = house();
    let mut of_a = logged_in(&house, "of-a").await;
    let path = format!("{BASE}/import");
    let page = of_a.get(&house, &path).await;
    let text =
        "# new\r\n\r\nbert,,secret1,\"B., Bert\",123\r\ncarl;;;李 娜\r\nanna,,x\r\nbert,,x\r\nd,b.test,x\r\n";
    let preview = of_a.submit(&house, &page, &path, &[("text", text), ("act", "preview")]).await;
    for shown in [
        "2 lines can be imported",
        "3 lines cannot",
        "The account exists already.",
        "The same account as in line 3.",
        "not yours: b.test",
        "bert@a.test",
        "李 娜",
    ] {
        assert!(preview.text.contains(shown), "{shown}: {}", preview.text);
    }
    assert!(!preview.text.contains("<td>secret1</td>"));
    let fields = [("text", text), ("act", "import")];
    let again = of_a.submit(&house, &preview, &path, &fields).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "faults are not skipped by themselves");
    let fields = [("text", text), ("act", "import"), ("skip", "1")];
    let done = of_a.change(&house, &preview, &path, &fields).await;
    let table = house.text("mailusers.tab");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 3);
    assert!(
        rows[1].starts_with("\"a.test\"\t\"bert\"\t") && rows[1].ends_with("\t2\t\"bert\"\t\"U\""),
        "{rows:?}"
    );
    assert_eq!(
        house.text("domains/a.test/bert/user.tab"),
        "\"RealName\"\t\"B., Bert\"\n\"Telephone\"\t\"123\"\n"
    );
    assert!(house.exists("domains/a.test/carl/Maildir/new"));
    let page = of_a.get(&house, done.location()).await;
    let file = page.hidden("file");
    let passwords = of_a.submit(&house, &page, &format!("{path}/passwords"), &[("file", &file)]).await;
    let (address, password) = passwords.text.trim().split_once('\t').unwrap();
    assert_eq!((address, password.len()), ("carl@a.test", 8));
    assert_eq!(house.admin.password_fault(password), None);
    assert!(house.admin.check_password("a.test", "carl", password.as_bytes()).unwrap());
    assert!(passwords.headers[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment"));
    let again = of_a.submit(&house, &page, &format!("{path}/passwords"), &[("file", &file)]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "once");
}

/// A file for who imported, of mode 0600: it outlives log-out and crash, and is gone when it was fetched.
#[tokio::test]
async fn jd_44_random_passwords_wait_for_who_imported() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = house();
    let (path, fetch) = (format!("{BASE}/import"), format!("{BASE}/import/passwords"));
    let directory = house.directory.path().join(".tabmail/passwords");
    let waiting = || fs::read_dir(&directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &path).await;
    let fields = [("text", "bert\ncarl,,chosen-one\n"), ("act", "import")];
    let shown = of_a.submit(&house, &page, &path, &fields).await;
    assert!(shown.text.contains(".tabmail&#x2f;passwords"), "{}", shown.text);
    assert_eq!(waiting().count(), 0, "nothing yet");
    // Somebody makes one of them meanwhile: the list goes with the import.
    house.add_users(&["bert"]);
    let draft = shown.hidden("draft");
    let failed = of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(failed.status, StatusCode::UNPROCESSABLE_ENTITY);
    house.admin.remove_user("a.test", "bert").unwrap();
    assert_eq!(waiting().count(), 0);
    of_a.change(&house, &page, &path, &fields).await;
    let list = waiting().next().unwrap();
    assert_eq!(fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    let log = house.text("logs/webadmin-202611230000");
    let text = fs::read_to_string(&list).unwrap();
    let password = text.trim_end().rsplit('\t').next().unwrap();
    assert!(!log.contains(password) && !text.contains("chosen-one"), "{log}");
    let file = list.file_name().unwrap().to_str().unwrap().to_owned();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, &path).await;
    assert!(!page.text.contains(&file), "not for others");
    for wrong in [&*file, "../../server.tab", ""] {
        let answer = root.submit(&house, &page, &fetch, &[("file", wrong)]).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{wrong}");
    }
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &path).await;
    assert!(page.text.contains("1 accounts, 23 Nov 2026"), "{}", page.text);
    let fetched = of_a.submit(&house, &page, &fetch, &[("file", &file)]).await;
    assert_eq!(fetched.text, format!("bert@a.test\t{password}\r\n"));
    assert!(house.admin.check_password("a.test", "bert", password.as_bytes()).unwrap());
    assert_eq!(waiting().count(), 0);
    assert!(house.text("logs/webadmin-202611230000").contains("\"passwords fetched a.test\""));
    assert!(!of_a.get(&house, &path).await.text.contains(&file));
}

/// Somebody has the table open for writing: nothing is made, and the same page can be confirmed when he is gone.
#[tokio::test]
async fn jd_44_an_import_that_was_in_the_way_of_others_is_confirmed_again() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let path = format!("{BASE}/import");
    let page = root.get(&house, &path).await;
    let shown = root.submit(&house, &page, &path, &[("text", "bert,,secret-1"), ("act", "import")]).await;
    let draft = shown.hidden("draft");
    let draft = [("draft", draft.as_str())];
    let table = house.directory.path().join("mailusers.tab");
    let mut editor = std::process::Command::new("/bin/sh")
        .args(["-c", "exec 3>>\"$0\"; echo open; read line"])
        .arg(table)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(editor.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
    let busy = root.submit(&house, &shown, "/jdwa/confirm", &draft).await;
    assert_eq!(busy.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", busy.text);
    assert!(!house.text("mailusers.tab").contains("bert") && !house.exists("domains/a.test/bert"));
    drop(editor.stdin.take());
    editor.wait().unwrap();
    let done = root.submit(&house, &shown, "/jdwa/confirm", &draft).await;
    assert_eq!(done.location(), path, "{}", done.text);
    assert!(house.text("mailusers.tab").contains("\"bert\""));
    let again = root.submit(&house, &shown, "/jdwa/confirm", &draft).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "not a third time");
}

/// A form as browsers send it whose field `list` is a file.
fn with_file(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let file = if *name == "list" { "; filename=\"帐号.csv\"\r\nContent-Type: text/csv" } else { "" };
        let head = format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    body.extend(b"--limit--\r\n");
    body
}

impl Browser {
    async fn send_file(&mut self, house: &House, path: &str, parts: &[(&str, &[u8])]) -> Answer {
        let request = Request::post(path)
            .header(header::COOKIE, self.cookies.join("; "))
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=limit");
        // In pieces, as from a socket.
        let form = house.directory.path().join("form");
        fs::write(&form, with_file(parts)).unwrap();
        let request = request.body(crate::web::download::body(&form).unwrap().0).unwrap();
        let (parts, body) = house.app.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }
}

/// A file stands for the text: previewed as such, imported only from there.
#[tokio::test]
async fn jd_44_accounts_come_from_a_file_of_any_windows() {
    let house = house();
    let mut of_a = logged_in(&house, "of-a").await;
    let path = format!("{BASE}/import");
    let page = of_a.get(&house, &path).await;
    assert!(page.text.contains("enctype=\"multipart/form-data\"") && page.text.contains("type=\"file\""));
    let csrf = page.hidden("csrf");
    let csrf = ("csrf", csrf.as_bytes());
    let gbk = b"bert,,secret-1,\xC0\xEE\xC4\xC8\r\nanna,,x\r\n";
    let marked = [&b"\xEF\xBB\xBF"[..], "bert,,secret-1,李娜\r\nanna,,x\r\n".as_bytes()].concat();
    for (file, encoding) in [(&gbk[..], "GB18030 (GBK)"), (&marked, "UTF-8")] {
        for act in ["preview", "import"] {
            let parts =
                [csrf, ("text", b"typed,,before"), ("list", file), ("skip", b"1"), ("act", act.as_bytes())];
            let shown = of_a.send_file(&house, &path, &parts).await;
            assert_eq!(shown.status, StatusCode::OK);
            for part in ["1 line can be imported", "<td>李娜</td>", "The account exists already.", encoding]
            {
                assert!(shown.text.contains(part), "{part}: {}", shown.text);
            }
            assert!(shown.text.contains(">bert,,secret-1,李娜\r\n") && !shown.text.contains("typed,,before"));
            assert!(!shown.text.contains("name=\"draft\""), "not before the text was seen");
        }
    }
    // Without a file, as a browser sends it, the text counts, and what was pasted with a mark too.
    let parts = [csrf, ("text", "\u{feff}bert,,secret-1,李娜".as_bytes()), ("list", b""), ("act", b"import")];
    let shown = of_a.send_file(&house, &path, &parts).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.text);
    let draft = shown.hidden("draft");
    of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(house.text("domains/a.test/bert/user.tab"), "\"RealName\"\t\"李娜\"\n");
}

#[tokio::test]
async fn jd_44_a_file_that_cannot_be_imported_is_refused_at_its_field() {
    let house = house();
    let table = house.text("mailusers.tab");
    let mut of_a = logged_in(&house, "of-a").await;
    let path = format!("{BASE}/import");
    let csrf = of_a.get(&house, &path).await.hidden("csrf");
    let csrf = ("csrf", csrf.as_bytes());
    let act = ("act", &b"preview"[..]);
    let typed = ("text", &b"carl,,typed-one"[..]);
    let large = vec![b'#'; (8 << 20) + 1];
    for (file, status, why) in [
        (&large[..], StatusCode::PAYLOAD_TOO_LARGE, "The file is too large"),
        (b"PK\x03\x04\x14\0\x06\0", StatusCode::UNPROCESSABLE_ENTITY, "workbooks such as .xlsx"),
        (b"Jos\xE9,,secret-1", StatusCode::UNPROCESSABLE_ENTITY, "neither UTF-8"),
    ] {
        let refused = of_a.send_file(&house, &path, &[csrf, typed, ("list", file), act]).await;
        assert_eq!(refused.status, status, "{why}");
        assert!(
            refused.text.contains("id=\"list-problem\"") && refused.text.contains(why),
            "{}",
            refused.text
        );
        assert!(refused.text.contains(">carl,,typed-one<"), "what was typed stays: {}", refused.text);
    }
    // Larger than any form.
    let huge = vec![b'#'; 49 << 20];
    let refused = of_a.send_file(&house, &path, &[csrf, ("list", &huge), act]).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let file = ("list", &b"bert,,secret-1"[..]);
    for parts in
        [vec![file, act], vec![("csrf", &b"0000"[..]), file, act], vec![file, csrf, act], vec![act, csrf]]
    {
        let refused = of_a.send_file(&house, &path, &parts).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
    let mut of_b = logged_in(&house, "of-b").await;
    let own = of_b.get(&house, "/jdwa/domains").await.hidden("csrf");
    let refused = of_b.send_file(&house, &path, &[("csrf", own.as_bytes()), file, act]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(house.text("mailusers.tab"), table);
}

/// One edit of `mailusers.tab`; the page of the change stays one that can be read.
#[tokio::test]
async fn jd_44_a_thousand_accounts_are_one_change() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let path = format!("{BASE}/import");
    let page = root.get(&house, &path).await;
    let text: String = (0..1000).map(|n| format!("user{n},a.test,pw{n},User {n}\n")).collect();
    let shown = root.submit(&house, &page, &path, &[("text", &text), ("act", "import")]).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(shown.text.len() < 200_000 && shown.text.contains("mailusers.tab"), "{}", shown.text.len());
    assert_eq!(house.text("mailusers.tab").lines().count(), 1);
    let draft = shown.hidden("draft");
    let done = root.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(done.location(), path);
    let rows = house.text("mailusers.tab");
    assert_eq!(rows.lines().count(), 1001);
    assert!(rows.lines().last().unwrap().ends_with("\t1001\t\"user999\"\t\"U\""));
    assert!(house.exists("domains/a.test/user999/Maildir/cur"));
}

/// Built-in < server < group < user, shown and at once in force.
#[tokio::test]
async fn jd_45_jd_68_groups_set_what_their_members_do_not() {
    let house = house();
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &format!("{BASE}/groups")).await;
    for wrong in ["../x", ".x", "a/b"] {
        let answer = of_a.submit(&house, &page, &format!("{BASE}/groups"), &[("group", wrong)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let done = of_a.change(&house, &page, &format!("{BASE}/groups"), &[("group", "Staff")]).await;
    assert_eq!(done.location(), format!("{BASE}/groups/staff"));
    let group = format!("{BASE}/groups/staff");
    let page = of_a.get(&house, &group).await;
    let members = format!("{group}/members");
    let unknown = of_a.submit(&house, &page, &members, &[("names", "anna nobody"), ("act", "add")]).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    of_a.change(&house, &page, &members, &[("names", "Anna@a.test\r\n"), ("act", "add")]).await;
    assert_eq!(house.text("groups/a.test/staff/members.tab"), "\"anna\"\n");
    let base = page.hidden("base");
    let fields = [("base", base.as_str()), ("v.MaxMBSize", "5"), ("v.ImapEnable", "0")];
    of_a.change(&house, &page, &group, &fields).await;
    assert_eq!(
        house.text("groups/a.test/staff/user.tab"),
        "\"ImapEnable\"\t\"0\"\n\"MaxMBSize\"\t\"5120\"\n"
    );
    let page = of_a.get(&house, ANNA).await;
    for shown in ["5 MB, of group staff", "groups&#x2f;a.test&#x2f;staff&#x2f;user.tab:2", "group staff"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    let tables = house.admin.serving_tables();
    let anna = Arc::clone(tables.users.get("a.test", "anna").unwrap());
    assert_eq!(tables.user_settings(&anna).mailbox_bytes_max(), Some(5 << 20));
    of_a.change(&house, &page, &format!("{ANNA}/groups"), &[]).await;
    assert_eq!(house.text("groups/a.test/staff/members.tab"), "");
    assert_eq!(house.admin.serving_tables().user_settings(&anna).mailbox_bytes_max(), None);
    of_a.change(&house, &page, &format!("{group}/delete"), &[]).await;
    assert!(!house.exists("groups/a.test/staff"));
    let mut of_b = logged_in(&house, "of-b").await;
    assert_eq!(of_b.get(&house, &format!("{BASE}/groups")).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn jd_47_lists_have_members_with_rights() {
    let house = house();
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &format!("{BASE}/lists")).await;
    let fields = [("name", "news"), ("kind", "M"), ("password", "")];
    let done = of_a.change(&house, &page, &format!("{BASE}/users"), &fields).await;
    let list = format!("{BASE}/lists/news");
    assert_eq!(done.location(), list);
    let page = of_a.get(&house, &list).await;
    let members = format!("{list}/members");
    let with = |text: &'static str| [("members", text), ("act", "add"), ("R", "1"), ("W", "1")];
    let wrong = of_a.submit(&house, &page, &members, &with("a@x.test\r\nnobody\r\n")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("Line 2") && wrong.text.contains("a@x.test\r\nnobody"), "{}", wrong.text);
    house.write("domains/a.test/news/mlusers.tab", "# readers\n\"old@x.test\"\t\"RW\"\n");
    of_a.change(&house, &page, &members, &with("a@x.test\r\nb@x.test R\r\nOLD@x.test RA\r\n")).await;
    let file = "domains/a.test/news/mlusers.tab";
    assert_eq!(
        house.text(file),
        "# readers\n\"OLD@x.test\"\t\"RA\"\n\"a@x.test\"\t\"RW\"\n\"b@x.test\"\t\"R\"\n"
    );
    let rights = [("address", "a@x.test"), ("act", "rights"), ("R", "1")];
    of_a.change(&house, &page, &members, &rights).await;
    of_a.change(&house, &page, &members, &[("address", "b@x.test"), ("act", "remove")]).await;
    assert_eq!(house.text(file), "# readers\n\"OLD@x.test\"\t\"RA\"\n\"a@x.test\"\t\"R\"\n");
    let page = of_a.get(&house, &list).await;
    let base = page.hidden("base");
    let fields = [("base", base.as_str()), ("v.ClosedML", "1"), ("v.ListSender", "nobody")];
    let wrong = of_a.submit(&house, &page, &list, &fields).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("is not a mail address"), "{}", wrong.text);
    let fields = [("base", base.as_str()), ("v.ClosedML", "1"), ("v.ListSender", "boss@a.test")];
    of_a.change(&house, &page, &list, &fields).await;
    assert_eq!(
        house.text("domains/a.test/news/user.tab"),
        "\"ClosedML\"\t\"1\"\n\"ListSender\"\t\"boss@a.test\"\n"
    );
    let many: String = (0..60).map(|n| format!("\"m{n}@x.test\"\t\"RW\"\n")).collect();
    house.write(file, &many);
    let page = of_a.get(&house, &format!("{list}?page=2")).await;
    assert!(page.text.contains("m59@x.test") && !page.text.contains("m49@x.test"), "{}", page.text);
    assert_eq!(of_a.get(&house, &format!("{BASE}/lists/anna")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn jd_62_new_accounts_are_greeted() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let page = root.get(&house, "/jdwa/welcome").await;
    let fields = [("text", "hello"), ("act", "save")];
    let refused = root.submit(&house, &page, "/jdwa/welcome", &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let fields = [("text", "Subject: Hi {name}\r\n\r\n{address} is yours.\r\n"), ("act", "save")];
    root.change(&house, &page, "/jdwa/welcome", &fields).await;
    assert_eq!(house.text("welcome.eml"), "Subject: Hi {name}\n\n{address} is yours.\n");
    let page = root.get(&house, &format!("{BASE}/users")).await;
    let fields = [("name", "bert"), ("real_name", "李"), ("password", "secret-word"), ("welcome", "1")];
    let shown = root.submit(&house, &page, &format!("{BASE}/users"), &fields).await;
    assert!(shown.text.contains("1 message is sent"), "{}", shown.text);
    assert!(!house.exists("spool/local"), "nothing yet");
    let draft = shown.hidden("draft");
    root.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    let dropped: Vec<_> = fs::read_dir(house.directory.path().join("spool/local"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(dropped.len(), 1);
    let letter = fs::read_to_string(&dropped[0]).unwrap();
    let head =
        "mail from:<postmaster@a.test>\r\nrcpt to:<bert@a.test>\r\n\r\nSubject: Hi =?UTF-8?B?5p2O?=\r\n";
    assert!(letter.starts_with(head) && letter.ends_with("\r\n\r\nbert@a.test is yours.\r\n"), "{letter}");
    assert!(!letter.contains("secret-word"));
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &format!("{BASE}/welcome")).await;
    assert!(page.text.contains("no welcome mail of its own"));
    let fields = [("text", "Subject: Own\n\nx\n"), ("act", "save")];
    of_a.change(&house, &page, &format!("{BASE}/welcome"), &fields).await;
    assert_eq!(house.text("domains/a.test/welcome.eml"), "Subject: Own\n\nx\n");
    of_a.change(&house, &page, &format!("{BASE}/welcome"), &[("act", "remove")]).await;
    assert!(!house.exists("domains/a.test/welcome.eml"));
}
