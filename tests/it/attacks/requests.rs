//! What a request may carry.

use serde_json::json;

use super::*;
use support::Peer;

/// `text` with every escape decoded, broken ones left.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().replace('\\', "/")
}

fn has_way_out(target: &str) -> bool {
    let path = target.split('?').next().unwrap();
    path.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

#[tokio::test]
async fn t5_ways_out_of_the_service() {
    let stage = Stage::new().await;
    let site_and_path = [String::new(), PREFIX.to_owned()];
    for path in [
        "/..",
        "/../x",
        "/%2e%2e/x",
        "/.%2e/x",
        "/..%2fx",
        "/%2e%2e%2f",
        "/a/%2E./b",
        "/..%5cx",
        "/..\\x",
        "/..;/x",
        "/%252e%252e/x",
        "/..%252fx",
        "/%25252e%25252e/x",
        "/%c0%ae%c0%ae/x",
        "/%e0%80%ae%e0%80%ae/x",
        "/%00",
        "/%0d%0aX:1",
        "/%zz",
        "/a//../b",
        "/./x",
        "/../../../../secrets",
        "/..%2f..%2f..%2f..%2f..%2fsecrets",
    ] {
        for start in &site_and_path {
            let answer = stage.raw(&format!("GET {start}{path} HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n")).await;
            assert_eq!(status_of(&answer), 400, "{start}{path}");
        }
    }
    for target in ["?/../../x", "http://HOST?/../../x", "*", "x"] {
        let target = target.replace("HOST", &stage.site());
        let answer = stage.raw(&format!("GET {target} HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(status_of(&answer), 400, "{target}");
    }
    stage.untouched("a way out");
    for path in ["/...", "/a..b/", "/a%2520b", "/%25", "/a%3Bb", "/caf%C3%A9", "//a", "/a//b", "/a%2Fb", "/a%5Cb"] {
        stage.raw(&format!("GET {path} HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n")).await;
    }
    assert!(!stage.proxied().is_empty());
    for target in stage.proxied() {
        let twice = decoded(&decoded(&target));
        for reading in [&target, &decoded(&target), &twice, &decoded(&twice)] {
            assert!(reading.starts_with(&format!("{PREFIX}/")) && !has_way_out(reading), "{target} reads {reading}");
        }
    }
}

#[tokio::test]
async fn t6_two_requests_in_one() {
    const SMUGGLED: &str = "0\r\n\r\nGET /evil HTTP/1.1\r\nHOST\r\n\r\n";
    let stage = Stage::new().await;
    let length = SMUGGLED.replace("HOST", &format!("Host: {}", stage.site())).len();
    for head in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
        "Content-Length: 5\r\nContent-Length: 6".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Transfer-Encoding:\r\n chunked".to_owned(),
        "X: y\r\n\tContent-Length: 5".to_owned(),
        "Content-Length: +5".to_owned(),
        format!("Connection: content-length\r\nContent-Length: {length}"),
    ] {
        let before = stage.backend.requests().len();
        let answer =
            stage.raw(&format!("POST /first HTTP/1.1\r\nHOST\r\nConnection: close\r\n{head}\r\n\r\n{SMUGGLED}")).await;
        let requests = stage.backend.requests();
        let targets: Vec<&Value> = requests[before..].iter().map(|request| &request["target"]).collect();
        let is_one = targets == [&json!("/first")];
        assert!(is_one || targets.is_empty() && status_of(&answer) == 400, "{head}: {targets:?} {answer}");
    }
}

#[tokio::test]
async fn t6_upgrades_that_are_none() {
    let stage = Stage::new().await;
    for lines in [
        &["Connection: x-upgrade-y", "Upgrade: websocket"],
        &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"],
        &["Connection: Upgrade", "Upgrade: SPDY/3.1"],
        &["Connection: Upgrade", "Upgrade: websocket"],
    ] {
        let answer = stage.send("GET", "/", lines).await;
        assert_eq!(answer.status, StatusCode::OK, "{lines:?} {}", answer.text());
    }
    for request in stage.fake.requests() {
        let is_upgrade =
            request.values("connection").iter().any(|value| value.to_ascii_lowercase().contains("upgrade"));
        assert!(!is_upgrade || !request.target.contains("/services/"), "{request:?}");
        assert!(request.values("upgrade").iter().all(|value| !value.contains("SPDY") && value != "h2c"), "{request:?}");
    }
    stage.served.stop().await;
}

const CLAIMS: [&str; 13] = [
    "Impersonate-User: root",
    "Impersonate-Group: system:masters",
    "Impersonate-Uid: 0",
    "Impersonate-Extra-scopes: all",
    "X-Remote-User: root",
    "X-Remote-Group: system:masters",
    "X-Remote-Extra-Scopes: all",
    "Proxy-Authorization: Bearer forged",
    "Audit-Id: forged",
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Host: evil.example",
    "X-Real-Ip: 192.0.2.1",
    "Forwarded: for=192.0.2.1",
];

#[tokio::test]
async fn t8_t9_claims_of_a_page() {
    let stage = Stage::with(&["--via", "service-proxy"]).await;
    let answer = stage.send("GET", "/", &CLAIMS).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let requests = stage.fake.requests();
    let sent = requests.iter().find(|request| request.target.starts_with(PREFIX)).expect("it was asked for");
    for name in CLAIMS.map(|line| line.split(':').next().unwrap().to_ascii_lowercase()) {
        let values = sent.values(&name);
        match name.as_str() {
            "x-forwarded-host" => assert_eq!(values, [stage.site()]),
            _ => assert_eq!(values, Vec::<String>::new(), "{name}"),
        }
    }
    let seen = &stage.backend.requests()[0];
    assert!(!seen.to_string().contains("forged") && !seen.to_string().contains("192.0.2.1"), "{seen}");
}

/// It is meant for the Service, which gets it where it can: by port-forward, or not at all.
#[tokio::test]
async fn t8_a_login_of_the_page_is_none_at_the_api_server() {
    for via in ["auto", "service-proxy", "port-forward"] {
        let stage = Stage::with(&["--via", via]).await;
        let answer = stage.send("GET", "/", &["Authorization: Bearer forged"]).await;
        let seen = stage.backend.requests();
        match via {
            "service-proxy" => stage.refused(&answer, StatusCode::NOT_IMPLEMENTED, via),
            _ => assert_eq!(values(&seen[0], "authorization"), ["Bearer forged"]),
        }
        let ours = [format!("Bearer {}", support::fake::ADMIN_TOKEN)];
        assert!(stage.fake.requests().iter().all(|request| request.values("authorization") == ours));
    }
}

#[tokio::test]
async fn t8_a_token_as_a_subprotocol() {
    let stage = Stage::new().await;
    let own = format!("http://{}", stage.site());
    let lines =
        [("origin", own.as_str()), ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.Zm9yZ2Vk, chat")];
    let peer = Peer::open(&format!("ws://{}/socket", stage.site()), &lines)
        .await
        .unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!(peer.handshake.headers()["sec-websocket-protocol"], "chat");
    peer.close().await;
    let requests = stage.fake.requests();
    assert!(requests.iter().all(|request| !format!("{request:?}").contains("bearer.authorization")));
    assert_eq!(values(&stage.backend.requests()[0], "sec-websocket-protocol"), ["chat"]);
}

/// Goes through the token's exchange; the session's cookie.
async fn open(stage: &Stage) -> String {
    stage.served.until_stderr("svcproxy-token=").await;
    let said = stage.served.stderr();
    let token = said.split("svcproxy-token=").nth(1).unwrap().split_whitespace().next().unwrap();
    let exchanged = stage.send("GET", &format!("/?svcproxy-token={token}"), &[]).await;
    assert_eq!(exchanged.status, StatusCode::SEE_OTHER);
    exchanged.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn t10_t11_our_cookie_is_ours_alone() {
    let stage = Stage::with(&["--require-token"]).await;
    let cookie = open(&stage).await;
    let name = cookie.split('=').next().unwrap();
    stage.backend.answer(
        "/toss",
        support::Canned {
            headers: vec![
                ("set-cookie".to_owned(), format!("{name}=evil; Path=/")),
                ("set-cookie".to_owned(), "app=1; Domain=localhost; Path=/".to_owned()),
            ],
            ..Default::default()
        },
    );
    let tossed = stage.send("GET", "/toss", &[&format!("Cookie: {cookie}")]).await;
    let set: Vec<_> = tossed.headers.get_all("set-cookie").iter().collect();
    assert_eq!(set, ["app=1; Path=/"]);

    let doubled = stage.send("GET", "/", &[&format!("Cookie: {name}=evil; {cookie}")]).await;
    assert_eq!(doubled.status, StatusCode::BAD_REQUEST);

    let own = format!("http://{}", stage.site());
    let lines = [("origin", own.as_str()), ("cookie", &format!("a=1; {cookie}; b=2"))];
    let peer = Peer::open(&format!("ws://{}/socket", stage.site()), &lines)
        .await
        .unwrap_or_else(|refusal| panic!("{refusal:?}"));
    peer.close().await;
    stage.send("GET", "/", &[&format!("Cookie: {cookie}; a=1"), "Cookie: b=2"]).await;
    let seen = Value::from(stage.backend.requests()).to_string();
    assert!(seen.contains("a=1") && seen.contains("b=2") && !seen.contains("svcproxy-session"), "{seen}");
}

/// Nothing takes such a coding off, and the app would not learn of it.
#[tokio::test]
async fn t6_transfer_codings_that_nobody_takes_off() {
    let stage = Stage::new().await;
    for coding in ["gzip, chunked", "identity, chunked", "chunked, chunked"] {
        let head = format!("POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: {coding}\r\nConnection: close\r\n\r\n");
        let answer = stage.raw(&format!("{head}0\r\n\r\n")).await;
        assert_eq!(status_of(&answer), 501, "{coding}: {answer}");
    }
    stage.untouched("such a coding");
}

#[tokio::test]
async fn t8_identities_and_paths_by_other_names() {
    for via in TRANSPORTS {
        let stage = Stage::with(&["--via", via]).await;
        let lines = [
            "X-Original-URL: /admin",
            "X_Rewrite_URL: /admin",
            "Impersonate_User: root",
            "Remote_User: root",
            "X_Mine: 1",
        ];
        stage.send("GET", "/", &lines).await;
        let seen = &stage.backend.requests()[0];
        let names: Vec<&str> =
            seen["headers"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
        let passed = |part: &str| names.iter().any(|name| name.contains(part));
        assert!(
            passed("mine") && !["original", "rewrite", "impersonate", "remote"].into_iter().any(passed),
            "{names:?}"
        );
    }
}

/// Only this program says of itself what went wrong.
#[tokio::test]
async fn t17_an_app_does_not_speak_for_this_program() {
    for via in TRANSPORTS {
        let stage = Stage::with(&["--via", via]).await;
        let headers = [("svcproxy-error", "forbidden"), ("svcproxy-state", "0123"), ("x-mine", "1")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        stage.backend.answer("/", support::Canned { headers, ..Default::default() });
        let answer = stage.send("GET", "/", &[]).await;
        let names: Vec<&str> = answer.headers.keys().map(http::HeaderName::as_str).collect();
        assert!(names.contains(&"x-mine") && !names.iter().any(|name| name.starts_with("svcproxy-")), "{names:?}");
    }
}
