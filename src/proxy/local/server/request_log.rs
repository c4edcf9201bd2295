//! The hook that hears of every finished request. Costs a branch per request while nobody listens.

use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Method, StatusCode};

/// Called once per request, on the task that served it: it must not block.
pub(crate) type RecordHook = Arc<dyn Fn(&RequestRecord) + Send + Sync>;

/// Who is told of finished requests, if anybody is.
pub type RequestLog = Option<RecordHook>;

/// One finished request: its answer was sent whole, or the client went away.
#[derive(Default)]
pub struct RequestRecord {
    /// Its method.
    pub method: Method,
    /// The path that the client asked for, as it came: percent-encoded, without the query, which may hold secrets.
    pub path: String,
    /// The status of the answer.
    pub status: StatusCode,
    /// Octets of the request body that were read.
    pub bytes_in: u64,
    /// Octets of the response body that were sent.
    pub bytes_out: u64,
    /// From the request's head to the end of the answer; of a WebSocket, to its end.
    pub duration: Duration,
    /// Label of the site that answered; `None` where the request never got that far.
    pub site: Option<String>,
    /// What the upstream attached to its answer: its transport, the Pod.
    pub extensions: Extensions,
}
