//! Findings for people: the offending text underlined, what is accepted, what happens at run time.

use std::io;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Report, Terminal, count};
use crate::check::{Finding, Source};
use crate::mailroot::Severity;

pub(super) fn print(report: &Report<'_>, terminal: &mut Terminal<'_>) -> io::Result<()> {
    let renderer = if terminal.colours { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(terminal.width);
    for finding in report.shown {
        writeln!(terminal.out, "{}\n", render(&renderer, report, finding))?;
    }
    for (code, more) in report.unlisted() {
        writeln!(terminal.out, "{code}: and {more} more; --all shows them")?;
    }
    let counts = [
        count(report.count(Severity::Error), "error"),
        count(report.count(Severity::Warning), "warning"),
        count(report.count(Severity::Note), "note"),
    ];
    let counts = counts.join(", ");
    writeln!(terminal.out, "{}: {counts} in {}", report.directory.display(), count(report.files(), "file"))?;
    let fixable = report.shown.iter().filter(|finding| finding.fix.is_some()).count();
    if fixable > 0 {
        writeln!(terminal.out, "{fixable} of them can be repaired by: tabmail check --fix")?;
    }
    Ok(())
}

fn render(renderer: &Renderer, report: &Report<'_>, finding: &Finding) -> String {
    let code = finding.code();
    let level = match finding.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let path = path(report, finding).to_string_lossy().into_owned();
    let line = finding.line as usize;
    let shown = finding.source.as_ref().map(Shown::of);
    let message = one_line(&finding.fact.to_string());
    let mut group = Group::with_title(level.primary_title(message).id(code.code));
    let mut origin = Origin::path(&path);
    if line > 0 {
        origin = origin.line(line).char_column(finding.column());
    }
    match &shown {
        None => group = group.element(origin),
        Some(shown) => {
            let underlined = AnnotationKind::Primary.span(shown.start..shown.end);
            let mut snippet = Snippet::source(shown.text.as_str()).line_start(line).annotation(underlined);
            // The renderer counts characters of what is shown, we count bytes of the line.
            if shown.text[..shown.start].chars().count() + 1 == finding.column() {
                snippet = snippet.path(&path);
            } else {
                group = group.element(origin);
            }
            group = group.element(snippet);
        }
    }
    let accepted = finding.accepted();
    if !accepted.is_empty() {
        group = group.element(Level::HELP.with_name("accepted").message(accepted));
    }
    group = group.element(Level::NOTE.with_name("at run time").message(finding.at_run_time()));
    if let Some(hint) = finding.hint() {
        group = group.element(Level::HELP.with_name("hint").message(hint));
    }
    renderer.render(&[group])
}

/// The MailRoot as it was called, and the file in it: what a terminal can follow.
fn path(report: &Report<'_>, finding: &Finding) -> PathBuf {
    if finding.file.as_os_str().is_empty() {
        report.directory.to_owned()
    } else {
        report.directory.join(&finding.file)
    }
}

/// A message may quote what stands in a file.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A line as text that can be printed, and the part meant in it.
struct Shown {
    text: String,
    start: usize,
    end: usize,
}

impl Shown {
    fn of(source: &Source) -> Self {
        let cut = if source.cut > 0 { "…" } else { "" };
        let mut text = cut.to_owned();
        let (start, end) = (source.start.min(source.text.len()), source.end.min(source.text.len()));
        text.push_str(&printable(&source.text[..start]));
        let from = text.len();
        text.push_str(&printable(&source.text[start..end]));
        let to = text.len();
        text.push_str(&printable(&source.text[end..]));
        if source.goes_on {
            text.push('…');
        }
        Self { text, start: from, end: to }
    }
}

/// TABs stay; other control characters, and bytes that are no UTF-8, are shown as their numbers.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => text.push('\t'),
                c if c.is_control() || is_invisible(c) => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// Characters that show nothing, or turn the direction of what follows.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
