//! The API server's service proxy as a transport: requests below one Target's proxy path, answers without it.

mod conditional;
mod encoding;
mod gateway;
mod app_names;
mod proxy_path;

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use hyper::upgrade::OnUpgrade;

use super::diagnose::{Asker, Cause, Diagnostics, Trouble};
use super::unprefix::{Hosts, Unprefix};
use super::{Body, Carried, Transport, Upstream};
use crate::cluster::{ApiServer, EndpointSlice, SendError};
use crate::message::replay::{self, Again};
use crate::message::web_socket;
use crate::service::Service;
use crate::service::{Scheme, Target};
use app_names::Names;
use gateway::Gateway;

pub use proxy_path::{PathRefusal, below};

/// Sends requests below one Target's proxy path. A clone is the same.
#[derive(Clone)]
pub struct ServiceProxy {
    inner: Arc<Inner>,
}

struct Inner {
    api: ApiServer,
    /// The proxy path, without a slash at its end.
    prefix: String,
    scheme: Scheme,
    names: Names,
    unprefix: ArcSwap<Unprefix>,
    gateway: Gateway,
    diagnostics: Diagnostics,
}

/// Why a request got no answer, or was not sent at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its path might lead elsewhere.
    #[error("{0}, which a gateway may read as another path")]
    Path(#[from] PathRefusal),
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
    pub fn new(api: ApiServer, target: &Target, service: Option<&Service>, diagnostics: Diagnostics) -> Self {
        let proxy_path = target.proxy_path();
        let names = Names::new(target, service);
        let unprefix = Unprefix::new(api.base_path(), &proxy_path, api.authority().as_str(), names.without_endpoints());
        let inner = Inner {
            prefix: proxy_path.trim_end_matches('/').to_owned(),
            scheme: target.scheme,
            names,
            unprefix: ArcSwap::from_pointee(unprefix),
            gateway: Gateway::new(&api),
            diagnostics,
            api,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Finds out ahead what the first request would have to find out.
    pub async fn warm(&self) {
        self.inner.gateway.routes_by_host(&self.inner.api).await;
    }

    /// Takes over the endpoints that a watch saw: an app may name itself by its own address.
    pub fn learn(&self, slices: &[EndpointSlice]) {
        let Inner { names, unprefix, .. } = &*self.inner;
        unprefix.store(Arc::new(unprefix.load().with_names(names.with_endpoints(slices))));
    }

    /// Sends `request` as [`Upstream::send`] does, but says with a type why there is no answer, and leaves errors of the
    /// API server itself as they are.
    ///
    /// # Errors
    /// When the request cannot go this way, or got no answer.
    pub async fn try_send(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        self.inner.send(request).await
    }
}

impl Upstream for ServiceProxy {
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            if !conditional::is_asked(&request) {
                return inner.answer(request).await;
            }
            let (request, again) = replay::keep(request);
            let answer = inner.answer(request).await;
            let is_unreadable = answer.extensions().get() == Some(&Cause::BadEncoding);
            let Some(mut whole) = again.filter(|_| is_unreadable).and_then(Again::take) else { return answer };
            conditional::remove(whole.headers_mut());
            inner.answer(whole).await
        })
    }
}

impl Inner {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let asker = Asker::of(&request);
        match self.send(request).await {
            Ok(answer) => self.diagnostics.examine(asker, answer).await,
            Err(refusal) => self.explain(asker, &refusal).await,
        }
    }

    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, Refusal> {
        self.lead_below(request.uri_mut())?;
        let expected = self.prepare(&mut request)?;
        let hosts = self.choose_host(&mut request).await;
        let mut answer = self.api.send(request).await?;
        check_upgrade(&mut answer, expected.as_ref())?;
        answer.extensions_mut().insert(Carried { transport: Transport::ServiceProxy, pod: None });
        Ok(self.unprefix.load_full().answer(hosts, answer))
    }

    fn lead_below(&self, uri: &mut Uri) -> Result<(), PathRefusal> {
        const ROOT: PathAndQuery = PathAndQuery::from_static("/");
        let target = match uri.path_and_query() {
            Some(asked) => below(&self.prefix, asked)?,
            None => below(&self.prefix, &ROOT)?,
        };
        *uri = target.into();
        Ok(())
    }

    /// Gives the `Sec-WebSocket-Accept` to wait for, if a WebSocket is asked for.
    fn prepare(&self, request: &mut Request<Body>) -> Result<Option<HeaderValue>, Refusal> {
        if !web_socket::is_asked(request.headers()) {
            let method = request.method().clone();
            encoding::ask(&method, request.headers_mut());
            return Ok(None);
        }
        if request.uri().query().is_some() {
            return Err(Refusal::WebSocketQuery);
        }
        web_socket::expected(request.headers()).map(Some).ok_or(Refusal::NotWebSocket)
    }

    /// The app sees the local host, unless a gateway needs to see the API server's.
    async fn choose_host(&self, request: &mut Request<Body>) -> Hosts {
        let api = || HeaderValue::try_from(self.api.authority().as_str()).expect("an authority is ASCII");
        let local = request.headers().get(HOST).cloned().unwrap_or_else(api);
        if !self.gateway.routes_by_host(&self.api).await {
            return Hosts { sent: local.clone(), local };
        }
        let hosts = Hosts { sent: api(), local };
        gateway::show_api_host(request.headers_mut(), self.scheme, &hosts);
        hosts
    }

    async fn explain(&self, asker: Asker, refusal: &Refusal) -> Response<Body> {
        let (cause, code) = match refusal {
            Refusal::Path(_) => (Cause::NotFaithful, StatusCode::BAD_REQUEST),
            Refusal::WebSocketQuery | Refusal::NotWebSocket => (Cause::NotFaithful, StatusCode::NOT_IMPLEMENTED),
            Refusal::Handshake => (Cause::UpgradeRefused, StatusCode::BAD_GATEWAY),
            Refusal::Send(error) => (Cause::ApiServer(Trouble::from(error)), StatusCode::BAD_GATEWAY),
        };
        self.diagnostics.explain(asker, cause, code, &refusal.to_string()).await
    }
}

/// Bytes are tunnelled only after the `101` that answers the handshake.
fn check_upgrade(answer: &mut Response<Body>, expected: Option<&HeaderValue>) -> Result<(), Refusal> {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.extensions_mut().remove::<OnUpgrade>();
        return Ok(());
    }
    let is_accepted = expected.is_some_and(|expected| web_socket::is_accepted(answer.headers(), expected));
    if is_accepted { Ok(()) } else { Err(Refusal::Handshake) }
}
