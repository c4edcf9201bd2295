//! The hook that hears of every finished request. Costs a branch per request while nobody listens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Method, StatusCode};

type RecordHook = Arc<dyn Fn(&RequestRecord<'_>) + Send + Sync>;

/// Who is told of finished requests.
#[derive(Clone, Default)]
pub struct RequestLog(Option<RecordHook>);

/// One finished request: its answer was sent whole, or the client went away.
#[derive(Debug)]
pub struct RequestRecord<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The path that the client asked for, as it came: percent-encoded, without the query, which may hold secrets.
    pub path: &'a str,
    /// The status of the answer.
    pub status: StatusCode,
    /// Octets of the request body that were read.
    pub bytes_in: u64,
    /// Octets of the response body that were sent.
    pub bytes_out: u64,
    /// From the request's head to the end of the answer; of a WebSocket, to its end.
    pub duration: Duration,
    /// Label of the site that answered; `None` where the request never got that far.
    pub site: Option<&'a str>,
    /// What the upstream attached to its answer: its transport, the Pod.
    pub extensions: &'a Extensions,
}

impl RequestLog {
    /// Nobody is told.
    pub fn off() -> Self {
        Self(None)
    }

    /// `hook` is called once per request, on the task that served it: it must not block.
    pub fn new(hook: impl Fn(&RequestRecord<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(crate) fn hook(&self) -> Option<&RecordHook> {
        self.0.as_ref()
    }
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "RequestLog(on)" } else { "RequestLog(off)" })
    }
}
