//! A MailRoot in a temporary directory, the real server on it, and clients that speak by text.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{PATIENCE, ServerProcess, entries, eventually, free_ports, spool_files};

/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(20);

/// The accounts of every house; the password is the name with `pw` behind it.
const ACCOUNTS: &[(&str, &str)] = &[
    ("example.test", "postmaster"),
    ("example.test", "alice"),
    ("example.test", "bob"),
    ("second.test", "carol"),
];

/// A MailRoot and, once started, its server.
#[derive(Debug)]
pub(crate) struct House {
    folder: TempDir,
    smtp: u16,
    pop3: u16,
    ctrl: u16,
    flags: Vec<String>,
    server: Option<ServerProcess>,
}

impl House {
    /// Two domains, four accounts, Maildir, no server yet. Retries come after a second, three attempts at most.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let [smtp, pop3, ctrl] = free_ports();
        let address = |port: u16| format!("127.0.0.1:{port}");
        let flags = format!(
            "-Md -Sl -Pl -Ql -Cl -Ll -MM -Mx 3 -Qt 1 -Qi 1 -Qr 3 -Pw 0 -Y- -F- -X- -B- -I- -J- -W- -SI {} -PI {} -CI {}",
            address(smtp),
            address(pop3),
            address(ctrl)
        );
        let flags = flags.split(' ').map(str::to_owned).collect();
        let house = Self { folder, smtp, pop3, ctrl, flags, server: None };
        fs::create_dir(house.root()).expect("the MailRoot");
        house.server_tab(&[]);
        house.write("domains.tab", "\"example.test\"\n\"second.test\"\n");
        let mut users = String::new();
        for (id, (domain, user)) in ACCOUNTS.iter().enumerate() {
            let password: String = format!("{user}pw").bytes().map(|b| format!("{:02x}", b ^ 0x65)).collect();
            let _ =
                writeln!(users, "\"{domain}\"\t\"{user}\"\t\"{password}\"\t{}\t\"{user}\"\t\"U\"", id + 1);
            house.write(&format!("domains/{domain}/{user}/user.tab"), "\"MaxMBSize\"\t\"10000\"\n");
            house.make_maildir(domain, user);
        }
        house.write("mailusers.tab", &users);
        house.write("ctrlaccounts.tab", "\"admin\"\t\"0401080c0b1512\"\n");
        for face in ["smtp", "pop3", "ctrl"] {
            house.write(&format!("{face}.ipmap.tab"), "\"0.0.0.0\"\t\"0.0.0.0\"\t\"ALLOW\"\t\"1\"\n");
        }
        house
    }

    /// The mailbox directories of an account, without which it takes no mail.
    pub(crate) fn make_maildir(&self, domain: &str, user: &str) {
        for folder in ["tmp", "new", "cur"] {
            let path = self.path(&format!("domains/{domain}/{user}/Maildir/{folder}"));
            fs::create_dir_all(path).expect("a Maildir");
        }
    }

    /// A house whose server runs.
    pub(crate) fn open() -> Self {
        let mut house = Self::new();
        house.start();
        house
    }

    /// A MailRoot that somebody else has made, below `root()`.
    pub(crate) fn around(lay_out: impl FnOnce(&Path), flags: &[&str]) -> Self {
        let mut house = Self::new();
        fs::remove_dir_all(house.root()).expect("the default MailRoot");
        fs::create_dir(house.root()).expect("the MailRoot");
        lay_out(&house.root());
        for flag in flags {
            house.flag(flag);
        }
        house.start();
        house
    }

    /// Adds words to the server's command line.
    pub(crate) fn flag(&mut self, words: &str) {
        self.flags.extend(words.split(' ').map(str::to_owned));
    }

    /// Writes `server.tab` with the usual variables and these.
    pub(crate) fn server_tab(&self, more: &[(&str, &str)]) {
        let usual = [
            ("RootDomain", "example.test"),
            ("SmtpServerDomain", "mx.example.test"),
            ("POP3Domain", "example.test"),
            ("PostMaster", "postmaster@example.test"),
            ("DefaultSmtpPerms", "MRVZ"),
            ("AllowNullSender", "1"),
        ];
        let row = |(name, value): &(&str, &str)| format!("\"{name}\"\t\"{value}\"\n");
        self.write("server.tab", &usual.iter().chain(more).map(row).collect::<String>());
    }

    /// The MailRoot.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("MailRoot")
    }

    /// A file of the MailRoot.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file of the MailRoot as an editor does: a new file, renamed into place.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        let draft = path.with_file_name(".being-edited");
        fs::write(&draft, text).expect("the draft");
        fs::rename(&draft, &path).expect("the file");
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start(&mut self) {
        let output = self.folder.path().join("output");
        let mut server = ServerProcess::start(&self.root(), &output, &self.flags, &[]);
        for port in [self.smtp, self.pop3, self.ctrl] {
            server.wait_listening(port);
        }
        self.server = Some(server);
    }

    /// The same, under a shell's limits.
    pub(crate) fn start_limited(&mut self, limits: &str) {
        let output = self.folder.path().join("output");
        let mut server = ServerProcess::start_limited(&self.root(), &output, &self.flags, limits);
        for port in [self.smtp, self.pop3] {
            server.wait_listening(port);
        }
        self.server = Some(server);
    }

    /// Where CTRL listens.
    pub(crate) fn ctrl_port(&self) -> u16 {
        self.ctrl
    }

    /// The server's process.
    pub(crate) fn server(&mut self) -> &mut ServerProcess {
        self.server.as_mut().expect("the server was started")
    }

    /// What the server printed and logged about itself.
    pub(crate) fn output(&self) -> String {
        self.server.as_ref().expect("the server was started").output()
    }

    /// A connection to the SMTP port, before its banner.
    pub(crate) fn smtp(&self) -> Client {
        Client::open(self.smtp)
    }

    /// A connection to the POP3 port, before its banner.
    pub(crate) fn pop3(&self) -> Client {
        Client::open(self.pop3)
    }

    /// Sends a message without logging in; it must be accepted.
    #[track_caller]
    pub(crate) fn send(&self, from: &str, to: &str, text: &str) {
        let mut client = self.smtp();
        client.talk(&format!(
            "S: 220\nC: EHLO client.test\nS: 250\nC: MAIL FROM:<{from}>\nS: 250\nC: RCPT TO:<{to}>\nS: 250\nC: DATA\nS: 354"
        ));
        client.send(&format!("{}\r\n.\r\n", text.replace('\n', "\r\n")));
        client.talk("S: 250\nC: QUIT\nS: 221");
    }

    /// Sends as alice, who may send anywhere.
    #[track_caller]
    pub(crate) fn send_as_alice(&self, to: &str, text: &str) {
        let mut client = self.smtp();
        client.talk(&format!(
            "S: 220\nC: EHLO client.test\nS: 250\nC: AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABhbGljZXB3\nS: 235\n\
             C: MAIL FROM:<alice@example.test>\nS: 250\nC: RCPT TO:<{to}>\nS: 250\nC: DATA\nS: 354"
        ));
        client.send(&format!("{}\r\n.\r\n", text.replace('\n', "\r\n")));
        client.talk("S: 250\nC: QUIT\nS: 221");
    }

    /// The messages in an account's Maildir (`new`), as text.
    pub(crate) fn mail(&self, account: &str) -> Vec<String> {
        let (user, domain) = account.split_once('@').expect("an address");
        let folder = self.path(&format!("domains/{domain}/{user}/Maildir/new"));
        let read = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        entries(&folder).into_iter().map(read).collect()
    }

    /// Waits for so many messages and returns them.
    #[track_caller]
    pub(crate) fn wait_mail(&self, account: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} messages for {account}; output:\n{}", self.output()), || {
            self.mail(account).len() >= count
        });
        let mail = self.mail(account);
        assert_eq!(mail.len(), count, "messages for {account}: {mail:#?}");
        mail
    }

    /// Files of the spool in these states.
    pub(crate) fn spooled(&self, kinds: &[&str]) -> Vec<PathBuf> {
        spool_files(&self.root(), kinds)
    }

    /// Waits until nothing is queued or waits for a retry.
    #[track_caller]
    pub(crate) fn wait_empty_spool(&self) {
        eventually("an empty spool", || self.spooled(&["mess", "rsnd", "temp"]).is_empty());
    }
}

/// A text dialogue with a server.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
        stream.set_read_timeout(Some(REPLY)).expect("a timeout");
        Self { stream, unread: Vec::new() }
    }

    /// Plays `C: line` and `S: start of the reply's last line`; an SMTP reply may have several lines.
    #[track_caller]
    pub(crate) fn talk(&mut self, script: &str) {
        for step in script.lines().map(str::trim).filter(|step| !step.is_empty()) {
            match step.split_once(": ").unwrap_or((step.trim_end_matches(':'), "")) {
                ("C", line) => self.send(&format!("{line}\r\n")),
                ("S", expected) => {
                    let reply = self.reply();
                    assert!(
                        reply.starts_with(expected),
                        "expected {expected:?}, got {reply:?}, in:\n{script}"
                    );
                }
                _ => panic!("neither C: nor S:  {step}"),
            }
        }
    }

    /// Sends text as it is; a server that has gone is noticed when reading.
    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The last line of the next reply; empty when the server closed.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> String {
        loop {
            let line = self.line();
            let bytes = line.as_bytes();
            let continues = bytes.len() > 3 && bytes[3] == b'-' && bytes[..3].iter().all(u8::is_ascii_digit);
            if !continues {
                return line;
            }
        }
    }

    /// The next line without its end; empty when the server closed.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=at).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            let mut buffer = [0; 8192];
            match self.stream.read(&mut buffer) {
                Ok(0) => return String::new(),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("no reply within {REPLY:?}")
                }
                Err(_) => return String::new(),
            }
        }
    }

    /// Lines up to a line with a dot only.
    #[track_caller]
    pub(crate) fn lines_to_dot(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line == "." {
                return lines;
            }
            lines.push(line);
            assert!(lines.len() < 100_000, "no end of lines");
        }
    }

    /// Logs in to POP3.
    #[track_caller]
    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        self.talk(&format!("S: +OK\nC: USER {user}\nS: +OK\nC: PASS {password}\nS: +OK"));
    }
}

/// A remote SMTP server. It answers RCPT as told by `replies`, one answer per attempt and then 250 for ever.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
    attempts: Arc<Mutex<usize>>,
}

impl Sink {
    /// Listens on a free port.
    pub(crate) fn open(replies: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (received, attempts) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let sink = Self { address, received: Arc::clone(&received), attempts: Arc::clone(&attempts) };
        let replies: Arc<Vec<String>> = Arc::new(replies.iter().map(|reply| (*reply).to_owned()).collect());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (received, attempts, replies) =
                    (Arc::clone(&received), Arc::clone(&attempts), Arc::clone(&replies));
                thread::spawn(move || serve_sink(stream, &received, &attempts, &replies));
            }
        });
        sink
    }

    /// Where it listens, as `smtpfwd.tab` writes it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Messages it has accepted.
    pub(crate) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many recipients were offered.
    pub(crate) fn attempts(&self) -> usize {
        *self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve_sink(stream: TcpStream, received: &Mutex<Vec<String>>, attempts: &Mutex<usize>, replies: &[String]) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut client = Client { stream, unread: Vec::new() };
    client.send("220 sink.test ESMTP\r\n");
    loop {
        let line = client.line();
        let command = line.to_ascii_uppercase();
        match command.split([' ', ':']).next().unwrap_or_default() {
            "" => return,
            "EHLO" => client.send("250-sink.test\r\n250 8BITMIME\r\n"),
            "RCPT" => {
                let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
                let reply = replies.get(*attempts).map_or("250 recipient ok", String::as_str).to_owned();
                *attempts += 1;
                client.send(&format!("{reply}\r\n"));
            }
            "DATA" => {
                client.send("354 go on\r\n");
                let message = client.lines_to_dot().join("\n");
                received.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                client.send("250 accepted\r\n");
            }
            "QUIT" => {
                client.send("221 bye\r\n");
                return;
            }
            _ => client.send("250 ok\r\n"),
        }
    }
}
