//! What the API server warns of beside its answer (apiserver `pkg/endpoints/filters/warning.go`). Pure.

use http::header::WARNING;
use http::{HeaderMap, HeaderValue};

/// The only kind that API servers send: `299 - "text"` (apimachinery `pkg/util/net/http.go`, `ParseWarningHeaders`).
const PERSISTENT: &str = "299 ";

/// The texts of all warnings, in their order.
pub(super) fn texts(headers: &HeaderMap) -> Vec<String> {
    let text = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).map(in_field).ok();
    headers.get_all(WARNING).iter().filter_map(text).flatten().collect()
}

/// The texts of one field, which may hold several warnings, until it is no longer as it should be.
fn in_field(mut field: &str) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((text, rest)) = field.trim_start().strip_prefix(PERSISTENT).and_then(first_text) {
        texts.push(text);
        let date = rest.trim_start().strip_prefix('"').and_then(|dated| dated.split_once('"'));
        field = date.map_or(rest, |(_, rest)| rest).split_once(',').map_or("", |(_, next)| next);
    }
    texts
}

/// The quoted text after the agent, and what follows it (RFC 7234 section 5.5).
fn first_text(warning: &str) -> Option<(String, &str)> {
    let (_agent, quoted) = warning.split_once(" \"")?;
    let mut text = String::new();
    let mut octets = quoted.char_indices();
    loop {
        match octets.next()? {
            (at, '"') => return Some((text, &quoted[at + 1..])),
            (_, '\\') => text.push(octets.next()?.1),
            (_, other) => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read() {
        let check = |fields: &[&str], expect: &[&str]| {
            let headers =
                fields.iter().map(|field| (WARNING, HeaderValue::from_bytes(field.as_bytes()).unwrap())).collect();
            assert_eq!(texts(&headers), expect, "{fields:?}");
        };
        check(&[r#"299 - "v1 Endpoints is deprecated in v1.33+""#], &["v1 Endpoints is deprecated in v1.33+"]);
        check(&[r#"299 - "one""#, r#"299 agent "two""#], &["one", "two"]);
        check(&[r#"299 - "a, \"b\"" "Wed, 21 Oct 2026 07:28:00 GMT""#], &[r#"a, "b""#]);
        check(&[r#"299 - "one", 299 - "two""#], &["one", "two"]);
        check(&[r#"299 - "one" "Wed, 21 Oct 2026 07:28:00 GMT", 299 - "two""#], &["one", "two"]);
        check(&[r#"199 - "one""#], &[]);
        check(&[r#"299 - "without end"#, "299", ""], &[]);
    }
}
