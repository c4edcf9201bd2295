//! Answers that are malformed, or larger than usual, as browsers and curl take them; and names of fields as they are spelled.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Plugin, Served};
use support::fake::FakeApiServer;
use support::stream::{read_until, send};
use support::{RawBackend, http as client};

const TRANSPORTS: [&str; 2] = ["service-proxy", "port-forward"];

/// The plugin in front of a Pod that the test plays itself.
struct OddApp {
    _fake: FakeApiServer,
    backend: RawBackend,
    served: Served,
}

impl OddApp {
    async fn new(via: &str) -> Self {
        let fake = FakeApiServer::start().await;
        let backend = RawBackend::start().await;
        fake.expose("default", "odd", json!({"name": "http", "port": 80}), backend.address());
        let served = Plugin::new(&fake).args(["odd", "--via", via]).serve().await;
        Self { _fake: fake, backend, served }
    }

    /// What the client gets for this answer of the app.
    async fn ask(&self, answer: &str) -> client::Answer {
        let url = self.served.site_url();
        let (got, _) = tokio::join!(client::get(&url), self.backend.answer(answer));
        got
    }
}

#[tokio::test]
async fn what_browsers_and_curl_take_is_taken_by_port_forward() {
    let app = OddApp::new("port-forward").await;
    for (head, body) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 500", "5\r\nhello\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("Content-Length: 5, 5", "hello"),
        ("Content-Length: 5\r\nContent-Length: 5", "hello"),
        ("X-Long: one\r\n two\r\nContent-Length: 5", "hello"),
        ("PHP Warning something\r\nContent-Length: 5", "hello"),
        ("PHP Warning: something\r\nContent-Length: 5", "hello"),
        ("X-Blank : yes\r\nContent-Length : 5", "hello"),
    ] {
        let answer = app.ask(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.text()), (200, "hello"), "{head:?}");
        let lengths = answer.headers.get_all("content-length").iter().count();
        assert!(lengths + answer.headers.get_all("transfer-encoding").iter().count() == 1, "{head:?}: {answer:?}");
    }
    app.served.stop().await;
}

/// The page that there is, and no end that it does not have.
#[tokio::test]
async fn what_came_of_a_page_that_is_cut_is_shown() {
    let app = OddApp::new("port-forward").await;
    let url = app.served.site_url();
    let cut = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 50\r\n\r\n<h1>half</h1>";
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let (got, _) = tokio::join!(client::raw(&url, request.as_bytes()), app.backend.answer(cut));
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("<h1>half</h1>"), "{got}");
    app.served.stop().await;
}

#[tokio::test]
async fn what_nobody_takes_is_said() {
    let app = OddApp::new("port-forward").await;
    for (head, words) in [
        ("X: a\0b", "odd's answer is malformed: it has a malformed header line"),
        ("Content-Length: 5\r\nContent-Length: 6", "odd's answer is malformed: its Content-Length is not one number"),
    ] {
        let answer = app.ask(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nhello")).await;
        assert_eq!((answer.status.as_u16(), answer.header("svcproxy-error")), (502, "malformed-answer"), "{head:?}");
        assert!(answer.text().contains(words), "{head:?}: {}", answer.text());
    }
    app.served.stop().await;
}

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("X-Line-{n}: {n}\r\n")).collect()
}

#[tokio::test]
async fn a_thousand_lines_and_a_mebibyte_of_head_are_taken_both_ways() {
    for via in TRANSPORTS {
        let app = OddApp::new(via).await;
        let many = app.ask(&format!("HTTP/1.1 200 OK\r\n{}Content-Length: 5\r\n\r\nhello", lines(990))).await;
        assert_eq!((&*many.text(), many.header("x-line-989")), ("hello", "989"), "{via}");
        let long = "x".repeat(200_000);
        let large = app.ask(&format!("HTTP/1.1 200 OK\r\nX-Long: {long}\r\nContent-Length: 5\r\n\r\nhello")).await;
        assert_eq!((&*large.text(), large.header("x-long").len()), ("hello", long.len()), "{via}");
        app.served.stop().await;
    }
    let app = OddApp::new("port-forward").await;
    for beyond in [lines(1001), format!("X-Long: {}\r\n", "x".repeat(3 << 19))] {
        let answer = app.ask(&format!("HTTP/1.1 200 OK\r\n{beyond}Content-Length: 5\r\n\r\nhello")).await;
        assert_eq!((answer.status.as_u16(), answer.header("svcproxy-error")), (502, "header-too-large"));
        assert!(answer.text().contains("The header of odd's answer is too large"), "{}", answer.text());
    }
    app.served.stop().await;
}

#[tokio::test]
async fn names_of_fields_keep_their_spelling_by_port_forward() {
    let app = OddApp::new("port-forward").await;
    let url = app.served.site_url();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let asked = ["SOAPAction: \"a\"", "X-API-key: b", "x-lower: c", "Content-Length: 2"];
    let request = format!("POST / HTTP/1.1\r\nHost: {host}\r\n{}\r\n\r\nhi", asked.join("\r\n"));
    let answering = async {
        let (mut pod, head) = app.backend.accept().await;
        send(&mut pod, "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nX-XSS-thing: 1\r\nContent-Length: 5\r\n\r\nhello")
            .await
            .unwrap();
        head
    };
    let asking = async {
        let mut stream = client::tcp(&url.parse().unwrap()).await;
        send(&mut stream, request).await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        head
    };
    let (answer, seen) = tokio::join!(asking, answering);
    for line in asked.iter().chain(&["Host: ", "X-Forwarded-Proto: http"]) {
        assert!(seen.contains(&format!("\r\n{line}")), "no {line:?} in {seen}");
    }
    for line in ["ETag: \"1\"", "X-XSS-thing: 1", "Content-Length: 5"] {
        assert!(answer.contains(&format!("\r\n{line}\r\n")), "no {line:?} in {answer}");
    }
    app.served.stop().await;
}
