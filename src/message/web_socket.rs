//! A client's part of WebSocket handshakes (RFC 6455 section 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue};
use sha1::{Digest, Sha1};

use super::field_tokens::has_token;

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

/// The `Sec-WebSocket-Accept` that a server which understood the request must answer; `None` without a key.
pub(crate) fn expected(request: &HeaderMap) -> Option<HeaderValue> {
    let key = request.get(SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    Some(HeaderValue::try_from(accept(key)).expect("base64 is ASCII"))
}

/// The `Sec-WebSocket-Accept` that answers `key`.
pub(crate) fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Whether the headers of a `101` say that a WebSocket begins: the one that was asked for.
pub(crate) fn is_accepted(answer: &HeaderMap, expected: &HeaderValue) -> bool {
    let is_websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    answer.get(UPGRADE).is_some_and(is_websocket)
        && names_upgrade(answer)
        && answer.get(SEC_WEBSOCKET_ACCEPT) == Some(expected)
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

    #[test]
    fn the_example_of_rfc_6455() {
        let request = headers(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]);
        let key = expected(&request).unwrap();
        assert_eq!(key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let good = [
            ("connection", "Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        assert!(is_accepted(&headers(&good), &key));
        for missing in 0..good.len() {
            let mut fields = good.to_vec();
            fields.remove(missing);
            assert!(!is_accepted(&headers(&fields), &key), "{fields:?}");
        }
        let other = [good[0], good[1], ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=")];
        assert!(!is_accepted(&headers(&other), &key));
    }
}
