//! The `imap` log: one line for each log-in, with the columns of the `pop3` log as far as they mean something here.
//!
//! ```text
//! server TAB domain TAB peer TAB date TAB user TAB password TAB LOGIN TAB mechanism     ELOGIN for a failed one
//! ```
//!
//! The password is empty unless `Pop3LogPasswd` asks for it: 1 shows what failed, 2 everything. Of mechanisms that do not
//! send the password it is the proof, or nothing.

use crate::logs::{LogKind, Logs};
use crate::mailroot::Snapshot;
use crate::policy::admission::logged_password;

/// A log-in that was tried.
#[derive(Clone, Copy, Debug)]
pub struct LogIn<'a> {
    /// The name of our own address, or the address.
    pub server: &'a str,
    /// The domain, given or the session's.
    pub domain: &'a str,
    /// The client's address.
    pub peer: &'a str,
    /// `Clock::log_date`.
    pub date: &'a str,
    /// The name without its domain.
    pub user: &'a str,
    /// The password or proof as given.
    pub given: &'a str,
    /// How: `LOGIN`, or the mechanism of AUTHENTICATE.
    pub mechanism: &'a str,
    /// Whether the client was let in.
    pub is_let_in: bool,
}

/// Writes the line, if the log is enabled. Blocks for one write at most.
pub fn write(logs: &Logs, snapshot: &Snapshot, login: &LogIn<'_>) {
    let password = logged_password(snapshot, login.given, login.is_let_in);
    let verb = if login.is_let_in { "LOGIN" } else { "ELOGIN" };
    let columns =
        [login.server, login.domain, login.peer, login.date, login.user, password, verb, login.mechanism];
    logs.write(LogKind::Imap, &columns.map(str::as_bytes));
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::mailroot::MailRoot;

    fn check(server_tab: &str, is_let_in: bool, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("logs")).unwrap();
        std::fs::write(dir.path().join("server.tab"), server_tab).unwrap();
        let snapshot = Snapshot::load(&MailRoot::new(dir.path()));
        let day = NonZeroU32::new(24).unwrap();
        let logs = Logs::new(dir.path(), jiff::Zoned::default, day, [LogKind::Imap]);
        let login = LogIn {
            server: "mx.home.test",
            domain: "home.test",
            peer: "192.0.2.7",
            date: "2026-11-23 10:33:05",
            user: "anna",
            given: "secret",
            mechanism: "PLAIN",
            is_let_in,
        };
        write(&logs, &snapshot, &login);
        let text = std::fs::read_to_string(dir.path().join("logs/imap-197001010000")).unwrap();
        assert_eq!(text.replace('"', "").replace('\t', " ").trim_end(), expected);
    }

    #[test]
    fn a_line_for_each_log_in() {
        let start = "mx.home.test home.test 192.0.2.7 2026-11-23 10:33:05 anna";
        let logged = |level: u32| format!("\"Pop3LogPasswd\"\t\"{level}\"\n");
        check("", true, &format!("{start}  LOGIN PLAIN"));
        check(&logged(1), true, &format!("{start}  LOGIN PLAIN"));
        check(&logged(1), false, &format!("{start} secret ELOGIN PLAIN"));
        check(&logged(2), true, &format!("{start} secret LOGIN PLAIN"));
    }
}
