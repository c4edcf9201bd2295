//! A request that went out before it was decided where it goes, and its answer, for whoever would send just the same.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Request, Response, Uri};
use tokio_util::task::AbortOnDropHandle;

use crate::lock::lock;
use crate::message::body::Body;
use crate::message::replay::SendTrace;
use crate::proxy::upstream::unprefix::HostPair;

/// An answer as it came, and under which host the app was asked.
pub(in crate::proxy::upstream) struct AskedService {
    pub(super) hosts: HostPair,
    pub(super) answer: Response<Body>,
}

/// What was sent ahead of a request: an extension of it.
#[derive(Clone)]
pub(in crate::proxy::upstream) struct SentAhead(Arc<Mutex<Option<AheadRequest>>>);

struct AheadRequest {
    head: AheadHead,
    /// Given up when nobody wants it.
    answer: AbortOnDropHandle<Option<AskedService>>,
}

/// Everything by which an answer may differ.
#[derive(Debug, PartialEq, Eq)]
struct AheadHead {
    proxy_path: String,
    method: Method,
    target: Uri,
    headers: HeaderMap,
}

impl AheadHead {
    fn of(request: &Request<Body>, proxy_path: &str) -> Self {
        Self {
            proxy_path: proxy_path.to_owned(),
            method: request.method().clone(),
            target: request.uri().clone(),
            headers: request.headers().clone(),
        }
    }
}

impl SentAhead {
    /// `request`, which has no body, goes below `proxy_path`; `asking` will have the answer, if there is one.
    pub(super) fn new(
        request: &Request<Body>,
        proxy_path: &str,
        asking: AbortOnDropHandle<Option<AskedService>>,
    ) -> Self {
        let ahead = AheadRequest { head: AheadHead::of(request, proxy_path), answer: asking };
        Self(Arc::new(Mutex::new(Some(ahead))))
    }

    /// The answer to `request`, which is to go below `proxy_path`, if just that was sent ahead and answered. It is given once.
    pub(super) fn answer(
        request: &Request<Body>,
        proxy_path: &str,
    ) -> impl Future<Output = Option<AskedService>> + Send + use<> {
        let ahead = request.extensions().get::<Self>().and_then(|ahead| lock(&ahead.0).take());
        let same = ahead.filter(|ahead| ahead.head == AheadHead::of(request, proxy_path));
        let trace = SendTrace::of(request);
        async move {
            let answer = same?.answer.await.ok().flatten()?;
            tracing::debug!("was sent ahead");
            trace.was_sent();
            Some(answer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const PATH: &str = "/api/v1/namespaces/shop/services/web:http/proxy";

    fn request(line: &str, accept: &'static str) -> Request<Body> {
        let (method, target) = line.split_once(' ').unwrap();
        Request::builder().method(method).uri(target).header("accept", accept).body(Body::Empty).unwrap()
    }

    /// Whether what was sent ahead as `GET /a?b` below [`PATH`] answers `request`.
    async fn answers(mut request: Request<Body>, path: &str) -> bool {
        let host = HeaderValue::from_static("localhost");
        let asked = AskedService {
            hosts: HostPair { browser: crate::service::Scheme::Http, sent: host.clone(), local: host },
            answer: Response::new(Body::full("it")),
        };
        let asking = AbortOnDropHandle::new(tokio::spawn(async move { Some(asked) }));
        request.extensions_mut().insert(SentAhead::new(&self::request("GET /a?b", "x"), PATH, asking));
        let first = SentAhead::answer(&request, path).await.is_some();
        assert!(SentAhead::answer(&request, path).await.is_none(), "it is given once");
        first
    }

    #[tokio::test]
    async fn only_the_very_same_request_gets_the_answer() {
        assert!(answers(request("GET /a?b", "x"), PATH).await);
        assert!(!answers(request("GET /a?b", "x"), &PATH.replace("web:", "https:web:")).await);
        assert!(!answers(request("GET /a?c", "x"), PATH).await);
        assert!(!answers(request("HEAD /a?b", "x"), PATH).await);
        assert!(!answers(request("GET /a?b", "y"), PATH).await);
    }

    #[tokio::test]
    async fn without_an_answer_it_is_as_if_it_had_not_been_sent() {
        let mut request = request("GET /", "x");
        let asking = AbortOnDropHandle::new(tokio::spawn(async { None }));
        let ahead = SentAhead::new(&request, PATH, asking);
        request.extensions_mut().insert(ahead);
        assert!(SentAhead::answer(&request, PATH).await.is_none());
    }
}
