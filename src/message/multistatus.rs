//! The URLs in a WebDAV answer about many resources (RFC 4918 section 13), and in the requests that name them: the text of
//! each element `href`, whatever its prefix, `location` being made of one.

use std::io::{self, Write};

use http::{Response, StatusCode};

use super::body::Body;
use super::content_kind;
use super::rewritten_body::{self, PieceRewriter};

/// Octets of a URL at most; a longer text passes as it is.
const MAX_URL_LENGTH: usize = 64 * 1024;

/// Whether `answer` has URLs that can be changed: it is a `207` in XML, in an encoding that can be undone.
pub(crate) fn is_one(answer: &Response<Body>) -> bool {
    let is_multistatus = answer.status() == StatusCode::MULTI_STATUS && content_kind::is_xml(answer.headers());
    is_multistatus && rewritten_body::is_possible(answer)
}

/// Changes the URLs of an answer that [is one](is_one), while its body streams; `edit` gets each as it stands there, and
/// `None` leaves it.
///
/// The answer loses what is no longer true of it, as [`rewritten_body::rewrite`] says.
pub(crate) fn rewrite(
    answer: Response<Body>,
    edit: impl Fn(&str) -> Option<String> + Send + Unpin + 'static,
) -> Response<Body> {
    rewritten_body::rewrite(answer, HrefRewriter::new(edit))
}

/// The same for a document that is here whole.
pub(crate) fn rewritten(document: &[u8], edit: impl Fn(&str) -> Option<String> + Send + Unpin) -> Vec<u8> {
    let mut rewriter = HrefRewriter::new(edit);
    rewriter.work(document);
    rewriter.end();
    rewriter.take()
}

/// Changes URLs in what is written to it. Only a URL is held back, until it is there whole.
struct HrefRewriter<F> {
    edit: F,
    place: XmlPlace,
    done: Vec<u8>,
}

/// Where in a document it is.
enum XmlPlace {
    /// Between tags.
    Text,
    /// In what follows a `<`, as far as it is a name.
    Name(Vec<u8>),
    /// Behind the name of a tag, perhaps in quotes.
    Tag { is_href: bool, quote: Option<u8>, last: u8 },
    /// In a comment, in character data or in an instruction, which ends with this; and the octets before.
    Until(&'static [u8], Vec<u8>),
    /// In an `href`.
    Href(Vec<u8>),
}

impl<F: Fn(&str) -> Option<String>> HrefRewriter<F> {
    fn new(edit: F) -> Self {
        Self { edit, place: XmlPlace::Text, done: Vec::new() }
    }

    fn work(&mut self, octets: &[u8]) {
        for &octet in octets {
            let place = std::mem::replace(&mut self.place, XmlPlace::Text);
            self.place = match place {
                XmlPlace::Href(url) => self.in_href(url, octet),
                place => {
                    self.done.push(octet);
                    place.after(octet)
                }
            };
        }
    }

    fn in_href(&mut self, mut url: Vec<u8>, octet: u8) -> XmlPlace {
        if octet == b'<' {
            self.put(&url);
            self.done.push(octet);
            return XmlPlace::Name(Vec::new());
        }
        url.push(octet);
        if url.len() <= MAX_URL_LENGTH {
            return XmlPlace::Href(url);
        }
        self.done.extend_from_slice(&url);
        XmlPlace::Text
    }

    /// Blanks around it are none of its (XML section 2.3).
    fn put(&mut self, text: &[u8]) {
        let url = text.trim_ascii();
        let edited = str::from_utf8(url).ok().filter(|url| !url.is_empty()).and_then(&self.edit);
        let Some(edited) = edited else { return self.done.extend_from_slice(text) };
        let before = text.len() - text.trim_ascii_start().len();
        self.done.extend_from_slice(&text[..before]);
        self.done.extend_from_slice(edited.as_bytes());
        self.done.extend_from_slice(&text[before + url.len()..]);
    }
}

impl XmlPlace {
    /// Where it is behind `octet`.
    fn after(self, octet: u8) -> Self {
        match self {
            Self::Text if octet == b'<' => Self::Name(Vec::new()),
            Self::Text | Self::Href(_) => self,
            Self::Name(name) => after_name(name, octet),
            Self::Tag { is_href, quote: None, last } if octet == b'>' => behind_tag(is_href && last != b'/'),
            Self::Tag { is_href, quote, .. } => {
                let quote = match quote {
                    None => Some(octet).filter(|octet| b"'\"".contains(octet)),
                    Some(open) => quote.filter(|_| octet != open),
                };
                Self::Tag { is_href, quote, last: octet }
            }
            Self::Until(end, mut before) => {
                before.push(octet);
                before.drain(..before.len().saturating_sub(end.len()));
                if before == end { Self::Text } else { Self::Until(end, before) }
            }
        }
    }
}

fn after_name(mut name: Vec<u8>, octet: u8) -> XmlPlace {
    /// Longer than what stands before `href`, or begins something else than a tag, need not be known.
    const MAX_NAME_LENGTH: usize = 256;
    let is_over = octet == b'>' || octet.is_ascii_whitespace() || (octet == b'/' && !name.is_empty());
    if is_over {
        let is_href = is_href(&name);
        return if octet == b'>' { behind_tag(is_href) } else { XmlPlace::Tag { is_href, quote: None, last: octet } };
    }
    if name.len() < MAX_NAME_LENGTH {
        name.push(octet);
    }
    match &name[..] {
        b"?" => XmlPlace::Until(b"?>", Vec::new()),
        b"!--" => XmlPlace::Until(b"-->", Vec::new()),
        b"![CDATA[" => XmlPlace::Until(b"]]>", Vec::new()),
        _ => XmlPlace::Name(name),
    }
}

fn behind_tag(is_href: bool) -> XmlPlace {
    if is_href { XmlPlace::Href(Vec::new()) } else { XmlPlace::Text }
}

/// Not a closing tag's, which begins with a slash.
fn is_href(name: &[u8]) -> bool {
    name.first() != Some(&b'/') && name.rsplit(|&octet| octet == b':').next() == Some(b"href")
}

impl<F: Fn(&str) -> Option<String>> Write for HrefRewriter<F> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.work(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: Fn(&str) -> Option<String> + Send + Unpin> PieceRewriter for HrefRewriter<F> {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.done)
    }

    fn end(&mut self) {
        if let XmlPlace::Href(url) = std::mem::replace(&mut self.place, XmlPlace::Text) {
            self.done.extend_from_slice(&url);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    fn below(url: &str) -> Option<String> {
        url.strip_prefix('/').map(|rest| format!("/p/{rest}"))
    }

    fn in_pieces(document: &[u8], size: usize) -> Vec<u8> {
        let mut rewriter = HrefRewriter::new(below);
        let mut out = Vec::new();
        for piece in document.chunks(size) {
            rewriter.write_all(piece).unwrap();
            out.extend(rewriter.take());
        }
        rewriter.end();
        out.extend(rewriter.take());
        out
    }

    fn check(document: &str, expect: &str) {
        for size in 1..=document.len() {
            let out = String::from_utf8(in_pieces(document.as_bytes(), size)).unwrap();
            assert_eq!(out, expect, "in pieces of {size}");
        }
        assert_eq!(String::from_utf8(rewritten(document.as_bytes(), below)).unwrap(), expect);
    }

    fn same(document: &str) {
        check(document, document);
    }

    #[test]
    fn the_text_of_each_href() {
        check("<D:href>/a%20b/?c&amp;d</D:href>", "<D:href>/p/a%20b/?c&amp;d</D:href>");
        check("<href>/a</href><x:href>/b</x:href>", "<href>/p/a</href><x:href>/p/b</x:href>");
        check(
            "<D:location><D:href>\n /a\t</D:href></D:location>",
            "<D:location><D:href>\n /p/a\t</D:href></D:location>",
        );
        check("<href xmlns='DAV:' x=\"a>b\" >/a</href>", "<href xmlns='DAV:' x=\"a>b\" >/p/a</href>");
        check(
            "<?xml version=\"1.0\"?><!-- <href>/a</href> --><href>/a</href>",
            "<?xml version=\"1.0\"?><!-- <href>/a</href> --><href>/p/a</href>",
        );
    }

    #[test]
    fn nothing_else() {
        same("<a>/b</a><hrefs>/b</hrefs><a:b href=\"/b\">/b</a:b><HREF>/b</HREF>");
        same("<href>http://other/</href><href>a</href><href/><href />/a<href></href><href> </href>");
        same("<![CDATA[<href>/a</href>]]><?p <href>/a</href>?><!DOCTYPE x>/a");
        same("</href>/a</D:href >/b");
        same("<href><![CDATA[/a]]></href><href>/a");
        same("/a > & < <");
        let long = format!("<href>/{}</href>", "a".repeat(MAX_URL_LENGTH));
        assert_eq!(rewritten(long.as_bytes(), below), long.as_bytes());
        assert_eq!(rewritten(b"<href>/\xff</href>", below), b"<href>/\xff</href>");
    }

    #[tokio::test]
    async fn multistatus_and_nothing_else() {
        for (kind, code, expect) in [
            ("application/xml; charset=\"utf-8\"", 207, true),
            ("text/xml", 207, true),
            ("application/xml", 200, false),
            ("application/json", 207, false),
        ] {
            let answer = Response::builder().status(code).header("content-type", kind).header("content-length", "15");
            let answer = answer.body(Body::full("<href>/a</href>")).unwrap();
            assert_eq!(is_one(&answer), expect, "{kind} {code}");
            if expect {
                let answer = rewrite(answer, below);
                assert!(!answer.headers().contains_key("content-length"));
                assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "<href>/p/a</href>");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(document in "(<D:href>|</D:href>|<href a='|<!--|-->|/a|[<>/'\" ?!]){0,16}", size in 1usize..9) {
            prop_assert_eq!(in_pieces(document.as_bytes(), size), in_pieces(document.as_bytes(), usize::MAX >> 1));
        }
    }
}
