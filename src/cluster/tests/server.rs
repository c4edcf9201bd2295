//! An API server of a few lines: hyper and rustls on loopback, which notes what arrives.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::{HandshakeKind, ServerConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::certificates::Authority;
use crate::cluster::{ApiServer, Cluster, ConnectFlags, ProcessEnvironment};
use crate::message::body::Body;

pub(crate) async fn hello(_: Request<Incoming>) -> Response<Body> {
    Response::new(Body::full("hello"))
}

/// The whole answer to a GET, which must be 200.
pub(crate) async fn get(api: &ApiServer, target: &str) -> String {
    let answer = api.send(Request::get(target).body(Body::Empty).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    text(answer).await
}

/// The whole body.
pub(crate) async fn text(answer: Response<Body>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// What arrived.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "a note of everything, whatever a test asks for")]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) connection: usize,
    /// The client certificate of the connection, in DER.
    pub(crate) certificate: Option<Vec<u8>>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Everything that arrived so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Notes {
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    resumed: Arc<AtomicUsize>,
}

impl Notes {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many of them resumed a TLS session.
    pub(crate) fn resumed(&self) -> usize {
        self.resumed.load(Ordering::SeqCst)
    }

    /// Waits until `happened`.
    pub(crate) async fn until(&self, happened: impl Fn(&Self) -> bool) {
        while !happened(self) {
            tokio::task::yield_now().await;
        }
    }

    fn note(&self, request: &Request<Incoming>, connection: usize, certificate: Option<Vec<u8>>) {
        self.seen.lock().unwrap().push(Seen {
            certificate,
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            connection,
        });
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) notes: Notes,
    /// The PEM certificate to trust; empty without TLS.
    pub(crate) ca: String,
}

impl Server {
    /// With TLS and a certificate for `localhost` and `127.0.0.1`.
    pub(crate) async fn https<F, A>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let authority = Authority::new("cluster");
        let config = authority.server(&["localhost", "127.0.0.1"]).config();
        Self::start(answer, Some(config), authority.pem()).await
    }

    /// Without TLS.
    pub(crate) async fn http<F, A>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start(answer, None, String::new()).await
    }

    pub(crate) async fn start<F, A>(answer: F, tls: Option<ServerConfig>, ca: String) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), notes: Notes::default(), ca };
        tokio::spawn(accept(listener, tls.map(Arc::new), server.notes.clone(), answer));
        server
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.ca.is_empty() { "http" } else { "https" };
        format!("{scheme}://{}", self.address)
    }

    /// A cluster that trusts this server and logs in with the token `secret`.
    pub(crate) async fn cluster(&self) -> Cluster {
        self.cluster_of("{token: secret}").await
    }

    /// A cluster that trusts this server and logs in as `user` (YAML of a kubeconfig's user) says.
    pub(crate) async fn cluster_of(&self, user: &str) -> Cluster {
        self.kubeconfig(user).load().await
    }

    pub(crate) fn kubeconfig(&self, user: &str) -> Kubeconfig {
        Kubeconfig::new(&self.url(), &self.ca, user)
    }
}

async fn accept<F, A>(listener: TcpListener, tls: Option<Arc<ServerConfig>>, notes: Notes, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let connection = notes.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, notes, answer) = (tls.clone(), notes.clone(), answer.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(TokioIo::new(tcp), notes, connection, None, answer).await,
                Some(tls) => {
                    let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await else { return };
                    if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                        notes.resumed.fetch_add(1, Ordering::SeqCst);
                    }
                    let certificate = stream.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec());
                    serve(TokioIo::new(stream), notes, connection, certificate, answer).await;
                }
            }
        });
    }
}

async fn serve<S, F, A>(stream: S, notes: Notes, connection: usize, certificate: Option<Vec<u8>>, answer: F)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> A + Send + Sync,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(|request| {
        notes.note(&request, connection, certificate.clone());
        let answering = answer(request);
        async move { Ok::<_, std::convert::Infallible>(answering.await) }
    });
    drop(http1::Builder::new().serve_connection(stream, service).with_upgrades().await);
}

/// A kubeconfig in a folder of its own.
pub(crate) struct Kubeconfig {
    folder: TempDir,
}

impl Kubeconfig {
    pub(crate) fn new(server: &str, ca: &str, user: &str) -> Self {
        let kubeconfig = Self { folder: tempfile::tempdir().unwrap() };
        kubeconfig.write(server, ca, user);
        kubeconfig
    }

    /// Puts other content in its place.
    pub(crate) fn write(&self, server: &str, ca: &str, user: &str) {
        let authority = if ca.is_empty() { "" } else { ", certificate-authority: ca.crt" };
        std::fs::write(self.folder.path().join("ca.crt"), ca).unwrap();
        let text = format!(
            "clusters: [{{name: c, cluster: {{server: '{server}'{authority}}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u, namespace: web}}}}]\n\
             users: [{{name: u, user: {user}}}]\ncurrent-context: x\n"
        );
        std::fs::write(self.path(), text).unwrap();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    pub(crate) fn flags(&self) -> ConnectFlags {
        ConnectFlags { kubeconfig: Some(self.path()), ..ConnectFlags::default() }
    }

    pub(crate) async fn load(&self) -> Cluster {
        Cluster::load(&self.flags(), &ProcessEnvironment::default()).await.unwrap()
    }
}
