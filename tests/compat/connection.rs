//! A client's connection: from a chosen loopback address, in the clear or after a TLS handshake, read by lines or to
//! the end, always with a deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};

use crate::support::eventually;

/// The name in the certificate that is made for a replay.
pub(crate) const CERTIFICATE_NAME: &str = "mx.example.test";

/// How a read ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A line with its LF.
    Line(Vec<u8>),
    /// The server closed; what came before without a line end.
    End(Vec<u8>),
    /// Nothing complete within the deadline.
    Silence,
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Option<Wire>,
    unread: Vec<u8>,
    /// The server has closed.
    pub(crate) closed: bool,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects to a port of 127.0.0.1 from `source`.
    pub(crate) fn open(port: u16, source: Option<Ipv4Addr>) -> Self {
        let mut socket = None;
        eventually("the server accepts connections", || {
            socket = connect(port, source).ok();
            socket.is_some()
        });
        Self { wire: socket.map(|socket| Wire::Plain(socket.into())), unread: Vec::new(), closed: false }
    }

    /// Handshakes; the certificate must be the one given.
    pub(crate) fn start_tls(&mut self, trusted: &CertificateDer<'static>) {
        let Some(Wire::Plain(stream)) = self.wire.take() else { panic!("no plain connection") };
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).expect("the certificate is one");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider's versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = CERTIFICATE_NAME.try_into().expect("a host name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a client session");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut stream = StreamOwned::new(session, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("the TLS handshake");
        }
        self.wire = Some(Wire::Tls(Box::new(stream)));
    }

    /// Sends; a server that is gone is noticed when reading.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = match &mut self.wire {
            Some(Wire::Plain(stream)) => stream.write_all(bytes),
            Some(Wire::Tls(stream)) => stream.write_all(bytes).and_then(|()| stream.flush()),
            None => Ok(()),
        };
    }

    /// The next line.
    pub(crate) fn line(&mut self, patience: Duration) -> Heard {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(at) = self.unread.iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(at + 1);
                return Heard::Line(std::mem::replace(&mut self.unread, rest));
            }
            if self.closed {
                return Heard::End(std::mem::take(&mut self.unread));
            }
            if !self.read_some(deadline) {
                return Heard::Silence;
            }
        }
    }

    /// All that arrives until the server closes or the time is over.
    pub(crate) fn rest(&mut self, patience: Duration) -> Vec<u8> {
        let deadline = Instant::now() + patience;
        while !self.closed && self.read_some(deadline) {}
        std::mem::take(&mut self.unread)
    }

    /// Closes our end.
    pub(crate) fn close(&mut self) {
        self.wire = None;
    }

    /// Reads once; false when the deadline passed first.
    fn read_some(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let mut buffer = [0; 65536];
        let read = match &mut self.wire {
            Some(Wire::Plain(stream)) => {
                let _ = stream.set_read_timeout(Some(left));
                stream.read(&mut buffer)
            }
            Some(Wire::Tls(stream)) => {
                let _ = stream.sock.set_read_timeout(Some(left));
                stream.read(&mut buffer)
            }
            None => Ok(0),
        };
        match read {
            Ok(0) => self.closed = true,
            Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.closed = true,
        }
        true
    }
}

fn connect(port: u16, source: Option<Ipv4Addr>) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket)
}
