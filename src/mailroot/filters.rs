//! Which programs look at mail: `filters.in.tab`, `filters.out.tab` (rules that select files), and the files in
//! `filters/` with the three of the SMTP phases (programs) (`mailroot.md` 13.3, 13.4).

use std::net::IpAddr;
use std::time::Duration;

use bstr::BString;

use super::access::AddressFilter;
use super::accounts::is_plain_name;
use super::option_list::OptionList;
use super::problem::{ProblemKind, Problems};
use super::schema::Kind;
use super::schema::options::{AEX, FILTER_FLAGS, TIMEO, WLEX};
use super::schema::tables::processing::{FILTER_FILES, FILTERS};
use super::snapshot::{Loaded, Snapshot};
use super::table::{Row, RowSpec, Table};
use crate::tab::wildcard;

/// How many filter files one message selects at most (`mailroot.md` 13.3).
pub const SELECTED_MAX: usize = 128;

/// `filters.in.tab` or `filters.out.tab`.
#[derive(Clone, Debug, Default)]
pub struct FilterRules {
    rows: Vec<FilterRule>,
}

/// A row of `filters.in.tab` or `filters.out.tab`.
#[derive(Clone, Debug)]
pub struct FilterRule {
    /// The line, from 1.
    pub line: u32,
    /// The wildcard pattern for the sender.
    pub sender: BString,
    /// The wildcard pattern for the recipient.
    pub recipient: BString,
    /// The network of the peer.
    pub remote: AddressFilter,
    /// The network of our address.
    pub local: AddressFilter,
    /// The file in `filters/`; a plain name.
    pub file: Box<str>,
}

impl FilterRule {
    fn selects(&self, sender: &str, recipient: &str, remote: IpAddr, local: IpAddr) -> bool {
        wildcard::matches(&self.sender, sender.as_bytes())
            && wildcard::matches(&self.recipient, recipient.as_bytes())
            && self.remote.matches(remote)
            && self.local.matches(local)
    }
}

impl FilterRules {
    /// The names of the filter files for a message, in file order, each once, at most [`SELECTED_MAX`]. Sender and
    /// recipient are the real account addresses where they are local.
    pub fn selecting(
        &self,
        sender: &str,
        recipient: &str,
        remote: IpAddr,
        local: IpAddr,
    ) -> impl Iterator<Item = &str> {
        self.selected(sender, recipient, remote, local).map(|rule| &*rule.file)
    }

    /// The rules behind [`FilterRules::selecting`]: for each file the first that selects it.
    pub fn selected(
        &self,
        sender: &str,
        recipient: &str,
        remote: IpAddr,
        local: IpAddr,
    ) -> impl Iterator<Item = &FilterRule> {
        let mut rules: Vec<&FilterRule> = Vec::new();
        for rule in self.rows.iter().filter(|rule| rule.selects(sender, recipient, remote, local)) {
            if rules.len() < SELECTED_MAX && !rules.iter().any(|known| known.file == rule.file) {
                rules.push(rule);
            }
        }
        rules.into_iter()
    }

    /// All usable rows in file order.
    pub fn rows(&self) -> &[FilterRule] {
        &self.rows
    }
}

impl Table for FilterRules {
    const SPEC: RowSpec = FILTERS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        FILTERS.check(&row, [0, 1, 4], problems);
        // Without a mask column only `net/bits` is left.
        let remote = AddressFilter::of_row(&row, 2, b"", problems);
        let local = AddressFilter::of_row(&row, 3, b"", problems);
        let (Some(remote), Some(local), Some(file)) = (remote, local, row.text(4, problems)) else { return };
        if !is_plain_name(&file) {
            return;
        }
        let (sender, recipient) = (row.bytes(0).to_owned(), row.bytes(1).to_owned());
        self.rows.push(FilterRule { line: row.line, sender, recipient, remote, local, file });
    }
}

/// The programs of one file: `filters/<file>`, `filters.post-rcpt.tab`, `filters.pre-data.tab` or
/// `filters.post-data.tab`.
#[derive(Clone, Debug, Default)]
pub struct FilterProgram {
    rows: Vec<FilterProgramRow>,
}

/// A row of a filter file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterProgramRow {
    /// The line, from 1.
    pub line: u32,
    /// The `!flags` in front.
    pub flags: FilterFlags,
    /// The program, macros not expanded.
    pub program: BString,
    /// Its arguments, macros not expanded.
    pub args: Vec<BString>,
}

/// The `!flags` column of a filter program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterFlags {
    /// `aex`: skipped when the sender authenticated.
    pub skip_authenticated: bool,
    /// `wlex`: skipped when the peer has `WhiteList` (SMTP filters only).
    pub skip_white_listed: bool,
    /// `timeo`: the time limit; `None`: that of `-QT`.
    pub time_limit: Option<Duration>,
}

impl FilterProgram {
    /// All programs in order.
    pub fn rows(&self) -> &[FilterProgramRow] {
        &self.rows
    }
}

impl Table for FilterProgram {
    const SPEC: RowSpec = FILTER_FILES.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let (flags, first) = match row.bytes(0).strip_prefix(b"!") {
            Some(list) => (FilterFlags::of_row(&row, list, problems), 1),
            None => (FilterFlags::default(), 0),
        };
        let found = row.fields.len();
        if found <= first {
            problems.note(row.line, 0, ProblemKind::TooFewColumns { needed: first + 1, found });
            return;
        }
        Kind::Program.note(row.bytes(first), &mut |kind| problems.note(row.line, row.column(first), kind));
        self.rows.push(FilterProgramRow {
            line: row.line,
            flags,
            program: row.bytes(first).to_owned(),
            args: row.values_from(first + 1).map(ToOwned::to_owned).collect(),
        });
    }
}

impl FilterFlags {
    fn of_row(row: &Row<'_>, list: &[u8], problems: &mut Problems) -> Self {
        let options = OptionList::parse(list);
        Kind::Options(&FILTER_FLAGS).note(list, &mut |kind| problems.note(row.line, row.column(0), kind));
        let seconds = options.integer(&TIMEO).and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            skip_authenticated: options.flag(&AEX),
            skip_white_listed: options.flag(&WLEX),
            time_limit: seconds.filter(|&seconds| seconds > 0).map(Duration::from_secs),
        }
    }
}

impl Snapshot {
    /// The programs of `filters/<name>`; `None` when the file does not exist or the name is not plain.
    pub fn filter_file(&self, name: &str) -> Option<Loaded<FilterProgram>> {
        self.existing_in("filters", name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::MailRoot;
    use crate::mailroot::table::load_text;

    fn selected(rules: &FilterRules, sender: &str, recipient: &str, remote: &str) -> Vec<String> {
        let (remote, local) = (remote.parse().unwrap(), "127.0.0.1".parse().unwrap());
        rules.selecting(sender, recipient, remote, local).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn all_matching_rules_select_each_file_once() {
        let (rules, problems) = load_text::<FilterRules>(
            "filters.in.tab",
            "\"*\"\t\"*@home.test\"\t\"0.0.0.0/0\"\t\"0.0.0.0/0\"\t\"scan.tab\"\n\
             \"*@isp.example\"\t\"*\"\t\"192.0.2.0/24\"\t\"127.0.0.1/32\"\t\"isp.tab\"\n\
             \"*\"\t\"*\"\t\"0.0.0.0/0\"\t\"0.0.0.0/0\"\t\"scan.tab\"\n\
             \"*\"\t\"*\"\t\"0.0.0.0/0\"\t\"10.0.0.0/8\"\t\"other.tab\"\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(selected(&rules, "a@isp.example", "anna@HOME.test", "192.0.2.1"), ["scan.tab", "isp.tab"]);
        assert_eq!(selected(&rules, "a@isp.example", "x@y.test", "192.0.2.1"), ["isp.tab", "scan.tab"]);
        assert_eq!(selected(&rules, "", "x@y.test", "198.51.100.1"), ["scan.tab"]);
    }

    #[test]
    fn at_most_128_files_are_selected() {
        let text: String = (0..200).map(|n| format!("*\t*\t0.0.0.0/0\t0.0.0.0/0\tf{n}\n")).collect();
        let (rules, _) = load_text::<FilterRules>("filters.in.tab", &text);
        assert_eq!(selected(&rules, "a@b", "c@d", "192.0.2.1").len(), SELECTED_MAX);
    }

    #[test]
    fn rules_that_cannot_select_are_reported() {
        let (rules, problems) = load_text::<FilterRules>(
            "filters.out.tab",
            "*\t*\t0.0.0.0/0\t0.0.0.0/0\t../server.tab\n*\t*\t0.0.0.0\t0.0.0.0/0\tf\n*\t*\t0.0.0.0/0\tf\n",
        );
        assert!(rules.rows().is_empty());
        assert_eq!(
            problems,
            [
                "filters.out.tab:1:25: is not a plain file or directory name: \"../server.tab\"; the row is ignored",
                "filters.out.tab:2:5: is not an address filter (net/bits, or net and mask): \"0.0.0.0\"; the row never matches",
                "filters.out.tab:3: needs 5 columns, has 4; the row is ignored",
            ]
        );
    }

    #[test]
    fn programs_may_have_flags() {
        let (programs, problems) = load_text::<FilterProgram>(
            "filters.pre-data.tab",
            "\"/bin/a\"\t\"@@FILE\"\n\"!aex,wlex=0,timeo=20\"\t\"/bin/b\"\n\"!wlex,AEX\"\t/bin/c\tx\n\"!aex\"\n",
        );
        let flags: Vec<FilterFlags> = programs.rows().iter().map(|row| row.flags).collect();
        let none = FilterFlags::default();
        assert_eq!(
            flags,
            [
                none,
                FilterFlags { skip_authenticated: true, time_limit: Some(Duration::from_secs(20)), ..none },
                FilterFlags { skip_white_listed: true, ..none },
            ]
        );
        assert_eq!(programs.rows()[0].args, ["@@FILE"]);
        assert_eq!(
            (programs.rows()[2].program.as_slice(), programs.rows()[2].args.len()),
            (&b"/bin/c"[..], 1)
        );
        assert_eq!(
            problems,
            [
                "filters.pre-data.tab:3:1: \"AEX\" counts for nothing: accepted are aex, wlex, timeo",
                "filters.pre-data.tab:4: needs 2 columns, has 1; the row is ignored",
            ]
        );
    }

    #[test]
    fn filter_files_are_found_by_a_plain_name_only() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("filters")).unwrap();
        std::fs::write(directory.path().join("filters/scan.tab"), "/bin/scan\n").unwrap();
        std::fs::write(directory.path().join("outside.tab"), "/bin/scan\n").unwrap();
        let snapshot = Snapshot::load(&MailRoot::new(directory.path()));
        assert_eq!(snapshot.filter_file("scan.tab").unwrap().rows().len(), 1);
        assert!(snapshot.filter_file("../outside.tab").is_none());
        assert!(snapshot.filter_file("missing.tab").is_none());
        assert!(snapshot.filter_file("").is_none());
    }
}
