//! A stand-in for kube-apiserver that runs within the tests: HTTPS with its own certificate authority, users with narrow
//! rights, Services, Pods and their endpoints, watches, port-forwarding, and above all a service proxy that does to requests
//! and answers what the real one does. `cases` is run against both.
//!
//! - `server`: connections, and what every request goes through
//! - `users`, `request_info`, `status`: who may do what, and how it is refused
//! - `world`, `resources`: objects, and the API that reads them
//! - `service_proxy`, `upgrade`, `rewriting`: the service proxy
//! - `port_forward`, `spdy`: its handshakes and its two protocols
//! - `wire`, `faults`: what goes wrong on purpose
//!
//! Sources are named where the rules are: Kubernetes 1.36, Go 1.26. Not there: protobuf, YAML and tables, admission, HTTP/2,
//! writing objects over HTTP.

pub mod cases;
pub mod faults;
mod backend;
mod port_forward;
mod request_info;
mod resources;
mod rewriting;
mod server;
mod service_proxy;
mod spdy;
pub mod status;
mod upgrade;
pub mod users;
mod wire;
mod world;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::Authority;
use faults::Fault;
use server::State;
use users::{Rule, Users};
use world::World;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every answer.
type Body = UnsyncBoxBody<Bytes, BoxError>;

fn whole(bytes: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync())
}

/// A token of the user `admin`, who may do everything.
pub const ADMIN_TOKEN: &str = "admin-token";

/// How a server differs from the usual one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A path in front of the API, as Rancher has one; without a slash at its end.
    pub base_path: String,
    /// Name and port of a gateway in front of it, which routes by `Host` and is the only way in. Nothing resolves the name:
    /// a proxy has to.
    pub gateway: Option<String>,
    /// The handshakes of port-forward that it knows.
    pub handshakes: Handshakes,
}

/// The handshakes of port-forward that an API server knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handshakes {
    /// SPDY within a WebSocket, the kubelet's channels, and SPDY.
    #[default]
    Since131,
    /// What the kubelet knows: channels, and SPDY.
    Before131,
    /// SPDY, where a node or a gateway knows no WebSockets.
    Spdy,
}

/// A running server. It ends when dropped, and dropping it fails the test if nobody ever asked it anything.
pub struct FakeApiServer {
    state: Arc<State>,
    authority: Authority,
    server: tokio::task::JoinHandle<()>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Its headers, all of them.
    pub headers: HeaderMap,
    /// Counts from 1.
    pub connection: usize,
    /// When its head was there.
    pub at: Instant,
}

impl Recorded {
    /// All values of a header.
    pub fn values(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }
}

impl FakeApiServer {
    /// A server on 127.0.0.1 with the namespace `default` and the user `admin`.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// The same, but for `options`.
    pub async fn start_with(options: Options) -> Self {
        let authority = Authority::new();
        let (state, server) = server::start(options, &authority).await;
        let fake = Self { state, authority, server };
        fake.grant("admin", &[Rule::ALL]);
        fake.add_token(ADMIN_TOKEN, "admin");
        fake.put(json!({"kind": "Namespace", "metadata": {"name": "default"}}));
        fake
    }

    /// The `server` of a kubeconfig.
    pub fn url(&self) -> String {
        let Options { base_path, gateway, .. } = &self.state.options;
        let authority = gateway.clone().unwrap_or_else(|| self.address().to_string());
        format!("https://{authority}{base_path}")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.state.address
    }

    /// Who signed its certificate.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.state.users.lock().unwrap()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.state.world.lock().unwrap()
    }

    /// Gives a user rights.
    pub fn grant(&self, user: &str, rules: &[Rule]) {
        self.users().grant(user, rules);
    }

    /// Lets a user in with a bearer token.
    pub fn add_token(&self, token: &str, user: &str) {
        self.users().add_token(token, user);
    }

    /// From now on the token is good for nothing.
    pub fn revoke_token(&self, token: &str) {
        self.users().revoke_token(token);
    }

    /// Certificate and key, as PEM, with which a user may log in.
    pub fn client_certificate(&self, user: &str) -> (String, String) {
        let (certificate, key) = self.authority.client(user);
        self.users().add_certificate(server::der_of(&certificate), user);
        (certificate, key)
    }

    /// Creates or replaces an object; `kind`, `metadata.name` and for most `metadata.namespace` are needed.
    pub fn put(&self, object: Value) {
        self.world().put(object);
        self.state.changed();
    }

    /// Creates or replaces many objects at once.
    pub fn put_all(&self, objects: impl IntoIterator<Item = Value>) {
        self.world().put_all(objects);
        self.state.changed();
    }

    /// Changes an object, named by plural, namespace and name.
    pub fn change(&self, plural: &'static str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) {
        self.world().change(plural, namespace, name, change);
        self.state.changed();
    }

    /// Deletes an object.
    pub fn delete(&self, plural: &'static str, namespace: &str, name: &str) {
        self.world().delete(plural, namespace, name);
        self.state.changed();
    }

    /// A Service that selects the Pods with the label `app: NAME`, with these `spec.ports`.
    pub fn service(&self, namespace: &str, name: &str, ports: Value) {
        self.put(json!({
            "kind": "Service",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"app": name}, "ports": ports},
        }));
    }

    /// A Pod `NAME-0` at `ip` that the Service `name` selects.
    pub fn pod(&self, namespace: &str, name: &str, ip: IpAddr, ready: bool) {
        self.put(json!({
            "kind": "Pod",
            "metadata": {"namespace": namespace, "name": format!("{name}-0"), "labels": {"app": name}},
            "spec": {"containers": [{"name": "app"}]},
            "status": {"phase": "Running", "podIP": ip, "ready": ready},
        }));
    }

    /// A Service with one port and one ready Pod behind it, which listens at `backend`. `port` is the Service's, without
    /// `targetPort`: `{"name": "http", "port": 80}`.
    pub fn expose(&self, namespace: &str, name: &str, mut port: Value, backend: SocketAddr) {
        port["targetPort"] = backend.port().into();
        self.service(namespace, name, json!([port]));
        self.pod(namespace, name, backend.ip(), true);
    }

    /// The next so many requests whose target contains `target` go wrong.
    pub fn fault(&self, target: &str, times: usize, fault: Fault) {
        self.state.faults.plan(target, times, fault);
    }

    /// Nothing that was planned goes wrong any more.
    pub fn forget_faults(&self) {
        self.state.faults.forget();
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Nobody asked it anything, and that is right.
    pub fn end_unasked(self) {
        let requests = self.requests();
        assert!(requests.is_empty(), "asked for {requests:?}");
        self.state.may_be_unasked.store(true, Ordering::Relaxed);
    }
}

impl Drop for FakeApiServer {
    fn drop(&mut self) {
        self.server.abort();
        if !thread::panicking() && !self.state.may_be_unasked.load(Ordering::Relaxed) {
            assert!(!self.requests().is_empty(), "nobody asked the fake API server anything");
        }
    }
}
