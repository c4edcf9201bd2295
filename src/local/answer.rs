//! One request in, one answer out.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;

use super::Local;
use super::body::{Exchange, Reply};
use super::connection::Answering;
use super::listener::Listener;
use super::serve::{Counts, Stages};

/// What all connections share.
pub(crate) struct Server {
    pub(crate) local: Local,
    pub(crate) stages: Stages,
    pub(crate) tasks: TaskTracker,
    pub(crate) counts: Counts,
}

impl Server {
    pub(crate) fn new(local: Local, _listener: &Listener) -> Self {
        Self { local, stages: Stages::default(), tasks: TaskTracker::new(), counts: Counts::default() }
    }
}

/// Answers `request`, whatever happens.
pub(crate) async fn answer(
    server: Arc<Server>,
    answering: Answering,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    server.counts.requests.fetch_add(1, Ordering::Relaxed);
    let mut exchange = Exchange::new(server.local.activity.begin(), answering, &server.local.log, &request);
    let site = &server.local.sites[0];
    exchange.at_site(&site.label);
    let request = request.map(|body| exchange.watch_request(body));
    let mut response = site.upstream.send(request).await;
    exchange.answered(response.status(), response.extensions_mut());
    Ok(response.map(|body| Reply::new(body, exchange)))
}
