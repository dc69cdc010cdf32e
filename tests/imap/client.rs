//! The client's end of a connection: whole responses in, octets out; TLS and DEFLATE by other code than the server's.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long a response may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// One client.
pub(crate) struct Client {
    link: Link,
    deflate: Option<(Compress, Decompress)>,
    /// Octets that are no response yet.
    buffer: Vec<u8>,
}

enum Link {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { link: Link::Plain(socket), deflate: None, buffer: Vec::new() }
    }

    /// The socket, to send and read beside everything here.
    pub(crate) fn second_end(&self) -> TcpStream {
        let Link::Plain(socket) = &self.link else { panic!("there is TLS") };
        socket.try_clone().unwrap()
    }

    /// Reads octets and forgets them; 0 at the end of the connection.
    pub(crate) fn read_some(&mut self) -> usize {
        let mut octets = vec![0; 16 * 1024];
        match &mut self.link {
            Link::Plain(socket) => socket.read(&mut octets).unwrap_or(0),
            Link::Tls(stream) => stream.read(&mut octets).unwrap_or(0),
        }
    }

    /// The handshake with a server of this certificate, a PEM file.
    pub(crate) fn start_tls(&mut self, certificate: &Path) {
        assert!(self.buffer.is_empty(), "the server said something between STARTTLS and the handshake");
        let Link::Plain(socket) = &self.link else { panic!("there is TLS already") };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut trusted = RootCertStore::empty();
        trusted.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let name = ServerName::try_from("home.test").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, socket.try_clone().unwrap());
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        self.link = Link::Tls(Box::new(stream));
    }

    /// From here on both sides compress (RFC 4978: raw DEFLATE, no zlib header).
    pub(crate) fn start_deflate(&mut self) {
        let deflate = (Compress::new(Compression::default(), false), Decompress::new(false));
        let early = std::mem::take(&mut self.buffer);
        self.deflate = Some(deflate);
        self.take(&early).unwrap();
    }

    /// `tls-exporter` of RFC 9266.
    pub(crate) fn exporter(&self) -> Vec<u8> {
        let Link::Tls(stream) = &self.link else { panic!("there is no TLS") };
        stream.conn.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(&[])).unwrap()
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        let mut deflated = Vec::new();
        let octets = match &mut self.deflate {
            None => octets,
            Some((compress, _)) => {
                deflated.reserve(octets.len() * 2 + 1024);
                compress.compress_vec(octets, &mut deflated, FlushCompress::Sync).unwrap();
                &deflated
            }
        };
        // A server that has said BYE may be gone; what it said is read all the same.
        let _ = match &mut self.link {
            Link::Plain(socket) => socket.write_all(octets),
            Link::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
        };
    }

    /// The next response with its literals and line end; `None` at the end of the connection.
    pub(crate) fn response(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = response_end(&self.buffer) {
                return Some(self.buffer.drain(..end).collect());
            }
            let mut octets = vec![0; 16 * 1024];
            let count = match &mut self.link {
                Link::Plain(socket) => socket.read(&mut octets),
                Link::Tls(stream) => stream.read(&mut octets),
            };
            match count {
                Ok(0) => break,
                Ok(count) => self.take(&octets[..count]).unwrap(),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!(
                        "nothing was heard for too long; so far: {:?}",
                        String::from_utf8_lossy(&self.buffer)
                    )
                }
                // Servers need not wait for the end of a client they have said BYE to.
                Err(_) => break,
            }
        }
        assert!(self.buffer.is_empty(), "half a response: {:?}", String::from_utf8_lossy(&self.buffer));
        None
    }

    /// Whether something of the server has come already, which is not yet read.
    pub(crate) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn take(&mut self, octets: &[u8]) -> io::Result<()> {
        let Some((_, decompress)) = &mut self.deflate else {
            self.buffer.extend_from_slice(octets);
            return Ok(());
        };
        let start = decompress.total_in();
        loop {
            let used = usize::try_from(decompress.total_in() - start).unwrap();
            let mut inflated = Vec::with_capacity(64 * 1024);
            decompress.decompress_vec(&octets[used..], &mut inflated, FlushDecompress::Sync)?;
            self.buffer.extend_from_slice(&inflated);
            if inflated.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Where the first response ends, if it is whole.
fn response_end(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let end = at + octets[at..].windows(2).position(|pair| pair == b"\r\n")? + 2;
        let line = &octets[at..end - 2];
        let announced = line.strip_suffix(b"}").and_then(|line| {
            let open = line.iter().rposition(|octet| *octet == b'{')?;
            std::str::from_utf8(&line[open + 1..]).ok()?.parse::<usize>().ok()
        });
        match announced {
            None => return Some(end),
            Some(size) if octets.len() >= end + size => at = end + size,
            Some(_) => return None,
        }
    }
}
