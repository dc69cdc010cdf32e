//! Option lists: `name=value,name,...` (`mailroot.md` 2.7), one parser for all tables that have them.
//!
//! Cut at commas, CR and LF; empty elements vanish; names are case-sensitive; blanks are data; a later duplicate
//! wins. Reading never fails; what a name means, and whether it is known, is for the table to say.

use bstr::{BStr, BString, ByteSlice};

use super::schema::{OptionGroup, OptionSpec};
use super::server_tab::leading_number;

/// The options of one column or variable.
///
/// ```
/// use tabmail::mailroot::schema::options::{APOP, LEAVE, LINK_OUT_BIND, STLS};
/// let options = tabmail::mailroot::option_list::OptionList::parse(b"APOP,Leave=0,,OutBind=192.0.2.1");
/// assert!(options.flag(&APOP) && !options.flag(&LEAVE) && !options.flag(&STLS));
/// assert_eq!(options.value(&LINK_OUT_BIND).unwrap(), "192.0.2.1");
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

    /// One option for each value, as in tables where each stands in a column of its own.
    pub fn of_columns<'a>(columns: impl Iterator<Item = &'a BStr>) -> Self {
        Self { options: columns.map(|column| ListedOption::parse(column)).collect() }
    }

    /// The names that the group does not have, in the order written.
    pub fn unknown<'a>(&'a self, group: &'static OptionGroup) -> impl Iterator<Item = &'a ListedOption> {
        self.options.iter().filter(|option| group.find(&option.name).is_none())
    }

    /// The options in the order written, duplicates included.
    pub fn iter(&self) -> impl Iterator<Item = &ListedOption> {
        self.options.iter()
    }

    /// The option; of several the last.
    pub fn get(&self, wanted: &OptionSpec) -> Option<&ListedOption> {
        self.options.iter().rev().find(|option| option.name == wanted.name)
    }

    /// The text after `=` of this option; `None` when it is absent or bare.
    pub fn value(&self, wanted: &OptionSpec) -> Option<&BStr> {
        self.get(wanted)?.value.as_ref().map(|value| value.as_bstr())
    }

    /// Whether the option is there, bare or with a non-zero number.
    pub fn flag(&self, wanted: &OptionSpec) -> bool {
        self.get(wanted).is_some_and(ListedOption::is_on)
    }

    /// The decimal number of this option; `None` when it is absent or bare, 0 when it is not a number.
    pub fn integer(&self, wanted: &OptionSpec) -> Option<i64> {
        self.value(wanted).map(|value| leading_number(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::schema::options::{APOP, CLR, FSTLS, LEAVE, LINK, POP3S, STLS};

    #[test]
    fn the_last_duplicate_wins_and_blanks_are_data() {
        let options = OptionList::parse(b"Leave=1,,APOP,Leave=2=3, STLS\r\nFSTLS=0,POP3S=x,apop");
        assert_eq!(options.value(&LEAVE).unwrap(), "2=3");
        assert!(options.flag(&APOP) && !options.flag(&STLS));
        assert!(!options.flag(&FSTLS) && !options.flag(&POP3S) && !options.flag(&CLR));
        assert_eq!(options.integer(&FSTLS), Some(0));
        assert_eq!(options.integer(&APOP), None);
        assert_eq!(options.iter().count(), 7);
        let unknown: Vec<_> = options.unknown(&LINK).map(|option| option.name.to_string()).collect();
        assert_eq!(unknown, [" STLS", "apop"]);
    }
}
