//! `HOST[:PORT]`, as authorities, kubeconfigs and proxy variables write it. Pure.

use std::borrow::Cow;

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

/// The authority of an HTTP URL, without the port where HTTP's own is meant or there is none.
pub(crate) fn http_authority(host: &str, port: Option<u16>) -> String {
    match port {
        None | Some(80) => bracketed(host).into_owned(),
        Some(port) => join(host, port),
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
}
