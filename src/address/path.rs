//! Paths: what stands between `<` and `>` in MAIL FROM and RCPT TO.

use std::fmt;

use super::grammar::Utf8;
use super::{Domain, Mailbox, PathError};

/// A path has fewer bytes than this between its angle brackets (`mailflow.md` 1.6).
pub const PATH_BYTES_LIMIT: usize = 1024;

/// A path as the command line has it, before the command says what it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawPath {
    /// `<>`: the null reverse-path.
    Null,
    /// `<postmaster>` in any case: RFC 5321 §4.1.1.3; decision 41 sends it to `PostMaster`.
    Postmaster,
    /// A mailbox, with or without a source route.
    Path(Path),
}

/// A mailbox with an optional source route: `@relay1,@relay2:user@dom`.
///
/// XMail speaks of *path parts*: each `@host` of the route and the mailbox at the end (`mailflow.md` 2.8, 3.6, 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    /// The hosts of the source route, first one first; usually none.
    pub hops: Vec<Domain>,
    /// The last part.
    pub mailbox: Mailbox,
}

/// Where notices go: null for mail that must not be answered (RFC 5321 §4.5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`.
    Null,
    /// A sender.
    Path(Path),
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForwardPath(Path);

/// Takes the path between the first `<` of `text` and the first `>` after it, and what stands behind that `>`.
///
/// `text` is what follows `MAIL FROM:` or `RCPT TO:`; as in XMail anything may stand before `<`.
///
/// # Errors
/// [`PathError`]: no brackets, too long, or not a path.
pub fn parse_angle(text: &[u8], utf8: Utf8) -> Result<(RawPath, &[u8]), PathError> {
    let open = memchr::memchr(b'<', text).ok_or(PathError::NoAngleBrackets)?;
    let inner = &text[open + 1..];
    let close = memchr::memchr(b'>', inner).ok_or(PathError::NoAngleBrackets)?;
    let (inner, rest) = (&inner[..close], &inner[close + 1..]);
    Ok((RawPath::parse(inner, utf8)?, rest))
}

impl RawPath {
    /// Reads the text between the angle brackets.
    ///
    /// # Errors
    /// [`PathError`]: too long, or not a path.
    pub fn parse(inner: &[u8], utf8: Utf8) -> Result<Self, PathError> {
        if inner.len() >= PATH_BYTES_LIMIT {
            return Err(PathError::TooLong);
        }
        if inner.is_empty() {
            return Ok(Self::Null);
        }
        if inner.eq_ignore_ascii_case(b"postmaster") {
            return Ok(Self::Postmaster);
        }
        Path::parse(inner, utf8).map(Self::Path)
    }

    /// The path of MAIL FROM.
    ///
    /// # Errors
    /// [`PathError::Grammar`] for a bare `postmaster`, which only RCPT knows.
    pub fn into_reverse_path(self) -> Result<ReversePath, PathError> {
        match self {
            Self::Null => Ok(ReversePath::Null),
            Self::Postmaster => Err(PathError::Grammar),
            Self::Path(path) => Ok(ReversePath::Path(path)),
        }
    }

    /// The path of RCPT TO; `postmaster` is the mailbox a bare `<postmaster>` stands for, where there is one.
    ///
    /// # Errors
    /// [`PathError::NullForwardPath`] for `<>`, [`PathError::Grammar`] for `<postmaster>` without one.
    pub fn into_forward_path(self, postmaster: Option<&Mailbox>) -> Result<ForwardPath, PathError> {
        match self {
            Self::Null => Err(PathError::NullForwardPath),
            Self::Postmaster => postmaster.cloned().map(ForwardPath::from).ok_or(PathError::Grammar),
            Self::Path(path) => Ok(ForwardPath(path)),
        }
    }
}

impl Path {
    /// Reads `[@host,@host:]user@dom`.
    ///
    /// # Errors
    /// [`PathError`]: [`PathError::Grammar`] when a part is missing.
    pub fn parse(text: &[u8], utf8: Utf8) -> Result<Self, PathError> {
        if !text.starts_with(b"@") {
            let mailbox = Mailbox::parse_with(text, utf8)?;
            return Ok(Self { hops: Vec::new(), mailbox });
        }
        let colon = find_outside_brackets(text, b':').ok_or(PathError::Grammar)?;
        let hops = parse_route(&text[..colon], utf8)?;
        let mailbox = Mailbox::parse_with(&text[colon + 1..], utf8)?;
        Ok(Self { hops, mailbox })
    }

    /// The first part as text: `@host` of the first hop, or the mailbox when there is no route (`mailflow.md` 2.8).
    #[must_use]
    pub fn first_part(&self) -> String {
        match self.hops.first() {
            Some(hop) => format!("@{hop}"),
            None => self.mailbox.to_string(),
        }
    }

    /// The domain of the first part: where the message is sent first.
    #[must_use]
    pub fn first_domain(&self) -> &Domain {
        self.hops.first().unwrap_or(&self.mailbox.domain)
    }

    /// The last part: the mailbox.
    #[must_use]
    pub fn last_part(&self) -> &Mailbox {
        &self.mailbox
    }

    /// Whether a source route stands before the mailbox.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        !self.hops.is_empty()
    }

    /// Whether every part is ASCII; other paths need SMTPUTF8 on their way.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.mailbox.is_ascii() && self.hops.iter().all(|hop| hop.as_str().is_ascii())
    }
}

impl ReversePath {
    /// Reads the text between the angle brackets of MAIL FROM; UTF-8 is allowed (for files and tables).
    ///
    /// # Errors
    /// [`PathError`] as [`RawPath::parse`].
    pub fn parse(inner: &[u8]) -> Result<Self, PathError> {
        RawPath::parse(inner, Utf8::Allowed)?.into_reverse_path()
    }

    /// Whether this is `<>`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The path, unless null.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Null => None,
            Self::Path(path) => Some(path),
        }
    }

    /// The sender's mailbox (last part), unless null.
    #[must_use]
    pub fn mailbox(&self) -> Option<&Mailbox> {
        self.path().map(Path::last_part)
    }

    /// The path with `@relay` in front, as sent to the first host of a route (`mailflow.md` 4.6). Null stays null.
    #[must_use]
    pub fn with_hop(self, relay: Domain) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Path(mut path) => {
                path.hops.insert(0, relay);
                Self::Path(path)
            }
        }
    }
}

impl ForwardPath {
    /// Reads the text between the angle brackets of RCPT TO; UTF-8 is allowed (for files and tables).
    ///
    /// # Errors
    /// [`PathError`] as [`RawPath::parse`]; a bare `postmaster` is [`PathError::Grammar`].
    pub fn parse(inner: &[u8]) -> Result<Self, PathError> {
        RawPath::parse(inner, Utf8::Allowed)?.into_forward_path(None)
    }

    /// A mailbox behind a `smtpgw.tab` route, written `relay` or `@relay1,@relay2` (`mailflow.md` 3.6).
    ///
    /// # Errors
    /// [`PathError`] when a host of the route is wrong, or [`PathError::TooLong`] when the whole is.
    pub fn with_route(route: &[u8], mailbox: Mailbox) -> Result<Self, PathError> {
        let path = Path { hops: parse_route(route, Utf8::Allowed)?, mailbox };
        if path.to_string().len() >= PATH_BYTES_LIMIT {
            return Err(PathError::TooLong);
        }
        Ok(Self(path))
    }

    /// The same mailbox without a route: what RFC 5321 appendix C lets a server do with a client's route.
    #[must_use]
    pub fn without_route(self) -> Self {
        self.0.mailbox.into()
    }

    /// The path behind its first hop, as told to that hop; `None` without a route.
    #[must_use]
    pub fn behind_first_hop(&self) -> Option<Self> {
        let (_, hops) = self.0.hops.split_first()?;
        Some(Self(Path { hops: hops.to_vec(), mailbox: self.0.mailbox.clone() }))
    }

    /// Route and mailbox.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The mailbox (last part).
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox {
        &self.0.mailbox
    }
}

impl From<Mailbox> for Path {
    fn from(mailbox: Mailbox) -> Self {
        Self { hops: Vec::new(), mailbox }
    }
}

impl From<Mailbox> for ForwardPath {
    fn from(mailbox: Mailbox) -> Self {
        Self(mailbox.into())
    }
}

impl From<Path> for ForwardPath {
    fn from(path: Path) -> Self {
        Self(path)
    }
}

impl From<Mailbox> for ReversePath {
    fn from(mailbox: Mailbox) -> Self {
        Self::Path(mailbox.into())
    }
}

/// Without angle brackets.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, hop) in self.hops.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}@{hop}")?;
        }
        let colon = if self.hops.is_empty() { "" } else { ":" };
        write!(f, "{colon}{}", self.mailbox)
    }
}

/// Without angle brackets; the null path is empty.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Path(path) => path.fmt(f),
        }
    }
}

/// Without angle brackets.
impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `@host,@host`. The first `@` may be missing in `smtpgw.tab`; in a path the caller has seen it.
fn parse_route(mut text: &[u8], utf8: Utf8) -> Result<Vec<Domain>, PathError> {
    text = text.strip_prefix(b"@").unwrap_or(text);
    let mut hops = Vec::new();
    while let Some(comma) = find_outside_brackets(text, b',') {
        hops.push(Domain::parse_with(&text[..comma], utf8)?);
        text = text[comma + 1..].strip_prefix(b"@").ok_or(PathError::Grammar)?;
    }
    hops.push(Domain::parse_with(text, utf8)?);
    Ok(hops)
}

fn find_outside_brackets(text: &[u8], wanted: u8) -> Option<usize> {
    let mut in_literal = false;
    text.iter().position(|&byte| {
        match byte {
            b'[' => in_literal = true,
            b']' => in_literal = false,
            _ => {}
        }
        byte == wanted && !in_literal
    })
}
