//! Which addresses are bound: the command line and `server.tab` say, and a change is followed at once.

use std::collections::HashMap;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::mailroot::Snapshot;
use crate::net::{BindAddress, ListenOptions, Listener};
use crate::options::{Options, Service};

/// Starts serving one listener until its token is cancelled.
pub(super) type Start = Box<dyn Fn(Service, Listener, CancellationToken) -> JoinHandle<()> + Send + Sync>;

/// Connections that wait to be accepted: XMail's 64, and 8 for CTRL, are too few for a burst; the system caps it.
const BACKLOG: i32 = 1024;

/// The bound listeners.
pub(super) struct Listeners {
    options: Options,
    start: Start,
    stop: CancellationToken,
    bound: HashMap<(Service, BindAddress), Bound>,
    failed: HashMap<(Service, BindAddress), String>,
}

struct Bound {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// An address that cannot be bound at the start.
#[derive(Debug, thiserror::Error)]
#[error("{service:?}: cannot listen on {address}: {reason}")]
pub struct BindError {
    /// The service.
    pub service: Service,
    /// The address, as text.
    pub address: String,
    /// Why not.
    pub reason: String,
}

impl Listeners {
    pub(super) fn new(options: Options, start: Start, stop: CancellationToken) -> Self {
        Self { options, start, stop, bound: HashMap::new(), failed: HashMap::new() }
    }

    /// Binds what should be bound and is not, and closes what should not be. Addresses that fail are reported and
    /// tried again at the next call; the others work.
    pub(super) fn follow(&mut self, snapshot: &Snapshot) -> Vec<BindError> {
        let mut errors = Vec::new();
        let mut wanted = Vec::new();
        for endpoint in &self.options.endpoints {
            let service = endpoint.service;
            let configured = snapshot.server.text(service.listen_variable());
            match endpoint.bind_addresses(configured) {
                Ok(addresses) => wanted.extend(addresses.into_iter().map(|address| (service, address))),
                Err(error) => {
                    errors.push(BindError {
                        service,
                        address: configured.unwrap_or("-").into(),
                        reason: error.to_string(),
                    });
                    // What is bound now stays bound: a typing error must not close the port.
                    wanted.extend(self.bound.keys().filter(|(of, _)| *of == service).copied());
                }
            }
        }
        self.bound.retain(|key, bound| {
            let keep = wanted.contains(key) && !bound.task.is_finished();
            if !keep {
                tracing::info!("{:?}: {} closed", key.0, key.1);
                bound.stop.cancel();
            }
            keep
        });
        self.failed.retain(|key, _| wanted.contains(key));
        for key in wanted {
            if !self.bound.contains_key(&key) {
                errors.extend(self.bind(key).err());
            }
        }
        errors
    }

    fn bind(&mut self, key: (Service, BindAddress)) -> Result<(), BindError> {
        let (service, address) = key;
        let options = ListenOptions {
            backlog: BACKLOG,
            receive_buffer_bytes: self.options.receive_buffer_bytes,
            send_buffer_bytes: self.options.send_buffer_bytes,
        };
        let listener = match Listener::bind(address, &options) {
            Ok(listener) => listener,
            Err(error) => {
                let reason = error.to_string();
                let known = self.failed.insert(key, reason.clone());
                let error = BindError { service, address: address.to_string(), reason };
                if known.is_none() {
                    tracing::error!("{error}");
                }
                return Err(error);
            }
        };
        self.failed.remove(&key);
        tracing::info!("{service:?}: listening on {}", listener.local_addr());
        let stop = self.stop.child_token();
        let task = (self.start)(service, listener, stop.clone());
        self.bound.insert(key, Bound { stop, task });
        Ok(())
    }

    /// Whether no address is bound.
    pub(super) fn none_bound(&self) -> bool {
        self.bound.is_empty()
    }

    /// Waits for all sessions to end, after the server's token was cancelled.
    pub(super) async fn ended(self) {
        for bound in self.bound.into_values() {
            // A panic in one listener has been logged; the others are still waited for.
            let _ = bound.task.await;
        }
    }
}
