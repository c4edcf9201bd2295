//! A request as it must look for the app to see one host everywhere.

use http::header::ORIGIN;
use http::{HeaderMap, HeaderValue, header};

use crate::message::forwarded_fields::{X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::message::link_fields;
use crate::proxy::upstream::unprefix::HostPair;
use crate::service::Scheme;

/// Makes `headers` those of a request to `hosts.sent` by `scheme`: `Host`, and `Origin`, `Referer`, `Destination` and
/// `If` where they name the local host. Apps compare them with each other, with `X-Forwarded-Host` and with whether they speak TLS, so
/// nothing that says otherwise stays.
pub(in crate::proxy::upstream) fn set_app_host(headers: &mut HeaderMap, scheme: Scheme, hosts: &HostPair) {
    if hosts.sent != hosts.local {
        headers.insert(header::HOST, hosts.sent.clone());
        headers.remove(X_FORWARDED_HOST);
    }
    match scheme {
        Scheme::Https => drop(headers.remove(X_FORWARDED_PROTO)),
        Scheme::Http if hosts.browser == Scheme::Https => {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        }
        Scheme::Http => {}
    }
    let edit = |value: &[u8]| shown(value, scheme, hosts);
    link_fields::change(headers, ORIGIN, edit);
    link_fields::change_asked_urls(headers, edit);
}

/// What the local side says of itself in a request, for one of our own.
pub(in crate::proxy::upstream) fn set_forwarded(headers: &mut HeaderMap, local: &HeaderValue) {
    headers.insert(X_FORWARDED_HOST, local.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
}

/// `value` with its origin changed, if that is the local one.
fn shown(value: &[u8], scheme: Scheme, hosts: &HostPair) -> Option<Vec<u8>> {
    let after_scheme = value.strip_prefix(b"http://").or_else(|| value.strip_prefix(b"https://"))?;
    let rest = after_scheme.strip_prefix(hosts.local.as_bytes())?;
    if !matches!(rest.first(), None | Some(b'/' | b'?')) {
        return None;
    }
    Some([scheme.as_str().as_bytes(), b"://", hosts.sent.as_bytes(), rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_to(sent: &'static str, scheme: Scheme, fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let hosts = HostPair {
            sent: HeaderValue::from_static(sent),
            local: HeaderValue::from_static("l:1"),
            browser: Scheme::Http,
        };
        let mut headers = HeaderMap::from_iter([(header::HOST, hosts.local.clone())]);
        headers.insert(X_FORWARDED_HOST, hosts.local.clone());
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        for (name, value) in fields {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        set_app_host(&mut headers, scheme, &hosts);
        headers
    }

    fn check(name: &'static str, value: &'static str, scheme: Scheme, expect: &str) {
        let headers = shown_to("app.example", scheme, &[(name, value)]);
        assert_eq!((headers["host"].to_str().unwrap(), headers[name].to_str().unwrap()), ("app.example", expect));
    }

    #[test]
    fn what_names_the_local_host() {
        check("origin", "http://l:1", Scheme::Http, "http://app.example");
        check("origin", "http://l:1", Scheme::Https, "https://app.example");
        check("referer", "http://l:1/x?y=http://l:1/", Scheme::Http, "http://app.example/x?y=http://l:1/");
        check("referer", "http://l:1", Scheme::Http, "http://app.example");
        check("destination", "http://l:1/x", Scheme::Https, "https://app.example/x");
        check("if", "<http://l:1/x> (<urn:y>)", Scheme::Https, "<https://app.example/x> (<urn:y>)");
    }

    #[test]
    fn what_does_not() {
        for same in ["null", "http://l:11", "http://l", "http://other", "http://other/http://l:1", "ftp://l:1", ""] {
            check("origin", same, Scheme::Http, same);
            check("referer", same, Scheme::Http, same);
        }
        check("x-origin", "http://l:1", Scheme::Http, "http://l:1");
    }

    #[test]
    fn what_would_contradict_goes() {
        let other = shown_to("app.example", Scheme::Http, &[]);
        assert!(!other.contains_key(X_FORWARDED_HOST) && other.contains_key(X_FORWARDED_PROTO));
        let tls = shown_to("l:1", Scheme::Https, &[("origin", "http://l:1")]);
        assert!(tls.contains_key(X_FORWARDED_HOST) && !tls.contains_key(X_FORWARDED_PROTO));
        assert_eq!(tls["origin"], "https://l:1");
    }
}
