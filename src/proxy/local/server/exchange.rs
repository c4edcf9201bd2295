//! Bodies that know when they end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Extensions, Request, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::RunningAnswer;
use super::request_log::{RecordHook, RequestLog, RequestRecord};
use super::stats::{OngoingActivity, TrafficStats};
use crate::message::body::{Body, BoxError};

/// What lasts as long as one request: from its head to the last octet of its answer, or to the end of its tunnel.
pub(crate) struct Exchange {
    busy: OngoingActivity,
    _answering: Option<RunningAnswer>,
    entry: Option<Box<LogEntry>>,
}

/// What is told to the log at the end.
struct LogEntry {
    hook: RecordHook,
    started: Instant,
    /// Octets of the request body, which is read elsewhere.
    bytes_in: Arc<AtomicU64>,
    record: RequestRecord,
}

impl Exchange {
    pub(crate) fn new(
        busy: OngoingActivity,
        answering: RunningAnswer,
        log: &RequestLog,
        request: &Request<Incoming>,
    ) -> Self {
        let entry = log.as_ref().map(|hook| Box::new(LogEntry::new(hook.clone(), request)));
        Self { busy, _answering: Some(answering), entry }
    }

    /// The site is known.
    pub(crate) fn at_site(&mut self, label: &str) {
        if let Some(entry) = &mut self.entry {
            entry.record.site = Some(label.to_owned());
        }
    }

    /// The answer's head is known.
    pub(crate) fn answered(&mut self, status: StatusCode, extensions: &mut Extensions) {
        if let Some(entry) = &mut self.entry {
            entry.record.status = status;
            entry.record.extensions = std::mem::take(extensions);
        }
    }

    /// `body`, counted if anybody wants to know.
    pub(crate) fn watch_request(&self, body: Incoming) -> Body {
        let stats = self.busy.watched_stats();
        if body.is_end_stream() || (stats.is_none() && self.entry.is_none()) {
            return Body::Incoming(body);
        }
        let octets = self.entry.as_ref().map(|entry| Arc::clone(&entry.bytes_in)).unwrap_or_default();
        Body::boxed(CountedBody { body, counter: RequestCounter { octets, stats } })
    }

    /// Octets that a tunnel has just carried, in whichever direction.
    pub(crate) fn tunnels(&self, octets: usize) {
        self.busy.carried(octets as u64);
    }

    /// Octets that a tunnel carried.
    pub(crate) fn tunnelled(&mut self, from_client: u64, to_client: u64) {
        if let Some(entry) = &mut self.entry {
            entry.bytes_in.fetch_add(from_client, Ordering::Relaxed);
            entry.record.bytes_out += to_client;
        }
    }

    /// The connection is the tunnel's now, and its HTTP side has nothing left to answer.
    pub(crate) fn left_http(&mut self) {
        self._answering = None;
        self.busy.tunnels();
    }
}

impl LogEntry {
    fn new(hook: RecordHook, request: &Request<Incoming>) -> Self {
        let record = RequestRecord {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            status: StatusCode::OK,
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
            site: None,
            extensions: Extensions::new(),
        };
        Self { hook, started: Instant::now(), bytes_in: Arc::default(), record }
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        self.record.bytes_in = self.bytes_in.load(Ordering::Relaxed);
        self.record.duration = self.started.elapsed();
        (self.hook)(&self.record);
    }
}

/// Who is told how many octets a body has just carried.
pub(crate) trait OctetCounter {
    fn count(&mut self, octets: usize);
}

/// A body whose octets are counted.
pub(crate) struct CountedBody<B, C> {
    body: B,
    counter: C,
}

/// The body of an answer on its way to the client. The exchange ends when the server is done with it; without one, it
/// goes on elsewhere.
pub(crate) type ReplyBody = CountedBody<Body, Option<Exchange>>;

impl ReplyBody {
    pub(crate) fn new(body: Body, exchange: Option<Exchange>) -> Self {
        Self { body, counter: exchange }
    }
}

impl OctetCounter for Option<Exchange> {
    fn count(&mut self, octets: usize) {
        let Some(exchange) = self else { return };
        exchange.busy.carried(octets as u64);
        if let Some(entry) = &mut exchange.entry {
            entry.record.bytes_out += octets as u64;
        }
    }
}

struct RequestCounter {
    octets: Arc<AtomicU64>,
    stats: Option<TrafficStats>,
}

impl OctetCounter for RequestCounter {
    fn count(&mut self, octets: usize) {
        self.octets.fetch_add(octets as u64, Ordering::Relaxed);
        if let Some(stats) = &self.stats {
            stats.carried(octets as u64);
        }
    }
}

impl<B, C> HttpBody for CountedBody<B, C>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
    C: OctetCounter + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            this.counter.count(data.len());
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
