//! Plays a recorded client against our server and writes down what happened in the recording's own form.
//!
//! The client of the recordings reads one reply per command (by the protocol's rules, not by the recorded text), and
//! at some places everything up to the server's close. The replay does the same, so that a reply that is longer or
//! shorter than XMail's shows up as a difference instead of shifting everything behind it. Where the client's next
//! step depended on the answer (message text only after 354, an upload only after +00101, nothing after the server
//! closed), so does ours. Where XMail closed and we do not (decision 7), or refused DATA and we do not,
//! `continuation.jsonl` of the recording says what its client does then: objects with `connection` and `line`.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use md5::{Digest, Md5};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tempfile::TempDir;

use crate::alone::{NameServer, RECORDED_NAME_SERVER, SmtpService};
use crate::connection::{CERTIFICATE_NAME, Connection, Heard};
use crate::explain::{Compared, Place, Told};
use crate::recording::{self, Capture, Event, Files, RECORDED_ROOT, Recording};
use crate::support::{ServerProcess, free_ports, holds_within, spool_files};

/// The ports the original listened on.
const RECORDED_PORTS: [u16; 7] = [2525, 2110, 6017, 2079, 2465, 2995, 6018];

/// The one that tells when the server is up.
const CTRL: u16 = 6017;

/// The one of mail.
const SMTP: u16 = 2525;

/// How long a reply may take: recorded delays are 8 seconds at most.
const REPLY: Duration = Duration::from_secs(12);

/// How long the client looks for something that should not come, or for a close that should.
const LOOK: Duration = Duration::from_millis(500);

/// How long queued mail may take to its mailbox before the client goes on nevertheless.
const SETTLE: Duration = Duration::from_secs(5);

/// A longer pause of the recorded client was one on purpose (something had to expire) and is kept.
const DELIBERATE_PAUSE_SECS: f64 = 2.5;

/// How long the server may take to notice that a client with a mailbox lock is gone; the recorded client waited a second.
const UNLOCK: Duration = Duration::from_secs(2);

fn mailbox_locks(root: &Path) -> usize {
    fs::read_dir(root.join("pop3locks")).map_or(0, Iterator::count)
}

/// The lock may belong to another client, so this is no error.
fn wait_for_fewer_locks(root: &Path, locks: usize) {
    if locks > 0 {
        holds_within(UNLOCK, || mailbox_locks(root) < locks);
    }
}

/// Runs the server on the recorded MailRoot and the recorded clients on it. Also returns what the server printed, and how
/// explanations of its replies compare with them.
pub(crate) fn replay(recording: &Recording) -> (Capture, String, Compared) {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("MailRoot");
    fs::create_dir(&root).unwrap();
    let places = Places {
        root: root.to_string_lossy().into_owned(),
        pid_folder: folder.path().to_string_lossy().into_owned(),
        ports: free_ports(),
    };
    let names = recording::needs_names(&recording.name).then(NameServer::start);
    let name_server = names.as_ref().map(NameServer::address);
    recording.lay_out(&root, |_, text| match name_server {
        Some(ours) => places.to_ours(text).replace(RECORDED_NAME_SERVER, &format!("{ours}:udp")),
        None => places.to_ours(text),
    });
    let certificate = certificate(recording, &root);
    // XMail has no IMAP; its ports may be taken, and nobody asks for it.
    let no_imap = ["-I-".to_owned(), "-J-".to_owned()];
    let flags: Vec<String> = recording.flags.iter().map(|flag| places.to_ours(flag)).chain(no_imap).collect();
    let mut server = match &names {
        Some(names) => Server::Alone(names.serve_smtp(&root, &flags, places.port(SMTP))),
        None => {
            let output = folder.path().join("output");
            let mut process = ServerProcess::start(&root, &output, &flags, &recording.variables);
            process.wait_listening(places.port(CTRL));
            Server::Process(process)
        }
    };
    let mut player = Player {
        recording,
        flags: &flags,
        name_server,
        compared: Compared::default(),
        places: &places,
        root: &root,
        certificate,
        continuations: continuations(recording),
        clients: HashMap::new(),
        actual: Capture::default(),
        start: std::time::Instant::now(),
    };
    player.play();
    settle(&root);
    let exit_code = server.stop();
    player.clients.clear();
    let (mut actual, mut compared) = (player.actual, player.compared);
    let not_asked = names.map(|names| names.not_asked(&recording.name)).unwrap_or_default();
    compared.differences.extend(not_asked.iter().map(|name| format!("nobody asked for {name}")));
    actual.exit_codes.push(exit_code);
    actual.snapshots.insert("final".to_owned(), files(&root, &places));
    (actual, server.output(), compared)
}

/// Who is talked to.
#[derive(Debug)]
enum Server {
    Process(ServerProcess),
    /// For recordings that need names.
    Alone(SmtpService),
}

impl Server {
    /// Ends it; the exit code.
    fn stop(&mut self) -> i64 {
        match self {
            Self::Process(process) => i64::from(process.stop().code().unwrap_or(-1)),
            Self::Alone(service) => {
                service.stop();
                0
            }
        }
    }

    /// What it printed.
    fn output(&self) -> String {
        match self {
            Self::Process(process) => process.output(),
            Self::Alone(_) => String::new(),
        }
    }
}

/// What stands for what: our temporary MailRoot and ports for the recorded ones, and back.
#[derive(Debug)]
struct Places {
    root: String,
    /// `/tmp` in the recordings.
    pid_folder: String,
    ports: [u16; RECORDED_PORTS.len()],
}

impl Places {
    fn port(&self, recorded: u16) -> u16 {
        RECORDED_PORTS.iter().position(|port| *port == recorded).map_or(recorded, |at| self.ports[at])
    }

    fn to_ours(&self, text: &str) -> String {
        self.exchange(text.replace(RECORDED_ROOT, &self.root), RECORDED_PORTS, self.ports)
    }

    fn to_recorded(&self, text: &str) -> String {
        let text = text.replace(&self.root, RECORDED_ROOT).replace(&self.pid_folder, "/tmp");
        self.exchange(text, self.ports, RECORDED_PORTS)
    }

    /// Ports stand behind the loopback address, in flags, tables, spool files and logs.
    fn exchange(&self, mut text: String, from: [u16; 7], to: [u16; 7]) -> String {
        for (from, to) in from.into_iter().zip(to) {
            for separator in ["127.0.0.1:", "127.0.0.1]:", "127.0.0.1,"] {
                text = replace_number(&text, separator, from, to);
            }
        }
        text
    }
}

/// Replaces a number that stands right behind `before` and is not the start of a longer one.
fn replace_number(text: &str, before: &str, from: u16, to: u16) -> String {
    let searched = format!("{before}{from}");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&searched) {
        let end = at + searched.len();
        out.push_str(&rest[..at]);
        match rest[end..].starts_with(|c: char| c.is_ascii_digit()) {
            true => out.push_str(&searched),
            false => out.push_str(&format!("{before}{to}")),
        }
        rest = &rest[end..];
    }
    out + rest
}

/// TLS recordings had a certificate of their own, which is not kept: a new one is made.
fn certificate(recording: &Recording, root: &Path) -> Option<CertificateDer<'static>> {
    if !recording.tree.iter().any(|entry| entry.path == "server.key") {
        return None;
    }
    let made = rcgen::generate_simple_self_signed([CERTIFICATE_NAME.to_owned()]).unwrap();
    fs::write(root.join("server.cert"), made.cert.pem()).unwrap();
    fs::write(root.join("server.key"), made.signing_key.serialize_pem()).unwrap();
    Some(made.cert.der().clone())
}

/// Waits until nothing is on its way; what waits for a retry may stay.
fn settle(root: &Path) {
    holds_within(SETTLE, || spool_files(root, &["mess", "temp", "lock"]).is_empty());
}

/// The MailRoot as text.
fn files(root: &Path, places: &Places) -> Files {
    let (mut files, mut pending) = (Files::new(), vec![root.to_owned()]);
    while let Some(folder) = pending.pop() {
        for path in crate::support::entries(&folder) {
            if path.is_dir() {
                pending.push(path);
            } else if path.is_file() {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                files.insert(name, places.to_recorded(&recording::read(&path)));
            }
        }
    }
    files
}

fn continuations(recording: &Recording) -> Vec<(String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows(recording, "continuation.jsonl")
        .iter()
        .map(|row| (text(row, "connection"), text(row, "line")))
        .collect()
}

/// One JSON object a line of a file beside the recording; none when there is no such file.
fn rows(recording: &Recording, file: &str) -> Vec<Value> {
    let path = recording::fixtures().join("recordings").join(&recording.name).join(file);
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Where the client of a connection is in its script.
#[derive(Debug)]
struct Client {
    connection: Connection,
    protocol: Protocol,
    /// What was sent last, to know what kind of answer follows.
    command: String,
    /// What came last from our server, and in the recording.
    reply: String,
    recorded_reply: String,
    /// The server's first words, which may hold a stamp that digests are made from.
    banner: String,
    recorded_banner: String,
    /// Until when the client has nothing to send, because an answer took that away.
    skips: Skips,
    recorded_closed: bool,
    /// The recorded server closed where ours went on.
    outlived: bool,
    previous: char,
    /// For the comparison with explanations.
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skips {
    Nothing,
    OneMessage,
    Upload,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Smtp,
    Pop3,
    Ctrl,
}

struct Player<'a> {
    recording: &'a Recording,
    flags: &'a [String],
    /// That of the recording's names, if it needs one.
    name_server: Option<SocketAddr>,
    compared: Compared,
    places: &'a Places,
    root: &'a Path,
    certificate: Option<CertificateDer<'static>>,
    continuations: Vec<(String, String)>,
    clients: HashMap<String, Client>,
    actual: Capture,
    start: std::time::Instant,
}

impl Player<'_> {
    fn play(&mut self) {
        let events = &self.recording.capture.events;
        let (mut at, mut before) = (0, 0.0);
        while at < events.len() {
            let event = &events[at];
            let run = match event.direction {
                'S' => events[at..]
                    .iter()
                    .take_while(|other| other.direction == 'S' && other.connection == event.connection)
                    .count(),
                _ => 1,
            };
            let later = events[at + run..].iter().find(|other| other.connection == event.connection);
            match event.direction {
                '#' => self.note(&event.data),
                'C' => self.send(event),
                'S' => self.receive(&events[at..at + run], later),
                _ => self.happening(event, event.at - before),
            }
            before = events[at + run - 1].at;
            at += run;
        }
    }

    fn write(&mut self, connection: &str, direction: char, data: &[u8]) {
        let data = recording::from_latin1(data);
        if std::env::var_os("COMPAT_TRACE").is_some() {
            eprintln!("{:?} [{connection}] {direction}: {data:?}", self.start.elapsed());
        }
        self.actual.events.push(Event { at: 0.0, connection: connection.to_owned(), direction, data });
    }

    fn note(&mut self, note: &str) {
        let Some(name) = note.strip_prefix("snapshot ") else { return };
        let Some(recorded) = self.recording.capture.snapshots.get(name) else { return };
        if name == "final" {
            return;
        }
        settle(self.root);
        let top = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
        let is_whole = recorded.contains_key("server.tab");
        let listed: Vec<String> = recorded.keys().map(|path| top(path)).collect();
        let mut files = files(self.root, self.places);
        files.retain(|path, _| is_whole || listed.contains(&top(path)));
        self.actual.snapshots.insert(name.to_owned(), files);
        self.edit(name);
    }

    /// Files that the recording's author changed by hand after a snapshot.
    fn edit(&self, snapshot: &str) {
        for row in rows(self.recording, "edits.jsonl").iter().filter(|row| row["after"] == snapshot) {
            let text = row["text"].as_str().unwrap();
            fs::write(self.root.join(row["path"].as_str().unwrap()), recording::latin1(text)).unwrap();
        }
    }

    fn happening(&mut self, event: &Event, pause_secs: f64) {
        if let Some(place) = event.data.strip_prefix("connected to port ") {
            if pause_secs > DELIBERATE_PAUSE_SECS {
                thread::sleep(Duration::from_secs_f64(pause_secs));
            }
            self.connect(event, place);
            return;
        }
        let Some(client) = self.clients.get_mut(&event.connection) else { return };
        match event.data.as_str() {
            "connection closed by server" => self.expect_close(event),
            "client closes" => {
                let locks = mailbox_locks(self.root);
                client.connection.close();
                wait_for_fewer_locks(self.root, locks);
                self.write(&event.connection, '!', event.data.as_bytes());
            }
            "TLS established" => {
                let certificate = self.certificate.clone().expect("a recording with TLS has a certificate");
                client.connection.start_tls(&certificate);
                client.told.start_tls();
                self.write(&event.connection, '!', event.data.as_bytes());
            }
            text if text.starts_with("(nothing more within") => self.expect_nothing(event),
            _ => {}
        }
    }

    /// The recorded client let the server finish its work between two sessions.
    fn connect(&mut self, event: &Event, place: &str) {
        settle(self.root);
        let (port, source) = place.split_once(" from ").unwrap_or((place, ""));
        let port: u16 = port.parse().unwrap();
        let protocol = match port {
            2525 | 2465 => Protocol::Smtp,
            2110 | 2995 => Protocol::Pop3,
            _ => Protocol::Ctrl,
        };
        let connection = Connection::open(self.places.port(port), source.parse().ok());
        let client = Client {
            connection,
            protocol,
            command: String::new(),
            reply: String::new(),
            recorded_reply: String::new(),
            banner: String::new(),
            recorded_banner: String::new(),
            skips: Skips::Nothing,
            recorded_closed: false,
            outlived: false,
            previous: '!',
            told: Told::new(source.parse().ok(), self.places.port(port), port == 2465),
        };
        self.clients.insert(event.connection.clone(), client);
        self.write(&event.connection, '!', event.data.as_bytes());
    }

    fn send(&mut self, event: &Event) {
        let goes_ahead = |client: &Client| {
            client.previous == 'S' && is_go_ahead(&client.reply) && !is_go_ahead(&client.recorded_reply)
        };
        if self.clients.get(&event.connection).is_some_and(goes_ahead) {
            self.go_on(&event.connection);
        }
        let Some(client) = self.clients.get_mut(&event.connection) else { return };
        let before = std::mem::replace(&mut client.previous, 'C');
        if before == 'S' {
            client.skips = match client.protocol {
                Protocol::Smtp if is_go_ahead(&client.recorded_reply) && !is_go_ahead(&client.reply) => {
                    Skips::OneMessage
                }
                Protocol::Ctrl if is_upload(&client.recorded_reply) && !is_upload(&client.reply) => {
                    Skips::Upload
                }
                _ => Skips::Nothing,
            };
        }
        if client.skips != Skips::Nothing || (client.connection.closed && !client.recorded_closed) {
            return;
        }
        let line = client.with_live_digest(&event.data, self.recording);
        client.command.clone_from(&line);
        let bytes = recording::latin1(&line);
        client.connection.send(&bytes);
        self.write(&event.connection, 'C', &bytes);
    }

    /// One reply, or as many as the recorded client read.
    fn receive(&mut self, run: &[Event], later: Option<&Event>) {
        let label = run[0].connection.clone();
        let Some(client) = self.clients.get_mut(&label) else { return };
        client.previous = 'S';
        let recorded: String = run.iter().map(|event| event.data.as_str()).collect();
        client.recorded_reply.clone_from(&recorded);
        if client.recorded_banner.is_empty() {
            client.recorded_banner.clone_from(&recorded);
        }
        if client.skips != Skips::Nothing || client.connection.closed {
            return;
        }
        let reads_on = later.is_some_and(|event| event.data == "connection closed by server");
        // A command with an odd line end was sent without waiting for its reply: all that comes is read at the end.
        if reads_on && client.command.ends_with('\n') && !client.command.ends_with("\r\n") {
            return;
        }
        let count = match client.protocol {
            Protocol::Smtp if !reads_on => recorded.lines().filter(|line| is_last_line(line)).count().max(1),
            _ => 1,
        };
        for _ in 0..count {
            if !self.read_reply(&label) {
                break;
            }
        }
    }

    /// Reads one reply; false when the connection ended or stayed silent.
    fn read_reply(&mut self, label: &str) -> bool {
        let client = self.clients.get_mut(label).expect("a known connection");
        let (mut reply, mut ending) = (Vec::new(), None);
        loop {
            match client.connection.line(REPLY) {
                Heard::Line(line) => {
                    reply.extend_from_slice(&line);
                    if client.is_complete(&reply, &line) {
                        break;
                    }
                }
                Heard::End(rest) => {
                    reply.extend_from_slice(&rest);
                    ending = Some("connection closed by server");
                    break;
                }
                Heard::Silence => {
                    ending = Some("(timeout waiting for a line)");
                    break;
                }
            }
        }
        client.reply = recording::from_latin1(&reply);
        if client.banner.is_empty() {
            client.banner.clone_from(&client.reply);
        }
        if client.protocol == Protocol::Smtp && !reply.is_empty() {
            let place = Place { root: self.root, flags: self.flags, name_server: self.name_server };
            client.told.hear(&client.command, &client.reply, &place, &mut self.compared);
        }
        if !reply.is_empty() {
            self.write(label, 'S', &reply);
        }
        if let Some(ending) = ending {
            self.write(label, '!', ending.as_bytes());
        }
        ending.is_none()
    }

    /// The recorded server closed here: as the last answer to a command, or while the client waited for the end.
    fn expect_close(&mut self, event: &Event) {
        let client = self.clients.get_mut(&event.connection).expect("checked by the caller");
        let instead_of_a_reply = client.previous == 'C' && client.skips == Skips::Nothing;
        client.previous = '!';
        client.recorded_closed = true;
        if instead_of_a_reply && !client.connection.closed {
            if self.read_reply(&event.connection) {
                self.go_on(&event.connection);
                self.clients.get_mut(&event.connection).expect("checked by the caller").outlived = true;
            }
            return;
        }
        let patience = if instead_of_a_reply || client.outlived { LOOK } else { Duration::from_secs(10) };
        self.look(&event.connection, patience, "(nothing more within 3.0s)");
    }

    /// The recorded client had nothing more to say; ours has.
    fn go_on(&mut self, label: &str) {
        let key = label.to_owned();
        let lines: Vec<String> =
            self.continuations.iter().filter(|(own, _)| *own == key).map(|(_, line)| line.clone()).collect();
        for line in lines {
            let client = self.clients.get_mut(label).expect("a known connection");
            client.command.clone_from(&line);
            client.connection.send(&recording::latin1(&line));
            self.write(label, 'C', &recording::latin1(&line));
            self.read_reply(label);
        }
    }

    fn expect_nothing(&mut self, event: &Event) {
        self.look(&event.connection, LOOK, &event.data);
    }

    fn look(&mut self, label: &str, patience: Duration, otherwise: &str) {
        let client = self.clients.get_mut(label).expect("a known connection");
        let rest = client.connection.rest(patience);
        let closed = client.connection.closed;
        if client.banner.is_empty() {
            client.banner = recording::from_latin1(&rest);
        }
        if !rest.is_empty() {
            self.write(label, 'S', &rest);
        }
        self.write(label, '!', if closed { b"connection closed by server" } else { otherwise.as_bytes() });
    }
}

impl Client {
    fn is_complete(&self, reply: &[u8], line: &[u8]) -> bool {
        match self.protocol {
            Protocol::Smtp => line.len() < 4 || line[3] != b'-',
            Protocol::Pop3 if reply.first() == Some(&b'+') && self.asks_for_lines() => is_dot(line),
            Protocol::Ctrl if reply.get(1..6) == Some(b"00100") => is_dot(line),
            Protocol::Pop3 | Protocol::Ctrl => true,
        }
    }

    /// POP3 commands that are answered by lines up to a dot. `LIST abc` lists all (recorded).
    fn asks_for_lines(&self) -> bool {
        let command = self.command.to_ascii_uppercase();
        let mut words = command.split_whitespace();
        match words.next() {
            Some("RETR" | "TOP" | "CAPA") => true,
            Some("LIST" | "UIDL") => words.next().is_none_or(|word| word == "ABC"),
            _ => false,
        }
    }

    /// `APOP user digest` and CTRL's `user TAB #digest` are made from the stamp in the banner.
    fn with_live_digest(&self, line: &str, recording: &Recording) -> String {
        let text = line.trim_end();
        let Some(at) = text.len().checked_sub(32) else { return line.to_owned() };
        let is_login = match self.protocol {
            Protocol::Pop3 => text.starts_with("APOP "),
            Protocol::Ctrl => text.contains("\t#"),
            Protocol::Smtp => false,
        };
        let (Some(recorded), Some(live)) = (stamp(&self.recorded_banner), stamp(&self.banner)) else {
            return line.to_owned();
        };
        if !is_login || !text.is_char_boundary(at) {
            return line.to_owned();
        }
        let digest = &text[at..];
        let made_from = |password: &String| digest.eq_ignore_ascii_case(&md5(recorded, password));
        let Some(password) = passwords(recording).into_iter().find(made_from) else { return line.to_owned() };
        let ours = md5(live, &password);
        let ours = if digest.contains(|c: char| c.is_ascii_uppercase()) { ours.to_uppercase() } else { ours };
        format!("{}{ours}{}", &text[..at], &line[text.len()..])
    }
}

fn is_go_ahead(reply: &str) -> bool {
    reply.starts_with("354")
}

fn is_upload(reply: &str) -> bool {
    reply.get(1..6) == Some("00101")
}

fn is_last_line(line: &str) -> bool {
    line.len() < 4 || line.as_bytes()[3] != b'-'
}

fn is_dot(line: &[u8]) -> bool {
    matches!(line, b".\r\n" | b".\n")
}

fn stamp(banner: &str) -> Option<&str> {
    let start = banner.find('<')?;
    Some(&banner[start..=start + banner[start..].find('>')?])
}

fn md5(stamp: &str, password: &str) -> String {
    Md5::digest(format!("{stamp}{password}")).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The passwords in the tables (each byte XOR 0x65, in hexadecimal) and the wrong ones the recorded client used.
fn passwords(recording: &Recording) -> Vec<String> {
    let decode = |hex: &str| -> String {
        hex.as_bytes()
            .chunks(2)
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .map(|byte| char::from(byte ^ 0x65))
            .collect()
    };
    let tables = ["mailusers.tab", "ctrlaccounts.tab"].iter().filter_map(|name| recording.initial.get(*name));
    let fields = tables.flat_map(|table| table.split(['\t', '\n'])).map(|field| field.trim_matches('"'));
    fields.map(decode).chain(["x", "nope"].map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ports_of_the_server_are_exchanged() {
        let places = Places {
            root: "/tmp/q/r".into(),
            pid_folder: "/tmp/q".into(),
            ports: [40000, 40001, 40002, 40003, 40004, 40005, 40006],
        };
        assert_eq!(
            places.to_ours("127.0.0.1:2525 127.0.0.1:25250 /var/MailRoot/x"),
            "127.0.0.1:40000 127.0.0.1:25250 /tmp/q/r/x"
        );
        assert_eq!(
            places.to_recorded("[127.0.0.1]:40000;[127.0.0.9]:40000"),
            "[127.0.0.1]:2525;[127.0.0.9]:40000"
        );
    }

    #[test]
    fn stamps_are_found_in_banners() {
        assert_eq!(stamp("+OK <1.2@x> hello"), Some("<1.2@x>"));
        assert_eq!(stamp("421 go away"), None);
        assert_eq!(md5("<1896.697170952@dbc.mtview.ca.us>", "tanstaaf"), "c4c9334bac560ecc979e58001b3e22fb");
    }
}
