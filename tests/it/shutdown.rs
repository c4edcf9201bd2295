//! How a run ends.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use rustix::process::Signal;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Plugin, Served, web};
use support::fake::FakeApiServer;
use support::stream::send;
use support::{Peer, RawBackend, http as client};

/// The program gives running requests two seconds; what holds nothing must end well before.
const AT_ONCE: Duration = Duration::from_millis(1500);

async fn start() -> (FakeApiServer, RawBackend, Served) {
    let fake = FakeApiServer::start().await;
    let backend = RawBackend::start().await;
    fake.expose("default", "raw", json!({"name": "http", "port": 80}), backend.address());
    let served = Plugin::new(&fake).args(["raw"]).serve().await;
    (fake, backend, served)
}

#[tokio::test]
async fn each_signal_ends_it_with_0() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let served = Plugin::new(&fake).args(["web"]).serve().await;
        served.signal(signal);
        let finished = served.end().await;
        assert_eq!(finished.code(), 0, "{signal:?}: {}", finished.stderr);
    }
}

#[tokio::test]
async fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for (name, signal) in [("HUP", Signal::HUP), ("INT", Signal::INT), ("TERM", Signal::TERM)] {
        let served = Plugin::new(&fake).ignoring(name).args(["web"]).serve().await;
        served.signal(signal);
        // Whoever got a signal is served no more after it.
        for _ in 0..3 {
            assert_eq!(client::get(&served.proxy_url()).await.status, 200, "{name}");
        }
        let other = if signal == Signal::TERM { Signal::INT } else { Signal::TERM };
        served.signal(other);
        assert_eq!(served.end().await.code(), 0, "{name}");
    }
}

#[tokio::test]
async fn a_running_answer_is_finished() {
    let (_fake, backend, served) = start().await;
    let request = Request::builder().method(Method::GET).body(Empty::<Bytes>::new()).unwrap();
    let url = served.proxy_url();
    let asking = tokio::spawn(async move { client::stream(&url, request).await });
    let (mut pod, _) = backend.accept().await;
    send(&mut pod, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin").await.unwrap();
    let mut body = asking.await.unwrap().into_body();
    let begin = body.frame().await.unwrap().unwrap().into_data().unwrap();
    served.signal(Signal::TERM);
    send(&mut pod, " end").await.unwrap();
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!([begin, rest].concat(), b"begin end");
    assert_eq!(served.end().await.code(), 0);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (_fake, backend, served) = start().await;
    let url = served.proxy_url();
    let request = Request::builder().method(Method::GET).body(Empty::<Bytes>::new()).unwrap();
    let asking = tokio::spawn(async move { client::stream(&url, request).await });
    let (mut pod, _) = backend.accept().await;
    send(&mut pod, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin").await.unwrap();
    let body = asking.await.unwrap().into_body();
    let started = Instant::now();
    served.signal(Signal::INT);
    served.signal(Signal::TERM);
    assert_eq!(served.end().await.code(), 0);
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    assert!(body.collect().await.is_err(), "a cut answer that looks whole");
}

#[tokio::test]
async fn open_websockets_and_idle_connections_do_not_hold_the_end() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let site = served.site_url();
    let origin = site.trim_end_matches('/').to_owned();
    let mut peer = Peer::open(&format!("{}ws", site.replacen("http", "ws", 1)), &[("Origin", &origin)]).await.unwrap();
    peer.exchange(Message::text("hello")).await;
    let _idle = client::tcp(&site.parse().unwrap()).await;
    let started = Instant::now();
    served.stop().await;
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[tokio::test]
async fn nothing_asked_for_a_while_ends_it() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web", "--idle-timeout=100ms"]).serve().await;
    let finished = served.end().await;
    assert_eq!(finished.code(), 0);
    assert!(finished.stderr.ends_with("no request for 0.1 s (--idle-timeout): stopped\n"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_command_gets_the_url_and_gives_its_code() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let script = "curl -sS \"$SVCPROXY_URL/from-the-command\" >/dev/null && exit 7";
    let finished = Plugin::new(&fake).args(["web", "--", "sh", "-c", script]).finish().await;
    assert_eq!(finished.code(), 7, "{}", finished.stderr);
    assert_eq!(backend.requests()[0]["target"], "/from-the-command");
}

#[tokio::test]
async fn a_command_gets_the_signals() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT")] {
        let script = format!("trap 'echo got it; exit 5' {name}; echo waiting; while :; do sleep 0.05; done");
        let served = Plugin::new(&fake).args(["web", "--", "sh", "-c", &script]).serve().await;
        assert_eq!(served.ready_lines(), ["waiting"], "stdout is COMMAND's alone");
        served.signal(signal);
        let finished = served.end().await;
        assert_eq!(finished.code(), 5, "{}", finished.stderr);
        assert!(finished.stdout.ends_with("got it\n"), "{}", finished.stdout);
    }
}

#[tokio::test]
async fn a_command_that_a_signal_ended_gives_what_shells_give() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let finished = Plugin::new(&fake).args(["web", "--", "sh", "-c", "kill -KILL $$"]).finish().await;
    assert_eq!(finished.code(), 137);
    // In a home where nothing is.
    let finished = Plugin::new(&fake).args(["web", "--", "./program"]).finish().await;
    assert_eq!(finished.code(), 127);
    assert!(finished.stderr.ends_with("error: cannot run ./program: no such program\n"), "{}", finished.stderr);
}
