//! Header fields: URLs in them, and what the API server adds of its own.

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::reference::AnswerUrls;
use crate::message::link_fields;

/// The API server names each request for its audit log.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// What the API server puts before a Service's own `Cache-Control` (apiserver `pkg/server/filters/cachecontrol.go`).
const ITS_CACHE_CONTROL: &[u8] = b"no-cache, private";

/// Makes the URLs in `headers` those that the app meant.
pub(super) fn undo(headers: &mut HeaderMap, references: &AnswerUrls<'_>) {
    link_fields::change_urls(headers, |url| references.undo(url));
    link_fields::change(headers, SET_COOKIE, |value| undo_cookie(value, references));
}

/// The cookie with a `Path` that is below the prefix for apps that were told of it; `None` where that is this one. What
/// else a browser needs to take it is the local side's matter.
fn undo_cookie(cookie: &[u8], references: &AnswerUrls<'_>) -> Option<Vec<u8>> {
    let (mut undone, mut changed) = (Vec::new(), false);
    for (at, part) in cookie.split(|&byte| byte == b';').enumerate() {
        let path = if at > 0 { cookie_path(part).and_then(|path| references.undo_path(path)) } else { None };
        changed |= path.is_some();
        undone.push(path.map_or_else(|| part.to_vec(), |path| [b" Path=", &path[..]].concat()));
    }
    changed.then(|| undone.join(&b';'))
}

fn cookie_path(part: &[u8]) -> Option<&[u8]> {
    let equals = part.iter().position(|&byte| byte == b'=')?;
    part[..equals].trim_ascii().eq_ignore_ascii_case(b"path").then(|| part[equals + 1..].trim_ascii())
}

/// Takes out what the API server adds to an answer that it passes on.
pub(super) fn drop_additions(headers: &mut HeaderMap) {
    drop_first(headers, &CACHE_CONTROL, |first| first == ITS_CACHE_CONTROL);
    drop_audit_id(headers);
}

/// The API server's lines come first, so the first of several may be its own.
fn drop_first(headers: &mut HeaderMap, name: &HeaderName, is_its_own: impl Fn(&[u8]) -> bool) {
    let mut values = headers.get_all(name).iter();
    let is_doubled = values.next().is_some_and(|first| is_its_own(first.as_bytes())) && values.next().is_some();
    if is_doubled {
        let own: Vec<HeaderValue> = headers.get_all(name).iter().skip(1).cloned().collect();
        headers.remove(name);
        for value in own {
            headers.append(name, value);
        }
    }
}

fn drop_audit_id(headers: &mut HeaderMap) {
    if headers.get_all(AUDIT_ID).iter().nth(1).is_some() {
        drop_first(headers, &AUDIT_ID, |_| true);
    } else if let Some(id) = headers.remove(AUDIT_ID) {
        tracing::trace!(audit_id = ?id, "answer of the API server");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::upstream::unprefix::tests::{hosts, spelled, unprefix};

    fn undone(fields: &[(&'static str, &str)]) -> Vec<String> {
        let (unprefix, hosts) = (unprefix(), hosts("l:1", "l:1"));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, spelled(value).parse().unwrap());
        }
        undo(&mut headers, &unprefix.references(&hosts));
        drop_additions(&mut headers);
        let mut left: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        left.sort();
        left
    }

    fn check(field: &'static str, value: &str, expect: &str) {
        assert_eq!(undone(&[(field, value)]), [spelled(&format!("{field}: {expect}"))], "{value}");
    }

    #[test]
    fn urls() {
        check("location", "§/x", "/x");
        check("content-location", "§/x?y", "/x?y");
        check("location", "http://other/x", "http://other/x");
        check("x-location", "§/x", "§/x");
    }

    #[test]
    fn refreshes() {
        check("refresh", "5; url=§/x", "5; url=/x");
        check("refresh", "0;URL='§/x'; y", "0;URL='/x'; y");
        check("refresh", "0, url = \"§/x", "0, url = \"/x");
        check("refresh", "1;§/x", "1;/x");
        check("refresh", "1;url §/x", "1;url §/x");
        check("refresh", "5", "5");
        check("refresh", "5;", "5;");
        check("refresh", "5;url=", "5;url=");
        check("refresh", "5;u", "5;u");
    }

    #[test]
    fn links() {
        check("link", "<§/a>; rel=next, <§/b>;rel=\"prev\"", "</a>; rel=next, </b>;rel=\"prev\"");
        check(
            "link",
            "<http://x/§/a>; title=\"<§/a>\\\"<§/a>\", <§/b>",
            "<http://x/§/a>; title=\"<§/a>\\\"<§/a>\", </b>",
        );
        check("link", "<§/a", "<§/a");
        check("link", "§/a", "§/a");
        check("link", "<>", "<>");
        check("link", "<§>", "</>");
    }

    #[test]
    fn several_lines() {
        let cookies = [("set-cookie", "a=1; Path=§/x"), ("set-cookie", "b=2"), ("set-cookie", "c=3; Path=§")];
        assert_eq!(undone(&cookies), ["set-cookie: a=1; Path=/x", "set-cookie: b=2", "set-cookie: c=3; Path=/"]);
    }

    #[test]
    fn what_the_api_server_adds() {
        let its_own = "no-cache, private";
        let twice =
            [("cache-control", its_own), ("cache-control", "public, max-age=60"), ("cache-control", "immutable")];
        assert_eq!(undone(&twice), ["cache-control: immutable", "cache-control: public, max-age=60"]);
        assert_eq!(
            undone(&[("cache-control", its_own), ("cache-control", its_own)]),
            ["cache-control: no-cache, private"]
        );
        assert_eq!(undone(&[("cache-control", its_own)]), ["cache-control: no-cache, private"]);
        let other_order = [("cache-control", "public"), ("cache-control", its_own)];
        assert_eq!(undone(&other_order), ["cache-control: no-cache, private", "cache-control: public"]);
        assert_eq!(undone(&[("audit-id", "1")]), [""; 0]);
        assert_eq!(undone(&[("audit-id", "1"), ("audit-id", "2")]), ["audit-id: 2"]);
    }

    fn check_cookie(cookie: &str, expect: &str) {
        let (unprefix, hosts) = (unprefix(), hosts("l", "l"));
        let cookie = spelled(cookie);
        let undone = undo_cookie(cookie.as_bytes(), &unprefix.references(&hosts));
        assert_eq!(undone.map_or(cookie.clone(), |undone| String::from_utf8(undone).unwrap()), spelled(expect));
    }

    #[test]
    fn paths_of_cookies() {
        check_cookie("a=b; Path=§/app; HttpOnly", "a=b; Path=/app; HttpOnly");
        check_cookie("a=b;path=§", "a=b; Path=/");
        check_cookie("a=b; Path=§/", "a=b; Path=/");
        check_cookie("a=b; Path=/k8s/c-1§/x", "a=b; Path=/x");
        check_cookie("a=b; Path=§//x", "a=b; Path=/x");
    }

    #[test]
    fn the_rest_of_a_cookie_stays() {
        for same in [
            "a=b",
            "",
            "path=§/x",
            "a=§/x; Path=/; Secure; SameSite=None; Partitioned; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "__Host-a=b;Secure ;  Path = /x",
            "a=b; Path=/§q; Path; Domain=§",
        ] {
            check_cookie(same, same);
        }
    }
}
