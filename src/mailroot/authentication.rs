//! (being written)

use super::problem::Problems;
use super::table::{Row, RowSpec, Table};

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct SmtpAuth;

impl Table for SmtpAuth {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct SmtpExtAuth;

impl Table for SmtpExtAuth {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct CtrlAccounts;

impl Table for CtrlAccounts {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}
