//! Command files: `mailproc.tab`, `cmdaliases/<domain>/<user>.tab`, `custdomains/*.tab` (`mailroot.md` 13.1, 13.2).
//!
//! ```text
//! "external"   priority  wait  program  arg...      "filter"  the same
//! "redirect"   target...                            "lredirect"  the same
//! "smtprelay"  hosts [options]                      "mailbox"    "smtp"
//! ```
//!
//! Names fold case. Arguments are raw: macros are expanded when a command runs. A row that cannot be a command keeps
//! its place as [`Command::Unknown`] or [`Command::Malformed`] with a problem, so that a private copy of the file can
//! be worked off line by line.

use bstr::{BString, ByteSlice};

use super::problem::{ProblemKind, Problems};
use super::routing::GatewayList;
use super::schema::CommandSchema;
use super::schema::kind::has_macro;
use super::schema::tables::processing::{CMDALIASES, COMMAND_NAMES, MAILPROC};
use super::server_tab::leading_number;
use super::table::{Row, RowSpec, Table};

/// The commands of one file, in order.
#[derive(Clone, Debug, Default)]
pub struct CommandFile {
    rows: Vec<CommandRow>,
}

/// One line of a command file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRow {
    /// The line, from 1.
    pub line: u32,
    /// What to do.
    pub command: Command,
    /// The line as written, without its end, for private copies.
    pub raw: BString,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `external`: run a program with the message.
    External(ProgramCommand),
    /// `filter`: run a program that may judge and change the message.
    Filter(ProgramCommand),
    /// `mailbox`: deliver to the account's mailbox.
    Mailbox,
    /// `redirect`: a new message for each target, the sender kept. A target is an address, or a domain.
    Redirect(Vec<BString>),
    /// `lredirect`: the same, with the account as sender.
    Lredirect(Vec<BString>),
    /// `smtprelay`: send through these hosts.
    SmtpRelay(SmtpRelayCommand),
    /// `smtp`: send to the original domain.
    Smtp,
    /// A name that is no command: logged and skipped.
    Unknown(BString),
    /// A command with too few columns: a permanent error of this line.
    Malformed(BString),
}

/// The columns of `external` and `filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramCommand {
    /// Below, at or above the normal priority.
    pub priority: Priority,
    /// How long to wait for the program, in seconds; 0: do not wait.
    pub wait_secs: u64,
    /// The program.
    pub program: BString,
    /// Its arguments; at least one.
    pub args: Vec<BString>,
}

/// The priority column: a negative number, 0, or a positive one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Nice +5.
    BelowNormal,
    /// As the server.
    Normal,
    /// Nice -5.
    AboveNormal,
}

/// The columns of `smtprelay`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpRelayCommand {
    /// The host list as written.
    pub hosts: BString,
    /// The options column as written; empty where there is none.
    pub options: BString,
}

impl SmtpRelayCommand {
    /// The hosts with their options (decision 34); `SmtpGwConfig` goes before them with
    /// [`GatewayList::with_options`].
    pub fn gateways(&self) -> GatewayList {
        GatewayList::from_columns(&self.hosts, &self.options)
    }
}

impl CommandFile {
    /// Whether the file has no rows at all: mail then goes to the mailbox (decision 11).
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All rows in order.
    pub fn rows(&self) -> &[CommandRow] {
        &self.rows
    }
}

impl Table for CommandFile {
    const SPEC: RowSpec = CMDALIASES.rows;

    fn push(&mut self, row: Row<'_>, problems: &mut Problems) {
        let command = Command::of_row(&row, problems);
        let is_mailproc = problems.file().file_name().is_some_and(|name| name == MAILPROC.name);
        let works = |known: &CommandSchema| if is_mailproc { known.in_mailproc } else { known.in_aliases };
        if CMDALIASES.command(row.bytes(0)).is_some_and(|known| !works(known)) {
            let found = row.bytes(0).to_string();
            problems.note(row.line, row.column(0), ProblemKind::NoEffectHere(found));
        }
        // XMail reads this one of the command files in shorter pieces. One byte more: the line end.
        let (length, limit) = (row.raw.len() + 1, MAILPROC.rows.line_bytes_max);
        if is_mailproc && length > limit && length <= Self::SPEC.line_bytes_max {
            problems.note(row.line, 0, ProblemKind::LineTooLong { length, limit });
        }
        self.rows.push(CommandRow { line: row.line, command, raw: row.raw.into() });
    }
}

impl Command {
    fn of_row(row: &Row<'_>, problems: &mut Problems) -> Self {
        let name = row.bytes(0);
        let Some(known) = CMDALIASES.command(name) else {
            let (found, accepted) = (name.to_string(), COMMAND_NAMES);
            // XMail skips the line and reads on (`mailroot.md` 13.2); its own sample has such a one.
            problems.note(row.line, row.column(0), ProblemKind::CountsForNothing { found, accepted });
            return Self::Unknown(name.to_owned());
        };
        let needed = known.columns_min();
        let found = row.fields.len();
        if found < needed {
            problems.note(row.line, 0, ProblemKind::TooFewColumns { needed, found });
            return Self::Malformed(name.to_owned());
        }
        let mut targets = || {
            known.check(row, 1..found, problems);
            row.values_from(1).map(ToOwned::to_owned).collect()
        };
        match name.to_ascii_lowercase().as_slice() {
            b"external" => Self::External(ProgramCommand::of_row(row, known, problems)),
            b"filter" => Self::Filter(ProgramCommand::of_row(row, known, problems)),
            b"mailbox" => Self::Mailbox,
            b"redirect" => Self::Redirect(targets()),
            b"lredirect" => Self::Lredirect(targets()),
            b"smtprelay" => Self::SmtpRelay(relay(row, problems)),
            b"smtp" => Self::Smtp,
            _ => Self::Unknown(name.to_owned()),
        }
    }
}

impl ProgramCommand {
    fn of_row(row: &Row<'_>, known: &CommandSchema, problems: &mut Problems) -> Self {
        known.check(row, [3], problems);
        let priority = match number(row, 1, problems) {
            ..0 => Priority::BelowNormal,
            0 => Priority::Normal,
            1.. => Priority::AboveNormal,
        };
        Self {
            priority,
            wait_secs: u64::try_from(number(row, 2, problems)).unwrap_or(0),
            program: row.bytes(3).to_owned(),
            args: row.values_from(4).map(ToOwned::to_owned).collect(),
        }
    }
}

fn relay(row: &Row<'_>, problems: &mut Problems) -> SmtpRelayCommand {
    // With a macro in it the list can only be judged when the command runs.
    if !has_macro(row.bytes(1)) {
        GatewayList::of_row(row, 1, problems);
    }
    SmtpRelayCommand { hosts: row.bytes(1).to_owned(), options: row.bytes(2).to_owned() }
}

fn number(row: &Row<'_>, index: usize, problems: &mut Problems) -> i64 {
    let value = row.bytes(index);
    if value.to_str().ok().and_then(|text| text.parse::<i64>().ok()).is_none() {
        problems.note(row.line, row.column(index), ProblemKind::NotANumber(value.to_string()));
    }
    leading_number(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::table::load_text;

    fn program(args: &[&str]) -> ProgramCommand {
        ProgramCommand {
            priority: Priority::Normal,
            wait_secs: 90,
            program: "/opt/mail/scan".into(),
            args: args.iter().map(|&arg| arg.into()).collect(),
        }
    }

    #[track_caller]
    fn check(file: &str, line: &str, expected: Command, problems: &[&str]) {
        let (table, found) = load_text::<CommandFile>(file, &format!("{line}\r\n"));
        assert_eq!(table.rows(), [CommandRow { line: 1, command: expected, raw: line.into() }]);
        assert_eq!(found, problems);
    }

    #[test]
    fn every_command_is_read() {
        let file = "mailproc.tab";
        let filter = "\"filter\"\t\"0\"\t\"90\"\t\"/opt/mail/scan\"\t\"@@FILE\"";
        check(file, filter, Command::Filter(program(&["@@FILE"])), &[]);
        let external = "\"EXTERNAL\"\t0\t90\t/opt/mail/scan\t\"$(RCPT) \\\"x\\\"\"\t\"\"";
        check(file, external, Command::External(program(&["$(RCPT) \"x\"", ""])), &[]);
        check(file, "\"mailbox\"", Command::Mailbox, &[]);
        let targets = vec!["anna@isp.example".into(), "isp.example".into()];
        check(file, "redirect\tanna@isp.example\tisp.example", Command::Redirect(targets.clone()), &[]);
        check(file, "lredirect\tanna@isp.example\tisp.example", Command::Lredirect(targets), &[]);
        check("custdomains/.tab", "\"smtp\"", Command::Smtp, &[]);
    }

    /// The row of golden `mailproc_smtprelay_rnd`.
    #[test]
    fn smtprelay_keeps_its_text_and_knows_its_hosts() {
        let relay =
            SmtpRelayCommand { hosts: "#127.0.0.3:2626,NeedTLS=0".into(), options: "NeedTLS=2".into() };
        let gateways = relay.gateways();
        assert!(gateways.random);
        assert_eq!(gateways.hosts[0].options.need_tls, Some(super::super::routing::NeedTls::No));
        let line = "\"smtprelay\"\t\"#127.0.0.3:2626,NeedTLS=0\"\t\"NeedTLS=2\"";
        check("mailproc.tab", line, Command::SmtpRelay(relay), &[]);
        let relay = SmtpRelayCommand { hosts: "".into(), options: "".into() };
        check("x.tab", "smtprelay\t\"\"", Command::SmtpRelay(relay), &["x.tab:1:11: names no host"]);
        let relay = SmtpRelayCommand { hosts: "@@RCPT".into(), options: "".into() };
        check("x.tab", "smtprelay\t@@RCPT", Command::SmtpRelay(relay), &[]);
    }

    #[test]
    fn rows_that_are_no_commands_keep_their_place() {
        check(
            "mailproc.tab",
            "\"external\"\t\"0\"\t\"90\"\t\"/opt/mail/scan\"",
            Command::Malformed("external".into()),
            &["mailproc.tab:1: needs 5 columns, has 4; the row is ignored"],
        );
        check(
            "mailproc.tab",
            "redirect",
            Command::Malformed("redirect".into()),
            &["mailproc.tab:1: needs 2 columns, has 1; the row is ignored"],
        );
        check(
            "mailproc.tab",
            "\"wait\"\t\"5\"",
            Command::Unknown("wait".into()),
            &[
                "mailproc.tab:1:1: \"wait\" counts for nothing: accepted are external, filter, mailbox, redirect, lredirect, smtprelay, smtp",
            ],
        );
    }

    /// Decision 11: `check` names the line; mail is not lost by it.
    #[test]
    fn commands_of_the_other_kind_of_file_are_reported() {
        let here = "mailproc.tab:1:1: has no effect in this file: \"SMTP\"";
        check("domains/a.test/mailproc.tab", "SMTP", Command::Smtp, &[&format!("domains/a.test/{here}")]);
        let here = "custdomains/a.test.tab:1:1: has no effect in this file: \"mailbox\"";
        check("custdomains/a.test.tab", "mailbox", Command::Mailbox, &[here]);
    }

    /// `mailroot.md` 6: 510 bytes in `mailproc.tab`, 1022 in the others.
    #[test]
    fn long_lines_are_reported_by_the_kind_of_file() {
        let reported = |file: &str, length: usize| {
            let line = format!("redirect\ta@{}", "b".repeat(length - "redirect\ta@".len() - 1));
            load_text::<CommandFile>(file, &format!("{line}\n")).1.len()
        };
        assert_eq!([510, 511, 1023].map(|length| reported("mailproc.tab", length)), [0, 1, 1]);
        assert_eq!([511, 1022, 1023].map(|length| reported("cmdaliases/d/a.tab", length)), [0, 0, 1]);
    }

    #[test]
    fn priority_and_wait_are_numbers() {
        let read = |priority: &str, wait: &str| {
            let line = format!("filter\t{priority}\t{wait}\t/p\ta\n");
            let (table, problems) = load_text::<CommandFile>("x.tab", &line);
            match &table.rows()[0].command {
                Command::Filter(command) => (command.priority, command.wait_secs, problems.len()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(read("-1", "0"), (Priority::BelowNormal, 0, 0));
        assert_eq!(read("1", "5"), (Priority::AboveNormal, 5, 0));
        assert_eq!(read("x", "-5"), (Priority::Normal, 0, 1));
    }

    #[test]
    fn a_file_of_comments_is_empty() {
        assert!(load_text::<CommandFile>("mailproc.tab", "# mailbox\n\n").0.is_empty());
        assert!(!load_text::<CommandFile>("mailproc.tab", "wait\n").0.is_empty());
    }
}
