//! The header fields this server puts in front of a message.
//!
//! Every field ends in CRLF (decision 45) and is folded with a TAB as XMail folds it. Texts that come from a client
//! (HELO name, AUTH name) lose control characters here, so that no client can write a field of its own.

use std::net::{IpAddr, SocketAddr};

/// `ReceivedHdrType` of `server.tab` (`mailflow.md` 3.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceivedHdrType {
    /// 0: the client's address is shown.
    #[default]
    Standard,
    /// 1: both addresses are shown.
    Verbose,
    /// 2: no address is shown.
    Strict,
    /// 3: as 0, but without the client's address when it is authenticated.
    StandardHidden,
    /// 4: as 1, but without the client's address when it is authenticated.
    VerboseHidden,
}

impl ReceivedHdrType {
    /// The meaning of the variable; unknown values act as 0.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Verbose,
            2 => Self::Strict,
            3 => Self::StandardHidden,
            4 => Self::VerboseHidden,
            _ => Self::Standard,
        }
    }

    fn shows_client(self, is_authenticated: bool) -> bool {
        match self {
            Self::Standard | Self::Verbose => true,
            Self::Strict => false,
            Self::StandardHidden | Self::VerboseHidden => !is_authenticated,
        }
    }

    fn shows_server(self) -> bool {
        matches!(self, Self::Verbose | Self::VerboseHidden)
    }
}

/// What the SMTP server's `Received` field tells (`mailflow.md` 3.8; golden `smtp_received_0` to `_4`).
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Which addresses are shown.
    pub layout: ReceivedHdrType,
    /// The name the client gave in HELO or EHLO.
    pub helo: &'a [u8],
    /// The client.
    pub client: SocketAddr,
    /// The server's own domain of this session.
    pub server_domain: &'a str,
    /// Our end of the connection.
    pub server: SocketAddr,
    /// Whether somebody is logged in.
    pub is_authenticated: bool,
    /// Product and service in brackets: `status::product("ESMTP Server")`.
    pub product: &'a str,
    /// The message number, as `S1F`.
    pub message_number: &'a str,
    /// The forward-path without angle brackets, route included.
    pub recipient: &'a str,
    /// The reverse-path without angle brackets; empty when null.
    pub sender: &'a str,
    /// The mail date of the MAIL command.
    pub date: &'a str,
}

impl Received<'_> {
    /// The field as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut field = b"Received: from ".to_vec();
        push_text(&mut field, self.helo);
        if self.layout.shows_client(self.is_authenticated) {
            push_text(&mut field, endpoint(self.client).as_bytes());
        }
        field.extend_from_slice(b"\r\n\tby ");
        push_text(&mut field, self.server_domain.as_bytes());
        if self.layout.shows_server() {
            push_text(&mut field, endpoint(self.server).as_bytes());
        }
        push_parts(&mut field, &[" with ", self.product]);
        field.extend_from_slice(b"\r\n\t");
        push_parts(&mut field, &["id <", self.message_number, "> "]);
        push_for_from_date(&mut field, self.recipient, self.sender, self.date);
        field
    }
}

/// What LMAIL's `Received` field tells (`mailflow.md` 7.1; golden `spool_local`).
#[derive(Debug, Clone, Copy)]
pub struct LocalReceived<'a> {
    /// `RootDomain`.
    pub root_domain: &'a str,
    /// `status::product("LMAIL Server")`.
    pub product: &'a str,
    /// The forward-path without angle brackets.
    pub recipient: &'a str,
    /// The reverse-path without angle brackets; empty when null.
    pub sender: &'a str,
    /// The mail date of the pickup.
    pub date: &'a str,
}

impl LocalReceived<'_> {
    /// The field as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut field = b"Received: from /spool/local\r\n\tby ".to_vec();
        push_parts(&mut field, &[self.root_domain, " with ", self.product]);
        field.extend_from_slice(b"\r\n\t");
        push_for_from_date(&mut field, self.recipient, self.sender, self.date);
        field
    }
}

/// `X-AuthUser: <name>` (`mailflow.md` 3.9): the name exactly as the client typed it.
#[must_use]
pub fn x_auth_user(name: &[u8]) -> Vec<u8> {
    simple_field("X-AuthUser: ", name, "")
}

/// `X-Deliver-To: <account address>`, the first field of a mailproc redirect (`mailflow.md` 4.4).
#[must_use]
pub fn x_deliver_to(address: &str) -> Vec<u8> {
    simple_field("X-Deliver-To: ", address.as_bytes(), "")
}

/// `Return-Path: <sender>`; `sender` is the reverse-path without angle brackets, empty when null.
#[must_use]
pub fn return_path(sender: &str) -> Vec<u8> {
    simple_field("Return-Path: <", sender.as_bytes(), ">")
}

/// `Delivered-To: account address`.
#[must_use]
pub fn delivered_to(address: &str) -> Vec<u8> {
    simple_field("Delivered-To: ", address.as_bytes(), "")
}

/// What a mailbox file has in front of the message: both fields, or nothing when `message` already has a
/// `Return-Path` (`mailflow.md` 4.4).
#[must_use]
pub fn mailbox_prefix(message: &[u8], sender: &str, address: &str) -> Vec<u8> {
    if super::first(message, "Return-Path").is_some() {
        return Vec::new();
    }
    [return_path(sender), delivered_to(address)].concat()
}

fn push_for_from_date(field: &mut Vec<u8>, recipient: &str, sender: &str, date: &str) {
    push_parts(field, &["for <", recipient, "> from <", sender, ">;"]);
    field.extend_from_slice(b"\r\n\t");
    push_parts(field, &[date]);
    field.extend_from_slice(b"\r\n");
}

fn simple_field(before: &str, text: &[u8], after: &str) -> Vec<u8> {
    let mut field = before.as_bytes().to_vec();
    push_text(&mut field, text);
    push_parts(&mut field, &[after]);
    field.extend_from_slice(b"\r\n");
    field
}

fn push_parts(field: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        push_text(field, part.as_bytes());
    }
}

fn push_text(field: &mut Vec<u8>, text: &[u8]) {
    field.extend(text.iter().map(|byte| if byte.is_ascii_control() { b'?' } else { *byte }));
}

/// ` ([1.2.3.4]:25)`. A v4-mapped peer of a dual-stack listener is shown as the IPv4 address it is.
fn endpoint(address: SocketAddr) -> String {
    let ip: IpAddr = address.ip().to_canonical();
    format!(" ([{ip}]:{})", address.port())
}
