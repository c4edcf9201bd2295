//! An explanation as an answer: a page, text, or JSON in the API server's shape.

use std::fmt::Write as _;

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFRESH};
use http::{HeaderName, HeaderValue, Response};

use super::asker::{Asker, Reader};
use super::explanation::{Check, Explanation};
use crate::upstream::Body;

/// Names what went wrong, in one word; only on answers that this program made.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("svcproxy-error");

/// Nothing from elsewhere, no script: what is shown comes from outside.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

impl Explanation {
    /// The answer for `asker`, with the explanation's status.
    pub fn answer(&self, asker: Asker) -> Response<Body> {
        let (kind, body) = match asker.reader {
            Reader::Browser => ("text/html; charset=utf-8", self.page(asker.may_repeat)),
            Reader::Program if asker.wants_json => ("application/json", self.json()),
            Reader::Program | Reader::Terminal => ("text/plain; charset=utf-8", self.text()),
        };
        let mut response = Response::new(Body::full(body));
        *response.status_mut() = self.code;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(ERROR_HEADER, HeaderValue::from_static(self.word));
        if asker.reader == Reader::Browser {
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        }
        if let (Reader::Browser, true, Some(again)) = (asker.reader, asker.may_repeat, self.again) {
            headers.insert(REFRESH, HeaderValue::from(again.as_secs()));
        }
        response
    }

    /// For a terminal.
    fn text(&self) -> String {
        let mut text = format!("{}.\n", self.title);
        for line in self.text.lines() {
            let _ = writeln!(text, "{line}");
        }
        for check in &self.checks {
            let _ = match &check.command {
                Some(command) => writeln!(text, "  {}:  {command}", check.text),
                None => writeln!(text, "  {}", check.text),
            };
        }
        if let Some(original) = &self.original {
            let _ = writeln!(text, "({original})");
        }
        text
    }

    /// For a program: what an API server would say.
    fn json(&self) -> String {
        let message = match &self.original {
            Some(original) => format!("{}: {original}", self.title),
            None => self.title.clone(),
        };
        serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": "ServiceUnavailable", "code": self.code.as_u16(),
        })
        .to_string()
    }

    /// For a browser.
    fn page(&self, may_repeat: bool) -> String {
        let title = escaped(&self.title);
        let text: String = paragraphs(&self.text);
        let checks: String = self.checks.iter().map(item).collect();
        let list = if checks.is_empty() { checks } else { format!("<ul>{checks}</ul>") };
        let original = self.original.as_deref().map(details).unwrap_or_default();
        let again = match self.again {
            Some(_) if may_repeat => "<p class=\"again\">This page looks again every few seconds.</p>",
            _ => "",
        };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<link \
             rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<p class=\"code\">{code}</p>\n<h1>{title}</h1>\n{text}{list}{original}{again}\n</main>\n</body>\n</html>\n",
            code = self.code.as_str(),
        )
    }
}

const STYLE: &str = include_str!("page.css");

fn paragraphs(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p class=\"why\">{}</p>\n", escaped(text)) }
}

fn item(check: &Check) -> String {
    match &check.command {
        Some(command) => format!("<li>{}<pre>{}</pre></li>\n", escaped(&check.text), escaped(command)),
        None => format!("<li>{}</li>\n", escaped(&check.text)),
    }
}

fn details(original: &str) -> String {
    format!("<details><summary>The original message</summary><pre>{}</pre></details>\n", escaped(original))
}

/// `text` in element content or a quoted attribute (HTML section 13.3).
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}
