//! What the program answers at Tab, as kubectl asks it; through real kubectl in `tests/e2e/completion.rs`.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::{Plugin, kubeconfig, web};
use support::fake::FakeApiServer;
use support::fake::users::Rule;

fn complete(fake: &FakeApiServer, words: &[&str]) -> Plugin {
    Plugin::new(fake).plain().args(["__complete"]).args(words)
}

#[tokio::test]
async fn services_ports_and_namespaces() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    fake.service("default", "grafana", json!([{"name": "service", "port": 80}, {"name": "metrics", "port": 9090}]));
    fake.service("monitoring", "graphite", json!([{"port": 8080}]));
    fake.put(json!({"kind": "Namespace", "metadata": {"name": "monitoring"}}));
    let check = async |words: &[&str], expect: &str| complete(&fake, words).ends(0, expect, "").await;

    check(&[""], "grafana\tClusterIP service:80 metrics:9090\nweb\tClusterIP http:80\n:4\n").await;
    // What the own namespace does not have is named with its own.
    let elsewhere = "graphite.monitoring\tClusterIP 8080\n:4\n";
    check(&["gr"], &format!("grafana\tClusterIP service:80 metrics:9090\n{elsewhere}")).await;
    check(&["grafana", "gr"], elsewhere).await;
    check(&["-n", "monitoring", ""], "graphite\tClusterIP 8080\n:4\n").await;
    check(
        &["-A", "gr"],
        "grafana.default\tClusterIP service:80 metrics:9090\ngraphite.monitoring\tClusterIP 8080\n:4\n",
    )
    .await;
    check(&["graphite."], "graphite.monitoring\tClusterIP 8080\n:4\n").await;
    check(&["grafana:"], "grafana:metrics\t9090\ngrafana:service\t80\n:4\n").await;
    check(
        &["https:gr"],
        "https:grafana:\tClusterIP service:80 metrics:9090\nhttps:graphite.monitoring:\tClusterIP 8080\n:6\n",
    )
    .await;
    check(&["grafana", "--svc-port", "m"], "metrics\t9090\n:4\n").await;
    check(&["-n", "mo"], "monitoring\n:4\n").await;
    check(&["--namespace=mo"], "monitoring\n:4\n").await;
    check(&["--context", ""], "test\n:4\n").await;
    check(&["--via", "p"], "port-forward\tBy port-forward to a ready Pod only\n:4\n").await;
    check(&["--kubeconfig", ""], ":0\n").await;
}

#[tokio::test]
async fn the_script_is_printed_as_it_is_installed() {
    let fake = FakeApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let flag = format!("--install-completion={}", folder.path().display());
    let installed = Plugin::new(&fake).plain().args([flag]).finish().await;
    assert!(installed.stderr.contains("not on your PATH"), "{}", installed.stderr);
    let script = std::fs::read_to_string(folder.path().join("kubectl_complete-svcproxy")).unwrap();
    Plugin::new(&fake).plain().args(["--install-completion=-"]).ends(0, &script, "").await;
    fake.end_unasked();
}

#[tokio::test]
async fn silent_where_something_is_wrong() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    fake.add_token("nobody-token", "nobody");
    complete(&fake, &["w"]).login(&fake, "token: nobody-token").ends(0, ":4\n", "").await;
    complete(&fake, &["w"]).login(&fake, "token: unknown").ends(0, ":4\n", "").await;
    complete(&fake, &["w"]).login(&fake, "exec: {apiVersion: x, command: none}").ends(0, ":4\n", "").await;
    complete(&fake, &["--context=none", "w"]).ends(0, ":4\n", "").await;
    let plugin = complete(&fake, &["w"]);
    plugin.write("config", "contexts: [");
    plugin.ends(0, ":4\n", "").await;
}

#[tokio::test]
async fn namespaces_from_elsewhere_where_they_may_not_be_listed() {
    let fake = FakeApiServer::start().await;
    fake.add_token("narrow-token", "narrow");
    fake.grant(
        "narrow",
        &[Rule { verbs: &["list"], resources: &["services"], names: &[], namespace: Some("default") }],
    );
    let plugin = complete(&fake, &["-n", ""]).login(&fake, "token: narrow-token");
    remember(&fake, &plugin, "seen");
    plugin.ends(0, "default\nseen\n:4\n", "").await;
}

#[tokio::test]
async fn services_from_where_something_was_opened() {
    let fake = FakeApiServer::start().await;
    let http = json!([{"name": "http", "port": 80}]);
    for (namespace, name) in [("default", "grafana"), ("seen", "graphite"), ("unseen", "gravity")] {
        fake.service(namespace, name, http.clone());
    }
    fake.add_token("narrow-token", "narrow");
    let list = |namespace| Rule { verbs: &["list"], resources: &["services"], names: &[], namespace: Some(namespace) };
    fake.grant("narrow", &[list("default"), list("seen"), list("unseen")]);
    let plugin = complete(&fake, &["gra"]).login(&fake, "token: narrow-token");
    remember(&fake, &plugin, "seen");
    plugin.ends(0, "grafana\tClusterIP http:80\ngraphite.seen\tClusterIP http:80\n:4\n", "").await;
}

/// Writes a history in which something of `namespace` was opened.
fn remember(fake: &FakeApiServer, plugin: &Plugin, namespace: &str) {
    std::fs::create_dir_all(plugin.home().join(".local/state/kubectl-svcproxy")).unwrap();
    let targets = json!([{"context": "test", "server": fake.url(), "namespace": namespace, "id": "x", "path": "/"}]);
    plugin.write(".local/state/kubectl-svcproxy/history.json", &json!({"version": 1, "targets": targets}).to_string());
}

#[tokio::test]
async fn never_longer_than_two_seconds() {
    let fake = FakeApiServer::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = kubeconfig(&format!("https://{}", silent.local_addr().unwrap()), "", "token: x");
    let plugin = complete(&fake, &["w"]);
    plugin.write("config", &text);
    let start = Instant::now();
    plugin.ends(0, ":4\n", "").await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    complete(&fake, &["w"]).ends(0, ":4\n", "").await;
}
