//! HTML as the API server passes it on: split into tokens by the rules of Go's `golang.org/x/net/html`, every start tag written
//! anew, the rest as it stood.

/// Attributes that the API server takes for links, by element. apimachinery `pkg/util/proxy/transport.go`.
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

/// Elements whose content is text up to their own end tag.
const RAW_TEXT: [&str; 9] =
    ["iframe", "noembed", "noframes", "noscript", "script", "style", "textarea", "title", "xmp"];

/// A start tag, taken apart.
struct StartTag {
    /// In lower case, as are the attributes' names.
    name: Vec<u8>,
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
    closes_itself: bool,
    /// Where it ends in the text.
    end: usize,
}

/// The whole document with `rewrite` applied to every link; `None` leaves a value as it is, though it is written anew.
pub(crate) fn rewrite(html: &[u8], rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut written = Vec::with_capacity(html.len() + html.len() / 8);
    let mut at = 0;
    while let Some(start) = next_markup(html, at) {
        written.extend(&html[at..start]);
        if !html[start + 1].is_ascii_alphabetic() {
            // An end tag that does not end is lost, as an unfinished start tag is.
            let Some(end) = end_of_other_markup(html, start) else { return written };
            written.extend(&html[start..end]);
            at = end;
            continue;
        }
        let Some(mut tag) = start_tag(html, start) else { return written };
        rewrite_links(&mut tag, &rewrite);
        written.extend(print(&tag));
        at = end_of_raw_text(html, &tag);
        written.extend(&html[tag.end..at]);
    }
    written.extend(&html[at..]);
    written
}

fn rewrite_links(tag: &mut StartTag, rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let Some((_, links)) = LINKS.iter().find(|(element, _)| element.as_bytes() == tag.name) else { return };
    for (name, value) in &mut tag.attributes {
        if links.iter().any(|link| link.as_bytes() == name)
            && let Some(rewritten) = rewrite(value)
        {
            *value = rewritten;
        }
    }
}

fn print(tag: &StartTag) -> Vec<u8> {
    let mut text = [b"<", &tag.name[..]].concat();
    for (name, value) in &tag.attributes {
        text.push(b' ');
        text.extend(name);
        text.extend(b"=\"");
        value.iter().for_each(|byte| escape(*byte, &mut text));
        text.push(b'"');
    }
    text.extend(if tag.closes_itself { &b"/>"[..] } else { b">" });
    text
}

fn escape(byte: u8, text: &mut Vec<u8>) {
    match byte {
        b'&' => text.extend(b"&amp;"),
        b'\'' => text.extend(b"&#39;"),
        b'<' => text.extend(b"&lt;"),
        b'>' => text.extend(b"&gt;"),
        b'"' => text.extend(b"&#34;"),
        b'\r' => text.extend(b"&#13;"),
        _ => text.push(byte),
    }
}

/// The next `<` that begins a tag, a comment or the like.
fn next_markup(html: &[u8], from: usize) -> Option<usize> {
    let begins = |pair: &[u8]| pair[0] == b'<' && (pair[1].is_ascii_alphabetic() || b"/!?".contains(&pair[1]));
    let found = html.get(from..)?.windows(2).position(begins)?;
    // "</" at the very end is text.
    (html[from + found + 1] != b'/' || from + found + 2 < html.len()).then_some(from + found)
}

/// Where an end tag, comment or declaration ends; `None` for an end tag that does not.
fn end_of_other_markup(html: &[u8], start: usize) -> Option<usize> {
    let rest = &html[start..];
    if rest.starts_with(b"<!--") {
        return Some(end_of_comment(html, start));
    }
    let is_end_tag = rest[1] == b'/' && rest[2].is_ascii_alphabetic();
    if is_end_tag {
        return start_tag(html, start + 1).map(|tag| tag.end);
    }
    Some(position(html, start, b">").map_or(html.len(), |end| end + 1))
}

/// Comments end at `-->` or `--!>`, and `<!-->` and `<!--->` are whole ones.
fn end_of_comment(html: &[u8], start: usize) -> usize {
    let from = start + b"<!".len();
    let ends = [position(html, from, b"-->").map(|end| end + 3), position(html, from + 2, b"--!>").map(|end| end + 4)];
    ends.into_iter().flatten().min().unwrap_or(html.len())
}

fn position(html: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let found = html.get(from..)?.windows(what.len()).position(|window| window == what)?;
    Some(from + found)
}

/// Reads the tag whose `<` is at `start`; `None` if the document ends within it.
fn start_tag(html: &[u8], start: usize) -> Option<StartTag> {
    let name_end = end_of(html, start + 1, |byte| is_space(byte) || b"/>".contains(&byte))?;
    let mut tag = StartTag {
        name: html[start + 1..name_end].to_ascii_lowercase(),
        attributes: Vec::new(),
        closes_itself: false,
        end: name_end,
    };
    let mut last_value_end = 0;
    loop {
        tag.end = skip_space(html, tag.end)?;
        if html[tag.end] == b'>' {
            break;
        }
        let attribute = attribute(html, tag.end)?;
        tag.end = attribute.end;
        if !attribute.name.is_empty() && !tag.attributes.iter().any(|(name, _)| *name == attribute.name) {
            last_value_end = attribute.value_end;
            tag.attributes.push((attribute.name, attribute.value));
        }
    }
    tag.closes_itself = html[tag.end - 1] == b'/' && (tag.attributes.is_empty() || last_value_end != tag.end);
    tag.end += 1;
    Some(tag)
}

struct Attribute {
    name: Vec<u8>,
    value: Vec<u8>,
    /// Where the value ends, without its quote.
    value_end: usize,
    end: usize,
}

fn attribute(html: &[u8], start: usize) -> Option<Attribute> {
    // A "=" in front belongs to the name.
    let from = if html[start] == b'=' { start + 1 } else { start };
    let name_end = end_of(html, from, |byte| is_space(byte) || b"=/>".contains(&byte))?;
    let name = html[start..name_end].to_ascii_lowercase();
    let valueless = |end| Attribute { name: name.clone(), value: Vec::new(), value_end: end, end };
    let mut at = skip_space(html, name_end)?;
    if html[at] != b'=' {
        return Some(valueless(at + usize::from(html[at] == b'/')));
    }
    at = skip_space(html, at + 1)?;
    let (from, value_end, end) = match html[at] {
        b'>' => return Some(valueless(at)),
        quote @ (b'"' | b'\'') => {
            let closing = end_of(html, at + 1, |byte| byte == quote)?;
            (at + 1, closing, closing + 1)
        }
        _ => {
            let end = end_of(html, at, |byte| is_space(byte) || byte == b'>')?;
            (at, end, end)
        }
    };
    Some(Attribute { name, value: decoded(&html[from..value_end]), value_end, end })
}

/// An attribute's value with its character references and line ends resolved.
fn decoded(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    for (index, &byte) in raw.iter().enumerate() {
        match byte {
            b'\r' if raw.get(index + 1) == Some(&b'\n') => {}
            b'\r' => value.push(b'\n'),
            b'\0' => value.extend("\u{fffd}".as_bytes()),
            _ => value.push(byte),
        }
    }
    htmlize::unescape_bytes_in(value, htmlize::Context::Attribute).into_owned()
}

/// Where the text of a raw text element ends; the tag's own end for every other element.
fn end_of_raw_text(html: &[u8], tag: &StartTag) -> usize {
    match &tag.name[..] {
        b"plaintext" => html.len(),
        b"script" => end_of_script(html, tag.end),
        name if RAW_TEXT.iter().any(|element| element.as_bytes() == name) => {
            let mut ends = tag.end..html.len();
            ends.find(|at| is_end_tag_of(html, *at, name)).unwrap_or(html.len())
        }
        _ => tag.end,
    }
}

fn is_end_tag_of(html: &[u8], at: usize, name: &[u8]) -> bool {
    html[at..].starts_with(b"</") && names_element(&html[at + 2..], name)
}

/// Whether `text` begins with the name and something that ends a name.
fn names_element(text: &[u8], name: &[u8]) -> bool {
    text.len() > name.len()
        && text[..name.len()].eq_ignore_ascii_case(name)
        && (is_space(text[name.len()]) || b"/>".contains(&text[name.len()]))
}

/// The HTML standard's states of script data, as far as they decide where a script ends.
fn end_of_script(html: &[u8], start: usize) -> usize {
    #[derive(PartialEq)]
    enum State {
        Plain,
        Escaped,
        DoubleEscaped,
    }
    let mut state = State::Plain;
    for at in start..html.len() {
        let rest = &html[at..];
        match state {
            State::Plain | State::Escaped if is_end_tag_of(html, at, b"script") => return at,
            State::Plain if at >= start + 2 && html[at - 2..].starts_with(b"<!--") => state = State::Escaped,
            State::Escaped if rest[0] == b'<' && names_element(&rest[1..], b"script") => state = State::DoubleEscaped,
            State::DoubleEscaped if is_end_tag_of(html, at, b"script") => state = State::Escaped,
            _ => {}
        }
        if state != State::Plain && rest.starts_with(b"-->") {
            state = State::Plain;
        }
    }
    html.len()
}

/// The first place from `start` on whose byte ends what is read; `None` at the document's end.
fn end_of(html: &[u8], start: usize, ends: impl Fn(u8) -> bool) -> Option<usize> {
    let found = html.get(start..)?.iter().position(|byte| ends(*byte))?;
    Some(start + found)
}

fn skip_space(html: &[u8], start: usize) -> Option<usize> {
    end_of(html, start, |byte| !is_space(byte))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        let shouted = |value: &[u8]| (!value.is_empty()).then(|| value.to_ascii_uppercase());
        assert_eq!(String::from_utf8_lossy(&rewrite(html.as_bytes(), shouted)), expected);
    }

    #[test]
    fn writes_start_tags_anew() {
        check("<HTML Lang=en>", r#"<html lang="en">"#);
        check("<input disabled value='a\"b'>", r#"<input disabled="" value="a&#34;b">"#);
        check("<br/><br /><p a=/>", r#"<br/><br/><p a="/">"#);
        check("<svg viewBox='0 0'/>", r#"<svg viewbox="0 0"/>"#);
        check("<p title=&eacute;&amp;&#39;>", r#"<p title="é&amp;&#39;">"#);
        check("<p a=1 A=2 =x=3>", r#"<p a="1" =x="3">"#);
        check("<p a = 'x\r\ny'>", "<p a=\"x\ny\">");
    }

    #[test]
    fn finds_links() {
        check("<a href=/x data-href=/x>", r#"<a href="/X" data-href="/x">"#);
        check("<img src=/x srcset=/y><use href=/z>", r#"<img src="/X" srcset="/y"><use href="/z">"#);
        check("<template><a href=/x></template>", r#"<template><a href="/X"></template>"#);
    }

    #[test]
    fn leaves_everything_else() {
        for html in [
            "a < b <- </ <> </>",
            "<!doctype HTML><?php <a href=/x> ?>",
            "<!-- <a href=/x> --><!--><!---><!-- x --!>",
            "<script>'<a href=/x>'</script>",
            "<script><!-- <script> </script> <a href=/x> --></script>",
            "<style><a href=/x></style>",
            "<title><a href=/x></TITLE >",
            "<noscript><a href=/x></noscript>",
            "<textarea><a href=/x></textarea>",
            "<plaintext></plaintext><a href=/x>",
            "</A  HREF=/x>",
        ] {
            check(html, html);
        }
    }

    #[test]
    fn loses_a_tag_that_does_not_end() {
        check("x<a href=/x", "x");
        check("x</a", "x");
        check("x<!-- y", "x<!-- y");
    }
}
