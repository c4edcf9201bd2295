//! The main job: a Service is found, its computed proxy URL is served, and the app behind it answers.

use serde_json::json;

use crate::cluster::Cluster;
use crate::harness::{Nginx, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![the_cluster_serves_nginx]
}

/// Proves the test bed itself, without the plugin: `kubectl get --raw` goes through the API server to nginx.
async fn the_cluster_serves_nginx(cluster: &'static Cluster) {
    let nginx = Nginx::start(cluster).await;
    let namespace = cluster.namespace().await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": Nginx::HTTP}]);
    namespace.expose("nginx", nginx.ip(), ports).await;
    let page = cluster.api().text(&format!("{}/", namespace.proxy_path("nginx:http"))).await.unwrap();
    assert!(page.contains("Welcome to nginx!"), "{page}");
    let _ = http::get(&format!("http://{}:8080/", nginx.ip())).await;
}
