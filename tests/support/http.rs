//! HTTP clients: ours, which sends exactly what it is told, and curl.

use std::process::Output;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as received.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON: what a [`super::Backend`] says about the request it got, or a `Status` of the API server.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text()))
    }

    /// A header as text, "" if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// GET, following no redirect.
pub async fn get(url: &str) -> Answer {
    send(url, Request::builder()).await
}

/// Any request without a body: method and headers are the builder's. `Host` is the URL's unless the builder has one.
pub async fn send(url: &str, request: http::request::Builder) -> Answer {
    send_body(url, request, Bytes::new()).await
}

/// Any request.
pub async fn send_body(url: &str, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
    let response = stream(url, request.body(Full::new(body.into())).unwrap()).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap_or_else(|error| panic!("{url}: the answer broke off: {error}")).to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

/// The head of the answer to a request with any kind of body; the answer's body is still to come.
pub async fn stream<B>(url: &str, request: Request<B>) -> http::Response<Incoming>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    try_stream(url, request).await.unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// The same, where there may be no answer.
///
/// # Errors
/// The connection ended before the head of an answer.
pub async fn try_stream<B>(url: &str, request: Request<B>) -> hyper::Result<http::Response<Incoming>>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let url: Uri = url.parse().unwrap();
    let (mut head, body) = request.into_parts();
    head.uri = url.path_and_query().unwrap().as_str().parse().unwrap();
    let host = url.authority().unwrap().as_str();
    head.headers.entry("host").or_insert_with(|| host.parse().unwrap());
    let mut connection: SendRequest<B> = connect(&url).await;
    connection.send_request(Request::from_parts(head, body)).await
}

async fn connect<B>(url: &Uri) -> SendRequest<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let stream = tcp(url).await;
    // As browsers and curl, it takes more than hyper does by itself.
    let mut dialect = http1::Builder::new();
    dialect.max_headers(2000).max_buf_size(4 << 20);
    let (sender, connection) = dialect.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

/// A connection to a URL's host; every name that ends in `localhost` is 127.0.0.1, as in browsers.
pub async fn tcp(url: &Uri) -> TcpStream {
    let host = url.host().unwrap().trim_start_matches('[').trim_end_matches(']');
    let host = if host.ends_with("localhost") { "127.0.0.1" } else { host };
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await;
    let stream = stream.unwrap_or_else(|error| panic!("{url}: {error}"));
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `bytes` as they are to a URL's host and returns everything that comes back until the end.
pub async fn raw(url: &str, bytes: &[u8]) -> String {
    let mut stream = tcp(&url.parse().unwrap()).await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Runs curl, silent but for errors, without any configuration of this machine.
pub async fn curl<const N: usize>(arguments: [&str; N]) -> Output {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new("curl");
    command.args(["-q", "--silent", "--show-error", "--max-time", "60"]).args(arguments);
    command.env_clear().env("PATH", path).output().await.unwrap()
}
