//! Browsers at the door: HTTP/1.1, plain or over TLS, each connection with limits of time and number.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::enter::Peer;
use super::linger::Lingering;
use crate::net::{Listener, TlsStore, plain_ip};

/// Connections at once; further ones wait in the system's queue. Ours.
const CONNECTIONS_MAX: usize = 512;

/// How long a browser may take for a TLS handshake, and for the head of a request. Ours.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(30);

/// How long answers may take after the stop. Ours.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// One listener of the administration.
pub struct Door {
    /// Where browsers arrive.
    pub listener: Listener,
    /// The certificate, where they come with TLS.
    pub tls: Option<Arc<TlsStore>>,
}

/// Serves until `stop`, then lets the requests under way finish.
pub async fn serve(door: Door, app: Router, stop: CancellationToken) {
    let (tracker, seats) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    loop {
        let seat = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            seat = Arc::clone(&seats).acquire_owned() => seat,
        };
        let (socket, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = door.listener.accept() => accepted,
        };
        let (app, tls, stop) = (app.clone(), door.tls.clone(), stop.clone());
        tracker.spawn(async move {
            let ended = attend(socket, Peer(plain_ip(peer.ip())), tls, app, stop).await;
            if let Err(error) = ended {
                tracing::debug!(%peer, "web administration: {error}");
            }
            drop(seat);
        });
    }
    drop(door.listener);
    tracker.close();
    if tokio::time::timeout(STOP_WAIT_MAX, tracker.wait()).await.is_err() {
        tracing::debug!("web administration: some requests did not end in time");
    }
}

async fn attend(
    socket: TcpStream,
    peer: Peer,
    tls: Option<Arc<TlsStore>>,
    app: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let Some(tls) = tls else { return converse(socket, peer, app, stop).await };
    let no_certificate = || io::Error::new(io::ErrorKind::NotFound, "no certificate");
    let acceptor = tls.acceptor().ok_or_else(no_certificate)?;
    let stream = tokio::time::timeout(HEAD_WAIT_MAX, acceptor.tls().accept(socket)).await??;
    converse(stream, peer, app, stop).await
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    app: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        app.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .serve_connection(TokioIo::new(Lingering::new(stream, stop.clone())), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended.map_err(io::Error::other)
}
