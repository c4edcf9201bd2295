//! In which encodings the API server can pass an answer on.

use http::header::{ACCEPT_ENCODING, RANGE};
use http::{HeaderMap, HeaderValue, Method};

use crate::message::html_links;

/// Asks for what comes through whole (apimachinery `pkg/util/proxy/transport.go`).
///
/// The API server changes HTML that is plain or gzip and breaks HTML in any other encoding; it fails on `HEAD` of
/// compressed HTML, and a range of a compressed body is of no use to it. Without the header it asks for gzip itself and
/// unpacks.
pub(in crate::proxy::upstream) fn set_accept_encoding(method: &Method, headers: &mut HeaderMap) {
    if method == Method::HEAD || headers.contains_key(RANGE) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    } else if html_links::takes_gzip(headers) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    } else {
        headers.remove(ACCEPT_ENCODING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, accepted: Option<&'static str>, range: bool, expect: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.extend(accepted.map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value))));
        headers.extend(range.then(|| (RANGE, HeaderValue::from_static("bytes=0-"))));
        set_accept_encoding(method, &mut headers);
        let asked = headers.get(ACCEPT_ENCODING).map(|value| value.to_str().unwrap());
        assert_eq!(asked, expect, "{method} {accepted:?} {range}");
    }

    #[test]
    fn what_is_asked_for() {
        let browser = Some("gzip, deflate, br, zstd");
        check(&Method::GET, browser, false, Some("gzip"));
        check(&Method::POST, browser, false, Some("gzip"));
        check(&Method::HEAD, browser, false, Some("identity"));
        check(&Method::GET, browser, true, Some("identity"));
        check(&Method::HEAD, None, false, Some("identity"));
        check(&Method::GET, None, false, None);
        check(&Method::GET, Some("br, zstd"), false, None);
        check(&Method::GET, Some("identity"), false, None);
        check(&Method::GET, Some("gzip;q=0"), false, None);
    }
}
