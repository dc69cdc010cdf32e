//! Two captures, category by category: `wire`, `mailboxes`, `spool`, `tables`, `logs`, `external`.
//!
//! The differences are lines as [`crate::diff::unified`] makes them, so that rows of `deviations.jsonl` mean the same
//! here and in the comparison of whole recordings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use fancy_regex::Regex;

use crate::diff::{ratio, unified};
use crate::normalise::{self, lines_of, visible};
use crate::recording::{Capture, Event, Files};

/// By how many bytes per message a size in a POP3 or CTRL reply may differ: the stored message names the product.
const SIZE_SLACK: i64 = 48;

/// A mailbox size in a CTRL reply sums up several messages; no recording holds more than this.
const MESSAGES_IN_A_TOTAL: i64 = 50;

type Lines = Vec<String>;
type Captures<'t> = fancy_regex::Captures<'t, str>;

macro_rules! patterns {
    ($($name:ident = $pattern:expr;)+) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect(stringify!($name)));)+
    };
}

patterns! {
    MAILBOX_FILE = r"\A(domains/.*)/(Maildir/(?:new|cur|tmp)|mailbox)/[^/]+\z";
    SPOOL_FILE = r"\Aspool/(?:\d+/\d+/(\w+)|(local|temp))/[^/]+\z";
    TABLE_FILE = r"\.tab$|\Amessage\.id$";
    LOG_FILE = r"\Alogs/([a-z]+)-\d+";
    EXTERNAL_FILE = r"\A(?:(capture)/[^/]+|([^/]+\.(?:out|log)))\z";
    COMMAND_TABLE = r"(?mi)^\W*(external|filter)\b|\.sh\b";
    SPOOL_ID = r"(?m)^[SXLP][0-9A-F]{1,16}$";
    CUT_OFF_TRY = concat!(
        r"\[PeekTime\][^\n]*\n<<<LF>\n(?:(?!>><LF>)[^\n]*\n)*?",
        r"ErrString = Server shutdown(?:(?!>><LF>)[^\n]*\n)*>><LF>\n?"
    );
    SHELL_VARIABLE = r"(?m)^((?:PPID|PWD|OLDPWD|SHLVL|_)=).*\n";
    LISTING_LINE = r"(?m)^-[rwx-]{9}.*$";
    SIZE_REPLY = concat!(
        r"\AS: (?:\+OK (\d+) \d+|\+OK(?: .*?)?\b\d+ (?:octets|bytes)|\d+ \d+|",
        "\"MailboxSize\"\t\"\\d+\")\\z"
    );
    NOTHING_MORE = r"\(nothing more within.*\)";
    IGNORED_EVENT = r"\A(recv failed|send failed)";
    OWN_NUMBER = r"#\d+\z";
}

/// Differences of one category; empty when there are none.
pub(crate) type Difference = (&'static str, Lines);

/// Compares everything. `initial` is the recording's MailRoot before the start.
pub(crate) fn compare(expected: &Capture, actual: &Capture, initial: &Files) -> Vec<Difference> {
    let (before, after) = (&expected.snapshots["final"], &actual.snapshots["final"]);
    let all = [
        ("wire", wire(expected, actual, runs_programs(initial))),
        ("mailboxes", mailboxes(before, after)),
        ("spool", spool(before, after)),
        ("tables", tables(expected, actual)),
        ("logs", logs(before, after)),
        ("external", external(before, after)),
    ];
    all.into_iter().filter(|(_, lines)| !lines.is_empty()).collect()
}

/// Whether the connection may stay open after QUIT because the original left it to a program it had started.
fn runs_programs(initial: &Files) -> bool {
    initial.iter().any(|(path, text)| path.ends_with(".tab") && COMMAND_TABLE.is_match(text).unwrap_or(false))
}

fn wire(expected: &Capture, actual: &Capture, runs_programs: bool) -> Lines {
    let (mut a, mut b) = (conversations(&expected.events), conversations(&actual.events));
    if runs_programs {
        a.iter_mut().chain(&mut b).for_each(|(_, lines)| drop_close_after_quit(lines));
    }
    let mut out = Lines::new();
    for (key, lines) in &a {
        match find(&b, key) {
            None => out.push(format!("[{key}] connection missing")),
            Some(other) => out.extend(compare_lines(lines, other, &format!("[{key}]"))),
        }
    }
    let extra = b.iter().filter(|(key, _)| find(&a, key).is_none());
    out.extend(extra.map(|(key, _)| format!("[{key}] unexpected connection")));
    if expected.exit_codes != actual.exit_codes {
        out.push(format!("server exit codes {:?} expected {:?}", actual.exit_codes, expected.exit_codes));
    }
    out
}

fn find<'a>(all: &'a [(String, Lines)], key: &str) -> Option<&'a Lines> {
    all.iter().find(|(own, _)| own == key).map(|(_, lines)| lines)
}

/// What was said on each connection, in the order the connections appeared: `label/n` for the n-th of a label.
fn conversations(events: &[Event]) -> Vec<(String, Lines)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all: Vec<(String, Vec<(char, String)>)> = Vec::new();
    for event in events.iter().filter(|event| event.direction != '#') {
        let label = event.connection.as_str();
        if event.direction == '!' && event.data.starts_with("connected to") {
            *counts.entry(label).or_default() += 1;
        }
        let key = match OWN_NUMBER.is_match(label) {
            Ok(true) => label.to_owned(),
            _ => format!("{label}/{}", counts.get(label).unwrap_or(&0)),
        };
        if event.direction == '!' && IGNORED_EVENT.is_match(&event.data).unwrap_or(false) {
            continue;
        }
        let at = all.iter().position(|(own, _)| *own == key).unwrap_or_else(|| {
            all.push((key, Vec::new()));
            all.len() - 1
        });
        match all[at].1.last_mut() {
            Some((direction, data)) if *direction == event.direction && *direction != '!' => {
                data.push_str(&event.data)
            }
            _ => all[at].1.push((event.direction, event.data.clone())),
        }
    }
    all.into_iter().map(|(key, events)| (key, conversation(&events))).collect()
}

fn conversation(events: &[(char, String)]) -> Lines {
    let mut lines = Lines::new();
    for (direction, data) in events {
        match direction {
            '!' => {
                lines.push(format!("!: {}", normalise::text(&NOTHING_MORE.replace(data, "(nothing more)"))))
            }
            _ => {
                let shown = visible(&normalise::wire(data, *direction == 'S'));
                lines.extend(shown.into_iter().map(|line| format!("{direction}: {line}")));
            }
        }
    }
    sort_frozen_lists(&mut lines);
    lines
}

/// `frozlist` answers in directory order.
fn sort_frozen_lists(lines: &mut [String]) {
    for run in lines.chunk_by_mut(|a, b| a.ends_with("\t\"froz\"") && b.ends_with("\t\"froz\"")) {
        if run[0].ends_with("\t\"froz\"") {
            run.sort();
        }
    }
}

fn drop_close_after_quit(lines: &mut Lines) {
    let is_close = |line: &str| matches!(line, "!: (nothing more)" | "!: connection closed by server");
    let mut previous = String::new();
    lines.retain(|line| {
        let dropped = is_close(line) && previous.starts_with("S: 221 ");
        previous.clone_from(line);
        !dropped
    });
}

fn compare_lines(a: &[String], b: &[String], label: &str) -> Lines {
    let mut b = b.to_vec();
    if a.len() == b.len() {
        for (own, other) in a.iter().zip(&mut b) {
            if differs_in_size_only(own, other) {
                other.clone_from(own);
            }
        }
    }
    if a == b { Lines::new() } else { unified(a, &b, label) }
}

/// POP3 and CTRL replies that carry sizes of stored messages.
fn differs_in_size_only(a: &str, b: &str) -> bool {
    let (Ok(Some(reply)), Ok(true)) = (SIZE_REPLY.captures(a), SIZE_REPLY.is_match(b)) else { return false };
    let (ta, tb) = (split_numbers(a), split_numbers(b));
    let size_at = ta.len().saturating_sub(2);
    if ta.len() != tb.len() || ta.iter().zip(&tb).enumerate().any(|(n, (x, y))| n != size_at && x != y) {
        return false;
    }
    let messages = match reply.get(1) {
        _ if a.contains("MailboxSize") => MESSAGES_IN_A_TOTAL,
        Some(count) => count.as_str().parse().unwrap_or(1),
        None => 1,
    };
    let size = |text: &str| text.parse::<i64>().unwrap_or(0);
    (size(&ta[size_at]) - size(&tb[size_at])).abs() <= SIZE_SLACK * messages
}

/// Text and numbers in turn; the text before the first and after the last number may be empty.
fn split_numbers(line: &str) -> Lines {
    let mut parts = vec![String::new()];
    for c in line.chars() {
        if c.is_ascii_digit() == (parts.len() % 2 == 1) {
            parts.push(String::new());
        }
        parts.last_mut().expect("starts with one").push(c);
    }
    if parts.len().is_multiple_of(2) {
        parts.push(String::new());
    }
    parts
}

/// Two unordered collections of texts: equal ones are taken away, the rest is shown against its most similar partner.
fn compare_sets(a: &[Lines], b: &[Lines], label: &str) -> Lines {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    a.retain(|text| match b.iter().position(|other| other == text) {
        Some(at) => {
            b.remove(at);
            false
        }
        None => true,
    });
    let mut out = Lines::new();
    let mut left = a.into_iter();
    while !b.is_empty() {
        let Some(text) = left.next() else { break };
        let mut best = (0, -1.0);
        for (n, other) in b.iter().enumerate() {
            let likeness = ratio(&text[..text.len().min(80)], &other[..other.len().min(80)]);
            if likeness > best.1 {
                best = (n, likeness);
            }
        }
        out.extend(unified(&text, &b.remove(best.0), label));
    }
    for text in left {
        out.push(format!("{label}: missing (expected, not there)"));
        out.extend(text.iter().map(|line| format!("-{line}")));
    }
    for text in b {
        out.push(format!("{label}: unexpected"));
        out.extend(text.iter().map(|line| format!("+{line}")));
    }
    out
}

type Groups = BTreeMap<String, Vec<Lines>>;

fn grouped(
    files: &Files,
    pattern: &Regex,
    key: impl Fn(&Captures<'_>) -> String,
    read: impl Fn(&str) -> Lines,
) -> Groups {
    let mut groups = Groups::new();
    for (path, text) in files {
        if let Ok(Some(parts)) = pattern.captures(path.as_str()) {
            groups.entry(key(&parts)).or_default().push(read(text));
        }
    }
    groups
}

fn keys<'a, T>(a: &'a BTreeMap<String, T>, b: &'a BTreeMap<String, T>) -> BTreeSet<&'a String> {
    a.keys().chain(b.keys()).collect()
}

fn mailboxes(a: &Files, b: &Files) -> Lines {
    let of = |files| {
        let key = |parts: &Captures<'_>| format!("{}/{}", &parts[1], &parts[2]);
        grouped(files, &MAILBOX_FILE, key, |text| visible(&normalise::text(text).replace("\r\n", "\n")))
    };
    let (a, b) = (of(a), of(b));
    let mut out = Lines::new();
    for key in keys(&a, &b) {
        let (x, y) = (a.get(key).map_or(&[][..], Vec::as_slice), b.get(key).map_or(&[][..], Vec::as_slice));
        if x.len() != y.len() {
            out.push(format!("{key}: {} files, expected {}", y.len(), x.len()));
        }
        out.extend(compare_sets(x, y, key));
    }
    out
}

fn spool(a: &Files, b: &Files) -> Lines {
    let of = |files| {
        let key = |parts: &Captures<'_>| {
            parts.get(1).or_else(|| parts.get(2)).map_or(String::new(), |m| m.as_str().to_owned())
        };
        grouped(files, &SPOOL_FILE, key, |text| {
            let shown = visible(&normalise::text(text)).join("\n");
            let shown = SPOOL_ID.replace_all(&shown, "<ID#>");
            let shown = CUT_OFF_TRY.replace_all(&shown, "");
            shown.trim_end_matches('\n').split('\n').map(str::to_owned).collect()
        })
    };
    compare_groups(&of(a), &of(b), "spool ")
}

fn compare_groups(a: &Groups, b: &Groups, label: &str) -> Lines {
    let none = Vec::new();
    keys(a, b)
        .into_iter()
        .flat_map(|key| {
            compare_sets(a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none), &format!("{label}{key}"))
        })
        .collect()
}

/// Tables and `message.id`, byte for byte, at every recorded moment.
fn tables(expected: &Capture, actual: &Capture) -> Lines {
    let mut out = Lines::new();
    for (snapshot, before) in &expected.snapshots {
        let Some(after) = actual.snapshots.get(snapshot) else {
            out.push(format!("snapshot {snapshot} missing"));
            continue;
        };
        for path in keys(before, after) {
            if path.contains("spool/") || !TABLE_FILE.is_match(path).unwrap_or(false) {
                continue;
            }
            match (before.get(path), after.get(path)) {
                (Some(x), Some(y)) if x == y => {}
                (Some(x), Some(y)) => {
                    out.extend(unified(&visible(x), &visible(y), &format!("{snapshot}/{path}")))
                }
                (Some(_), None) => out.push(format!("{snapshot}/{path}: missing")),
                _ => out.push(format!("{snapshot}/{path}: unexpected file")),
            }
        }
    }
    out
}

fn logs(a: &Files, b: &Files) -> Lines {
    let of = |files: &Files| {
        let mut logs: BTreeMap<String, Lines> = BTreeMap::new();
        for (path, text) in files {
            if let Ok(Some(parts)) = LOG_FILE.captures(path.as_str()) {
                logs.entry(parts[1].to_owned()).or_default().extend(visible(&normalise::log(text)));
            }
        }
        logs.values_mut().for_each(|lines| lines.sort());
        logs
    };
    let (a, b) = (of(a), of(b));
    let none = Lines::new();
    let mut out = Lines::new();
    for key in keys(&a, &b) {
        let (x, y) = (a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
        if x != y {
            out.extend(unified(x, y, &format!("log {key}")));
        }
    }
    out
}

/// What programs wrote down: `capture/` in order, other files as lines of commands that may run side by side.
fn external(a: &Files, b: &Files) -> Lines {
    let of = |files: &Files| {
        let mut groups = Groups::new();
        for (path, text) in files {
            let Ok(Some(parts)) = EXTERNAL_FILE.captures(path.as_str()) else { continue };
            let text = SHELL_VARIABLE.replace_all(&normalise::text(text), "").into_owned();
            let text = LISTING_LINE.replace_all(&text, "<ls line>").into_owned();
            match parts.get(1) {
                Some(capture) => {
                    groups
                        .entry(capture.as_str().to_owned())
                        .or_default()
                        .extend(blocks(&text).iter().map(|b| visible(b)));
                }
                None => {
                    let mut lines = visible(&text);
                    lines.sort();
                    groups.entry(parts[2].to_owned()).or_default().push(lines);
                }
            }
        }
        groups
    };
    compare_groups(&of(a), &of(b), "")
}

/// Each block starts with a line `--- …`.
fn blocks(text: &str) -> Lines {
    let mut blocks = Lines::new();
    for line in lines_of(text) {
        match blocks.last_mut() {
            Some(block) if !line.starts_with("--- ") => block.push_str(line),
            _ => blocks.push(line.to_owned()),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(direction: char, data: &str) -> Event {
        Event { at: 0.0, connection: "s".into(), direction, data: data.into() }
    }

    fn capture(reply: &str, stored: &str) -> Capture {
        let events = vec![event('!', "connected to port 2525"), event('C', "NOOP\r\n"), event('S', reply)];
        let files =
            Files::from([("domains/a/b/mailbox/1".into(), stored.into()), ("a.tab".into(), "x\n".into())]);
        Capture { events, exit_codes: vec![0], snapshots: BTreeMap::from([("final".into(), files)]) }
    }

    fn categories(actual: &Capture) -> Vec<&'static str> {
        let expected = capture("250 OK\r\n", "Subject: x\n\nbody\r\n");
        compare(&expected, actual, &Files::new()).into_iter().map(|(category, _)| category).collect()
    }

    #[test]
    fn a_difference_is_seen_in_its_category() {
        let same = || capture("250 2.0.0 OK\r\n", "Subject: x\r\n\r\nbody\r\n");
        assert_eq!(categories(&same()), [""; 0]);
        assert_eq!(categories(&capture("250 ok\r\n", "Subject: x\n\nbody\r\n")), ["wire"]);
        assert_eq!(categories(&capture("250 OK\n", "Subject: x\n\nbody\r\n")), ["wire"]);
        assert_eq!(categories(&capture("250 OK\r\n", "Subject: x\n\nother\r\n")), ["mailboxes"]);
        let mut changed = same();
        changed.snapshots.get_mut("final").unwrap().insert("a.tab".into(), "x\r\n".into());
        assert_eq!(categories(&changed), ["tables"]);
        changed = same();
        changed.snapshots.get_mut("final").unwrap().insert("spool/0/0/mess/1".into(), "left".into());
        assert_eq!(categories(&changed), ["spool"]);
        changed = same();
        changed.snapshots.get_mut("final").unwrap().insert("logs/smtp-202611230000".into(), "\"a\"\n".into());
        assert_eq!(categories(&changed), ["logs"]);
        changed = same();
        changed.exit_codes = vec![1];
        assert_eq!(categories(&changed), ["wire"]);
    }

    #[test]
    fn sizes_may_differ_by_the_product_name_only() {
        let check =
            |a: &str, b: &str, expected: bool| assert_eq!(differs_in_size_only(a, b), expected, "{a} / {b}");
        check("S: +OK 2 500", "S: +OK 2 590", true);
        check("S: +OK 2 500", "S: +OK 2 700", false);
        check("S: +OK 2 500", "S: +OK 3 500", false);
        check("S: 1 300", "S: 1 340", true);
        check("S: 1 300", "S: 2 300", false);
        check("S: 250 OK", "S: 251 OK", false);
        check("S: +OK 120 octets", "S: +OK 130 octets", true);
    }
}
