//! How a port-forward is asked for: over a WebSocket, or by SPDY of old.

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Limited};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use super::failure::PodFailure;
use super::pod_stream::AgreedProtocol;
use crate::cluster::Cluster;
use crate::message::web_socket;
use crate::proxy::upstream::Body;
use crate::proxy::upstream::diagnose::{ApiServerStatus, FailureCause};

/// Protocols of port-forward over WebSocket. An API server since 1.31 takes SPDY out of the WebSocket itself (KEP-4006)
/// wherever that is offered; else, and on older ones, the kubelet chooses, which knows channels.
const TUNNELLED_SPDY: &str = "SPDY/3.1+portforward.k8s.io";
const CHANNELS: &str = "v4.channel.k8s.io";

const SPDY: HeaderValue = HeaderValue::from_static("SPDY/3.1");
/// The protocol within SPDY (apimachinery `pkg/util/portforward/constants.go`).
const SPDY_PROTOCOL: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-stream-protocol-version"), HeaderValue::from_static("portforward.k8s.io"));

/// Octets of a refusal that are read.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// What a handshake leads to.
pub(super) type OpenedForward = (TokioIo<Upgraded>, AgreedProtocol);

/// A way to ask for a port-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForwardHandshake {
    /// A WebSocket with channels: the least work for everybody, except where much is sent to the Pod. The kubelet takes the
    /// WebSocket's mask off octet by octet (golang.org/x/net `websocket/hybi.go`).
    Channels,
    /// A WebSocket with SPDY inside, or with channels where the API server does not know that.
    TunnelledSpdy,
    /// SPDY as it was before WebSockets, for what lets no WebSocket pass.
    Spdy,
}

impl ForwardHandshake {
    /// What to try where this one is refused.
    pub(super) fn next(self) -> Option<Self> {
        match self {
            Self::Channels => Some(Self::TunnelledSpdy),
            Self::TunnelledSpdy => Some(Self::Spdy),
            Self::Spdy => None,
        }
    }

    /// What to try where the right is missing that this one takes: a WebSocket takes `get`, SPDY `create`.
    pub(super) fn with_other_right(self) -> Option<Self> {
        match self {
            Self::Channels | Self::TunnelledSpdy => Some(Self::Spdy),
            Self::Spdy => None,
        }
    }

    /// Asks for the port-forward at `target`.
    pub(super) async fn open(self, cluster: &Cluster, target: &str) -> Result<OpenedForward, PodFailure> {
        match self {
            Self::Channels => over_web_socket(cluster, target, &[CHANNELS]).await,
            Self::TunnelledSpdy => over_web_socket(cluster, target, &[TUNNELLED_SPDY, CHANNELS]).await,
            Self::Spdy => by_spdy(cluster, target).await,
        }
    }
}

async fn over_web_socket(cluster: &Cluster, target: &str, protocols: &[&str]) -> Result<OpenedForward, PodFailure> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).expect("the system gives random bits: TLS had some of it");
    let key = web_socket::key(nonce);
    let accept = value(&web_socket::accept(&key));
    let mut request = upgrading(cluster, Method::GET, target, HeaderValue::from_static("websocket"));
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, value(&key));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, value(&protocols.join(", ")));
    let answer = switched(cluster, request).await?;
    if !web_socket::is_accepted(&answer, &accept) {
        return Err(not_to("this handshake"));
    }
    let chosen = answer.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let agreed = match protocols.iter().find(|offered| chosen.is_some_and(|chosen| chosen == **offered)) {
        Some(&TUNNELLED_SPDY) => AgreedProtocol::TunnelledSpdy,
        Some(_) => AgreedProtocol::Channels,
        None => return Err(not_to("a protocol that was offered")),
    };
    Ok((connection(answer).await?, agreed))
}

async fn by_spdy(cluster: &Cluster, target: &str) -> Result<OpenedForward, PodFailure> {
    let mut request = upgrading(cluster, Method::POST, target, SPDY);
    let (name, protocol) = SPDY_PROTOCOL;
    request.headers_mut().insert(name, protocol);
    let answer = switched(cluster, request).await?;
    let is_spdy = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(SPDY.as_bytes());
    if !answer.headers().get(UPGRADE).is_some_and(is_spdy) {
        return Err(not_to("SPDY/3.1"));
    }
    Ok((connection(answer).await?, AgreedProtocol::Spdy))
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("base64 and names of protocols are ASCII")
}

fn not_to(what: &str) -> PodFailure {
    PodFailure::new(FailureCause::NoPortForward, format!("the answer to the handshake does not agree to {what}"))
}

fn upgrading(cluster: &Cluster, method: Method, target: &str, protocol: HeaderValue) -> Request<Body> {
    let mut request = cluster.request(method, target, Body::Empty);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers_mut().insert(UPGRADE, protocol);
    request
}

/// Sends `request`; any other answer than a `101` is a failure.
async fn switched(cluster: &Cluster, request: Request<Body>) -> Result<Response<Body>, PodFailure> {
    let answer = cluster.api().send(request).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer);
    }
    let code = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_REFUSAL).collect().await;
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    Err(PodFailure::refused(ApiServerStatus::read(code, &body).unwrap_or_else(|| of_text(code, &body))))
}

/// What an answer says that is no `ApiServerStatus`: the kubelet and gateways write a line, or a page.
fn of_text(code: StatusCode, body: &[u8]) -> ApiServerStatus {
    let text = String::from_utf8_lossy(body);
    let is_line = !text.trim().is_empty() && text.trim().lines().count() == 1 && !text.contains('<');
    let message = if is_line { text.trim().to_owned() } else { format!("the answer to the handshake was {code}") };
    ApiServerStatus { code, reason: String::new(), message }
}

async fn connection(answer: Response<Body>) -> Result<TokioIo<Upgraded>, PodFailure> {
    hyper::upgrade::on(answer).await.map(TokioIo::new).map_err(|error| PodFailure::broke_off(&error))
}
