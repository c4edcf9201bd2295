//! Requests and answers pass as they are, both ways, as they come.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::harness::{Plugin, Served, web};
use support::fake::faults::Fault;
use support::fake::status::Status;
use support::fake::{FakeApiServer, Options};
use support::stream::{read_until, send};
use support::{Canned, ConnectProxy, RawBackend, http as client, pattern};

/// More than all buffers on the way hold together, and little enough for a second.
const BIG: usize = 64 * 1024 * 1024;

/// What one transfer may add to the memory of an unoptimised build, in KiB.
const FEW: u64 = 16 * 1024;

/// The plugin in front of a Pod that the test plays itself.
async fn raw() -> (FakeApiServer, RawBackend, Served) {
    let fake = FakeApiServer::start().await;
    let backend = RawBackend::start().await;
    fake.expose("default", "raw", json!({"name": "http", "port": 80}), backend.address());
    let served = Plugin::new(&fake).args(["raw"]).serve().await;
    (fake, backend, served)
}

fn request(method: Method) -> http::request::Builder {
    Request::builder().method(method)
}

#[tokio::test]
async fn a_big_download_needs_little_memory() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    client::get(&served.proxy_url()).await;
    let (before, _) = served.memory();
    let url = format!("{}bytes/{BIG}", served.proxy_url());
    let answer = client::stream(&url, request(Method::GET).body(http_body_util::Empty::<Bytes>::new()).unwrap()).await;
    assert_eq!(answer.headers()["content-length"], BIG.to_string());
    assert_eq!(read_pattern(answer.into_body()).await, BIG as u64);
    let (_, peak) = served.memory();
    assert!(peak < before + FEW, "{before} KiB before, {peak} KiB at the peak");
    served.stop().await;
}

/// Reads to the end; panics at the first byte that is another.
async fn read_pattern(mut body: Incoming) -> u64 {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.unwrap().into_data() else { continue };
        while !data.is_empty() {
            let expected = pattern(length, data.len());
            assert!(data.split_to(expected.len()) == expected, "another byte after {length}");
            length += expected.len() as u64;
        }
    }
    length
}

#[tokio::test]
async fn a_big_upload_needs_little_memory() {
    const PIECE: usize = 60_000;
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    client::get(&served.proxy_url()).await;
    let (before, _) = served.memory();
    let pieces = futures_util::stream::iter((0..BIG / PIECE).map(|piece| pattern((piece * PIECE) as u64, PIECE)));
    let body = StreamBody::new(pieces.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece))));
    let answer =
        client::stream(&format!("{}sink", served.proxy_url()), request(Method::POST).body(body).unwrap()).await;
    let received = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(received, json!({"length": BIG / PIECE * PIECE}).to_string());
    let (_, peak) = served.memory();
    assert!(peak < before + FEW, "{before} KiB before, {peak} KiB at the peak");
    served.stop().await;
}

#[tokio::test]
async fn each_piece_of_an_upload_passes_at_once() {
    let (_fake, backend, served) = raw().await;
    let (pieces, body) = mpsc::channel::<Bytes>(1);
    let body = futures_util::stream::unfold(body, |mut body| async move {
        let piece = body.recv().await?;
        Some((Ok::<_, std::io::Error>(Frame::data(piece)), body))
    });
    let body = StreamBody::new(Box::pin(body));
    let url = served.proxy_url();
    let answer = tokio::spawn(async move { client::stream(&url, request(Method::PUT).body(body).unwrap()).await });
    pieces.send(Bytes::from("first")).await.unwrap();
    let (mut pod, head) = backend.accept().await;
    assert!(head.starts_with("PUT / HTTP/1.1\r\n"), "{head}");
    for piece in ["second", "third"] {
        pieces.send(Bytes::from(piece)).await.unwrap();
        read_until(&mut pod, piece).await.unwrap();
    }
    drop(pieces);
    send(&mut pod, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert_eq!(answer.await.unwrap().status(), StatusCode::CREATED);
    served.stop().await;
}

#[tokio::test]
async fn each_event_passes_at_once() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let url = format!("{}events/3", served.proxy_url());
    let answer = client::stream(&url, request(Method::GET).body(http_body_util::Empty::<Bytes>::new()).unwrap()).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    for number in 0..3 {
        let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(event, format!("data: {number}\n\n"));
        backend.tick();
    }
    assert!(body.frame().await.is_none());
    served.stop().await;
}

#[tokio::test]
async fn answers_without_a_body_stay_so() {
    let (_fake, backend, served) = raw().await;
    for (method, line, headers, expected) in [
        (
            Method::HEAD,
            "200 OK",
            "Content-Type: text/plain\r\nContent-Length: 1000\r\n",
            &[("content-length", "1000")][..],
        ),
        (Method::GET, "304 Not Modified", "ETag: \"x\"\r\n", &[("etag", "\"x\"")]),
        (Method::DELETE, "204 No Content", "X-Kept: yes\r\n", &[("x-kept", "yes")]),
    ] {
        let url = served.proxy_url();
        let answer = client::send(&url, request(method.clone()));
        let (answer, _) = tokio::join!(answer, backend.answer(format!("HTTP/1.1 {line}\r\n{headers}\r\n")));
        assert_eq!(answer.status.as_str(), &line[..3], "{method}");
        assert_eq!(answer.text(), "", "{method}");
        for (name, value) in expected {
            assert_eq!(answer.header(name), *value, "{method}");
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn a_url_of_ours_in_a_request_is_one_of_the_apps_own() {
    let (_fake, backend, served) = raw().await;
    let url = served.proxy_url();
    let root = &url[..url.find("/api/").unwrap()];
    // MOVE goes by port-forward, PUT by the service proxy.
    for method in ["MOVE", "PUT"] {
        let (of, fields) = (
            format!("{url}old"),
            [
                format!("Destination: {url}new"),
                format!("Referer: {}page?x", served.site_url()),
                format!("If: <{url}new> (<{url}token>)"),
            ],
        );
        let [to, page, lists] = fields.each_ref().map(String::as_str);
        let asked = client::curl(["-D-", "-X", method, "-H", to, "-H", page, "-H", lists, &of]);
        let made = "HTTP/1.1 201 Created\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n";
        let (answer, head) = tokio::join!(asked, backend.answer(made));
        let head = head.to_lowercase();
        assert!(head.starts_with(&format!("{} /old ", method.to_lowercase())), "{head}");
        for line in [
            format!("destination: {root}/new\r\n"),
            format!("referer: {root}/page?x\r\n"),
            format!("if: <{root}/new> (<{url}token>)\r\n").to_lowercase(),
        ] {
            assert!(head.contains(&line), "no {line:?} in {head}");
        }
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        let path = &url[root.len()..];
        let is_below =
            [&url[..], path].iter().any(|base| answer.to_lowercase().contains(&format!("location: {base}new\r\n")));
        assert!(answer.starts_with("HTTP/1.1 201") && is_below, "{answer}");
    }
}

#[tokio::test]
async fn a_part_of_a_file_passes() {
    let (_fake, backend, served) = raw().await;
    let url = served.proxy_url();
    let asked = client::send(&url, request(Method::GET).header("Range", "bytes=1-2").header("If-Range", "\"x\""));
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/4\r\nContent-Length: 2\r\n\r\nbc";
    let (answer, head) = tokio::join!(asked, backend.answer(part));
    assert!(head.contains("Range: bytes=1-2\r\n") && head.contains("If-Range: \"x\"\r\n"), "{head}");
    assert_eq!((answer.status, &answer.text()[..]), (StatusCode::PARTIAL_CONTENT, "bc"));
    assert_eq!(answer.header("content-range"), "bytes 1-2/4");
    served.stop().await;
}

#[tokio::test]
async fn trailers_pass() {
    let (_fake, backend, served) = raw().await;
    let url = served.proxy_url();
    let asked = request(Method::GET).header("TE", "trailers").body(http_body_util::Empty::<Bytes>::new()).unwrap();
    let chunks =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\ntext\r\n0\r\nX-Sum: 5\r\n\r\n";
    let (answer, _) = tokio::join!(client::stream(&url, asked), backend.answer(chunks));
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-sum"], "5");
    assert_eq!(body.to_bytes(), "text");
    served.stop().await;
}

#[tokio::test]
async fn an_informational_answer_does_not_disturb() {
    let (_fake, backend, served) = raw().await;
    let url = served.proxy_url();
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntext";
    let (answer, _) = tokio::join!(client::get(&url), backend.answer(early));
    assert_eq!((answer.status, &answer.text()[..]), (StatusCode::OK, "text"));
    served.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_no_whole_answer() {
    let (_fake, backend, served) = raw().await;
    let cut = ["Content-Length: 1000\r\n\r\ntext", "Transfer-Encoding: chunked\r\n\r\n4\r\ntext\r\n"];
    for rest in cut {
        let url = served.proxy_url();
        let asked = client::stream(&url, request(Method::GET).body(http_body_util::Empty::<Bytes>::new()).unwrap());
        let (answer, _) = tokio::join!(asked, backend.answer(format!("HTTP/1.1 200 OK\r\n{rest}")));
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.into_body().collect().await.is_err(), "{rest}");
    }
    served.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_twice_but_what_only_reads() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    backend.answer("/busy", Canned { status: 503, ..Canned::default() });
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    // A GET that the app refuses is asked once more, under localhost, and never again.
    for (method, requests) in [(Method::POST, 1), (Method::GET, 3), (Method::GET, 4)] {
        let answer = client::send(&format!("{}busy", served.proxy_url()), request(method)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        let busy = backend.requests().iter().filter(|request| request["target"] == "/busy").count();
        assert_eq!(busy, requests);
    }
    served.stop().await;
}

#[tokio::test]
async fn an_api_server_that_breaks_off_is_said_so() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web", "--via=service-proxy"]).serve().await;
    fake.fault("/proxy/post", 1, Fault::Cut(0));
    let answer = client::send_body(&format!("{}post", served.proxy_url()), request(Method::POST), "x").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(backend.requests().len() <= 1, "a POST was sent again");
    // A GET has a second chance, and no third.
    fake.fault("/proxy/half", 2, Fault::Cut(20));
    let answer = client::send(&format!("{}half", served.proxy_url()), request(Method::GET)).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    served.stop().await;
}

#[tokio::test]
async fn the_api_servers_own_error_reaches_a_program_as_it_is() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    // By TLS after the first time, and once more, for it may have been bad luck.
    fake.fault("/proxy/", 3, Fault::Answer(Status::unavailable("error trying to reach service: EOF")));
    let answer = client::send(&served.proxy_url(), request(Method::GET).header("Accept", "application/json")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["message"], "error trying to reach service: EOF");
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_takes_its_request_along() {
    let (_fake, backend, served) = raw().await;
    let gone = CancellationToken::new();
    let (url, gone_too) = (served.proxy_url(), gone.clone());
    let asking = tokio::spawn(async move {
        tokio::select! {
            answer = client::get(&url) => panic!("an answer: {answer:?}"),
            () = gone_too.cancelled() => {}
        }
    });
    let (mut pod, _) = backend.accept().await;
    gone.cancel();
    asking.await.unwrap();
    let ended = read_until(&mut pod, "never").await.unwrap_err();
    assert!(ended.starts_with("ended"), "{ended}");
    served.stop().await;
}

#[tokio::test]
async fn the_credential_reaches_the_api_server_and_nobody_else() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    client::get(&served.proxy_url()).await;
    let headers = backend.requests()[0]["headers"].to_string();
    assert!(!headers.contains("authorization") && !headers.contains("token"), "{headers}");
    let sent = fake.requests().into_iter().find(|request| request.target.ends_with("/proxy/")).unwrap();
    assert_eq!(sent.values("authorization"), ["Bearer admin-token"]);
    served.stop().await;
}

#[tokio::test]
async fn an_api_server_below_a_path_is_reached() {
    let fake =
        FakeApiServer::start_with(Options { base_path: "/k8s/clusters/c-1".to_owned(), ..Options::default() }).await;
    let backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    assert_eq!(client::get(&format!("{}a", served.proxy_url())).await.json()["target"], "/a");
    assert_eq!(backend.requests().len(), 1);
    served.stop().await;
}

#[tokio::test]
async fn a_gateway_that_routes_by_host_is_noticed() {
    let gateway = Some("api.example:6443".to_owned());
    let fake = FakeApiServer::start_with(Options { gateway, ..Options::default() }).await;
    let proxy = ConnectProxy::start(fake.address()).await;
    let backend = web(&fake).await;
    let served = Plugin::new(&fake).env("HTTPS_PROXY", proxy.url()).args(["web"]).serve().await;
    assert_eq!(client::get(&format!("{}a", served.proxy_url())).await.json()["target"], "/a");
    assert_eq!(header(&backend.requests()[0], "host"), "api.example:6443");
    assert!(proxy.asked().iter().all(|head| head.starts_with("CONNECT api.example:6443 HTTP/1.1\r\n")));
    served.stop().await;
}

fn header(request: &Value, name: &str) -> String {
    let headers = request["headers"].as_array().unwrap();
    let found = headers.iter().find(|pair| pair[0] == name);
    found.and_then(|pair| pair[1].as_str()).unwrap_or_default().to_owned()
}
