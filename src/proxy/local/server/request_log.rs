//! The hook that hears of requests. Costs a branch per request while nobody listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Extensions, Method, StatusCode};

/// Called on the task that served the request: it must not block.
type RecordHook = Box<dyn Fn(&RequestRecord) + Send + Sync>;

/// Who is told of requests, and whether that is wanted at the moment. Clones are the same.
#[derive(Clone)]
pub struct RequestLog(Arc<RequestHook>);

struct RequestHook {
    tell: RecordHook,
    is_on: AtomicBool,
}

/// One request.
#[derive(Default)]
pub struct RequestRecord {
    /// Whether it goes on: a WebSocket that has just opened, and will be told of again at its end.
    pub is_open: bool,
    /// Its method.
    pub method: Method,
    /// The path that the client asked for, as it came: percent-encoded, without the query.
    pub path: String,
    /// The query, as it came; it may hold secrets.
    pub query: Option<String>,
    /// The status of the answer.
    pub status: StatusCode,
    /// Octets of the request body that were read.
    pub bytes_in: u64,
    /// Octets of the response body that were sent.
    pub bytes_out: u64,
    /// From the request's head to the end of the answer, or so far.
    pub duration: Duration,
    /// Label of the site that answered; `None` where the request never got that far.
    pub site: Option<String>,
    /// What was attached to the answer: its transport and Pod, or a [`RefusalReason`].
    pub extensions: Extensions,
}

/// Why this program refused a request itself, and what would allow it: an extension of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalReason(pub String);

impl RequestLog {
    /// A log that is told of every request from now on, if it `is_on`.
    pub fn new(is_on: bool, tell: impl Fn(&RequestRecord) + Send + Sync + 'static) -> Self {
        Self(Arc::new(RequestHook { tell: Box::new(tell), is_on: AtomicBool::new(is_on) }))
    }

    /// Turns it on or off for requests that begin from now on; whether it is on then.
    pub fn toggle(&self) -> bool {
        !self.0.is_on.fetch_xor(true, Ordering::Relaxed)
    }

    /// Whether requests that begin now are told of.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::Relaxed)
    }

    pub(crate) fn tell(&self, record: &RequestRecord) {
        (self.0.tell)(record);
    }
}
