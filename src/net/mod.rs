//! The network edge: listeners, one stream type over plain TCP and TLS, lines with limits, dot framing.
//!
//! Shape: [`Listener`] binds a [`BindAddress`] and accepts; a [`Stream`] is TCP or TLS on either side;
//! a [`Connection`] reads lines and raw data from it and collects replies. [`dots`] is pure: it turns the octets
//! that follow DATA into what is stored, and what is stored into what is sent. [`tls`] owns `server.cert` and
//! `server.key`.
//!
//! Limits: a line never takes more memory than the limit its reader names; every wait has a deadline
//! ([`IO_TIMEOUT`] where the caller names none).
//!
//! Failures: the peer's (end of stream, silence, a broken handshake) are [`ReadError`] and [`tls::TlsError`]
//! variants and concern one connection only. A failing `accept` is logged and tried again after a pause.
//!
//! Source: mailflow.md 1.1, 1.2, 3.7, 13; decisions 1, 2, 3 and 7.

pub mod dots;
pub mod tls;

mod connection;
mod deflate;
mod listener;
mod machine;
mod service;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use connection::{Connection, Line, LineEnding, ReadError};
pub use listener::{BindAddress, BindAddressError, ListenOptions, Listener};
pub use machine::{free_memory_bytes, host_name};
pub use service::{Arrival, Door, Link, Seat, SessionCounter, stamp};
pub use stream::Stream;
pub use tls::{ChannelBindings, TlsStore};

/// How long any input or output inside a session may take, other than waiting for a command (mailflow.md 1.1).
pub const IO_TIMEOUT: Duration = Duration::from_secs(90);

/// An address as XMail writes it in spool files and trace headers: `[127.0.0.1]:2525` (mailflow.md 2.2).
///
/// An IPv4-mapped IPv6 address is shown as the IPv4 address it is.
///
/// ```
/// use tabmail::net::bracketed;
/// assert_eq!(bracketed("127.0.0.1:2525".parse().unwrap()), "[127.0.0.1]:2525");
/// assert_eq!(bracketed("[::ffff:10.0.0.1]:25".parse().unwrap()), "[10.0.0.1]:25");
/// assert_eq!(bracketed("[::1]:25".parse().unwrap()), "[::1]:25");
/// ```
pub fn bracketed(address: SocketAddr) -> String {
    format!("[{}]:{}", plain_ip(address.ip()), address.port())
}

/// The address itself, or the IPv4 address inside an IPv4-mapped IPv6 one.
pub fn plain_ip(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
