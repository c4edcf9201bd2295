//! What a user is told, by the program and through it, when a Service cannot be reached.

use serde_json::json;

use crate::cluster::{Cluster, Pod};
use crate::harness::{Nginx, assert_shows_nginx, backend_in, http, nginx_in, plugin, proxy_right, serve};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        no_pods_until_there_are,
        an_unready_pod_until_it_is_ready,
        a_port_that_the_service_has_not,
        https_where_http_is_spoken,
        http_where_https_is_spoken,
        a_pod_that_refuses,
        services_that_cannot_be_opened,
        a_service_that_is_not_there,
        a_token_that_is_not_known,
        the_wrong_authority,
    ]
}

/// The status is the API server's own, and a program is told in one word what curl is told in a text.
fn assert_explained(answer: &http::Answer, status: u16, word: &str, text: &str) {
    assert_eq!((answer.status.as_u16(), answer.header("svcproxy-error")), (status, word), "{}", answer.text());
    assert!(answer.text().contains(text), "{}", answer.text());
}

async fn no_pods_until_there_are(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("app", json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    namespace.until_endpoints("app", 0).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    assert_explained(&http::get(&serving.proxy_url()).await, 503, "no-ready-endpoint", "app has no Pods");

    let backend = crate::harness::Backend::start(cluster.pod_address(), 8080).await;
    let (labels, ports) = (json!({"app": "app"}), json!([]));
    namespace.pod(Pod { name: "app-0", ip: backend.ip(), labels, ports, ready: true }).await;
    namespace.until_endpoints("app", 1).await;
    assert_eq!(http::get(&serving.proxy_url()).await.status.as_u16(), 200);
}

async fn an_unready_pod_until_it_is_ready(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    namespace.set_ready("app-0", false).await;
    namespace.until_endpoints("app", 0).await;
    assert_explained(&http::get(&serving.proxy_url()).await, 503, "no-ready-endpoint", "No Pod of app is ready");
    namespace.set_ready("app-0", true).await;
    namespace.until_endpoints("app", 1).await;
    assert_eq!(http::get(&serving.proxy_url()).await.status.as_u16(), 200);
}

async fn a_port_that_the_service_has_not(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let finished = plugin(cluster, &namespace, &["nginx:81"]).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    assert!(finished.stderr.contains("Service \"nginx\" has no port 81"), "{}", finished.stderr);
    assert!(finished.stderr.contains("http 80, https 443"), "{}", finished.stderr);

    // Whoever may not read the Service learns it from the API server.
    let user = cluster.user();
    namespace.grant(&user, proxy_right("nginx:81", &["get"])).await;
    let kubeconfig = user.kubeconfig(namespace.name());
    let serving = crate::harness::Plugin::new(cluster, &kubeconfig).args(["nginx:81"]).serve().await;
    assert_explained(&http::get(&serving.proxy_url()).await, 503, "no-such-port", "81");
}

async fn https_where_http_is_spoken(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["https:nginx:80"]).await;
    assert_shows_nginx(&serving.proxy_url()).await;
    serving.until_stderr("nginx speaks http, not https").await;
}

async fn http_where_https_is_spoken(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["http:nginx:443"]).await;
    assert_shows_nginx(&serving.proxy_url()).await;
    serving.until_stderr("nginx speaks https, not http").await;
}

async fn a_pod_that_refuses(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let nobody = cluster.pod_address();
    namespace.expose("app", nobody, json!([{"name": "http", "port": 80, "targetPort": Nginx::HTTP}])).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let refused = format!("dial tcp {nobody}:{}: connect: connection refused", Nginx::HTTP);
    assert_explained(&http::get(&serving.proxy_url()).await, 503, "connection-refused", &refused);
}

async fn services_that_cannot_be_opened(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let service = |name: &str, spec| json!({"kind": "Service", "metadata": {"name": name}, "spec": spec});
    namespace.create(service("elsewhere", json!({"type": "ExternalName", "externalName": "www.example.org"}))).await;
    namespace
        .create(service(
            "dns",
            json!({"selector": {"app": "dns"}, "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}),
        ))
        .await;
    namespace.create(service("handmade", json!({"ports": [{"port": 80}]}))).await;
    for (arguments, words) in [
        (&["elsewhere"][..], "www.example.org"),
        (&["dns"], "has no TCP port"),
        (&["handmade"], "none of its endpoints is a Pod"),
        (&["kubernetes", "-n", "default"], "is the API server itself"),
    ] {
        let finished = plugin(cluster, &namespace, arguments).finish().await;
        assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(finished.stderr.contains(words), "{arguments:?}: {}", finished.stderr);
    }
}

async fn a_service_that_is_not_there(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let finished = plugin(cluster, &namespace, &["nignx"]).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    let place = format!("no Service \"nignx\" in namespace \"{}\"", namespace.name());
    assert!(finished.stderr.contains(&place) && finished.stderr.contains("nginx"), "{}", finished.stderr);
}

async fn a_token_that_is_not_known(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let finished = plugin(cluster, &namespace, &["nginx", "--token=nobody's"]).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    assert!(finished.stderr.contains("does not accept these credentials"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("nobody's"), "{}", finished.stderr);
}

async fn the_wrong_authority(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let file = cluster.scratch().join("other.crt");
    std::fs::write(&file, crate::rig::Authority::new().pem()).unwrap();
    let argument = format!("--certificate-authority={}", file.display());
    let finished = plugin(cluster, &namespace, &["nginx", &argument]).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    assert!(finished.stderr.contains("certificate") && finished.stderr.contains("10.77.0.1"), "{}", finished.stderr);
}
