//! Several clients, deliveries and removals as POP3 does them at once: each client's view, made of untagged answers only,
//! is the server's, and that is the directory's, also without the cache.
//!
//! `IMAP_RANDOM_OPERATIONS` says how many commands each client sends, `IMAP_RANDOM_SEED` with which seed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use tabmail::mailbox::Kind;
use tabmail::net::Link;

use super::server::Server;

/// Commands of each client in an ordinary run.
const OPERATIONS: u64 = 250;

/// Clients at once.
const CLIENTS: u64 = 4;

const FLAGS: [&str; 5] = ["\\Seen", "\\Flagged", "\\Deleted", "\\Answered", "$Junk"];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// A message as a client knows it; nothing is known of one that has only been counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message {
    uid: Option<u64>,
    flags: Vec<String>,
}

struct Client {
    stream: BufReader<TcpStream>,
    tag: u64,
    view: Vec<Message>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let mut client =
            Self { stream: BufReader::new(TcpStream::connect(address).unwrap()), tag: 0, view: Vec::new() };
        client.line();
        assert_eq!(client.command("LOGIN anna annapw"), "OK");
        assert_eq!(client.command("SELECT INBOX"), "OK");
        client.refresh();
        client
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).unwrap() > 0, "the server has hung up");
        line.trim_end().to_owned()
    }

    /// Sends a command, follows the untagged answers and says how it ended.
    fn command(&mut self, text: &str) -> String {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.stream.get_mut().write_all(format!("{tag}{text}\r\n").as_bytes()).unwrap();
        loop {
            let line = self.line();
            if let Some(rest) = line.strip_prefix(&tag) {
                assert!(!rest.starts_with("BAD"), "{text}: {rest}");
                return rest.split(' ').next().unwrap().to_owned();
            }
            self.follow(&line);
        }
    }

    fn follow(&mut self, line: &str) {
        let mut words = line.split(' ').skip(1);
        let (Some(Ok(number)), Some(what)) = (words.next().map(str::parse::<usize>), words.next()) else {
            return;
        };
        match what {
            "EXISTS" => {
                assert!(number >= self.view.len(), "{line} after {}", self.view.len());
                self.view.resize(number, Message::default());
            }
            "EXPUNGE" => drop(self.view.remove(number - 1)),
            "FETCH" => {
                let uid = between(line, "UID ", &[' ', ')']).map(|uid| uid.parse().unwrap());
                let message = &mut self.view[number - 1];
                assert!(message.uid.is_none() || uid.is_none() || message.uid == uid, "{line}: {message:?}");
                message.uid = message.uid.or(uid);
                if let Some(flags) = between(line, "FLAGS (", &[')']) {
                    message.flags = flags.split_whitespace().map(str::to_owned).collect();
                    message.flags.retain(|flag| flag != "\\Recent");
                    message.flags.sort();
                }
            }
            _ => {}
        }
    }

    /// Asks for everything; sequence numbers must name the messages that the client thinks they do.
    fn refresh(&mut self) {
        if !self.view.is_empty() {
            self.command("FETCH 1:* (UID FLAGS)");
        }
    }

    fn step(&mut self, random: &mut Random) {
        let count = self.view.len() as u64;
        let one = 1 + random.below(count.max(1));
        let flag = FLAGS[usize::try_from(random.below(5)).unwrap()];
        let sign = ["+", "-"][usize::try_from(random.below(2)).unwrap()];
        match random.below(10) {
            0..=3 if count > 0 => drop(self.command(&format!("STORE {one} {sign}FLAGS ({flag})"))),
            4 if count > 10 => drop(self.command("EXPUNGE")),
            5 if count > 0 && count < 40 => drop(self.command(&format!("COPY {one} INBOX"))),
            6 if count > 0 => drop(self.command(&format!("MOVE {one} INBOX"))),
            7 => self.refresh(),
            8 if count > 0 => drop(self.command(&format!("UID STORE 1:* {sign}FLAGS.SILENT ({flag})"))),
            _ => drop(self.command("NOOP")),
        }
    }
}

fn between(line: &str, from: &str, ends: &[char]) -> Option<String> {
    let rest = &line[line.find(from)? + from.len()..];
    Some(rest[..rest.find(ends)?].to_owned())
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn run(kind: Kind, seed: u64) {
    let mut server = Server::new(kind);
    let inbox = server.path("INBOX");
    let address = server.open(Link::Plain);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(address)).collect();
    std::thread::scope(|scope| {
        let working: Vec<_> = clients
            .iter_mut()
            .zip(0..)
            .map(|(client, nth)| {
                scope.spawn(move || {
                    let mut random = Random(seed * CLIENTS + nth);
                    (0..number("IMAP_RANDOM_OPERATIONS", OPERATIONS)).for_each(|_| client.step(&mut random));
                })
            })
            .collect();
        let mut random = Random(!seed);
        let mut serial = 0;
        while working.iter().any(|client| !client.is_finished()) {
            serial += 1;
            server.deliver(&inbox, 1_700_000_000 + serial, format!("Subject: {serial}\r\n\r\n").as_bytes());
            let files: Vec<_> = fs::read_dir(&inbox).unwrap().flatten().map(|entry| entry.path()).collect();
            if files.len() as u64 > 15 + random.below(20) {
                let which = usize::try_from(random.below(files.len() as u64)).unwrap();
                // A client may have been faster.
                let _ = fs::remove_file(&files[which]);
            }
        }
    });
    clients.iter_mut().for_each(|client| drop(client.command("NOOP")));
    let mut fresh = Client::new(address);
    for client in &mut clients {
        // What has only been counted is asked for; the rest is known from untagged answers.
        let known = client.view.clone();
        client.refresh();
        let agrees = |(known, now): (&Message, &Message)| known.uid.is_none() || known.uid == now.uid;
        assert!(known.iter().zip(&client.view).all(agrees), "seed {seed}");
        assert_eq!(client.view, fresh.view, "{kind:?}, seed {seed}");
    }
    let files = fs::read_dir(&inbox).unwrap().flatten().filter(|entry| entry.path().is_file()).count();
    assert_eq!(files, fresh.view.len(), "{kind:?}, seed {seed}: as many files as messages");
    let mut flags: Vec<Vec<String>> = fresh.view.iter().map(|message| message.flags.clone()).collect();
    clients.iter_mut().chain([&mut fresh]).for_each(|client| drop(client.command("UNSELECT")));
    fs::remove_file(server.path("HOME/imapcache")).unwrap();
    let again = Client::new(address);
    let mut without: Vec<Vec<String>> = again.view.iter().map(|message| message.flags.clone()).collect();
    flags.sort();
    without.sort();
    assert_eq!(flags, without, "{kind:?}, seed {seed}: without the cache");
}

#[test]
fn random_clients_and_deliveries_agree() {
    let seed = number("IMAP_RANDOM_SEED", 1);
    run(Kind::Maildir, seed);
    run(Kind::Mailbox, seed + 1);
}
