//! External programs of command files: macros and temporary copies (`mailflow.md` 1.7, 1.8).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use super::attempt::Job;
use super::on_disk;
use super::plan::Message;
use crate::durable::FILE_MODE;
use crate::exec::{self, ExecError, Exit};
use crate::mailroot::command_file::{Priority, ProgramCommand};
use crate::message::auth_user;

/// How a program ended, and what the log calls it.
pub(super) struct Run {
    pub(super) program: String,
    pub(super) result: Result<Exit, ExecError>,
}

/// Values of the macros for one message.
pub(super) struct Macros {
    values: Vec<(&'static str, BString)>,
}

impl Macros {
    /// `account` is the account of a mailproc; command aliases and custom domains have none.
    pub(super) fn new(job: &Job, account: Option<&str>) -> Self {
        let file = &job.file;
        let sender = file.reverse_path.mailbox().map(ToString::to_string).unwrap_or_default();
        let user = auth_user(&job.head).map_or(BString::from("-"), |user| BString::from(user.into_owned()));
        let path = BString::from(job.attempt.path().into_os_string().into_encoded_bytes());
        let mut values: Vec<(&'static str, BString)> = vec![
            ("FROM", sender.into()),
            ("RCPT", file.forward_path.mailbox().to_string().into()),
            ("FILE", path),
            ("MSGID", job.attempt.name().file_name().into()),
            ("MSGREF", file.header.number.clone()),
            ("LOCALADDR", file.header.server().to_owned()),
            ("REMOTEADDR", file.header.client().to_owned()),
            ("USERAUTH", user),
        ];
        if let Some(account) = account {
            values.push(("RRCPT", account.into()));
        }
        Self { values }
    }

    /// What is known of a message that is not in the spool yet; the other macros stay as written.
    pub(super) fn planned(message: &Message, account: Option<&str>) -> Self {
        let sender = message.sender.mailbox().map(ToString::to_string).unwrap_or_default();
        let mut values: Vec<(&'static str, BString)> = vec![
            ("FROM", sender.into()),
            ("RCPT", message.recipient.mailbox().to_string().into()),
            ("LOCALADDR", message.server.clone()),
            ("REMOTEADDR", message.client.clone()),
        ];
        values.extend(account.map(|account| ("RRCPT", account.into())));
        Self { values }
    }

    /// Another macro.
    pub(super) fn add(&mut self, name: &'static str, value: &str) {
        self.values.push((name, value.into()));
    }

    /// The value of a macro.
    pub(super) fn value(&self, name: &str) -> Option<BString> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    /// `args` with the macros replaced.
    pub(super) fn expand(&self, args: &[BString]) -> Vec<BString> {
        exec::macros::expand(args, |name| self.value(name))
    }

    /// Makes the `TMPFILE` when one of the arguments asks for it. The program owns the file. Blocks.
    fn provide_temporary(&mut self, job: &Job, args: &[BString]) -> io::Result<()> {
        if !args.iter().any(|arg| arg.contains_str("TMPFILE")) {
            return Ok(());
        }
        let path = temporary_copy(&job.attempt.path(), &job.services.temp_directory)?;
        self.values.push(("TMPFILE", BString::from(path.into_os_string().into_encoded_bytes())));
        Ok(())
    }
}

/// A copy `<directory>/<32 hex digits>.xtmp` (`mailflow.md` 1.3).
fn temporary_copy(from: &Path, directory: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = exec::temporary_path(directory)?;
    let mut copy = fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path)?;
    io::copy(&mut fs::File::open(from)?, &mut copy)?;
    Ok(path)
}

/// Expands and runs an `external` or `filter` command. `None`: the blocking thread was lost.
pub(super) async fn run(
    job: Box<Job>,
    command: &ProgramCommand,
    mut macros: Macros,
) -> Option<(Box<Job>, Run)> {
    let mut words = vec![command.program.clone()];
    words.extend(command.args.iter().cloned());
    let (job, words) = on_disk(move || {
        if let Err(error) = macros.provide_temporary(&job, &words) {
            tracing::error!(%error, "no temporary copy for an external program");
        }
        let words = macros.expand(&words);
        (job, words)
    })
    .await?;
    let program = words.first().map(ToString::to_string).unwrap_or_default();
    let priority = match command.priority {
        Priority::BelowNormal => exec::Priority::Below,
        Priority::Normal => exec::Priority::Normal,
        Priority::AboveNormal => exec::Priority::Above,
    };
    let wait = exec::wait_from_column(i64::try_from(command.wait_secs).unwrap_or(i64::MAX));
    let result = match exec::Command::from_words(&words) {
        Some(command) => exec::run(command.with_priority(priority), wait).await,
        None => {
            Err(ExecError::NotStarted { program: PathBuf::new(), source: io::ErrorKind::NotFound.into() })
        }
    };
    Some((job, Run { program, result }))
}
