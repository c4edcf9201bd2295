//! WebSockets: agreed on, carried, ended.

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A handshake without its `Origin`.
const HANDSHAKE: &str = "GET /socket?token=1 HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn serving() -> (Serving, Hands, LoggedRequests) {
    let (service, hands) = by_hand();
    let logged = LoggedRequests::default();
    let local = LocalProxy { log: logged.log(), ..local(vec![site(LABEL, PROXY_PATH, service)]) };
    (Serving::start(local).await, hands, logged)
}

/// Asks for a WebSocket as the site's own page would, with more header lines.
async fn ask(serving: &Serving, more: &str) -> Wire {
    let host = serving.host();
    let mut wire = serving.connect().await;
    wire.send(&format!("{HANDSHAKE}Host: {host}\r\nOrigin: http://{host}\r\n{more}\r\n")).await;
    wire
}

/// An open tunnel: the client's end and the Service's.
async fn open(serving: &Serving, hands: &mut Hands) -> (Wire, BufReader<DuplexStream>) {
    let mut wire = ask(serving, "").await;
    let (mut connection, _) = next(hands).await;
    connection.write_all(agreement().as_bytes()).await.unwrap();
    assert_eq!(status_of(&wire.head().await), 101);
    (wire, connection)
}

fn agreement() -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    )
}

#[tokio::test]
async fn the_handshake_reaches_the_service_and_comes_back() {
    let (serving, mut hands, _) = serving().await;
    let more = "Sec-WebSocket-Protocol: chat, base64url.bearer.authorization.k8s.io.c2VjcmV0\r\n\
                Sec-WebSocket-Extensions: permessage-deflate\r\nCookie: svcproxy-session-8001=x\r\n";
    let mut wire = ask(&serving, more).await;
    let (mut connection, head) = next(&mut hands).await;
    let mut lines: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let (host, port) = (serving.host(), serving.port());
    let expect = [
        "Connection: Upgrade",
        "GET /socket?token=1 HTTP/1.1",
        &format!("Host: {host}"),
        &format!("Origin: http://{host}"),
        "Sec-WebSocket-Extensions: permessage-deflate",
        &format!("Sec-WebSocket-Key: {KEY}"),
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Version: 13",
        "Upgrade: websocket",
        &format!("x-forwarded-host: {LABEL}.localhost:{port}"),
        "x-forwarded-proto: http",
    ];
    assert_eq!(lines, expect);
    let chosen = agreement().replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\nhello");
    connection.write_all(chosen.as_bytes()).await.unwrap();
    let answer = wire.head().await;
    assert_eq!((status_of(&answer), field(&answer, "sec-websocket-protocol")), (101, Some("chat")));
    assert_eq!((field(&answer, "upgrade"), field(&answer, "sec-websocket-accept")), (Some("websocket"), Some(ACCEPT)));
    assert_eq!(wire.exactly(5).await, "hello");
}

#[tokio::test]
async fn octets_go_both_ways_and_each_end_is_passed_on() {
    let (serving, mut hands, logged) = serving().await;
    let (mut wire, mut connection) = open(&serving, &mut hands).await;
    for piece in ["\0\u{1}ping", "more"] {
        wire.send(piece).await;
        let mut got = vec![0; piece.len()];
        soon(connection.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, piece.as_bytes());
        connection.write_all(piece.as_bytes()).await.unwrap();
        assert_eq!(wire.exactly(piece.len()).await, piece);
    }
    wire.finish().await;
    assert_eq!(soon(connection.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    connection.write_all(b"late").await.unwrap();
    connection.shutdown().await.unwrap();
    assert_eq!(wire.rest().await, "late");
    serving.stop().await;
    assert_eq!(logged.counts().tunnels, 1);
}

#[tokio::test]
async fn a_mebibyte_each_way_at_once() {
    let (serving, mut hands, _) = serving().await;
    let (wire, mut connection) = open(&serving, &mut hands).await;
    let long = "x".repeat(1 << 20);
    let echo = tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(&mut connection);
        tokio::io::copy(&mut from, &mut to).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let stream = wire.0.into_inner();
    let (mut from, mut to) = stream.into_split();
    let sent = long.clone();
    let send = tokio::spawn(async move {
        to.write_all(sent.as_bytes()).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut got = String::new();
    soon(from.read_to_string(&mut got)).await.unwrap();
    assert!(got == long);
    send.await.unwrap();
    echo.await.unwrap();
}

#[tokio::test]
async fn when_the_service_is_gone_so_is_the_socket() {
    let (serving, mut hands, _) = serving().await;
    let (mut wire, connection) = open(&serving, &mut hands).await;
    drop(connection);
    wire.finish().await;
    assert_eq!(wire.rest().await, "");
}

/// A login may belong to the connection.
#[tokio::test]
async fn after_a_refused_handshake_the_connection_goes_on() {
    for (answer, expect) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", 200),
        ("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 2\r\n\r\nno", 302),
        ("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 2\r\n\r\nno", 401),
        ("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno", 426),
    ] {
        let (serving, mut hands, logged) = serving().await;
        let mut wire = ask(&serving, "").await;
        let (mut connection, _) = next(&mut hands).await;
        connection.write_all(answer.as_bytes()).await.unwrap();
        let got = wire.head().await;
        assert_eq!((status_of(&got), field(&got, "connection"), field(&got, "upgrade")), (expect, None, None), "{got}");
        assert_eq!(wire.exactly(2).await, "no");
        let host = serving.host();
        wire.send(&format!("{HANDSHAKE}Host: {host}\r\nOrigin: http://{host}\r\n\r\n")).await;
        let (mut connection, _) = next(&mut hands).await;
        connection.write_all(agreement().as_bytes()).await.unwrap();
        assert_eq!(status_of(&wire.head().await), 101, "{answer}");
        wire.finish().await;
        drop(connection);
        serving.stop().await;
        assert_eq!(logged.counts().tunnels, 1);
    }
}

#[tokio::test]
async fn t14_without_an_agreement_there_is_no_tunnel() {
    let agreed = agreement();
    for (answer, expect) in [
        (agreed.replace(&format!("Sec-WebSocket-Accept: {ACCEPT}\r\n"), ""), 502),
        (agreed.replace(ACCEPT, KEY), 502),
        (agreed.replace("Upgrade: websocket", "Upgrade: h2c"), 502),
        (agreed.replace("Upgrade: websocket\r\n", ""), 502),
        (agreed.replace("Connection: Upgrade\r\n", ""), 502),
    ] {
        let (serving, mut hands, logged) = serving().await;
        let mut wire = ask(&serving, "").await;
        let (mut connection, _) = next(&mut hands).await;
        connection.write_all(answer.as_bytes()).await.unwrap();
        let got = wire.rest().await;
        assert_eq!((status_of(&got), field(&got, "connection")), (expect, Some("close")), "{answer} {got}");
        assert_eq!(field(&got, "upgrade"), None);
        serving.stop().await;
        assert_eq!(logged.counts().tunnels, 0);
    }
}

#[tokio::test]
async fn t14_an_agreement_nobody_asked_for_is_none() {
    let (serving, mut hands, _) = serving().await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "GET /", "")).await;
    let (mut connection, _) = next(&mut hands).await;
    connection.write_all(agreement().as_bytes()).await.unwrap();
    assert_eq!(status_of(&wire.rest().await), 502);
}

#[tokio::test]
async fn t3_a_foreign_page_gets_no_socket() {
    let (serving, mut hands, logged) = serving().await;
    let host = serving.host();
    for origin in ["", "Origin: http://evil.example\r\n", "Origin: null\r\n", "Origin: http://localhost\r\n"] {
        let mut wire = serving.connect().await;
        wire.send(&format!("{HANDSHAKE}Host: {host}\r\n{origin}\r\n")).await;
        assert_eq!(status_of(&wire.head().await), 403, "{origin}");
    }
    assert!(is_untouched(&mut hands));
    assert_eq!(serving.stop().await, 0);
    assert_eq!(logged.counts(), RequestCounts { requests: 4, refused: 4, tunnels: 0 });
}

#[tokio::test]
async fn open_sockets_do_not_hold_the_end() {
    let (serving, mut hands, logged) = serving().await;
    let mut open_ones = Vec::new();
    for _ in 0..50 {
        open_ones.push(open(&serving, &mut hands).await);
    }
    assert_eq!(serving.stop().await, 0);
    assert_eq!(logged.counts().tunnels, 50);
    for (mut wire, _connection) in open_ones {
        assert_eq!(wire.rest().await, "");
    }
}
