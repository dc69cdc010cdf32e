//! (being written)

use super::problem::Problems;
use super::table::{Row, RowSpec, Table};

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct SmtpGw;

impl Table for SmtpGw {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct SmtpFwd;

impl Table for SmtpFwd {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}
