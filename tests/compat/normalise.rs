//! What differs from run to run and is replaced by its name before a comparison. `compat-fixtures/README.md` lists
//! these rules; nothing else is forgiven.
//!
//! Text is Latin-1: one character per byte of the recording.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fancy_regex::Regex;

type Captures<'t> = fancy_regex::Captures<'t, str>;

/// Ports with a meaning; all others are a client's and vary.
const FIXED_PORTS: &[u32] = &[25, 53, 110, 1110, 2525, 2110, 6017, 2079, 2465, 2995, 6018, 2626, 1, 79];

macro_rules! patterns {
    ($($name:ident = $pattern:expr;)+) => {
        $(static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect(stringify!($name)));)+
    };
}

patterns! {
    STAMP = r"<\d{9,}\.\d+@([^>\s]*)>";
    FILE = concat!(
        r"(?m)\d{10,}\.[0-9A-Za-z]+\.[0-9A-Za-z]+\.[0-9A-Za-z]+\.[A-Za-z0-9][A-Za-z0-9._-]*?",
        r"(?=:2,|[^A-Za-z0-9._-]|\.rej\b|\.[a-z]?tmp\b|$)"
    );
    DATE = concat!(
        r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), +(?!0?1 Jan 2024)\d{1,2} [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d",
        r"(?: ([+-]\d{4}))?"
    );
    UTC = r"<DATE -0000>";
    LOG_DATE = r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b";
    PEEK = r"(\[PeekTime\] )\d+";
    EPOCH = r"\b1[6-9]\d{8}(?:\d{3})?\b";
    ID = r"<([A-Z])[0-9A-F]{1,16}>";
    QUOTED_ID = r#""([A-Z])[0-9A-F]{1,16}"(?=\t)"#;
    PORT = r"(\[?\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\]?):(\d{2,5})\b";
    PRODUCT = concat!(
        r"\[?\b[A-Za-z][\w.-]* \d+\.\d+[\w.()/ -]*? ",
        r"((?:[A-Z][A-Z0-9]+ )?(?:Server|service|Sync|Module)\b[^\]\r\n;<]*)\]?"
    );
    MAILER_SERVER = r"(?m)^(X-MailerServer: )[^\r\n]*";
    PRODUCT_NAME = r"\bXMail\s+(?:v\s*)?\d+\.\d+\b";
    TEMPORARY = r"/(?:tmp|var/tmp)/[\w.-]+";
    SPLIT = r"spool/\d+/\d+/";
    FROZEN_ROW = "(<FILE>\"?\t\"?)\\d+(\"?\t\"?)\\d+";
    FROZEN_COMMAND = r"((?:frozgetmsg|frozgetlog|frozdel|frozsubmit)\t)[0-9]\t[0-9](?=\t|\r|$)";
    LOG_FILE = r"\b([a-z]+)-(\d{10,12})\b";
    THREAD = r"(?i)\bpid=\d+|\btid=\d+|thread[ =]?\d+";
    ENHANCED = r"(?m)^(\d{3}[ -])[245]\.\d{1,3}\.\d{1,3} (?=\S)";
    MD5 = r"\b[0-9a-fA-F]{32}\b";
    LOGGED_MD5 = r##""#[0-9a-fA-F]{32}""##;
    BASE64_LINE = r"\A(334 )?([A-Za-z0-9+/]{12,}={0,2})(\r?\n)\z";
    DIGEST_AT_END = r" [0-9a-fA-F]{32}$";
}

/// Stamps, dates, ids, file names, ports and product names by their kind.
pub(crate) fn text(text: &str) -> String {
    let s = STAMP.replace_all(text, "<STAMP@$1>");
    let s = FILE.replace_all(&s, "<FILE>");
    let s = DATE.replace_all(&s, |c: &Captures<'_>| match c.get(1) {
        Some(zone) => format!("<DATE {}>", zone.as_str()),
        None => "<DATE>".to_owned(),
    });
    let s = UTC.replace_all(&s, "<DATE +0000>");
    let s = LOG_DATE.replace_all(&s, "<LOGDATE>");
    let s = PEEK.replace_all(&s, "${1}<EPOCH>");
    let s = ID.replace_all(&s, "<${1}#>");
    let s = PORT.replace_all(&s, |c: &Captures<'_>| match c[2].parse::<u32>() {
        Ok(port) if FIXED_PORTS.contains(&port) => c[0].to_owned(),
        _ => format!("{}:<PORT>", &c[1]),
    });
    let s = PRODUCT.replace_all(&s, "<PRODUCT $1>");
    let s = MAILER_SERVER.replace_all(&s, "${1}<PRODUCT>");
    let s = PRODUCT_NAME.replace_all(&s, "<PRODUCT>");
    let s = SPLIT.replace_all(&s, "spool/*/*/");
    let s = FROZEN_COMMAND.replace_all(&s, "${1}*\t*");
    let s = FROZEN_ROW.replace_all(&s, "${1}*${2}*");
    let s = TEMPORARY.replace_all(&s, "<TMPFILE>");
    let s = LOG_FILE.replace_all(&s, "${1}-<HOUR>");
    let s = EPOCH.replace_all(&s, "<EPOCH>");
    THREAD.replace_all(&s, "<THREAD>").into_owned()
}

/// What one side of a client's connection sent. `from_server` drops enhanced status codes.
pub(crate) fn wire(data: &str, from_server: bool) -> String {
    let plain = if from_server { ENHANCED.replace_all(data, "$1") } else { data.into() };
    let lines: String = lines_of(&plain).map(base64_line).collect();
    MD5.replace_all(&text(&lines), "<MD5>").into_owned()
}

/// A log file's text: ids and digests by their kind as well.
pub(crate) fn log(data: &str) -> String {
    let s = text(data);
    let s = QUOTED_ID.replace_all(&s, "\"${1}#\"");
    LOGGED_MD5.replace_all(&s, "\"#<MD5>\"").into_owned()
}

/// Challenges and answers of CRAM-MD5 hold stamps and digests.
fn base64_line(line: &str) -> String {
    let Ok(Some(parts)) = BASE64_LINE.captures(line) else { return line.to_owned() };
    let Ok(bytes) = STANDARD.decode(&parts[2]) else { return line.to_owned() };
    let inside: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    if STAMP.is_match(&inside).unwrap_or(false) {
        let named = STAMP.replace_all(&inside, "<STAMP@$1>").into_owned();
        return format!("{}<b64 of {named}>{}", parts.get(1).map_or("", |m| m.as_str()), &parts[3]);
    }
    if DIGEST_AT_END.is_match(&inside).unwrap_or(false) {
        return format!("<b64 of {}>{}", DIGEST_AT_END.replace_all(&inside, " <MD5>"), &parts[3]);
    }
    line.to_owned()
}

/// The lines as a reader sees them: CRLF is the rule, `<LF>` and `<no-eol>` are marked, other bytes are `\xNN`.
pub(crate) fn visible(text: &str) -> Vec<String> {
    lines_of(text)
        .map(|line| {
            let (line, mark) = match (line.strip_suffix("\r\n"), line.strip_suffix('\n')) {
                (Some(line), _) => (line, ""),
                (None, Some(line)) => (line, "<LF>"),
                (None, None) => (line, "<no-eol>"),
            };
            let shown = |c: char| match c {
                ' '..='~' | '\t' => c.to_string(),
                c => format!("\\x{:02x}", u32::from(c)),
            };
            line.chars().map(shown).collect::<String>() + mark
        })
        .collect()
}

/// Pieces that end with LF, and what is left.
pub(crate) fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_named() {
        let check = |given: &str, expected: &str| assert_eq!(text(given), expected, "{given}");
        check("x <1795429985.139664065287872@mx.example.test> y", "x <STAMP@mx.example.test> y");
        check("Mon, 23 Nov 2026 10:33:05 -0000", "<DATE +0000>");
        check("Mon, 01 Jan 2024 00:00:00 +0000", "Mon, 01 Jan 2024 00:00:00 +0000");
        check("1795429986467.7f0612ffd6c0.7fa7.3.mail.example.test:2,S", "<FILE>:2,S");
        check("[127.0.0.1]:40000;[127.0.0.1]:2525", "[127.0.0.1]:<PORT>;[127.0.0.1]:2525");
        check("220 x [XMail 1.27 ESMTP Server] service ready", "220 x <PRODUCT ESMTP Server> service ready");
        check(
            "220 x [Tabmail 0.1.0 ESMTP Server] service ready",
            "220 x <PRODUCT ESMTP Server> service ready",
        );
        check("250 OK <S1A>", "250 OK <S#>");
        check("2026-11-23 10:33:05", "<LOGDATE>");
    }

    #[test]
    fn enhanced_status_codes_are_the_only_thing_dropped_from_replies() {
        assert_eq!(wire("250 2.1.0 OK\r\n", true), "250 OK\r\n");
        assert_eq!(wire("250 2.1.0 OK\r\n", false), "250 2.1.0 OK\r\n");
        assert_eq!(wire("251 OK\r\n", true), "251 OK\r\n");
    }

    #[test]
    fn lines_show_their_ends() {
        assert_eq!(visible("a\r\nb\n\0c"), ["a", "b<LF>", "\\x00c<no-eol>"]);
    }
}
