//! Option lists: `name=value,name,...` (`mailroot.md` 2.7), one parser for all tables that have them.
//!
//! Cut at commas, CR and LF; empty elements vanish; names are case-sensitive; blanks are data; a later duplicate
//! wins. Reading never fails; what a name means, and whether it is known, is for the table to say.

use bstr::{BStr, BString, ByteSlice};

use super::server_tab::leading_number;

/// The options of one column or variable.
///
/// ```
/// let options = tabmail::mailroot::option_list::OptionList::parse(b"APOP,Leave=0,,OutBind=192.0.2.1");
/// assert!(options.flag("APOP") && !options.flag("Leave") && !options.flag("STLS"));
/// assert_eq!(options.value("OutBind").unwrap(), "192.0.2.1");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionList {
    options: Vec<ListedOption>,
}

/// One option as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedOption {
    /// The text before `=`, or all of it.
    pub name: BString,
    /// The text after the first `=`; `None` for a bare name.
    pub value: Option<BString>,
}

impl ListedOption {
    /// Reads one element: `name` or `name=value`.
    pub fn parse(element: &[u8]) -> Self {
        match element.split_once_str("=") {
            Some((name, value)) => Self { name: name.into(), value: Some(value.into()) },
            None => Self { name: element.into(), value: None },
        }
    }

    /// Bare or a non-zero number.
    pub fn is_on(&self) -> bool {
        self.value.as_ref().is_none_or(|value| leading_number(value) != 0)
    }
}

impl OptionList {
    /// Reads a list.
    pub fn parse(text: &[u8]) -> Self {
        let elements = text.split(|byte| matches!(byte, b',' | b'\r' | b'\n'));
        Self { options: elements.filter(|element| !element.is_empty()).map(ListedOption::parse).collect() }
    }

    /// The options in the order written, duplicates included.
    pub fn iter(&self) -> impl Iterator<Item = &ListedOption> {
        self.options.iter()
    }

    /// The option of this name; of several the last.
    pub fn get(&self, name: &str) -> Option<&ListedOption> {
        self.options.iter().rev().find(|option| option.name == name)
    }

    /// The text after `=` of this option; `None` when it is absent or bare.
    pub fn value(&self, name: &str) -> Option<&BStr> {
        self.get(name)?.value.as_ref().map(|value| value.as_bstr())
    }

    /// Whether the option is there, bare or with a non-zero number.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(ListedOption::is_on)
    }

    /// The decimal number of this option; `None` when it is absent or bare, 0 when it is not a number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.value(name).map(|value| leading_number(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_duplicate_wins_and_blanks_are_data() {
        let options = OptionList::parse(b"a=1,,b,a=2=3, c\r\nd=0,e=x");
        assert_eq!(options.value("a").unwrap(), "2=3");
        assert!(options.flag("b") && !options.flag("c") && options.flag(" c"));
        assert!(!options.flag("d") && !options.flag("e") && !options.flag("B"));
        assert_eq!(options.integer("d"), Some(0));
        assert_eq!(options.integer("b"), None);
        assert_eq!(options.iter().count(), 6);
    }
}
