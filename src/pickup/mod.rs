//! Mail dropped into `spool/local` by local programs (XMail's LMAIL; `mailflow.md` 7.1, `mailroot.md` 16.6).
//!
//! ```text
//! mail from:<anna@home.test>
//! rcpt to:<bert@shop.test>
//! rcpt to:<carl@isp.example>
//!
//! Subject: hello
//!
//! text
//! ```
//!
//! The directory is read every few seconds (`-Lt`). Producers write in `spool/temp` and rename. A file is removed only
//! after its message is on stable storage in the queue; one that cannot be removed is not taken again ([`Taken`]); one that is not a message is moved to `spool/failed/` and
//! named in the log, where XMail deletes it. Lines end in CRLF or LF; the message is stored dot-stuffed and with CRLF
//! (decision 1).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bstr::{BString, ByteSlice};
use tokio_util::sync::CancellationToken;

use crate::address::{RawPath, Utf8, parse_angle};
use crate::clock::Clock;
use crate::durable::Disk;
use crate::logs::{LogKind, Logs};
use crate::mailroot::Tables;
use crate::message::LocalReceived;
use crate::net::dots::{Stuffer, ToCrlf, Transformed};
use crate::spool::{Header, MailData, NewMessage, Origin, Spool, SpoolError};
use crate::status;

/// The longest line before the message (`mailroot.md` 16.3).
const LINE_BYTES_MAX: u64 = 1535;

/// The most recipients one dropped file may name.
const RECIPIENTS_MAX: usize = 10_000;

/// The domain that stands where `RootDomain` is missing (`mailflow.md` 2.2).
const DEFAULT_DOMAIN: &str = "localdomain";

/// What a pickup needs.
#[derive(Clone)]
pub struct Services {
    /// The tables, for `RootDomain`.
    pub tables: Tables,
    /// Where the messages go.
    pub spool: Spool,
    /// The time.
    pub clock: Clock,
    /// The lmail log.
    pub logs: Logs,
    /// The disk.
    pub disk: Disk,
    /// Files whose messages are in the queue, but which cannot be removed: `Taken::default()`.
    pub taken: Taken,
}

/// Files that were taken and could not be removed. Taking them again at every round would multiply their messages; so
/// only the removal is tried again, as long as they are what they were. Forgotten at the end of the process.
#[derive(Clone, Debug, Default)]
pub struct Taken(Arc<Mutex<HashMap<PathBuf, Identity>>>);

/// Device, inode, size in bytes and time of change: another file under the same name differs in one of them.
type Identity = (u64, u64, u64, i64, i64);

impl Taken {
    fn identity(file: &Path) -> io::Result<Identity> {
        let meta = fs::symlink_metadata(file)?;
        Ok((meta.dev(), meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
    }

    fn contains(&self, file: &Path) -> bool {
        let known = self.lock().get(file).copied();
        known.is_some() && known == Self::identity(file).ok()
    }

    fn insert(&self, file: &Path) {
        if let Ok(identity) = Self::identity(file) {
            self.lock().insert(file.to_owned(), identity);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a dropped file is not a message.
#[derive(Debug, thiserror::Error)]
pub enum BadDrop {
    /// The first line is not `mail from:<...>`.
    #[error("line 1: no mail from:<path>")]
    NoMailFrom,
    /// The file ends before the empty line that ends the recipients.
    #[error("line {line}: the file ends before the message")]
    NoMessage {
        /// From 1.
        line: usize,
    },
    /// A line that is too long.
    #[error("line {line}: longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong {
        /// From 1.
        line: usize,
    },
    /// No recipient, or too many.
    #[error("{found} recipients; there must be 1 to {RECIPIENTS_MAX}")]
    Recipients {
        /// How many.
        found: usize,
    },
    /// The disk refused; the file stays and is tried again.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The queue refused; the file stays and is tried again.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl BadDrop {
    /// Whether the file itself is wrong, rather than the moment.
    fn is_final(&self) -> bool {
        !matches!(self, Self::Unreadable(_) | Self::Spool(_))
    }
}

/// Looks at `spool/local` every `interval` until `stop`.
pub async fn run(services: Services, interval: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! { () = stop.cancelled() => return, _ = ticks.tick() => {} }
        let services = services.clone();
        // A panic in one round is logged by the runtime; the next round goes on.
        let _ = tokio::task::spawn_blocking(move || services.collect()).await;
    }
}

impl Services {
    /// Takes every file that is there now. Blocks.
    pub fn collect(&self) {
        let directory = self.directory("local");
        let Ok(entries) = fs::read_dir(&directory) else { return };
        let plain = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let mut files: Vec<PathBuf> = plain.map(|entry| entry.path()).collect();
        files.sort_unstable();
        let mut took_any = false;
        for file in files {
            if self.taken.contains(&file) {
                self.remove(&file);
                continue;
            }
            match self.take(&file) {
                Ok(()) => {
                    took_any = true;
                    self.remove(&file);
                }
                Err(error) if error.is_final() => self.set_aside(&file, &error),
                Err(error) => tracing::error!("{}: {error}; tried again", file.display()),
            }
        }
        // Else a power cut brings them all back, long after they were delivered.
        if took_any && let Err(error) = self.disk.sync_dir(&directory) {
            tracing::error!("{}: cannot be synced: {error}", directory.display());
        }
    }

    fn directory(&self, name: &str) -> PathBuf {
        self.tables.current().root().path().join("spool").join(name)
    }

    fn take(&self, path: &Path) -> Result<(), BadDrop> {
        let snapshot = self.tables.fresh();
        let domain = snapshot.server.root_domain().unwrap_or(DEFAULT_DOMAIN).to_owned();
        let number = self.spool.next_number(Origin::Local)?.to_string();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        self.logs.write(
            LogKind::Lmail,
            &[domain.as_bytes(), name, number.as_bytes(), self.clock.log_date().as_bytes()],
        );
        let mut reader = BufReader::new(File::open(path)?);
        let drop = Drop::read(&mut reader)?;
        let data = self.store(reader)?;
        self.spool.submit_blocking(&drop.messages(&domain, &number, &self.clock.mail_date()), &data)?;
        Ok(())
    }

    /// Copies the message into a draft: dot-stuffed, CRLF.
    fn store(&self, reader: impl Read) -> Result<MailData, BadDrop> {
        let mut stored = Transformed::new(Transformed::new(reader, Stuffer::default()), ToCrlf::default());
        let mut draft = self.spool.draft();
        let mut piece = vec![0; 64 * 1024];
        loop {
            match stored.read(&mut piece)? {
                0 => return Ok(draft.finish()?),
                length => draft.write(&piece[..length])?,
            }
        }
    }

    fn remove(&self, file: &Path) {
        match self.disk.remove(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!("{}: is in the queue, but cannot be removed: {error}", file.display());
                self.taken.insert(file);
            }
            _ => drop(self.taken.lock().remove(file)),
        }
    }

    fn set_aside(&self, file: &Path, reason: &BadDrop) {
        let directory = self.directory("failed");
        let moved = self.disk.create_dir_all(&directory).and_then(|()| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            // The time keeps an earlier failure of the same name.
            let kept = directory.join(format!("{}.{name}", self.clock.unix_millis()));
            self.disk.rename(file, &kept).map(|()| kept)
        });
        match moved {
            Ok(kept) => tracing::error!("{}: {reason}; kept as {}", file.display(), kept.display()),
            Err(error) => tracing::error!("{}: {reason}; cannot be set aside: {error}", file.display()),
        }
    }
}

/// The lines of a dropped file before its message.
#[derive(Debug, PartialEq, Eq)]
struct Drop {
    mail_from: BString,
    rcpt_to: Vec<BString>,
}

impl Drop {
    fn read(reader: &mut impl BufRead) -> Result<Self, BadDrop> {
        let mail_from = read_line(reader, 1)?.ok_or(BadDrop::NoMailFrom)?;
        let keyword = b"mail from:";
        if mail_from.len() < keyword.len() || !mail_from[..keyword.len()].eq_ignore_ascii_case(keyword) {
            return Err(BadDrop::NoMailFrom);
        }
        let mut rcpt_to = Vec::new();
        loop {
            let line = rcpt_to.len() + 2;
            let text = read_line(reader, line)?.ok_or(BadDrop::NoMessage { line })?;
            if text.is_empty() {
                break;
            }
            rcpt_to.push(text);
            if rcpt_to.len() > RECIPIENTS_MAX {
                return Err(BadDrop::Recipients { found: rcpt_to.len() });
            }
        }
        if rcpt_to.is_empty() {
            Err(BadDrop::Recipients { found: 0 })
        } else {
            Ok(Self { mail_from, rcpt_to })
        }
    }

    /// One message for each recipient; lines are taken as they are. A malformed one is found at delivery; such a message
    /// has no `Received` of ours, as in XMail (golden `spool_sendmail`).
    fn messages(&self, domain: &str, number: &str, date: &str) -> Vec<NewMessage> {
        let product = status::product("LMAIL Server");
        let sender = path_text(&self.mail_from);
        let received = |rcpt_to: &BString| {
            let (sender, recipient) = (sender.as_deref()?, path_text(rcpt_to)?);
            let field =
                LocalReceived { root_domain: domain, product: &product, recipient: &recipient, sender, date };
            Some(BString::from(field.to_bytes()))
        };
        let message = |rcpt_to: &BString| NewMessage {
            header: Header {
                trace: format!("[127.0.0.1]:0;[127.0.0.1]:0;{date}").into(),
                smtp_domain: domain.into(),
                number: number.into(),
                mail_from: self.mail_from.clone(),
                rcpt_to: rcpt_to.clone(),
            },
            trace_fields: received(rcpt_to).unwrap_or_default(),
        };
        self.rcpt_to.iter().map(message).collect()
    }
}

/// The path of a line without its brackets; empty when null.
fn path_text(line: &[u8]) -> Option<String> {
    match parse_angle(line, Utf8::Allowed).ok()?.0 {
        RawPath::Path(path) => Some(path.to_string()),
        RawPath::Null => Some(String::new()),
        RawPath::Postmaster => None,
    }
}

/// A line without its end; `None` at the end of the file.
fn read_line(reader: &mut impl BufRead, line: usize) -> Result<Option<BString>, BadDrop> {
    let mut text = Vec::new();
    reader.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut text)?;
    if text.len() as u64 > LINE_BYTES_MAX {
        return Err(BadDrop::LineTooLong { line });
    }
    if text.is_empty() {
        return Ok(None);
    }
    let content = text.trim_end_with(|c| c == '\r' || c == '\n').len();
    text.truncate(content);
    Ok(Some(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::MailRoot;
    use crate::spool::{Config, Lane, Limits, RetryPlan, SPLIT_LEVELS, SpoolFile};

    fn services(root: &Path) -> Services {
        fs::create_dir_all(root.join("spool/local")).unwrap();
        fs::write(root.join("server.tab"), "\"RootDomain\"\t\"home.test\"\n").unwrap();
        let root = MailRoot::new(root);
        let clock = Clock::manual("2026-11-23T10:39:46Z".parse().unwrap());
        let config = Config {
            root: root.clone(),
            split_levels: SPLIT_LEVELS.min(2),
            journal: None,
            retry: RetryPlan::default(),
            limits: Limits { local: 1, per_destination: 1, remote: 1 },
            lane_of: Arc::new(|_| Lane::Local),
            disk: Disk::default(),
            clock: clock.clone(),
        };
        let spool = Spool::open(config).unwrap().0;
        let (logs, disk, taken) = (Logs::none(), Disk::default(), Taken::default());
        Services { tables: Tables::open(&root), spool, clock, logs, disk, taken }
    }

    async fn next(services: &Services) -> (SpoolFile, String) {
        let attempt = services.spool.next_attempt().await.unwrap();
        let file = attempt.load().unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        attempt.remove().unwrap();
        (file, text)
    }

    #[tokio::test]
    async fn a_dropped_file_becomes_one_message_for_each_recipient() {
        let dir = tempfile::tempdir().unwrap();
        let services = services(dir.path());
        let drop = "mail from:<bob@home.test>\r\nrcpt to:<al@home.test>\r\nrcpt to:<r@sink.test>\r\n\r\n\
            Subject: x\r\n\r\n.dot\n.\nlast";
        fs::write(dir.path().join("spool/local/any name"), drop).unwrap();
        services.collect();
        let (one, text) = next(&services).await;
        assert_eq!(
            text,
            format!(
                "[127.0.0.1]:0;[127.0.0.1]:0;Mon, 23 Nov 2026 10:39:46 +0000\r\nhome.test\r\nL2\r\nmail from:<bob@home.test>\r\n\
                 rcpt to:<al@home.test>\r\n<<MAIL-DATA>>\r\nReceived: from /spool/local\r\n\tby home.test with {}\r\n\
                 \tfor <al@home.test> from <bob@home.test>;\r\n\tMon, 23 Nov 2026 10:39:46 +0000\r\n\
                 Subject: x\r\n\r\n..dot\r\n..\r\nlast\r\n",
                status::product("LMAIL Server")
            )
        );
        assert_eq!(one.forward_path.mailbox().to_string(), "al@home.test");
        assert_eq!(next(&services).await.0.forward_path.mailbox().to_string(), "r@sink.test");
        assert_eq!(fs::read_dir(dir.path().join("spool/local")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_a_message_is_set_aside_and_never_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let services = services(dir.path());
        let bad = [
            ("garbage\r\n", "line 1: no mail from:<path>"),
            ("", "line 1: no mail from:<path>"),
            ("mail from:<a@b.test>\r\n", "line 2: the file ends before the message"),
            ("mail from:<a@b.test>\r\n\r\nbody\r\n", "0 recipients; there must be 1 to 10000"),
        ];
        for (index, (content, reason)) in bad.iter().enumerate() {
            let path = dir.path().join(format!("spool/local/{index}"));
            fs::write(&path, content).unwrap();
            assert_eq!(services.take(&path).unwrap_err().to_string(), *reason);
        }
        services.collect();
        assert_eq!(fs::read_dir(dir.path().join("spool/failed")).unwrap().count(), bad.len());
        assert_eq!(services.spool.outbox().counts(), (0, 0));
    }
}
