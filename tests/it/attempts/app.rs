//! The app in the Pods: it answers as a row says, and keeps what arrived.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::answer::{Answer, AppBody, Reaction, broken_body, text};
use support::{Authority, acceptor};

/// What the Pods' port speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Speaks {
    #[default]
    Http,
    /// TLS; anything else gets a TLS alert.
    Tls,
    /// TLS; a request in plain text gets a 400 that says so.
    TlsAndSaysSo,
    /// Redis' protocol.
    Redis,
}

/// The app's answer to a request in plain text at its TLS port, as Go's server has it.
const WANTS_TLS: &str = "Client sent an HTTP request to an HTTPS server.\n";

/// How a request reached the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ServiceProxy,
    PortForward,
}

/// A request as the app saw it, and what it answered.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) at: Instant,
    pub(super) way: Way,
    pub(super) scheme: &'static str,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    /// Octets of its body.
    pub(super) length: usize,
    /// Which of the app's connections it came on, and how many had come on that one before.
    pub(super) connection: usize,
    pub(super) earlier: usize,
    /// The Pod's address.
    pub(super) ip: Ipv4Addr,
    /// In words.
    pub(super) answered: String,
}

impl Heard {
    /// A header as text, "" if absent.
    pub(super) fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A running app, the same in each of its Pods.
pub(super) struct App {
    state: Arc<State>,
    addresses: Vec<SocketAddr>,
    servers: Mutex<Vec<JoinHandle<()>>>,
    /// Keep the ports of a stopped app, on which another test's server could listen otherwise.
    kept: Mutex<Vec<TcpSocket>>,
}

struct State {
    speaks: Speaks,
    tls: TlsAcceptor,
    answer: Mutex<Answer>,
    heard: Mutex<Vec<Heard>>,
    connections: Mutex<usize>,
}

impl App {
    /// Listens at the same port of as many loopback addresses, one for each Pod.
    pub(super) async fn start(speaks: Speaks, pods: u8, authority: &Authority) -> Self {
        let listeners = listen(pods).await;
        let addresses = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let state = Arc::new(State {
            speaks,
            tls: acceptor(authority, Ipv4Addr::LOCALHOST),
            answer: Mutex::new(Answer::status(200)),
            heard: Mutex::default(),
            connections: Mutex::default(),
        });
        let servers = listeners.into_iter().map(|listener| tokio::spawn(accept(listener, Arc::clone(&state))));
        Self { servers: Mutex::new(servers.collect()), kept: Mutex::default(), addresses, state }
    }

    /// Where it listens, a Pod each.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// From now on it answers so.
    pub(super) fn answers(&self, answer: &Answer) {
        *self.state.answer.lock().unwrap() = answer.clone();
    }

    /// Every request so far, in the order of arrival.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.state.heard.lock().unwrap().clone()
    }

    /// Nothing listens in the Pods any more, and what was connected is not.
    pub(super) async fn stop(&self) {
        let servers = std::mem::take(&mut *self.servers.lock().unwrap());
        for server in servers {
            server.abort();
            let _ = server.await; // it was aborted
        }
        for address in &self.addresses {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(*address).unwrap();
            self.kept.lock().unwrap().push(socket);
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.servers.lock().unwrap().iter().for_each(JoinHandle::abort);
    }
}

async fn listen(pods: u8) -> Vec<TcpListener> {
    loop {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut listeners = vec![first];
        for number in 1..pods {
            match TcpListener::bind((Ipv4Addr::new(127, 0, 0, 1 + number), port)).await {
                Ok(listener) => listeners.push(listener),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
            }
        }
        if listeners.len() == usize::from(pods) {
            return listeners;
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // They end with the Pod.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.spawn(greet(stream, Arc::clone(&state)));
    }
}

async fn greet(mut stream: TcpStream, state: Arc<State>) {
    let SocketAddr::V4(address) = stream.local_addr().unwrap() else { unreachable!("bound to IPv4 addresses") };
    let line = Line { state: Arc::clone(&state), ip: *address.ip(), number: next(&state), scheme: "http" };
    match state.speaks {
        Speaks::Http => line.serve(stream).await,
        Speaks::Redis => {
            let _ = stream.read(&mut [0; 1024]).await; // it matters to nobody
            let _ = stream.write_all(b"-ERR unknown command\r\n").await; // nor does who listens
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await; // until it ends
        }
        Speaks::TlsAndSaysSo if !begins_with_tls(&stream).await => line.serve(stream).await,
        Speaks::Tls | Speaks::TlsAndSaysSo => {
            if let Ok(stream) = state.tls.accept(stream).await {
                Line { scheme: "https", ..line }.serve(stream).await;
            }
        }
    }
}

fn next(state: &State) -> usize {
    let mut connections = state.connections.lock().unwrap();
    *connections += 1;
    *connections
}

async fn begins_with_tls(stream: &TcpStream) -> bool {
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1)) && first == [HANDSHAKE]
}

/// A connection to a Pod.
#[derive(Clone)]
struct Line {
    state: Arc<State>,
    ip: Ipv4Addr,
    number: usize,
    scheme: &'static str,
}

impl Line {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let service = service_fn(move |request| {
            let line = self.clone();
            async move { line.answer(request).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let _ = connection.await; // a peer may go at any time
    }

    async fn answer(self, mut request: Request<Incoming>) -> io::Result<Response<AppBody>> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
        let mut heard = self.heard(&head, length);
        let reaction = match self.state.speaks {
            Speaks::TlsAndSaysSo if self.scheme == "http" => Answer::wants_tls(WANTS_TLS).react(&heard),
            _ => self.state.answer.lock().unwrap().react(&heard),
        };
        heard.answered = reaction.to_string();
        self.state.heard.lock().unwrap().push(heard);
        match reaction {
            Reaction::Answers(response) => Ok(response),
            Reaction::EndsWithin(response) => Ok(response.map(|_| broken_body())),
            Reaction::EndsConnection => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            Reaction::Waits => std::future::pending().await,
            Reaction::Meets(barrier) => {
                barrier.wait().await;
                Ok(text("together"))
            }
            Reaction::Misunderstands => Ok(agreement("another key")),
            Reaction::Switches => {
                tokio::spawn(async move {
                    let Ok(upgraded) = upgrade.await else { return };
                    let _ = tokio::io::copy(&mut TokioIo::new(upgraded), &mut tokio::io::sink()).await;
                });
                Ok(agreement(&head.headers[SEC_WEBSOCKET_KEY]))
            }
        }
    }

    fn heard(&self, head: &http::request::Parts, length: usize) -> Heard {
        let is_by_service_proxy = head.headers.contains_key("x-forwarded-for");
        let before = self.state.heard.lock().unwrap();
        Heard {
            at: Instant::now(),
            // The API server adds it, and who comes by port-forward has none.
            way: if is_by_service_proxy { Way::ServiceProxy } else { Way::PortForward },
            scheme: self.scheme,
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: head.headers.clone(),
            length,
            connection: self.number,
            earlier: before.iter().filter(|earlier| earlier.connection == self.number).count(),
            ip: self.ip,
            answered: String::new(),
        }
    }
}

fn agreement(key: impl AsRef<[u8]>) -> Response<AppBody> {
    let accept = derive_accept_key(key.as_ref());
    let mut response = text("");
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).unwrap());
    response
}

/// The host that a request names.
pub(super) fn host_of(headers: &HeaderMap) -> String {
    headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("no Host").to_owned()
}
