//! Whoever a request comes from and whatever it says: what the guard admits is this user's, calls us by our name, and is
//! no other page's doing. One header a line, its first octet names it.
#![no_main]

use std::net::IpAddr;

use http::header::{CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use libfuzzer_sys::fuzz_target;
use svcproxy::message::scheme::Scheme;
use svcproxy::proxy::local::GuardPolicy;
use svcproxy::proxy::local::guard::admit::{AdmittedRequest, ClientPeer, RequestFacts, admit};
use svcproxy::proxy::local::guard::hosts::{OwnHost, OwnHosts};

const LABEL: &str = "web--ns--abc123";
const PORT: u16 = 8001;
const NAMES: [&str; 14] = [
    "host",
    "origin",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "connection",
    "upgrade",
    "upgrade-insecure-requests",
    "x-http-method-override",
    "sec-purpose",
    "service-worker",
    "referer",
    "transfer-encoding",
    "x-method-override",
];
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "PROPFIND"];

fuzz_target!(|data: &[u8]| {
    let [first, second, rest @ ..] = data else { return };
    let (first, second) = (*first, *second);
    let mut lines = rest.split(|&byte| byte == b'\n');
    let Ok(uri) = Uri::try_from(lines.next().unwrap_or_default()) else { return };
    let mut headers = HeaderMap::new();
    // With most of them missing nothing would ever be a handshake.
    if first & 1 == 1 {
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    for line in lines.take(12) {
        let Some((&name, value)) = line.split_first() else { continue };
        // `§` keeps the fuzzer from having to find our name.
        let value = String::from_utf8_lossy(value).replace('§', &format!("{LABEL}.localhost:{PORT}"));
        let Ok(value) = HeaderValue::from_str(&value) else { continue };
        headers.append(HeaderName::from_static(NAMES[usize::from(name) % NAMES.len()]), value);
    }
    let method: Method = METHODS[usize::from(second) % METHODS.len()].parse().unwrap();
    let peer = if first & 2 == 0 { ClientPeer::Trusted } else { ClientPeer::Unknown };
    let policy = GuardPolicy { read_only: first >= 128, ..GuardPolicy::default() };
    let hosts =
        OwnHosts { labels: vec![LABEL.to_owned()], port: Some(PORT), addresses: Vec::new(), allowed: Vec::new() };
    let scheme = if first & 4 == 0 { Scheme::Http } else { Scheme::Https };
    let is_from_login = first & 8 != 0;
    let version = Version::HTTP_11;
    let facts = RequestFacts { peer, scheme, method: &method, uri: &uri, version, headers: &headers, is_from_login };
    if let Ok(admitted) = admit(&policy, &hosts, &facts) {
        check(&policy, &facts, &admitted);
    }
});

fn check(policy: &GuardPolicy, facts: &RequestFacts<'_>, admitted: &AdmittedRequest<'_>) {
    let values = |name: &str| facts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    assert_eq!(facts.peer, ClientPeer::Trusted);

    assert_eq!(values(HOST.as_str()), [admitted.authority.as_bytes()]);
    let authority = admitted.authority.to_ascii_lowercase();
    let name = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    let name = name.map_or(authority.as_str(), |(name, _)| name);
    let is_ours = match admitted.host {
        OwnHost::Site(0) => name == format!("{LABEL}.localhost"),
        OwnHost::Localhost => name == "localhost",
        OwnHost::Loopback => name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        OwnHost::Site(_) | OwnHost::Named => false,
    };
    assert!(is_ours, "{authority}");

    let (scheme, usual_port) = if facts.scheme == Scheme::Https { ("https", ":443") } else { ("http", ":80") };
    let own = format!("{scheme}://{}", authority.strip_suffix(usual_port).unwrap_or(&authority));
    let origins = values(ORIGIN.as_str());
    let is_own = |origin: &[u8]| origin.eq_ignore_ascii_case(own.as_bytes());
    let goes_to_a_document = values("sec-fetch-mode") == [b"navigate"] && values("sec-fetch-dest") == [b"document"];
    let is_a_login_coming_back = facts.is_from_login && facts.method == Method::POST && goes_to_a_document;
    let sites = values("sec-fetch-site");
    match origins[..] {
        [] => assert!(!admitted.is_handshake),
        [b"null"] if !is_a_login_coming_back => assert!(sites == [b"same-origin"] && !admitted.is_handshake),
        [origin] => assert!(is_own(origin) || is_a_login_coming_back, "{origin:?}"),
        _ => panic!("{origins:?}"),
    }

    let reads = matches!(*facts.method, Method::GET | Method::HEAD);
    let is_of_another_page = !matches!(sites[..], [] | [b"same-origin" | b"none"]);
    if is_of_another_page && !admitted.is_handshake && !is_a_login_coming_back {
        assert!(reads && goes_to_a_document, "{:?}", facts.headers);
    }
    let framed =
        values("sec-fetch-dest").iter().any(|dest| matches!(*dest, b"iframe" | b"frame" | b"embed" | b"object"));
    assert!(matches!(admitted.host, OwnHost::Site(_)) || values("service-worker").is_empty());
    assert!(sites == [b"same-origin"] || !values("sec-purpose").contains(&&b"prefetch"[..]));
    let codings = values("transfer-encoding");
    assert!(codings.len() <= 1 && codings.iter().all(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked")));
    assert!(!framed || sites == [b"same-origin"] || values("sec-fetch-dest").len() > 1);
    assert!(!policy.read_only || (!admitted.is_handshake && (reads || facts.method == Method::OPTIONS)));
    assert!(facts.uri.authority().is_none() && facts.uri.path().starts_with('/'));
    assert!(!facts.uri.path().split('/').any(|segment| matches!(segment, "." | "..")));
}
