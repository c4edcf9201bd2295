//! What a gateway says behind which TLS has ended.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::message::forwarded_fields::X_FORWARDED_PROTO;

const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_SSL: HeaderName = HeaderName::from_static("x-forwarded-ssl");

/// Says in `headers` that the browser speaks https, in each way that apps look at: the headers of nginx, HAProxy and
/// Traefik, and RFC 7239.
pub(in crate::proxy::upstream) fn set_outer_https(headers: &mut HeaderMap) {
    for (name, value) in [
        (X_FORWARDED_PROTO, "https"),
        (X_FORWARDED_PORT, "443"),
        (X_FORWARDED_SSL, "on"),
        (header::FORWARDED, "proto=https"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
