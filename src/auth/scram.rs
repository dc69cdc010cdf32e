//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side (RFC 5802, 7677).
//!
//! ```text
//! C: n,,n=anna,r=CLIENT                      ("p=tls-exporter,," with -PLUS)
//! S: r=CLIENTSERVER,s=SALT,i=4096
//! C: c=biws,r=CLIENTSERVER,p=PROOF
//! S: v=SIGNATURE
//! ```
//!
//! Messages are as after base64, which is for the protocol around them. [`ClientFirst::parse`] reads the first,
//! [`ClientFirst::challenge`] answers it, [`ScramExchange::finish`] checks the proof: it derives the keys from the password
//! in clear, which takes milliseconds. Nothing here knows accounts: where there is no account, or its password is
//! stored as a hash, `finish` is given none, takes as long, and fails as for a wrong password. Salts come from
//! [`Salts`], which has one for every name, so that the challenge tells nothing either.
//!
//! Channel binding: with -PLUS the client must name a type that the connection has. Without -PLUS a client that says it
//! could have used it (`y`) is told apart from an attacker who hid -PLUS from it: where the connection has bindings, and
//! -PLUS was so offered, the exchange fails (RFC 5802 6).
//!
//! Passwords: the stored one is prepared as clients prepare what they are told (SASLprep, RFC 4013): non-ASCII blanks
//! become a blank, invisible characters vanish, and the rest is brought into the normal form NFKC, so that it does not
//! matter with which keyboard an accent or a full-width letter was typed. NFKC is that of today's Unicode, which
//! differs from that of Unicode 3.2 in characters only that SASLprep does not know. What SASLprep forbids (control
//! characters, mixed directions) is let through: a client that obeys it never sends such a password, others may.
//!
//! Limits: messages of [`MESSAGE_BYTES_MAX`]. Failures: [`ScramError`], which the log may know and the client should not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use icu_normalizer::ComposingNormalizerBorrowed;
use sha2::{Digest, Sha256};

use super::password::constant_time_eq;
use crate::net::ChannelBindings;

/// Rounds of hashing the password: the least that RFC 7677 4 allows. More would cost the server only: the password is
/// stored in clear, so a stolen table needs no guessing.
pub const ITERATIONS: u32 = 4096;

/// The longest message of a client in octets. Ours: names, nonces and a proof need some hundred.
pub const MESSAGE_BYTES_MAX: usize = 4096;

const SALT_BYTES: usize = 16;

/// Random octets in our part of the nonce. RFC 5802 leaves the number open; 144 bits are 24 letters.
const NONCE_BYTES: usize = 18;

const DIGEST_BYTES: usize = 32;

type Digest32 = [u8; DIGEST_BYTES];

/// The two mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScramMechanism {
    /// Without channel binding.
    Sha256,
    /// With channel binding.
    Sha256Plus,
}

impl ScramMechanism {
    /// Both, the better one first.
    pub const ALL: [Self; 2] = [Self::Sha256Plus, Self::Sha256];

    /// The mechanism of this name, ASCII case folded.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }
}

/// Why an exchange fails. The texts are the values of RFC 5802 7 where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// A message does not follow the grammar.
    #[error("invalid-encoding")]
    Syntax,
    /// A name that is not UTF-8, or with `=` that is neither `=2C` nor `=3D`.
    #[error("invalid-username-encoding")]
    Name,
    /// The client wants an extension (`m=`) that we do not have.
    #[error("extensions-not-supported")]
    Extension,
    /// The client wants to act for somebody else.
    #[error("other-error: another authorization identity")]
    AuthorizationIdentity,
    /// -PLUS without channel binding, or channel binding without -PLUS.
    #[error("channel-binding-not-supported")]
    BindingMismatch,
    /// The client believes that we do not support channel binding, which we do: somebody may have hidden it.
    #[error("server-does-support-channel-binding")]
    Downgrade,
    /// The connection has no binding of this type.
    #[error("unsupported-channel-binding-type")]
    BindingType,
    /// The client is at the end of another connection than we.
    #[error("channel-bindings-dont-match")]
    OtherBinding,
    /// The nonce is not that of this exchange.
    #[error("other-error: another nonce")]
    Nonce,
    /// The proof is wrong: wrong password, no such account, or one whose password cannot be read.
    #[error("invalid-proof")]
    Proof,
    /// The system gave no random octets.
    #[error("no-resources")]
    NoRandomness,
}

/// One salt for every name, whether it is an account or not; the same until the server ends.
pub struct Salts {
    secret: Digest32,
}

impl Salts {
    /// With a secret of their own.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn new() -> Result<Self, ScramError> {
        let mut secret = [0; DIGEST_BYTES];
        getrandom::fill(&mut secret).map_err(|_| ScramError::NoRandomness)?;
        Ok(Self { secret })
    }

    /// The salt of a name, ASCII case folded as accounts are.
    #[must_use]
    pub fn of(&self, name: &str, domain: &str) -> [u8; SALT_BYTES] {
        let digest = mac(&self.secret, format!("{name}@{domain}").to_ascii_lowercase().as_bytes());
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&digest[..SALT_BYTES]);
        salt
    }
}

/// Nothing: the secret must not be in traces.
impl std::fmt::Debug for Salts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Salts").finish_non_exhaustive()
    }
}

/// Our part of a nonce, new for each exchange.
///
/// # Errors
/// `NoRandomness`.
pub fn server_nonce() -> Result<String, ScramError> {
    let mut octets = [0; NONCE_BYTES];
    getrandom::fill(&mut octets).map_err(|_| ScramError::NoRandomness)?;
    // Base64 has no comma, which a nonce must not have.
    Ok(STANDARD.encode(octets))
}

/// The client's first message.
#[derive(Debug, Clone)]
pub struct ClientFirst {
    user: String,
    nonce: String,
    /// What `c=` of the last message must stand for: the header and the octets of the channel binding.
    bound: Vec<u8>,
    /// The message without its header.
    bare: String,
}

impl ClientFirst {
    /// Reads the message. `bindings` are those of the connection; where there are any, -PLUS must have been offered.
    ///
    /// # Errors
    /// [`ScramError`].
    pub fn parse(
        mechanism: ScramMechanism,
        bindings: &ChannelBindings,
        message: &[u8],
    ) -> Result<Self, ScramError> {
        let text = text(message)?;
        let (flag, rest) = text.split_once(',').ok_or(ScramError::Syntax)?;
        let (authorization, bare) = rest.split_once(',').ok_or(ScramError::Syntax)?;
        let header = &text[..text.len() - bare.len()];
        let mut bound = header.as_bytes().to_vec();
        bound.extend_from_slice(binding(mechanism, bindings, flag)?);
        let mut attributes = bare.split(',');
        let mut next = |name: &str| attributes.next().and_then(|field| field.strip_prefix(name));
        if bare.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        let user = name(next("n=").ok_or(ScramError::Syntax)?)?;
        let nonce = next("r=").filter(|nonce| is_nonce(nonce)).ok_or(ScramError::Syntax)?.to_owned();
        match authorization.strip_prefix("a=") {
            None if authorization.is_empty() => {}
            None => return Err(ScramError::Syntax),
            Some(other) if name(other)? == user => {}
            Some(_) => return Err(ScramError::AuthorizationIdentity),
        }
        Ok(Self { user, nonce, bound, bare: bare.to_owned() })
    }

    /// The name as typed.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Our first message, and what waits for the client's last. `nonce` is [`server_nonce`].
    #[must_use]
    pub fn challenge(self, salt: &[u8], nonce: &str) -> (ScramExchange, String) {
        let nonce = self.nonce + nonce;
        let server_first = format!("r={nonce},s={},i={ITERATIONS}", STANDARD.encode(salt));
        let exchange = ScramExchange {
            nonce,
            bound: self.bound,
            salt: salt.to_vec(),
            said: format!("{},{server_first}", self.bare),
        };
        (exchange, server_first)
    }
}

/// An exchange that waits for the client's last message.
#[derive(Debug, Clone)]
pub struct ScramExchange {
    nonce: String,
    bound: Vec<u8>,
    salt: Vec<u8>,
    /// The first two messages, as far as they are signed.
    said: String,
}

impl ScramExchange {
    /// Our last message, if the client's proof is right. `password` is `None` where there is none to compare with: the
    /// exchange fails then, and takes as long. Blocks for milliseconds.
    ///
    /// # Errors
    /// [`ScramError`].
    pub fn finish(self, message: &[u8], password: Option<&[u8]>) -> Result<String, ScramError> {
        let text = text(message)?;
        // The proof is the last field, after extensions, which are passed over (RFC 5802 5.1).
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Syntax)?;
        let proof = STANDARD.decode(proof).map_err(|_| ScramError::Syntax)?;
        let proof: Digest32 = proof.try_into().map_err(|_| ScramError::Proof)?;
        let mut attributes = without_proof.split(',');
        let mut next = |name: &str| attributes.next().and_then(|field| field.strip_prefix(name));
        let bound = STANDARD.decode(next("c=").ok_or(ScramError::Syntax)?).map_err(|_| ScramError::Syntax)?;
        let nonce = next("r=").ok_or(ScramError::Syntax)?;
        if !constant_time_eq(&bound, &self.bound) {
            return Err(ScramError::OtherBinding);
        }
        if !constant_time_eq(nonce.as_bytes(), self.nonce.as_bytes()) {
            return Err(ScramError::Nonce);
        }
        let keys = Keys::derive(&prepared(password.unwrap_or_default()), &self.salt);
        let signed = format!("{},{without_proof}", self.said);
        let signature = mac(&keys.stored, signed.as_bytes());
        let client_key = xor(proof, signature);
        let is_right = constant_time_eq(&Sha256::digest(client_key), &keys.stored);
        // An empty password proves nothing.
        if !is_right || password.is_none_or(<[u8]>::is_empty) {
            return Err(ScramError::Proof);
        }
        Ok(format!("v={}", STANDARD.encode(mac(&keys.server, signed.as_bytes()))))
    }
}

/// RFC 5802 3.
struct Keys {
    stored: Digest32,
    server: Digest32,
}

impl Keys {
    fn derive(password: &[u8], salt: &[u8]) -> Self {
        let salted = salted_password(password, salt);
        let client = mac(&salted, b"Client Key");
        Self { stored: Sha256::digest(client).into(), server: mac(&salted, b"Server Key") }
    }
}

/// PBKDF2 with HMAC-SHA-256 and one block (RFC 8018 5.2), which RFC 5802 calls Hi.
fn salted_password(password: &[u8], salt: &[u8]) -> Digest32 {
    // HMAC takes keys of every length (RFC 2104 2), so the error cannot happen; zeros match no proof.
    let Ok(keyed) = Hmac::<Sha256>::new_from_slice(password) else { return [0; DIGEST_BYTES] };
    let round = |parts: [&[u8]; 2]| -> Digest32 {
        let mut mac = keyed.clone();
        parts.into_iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut last = round([salt, &1_u32.to_be_bytes()]);
    let mut sum = last;
    for _ in 1..ITERATIONS {
        last = round([&last, &[]]);
        sum = xor(sum, last);
    }
    sum
}

fn mac(key: &[u8], text: &[u8]) -> Digest32 {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; DIGEST_BYTES] };
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn xor(left: Digest32, right: Digest32) -> Digest32 {
    let mut both = left;
    both.iter_mut().zip(right).for_each(|(octet, other)| *octet ^= other);
    both
}

/// The octets behind the header that the client's flag promises.
fn binding<'a>(
    mechanism: ScramMechanism,
    bindings: &'a ChannelBindings,
    flag: &str,
) -> Result<&'a [u8], ScramError> {
    match (flag, mechanism) {
        ("n" | "y", ScramMechanism::Sha256Plus) => Err(ScramError::BindingMismatch),
        ("n", ScramMechanism::Sha256) => Ok(&[]),
        ("y", ScramMechanism::Sha256) if bindings.is_empty() => Ok(&[]),
        ("y", ScramMechanism::Sha256) => Err(ScramError::Downgrade),
        _ => {
            let kind = flag.strip_prefix("p=").ok_or(ScramError::Syntax)?;
            match mechanism {
                ScramMechanism::Sha256 => Err(ScramError::BindingMismatch),
                ScramMechanism::Sha256Plus => bindings.of_type(kind).ok_or(ScramError::BindingType),
            }
        }
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    let is_short = message.len() <= MESSAGE_BYTES_MAX;
    std::str::from_utf8(message).ok().filter(|_| is_short).ok_or(ScramError::Syntax)
}

/// A name with `=2C` for a comma and `=3D` for an equals sign.
fn name(encoded: &str) -> Result<String, ScramError> {
    let mut parts = encoded.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(ScramError::Name),
        };
        name.push(sign);
        name.push_str(rest);
    }
    if name.is_empty() || name.contains('\0') { Err(ScramError::Name) } else { Ok(name) }
}

/// Printable ASCII without a comma (RFC 5802 7).
fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|octet| octet.is_ascii_graphic())
}

/// SASLprep without what it forbids: the mappings (RFC 3454 tables B.1 and C.1.2), then NFKC. Octets that are no UTF-8 are
/// what they are.
fn prepared(password: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(password) else { return password.to_vec() };
    let mapped = text.chars().filter_map(|letter| match letter {
        '\u{ad}'
        | '\u{34f}'
        | '\u{1806}'
        | '\u{180b}'..='\u{180d}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' => None,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Some(' '),
        other => Some(other),
    });
    ComposingNormalizerBorrowed::new_nfkc().normalize_iter(mapped).collect::<String>().into_bytes()
}

/// What a client that knows `password` answers, for tests: `bare` is its first message without `header`.
#[cfg(test)]
pub(crate) fn scram_answer(bare: &str, server_first: &str, bound: &[u8], password: &[u8]) -> String {
    let field = |name: &str| server_first.split(',').find_map(|field| field.strip_prefix(name)).unwrap_or("");
    let without_proof = format!("c={},r={}", STANDARD.encode(bound), field("r="));
    let salt = STANDARD.decode(field("s=")).unwrap();
    let client_key = mac(&salted_password(&prepared(password), &salt), b"Client Key");
    let signed = format!("{bare},{server_first},{without_proof}");
    let proof = xor(client_key, mac(&Sha256::digest(client_key), signed.as_bytes()));
    format!("{without_proof},p={}", STANDARD.encode(proof))
}

#[cfg(test)]
mod tests;
