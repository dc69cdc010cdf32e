//! One change to very many accounts (`jdmail.md` JD-43), and work that was interrupted.

use super::system::until;
use super::*;

const BASE: &str = "/jdwa/domains/a.test";

impl House {
    /// So many accounts `p0`, `p1` ..., with their directories.
    fn add_many(&self, count: usize) {
        let rows =
            (0..count).map(|n| format!("\"a.test\"\t\"p{n}\"\t\"1d0a\"\t{}\t\"p{n}\"\t\"U\"\n", n + 2));
        let known = self.text("mailusers.tab");
        self.write("mailusers.tab", known + &rows.collect::<String>());
        for n in 0..count {
            self.write(&format!("domains/a.test/p{n}/user.tab"), "");
        }
        self.admin.reload_tables(crate::admin::Reload::Now);
    }
}

/// Far more accounts than a page can show: some are shown, all are changed, whoever fails is named, and each is noted.
#[tokio::test]
async fn jd_43_all_that_match_are_changed_in_the_background_however_many() {
    let house = house();
    house.add_many(1203);
    fs::remove_dir_all(house.directory.path().join("domains/a.test/p700")).unwrap();
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &format!("{BASE}/users")).await;
    let fields = [("all", "1"), ("q", "p"), ("act", "disable"), ("service", "imap")];
    let shown = of_a.submit(&house, &page, &format!("{BASE}/selection"), &fields).await;
    assert!(shown.text.contains("1,203 accounts. The first 20 are shown"), "{}", shown.text);
    assert_eq!(shown.text.matches("class=\"card change\"").count(), 20);
    assert_eq!(house.text("domains/a.test/p5/user.tab"), "", "nothing is done yet");
    let draft = shown.hidden("draft");
    let begun = of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(begun.location(), format!("{BASE}/work"));
    let again = of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "a second click does it once");
    let done = until(&mut of_a, &house, &format!("{BASE}/work"), "accounts were changed").await;
    for said in ["1202 accounts were changed", "1 could not be changed", "p700:"] {
        assert!(done.text.contains(said), "{said}: {}", done.text);
    }
    for n in (0..1203).filter(|n| *n != 700) {
        assert_eq!(house.text(&format!("domains/a.test/p{n}/user.tab")), "\"ImapEnable\"\t\"0\"\n");
    }
    assert!(!house.text("domains/a.test/anna/user.tab").contains("Enable"), "it does not match");
    let noted = house.text("logs/webadmin-202611230000");
    assert_eq!(noted.matches("\"disable_users\"\t\"p").count(), 1202);
    assert!(!house.exists(".tabmail/job.tab"));
    let mut of_b = logged_in(&house, "of-b").await;
    let theirs = of_b.get(&house, "/jdwa/domains/b.test/work").await;
    assert!(theirs.status == StatusCode::OK && !theirs.text.contains("accounts were changed"));
    assert_eq!(of_b.get(&house, &format!("{BASE}/work")).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn jd_43_many_accounts_are_deleted_with_all_that_hangs_on_them() {
    let house = house();
    house.add_many(1100);
    house.write("aliases.tab", "# kept\n\"a.test\"\t\"boss\"\t\"anna\"\n\"a.test\"\t\"x\"\t\"P7\"\n\"b.test\"\t\"y\"\t\"p8@A.test\"\n\"b.test\"\t\"z\"\t\"p8\"\n");
    house.write("groups/a.test/staff/members.tab", "\"anna\"\n\"p3\"\n\"P9\"\n");
    let mut of_a = logged_in(&house, "of-a").await;
    let page = of_a.get(&house, &format!("{BASE}/users")).await;
    let fields = [("all", "1"), ("q", "p"), ("act", "delete")];
    let shown = of_a.submit(&house, &page, &format!("{BASE}/selection"), &fields).await;
    assert!(shown.text.contains("Mail is deleted"), "{}", shown.text);
    let draft = shown.hidden("draft");
    of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    until(&mut of_a, &house, &format!("{BASE}/work"), "1100 accounts were changed").await;
    assert_eq!(house.text("mailusers.tab"), "\"a.test\"\t\"anna\"\t\"1d0a\"\t1\t\"anna\"\t\"U\"\n");
    assert_eq!(
        house.text("aliases.tab"),
        "# kept\n\"a.test\"\t\"boss\"\t\"anna\"\n\"b.test\"\t\"z\"\t\"p8\"\n"
    );
    assert_eq!(house.text("groups/a.test/staff/members.tab"), "\"anna\"\n");
    assert!(!house.exists("domains/a.test/p1099") && house.exists("domains/a.test/anna"));
}

/// Killed in the middle: the next process says so where the work was begun, until other work begins.
#[tokio::test]
async fn work_that_was_interrupted_is_told_of_after_the_next_start() {
    let house = house();
    house.add_many(1001);
    house.write(".tabmail/job.tab", "\"deed.disable_users\"\t\"a.test\"\t1700000000\t5000\n");
    let lock = crate::durable::FileLock::acquire(&house.directory.path().join(".tabmail/job.lock")).unwrap();
    let house = house.restarted();
    let mut of_a = logged_in(&house, "of-a").await;
    let work = format!("{BASE}/work");
    assert!(!of_a.get(&house, &work).await.text.contains("interrupted"), "another process works on it");
    // Nor does a second one begin meanwhile.
    let page = of_a.get(&house, &format!("{BASE}/users")).await;
    let fields = [("all", "1"), ("q", "p"), ("act", "disable")];
    let shown = of_a.submit(&house, &page, &format!("{BASE}/selection"), &fields).await;
    let draft = shown.hidden("draft");
    of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    let waits = of_a.get(&house, &work).await;
    assert!(waits.text.contains("Something else is being done"), "{}", waits.text);
    drop(lock);
    let house = house.restarted();
    let mut of_a = logged_in(&house, "of-a").await;
    let told = of_a.get(&house, &work).await;
    assert!(
        told.text.contains("This was interrupted") && told.text.contains("Begun 14 Nov 2023"),
        "{}",
        told.text
    );
    let mut of_b = logged_in(&house, "of-b").await;
    assert!(!of_b.get(&house, "/jdwa/domains/b.test/work").await.text.contains("interrupted"));
    let shown = of_a.submit(&house, &told, &format!("{BASE}/selection"), &fields).await;
    let draft = shown.hidden("draft");
    of_a.submit(&house, &shown, "/jdwa/confirm", &[("draft", &draft)]).await;
    let done = until(&mut of_a, &house, &work, "1001 accounts were changed").await;
    assert!(!done.text.contains("interrupted") && !house.exists(".tabmail/job.tab"));
}

/// What a crash left of a backup or an upload goes at the next start; what another process writes stays.
#[tokio::test]
async fn jd64_unfinished_backups_go_at_the_next_start_unless_somebody_writes_them() {
    let house = house();
    let left = ["backups/.tabmail-20261122-100000-mail.part", "backups/.tabmail-received-17-0.part"];
    let kept =
        ["backups/.other.part", "backups/.tabmail-x", "backups/tabmail-1-mail.tar.gz", "backups/x.part"];
    left.iter().chain(&kept).for_each(|file| house.write(file, "x"));
    let coming = house.admin.receive_backup(&house.directory.path().join("backups"), 0).unwrap();
    let house = house.restarted();
    assert!(left.iter().all(|file| !house.exists(file)) && kept.iter().all(|file| house.exists(file)));
    let entries = || fs::read_dir(house.directory.path().join("backups")).unwrap().count();
    assert_eq!(entries(), kept.len() + 1, "one is being written");
    drop(coming);
    assert_eq!(entries(), kept.len());
}
