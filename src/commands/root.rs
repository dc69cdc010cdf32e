//! Which MailRoot a command is about: the same option in all of them.
//!
//! Shape: `-Ms DIR` as XMail has it, or `--mail-root DIR`; else the environment variable `MAIL_ROOT`. Commands with
//! XMail's options (`serve`, `recover`, `ctl`) read `-Ms`, the others `--mail-root`; [`with_one_spelling`] lets both be
//! said everywhere.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Args;

/// The option of every command about one MailRoot.
#[derive(Clone, Debug, Default, Args)]
pub struct Root {
    /// MailRoot, also -Ms DIR (else the environment variable MAIL_ROOT)
    #[arg(long, value_name = "DIR", global = true)]
    pub mail_root: Option<PathBuf>,
}

/// Neither an option nor the environment names a MailRoot.
#[derive(Debug, thiserror::Error)]
#[error("no MailRoot: name its directory with -Ms DIR or in the environment variable MAIL_ROOT")]
pub struct NoMailRoot;

impl Root {
    /// The MailRoot that is named.
    ///
    /// # Errors
    /// [`NoMailRoot`].
    pub fn path(&self) -> Result<PathBuf, NoMailRoot> {
        self.mail_root.clone().or_else(mail_root_from_environment).ok_or(NoMailRoot)
    }
}

/// The MailRoot that the environment names.
pub fn mail_root_from_environment() -> Option<PathBuf> {
    std::env::var_os("MAIL_ROOT").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The words behind `tabmail` with the option spelt as their command reads it.
///
/// Behind `ctl` only the first word can be this option: the others are the command's, and what it writes into tables.
pub fn with_one_spelling(words: Vec<OsString>) -> Vec<OsString> {
    let command = words.first().and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    let spelt = |word: &OsStr| match command.as_str() {
        "serve" | "recover" | "ctl" => as_xmail(word),
        "check" | "diff" | "explain" | "log" | "show" | "rollback" | "status" | "reload" | "web" => {
            (word == XMAILS).then(|| vec![LONG.into()])
        }
        _ => None,
    };
    let read = |(place, word): (usize, OsString)| match spelt(&word) {
        Some(words) if place > 0 && (command != "ctl" || place == 1) => words,
        _ => vec![word],
    };
    words.into_iter().enumerate().flat_map(read).collect()
}

fn as_xmail(word: &OsStr) -> Option<Vec<OsString>> {
    if word == LONG {
        return Some(vec![XMAILS.into()]);
    }
    let directory = word.to_str()?.strip_prefix(LONG)?.strip_prefix('=')?;
    Some(vec![XMAILS.into(), directory.into()])
}

const XMAILS: &str = "-Ms";
const LONG: &str = "--mail-root";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::commands::{Cli, Command};

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let words = line.split(' ').map(OsString::from).collect();
        assert_eq!(with_one_spelling(words).join(OsStr::new(" ")), expected);
    }

    #[test]
    fn both_spellings_are_understood_everywhere() {
        for command in
            ["check", "diff --serving", "explain relay", "log", "show 1", "status", "reload --wait", "web"]
        {
            check(&format!("{command} -Ms /x"), &format!("{command} --mail-root /x"));
        }
        check("serve --mail-root /x -Sl", "serve -Ms /x -Sl");
        check("recover --mail-root=/x", "recover -Ms /x");
        check("ctl --mail-root /x userlist", "ctl -Ms /x userlist");
        check("ctl -Ms /x uservarsset d u V --mail-root", "ctl -Ms /x uservarsset d u V --mail-root");
        check("sendmail -Ms x", "sendmail -Ms x");
    }

    #[test]
    fn every_command_about_one_mailroot_has_the_option_and_says_so() {
        for line in [
            "check",
            "diff --serving",
            "explain relay",
            "log",
            "show 1",
            "rollback 1",
            "status",
            "reload",
            "web",
        ] {
            let words = format!("tabmail {line} --mail-root /x");
            let command = Cli::try_parse_from(words.split(' ')).unwrap().command;
            let root = match command {
                Command::Check(check) => check.root,
                Command::Diff(diff) => diff.root,
                Command::Explain(explain) => explain.root,
                Command::Log(log) => log.root,
                Command::Show(show) => show.root,
                Command::Rollback(rollback) => rollback.root,
                Command::Status(status) => status.root,
                Command::Reload(reload) => reload.root,
                Command::Web(web) => web.root,
                other => panic!("{other:?}"),
            };
            assert_eq!(root.path().unwrap(), PathBuf::from("/x"), "{line}");
            let name = line.split(' ').next().unwrap();
            let help = Cli::command().find_subcommand_mut(name).unwrap().render_help().to_string();
            assert!(help.contains("-Ms DIR"), "{help}");
        }
        let both = Cli::try_parse_from(["tabmail", "check", "/x", "--mail-root", "/y"]);
        assert!(both.is_err(), "one directory at a time");
    }
}
