//! Stored passwords and the digests made of them.
//!
//! ```text
//! stored = *( 2HEXDIG )            ; XMail: each byte XOR 0x65 (mailroot.md 5); it hides nothing
//!        / "$argon2" ...           ; a PHC string (decision 18)
//! ```
//!
//! A stored value that is neither is a [`BadStoredPassword`]: the account does not match, whatever is given.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// The longest password in bytes; a longer one overflows XMail's buffers (`mailroot.md` 5).
pub const PASSWORD_BYTES_MAX: usize = 255;

/// What is wrong with the password column of a table row. It never carries the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStoredPassword {
    /// An XMail encoding has an odd number of digits.
    #[error("the encoded password has an odd number of digits")]
    OddLength,
    /// A pair of an XMail encoding is not a hexadecimal number.
    #[error("the encoded password has a bad digit in column {0}")]
    BadDigit(usize),
    /// A value that begins with `$argon2` is not a PHC string we can check.
    #[error("the password hash is not a valid PHC string")]
    BadHash,
    /// The hash asks for more than [`ARGON2_MEMORY_KIB_MAX`] or [`ARGON2_PASSES_MAX`].
    #[error("the password hash asks for too much memory or time")]
    ExpensiveHash,
}

/// The system gave no random bytes for a salt, or the password cannot be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashError;

/// Whether `given` is the password that `stored` stands for.
///
/// Takes some 20 ms and 19 MiB for an argon2id hash: call it where blocking is allowed.
///
/// # Errors
/// [`BadStoredPassword`]: the account cannot log in until the row is corrected.
pub fn password_matches(stored: &[u8], given: &[u8]) -> Result<bool, BadStoredPassword> {
    if !is_hashed(stored) {
        return Ok(constant_time_eq(&xmail_decode(stored)?, given));
    }
    let text = std::str::from_utf8(stored).map_err(|_| BadStoredPassword::BadHash)?;
    let hash = PasswordHash::new(text).map_err(|_| BadStoredPassword::BadHash)?;
    let params = Params::try_from(&hash).map_err(|_| BadStoredPassword::BadHash)?;
    if params.m_cost() > ARGON2_MEMORY_KIB_MAX || params.t_cost() > ARGON2_PASSES_MAX {
        return Err(BadStoredPassword::ExpensiveHash);
    }
    match Argon2::default().verify_password(given, &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(BadStoredPassword::BadHash),
    }
}

/// The password in clear, for APOP and CRAM-MD5; `None` for hashed or unreadable ones, for which these methods are not
/// offered (decision 18).
#[must_use]
pub fn clear_password(stored: &[u8]) -> Option<Vec<u8>> {
    if is_hashed(stored) { None } else { xmail_decode(stored).ok() }
}

/// Whether a stored value is a PHC string.
#[must_use]
pub fn is_hashed(stored: &[u8]) -> bool {
    stored.starts_with(PHC_PREFIX)
}

/// Letters of random passwords: none that look alike.
const RANDOM_PASSWORD_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Letters in a random password: 16 of 32 letters are 80 bits.
const RANDOM_PASSWORD_LENGTH: usize = 16;

/// A password that nobody can guess.
///
/// # Errors
/// The system gives no random numbers.
pub fn random_password() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; RANDOM_PASSWORD_LENGTH];
    getrandom::fill(&mut bytes)?;
    // 256 is a multiple of 32: every letter is as likely.
    Ok(bytes.iter().map(|byte| char::from(RANDOM_PASSWORD_LETTERS[usize::from(byte % 32)])).collect())
}

/// An argon2id PHC string with a new salt, for `PasswordScheme` = `argon2id`.
///
/// # Errors
/// [`HashError`] when the system gives no random bytes.
pub fn hash_password(password: &[u8]) -> Result<String, HashError> {
    let hash = Argon2::default().hash_password(password).map_err(|_| HashError)?;
    Ok(hash.to_string())
}

/// Two lower-case digits of (byte XOR 0x65) for each byte.
///
/// ```
/// assert_eq!(tabmail::auth::xmail_encode(b"xmail"), "1d08040c09");
/// ```
#[must_use]
pub fn xmail_encode(password: &[u8]) -> String {
    password.iter().map(|byte| format!("{:02x}", byte ^ XMAIL_KEY)).collect()
}

/// The password an XMail encoding stands for.
///
/// Lenient as XMail (`mailroot.md` 5): upper case, a blank as first or any byte as second of a pair that has one digit
/// (`1g` is 1). The pair `65` is a NUL, which ends the password.
///
/// # Errors
/// [`BadStoredPassword::OddLength`], or [`BadStoredPassword::BadDigit`] with the column from 1.
pub fn xmail_decode(encoded: &[u8]) -> Result<Vec<u8>, BadStoredPassword> {
    if !encoded.len().is_multiple_of(2) {
        return Err(BadStoredPassword::OddLength);
    }
    let mut password = Vec::with_capacity(encoded.len() / 2);
    for (index, pair) in encoded.chunks_exact(2).enumerate() {
        let code = hex_pair(pair).ok_or(BadStoredPassword::BadDigit(index * 2 + 1))?;
        password.push(code ^ XMAIL_KEY);
    }
    let end = memchr::memchr(0, &password).unwrap_or(password.len());
    password.truncate(end);
    Ok(password)
}

/// The digest of CRAM-MD5 (RFC 2195 §2): HMAC-MD5 of the challenge, 32 lower-case digits.
#[must_use]
pub fn cram_md5_digest(key: &[u8], challenge: &[u8]) -> String {
    // HMAC takes keys of every length (RFC 2104 §2), so the error cannot happen; an empty digest matches nothing.
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(challenge);
    hex(&mac.finalize().into_bytes())
}

/// Whether `digest`, upper or lower case, is that of CRAM-MD5.
#[must_use]
pub fn cram_md5_matches(key: &[u8], challenge: &[u8], digest: &[u8]) -> bool {
    digest_matches(&cram_md5_digest(key, challenge), digest)
}

/// The digest of APOP (RFC 1939 §7): MD5 of the greeting's time stamp, brackets included, and the password.
#[must_use]
pub fn apop_digest(stamp: &[u8], password: &[u8]) -> String {
    let digest = Md5::new().chain_update(stamp).chain_update(password).finalize();
    hex(&digest)
}

/// Whether `digest`, upper or lower case, is that of APOP.
#[must_use]
pub fn apop_matches(stamp: &[u8], password: &[u8], digest: &[u8]) -> bool {
    digest_matches(&apop_digest(stamp, password), digest)
}

/// Compares without telling by its time where two secrets of equal length differ.
#[must_use]
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

fn digest_matches(expected: &str, given: &[u8]) -> bool {
    expected.len() == MD5_DIGITS && constant_time_eq(expected.as_bytes(), &given.to_ascii_lowercase())
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match (digit(pair[0]), digit(pair[1])) {
        (Some(high), Some(low)) => Some(high * 16 + low),
        (Some(only), None) => Some(only),
        (None, Some(only)) if pair[0].is_ascii_whitespace() => Some(only),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const XMAIL_KEY: u8 = 0x65;
const PHC_PREFIX: &[u8] = b"$argon2";
const MD5_DIGITS: usize = 32;

/// In KiB: 1 GiB. A table may come from another program; checking one log-in must not take all memory.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 1024 * 1024;

/// Passes over the memory, for the same reason.
pub const ARGON2_PASSES_MAX: u32 = 64;

#[cfg(test)]
mod tests;
