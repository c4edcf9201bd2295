//! Where it matters which Pod, or which connection to it, a request goes to.

use std::net::Ipv4Addr;

use http::StatusCode;
use serde_json::json;

use crate::harness::{Plugin, Served};
use support::fake::FakeApiServer;
use support::{Backend, LoginServer, LoginVisitor, eventually, http as client};

/// The Service `web` with two ready Pods.
async fn two_pods(fake: &FakeApiServer, affinity: &str) -> [Backend; 2] {
    let first = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
    let second = Backend::start(Ipv4Addr::new(127, 0, 0, 2), first.address().port()).await;
    fake.expose("default", "web", json!({"name": "http", "port": 80}), first.address());
    fake.change("services", "default", "web", |service| service["spec"]["sessionAffinity"] = json!(affinity));
    fake.put(json!({
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": "web-1", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": "Running", "podIP": "127.0.0.2", "ready": true},
    }));
    [first, second]
}

async fn ask_often(served: &Served) {
    let url = served.site_url();
    for answer in futures_util::future::join_all((0..12).map(|_| client::get(&url))).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

#[tokio::test]
async fn one_pod_for_a_run_and_another_when_it_goes() {
    for (affinity, arguments) in [("ClientIP", &["web"][..]), ("None", &["web", "--sticky"])] {
        let fake = FakeApiServer::start().await;
        let pods = two_pods(&fake, affinity).await;
        let served = Plugin::new(&fake).args(arguments).serve().await;
        ask_often(&served).await;
        let asked = pods.each_ref().map(|pod| pod.requests().len());
        let kept = usize::from(asked[0] == 0);
        assert_eq!((asked[kept], asked[1 - kept]), (12, 0), "{arguments:?}");
        served.until_stderr("one Pod for the whole run goes by port-forward").await;

        fake.delete("pods", "default", &format!("web-{kept}"));
        let words = format!("its Pod web-{kept} is gone");
        eventually("another Pod takes its place", async || {
            ask_often(&served).await;
            served.stderr().contains(&words).then_some(())
        })
        .await;
        assert!(!pods[1 - kept].requests().is_empty(), "{arguments:?}");
        assert_eq!(served.stderr().matches("is gone, everything goes to").count(), 1, "{}", served.stderr());
    }
}

#[tokio::test]
async fn whoever_may_not_port_forward_is_told_that_pods_change() {
    let fake = FakeApiServer::start().await;
    let _pods = two_pods(&fake, "None").await;
    let served = Plugin::new(&fake).args(["web", "--sticky", "--via=service-proxy"]).serve().await;
    ask_often(&served).await;
    served.until_stderr("one Pod for the whole run goes by the service proxy, which will choose one").await;
}

#[tokio::test]
async fn a_login_that_belongs_to_a_connection_is_nobody_elses() {
    for via in ["--via=auto", "--via=port-forward"] {
        let fake = FakeApiServer::start().await;
        let server = LoginServer::start(Ipv4Addr::LOCALHOST, 0).await;
        fake.expose("default", "login", json!({"name": "http", "port": 80}), server.address());
        let served = Plugin::new(&fake).args(["login", via]).serve().await;
        let url = served.site_url();
        let (mut ann, mut bob) = (LoginVisitor::new(&url, "ann").await, LoginVisitor::new(&url, "bob").await);
        tokio::join!(ann.log_in(), bob.log_in());
        tokio::join!(ann.assert_is_known(), bob.assert_is_known());
        let mut nobody = LoginVisitor::new(&url, "nobody").await;
        nobody.assert_is_unknown().await;
        let before = server.connections();
        drop((ann, bob));
        eventually("their connections to the Pod end", async || (server.connections() + 2 <= before).then_some(()))
            .await;
        nobody.assert_is_unknown().await;
    }
}

/// The handshake of a WebSocket is refused and agreed to on one connection.
#[tokio::test]
async fn a_web_socket_of_a_login_that_belongs_to_a_connection() {
    for via in ["--via=auto", "--via=port-forward"] {
        let fake = FakeApiServer::start().await;
        let server = LoginServer::start(Ipv4Addr::LOCALHOST, 0).await;
        fake.expose("default", "login", json!({"name": "http", "port": 80}), server.address());
        let served = Plugin::new(&fake).args(["login", via]).serve().await;
        let mut ann = LoginVisitor::new(&served.site_url(), "ann").await.with_handshakes();
        ann.log_in().await;
    }
}
