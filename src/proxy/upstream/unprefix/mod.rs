//! Takes off what the API server puts on: the proxy path in front of URLs, and headers of its own.
//!
//! What it puts on, and when, is in apimachinery `pkg/util/proxy/transport.go` and apiserver `pkg/server/filters`.
//! Nothing is searched for the proxy path but the places where the API server, or an app that was told of it, writes it.

mod fields;
mod own_urls;
mod reference;
mod service_names;
mod template;

use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Request, Response};

use crate::cluster::EndpointSlice;
use crate::message::body::Body;
use crate::message::forwarded_fields::BrowserByTls;
use crate::message::html_links;
use crate::service::Scheme;

pub(super) use own_urls::replacements;
use reference::AnswerUrls;
pub use service_names::ServiceNames;

/// What stands in front of one Service's own URLs by the time they get here.
#[derive(Debug, Clone, Default)]
pub struct Unprefix {
    /// Without a slash at the end; none is the beginning of another's path.
    prefixes: Vec<String>,
    /// The API server's own host and port.
    api: Option<String>,
    /// `None` where no transport puts anything in front.
    names: Option<ServiceNames>,
}

/// The host, with its port unless it is the default, under which one request knows the Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPair {
    /// As the app was told, in `Host`.
    pub sent: HeaderValue,
    /// As the browser knows it.
    pub local: HeaderValue,
    /// What the browser speaks with it.
    pub browser: Scheme,
}

impl HostPair {
    /// What the browser of `request` speaks with the local side.
    pub fn browser_of<B>(request: &Request<B>) -> Scheme {
        match request.extensions().get::<BrowserByTls>() {
            Some(BrowserByTls) => Scheme::Https,
            None => Scheme::Http,
        }
    }
}

impl Unprefix {
    /// For a Service below each of `proxy_paths` (`/api/v1/…/proxy/`: every spelling that an app may have been told) of the API
    /// server at `api`.
    ///
    /// `base_path` is the path in the kubeconfig's `server`. A gateway that serves the API server below such a path
    /// may put it in front of what the API server has already prefixed (Rancher does).
    pub fn new(base_path: &str, proxy_paths: &[String], api: &str, names: ServiceNames) -> Self {
        let prefixes = prefixes(base_path, proxy_paths);
        Self { prefixes, api: Some(api.to_owned()), names: Some(names) }
    }

    /// The same for a Service that has the endpoints of `slices`, and no others.
    #[must_use]
    pub fn with_endpoints(&self, slices: &[EndpointSlice]) -> Self {
        Self { names: self.names.as_ref().map(|names| names.with_endpoints(slices)), ..self.clone() }
    }

    /// For a transport that puts nothing in front: an app may have been told of its proxy path all the same.
    pub fn bare(base_path: &str, proxy_paths: &[String]) -> Self {
        Self { prefixes: prefixes(base_path, proxy_paths), ..Self::default() }
    }

    /// The Service's own answer, but for what is in its body.
    pub fn head(&self, hosts: &HostPair, answer: &mut Response<Body>) {
        fields::undo(answer.headers_mut(), &self.references(hosts));
    }

    /// The Service's own answer.
    ///
    /// Bodies other than HTML are not looked at.
    pub fn answer(self: &Arc<Self>, hosts: HostPair, mut answer: Response<Body>) -> Response<Body> {
        // The API server rewrites either the redirect or the page, never both.
        let is_redirect = is_redirect(answer.headers());
        fields::undo(answer.headers_mut(), &self.references(&hosts));
        if self.api.is_some() {
            fields::drop_additions(answer.headers_mut());
        }
        if is_redirect || !html_links::are_in(&answer) {
            return answer;
        }
        let unprefix = Arc::clone(self);
        html_links::rewrite(answer, move |link| unprefix.references(&hosts).undo_in_html(link))
    }

    fn references<'a>(&'a self, hosts: &'a HostPair) -> AnswerUrls<'a> {
        AnswerUrls {
            prefixes: &self.prefixes,
            api: self.api.as_deref(),
            names: self.names.as_ref(),
            sent: hosts.sent.as_bytes(),
            local: hosts.local.as_bytes(),
            browser: hosts.browser,
        }
    }
}

fn prefixes(base_path: &str, proxy_paths: &[String]) -> Vec<String> {
    let bare = || proxy_paths.iter().map(|path| path.trim_end_matches('/'));
    let mut prefixes: Vec<String> = bare().map(|path| format!("{base_path}{path}")).collect();
    if !base_path.is_empty() {
        prefixes.extend(bare().map(str::to_owned));
    }
    prefixes
}

fn is_redirect(headers: &HeaderMap) -> bool {
    headers.get(LOCATION).is_some_and(|location| !location.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{AddressType, Endpoint, EndpointPort};
    use crate::service::{PortRef, Protocol, Target, TargetPort};
    use http_body_util::BodyExt;

    pub(super) const PREFIX: &str = "/api/v1/namespaces/ns/services/https:web:443/proxy";

    pub(super) fn unprefix() -> Unprefix {
        Unprefix::new(
            "/k8s/c-1",
            &[format!("{PREFIX}/"), spelled("/api/v1/namespaces/ns/services/web/proxy/")],
            "api.example:6443",
            names(&[443, 8443], true),
        )
    }

    /// Names of `web` in `ns`, for the port that has the numbers `ports` in the Service and in the container.
    pub(super) fn names(ports: &[u16], is_only: bool) -> ServiceNames {
        let port = ports.first().map(|number| TargetPort {
            name: None,
            number: *number,
            target_port: ports.get(1).copied().map(PortRef::Number),
            has_siblings: !is_only,
        });
        let target = Target { port, ..Target::unread("ns", "web".parse().unwrap(), None) };
        ServiceNames::of(&target, None)
    }

    /// Endpoints at `addresses`, whose one port has the number `port`.
    pub(super) fn slice(addresses: &[&str], port: Option<u16>) -> EndpointSlice {
        let endpoint = |address: &&str| Endpoint {
            addresses: vec![(*address).to_owned()],
            ready: false,
            serving: true,
            terminating: false,
            pod: None,
        };
        EndpointSlice {
            namespace: "ns".to_owned(),
            service: "web".to_owned(),
            addresses: AddressType::Ipv4,
            ports: vec![EndpointPort { name: String::new(), number: port, protocol: Protocol::Tcp }],
            endpoints: addresses.iter().map(endpoint).collect(),
        }
    }

    /// `§` stands for the prefix.
    pub(super) fn spelled(text: &str) -> String {
        text.replace("§", PREFIX)
    }

    pub(super) fn hosts(sent: &'static str, local: &'static str) -> HostPair {
        HostPair { sent: HeaderValue::from_static(sent), local: HeaderValue::from_static(local), browser: Scheme::Http }
    }

    async fn body(headers: &[(&'static str, &str)], body: &str) -> String {
        let mut answer = Response::new(Body::full(spelled(body)));
        for (name, value) in headers {
            answer.headers_mut().append(*name, spelled(value).parse().unwrap());
        }
        let answer = Arc::new(unprefix()).answer(hosts("l:1", "l:1"), answer);
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn html_and_nothing_else() {
        let page = "<a href=\"§/x\">§/x</a>";
        assert_eq!(body(&[("content-type", "text/html")], page).await, spelled("<a href=\"/x\">§/x</a>"));
        assert_eq!(body(&[("content-type", "text/plain")], page).await, spelled(page));
        assert_eq!(body(&[("content-type", "application/xhtml+xml")], page).await, spelled(page));
        let redirect = [("content-type", "text/html"), ("location", "§/y")];
        assert_eq!(body(&redirect, page).await, spelled(page));
        let none = [("content-type", "text/html"), ("location", "")];
        assert_eq!(body(&none, page).await, spelled("<a href=\"/x\">§/x</a>"));
    }
}
