//! Every answer that the local side makes itself, but for the start page.

use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, LOCATION, SET_COOKIE};
use http::{HeaderValue, Response, StatusCode};

use crate::message::body::Body;
use crate::message::client_kind::{ClientKind, RequestingClient};
use crate::proxy::local::guard::refusal::ExplainedRefusal;
use crate::proxy::page::{self, AnswerForm, ERROR_HEADER, OwnPage, PageState, copied, escaped};

/// How long a refusal that may end waits before it looks for the first time.
const PAGE_LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// A refusal: a page for a browser, a few lines for everybody else. `about` is what the page is about where the refusal does not
/// say so itself.
pub(crate) fn refusal(explained: &ExplainedRefusal, about: Vec<String>, asker: RequestingClient) -> Response<Body> {
    let ExplainedRefusal { status, word, reason, way_out, command, .. } = explained;
    let mut reply = match asker.reader {
        ClientKind::Browser => refusal_page(explained, about, asker.may_repeat),
        ClientKind::Terminal | ClientKind::Program => {
            let command = command.as_ref().map(|command| format!("  {command}\n")).unwrap_or_default();
            page::answer(*status, AnswerForm::Text, &format!("kubectl svcproxy: {reason}.\n{way_out}\n{command}"))
        }
    };
    reply.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static(word));
    if *status == StatusCode::METHOD_NOT_ALLOWED {
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    }
    reply
}

fn refusal_page(explained: &ExplainedRefusal, mut about: Vec<String>, may_repeat: bool) -> Response<Body> {
    about.extend(explained.service.clone());
    let command = explained.command.as_deref().map(copied).unwrap_or_default();
    let page = OwnPage {
        about: &about.iter().map(String::as_str).collect::<Vec<_>>(),
        state: if explained.may_pass_soon { PageState::Waiting } else { PageState::Refused },
        status: explained.status,
        title: &capitalised(&explained.reason),
        content: &format!("<p class=\"why\">{}</p>\n{command}", escaped(&explained.way_out)),
        look: (explained.may_pass_soon && may_repeat).then_some(PAGE_LOOK_INTERVAL),
    };
    page.answer()
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// The Service said something that cannot be passed on, and nobody may go on speaking raw on this connection.
pub(crate) fn bad_gateway(reason: &str) -> Response<Body> {
    let mut reply = page::answer(StatusCode::BAD_GATEWAY, AnswerForm::Text, &format!("kubectl svcproxy: {reason}.\n"));
    reply.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static("upgrade"));
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// A request over HTTP/2 that has no meaning here: for the programs that send such.
pub(crate) fn unreadable(status: StatusCode) -> Response<Body> {
    let why = match status {
        StatusCode::NOT_IMPLEMENTED => {
            "this is no forward proxy: CONNECT opens WebSockets of a Service, and nothing else"
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the request's header has too many lines",
        _ => "the request names no host, or two",
    };
    let mut reply = page::answer(status, AnswerForm::Text, &format!("kubectl svcproxy: {why}.\n"));
    reply.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static("request"));
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

/// Asks the user whether to go on to an address to which a page elsewhere has led, and which would get the session only then:
/// browsers keep a strict cookie back from what another site began, so that this does nothing in the user's name.
pub(crate) fn onward_by_hand(target: &str) -> Response<Body> {
    let target = escaped(target);
    let page = OwnPage {
        about: &[],
        state: PageState::Waiting,
        status: StatusCode::FORBIDDEN,
        title: "A page elsewhere led here",
        content: &format!(
            "<p class=\"why\">Go on if you meant to: it is asked for with your session here.</p>\n\
             <p><a href=\"{target}\">{target}</a></p>"
        ),
        look: None,
    };
    page.answer()
}

/// Loads the same address once more, now as a request of this site's own: browsers keep a strict cookie back from a
/// navigation that another site began, such as the way back from a login.
pub(crate) fn same_site_reload(target: &str) -> Response<Body> {
    let page = OwnPage {
        about: &[],
        state: PageState::Waiting,
        status: StatusCode::OK,
        title: "One moment",
        content: &format!("<meta http-equiv=\"refresh\" content=\"0; url={}\">", escaped(target)),
        look: None,
    };
    page.answer()
}
