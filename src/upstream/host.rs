//! Under which host the app sees itself.

use http::header::{HOST, ORIGIN, REFERER};
use http::{HeaderMap, HeaderValue};

use super::unprefix::Hosts;
use crate::target::Scheme;

/// Makes `headers` those of a request to `hosts.sent`: `Host`, and `Origin` and `Referer` where they name the local
/// host. Apps compare them with each other.
pub(super) fn show(headers: &mut HeaderMap, scheme: Scheme, hosts: &Hosts) {
    headers.insert(HOST, hosts.sent.clone());
    for name in [ORIGIN, REFERER] {
        if let Some(value) = headers.get_mut(name)
            && let Some(shown) = shown(value, scheme, hosts)
        {
            *value = shown;
        }
    }
}

/// `value` with its origin changed, if that is the local one.
fn shown(value: &HeaderValue, scheme: Scheme, hosts: &Hosts) -> Option<HeaderValue> {
    let value = value.as_bytes();
    let after_scheme = value.strip_prefix(b"http://").or_else(|| value.strip_prefix(b"https://"))?;
    let rest = after_scheme.strip_prefix(hosts.local.as_bytes())?;
    if !matches!(rest.first(), None | Some(b'/' | b'?')) {
        return None;
    }
    let shown = [scheme.as_str().as_bytes(), b"://", hosts.sent.as_bytes(), rest].concat();
    Some(HeaderValue::from_bytes(&shown).expect("parts of field values make one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, value: &'static str, scheme: Scheme, expect: &str) {
        let hosts = Hosts { sent: HeaderValue::from_static("app.example"), local: HeaderValue::from_static("l:1") };
        let mut headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("l:1"))]);
        headers.insert(name, HeaderValue::from_static(value));
        show(&mut headers, scheme, &hosts);
        assert_eq!((headers["host"].to_str().unwrap(), headers[name].to_str().unwrap()), ("app.example", expect));
    }

    #[test]
    fn what_names_the_local_host() {
        check("origin", "http://l:1", Scheme::Http, "http://app.example");
        check("origin", "http://l:1", Scheme::Https, "https://app.example");
        check("referer", "http://l:1/x?y=http://l:1/", Scheme::Http, "http://app.example/x?y=http://l:1/");
        check("referer", "http://l:1", Scheme::Http, "http://app.example");
    }

    #[test]
    fn what_does_not() {
        for same in ["null", "http://l:11", "http://l", "http://other", "http://other/http://l:1", "ftp://l:1", ""] {
            check("origin", same, Scheme::Http, same);
            check("referer", same, Scheme::Http, same);
        }
        check("x-origin", "http://l:1", Scheme::Http, "http://l:1");
    }
}
