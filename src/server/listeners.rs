//! Which addresses are bound: the command line and `server.tab` say, and a change is followed at once.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::switchboard::{Switchboard, name_of};
use crate::admin::{ListenState, Listening};
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
    board: Arc<Switchboard>,
}

struct Bound {
    address: SocketAddr,
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
    pub(super) fn new(
        options: Options,
        start: Start,
        stop: CancellationToken,
        board: Arc<Switchboard>,
    ) -> Self {
        Self { options, start, stop, bound: HashMap::new(), failed: HashMap::new(), board }
    }

    /// Binds what should be bound and is not, and closes what should not be. Addresses that fail are reported and
    /// tried again at the next call; the others work.
    pub(super) fn follow(&mut self, snapshot: &Snapshot) -> Vec<BindError> {
        let mut errors = Vec::new();
        let mut wanted = Vec::new();
        let closed = self.board.closed();
        for endpoint in self.options.endpoints.iter().filter(|endpoint| !closed.contains(&endpoint.service)) {
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
        self.board.tell(self.listening(snapshot));
        errors
    }

    /// Every service with its addresses; one without any is switched off or closed.
    fn listening(&self, snapshot: &Snapshot) -> Vec<Listening> {
        let mut found = Vec::new();
        for endpoint in &self.options.endpoints {
            let service = name_of(endpoint.service);
            let of_service = |key: &(Service, BindAddress)| key.0 == endpoint.service;
            let one = |address: String, state| Listening { service: service.clone(), address, state };
            let open = self.bound.iter().filter(|(key, _)| of_service(key));
            let failed = self.failed.iter().filter(|(key, _)| of_service(key));
            let mut all: Vec<Listening> = open
                .map(|(_, bound)| one(bound.address.to_string(), ListenState::Open))
                .chain(failed.map(|(key, why)| one(key.1.to_string(), ListenState::Failed(why.clone()))))
                .collect();
            if all.is_empty() {
                let configured = snapshot.server.text(endpoint.service.listen_variable());
                let off = endpoint.off_by(configured).map_or(ListenState::Closed, ListenState::Off);
                all.push(one(String::new(), off));
            }
            all.sort_by(|a, b| a.address.cmp(&b.address));
            found.extend(all);
        }
        found
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
        let address = listener.local_addr();
        tracing::info!("{service:?}: listening on {address}");
        let stop = self.stop.child_token();
        let task = (self.start)(service, listener, stop.clone());
        self.bound.insert(key, Bound { address, stop, task });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailroot::MailRoot;
    use std::sync::Mutex;

    /// Listeners that are only remembered, and a MailRoot whose `server.tab` says where they are.
    struct House {
        root: tempfile::TempDir,
        listeners: Listeners,
        started: Arc<Mutex<Vec<String>>>,
    }

    impl House {
        fn new(words: &str) -> Self {
            let started = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&started);
            let start: Start = Box::new(move |service, listener, stop| {
                seen.lock().unwrap().push(format!("{service:?} {}", listener.local_addr().ip()));
                tokio::spawn(async move {
                    stop.cancelled().await;
                    drop(listener);
                })
            });
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let options = Options::parse(&words).unwrap().0;
            let listeners =
                Listeners::new(options, start, CancellationToken::new(), Arc::new(Switchboard::default()));
            Self { root: tempfile::tempdir().unwrap(), listeners, started }
        }

        /// Follows a `server.tab`; the errors, and what was started by it.
        fn follow(&mut self, pop3_listen: &str) -> (Vec<String>, Vec<String>) {
            let row = format!("\"POP3-Listen\"\t\"{pop3_listen}\"\n");
            std::fs::write(self.root.path().join("server.tab"), row).unwrap();
            let errors = self.listeners.follow(&Snapshot::load(&MailRoot::new(self.root.path())));
            let started = std::mem::take(&mut *self.started.lock().unwrap());
            (errors.iter().map(ToString::to_string).collect(), started)
        }
    }

    const OTHERS_OFF: &str = "-S- -X- -B- -I- -J- -C- -W- -F-";

    #[tokio::test]
    async fn a_changed_address_is_bound_without_a_restart() {
        let mut house = House::new(OTHERS_OFF);
        assert_eq!(house.follow("127.0.0.1:0"), (vec![], vec!["Pop3 127.0.0.1".to_owned()]));
        assert_eq!(house.follow("127.0.0.1:0"), (vec![], vec![]), "what is bound stays");
        assert_eq!(house.follow("127.0.0.1:0,127.0.0.2:0"), (vec![], vec!["Pop3 127.0.0.2".to_owned()]));
        house.follow("127.0.0.2:0");
        assert_eq!(house.listeners.bound.len(), 1);
        house.follow("-");
        assert!(house.listeners.none_bound());
    }

    #[tokio::test]
    async fn a_typing_error_is_reported_and_closes_nothing() {
        let mut house = House::new(OTHERS_OFF);
        house.follow("127.0.0.1:0");
        let (errors, started) = house.follow("127.0.0.1;0");
        assert!(errors[0].starts_with("Pop3: cannot listen on 127.0.0.1;0:"), "{errors:?}");
        assert!(started.is_empty() && house.listeners.bound.len() == 1);
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_tried_again() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let mut house = House::new(OTHERS_OFF);
        assert_eq!(house.follow(&address).0.len(), 1);
        drop(taken);
        assert_eq!(house.follow(&address), (vec![], vec!["Pop3 127.0.0.1".to_owned()]));
    }

    /// JD-59: one service is closed and opened while the others go on, and everybody can see how they stand.
    #[tokio::test]
    async fn a_service_that_an_administrator_closes_stays_closed_until_he_opens_it() {
        use crate::admin::Board as _;
        let mut house = House::new(OTHERS_OFF);
        house.follow("127.0.0.1:0");
        let board = Arc::clone(&house.listeners.board);
        let pop3 = |board: &Switchboard| {
            board.listeners().into_iter().find(|one| one.service == "pop3").map(|one| one.state)
        };
        assert_eq!(pop3(&board), Some(ListenState::Open));
        let switch = |is_open| {
            let board = Arc::clone(&board);
            tokio::task::spawn_blocking(move || board.switch("POP3", is_open))
        };
        let closing = switch(false);
        board.changed().await;
        assert_eq!(house.follow("127.0.0.1:0"), (vec![], vec![]));
        assert!(closing.await.unwrap() && house.listeners.none_bound());
        assert_eq!(pop3(&board), Some(ListenState::Closed));
        let opening = switch(true);
        board.changed().await;
        assert_eq!(house.follow("127.0.0.1:0").1, ["Pop3 127.0.0.1"]);
        assert!(opening.await.unwrap());
        assert_eq!(pop3(&board), Some(ListenState::Open));
        assert!(!board.switch("nosuch", true));
    }

    /// JD-59: what the configuration switches off is told with the option that does it.
    #[tokio::test]
    async fn a_service_that_is_switched_off_tells_by_which_option() {
        use crate::admin::Board as _;
        let mut house = House::new(OTHERS_OFF);
        for (configured, pop3) in [
            ("-", ListenState::Off("POP3-Listen".into())),
            (" , ", ListenState::Off("POP3-Listen".into())),
            ("127.0.0.1:0", ListenState::Open),
        ] {
            house.follow(configured);
            let found = house.listeners.board.listeners();
            let state = |service: &str| found.iter().find(|one| one.service == service).map(|one| &one.state);
            assert_eq!(state("pop3"), Some(&pop3), "{configured}");
            assert_eq!(state("smtps"), Some(&ListenState::Off("-X-".into())));
        }
    }

    #[tokio::test]
    async fn the_command_line_wins() {
        let mut house = House::new(&format!("{OTHERS_OFF} -PI 127.0.0.3:0"));
        assert_eq!(house.follow("127.0.0.1:0"), (vec![], vec!["Pop3 127.0.0.3".to_owned()]));
    }
}
