//! Listening sockets: `-SI addr[:port]`, `-S6` and the IPv4 any-address (mailflow.md 1.1).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// A bound, listening TCP socket whose `accept` never fails.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
}

impl Listener {
    /// Binds and listens. IPv6 sockets are IPv6 only, so that both any-addresses can be bound side by side.
    ///
    /// # Errors
    /// What the system says: the address is in use, is not ours, or needs privileges.
    pub fn bind(address: BindAddress, options: &ListenOptions) -> io::Result<Self> {
        let address = address.0;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        if let Some(bytes) = options.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = options.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        socket.bind(&address.into())?;
        socket.listen(options.backlog)?;
        socket.set_nonblocking(true)?;
        let socket = TcpListener::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }

    /// The address in use; the real port where port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next connection, with `SO_KEEPALIVE` set and Nagle's delay off, and the peer's address.
    ///
    /// A failure never ends the listener: one that concerns only that peer is skipped, any other (no descriptors,
    /// no memory) is logged and waited out. May be dropped at any time without losing a connection.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    prepare(&stream);
                    return (stream, peer);
                }
                Err(error) if concerns_one_peer(&error) => {
                    tracing::debug!(listener = %self.local, %error, "connection vanished before accept");
                }
                Err(error) => {
                    tracing::warn!(listener = %self.local, %error, "accept failed, pausing");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Sets the options every connected socket gets (mailflow.md 1.1). Failure only means the peer is gone already,
/// which the first read reports.
pub(super) fn prepare(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_keepalive(true).and_then(|()| stream.set_nodelay(true)) {
        tracing::debug!(%error, "socket option refused");
    }
}

fn concerns_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(error.kind(), ConnectionAborted | ConnectionReset | ConnectionRefused | Interrupted)
}

/// What `listen` and the socket buffers are set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections the system may hold before they are accepted.
    pub backlog: i32,
    /// `-MR`, in bytes; the system's own when absent. Accepted sockets inherit it.
    pub receive_buffer_bytes: Option<usize>,
    /// `-MS`, in bytes; the system's own when absent. Accepted sockets inherit it.
    pub send_buffer_bytes: Option<usize>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: BACKLOG, receive_buffer_bytes: None, send_buffer_bytes: None }
    }
}

/// Where to listen: an IP address and a port. IPv6 means IPv6 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BindAddress(SocketAddr);

impl BindAddress {
    /// The IPv4 any-address, the default of every service.
    pub fn any_v4(port: u16) -> Self {
        Self(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
    }

    /// The IPv6 any-address, options `-S6` and the like.
    pub fn any_v6(port: u16) -> Self {
        Self(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
    }

    /// Reads the value of `-SI` and the like: `addr`, `addr:port`, `[v6]:port`, `[v6]` or a bare IPv6 address.
    ///
    /// # Errors
    /// [`BindAddressError`] when it is no numeric address, or the port is no number up to 65535.
    ///
    /// ```
    /// use tabmail::net::BindAddress;
    /// let address = BindAddress::parse("127.0.0.1:2525", 25).unwrap();
    /// assert_eq!(address.socket_addr(), "127.0.0.1:2525".parse().unwrap());
    /// assert_eq!(BindAddress::parse("[::1]", 25).unwrap().to_string(), "[::1]:25");
    /// ```
    pub fn parse(text: &str, default_port: u16) -> Result<Self, BindAddressError> {
        let text = text.trim();
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self(address));
        }
        let host = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = match host {
            Some(v6) => v6.parse::<Ipv6Addr>().map(IpAddr::V6),
            None => text.parse::<IpAddr>(),
        };
        match address {
            Ok(ip) => Ok(Self(SocketAddr::new(ip, default_port))),
            Err(_) => Err(BindAddressError { text: text.to_owned() }),
        }
    }

    /// Address and port as the system wants them.
    pub fn socket_addr(&self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<SocketAddr> for BindAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

/// The text is no address to bind to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an IP address with an optional port: {text:?}")]
pub struct BindAddressError {
    /// What was given.
    pub text: String,
}

/// Listen backlog of every service but CTRL, whose is 8 (mailflow.md 1.1).
const BACKLOG: i32 = 64;

/// Pause after a failed `accept`. Long enough not to spin while descriptors are short, short enough not to be
/// noticed by clients; ours, XMail documents none.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_addresses() {
        let check = |text: &str, expected: Option<&str>| {
            let got = BindAddress::parse(text, 25).ok().map(|address| address.to_string());
            assert_eq!(got.as_deref(), expected, "{text}");
        };
        check("127.0.0.1", Some("127.0.0.1:25"));
        check("127.0.0.1:2525", Some("127.0.0.1:2525"));
        check(" 127.0.0.1:0 ", Some("127.0.0.1:0"));
        check("[::1]:2525", Some("[::1]:2525"));
        check("[::1]", Some("[::1]:25"));
        check("::1", Some("[::1]:25"));
        check("0.0.0.0", Some("0.0.0.0:25"));
        for bad in ["", "127.0.0.1:", "127.0.0.1:65536", "[::1", "[127.0.0.1]", "mail.example.test", "1.2.3"]
        {
            check(bad, None);
        }
    }

    #[tokio::test]
    async fn both_any_addresses_bind_side_by_side_on_one_port() {
        let options = ListenOptions::default();
        let Ok(v6) = Listener::bind(BindAddress::any_v6(0), &options) else {
            return; // this machine has no IPv6
        };
        // Another program may hold the same number for IPv4; then the system, not we, is at fault.
        match Listener::bind(BindAddress::any_v4(v6.local_addr().port()), &options) {
            Ok(v4) => assert!(v4.local_addr().is_ipv4() && v6.local_addr().is_ipv6()),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }

    #[tokio::test]
    async fn accepted_connections_are_kept_alive() {
        let address = BindAddress::parse("127.0.0.1:0", 25).unwrap();
        let listener = Listener::bind(address, &ListenOptions::default()).unwrap();
        let client = TcpStream::connect(listener.local_addr()).await.unwrap();
        let (stream, peer) = listener.accept().await;
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
    }

    #[test]
    fn only_peer_errors_are_retried_without_a_pause() {
        assert!(concerns_one_peer(&io::Error::from(io::ErrorKind::ConnectionAborted)));
        let no_descriptors = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert!(!concerns_one_peer(&no_descriptors));
    }
}
