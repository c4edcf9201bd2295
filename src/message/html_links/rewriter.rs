//! One page, piece by piece: links changed, everything else as it came.

use std::borrow::Cow;
use std::io;
use std::mem;
use std::sync::{Arc, LazyLock, Mutex};

use encoding_rs::WINDOWS_1252;
use lol_html::html_content::Attribute;
use lol_html::send::{Element, ElementContentHandlers, HtmlRewriter, Settings};
use lol_html::{AsciiCompatibleEncoding, HandlerResult, MemorySettings, Selector};

use crate::lock::lock;
use crate::message::rewritten_body::PieceRewriter;

/// Elements and those of their attributes that hold one URL, as the API server knows them (apimachinery,
/// `pkg/util/proxy/transport.go`, `atomsToAttrs`). `srcset`, `<meta>` refreshes, SVG and scripts are not among them.
const LINKS: [(&str, &[&str]); 25] = [
    ("a", &["href"]),
    ("applet", &["codebase"]),
    ("area", &["href"]),
    ("audio", &["src"]),
    ("base", &["href"]),
    ("blockquote", &["cite"]),
    ("body", &["background"]),
    ("button", &["formaction"]),
    ("command", &["icon"]),
    ("del", &["cite"]),
    ("embed", &["src"]),
    ("form", &["action"]),
    ("frame", &["longdesc", "src"]),
    ("head", &["profile"]),
    ("html", &["manifest"]),
    ("iframe", &["longdesc", "src"]),
    ("img", &["longdesc", "src", "usemap"]),
    ("input", &["src", "usemap", "formaction"]),
    ("ins", &["cite"]),
    ("link", &["href"]),
    ("object", &["classid", "codebase", "data", "usemap"]),
    ("q", &["cite"]),
    ("script", &["src"]),
    ("source", &["src"]),
    ("video", &["poster", "src"]),
];

/// Bytes one page may hold at a time: its open elements, and the tag that is being read, where pictures may stand as
/// `data:` URLs. Beyond it the rest of the page passes unchanged.
const MEMORY: usize = 8 << 20;

/// Every element of [`LINKS`].
static ELEMENTS: LazyLock<Selector> = LazyLock::new(|| {
    let names: Vec<&str> = LINKS.iter().map(|(element, _)| *element).collect();
    names.join(",").parse().expect("element names make a selector")
});

/// A page on its way through; what comes out is taken with [`LinkRewriter::take`].
pub(in crate::message) struct LinkRewriter {
    /// `None` once the page has taken more memory than it may.
    html: Option<Box<HtmlRewriter<'static, PageSink>>>,
    output: Arc<Mutex<Vec<u8>>>,
}

/// Where the page comes out.
type PageSink = Box<dyn FnMut(&[u8]) + Send>;

impl LinkRewriter {
    pub(in crate::message) fn new(mut link: impl FnMut(&str) -> Option<String> + Send + 'static) -> Self {
        let output = Arc::new(Mutex::new(Vec::new()));
        let page = output.clone();
        let sink: PageSink = Box::new(move |chunk| lock(&page).extend_from_slice(chunk));
        let handler =
            ElementContentHandlers::default().element(move |element: &mut Element<'_, '_>| relink(element, &mut link));
        let settings = settings().append_element_content_handler((Cow::Borrowed(&*ELEMENTS), handler));
        Self { html: Some(Box::new(HtmlRewriter::new(settings, sink))), output }
    }
}

impl PieceRewriter for LinkRewriter {
    fn take(&mut self) -> Vec<u8> {
        mem::take(&mut *lock(&self.output))
    }

    fn end(&mut self) {
        if let Some(html) = self.html.take() {
            // It fails for want of memory only, and has then put out all it was given.
            let _ = html.end();
        }
    }
}

/// Takes all it is given; never fails.
impl io::Write for LinkRewriter {
    fn write(&mut self, page: &[u8]) -> io::Result<usize> {
        match &mut self.html {
            Some(html) => {
                if html.write(page).is_err() {
                    self.html = None;
                }
            }
            None => lock(&self.output).extend_from_slice(page),
        }
        Ok(page.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settings() -> Settings<'static, 'static> {
    // Each byte is one character of windows-1252 and back, so no page is too strange to come out as it went in; the
    // API server, too, looks for ASCII in bytes.
    let bytes = AsciiCompatibleEncoding::new(WINDOWS_1252).expect("windows-1252 extends ASCII");
    let memory = MemorySettings::new()
        .with_max_allowed_memory_usage(MEMORY)
        .with_graceful_bail_out_on_memory_limit_exceeded(true);
    Settings::new_send().with_encoding(bytes).with_strict(false).with_memory_settings(memory)
}

fn relink(element: &mut Element<'_, '_>, link: &mut impl FnMut(&str) -> Option<String>) -> HandlerResult {
    let name = element.tag_name();
    let attributes = LINKS.iter().find(|(element, _)| *element == name).map_or(&[][..], |(_, attributes)| *attributes);
    for attribute in attributes {
        let Some(value) = element.get_attribute(attribute) else { continue };
        if let Some(changed) = link(&value)
            && is_byte_by_byte(element, attribute, &value)
        {
            element.set_attribute(attribute, &changed)?;
        }
    }
    Ok(())
}

/// Whether `value` has a character for each byte of the attribute. Of what begins with a byte order mark lol_html drops the
/// mark and reads the rest as UTF-8 or UTF-16, which could not be put back. Such a link begins with neither slash nor scheme,
/// so nobody has put a path in front of it.
fn is_byte_by_byte(element: &Element<'_, '_>, name: &str, value: &str) -> bool {
    let is_named = |attribute: &&Attribute<'_>| {
        attribute.name() == name
            && attribute.name_source_location().map(|place| place.bytes().len()) == Some(name.len())
    };
    let place = element.attributes().iter().find(is_named).and_then(Attribute::value_source_location);
    place.map_or(0, |place| place.bytes().len()) == value.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn up(link: &str) -> Option<String> {
        link.strip_prefix("/p").map(str::to_owned)
    }

    fn rewrite(pieces: &[&[u8]]) -> Vec<u8> {
        let mut rewriter = LinkRewriter::new(up);
        let mut out = Vec::new();
        for piece in pieces {
            rewriter.write_all(piece).unwrap();
            out.extend(rewriter.take());
        }
        rewriter.end();
        out.extend(rewriter.take());
        out
    }

    fn check(page: &str, expect: &str) {
        assert_eq!(String::from_utf8_lossy(&rewrite(&[page.as_bytes()])), expect, "{page}");
    }

    #[test]
    fn every_attribute_of_the_table() {
        for (element, attributes) in LINKS {
            for attribute in attributes {
                check(
                    &format!("<{element} id=\"1\" {attribute}=\"/p/x?a=1&amp;b\" class=\"c\">"),
                    &format!("<{element} id=\"1\" {attribute}=\"/x?a=1&amp;b\" class=\"c\">"),
                );
            }
        }
    }

    #[test]
    fn nothing_else() {
        for same in [
            "<img srcset=\"/p/x 2x\">",
            "<track src=\"/p/x\">",
            "<meta http-equiv=\"refresh\" content=\"0;url=/p/x\">",
            "<svg><use xlink:href=\"/p/x\"/><image href=\"/p/x\"/></svg>",
            "<script>\"<a href='/p/x'>\"</script>",
            "<style>a{background:url(/p/x)}</style><!-- <a href=\"/p/x\"> -->",
            "<textarea><a href=\"/p/x\"></textarea><title><a href=\"/p/x\"></title>",
            "<a data-href=\"/p/x\" ping=\"/p/x\" title=\"/p/x\">/p/x</a>",
            "<A   HREF = '/q/x'  DISABLED >",
            "<a href=\"/p/x",
            "<a href=/p",
        ] {
            check(same, same);
        }
    }

    #[test]
    fn what_the_api_server_does_not_write_itself() {
        check("<A HREF=/p/x>", "<A HREF=\"/x\">");
        check("<a href='/p/\"x'>", "<a href=\"/&quot;x\">");
        check("<template><a href=\"/p/x\"></template>", "<template><a href=\"/x\"></template>");
        check("<svg><a href=\"/p/x\"/></svg>", "<svg><a href=\"/x\" /></svg>");
    }

    #[test]
    fn every_byte_comes_out_as_it_went_in() {
        let all: Vec<u8> = (0..=255).filter(|byte| *byte != b'"').collect();
        let page = |path: &str| [b"<a href=\"", path.as_bytes(), &all, b"\">", &all[..b'<' as usize]].concat();
        assert_eq!(rewrite(&[&page("/p/")]), page("/"));
        assert_eq!(rewrite(&[&page("/q/")]), page("/q/"));
    }

    #[test]
    fn a_byte_order_mark_is_part_of_a_link() {
        for same in [
            &b"<a href=\"\xef\xbb\xbf/p/\xe9\">"[..],
            b"<a href=\"\xff\xfe/\0p\0/\0\">",
            b"<a href=\"\xfe\xff\0/\0p\0/\">",
            b"<a \xef\xbb\xbfhref=\"/p/x\">",
        ] {
            assert_eq!(rewrite(&[same]), same, "{}", String::from_utf8_lossy(same));
        }
        check(
            "<img \u{feff}src=\"/p/x\" longdesc=\"\u{feff}/p/é\" src=\"/p/é\">",
            "<img \u{feff}src=\"/p/x\" longdesc=\"\u{feff}/p/é\" src=\"/é\">",
        );
        check("<a \u{feff}href=\"x\" href=/p/x>", "<a \u{feff}href=\"x\" href=\"/x\">");
    }

    #[test]
    fn memory_is_capped_and_output_is_not() {
        let piece = b"<p><li><a href=\"/p/x\">".repeat(1000);
        let mut rewriter = LinkRewriter::new(up);
        let (mut fed, mut out) = (0, 0);
        while fed < 4 * MEMORY {
            rewriter.write_all(&piece).unwrap();
            fed += piece.len();
            out += rewriter.take().len();
        }
        rewriter.end();
        assert!(rewriter.html.is_none() && out > fed - MEMORY, "{fed} in, {out} out");
    }

    #[test]
    fn an_endless_tag_passes() {
        let mut rewriter = LinkRewriter::new(up);
        rewriter.write_all(b"<img src=\"data:").unwrap();
        let piece = [b'x'; 1 << 16];
        let mut out = 0;
        for _ in 0..1 << 9 {
            rewriter.write_all(&piece).unwrap();
            out += rewriter.take().len();
        }
        rewriter.end();
        assert_eq!(out, 15 + (1 << 25));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(page in "(<(a|img|script|/script|p) (href|src)=['\"]?/p/[a-z<>'\" ]{0,6}|[ -~é]){0,40}", at in 0usize..400) {
            let bytes = page.as_bytes();
            let (left, right) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(rewrite(&[left, right]), rewrite(&[bytes]));
        }

        #[test]
        fn a_page_without_our_links_is_untouched(page in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assume!(!page.windows(2).any(|pair| pair == b"/p"));
            prop_assert_eq!(rewrite(&[&page]), page);
        }
    }
}
