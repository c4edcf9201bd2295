//! What an API server or a gateway before it does not let pass, and that nobody is asked more often than needed.

use futures_util::future::join_all;
use http::StatusCode;

use crate::fake::FakeApiServer;
use crate::fake::faults::Fault;
use crate::fake::status::Status;
use crate::harness::{Plugin, web};
use crate::rig::{Canned, Peer, http as client};

#[tokio::test]
async fn an_api_server_that_forwards_ports_by_spdy_only_is_named() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    fake.fault("/portforward", 100, Fault::Answer(Status::bad_request("Upgrade request required")));
    let served = Plugin::new(&fake).args(["web", "--via=port-forward"]).serve().await;
    let answer = client::get(&served.proxy_url()).await;
    let seen = (answer.status, answer.header("svcproxy-error"));
    assert_eq!(seen, (StatusCode::NOT_IMPLEMENTED, "spdy-only"), "{}", answer.text());
    for words in ["no port-forward over WebSocket", "port-forward svc/web", "Upgrade request required"] {
        assert!(answer.text().contains(words), "no {words:?} in {}", answer.text());
    }
    served.stop().await;
}

#[tokio::test]
async fn rights_are_asked_for_once_and_each_kind_is_said_once() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let reviews = || fake.requests().iter().filter(|request| request.target.contains("accessreviews")).count();
    let before = reviews();
    for round in 0..3 {
        let paths = ["a%2Fb", "a//b", "a(b)", "a?dryRun=1"].map(|path| format!("{}{path}", served.site_url()));
        let urls: Vec<String> = (0..5).flat_map(|_| paths.clone()).collect();
        for answer in join_all(urls.iter().map(|url| client::get(url))).await {
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        }
        // Two verbs of port-forward, and whether its Pods can be found, in two ways.
        assert_eq!(reviews() - before, 4, "in round {round}");
    }
    let said = served.stderr();
    for kind in ["a path with %2F", "a path with //", "a path with !", "a query with dryRun"] {
        assert_eq!(said.matches(kind).count(), 1, "{kind}: {said}");
    }
}

#[tokio::test]
async fn an_upgrade_that_gets_lost_on_the_way_is_said() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    backend.answer("/ws", Canned { status: 400, body: b"no WebSocket".to_vec(), ..Canned::default() });
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let origin = served.site_url().trim_end_matches('/').to_owned();
    let socket = format!("{}/ws", origin.replace("http://", "ws://"));
    for _ in 0..2 {
        let refusal = Peer::open(&socket, &[("origin", &origin)]).await.err().expect("it is refused");
        assert_eq!(refusal.status(), StatusCode::BAD_REQUEST);
    }
    let words = "a WebSocket was answered 400, as if it were none";
    served.until_stderr(words).await;
    assert_eq!(served.stderr().matches(words).count(), 1, "{}", served.stderr());
}
