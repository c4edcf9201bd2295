//! Placeholders of templates that browsers fill in: `{{name}}` in a link, which the API server percent-encodes.
//!
//! It parses and prints each link (Go's `url.URL.String`), so a fetched piece of HTML with
//! `<img src="{{ base }}/logo.png">` arrives with `%7B%7B%20base%20%7D%7D`, and no template engine finds anything to fill
//! in. To a browser itself both spellings of a path are the same (WHATWG URL, path percent-encode set).

const OPEN: &str = "%7B%7B";
const CLOSE: &str = "%7D%7D";

/// A link's value as it stands in HTML, with placeholders in its path as the app wrote them; `None` without any.
pub(super) fn restore(value: &str) -> Option<String> {
    let path_ends = value.find(['?', '#']).unwrap_or(value.len());
    let (mut path, after) = value.split_at(path_ends);
    let mut restored = String::new();
    while let Some(at) = path.find(OPEN) {
        let length = match path[at..].find(CLOSE) {
            Some(length) => length + braces(&path[at + length..]),
            None if after.contains("}}") => path.len() - at, // `{{ a ? b : c }}` has its end in the query
            None => break,
        };
        restored.push_str(&path[..at]);
        decode(&path[at..at + length], &mut restored);
        path = &path[at + length..];
    }
    (!restored.is_empty()).then(|| restored + path + after)
}

/// The length of the closing braces at the start, two or more.
fn braces(text: &str) -> usize {
    const BRACE: &str = "%7D";
    text.len() - text.trim_start_matches(BRACE).len()
}

/// What Go's printer encodes in ASCII: never a slash. Between quotes some of it needs a character reference.
fn decode(text: &str, into: &mut String) {
    let mut pieces = text.split('%');
    into.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let byte = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| matches!(byte, b' '..=b'~') && *byte != b'/') {
            Some(b'"') => into.push_str("&#34;"),
            Some(b'&') => into.push_str("&amp;"),
            Some(b'<') => into.push_str("&lt;"),
            Some(b'>') => into.push_str("&gt;"),
            Some(byte) => into.push(byte.into()),
            None => {
                into.push('%');
                into.push_str(piece);
                continue;
            }
        }
        into.push_str(&piece[2..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expect: &str) {
        assert_eq!(restore(value).as_deref(), Some(expect), "{value}");
    }

    #[test]
    fn placeholders() {
        check("%7B%7Burl%7D%7D", "{{url}}");
        check("/a/%7B%7B%20id%20%7D%7D/b?v={{ v }}", "/a/{{ id }}/b?v={{ v }}");
        check("%7B%7Ba%7D%7D/%7B%7Bb%7D%7D#%7B%7Bc%7D%7D", "{{a}}/{{b}}#%7B%7Bc%7D%7D");
        check("/%7B%7B%7Braw%7D%7D%7D", "/{{{raw}}}");
        check("/x%20y/%7B%7Bz%7D%7D/x%20y", "/x%20y/{{z}}/x%20y");
    }

    #[test]
    fn a_question_in_a_placeholder() {
        check("/%7B%7B%20a%20? b : c }}/x", "/{{ a ? b : c }}/x");
    }

    #[test]
    fn what_html_would_read_otherwise() {
        check("%7B%7Ba%20%7C%20f:%22%3C&amp;%3E%22%7D%7D", "{{a | f:&#34;&lt;&amp;&gt;&#34;}}");
    }

    #[test]
    fn what_go_did_not_encode_stays() {
        check("%7B%7Ba%2Fb%0A%C3%A9%zz%7D%7D", "{{a%2Fb%0A%C3%A9%zz}}");
    }

    #[test]
    fn no_placeholder() {
        for value in
            ["", "/x", "/%7Bid%7D", "/%7B%7Bid", "/%7B%7Bid?x", "%7D%7D%7B%7B", "/x?%7B%7Bid%7D%7D", "/é%7B%7B"]
        {
            assert_eq!(restore(value), None, "{value}");
        }
    }
}
