//! Headers, both ways.

use super::script::{Case, Who, answer};

pub(crate) fn cases() -> Vec<Case> {
    [of_requests(), of_answers(), of_errors()].concat()
}

fn of_requests() -> Vec<Case> {
    let kept = |name: &'static str, value: &'static str| {
        Case::new(format!("{name} reaches the Pod"), "GET /").header(name, value).sees_header(name, &[value])
    };
    let dropped = |name: &'static str, value: &'static str| {
        Case::new(format!("{name} does not reach the Pod"), "GET /").header(name, value).sees_header(name, &[])
    };
    vec![
        Case::new("Host is passed on", "GET /").sees_header("host", &["{HOST}"]),
        Case::new("any Host will do", "GET /")
            .header("Host", "x.localhost:8001")
            .sees_header("host", &["x.localhost:8001"]),
        Case::new("the credential is taken out", "GET /").sees_header("authorization", &[]),
        kept("Cookie", "a=b; c=d"),
        kept("Origin", "http://x.localhost:8001"),
        kept("Referer", "http://x.localhost:8001/a?b"),
        kept("Sec-Fetch-Mode", "navigate"),
        kept("If-None-Match", "\"x\""),
        kept("Range", "bytes=0-1"),
        kept("Accept", "text/html"),
        kept("X-Real-Ip", "1.2.3.4"),
        kept("X-Forwarded-Host", "evil"),
        kept("X-Forwarded-Proto", "https"),
        kept("Forwarded", "for=1.2.3.4"),
        kept("TE", "trailers"),
        dropped("TE", "gzip"),
        dropped("X-Remote-User", "root"),
        dropped("X-Remote-Group", "system:masters"),
        dropped("X-Remote-Extra-Scopes", "all"),
        dropped("Keep-Alive", "timeout=5"),
        dropped("Proxy-Connection", "keep-alive"),
        dropped("Proxy-Authorization", "Basic YTpi"),
        dropped("Upgrade", "h2c"),
        Case::new("what Connection names is dropped", "GET /")
            .header("Connection", "keep-alive, X-Secret")
            .header("X-Secret", "x")
            .sees_header("x-secret", &[])
            .sees_header("connection", &[]),
        Case::new("X-Forwarded-For grows", "GET /")
            .header("X-Forwarded-For", "1.2.3.4")
            .header("X-Forwarded-For", "5.6.7.8")
            .sees_header("x-forwarded-for", &["1.2.3.4, 5.6.7.8, {CLIENT}"]),
        Case::new("X-Forwarded-Uri is overwritten", "GET /a")
            .header("X-Forwarded-Uri", "/evil")
            .sees_header("x-forwarded-uri", &["{P}/a"]),
        Case::new("gzip is asked for", "GET /").sees_header("accept-encoding", &["gzip"]),
        Case::new("gzip is not asked for with Range", "GET /")
            .header("Range", "bytes=0-1")
            .sees_header("accept-encoding", &[]),
        Case::new("gzip is not asked for by HEAD", "HEAD /").sees_header("accept-encoding", &[]),
        Case::new("Accept-Encoding is passed on", "GET /")
            .header("Accept-Encoding", "br, identity")
            .sees_header("accept-encoding", &["br, identity"]),
        Case::new("no User-Agent is added", "GET /").sees_header("user-agent", &[]),
        Case::new("Audit-Id is the client's", "GET /").header("Audit-Id", "mine").gets_header("audit-id", &["mine"]),
        Case::new("impersonation is acted on", "GET /")
            .header("Impersonate-User", "somebody")
            .sees_nothing()
            .gets(403)
            .gets_header("x-content-type-options", &["nosniff"]),
        Case::new("impersonation is taken out", "GET /")
            .header("Impersonate-User", "admin")
            .header("Impersonate-Group", "system:masters")
            .sees_header("impersonate-user", &[])
            .sees_header("impersonate-group", &[]),
        Case::new("only a user can be impersonated alone", "GET /")
            .header("Impersonate-Group", "system:masters")
            .sees_nothing()
            .gets(400),
    ]
}

fn of_answers() -> Vec<Case> {
    let kept = |name: &'static str, value: &'static str| {
        Case::new(format!("{name} reaches the client"), "GET /")
            .answer(answer("200 OK", &[&format!("{name}: {value}")], "ok"))
            .gets_header(name, &[value])
    };
    let dropped = |name: &'static str, value: &'static str| {
        Case::new(format!("{name} does not reach the client"), "GET /")
            .answer(answer("200 OK", &[&format!("{name}: {value}")], "ok"))
            .gets_header(name, &[])
    };
    vec![
        Case::new("the API server adds two headers", "GET /")
            .gets_some("audit-id")
            .gets_header("cache-control", &["no-cache, private"]),
        Case::new("Cache-Control comes twice", "GET /")
            .answer(answer("200 OK", &["Cache-Control: public, max-age=60"], "ok"))
            .gets_header("cache-control", &["no-cache, private", "public, max-age=60"]),
        Case::new("cookies stay", "GET /")
            .answer(answer(
                "200 OK",
                &["Set-Cookie: a=b; Path=/; Domain=x", "Set-Cookie: __Host-c=d; Secure; Path=/"],
                "ok",
            ))
            .gets_header("set-cookie", &["a=b; Path=/; Domain=x", "__Host-c=d; Secure; Path=/"]),
        kept("Content-Location", "/x"),
        kept("Refresh", "5; url=/x"),
        kept("Link", "</x>; rel=preload"),
        kept("Content-Security-Policy", "default-src 'self'"),
        kept("X-Frame-Options", "DENY"),
        kept("Strict-Transport-Security", "max-age=1"),
        kept("Alt-Svc", "h3=\":443\""),
        kept("Access-Control-Expose-Headers", "x"),
        kept("Access-Control-Max-Age", "5"),
        kept("WWW-Authenticate", "Basic realm=\"x\""),
        dropped("Access-Control-Allow-Origin", "*"),
        dropped("Access-Control-Allow-Credentials", "true"),
        dropped("Access-Control-Allow-Headers", "x"),
        dropped("Access-Control-Allow-Methods", "PUT"),
        dropped("Keep-Alive", "timeout=5"),
        dropped("Proxy-Authenticate", "Basic"),
        dropped("Upgrade", "h2c"),
        Case::new("an informational answer passes, and takes two headers along", "GET /")
            .answer([b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec(), answer("200 OK", &[], "ok")].concat())
            .gets_informational(103)
            .gets_header("audit-id", &[])
            .gets_header("cache-control", &[])
            .gets_body("ok"),
    ]
}

/// How the API server's own errors look depends on who asks.
fn of_errors() -> Vec<Case> {
    let message = "no service port 81 found for service \"named\"";
    let compact = super::script::status(503, "ServiceUnavailable", message, "");
    let indented = format!(
        "{{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {{}},\n  \"status\": \"Failure\",\n  \
         \"message\": {},\n  \"reason\": \"ServiceUnavailable\",\n  \"code\": 503\n}}",
        serde_json::to_string(message).expect("a text has JSON")
    );
    let asked = |name: &str, line: &str| Case::new(name, line).id("named:81").sees_nothing().gets(503);
    vec![
        asked("an error for a program", "GET /").gets_body(compact.clone() + "\n"),
        asked("an error for curl", "GET /").header("User-Agent", "curl/8").gets_body(indented.clone()),
        asked("an error for a browser", "GET /")
            .header("User-Agent", "Mozilla/5.0 (X11)")
            .header("Accept", "text/html,*/*;q=0.8")
            .gets_body(indented.clone()),
        asked("an error where only HTML is accepted", "GET /")
            .header("Accept", "text/html")
            .gets_body(indented.clone()),
        asked("an error asked for in lines", "GET /?pretty=true").gets_body(indented),
        asked("an error not asked for in lines", "GET /?pretty=false")
            .header("User-Agent", "curl/8")
            .gets_body(compact + "\n"),
        Case::new("a wrong token", "GET /")
            .by(Who::Nobody)
            .header("Authorization", "Bearer wrong")
            .sees_nothing()
            .gets_status(401, "Unauthorized", "Unauthorized")
            .gets_header("cache-control", &["no-cache, private"]),
    ]
}
