//! Lines in, replies out: the buffered connection under every protocol face and every client.
//!
//! Shape: a line ends at LF and the CRs before it belong to its end (mailflow.md 1.2). Replies are collected with
//! [`Connection::queue`] and go out when nothing more can be read without waiting, so that a pipelining client
//! (RFC 2920) gets its replies in few packets.
//!
//! Limits: the read buffer holds at most one line limit and one read ([`READ_CHUNK_BYTES`]); a longer line is
//! swallowed and reported (decision 7).
//!
//! Cancellation: all state is in the buffers, so every method may be dropped inside `select!` and called again.

use std::io;
use std::time::Duration;

use memchr::memchr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::IO_TIMEOUT;
use super::deflate::Deflate;
use super::stream::{Link, Stream};
use super::tls::{Acceptor, ClientTls, TlsError};

/// A [`Stream`] with a read buffer that finds lines and a write buffer that collects replies.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// Octets received and not yet consumed are `received[start..]`.
    received: Vec<u8>,
    start: usize,
    /// Octets after `start` already searched for LF without success.
    searched: usize,
    /// The current line went over its limit and is dropped up to its LF.
    swallowing: bool,
    /// Octets that will be sent.
    replies: Vec<u8>,
    /// Octets on their way, compressed where the connection is: `outgoing[sent..]`.
    outgoing: Vec<u8>,
    sent: usize,
    /// The stream was given octets that it may hold back until it is flushed: TLS does where the socket is full.
    unflushed: bool,
    deflate: Option<Box<Deflate>>,
}

/// One line as it came, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The octets before the line end (NUL and 8-bit ones included) and how it ended.
    Text(Vec<u8>, LineEnding),
    /// The line was longer than the limit; all of it is gone.
    TooLong,
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnding {
    /// CR LF, the end RFC 5321 asks for.
    CrLf,
    /// LF alone.
    BareLf,
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The peer closed the connection; an unfinished line is lost with it.
    #[error("end of stream")]
    Eof,
    /// Nothing complete arrived in the time the caller allowed.
    #[error("no input for {0:?}")]
    Timeout(Duration),
    /// The socket failed, or sending queued replies did.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Connection {
    /// A connection with empty buffers.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            start: 0,
            searched: 0,
            swallowing: false,
            replies: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            unflushed: false,
            deflate: None,
        }
    }

    /// From here on both directions are compressed (RFC 4978). Queued replies go out before, uncompressed; octets received
    /// already are the first compressed ones.
    ///
    /// # Errors
    /// As [`Connection::flush`].
    pub async fn start_compression(&mut self) -> io::Result<()> {
        self.flush().await?;
        let early = self.received.split_off(self.start);
        self.received.clear();
        (self.start, self.searched) = (0, 0);
        self.deflate = Some(Box::new(Deflate::new(early)));
        Ok(())
    }

    /// Whether [`Connection::start_compression`] was called.
    pub fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// The stream below, for its addresses and TLS parameters.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The next line of at most `limit` octets, its line end included.
    ///
    /// Queued replies are sent before waiting. `deadline` counts from this call and covers the whole line.
    ///
    /// # Errors
    /// [`ReadError`]; after any of them the connection is of no further use, save that queued replies may
    /// still be sent after `Timeout`.
    pub async fn read_line(&mut self, limit: usize, deadline: Duration) -> Result<Line, ReadError> {
        let until = Instant::now() + deadline;
        loop {
            if let Some(line) = self.take_line(limit) {
                return Ok(line);
            }
            // A peer whose octets never end and are always there keeps the timer below from being looked at.
            if Instant::now() > until {
                return Err(ReadError::Timeout(deadline));
            }
            self.receive(until, deadline).await?;
        }
    }

    /// Whether a complete line is in the buffer already, so that `read_line` will not wait.
    pub fn has_line(&self) -> bool {
        memchr(b'\n', &self.received[self.start..]).is_some()
    }

    /// Octets for a reader with its own framing (mail data, literals): what is buffered, else what one read
    /// brings. Never empty. Follow it with [`Connection::consume`]. Queued replies are sent before waiting.
    ///
    /// # Errors
    /// [`ReadError`], as [`Connection::read_line`].
    pub async fn fill(&mut self, deadline: Duration) -> Result<&[u8], ReadError> {
        if self.start == self.received.len() {
            self.receive(Instant::now() + deadline, deadline).await?;
        }
        Ok(&self.received[self.start..])
    }

    /// Marks the first `count` octets of the buffer as read; more than there are means all.
    pub fn consume(&mut self, count: usize) {
        self.start = self.received.len().min(self.start + count);
        self.searched = 0;
        if self.start == self.received.len() {
            self.received.clear();
            self.start = 0;
        }
    }

    /// Adds octets to what is sent at the next [`Connection::flush`] or before the next wait for input.
    pub fn queue(&mut self, octets: &[u8]) {
        self.replies.extend_from_slice(octets);
    }

    /// Adds octets and sends whenever the buffer is full; for mail on its way out. Ends with octets still
    /// queued: call [`Connection::flush`] after the last piece.
    ///
    /// # Errors
    /// As [`Connection::flush`].
    pub async fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        for piece in octets.chunks(WRITE_BUFFER_BYTES) {
            self.queue(piece);
            if self.replies.len() >= WRITE_BUFFER_BYTES {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Sends everything queued.
    ///
    /// # Errors
    /// `TimedOut` when the peer accepts nothing for [`IO_TIMEOUT`], else what the socket says.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.send().await?;
        timeout(IO_TIMEOUT, self.stream.flush()).await??;
        self.unflushed = false;
        Ok(())
    }

    /// Sends what is queued, then says goodbye (TLS close_notify, FIN). Nothing more can be sent.
    ///
    /// What the peer is still sending is read for a moment and dropped: a socket that is closed with unread octets resets
    /// the connection, and takes our last words away from the peer.
    ///
    /// # Errors
    /// As [`Connection::flush`]; the connection is over in any case.
    pub async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        timeout(IO_TIMEOUT, self.stream.shutdown()).await??;
        let until = Instant::now() + LINGER;
        let mut piece = vec![0; READ_CHUNK_BYTES];
        // The first look does not wait: as a rule nothing is there.
        let mut patience = Duration::ZERO;
        let mut dropped = 0;
        while dropped < LINGER_BYTES_MAX
            && let Ok(Ok(count @ 1..)) = timeout(patience, self.stream.read(&mut piece)).await
        {
            dropped += count;
            patience = until.saturating_duration_since(Instant::now());
        }
        Ok(())
    }

    /// The server's side of STARTTLS or of a TLS port: handshakes, and drops everything received in plain, which
    /// an attacker may have put there (RFC 3207 section 4.2, mailflow.md 3.11). Queued replies go out first.
    ///
    /// # Errors
    /// [`TlsError`]; the connection is broken then.
    pub async fn upgrade_to_tls(&mut self, acceptor: &Acceptor) -> Result<(), TlsError> {
        let socket = self.leave_plain().await?;
        let tls = timeout(IO_TIMEOUT, acceptor.tls().accept(socket))
            .await
            .map_err(|_| TlsError::HandshakeTimeout)?;
        let tls = tls.map_err(TlsError::Handshake)?;
        self.stream.put(Link::ServerTls(Box::new(tls), acceptor.end_point()));
        Ok(())
    }

    /// The client's side; `host` (a name or an IP address) goes into SNI and, where asked for, is verified.
    ///
    /// # Errors
    /// [`TlsError`]; the connection is broken then.
    pub async fn start_client_tls(&mut self, client: &ClientTls, host: &str) -> Result<(), TlsError> {
        let name = client.server_name(host, self.stream.peer().ip());
        let socket = self.leave_plain().await?;
        let handshake = client.connector().connect(name, socket);
        let tls = timeout(IO_TIMEOUT, handshake).await.map_err(|_| TlsError::HandshakeTimeout)?;
        self.stream.put(Link::ClientTls(Box::new(tls.map_err(TlsError::Handshake)?)));
        Ok(())
    }

    async fn leave_plain(&mut self) -> Result<tokio::net::TcpStream, TlsError> {
        self.flush().await.map_err(TlsError::Handshake)?;
        self.received = Vec::new();
        (self.start, self.searched, self.swallowing) = (0, 0, false);
        self.stream.take_plain().ok_or(TlsError::NotPlain)
    }

    fn take_line(&mut self, limit: usize) -> Option<Line> {
        let pending = &self.received[self.start..];
        let Some(at) = memchr(b'\n', &pending[self.searched..]).map(|at| at + self.searched) else {
            self.searched = pending.len();
            if pending.len() >= limit {
                self.swallowing = true;
            }
            if self.swallowing {
                self.consume(usize::MAX - self.start);
            }
            return None;
        };
        let line = if std::mem::take(&mut self.swallowing) || at + 1 > limit {
            Line::TooLong
        } else {
            split_ending(&pending[..at])
        };
        self.consume(at + 1);
        Some(line)
    }

    async fn receive(&mut self, until: Instant, deadline: Duration) -> Result<(), ReadError> {
        self.flush_before_wait().await?;
        if self.start > 0 {
            self.received.drain(..self.start);
            self.start = 0;
        }
        while self.deflate.is_some() {
            let before = self.received.len();
            if let Some(deflate) = &mut self.deflate {
                deflate.unpack(&mut self.received)?;
            }
            if self.received.len() > before {
                return Ok(());
            }
            self.receive_octets(until, deadline).await?;
        }
        self.receive_octets(until, deadline).await
    }

    async fn receive_octets(&mut self, until: Instant, deadline: Duration) -> Result<(), ReadError> {
        let into = match &mut self.deflate {
            Some(deflate) => &mut deflate.packed,
            None => &mut self.received,
        };
        into.reserve(READ_CHUNK_BYTES);
        // `read_buf` appends and is safe to drop: what it did not return, it did not take.
        let mut chunk = (&mut self.stream).take(READ_CHUNK_BYTES as u64);
        match timeout_at(until, chunk.read_buf(into)).await {
            Err(_) => Err(ReadError::Timeout(deadline)),
            Ok(Ok(0)) => Err(ReadError::Eof),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Eof),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    async fn flush_before_wait(&mut self) -> io::Result<()> {
        let is_all_out = self.replies.is_empty() && self.outgoing.is_empty() && !self.unflushed;
        if is_all_out { Ok(()) } else { self.flush().await }
    }

    async fn send(&mut self) -> io::Result<()> {
        loop {
            while self.sent < self.outgoing.len() {
                let count = timeout(IO_TIMEOUT, self.stream.write(&self.outgoing[self.sent..])).await??;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.unflushed = true;
                self.sent += count;
            }
            self.outgoing.clear();
            self.sent = 0;
            if self.replies.is_empty() {
                return Ok(());
            }
            match &mut self.deflate {
                Some(deflate) => {
                    deflate.pack(&self.replies, &mut self.outgoing)?;
                    self.replies.clear();
                }
                None => std::mem::swap(&mut self.replies, &mut self.outgoing),
            }
        }
    }
}

fn split_ending(line: &[u8]) -> Line {
    let text = line.iter().rposition(|&octet| octet != b'\r').map_or(&line[..0], |last| &line[..=last]);
    let ending = if text.len() < line.len() { LineEnding::CrLf } else { LineEnding::BareLf };
    Line::Text(text.to_vec(), ending)
}

/// Octets asked of the socket at once. Ours: a few times the longest command.
const READ_CHUNK_BYTES: usize = 16 * 1024;

/// How long a peer that does not stop sending is listened to after our goodbye. Ours: its answer to a FIN takes a round trip.
const LINGER: Duration = Duration::from_secs(2);

/// Octets of it. Ours: more than sockets hold.
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Octets collected before mail is sent on. Ours: one TLS record.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::tls::{ClientVerify, TlsStore, ensure_self_signed};
    use super::*;

    const LIMIT: usize = 16;
    const SOON: Duration = Duration::from_secs(20);

    async fn pair() -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (client, Connection::new(Stream::plain(server).unwrap()))
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_client_that_sends_word_by_word_does_not_wait_for_acknowledgements() {
        const ROUNDS: usize = 21;
        const DELAYED: Duration = Duration::from_millis(30);
        let (mut client, mut server) = pair().await;
        let serving = tokio::spawn(async move {
            for _ in 0..ROUNDS {
                while !server.fill(SOON).await.unwrap().ends_with(b"\n") {
                    server.consume(LIMIT);
                    server.stream().acknowledge();
                }
                server.consume(LIMIT);
                server.queue(b"+");
                server.flush().await.unwrap();
            }
        });
        let mut waits = Vec::new();
        for _ in 0..ROUNDS {
            let begun = std::time::Instant::now();
            client.write_all(b"word ").await.unwrap();
            client.write_all(b"word\n").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
            waits.push(begun.elapsed());
        }
        serving.await.unwrap();
        // The first acknowledgements of a connection are never delayed, and a busy machine may delay some.
        waits.sort_unstable();
        assert!(waits[ROUNDS / 2] < DELAYED, "{waits:?}");
    }

    /// What a server with a limit of 16 octets reads from these pieces, each read before the next is sent.
    async fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut client, mut server) = pair().await;
        let mut seen = Vec::new();
        for piece in pieces {
            client.write_all(piece).await.unwrap();
        }
        client.shutdown().await.unwrap();
        loop {
            seen.push(match server.read_line(LIMIT, SOON).await {
                Ok(Line::Text(text, ending)) => format!("{} {ending:?}", String::from_utf8_lossy(&text)),
                Ok(Line::TooLong) => "too long".to_owned(),
                Err(ReadError::Eof) => return seen,
                Err(error) => panic!("{error}"),
            });
        }
    }

    #[tokio::test]
    async fn lines_end_at_lf_and_lose_their_crs() {
        let got = lines(&[b"NOOP\r\n", b"a\nb\r\r\n", b"\n\r\n", b"c\rd\r\n", b"un", b"finished"]).await;
        assert_eq!(got, ["NOOP CrLf", "a BareLf", "b CrLf", " BareLf", " CrLf", "c\rd CrLf"]);
    }

    #[tokio::test]
    async fn octets_are_delivered_as_they_are() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"a\0\xff\r\n").await.unwrap();
        let line = server.read_line(LIMIT, SOON).await.unwrap();
        assert_eq!(line, Line::Text(b"a\0\xff".to_vec(), LineEnding::CrLf));
    }

    #[tokio::test]
    async fn a_line_over_its_limit_is_swallowed_and_the_next_is_read() {
        // The limit of 16 counts the line end.
        let exact = [b'x'; 14];
        let longest = [&exact[..], b"\r\n"].concat();
        let over = [&exact[..], b"x\r\n"].concat();
        let got = lines(&[&longest, &over, b"NOOP\r\n", &[b'y'; 100_000], b"\nNOOP\r\n"]).await;
        assert_eq!(got, ["xxxxxxxxxxxxxx CrLf", "too long", "NOOP CrLf", "too long", "NOOP CrLf"]);
    }

    #[tokio::test]
    async fn an_endless_line_takes_bounded_memory() {
        let (mut client, mut server) = pair().await;
        let writer = tokio::spawn(async move {
            client.write_all(&vec![b'x'; 4 << 20]).await.unwrap();
            client.write_all(b"\r\n").await.unwrap();
            client
        });
        assert_eq!(server.read_line(LIMIT, SOON).await.unwrap(), Line::TooLong);
        assert!(server.received.capacity() <= 4 * READ_CHUNK_BYTES);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_line_that_never_ends_is_a_timeout() {
        let (mut client, mut server) = pair().await;
        let writer = tokio::spawn(async move { while client.write_all(&[b'x'; 64 * 1024]).await.is_ok() {} });
        let error = server.read_line(LIMIT, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, ReadError::Timeout(_)), "{error}");
        drop(server);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn silence_is_a_timeout() {
        let (_client, mut server) = pair().await;
        let error = server.read_line(LIMIT, Duration::from_millis(20)).await.unwrap_err();
        assert!(matches!(error, ReadError::Timeout(waited) if waited.as_millis() == 20));
    }

    #[tokio::test]
    async fn a_dropped_read_loses_nothing() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"NO").await.unwrap();
        // Reads until both octets are in the buffer, dropping the future each time it has to wait.
        while server.received.len() < 2 {
            tokio::select! {
                biased;
                line = server.read_line(LIMIT, SOON) => panic!("{line:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        client.write_all(b"OP\r\n").await.unwrap();
        let line = server.read_line(LIMIT, SOON).await.unwrap();
        assert_eq!(line, Line::Text(b"NOOP".to_vec(), LineEnding::CrLf));
    }

    #[tokio::test]
    async fn replies_wait_for_pipelined_commands() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"a\r\nb\r\nc").await.unwrap();
        for reply in [b"1", b"2"] {
            server.read_line(LIMIT, SOON).await.unwrap();
            server.queue(reply);
        }
        assert_eq!(server.replies, b"12", "nothing is sent while lines are buffered");
        assert!(!server.has_line());
        let reader = tokio::spawn(async move { server.read_line(LIMIT, SOON).await });
        let mut replies = [0; 2];
        client.read_exact(&mut replies).await.unwrap();
        assert_eq!(&replies, b"12", "they are sent before waiting");
        client.write_all(b"\n").await.unwrap();
        assert!(matches!(reader.await.unwrap(), Ok(Line::Text(text, LineEnding::BareLf)) if text == b"c"));
    }

    #[tokio::test]
    async fn raw_octets_and_lines_share_one_buffer() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"DATA\r\nhello\r\n.\r\nQUIT\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        server.read_line(LIMIT, SOON).await.unwrap();
        let mut data = Vec::new();
        while data.len() < 10 {
            let piece = server.fill(SOON).await.unwrap();
            let count = piece.len().min(10 - data.len());
            data.extend_from_slice(&piece[..count]);
            server.consume(count);
        }
        assert_eq!(data, b"hello\r\n.\r\n");
        let line = server.read_line(LIMIT, SOON).await.unwrap();
        assert_eq!(line, Line::Text(b"QUIT".to_vec(), LineEnding::CrLf));
        assert!(matches!(server.fill(SOON).await, Err(ReadError::Eof)));
    }

    #[tokio::test]
    async fn long_output_arrives_whole() {
        let (mut client, mut server) = pair().await;
        let mail: Vec<u8> = (0..1 << 20).map(|at| at as u8).collect();
        let expected = mail.clone();
        let writer = tokio::spawn(async move {
            server.write_all(&mail).await.unwrap();
            server.close().await.unwrap();
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
        writer.await.unwrap();
    }

    async fn handshake(
        early: &'static [u8],
        verify: ClientVerify,
    ) -> (Connection, Result<Connection, TlsError>) {
        let root = tempfile::tempdir().unwrap();
        ensure_self_signed(root.path(), &["mx.example.test".to_owned()]).unwrap();
        let verify = match &verify.ca_file {
            Some(_) => ClientVerify { ca_file: Some(root.path().join("server.cert")), ..verify },
            None => verify,
        };
        let acceptor = TlsStore::new(root.path()).acceptor().unwrap();
        let (mut client, mut server) = pair().await;
        client.write_all(b"STARTTLS\r\n").await.unwrap();
        client.write_all(early).await.unwrap();
        let tls = ClientTls::new(&verify).unwrap();
        let client = tokio::spawn(async move {
            let mut client = Connection::new(Stream::plain(client).unwrap());
            client.read_line(LIMIT, SOON).await.unwrap();
            client.start_client_tls(&tls, "mx.example.test.").await.map(|()| client)
        });
        while !server.has_line() || server.received.len() < b"STARTTLS\r\n".len() + early.len() {
            server.receive(Instant::now() + SOON, SOON).await.unwrap();
        }
        server.read_line(LIMIT, SOON).await.unwrap();
        server.queue(b"220 go\r\n");
        let _ = server.upgrade_to_tls(&acceptor).await;
        (server, client.await.unwrap())
    }

    #[tokio::test]
    async fn both_ends_have_the_same_channel_bindings() {
        let (server, client) = handshake(b"", ClientVerify::default()).await;
        let client = client.unwrap();
        let bindings = server.stream().channel_bindings();
        assert_eq!(bindings, client.stream().channel_bindings());
        assert_eq!(bindings.tls_exporter.as_ref().unwrap().len(), 32);
        assert_eq!(bindings.tls_server_end_point.as_ref().unwrap().len(), 32);
        let (other, _client) = handshake(b"", ClientVerify::default()).await;
        assert_ne!(bindings.tls_exporter, other.stream().channel_bindings().tls_exporter);
        assert!(pair().await.1.stream().channel_bindings().is_empty());
    }

    #[tokio::test]
    async fn plaintext_before_the_handshake_is_dropped() {
        let (mut server, client) = handshake(b"MAIL evil\r\n", ClientVerify::default()).await;
        let mut client = client.unwrap();
        assert!(server.stream().is_tls() && client.stream().is_tls());
        assert!(server.stream().tls_parameters().unwrap().0.starts_with("TLSv1"));
        client.queue(b"EHLO x\r\n");
        client.flush().await.unwrap();
        let line = server.read_line(LIMIT, SOON).await.unwrap();
        assert_eq!(line, Line::Text(b"EHLO x".to_vec(), LineEnding::CrLf));
        server.close().await.unwrap();
        assert!(matches!(client.read_line(LIMIT, SOON).await, Err(ReadError::Eof)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (client, mut server) = pair().await;
        let begun = Instant::now();
        let error = server.write_all(&vec![b'x'; 64 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), IO_TIMEOUT.as_secs());
        assert!(server.replies.len() + server.outgoing.len() <= 2 * WRITE_BUFFER_BYTES);
        drop(client);
    }

    #[tokio::test]
    async fn a_peer_that_goes_on_sending_hears_our_last_words() {
        let (client, mut server) = pair().await;
        let (mut hearing, mut talking) = client.into_split();
        let talking = tokio::spawn(async move {
            let said = talking.write_all(&vec![b'x'; 8 << 20]).await;
            (talking, said)
        });
        server.fill(SOON).await.unwrap();
        server.queue(b"BYE");
        let closing = tokio::spawn(async move { server.close().await });
        let mut heard = Vec::new();
        hearing.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"BYE");
        let (_, said) = talking.await.unwrap();
        said.unwrap();
        drop(hearing);
        closing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_tls_holds_back_is_sent_before_waiting() {
        const BYTES: usize = 512 * WRITE_BUFFER_BYTES;
        let (mut server, client) = handshake(b"", ClientVerify::default()).await;
        let mut client = client.unwrap();
        let serving = tokio::spawn(async move {
            // Nothing is left queued: the last piece is as long as the buffer.
            server.write_all(&vec![b'x'; BYTES]).await.unwrap();
            server.read_line(LIMIT, SOON).await
        });
        let mut got = 0;
        while got < BYTES {
            // So slowly that the socket is full whenever the server writes.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            let count = client.fill(SOON).await.unwrap().len();
            client.consume(count);
            got += count;
        }
        client.close().await.unwrap();
        assert!(matches!(serving.await.unwrap(), Err(ReadError::Eof)));
    }

    #[tokio::test]
    async fn certificates_are_verified_when_asked() {
        let anchored =
            ClientVerify { want_verify: true, ca_file: Some("own".into()), ..ClientVerify::default() };
        let (_, client) = handshake(b"", anchored.clone()).await;
        assert!(client.is_ok(), "{client:?}");

        let unknown_to = tempfile::tempdir().unwrap();
        ensure_self_signed(unknown_to.path(), &["other.test".to_owned()]).unwrap();
        let stranger = ClientVerify { ca_file: None, ca_dir: Some(unknown_to.path().to_owned()), ..anchored };
        let (mut server, client) = handshake(b"", stranger.clone()).await;
        assert!(matches!(client, Err(TlsError::Handshake(_))), "{client:?}");
        assert!(server.read_line(LIMIT, SOON).await.is_err());

        let (_, client) = handshake(b"", ClientVerify { allow_self_signed: true, ..stranger }).await;
        assert!(client.is_ok(), "{client:?}");
    }
}
