//! Command files and filters (`mailroot.md` 13).

use super::{BLANK, Column, RowSpec, TableSchema, problems_of, row};
use crate::mailroot::command_file::CommandFile;
use crate::mailroot::filters::{FilterProgram, FilterRules};
use crate::mailroot::rules::Rules;
use crate::mailroot::schema::kind::{Kind, Words, words};
use crate::mailroot::schema::options::FILTER_FLAGS;
use crate::mailroot::schema::table::CommandSchema;
use crate::mailroot::schema::variable::Origin;

const PROGRAM_ARGUMENTS: &[Column] = &[
    Column::new(
        "priority",
        Kind::Integer { min: -1, max: 1, unit: "" },
        "-1: below normal, 0: normal, 1: above normal.",
    ),
    Column::new(
        "wait",
        Kind::Integer { min: 0, max: i64::MAX, unit: "seconds" },
        "How long to wait for the program; 0: not at all.",
    ),
    Column::new("program", Kind::Program, "The program: an absolute path. It is run without a shell."),
    Column::repeated("argument", Kind::Argument, 1, "What the program gets; macros are replaced."),
];

const TARGETS: &[Column] = &[Column::repeated(
    "target",
    Kind::RedirectTarget,
    1,
    "An address, or a domain, which gets the recipient's name.",
)];

const RELAY: &[Column] = &[
    Column::new("hosts", Kind::Gateways, "The hosts, tried in order until one takes the message."),
    Column::optional(
        "options",
        Kind::GatewayOptions,
        "those of SmtpGwConfig in server.tab",
        "Options for all hosts. Those behind a host go over them.",
    ),
];

macro_rules! commands {
    ($first:literal $first_parts:tt; $($name:literal $parts:tt;)*) => {
        const COMMANDS: &[&CommandSchema] = &[&commands!(@one $first $first_parts), $(&commands!(@one $name $parts)),*];

        /// The names of all commands.
        pub const COMMAND_NAMES: &str = concat!($first $(, ", ", $name)*);
    };
    (@one $name:literal ($arguments:expr, mailproc: $in_mailproc:literal, aliases: $in_aliases:literal, $doc:literal)) => {
        CommandSchema {
            name: $name,
            arguments: $arguments,
            in_mailproc: $in_mailproc,
            in_aliases: $in_aliases,
            doc: $doc,
        }
    };
}

commands! {
    "external" (PROGRAM_ARGUMENTS, mailproc: true, aliases: true,
        "Run a program with the message. Exit code 16 ends the file.");
    "filter" (PROGRAM_ARGUMENTS, mailproc: true, aliases: true,
        "Run a program that judges or changes the message. Exit code 4: delete it and tell nobody. 5: freeze it (delete it \
         where RemoveSpoolErrors is on) and tell nobody. 6: the same, with a notice whose reason is the first line of the \
         file named as the message with .rej. 7: the program has changed it. 16 more: end the file. Else: go on.");
    "mailbox" (&[], mailproc: true, aliases: false,
        "Deliver to the account's mailbox.");
    "redirect" (TARGETS, mailproc: true, aliases: true,
        "Send a copy to each target; the sender stays.");
    "lredirect" (TARGETS, mailproc: true, aliases: true,
        "Send a copy to each target; the sender is the account, or the original recipient.");
    "smtprelay" (RELAY, mailproc: true, aliases: true,
        "Send the message through these hosts.");
    "smtp" (&[], mailproc: false, aliases: true,
        "Send the message to the servers of its domain.");
}

const COMMAND: &[Column] = &[Column::new("command", Kind::Text, "One of the commands below, in any case.")];

const MACROS: &str = "Macros: FROM RCPT RRCPT (only in mailproc.tab) FILE MSGID MSGREF TMPFILE LOCALADDR REMOTEADDR USERAUTH. @@NAME replaces a whole \
                      argument, $(NAME) stands anywhere; \\$ is a dollar.";

const NOTHING_IS_LOST: &str = "At the first attempt a message gets a copy of the file, which is worked off line by line: a command is done \
                               once, and only what failed for now is tried again. Unknown commands are skipped and reported.";

/// `mailproc.tab`.
pub static MAILPROC: TableSchema = TableSchema {
    name: "mailproc.tab",
    files: &["domains/<domain>/mailproc.tab", "domains/<domain>/<account>/mailproc.tab"],
    summary: "What is done with the mail of a domain's users, or of one user, instead of putting it into the mailbox.",
    rows: RowSpec::at_least(1, 510),
    columns: COMMAND,
    commands: COMMANDS,
    lookup: "All rows in order: those of the domain's file, then those of the account's.",
    missing: "Mail goes to the mailbox.",
    written_by: "CTRL usersetmproc; JDMail's pages of users.",
    notes: &[
        "Write mailbox if the mail is to be kept as well. When no command does anything with a message, it goes to the mailbox (in XMail \
         it vanishes).",
        NOTHING_IS_LOST,
        MACROS,
    ],
    load: problems_of::<CommandFile>,
    examples: &[
        row(&["filter", "0", "90", "/opt/mail/scan", "@@FILE"], "scan looks at the message first."),
        row(&["mailbox"], "The user gets it."),
        row(&["redirect", "anna@isp.example"], "So does anna@isp.example."),
    ],
    section: "mailroot.md 13.1",
    ..BLANK
};

/// `cmdaliases/`.
pub static CMDALIASES: TableSchema = TableSchema {
    name: "cmdaliases",
    files: &["cmdaliases/<domain>/<name>.tab"],
    summary: "What is done with the mail for one address that is no account.",
    rows: RowSpec::at_least(1, 1022),
    lookup: "By the address, in lower case; for an alias domain by the domain that is meant. It goes before accounts and aliases. All rows in order.",
    missing: "The address is an account, an alias or unknown.",
    written_by: "CTRL cfgfileset.",
    notes: &["The domain need not be in domains.tab.", NOTHING_IS_LOST, MACROS],
    examples: &[row(
        &["external", "0", "60", "/opt/mail/ticket", "@@FROM", "@@FILE"],
        "ticket gets the mail for this address.",
    )],
    ..MAILPROC
};

/// `custdomains/`.
pub static CUSTDOMAINS: TableSchema = TableSchema {
    name: "custdomains",
    files: &["custdomains/<domain>.tab", "custdomains/.tab"],
    summary: "What is done with mail for domains that are not handled here.",
    lookup: "For a.b.c the files a.b.c.tab, .b.c.tab, .c.tab, .tab, in lower case; the first that exists. All rows in order.",
    missing: "Mail goes to the servers of its domain.",
    written_by: "CTRL custdomset; JDMail's page of domain relays.",
    notes: &[".b.c.tab means the sub-domains of b.c, not b.c itself.", NOTHING_IS_LOST, MACROS],
    examples: &[row(
        &["smtprelay", "relay.isp.example:587,NeedTLS=2"],
        "Mail for the domain goes through this relay.",
    )],
    ..CMDALIASES
};

/// `filters.in.tab`, `filters.out.tab`.
pub static FILTERS: TableSchema = TableSchema {
    name: "filters",
    files: &["filters.in.tab", "filters.out.tab"],
    summary: "Which filter files look at queued messages: in before local delivery, out before mail is sent elsewhere.",
    rows: RowSpec::at_least(5, 510),
    columns: &[
        Column::new("sender", Kind::AddressPattern, "The senders."),
        Column::new(
            "recipient",
            Kind::AddressPattern,
            "The recipients; for addresses here the account's own address.",
        ),
        Column::new("remote address", Kind::NetworkBits, "The peers that the message came from."),
        Column::new("local address", Kind::NetworkBits, "The address here that it came in at."),
        Column::new("file", Kind::FileName("filters"), "The file with the programs to run."),
    ],
    lookup: "All rows of which every column matches select their file; each file runs once, at most 128, in order.",
    missing: "No filters.",
    written_by: "CTRL cfgfileset.",
    notes: &["What happens when a program is missing or fails is said by FilterMissing in server.tab."],
    load: problems_of::<FilterRules>,
    examples: &[row(
        &["*", "*@home.test", "0.0.0.0/0", "0.0.0.0/0", "scan.tab"],
        "filters/scan.tab looks at all mail for home.test.",
    )],
    section: "mailroot.md 13.3",
    ..BLANK
};

/// `filters/` and the filters of SMTP.
pub static FILTER_FILES: TableSchema = TableSchema {
    name: "filter files",
    files: &["filters/<file>", "filters.post-rcpt.tab", "filters.pre-data.tab", "filters.post-data.tab"],
    summary: "The programs of a filter file, or those that SMTP runs after RCPT, before DATA and after the mail data.",
    rows: RowSpec::at_least(1, 1022),
    columns: &[
        Column::optional(
            "!flags",
            Kind::Options(&FILTER_FLAGS),
            "none",
            "When the program is skipped, and how long it has. With ! in front.",
        ),
        Column::new("program", Kind::Program, "The program: an absolute path. It is run without a shell."),
        Column::repeated("argument", Kind::Argument, 0, "What the program gets; macros are replaced."),
    ],
    lookup: "All rows in order.",
    missing: "The message passes; what filters.in.tab or filters.out.tab select and is missing is up to FilterMissing in server.tab.",
    written_by: "CTRL cfgfileset (filters.*.tab).",
    notes: &[
        "Exit codes in filters/: as those of the command filter in mailproc.tab; 16 more: no further programs.",
        "Exit codes in SMTP: 3: refuse, with the first line of the file's name with .rej as the reply. 16 more: no further programs of the file. Else: accept; after the mail data 7 means that the program has changed it.",
        "Macros in filters/: FROM RFROM RCPT RRCPT FILE MSGID MSGREF LOCALADDR REMOTEADDR USERAUTH. In SMTP: FROM CRCPT RRCPT FILE MSGREF LOCALADDR REMOTEADDR USERAUTH.",
    ],
    load: problems_of::<FilterProgram>,
    examples: &[
        row(&["/opt/mail/scan", "@@FILE"], "scan looks at the message."),
        row(
            &["!aex,timeo=20", "/opt/mail/greylist", "@@REMOTEADDR"],
            "greylist does, unless the sender has authenticated; it has 20 seconds.",
        ),
    ],
    section: "mailroot.md 13.4",
    ..BLANK
};

/// The parts of a message that `rules.tab` looks at, in the order of [`MessagePart`](crate::mailroot::rules::MessagePart).
pub const PARTS: Words = words!(
    "subject": "the subject",
    "from": "From, Sender and Reply-To",
    "to": "To and Cc",
    "header": "each field of the header, as name: value",
    "body": "the text, HTML without its tags",
    "attachment": "the names of attached files",
);

/// How `rules.tab` compares.
pub const COMPARISONS: Words =
    words!("contains": "the text is somewhere in it", "matches": "the whole fits the pattern with * and ?");

/// What `rules.tab` does with a message, in the order of [`Action`](crate::mailroot::rules::Action).
pub const ACTIONS: Words = words!(
    "junk": "it is delivered, marked with X-Spam-Flag: YES, into the folder for junk where JunkFolder of the account says so",
    "reject": "its sender gets a notice",
    "delete": "it is deleted, and nobody is told",
);

/// `rules.tab`.
pub static RULES: TableSchema = TableSchema {
    name: "rules.tab",
    files: &["rules.tab", "domains/<domain>/rules.tab"],
    summary: "Rules about what is in a message for an account or list here: keywords and conditions.",
    rows: RowSpec::at_least(6, 2046),
    columns: &[
        Column::new(
            "rule",
            Kind::Text,
            "The name of the rule. Rows of one name are conditions that must all hold.",
        ),
        Column::new(
            "recipient",
            Kind::AddressPattern,
            "The recipients, by the account's own address: * for all, *@home.test for a domain.",
        ),
        Column::new("part", Kind::OneOf(PARTS), "Where to look."),
        Column::new("comparison", Kind::OneOf(COMPARISONS), "How to compare, without regard to case."),
        Column::new("text", Kind::Text, "What to look for."),
        Column::new(
            "rule action",
            Kind::OneOf(ACTIONS),
            "What becomes of the message; of a rule its first row counts.",
        ),
    ],
    lookup: "Rules are tried in the order of their first rows; the first that holds decides. Those of the MailRoot come first, then those of the account's domain.",
    missing: "There are no rules.",
    written_by: "The pages of the web administration.",
    notes: &[
        "Rules are tried before local delivery, before the programs of filters.in.tab. The first megabyte of a message counts.",
        "XMail and JDMail do not look at it.",
    ],
    load: problems_of::<Rules>,
    examples: &[
        row(&["lottery", "*", "subject", "contains", "lottery", "junk"], "Mail about lotteries is marked."),
        row(
            &["fraud", "*", "from", "matches", "*bank.example*", "reject"],
            "Mail that claims to be from bank.example,",
        ),
        row(
            &["fraud", "*", "body", "contains", "your password", "reject"],
            "and asks for a password goes back.",
        ),
    ],
    origin: Origin::Tabmail,
    section: "jdmail.md JD-56",
    ..BLANK
};
