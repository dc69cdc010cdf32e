//! `tabmail sendmail`, XMail's `sendmail`: a message from standard input or a file into `spool/local`
//! (`mailflow.md` 7.2; golden `spool_sendmail`).
//!
//! `sendmail [-t] [-i|-oi] [-f addr] [-F text] [--input-file f] [--xinput-file f] [--rcpt-file f] [--] rcpt...`
//!
//! Exit codes are XMail's: 1 no `MAIL_ROOT`, 2 no recipients, 3 input, 4 and 5 the temporary file, 6 recipient file,
//! 10 the rename.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};

use crate::clock::Clock;
use crate::durable::Disk;

/// What the command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    from_headers: bool,
    ignore_dots: bool,
    sender: Option<String>,
    from_text: Option<String>,
    input_file: Option<PathBuf>,
    xinput_file: Option<PathBuf>,
    rcpt_file: Option<PathBuf>,
    recipients: Vec<String>,
}

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `MAIL_ROOT`.
    pub mail_root: Option<PathBuf>,
    /// `DEFAULT_DOMAIN`: completes addresses without a domain.
    pub default_domain: Option<String>,
    /// `USER`.
    pub user: Option<String>,
    /// `HOSTNAME`.
    pub host_name: Option<String>,
}

impl Environment {
    /// The process's.
    pub fn of_process() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            mail_root: super::mail_root_from_environment(),
            default_domain: text("DEFAULT_DOMAIN"),
            user: text("USER"),
            host_name: text("HOSTNAME"),
        }
    }

    fn default_sender(&self) -> String {
        let domain = self.default_domain.as_deref().or(self.host_name.as_deref()).unwrap_or("localhost");
        format!("{}@{domain}", self.user.as_deref().unwrap_or("mail"))
    }

    /// Adds the default domain to an address without one.
    fn complete(&self, address: &str) -> String {
        match &self.default_domain {
            Some(domain) if !address.contains('@') => format!("{address}@{domain}"),
            _ => address.to_owned(),
        }
    }
}

/// Why no message was queued.
#[derive(Debug, thiserror::Error)]
pub enum SendmailError {
    /// No `MAIL_ROOT`.
    #[error("MAIL_ROOT is not set: it must name the MailRoot directory")]
    NoMailRoot,
    /// Nobody to send to.
    #[error("empty recipient list")]
    NoRecipients,
    /// An option without its value.
    #[error("option {0} needs a value")]
    MissingValue(String),
    /// The input cannot be read.
    #[error("{}: {source}", path.display())]
    Input {
        /// The file, or `-`.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The recipient file cannot be read.
    #[error("{}: {source}", path.display())]
    RecipientFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The temporary file cannot be written.
    #[error("{}: {source}", path.display())]
    Temporary {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The finished file cannot be moved into `spool/local`.
    #[error("{}: {source}", path.display())]
    Rename {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SendmailError {
    /// XMail's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoMailRoot | Self::MissingValue(_) => 1,
            Self::NoRecipients => 2,
            Self::Input { .. } => 3,
            Self::Temporary { .. } => 4,
            Self::RecipientFile { .. } => 6,
            Self::Rename { .. } => 10,
        }
    }
}

/// Recipient files are read up to lines of this many bytes; longer ones are skipped.
const RCPT_LINE_BYTES_MAX: usize = 255;

/// The line before the message in the input of `--xinput-file`.
const DATA_MARK: &[u8] = b"<<MAIL-DATA>>";

/// Queues one message.
///
/// # Errors
/// [`SendmailError`].
pub fn run(words: &[String], environment: &Environment, clock: &Clock) -> Result<(), SendmailError> {
    let root = environment.mail_root.as_deref().ok_or(SendmailError::NoMailRoot)?;
    let options = Options::parse(words)?;
    let input = options.read_input()?;
    let extra = options.read_rcpt_file()?;
    let drop = compose(&options, environment, &input, &extra, &clock.mail_date())?;
    write_drop(root, &drop, clock)
}

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// An option at the end without its value.
    pub fn parse(words: &[String]) -> Result<Self, SendmailError> {
        let mut options = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let mut value = || rest.next().cloned().ok_or_else(|| SendmailError::MissingValue(word.clone()));
            match word.as_str() {
                "--" => {
                    options.recipients.extend(rest.cloned());
                    break;
                }
                "-t" => options.from_headers = true,
                "-i" | "-oi" => options.ignore_dots = true,
                "-f" => options.sender = Some(bare(&value()?)),
                "-F" => options.from_text = Some(value()?),
                "--input-file" => options.input_file = Some(value()?.into()),
                "--xinput-file" => options.xinput_file = Some(value()?.into()),
                "--rcpt-file" => options.rcpt_file = Some(value()?.into()),
                "-L" | "-O" | "-R" | "-X" | "-V" | "-N" => drop(value()?),
                text if text.starts_with("-qG") || text.starts_with("-q!") => drop(value()?),
                text if text.starts_with("-o") => {}
                text if text.starts_with("-f") => options.sender = Some(bare(&text[2..])),
                text if text.starts_with("-F") => options.from_text = Some(text[2..].to_owned()),
                // Any other word begins the recipients, as in XMail.
                text => {
                    options.recipients.push(text.to_owned());
                    options.recipients.extend(rest.cloned());
                    break;
                }
            }
        }
        Ok(options)
    }

    fn read_input(&self) -> Result<Vec<u8>, SendmailError> {
        let path = self.xinput_file.as_ref().or(self.input_file.as_ref());
        let mut bytes = Vec::new();
        let read = match path {
            Some(path) => File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
            None => io::stdin().lock().read_to_end(&mut bytes),
        };
        read.map_err(|source| SendmailError::Input {
            path: path.cloned().unwrap_or_else(|| "-".into()),
            source,
        })?;
        Ok(bytes)
    }

    fn read_rcpt_file(&self) -> Result<Vec<u8>, SendmailError> {
        let Some(path) = &self.rcpt_file else { return Ok(Vec::new()) };
        std::fs::read(path).map_err(|source| SendmailError::RecipientFile { path: path.clone(), source })
    }
}

/// The dropped file's content.
fn compose(
    options: &Options,
    environment: &Environment,
    input: &[u8],
    rcpt_lines: &[u8],
    date: &str,
) -> Result<Vec<u8>, SendmailError> {
    let message = Message::read(options, input);
    let mut recipients: Vec<String> =
        options.recipients.iter().map(|text| environment.complete(&bare(text))).collect();
    if options.from_headers {
        recipients.extend(message.recipients.iter().cloned());
    }
    let short =
        rcpt_lines.lines().filter(|line| !line.trim().is_empty() && line.len() <= RCPT_LINE_BYTES_MAX);
    recipients.extend(short.map(|line| environment.complete(&bare(&line.trim().to_str_lossy()))));
    if recipients.is_empty() {
        return Err(SendmailError::NoRecipients);
    }
    let sender = options.sender_address(environment);
    let mut drop = format!("mail from:<{sender}>\r\n").into_bytes();
    for recipient in recipients {
        drop.extend_from_slice(format!("rcpt to:<{recipient}>\r\n").as_bytes());
    }
    drop.extend_from_slice(b"\r\n");
    let from = options.from_text.clone().unwrap_or_else(|| format!("<{sender}>"));
    message.write(&mut drop, &from, date, options.xinput_file.is_some());
    Ok(drop)
}

impl Options {
    /// `-f`, else the address between the brackets of `-F`, else the user's.
    fn sender_address(&self, environment: &Environment) -> String {
        let in_brackets = self.from_text.as_deref().and_then(|text| {
            let inner = text.split_once('<')?.1;
            inner.split_once('>').map(|(address, _)| address.to_owned())
        });
        let given = in_brackets.or_else(|| self.sender.clone());
        given.map_or_else(|| environment.default_sender(), |address| environment.complete(&address))
    }
}

/// The input, taken apart.
#[derive(Debug, Default)]
struct Message {
    /// Header lines without Bcc, without line ends.
    headers: Vec<BString>,
    has_from: bool,
    has_date: bool,
    /// Addresses of To, Cc and Bcc.
    recipients: Vec<String>,
    /// Body lines, without line ends.
    body: Vec<BString>,
}

impl Message {
    fn read(options: &Options, input: &[u8]) -> Self {
        let mut lines: Vec<&[u8]> = input.lines().collect();
        if options.xinput_file.is_some() {
            let mark = lines.iter().position(|line| *line == DATA_MARK);
            lines.drain(..mark.map_or(lines.len(), |at| at + 1));
        } else if !options.ignore_dots
            && let Some(end) = lines.iter().position(|line| *line == b".")
        {
            lines.truncate(end);
        }
        let mut message = Self::default();
        let mut rest = lines.into_iter().peekable();
        let mut field = Field::Other;
        while let Some(line) =
            rest.next_if(|line| !line.is_empty() && (is_header(line) || is_continuation(line)))
        {
            if is_header(line) {
                field = Field::of(line);
            } else if message.headers.is_empty() {
                break;
            }
            message.take_header(line, field);
        }
        // The empty line between header and body is written again.
        rest.next_if(|line| line.is_empty());
        message.body = rest.map(BString::from).collect();
        message
    }

    fn take_header(&mut self, line: &[u8], field: Field) {
        match field {
            Field::From => self.has_from = true,
            Field::Date => self.has_date = true,
            Field::Recipients | Field::Bcc => self.recipients.extend(addresses(line)),
            Field::Other => {}
        }
        if field != Field::Bcc {
            self.headers.push(line.into());
        }
    }

    fn write(&self, out: &mut Vec<u8>, from: &str, date: &str, as_it_is: bool) {
        let mut line = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        };
        self.headers.iter().for_each(|header| line(header));
        if as_it_is && self.headers.is_empty() && self.body.is_empty() {
            return;
        }
        if !self.has_from {
            line(format!("From: {from}").as_bytes());
        }
        if !self.has_date {
            line(format!("Date: {date}").as_bytes());
        }
        line(b"");
        self.body.iter().for_each(|body| line(body));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    From,
    Date,
    Recipients,
    Bcc,
    Other,
}

impl Field {
    fn of(line: &[u8]) -> Self {
        let name = line.split(|&b| b == b':').next().unwrap_or_default().trim();
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match () {
            () if is("From") => Self::From,
            () if is("Date") => Self::Date,
            () if is("To") || is("Cc") => Self::Recipients,
            () if is("Bcc") => Self::Bcc,
            () => Self::Other,
        }
    }
}

fn is_header(line: &[u8]) -> bool {
    line.find_byte(b':')
        .is_some_and(|colon| colon > 0 && line[..colon].iter().all(|b| (33..=126).contains(b)))
}

fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// Every address-like token: text around `@`, bounded by blanks or one of `<>,":;'`.
fn addresses(line: &[u8]) -> Vec<String> {
    let bounds = |b: &u8| b.is_ascii_whitespace() || b"<>,\":;'".contains(b);
    line.split(bounds)
        .filter(|token| token.contains(&b'@'))
        .map(|token| token.to_str_lossy().into_owned())
        .collect()
}

/// An address without the brackets some callers write.
fn bare(text: &str) -> String {
    text.trim().trim_start_matches('<').trim_end_matches('>').to_owned()
}

fn write_drop(root: &Path, drop: &[u8], clock: &Clock) -> Result<(), SendmailError> {
    let disk = Disk::default();
    let host = crate::net::host_name().replace('/', "-");
    let name = format!("{}000.{}.{host}", clock.unix_secs(), std::process::id());
    let temporary = root.join("spool/temp").join(&name);
    let local = root.join("spool/local").join(&name);
    disk.replace(&temporary, drop)
        .map_err(|source| SendmailError::Temporary { path: temporary.clone(), source })?;
    let moved = disk.rename(&temporary, &local).and_then(|()| disk.sync_dir(&root.join("spool/local")));
    moved.map_err(|source| SendmailError::Rename { path: local, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "From: Bob <bob@example.test>\nTo: <alice@example.test>, carol@second.test\nCc: r@sink.test\nBcc: postmaster@example.test\nSubject: via sendmail\n\nbody\n.dot\n";

    #[track_caller]
    fn check(words: &[&str], input: &str, expected: &str) {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let options = Options::parse(&words).unwrap();
        let drop = compose(&options, &Environment::default(), input.as_bytes(), b"", "DATE").unwrap();
        assert_eq!(String::from_utf8(drop).unwrap().replace("\r\n", "\n"), expected);
    }

    /// golden `spool_sendmail/drops`
    #[test]
    fn drops_are_xmails() {
        let headers = "From: Bob <bob@example.test>\nTo: <alice@example.test>, carol@second.test\nCc: r@sink.test\nSubject: via sendmail\nDate: DATE\n\nbody\n.dot\n";
        check(
            &["-fbob@example.test", "alice@example.test"],
            BODY,
            &format!("mail from:<bob@example.test>\nrcpt to:<alice@example.test>\n\n{headers}"),
        );
        check(
            &["-t", "-i"],
            BODY,
            &format!(
                "mail from:<mail@localhost>\nrcpt to:<alice@example.test>\nrcpt to:<carol@second.test>\nrcpt to:<r@sink.test>\nrcpt to:<postmaster@example.test>\n\n{headers}"
            ),
        );
        check(
            &["-i", "-fbob@example.test", "alice@example.test"],
            "Subject: -i\n\nbody\n.\nafter dot\n",
            "mail from:<bob@example.test>\nrcpt to:<alice@example.test>\n\nSubject: -i\nFrom: <bob@example.test>\nDate: DATE\n\nbody\n.\nafter dot\n",
        );
        check(
            &["-oi", "-bm", "-f", "bob@example.test", "alice@example.test"],
            "Subject: x\n\n",
            "mail from:<mail@localhost>\nrcpt to:<-bm>\nrcpt to:<-f>\nrcpt to:<bob@example.test>\nrcpt to:<alice@example.test>\n\nSubject: x\nFrom: <mail@localhost>\nDate: DATE\n\n",
        );
    }

    #[test]
    fn a_name_alone_does_not_become_the_sender() {
        check(
            &["-fbob@example.test", "-FBob Ext", "alice@example.test"],
            "no header\n.\nafter\n",
            "mail from:<bob@example.test>\nrcpt to:<alice@example.test>\n\nFrom: Bob Ext\nDate: DATE\n\nno header\n",
        );
        check(
            &["-F", "Bob <b@x.test>", "a@b.test"],
            "\ntext\n",
            "mail from:<b@x.test>\nrcpt to:<a@b.test>\n\nFrom: Bob <b@x.test>\nDate: DATE\n\ntext\n",
        );
    }

    #[test]
    fn nobody_to_send_to_is_exit_code_2() {
        let options = Options::parse(&["-fbob@example.test".to_owned()]).unwrap();
        let error = compose(&options, &Environment::default(), b"", b"", "DATE").unwrap_err();
        assert_eq!((error.exit_code(), error.to_string().as_str()), (2, "empty recipient list"));
    }
}
