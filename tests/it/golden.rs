//! What an app says arrives, though an API server stands between: the rows that `tests/e2e` plays on a real one.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::harness::Plugin;
use support::fake::FakeApiServer;
use support::{Backend, golden};

#[tokio::test]
async fn the_browser_gets_what_the_app_says() {
    let fake = FakeApiServer::start().await;
    let backend = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
    fake.expose("default", "named", json!({"name": "http", "port": 80}), backend.address());
    let served = Plugin::new(&fake).args(["named", "--via=service-proxy"]).serve().await;
    let stage = golden::Stage { serving: &served, backend: &backend, pod: backend.address(), namespace: "default" };
    let failures = golden::run_all(&stage).await;
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
