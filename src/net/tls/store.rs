//! `server.cert` and `server.key`: loaded, watched, and made when there are none.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::{TlsError, end_point, provider, read, read_certificates};

/// The server's certificate (PEM, leaf first, chain may follow) in the MailRoot.
pub const SERVER_CERT: &str = "server.cert";
/// Its private key (PEM) in the MailRoot.
pub const SERVER_KEY: &str = "server.key";

/// The server side of TLS, from the two files of one MailRoot.
///
/// XMail loads them at each handshake; we look at each handshake whether they changed (modification time, size,
/// inode) and load them then. A pair that does not load leaves the last good one in service.
#[derive(Debug)]
pub struct TlsStore {
    cert: PathBuf,
    key: PathBuf,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    /// The files as they were when last tried, with or without success.
    stamp: Option<[FileStamp; 2]>,
    acceptor: Option<Acceptor>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("available", &self.acceptor.is_some()).finish_non_exhaustive()
    }
}

/// A pair of files that handshakes can be done with.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    /// The channel binding `tls-server-end-point` of its connections.
    end_point: Option<Arc<[u8]>>,
}

impl Acceptor {
    /// What does the handshakes.
    pub fn tls(&self) -> &TlsAcceptor {
        &self.tls
    }

    pub(in crate::net) fn end_point(&self) -> Option<Arc<[u8]>> {
        self.end_point.clone()
    }
}

/// Modification time in seconds and nanoseconds, size, inode; `None` for a missing file.
type FileStamp = Option<(i64, i64, u64, u64)>;

impl TlsStore {
    /// The store of the MailRoot at `root`; nothing is read yet.
    pub fn new(root: &Path) -> Self {
        Self { cert: root.join(SERVER_CERT), key: root.join(SERVER_KEY), loaded: Mutex::default() }
    }

    /// The acceptor for the next handshake, or `None` when no good pair was ever there.
    pub fn acceptor(&self) -> Option<Acceptor> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = [file_stamp(&self.cert), file_stamp(&self.key)];
        if loaded.stamp != Some(stamp) {
            loaded.stamp = Some(stamp);
            match self.load() {
                Ok(acceptor) => loaded.acceptor = Some(acceptor),
                Err(error) => {
                    let kept = loaded.acceptor.is_some();
                    tracing::warn!(%error, kept, "TLS certificate not loaded");
                }
            }
        }
        loaded.acceptor.clone()
    }

    /// Whether a handshake could be begun now; decides what is advertised (decision 6). Asked at each command: a pair
    /// that was good stays in service whatever becomes of the files, so they need no look for this.
    pub fn available(&self) -> bool {
        let is_loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).acceptor.is_some();
        is_loaded || self.acceptor().is_some()
    }

    /// The certificates of the pair, leaf first, as they would be loaded now; nothing is put into service.
    ///
    /// # Errors
    /// Why the pair would not load.
    pub fn try_pair(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain = read_certificates(&self.cert)?;
        self.load().map(|_| chain)
    }

    fn load(&self) -> Result<Acceptor, TlsError> {
        let chain = read_certificates(&self.cert)?;
        let leaf = chain.first().and_then(|leaf| end_point(leaf));
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|source| TlsError::Pem { path: self.key.clone(), source })?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(TlsError::Pair)?;
        Ok(Acceptor { tls: TlsAcceptor::from(Arc::new(config)), end_point: leaf.map(Into::into) })
    }
}

/// Whether two PEM texts are a certificate and its key that a server could use.
///
/// # Errors
/// Why not.
pub fn check_pair(certificate: &[u8], key: &[u8]) -> Result<(), TlsError> {
    let bad = |file: &'static str| move |source| TlsError::Pem { path: file.into(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(bad(SERVER_CERT))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: SERVER_CERT.into() });
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(bad(SERVER_KEY))?;
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let paired = builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    paired.map(drop).map_err(TlsError::Pair)
}

fn file_stamp(path: &Path) -> FileStamp {
    let data = fs::metadata(path).ok()?;
    Some((data.mtime(), data.mtime_nsec(), data.size(), data.ino()))
}

/// Makes a self-signed pair for `names` when **both** files are missing; true when it did. Never overwrites.
///
/// Both files get mode 0600.
///
/// # Errors
/// What the disk says, or `InvalidInput` when no certificate can be made for the names.
pub fn ensure_self_signed(root: &Path, names: &[String]) -> io::Result<bool> {
    let (cert, key) = (root.join(SERVER_CERT), root.join(SERVER_KEY));
    if fs::symlink_metadata(&cert).is_ok() || fs::symlink_metadata(&key).is_ok() {
        return Ok(false);
    }
    let (cert_pem, key_pem) =
        self_signed(names).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    create_private(&key, &key_pem)?;
    if let Err(error) = create_private(&cert, &cert_pem) {
        // Half a pair would keep the next start from making a whole one.
        let _ = fs::remove_file(&key);
        return Err(error);
    }
    fs::File::open(root)?.sync_all()?;
    Ok(true)
}

/// The PEM texts of a new certificate and its key.
///
/// # Errors
/// Names that no certificate can hold.
pub fn self_signed(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let mut names: Vec<String> =
        names.iter().filter(|name| name.is_ascii() && !name.is_empty()).cloned().collect();
    if names.is_empty() {
        names.push("localhost".to_owned());
    }
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(names.clone())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, names.swap_remove(0));
    // Nobody checks the dates of a certificate nobody vouches for; 2049 is the last year in the old date format.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem()))
}

fn create_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names() -> Vec<String> {
        vec!["mx.example.test".to_owned()]
    }

    #[test]
    fn a_pair_is_made_once_and_private() {
        let root = tempfile::tempdir().unwrap();
        let store = TlsStore::new(root.path());
        assert!(!store.available());
        assert!(ensure_self_signed(root.path(), &names()).unwrap());
        assert!(store.available());
        for file in [SERVER_CERT, SERVER_KEY] {
            let mode = fs::metadata(root.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let before = fs::read(root.path().join(SERVER_CERT)).unwrap();
        assert!(!ensure_self_signed(root.path(), &names()).unwrap());
        assert_eq!(fs::read(root.path().join(SERVER_CERT)).unwrap(), before);
    }

    #[test]
    fn half_a_pair_is_left_alone() {
        for file in [SERVER_CERT, SERVER_KEY] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(file), "mine").unwrap();
            assert!(!ensure_self_signed(root.path(), &names()).unwrap());
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
            assert!(!TlsStore::new(root.path()).available());
        }
    }

    #[test]
    fn names_no_certificate_can_hold_are_left_out() {
        let root = tempfile::tempdir().unwrap();
        assert!(ensure_self_signed(root.path(), &["müller.test".to_owned(), String::new()]).unwrap());
        assert!(TlsStore::new(root.path()).available());
    }

    #[test]
    fn a_changed_pair_is_loaded_and_a_broken_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        ensure_self_signed(root.path(), &names()).unwrap();
        let store = TlsStore::new(root.path());
        let config = |store: &TlsStore| Arc::as_ptr(store.acceptor().unwrap().tls().config());
        let first = config(&store);
        assert_eq!(config(&store), first);

        fs::write(root.path().join(SERVER_CERT), "no certificate").unwrap();
        assert_eq!(config(&store), first);

        let (other_cert, other_key) = self_signed(&names()).unwrap();
        fs::write(root.path().join(SERVER_CERT), other_cert).unwrap();
        assert_eq!(config(&store), first, "the key does not match yet");
        fs::write(root.path().join(SERVER_KEY), other_key).unwrap();
        assert_ne!(config(&store), first);

        fs::remove_file(root.path().join(SERVER_KEY)).unwrap();
        assert!(store.available(), "the last good pair stays");
    }
}
