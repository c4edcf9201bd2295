//! Requests to the API server with the user's own credentials.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tokio::sync::{OnceCell, watch};

use super::api_error::StatusObject;
use super::api_server_health::{ApiServerHealth, HealthRecord};
use super::forbidden::{CredentialsNotSeen, MissingRight, PresentedIdentity};
use crate::cluster::auth::credentials::{ActiveCredential, Credentials};
use crate::cluster::client::connect::ClusterConnector;
use crate::cluster::client::pool::{self, ConnectionPool, SendOutcome};
use crate::cluster::client::send_error::SendError;
use crate::cluster::client::tls::{self, TlsProblem};
use crate::cluster::config::server_url::ServerUrl;
use crate::message::basic_auth::basic;
use crate::message::body::Body;
use crate::message::replay::SendTrace;
use crate::message::web_socket;

/// The API server's own 401 is about 130 octets; what is longer is somebody else's.
const LARGEST_REFUSAL: u64 = 4096;

/// One API server and this user's way to it: pooled HTTP/1.1 connections, credentials, impersonation.
pub struct ApiServer {
    url: ServerUrl,
    host: HeaderValue,
    /// In front of every target.
    prefix: String,
    proxy_authorization: Option<HeaderValue>,
    impersonation: Vec<(HeaderName, HeaderValue)>,
    credentials: Arc<Credentials>,
    pool: Arc<ConnectionPool<ClusterConnector>>,
    pub(super) health: HealthRecord,
    routes_by_host: OnceCell<bool>,
}

impl ApiServer {
    pub(crate) fn new(
        url: ServerUrl,
        impersonation: Vec<(HeaderName, HeaderValue)>,
        credentials: Arc<Credentials>,
        pool: Arc<ConnectionPool<ClusterConnector>>,
    ) -> Self {
        let host = HeaderValue::from_str(url.authority.as_str()).expect("an authority is ASCII");
        let forwarding = pool.connector.forwarding_proxy();
        let prefix = if forwarding.is_some() { url.to_string() } else { url.base_path.clone() };
        let login = forwarding.and_then(|proxy| proxy.login.as_ref());
        let proxy_authorization = login.map(|login| basic(&login.user, &login.password));
        let health = HealthRecord::default();
        let routes_by_host = OnceCell::new();
        Self { url, host, prefix, proxy_authorization, impersonation, credentials, pool, health, routes_by_host }
    }

    /// The path of `server` without a slash at its end, empty when there is none. [`Self::send`] adds it itself.
    pub fn base_path(&self) -> &str {
        &self.url.base_path
    }

    /// Host and port of the API server, as its own `Host` header says.
    pub fn authority(&self) -> &Authority {
        &self.url.authority
    }

    /// Sends a request and gives back the head of the answer as soon as it is there; bodies stream both ways.
    ///
    /// The target is in origin form, begins with `/` and goes out byte for byte, below [`Self::base_path`]. `Host` is kept
    /// if present, else it is the API server's. `Authorization` and `Impersonate-*` are replaced by the user's own.
    ///
    /// With `Connection: upgrade` the request gets a connection of its own, and a `101` carries
    /// [`hyper::upgrade::OnUpgrade`]. There is no limit on the time an answer takes. Dropping the future, or the answer's
    /// body before its end, closes the connection.
    ///
    /// A request is sent a second time in two cases, and only if it has no body of unknown length: when the API server itself
    /// does not accept the credentials and there are newer ones, and, for GET, HEAD and OPTIONS, when a connection that had
    /// been kept turns out to be dead (RFC 9110 section 9.2.2; Go's transport does so), unless
    /// the request has a `SendTrace`: then whoever reads that decides.
    ///
    /// # Errors
    /// When there is no answer. An error status is an answer.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, SendError> {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return self.send_as_user(request).await;
        }
        // Without the query, which may hold secrets of an app.
        let (method, path, began) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
        let answer = self.send_as_user(request).await;
        let milliseconds = began.elapsed().as_millis();
        match &answer {
            Ok(answer) => tracing::debug!(%method, path, status = answer.status().as_u16(), milliseconds, "API server"),
            Err(error) => tracing::debug!(%method, path, %error, milliseconds, "API server"),
        }
        answer
    }

    async fn send_as_user(&self, request: Request<Body>) -> Result<Response<Body>, SendError> {
        let answer = self.send_renewed(request).await;
        match &answer {
            Ok(_) => self.health.answered(),
            Err(error) => self.health.failed(error),
        }
        answer
    }

    async fn send_renewed(&self, request: Request<Body>) -> Result<Response<Body>, SendError> {
        let credential = self.credentials.current().await.map_err(SendError::Credentials)?;
        let request = self.addressed(request);
        let spare = self.spare(&request);
        let answer = self.attempt(request, &credential, spare.as_ref()).await;
        if !self.may_be_refusal(&answer) {
            return answer;
        }
        let (answer, refused) = self.read_refusal(answer).await;
        if !refused {
            return answer;
        }
        match (self.credentials.after_refusal(&credential).await, spare) {
            (Some(newer), Some(spare)) => {
                let again = once_more(&spare);
                // The API server turned it away: nobody behind it saw it.
                SendTrace::of(&again).take();
                self.attempt(again, &newer, None).await
            }
            _ => answer,
        }
    }

    /// What the API server cannot have seen of who we are, since it says that `missing` lacks a right.
    pub(crate) fn unseen(&self, missing: &MissingRight) -> Option<CredentialsNotSeen> {
        let credential = self.credentials.latest();
        let user = self.impersonation.iter().find(|(name, _)| name == "impersonate-user");
        let shown = PresentedIdentity {
            header: credential.as_ref().is_some_and(|credential| credential.authorization.is_some()),
            certificate: credential.as_ref().is_some_and(|credential| credential.identity.is_some()),
            as_user: user.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        };
        shown.unseen(missing)
    }

    /// Whether the API server answers, and takes the credentials.
    pub fn health(&self) -> watch::Receiver<ApiServerHealth> {
        self.health.watch()
    }

    /// Whether a gateway in front of it chooses by `Host` whom a request goes to, once somebody has found out.
    pub(crate) fn routes_by_host(&self) -> &OnceCell<bool> {
        &self.routes_by_host
    }

    /// How often connections were lost: those from before should not be used any more.
    pub(crate) fn losses(&self) -> u64 {
        self.pool.connector.way.losses()
    }

    /// Connects ahead, so that the first request need not wait for it.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn warm(&self) -> Result<(), SendError> {
        self.credentials.current().await.map_err(SendError::Credentials)?;
        self.connect_ahead().await
    }

    /// The same with the credentials that there are.
    pub(super) async fn connect_ahead(&self) -> Result<(), SendError> {
        self.pool.warm().await
    }

    /// Keeps a connection ready for the next request, from now on and as long as there are requests: a new one takes as long
    /// as two or three of them.
    pub fn keep_ready(&self) {
        self.pool.keep_spare();
        if self.credentials.come_from_elsewhere() {
            // It is made while the plugin or the provider is asked.
            self.pool.dial_ahead(std::future::ready(()));
        }
    }

    fn addressed(&self, mut request: Request<Body>) -> Request<Body> {
        if !self.prefix.is_empty() {
            let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
            let target = Uri::try_from([&self.prefix, target].concat()).expect("two paths make a path");
            *request.uri_mut() = target;
        }
        let headers = request.headers_mut();
        headers.entry(HOST).or_insert_with(|| self.host.clone());
        if let Some(authorization) = &self.proxy_authorization {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        request
    }

    fn authorize(&self, headers: &mut HeaderMap, credential: &ActiveCredential) {
        match &credential.authorization {
            Some(authorization) => drop(headers.insert(AUTHORIZATION, authorization.clone())),
            None => drop(headers.remove(AUTHORIZATION)),
        }
        remove_impersonation(headers);
        for (name, value) in &self.impersonation {
            headers.append(name, value.clone());
        }
    }

    /// What can be sent a second time, if there may be a reason to.
    fn spare(&self, request: &Request<Body>) -> Option<SpareRequest> {
        if !is_safe(request.method()) && !self.credentials.is_renewable() {
            return None;
        }
        let mut spare = Request::new(match request.body() {
            Body::Full(full) => Some(full.clone()),
            body if body.is_end_stream() => None,
            _ => return None,
        });
        spare.method_mut().clone_from(request.method());
        spare.uri_mut().clone_from(request.uri());
        spare.headers_mut().clone_from(request.headers());
        spare.extensions_mut().insert(SendTrace::of(request));
        Some(spare)
    }

    async fn attempt(
        &self,
        mut request: Request<Body>,
        credential: &ActiveCredential,
        spare: Option<&SpareRequest>,
    ) -> Result<Response<Body>, SendError> {
        self.authorize(request.headers_mut(), credential);
        let is_traced = request.extensions().get::<SendTrace>().is_some();
        let outcome = match web_socket::is_asked(request.headers()) {
            // Nobody sends once more what must not be sent twice, so it takes no connection that may be dead.
            true if is_safe(request.method()) => self.pool.send_alone(request, pool::CONNECTION_IDLE_TIMEOUT).await?,
            true => self.pool.send_alone(request, Duration::ZERO).await?,
            false => self.pool.send(request, pool::CONNECTION_IDLE_TIMEOUT).await?,
        };
        let mut again = match outcome {
            SendOutcome::Answer(answer, ()) => return Ok(answer.map(Body::Incoming)),
            SendOutcome::Lost { error, reused, .. } => {
                let may_be_stale = reused && !error.is_parse() && !is_traced;
                let spare = spare.filter(|spare| may_be_stale && is_safe(spare.method()));
                once_more(spare.ok_or_else(|| self.lost(error))?)
            }
        };
        self.authorize(again.headers_mut(), credential);
        let outcome = match web_socket::is_asked(again.headers()) {
            true => self.pool.send_alone(again, Duration::ZERO).await?,
            false => self.pool.send_fresh(again).await?,
        };
        match outcome {
            SendOutcome::Answer(answer, ()) => Ok(answer.map(Body::Incoming)),
            SendOutcome::Lost { error, .. } => Err(self.lost(error)),
        }
    }

    fn lost(&self, error: hyper::Error) -> SendError {
        // A client certificate is refused only after the handshake (TLS 1.3).
        match error.source().and_then(|source| tls::within(source.downcast_ref()?)) {
            Some(error) => SendError::Tls { server: self.url.to_string(), problem: error.into() },
            None => SendError::from(error),
        }
    }

    /// Whether it is worth a look if the API server refuses our credentials: it may be the Service behind that wants others.
    fn may_be_refusal(&self, answer: &Result<Response<Body>, SendError>) -> bool {
        let may_be = match answer {
            Ok(answer) => answer.status() == StatusCode::UNAUTHORIZED && has_small_json(answer.headers()),
            Err(SendError::Tls { problem: TlsProblem::ClientCertificate(_), .. }) => true,
            Err(_) => false,
        };
        may_be && self.credentials.is_renewable()
    }

    /// The same answer again, and whether it is the API server's refusal.
    async fn read_refusal(
        &self,
        answer: Result<Response<Body>, SendError>,
    ) -> (Result<Response<Body>, SendError>, bool) {
        let Ok(answer) = answer else { return (answer, true) };
        let (head, body) = answer.into_parts();
        match body.collect().await {
            Ok(body) => {
                let body: Bytes = body.to_bytes();
                let refused = StatusObject::parse(&body).is_some();
                (Ok(Response::from_parts(head, Body::full(body))), refused)
            }
            Err(error) => (Err(SendError::interrupted(&error)), false),
        }
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("url", &self.url.to_string()).finish_non_exhaustive()
    }
}

/// A request that can be sent a second time, since its body is at hand: `None` for an empty one.
type SpareRequest = Request<Option<Full<Bytes>>>;

fn once_more(spare: &SpareRequest) -> Request<Body> {
    spare.clone().map(|body| body.map_or(Body::Empty, Body::Full))
}

/// Nobody but the user's own kubeconfig or flags may choose whom to act as.
fn remove_impersonation(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| name.as_str().starts_with("impersonate-")).cloned() {
        headers.remove(name);
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn has_small_json(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let length: Option<u64> = text(CONTENT_LENGTH).parse().ok();
    text(CONTENT_TYPE).starts_with("application/json") && length.is_some_and(|length| length <= LARGEST_REFUSAL)
}
