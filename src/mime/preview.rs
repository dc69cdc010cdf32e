//! PREVIEW of FETCH (RFC 8970): the beginning of a message's text on one line.

/// The longest preview, in characters (RFC 8970 3.2 asks for 200 at most).
pub const PREVIEW_CHARS_MAX: usize = 200;

/// The beginning of a text without tags (see [`super::TextDecoder`]): white space becomes one blank, control characters
/// vanish, and at most [`PREVIEW_CHARS_MAX`] characters are left.
pub fn preview(text: &str) -> String {
    let mut short = String::new();
    let mut left = PREVIEW_CHARS_MAX;
    let mut blank = false;
    for character in text.chars() {
        if character.is_whitespace() {
            blank = !short.is_empty();
            continue;
        }
        if character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{ad}' | '\u{34f}')
        {
            continue;
        }
        let needed = 1 + usize::from(blank);
        if needed > left {
            break;
        }
        if std::mem::take(&mut blank) {
            short.push(' ');
        }
        short.push(character);
        left -= needed;
    }
    short
}
