//! `tabmail explain` beside a live session: for each MAIL and RCPT that the server answered, and for each peer that it
//! did not greet, the explanation on the same MailRoot at that moment must end in the same reply, word by word.
//!
//! Only well-formed commands in their order are compared: an explanation is about tables, not about syntax.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tabmail::clock::Clock;
use tabmail::durable::Disk;
use tabmail::explain::render::one_line;
use tabmail::explain::{self, Client, Explanation, Heading, Settings};
use tabmail::mailbox::Mailboxes;
use tabmail::mailroot::{Fact, MailRoot, Snapshot};
use tabmail::net::tls::TlsStore;
use tabmail::options::Options;

use crate::alone::resolver;

/// What a session was told so far.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    client: Client,
    is_greeted: bool,
    has_hello: bool,
    has_mail: bool,
    recipients: usize,
    /// The sender whose POP3 log-in counts for the rest of the session, which a fresh client would not have.
    known_by_pop3: Option<String>,
    /// Who tries to log in.
    trying: Option<String>,
}

/// What came of the comparisons.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) count: usize,
    pub(crate) differences: Vec<String>,
}

impl Told {
    pub(crate) fn new(source: Option<Ipv4Addr>, port: u16, is_tls: bool) -> Self {
        let client = Client {
            peer: SocketAddr::new(IpAddr::V4(source.unwrap_or(Ipv4Addr::LOCALHOST)), 49152),
            local: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            helo: "client.test".to_owned(),
            is_tls,
            login: None,
            sender: String::new(),
            size_bytes: 0,
            content: None,
        };
        Self {
            client,
            is_greeted: false,
            has_hello: false,
            has_mail: false,
            recipients: 0,
            known_by_pop3: None,
            trying: None,
        }
    }

    /// After STARTTLS everything said before is forgotten.
    pub(crate) fn start_tls(&mut self) {
        (self.client.is_tls, self.client.login) = (true, None);
        (self.has_hello, self.has_mail, self.known_by_pop3) = (false, false, None);
    }

    /// A command and what the live server answered; the first reply has no command.
    pub(crate) fn hear(&mut self, command: &str, reply: &str, place: &Place<'_>, found: &mut Compared) {
        let line = command.trim_end();
        let upper = line.to_ascii_uppercase();
        let is_good = reply.starts_with('2');
        if !std::mem::replace(&mut self.is_greeted, true) {
            // A full house has nothing to do with tables.
            if !is_good && !reply.contains("too busy") {
                self.compare(
                    "a@b.test",
                    reply,
                    |heading| matches!(heading, Heading::Connect(_)),
                    place,
                    found,
                );
            }
        } else if let Some(user) = user_of(&upper, line) {
            self.trying = Some(user);
        } else if reply.starts_with("235") || reply.starts_with("334") {
            self.trying = user_of_response(line).or(self.trying.take());
        } else if upper.starts_with("EHLO ") || upper.starts_with("HELO ") {
            (self.has_hello, self.has_mail) = (self.has_hello || is_good, false);
        } else if let Some((sender, size_bytes)) = mail(&upper, line) {
            (self.client.sender, self.client.size_bytes) = (sender, size_bytes);
            let is_known = self.known_by_pop3.as_ref().is_none_or(|known| *known == self.client.sender);
            if is_known && self.has_hello && !self.has_mail && !reply.starts_with("503") {
                let is_mail = |heading: &Heading| is_command(heading, "MAIL ");
                self.compare("a@b.test", reply, is_mail, place, found);
            }
            (self.has_mail, self.recipients) = (is_good, 0);
        } else if let Some(recipient) = rcpt(&upper, line) {
            let is_known = self.known_by_pop3.as_ref().is_none_or(|known| *known == self.client.sender);
            if is_known
                && self.has_mail
                && !reply.starts_with("503")
                && self.recipients < place.recipients_max()
            {
                self.compare(&recipient, reply, |heading| is_command(heading, "RCPT "), place, found);
            }
            self.recipients += usize::from(is_good);
        } else if upper.starts_with("RSET") || upper.starts_with("DATA") || reply.starts_with("503") {
            self.has_mail = false;
        }
        if reply.starts_with("235") {
            self.client.login = self.trying.take();
        }
    }

    fn compare(
        &mut self,
        recipient: &str,
        live: &str,
        is_meant: impl Fn(&Heading) -> bool,
        place: &Place<'_>,
        found: &mut Compared,
    ) {
        let explanation = place.explain(&self.client, recipient);
        let mut facts = explanation.chapters.iter().flat_map(|chapter| &chapter.steps).map(|step| &step.fact);
        if facts.any(|fact| matches!(fact, Fact::PopBeforeSmtp { .. })) {
            self.known_by_pop3 = Some(self.client.sender.clone());
        }
        let meant = explanation.chapters.iter().find(|chapter| is_meant(&chapter.heading));
        let explained = meant.and_then(|chapter| chapter.reply.as_ref()).map(one_line);
        let live = live.trim_end().replace("\r\n", " / ");
        found.count += 1;
        if explained.as_deref() != Some(&live) {
            let client = &self.client;
            found.differences.push(format!(
                "from {} <{}> to <{recipient}>: live {live:?}, explained {explained:?}",
                client.peer.ip(),
                client.sender
            ));
        }
    }
}

/// The MailRoot of the live server and its options.
pub(crate) struct Place<'a> {
    pub(crate) root: &'a Path,
    pub(crate) flags: &'a [String],
    /// Who answers the live server's questions to the DNS; `None`: it asks nothing.
    pub(crate) name_server: Option<SocketAddr>,
}

impl Place<'_> {
    fn options(&self) -> Options {
        Options::parse(self.flags).unwrap().0
    }

    fn recipients_max(&self) -> usize {
        self.options().smtp.recipients_max
    }

    fn explain(&self, client: &Client, recipient: &str) -> Explanation {
        let (root, options) = (MailRoot::new(self.root), self.options());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let snapshot = Arc::new(Snapshot::load(&root));
        let settings = Settings {
            resolver: self.name_server.map(|address| resolver(&options, &snapshot, address)),
            asks_about_peer: self.name_server.is_some(),
            snapshot,
            mailboxes: Mailboxes::new(root, options.mailbox_kind, Disk::default()),
            clock: Clock::system(),
            recipients_max: options.smtp.recipients_max,
            pop_auth_lifetime: options.smtp.pop_auth_lifetime,
            retry: options.retry,
            is_tls_available: TlsStore::new(self.root).available(),
            within: None,
        };
        runtime.block_on(explain::rcpt(&settings, client, recipient)).unwrap()
    }
}

fn is_command(heading: &Heading, begins: &str) -> bool {
    matches!(heading, Heading::Command(command) if command.starts_with(begins))
}

/// `MAIL FROM:<path> [SIZE=n]`.
fn mail(upper: &str, line: &str) -> Option<(String, u64)> {
    let rest = upper.strip_prefix("MAIL FROM:<").map(|rest| &line[line.len() - rest.len()..])?;
    let (path, parameters) = rest.split_once('>')?;
    let size = match parameters.trim() {
        "" => 0,
        parameters => parameters.strip_prefix("SIZE=")?.parse().ok()?,
    };
    is_plain(path).then(|| (path.to_owned(), size))
}

/// `RCPT TO:<path>`.
fn rcpt(upper: &str, line: &str) -> Option<String> {
    let rest = upper.strip_prefix("RCPT TO:<").map(|rest| &line[line.len() - rest.len()..])?;
    let path = rest.strip_suffix('>')?;
    is_plain(path).then(|| path.to_owned())
}

fn is_plain(path: &str) -> bool {
    path.is_ascii() && !path.contains(['<', '>', ' '])
}

/// The user of `AUTH PLAIN response` or `AUTH LOGIN user`.
fn user_of(upper: &str, line: &str) -> Option<String> {
    let rest = upper.strip_prefix("AUTH ").map(|rest| &line[line.len() - rest.len()..])?;
    let (_, response) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(user_of_response(response).unwrap_or_default())
}

/// The user in what PLAIN, LOGIN or CRAM-MD5 sends; LOGIN's password has no `@` and no user before it.
fn user_of_response(response: &str) -> Option<String> {
    let bytes = BASE64.decode(response).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let user = match text.split('\0').nth(1) {
        Some(user) => user.to_owned(),
        None => text.split(' ').next()?.to_owned(),
    };
    (user.contains('@') || text.contains('\0') || text.contains(' ')).then_some(user)
}
