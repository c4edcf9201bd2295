//! Under which hosts Ingresses and HTTPRoutes lead to a Service.

use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{ACCEPT, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cluster::ApiServer;
use crate::proxy::upstream::Body;
use crate::service::Target;

/// Longer than this nobody's page waits for a guess.
const INGRESS_LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
/// A namespace with longer lists has none of use here.
const LIMIT: usize = 4 << 20;

/// Who knows under which hosts others reach a Service.
pub trait IngressHosts: Send + Sync + 'static {
    /// The hosts, without ports; none where it may not be known.
    fn hosts(&self) -> BoxFuture<'static, Vec<String>>;
}

/// Asks the cluster.
#[derive(Debug, Clone)]
pub struct ClusterIngressHosts {
    api: ApiServer,
    namespace: String,
    service: String,
}

impl ClusterIngressHosts {
    /// For the Service of `target`.
    pub fn new(api: ApiServer, target: &Target) -> Self {
        Self { api, namespace: target.namespace.clone(), service: target.service().to_owned() }
    }

    async fn find(self) -> Vec<String> {
        let (ingresses, routes) = futures_util::join!(
            self.list::<Ingress>("networking.k8s.io/v1", "ingresses"),
            self.list::<HttpRoute>("gateway.networking.k8s.io/v1", "httproutes"),
        );
        let by_ingress = ingresses.iter().flat_map(|ingress| ingress.hosts_of(&self.service));
        let by_route = routes.iter().flat_map(|route| route.hosts_of(&self.namespace, &self.service));
        by_ingress.chain(by_route).filter(|host| !host.starts_with('*')).map(str::to_owned).collect()
    }

    /// Empty where the user may not list, or the cluster has no such thing.
    async fn list<T: DeserializeOwned>(&self, group: &str, resource: &str) -> Vec<T> {
        let path = format!("/apis/{group}/namespaces/{}/{resource}", self.namespace);
        let mut request = Request::new(Body::Empty);
        *request.uri_mut() = Uri::try_from(path).expect("a namespace is a DNS label");
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        match self.api.send(request).await {
            Ok(answer) if answer.status() == StatusCode::OK => read_items(answer.into_body()).await.unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

impl IngressHosts for ClusterIngressHosts {
    fn hosts(&self) -> BoxFuture<'static, Vec<String>> {
        let find = self.clone().find();
        Box::pin(async { tokio::time::timeout(INGRESS_LOOKUP_TIMEOUT, find).await.unwrap_or_default() })
    }
}

async fn read_items<T: DeserializeOwned>(body: Body) -> Option<Vec<T>> {
    let body = Limited::new(body, LIMIT).collect().await.ok()?.to_bytes();
    serde_json::from_slice::<RouteList<T>>(&body).ok().map(|list| list.items)
}

#[derive(Deserialize)]
struct RouteList<T> {
    items: Vec<T>,
}

/// `networking.k8s.io/v1` Ingress.
#[derive(Deserialize)]
struct Ingress {
    spec: IngressSpec,
}

#[derive(Deserialize)]
struct IngressSpec {
    #[serde(default)]
    rules: Vec<IngressRule>,
}

#[derive(Deserialize)]
struct IngressRule {
    host: Option<String>,
    http: Option<IngressPaths>,
}

#[derive(Deserialize)]
struct IngressPaths {
    paths: Vec<IngressPath>,
}

#[derive(Deserialize)]
struct IngressPath {
    backend: IngressBackend,
}

#[derive(Deserialize)]
struct IngressBackend {
    service: Option<IngressServiceBackend>,
}

#[derive(Deserialize)]
struct IngressServiceBackend {
    name: String,
}

impl Ingress {
    fn hosts_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a str> {
        let leads = move |rule: &&IngressRule| {
            let mut paths = rule.http.iter().flat_map(|http| &http.paths);
            paths.any(|path| path.backend.service.as_ref().is_some_and(|named| named.name == service))
        };
        self.spec.rules.iter().filter(leads).filter_map(|rule| rule.host.as_deref()).filter(|host| !host.is_empty())
    }
}

/// `gateway.networking.k8s.io/v1` HTTPRoute.
#[derive(Deserialize)]
struct HttpRoute {
    spec: HttpRouteSpec,
}

#[derive(Deserialize)]
struct HttpRouteSpec {
    #[serde(default)]
    hostnames: Vec<String>,
    #[serde(default)]
    rules: Vec<HttpRouteRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpRouteRule {
    #[serde(default)]
    backend_refs: Vec<BackendRef>,
}

#[derive(Deserialize)]
struct BackendRef {
    kind: Option<String>,
    name: String,
    namespace: Option<String>,
}

impl HttpRoute {
    fn hosts_of(&self, namespace: &str, service: &str) -> impl Iterator<Item = &str> {
        let is_it = |backend: &BackendRef| {
            backend.kind.as_deref().is_none_or(|kind| kind == "Service")
                && backend.name == service
                && backend.namespace.as_deref().is_none_or(|other| other == namespace)
        };
        let leads = self.spec.rules.iter().flat_map(|rule| &rule.backend_refs).any(is_it);
        self.spec.hostnames.iter().filter(move |_| leads).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items<T: DeserializeOwned>(json: &str) -> Vec<T> {
        serde_json::from_str::<RouteList<T>>(json).unwrap().items
    }

    #[test]
    fn ingresses() {
        let ingresses: Vec<Ingress> = items(
            r#"{"kind": "IngressList", "items": [
                {"spec": {"ingressClassName": "x", "defaultBackend": {"service": {"name": "web"}}}},
                {"spec": {"rules": [
                    {"host": "a.example", "http": {"paths": [
                        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "other", "port": {"number": 80}}}},
                        {"path": "/w", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "http"}}}}]}},
                    {"host": "b.example", "http": {"paths": [{"backend": {"service": {"name": "other"}}}]}},
                    {"host": "c.example"},
                    {"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}},
                    {"host": "d.example", "http": {"paths": [{"backend": {"resource": {"kind": "Bucket", "name": "web"}}}]}}]}}]}"#,
        );
        let hosts: Vec<&str> = ingresses.iter().flat_map(|ingress| ingress.hosts_of("web")).collect();
        assert_eq!(hosts, ["a.example"]);
    }

    #[test]
    fn http_routes() {
        let routes: Vec<HttpRoute> = items(
            r#"{"items": [
                {"spec": {"hostnames": ["a.example", "*.example"], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}},
                {"spec": {"hostnames": ["b.example"], "rules": [{"backendRefs": [{"kind": "Service", "name": "web", "namespace": "ns"}]}]}},
                {"spec": {"hostnames": ["c.example"], "rules": [{"backendRefs": [{"name": "web", "namespace": "other"}]}, {}]}},
                {"spec": {"hostnames": ["d.example"], "rules": [{"backendRefs": [{"kind": "Bucket", "name": "web"}]}]}},
                {"spec": {"rules": [{"backendRefs": [{"name": "web"}]}]}}]}"#,
        );
        let hosts: Vec<&str> = routes.iter().flat_map(|route| route.hosts_of("ns", "web")).collect();
        assert_eq!(hosts, ["a.example", "*.example", "b.example"]);
    }
}
