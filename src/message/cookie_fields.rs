//! Cookies: ours, which the Service never sees, and the Service's, which must fit the name it is served under. Pure.

use std::borrow::Cow;

use http::HeaderValue;

use super::field_tokens::without_items;
use super::host_port::strip_suffix_ignoring_case;

/// What the names of our own cookies begin with. The Service can neither read nor set them.
pub(crate) const OWN_COOKIE: &str = "svcproxy-session";

/// The values of the cookies called `name` in one `Cookie` header.
pub(crate) fn cookie_values<'a>(line: &'a HeaderValue, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    pairs(line.as_bytes()).filter_map(move |pair| {
        let (found, value) = split_at_equals(pair);
        (found == name.as_bytes()).then_some(value)
    })
}

/// One `Cookie` header without our own cookies; `None` if nothing is left of it.
pub(crate) fn without_own(line: &HeaderValue) -> Option<HeaderValue> {
    without(line, |name| name.starts_with(OWN_COOKIE.as_bytes()))
}

/// One `Cookie` header without those whose name `is_out`; `None` if nothing is left of it.
pub(crate) fn without(line: &HeaderValue, is_out: impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    without_items(line, pairs(line.as_bytes()), b"; ", |pair| is_out(split_at_equals(pair).0))
}

/// The name of the cookie that one `Set-Cookie` sets.
pub(crate) fn set_name(line: &HeaderValue) -> &[u8] {
    split_at_equals(line.as_bytes().split(|octet| *octet == b';').next().unwrap_or_default()).0
}

/// Fits one `Set-Cookie` (RFC 6265 section 4.1) to `host`, a name without port: a `Domain` that the browser would
/// refuse goes, so that the cookie is the host's own. Below a proxy path `Path` begins with it. One of our own names the
/// Service must not set.
pub(crate) fn fit(line: &HeaderValue, host: &str, below: Option<&str>) -> Option<HeaderValue> {
    let mut parts = line.as_bytes().split(|octet| *octet == b';');
    let pair = parts.next().unwrap_or_default();
    if split_at_equals(pair).0.starts_with(OWN_COOKIE.as_bytes()) {
        return None;
    }
    let attributes = parts.filter_map(|part| fit_attribute(part, host, below));
    let fitted: Vec<Cow<'_, [u8]>> = std::iter::once(pair.into()).chain(attributes).collect();
    Some(HeaderValue::from_bytes(&fitted.join(&b';')).unwrap_or_else(|_| line.clone()))
}

/// What to put in the place of an attribute, if anything.
fn fit_attribute<'a>(part: &'a [u8], host: &str, below: Option<&str>) -> Option<Cow<'a, [u8]>> {
    let (name, value) = split_at_equals(part);
    match (std::str::from_utf8(value), below) {
        (Ok(domain), _) if name.eq_ignore_ascii_case(b"domain") => {
            is_accepted_domain(domain, host).then(|| part.into())
        }
        (Ok(path), Some(below)) if name.eq_ignore_ascii_case(b"path") && !path.starts_with(below) => {
            let below = path.strip_prefix('/').map(|path| format!(" Path={below}{path}").into_bytes().into());
            below.or(Some(part.into()))
        }
        _ => Some(part.into()),
    }
}

/// RFC 6265 section 5.1.3, less what browsers take for a public suffix: a name without a dot, which is no other's even where it
/// is the host (section 5.3), as `localhost` is of all sites.
fn is_accepted_domain(domain: &str, host: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let is_above = || strip_suffix_ignoring_case(host, domain).is_some_and(|subdomain| subdomain.ends_with('.'));
    domain.is_empty() || domain.contains('.') && (domain.eq_ignore_ascii_case(host) || is_above())
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    line.split(|octet| *octet == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// Name and value of `name=value`, without the blanks around them.
fn split_at_equals(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|octet| *octet == b'=') {
        Some(equals) => (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()),
        None => (pair.trim_ascii(), b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    fn check_cookie(line: &str, expect: Option<&str>) {
        assert_eq!(without_own(&value(line)), expect.map(value), "{line}");
    }

    #[test]
    fn t11_our_cookies_stay_here() {
        check_cookie("a=1; b=2", Some("a=1; b=2"));
        check_cookie("svcproxy-session-8001=x", None);
        check_cookie("a=1; svcproxy-session-8001=x; b=\"2 3\"", Some("a=1; b=\"2 3\""));
        check_cookie("svcproxy-session-8001=x;svcproxy-session-8002=y; a", Some("a"));
        check_cookie("xsvcproxy-session-8001=x", Some("xsvcproxy-session-8001=x"));
        check_cookie(" svcproxy-session-8001 =x ;; ", None);
    }

    fn check_set(line: &str, below: Option<&str>, expect: &str) {
        let fitted = match fit(&value(line), "web--ns--abc123.localhost", below) {
            Some(value) => value.to_str().unwrap().to_owned(),
            None => "forbidden".to_owned(),
        };
        assert_eq!(fitted, expect, "{line}");
    }

    #[test]
    fn cookies_of_the_service_fit_its_site() {
        check_set("a=1; Path=/; HttpOnly", None, "a=1; Path=/; HttpOnly");
        check_set("a=1; Domain=app.example; Path=/", None, "a=1; Path=/");
        check_set("a=1; domain=.localhost", None, "a=1");
        check_set(
            "a=1; Domain=web--ns--abc123.localhost; Secure",
            None,
            "a=1; Domain=web--ns--abc123.localhost; Secure",
        );
        check_set("a=1; Domain=", None, "a=1; Domain=");
        check_set("a=x=y; Expires=Wed, 21 Oct 2026 07:28:00 GMT", None, "a=x=y; Expires=Wed, 21 Oct 2026 07:28:00 GMT");
    }

    #[test]
    fn cookies_fit_the_proxy_path() {
        let below = Some("/api/v1/namespaces/ns/services/web/proxy/");
        check_set("a=1; Path=/; Secure", below, "a=1; Path=/api/v1/namespaces/ns/services/web/proxy/; Secure");
        check_set("a=1;path=/ui", below, "a=1; Path=/api/v1/namespaces/ns/services/web/proxy/ui");
        check_set(
            "a=1; Path=/api/v1/namespaces/ns/services/web/proxy/x",
            below,
            "a=1; Path=/api/v1/namespaces/ns/services/web/proxy/x",
        );
        check_set("a=1", below, "a=1");
        check_set("a=1; Path=relative", below, "a=1; Path=relative");
    }

    #[test]
    fn t10_our_cookies_cannot_be_set_by_a_service() {
        check_set("svcproxy-session-8001=evil; Path=/", None, "forbidden");
        check_set(" svcproxy-session =evil", None, "forbidden");
        check_set("a=svcproxy-session", None, "a=svcproxy-session");
    }

    #[test]
    fn domains_of_names_the_user_allowed() {
        assert!(is_accepted_domain("dev.example", "app.dev.example"));
        assert!(is_accepted_domain(".Dev.example", "app.dev.example"));
        assert!(!is_accepted_domain("ev.example", "app.dev.example"));
        assert!(!is_accepted_domain("example", "app.dev.example"));
        assert!(!is_accepted_domain("b.app.dev.example", "app.dev.example"));
        assert!(is_accepted_domain("App.dev.example", "app.dev.example"));
    }

    #[test]
    fn t10_a_cookie_at_localhost_is_for_no_site_below() {
        for domain in ["localhost", ".localhost", "LOCALHOST", "localhost.", "..localhost"] {
            assert!(!is_accepted_domain(domain, "localhost"), "{domain}");
        }
    }

    proptest! {
        #[test]
        fn t11_no_spelling_leaks_ours(before in "[a-z=; ]{0,8}", after in "[a-z=; ]{0,8}") {
            let line = value(&format!("{before};svcproxy-session-8001=secret;{after}"));
            if let Some(left) = without_own(&line) {
                prop_assert!(!left.to_str().unwrap().contains("secret"));
            } else {
                prop_assert_eq!(without_own(&line), None);
            }
        }
    }
}
