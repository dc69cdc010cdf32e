//! `tabmail web`: the web administration as a process of its own, beside a server or without one.

use std::path::PathBuf;

use clap::Args;

use super::root::{NoMailRoot, Root};
use crate::options::{Options, OptionsError, command_line_words};
use crate::server::web::{WebError, WebOptions, run_web};

/// `tabmail web`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Web {
    /// The MailRoot.
    #[command(flatten)]
    pub root: Root,
    /// Where to listen: addr:port, an address or a port [default: 127.0.0.1:8080, with --tls 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Serve over TLS, with server.cert and server.key of the MailRoot
    #[arg(long)]
    pub tls: bool,
    /// A directory like webadmin/, whose templates, styles and texts go over the embedded ones
    #[arg(long, value_name = "DIR")]
    pub templates: Option<PathBuf>,
    /// Where backups are made and read [default: backups in the MailRoot]
    #[arg(long, value_name = "DIR")]
    pub backups: Option<PathBuf>,
    /// Lets the pages start the mail server, with MAIL_CMD_LINE; not where systemd or another service manager does
    #[arg(long)]
    pub may_start: bool,
}

const AFTER_HELP: &str = "\
The pages are at /jdwa/. The first start makes the administrator admin with a random password and prints it once.
MAIL_CMD_LINE holds the mail server's options; -Mm and -MM count, and those that tell where mail goes.";

/// Why the administration is not served.
#[derive(Debug, thiserror::Error)]
pub enum WebCommandError {
    /// Nothing names a MailRoot.
    #[error(transparent)]
    NoMailRoot(#[from] NoMailRoot),
    /// The server's options cannot be read.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// It does not start.
    #[error(transparent)]
    Web(#[from] WebError),
}

impl Web {
    /// Serves until a signal ends it.
    ///
    /// # Errors
    /// [`WebCommandError`].
    pub async fn run(&self) -> Result<(), WebCommandError> {
        let line = std::env::var("MAIL_CMD_LINE").unwrap_or_default();
        let (options, _) = Options::parse(&command_line_words(&line))?;
        let options = Options { mail_root: Some(self.root.path()?), ..options };
        let web = WebOptions {
            listen: self.listen.clone(),
            tls: self.tls,
            templates: self.templates.clone(),
            backups: self.backups.clone(),
            may_start: self.may_start,
        };
        Ok(run_web(options, &web).await?)
    }
}
