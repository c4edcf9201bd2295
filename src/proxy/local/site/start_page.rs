//! The start page: what is open and how it stands, where, and what else could be opened.

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};

use super::{ShownRun, Site};
use crate::message::body::Body;
use crate::message::client_kind::{ClientKind, RequestingClient};
use crate::proxy::page::{self, AnswerForm, ERROR_HEADER, OwnPage, PageState, copied, escaped, mark};
use crate::terminal::printable::printable_line;

/// How long it waits before it looks for the first time; that costs the cluster nothing.
const PAGE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What is open, for one who asks.
pub(crate) struct OpenServices<'a> {
    pub(crate) run: &'a ShownRun,
    pub(crate) sites: &'a [Site],
    /// Where the browser finds each.
    pub(crate) addresses: Vec<String>,
    /// Where computed proxy URLs begin.
    pub(crate) origin: &'a str,
    pub(crate) asker: RequestingClient,
}

impl OpenServices<'_> {
    /// What is open.
    pub(crate) fn start_page(&self) -> Response<Body> {
        self.answer(StatusCode::OK, "Open Services")
    }

    /// Nothing is served at `path`; what is.
    pub(crate) fn not_found_page(&self, path: &str) -> Response<Body> {
        let mut reply = self.answer(StatusCode::NOT_FOUND, &format!("Nothing is served at {}", printable_line(path)));
        reply.headers_mut().insert(ERROR_HEADER, HeaderValue::from_static("path"));
        reply
    }

    fn answer(&self, status: StatusCode, title: &str) -> Response<Body> {
        if self.asker.reader != ClientKind::Browser {
            return page::answer(status, AnswerForm::Text, &self.text(title));
        }
        let page = OwnPage {
            about: &self.run.context.as_deref().into_iter().collect::<Vec<_>>(),
            state: if status.is_success() { self.state() } else { PageState::Refused },
            status,
            title,
            content: &self.content(),
            look: self.asker.may_repeat.then_some(PAGE_LOOK_INTERVAL),
        };
        page.answer()
    }

    fn text(&self, title: &str) -> String {
        let line = |site: &Site| {
            let (name, namespace) = (&site.shown.name, &site.shown.namespace);
            format!("{}  {name} in {namespace}\n", self.proxy_url(site))
        };
        format!("{title}; served here:\n{}", self.sites.iter().map(line).collect::<String>())
    }

    fn proxy_url(&self, site: &Site) -> String {
        format!("{}{}", self.origin, site.proxy_path())
    }

    /// The worst of all.
    fn state(&self) -> PageState {
        let is_seen = |state: PageState| self.sites.iter().any(|site| stands(site.shown.ready.get()).0 == state);
        let states = [PageState::Waiting, PageState::Unknown];
        states.into_iter().find(|state| is_seen(*state)).unwrap_or(PageState::Ready)
    }

    fn content(&self) -> String {
        let server = escaped(&self.run.server);
        let context = self.run.context.as_deref().map(|context| format!("Context {}, server ", escaped(context)));
        let cluster = format!("{}{server}", context.unwrap_or_else(|| "Server ".to_owned()));
        let rows: String = self.sites.iter().zip(&self.addresses).map(|(site, address)| row(site, address)).collect();
        let urls: String =
            self.sites.iter().map(|site| format!("<li>{}</li>\n", copied(&self.proxy_url(site)))).collect();
        let other = |(what, command): &(String, String)| format!("<li>{}{}</li>\n", escaped(what), copied(command));
        let others: String = self.run.others.iter().map(other).collect();
        format!(
            "<p class=\"soft\">{cluster}</p>\n<ul class=\"services\">\n{rows}</ul>\n\
             <details><summary>Computed proxy URLs, for curl and scripts</summary>\n<ul>\n{urls}</ul>\n</details>\n\
             <h2>Open something else</h2>\n<ul class=\"checks\">\n{others}</ul>"
        )
    }
}

fn row(site: &Site, address: &str) -> String {
    let [name, namespace] = [&site.shown.name, &site.shown.namespace].map(|text| escaped(text));
    let port =
        site.shown.port.as_deref().map(|port| format!("<span>port {}</span>", escaped(port))).unwrap_or_default();
    let (state, words) = stands(site.shown.ready.get());
    let mark = mark(state, "class=\"mark\" role=\"img\"");
    format!(
        "<li><div class=\"row\">{mark}<a href=\"{href}\">{name}</a><span>in {namespace}</span>{port}\
         <span class=\"live\">{words}</span></div>{address}</li>\n",
        href = escaped(address),
        address = copied(address),
    )
}

/// How a Service stands of whose endpoints so many are ready.
fn stands(count: Option<usize>) -> (PageState, String) {
    match count {
        None => (PageState::Unknown, "endpoints not seen yet".to_owned()),
        Some(0) => (PageState::Waiting, "no ready endpoint".to_owned()),
        Some(1) => (PageState::Ready, "1 ready endpoint".to_owned()),
        Some(count) => (PageState::Ready, format!("{count} ready endpoints")),
    }
}
