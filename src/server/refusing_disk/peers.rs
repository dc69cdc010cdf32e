//! The other ends: a server that takes our mail, one whose mail we fetch, and the lines of a client.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything takes here; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A line-wise connection, from either side.
pub(super) struct Lines(BufReader<TcpStream>);

impl Lines {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    /// The next line without its end; `None` at the end.
    pub(super) async fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("no answer");
        read.is_ok_and(|count| count > 0).then(|| line.trim_end().to_owned())
    }

    pub(super) async fn say(&mut self, text: &str) {
        // The other side may be gone; that is heard.
        let _ = self.0.get_mut().write_all(format!("{text}\r\n").as_bytes()).await;
    }

    /// Says something, if anything, and returns the last line of the answer.
    pub(super) async fn ask(&mut self, text: &str) -> String {
        if !text.is_empty() {
            self.say(text).await;
        }
        loop {
            let line = self.hear().await.expect("the server lives");
            if line.as_bytes().get(3) != Some(&b'-') || line.starts_with("-ERR") {
                return line;
            }
        }
    }
}

/// Takes mail for `far.test`: `refused@` gets 550, `later@` 451 at the first time.
#[derive(Clone, Default)]
pub(super) struct Sink {
    state: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    messages: Vec<String>,
    deferred: HashSet<String>,
}

impl Sink {
    pub(super) async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (sink, address) = (Self::default(), listener.local_addr().unwrap());
        let serving = sink.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let sink = serving.clone();
                tokio::spawn(async move { sink.serve(Lines(BufReader::new(socket))).await });
            }
        });
        (sink, address)
    }

    pub(super) fn taken(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).messages.clone()
    }

    async fn serve(&self, mut lines: Lines) {
        lines.say("220 sink.test").await;
        let mut is_late = false;
        while let Some(line) = lines.hear().await {
            let answer = match line.split(' ').next().unwrap_or_default() {
                "RCPT" if line.contains("<refused@") => "550 5.1.1 never",
                "RCPT" => {
                    is_late = line.contains("<later@");
                    "250 ok"
                }
                "DATA" => {
                    lines.say("354 go on").await;
                    let mut text = String::new();
                    loop {
                        match lines.hear().await {
                            Some(line) if line == "." => break,
                            Some(line) => text.push_str(&(line + "\r\n")),
                            None => return,
                        }
                    }
                    self.take(text, is_late)
                }
                "QUIT" => return lines.say("221 bye").await,
                _ => "250 ok",
            };
            lines.say(answer).await;
        }
    }

    fn take(&self, text: String, is_late: bool) -> &'static str {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if is_late && state.deferred.insert(text.clone()) {
            return "451 4.2.0 later";
        }
        state.messages.push(text);
        "250 2.0.0 taken"
    }
}

/// A POP3 server with one message, until that is deleted.
#[derive(Clone)]
pub(super) struct Source {
    message: Arc<Mutex<Option<String>>>,
    pub(super) address: SocketAddr,
}

impl Source {
    pub(super) async fn start(message: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source =
            Self { message: Arc::new(Mutex::new(Some(message))), address: listener.local_addr().unwrap() };
        let serving = source.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                serving.serve(Lines(BufReader::new(socket))).await;
            }
        });
        source
    }

    fn message(&self) -> Option<String> {
        self.message.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn serve(&self, mut lines: Lines) {
        lines.say("+OK source").await;
        let message = self.message();
        let size = message.as_ref().map_or(0, String::len);
        let (count, mut deletes) = (usize::from(message.is_some()), false);
        let list =
            |entry: String| if count == 1 { format!("+OK\r\n{entry}\r\n.") } else { "+OK\r\n.".to_owned() };
        while let Some(line) = lines.hear().await {
            let answer = match line.split(' ').next().unwrap_or_default() {
                "STAT" => format!("+OK {count} {size}"),
                "UIDL" => list("1 uid1".to_owned()),
                "LIST" => list(format!("1 {size}")),
                "RETR" => format!("+OK\r\n{}.", message.as_deref().unwrap_or_default()),
                "DELE" => {
                    deletes = true;
                    "+OK".to_owned()
                }
                "QUIT" => {
                    if deletes {
                        *self.message.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    }
                    return lines.say("+OK bye").await;
                }
                _ => "+OK".to_owned(),
            };
            lines.say(&answer).await;
        }
    }
}
