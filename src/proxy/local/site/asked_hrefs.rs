//! URLs of ours in the body of a WebDAV request: what a client was told below the proxy path it asks for by that name.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderValue, Method, Request};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::served_urls::ServedUrls;
use crate::message::body::{Body, BoxError};
use crate::message::{content_kind, multistatus};

/// Methods whose body names other resources (RFC 3253, RFC 4791 section 7.9, RFC 5323, RFC 4918, RFC 3744, RFC 5842). Others
/// have bodies that are somebody's content.
const METHODS: [&str; 5] = ["REPORT", "SEARCH", "PROPPATCH", "ACL", "BIND"];

/// Octets of a body at most that is read for it: such requests are short, and many servers want to be told their length.
const MAX_BODY_LENGTH: u64 = 1024 * 1024;

/// Makes the URLs in the body of `request` those that the Service has.
///
/// # Errors
/// When the client does not send its body to the end.
pub(crate) async fn make_own(request: Request<Body>, urls: ServedUrls<'_>) -> Result<Request<Body>, BoxError> {
    if !has_some(&request) {
        return Ok(request);
    }
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let own = multistatus::rewritten(&body, |url| urls.own(url));
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(own.len()));
    Ok(Request::from_parts(head, Body::full(own)))
}

fn has_some(request: &Request<Body>) -> bool {
    let names_resources = |method: &Method| METHODS.contains(&method.as_str());
    let length = request.body().size_hint().exact();
    names_resources(request.method())
        && content_kind::is_xml(request.headers())
        && !request.headers().contains_key(CONTENT_ENCODING)
        && length.is_some_and(|length| (1..=MAX_BODY_LENGTH).contains(&length))
}
