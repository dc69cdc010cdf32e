//! `tabmail check [DIR]`: what is wrong in a MailRoot, with no server running.
//!
//! | exit code | meaning |
//! | --- | --- |
//! | 0 | nothing, or notes only |
//! | 1 | warnings |
//! | 2 | errors |
//! | 3 | could not check |
//!
//! With `--format json` every finding is one object on one line, and the last line is the summary:
//!
//! ```json
//! {"code":"TAB101","slug":"alias-target-missing","severity":"error","file":"aliases.tab","line":2,"column":21,
//!  "end_column":27,"text":"\"home.test\"\t\"info\"\t\"gone\"","message":"there is no account gone@home.test",
//!  "accepted":"...","at_run_time":"...","remedy":"...","fixable":false}
//! {"summary":{"root":"/var/MailRoot","errors":1,"warnings":0,"notes":0,"files":1,"unlisted":{}}}
//! ```
//!
//! Files are relative to the MailRoot; columns are bytes from 1, `end_column` is behind the last byte; line and columns
//! are 0 when the whole file is meant.

mod diff;
mod json;
mod text;

use std::collections::HashSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::root::{NoMailRoot, Root};
use crate::check::{self, FINDINGS_OF_A_CODE_MAX, Finding, Findings, FixError, Progress, Repair};
use crate::clock::Clock;
use crate::mailroot::{MailRoot, Severity};

/// `tabmail check`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Check {
    /// The MailRoot, as --mail-root names it
    #[arg(conflicts_with = "mail_root")]
    pub directory: Option<PathBuf>,
    /// The MailRoot.
    #[command(flatten)]
    pub root: Root,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Findings below this neither show nor count for the exit code
    #[arg(long, value_enum, default_value_t)]
    pub level: Level,
    /// Print nothing; the exit code tells
    #[arg(long, short)]
    pub quiet: bool,
    /// Print all findings, however many there are of one code
    #[arg(long)]
    pub all: bool,
    /// Repair what is safe to repair: show what would change, ask, do it, and check again
    #[arg(long)]
    pub fix: bool,
    /// With --fix: do not ask
    #[arg(long, requires = "fix")]
    pub yes: bool,
    /// Print what a code means, and check nothing
    #[arg(long, value_name = "CODE")]
    pub explain: Option<String>,
}

const AFTER_HELP: &str = "\
Exit code: 0 nothing or notes only, 1 warnings, 2 errors, 3 could not check.
Every finding has a stable code; tabmail check --explain TAB101 tells what it means and what to do.
JSON: one object per line, the last one is the summary.";

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one object per line
    Json,
}

/// The least severity that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Everything
    #[default]
    Note,
    /// Warnings and errors
    Warning,
    /// Errors only
    Error,
}

impl Level {
    fn severity(self) -> Severity {
        match self {
            Self::Note => Severity::Note,
            Self::Warning => Severity::Warning,
            Self::Error => Severity::Error,
        }
    }
}

/// The surroundings: where output goes and how it may look.
pub struct Terminal<'a> {
    /// Where findings go.
    pub out: &'a mut dyn Write,
    /// Whether they may have colours.
    pub colours: bool,
    /// How many characters a line may have.
    pub width: usize,
    /// Where progress is shown; `None`: nowhere.
    pub progress: Option<Line>,
    /// Who answers questions; `None`: nobody.
    pub answers: Option<&'a mut dyn BufRead>,
    /// The time.
    pub clock: Clock,
}

/// A line that is written over and over.
pub type Line = Mutex<Box<dyn Write + Send>>;

/// Width of what is not printed on a terminal.
pub const WIDTH: usize = 140;

/// Why nothing was checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Nothing names a MailRoot.
    #[error(transparent)]
    NoMailRoot(#[from] NoMailRoot),
    /// It cannot be looked into.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No code of ours.
    #[error("{0} is no code; they are TAB001 and so on")]
    NoSuchCode(String),
    /// A repair failed.
    #[error("not repaired: {0}")]
    Fix(#[from] FixError),
    /// The output could not be written.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

/// The exit code when nothing could be checked.
pub const COULD_NOT_CHECK: u8 = 3;

impl Check {
    /// Checks, or explains, on the process' own terminal. Returns the exit code.
    ///
    /// # Errors
    /// [`CheckError`]; the exit code is then [`COULD_NOT_CHECK`].
    pub fn run(&self) -> Result<u8, CheckError> {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_terminal = stdout.is_terminal();
        let progress = stderr.is_terminal() && !self.quiet;
        let mut stdin = io::stdin().lock();
        let asks = io::stdin().is_terminal();
        let terminal = Terminal {
            colours: is_terminal && !no_color,
            width: if is_terminal { terminal_width(&stdout) } else { WIDTH },
            out: &mut io::BufWriter::new(stdout.lock()),
            progress: progress.then(|| Mutex::new(Box::new(stderr) as Box<dyn Write + Send>)),
            answers: if asks { Some(&mut stdin) } else { None },
            clock: Clock::system(),
        };
        match self.run_on(terminal) {
            // The reader has seen enough.
            Err(CheckError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            outcome => outcome,
        }
    }

    /// Checks, or explains, on any terminal. Returns the exit code.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn run_on(&self, mut terminal: Terminal<'_>) -> Result<u8, CheckError> {
        if let Some(code) = &self.explain {
            let page = page_of(code).ok_or_else(|| CheckError::NoSuchCode(code.clone()))?;
            writeln!(terminal.out, "{page}")?;
            terminal.out.flush()?;
            return Ok(0);
        }
        let directory = self.directory.clone().map_or_else(|| self.root.path(), Ok)?;
        std::fs::read_dir(&directory)
            .map_err(|source| CheckError::Directory { path: directory.clone(), source })?;
        let root = MailRoot::new(&directory);
        let mut findings = self.look(&root, &terminal);
        if self.fix && self.repair(&root, &findings, &mut terminal)? {
            findings = self.look(&root, &terminal);
        }
        let shown: Vec<&Finding> = findings.kept().iter().filter(|finding| self.counts(finding)).collect();
        if !self.quiet {
            let report =
                Report { directory: &directory, findings: &findings, shown: &shown, level: self.level };
            match self.format {
                Format::Text => text::print(&report, &mut terminal)?,
                Format::Json => json::print(&report, terminal.out)?,
            }
        }
        terminal.out.flush()?;
        Ok(self.exit_code(&findings))
    }

    fn look(&self, root: &MailRoot, terminal: &Terminal<'_>) -> Findings {
        let limit = if self.all || self.fix { usize::MAX } else { FINDINGS_OF_A_CODE_MAX };
        let options = check::Options { now: terminal.clock.now(), limit };
        let shown = Mutex::new(Instant::now());
        let line = terminal.progress.as_ref();
        let findings = check::run(root, &options, &|progress| show(&progress, line, &shown));
        clear(line);
        findings
    }

    fn counts(&self, finding: &Finding) -> bool {
        finding.severity() >= self.level.severity()
    }

    fn exit_code(&self, findings: &Findings) -> u8 {
        let has = |severity| severity >= self.level.severity() && findings.count(severity) > 0;
        match () {
            () if has(Severity::Error) => 2,
            () if has(Severity::Warning) => 1,
            () => 0,
        }
    }

    /// Shows the repairs, asks, and does them; whether something was repaired.
    fn repair(
        &self,
        root: &MailRoot,
        findings: &Findings,
        terminal: &mut Terminal<'_>,
    ) -> Result<bool, CheckError> {
        let repairs = check::repairs(root, findings.kept());
        if repairs.is_empty() {
            return Ok(false);
        }
        // The report alone goes to programs.
        if self.format == Format::Text && !self.quiet {
            repairs.iter().try_for_each(|repair| show_repair(repair, terminal))?;
        }
        if !self.yes && !agrees(repairs.len(), terminal)? {
            return Ok(false);
        }
        repairs.iter().try_for_each(|repair| repair.apply(root))?;
        if self.format == Format::Text && !self.quiet {
            writeln!(terminal.out, "{} repaired\n", count(repairs.len(), "thing"))?;
        }
        Ok(true)
    }
}

/// What is printed.
struct Report<'a> {
    directory: &'a Path,
    findings: &'a Findings,
    shown: &'a [&'a Finding],
    level: Level,
}

impl Report<'_> {
    fn count(&self, severity: Severity) -> usize {
        if severity >= self.level.severity() { self.findings.count(severity) } else { 0 }
    }

    fn files(&self) -> usize {
        self.shown.iter().map(|finding| &finding.file).collect::<HashSet<_>>().len()
    }

    /// Codes of which not all findings are shown, and how many are not.
    fn unlisted(&self) -> Vec<(&'static str, usize)> {
        let counts =
            |code: &str| check::find_code(code).is_some_and(|code| code.severity >= self.level.severity());
        self.findings.unlisted().into_iter().filter(|(code, _)| counts(code)).collect()
    }
}

/// `1 error`, `2 errors`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// What the page of codes says about one, without its escapes.
fn page_of(code: &str) -> Option<String> {
    const PAGE: &str = include_str!("../check/codes.md");
    let code = check::find_code(code)?.code;
    let start = PAGE.find(&format!("## {code} "))?;
    let rest = &PAGE[start..];
    let end = rest[3..].find("\n## ").map_or(rest.len(), |at| at + 3);
    Some(rest[..end].trim_end().replace(r"\<", "<").replace(r"\[", "["))
}

fn show_repair(repair: &Repair, terminal: &mut Terminal<'_>) -> io::Result<()> {
    match repair {
        Repair::Rewrite { file, before, after } => {
            diff::print(file, before, after, terminal.colours, terminal.out)
        }
        Repair::MakeDirectories(paths) => {
            paths.iter().try_for_each(|path| writeln!(terminal.out, "mkdir -p {}", path.display()))
        }
        Repair::Mode { file, mode } => {
            let shown = if file.as_os_str().is_empty() { Path::new(".") } else { file };
            writeln!(terminal.out, "chmod {mode:04o} {}", shown.display())
        }
    }
}

fn agrees(repairs: usize, terminal: &mut Terminal<'_>) -> io::Result<bool> {
    let Some(answers) = terminal.answers.as_mut() else {
        writeln!(terminal.out, "nothing was changed; --fix --yes does it without asking\n")?;
        return Ok(false);
    };
    write!(terminal.out, "Repair {}? [y/N] ", count(repairs, "thing"))?;
    terminal.out.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

fn show(progress: &Progress, line: Option<&Line>, shown: &Mutex<Instant>) {
    let (Some(line), Ok(mut shown)) = (line, shown.try_lock()) else { return };
    if shown.elapsed() < PROGRESS_EVERY {
        return;
    }
    *shown = Instant::now();
    if let Ok(mut line) = line.lock() {
        let part = if progress.total > 0 {
            format!(" {} of {}", progress.done, progress.total)
        } else {
            String::new()
        };
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(line, "\r\x1b[Kchecking {}{part}", progress.stage).and_then(|()| line.flush());
    }
}

fn clear(line: Option<&Line>) {
    if let Some(Ok(mut line)) = line.map(Mutex::lock) {
        let _ = write!(line, "\r\x1b[K").and_then(|()| line.flush());
    }
}

fn terminal_width(stdout: &io::Stdout) -> usize {
    let columns = rustix::termios::tcgetwinsize(stdout).map(|size| usize::from(size.ws_col));
    columns.ok().filter(|&columns| columns >= 40).unwrap_or(WIDTH)
}

#[cfg(test)]
mod tests;
