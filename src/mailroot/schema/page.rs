//! Pages of help: one content, for a terminal and as Markdown.

use std::fmt::Write as _;

/// A page, block by block.
#[derive(Clone, Debug, Default)]
pub struct Page {
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
enum Block {
    Heading(u8, String),
    Paragraph(String),
    /// Terms and what they are.
    Terms(Vec<(String, String)>),
    /// A line as it stands in a file, and what it says.
    Line(String, String),
}

impl Page {
    /// Adds a heading; level 1 is the page's own.
    pub fn heading(&mut self, level: u8, text: impl Into<String>) {
        self.blocks.push(Block::Heading(level, text.into()));
    }

    /// Adds a paragraph, unless it is empty.
    pub fn paragraph(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.blocks.push(Block::Paragraph(text));
        }
    }

    /// Adds terms with their explanations; those without one are left out.
    pub fn terms(&mut self, terms: impl IntoIterator<Item = (String, String)>) {
        let terms: Vec<_> = terms.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        if !terms.is_empty() {
            self.blocks.push(Block::Terms(terms));
        }
    }

    /// Adds a line of a file and what it says.
    pub fn line(&mut self, line: impl Into<String>, text: impl Into<String>) {
        self.blocks.push(Block::Line(line.into(), text.into()));
    }

    /// Adds all of another page, its headings `deeper` levels lower.
    pub fn append(&mut self, other: Self, deeper: u8) {
        self.blocks.extend(other.blocks.into_iter().map(|block| match block {
            Block::Heading(level, text) => Block::Heading(level + deeper, text),
            other => other,
        }));
    }

    /// For a terminal of so many columns. Lines of files are not wrapped.
    pub fn to_text(&self, width: usize) -> String {
        self.written(|text, block| match block {
            Block::Heading(_, heading) => wrap(text, heading, "", width),
            Block::Paragraph(paragraph) => wrap(text, &plain(paragraph), "  ", width),
            Block::Terms(terms) => terms_to_text(text, terms, width),
            Block::Line(line, meaning) => {
                text.push_str("  ");
                text.push_str(line);
                text.push('\n');
                wrap(text, &plain(meaning), "        ", width);
            }
        })
    }

    /// As Markdown.
    pub fn to_markdown(&self) -> String {
        self.written(|text, block| {
            // Writing to a string cannot fail.
            let _ = match block {
                Block::Heading(level, heading) => {
                    writeln!(text, "{} {}", "#".repeat(usize::from(*level)), escaped(heading))
                }
                Block::Paragraph(paragraph) => writeln!(text, "{}", escaped(paragraph)),
                Block::Terms(terms) => terms.iter().try_for_each(|(term, meaning)| {
                    writeln!(text, "- `{}`: {}", term.trim(), escaped(meaning))
                }),
                Block::Line(line, meaning) => {
                    writeln!(text, "- `{}`: {}", line.replace('\t', " TAB "), escaped(meaning))
                }
            };
        })
    }

    /// Block by block, with a blank line between them but for lines of a file that follow each other.
    fn written(&self, mut write: impl FnMut(&mut String, &Block)) -> String {
        let mut text = String::new();
        let mut is_after_line = false;
        for block in &self.blocks {
            let is_line = matches!(block, Block::Line(..));
            let is_next_line = is_line && is_after_line;
            if !text.is_empty() && !is_next_line {
                text.push('\n');
            }
            is_after_line = is_line;
            write(&mut text, block);
        }
        text
    }
}

/// The longest term beside which its explanation stands; behind a longer one it begins on the next line.
const TERM_COLUMNS: usize = 18;

fn terms_to_text(text: &mut String, terms: &[(String, String)], width: usize) {
    let longest = terms.iter().map(|(term, _)| term.chars().count()).max().unwrap_or(0).min(TERM_COLUMNS);
    let indent = " ".repeat(longest + 4);
    for (term, meaning) in terms {
        let padding = (longest + 2).checked_sub(term.chars().count()).filter(|&padding| padding >= 2);
        let mut wrapped = String::new();
        wrap(&mut wrapped, &plain(meaning), &indent, width);
        text.push_str("  ");
        text.push_str(term);
        match padding {
            Some(padding) => {
                text.push_str(&" ".repeat(padding));
                text.push_str(wrapped.trim_start());
            }
            None => {
                text.push('\n');
                text.push_str(&wrapped);
            }
        }
    }
}

/// Breaks a text at blanks so that no line is longer than `width`, if words allow.
fn wrap(out: &mut String, text: &str, indent: &str, width: usize) {
    let mut column = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            column = 0;
        }
        if column == 0 {
            out.push_str(indent);
            column = indent.len();
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

/// Without the backquotes of Markdown.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// With backslashes before what Markdown would take for its own, except inside backquotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        if index > 0 {
            out.push('`');
        }
        let is_code = index % 2 == 1;
        for c in part.chars() {
            if !is_code && "<>[]*_|\\#".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut page = Page::default();
        page.heading(1, "x.tab");
        page.paragraph("All `words` of a [long] sentence that is wrapped.");
        page.paragraph("");
        page.terms([
            ("one".to_owned(), "The first term of two.".to_owned()),
            ("a-very-long-term-indeed".to_owned(), "Wrapped below.".to_owned()),
            ("nothing".to_owned(), String::new()),
        ]);
        page.line("\"a\"\t\"b\"", "A row.");
        page.line("\"c\"", "Another.");
        page
    }

    #[test]
    fn text_is_wrapped_and_terms_stand_in_columns() {
        assert_eq!(
            page().to_text(40),
            "x.tab\n\n  All words of a [long] sentence that is\n  wrapped.\n\n  one                 The first term of\n                      two.\n  \
             a-very-long-term-indeed\n                      Wrapped below.\n\n  \"a\"\t\"b\"\n        A row.\n  \"c\"\n        Another.\n"
        );
    }

    #[test]
    fn markdown_keeps_code_and_escapes_the_rest() {
        assert_eq!(
            page().to_markdown(),
            "# x.tab\n\nAll `words` of a \\[long\\] sentence that is wrapped.\n\n- `one`: The first term of two.\n\
             - `a-very-long-term-indeed`: Wrapped below.\n\n- `\"a\" TAB \"b\"`: A row.\n- `\"c\"`: Another.\n"
        );
    }
}
