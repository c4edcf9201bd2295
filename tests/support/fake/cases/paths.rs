//! Paths and queries: what follows `proxy`, and what the Pod sees of it.

use super::script::Case;

/// Sent after the proxy path, seen by the Pod, `X-Forwarded-Uri`.
pub(crate) const PATHS: [(&str, &str, &str); 33] = [
    ("/", "/", "{P}/"),
    ("/a", "/a", "{P}/a"),
    ("/a/", "/a/", "{P}/a/"),
    ("/a//", "/a/", "{P}/a/a/"),
    ("//", "/", "{P}/"),
    ("/a%2Fb", "/a/b", "{P}/a/b"),
    ("/a%252Fb", "/a%252Fb", "{P}/a%252Fb"),
    ("/a//b", "/a/b", "{P}/a/b/a/b"),
    ("//a", "/a", "{P}/a"),
    ("/a/./b", "/a/b", "{P}/a/b/a/b"),
    ("/a/../b", "/b", "{P}/b"),
    ("/%2e%2e/x", "/x", "/api/v1/namespaces/{NS}/services/named:http/x"),
    ("/../../x", "/x", "/api/v1/namespaces/{NS}/services/x"),
    ("/a%3Bb", "/a;b", "{P}/a;b"),
    ("/a;b", "/a;b", "{P}/a;b"),
    ("/a\\b", "/a%5Cb", "{P}/a%5Cb"),
    ("/a%5Cb", "/a%5Cb", "{P}/a%5Cb"),
    ("/a!$&'()*+,:=@b", "/a%21$&%27%28%29%2A+,:=@b", "{P}/a%21$&%27%28%29%2A+,:=@b"),
    ("/a[b]|^{}", "/a%5Bb%5D%7C%5E%7B%7D", "{P}/a%5Bb%5D%7C%5E%7B%7D"),
    ("/a%3Fb%23c", "/a%3Fb%23c", "{P}/a%3Fb%23c"),
    ("/a%20b%25", "/a%20b%25", "{P}/a%20b%25"),
    ("/a%00b", "/a%00b", "{P}/a%00b"),
    ("/%C5%BC", "/%C5%BC", "{P}/%C5%BC"),
    ("/%c5%bc", "/%C5%BC", "{P}/%C5%BC"),
    ("/%FF", "/%FF", "{P}/%FF"),
    ("/%41~-._", "/A~-._", "{P}/A~-._"),
    ("/a?", "/a", "{P}/a"),
    ("/a?x=1;y=2&z=%zz", "/a?x=1;y=2&z=%zz", "{P}/a"),
    ("/a?next=/b//c%2F&q=a+b", "/a?next=/b//c%2F&q=a+b", "{P}/a"),
    ("/a?path=/x&timeout=soon&pretty=1", "/a?path=/x&timeout=soon&pretty=1", "{P}/a"),
    ("/?x", "/?x", "{P}/"),
    ("/a?x={}|^", "/a?x={}|^", "{P}/a"),
    ("/proxy/proxy", "/proxy/proxy", "{P}/proxy/proxy"),
];

pub(crate) fn cases() -> Vec<Case> {
    let passed = PATHS.map(|(sent, seen, uri)| {
        Case::new(format!("path {sent}"), &format!("GET {sent}"))
            .sees(&format!("GET {seen}"))
            .sees_header("x-forwarded-uri", &[uri])
            .gets_body("ok")
    });
    let bare = |line: &str, location: &str| {
        Case::new(format!("no path: {line}"), line)
            .sees_nothing()
            .gets(301)
            .gets_header("location", &[location])
            .gets_header("cache-control", &["no-cache, private"])
            .gets_header("content-length", &["0"])
    };
    let mut cases = passed.to_vec();
    cases.extend([
        bare("GET", "{P}/"),
        bare("GET ?a=%2F&b", "{P}/?a=%2F&b"),
        Case::new("no path: HEAD", "HEAD").sees_nothing().gets(301).gets_header("location", &["{P}/"]),
        Case::new("no path: POST", "POST").body("x").sees("POST /").sees_header("x-forwarded-uri", &["{P}/"]),
        Case::new("dryRun in the query", "GET /?dryRun=All").sees_nothing().gets_status(
            400,
            "BadRequest",
            "dryRun is not supported",
        ),
    ]);
    cases
}
