//! `server.cert` and `server.key`: what they are, and replacing them (`mailroot.md` 17.3).
//!
//! The key is written and never read out: neither a page nor the history nor a log holds it.

use std::path::Path;

use bstr::ByteSlice as _;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::{Admin, AdminError};
use crate::mailroot::edit::Planned;
use crate::net::TlsStore;
use crate::net::tls::{SERVER_CERT, SERVER_KEY, check_pair, self_signed};

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificatePair {
    /// Leaf first; the chain may follow.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// The key is nobody's business.
impl std::fmt::Debug for CertificatePair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificatePair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whom it is for, as a distinguished name.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// The host names it is for.
    pub names: Vec<String>,
    /// From when it is valid, in Unix seconds.
    pub from_unix_secs: i64,
    /// Until when, in Unix seconds.
    pub until_unix_secs: i64,
    /// SHA-256 of the leaf, in hex digits with colons.
    pub fingerprint: String,
    /// Whether nobody but itself vouches for it.
    pub is_self_signed: bool,
    /// Certificates in the file.
    pub chain: usize,
}

/// Reads PEM text.
///
/// # Errors
/// `Certificate`.
pub fn certificate_facts(pem: &[u8]) -> Result<CertificateFacts, AdminError> {
    let bad = |error: &dyn std::fmt::Display| AdminError::Certificate(error.to_string());
    let mut blocks = Vec::new();
    for block in x509_parser::pem::Pem::iter_from_buffer(pem) {
        blocks.push(block.map_err(|error| bad(&error))?);
    }
    blocks.retain(|block| block.label == "CERTIFICATE");
    let leaf = blocks.first().ok_or_else(|| bad(&"no certificate"))?;
    let (_, parsed) = X509Certificate::from_der(&leaf.contents).map_err(|error| bad(&error))?;
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let names = alternative.map(|found| found.value.general_names.as_slice()).unwrap_or_default();
    let names = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    let digest: Vec<String> =
        Sha256::digest(&leaf.contents).iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(CertificateFacts {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names: names.collect(),
        from_unix_secs: parsed.validity().not_before.timestamp(),
        until_unix_secs: parsed.validity().not_after.timestamp(),
        fingerprint: digest.join(":"),
        is_self_signed: parsed.subject() == parsed.issuer(),
        chain: blocks.len(),
    })
}

impl CertificatePair {
    /// A new key, and a certificate that nobody vouches for.
    ///
    /// # Errors
    /// `Certificate` for names that no certificate can hold.
    pub fn self_signed(names: &[String]) -> Result<Self, AdminError> {
        let made = self_signed(names).map_err(|error| AdminError::Certificate(error.to_string()))?;
        Ok(Self { certificate: made.0, key: made.1 })
    }

    /// Whether the key fits, as the server would load it.
    ///
    /// # Errors
    /// `Certificate`.
    pub fn check(&self) -> Result<CertificateFacts, AdminError> {
        check_pair(self.certificate.as_bytes(), self.key.as_bytes())
            .map_err(|error| AdminError::Certificate(error.to_string()))?;
        certificate_facts(self.certificate.as_bytes())
    }
}

/// What the rehearsal shows in the place of a key.
const KEYS_SHOWN: [&[u8]; 2] = [b"(the present key; not shown)\n", b"(another key; not shown)\n"];

/// For the server's user only.
const KEY_MODE: u32 = 0o600;

impl Admin {
    /// The certificate that is there; `None` without one.
    ///
    /// # Errors
    /// `Disk`, `Certificate`.
    pub fn certificate(&self) -> Result<Option<CertificateFacts>, AdminError> {
        let pem = self.read(Path::new(SERVER_CERT))?;
        pem.map(|pem| certificate_facts(&pem)).transpose()
    }

    /// Why the two files would not load; `None` when they would.
    pub fn certificate_problem(&self) -> Option<String> {
        TlsStore::new(self.root().path()).try_pair().err().map(|error| error.to_string())
    }

    /// Puts another pair in the place of the present one. The server takes it at the next handshake. The key is written
    /// first: as long as the two do not fit, the server keeps the pair it has.
    ///
    /// # Errors
    /// `Certificate` when they are no pair; `Disk`.
    pub fn replace_certificate(&self, pair: &CertificatePair) -> Result<(), AdminError> {
        let _changing = self.changing();
        pair.check()?;
        if let Some(rehearsal) = self.editor.rehearsal() {
            let before = self.read(Path::new(SERVER_CERT))?;
            let is_same =
                before.as_deref().is_some_and(|before| before.trim() == pair.certificate.trim().as_bytes());
            let [present, another] = KEYS_SHOWN.map(|text| Some(text.to_vec()));
            let before_key = self.root().path().join(SERVER_KEY).exists().then_some(present).flatten();
            let certificate = Some(pair.certificate.clone().into_bytes());
            if !is_same {
                rehearsal.plan(Planned::File { file: SERVER_CERT.into(), before, after: certificate });
            }
            rehearsal.plan(Planned::File { file: SERVER_KEY.into(), before: before_key, after: another });
            return Ok(());
        }
        self.write_private(SERVER_KEY, pair.key.as_bytes())?;
        self.write_private(SERVER_CERT, pair.certificate.as_bytes())
    }

    /// A file that is there keeps its mode and owner.
    fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), AdminError> {
        let path = self.root().path().join(name);
        let made = match self.disk.create_new(&path, KEY_MODE) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map(drop),
        };
        made.and_then(|()| self.disk.replace(&path, bytes)).map_err(|source| AdminError::Disk {
            action: "write",
            path,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_those_of_the_certificate_and_another_key_is_refused() {
        let names = ["mx.a.test".to_owned(), "a.test".to_owned()];
        let [one, two] = [(); 2].map(|()| CertificatePair::self_signed(&names).unwrap());
        let facts = one.check().unwrap();
        assert!(
            facts.names.contains(&"mx.a.test".to_owned()) && facts.is_self_signed && facts.chain == 1,
            "{facts:?}"
        );
        assert_eq!(facts.fingerprint.len(), 95);
        let mixed = CertificatePair { certificate: one.certificate.clone(), key: two.key.clone() };
        assert!(matches!(mixed.check(), Err(AdminError::Certificate(_))));
        let none = CertificatePair { certificate: "hello".into(), key: one.key.clone() };
        assert!(matches!(none.check(), Err(AdminError::Certificate(_))));
        assert!(!format!("{one:?}").contains("PRIVATE"));
    }
}
