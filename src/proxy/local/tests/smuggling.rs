//! T6: whatever is sent, the Service gets exactly one well-formed request, or nothing.

use http_body_util::{BodyExt, Collected};

use super::*;

/// Sends `text` with `HOST` filled in, and gives back the status of the first answer and what the Service got.
async fn send(text: &str) -> (u16, Vec<String>) {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let recording = move |request: Request<Body>| {
        let sender = sender.clone();
        async move {
            let head = description(&request);
            let body = request.into_body().collect().await.map_or("broken".into(), Collected::to_bytes);
            sender.send(format!("{head}\n\n{}", String::from_utf8_lossy(&body))).unwrap();
            Response::new(Body::Empty)
        }
    };
    let serving = Serving::start(answering(recording)).await;
    let mut wire = serving.connect().await;
    wire.send(&text.replace("HOST", &format!("Host: {}", serving.host()))).await;
    wire.finish().await;
    let status = status_of(&wire.rest().await);
    serving.stop().await;
    let mut all = Vec::new();
    while let Some(request) = soon(seen.recv()).await {
        all.push(request);
    }
    (status, all)
}

async fn is_refused(text: &str) {
    let (status, seen) = send(text).await;
    assert_eq!((status, seen.len()), (400, 0), "{text:?} {seen:?}");
}

async fn passes_once(text: &str, expect: &str) {
    let (status, seen) = send(text).await;
    assert_eq!((status, seen), (200, vec![expect.to_owned()]), "{text:?}");
}

#[tokio::test]
async fn t6_two_framings() {
    let smuggled = "0\r\n\r\nGET /evil HTTP/1.1\r\nHOST\r\n\r\n";
    let both = format!(
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}",
        smuggled.len()
    );
    passes_once(&both, "POST /\n\n").await;
    let turned = format!(
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    );
    passes_once(&turned, "POST /\n\n").await;
    is_refused("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd").await;
    is_refused("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 3, 4\r\n\r\nabcd").await;
    passes_once(
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 3\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
        "POST /\ncontent-length: 3\n\nabc",
    )
    .await;
}

#[tokio::test]
async fn t6_odd_framings() {
    for coding in ["xchunked", "chunked, gzip", "gzip", "identity", "chunked\r\nTransfer-Encoding: identity"] {
        is_refused(&format!("POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n")).await;
    }
    is_refused("POST / HTTP/1.0\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    for length in ["+3", "-1", "0x3", "3 ", "", "99999999999999999999", "3;"] {
        let (status, seen) =
            send(&format!("POST / HTTP/1.1\r\nHOST\r\nContent-Length: {length}\r\nConnection: close\r\n\r\nabc")).await;
        let is_one_request = seen == ["POST /\ncontent-length: 3\n\nabc"];
        assert!(status == 400 && seen.is_empty() || length == "3 " && is_one_request, "{length:?} {status} {seen:?}");
    }
}

#[tokio::test]
async fn t6_odd_lines() {
    is_refused("GET / HTTP/1.1\r\nHOST\r\nX-A: b\r\n folded: c\r\n\r\n").await;
    is_refused("GET / HTTP/1.1\r\nHOST\r\nX-A : b\r\n\r\n").await;
    is_refused("GET / HTTP/1.1\r\nHOST\r\n: b\r\n\r\n").await;
    is_refused("GET / HTTP/1.1\r\nHOST\r\nX-A: b\rc\r\n\r\n").await;
    is_refused("GET / HTTP/1.1\r\nHOST\r\nX-A: b\0c\r\n\r\n").await;
    is_refused("GET  / HTTP/1.1\r\nHOST\r\n\r\n").await;
    is_refused("GET / HTTP/1.1 \r\nHOST\r\n\r\n").await;
    is_refused("GET /a b HTTP/1.1\r\nHOST\r\n\r\n").await;
    is_refused("GET /\r\nHOST\r\n\r\n").await;
    passes_once("GET / HTTP/1.1\nHOST\nConnection: close\nX-A: b\n\n", "GET /\nx-a: b\n\n").await;
}

#[tokio::test]
async fn t6_what_the_connection_names() {
    let headers = "Connection: content-length, x-hop, close\r\nX-Hop: 1\r\nContent-Length: 3";
    passes_once(&format!("POST / HTTP/1.1\r\nHOST\r\n{headers}\r\n\r\nabc"), "POST /\ncontent-length: 3\n\nabc").await;
    passes_once("GET / HTTP/1.1\r\nHOST\r\nConnection: x-upgrade, close\r\nUpgrade: websocket\r\n\r\n", "GET /\n\n")
        .await;
    passes_once("GET / HTTP/1.1\r\nHOST\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", "GET /\n\n").await;
}

#[tokio::test]
async fn heads_of_any_size_end() {
    for (octets, lines, expect) in [(100_000, 900, (200, 1)), (1 << 21, 1, (431, 0)), (1, 1001, (431, 0))] {
        let (long, many) = ("a".repeat(octets), "X-A: b\r\n".repeat(lines));
        let (status, seen) = send(&format!("GET / HTTP/1.1\r\nHOST\r\nX-Long: {long}\r\n{many}\r\n")).await;
        assert_eq!((status, seen.len()), expect, "{octets} octets, {lines} lines");
    }
    let (status, _) = send(&format!("GET /{} HTTP/1.1\r\nHOST\r\n\r\n", "a".repeat(100_000))).await;
    assert!(matches!(status, 414 | 431), "{status}");
}

/// On a connection that was good for other requests before, the status alone says it.
#[tokio::test]
async fn what_cannot_be_read_is_said() {
    for (request, words) in [
        (format!("GET / HTTP/1.1\r\nHOST\r\nX: {}\r\n\r\n", "a".repeat(1 << 21)), "more than 1024 KiB, or"),
        (format!("GET / HTTP/1.1\r\nHOST\r\n{}\r\n", "X: b\r\n".repeat(1001)), "or more than 1000 lines"),
        (format!("GET /{} HTTP/1.1\r\nHOST\r\n\r\n", "a".repeat(70_000)), "more than 65534 octets"),
        ("GET /a b HTTP/1.1\r\nHOST\r\n\r\n".to_owned(), "Percent-encode control characters and blanks"),
        ("GET / HTTP/1.1\r\nHOST\r\nX: a\0b\r\n\r\n".to_owned(), "cannot be read as HTTP/1.1"),
    ] {
        for before in ["", "GET / HTTP/1.1\r\nHOST\r\n\r\n"] {
            let serving = Serving::start(answering(|_| async { Response::new(Body::Empty) })).await;
            let mut wire = serving.connect().await;
            wire.send(&format!("{before}{request}").replace("HOST", &format!("Host: {}", serving.host()))).await;
            let answer = wire.rest().await;
            let last = answer.rsplit("HTTP/1.1 ").next().unwrap_or_default();
            assert!(last.starts_with('4'), "{answer}");
            assert_eq!(last.contains(words), before.is_empty(), "{answer}");
            serving.stop().await;
        }
    }
}

#[tokio::test]
async fn t6_another_protocol_gets_nowhere() {
    for hello in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03\r\n\r\n"] {
        let serving = Serving::start(answering(|_| async { unreachable!("nothing was asked") })).await;
        let mut wire = serving.connect().await;
        wire.send(hello).await;
        let answer = wire.rest().await;
        let is_alert = answer.starts_with('\u{15}');
        assert!(is_alert || answer.is_empty() || status_of(&answer) == 400, "{answer}");
    }
}
