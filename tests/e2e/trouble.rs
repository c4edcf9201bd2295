//! What a user is told by the program itself when a Service cannot be opened, or not as it was asked for.

use serde_json::json;

use crate::harness::{assert_shows_nginx, nginx_in, plugin, serve};
use support::cluster::Cluster;

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        a_port_that_the_service_has_not,
        https_where_http_is_spoken,
        http_where_https_is_spoken,
        services_that_cannot_be_opened,
        a_service_that_is_not_there,
        a_token_that_is_not_known,
        the_wrong_authority,
        http_to_the_api_server,
    ]
}

async fn a_port_that_the_service_has_not(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let finished = plugin(cluster, &namespace, &["nginx:81"]).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    assert!(finished.stderr.contains("Service \"nginx\" has no port 81"), "{}", finished.stderr);
    assert!(finished.stderr.contains("http 80, https 443"), "{}", finished.stderr);
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
    let words = "no Service \"nignx\" in any namespace\nhint: did you mean nginx?";
    assert!(finished.stderr.contains(words), "{}", finished.stderr);
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
    std::fs::write(&file, support::Authority::new().pem()).unwrap();
    let argument = format!("--certificate-authority={}", file.display());
    let finished = plugin(cluster, &namespace, &["nginx", &argument]).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    assert!(finished.stderr.contains("certificate") && finished.stderr.contains("10.77.0.1"), "{}", finished.stderr);
}

async fn http_to_the_api_server(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let server = format!("--server={}", Cluster::url().replace("https://", "http://"));
    for arguments in [&["nginx", &server][..], &["--list", &server]] {
        let finished = plugin(cluster, &namespace, arguments).finish().await;
        assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
        let line = "error: the API server speaks https, not http\n";
        assert!(finished.stderr.starts_with(line) && finished.stderr.contains("https://?"), "{}", finished.stderr);
    }
}
