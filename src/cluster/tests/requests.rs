//! What a request looks like when it arrives, and which connection it takes.

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::server::{Kubeconfig, Server};
use crate::cluster::ApiServer;
use crate::upstream::Body;

async fn hello(_: Request<Incoming>) -> Response<Body> {
    Response::new(Body::full("hello"))
}

async fn get(api: &ApiServer, target: &str) -> String {
    let answer = api.send(Request::get(target).body(Body::Empty).unwrap()).await.unwrap();
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn requests_share_a_connection() {
    let server = Server::https(hello).await;
    let cluster = server.cluster().await;
    for _ in 0..3 {
        assert_eq!(get(cluster.api(), "/api/v1/x%2Fy//z/../?q=%20&r").await, "hello");
    }
    assert_eq!(server.notes.connections(), 1);
    let seen = server.notes.last();
    assert_eq!(seen.uri.to_string(), "/api/v1/x%2Fy//z/../?q=%20&r");
    assert_eq!(seen.header("authorization"), Some("Bearer secret"));
    assert_eq!(seen.header("host"), Some(server.address.to_string().as_str()));
}

#[tokio::test]
async fn the_path_of_the_server_stands_in_front() {
    let server = Server::http(hello).await;
    let cluster = Kubeconfig::new(&format!("{}/k8s/clusters/c-1/", server.url()), "", "{}").load().await;
    assert_eq!(cluster.api().base_path(), "/k8s/clusters/c-1");
    get(cluster.api(), "/api?x=1").await;
    assert_eq!(server.notes.last().uri.to_string(), "/k8s/clusters/c-1/api?x=1");
}

#[tokio::test]
async fn nobody_else_chooses_who_we_are() {
    let server = Server::https(hello).await;
    let cluster = server.cluster().await;
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
    assert!(seen.headers.keys().all(|name| !name.as_str().starts_with("impersonate")), "{seen:?}");
}

#[tokio::test]
async fn an_upgrade_gets_a_connection_of_its_own() {
    let server = Server::https(echo).await;
    let cluster = server.cluster().await;
    let request = Request::get("/").header("connection", "Upgrade").header("upgrade", "echo").body(Body::Empty);
    let answer = cluster.api().send(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"ping");
}

async fn echo(request: Request<Incoming>) -> Response<Body> {
    tokio::spawn(async move {
        let stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let (mut reader, mut writer) = tokio::io::split(stream);
        drop(tokio::io::copy(&mut reader, &mut writer).await);
    });
    let answer = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
    answer.body(Body::Empty).unwrap()
}
