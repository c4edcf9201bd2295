//! Under which hosts Ingresses and HTTPRoutes lead to a Service.

use std::time::Duration;

use serde_json::Value;

use crate::cluster::api::object_fields::each;
use crate::cluster::{AccessRule, Cluster};
use crate::service::Target;

/// Longer than this nobody's page waits for a guess.
const INGRESS_LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Under which hosts others reach the Service of `target`, without ports; none where it may not be known.
pub(in crate::proxy::upstream) async fn outside_hosts(cluster: &Cluster, target: &Target) -> Vec<String> {
    let (namespace, service) = (&target.namespace, target.service());
    let lists = async {
        tokio::join!(
            list(cluster, namespace, "networking.k8s.io", "ingresses"),
            list(cluster, namespace, "gateway.networking.k8s.io", "httproutes"),
        )
    };
    let (ingresses, routes) = tokio::time::timeout(INGRESS_LOOKUP_TIMEOUT, lists).await.unwrap_or_default();
    let by_ingress = each(&ingresses, "items").flat_map(|ingress| ingress_hosts(ingress, service));
    let by_route = each(&routes, "items").flat_map(|route| route_hosts(route, namespace, service));
    by_ingress.chain(by_route).filter(|host| !host.starts_with('*')).map(str::to_owned).collect()
}

/// Nothing where the user may not list, or the cluster has no such thing.
async fn list(cluster: &Cluster, namespace: &str, group: &str, resource: &str) -> Value {
    let path = format!("/apis/{group}/v1/namespaces/{namespace}/{resource}");
    let rule = AccessRule::new("list", resource, Some(namespace)).group(group);
    cluster.read(&path, &rule).await.unwrap_or_default()
}

/// The hosts of an Ingress (`networking.k8s.io/v1`) with a path that leads to `service`.
fn ingress_hosts<'a>(ingress: &'a Value, service: &str) -> impl Iterator<Item = &'a str> {
    let leads =
        move |rule: &&Value| each(&rule["http"], "paths").any(|path| path["backend"]["service"]["name"] == service);
    let hosts = each(&ingress["spec"], "rules").filter(leads).filter_map(|rule| rule["host"].as_str());
    hosts.filter(|host| !host.is_empty())
}

/// The hosts of an HTTPRoute (`gateway.networking.k8s.io/v1`), if it leads to `service`.
fn route_hosts<'a>(route: &'a Value, namespace: &str, service: &str) -> impl Iterator<Item = &'a str> {
    let is_or_unset = |value: &Value, expected: &str| value.is_null() || value == expected;
    let is_it = |backend: &Value| {
        is_or_unset(&backend["kind"], "Service")
            && backend["name"] == service
            && is_or_unset(&backend["namespace"], namespace)
    };
    let leads = each(&route["spec"], "rules").flat_map(|rule| each(rule, "backendRefs")).any(is_it);
    each(&route["spec"], "hostnames").filter(move |_| leads).filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingresses() {
        let ingresses: Value = serde_json::from_str(
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
        )
        .unwrap();
        let hosts: Vec<&str> = each(&ingresses, "items").flat_map(|ingress| ingress_hosts(ingress, "web")).collect();
        assert_eq!(hosts, ["a.example"]);
    }

    #[test]
    fn http_routes() {
        let routes: Value = serde_json::from_str(
            r#"{"items": [
                {"spec": {"hostnames": ["a.example", "*.example"], "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}},
                {"spec": {"hostnames": ["b.example"], "rules": [{"backendRefs": [{"kind": "Service", "name": "web", "namespace": "ns"}]}]}},
                {"spec": {"hostnames": ["c.example"], "rules": [{"backendRefs": [{"name": "web", "namespace": "other"}]}, {}]}},
                {"spec": {"hostnames": ["d.example"], "rules": [{"backendRefs": [{"kind": "Bucket", "name": "web"}]}]}},
                {"spec": {"rules": [{"backendRefs": [{"name": "web"}]}]}}]}"#,
        )
        .unwrap();
        let hosts: Vec<&str> = each(&routes, "items").flat_map(|route| route_hosts(route, "ns", "web")).collect();
        assert_eq!(hosts, ["a.example", "*.example", "b.example"]);
    }
}
