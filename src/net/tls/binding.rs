//! Channel bindings: octets that both ends of a TLS connection know and nobody between them can choose (RFC 5056).

use rustls::ProtocolVersion;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The channel bindings that a connection has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelBindings {
    /// `tls-exporter` (RFC 9266). Only of TLS 1.3: before, it is sound only with an extension that we cannot ask for.
    pub tls_exporter: Option<Vec<u8>>,
    /// `tls-server-end-point` (RFC 5929 4): a hash of the server's certificate.
    pub tls_server_end_point: Option<Vec<u8>>,
}

impl ChannelBindings {
    /// Whether there are none, as on a plain connection.
    pub fn is_empty(&self) -> bool {
        self.tls_exporter.is_none() && self.tls_server_end_point.is_none()
    }

    /// The octets of a type of binding by its name; case counts.
    pub fn of_type(&self, name: &str) -> Option<&[u8]> {
        match name {
            "tls-exporter" => self.tls_exporter.as_deref(),
            "tls-server-end-point" => self.tls_server_end_point.as_deref(),
            _ => None,
        }
    }
}

/// RFC 9266 4.2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// RFC 9266 4.2, in octets.
const EXPORTER_BYTES: usize = 32;

/// The octets of `tls-exporter`, when the connection has them.
pub(in crate::net) fn exporter<D>(tls: &rustls::ConnectionCommon<D>) -> Option<Vec<u8>> {
    if tls.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return None;
    }
    // In TLS 1.3 no context and an empty one are the same (RFC 8446 7.5).
    tls.export_keying_material(vec![0; EXPORTER_BYTES], EXPORTER_LABEL, Some(b"")).ok()
}

/// The octets of `tls-server-end-point` for a certificate (DER): its hash by the function of its signature, with SHA-256
/// in place of MD5 and SHA-1. `None` where the signature has no hash function or several (Ed25519, RSASSA-PSS).
pub(in crate::net) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let algorithm = parsed.signature_algorithm.algorithm.to_id_string();
    let hash = SIGNATURES.iter().find(|(known, _)| *known == algorithm).map(|(_, hash)| hash)?;
    Some(match hash {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Signature algorithms (RFC 3279, 4055, 5758) and the hash that stands for them.
const SIGNATURES: &[(&str, Hash)] = &[
    ("1.2.840.113549.1.1.4", Hash::Sha256),
    ("1.2.840.113549.1.1.5", Hash::Sha256),
    ("1.2.840.113549.1.1.11", Hash::Sha256),
    ("1.2.840.113549.1.1.12", Hash::Sha384),
    ("1.2.840.113549.1.1.13", Hash::Sha512),
    ("1.2.840.10045.4.1", Hash::Sha256),
    ("1.2.840.10045.4.3.2", Hash::Sha256),
    ("1.2.840.10045.4.3.3", Hash::Sha384),
    ("1.2.840.10045.4.3.4", Hash::Sha512),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(algorithm: &'static rcgen::SignatureAlgorithm, expected_octets: Option<usize>) {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["mx.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        assert_eq!(end_point(certificate.der()).map(|hash| hash.len()), expected_octets, "{algorithm:?}");
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        check(&rcgen::PKCS_ECDSA_P256_SHA256, Some(32));
        check(&rcgen::PKCS_ECDSA_P384_SHA384, Some(48));
        check(&rcgen::PKCS_ED25519, None);
        assert_eq!(end_point(b"no certificate"), None);
    }

    #[test]
    fn types_have_their_registered_names() {
        let bindings = ChannelBindings { tls_exporter: Some(vec![1]), tls_server_end_point: Some(vec![2]) };
        for (name, expected) in [
            ("tls-exporter", Some(&[1][..])),
            ("tls-server-end-point", Some(&[2])),
            ("tls-unique", None),
            ("TLS-exporter", None),
        ] {
            assert_eq!(bindings.of_type(name), expected, "{name}");
        }
        assert!(ChannelBindings::default().is_empty() && !bindings.is_empty());
    }
}
