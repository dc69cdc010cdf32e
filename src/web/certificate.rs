//! When the server's certificate ends.

use std::path::Path;

use crate::net::tls::SERVER_CERT;

/// The end of the certificate in Unix seconds; `None` where there is none that can be read.
pub(super) fn expiry_unix_secs(root: &Path) -> Option<i64> {
    let text = std::fs::read(root.join(SERVER_CERT)).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&text).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Some(certificate.validity().not_after.timestamp())
}
