//! Our own calls to the API server: whole answers in memory, within `--request-timeout`.

use std::io::Write;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
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
    /// Reads one object. `rule` is the right that it takes.
    pub(crate) async fn read<T: DeserializeOwned>(&self, target: &str, rule: &Rule) -> Result<T, ApiError> {
        parse(&self.read_packed(target, rule).await?.unpacked()?, target)
    }

    /// Reads something large, and leaves it as it came over the wire.
    pub(crate) async fn read_packed(&self, target: &str, rule: &Rule) -> Result<Packed, ApiError> {
        let mut request = self.request(Method::GET, target, Body::Empty);
        if !self.disable_compression() {
            request.headers_mut().insert(ACCEPT_ENCODING, GZIP);
        }
        self.call(request, rule).await
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
        parse(&self.call(request, rule).await?.unpacked()?, target)
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

    async fn call(&self, request: Request<Body>, rule: &Rule) -> Result<Packed, ApiError> {
        let whole = async {
            let response = self.api().send(request).await?;
            let code = response.status();
            let body = Packed::receive(response).await?;
            if code.is_success() { Ok(body) } else { Err(ApiError::from_answer(code, &body.unpacked()?, rule)) }
        };
        match self.request_timeout() {
            Some(limit) => tokio::time::timeout(limit, whole).await.map_err(|_| ApiError::TimedOut(limit))?,
            None => whole.await,
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], target: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| malformed(target, position(&error)))
}

/// The answer to `target` is not what it should be.
pub(super) fn malformed(target: &str, cause: String) -> ApiError {
    ApiError::Malformed { path: target.split('?').next().unwrap_or(target).to_owned(), cause }
}

/// What is wrong where, without the text around it, which may be somebody's secret.
fn position(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => TOO_SHORT.to_owned(),
        _ => format!("unexpected content at line {}, column {}", error.line(), error.column()),
    }
}

/// What is wrong with an answer of which only the beginning came.
pub(super) const TOO_SHORT: &str = "it ends too early";

/// The body of an answer as it came over the wire. Lists are a tenth of their size there, or less.
#[derive(Debug)]
pub(crate) struct Packed {
    bytes: Bytes,
    gzip: bool,
}

impl Packed {
    async fn receive(response: Response<Body>) -> Result<Self, SendError> {
        let gzip = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == GZIP);
        let collected = response.into_body().collect().await.map_err(|error| interrupted(error.to_string()))?;
        Ok(Self { bytes: collected.to_bytes(), gzip })
    }

    fn unpacked(self) -> Result<Vec<u8>, SendError> {
        let mut pieces = self.pieces();
        let mut plain = Vec::new();
        while let Some(piece) = pieces.next()? {
            plain.extend_from_slice(&piece);
        }
        Ok(plain)
    }

    /// The content in pieces, so that it is never there as a whole.
    pub(super) fn pieces(self) -> Pieces {
        Pieces { packed: self.bytes, gzip: self.gzip.then(|| MultiGzDecoder::new(Vec::new())) }
    }
}

/// What is left of an answer's content.
#[derive(Debug)]
pub(super) struct Pieces {
    packed: Bytes,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
}

impl Pieces {
    /// Bytes that are unpacked at once: some 100 KiB of a list.
    const AT_ONCE: usize = 4096;

    /// The next piece, never an empty one.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, SendError> {
        while !self.packed.is_empty() {
            let piece = self.packed.split_to(self.packed.len().min(Self::AT_ONCE));
            let Some(decoder) = &mut self.gzip else { return Ok(Some(piece)) };
            decoder.write_all(&piece).map_err(|error| interrupted(error.to_string()))?;
            if self.packed.is_empty() {
                decoder.try_finish().map_err(|error| interrupted(error.to_string()))?;
            }
            let plain = std::mem::take(decoder.get_mut());
            if !plain.is_empty() {
                return Ok(Some(plain.into()));
            }
        }
        Ok(None)
    }
}

fn interrupted(cause: String) -> SendError {
    SendError::Interrupted { cause }
}
