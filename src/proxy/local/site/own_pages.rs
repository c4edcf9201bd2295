//! Every answer that the local side makes itself.

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, LOCATION, SET_COOKIE};
use http::{HeaderValue, Response, StatusCode};

use super::Site;
use crate::message::body::Body;
use crate::message::client_kind::{ClientKind, RequestingClient};
use crate::proxy::local::guard::refusal::ExplainedRefusal;
use crate::proxy::page::{self, AnswerForm, ERROR_HEADER, escaped};
use crate::terminal::output::printable;

/// A refusal: a page for a browser, two lines for everybody else.
pub(crate) fn refusal(explained: &ExplainedRefusal, asker: RequestingClient) -> Response<Body> {
    let ExplainedRefusal { status, word, reason, way_out } = explained;
    let (kind, body) = match asker.reader {
        ClientKind::Browser => {
            let content = format!("<p class=\"why\">{}</p>", escaped(way_out));
            (AnswerForm::Page, page::page("kubectl svcproxy", &capitalised(reason), &content))
        }
        ClientKind::Terminal | ClientKind::Program => {
            (AnswerForm::Text, format!("kubectl svcproxy: {reason}.\n{way_out}\n"))
        }
    };
    let mut reply = page::answer(*status, kind, body);
    reply.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static(word));
    if *status == StatusCode::METHOD_NOT_ALLOWED {
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    }
    reply
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// The Service said something that cannot be passed on, and nobody may go on speaking raw on this connection.
pub(crate) fn bad_gateway(reason: &str) -> Response<Body> {
    let mut reply = page::answer(StatusCode::BAD_GATEWAY, AnswerForm::Text, format!("kubectl svcproxy: {reason}.\n"));
    reply.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static("upgrade"));
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// Elsewhere, and not to be remembered: the next run may use another port.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response<Body> {
    let mut reply = Response::new(Body::Empty);
    *reply.status_mut() = status;
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match HeaderValue::from_str(location) {
        Ok(location) => drop(reply.headers_mut().insert(LOCATION, location)),
        Err(_) => *reply.status_mut() = StatusCode::BAD_REQUEST,
    }
    reply
}

/// The same address without the token, and the cookie that replaces it.
pub(crate) fn redirect_without_token(location: &str, cookie: Option<HeaderValue>) -> Response<Body> {
    let mut reply = redirect(StatusCode::SEE_OTHER, location);
    if let Some(cookie) = cookie {
        reply.headers_mut().insert(SET_COOKIE, cookie);
    }
    reply
}

/// Loads the same address once more, now as a request of this site's own: browsers keep a strict cookie back from a
/// navigation that another site began, such as the way back from a login.
pub(crate) fn same_site_reload(target: &str) -> Response<Body> {
    let content = format!("<meta http-equiv=\"refresh\" content=\"0; url={}\">", escaped(target));
    page::answer(StatusCode::OK, AnswerForm::Page, page::page("kubectl svcproxy", "One moment", &content))
}

/// What is open.
pub(crate) fn start_page(sites: &[Site], origin: &str, asker: RequestingClient) -> Response<Body> {
    list(StatusCode::OK, "Open Services", sites, origin, asker)
}

/// Nothing is served there; what is.
pub(crate) fn not_found_page(path: &str, sites: &[Site], origin: &str, asker: RequestingClient) -> Response<Body> {
    let title = format!("Nothing is served at {}", printable(path));
    let mut reply = list(StatusCode::NOT_FOUND, &title, sites, origin, asker);
    reply.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static("path"));
    reply
}

fn list(status: StatusCode, title: &str, sites: &[Site], origin: &str, asker: RequestingClient) -> Response<Body> {
    if asker.reader == ClientKind::Browser {
        let items: String = sites.iter().map(item).collect();
        let content = format!("<ul>\n{items}</ul>");
        return page::answer(status, AnswerForm::Page, page::page("kubectl svcproxy", title, &content));
    }
    let lines: String = sites.iter().map(|site| format!("{origin}{}  {}\n", site.proxy_path(), site.title)).collect();
    page::answer(status, AnswerForm::Text, format!("{title}; served here:\n{lines}"))
}

fn item(site: &Site) -> String {
    let target = format!("{}{}", site.proxy_path(), site.landing.trim_start_matches('/'));
    let (target, path, title) = (escaped(&target), escaped(site.proxy_path()), escaped(&site.title));
    format!("<li><a href=\"{target}\">{title}</a><pre>{path}</pre></li>\n")
}
