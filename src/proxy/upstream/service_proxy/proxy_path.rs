//! The path of a request, put below the proxy path so that nobody on the way can read it as another one.
//!
//! The API server decodes a path once, cleans it and encodes it again (apiserver
//! `pkg/endpoints/request/requestinfo.go` splits the decoded path); gateways before it may do so too, or do it twice,
//! and then choose by the result where the request goes. So what is sent is already clean, and only a [`SafePath`], which
//! leads out of the proxy path in no reading, is sent. Pure.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

use crate::message::safe_path::SafePath;

/// What stands in a path segment as it is (RFC 3986 3.3, `pchar`).
const ENCODED: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The target to send for `asked`: `prefix` (without a slash at its end), the path with its segments encoded anew, and
/// the query byte for byte. Empty segments go, as they would at the API server.
pub fn prefixed_path(prefix: &str, asked: &SafePath) -> PathAndQuery {
    let path = asked.path_and_query().path();
    let query = &asked.as_str()[path.len()..];
    let path = if is_clean(path) { Cow::Borrowed(path) } else { Cow::Owned(clean(path)) };
    let target = [prefix, &path, query].concat();
    PathAndQuery::try_from(target).expect("a prefix, encoded segments and a query that was one")
}

/// Whether `path` can go as it is; most can.
fn is_clean(path: &str) -> bool {
    let bytes = path.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(byte);
    bytes.first() == Some(&b'/')
        && bytes.iter().all(plain)
        && !bytes.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

fn clean(path: &str) -> String {
    let decoded: Vec<u8> = percent_decode(path.as_bytes()).collect();
    let mut clean = String::with_capacity(path.len() + 1);
    for segment in decoded.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty()) {
        clean.push('/');
        clean.extend(percent_encode(segment, &ENCODED));
    }
    if clean.is_empty() || decoded.ends_with(b"/") {
        clean.push('/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::safe_path::PathFault;
    use proptest::prelude::*;

    const PREFIX: &str = "/api/v1/namespaces/ns/services/web:http/proxy";

    /// How often a path may be decoded on its way.
    const DECODINGS: usize = 3;

    fn prefixed(asked: &PathAndQuery) -> Result<PathAndQuery, PathFault> {
        SafePath::check(asked).map(|safe| prefixed_path(PREFIX, &safe))
    }

    fn target(asked: &str) -> Result<String, PathFault> {
        prefixed(&asked.parse().unwrap()).map(|target| target.as_str()[PREFIX.len()..].to_owned())
    }

    fn check(asked: &str, expect: &str) {
        assert_eq!(target(asked).as_deref(), Ok(expect), "{asked}");
    }

    #[test]
    fn most_go_as_they_are() {
        for same in [
            "/",
            "/a",
            "/a/",
            "/a/b.js",
            "/a.b/c..d/e...",
            "/a;b",
            "/~u/!$&'()*+,=:@-_",
            "/a%20b",
            "/a%3Fb%23",
            "/a%5Cb",
            "/%C3%A4",
            "/%FF",
            "/a%25b",
            "/a%252Fb",
            "/a%25zz",
            "/%7B%7D",
        ] {
            check(same, same);
        }
    }

    #[test]
    fn what_the_api_server_would_change_is_changed_here() {
        check("/a%2Fb", "/a/b");
        check("/a%2fb%2F", "/a/b/");
        check("/a//b", "/a/b");
        check("//a", "/a");
        check("/a//", "/a/");
        check("//", "/");
        check("/%2F", "/");
        check("/%41%7e", "/A~");
        check("/a\\b", "/a%5Cb");
        check("/a%3Bb", "/a;b");
        check("/a\"b|c", "/a%22b%7Cc");
    }

    #[test]
    fn queries_stay_byte_for_byte() {
        check("/?x=1;y=2&z=%zz", "/?x=1;y=2&z=%zz");
        check("/a//b?c=//d/../e%2F%2e%2e", "/a/b?c=//d/../e%2F%2e%2e");
        check("/?", "/?");
        check("/a?b?c", "/a?b?c");
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for asked in [
            "/.",
            "/..",
            "/../x",
            "/a/./b",
            "/a/../b",
            "/%2e%2e/x",
            "/.%2E/x",
            "/..%2fx",
            "/%2e%2e%2f",
            "/a/%2E./b",
            "/..%5cx",
            "/..\\x",
            "/a%5c..%5cb",
            "/..;/x",
            "/..;a=b/x",
            "/.;/x",
            "/%252e%252e/x",
            "/a%252f..%252fb",
            "/%25252e./x",
            "/..%252f",
        ] {
            assert_eq!(target(asked), Err(PathFault::DotSegment), "{asked}");
        }
        for asked in ["/%c0%ae%c0%ae/x", "/a%c0%af../b", "/%25c0%25ae./x"] {
            assert_eq!(target(asked), Err(PathFault::Overlong), "{asked}");
        }
        for asked in ["/%", "/%z", "/%2", "/%2gx", "/a%", "/%%41"] {
            assert_eq!(target(asked), Err(PathFault::Escape), "{asked}");
        }
        for asked in ["/%00", "/a%0Ab", "/a%0d", "/%7f", "/%1b[0m"] {
            assert_eq!(target(asked), Err(PathFault::Control), "{asked}");
        }
    }

    /// As a gateway would read it that decodes `times` and cleans.
    fn holds(target: &str) -> bool {
        let path = target.split('?').next().unwrap().as_bytes().to_vec();
        let mut reading = path;
        for _ in 0..=DECODINGS {
            let text = String::from_utf8_lossy(&reading).replace('\\', "/");
            if !text.starts_with(&format!("{PREFIX}/")) || text.split('/').any(|segment| matches!(segment, "." | ".."))
            {
                return false;
            }
            reading = percent_decode(&reading).collect();
        }
        true
    }

    proptest! {
        #[test]
        fn every_reading_stays_below_the_prefix(
            start in "[/?]",
            path in "(/|%2[fF]|%5[cC]|\\\\|%25|\\.|%2[eE]|%252[eE]|;|a|%00|%c0%ae|%c0%af|%|\\?|%3[fF]|%23|//)*",
        ) {
            let asked: PathAndQuery = format!("{start}{path}").parse().unwrap();
            if let Ok(target) = prefixed(&asked) {
                prop_assert!(holds(target.as_str()), "{target}");
                prop_assert_eq!(target.query(), asked.query());
                let again: PathAndQuery = target.as_str()[PREFIX.len()..].parse().unwrap();
                prop_assert_eq!(prefixed(&again), Ok(target));
            }
        }

        #[test]
        fn any_target_is_taken(text in "[!-~]{0,40}") {
            let asked = format!("/{text}").parse::<PathAndQuery>();
            if let Ok(Ok(target)) = asked.map(|asked| prefixed(&asked)) {
                prop_assert!(holds(target.as_str()), "{target}");
            }
        }
    }
}
