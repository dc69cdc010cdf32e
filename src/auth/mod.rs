//! Authentication: SASL mechanisms as values, and stored passwords.
//!
//! [`mechanism`] turns lines of a dialogue into [`Credentials`], for the server, and answers challenges, for our own
//! SMTP client; [`scram`] is a dialogue of its own, for faces that want it. [`password`] compares what was given with what a
//! table stores. These are pure. [`accounts`] puts a snapshot of the tables and a proof together: who is this? [`programs`]
//! runs the programs that know accounts.
//!
//! Sources: `mailflow.md` 3.10 and 9.2, `mailroot.md` 5, decisions 5 and 18, RFC 4954, 4616, 2195, 1939 §7, 5802, 7677.

pub mod accounts;
pub mod mechanism;
pub mod password;
pub mod programs;
pub mod scram;

pub use accounts::{Proof, check_account, check_smtp_auth, clear_account, split_login};
pub use mechanism::{AuthSyntax, ChallengeError, ClientExchange, Credentials, Exchange, Mechanism, Step};
pub use password::{
    BadStoredPassword, HashError, PASSWORD_BYTES_MAX, apop_digest, apop_matches, clear_password,
    constant_time_eq, cram_md5_digest, cram_md5_matches, hash_password, is_hashed, password_matches,
    random_password, xmail_decode, xmail_encode,
};
#[cfg(test)]
pub(crate) use scram::scram_answer;
pub use scram::{ClientFirst, Salts, ScramError, ScramExchange, ScramMechanism, server_nonce};
