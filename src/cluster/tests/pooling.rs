//! Which connection a request takes.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::server::{Kubeconfig, Server, get, hello};
use crate::cluster::SendError;
use crate::message::body::Body;
use crate::message::replay::LastSend;

#[tokio::test]
async fn requests_in_turn_share_a_connection() {
    let server = Server::https(hello).await;
    let cluster = server.cluster().await;
    for _ in 0..20 {
        get(cluster.api(), "/").await;
    }
    assert_eq!(server.notes.connections(), 1);
}

#[tokio::test]
async fn a_warm_connection_is_taken() {
    let server = Server::https(hello).await;
    let cluster = server.cluster().await;
    cluster.api().warm().await.unwrap();
    get(cluster.api(), "/").await;
    assert_eq!(server.notes.connections(), 1);
}

#[tokio::test]
async fn a_connection_is_free_only_after_the_body() {
    let server = Server::https(|_| async { Response::new(Body::full(vec![b'x'; 1 << 20])) }).await;
    let cluster = server.cluster().await;
    let request = || Request::get("/").body(Body::Empty).unwrap();
    let held = cluster.api().send(request()).await.unwrap();
    get(cluster.api(), "/").await;
    assert_eq!(server.notes.connections(), 2);
    held.into_body().collect().await.unwrap();
    let again = (cluster.api().send(request()).await.unwrap(), cluster.api().send(request()).await.unwrap());
    assert_eq!(server.notes.connections(), 2);
    drop(again);
}

#[tokio::test]
async fn a_body_given_up_ends_its_connection() {
    let server = Server::https(|_| async { Response::new(Body::full(vec![b'x'; 10 << 20])) }).await;
    let cluster = server.cluster().await;
    drop(cluster.api().send(Request::get("/").body(Body::Empty).unwrap()).await.unwrap());
    get(cluster.api(), "/").await;
    assert_eq!(server.notes.connections(), 2);
}

#[tokio::test]
async fn trap_16_a_burst_waits_for_its_turn() {
    let server = Server::https(|_| async {
        tokio::task::yield_now().await;
        Response::new(Body::full("hello"))
    })
    .await;
    let cluster = server.cluster().await;
    let mut burst = JoinSet::new();
    for _ in 0..300 {
        let api = cluster.api().clone();
        burst.spawn(async move { get(&api, "/").await });
    }
    burst.join_all().await;
    assert_eq!(server.notes.seen().len(), 300);
    assert!(server.notes.connections() <= 64, "{}", server.notes.connections());
}

#[tokio::test]
async fn answers_that_never_end_do_not_keep_others_out() {
    let server = Server::http(|request: Request<_>| async move {
        if request.uri().path() == "/events" {
            std::future::pending::<()>().await;
        }
        Response::new(Body::full("hello"))
    })
    .await;
    let cluster = server.cluster().await;
    let mut streams = JoinSet::new();
    for _ in 0..64 {
        let api = cluster.api().clone();
        streams.spawn(async move { drop(api.send(Request::get("/events").body(Body::Empty).unwrap()).await) });
    }
    server.notes.until(|notes| notes.seen().len() == 64).await;
    assert_eq!(get(cluster.api(), "/").await, "hello");
}

/// Answers the first request on a connection, then does with the second what `second` says.
async fn moody(second: fn(TcpStream)) -> Kubeconfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let read = tcp.read(&mut head).await.unwrap();
                let method = std::str::from_utf8(&head[..read]).unwrap().split(' ').next().unwrap().to_owned();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{method}", method.len());
                tcp.write_all(answer.as_bytes()).await.unwrap();
                tcp.peek(&mut [0]).await.unwrap();
                second(tcp);
            });
        }
    });
    Kubeconfig::new(&format!("http://{address}"), "", "{}")
}

#[tokio::test]
async fn a_dead_connection_is_replaced_for_what_may_be_sent_twice() {
    let cluster = moody(drop).await.load().await;
    for _ in 0..3 {
        assert_eq!(get(cluster.api(), "/").await, "GET");
    }
}

#[tokio::test]
async fn nothing_else_is_sent_twice() {
    let cluster = moody(drop).await.load().await;
    get(cluster.api(), "/").await;
    let error = cluster.api().send(Request::post("/").body(Body::Empty).unwrap()).await.unwrap_err();
    assert!(matches!(error, SendError::Interrupted { .. }), "{error}");
}

#[tokio::test]
async fn the_last_time_takes_a_new_connection() {
    let cluster = moody(drop).await.load().await;
    get(cluster.api(), "/").await;
    let mut request = Request::post("/").body(Body::Empty).unwrap();
    request.extensions_mut().insert(LastSend);
    assert!(cluster.api().send(request).await.is_ok());
}

#[tokio::test]
async fn a_connection_closed_meanwhile_is_not_used() {
    let server =
        Server::http(|_| async { Response::builder().header("connection", "close").body(Body::full("x")).unwrap() })
            .await;
    let cluster = server.cluster().await;
    for _ in 0..3 {
        let answer = cluster.api().send(Request::post("/").body(Body::full("x")).unwrap()).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!(server.notes.connections(), 3);
}

#[tokio::test]
async fn what_is_not_http_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    let cluster = Kubeconfig::new(&format!("http://{address}"), "", "{}").load().await;
    let error = cluster.api().send(Request::get("/").body(Body::Empty).unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "the connection to the API server broke: its answer is not HTTP");
}

/// A handshake that the server of [`hello`] answers as if it were none.
fn handshake() -> Request<Body> {
    let request = Request::get("/").header("connection", "upgrade").header("upgrade", "websocket");
    request.body(Body::Empty).unwrap()
}

#[tokio::test]
async fn a_web_socket_finds_a_connection_that_waits() {
    let server = Server::https(hello).await;
    let cluster = server.cluster().await;
    cluster.api().keep_ready();
    get(cluster.api(), "/").await;
    server.notes.until(|notes| notes.connections() == 2).await;
    get(cluster.api(), "/").await;
    assert_eq!(server.notes.connections(), 2, "there is one that waits");
    for there in 2..5 {
        drop(cluster.api().send(handshake()).await.unwrap());
        assert_eq!(server.notes.connections(), there, "it took one that was there");
        get(cluster.api(), "/").await;
        server.notes.until(|notes| notes.connections() == there + 1).await;
    }
}

#[tokio::test]
async fn without_a_word_nothing_is_made_ahead() {
    let server = Server::https(hello).await;
    let cluster = server.cluster().await;
    get(cluster.api(), "/").await;
    drop(cluster.api().send(handshake()).await.unwrap());
    get(cluster.api(), "/").await;
    assert_eq!(server.notes.connections(), 2);
}

#[tokio::test]
async fn a_handshake_that_is_lost_on_a_kept_connection_is_sent_again() {
    let cluster = moody(drop).await.load().await;
    get(cluster.api(), "/").await;
    assert_eq!(cluster.api().send(handshake()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_handshake_that_must_not_be_sent_twice_takes_a_new_connection() {
    let server = Server::https(hello).await;
    let cluster = server.cluster().await;
    get(cluster.api(), "/").await;
    let mut spdy = handshake();
    *spdy.method_mut() = http::Method::POST;
    drop(cluster.api().send(spdy).await.unwrap());
    assert_eq!(server.notes.last().connection, 1);
}

#[tokio::test]
async fn a_connection_is_on_its_way_while_a_plugin_is_asked() {
    let server = Server::https(hello).await;
    let user = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/cat, interactiveMode: Never}}";
    let cluster = server.cluster_of(user).await;
    cluster.api().keep_ready();
    server.notes.until(|notes| notes.connections() == 1).await;
    assert_eq!(server.notes.seen().len(), 0);
}
