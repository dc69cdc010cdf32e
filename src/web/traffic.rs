//! How much mail came, went and was refused, hour by hour, from the `smtp` and `smail` logs (`mailflow.md` 15).
//!
//! Each file is read once, from where the last look ended; of a file that is met for the first time at most
//! [`NEW_BYTES_MAX`]. What is kept is a few numbers for each hour, for the files of [`HOURS_MAX`] hours.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bstr::ByteSlice as _;
use jiff::Zoned;

use crate::logs::read;

/// The hours that can be shown: a week.
pub(super) const HOURS_MAX: usize = 7 * 24;

/// Of a new file its last bytes are read. Ours: read in a fraction of a second.
const NEW_BYTES_MAX: u64 = 32 << 20;

/// A line that is longer is none of a log.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What happened in an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hour {
    /// Messages taken, copies for each recipient not counted.
    pub(super) received: u64,
    /// Senders, recipients or messages refused.
    pub(super) refused: u64,
    /// Deliveries to accounts here.
    pub(super) local: u64,
    /// Deliveries to other servers.
    pub(super) remote: u64,
}

impl Hour {
    fn add(&mut self, other: Self) {
        self.received += other.received;
        self.refused += other.refused;
        self.local += other.local;
        self.remote += other.remote;
    }
}

/// What was counted so far.
#[derive(Default)]
pub(super) struct Traffic {
    files: Mutex<HashMap<String, Counted>>,
}

#[derive(Default)]
struct Counted {
    inode: u64,
    /// Up to where the file was read.
    place: u64,
    /// The beginning was not read.
    is_partial: bool,
    /// By `2026-11-23 10`.
    hours: BTreeMap<String, Hour>,
}

/// The hours up to now, the oldest first: how each is called in logs, and what happened in it.
pub(super) struct Hours {
    pub(super) hours: Vec<(String, Hour)>,
    /// A log was too large to be read whole.
    pub(super) is_partial: bool,
    /// There are no logs of these hours.
    pub(super) is_empty: bool,
}

impl Traffic {
    /// The last `count` hours, at most [`HOURS_MAX`].
    pub(super) fn last(&self, logs: &Path, now: &Zoned, count: usize) -> Hours {
        let count = count.min(HOURS_MAX);
        let name = |back: usize| {
            let back = jiff::SignedDuration::from_hours(i64::try_from(back).unwrap_or(0));
            now.checked_sub(back).unwrap_or_else(|_| now.clone()).strftime("%Y-%m-%d %H").to_string()
        };
        let names: Vec<String> = (0..count).rev().map(name).collect();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = files_of(logs, &name(count + 24));
        // Files of days that nobody asks for any more.
        files.retain(|known, _| *known > oldest_kept(known, &name(HOURS_MAX + 48)));
        let mut total: HashMap<&str, Hour> = HashMap::new();
        let (mut is_partial, is_empty) = (false, wanted.is_empty());
        for (file, kind) in &wanted {
            let counted = files.entry(file.clone()).or_default();
            // A log that cannot be read shows as quiet hours; the logs page tells why.
            let _ = counted.read_on(&logs.join(file), kind);
        }
        for (file, _) in &wanted {
            let Some(counted) = files.get(file) else { continue };
            is_partial |= counted.is_partial;
            for name in &names {
                if let Some(hour) = counted.hours.get(name) {
                    total.entry(name).or_default().add(*hour);
                }
            }
        }
        let hours =
            names.iter().map(|name| (name.clone(), total.get(name.as_str()).copied().unwrap_or_default()));
        Hours { hours: hours.collect(), is_partial, is_empty }
    }
}

/// The `smtp` and `smail` files that may hold lines of an hour or later. A step of a log lasts a day at most, unless an
/// operator has chosen longer ones.
fn files_of(logs: &Path, oldest: &str) -> Vec<(String, String)> {
    let digits: String = oldest.bytes().filter(u8::is_ascii_digit).map(char::from).collect();
    let files = read::files(logs).into_iter().filter(|file| matches!(file.kind.as_str(), "smtp" | "smail"));
    files.filter(|file| file.step >= digits).map(|file| (file.name, file.kind)).collect()
}

/// The name that a file of the same kind would have if it were from that hour.
fn oldest_kept(name: &str, oldest: &str) -> String {
    let digits: String = oldest.bytes().filter(u8::is_ascii_digit).map(char::from).collect();
    name.rsplit_once('-').map_or_else(String::new, |(kind, _)| format!("{kind}-{digits}"))
}

impl Counted {
    fn read_on(&mut self, path: &Path, kind: &str) -> io::Result<()> {
        let mut file = File::open(path)?;
        let data = file.metadata()?;
        if data.ino() != self.inode || data.len() < self.place {
            *self = Self { inode: data.ino(), ..Self::default() };
        }
        let begin = self.place.max(data.len().saturating_sub(NEW_BYTES_MAX));
        let mut is_cut = begin > self.place;
        self.is_partial |= is_cut;
        self.place = begin;
        file.seek(SeekFrom::Start(begin))?;
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = reader.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Ok(());
            }
            self.place += count as u64;
            if !std::mem::take(&mut is_cut) && count < LINE_BYTES_MAX {
                self.count(kind, &line);
            }
        }
    }

    fn count(&mut self, kind: &str, line: &[u8]) {
        let (date, what) = if kind == "smtp" { (3, 9) } else { (7, 5) };
        let mut columns = line.split(|&byte| byte == b'\t').map(|column| column.trim_with(|c| c == '\u{22}'));
        let (first, second) = (date.min(what), date.max(what));
        let (Some(one), Some(two)) = (columns.nth(first), columns.nth(second - first - 1)) else { return };
        let (date, what) = if date < what { (one, two) } else { (two, one) };
        let Some(hour) = date.get(..13).and_then(|hour| hour.to_str().ok()) else { return };
        let mut seen = Hour::default();
        match (kind, what) {
            ("smtp", b"RECV=OK") => seen.received = 1,
            ("smtp", what) if is_refusal(what) => seen.refused = 1,
            ("smail", b"LOCAL") => seen.local = 1,
            ("smail", b"SMTP" | b"FWD" | b"RLYS") => seen.remote = 1,
            _ => return,
        }
        self.hours.entry(hour.to_owned()).or_default().add(seen);
    }
}

/// `SNDR=ESPAM`, `RCPT=ERELAY`; failed log-ins and broken sessions are no mail.
pub(super) fn is_refusal(status: &[u8]) -> bool {
    let Some((what, outcome)) = status.split_once_str("=") else { return false };
    outcome.starts_with(b"E")
        && matches!(what, b"SNDRIP" | b"SNDR" | b"SIZE" | b"RCPT" | b"PREDATA" | b"POSTDATA")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;

    fn smtp(date: &str, status: &str) -> String {
        format!(
            "\"mx\"\t\"a.test\"\t\"192.0.2.1\"\t\"{date}\"\t\"h\"\t\"a.test\"\t\"s@b.test\"\t\"a@a.test\"\t\"S1\"\t\"{status}\"\t\"\"\t\"9\"\n"
        )
    }

    fn smail(date: &str, medium: &str) -> String {
        format!(
            "\"a.test\"\t\"1.a\"\t\"S1\"\t\"s@b.test\"\t\"a@a.test\"\t\"{medium}\"\t\"p\"\t\"{date}\"\t\"\"\n"
        )
    }

    #[test]
    fn hours_are_counted_and_only_what_is_new_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("smtp-202611230000");
        let lines = [
            smtp("2026-11-23 08:59:59", "RECV=OK"),
            smtp("2026-11-23 09:00:00", "RCPT=ERELAY"),
            smtp("2026-11-23 09:10:00", "RCPT=OK"),
            smtp("2026-11-23 09:10:01", "RECV=OK"),
            smtp("2026-11-23 09:10:02", "AUTH=EFAIL:TYPE=PLAIN"),
        ];
        fs::write(&path, lines.concat() + "\"half a li").unwrap();
        let mails = [
            smail("2026-11-23 09:11:00", "LOCAL"),
            smail("2026-11-23 09:11:00", "SMTP"),
            smail("2026-11-23 09:11:00", "REDIR"),
        ];
        fs::write(directory.path().join("smail-202611230000"), mails.concat()).unwrap();
        fs::write(directory.path().join("pop3-202611230000"), "x\n").unwrap();
        let (traffic, now) = (Traffic::default(), "2026-11-23T10:30:00+00:00[UTC]".parse::<Zoned>().unwrap());
        let found = traffic.last(directory.path(), &now, 3);
        let hour = |received, refused, local, remote| Hour { received, refused, local, remote };
        let expected = [
            ("2026-11-23 08".to_owned(), hour(1, 0, 0, 0)),
            ("2026-11-23 09".to_owned(), hour(1, 1, 1, 1)),
            ("2026-11-23 10".to_owned(), hour(0, 0, 0, 0)),
        ];
        assert_eq!(found.hours, expected);
        assert!(!found.is_partial && !found.is_empty);
        // What was counted is changed under the same length: it is not read again.
        let size = lines.concat().len();
        let mut file = fs::File::options().write(true).open(&path).unwrap();
        file.write_all(&vec![b'\n'; size]).unwrap();
        file.write_all(smtp("2026-11-23 10:01:00", "SNDR=ESPAM").as_bytes()).unwrap();
        let found = traffic.last(directory.path(), &now, 3);
        assert_eq!(found.hours[1], expected[1]);
        assert_eq!(found.hours[2].1, hour(0, 1, 0, 0));
    }
}
