//! From start to end: ready lines, signals, COMMAND, waiting, idling.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty};
use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Plugin, assert_shows_nginx, default_port, nginx_in, origin_of, plugin, serve, shown};
use support::cluster::{Cluster, Login, Pod, backend_in};
use support::{Backend, Finished, Peer, eventually, http};

/// What is said when the grace is over and something was still going on.
const CUT: &str = "cut off";

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        ctrl_c_ends_with_zero,
        an_open_web_socket_does_not_hold_the_end,
        a_second_signal_spares_the_wait,
        a_command_runs_with_the_url,
        the_url_alone,
        several_services_on_one_port,
        a_dry_run_opens_nothing,
        both_loopback_addresses,
        a_taken_port,
        the_default_port_is_taken,
        a_browser_gets_the_url,
        waiting_for_an_endpoint,
        the_terminal_hears_of_the_service,
        waiting_in_vain,
        idling_ends_it,
        a_pipe_that_nobody_reads,
        sessions_with_the_api_server_are_resumed,
        what_was_opened_before_is_served_before_it_is_read,
    ]
}

/// Each WebSocket takes a connection of its own, and another one is made in its place.
async fn sessions_with_the_api_server_are_resumed(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    for login in [Login::Token, Login::Certificate] {
        let user = cluster.user_with(login);
        namespace.bind(&user, "admin").await;
        let kubeconfig = user.kubeconfig(namespace.name());
        let serving = Plugin::new(cluster, &kubeconfig).args(["app", "-vv"]).serve().await;
        assert_eq!(http::get(&serving.proxy_url()).await.status, 200);
        let url = format!("{}socket", serving.proxy_url().replace("http://", "ws://"));
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(Peer::open(&url, &[("origin", &origin_of(&serving))]).await.unwrap());
        }
        serving.until_stderr("is_resumed=true").await;
        serving.stop().await;
    }
}

async fn what_was_opened_before_is_served_before_it_is_read(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let (kubeconfig, state) = (cluster.admin().kubeconfig(namespace.name()), cluster.scratch());
    let plugin = || Plugin::new(cluster, &kubeconfig).env("XDG_STATE_HOME", &state).args(["app", "-vv"]);
    plugin().serve().await.stop().await;
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let running = plugin().args([format!("--port={port}")]).spawn();
    let url = format!("http://127.0.0.1:{port}{}/early", namespace.proxy_path("app:http"));
    support::eventually("a listener", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    assert_eq!(http::get(&url).await.json()["target"], "/early");
    assert_eq!(backend.requests().len(), 1);
    let serving = running.ready(1).await;
    let finished = serving.stop().await;
    assert!(finished.stderr.contains("serves what is most likely meant"), "{}", finished.stderr);
}

async fn ctrl_c_ends_with_zero(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["nginx:http"]).await;
    let url = serving.proxy_url();
    serving.signal(Signal::INT);
    let finished = serving.end().await;
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert_eq!(http::curl([url.as_str()]).await.status.code(), Some(7), "nobody listens any more");
}

async fn an_open_web_socket_does_not_hold_the_end(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let url = format!("{}socket", serving.proxy_url().replace("http://", "ws://"));
    let mut peer = Peer::open(&url, &[("origin", &origin_of(&serving))]).await.unwrap();
    peer.exchange("hello".into()).await;
    let finished = serving.stop().await;
    assert!(!finished.stderr.contains(CUT), "{}", finished.stderr);
}

async fn a_second_signal_spares_the_wait(cluster: &'static Cluster) {
    let [once, twice] = [1, 2].map(|signals| ended_while_busy(cluster, signals));
    let (once, twice) = tokio::join!(once, twice);
    assert!(once.stderr.contains(CUT), "{}", once.stderr);
    assert!(!twice.stderr.contains(CUT), "{}", twice.stderr);
}

/// Ends the program with so many signals in the middle of an answer that never ends.
async fn ended_while_busy(cluster: &'static Cluster, signals: usize) -> Finished {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let request = ::http::Request::new(Empty::<bytes::Bytes>::new());
    let mut endless = http::stream(&format!("{}events/2", serving.proxy_url()), request).await;
    assert!(endless.body_mut().frame().await.is_some());
    for _ in 0..signals {
        serving.signal(Signal::TERM);
        // Two signals at once may become one on their way: the second goes when the first was seen.
        eventually("nobody new is let in", async || listens_no_more(&serving.proxy_url()).await.then_some(())).await;
    }
    let finished = serving.end().await;
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    finished
}

async fn listens_no_more(url: &str) -> bool {
    let authority = url.parse::<::http::Uri>().unwrap().authority().unwrap().to_string();
    tokio::net::TcpStream::connect(authority).await.is_err()
}

async fn a_command_runs_with_the_url(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let command = "curl -q --silent \"$SVCPROXY_URL/\"; exit 7";
    let finished = plugin(cluster, &namespace, &["nginx:http", "--", "sh", "-c", command]).finish().await;
    assert_eq!(finished.code(), 7, "{}", finished.stderr);
    assert!(finished.stdout.contains("Welcome to nginx!"), "{}", finished.stdout);
}

async fn the_url_alone(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let plain = Plugin::new(cluster, &kubeconfig).plain();
    let serving = plain.args(["nginx:http", "--port=0", "--output=url"]).serve().await;
    assert_shows_nginx(&serving.ready_lines()[0]).await;
}

async fn several_services_on_one_port(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = plugin(cluster, &namespace, &["nginx:http", "app", "https:nginx:443"]).serve_targets(3).await;
    let urls: Vec<String> =
        (0..3).map(|number| serving.ready_target(number)["proxyUrl"].as_str().unwrap().to_owned()).collect();
    assert_shows_nginx(&urls[0]).await;
    assert!(shown(&urls[1]).await.contains("\"method\":\"GET\""));
    assert_shows_nginx(&urls[2]).await;
}

async fn a_dry_run_opens_nothing(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let finished = Plugin::new(cluster, &kubeconfig).plain().args(["app", "--dry-run"]).finish().await;
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert!(finished.stdout.contains(&namespace.proxy_path("app:http")), "{}", finished.stdout);
    assert_eq!(backend.requests().len(), 0);
}

async fn both_loopback_addresses(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["nginx:http"]).await;
    let url = serving.proxy_url();
    assert_shows_nginx(&url).await;
    assert_shows_nginx(&url.replace("127.0.0.1", "[::1]")).await;
}

async fn a_taken_port(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let finished = Plugin::new(cluster, &kubeconfig).plain().args(["nginx:http", "--port", &port]).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    assert!(finished.stderr.contains(&port), "{}", finished.stderr);
}

/// Bookmarks and cookies stay good: the second choice is the same every time.
async fn the_default_port_is_taken(cluster: &'static Cluster) {
    let _port = default_port().await;
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let _taken = std::net::TcpListener::bind("127.0.0.1:8001").unwrap();
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let mut urls = Vec::new();
    for _ in 0..2 {
        let plain = Plugin::new(cluster, &kubeconfig).plain().args(["nginx:http", "--output=json"]);
        let serving = plain.serve().await;
        assert_shows_nginx(&serving.proxy_url()).await;
        urls.push(serving.proxy_url());
        serving.stop().await;
    }
    assert_eq!(urls[0], urls[1]);
}

async fn a_browser_gets_the_url(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let opened = cluster.scratch().join("opened");
    let browser = opened.with_file_name("browser");
    std::fs::write(&browser, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", opened.display())).unwrap();
    std::fs::set_permissions(&browser, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let browser = format!("--browser={}", browser.display());
    let plain = Plugin::new(cluster, &kubeconfig).plain();
    let serving = plain.args(["nginx:http", "--port=0", "--output=json", &browser]).serve().await;
    let url = eventually("the browser was started", async || {
        std::fs::read_to_string(&opened).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    assert_eq!(url.trim_end(), serving.proxy_url());
    assert_shows_nginx(url.trim_end()).await;
}

async fn waiting_for_an_endpoint(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("app", json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    let is_ready = Cell::new(false);
    let plugin = async {
        let serving = plugin(cluster, &namespace, &["app", "--wait"]).serve().await;
        is_ready.set(true);
        serving
    };
    let pod = async {
        let backend = Backend::start(cluster.pod_address(), 8080).await;
        let (labels, ports) = (json!({"app": "app"}), json!([]));
        namespace.pod(Pod { name: "app-0", ip: backend.ip(), labels, ports, ready: false }).await;
        namespace.until_endpoints("app", 0).await;
        assert!(!is_ready.get());
        namespace.set_ready("app-0", true).await;
        backend
    };
    let (serving, _backend) = tokio::join!(plugin, pod);
    assert_eq!(http::get(&serving.proxy_url()).await.status.as_u16(), 200);
}

async fn waiting_in_vain(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("app", json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    let finished = plugin(cluster, &namespace, &["app", "--wait=1s"]).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    assert!(finished.stderr.contains("ready"), "{}", finished.stderr);
}

async fn idling_ends_it(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["nginx:http", "--idle-timeout=1s"]).await;
    assert_eq!(serving.end().await.code(), 0);
}

async fn the_terminal_hears_of_the_service(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let place = format!("app in {}", namespace.name());
    namespace.set_ready("app-0", false).await;
    serving.until_stderr(&format!("{place} has no ready endpoint")).await;
    namespace.set_ready("app-0", true).await;
    serving.until_stderr(&format!("{place} has a ready endpoint again")).await;
    cluster.api().delete(&format!("{}/app", namespace.path("Service"))).await;
    serving.until_stderr(&format!("{place} has been deleted")).await;
    serving.stop().await;
}

/// Whoever starts it from a script may never read what it says.
async fn a_pipe_that_nobody_reads(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = plugin(cluster, &namespace, &["app", "--log-requests", "-v=3"]).serve_unread().await;
    let url = serving.proxy_url();
    for round in 0..30 {
        let asked = (0..50).map(|number| format!("{url}{}/{round}/{number}", "a".repeat(300)));
        let answers = join_all(asked.map(async |url| http::get(&url).await.status.as_u16())).await;
        assert_eq!(answers, [200; 50], "round {round}");
    }
    serving.signal(Signal::INT);
    let started = Instant::now();
    assert_eq!(serving.end().await.code(), 0);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}
