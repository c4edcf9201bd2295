//! Redirects to the path and query that were asked for: they say "come otherwise". Pure.

use http::header::{LOCATION, SET_COOKIE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};

use super::unprefix::HostPair;
use super::{RouteTaken, Transport};
use crate::message::host_port;

/// How the browser is to come to the very path and query that it asked for. An extension of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SelfRedirect {
    /// By https, under the host that it used.
    ToHttps,
    /// Under another host.
    ToHost {
        /// With its port, if it has one.
        host: HeaderValue,
        /// By https.
        is_https: bool,
    },
}

/// What of a request is compared with a redirect.
#[derive(Debug, Clone)]
pub(super) struct AskedUrl {
    /// Path and query.
    pub(super) target: PathAndQuery,
    has_cookies: bool,
}

impl AskedUrl {
    /// Reads it off `request`, before that is sent.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        Self { target, has_cookies: request.headers().contains_key(header::COOKIE) }
    }

    /// What `answer` says of it, as the transport gives it, before the host that the app saw is mapped back.
    pub(super) fn redirect<B>(&self, hosts: &HostPair, answer: &Response<B>) -> Option<SelfRedirect> {
        if !answer.status().is_redirection() || answer.status() == StatusCode::NOT_MODIFIED {
            return None;
        }
        let location = answer.headers().get(LOCATION)?.to_str().ok()?;
        let url: Uri = location.split('#').next().unwrap_or_default().parse().ok()?;
        let leads_here = url.path_and_query().is_some_and(|target| *target == self.target);
        if !leads_here {
            return None;
        }
        match url.authority() {
            None => self.may_be_https(answer).then_some(SelfRedirect::ToHttps),
            Some(authority) => to_authority(&url, authority, hosts),
        }
    }

    /// The API server leaves nothing but the path of a redirect to the host that it sent (apimachinery
    /// `pkg/util/proxy/transport.go`), so one to https looks like one to the same URL. That may be what an app means that
    /// has just set its first cookie.
    fn may_be_https<B>(&self, answer: &Response<B>) -> bool {
        let by_service_proxy = RouteTaken::transport_of(answer) == Some(Transport::ServiceProxy);
        by_service_proxy && (self.has_cookies || !answer.headers().contains_key(SET_COOKIE))
    }
}

fn to_authority(url: &Uri, authority: &Authority, hosts: &HostPair) -> Option<SelfRedirect> {
    let is_https = url.scheme_str() == Some("https");
    let is_ours = [&hosts.sent, &hosts.local].into_iter().any(|host| {
        let (name, _) = host_port::split(host.to_str().unwrap_or_default());
        name.eq_ignore_ascii_case(authority.host())
    });
    if is_ours {
        return is_https.then_some(SelfRedirect::ToHttps);
    }
    let host = HeaderValue::try_from(authority.as_str()).ok()?;
    Some(SelfRedirect::ToHost { host, is_https })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Scheme;

    fn redirect(
        transport: Transport,
        asked: &str,
        cookie: bool,
        code: u16,
        fields: &[(&str, &str)],
    ) -> Option<SelfRedirect> {
        let request = Request::builder().uri(asked);
        let request = if cookie { request.header(header::COOKIE, "a=b") } else { request };
        let asked = AskedUrl::of(&request.body(()).unwrap());
        let answer =
            fields.iter().fold(Response::builder().status(code), |answer, (name, value)| answer.header(*name, *value));
        let mut answer = answer.body(()).unwrap();
        answer.extensions_mut().insert(RouteTaken { transport, pod: None });
        let hosts = HostPair {
            sent: HeaderValue::from_static("localhost:8001"),
            local: HeaderValue::from_static("web.localhost:8001"),
            browser: Scheme::Http,
        };
        asked.redirect(&hosts, &answer)
    }

    fn check(transport: Transport, asked: &str, location: &str, expect: Option<&str>) {
        let said = redirect(transport, asked, false, 307, &[("location", location)]).map(|redirect| match redirect {
            SelfRedirect::ToHttps => "https".to_owned(),
            SelfRedirect::ToHost { host, is_https } => format!("{} {is_https}", host.to_str().unwrap()),
        });
        assert_eq!(said.as_deref(), expect, "{transport:?} {asked} {location}");
    }

    #[test]
    fn redirects_to_what_was_asked_for() {
        use Transport::{PortForward, ServiceProxy};
        check(PortForward, "/a?b", "https://web.localhost:8001/a?b", Some("https"));
        check(PortForward, "/a?b", "https://web.localhost/a?b", Some("https"));
        check(PortForward, "/a?b", "https://localhost:443/a?b#c", Some("https"));
        check(PortForward, "/", "https://web.localhost", Some("https"));
        check(PortForward, "/a", "https://shop.example/a", Some("shop.example true"));
        check(PortForward, "/a", "http://shop.example:81/a", Some("shop.example:81 false"));
        check(ServiceProxy, "/a?b", "/a?b", Some("https"));
        for other in ["/a", "/a?c", "/b?b", "a?b", "https://web.localhost/b", "http://web.localhost/a?b", "", "::"] {
            check(ServiceProxy, "/a?b", other, None);
        }
        check(PortForward, "/a", "/a", None);
    }

    #[test]
    fn a_first_cookie_may_be_what_is_wanted() {
        let redirect = |cookie, code, fields: &[_]| redirect(Transport::ServiceProxy, "/", cookie, code, fields);
        let sets_one = [("location", "/"), ("set-cookie", "a=b")];
        assert_eq!(redirect(false, 302, &sets_one), None);
        assert_eq!(redirect(true, 302, &sets_one), Some(SelfRedirect::ToHttps));
        assert_eq!(redirect(true, 304, &sets_one), None);
        assert_eq!(redirect(false, 200, &[("location", "/")]), None);
        assert_eq!(redirect(false, 302, &[]), None);
    }
}
