//! What other programs of the machine, other listeners and writers of annotations and Pods try, on a Service that is open.

use std::net::TcpListener;

use serde_json::json;

use crate::harness::{Plugin, assert_shows_nginx, nginx_in, plugin, serve};
use support::cluster::{Cluster, backend_in};
use support::{eventually, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        t4_a_program_that_speaks_ipv4_by_a_socket_for_ipv6,
        t5_a_path_in_an_annotation,
        t10_bookmarks_of_the_shorter_name,
        t13_one_loopback_address_alone,
        t17_a_pods_message_on_a_terminal,
        a_command_is_let_in_where_a_token_is_asked_for,
    ]
}

/// Every program in Java does.
async fn t4_a_program_that_speaks_ipv4_by_a_socket_for_ipv6(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["nginx:http"]).await;
    let url = serving.proxy_url();
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mapped = format!("http://{}/{path}", host.replace("127.0.0.1", "[::ffff:127.0.0.1]"));
    let answer = http::curl(["--fail-with-body", "-H", &format!("Host: {host}"), &mapped]).await;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert!(answer.status.success() && text.contains("Welcome to nginx!"), "{text}");
}

/// Whoever may write annotations of a Service is a stranger.
async fn t5_a_path_in_an_annotation(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let service = format!("{}/nginx", namespace.path("Service"));
    for path in ["/../../other:http/proxy/delete?all=1", "/%252e%252e/x", "/a\nerror: forged", "/?svcproxy-token=x"] {
        cluster.api().patch(&service, &json!({"metadata": {"annotations": {"svcproxy.dev/path": path}}})).await;
        let kubeconfig = cluster.admin().kubeconfig(namespace.name());
        let finished =
            Plugin::new(cluster, &kubeconfig).plain().args(["nginx:http", "--dry-run", "-p", "0"]).finish().await;
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        let warning =
            format!("warning: annotation svcproxy.dev/path of nginx in {} is not followed: ", namespace.name());
        assert!(finished.stderr.starts_with(&warning) && finished.stderr.lines().count() == 1, "{}", finished.stderr);
        assert!(!finished.stdout.contains("page "), "{path}: {}", finished.stdout);
    }
}

/// A name with a hash of 30 bits could be another Service's.
async fn t10_bookmarks_of_the_shorter_name(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["nginx:https"]).await;
    let site = serving.site_url();
    let (label, rest) = site.trim_start_matches("http://").split_once('.').unwrap();
    assert_eq!(label.rsplit_once("--").unwrap().1.len(), 13, "{site}");
    let old = &label[..label.len() - 7];
    let request = ::http::Request::builder().header("host", format!("{old}.{}", rest.trim_end_matches('/')));
    let refused = http::send(&serving.proxy_url(), request).await;
    assert_eq!(refused.status.as_u16(), 421, "{}", refused.text());
    let said = format!("Service nginx in {} is not open here", namespace.name());
    assert!(refused.text().contains(&said) && refused.text().contains("older version"), "{}", refused.text());
    serving.stop().await;
    // The command that is said opens just that port and scheme, at the new name.
    let typed = serve(cluster, &namespace, &[&format!("http://{old}.localhost:8001/")]).await;
    assert_eq!(typed.ready()["siteUrl"].as_str().unwrap().split('.').next(), site.split('.').next());
    assert_shows_nginx(&typed.proxy_url()).await;
}

/// Chromium goes to `::1` first, for every name below `localhost`.
async fn t13_one_loopback_address_alone(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let (_stranger, port) = loop {
        let stranger = TcpListener::bind("[::1]:0").unwrap();
        let port = stranger.local_addr().unwrap().port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            break (stranger, port);
        }
    };
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let flags = ["nginx:http", "--address=127.0.0.1", "--no-browser", &format!("--port={port}")];
    let finished = Plugin::new(cluster, &kubeconfig).plain().args(flags).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    assert!(finished.stderr.contains(&format!("[::1]:{port} is already in use")), "{}", finished.stderr);

    let serving = serve(cluster, &namespace, &["nginx:http", "--address=127.0.0.1"]).await;
    assert_shows_nginx(&serving.proxy_url().replace("127.0.0.1", "[::1]")).await;
}

/// curl writes what it gets to the terminal.
async fn t17_a_pods_message_on_a_terminal(cluster: &'static Cluster) {
    const HOSTILE: &str = "back-off\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{61c}";
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    namespace.set_ready("app-0", false).await;
    namespace.until_endpoints("app", 0).await;
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": HOSTILE}});
    let container = json!({
        "name": "app", "image": "app", "imageID": "", "ready": false, "restartCount": 1, "state": waiting,
    });
    let status = format!("{}/app-0/status", namespace.path("Pod"));
    cluster.api().patch(&status, &json!({"status": {"containerStatuses": [container]}})).await;
    let is_told = async || {
        let answer = http::get(&serving.proxy_url()).await;
        answer.text().contains("back-off").then_some(answer)
    };
    let answer = eventually("the Pod's message is told", is_told).await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    let is_obeyed =
        |character: char| character.is_control() && character != '\n' || "\u{202e}\u{61c}".contains(character);
    assert!(!answer.text().contains(is_obeyed), "{:?}", answer.text());
}

async fn a_command_is_let_in_where_a_token_is_asked_for(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let command = "curl -q --silent --fail \"$SVCPROXY_URL/without\"; \
                   curl -q --silent --fail -b \"$SVCPROXY_COOKIE\" \"$SVCPROXY_URL/with\"";
    let finished = plugin(cluster, &namespace, &["app", "--require-token", "--", "sh", "-c", command]).finish().await;
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let asked = backend.requests();
    assert_eq!((asked.len(), asked[0]["target"].as_str()), (1, Some("/with")), "{asked:?}");
    assert!(!asked[0].to_string().contains("svcproxy-"), "the app is told nothing of it: {asked:?}");
}
