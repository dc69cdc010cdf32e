//! Replays a dialogue: does what its lines say and writes down what the server answers.
//!
//! A dialogue is a text file. Its lines are done one after the other; what the server answered stands below the line that
//! asked for it. Replaying writes the whole file anew, answers as they are now: a dialogue has not changed if the text is
//! the same. `TABMAIL_DIALOGUES=write` stores it, for reading it over before it is committed.
//!
//! | line | what it does |
//! | --- | --- |
//! | `# text`, empty | nothing |
//! | `KIND maildir`, `KIND mailbox` | the first line: only with this kind of mailbox; without it with both |
//! | `C: text` | client 1 says a line; answers are read up to the tagged one, a continuation or the end of the connection |
//! | `C2: text` | the second client; the number may stand in all words below. Its first use connects it |
//! | `C\| text` | a line of the literal that the line above announces by `{*}`, `{*+}`, `~{*}` or `~{*+}` (`*` is the size) |
//! | `C= text` | octets of the literal without a line end; `\r`, `\n`, `\0`, `\\`, `\xff` stand for octets |
//! | `C+ text` | the command goes on behind its literal |
//! | `SEND: text`, `RAW: octets`, `FILL: n` | says a line, octets, or a line of so many `x`, and reads nothing |
//! | `HEAR: n`, `HEAR: end` | reads so many answers, or all up to the end of the connection |
//! | `CONNECT: plain`, `CONNECT: tls` | connects and shows the greeting |
//! | `LOGIN: anna` | logs in by LOGIN; what is said is not shown |
//! | `SASL: mechanism user password` | goes through AUTHENTICATE |
//! | `TLS:`, `DEFLATE:` | begins with TLS, with compression |
//! | `HANGUP:` | the client is gone |
//! | `DELIVER: directory date` | a message, in the lines `\| text` below, with this date (RFC 3339) appears in a directory |
//! | `FILE: path` | a file with the lines `\| text` below; `\t` is a tab |
//! | `REMOVE: path`, `RENAME: path path` | a file or directory goes, or is called differently; a `*` at the end of a name finds it |
//! | `SHOW: path` | the content of a file stands in the answers |
//! | `WAIT: seconds` | the server's clock goes forward |
//! | `SILENCE: milliseconds` | so long later clients may say nothing |
//! | `STOP:` | the server shuts down |
//! | `S: text`, `S2: text` | an answer; `S\|` is its next line, within a literal |
//!
//! Paths are as `Server::path` knows them. In answers `<v1>`, `<v2>` stand for UIDVALIDITY values in the order in which they
//! appear, and may be used in commands; `<now>` is an internal date of this hour, `<any>` what is never the same.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fancy_regex::{Captures, Regex};
use jiff::Timestamp;
use tabmail::mailbox::Kind;
use tabmail::net::Link;

use crate::client::Client;
use crate::sasl;
use crate::server::Server;

/// What came of a replay.
#[derive(Default)]
pub(crate) struct Replayed {
    /// The dialogue with the answers as they are.
    pub(crate) text: String,
    /// The commands, from the tag on, and what was answered: the tagged answer without its tag, `+`, or nothing.
    pub(crate) commands: Vec<(String, String)>,
    /// The answers as they came.
    pub(crate) answers: Vec<Vec<u8>>,
}

/// Replays a dialogue on a server of its own; `None` when it is not for this kind.
pub(crate) fn replay(text: &str, kind: Kind) -> Option<Replayed> {
    let other = match kind {
        Kind::Maildir => "KIND mailbox",
        Kind::Mailbox => "KIND maildir",
    };
    if text.starts_with(other) {
        return None;
    }
    let mut stage = Stage {
        server: Server::new(kind),
        clients: BTreeMap::new(),
        validities: Vec::new(),
        replayed: Replayed::default(),
    };
    let steps = steps(text);
    let mut at = 0;
    while at < steps.len() {
        let taken = steps[at + 1..].iter().take_while(|step| step.is_continued()).count();
        let played = catch_unwind(AssertUnwindSafe(|| stage.play(&steps[at], &steps[at + 1..=at + taken])));
        at += 1 + taken;
        if played.is_err() {
            // The rest is kept for who writes the answers anew; the panic has told why.
            stage.replayed.text.push_str("#! this step cannot be done\n");
            let rest = steps[at..].iter().map(|step| format!("{}\n", step.line));
            stage.replayed.text.extend(rest);
            return Some(stage.replayed);
        }
    }
    stage.end();
    Some(stage.replayed)
}

/// A line: its word, its client and the rest.
struct Step<'a> {
    line: &'a str,
    word: &'a str,
    client: u32,
    rest: &'a str,
}

impl Step<'_> {
    /// Belongs to the line above.
    fn is_continued(&self) -> bool {
        matches!(self.word, "C|" | "C=" | "C+" | "|")
    }
}

fn steps(text: &str) -> Vec<Step<'_>> {
    let answer = Regex::new(r"^(S\d*[:|]|#!)").unwrap();
    text.lines().filter(|line| !answer.is_match(line).unwrap()).map(step).collect()
}

fn step(line: &str) -> Step<'_> {
    let plain = Step { line, word: "", client: 1, rest: line };
    if line.is_empty() || line.starts_with('#') || line.starts_with("KIND ") {
        return plain;
    }
    let shape = Regex::new(r"^([A-Z]*)(\d*)([:|=+])(?: (.*))?$").unwrap();
    let Some(found) = shape.captures(line).unwrap() else { panic!("this is no step: {line}") };
    let get = |nth| found.get(nth).map_or("", |part| part.as_str());
    let word = match (get(1), get(3)) {
        (word, ":") => word,
        ("C", "|") => "C|",
        ("C", "=") => "C=",
        ("C", "+") => "C+",
        ("", "|") => "|",
        _ => panic!("this is no step: {line}"),
    };
    // The parts borrow from the line itself.
    let rest = found.get(4).map_or("", |rest| &line[rest.start()..rest.end()]);
    let word = if matches!(word, "C|" | "C=" | "C+" | "|") {
        word
    } else {
        found.get(1).map_or("", |word| &line[word.start()..word.end()])
    };
    Step { line, word, client: get(2).parse().unwrap_or(1), rest }
}

struct Stage {
    server: Server,
    clients: BTreeMap<u32, Client>,
    /// UIDVALIDITY values in the order in which they appeared.
    validities: Vec<String>,
    replayed: Replayed,
}

impl Stage {
    fn play(&mut self, step: &Step<'_>, below: &[Step<'_>]) {
        for line in std::iter::once(step).chain(below) {
            self.replayed.text.push_str(line.line);
            self.replayed.text.push('\n');
        }
        let lines = || below.iter().map(|line| line.rest).collect::<Vec<_>>();
        let words: Vec<&str> = step.rest.split(' ').collect();
        match step.word {
            "" => {}
            "C" => self.say(step, below),
            "SEND" => self.client(step.client).send(&[step.rest.as_bytes(), b"\r\n"].concat()),
            "RAW" => self.client(step.client).send(&octets(step.rest)),
            "FILL" => {
                let count = step.rest.parse().unwrap();
                self.client(step.client).send(&[vec![b'x'; count], b"\r\n".to_vec()].concat());
            }
            "HEAR" if step.rest == "end" => while self.hear(step.client).is_some() {},
            "HEAR" => {
                for _ in 0..step.rest.parse::<u32>().unwrap() {
                    assert!(self.hear(step.client).is_some(), "the connection has ended: {}", step.line);
                }
            }
            "CONNECT" => self.connect(step.client, step.rest, true),
            "LOGIN" => self.log_in(step.client, step.rest),
            "SASL" => self.authenticate(step.client, &words),
            "TLS" => {
                let certificate = self.server.path("server.cert");
                self.client(step.client).start_tls(&certificate);
            }
            "DEFLATE" => self.client(step.client).start_deflate(),
            "HANGUP" => drop(self.clients.remove(&step.client)),
            "DELIVER" => {
                let at: Timestamp = words[1].parse().unwrap();
                let directory = self.server.path(words[0]);
                let text: Vec<u8> =
                    lines().iter().flat_map(|line| [&octets(line), &b"\r\n"[..]].concat()).collect();
                self.server.deliver(&directory, u64::try_from(at.as_second()).unwrap(), &text);
            }
            "FILE" => {
                let path = self.server.path(step.rest);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let text: String = lines().iter().map(|line| line.replace("\\t", "\t") + "\n").collect();
                fs::write(path, text).unwrap();
                self.server.reload();
            }
            "REMOVE" => {
                let path = found(self.server.path(step.rest));
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
                self.server.reload();
            }
            "RENAME" => {
                let from = found(self.server.path(words[0]));
                let name = from.file_name().unwrap().to_str().unwrap().to_owned();
                let to = words[1].replace('*', &name);
                fs::rename(from, self.server.path(&to)).unwrap();
            }
            "SHOW" => {
                let text = fs::read_to_string(found(self.server.path(step.rest))).unwrap();
                self.write_down(step.client, text.trim_end());
            }
            "WAIT" => self.server.clock().advance(Duration::from_secs(step.rest.parse().unwrap())),
            "SILENCE" => self.server.set_idle(Duration::from_millis(step.rest.parse().unwrap())),
            "STOP" => self.server.stop(),
            _ => panic!("this is no step: {}", step.line),
        }
    }

    fn client(&mut self, number: u32) -> &mut Client {
        if !self.clients.contains_key(&number) {
            self.connect(number, "plain", false);
        }
        self.clients.get_mut(&number).unwrap()
    }

    fn connect(&mut self, number: u32, link: &str, is_shown: bool) {
        let link = if link == "tls" { Link::ImplicitTls } else { Link::Plain };
        let mut client = Client::connect(self.server.open(link));
        if link == Link::ImplicitTls {
            client.start_tls(&self.server.path("server.cert"));
        }
        self.clients.insert(number, client);
        let before = self.replayed.text.len();
        self.hear(number);
        if !is_shown {
            self.replayed.text.truncate(before);
        }
    }

    /// A command with its literals; each is sent when the server wants it.
    fn say(&mut self, step: &Step<'_>, below: &[Step<'_>]) {
        let mut line = self.known(step.rest);
        let command = line.clone();
        let mut below = below.iter().peekable();
        loop {
            let mut literal = Vec::new();
            while let Some(part) = below.next_if(|part| part.word != "C+") {
                literal.extend(octets(&self.known(part.rest)));
                literal.extend(if part.word == "C|" { &b"\r\n"[..] } else { b"" });
            }
            let is_announced = ["{*}", "{*+}"].iter().any(|end| line.ends_with(end));
            let waits = line.ends_with("{*}");
            line = line.replace("{*", &format!("{{{}", literal.len()));
            self.client(step.client).send(&[line.as_bytes(), b"\r\n"].concat());
            if !is_announced {
                break;
            }
            if waits {
                let answer = self.hear_answer(step.client);
                if answer != "+" {
                    return self.replayed.commands.push((command, answer));
                }
            }
            self.client(step.client).send(&literal);
            line = below.next().map(|rest| self.known(rest.rest)).unwrap_or_default();
        }
        let answer = self.hear_answer(step.client);
        self.replayed.commands.push((command, answer));
    }

    /// Reads up to the tagged answer, which is given without its tag, a continuation, or the end.
    fn hear_answer(&mut self, number: u32) -> String {
        loop {
            match self.hear(number) {
                Some(answer) if answer.starts_with(b"* ") => {}
                Some(answer) if answer.starts_with(b"+") => return "+".to_owned(),
                Some(answer) => {
                    let text = String::from_utf8_lossy(&answer).into_owned();
                    return text.split_once(' ').map(|(_, text)| text.to_owned()).unwrap_or_default();
                }
                None => return String::new(),
            }
        }
    }

    fn hear(&mut self, number: u32) -> Option<Vec<u8>> {
        let answer = self.client(number).response();
        match &answer {
            Some(octets) => {
                let text = self.lasting(&shown(octets));
                self.write_down(number, text.strip_suffix("\r\n").unwrap_or(&text));
                self.replayed.answers.push(octets.clone());
            }
            None => self.write_down(number, "<end>"),
        }
        answer
    }

    fn write_down(&mut self, number: u32, text: &str) {
        let number = if number == 1 { String::new() } else { number.to_string() };
        for (nth, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').map_or_else(
                || if nth + 1 < text.split('\n').count() { format!("{line}<LF>") } else { line.to_owned() },
                str::to_owned,
            );
            let sign = if nth == 0 { ':' } else { '|' };
            let line = format!("S{number}{sign} {line}");
            self.replayed.text.push_str(line.trim_end_matches(' '));
            self.replayed.text.push('\n');
        }
    }

    fn log_in(&mut self, number: u32, user: &str) {
        self.client(number).send(format!("login LOGIN {user} {user}pw\r\n").as_bytes());
        let before = self.replayed.text.len();
        self.hear_answer(number);
        let heard = self.replayed.text.split_off(before);
        assert!(heard.contains("login OK"), "{heard}");
    }

    /// AUTHENTICATE, with the tag `s`.
    fn authenticate(&mut self, number: u32, words: &[&str]) {
        let [mechanism, user, password] = words else { panic!("SASL: mechanism user password") };
        let exporter = mechanism.ends_with("-PLUS").then(|| self.client(number).exporter());
        let command = format!("s AUTHENTICATE {mechanism}");
        self.client(number).send(format!("{command}\r\n").as_bytes());
        let mut exchange = sasl::Exchange::new(mechanism, user, password, exporter);
        let before = self.replayed.text.len();
        while let Some(answer) = self.hear(number) {
            let Some(challenge) = answer.strip_prefix(b"+ ") else {
                let text = String::from_utf8_lossy(&answer).into_owned();
                let answer = text.split_once(' ').map(|(_, text)| text.to_owned()).unwrap_or_default();
                self.replayed.commands.push((command, answer));
                break;
            };
            // Challenges are never the same.
            self.replayed.text.truncate(before);
            let challenge = STANDARD.decode(challenge.trim_ascii_end()).unwrap();
            let answer = STANDARD.encode(exchange.answer(&String::from_utf8(challenge).unwrap()));
            self.client(number).send(format!("{answer}\r\n").as_bytes());
        }
    }

    /// What changes from run to run gets a name.
    fn lasting(&mut self, text: &str) -> String {
        let validity = Regex::new(r"(UIDVALIDITY |APPENDUID |COPYUID |MAILBOXID \(F)(\d+)").unwrap();
        let text = validity.replace_all(text, |found: &Captures<'_, str>| {
            let value = found[2].to_owned();
            let nth = self.validities.iter().position(|known| *known == value).unwrap_or_else(|| {
                self.validities.push(value);
                self.validities.len() - 1
            });
            format!("{}<v{}>", &found[1], nth + 1)
        });
        let date = Regex::new(r#"INTERNALDATE "([^"]*)""#).unwrap();
        let text = date.replace_all(&text, |found: &Captures<'_, str>| {
            let at = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", found[1].trim())
                .and_then(|at| at.to_timestamp());
            let age = Timestamp::now().as_second() - at.unwrap().as_second();
            if age.abs() < 3600 { "INTERNALDATE \"<now>\"".to_owned() } else { found[0].to_owned() }
        });
        let version = Regex::new(r#""version" "[^"]*""#).unwrap();
        version.replace_all(&text, "\"version\" \"<any>\"").into_owned()
    }

    fn known(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (nth, value) in self.validities.iter().enumerate() {
            text = text.replace(&format!("<v{}>", nth + 1), value);
        }
        text
    }

    /// Everybody who is left says goodbye, and must have been told nothing that was not asked for.
    fn end(&mut self) {
        let clients: Vec<u32> = self.clients.keys().copied().collect();
        for number in clients {
            let before = self.replayed.text.len();
            let said = self.client(number).has_more();
            self.client(number).send(b"end LOGOUT\r\n");
            self.hear_answer(number);
            let heard = self.replayed.text.split_off(before);
            let is_over = heard.lines().all(|line| line.contains("<end>"));
            let is_orderly =
                heard.lines().count() == 2 && heard.contains("* BYE") && heard.contains("end OK");
            if said || !(is_over || is_orderly) {
                self.replayed.text.push_str(&heard);
                self.replayed.text.push_str("#! this was not asked for\n");
            }
        }
    }
}

/// The file a path names; `*` at its end stands for the rest of the first name that fits.
fn found(path: PathBuf) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some(start) = name.strip_suffix('*') else { return path };
    let directory = path.parent().unwrap();
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let is_file = |name: &String| name.starts_with(start) && directory.join(name).is_file();
    directory.join(names.iter().find(|name| is_file(name)).unwrap_or_else(|| panic!("{}", path.display())))
}

/// Octets as the dialogue writes them.
fn octets(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let (octet, used) = match (first, tail) {
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'0', ..]) => (0, 2),
            (b'\\', [b'\\', ..]) => (b'\\', 2),
            (b'\\', [b'x', high, low, ..]) => {
                (u8::from_str_radix(&format!("{}{}", *high as char, *low as char), 16).unwrap(), 4)
            }
            _ => (first, 1),
        };
        octets.push(octet);
        rest = &rest[used..];
    }
    octets
}

/// Octets as people can read them: what is no UTF-8 and no line end is escaped.
fn shown(octets: &[u8]) -> String {
    let mut text = String::new();
    for chunk in octets.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\r' | '\n' | '\t' => text.push(letter),
                _ if letter.is_control() => text.push_str(&format!("\\x{:02x}", u32::from(letter))),
                _ => text.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|octet| text.push_str(&format!("\\x{octet:02x}")));
    }
    text
}
