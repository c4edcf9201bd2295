//! Who is told when the byte stream of a `101` is cut.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Notices;
use super::cuts::{RecentCuts, WebSocketCut};
use crate::lock::lock;
use crate::message::byte_stream::ByteStream;
use crate::message::upgraded_stream::wrap_stream;

/// Tells once when one Target's WebSockets are cut after always the same time. A clone is the same.
#[derive(Clone)]
pub(super) struct CutWatch(Arc<CutWatchShared>);

struct CutWatchShared {
    service: String,
    notices: Notices,
    began: Instant,
    /// `None` once it was told.
    cuts: Mutex<Option<RecentCuts>>,
}

impl CutWatch {
    /// Watches the WebSockets of `service`.
    pub(super) fn new(service: &str, notices: Notices) -> Self {
        let cuts = Mutex::new(Some(RecentCuts::default()));
        Self(Arc::new(CutWatchShared { service: service.to_owned(), notices, began: Instant::now(), cuts }))
    }

    /// Watches the stream of `answer`, which is a `101`.
    pub(super) fn attach_to<B>(&self, answer: &mut Response<B>) {
        let watch = self.clone();
        wrap_stream(answer, move |stream| watch.around(stream));
    }

    fn around(&self, stream: ByteStream) -> ByteStream {
        let (watch, now) = (self.clone(), Instant::now());
        let (from_service, to_service) = (LastOctets::default(), LastOctets::default());
        Box::new(WatchedStream { stream, watch, began: now, last: now, from_service, to_service, is_over: false })
    }

    fn note(&self, began: Instant, last: Instant) {
        let CutWatchShared { service, notices, began: start, cuts } = &*self.0;
        let now = Instant::now();
        let cut = WebSocketCut { at: now - *start, life: now - began, idle: now - last };
        tracing::debug!(?cut, "a WebSocket ended without a close");
        let mut cuts = lock(cuts);
        if let Some(limit) = cuts.as_mut().and_then(|cuts| cuts.note(cut)) {
            *cuts = None;
            notices.tell(format_args!("{service}: WebSockets are {limit}"));
        }
    }
}

/// A stream of which it is noted how it ends.
struct WatchedStream {
    stream: ByteStream,
    watch: CutWatch,
    began: Instant,
    last: Instant,
    from_service: LastOctets,
    to_service: LastOctets,
    /// Nothing that comes now counts as a cut.
    is_over: bool,
}

/// Octets of a mask (RFC 6455 section 5.2); clients mask, servers do not.
const MASK: usize = 4;
/// Octets of the longest close frame: two, a mask, and up to 125 of content (RFC 6455 section 5.5).
const LONGEST_CLOSE: usize = 2 + MASK + 125;

impl WatchedStream {
    /// The Service's side has ended.
    fn ended(&mut self) {
        if self.is_over {
            return;
        }
        self.is_over = true;
        if !self.from_service.is_close(false) && !self.to_service.is_close(true) {
            self.watch.note(self.began, self.last);
        }
    }
}

/// The last octets of a direction, as many as a close frame may have.
#[derive(Default)]
struct LastOctets(Vec<u8>);

impl LastOctets {
    fn push(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(&octets[octets.len().saturating_sub(LONGEST_CLOSE)..]);
        self.0.drain(..self.0.len().saturating_sub(LONGEST_CLOSE));
    }

    /// Whether they end in a close frame. Other octets may look like one, and then a cut is missed.
    fn is_close(&self, is_masked: bool) -> bool {
        const CLOSE: u8 = 0x88;
        let (mask, bit) = if is_masked { (MASK, 0x80) } else { (0, 0) };
        (0..=125_u8).any(|content| {
            let length = 2 + mask + usize::from(content);
            self.0.len() >= length && self.0[self.0.len() - length..].starts_with(&[CLOSE, bit | content])
        })
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let Poll::Ready(result) = &read else { return read };
        match &buffer.filled()[before..] {
            octets if result.is_ok() && !octets.is_empty() => {
                this.last = Instant::now();
                this.from_service.push(octets);
            }
            _ => this.ended(),
        }
        read
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, octets);
        if let Poll::Ready(Ok(count)) = &written {
            this.last = Instant::now();
            this.to_service.push(&octets[..*count]);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    /// The page has ended it.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_over = true;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::time::advance;

    struct Stage {
        watch: CutWatch,
        told: Arc<Mutex<Vec<String>>>,
    }

    impl Stage {
        fn new() -> Self {
            let told = Arc::new(Mutex::new(Vec::new()));
            let tell = told.clone();
            let watch = CutWatch::new("web", Notices::new(move |line| tell.lock().unwrap().push(line.to_owned())));
            Self { watch, told }
        }

        fn open(&self) -> (ByteStream, DuplexStream) {
            let (near, far) = tokio::io::duplex(4096);
            (self.watch.around(Box::new(near)), far)
        }

        fn told(&self) -> Vec<String> {
            self.told.lock().unwrap().clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_told_once() {
        let stage = Stage::new();
        for _ in 0..4 {
            let (mut near, mut far) = stage.open();
            far.write_all(b"\x81\x05hello").await.unwrap();
            near.read_exact(&mut [0; 7]).await.unwrap();
            advance(Duration::from_secs(60)).await;
            drop(far);
            assert_eq!(near.read(&mut [0; 7]).await.unwrap(), 0);
            assert_eq!(near.read(&mut [0; 7]).await.unwrap(), 0);
        }
        let told = stage.told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("web: WebSockets are cut when nothing has passed for 60 s, "), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn traffic_either_way_is_traffic() {
        let stage = Stage::new();
        for _ in 0..2 {
            let (mut near, mut far) = stage.open();
            for _ in 0..10 {
                advance(Duration::from_secs(30)).await;
                near.write_all(b"ping").await.unwrap();
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
            drop(far);
            assert_eq!(near.read(&mut [0; 7]).await.unwrap(), 0);
        }
        let told = stage.told();
        assert!(told[0].starts_with("web: WebSockets are cut 300 s after they begin, "), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_by_either_side_is_no_cut() {
        let stage = Stage::new();
        for _ in 0..3 {
            let (mut near, mut far) = stage.open();
            far.write_all(b"\x81\x05hello\x88\x06\x03\xe8done").await.unwrap();
            near.read_exact(&mut [0; 15]).await.unwrap();
            advance(Duration::from_secs(60)).await;
            drop(far);
            assert_eq!(near.read(&mut [0; 7]).await.unwrap(), 0);

            let (mut near, far) = stage.open();
            near.write_all(b"\x88\x82mask\x03\xe8").await.unwrap();
            advance(Duration::from_secs(60)).await;
            drop(far);
            let _ = near.read(&mut [0; 7]).await;

            let (mut near, far) = stage.open();
            advance(Duration::from_secs(60)).await;
            near.shutdown().await.unwrap();
            drop(far);
            assert_eq!(near.read(&mut [0; 7]).await.unwrap(), 0);
        }
        assert!(stage.told().is_empty(), "{:?}", stage.told());
    }

    #[test]
    fn the_last_octets_are_kept() {
        let (mut tail, mut all) = (LastOctets::default(), Vec::new());
        for (number, length) in (0..).zip([1, 0, 100, 29, 1, 1, 60, 131, 3, 1000, 130]) {
            let piece = vec![number; length];
            tail.push(&piece);
            all.extend(piece);
            assert_eq!(tail.0, all[all.len().saturating_sub(LONGEST_CLOSE)..], "after {number}");
        }
    }

    #[test]
    fn close_frames() {
        let check = |octets: &[u8], is_masked: bool, expect: bool| {
            let mut tail = LastOctets::default();
            tail.push(octets);
            assert_eq!(tail.is_close(is_masked), expect, "{octets:?}");
        };
        let longest = [&b"\x88\x7d"[..], &[7; 125]].concat();
        let masked = [&b"\x88\xfdmask"[..], &[7; 125]].concat();
        check(b"", false, false);
        check(b"\x88\x00", false, true);
        check(b"\x88\x00", true, false);
        check(b"\x88\x80mask", true, true);
        check(b"text\x88\x02\x03\xe8", false, true);
        check(b"text\x88\x02\x03\xe8x", false, false);
        check(&[&[9; 1000][..], &longest[..]].concat(), false, true);
        check(&[&[9; 1000][..], &masked[..]].concat(), true, true);
    }
}
