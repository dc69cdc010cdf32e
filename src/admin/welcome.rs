//! Welcome mail (`jdmail.md` JD-62): `welcome.eml`, a message that new accounts get: those of the pages where that is ticked,
//! those of CTRL always. XMail knows none: without the file nothing is sent. `mkusers` makes the accounts of a MailRoot
//! that nobody serves yet, and greets nobody.
//!
//! Shape: a message as it is sent, in UTF-8, header first; `domains/<domain>/welcome.eml`, else `welcome.eml` of the
//! MailRoot. `{address}`, `{account}`, `{domain}`, `{name}` are replaced; `{name}` is the real name, else the account's.
//! Header fields may be written in plain UTF-8: what is not ASCII becomes encoded words (RFC 2047). `From`, `To`, `Date`,
//! `Message-ID`, `MIME-Version` and `Content-Type` are added where they are missing.
//!
//! The message goes through `spool/local` (`mailroot.md` 16.6), which the mail server empties, now or when it starts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Admin, AdminError};
use crate::durable::FILE_MODE;
use crate::mailroot::edit::Planned;
use crate::mailroot::schema::user as variables;
use crate::mailroot::{Account, MailRoot, Snapshot};

/// The template's name, in the MailRoot and in directories of domains.
pub const WELCOME_FILE: &str = "welcome.eml";

/// The largest template, in bytes. Ours.
pub const WELCOME_BYTES_MAX: usize = 256 << 10;

/// Who writes where nobody is named.
const POSTMASTER: &str = "postmaster";

/// Bytes that one encoded word holds: with its frame and base64 at most 75 characters (RFC 2047 2).
const ENCODED_WORD_BYTES: usize = 42;

impl Admin {
    /// The template of a domain, or of the MailRoot (`None`), as it is written there; `None`: there is none.
    ///
    /// # Errors
    /// `DomainNotHandled`, `Disk`.
    pub fn welcome(&self, domain: Option<&str>) -> Result<Option<Vec<u8>>, AdminError> {
        self.read(&self.welcome_file(domain)?)
    }

    /// Replaces it; an empty one is removed. Line ends are LF.
    ///
    /// # Errors
    /// `DomainNotHandled`, `BadWelcome`, `Edit`.
    pub fn set_welcome(&self, domain: Option<&str>, text: &str) -> Result<(), AdminError> {
        let _changing = self.changing();
        let file = self.welcome_file(domain)?;
        let text = text.replace("\r\n", "\n");
        if text.trim().is_empty() {
            return self.store(&file, b"");
        }
        if text.len() > WELCOME_BYTES_MAX || header_end(&text).is_none() || text.contains('\0') {
            return Err(AdminError::BadWelcome);
        }
        let bytes = format!("{}\n", text.trim_end_matches('\n')).into_bytes();
        if let Some(rehearsal) = self.editor.rehearsal() {
            let before = self.read(&file)?;
            rehearsal.plan(Planned::File { file, before, after: Some(bytes) });
            return Ok(());
        }
        let path = self.root().path().join(&file);
        self.disk.replace(&path, &bytes).map_err(|source| AdminError::Disk {
            action: "write",
            path: path.clone(),
            source,
        })
    }

    fn welcome_file(&self, domain: Option<&str>) -> Result<PathBuf, AdminError> {
        let Some(domain) = domain else { return Ok(WELCOME_FILE.into()) };
        let tables = self.snapshot();
        let row = tables.domains.get(domain).ok_or(AdminError::DomainNotHandled)?;
        Ok(MailRoot::domain_directory(&row.domain).join(WELCOME_FILE))
    }

    /// Whether new accounts of a domain can be greeted.
    pub fn has_welcome(&self, domain: &str) -> bool {
        self.template(domain).is_some()
    }

    fn template(&self, domain: &str) -> Option<String> {
        let own = self.welcome(Some(domain)).ok().flatten();
        let found = own.or_else(|| self.welcome(None).ok().flatten())?;
        String::from_utf8(found).ok().filter(|text| header_end(text).is_some())
    }

    /// Sends the welcome mail to accounts that were just made: domain and name. A rehearsal says how many; where it fails
    /// the accounts are none the worse, and the log says so.
    pub(super) fn send_welcome(&self, accounts: &[(&str, &str)]) {
        if let Some(rehearsal) = self.editor.rehearsal() {
            let greeted = accounts.iter().filter(|(domain, _)| self.has_welcome(domain));
            let recipients = greeted.count();
            if recipients > 0 {
                rehearsal.plan(Planned::SendMail { recipients });
            }
            return;
        }
        let tables = self.snapshot();
        for (domain, name) in accounts {
            let Some(account) = tables.users.get(domain, name) else { continue };
            let Some(template) = self.template(domain) else { continue };
            if let Err(error) = self.drop_message(&self.letter(&tables, account, &template)) {
                tracing::error!(account = account.address(), %error, "no welcome mail");
            }
        }
    }

    /// The file for `spool/local`.
    fn letter(&self, tables: &Snapshot, account: &Account, template: &str) -> Vec<u8> {
        let real_name = tables.user_settings(account).text(&variables::REAL_NAME).map(str::to_owned);
        // A value must not end its line.
        let name = real_name.unwrap_or_else(|| account.name.to_string()).replace(['\r', '\n'], " ");
        let address = account.address();
        let text = template
            .replace("\r\n", "\n")
            .replace("{address}", &address)
            .replace("{account}", &account.name)
            .replace("{domain}", &account.domain)
            .replace("{name}", &name);
        let sender = tables
            .server
            .postmaster()
            .map_or_else(|| format!("{POSTMASTER}@{}", account.domain), str::to_owned);
        let mut out = format!("mail from:<{sender}>\r\nrcpt to:<{address}>\r\n\r\n").into_bytes();
        out.extend(
            message(&text, &sender, &address, &self.clock.mail_date(), &self.message_id(account)).bytes(),
        );
        out
    }

    fn message_id(&self, account: &Account) -> String {
        format!("<{}.{}@{}>", self.clock.unix_millis(), next_number(), account.domain)
    }

    /// Puts a file into `spool/local` as `mailroot.md` 16.6 asks: written elsewhere, then renamed.
    fn drop_message(&self, bytes: &[u8]) -> std::io::Result<()> {
        let name = format!("{}.{}.{}.welcome", self.clock.unix_millis(), std::process::id(), next_number());
        let [temp, local] = ["spool/temp", "spool/local"].map(|directory| self.root().path().join(directory));
        self.disk.create_dir_all(&temp)?;
        self.disk.create_dir_all(&local)?;
        let mut file = self.disk.create_new(&temp.join(&name), FILE_MODE)?;
        file.write_all(bytes)?;
        file.sync()?;
        self.disk.rename(&temp.join(&name), &local.join(&name))?;
        self.disk.sync_dir(&local)
    }
}

fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// Where the header ends; `None`: the text does not begin with header fields.
fn header_end(text: &str) -> Option<usize> {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        if content.is_empty() {
            return (end > 0).then_some(end);
        }
        let is_more = end > 0 && content.starts_with([' ', '\t']);
        let is_field = content
            .split_once(':')
            .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()));
        if !is_more && !is_field {
            return None;
        }
        end += line.len();
    }
    (end > 0).then_some(end)
}

/// The whole message with CRLF.
fn message(text: &str, sender: &str, recipient: &str, date: &str, id: &str) -> String {
    let end = header_end(text).unwrap_or(0);
    let (header, body) = text.split_at(end);
    let mut out = String::new();
    for line in header.lines() {
        let _ = write!(out, "{}\r\n", encoded(line));
    }
    let has = |name: &str| {
        header.lines().any(|line| {
            line.split_once(':').is_some_and(|(found, _)| found.trim_end().eq_ignore_ascii_case(name))
        })
    };
    for (name, value) in [
        ("From", &*format!("<{sender}>")),
        ("To", &*format!("<{recipient}>")),
        ("Date", date),
        ("Message-ID", id),
        ("MIME-Version", "1.0"),
    ] {
        if !has(name) {
            let _ = write!(out, "{name}: {value}\r\n");
        }
    }
    if !has("Content-Type") {
        out.push_str("Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n");
    }
    out.push_str("\r\n");
    for line in body.strip_prefix('\n').unwrap_or(body).lines() {
        let _ = write!(out, "{line}\r\n");
    }
    out
}

/// A line of a header with its words that are not ASCII as encoded words; neighbours among them become one.
fn encoded(line: &str) -> String {
    if line.is_ascii() {
        return line.to_owned();
    }
    let mut out = String::new();
    let mut foreign: Vec<&str> = Vec::new();
    let mut words = line.split(' ').peekable();
    while let Some(word) = words.next() {
        if !word.is_ascii() {
            // An encoded word is none inside a quoted string (RFC 2047 5 (3)).
            foreign.push(word.trim_matches('"'));
            if words.peek().is_some_and(|next| !next.is_ascii()) {
                continue;
            }
            push_word(&mut out, &encoded_words(&foreign.join(" ")));
            foreign.clear();
        } else {
            push_word(&mut out, word);
        }
    }
    out
}

fn push_word(out: &mut String, word: &str) {
    if !out.is_empty() {
        out.push(' ');
    }
    out.push_str(word);
}

fn encoded_words(text: &str) -> String {
    let mut parts = vec![String::new()];
    for character in text.chars() {
        let is_full = parts.last().is_some_and(|part| part.len() + character.len_utf8() > ENCODED_WORD_BYTES);
        if is_full {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    let words: Vec<String> =
        parts.iter().map(|part| format!("=?UTF-8?B?{}?=", BASE64.encode(part))).collect();
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::durable::Disk;
    use crate::mailbox::{Kind, Mailboxes};
    use crate::mailroot::Tables;

    /// JD-62.
    #[test]
    fn a_template_becomes_a_whole_message() {
        let text = "Subject: 欢迎 金笛, dear {x}\nFrom: \"金笛\" <a@a.test>\n\nHello 李\n.\n";
        let found = message(
            text,
            "postmaster@a.test",
            "anna@a.test",
            "Mon, 23 Nov 2026 10:00:00 +0000",
            "<1@a.test>",
        );
        assert_eq!(
            found,
            "Subject: =?UTF-8?B?5qyi6L+OIOmHkeesmyw=?= dear {x}\r\nFrom: =?UTF-8?B?6YeR56yb?= <a@a.test>\r\n\
             To: <anna@a.test>\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@a.test>\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nHello 李\r\n.\r\n"
        );
        let long = encoded(&format!("Subject: {}", "长".repeat(40)));
        assert!(long.split("\r\n ").all(|line| line.len() <= 76 + "Subject: ".len()), "{long}");
        assert!(long.contains("\r\n "));
    }

    /// JD-62: however an account is made, but only where there is a template, and lists read none.
    #[test]
    fn accounts_made_by_ctrl_are_greeted_where_there_is_a_template() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        put("domains.tab", "\"a.test\"\n\"b.test\"\n");
        put("mailusers.tab", "");
        for domain in ["a.test", "b.test"] {
            std::fs::create_dir_all(directory.path().join("domains").join(domain)).unwrap();
        }
        let root = MailRoot::new(directory.path());
        let boxes = Mailboxes::new(root.clone(), Kind::Maildir, Disk::default());
        let admin = Admin::new(Tables::open(&root), boxes, None, Clock::system(), Disk::default());
        let letters = || {
            let dropped = std::fs::read_dir(directory.path().join("spool/local")).into_iter().flatten();
            let read =
                |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(entry.unwrap().path());
            let mut letters: Vec<String> = dropped.map(|entry| read(entry).unwrap()).collect();
            letters.sort();
            letters
        };
        admin.add_user("a.test", "early", b"pw", "U").unwrap();
        assert_eq!(letters(), [""; 0]);
        put("domains/a.test/welcome.eml", "Subject: Hi {account}\n\nx\n");
        admin.add_user("a.test", "anna", b"pw", "U").unwrap();
        admin.add_user("a.test", "news", b"pw", "M").unwrap();
        admin.add_user("b.test", "bert", b"pw", "U").unwrap();
        admin.add_user("a.test", "anna", b"pw", "U").unwrap_err();
        let found = letters();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("rcpt to:<anna@a.test>\r\n\r\nSubject: Hi anna\r\n"), "{found:?}");
    }

    #[test]
    fn only_a_message_with_a_header_is_a_template() {
        assert_eq!(header_end("Subject: x\n y\n\nbody"), Some(14));
        assert_eq!(header_end("Subject: x"), Some(10));
        assert_eq!(header_end("hello\n\nbody"), None);
        assert_eq!(header_end("\nSubject: x\n"), None);
        assert_eq!(header_end("hello: x\nworld\n"), None);
    }
}
