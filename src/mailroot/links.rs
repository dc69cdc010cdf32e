//! `pop3links.tab`: accounts elsewhere whose mail is fetched (`mailroot.md` 14.1).

use std::net::IpAddr;

use bstr::{BString, ByteSlice};

use super::option_list::OptionList;
use super::problem::Problems;
use super::routing::HostPort;
use super::schema::options::{APOP, FAPOP, FSTLS, LEAVE, LINK_OUT_BIND, POP3S, STLS};
use super::schema::tables::routing::POP3LINKS;
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
    const SPEC: RowSpec = POP3LINKS.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let texts = [0, 1, 2, 3].map(|index| row.text(index, problems));
        let [Some(local_domain), Some(local_name), Some(remote_host), Some(remote_user)] = texts else {
            return;
        };
        POP3LINKS.check(&row, 0..row.fields.len(), problems);
        let Some(host) = HostPort::parse(&remote_host) else { return };
        let target = LinkTarget::parse(&local_domain);
        self.rows.push(Pop3Link {
            line: row.line,
            target,
            local_domain,
            local_name,
            remote_host,
            host,
            remote_user,
            password: row.bytes(4).to_owned(),
            options: LinkOptions::parse(row.bytes(5)),
            options_text: row.bytes(5).to_owned(),
        });
    }
}

impl LinkOptions {
    fn parse(text: &[u8]) -> Self {
        let options = OptionList::parse(text);
        let out_bind = options.value(&LINK_OUT_BIND).and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            apop: options.flag(&APOP),
            apop_only: options.flag(&FAPOP),
            stls: options.flag(&STLS),
            stls_only: options.flag(&FSTLS),
            pop3s: options.flag(&POP3S),
            leave: options.flag(&LEAVE),
            out_bind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::table::load_text;

    #[test]
    fn links_have_a_target_and_options() {
        let (links, problems) = load_text::<Pop3Links>(
            "pop3links.tab",
            "\"home.test\"\t\"anna\"\t\"pop.isp.example\"\t\"anna.k\"\t\"160006170011\"\t\"APOP,Leave\"\n\
             \"?home.test,isp.example\"\t\"any\"\t\"pop.isp.example:995\"\t\"catchall\"\t\"160006170011\"\t\"POP3S,Leave=0,OutBind=192.0.2.1\"\n",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let [first, second] = links.rows() else { panic!("{links:?}") };
        assert_eq!(first.target, LinkTarget::Account { domain: "home.test".into() });
        assert_eq!(first.host.port_or(110), 110);
        assert_eq!(first.options, LinkOptions { apop: true, leave: true, ..LinkOptions::default() });
        assert_eq!(first.password, "160006170011");
        assert_eq!(&*second.remote_host, "pop.isp.example:995");
        assert_eq!(second.host.port, Some(995));
        let out_bind = Some("192.0.2.1".parse().unwrap());
        assert_eq!(second.options, LinkOptions { pop3s: true, out_bind, ..LinkOptions::default() });
    }

    #[test]
    fn the_first_column_has_four_forms() {
        let matching = vec!["m1".into(), "m2".into()];
        for (text, expected) in [
            ("home.test", LinkTarget::Account { domain: "home.test".into() }),
            ("@home.test", LinkTarget::Spool { domain: "home.test".into() }),
            ("?new,m1,m2", LinkTarget::Replace { domain: "new".into(), matching: matching.clone() }),
            ("&.local,m1,,m2", LinkTarget::Append { suffix: ".local".into(), matching }),
            ("?", LinkTarget::Replace { domain: "".into(), matching: Vec::new() }),
        ] {
            let target = LinkTarget::parse(text);
            assert_eq!(target.is_local(), text == "home.test");
            assert_eq!(target, expected);
        }
    }

    /// The first row is that of golden `psync_masq`, where nothing is fetched.
    #[test]
    fn links_that_cannot_work_are_reported() {
        let (links, problems) = load_text::<Pop3Links>(
            "pop3links.tab",
            "\"?\"\t\"example.test,second.test\"\t\"127.0.0.4:1110\"\t\"remuser\"\t\"1700081512\"\t\"CLR\"\n\
             d\tn\th\tu\t1d0\tleave,OutBind=x\nd\tn\th:x\tu\t1d\t\"\"\nd\tn\th\tu\t1d\n",
        );
        assert_eq!(links.rows().len(), 2);
        assert_eq!(
            problems,
            [
                "pop3links.tab:1:1: lists no domains to look for, so nothing can be fetched",
                "pop3links.tab:2:9: is not a password encoding (pairs of hex digits, or $argon2id$...); nobody can log in with it",
                "pop3links.tab:2:13: \"leave\" counts for nothing: accepted are CLR, APOP, FAPOP, STLS, FSTLS, POP3S, Leave, OutBind",
                "pop3links.tab:2:13: is not an IP address: \"x\"",
                "pop3links.tab:3:5: is not a host (host, host:port, host|port or [v6]:port): \"h:x\"",
                "pop3links.tab:4: needs 6 columns, has 5; the row is ignored",
            ]
        );
    }
}
