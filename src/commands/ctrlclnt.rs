//! `tabmail ctl`, XMail's `CtrlClnt`: one command for a CTRL server, ours or XMail's (`mailroot.md` 18.3, `mailflow.md`
//! 11; golden `ctrlclnt`).
//!
//! [`options`] reads the command line, [`session`] decides, this file connects, reads and writes. Listings go to
//! standard output or `-f`, with LF line ends; what the server asks for comes from standard input or `-f`. With `--tsv`,
//! which is ours, listings are `plain`: columns without quotes.
//!
//! Exit codes: 0 the server said yes, 1 the program could not begin, 3 usage, 4 everything else, with XMail's three
//! lines on standard error. Limits: `-t` for each wait; lines of [`LINE_BYTES_MAX`] octets.

pub mod options;
pub(super) mod plain;
pub mod session;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::durable::FILE_MODE;
use crate::net::tls::{ClientTls, ClientVerify, TlsError};
use crate::net::{Connection, Line, ReadError, Stream};
use crate::status::{number, xmail_error_text};
use crate::tab::Unrepresentable;

pub use options::Environment;
use options::{Link, Options};
use session::{Action, Session, SessionError};

/// Octets of a line from the server: a line of a message in the queue may be long.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Why the command was not done.
#[derive(Debug, thiserror::Error)]
pub enum CtrlError {
    /// The command line cannot be used.
    #[error("{0}")]
    Usage(String),
    /// No runtime.
    #[error("cannot begin: {0}")]
    Runtime(io::Error),
    /// The server said no, or what nobody understands.
    #[error("{}", xmail_lines(CTRL_RESPONSE, Some(&.0.to_string())))]
    Session(#[from] SessionError),
    /// The command holds what cannot be sent.
    #[error("{}", xmail_lines(number::CTRL_SYNTAX, Some(&.0.to_string())))]
    Argument(#[from] Unrepresentable),
    /// The server's name has no address.
    #[error("{}", xmail_lines(number::DNS_NAME_NOT_FOUND, Some(&format!("{host}: {reason}"))))]
    Host {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nobody listens there. The number is XMail's, the reason ours (decision 205).
    #[error("{}", xmail_lines(number::END_OF_STREAM, Some(&format!("{peer}: {source}"))))]
    Connect {
        /// The address tried last.
        peer: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The server went away in the middle.
    #[error("{}", xmail_lines(number::END_OF_STREAM, None))]
    Closed,
    /// The server kept silent for `-t` seconds.
    #[error("{}", xmail_lines(TIMEOUT, Some(&format!("no answer for {} s", .0.as_secs()))))]
    Silent(Duration),
    /// The connection broke.
    #[error("{}", xmail_lines(number::END_OF_STREAM, Some(&.0.to_string())))]
    Broken(#[source] io::Error),
    /// A line longer than [`LINE_BYTES_MAX`].
    #[error("{}", xmail_lines(number::LINE_TOO_LONG, None))]
    LineTooLong,
    /// No TLS.
    #[error("{}", xmail_lines(TLS_CONNECT, Some(&.0.to_string())))]
    Tls(#[from] TlsError),
    /// The file to send, or for the listing.
    #[error("{}", xmail_lines(*number, Some(&format!("{}: {source}", path.display()))))]
    File {
        /// Which; `-` is a standard stream.
        path: PathBuf,
        /// XMail's number.
        number: i32,
        /// Why.
        source: io::Error,
    },
}

impl CtrlError {
    /// XMail's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Usage(_) => 3,
            _ => 4,
        }
    }
}

/// What XMail's programs print about an error.
fn xmail_lines(error_number: i32, info: Option<&str>) -> String {
    let mut lines = format!("ErrCode   = -{error_number}\nErrString = {}", xmail_error_text(error_number));
    if let Some(info) = info {
        lines.push_str("\nErrInfo   = ");
        lines.push_str(info);
    }
    lines
}

/// XMail's `Timeout error`.
const TIMEOUT: i32 = 5;
/// XMail's `Unable to create file`.
const FILE_CREATE: i32 = 10;
/// XMail's `Unable to write file`.
const FILE_WRITE: i32 = 21;
/// XMail's `Controller response error`.
const CTRL_RESPONSE: i32 = 138;
/// XMail's `Error reading file`.
const FILE_READ: i32 = 154;
/// XMail's `Error establishing SSL connection (connect)`.
const TLS_CONNECT: i32 = 234;

/// Sends one command. `program` is how the program was called, for the usage.
///
/// # Errors
/// [`CtrlError`]; its text is what is printed.
pub fn run(program: &str, words: &[String], environment: &Environment) -> Result<(), CtrlError> {
    let options =
        Options::parse(words, environment).ok_or_else(|| CtrlError::Usage(options::usage(program)))?;
    if options.debug {
        crate::logs::init_tracing(true);
    }
    let session = Session::new(&options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CtrlError::Runtime)?.block_on(converse(&options, session))
}

async fn converse(options: &Options, mut session: Session) -> Result<(), CtrlError> {
    // The files are looked at before anything is asked of the server.
    let tls = client_tls(options)?;
    let mut connection = connect(options).await?;
    let host = options.server.as_str();
    if options.link == Link::ImplicitTls {
        connection.start_client_tls(&tls, host).await?;
    }
    let is_tsv = options.is_tsv && !options.command.first().is_some_and(|name| plain::is_content(name));
    let mut listing = None;
    loop {
        let line = read_line(&mut connection, options.timeout).await?;
        match session.on_line(&line)? {
            Action::Send(octets) => connection.write_all(&octets).await.map_err(CtrlError::Broken)?,
            Action::StartTls => {
                connection.start_client_tls(&tls, host).await?;
                let log_in = session.on_tls()?;
                connection.write_all(&log_in).await.map_err(CtrlError::Broken)?;
            }
            Action::Upload => {
                let octets = session::upload(&read_input(options.file.as_deref())?);
                connection.write_all(&octets).await.map_err(CtrlError::Broken)?;
            }
            Action::BeginListing => listing = Some(Listing::open(options.file.as_deref())?),
            Action::ListingLine(line) => {
                if let Some(listing) = &mut listing {
                    listing.write(&if is_tsv { plain::row(&line) } else { line })?;
                }
            }
            Action::Done => break,
        }
    }
    if let Some(listing) = listing {
        listing.finish()?;
    }
    // The command is done; that the server hears a farewell changes nothing.
    connection.queue(session::FAREWELL);
    let _ = connection.close().await;
    Ok(())
}

async fn connect(options: &Options) -> Result<Connection, CtrlError> {
    let host = options.server.trim_start_matches('[').trim_end_matches(']');
    let unknown = |reason: String| CtrlError::Host { host: host.to_owned(), reason };
    let found = tokio::net::lookup_host((host, options.port)).await;
    let addresses: Vec<SocketAddr> = found.map_err(|error| unknown(error.to_string()))?.collect();
    let mut failed = unknown("no address".to_owned());
    for peer in addresses {
        match Stream::connect(peer, None, options.timeout).await {
            Ok(stream) => return Ok(Connection::new(stream)),
            Err(source) => failed = CtrlError::Connect { peer, source },
        }
    }
    Err(failed)
}

async fn read_line(connection: &mut Connection, timeout: Duration) -> Result<Vec<u8>, CtrlError> {
    match connection.read_line(LINE_BYTES_MAX, timeout).await {
        Ok(Line::Text(line, _)) => Ok(line),
        Ok(Line::TooLong) => Err(CtrlError::LineTooLong),
        Err(ReadError::Eof) => Err(CtrlError::Closed),
        Err(ReadError::Timeout(limit)) => Err(CtrlError::Silent(limit)),
        Err(ReadError::Io(source)) => Err(CtrlError::Broken(source)),
    }
}

/// `-X` or `-H` ask for a certificate that leads there; like XMail we do not compare names.
fn client_tls(options: &Options) -> Result<ClientTls, TlsError> {
    let verify = ClientVerify {
        want_verify: options.ca_file.is_some() || options.ca_directory.is_some(),
        ca_file: options.ca_file.clone(),
        ca_dir: options.ca_directory.clone(),
        ..ClientVerify::default()
    };
    match &options.identity {
        Some((cert, key)) => ClientTls::with_identity(&verify, cert, key),
        None => ClientTls::new(&verify),
    }
}

fn read_input(path: Option<&Path>) -> Result<Vec<u8>, CtrlError> {
    let read = match path {
        Some(path) => fs::read(path),
        None => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
    };
    read.map_err(|source| {
        let number = if path.is_some() { number::FILE_OPEN } else { FILE_READ };
        CtrlError::File { path: path.unwrap_or(Path::new("-")).to_owned(), number, source }
    })
}

/// Where a listing goes. A file is opened when the listing begins: a refused command leaves it alone.
struct Listing {
    path: PathBuf,
    output: Box<dyn Write>,
}

impl Listing {
    fn open(path: Option<&Path>) -> Result<Self, CtrlError> {
        let Some(path) = path else {
            return Ok(Self { path: "-".into(), output: Box::new(BufWriter::new(io::stdout())) });
        };
        // Listings hold passwords.
        let opened: io::Result<File> =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path);
        let path = path.to_owned();
        match opened {
            Ok(file) => Ok(Self { path, output: Box::new(BufWriter::new(file)) }),
            Err(source) => Err(CtrlError::File { path, number: FILE_CREATE, source }),
        }
    }

    fn write(&mut self, line: &[u8]) -> Result<(), CtrlError> {
        let written = self.output.write_all(line).and_then(|()| self.output.write_all(b"\n"));
        written.map_err(|source| self.failed(source))
    }

    fn finish(mut self) -> Result<(), CtrlError> {
        self.output.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> CtrlError {
        CtrlError::File { path: self.path.clone(), number: FILE_WRITE, source }
    }
}

#[cfg(test)]
mod tests;
