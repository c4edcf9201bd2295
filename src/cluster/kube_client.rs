//! kube's client for control calls and port-forward, on top of our own connections and credentials.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower_service::Service;

use super::api_server::ApiServer;
use super::send_error::SendError;
use crate::upstream::Body;

/// A client whose requests go through `api`, so that plugins run once and our rules about proxies and TLS hold.
pub(crate) fn client(api: ApiServer, namespace: &str) -> kube::Client {
    kube::Client::new(Transport(api), namespace)
}

#[derive(Clone)]
struct Transport(ApiServer);

impl Service<Request<kube::client::Body>> for Transport {
    type Response = Response<Body>;
    type Error = SendError;
    type Future = BoxFuture<'static, Result<Response<Body>, SendError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let api = self.0.clone();
        let request = request.map(|body| Body::boxed(body.map_err(Into::into)));
        Box::pin(async move { api.send(request).await })
    }
}
