//! Texts that become others in a body that goes by.

use std::io::{self, Write};

use http::{Response, StatusCode};

use super::body::Body;
use super::content_kind;
use super::rewritten_body::{self, PieceRewriter};

/// A text, and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextReplacement {
    /// As it is found; not empty.
    pub(crate) from: Vec<u8>,
    /// As it goes on.
    pub(crate) to: Vec<u8>,
}

/// Octets behind a text that decide whether it goes on: as long as an escaped character.
const LOOKAHEAD: usize = 3;

/// Replaces each of `replacements` in the body of `answer` where that is a text that can be read, and a whole one: HTML,
/// scripts, styles, JSON, XML. A text that goes on as a longer host name or port is another one, and stays.
///
/// Octets are held back only as long as they may be the beginning of such a text. The answer loses what is no longer true of
/// it, as [`rewritten_body::rewrite`] says.
pub(crate) fn replace(answer: Response<Body>, replacements: impl FnOnce() -> Vec<TextReplacement>) -> Response<Body> {
    let is_whole = answer.status() != StatusCode::PARTIAL_CONTENT;
    if !is_whole || !content_kind::is_text(answer.headers()) || !rewritten_body::is_possible(&answer) {
        return answer;
    }
    rewritten_body::rewrite(answer, TextReplacer::new(replacements()))
}

/// Replaces texts in what is written to it.
pub(crate) struct TextReplacer {
    replacements: Vec<TextReplacement>,
    /// The first octets of the texts.
    beginnings: Vec<u8>,
    /// What may be the beginning of a text.
    held: Vec<u8>,
    done: Vec<u8>,
}

/// What is at one place.
enum TextFound<'a> {
    This(&'a TextReplacement),
    Nothing,
    /// More octets will show.
    Perhaps,
}

impl TextReplacer {
    fn new(replacements: Vec<TextReplacement>) -> Self {
        let mut beginnings: Vec<u8> = replacements.iter().map(|replacement| replacement.from[0]).collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        Self { replacements, beginnings, held: Vec::new(), done: Vec::new() }
    }

    fn work(&mut self, is_end: bool) {
        let text = std::mem::take(&mut self.held);
        let mut at = 0;
        while let Some(offset) = text[at..].iter().position(|octet| self.beginnings.contains(octet)) {
            let found = at + offset;
            self.done.extend_from_slice(&text[at..found]);
            at = match self.find(&text[found..], is_end) {
                TextFound::This(replacement) => {
                    let (length, to) = (replacement.from.len(), replacement.to.clone());
                    self.done.extend_from_slice(&to);
                    found + length
                }
                TextFound::Nothing => {
                    self.done.push(text[found]);
                    found + 1
                }
                TextFound::Perhaps => {
                    self.held = text[found..].to_vec();
                    return;
                }
            };
        }
        self.done.extend_from_slice(&text[at..]);
    }

    fn find(&self, text: &[u8], is_end: bool) -> TextFound<'_> {
        for replacement in &self.replacements {
            let from = &replacement.from;
            match text.strip_prefix(&from[..]) {
                Some(rest) if rest.len() < LOOKAHEAD && !is_end && ends_a_host(rest) => return TextFound::Perhaps,
                Some(rest) if ends_a_host(rest) => return TextFound::This(replacement),
                None if !is_end && from.starts_with(text) => return TextFound::Perhaps,
                _ => {}
            }
        }
        TextFound::Nothing
    }
}

/// Whether a host with its port is over before `rest`.
fn ends_a_host(rest: &[u8]) -> bool {
    let goes_on = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._:@".contains(octet);
    !rest.first().is_some_and(goes_on) && !rest.get(..3).is_some_and(|escape| escape.eq_ignore_ascii_case(b"%3a"))
}

impl Write for TextReplacer {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(octets);
        self.work(false);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PieceRewriter for TextReplacer {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.done)
    }

    fn end(&mut self) {
        self.work(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    fn replacements() -> Vec<TextReplacement> {
        let one = |from: &str, to: &str| TextReplacement { from: from.into(), to: to.into() };
        vec![one("https://a.b:1", "http://c:2"), one("wss://a.b:1", "ws://c:2")]
    }

    fn replaced(text: &[u8], size: usize) -> Vec<u8> {
        let mut replacer = TextReplacer::new(replacements());
        let mut out = Vec::new();
        for piece in text.chunks(size) {
            replacer.write_all(piece).unwrap();
            out.extend(replacer.take());
        }
        replacer.end();
        out.extend(replacer.take());
        out
    }

    fn check(text: &str, expect: &str) {
        for size in 1..=text.len().max(1) {
            assert_eq!(String::from_utf8(replaced(text.as_bytes(), size)).unwrap(), expect, "in pieces of {size}");
        }
    }

    #[test]
    fn in_pieces_of_any_size() {
        check("", "");
        check("x = \"https://a.b:1/y\"", "x = \"http://c:2/y\"");
        check("https://a.b:1", "http://c:2");
        check("hhttps://a.b:1,wwss://a.b:1\\", "hhttp://c:2,wws://c:2\\");
        check("https://a.b:1https://a.b:1 ", "https://a.b:1http://c:2 ");
    }

    #[test]
    fn longer_hosts_are_others() {
        for text in [
            "https://a.b:12/",
            "https://a.b:1.c/",
            "https://a.b:1:3",
            "https://a.b:1-x",
            "https://a.b:1%3A3",
            "https://a.",
        ] {
            check(text, text);
        }
        check("https://a.b:1%2Fx https://a.b:1%", "http://c:2%2Fx http://c:2%");
    }

    #[tokio::test]
    async fn texts_and_nothing_else() {
        for (kind, code, is_text) in [
            ("text/html; charset=utf-8", 200, true),
            ("application/json", 404, true),
            ("application/problem+json", 500, true),
            ("text/css", 206, false),
            ("image/png", 200, false),
            ("application/octet-stream", 200, false),
        ] {
            let answer = Response::builder().status(code).header("content-type", kind).header("content-length", "13");
            let answer = replace(answer.body(Body::full("https://a.b:1")).unwrap(), replacements);
            assert_eq!(answer.headers().contains_key("content-length"), !is_text, "{kind} {code}");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, if is_text { "http://c:2" } else { "https://a.b:1" }, "{kind} {code}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "(https://a\\.b:1|wss://a\\.b:1|[hwsp:/ab.1 ]){0,12}", size in 1usize..9) {
            prop_assert_eq!(replaced(text.as_bytes(), size), replaced(text.as_bytes(), usize::MAX >> 1));
        }
    }
}
