//! What a value may be.

use super::options::OptionGroup;

/// The kind of a variable, an option or a column.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A decimal number: 0 is off, every other is on.
    Flag,
    /// A decimal number.
    Integer {
        /// The smallest that means something.
        min: i64,
        /// The largest that means something.
        max: i64,
        /// What is counted, in the plural; empty for a code.
        unit: &'static str,
    },
    /// A size in kB of 1024 bytes; 0 = no limit.
    Kilobytes,
    /// Any text.
    Text,
    /// A complete reply line with its code, such as `554 Go away`.
    ReplyLine,
    /// A mail address.
    Address,
    /// A domain.
    Domain,
    /// One of some words; `folds_case`: in any case.
    OneOf {
        /// The words.
        words: &'static [Word],
        /// Whether `WORD` is `word`.
        folds_case: bool,
    },
    /// Any of some letters, in any order, upper case.
    Letters(&'static OptionGroup),
    /// `name=value,name,...` (`mailroot.md` 2.7).
    Options(&'static OptionGroup),
    /// Hosts to connect to: `[#]host[:port][,option...];...`.
    Gateways,
    /// An IP address.
    IpAddress,
    /// A comma list; of what.
    List(&'static str),
}

/// A word of a fixed set.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// As it is written.
    pub word: &'static str,
    /// What it means.
    pub doc: &'static str,
}
