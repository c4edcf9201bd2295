//! `services/proxy`. kubernetes `pkg/registry/core/service/storage/storage.go` finds the Pod, apimachinery
//! `pkg/util/proxy/upgradeaware.go` and Go's `httputil.ReverseProxy` carry the request.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use flate2::write::DeflateEncoder;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, RANGE, TE, TRAILER,
    USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::backend::{self, Failure};
use super::resources::gzip;
use super::rewriting::Rewriting;
use super::rewriting::url::{Part, encode, join};
use super::server::{Call, Reply, State, api_headers};
use super::status::Status;
use super::world::{Missing, World};
use super::{Body, upgrade, whole};

/// Methods that the route knows; the others are 405.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// Never passed on, in either direction. Go's `httputil`.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a request goes.
pub(crate) struct Location {
    pub address: SocketAddr,
    pub(crate) tls: bool,
    /// The Service's own path; decoded and cleaned, maybe empty.
    pub(crate) path: Vec<u8>,
}

/// Carries a request to a Pod of the Service and its answer back.
pub(crate) async fn serve(call: Call, state: &Arc<State>) -> Reply {
    if !METHODS.contains(&call.request.method().as_str()) {
        return call.refuse(&Status::method_not_allowed());
    }
    if call.query.split('&').any(|pair| pair == "dryRun" || pair.starts_with("dryRun=")) {
        return call.refuse(&Status::bad_request("dryRun is not supported"));
    }
    let located = locate(&state.world.lock().unwrap(), &call);
    let location = match located {
        Ok(location) => location,
        Err(status) => return call.refuse(&status),
    };
    if upgrade::is_wanted(call.request.headers()) {
        return upgrade::serve(call, location).await;
    }
    if location.path.is_empty() && [Method::GET, Method::HEAD].contains(call.request.method()) {
        return redirect_to_slash(&call);
    }
    carry(call, &location).await
}

fn locate(world: &World, call: &Call) -> Result<Location, Status> {
    let (tls, name, port) = split_id(&call.info.name)?;
    let port = match port.parse::<i64>() {
        Ok(number) => port_name(world, &call.info.namespace, name, number)?,
        Err(_) => port.to_owned(),
    };
    let address = world.endpoint(&call.info.namespace, name, &port).map_err(|missing| match missing {
        Missing::Endpoints => Status::not_found("services", name),
        Missing::Pods => Status::unavailable(format!("no endpoints available for service \"{name}\"")),
        Missing::Ready => Status::unavailable(format!("no endpoints available for service \"{}\"", call.info.name)),
    })?;
    Ok(Location { address, tls, path: service_path(call) })
}

/// `[scheme:]name[:port]`, strictly. apimachinery `pkg/util/net/port_split.go`.
fn split_id(id: &str) -> Result<(bool, &str, &str), Status> {
    let parts: Vec<&str> = id.split(':').collect();
    let (scheme, name, port) = match parts[..] {
        [name] => ("", name, ""),
        [name, port] => ("", name, port),
        [scheme, name, port] => (scheme, name, port),
        _ => ("", "", ""),
    };
    if name.is_empty() || !["", "http", "https"].contains(&scheme) {
        return Err(Status::bad_request(format!("invalid service request \"{id}\"")));
    }
    Ok((scheme == "https", name, port))
}

fn port_name(world: &World, namespace: &str, service: &str, number: i64) -> Result<String, Status> {
    let found = world.get("services", namespace, service).ok_or_else(|| Status::not_found("services", service))?;
    let ports = found["spec"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let port = ports
        .iter()
        .find(|port| port["port"] == number)
        .ok_or_else(|| Status::unavailable(format!("no service port {number} found for service \"{service}\"")))?;
    Ok(port["name"].as_str().unwrap_or_default().to_owned())
}

/// What follows `proxy` in the request's path. apiserver `pkg/endpoints/handlers/get.go`.
fn service_path(call: &Call) -> Vec<u8> {
    let below = call.path.split(|byte| *byte == b'/').skip(PARTS_BEFORE_REST);
    let mut path = below.collect::<Vec<_>>().join(&b'/');
    while path.ends_with(b"/") {
        path.pop();
    }
    if !path.is_empty() && !path.starts_with(b"/") {
        path.insert(0, b'/');
    }
    if call.path.ends_with(b"/") {
        path.push(b'/');
    }
    let slash: &[u8] = if path.ends_with(b"/") && path != b"/" { b"/" } else { b"" };
    [&join(&[&path]), slash].concat()
}

/// "", api, v1, namespaces, NAMESPACE, services, ID, proxy.
const PARTS_BEFORE_REST: usize = 8;

fn redirect_to_slash(call: &Call) -> Reply {
    let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
    let location = [&call.path, &b"/"[..], query.as_bytes()].concat();
    let mut response = whole("");
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, HeaderValue::from_bytes(&location).expect("part of a request line"));
    Reply::Answer(response)
}

/// What is remembered of a request while it is on its way.
struct Sent {
    method: Method,
    /// As it arrived.
    headers: HeaderMap,
    query: String,
    /// What stands before the Service's path; decoded.
    prefix: Vec<u8>,
    backend: String,
    /// Whether Go itself asked for gzip, and so hides it from the client.
    unzips: bool,
}

async fn carry(call: Call, location: &Location) -> Reply {
    let Call { request, path, query, client, audit_id, tampering, .. } = call;
    let (mut head, body) = request.into_parts();
    let mut sent = Sent {
        method: head.method.clone(),
        headers: head.headers.clone(),
        query,
        prefix: path.strip_suffix(&location.path[..]).unwrap_or(&path).to_vec(),
        backend: location.address.to_string(),
        unzips: false,
    };
    let target = request_target(location, &sent.query);
    head.uri = target.parse().expect("encoded by the rules of URLs");
    remove_hop_by_hop(&mut head.headers);
    forward(&mut head.headers, &sent, client);
    let path_as_sent = target.split('?').next().unwrap_or_default();
    head.headers.insert("x-forwarded-uri", forwarded_uri(&sent.prefix, path_as_sent));
    sent.unzips = ask_for_gzip(&mut head);
    let informed = backend::pass_informational(&tampering, api_headers(&audit_id));
    let request = Request::from_parts(head, body);
    let answered = backend::send(location, request, Some(Arc::clone(&informed))).await;
    let response = match answered {
        Ok(response) => response,
        Err(Failure(reason)) => {
            let status = Status::unavailable(format!("error trying to reach service: {reason}"));
            return Reply::Answer(status.response(&sent.headers, &sent.query));
        }
    };
    let reply = pass_on(response, &sent).await;
    match reply {
        // Go clears the answer's headers after an informational one, and with them what the API server had put there.
        Reply::Answer(response) if informed.happened() => Reply::Bare(response),
        reply => reply,
    }
}

/// The request line's target: the Service's path, encoded anew, and the query as it was.
pub(crate) fn request_target(location: &Location, query: &str) -> String {
    let path = if location.path.is_empty() { b"/" } else { &location.path[..] };
    let mut target = String::from_utf8(encode(path, Part::Path)).expect("percent-encoding is ASCII");
    if !query.is_empty() {
        target.push('?');
        target.push_str(query);
    }
    target
}

fn forwarded_uri(prefix: &[u8], escaped_path: &str) -> HeaderValue {
    let slash: &[u8] = if escaped_path.ends_with('/') { b"/" } else { b"" };
    let uri = [&join(&[prefix, escaped_path.as_bytes()]), slash].concat();
    HeaderValue::from_bytes(&uri).expect("part of a request line")
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn forward(headers: &mut HeaderMap, sent: &Sent, client: SocketAddr) {
    let wants_trailers = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("trailers"));
    if sent.headers.get(TE).is_some_and(wants_trailers) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    append_forwarded_for(headers, client);
}

/// Adds the client's address behind those that are there already, all in one line.
pub(crate) fn append_forwarded_for(headers: &mut HeaderMap, client: SocketAddr) {
    const NAME: HeaderName = HeaderName::from_static("x-forwarded-for");
    let mut addresses: Vec<&[u8]> = headers.get_all(NAME).iter().map(HeaderValue::as_bytes).collect();
    let own = client.ip().to_string();
    addresses.push(own.as_bytes());
    let joined = addresses.join(&b", "[..]);
    headers.insert(NAME, HeaderValue::from_bytes(&joined).expect("was a header before"));
}

/// Go's transport asks for gzip where nobody said what is wanted.
fn ask_for_gzip(head: &mut http::request::Parts) -> bool {
    let asks =
        !head.headers.contains_key(ACCEPT_ENCODING) && !head.headers.contains_key(RANGE) && head.method != Method::HEAD;
    if asks {
        head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    asks
}

/// The answer of the Service as the client gets it.
async fn pass_on(response: Response<Incoming>, sent: &Sent) -> Reply {
    let (mut head, body) = response.into_parts();
    let is_hidden = sent.unzips && head.headers.get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    let body: Body = if is_hidden {
        head.headers.remove(CONTENT_ENCODING);
        head.headers.remove(CONTENT_LENGTH);
        backend::unzipped(body)
    } else {
        body.map_err(Into::into).boxed_unsync()
    };
    let host = sent.headers.get(HOST).map_or(String::new(), text);
    let rewriting = Rewriting { prefix: &sent.prefix, backend: &sent.backend, host: &host };
    let location = head.headers.get(LOCATION).filter(|location| !location.is_empty()).cloned();
    let body = if let Some(location) = location {
        match rewriting.link(location.as_bytes()) {
            Ok(location) => head.headers.insert(LOCATION, HeaderValue::from_bytes(&location).expect("printed URLs")),
            Err(error) => {
                let status = Status::internal(&format!("error trying to parse Location header: {error}"));
                return Reply::Answer(status.response(&sent.headers, &sent.query));
            }
        };
        body
    } else if is_html(&head.headers) {
        match page(&mut head, body, &rewriting).await {
            Ok(body) => body,
            Err(Page::Failed(message)) => {
                return Reply::Answer(Status::unknown(message).response(&sent.headers, &sent.query));
            }
            Err(Page::Broken) => return Reply::Broken,
        }
    } else {
        body
    };
    clean_answer(&mut head, sent);
    Reply::Answer(Response::from_parts(head, body))
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn is_html(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii() == b"text/html"
}

fn clean_answer(head: &mut response::Parts, sent: &Sent) {
    let trailers: Vec<String> = head.headers.get_all(TRAILER).iter().map(text).collect();
    remove_hop_by_hop(&mut head.headers);
    if !trailers.is_empty() && sent.method != Method::HEAD {
        head.headers.insert(TRAILER, trailers.join(", ").parse().expect("was a header before"));
    }
    for name in ["credentials", "headers", "methods", "origin"] {
        head.headers.remove(format!("access-control-allow-{name}"));
    }
}

/// Why there is no page.
enum Page {
    /// In Go's words.
    Failed(String),
    /// The API server gives up without a word.
    Broken,
}

/// Reads the whole page, rewrites it, and packs it as it was packed.
async fn page(head: &mut response::Parts, body: Body, rewriting: &Rewriting<'_>) -> Result<Body, Page> {
    let encoding = head.headers.get(CONTENT_ENCODING).map_or(String::new(), text);
    if !["", "gzip", "deflate"].contains(&&encoding[..]) {
        // Go closes the body first and passes it on then.
        return Err(Page::Broken);
    }
    let packed = body.collect().await.map_err(|_| Page::Failed("unexpected EOF".to_owned()))?.to_bytes();
    let html = unpack(&encoding, &packed).map_err(Page::Failed)?;
    head.headers.remove(CONTENT_LENGTH);
    let rewritten = rewriting.page(&html);
    Ok(whole(pack(&encoding, &rewritten)).into_body())
}

fn unpack(encoding: &str, packed: &Bytes) -> Result<Vec<u8>, String> {
    let mut html = Vec::new();
    match encoding {
        "gzip" if packed.is_empty() => return Err("errorf making gzip reader: EOF".to_owned()),
        "gzip" => MultiGzDecoder::new(&packed[..])
            .read_to_end(&mut html)
            .map_err(|_| "errorf making gzip reader: gzip: invalid header".to_owned())?,
        // The body is taken for raw deflate. A zlib header reads as the head of a stored block whose lengths contradict
        // each other, after five bytes.
        "deflate" => DeflateDecoder::new(&packed[..])
            .read_to_end(&mut html)
            .map_err(|_| "flate: corrupt input before offset 5".to_owned())?,
        _ => packed.as_ref().read_to_end(&mut html).expect("memory can be read"),
    };
    Ok(html)
}

fn pack(encoding: &str, html: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => gzip(html),
        "deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(html).and_then(|()| encoder.finish()).expect("a Vec takes everything")
        }
        _ => html.to_vec(),
    }
}

/// Go names itself where the client said nothing; only on upgrades.
pub(crate) fn name_go(headers: &mut HeaderMap) {
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("Go-http-client/1.1"));
}
