//! `tabmail xmcrypt`, XMail's `XMCrypt`: the stored form of a password (`mailroot.md` 5, 18.5).

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use clap::Args;

use crate::auth::{HashError, hash_password, xmail_encode};

/// `tabmail xmcrypt`.
#[derive(Debug, Args)]
pub struct XmCrypt {
    /// The password
    pub password: OsString,
    /// Print an argon2id hash (for `PasswordScheme` argon2id) instead of XMail's encoding
    #[arg(long)]
    pub argon2id: bool,
}

impl XmCrypt {
    /// Prints the stored form.
    ///
    /// # Errors
    /// When standard output is closed, or hashing fails.
    pub fn run(&self) -> Result<(), XmCryptError> {
        let password = self.password.as_bytes();
        let stored = if self.argon2id { hash_password(password)? } else { xmail_encode(password) };
        writeln!(io::stdout(), "{stored}")?;
        Ok(())
    }
}

/// Why nothing was printed.
#[derive(Debug, thiserror::Error)]
pub enum XmCryptError {
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Output(#[from] io::Error),
    /// The hash could not be made.
    #[error(transparent)]
    Hash(#[from] HashError),
}
