//! Who is told when the byte stream of a `101` is cut, unless that was with the API server: then it has nothing to do with how
//! long the stream was open.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
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

/// Whether the API server answers now.
type IsThere = dyn Fn() -> BoxFuture<'static, bool> + Send + Sync;

struct CutWatchShared {
    service: String,
    notices: Notices,
    began: Instant,
    is_there: Box<IsThere>,
    /// When that was asked last, and what came out.
    asked: tokio::sync::Mutex<Option<(Instant, bool)>>,
    /// `None` once it was told.
    cuts: Mutex<Option<RecentCuts>>,
}

impl CutWatch {
    /// Watches the WebSockets of `service`; `is_there` asks whether the API server answers.
    pub(super) fn new(
        service: &str,
        notices: Notices,
        is_there: impl Fn() -> BoxFuture<'static, bool> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(CutWatchShared {
            service: service.to_owned(),
            notices,
            began: Instant::now(),
            is_there: Box::new(is_there),
            asked: tokio::sync::Mutex::default(),
            cuts: Mutex::new(Some(RecentCuts::default())),
        }))
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

    /// A WebSocket was cut, which began and carried something `last` then.
    fn note(self, began: Instant, last: Instant) {
        let now = Instant::now();
        let cut = WebSocketCut { at: now - self.0.began, life: now - began, idle: now - last };
        tokio::spawn(async move {
            let is_there = self.is_there_since(now).await;
            tracing::debug!(?cut, is_there, "a WebSocket ended without a close");
            if is_there {
                self.compare(cut);
            }
        });
    }

    fn compare(&self, cut: WebSocketCut) {
        let CutWatchShared { service, notices, cuts, .. } = &*self.0;
        let mut cuts = lock(cuts);
        if let Some(limit) = cuts.as_mut().and_then(|cuts| cuts.note(cut)) {
            *cuts = None;
            notices.tell(format_args!("{service}: WebSockets are {limit}"));
        }
    }

    /// Whether the API server answers somebody who asks at `moment` or later. Of many that are cut at once one asks.
    async fn is_there_since(&self, moment: Instant) -> bool {
        let mut asked = self.0.asked.lock().await;
        match *asked {
            Some((at, is_there)) if at >= moment => is_there,
            _ => {
                let now = Instant::now();
                let is_there = (self.0.is_there)().await;
                *asked = Some((now, is_there));
                is_there
            }
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
            self.watch.clone().note(self.began, self.last);
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
        /// How often it was asked whether the API server is there.
        asked: Arc<Mutex<usize>>,
    }

    impl Stage {
        /// An API server that answers, or none.
        fn new(is_there: bool) -> Self {
            let (told, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
            let (tell, count) = (told.clone(), asked.clone());
            let notices = Notices::new(move |line| tell.lock().unwrap().push(line.to_owned()));
            let ask = move || -> BoxFuture<'static, bool> {
                *count.lock().unwrap() += 1;
                Box::pin(std::future::ready(is_there))
            };
            Self { watch: CutWatch::new("web", notices, ask), told, asked }
        }

        /// One that lives for a minute and is cut while it is silent.
        async fn live_for_a_minute(&self) {
            let (mut near, mut far) = self.open();
            far.write_all(b"\x81\x05hello").await.unwrap();
            near.read_exact(&mut [0; 7]).await.unwrap();
            advance(Duration::from_secs(60)).await;
            drop(far);
            assert_eq!(near.read(&mut [0; 7]).await.unwrap(), 0);
            assert_eq!(near.read(&mut [0; 7]).await.unwrap(), 0);
            drop(near);
            self.judged().await;
        }

        /// Every cut so far is judged.
        async fn judged(&self) {
            while Arc::strong_count(&self.watch.0) > 1 {
                tokio::task::yield_now().await;
            }
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
        let stage = Stage::new(true);
        for _ in 0..4 {
            stage.live_for_a_minute().await;
        }
        let told = stage.told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("web: WebSockets are cut when nothing has passed for 60 s, "), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_cut_with_the_api_server_shows_no_limit() {
        let stage = Stage::new(false);
        for _ in 0..4 {
            stage.live_for_a_minute().await;
        }
        assert_eq!((stage.told().len(), *stage.asked.lock().unwrap()), (0, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_that_are_cut_at_once_one_asks() {
        let stage = Stage::new(true);
        let open: Vec<_> = (0..100).map(|_| stage.open()).collect();
        advance(Duration::from_secs(60)).await;
        for (mut near, far) in open {
            drop(far);
            assert_eq!(near.read(&mut [0; 7]).await.unwrap(), 0);
        }
        stage.judged().await;
        assert_eq!(*stage.asked.lock().unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn traffic_either_way_is_traffic() {
        let stage = Stage::new(true);
        for _ in 0..2 {
            let (mut near, mut far) = stage.open();
            for _ in 0..10 {
                advance(Duration::from_secs(30)).await;
                near.write_all(b"ping").await.unwrap();
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
            drop(far);
            assert_eq!(near.read(&mut [0; 7]).await.unwrap(), 0);
            drop(near);
            stage.judged().await;
        }
        let told = stage.told();
        assert!(told[0].starts_with("web: WebSockets are cut 300 s after they begin, "), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_by_either_side_is_no_cut() {
        let stage = Stage::new(true);
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
