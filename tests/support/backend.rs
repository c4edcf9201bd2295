//! A web application in a Pod: a server of ours, which tells the test what arrived.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Authority;

type Body = BoxBody<Bytes, Infallible>;

/// A running server. It answers:
///
/// - a path given to [`Backend::answer`]: with that answer, for every method and query; 304 with the same headers to
///   whoever has it already, by its `ETag`;
/// - `/bytes/N`: N bytes of [`pattern`];
/// - `/sink`: how many bytes of [`pattern`] it was sent, as `{"length": N}`, or 400 at the first byte that is another;
/// - `/events/N`: N server-sent events, `data: 0` and so on, the next one only after [`Backend::tick`] was called;
/// - a WebSocket handshake: 101, offering the first subprotocol asked for, and then every message back;
/// - anything else: a JSON description of the request, see [`Backend::requests`].
pub struct Backend {
    address: SocketAddr,
    state: Arc<State>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    requests: Mutex<Vec<Value>>,
    canned: Mutex<HashMap<String, Canned>>,
    ticks: tokio::sync::Notify,
}

/// A fixed answer.
#[derive(Clone, Default)]
pub struct Canned {
    /// 200 when zero.
    pub status: u16,
    /// In this order; a name may come more than once.
    pub headers: Vec<(String, String)>,
    /// As it goes over the wire, after any encoding that the headers name.
    pub body: Vec<u8>,
}

impl Backend {
    /// Listens for HTTP/1.1 on `ip` and `port`; 0 is any free one.
    pub async fn start(ip: Ipv4Addr, port: u16) -> Self {
        Self::listen(ip, port, None).await
    }

    /// The same over TLS, with a certificate that names `ip`.
    pub async fn start_tls(ip: Ipv4Addr, port: u16, authority: &Authority) -> Self {
        Self::listen(ip, port, Some(acceptor(authority, ip))).await
    }

    async fn listen(ip: Ipv4Addr, port: u16, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let server = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Self { address, state, server }
    }

    /// Its address, which is its Pod's.
    pub fn ip(&self) -> Ipv4Addr {
        match self.address {
            SocketAddr::V4(address) => *address.ip(),
            SocketAddr::V6(_) => unreachable!("bound to an IPv4 address"),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on requests for `path` get `answer`.
    pub fn answer(&self, path: &str, answer: Canned) {
        self.state.canned.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Every request so far, in the order of arrival, as objects: `method`, `target` (path and query, as received),
    /// `headers` (an array of `[name, value]`, lower-case names) and `length` (of the body; null for an upgrade).
    pub fn requests(&self) -> Vec<Value> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Lets an open `/events/N` send one more event.
    pub fn tick(&self) {
        self.state.ticks.notify_one();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// `length` bytes of an endless sequence, from `offset` on. Bytes that are lost, doubled or out of order show in it.
pub fn pattern(offset: u64, length: usize) -> Bytes {
    static CYCLE: std::sync::LazyLock<Bytes> = std::sync::LazyLock::new(|| {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let cycle: Vec<u8> = (0..CYCLE_LENGTH).map(next).collect();
        // Twice, so that a piece may begin anywhere and be as long as the cycle.
        Bytes::from(cycle.repeat(2))
    });
    const CYCLE_LENGTH: usize = 65_521; // a prime: no buffer's length divides it
    let start = usize::try_from(offset % CYCLE_LENGTH as u64).unwrap();
    CYCLE.slice(start..start + length.min(CYCLE_LENGTH))
}

/// TLS with a certificate that names `ip`.
pub fn acceptor(authority: &Authority, ip: Ipv4Addr) -> TlsAcceptor {
    let (certificate, key) = authority.server(&[&ip.to_string()]);
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    // Its tasks end with the server, so that a dropped backend refuses old connections too.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        connections.spawn(async move {
            match tls {
                None => serve(stream, state).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, state).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(request, &state).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let _ = connection.await; // a peer may go at any time
}

async fn answer(mut request: Request<Incoming>, state: &Arc<State>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let canned = state.canned.lock().unwrap().get(&path).cloned();
    if request.headers().contains_key(header::UPGRADE) && canned.is_none() {
        record(state, describe(&request, None));
        return web_socket(&mut request);
    }
    if path == "/sink" {
        record(state, describe(&request, None));
        return sink(request.into_body()).await;
    }
    let (head, body) = request.into_parts();
    let known = head.headers.get(header::IF_NONE_MATCH).cloned();
    let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
    let description = describe(&Request::from_parts(head, ()), Some(length));
    record(state, description.clone());
    let (kind, count) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    match (canned, kind, count.parse()) {
        (Some(canned), ..) if canned.is_known_by(known.as_ref()) => canned.unchanged().response(),
        (Some(canned), ..) => canned.response(),
        (None, "bytes", Ok(count)) => bytes(count),
        (None, "events", Ok(count)) => events(count, Arc::clone(state)),
        _ => whole(StatusCode::OK, &description),
    }
}

fn record(state: &State, description: Value) {
    state.requests.lock().unwrap().push(description);
}

fn describe<B>(request: &Request<B>, length: Option<usize>) -> Value {
    json!({
        "method": request.method().as_str(),
        "target": request.uri().to_string(),
        "headers": pairs(request.headers()),
        "length": length,
    })
}

fn pairs(headers: &HeaderMap) -> Vec<[String; 2]> {
    headers
        .iter()
        .map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()])
        .collect()
}

fn whole(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Full::from(body.to_string()).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Canned {
    /// Whether `If-None-Match` names its `ETag`, weak or not (RFC 9110 section 13.1.2).
    fn is_known_by(&self, if_none_match: Option<&HeaderValue>) -> bool {
        let bare = |tag: &str| tag.trim_start_matches("W/").to_owned();
        let etag = self.headers.iter().find(|(name, _)| name == "etag").map(|(_, tag)| bare(tag));
        etag.is_some() && etag == if_none_match.and_then(|tag| tag.to_str().ok()).map(bare)
    }

    fn unchanged(self) -> Self {
        Self { status: 304, body: Vec::new(), ..self }
    }

    fn response(self) -> Response<Body> {
        let mut response = Response::new(Full::from(self.body).boxed());
        if self.status != 0 {
            *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
        }
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).unwrap();
            response.headers_mut().append(name, HeaderValue::try_from(value).unwrap());
        }
        response
    }
}

/// Pieces of the pattern, made when they are asked for.
fn bytes(count: u64) -> Response<Body> {
    const PIECE: u64 = 64 * 1024 - 16; // below the cycle's length
    let pieces = stream::unfold(0, move |offset| async move {
        let length = usize::try_from(PIECE.min(count - offset)).unwrap();
        (length > 0).then(|| (Ok(Frame::data(pattern(offset, length))), offset + length as u64))
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(pieces)));
    response.headers_mut().insert(header::CONTENT_LENGTH, count.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

async fn sink(mut body: Incoming) -> Response<Body> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(Ok(data)) = frame.map(Frame::into_data) else { continue };
        if !matches_pattern(length, &data) {
            return whole(StatusCode::BAD_REQUEST, &json!({"wrong_after": length}));
        }
        length += data.len() as u64;
    }
    whole(StatusCode::OK, &json!({"length": length}))
}

/// Whether `data` is what stands at `offset` of the pattern.
pub fn matches_pattern(mut offset: u64, mut data: &[u8]) -> bool {
    while !data.is_empty() {
        let expected = pattern(offset, data.len());
        let (now, later) = data.split_at(expected.len());
        if now != &expected[..] {
            return false;
        }
        offset += now.len() as u64;
        data = later;
    }
    true
}

fn events(count: u64, state: Arc<State>) -> Response<Body> {
    let events = stream::unfold(0, move |number| {
        let state = Arc::clone(&state);
        async move {
            if number > 0 && number < count {
                state.ticks.notified().await;
            }
            let event = Bytes::from(format!("data: {number}\n\n"));
            (number < count).then(|| (Ok(Frame::data(event)), number + 1))
        }
    });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(events)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn web_socket(request: &mut Request<Incoming>) -> Response<Body> {
    let accept = derive_accept_key(request.headers()[header::SEC_WEBSOCKET_KEY].as_bytes());
    let subprotocol = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|offered| offered.to_str().ok());
    let subprotocol = subprotocol.and_then(|offered| offered.split(',').next()).map(|first| first.trim().to_owned());
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        echo(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await).await;
    });
    let mut response = Response::new(Full::default().boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).unwrap());
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::try_from(subprotocol).unwrap());
    }
    response
}

async fn echo(mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>) {
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
}
