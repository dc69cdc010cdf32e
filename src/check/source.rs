//! Finds the text a finding is about: the line in its file, and the bytes of the column in the line.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use bstr::{BString, ByteSlice};

use super::finding::{Finding, Source, Spot};
use crate::mailroot::schema::table::of_file;
use crate::mailroot::schema::{Column, CommandSchema, Presence, TableSchema};
use crate::tab;

/// How many bytes of a line are kept in front of the part meant, and behind its beginning. Ours: a terminal is
/// narrower, and a line may have a megabyte.
const CONTEXT_BYTES: usize = 400;

/// How many bytes of a line are looked at. Ours: far above XMail's limits.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// Reads the lines that `findings` are about. They must be sorted by file and line: each file is read once, and
/// no further than its last line that matters.
pub(super) fn attach(root: &Path, findings: &mut [Finding]) {
    for of_file in findings.chunk_by_mut(|a, b| a.file == b.file) {
        let wanted = of_file.iter().any(|finding| finding.line > 0);
        let path = root.join(&of_file[0].file);
        let is_file = fs::metadata(&path).is_ok_and(|data| data.is_file());
        if wanted
            && is_file
            && let Ok(file) = fs::File::open(&path)
        {
            attach_lines(BufReader::new(file), of_file);
        }
    }
}

fn attach_lines(mut reader: impl BufRead, findings: &mut [Finding]) {
    let mut number = 0_u32;
    let mut line = Vec::new();
    for of_line in findings.chunk_by_mut(|a, b| a.line == b.line).filter(|chunk| chunk[0].line > 0) {
        while number < of_line[0].line {
            line.clear();
            let Ok(1..) = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) else { return };
            if line.last() != Some(&b'\n') && line.len() as u64 == LINE_BYTES_MAX {
                // Of a longer line only the beginning can be shown.
                let Ok(_) = reader.skip_until(b'\n') else { return };
            }
            number += 1;
        }
        for finding in of_line {
            let described = describe(&finding.file, &line, &finding.spot);
            finding.source = Some(Source { described, ..source_of(&line, &finding.spot) });
        }
    }
}

fn source_of(line: &[u8], spot: &Spot) -> Source {
    let body = line.trim_end_with(|c| c == '\r' || c == '\n');
    let (start, end) = range_of(body, spot);
    let from = start.saturating_sub(CONTEXT_BYTES);
    let to = body.len().min(start + CONTEXT_BYTES);
    let goes_on = to < body.len();
    Source {
        text: BString::from(&body[from..to]),
        start: start - from,
        end: end.min(to) - from,
        cut: from,
        goes_on,
        described: None,
    }
}

/// The bytes that a spot means; the whole line when the column is not there.
fn range_of(body: &[u8], spot: &Spot) -> (usize, usize) {
    let piece_from = |start: usize| {
        let end = body[start..].find_byte(b'\t').map_or(body.len(), |at| start + at);
        (start, end)
    };
    let field = |index: usize| {
        let fields = tab::fields(body);
        fields.get(index).map(|field| piece_from((field.column as usize).saturating_sub(1)))
    };
    let inside = |(start, end): (usize, usize), text: &str| {
        let at = body[start..end].find(text.as_bytes()).filter(|_| !text.is_empty());
        at.map_or((start, end), |at| (start + at, start + at + text.len()))
    };
    let at_byte = |column: u32| {
        let start = (column as usize).saturating_sub(1);
        (start < body.len()).then(|| piece_from(start))
    };
    let found = match spot {
        Spot::Line => None,
        Spot::Byte(column) => at_byte(*column),
        Spot::InByte(column, text) => at_byte(*column).map(|piece| inside(piece, text)),
        Spot::Field(index) => field(*index),
        Spot::InField(index, text) => field(*index).map(|piece| inside(piece, text)),
        Spot::Value(value) => {
            tab::fields(body).iter().position(|field| field.value == *value).and_then(field)
        }
    };
    found.unwrap_or((0, body.len()))
}

/// What the description of the table accepts where a spot is: in the column, or as columns.
fn describe(file: &Path, line: &[u8], spot: &Spot) -> Option<String> {
    let table = of_file(file)?;
    let body = line.trim_end_with(|c| c == '\r' || c == '\n');
    let fields = tab::fields(body);
    let first = fields.first().map(|field| field.value.as_slice()).unwrap_or_default();
    let command = table.command(first);
    let index = match spot {
        Spot::Line => return Some(columns(table, command)),
        Spot::Byte(column) | Spot::InByte(column, _) => {
            fields.iter().position(|field| field.column == *column)?
        }
        Spot::Field(index) | Spot::InField(index, _) => *index,
        Spot::Value(value) => fields.iter().position(|field| field.value == *value)?,
    };
    let variable = table.variables.iter().find(|variable| variable.is_named(first));
    let column = match command {
        Some(command) => index.checked_sub(1).and_then(|index| command.arguments.get(index)),
        None => table.columns.get(index),
    };
    let kind = match variable {
        Some(variable) if index == 1 => variable.kind,
        _ => column?.kind,
    };
    Some(kind.describe())
}

fn columns(table: &TableSchema, command: Option<&CommandSchema>) -> String {
    let of = |columns: &[Column]| {
        let names: Vec<String> = columns
            .iter()
            .map(|column| match column.presence {
                Presence::Required => column.name.to_owned(),
                Presence::Optional(_) => format!("[{}]", column.name),
                Presence::Repeated(_) => format!("{}...", column.name),
            })
            .collect();
        names.join(" <TAB> ")
    };
    match command {
        Some(command) => format!("{} <TAB> {}", command.name, of(command.arguments)),
        None => of(table.columns),
    }
}
