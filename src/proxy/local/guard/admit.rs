//! Whether a request may pass, from nothing but what it says and who sent it. Pure.
//!
//! Whoever reaches the listener acts with the user's rights in the cluster, and every web page can reach it. So each
//! request must come from this user, call us by one of our names, and not be another site's doing.

use http::header::{
    CONNECTION, HOST, ORIGIN, REFERER, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, Method, Uri, Version};

use super::hosts::{OwnHost, OwnHosts};
use super::policy::GuardPolicy;
use crate::message::field_tokens::{has_token, only_value};
use crate::message::host_port::without_default_port;
use crate::message::safe_path::{PathFault, SafePath};
use crate::message::scheme::Scheme;

/// Fetch Metadata (W3C): how the request came to be.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// What browsers say when they fetch what may never be shown, or is not shown yet; the others are what they said before.
const PREFETCHES: [&str; 3] = ["sec-purpose", "purpose", "x-moz"];
/// What browsers say when a page registers a service worker, or when they look for a newer one (W3C Service Workers).
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");
/// What browsers older than Fetch Metadata say when they navigate.
const UPGRADE_INSECURE_REQUESTS: HeaderName = HeaderName::from_static("upgrade-insecure-requests");

/// With these some Services take a request for one of another method.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientPeer {
    /// This user, root, or somebody who need not be checked.
    Trusted,
    /// The user of this machine with this number.
    OtherUser(u32),
    /// Somebody on this machine whose connection the system does not know any more.
    Unknown,
}

/// What of a request the guard looks at.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// Who sent it.
    pub peer: ClientPeer,
    /// By what it came: https is TLS that ends here.
    pub scheme: Scheme,
    /// Its method.
    pub method: &'a Method,
    /// Its target as it came.
    pub uri: &'a Uri,
    /// Its HTTP version.
    pub version: Version,
    /// Its headers as they came.
    pub headers: &'a HeaderMap,
    /// Whether its `Origin` is another Service's site, or one to which this site sent the browser lately.
    pub is_from_login: bool,
}

/// A request that may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedRequest<'a> {
    /// Whom it is for.
    pub host: OwnHost,
    /// Its path and query.
    pub target: SafePath,
    /// `Host` as it came: one of our names, perhaps with capitals.
    pub authority: &'a str,
    /// Whether a browser goes to this page, rather than fetching a part of one.
    pub is_navigation: bool,
    /// Whether another site's page made the browser send it.
    pub is_from_elsewhere: bool,
    /// Whether a browser shows the answer in a tab, whatever the method.
    pub is_top_level: bool,
    /// Whether it opens a WebSocket (RFC 6455 section 4.1).
    pub is_handshake: bool,
    /// Whether nothing tells whose page sent it, where browsers do not.
    pub is_unmarked: bool,
}

/// Why a request may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardRefusal {
    /// The connection is another user's, or nobody's.
    Stranger(Option<u32>),
    /// There is no `Host`, or more than one, or it is no text.
    NoSingleHost,
    /// The `Host` is not ours.
    UnknownHost(String),
    /// The `Origin` is not the site's own.
    ForeignOrigin(String),
    /// Another site made the browser send it, and it is no navigation to a page.
    CrossSite,
    /// It is to be shown inside of another site's page.
    Framed,
    /// Another site's page had it fetched before anybody asked for it.
    Prefetched,
    /// A service worker, which would outlive the Service at an address that is not the Service's alone.
    ServiceWorker,
    /// A body in another transfer coding than "chunked".
    TransferCoding,
    /// A WebSocket without an `Origin`.
    NoOrigin(String),
    /// `--read-only` and a method that may write.
    ReadOnly(Method),
    /// `--read-only` and a WebSocket.
    ReadOnlyTunnel,
    /// `--read-only` and a header that asks some Services for another method.
    ReadOnlyOverride,
    /// CONNECT: this is no forward proxy.
    Connect,
    /// The target is not a path.
    NotAPath,
    /// The path has a fault.
    Path(PathFault),
}

/// What browsers put around a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FetchMetadata<'a> {
    site: Option<&'a str>,
    mode: Option<&'a str>,
    destination: Option<&'a str>,
}

/// Whether the request of `facts` may pass.
///
/// # Errors
/// The first rule that it breaks.
pub fn admit<'a>(
    policy: &GuardPolicy,
    hosts: &OwnHosts,
    facts: &RequestFacts<'a>,
) -> Result<AdmittedRequest<'a>, GuardRefusal> {
    check_peer(policy, facts.peer)?;
    let authority = only_value(facts.headers, &HOST).ok_or(GuardRefusal::NoSingleHost)?;
    let host = hosts.find(authority).ok_or_else(|| GuardRefusal::UnknownHost(authority.to_owned()))?;
    let fetch = FetchMetadata::of(facts.headers);
    let is_handshake = is_handshake(facts);
    let own = own_origin(host, authority, facts.scheme);
    check_transfer_coding(facts.headers)?;
    check_service_worker(host, facts.headers)?;
    check_prefetch(facts.headers, &fetch)?;
    check_origin(policy, facts, &fetch, is_handshake, own)?;
    let is_unmarked = is_unmarked(host, facts.headers);
    let is_referred = is_unmarked && is_referred_from_elsewhere(policy, facts.headers, own);
    if is_referred && !is_navigation(facts, &fetch) {
        return Err(GuardRefusal::CrossSite);
    }
    check_method(policy, facts, is_handshake)?;
    let target = facts.uri.path_and_query().ok_or(GuardRefusal::NotAPath)?;
    let target = SafePath::check(target).map_err(GuardRefusal::Path)?;
    let is_navigation = is_navigation(facts, &fetch);
    let is_from_elsewhere = is_referred || matches!(fetch.site, Some("cross-site" | "same-site"));
    let is_top_level = fetch.is_top_level_navigation();
    Ok(AdmittedRequest {
        host,
        target,
        authority,
        is_navigation,
        is_from_elsewhere,
        is_top_level,
        is_handshake,
        is_unmarked,
    })
}

/// Whether a request with `headers` to `host` came by a name to which browsers send no Fetch Metadata without TLS, and has none.
pub(crate) fn is_unmarked(host: OwnHost, headers: &HeaderMap) -> bool {
    host == OwnHost::Named && !headers.contains_key(SEC_FETCH_SITE)
}

/// Whether a page elsewhere leads the browser here, in a tab: it may hold on to that.
pub(crate) fn is_led_here(headers: &HeaderMap) -> bool {
    let fetch = FetchMetadata::of(headers);
    fetch.is_top_level_navigation() && matches!(fetch.site, Some("cross-site" | "same-site"))
}

/// Whether the page that the browser names as the one before is none of ours, nor one that the user trusts.
fn is_referred_from_elsewhere(policy: &GuardPolicy, headers: &HeaderMap, own: OwnOrigin<'_>) -> bool {
    let is_ours = |referrer: &str| {
        let end = referrer.find("://").map_or(0, |at| at + 3);
        let end = referrer[end..].find(['/', '?', '#']).map_or(referrer.len(), |at| end + at);
        own.is(&referrer[..end]) || is_trusted(policy, &referrer[..end])
    };
    headers.get_all(REFERER).iter().any(|value| !value.to_str().is_ok_and(is_ours))
}

fn is_trusted(policy: &GuardPolicy, origin: &str) -> bool {
    policy.allow_origins.iter().any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

/// Nothing decodes what is neither plain nor "chunked", and an app would not learn of it (RFC 9112 section 6.1).
fn check_transfer_coding(headers: &HeaderMap) -> Result<(), GuardRefusal> {
    let is_chunked =
        only_value(headers, &TRANSFER_ENCODING).is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    if is_chunked || !headers.contains_key(TRANSFER_ENCODING) { Ok(()) } else { Err(GuardRefusal::TransferCoding) }
}

/// Only a site's own name is its Service's alone.
fn check_service_worker(host: OwnHost, headers: &HeaderMap) -> Result<(), GuardRefusal> {
    let is_own = matches!(host, OwnHost::Site(_));
    if is_own || !headers.contains_key(SERVICE_WORKER) { Ok(()) } else { Err(GuardRefusal::ServiceWorker) }
}

/// Nobody goes to a page by having it fetched or drawn out of sight, with the user's session. Chromium says "none" of what
/// another page had it fetch, as of what the user began to type: that is asked for again when the user goes there.
fn check_prefetch(headers: &HeaderMap, fetch: &FetchMetadata<'_>) -> Result<(), GuardRefusal> {
    let says = |name: &str| headers.get_all(name).iter().any(|value| is_prefetch(value.as_bytes()));
    if fetch.site != Some("same-origin") && PREFETCHES.into_iter().any(says) {
        Err(GuardRefusal::Prefetched)
    } else {
        Ok(())
    }
}

fn is_prefetch(purpose: &[u8]) -> bool {
    let purpose = purpose.to_ascii_lowercase();
    [&b"prefetch"[..], b"prerender", b"preview"]
        .iter()
        .any(|word| purpose.windows(word.len()).any(|part| part == *word))
}

fn check_peer(policy: &GuardPolicy, peer: ClientPeer) -> Result<(), GuardRefusal> {
    match peer {
        _ if policy.allow_other_users => Ok(()),
        ClientPeer::Trusted => Ok(()),
        ClientPeer::OtherUser(user) => Err(GuardRefusal::Stranger(Some(user))),
        ClientPeer::Unknown => Err(GuardRefusal::Stranger(None)),
    }
}

/// The origins of pages that were loaded under `authority`. Before a name that the user allowed there may be a TLS
/// proxy; at our own ones there is none, and what is loaded by TLS is TLS' alone.
fn own_origin(host: OwnHost, authority: &str, scheme: Scheme) -> OwnOrigin<'_> {
    OwnOrigin {
        authority: without_default_port(scheme, authority),
        may_be_plain: scheme == Scheme::Http,
        may_be_tls: scheme == Scheme::Https || host == OwnHost::Named,
    }
}

#[derive(Debug, Clone, Copy)]
struct OwnOrigin<'a> {
    authority: &'a str,
    may_be_plain: bool,
    may_be_tls: bool,
}

impl OwnOrigin<'_> {
    fn is(&self, origin: &str) -> bool {
        let is_own = |scheme, authority| without_default_port(scheme, authority).eq_ignore_ascii_case(self.authority);
        match origin.split_once("://") {
            Some(("http", authority)) => self.may_be_plain && is_own(Scheme::Http, authority),
            Some(("https", authority)) => self.may_be_tls && is_own(Scheme::Https, authority),
            _ => false,
        }
    }

    fn text(&self) -> String {
        format!("{}://{}", if self.may_be_plain { "http" } else { "https" }, self.authority)
    }
}

fn check_origin(
    policy: &GuardPolicy,
    facts: &RequestFacts<'_>,
    fetch: &FetchMetadata<'_>,
    is_handshake: bool,
    own: OwnOrigin<'_>,
) -> Result<(), GuardRefusal> {
    if fetch.is_framed() && fetch.site != Some("same-origin") {
        return Err(GuardRefusal::Framed);
    }
    if !facts.headers.contains_key(ORIGIN) {
        return match is_handshake {
            // Chromium sends no Fetch Metadata with these, so nothing else would tell whose they are.
            true => Err(GuardRefusal::NoOrigin(own.text())),
            false => check_site(facts.method, fetch),
        };
    }
    let foreign = || GuardRefusal::ForeignOrigin(text_of_all(facts.headers, &ORIGIN));
    let origin = only_value(facts.headers, &ORIGIN).ok_or_else(foreign)?;
    if is_trusted(policy, origin) {
        return Ok(());
    }
    // What came by a redirect to the login may come back by a form (SAML, OpenID Connect's `form_post`).
    if facts.is_from_login && facts.method == Method::POST && fetch.is_top_level_navigation() {
        return Ok(());
    }
    match own.is(origin) {
        true if is_handshake => Ok(()),
        true => check_site(facts.method, fetch),
        // A page that sends no referrer has this origin in its forms, though they are its own.
        false if origin == "null" && fetch.site == Some("same-origin") && !is_handshake => Ok(()),
        false => Err(foreign()),
    }
}

/// Top-level navigations may come from anywhere, as login redirects do, but only those that read.
fn check_site(method: &Method, fetch: &FetchMetadata<'_>) -> Result<(), GuardRefusal> {
    match fetch.site {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if is_reading(method) && fetch.is_top_level_navigation() => Ok(()),
        Some(_) => Err(GuardRefusal::CrossSite),
    }
}

impl<'a> FetchMetadata<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let value = |name| headers.contains_key(&name).then(|| only_value(headers, &name).unwrap_or("?"));
        Self { site: value(SEC_FETCH_SITE), mode: value(SEC_FETCH_MODE), destination: value(SEC_FETCH_DEST) }
    }

    fn is_framed(&self) -> bool {
        matches!(self.destination, Some("iframe" | "frame" | "embed" | "object" | "fencedframe"))
    }

    fn is_top_level_navigation(&self) -> bool {
        self.mode == Some("navigate") && self.destination == Some("document")
    }
}

/// Whether a person goes to this page; not where a frame within a page does.
fn is_navigation(facts: &RequestFacts<'_>, fetch: &FetchMetadata<'_>) -> bool {
    is_reading(facts.method)
        && match fetch.mode {
            Some(mode) => mode == "navigate" && !fetch.is_framed(),
            None => facts.headers.contains_key(UPGRADE_INSECURE_REQUESTS),
        }
}

/// Whether browsers only read by this method (RFC 9110 section 9.2.1).
pub(crate) fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn check_method(policy: &GuardPolicy, facts: &RequestFacts<'_>, is_handshake: bool) -> Result<(), GuardRefusal> {
    if facts.method == Method::CONNECT {
        return Err(GuardRefusal::Connect);
    }
    if facts.uri.scheme().is_some() || facts.uri.authority().is_some() || !facts.uri.path().starts_with('/') {
        return Err(GuardRefusal::NotAPath);
    }
    if policy.read_only && is_handshake {
        return Err(GuardRefusal::ReadOnlyTunnel);
    }
    if policy.read_only && METHOD_OVERRIDES.iter().any(|name| facts.headers.contains_key(*name)) {
        return Err(GuardRefusal::ReadOnlyOverride);
    }
    if policy.read_only && !is_reading(facts.method) && facts.method != Method::OPTIONS {
        return Err(GuardRefusal::ReadOnly(facts.method.clone()));
    }
    Ok(())
}

/// A client's half of RFC 6455 section 4.1. Whatever else asks for an upgrade is a plain request: to the API server
/// any `Connection` with "upgrade" in it opens a raw tunnel (apimachinery `pkg/util/httpstream`,
/// `IsUpgradeRequest`).
fn is_handshake(facts: &RequestFacts<'_>) -> bool {
    facts.method == Method::GET
        && facts.version == Version::HTTP_11
        && only_value(facts.headers, &UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        && only_value(facts.headers, &SEC_WEBSOCKET_VERSION) == Some("13")
        && only_value(facts.headers, &SEC_WEBSOCKET_KEY).is_some()
        && has_token(facts.headers, &CONNECTION, "upgrade")
}

fn text_of_all(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    values.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const OWN: &str = "web--ns--abc123.localhost:8001";
    const OWN_ORIGIN: &str = "http://web--ns--abc123.localhost:8001";

    /// A request to be judged; `lines` are `name: value`.
    struct Case {
        policy: GuardPolicy,
        peer: ClientPeer,
        method: Method,
        target: &'static str,
        version: Version,
        lines: Vec<String>,
        is_from_login: bool,
        scheme: Scheme,
    }

    fn request(method: &str, lines: &[&str]) -> Case {
        let mut case = bare(method, lines);
        case.lines.insert(0, format!("host: {OWN}"));
        case
    }

    fn bare(method: &str, lines: &[&str]) -> Case {
        Case {
            policy: GuardPolicy::default(),
            peer: ClientPeer::Trusted,
            method: method.parse().unwrap(),
            target: "/a?b",
            version: Version::HTTP_11,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            is_from_login: false,
            scheme: Scheme::Http,
        }
    }

    fn handshake(lines: &[&str]) -> Case {
        let mut case = request("GET", lines);
        let fixed = [
            "connection: keep-alive, Upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "sec-websocket-key: a",
        ];
        case.lines.extend(fixed.map(str::to_owned));
        case
    }

    impl Case {
        fn with(mut self, change: impl FnOnce(&mut GuardPolicy)) -> Self {
            change(&mut self.policy);
            self
        }

        fn by_tls(self) -> Self {
            Self { scheme: Scheme::Https, ..self }
        }

        fn to(self, target: &'static str) -> Self {
            Self { target, ..self }
        }

        fn from(self, peer: ClientPeer) -> Self {
            Self { peer, ..self }
        }

        fn judge(&self) -> Result<(OwnHost, bool, bool), GuardRefusal> {
            let hosts = OwnHosts {
                labels: vec!["web--ns--abc123".to_owned()],
                port: Some(8001),
                addresses: Vec::new(),
                allowed: self.policy.allow_hosts.clone(),
            };
            let line = |line: &String| {
                let (name, value) = line.split_once(": ").unwrap();
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            };
            let headers: HeaderMap = self.lines.iter().map(line).collect();
            let uri: Uri = self.target.parse().unwrap();
            let facts = RequestFacts {
                peer: self.peer,
                scheme: self.scheme,
                method: &self.method,
                uri: &uri,
                version: self.version,
                headers: &headers,
                is_from_login: self.is_from_login,
            };
            admit(&self.policy, &hosts, &facts).map(|found| (found.host, found.is_navigation, found.is_handshake))
        }

        fn passes(&self) {
            assert!(self.judge().is_ok(), "{:?} of {} {:?}", self.judge(), self.method, self.lines);
        }

        fn fails(&self, refusal: &GuardRefusal) {
            assert_eq!(self.judge().as_ref(), Err(refusal), "{} {:?}", self.method, self.lines);
        }
    }

    #[test]
    fn what_browsers_and_curl_send_passes() {
        request("GET", &[]).passes();
        request("POST", &[]).passes();
        request("PROPFIND", &[]).passes();
        request("GET", &["sec-fetch-site: none", "sec-fetch-mode: navigate", "sec-fetch-dest: document"]).passes();
        request("GET", &["sec-fetch-site: same-origin", "sec-fetch-mode: no-cors", "sec-fetch-dest: script"]).passes();
        request("GET", &["sec-fetch-site: same-origin", "sec-fetch-mode: navigate", "sec-fetch-dest: iframe"]).passes();
        let form = format!("origin: {OWN_ORIGIN}");
        request(
            "POST",
            &[&form, "sec-fetch-site: same-origin", "sec-fetch-mode: navigate", "sec-fetch-dest: document"],
        )
        .passes();
        request("POST", &[&form]).passes();
        request("POST", &["origin: null", "sec-fetch-site: same-origin"]).passes();
        request("OPTIONS", &[&form, "sec-fetch-site: same-origin", "access-control-request-method: PUT"]).passes();
    }

    #[test]
    fn t1_dns_rebinding() {
        for host in ["evil.example:8001", "web--ns--abc123.localhost.evil:8001", "other.localhost", "localhost:x"] {
            bare("GET", &[&format!("host: {host}")]).fails(&GuardRefusal::UnknownHost(host.to_owned()));
        }
        bare("GET", &[]).fails(&GuardRefusal::NoSingleHost);
        bare("GET", &["host: localhost:8001", "host: localhost:8001"]).fails(&GuardRefusal::NoSingleHost);
        bare("GET", &["host: localhost:8001, evil"])
            .fails(&GuardRefusal::UnknownHost("localhost:8001, evil".to_owned()));
        request("GET", &[]).to("http://evil.example/").fails(&GuardRefusal::NotAPath);
        request("GET", &[]).to("http://web--ns--abc123.localhost:8001/").fails(&GuardRefusal::NotAPath);
        bare("GET", &["host: dev.example"]).with(|policy| policy.allow_hosts.push("dev.example".to_owned())).passes();
    }

    /// `ssh -L 9000:localhost:8001`: the page's own requests pass, those of a page at any other port do not.
    #[test]
    fn t2_a_forwarded_port() {
        for host in ["localhost:9000", "127.0.0.1:9000", "[::1]:9000", "web--ns--abc123.localhost:9000"] {
            let host_line = format!("host: {host}");
            let with = |lines: &[&str]| {
                let mut lines = lines.to_vec();
                lines.push(&host_line);
                bare("POST", &lines)
            };
            let own = format!("origin: http://{host}");
            with(&[]).passes();
            with(&[&own, "sec-fetch-site: same-origin"]).passes();
            for foreign in
                ["http://localhost:8001", "http://localhost:9001", OWN_ORIGIN, "http://evil.example:9000", "null"]
            {
                let origin = format!("origin: {foreign}");
                let refusal = GuardRefusal::ForeignOrigin(foreign.to_owned());
                with(&[&origin]).fails(&refusal);
                with(&[&origin, "sec-fetch-site: same-site"]).fails(&refusal);
            }
            let tls = format!("https://{host}");
            with(&[&format!("origin: {tls}")]).fails(&GuardRefusal::ForeignOrigin(tls));
            for site in ["cross-site", "same-site"] {
                with(&[&format!("sec-fetch-site: {site}")]).fails(&GuardRefusal::CrossSite);
            }
        }
    }

    #[test]
    fn t2_cross_site_requests() {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            for site in ["cross-site", "same-site", "unheard-of"] {
                let site = format!("sec-fetch-site: {site}");
                request(method, &[&site]).fails(&GuardRefusal::CrossSite);
                request(method, &[&site, "sec-fetch-mode: no-cors", "sec-fetch-dest: image"])
                    .fails(&GuardRefusal::CrossSite);
                request(method, &[&site, "sec-fetch-mode: cors", "sec-fetch-dest: empty"])
                    .fails(&GuardRefusal::CrossSite);
            }
            for origin in [
                "http://evil.example",
                "null",
                "http://localhost:8001",
                "https://web--ns--abc123.localhost:8001",
                "x",
                "",
            ] {
                let foreign = GuardRefusal::ForeignOrigin(origin.to_owned());
                request(method, &[&format!("origin: {origin}")]).fails(&foreign);
                let navigation = ["sec-fetch-mode: navigate", "sec-fetch-dest: document", "sec-fetch-site: cross-site"];
                request(method, &[&[format!("origin: {origin}").as_str()][..], &navigation].concat()).fails(&foreign);
            }
            let both = [&format!("origin: {OWN_ORIGIN}") as &str, "origin: http://evil.example"];
            request(method, &both).fails(&GuardRefusal::ForeignOrigin(format!("{OWN_ORIGIN}, http://evil.example")));
            request(method, &[&format!("origin: {OWN_ORIGIN}"), "sec-fetch-site: cross-site"])
                .fails(&GuardRefusal::CrossSite);
            request(method, &["sec-fetch-site: same-origin", "sec-fetch-site: cross-site"])
                .fails(&GuardRefusal::CrossSite);
        }
    }

    #[test]
    fn t2_only_reading_navigations_come_from_elsewhere() {
        let navigation = ["sec-fetch-site: cross-site", "sec-fetch-mode: navigate", "sec-fetch-dest: document"];
        request("GET", &navigation).passes();
        let unclear = [&navigation[..], &["sec-fetch-site: same-origin"]].concat();
        request("GET", &unclear).passes();
        for method in ["POST", "PUT", "DELETE"] {
            request(method, &navigation).fails(&GuardRefusal::CrossSite);
            request(method, &unclear).fails(&GuardRefusal::CrossSite);
        }
    }

    #[test]
    fn t2_logins_come_back_by_post_in_a_tab_only() {
        const LOGIN: &str = "https://idp.example";
        let from_login = |method: &str, mode: &str, destination: &str| {
            let lines = [("origin", LOGIN), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode)];
            let mut lines: Vec<String> = lines.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            lines.push(format!("sec-fetch-dest: {destination}"));
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            Case { is_from_login: true, ..request(method, &lines) }
        };
        let foreign = GuardRefusal::ForeignOrigin(LOGIN.to_owned());
        from_login("POST", "navigate", "document").passes();
        Case { is_from_login: false, ..from_login("POST", "navigate", "document") }.fails(&foreign);
        from_login("POST", "navigate", "iframe").fails(&GuardRefusal::Framed);
        for (method, mode, destination) in
            [("PUT", "navigate", "document"), ("POST", "cors", "empty"), ("POST", "no-cors", "image")]
        {
            from_login(method, mode, destination).fails(&foreign);
        }
        let read_only = from_login("POST", "navigate", "document").with(|policy| policy.read_only = true);
        read_only.fails(&GuardRefusal::ReadOnly(Method::POST));
        let mut socket = handshake(&["origin: https://idp.example"]);
        socket.is_from_login = true;
        socket.fails(&foreign);
    }

    #[test]
    fn pages_the_user_trusts() {
        let trust = |policy: &mut GuardPolicy| policy.allow_origins.push("http://localhost:3000/".to_owned());
        let lines = ["origin: http://localhost:3000", "sec-fetch-site: cross-site", "sec-fetch-mode: cors"];
        request("POST", &lines).with(trust).passes();
        handshake(&lines[..1]).with(trust).passes();
        request("POST", &["origin: http://localhost:3001"])
            .with(trust)
            .fails(&GuardRefusal::ForeignOrigin("http://localhost:3001".to_owned()));
    }

    #[test]
    fn behind_a_tls_proxy_that_the_user_allowed() {
        let allow = |policy: &mut GuardPolicy| policy.allow_hosts.push("dev.example".to_owned());
        bare("POST", &["host: dev.example", "origin: https://dev.example"]).with(allow).passes();
        bare("POST", &["host: dev.example", "origin: http://dev.example"]).with(allow).passes();
        let foreign = GuardRefusal::ForeignOrigin("https://evil.example".to_owned());
        bare("POST", &["host: dev.example", "origin: https://evil.example"]).with(allow).fails(&foreign);
    }

    /// RFC 6454 section 5; browsers leave it out.
    #[test]
    fn the_port_of_a_scheme_is_the_same_written_or_not() {
        let allow = |policy: &mut GuardPolicy| policy.allow_hosts.push("dev.example".to_owned());
        for host in ["dev.example", "dev.example:80"] {
            let host = format!("host: {host}");
            for (port, is_own) in [("", true), (":80", true), (":443", false), (":8080", false)] {
                let origin = format!("http://dev.example{port}");
                let foreign = GuardRefusal::ForeignOrigin(origin.clone());
                let posted = bare("POST", &[&host, &format!("origin: {origin}")]).with(allow);
                let referred = bare("GET", &[&host, &format!("referer: {origin}/a")]).with(allow);
                if is_own {
                    posted.passes();
                    referred.passes();
                } else {
                    posted.fails(&foreign);
                    referred.fails(&GuardRefusal::CrossSite);
                }
            }
        }
    }

    #[test]
    fn t3_cross_site_websockets() {
        handshake(&[&format!("origin: {OWN_ORIGIN}")]).passes();
        handshake(&[&format!("origin: {OWN_ORIGIN}"), "sec-fetch-site: same-origin", "sec-fetch-mode: websocket"])
            .passes();
        handshake(&[]).fails(&GuardRefusal::NoOrigin(OWN_ORIGIN.to_owned()));
        handshake(&["sec-fetch-site: same-origin"]).fails(&GuardRefusal::NoOrigin(OWN_ORIGIN.to_owned()));
        for origin in ["http://evil.example", "null", "http://localhost:8001", "https://web--ns--abc123.localhost:8001"]
        {
            let lines = [&format!("origin: {origin}") as &str, "sec-fetch-site: same-origin"];
            handshake(&lines[..1]).fails(&GuardRefusal::ForeignOrigin(origin.to_owned()));
            handshake(&lines).fails(&GuardRefusal::ForeignOrigin(origin.to_owned()));
        }
    }

    #[test]
    fn pages_by_tls_have_an_origin_of_their_own() {
        let tls = format!("origin: {}", OWN_ORIGIN.replace("http:", "https:"));
        let plain = format!("origin: {OWN_ORIGIN}");
        request("POST", &[&tls]).by_tls().passes();
        handshake(&[&tls]).by_tls().passes();
        request("POST", &[&plain]).by_tls().fails(&GuardRefusal::ForeignOrigin(OWN_ORIGIN.to_owned()));
        request("POST", &[&tls]).fails(&GuardRefusal::ForeignOrigin(tls["origin: ".len()..].to_owned()));
        handshake(&[]).by_tls().fails(&GuardRefusal::NoOrigin(tls["origin: ".len()..].to_owned()));
    }

    #[test]
    fn t14_what_is_no_handshake_is_a_plain_request() {
        let own = format!("origin: {OWN_ORIGIN}");
        let is_handshake = |case: Case| case.judge().unwrap().2;
        assert!(is_handshake(handshake(&[&own])));
        assert!(!is_handshake(Case { method: Method::POST, ..handshake(&[&own]) }));
        assert!(!is_handshake(Case { version: Version::HTTP_10, ..handshake(&[&own]) }));
        for (missing, other) in [
            ("connection: keep-alive, Upgrade", "connection: x-upgrade-y"),
            ("upgrade: websocket", "upgrade: h2c"),
            ("upgrade: websocket", "upgrade: websocket, h2c"),
            ("sec-websocket-version: 13", "sec-websocket-version: 8"),
            ("sec-websocket-key: a", "sec-websocket-keys: a"),
        ] {
            let mut case = handshake(&[&own]);
            case.lines.retain(|line| line != missing);
            case.lines.push(other.to_owned());
            assert!(!is_handshake(case), "{other}");
        }
    }

    #[test]
    fn t4_other_users() {
        request("GET", &[]).from(ClientPeer::OtherUser(1000)).fails(&GuardRefusal::Stranger(Some(1000)));
        request("GET", &[]).from(ClientPeer::Unknown).fails(&GuardRefusal::Stranger(None));
        bare("GET", &["host: evil"]).from(ClientPeer::OtherUser(1000)).fails(&GuardRefusal::Stranger(Some(1000)));
        request("GET", &[]).from(ClientPeer::OtherUser(1000)).with(|policy| policy.allow_other_users = true).passes();
    }

    #[test]
    fn t5_paths() {
        request("GET", &[]).to("/a/..%2fb").fails(&GuardRefusal::Path(PathFault::DotSegment));
        request("GET", &[]).to("/%zz").fails(&GuardRefusal::Path(PathFault::Escape));
        request("GET", &[]).to("/a?b=../%00%zz").passes();
    }

    #[test]
    fn t24_frames() {
        for destination in ["iframe", "frame", "embed", "object", "fencedframe"] {
            let destination = format!("sec-fetch-dest: {destination}");
            for site in ["cross-site", "same-site", "none"] {
                let site = format!("sec-fetch-site: {site}");
                request("GET", &[&site, &destination, "sec-fetch-mode: navigate"]).fails(&GuardRefusal::Framed);
            }
            request("GET", &[&destination]).fails(&GuardRefusal::Framed);
            request("GET", &["sec-fetch-site: same-origin", &destination, "sec-fetch-mode: navigate"]).passes();
        }
    }

    #[test]
    fn reading_only() {
        let read_only = |policy: &mut GuardPolicy| policy.read_only = true;
        for method in ["GET", "HEAD", "OPTIONS"] {
            request(method, &[]).with(read_only).passes();
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "TRACE", "get"] {
            request(method, &[]).with(read_only).fails(&GuardRefusal::ReadOnly(method.parse().unwrap()));
        }
        handshake(&[&format!("origin: {OWN_ORIGIN}")]).with(read_only).fails(&GuardRefusal::ReadOnlyTunnel);
        request("GET", &["x-http-method-override: DELETE"]).with(read_only).fails(&GuardRefusal::ReadOnlyOverride);
        request("GET", &["x-http-method-override: DELETE"]).passes();
    }

    /// To `http://dev.example` and `http://192.168.1.5` browsers send no Fetch Metadata.
    #[test]
    fn t2_where_browsers_do_not_say_whose_page_it_is() {
        let at_name = |method: &str, lines: &[&str]| {
            let case = bare(method, &[&["host: dev.example:8001"], lines].concat());
            case.with(|policy| policy.allow_hosts.push("dev.example".to_owned()))
        };
        for own in ["http://dev.example:8001/a?b", "http://DEV.example:8001", "https://dev.example:8001/"] {
            at_name("GET", &[&format!("referer: {own}")]).passes();
        }
        at_name("GET", &[]).passes();
        for foreign in [
            "http://evil.example/",
            "http://dev.example/",
            "http://dev.example:8002/",
            "http://dev.example:8001.evil/",
            "http://dev.example:8001@evil/",
            "dev.example:8001",
            "",
        ] {
            let referer = format!("referer: {foreign}");
            at_name("GET", &[&referer]).fails(&GuardRefusal::CrossSite);
            at_name("GET", &["referer: http://dev.example:8001/", &referer]).fails(&GuardRefusal::CrossSite);
            at_name("GET", &[&referer, "upgrade-insecure-requests: 1"]).passes();
            at_name("GET", &[&referer, "sec-fetch-site: same-origin"]).passes();
            request("GET", &[&referer]).passes();
        }
        let trusted = |policy: &mut GuardPolicy| policy.allow_origins.push("http://evil.example".to_owned());
        at_name("GET", &["referer: http://evil.example/"]).with(trusted).passes();
    }

    #[test]
    fn t2_nobody_elses_page_fetches_ahead() {
        for line in ["sec-purpose: prefetch;prerender", "sec-purpose: prefetch", "purpose: prefetch", "x-moz: Prefetch"]
        {
            let navigation = ["sec-fetch-mode: navigate", "sec-fetch-dest: document", line];
            for site in ["cross-site", "same-site", "none"] {
                let site = format!("sec-fetch-site: {site}");
                request("GET", &[&navigation[..], &[&site]].concat()).fails(&GuardRefusal::Prefetched);
            }
            request("GET", &[&navigation[..], &["sec-fetch-site: same-origin"]].concat()).passes();
        }
    }

    /// It would stay at `http://localhost:8001`, for whatever is served there tomorrow.
    #[test]
    fn t12_service_workers_only_under_a_name_of_the_services_own() {
        let lines = ["service-worker: script", "sec-fetch-site: same-origin", "sec-fetch-dest: serviceworker"];
        request("GET", &lines).passes();
        for host in ["localhost:8001", "127.0.0.1:8001", "[::1]:8001", "dev.example"] {
            let host = format!("host: {host}");
            let lines = [&[&host as &str][..], &lines].concat();
            let allow = |policy: &mut GuardPolicy| policy.allow_hosts.push("dev.example".to_owned());
            bare("GET", &lines).with(allow).fails(&GuardRefusal::ServiceWorker);
        }
    }

    #[test]
    fn t6_transfer_codings() {
        request("POST", &["transfer-encoding: Chunked"]).passes();
        for coding in ["gzip, chunked", "identity, chunked", "chunked, chunked", "gzip", "identity", ""] {
            request("POST", &[&format!("transfer-encoding: {coding}")]).fails(&GuardRefusal::TransferCoding);
        }
        request("POST", &["transfer-encoding: chunked", "transfer-encoding: chunked"])
            .fails(&GuardRefusal::TransferCoding);
    }

    #[test]
    fn no_forward_proxy() {
        request("CONNECT", &[]).to("evil.example:443").fails(&GuardRefusal::Connect);
        request("OPTIONS", &[]).to("*").fails(&GuardRefusal::NotAPath);
        request("GET", &[]).to("evil.example:443").fails(&GuardRefusal::NotAPath);
    }

    #[test]
    fn navigations() {
        let is_navigation = |method: &str, lines: &[&str]| request(method, lines).judge().unwrap().1;
        assert!(is_navigation(
            "GET",
            &["sec-fetch-mode: navigate", "sec-fetch-site: none", "sec-fetch-dest: document"]
        ));
        assert!(is_navigation("GET", &["upgrade-insecure-requests: 1"]));
        assert!(!is_navigation("GET", &[]));
        assert!(!is_navigation("GET", &["upgrade-insecure-requests: 1", "sec-fetch-mode: cors"]));
        assert!(!is_navigation("POST", &["sec-fetch-mode: navigate", "sec-fetch-site: same-origin"]));
        let framed = ["sec-fetch-mode: navigate", "sec-fetch-dest: iframe", "sec-fetch-site: same-origin"];
        assert!(!is_navigation("GET", &framed));
    }

    fn maybe(values: &'static [&'static str]) -> impl Strategy<Value = Option<&'static str>> {
        prop::option::of(prop::sample::select(values))
    }

    proptest! {
        /// Whoever has another origin gets in by a reading top-level navigation only.
        #[test]
        fn t2_no_way_round(
            method in prop::sample::select(&["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"][..]),
            origin in maybe(&["null", "http://evil.example", "http://localhost:8001", "http://web--ns--abc123.localhost"]),
            site in prop::sample::select(&["cross-site", "same-site"][..]),
            mode in maybe(&["navigate", "no-cors", "cors", "websocket", "same-origin"]),
            destination in maybe(&["document", "iframe", "object", "image", "empty", "script"]),
            upgrades in any::<bool>(),
        ) {
            let fields = [("origin", origin), ("sec-fetch-mode", mode), ("sec-fetch-dest", destination)];
            let mut lines = vec![format!("sec-fetch-site: {site}")];
            lines.extend(fields.iter().filter_map(|(name, value)| Some(format!("{name}: {}", (*value)?))));
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let case = Case { method: method.parse().unwrap(), ..if upgrades { handshake(&lines) } else { request("GET", &lines) } };
            if let Ok((_, _, is_handshake)) = case.judge() {
                prop_assert!(!is_handshake && matches!(method, "GET" | "HEAD"));
                prop_assert_eq!((mode, destination, origin), (Some("navigate"), Some("document"), None));
            }
        }
    }
}
