//! Which request paths may pass. Whatever stands between this program and the Service may decode a path once more than
//! we do, so what would be a way out after that is refused here already. Pure.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use percent_encoding::percent_decode;

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It begins with something else than `/`.
    #[error("the path does not begin with /")]
    Relative,
    /// A `%` without two hexadecimal digits after it.
    #[error("the path has a % that begins no escape")]
    Escape,
    /// A control character, NUL included, as it is or decoded.
    #[error("the path has a control character in it")]
    Control,
    /// A character in more octets than UTF-8 allows, which some programs read as `.` or `/`.
    #[error("the path has a character in too many octets in it")]
    Overlong,
    /// A segment that is `.` or `..`, now or after decoding once or twice more.
    #[error("the path has a dot segment in it")]
    DotSegment,
}

/// How often a path is decoded in search of dot segments: once as the protocol says, twice for others on the way.
const DECODINGS: usize = 3;

/// The path and query of a request, whose path has no [`PathFault`]: all that may be sent on. The local side makes one of
/// what the client asked for, and puts it into the request as an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafePath(PathAndQuery);

impl SafePath {
    /// `target` with a path, percent-encoded as it came, that may be sent on. Its query may be anything.
    ///
    /// `//`, `%2F` and octets that are not UTF-8 may be there: they mean something to some Services. A query alone has the path
    /// `/` (RFC 9112 section 3.2.1): whoever puts it behind another path would make a path of it.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(target: &PathAndQuery) -> Result<Self, PathFault> {
        let target = match target.as_str().starts_with('?') {
            true => PathAndQuery::try_from(format!("/{}", target.as_str())).map_err(|_| PathFault::Relative)?,
            false => target.clone(),
        };
        check(target.path()).map(|()| Self(target))
    }

    /// Path and query, as they came.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The same.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.0
    }
}

fn check(path: &str) -> Result<(), PathFault> {
    if !path.starts_with('/') {
        return Err(PathFault::Relative);
    }
    let mut text = Cow::Borrowed(path.as_bytes());
    if text.iter().any(u8::is_ascii_control) {
        return Err(PathFault::Control);
    }
    check_text(&text)?;
    for decoding in 1..=DECODINGS {
        if !text.contains(&b'%') {
            break;
        }
        if decoding == 1 && has_broken_escape(&text) {
            return Err(PathFault::Escape);
        }
        let decoded: Vec<u8> = percent_decode(&text).collect();
        if decoding == 1 && decoded.iter().any(u8::is_ascii_control) {
            return Err(PathFault::Control);
        }
        check_text(&decoded)?;
        text = Cow::Owned(decoded);
    }
    Ok(())
}

fn check_text(text: &[u8]) -> Result<(), PathFault> {
    if has_overlong(text) {
        return Err(PathFault::Overlong);
    }
    if has_dot_segment(text) { Err(PathFault::DotSegment) } else { Ok(()) }
}

/// Also behind `\`, which Windows and browsers read as `/`, and with parameters (`..;x`), which Java servers cut off.
fn has_dot_segment(text: &[u8]) -> bool {
    text.split(|octet| matches!(octet, b'/' | b'\\')).any(|segment| {
        let name = segment.split(|octet| *octet == b';').next().unwrap_or_default();
        name == b"." || name == b".."
    })
}

/// UTF-8's overlong forms of ASCII (RFC 3629 section 3): C0 or C1 first, or E0 80 or F0 80 80.
fn has_overlong(text: &[u8]) -> bool {
    let continues = |octet: Option<&u8>| octet.is_some_and(|octet| octet & 0xC0 == 0x80);
    text.iter().enumerate().any(|(index, octet)| match octet {
        0xC0 | 0xC1 => continues(text.get(index + 1)),
        0xE0 => text.get(index + 1).is_some_and(|next| (0x80..0xA0).contains(next)),
        0xF0 => text.get(index + 1).is_some_and(|next| (0x80..0x90).contains(next)),
        _ => false,
    })
}

fn has_broken_escape(text: &[u8]) -> bool {
    let mut after_percents =
        text.iter().enumerate().filter(|(_, octet)| **octet == b'%').map(|(at, _)| &text[at + 1..]);
    after_percents.any(|after| escape(after).is_none())
}

/// The octet that two hexadecimal digits at the beginning of `text` stand for.
fn escape(text: &[u8]) -> Option<u8> {
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let value = digit(text.first()?)? * 16 + digit(text.get(1)?)?;
    u8::try_from(value).ok()
}

/// What follows `prefix` in `path`, as it came, if `path` begins with it; `prefix` is compared with what `path` means
/// once decoded, except that its slashes must be slashes.
pub fn strip_prefix<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    if let Some(rest) = path.strip_prefix(prefix) {
        return Some(rest);
    }
    let mut rest = path.as_bytes();
    for expected in prefix.bytes() {
        let (&octet, after) = rest.split_first()?;
        rest = match (octet == b'%').then(|| escape(after)).flatten() {
            Some(value) if value == expected && expected != b'/' => &after[2..],
            None if octet == expected => after,
            _ => return None,
        };
    }
    path.get(path.len() - rest.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn t5_ways_out_are_refused() {
        for path in [
            "/..",
            "/.",
            "/../x",
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/%2e%2e/x",
            "/%2E%2e/x",
            "/..%2fx",
            "/%2e%2e%2f",
            "/a/%2E./b",
            "/a%2f..%2fb",
            "/..%5cx",
            "/..\\x",
            "/a\\..\\b",
            "/..;/x",
            "/..;a=b/x",
            "/..%3b/x",
            "/.;/x",
            "/%252e%252e/x",
            "/%252e%252e%252fx",
            "/%25252e%25252e/x",
            "/a%252f..%252fb",
            "/..%255cx",
        ] {
            assert_eq!(check(path), Err(PathFault::DotSegment), "{path}");
        }
        for path in ["/%c0%ae%c0%ae/x", "/%c0%afx", "/%e0%80%ae/x", "/%f0%80%80%ae/x", "/%25c0%25ae/x"] {
            assert_eq!(check(path), Err(PathFault::Overlong), "{path}");
        }
    }

    #[test]
    fn t5_every_target_has_a_path() {
        let checked = |target: &str| SafePath::check(&target.parse().unwrap());
        for (target, path) in [("?a=b", "/"), ("?/../../x", "/"), ("?", "/"), ("/a?/../x", "/a")] {
            let safe = checked(target).unwrap();
            assert_eq!(safe.path_and_query().path(), path, "{target}");
            assert!(safe.as_str().starts_with(&format!("{path}?")), "{target}: {}", safe.as_str());
        }
        assert_eq!(checked("*"), Err(PathFault::Relative));
    }

    #[test]
    fn broken_escapes_and_controls_are_refused() {
        for path in ["/%", "/%2", "/%zz", "/a%2gb", "/%u002e", "/100%"] {
            assert_eq!(check(path), Err(PathFault::Escape), "{path}");
        }
        for path in ["/%00", "/a%0ab", "/a%0D%0Ab", "/%1b[2J", "/%7f"] {
            assert_eq!(check(path), Err(PathFault::Control), "{path}");
        }
    }

    #[test]
    fn what_services_need_passes() {
        for path in [
            "/",
            "/a",
            "/a/",
            "//",
            "//a",
            "/a//b",
            "/a%2Fb",
            "/a%252Fb",
            "/...",
            "/..a",
            "/a..",
            "/a../b",
            "/.well-known/x",
            "/a;b",
            "/a;v=1/b",
            "/a%3Bb",
            "/a%5Cb",
            "/a\\b",
            "/%20",
            "/%25",
            "/100%25",
            "/%2525",
            "/caf%C3%A9",
            "/caf%E9",
            "/é",
            "/%C3%80",
            "/%E2%80%AE",
            "/{x}",
            "/a!$'()*b",
            "/@fs/x",
            "/%F0%9F%98%80",
            "/%25zz",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_target_is_checked_up_to_its_query() {
        let target = PathAndQuery::from_static("/a%2Fb?c=/../%zz");
        assert_eq!(SafePath::check(&target).unwrap().as_str(), target.as_str());
        assert_eq!(SafePath::check(&PathAndQuery::from_static("/a/..%2fb?c")), Err(PathFault::DotSegment));
    }

    #[test]
    fn prefixes_are_compared_decoded() {
        let prefix = "/ns/https:web:/proxy/";
        assert_eq!(strip_prefix("/ns/https:web:/proxy/a?b", prefix), Some("a?b"));
        assert_eq!(strip_prefix("/ns/https%3Aweb%3a/proxy/a%2Fb", prefix), Some("a%2Fb"));
        assert_eq!(strip_prefix("/ns/https%3Aweb%3a/proxy/", prefix), Some(""));
        assert_eq!(strip_prefix("/ns/https:web:/proxy", prefix), None);
        assert_eq!(strip_prefix("/ns%2Fhttps:web:/proxy/", prefix), None);
        assert_eq!(strip_prefix("/ns/http%253Aweb:/proxy/", prefix), None);
        assert_eq!(strip_prefix("/ns/%", prefix), None);
    }

    /// The segments of `text`, decoded as often as anybody might.
    fn has_way_out(text: &str) -> bool {
        let mut text = text.as_bytes().to_vec();
        (0..DECODINGS).any(|_| {
            text = percent_decode(&text).collect();
            has_dot_segment(&text)
        })
    }

    proptest! {
        #[test]
        fn t5_what_passes_has_no_way_out(path in "/([.]|%2[eEfF]|%25|%5c|2e|2f|5c|;|/|\\\\|a){0,12}") {
            prop_assert_eq!(check(&path).is_err(), has_way_out(&path) || has_broken_escape(path.as_bytes()));
        }

        #[test]
        fn any_text_is_judged(path in "/\\PC{0,40}") {
            let _ = check(&path);
        }

        #[test]
        fn plain_paths_pass(path in "(/[a-z0-9_~-]{1,8}){1,5}/?") {
            prop_assert_eq!(check(&path), Ok(()));
        }

        #[test]
        fn a_prefix_is_found_however_it_is_escaped(rest in "[a-z/%]{0,10}", escaped in prop::collection::vec(any::<bool>(), 14)) {
            let prefix = "/ns/web:80/pr/";
            let spelled: String = prefix.chars().zip(escaped).map(|(character, escape)| {
                if escape && character != '/' { format!("%{:02x}", character as u32) } else { character.to_string() }
            }).collect();
            let path = format!("{spelled}{rest}");
            prop_assert_eq!(strip_prefix(&path, prefix), Some(rest.as_str()));
        }
    }
}
