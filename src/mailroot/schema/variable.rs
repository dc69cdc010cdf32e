//! Variables of `server.tab` and `user.tab`: typed keys for their getters, with everything that is known about them.

use std::ops::Deref;

use bstr::{BStr, ByteSlice};

use super::kind::{Kind, Words};
use crate::mailroot::ProblemKind;
use crate::mailroot::server_tab::leading_number;

/// What is known about a variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The name, case-sensitive.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// What counts when it is absent.
    pub default: DefaultValue,
    /// What it does.
    doc: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// The section that specifies it: of XMail's and JDMail's specification, or a decision.
    pub section: &'static str,
    /// Why Tabmail reads it but does nothing with it; `None`: it works.
    pub ignored: Option<&'static str>,
    /// Whether `<name>-<ip>` and `<name>-<ip>,<port>` exist as well.
    pub by_address: bool,
}

/// The value of an absent variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// On or off.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(&'static str),
    /// None; what happens without it.
    Absent(&'static str),
}

/// Who brought a variable or table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// XMail 1.27.
    XMail,
    /// A fork of XMail.
    Fork,
    /// JDMail.
    JDMail,
    /// Tabmail.
    Tabmail,
}

impl Variable {
    /// What it does, in sentences.
    pub fn doc(&self) -> &'static str {
        self.doc.trim_start()
    }

    /// Notes what is wrong with a value. Empty is absent, except for a flag.
    pub fn note(&self, value: &[u8], note: &mut dyn FnMut(ProblemKind)) {
        if !value.is_empty() || matches!(self.kind, Kind::Flag) {
            self.kind.note(value, note);
        }
    }

    /// Whether `name` is this variable: its own name, or with an address behind it where it has such names.
    pub fn is_named(&self, name: &[u8]) -> bool {
        let is_suffixed =
            || name.strip_prefix(self.name.as_bytes()).is_some_and(|rest| rest.starts_with(b"-"));
        name == self.name.as_bytes() || (self.by_address && is_suffixed())
    }
}

/// The variable of a list with this name, or the one of which it is a form for one address.
pub fn find(variables: &'static [&'static Variable], name: &[u8]) -> Option<&'static Variable> {
    variables.iter().copied().find(|known| known.is_named(name))
}

/// The variable of a list that looks most like a name, if one does.
pub fn nearest(variables: &'static [&'static Variable], name: &[u8]) -> Option<&'static Variable> {
    nearest_name(variables.iter().map(|known| (known.name, *known)), &name.as_bstr().to_string())
}

/// What has the name that looks most like `wanted`, in any case; `None` when none looks like it.
pub fn nearest_name<'a, T>(known: impl Iterator<Item = (&'a str, T)>, wanted: &str) -> Option<T> {
    let wanted = wanted.to_ascii_lowercase();
    let scored = known.map(|(name, item)| (strsim::jaro_winkler(&name.to_ascii_lowercase(), &wanted), item));
    scored
        .filter(|(score, _)| *score >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, item)| item)
}

/// How much a name must look like another to be proposed for it (Jaro-Winkler, 0 to 1). Ours.
const SIMILARITY_MIN: f64 = 0.88;

/// A variable with the type its getter gives. Dereferences to the [`Variable`].
#[derive(Clone, Copy, Debug)]
pub struct Typed<T> {
    variable: Variable,
    default: T,
}

/// On or off: a decimal number, non-zero = on; empty or not a number = off.
pub type Flag = Typed<bool>;
/// A decimal number; absent or empty = the default, not a number = 0.
pub type Integer = Typed<i64>;
/// A size, in kB in the file and in bytes in our answers.
pub type Kilobytes = Typed<Size>;
/// A text; absent, empty or not UTF-8 = the default.
pub type Text = Typed<Option<&'static str>>;
/// One of some words, in any case; the default stands for everything else.
pub type Choice = Typed<Words>;

/// Marks [`Kilobytes`]: their default is always "none".
#[derive(Clone, Copy, Debug)]
pub struct Size;

impl<T> Deref for Typed<T> {
    type Target = Variable;

    fn deref(&self) -> &Variable {
        &self.variable
    }
}

impl<T: Copy> Typed<T> {
    const fn new(name: &'static str, kind: Kind, default: T, shown: DefaultValue) -> Self {
        let variable = Variable {
            name,
            kind,
            default: shown,
            doc: "",
            origin: Origin::XMail,
            section: "",
            ignored: None,
            by_address: false,
        };
        Self { variable, default }
    }

    /// The same, with its text and the section that most variables of its file have.
    pub(super) const fn described(mut self, section: &'static str, doc: &'static str) -> Self {
        self.variable.doc = doc;
        if self.variable.section.is_empty() {
            self.variable.section = section;
        }
        self
    }

    /// The same, from elsewhere.
    pub(super) const fn from(mut self, origin: Origin, section: &'static str) -> Self {
        self.variable.origin = origin;
        self.variable.section = section;
        self
    }

    /// The same, without effect here.
    pub(super) const fn ignored(mut self, reason: &'static str) -> Self {
        self.variable.ignored = Some(reason);
        self
    }

    /// The same, also with `-<ip>` and `-<ip>,<port>` behind its name.
    pub(super) const fn by_address(mut self) -> Self {
        self.variable.by_address = true;
        self
    }

    /// The same, with an explanation of what happens without it.
    pub(super) const fn without(mut self, effect: &'static str) -> Self {
        self.variable.default = DefaultValue::Absent(effect);
        self
    }

    /// The variable without its type.
    pub(super) const fn variable(&self) -> &Variable {
        &self.variable
    }
}

/// A flag that is `default` when it is absent.
pub(in crate::mailroot) const fn flag(name: &'static str, default: bool) -> Flag {
    Typed::new(name, Kind::Flag, default, DefaultValue::Flag(default))
}

/// A number from `min` to `max` that is `default` when it is absent.
pub(in crate::mailroot) const fn integer(
    name: &'static str,
    default: i64,
    (min, max): (i64, i64),
    unit: &'static str,
) -> Integer {
    Typed::new(name, Kind::Integer { min, max, unit }, default, DefaultValue::Number(default))
}

/// A size.
pub(in crate::mailroot) const fn kilobytes(name: &'static str) -> Kilobytes {
    Typed::new(name, Kind::Kilobytes, Size, DefaultValue::Absent("no limit"))
}

/// A text of some kind without a default; `without` says what happens then.
pub(in crate::mailroot) const fn text(name: &'static str, kind: Kind, without: &'static str) -> Text {
    Typed::new(name, kind, None, DefaultValue::Absent(without))
}

/// A text of some kind with a default.
pub(in crate::mailroot) const fn text_or(name: &'static str, kind: Kind, default: &'static str) -> Text {
    Typed::new(name, kind, Some(default), DefaultValue::Text(default))
}

/// One of `words`, in any case; the first is the default.
pub(in crate::mailroot) const fn choice(name: &'static str, words: Words) -> Choice {
    Typed::new(name, Kind::OneOf(words), words, DefaultValue::Text(words.words[0].word))
}

impl Flag {
    /// What a value means; `None`: absent.
    pub fn read(&self, value: Option<&BStr>) -> bool {
        value.map_or(self.default, |value| leading_number(value) != 0)
    }
}

impl Integer {
    /// What a value means; `None`: absent.
    pub fn read(&self, value: Option<&BStr>) -> i64 {
        value.filter(|value| !value.is_empty()).map_or(self.default, |value| leading_number(value))
    }
}

impl Kilobytes {
    /// Bytes; absent, 0 or negative means none.
    pub fn read(&self, value: Option<&BStr>) -> Option<u64> {
        let kilobytes = value.map_or(0, |value| leading_number(value));
        u64::try_from(kilobytes)
            .ok()
            .filter(|&kilobytes| kilobytes > 0)
            .map(|kilobytes| kilobytes.saturating_mul(1024))
    }
}

impl Text {
    /// The value or the default; `None` when it is absent, empty or not UTF-8 and has no default.
    pub fn read<'a>(&self, value: Option<&'a BStr>) -> Option<&'a str> {
        value.and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty()).or(self.default)
    }

    /// The value, even if it is empty, or the default.
    pub fn read_bytes<'a>(&self, value: Option<&'a BStr>) -> Option<&'a BStr> {
        value.or(self.default.map(BStr::new))
    }
}

impl Choice {
    /// The word that is meant, in the case of the description.
    pub fn read(&self, value: Option<&BStr>) -> &'static str {
        let known = value.and_then(|value| self.default.find(value));
        known.unwrap_or(&self.default.words[0]).word
    }
}

/// Makes a typed constant of each variable, and the list of all.
macro_rules! variables {
    (
        $(#[$list_doc:meta])* $list:ident in $section:literal;
        $($(#[doc = $doc:literal])+ $id:ident: $type:ty = $value:expr;)*
    ) => {
        $($(#[doc = $doc])+ pub static $id: $type = $value.described($section, concat!($($doc),+));)*
        $(#[$list_doc])*
        pub static $list: &[&$crate::mailroot::schema::Variable] = &[$($id.variable()),*];
    };
}
pub(super) use variables;
