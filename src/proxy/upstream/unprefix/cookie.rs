//! `Set-Cookie`, which the API server passes as it is.

use super::reference::AnswerUrls;

/// The cookie with a `Path` that is below the prefix for apps that were told of it; `None` where that is this one. What
/// else a browser needs to take it is the local side's matter.
pub(super) fn undo(cookie: &[u8], references: &AnswerUrls<'_>) -> Option<Vec<u8>> {
    let (mut undone, mut changed) = (Vec::new(), false);
    for (at, part) in cookie.split(|&byte| byte == b';').enumerate() {
        let path = if at > 0 { path(part).and_then(|path| references.undo_path(path)) } else { None };
        changed |= path.is_some();
        undone.push(path.map_or_else(|| part.to_vec(), |path| [b" Path=", &path[..]].concat()));
    }
    changed.then(|| undone.join(&b';'))
}

fn path(part: &[u8]) -> Option<&[u8]> {
    let equals = part.iter().position(|&byte| byte == b'=')?;
    part[..equals].trim_ascii().eq_ignore_ascii_case(b"path").then(|| part[equals + 1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::upstream::unprefix::tests::{hosts, spelled, unprefix};

    fn check(cookie: &str, expect: &str) {
        let (unprefix, hosts) = (unprefix(), hosts("l", "l"));
        let cookie = spelled(cookie);
        let undone = undo(cookie.as_bytes(), &unprefix.references(&hosts));
        assert_eq!(undone.map_or(cookie.clone(), |undone| String::from_utf8(undone).unwrap()), spelled(expect));
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
            "path=§/x",
            "a=§/x; Path=/; Secure; SameSite=None; Partitioned; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "__Host-a=b;Secure ;  Path = /x",
            "a=b; Path=/§q; Path; Domain=§",
        ] {
            check(same, same);
        }
    }
}
