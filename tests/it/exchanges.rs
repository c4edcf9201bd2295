//! What is asked of the API server at the start, what of it side by side, and what only once: each exchange that waits for
//! another one is a round trip.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU16, Ordering};

use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Plugin, web};
use support::fake::faults::Fault;
use support::fake::{FakeApiServer, Options};
use support::terminal::USUAL;
use support::{Backend, ConnectProxy, Finished, Peer, eventually, http as client};

const SERVICE: &str = "/api/v1/namespaces/default/services/web";
const PROXIED: &str = "/services/web:http/proxy/";
const ID: &str = "web:http";
const SLICES: &str = "/endpointslices?";
const ALL_SLICES: &str = "/v1/endpointslices";

/// How many requests there were whose targets contain `part`.
fn asked(fake: &FakeApiServer, part: &str) -> usize {
    fake.requests().iter().filter(|request| request.target.contains(part)).count()
}

/// A port that nobody is given by the system, so that no other test, which may want its own again, finds it taken.
async fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(12_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return port;
        }
    }
}

/// What comes back from a request that is sent as soon as somebody listens: the start of an answer, or nothing at its end.
async fn early(port: u16, method: &str, id: &str) -> String {
    let mut stream =
        eventually("a listener", async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()).await;
    let request = format!(
        "{method} /api/v1/namespaces/default/services/{id}/proxy/early HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await; // a connection that is cut says the same as one that ends
    String::from_utf8_lossy(&answer).into_owned()
}

/// Starts `plugin`, for which the Service is read only once `awaited` was asked for, and asks it something before it is ready.
async fn start_early(fake: &FakeApiServer, plugin: Plugin, awaited: &'static str, method: &str) -> (String, Finished) {
    let port = free_port().await;
    // The Service's own path is the beginning of what is asked through it.
    fake.fault(SERVICE, 2, Fault::Await(awaited));
    let serving = async { plugin.args([format!("--port={port}")]).serve().await };
    let (answer, served) = tokio::join!(early(port, method, ID), serving);
    served.signal(rustix::process::Signal::TERM);
    (answer, served.end().await)
}

#[tokio::test]
async fn what_comes_early_is_asked_while_the_service_is_read() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let (answer, finished) = start_early(&fake, Plugin::new(&fake).args(["web:http"]), PROXIED, "GET").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"target\":\"/early\""), "{answer}");
    assert_eq!((finished.code(), backend.requests().len()), (0, 1), "{}", finished.stderr);
}

#[tokio::test]
async fn what_was_opened_before_is_served_before_it_is_read() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let state = tempfile::tempdir().unwrap();
    let plugin = || Plugin::new(&fake).env("XDG_STATE_HOME", state.path());
    plugin().args(["web"]).serve().await.stop().await;
    for word in ["web", "-", "default/web"] {
        let (answer, _) = start_early(&fake, plugin().args([word]), "/early", "GET").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{word}: {answer}");
        fake.forget_faults();
    }
}

#[tokio::test]
async fn a_list_asks_for_endpoints_beside_the_services() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    fake.fault("/api/v1/services", 1, Fault::Await(ALL_SLICES));
    let listed = Plugin::new(&fake).args(["--list", "-A"]).finish().await;
    assert_eq!((listed.code(), asked(&fake, ALL_SLICES)), (0, 1), "{}", listed.stderr);
    assert!(listed.stdout.contains("\"ready\":1"), "{}", listed.stdout);
}

#[tokio::test]
async fn nothing_that_may_do_something_goes_ahead() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let port = free_port().await;
    let serving = async { Plugin::new(&fake).args(["web:http", &format!("--port={port}")]).serve().await };
    let (answer, served) = tokio::join!(early(port, "POST", ID), serving);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let targets: Vec<String> = fake.requests().into_iter().map(|request| request.target).collect();
    let of = |part: &str| targets.iter().position(|target| target.ends_with(part)).unwrap();
    assert!(of("/services/web") < of("/early"), "{targets:?}");
    assert_eq!(backend.requests().len(), 1);
    served.stop().await;
}

#[tokio::test]
async fn a_wrong_guess_answers_nobody() {
    let fake = FakeApiServer::start().await;
    let backend = Backend::start_tls(Ipv4Addr::LOCALHOST, 0, fake.authority()).await;
    fake.expose("default", "web", json!({"name": "http", "port": 80, "appProtocol": "https"}), backend.address());
    let port = free_port().await;
    fake.fault(SERVICE, 2, Fault::Await(PROXIED));
    let plugin = Plugin::new(&fake).args(["web:http", &format!("--port={port}")]);
    let (answer, served) = tokio::join!(early(port, "GET", ID), plugin.serve());
    assert_eq!(answer, "", "the guess spoke plain text to it");
    assert_eq!(served.ready()["scheme"], "https");
    assert_eq!(client::get(&format!("{}x", served.proxy_url())).await.json()["target"], "/x");
    served.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_refused_as_ever() {
    for (typed, words) in [
        ("web:ui", "svcproxy: Service \"web\" has no port ui\n"),
        ("web:http", "svcproxy: Service \"web\" is of type ExternalName: it only stands for db.example\n"),
        ("web-gone:http", "svcproxy: no Service \"web-gone\" in any namespace\n"),
    ] {
        let fake = FakeApiServer::start().await;
        let _backend = web(&fake).await;
        if words.contains("ExternalName") {
            let spec = json!({"type": "ExternalName", "externalName": "db.example", "ports": []});
            fake.change("services", "default", "web", |service| service["spec"] = spec);
        }
        fake.fault(SERVICE, 2, Fault::Await("/proxy/early"));
        let port = free_port().await;
        let plugin = Plugin::new(&fake).args([typed, &format!("--port={port}")]);
        let (answer, finished) = tokio::join!(early(port, "GET", typed), plugin.finish());
        assert_eq!((answer.as_str(), finished.code(), finished.stdout.as_str()), ("", 1, ""), "{typed}");
        assert!(finished.stderr.contains(words.trim_start_matches("svcproxy: ")), "{typed}: {}", finished.stderr);
    }
}

#[tokio::test]
async fn nothing_is_said_before_it_is_certain() {
    for (id, host) in [("web:80", "127.0.0.1"), (ID, "evil.example")] {
        let fake = FakeApiServer::start().await;
        let _backend = web(&fake).await;
        let port = free_port().await;
        let silence = async {
            let mut stream =
                eventually("a listener", async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()).await;
            let request =
                format!("GET /api/v1/namespaces/default/services/{id}/proxy/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await; // it may be cut
            answer
        };
        fake.fault(SERVICE, 2, Fault::Await("/proxy/early"));
        let serving = async { Plugin::new(&fake).args([ID, &format!("--port={port}")]).serve().await };
        let (answer, early, served) = tokio::join!(silence, early(port, "GET", ID), serving);
        let answer = String::from_utf8_lossy(&answer);
        let asks_again = format!("location: /api/v1/namespaces/default/services/{id}/proxy/\r\n");
        assert!(answer.starts_with("HTTP/1.1 307") && answer.contains(&asks_again), "{id} {host}: {answer}");
        assert!(early.starts_with("HTTP/1.1 200"), "{id} {host}: {early}");
        served.stop().await;
    }
}

#[tokio::test]
async fn endpoints_are_asked_for_beside_the_service_and_once() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    fake.fault(SERVICE, 1, Fault::Await(SLICES));
    let served = Plugin::new(&fake).args(["web", "--via=port-forward"]).serve().await;
    assert_eq!(client::get(&served.site_url()).await.status, StatusCode::OK);
    let counts = ["/services/web", SLICES, "/portforward?"].map(|part| asked(&fake, part));
    served.stop().await;
    assert_eq!(counts, [1, 1, 1]);
}

#[tokio::test]
async fn a_person_is_told_of_endpoints_that_were_asked_for_beside_the_service() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    fake.fault(SERVICE, 1, Fault::Await(SLICES));
    let mut terminal = Plugin::new(&fake).plain().args(["web", "--no-browser", "--port=0"]).in_terminal(USUAL);
    terminal.until_text("1/1").await;
}

#[tokio::test]
async fn a_gateway_is_asked_beside_the_service() {
    let gateway = Some("api.example:6443".to_owned());
    let fake = FakeApiServer::start_with(Options { gateway, ..Options::default() }).await;
    let proxy = ConnectProxy::start(fake.address()).await;
    let _backend = web(&fake).await;
    fake.fault(SERVICE, 1, Fault::Await("/version"));
    let served = Plugin::new(&fake).env("HTTPS_PROXY", proxy.url()).args(["web"]).serve().await;
    eventually("both probes", async || (asked(&fake, "/version") == 2).then_some(())).await;
    assert_eq!(client::get(&served.proxy_url()).await.status, StatusCode::OK);
    assert_eq!(asked(&fake, "/version"), 2);
    served.stop().await;
}

#[tokio::test]
async fn nobody_else_is_asked_for_endpoints_at_the_start() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let count = asked(&fake, SLICES);
    served.stop().await;
    assert_eq!(count, 0);
}

#[tokio::test]
async fn who_watches_the_endpoints_does_not_ask_for_them() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let (socket, origin) = (served.site_url().replacen("http", "ws", 1), served.site_url());
    let origin = origin.trim_end_matches('/');
    eventually("a watch", async || (asked(&fake, "/endpointslices?") >= 2).then_some(())).await;
    for number in 1..4 {
        let before = asked(&fake, SLICES);
        let peer = Peer::open(&format!("{socket}?number={number}"), &[("Origin", origin)]).await.unwrap();
        peer.close().await;
        assert_eq!((asked(&fake, SLICES), asked(&fake, "/portforward?")), (before, number));
    }
    let reviews = asked(&fake, "selfsubjectaccessreviews");
    assert_eq!(reviews, 2, "that slices can be listed is seen");
    served.signal(rustix::process::Signal::TERM);
    assert_eq!(served.end().await.code(), 0);
}
