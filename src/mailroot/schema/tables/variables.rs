//! `server.tab`, `user.tab`, `userdef.tab` (`mailroot.md` 8, 9).

use super::{BLANK, Column, RowSpec, TableSchema, problems_of, row};
use crate::mailroot::schema::RowKey;
use crate::mailroot::schema::kind::Kind;
use crate::mailroot::schema::{server, user};
use crate::mailroot::{ServerTab, UserTab};

const COLUMNS: &[Column] = &[
    Column::new("name", Kind::Text, "The variable; case counts."),
    Column::new("value", Kind::Text, "Its value."),
];

const NAME: Option<RowKey> = Some(RowKey { columns: 1, folds_case: false });

/// `server.tab`.
pub static SERVER: TableSchema = TableSchema {
    name: "server.tab",
    files: &["server.tab"],
    summary: "The server's variables.",
    rows: RowSpec::at_least(2, 2046),
    columns: COLUMNS,
    variables: server::VARIABLES,
    key: NAME,
    lookup: "By name; the first row of a name counts. Flags and numbers that are no numbers count as 0.",
    missing: "SMTP, POP3 and IMAP sessions are refused.",
    written_by: "CTRL cfgfileset.",
    notes: &[
        "A change holds for sessions that begin after it. Variables that are not listed here do nothing.",
    ],
    load: problems_of::<ServerTab>,
    examples: &[row(&["RootDomain", "home.test"], "The primary domain is home.test.")],
    section: "mailroot.md 8",
    ..BLANK
};

/// `user.tab`.
pub static USER: TableSchema = TableSchema {
    name: "user.tab",
    files: &["domains/<domain>/<account>/user.tab", "groups/<domain>/<group>/user.tab"],
    summary: "The variables of one account, a user or a list; or of a group of accounts.",
    rows: RowSpec::exactly(2, 2046),
    columns: COLUMNS,
    variables: user::VARIABLES,
    key: NAME,
    lookup: "By name; the first row of a name counts. What the account's own file does not have is looked for in the files of its \
             groups, by the groups' names.",
    missing: "Every variable has its default.",
    written_by: "CTRL useradd (from userdef.tab) and uservarsset.",
    notes: &["Variables that are not listed here are kept: other programs store their own."],
    load: problems_of::<UserTab>,
    examples: &[
        row(&["RealName", "Anna K."], "FINGER and VRFY show this name."),
        row(&["MaxMBSize", "30000"], "The mailbox holds at most 30,000 kB."),
        row(&["SmtpPerms", "MR"], "Logged in, the user may send and relay."),
    ],
    section: "mailroot.md 9",
    ..BLANK
};

/// `userdef.tab`.
pub static USERDEF: TableSchema = TableSchema {
    name: "userdef.tab",
    files: &["userdef.tab", "domains/<domain>/userdef.tab"],
    summary: "The variables that new accounts get: it is copied into their user.tab.",
    lookup: "That of the domain if there is one, else that of the MailRoot; they are not merged.",
    missing: "New accounts get no variables.",
    written_by: "CTRL cfgfileset; JDMail's page of domain defaults.",
    notes: &["Later changes do not touch accounts that exist."],
    examples: &[row(&["MaxMBSize", "10000"], "New accounts get 10,000 kB.")],
    ..USER
};
