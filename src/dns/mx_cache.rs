//! XMail's MX cache: `dnscache/mx/<n>/<domain>` (mailroot.md 10.5).
//!
//! Shape of a file: a line with the seconds to live, and a line `preference:host.,preference:host.` in the
//! answer's order. `<n>` is the hash of the domain (mailroot.md 3, 64 bits) modulo the number of directories.
//! An entry lives while now <= modification time + seconds to live.
//!
//! Limits: lines of [`LINE_BYTES_MAX`]; longer answers are not kept. Nothing is kept in memory.
//!
//! Failures: what cannot be read or understood is not there. The directory may be deleted at any time.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::Mx;

/// The cache below one `dnscache` directory.
#[derive(Debug)]
pub(super) struct MxCache {
    mx_dir: PathBuf,
    directories: u64,
}

impl MxCache {
    /// `directories` is raised to the next prime, as XMail does with `-MD`.
    pub(super) fn new(dnscache: PathBuf, directories: u64) -> Self {
        Self { mx_dir: dnscache.join("mx"), directories: next_prime(directories) }
    }

    /// The living entry of a lower-case domain, in the answer's order.
    pub(super) fn get(&self, domain: &str, now: SystemTime) -> Option<Vec<Mx>> {
        let path = self.path(domain)?;
        let data = fs::metadata(&path).ok()?;
        if data.len() > 2 * LINE_BYTES_MAX as u64 {
            return None;
        }
        let text = fs::read_to_string(&path).ok()?;
        let (ttl, hosts) = parse(&text)?;
        let until = data.modified().ok()?.checked_add(Duration::from_secs(ttl.into()))?;
        (now <= until).then_some(hosts)
    }

    /// Keeps an answer. The file appears whole or not at all; a crash may lose it, which only costs a query.
    pub(super) fn put(&self, domain: &str, ttl: u32, hosts: &[Mx]) -> io::Result<()> {
        let line: Vec<String> = hosts.iter().map(|mx| format!("{}:{}", mx.preference, mx.host)).collect();
        let line = line.join(",");
        let Some(path) = self.path(domain).filter(|_| line.len() <= LINE_BYTES_MAX) else {
            return Ok(());
        };
        let Some(dir) = path.parent() else { return Ok(()) };
        fs::create_dir_all(dir)?;
        // A colon keeps the name apart from every domain's.
        let temporary = dir.join(format!("{}:{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let written =
            fs::write(&temporary, format!("{ttl}\n{line}\n")).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// `None` for domains that shall not be file names: they come from mail addresses.
    fn path(&self, domain: &str) -> Option<PathBuf> {
        let plain = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        let fits = (1..=DOMAIN_BYTES_MAX).contains(&domain.len());
        if !fits || domain.starts_with('.') || !domain.bytes().all(plain) {
            return None;
        }
        let directory = hash(domain.as_bytes()) % self.directories;
        Some(self.mx_dir.join(directory.to_string()).join(domain))
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);

fn parse(text: &str) -> Option<(u32, Vec<Mx>)> {
    let mut lines = text.lines();
    let ttl = lines.next()?.trim().parse().ok()?;
    let hosts = lines.next()?.trim().split(',').map(parse_host).collect::<Option<Vec<_>>>()?;
    Some((ttl, hosts))
}

fn parse_host(entry: &str) -> Option<Mx> {
    let (preference, host) = entry.split_once(':')?;
    let is_host = !host.trim_matches('.').is_empty() && !host.contains(char::is_whitespace);
    Some(Mx { preference: preference.parse().ok()?, host: is_host.then(|| host.to_owned())? })
}

/// XMail's hash where `unsigned long` has 64 bits (mailroot.md 3).
fn hash(key: &[u8]) -> u64 {
    let mut h: u64 = 5381;
    for &octet in key {
        h = h.wrapping_add(octet.into());
        h = h.wrapping_add(h << 10);
        h ^= h >> 6;
    }
    h = h.wrapping_add(h << 3);
    h ^= h >> 11;
    h.wrapping_add(h << 15)
}

fn next_prime(number: u64) -> u64 {
    let is_prime = |n: u64| n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d));
    (number.clamp(1, DIRECTORIES_MAX)..).find(|&n| is_prime(n)).unwrap_or(2)
}

/// XMail's limit for a line of a cache file (mailroot.md 10.5).
const LINE_BYTES_MAX: usize = 2046;

/// Longest domain (RFC 1035 section 2.3.4), which is also less than the longest file name.
const DOMAIN_BYTES_MAX: usize = 253;

/// Most directories `-MD` may ask for. Ours, far beyond use.
const DIRECTORIES_MAX: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn mx(preference: u16, host: &str) -> Mx {
        Mx { preference, host: host.to_owned() }
    }

    #[test]
    fn directories_are_those_of_xmail() {
        // Recorded: spool_success/final/dnscache/mx, smtp_mlist, spool_permfail; 101 directories.
        let cache = MxCache::new(PathBuf::from("dnscache"), 101);
        for (domain, directory) in
            [("sink.test", 65), ("backup.test", 98), ("client.test", 55), ("noans.test", 66)]
        {
            let expected = PathBuf::from(format!("dnscache/mx/{directory}/{domain}"));
            assert_eq!(cache.path(domain), Some(expected));
        }
        assert_eq!([0, 2, 100, 101, 102].map(next_prime), [2, 2, 101, 101, 103]);
    }

    #[test]
    fn the_file_is_that_of_xmail() {
        // Recorded: spool_tempfail/final/dnscache/mx/65/sink.test.
        let dir = tempfile::tempdir().unwrap();
        let cache = MxCache::new(dir.path().to_owned(), 101);
        let hosts = [mx(10, "mx1.sink.test."), mx(20, "mx2.sink.test.")];
        cache.put("sink.test", 300, &hosts).unwrap();
        let text = fs::read_to_string(dir.path().join("mx/65/sink.test")).unwrap();
        assert_eq!(text, "300\n10:mx1.sink.test.,20:mx2.sink.test.\n");
        assert_eq!(fs::read_dir(dir.path().join("mx/65")).unwrap().count(), 1);
        assert_eq!(cache.get("sink.test", SystemTime::now()).unwrap(), hosts);
    }

    #[test]
    fn entries_live_up_to_their_last_second() {
        let dir = tempfile::tempdir().unwrap();
        let cache = MxCache::new(dir.path().to_owned(), 1);
        cache.put("a.test", 300, &[mx(5, "x.")]).unwrap();
        let written = fs::metadata(cache.path("a.test").unwrap()).unwrap().modified().unwrap();
        let after = |seconds: u64| cache.get("a.test", written + Duration::from_secs(seconds)).is_some();
        assert!(after(0) && after(300) && !after(301));
        cache.put("a.test", 900, &[mx(5, "x.")]).unwrap();
        let renewed = cache.get("a.test", written + Duration::from_secs(301));
        assert!(renewed.is_some(), "an expired entry is overwritten");
    }

    #[test]
    fn what_is_malformed_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let cache = MxCache::new(dir.path().to_owned(), 1);
        let path = cache.path("a.test").unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let check = |text: &str, expected: bool| {
            fs::write(&path, text).unwrap();
            assert_eq!(cache.get("a.test", SystemTime::now()).is_some(), expected, "{text:?}");
        };
        check("300\n10:a.\n", true);
        check("300\r\n10:a.,10:b.\r\n", true);
        for text in
            ["", "300", "300\n", "x\n10:a.\n", "-1\n10:a.\n", "300\n10\n", "300\n:a.\n", "300\n10:a.,\n"]
        {
            check(text, false);
        }
        check("300\n70000:a.\n", false);
        check("300\n10:.\n", false);
        check(&format!("300\n10:{}.\n", "a".repeat(5000)), false);
        fs::write(&path, b"300\n10:\xff.\n").unwrap();
        assert!(cache.get("a.test", SystemTime::now()).is_none());
    }

    #[test]
    fn addresses_are_never_paths() {
        let dir = tempfile::tempdir().unwrap();
        let cache = MxCache::new(dir.path().to_owned(), 1);
        for domain in ["", ".", "..", "../x", "a/b", "a\0b", ".hidden", "A.test", &"x".repeat(254)] {
            cache.put(domain, 300, &[mx(1, "a.")]).unwrap();
            assert!(cache.get(domain, SystemTime::now()).is_none(), "{domain:?}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn answers_too_long_for_xmail_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = MxCache::new(dir.path().to_owned(), 1);
        cache.put("a.test", 300, &vec![mx(1, "host.example.test."); 150]).unwrap();
        assert!(cache.get("a.test", SystemTime::now()).is_none());
    }
}
