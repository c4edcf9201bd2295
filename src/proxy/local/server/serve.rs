//! Accepting, serving, draining.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;

use super::connection::{ClientSocket, ClientStream, UnansweredRequests};
use super::listener::{BoundSockets, ListeningSocket, LocalListener};
use crate::proxy::local::LocalProxy;
use crate::proxy::local::guard::admit::ClientPeer;
use crate::proxy::local::handle::{ServerState, handle};

/// Octets buffered per direction of a connection, and the limit of a request's head. More is no
/// faster, and costs memory when many connections are open.
const BUFFER_SIZE: usize = 64 * 1024;
/// How long a client may take for a request's head, and how long a connection may wait for the next request.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long accepting pauses when the system has no file descriptor or memory left.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// What was served, once it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServeSummary {
    /// Requests answered, whatever the answer; refused ones too.
    pub requests: u64,
    /// Requests that the guard refused.
    pub refused: u64,
    /// WebSockets opened.
    pub tunnels: u64,
    /// Connections cut because they were still busy when the grace was over.
    pub cut: u64,
}

/// Serves until `shutdown` completes, then lets requests under way finish for at most `grace`. Open tunnels end at
/// once. Dropping the future cuts everything. A second signal is the caller's affair.
pub async fn serve(
    listener: LocalListener,
    local: LocalProxy,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> ServeSummary {
    #[cfg(unix)]
    super::open_files::allow_many();
    let server = Arc::new(ServerState::new(local, &listener));
    let _cut_when_dropped = server.stages.cut.clone().drop_guard();
    tokio::select! {
        () = accept_on(&listener.sockets, &server) => {}
        () = shutdown => {}
    }
    drop(listener);
    drain(&server, grace).await;
    server.counts.summary()
}

/// Lets what is under way finish, and cuts what has not when `grace` is over.
async fn drain(server: &ServerState, grace: Duration) {
    server.stages.drain.cancel();
    server.tasks.close();
    if tokio::time::timeout(grace, server.tasks.wait()).await.is_err() {
        server.counts.cut.store(server.tasks.len() as u64, Ordering::Relaxed);
        server.stages.cut.cancel();
        server.tasks.wait().await;
    }
}

/// Accepts for ever.
async fn accept_on(sockets: &BoundSockets, server: &Arc<ServerState>) {
    let loops = sockets.doors().into_iter().map(|door| accept_loop(Arc::clone(server), door));
    futures_util::future::join_all(loops).await;
}

async fn accept_loop(server: Arc<ServerState>, door: ListeningSocket<'_>) {
    loop {
        match door.accept().await {
            Ok(socket) => {
                server.tasks.spawn(serve_connection(Arc::clone(&server), socket));
            }
            Err(cause) if ends_one_connection_only(&cause) => {}
            Err(cause) => {
                tracing::warn!(%cause, "cannot accept connections for now");
                tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
}

/// Whether only the connection that was to be accepted is gone, so that the next one may be accepted at once.
fn ends_one_connection_only(cause: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(cause.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Serves one client until it leaves or the end comes. What goes wrong on its connection concerns nobody else.
async fn serve_connection(server: Arc<ServerState>, socket: ClientSocket) {
    let peer = if server.local.policy.allow_other_users { ClientPeer::Trusted } else { socket.peer() };
    let unanswered = UnansweredRequests::default();
    let stream = TokioIo::new(ClientStream::new(socket, unanswered.clone()));
    let stages = server.stages.clone();
    let service =
        service_fn(move |request: Request<Incoming>| handle(Arc::clone(&server), peer, unanswered.begin(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD_TIMEOUT)
        .max_buf_size(BUFFER_SIZE)
        .max_header_size(BUFFER_SIZE)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stages.drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                outcome = connection => outcome,
                () = stages.cut.cancelled() => Ok(()),
            }
        }
    };
    if let Err(cause) = outcome {
        tracing::debug!(%cause, "a client's connection ended early");
    }
}

/// The end comes in two stages; the second includes the first.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownStages {
    /// No new requests, no tunnels.
    pub(crate) drain: CancellationToken,
    /// Nothing at all.
    pub(crate) cut: CancellationToken,
}

impl Default for ShutdownStages {
    fn default() -> Self {
        let cut = CancellationToken::new();
        Self { drain: cut.child_token(), cut }
    }
}

/// Numbers of the summary, as they grow.
#[derive(Debug, Default)]
pub(crate) struct SummaryCounts {
    pub(crate) requests: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) tunnels: AtomicU64,
    cut: AtomicU64,
}

impl SummaryCounts {
    fn summary(&self) -> ServeSummary {
        ServeSummary {
            requests: self.requests.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            tunnels: self.tunnels.load(Ordering::Relaxed),
            cut: self.cut.load(Ordering::Relaxed),
        }
    }
}
