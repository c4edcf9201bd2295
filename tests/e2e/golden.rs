//! What an app says arrives, though an API server stands between: the rows that `tests/it` plays on the fake one.

use serde_json::json;

use crate::harness::Plugin;
use support::cluster::Cluster;
use support::{Backend, golden};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![the_browser_gets_what_the_app_says]
}

async fn the_browser_gets_what_the_app_says(cluster: &'static Cluster) {
    let backend = Backend::start(cluster.pod_address(), 8080).await;
    let namespace = cluster.namespace().await;
    namespace.expose("named", backend.ip(), json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let serving = Plugin::new(cluster, &kubeconfig).args(["named", "--via=service-proxy"]).serve().await;
    let pod = (backend.ip(), 8080).into();
    let stage = golden::Stage { serving: &serving, backend: &backend, pod, namespace: namespace.name() };
    let failures = golden::run_all(&stage).await;
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
