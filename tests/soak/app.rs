//! The web application in the Pods: it knows what it sends, and checks what it gets.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::{CancellationToken, DropGuard};

use support::eventually;

use crate::content::{AnyBody, Dice, Ledger, hex, is_intact, next_piece, page, random_body, whole_body};

/// Where it listens.
pub(crate) const PORT: u16 = 8080;
/// Marks refusals that are the app's.
pub(crate) const OWN: &str = "x-soak";
/// Between two events.
const EVENT_INTERVAL: Duration = Duration::from_millis(700);

/// It answers:
///
/// - `/download/NUMBER/SIZE/length`, `chunked` or `cut`: the random body of that number, of a known length, of an unknown one,
///   or broken off halfway;
/// - `/upload/NUMBER` and POSTs of `/post/NUMBER`, which are counted: length and hash of what came, as JSON;
/// - `/page/NUMBER`: that page, in gzip where it is taken;
/// - `/events`: numbered events without an end, each with its hash;
/// - `/refuse/NUMBER`: 503 with a random body;
/// - `/socket`: a WebSocket that gives each message back;
/// - `/small`: a word.
pub(crate) struct App {
    ip: Ipv4Addr,
    ledger: Arc<Ledger>,
    server: JoinHandle<()>,
    /// Dropped with the app, so that its WebSockets hear of it.
    _end: DropGuard,
}

/// What a connection needs.
#[derive(Clone)]
struct AppState {
    ledger: Arc<Ledger>,
    end: CancellationToken,
}

impl App {
    pub(crate) async fn start(ip: Ipv4Addr, ledger: Arc<Ledger>) -> Self {
        // Who was there before may not be gone yet.
        let listener = eventually("a free port", async || TcpListener::bind((ip, PORT)).await.ok()).await;
        let end = CancellationToken::new();
        let state = AppState { ledger: Arc::clone(&ledger), end: end.clone() };
        Self { ip, ledger, server: tokio::spawn(accept(listener, state)), _end: end.drop_guard() }
    }

    /// Ends with all its connections and starts again at the same place.
    pub(crate) async fn restart(&mut self) {
        self.server.abort();
        *self = Self::start(self.ip, Arc::clone(&self.ledger)).await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, state: AppState) {
    // Its tasks end with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, state.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, state: AppState) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(request, state).await) }
    });
    let mut connection = std::pin::pin!(
        hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let _ = connection.as_mut().await; // a peer may go at any time
}

async fn answer(request: Request<Incoming>, state: AppState) -> Response<AnyBody> {
    let ledger = &state.ledger;
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let number = parts.get(1).and_then(|part| part.parse().ok()).unwrap_or_default();
    match (request.method(), parts[0]) {
        (&Method::GET, "download") => download(ledger, number, &parts[2..]),
        (&Method::PUT, "upload") => received(request.into_body()).await,
        (&Method::POST, "post") => {
            ledger.count_post(number);
            received(request.into_body()).await
        }
        (&Method::GET, "page") => gzipped_page(number, request.headers().get(header::ACCEPT_ENCODING)),
        (&Method::GET, "events") => events(number),
        (&Method::GET, "refuse") => refusal(Arc::clone(ledger), number),
        (&Method::GET, "socket") => web_socket(request, state),
        (&Method::GET, "") => with_status(StatusCode::NOT_FOUND, whole_body("")),
        (&Method::GET, "small") => Response::new(whole_body("small")),
        _ => {
            ledger.complain(format!("the app was asked for {} {path}", request.method()));
            with_status(StatusCode::NOT_FOUND, whole_body(""))
        }
    }
}

fn with_status(status: StatusCode, body: AnyBody) -> Response<AnyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn download(ledger: &Arc<Ledger>, number: u64, parts: &[&str]) -> Response<AnyBody> {
    let [size, form] = parts else { return with_status(StatusCode::NOT_FOUND, whole_body("")) };
    let size = size.parse().unwrap_or_default();
    let cut = (*form == "cut").then_some(size / 2);
    let mut response = Response::new(random_body(Arc::clone(ledger), number, size, cut));
    if *form != "chunked" {
        response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
    }
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn received(mut body: Incoming) -> Response<AnyBody> {
    let (mut hasher, mut length) = (Sha256::new(), 0);
    while let Some(piece) = next_piece(&mut body).await {
        let Ok(piece) = piece else { return with_status(StatusCode::BAD_REQUEST, whole_body("it broke off")) };
        hasher.update(&piece);
        length += piece.len();
    }
    let text = json!({"length": length, "hash": hex(&hasher.finalize().into())}).to_string();
    Response::new(whole_body(text))
}

fn gzipped_page(number: u64, accepted: Option<&HeaderValue>) -> Response<AnyBody> {
    let page = page(number, "");
    let takes_gzip = accepted.is_some_and(|value| value.to_str().is_ok_and(|value| value.contains("gzip")));
    let mut response = Response::new(if takes_gzip { gzip(&page) } else { whole_body(page) });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if takes_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn gzip(page: &str) -> AnyBody {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(page.as_bytes()).unwrap();
    whole_body(encoder.finish().unwrap())
}

fn refusal(ledger: Arc<Ledger>, number: u64) -> Response<AnyBody> {
    let size = Dice::new(number).below(4096);
    let mut response = with_status(StatusCode::SERVICE_UNAVAILABLE, random_body(ledger, number, size, None));
    response.headers_mut().insert(OWN, HeaderValue::from_static("1"));
    response
}

/// Each is `data: COUNT HASH HEX`.
fn events(number: u64) -> Response<AnyBody> {
    let events = stream::unfold((Dice::new(number), 0_u64), |(mut dice, count)| async move {
        if count > 0 {
            tokio::time::sleep(EVENT_INTERVAL).await;
        }
        let octets = dice.below(100);
        let said: String =
            dice.octets(usize::try_from(octets).unwrap()).iter().map(|octet| format!("{octet:02x}")).collect();
        let hash = hex(&Sha256::digest(&said).into());
        let event = Bytes::from(format!("data: {count} {hash} {said}\n\n"));
        Some((Ok::<_, io::Error>(Frame::data(event)), (dice, count + 1)))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn web_socket(mut request: Request<Incoming>, state: AppState) -> Response<AnyBody> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return with_status(StatusCode::BAD_REQUEST, whole_body("no handshake"));
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let _ = state.end.run_until_cancelled(echo(socket, &state.ledger)).await;
    });
    let mut response = with_status(StatusCode::SWITCHING_PROTOCOLS, whole_body(""));
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).unwrap());
    response
}

async fn echo(mut socket: WebSocketStream<TokioIo<Upgraded>>, ledger: &Ledger) {
    while let Some(Ok(message)) = socket.next().await {
        if !is_intact(&message) {
            ledger.complain(format!("the app got another WebSocket message than was sent: {} octets", message.len()));
        }
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
}
