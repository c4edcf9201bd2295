//! The seam between the local side and the cluster: a request for the Service's own `/…` in, the Service's own
//! answer out. What a transport adds on the way (prefix, rewriting, lost headers) it takes off again itself.

mod attempt;
mod backends;
mod carried_methods;
pub mod limitation;
mod connection_login;
mod cuts;
pub mod diagnose;
pub mod host;
mod notices;
pub mod port_forward;
mod endpoint_gap;
mod entrance;
mod head_start;
mod judge_host;
mod judge_https;
mod known;
mod rights;
mod self_redirect;
mod send;
pub mod service_proxy;
pub mod unprefix;
mod upgraded;

use futures_util::future::BoxFuture;
use http::{Request, Response};

pub use crate::message::body::Body;
pub use head_start::HeadStart;
pub use notices::Notices;
pub use send::{DispatchOptions, Dispatcher};
pub use service_proxy::learn_routing;

/// Where the requests of one site go.
///
/// The request has an origin-form target, the Service's own path and query, byte for byte as the client sent it and
/// already allowed by the guard: no decoded dot segment, no control character; `//` and `%2F` may be there. Its extension
/// [`SafePath`](crate::message::safe_path::SafePath) is the same target, and shows that it was checked.
/// `Host` is the local authority that the client used. Hop-by-hop headers are gone, and so are the headers that
/// only a proxy may set; `Connection: upgrade` and `Upgrade: websocket` are there for a WebSocket handshake and for
/// nothing else. `Authorization` is the page's own, meant for the Service.
///
/// The answer is the Service's own. A `101` carries its byte stream, for
/// [`take_stream`](crate::message::upgraded_stream::take_stream). Where no answer can be had, the transport answers
/// itself and says why, in the form that the client reads best.
pub trait Upstream: Send + Sync + 'static {
    /// Sends `request` and gives back the head of the answer as soon as it is there; bodies stream.
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>>;
}

/// How a request reached the Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The API server's `services/proxy`.
    ServiceProxy,
    /// A connection of our own through `pods/portforward`.
    PortForward,
}

impl Transport {
    /// As in `--via` and in the request log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceProxy => "service-proxy",
            Self::PortForward => "port-forward",
        }
    }
}

/// The client gets no answer, and its connection ends: an extension of an answer that stands for none.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the answer is withheld, so that the client asks again")]
pub struct WithheldAnswer;

impl WithheldAnswer {
    /// `answer`, which nobody gets.
    pub(crate) fn in_place_of<B>(mut answer: Response<B>) -> Response<B> {
        answer.extensions_mut().insert(Self);
        answer
    }
}

/// Who answered, for the request log: an extension of each answer that came from the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTaken {
    /// How the request travelled.
    pub transport: Transport,
    /// The Pod, where this side chose it.
    pub pod: Option<String>,
}

impl RouteTaken {
    /// How the request travelled that `answer` answers; `None` where nobody in the cluster did.
    pub(crate) fn transport_of<B>(answer: &Response<B>) -> Option<Transport> {
        answer.extensions().get::<Self>().map(|route| route.transport)
    }
}
