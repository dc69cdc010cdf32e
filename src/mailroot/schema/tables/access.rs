//! Who may connect, relay and be called a spammer (`mailroot.md` 11).

use super::{BLANK, Column, RowSpec, TableSchema, problems_of, row};
use crate::mailroot::access::{HostProperties, IpMap, IpProperties, SmtpRelay, SpamAddresses, Spammers};
use crate::mailroot::schema::kind::{Kind, words};
use crate::mailroot::schema::options::{PROPERTIES, SPAMMER};

/// What all filters by address have in common.
const FAMILIES: &str = "A network of one family also means the addresses of the other in which it is embedded (::ffff:192.0.2.1). Host names are not looked up.";

/// `smtp.ipmap.tab` and its relatives.
pub static IPMAP: TableSchema = TableSchema {
    name: "ipmap",
    files: &[
        "smtp.ipmap.tab",
        "pop3.ipmap.tab",
        "imap.ipmap.tab",
        "ctrl.ipmap.tab",
        "finger.ipmap.tab",
        "domains/<domain>/<account>/pop3.ipmap.tab",
        "domains/<domain>/<account>/imap.ipmap.tab",
    ],
    summary: "Which addresses may connect to a service, or log in to one account by POP3 or IMAP.",
    rows: RowSpec::at_least(4, 510),
    columns: &[
        Column::new("address", Kind::Network, "The peers."),
        Column::new(
            "mask",
            Kind::Mask,
            "The mask; with bits in the first column it is not looked at, but must be there.",
        ),
        Column::new(
            "permission",
            Kind::OneOf(
                words!("ALLOW": "the peers may connect", "DENY": "they may not; so does every other word"),
            ),
            "What becomes of them.",
        ),
        Column::new(
            "precedence",
            Kind::Integer { min: 0, max: i64::MAX, unit: "" },
            "Of the rows that match the highest decides. A negative one never applies.",
        ),
    ],
    lookup: "Of the rows that match the peer the one with the highest precedence decides, the last on a tie. No row: allowed.",
    missing: "Every address is allowed.",
    written_by: "CTRL cfgfileset; JDMail's pages of SMTP and POP access.",
    notes: &[
        "The map of a service holds for its TLS port as well. What becomes of peers that smtp.ipmap.tab denies is said by SMTP-IpMapDropCode in server.tab.",
        "XMail does not know the two files imap.ipmap.tab and passes them over.",
        FAMILIES,
    ],
    load: problems_of::<IpMap>,
    examples: &[
        row(&["0.0.0.0", "0.0.0.0", "DENY", "1"], "Nobody may connect,"),
        row(&["192.0.2.0/24", "-", "ALLOW", "2"], "except for this network."),
    ],
    section: "mailroot.md 11.1",
    ..BLANK
};

/// `smtprelay.tab`.
pub static SMTPRELAY: TableSchema = TableSchema {
    name: "smtprelay.tab",
    files: &["smtprelay.tab"],
    summary: "Addresses that may relay: send to domains that are not handled here.",
    rows: RowSpec::at_least(1, 510),
    columns: &[
        Column::new("address", Kind::Network, "The peers."),
        Column::optional("mask", Kind::Mask, "the bits in the first column", "The mask."),
    ],
    lookup: "Any row that matches the peer lets it relay.",
    missing: "Only authenticated clients may relay.",
    written_by: "CTRL cfgfileset.",
    notes: &[FAMILIES],
    load: problems_of::<SmtpRelay>,
    examples: &[
        row(&["192.0.2.0", "255.255.255.0"], "This network may relay."),
        row(&["2001:db8::/32"], "So may this one."),
    ],
    section: "mailroot.md 11.2",
    ..BLANK
};

/// `spammers.tab`.
pub static SPAMMERS: TableSchema = TableSchema {
    name: "spammers.tab",
    files: &["spammers.tab"],
    summary: "Addresses of spammers: they are refused or slowed down.",
    rows: RowSpec::at_least(1, 510),
    columns: &[
        Column::new("address", Kind::Network, "The peers."),
        Column::optional(
            "mask",
            Kind::Mask,
            "the bits in the first column",
            "The mask. A column that does not begin with a digit is the next one.",
        ),
        Column::optional("parameters", Kind::Options(&SPAMMER), "code=1", "What becomes of them."),
    ],
    lookup: "The first row that matches the peer decides.",
    missing: "Nobody is a spammer. XMail refuses every client then: leave an empty file for it.",
    written_by: "CTRL cfgfileset; JDMail's page of spammers.",
    notes: &[FAMILIES],
    load: problems_of::<Spammers>,
    examples: &[
        row(&["198.51.100.0", "255.255.255.0"], "This network is refused."),
        row(&["203.0.113.0/24", "code=0"], "This one must authenticate."),
        row(&["192.0.2.0/24", "code=-5"], "This one waits five seconds before each reply."),
    ],
    section: "mailroot.md 11.5",
    ..BLANK
};

/// `spam-address.tab`.
pub static SPAM_ADDRESS: TableSchema = TableSchema {
    name: "spam-address.tab",
    files: &["spam-address.tab"],
    summary: "Senders that are refused.",
    rows: RowSpec::at_least(1, 510),
    columns: &[Column::new(
        "pattern",
        Kind::AddressPattern,
        "The senders: compared with the address in MAIL FROM.",
    )],
    lookup: "Any row that matches the sender, in any case, refuses MAIL.",
    missing: "No sender is refused.",
    written_by: "CTRL cfgfileset; JDMail's page of spammer addresses.",
    load: problems_of::<SpamAddresses>,
    examples: &[row(&["*@bulk.example"], "No mail from bulk.example.")],
    section: "mailroot.md 11.6",
    ..BLANK
};

const PROPERTY: Column =
    Column::repeated("property", Kind::Property(&PROPERTIES), 0, "What the peer is excused from or may do.");

/// `smtp.ipprop.tab`.
pub static IPPROP: TableSchema = TableSchema {
    name: "smtp.ipprop.tab",
    files: &["smtp.ipprop.tab"],
    summary: "What SMTP clients are excused from or may do, by their address.",
    rows: RowSpec::at_least(1, 1022),
    columns: &[
        Column::new("address", Kind::NetworkBits, "The peers. There is no form with a mask."),
        PROPERTY,
    ],
    lookup: "The first row that matches the peer; others are not merged.",
    missing: "Nobody is excused from anything.",
    written_by: "CTRL cfgfileset; JDMail's page of the allow-list.",
    notes: &[FAMILIES],
    load: problems_of::<IpProperties>,
    examples: &[row(
        &["192.0.2.7/32", "WhiteList=1", "EnableVRFY"],
        "This host passes all checks by address and may use VRFY.",
    )],
    section: "mailroot.md 11.3",
    ..BLANK
};

/// `smtp.hnprop.tab`.
pub static HNPROP: TableSchema = TableSchema {
    name: "smtp.hnprop.tab",
    files: &["smtp.hnprop.tab"],
    summary: "What SMTP clients are excused from or may do, by their name in the DNS.",
    columns: &[Column::new("host", Kind::HostPattern, "The peers, in any case."), PROPERTY],
    lookup: "The first row that matches the peer's name; its properties are added to those by address.",
    missing: "Nobody is excused from anything, and names are not looked up.",
    notes: &[
        "While the file exists the name of every SMTP client is looked up, and a client without a name is refused. XMail takes every name that begins with the pattern for a match; Tabmail compares whole names.",
    ],
    load: problems_of::<HostProperties>,
    examples: &[row(&[".home.test", "WhiteList"], "All hosts below home.test pass.")],
    section: "mailroot.md 11.4",
    ..IPPROP
};
