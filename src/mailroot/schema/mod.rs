//! One description of everything an operator can write: variables, options in lists, columns of tables.
//!
//! A name, a default and a sentence of documentation exist once, here. The getters of [`super::ServerTab`],
//! [`super::UserTab`] and [`super::option_list::OptionList`] take these constants, so a room cannot misspell a variable
//! or have a default of its own (`tests/architecture.rs` looks for string literals). The doc comment of a constant is
//! the text that operators read.
//!
//! Shape: [`server`] and [`user`] hold variables, [`options`] the options inside columns and values, [`kind`] what a
//! value may be. Sources: `mailroot.md` 8 and 9, `jdmail.md` 3, the project's decisions.

pub mod files;
pub mod help;
pub mod kind;
pub mod options;
pub mod page;
pub mod server;
pub mod table;
pub mod tables;
pub mod user;
pub mod variable;

#[doc = include_str!("reference.md")]
pub mod reference {}

pub use kind::{Kind, Word, Words};
pub use options::{OptionGroup, OptionSpec};
pub use table::{Column, CommandSchema, Example, Presence, RowKey, TableSchema};
pub use tables::TABLES;
pub use variable::{Choice, DefaultValue, Flag, Integer, Kilobytes, Origin, Text, Variable};

#[cfg(test)]
mod tests;
