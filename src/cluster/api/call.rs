//! Our own calls to the API server, within `--request-timeout`.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::stream::{BoxStream, Stream, StreamExt, TryStreamExt, unfold};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::api_error::ApiError;
use super::forbidden::{CredentialsNotSeen, MissingRight};
use super::list_json::MalformedList;
use super::read_ahead::read_ahead;
use super::rule::AccessRule;
use super::{retry_after, warning_headers};
use crate::cluster::Cluster;
use crate::cluster::client::send_error::SendError;
use crate::lock::lock;
use crate::message::body::Body;

/// The form that every API server writes.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Protobuf from those that write it; others that look like an API server write JSON.
pub(super) const PROTOBUF_OR_JSON: HeaderValue =
    HeaderValue::from_static("application/vnd.kubernetes.protobuf, application/json");
const PROTOBUF: &[u8] = b"application/vnd.kubernetes.protobuf";
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// Octets at most, unpacked, of an answer that is read whole: thousands of objects.
const MAX_WHOLE: usize = 64 << 20;
/// Waits of less than this in sum are not worth a word.
const UNMENTIONED_WAIT: Duration = Duration::from_secs(2);
const AGENT: HeaderValue = HeaderValue::from_static(concat!("kubectl-svcproxy/", env!("CARGO_PKG_VERSION")));

impl Cluster {
    /// Reads one object. `rule` is the right that it takes.
    pub(crate) async fn read<T: DeserializeOwned>(&self, target: &str, rule: &AccessRule) -> Result<T, ApiError> {
        parse(&self.begin_to_read(target, rule, JSON).await?.whole().await?, target)
    }

    /// Whether the API server answers now. A gateway that finds none behind it says so by a 5xx.
    pub(crate) async fn answers(&self) -> bool {
        let request = self.request(Method::GET, "/version", Bytes::new());
        self.api().send(sendable(&request)).await.is_ok_and(|answer| !answer.status().is_server_error())
    }

    /// Begins to read something large in one of the `accepted` forms.
    pub(super) async fn begin_to_read(
        &self,
        target: &str,
        rule: &AccessRule,
        accepted: HeaderValue,
    ) -> Result<AnswerContent, ApiError> {
        let mut request = self.request(Method::GET, target, Bytes::new());
        request.headers_mut().insert(ACCEPT, accepted);
        if !self.inner.disable_compression {
            request.headers_mut().insert(ACCEPT_ENCODING, GZIP);
        }
        self.call(request, rule).await
    }

    /// Creates `object` and reads what became of it.
    pub(crate) async fn create<T: DeserializeOwned>(
        &self,
        target: &str,
        object: &impl Serialize,
        rule: &AccessRule,
    ) -> Result<T, ApiError> {
        let json = serde_json::to_vec(object).expect("our own objects are JSON");
        let mut request = self.request(Method::POST, target, Bytes::from(json));
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        parse(&self.call(request, rule).await?.whole().await?, target)
    }

    /// A request with our own headers.
    pub(crate) fn request<B>(&self, method: Method, target: &str, body: B) -> Request<B> {
        Request::builder()
            .method(method)
            .uri(target)
            .header(ACCEPT, JSON)
            .header(USER_AGENT, AGENT)
            .body(body)
            .expect("names of Kubernetes objects and selectors are encoded before they get into a target")
    }

    async fn call(&self, request: Request<Bytes>, rule: &AccessRule) -> Result<AnswerContent, ApiError> {
        let limit = CallDeadline(self.inner.request_timeout.map(|limit| (limit, Instant::now() + limit)));
        let response = self.patient_answer(&request, limit).await?;
        self.heed_head(response.headers());
        let (code, headers) = (response.status(), response.headers().clone());
        let content = AnswerContent::of(response, limit);
        if code.is_success() {
            return Ok(content);
        }
        Err(self.refused(ApiError::from_answer(code, &headers, &content.whole().await?, rule)))
    }

    /// The answer, after the waits that the API server asks for, as long as there is time for them.
    async fn patient_answer(&self, request: &Request<Bytes>, limit: CallDeadline) -> Result<Response<Body>, ApiError> {
        let mut waited = Duration::ZERO;
        for _ in 0..retry_after::MAX_RETRIES {
            let response = limit.of(self.api().send(sendable(request))).await??;
            let pause = retry_after::pause(response.status(), response.headers());
            let Some(pause) = pause.filter(|&pause| limit.allows(pause)) else { return Ok(response) };
            waited += pause;
            if waited >= UNMENTIONED_WAIT {
                let (status, seconds) = (response.status(), pause.as_secs());
                tracing::warn!("the API server answered {status} and is asked again in {seconds} s, as it wants");
            }
            sleep(pause).await;
        }
        Ok(limit.of(self.api().send(sendable(request))).await??)
    }

    /// Takes in what the head of an answer says beside the answer: shows what the API server warns of, each text once a run
    /// (client-go `rest/warnings.go`), and learns a gateway's cookies.
    pub(super) fn heed_head(&self, headers: &HeaderMap) {
        self.api().gateway_cookies.learn(headers);
        for text in warning_headers::texts(headers) {
            if lock(&self.inner.warnings).insert(text.clone()) {
                tracing::warn!("the API server says: {text}");
            }
        }
    }

    /// A right may seem to be missing only because the API server did not see who we are, or because nothing says so.
    fn refused(&self, error: ApiError) -> ApiError {
        let missing = match &error {
            ApiError::Forbidden { message, .. } => MissingRight::read(message),
            ApiError::Unauthorized => None,
            _ => return error,
        };
        let is_nobody = missing.as_ref().map_or(error == ApiError::Unauthorized, MissingRight::is_of_nobody);
        let unseen = match &self.inner.no_credentials {
            Some(why) if is_nobody => Some(CredentialsNotSeen::NoneSent { missing, why: why.clone() }),
            _ => missing.and_then(|missing| self.api().unseen(&missing)),
        };
        unseen.map_or(error, ApiError::Unseen)
    }
}

/// The request with its body at hand, to be sent as often as needed.
fn sendable(request: &Request<Bytes>) -> Request<Body> {
    request.clone().map(|body| if body.is_empty() { Body::Empty } else { Body::full(body) })
}

/// How long a call may take, from its first byte to its last.
#[derive(Debug, Clone, Copy)]
struct CallDeadline(Option<(Duration, Instant)>);

impl CallDeadline {
    /// Whether there is time left after `pause`.
    fn allows(self, pause: Duration) -> bool {
        self.0.is_none_or(|(_, end)| Instant::now() + pause < end)
    }

    async fn of<T>(self, future: impl Future<Output = T>) -> Result<T, ApiError> {
        match self.0 {
            Some((limit, end)) => timeout_at(end, future).await.map_err(|_| ApiError::TimedOut(limit)),
            None => Ok(future.await),
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], target: &str) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| malformed(target, &position(&error)))
}

/// The answer to `target` is not what it should be.
pub(super) fn malformed(target: &str, cause: &impl ToString) -> ApiError {
    ApiError::Malformed { path: target.split('?').next().unwrap_or(target).to_owned(), cause: cause.to_string() }
}

/// What is wrong where, without the text around it, which may be somebody's secret.
fn position(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Eof => MalformedList::TooShort.to_string(),
        _ => format!("unexpected content at line {}, column {}", error.line(), error.column()),
    }
}

/// An answer's content on its way, in pieces, so that it is never there as a whole.
pub(super) struct AnswerContent {
    source: BoxStream<'static, Result<Bytes, ApiError>>,
    /// What came over the wire and is not unpacked yet.
    packed: Bytes,
    gzip: Option<MultiGzDecoder<Vec<u8>>>,
    /// Whether this is protobuf.
    pub(super) is_protobuf: bool,
}

impl AnswerContent {
    /// Bytes that are unpacked at once: some 100 KiB of a list.
    const AT_ONCE: usize = 4096;

    fn of(response: Response<Body>, limit: CallDeadline) -> Self {
        let header = |name| response.headers().get(name).map_or(&b""[..], HeaderValue::as_bytes);
        let is_protobuf = header(CONTENT_TYPE).starts_with(PROTOBUF);
        let gzip = (header(CONTENT_ENCODING) == b"gzip").then(|| MultiGzDecoder::new(Vec::new()));
        let source = received(response.into_body(), limit).fuse().boxed();
        Self { source, packed: Bytes::new(), gzip, is_protobuf }
    }

    /// The same, taken from the wire however slowly it is read here.
    pub(super) fn read_ahead(self) -> Self {
        Self { source: read_ahead(self.source).fuse().boxed(), ..self }
    }

    /// The next piece, never an empty one.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        while self.receive().await? {
            let piece = self.packed.split_to(self.packed.len().min(Self::AT_ONCE));
            let plain = match &mut self.gzip {
                None => piece,
                Some(decoder) => unpacked(decoder.write_all(&piece), decoder)?,
            };
            if !plain.is_empty() {
                return Ok(Some(plain));
            }
        }
        let Some(mut decoder) = self.gzip.take() else { return Ok(None) };
        let rest = unpacked(decoder.try_finish(), &mut decoder)?;
        Ok(Some(rest).filter(|rest| !rest.is_empty()))
    }

    /// Whether there is something to unpack.
    async fn receive(&mut self) -> Result<bool, ApiError> {
        while self.packed.is_empty() {
            let Some(piece) = self.source.try_next().await? else { return Ok(false) };
            self.packed = piece;
        }
        Ok(true)
    }

    async fn whole(mut self) -> Result<Vec<u8>, ApiError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
            if whole.len() > MAX_WHOLE {
                let too_long = format!("it is longer than {} MiB", MAX_WHOLE >> 20);
                return Err(SendError::interrupted(&too_long).into());
            }
        }
        Ok(whole)
    }
}

/// The octets of `body` as they come over the wire, within `limit`.
fn received(body: Body, limit: CallDeadline) -> impl Stream<Item = Result<Bytes, ApiError>> + Send {
    unfold(body, move |mut body| async move {
        let frame = limit.of(body.frame()).await.transpose()?;
        let frame = frame.and_then(|frame| Ok(frame.map_err(|error| SendError::interrupted(&error))?));
        Some((frame.map(|frame| frame.into_data().unwrap_or_default()), body))
    })
}

/// What `decoder` has unpacked with the step that is `done`.
fn unpacked(done: std::io::Result<()>, decoder: &mut MultiGzDecoder<Vec<u8>>) -> Result<Bytes, SendError> {
    done.map_err(|error| SendError::interrupted(&error))?;
    Ok(std::mem::take(decoder.get_mut()).into())
}
