//! One new connection to the API server: name, TCP, proxy, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::send_error::SendError;
use super::server_url::ServerUrl;
use super::tls::TlsClient;

/// How long one address may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After this long without traffic the peer is asked whether it is still there; load balancers forget sooner or later.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Makes connections to one API server.
#[derive(Debug)]
pub(crate) struct Connector {
    server: ServerUrl,
    tls: Option<TlsClient>,
}

impl Connector {
    /// Connects to `server`, through TLS if there is a client for it.
    pub(crate) fn new(server: ServerUrl, tls: Option<TlsClient>) -> Self {
        Self { server, tls }
    }

    /// The TLS side, if the server is `https`.
    pub(crate) fn tls(&self) -> Option<&TlsClient> {
        self.tls.as_ref()
    }

    /// A connection that is ready for the first request.
    pub(crate) async fn connect(&self) -> Result<Stream, SendError> {
        let tcp = self.tcp().await?;
        let Some(tls) = &self.tls else { return Ok(Stream::Tcp(tcp)) };
        TlsConnector::from(tls.config())
            .connect(tls.server_name(), tcp)
            .await
            .map(|stream| Stream::Tls(Box::new(stream)))
            .map_err(|error| SendError::Tls { server: self.server.to_string(), cause: error.to_string() })
    }

    async fn tcp(&self) -> Result<TcpStream, SendError> {
        let (host, port) = (self.server.host(), self.server.port());
        let mut last = SendError::Resolve { host: host.to_owned() };
        for address in resolve(host, port).await? {
            match tcp(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = SendError::Connect { address: address.to_string(), cause: error.to_string() },
            }
        }
        Err(last)
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, SendError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    found.map(Iterator::collect).map_err(|_| SendError::Resolve { host: host.to_owned() })
}

async fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 seconds"))??;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))?;
    Ok(stream)
}

/// A byte stream to the API server.
#[derive(Debug)]
pub(crate) enum Stream {
    /// `http`.
    Tcp(TcpStream),
    /// `https`.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
