//! `<message file>.rej`: one line of reason that a filter leaves beside the message (`mailflow.md` 5.1, 5.2).

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice as _};

/// How much of a `.rej` line counts (`mailflow.md` 5.1); more is never read.
pub const REJECTION_BYTES_MAX: usize = 510;

/// Where the reason for this message file stands.
pub fn rejection_path(message_file: &Path) -> PathBuf {
    let mut path = message_file.as_os_str().to_owned();
    path.push(".rej");
    path.into()
}

/// The first line of the reason, without its line end; the file is removed. None when there is no file, its first line
/// is empty, or it is no plain file (a pipe would never end). Blocks.
///
/// XMail leaves the file of a filter that does not reject; it is removed here as well, so that no other filter's
/// rejection quotes it.
pub fn take_rejection(message_file: &Path) -> Option<BString> {
    let path = rejection_path(message_file);
    let line = match first_line(&path) {
        Ok(line) => line,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!("{}: {error}", path.display());
            None
        }
    };
    if let Err(error) = fs::remove_file(&path) {
        tracing::warn!("{}: cannot be removed: {error}", path.display());
    }
    line
}

fn first_line(path: &Path) -> io::Result<Option<BString>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("is no plain file"));
    }
    let mut bytes = Vec::with_capacity(REJECTION_BYTES_MAX);
    File::open(path)?.take(REJECTION_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    let line = bytes.lines().next().unwrap_or_default().trim_end_with(|c| c == '\r');
    Ok((!line.is_empty()).then(|| line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &[u8], expected: Option<&str>) {
        let directory = tempfile::tempdir().unwrap();
        let message = directory.path().join("message");
        fs::write(rejection_path(&message), content).unwrap();
        assert_eq!(take_rejection(&message), expected.map(BString::from), "{}", content.as_bstr());
        assert!(!rejection_path(&message).exists(), "is removed");
    }

    #[test]
    fn the_first_line_counts() {
        check(b"no\r\nmore\r\n", Some("no"));
        check(b"no", Some("no"));
        check(b"", None);
        check(b"\r\nsecond\r\n", None);
        check(&b"x".repeat(100_000), Some(&"x".repeat(REJECTION_BYTES_MAX)));
    }

    #[test]
    fn what_is_no_plain_file_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let message = directory.path().join("message");
        assert_eq!(take_rejection(&message), None);
        std::os::unix::fs::symlink("/dev/zero", rejection_path(&message)).unwrap();
        assert_eq!(take_rejection(&message), None);
        assert!(fs::symlink_metadata(rejection_path(&message)).is_err(), "the link is removed");
        fs::create_dir(rejection_path(&message)).unwrap();
        assert_eq!(take_rejection(&message), None);
    }
}
