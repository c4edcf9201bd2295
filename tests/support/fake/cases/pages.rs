//! HTML, which is read to its end and written anew.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::script::{Case, answer, html, unframed};

/// What the Pod says, and what the client gets; "same" is unchanged.
pub(crate) const MARKUP: [(&str, &str); 64] = [
    ("<a href=\"/x\">", "<a href=\"{P}/x\">"),
    ("<a href=\"rel\">", "same"),
    ("<a href=\"//cdn/x\">", "same"),
    ("<a href=\"#h\">", "same"),
    ("<a href=\"?q\">", "same"),
    ("<a href=\"\">", "same"),
    ("<a href=\"/%zz\">", "same"),
    ("<a href=\"/a\nb\">", "same"),
    ("<a href=\"/\">", "<a href=\"{P}/\">"),
    ("<a href=\"{{u}}\">", "<a href=\"%7B%7Bu%7D%7D\">"),
    ("<a href=\"/{{id}}/x\">", "<a href=\"{P}/%7B%7Bid%7D%7D/x\">"),
    ("<a href=\"/../up\">", "<a href=\"/api/v1/namespaces/{NS}/services/named:http/up\">"),
    ("<a href=\"/d//e/\">", "<a href=\"{P}/d/e/\">"),
    ("<a href=\"/a b\">", "<a href=\"{P}/a%20b\">"),
    ("<a href=\" /lead\">", "<a href=\"%20/lead\">"),
    ("<a href=\"/a%2Fb\">", "<a href=\"{P}/a/b\">"),
    ("<a href=\"/a?b=1&amp;c=2#d\">", "<a href=\"{P}/a?b=1&amp;c=2#d\">"),
    ("<a href=\"/a&quot;b\">", "<a href=\"{P}/a%22b\">"),
    ("<a href=\"javascript:alert('/x')\">", "<a href=\"javascript:alert(&#39;/x&#39;)\">"),
    ("<a href=\"data:text/html,<b>\">", "<a href=\"data:text/html,&lt;b&gt;\">"),
    ("<a href=\"http://{POD}/x\">", "<a href=\"{P}/x\">"),
    ("<a href=\"http://{POD}\">", "same"),
    ("<a href=\"http://{HOST}/x\">", "<a href=\"http://{HOST}{P}/x\">"),
    ("<a href=\"https://other/x\">", "same"),
    ("<a href=\"{P}/q\">", "same"),
    ("<a href='/x' title='it\"s'>", "<a href=\"{P}/x\" title=\"it&#34;s\">"),
    ("<a href=/x>", "<a href=\"{P}/x\">"),
    ("<A HREF=/x>T</A>", "<a href=\"{P}/x\">T</A>"),
    ("<area href=\"/x\">", "<area href=\"{P}/x\">"),
    ("<base href=\"/x/\">", "<base href=\"{P}/x/\">"),
    ("<link rel=\"icon\" href=\"/x\">", "<link rel=\"icon\" href=\"{P}/x\">"),
    ("<audio src=\"/x\">", "<audio src=\"{P}/x\">"),
    ("<video src=\"/x\" poster=\"/y\">", "<video src=\"{P}/x\" poster=\"{P}/y\">"),
    ("<source src=\"/x\" srcset=\"/y 2x\">", "<source src=\"{P}/x\" srcset=\"/y 2x\">"),
    ("<embed src=\"/x\">", "<embed src=\"{P}/x\">"),
    ("<script src=\"/x\"></script>", "<script src=\"{P}/x\"></script>"),
    (
        "<img src=\"/x\" srcset=\"/y 2x\" longdesc=\"/z\" usemap=\"#m\">",
        "<img src=\"{P}/x\" srcset=\"/y 2x\" longdesc=\"{P}/z\" usemap=\"#m\">",
    ),
    (
        "<iframe src=\"/x\" srcdoc=\"&lt;a href=/y>\"></iframe>",
        "<iframe src=\"{P}/x\" srcdoc=\"&lt;a href=/y&gt;\"></iframe>",
    ),
    ("<form action=\"/x\"><button formaction=\"/y\">", "<form action=\"{P}/x\"><button formaction=\"{P}/y\">"),
    ("<input type=image src=\"/x\" formaction=\"/y\">", "<input type=\"image\" src=\"{P}/x\" formaction=\"{P}/y\">"),
    (
        "<object data=\"/x\" classid=\"/y\" codebase=\"/z\">",
        "<object data=\"{P}/x\" classid=\"{P}/y\" codebase=\"{P}/z\">",
    ),
    (
        "<blockquote cite=\"/x\"><q cite=\"/x\"><del cite=\"/x\"><ins cite=\"/x\">",
        "<blockquote cite=\"{P}/x\"><q cite=\"{P}/x\"><del cite=\"{P}/x\"><ins cite=\"{P}/x\">",
    ),
    (
        "<html manifest=\"/x\"><head profile=\"/y\"><body background=\"/z\">",
        "<html manifest=\"{P}/x\"><head profile=\"{P}/y\"><body background=\"{P}/z\">",
    ),
    ("<template><a href=\"/x\"></template>", "<template><a href=\"{P}/x\"></template>"),
    ("<HTML Lang=en>", "<html lang=\"en\">"),
    ("<input disabled>", "<input disabled=\"\">"),
    ("<svg viewBox=\"0 0 1 1\"/>", "<svg viewbox=\"0 0 1 1\"/>"),
    ("<p title=\"caf&eacute; &copy; &#38; &notanentity;\">", "<p title=\"café © &amp; &amp;notanentity;\">"),
    ("<br><br/><br />", "<br><br/><br/>"),
    ("<track src=\"/x\">", "same"),
    ("<meta http-equiv=\"refresh\" content=\"0; url=/x\">", "same"),
    ("<use href=\"/x\"><image xlink:href=\"/y\">", "same"),
    ("<a ping=\"/x\" data-url=\"/y\" style=\"background:url(/z)\">", "same"),
    ("<script>'<a href=\"/x\">'; '<!--<script>'; '</script>'; '--></script>", "same"),
    ("<style>a { background: url('/x') } /* <a href=\"/x\"> */</style>", "same"),
    ("<textarea><a href=/x></textarea><title><a href=/x></title>", "same"),
    ("<noscript><a href=/x></noscript><xmp><a href=/x></xmp>", "same"),
    ("<!-- <a href=/x> --><!-- a --!><!--><!---><?php '<' ?><!doctype HTML>", "same"),
    ("a & b < c <3 &lt; \"/x\" </", "same"),
    ("text</a href", "text"),
    ("</A HREF=/x>", "same"),
    ("text<a href=\"/x", "text"),
    ("text<!-- no end", "same"),
    ("", "same"),
];

/// What is taken for a page.
const TYPES: [(&str, bool); 8] = [
    ("text/html", true),
    ("text/html; charset=utf-8", true),
    ("text/html ;x", true),
    ("Text/HTML", false),
    ("application/xhtml+xml", false),
    ("text/plain", false),
    ("application/json", false),
    ("text/htmlx", false),
];

const PAGE: &str = "<a href=/x>";
const REWRITTEN: &str = "<a href=\"{P}/x\">";

pub(crate) fn cases() -> Vec<Case> {
    [markup(), types(), statuses(), encodings()].concat()
}

fn markup() -> Vec<Case> {
    let rewritten = MARKUP.map(|(said, got)| {
        Case::new(format!("page {said}"), "GET /dir/page").answer(html(&[], said)).gets_body(if got == "same" {
            said
        } else {
            got
        })
    });
    rewritten.to_vec()
}

fn types() -> Vec<Case> {
    let typed = TYPES.map(|(content_type, is_page)| {
        Case::new(format!("Content-Type {content_type}"), "GET /")
            .answer(answer("200 OK", &[&format!("Content-Type: {content_type}")], PAGE))
            .gets_body(if is_page { REWRITTEN } else { PAGE })
    });
    typed.to_vec()
}

fn statuses() -> Vec<Case> {
    let page = |status: u16, line: &str| {
        Case::new(format!("a page with {status}"), "GET /")
            .answer(answer(line, &["Content-Type: text/html", "ETag: \"x\"", "Content-Range: bytes 0-1/2"], PAGE))
            .gets(status)
            .gets_header("etag", &["\"x\""])
            .gets_header("content-range", &["bytes 0-1/2"])
            .gets_body(REWRITTEN)
    };
    vec![
        page(206, "206 Partial Content"),
        page(404, "404 Not Found"),
        page(500, "500 Internal Server Error"),
        Case::new("a HEAD of a page loses its length", "HEAD /")
            .answer(unframed("200 OK", &["Content-Type: text/html", "Content-Length: 100"], ""))
            .gets_header("content-length", &[])
            .gets_header("content-type", &["text/html"]),
        Case::new("a page that is cut off", "GET /")
            .answer(unframed("200 OK", &["Content-Type: text/html", "Content-Length: 100"], PAGE))
            .gets_status(500, "", "unexpected EOF"),
    ]
}

fn encodings() -> Vec<Case> {
    let encoded = |encoding: &str, body: Vec<u8>| {
        Case::new(format!("a page in {encoding}"), "GET /")
            .header("Accept-Encoding", "gzip, deflate, br, zstd")
            .answer(html(&[&format!("Content-Encoding: {encoding}")], body))
    };
    vec![
        encoded("gzip", gzip(PAGE)).gets_header("content-encoding", &["gzip"]).gets_body(REWRITTEN),
        encoded("GZIP", gzip(PAGE)).gets_broken(),
        encoded("identity", PAGE.into()).gets_broken(),
        encoded("br", b"\x0b\x05\x80<a href=/x>\x03".to_vec()).gets_broken(),
        encoded("zstd", PAGE.into()).gets_broken(),
        encoded("deflate", zlib(PAGE)).gets_status(500, "", "flate: corrupt input before offset 5"),
        encoded("deflate", raw_deflate(PAGE)).gets_header("content-encoding", &["deflate"]),
        Case::new("gzip that nobody asked for is undone", "GET /")
            .answer(answer("200 OK", &["Content-Type: text/plain", "Content-Encoding: gzip"], gzip("text")))
            .gets_header("content-encoding", &[])
            .gets_body("text"),
        Case::new("a page in gzip that nobody asked for", "GET /")
            .answer(html(&["Content-Encoding: gzip"], gzip(PAGE)))
            .gets_header("content-encoding", &[])
            .gets_body(REWRITTEN),
        Case::new("gzip that was asked for stays", "GET /")
            .header("Accept-Encoding", "gzip")
            .answer(answer("200 OK", &["Content-Type: text/plain", "Content-Encoding: gzip"], gzip("text")))
            .gets_header("content-encoding", &["gzip"])
            .gets_body("text"),
        Case::new("other encodings of what is no page stay", "GET /")
            .answer(answer("200 OK", &["Content-Type: text/plain", "Content-Encoding: br"], "text"))
            .gets_header("content-encoding", &["br"])
            .gets_body("text"),
        Case::new("a HEAD of a page in gzip", "HEAD /")
            .answer(unframed("200 OK", &["Content-Type: text/html", "Content-Encoding: gzip"], ""))
            .gets(500)
            .gets_header("content-encoding", &[]),
        Case::new("a page in gzip that did not change", "GET /")
            .header("Accept-Encoding", "gzip")
            .answer(unframed("304 Not Modified", &["Content-Type: text/html", "Content-Encoding: gzip"], ""))
            .gets_status(500, "", "errorf making gzip reader: EOF"),
    ]
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap()
}

fn zlib(text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap()
}

fn raw_deflate(text: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap()
}
