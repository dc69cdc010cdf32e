//! Listings for shells (`--tsv`): the columns of a row without their quotes, one TAB between two.
//!
//! An empty column is nothing between two TABs, as `cut -f` and `IFS=$'\\t' read` expect it. Neither XMail nor we
//! escape a `"` in a listing (`mailflow.md` 11.1), so a column ends where `"` TAB `"` or the end of the line follows.
//! A line that is not such a row, and what [`is_content`] names, stays as it is.

use bstr::ByteSlice;

/// Commands whose answer is a file or a message, not rows.
const CONTENT: [&str; 5] = ["cfgfileget", "usergetmproc", "custdomget", "frozgetlog", "frozgetmsg"];

/// Whether this command's answer has no rows; names without case, as CTRL takes them.
pub(in crate::commands) fn is_content(command: &str) -> bool {
    CONTENT.iter().any(|content| content.eq_ignore_ascii_case(command))
}

/// A row without quotes.
pub(in crate::commands) fn row(line: &[u8]) -> Vec<u8> {
    let inner = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\""));
    inner.map_or_else(|| line.to_owned(), |columns| columns.replace("\"\t\"", "\t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lose_their_quotes_and_nothing_else() {
        for (line, expected) in [
            ("\"home.test\"\t\"anna\"\t\"\"\t\"U\"", "home.test\tanna\t\tU"),
            ("\"one\"", "one"),
            ("\"\"", ""),
            ("\"\"\t\"\"", "\t"),
            ("\"RealName\"\t\"Anna \"K\" \\\"\"", "RealName\tAnna \"K\" \\\""),
            ("no row", "no row"),
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(row(line.as_bytes()), expected.as_bytes(), "{line}");
        }
        assert!(is_content("CfgFileGet") && !is_content("userlist"));
    }
}
