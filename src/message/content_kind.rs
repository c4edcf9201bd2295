//! What kind of content a body is, by its `Content-Type` (RFC 9110 section 8.3). Pure.

use http::{HeaderMap, HeaderValue, header};

/// The media type without its parameters, as it is spelled; nothing where there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> &[u8] {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    kind.split(|&octet| octet == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether the API server takes it for HTML, which it changes: by this spelling alone.
pub(crate) fn is_html(headers: &HeaderMap) -> bool {
    media_type(headers) == b"text/html"
}

/// Whether it is XML by the names that WebDAV has for it (RFC 4918 section 8.2).
pub(crate) fn is_xml(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    [&b"application/xml"[..], b"text/xml"].iter().any(|xml| xml.eq_ignore_ascii_case(kind))
}

/// Whether it is what browsers run, show or read as text (WHATWG MIME Sniffing, section 4.6).
pub(crate) fn is_text(headers: &HeaderMap) -> bool {
    const OTHERS: [&[u8]; 5] = [
        b"application/json",
        b"application/javascript",
        b"application/x-javascript",
        b"application/ecmascript",
        b"application/xml",
    ];
    let kind = media_type(headers).to_ascii_lowercase();
    kind.starts_with(b"text/") || kind.ends_with(b"+json") || kind.ends_with(b"+xml") || OTHERS.contains(&&kind[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let check = |kind: &'static str, html: bool, text: bool| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!((is_html(&headers), is_text(&headers)), (html, text), "{kind}");
        };
        check(" text/html ;charset=x", true, true);
        check("Text/HTML", false, true);
        check("text/html5", false, true);
        check("application/problem+json", false, true);
        check("image/png", false, false);
        check("", false, false);
        assert_eq!(media_type(&HeaderMap::new()), b"");
    }

    #[test]
    fn xml() {
        for (kind, expect) in [("Text/XML; charset=x", true), ("application/xml", true), ("image/svg+xml", false)] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(is_xml(&headers), expect, "{kind}");
        }
    }
}
