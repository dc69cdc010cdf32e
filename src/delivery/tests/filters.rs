//! Queue filters: real scripts on spool files, well-behaved and not.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const ALL: &str = "\"*\"\t\"*\"\t\"0.0.0.0/0\"\t\"0.0.0.0/0\"\t\"f.tab\"\n";
const IN: &str = "filters.in.tab";

/// A MailRoot whose `filters/f.tab` has one row for each script; `$1` is the spool file, `$2` the MailRoot.
fn filtered(table: &str, scripts: &[&str], extra: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = mail_root(extra);
    let root = directory.path();
    let mut rows = String::new();
    for (index, script) in scripts.iter().enumerate() {
        let (flags, script) = match script.strip_prefix('!').and_then(|rest| rest.split_once(' ')) {
            Some((flags, script)) => (format!("\"!{flags}\"\t"), script),
            None => (String::new(), *script),
        };
        let path = root.join(format!("filter{index}.sh"));
        fs::write(&path, script).unwrap();
        let macros = "\"@@FROM\"\t\"@@RFROM\"\t\"@@RCPT\"\t\"@@RRCPT\"\t\"@@MSGREF\"\t\"@@USERAUTH\"";
        let (path, root) = (path.display(), root.display());
        rows.push_str(&format!("{flags}\"/bin/sh\"\t\"{path}\"\t\"@@FILE\"\t\"{root}\"\t{macros}\n"));
    }
    fs::create_dir_all(root.join("filters")).unwrap();
    fs::write(root.join("filters/f.tab"), rows).unwrap();
    fs::write(root.join(table), ALL).unwrap();
    directory
}

const MESSAGE: &str = "Subject: hi\r\n\r\n..dot\r\nbody\r\n";

/// Mail for anna through these scripts.
async fn house_after(scripts: &[&str], extra: &[(&str, &str)]) -> (tempfile::TempDir, House) {
    let directory = filtered(IN, scripts, extra);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "anna@home.test").await;
    house.begin().await.await.unwrap();
    (directory, house)
}

fn assert_nothing_lies_around(house: &House, case: &str) {
    assert!(house.spooled("temp").is_empty(), "{case}: the copy is gone");
    for state in ["mess", "rsnd", "froz"] {
        let rejections =
            house.spooled(state).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rej"));
        assert_eq!(rejections.count(), 0, "{case}");
    }
}

fn seen(house: &House) -> String {
    fs::read_to_string(house.root.join("seen")).unwrap_or_default()
}

#[tokio::test]
async fn a_filter_gets_the_spool_file_and_the_macros() {
    let scripts = ["shift 2; echo \"$@\" > \"$0.out\"", "cat \"$1\" > \"$2/seen\""];
    let aliases = [("aliases.tab", "\"home.test\"\t\"al\"\t\"anna\"\n")];
    let directory = filtered(IN, &scripts, &aliases);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("bert@home.test", "al@home.test").await;
    house.settle().await;
    let words = fs::read_to_string(directory.path().join("filter0.sh.out")).unwrap();
    assert_eq!(words, "bert@home.test bert@home.test al@home.test anna@home.test S2 -\n");
    let file = seen(&house);
    assert!(file.starts_with("[127.0.0.1]:1;[127.0.0.1]:25;") && file.ends_with(MESSAGE), "{file}");
    assert_eq!(house.mail_of("anna").len(), 1);
    let log = fs::read_to_string(house.services.logs.path(LogKind::Filters)).unwrap();
    let start = "\"bert@home.test\"\t\"anna@home.test\"\t\"127.0.0.1\"\t\"127.0.0.1\"\t\"2026-11-23 10:34:43\"\t\"in\"\t\"\"\t\"0\"\t\"0\"\t\"/bin/sh;";
    assert!(log.lines().count() == 2 && log.lines().all(|line| line.starts_with(start)), "{log}");
}

/// Golden `filter_in_exit_*`.
#[tokio::test]
async fn the_exit_code_decides_what_becomes_of_the_message() {
    let rej = "echo 'rejected by rule' > \"$1.rej\";";
    for (code, delivered, frozen, notices, second_ran) in [
        (0, 1, 0, 0, true),
        (1, 1, 0, 0, true),
        (3, 1, 0, 0, true),
        (4, 0, 0, 0, false),
        (5, 0, 1, 0, false),
        (6, 0, 1, 1, false),
        (16, 1, 0, 0, false),
        (20, 0, 0, 0, false),
        (21, 0, 1, 0, false),
        (22, 0, 1, 1, false),
        (23, 1, 0, 0, false),
    ] {
        let case = format!("{rej} exit {code}");
        let (_directory, house) = house_after(&[&case, "touch \"$2/seen\""], &[]).await;
        assert_eq!(house.mail_of("anna").len(), delivered, "{code}");
        assert_eq!(house.spooled("froz").len(), frozen, "{code}");
        assert_eq!(house.services.spool.outbox().counts().0, notices, "{code}");
        assert_eq!(house.root.join("seen").exists(), second_ran, "{code}");
        assert_nothing_lies_around(&house, &case);
        if notices == 1 {
            let notice = fs::read_to_string(&house.spooled("mess")[0]).unwrap();
            assert!(
                notice.contains("XMail bounce: Rcpt=[anna@home.test];Error=[rejected by rule]\r\n"),
                "{notice}"
            );
        }
    }
}

#[tokio::test]
async fn remove_spool_errors_deletes_what_a_filter_rejects() {
    let server = "\"RootDomain\"\t\"home.test\"\n\"RemoveSpoolErrors\"\t\"1\"\n";
    for code in [5, 6] {
        let (_directory, house) = house_after(&[&format!("exit {code}")], &[("server.tab", server)]).await;
        assert!(house.spooled("froz").is_empty() && house.mail_of("anna").is_empty(), "{code}");
    }
}

#[tokio::test]
async fn seven_goes_on_with_the_changed_message() {
    for script in [
        "echo added >> \"$1\"; exit 7",
        "(cat \"$1\"; echo added) > \"$1.x\"; mv \"$1.x\" \"$1\"; exit 7",
        // XMail goes on with stale offsets here (decision 183).
        "sed -i 's/^S2.$/S2345678\\r/' \"$1\"; echo added >> \"$1\"; exit 0",
    ] {
        let (_directory, house) = house_after(&[script, "grep -c added \"$1\" > \"$2/seen\""], &[]).await;
        assert!(house.mail_of("anna")[0].ends_with(&format!("{MESSAGE}added\r\n")), "{script}");
        assert_eq!(seen(&house), "1\n", "{script}");
        assert_nothing_lies_around(&house, script);
    }
}

/// The original is what is frozen, and the slog says why.
#[tokio::test]
async fn a_filter_that_leaves_no_message_freezes_it_as_it_was() {
    let server = "\"RootDomain\"\t\"home.test\"\n\"RemoveSpoolErrors\"\t\"1\"\n";
    for script in [
        "rm \"$1\"",
        "rm \"$1\"; exit 7",
        "head -c 100000 /dev/urandom > \"$1\"; exit 7",
        ": > \"$1\"",
        "rm \"$1\"; ln -s /dev/zero \"$1\"; exit 7",
        "rm \"$1\"; mkfifo \"$1\"",
        "rm \"$1\"; exit 5",
    ] {
        let extra: &[(&str, &str)] = if script.ends_with('5') { &[] } else { &[("server.tab", server)] };
        let (_directory, house) = house_after(&[script], extra).await;
        let frozen = house.spooled("froz");
        assert_eq!(frozen.len(), 1, "{script}");
        let text = fs::read_to_string(&frozen[0]).unwrap();
        assert!(text.contains("RCPT TO:<anna@home.test>") && text.ends_with(MESSAGE), "{script}");
        assert!(script.ends_with('5') || house.slog().contains("ErrCode   = -55\n"), "{}", house.slog());
        assert_nothing_lies_around(&house, script);
    }
}

#[tokio::test]
async fn mail_passes_a_filter_that_does_not_decide() {
    for script in [
        "echo garbage > \"$1\"; kill -SEGV $$",
        "rm \"$1\"; exit 255",
        "!timeo=1 echo garbage > \"$1\"; sleep 60 & sleep 60; :",
        "head -c 5000000 /dev/zero > \"$1.rej\"",
    ] {
        let (_directory, house) = house_after(&[script, "cat \"$1\" > \"$2/seen\""], &[]).await;
        assert!(house.mail_of("anna")[0].ends_with(MESSAGE), "{script}");
        assert!(seen(&house).ends_with(MESSAGE), "{script}");
        assert_nothing_lies_around(&house, script);
    }
}

/// Decision 192: the shell, Python and Perl end with such codes when a write fails; the first program meets a real limit.
#[tokio::test]
async fn what_a_failed_filter_wrote_is_not_the_message() {
    let limited = "(cat \"$1\"; head -c 9999 /dev/zero) > \"$2/more\"; trap '' XFSZ; ulimit -f 1; cat \"$2/more\" > \"$1\"";
    for script in [
        limited,
        ": > \"$1\"; exit 1",
        "head -c -3 \"$1\" > \"$2/cut\"; cat \"$2/cut\" > \"$1\"; exit 28",
        "rm \"$1\"; /no/such/program \"$1\"",
    ] {
        let (_directory, house) = house_after(&[script], &[]).await;
        assert!(house.mail_of("anna")[0].ends_with(MESSAGE), "{script}");
        assert_nothing_lies_around(&house, script);
    }
}

/// A disk with so many bytes free.
struct Free(AtomicU64);

impl Faults for Free {
    fn before(&self, _: Step<'_>) -> io::Result<()> {
        Ok(())
    }

    fn free_space(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed))
    }
}

/// Decision 191: the program says that all is well, whatever became of its writes.
#[tokio::test]
async fn what_a_filter_wrote_on_a_full_disk_is_undone_and_the_message_waits() {
    for script in [
        "case $5 in anna*) head -c -3 \"$1\" > \"$1.new\"; mv \"$1.new\" \"$1\"; exit 7;; esac",
        "case $5 in anna*) : > \"$1\";; esac",
        "case $5 in anna*) rm \"$1\"; exit 6;; esac",
    ] {
        let directory = filtered(IN, &[script], &[]);
        let free = Arc::new(Free(AtomicU64::new(4096)));
        let house = House::at(directory.path(), Disk::with_faults(free.clone()), 2).await;
        house.submit("x@far.test", "anna@home.test").await;
        house.submit("x@far.test", "bert@home.test").await;
        house.settle().await;
        assert_eq!(house.mail_of("bert").len(), 1, "{script}: others are not disturbed");
        let waiting = house.spooled("rsnd");
        assert_eq!((waiting.len(), house.mail_of("anna").len()), (1, 0), "{script}");
        assert!(fs::read_to_string(&waiting[0]).unwrap().ends_with(MESSAGE), "{script}");
        assert_nothing_lies_around(&house, script);
        free.0.store(u64::MAX, Ordering::Relaxed);
        fs::write(directory.path().join("filter0.sh"), "echo added >> \"$1\"; exit 7").unwrap();
        house.clock.advance(Duration::from_secs(60));
        house.begin().await.await.unwrap();
        assert!(house.mail_of("anna")[0].ends_with(&format!("{MESSAGE}added\r\n")), "{script}");
    }
}

/// Decision 12; also for a file in `filters/` that is not there.
#[tokio::test]
async fn filter_missing_makes_mail_wait() {
    let server = |value: &str| format!("\"RootDomain\"\t\"home.test\"\n\"FilterMissing\"\t\"{value}\"\n");
    for (value, delivered, waiting) in [("pass", 1, 0), ("tempfail", 0, 1)] {
        let server = server(value);
        let (_directory, house) = house_after(&["exit 255"], &[("server.tab", &server)]).await;
        assert_eq!(
            (house.mail_of("anna").len(), house.spooled("rsnd").len()),
            (delivered, waiting),
            "{value}"
        );
        assert_eq!(house.slog().contains("ErrCode   = -114\n"), waiting == 1, "{}", house.slog());
        let directory = mail_root(&[("server.tab", &server), (IN, ALL)]);
        let house = House::at(directory.path(), Disk::default(), 2).await;
        house.submit("x@far.test", "anna@home.test").await;
        house.begin().await.await.unwrap();
        assert_eq!(
            (house.mail_of("anna").len(), house.spooled("rsnd").len()),
            (delivered, waiting),
            "{value}"
        );
    }
}

/// Decision 32: the notice is filtered like all mail; nobody is told about a notice.
#[tokio::test]
async fn a_rejected_notice_is_frozen_once() {
    for server in ["", "\"NoSenderBounce\"\t\"1\"\n\"ErrorsAdmin\"\t\"root@home.test\"\n"] {
        let server = format!("\"RootDomain\"\t\"home.test\"\n\"PostMaster\"\t\"bert@home.test\"\n{server}");
        let directory = filtered(IN, &["exit 6"], &[("server.tab", &server)]);
        let house = House::at(directory.path(), Disk::default(), 2).await;
        house.submit("bert@home.test", "anna@home.test").await;
        house.settle().await;
        let notices = house.spooled("froz").len() - 1;
        assert!(
            (1..=2).contains(&notices),
            "{notices}: to the sender, and to the administrator if there is one"
        );
        assert!(house.spooled("mess").is_empty() && house.mail_of("bert").is_empty());
        house.submit("", "anna@home.test").await;
        house.settle().await;
        assert_eq!(house.spooled("froz").len(), notices + 2, "null reverse-path mail");
        assert!(house.spooled("mess").is_empty());
    }
}

/// Mail that leaves, by a route or by a command, meets the outbound filters; mail that stays does not.
#[tokio::test]
async fn outbound_filters_stand_before_smtp() {
    let relay = "\"smtprelay\"\t\"127.0.0.1:9\"\n";
    let directory = filtered(
        "filters.out.tab",
        &["echo \"$5\" >> \"$2/seen\"; echo 'not out' > \"$1.rej\"; exit 6"],
        &[("domains/home.test/bert/mailproc.tab", relay)],
    );
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("anna@home.test", "x@plain.test").await;
    house.submit("anna@home.test", "bert@home.test").await;
    house.settle().await;
    let mut recipients: Vec<String> = seen(&house).lines().map(ToOwned::to_owned).collect();
    recipients.sort();
    assert_eq!(recipients, ["bert@home.test", "x@plain.test"]);
    assert_eq!(house.spooled("froz").len(), 2);
    let notices = house.mail_of("anna");
    assert!(
        notices.len() == 2 && notices.iter().all(|notice| notice.contains("Error=[not out]")),
        "{notices:?}"
    );
}

/// `mailflow.md` 5.1: lists, `mailbox` and `external`, but no redirect.
#[tokio::test]
async fn inbound_filters_stand_before_local_work() {
    let commands =
        "\"redirect\"\t\"bert@home.test\"\n\"mailbox\"\n\"external\"\t\"0\"\t\"5\"\t\"/bin/true\"\t\"x\"\n";
    let extra = [("domains/home.test/anna/mailproc.tab", commands)];
    let directory = filtered(IN, &["echo \"$5\" >> \"$2/seen\""], &extra);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "anna@home.test").await;
    house.settle().await;
    assert_eq!(seen(&house), "anna@home.test\nanna@home.test\nbert@home.test\n");
    let directory = filtered(IN, &["echo \"$5\" >> \"$2/seen\"; exit 4"], &[]);
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "all@home.test").await;
    house.settle().await;
    assert_eq!(seen(&house), "all@home.test\n");
    assert!(house.spooled("mess").is_empty() && house.mail_of("bert").is_empty(), "no copies");
}

/// A stop while a filter has half of the message: it is put back and waits.
#[tokio::test]
async fn a_dropped_attempt_puts_the_message_back() {
    let script = "echo garbage > \"$1\"; mkfifo \"$2/x\"; echo > \"$2/ready\"; sleep 600";
    let directory = filtered(IN, &[script], &[]);
    let made = std::process::Command::new("mkfifo").arg(directory.path().join("ready")).status().unwrap();
    assert!(made.success());
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "anna@home.test").await;
    let task = house.begin().await;
    let ready = directory.path().join("ready");
    tokio::task::spawn_blocking(move || fs::read(ready)).await.unwrap().unwrap();
    task.abort();
    assert!(task.await.is_err());
    let waiting = house.spooled("mess");
    assert_eq!(waiting.len(), 1);
    assert!(fs::read_to_string(&waiting[0]).unwrap().ends_with(MESSAGE));
    assert!(house.spooled("temp").is_empty());
}

/// While one message's filter hangs, others are delivered.
#[tokio::test]
async fn a_hanging_filter_holds_up_its_message_only() {
    let script = "case $5 in anna*) echo > \"$2/ready\"; sleep 600;; esac";
    let directory = filtered(IN, &[script], &[]);
    let made = std::process::Command::new("mkfifo").arg(directory.path().join("ready")).status().unwrap();
    assert!(made.success());
    let house = House::at(directory.path(), Disk::default(), 2).await;
    house.submit("x@far.test", "anna@home.test").await;
    house.submit("x@far.test", "bert@home.test").await;
    let hanging = house.begin().await;
    let ready = directory.path().join("ready");
    tokio::task::spawn_blocking(move || fs::read(ready)).await.unwrap().unwrap();
    house.begin().await.await.unwrap();
    assert_eq!(house.mail_of("bert").len(), 1);
    assert!(!hanging.is_finished());
    hanging.abort();
}
