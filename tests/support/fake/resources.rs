//! Objects over HTTP: get, list in pages, watch; what may I; which version.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use super::server::{Call, Reply, State};
use super::status::{Format, Status, as_go_writes};
use super::users::{Action, Identity};
use super::world::{Event, kind_of};
use super::{Body, BoxError, whole};

/// Answers shorter than this are never compressed. apiserver `responsewriters/writers.go`.
const COMPRESSED_FROM: usize = 128 * 1024;

/// Answers whatever is neither the service proxy nor a port-forward.
pub(crate) async fn serve(call: Call, state: &Arc<State>, user: &Identity) -> Reply {
    match (&call.info.resource[..], call.info.verb) {
        ("", _) => not_a_resource(&call),
        ("selfsubjectaccessreviews", "create") => review(call, state, user).await,
        (plural, "get" | "list" | "watch") => match kind_of(&call.info.group, plural) {
            Some(kind) if call.info.subresource.is_empty() => read(&call, state, kind),
            _ => call.refuse(&Status::no_such_resource()),
        },
        _ => call.refuse(&Status::method_not_allowed()),
    }
}

fn not_a_resource(call: &Call) -> Reply {
    match (call.request.method(), &call.path[..]) {
        (&Method::GET, b"/version") => {
            let version = json!({
                "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "clean",
                "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
            });
            Reply::Answer(object(call, &version))
        }
        (&Method::GET, b"/readyz" | b"/livez" | b"/healthz") => Reply::Answer(whole("ok")),
        _ => call.refuse(&Status::no_such_resource()),
    }
}

/// SelfSubjectAccessReview.
async fn review(call: Call, state: &Arc<State>, user: &Identity) -> Reply {
    let headers = call.request.headers().clone();
    let body = call.request.into_body().collect().await;
    let asked = body.ok().and_then(|body| serde_json::from_slice::<Value>(&body.to_bytes()).ok());
    let Some(mut review) = asked.filter(|review| review["spec"].is_object()) else {
        let status = Status::bad_request("the object provided is unrecognized");
        return Reply::Answer(status.response(&headers, &call.query));
    };
    let attributes = review["spec"]["resourceAttributes"].clone();
    let text = |field: &str| attributes[field].as_str().unwrap_or_default();
    let action = Action {
        verb: text("verb"),
        group: text("group"),
        resource: text("resource"),
        subresource: text("subresource"),
        namespace: text("namespace"),
        name: text("name"),
    };
    review["status"] = json!({"allowed": state.users.lock().unwrap().may(user, &action)});
    let mut response = whole(as_go_writes(&review, Format::of(&headers, &call.query)));
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Reply::Answer(response)
}

fn read(call: &Call, state: &Arc<State>, (version, kind): (&'static str, &'static str)) -> Reply {
    let info = &call.info;
    match info.verb {
        "get" => match state.world.lock().unwrap().get(&info.resource, &info.namespace, &info.name) {
            Some(found) => Reply::Answer(object(call, found)),
            None => {
                let group = if info.group.is_empty() { String::new() } else { format!(".{}", info.group) };
                call.refuse(&Status::not_found(&format!("{}{group}", info.resource), &info.name))
            }
        },
        "watch" => Reply::Answer(watch(call, state)),
        _ => {
            let mut list = list(call, state);
            list["apiVersion"] = version.into();
            list["kind"] = format!("{kind}List").into();
            Reply::Answer(object(call, &list))
        }
    }
}

fn parameter(call: &Call, name: &str) -> Option<String> {
    let pair = call.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let decoded = percent_encoding::percent_decode_str(pair).decode_utf8_lossy();
    (!decoded.is_empty()).then(|| decoded.replace('+', " "))
}

/// The only name that a field selector leaves.
fn wanted_name(call: &Call) -> Option<String> {
    parameter(call, "fieldSelector")?.strip_prefix("metadata.name=").map(str::to_owned)
}

/// A list, without what says of which kind.
fn list(call: &Call, state: &State) -> Value {
    let world = state.world.lock().unwrap();
    let selector = parameter(call, "labelSelector").unwrap_or_default();
    let all = world.list(&call.info.resource, &call.info.namespace);
    let name = wanted_name(call);
    let is_wanted = |object: &Value| name.as_ref().is_none_or(|name| object["metadata"]["name"] == name.as_str());
    let matching: Vec<&Value> =
        all.into_iter().filter(|object| selects(&selector, object) && is_wanted(object)).collect();
    json!({"metadata": {"resourceVersion": world.version().to_string()}, "items": matching})
}

/// Label selectors: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a` and `!a`, with commas between them.
fn selects(selector: &str, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    requirements(selector).into_iter().all(|requirement| fulfils(requirement.trim(), labels))
}

fn requirements(selector: &str) -> Vec<&str> {
    let mut depth = 0;
    let separates = |character: char| {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        character == ',' && depth == 0
    };
    selector.split(separates).filter(|requirement| !requirement.trim().is_empty()).collect()
}

fn fulfils(requirement: &str, labels: &Value) -> bool {
    let value = |name: &str| labels[name.trim()].as_str();
    if let Some((name, wanted)) = requirement.split_once("!=") {
        return value(name) != Some(wanted.trim());
    }
    if let Some((name, wanted)) = requirement.split_once('=') {
        return value(name) == Some(wanted.trim_start_matches('=').trim());
    }
    if let Some((name, list)) = requirement.split_once('(') {
        let within = |value| list.trim_end_matches(')').split(',').any(|item| item.trim() == value);
        return match name.trim().rsplit_once(' ') {
            Some((name, "notin")) => !value(name).is_some_and(within),
            Some((name, _)) => value(name).is_some_and(within),
            None => false,
        };
    }
    match requirement.strip_prefix('!') {
        Some(name) => value(name).is_none(),
        None => value(requirement).is_some(),
    }
}

/// A 200 with an object, compressed where that was asked for and pays.
fn object(call: &Call, value: &Value) -> Response<Body> {
    let headers = call.request.headers();
    let text = as_go_writes(value, Format::of(headers, &call.query)).into_bytes();
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let compress = text.len() > COMPRESSED_FROM && accepted.split(',').any(|encoding| encoding.trim() == "gzip");
    let mut response = if compress { whole(gzip(&text)) } else { whole(text) };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if compress {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Compressed as the API server does it, fast rather than small.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes everything")
}

/// Changes as they happen, one JSON object a line, for as long as the client stays.
fn watch(call: &Call, state: &Arc<State>) -> Response<Body> {
    let since = parameter(call, "resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    let watcher = Watcher {
        state: Arc::clone(state),
        changes: state.changes.subscribe(),
        plural: call.info.resource.clone(),
        namespace: call.info.namespace.clone(),
        selector: parameter(call, "labelSelector").unwrap_or_default(),
        name: wanted_name(call),
        seen: since,
    };
    let initial = if since == 0 { watcher.existing() } else { Bytes::new() };
    let watcher =
        Watcher { seen: if since == 0 { watcher.state.world.lock().unwrap().version() } else { since }, ..watcher };
    let lines = stream::unfold((watcher, Some(initial)), |(mut watcher, initial)| async move {
        let lines = match initial {
            Some(lines) => lines,
            None => watcher.next().await,
        };
        Some((Ok::<_, BoxError>(Frame::data(lines)), (watcher, None)))
    });
    let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

struct Watcher {
    state: Arc<State>,
    changes: tokio::sync::watch::Receiver<()>,
    plural: String,
    namespace: String,
    selector: String,
    name: Option<String>,
    /// The resource version up to which everything was told.
    seen: u64,
}

impl Watcher {
    /// What a watch from nowhere begins with.
    fn existing(&self) -> Bytes {
        let world = self.state.world.lock().unwrap();
        let objects = world.list(&self.plural, &self.namespace);
        objects
            .into_iter()
            .filter(|object| self.wants(object))
            .map(|object| line("ADDED", object))
            .collect::<String>()
            .into()
    }

    /// Waits for changes that matter.
    async fn next(&mut self) -> Bytes {
        loop {
            let lines = self.news();
            if !lines.is_empty() {
                return lines;
            }
            if self.changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn news(&mut self) -> Bytes {
        let world = self.state.world.lock().unwrap();
        let events = world.events_after(self.seen);
        let wanted = |event: &&Event| event.plural == self.plural && self.wants(&event.object);
        let lines: String = events.iter().filter(wanted).map(|event| line(event.kind, &event.object)).collect();
        let version = world.version();
        drop(world);
        self.seen = version;
        lines.into()
    }

    fn wants(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        (self.namespace.is_empty() || metadata["namespace"] == self.namespace)
            && self.name.as_ref().is_none_or(|name| metadata["name"] == *name)
            && selects(&self.selector, object)
    }
}

fn line(kind: &str, object: &Value) -> String {
    as_go_writes(&json!({"type": kind, "object": object}), Format::Compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_by_labels() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app=api", false),
            ("app!=api", true),
            ("app in (api, web),tier", true),
            ("app notin (api,web)", false),
            ("!canary", true),
            ("!app", false),
        ] {
            assert_eq!(selects(selector, &object), expected, "{selector}");
        }
    }
}
