//! What an API server or a gateway before it does not let pass, and that nobody is asked more often than needed.

use std::convert::Infallible;

use futures_util::future::join_all;
use futures_util::stream;
use http::StatusCode;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Plugin, Served, web};
use support::fake::faults::Fault;
use support::fake::status::Status;
use support::fake::{FakeApiServer, Handshakes, Options};
use support::{Backend, Canned, Peer, http as client, pattern, refusal};

#[tokio::test]
async fn the_best_handshake_of_port_forward_that_is_known_is_used() {
    const CHANNELS: &str = "v4.channel.k8s.io";
    const BOTH: &str = "SPDY/3.1+portforward.k8s.io, v4.channel.k8s.io";
    for (handshakes, expect) in [
        // Two connections with little to carry to the Pod, one with much.
        (Handshakes::Since131, &[CHANNELS, CHANNELS, BOTH][..]),
        (Handshakes::Before131, &[CHANNELS, CHANNELS, BOTH]),
        // What is refused is not asked for again.
        (Handshakes::Spdy, &[CHANNELS, BOTH, "SPDY/3.1", "SPDY/3.1", BOTH, "SPDY/3.1"]),
    ] {
        let fake = FakeApiServer::start_with(Options { handshakes, ..Options::default() }).await;
        let _backend = web(&fake).await;
        let served = Plugin::new(&fake).args(["web", "--via=port-forward"]).serve().await;
        for length in [0, 1, 65_000] {
            let answer = client::get(&format!("{}bytes/{length}", served.site_url())).await;
            assert_eq!(answer.status, StatusCode::OK, "{handshakes:?}: {}", answer.text());
            assert!(answer.body == pattern(0, length), "{handshakes:?}: {length}, {}", answer.body.len());
        }
        let mut socket = open(&served, "/ws").await.unwrap();
        assert_eq!(socket.exchange(Message::text("hello")).await, Message::text("hello"));
        for _ in 0..2 {
            let large = stream::iter((0..8).map(|n| Ok::<_, Infallible>(Frame::data(pattern(n * 60_000, 60_000)))));
            let request =
                http::Request::put("/").header("content-length", 480_000).body(StreamBody::new(large)).unwrap();
            let answer = client::stream(&format!("{}sink", served.site_url()), request).await;
            let said = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(said, r#"{"length":480000}"#, "{handshakes:?}");
        }
        let asked = fake.requests().into_iter().filter_map(|mut request| {
            let upgrade = request.headers.remove("upgrade")?;
            Some(request.headers.remove("sec-websocket-protocol").unwrap_or(upgrade))
        });
        assert_eq!(asked.collect::<Vec<_>>(), expect, "{handshakes:?}");
        served.stop().await;
    }
}

#[tokio::test]
async fn an_api_server_that_forwards_no_ports_is_named() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let words = "unable to upgrade: missing upgrade headers in request";
    fake.fault("/portforward", 100, Fault::Answer(Status::bad_request(words)));
    let served = Plugin::new(&fake).args(["web", "--via=port-forward"]).serve().await;
    let answer = client::get(&served.proxy_url()).await;
    let seen = (answer.status, answer.header("svcproxy-error"));
    assert_eq!(seen, (StatusCode::NOT_IMPLEMENTED, "no-port-forward"), "{}", answer.text());
    for words in ["offers no port-forward", "port-forward svc/web", words] {
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

/// A site's WebSocket, as a page there opens it.
async fn open(served: &Served, path: &str) -> Result<Peer, Box<http::Response<Option<Vec<u8>>>>> {
    let origin = served.site_url().trim_end_matches('/').to_owned();
    let socket = format!("{}{path}", origin.replace("http://", "ws://"));
    Peer::open(&socket, &[("origin", &origin)]).await
}

/// The same, where it is refused.
async fn refused(served: &Served, path: &str) -> client::Answer {
    let origin = served.site_url().trim_end_matches('/').to_owned();
    refusal(&format!("{origin}{path}"), &origin).await
}

/// How often the Pod's port was connected to by port-forward.
fn port_forwards(fake: &FakeApiServer) -> usize {
    fake.requests().iter().filter(|request| request.target.contains("/portforward")).count()
}

/// An app that has no WebSocket at `/ws`.
async fn without_web_socket(fake: &FakeApiServer) -> Backend {
    let backend = web(fake).await;
    backend.answer("/ws", Canned { status: 400, body: b"no WebSocket".to_vec(), ..Canned::default() });
    backend
}

fn assert_is_the_apps(refused: &client::Answer) {
    assert_eq!((refused.status, &*refused.text()), (StatusCode::BAD_REQUEST, "no WebSocket"));
}

#[tokio::test]
async fn whoever_may_not_port_forward_is_told_of_a_doubtful_handshake() {
    let fake = FakeApiServer::start().await;
    let _backend = without_web_socket(&fake).await;
    let served = Plugin::new(&fake).args(["web", "--via=service-proxy"]).serve().await;
    for _ in 0..2 {
        assert_is_the_apps(&refused(&served, "/ws").await);
    }
    let words = "a WebSocket was answered 400, as if it were none";
    served.until_stderr(words).await;
    assert_eq!(served.stderr().matches(words).count(), 1, "{}", served.stderr());
}

#[tokio::test]
async fn an_app_without_a_web_socket_is_asked_twice_and_not_suspected() {
    let fake = FakeApiServer::start().await;
    let _backend = without_web_socket(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    for _ in 0..3 {
        assert_is_the_apps(&refused(&served, "/ws").await);
    }
    assert_eq!(port_forwards(&fake), 1);
    assert!(!served.stderr().contains("WebSocket"), "{}", served.stderr());
}

#[tokio::test]
async fn where_port_forward_loses_the_upgrade_too_it_is_named() {
    let fake = FakeApiServer::start().await;
    let _backend = without_web_socket(&fake).await;
    fake.fault("/portforward", 100, Fault::Answer(Status::bad_request("Upgrade request required")));
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    for _ in 0..2 {
        assert_is_the_apps(&refused(&served, "/ws").await);
    }
    assert_eq!(port_forwards(&fake), 1);
    let words = "takes Upgrade out of requests, so neither WebSockets nor port-forward can pass";
    served.until_stderr(words).await;
    assert_eq!(served.stderr().matches(words).count(), 1, "{}", served.stderr());
    // What only port-forward could carry.
    let refused = refused(&served, "/ws?query").await;
    let seen = (refused.status, refused.header("svcproxy-error"));
    assert_eq!(seen, (StatusCode::NOT_IMPLEMENTED, "upgrade-lost"), "{}", refused.text());
}

#[tokio::test]
async fn handshakes_that_a_gateway_refuses_go_by_port_forward() {
    for status in [429, 503] {
        let fake = FakeApiServer::start().await;
        let backend = web(&fake).await;
        fake.fault("/proxy/ws", 1, Fault::Page(status, "too many"));
        let served = Plugin::new(&fake).args(["web"]).serve().await;
        for _ in 0..2 {
            let mut peer = open(&served, "/ws").await.unwrap();
            assert_eq!(peer.exchange(Message::text("hello")).await, Message::text("hello"));
            peer.close().await;
        }
        assert_eq!(backend.requests().len(), 2);
        let words = format!("WebSockets go by port-forward from now on, the service proxy answered one {status}");
        served.until_stderr(&words).await;
        assert_eq!(served.stderr().matches(&words).count(), 1, "{}", served.stderr());
        // Nothing else moves.
        assert_eq!(client::get(&served.site_url()).await.status, StatusCode::OK);
        assert_eq!(port_forwards(&fake), 2);
    }
}

/// Each host that is tried is a request to the app.
#[tokio::test]
async fn two_thousand_hosts_are_not_two_thousand_requests() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    for path in ["/", "/page"] {
        backend.answer(path, Canned { status: 403, ..Canned::default() });
    }
    let paths = json!([{"backend": {"service": {"name": "web"}}}]);
    let rule = |number| json!({"host": format!("{number}.example"), "http": {"paths": paths}});
    let rules: Vec<_> = (0..2000).map(rule).collect();
    let metadata = json!({"namespace": "default", "name": "web"});
    fake.put(json!({"kind": "Ingress", "metadata": metadata, "spec": {"rules": rules}}));
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let navigation = http::Request::builder().header("sec-fetch-mode", "navigate").header("sec-fetch-site", "none");
    let url = format!("{}page", served.site_url());
    assert_eq!(client::send(&url, navigation).await.status.as_u16(), 403);
    let seen = backend.requests().len();
    assert!((3..=20).contains(&seen), "{seen} requests");
}
