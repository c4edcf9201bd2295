//! Bodies that know when they end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{Extensions, Request, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::RunningAnswer;
use super::request_log::{RequestLog, RequestRecord};
use super::stats::{OngoingActivity, TrafficStats};
use crate::message::body::{Body, BoxError};
use crate::message::client_kind::LOOK_HEADER;
use crate::proxy::local::server_state::LocalProxy;

/// What lasts as long as one request: from its head to the last octet of its answer, or to the end of its tunnel.
pub(crate) struct Exchange {
    busy: OngoingActivity,
    _answering: Option<RunningAnswer>,
    entry: Option<Box<LogEntry>>,
}

/// What is told to the log at the end.
struct LogEntry {
    log: RequestLog,
    started: Instant,
    bytes_in: Arc<AtomicU64>,
    bytes_out: Arc<AtomicU64>,
    record: RequestRecord,
}

impl Exchange {
    pub(crate) fn new(local: &LocalProxy, answering: RunningAnswer, request: &Request<Incoming>) -> Self {
        let entry = |log: &RequestLog| {
            let (path, query) = (request.uri().path().to_owned(), request.uri().query().map(str::to_owned));
            let record = RequestRecord { method: request.method().clone(), path, query, ..RequestRecord::default() };
            let (log, started) = (log.clone(), Instant::now());
            Box::new(LogEntry { log, started, bytes_in: Arc::default(), bytes_out: Arc::default(), record })
        };
        let is_look = request.headers().contains_key(LOOK_HEADER);
        let log = local.log.as_ref().filter(|log| log.is_on() && !is_look);
        let busy = if is_look { local.activity.begin_uncounted() } else { local.activity.begin() };
        Self { busy, _answering: Some(answering), entry: log.map(entry) }
    }

    /// The site is known.
    pub(crate) fn at_site(&mut self, label: &str) {
        if let Some(entry) = &mut self.entry {
            entry.record.site = Some(label.to_owned());
        }
    }

    /// The answer's head is known.
    pub(crate) fn answered(&mut self, status: StatusCode, extensions: &mut Extensions) {
        self.busy.answered(status);
        if let Some(entry) = &mut self.entry {
            entry.record.status = status;
            entry.record.extensions = extensions.clone();
        }
    }

    /// `body`, counted if anybody wants to know.
    pub(crate) fn watch_request(&self, body: Incoming) -> Body {
        if body.is_end_stream() || (!self.busy.stats.is_watched() && self.entry.is_none()) {
            return Body::Incoming(body);
        }
        Body::boxed(CountedBody { body: Body::Incoming(body), counter: self.counter_of_client(), exchange: None })
    }

    /// Counts what comes from the client.
    pub(crate) fn counter_of_client(&self) -> OctetCounter {
        self.counter(|entry| &entry.bytes_in)
    }

    /// Counts what goes to the client.
    pub(crate) fn counter_of_service(&self) -> OctetCounter {
        self.counter(|entry| &entry.bytes_out)
    }

    fn counter(&self, octets: impl Fn(&LogEntry) -> &Arc<AtomicU64>) -> OctetCounter {
        let logged = self.entry.as_ref().map(|entry| octets(entry).clone());
        OctetCounter { stats: self.busy.stats.clone(), logged }
    }

    /// The connection is the tunnel's now, and its HTTP side has nothing left to answer.
    pub(crate) fn left_http(&mut self) {
        self._answering = None;
        self.busy.tunnels();
        if let Some(entry) = &mut self.entry {
            entry.record.is_open = true;
            entry.tell();
            entry.record.is_open = false;
        }
    }
}

impl LogEntry {
    fn tell(&mut self) {
        self.record.bytes_in = self.bytes_in.load(Ordering::Relaxed);
        self.record.bytes_out = self.bytes_out.load(Ordering::Relaxed);
        self.record.duration = self.started.elapsed();
        self.log.tell(&self.record);
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Who is told how many octets a body or a tunnel has just carried in one direction.
pub(crate) struct OctetCounter {
    stats: TrafficStats,
    logged: Option<Arc<AtomicU64>>,
}

impl OctetCounter {
    pub(crate) fn count(&self, octets: usize) {
        self.stats.carried(octets as u64);
        if let Some(logged) = &self.logged {
            logged.fetch_add(octets as u64, Ordering::Relaxed);
        }
    }
}

/// A body whose octets are counted. The exchange ends when the server is done with the body of its answer; without one,
/// it goes on elsewhere.
pub(crate) struct CountedBody {
    body: Body,
    counter: OctetCounter,
    exchange: Option<Exchange>,
}

impl CountedBody {
    /// The body of an answer, with which `exchange` ends.
    pub(crate) fn ending(exchange: Exchange, body: Body) -> Self {
        Self { body, counter: exchange.counter_of_service(), exchange: Some(exchange) }
    }

    /// No body, of an answer after which the exchange goes on.
    pub(crate) fn without_end(counter: OctetCounter) -> Self {
        Self { body: Body::Empty, counter, exchange: None }
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(Err(_)), Some(exchange)) = (&frame, &mut self.exchange) {
            exchange.busy.failed();
        }
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            self.counter.count(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
