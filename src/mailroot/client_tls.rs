//! What `server.tab` asks of the certificates of servers we connect to (`mailflow.md` 13).

use super::Snapshot;
use crate::net::tls::ClientVerify;

impl Snapshot {
    /// `SSLWantVerify` and its relatives; all default to off.
    pub fn client_verify(&self) -> ClientVerify {
        let (server, root) = (&self.server, self.root().path());
        ClientVerify {
            want_verify: server.flag("SSLWantVerify", false) || server.flag("SSLWantCert", false),
            allow_self_signed: server.flag("SSLAllowSelfSigned", false),
            max_certs_depth: usize::try_from(server.integer("SSLMaxCertsDepth", 0)).unwrap_or(0),
            ca_file: server.flag("SSLUseCertsFile", false).then(|| root.join("certs.pem")),
            ca_dir: server.flag("SSLUseCertsDir", false).then(|| root.join("certs")),
            check_name: false,
        }
    }
}
