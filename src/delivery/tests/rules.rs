//! `rules.tab` at delivery (`jdmail.md` JD-56). The house's messages have the subject "hi".

use super::*;

/// Mail for anna and bert under one rule for anna.
async fn house_under(action: &str) -> (tempfile::TempDir, House) {
    let rule = format!(
        "\"greeting\"\t\"anna@*\"\t\"subject\"\t\"matches\"\t\"h?\"\t\"{action}\"\n\
         \"greeting\"\t\"*\"\t\"body\"\t\"contains\"\t\"BODY\"\t\"{action}\"\n"
    );
    let directory = mail_root(&[("rules.tab", &rule)]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    for name in ["anna", "bert"] {
        house.submit("x@far.test", &format!("{name}@home.test")).await;
        house.begin().await.await.unwrap();
    }
    (directory, house)
}

#[tokio::test]
async fn a_rule_marks_deletes_or_returns_the_mail_that_it_is_about() {
    for (action, delivered, frozen, notices) in [("junk", 1, 0, 0), ("delete", 0, 0, 0), ("reject", 0, 1, 1)]
    {
        let (_directory, house) = house_under(action).await;
        let mail = house.mail_of("anna");
        assert_eq!(mail.len(), delivered, "{action}");
        assert_eq!(house.spooled("froz").len(), frozen, "{action}");
        assert_eq!(house.services.spool.outbox().counts().0, notices, "{action}");
        let others = house.mail_of("bert");
        assert_eq!(others.len(), 1, "{action}: the rule is not about bert");
        assert!(!others[0].contains("X-Spam"), "{action}: {}", others[0]);
        if action == "junk" {
            assert!(mail[0].contains("\r\nX-Spam-Flag: YES\r\nX-Spam-Rule: greeting\r\n"), "{}", mail[0]);
        }
        let log = fs::read_to_string(house.services.logs.path(LogKind::Smail)).unwrap_or_default();
        assert_eq!(log.contains("\"RULE\"\t\"greeting\""), action == "delete", "{action}: {log}");
    }
}

/// A domain's rules count for its accounts, and after those of the server.
#[tokio::test]
async fn jd56_rules_of_a_domain_are_asked_after_those_of_the_server() {
    let rule = |recipient: &str, action: &str| {
        format!("\"r\"\t\"{recipient}\"\t\"subject\"\t\"contains\"\t\"hi\"\t\"{action}\"\n")
    };
    let (of_root, of_domain) = (rule("anna@*", "junk"), rule("*", "delete"));
    let of_other = rule("*", "reject");
    for (files, expected) in [
        (vec![("domains/home.test/rules.tab", &of_domain)], [0, 0]),
        (vec![("rules.tab", &of_root), ("domains/home.test/rules.tab", &of_domain)], [1, 0]),
        (vec![("domains/far.test/rules.tab", &of_other)], [1, 1]),
    ] {
        let files: Vec<(&str, &str)> = files.into_iter().map(|(name, text)| (name, text.as_str())).collect();
        let directory = mail_root(&files);
        let house = House::at(directory.path(), Disk::default(), 2).await;
        let mut found = [0, 0];
        for (name, found) in ["anna", "bert"].into_iter().zip(&mut found) {
            house.submit("x@far.test", &format!("{name}@home.test")).await;
            house.begin().await.await.unwrap();
            *found = house.mail_of(name).len();
        }
        assert_eq!(found, expected, "{files:?}");
        assert!(house.spooled("froz").is_empty(), "{files:?}");
    }
}

/// The account decides whether its junk has a folder; without Maildirs nobody has one.
#[tokio::test]
async fn jd56_junk_goes_into_the_folder_that_is_for_it() {
    let rule = "\"r\"\t\"*\"\t\"subject\"\t\"contains\"\t\"hi\"\t\"junk\"\n";
    let on = "\"JunkFolder\"\t\"1\"\n";
    let spam = "\"Spam/Mine\"\t\"50\"\t\"\"\t\"\\Junk\"\n";
    let anna = "domains/home.test/anna";
    let (user_tab, table) = (format!("{anna}/user.tab"), format!("{anna}/imapfolders.tab"));
    let group = "groups/home.test/all";
    let (members, of_group) = (format!("{group}/members.tab"), format!("{group}/user.tab"));
    for (files, folder) in [
        (vec![], None),
        (vec![(user_tab.as_str(), on)], Some(".Junk")),
        (vec![(members.as_str(), "\"anna\"\n"), (of_group.as_str(), on)], Some(".Junk")),
        (vec![(user_tab.as_str(), on), (table.as_str(), spam)], Some(".Spam.Mine")),
    ] {
        let files: Vec<_> = files.into_iter().chain([("rules.tab", rule)]).collect();
        let directory = mail_root(&files);
        if folder == Some(".Spam.Mine") {
            fs::create_dir_all(directory.path().join(anna).join("Maildir/.Spam.Mine/cur")).unwrap();
            fs::create_dir_all(directory.path().join(anna).join("Maildir/.Spam.Mine/new")).unwrap();
        }
        let house = House::at(directory.path(), Disk::default(), 2).await;
        for _ in 0..2 {
            house.submit("x@far.test", "anna@home.test").await;
            house.begin().await.await.unwrap();
        }
        let maildir = directory.path().join(anna).join("Maildir");
        let count = |folder: &str| {
            fs::read_dir(maildir.join(folder).join("new")).map_or(0, |entries| entries.count())
        };
        let expected = if folder.is_some() { (0, 2) } else { (2, 0) };
        assert_eq!((count(""), count(folder.unwrap_or(".Junk"))), expected, "{files:?}");
        assert_eq!(maildir.join(".Junk").exists(), folder == Some(".Junk"), "{files:?}");
        let rows = fs::read_to_string(directory.path().join(&table)).unwrap_or_default();
        assert_eq!(rows.contains("\"S\"\t\"\\Junk\""), folder == Some(".Junk"), "{rows}");
        if let Some(folder) = folder {
            let new = maildir.join(folder).join("new");
            let file = fs::read_dir(new).unwrap().next().unwrap().unwrap().path();
            assert!(fs::read_to_string(file).unwrap().contains("\r\nX-Spam-Flag: YES\r\n"));
        }
    }
}
