//! Cookies: read from a request, written into an answer (RFC 6265).

/// The session's.
pub(super) const SESSION: &str = "jdwa_session";
/// Of people who are not logged in: proves that a form came from a page of ours.
pub(super) const GUEST: &str = "jdwa_guest";
/// The chosen language.
pub(super) const LANGUAGE: &str = "jdwa_language";
/// The chosen theme.
pub(super) const THEME: &str = "jdwa_theme";

/// How long choices of language and theme are kept, in seconds: a year. Ours.
pub(super) const CHOICE_SECS: u32 = 31_536_000;

/// The value of a cookie in a `Cookie` header.
pub(super) fn find<'a>(header: &'a str, wanted: &str) -> Option<&'a str> {
    header.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == wanted).then_some(value)
    })
}

/// A `Set-Cookie` header. Values are ours: hex digits and short words.
pub(super) fn set(name: &str, value: &str, age_secs: Option<u32>, is_tls: bool) -> String {
    let mut header = format!("{name}={value}; Path=/jdwa/; HttpOnly; SameSite=Strict");
    if let Some(age) = age_secs {
        header.push_str(&format!("; Max-Age={age}"));
    }
    if is_tls {
        header.push_str("; Secure");
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name_and_kept_from_scripts() {
        assert_eq!(find("a=1; jdwa_session=f00;b=2", SESSION), Some("f00"));
        assert_eq!(find("xjdwa_session=f00", SESSION), None);
        let header = set(SESSION, "f00", None, true);
        assert_eq!(header, "jdwa_session=f00; Path=/jdwa/; HttpOnly; SameSite=Strict; Secure");
        assert!(!set(SESSION, "f00", Some(0), false).contains("Secure"));
    }
}
