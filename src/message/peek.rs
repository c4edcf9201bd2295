//! The beginning of an answer, read without taking it away.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;

use super::body::{Body, BoxError};

/// What [`peek`] saw.
pub(crate) struct PeekedBody {
    /// The octets at the beginning.
    pub(crate) start: Bytes,
    /// Whether they are all there is.
    pub(crate) whole: bool,
    /// The body, as if nobody had looked.
    pub(crate) body: Body,
}

/// Reads `body` until `enough` says so of what has come so far, or to its end.
pub(crate) async fn peek(mut body: Body, enough: impl Fn(&[u8]) -> bool) -> PeekedBody {
    let mut start = BytesMut::new();
    let mut seen = VecDeque::new();
    let mut failed = false;
    while !failed && !enough(&start) {
        let Some(frame) = body.frame().await else { break };
        if let Ok(Some(data)) = frame.as_ref().map(Frame::data_ref) {
            start.extend_from_slice(data);
        }
        failed = frame.is_err();
        seen.push_back(frame);
    }
    if failed {
        body = Body::Empty;
    }
    let whole = !failed && !enough(&start);
    PeekedBody { start: start.freeze(), whole, body: Body::boxed(RejoinedBody { seen, rest: body }) }
}

/// Frames that were looked at, then those that were not.
struct RejoinedBody {
    seen: VecDeque<Result<Frame<Bytes>, BoxError>>,
    rest: Body,
}

impl HttpBody for RejoinedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match this.seen.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut this.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.seen.is_empty() && self.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::StreamBody;

    fn body(parts: &'static [&'static str]) -> Body {
        let frames = parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
        Body::boxed(StreamBody::new(stream::iter(frames)))
    }

    async fn check(parts: &'static [&'static str], limit: usize, start: &str, whole: bool) {
        let peeked = peek(body(parts), |seen| seen.len() >= limit).await;
        assert_eq!((peeked.start.as_ref(), peeked.whole), (start.as_bytes(), whole), "{parts:?}");
        let all = peeked.body.collect().await.unwrap().to_bytes();
        assert_eq!(all, parts.concat(), "nothing is lost");
    }

    #[tokio::test]
    async fn nothing_is_taken_away() {
        check(&[], 4, "", true).await;
        check(&["ab"], 4, "ab", true).await;
        check(&["ab", "cd", "ef"], 4, "abcd", false).await;
        check(&["abcdef"], 1, "abcdef", false).await;
    }

    #[tokio::test]
    async fn an_error_stays_where_it_was() {
        let frames = [Ok(Frame::data(Bytes::from_static(b"ab"))), Err(BoxError::from("cut"))];
        let peeked = peek(Body::boxed(StreamBody::new(stream::iter(frames))), |seen| seen.len() >= 9).await;
        assert!(!peeked.whole);
        assert_eq!(peeked.body.collect().await.unwrap_err().to_string(), "cut");
    }
}
