//! Under which host the app sees itself: the local one, unless it accepts only another.
//!
//! Many apps check `Host` (DNS rebinding, `ALLOWED_HOSTS`, virtual hosts) and compare `Origin` with it. So the local
//! host is sent along as it is, and what an app refuses is tried once under the hosts that it may know.

mod present;
mod cluster_routes;
mod verdict;

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as HttpBody;
use tokio::sync::Mutex;

use super::unprefix::{HostPair, Unprefix};
use super::{Body, Notices, RouteTaken, Transport, Upstream};
use crate::message::client_kind::{ClientKind, RequestingClient};
use crate::service::{Scheme, Target};
use verdict::HostVerdict;

pub use cluster_routes::{ClusterIngressHosts, IngressHosts};
pub(super) use present::{X_FORWARDED_HOST, set_app_host, set_scheme};

/// An upstream that knows in which scheme it speaks to the Pods; it may find out better.
pub trait SchemedUpstream: Upstream {
    /// The scheme of the next request.
    fn scheme(&self) -> Scheme;
}

/// Shows the app behind `inner` a host that it accepts.
pub struct AppHost {
    shared: Arc<AppHostShared>,
}

struct AppHostShared {
    inner: Arc<dyn SchemedUpstream>,
    target: Target,
    routes: Arc<dyn IngressHosts>,
    notices: Notices,
    settled: OnceLock<AcceptedHost>,
    /// One request tries; others that were refused meanwhile wait for what it finds.
    trying: Mutex<()>,
    back: Arc<Unprefix>,
}

/// What is known of the hosts that the app accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AcceptedHost {
    /// The local one, or no other than that.
    Local,
    /// This one.
    Other(HeaderValue),
}

/// Enough of a request to ask the same again.
struct ProbedRequest {
    reader: ClientKind,
    method: Method,
    uri: http::Uri,
    headers: http::HeaderMap,
}

impl AppHost {
    /// For the app of `target` behind `inner`. `forced` is the host to show it whatever it says; otherwise `routes` know
    /// under which hosts others reach it, and `notices` are told which of them it is.
    pub fn new(
        inner: Arc<dyn SchemedUpstream>,
        target: &Target,
        forced: Option<&Authority>,
        routes: Arc<dyn IngressHosts>,
        notices: Notices,
    ) -> Self {
        let forced = forced.map(|host| HeaderValue::try_from(host.as_str()).expect("an authority is ASCII"));
        let shared = AppHostShared {
            inner,
            target: target.clone(),
            routes,
            notices,
            settled: forced.map_or_else(OnceLock::new, |host| OnceLock::from(AcceptedHost::Other(host))),
            trying: Mutex::new(()),
            back: Arc::new(Unprefix::hosts_only()),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Upstream for AppHost {
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let shared = Arc::clone(&self.shared);
        let Some(local) = request.headers().get(HOST).cloned() else { return shared.inner.send(request) };
        Box::pin(async move {
            match shared.settled.get() {
                Some(AcceptedHost::Other(host)) => shared.send_as(host.clone(), local, request).await,
                Some(AcceptedHost::Local) => shared.send_as(local.clone(), local, request).await,
                None => shared.send_and_look(local, request).await,
            }
        })
    }
}

impl AppHostShared {
    async fn send_as(&self, sent: HeaderValue, local: HeaderValue, mut request: Request<Body>) -> Response<Body> {
        let hosts = HostPair { sent, local };
        let scheme = self.inner.scheme();
        if hosts.sent != hosts.local || scheme == Scheme::Https {
            set_app_host(request.headers_mut(), scheme, &hosts);
        }
        let answer = self.inner.send(request).await;
        if self.must_be_mapped_back(&hosts, &answer) { self.back.answer(hosts, answer) } else { answer }
    }

    /// The service proxy maps what belongs to the host that it was given; apps behind TLS call that `https`.
    fn must_be_mapped_back(&self, hosts: &HostPair, answer: &Response<Body>) -> bool {
        let by_service_proxy =
            answer.extensions().get::<RouteTaken>().is_some_and(|carried| carried.transport == Transport::ServiceProxy);
        hosts.sent != hosts.local || (self.inner.scheme() == Scheme::Https && !by_service_proxy)
    }

    async fn send_and_look(&self, local: HeaderValue, request: Request<Body>) -> Response<Body> {
        let question = ProbedRequest::of(&request);
        let answer = self.send_as(local.clone(), local.clone(), request).await;
        let Some(question) = question else { return answer };
        match verdict::of(question.reader, &answer) {
            HostVerdict::Accepted => {
                let _ = self.settled.set(AcceptedHost::Local);
                answer
            }
            HostVerdict::Unclear => answer,
            HostVerdict::Refused => self.try_others(&local, &question).await.unwrap_or(answer),
        }
    }

    /// The first answer that is no refusal.
    async fn try_others(&self, local: &HeaderValue, question: &ProbedRequest) -> Option<Response<Body>> {
        let _turn = self.trying.lock().await;
        match self.settled.get() {
            Some(AcceptedHost::Other(host)) => {
                return Some(self.send_as(host.clone(), local.clone(), question.ask()).await);
            }
            Some(AcceptedHost::Local) => return None,
            None => {}
        }
        for host in self.others(local).await {
            let answer = self.send_as(host.clone(), local.clone(), question.ask()).await;
            if verdict::is_better(&answer) {
                self.tell(local, &host);
                let _ = self.settled.set(AcceptedHost::Other(host));
                return Some(answer);
            }
        }
        let _ = self.settled.set(AcceptedHost::Local);
        None
    }

    fn tell(&self, local: &HeaderValue, host: &HeaderValue) {
        let [local, host] = [local, host].map(|value| String::from_utf8_lossy(value.as_bytes()));
        let service = self.target.service();
        self.notices.tell(format_args!("{service} refuses the host {local}: it sees {host} from now on"));
    }

    async fn others(&self, local: &HeaderValue) -> Vec<HeaderValue> {
        let mut hosts = vec![localhost(local)];
        hosts.extend(names(&self.target, self.inner.scheme()));
        hosts.extend(self.routes.hosts().await);
        let hosts = hosts.iter().filter_map(|host| HeaderValue::try_from(host).ok());
        let mut others: Vec<HeaderValue> = Vec::new();
        for host in hosts.filter(|host| host != local) {
            if !others.contains(&host) {
                others.push(host);
            }
        }
        others
    }
}

impl ProbedRequest {
    /// `None` for what must not be asked twice.
    fn of(request: &Request<Body>) -> Option<Self> {
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD) && request.body().is_end_stream();
        let reader = RequestingClient::of(request).reader;
        (is_safe && verdict::can_be_judged(reader)).then(|| Self {
            reader,
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        })
    }

    fn ask(&self) -> Request<Body> {
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// `localhost` at the port that the browser uses.
fn localhost(local: &HeaderValue) -> String {
    let authority = local.to_str().ok().and_then(|local| local.parse::<Authority>().ok());
    match authority.and_then(|authority| authority.port_u16()) {
        Some(port) => format!("localhost:{port}"),
        None => "localhost".to_owned(),
    }
}

/// The Service's names, as clients in the cluster write them to speak `scheme`, the fullest first.
fn names(target: &Target, scheme: Scheme) -> Vec<String> {
    let service = target.service();
    let short = format!("{service}.{}.svc", target.namespace);
    let default = match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let port = target.port.as_ref().map(|port| port.number).filter(|number| *number != default);
    let with_port = |name: String| port.map_or(name.clone(), |port| format!("{name}:{port}"));
    [format!("{short}.cluster.local"), short, service.to_owned()].map(with_port).to_vec()
}

#[cfg(test)]
mod tests;
