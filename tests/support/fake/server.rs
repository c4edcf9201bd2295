//! Connections, and what every request goes through before it reaches what it is for.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::faults::{Fault, Faults};
use super::request_info::RequestInfo;
use super::rewriting::url::{Part, cut, decode};
use super::status::Status;
use super::users::{Action, Users};
use super::wire::{Tampering, Wire};
use super::world::World;
use super::{Body, Options, Recorded, port_forward, resources, service_proxy, whole};
use crate::{Authority, POLL};

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// The Go server's own limit is 1 MiB, whatever their number.
const HEADERS: usize = 1000;

/// Everything a request may need.
pub(crate) struct State {
    pub(crate) options: Options,
    pub address: SocketAddr,
    pub(crate) users: Mutex<Users>,
    pub(crate) world: Mutex<World>,
    pub(crate) faults: Faults,
    pub(crate) requests: Mutex<Vec<Recorded>>,
    pub(crate) connections: AtomicUsize,
    pub(crate) may_be_unasked: AtomicBool,
    /// Continue tokens of older resource versions have expired.
    /// Wakes watchers.
    pub(crate) changes: watch::Sender<()>,
}

impl State {
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }
}

/// A request on its way, and what is known of it.
pub(crate) struct Call {
    pub(crate) request: Request<Incoming>,
    pub(crate) info: RequestInfo,
    /// Decoded.
    pub(crate) path: Vec<u8>,
    /// As it stood, without `?`.
    pub(crate) query: String,
    pub(crate) client: SocketAddr,
    pub(crate) audit_id: HeaderValue,
    pub(crate) tampering: Tampering,
}

impl Call {
    /// The API server's own answer to it.
    pub(crate) fn refuse(&self, status: &Status) -> Reply {
        Reply::Answer(status.response(self.request.headers(), &self.query))
    }
}

/// What becomes of a request.
pub(crate) enum Reply {
    /// An answer to which the API server adds headers of its own.
    Answer(Response<Body>),
    /// An answer that goes out as it is.
    Bare(Response<Body>),
    /// The connection breaks.
    Broken,
}

/// What is known of the client by its connection.
#[derive(Clone)]
struct Connection {
    number: usize,
    client: SocketAddr,
    certificate: Option<Vec<u8>>,
    tampering: Tampering,
}

/// Listens on 127.0.0.1 and a free port.
pub(crate) async fn start(options: Options, authority: &Authority) -> (Arc<State>, JoinHandle<()>) {
    let tls = acceptor(authority, options.gateway.as_deref());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::new(State {
        options,
        address,
        users: Mutex::default(),
        world: Mutex::default(),
        faults: Faults::default(),
        requests: Mutex::default(),
        connections: AtomicUsize::default(),
        may_be_unasked: AtomicBool::default(),
        changes: watch::Sender::new(()),
    });
    let server = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
    (state, server)
}

/// A certificate in DER.
pub(crate) fn der_of(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

fn acceptor(authority: &Authority, gateway: Option<&str>) -> TlsAcceptor {
    let gateway = gateway.and_then(|gateway| gateway.split(':').next());
    let names: Vec<&str> = ["127.0.0.1", "localhost"].into_iter().chain(gateway).collect();
    let (certificate, key) = authority.server(&names);
    let chain = vec![der_of(&certificate).into()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().into()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    // Its connections end with the server.
    let mut connections = JoinSet::new();
    while let Ok((stream, client)) = listener.accept().await {
        connections.spawn(serve(stream, client, tls.clone(), Arc::clone(&state)));
    }
}

async fn serve(stream: TcpStream, client: SocketAddr, tls: TlsAcceptor, state: Arc<State>) {
    let number = state.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let _ = stream.set_nodelay(true);
    let Ok(stream) = tls.accept(stream).await else { return };
    let certificate =
        stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|first| first.to_vec());
    let connection = Connection { number, client, certificate, tampering: Tampering::default() };
    let wire = Wire::new(stream, connection.tampering.clone());
    let service = service_fn(move |request| {
        let (state, connection) = (Arc::clone(&state), connection.clone());
        async move {
            match answer(request, &state, &connection).await {
                Reply::Answer(response) | Reply::Bare(response) => Ok(response),
                Reply::Broken => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            }
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades();
    let _ = serving.await; // a client may go at any time
}

async fn answer(request: Request<Incoming>, state: &Arc<State>, connection: &Connection) -> Reply {
    record(&request, state, connection.number);
    match state.faults.take(&request.uri().to_string()) {
        Some(Fault::Cut(length)) => connection.tampering.cut_after(length),
        Some(Fault::Hold(length)) => connection.tampering.hold_after(length),
        Some(Fault::Await(part)) => {
            while !state.requests.lock().unwrap().iter().any(|asked| asked.target.contains(part)) {
                tokio::time::sleep(POLL).await;
            }
        }
        Some(Fault::Break) => return Reply::Broken,
        Some(Fault::Page(code, text)) => return Reply::Bare(page(code, text)),
        Some(Fault::Answer(status)) => {
            let audit_id = audit_id(request.headers());
            return dressed(status.response(request.headers(), ""), &audit_id);
        }
        None => {}
    }
    if let Some(refusal) = gateway(&request, state) {
        return Reply::Bare(refusal);
    }
    let call = match understood(request, &state.options, connection) {
        Ok(call) => call,
        Err(response) => return Reply::Bare(response),
    };
    let audit_id = call.audit_id.clone();
    match admitted(call, state, connection).await {
        Reply::Answer(response) => dressed(response, &audit_id),
        reply => reply,
    }
}

fn record(request: &Request<Incoming>, state: &State, connection: usize) {
    let recorded = Recorded {
        method: request.method().clone(),
        target: request.uri().to_string(),
        headers: request.headers().clone(),
        connection,
        at: Instant::now(),
    };
    state.requests.lock().unwrap().push(recorded);
}

/// What a gateway in front of the API server answers by itself.
fn gateway(request: &Request<Incoming>, state: &State) -> Option<Response<Body>> {
    let host = request.headers().get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let knows_host = state.options.gateway.as_ref().is_none_or(|gateway| gateway.as_bytes() == host);
    let below = request.uri().path().strip_prefix(&state.options.base_path);
    if knows_host && below.is_some_and(|below| below.starts_with('/')) {
        return None;
    }
    Some(page(404, "default backend - 404"))
}

/// An error of somebody who knows no Kubernetes.
fn page(code: u16, text: &'static str) -> Response<Body> {
    let mut response = whole(text);
    *response.status_mut() = StatusCode::from_u16(code).expect("a test gives a status");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// Reads the request line as Go's server does.
fn understood(request: Request<Incoming>, options: &Options, connection: &Connection) -> Result<Call, Response<Body>> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let (path, query) = cut(&target.as_bytes()[options.base_path.len()..], b'?');
    let Ok(path) = decode(path, Part::Path) else {
        let mut response = whole("400 Bad Request");
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Err(response);
    };
    let query = String::from_utf8_lossy(query.unwrap_or_default()).into_owned();
    Ok(Call {
        info: RequestInfo::of(request.method(), &String::from_utf8_lossy(&path), &query),
        audit_id: audit_id(request.headers()),
        client: connection.client,
        tampering: connection.tampering.clone(),
        request,
        path,
        query,
    })
}

/// Authentication, impersonation and authorisation, in the order of apiserver `pkg/server/config.go`.
async fn admitted(mut call: Call, state: &Arc<State>, connection: &Connection) -> Reply {
    let certificate = connection.certificate.as_deref();
    let user = state.users.lock().unwrap().authenticate(certificate, call.request.headers_mut());
    let user = match user {
        Ok(user) => user,
        Err(status) => return call.refuse(&status),
    };
    let is_public = call.info.resource.is_empty() || call.info.resource == "selfsubjectaccessreviews";
    if !is_public {
        let allowed = state.users.lock().unwrap().authorize(&user, &Action::of(&call.info));
        if let Err(status) = allowed {
            return call.refuse(&status);
        }
    }
    match (&call.info.resource[..], &call.info.subresource[..]) {
        ("services", "proxy") => service_proxy::serve(call, state).await,
        ("pods", "portforward") => port_forward::serve(call, state, &user).await,
        _ => resources::serve(call, state, &user).await,
    }
}

/// The client's own, or a new one.
fn audit_id(headers: &HeaderMap) -> HeaderValue {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let fresh = || {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("{time:08x}-0000-4000-8000-{number:012x}")).expect("hexadecimal digits")
    };
    headers.get(AUDIT_ID).cloned().unwrap_or_else(fresh)
}

/// The headers that the API server sets come before the Service's own.
fn dressed(response: Response<Body>, audit_id: &HeaderValue) -> Reply {
    let (mut head, body) = response.into_parts();
    let mut headers = api_headers(audit_id);
    for (name, value) in &head.headers {
        headers.append(name, value.clone());
    }
    head.headers = headers;
    Reply::Answer(Response::from_parts(head, body))
}

/// What the API server says with every answer.
pub(crate) fn api_headers(audit_id: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(AUDIT_ID, audit_id.clone()), (CACHE_CONTROL, HeaderValue::from_static("no-cache, private"))])
}
