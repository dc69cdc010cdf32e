//! `slog`: the attempt log of a message (`mailflow.md` 2.6), LF text that is only appended to.
//!
//! ```text
//! [PeekTime] 1795429991 : Mon, 23 Nov 2026 10:33:11 +0000
//! <<
//! ErrCode   = -77
//! ErrString = [RCPT TO:] not permitted by remote SMTP server
//! ErrInfo   = 451 4.3.0 try again later
//! SMAIL SMTP-Send MX = "mx1.sink.test." SMTP = "..." From = "..." To = "..." Failed !
//! SMTP-Error = "451 4.3.0 try again later"
//! SMTP-Server = "mx1.sink.test."
//! >>
//! ```

use std::fmt::Write as _;

use bstr::{BStr, ByteSlice};

const PEEK_TIME: &str = "[PeekTime]";

/// One `<<` `>>` block: why a step of an attempt failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// XMail's error number, positive (`mailflow.md` 16).
    pub error: i32,
    /// Its text.
    pub error_text: String,
    /// More about this case, such as the remote reply.
    pub info: Option<String>,
    /// The lines of the failing step.
    pub lines: Vec<String>,
    /// `SMTP-Error`: the remote reply, lines joined by CRLF, or the default text.
    pub smtp_error: Option<String>,
    /// `SMTP-Server`: where that came from.
    pub smtp_server: Option<String>,
}

impl Entry {
    /// The block as it is appended.
    pub fn to_text(&self) -> String {
        let mut text = format!("<<\nErrCode   = -{}\nErrString = {}\n", self.error, self.error_text);
        // Writing to a String cannot fail.
        if let Some(info) = &self.info {
            let _ = writeln!(text, "ErrInfo   = {info}");
        }
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        if let Some(reply) = &self.smtp_error {
            let _ = writeln!(text, "SMTP-Error = \"{reply}\"");
        }
        if let Some(server) = &self.smtp_server {
            let _ = writeln!(text, "SMTP-Server = \"{server}\"");
        }
        text.push_str(">>\n");
        text
    }
}

/// The line that begins an attempt.
pub fn peek_time(unix_secs: i64, mail_date: &str) -> String {
    format!("{PEEK_TIME} {unix_secs} : {mail_date}\n")
}

/// What a slog says about the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many attempts were begun.
    pub count: u32,
    /// When the last one began, in Unix seconds; 0 without any.
    pub last_unix_secs: i64,
}

/// Counts the `[PeekTime]` lines.
pub fn attempts(slog: &[u8]) -> Attempts {
    let mut found = Attempts::default();
    for line in slog.lines() {
        if let Some(rest) = line.strip_prefix(PEEK_TIME.as_bytes()) {
            found.count += 1;
            found.last_unix_secs = crate::mailroot::server_tab::leading_number(rest);
        }
    }
    found
}

/// Every attempt that a slog tells of, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The attempts.
    pub attempts: Vec<PastAttempt>,
}

/// One attempt of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastAttempt {
    /// The line of its `[PeekTime]`, from 1.
    pub line: u32,
    /// When it began, in Unix seconds.
    pub unix_secs: i64,
    /// The last reason written: the remote reply, else the more that is known, else the failing step, else the error.
    pub error: Option<String>,
}

/// Reads a whole slog.
pub fn history(slog: &[u8]) -> History {
    let mut attempts: Vec<PastAttempt> = Vec::new();
    let blocks = slog.lines().zip(1..).scan(Vec::new(), |block: &mut Vec<String>, (line, number)| {
        let line = line.to_str_lossy().into_owned();
        let peek = line
            .strip_prefix(PEEK_TIME)
            .map(|rest| crate::mailroot::server_tab::leading_number(rest.as_bytes()));
        let ended = if line == ">>" { Some(std::mem::take(block)) } else { None };
        match line.as_str() {
            "<<" => block.clear(),
            _ if ended.is_none() => block.push(line),
            _ => {}
        }
        Some((number, peek, ended))
    });
    for (line, peek, block) in blocks {
        if let Some(unix_secs) = peek {
            attempts.push(PastAttempt { line, unix_secs, error: None });
        }
        if let (Some(block), Some(last)) = (block, attempts.last_mut()) {
            last.error = error_of(&block).or(last.error.take());
        }
    }
    History { attempts }
}

fn error_of(block: &[String]) -> Option<String> {
    let value = |key: &str| block.iter().find_map(|line| line.strip_prefix(key));
    let quoted = value("SMTP-Error = \"").map(|text| text.strip_suffix('"').unwrap_or(text));
    let step = || block.iter().find(|line| !["Err", "SMTP-"].iter().any(|key| line.starts_with(key)));
    let error = quoted.or_else(|| value("ErrInfo   = ")).or_else(|| step().map(String::as_str));
    error.or_else(|| value("ErrString = ")).map(str::to_owned)
}

/// The reason and server that a notice takes from the slog: the first of each after the last `[PeekTime]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// `SMTP-Error`, lines separated by CRLF.
    pub smtp_error: Option<String>,
    /// `SMTP-Server`.
    pub smtp_server: Option<String>,
}

/// Finds the [`Reason`] in a slog.
pub fn reason(slog: &[u8]) -> Reason {
    let last = slog.rfind(PEEK_TIME).map_or(slog, |at| &slog[at..]);
    let quoted = |key: &str| {
        let start = last.find(format!("\n{key} = \"")).map(|at| at + key.len() + 5)?;
        let end = last[start..].find("\"\n").map_or(last.len(), |length| start + length);
        Some(BStr::new(&last[start..end]).to_string())
    };
    Reason { smtp_error: quoted("SMTP-Error"), smtp_server: quoted("SMTP-Server") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOG: &str = "[PeekTime] 1795429991 : Mon, 23 Nov 2026 10:33:11 -0000\n<<\nErrCode   = -77\n\
        ErrString = [RCPT TO:] not permitted by remote SMTP server\nErrInfo   = 451 4.3.0 try again later\n\
        SMAIL SMTP-Send MX = \"mx1.sink.test.\" SMTP = \"mx.example.test\" From = \"alice@example.test\" To = \"t451@sink.test\" Failed !\n\
        SMTP-Error = \"451 4.3.0 try again later\"\nSMTP-Server = \"mx1.sink.test.\"\n>>\n";

    #[test]
    fn an_entry_reads_as_xmail_wrote_it() {
        let entry = Entry {
            error: 77,
            error_text: "[RCPT TO:] not permitted by remote SMTP server".into(),
            info: Some("451 4.3.0 try again later".into()),
            lines: vec![
                "SMAIL SMTP-Send MX = \"mx1.sink.test.\" SMTP = \"mx.example.test\" From = \"alice@example.test\" To = \"t451@sink.test\" Failed !"
                    .into(),
            ],
            smtp_error: Some("451 4.3.0 try again later".into()),
            smtp_server: Some("mx1.sink.test.".into()),
        };
        // golden spool_tempfail/after-try-1
        let text = peek_time(1_795_429_991, "Mon, 23 Nov 2026 10:33:11 -0000") + &entry.to_text();
        assert_eq!(text, SLOG);
    }

    #[test]
    fn attempts_and_reason_are_found_again() {
        let slog = format!(
            "{SLOG}[PeekTime] 1795430000 : x\n<<\nErrCode   = -5\nErrString = Timeout error\nSMTP-Error = \"550-a\r\n550 b\"\n>>\n"
        );
        assert_eq!(attempts(slog.as_bytes()), Attempts { count: 2, last_unix_secs: 1_795_430_000 });
        assert_eq!(
            reason(slog.as_bytes()),
            Reason { smtp_error: Some("550-a\r\n550 b".into()), smtp_server: None }
        );
        assert_eq!(reason(SLOG.as_bytes()).smtp_server.as_deref(), Some("mx1.sink.test."));
        let past = |line, unix_secs, error: &str| PastAttempt { line, unix_secs, error: Some(error.into()) };
        let found = history(slog.as_bytes()).attempts;
        assert_eq!(found[0], past(1, 1_795_429_991, "451 4.3.0 try again later"));
        assert_eq!((found[1].line, found[1].unix_secs, found.len()), (10, 1_795_430_000, 2));
        let other = "[PeekTime] 5 : x\n<<\nErrCode   = -171\nErrString = Mailbox full\nRejected\n>>\n[PeekTime] 6 : x\n";
        let none = PastAttempt { line: 7, unix_secs: 6, error: None };
        assert_eq!(history(other.as_bytes()).attempts, [past(1, 5, "Rejected"), none]);
        assert_eq!(attempts(b""), Attempts::default());
    }
}
