//! A bridge for clients whose WebSockets know HTTP/1.1 alone: each becomes an extended CONNECT (RFC 8441) of one connection of
//! HTTP/2, and its octets pass as they are, ends and breaks too.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use support::TlsClient;
use support::stream::{read_until, send};

/// What of a handshake is its client's to say; the rest belongs to the connection.
const PASSED: [&str; 4] = ["origin", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions"];

/// A running bridge. It ends when dropped.
pub(crate) struct WebSocketBridge {
    port: u16,
    accepting: JoinHandle<()>,
}

impl WebSocketBridge {
    /// To a WebSocket at `url`, which begins with `https://`.
    pub(crate) async fn start(client: TlsClient, url: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            let mut connection = client.http2(&url).await;
            while let Ok((socket, _)) = listener.accept().await {
                // One that nobody uses is closed.
                if connection.ready().await.is_err() {
                    connection = client.http2(&url).await;
                }
                tokio::spawn(carry(socket, connection.clone(), url.clone()));
            }
        });
        Self { port, accepting }
    }

    /// Where clients of HTTP/1.1 connect.
    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/ws", self.port)
    }
}

impl Drop for WebSocketBridge {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut socket: TcpStream, mut connection: SendRequest<Full<Bytes>>, url: String) {
    socket.set_nodelay(true).unwrap();
    let head = read_until(&mut socket, "\r\n\r\n").await.unwrap();
    let asked = fields(&head);
    let mut answer = connection.send_request(connect(&url, &asked)).await.unwrap();
    let said = agreement(&answer, &asked);
    send(&mut socket, said).await.unwrap();
    if answer.status() != StatusCode::OK {
        return;
    }
    let stream = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    if pass_both_ways(&mut socket, stream).await.is_err() {
        // What broke there breaks here, so that nobody takes it for an end.
        let _ = socket.set_zero_linger(); // it may be gone
    }
}

/// The fields of a head of HTTP/1.1.
fn fields(head: &str) -> HeaderMap {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let field = |(name, value): (&str, &str)| {
        (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value.trim()).unwrap())
    };
    lines.map(field).collect()
}

fn connect(url: &str, asked: &HeaderMap) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = url.parse().unwrap();
    *request.version_mut() = Version::HTTP_2;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let passed = asked.iter().filter(|(name, _)| PASSED.contains(&name.as_str()));
    request.headers_mut().extend(passed.map(|(name, value)| (name.clone(), value.clone())));
    request
}

/// The answer in words of HTTP/1.1.
fn agreement(answer: &Response<Incoming>, asked: &HeaderMap) -> String {
    if answer.status() != StatusCode::OK {
        return format!("HTTP/1.1 {}\r\nConnection: close\r\n\r\n", answer.status());
    }
    let accept = derive_accept_key(asked["sec-websocket-key"].as_bytes());
    let mut said = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n"
    );
    for (name, value) in answer.headers().iter().filter(|(name, _)| PASSED.contains(&name.as_str())) {
        said.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    said + "\r\n"
}

/// Until both sides have ended, or one breaks.
async fn pass_both_ways(socket: &mut TcpStream, stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let (from_client, to_client) = socket.split();
    let (from_service, to_service) = tokio::io::split(stream);
    tokio::try_join!(pass(from_client, to_service), pass(from_service, to_client)).map(drop)
}

/// Flushes each piece, which a stream of HTTP/2 wants.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut piece = Vec::with_capacity(64 * 1024);
    while from.read_buf(&mut piece).await? > 0 {
        to.write_all(&piece).await?;
        to.flush().await?;
        piece.clear();
    }
    to.shutdown().await
}
