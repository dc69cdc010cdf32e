//! Where mail goes and comes from (`mailroot.md` 10, 14).

use super::{BLANK, Column, RowSpec, TableSchema, problems_of, row};
use crate::mailroot::dnsroots::DnsRoots;
use crate::mailroot::links::Pop3Links;
use crate::mailroot::routing::{SmtpFwd, SmtpGw};
use crate::mailroot::schema::kind::Kind;
use crate::mailroot::schema::options::LINK;

/// `smtpgw.tab`.
pub static SMTPGW: TableSchema = TableSchema {
    name: "smtpgw.tab",
    files: &["smtpgw.tab"],
    summary: "Routes by recipient domain, decided when SMTP accepts a message.",
    rows: RowSpec::at_least(2, 1022),
    columns: &[
        Column::new("domain", Kind::DomainPattern, "The domains of recipients, also of those handled here."),
        Column::new("route", Kind::Route, "The hosts to pass, without ports."),
    ],
    lookup: "The first row whose pattern matches the recipient's domain. A row whose route is none never matches.",
    missing: "There are no routes.",
    written_by: "People and JDMail's page of gateways.",
    load: problems_of::<SmtpGw>,
    examples: &[row(&["*.branch.test", "@relay.branch.test"], "Mail for branches goes through their relay.")],
    section: "mailroot.md 10.1",
    ..BLANK
};

/// `smtpfwd.tab`.
pub static SMTPFWD: TableSchema = TableSchema {
    name: "smtpfwd.tab",
    files: &["smtpfwd.tab", "domains/<domain>/smtpfwd.tab", "domains/<domain>/<account>/smtpfwd.tab"],
    summary: "Hosts that take the mail for a domain instead of its MX hosts.",
    rows: RowSpec::at_least(2, 1022),
    columns: &[
        Column::new("domain", Kind::DomainPattern, "The domains that are meant."),
        Column::new(
            "hosts",
            Kind::Gateways,
            "The hosts, tried in order until one takes the mail; with # in front of the list in random order. The port is 25 unless one is written.",
        ),
        Column::optional(
            "options",
            Kind::GatewayOptions,
            "those of SmtpGwConfig in server.tab",
            "Options for all hosts of the row. Those behind a host go over them.",
        ),
    ],
    lookup: "The first row whose pattern matches the domain that mail is for.",
    missing: "Mail goes through DefaultSMTPGateways of server.tab if that is set, else to the MX hosts.",
    written_by: "People and JDMail's page of forwarding.",
    notes: &[
        "In the directory of an account or of a domain the file is about the mail that the account, or any sender of the domain, \
         sends to others; it goes before the server's. XMail does not look there.",
        "JDMail writes options behind each host (host:port,NeedTLS=1), XMail in a third column; both are read.",
    ],
    load: problems_of::<SmtpFwd>,
    examples: &[
        row(
            &["*.branch.test", "#mx1.branch.test;mx2.branch.test:2525", "NeedTLS=1"],
            "Mail for branches goes to either host, with STARTTLS where it is offered.",
        ),
        row(
            &["partner.test", "mx.partner.test,NeedTLS=2"],
            "Mail for partner.test never goes without STARTTLS.",
        ),
    ],
    section: "mailroot.md 10.2",
    ..BLANK
};

/// `dnsroots`.
pub static DNSROOTS: TableSchema = TableSchema {
    name: "dnsroots",
    files: &["dnsroots"],
    summary: "Name servers at which XMail begins to look up MX hosts.",
    rows: RowSpec::at_least(1, 254),
    columns: &[Column::new("host", Kind::Host, "A name server; one line each, without quotes.")],
    lookup: "All lines.",
    missing: "Nothing happens.",
    written_by: "Nobody.",
    notes: &[
        "Tabmail does not use it: it asks the servers of SmartDNSHost in server.tab, else the system's resolver. It is read and checked for a return to XMail, which needs at least two lines.",
    ],
    load: problems_of::<DnsRoots>,
    examples: &[row(&["a.root-servers.net"], "A root server.")],
    section: "mailroot.md 10.4",
    ..BLANK
};

/// `pop3links.tab`.
pub static POP3LINKS: TableSchema = TableSchema {
    name: "pop3links.tab",
    files: &["pop3links.tab"],
    summary: "Accounts elsewhere whose mail is fetched by POP3.",
    rows: RowSpec::at_least(6, 2046),
    columns: &[
        Column::new(
            "local domain",
            Kind::LinkTarget,
            "Where the mail goes. domain: to the account name@domain, which must exist. @domain: to name@domain, whatever that is. \
             ?new,m1,m2: addresses in the header whose domain is m1 or m2 become user@new. &suffix,m1,m2: such addresses get the suffix.",
        ),
        Column::new("local name", Kind::Text, "The part before the @."),
        Column::new("host", Kind::Host, "The server. The port is 110 unless one is written, also for POP3S."),
        Column::new("user", Kind::Text, "The user there."),
        Column::new(
            "password",
            Kind::Password,
            "The password there, in XMail's hex digits; a hash cannot log in elsewhere.",
        ),
        Column::new("options", Kind::Options(&LINK), "How to log in and what to do; may be empty."),
    ],
    lookup: "All rows in order, every -Yi seconds and when .psync-trigger appears.",
    missing: "Nothing is fetched.",
    written_by: "CTRL poplnkadd, poplnkdel, and what removes accounts.",
    notes: &[
        "A link rests while a file user@host.disabled exists: in the account's directory, for links with @, ? or & in pop3links/. CTRL poplnkenable makes and removes it.",
        "With Leave the messages that have been fetched are remembered in msgsync/<host>/<user>.uidb.",
    ],
    load: problems_of::<Pop3Links>,
    examples: &[
        row(
            &["home.test", "anna", "pop.isp.example", "anna.k", "160006170011", "APOP,Leave"],
            "anna@home.test gets a copy of what anna.k has at the ISP.",
        ),
        row(
            &["?home.test,isp.example", "any", "pop.isp.example:995", "catchall", "160006170011", "POP3S"],
            "One mailbox for all: mail for x@isp.example goes to x@home.test.",
        ),
    ],
    section: "mailroot.md 14.1",
    ..BLANK
};
