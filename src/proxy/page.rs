//! The pages that this program shows itself: one look, light and dark, no script, nothing from elsewhere.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::message::body::Body;

/// Names what went wrong, in one word; only on answers that this program made.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("svcproxy-error");

/// Nothing from elsewhere, no script, no frame of others around it: what is shown comes from outside.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'self'";

const STYLE: &str = include_str!("page.css");

/// An answer that this program makes: `body` in one of the forms that [`AnswerForm`] has, never to be kept by anybody.
pub fn answer(status: StatusCode, kind: AnswerForm, body: String) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let media_type = match kind {
        AnswerForm::Page => "text/html; charset=utf-8",
        AnswerForm::Text => "text/plain; charset=utf-8",
        AnswerForm::Json => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if kind == AnswerForm::Page {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    response
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// For a browser.
    Page,
    /// For a terminal.
    Text,
    /// For a program.
    Json,
}

/// A page. `mark` is a small line above the heading and `title` the heading, both as text; `content` is HTML.
pub fn page(mark: &str, title: &str, content: &str) -> String {
    let (mark, title) = (escaped(mark), escaped(title));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <p class=\"code\">{mark}</p>\n<h1>{title}</h1>\n{content}\n</main>\n</body>\n</html>\n"
    )
}

/// `text` in element content or a quoted attribute (HTML section 13.3).
pub fn escaped(text: &str) -> String {
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    html.replace('"', "&quot;").replace('\'', "&#39;")
}
