//! What becomes of a path on its way through the API server's service proxy, by `--via service-proxy`.

use crate::harness::serve;
use support::cluster::{Cluster, backend_in};
use support::http;

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        paths_arrive_as_the_api_server_can_carry_them,
        an_encoded_slash_is_not_carried,
        dot_segments_never_leave,
        the_bare_proxy_path
    ]
}

/// Asked for below the proxy path, and what the Pod sees.
const CARRIED: [(&str, &str); 21] = [
    ("/", "/"),
    ("/a/", "/a/"),
    ("/a//", "/a/"),
    ("/a//b", "/a/b"),
    ("//a", "/a"),
    ("/a%252Fb", "/a%252Fb"),
    ("/a%3Bb", "/a;b"),
    ("/a;b", "/a;b"),
    ("/a\\b", "/a%5Cb"),
    ("/a%5Cb", "/a%5Cb"),
    ("/a!$&'()*+,=:@b", "/a%21$&%27%28%29%2A+,=:@b"),
    ("/a%3Fb", "/a%3Fb"),
    ("/a%23b", "/a%23b"),
    ("/a%20b", "/a%20b"),
    ("/a%25b", "/a%25b"),
    ("/%C3%A9%E4%B8%96", "/%C3%A9%E4%B8%96"),
    ("/..a/b../...", "/..a/b../..."),
    ("/a?x=1;y=2&z=%zz", "/a?x=1;y=2&z=%zz"),
    ("/a?", "/a"),
    ("/a?/b//c/../%2F", "/a?/b//c/../%2F"),
    ("/a?path=/other", "/a?path=/other"),
];

async fn paths_arrive_as_the_api_server_can_carry_them(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app", "--via=service-proxy"]).await;
    let mut differences = Vec::new();
    for (asked, expected) in CARRIED {
        let answer = ask(&serving.proxy_url(), asked).await;
        let seen = backend.requests().pop().map(|request| request["target"].as_str().unwrap().to_owned());
        if seen.as_deref() != Some(expected) || !answer.starts_with("HTTP/1.1 200 ") {
            differences.push(format!("{asked}: {seen:?} instead of {expected:?}, answer {answer}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The API server would ask for another path, `/a/b`.
async fn an_encoded_slash_is_not_carried(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app", "--via=service-proxy"]).await;
    let answer = ask(&serving.proxy_url(), "/a%2Fb").await;
    assert!(answer.starts_with("HTTP/1.1 501 ") && answer.contains("svcproxy-error: only-by-port-forward"), "{answer}");
    assert_eq!(backend.requests().len(), 0);
}

async fn dot_segments_never_leave(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app", "--via=service-proxy"]).await;
    let asked =
        ["/a/./b", "/a/../b", "/%2e%2e/x", "/../../x", "/..%2fx", "/%2e%2e%2fsecrets", "/..;/x", "/a%00b", "/%zz"];
    for asked in asked {
        let answer = ask(&serving.proxy_url(), asked).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{asked}: {answer}");
    }
    assert_eq!(backend.requests().len(), 0);
}

async fn the_bare_proxy_path(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app", "--via=service-proxy"]).await;
    let bare = serving.proxy_url().trim_end_matches('/').to_owned();
    let output = http::curl(["--location", "--fail-with-body", &format!("{bare}?x=1")]).await;
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && seen.contains("\"target\":\"/?x=1\""), "{seen}");
}

/// The answer to GET of a path below the computed proxy URL, sent as it is.
async fn ask(proxy_url: &str, path: &str) -> String {
    let host = proxy_url.trim_start_matches("http://").split('/').next().unwrap();
    let prefix = proxy_url.trim_start_matches("http://").trim_start_matches(host).trim_end_matches('/');
    let request = format!("GET {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    http::raw(proxy_url, request.as_bytes()).await
}
