//! A Service below its proxy path: what its answer says of its own `/…` is put below the path, as the API server does
//! it for whoever uses that path directly (apimachinery `pkg/util/proxy/transport.go`), and in WebDAV's answers too, which
//! clients compare with the URL that they asked for. Cookies are fitted with the other headers.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue, Response};

use crate::message::body::Body;
use crate::message::html_links;
use crate::message::link_fields;
use crate::message::multistatus;

/// The place where a Service's `/` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProxyPathPrefix {
    /// The proxy path, ending in `/`.
    pub(crate) path: String,
    /// Host and port that the client used.
    authority: String,
}

impl ProxyPathPrefix {
    pub(crate) fn new(path: String, authority: &str) -> Self {
        Self { path, authority: authority.to_owned() }
    }

    /// Asks for pages in an encoding whose links can be changed.
    pub(crate) fn prepare_request(headers: &mut HeaderMap) {
        let encoding = if html_links::takes_gzip(headers) { "gzip" } else { "identity" };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    }

    /// `answer` put below the path.
    pub(crate) fn put_below(self, mut answer: Response<Body>) -> Response<Body> {
        link_fields::change_urls(answer.headers_mut(), |url| {
            self.link_below(std::str::from_utf8(url).ok()?).map(String::into_bytes)
        });
        if html_links::are_in(&answer) {
            return html_links::rewrite(answer, move |link| self.link_below(link));
        }
        match multistatus::is_one(&answer) {
            true => multistatus::rewrite(answer, move |url| self.link_below(url)),
            false => answer,
        }
    }

    /// `link` as it must be below the path; `None` if it is right already, or none of ours.
    fn link_below(&self, link: &str) -> Option<String> {
        let (origin, path) = self.split_origin(link)?;
        let bare = self.path.strip_suffix('/').unwrap_or(&self.path);
        let is_below = path.strip_prefix(bare).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
        (!is_below).then(|| format!("{origin}{}{}", self.path, path.strip_prefix('/').unwrap_or(path)))
    }

    /// The origin of `link`, empty if it names none, and the path after it; `None` for links elsewhere and for those
    /// that are relative to the page, which are right as they are.
    fn split_origin<'a>(&self, link: &'a str) -> Option<(&'a str, &'a str)> {
        let is_path = link.starts_with('/') && !link.starts_with("//") && !link.starts_with("/\\");
        if is_path {
            return Some(("", link));
        }
        let scheme_end =
            link.find("//").filter(|end| matches!(&link[..*end], "" | "http:" | "https:" | "ws:" | "wss:"))?;
        let host = &link[scheme_end + 2..];
        let host_end = host.find(['/', '?', '#', '\\']).unwrap_or(host.len());
        let is_ours = host[..host_end].eq_ignore_ascii_case(&self.authority);
        is_ours.then(|| link.split_at(scheme_end + 2 + host_end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    const BELOW: &str = "/api/v1/namespaces/ns/services/web/proxy/";

    fn mount() -> ProxyPathPrefix {
        ProxyPathPrefix::new(BELOW.to_owned(), "127.0.0.1:8001")
    }

    /// `P` stands for the path.
    fn check(link: &str, expect: &str) {
        let spelled = |text: &str| text.replace("P/", BELOW);
        let link = spelled(link);
        assert_eq!(mount().link_below(&link).unwrap_or_else(|| link.clone()), spelled(expect), "{link}");
    }

    #[test]
    fn links_of_the_service_go_below() {
        check("/", "P/");
        check("/login?next=/a//b#c", "P/login?next=/a//b#c");
        check("/a/http://e.com/x", "P/a/http://e.com/x");
        check("http://127.0.0.1:8001/x?y", "http://127.0.0.1:8001P/x?y");
        check("//127.0.0.1:8001/x", "//127.0.0.1:8001P/x");
        check("http://127.0.0.1:8001", "http://127.0.0.1:8001P/");
        check("http://127.0.0.1:8001?q", "http://127.0.0.1:8001P/?q");
        check("/api/v1/namespaces/ns/services/web/proxyfoo", "P/api/v1/namespaces/ns/services/web/proxyfoo");
    }

    #[test]
    fn other_links_stay() {
        for link in [
            "P/",
            "P/q",
            "http://127.0.0.1:8001P/q",
            "login",
            "../x",
            "?a=1",
            "#f",
            "",
            "//cdn.example/x",
            "/\\evil.example",
            "http://other/x",
            "https://127.0.0.1:8002/x",
            "javascript:alert('//127.0.0.1:8001/')",
            "data:,//x",
            "mailto:a@b",
            "/api/v1/namespaces/ns/services/web/proxy",
        ] {
            check(link, link);
        }
    }

    #[tokio::test]
    async fn pages_and_redirects() {
        let page = Response::builder().header("content-type", "text/html").header("content-location", "/here");
        let below = mount().put_below(page.body(Body::full("<a href=\"/x\">/x</a>")).unwrap());
        assert_eq!(below.headers()["content-location"], format!("{BELOW}here"));
        let body = below.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("<a href=\"{BELOW}x\">/x</a>"));

        let found = Response::builder().status(207).header("content-type", "application/xml");
        let below = mount().put_below(found.body(Body::full("<D:href>/x</D:href>")).unwrap());
        let body = below.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("<D:href>{BELOW}x</D:href>"));

        let redirect = Response::builder().header("location", "/login").header("refresh", "0; url=/r");
        let below = mount().put_below(redirect.header("link", "</a>; rel=next").body(Body::full("/x")).unwrap());
        assert_eq!(below.headers()["location"], format!("{BELOW}login"));
        assert_eq!(below.headers()["refresh"], format!("0; url={BELOW}r"));
        assert_eq!(below.headers()["link"], format!("<{BELOW}a>; rel=next"));
    }

    #[test]
    fn encodings_that_can_be_undone() {
        for (asked, expect) in [
            ("gzip, deflate, br, zstd", "gzip"),
            ("br", "identity"),
            ("gzip;q=0", "identity"),
            ("br;q=1, GZIP ; q=0.5", "gzip"),
        ] {
            let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(asked))]);
            ProxyPathPrefix::prepare_request(&mut headers);
            assert_eq!(headers[ACCEPT_ENCODING], expect, "{asked}");
        }
    }

    proptest! {
        #[test]
        fn t7_below_stays_below(link in "(http://127.0.0.1:8001|//127.0.0.1:8001)?[/\\\\a.?#@:%2f]{0,8}") {
            if let Some(below) = mount().link_below(&link) {
                let path = below.strip_prefix("http:").unwrap_or(&below);
                let path = path.strip_prefix("//127.0.0.1:8001").unwrap_or(path);
                prop_assert!(path.starts_with(BELOW), "{} became {}", link, below);
            }
        }

        #[test]
        fn once_is_enough(link in "/[a-z/?#]{0,10}") {
            let mount = mount();
            if let Some(below) = mount.link_below(&link) {
                prop_assert_eq!(mount.link_below(&below), None);
            }
        }
    }
}
