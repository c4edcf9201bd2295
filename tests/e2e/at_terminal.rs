//! What a person at a real pseudo-terminal sees of a real cluster while Services are served, listed and explained.

use jiff::Timestamp;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::Plugin;
use support::cluster::{Cluster, Login, Namespace, Pod, backend_in};
use support::terminal::{Size, Terminal};
use support::{Backend, ConnectProxy, Peer, eventually, http};

const WIDE: Size = (30, 140);
const CTRL_C: &str = "\x03";

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        a_long_hour_of_serving,
        what_happens_to_services_is_told_once_each,
        the_api_server_is_gone_and_back,
        credentials_are_refused_and_accepted_again,
        waiting_says_for_whom,
        a_list_fits_the_terminal,
        a_dry_run_says_whether_it_would_work,
        a_command_has_stdout_for_itself,
    ]
}

/// As a person types it, but for the browser and the port.
fn typed(cluster: &Cluster, namespace: &Namespace, arguments: &[&str]) -> Plugin {
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    Plugin::new(cluster, &kubeconfig).plain().args(["--no-browser", "--port=0"]).args(arguments)
}

/// The computed proxy URL in the line for curl.
async fn url_for_curl(terminal: &mut Terminal) -> String {
    let text = terminal.until("the URL for curl", |text| text.replace('\n', "").contains("/proxy/")).await;
    let text = text.replace('\n', "");
    let from = &text[text.find("http://127.0.0.1:").unwrap()..];
    from[..from.find("/proxy/").unwrap() + "/proxy/".len()].to_owned()
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
}

/// The block of URLs, the status line, the request log and the keys.
async fn a_long_hour_of_serving(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let mut terminal = typed(cluster, &namespace, &["app"]).in_terminal(WIDE);
    let text = terminal.until_text("app 1/1 · no request · 0 B").await;
    let row = text.lines().find(|line| line.contains(".localhost:")).unwrap_or_default();
    assert!(text.contains(&format!("context test · {}", Cluster::url())), "{text}");
    assert!(
        row.contains(&format!("{}/app", namespace.name())) && row.contains("http:80   1/1   http://app--"),
        "{text}"
    );
    let url = url_for_curl(&mut terminal).await;

    terminal.press("r");
    terminal.until_text("request log on").await;
    http::get(&format!("{url}bytes/2048?token=hunter2&x=1")).await;
    backend.answer("/gone", support::Canned { status: 503, ..support::Canned::default() });
    assert_eq!(http::get(&format!("{url}gone")).await.status, 503);
    let text = terminal.until_text("2 requests, 1 failed").await;
    assert!(text.contains("/bytes/2048?token=…&x=1") && !text.contains("hunter2"), "{text}");
    assert!(text.lines().any(|line| line.contains("GET    503")), "{text}");

    let origin = url.split("/api/").next().unwrap();
    let socket = format!("{}ws", url.replace("http://", "ws://"));
    let mut peer = Peer::open(&socket, &[("origin", origin)]).await.unwrap();
    peer.exchange(Message::binary(vec![0; 512])).await;
    terminal.until("its beginning", |text| text.contains("101 WebSocket     open")).await;
    terminal.until_text("1 WebSocket open").await;
    peer.close().await;
    terminal.until("its end", |text| !last_line(text).contains("WebSocket")).await;

    terminal.press("?");
    terminal.until_text("c clear · q quit").await;
    terminal.press("c");
    terminal.until("an empty screen", |text| !text.contains("request log")).await;
    terminal.press("q");
    assert_eq!(terminal.end().await, 0);
    let text = terminal.text();
    assert!(last_line(&text).starts_with("3 requests, 1 failed · p50 "), "{text}");
    assert!(terminal.is_given_back());
}

async fn what_happens_to_services_is_told_once_each(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    namespace.service("empty", json!([{"name": "http", "port": 80}])).await;
    let mut terminal = typed(cluster, &namespace, &["app", "empty"]).in_terminal(WIDE);
    terminal.until_text("app 1/1 · empty 0/0").await;
    namespace.set_ready("app-0", false).await;
    terminal.until_text("app 0/1 · empty 0/0").await;
    namespace.set_ready("app-0", true).await;
    terminal.until_text("app 1/1 · empty 0/0").await;
    let service = format!("{}/app", namespace.path("Service"));
    cluster.api().delete(&service).await;
    terminal.until_text("has been deleted").await;
    namespace.service("app", json!([{"name": "http", "port": 8080}])).await;
    let text = terminal.until_text("has changed its ports").await;
    let place = format!("app in {}", namespace.name());
    for told in ["has been deleted", "is there again", "has changed its ports"] {
        let line = format!("{place} {told}");
        assert_eq!(text.lines().filter(|shown| shown.contains(&line)).count(), 1, "{line}: {text}");
    }
    terminal.press(CTRL_C);
    assert_eq!(terminal.end().await, 0);
}

async fn the_api_server_is_gone_and_back(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let api_server = Cluster::authority_of_url().parse().unwrap();
    let way = ConnectProxy::start(api_server).await;
    let mut terminal = typed(cluster, &namespace, &["app"]).env("HTTPS_PROXY", way.url()).in_terminal(WIDE);
    terminal.until_text("app 1/1 · no request").await;
    let url = url_for_curl(&mut terminal).await;
    let address = way.address();
    drop(way);
    terminal.until_text("the API server cannot be reached: ").await;
    let text = terminal.until("how long", |text| last_line(text).contains("API server unreachable for ")).await;
    assert!(!last_line(&text).contains("1/1"), "{text}");
    let _way = ConnectProxy::start_at(address, api_server).await;
    assert_eq!(http::get(&url).await.status, 200);
    let text = terminal.until_text("the API server is reached again, after ").await;
    assert_eq!(text.matches("the API server cannot be reached").count(), 1, "{text}");
    terminal.until("the endpoints again", |text| last_line(text).starts_with("app 1/1 ·")).await;
    terminal.press(CTRL_C);
    assert_eq!(terminal.end().await, 0);
}

/// A login that ends while something is open, and the one after it.
async fn credentials_are_refused_and_accepted_again(cluster: &'static Cluster) {
    const LATER: Option<&str> = Some("2099-01-01T00:00:00Z");
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let user = cluster.user_with(Login::Exec);
    namespace.bind(&user, "edit").await;
    let kubeconfig = user.kubeconfig(namespace.name());
    user.set_credential(user.token(), Some(&Timestamp::now().to_string()));
    let plugin = Plugin::new(cluster, &kubeconfig).plain().args(["--no-browser", "--port=0", "app"]);
    let mut terminal = plugin.in_terminal(WIDE);
    terminal.until_text("no request · 0 B").await;
    let url = url_for_curl(&mut terminal).await;

    user.set_credential("no-such-token", LATER);
    let refused = async || (http::get(&url).await.status != 200).then_some(());
    eventually("a refusal", refused).await;
    let text = terminal.until_text("what is open cannot be used until you have logged in again").await;
    assert!(!text.contains("no-such-token"), "{text}");
    terminal.until("how long", |text| last_line(text).contains("credentials refused for ")).await;

    user.set_credential(user.token(), LATER);
    eventually("an answer", async || (http::get(&url).await.status == 200).then_some(())).await;
    let text = terminal.until_text("the credentials are accepted again, after ").await;
    assert_eq!(text.matches("until you have logged in again").count(), 1, "{text}");
    terminal.press(CTRL_C);
    assert_eq!(terminal.end().await, 0);
}

async fn waiting_says_for_whom(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("app", json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    let mut terminal = typed(cluster, &namespace, &["app", "--wait"]).in_terminal(WIDE);
    let text = terminal.until_text("waiting").await;
    assert!(last_line(&text).contains("app"), "{text}");
    let backend = Backend::start(cluster.pod_address(), 8080).await;
    let (labels, ports) = (json!({"app": "app"}), json!([]));
    namespace.pod(Pod { name: "app-0", ip: backend.ip(), labels, ports, ready: true }).await;
    let text = terminal.until_text("app 1/1 · no request").await;
    assert!(!text.contains("waiting for"), "the line is taken away: {text}");
    terminal.press("q");
    assert_eq!(terminal.end().await, 0);
}

async fn a_list_fits_the_terminal(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let ports =
        json!([{"name": "metrics", "port": 9090}, {"name": "http", "port": 80}, {"name": "amqp", "port": 5672}]);
    namespace.service("a-service-with-quite-a-long-name", ports).await;
    let list = |arguments: &[&str]| {
        let kubeconfig = cluster.admin().kubeconfig(namespace.name());
        Plugin::new(cluster, &kubeconfig).plain().args(["--list"]).args(arguments)
    };
    let mut terminal = list(&[]).in_terminal((30, 100));
    assert_eq!(terminal.end().await, 0);
    let text = terminal.text();
    assert!(text.lines().next().unwrap().trim_end().ends_with("PROXY URL"), "{text}");
    assert_eq!(text.trim_end().lines().count(), 1 + 3, "a line each: {text}");
    assert!(text.contains("http:80*") || text.contains("http:80 *"), "the port that would be taken is marked: {text}");
    assert!(
        text.contains("amqp:5672") && text.lines().any(|line| line.contains("5672") && line.contains(" amqp ")),
        "{text}"
    );
    let piped = list(&[]).finish().await;
    assert!(piped.stdout.contains(&namespace.proxy_path("a-service-with-quite-a-long-name:http")), "{}", piped.stdout);
}

async fn a_dry_run_says_whether_it_would_work(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let mut terminal = typed(cluster, &namespace, &["app", "--dry-run"]).in_terminal(WIDE);
    assert_eq!(terminal.end().await, 0);
    let text = terminal.text();
    for said in ["context   test", "right     yes", "endpoints 1 of 1 ready"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let user = cluster.user();
    namespace.bind(&user, "view").await;
    let kubeconfig = user.kubeconfig(namespace.name());
    let run = Plugin::new(cluster, &kubeconfig).plain().args(["app", "--dry-run"]).finish().await;
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert!(run.stdout.contains("right     no") && run.stdout.contains("kubectl create role"), "{}", run.stdout);
}

async fn a_command_has_stdout_for_itself(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    namespace
        .create(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "app-too"},
            "spec": {"selector": {"app": "app"}, "ports": ports},
        }))
        .await;
    namespace.until_endpoints("app-too", 1).await;
    let script = "for url in \"$SVCPROXY_URL\" \"$SVCPROXY_URL_APP\" \"$SVCPROXY_URL_APP_TOO\"; do \
                  curl -q --silent --output /dev/null --write-out '%{http_code} ' \"$url/bytes/1\"; done";
    let run = typed(cluster, &namespace, &["app", "app-too", "--", "sh", "-c", script]).finish().await;
    assert_eq!((run.code(), &run.stdout[..]), (0, "200 200 200 "), "{}", run.stderr);
    let run = typed(cluster, &namespace, &["app", "--", "no-such-program"]).finish().await;
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("no-such-program") && !run.stderr.contains("/proxy/"), "{}", run.stderr);
}
