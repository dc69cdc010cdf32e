//! Forms that come back when they are refused, and what `jdmail.md` 4 promises of fields (JD-41, JD-43, JD-47, JD-55, JD-63).

use super::*;

const BASE: &str = "/jdwa/domains/a.test";

/// A page, the action of a form there, its fields, what must stand in the answer: what was typed, and why it is refused.
type Refused<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, [&'a str; 2]);

const REFUSED: &[Refused<'_>] = &[
    ("/jdwa/domains", "/jdwa/domains", &[("domain", "b.test")], "value=\"b.test\"", ["exists", "已存在"]),
    (
        "/jdwa/domains",
        "/jdwa/domains",
        &[("domain", "a b")],
        "value=\"a b\"",
        ["no valid domain", "不是有效的域名"],
    ),
    (
        "/jdwa/domains/a.test/users",
        "/jdwa/domains/a.test/users",
        &[("name", "anna"), ("kind", "U"), ("password", "my-own-one"), ("real_name", "Anna B.")],
        "value=\"Anna B.\"",
        ["exists", "已存在"],
    ),
    (
        "/jdwa/domains/a.test/users",
        "/jdwa/domains/a.test/users",
        &[("name", "bert"), ("kind", "U"), ("password", "my own one"), ("real_name", "Bert")],
        "value=\"my own one\"",
        ["blank", "空格"],
    ),
    (
        "/jdwa/domains/a.test/lists",
        "/jdwa/domains/a.test/users",
        &[("name", "anna"), ("kind", "M"), ("password", ""), ("real_name", "All of us")],
        "value=\"All of us\"",
        ["exists", "已存在"],
    ),
    (
        "/jdwa/domains/a.test/users/anna",
        "/jdwa/domains/a.test/users/anna/relay",
        &[("hosts", "no host"), ("options", "NeedTLS=1"), ("too", "1")],
        "value=\"no host\"",
        ["is not a host", "不是主机"],
    ),
    (
        "/jdwa/domains/a.test",
        "/jdwa/domains/a.test/outgoing",
        &[("hosts", "no host"), ("options", "")],
        "value=\"no host\"",
        ["is not a host", "不是主机"],
    ),
    (
        "/jdwa/domains/a.test/users/anna",
        "/jdwa/domains/a.test/users/anna/rename",
        &[("new", "boss"), ("alias", "1")],
        "value=\"boss\"",
        ["exists", "已存在"],
    ),
    (
        "/jdwa/domains/a.test/groups",
        "/jdwa/domains/a.test/groups",
        &[("group", "x/y")],
        "value=\"x&#x2f;y\"",
        ["cannot be the name", "不能作为"],
    ),
    (
        "/jdwa/domains/a.test/aliases",
        "/jdwa/domains/a.test/aliases",
        &[("alias", "info"), ("target", "nobody")],
        "value=\"nobody\"",
        ["no such account", "没有此帐号"],
    ),
    (
        "/jdwa/domains/a.test/aliases",
        "/jdwa/domains/a.test/other-names",
        &[("alias", "c.test")],
        "value=\"c.test\"",
        ["exists", "已存在"],
    ),
    (
        "/jdwa/administrators",
        "/jdwa/administrators",
        &[("name", "fresh"), ("password", "short"), ("role", "system"), ("domains", "")],
        "value=\"fresh\"",
        ["too short", "过短"],
    ),
];

#[tokio::test]
async fn a_refused_form_comes_back_as_it_was_typed_with_the_reason_at_the_field() {
    let house = house();
    for (language, tag) in ["en", "zh-CN"].into_iter().enumerate() {
        let mut root = logged_in(&house, "root").await;
        root.language = tag;
        for (page, action, fields, typed, reasons) in REFUSED {
            let before = root.get(&house, page).await;
            let answer = root.submit(&house, &before, action, fields).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{action} {fields:?}");
            assert!(answer.text.contains(typed), "{action} {fields:?}: {}", answer.text);
            let at_field = answer.text.split("<p class=\"problem\">").nth(1).unwrap_or_default();
            let reason = at_field.split("</p>").next().unwrap_or_default();
            assert!(reason.contains(reasons[language]), "{action} {fields:?}: {reason:?}");
            // The page is the one with the form, ready to be sent again.
            let form = format!("action=\"{action}\"");
            assert!(answer.text.replace("&#x2f;", "/").contains(&form), "{form}: {}", answer.text);
        }
    }
}

/// A box that was not ticked is not ticked again by what counts now.
#[tokio::test]
async fn a_refused_form_keeps_its_boxes() {
    let house = house();
    house.write("domains/a.test/anna/mailproc.tab", "\"smtprelay\"\t\"next.test\"\n\"mailbox\"\n");
    let mut root = logged_in(&house, "root").await;
    let path = format!("{BASE}/users/anna");
    let page = root.get(&house, &path).await;
    let box_of = |answer: &Answer| answer.text.contains("name=\"too\" value=\"1\" checked");
    assert!(box_of(&page), "{}", page.text);
    let answer = root.submit(&house, &page, &format!("{path}/relay"), &[("hosts", "no host")]).await;
    assert!(!box_of(&answer), "{}", answer.text);
    assert_eq!(house.text("domains/a.test/anna/mailproc.tab"), "\"smtprelay\"\t\"next.test\"\n\"mailbox\"\n");
}

/// JD-41, JD-43: the secrecy level and the two numbers of a person; no such thing for a group.
#[tokio::test]
async fn jd_41_jd_43_a_person_has_a_secrecy_level_and_numbers() {
    let house = house();
    house.admin.add_group("a.test", "all").unwrap();
    let mut of_a = logged_in(&house, "of-a").await;
    let fields = [("v.SecrecyLevel", "2"), ("v.EmployeeId", "0042"), ("v.PersonId", "110101199003070000")];
    for (path, file) in [
        (format!("{BASE}/defaults"), "domains/a.test/userdef.tab"),
        (format!("{BASE}/users/anna"), "domains/a.test/anna/user.tab"),
    ] {
        let page = of_a.get(&house, &path).await;
        let base = page.hidden("base");
        let fields: Vec<_> = fields.into_iter().chain([("base", base.as_str())]).collect();
        of_a.change(&house, &page, &path, &fields).await;
        let text = house.text(file);
        for row in [
            "\"SecrecyLevel\"\t\"2\"\n",
            "\"EmployeeId\"\t\"0042\"\n",
            "\"PersonId\"\t\"110101199003070000\"\n",
        ] {
            assert!(text.contains(row), "{file}: {text}");
        }
    }
    let page = of_a.get(&house, &format!("{BASE}/groups/all")).await;
    assert!(!page.text.contains("EmployeeId"), "{}", page.text);
}

/// JD-43: what is refused is said in the language of the page.
#[tokio::test]
async fn jd_43_a_wrong_limit_is_refused_in_chinese() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    root.language = "zh-CN";
    let path = format!("{BASE}/users/anna");
    let page = root.get(&house, &path).await;
    let base = page.hidden("base");
    let fields = [("base", base.as_str()), ("v.MaxMessageSize", "abc")];
    let answer = root.submit(&house, &page, &path, &fields).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text.contains("不是十进制数"), "{}", answer.text);
}

/// JD-47: who may post to a list is a choice of the form, and of the overview.
#[tokio::test]
async fn jd_47_a_list_may_be_open_to_its_domain() {
    let house = house();
    house.admin.add_user("a.test", "team", b"", "M").unwrap();
    let mut of_a = logged_in(&house, "of-a").await;
    let (list, lists) = (format!("{BASE}/lists/team"), format!("{BASE}/lists"));
    assert!(of_a.get(&house, &lists).await.text.contains("<td>everybody</td>"));
    let page = of_a.get(&house, &list).await;
    let base = page.hidden("base");
    let fields = [("base", base.as_str()), ("v.ClosedML", "1"), ("v.DomainMayPost", "1")];
    of_a.change(&house, &page, &list, &fields).await;
    let rows = house.text("domains/a.test/team/user.tab");
    assert_eq!(rows, "\"ClosedML\"\t\"1\"\n\"DomainMayPost\"\t\"1\"\n");
    let page = of_a.get(&house, &lists).await;
    assert!(page.text.contains("<td>members, and everybody of the domain</td>"), "{}", page.text);
}

/// JD-55: `@` is obligatory in what is added; what a shell wrote stays.
#[tokio::test]
async fn jd_55_a_pattern_for_senders_needs_an_at() {
    let house = house();
    house.write("spam-address.tab", "\"bulk*\"\n");
    let mut root = logged_in(&house, "root").await;
    let row = "/jdwa/tables/spam-address.tab/row";
    let page = root.get(&house, row).await;
    let base = page.hidden("base");
    let new = |pattern| [("base", base.as_str()), ("line", "0"), ("c0", pattern)];
    let answer = root.submit(&house, &page, row, &new("nobody")).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        answer.text.contains("needs an @") && answer.text.contains("value=\"nobody\""),
        "{}",
        answer.text
    );
    root.change(&house, &page, row, &new("*@bulk.test")).await;
    assert_eq!(house.text("spam-address.tab"), "\"bulk*\"\n\"*@bulk.test\"\n");
}

/// JD-63: who has forgotten the password gets one for a single log-in; his sessions end, and so does the old password.
#[tokio::test]
async fn jd_63_an_administrator_gets_another_password() {
    let house = house();
    let (mut root, mut of_a) = (logged_in(&house, "root").await, logged_in(&house, "of-a").await);
    let path = "/jdwa/administrators";
    let page = root.get(&house, path).await;
    let action = "/jdwa/administrators/password";
    let fields = [("name", "of-a"), ("password", "short")];
    let answer = root.submit(&house, &page, action, &fields).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    root.change(&house, &page, action, &[("name", "of-a"), ("password", "another long one")]).await;
    assert_eq!(of_a.get(&house, BASE).await.location(), "/jdwa/login");
    let mut again = Browser::default();
    again.try_log_in(&house, "of-a", PASSWORD).await;
    assert_eq!(again.get(&house, BASE).await.location(), "/jdwa/login");
    let mut again = Browser::default();
    again.try_log_in(&house, "of-a", "another long one").await;
    assert_eq!(again.get(&house, BASE).await.location(), "/jdwa/password");
    // Not for those who administer a domain.
    let mut of_b = logged_in(&house, "of-b").await;
    let page = of_b.get(&house, "/jdwa/domains/b.test").await;
    let answer = of_b.submit(&house, &page, action, &[("name", "root"), ("password", "mine all mine")]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

/// JD-48: what no RCPT can name is no alias; what a shell wrote may keep its name.
#[tokio::test]
async fn jd_48_an_alias_is_a_local_part_or_a_pattern() {
    let house = house();
    house.write("aliases.tab", "\"a.test\"\t\"boss\"\t\"anna\"\n\"a.test\"\t\"b c\"\t\"nobody\"\n");
    let mut of_a = logged_in(&house, "of-a").await;
    let path = format!("{BASE}/aliases");
    let page = of_a.get(&house, &path).await;
    for alias in ["x y", "x@y", "x..y", "(x)", ""] {
        for (action, old) in [(path.clone(), ""), (format!("{path}/change"), "boss")] {
            let fields = [("alias", alias), ("target", "anna"), ("old", old)];
            let answer = of_a.submit(&house, &page, &action, &fields).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{action} {alias}");
            assert!(answer.text.contains("An alias may have letters"), "{action} {alias}");
        }
    }
    of_a.change(&house, &page, &path, &[("alias", "sales-*"), ("target", "anna")]).await;
    let fields = [("old", "b c"), ("alias", "b c"), ("target", "anna")];
    of_a.change(&house, &page, &format!("{path}/change"), &fields).await;
    let rows = house.text("aliases.tab");
    assert!(rows.contains("\"sales-*\"\t\"anna\"") && rows.contains("\"b c\"\t\"anna\""), "{rows}");
}

/// On top it is said that nothing was done, the reason at its field only; and on top where no field of the page has it.
#[tokio::test]
async fn a_reason_stands_once_and_at_the_row_that_was_changed() {
    let house = house();
    house.write("aliases.tab", "\"a.test\"\t\"boss\"\t\"anna\"\n\"a.test\"\t\"chef\"\t\"anna\"\n");
    let mut root = logged_in(&house, "root").await;
    let aliases = format!("{BASE}/aliases");
    let change = format!("{aliases}/change");
    let administrators = "/jdwa/administrators";
    for (page, action, fields, row, reason, typed) in [
        (
            aliases.as_str(),
            aliases.as_str(),
            [("alias", "x y"), ("target", "anna"), ("", "")],
            "id=\"add\"",
            "An alias may have letters",
            "value=\"x y\"",
        ),
        (
            &aliases,
            &change,
            [("old", "chef"), ("alias", "leader"), ("target", "nobody")],
            "<tr><td>chef</td>",
            "There is no such account",
            "value=\"nobody\"",
        ),
        (
            administrators,
            "/jdwa/administrators/role",
            [("name", "of-b"), ("role", "domain"), ("domains", "b.test, z.test")],
            "<tr><td>of-b</td>",
            "This domain is not",
            "value=\"b.test, z.test\"",
        ),
        (
            administrators,
            "/jdwa/administrators/password",
            [("name", "of-b"), ("password", "short"), ("", "")],
            "<tr><td>of-b</td>",
            "too short",
            "value=\"short\"",
        ),
    ] {
        let before = root.get(&house, page).await;
        let answer = root.submit(&house, &before, action, &fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{action}");
        assert_eq!(answer.text.matches(reason).count(), 1, "{action}: {}", answer.text);
        let alert = answer.text.split("role=\"alert\">").nth(1).unwrap().split("</p>").next().unwrap();
        assert_eq!(alert, "Nothing was changed.", "{action}");
        let at_row = answer.text.split(row).nth(1).unwrap();
        let at_row = at_row.split("</tr>").next().unwrap();
        assert!(at_row.contains(reason) && at_row.contains(typed), "{action}: {at_row}");
    }
    // The row is gone meanwhile: no field has it.
    let page = root.get(&house, &aliases).await;
    let fields = [("old", "gone"), ("alias", "gone"), ("target", "anna")];
    let answer = root.submit(&house, &page, &change, &fields).await;
    let alert = answer.text.split("role=\"alert\">").nth(1).unwrap().split("</p>").next().unwrap();
    assert!(alert.len() > "Nothing was changed. ".len(), "{alert}");
}

/// JD-46: a department cannot be moved below itself.
#[tokio::test]
async fn jd_46_a_department_does_not_offer_itself_as_its_target() {
    let house = house();
    for path in ["Sales", "Sales/North", "Salesmen"] {
        house.admin.add_department("a.test", path, 0).unwrap();
    }
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &format!("{BASE}/addressbook")).await;
    let text = page.text.replace("&#x2f;", "/");
    let of = |path: &str| -> Vec<String> {
        let form = text.split("<form ").find(|form| {
            form.contains(&format!("name=\"path\" value=\"{path}\"")) && form.contains("name=\"above\"")
        });
        let options = form.unwrap().split("<option value=\"").skip(2);
        options.map(|option| option.split('"').next().unwrap().to_owned()).collect()
    };
    assert_eq!(of("Sales"), ["Salesmen"]);
    assert_eq!(of("Sales/North"), ["Sales", "Salesmen"]);
    assert_eq!(of("Salesmen"), ["Sales", "Sales/North"]);
    // What is wrong with a move does not stand at the form that adds one.
    let fields = [("act", "move"), ("path", "Gone"), ("above", ""), ("name", "Other")];
    let answer = of_a.submit(&house, &page, &format!("{BASE}/addressbook"), &fields).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!answer.text.contains("class=\"problem\"") && !answer.text.contains("value=\"Gone\""));
}

/// What a confirmation asks about is what people see in the file.
#[tokio::test]
async fn a_confirmation_says_what_is_changed() {
    let house = house();
    house.admin.add_user("a.test", "team", b"", "M").unwrap();
    let mut root = logged_in(&house, "root").await;
    for (language, of_account, of_list) in
        [("en", "Change the account", "Change the list"), ("zh-CN", "修改帐号", "修改邮件列表")]
    {
        root.language = language;
        for (path, title) in [("users/anna", of_account), ("lists/team", of_list)] {
            let path = format!("{BASE}/{path}");
            let page = root.get(&house, &path).await;
            let base = page.hidden("base");
            let fields = [("base", base.as_str()), ("v.RealName", "Another")];
            let shown = root.submit(&house, &page, &path, &fields).await;
            assert!(shown.text.contains(&format!("<h1>{title}")), "{path}: {}", shown.text);
        }
    }
}

/// A conflict shows the text that was typed, before and after the confirmation, to be saved over the file as it is now.
#[tokio::test]
async fn a_text_that_met_a_conflict_is_not_lost() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let path = "/jdwa/raw/spammers.tab";
    let text = "\"198.51.100.0/24\"\n\"203.0.113.7\"\n";
    let typed = |answer: &Answer| {
        let text = answer.text.split("<textarea").nth(1).unwrap_or_else(|| panic!("{}", answer.text));
        let text = text.split_once(">\n").unwrap().1.split("</textarea>").next().unwrap();
        text.replace("&quot;", "\"").replace("&#x2f;", "/")
    };
    let page = root.get(&house, path).await;
    let base = page.hidden("base");
    house.write("spammers.tab", "\"192.0.2.0/24\"\t\"code=0\"\n");
    let answer = root.submit(&house, &page, path, &[("base", &base), ("text", text)]).await;
    assert_eq!((answer.status, typed(&answer).as_str()), (StatusCode::CONFLICT, text));
    // It is the same when the other was faster than the confirmation.
    let base = answer.hidden("base");
    let shown = root.submit(&house, &answer, path, &[("base", &base), ("text", text)]).await;
    assert!(shown.text.contains("code=0"), "what is overwritten is shown: {}", shown.text);
    let draft = shown.hidden("draft");
    house.write("spammers.tab", "\"192.0.2.0/24\"\t\"code=9\"\n");
    let answer = root.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!((answer.status, typed(&answer).as_str()), (StatusCode::CONFLICT, text));
    assert_eq!(house.text("spammers.tab"), "\"192.0.2.0/24\"\t\"code=9\"\n");
    let base = answer.hidden("base");
    root.change(&house, &answer, path, &[("base", &base), ("text", text)]).await;
    assert_eq!(house.text("spammers.tab"), text);
}

/// A text that would lose rows comes back whole, with what is wrong under it.
#[tokio::test]
async fn a_refused_text_comes_back_as_it_was_typed() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let path = "/jdwa/raw/aliases.tab";
    let page = root.get(&house, path).await;
    let base = page.hidden("base");
    let text = "\"a.test\"\t\"boss\"\t\"anna\"\n\"a.test\"\t\"half\"\n";
    let answer = root.submit(&house, &page, path, &[("base", &base), ("text", text)]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let shown = answer.text.replace("&quot;", "\"");
    assert!(shown.contains(text) && shown.contains("needs 3 columns, has 2"), "{shown}");
    // And is saved once it is right.
    let text = "\"a.test\"\t\"boss\"\t\"anna\"\n\"a.test\"\t\"half\"\t\"anna\"\n";
    root.change(&house, &answer, path, &[("base", &base), ("text", text)]).await;
    assert_eq!(house.text("aliases.tab"), text);
}

/// The same row changed in a shell while the form was open: its three versions, before anything is to be confirmed.
#[tokio::test]
async fn a_row_that_a_shell_has_changed_meanwhile_is_a_conflict_at_once() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let row = "/jdwa/tables/spammers.tab/row";
    let page = root.get(&house, &format!("{row}?line=1")).await;
    let base = page.hidden("base");
    house.write("spammers.tab", "\"192.0.2.0/24\"\t\"code=0\"\n");
    let fields = [("base", base.as_str()), ("line", "1"), ("c0", "198.51.100.0/24"), ("c2.what", "refuse")];
    let answer = root.submit(&house, &page, row, &fields).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    for version in ["192.0.2.0&#x2f;24", "198.51.100.0", "code=0"] {
        assert!(answer.text.contains(version), "{version}: {}", answer.text);
    }
    assert!(answer.text.contains("class=\"versions\""), "{}", answer.text);
    assert_eq!(house.text("spammers.tab"), "\"192.0.2.0/24\"\t\"code=0\"\n");
}

/// A file of texts of the operator's own may hold the few that differ.
#[test]
fn own_texts_go_over_ours_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("i18n")).unwrap();
    fs::write(directory.path().join("i18n/en.tab"), "product\tOur Mail\n").unwrap();
    let catalogs = Catalogs::load(&Assets { directory: Some(directory.path().to_owned()) }).unwrap();
    let text = |language, key| catalogs.text(language, key, &[]);
    assert_eq!(text(Language::English, "product"), "Our Mail");
    assert_eq!(text(Language::English, "login.title"), "Log in");
    assert_eq!(text(Language::Chinese, "product"), "Tabmail");
}
