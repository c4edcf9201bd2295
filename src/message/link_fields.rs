//! Header fields that hold URLs, and how to change those in place. Pure.

use http::header::{CONTENT_LOCATION, Entry, LINK, LOCATION, REFERER, REFRESH};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Where `COPY` and `MOVE` lead to (RFC 4918 section 10.3).
const DESTINATION: HeaderName = HeaderName::from_static("destination");
/// RFC 4918 section 10.4.
const IF: HeaderName = HeaderName::from_static("if");

/// Changes the URLs in `Location`, `Content-Location`, `Refresh` and `Link`; `None` leaves one as it is.
pub(crate) fn change_urls(headers: &mut HeaderMap, edit: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    change(headers, LOCATION, &edit);
    change(headers, CONTENT_LOCATION, &edit);
    change(headers, REFRESH, |value| refresh(value, &edit));
    change(headers, LINK, |value| bracketed(BracketedField::Link, value, &edit));
}

/// Changes the URLs in a request's `Destination`, `Referer` and the tagged lists of `If`; `None` leaves one as it is.
pub(crate) fn change_asked_urls(headers: &mut HeaderMap, edit: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    change(headers, DESTINATION, &edit);
    change(headers, REFERER, &edit);
    change(headers, IF, |value| bracketed(BracketedField::If, value, &edit));
}

/// Changes every value of the field called `name`; `None` leaves one as it is.
pub(crate) fn change(headers: &mut HeaderMap, name: HeaderName, edit: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let Entry::Occupied(mut field) = headers.entry(name) else { return };
    for value in field.iter_mut() {
        // What cannot stand in a header field (a line end out of a URL) leaves it as it was.
        if let Some(Ok(edited)) = edit(value.as_bytes()).map(|bytes| HeaderValue::from_bytes(&bytes)) {
            *value = edited;
        }
    }
}

/// `SECONDS; url=URL`, with more freedom than any standard gives (HTML, shared declarative refresh steps).
fn refresh(value: &[u8], edit: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let after =
        |start: usize, skip: &[u8]| start + value[start..].iter().take_while(|byte| skip.contains(byte)).count();
    let mut start = value.iter().position(|byte| b";,".contains(byte))? + 1;
    start = after(start, b" \t");
    if value[start..].get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"url")) {
        let equals = after(start + 3, b" \t");
        if value.get(equals) == Some(&b'=') {
            start = after(equals + 1, b" \t");
        }
    }
    let quote = value.get(start).copied().filter(|byte| b"'\"".contains(byte));
    start += usize::from(quote.is_some());
    let length = value[start..].iter().position(|&byte| Some(byte) == quote).unwrap_or(value.len() - start);
    let changed = edit(&value[start..start + length])?;
    Some([&value[..start], &changed, &value[start + length..]].concat())
}

/// What a field with URLs in angle brackets has besides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BracketedField {
    /// `<URL>; rel=…, <URL>; …` (RFC 8288): quoted parameters with escapes.
    Link,
    /// `<URL> (<TOKEN> ["ETAG"]) (…) <URL> …` (RFC 4918): what is in parentheses names no resource.
    If,
}

/// Changes the URLs in angle brackets; a `<` in quotes begins none.
fn bracketed(field: BracketedField, value: &[u8], edit: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut changed = Vec::new();
    let (mut done, mut at, mut quoted, mut listed) = (0, 0, false, false);
    while let Some(&byte) = value.get(at) {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted && field == BracketedField::Link => at += 1,
            b'(' | b')' if !quoted && field == BracketedField::If => listed = byte == b'(',
            b'<' if !quoted => {
                let end = at + value[at..].iter().position(|&byte| byte == b'>')?;
                if let Some(url) = edit(&value[at + 1..end]).filter(|_| !listed) {
                    changed.extend([&value[done..=at], &url].concat());
                    done = end;
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    (done > 0).then(|| [&changed, &value[done..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, value: &str, expect: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        change_asked_urls(&mut headers, |url| (url == b"/old").then(|| b"/new".to_vec()));
        assert_eq!(headers[name], expect, "{name}");
    }

    #[test]
    fn urls_of_requests() {
        check("destination", "/old", "/new");
        check("referer", "/old", "/new");
        check("location", "/old", "/old");
        check(
            "if",
            "</old> (<urn:x> [\"<\"]) (Not </old>) </old>(<urn:y>)",
            "</new> (<urn:x> [\"<\"]) (Not </old>) </new>(<urn:y>)",
        );
        check("if", "(</old> [\"a)\"])", "(</old> [\"a)\"])");
        check("if", "</old", "</old");
    }
}
