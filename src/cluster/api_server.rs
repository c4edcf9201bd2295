//! Requests to the API server with the user's own credentials.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONNECTION, HOST, UPGRADE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};

use super::connect::Connector;
use super::credentials::{Credential, Credentials};
use super::pool::{Outcome, Pool};
use super::send_error::SendError;
use super::server_url::ServerUrl;
use crate::upstream::Body;

/// One API server and this user's way to it: pooled HTTP/1.1 connections, credentials, impersonation.
///
/// A clone is the same connection pool.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

struct Inner {
    url: ServerUrl,
    host: HeaderValue,
    impersonation: Vec<(HeaderName, HeaderValue)>,
    credentials: Credentials,
    pool: Pool<Connector>,
}

impl ApiServer {
    pub(crate) fn new(
        url: ServerUrl,
        impersonation: Vec<(HeaderName, HeaderValue)>,
        credentials: Credentials,
        pool: Pool<Connector>,
    ) -> Self {
        let host = HeaderValue::from_str(url.authority().as_str()).expect("an authority is ASCII");
        Self { inner: Arc::new(Inner { url, host, impersonation, credentials, pool }) }
    }

    /// The path of `server` without a slash at its end, empty when there is none. [`Self::send`] adds it itself.
    pub fn base_path(&self) -> &str {
        self.inner.url.base_path()
    }

    /// Host and port of the API server, as its own `Host` header says.
    pub fn authority(&self) -> &Authority {
        self.inner.url.authority()
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
    /// # Errors
    /// When there is no answer. An error status is an answer.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, SendError> {
        let credential = self.inner.credentials.current().await.map_err(SendError::Credentials)?;
        self.inner.address(&mut request);
        self.inner.authorize(request.headers_mut(), &credential);
        let outcome = if is_upgrade(request.headers()) {
            self.inner.pool.send_alone(request).await?
        } else {
            self.inner.pool.send(request).await?
        };
        match outcome {
            Outcome::Answer(answer, ()) => Ok(answer.map(Body::Incoming)),
            Outcome::Lost { error, .. } => Err(error.into()),
        }
    }

    /// Connects ahead, so that the first request need not wait for it.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn warm(&self) -> Result<(), SendError> {
        self.inner.credentials.current().await.map_err(SendError::Credentials)?;
        self.inner.pool.warm().await
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("url", &self.inner.url.to_string()).finish_non_exhaustive()
    }
}

impl Inner {
    fn address(&self, request: &mut Request<Body>) {
        if !self.url.base_path().is_empty() {
            *request.uri_mut() = below(self.url.base_path(), request.uri());
        }
        request.headers_mut().entry(HOST).or_insert_with(|| self.host.clone());
    }

    fn authorize(&self, headers: &mut HeaderMap, credential: &Credential) {
        match &credential.authorization {
            Some(authorization) => drop(headers.insert(AUTHORIZATION, authorization.clone())),
            None => drop(headers.remove(AUTHORIZATION)),
        }
        remove_impersonation(headers);
        for (name, value) in &self.impersonation {
            headers.append(name, value.clone());
        }
    }
}

fn below(base_path: &str, target: &Uri) -> Uri {
    let path_and_query = target.path_and_query().map_or("/", PathAndQuery::as_str);
    let text = [base_path, path_and_query].concat();
    Uri::try_from(text).expect("two paths make a path")
}

/// Nobody but the user's own kubeconfig or flags may choose whom to act as.
fn remove_impersonation(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| name.as_str().starts_with("impersonate-")).cloned() {
        headers.remove(name);
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()).any(names_upgrade)
}

fn names_upgrade(connection: &str) -> bool {
    connection.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}
