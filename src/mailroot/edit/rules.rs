//! What a table accepts when it is written: columns, quoting and line lengths (`mailroot.md` 2.3, 6, 21).

use std::path::Path;

use super::EditError;
use crate::mailroot::schema;
use crate::mailroot::table::RowSpec;
use crate::tab::{Cell, Line, Record, fields};

/// Column 4 of `mailusers.tab`, the id, from 0: a number, written without quotes.
pub const MAIL_USERS_ID: usize = 3;

/// The rows of a file. One that is no table gets the smallest limit, and at least one column.
fn spec(file: &Path) -> RowSpec {
    schema::table::of_file(file).map_or(RowSpec::at_least(1, LINE_BYTES), |table| table.rows)
}

/// Files that are no tables.
const LINE_BYTES: usize = 510;

/// The longest line of a file that XMail reads in one piece, in bytes with the line end (`mailroot.md` 6). `file` is
/// relative to the MailRoot.
pub fn line_bytes_max(file: &Path) -> usize {
    spec(file).line_bytes_max
}

/// The key of a row, for comparing; `None` for comments, blank lines and rows without a key.
pub(super) fn key_of(file: &Path, line: &[u8]) -> Option<Vec<u8>> {
    let key_columns = schema::table::of_file(file)?.key?;
    if matches!(line.first(), None | Some(b'#')) {
        return None;
    }
    let fields = fields(line);
    let values: Vec<&[u8]> =
        fields.get(..key_columns.columns)?.iter().map(|field| &field.value[..]).collect();
    let mut key = values.join(&b'\t');
    if key_columns.folds_case {
        key.make_ascii_lowercase();
    }
    Some(key)
}

/// Rows that are variables: in `user.tab` exactly two columns, in `server.tab` at least two.
pub(super) fn variables_spec(file: &Path) -> RowSpec {
    spec(file)
}

/// Whether readers of the table take a row of so many columns.
pub(super) fn has_columns(spec: RowSpec, columns: usize) -> bool {
    columns >= spec.min_columns && spec.max_columns.is_none_or(|max| columns <= max)
}

/// The values as a record of this table.
pub(super) fn record<V: AsRef<[u8]>>(file: &Path, values: &[V]) -> Result<Record, EditError> {
    let spec = spec(file);
    if !has_columns(spec, values.len()) {
        let needed =
            if values.len() < spec.min_columns { spec.min_columns } else { spec.max_columns.unwrap_or(0) };
        return Err(EditError::ColumnCount { file: file.to_owned(), needed, found: values.len() });
    }
    let refuse = |index: usize, reason| EditError::Value { file: file.to_owned(), column: index + 1, reason };
    let cells = values
        .iter()
        .enumerate()
        .map(|(index, value)| cell(file, index, value.as_ref()).map_err(|reason| refuse(index, reason)))
        .collect::<Result<Vec<_>, _>>()?;
    Record::new(&cells).map_err(|error| refuse(error.index, error.reason))
}

fn cell<'a>(file: &Path, index: usize, value: &'a [u8]) -> Result<Cell<'a>, &'static str> {
    if file == Path::new("mailusers.tab") && index == MAIL_USERS_ID {
        let is_decimal = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let number =
            std::str::from_utf8(value).ok().filter(|_| is_decimal).and_then(|text| text.parse().ok());
        return number.map(Cell::Number).ok_or("it is not a decimal number");
    }
    // XMail writes and reads these two without escaping.
    let is_unescaped = file == Path::new("domains.tab") || file == Path::new("aliasdomain.tab");
    if is_unescaped && value.contains(&b'"') {
        return Err("it holds a double quote");
    }
    Ok(Cell::Text(value))
}

/// Refuses lines that XMail would split or cut; the first of `lines` is at `first_index` in the file.
pub(super) fn check_lines(file: &Path, lines: &[Line], first_index: usize) -> Result<(), EditError> {
    for (index, line) in lines.iter().enumerate() {
        let index = first_index + index;
        check_length(file, index, line.raw().len())?;
        if line.has_nul() {
            return Err(EditError::NulByte { file: file.to_owned(), line: index + 1 });
        }
    }
    Ok(())
}

/// Refuses a line of `length` bytes, line end included, that XMail would split.
pub(super) fn check_length(file: &Path, index: usize, length: usize) -> Result<(), EditError> {
    let limit = line_bytes_max(file);
    if length > limit {
        return Err(EditError::LineTooLong { file: file.to_owned(), line: index + 1, length, limit });
    }
    Ok(())
}
