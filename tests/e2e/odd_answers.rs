//! Answers that only Go is at a loss with: by port-forward they are what the app sent, and by the service proxy alone it is said
//! how they are malformed, as the real API server tells it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::harness::serve;
use support::cluster::Cluster;
use support::stream::send;
use support::{RawBackend, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![malformed_answers]
}

struct OddAnswer {
    path: &'static str,
    head: String,
    body: Vec<u8>,
    /// What a client gets of the body by port-forward.
    shown: &'static str,
    /// What is said of it by service proxy; nothing where the API server takes it.
    fault: &'static str,
}

fn odd(path: &'static str, head: &str, body: &str, fault: &'static str) -> OddAnswer {
    OddAnswer { path, head: head.to_owned(), body: body.into(), shown: "<h1>hello</h1>", fault }
}

fn gzip_and_more() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"<h1>hello</h1>").unwrap();
    [encoder.finish().unwrap(), vec![0; 32]].concat()
}

fn odd_answers() -> Vec<OddAnswer> {
    const CHUNKED: &str = "e\r\n<h1>hello</h1>\r\n0\r\n\r\n";
    const PLAIN: &str = "<h1>hello</h1>";
    let gzip = gzip_and_more();
    vec![
        odd("/lengths", "Content-Length: 3\r\nTransfer-Encoding: chunked", CHUNKED, ""),
        odd(
            "/twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            CHUNKED,
            "its Transfer-Encoding is not chunked, once",
        ),
        odd("/list", "Content-Length: 14, 14", PLAIN, "its Content-Length is not one number"),
        odd("/line", "PHP Warning something\r\nContent-Length: 14", PLAIN, "it has a malformed header line"),
        odd("/fold", "X-Long: one\r\n two\r\nContent-Length: 14", PLAIN, ""),
        OddAnswer {
            head: format!("Content-Encoding: gzip\r\nContent-Length: {}", gzip.len()),
            body: gzip,
            shown: "",
            ..odd("/gzip", "", "", "its compressed body is damaged, or something follows it")
        },
        odd("/short", "Content-Length: 50", PLAIN, "its body is shorter than it says"),
    ]
}

/// Answers each request by its path, and closes the connection.
async fn answer_for_ever(backend: RawBackend) {
    let answers = odd_answers();
    loop {
        let (mut stream, head) = backend.accept().await;
        let path = head.split(' ').nth(1).unwrap_or_default();
        let Some(odd) = answers.iter().find(|odd| odd.path == path) else { continue };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n{}\r\n\r\n", odd.head);
        let _ = send(&mut stream, [answer.as_bytes(), &odd.body].concat()).await; // nor who still listens
    }
}

async fn malformed_answers(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let ip = cluster.pod_address();
    let app = tokio::spawn(answer_for_ever(RawBackend::listen(ip, 8080).await));
    namespace.expose("odd", ip, json!([{"port": 80, "targetPort": 8080}])).await;

    for via in ["--via=port-forward", "--via=auto"] {
        let serving = serve(cluster, &namespace, &["odd", via]).await;
        let host = serving.site_url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        for odd in odd_answers() {
            let request = format!("GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", odd.path);
            let answer = http::raw(&serving.site_url(), request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{via} {}: {answer}", odd.path);
            assert!(answer.contains(odd.shown), "{via} {}: {answer}", odd.path);
        }
        serving.stop().await;
    }

    let serving = serve(cluster, &namespace, &["odd", "--via=service-proxy"]).await;
    for odd in odd_answers() {
        let answer = http::get(&format!("{}{}", serving.site_url(), &odd.path[1..])).await;
        let text = answer.text();
        if odd.fault.is_empty() {
            assert!(text.contains(odd.shown), "{}: {} {text}", odd.path, answer.status);
        } else {
            assert_eq!(answer.header("svcproxy-error"), "malformed-answer", "{}: {} {text}", odd.path, answer.status);
            assert!(text.contains(&format!("odd's answer is malformed: {}", odd.fault)), "{}: {text}", odd.path);
        }
    }
    app.abort();
}
