//! The password that all new accounts share (JD-63, JD-43, JD-44).

use super::*;

const BASE: &str = "/jdwa/domains/a.test";
const POLICY: &str = "/jdwa/settings?topic=administration";

/// JD-63: it is set where the other rules for passwords are, obeys them, and the page says that all share it.
#[tokio::test]
async fn jd_63_the_password_policy_has_a_default_password() {
    let house = house();
    let mut root = logged_in(&house, "root").await;
    let warning = "All new accounts share the default password.";
    let page = root.get(&house, POLICY).await;
    assert!(page.text.contains("v.DefaultPassword") && page.text.contains("v.PasswordMinLength"));
    assert!(!page.text.contains(warning));
    let base = page.hidden("base");
    let save = |password: &'static str, chars_min: &'static str| {
        [
            ("base", base.clone()),
            ("topic", "administration".to_owned()),
            ("v.DefaultPassword", password.to_owned()),
            ("v.PasswordMinLength", chars_min.to_owned()),
        ]
    };
    for (password, chars_min, reason) in
        [("wel come", "", "blank"), ("welcome", "9", "9"), ("willkömmen", "", "ö")]
    {
        let fields = save(password, chars_min);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = root.submit(&house, &page, "/jdwa/settings", &fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{password}");
        let problem = answer.text.split("id=\"v.DefaultPassword-problem\">").nth(1).unwrap();
        assert!(problem.split("</p>").next().unwrap().contains(reason), "{password}: {problem}");
        assert!(answer.text.contains(&format!("value=\"{password}\"")), "{}", answer.text);
    }
    let fields = save("welcome-1", "9");
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let shown = root.submit(&house, &page, "/jdwa/settings", &fields).await;
    assert!(
        shown.text.contains("Change the settings") && !shown.text.contains("welcome-1"),
        "{}",
        shown.text
    );
    let draft = shown.hidden("draft");
    root.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    let rows = house.text("server.tab");
    assert!(rows.starts_with("# kept\n") && rows.contains("\"DefaultPassword\"\t\"welcome-1\"\n"), "{rows}");
    assert!(!house.text("logs/webadmin-202611230000").contains("welcome-1"));
    let page = root.get(&house, POLICY).await;
    assert!(page.text.contains(warning), "{}", page.text);
    // One that has become too short by what is wanted of all.
    let base = page.hidden("base");
    let fields = [("base", base.as_str()), ("topic", "administration"), ("v.PasswordMinLength", "20")];
    let answer = root.submit(&house, &page, "/jdwa/settings", &fields).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

/// JD-43, JD-44: the form of an account suggests it, an import gives it; there is no list of what everybody knows.
#[tokio::test]
async fn jd_63_new_accounts_get_the_default_password() {
    let house = house();
    house.write("server.tab", "\"PasswordScheme\"\t\"xmail\"\n\"DefaultPassword\"\t\"welcome-1\"\n");
    house.admin.reload_tables(crate::admin::Reload::Now);
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &format!("{BASE}/users")).await;
    assert!(page.text.contains("name=\"password\" value=\"welcome-1\""), "{}", page.text);
    assert!(page.text.contains("all new accounts share it"), "{}", page.text);
    let account = of_a.get(&house, &format!("{BASE}/users/anna")).await;
    assert!(!account.text.contains("welcome-1"), "who has an account gets another password");
    let path = format!("{BASE}/import");
    let preview = of_a.submit(&house, &page, &path, &[("text", "bert\ncarl,,chosen-one\n")]).await;
    assert!(preview.text.contains("1 account gets the default password"), "{}", preview.text);
    let fields = [("text", "bert\ncarl,,chosen-one\n"), ("act", "import")];
    of_a.change(&house, &page, &path, &fields).await;
    let rows = house.text("mailusers.tab");
    for (name, password) in [("bert", "welcome-1"), ("carl", "chosen-one")] {
        let stored = crate::auth::xmail_encode(password.as_bytes());
        assert!(rows.contains(&format!("\"{name}\"\t\"{stored}\"")), "{name}: {rows}");
    }
    assert!(!house.exists(".tabmail/passwords"), "no list");
}

/// JD-44: a list goes at the start of the pages when nobody may fetch it any more.
#[tokio::test]
async fn jd_44_old_password_lists_are_removed_at_the_start() {
    let house = house();
    let list = |owner: &str, secs: i64| {
        format!("\"{owner}\"\t\"a.test\"\t\"{secs}\"\t\"1\"\nx@a.test\tgeheim23\r\n")
    };
    fs::create_dir_all(house.directory.path().join(".tabmail/passwords")).unwrap();
    house.write(".tabmail/passwords/old", list("root", 1_795_428_000 - 31 * 86_400));
    house.write(".tabmail/passwords/gone", list("nobody", 1_795_428_000));
    house.write(".tabmail/passwords/good", list("root", 1_795_428_000 - 29 * 86_400));
    let house = house.restarted();
    let there = |name: &str| house.exists(&format!(".tabmail/passwords/{name}"));
    assert_eq!(["old", "gone", "good"].map(there), [false, false, true]);
}
