//! Apps that want to be asked otherwise: by https, under another host, as a whole. Each by `kubectl svcproxy NAME` alone, by
//! both transports.

mod rule_server;
mod tls_front;

use ::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::{plugin, serve};
use rule_server::{Asked, RuleServer, page, redirect, status};
use support::cluster::{Cluster, Namespace, Pod};
use support::{LoginServer, LoginVisitor, Serving, eventually, http};
use tls_front::TlsFront;

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        tls_and_a_redirect_on_one_port,
        another_port_with_https,
        told_by_a_gateway_that_it_is_https,
        a_redirect_for_ever_is_explained,
        a_first_cookie_is_no_loop,
        silence_may_want_tls,
        hosts_that_only_localhost_knows,
        an_api_for_localhost_only,
        an_app_with_the_name_of_its_ingress,
        a_part_of_a_page_is_the_apps_own,
        an_event_stream_over_a_gap,
        own_urls_of_an_app_behind_tls,
        a_cookie_for_the_proxy_path,
        an_outer_front_that_was_allowed,
        a_forwarded_port,
        names_of_fields_as_they_were_spelled,
        heads_of_a_thousand_lines,
        octets_that_no_url_may_hold,
        a_file_is_moved_at_the_computed_url,
        files_below_the_computed_url,
        a_collection_is_asked_for_by_what_was_told,
        one_pod_for_a_run,
        a_login_that_belongs_to_a_connection,
        a_web_socket_for_who_is_logged_in,
        in_a_browser,
        in_a_browser_behind_a_front_with_tls,
        a_login_that_comes_back_by_post,
    ]
}

const TRANSPORTS: [&str; 3] = ["--via=auto", "--via=service-proxy", "--via=port-forward"];

/// A server with this rule behind the Service `app` with `ports`.
async fn app(
    cluster: &'static Cluster,
    ports: Value,
    rule: impl Fn(&Asked) -> rule_server::Answer + Send + Sync + 'static,
) -> (Namespace, RuleServer) {
    let namespace = cluster.namespace().await;
    let server = RuleServer::start(cluster.pod_address(), &[8080, 8443], cluster.authority(), rule).await;
    namespace.expose("app", server.ip(), ports).await;
    (namespace, server)
}

fn one_port() -> Value {
    json!([{"port": 80, "targetPort": 8080}])
}

/// To https, under the host that was used.
fn to_https(asked: &Asked) -> rule_server::Answer {
    redirect(format!("https://{}{}", asked.host(), asked.target()))
}

async fn assert_shows(serving: &Serving, path: &str, expect: &str) {
    for url in [serving.site_url(), serving.proxy_url()] {
        let answer = http::get(&format!("{url}{path}")).await;
        let said = answer.text();
        assert!(answer.status == StatusCode::OK && said.contains(expect), "{url}{path}: {} {said}", answer.status);
    }
}

/// One listener that speaks both, as Argo CD's: two ports, two of which one is named, and one.
async fn tls_and_a_redirect_on_one_port(cluster: &'static Cluster) {
    let two = json!([
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "https", "port": 443, "targetPort": 8080},
    ]);
    for (ports, name) in [
        (two.clone(), "app"),
        (two, "app:80"),
        (json!([{"name": "http", "port": 80, "targetPort": 8080}]), "app"),
        (one_port(), "app"),
    ] {
        let (namespace, server) = app(cluster, ports, |asked| match asked.is_tls {
            true => page("by TLS"),
            false => to_https(asked),
        })
        .await;
        for via in TRANSPORTS {
            let serving = serve(cluster, &namespace, &[name, via]).await;
            assert_shows(&serving, "a?b=c", "by TLS").await;
            let post = http::send(&serving.site_url(), Request::builder().method("POST")).await;
            assert_eq!(post.text(), "by TLS", "{name} {via}");
            serving.stop().await;
        }
        assert!(server.asked().iter().filter(|asked| !asked.is_tls).count() <= TRANSPORTS.len());
    }
}

async fn another_port_with_https(cluster: &'static Cluster) {
    let ports = json!([
        {"name": "web", "port": 80, "targetPort": 8080},
        {"name": "https", "port": 443, "targetPort": 8443},
    ]);
    let namespace = cluster.namespace().await;
    let ip = cluster.pod_address();
    // Only the second port has TLS; who speaks it to the first gets an end.
    let plain = RuleServer::start(ip, &[8080], cluster.authority(), |asked| match asked.is_tls {
        true => None,
        false => redirect(format!("https://{}{}", asked.host().split(':').next().unwrap(), asked.target())),
    })
    .await;
    let secure = RuleServer::start(ip, &[8443], cluster.authority(), |_| page("by TLS")).await;
    namespace.expose("app", plain.ip(), ports).await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app:web", via]).await;
        assert_shows(&serving, "a", "by TLS").await;
        let said = serving.stop().await.stderr;
        assert!(said.contains("app insists on https: it is spoken to at its https port from now on"), "{via}: {said}");
    }
    assert!(secure.asked().iter().all(|asked| asked.is_tls));
}

/// As frameworks with "redirect to https" do behind a proxy, with a check of `Origin` and `Referer` for what changes
/// something.
fn behind_tls(asked: &Asked) -> rule_server::Answer {
    let told = [
        asked.field("x-forwarded-proto") == "https",
        asked.field("x-forwarded-ssl") == "on",
        asked.field("x-forwarded-port") == "443",
        asked.field("forwarded") == "proto=https",
    ];
    let own = format!("https://{}", asked.host());
    match asked.method() {
        _ if asked.is_tls => None,
        _ if told != [true; 4] => to_https(asked),
        "POST" if asked.field("origin") != own || !asked.field("referer").starts_with(&own) => status(403),
        "POST" => Some((303, vec![("Location", format!("{own}/done?x"))], String::new())),
        _ => page(format!("<form method=post action=/form><button>Send</button></form>as https at {}", asked.target())),
    }
}

async fn told_by_a_gateway_that_it_is_https(cluster: &'static Cluster) {
    let (namespace, server) = app(cluster, one_port(), behind_tls).await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        assert_shows(&serving, "a?b", "as https").await;
        let origin = serving.site_url().trim_end_matches('/').to_owned();
        let form = Request::builder().method("POST").header("origin", &origin).header("referer", format!("{origin}/"));
        let answer = http::send(&format!("{origin}/form"), form).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/done?x"), "{via}");
        let said = serving.stop().await.stderr;
        let told = "app insists on https: it is told from now on that the browser speaks https";
        assert_eq!(said.matches(told).count(), 1, "{via}: {said}");
    }
    let targets = |asked: &Asked| (asked.target().to_owned(), asked.method().to_owned());
    let posts = server.asked().iter().map(targets).filter(|(_, method)| method == "POST").count();
    assert_eq!(posts, TRANSPORTS.len(), "each form was sent once");
}

async fn a_redirect_for_ever_is_explained(cluster: &'static Cluster) {
    let (namespace, server) = app(cluster, one_port(), |asked| if asked.is_tls { None } else { to_https(asked) }).await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        for _ in 0..2 {
            let plain = || server.asked().iter().filter(|asked| !asked.is_tls).count();
            let before = plain();
            let answer = http::get(&serving.site_url()).await;
            let seen = (answer.status.as_u16(), answer.header("svcproxy-error").to_owned());
            assert_eq!(seen, (508, "insists-on-https".to_owned()), "{via}: {}", answer.text());
            assert!(plain() - before <= 2, "{via}: {:?}", server.asked());
        }
        serving.stop().await;
    }
}

async fn a_first_cookie_is_no_loop(cluster: &'static Cluster) {
    let (namespace, server) = app(cluster, one_port(), |asked| match asked.field("cookie") {
        "a=b" => page("with a cookie"),
        _ => {
            Some((302, vec![("Location", asked.target().to_owned()), ("Set-Cookie", "a=b".to_owned())], String::new()))
        }
    })
    .await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        let url = format!("{}x", serving.site_url());
        let answer = http::get(&url).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, "/x"), "{via}");
        let answer = http::send(&url, Request::builder().header("cookie", "a=b")).await;
        assert_eq!(answer.text(), "with a cookie", "{via}");
        serving.stop().await;
    }
    assert!(server.asked().iter().all(|asked| !asked.is_tls && asked.field("x-forwarded-proto") == "http"));
}

async fn silence_may_want_tls(cluster: &'static Cluster) {
    let (namespace, _server) = app(cluster, one_port(), |asked| if asked.is_tls { page("by TLS") } else { None }).await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        assert_shows(&serving, "a", "by TLS").await;
        assert!(serving.stop().await.stderr.contains("app speaks https, not http"), "{via}");
    }
}

fn is_localhost(asked: &Asked) -> bool {
    asked.host().split(':').next() == Some("localhost")
}

async fn hosts_that_only_localhost_knows(cluster: &'static Cluster) {
    for code in [404, 500, 503] {
        let rule = move |asked: &Asked| if is_localhost(asked) { page("for localhost") } else { status(code) };
        let (namespace, _server) = app(cluster, one_port(), rule).await;
        for via in TRANSPORTS {
            let serving = serve(cluster, &namespace, &["app", via]).await;
            assert_shows(&serving, "a", "for localhost").await;
            serving.stop().await;
        }
    }
}

/// Pages for everybody, and what they fetch for `localhost` only.
async fn an_api_for_localhost_only(cluster: &'static Cluster) {
    let (namespace, server) = app(cluster, one_port(), |asked| match asked.target() {
        "/api" if !is_localhost(asked) => status(403),
        _ => page("yes"),
    })
    .await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        let navigate = Request::builder().header("sec-fetch-mode", "navigate");
        assert_eq!(http::send(&serving.site_url(), navigate).await.status, StatusCode::OK);
        let fetch = |method| Request::builder().method(method).header("sec-fetch-mode", "cors");
        for method in ["GET", "POST"] {
            let answer = http::send(&format!("{}api", serving.site_url()), fetch(method)).await;
            assert_eq!(answer.status, StatusCode::OK, "{via} {method}");
        }
        serving.stop().await;
    }
    assert_eq!(server.asked().iter().filter(|asked| asked.method() == "POST").count(), TRANSPORTS.len());
}

async fn an_app_with_the_name_of_its_ingress(cluster: &'static Cluster) {
    let (namespace, _server) =
        app(cluster, one_port(), |asked| match (asked.host(), asked.field("x-forwarded-proto")) {
            _ if asked.is_tls => None,
            ("shop.example", "https") => page("<a href=\"https://shop.example/cart\">cart</a>"),
            _ => redirect(format!("https://shop.example{}", asked.target())),
        })
        .await;
    namespace
        .create(json!({
            "kind": "Ingress", "metadata": {"name": "shop"},
            "spec": {"rules": [{"host": "shop.example", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "app", "port": {"number": 80}}}}]}}]},
        }))
        .await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        let answer = http::get(&format!("{}a?b", serving.site_url())).await;
        assert_eq!(answer.text(), "<a href=\"/cart\">cart</a>", "{via}");
        let said = serving.stop().await.stderr;
        assert!(said.contains("it sees shop.example from now on"), "{via}: {said}");
    }
}

/// The API server makes links longer, and says nothing of it in `Content-Range`.
async fn a_part_of_a_page_is_the_apps_own(cluster: &'static Cluster) {
    const PAGE: &str = "<a href=\"/x\">one</a><a href=\"/y\">two</a>";
    let rule = |asked: &Asked| {
        let html = ("Content-Type", "text/html".to_owned());
        match asked.field("range").strip_prefix("bytes=").and_then(|range| range.trim_end_matches('-').parse().ok()) {
            None => page(PAGE),
            Some(from) => {
                let range = format!("bytes {from}-{}/{}", PAGE.len() - 1, PAGE.len());
                Some((206, vec![html, ("Content-Range", range)], PAGE[from..].to_owned()))
            }
        }
    };
    let (namespace, _server) = app(cluster, one_port(), rule).await;
    for (via, expect) in [("--via=auto", (206, &PAGE[20..])), ("--via=service-proxy", (200, PAGE))] {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        let answer = http::send(&serving.site_url(), Request::builder().header("range", "bytes=20-")).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), expect, "{via}");
        serving.stop().await;
    }
}

async fn an_event_stream_over_a_gap(cluster: &'static Cluster) {
    let events = |asked: &Asked| match asked.target() {
        "/events" => Some((200, vec![("Content-Type", "text/event-stream".to_owned())], "data: x\n\n".to_owned())),
        _ => page("page"),
    };
    for via in TRANSPORTS {
        let (namespace, server) = app(cluster, one_port(), events).await;
        let serving = serve(cluster, &namespace, &["app", via]).await;
        assert_shows(&serving, "", "page").await;
        namespace.set_ready("app-0", false).await;
        serving.until_stderr("no ready endpoint").await;
        let stream = Request::builder().header("accept", "text/event-stream");
        let url = format!("{}events", serving.site_url());
        let asked = http::send(&url, stream);
        let mut asked = std::pin::pin!(asked);
        let still_asked = tokio::time::timeout(std::time::Duration::from_secs(4), asked.as_mut()).await;
        assert!(still_asked.is_err(), "{via}: it was answered {:?}", still_asked.map(|answer| answer.status));
        namespace.set_ready("app-0", true).await;
        assert_eq!(asked.await.text(), "data: x\n\n", "{via}");
        drop(server);
        serving.stop().await;
    }
}

/// Identity providers and consoles write them into scripts and JSON.
async fn own_urls_of_an_app_behind_tls(cluster: &'static Cluster) {
    let ports = json!([{"name": "https", "port": 443, "targetPort": 8443}]);
    let (namespace, _server) = app(cluster, ports, |asked| {
        let own = asked.host().to_owned();
        let body =
            format!(r#"{{"a":"https://{own}/x","b":"https:\/\/{own}\/x","c":"https://{own}1/","d":"wss://{own}/s"}}"#);
        Some((200, vec![("Content-Type", "application/json".to_owned()), ("ETag", "\"1\"".to_owned())], body))
    })
    .await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        let answer = http::get(&format!("{}config", serving.site_url())).await;
        let own = serving.site_url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let expect =
            format!(r#"{{"a":"http://{own}/x","b":"http:\/\/{own}\/x","c":"https://{own}1/","d":"ws://{own}/s"}}"#);
        assert_eq!((answer.text(), answer.header("etag")), (expect, "W/\"1\""), "{via}");
        serving.stop().await;
    }
}

/// As an app is set up for `kubectl proxy`, in a spelling of its own.
async fn a_cookie_for_the_proxy_path(cluster: &'static Cluster) {
    for id in ["app", "app:80", "app:http", "http:app:http"] {
        let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
        let namespace = cluster.namespace().await;
        let path = namespace.proxy_path(id);
        let server = RuleServer::start(cluster.pod_address(), &[8080], cluster.authority(), move |_| {
            let cookie = ("Set-Cookie", format!("session=1; Path={path}"));
            Some((302, vec![("Location", format!("{path}/login")), cookie], String::new()))
        })
        .await;
        namespace.expose("app", server.ip(), ports).await;
        for via in TRANSPORTS {
            let serving = serve(cluster, &namespace, &["app", via]).await;
            let answer = http::get(&format!("{}x", serving.site_url())).await;
            let seen = (answer.header("location"), answer.header("set-cookie"));
            assert_eq!(seen, ("/login", "session=1; Path=/"), "{id} {via}");
            serving.stop().await;
        }
    }
}

/// A front with TLS, as editors and tunnels have it: an app with a check of `Origin` believes it.
async fn an_outer_front_that_was_allowed(cluster: &'static Cluster) {
    let (namespace, _server) = app(cluster, one_port(), |asked| {
        page(format!("{}://{}", asked.field("x-forwarded-proto"), asked.field("x-forwarded-host")))
    })
    .await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via, "--allow-host=me.example.dev"]).await;
        let asked = |host: &'static str| {
            let request = Request::builder().header("host", host).header("x-forwarded-proto", "https");
            // As browsers do by https.
            let request = request.header("sec-fetch-site", "same-origin");
            request.method("POST").header("origin", format!("https://{host}"))
        };
        let url = serving.site_url();
        assert_eq!(http::send(&url, asked("me.example.dev")).await.text(), "https://me.example.dev", "{via}");
        assert_eq!(http::send(&url, asked("evil.example")).await.status, StatusCode::MISDIRECTED_REQUEST, "{via}");
        let own = Request::builder().header("x-forwarded-proto", "https");
        assert!(http::send(&url, own).await.text().starts_with("http://app--"), "{via}");
        serving.stop().await;
    }
}

/// `ssh -L 9000:localhost:PORT`.
async fn a_forwarded_port(cluster: &'static Cluster) {
    let (namespace, _server) = app(cluster, one_port(), |asked| page(asked.host())).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let at = |host: &str, origin: &str| {
        Request::builder().method("POST").header("host", host).header("origin", format!("http://{origin}"))
    };
    let url = serving.site_url();
    assert_eq!(http::send(&url, at("localhost:9000", "localhost:9000")).await.text(), "localhost:9000");
    for origin in ["localhost:9001", "evil.example:9000"] {
        assert_eq!(http::send(&url, at("localhost:9000", origin)).await.status, StatusCode::FORBIDDEN, "{origin}");
    }
    let navigation = Request::builder().header("host", "127.0.0.1:9000").header("sec-fetch-mode", "navigate");
    let answer = http::send(&serving.proxy_url(), navigation.header("sec-fetch-dest", "document")).await;
    assert!(answer.header("location").ends_with(".localhost:9000/"), "{}", answer.header("location"));
    serving.stop().await;
}

async fn names_of_fields_as_they_were_spelled(cluster: &'static Cluster) {
    let (namespace, server) = app(cluster, one_port(), |_| page("yes")).await;
    let serving = serve(cluster, &namespace, &["app", "--via=port-forward"]).await;
    let url = serving.site_url();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let request = format!(
        "POST /a HTTP/1.1\r\nHost: {host}\r\nX-ODD-name: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab"
    );
    let answer = http::raw(&url, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Content-Type: text/html"), "{answer}");
    let head = server.asked().pop().unwrap().head().to_owned();
    for line in ["X-ODD-name: 1\r\n", "Content-Length: 2\r\n", "X-Forwarded-Proto: http\r\n"] {
        assert!(head.contains(line), "{head}");
    }
    serving.stop().await;
}

async fn heads_of_a_thousand_lines(cluster: &'static Cluster) {
    let (namespace, server) = app(cluster, one_port(), |asked| {
        let lines = asked.target().trim_start_matches('/').parse().unwrap_or(0);
        Some((200, vec![("X-Many", "m".repeat(500)); lines], "whole".to_owned()))
    })
    .await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        let url = serving.site_url();
        let answer = http::get(&format!("{url}900")).await;
        assert_eq!((answer.text().as_str(), answer.headers.get_all("x-many").iter().count()), ("whole", 900), "{via}");
        let answer = http::get(&format!("{url}1100")).await;
        assert_eq!(answer.header("svcproxy-error"), "header-too-large", "{via}: {} {}", answer.status, answer.text());
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let many = format!("X-Many: {}\r\n", "m".repeat(500)).repeat(900);
        let request = format!("GET /0 HTTP/1.1\r\nHost: {host}\r\n{many}Connection: close\r\n\r\n");
        assert!(http::raw(&url, request.as_bytes()).await.starts_with("HTTP/1.1 200"), "{via}");
        assert_eq!(server.asked().pop().unwrap().head().matches("m\r\n").count(), 900, "{via}");
        serving.stop().await;
    }
}

/// As `curl -g` sends what Prometheus' documentation shows.
async fn octets_that_no_url_may_hold(cluster: &'static Cluster) {
    let (namespace, server) = app(cluster, one_port(), |_| page("yes")).await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        for (typed, sent) in
            [(r#"series?match[]=up{job="x"}"#, "/series?match[]=up{job=%22x%22}"), ("<a>`", "/%3Ca%3E%60")]
        {
            let url = format!("{}{typed}", serving.site_url());
            let output = http::curl(["--globoff", "--fail-with-body", &url]).await;
            assert!(output.status.success(), "{via} {typed}: {}", String::from_utf8_lossy(&output.stdout));
            assert_eq!(server.asked().pop().unwrap().target(), sent, "{via}");
        }
        serving.stop().await;
    }
}

/// WebDAV clients say in `Destination` and `If` where to, by the URL that they know.
async fn a_file_is_moved_at_the_computed_url(cluster: &'static Cluster) {
    let (namespace, server) = app(cluster, one_port(), |asked| {
        Some((201, vec![("Location", format!("http://{}/b", asked.host()))], String::new()))
    })
    .await;
    for (via, method) in [("--via=auto", "MOVE"), ("--via=port-forward", "COPY"), ("--via=service-proxy", "PUT")] {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        for url in [serving.proxy_url(), serving.site_url()] {
            let request = Request::builder().method(method).header("destination", format!("{url}b"));
            let request = request.header("if", format!("<{url}b> (<opaquelocktoken:1> [\"e\"])"));
            let answer = http::send(&format!("{url}a"), request).await;
            let asked = server.asked().pop().unwrap();
            let own = format!("http://{}/b", asked.host());
            let seen = (asked.method(), asked.target(), asked.field("destination"), asked.field("if"));
            let tagged = format!("<{own}> (<opaquelocktoken:1> [\"e\"])");
            assert_eq!(seen, (method, "/a", own.as_str(), tagged.as_str()), "{via} {url}");
            let location = answer.header("location");
            let below = url.split_once("://").unwrap().1.split_once('/').unwrap().1;
            assert!(location.ends_with(&format!("/{below}b")), "{via} {url}: {} {location}", answer.status);
        }
        serving.stop().await;
    }
}

const MULTISTATUS: &str = "application/xml; charset=\"utf-8\"";

/// WebDAV clients resolve what they are told against the URL that they asked for, and take only what is below it.
async fn files_below_the_computed_url(cluster: &'static Cluster) {
    let (namespace, _server) = app(cluster, one_port(), |asked| {
        let own = asked.host();
        let body = format!(
            "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/dav/</D:href></D:response>\
             <D:response><D:href>http://{own}/dav/a%20b</D:href><D:location><D:href>/dav/c</D:href></D:location>\
             <D:prop>/dav/d</D:prop></D:response></D:multistatus>"
        );
        Some((207, vec![("Content-Type", MULTISTATUS.to_owned())], body))
    })
    .await;
    for (via, method) in
        [("--via=auto", "PROPFIND"), ("--via=port-forward", "PROPFIND"), ("--via=service-proxy", "DELETE")]
    {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        for (base, is_site) in [(serving.proxy_url(), false), (serving.site_url(), true)] {
            let answer = http::send(&format!("{base}dav/"), Request::builder().method(method)).await;
            let origin = base.split('/').take(3).collect::<Vec<_>>().join("/");
            let root = if is_site { "/" } else { base.strip_prefix(&origin).unwrap() };
            let expect = format!(
                "<D:href>{root}dav/</D:href></D:response>\
                 <D:response><D:href>{origin}{root}dav/a%20b</D:href><D:location><D:href>{root}dav/c</D:href></D:location>\
                 <D:prop>/dav/d</D:prop>"
            );
            let said = answer.text();
            assert!(answer.status == StatusCode::MULTI_STATUS && said.contains(&expect), "{via} {base}: {said}");
        }
        serving.stop().await;
    }
}

/// As calendars are (`calendar-multiget`, RFC 4791 section 7.9).
async fn a_collection_is_asked_for_by_what_was_told(cluster: &'static Cluster) {
    let (namespace, server) = app(cluster, one_port(), |_| status(200)).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    for base in [serving.proxy_url(), serving.site_url()] {
        let path = base.splitn(4, '/').nth(3).unwrap();
        let body = format!("<D:href>/{path}cal/1.ics</D:href>");
        let report = Request::builder().method("REPORT").header("content-type", MULTISTATUS);
        http::send_body(&format!("{base}cal/"), report, body).await;
        let asked = server.asked().pop().unwrap();
        let own = "<D:href>/cal/1.ics</D:href>";
        assert_eq!((asked.body(), asked.field("content-length")), (own, &*own.len().to_string()), "{base}");
        let put = Request::builder().method("PUT").header("content-type", MULTISTATUS);
        let content = format!("<D:href>/{path}cal/1.ics</D:href>");
        http::send_body(&format!("{base}cal/x.xml"), put, content.clone()).await;
        assert_eq!(server.asked().pop().unwrap().body(), content, "it is the user's own");
    }
    serving.stop().await;
}

/// `--sticky`, or a Service that says so itself.
async fn one_pod_for_a_run(cluster: &'static Cluster) {
    let ask_often = async |serving: &Serving| {
        let url = serving.site_url();
        for answer in futures_util::future::join_all((0..12).map(|_| http::get(&url))).await {
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        }
    };
    for (affinity, arguments) in [("None", &["app", "--sticky"][..]), ("ClientIP", &["app"])] {
        let (namespace, first) = app(cluster, one_port(), |_| page("first")).await;
        let second = RuleServer::start(cluster.pod_address(), &[8080], cluster.authority(), |_| page("second")).await;
        let labels = json!({"app": "app"});
        namespace.pod(Pod { name: "app-1", ip: second.ip(), labels, ports: json!([]), ready: true }).await;
        let service = format!("{}/app", namespace.path("Service"));
        cluster.api().patch(&service, &json!({"spec": {"sessionAffinity": affinity}})).await;
        namespace.until_endpoints("app", 2).await;
        let pods = [&first, &second];
        let asked = || pods.map(|pod| pod.asked().len());
        let serving = serve(cluster, &namespace, arguments).await;
        ask_often(&serving).await;
        let kept = usize::from(asked()[0] == 0);
        assert_eq!((asked()[kept], asked()[1 - kept]), (12, 0), "{arguments:?}");

        namespace.delete_pod(&format!("app-{kept}")).await;
        namespace.until_endpoints("app", 1).await;
        let words = format!("app: its Pod app-{kept} is gone, everything goes to app-{} from now on", 1 - kept);
        eventually("the other Pod takes its place", async || {
            ask_often(&serving).await;
            serving.stderr().contains(&words).then_some(())
        })
        .await;
        let before = asked();
        ask_often(&serving).await;
        assert_eq!((asked()[kept], asked()[1 - kept]), (before[kept], before[1 - kept] + 12), "{arguments:?}");
        let said = serving.stop().await.stderr;
        assert_eq!(said.matches("is gone, everything goes to").count(), 1, "{said}");
    }
}

/// NTLM and Negotiate: who sends on a connection that is logged in is that user.
async fn a_login_that_belongs_to_a_connection(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let ip = cluster.pod_address();
    let _server = LoginServer::start(ip, 8080).await;
    namespace.expose("app", ip, one_port()).await;
    for via in ["--via=auto", "--via=port-forward"] {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        let url = serving.site_url();
        let mut ann = LoginVisitor::new(&url, "ann").await;
        let mut bob = LoginVisitor::new(&url, "bob").await;
        let mut nobody = LoginVisitor::new(&url, "nobody").await;
        tokio::join!(ann.log_in(), bob.log_in());
        for _ in 0..3 {
            tokio::join!(ann.assert_is_known(), bob.assert_is_known(), nobody.assert_is_unknown());
        }
        serving.stop().await;
    }
}

/// The handshake that is refused and the one that is not go out on one connection.
async fn a_web_socket_for_who_is_logged_in(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let ip = cluster.pod_address();
    let _server = LoginServer::start(ip, 8080).await;
    namespace.expose("app", ip, one_port()).await;
    for via in ["--via=auto", "--via=port-forward"] {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        let mut ann = LoginVisitor::new(&serving.site_url(), "ann").await.with_handshakes();
        ann.log_in().await;
        serving.stop().await;
    }
}

/// What a person sees.
async fn in_a_browser(cluster: &'static Cluster) {
    let (namespace, _server) = app(cluster, one_port(), behind_tls).await;
    for via in ["--via=service-proxy", "--via=port-forward"] {
        let serving = plugin(cluster, &namespace, &["app", via]).serve().await;
        let browser = Browser::start(&cluster.scratch()).await;
        browser.open(&serving.site_url()).await.unwrap();
        browser.until_text("body", "as https at /").await.unwrap();
        browser.click("button").await.unwrap();
        eventually("the form was taken", async || browser.url().await.unwrap().ends_with("/done?x").then_some(()))
            .await;
        browser.close().await;
        serving.stop().await;
    }
}

/// As Rails checks a form: its `Origin` is the URL that the fronts tell.
async fn in_a_browser_behind_a_front_with_tls(cluster: &'static Cluster) {
    const NAME: &str = "me.example.dev";
    let (namespace, _server) = app(cluster, one_port(), |asked| {
        let told = format!("{}://{}", asked.field("x-forwarded-proto"), asked.field("x-forwarded-host"));
        match asked.method() {
            "POST" if asked.field("origin") != told => status(422),
            "POST" => Some((303, vec![("Location", format!("{told}/done"))], String::new())),
            _ if asked.target() == "/done" => page(format!("saved at {told}")),
            _ => page("<form method=post action=/form><input name=a value=b><button>Save</button></form>"),
        }
    })
    .await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", via, "--allow-host", NAME]).await;
        let url: ::http::Uri = serving.site_url().parse().unwrap();
        let front = TlsFront::start(cluster.authority(), url.port_u16().unwrap()).await;
        let map = format!("--host-resolver-rules=MAP {NAME} 127.0.0.1");
        let browser = Browser::start_with(&cluster.scratch(), &["--ignore-certificate-errors", &map]).await;
        let outer = format!("https://{NAME}:{}", front.port());
        browser.open(&outer).await.unwrap();
        browser.click("button").await.unwrap();
        browser.until_text("body", &format!("saved at {outer}")).await.unwrap();
        assert_eq!(browser.url().await, Ok(format!("{outer}/done")), "{via}");
        let rule = "return (await fetch('/form', {method: 'POST', redirect: 'manual'})).type";
        assert_eq!(browser.run(rule, &[]).await.unwrap(), "opaqueredirect", "{via}");
        browser.close().await;
        serving.stop().await;
    }
}

/// As SAML and OpenID Connect's `form_post` do: another origin's page sends its form to the app, which has led there. A page
/// that nobody was led to sends the same in vain.
async fn a_login_that_comes_back_by_post(cluster: &'static Cluster) {
    let provider_ip = cluster.pod_address();
    let form = |asked: &Asked| {
        let back = asked.target().split("back=").nth(1).unwrap_or_default();
        page(format!("<form method=post action=\"http://{back}/acs\"><button>Log in</button></form>"))
    };
    let _provider = RuleServer::start(provider_ip, &[8080], cluster.authority(), form).await;
    let stranger = RuleServer::start(cluster.pod_address(), &[8080], cluster.authority(), form).await;
    let (namespace, server) = app(cluster, one_port(), move |asked| match asked.method() {
        "POST" => page("welcome"),
        _ => {
            Some((302, vec![("Location", format!("http://{provider_ip}:8080/?back={}", asked.host()))], String::new()))
        }
    })
    .await;
    let posts = || server.asked().iter().filter(|asked| asked.method() == "POST").count();
    for via in ["--via=service-proxy", "--via=port-forward"] {
        let serving = serve(cluster, &namespace, &["app", via]).await;
        let site = serving.site_url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let browser = Browser::start(&cluster.scratch()).await;
        let before = posts();
        browser.open(&format!("http://{}:8080/?back={site}", stranger.ip())).await.unwrap();
        browser.click("button").await.unwrap();
        browser.until_text("body", "--allow-origin").await.unwrap();
        assert_eq!(posts(), before, "{via}");
        browser.open(&serving.site_url()).await.unwrap();
        browser.until_text("button", "Log in").await.unwrap();
        browser.click("button").await.unwrap();
        browser.until_text("body", "welcome").await.unwrap();
        assert_eq!(posts(), before + 1, "{via}");
        browser.close().await;
        serving.stop().await;
    }
}
