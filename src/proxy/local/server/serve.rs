//! Accepting, serving, draining.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_util::task::TaskTracker;

use super::connection::{ClientSocket, ClientStream};
use super::listener::{ListeningSocket, LocalListener};
use super::unread_request::RequestSeen;
use crate::message::capped_reads::{MAX_HEAD_LINES, MAX_HEAD_SIZE};
use crate::message::client_connection::ClientConnection;
use crate::proxy::local::guard::admit::ClientPeer;
use crate::proxy::local::handle::handle;
use crate::proxy::local::server_state::{LocalProxy, ServerState};

/// How long a client may take for a request's head, and how long a connection may wait for the next request.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long accepting pauses when the system has no file descriptor or memory left.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Serves until `shutdown` completes, then lets requests under way finish for at most `grace`. Open tunnels end at
/// once. Dropping the future cuts everything. A second signal is the caller's affair. Gives the number of connections
/// that were cut because they were still busy when the grace was over.
pub async fn serve(
    listener: LocalListener,
    local: LocalProxy,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> usize {
    #[cfg(unix)]
    allow_many_open_files();
    let server = Arc::new(ServerState::new(local, &listener));
    let _cut_when_dropped = server.stages.cut.clone().drop_guard();
    tokio::select! {
        () = accept_on(&listener.sockets, &server) => {}
        () = shutdown => {}
    }
    drop(listener);
    drain(&server, grace).await
}

/// Lets what is under way finish, and cuts what has not when `grace` is over: so many connections.
async fn drain(server: &ServerState, grace: Duration) -> usize {
    server.stages.drain.cancel();
    server.tasks.close();
    if tokio::time::timeout(grace, server.tasks.wait()).await.is_ok() {
        return 0;
    }
    let busy = server.tasks.len();
    server.stages.cut.cancel();
    server.tasks.wait().await;
    busy
}

/// Accepts for ever.
async fn accept_on(sockets: &[ListeningSocket], server: &Arc<ServerState>) {
    let loops = sockets.iter().map(|socket| accept_loop(Arc::clone(server), socket));
    futures_util::future::join_all(loops).await;
}

async fn accept_loop(server: Arc<ServerState>, listening: &ListeningSocket) {
    loop {
        match listening.accept().await {
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
    let unanswered = TaskTracker::new();
    let seen = RequestSeen::default();
    let stream = TokioIo::new(ClientStream::new(socket, unanswered.clone(), seen.clone()));
    let stages = server.stages.clone();
    let client = ClientConnection::default();
    let service = service_fn(move |mut request: Request<Incoming>| {
        seen.set();
        request.extensions_mut().insert(client.clone());
        handle(Arc::clone(&server), peer, unanswered.token(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_SIZE)
        .max_headers(MAX_HEAD_LINES)
        .preserve_header_case(true)
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
    match outcome {
        Err(cause) if cause.is_parse() => tracing::info!(%cause, "a request that cannot be read got no further"),
        Err(cause) => tracing::debug!(%cause, "a client's connection ended early"),
        Ok(()) => {}
    }
}

/// Enough for five thousand connections, each of which takes two open files, one on either side; as many as macOS allows
/// everybody (`OPEN_MAX`).
#[cfg(unix)]
const ENOUGH_OPEN_FILES: u64 = 10_240;

/// Raises the soft limit, which is for programs that ask in vain for files of higher numbers (`select`), as Go programs
/// such as kubectl do. 1,024 is usual on Linux, 256 on macOS.
#[cfg(unix)]
fn allow_many_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(ENOUGH_OPEN_FILES, |maximum| maximum.min(ENOUGH_OPEN_FILES));
    if current.is_some_and(|current| current < wanted)
        && let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
    {
        tracing::debug!(%cause, "no more open files than the system allows at first");
    }
}
