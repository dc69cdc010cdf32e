//! `dnsroots`: hosts to begin iterative MX lookups at (`mailroot.md` 10.4). One host name per line.
//!
//! XMail takes every line for a host and ignores a file with one line; here `#` lines are comments as everywhere
//! (decision 46) and one line works (`mailroot.md` 21).

use std::path::Path;

use super::problem::{ProblemKind, Problems};
use super::schema::tables::routing::DNSROOTS;
use super::snapshot::{Loaded, Snapshot};
use super::table::{Row, RowSpec, Table};

/// The hosts of `dnsroots`.
#[derive(Clone, Debug, Default)]
pub struct DnsRoots {
    rows: Vec<DnsRootRow>,
}

/// A line of `dnsroots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRootRow {
    /// The line, from 1.
    pub line: u32,
    /// The host name or address.
    pub host: Box<str>,
}

impl DnsRoots {
    /// All hosts in file order.
    pub fn rows(&self) -> &[DnsRootRow] {
        &self.rows
    }
}

impl Table for DnsRoots {
    const SPEC: RowSpec = DNSROOTS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let Some(text) = row.text(0, problems) else { return };
        let host = text.trim();
        if host.is_empty() || host.contains(char::is_whitespace) {
            problems.note(row.line, row.column(0), ProblemKind::BadHost(text.to_string()));
        } else {
            self.rows.push(DnsRootRow { line: row.line, host: host.into() });
        }
    }
}

impl Snapshot {
    /// The hosts of `dnsroots`.
    pub fn dns_roots(&self) -> Loaded<DnsRoots> {
        self.file(Path::new("dnsroots"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::table::load_text;

    #[test]
    fn one_line_is_enough() {
        let (roots, problems) = load_text::<DnsRoots>("dnsroots", "# roots\r\n\r\nA.ROOT-SERVERS.NET\r\n");
        assert_eq!(roots.rows(), [DnsRootRow { line: 3, host: "A.ROOT-SERVERS.NET".into() }]);
        assert!(problems.is_empty());
        let (roots, problems) = load_text::<DnsRoots>("dnsroots", "a b\n");
        assert!(roots.rows().is_empty());
        assert_eq!(
            problems,
            ["dnsroots:1:1: is not a host (host, host:port, host|port or [v6]:port): \"a b\""]
        );
    }
}
