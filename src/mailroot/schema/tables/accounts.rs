//! Domains, accounts, aliases, lists (`mailroot.md` 7).

use super::{BLANK, Column, RowSpec, TableSchema, key, problems_of, row};
use crate::mailroot::accounts::{AliasDomains, Aliases, Domains, ExtAliases, MailUsers};
use crate::mailroot::address_book::AddressBook;
use crate::mailroot::groups::GroupMembers;
use crate::mailroot::lists::ListMembers;
use crate::mailroot::schema::kind::Kind;
use crate::mailroot::schema::options::LIST_PERMS;
use crate::mailroot::schema::variable::Origin;

/// `domains.tab`.
pub static DOMAINS: TableSchema = TableSchema {
    name: "domains.tab",
    files: &["domains.tab"],
    summary: "The domains handled here.",
    rows: RowSpec::at_least(1, 510),
    columns: &[Column::new("domain", Kind::Domain, "A domain whose accounts are here. No patterns.")],
    key: key(1),
    lookup: "By the domain, in any case.",
    missing: "No domain is handled.",
    written_by: "CTRL domainadd and domaindel.",
    notes: &["The accounts of a domain live in domains/<domain>, in lower case."],
    load: problems_of::<Domains>,
    examples: &[row(&["home.test"], "home.test is handled here.")],
    section: "mailroot.md 7.1",
    ..BLANK
};

/// `aliasdomain.tab`.
pub static ALIASDOMAIN: TableSchema = TableSchema {
    name: "aliasdomain.tab",
    files: &["aliasdomain.tab"],
    summary: "Other names of whole domains.",
    rows: RowSpec::at_least(2, 510),
    columns: &[
        Column::new("alias", Kind::DomainPattern, "The other name."),
        Column::new("domain", Kind::Domain, "The domain that is meant; it should be in domains.tab."),
    ],
    key: key(1),
    lookup: "The row with exactly this name, else the first pattern that matches. One step only: an alias of an alias is not followed.",
    missing: "There are no alias domains.",
    written_by: "CTRL aliasdomainadd and aliasdomaindel.",
    load: problems_of::<AliasDomains>,
    examples: &[
        row(&["home.example", "home.test"], "anna@home.example is anna@home.test."),
        row(&["*.home.test", "home.test"], "So is anna@any.home.test."),
    ],
    section: "mailroot.md 7.2",
    ..BLANK
};

/// `mailusers.tab`.
pub static MAILUSERS: TableSchema = TableSchema {
    name: "mailusers.tab",
    files: &["mailusers.tab"],
    summary: "The accounts: users with a mailbox, and mailing lists.",
    rows: RowSpec::at_least(6, 2046),
    columns: &[
        Column::new("domain", Kind::Domain, "The domain of the account."),
        Column::new("account", Kind::LocalPart, "The name of the account. No patterns."),
        Column::new(
            "password",
            Kind::Password,
            "The password. Nobody logs in to an account with an empty one.",
        ),
        Column::new(
            "id",
            Kind::Integer { min: 1, max: i64::MAX, unit: "" },
            "A number that no other account has; written without quotes.",
        ),
        Column::new(
            "directory",
            Kind::FileName("domains/<domain>"),
            "The directory of the account, in exact case; usually its name.",
        ),
        Column::new("type", Kind::AccountType, "What the account is."),
    ],
    key: key(2),
    lookup: "By domain and account, in any case; the first row counts. If the domain is an alias domain, once more with the domain that is meant.",
    missing: "There are no accounts.",
    written_by: "CTRL useradd, userdel, userpasswd, domaindel; mkusers.",
    notes: &[
        "Whether an account may receive mail or log in to POP3 or IMAP is said in its user.tab (ReceiveEnable, PopEnable, ImapEnable).",
    ],
    load: problems_of::<MailUsers>,
    examples: &[
        row(&["home.test", "anna", "1d08040c09", "3", "anna", "U"], "anna@home.test is a user."),
        row(
            &["home.test", "news", "", "4", "news", "M"],
            "news@home.test is a list; its members are in mlusers.tab.",
        ),
    ],
    section: "mailroot.md 7.3",
    ..BLANK
};

/// `aliases.tab`.
pub static ALIASES: TableSchema = TableSchema {
    name: "aliases.tab",
    files: &["aliases.tab"],
    summary: "Other names of accounts.",
    rows: RowSpec::at_least(3, 510),
    columns: &[
        Column::new("domain", Kind::DomainPattern, "The domain of the alias."),
        Column::new("alias", Kind::LocalPartPattern, "The other name."),
        Column::new(
            "target",
            Kind::AccountOrAddress,
            "An account in the domain of the recipient, or the full address of one. It must be a real account here.",
        ),
    ],
    key: key(2),
    lookup: "A real account of the name always wins. Then the row with exactly this domain and alias; else, of the patterns that match, the one with most characters in both columns, the first on a tie.",
    missing: "There are no aliases.",
    written_by: "CTRL aliasadd, aliasdel, and what removes accounts.",
    notes: &[
        "An alias of an alias, of an alias domain or of an address elsewhere does not work: redirect in mailproc.tab or cmdaliases does.",
    ],
    load: problems_of::<Aliases>,
    examples: &[
        row(&["home.test", "postmaster", "anna"], "postmaster@home.test is anna@home.test."),
        row(&["home.test", "sales*", "bert@shop.test"], "sales-emea@home.test is bert@shop.test."),
        row(&["*", "abuse", "anna@home.test"], "abuse at every domain here is anna@home.test."),
    ],
    section: "mailroot.md 7.4",
    ..BLANK
};

/// `extaliases.tab`.
pub static EXTALIASES: TableSchema = TableSchema {
    name: "extaliases.tab",
    files: &["extaliases.tab"],
    summary: "The addresses that users have elsewhere: mail from there is shown as from here.",
    rows: RowSpec::at_least(4, 1022),
    columns: &[
        Column::new("remote domain", Kind::Domain, "The domain of the address elsewhere."),
        Column::new("remote name", Kind::LocalPart, "Its part before the @."),
        Column::new("domain", Kind::Domain, "The domain of the address here."),
        Column::new("name", Kind::LocalPart, "Its part before the @."),
    ],
    key: key(2),
    lookup: "By the address elsewhere, in any case; the first row counts.",
    missing: "Addresses are shown as they are.",
    written_by: "CTRL exaliasadd, exaliasdel, and what removes accounts.",
    notes: &[
        "Mail that such a sender delivers to a mailbox here gets Return-Path and Reply-To with the address here. Notices about mail that he sent through this server go to the address here.",
    ],
    load: problems_of::<ExtAliases>,
    examples: &[row(
        &["isp.example", "anna.k", "home.test", "anna"],
        "anna.k@isp.example is anna@home.test.",
    )],
    section: "mailroot.md 7.5",
    ..BLANK
};

/// `mlusers.tab`.
pub static MLUSERS: TableSchema = TableSchema {
    name: "mlusers.tab",
    files: &["domains/<domain>/<account>/mlusers.tab"],
    summary: "The members of a mailing list.",
    rows: RowSpec::at_least(1, 510),
    columns: &[
        Column::new("address", Kind::Address, "The member."),
        Column::optional("permissions", Kind::Letters(&LIST_PERMS), "RW", "What the member may do."),
    ],
    key: key(1),
    lookup: "All rows whose permissions have R get the list's mail. Who may post is asked only where ClosedML of the list's user.tab is on; then any row that fits allows it.",
    missing: "The list has no members: its mail is accepted and goes to nobody.",
    written_by: "CTRL useradd (empty), mluseradd, mluserdel.",
    load: problems_of::<ListMembers>,
    examples: &[
        row(&["bert@shop.test", "RW"], "bert@shop.test receives and posts."),
        row(&["reader@isp.example", "R"], "reader@isp.example only receives."),
    ],
    section: "mailroot.md 7.6",
    ..BLANK
};

/// `members.tab` of a group.
pub static MEMBERS: TableSchema = TableSchema {
    name: "members.tab",
    files: &["groups/<domain>/<group>/members.tab"],
    summary: "The members of a group of accounts.",
    rows: RowSpec::at_least(1, 510),
    columns: &[Column::new("account", Kind::LocalPart, "The name of an account of the domain.")],
    key: key(1),
    lookup: "By the account's name, in any case.",
    missing: "The group has no members.",
    written_by: "The pages of groups.",
    notes: &[
        "What the group's user.tab sets holds for its members. A row of an account's own user.tab goes over it; of several \
         groups the first by name that has the variable counts.",
        "XMail does not look at groups: before a way back to it the values have to be written into each user.tab.",
    ],
    load: problems_of::<GroupMembers>,
    examples: &[row(&["anna"], "anna is a member.")],
    origin: Origin::Tabmail,
    section: "jdmail.md JD-45",
    ..BLANK
};

/// `addressbook.tab`.
pub static ADDRESSBOOK: TableSchema = TableSchema {
    name: "addressbook.tab",
    files: &["domains/<domain>/addressbook.tab"],
    summary: "The public address book of a domain: a tree of departments with entries.",
    rows: RowSpec::at_least(1, 2046),
    columns: &[
        Column::new(
            "department",
            Kind::Text,
            "The path of the department, with / between its names; empty: the top.",
        ),
        Column::optional(
            "name",
            Kind::Text,
            "none",
            "The name of the entry; empty in a row that makes the department.",
        ),
        Column::optional("address", Kind::Address, "none", "The mail address; may be empty."),
        Column::optional("phone", Kind::Text, "none", "The phone number; may be empty."),
        Column::optional(
            "order",
            Kind::Integer { min: 0, max: i64::MAX, unit: "" },
            "0",
            "Among its neighbours a row with a smaller number comes first.",
        ),
    ],
    lookup: "All rows; departments and entries are sorted by order, then name. Departments need no rows of their own.",
    missing: "The address book is empty.",
    written_by: "The pages of the address book.",
    notes: &["XMail and JDMail do not look at it."],
    load: problems_of::<AddressBook>,
    examples: &[
        row(&["Sales"], "There is a department Sales."),
        row(
            &["Sales/Europe", "Anna K.", "anna@home.test", "+49 30 1234", "1"],
            "Anna K. is the first in Sales, Europe.",
        ),
    ],
    origin: Origin::Tabmail,
    section: "jdmail.md JD-46",
    ..BLANK
};
