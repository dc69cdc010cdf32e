//! `pop3links.tab`: accounts elsewhere whose mail is fetched (`mailroot.md` 14.1).

use std::net::IpAddr;

use bstr::{BString, ByteSlice};

use super::authentication::is_password_encoding;
use super::option_list::OptionList;
use super::problem::{ProblemKind, Problems};
use super::routing::HostPort;
use super::table::{Row, RowSpec, Table};

/// The links, in the order they are worked.
#[derive(Clone, Debug, Default)]
pub struct Pop3Links {
    rows: Vec<Pop3Link>,
}

/// A row of `pop3links.tab`.
#[derive(Clone, Debug)]
pub struct Pop3Link {
    /// The line, from 1.
    pub line: u32,
    /// The first column as written.
    pub local_domain: Box<str>,
    /// Where fetched mail goes, from the first column.
    pub target: LinkTarget,
    /// The local name.
    pub local_name: Box<str>,
    /// The remote host as written: names of lock, disable and `msgsync` files are made of it.
    pub remote_host: Box<str>,
    /// The remote host.
    pub host: HostPort,
    /// The remote user.
    pub remote_user: Box<str>,
    /// The password as stored.
    pub password: BString,
    /// The options.
    pub options: LinkOptions,
    /// The options as written.
    pub options_text: BString,
}

/// The forms of the first column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// `domain`: the account name@domain, which must exist.
    Account {
        /// The domain.
        domain: Box<str>,
    },
    /// `@domain`: spooled to name@domain, whatever that is.
    Spool {
        /// The domain.
        domain: Box<str>,
    },
    /// `?new,m1,m2`: addresses of the header in the domains m1, m2 become user@new.
    Replace {
        /// The new domain.
        domain: Box<str>,
        /// The domains to look for.
        matching: Vec<Box<str>>,
    },
    /// `&suffix,m1,m2`: such addresses get the suffix appended.
    Append {
        /// The suffix.
        suffix: Box<str>,
        /// The domains to look for.
        matching: Vec<Box<str>>,
    },
}

impl LinkTarget {
    /// Reads the first column.
    pub fn parse(text: &str) -> Self {
        let listed = |text: &str| -> (Box<str>, Vec<Box<str>>) {
            let mut parts = text.split(',');
            let first = parts.next().unwrap_or_default().into();
            (first, parts.filter(|part| !part.is_empty()).map(Into::into).collect())
        };
        if let Some(domain) = text.strip_prefix('@') {
            Self::Spool { domain: domain.into() }
        } else if let Some(rest) = text.strip_prefix('?') {
            let (domain, matching) = listed(rest);
            Self::Replace { domain, matching }
        } else if let Some(rest) = text.strip_prefix('&') {
            let (suffix, matching) = listed(rest);
            Self::Append { suffix, matching }
        } else {
            Self::Account { domain: text.into() }
        }
    }

    /// Whether the link belongs to an account: then its disable file is in the account's directory.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Account { .. })
    }
}

/// The options of a link; flags add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkOptions {
    /// `APOP`: log in with APOP, else with USER and PASS.
    pub apop: bool,
    /// `FAPOP`: log in with APOP only.
    pub apop_only: bool,
    /// `STLS`: use STLS where it works.
    pub stls: bool,
    /// `FSTLS`: go on with STLS only.
    pub stls_only: bool,
    /// `POP3S`: TLS from the first byte. The port stays 110 unless one is written.
    pub pop3s: bool,
    /// `Leave`: leave fetched messages on the server.
    pub leave: bool,
    /// `OutBind`: the local address to bind before connecting.
    pub out_bind: Option<IpAddr>,
}

impl Pop3Links {
    /// All usable rows in file order.
    pub fn rows(&self) -> &[Pop3Link] {
        &self.rows
    }
}

impl Table for Pop3Links {
    const SPEC: RowSpec = RowSpec::at_least(6, 2046);

    fn push(&mut self, row: Row, problems: &mut Problems) {
        let texts = [0, 1, 2, 3].map(|index| row.text(index, problems));
        let [Some(local_domain), Some(local_name), Some(remote_host), Some(remote_user)] = texts else {
            return;
        };
        let Some(host) = HostPort::parse(&remote_host) else {
            problems.note(row.line, row.column(2), ProblemKind::BadHost(remote_host.into()));
            return;
        };
        if !is_password_encoding(row.bytes(4)) {
            problems.note(row.line, row.column(4), ProblemKind::BadPassword);
        }
        let target = LinkTarget::parse(&local_domain);
        if let LinkTarget::Replace { matching, .. } | LinkTarget::Append { matching, .. } = &target
            && matching.is_empty()
        {
            problems.note(row.line, row.column(0), ProblemKind::NothingToMatch);
        }
        self.rows.push(Pop3Link {
            line: row.line,
            target,
            local_domain,
            local_name,
            remote_host,
            host,
            remote_user,
            password: row.bytes(4).to_owned(),
            options: LinkOptions::of_row(&row, problems),
            options_text: row.bytes(5).to_owned(),
        });
    }
}

impl LinkOptions {
    fn of_row(row: &Row, problems: &mut Problems) -> Self {
        const KNOWN: [&str; 8] = ["CLR", "APOP", "FAPOP", "STLS", "FSTLS", "POP3S", "Leave", "OutBind"];
        let options = OptionList::parse(row.bytes(5));
        for option in options.iter().filter(|option| !KNOWN.iter().any(|known| option.name == *known)) {
            let found = option.name.to_string();
            let accepted = "CLR, APOP, FAPOP, STLS, FSTLS, POP3S, Leave, OutBind";
            problems.note(row.line, row.column(5), ProblemKind::UnknownWord { found, accepted });
        }
        let out_bind = options.value("OutBind").and_then(|value| {
            let address = value.to_str().ok().and_then(|text| text.parse().ok());
            if address.is_none() {
                problems.note(row.line, row.column(5), ProblemKind::BadIpAddress(value.to_string()));
            }
            address
        });
        Self {
            apop: options.flag("APOP"),
            apop_only: options.flag("FAPOP"),
            stls: options.flag("STLS"),
            stls_only: options.flag("FSTLS"),
            pop3s: options.flag("POP3S"),
            leave: options.flag("Leave"),
            out_bind,
        }
    }
}
