//! What travels how: the same requests directly, through `auto`, and with each transport forced, compared octet by octet.

mod app;

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use svcproxy::proxy::upstream::limitation::ProxyLimitation;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Gateway, Plugin, UPGRADES};
use app::{App, HALVES};
use support::cluster::{self, Cluster, Namespace, User};
use support::{Backend, Peer, Serving, eventually, http, pattern};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        auto_carries_everything,
        port_forward_carries_everything,
        the_service_proxy_refuses_what_it_would_change,
        auto_without_the_right_refuses_and_says_why,
        trailers_of_a_request,
        every_octet_of_a_path,
        rights_are_asked_for_once,
        web_sockets,
        a_narrow_role_may_not_send_options,
        streaming_html_streams_by_port_forward,
        an_answer_that_ends_with_its_connection,
        a_gibibyte_each_way,
        two_hundred_connections_at_once,
        a_slow_reader_holds_up_nobody,
        pods_to_which_no_network_leads,
        pods_whose_address_nobody_has,
        pods_to_which_packets_vanish,
        a_pod_is_deleted_under_a_request,
        a_request_that_must_not_be_sent_twice,
        session_affinity_keeps_to_one_pod,
        a_pod_that_is_no_longer_ready_gets_nothing_new,
        https_by_port_forward,
        a_wrong_scheme_is_put_right,
        a_page_has_the_origin_of_the_scheme_that_is_spoken,
    ]
}

/// An app behind a Service, and the plugin in front of it.
struct Stage {
    app: App,
    serving: Serving,
    namespace: Namespace,
}

impl Stage {
    async fn new(cluster: &'static Cluster, flags: &[&str]) -> Self {
        Self::of(cluster, cluster.admin(), flags).await
    }

    async fn of(cluster: &'static Cluster, user: &User, flags: &[&str]) -> Self {
        let namespace = cluster.namespace().await;
        let app = App::start(cluster.pod_address()).await;
        namespace.expose("web", app.ip(), json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
        if user.name() != cluster.admin().name() {
            namespace.grant(user, proxy_right()).await;
        }
        let serving = serve(cluster, &namespace, user, flags).await;
        Self { app, serving, namespace }
    }

    fn direct(&self, path: &str) -> String {
        format!("http://{}:8080{path}", self.app.ip())
    }

    fn through(&self, path: &str) -> String {
        format!("{}{path}", self.serving.site_url().trim_end_matches('/'))
    }

    /// The `Host` that the app sees, also where it is asked directly.
    fn host(&self) -> String {
        self.serving.site_url().trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    async fn both(&self, case: &Case) -> (http::Answer, http::Answer) {
        let direct = http::send(&self.direct(case.path), case.request(&self.host())).await;
        let through = http::send(&self.through(case.path), case.request(&self.host())).await;
        (direct, through)
    }
}

/// `services/proxy` and nothing else, with every verb but `*`.
fn proxy_right() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get", "create", "update", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
    ])
}

async fn serve(cluster: &Cluster, namespace: &Namespace, user: &User, flags: &[&str]) -> Serving {
    let kubeconfig = user.kubeconfig(namespace.name());
    let arguments = ["web", "--log-requests"].iter().chain(flags);
    Plugin::new(cluster, &kubeconfig).args(arguments).serve().await
}

/// A request, and what becomes of it on the service proxy.
struct Case {
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    by_service_proxy: Fate,
}

/// What the service proxy does to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Nothing.
    Carried,
    /// It is refused by us, since it would be changed.
    Refused,
    /// It is changed, in a way that is said.
    Changed(&'static str),
    /// The API server cannot pass on the answer.
    NoAnswer,
}

impl Case {
    fn request(&self, host: &str) -> ::http::request::Builder {
        let request = Request::builder().method(self.method).header("host", host).header("accept", "text/plain");
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    fn name(&self) -> String {
        format!("{} {} {:?}", self.method, self.path, self.headers)
    }

    /// As it stands in a line of the request log.
    fn logged(&self, by: &str) -> String {
        let path = self.path.split('?').next().unwrap();
        format!("{} {path} 200 ", self.method) + &format!("|{by}")
    }
}

const fn case(method: &'static str, path: &'static str, by_service_proxy: Fate) -> Case {
    Case { method, path, headers: &[], by_service_proxy }
}

const CASES: [Case; 15] = [
    case("GET", "/plain?a=b%2Fc//d", Fate::Carried),
    case("HEAD", "/plain", Fate::Carried),
    case("DELETE", "/plain", Fate::Carried),
    case("OPTIONS", "/plain", Fate::Carried),
    Case { headers: &[("authorization", "Basic YTpi")], ..case("GET", "/auth", Fate::Refused) },
    case("GET", "/a%2Fb", Fate::Refused),
    case("GET", "/a%2fb?c", Fate::Refused),
    case("GET", "/a//b", Fate::Changed("GET /a/b ")),
    case("GET", "//a", Fate::Changed("GET /a ")),
    case("GET", "/a(b)", Fate::Changed("GET /a%28b%29 ")),
    case("GET", "/a%3Bb", Fate::Changed("GET /a;b ")),
    case("PROPFIND", "/dav/", Fate::Refused),
    case("GET", "/x?dryRun=All", Fate::Refused),
    case("GET", "/page.br", Fate::NoAnswer),
    Case { headers: &[("te", "trailers")], ..case("GET", "/trailers", Fate::Carried) },
];

/// What the app saw and what came back, without what a proxy has to say.
fn same(direct: &http::Answer, through: &http::Answer, name: &str) {
    assert_eq!(direct.status, through.status, "{name}: {}", through.text());
    assert_eq!(seen(direct), seen(through), "{name}");
    for header in ["content-type", "content-encoding", "www-authenticate"] {
        assert_eq!(direct.header(header), through.header(header), "{name}: {header}");
    }
}

/// The body; if it is the head of a request, without the fields that proxies add, in alphabetical order.
fn seen(answer: &http::Answer) -> Bytes {
    let text = answer.text();
    if !text.ends_with("\r\n\r\n") {
        return answer.body.clone();
    }
    let mut lines: Vec<String> =
        text.lines().map(str::to_ascii_lowercase).filter(|line| !is_of_proxies(line)).collect();
    lines[1..].sort();
    // The first line in its own case.
    lines[0] = text.lines().next().unwrap().to_owned();
    lines.join("\n").into()
}

fn is_of_proxies(line: &str) -> bool {
    ["x-forwarded-", "accept-encoding:", "user-agent:"].iter().any(|start| line.starts_with(start))
}

async fn auto_carries_everything(cluster: &'static Cluster) {
    let stage = Stage::new(cluster, &[]).await;
    for case in &CASES {
        let (direct, through) = stage.both(case).await;
        same(&direct, &through, &case.name());
        let by = match case.by_service_proxy {
            Fate::Carried => "service-proxy",
            Fate::Refused | Fate::Changed(_) | Fate::NoAnswer => "port-forward web-0",
        };
        until_logged(&stage.serving, case, by).await;
    }
    assert_trailer(&stage).await;
    let said = stage.serving.stop().await.stderr;
    for kind in ["a path with %2F", "a path with //", "a path with !", "a query with dryRun", "a method other"] {
        let lines = said.lines().filter(|line| line.contains(kind) && line.contains("goes by port-forward")).count();
        assert_eq!(lines, 1, "{kind}: {said}");
    }
}

/// By each of the handshakes that some cluster needs: a gateway lets the others not pass.
async fn port_forward_carries_everything(cluster: &'static Cluster) {
    let without = |what: &str| format!("if ({what}) {{ return 400; }} {UPGRADES}");
    for handshake in [
        UPGRADES.to_owned(),
        without("$http_sec_websocket_protocol = v4.channel.k8s.io"),
        without("$http_upgrade = websocket"),
    ] {
        let gateway = Gateway::start(cluster, &[("/", UPGRADES), ("~ /portforward", &handshake)]).await;
        let stage = Stage::new(cluster, &["--via", "port-forward", &gateway.flag()]).await;
        for case in &CASES {
            let (direct, through) = stage.both(case).await;
            same(&direct, &through, &case.name());
            until_logged(&stage.serving, case, "port-forward web-0").await;
        }
        assert_trailer(&stage).await;
        stage.serving.stop().await;
    }
}

async fn the_service_proxy_refuses_what_it_would_change(cluster: &'static Cluster) {
    let stage = Stage::new(cluster, &["--via", "service-proxy"]).await;
    for case in &CASES {
        let (direct, through) = stage.both(case).await;
        check_fate(case, &direct, &through, "--via service-proxy leaves no other way");
    }
    assert_web_socket_refused(&stage).await;
    stage.serving.stop().await;
}

async fn auto_without_the_right_refuses_and_says_why(cluster: &'static Cluster) {
    let user = cluster.user();
    let stage = Stage::of(cluster, &user, &[]).await;
    let why = format!("you may not port-forward in {}", stage.namespace.name());
    for case in CASES.iter().filter(|case| case.method != "OPTIONS") {
        let (direct, through) = stage.both(case).await;
        check_fate(case, &direct, &through, &why);
    }
    assert_web_socket_refused(&stage).await;
    let said = stage.serving.stop().await.stderr;
    assert_eq!(said.matches("a path with %2F is refused").count(), 1, "{said}");
    assert_eq!(said.matches("a path with // goes by the service proxy").count(), 1, "{said}");
}

fn check_fate(case: &Case, direct: &http::Answer, through: &http::Answer, why: &str) {
    let name = case.name();
    match case.by_service_proxy {
        Fate::Carried => same(direct, through, &name),
        Fate::Refused => {
            assert_eq!(through.status, StatusCode::NOT_IMPLEMENTED, "{name}: {}", through.text());
            assert_eq!(through.header("svcproxy-error"), "only-by-port-forward", "{name}");
            assert!(through.text().contains(why), "{name}: {}", through.text());
        }
        Fate::Changed(line) => assert!(through.text().starts_with(line), "{name}: {}", through.text()),
        Fate::NoAnswer => assert!(through.status.is_server_error(), "{name}: {}", through.text()),
    }
}

async fn until_logged(serving: &Serving, case: &Case, by: &str) {
    let logged = case.logged(by);
    let (start, end) = logged.split_once('|').unwrap();
    eventually(&logged, async || {
        let said = serving.stderr();
        said.lines().any(|line| line.starts_with(start) && line.ends_with(end)).then_some(())
    })
    .await;
}

async fn assert_trailer(stage: &Stage) {
    let request = Request::builder().header("te", "trailers").body(Empty::<Bytes>::new()).unwrap();
    let collected = http::stream(&stage.through("/trailers"), request).await.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    assert_eq!(trailers.get("x-sum").map(::http::HeaderValue::as_bytes), Some(&b"42"[..]));
}

async fn assert_web_socket_refused(stage: &Stage) {
    let url = stage.through("/socket?token=1").replace("http://", "ws://");
    let origin = format!("http://{}", stage.host());
    let refusal = Peer::open(&url, &[("origin", &origin)]).await.err().expect("it is refused");
    assert_eq!(refusal.status(), StatusCode::NOT_IMPLEMENTED);
}

async fn trailers_of_a_request(cluster: &'static Cluster) {
    for (via, arrive) in [("auto", true), ("port-forward", true), ("service-proxy", false)] {
        let stage = Stage::new(cluster, &["--via", via]).await;
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))]);
        let frames = [Frame::data(Bytes::from_static(b"data")), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let request = Request::post("/").header("trailer", "x-sum").header("te", "trailers").body(body).unwrap();
        let answer = http::stream(&stage.through("/body"), request).await;
        let (status, text) = (answer.status(), answer.into_body().collect().await.unwrap().to_bytes());
        let text = String::from_utf8_lossy(&text).into_owned();
        if arrive {
            assert_eq!((status, &*text), (StatusCode::OK, "4\r\ndata\r\n0\r\nX-Sum: 42\r\n\r\n"), "{via}");
        } else {
            assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{via}: {text}");
            assert!(text.contains("a request with trailers: the service proxy would drop them"), "{text}");
        }
        stage.serving.stop().await;
    }
}

/// What the API server makes of each octet, and that `auto` knows it.
async fn every_octet_of_a_path(cluster: &'static Cluster) {
    let stage = Stage::new(cluster, &["--via", "service-proxy"]).await;
    let plain = (b'!'..=b'~').filter(|octet| octet.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@".contains(octet));
    let escaped = (b' '..=b'~').filter(|octet| *octet != b'/');
    let paths = plain.map(|octet| format!("/a{}b", char::from(octet)));
    let paths = paths.chain(escaped.map(|octet| format!("/a%{octet:02X}b")));
    let mut mistakes = Vec::new();
    for path in paths {
        let answer = http::get(&stage.through(&path)).await.text();
        let arrived = answer.split(' ').nth(1).unwrap_or_default();
        let is_changed = normal(arrived) != normal(&path);
        let is_known = ProxyLimitation::of(&Request::get(&path).body(()).unwrap()) == Some(ProxyLimitation::Escapes);
        if is_changed != is_known {
            mistakes.push(format!("{path} arrives as {arrived}"));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    stage.serving.stop().await;
}

/// `path` with the escapes decoded that mean the same decoded (RFC 3986 section 6.2.2.2).
fn normal(path: &str) -> String {
    let mut normal = path.to_owned();
    for octet in (b'-'..=b'~').filter(|octet| octet.is_ascii_alphanumeric() || b"-_.~".contains(octet)) {
        normal = normal.replace(&format!("%{octet:02X}"), &char::from(octet).to_string());
    }
    normal
}

async fn rights_are_asked_for_once(cluster: &'static Cluster) {
    let user = cluster.user();
    let stage = Stage::of(cluster, &user, &[]).await;
    stage.namespace.bind(&user, "edit").await;
    // A user whom nobody has asked for before, in a run of their own.
    let serving = serve(cluster, &stage.namespace, &user, &[]).await;
    let before = cluster.reviews_of(&user);
    for round in 0..3 {
        let paths = ["a%2Fb", "a//b", "a(b)", "x?dryRun=1"].map(|path| format!("{}{path}", serving.site_url()));
        let urls: Vec<String> = (0..5).flat_map(|_| paths.clone()).collect();
        for answer in join_all(urls.iter().map(|url| http::get(url))).await {
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        }
        // Two verbs of port-forward, and whether its Pods can be found, in two ways.
        assert_eq!(cluster.reviews_of(&user) - before, 4, "in round {round}");
    }
    serving.stop().await;
    stage.serving.stop().await;
}

async fn web_sockets(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backends = backends(cluster, &namespace, 1).await;
    for (via, query, by) in [
        ("auto", "", "service-proxy"),
        ("auto", "?token=a%2Fb", "port-forward web-0"),
        ("port-forward", "?token=a%2Fb", "port-forward web-0"),
    ] {
        let serving = serve(cluster, &namespace, cluster.admin(), &["--via", via]).await;
        let origin = serving.site_url().trim_end_matches('/').to_owned();
        let url = format!("{}/socket{query}", origin.replace("http://", "ws://"));
        let mut peer = Peer::open(&url, &[("origin", &origin)]).await.unwrap();
        for length in [0, 1, 125, 70_000, 1 << 20] {
            let message = Message::binary(pattern(0, length.min(60_000)).repeat(1 + length / 60_000));
            assert_eq!(peer.exchange(message.clone()).await, message, "{via}: {length} octets");
        }
        peer.close().await;
        assert_eq!(backends[0].requests().last().unwrap()["target"], format!("/socket{query}"), "{via}");
        serving.until_stderr(by).await;
        serving.stop().await;
    }
}

async fn a_narrow_role_may_not_send_options(cluster: &'static Cluster) {
    let options = case("OPTIONS", "/plain", Fate::Carried);
    let user = cluster.user();
    let stage = Stage::of(cluster, &user, &[]).await;
    let (_, through) = stage.both(&options).await;
    assert_eq!(through.status, StatusCode::FORBIDDEN, "{}", through.text());
    stage.serving.stop().await;
    stage.namespace.bind(&user, "edit").await;
    let serving = serve(cluster, &stage.namespace, &user, &[]).await;
    let stage = Stage { serving, ..stage };
    let (direct, through) = stage.both(&options).await;
    same(&direct, &through, &options.name());
    until_logged(&stage.serving, &options, "port-forward web-0").await;
    stage.serving.stop().await;
}

async fn streaming_html_streams_by_port_forward(cluster: &'static Cluster) {
    let stage = Stage::new(cluster, &["--via", "port-forward"]).await;
    let request = Request::builder().body(Empty::<Bytes>::new()).unwrap();
    let mut page = http::stream(&stage.through("/stream.html"), request).await.into_body();
    let first = page.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, HALVES[0], "before the second half was written");
    stage.app.go_on();
    assert_eq!(page.collect().await.unwrap().to_bytes(), HALVES[1]);
    stage.serving.stop().await;
    // The API server holds HTML back until it is whole.
    let serving = serve(cluster, &stage.namespace, cluster.admin(), &[]).await;
    let stage = Stage { serving, ..stage };
    stage.app.go_on();
    assert_eq!(http::get(&stage.through("/stream.html")).await.text(), HALVES.concat());
    stage.serving.stop().await;
}

async fn an_answer_that_ends_with_its_connection(cluster: &'static Cluster) {
    for via in ["auto", "port-forward"] {
        let stage = Stage::new(cluster, &["--via", via]).await;
        assert_eq!(http::get(&stage.through("/until-close")).await.text(), "to the end", "{via}");
        // The connection is over, and nobody takes it for another request.
        assert_eq!(http::get(&stage.through("/until-close")).await.text(), "to the end", "{via}");
        stage.serving.stop().await;
    }
}

/// A Service `web` with one Pod per address, each a [`Backend`].
async fn backends(cluster: &'static Cluster, namespace: &Namespace, count: usize) -> Vec<Backend> {
    namespace.service("web", json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    let mut backends = Vec::new();
    for number in 0..count {
        let backend = Backend::start(cluster.pod_address(), 8080).await;
        add_pod(namespace, &format!("web-{number}"), backend.ip()).await;
        backends.push(backend);
    }
    namespace.until_endpoints("web", count).await;
    backends
}

async fn add_pod(namespace: &Namespace, name: &str, ip: Ipv4Addr) {
    namespace.pod(cluster::Pod { name, ip, labels: json!({"app": "web"}), ports: json!([]), ready: true }).await;
}

async fn a_gibibyte_each_way(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backends = backends(cluster, &namespace, 1).await;
    for via in ["service-proxy", "port-forward"] {
        let serving = serve(cluster, &namespace, cluster.admin(), &["--via", via]).await;
        let url = serving.site_url();
        download(&format!("{url}bytes/{GIBIBYTE}")).await;
        upload(&format!("{url}sink")).await;
        serving.stop().await;
    }
}

const GIBIBYTE: u64 = 1 << 30;

async fn download(url: &str) {
    let request = Request::builder().body(Empty::<Bytes>::new()).unwrap();
    let mut body = http::stream(url, request).await.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.unwrap().into_data() else { continue };
        while !data.is_empty() {
            let expected = pattern(length, data.len());
            assert!(data.starts_with(&expected), "other octets than sent, after {length}");
            length += expected.len() as u64;
            let _ = data.split_to(expected.len());
        }
    }
    assert_eq!(length, GIBIBYTE);
}

async fn upload(url: &str) {
    const PIECE: u64 = 64 * 1024 - 16;
    let pieces = futures_util::stream::unfold(0, |offset| async move {
        let length = usize::try_from(PIECE.min(GIBIBYTE - offset)).unwrap();
        let frame = || Ok::<_, std::io::Error>(hyper::body::Frame::data(pattern(offset, length)));
        (length > 0).then(|| (frame(), offset + length as u64))
    });
    let body = http_body_util::StreamBody::new(Box::pin(pieces));
    let request = Request::builder().method(Method::PUT).body(body).unwrap();
    let answer = http::stream(url, request).await.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), json!({"length": GIBIBYTE}));
}

async fn two_hundred_connections_at_once(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backends = backends(cluster, &namespace, 2).await;
    for via in ["auto", "port-forward"] {
        let serving = serve(cluster, &namespace, cluster.admin(), &["--via", via]).await;
        let url = serving.site_url();
        let ask = |number: usize| {
            let url = format!("{url}bytes/{}", 1000 + number);
            async move {
                let answer = http::get(&url).await;
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
                assert_eq!(answer.body, pattern(0, 1000 + number), "{number}");
            }
        };
        join_all((0..200).map(ask)).await;
        serving.stop().await;
    }
    assert!(backends.iter().all(|backend| !backend.requests().is_empty()), "both Pods had some of them");
}

async fn a_slow_reader_holds_up_nobody(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backends = backends(cluster, &namespace, 1).await;
    let serving = serve(cluster, &namespace, cluster.admin(), &["--via", "port-forward"]).await;
    let url = serving.site_url();
    let request = Request::builder().body(Empty::<Bytes>::new()).unwrap();
    // Nobody reads this one.
    let slow = http::stream(&format!("{url}bytes/{GIBIBYTE}"), request).await;
    for number in 0..50 {
        let answer = timeout(Duration::from_secs(5), http::get(&format!("{url}bytes/100000"))).await;
        assert_eq!(answer.expect("it is answered at once").body.len(), 100_000, "{number}");
    }
    drop(slow);
    serving.stop().await;
}

async fn pods_to_which_no_network_leads(cluster: &'static Cluster) {
    moves_to_port_forward(cluster, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)).await;
}

async fn pods_whose_address_nobody_has(cluster: &'static Cluster) {
    moves_to_port_forward(cluster, cluster::SILENT.1).await;
}

async fn pods_to_which_packets_vanish(cluster: &'static Cluster) {
    moves_to_port_forward(cluster, cluster::VANISHING.1).await;
}

/// A Service `web` with one Pod that has a second address, which is its endpoint; its node forwards to the first.
async fn with_second_address(cluster: &'static Cluster, namespace: &Namespace, second: Ipv6Addr) -> Backend {
    let second = second.to_string();
    let backend = Backend::start(cluster.pod_address(), 8080).await;
    add_pod(namespace, "web-0", backend.ip()).await;
    let status = json!({"status": {"podIPs": [{"ip": backend.ip().to_string()}, {"ip": second}]}});
    cluster.api().patch(&format!("{}/web-0/status", namespace.path("Pod")), &status).await;
    let ports = json!([{"name": "http", "port": 8080, "protocol": "TCP"}]);
    let pod = json!({"kind": "Pod", "name": "web-0", "namespace": namespace.name()});
    for object in [
        json!({
            "kind": "Service", "metadata": {"name": "web"},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }),
        json!({
            "kind": "EndpointSlice", "addressType": "IPv6",
            "metadata": {"name": "web", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [{"addresses": [second], "conditions": {"ready": true}, "targetRef": pod}],
            "ports": ports,
        }),
        json!({
            "kind": "Endpoints", "metadata": {"name": "web"},
            "subsets": [{"addresses": [{"ip": second, "targetRef": pod}], "ports": ports}],
        }),
    ] {
        namespace.create(object).await;
    }
    backend
}

async fn moves_to_port_forward(cluster: &'static Cluster, unreachable: Ipv6Addr) {
    let namespace = cluster.namespace().await;
    let _backend = with_second_address(cluster, &namespace, unreachable).await;
    let serving = serve(cluster, &namespace, cluster.admin(), &[]).await;
    let url = serving.site_url();
    // The API server hears of endpoints a moment after they are written.
    eventually("the app answers", async || (http::get(&url).await.status == StatusCode::OK).then_some(())).await;
    // At the same URL, and at once: nobody waits for the API server any more.
    let answer = timeout(Duration::from_secs(5), http::get(&url)).await.expect("by port-forward");
    assert_eq!(answer.json()["target"], "/");
    serving.until_stderr("port-forward web-0").await;
    let said = serving.stop().await.stderr;
    let words = "the API server cannot reach the Pods of web: everything goes by port-forward from now on";
    assert_eq!(said.matches(words).count(), 1, "{said}");
    assert!(!said.lines().any(|line| line.contains(" 200 ") && line.contains("service-proxy")), "{said}");
}

async fn a_pod_is_deleted_under_a_request(cluster: &'static Cluster) {
    for via in ["auto", "port-forward"] {
        let namespace = cluster.namespace().await;
        let app = App::start(cluster.pod_address()).await;
        namespace.expose("web", app.ip(), json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
        let serving = serve(cluster, &namespace, cluster.admin(), &["--via", via]).await;
        let url = format!("{}hang", serving.site_url());
        let asking = tokio::spawn(async move { http::get(&url).await });
        app.until_hanging().await;
        // The next one is there before this one goes, as in a rollout.
        let next = Backend::start(cluster.pod_address(), 8080).await;
        add_pod(&namespace, "web-1", next.ip()).await;
        namespace.until_endpoints("web", 2).await;
        namespace.delete_pod("web-0").await;
        namespace.until_endpoints("web", 1).await;
        drop(app);
        let answer = asking.await.unwrap();
        assert_eq!(answer.json()["target"], "/hang", "{via}: by the next Pod");
        serving.stop().await;
    }
}

async fn a_request_that_must_not_be_sent_twice(cluster: &'static Cluster) {
    for via in ["auto", "port-forward"] {
        let stage = Stage::new(cluster, &["--via", via]).await;
        let url = stage.through("/hang");
        let post = Request::builder().method("POST");
        let asking = tokio::spawn(async move { http::send(&url, post).await });
        stage.app.until_hanging().await;
        let Stage { app, serving, .. } = stage;
        drop(app);
        let answer = asking.await.unwrap();
        assert!(answer.status.is_server_error(), "{via}: {}", answer.status);
        assert_eq!(answer.header("svcproxy-error"), "connection-closed", "{via}: {}", answer.text());
        serving.stop().await;
    }
}

async fn session_affinity_keeps_to_one_pod(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backends = backends(cluster, &namespace, 3).await;
    let path = format!("{}/web", namespace.path("Service"));
    cluster.api().patch(&path, &json!({"spec": {"sessionAffinity": "ClientIP"}})).await;
    let serving = serve(cluster, &namespace, cluster.admin(), &["--via", "port-forward"]).await;
    let url = serving.site_url();
    join_all((0..20).map(|_| http::get(&url))).await;
    let busy: Vec<usize> = (0..3).filter(|&number| !backends[number].requests().is_empty()).collect();
    let [kept] = busy[..] else { panic!("requests went to Pods {busy:?}") };
    namespace.set_ready(&format!("web-{kept}"), false).await;
    namespace.until_endpoints("web", 2).await;
    eventually("another Pod is kept to", async || {
        http::get(&url).await;
        let others = (0..3).filter(|&number| number != kept && !backends[number].requests().is_empty()).count();
        (others == 1).then_some(())
    })
    .await;
    serving.stop().await;
}

async fn a_pod_that_is_no_longer_ready_gets_nothing_new(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backends = backends(cluster, &namespace, 1).await;
    let serving = serve(cluster, &namespace, cluster.admin(), &["--via", "port-forward"]).await;
    let url = serving.site_url();
    assert_eq!(http::get(&url).await.status, StatusCode::OK);
    let next = Backend::start(cluster.pod_address(), 8080).await;
    add_pod(&namespace, "web-next", next.ip()).await;
    namespace.set_ready("web-0", false).await;
    namespace.until_endpoints("web", 1).await;
    eventually("the ready Pod is asked", async || {
        http::get(&url).await;
        (!next.requests().is_empty()).then_some(())
    })
    .await;
    let before = backends[0].requests().len();
    join_all((0..10).map(|_| http::get(&url))).await;
    assert_eq!(backends[0].requests().len(), before);
    serving.stop().await;
}

async fn https_by_port_forward(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = Backend::start_tls(cluster.pod_address(), 8443, cluster.authority()).await;
    namespace.expose("web", backend.ip(), json!([{"name": "https", "port": 443, "targetPort": 8443}])).await;
    let serving = serve(cluster, &namespace, cluster.admin(), &["--via", "port-forward"]).await;
    let answer = http::get(&format!("{}a%2Fb", serving.site_url())).await;
    assert_eq!(answer.json()["target"], "/a%2Fb");
    let url = serving.site_url().replace("http://", "ws://");
    let origin = serving.site_url().trim_end_matches('/').to_owned();
    let mut peer = Peer::open(&format!("{url}socket?x=1"), &[("origin", &origin)]).await.unwrap();
    assert_eq!(peer.exchange(Message::text("hello")).await, Message::text("hello"));
    peer.close().await;
    serving.stop().await;
    // The certificate names the Pod's address and comes from nobody whom the system trusts.
    let serving = serve(cluster, &namespace, cluster.admin(), &["--via", "port-forward", "--verify-tls"]).await;
    let answer = http::get(&serving.site_url()).await;
    assert_eq!(answer.header("svcproxy-error"), "pod-tls", "{} {}", answer.status, answer.text());
    serving.stop().await;
}

/// Services `plain` and `secure`, whose ports are named after what they do not speak.
async fn behind_the_other_scheme(cluster: &Cluster, namespace: &Namespace) -> [Backend; 2] {
    let plain = Backend::start(cluster.pod_address(), 8080).await;
    namespace.expose("plain", plain.ip(), json!([{"name": "https", "port": 443, "targetPort": 8080}])).await;
    let secure = Backend::start_tls(cluster.pod_address(), 8443, cluster.authority()).await;
    namespace.expose("secure", secure.ip(), json!([{"name": "http", "port": 80, "targetPort": 8443}])).await;
    [plain, secure]
}

async fn a_wrong_scheme_is_put_right(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backends = behind_the_other_scheme(cluster, &namespace).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    for via in ["auto", "service-proxy", "port-forward"] {
        for (service, right) in [("plain", "speaks http, not https"), ("secure", "speaks https, not http")] {
            let serving = Plugin::new(cluster, &kubeconfig).args([service, "--via", via]).serve().await;
            for _ in 0..2 {
                let answer = http::get(&serving.site_url()).await;
                assert_eq!(answer.status, StatusCode::OK, "{service} via {via}: {}", answer.text());
            }
            let said = serving.stop().await.stderr;
            assert_eq!(said.matches(right).count(), 1, "{service} via {via}: {said}");
        }
    }
}

/// Apps compare `Origin` and `Referer` with their own scheme and `Host`.
async fn a_page_has_the_origin_of_the_scheme_that_is_spoken(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let [plain, secure] = behind_the_other_scheme(cluster, &namespace).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    for via in ["service-proxy", "port-forward"] {
        for (service, backend, scheme) in [("plain", &plain, "http"), ("secure", &secure, "https")] {
            let serving = Plugin::new(cluster, &kubeconfig).args([service, "--via", via]).serve().await;
            let origin = serving.site_url().trim_end_matches('/').to_owned();
            let expected = origin.replace("http://", &format!("{scheme}://"));
            // The one that finds out the scheme, and one that knows it.
            for _ in 0..2 {
                let page = format!("{origin}/page");
                let request = Request::builder().header("origin", &origin).header("referer", &page);
                assert_eq!(http::send(&serving.site_url(), request).await.status, StatusCode::OK);
                let seen = backend.requests().pop().unwrap();
                for (name, value) in [("origin", expected.clone()), ("referer", format!("{expected}/page"))] {
                    assert!(seen["headers"].as_array().unwrap().contains(&json!([name, value])), "{via}: {seen}");
                }
            }
            serving.stop().await;
        }
    }
}
