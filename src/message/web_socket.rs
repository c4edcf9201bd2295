//! A client's part of WebSocket handshakes (RFC 6455 section 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sha1::{Digest, Sha1};

use super::field_tokens::{has_token, only_value};

/// What a server appends to the key before it hashes (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Key` of random octets.
pub(crate) fn key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether `headers` ask for an upgrade, to whatever.
pub(crate) fn is_asked(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE) && names_upgrade(headers)
}

/// The `Sec-WebSocket-Accept` that a server which understood the request must answer; `None` without exactly one key.
pub(crate) fn expected(request: &HeaderMap) -> Option<HeaderValue> {
    let key = only_value(request, &SEC_WEBSOCKET_KEY)?;
    Some(HeaderValue::try_from(accept(key)).expect("base64 is ASCII"))
}

/// The `Sec-WebSocket-Accept` that answers `key`.
pub(crate) fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Whether `answer` agrees to the WebSocket whose key asks for `expected` (RFC 6455 section 4.1). Anything less leaves a
/// raw connection to something that never agreed to speak raw.
pub(crate) fn is_accepted<B>(answer: &Response<B>, expected: &HeaderValue) -> bool {
    let headers = answer.headers();
    answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && only_value(headers, &UPGRADE).is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
        && names_upgrade(headers)
        && only_value(headers, &SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| accept == expected)
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "upgrade")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn asked() {
        let check = |connection, upgrade, expect| {
            assert_eq!(is_asked(&headers(&[("connection", connection), ("upgrade", upgrade)])), expect);
        };
        check("upgrade", "websocket", true);
        check("keep-alive, Upgrade", "websocket", true);
        check("x-upgrade-y", "websocket", false);
        assert!(!is_asked(&headers(&[("connection", "upgrade")])));
    }

    /// The example of RFC 6455 section 1.3.
    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    #[test]
    fn the_key_of_the_standard() {
        assert_eq!(expected(&headers(&[KEY])).unwrap(), ACCEPT);
        assert_eq!(expected(&headers(&[])), None);
        assert_eq!(expected(&headers(&[KEY, KEY])), None);
    }

    fn check(status: u16, fields: &[(&'static str, &str)], expect: bool) {
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        *answer.headers_mut() = headers(fields);
        assert_eq!(is_accepted(&answer, &HeaderValue::from_static(ACCEPT)), expect, "{status} {fields:?}");
    }

    #[test]
    fn t14_only_an_agreement_opens_a_tunnel() {
        let (connection, upgrade) = (("connection", "Upgrade"), ("upgrade", "WebSocket"));
        let accept = ("sec-websocket-accept", ACCEPT);
        check(101, &[connection, upgrade, accept], true);
        check(101, &[connection, accept], false);
        check(101, &[connection, upgrade], false);
        check(101, &[upgrade, accept], false);
        check(101, &[connection, ("upgrade", "h2c"), accept], false);
        check(101, &[connection, upgrade, ("sec-websocket-accept", KEY.1)], false);
        check(101, &[connection, upgrade, ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=")], false);
        check(101, &[connection, upgrade, accept, accept], false);
        for status in [200, 204, 302, 400, 426, 500] {
            check(status, &[connection, upgrade, accept], false);
        }
    }
}
