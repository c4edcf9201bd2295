//! `HOST[:PORT]`, as authorities, kubeconfigs and proxy variables write it. Pure.

use std::borrow::Cow;

use super::scheme::Scheme;

/// `text` taken apart at the `:` before its port, if it has one outside of brackets (RFC 3986 section 3.2.2). The host
/// keeps its brackets; a port that is empty is none.
pub(crate) fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) => {
            (host, Some(port).filter(|port| !port.is_empty()))
        }
        _ => (text, None),
    }
}

/// A host without the brackets that an IPv6 address has in a URL.
pub(crate) fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A host with the brackets that an IPv6 address needs in a URL.
pub(crate) fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]").into() } else { host.into() }
}

/// What stands before `suffix` at the end of `text`, if it stands there in whatever case.
pub(crate) fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let split = text.len().checked_sub(suffix.len())?;
    let (head, tail) = text.split_at_checked(split)?;
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}

/// Both together, as a URL has them.
pub(crate) fn join(host: &str, port: u16) -> String {
    format!("{}:{port}", bracketed(host))
}

/// The authority of a URL, without the port where the scheme's own is meant or there is none.
pub(crate) fn url_authority(scheme: Scheme, host: &str, port: Option<u16>) -> String {
    match port.filter(|&port| port != scheme.default_port()) {
        None => bracketed(host).into_owned(),
        Some(port) => join(host, port),
    }
}

/// An authority as URLs of this scheme have it.
pub(crate) fn without_default_port(scheme: Scheme, authority: &str) -> &str {
    match split(authority) {
        (host, Some(port)) if port.parse() == Ok(scheme.default_port()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_apart_and_put_together() {
        for (text, host, port) in [
            ("a.example", "a.example", None),
            ("a.example:80", "a.example", Some("80")),
            ("a.example:", "a.example", None),
            ("[::1]:80", "[::1]", Some("80")),
            ("[::1]", "[::1]", None),
            ("::1", "::1", None),
        ] {
            assert_eq!(split(text), (host, port), "{text}");
        }
        assert_eq!((unbracketed("[::1]"), unbracketed("a")), ("::1", "a"));
        assert_eq!(
            (join("::1", 80), join("a", 1), join("[::1]", 2)),
            ("[::1]:80".into(), "a:1".into(), "[::1]:2".into())
        );
    }

    #[test]
    fn urls_leave_out_their_own_port_only() {
        for (scheme, port, authority) in [
            (Scheme::Http, Some(80), "[::1]"),
            (Scheme::Http, Some(443), "[::1]:443"),
            (Scheme::Https, Some(443), "[::1]"),
            (Scheme::Https, Some(80), "[::1]:80"),
            (Scheme::Https, None, "[::1]"),
        ] {
            assert_eq!(url_authority(scheme, "::1", port), authority);
            let whole = port.map_or_else(|| "[::1]".to_owned(), |port| join("::1", port));
            assert_eq!(without_default_port(scheme, &whole), authority);
        }
    }
}
