//! Files in `tmp` that nobody will end: of an APPEND, a COPY or a delivery that a kill or a power cut has stopped.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::look::unix_secs;
use crate::durable::Disk;

/// How long a file may stay in `tmp` untouched: the rule of Maildir, for all programs that write there.
const STALE_AFTER: Duration = Duration::from_secs(36 * 3600);

/// Removes plain files of a Maildir's `tmp` that have not changed for [`STALE_AFTER`]. The time of the last change counts,
/// not that of the last write: APPEND sets the latter to the internal date. What cannot be looked at or removed stays.
pub(super) fn remove_stale(disk: &Disk, tmp: &Path, now: SystemTime) {
    // Without one there is nothing to remove.
    let Ok(entries) = fs::read_dir(tmp) else { return };
    let limit = unix_secs(now).saturating_sub(i64::try_from(STALE_AFTER.as_secs()).unwrap_or(i64::MAX));
    for entry in entries.flatten() {
        let is_stale = entry.metadata().is_ok_and(|meta| meta.is_file() && meta.ctime() < limit);
        if !is_stale {
            continue;
        }
        let path = entry.path();
        match disk.remove(&path) {
            Ok(_) => tracing::info!("{}: removed, it was never ended", path.display()),
            Err(error) => tracing::debug!("{}: cannot be removed: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_long_ago_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let tmp = dir.path().join("tmp");
        fs::create_dir_all(tmp.join("directory")).unwrap();
        fs::write(tmp.join("1.a.host"), "x").unwrap();
        std::os::unix::fs::symlink("1.a.host", tmp.join("link")).unwrap();
        let left = || {
            let names = fs::read_dir(&tmp).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        let file = fs::File::options().write(true).open(tmp.join("1.a.host")).unwrap();
        // An internal date of long ago is no sign.
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let now = SystemTime::now();
        remove_stale(&Disk::default(), &tmp, now + STALE_AFTER - Duration::from_secs(60));
        assert_eq!(left(), ["1.a.host", "directory", "link"]);
        remove_stale(&Disk::default(), &tmp, now + STALE_AFTER + Duration::from_secs(60));
        assert_eq!(left(), ["directory", "link"]);
        remove_stale(&Disk::default(), &dir.path().join("missing"), now);
    }
}
