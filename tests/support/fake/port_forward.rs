//! `pods/portforward`: SPDY, alone or within a WebSocket (apiserver `pkg/util/proxy/streamtunnel.go`), or a WebSocket with
//! a channel of data and one for an error for each port (kubelet `pkg/cri/streaming/portforward/websocket.go`).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::server::{Call, Reply, State};
use super::status::Status;
use super::users::{Action, Identity};
use super::{Handshakes, spdy, whole};

const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const CHANNELS: &str = "v4.channel.k8s.io";
const SPDY_PROTOCOL: &str = "portforward.k8s.io";

/// How long container runtimes wait for the second direction after the first one ended: nothing in the protocol of channels
/// says that one ended.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// The size of a message, as Go's `io.Copy` makes them.
pub(super) const PIECE: usize = 32 * 1024;

/// Accepts the upgrade and forwards.
pub(crate) async fn serve(mut call: Call, state: &Arc<State>, user: &Identity) -> Reply {
    if let Err(status) = may_create(&call, state, user) {
        return call.refuse(&status);
    }
    let Some(ip) = pod_ip(&call, state) else { return call.refuse(&Status::not_found("pods", &call.info.name)) };
    let known = state.options.handshakes;
    let Some(handshake) = Handshake::of(call.request.headers(), known) else {
        return call.refuse(&Status::bad_request(match known {
            Handshakes::Spdy => "unable to upgrade: missing upgrade headers in request",
            _ => "Upgrade request required",
        }));
    };
    let switching = handshake.answer();
    let ports = ports(&call.query);
    let upgrade = hyper::upgrade::on(&mut call.request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let io = TokioIo::new(upgraded);
        match handshake {
            Handshake::Spdy => spdy::serve(io, &ip).await,
            Handshake::Tunnelled { .. } => {
                spdy::serve(tunnelled(WebSocketStream::from_raw_socket(io, Role::Server, None).await), &ip).await;
            }
            Handshake::Channels { .. } => {
                forward(WebSocketStream::from_raw_socket(io, Role::Server, None).await, &ip, &ports).await;
            }
        }
    });
    Reply::Bare(switching)
}

/// What was asked for and is known.
enum Handshake {
    Tunnelled { accept: String },
    Channels { accept: String },
    Spdy,
}

impl Handshake {
    fn of(headers: &HeaderMap, known: Handshakes) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if text("upgrade").eq_ignore_ascii_case("SPDY/3.1") && text("x-stream-protocol-version") == SPDY_PROTOCOL {
            return Some(Self::Spdy);
        }
        let accept = derive_accept_key(headers.get(SEC_WEBSOCKET_KEY)?.as_bytes());
        let is_offered = |wanted| text("sec-websocket-protocol").split(',').any(|name| name.trim() == wanted);
        match known {
            Handshakes::Since131 if is_offered(TUNNEL) => Some(Self::Tunnelled { accept }),
            Handshakes::Since131 | Handshakes::Before131 if is_offered(CHANNELS) => Some(Self::Channels { accept }),
            _ => None,
        }
    }

    fn answer(&self) -> http::Response<super::Body> {
        let (upgrade, more) = match self {
            Self::Tunnelled { accept } => {
                ("websocket", vec![(SEC_WEBSOCKET_PROTOCOL, TUNNEL), (SEC_WEBSOCKET_ACCEPT, accept)])
            }
            Self::Channels { accept } => {
                ("websocket", vec![(SEC_WEBSOCKET_PROTOCOL, CHANNELS), (SEC_WEBSOCKET_ACCEPT, accept)])
            }
            Self::Spdy => ("SPDY/3.1", vec![(HeaderName::from_static("x-stream-protocol-version"), SPDY_PROTOCOL)]),
        };
        let mut response = whole("");
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(upgrade));
        for (name, value) in more {
            headers.insert(name, HeaderValue::from_str(value).expect("base64"));
        }
        response
    }
}

/// The octets of a WebSocket's messages as one stream, both ways.
fn tunnelled(socket: Socket) -> DuplexStream {
    let (near, far) = duplex(PIECE);
    let (mut to_client, mut from_client) = socket.split();
    let (mut from_spdy, mut to_spdy) = split(far);
    tokio::spawn(async move {
        while let Some(Ok(Message::Binary(data) | Message::Ping(data))) = from_client.next().await {
            let _ = to_spdy.write_all(&data).await; // it may have ended
        }
        let _ = to_spdy.shutdown().await;
    });
    tokio::spawn(async move {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from_spdy.read(&mut piece).await {
            if to_client.send(Message::Binary(Bytes::copy_from_slice(&piece[..length]))).await.is_err() {
                return;
            }
        }
        let _ = to_client.close().await;
    });
    near
}

/// Since 1.35 a WebSocket needs `create` as well as `get`.
fn may_create(call: &Call, state: &State, user: &Identity) -> Result<(), Status> {
    let action = Action { verb: "create", ..Action::of(&call.info) };
    state.users.lock().unwrap().authorize(user, &action)
}

fn pod_ip(call: &Call, state: &State) -> Option<String> {
    let world = state.world.lock().unwrap();
    let pod = world.get("pods", &call.info.namespace, &call.info.name)?;
    pod["status"]["podIP"].as_str().map(str::to_owned)
}

fn ports(query: &str) -> Vec<u16> {
    let values = query.split('&').filter_map(|pair| pair.strip_prefix("ports="));
    let decoded = values.map(|value| percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned());
    decoded.flat_map(|value| value.split(',').filter_map(|port| port.parse().ok()).collect::<Vec<u16>>()).collect()
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn forward(socket: Socket, ip: &str, ports: &[u16]) {
    let (mut to_client, mut from_client) = socket.split();
    let (messages, mut outgoing) = mpsc::channel::<Bytes>(1);
    let mut to_pods = Vec::new();
    let mut pods = tokio::task::JoinSet::new();
    for (index, port) in ports.iter().enumerate() {
        let channel = u8::try_from(2 * index).expect("few ports");
        let (to_pod, from_socket) = mpsc::channel::<Bytes>(1);
        to_pods.push(to_pod);
        let address = SocketAddr::new(ip.parse().expect("an address"), *port);
        pods.spawn(forward_port(channel, address, from_socket, messages.clone()));
    }
    drop(messages);
    let sending = async {
        while let Some(message) = outgoing.recv().await {
            if to_client.send(Message::Binary(message)).await.is_err() {
                return;
            }
        }
        let _ = to_client.close().await;
    };
    let receiving = async {
        while let Some(Ok(message)) = from_client.next().await {
            let Message::Binary(mut data) = message else { continue };
            let channel = usize::from(data.split_to(1)[0]);
            let Some(to_pod) = to_pods.get(channel / 2) else { return };
            let _ = to_pod.send(data).await; // the Pod may have gone
        }
    };
    tokio::select! {
        () = sending => {}
        () = receiving => {}
    }
}

/// One port: its two channels open with its number, then data flows.
async fn forward_port(
    channel: u8,
    address: SocketAddr,
    from_client: mpsc::Receiver<Bytes>,
    to_client: mpsc::Sender<Bytes>,
) {
    for channel in [channel, channel + 1] {
        let _ = to_client.send(message(channel, &address.port().to_le_bytes())).await;
    }
    let stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => {
            let text = not_forwarded(address, &error);
            let _ = to_client.send(message(channel + 1, text.as_bytes())).await;
            return;
        }
    };
    let _ = stream.set_nodelay(true);
    let (from_pod, to_pod) = stream.into_split();
    let mut up = std::pin::pin!(upwards(from_client, to_pod));
    let mut down = std::pin::pin!(downwards(channel, from_pod, to_client));
    tokio::select! {
        () = &mut up => drop(timeout(LINGER, down).await),
        () = &mut down => drop(timeout(LINGER, up).await),
    }
}

/// Why a Pod's port was not connected to, as container runtimes say it in Go's words.
pub(super) fn not_forwarded(address: SocketAddr, error: &io::Error) -> String {
    let cause = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        _ => error.to_string(),
    };
    let port = address.port();
    let dialled = format!("failed to connect to localhost:{port}: dial tcp4 127.0.0.1:{port}: {cause}");
    format!("error forwarding port {port} to pod: {dialled}")
}

async fn upwards(mut from_client: mpsc::Receiver<Bytes>, mut to_pod: OwnedWriteHalf) {
    while let Some(data) = from_client.recv().await {
        if to_pod.write_all(&data).await.is_err() {
            return;
        }
    }
}

async fn downwards(channel: u8, mut from_pod: OwnedReadHalf, to_client: mpsc::Sender<Bytes>) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from_pod.read(&mut piece).await {
        if to_client.send(message(channel, &piece[..length])).await.is_err() {
            return;
        }
    }
}

fn message(channel: u8, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(data.len() + 1);
    message.put_u8(channel);
    message.put_slice(data);
    message.freeze()
}
