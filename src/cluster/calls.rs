//! Our own calls to the API server: whole answers in memory, within `--request-timeout`.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Cluster;
use super::api_error::ApiError;
use super::rights::Rule;
use super::send_error::SendError;
use crate::upstream::Body;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("kubectl-svcproxy/", env!("CARGO_PKG_VERSION")));

impl Cluster {
    /// Reads one object, or a page of a list. `rule` is the right that it takes.
    pub(crate) async fn read<T: DeserializeOwned>(&self, target: &str, rule: &Rule) -> Result<T, ApiError> {
        let mut request = self.request(Method::GET, target, Body::Empty);
        if !self.disable_compression() {
            request.headers_mut().insert(ACCEPT_ENCODING, GZIP);
        }
        let body = self.call(request, rule).await?;
        parse(&body, target)
    }

    /// Creates `object` and reads what became of it.
    pub(crate) async fn create<T: DeserializeOwned>(
        &self,
        target: &str,
        object: &impl Serialize,
        rule: &Rule,
    ) -> Result<T, ApiError> {
        let json = serde_json::to_vec(object).expect("our own objects are JSON");
        let mut request = self.request(Method::POST, target, Body::full(json));
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        let body = self.call(request, rule).await?;
        parse(&body, target)
    }

    /// A request with our own headers.
    pub(crate) fn request(&self, method: Method, target: &str, body: Body) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(target)
            .header(ACCEPT, JSON)
            .header(USER_AGENT, AGENT)
            .body(body)
            .expect("names of Kubernetes objects and selectors are encoded before they get into a target")
    }

    async fn call(&self, request: Request<Body>, rule: &Rule) -> Result<Vec<u8>, ApiError> {
        let whole = async {
            let response = self.api().send(request).await?;
            let code = response.status();
            let body = whole_body(response).await?;
            if code.is_success() { Ok(body) } else { Err(ApiError::from_answer(code, &body, rule)) }
        };
        match self.request_timeout() {
            Some(limit) => tokio::time::timeout(limit, whole).await.map_err(|_| ApiError::TimedOut(limit))?,
            None => whole.await,
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], target: &str) -> Result<T, ApiError> {
    let path = || target.split('?').next().unwrap_or(target).to_owned();
    serde_json::from_slice(body).map_err(|error| ApiError::Malformed { path: path(), cause: position(&error) })
}

/// What is wrong where, without the text around it, which may be somebody's secret.
fn position(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => "it ends too early".to_owned(),
        _ => format!("unexpected content at line {}, column {}", error.line(), error.column()),
    }
}

async fn whole_body(response: Response<Body>) -> Result<Vec<u8>, SendError> {
    let gzip = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == GZIP);
    let interrupted = |cause: String| SendError::Interrupted { cause };
    let collected = response.into_body().collect().await.map_err(|error| interrupted(error.to_string()))?;
    let bytes: Bytes = collected.to_bytes();
    if !gzip {
        return Ok(bytes.into());
    }
    let mut plain = Vec::with_capacity(bytes.len() * 8);
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).map_err(|error| interrupted(error.to_string()))?;
    Ok(plain)
}
