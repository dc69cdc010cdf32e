//! `tabmail explain`: what the server would do with a recipient or a client, or what became of a message, and which
//! rows decide.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};

use super::root::{NoMailRoot, Root};
use crate::clock::Clock;
use crate::dns::{Config as DnsConfig, Resolver, SetupError};
use crate::durable::Disk;
use crate::explain::render::Renderer;
use crate::explain::rows::Rows;
use crate::explain::{self, Client, ExplainError, Explanation, SOMEWHERE_ELSE, Settings};
use crate::language::Language;
use crate::mailbox::Mailboxes;
use crate::mailroot::{MailRoot, Snapshot};
use crate::net::tls::TlsStore;
use crate::options::{Options, OptionsError, command_line_words};
use crate::server::dns_config;

/// `tabmail explain`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Explain {
    /// The MailRoot; else that of the server's options.
    #[command(flatten)]
    pub root: Root,
    /// The server's XMail options, in one word (else MAIL_CMD_LINE): -Mm, -Sr, -Se, -Qt, -Qi, -Qr, -M6 count
    #[arg(long, global = true, value_name = "XMAIL OPTIONS", allow_hyphen_values = true)]
    pub options: Option<String>,
    /// Text for people, or JSON for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The language of --format text; JSON is English
    #[arg(long, global = true, value_enum, default_value_t = Tongue::En)]
    pub language: Tongue,
    /// Do not ask the DNS; what it might say against the client is taken as not said
    #[arg(long, global = true)]
    pub no_dns: bool,
    /// What to explain
    #[command(subcommand)]
    pub what: What,
}

const AFTER_HELP: &str = "\
Nothing is written, no program is run and no mail is sent. Numbers in front are the steps in the server's order; a row
behind `not` is one that nearly decided. Passwords are not shown.
Exit code: 0 mail is accepted and goes somewhere, 1 it is refused or returned, 2 wrong usage or trouble.";

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// In which language an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tongue {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

impl From<Tongue> for Language {
    fn from(tongue: Tongue) -> Self {
        match tongue {
            Tongue::En => Self::English,
            Tongue::Zh => Self::Chinese,
        }
    }
}

/// What is explained.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Where mail to an address goes, from the connection to the mailbox or the other server
    Rcpt {
        /// The recipient
        address: String,
        /// Who sends it
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Whether a client may relay
    Relay {
        /// The recipient elsewhere
        #[arg(long, value_name = "ADDRESS", default_value_t = format!("somebody@{SOMEWHERE_ELSE}"))]
        to: String,
        /// Who relays
        #[command(flatten)]
        client: ClientArguments,
    },
    /// Where a message in the queue stands, and what its next attempt will do
    Message {
        /// Its spool name or the beginning of it, or its message number
        id: String,
    },
}

/// Who asks.
#[derive(Debug, Args)]
pub struct ClientArguments {
    /// The sender [default: the log-in where it is an address, else the null sender]
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// The client's address [default: a stranger's, 192.0.2.1, about whom the DNS is not asked]
    #[arg(long, value_name = "IP")]
    pub ip: Option<IpAddr>,
    /// Logged in under this name; the password is taken as right
    #[arg(long, value_name = "NAME")]
    pub auth: Option<String>,
    /// The name of EHLO
    #[arg(long, value_name = "NAME", default_value = "client.invalid")]
    pub helo: String,
    /// The size of the message, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub size: u64,
    /// With TLS
    #[arg(long)]
    pub tls: bool,
    /// Our end: the address and port that the client came to
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:25")]
    pub local: SocketAddr,
}

/// A documentation address (RFC 5737): nobody's.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Any port of a client; it decides nothing.
const CLIENT_PORT: u16 = 49152;

impl ClientArguments {
    fn client(&self) -> Client {
        let by_login = self.auth.as_ref().filter(|login| login.contains('@')).cloned();
        Client {
            peer: SocketAddr::new(self.ip.unwrap_or(STRANGER), CLIENT_PORT),
            local: self.local,
            helo: self.helo.clone(),
            is_tls: self.tls,
            login: self.auth.clone(),
            sender: self.from.clone().or(by_login).unwrap_or_default(),
            size_bytes: self.size,
            content: None,
        }
    }
}

impl Explain {
    /// Explains on standard output; tells whether mail gets somewhere.
    ///
    /// # Errors
    /// Wrong usage, a MailRoot that is none, no such message.
    pub async fn run(&self) -> Result<bool, ExplainCommandError> {
        let (root, options) = self.mail_root()?;
        let snapshot = Arc::new(Snapshot::load(&root));
        let clock = Clock::system();
        let settings = Settings {
            mailboxes: Mailboxes::new(root.clone(), options.mailbox_kind, Disk::default()),
            resolver: self.resolver(&options, &snapshot)?,
            asks_about_peer: self.names_peer(),
            clock: clock.clone(),
            recipients_max: options.smtp.recipients_max,
            pop_auth_lifetime: options.smtp.pop_auth_lifetime,
            retry: options.retry,
            is_tls_available: TlsStore::new(root.path()).available(),
            within: None,
            snapshot,
        };
        let explanations = match &self.what {
            What::Rcpt { address, client } => {
                vec![explain::rcpt(&settings, &client.client(), address).await?]
            }
            What::Relay { to, client } => {
                vec![explain::relay(&settings, &client.client(), to).await?]
            }
            What::Message { id } => explain::message(&settings, id).await?,
        };
        let mut renderer = Renderer::new(Rows::of(&root), clock, self.language.into());
        let text = self.shown(&explanations, &mut renderer);
        io::stdout().write_all(text.as_bytes())?;
        Ok(explanations.iter().all(Explanation::is_good))
    }

    fn shown(&self, explanations: &[Explanation], renderer: &mut Renderer) -> String {
        match self.format {
            Format::Text => {
                let texts: Vec<String> = explanations.iter().map(|one| renderer.text(one)).collect();
                texts.join("\n")
            }
            Format::Json => {
                let mut values: Vec<_> = explanations.iter().map(|one| renderer.json(one)).collect();
                // A message number means one message for each of its recipients.
                let value = match (&self.what, values.len()) {
                    (What::Message { .. }, _) => values.into(),
                    (_, _) => values.pop().unwrap_or_default(),
                };
                format!("{value:#}\n")
            }
        }
    }

    /// Nothing can be asked about a stranger who is nobody in particular.
    fn names_peer(&self) -> bool {
        matches!(&self.what, What::Rcpt { client, .. } | What::Relay { client, .. } if client.ip.is_some())
    }

    fn mail_root(&self) -> Result<(MailRoot, Options), ExplainCommandError> {
        let from_environment = || std::env::var("MAIL_CMD_LINE").unwrap_or_default();
        let words = command_line_words(&self.options.clone().unwrap_or_else(from_environment));
        let (options, _) = Options::parse(&words)?;
        let given = self.root.mail_root.clone().or_else(|| options.mail_root.clone());
        let path = Root { mail_root: given }.path()?;
        if !path.is_dir() {
            return Err(ExplainCommandError::MissingMailRoot(path));
        }
        Ok((MailRoot::new(path), options))
    }

    /// The server's resolver, but for the cache in the MailRoot.
    fn resolver(&self, options: &Options, snapshot: &Snapshot) -> Result<Option<Resolver>, SetupError> {
        if self.no_dns {
            return Ok(None);
        }
        let config = DnsConfig { cache: None, ..dns_config(options, snapshot) };
        Resolver::new(config).map(Some)
    }
}

/// Why nothing is explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainCommandError {
    /// Nothing names a MailRoot.
    #[error(transparent)]
    NoMailRoot(#[from] NoMailRoot),
    /// It is not there.
    #[error("{}: is not a directory", .0.display())]
    MissingMailRoot(PathBuf),
    /// The server's options cannot be read.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// No resolver.
    #[error(transparent)]
    Resolver(#[from] SetupError),
    /// No such message, or the disk.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
}
