//! Texts in two languages: `webadmin/i18n/en.tab` and `zh.tab`, a key TAB a text a line; `{name}` is replaced, and
//! `{name|one|many}` is the one word where the value is 1, else the other.
//!
//! The language is that of the cookie, else the first of the browser's that we have, else English. Help for variables
//! and columns is English in `mailroot::schema`; `schema.zh.tab` holds the Chinese of it, under `<table>.<name>`,
//! or, for what is said in several places, under `=` and the English, numbers in it written `#`. `codes.zh.tab` holds that
//! of the codes of `check`.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::assets::{AssetError, Assets};
pub(super) use crate::language::Language;

/// All texts.
#[derive(Debug)]
pub(super) struct Catalogs {
    english: HashMap<String, String>,
    chinese: HashMap<String, String>,
    schema: HashMap<String, String>,
}

impl Catalogs {
    /// Reads the tables of texts.
    ///
    /// # Errors
    /// A line that is none.
    pub(super) fn load(assets: &Assets) -> Result<Self, AssetError> {
        // A file of the operator's goes over ours text by text: what it lacks, or a newer version has added, is there.
        let read = |file| {
            let mut texts = parse(file, Assets::embedded(file))?;
            texts.extend(parse(file, &assets.text(file)?)?);
            Ok::<_, AssetError>(texts)
        };
        let mut schema = read("i18n/schema.zh.tab")?;
        schema.extend(read("i18n/codes.zh.tab")?);
        Ok(Self { english: read("i18n/en.tab")?, chinese: read("i18n/zh.tab")?, schema })
    }

    /// A text with its values put in; a key without a text is shown as it is.
    pub(super) fn text(&self, language: Language, key: &str, values: &[(&str, &str)]) -> String {
        let catalog = match language {
            Language::English => &self.english,
            Language::Chinese => &self.chinese,
        };
        fill(catalog.get(key).map_or(key, String::as_str), values)
    }

    /// The help for a variable or column, English from the description.
    pub(super) fn schema<'a>(&'a self, language: Language, key: &str, english: &'a str) -> &'a str {
        match language {
            Language::English => english,
            Language::Chinese => {
                let same = || self.schema.get(&format!("={english}"));
                self.schema.get(key).or_else(same).map_or(english, String::as_str)
            }
        }
    }

    /// A sentence of ours that comes as English text, such as a reason: only of few forms, but with numbers in it,
    /// or behind a file's name and a colon.
    pub(super) fn phrase(&self, language: Language, english: &str) -> String {
        if language == Language::English {
            return english.to_owned();
        }
        let known = |text: &str| self.schema.get(&format!("={text}"));
        if let Some(text) = known(english) {
            return text.clone();
        }
        let (form, numbers) = without_numbers(english);
        if let Some(text) = known(&form) {
            return numbers.into_iter().fold(text.clone(), |text, number| text.replacen('#', number, 1));
        }
        // A file or a cause in front.
        match english.split_once(": ") {
            Some((head, tail)) => format!("{}：{}", self.phrase(language, head), self.phrase(language, tail)),
            None => english.to_owned(),
        }
    }

    #[cfg(test)]
    pub(super) fn schema_keys(&self) -> Vec<&str> {
        self.schema.keys().map(String::as_str).collect()
    }

    #[cfg(test)]
    pub(super) fn keys(&self, language: Language) -> Vec<&str> {
        let catalog = if language == Language::English { &self.english } else { &self.chinese };
        let mut keys: Vec<&str> = catalog.keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    #[cfg(test)]
    pub(super) fn has_schema(&self, key: &str) -> bool {
        self.schema.contains_key(key)
    }
}

fn parse(file: &'static str, text: &str) -> Result<HashMap<String, String>, AssetError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| match line.split_once('\t') {
            Some((key, text)) if !text.is_empty() => Ok((key.to_owned(), text.to_owned())),
            _ => Err(AssetError::Text { file, line: index + 1 }),
        })
        .collect()
}

/// A text with its numbers as `#`, and the numbers.
fn without_numbers(text: &str) -> (String, Vec<&str>) {
    let (mut form, mut numbers, mut rest) = (String::new(), Vec::new(), text);
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[start..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| start + end);
        form.push_str(&rest[..start]);
        form.push('#');
        numbers.push(&rest[start..end]);
        rest = &rest[end..];
    }
    form.push_str(rest);
    (form, numbers)
}

/// A text with its values put in, in one pass: a value that holds `{name}` is not filled again.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').map(|at| open + at);
        let value = close.and_then(|close| Some((close, named(&rest[open + 1..close], values)?)));
        match value {
            Some((close, value)) => {
                filled.push_str(&rest[..open]);
                filled.push_str(value);
                rest = &rest[close + 1..];
            }
            None => {
                filled.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// What stands for the text between two braces.
fn named<'a>(inner: &'a str, values: &[(&str, &'a str)]) -> Option<&'a str> {
    let mut parts = inner.split('|');
    let name = parts.next()?;
    let value = values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)?;
    match (parts.next(), parts.next()) {
        (Some(one), Some(many)) => Some(if value == "1" { one } else { many }),
        _ => Some(value),
    }
}

/// A number with its thousands apart; both languages write it so.
pub(super) fn number(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// A size in bytes, for people, in powers of 1024.
pub(super) fn size(language: Language, bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match (unit, language) {
        (0, Language::Chinese) => format!("{bytes} 字节"),
        (0, Language::English) => format!("{bytes} bytes"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// A moment to the minute, in the server's time zone.
pub(super) fn moment(language: Language, zone: &TimeZone, unix_secs: i64) -> String {
    let Ok(at) = Timestamp::from_second(unix_secs) else { return String::new() };
    let format = match language {
        Language::English => "%-d %b %Y, %H:%M",
        Language::Chinese => "%Y年%-m月%-d日 %H:%M",
    };
    at.to_zoned(zone.clone()).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_once() {
        let catalogs = Catalogs::load(&Assets::default()).unwrap();
        let text = catalogs.text(Language::English, "{a} and {b} {c", &[("a", "{b}"), ("b", "2")]);
        assert_eq!(text, "{b} and 2 {c");
        let phrase = |text| catalogs.phrase(Language::Chinese, text);
        assert_eq!(phrase("line 12: the file ends here"), "第 12 行：文件到此结束");
        assert_eq!(phrase("nobody knows 5 such"), "nobody knows 5 such");
        assert_eq!(phrase("x/server.cert: no certificate"), "x/server.cert：没有证书");
        assert_eq!(catalogs.phrase(Language::English, "permission denied"), "permission denied");
        for (count, expected) in [("1", "1 page is"), ("2", "2 pages are"), ("0", "0 pages are")] {
            assert_eq!(fill("{n} {n|page|pages} {n|is|are}", &[("n", count)]), expected);
        }
    }

    #[test]
    fn figures_are_written_as_the_language_does() {
        assert_eq!(number(-1_234_567), "-1,234,567");
        assert_eq!(size(Language::Chinese, 12), "12 字节");
        assert_eq!(size(Language::English, 1_572_864), "1.5 MB");
        assert_eq!(moment(Language::English, &TimeZone::UTC, 0), "1 Jan 1970, 00:00");
        assert_eq!(moment(Language::Chinese, &TimeZone::UTC, 0), "1970年1月1日 00:00");
    }
}
