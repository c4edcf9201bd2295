//! WebSockets pass byte for byte, and nothing else is taken for one.

use http::StatusCode;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{Plugin, Served, web};
use support::fake::FakeApiServer;
use support::{Backend, Peer, RawBackend, http as client, refusal};

async fn start() -> (FakeApiServer, Backend, Served) {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    (fake, backend, served)
}

/// `ws://` instead of `http://`, and the origin of pages there.
fn ends(url: &str, path: &str) -> (String, String) {
    let end = url["http://".len()..].find('/').map_or(url.len(), |slash| slash + "http://".len());
    (format!("{}{path}", url.replacen("http", "ws", 1)), url[..end].to_owned())
}

#[tokio::test]
async fn messages_pass_both_ways() {
    let (_fake, backend, served) = start().await;
    for url in [served.site_url(), served.proxy_url()] {
        let (socket, origin) = ends(&url, "ws");
        let headers = [("Origin", &origin[..]), ("Sec-WebSocket-Protocol", "chat, other"), ("Cookie", "a=b")];
        let mut peer = Peer::open(&socket, &headers).await.unwrap();
        assert_eq!(peer.handshake.headers()["sec-websocket-protocol"], "chat");
        let big = Message::binary(vec![7; 3_000_000]);
        for message in [Message::text("hello"), Message::binary(vec![0, 255, 1]), Message::text(""), big] {
            assert!(peer.exchange(message.clone()).await == message);
        }
        peer.close().await;
        let seen = backend.requests().pop().unwrap();
        assert_eq!(seen["target"], "/ws");
        let headers = seen["headers"].to_string();
        assert!(headers.contains(r#"["cookie","a=b"]"#) && !headers.contains("authorization"), "{headers}");
    }
    served.stop().await;
}

#[tokio::test]
async fn closing_passes() {
    let (_fake, _backend, served) = start().await;
    let (socket, origin) = ends(&served.site_url(), "ws");
    let mut peer = Peer::open(&socket, &[("Origin", &origin)]).await.unwrap();
    let goodbye = Message::Close(Some(CloseFrame { code: CloseCode::Library(4321), reason: "enough".into() }));
    assert_eq!(peer.exchange(goodbye.clone()).await, goodbye);
    assert!(peer.next().await.is_none());
    served.stop().await;
}

#[tokio::test]
async fn another_origin_is_refused() {
    let (_fake, backend, served) = start().await;
    let (socket, _) = ends(&served.site_url(), "ws");
    for headers in
        [&[("Origin", "http://evil.example")][..], &[("Origin", "null")], &[("Origin", "http://127.0.0.1:1")], &[]]
    {
        let refusal = Peer::open(&socket, headers).await.err().expect("a refusal");
        assert_eq!(refusal.status(), StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert!(backend.requests().is_empty());
    served.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_no_upgrade_is_passed_on() {
    let fake = FakeApiServer::start().await;
    let backend = RawBackend::start().await;
    fake.expose("default", "raw", json!({"name": "http", "port": 80}), backend.address());
    let served = Plugin::new(&fake).args(["raw"]).serve().await;
    let (socket, origin) = ends(&served.site_url(), "ws");
    let url = socket.replacen("ws", "http", 1);
    let said = |line: &str| format!("HTTP/1.1 {line}\r\nX-Own: yes\r\nContent-Length: 2\r\n\r\nno");
    // How often the app is asked: whether the service proxy lost something shows by port-forward, and is known then.
    for (line, times) in [("403 Forbidden", 1), ("400 Bad Request", 2), ("426 Upgrade Required", 1)] {
        let answers = async {
            for _ in 0..times {
                backend.answer(said(line)).await;
            }
        };
        let (refused, ()) = tokio::join!(refusal(&url, &origin), answers);
        let seen = (refused.status.as_str(), refused.header("x-own"), &*refused.text());
        assert_eq!(seen, (&line[..3], "yes", "no"));
    }
    let said = served.stderr();
    assert!(!said.contains("WebSocket"), "nothing is suspected: {said}");
}

/// Less than an agreement leaves a raw connection to something that never agreed to speak raw.
#[tokio::test]
async fn a_switch_that_nobody_agreed_to_is_none() {
    let fake = FakeApiServer::start().await;
    let backend = RawBackend::start().await;
    fake.expose("default", "raw", json!({"name": "http", "port": 80}), backend.address());
    let served = Plugin::new(&fake).args(["raw", "--via=port-forward"]).serve().await;
    let (socket, origin) = ends(&served.site_url(), "ws");
    let url = socket.replacen("ws", "http", 1);
    // What `refusal` asks for.
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    for fields in [format!("Upgrade: websocket\r\n{accept}"), "Connection: Upgrade\r\nUpgrade: websocket".to_owned()] {
        let switch = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n\r\n");
        let (refused, _) = tokio::join!(refusal(&url, &origin), backend.answer(switch));
        assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "{fields}");
    }
}

#[tokio::test]
async fn an_upgrade_to_something_else_is_a_plain_request() {
    let (_fake, backend, served) = start().await;
    let h2c = http::Request::builder()
        .header("Connection", "Upgrade, HTTP2-Settings")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA");
    let answer = client::send(&format!("{}a", served.proxy_url()), h2c).await;
    assert_eq!(answer.json()["target"], "/a");
    let headers = backend.requests()[0]["headers"].to_string();
    assert!(!headers.contains("h2c") && !headers.contains("http2-settings"), "{headers}");
    served.stop().await;
}

#[tokio::test]
async fn a_query_is_not_lost() {
    let (_fake, backend, served) = start().await;
    let (socket, origin) = ends(&served.site_url(), "ws?token=x");
    let mut peer = Peer::open(&socket, &[("Origin", &origin)]).await.unwrap();
    peer.exchange(Message::text("hello")).await;
    assert_eq!(backend.requests()[0]["target"], "/ws?token=x");
    peer.close().await;
    served.until_stderr("port-forward").await;
}
