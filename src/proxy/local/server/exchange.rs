//! Bodies that know when they end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{Extensions, Method, Request, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::RunningAnswer;
use super::request_log::{RequestLog, RequestRecord};
use super::stats::{OctetMeter, OngoingActivity};
use crate::message::body::BoxError;
use crate::proxy::upstream::Body;

/// What lasts as long as one request: from its head to the last octet of its answer, or to the end of its tunnel.
#[derive(Debug)]
pub(crate) struct Exchange {
    busy: OngoingActivity,
    _answering: Option<RunningAnswer>,
    entry: Option<Box<LogEntry>>,
}

/// What is told to the log at the end.
#[derive(Debug)]
struct LogEntry {
    log: RequestLog,
    started: Instant,
    method: Method,
    path: String,
    status: StatusCode,
    bytes_in: Arc<AtomicU64>,
    bytes_out: u64,
    site: Option<String>,
    extensions: Extensions,
}

impl Exchange {
    pub(crate) fn new(
        busy: OngoingActivity,
        answering: RunningAnswer,
        log: &RequestLog,
        request: &Request<Incoming>,
    ) -> Self {
        let entry = log.hook().is_some().then(|| {
            Box::new(LogEntry {
                log: log.clone(),
                started: Instant::now(),
                method: request.method().clone(),
                path: request.uri().path().to_owned(),
                status: StatusCode::OK,
                bytes_in: Arc::default(),
                bytes_out: 0,
                site: None,
                extensions: Extensions::new(),
            })
        });
        Self { busy, _answering: Some(answering), entry }
    }

    /// The site is known.
    pub(crate) fn at_site(&mut self, label: &str) {
        if let Some(entry) = &mut self.entry {
            entry.site = Some(label.to_owned());
        }
    }

    /// The answer's head is known.
    pub(crate) fn answered(&mut self, status: StatusCode, extensions: &mut Extensions) {
        if let Some(entry) = &mut self.entry {
            entry.status = status;
            entry.extensions = std::mem::take(extensions);
        }
    }

    /// `body`, counted if anybody wants to know.
    pub(crate) fn watch_request(&self, body: Incoming) -> Body {
        let meter = self.busy.meter();
        if body.is_end_stream() || (meter.is_none() && self.entry.is_none()) {
            return Body::Incoming(body);
        }
        let octets = self.entry.as_ref().map(|entry| Arc::clone(&entry.bytes_in)).unwrap_or_default();
        Body::boxed(CountedRequest { body, octets, meter })
    }

    /// Octets that a tunnel has just carried, in whichever direction.
    pub(crate) fn tunnels(&self, octets: usize) {
        self.busy.carried(octets as u64);
    }

    /// Octets that a tunnel carried.
    pub(crate) fn tunnelled(&mut self, from_client: u64, to_client: u64) {
        if let Some(entry) = &mut self.entry {
            entry.bytes_in.fetch_add(from_client, Ordering::Relaxed);
            entry.bytes_out += to_client;
        }
    }

    /// The connection is the tunnel's now, and its HTTP side has nothing left to answer.
    pub(crate) fn left_http(&mut self) {
        self._answering = None;
        self.busy.tunnels();
    }

    fn sent(&mut self, octets: usize) {
        self.busy.carried(octets as u64);
        if let Some(entry) = &mut self.entry {
            entry.bytes_out += octets as u64;
        }
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        let record = RequestRecord {
            method: &self.method,
            path: &self.path,
            status: self.status,
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out,
            duration: self.started.elapsed(),
            site: self.site.as_deref(),
            extensions: &self.extensions,
        };
        if let Some(hook) = self.log.hook() {
            hook(&record);
        }
    }
}

/// A request body whose octets are counted.
struct CountedRequest {
    body: Incoming,
    octets: Arc<AtomicU64>,
    meter: Option<OctetMeter>,
}

impl HttpBody for CountedRequest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            self.octets.fetch_add(data.len() as u64, Ordering::Relaxed);
            if let Some(meter) = &self.meter {
                meter.carried(data.len() as u64);
            }
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

/// The body of an answer on its way to the client. The exchange ends when the server is done with it.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    body: Body,
    exchange: Option<Exchange>,
}

impl ReplyBody {
    pub(crate) fn new(body: Body, exchange: Exchange) -> Self {
        Self { body, exchange: Some(exchange) }
    }

    /// Nothing: the exchange goes on elsewhere.
    pub(crate) fn nothing() -> Self {
        Self { body: Body::Empty, exchange: None }
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let (Some(exchange), Some(Ok(frame))) = (&mut this.exchange, &frame) {
            exchange.sent(frame.data_ref().map_or(0, Bytes::len));
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
