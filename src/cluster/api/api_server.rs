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
use super::gateway_cookies::GatewayCookies;
use crate::cluster::auth::credentials::{ActiveCredential, Credentials};
use crate::cluster::client::connect::ClusterConnector;
use crate::cluster::client::pool::{self, ConnectionPool, SendOutcome};
use crate::cluster::client::send_error::SendError;
use crate::cluster::client::shared_connection::{SharedConnection, SharedOutcome};
use crate::cluster::client::tls::{self, TlsProblem};
use crate::cluster::config::server_url::ServerUrl;
use crate::message::basic_auth::basic;
use crate::message::body::Body;
use crate::message::replay::{self, LastSend, ReplayRequest, SendTrace};
use crate::message::web_socket;

/// The API server's own 401 is about 130 octets; what is longer is somebody else's.
const LARGEST_REFUSAL: u64 = 4096;
/// What is told of it.
const NOT_ACCEPTED: &str = "the API server does not accept the credentials any more";

/// What an API server calls the forms of its objects.
const STATUS_KINDS: [&str; 3] = ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];

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
    /// For bursts, beside the pool.
    shared: SharedConnection,
    pub(super) health: HealthRecord,
    routes_by_host: OnceCell<bool>,
    /// Those of whoever stands in front of it.
    pub(crate) gateway_cookies: GatewayCookies,
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
        let (routes_by_host, gateway_cookies) = (OnceCell::new(), GatewayCookies::default());
        Self {
            url,
            host,
            prefix,
            proxy_authorization,
            impersonation,
            credentials,
            pool,
            shared: SharedConnection::default(),
            health,
            routes_by_host,
            gateway_cookies,
        }
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
    /// A request is sent a second time in two cases: when the API server itself does not accept the credentials and there are
    /// newer ones, unless more than 64 KiB of its body are gone, and, for GET, HEAD and OPTIONS whose body is at hand, when a connection that had
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
        let (answer, is_refused) = match self.credentials.current().await {
            Ok(credential) => self.send_renewed(request, credential).await,
            Err(error) => (Err(SendError::Credentials(error)), false),
        };
        match &answer {
            Ok(_) if is_refused => self.health.refused(NOT_ACCEPTED),
            // It may be the app's own, or one that is too long to be looked at.
            Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => self.health.answered(),
            Ok(_) => self.health.accepted(),
            Err(error) => self.health.failed(error),
        }
        answer
    }

    /// The answer, and whether it says that no credentials that there are were accepted.
    async fn send_renewed(
        &self,
        request: Request<Body>,
        credential: Arc<ActiveCredential>,
    ) -> (Result<Response<Body>, SendError>, bool) {
        let (request, spare) = self.with_spare(self.addressed(request));
        let answer = self.attempt(request, &credential, spare.as_ref()).await;
        let (answer, is_refused) = self.examine_refusal(answer).await;
        if !is_refused {
            return (answer, false);
        }
        let Some(newer) = self.credentials.after_refusal(&credential).await else { return (answer, true) };
        let Some(again) = spare.as_ref().and_then(SpareRequest::once_more) else { return (answer, false) };
        // The API server turned it away: nobody behind it saw it.
        SendTrace::of(&again).take();
        let (answer, is_refused) = self.examine_refusal(self.attempt(again, &newer, None).await).await;
        self.credentials.was_replaced(is_refused);
        (answer, is_refused)
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
        // They are made while the history is read, or a plugin is asked for credentials.
        self.pool.dial_ahead(1);
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

    /// The request, and what can be sent a second time, if there may be a reason to.
    fn with_spare(&self, request: Request<Body>) -> (Request<Body>, Option<SpareRequest>) {
        if !is_safe(request.method()) && !self.credentials.is_renewable() {
            return (request, None);
        }
        let body = match request.body() {
            Body::Full(full) => Some(full.clone()),
            body if body.is_end_stream() => None,
            // The API server refuses before anybody behind it sees anything, and mostly before much of the body is gone.
            _ if self.credentials.is_renewable() => {
                let (request, again) = replay::record_beginning(request);
                return (request, Some(SpareRequest::Streamed(again)));
            }
            _ => return (request, None),
        };
        let mut spare = Request::new(body);
        spare.method_mut().clone_from(request.method());
        spare.uri_mut().clone_from(request.uri());
        spare.headers_mut().clone_from(request.headers());
        spare.extensions_mut().insert(SendTrace::of(&request));
        (request, Some(SpareRequest::Whole(spare)))
    }

    async fn attempt(
        &self,
        mut request: Request<Body>,
        credential: &ActiveCredential,
        spare: Option<&SpareRequest>,
    ) -> Result<Response<Body>, SendError> {
        self.authorize(request.headers_mut(), credential);
        let is_traced = request.extensions().get::<SendTrace>().is_some();
        let is_handshake = web_socket::is_asked(request.headers());
        if is_traced && !is_handshake {
            request = match self.send_in_burst(request).await {
                SharedOutcome::Answer(answer) => return Ok(answer),
                SharedOutcome::Lost(error) => return Err(self.lost(error)),
                SharedOutcome::Unsent(request) => request,
            };
        }
        let outcome = match is_handshake {
            // Nobody sends once more what must not be sent twice, so it takes no connection that may be dead.
            true if is_safe(request.method()) => self.pool.send_alone(request, pool::CONNECTION_IDLE_TIMEOUT).await?,
            true => self.pool.send_alone(request, Duration::ZERO).await?,
            false => self.pool.send(request, pool::CONNECTION_IDLE_TIMEOUT).await?,
        };
        let mut again = match outcome {
            SendOutcome::Answer(answer, ()) => return Ok(answer.map(Body::Incoming)),
            SendOutcome::Lost { error, reused, .. } => {
                let may_be_stale = reused && !error.is_parse() && !is_traced;
                let spare = spare.filter(|spare| may_be_stale && spare.only_reads());
                spare.and_then(SpareRequest::once_more).ok_or_else(|| self.lost(error))?
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

    /// By the shared connection, where the pool would have to make one.
    async fn send_in_burst(&self, request: Request<Body>) -> SharedOutcome {
        if request.extensions().get::<LastSend>().is_none() && self.pool.has_none_idle() {
            return self.shared.send(&self.pool, request).await;
        }
        self.shared.prepare(&self.pool);
        SharedOutcome::Unsent(request)
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
            Ok(answer) => answer.status() == StatusCode::UNAUTHORIZED && may_hold_status(answer.headers()),
            Err(SendError::Tls { problem: TlsProblem::ClientCertificate(_), .. }) => true,
            Err(_) => false,
        };
        may_be && self.credentials.is_renewable()
    }

    /// The same answer again, and whether it is the API server's refusal.
    async fn examine_refusal(
        &self,
        answer: Result<Response<Body>, SendError>,
    ) -> (Result<Response<Body>, SendError>, bool) {
        if !self.may_be_refusal(&answer) {
            return (answer, false);
        }
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

/// A request that can be sent a second time.
enum SpareRequest {
    /// Its body is at hand: `None` for an empty one.
    Whole(Request<Option<Full<Bytes>>>),
    /// The beginning of its body is kept.
    Streamed(ReplayRequest),
}

impl SpareRequest {
    /// `None` where too much of its body is gone.
    fn once_more(&self) -> Option<Request<Body>> {
        match self {
            Self::Whole(spare) => Some(spare.clone().map(|body| body.map_or(Body::Empty, Body::Full))),
            Self::Streamed(again) => again.request_again(),
        }
    }

    fn only_reads(&self) -> bool {
        matches!(self, Self::Whole(spare) if is_safe(spare.method()))
    }
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

/// Whether a small body follows in one of the forms in which an API server writes objects: the one that was asked for.
fn may_hold_status(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let length: Option<u64> = text(CONTENT_LENGTH).parse().ok();
    let kind = text(CONTENT_TYPE);
    STATUS_KINDS.iter().any(|form| kind.starts_with(form)) && length.is_some_and(|length| length <= LARGEST_REFUSAL)
}
