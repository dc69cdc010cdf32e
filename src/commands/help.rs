//! `tabmail help`: what the tables and variables of a MailRoot mean, from `mailroot::schema`.

use std::io::{self, IsTerminal, Write};

use clap::{Args, CommandFactory};

use super::Cli;
use crate::mailroot::schema::page::Page;
use crate::mailroot::schema::{files, help, table};

/// `tabmail help`.
#[derive(Debug, Args)]
#[command(after_help = TOPICS)]
pub struct Help {
    /// What to explain
    pub topic: Vec<String>,
    /// Print the reference of all tables as Markdown
    #[arg(long, conflicts_with = "topic")]
    pub markdown: bool,
}

const TOPICS: &str = "\
Topics:
  tables            all tables and other files of a MailRoot, a sentence each
  table NAME        one table: mailusers.tab, mailusers, smtp.ipmap, cmdaliases, or the path of a file
  variables         all variables of server.tab and user.tab, a sentence each
  variable NAME     one variable
  NAME              a table, a variable or a command of tabmail";

/// Why nothing was explained.
#[derive(Debug, thiserror::Error)]
pub enum HelpError {
    /// A topic that does not exist.
    #[error("there is no {what} {name}{}", nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default())]
    Unknown {
        /// Table, variable or topic.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What looks most like it.
        nearest: Option<&'static str>,
    },
    /// Standard output does not take it.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}

impl Help {
    /// Prints what was asked for.
    ///
    /// # Errors
    /// [`HelpError`].
    pub fn run(&self) -> Result<(), HelpError> {
        let words: Vec<&str> = self.topic.iter().map(String::as_str).collect();
        let text = match self.markdown {
            true => help::reference().to_markdown(),
            false => explain(&words, width())?,
        };
        match io::stdout().write_all(text.as_bytes()) {
            // The reader of a pipe has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}

/// The explanation of a topic, in lines of at most `width` columns.
fn explain(topic: &[&str], width: usize) -> Result<String, HelpError> {
    let page = match topic {
        [] => return Ok(Cli::command().render_long_help().to_string()),
        ["tables"] => help::tables(),
        ["variables"] => help::variables(),
        ["table" | "file", name] => table_or_file(name)
            .ok_or_else(|| unknown("table", name, table::nearest(name).map(|known| known.name)))?,
        ["variable", name] => {
            help::variable(name).ok_or_else(|| unknown("variable", name, help::nearest_variable(name)))?
        }
        [name] => match table_or_file(name).or_else(|| help::variable(name)) {
            Some(page) => page,
            None => return command_help(name),
        },
        [first, ..] => return Err(unknown("topic", first, None)),
    };
    Ok(page.to_text(width))
}

fn table_or_file(name: &str) -> Option<Page> {
    let of_table = || table::find(name).map(help::table);
    of_table().or_else(|| files::find(name).map(help::other_file))
}

fn command_help(name: &str) -> Result<String, HelpError> {
    let mut program = Cli::command();
    match program.find_subcommand_mut(name) {
        Some(command) => Ok(command.render_long_help().to_string()),
        None => {
            let nearest =
                table::nearest(name).map(|known| known.name).or_else(|| help::nearest_variable(name));
            Err(unknown("topic", name, nearest))
        }
    }
}

fn unknown(what: &'static str, name: &str, nearest: Option<&'static str>) -> HelpError {
    HelpError::Unknown { what, name: name.to_owned(), nearest }
}

/// Columns where standard output is no terminal.
const COLUMNS: usize = 80;

/// Wider lines are hard to read.
const COLUMNS_MAX: usize = 100;

fn width() -> usize {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten();
    terminal.map_or(COLUMNS, |size| usize::from(size.ws_col).clamp(40, COLUMNS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(topic: &str, beginning: &str) {
        let words: Vec<&str> = topic.split_whitespace().collect();
        let found = explain(&words, 80).unwrap_or_else(|error| error.to_string());
        assert!(found.starts_with(beginning), "{topic}: {found}");
    }

    #[test]
    fn topics_are_found() {
        check(
            "table mailusers.tab",
            "mailusers.tab\n\n  The accounts: users with a mailbox, and mailing lists.\n",
        );
        check("table /var/MailRoot/domains/home.test/anna/mailproc.tab", "mailproc.tab\n");
        check("table smtp.ipmap", "ipmap\n");
        check("table .avscan", "domains/<domain>/.avscan\n");
        check(
            "variable MaxMTAOps",
            "MaxMTAOps\n\n  server.tab  A message that has passed more servers than this",
        );
        check("MaxMTAOps", "MaxMTAOps\n");
        check("aliases", "aliases.tab\n");
        check("tables", "Tables\n\n  server.tab ");
        check("variables", "server.tab\n\n  RootDomain ");
        check("serve", "Serve a MailRoot");
        check("", "An all-in-one mail server");
    }

    #[test]
    fn slips_get_a_proposal() {
        check("table mailuser", "there is no table mailuser; did you mean mailusers.tab?");
        check("variable MaxMtaOps", "there is no variable MaxMtaOps; did you mean MaxMTAOps?");
        check("alias.tab", "there is no topic alias.tab; did you mean aliases.tab?");
        check("table zzz", "there is no table zzz");
        check("one two three", "there is no topic one");
    }

    #[test]
    fn a_variable_of_both_files_is_explained_twice() {
        let text = explain(&["variable", "MaxMessageSize"], 80).unwrap();
        assert!(text.contains("\n  server.tab") && text.contains("\n  user.tab"), "{text}");
    }

    #[test]
    fn lines_fit_the_width() {
        for topic in [["table", "mailproc.tab"], ["table", "server.tab"], ["variable", "SmtpConfig"]] {
            let text = explain(&topic, 60).unwrap();
            let is_row = |line: &str| line.contains('\t') || line.contains("\"");
            let too_long: Vec<&str> =
                text.lines().filter(|line| line.chars().count() > 60 && !is_row(line)).collect();
            assert!(too_long.is_empty(), "{too_long:?}");
        }
    }

    /// The page is part of the crate's documentation, so that it can be read where the code is.
    #[test]
    fn the_reference_page_is_up_to_date() {
        let stored = include_str!("../mailroot/schema/reference.md");
        assert!(
            stored == help::reference().to_markdown(),
            "renew it: cargo run -- help --markdown > src/mailroot/schema/reference.md"
        );
    }
}
