//! What a front before this program says of the browser: editors and tunnels that forward a port, and gateways. It counts
//! for names and origins that the user allowed, and for nobody else's. Pure.

use http::header::{FORWARDED, HeaderName, ORIGIN};
use http::{HeaderMap, HeaderValue};

use super::hosts::OwnHost;
use super::policy::GuardPolicy;
use crate::message::forwarded_fields::{X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::message::host_port;
use crate::message::scheme::Scheme;

/// The URL that is in the browser's address bar, as far as the app is to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OuterFront {
    /// Host and port, as in `Host`.
    pub host: HeaderValue,
    /// `https`, or else `http`.
    pub is_https: bool,
}

impl OuterFront {
    /// The one of a request to `host`, which the client wrote `authority`, and which came by `scheme`.
    ///
    /// The first of several values is the outermost front's (RFC 7239 section 4).
    pub fn of(policy: &GuardPolicy, host: OwnHost, authority: &str, scheme: Scheme, headers: &HeaderMap) -> Self {
        let said_host = first_item(headers, &X_FORWARDED_HOST).or_else(|| forwarded(headers, "host"));
        let said_scheme = first_item(headers, &X_FORWARDED_PROTO).or_else(|| forwarded(headers, "proto"));
        let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
        let outer = said_host.filter(|said| is_allowed(policy, said)).unwrap_or(authority);
        let is_trusted = host == OwnHost::Named || outer != authority;
        let is_https_page = origin.is_some_and(|origin| is_at(origin, "https", outer));
        Self {
            host: HeaderValue::from_str(outer).unwrap_or(HeaderValue::from_static("localhost")),
            is_https: scheme == Scheme::Https
                || is_trusted && (is_https_page || said_scheme.is_some_and(|said| said.eq_ignore_ascii_case("https"))),
        }
    }

    /// Whom `host` means to the browser, which knows the client's `authority` by the front's name only.
    pub fn seen(&self, host: OwnHost, authority: &str) -> OwnHost {
        match host {
            OwnHost::Localhost | OwnHost::Loopback if self.host != authority => OwnHost::Named,
            host => host,
        }
    }

    /// As in `X-Forwarded-Proto`.
    pub fn scheme(&self) -> HeaderValue {
        HeaderValue::from_static(if self.is_https { "https" } else { "http" })
    }
}

/// Whether the user allowed `authority` by name or as an origin's.
fn is_allowed(policy: &GuardPolicy, authority: &str) -> bool {
    let (name, _) = host_port::split(authority);
    let by_name = |allowed: &String| allowed.eq_ignore_ascii_case(authority) || allowed.eq_ignore_ascii_case(name);
    let by_origin = |origin: &String| ["http", "https"].into_iter().any(|scheme| is_at(origin, scheme, authority));
    policy.allow_hosts.iter().any(by_name) || policy.allow_origins.iter().any(by_origin)
}

fn is_at(origin: &str, scheme: &str, authority: &str) -> bool {
    origin.split_once("://").is_some_and(|(is, at)| is == scheme && at.eq_ignore_ascii_case(authority))
}

fn first_item<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?;
    value.split(',').next().map(str::trim).filter(|item| !item.is_empty())
}

/// A parameter of the first element of `Forwarded` (RFC 7239 section 4).
fn forwarded<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let pairs = first_item(headers, &FORWARDED)?.split(';').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    values.next().map(|value| value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: OwnHost, authority: &str, lines: &[(&'static str, &'static str)], expect: &str) {
        let policy = GuardPolicy {
            allow_hosts: vec!["me.example.dev".to_owned()],
            allow_origins: vec!["https://code.example".to_owned()],
            ..GuardPolicy::default()
        };
        let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let outer = OuterFront::of(&policy, host, authority, Scheme::Http, &lines.collect());
        let seen = format!("{}://{}", outer.scheme().to_str().unwrap(), outer.host.to_str().unwrap());
        assert_eq!(seen, expect, "{authority}");
    }

    #[test]
    fn names_that_the_user_allowed() {
        let named = |lines: &[_], expect| check(OwnHost::Named, "me.example.dev", lines, expect);
        named(&[], "http://me.example.dev");
        named(&[("x-forwarded-proto", "https")], "https://me.example.dev");
        named(&[("x-forwarded-proto", "HTTPS, http")], "https://me.example.dev");
        named(&[("forwarded", "for=1.2.3.4;proto=https;host=\"x\"")], "https://me.example.dev");
        named(&[("origin", "https://me.example.dev")], "https://me.example.dev");
        named(&[("origin", "https://other.example")], "http://me.example.dev");
        named(&[("x-forwarded-host", "evil.example")], "http://me.example.dev");
    }

    #[test]
    fn fronts_that_call_us_by_our_own_name() {
        let own = |lines: &[_], expect| check(OwnHost::Localhost, "localhost:8001", lines, expect);
        own(&[("x-forwarded-host", "code.example"), ("x-forwarded-proto", "https")], "https://code.example");
        own(&[("x-forwarded-host", "me.example.dev"), ("origin", "https://me.example.dev")], "https://me.example.dev");
        own(&[("forwarded", "host=code.example;proto=https")], "https://code.example");
        own(&[], "http://localhost:8001");
    }

    #[test]
    fn tls_that_ends_here() {
        let (policy, headers) = (GuardPolicy::default(), HeaderMap::new());
        let outer = OuterFront::of(&policy, OwnHost::Site(0), "web.localhost:8001", Scheme::Https, &headers);
        assert_eq!(outer.scheme(), "https");
    }

    #[test]
    fn nobody_else_is_believed() {
        let own = |lines: &[_]| check(OwnHost::Site(0), "web.localhost:8001", lines, "http://web.localhost:8001");
        own(&[("x-forwarded-proto", "https")]);
        own(&[("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https")]);
        own(&[("forwarded", "host=evil.example;proto=https")]);
        own(&[("origin", "https://web.localhost:8001")]);
        own(&[("x-forwarded-host", "code.example.evil")]);
    }
}
