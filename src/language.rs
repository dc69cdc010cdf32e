//! The languages that people are spoken to in. Protocols, logs and files know none.

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, also of the command line where nothing else is asked for.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// All.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// For cookies, templates and `lang=` (RFC 5646).
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The language of a tag of ours.
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// By an `Accept-Language` header (RFC 9110 12.5.4).
    pub fn of_browser(header: &str) -> Self {
        let mut best = (0_u32, Self::English);
        for range in header.split(',') {
            let mut parts = range.trim().split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok());
            let language = match tag.split('-').next() {
                Some("zh") => Self::Chinese,
                Some("en") => Self::English,
                _ => continue,
            };
            let weight = (weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32;
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_is_followed_where_we_can() {
        for (header, expected) in [
            ("", Language::English),
            ("de", Language::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::English),
            ("fr, zh-Hans;q=0.5", Language::Chinese),
            ("zh;q=0, en;q=0.1", Language::English),
            ("zh;q=x", Language::Chinese),
        ] {
            assert_eq!(Language::of_browser(header), expected, "{header}");
        }
    }
}
