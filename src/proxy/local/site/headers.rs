//! Header fields on their way through: what belongs to one connection only (RFC 9110 section 7.6.1) ends here, and so
//! does what only a proxy or a client of the API server may say. Pure.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, COOKIE, EXPECT, Entry, FORWARDED, HOST, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::message::client_kind::LOOK_HEADER;
use crate::message::cookie_fields;
use crate::message::field_tokens::{has_token, tokens, without_items};
use crate::message::forwarded_fields::{X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::message::host_port;
use crate::proxy::local::guard::outer_front::OuterFront;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const ALT_SVC: HeaderName = HeaderName::from_static("alt-svc");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const SERVICE_WORKER_ALLOWED: HeaderName = HeaderName::from_static("service-worker-allowed");

/// A WebSocket subprotocol that the API server takes for a bearer token.
const BEARER_PROTOCOL: &[u8] = b"base64url.bearer.authorization.k8s.io.";

/// Makes the headers of a request ready for the Service. `outer` is what the browser has in its address bar.
pub(crate) fn prepare_request(headers: &mut HeaderMap, outer: &OuterFront, is_handshake: bool) {
    let takes_trailers = has_token(headers, &TE, "trailers");
    remove_connection_fields(headers);
    let forbidden: Vec<HeaderName> = headers.keys().filter(|name| is_forbidden(name.as_str())).cloned().collect();
    for name in forbidden {
        headers.remove(name);
    }
    edit_lines(headers, &COOKIE, cookie_fields::without_own);
    edit_lines(headers, &SEC_WEBSOCKET_PROTOCOL, without_bearer);
    headers.insert(X_FORWARDED_HOST, outer.host.clone());
    headers.insert(X_FORWARDED_PROTO, outer.scheme());
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if is_handshake {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Makes the headers of an answer ready for the client, who called us `authority`. `below` is the proxy path that the
/// Service is served under, if it is.
pub(crate) fn prepare_answer(headers: &mut HeaderMap, authority: &HeaderValue, below: Option<&str>) {
    remove_connection_fields(headers);
    // They would be remembered for a name that means another Service tomorrow, on a port that speaks no TLS.
    headers.remove(STRICT_TRANSPORT_SECURITY);
    headers.remove(ALT_SVC);
    let (host, _) = host_port::split(authority.to_str().unwrap_or_default());
    edit_lines(headers, &SET_COOKIE, |line| cookie_fields::fit(line, host, below));
}

/// What an answer needs against pages elsewhere, by how it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AnswerShield {
    /// Nothing tells whose page asked: no other page may use it, nor show it.
    pub(crate) is_unmarked: bool,
    /// Its origin is not its Service's alone: no service worker has a say in all of it.
    pub(crate) is_shared: bool,
    /// A page elsewhere opened it in a tab: it may not hold on to that.
    pub(crate) is_held: bool,
}

impl AnswerShield {
    /// Changes `headers` accordingly.
    pub(crate) fn put_before(self, headers: &mut HeaderMap) {
        if self.is_unmarked {
            headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
            headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'self'"));
        }
        if self.is_shared {
            headers.remove(SERVICE_WORKER_ALLOWED);
        }
        if self.is_held && !headers.contains_key(CROSS_ORIGIN_OPENER_POLICY) {
            headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin-allow-popups"));
        }
    }
}

/// The same for the answer that agrees to a WebSocket.
pub(crate) fn prepare_agreement(headers: &mut HeaderMap, authority: &HeaderValue) {
    prepare_answer(headers, authority, None);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Whether a field says what a request and its proxies claim about somebody else (identities, audit entries, earlier
/// hops), asks for an answer before the request's end, or is between our pages and us.
fn is_forbidden(name: &str) -> bool {
    // Many gateways and apps (CGI, WSGI) see no difference between `-` and `_`.
    let written = name;
    let name = &name.replace('_', "-")[..];
    let is_alias = written != name && matches!(name, "content-length" | "transfer-encoding");
    is_alias || is_claim(name)
}

fn is_claim(name: &str) -> bool {
    const BEGINNINGS: [&str; 3] = ["impersonate-", "x-remote-", "x-forwarded-"];
    // By the last four some servers take the request for one of another path (Symfony, IIS, nginx).
    const NAMES: [&str; 7] = [
        "audit-id",
        "x-real-ip",
        "remote-user",
        "x-original-url",
        "x-original-uri",
        "x-original-path",
        "x-rewrite-url",
    ];
    NAMES.contains(&name)
        || name == FORWARDED.as_str()
        || name == EXPECT.as_str()
        || name == LOOK_HEADER.as_str()
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Where there is a `Transfer-Encoding`, `Content-Length` means nothing (RFC 9112 section 6.3); one number said several times
/// is that number.
fn mend_content_length(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
        return;
    }
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let is_one_number = lines.next().is_none_or(|line| !line.as_bytes().contains(&b',')) && lines.next().is_none();
    if is_one_number {
        return;
    }
    let said: Option<HeaderValue> = match tokens(headers, &CONTENT_LENGTH).collect::<Vec<_>>()[..] {
        [first, ref others @ ..] if !others.is_empty() && others.iter().all(|length| *length == first) => {
            HeaderValue::from_str(first).ok()
        }
        _ => None,
    };
    if let Some(said) = said {
        headers.insert(CONTENT_LENGTH, said);
    }
}

/// Those that `Connection` names too, but for those that are no matter of the connection whatever it says. `Trailer`
/// stays: it announces fields that are passed on.
fn remove_connection_fields(headers: &mut HeaderMap) {
    mend_content_length(headers);
    let named = tokens(headers, &CONNECTION).filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    let named: Vec<HeaderName> = named.filter(|name| *name != HOST && *name != CONTENT_LENGTH).collect();
    for name in named.into_iter().chain([
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ]) {
        headers.remove(name);
    }
}

/// Edits each line of the header called `name`; `None` takes one out.
fn edit_lines(headers: &mut HeaderMap, name: &HeaderName, edit: impl Fn(&HeaderValue) -> Option<HeaderValue>) {
    if headers.get_all(name).iter().all(|line| edit(line).as_ref() == Some(line)) {
        return;
    }
    let Entry::Occupied(entry) = headers.entry(name) else { return };
    let edited: Vec<HeaderValue> = entry.remove_entry_mult().1.filter_map(|line| edit(&line)).collect();
    for line in edited {
        headers.append(name, line);
    }
}

fn without_bearer(line: &HeaderValue) -> Option<HeaderValue> {
    let is_bearer = |protocol: &[u8]| {
        protocol.get(..BEARER_PROTOCOL.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEARER_PROTOCOL))
    };
    let protocols = line.to_str().ok()?.split(',').map(|protocol| protocol.trim().as_bytes());
    without_items(line, protocols, b", ", is_bearer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: [&str; 2] = ["x-forwarded-host: web.localhost:8001", "x-forwarded-proto: http"];

    fn map(lines: &[&str]) -> HeaderMap {
        let line = |line: &&str| {
            let (name, value) = line.split_once(": ").unwrap();
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    fn text(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    fn outer() -> OuterFront {
        OuterFront { host: HeaderValue::from_static("web.localhost:8001"), is_https: false }
    }

    fn prepared(lines: &[&str], is_handshake: bool) -> Vec<String> {
        let mut headers = map(lines);
        prepare_request(&mut headers, &outer(), is_handshake);
        text(&headers)
    }

    fn check(lines: &[&str], expect: &[&str]) {
        let mut expect: Vec<&str> = expect.iter().chain(&PLAIN).copied().collect();
        expect.sort_unstable();
        assert_eq!(prepared(lines, false), expect);
    }

    #[test]
    fn lengths_that_mean_nothing_or_the_same_twice() {
        let check = |lines: &[&str], expect: &[&str]| {
            let mut headers = map(lines);
            prepare_answer(&mut headers, &HeaderValue::from_static("web.localhost:8001"), None);
            assert_eq!(text(&headers), expect, "{lines:?}");
        };
        check(&["transfer-encoding: chunked", "content-length: 3"], &[]);
        check(&["content-length: 3"], &["content-length: 3"]);
        check(&["content-length: 5, 5"], &["content-length: 5"]);
        check(&["content-length: 5, 6"], &["content-length: 5, 6"]);
    }

    #[test]
    fn t8_no_identity_from_the_page() {
        check(
            &[
                "Impersonate-User: root",
                "Impersonate-Group: system:masters",
                "Impersonate-Group: b",
                "Impersonate-Uid: 0",
                "Impersonate-Extra-scopes: all",
                "X-Remote-User: root",
                "X-Remote-Group: system:masters",
                "X-Remote-Extra-a: b",
                "X-Remote-Uid: 1",
                "authorization: Basic dTpw",
            ],
            &["authorization: Basic dTpw"],
        );
        check(
            &["Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.c2VjcmV0, chat"],
            &["sec-websocket-protocol: chat"],
        );
        check(
            &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: Base64URL.bearer.authorization.k8s.io.c2VjcmV0"],
            &["sec-websocket-protocol: chat"],
        );
        check(&["Sec-WebSocket-Protocol: chat,superchat"], &["sec-websocket-protocol: chat,superchat"]);
    }

    #[test]
    fn t8_neither_by_other_names() {
        check(
            &[
                "Impersonate_User: root",
                "X_Remote_User: root",
                "Remote-User: root",
                "REMOTE_USER: root",
                "X_Forwarded_For: 1.2.3.4",
                "Audit_Id: mine",
                "X-Original-URL: /admin",
                "X_Rewrite_Url: /admin",
                "Content_Length: 5",
                "Transfer_Encoding: chunked",
                "x_mine: kept",
            ],
            &["x_mine: kept"],
        );
    }

    #[test]
    fn t2_what_answers_need_against_pages_elsewhere() {
        let check = |shield: AnswerShield, lines: &[&str], expect: &[&str]| {
            let mut headers = map(lines);
            shield.put_before(&mut headers);
            assert_eq!(text(&headers), expect, "{shield:?}");
        };
        let plain = AnswerShield::default();
        let lines =
            ["content-security-policy: a", "cross-origin-resource-policy: cross-origin", "service-worker-allowed: /"];
        check(plain, &lines, &lines);
        let unmarked =
            [lines[0], "content-security-policy: frame-ancestors 'self'", "cross-origin-resource-policy: same-origin"];
        check(AnswerShield { is_unmarked: true, is_shared: true, ..plain }, &lines, &unmarked);
        let held = AnswerShield { is_held: true, ..plain };
        check(held, &[], &["cross-origin-opener-policy: same-origin-allow-popups"]);
        check(held, &["cross-origin-opener-policy: same-origin"], &["cross-origin-opener-policy: same-origin"]);
    }

    #[test]
    fn t9_no_audit_forgery() {
        check(
            &[
                "Audit-Id: mine",
                "X-Forwarded-For: 1.2.3.4",
                "X-Real-Ip: 1.2.3.4",
                "Forwarded: for=1.2.3.4",
                "X-Forwarded-Host: evil",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Uri: /x",
                "X-Forwarded-Prefix: /x",
                "x-forwardedness: kept",
            ],
            &["x-forwardedness: kept"],
        );
    }

    #[test]
    fn t6_nothing_of_the_connection_is_passed_on() {
        check(
            &[
                "Connection: keep-alive, X-Mine",
                "Connection: content-length, host, cookie",
                "X-Mine: 1",
                "Keep-Alive: timeout=5",
                "Proxy-Connection: keep-alive",
                "Proxy-Authorization: Basic eA==",
                "Transfer-Encoding: chunked",
                "Upgrade: h2c",
                "TE: gzip",
                "Expect: 100-continue",
                "HOST: web.localhost:8001",
                "content-length: 3",
                "cookie: a=1",
            ],
            &["host: web.localhost:8001"],
        );
        check(&["Connection: x-upgrade-y", "Upgrade: websocket"], &[]);
        check(&["TE: gzip;q=0.5, Trailers", "Connection: TE", "trailer: X-Sum"], &["te: trailers", "trailer: X-Sum"]);
    }

    #[test]
    fn a_handshake_keeps_its_upgrade() {
        let lines = prepared(
            &["Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Extensions: permessage-deflate"],
            true,
        );
        assert_eq!(
            lines,
            [
                "connection: Upgrade",
                "sec-websocket-extensions: permessage-deflate",
                "upgrade: websocket",
                PLAIN[0],
                PLAIN[1]
            ]
        );
    }

    #[test]
    fn t11_our_cookie_stays_here() {
        check(
            &["cookie: a=1; svcproxy-session-8001=x", "cookie: svcproxy-session-8001=y", "cookie: b=2"],
            &["cookie: a=1", "cookie: b=2"],
        );
    }

    #[test]
    fn everything_else_arrives_as_it_was_sent() {
        let lines = [
            "accept: */*",
            "accept-encoding: gzip, br",
            "if-none-match: \"x\"",
            "origin: http://web.localhost:8001",
            "range: bytes=0-1",
            "referer: http://web.localhost:8001/",
            "sec-fetch-site: same-origin",
            "user-agent: x",
            "x-custom: a",
            "x-custom: b",
        ];
        check(&lines, &lines);
    }

    #[test]
    fn answers_lose_what_is_not_for_the_client() {
        let mut headers = map(&[
            "connection: close, x-hop",
            "x-hop: 1",
            "keep-alive: timeout=5",
            "transfer-encoding: chunked",
            "upgrade: h2c",
            "trailer: x-sum",
            "strict-transport-security: max-age=1",
            "alt-svc: h3=\":443\"",
            "content-length: 5",
            "set-cookie: a=1; Domain=app.example",
            "set-cookie: svcproxy-session-8001=evil",
            "set-cookie: b=2",
            "content-security-policy: default-src 'self'",
        ]);
        prepare_answer(&mut headers, &HeaderValue::from_static("web.localhost:8001"), None);
        let expect =
            ["content-security-policy: default-src 'self'", "set-cookie: a=1", "set-cookie: b=2", "trailer: x-sum"];
        assert_eq!(text(&headers), expect);
    }

    proptest! {
        #[test]
        fn t8_t9_whatever_is_sent(lines in prop::collection::vec(("(Impersonate-|impersonate-|X-Remote-|x-forwarded-|x-|Audit-Id|forwarded|connection|upgrade|te)[a-z-]{0,6}", "[a-z, -]{0,12}"), 0..12)) {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(&value).unwrap());
            }
            prepare_request(&mut headers, &outer(), false);
            for name in headers.keys().filter(|name| *name != X_FORWARDED_HOST && *name != X_FORWARDED_PROTO && *name != TE) {
                prop_assert!(!is_forbidden(name.as_str()), "{}", name);
                prop_assert!(!matches!(name.as_str(), "connection" | "upgrade" | "te" | "audit-id" | "forwarded"), "{}", name);
            }
            prop_assert_eq!(headers.get_all(X_FORWARDED_HOST).iter().count(), 1);
        }
    }
}
