//! Accounts beside `mailusers.tab`, and programs that check log-ins (`mailroot.md` 12).

use super::{BLANK, Column, RowSpec, TableSchema, key, problems_of, row};
use crate::mailroot::authentication::{CtrlAccounts, Pop3ExtAuth, SmtpAuth, SmtpClientAuth, SmtpExtAuth};
use crate::mailroot::schema::kind::{Kind, MECHANISMS, Words, words};
use crate::mailroot::schema::options::SMTP_PERMS;
use crate::mailroot::schema::variable::Origin;
use crate::mailroot::webadmin::WebAdmins;

const PROGRAM: Column =
    Column::new("program", Kind::Program, "The program: an absolute path. It is run without a shell.");

const ARGUMENTS: Column =
    Column::repeated("argument", Kind::Argument, 0, "What the program gets; macros are replaced.");

/// `smtpauth.tab`.
pub static SMTPAUTH: TableSchema = TableSchema {
    name: "smtpauth.tab",
    files: &["smtpauth.tab"],
    summary: "Users who exist for SMTP only.",
    rows: RowSpec::at_least(3, 510),
    columns: &[
        Column::new("user", Kind::Text, "The user; case counts."),
        Column::new("password", Kind::ClearPassword, "The password; case counts."),
        Column::new("permissions", Kind::Letters(&SMTP_PERMS), "What the user may do; may be empty."),
    ],
    key: key(1),
    lookup: "The first row where user and password fit, after the accounts have been asked.",
    missing: "Only accounts can log in.",
    written_by: "CTRL cfgfileset.",
    load: problems_of::<SmtpAuth>,
    examples: &[row(&["relayhost", "s3cret", "MRZ"], "relayhost may send and relay mail of any size.")],
    section: "mailroot.md 12.2",
    ..BLANK
};

/// `smtpextauth.tab`.
pub static SMTPEXTAUTH: TableSchema = TableSchema {
    name: "smtpextauth.tab",
    files: &["smtpextauth.tab"],
    summary: "Programs that check SMTP log-ins.",
    rows: RowSpec::at_least(2, 1022),
    columns: &[
        Column::new("mechanism", Kind::OneOf(MECHANISMS), "The mechanism of AUTH."),
        PROGRAM,
        ARGUMENTS,
    ],
    lookup: "The first row of the mechanism. With any row at all, only the mechanisms listed here are offered, at most 16.",
    missing: "Log-ins are checked by the server.",
    written_by: "CTRL cfgfileset.",
    notes: &[
        "Exit code 0 lets the client in; the program has 60 seconds.",
        "Macros: AUTH USER PASS CHALL DGEST RFILE. Into the file RFILE the program may write Perms= and letters as in SmtpPerms.",
    ],
    load: problems_of::<SmtpExtAuth>,
    examples: &[row(
        &["PLAIN", "/opt/mail/authcheck", "-u", "@@USER", "-p", "@@PASS", "-r", "@@RFILE"],
        "authcheck decides about AUTH PLAIN.",
    )],
    section: "mailroot.md 12.3",
    ..BLANK
};

/// `ctrlaccounts.tab`.
pub static CTRLACCOUNTS: TableSchema = TableSchema {
    name: "ctrlaccounts.tab",
    files: &["ctrlaccounts.tab"],
    summary: "Who may administer the server through CTRL.",
    rows: RowSpec::at_least(2, 510),
    columns: &[
        Column::new("user", Kind::Text, "The user, in any case."),
        Column::new("password", Kind::Password, "The password. One that cannot be decoded lets nobody in."),
    ],
    key: key(1),
    lookup: "The first row of the user decides.",
    missing: "Nobody may log in.",
    written_by: "CTRL cfgfileset.",
    notes: &["XMail takes a row that is commented out for a row: delete it before you go back."],
    load: problems_of::<CtrlAccounts>,
    examples: &[row(&["operator", "160006170011"], "operator may log in.")],
    section: "mailroot.md 12.6",
    ..BLANK
};

/// The role in `webadmin.tab` that may do everything.
pub const WEB_ROLE_SYSTEM: &str = "system";

/// The role in `webadmin.tab` that is confined to its domains.
pub const WEB_ROLE_DOMAIN: &str = "domain";

/// The flag in `webadmin.tab` of an administrator who has to choose a password.
pub const MUST_CHANGE: &str = "must-change";

/// The beginning of the flag in `webadmin.tab` that tells the day on which the password was chosen: `changed=2026-11-23`.
pub const CHANGED: &str = "changed=";

const WEB_ROLES: Words =
    words!("system": "may do everything", "domain": "may administer the domains of the row");

/// `webadmin.tab`.
pub static WEBADMIN: TableSchema = TableSchema {
    name: "webadmin.tab",
    files: &["webadmin.tab"],
    summary: "Who may log in to the web administration.",
    rows: RowSpec::at_least(3, 2046),
    columns: &[
        Column::new("name", Kind::Text, "The administrator, in any case."),
        Column::new("password", Kind::Password, "The password. An empty one lets nobody in."),
        Column::new(
            "role",
            Kind::OneOf(WEB_ROLES),
            "What the administrator may do; with any other word nothing.",
        ),
        Column::optional(
            "domains",
            Kind::Text,
            "none",
            "The domains of the role domain, separated by commas.",
        ),
        Column::optional(
            "flags",
            Kind::Text,
            "none",
            "must-change: a new password has to be chosen at the next log-in. changed=2026-11-23: the day on which it was chosen, for WebPasswordMaxAge.",
        ),
    ],
    key: key(1),
    lookup: "The first row of the name decides.",
    missing: "The web administration makes the administrator admin with a random password, which it prints once.",
    written_by: "The web administration.",
    load: problems_of::<WebAdmins>,
    examples: &[row(
        &["anna@home.test", "1d08040c09", "domain", "home.test,shop.test"],
        "anna@home.test may administer two domains.",
    )],
    origin: Origin::Tabmail,
    section: "jdmail.md JD-63",
    ..BLANK
};

/// `userauth/pop3/`.
pub static USERAUTH_POP3: TableSchema = TableSchema {
    name: "userauth/pop3",
    files: &["userauth/pop3/<domain>.tab", "userauth/pop3/.tab"],
    summary: "Programs that check log-ins by POP3 and hear of new, changed and removed accounts.",
    rows: RowSpec::at_least(2, 1022),
    columns: &[
        Column::new(
            "action",
            Kind::OneOf(words!(
                "userauth": "somebody logs in; exit code 0 lets him in, everything else does not",
                "useradd": "an account was made",
                "useredit": "an account got another password",
                "userdel": "an account was removed",
                "domaindrop": "a domain was removed with its accounts",
            )),
            "When the program is run.",
        ),
        PROGRAM,
        ARGUMENTS,
    ],
    lookup: "The file of the domain as the client writes it, else .tab; in it the first row of the action.",
    missing: "Log-ins are checked by the server, and nobody is told of changes.",
    written_by: "People.",
    notes: &[
        "The account must be in mailusers.tab in any case. The program has 60 seconds. Macros: USER DOMAIN PASSWD PATH.",
    ],
    load: problems_of::<Pop3ExtAuth>,
    examples: &[row(
        &["userauth", "/opt/mail/popcheck", "@@USER", "@@DOMAIN", "@@PASSWD"],
        "popcheck decides about log-ins.",
    )],
    section: "mailroot.md 12.4",
    ..BLANK
};

/// `userauth/smtp/`.
pub static USERAUTH_SMTP: TableSchema = TableSchema {
    name: "userauth/smtp",
    files: &["userauth/smtp/<host>.tab"],
    summary: "How to log in to the SMTP servers to which mail is delivered.",
    rows: RowSpec::at_least(1, 510),
    columns: &[
        Column::new("mechanism", Kind::OneOf(MECHANISMS), "How to log in."),
        Column::new("user", Kind::Text, "The user there."),
        Column::new("password", Kind::ClearPassword, "The password there."),
    ],
    lookup: "For the server a.b.c the files a.b.c.tab, b.c.tab, c.tab; the first that exists, each also in lower case. In it the first row counts alone.",
    missing: "No log-in.",
    written_by: "People and JDMail's page of SMTP client authentication.",
    notes: &[
        "A first row with fewer than three columns, or another mechanism, makes delivery to the server fail.",
    ],
    load: problems_of::<SmtpClientAuth>,
    examples: &[row(&["PLAIN", "anna.k", "s3cret"], "Log in as anna.k.")],
    section: "mailroot.md 12.5",
    ..BLANK
};
