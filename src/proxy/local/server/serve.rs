//! Accepting, serving, draining.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client_places::ClientPlace;
use super::connection::{ClientChannel, ClientSocket, ClientStream, RunningAnswer};
use super::http2_limits::limited_http2;
use super::http2_requests::{as_http1, as_http2};
use super::listener::{ListeningSocket, LocalListener};
use super::tls_front::{SpokenProtocol, listen_in};
use super::unread_request::RequestSeen;
use crate::message::byte_stream::ByteStream;
use crate::message::capped_reads::{MAX_HEAD_LINES, MAX_HEAD_SIZE};
use crate::message::client_connection::ClientConnection;
use crate::message::scheme::Scheme;
use crate::proxy::local::guard::admit::ClientPeer;
use crate::proxy::local::handle::{handle, unreadable};
use crate::proxy::local::server_state::{LocalProxy, ServerState, ShutdownStages};
use crate::proxy::upstream::WithheldAnswer;

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
    serve_as(ServerState::new(local, &listener), listener, shutdown, grace).await
}

/// The same for what is not certain yet: nothing is said but what a Service answers, and who would be told something else
/// finds that nobody answers, as if nobody listened.
pub async fn serve_guess(
    listener: LocalListener,
    local: LocalProxy,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> usize {
    let server = ServerState { is_guess: true, ..ServerState::new(local, &listener) };
    serve_as(server, listener, shutdown, grace).await
}

async fn serve_as(
    server: ServerState,
    listener: LocalListener,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> usize {
    let server = Arc::new(server);
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

/// Serves the one client that speaks HTTP/2 on `stream`, as if it had come to `listener` and agreed to that by TLS, until it
/// leaves.
pub async fn serve_http2_client(local: LocalProxy, listener: &LocalListener, stream: ByteStream) {
    let server = Arc::new(ServerState::new(local, listener));
    let _cut_when_dropped = server.stages.cut.clone().drop_guard();
    let channel = ClientChannel { peer: ClientPeer::Trusted, scheme: Scheme::Https };
    let place = server.places.take().await;
    report_end(serve_http2(Arc::clone(&server), channel, stream, place).await);
    drain(&server, Duration::ZERO).await;
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
                let place = server.places.take().await;
                server.tasks.spawn(serve_connection(Arc::clone(&server), socket, place));
            }
            Err(cause) if ends_one_connection_only(&cause) => {}
            Err(cause) => {
                tracing::debug!(%cause, "cannot accept connections for now");
                server.places.make_room();
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
async fn serve_connection(server: Arc<ServerState>, socket: ClientSocket, place: ClientPlace) {
    let peer = if server.local.policy.allow_other_users { ClientPeer::Trusted } else { socket.peer() };
    let (stages, leave) = (server.stages.clone(), place.leave());
    let spoken = tokio::select! {
        spoken = timeout(REQUEST_HEAD_TIMEOUT, listen_in(socket, server.local.tls.as_ref())) => spoken,
        () = stages.drain.cancelled() => return,
        () = leave.cancelled() => return,
    };
    let outcome = match spoken {
        Ok(Ok(SpokenProtocol::Http1(scheme, stream))) => {
            serve_http1(server, ClientChannel { peer, scheme }, stream, place).await
        }
        Ok(Ok(SpokenProtocol::Http2(stream))) => {
            serve_http2(server, ClientChannel { peer, scheme: Scheme::Https }, stream, place).await
        }
        Ok(Ok(SpokenProtocol::Unexpected)) => return server.tell_of_tls(),
        Ok(Err(cause)) => return tracing::debug!(%cause, "no agreement with a client by TLS"),
        Err(_) => return tracing::debug!("a client said nothing"),
    };
    report_end(outcome);
}

fn report_end(outcome: hyper::Result<()>) {
    match outcome {
        Err(cause) if cause.is_parse() => tracing::info!(%cause, "a request that cannot be read got no further"),
        Err(cause) => tracing::debug!(%cause, "a client's connection ended early"),
        Ok(()) => {}
    }
}

async fn serve_http1(
    server: Arc<ServerState>,
    channel: ClientChannel,
    stream: ByteStream,
    place: ClientPlace,
) -> hyper::Result<()> {
    let (client, end) = ServedClient::at(&place, server);
    let stream = TokioIo::new(ClientStream::new(stream, place, client.seen.clone()));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answering = client.receive(&mut request);
        handle(Arc::clone(&client.server), channel, answering, request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_SIZE)
        .max_headers(MAX_HEAD_LINES)
        .preserve_header_case(true)
        .serve_connection(stream, service)
        .with_upgrades();
    end.until(connection, UpgradeableConnection::graceful_shutdown).await
}

async fn serve_http2(
    server: Arc<ServerState>,
    channel: ClientChannel,
    stream: ByteStream,
    place: ClientPlace,
) -> hyper::Result<()> {
    let (client, end) = ServedClient::at(&place, server);
    let seen = client.seen.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let answering = client.receive(&mut request);
        let (server, is_connect) = (Arc::clone(&client.server), request.method() == Method::CONNECT);
        async move {
            let mut response = match as_http1(&mut request) {
                Ok(()) => handle(server, channel, answering, request).await?,
                Err(status) => unreadable(&server, status, answering, &request),
            };
            as_http2(&mut response, is_connect);
            Ok::<_, WithheldAnswer>(response)
        }
    });
    let connection = limited_http2().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        outcome = end.until(connection, http2::Connection::graceful_shutdown) => outcome,
        () = is_left_unused(&seen) => Ok(()),
    }
}

/// Completes if no request comes: hyper waits for ever for the preface of HTTP/2.
async fn is_left_unused(seen: &RequestSeen) {
    tokio::time::sleep(REQUEST_HEAD_TIMEOUT).await;
    if seen.is_set() {
        std::future::pending::<()>().await;
    }
}

/// Whoever is at the other end of a connection, for as long as it is served.
struct ServedClient {
    server: Arc<ServerState>,
    unanswered: TaskTracker,
    seen: RequestSeen,
    connection: ClientConnection,
}

impl ServedClient {
    /// The client that has `place`, and how its connection ends.
    fn at(place: &ClientPlace, server: Arc<ServerState>) -> (Self, ConnectionEnd) {
        let end = ConnectionEnd::of(&server, place);
        let seen = RequestSeen::default();
        (Self { server, unanswered: place.unanswered(), seen, connection: ClientConnection::default() }, end)
    }

    /// Notes that `request` came, and on which connection. The client waits until the result is dropped.
    fn receive(&self, request: &mut Request<Incoming>) -> RunningAnswer {
        self.seen.set();
        request.extensions_mut().insert(self.connection.clone());
        self.unanswered.token()
    }
}

/// What ends a connection from this side.
struct ConnectionEnd {
    stages: ShutdownStages,
    leave: CancellationToken,
    unanswered: TaskTracker,
}

impl ConnectionEnd {
    fn of(server: &ServerState, place: &ClientPlace) -> Self {
        Self { stages: server.stages.clone(), leave: place.leave(), unanswered: place.unanswered() }
    }

    /// Serves a connection to its end, which `shut_down` brings about after the requests under way, or until it is cut.
    async fn until<C: Future<Output = hyper::Result<()>>>(
        self,
        connection: C,
        shut_down: impl FnOnce(Pin<&mut C>),
    ) -> hyper::Result<()> {
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            outcome = connection.as_mut() => {
                // What goes on after an upgrade is a tunnel.
                self.leave.cancel();
                return outcome;
            }
            () = self.stages.drain.cancelled() => {}
            () = self.leave.cancelled() => if self.unanswered.is_empty() {
                return Ok(());
            }
        }
        shut_down(connection.as_mut());
        tokio::select! {
            outcome = connection => outcome,
            () = self.stages.cut.cancelled() => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_an_unused_connection_is_left() {
        let seen = RequestSeen::default();
        assert!(timeout(2 * REQUEST_HEAD_TIMEOUT, is_left_unused(&seen)).await.is_ok());
        seen.set();
        assert!(timeout(2 * REQUEST_HEAD_TIMEOUT, is_left_unused(&seen)).await.is_err());
    }
}
