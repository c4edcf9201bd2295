//! The main job: a Service is found, its computed proxy URL is served, and the app behind it answers.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Plugin, assert_shows_nginx, default_port, nginx_in, origin_of, proxy_right, serve};
use support::cluster::{Cluster, Namespace, Nginx, Pod, backend_in};
use support::{Peer, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        every_spelling_shows_nginx,
        a_port_without_a_name,
        a_headless_service,
        the_line_of_the_kubectl_book,
        the_same_with_the_proxy_right_alone,
        methods_and_bodies_arrive_unchanged,
        a_part_of_a_file,
        a_web_socket_through_nginx,
        events_come_one_by_one,
        another_pod_takes_over,
        open_already,
    ]
}

async fn every_spelling_shows_nginx(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let spellings: [(&[&str], &str); 16] = [
        (&["nginx:http"], "nginx:http"),
        (&["svc/nginx:http"], "nginx:http"),
        (&["nginx:80"], "nginx:80"),
        (&["nginx", "--svc-port=http"], "nginx:http"),
        (&["nginx", "--svc-port=80"], "nginx:80"),
        (&["nginx", "--svc-port=80", "--scheme=http"], "http:nginx:80"),
        (&["nginx:https"], "https:nginx:https"),
        (&["nginx:443"], "https:nginx:https"),
        (&["https:nginx:443"], "https:nginx:443"),
        (&["https:nginx:https"], "https:nginx:https"),
        (&["https:nginx:"], "https:nginx:https"),
        (&["ngi", "--svc-port=80"], "nginx:http"),
        (&["nginx.NAMESPACE:80", "-n", "default"], "nginx:80"),
        (&["http://nginx.NAMESPACE.svc.cluster.local/", "-n", "default"], "nginx:http"),
        (&["https://nginx.NAMESPACE.svc/", "-n", "default"], "https:nginx:https"),
        (
            &["https://10.77.0.1:6443/api/v1/namespaces/NAMESPACE/services/nginx:http/proxy/", "-n", "default"],
            "nginx:http",
        ),
    ];
    join_all(spellings.iter().map(|(arguments, id)| spelling_shows_nginx(cluster, &namespace, arguments, id))).await;
}

async fn spelling_shows_nginx(cluster: &Cluster, namespace: &Namespace, arguments: &[&str], id: &str) {
    let arguments: Vec<String> =
        arguments.iter().map(|argument| argument.replace("NAMESPACE", namespace.name())).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let serving = serve(cluster, namespace, &arguments).await;
    let url = serving.proxy_url();
    assert!(url.ends_with(&format!("{}/", namespace.proxy_path(id))), "{arguments:?}: {url} is not that of {id}");
    assert_shows_nginx(&url).await;
    serving.stop().await;
}

async fn a_port_without_a_name(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let nginx = Nginx::start(cluster).await;
    namespace.expose("nginx", nginx.ip(), json!([{"port": 80, "targetPort": Nginx::HTTP}])).await;
    for spelling in ["nginx", "nginx:80"] {
        let serving = serve(cluster, &namespace, &[spelling]).await;
        assert!(serving.proxy_url().ends_with(&format!("/services/{spelling}/proxy/")), "{}", serving.proxy_url());
        assert_shows_nginx(&serving.proxy_url()).await;
    }
}

async fn a_headless_service(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let nginx = nginx_in(cluster, &namespace).await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "headless"}, "spec": {
        "clusterIP": "None", "selector": {"app": "nginx"},
        "ports": [{"name": "web", "port": Nginx::HTTP}],
    }});
    namespace.create(service).await;
    namespace.until_endpoints("headless", 1).await;
    let serving = serve(cluster, &namespace, &["headless"]).await;
    assert_shows_nginx(&serving.proxy_url()).await;
    drop(nginx);
}

const BOOK: &str = "http://127.0.0.1:8001/api/v1/namespaces/default/services/nginx/proxy/";

/// `kubectl svcproxy nginx` as a person types it, and then the line of the kubectl book, word for word.
async fn the_line_of_the_kubectl_book(cluster: &'static Cluster) {
    let _port = default_port().await;
    let namespace = cluster.existing_namespace("default");
    let nginx = Nginx::start(cluster).await;
    namespace.expose("nginx", nginx.ip(), json!([{"name": "http", "port": 80, "targetPort": Nginx::HTTP}])).await;
    let kubeconfig = cluster.admin().kubeconfig("default");
    let serving = Plugin::new(cluster, &kubeconfig).plain().args(["nginx"]).serve().await;
    let line = &serving.ready_lines()[0];
    let printed = line.split_whitespace().find(|word| word.starts_with("http://")).expect("a URL is printed");
    assert_eq!(printed, BOOK.replace("/nginx/", "/nginx:http/"), "{line}");
    assert_shows_nginx(printed).await;
    assert_shows_nginx(BOOK).await;
    assert_eq!(serving.stop().await.stdout.lines().count(), 1);
    the_book_with_the_proxy_right_alone(cluster, &namespace).await;
    cluster.api().delete(&format!("{}/nginx", namespace.path("Service"))).await;
    namespace.delete_pod("nginx-0").await;
}

async fn the_book_with_the_proxy_right_alone(cluster: &Cluster, namespace: &Namespace) {
    let user = cluster.user();
    namespace.grant(&user, proxy_right("nginx:http", &["get"])).await;
    let kubeconfig = user.kubeconfig("default");
    let serving = Plugin::new(cluster, &kubeconfig).plain().args(["nginx:http"]).serve().await;
    assert_shows_nginx(BOOK).await;
    serving.stop().await;
}

async fn the_same_with_the_proxy_right_alone(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    for id in ["nginx:http", "nginx:80", "https:nginx:443"] {
        let user = cluster.user();
        namespace.grant(&user, proxy_right(id, &["get"])).await;
        let kubeconfig = user.kubeconfig(namespace.name());
        let serving = Plugin::new(cluster, &kubeconfig).args([id]).serve().await;
        assert_shows_nginx(&serving.proxy_url()).await;
        serving.stop().await;
    }
}

async fn methods_and_bodies_arrive_unchanged(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["nginx:http"]).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let url = format!("{}app/echo?x=1;y=2&z=%zz&d=%20+", serving.proxy_url());
        let length = if method == "GET" { 0 } else { 100_000 };
        let request = ::http::Request::builder().method(method).header("x-mine", "a b");
        let answer = http::send_body(&url, request, vec![b'x'; length]).await;
        let seen = answer.json();
        assert_eq!(seen["method"], method, "{seen}");
        assert_eq!(seen["target"], "/echo?x=1;y=2&z=%zz&d=%20+");
        assert_eq!(seen["length"], length);
        assert!(seen["headers"].as_array().unwrap().contains(&json!(["x-mine", "a b"])), "{seen}");
    }
    let head = http::send(&serving.proxy_url(), ::http::Request::builder().method("HEAD")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    drop(nginx);
}

async fn a_part_of_a_file(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["nginx:http"]).await;
    let url = format!("{}numbers.txt", serving.proxy_url());
    let part = http::send(&url, ::http::Request::builder().header("range", "bytes=10-19")).await;
    assert_eq!((part.status.as_u16(), part.text().as_str()), (206, "10\n11\n12\n1"));
    assert!(part.header("content-range").starts_with("bytes 10-19/"), "{:?}", part.headers);
    let whole = http::get(&url).await;
    let unchanged = http::send(&url, ::http::Request::builder().header("if-none-match", whole.header("etag"))).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
}

async fn a_web_socket_through_nginx(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    for id in ["nginx:http", "https:nginx:443"] {
        let serving = serve(cluster, &namespace, &[id]).await;
        let url = format!("{}app/socket", serving.proxy_url().replace("http://", "ws://"));
        let origin = origin_of(&serving);
        let headers = [("origin", origin.as_str()), ("sec-websocket-protocol", "chat")];
        let mut peer = Peer::open(&url, &headers).await.unwrap_or_else(|answer| panic!("{id}: {answer:?}"));
        assert_eq!(peer.handshake.headers()["sec-websocket-protocol"], "chat");
        for message in ["hello".into(), "é".repeat(50_000).into(), vec![0_u8, 255, 10].into()] {
            assert_eq!(peer.exchange(Clone::clone(&message)).await, message);
        }
        peer.close().await;
    }
}

async fn events_come_one_by_one(cluster: &'static Cluster) {
    use http_body_util::BodyExt as _;
    let namespace = cluster.namespace().await;
    let nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["nginx:http"]).await;
    let request = ::http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
    let mut answer = http::stream(&format!("{}app/events/3", serving.proxy_url()), request).await;
    for number in 0..3 {
        // The backend sends the next one only when told to: whoever holds one back stops here.
        let event = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(event, format!("data: {number}\n\n"));
        nginx.backend().tick();
    }
    assert!(answer.body_mut().frame().await.is_none());
}

async fn another_pod_takes_over(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let first = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["nginx:http"]).await;
    assert_shows_nginx(&serving.proxy_url()).await;
    let second = Nginx::start(cluster).await;
    namespace
        .pod(Pod { name: "nginx-1", ip: second.ip(), labels: json!({"app": "nginx"}), ports: json!([]), ready: true })
        .await;
    namespace.until_endpoints("nginx", 2).await;
    namespace.delete_pod("nginx-0").await;
    namespace.until_endpoints("nginx", 1).await;
    drop(first);
    assert_shows_nginx(&serving.proxy_url()).await;
}

/// A port that is taken by another run that serves the very same: it is told with its URL, and the app hears nothing of that.
async fn open_already(cluster: &'static Cluster) {
    let _port = default_port().await;
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    namespace.service("other", json!([{"name": "http", "port": 80}])).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let plugin = |arguments: &[&str]| Plugin::new(cluster, &kubeconfig).plain().args(["--no-browser"]).args(arguments);
    let first = plugin(&["app", "-o", "json"]).serve().await;
    let url = first.proxy_url();
    assert!(url.starts_with("http://127.0.0.1:8001/"), "{url}");
    let said = format!("{}/app is open already at {url}", namespace.name());

    let taken = "error: 127.0.0.1:8001 is already in use";
    let finished = plugin(&["app:80", "--port=8001"]).finish().await;
    let expect = format!(
        "{taken} by another kubectl svcproxy of yours: {said}\nhint: open that URL, or choose another port with --port\n"
    );
    assert_eq!((finished.code(), finished.stderr), (1, expect));
    let finished = plugin(&["other", "--port=8001"]).finish().await;
    assert!(finished.code() == 1 && finished.stderr.starts_with(&format!("{taken}\n")), "{}", finished.stderr);

    let second = plugin(&["app:80", "-o", "json"]).serve().await;
    second.until_stderr(&said).await;
    let third = plugin(&["other", "-o", "json"]).serve().await;
    assert!(!third.stderr().contains("open already"), "{}", third.stderr());
    assert_eq!(backend.requests().len(), 0);
}
