//! The command line of CtrlClnt (`mailroot.md` 18.3).

use std::path::PathBuf;
use std::time::Duration;

/// The usage, line for line XMail's (golden `ctrlclnt`) under XMail's name; `tabmail ctl` also shows what is ours.
pub(super) fn usage(program: &str) -> String {
    let ours = match program.ends_with("CtrlClnt") {
        true => "",
        false => "\n       --tsv            = print listings without quotes, TAB between columns",
    };
    format!(
        "use :  {program}  [-snuptfSLcKCXHD]  ...\n\
         options :\n       \
         -s server        = set server address\n       \
         -n port          = set server port [6017]\n       \
         -u user          = set username\n       \
         -p pass          = set password\n       \
         -t timeout       = set timeout [90000]\n       \
         -f filename      = set I/O filename [stdin/stdout]\n       \
         -S               = enable SSL link negotiation\n       \
         -L               = use native SSL link\n       \
         -K filename      = set the SSL private key file\n       \
         -C filename      = set the SSL certificate file\n       \
         -X filename      = set the SSL certificate-list file\n       \
         -H dir           = set the SSL certificate-store directory\n       \
         -c               = disable MD5 authentication\n       \
         -D               = enable debug{ours}"
    )
}

/// What the environment says: files that options may name as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `CTRL_KEY_FILE`.
    pub key_file: Option<PathBuf>,
    /// `CTRL_CERT_FILE`.
    pub cert_file: Option<PathBuf>,
    /// `CTRL_CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// `CTRL_CA_PATH`.
    pub ca_path: Option<PathBuf>,
}

impl Environment {
    /// This process's.
    pub fn of_process() -> Self {
        let file = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            key_file: file("CTRL_KEY_FILE"),
            cert_file: file("CTRL_CERT_FILE"),
            ca_file: file("CTRL_CA_FILE"),
            ca_path: file("CTRL_CA_PATH"),
        }
    }
}

/// What the command line asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    pub(super) server: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) timeout: Duration,
    pub(super) file: Option<PathBuf>,
    pub(super) link: Link,
    pub(super) clear_log_in: bool,
    /// Certificate and key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) ca_directory: Option<PathBuf>,
    pub(super) debug: bool,
    /// `--tsv`: listings as [`super::plain`] writes them. Ours.
    pub(super) is_tsv: bool,
    /// The command and its arguments; never empty.
    pub(super) command: Vec<String>,
}

/// How the connection becomes safe, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Plain,
    /// `-S`: by `#!TLS`.
    StartTls,
    /// `-L`: from the first octet.
    ImplicitTls,
}

/// XMail's; also with `-L`.
const PORT: u16 = 6017;

/// XMail's (the manual says 60 s).
const TIMEOUT: Duration = Duration::from_secs(90);

impl Options {
    /// Reads the words after the program's name. `None` calls for the usage.
    pub fn parse(words: &[String], environment: &Environment) -> Option<Self> {
        let (mut server, mut user, mut password) = (None, None, None);
        let (mut port, mut timeout, mut link) = (PORT, TIMEOUT, Link::Plain);
        let (mut file, mut clear_log_in, mut debug, mut is_tsv) = (None, false, false, false);
        let Environment { mut key_file, mut cert_file, mut ca_file, mut ca_path } = environment.clone();
        let mut rest = words.iter().peekable();
        while let Some(word) = rest.next_if(|word| word.starts_with('-')) {
            let mut value = || rest.next().cloned();
            match word.as_str() {
                "-s" => server = Some(value()?),
                "-n" => port = value()?.parse().ok()?,
                "-u" => user = Some(value()?),
                "-p" => password = Some(value()?),
                "-t" => timeout = Duration::from_secs(value()?.parse().ok().filter(|&secs| secs > 0)?),
                "-f" => file = Some(value()?.into()),
                "-S" => link = Link::StartTls,
                "-L" => link = Link::ImplicitTls,
                "-K" => key_file = Some(value()?.into()),
                "-C" => cert_file = Some(value()?.into()),
                "-X" => ca_file = Some(value()?.into()),
                "-H" => ca_path = Some(value()?.into()),
                "-c" => clear_log_in = true,
                "-D" => debug = true,
                "--tsv" => is_tsv = true,
                _ => return None,
            }
        }
        let command: Vec<String> = rest.cloned().collect();
        if command.is_empty() || key_file.is_some() != cert_file.is_some() {
            return None;
        }
        Some(Self {
            server: server?,
            port,
            user: user?,
            password: password?,
            timeout,
            file,
            link,
            clear_log_in,
            identity: cert_file.zip(key_file),
            ca_file,
            ca_directory: ca_path,
            debug,
            is_tsv,
            command,
        })
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("server", &self.server)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, environment: &Environment) -> Option<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words, environment)
    }

    #[test]
    fn options_end_at_the_first_other_word() {
        let options = parse("-s h -u u -p p -t 5 -L -S useradd -s x", &Environment::default()).unwrap();
        assert_eq!((options.server.as_str(), options.port, options.timeout.as_secs()), ("h", 6017, 5));
        assert_eq!(options.link, Link::StartTls);
        assert_eq!(options.command, ["useradd", "-s", "x"]);
        // The value of an option may look like an option.
        assert_eq!(parse("-s h -u u -p -p noop", &Environment::default()).unwrap().password, "-p");
    }

    #[test]
    fn the_usage_is_shown() {
        for line in [
            "",
            "-s h -u u -p p",
            "-s h -u u noop",
            "-s h -p p noop",
            "-u u -p p noop",
            "-s h -u u -p p -n 70000 noop",
            "-s h -u u -p p -t 0 noop",
            "-s h -u u -p p -z noop",
            "-s h -u u -p p -K key noop",
            "-s h -u u -p",
        ] {
            assert_eq!(parse(line, &Environment::default()), None, "{line}");
        }
    }

    #[test]
    fn the_environment_names_files_and_options_beat_it() {
        let environment = Environment {
            key_file: Some("ek".into()),
            cert_file: Some("ec".into()),
            ca_file: Some("ex".into()),
            ca_path: Some("eh".into()),
        };
        let options = parse("-s h -u u -p p -K k -X x noop", &environment).unwrap();
        assert_eq!(options.identity, Some(("ec".into(), "k".into())));
        assert_eq!((options.ca_file, options.ca_directory), (Some("x".into()), Some("eh".into())));
    }
}
