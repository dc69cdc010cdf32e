//! The staircase of `src/lib.rs`, kept by a test: a room uses rooms on lower floors only.
//!
//! Every `crate::room` path in `src/` counts, in `use` lines and inline, in code and in tests; comments and string
//! literals do not. A room may name itself. The two roots (`lib.rs`, `main.rs`) are the only files outside a room.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic and tell why")]

use std::fs;
use std::path::{Path, PathBuf};

use tabmail::mailroot::schema;

/// The floors, lowest first. `spool`'s neighbours, and the faces, do not know each other: what two rooms of one
/// floor need moves down a floor.
const FLOORS: &[&[&str]] = &[
    &["tab", "address", "message", "mime", "mutf7", "status", "language"],
    &["clock", "durable", "net", "dns", "exec", "logs"],
    &["mailroot"],
    &["spool", "mailbox", "auth", "policy", "filter"],
    &["delivery", "admin", "pickup", "psync", "entrance", "compare", "check"],
    &["smtp", "pop3", "imap", "ctrl", "finger", "web"],
    &["explain"],
    &["options", "server", "commands"],
];

/// The roof is one room with three doors: the server reads the options, and commands start the server.
const ROOF: usize = FLOORS.len() - 1;

#[test]
fn rooms_use_lower_floors_only() {
    let mut broken = Vec::new();
    for (path, source) in sources() {
        broken.extend(forbidden_arrows(&path, &source));
    }
    assert!(broken.is_empty(), "arrows that do not point down:\n  {}", broken.join("\n  "));
}

#[test]
fn anyhow_stays_in_main() {
    let offenders: Vec<String> = sources()
        .into_iter()
        .filter(|(path, _)| path != "main.rs")
        .flat_map(|(path, source)| {
            names(&blank_comments_and_strings(&source), "anyhow")
                .map(|line| format!("src/{path}:{line}: anyhow"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(offenders.is_empty(), "errors are types outside main.rs:\n  {}", offenders.join("\n  "));
}

/// Names and defaults of variables and options are in `mailroot::schema` only: neither does a getter take a literal, nor
/// does the name of a variable stand in the code of a room.
#[test]
fn variables_are_named_in_the_schema_only() {
    let mut offenders = Vec::new();
    for (path, source) in sources() {
        if path.starts_with("mailroot/schema/") || path.ends_with("tests.rs") || path.contains("/tests/") {
            continue;
        }
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        offenders.extend(literal_variables(&path, code));
    }
    assert!(offenders.is_empty(), "use the constants of mailroot::schema:\n  {}", offenders.join("\n  "));
}

#[test]
fn the_search_for_variables_sees_what_it_must_see() {
    let line = "server.flag(\"NoSuch\")";
    assert_eq!(literal_variables("x.rs", line), ["src/x.rs:1: a getter takes a literal: flag(\"NoSuch\""]);
    let line = "\nserver\n.integer(&integer(\"NoSuch\", 1))";
    assert_eq!(literal_variables("x.rs", line).len(), 1);
    assert_eq!(literal_variables("x.rs", "let x = \"MaxMTAOps\";"), ["src/x.rs:1: \"MaxMTAOps\""]);
    assert_eq!(literal_variables("x.rs", "let x = b\"PopEnable\";"), ["src/x.rs:1: \"PopEnable\""]);
    for quiet in ["/// `server.flag(\"X\")`", "let x = \"MaxMTAOps is too small\";", "record.flag(X)"] {
        assert!(literal_variables("x.rs", quiet).is_empty(), "{quiet}");
    }
}

fn literal_variables(path: &str, code: &str) -> Vec<String> {
    const GETTERS: [&str; 7] = ["flag", "integer", "kilobytes", "text", "choice", "has", "options_at"];
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let mut found = Vec::new();
    for getter in GETTERS {
        for opening in [format!("{getter}(\""), format!("{getter}(&{getter}(\"")] {
            for (at, _) in code.match_indices(&format!(".{opening}")) {
                let end = code[at + 1 + opening.len()..]
                    .find('"')
                    .map_or(code.len(), |end| at + 2 + opening.len() + end);
                found.push(format!(
                    "src/{path}:{}: a getter takes a literal: {}",
                    line_of(&code, at),
                    &code[at + 1..end]
                ));
            }
        }
    }
    for variable in schema::server::VARIABLES.iter().chain(schema::user::VARIABLES) {
        let literal = format!("\"{}\"", variable.name);
        found.extend(
            code.match_indices(&literal)
                .map(|(at, _)| format!("src/{path}:{}: {literal}", line_of(&code, at))),
        );
    }
    found
}

#[test]
fn every_room_has_a_floor() {
    let unknown: Vec<String> = sources()
        .iter()
        .filter_map(|(path, _)| room_of(path))
        .filter(|room| floor_of(room).is_none())
        .map(str::to_owned)
        .collect();
    assert!(unknown.is_empty(), "rooms that are on no floor of tests/architecture.rs: {unknown:?}");
}

#[test]
fn the_check_sees_what_it_must_see() {
    let check = |path: &str, source: &str, expected: &[&str]| {
        assert_eq!(forbidden_arrows(path, source), expected, "{path}: {source}");
    };
    check(
        "tab/mod.rs",
        "use crate::mailroot::Table;\n",
        &["src/tab/mod.rs:1: tab (floor 0) -> mailroot (floor 2)"],
    );
    check(
        "smtp/session.rs",
        "\nfn f() { crate::pop3::serve(); }",
        &["src/smtp/session.rs:2: smtp (floor 5) -> pop3 (floor 5)"],
    );
    check(
        "spool/mod.rs",
        "use crate::{\n  clock::Clock,\n  auth::{a, b},\n};",
        &["src/spool/mod.rs:3: spool (floor 3) -> auth (floor 3)"],
    );
    check("clock.rs", "pub use crate::net::{self};", &["src/clock.rs:1: clock (floor 1) -> net (floor 1)"]);
    check("dns/mod.rs", "use crate::nowhere::X;", &["src/dns/mod.rs:1: dns (floor 1) -> nowhere (no floor)"]);
    check(
        "net/mod.rs",
        "const Q: char = '\"';\nuse crate::mailroot::A;",
        &["src/net/mod.rs:2: net (floor 1) -> mailroot (floor 2)"],
    );
    for quiet in [
        "use crate::tab::TabFile; use crate::{clock::Clock, mailroot};",
        "use crate::spool::Name; pub(in crate::spool) fn f() {}",
        "//! See [`crate::smtp`].\n/* crate::server */",
        "const TEXT: &str = \"crate::smtp\"; const RAW: &str = r#\"\"crate::pop3\"#;",
    ] {
        check("spool/file.rs", quiet, &[]);
    }
    check("commands.rs", "use crate::server::Server; use crate::options::Options;", &[]);
}

/// What breaks the staircase in one file, as `src/file:line: room -> room`.
fn forbidden_arrows(path: &str, source: &str) -> Vec<String> {
    let Some(from) = room_of(path) else { return Vec::new() };
    let Some(from_floor) = floor_of(from) else { return Vec::new() };
    let text = blank_comments_and_strings(source);
    crate_paths(&text)
        .into_iter()
        .filter(|(_, to)| to != from)
        .filter_map(|(line, to)| {
            let target = match floor_of(&to) {
                Some(floor) if floor < from_floor || (floor == ROOF && from_floor == ROOF) => return None,
                Some(floor) => format!("floor {floor}"),
                None => "no floor".to_owned(),
            };
            Some(format!("src/{path}:{line}: {from} (floor {from_floor}) -> {to} ({target})"))
        })
        .collect()
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// `tab/mod.rs` and `tab.rs` are in the room `tab`; `lib.rs` and `main.rs` are in none.
fn room_of(path: &str) -> Option<&str> {
    let first = path.split('/').next()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(room, "lib" | "main")).then_some(room)
}

/// Every first segment after `crate::`, with its line (from 1); `crate::{a, b::c}` names two.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        if text[..at].ends_with(is_name) {
            continue;
        }
        let rest = at + "crate::".len();
        match text[rest..].trim_start().strip_prefix('{') {
            Some(group) => found.extend(group_heads(text, text.len() - group.len())),
            None => found.extend(name_at(text, rest)),
        }
    }
    found
}

/// The names directly inside the braces that opened just before `start`.
fn group_heads(text: &str, start: usize) -> Vec<(usize, String)> {
    let (mut depth, mut expected, mut heads) = (1, true, Vec::new());
    for (offset, c) in text[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expected = true,
            c if expected && depth == 1 && is_name(c) => {
                heads.extend(name_at(text, start + offset));
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn name_at(text: &str, start: usize) -> Option<(usize, String)> {
    let rest = text[start..].trim_start();
    let name: String = rest.chars().take_while(|c| is_name(*c)).collect();
    // A path that starts with a capital is an item of the crate root, a star imports the root: neither names a room.
    let is_room = name.starts_with(|c: char| c.is_ascii_lowercase());
    is_room.then(|| (line_of(text, text.len() - rest.len()), name))
}

/// The lines (from 1) where `word` stands alone.
fn names<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word)
        .filter(move |(at, _)| {
            !text[..*at].ends_with(is_name) && !text[at + word.len()..].starts_with(is_name)
        })
        .map(move |(at, _)| line_of(text, at))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The source with comments and literals replaced by spaces, line ends kept, so that offsets still give lines.
fn blank_comments_and_strings(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let previous_is_name = out.ends_with(is_name);
        let skip = match literal_len(rest, previous_is_name) {
            0 => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
            len => len,
        };
        out.extend(rest[..skip].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[skip..];
    }
    out
}

/// How many bytes of a comment or literal `text` starts with; 0 when it starts with code.
fn literal_len(text: &str, previous_is_name: bool) -> usize {
    let until =
        |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until("*/", 2);
    }
    if !previous_is_name && let Some(raw) = text.strip_prefix("br").or_else(|| text.strip_prefix('r')) {
        let hashes = raw.chars().take_while(|c| *c == '#').count();
        if raw[hashes..].starts_with('"') {
            let start = text.len() - raw.len() + hashes + 1;
            return until(&format!("\"{}", "#".repeat(hashes)), start);
        }
    }
    if text.starts_with('"') {
        return quoted_len(text);
    }
    // A character literal; a lifetime has no closing quote right after one character.
    if let Some(inner) = text.strip_prefix('\'') {
        let len = if inner.starts_with('\\') {
            inner[2..].find('\'').map(|at| at + 2)
        } else {
            inner.chars().next().map(char::len_utf8)
        };
        if let Some(len) = len
            && inner[len..].starts_with('\'')
        {
            return len + 2;
        }
    }
    0
}

fn quoted_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// All Rust files under `src/`, as (path below `src` with `/`, text).
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pending = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "only {} sources found below {}", found.len(), root.display());
    found.sort();
    found
}
