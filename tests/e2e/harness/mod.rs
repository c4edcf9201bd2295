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
//! - A test fails by a panic. It waits for conditions ([`cluster::eventually`]), never for a time.
//! - [`Backend`] answers any request with a description of it, echoes WebSockets, streams, and gives canned answers;
//!   [`Nginx`] is the real one, in front of a backend.
//! - Narrow rights: `let user = cluster.user();`, then `namespace.grant(&user, …)` or `namespace.bind(&user, "edit")`.

mod nginx;
mod plugin;

pub(crate) use nginx::Nginx;
pub(crate) use plugin::Plugin;

pub(crate) use crate::rig::{Backend, Canned, Finished, Peer, Serving, http, pattern};

use std::sync::LazyLock;

use tokio::sync::{Mutex, MutexGuard};

/// For tests about port 8001, which is the plugin's default: one at a time.
pub(crate) async fn default_port() -> MutexGuard<'static, ()> {
    static PORT: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
    PORT.lock().await
}
