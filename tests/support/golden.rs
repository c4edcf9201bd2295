//! The whole way: what an app says, through an API server and this program, as the browser gets it. The first half of it,
//! what the API server makes of it, is in the cases of the fake; the rows are the same.
//!
//! Texts may hold `{P}` (the proxy path, without a slash at its end), `{NS}` (the namespace), `{POD}` (address and port of the
//! Pod) and `{HOST}` (host and port in the browser's address bar).

use std::io::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;

use crate::fake::cases::{LOCATIONS, MARKUP, PATHS};
use crate::{Backend, Canned, Serving, eventually, http as client};

/// An app with the Service `named`, whose port `http` is 80, opened by this program.
pub struct Stage<'a> {
    /// This program.
    pub serving: &'a Serving,
    /// The app.
    pub backend: &'a Backend,
    /// Where the API server finds it.
    pub pod: SocketAddr,
    /// Where the Service is.
    pub namespace: &'a str,
}

/// What an app answers, and what of it must arrive.
struct Row {
    name: String,
    /// Header lines.
    said: Vec<String>,
    body: Vec<u8>,
    /// All lines of these headers.
    gets: Vec<(&'static str, Vec<String>)>,
    gets_body: String,
}

/// What the API server changes for good, in `Location`: said, and what arrives. Everything else arrives as it was said.
const LOST_IN_LOCATIONS: [(&str, &str); 23] = [
    // The app's own address is the browser's.
    ("http://{POD}", "/"),
    ("http://{POD}/x?y#z", "/x?y#z"),
    ("https://{POD}/x", "/x"),
    ("http://{POD}/", "/"),
    ("//{POD}/x", "/x"),
    ("http://user@{POD}/x", "/x"),
    // The browser's host does not speak TLS.
    ("https://{HOST}/x", "/x"),
    ("https://{HOST}", "/"),
    ("https://{HOST}{P}/x", "/x"),
    ("https://user:pw@{HOST}/x", "/x"),
    // Cleaned and written anew by the API server.
    ("///x", "/x"),
    ("http:/x", "/x"),
    ("HTTP://other/x", "http://other/x"),
    ("http://other/a b", "http://other/a%20b"),
    ("/a%2Fb", "/a/b"),
    ("/a//b", "/a/b"),
    ("/a//", "/a/"),
    ("/x/../y", "/y"),
    ("/../up", "/api/v1/namespaces/{NS}/services/named:http/up"),
    ("/a/http://e.com/x", "/a/http:/e.com/x"),
    ("/\\evil.com", "/%5Cevil.com"),
    ("/x?#", "/x?"),
    ("//", ""),
];

/// The same in pages. A browser sees a difference only where links were cleaned, or character references were resolved in a
/// page that is not UTF-8.
const LOST_IN_PAGES: [(&str, &str); 22] = [
    ("<a href=\"/../up\">", "<a href=\"/api/v1/namespaces/{NS}/services/named:http/up\">"),
    ("<a href=\"/d//e/\">", "<a href=\"/d/e/\">"),
    ("<a href=\"/a b\">", "<a href=\"/a%20b\">"),
    ("<a href=\" /lead\">", "<a href=\"%20/lead\">"),
    ("<a href=\"/a%2Fb\">", "<a href=\"/a/b\">"),
    ("<a href=\"/a&quot;b\">", "<a href=\"/a%22b\">"),
    ("<a href=\"javascript:alert('/x')\">", "<a href=\"javascript:alert(&#39;/x&#39;)\">"),
    ("<a href=\"data:text/html,<b>\">", "<a href=\"data:text/html,&lt;b&gt;\">"),
    ("<a href=\"http://{POD}/x\">", "<a href=\"/x\">"),
    ("<a href=\"http://{POD}\">", "<a href=\"/\">"),
    ("<a href='/x' title='it\"s'>", "<a href=\"/x\" title=\"it&#34;s\">"),
    ("<a href=/x>", "<a href=\"/x\">"),
    ("<A HREF=/x>T</A>", "<a href=\"/x\">T</A>"),
    (
        "<iframe src=\"/x\" srcdoc=\"&lt;a href=/y>\"></iframe>",
        "<iframe src=\"/x\" srcdoc=\"&lt;a href=/y&gt;\"></iframe>",
    ),
    ("<input type=image src=\"/x\" formaction=\"/y\">", "<input type=\"image\" src=\"/x\" formaction=\"/y\">"),
    ("<HTML Lang=en>", "<html lang=\"en\">"),
    ("<input disabled>", "<input disabled=\"\">"),
    ("<svg viewBox=\"0 0 1 1\"/>", "<svg viewbox=\"0 0 1 1\"/>"),
    ("<p title=\"caf&eacute; &copy; &#38; &notanentity;\">", "<p title=\"café © &amp; &amp;notanentity;\">"),
    ("<br><br/><br />", "<br><br/><br/>"),
    // A tag without an end.
    ("text<a href=\"/x", "text"),
    ("text</a href", "text"),
];

/// Paths that are refused here, since somebody might read them as another, or the service proxy would; and how.
const REFUSED_PATHS: [(&str, u16); 6] =
    [("/a/./b", 400), ("/a/../b", 400), ("/%2e%2e/x", 400), ("/../../x", 400), ("/a%00b", 400), ("/a%2Fb", 501)];

/// A kind of document, whether it is compressed, and the answer to a browser that has it already. Of a page in gzip the API
/// server cannot pass on that nothing has changed, so it comes anew.
const RELOADS: [(&str, bool, u16); 4] =
    [("text/css", false, 304), ("text/css", true, 304), ("text/html", false, 304), ("text/html", true, 200)];

/// Plays every row; the failures in words.
pub async fn run_all(stage: &Stage<'_>) -> Vec<String> {
    let mut failures = Vec::new();
    stage.until_pods_are_known().await;
    for row in locations().into_iter().chain(pages()).chain(headers()) {
        failures.extend(stage.play(&row).await.err().map(|why| format!("{}: {why}", row.name)));
    }
    for (sent, seen, _) in PATHS {
        failures.extend(stage.walk(sent, seen).await.err().map(|why| format!("path {sent}: {why}")));
    }
    for (kind, zipped, status) in RELOADS {
        let reloaded = stage.reload(kind, zipped, status).await;
        failures.extend(reloaded.err().map(|why| format!("reload of {kind} zipped: {zipped}: {why}")));
    }
    failures
}

fn arrives<'a>(said: &'a str, lost: &[(&'a str, &'a str)]) -> &'a str {
    lost.iter().find(|(other, _)| *other == said).map_or(said, |(_, arrives)| arrives)
}

fn locations() -> Vec<Row> {
    let row = |(said, _): (&'static str, &str)| Row {
        name: format!("Location {said}"),
        said: vec![format!("location: {said}")],
        body: b"ok".to_vec(),
        gets: vec![("location", vec![unprefixed(arrives(said, &LOST_IN_LOCATIONS))])],
        gets_body: "ok".to_owned(),
    };
    LOCATIONS.map(row).into()
}

/// An app that writes the proxy path itself means its own `/`.
fn unprefixed(text: &str) -> String {
    text.replace("\"{P}/", "\"/")
        .strip_prefix("{P}/")
        .map_or_else(|| text.replace("\"{P}/", "\"/"), |rest| format!("/{rest}"))
}

fn pages() -> Vec<Row> {
    let row = |(said, _): (&str, &str), zipped: bool| {
        let mut headers = vec!["content-type: text/html; charset=utf-8".to_owned()];
        headers.extend(zipped.then(|| "content-encoding: gzip".to_owned()));
        Row {
            name: format!("page {said} zipped: {zipped}"),
            said: headers,
            body: said.as_bytes().to_vec(),
            gets: vec![("content-encoding", Vec::new())],
            gets_body: unprefixed(arrives(said, &LOST_IN_PAGES)),
        }
    };
    MARKUP.into_iter().flat_map(|markup| [row(markup, false), row(markup, true)]).collect()
}

fn headers() -> Vec<Row> {
    let row = |said: &[&str], gets: &[(&'static str, &[&str])]| Row {
        name: format!("headers {said:?}"),
        said: said.iter().map(|&line| line.to_owned()).collect(),
        body: b"{P}/x".to_vec(),
        gets: gets.iter().map(|(name, lines)| (*name, lines.iter().map(|&line| line.to_owned()).collect())).collect(),
        gets_body: "{P}/x".to_owned(),
    };
    vec![
        row(&[], &[("cache-control", &["no-cache, private"]), ("audit-id", &[])]),
        row(&["cache-control: public, max-age=60"], &[("cache-control", &["public, max-age=60"])]),
        row(&["cache-control: a", "cache-control: b"], &[("cache-control", &["a", "b"])]),
        row(&["content-location: {P}/x"], &[("content-location", &["/x"])]),
        row(&["refresh: 5; url={P}/x"], &[("refresh", &["5; url=/x"])]),
        row(&["link: <{P}/x>; rel=preload, </y>"], &[("link", &["</x>; rel=preload, </y>"])]),
        row(
            &["set-cookie: a=b; Path={P}/app; HttpOnly", "set-cookie: __Host-c=d; Secure; Path=/"],
            &[("set-cookie", &["a=b; Path=/app; HttpOnly", "__Host-c=d; Secure; Path=/"])],
        ),
        row(&["content-type: application/json", "etag: \"1\""], &[("etag", &["\"1\""])]),
        row(
            &["content-type: text/html", "etag: \"1\"", "content-md5: x"],
            &[("etag", &["W/\"1\""]), ("content-md5", &[])],
        ),
        row(&["content-type: Text/HTML"], &[("content-type", &["Text/HTML"])]),
        row(&["content-security-policy: default-src 'self'"], &[("content-security-policy", &["default-src 'self'"])]),
        row(&["digest: md5=x", "content-type: text/css"], &[("digest", &["md5=x"])]),
    ]
}

impl Stage<'_> {
    fn site(&self) -> String {
        self.serving.site_url().trim_end_matches('/').to_owned()
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{P}", &format!("/api/v1/namespaces/{}/services/named:http/proxy", self.namespace))
            .replace("{NS}", self.namespace)
            .replace("{POD}", &self.pod.to_string())
            .replace("{HOST}", self.site().trim_start_matches("http://"))
    }

    /// The watch of endpoints tells the program its Pods a moment after it is ready.
    async fn until_pods_are_known(&self) {
        let rows = locations();
        let row = rows.iter().find(|row| row.name == "Location http://{POD}").expect("there is such a row");
        eventually(&row.name, async || self.play(row).await.ok()).await;
    }

    /// Asks twice for the same, the second time as a browser does that has it.
    async fn reload(&self, kind: &str, zipped: bool, status: u16) -> Result<(), String> {
        let mut said = vec![format!("content-type: {kind}"), "etag: \"1\"".to_owned()];
        said.extend(zipped.then(|| "content-encoding: gzip".to_owned()));
        let row = Row { name: String::new(), said, body: b"<p>".to_vec(), gets: Vec::new(), gets_body: String::new() };
        self.backend.answer("/reload", self.canned(&row));
        let url = format!("{}/reload", self.site());
        let ask = || Request::builder().header("accept-encoding", "gzip, deflate, br, zstd");
        let first = client::send(&url, ask()).await;
        let again = client::send(&url, ask().header("if-none-match", first.header("etag"))).await;
        let body = if status == 304 { Bytes::new() } else { first.body.clone() };
        let is_right = first.status == 200 && again.status == status && again.body == body;
        if is_right { Ok(()) } else { Err(format!("{first:?}, and then {again:?}")) }
    }

    async fn play(&self, row: &Row) -> Result<(), String> {
        self.backend.answer("/dir/page", self.canned(row));
        let request = Request::builder().header("accept-encoding", "gzip, deflate, br, zstd");
        let answer = client::send(&format!("{}/dir/page", self.site()), request).await;
        for (name, lines) in &row.gets {
            let got: Vec<_> =
                answer.headers.get_all(*name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
            let wanted: Vec<_> = lines.iter().map(|line| self.fill(line)).collect();
            if got != wanted {
                return Err(format!("{name} {got:?} instead of {wanted:?}"));
            }
        }
        let (got, wanted) = (answer.text(), self.fill(&row.gets_body));
        if got == wanted { Ok(()) } else { Err(format!("{got:?} instead of {wanted:?}")) }
    }

    fn canned(&self, row: &Row) -> Canned {
        let headers: Vec<(String, String)> = row
            .said
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), self.fill(value)))
            .collect();
        let body = self.fill(&String::from_utf8_lossy(&row.body)).into_bytes();
        let is_zipped = headers.iter().any(|(name, _)| name == "content-encoding");
        Canned { status: 0, headers, body: if is_zipped { gzip(&body) } else { body } }
    }

    /// What the app sees of a path, and of the same path when the API server tells it.
    async fn walk(&self, sent: &str, seen: &str) -> Result<(), String> {
        let host = self.site().trim_start_matches("http://").to_owned();
        let request = format!("GET {sent} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let before = self.backend.requests().len();
        let answer = client::raw(&self.site(), request.as_bytes()).await;
        let arrived = self.backend.requests().split_off(before);
        if let Some((_, status)) = REFUSED_PATHS.iter().find(|(path, _)| *path == sent) {
            let is_refused = answer.starts_with(&format!("HTTP/1.1 {status} ")) && arrived.is_empty();
            return if is_refused { Ok(()) } else { Err(format!("{answer} {arrived:?}")) };
        }
        let path = seen.split('?').next().unwrap_or_default();
        let uri = format!("{}{path}", self.fill("{P}"));
        match &arrived[..] {
            [request] if request["target"] == seen && header(request, "x-forwarded-uri") == uri => Ok(()),
            _ => Err(format!("{answer} {arrived:?}")),
        }
    }
}

fn header(request: &serde_json::Value, name: &str) -> String {
    let pairs = request["headers"].as_array().into_iter().flatten();
    let value = pairs.filter(|pair| pair[0] == name).find_map(|pair| pair[1].as_str());
    value.unwrap_or_default().to_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap()
}
