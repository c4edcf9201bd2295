//! Requests that come while it is still being found out what is open. They wait for that; meanwhile what reads only is on its
//! way already to where it will most likely go. Its answer counts only if just the same request would be sent then.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::header::UPGRADE;
use http::{Method, Request, Response};
use http_body::Body as _;
use tokio::sync::watch;

use super::diagnose::{Diagnostics, FailingService};
use super::limitation::ProxyLimitation;
use super::service_proxy::ServiceProxy;
use super::{Body, Dispatcher, Upstream, WithheldAnswer};
use crate::cluster::Cluster;
use crate::service::Target;

/// Where requests go as long as it is a guess.
pub struct HeadStart {
    guess: Arc<ServiceProxy>,
    settled: watch::Receiver<Option<Dispatcher>>,
}

impl HeadStart {
    /// For what comes before anybody has put the true way into `settled`. Dropping its sender ends all that waits.
    pub fn new(cluster: &Cluster, guess: &Target, settled: watch::Receiver<Option<Dispatcher>>) -> Self {
        let subject = FailingService::new(guess, cluster.context(), cluster.server());
        let diagnostics = Diagnostics::new(subject, None);
        Self { guess: Arc::new(ServiceProxy::new(cluster.api().clone(), guess, None, diagnostics)), settled }
    }
}

impl Upstream for HeadStart {
    fn send(&self, mut request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let mut settled = self.settled.clone();
        if settled.borrow().is_none() && may_go_ahead(&request) {
            self.guess.send_ahead(&mut request);
        }
        Box::pin(async move {
            let way = settled.wait_for(Option::is_some).await.ok().and_then(|way| way.clone());
            match way {
                Some(way) => way.send(request).await,
                None => WithheldAnswer::in_place_of(Response::new(Body::Empty)),
            }
        })
    }
}

/// What only reads, and goes by the service proxy whatever is found out. Pure.
fn may_go_ahead(request: &Request<Body>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.body().is_end_stream()
        && !request.headers().contains_key(UPGRADE)
        && ProxyLimitation::of(request).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, headers: &[(&str, &str)], body: Body, expect: bool) {
        let (method, target) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(may_go_ahead(&request.body(body).unwrap()), expect, "{line} {headers:?}");
    }

    #[test]
    fn what_goes_ahead() {
        check("GET /a?b=c", &[("cookie", "a=b")], Body::Empty, true);
        check("HEAD /", &[], Body::Empty, true);
        check("GET /", &[], Body::full("x"), false);
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
            check(&format!("{method} /"), &[], Body::Empty, false);
        }
        check("GET /socket", &[("upgrade", "websocket")], Body::Empty, false);
        check("GET /", &[("authorization", "Basic YTpi")], Body::Empty, false);
        check("GET /a//b", &[], Body::Empty, false);
    }
}
