//! Log files read from their ends, as much as is wanted and no more: a file of a gigabyte costs what is shown of it.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use memchr::memrchr;

use super::DIAGNOSTICS_LOG;

/// Bytes read at once.
const CHUNK_BYTES: u64 = 64 << 10;

/// A line longer than this is cut in pieces. Ours: no log of ours has one.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its path below `logs/`: `smtp-202611230000`, or `smtp/smtp-202611230000` (`jdmail.md` JD-14).
    pub name: String,
    /// What the name begins with, such as `smtp`.
    pub kind: String,
    /// When its lines begin, as `YYYYMMDDHHMM`; empty for the diagnostics, which have one file.
    pub step: String,
    /// Its size.
    pub bytes: u64,
}

/// The files in a directory of logs and in its sub-directories, the newest first.
pub fn files(directory: &Path) -> Vec<LogFile> {
    let mut found = Vec::new();
    add_files(directory, "", &mut found);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if let Ok(name) = entry.file_name().into_string() {
            add_files(&entry.path(), &format!("{name}/"), &mut found);
        }
    }
    found.sort_by(|a, b| (&b.step, &a.kind, &a.name).cmp(&(&a.step, &b.kind, &b.name)));
    found
}

fn add_files(directory: &Path, above: &str, found: &mut Vec<LogFile>) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    found.extend(entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let data = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let (kind, step) = match name.rsplit_once('-') {
            Some((kind, step)) if !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit()) => {
                (kind, step)
            }
            None if name == DIAGNOSTICS_LOG => ("tabmail", ""),
            _ => return None,
        };
        let (kind, step) = (kind.to_owned(), step.to_owned());
        Some(LogFile { name: format!("{above}{name}"), kind, step, bytes: data.len() })
    }));
}

/// The lines of a file, the last one first.
pub struct Backward {
    file: File,
    /// Where `buffer` begins in the file.
    start: u64,
    /// What is read and not given out; it ends where a line ends.
    buffer: Vec<u8>,
}

impl Backward {
    /// The lines that end at or before `end`; `None`: all.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, end: Option<u64>) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, start: end.unwrap_or(length).min(length), buffer: Vec::new() })
    }

    /// Where the next line ends: everything behind has been given out.
    pub fn place(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// The next line without its end.
    ///
    /// # Errors
    /// The file's.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let end = self.buffer.len() - usize::from(self.buffer.last() == Some(&b'\n'));
            if let Some(at) = memrchr(b'\n', &self.buffer[..end]) {
                let line = self.buffer[at + 1..end].to_vec();
                self.buffer.truncate(at + 1);
                return Ok(Some(line));
            }
            if self.start == 0 || end > LINE_BYTES_MAX {
                let line = (!self.buffer.is_empty()).then(|| self.buffer[..end].to_vec());
                self.buffer.clear();
                return Ok(line);
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let count = CHUNK_BYTES.min(self.start);
        let mut chunk = vec![0; usize::try_from(count).unwrap_or(0)];
        self.file.read_exact_at(&mut chunk, self.start - count)?;
        chunk.append(&mut self.buffer);
        (self.buffer, self.start) = (chunk, self.start - count);
        Ok(())
    }
}

/// The newest lines of a file that fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The newest first.
    pub lines: Vec<Vec<u8>>,
    /// Where the search goes on with older lines; `None`: the file has been looked through.
    pub older: Option<u64>,
    /// Where the file ended.
    pub end: u64,
}

/// Limits of one look at a file.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Lines that are given back.
    pub lines_max: usize,
    /// Bytes that are read.
    pub bytes_max: u64,
}

/// The newest lines before `before` that fit.
///
/// # Errors
/// The file's.
pub fn page(path: &Path, before: Option<u64>, look: Look, fits: impl Fn(&[u8]) -> bool) -> io::Result<Page> {
    let mut lines = Backward::open(path, before)?;
    let end = lines.place();
    let mut found = Page { end, ..Page::default() };
    while let Some(line) = lines.next_line()? {
        if !line.is_empty() && fits(&line) {
            found.lines.push(line);
        }
        let is_enough = found.lines.len() >= look.lines_max || end - lines.place() >= look.bytes_max;
        if is_enough && lines.place() > 0 {
            found.older = Some(lines.place());
            return Ok(found);
        }
    }
    Ok(found)
}

/// The whole lines from a place on, oldest first, and the place behind them; at most the last `look.bytes_max` bytes and
/// the last `look.lines_max` lines.
///
/// # Errors
/// The file's.
pub fn since(
    path: &Path,
    from: u64,
    look: Look,
    fits: impl Fn(&[u8]) -> bool,
) -> io::Result<(Vec<Vec<u8>>, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // A file that is shorter was replaced by another one.
    let from = if from > length { 0 } else { from };
    let begin = from.max(length.saturating_sub(look.bytes_max));
    file.seek(SeekFrom::Start(begin))?;
    let mut reader = BufReader::new(file.take(length - begin));
    let (mut lines, mut place) = (Vec::new(), begin);
    loop {
        let mut line = Vec::new();
        let count = reader.read_until(b'\n', &mut line)? as u64;
        if line.pop() != Some(b'\n') {
            break;
        }
        let is_cut = place == begin && begin > from;
        place += count;
        if !is_cut && fits(&line) {
            lines.push(line);
        }
    }
    let spare = lines.len().saturating_sub(look.lines_max);
    Ok((lines.split_off(spare), place))
}

/// The file of a name among those of a directory; the name is looked up, not joined.
pub fn find(directory: &Path, name: &str) -> Option<(LogFile, PathBuf)> {
    let file = files(directory).into_iter().find(|file| file.name == name)?;
    let path = directory.join(&file.name);
    Some((file, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look { lines_max: 3, bytes_max: 1 << 30 };

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("smtp-202611230000");
        fs::write(&path, content).unwrap();
        (directory, path)
    }

    #[test]
    fn lines_come_backwards_whatever_their_lengths() {
        let long = "x".repeat(200_000);
        let cases: [&[&str]; 4] = [&[], &["a"], &["a", "", "b"], &["first", &long, "last"]];
        for lines in cases {
            for ending in ["\n", ""] {
                let mut text = lines.join("\n");
                if !lines.is_empty() {
                    text.push_str(ending);
                }
                let (_directory, path) = file(text.as_bytes());
                let mut backward = Backward::open(&path, None).unwrap();
                let mut found = Vec::new();
                while let Some(line) = backward.next_line().unwrap() {
                    found.push(String::from_utf8(line).unwrap());
                }
                found.reverse();
                assert_eq!(found, lines);
            }
        }
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let text: String = (0..10).map(|n| format!("line {n}\n")).collect();
        let (_directory, path) = file(text.as_bytes());
        let (mut before, mut all) = (None, Vec::new());
        loop {
            let found = page(&path, before, LOOK, |line| line != b"line 5").unwrap();
            assert!(found.lines.len() <= 3);
            all.extend(found.lines);
            before = match found.older {
                Some(place) => Some(place),
                None => break,
            };
        }
        let expected: Vec<_> =
            [9, 8, 7, 6, 4, 3, 2, 1, 0].iter().map(|n| format!("line {n}").into_bytes()).collect();
        assert_eq!(all, expected);
    }

    /// JD-60: what is not wanted is not read.
    #[test]
    fn of_a_large_file_only_the_end_is_read() {
        let (_directory, path) = file(b"");
        let large = File::options().write(true).open(&path).unwrap();
        large.set_len(4 << 30).unwrap();
        large.write_all_at(b"\nthe end\n", (4 << 30) - 9).unwrap();
        let look = Look { lines_max: 1, bytes_max: 1 << 20 };
        let found = page(&path, None, look, |line| line == b"the end").unwrap();
        assert_eq!(found.lines, [b"the end".to_vec()]);
        let none = page(&path, None, Look { lines_max: 1, bytes_max: 4 << 20 }, |_| false).unwrap();
        assert!(none.lines.is_empty() && none.older.is_some());
    }

    #[test]
    fn what_comes_later_is_followed_in_whole_lines() {
        let (_directory, path) = file(b"one\ntwo\nthr");
        let (lines, place) = since(&path, 4, LOOK, |_| true).unwrap();
        assert_eq!((lines, place), (vec![b"two".to_vec()], 8));
        fs::write(&path, b"one\ntwo\nthree\n").unwrap();
        assert_eq!(since(&path, place, LOOK, |_| true).unwrap(), (vec![b"three".to_vec()], 14));
        fs::write(&path, b"new\n").unwrap();
        assert_eq!(since(&path, 14, LOOK, |_| true).unwrap(), (vec![b"new".to_vec()], 4));
        let few = Look { lines_max: 9, bytes_max: 6 };
        fs::write(&path, b"one\ntwo\nthree\n").unwrap();
        assert_eq!(since(&path, 0, few, |_| true).unwrap(), (vec![], 14), "a line that is cut is not a line");
    }

    #[test]
    fn files_are_found_by_day_also_below() {
        let (directory, _) = file(b"x");
        fs::create_dir(directory.path().join("smail")).unwrap();
        fs::write(directory.path().join("smail/smail-202611240000"), "y").unwrap();
        fs::write(directory.path().join("notes.txt"), "z").unwrap();
        let names: Vec<_> = files(directory.path()).into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["smail/smail-202611240000", "smtp-202611230000"]);
        assert!(find(directory.path(), "../server.tab").is_none());
    }
}
