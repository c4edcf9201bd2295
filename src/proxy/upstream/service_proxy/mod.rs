//! The API server's service proxy as a transport: requests below one Target's proxy path, answers without it.

mod encoding;
mod gateway;
mod proxy_path;
mod sent_ahead;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use tokio_util::task::AbortOnDropHandle;

use super::diagnose::{ApiServerFailure, Diagnostics, FailureCause, RequestingClient};
use super::unprefix::{HostPair, ServiceNames, Unprefix};
use super::{Body, RouteTaken, Transport};
use crate::cluster::{ApiServer, EndpointSlice, SendError};
use crate::message::forwarded_fields::BrowserByTls;
use crate::message::safe_path::{PathFault, SafePath};
use crate::message::web_socket;
use crate::proxy::page::remove_own_fields;
use crate::service::{Scheme, Service, Target};

pub(super) use encoding::set_accept_encoding;
pub use proxy_path::prefixed_path;
use sent_ahead::{AskedService, SentAhead};

/// Sends requests below one Target's proxy path.
pub struct ServiceProxy {
    api: Arc<ApiServer>,
    /// The proxy path, without a slash at its end.
    prefix: String,
    scheme: Scheme,
    unprefix: ArcSwap<Unprefix>,
    diagnostics: Diagnostics,
}

/// Why a request got no answer, or was not sent at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceProxyError {
    /// Its path might lead elsewhere.
    #[error("{0}, which a gateway may read as another path")]
    Path(#[from] PathFault),
    /// The API server drops the query of a WebSocket handshake (kubernetes/kubernetes#77142).
    #[error("the API server's service proxy loses the query of a WebSocket's URL")]
    WebSocketQuery,
    /// An upgrade to something that is no WebSocket.
    #[error("only WebSockets can be upgraded to")]
    NotWebSocket,
    /// A `101` that does not answer the handshake.
    #[error("the answer to the WebSocket handshake is not one to this handshake")]
    Handshake,
    /// No answer of the API server.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl ServiceProxy {
    /// Everything goes to `target` through `api`; `service` is `None` where the user may not read it. `diagnostics`
    /// explains what comes back from the API server itself.
    pub fn new(api: Arc<ApiServer>, target: &Target, service: Option<&Service>, diagnostics: Diagnostics) -> Self {
        let proxy_path = target.proxy_path();
        let names = ServiceNames::of(target, service);
        let unprefix = Unprefix::new(api.base_path(), &target.proxy_paths(), api.authority().as_str(), names);
        Self {
            prefix: proxy_path.trim_end_matches('/').to_owned(),
            scheme: target.scheme,
            unprefix: ArcSwap::from_pointee(unprefix),
            diagnostics,
            api,
        }
    }

    /// Takes over the endpoints that a watch saw: an app may name itself by its own address.
    pub fn learn(&self, slices: &[EndpointSlice]) {
        self.unprefix.store(Arc::new(self.unprefix.load().with_endpoints(slices)));
    }

    /// Sends `request` of `asker` as [`Upstream::send`](super::Upstream::send) says.
    pub async fn send(&self, request: Request<Body>, asker: RequestingClient) -> Response<Body> {
        match self.try_send(request).await {
            Ok(answer) => self.diagnostics.examine(asker, answer).await,
            Err(refusal) => self.explain(asker, &refusal).await,
        }
    }

    async fn try_send(&self, request: Request<Body>) -> Result<Response<Body>, ServiceProxyError> {
        let asked = match SentAhead::answer(&request, &self.prefix).await {
            Some(asked) => asked,
            None => self.ask(request).await?,
        };
        let AskedService { hosts, mut answer } = asked;
        answer.extensions_mut().insert(RouteTaken { transport: Transport::ServiceProxy, pod: None });
        Ok(self.unprefix.load_full().answer(hosts, answer))
    }

    /// Sends a copy of `request`, which has no body, and puts it down on it: where it is sent here in the end, it has been.
    pub(super) fn send_ahead(self: &Arc<Self>, request: &mut Request<Body>) {
        let (this, mut ahead) = (self.clone(), Request::new(Body::Empty));
        ahead.method_mut().clone_from(request.method());
        ahead.uri_mut().clone_from(request.uri());
        ahead.headers_mut().clone_from(request.headers());
        request.extensions().get::<BrowserByTls>().map(|by_tls| ahead.extensions_mut().insert(*by_tls));
        let asking = AbortOnDropHandle::new(tokio::spawn(async move { this.ask(ahead).await.ok() }));
        let ahead = SentAhead::new(request, &self.prefix, asking);
        request.extensions_mut().insert(ahead);
    }

    /// Sends `request`; what the API server put on the answer is still there.
    async fn ask(&self, mut request: Request<Body>) -> Result<AskedService, ServiceProxyError> {
        self.lead_below(&mut request)?;
        let expected = self.prepare(&mut request)?;
        self.api.gateway_cookies.keep_out_of_request(request.headers_mut());
        let hosts = self.choose_host(&mut request).await;
        let mut answer = self.api.send(request).await?;
        check_upgrade(&mut answer, expected.as_ref())?;
        remove_own_fields(answer.headers_mut());
        self.api.gateway_cookies.keep_out_of_answer(answer.headers_mut());
        Ok(AskedService { hosts, answer })
    }

    /// What did not come through the guard, such as a request of our own, is checked here.
    fn lead_below(&self, request: &mut Request<Body>) -> Result<(), PathFault> {
        const ROOT: PathAndQuery = PathAndQuery::from_static("/");
        let safe = match request.extensions().get::<SafePath>() {
            Some(safe) => safe.clone(),
            None => SafePath::check(request.uri().path_and_query().unwrap_or(&ROOT))?,
        };
        *request.uri_mut() = prefixed_path(&self.prefix, &safe).into();
        Ok(())
    }

    /// Gives the `Sec-WebSocket-Accept` to wait for, if a WebSocket is asked for.
    fn prepare(&self, request: &mut Request<Body>) -> Result<Option<HeaderValue>, ServiceProxyError> {
        if !web_socket::is_asked(request.headers()) {
            let method = request.method().clone();
            encoding::set_accept_encoding(&method, request.headers_mut());
            return Ok(None);
        }
        if request.uri().query().is_some() {
            return Err(ServiceProxyError::WebSocketQuery);
        }
        web_socket::expected(request.headers()).map(Some).ok_or(ServiceProxyError::NotWebSocket)
    }

    /// The app sees the local host, unless a gateway needs to see the API server's.
    async fn choose_host(&self, request: &mut Request<Body>) -> HostPair {
        let api = || HeaderValue::try_from(self.api.authority().as_str()).expect("an authority is ASCII");
        let local = request.headers().get(HOST).cloned().unwrap_or_else(api);
        let browser = HostPair::browser_of(request);
        if !routes_by_host(&self.api).await {
            return HostPair { sent: local.clone(), local, browser };
        }
        let hosts = HostPair { sent: api(), local, browser };
        gateway::show_api_host(request.headers_mut(), self.scheme, &hosts);
        hosts
    }

    async fn explain(&self, asker: RequestingClient, refusal: &ServiceProxyError) -> Response<Body> {
        let (cause, code) = match refusal {
            ServiceProxyError::Path(_) => (FailureCause::NotFaithful, StatusCode::BAD_REQUEST),
            ServiceProxyError::WebSocketQuery | ServiceProxyError::NotWebSocket => {
                (FailureCause::NotFaithful, StatusCode::NOT_IMPLEMENTED)
            }
            ServiceProxyError::Handshake => (FailureCause::UpgradeRefused, StatusCode::BAD_GATEWAY),
            ServiceProxyError::Send(SendError::HeadTooLarge) => (FailureCause::HeadTooLarge, StatusCode::BAD_GATEWAY),
            ServiceProxyError::Send(error) => {
                (FailureCause::ApiServer(ApiServerFailure::from(error)), StatusCode::BAD_GATEWAY)
            }
        };
        self.diagnostics.explain(asker, cause, code, &refusal.to_string()).await
    }
}

/// Finds out ahead what the first request would have to find out.
pub async fn learn_routing(api: Arc<ApiServer>) {
    routes_by_host(&api).await;
}

/// Whether requests must name the API server in `Host` to reach it. Asked once for each API server.
async fn routes_by_host(api: &ApiServer) -> bool {
    if gateway::has_no_name(api.authority()) {
        return false;
    }
    // Without an answer nothing is known, and the request itself will tell why there is none.
    *api.routes_by_host().get_or_try_init(|| gateway::probe(api)).await.unwrap_or(&false)
}

/// Bytes are tunnelled only after the `101` that answers the handshake.
fn check_upgrade(answer: &mut Response<Body>, expected: Option<&HeaderValue>) -> Result<(), ServiceProxyError> {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.extensions_mut().remove::<OnUpgrade>();
        return Ok(());
    }
    let is_accepted = expected.is_some_and(|expected| web_socket::is_accepted(answer, expected));
    if is_accepted { Ok(()) } else { Err(ServiceProxyError::Handshake) }
}
