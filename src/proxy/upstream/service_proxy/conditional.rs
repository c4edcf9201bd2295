//! Requests that ask only whether something has changed (RFC 9110 section 13).
//!
//! The API server takes a `304` that still names `text/html` and `gzip` for a page, and fails at its missing body. So
//! what was asked for is asked for anew, as a whole: a browser that reloads gets the page.

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, Method, Request};
use http_body::Body as _;

use crate::proxy::upstream::Body;

/// Whether `request` has a condition that leads to a `304`, and can be asked without it.
pub(super) fn is_asked(request: &Request<Body>) -> bool {
    let headers = request.headers();
    let is_conditional = headers.contains_key(IF_NONE_MATCH) || headers.contains_key(IF_MODIFIED_SINCE);
    let is_plain_get =
        request.method() == Method::GET && !headers.contains_key(RANGE) && request.body().is_end_stream();
    is_conditional && is_plain_get
}

/// Takes the conditions off.
pub(super) fn remove(headers: &mut HeaderMap) {
    headers.remove(IF_NONE_MATCH);
    headers.remove(IF_MODIFIED_SINCE);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, fields: &[(&str, &str)], expect: Option<&[&str]>) {
        let request = fields.iter().fold(Request::builder().method(method).uri("/a?b"), |request, (name, value)| {
            request.header(*name, *value)
        });
        let mut request = request.body(Body::Empty).unwrap();
        let names = is_asked(&request).then(|| {
            remove(request.headers_mut());
            request.headers().keys().map(http::HeaderName::as_str).collect::<Vec<_>>()
        });
        assert_eq!(names.as_deref(), expect, "{method} {fields:?}");
    }

    #[test]
    fn conditions_go_and_the_rest_stays() {
        let (etag, date) = (("if-none-match", "\"1\""), ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"));
        check("GET", &[("cookie", "a=b"), etag, date], Some(&["cookie"]));
        check("GET", &[date], Some(&[]));
        check("GET", &[("cookie", "a=b")], None);
        check("GET", &[etag, ("range", "bytes=0-1")], None);
        check("HEAD", &[etag], None);
        check("POST", &[etag], None);
    }

    #[test]
    fn a_body_is_sent_once() {
        let request = Request::builder().header("if-none-match", "*").body(Body::full("x")).unwrap();
        assert!(!is_asked(&request));
    }
}
