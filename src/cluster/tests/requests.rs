//! What a request looks like when it arrives, and how bodies pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::server::{Kubeconfig, Server, get, hello, text};
use crate::cluster::{AccessRule, Cluster, ConnectFlags, ProcessEnvironment};
use crate::message::body::Body;

#[tokio::test]
async fn the_target_goes_out_octet_by_octet() {
    let server = Server::https(hello).await;
    let cluster = server.cluster().await;
    for target in ["/api/v1/x%2Fy//z/../?q=%20&r", "/%zz;v=1//", "/?", "/a?b?c&&=%"] {
        assert_eq!(get(cluster.api(), target).await, "hello");
        let seen = server.notes.last();
        assert_eq!(seen.uri.to_string(), target);
        assert_eq!(seen.header("authorization"), Some("Bearer secret"));
        assert_eq!(seen.header("host"), Some(server.address.to_string().as_str()));
    }
}

#[tokio::test]
async fn the_path_of_the_server_stands_in_front() {
    let server = Server::https(hello).await;
    let url = format!("{}/k8s/clusters/c-1/", server.url());
    let cluster = Kubeconfig::new(&url, &server.ca, "{}").load().await;
    assert_eq!(cluster.api().base_path(), "/k8s/clusters/c-1");
    get(cluster.api(), "/api?x=1").await;
    assert_eq!(server.notes.last().uri.to_string(), "/k8s/clusters/c-1/api?x=1");
}

#[tokio::test]
async fn trap_6_nobody_else_chooses_who_we_are() {
    let server = Server::https(hello).await;
    let cluster = server.cluster_of("{token: secret, as: jane, as-groups: [a, b]}").await;
    let request = Request::get("/")
        .header("authorization", "Basic eDp5")
        .header("impersonate-user", "admin")
        .header("impersonate-group", "system:masters")
        .header("impersonate-extra-x", "y")
        .header("host", "grafana.localhost:8001")
        .body(Body::Empty);
    cluster.api().send(request.unwrap()).await.unwrap();
    let seen = server.notes.last();
    assert_eq!(seen.header("authorization"), Some("Bearer secret"));
    assert_eq!(seen.header("host"), Some("grafana.localhost:8001"));
    let impersonated: Vec<_> =
        seen.headers.iter().filter(|(name, _)| name.as_str().starts_with("impersonate-")).collect();
    let values: Vec<_> = impersonated.iter().map(|(_, value)| value.to_str().unwrap()).collect();
    assert_eq!(values, ["jane", "a", "b"]);
}

#[tokio::test]
async fn nobody_logs_in_without_tls() {
    let server = Server::http(hello).await;
    let cluster = server.cluster().await;
    let request = Request::get("/").header("authorization", "Basic eDp5").body(Body::Empty).unwrap();
    cluster.api().send(request).await.unwrap();
    assert_eq!(server.notes.last().header("authorization"), None);
}

#[tokio::test]
async fn trap_7_nothing_is_tried_again() {
    let server = Server::https(|_| async { busy() }).await;
    let cluster = server.cluster().await;
    let answer = cluster.api().send(Request::post("/").body(Body::full("x")).unwrap()).await.unwrap();
    assert_eq!((answer.status(), text(answer).await.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
    assert_eq!(server.notes.seen().len(), 1);
}

fn busy() -> Response<Body> {
    Response::builder().status(503).header("retry-after", "0").body(Body::full("busy")).unwrap()
}

#[tokio::test]
async fn our_own_calls_wait_as_the_api_server_asks() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let server = Server::https(move |_| {
        let is_ready = counted.fetch_add(1, Ordering::SeqCst) % 3 == 2;
        async move { if is_ready { Response::new(Body::full("{}")) } else { busy() } }
    })
    .await;
    let cluster = server.cluster().await;
    let rule = AccessRule::new("get", "services", Some("web"));
    cluster.read::<serde_json::Value>("/api", &rule).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    cluster.create::<serde_json::Value>("/api", &"x", &rule).await.unwrap();
    let bodies: Vec<_> =
        server.notes.seen()[3..].iter().map(|seen| seen.header("content-length").map(str::to_owned)).collect();
    assert_eq!(bodies, vec![Some("3".to_owned()); 3]);
}

#[tokio::test]
async fn an_api_server_that_stays_busy_is_asked_eleven_times() {
    let server = Server::https(|_| async { busy() }).await;
    let cluster = server.cluster().await;
    let rule = AccessRule::new("get", "services", Some("web"));
    let refused = cluster.read::<serde_json::Value>("/api", &rule).await.unwrap_err();
    assert_eq!(refused.to_string(), "the API server answered 503 Service Unavailable");
    assert_eq!(server.notes.seen().len(), 11);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_request_may_take() {
    let server = Server::https(|_| async {
        Response::builder().status(429).header("retry-after", "3600").body(Body::Empty).unwrap()
    })
    .await;
    let kubeconfig = server.kubeconfig("{token: secret}");
    let flags = ConnectFlags { request_timeout: Some(Duration::from_secs(60)), ..kubeconfig.flags() };
    let cluster = Cluster::load(&flags, &ProcessEnvironment::default()).await.unwrap();
    let rule = AccessRule::new("get", "services", Some("web"));
    let refused = cluster.read::<serde_json::Value>("/api", &rule).await.unwrap_err();
    assert_eq!(refused.to_string(), "the API server answered 429 Too Many Requests");
    assert_eq!(server.notes.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_of_somebody_on_the_way_is_not_kubernetes() {
    let check = async |code: u16, field: (&'static str, &'static str), expect: &str| {
        let server = Server::https(move |_| async move {
            let body = Body::full("<title>Sign in</title>");
            Response::builder().status(code).header(field.0, field.1).body(body).unwrap()
        })
        .await;
        let found = server.cluster().await.service("default", "web").await.unwrap_err();
        assert_eq!(found.to_string(), expect, "{code} {field:?}");
    };
    let leads = "the way to the API server leads to https://sso.example.com instead (302 Found)";
    check(302, ("location", "https://sso.example.com/login?state=secret"), leads).await;
    let page = |code| format!("something on the way to the API server answered {code} with a page, in its place");
    check(403, ("content-type", "text/html; charset=utf-8"), &page("403 Forbidden")).await;
    check(404, ("content-type", "text/html"), &page("404 Not Found")).await;
    check(503, ("content-type", "text/html"), &page("503 Service Unavailable")).await;
    let no_api = "the server of the kubeconfig has no Kubernetes API at its path";
    check(404, ("content-type", "text/plain"), no_api).await;
    let elsewhere = "the way to the API server leads to another page instead (302 Found)";
    check(302, ("location", "/login?secret"), elsewhere).await;
}

#[tokio::test]
async fn an_upgrade_gets_a_connection_of_its_own() {
    let server = Server::https(echo).await;
    let cluster = server.cluster().await;
    for used in 1..3 {
        let request = Request::get("/").header("connection", "keep-alive, Upgrade").header("upgrade", "echo");
        let answer = cluster.api().send(request.body(Body::Empty).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        stream.write_all(b"ping").await.unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!((&back, server.notes.connections()), (b"ping", used));
    }
}

pub(crate) async fn echo(request: Request<Incoming>) -> Response<Body> {
    tokio::spawn(async move {
        let stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let (mut reader, mut writer) = tokio::io::split(stream);
        drop(tokio::io::copy(&mut reader, &mut writer).await);
    });
    let answer = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
    answer.body(Body::Empty).unwrap()
}

#[tokio::test]
async fn the_answer_begins_while_the_request_still_runs() {
    let server =
        Server::https(|request: Request<Incoming>| async { Response::new(Body::Incoming(request.into_body())) }).await;
    let cluster = server.cluster().await;
    let (parts, body) = mpsc::unbounded_channel::<Frame<Bytes>>();
    let body = stream::unfold(body, |mut body| async { body.recv().await.map(|frame| (Ok(frame), body)) });
    let request = Request::post("/").header("te", "trailers").body(Body::boxed(StreamBody::new(body))).unwrap();
    let mut answer = cluster.api().send(request).await.unwrap().into_body();
    for part in ["one", "two"] {
        parts.send(Frame::data(Bytes::from(part))).unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), part);
    }
    drop(parts);
    assert!(answer.frame().await.is_none());
    get(cluster.api(), "/").await;
    assert_eq!(server.notes.connections(), 1);
}

#[tokio::test]
async fn trailers_pass() {
    let server = Server::https(|_| async {
        let trailers = http::HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
        let frames = [Ok(Frame::data(Bytes::from("body"))), Ok(Frame::trailers(trailers))];
        let body = Body::boxed(StreamBody::new(stream::iter(frames)));
        Response::builder().header("trailer", "x-sum").body(body).unwrap()
    })
    .await;
    let cluster = server.cluster().await;
    let request = Request::get("/").header("te", "trailers").body(Body::Empty).unwrap();
    let whole = cluster.api().send(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["x-sum"], "7");
}

#[tokio::test]
async fn who_goes_away_takes_the_connection_along() {
    let gone = CancellationToken::new();
    let noticed = gone.clone();
    let server = Server::https(move |_| {
        let guard = noticed.clone().drop_guard();
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    })
    .await;
    let cluster = server.cluster().await;
    let request = Request::get("/").body(Body::Empty).unwrap();
    tokio::select! {
        _ = cluster.api().send(request) => unreachable!("the server never answers"),
        () = server.notes.until(|notes| notes.seen().len() == 1) => {}
    }
    tokio::time::timeout(Duration::from_secs(10), gone.cancelled()).await.expect("the server notices");
}

#[tokio::test]
async fn head_and_not_modified_have_no_body() {
    let server = Server::https(|request: Request<Incoming>| async move {
        match *request.method() {
            Method::HEAD => Response::builder().header("content-length", "5").body(Body::Empty).unwrap(),
            _ => Response::builder().status(304).header("etag", "x").body(Body::Empty).unwrap(),
        }
    })
    .await;
    let cluster = server.cluster().await;
    for (method, header, value) in
        [(Method::HEAD, "content-length", "5"), (Method::GET, "etag", "x"), (Method::HEAD, "content-length", "5")]
    {
        let request = Request::builder().method(method).uri("/").body(Body::Empty).unwrap();
        let answer = cluster.api().send(request).await.unwrap();
        assert_eq!(answer.headers()[header], value);
        assert_eq!(text(answer).await, "");
    }
    assert_eq!(server.notes.connections(), 1);
}

#[tokio::test]
async fn a_hundred_mebibytes_pass_both_ways() {
    const PIECE: usize = 1 << 20;
    let server =
        Server::https(|request: Request<Incoming>| async { Response::new(Body::Incoming(request.into_body())) }).await;
    let cluster = server.cluster().await;
    let pieces = stream::iter((0..100u8).map(|number| Ok(Frame::data(Bytes::from(vec![number; PIECE])))));
    let request = Request::put("/").body(Body::boxed(StreamBody::new(pieces))).unwrap();
    let answer = cluster.api().send(request).await.unwrap();
    let mut octets = 0;
    let mut frames = answer.into_body().into_data_stream();
    while let Some(data) = frames.next().await {
        for octet in data.unwrap() {
            assert_eq!(usize::from(octet), octets / PIECE);
            octets += 1;
        }
    }
    assert_eq!(octets, 100 * PIECE);
}
