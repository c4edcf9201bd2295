//! Who reads the answer: a person in a browser, a person at a terminal, or a program.

use http::header::{ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Request};

/// With this a page of this program looks whether it still holds. It never reaches an app.
pub const LOOK_HEADER: HeaderName = HeaderName::from_static("svcproxy-look");

/// The request had [`LOOK_HEADER`]: an extension of what goes on without it.
#[derive(Debug, Clone, Copy)]
pub struct PageLook;

/// In which form an explanation is read best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// A page: the request is a navigation, or a page's look whether it still holds.
    Browser,
    /// Plain text: nothing was said about the form, as curl does.
    Terminal,
    /// The API server's own words: JSON was asked for, or a page asked for a part of itself.
    Program,
}

/// What of a request counts for the form of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestingClient {
    /// In which form.
    pub reader: ClientKind,
    /// Whether the same request can be sent again by a page that refreshes.
    pub may_repeat: bool,
    /// Whether JSON was asked for by name.
    pub wants_json: bool,
}

impl RequestingClient {
    /// Reads it off `request`, before that is sent.
    pub fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let is_look = headers.contains_key(LOOK_HEADER) || request.extensions().get::<PageLook>().is_some();
        Self {
            reader: if is_look { ClientKind::Browser } else { reader(headers) },
            may_repeat: request.method() == Method::GET && !headers.contains_key(UPGRADE),
            wants_json: accepts(headers, "json"),
        }
    }
}

/// Browsers say `Sec-Fetch-Mode` (Fetch Metadata); older ones name `text/html` in `Accept` when they navigate.
fn reader(headers: &HeaderMap) -> ClientKind {
    match headers.get("sec-fetch-mode").map(http::HeaderValue::as_bytes) {
        Some(b"navigate") => return ClientKind::Browser,
        Some(_) => return ClientKind::Program,
        None if headers.contains_key(UPGRADE) => return ClientKind::Program,
        None => {}
    }
    if accepts(headers, "text/html") {
        return ClientKind::Browser;
    }
    let anything = !headers.contains_key(ACCEPT) || accepts(headers, "*/*") || accepts(headers, "text/");
    if anything && !accepts(headers, "json") { ClientKind::Terminal } else { ClientKind::Program }
}

fn accepts(headers: &HeaderMap, part: &str) -> bool {
    let is_part = |window: &[u8]| window.eq_ignore_ascii_case(part.as_bytes());
    headers.get_all(ACCEPT).iter().any(|value| value.as_bytes().windows(part.len()).any(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], expect: ClientKind) {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(RequestingClient::of(&request.body(()).unwrap()).reader, expect, "{headers:?}");
    }

    #[test]
    fn by_what_the_request_says() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        check(&[("sec-fetch-mode", "navigate"), ("accept", chromium)], ClientKind::Browser);
        check(&[("accept", chromium)], ClientKind::Browser);
        check(&[("sec-fetch-mode", "cors"), ("accept", "*/*")], ClientKind::Program);
        check(&[("sec-fetch-mode", "no-cors"), ("accept", "image/*")], ClientKind::Program);
        check(&[("accept", "*/*")], ClientKind::Terminal);
        check(&[], ClientKind::Terminal);
        check(&[("accept", "text/plain")], ClientKind::Terminal);
        check(&[("accept", "Text/HTML;q=1")], ClientKind::Browser);
        check(&[("accept", "application/json, */*")], ClientKind::Program);
        check(&[("accept", "application/vnd.api+json")], ClientKind::Program);
        check(&[("accept", "application/yaml")], ClientKind::Program);
        check(&[("upgrade", "websocket"), ("connection", "Upgrade")], ClientKind::Program);
        check(&[("sec-fetch-mode", "cors"), ("svcproxy-look", "0123456789abcdef")], ClientKind::Browser);
    }

    #[test]
    fn a_look_is_known_without_its_header() {
        let mut request = Request::builder().header("sec-fetch-mode", "cors").body(()).unwrap();
        request.extensions_mut().insert(PageLook);
        assert_eq!(RequestingClient::of(&request).reader, ClientKind::Browser);
    }
}
