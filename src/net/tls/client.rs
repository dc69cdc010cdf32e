//! The client's side: whom to trust.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use super::{TlsError, provider, read, read_certificates};

/// What `server.tab`'s `SSL...` variables ask of the peer's certificate (mailflow.md 13). The default asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientVerify {
    /// `SSLWantVerify` (or `SSLWantCert`, which implies it): the chain must lead to a trust anchor.
    pub want_verify: bool,
    /// `SSLAllowSelfSigned`: a certificate that is its own issuer passes too.
    pub allow_self_signed: bool,
    /// `SSLMaxCertsDepth`: issuers between the peer's certificate and the anchor; 0 = the library's limit.
    pub max_certs_depth: usize,
    /// `SSLUseCertsFile`: `ROOT/certs.pem`. Ignored when the file does not exist.
    pub ca_file: Option<PathBuf>,
    /// `SSLUseCertsDir`: `ROOT/certs/`; every file's certificates. Ignored when it does not exist.
    pub ca_dir: Option<PathBuf>,
    /// The certificate must be for the host's name too. XMail never looks (mailflow.md 13).
    pub check_name: bool,
}

/// A certificate with its chain, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client side of TLS, ready for any number of connections.
#[derive(Clone)]
pub struct ClientTls(TlsConnector);

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientTls")
    }
}

impl ClientTls {
    /// Encrypts to whoever answers: what mail between servers without prior agreement can have.
    ///
    /// # Errors
    /// Never in practice; [`TlsError::Pair`] if the provider had no usable protocol version.
    pub fn opportunistic() -> Result<Self, TlsError> {
        Self::new(&ClientVerify::default())
    }

    /// Reads the trust anchors and makes the connector. Anchors: `ca_file` and `ca_dir`, or the system's
    /// ([`SYSTEM_CERTIFICATES`]) when neither is given.
    ///
    /// # Errors
    /// [`TlsError`] when `ca_file` is unreadable (files of `ca_dir` are left out with a warning), or verification is wanted and there is no anchor at all.
    pub fn new(options: &ClientVerify) -> Result<Self, TlsError> {
        Self::build(options, None)
    }

    /// As [`ClientTls::new`], with a certificate (PEM file, chain included) and its key for servers that ask for one.
    ///
    /// # Errors
    /// As [`ClientTls::new`], and [`TlsError`] when the files cannot be read or do not belong together.
    pub fn with_identity(options: &ClientVerify, cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_certificates(cert)?;
        let key_der = PrivateKeyDer::from_pem_slice(&read(key)?)
            .map_err(|source| TlsError::Pem { path: key.to_owned(), source })?;
        Self::build(options, Some((chain, key_der)))
    }

    fn build(options: &ClientVerify, identity: Option<Identity>) -> Result<Self, TlsError> {
        let provider = provider();
        let chain = match options.want_verify {
            true => Some(chain_verifier(options, &provider)?),
            false => None,
        };
        let verifier = PeerVerifier { chain, options: options.clone(), provider: provider.clone() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match identity {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(TlsError::Pair)?,
            None => config.with_no_client_auth(),
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(in crate::net) fn connector(&self) -> &TlsConnector {
        &self.0
    }

    /// The name for SNI; the peer's address, which is never sent as SNI, when the host's name is none.
    pub(in crate::net) fn server_name(&self, host: &str, peer: IpAddr) -> ServerName<'static> {
        let host = host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::from(peer))
    }
}

/// Where Linux distributions keep the certificates they trust.
pub const SYSTEM_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

fn chain_verifier(
    options: &ClientVerify,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<WebPkiServerVerifier>>, TlsError> {
    let mut roots = RootCertStore::empty();
    for file in anchor_files(options) {
        let certificates = match read_certificates(&file) {
            Ok(certificates) => certificates,
            Err(error) if options.ca_file.as_ref() == Some(&file) => return Err(error),
            // A directory may hold a README; what is missing for it shows as a refused peer.
            Err(error) => {
                tracing::warn!(%error, "no trust anchors read");
                continue;
            }
        };
        let (_, unusable) = roots.add_parsable_certificates(certificates);
        if unusable > 0 {
            tracing::warn!(file = %file.display(), unusable, "trust anchors left out");
        }
    }
    if roots.is_empty() && options.allow_self_signed {
        return Ok(None);
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    verifier.map(Some).map_err(TlsError::Trust)
}

fn anchor_files(options: &ClientVerify) -> Vec<PathBuf> {
    if options.ca_file.is_none() && options.ca_dir.is_none() {
        return vec![PathBuf::from(SYSTEM_CERTIFICATES)].into_iter().filter(|path| path.exists()).collect();
    }
    let mut files: Vec<PathBuf> = options.ca_file.iter().filter(|path| path.is_file()).cloned().collect();
    files.extend(options.ca_dir.iter().flat_map(|dir| certificate_files(dir)));
    files
}

/// The regular files of a directory. OpenSSL's hashed names say nothing we need.
fn certificate_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[derive(Debug)]
struct PeerVerifier {
    /// Outer `None`: nothing is asked. Inner `None`: only a self-signed certificate can pass.
    chain: Option<Option<Arc<WebPkiServerVerifier>>>,
    options: ClientVerify,
    provider: Arc<CryptoProvider>,
}

impl PeerVerifier {
    fn verify_chain(
        &self,
        chain: &WebPkiServerVerifier,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        match chain.verify_server_cert(end_entity, intermediates, name, &[], now) {
            Ok(_) => Ok(()),
            // The name is looked at last: this certificate is good, only not for this host.
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                if !self.options.check_name =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        let depth = self.options.max_certs_depth;
        if depth > 0 && intermediates.len() > depth {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        let verdict = match chain {
            Some(chain) => self.verify_chain(chain, end_entity, intermediates, name, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        match verdict {
            // A self-signed certificate has no known issuer, or (made by `openssl req -x509`) is a CA's own.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) if self.options.allow_self_signed && is_self_issued(end_entity) => {}
            verdict => verdict?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether issuer and subject are the same. Its signature is not looked at: whoever can make such a certificate
/// could sign it as well.
fn is_self_issued(certificate: &[u8]) -> bool {
    issuer_and_subject(certificate).is_some_and(|(issuer, subject)| issuer == subject)
}

/// RFC 5280 section 4.1: `SEQUENCE { SEQUENCE { [0] version OPTIONAL, serial, signature, issuer, validity,
/// subject, ...`.
fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    const VERSION_TAG: u8 = 0xa0;
    let (_, certificate, _) = der_value(certificate)?;
    let (_, fields, _) = der_value(certificate)?;
    let (tag, _, after_first) = der_value(fields)?;
    let rest = if tag == VERSION_TAG { der_value(after_first)?.2 } else { after_first };
    let (_, _, rest) = der_value(rest)?; // signature algorithm
    let (_, issuer, rest) = der_value(rest)?;
    let (_, _, rest) = der_value(rest)?; // validity
    let (_, subject, _) = der_value(rest)?;
    Some((issuer, subject))
}

/// Tag, contents and what follows of the first DER value.
fn der_value(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (octets.iter().fold(0, |length, &octet| length << 8 | usize::from(octet)), rest)
        }
        _ => return None,
    };
    let (contents, after) = rest.split_at_checked(length)?;
    Some((tag, contents, after))
}
