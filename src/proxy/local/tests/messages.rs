//! Requests and answers pass as they are.

use super::*;

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::message::body::BoxError;

#[tokio::test]
async fn at_every_loopback_address() {
    let local = echoing();
    let activity = local.activity.clone();
    let serving = Serving::start(local).await;
    for address in serving.addresses.clone() {
        let mut wire = Wire::connect(address).await;
        wire.send(&request_text(&serving.host(), "GET /a//b%2Fc?d=%zz&e", "")).await;
        let answer = wire.rest().await;
        assert_eq!((status_of(&answer), body_of(&answer)), (200, "GET /a//b%2Fc?d=%zz&e"), "{answer}");
    }
    let asked = serving.addresses.len() as u64;
    serving.stop().await;
    assert_eq!(activity.counts().requests, asked);
}

#[tokio::test]
async fn headers_that_matter_arrive_and_others_do_not() {
    let serving = Serving::start(echoing()).await;
    let sent = "POST /x\nAuthorization: Basic dTpw\nImpersonate-User: root\nAudit-Id: 1\nX-Forwarded-For: 1.2.3.4\n\
                Cookie: a=1; svcproxy-session-8001=x\nRange: bytes=0-1\nTE: trailers\nContent-Length: 0";
    let expect = "POST /x\nauthorization: Basic dTpw\ncontent-length: 0\ncookie: a=1\nrange: bytes=0-1\nte: trailers";
    assert_eq!(body_of(&serving.ask(sent).await), expect);
}

#[tokio::test]
async fn head_keeps_its_length_and_has_no_body() {
    let (service, mut hands) = by_hand();
    let serving = Serving::start(local(vec![site(LABEL, PROXY_PATH, service)])).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "HEAD /big", "")).await;
    let (mut connection, head) = next(&mut hands).await;
    assert!(head.starts_with("HEAD /big HTTP/1.1\r\n"), "{head}");
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n").await.unwrap();
    let answer = wire.rest().await;
    assert_eq!((status_of(&answer), field(&answer, "content-length"), body_of(&answer)), (200, Some("1234"), ""));
    assert_eq!(field(&answer, "etag"), Some("\"x\""));
}

#[tokio::test]
async fn not_modified_has_no_body() {
    let (service, mut hands) = by_hand();
    let serving = Serving::start(local(vec![site(LABEL, PROXY_PATH, service)])).await;
    let mut wire = serving.connect().await;
    for status in ["304 Not Modified", "204 No Content"] {
        wire.send(&format!("GET /a HTTP/1.1\r\nHost: {}\r\nIf-None-Match: \"x\"\r\n\r\n", serving.host())).await;
        let (mut connection, head) = next(&mut hands).await;
        assert!(head.contains("If-None-Match: \"x\"\r\n"), "{head}");
        connection.write_all(format!("HTTP/1.1 {status}\r\nETag: \"x\"\r\n\r\n").as_bytes()).await.unwrap();
        let answer = wire.head().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert_eq!(field(&answer, "transfer-encoding"), None);
    }
}

#[tokio::test]
async fn early_hints_do_not_end_an_answer() {
    let (service, mut hands) = by_hand();
    let serving = Serving::start(local(vec![site(LABEL, PROXY_PATH, service)])).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "GET /", "")).await;
    let (mut connection, _) = next(&mut hands).await;
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    connection.write_all(answer.as_bytes()).await.unwrap();
    let answer = wire.rest().await;
    assert!(answer.ends_with("\r\n\r\nok") && answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn trailers_pass_to_who_takes_them() {
    let trailing = |_| async {
        let trailers = HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), "42".parse().unwrap())]);
        let frames = [Ok::<_, BoxError>(Frame::data(Bytes::from("data"))), Ok(Frame::trailers(trailers))];
        let body = Body::boxed(StreamBody::new(stream::iter(frames)));
        Response::builder().header("trailer", "x-sum").body(body).unwrap()
    };
    let serving = Serving::start(answering(trailing)).await;
    let answer = serving.ask("GET /\nTE: trailers").await;
    assert!(answer.ends_with("4\r\ndata\r\n0\r\nx-sum: 42\r\n\r\n"), "{answer}");
    let answer = serving.ask("GET /").await;
    assert!(answer.ends_with("4\r\ndata\r\n0\r\n\r\n"), "{answer}");
}

/// Echoes what is sent, piece by piece.
fn streaming() -> LocalProxy {
    answering(|request| async { Response::new(request.into_body()) })
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    let serving = Serving::start(streaming()).await;
    let mut wire = serving.connect().await;
    wire.send(&format!("POST / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", serving.host())).await;
    assert_eq!(status_of(&wire.head().await), 200);
    for piece in ["one", "two", "six"] {
        wire.send(&format!("3\r\n{piece}\r\n")).await;
        assert_eq!(wire.exactly(8).await, format!("3\r\n{piece}\r\n"));
    }
    wire.send("0\r\n\r\n").await;
    assert_eq!(wire.exactly(5).await, "0\r\n\r\n");
}

#[tokio::test]
async fn long_bodies_pass_whole() {
    let counting = |request: Request<Body>| async {
        let mut body = request.into_body();
        let (mut length, mut sum) = (0usize, 0u64);
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            length += data.len();
            sum = data.iter().fold(sum, |sum, octet| sum.wrapping_mul(31).wrapping_add(u64::from(*octet)));
        }
        Response::new(Body::full(format!("{length} {sum}")))
    };
    let serving = Serving::start(answering(counting)).await;
    let body = "0123456789abcdef".repeat(1 << 20);
    let sum = body.bytes().fold(0u64, |sum, octet| sum.wrapping_mul(31).wrapping_add(u64::from(octet)));
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), &format!("PUT /\nContent-Length: {}", body.len()), &body)).await;
    assert_eq!(body_of(&wire.rest().await), format!("{} {sum}", body.len()));
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_service_wants_it() {
    let storing = |request: Request<Body>| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(Body::full(body))
    };
    let serving = Serving::start(answering(storing)).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "POST /\nContent-Length: 2\nExpect: 100-continue", "")).await;
    assert_eq!(wire.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    wire.send("ok").await;
    assert_eq!(body_of(&wire.rest().await), "ok");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_body_arrives() {
    let refusing =
        |_| async { Response::builder().status(StatusCode::PAYLOAD_TOO_LARGE).body(Body::full("no")).unwrap() };
    let serving = Serving::start(answering(refusing)).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "POST /\nContent-Length: 1000000", "begin")).await;
    let answer = wire.head().await;
    assert_eq!(status_of(&answer), 413);
    assert_eq!(wire.exactly(2).await, "no");
}

#[tokio::test]
async fn old_clients_and_pipelines() {
    let serving = Serving::start(echoing()).await;
    let host = serving.host();
    let mut wire = serving.connect().await;
    wire.send(&format!("GET /old HTTP/1.0\r\nHost: {host}\r\n\r\n")).await;
    assert_eq!(body_of(&wire.rest().await), "GET /old");

    let mut wire = serving.connect().await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    wire.send(&format!("{}{}", one("/1"), one("/2"))).await;
    for path in ["/1", "/2"] {
        let head = wire.head().await;
        let length = field(&head, "content-length").unwrap().parse().unwrap();
        assert_eq!(wire.exactly(length).await, format!("GET {path}"));
    }
}

#[tokio::test]
async fn a_service_that_breaks_off_is_not_taken_for_whole() {
    let (service, mut hands) = by_hand();
    let serving = Serving::start(local(vec![site(LABEL, PROXY_PATH, service)])).await;
    let mut wire = serving.connect().await;
    wire.send(&request_text(&serving.host(), "GET /", "")).await;
    let (mut connection, _) = next(&mut hands).await;
    connection.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await.unwrap();
    assert_eq!(status_of(&wire.head().await), 200);
    assert_eq!(wire.exactly(9).await, "4\r\nhalf\r\n");
    drop(connection);
    assert_eq!(wire.rest().await, "");
}
