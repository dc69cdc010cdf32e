//! What `server.tab` asks of the certificates of servers we connect to (`mailflow.md` 13).

use super::Snapshot;
use super::schema::server as variables;
use crate::net::tls::ClientVerify;

impl Snapshot {
    /// `SSLWantVerify` and its relatives; all default to off.
    pub fn client_verify(&self) -> ClientVerify {
        let (server, root) = (&self.server, self.root().path());
        ClientVerify {
            want_verify: server.flag(&variables::SSL_WANT_VERIFY) || server.flag(&variables::SSL_WANT_CERT),
            allow_self_signed: server.flag(&variables::SSL_ALLOW_SELF_SIGNED),
            max_certs_depth: usize::try_from(server.integer(&variables::SSL_MAX_CERTS_DEPTH)).unwrap_or(0),
            ca_file: server.flag(&variables::SSL_USE_CERTS_FILE).then(|| root.join("certs.pem")),
            ca_dir: server.flag(&variables::SSL_USE_CERTS_DIR).then(|| root.join("certs")),
            check_name: false,
        }
    }
}
