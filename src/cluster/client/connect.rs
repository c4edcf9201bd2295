//! One new connection to the API server: host name, TCP, proxy, TLS, in this order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls::HandshakeKind;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::Connect;
use tokio_rustls::client::TlsStream;

use super::pool::PoolConnector;
use super::proxy_tunnel;
use super::send_error::SendError;
use super::tcp_line::{LostLine, TcpLine};
use super::tls::{HTTP2, ServerTrust, TlsClient, TlsProblem};
use super::way_watch::WayWatch;
use crate::cluster::config::environment_proxy::{OutboundProxy, ProxyProtocol};
use crate::cluster::config::server_url::ServerUrl;
use crate::error::{Error, system_words};
use crate::lock::lock;
use crate::message::byte_stream::ByteStream;

/// What is said where somebody is there, and nobody listens.
pub(crate) const REFUSED: &str = "connection refused";

/// After this long the next address is tried beside the ones that have not answered yet (RFC 8305 section 5).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// After this long without traffic the peer is asked whether it is still there. Connections that lead nowhere are ended by
/// [`WayWatch`].
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// An API server to which a connection takes longer is far away: two round trips of 15 ms, for TCP and for TLS.
const NEAR_CONNECT_LIMIT: Duration = Duration::from_millis(30);

/// Makes connections to one API server.
pub(crate) struct ClusterConnector {
    server: ServerUrl,
    /// The TLS side, if the server is `https`.
    pub(crate) tls: Option<TlsClient>,
    proxy: Option<OutboundProxy>,
    proxy_tls: Option<TlsClient>,
    /// Looks after what is connected.
    pub(crate) way: Arc<WayWatch>,
    /// Tells whether the API server is near.
    quickest: Mutex<Option<QuickestConnect>>,
}

/// The quickest of the connections that came to be, since on a busy machine one may be late for another reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct QuickestConnect {
    /// How often the way was lost before: after another network, or a VPN that came or went, it may be another way.
    losses: u64,
    /// With TLS, since TCP may end on this machine, at a tunnel or a VPN that leads far away.
    took: Duration,
}

impl QuickestConnect {
    /// Of `before` and one that took so long, after the way was lost so often.
    fn with(before: Option<Self>, losses: u64, took: Duration) -> Self {
        let on_this_way = before.filter(|before| before.losses == losses);
        Self { losses, took: on_this_way.map_or(took, |before| before.took.min(took)) }
    }
}

/// When a connection must have come to be.
#[derive(Debug, Clone, Copy)]
struct ConnectDeadline {
    at: Instant,
    limit: Duration,
}

impl ConnectDeadline {
    fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit }
    }

    /// What is said when it is over.
    fn no_answer(self) -> String {
        format!("no answer within {} seconds", self.limit.as_secs())
    }
}

impl ClusterConnector {
    /// Connects to `server`, through `proxy` if there is one. `trust` and `server_name` are for the server's certificate.
    ///
    /// # Errors
    /// When there is nothing that could be trusted.
    pub(crate) fn new(
        server: ServerUrl,
        trust: &ServerTrust,
        server_name: &str,
        proxy: Option<OutboundProxy>,
    ) -> Result<Self, Error> {
        let tls = server.https.then(|| TlsClient::new(trust, server_name)).transpose()?;
        let over_tls = proxy.as_ref().filter(|proxy| proxy.protocol == ProxyProtocol::Https);
        let proxy_tls = over_tls.map(|proxy| TlsClient::new(&trust.for_proxies(), &proxy.host)).transpose()?;
        Ok(Self { server, tls, proxy, proxy_tls, way: WayWatch::new(), quickest: Mutex::default() })
    }

    /// The proxy that expects requests in absolute form, since nothing is tunnelled to a `http` server (RFC 9112 3.2.2).
    pub(crate) fn forwarding_proxy(&self) -> Option<&OutboundProxy> {
        let proxy = self.proxy.as_ref()?;
        (self.tls.is_none() && proxy.protocol != ProxyProtocol::Socks5).then_some(proxy)
    }

    /// Whether the API server is so far away that a connection is worth being spared.
    pub(crate) fn is_far(&self) -> bool {
        lock(&self.quickest).is_some_and(|quickest| quickest.took > NEAR_CONNECT_LIMIT)
    }

    /// A connection on which HTTP/2 was agreed; `None` where the other side does not speak it.
    pub(crate) async fn connect_http2(&self) -> Result<Option<ByteStream>, SendError> {
        let (began, deadline) = (Instant::now(), ConnectDeadline::after(self.way.patience()));
        let Some(tls) = &self.tls else { return Ok(None) };
        let (stream, line) = self.reach(deadline).await?;
        let failed = |problem| SendError::Tls { server: self.server.to_string(), problem };
        let stream = shake_hands(tls.connect_http2(stream), deadline, failed).await?;
        self.came_to_be(&line, began);
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok(is_http2.then(|| -> ByteStream { Box::new(stream) }))
    }

    async fn reach(&self, deadline: ConnectDeadline) -> Result<(ByteStream, Arc<TcpLine>), SendError> {
        match &self.proxy {
            None => self.dial(self.server.host(), self.server.port(), deadline).await,
            Some(proxy) => self.through(proxy, deadline).await,
        }
    }

    /// A connection that was `began` then is there.
    fn came_to_be(&self, line: &TcpLine, began: Instant) {
        self.way.reached(line);
        let mut quickest = lock(&self.quickest);
        *quickest = Some(QuickestConnect::with(*quickest, self.way.losses(), began.elapsed()));
    }

    async fn connect_by(&self, deadline: ConnectDeadline) -> Result<(ByteStream, Arc<TcpLine>), SendError> {
        let (stream, line) = self.reach(deadline).await?;
        let Some(tls) = &self.tls else { return Ok((stream, line)) };
        let failed = |problem| SendError::Tls { server: self.server.to_string(), problem };
        Ok((handshake(tls, stream, deadline, failed).await?, line))
    }

    async fn dial(
        &self,
        host: &str,
        port: u16,
        deadline: ConnectDeadline,
    ) -> Result<(ByteStream, Arc<TcpLine>), SendError> {
        let stream = dial(host, port, deadline).await?;
        let stream = self.way.look_after(stream).map_err(|error| SendError::interrupted(&reason(&error)))?;
        let line = stream.line().clone();
        Ok((Box::new(stream), line))
    }

    async fn through(
        &self,
        proxy: &OutboundProxy,
        deadline: ConnectDeadline,
    ) -> Result<(ByteStream, Arc<TcpLine>), SendError> {
        let failed = |cause: String| SendError::Proxy { proxy: proxy.to_string(), cause };
        let dialled = self.dial(&proxy.host, proxy.port, deadline).await;
        let (mut stream, line) = dialled.map_err(|error| failed(error.cause()))?;
        if let Some(tls) = &self.proxy_tls {
            stream = handshake(tls, stream, deadline, |problem| failed(problem.to_string())).await?;
        }
        if self.forwarding_proxy().is_some() {
            return Ok((stream, line));
        }
        let (host, port) = (self.server.host(), self.server.port());
        let tunnel = proxy_tunnel::open_proxy_tunnel(stream, proxy, host, port);
        let opened = timeout_at(deadline.at, tunnel).await.unwrap_or_else(|_| Err(deadline.no_answer()));
        Ok((opened.map_err(failed)?, line))
    }
}

impl PoolConnector for ClusterConnector {
    const IS_APP: bool = false;

    type Peer = ();
    type Error = SendError;

    async fn connect(&self) -> Result<(ByteStream, ()), SendError> {
        let (began, deadline) = (Instant::now(), ConnectDeadline::after(self.way.patience()));
        let (stream, line) = self.connect_by(deadline).await?;
        self.came_to_be(&line, began);
        Ok((stream, ()))
    }

    fn losses(&self) -> u64 {
        self.way.losses()
    }
}

async fn handshake(
    tls: &TlsClient,
    stream: ByteStream,
    deadline: ConnectDeadline,
    failed: impl FnOnce(TlsProblem) -> SendError,
) -> Result<ByteStream, SendError> {
    Ok(Box::new(shake_hands(tls.connect(stream), deadline, failed).await?))
}

async fn shake_hands(
    handshake: Connect<ByteStream>,
    deadline: ConnectDeadline,
    failed: impl FnOnce(TlsProblem) -> SendError,
) -> Result<TlsStream<ByteStream>, SendError> {
    match timeout_at(deadline.at, handshake).await {
        Ok(Ok(stream)) => {
            let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            tracing::debug!(is_resumed, "a secure connection");
            Ok(stream)
        }
        Ok(Err(error)) => Err(LostLine::within(&error).map_or_else(|| failed(TlsProblem::of(&error)), SendError::from)),
        Err(_) => Err(failed(TlsProblem::Other(deadline.no_answer()))),
    }
}

/// A TCP connection to the first address of `host` that accepts.
async fn dial(host: &str, port: u16, deadline: ConnectDeadline) -> Result<TcpStream, SendError> {
    let unknown = || SendError::Resolve { host: host.to_owned() };
    let resolved = timeout_at(deadline.at, resolve(host, port)).await.unwrap_or_else(|_| Err(unknown()))?;
    let mut addresses = alternating(resolved).into_iter();
    let attempt = |address| attempt(address, deadline);
    let mut attempts = FuturesUnordered::new();
    let mut failure = unknown();
    attempts.extend(addresses.next().map(attempt));
    while !attempts.is_empty() {
        tokio::select! {
            Some(done) = attempts.next() => match done {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    failure = error;
                    attempts.extend(addresses.next().map(attempt));
                }
            },
            () = sleep(NEXT_ADDRESS_DELAY), if addresses.len() > 0 => attempts.extend(addresses.next().map(attempt)),
        }
    }
    Err(failure)
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, SendError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    found.map(Iterator::collect).map_err(|_| SendError::Resolve { host: host.to_owned() })
}

/// The system's order, but with the two families in turns (RFC 8305 section 4).
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut order: Vec<_> =
        first.into_iter().flat_map(|address| std::iter::once(address).chain(second.next())).collect();
    order.extend(second);
    order
}

async fn attempt(address: SocketAddr, deadline: ConnectDeadline) -> Result<TcpStream, SendError> {
    let connected = match timeout_at(deadline.at, TcpStream::connect(address)).await {
        Ok(connected) => connected.and_then(tuned).map_err(|error| reason(&error)),
        Err(_) => Err(deadline.no_answer()),
    };
    connected.map_err(|cause| SendError::Connect { address: address.to_string(), cause })
}

fn tuned(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(
        &TcpKeepalive::new().with_time(KEEP_ALIVE_INTERVAL).with_interval(KEEP_ALIVE_INTERVAL / 3),
    )?;
    Ok(stream)
}

/// The system's words without its error number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => system_words(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn families_take_turns() {
        let parse =
            |text: &str| -> Vec<SocketAddr> { text.split(' ').map(|address| address.parse().unwrap()).collect() };
        let order = alternating(parse("[fd00::1]:1 [fd00::2]:1 [fd00::3]:1 10.0.0.1:1 10.0.0.2:1"));
        assert_eq!(order, parse("[fd00::1]:1 10.0.0.1:1 [fd00::2]:1 10.0.0.2:1 [fd00::3]:1"));
        assert_eq!(alternating(parse("10.0.0.1:1 10.0.0.2:1")), parse("10.0.0.1:1 10.0.0.2:1"));
        assert_eq!(
            alternating(parse("10.0.0.1:1 [fd00::1]:1 [fd00::2]:1")),
            parse("10.0.0.1:1 [fd00::1]:1 [fd00::2]:1")
        );
    }

    #[test]
    fn the_quickest_connection_counts_until_the_way_is_lost() {
        let after = |connections: &[(u64, u64)]| {
            let with =
                |before, &(losses, took)| Some(QuickestConnect::with(before, losses, Duration::from_millis(took)));
            connections.iter().fold(None, with).map(|quickest| quickest.took.as_millis())
        };
        assert_eq!(after(&[(0, 90)]), Some(90));
        assert_eq!(after(&[(0, 90), (0, 4), (0, 50)]), Some(4));
        assert_eq!(after(&[(0, 4), (1, 90), (1, 80)]), Some(80), "from the office to home");
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over() {
        // localhost is ::1 and 127.0.0.1 in most places; only one of them listens here.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        dial("localhost", port, ConnectDeadline::after(Duration::from_secs(10))).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = dial("127.0.0.1", port, ConnectDeadline::after(Duration::from_secs(10))).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot reach the API server at 127.0.0.1:{port}: connection refused"));
    }
}
