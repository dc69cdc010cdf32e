//! The base subject of RFC 5256 2.1, by which SORT and THREAD compare subjects.
//!
//! ```text
//! subject     = *subj-leader [subj-middle] *subj-trailer
//! subj-refwd  = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
//! subj-blob   = "[" *BLOBCHAR "]" *WSP             BLOBCHAR: anything but "[" and "]"
//! subj-leader = (*subj-blob subj-refwd) / WSP      subj-trailer = "(fwd)" / WSP
//! subj-fwd    = "[fwd:" subject "]"
//! ```

use super::SUBJECT_BYTES_MAX;

/// A subject without the marks of replies and forwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseSubject {
    /// The text, in its own case.
    pub text: String,
    /// Whether such marks were taken away.
    pub is_reply: bool,
}

/// Takes the marks off a decoded subject. The numbers are the steps of RFC 5256 2.1.
pub fn base_subject(decoded: &str) -> BaseSubject {
    // 1: encoded words are decoded; blanks become one.
    let whole = single_blanks(decoded);
    let mut text = whole.as_str();
    let mut is_reply = false;
    loop {
        // 2
        while let Some(shorter) = without_trailer(text, &mut is_reply) {
            text = shorter;
        }
        // 3 to 5
        loop {
            if let Some(shorter) = without_leader(text, &mut is_reply) {
                text = shorter;
            } else if let Some(shorter) = without_blob(text).filter(|rest| !rest.is_empty()) {
                text = shorter;
            } else {
                break;
            }
        }
        // 6
        match without_forward(text) {
            Some(inner) => {
                text = inner;
                is_reply = true;
            }
            None => return BaseSubject { text: text.to_owned(), is_reply },
        }
    }
}

fn single_blanks(decoded: &str) -> String {
    let mut text = String::with_capacity(decoded.len().min(SUBJECT_BYTES_MAX));
    for character in decoded.chars() {
        let blank = matches!(character, ' ' | '\t' | '\r' | '\n');
        if text.len() >= SUBJECT_BYTES_MAX {
            break;
        }
        if !blank {
            text.push(character);
        } else if !text.ends_with(' ') {
            text.push(' ');
        }
    }
    text
}

fn without_trailer<'a>(text: &'a str, is_reply: &mut bool) -> Option<&'a str> {
    if let Some(shorter) = text.strip_suffix([' ', '\t']) {
        return Some(shorter);
    }
    let start = text.len().checked_sub("(fwd)".len())?;
    let matches = text.is_char_boundary(start) && text[start..].eq_ignore_ascii_case("(fwd)");
    *is_reply |= matches;
    matches.then(|| &text[..start])
}

fn without_leader<'a>(text: &'a str, is_reply: &mut bool) -> Option<&'a str> {
    if let Some(shorter) = text.strip_prefix([' ', '\t']) {
        return Some(shorter);
    }
    let mut rest = text;
    while let Some(shorter) = without_blob(rest) {
        rest = shorter;
    }
    rest = strip_no_case(rest, "re").or_else(|| {
        let forward = strip_no_case(rest, "fw")?;
        Some(strip_no_case(forward, "d").unwrap_or(forward))
    })?;
    rest = rest.trim_start_matches([' ', '\t']);
    rest = without_blob(rest).unwrap_or(rest).strip_prefix(':')?;
    *is_reply = true;
    Some(rest)
}

fn without_blob(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(['[', ']'])?;
    let behind = inside[end..].strip_prefix(']')?;
    Some(behind.trim_start_matches([' ', '\t']))
}

fn without_forward(text: &str) -> Option<&str> {
    strip_no_case(text, "[fwd:")?.strip_suffix(']')
}

fn strip_no_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}
