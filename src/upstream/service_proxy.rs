//! The API server's service proxy as a transport.

use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};

use super::{Body, Upstream};
use crate::cluster::ApiServer;
use crate::target::Target;

/// Sends requests below one Target's proxy path.
#[derive(Debug, Clone)]
pub struct ServiceProxy {
    api: ApiServer,
    prefix: String,
}

impl ServiceProxy {
    /// Everything goes to `target` through `api`.
    pub fn new(api: ApiServer, target: &Target) -> Self {
        Self { api, prefix: target.proxy_path().trim_end_matches('/').to_owned() }
    }
}

impl Upstream for ServiceProxy {
    fn send(&self, mut request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let api = self.api.clone();
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let uri = Uri::try_from(format!("{}{path}", self.prefix));
        Box::pin(async move {
            let Ok(uri) = uri else { return refusal(StatusCode::BAD_REQUEST, "this path cannot be sent on") };
            *request.uri_mut() = uri;
            match api.send(request).await {
                Ok(response) => response,
                Err(error) => refusal(StatusCode::BAD_GATEWAY, &error.to_string()),
            }
        })
    }
}

fn refusal(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::full(format!("{text}\n")));
    *response.status_mut() = status;
    response
}
