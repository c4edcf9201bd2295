//! A body that changes while it streams.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};

use crate::message::body::{Body, BoxError};

/// Header fields that vouch for the exact bytes of a body (RFC 9530, RFC 3230, RFC 1864).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Whether the body of this answer can be changed: there is one, in an encoding that can be undone.
pub(crate) fn is_possible(answer: &Response<Body>) -> bool {
    let bodiless = matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !bodiless
        && !answer.status().is_informational()
        && matches!(encoding(answer.headers()), b"" | b"gzip")
        && !answer.body().is_end_stream()
}

/// Changes the body of an answer for which that [is possible](is_possible), while it streams.
///
/// The answer loses what is no longer true of it: `Content-Length`, `Content-Encoding`, digests, and the strength of its
/// `ETag`.
pub(crate) fn rewrite(answer: Response<Body>, rewriter: impl PieceRewriter + 'static) -> Response<Body> {
    let (mut head, body) = answer.into_parts();
    let rewritten = RewrittenBody::new(body, encoding(&head.headers) == b"gzip", rewriter);
    forget_the_bytes(&mut head.headers);
    Response::from_parts(head, Body::boxed(rewritten))
}

fn encoding(headers: &HeaderMap) -> &[u8] {
    headers.get(header::CONTENT_ENCODING).map_or(b"", HeaderValue::as_bytes)
}

fn forget_the_bytes(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_ENCODING);
    for digest in DIGESTS {
        headers.remove(digest);
    }
    if let Some(tag) = headers.get_mut(header::ETAG) {
        weaken(tag);
    }
}

/// RFC 9110 8.8.1: a strong validator would promise the same bytes.
fn weaken(tag: &mut HeaderValue) {
    if tag.as_bytes().starts_with(b"\"") {
        let weak = [b"W/", tag.as_bytes()].concat();
        *tag = HeaderValue::from_bytes(&weak).expect("a field value with two letters in front is one");
    }
}

/// `source`, rewritten. A piece is worked on only when the reader asks for more, so the reader sets the pace and a page
/// that unpacks to far more than it was takes no more memory than any other.
struct RewrittenBody<R: PieceRewriter> {
    source: Body,
    stage: RewriteStage<R>,
    /// What came from `source` and is not worked on yet.
    pending: Bytes,
    is_at_end: bool,
    trailers: Option<HeaderMap>,
}

enum RewriteStage<R: PieceRewriter> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
}

/// Changes what is written to it, piece by piece.
pub(crate) trait PieceRewriter: Write + Send + Unpin {
    /// What is done.
    fn take(&mut self) -> Vec<u8>;

    /// Nothing more comes.
    fn end(&mut self);
}

impl<R: PieceRewriter> RewrittenBody<R> {
    /// What goes in compressed comes out plain: compressing again would only cost time, for a reader on the same machine.
    fn new(source: Body, is_gzip: bool, rewriter: R) -> Self {
        let stage = match is_gzip {
            true => RewriteStage::Gzip(Box::new(MultiGzDecoder::new(rewriter))),
            false => RewriteStage::Plain(rewriter),
        };
        Self { source, stage, pending: Bytes::new(), is_at_end: false, trailers: None }
    }

    /// Works on what is pending. A compressed piece is taken bit by bit: each call puts out some 32 KiB at most.
    fn work(&mut self) -> io::Result<()> {
        match &mut self.stage {
            RewriteStage::Plain(rewriter) => rewriter.write_all(&std::mem::take(&mut self.pending)),
            RewriteStage::Gzip(decoder) => {
                let taken = decoder.write(&self.pending)?;
                self.pending.advance(taken);
                match self.pending.is_empty() {
                    _ if taken == 0 => Err(io::ErrorKind::InvalidData.into()),
                    true => decoder.flush(),
                    false => Ok(()),
                }
            }
        }
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        (self.is_at_end, self.trailers) = (true, trailers);
        if let RewriteStage::Gzip(decoder) = &mut self.stage {
            decoder.try_finish()?;
        }
        self.stage.rewriter().end();
        Ok(())
    }
}

impl<R: PieceRewriter> HttpBody for RewrittenBody<R> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            let done = this.stage.rewriter().take();
            if !done.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(done.into()))));
            }
            if !this.pending.is_empty() {
                this.work()?;
                continue;
            }
            if this.is_at_end {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            match ready!(Pin::new(&mut this.source).poll_frame(context)?) {
                Some(frame) => match frame.into_data() {
                    Ok(data) => this.pending = data,
                    Err(frame) => this.finish(frame.into_trailers().ok())?,
                },
                None => this.finish(None)?,
            }
        }
    }
}

impl<R: PieceRewriter> RewriteStage<R> {
    fn rewriter(&mut self) -> &mut R {
        match self {
            Self::Plain(rewriter) => rewriter,
            Self::Gzip(decoder) => decoder.get_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::html_links::rewriter::LinkRewriter;
    use crate::message::html_links::tests::gzip;
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    fn up(link: &str) -> Option<String> {
        link.strip_prefix("/p").map(str::to_owned)
    }

    fn body(frames: Vec<Frame<Bytes>>) -> Body {
        let frames = frames.into_iter().map(Ok::<_, BoxError>);
        Body::boxed(StreamBody::new(futures_util::stream::iter(frames)))
    }

    fn pieces(bytes: &[u8], size: usize) -> Body {
        body(bytes.chunks(size).map(|piece| Frame::data(Bytes::copy_from_slice(piece))).collect())
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn read(body: RewrittenBody<LinkRewriter>) -> Result<Vec<u8>, BoxError> {
        block_on(body.collect()).map(|all| all.to_bytes().to_vec())
    }

    #[test]
    fn a_weak_tag_stays() {
        let mut tag = HeaderValue::from_static("W/\"x\"");
        weaken(&mut tag);
        assert_eq!(tag, "W/\"x\"");
    }

    const PAGE: &[u8] = b"<p>one <a href=\"/p/two\">two</a> \xff three";
    const EXPECT: &[u8] = b"<p>one <a href=\"/two\">two</a> \xff three";

    #[test]
    fn in_pieces_of_any_size() {
        for size in 1..=PAGE.len() {
            assert_eq!(read(RewrittenBody::new(pieces(PAGE, size), false, LinkRewriter::new(up))).unwrap(), EXPECT);
            assert_eq!(
                read(RewrittenBody::new(pieces(&gzip(PAGE), size), true, LinkRewriter::new(up))).unwrap(),
                EXPECT
            );
        }
    }

    #[test]
    fn a_piece_comes_out_before_the_next_goes_in() {
        let frames = futures_util::stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(PAGE)))]);
        let endless = futures_util::StreamExt::chain(frames, futures_util::stream::pending());
        let mut body = RewrittenBody::new(Body::boxed(StreamBody::new(endless)), false, LinkRewriter::new(up));
        let first = block_on(body.frame()).unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, EXPECT);
    }

    #[test]
    fn trailers_come_last() {
        let trailers = HeaderMap::from_iter([(http::header::SERVER, "x".parse().unwrap())]);
        let source = body(vec![Frame::data(Bytes::from_static(PAGE)), Frame::trailers(trailers.clone())]);
        let all = block_on(RewrittenBody::new(source, false, LinkRewriter::new(up)).collect()).unwrap();
        assert_eq!(all.trailers(), Some(&trailers));
        assert_eq!(all.to_bytes(), EXPECT);
    }

    #[test]
    fn members_follow_one_another() {
        let both = [gzip(PAGE), gzip(PAGE)].concat();
        assert_eq!(
            read(RewrittenBody::new(pieces(&both, 7), true, LinkRewriter::new(up))).unwrap(),
            [EXPECT, EXPECT].concat()
        );
    }

    #[test]
    fn half_a_page_is_an_error_and_so_is_nonsense() {
        let whole = gzip(PAGE);
        assert!(read(RewrittenBody::new(pieces(&whole[..whole.len() - 9], 7), true, LinkRewriter::new(up))).is_err());
        assert!(read(RewrittenBody::new(pieces(b"nonsense", 7), true, LinkRewriter::new(up))).is_err());
        assert!(
            read(RewrittenBody::new(pieces(&[whole, b"nonsense".to_vec()].concat(), 7), true, LinkRewriter::new(up)))
                .is_err()
        );
    }

    #[test]
    fn a_bomb_comes_out_in_small_pieces() {
        let zeros = gzip(&vec![0; 64 << 20]);
        let mut body = RewrittenBody::new(pieces(&zeros, zeros.len()), true, LinkRewriter::new(up));
        let mut total = 0;
        while let Some(frame) = block_on(body.frame()) {
            let size = frame.unwrap().into_data().unwrap().len();
            assert!(size <= 128 << 10, "{size}");
            total += size;
        }
        assert_eq!(total, 64 << 20);
    }

    proptest! {
        #[test]
        fn whatever_arrives_never_hangs(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..60) {
            let mut damaged = gzip(PAGE);
            let at = cut % damaged.len();
            damaged.splice(at..at, bytes);
            let _ = read(RewrittenBody::new(pieces(&damaged, 16), true, LinkRewriter::new(up)));
        }
    }
}
