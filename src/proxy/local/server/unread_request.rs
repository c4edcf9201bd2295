//! What a client is told whose request cannot be read. hyper answers that by itself, with a status and nothing else, and has
//! no setting for it; here its answer gets words on its way to the client.
//!
//! Only the first answer of a connection, before any request was read: behind others it could not be told from what a Service
//! said.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::message::capped_reads::{MAX_HEAD_LINES, MAX_HEAD_SIZE};
use crate::proxy::page::ERROR_HEADER;

/// For so long what the client still sends is read and forgotten: a connection that is closed before loses the answer.
const LINGERING_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a request was read on a connection. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct RequestSeen(Arc<AtomicBool>);

impl RequestSeen {
    /// There is one.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether there is one.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The writing side of a client's connection, as long as no request was read on it.
pub(super) struct FirstAnswer {
    seen: RequestSeen,
    /// What is written in place of the bare answer, and how much of it was.
    words: Option<(Vec<u8>, usize)>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl FirstAnswer {
    pub(super) fn new(seen: RequestSeen) -> Self {
        Self { seen, words: None, lingering: None }
    }

    /// Writes `octets` to `stream`, or the words that they stand for.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.words.is_none() && !self.is_over() {
            self.words = in_words(octets).map(|words| (words, 0));
        }
        let Some((words, at)) = self.words.as_mut().filter(|(words, at)| *at < words.len()) else {
            return Pin::new(stream).poll_write(context, octets);
        };
        while *at < words.len() {
            *at += ready!(Pin::new(&mut *stream).poll_write(context, &words[*at..]))?;
        }
        Poll::Ready(Ok(octets.len()))
    }

    /// Whether whatever is written now passes as it is.
    pub(super) fn is_over(&self) -> bool {
        self.seen.is_set()
    }

    /// Ends `stream`, and lets the client read what it was told.
    pub(super) fn poll_shutdown(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
            if self.words.is_none() {
                return Poll::Ready(Ok(()));
            }
        }
        let lingering = self.lingering.get_or_insert_with(|| Box::pin(sleep(LINGERING_TIMEOUT)));
        let mut buffer = [0; 16 * 1024];
        while lingering.as_mut().poll(context).is_pending() {
            let mut rest = ReadBuf::new(&mut buffer);
            let read = ready!(Pin::new(&mut *stream).poll_read(context, &mut rest));
            if read.is_err() || rest.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A whole answer that says why, in place of one that is only a status; `None` for another.
fn in_words(bare: &[u8]) -> Option<Vec<u8>> {
    let line = str::from_utf8(bare.split(|&octet| octet == b'\r').next()?).ok()?;
    let status = line.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse::<StatusCode>().ok()?;
    let (word, reason, way_out) = explain(status)?;
    let said = format!("kubectl svcproxy: {reason}.\n{way_out}\n");
    let head = format!(
        "{line}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\
         {ERROR_HEADER}: {word}\r\nContent-Length: {}\r\n\r\n",
        said.len()
    );
    Some((head + &said).into_bytes())
}

/// The statuses that hyper gives by itself (its `proto::h1::role`, `Server::on_error`): a word for programs, what is wrong,
/// and what to do.
fn explain(status: StatusCode) -> Option<(&'static str, String, &'static str)> {
    /// Octets of a target, which hyper takes no more of (`http::Uri`).
    const MAX_TARGET_LENGTH: usize = 65_534;
    Some(match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            "request-header-too-large",
            format!(
                "the request's header is too large: more than {} KiB, or more than {MAX_HEAD_LINES} lines",
                MAX_HEAD_SIZE / 1024
            ),
            "Delete the cookies of this address, or send less in the header.",
        ),
        StatusCode::URI_TOO_LONG => (
            "request-url-too-long",
            format!("the request's URL is too long: more than {MAX_TARGET_LENGTH} octets"),
            "Send it in the body of a POST.",
        ),
        StatusCode::BAD_REQUEST => (
            "unreadable-request",
            "the request cannot be read as HTTP/1.1: its first line or a header field has what none may have"
                .to_owned(),
            "Percent-encode control characters and blanks in the URL; take line ends and NUL out of the header.",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn only_what_is_bare() {
        let text = |bare: &[u8]| in_words(bare).map(|words| String::from_utf8(words).unwrap());
        let said = text(b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert!(said.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n"), "{said}");
        assert!(said.contains("more than 1024 KiB, or more than 1000 lines.\n"), "{said}");
        for other in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"HTTP/1.1 4", b"", b"\x81\x05hello"] {
            assert_eq!(text(other), None);
        }
    }

    /// A stream that hyper writes to.
    struct Written(tokio::io::DuplexStream, FirstAnswer);

    impl Written {
        async fn write(&mut self, octets: &[u8]) -> usize {
            std::future::poll_fn(|context| self.1.poll_write(&mut self.0, context, octets)).await.unwrap()
        }

        async fn shut_down(&mut self) {
            std::future::poll_fn(|context| self.1.poll_shutdown(&mut self.0, context)).await.unwrap();
        }
    }

    const BARE: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

    async fn written(seen: &RequestSeen) -> String {
        let (near, mut far) = tokio::io::duplex(7);
        let mut stream = Written(near, FirstAnswer::new(seen.clone()));
        let writing = async {
            assert_eq!(stream.write(BARE).await, if seen.is_set() { 7 } else { BARE.len() });
            stream.shut_down().await;
        };
        let reading = async {
            let mut read = String::new();
            far.read_to_string(&mut read).await.unwrap();
            far.shutdown().await.unwrap();
            read
        };
        tokio::join!(writing, reading).1
    }

    #[tokio::test]
    async fn words_before_the_first_request_only() {
        let seen = RequestSeen::default();
        let said = written(&seen).await;
        assert!(
            said.ends_with("out of the header.\n") && said.contains("svcproxy-error: unreadable-request"),
            "{said}"
        );
        seen.set();
        assert_eq!(written(&seen).await.as_bytes(), &BARE[..7]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_sent_is_waited_for_but_not_for_ever() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut stream = Written(near, FirstAnswer::new(RequestSeen::default()));
        stream.write(BARE).await;
        far.write_all(b"more").await.unwrap();
        let began = tokio::time::Instant::now();
        stream.shut_down().await;
        assert!(began.elapsed() >= LINGERING_TIMEOUT);
    }
}
