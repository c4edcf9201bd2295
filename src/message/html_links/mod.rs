//! Links in HTML that goes by: which attributes hold them, and how they are changed in a stream.
//!
//! The API server puts its proxy path in front of the links of the pages it passes on. Taking it off again, and putting
//! it back for those who serve a site below a path, both go through here, so both know the same attributes.

pub(super) mod rewriter;

use http::{HeaderMap, Response, header};

use crate::message::body::Body;
use crate::message::field_tokens::tokens;
use crate::message::{content_kind, rewritten_body};
use rewriter::LinkRewriter;

/// Whether the links of this answer's body can be changed: HTML, with a body, in an encoding that can be undone.
///
/// HTML is what the API server takes for it: `text/html` in lower case, whatever its parameters and the status. It
/// changes only pages without an encoding or with exactly `gzip`.
pub fn are_in(answer: &Response<Body>) -> bool {
    content_kind::is_html(answer.headers()) && rewritten_body::is_possible(answer)
}

/// Changes the links of an answer in which they [are](are_in), while its body streams.
///
/// `link` gets the value of each attribute that holds a URL as it stands between its quotes, character references and
/// all, and says what to put there; `None` leaves the whole tag as it is, byte for byte. A byte that is not ASCII appears as
/// one character and comes out as the same byte again, whatever the page's encoding.
///
/// The answer loses what is no longer true of it, as `message::rewritten_body` says. Memory stays bounded for endless and for hostile pages; what does not fit passes with its links as they are.
pub fn rewrite(answer: Response<Body>, link: impl FnMut(&str) -> Option<String> + Send + 'static) -> Response<Body> {
    rewritten_body::rewrite(answer, LinkRewriter::new(link))
}

/// Whether a request's `Accept-Encoding` allows gzip, by name or by `*` (RFC 9110 12.5.3).
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for coding in tokens(headers, &header::ACCEPT_ENCODING) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return is_wanted(parameters),
            "*" => any = is_wanted(parameters),
            _ => {}
        }
    }
    any
}

/// RFC 9110 12.4.2: a weight of 0 means "not acceptable".
fn is_wanted(parameters: &str) -> bool {
    let weight = parameters.trim().strip_prefix("q=").or_else(|| parameters.trim().strip_prefix("Q="));
    weight.is_none_or(|weight| weight.trim().parse() != Ok(0.0))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use http::{HeaderName, HeaderValue, StatusCode};
    use http_body_util::BodyExt;
    use std::io::Write;

    pub(in crate::message) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn page(headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Response<Body> {
        let mut answer = Response::new(Body::full(body));
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            answer.headers_mut().append(name, value.parse().unwrap());
        }
        answer
    }

    fn up(link: &str) -> Option<String> {
        link.strip_prefix("/p").map(str::to_owned)
    }

    async fn read(answer: Response<Body>) -> Vec<u8> {
        answer.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[test]
    fn what_counts_as_html() {
        let cases = [
            ("text/html", "", true),
            ("text/html; charset=utf-8", "gzip", true),
            (" text/html ;x", "", true),
            ("Text/HTML", "", false),
            ("application/xhtml+xml", "", false),
            ("text/html5", "", false),
            ("text/html", "br", false),
            ("text/html", "GZIP", false),
            ("text/html", "identity", false),
            ("", "", false),
        ];
        for (kind, encoding, expect) in cases {
            let answer = page(&[("content-type", kind), ("content-encoding", encoding)], "x");
            assert_eq!(are_in(&answer), expect, "{kind:?} {encoding:?}");
        }
        let mut empty = page(&[("content-type", "text/html")], "x");
        *empty.status_mut() = StatusCode::NOT_MODIFIED;
        assert!(!are_in(&empty));
        assert!(!are_in(&page(&[("content-type", "text/html")], "")));
    }

    #[tokio::test]
    async fn what_is_no_longer_true_goes() {
        let headers = [
            ("content-type", "text/html"),
            ("content-length", "99"),
            ("etag", "\"x\""),
            ("repr-digest", "sha-256=:x:"),
            ("digest", "md5=x"),
            ("content-md5", "x"),
            ("content-encoding", "gzip"),
            ("vary", "accept-encoding"),
        ];
        let answer = rewrite(page(&headers, gzip(b"<a href=\"/p/x\">")), up);
        let mut left: Vec<_> = answer.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        left.sort();
        assert_eq!(left, ["content-type: text/html", "etag: W/\"x\"", "vary: accept-encoding"]);
        assert_eq!(read(answer).await, b"<a href=\"/x\">");
    }

    #[test]
    fn by_name_or_by_star() {
        for (lines, expect) in [
            (&["gzip, deflate, br, zstd"][..], true),
            (&["GZIP; q=0.5"], true),
            (&["br", "gzip"], true),
            (&["*"], true),
            (&["gzip;q=0.001"], true),
            (&["gzip;q=1, *;q=0"], true),
            (&["gzip;q=0"], false),
            (&["*, gzip;q=0.0"], false),
            (&["*;q=0"], false),
            (&["identity"], false),
            (&["br, zstd, xgzip"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            assert_eq!(takes_gzip(&headers), expect, "{lines:?}");
        }
    }
}
