//! An SMTP server that plays a script, and keeps what really happened in the script's own words.
//!
//! ```text
//! S: 250-a|250 b     sends lines
//! C: EHLO us.test    reads a line
//! TLS                does the handshake; TLS FAILED: the client ends it
//! GARBAGE            sends what is no TLS
//! FLOOD              sends continuation lines until the client is gone
//! SILENT 300         says nothing; how many seconds of (paused) time the client waited before it left
//! STUCK              reads nothing for an hour (of paused time)
//! DROP               closes
//! FROM 127.0.0.1     where the client came from
//! ----               the next connection
//! ```
//!
//! A client that speaks before its turn is noted as `EARLY`.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::net::tls::{TlsStore, ensure_self_signed};

/// A server that is playing.
pub(super) struct Script {
    pub(super) address: SocketAddr,
    script: String,
    playing: JoinHandle<String>,
}

trait Both: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

impl Script {
    pub(super) async fn start(script: &str) -> Self {
        Self::start_at("127.0.0.1:0", script).await.unwrap()
    }

    pub(super) async fn start_at(address: &str, script: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let lines = script.lines().map(str::trim_start).filter(|line| !line.is_empty());
        let script = lines.map(|line| format!("{line}\n")).collect::<String>();
        let playing = tokio::spawn(play(listener, script.clone()));
        Ok(Self { address, script, playing })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Waits until all is played and compares.
    #[track_caller]
    pub(super) fn check(self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let seen = self.playing.await.unwrap();
            assert_eq!(seen, self.script, "{caller}");
        }
    }
}

async fn play(listener: TcpListener, script: String) -> String {
    let mut seen = Vec::new();
    for part in script.split("----\n") {
        let (socket, peer) = listener.accept().await.unwrap();
        seen.push(play_connection(socket, peer, part).await);
    }
    seen.join("----\n")
}

async fn play_connection(socket: TcpStream, peer: SocketAddr, script: &str) -> String {
    let mut stream: BufReader<Box<dyn Both>> = BufReader::new(Box::new(socket));
    let mut seen = String::new();
    for step in script.lines() {
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        match word {
            "S:" => {
                if !stream.buffer().is_empty() {
                    seen.push_str("EARLY\n");
                }
                let wire: String = rest.split('|').map(|line| format!("{line}\r\n")).collect();
                // The client may have left; what it did not read does not matter then.
                let _ = stream.write_all(wire.as_bytes()).await;
                let _ = stream.flush().await;
                seen.push_str(&format!("{step}\n"));
            }
            "C:" => {
                let mut line = Vec::new();
                match stream.read_until(b'\n', &mut line).await {
                    Ok(count) if count > 0 => {
                        seen.push_str(&format!("C: {}\n", String::from_utf8_lossy(line.trim_ascii_end())));
                    }
                    _ => seen.push_str("CLOSED\n"),
                }
            }
            "TLS" => {
                let Ok(tls) = acceptor().accept(stream.into_inner()).await else {
                    seen.push_str("TLS FAILED\n");
                    return seen;
                };
                stream = BufReader::new(Box::new(tls));
                seen.push_str("TLS\n");
            }
            "GARBAGE" => {
                stream.write_all(b"250 what is TLS?\r\n").await.unwrap();
                seen.push_str("GARBAGE\n");
            }
            "FLOOD" => {
                while stream.write_all(&b"250-more and more\r\n".repeat(1000)).await.is_ok() {}
                seen.push_str("FLOOD\n");
            }
            "SILENT" => {
                let waited = silence(&mut stream).await;
                seen.push_str(&format!("SILENT {}\n", waited.as_secs()));
            }
            "STUCK" => {
                // Longer than any wait of the client, in paused time.
                tokio::time::pause();
                tokio::time::sleep(Duration::from_secs(3600)).await;
                tokio::time::resume();
                seen.push_str("STUCK\n");
            }
            "DROP" => {
                seen.push_str("DROP\n");
                return seen;
            }
            "FROM" => seen.push_str(&format!("FROM {}\n", peer.ip())),
            _ => panic!("{step}"),
        }
    }
    seen
}

/// How long the client waits for an answer; time goes as fast as it can meanwhile.
async fn silence(stream: &mut BufReader<Box<dyn Both>>) -> Duration {
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let mut octets = [0; 1024];
    while stream.read(&mut octets).await.is_ok_and(|count| count > 0) {}
    let waited = begun.elapsed();
    tokio::time::resume();
    waited
}

fn acceptor() -> TlsAcceptor {
    let directory = tempfile::tempdir().unwrap();
    ensure_self_signed(directory.path(), &["sink.test".to_owned()]).unwrap();
    TlsStore::new(directory.path()).acceptor().unwrap().tls().clone()
}
