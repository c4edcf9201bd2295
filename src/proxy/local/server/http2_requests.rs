//! Requests of HTTP/2 in the form that everything behind the listener knows, and answers back: `:authority` is `Host`, and an
//! extended CONNECT is the handshake of a WebSocket (RFC 9113 section 8.3.1, RFC 8441).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, Entry, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::ext::Protocol;

use crate::message::capped_reads::MAX_HEAD_LINES;

/// The protocol of an extended CONNECT that there is.
const WEBSOCKET: &str = "websocket";

/// Makes `request` what the same client would have sent by HTTP/1.1.
///
/// # Errors
/// The status of a request that has no such form: two hosts, more lines than HTTP/1.1 may have, or a tunnel that is no
/// WebSocket's.
pub(super) fn as_http1<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
    name_host(request)?;
    join_cookies(request.headers_mut());
    if request.headers().len() > MAX_HEAD_LINES {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    if request.method() == Method::CONNECT {
        return open_web_socket(request);
    }
    let target = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}

/// `Host` may stand beside `:authority` if it says the same.
fn name_host<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
    let Some(authority) = request.uri().authority().map(|authority| authority.as_str().to_owned()) else {
        return if request.headers().contains_key(HOST) { Ok(()) } else { Err(StatusCode::BAD_REQUEST) };
    };
    let says_otherwise = |host: &HeaderValue| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
    if request.headers().get_all(HOST).iter().any(says_otherwise) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let host = HeaderValue::from_str(&authority).map_err(|_| StatusCode::BAD_REQUEST)?;
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// HTTP/2 clients may send one field for each cookie, which HTTP/1.1 does not know (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(cookies) = headers.entry(COOKIE) else { return };
    if cookies.iter().count() < 2 {
        return;
    }
    let crumbs: Vec<HeaderValue> = cookies.remove_entry_mult().1.collect();
    let joined = crumbs.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

fn open_web_socket<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
    let is_web_socket = request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == WEBSOCKET);
    let target = request.uri().path_and_query().cloned().filter(|_| is_web_socket);
    *request.uri_mut() = Uri::from(target.ok_or(StatusCode::NOT_IMPLEMENTED)?);
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
    headers.entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
    // The key proves to a client of HTTP/1.1 that its peer knows WebSockets; one of HTTP/2 knows, and has none.
    let key = STANDARD.encode(*b"kubectl-svcproxy");
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).map_err(|_| StatusCode::BAD_REQUEST)?);
    Ok(())
}

/// Makes `response` what a client of HTTP/2 expects: the agreement to a WebSocket is a plain success there, and so any other
/// success would be taken for it.
pub(super) fn as_http2<B>(response: &mut Response<B>, is_connect: bool) {
    *response.version_mut() = Version::HTTP_2;
    if is_connect && response.status().is_success() {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        *response.status_mut() = StatusCode::OK;
        for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT, CONTENT_LENGTH] {
            response.headers_mut().remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, lines: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(uri).version(Version::HTTP_2).body(()).unwrap();
        for (name, value) in lines {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    fn line(request: &Request<()>, name: &str) -> String {
        let lines: Vec<_> = request.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        lines.join(" | ")
    }

    #[test]
    fn the_authority_is_the_host() {
        let mut plain = request("GET", "https://web.localhost:8001/a?b", &[("cookie", "a=1"), ("cookie", "b=2")]);
        assert_eq!(as_http1(&mut plain), Ok(()));
        assert_eq!(plain.uri(), "/a?b");
        assert_eq!((line(&plain, "host").as_str(), plain.version()), ("web.localhost:8001", Version::HTTP_11));
        assert_eq!(line(&plain, "cookie"), "a=1; b=2");
        let mut same = request("GET", "https://web.localhost:8001/", &[("host", "WEB.localhost:8001")]);
        assert_eq!(as_http1(&mut same), Ok(()));
    }

    #[test]
    fn two_hosts_are_one_too_many_and_none_too_few() {
        let mut two = request("GET", "https://web.localhost:8001/", &[("host", "evil.example")]);
        assert_eq!(as_http1(&mut two), Err(StatusCode::BAD_REQUEST));
        assert_eq!(as_http1(&mut request("GET", "/", &[])), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn as_many_lines_as_over_http1() {
        for (lines, expect) in
            [(MAX_HEAD_LINES - 1, Ok(())), (MAX_HEAD_LINES, Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE))]
        {
            let mut long = request("GET", "https://web.localhost:8001/", &vec![("x", "y"); lines]);
            assert_eq!(as_http1(&mut long), expect, "and the host");
        }
    }

    #[test]
    fn an_extended_connect_is_a_handshake() {
        let mut socket =
            request("CONNECT", "https://web.localhost:8001/ws?x", &[("origin", "https://web.localhost:8001")]);
        socket.extensions_mut().insert(Protocol::from_static("websocket"));
        assert_eq!(as_http1(&mut socket), Ok(()));
        assert_eq!((socket.method(), socket.uri().to_string().as_str()), (&Method::GET, "/ws?x"));
        for (name, expect) in [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")] {
            assert_eq!(line(&socket, name), expect, "{name}");
        }
        let mut answer = Response::builder().status(101).header("sec-websocket-accept", "x").body(()).unwrap();
        as_http2(&mut answer, true);
        assert_eq!((answer.status(), answer.headers().len()), (StatusCode::OK, 0));
        for (is_connect, status) in [(true, StatusCode::BAD_GATEWAY), (false, StatusCode::OK)] {
            let mut page = Response::new(());
            as_http2(&mut page, is_connect);
            assert_eq!(page.status(), status);
        }
    }

    #[test]
    fn this_is_no_forward_proxy() {
        let mut tunnel = request("CONNECT", "evil.example:443", &[]);
        assert_eq!(as_http1(&mut tunnel), Err(StatusCode::NOT_IMPLEMENTED));
        let mut other = request("CONNECT", "https://web.localhost:8001/", &[]);
        other.extensions_mut().insert(Protocol::from_static("connect-udp"));
        assert_eq!(as_http1(&mut other), Err(StatusCode::NOT_IMPLEMENTED));
    }
}
