//! `tabmail status`, `tabmail reload` and `tabmail ctl -Ms DIR`: the operator asks the server of a MailRoot on this
//! machine, through [`crate::ctrl::local`], without a password.
//!
//! Exit codes of `status` and `reload`: 0 all tables are what their files say, 1 some file is not taken (each problem
//! is printed with file, line and column), 2 no server is running there, 3 usage, 4 the server did not answer.
//! `ctl` has those of [`super::ctrlclnt`], and 2.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::{BString, ByteSlice as _};
use clap::Args;

use super::ctrlclnt::plain;
use super::ctrlclnt::session::upload;
use super::root::{NoMailRoot, Root};
use crate::ctrl::local;
use crate::tab::{Record, Unrepresentable};

/// How long the server may be silent: longer than it waits for half-written files.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The command line cannot be used.
    #[error("{0}")]
    Usage(&'static str),
    /// Nothing names a MailRoot.
    #[error(transparent)]
    NoMailRoot(#[from] NoMailRoot),
    /// Nobody serves this MailRoot.
    #[error("{}: no server is running", .0.display())]
    NotRunning(PathBuf),
    /// The socket is there, but not for us.
    #[error("{}: {source}", path.display())]
    Connect {
        /// The MailRoot.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke, or the input or output did.
    #[error("the server's answer: {0}")]
    Broken(#[from] io::Error),
    /// What stands there is no CTRL result.
    #[error("not a CTRL response: {0:?}")]
    NotUnderstood(String),
    /// The server's words.
    #[error("{0}")]
    Refused(String),
    /// The command holds what cannot be sent.
    #[error(transparent)]
    Argument(#[from] Unrepresentable),
}

impl LocalError {
    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotRunning(_) => 2,
            Self::Usage(_) | Self::NoMailRoot(_) => 3,
            _ => 4,
        }
    }
}

/// What to print, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output.
    pub text: String,
    /// 0 or 1.
    pub exit_code: u8,
}

/// `tabmail status`.
#[derive(Debug, Default, Args)]
#[command(after_help = STATUS_HELP)]
pub struct Status {
    /// The MailRoot.
    #[command(flatten)]
    pub root: Root,
}

const STATUS_HELP: &str = "\
Says which of its files are not what the server has in use.
Exit code: 0 all tables are live, 1 some file is not taken, 2 no server is running, 3 wrong usage, 4 no answer.";

/// `tabmail reload`.
#[derive(Debug, Default, Args)]
#[command(after_help = RELOAD_HELP)]
pub struct Reload {
    /// The MailRoot.
    #[command(flatten)]
    pub root: Root,
    /// Wait until the writers of half-written files have finished
    #[arg(long, conflicts_with = "force")]
    pub wait: bool,
    /// Take everything that can be read, errors included
    #[arg(long)]
    pub force: bool,
}

const RELOAD_HELP: &str = "\
Without an option half-written files are taken as they stand, if they bring no errors.
Exit code: 0 all tables are live, 1 some file is not taken, 2 no server is running, 3 wrong usage, 4 no answer.";

/// How the tables of the server stand.
///
/// # Errors
/// [`LocalError`].
pub fn status(asked: &Status) -> Result<Outcome, LocalError> {
    let root = asked.root.path()?;
    Client::connect(&root)?.report(&root)
}

/// Has the server look at its tables, and tells how they stand then.
///
/// # Errors
/// [`LocalError`].
pub fn reload(asked: &Reload) -> Result<Outcome, LocalError> {
    let root = asked.root.path()?;
    let command: &[&str] = match asked {
        Reload { wait: true, .. } => &["tabreload", "wait"],
        Reload { force: true, .. } => &["tabreload", "force"],
        _ => &["tabreload"],
    };
    let mut client = Client::connect(&root)?;
    match client.ask(command) {
        // What is not taken is shown by the report.
        Ok(_) | Err(LocalError::Refused(_)) => client.report(&root),
        Err(error) => Err(error),
    }
}

/// What the files on the disk would change for mail, against the tables that the server of this MailRoot has in use:
/// the rows of `tabdiff` (kind, name, summary, facts and rows of the old side, of the new side).
///
/// # Errors
/// [`LocalError`].
pub fn serving_differences(root: &Path) -> Result<Vec<[String; 7]>, LocalError> {
    let answer = Client::connect(root)?.ask(&["tabdiff"])?;
    let row = |line: &Vec<u8>| {
        let row: Vec<String> = columns(line).iter().map(ToString::to_string).collect();
        row.try_into().map_err(|_| LocalError::NotUnderstood(line.to_str_lossy().into_owned()))
    };
    answer.lines.iter().map(row).collect()
}

/// Whether these words of `tabmail ctl` ask for the server of a MailRoot.
pub fn is_local(words: &[String]) -> bool {
    words.first().is_some_and(|word| word == "-Ms")
}

/// `tabmail ctl -Ms DIR [--tsv] command...`: one command; listings go to `output`, what the server asks for comes
/// from `input`.
///
/// # Errors
/// [`LocalError`].
pub fn control(words: &[String], mut input: impl Read, mut output: impl Write) -> Result<(), LocalError> {
    let usage = LocalError::Usage("usage: tabmail ctl -Ms DIR [--tsv] command [argument]...");
    let [_, root, rest @ ..] = words else { return Err(usage) };
    let is_tsv = rest.first().is_some_and(|word| word == "--tsv");
    let command = &rest[usize::from(is_tsv)..];
    let Some(name) = command.first() else { return Err(usage) };
    let mut client = Client::connect(Path::new(root))?;
    let mut answer = client.ask(command)?;
    if answer.code == SEND_LINES {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        answer = client.send(&upload(&bytes))?;
    }
    for line in answer.lines {
        let line = if is_tsv && !plain::is_content(name) { plain::row(&line) } else { line };
        output.write_all(&line)?;
        output.write_all(b"\n")?;
    }
    Ok(output.flush()?)
}

/// Has the server of a MailRoot carry out one command that answers with no list.
///
/// # Errors
/// [`LocalError`].
pub fn command(root: &Path, words: &[&str]) -> Result<(), LocalError> {
    Client::connect(root)?.ask(words).map(drop)
}

/// Has the server of a MailRoot carry out one command that answers with rows of columns.
///
/// # Errors
/// [`LocalError`].
pub fn listing(root: &Path, words: &[&str]) -> Result<Vec<Vec<String>>, LocalError> {
    let answer = Client::connect(root)?.ask(words)?;
    let row = |line: &Vec<u8>| columns(line).iter().map(ToString::to_string).collect();
    Ok(answer.lines.iter().map(row).collect())
}

const LINES_FOLLOW: u32 = 100;
const SEND_LINES: u32 = 101;

/// A session with the server of a MailRoot.
struct Client {
    stream: BufReader<UnixStream>,
}

struct Answer {
    code: u32,
    lines: Vec<Vec<u8>>,
}

impl Client {
    fn connect(root: &Path) -> Result<Self, LocalError> {
        let stream = local::connect(root).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => LocalError::NotRunning(root.into()),
            _ => LocalError::Connect { path: root.into(), source },
        })?;
        stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
        let mut client = Self { stream: BufReader::new(stream) };
        client.answer()?;
        Ok(client)
    }

    fn ask<V: AsRef<[u8]>>(&mut self, command: &[V]) -> Result<Answer, LocalError> {
        self.send(&[Record::quoted(command)?.as_bytes(), b"\r\n"].concat())
    }

    fn send(&mut self, octets: &[u8]) -> Result<Answer, LocalError> {
        self.stream.get_mut().write_all(octets)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer, LocalError> {
        let line = self.line()?;
        let shown = line.to_str_lossy().into_owned();
        let not_understood = || LocalError::NotUnderstood(shown.clone());
        let (status, text) = shown.split_once(' ').unwrap_or((&shown, ""));
        let code = status.get(1..).and_then(|digits| digits.parse().ok()).ok_or_else(not_understood)?;
        match (status.as_bytes().first(), code) {
            (Some(b'+'), LINES_FOLLOW) => Ok(Answer { code, lines: self.listing()? }),
            (Some(b'+'), _) => Ok(Answer { code, lines: Vec::new() }),
            (Some(b'-'), _) => Err(LocalError::Refused(text.to_owned())),
            _ => Err(not_understood()),
        }
    }

    fn listing(&mut self) -> Result<Vec<Vec<u8>>, LocalError> {
        let mut lines = Vec::new();
        loop {
            match self.line()? {
                line if line == b"." => return Ok(lines),
                line => lines.push(line.strip_prefix(b".").map_or_else(|| line.clone(), <[u8]>::to_vec)),
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>, LocalError> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(line.trim_end_with(|c| c == '\r' || c == '\n').to_vec())
    }

    /// `tabstat`, for people.
    fn report(&mut self, root: &Path) -> Result<Outcome, LocalError> {
        let rows: Vec<Vec<BString>> =
            self.ask(&["tabstat"])?.lines.iter().map(|line| columns(line)).collect();
        report(root, &rows).ok_or_else(|| LocalError::NotUnderstood("tabstat".into()))
    }
}

fn columns(line: &[u8]) -> Vec<BString> {
    plain::row(line).split(|&byte| byte == b'\t').map(BString::from).collect()
}

fn report(root: &Path, rows: &[Vec<BString>]) -> Option<Outcome> {
    let (head, tables) = rows.split_first()?;
    let value =
        |name: &str| head.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].to_string());
    let kept: usize = value("kept")?.parse().ok()?;
    let mut text = format!(
        "{}: tabmail {} is running, process {}, up {}\ntables: generation {}, {}\n",
        root.display(),
        value("version")?,
        value("pid")?,
        duration(value("up")?.parse().ok()?),
        value("generation")?,
        match kept {
            0 => "all live".to_owned(),
            1 => "1 file is not taken".to_owned(),
            _ => format!("{kept} files are not taken"),
        },
    );
    let mut shown = None;
    for row in tables {
        let [file, state, since, count, line, column, code, severity, problem] = row.as_slice() else {
            return None;
        };
        if shown != Some(file) {
            shown = Some(file);
            let note = match state.as_slice() {
                b"rejected" | b"unreadable" => format!("; the table from before stays in use ({count} rows)"),
                b"suspect" => "; it looks half-written and is waited for".to_owned(),
                _ => String::new(),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{file}: {state} since {since}{note}");
        }
        if !code.is_empty() {
            let place = match (line.as_slice(), column.as_slice()) {
                (b"0", _) => file.to_string(),
                (_, b"0") => format!("{file}:{line}"),
                _ => format!("{file}:{line}:{column}"),
            };
            let _ = writeln!(text, "  {place}: {severity}[{code}]: {problem}");
        }
    }
    Some(Outcome { text, exit_code: u8::from(kept > 0) })
}

fn duration(secs: u64) -> String {
    match (secs / 86_400, secs / 3600 % 24, secs / 60 % 60) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_grouped_by_file_and_has_places() {
        let rows: Vec<Vec<BString>> = [
            "\"generation\"\t\"7\"\t\"kept\"\t\"1\"\t\"version\"\t\"0.1.0\"\t\"pid\"\t\"42\"\t\"up\"\t\"7260\"",
            "\"a.tab\"\t\"rejected\"\t\"T\"\t\"3\"\t\"2\"\t\"5\"\t\"TAB006\"\t\"error\"\t\"no \"quote\"\"",
            "\"a.tab\"\t\"rejected\"\t\"T\"\t\"3\"\t\"4\"\t\"0\"\t\"TAB005\"\t\"error\"\t\"NUL\"",
            "\"b.tab\"\t\"suspect\"\t\"T\"\t\"0\"\t\"0\"\t\"0\"\t\"\"\t\"\"\t\"\"",
        ]
        .iter()
        .map(|line| columns(line.as_bytes()))
        .collect();
        let outcome = report(Path::new("/m"), &rows).unwrap();
        assert_eq!(
            outcome.text,
            "/m: tabmail 0.1.0 is running, process 42, up 2 h 1 min\n\
             tables: generation 7, 1 file is not taken\n\
             a.tab: rejected since T; the table from before stays in use (3 rows)\n  \
             a.tab:2:5: error[TAB006]: no \"quote\"\n  \
             a.tab:4: error[TAB005]: NUL\n\
             b.tab: suspect since T; it looks half-written and is waited for\n"
        );
        assert_eq!(outcome.exit_code, 1);
    }

    #[test]
    fn nobody_there_is_code_2() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root { mail_root: Some(dir.path().to_owned()) };
        let error = status(&Status { root }).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
