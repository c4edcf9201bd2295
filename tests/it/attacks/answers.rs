//! What a Service or an API server may answer.

use std::io::Write as _;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;
use serde_json::json;

use super::*;
use support::fake::Options;
use support::stream::send;
use support::{Canned, ConnectProxy, RawBackend};

fn redirect(location: &str) -> Canned {
    Canned { status: 302, headers: vec![("location".to_owned(), location.to_owned())], ..Canned::default() }
}

#[tokio::test]
async fn t7_redirects_to_nobody_else() {
    let stage = Stage::new().await;
    for end in [
        "//evil.example",
        "/\\evil.example",
        "///evil.example",
        "/%2f/evil.example",
        "/\t/evil.example",
        "//",
        "/./evil.example",
    ] {
        stage.backend.answer("/go", redirect(&format!("{PREFIX}{end}")));
        let at_site = stage.send("GET", "/go", &[]).await;
        let in_place = client::get(&format!("{}go", stage.served.proxy_url())).await;
        for answer in [&at_site, &in_place] {
            let location = answer.header("location");
            let is_path = location.starts_with('/') && !location[1..].starts_with(['/', '\\', '\t']);
            let is_no_redirect = location.is_empty() && answer.status.is_server_error();
            assert!(is_path || is_no_redirect, "{end:?} became {} {location:?}", answer.status);
        }
    }
    let navigation = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none", "Sec-Fetch-Dest: document"];
    for end in ["//evil.example", "/\\evil.example"] {
        let answer = stage.send("GET", &format!("{PREFIX}{end}"), &navigation).await;
        let location = answer.header("location");
        assert!(location.starts_with("/."), "{end} became {location:?}");
    }
    // What the API server cannot make sense of, it does not pass on.
    stage.served.until_stderr("such requests go by port-forward").await;
    stage.served.signal(Signal::TERM);
    assert_eq!(stage.served.end().await.code(), 0);
}

/// The plugin in front of a Pod that the test plays itself, and the site's host.
async fn by_hand(via: &str) -> (FakeApiServer, RawBackend, Served, String) {
    let fake = FakeApiServer::start().await;
    let backend = RawBackend::start().await;
    fake.expose("default", "web", json!({"name": "http", "port": 80}), backend.address());
    let served = Plugin::new(&fake).args(["web", "--via", via]).serve().await;
    let host = served.site_url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    (fake, backend, served, host)
}

#[tokio::test]
async fn t14_no_tunnel_without_an_agreement() {
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    for via in TRANSPORTS {
        let (_fake, backend, served, host) = by_hand(via).await;
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n".to_owned(),
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n".to_owned(),
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n".to_owned(),
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n".to_owned(),
            AGREED.to_owned(),
            format!("{AGREED}Sec-WebSocket-Accept: {KEY}\r\n"),
            format!("{}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", AGREED.replace("websocket", "h2c")),
        ] {
            let handshake = format!(
                "GET /socket HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\nraw octets\r\n\r\n"
            );
            let url = served.site_url();
            let asked = client::raw(&url, handshake.as_bytes());
            let answering = async {
                let (mut pod, head) = backend.accept().await;
                send(&mut pod, format!("{answer}\r\nraw octets")).await.unwrap();
                head
            };
            let (got, head) = tokio::join!(asked, answering);
            assert!(head.contains("websocket") && status_of(&got) != 101, "{via} {answer} {got}");
            assert!(!got.contains("raw octets"), "{via} {answer} {got}");
        }
    }
}

#[tokio::test]
async fn t15_nothing_is_sent_twice() {
    let stage = Stage::new().await;
    let busy = Canned { status: 503, headers: vec![("retry-after".to_owned(), "1".to_owned())], ..Canned::default() };
    stage.backend.answer("/busy", busy);
    for (count, method) in ["GET", "POST", "DELETE"].into_iter().enumerate() {
        let started = Instant::now();
        assert_eq!(stage.send(method, "/busy", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(started.elapsed().as_millis() < 1000, "{method} took {:?}", started.elapsed());
        assert_eq!(stage.backend.requests().len(), count + 1, "{method}");
    }
    stage.served.stop().await;
}

/// A page of a quarter of a gibibyte in a quarter of a mebibyte.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let piece = vec![b' '; 1 << 20];
    encoder.write_all(b"<a href=\"/x\">").unwrap();
    for _ in 0..256 {
        encoder.write_all(&piece).unwrap();
    }
    encoder.finish().unwrap()
}

/// Below the proxy path pages are changed whatever the transport, and port-forward brings them as the Service made them.
#[tokio::test]
async fn t16_a_page_that_unpacks_to_far_more() {
    let (_fake, backend, served, _) = by_hand("port-forward").await;
    let url = served.proxy_url();
    let request =
        Request::get(&url).header("accept-encoding", "gzip").body(http_body_util::Empty::<bytes::Bytes>::new());
    let asked = client::stream(&url, request.unwrap());
    let answering = async {
        let (mut pod, _) = backend.accept().await;
        let bomb = bomb();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        );
        send(&mut pod, [head.as_bytes(), &bomb].concat()).await.unwrap();
        pod
    };
    let (answer, _pod) = tokio::join!(asked, answering);
    let (before, _) = served.memory();
    let mut body = answer.into_body();
    let mut length = 0;
    while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
        length += frame.unwrap().into_data().unwrap().len();
    }
    assert!(length > 256 << 20, "{length}");
    let (_, peak) = served.memory();
    assert!(peak < before + 32 * 1024, "{before} KiB before, {peak} KiB at the peak");
}

#[tokio::test]
async fn t20_a_redirect_into_the_api_is_not_followed() {
    let stage = Stage::new().await;
    let secrets = format!("https://{}/api/v1/namespaces/default/secrets", stage.fake.address());
    for location in [secrets.as_str(), "/api/v1/namespaces/default/secrets"] {
        stage.backend.answer("/go", redirect(location));
        let answer = stage.send("GET", "/go", &[]).await;
        assert_eq!(answer.status, StatusCode::FOUND);
    }
    let followed = stage.send("GET", "/api/v1/namespaces/default/secrets", &[]).await;
    assert_eq!(followed.json()["target"], "/api/v1/namespaces/default/secrets", "it is the Service's own");
    let asked_for_secrets = |target: &String| target.contains("secrets") && !target.starts_with(PREFIX);
    let targets: Vec<String> = stage.fake.requests().into_iter().map(|request| request.target).collect();
    assert!(!targets.iter().any(asked_for_secrets), "{targets:?}");
    stage.served.stop().await;
}

#[tokio::test]
async fn t21_a_service_that_wants_a_login_runs_no_plugin() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    fake.add_token("from-plugin", "admin");
    let plugin = Plugin::without_kubeconfig(&fake);
    let credential = json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "from-plugin"}});
    let runs = plugin.home().join("runs");
    let script = plugin.script("login", &format!("echo run >> {}\necho '{credential}'", runs.display()));
    let exec = format!(
        "exec:\n  apiVersion: client.authentication.k8s.io/v1\n  command: {}\n  interactiveMode: Never",
        script.display()
    );
    let served = plugin.login(&fake, &exec).args(["web"]).serve().await;
    let challenge = vec![("www-authenticate".to_owned(), "Bearer".to_owned())];
    backend.answer("/private", Canned { status: 401, headers: challenge, ..Canned::default() });
    for _ in 0..10 {
        assert_eq!(client::get(&format!("{}private", served.proxy_url())).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n");
    served.stop().await;
}

#[tokio::test]
async fn t23_a_gateway_never_hears_of_the_local_name() {
    let gateway = Some("api.example:6443".to_owned());
    let fake = FakeApiServer::start_with(Options { gateway, ..Options::default() }).await;
    let proxy = ConnectProxy::start(fake.address()).await;
    let backend = web(&fake).await;
    let served = Plugin::new(&fake).env("HTTPS_PROXY", proxy.url()).args(["web"]).serve().await;
    let site = served.site_url();
    let own = site.trim_end_matches('/');
    let answer = client::send(&site, Request::post("/").header("origin", own).header("referer", &site)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let seen = backend.requests();
    let last = seen.last().unwrap();
    assert_eq!(values(last, "host"), ["api.example:6443"]);
    assert!(!values(last, "origin").concat().contains("localhost"), "{last}");
    assert!(!values(last, "referer").concat().contains("localhost"), "{last}");
    served.stop().await;
}
