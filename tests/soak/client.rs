//! Clients of what the plugin serves: how requests and WebSockets get to it, and what may come of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, client_async};

use support::TlsClient;

use crate::content::{AnyBody, Hash, next_piece, whole_body};

/// When nothing at all has happened for so long, nothing will any more: the plugin itself gives up after a minute at the
/// latest.
pub(crate) const HANG: Duration = Duration::from_secs(90);
/// A kept connection is there at once, or a new one is made.
const KEPT: Duration = Duration::from_secs(1);

/// A Service as one run of the plugin serves it.
pub(crate) struct Site {
    /// What the run is called.
    pub(crate) run: &'static str,
    /// The Service's place in the list of Services.
    pub(crate) service: usize,
    /// The computed proxy URL.
    pub(crate) proxy_url: Uri,
    /// Its own local origin, by https.
    pub(crate) site_url: Uri,
    /// Whether WebSockets may have a query, which the service proxy alone would lose.
    pub(crate) takes_queries: bool,
    pub(crate) tls: TlsClient,
    /// The one connection of HTTP/2, as browsers have it.
    pub(crate) http2: Mutex<Option<http2::SendRequest<AnyBody>>>,
}

/// How a client comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// By HTTP/1.1 at the computed proxy URL.
    ProxyPath,
    /// By HTTP/1.1 at the site.
    Site,
    /// By HTTP/2 at the site.
    Http2,
}

pub(crate) const DOORS: [Door; 3] = [Door::ProxyPath, Door::Site, Door::Http2];

/// Why something was not as it should have been.
pub(crate) enum Failure {
    /// An answer says so, in its first line.
    Refused(StatusCode, String),
    /// It broke off, and does not claim to be whole.
    Cut(String),
    /// Nothing happened for too long.
    Hang(&'static str),
    /// It is not what was sent.
    Wrong(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status, line) => write!(out, "{status}: {line}"),
            Self::Cut(how) => write!(out, "it broke off: {how}"),
            Self::Hang(what) => write!(out, "{what} within {} s", HANG.as_secs()),
            Self::Wrong(what) => write!(out, "{what}"),
        }
    }
}

impl Failure {
    pub(crate) fn cut(error: impl std::fmt::Debug) -> Self {
        Self::Cut(format!("{error:?}"))
    }
}

/// Gives up on what hangs.
pub(crate) async fn in_time<T>(
    what: &'static str,
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(HANG, future).await.unwrap_or(Err(Failure::Hang(what)))
}

/// One client with a connection of its own, or a share of that of HTTP/2.
pub(crate) struct Caller {
    pub(crate) site: Arc<Site>,
    pub(crate) door: Door,
    kept: Option<http1::SendRequest<AnyBody>>,
}

impl Caller {
    pub(crate) fn new(site: Arc<Site>, door: Door) -> Self {
        Self { site, door, kept: None }
    }

    /// What stands before the app's paths.
    pub(crate) fn prefix(&self) -> &str {
        match self.door {
            Door::ProxyPath => self.site.proxy_url.path().trim_end_matches('/'),
            Door::Site | Door::Http2 => "",
        }
    }

    fn authority(&self) -> &str {
        let url = if self.door == Door::ProxyPath { &self.site.proxy_url } else { &self.site.site_url };
        url.authority().expect("a URL has one").as_str()
    }

    /// The head of the answer to a request.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: AnyBody,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let sent = async {
            if self.door == Door::Http2 {
                let request = request.uri(format!("https://{}{path}", self.authority())).body(body).unwrap();
                return self.send_http2(request).await;
            }
            let request = request.header("host", self.authority()).uri(format!("{}{path}", self.prefix()));
            self.send_http1(request.body(body).unwrap()).await
        };
        in_time("no answer", sent).await
    }

    /// A request that was not begun on a kept connection, since that was closed meanwhile, goes on a new one.
    async fn send_http1(&mut self, mut request: Request<AnyBody>) -> Result<Response<Incoming>, Failure> {
        loop {
            let mut sender = self.connection().await?;
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    self.kept = Some(sender);
                    return Ok(answer);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Failure::cut(error.into_error())),
                },
            }
        }
    }

    async fn connection(&mut self) -> Result<http1::SendRequest<AnyBody>, Failure> {
        if let Some(mut kept) = self.kept.take()
            && timeout(KEPT, kept.ready()).await.is_ok_and(|ready| ready.is_ok())
        {
            return Ok(kept);
        }
        let stream = tcp(self.site.proxy_url.authority().expect("a URL has one").as_str()).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::cut)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn send_http2(&mut self, request: Request<AnyBody>) -> Result<Response<Incoming>, Failure> {
        let mut sender = self.site.http2_connection().await?;
        sender.send_request(request).await.map_err(Failure::cut)
    }

    /// Closes its connection of HTTP/1.1.
    pub(crate) fn hang_up(&mut self) {
        self.kept = None;
    }

    /// Opens a WebSocket at `path`.
    pub(crate) async fn web_socket(&self, path: &str) -> Result<Socket, Failure> {
        let opened = async {
            if self.door == Door::Http2 {
                return self.web_socket_http2(path).await;
            }
            let (authority, prefix) = (self.authority(), self.prefix());
            let mut request = format!("ws://{authority}{prefix}{path}").into_client_request().unwrap();
            request.headers_mut().insert("origin", format!("http://{authority}").parse().unwrap());
            let stream: AnyStream = Box::new(tcp(self.site.proxy_url.authority().unwrap().as_str()).await?);
            match client_async(request, stream).await {
                Ok((socket, _)) => Ok(socket),
                Err(SocketError::Http(answer)) => {
                    let text = answer.body().as_deref().map(first_line).unwrap_or_default();
                    Err(Failure::Refused(answer.status(), text))
                }
                Err(error) => Err(Failure::cut(error)),
            }
        };
        in_time("no WebSocket", opened).await
    }

    /// RFC 8441.
    async fn web_socket_http2(&self, path: &str) -> Result<Socket, Failure> {
        let origin = format!("https://{}", self.authority());
        let request = Request::connect(format!("{origin}{path}")).version(Version::HTTP_2);
        let request = request.header("origin", origin).header("sec-websocket-version", "13");
        let request = request.extension(Protocol::from_static("websocket"));
        let mut sender = self.site.http2_connection().await?;
        let answer = sender.send_request(request.body(whole_body("")).unwrap()).await.map_err(Failure::cut)?;
        let mut answer = accepted(answer).await?;
        let stream = TokioIo::new(hyper::upgrade::on(&mut answer).await.map_err(Failure::cut)?);
        let stream: AnyStream = Box::new(stream);
        Ok(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
    }
}

impl Site {
    async fn http2_connection(&self) -> Result<http2::SendRequest<AnyBody>, Failure> {
        let mut shared = self.http2.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = self.tls.connect(&self.site_url.to_string(), "h2").await.map_err(Failure::cut)?;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(Failure::cut)?;
        tokio::spawn(connection);
        *shared = Some(sender.clone());
        Ok(sender)
    }
}

/// A connection of any kind.
pub(crate) type AnyStream = Box<dyn Duplex>;
/// An open WebSocket.
pub(crate) type Socket = WebSocketStream<AnyStream>;

/// Octets both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

async fn tcp(authority: &str) -> Result<TcpStream, Failure> {
    let port = authority.rsplit_once(':').map_or(authority, |(_, port)| port);
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.map_err(Failure::cut)?;
    stream.set_nodelay(true).map_err(Failure::cut)?;
    Ok(stream)
}

/// An answer of 200, or a refusal in the first line of its text.
pub(crate) async fn accepted(mut answer: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    if answer.status() == StatusCode::OK {
        return Ok(answer);
    }
    let text = read_whole(answer.body_mut()).await?;
    Err(Failure::Refused(answer.status(), first_line(&text)))
}

fn first_line(text: &[u8]) -> String {
    const MAX_LENGTH: usize = 200;
    String::from_utf8_lossy(text).lines().next().unwrap_or_default().chars().take(MAX_LENGTH).collect()
}

/// Everything up to the end.
pub(crate) async fn read_whole(body: &mut Incoming) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    while let Some(piece) = next_in_time(body).await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// Length and hash of everything up to the end, with a pause after each piece.
pub(crate) async fn hash_slowly(body: &mut Incoming, pause: Duration) -> Result<(u64, Hash), Failure> {
    let (mut hasher, mut length) = (Sha256::new(), 0);
    while let Some(piece) = next_in_time(body).await? {
        hasher.update(&piece);
        length += piece.len() as u64;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok((length, hasher.finalize().into()))
}

/// The next octets; nothing at the end.
pub(crate) async fn next_in_time(body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    in_time("a body stands still", async { next_piece(body).await.transpose().map_err(Failure::cut) }).await
}
