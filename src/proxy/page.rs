//! The pages that this program shows itself: one look, light and dark, nothing from elsewhere. They read as well without
//! their script, which copies commands and looks now and then whether a page still holds.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::message::body::Body;
use crate::terminal::printable::{printable, printable_json};

/// Names what went wrong, in one word; only on answers that this program made.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("svcproxy-error");
/// Tells a page that looks again whether it still holds: the same value, the same page. Only on pages of this program.
pub const STATE_HEADER: HeaderName = HeaderName::from_static("svcproxy-state");

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// How often a page that looks again is loaded anew where no script runs.
const NO_SCRIPT_INTERVAL: Duration = Duration::from_secs(10);

/// Nothing from elsewhere, no style or script but our own, no frame of others around it: what is shown comes from outside.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    let policy = format!(
        "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    );
    HeaderValue::try_from(policy).expect("base64 is ASCII")
});

/// Takes out of the headers of an app's answer what only this program says of itself.
pub fn remove_own_fields(headers: &mut HeaderMap) {
    headers.remove(ERROR_HEADER);
    headers.remove(STATE_HEADER);
}

/// An answer in text or JSON that this program makes, never to be kept by anybody.
pub fn answer(status: StatusCode, form: AnswerForm, body: &str) -> Response<Body> {
    match form {
        AnswerForm::Text => of_type(status, "text/plain; charset=utf-8", printable(body)),
        AnswerForm::Json => of_type(status, "application/json", printable_json(body)),
    }
}

fn of_type(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The form of an answer that is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// For a terminal.
    Text,
    /// For a program.
    Json,
}

/// How things stand with what a page is about: the mark at its top, and its icon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageState {
    /// It can be used.
    Ready,
    /// It may be used in a moment, without anybody's doing here.
    Waiting,
    /// It cannot be used until somebody does something.
    Failed,
    /// The request was refused; what it was for may well be.
    Refused,
    /// Nobody has seen it.
    Unknown,
}

/// A page.
#[derive(Debug, Clone, Copy)]
pub struct OwnPage<'a> {
    /// What it is about, from the large to the small: a context, `NAMESPACE/SERVICE`. None of it where whoever reads it may be
    /// a stranger.
    pub about: &'a [&'a str],
    /// How that stands.
    pub state: PageState,
    /// The status of the answer.
    pub status: StatusCode,
    /// The heading, as text.
    pub title: &'a str,
    /// What stands below it, as HTML.
    pub content: &'a str,
    /// After how long it looks for the first time whether it still holds; `None` for never. Only for what a GET asked for.
    pub look: Option<Duration>,
}

impl OwnPage<'_> {
    /// The page as an answer.
    pub fn answer(&self) -> Response<Body> {
        let (body, title) = (self.body(), escaped(self.title));
        let icon = percent_encoded(&mark(self.state, "xmlns=\"http://www.w3.org/2000/svg\""));
        let (look, without_script) = self.look.map(looks).unwrap_or_default();
        let state = data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{look}{body}"))[..8]);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\" data-state=\"{state}\"{look}>\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <link rel=\"icon\" href=\"data:image/svg+xml,{icon}\">\n{without_script}\
             <style>{STYLE}</style>\n</head>\n<body>\n{body}\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
        );
        let mut response = of_type(self.status, "text/html; charset=utf-8", html);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY.clone());
        response.headers_mut().insert(STATE_HEADER, HeaderValue::try_from(state).expect("digits are ASCII"));
        response
    }

    /// Everything that may change while somebody looks at it.
    fn body(&self) -> String {
        let Self { about, state, status, title, content, look } = self;
        let (mark, code, title) = (mark(*state, "class=\"mark\" role=\"img\""), status.as_str(), escaped(title));
        let about: String =
            about.iter().map(|part| format!("<span class=\"about\">{}</span>", escaped(part))).collect();
        let code = if status.is_success() { String::new() } else { format!("<span class=\"code\">{code}</span>") };
        let look = look.map_or("", |_| "<p class=\"look\">This page looks again by itself.</p>\n");
        format!(
            "<header>{mark}<span>kubectl svcproxy</span>{about}{code}</header>\n\
             <main>\n<h1>{title}</h1>\n{content}\n{look}</main>"
        )
    }
}

/// What a page says of when to look first: an attribute, and what does it where no script runs.
fn looks(first: Duration) -> (String, String) {
    let seconds = NO_SCRIPT_INTERVAL.as_secs();
    let refresh = format!("<noscript><meta http-equiv=\"refresh\" content=\"{seconds}\"></noscript>\n");
    (format!(" data-look=\"{}\"", first.as_secs()), refresh)
}

/// The mark of a state, told by shape as well as by colour: each colour stands out on light and on dark ground.
pub fn mark(state: PageState, attributes: &str) -> String {
    const DISC: &str = "<circle cx='8' cy='8' r='7'";
    const RING: &str = "<circle cx='8' cy='8' r='5.5' fill='none' stroke-width='3'";
    const BAR: &str = "<path d='M4.5 8h7' stroke='#fff' stroke-width='2.4'/>";
    let (word, drawing) = match state {
        PageState::Ready => ("ready", format!("{DISC} fill='#1a9850'/>")),
        PageState::Waiting => ("waiting", format!("{RING} stroke='#b87400'/>")),
        PageState::Failed => ("failed", format!("{DISC} fill='#d6403a'/>{BAR}")),
        PageState::Refused => ("refused", format!("{DISC} fill='#76808c'/>{BAR}")),
        PageState::Unknown => ("not known", format!("{RING} stroke='#76808c'/>")),
    };
    format!("<svg {attributes} aria-label=\"{word}\" viewBox=\"0 0 16 16\">{drawing}</svg>")
}

/// A command or an address, which can be copied. Its lines break between words only where that is possible: after the hyphens of
/// `--flag` nobody expects an end.
pub fn copied(text: &str) -> String {
    let words: Vec<String> = text.split(' ').map(|word| format!("<span>{}</span>", escaped(word))).collect();
    format!("<div class=\"copied\"><pre>{}</pre></div>", words.join(" "))
}

/// `text`, as it is shown, in element content or a quoted attribute (HTML section 13.3).
pub fn escaped(text: &str) -> String {
    let html = printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    html.replace('"', "&quot;").replace('\'', "&#39;")
}

/// Our own SVG in a `data:` URL in a quoted attribute.
fn percent_encoded(svg: &str) -> String {
    svg.replace('"', "'").replace('#', "%23").replace('<', "%3C").replace('>', "%3E").replace(' ', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::client_kind::LOOK_HEADER;
    use http_body_util::BodyExt;

    const PAGE: OwnPage<'_> = OwnPage {
        about: &["<b>", "shop/web"],
        state: PageState::Failed,
        status: StatusCode::BAD_GATEWAY,
        title: "a & b",
        content: "<p>c</p>",
        look: None,
    };

    async fn text(page: OwnPage<'_>) -> String {
        let body = page.answer().into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn state(page: OwnPage<'_>) -> HeaderValue {
        page.answer().headers()[STATE_HEADER].clone()
    }

    #[tokio::test]
    async fn a_page_is_about_something() {
        let html = text(PAGE).await;
        let head = "<span>kubectl svcproxy</span><span class=\"about\">&lt;b&gt;</span>\
                    <span class=\"about\">shop/web</span><span class=\"code\">502</span></header>";
        for part in [
            head,
            "<title>a &amp; b</title>",
            "<h1>a &amp; b</h1>",
            "aria-label=\"failed\"",
            "data:image/svg+xml,%3Csvg",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("<noscript>") && !html.contains("data-look"), "{html}");
    }

    #[tokio::test]
    async fn a_page_that_looks_again_does_without_a_script_too() {
        let html = text(OwnPage { look: Some(Duration::from_secs(2)), ..PAGE }).await;
        for part in [" data-look=\"2\">", "<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>"] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn the_state_is_what_is_shown() {
        assert_eq!(state(PAGE), state(PAGE));
        for other in [
            OwnPage { about: &["shop/web"], ..PAGE },
            OwnPage { state: PageState::Waiting, ..PAGE },
            OwnPage { status: StatusCode::NOT_FOUND, ..PAGE },
            OwnPage { title: "a", ..PAGE },
            OwnPage { content: "", ..PAGE },
            OwnPage { look: Some(Duration::from_secs(2)), ..PAGE },
        ] {
            assert_ne!(state(PAGE), state(other), "{other:?}");
        }
    }

    #[test]
    fn nothing_but_our_own_script_runs() {
        let policy = PAGE.answer().headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for name in [LOOK_HEADER, STATE_HEADER] {
            assert!(SCRIPT.contains(&format!("'{name}'")), "{name}");
        }
        for end in ["</script", "</style", "<!--"] {
            assert!(!SCRIPT.contains(end) && !STYLE.contains(end), "{end}");
        }
    }

    #[tokio::test]
    async fn t17_text_of_others_is_obeyed_by_nobody() {
        use http_body_util::BodyExt as _;
        const HOSTILE: &str = "x\u{1b}[2J\u{7}\u{9b}\u{7f}\u{202e}y";
        let page = |content: &str| {
            let page = OwnPage {
                about: &[],
                state: PageState::Failed,
                status: StatusCode::OK,
                title: HOSTILE,
                content: &escaped(content),
                look: None,
            };
            page.answer()
        };
        let text = answer(StatusCode::OK, AnswerForm::Text, &format!("{HOSTILE}\n"));
        let json = answer(StatusCode::OK, AnswerForm::Json, &serde_json::to_string(HOSTILE).unwrap());
        for answer in [text, json, page(HOSTILE)] {
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(!body.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{7f}', '\u{202e}']), "{body:?}");
            assert!(body.contains('x'), "{body}");
        }
    }
}
