//! (being written)

use super::problem::Problems;
use super::table::{Row, RowSpec, Table};

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct IpMap;

impl Table for IpMap {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct SmtpRelay;

impl Table for SmtpRelay {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct Spammers;

impl Table for Spammers {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct SpamAddresses;

impl Table for SpamAddresses {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct IpProperties;

impl Table for IpProperties {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}

/// (being written)
#[derive(Clone, Debug, Default)]
pub struct HostProperties;

impl Table for HostProperties {
    const SPEC: RowSpec = RowSpec::at_least(1, 510);
    fn push(&mut self, _row: Row, _problems: &mut Problems) {}
}
