//! A request that may be sent a second time, without holding up the first.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::body::{Body, BoxError};
use crate::lock::lock;

/// Octets of a body that are kept for a second time. A longer body can be sent only once.
const LIMIT: usize = 64 * 1024;

/// What is needed to send a request again.
pub(crate) struct ReplayRequest {
    parts: Parts,
    /// `None` for a request without a body.
    body: Option<Arc<Mutex<ReplayBuffer>>>,
}

/// A body whose beginning is kept.
struct ReplayBuffer {
    rest: Body,
    kept: Vec<Bytes>,
    length: usize,
    /// Whether everything that was read is in `kept`.
    whole: bool,
}

/// Reads a shared body from its beginning.
struct ReplayBody {
    shared: Arc<Mutex<ReplayBuffer>>,
    next: usize,
}

/// What whoever sends a request tells of it to whoever decides whether it is sent again: an extension of the request. A
/// clone tells the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct SendTrace(Arc<Mutex<SendFacts>>);

/// How a request went out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SendFacts {
    /// How often it went out on a connection.
    pub(crate) sends: usize,
    /// Whether it was lost on a connection that had been kept, and so may have been dead already.
    pub(crate) lost_on_kept: bool,
}

/// The request will not be sent again, whatever becomes of it: an extension of it. No connection should carry it that may be
/// dead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastSend;

impl SendTrace {
    /// The one of `request`, or one that nobody reads.
    pub(crate) fn of(request: &Request<Body>) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// It went out once more.
    pub(crate) fn was_sent(&self) {
        lock(&self.0).sends += 1;
    }

    /// It was lost: perhaps because its connection `may_have_been_dead` already.
    pub(crate) fn was_lost(&self, may_have_been_dead: bool) {
        lock(&self.0).lost_on_kept = may_have_been_dead;
    }

    /// What was told so far, and begins anew.
    pub(crate) fn take(&self) -> SendFacts {
        std::mem::take(&mut *lock(&self.0))
    }
}

/// Gives back `request`, and what it takes to send it again; nothing for a long body of a method that must not be
/// repeated, which is never looked at twice.
pub(crate) fn record(request: Request<Body>) -> (Request<Body>, Option<ReplayRequest>) {
    let is_short = request.body().size_hint().upper().is_some_and(|most| most <= LIMIT as u64);
    if !is_short && !is_idempotent(request.method()) {
        return (request, None);
    }
    let (request, again) = record_beginning(request);
    (request, Some(again))
}

/// The same whatever its method and length: as long as no more than the beginning of its body was read, it can be sent again by
/// whoever knows that nobody has acted on it.
pub(crate) fn record_beginning(request: Request<Body>) -> (Request<Body>, ReplayRequest) {
    let (parts, body) = request.into_parts();
    let body = (!body.is_end_stream())
        .then(|| Arc::new(Mutex::new(ReplayBuffer { rest: body, kept: Vec::new(), length: 0, whole: true })));
    let again = ReplayRequest { parts, body };
    (again.request(), again)
}

/// Whether a method may be repeated where its first answer was lost (RFC 9110 section 9.2.2). Pure.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE" | "PROPFIND" | "REPORT" | "SEARCH"
    )
}

impl ReplayRequest {
    /// The request once more, unless too much of its body is gone.
    pub(crate) fn request_again(&self) -> Option<Request<Body>> {
        let whole = self.body.as_ref().is_none_or(|shared| lock(shared).whole);
        whole.then(|| self.request())
    }

    fn request(&self) -> Request<Body> {
        let body = match &self.body {
            Some(shared) => Body::boxed(ReplayBody { shared: shared.clone(), next: 0 }),
            None => Body::Empty,
        };
        Request::from_parts(self.parts.clone(), body)
    }
}

impl ReplayBuffer {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref() else {
            self.whole = false;
            return;
        };
        self.length += data.len();
        self.whole &= self.length <= LIMIT;
        if self.whole { self.kept.push(data.clone()) } else { self.kept.clear() }
    }
}

impl HttpBody for ReplayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = self.next;
        let mut shared = lock(&self.shared);
        if let Some(data) = shared.kept.get(next).cloned() {
            drop(shared);
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let frame = Pin::new(&mut shared.rest).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            shared.keep(frame);
            drop(shared);
            self.next += 1;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        self.next >= shared.kept.len() && shared.rest.is_end_stream()
    }

    /// hyper frames a message by what the body says before it is read.
    fn size_hint(&self) -> SizeHint {
        let shared = lock(&self.shared);
        let mut hint = shared.rest.size_hint();
        if shared.whole {
            let unread: usize = shared.kept.iter().skip(self.next).map(Bytes::len).sum();
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + unread as u64);
            }
            hint.set_lower(hint.lower() + unread as u64);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};

    fn request(method: &str, parts: &[usize]) -> Request<Body> {
        let frames: Vec<_> = parts.iter().map(|&length| Ok(Frame::data(Bytes::from(vec![b'x'; length])))).collect();
        let body = if parts.is_empty() { Body::Empty } else { Body::boxed(StreamBody::new(stream::iter(frames))) };
        Request::builder().method(method).uri("/a?b").body(body).unwrap()
    }

    async fn length(request: Request<Body>) -> usize {
        request.into_body().collect().await.unwrap().to_bytes().len()
    }

    #[tokio::test]
    async fn the_second_time_it_is_the_same() {
        let (first, again) = record(request("PUT", &[3, 4]));
        assert_eq!(length(first).await, 7);
        let second = again.unwrap().request_again().unwrap();
        assert_eq!(second.uri(), "/a?b");
        assert_eq!(length(second).await, 7);
        let (_, again) = record(request("GET", &[]));
        assert_eq!(length(again.unwrap().request_again().unwrap()).await, 0);
    }

    #[tokio::test]
    async fn a_body_that_was_half_read_goes_on_where_it_was() {
        let (first, again) = record(request("PUT", &[3, 4, 5]));
        let mut body = first.into_body();
        body.frame().await.unwrap().unwrap();
        assert_eq!(length(again.unwrap().request_again().unwrap()).await, 12);
    }

    #[tokio::test]
    async fn what_may_not_or_cannot_be_repeated() {
        assert!(record(request("POST", &[LIMIT, 1])).1.is_none());
        assert!(record(request("PATCH", &[3])).1.is_none());
        let (first, again) = record(request("PUT", &[LIMIT, 1]));
        assert_eq!(length(first).await, LIMIT + 1);
        assert!(again.unwrap().request_again().is_none());
    }
}
