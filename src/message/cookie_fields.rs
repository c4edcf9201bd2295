//! Cookies: ours, which the Service never sees, and the Service's, which must fit the name it is served under. Pure.

use http::HeaderValue;

/// What the names of our own cookies begin with. The Service can neither read nor set them.
pub(crate) const OWN_COOKIE: &str = "svcproxy-session";

/// The values of the cookies called `name` in one `Cookie` header.
pub(crate) fn cookie_values<'a>(line: &'a HeaderValue, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    pairs(line.as_bytes()).filter_map(move |pair| {
        let (found, value) = split_at_equals(pair);
        (found == name.as_bytes()).then_some(value)
    })
}

/// What becomes of one line of a header that may have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FieldEdit {
    /// It passes as it is.
    Keep,
    /// This passes in its place.
    Replace(HeaderValue),
    /// Nothing passes.
    Remove,
}

/// Takes our own cookies out of one `Cookie` header.
pub(crate) fn without_own(line: &HeaderValue) -> FieldEdit {
    let is_foreign = |pair: &&[u8]| !split_at_equals(pair).0.starts_with(OWN_COOKIE.as_bytes());
    if pairs(line.as_bytes()).all(|pair| is_foreign(&pair)) {
        return FieldEdit::Keep;
    }
    let others: Vec<&[u8]> = pairs(line.as_bytes()).filter(is_foreign).collect();
    match HeaderValue::from_bytes(&others.join(&b"; "[..])) {
        Ok(value) if !value.is_empty() => FieldEdit::Replace(value),
        _ => FieldEdit::Remove,
    }
}

/// Fits one `Set-Cookie` (RFC 6265 section 4.1) to `host`, a name without port: a `Domain` that the browser would
/// refuse goes, so that the cookie is the host's own. Below a proxy path `Path` begins with it. One of our own names the
/// Service must not set.
pub(crate) fn fit(line: &HeaderValue, host: &str, below: Option<&str>) -> FieldEdit {
    let mut parts = line.as_bytes().split(|octet| *octet == b';');
    let pair = parts.next().unwrap_or_default();
    if split_at_equals(pair).0.starts_with(OWN_COOKIE.as_bytes()) {
        return FieldEdit::Remove;
    }
    let mut fitted = vec![pair.to_vec()];
    let mut is_changed = false;
    for part in parts {
        let attribute = fit_attribute(part, host, below);
        is_changed |= attribute.is_some();
        fitted.extend(attribute.unwrap_or_else(|| Some(part.to_vec())));
    }
    match HeaderValue::from_bytes(&fitted.join(&b';')) {
        Ok(value) if is_changed => FieldEdit::Replace(value),
        _ => FieldEdit::Keep,
    }
}

/// What to put in the place of an attribute, if anything: `Some(None)` takes it out.
fn fit_attribute(part: &[u8], host: &str, below: Option<&str>) -> Option<Option<Vec<u8>>> {
    let (name, value) = split_at_equals(part);
    let value = std::str::from_utf8(value).ok()?;
    if name.eq_ignore_ascii_case(b"domain") {
        return (!is_accepted_domain(value, host)).then_some(None);
    }
    let below = below.filter(|below| name.eq_ignore_ascii_case(b"path") && !value.starts_with(below))?;
    let path = value.strip_prefix('/')?;
    Some(Some(format!(" Path={below}{path}").into_bytes()))
}

/// RFC 6265 section 5.1.3, less what browsers take for a public suffix.
fn is_accepted_domain(domain: &str, host: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    if domain.is_empty() || domain.eq_ignore_ascii_case(host) {
        return true;
    }
    let matches = host
        .len()
        .checked_sub(domain.len())
        .and_then(|split| host.split_at_checked(split))
        .is_some_and(|(subdomain, parent)| subdomain.ends_with('.') && parent.eq_ignore_ascii_case(domain));
    matches && domain.contains('.')
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
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

    fn check_cookie(line: &str, expect: &FieldEdit) {
        assert_eq!(&without_own(&value(line)), expect, "{line}");
    }

    #[test]
    fn t11_our_cookies_stay_here() {
        check_cookie("a=1; b=2", &FieldEdit::Keep);
        check_cookie("svcproxy-session-8001=x", &FieldEdit::Remove);
        check_cookie("a=1; svcproxy-session-8001=x; b=\"2 3\"", &FieldEdit::Replace(value("a=1; b=\"2 3\"")));
        check_cookie("svcproxy-session-8001=x;svcproxy-session-8002=y; a", &FieldEdit::Replace(value("a")));
        check_cookie("xsvcproxy-session-8001=x", &FieldEdit::Keep);
        check_cookie(" svcproxy-session-8001 =x ;; ", &FieldEdit::Remove);
    }

    fn check_set(line: &str, below: Option<&str>, expect: &str) {
        let fitted = match fit(&value(line), "web--ns--abc123.localhost", below) {
            FieldEdit::Keep => line.to_owned(),
            FieldEdit::Replace(value) => value.to_str().unwrap().to_owned(),
            FieldEdit::Remove => "forbidden".to_owned(),
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
    }

    proptest! {
        #[test]
        fn t11_no_spelling_leaks_ours(before in "[a-z=; ]{0,8}", after in "[a-z=; ]{0,8}") {
            let line = value(&format!("{before};svcproxy-session-8001=secret;{after}"));
            if let FieldEdit::Replace(left) = without_own(&line) {
                prop_assert!(!left.to_str().unwrap().contains("secret"));
            } else {
                prop_assert_eq!(without_own(&line), FieldEdit::Remove);
            }
        }
    }
}
