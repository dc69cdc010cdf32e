//! TLS: the server's pair of files and the client's ideas of trust.
//!
//! Shape: [`TlsStore`] serves `server.cert` and `server.key` of the MailRoot (PEM, chain allowed; mailroot.md
//! 17.3); [`ClientTls`] is the client side with the choices of [`ClientVerify`]. TLS 1.2 and 1.3 with the `ring`
//! provider, named explicitly so that no other crate's choice matters.
//!
//! Failures: a broken pair keeps the last good one in service and is reported once per change. A peer that fails
//! a handshake costs only its own connection.
//!
//! Source: mailflow.md 13; decision 6 (STARTTLS is offered only when it works).

mod binding;
mod client;
mod store;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

pub use binding::ChannelBindings;
pub(in crate::net) use binding::{end_point, exporter};
pub use client::{ClientTls, ClientVerify, SYSTEM_CERTIFICATES};
pub use store::{Acceptor, SERVER_CERT, SERVER_KEY, TlsStore, check_pair, ensure_self_signed, self_signed};

/// What stands between us and an encrypted connection.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The peer broke or refused the handshake, or its certificate was refused.
    #[error("TLS handshake: {0}")]
    Handshake(#[source] io::Error),
    /// The handshake did not end within [`super::IO_TIMEOUT`].
    #[error("TLS handshake timed out")]
    HandshakeTimeout,
    /// The connection is under TLS already, or broken.
    #[error("not a plain connection")]
    NotPlain,
    /// The operator's file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The operator's file is no PEM, or holds nothing of the kind that is needed.
    #[error("{}: {source}", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What the PEM reader said.
        source: rustls_pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("{}: no certificate", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// The pair does not match, or the key is of a kind we cannot use.
    #[error("certificate and key: {0}")]
    Pair(#[source] rustls::Error),
    /// The trust anchors are of no use.
    #[error("trust anchors: {0}")]
    Trust(#[source] rustls::client::VerifierBuilderError),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}
