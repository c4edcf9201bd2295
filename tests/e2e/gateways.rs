//! Gateways between users and the API server that let not everything pass: it is found out, and gone around or named.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ::http::StatusCode;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::harness::{Gateway, Plugin, UPGRADES, serve};
use crate::own_pages::look_at;
use support::cluster::{Cluster, Login, Namespace, User, backend_in};
use support::stream::send;
use support::{Backend, Canned, Peer, RawBackend, Serving, http, refusal};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        upgrades_that_pass_nowhere,
        upgrades_that_pass_for_port_forward_only,
        an_app_that_upgrades_without_being_asked,
        upgrades_beyond_a_limit,
        an_app_without_a_web_socket_is_not_suspected,
        web_sockets_that_are_cut_when_idle,
        web_sockets_that_are_cut_after_a_time,
        port_forwards_that_pass_in_no_way,
        credentials_that_do_not_arrive,
        a_certificate_that_does_not_arrive,
        impersonation_that_does_not_arrive,
        cookies_of_a_gateway,
    ]
}

/// The way of the service proxy, as nginx writes it.
const SERVICE_PROXY: &str = "~ /services/[^/]+/proxy/";

/// As a page of the site opens it.
async fn open(serving: &Serving, path: &str) -> Peer {
    let origin = origin_of_site(serving);
    let url = format!("{}{path}", origin.replacen("http", "ws", 1));
    Peer::open(&url, &[("origin", &origin)]).await.unwrap_or_else(|answer| panic!("{answer:?}; {}", serving.stderr()))
}

fn origin_of_site(serving: &Serving) -> String {
    serving.site_url().trim_end_matches('/').to_owned()
}

async fn works(serving: &Serving, path: &str) {
    let mut peer = open(serving, path).await;
    assert_eq!(peer.exchange(Message::text("hello")).await, Message::text("hello"));
    peer.close().await;
}

async fn refused(serving: &Serving, path: &str) -> (u16, String) {
    let origin = origin_of_site(serving);
    let answer = refusal(&format!("{origin}{path}"), &origin).await;
    (answer.status.as_u16(), answer.text())
}

fn said_once(serving: &Serving, words: &str) {
    assert_eq!(serving.stderr().matches(words).count(), 1, "{words}: {}", serving.stderr());
}

/// What an app answers that sees no upgrade, or sees one and wants none.
fn refuses(backend: &Backend, path: &str, status: u16) {
    backend.answer(path, Canned { status, body: b"not so".to_vec(), ..Canned::default() });
}

async fn upgrades_that_pass_nowhere(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let gateway = Gateway::start(cluster, &[("/", "")]).await;
    refuses(&backend, "/old", 400);
    let words = "something between here and the API server takes Upgrade out of requests, so neither WebSockets nor \
                 port-forward can pass";
    for (path, status) in [("/socket", 200), ("/old", 400)] {
        let serving = serve(cluster, &namespace, &["app", &gateway.flag()]).await;
        for _ in 0..2 {
            assert_eq!(refused(&serving, path).await.0, status, "{path}");
        }
        serving.until_stderr(words).await;
        said_once(&serving, words);
        assert_eq!(http::get(&serving.site_url()).await.status, StatusCode::OK, "everything else passes");
        serving.stop().await;
    }
    let serving = serve(cluster, &namespace, &["app", "--via=port-forward", &gateway.flag()]).await;
    let answer = http::get(&serving.site_url()).await;
    let seen = (answer.status, answer.header("svcproxy-error"));
    assert_eq!(seen, (StatusCode::NOT_IMPLEMENTED, "upgrade-lost"), "{}", answer.text());
    for words in ["Upgrade request required", &gateway.url(), "proxy_set_header Upgrade", "--server https://"] {
        assert!(answer.text().contains(words), "no {words:?} in {}", answer.text());
    }
    let title = "Something on the way to the API server takes Upgrade out of requests";
    look_at(cluster, &serving.site_url(), title).await;
    serving.stop().await;
}

async fn upgrades_that_pass_for_port_forward_only(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let gateway = Gateway::start(cluster, &[("/", UPGRADES), (SERVICE_PROXY, "")]).await;
    refuses(&backend, "/denied", 403);
    let serving = serve(cluster, &namespace, &["app", "--log-requests", &gateway.flag()]).await;
    for _ in 0..2 {
        works(&serving, "/socket").await;
    }
    assert_eq!(refused(&serving, "/denied").await, (403, "not so".to_owned()));
    let words = "app: WebSockets go by port-forward from now on, the service proxy answered one 200: something between \
                 here and the API server takes Upgrade out of requests";
    serving.until_stderr(words).await;
    said_once(&serving, words);
    // The handshake that the service proxy spoiled, and what came after.
    let seen = backend.requests().iter().filter(|request| request["target"] == "/socket").count();
    assert_eq!(seen, 3);
    assert_eq!(http::get(&format!("{}page", serving.site_url())).await.status, StatusCode::OK);
    let said = serving.stop().await.stderr;
    let page = said.lines().find(|line| line.starts_with("GET /page 200 ")).unwrap_or_else(|| panic!("{said}"));
    assert!(page.ends_with("service-proxy"), "nothing else moves: {page}");
}

/// What the API server says then is certain, too.
async fn an_app_that_upgrades_without_being_asked(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let ip = cluster.pod_address();
    let app = RawBackend::listen(ip, 8080).await;
    namespace.expose("app", ip, json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    let gateway = Gateway::start(cluster, &[("/", UPGRADES), (SERVICE_PROXY, "")]).await;
    let serving = serve(cluster, &namespace, &["app", &gateway.flag()]).await;
    let agree = async {
        let mut streams = Vec::new();
        for _ in 0..2 {
            let (mut stream, head) = app.accept().await;
            let key = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
            let accept = derive_accept_key(key.expect("it is a handshake").1.as_bytes());
            let agreed = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            );
            send(&mut stream, agreed).await.unwrap();
            streams.push(stream);
        }
        streams
    };
    let (_peer, streams) = tokio::join!(open(&serving, "/socket"), agree);
    assert_eq!(streams.len(), 2);
    serving.until_stderr("the service proxy answered one 500: something between here and the API server takes").await;
    serving.stop().await;
}

async fn upgrades_beyond_a_limit(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    for status in [429, 503] {
        let refuse = format!("if ($http_upgrade) {{ return {status}; }} {UPGRADES}");
        let gateway = Gateway::start(cluster, &[("/", UPGRADES), (SERVICE_PROXY, &refuse)]).await;
        let serving = serve(cluster, &namespace, &["app", &gateway.flag()]).await;
        for _ in 0..2 {
            works(&serving, "/socket").await;
        }
        let words =
            format!("the service proxy answered one {status}: something between here and the API server seems to");
        serving.until_stderr(&words).await;
        said_once(&serving, &words);
        serving.stop().await;
    }
}

async fn an_app_without_a_web_socket_is_not_suspected(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    for status in [400, 401, 403, 404, 426, 429, 503] {
        let path = format!("/{status}");
        refuses(&backend, &path, status);
        for _ in 0..3 {
            assert_eq!(refused(&serving, &path).await, (status, "not so".to_owned()));
        }
        let asked = backend.requests().iter().filter(|request| request["target"] == path).count();
        let expected = if [400, 426, 429, 503].contains(&status) { 4 } else { 3 };
        assert_eq!(asked, expected, "{status}");
    }
    let said = serving.stop().await.stderr;
    assert!(!said.contains("WebSocket") && !said.contains("Upgrade"), "{said}");
}

async fn web_sockets_that_are_cut_when_idle(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let cut = format!("{UPGRADES} proxy_read_timeout 6s;");
    let gateway = Gateway::start(cluster, &[("/", UPGRADES), (SERVICE_PROXY, &cut)]).await;
    let serving = serve(cluster, &namespace, &["app", &gateway.flag()]).await;
    let words = "app: WebSockets are cut when nothing has passed for 6 s, by something between here and the API server";
    for _ in 0..3 {
        let mut peer = open(&serving, "/socket").await;
        assert_eq!(peer.exchange(Message::text("hello")).await, Message::text("hello"));
        peer.until_cut().await;
    }
    serving.until_stderr(words).await;
    said_once(&serving, words);
    serving.stop().await;
}

/// Run by `user` through `gateway`.
fn run_by(cluster: &Cluster, namespace: &Namespace, user: &User, gateway: &Gateway) -> Plugin {
    Plugin::new(cluster, &user.kubeconfig(namespace.name())).args(["app:http", &gateway.flag()])
}

/// At its end, before anything is served.
async fn fails_with(plugin: Plugin, words: &[&str]) {
    let finished = plugin.finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{}", finished.stderr);
    for words in words {
        assert!(finished.stderr.contains(words), "no {words:?} in {}", finished.stderr);
    }
    assert!(!finished.stderr.contains("you may not") && !finished.stderr.contains("token-of"), "{}", finished.stderr);
}

async fn explains(serving: &Serving, word: &str, words: &[&str]) {
    let answer = http::get(&serving.site_url()).await;
    let seen = (answer.status.as_u16(), answer.header("svcproxy-error"));
    assert_eq!(seen, (403, word), "{}", answer.text());
    for words in words {
        assert!(answer.text().contains(words), "no {words:?} in {}", answer.text());
    }
    assert!(!answer.text().contains("create role"), "{}", answer.text());
}

async fn credentials_that_do_not_arrive(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let drops = "proxy_set_header Authorization \"\";";
    let title = "did not see your credentials and took you for system:anonymous";
    let why = "something between here and it drops the Authorization header";
    let everywhere = Gateway::start(cluster, &[("/", drops)]).await;
    fails_with(run_by(cluster, &namespace, cluster.admin(), &everywhere), &[title, why]).await;
    let plugin = run_by(cluster, &namespace, cluster.admin(), &everywhere).args(["--as=jane"]);
    fails_with(plugin, &[title, why]).await;
    let later = Gateway::start(cluster, &[("/", UPGRADES), (SERVICE_PROXY, drops)]).await;
    let serving = run_by(cluster, &namespace, cluster.admin(), &later).serve().await;
    explains(&serving, "credentials-unseen", &[title, why, &later.url()]).await;
    look_at(cluster, &serving.site_url(), "The API server did not see your credentials").await;
    serving.stop().await;
}

/// A gateway speaks TLS itself, so nobody behind it sees a certificate.
async fn a_certificate_that_does_not_arrive(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let user = cluster.user_with(Login::Certificate);
    let gateway = Gateway::start(cluster, &[("/", "")]).await;
    let words = ["did not see your credentials", "ends TLS, so that no client certificate arrives"];
    fails_with(run_by(cluster, &namespace, &user, &gateway), &words).await;
}

async fn impersonation_that_does_not_arrive(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let gateway = Gateway::start(cluster, &[("/", "proxy_set_header Impersonate-User \"\";")]).await;
    let [user, stranger] = [cluster.user(), cluster.user()];
    namespace.grant(&user, json!([{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}])).await;
    let run = |user: &User| run_by(cluster, &namespace, user, &gateway).args(["--as=jane"]);
    let title = |user: &User| format!("did not see that you act as jane and took you for {}", user.name());
    let why = "drops the Impersonate-* headers";
    fails_with(run(&stranger), &[&title(&stranger), why]).await;
    let serving = run(&user).serve().await;
    explains(&serving, "impersonation-unseen", &[&title(&user), why]).await;
    look_at(cluster, &serving.site_url(), "The API server did not see that you act as jane").await;
    serving.stop().await;
    // Who may not impersonate is told that.
    let serving =
        Plugin::new(cluster, &user.kubeconfig(namespace.name())).args(["app:http", "--as=jane"]).serve().await;
    let answer = http::get(&serving.site_url()).await;
    assert_eq!(answer.header("svcproxy-error"), "forbidden", "{}", answer.text());
    assert!(answer.text().starts_with("You may not act as somebody else"), "{}", answer.text());
    assert!(!answer.text().contains("create role"), "{}", answer.text());
    let plugin = Plugin::new(cluster, &stranger.kubeconfig(namespace.name())).args(["app", "--as=jane", "-A"]);
    let finished = plugin.finish().await;
    assert!(finished.stderr.contains("may not act as somebody else"), "{}", finished.stderr);
    serving.stop().await;
}

async fn web_sockets_that_are_cut_after_a_time(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let balancer = balancer_with_limit(Duration::from_secs(7)).await;
    let server = format!("--server=https://{balancer}");
    let serving = serve(cluster, &namespace, &["app", &server, "--tls-server-name=localhost"]).await;
    let words = "app: WebSockets are cut 7 s after they begin, by something between here and the API server";
    for _ in 0..3 {
        open(&serving, "/socket").await.talk_until_cut(Duration::from_secs(1)).await;
    }
    serving.until_stderr(words).await;
    said_once(&serving, words);
    assert_eq!(http::get(&serving.site_url()).await.status, StatusCode::OK, "requests get over it");
    serving.stop().await;
}

/// A load balancer before the API server that ends each connection after `life`, whatever passes.
async fn balancer_with_limit(life: Duration) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut api = TcpStream::connect(Cluster::authority_of_url()).await.unwrap();
                let _ = timeout(life, copy_bidirectional(&mut client, &mut api)).await; // either may go before
            });
        }
    });
    address
}

/// The API server passes any upgrade on, and the node sees one that it does not know.
async fn port_forwards_that_pass_in_no_way(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let other = "proxy_set_header Upgrade other; proxy_set_header Connection upgrade;";
    let gateway = Gateway::start(cluster, &[("/", UPGRADES), ("~ /portforward", other)]).await;
    for (via, path) in [("port-forward", ""), ("auto", "a%2Fb")] {
        let serving = serve(cluster, &namespace, &["app", "--via", via, &gateway.flag()]).await;
        let answer = http::get(&format!("{}{path}", serving.site_url())).await;
        let seen = (answer.status, answer.header("svcproxy-error"));
        assert_eq!(seen, (StatusCode::NOT_IMPLEMENTED, "no-port-forward"), "{via}: {}", answer.text());
        for words in ["offers no port-forward", "port-forward svc/app"] {
            assert!(answer.text().contains(words), "no {words:?} in {}", answer.text());
        }
        serving.stop().await;
    }
}

/// Its session is neither the page's nor the app's business.
async fn cookies_of_a_gateway(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    backend
        .answer("/login", Canned { headers: vec![("set-cookie".into(), "own=1; Path=/".into())], ..Canned::default() });
    let session = "add_header Set-Cookie \"gate=secret; Path=/; HttpOnly\" always;";
    let gateway = Gateway::start(cluster, &[("/", session)]).await;
    let serving = serve(cluster, &namespace, &["app", &gateway.flag(), "--via=service-proxy"]).await;
    let answer = http::get(&format!("{}login", serving.site_url())).await;
    let set: Vec<&str> = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert!(set.len() == 1 && set[0].starts_with("own=1"), "{set:?}");
    let asked = ::http::Request::builder().header("cookie", "own=1; gate=secret");
    let seen = http::send(&format!("{}page", serving.site_url()), asked).await.json()["headers"].to_string();
    assert!(seen.contains(r#"["cookie","own=1"]"#) && !seen.contains("secret"), "{seen}");
}
