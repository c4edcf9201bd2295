//! `Set-Cookie`, which the API server passes as it is.

use super::reference::References;

/// The cookie as the browser can take it for the local host; `None` where it can take this one.
///
/// `Domain` goes unless it covers the local host, since a browser drops the whole cookie otherwise (RFC 6265 5.3). A
/// `Path` below the prefix loses the prefix. `Secure` stays: browsers take `http` on this machine for secure.
pub(super) fn undo(cookie: &[u8], references: &References<'_>) -> Option<Vec<u8>> {
    let mut changed = false;
    let mut parts = cookie.split(|&byte| byte == b';');
    let mut undone = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        match attribute(part, references) {
            Attribute::Same => append(&mut undone, part),
            Attribute::Gone => changed = true,
            Attribute::Path(path) => {
                append(&mut undone, b" Path=");
                undone.extend(path);
                changed = true;
            }
        }
    }
    changed.then_some(undone)
}

fn append(cookie: &mut Vec<u8>, part: &[u8]) {
    cookie.push(b';');
    cookie.extend(part);
}

enum Attribute {
    Same,
    Gone,
    Path(Vec<u8>),
}

fn attribute(part: &[u8], references: &References<'_>) -> Attribute {
    let Some(equals) = part.iter().position(|&byte| byte == b'=') else { return Attribute::Same };
    let (name, value) = (part[..equals].trim_ascii(), part[equals + 1..].trim_ascii());
    if name.eq_ignore_ascii_case(b"path") {
        return references.undo_path(value).map_or(Attribute::Same, Attribute::Path);
    }
    let is_foreign_domain = name.eq_ignore_ascii_case(b"domain") && !covers(value, references.local_host());
    if is_foreign_domain { Attribute::Gone } else { Attribute::Same }
}

/// Whether a cookie for `domain` is good for `host`. For `localhost` no browser takes one from a name below it.
fn covers(domain: &[u8], host: &[u8]) -> bool {
    let domain = domain.strip_prefix(b".").unwrap_or(domain);
    if domain.is_empty() || domain.eq_ignore_ascii_case(host) {
        return true;
    }
    let is_below = host.len() > domain.len()
        && host[host.len() - domain.len()..].eq_ignore_ascii_case(domain)
        && host[host.len() - domain.len() - 1] == b'.';
    is_below && !domain.eq_ignore_ascii_case(b"localhost")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hosts, spelled, unprefix};
    use super::*;

    fn check_at(local: &'static str, cookie: &str, expect: &str) {
        let (unprefix, hosts) = (unprefix(), hosts("l", local));
        let cookie = spelled(cookie);
        let undone = undo(cookie.as_bytes(), &unprefix.references(&hosts));
        assert_eq!(undone.map_or(cookie.clone(), |undone| String::from_utf8(undone).unwrap()), spelled(expect));
    }

    fn check(cookie: &str, expect: &str) {
        check_at("web--ns--a.localhost:8001", cookie, expect);
    }

    #[test]
    fn paths() {
        check("a=b; Path=§/app; HttpOnly", "a=b; Path=/app; HttpOnly");
        check("a=b;path=§", "a=b; Path=/");
        check("a=b; Path=§/", "a=b; Path=/");
        check("a=b; Path=/k8s/c-1§/x", "a=b; Path=/x");
        check("a=b; Path=§//x", "a=b; Path=/x");
    }

    #[test]
    fn the_rest_stays() {
        for same in [
            "a=b",
            "",
            "a=§/x; Path=/; Secure; SameSite=None; Partitioned; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "__Host-a=b;Secure ;  Path = /x",
            "a=b; Path=/§q; Path; Domain",
            "a=b; Domain=",
            "a=b; Domain=web--ns--a.localhost",
        ] {
            check(same, same);
        }
    }

    #[test]
    fn foreign_domains_go() {
        check("a=b; Domain=app.example; Path=/", "a=b; Path=/");
        check("a=b; domain=.example", "a=b");
        check("a=b; Domain=localhost; Secure", "a=b; Secure");
        check("a=b; Domain=a.localhost; Path=§/x", "a=b; Path=/x");
        check_at("localhost:8001", "a=b; Domain=localhost", "a=b; Domain=localhost");
        check_at("x.dev.example:8001", "a=b; Domain=.dev.example", "a=b; Domain=.dev.example");
        check_at("xdev.example", "a=b; Domain=dev.example", "a=b");
        check_at("[::1]:8001", "a=b; Domain=dev.example", "a=b");
    }
}
