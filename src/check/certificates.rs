//! `server.cert` and `server.key`: whether they are a pair that loads, for which names, and until when.

use std::path::Path;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::code::Fact;
use super::finding::{Finding, Findings};
use super::site::Site;
use crate::mailroot::schema::server;
use crate::net::tls::{SERVER_CERT, SERVER_KEY, TlsError, TlsStore};

/// A certificate that ends sooner is worth a warning. Ours: programs that renew do so at 30 days.
const SOON_DAYS: i64 = 21;

pub(super) fn check(site: &Site<'_>, findings: &mut Findings) {
    let there = |name| std::fs::symlink_metadata(site.path(name)).is_ok();
    match (there(SERVER_CERT), there(SERVER_KEY)) {
        (true, true) => {}
        (true, false) => {
            return findings.add(Finding::of_file(SERVER_CERT, Fact::HalfPair { other: SERVER_KEY }));
        }
        (false, true) => {
            return findings.add(Finding::of_file(SERVER_KEY, Fact::HalfPair { other: SERVER_CERT }));
        }
        (false, false) => return,
    }
    for name in [SERVER_CERT, SERVER_KEY] {
        // Opening a pipe would wait for its other end.
        if !std::fs::metadata(site.path(name)).is_ok_and(|data| data.is_file()) {
            let reason = "no plain file".to_owned();
            return findings.add(Finding::of_file(name, Fact::BadCertificate { reason }));
        }
    }
    match TlsStore::new(site.path("").as_path()).try_pair() {
        Ok(chain) => {
            if let Some(leaf) = chain.first() {
                leaf_certificate(site, leaf, findings);
            }
        }
        Err(error) => findings.add(broken(&error)),
    }
}

fn broken(error: &TlsError) -> Finding {
    let of = |path: &Path, reason: String| {
        let file = path.file_name().map_or_else(|| SERVER_CERT.into(), std::path::PathBuf::from);
        Finding::of_file(file, Fact::BadCertificate { reason })
    };
    match error {
        TlsError::File { path, source } => of(path, source.kind().to_string()),
        TlsError::Pem { path, source } => of(path, source.to_string()),
        TlsError::NoCertificate { path } => of(path, "no certificate in it".to_owned()),
        TlsError::Pair(rustls::Error::InconsistentKeys(_)) => {
            Finding::of_file(SERVER_KEY, Fact::PairMismatch {})
        }
        other => of(Path::new(SERVER_CERT), other.to_string()),
    }
}

fn leaf_certificate(site: &Site<'_>, leaf: &CertificateDer<'_>, findings: &mut Findings) {
    let mut add = |fact| findings.add(Finding::of_file(SERVER_CERT, fact));
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return add(Fact::BadCertificate { reason: "not an X.509 certificate".to_owned() });
    };
    let (from, until) = (&certificate.validity().not_before, &certificate.validity().not_after);
    let (now, days) = (site.now.as_second(), (until.timestamp() - site.now.as_second()) / 86_400);
    if now > until.timestamp() {
        add(Fact::Expired { on: date(until) });
    } else if now < from.timestamp() {
        add(Fact::NotYetValid { on: date(from) });
    } else if days < SOON_DAYS {
        add(Fact::ExpiresSoon { on: date(until), days });
    }
    let table = &site.tables.server;
    if let Some(name) = table.text(&server::SMTP_SERVER_DOMAIN).or_else(|| table.root_domain()) {
        let names = names_of(&certificate);
        if !names.iter().any(|pattern| is_for(pattern, name)) {
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            add(Fact::NameNotCovered { name: name.to_owned(), names });
        }
    }
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.map(|found| found.value.general_names.as_slice()).unwrap_or_default();
    let dns = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

/// Whether a certificate's name means a host: a star stands for one label (RFC 6125 6.4.3).
fn is_for(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    match pattern.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

fn date(time: &ASN1Time) -> String {
    Timestamp::from_second(time.timestamp())
        .map_or_else(|_| time.to_string(), |at| at.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(is_for("*.home.test", "MX.home.test.") && is_for("home.test", "Home.test"));
        assert!(!is_for("*.home.test", "home.test") && !is_for("*.home.test", "a.b.home.test"));
    }
}
