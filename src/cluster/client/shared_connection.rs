//! One connection of HTTP/2 for requests that come in a burst: each of them would otherwise wait until a connection of its own
//! is made, which is two round trips before the request's own. Only where the API server is far away; beside it, connections
//! cost nothing, and over HTTP/1.1 a request takes less: one at a time 1.3 times what a program takes that copies bytes, over
//! HTTP/2 1.5 times, of 128 at a time 1.3 and 1.7, 1 GiB 1.0 and 1.4 (`cargo bench --bench traffic`, all of it sent so).

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme, Uri};
use http::{HeaderName, Request, Response, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::connect::ClusterConnector;
use super::pool::ConnectionPool;
use crate::lock::lock;
use crate::message::body::{Body, BoxError};
use crate::message::replay::SendTrace;

/// Streams at a time: Go's servers take 250 unless told otherwise, and one that they do not take waits without a word.
const MAX_STREAMS: usize = 200;
/// A longer body would be in the way of all others.
const MAX_BODY_SIZE: u64 = 64 * 1024;
/// After it could not be made, nobody tries for so long.
const FAILURE_PAUSE: Duration = Duration::from_secs(30);
/// Octets that may be on their way to us: of one answer, and of all of them.
const STREAM_WINDOW_SIZE: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_SIZE: u32 = 16 * 1024 * 1024;
/// How often the other side is asked whether it is there while answers are awaited, and how long that may take.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The connection, as far as there is one.
#[derive(Default)]
pub(crate) struct SharedConnection(Mutex<SharedState>);

#[derive(Default)]
enum SharedState {
    /// Nobody has asked for it yet, or it is over.
    #[default]
    None,
    /// On its way or there, for the credentials and the network of that generation.
    Made { generation: u64, stream_sender: Shared<BoxFuture<'static, Option<StreamSender>>> },
    /// It could not be made, or the API server, or a gateway before it, speaks HTTP/1.1 only.
    Missing(Instant),
}

/// Opens streams on the connection; each holds a clone of `streams`.
#[derive(Clone)]
struct StreamSender {
    sender: http2::SendRequest<Body>,
    streams: Arc<()>,
}

/// What came of a request.
pub(crate) enum SharedOutcome {
    /// The answer, counted until its end.
    Answer(Response<Body>),
    /// No answer, though it may have been seen.
    Lost(hyper::Error),
    /// It was not sent.
    Unsent(Request<Body>),
}

impl SharedConnection {
    /// Has it made, where it is worth that and not made yet.
    pub(crate) fn prepare(&self, pool: &Arc<ConnectionPool<ClusterConnector>>) {
        drop(self.stream_sender(pool));
    }

    /// Sends `request`, where there is such a connection, and nothing speaks against it.
    pub(crate) async fn send(
        &self,
        pool: &Arc<ConnectionPool<ClusterConnector>>,
        mut request: Request<Body>,
    ) -> SharedOutcome {
        let is_short = request.body().size_hint().exact().is_some_and(|size| size <= MAX_BODY_SIZE);
        let Some(sender) = self.stream_sender(pool).filter(|_| is_short) else { return SharedOutcome::Unsent(request) };
        let Some(StreamSender { mut sender, streams }) = sender.await else {
            self.give_up();
            return SharedOutcome::Unsent(request);
        };
        let Some(uri) = absolute(&request).filter(|_| Arc::strong_count(&streams) <= MAX_STREAMS + 1) else {
            return SharedOutcome::Unsent(request);
        };
        let original = request.uri().clone();
        let host = as_http2(&mut request, uri);
        let trace = SendTrace::of(&request);
        match sender.try_send_request(request).await {
            Ok(answer) => {
                trace.was_sent();
                SharedOutcome::Answer(answer.map(|body| Body::boxed(CountedStream { body, _stream: streams })))
            }
            Err(mut failure) => match failure.take_message() {
                Some(mut unsent) => {
                    *unsent.uri_mut() = original;
                    *unsent.version_mut() = Version::HTTP_11;
                    host.map(|host| unsent.headers_mut().insert(HOST, host));
                    self.give_up();
                    SharedOutcome::Unsent(unsent)
                }
                None => {
                    trace.was_sent();
                    trace.was_lost(true);
                    SharedOutcome::Lost(failure.into_error())
                }
            },
        }
    }

    /// The next one asks for another.
    fn give_up(&self) {
        let mut state = lock(&self.0);
        if let SharedState::Made { stream_sender, .. } = &*state {
            let is_missing = stream_sender.peek().is_some_and(Option::is_none);
            *state = if is_missing { SharedState::Missing(Instant::now()) } else { SharedState::None };
        }
    }

    fn stream_sender(
        &self,
        pool: &Arc<ConnectionPool<ClusterConnector>>,
    ) -> Option<Shared<BoxFuture<'static, Option<StreamSender>>>> {
        if !pool.connector.is_far() {
            return None;
        }
        let now = pool.generation();
        let mut state = lock(&self.0);
        match &*state {
            SharedState::Made { generation, stream_sender } if *generation == now && !is_over(stream_sender) => {
                return Some(stream_sender.clone());
            }
            SharedState::Missing(since) if since.elapsed() < FAILURE_PAUSE => return None,
            _ => {}
        }
        let pool = pool.clone();
        let making = tokio::spawn(async move { make(&pool.connector).await });
        let stream_sender = async move { making.await.ok().flatten() }.boxed().shared();
        *state = SharedState::Made { generation: now, stream_sender: stream_sender.clone() };
        Some(stream_sender)
    }
}

fn is_over(stream_sender: &Shared<BoxFuture<'static, Option<StreamSender>>>) -> bool {
    stream_sender.peek().is_some_and(|made| made.as_ref().is_some_and(|made| made.sender.is_closed()))
}

async fn make(connector: &ClusterConnector) -> Option<StreamSender> {
    let stream = connector.connect_http2().await.ok().flatten()?;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_SIZE)
        .initial_connection_window_size(CONNECTION_WINDOW_SIZE)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    tracing::debug!("a connection of HTTP/2 to the API server is there for bursts");
    Some(StreamSender { sender, streams: Arc::new(()) })
}

/// The URL of `request` as HTTP/2 has it, with `Host` as its authority.
fn absolute<B>(request: &Request<B>) -> Option<Uri> {
    let authority: Authority = request.headers().get(HOST)?.to_str().ok()?.parse().ok()?;
    let target = request.uri().path_and_query()?.clone();
    Uri::builder().scheme(Scheme::HTTPS).authority(authority).path_and_query(target).build().ok()
}

/// Makes `request` one of HTTP/2, which has no fields of a connection (RFC 9113 section 8.2.2). Gives back its `Host`.
fn as_http2(request: &mut Request<Body>, uri: Uri) -> Option<http::HeaderValue> {
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    for name in [CONNECTION, KEEP_ALIVE, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
    headers.remove(HOST)
}

/// The body of an answer, which counts as a stream until it is dropped.
struct CountedStream {
    body: Incoming,
    _stream: Arc<()>,
}

impl HttpBody for CountedStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, lines: &[(&'static str, &'static str)]) -> Request<Body> {
        let builder = lines.iter().fold(Request::get(uri), |builder, (name, value)| builder.header(*name, *value));
        builder.body(Body::Empty).unwrap()
    }

    #[test]
    fn the_host_is_the_authority() {
        let lines = [("host", "web--ns.localhost:8001"), ("connection", "keep-alive"), ("te", "trailers"), ("x", "y")];
        let mut request = request("/api/v1/a%2Fb?c", &lines);
        let uri = absolute(&request).unwrap();
        assert_eq!(uri, "https://web--ns.localhost:8001/api/v1/a%2Fb?c");
        assert_eq!(as_http2(&mut request, uri).unwrap(), "web--ns.localhost:8001");
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["te", "x"]);
    }

    #[test]
    fn without_a_host_it_is_no_request_of_http2() {
        assert_eq!(absolute(&request("/", &[])), None);
        assert_eq!(absolute(&request("/", &[("host", "a b")])), None);
    }
}
