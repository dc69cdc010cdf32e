//! The service in a process of its own, whose memory can be looked at: this test program, started once more.

use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tabmail::mailbox::Kind;
use tabmail::net::Link;

use crate::client::Client;
use crate::server::Server;

/// Set in the process that keeps house.
const VARIABLE: &str = "TABMAIL_HOSTILE_HOUSE";

/// What its line begins with.
const MARK: &str = "house at ";

/// A running service. Dropping it ends the process, which must end well: no panic, no abort.
pub(crate) struct House {
    child: Child,
    address: SocketAddr,
    root: PathBuf,
    /// Bytes of memory before anybody came.
    before: u64,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The tagged answer without its tag: `OK ...`, `NO ...`, `BAD ...`; `BYE` without one; empty at the end.
    pub(crate) ended: String,
    /// The untagged answers and continuations before it.
    pub(crate) told: Vec<Vec<u8>>,
}

impl House {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hostile::house::keeps_house", "--nocapture"])
            .env(VARIABLE, "maildir")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with(MARK)).unwrap();
        let (address, root) = line[MARK.len()..].split_once(' ').unwrap();
        // It has nothing more to say, but would wait if nobody listened.
        std::thread::spawn(move || lines.for_each(drop));
        let mut house =
            Self { child, address: address.parse().unwrap(), root: PathBuf::from(root), before: 0 };
        // What the first session needs once is not what is measured.
        assert!(house.enter().say("SELECT INBOX").is("OK"));
        house.before = house.memory("VmRSS:");
        house
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.root.join("server.cert")
    }

    /// The account's directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("domains/home.test/anna")
    }

    /// Where new messages are.
    pub(crate) fn inbox(&self) -> PathBuf {
        self.home().join("Maildir/new")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Puts a message into INBOX as a delivery does.
    pub(crate) fn deliver(&self, name: &str, text: &[u8]) -> PathBuf {
        let (temporary, path) = (self.home().join("Maildir/tmp").join(name), self.inbox().join(name));
        fs::create_dir_all(temporary.parent().unwrap()).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, &path).unwrap();
        path
    }

    /// A client that has heard the greeting.
    pub(crate) fn knock(&self) -> Visitor {
        let mut client = Client::connect(self.address);
        assert!(client.response().unwrap().starts_with(b"* OK "));
        Visitor { client, tag: 0 }
    }

    /// A client that is logged in.
    pub(crate) fn enter(&self) -> Visitor {
        let mut visitor = self.knock();
        assert!(visitor.say("LOGIN anna annapw").is("OK"));
        visitor
    }

    /// Others are served, and soon.
    pub(crate) fn assert_serves_others(&self) {
        let begun = std::time::Instant::now();
        let mut other = self.enter();
        assert!(other.say("SELECT INBOX").is("OK"));
        assert!(other.say("LOGOUT").is("OK"));
        assert!(begun.elapsed().as_secs() < 5, "others waited for {:?}", begun.elapsed());
    }

    /// The most memory the process ever had, beyond that of the beginning, is at most so much.
    #[track_caller]
    pub(crate) fn assert_memory_within(&self, mib: u64) {
        let used = self.memory("VmHWM:").saturating_sub(self.before) / 1024 / 1024;
        assert!(used <= mib, "{used} MiB");
    }

    /// Descriptors the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let ended = self.child.wait().unwrap();
        assert!(std::thread::panicking() || ended.success(), "the service has ended by {ended}");
    }
}

/// A client that counts its tags.
pub(crate) struct Visitor {
    pub(crate) client: Client,
    tag: u32,
}

impl Visitor {
    /// Sends a command and reads up to its end.
    pub(crate) fn say(&mut self, command: &str) -> Outcome {
        self.say_octets(command.as_bytes())
    }

    pub(crate) fn say_octets(&mut self, command: &[u8]) -> Outcome {
        let tag = self.begin(command);
        self.hear(&tag)
    }

    /// Sends a command, and gives its tag.
    pub(crate) fn begin(&mut self, command: &[u8]) -> String {
        self.tag += 1;
        let tag = format!("h{}", self.tag);
        self.client.send(&[tag.as_bytes(), b" ", command, b"\r\n"].concat());
        tag
    }

    /// Reads up to the end of the command with this tag, or to an untagged BAD.
    pub(crate) fn hear(&mut self, tag: &str) -> Outcome {
        let mut told = Vec::new();
        let tag = format!("{tag} ");
        while let Some(answer) = self.client.response() {
            let ended =
                answer.strip_prefix(tag.as_bytes()).or(answer.strip_prefix(b"* BAD").map(|_| &answer[2..]));
            if let Some(ended) = ended {
                return Outcome { ended: String::from_utf8_lossy(ended).into_owned(), told };
            }
            told.push(answer);
        }
        let has_said_bye = told.iter().any(|answer| answer.starts_with(b"* BYE"));
        Outcome { ended: if has_said_bye { "BYE".to_owned() } else { String::new() }, told }
    }

    /// Reads one answer; it must begin so.
    #[track_caller]
    pub(crate) fn expect(&mut self, start: &str) -> Vec<u8> {
        let answer = self.client.response().unwrap_or_default();
        assert!(answer.starts_with(start.as_bytes()), "{:?}", String::from_utf8_lossy(&answer));
        answer
    }

    /// Reads to the end of the connection; whether BYE was said.
    pub(crate) fn hears_bye(&mut self) -> bool {
        let mut has_said_bye = false;
        while let Some(answer) = self.client.response() {
            has_said_bye |= answer.starts_with(b"* BYE");
        }
        has_said_bye
    }
}

impl Outcome {
    pub(crate) fn is(&self, start: &str) -> bool {
        self.ended.starts_with(start)
    }

    /// The answers that begin so.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.told.iter().filter(|answer| answer.starts_with(start.as_bytes())).count()
    }
}

/// Nothing but where [`House::start`] asks for it.
#[test]
#[allow(clippy::print_stdout, reason = "whoever started it reads the address")]
fn keeps_house() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let usual = std::panic::take_hook();
    // A panic of one session would be survived, and not be seen.
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        std::process::abort();
    }));
    let server = Server::new(Kind::Maildir);
    // The line of the test's name has no end yet.
    println!("\n{MARK}{} {}", server.open(Link::Plain), server.path("").display());
    // Until the one who asked for it lets go.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    server.stop();
}
