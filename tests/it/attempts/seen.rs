//! What API server and app saw of one request of a client, in the order in which it arrived.

use std::collections::HashSet;
use std::time::Instant;

use http::HeaderMap;

use super::app::{Heard, Way, host_of};
use super::run::Before;
use support::fake::Recorded;

/// Everything that both saw so far.
pub(super) struct Sides {
    pub(super) api_server: Vec<Recorded>,
    pub(super) app: Vec<Heard>,
}

/// What both saw of one request.
pub(super) struct Seen {
    attempts: Vec<Attempt>,
    /// Whether the first connection that it took had brought something before.
    on_kept_connection: bool,
}

/// One time that the request was sent.
struct Attempt {
    way: Way,
    scheme: &'static str,
    /// Method and target.
    request: String,
    host: String,
    /// What the app answered, if it got there.
    outcome: Option<String>,
    notes: Vec<String>,
    at: Instant,
}

impl Seen {
    /// What was seen between `from` and `to`.
    pub(super) fn since(from: &Sides, to: &Sides) -> Self {
        let arrived = &to.api_server[from.api_server.len()..];
        let heard = &to.app[from.app.len()..];
        let carried = arrived.iter().filter(|request| is_carried(request));
        let mut attempts: Vec<Attempt> = carried.map(Attempt::at_the_api_server).collect();
        attempts.sort_by_key(|attempt| attempt.at);
        for heard in heard {
            take_in(&mut attempts, heard);
        }
        let before: HashSet<usize> = from.api_server.iter().map(|request| request.connection).collect();
        let first = arrived.iter().find(|request| is_carried(request));
        let on_kept_connection = match (first, heard.first()) {
            (Some(first), _) if first.target.contains("/proxy") => before.contains(&first.connection),
            (_, Some(first)) => first.earlier > 0,
            _ => false,
        };
        Self { attempts, on_kept_connection }
    }

    pub(super) fn is_on_kept_connection(&self) -> bool {
        self.on_kept_connection
    }

    /// Whether `before`, if it is about connections, came true.
    pub(super) fn is_as_wanted(&self, before: &Before) -> bool {
        match before {
            Before::ConnectionIsKept => self.on_kept_connection,
            Before::NoConnectionIsKept => !self.on_kept_connection,
            _ => true,
        }
    }

    /// A line for each attempt, in which `name` names what is another in each run.
    pub(super) fn lines(&self, name: impl Fn(&str) -> String) -> Vec<String> {
        let numbered = self.attempts.iter().enumerate();
        numbered.map(|(index, attempt)| format!("{} {}", index + 1, attempt.line(&name))).collect()
    }
}

/// Whether it carries something to the app, rather than asking the API server for something of its own.
fn is_carried(request: &Recorded) -> bool {
    request.target.contains("/portforward")
        || (request.target.contains("/services/") && split(&request.target).is_some())
}

/// The Service's ID and the target below its proxy path.
fn split(target: &str) -> Option<(&str, &str)> {
    let (_, rest) = target.split_once("/services/")?;
    rest.split_once("/proxy")
}

/// The app's part of an attempt: the latest one that was sent before it was heard, unless that is a connection which
/// had carried a request already.
fn take_in(attempts: &mut Vec<Attempt>, heard: &Heard) {
    let place = attempts.partition_point(|attempt| attempt.at <= heard.at);
    let before = attempts[..place].last_mut().filter(|attempt| attempt.way == heard.way && attempt.outcome.is_none());
    match before {
        Some(attempt) if heard.way == Way::ServiceProxy => attempt.arrived(heard),
        Some(stream) => *stream = Attempt { at: stream.at, ..Attempt::at_the_app(heard) },
        None => attempts.insert(place, Attempt::at_the_app(heard)),
    }
}

impl Attempt {
    fn at_the_api_server(request: &Recorded) -> Self {
        if let Some((id, target)) = split(&request.target).filter(|_| !request.target.contains("/portforward")) {
            return Self {
                way: Way::ServiceProxy,
                scheme: if id.starts_with("https:") { "https" } else { "http" },
                request: format!("{} {target}", request.method),
                host: host_of(&request.headers),
                outcome: None,
                notes: notes(&request.headers),
                at: request.at,
            };
        }
        let (_, pod) = request.target.split_once("/pods/").unwrap_or_default();
        let pod = pod.split('/').next().unwrap_or_default();
        Self {
            way: Way::PortForward,
            scheme: "-",
            request: format!("a stream to {pod}"),
            host: "-".to_owned(),
            outcome: None,
            notes: vec![protocol(&request.headers)],
            at: request.at,
        }
    }

    fn at_the_app(heard: &Heard) -> Self {
        let mut attempt = Self {
            way: heard.way,
            scheme: heard.scheme,
            request: format!("{} {}", heard.method, heard.target),
            host: host_of(&heard.headers),
            outcome: None,
            notes: notes(&heard.headers),
            at: heard.at,
        };
        attempt.arrived(heard);
        attempt
    }

    fn arrived(&mut self, heard: &Heard) {
        self.outcome = Some(heard.answered.clone());
        if heard.length > 0 {
            self.notes.push(format!("{} octets", heard.length));
        }
        if heard.ip.octets()[3] > 1 {
            self.notes.push(format!("in web-{}", heard.ip.octets()[3] - 1));
        }
    }

    fn line(&self, name: impl Fn(&str) -> String) -> String {
        let way = match self.way {
            Way::ServiceProxy => "service-proxy",
            Way::PortForward => "port-forward",
        };
        let outcome = self.outcome.as_deref().unwrap_or("not at the app");
        let (scheme, request, host) = (self.scheme, name(&self.request), name(&self.host));
        let notes: String = self.notes.iter().map(|note| format!(", {}", name(note))).collect();
        format!("{way:13}  {scheme:5}  {request:20}  {host:29}  {outcome}{notes}")
    }
}

/// By which of the protocols of port-forward a stream is asked for.
fn protocol(headers: &HeaderMap) -> String {
    let offered = headers.get("sec-websocket-protocol").or_else(|| headers.get("upgrade"));
    offered.and_then(|offered| offered.to_str().ok()).unwrap_or("no protocol").to_owned()
}

/// What in the head of a request is told apart.
fn notes(headers: &HeaderMap) -> Vec<String> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut notes = Vec::new();
    notes.extend(value("upgrade").map(|_| "upgrade".to_owned()));
    notes.extend(value("if-none-match").map(|_| "if-none-match".to_owned()));
    notes.extend(value("authorization").filter(|value| value.starts_with("Basic")).map(|_| "authorization".to_owned()));
    notes.extend(value("origin").map(|origin| format!("origin {origin}")));
    match value("x-forwarded-proto") {
        Some("http") => {}
        other => notes.push(format!("x-forwarded-proto {}", other.unwrap_or("none"))),
    }
    notes
}
