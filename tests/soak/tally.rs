//! What was done and what came of it: a failure counts against the program unless a disturbance explains it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use http::StatusCode;

use crate::client::{Door, Failure, Site};
use crate::faults::FaultKind;
use crate::stage::SERVICES;

/// So many complaints are told in full.
const MAX_COMPLAINTS: usize = 50;

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LoadKind {
    Download,
    ChunkedDownload,
    SlowDownload,
    CutDownload,
    Upload,
    ChunkedUpload,
    Post,
    Page,
    Refusal,
    EventStream,
    Event,
    WebSocket,
    WebSocketMessage,
    HangUp,
}

impl LoadKind {
    pub(crate) const ALL: [Self; 14] = [
        Self::Download,
        Self::ChunkedDownload,
        Self::SlowDownload,
        Self::CutDownload,
        Self::Upload,
        Self::ChunkedUpload,
        Self::Post,
        Self::Page,
        Self::Refusal,
        Self::EventStream,
        Self::Event,
        Self::WebSocket,
        Self::WebSocketMessage,
        Self::HangUp,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Download => "downloads of a known length",
            Self::ChunkedDownload => "downloads in chunks",
            Self::SlowDownload => "downloads by slow readers",
            Self::CutDownload => "downloads that the app breaks off",
            Self::Upload => "uploads of a known length",
            Self::ChunkedUpload => "uploads in chunks",
            Self::Post => "POSTs, each counted at the app",
            Self::Page => "pages in gzip",
            Self::Refusal => "answers of 503 by the app",
            Self::EventStream => "event streams",
            Self::Event => "events",
            Self::WebSocket => "WebSockets",
            Self::WebSocketMessage => "WebSocket messages and back",
            Self::HangUp => "clients that hang up in the middle",
        }
    }
}

/// How often, and how many octets were compared.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LoadSum {
    pub(crate) good: u64,
    /// Failed while something was disturbed.
    pub(crate) excused: u64,
    pub(crate) octets: u64,
}

/// A time in which requests may fail.
struct Disturbance {
    kind: FaultKind,
    /// `None`: every Service.
    service: Option<usize>,
    from: Instant,
    until: Option<Instant>,
}

/// Everything that is counted.
#[derive(Default)]
pub(crate) struct Tally {
    sums: Mutex<BTreeMap<LoadKind, LoadSum>>,
    disturbances: Mutex<Vec<Disturbance>>,
    complaints: Mutex<Vec<String>>,
    oldest_socket: Mutex<f64>,
}

impl Tally {
    /// What `kind` of load came to, which was begun at `began`; a success is of so many octets.
    pub(crate) fn note(
        &self,
        kind: LoadKind,
        at: (&Site, Door),
        began: Instant,
        outcome: Result<u64, Failure>,
    ) -> bool {
        let is_good = outcome.is_ok();
        let mut sums = self.sums.lock().unwrap();
        let sum = sums.entry(kind).or_default();
        match outcome {
            Ok(octets) => {
                sum.good += 1;
                sum.octets += octets;
            }
            Err(failure) if self.explains(&failure, at.0.service, began) => sum.excused += 1,
            Err(failure) => {
                drop(sums);
                let (run, service, door, took) = (at.0.run, SERVICES[at.0.service], at.1, began.elapsed());
                self.complain(format!(
                    "{}, {run}, Service {service}, {door:?}, after {took:.1?}: {failure}",
                    kind.name()
                ));
            }
        }
        is_good
    }

    fn explains(&self, failure: &Failure, service: usize, began: Instant) -> bool {
        let disturbances = self.disturbances.lock().unwrap();
        let mut overlapping = disturbances.iter().filter(|disturbance| {
            disturbance.service.is_none_or(|disturbed| disturbed == service)
                && disturbance.until.is_none_or(|until| began <= until)
        });
        match failure {
            Failure::Cut(_) => overlapping.next().is_some(),
            Failure::Refused(status, _) => overlapping.any(|disturbance| disturbance.kind.explains(*status)),
            Failure::Hang(_) | Failure::Wrong(_) => false,
        }
    }

    pub(crate) fn complain(&self, complaint: String) {
        let mut complaints = self.complaints.lock().unwrap();
        if complaints.len() < MAX_COMPLAINTS {
            println!("WRONG: {complaint}");
        }
        complaints.push(complaint);
    }

    pub(crate) fn complaints(&self) -> usize {
        self.complaints.lock().unwrap().len()
    }

    /// Something is disturbed from now on, until what is returned is given to [`Tally::calm`].
    pub(crate) fn disturb(&self, kind: FaultKind, service: Option<usize>) -> usize {
        let mut disturbances = self.disturbances.lock().unwrap();
        disturbances.push(Disturbance { kind, service, from: Instant::now(), until: None });
        disturbances.len() - 1
    }

    pub(crate) fn calm(&self, disturbance: usize) {
        self.disturbances.lock().unwrap()[disturbance].until = Some(Instant::now());
    }

    /// Each disturbance so far, in order.
    pub(crate) fn faults(&self) -> Vec<(FaultKind, Instant)> {
        self.disturbances.lock().unwrap().iter().map(|disturbance| (disturbance.kind, disturbance.from)).collect()
    }

    pub(crate) fn sum(&self, kind: LoadKind) -> LoadSum {
        self.sums.lock().unwrap().get(&kind).copied().unwrap_or_default()
    }

    /// A WebSocket was open since `opened`.
    pub(crate) fn note_age(&self, opened: Instant) {
        let mut oldest = self.oldest_socket.lock().unwrap();
        *oldest = oldest.max(opened.elapsed().as_secs_f64());
    }

    /// In seconds.
    pub(crate) fn oldest_socket(&self) -> f64 {
        *self.oldest_socket.lock().unwrap()
    }
}

impl FaultKind {
    /// Whether it can be why a request was refused. An API server that starts does not know yet who may do what.
    fn explains(self, status: StatusCode) -> bool {
        let by_starting = matches!(status.as_u16(), 401 | 403 | 404 | 429) && self.stops_the_api_server();
        status.is_server_error() || by_starting
    }
}
