//! What the end-to-end tests are written with.
//!
//! ```ignore
//! async fn a_named_port(cluster: &'static Cluster) {
//!     let backend = Backend::start(cluster.pod_address(), 8080).await;
//!     let namespace = cluster.namespace().await;
//!     namespace.expose("web", backend.ip(), json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
//!
//!     let kubeconfig = cluster.admin().kubeconfig(namespace.name());
//!     let serving = Plugin::new(cluster, &kubeconfig).args(["web"]).serve().await;
//!     let answer = http::get(&format!("{}hello", serving.proxy_url())).await;
//!     assert_eq!(answer.json()["target"], "/hello");
//!     serving.stop().await;
//! }
//! ```
//!
//! - A test is such a function, listed in its module's `tests()`. It runs beside others: its namespace, Pod addresses and users
//!   are its own, and the plugin listens on a port of the kernel's choice unless the test says otherwise ([`default_port`]).
//! - A test fails by a panic. It waits for conditions ([`support::eventually`]), never for a time.
//! - [`Backend`] answers any request with a description of it, echoes WebSockets, streams, and gives canned answers;
//!   [`Nginx`] is the real one, in front of a backend. [`Gateway`] is one in front of the API server,
//!   [`Uplink`] a cable to it that can be pulled.
//! - Narrow rights: `let user = cluster.user();`, then `namespace.grant(&user, …)` or `namespace.bind(&user, "edit")`.

mod gateway;
mod kubectl_proxy;
mod plugin;
mod uplink;

pub(crate) use gateway::{Gateway, UPGRADES};
pub(crate) use kubectl_proxy::kubectl_proxy;
pub(crate) use plugin::Plugin;
pub(crate) use uplink::{RelayKind, Uplink, run_relay};

use std::sync::LazyLock;

use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use support::cluster::{Cluster, Namespace, Nginx};
use support::{Serving, http};

/// For tests about port 8001, which is the plugin's default: one at a time.
pub(crate) async fn default_port() -> MutexGuard<'static, ()> {
    static PORT: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
    PORT.lock().await
}

/// nginx in a Pod, behind a Service `nginx` with the ports `http` (80) and `https` (443).
pub(crate) async fn nginx_in(cluster: &Cluster, namespace: &Namespace) -> Nginx {
    let nginx = Nginx::start(cluster).await;
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": Nginx::HTTP},
        {"name": "https", "port": 443, "targetPort": Nginx::HTTPS},
    ]);
    namespace.expose("nginx", nginx.ip(), ports).await;
    nginx
}

/// The plugin as the administrator runs it in `namespace`.
pub(crate) fn plugin(cluster: &Cluster, namespace: &Namespace, arguments: &[&str]) -> Plugin {
    Plugin::new(cluster, &cluster.admin().kubeconfig(namespace.name())).args(arguments)
}

/// The same, serving.
pub(crate) async fn serve(cluster: &Cluster, namespace: &Namespace, arguments: &[&str]) -> Serving {
    plugin(cluster, namespace, arguments).serve().await
}

/// Scheme, host and port of what is served: what a page there has as its `Origin`.
pub(crate) fn origin_of(serving: &Serving) -> String {
    serving.proxy_url().split("/api/").next().expect("a split has a first part").to_owned()
}

/// What curl, given nothing but the URL, shows.
pub(crate) async fn shown(url: &str) -> String {
    let output = http::curl(["--fail-with-body", url]).await;
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// curl shows nginx's front page.
pub(crate) async fn assert_shows_nginx(url: &str) {
    let page = shown(url).await;
    assert!(page.contains("<h1>Welcome to nginx!</h1>"), "{url}: {page}");
}

/// RBAC rules with one right: these verbs on the service proxy, for one literal ID.
pub(crate) fn proxy_right(id: &str, verbs: &[&str]) -> Value {
    json!([{"apiGroups": [""], "resources": ["services/proxy"], "resourceNames": [id], "verbs": verbs}])
}
