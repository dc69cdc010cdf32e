//! One stream type over plain TCP and TLS, so that sessions are written once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::listener::prepare;
use super::tls::{ChannelBindings, end_point, exporter};

/// A connected socket, plain or under TLS on either side, that remembers both its addresses.
#[derive(Debug)]
pub struct Stream {
    link: Link,
    peer: SocketAddr,
    local: SocketAddr,
}

/// What carries the octets.
#[derive(Debug)]
pub(super) enum Link {
    Plain(TcpStream),
    Local(UnixStream),
    /// With the channel binding `tls-server-end-point` of our certificate.
    ServerTls(Box<tokio_rustls::server::TlsStream<TcpStream>>, Option<Arc<[u8]>>),
    ClientTls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// A handshake was begun and did not end well: nothing more can be read or written.
    Broken,
}

impl Stream {
    /// Wraps a connected TCP socket.
    ///
    /// # Errors
    /// When the peer is gone before its address could be asked for.
    pub fn plain(socket: TcpStream) -> io::Result<Self> {
        let (peer, local) = (socket.peer_addr()?, socket.local_addr()?);
        Ok(Self { link: Link::Plain(socket), peer, local })
    }

    /// Wraps a socket of this machine, which has no addresses: both are the loopback address with port 0.
    pub fn local_socket(socket: UnixStream) -> Self {
        let here = (Ipv4Addr::LOCALHOST, 0).into();
        Self { link: Link::Local(socket), peer: here, local: here }
    }

    /// Connects as a client; `bind` gives the local address to connect from (port 0 for any).
    ///
    /// # Errors
    /// What the system says, or `TimedOut` after `deadline`.
    pub async fn connect(peer: SocketAddr, bind: Option<SocketAddr>, deadline: Duration) -> io::Result<Self> {
        let socket = match peer {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
        };
        if let Some(address) = bind {
            socket.bind(address)?;
        }
        let stream = tokio::time::timeout(deadline, socket.connect(peer)).await??;
        prepare(&stream);
        Self::plain(stream)
    }

    /// The other side's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Acknowledges now what has arrived, where the system can be told to. A client that keeps a small piece back until
    /// what it sent before is acknowledged (RFC 896) would otherwise wait for the delayed acknowledgement, some 40 ms.
    pub fn acknowledge(&self) {
        let socket = match &self.link {
            Link::Plain(socket) => socket,
            Link::ServerTls(tls, _) => tls.get_ref().0,
            Link::ClientTls(tls) => tls.get_ref().0,
            Link::Local(_) | Link::Broken => return,
        };
        // Without it the client only waits longer; a peer that is gone is reported by the next read.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(socket).set_tcp_quickack(true);
        #[cfg(not(target_os = "linux"))]
        let _ = socket;
    }

    /// Whether the octets are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.link, Link::ServerTls(..) | Link::ClientTls(_))
    }

    /// The TLS protocol and cipher suite for logs and trace headers, e.g. `TLSv1_3`, `TLS13_AES_256_GCM_SHA384`.
    pub fn tls_parameters(&self) -> Option<(String, String)> {
        let (version, suite) = match &self.link {
            Link::ServerTls(tls, _) => {
                (tls.get_ref().1.protocol_version(), tls.get_ref().1.negotiated_cipher_suite())
            }
            Link::ClientTls(tls) => {
                (tls.get_ref().1.protocol_version(), tls.get_ref().1.negotiated_cipher_suite())
            }
            Link::Plain(_) | Link::Local(_) | Link::Broken => return None,
        };
        Some((version?.as_str()?.to_owned(), suite?.suite().as_str()?.to_owned()))
    }

    /// What both ends of the TLS session know; empty without TLS.
    pub fn channel_bindings(&self) -> ChannelBindings {
        match &self.link {
            Link::ServerTls(tls, leaf) => ChannelBindings {
                tls_exporter: exporter(tls.get_ref().1),
                tls_server_end_point: leaf.as_deref().map(<[u8]>::to_vec),
            },
            Link::ClientTls(tls) => {
                let connection = tls.get_ref().1;
                let leaf = connection.peer_certificates().and_then(|chain| chain.first());
                ChannelBindings {
                    tls_exporter: exporter(connection),
                    tls_server_end_point: leaf.and_then(|leaf| end_point(leaf)),
                }
            }
            Link::Plain(_) | Link::Local(_) | Link::Broken => ChannelBindings::default(),
        }
    }

    /// Takes the plain socket out for a handshake; until [`Stream::put`] the stream is broken.
    pub(super) fn take_plain(&mut self) -> Option<TcpStream> {
        match std::mem::replace(&mut self.link, Link::Broken) {
            Link::Plain(socket) => Some(socket),
            other => {
                self.link = other;
                None
            }
        }
    }

    pub(super) fn put(&mut self, link: Link) {
        self.link = link;
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.link {
            Link::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Link::Local(socket) => Pin::new(socket).poll_read(cx, buf),
            Link::ServerTls(tls, _) => Pin::new(tls).poll_read(cx, buf),
            Link::ClientTls(tls) => Pin::new(tls).poll_read(cx, buf),
            Link::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.link {
            Link::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Link::Local(socket) => Pin::new(socket).poll_write(cx, buf),
            Link::ServerTls(tls, _) => Pin::new(tls).poll_write(cx, buf),
            Link::ClientTls(tls) => Pin::new(tls).poll_write(cx, buf),
            Link::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.link {
            Link::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Link::Local(socket) => Pin::new(socket).poll_flush(cx),
            Link::ServerTls(tls, _) => Pin::new(tls).poll_flush(cx),
            Link::ClientTls(tls) => Pin::new(tls).poll_flush(cx),
            Link::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.link {
            Link::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Link::Local(socket) => Pin::new(socket).poll_shutdown(cx),
            Link::ServerTls(tls, _) => Pin::new(tls).poll_shutdown(cx),
            Link::ClientTls(tls) => Pin::new(tls).poll_shutdown(cx),
            Link::Broken => Poll::Ready(Ok(())),
        }
    }
}
