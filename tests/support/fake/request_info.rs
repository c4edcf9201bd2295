//! What a request is about, by its path alone. apiserver `pkg/endpoints/request/requestinfo.go`.

use http::Method;

/// A request of the API, or of something that is no resource.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestInfo {
    /// RBAC's verb; empty for methods that have none.
    pub(crate) verb: &'static str,
    pub(crate) group: String,
    /// Plural; empty for what is no resource.
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub namespace: String,
    pub name: String,
    /// What follows the subresource, in its segments.
    pub(crate) rest: Vec<String>,
}

impl RequestInfo {
    /// Reads the decoded path.
    pub(crate) fn of(method: &Method, path: &str, query: &str) -> Self {
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let group = match parts[..] {
            ["api", _, _, ..] => parts.drain(..2).next().map(|_| ""),
            ["apis", group, _, _, ..] => parts.drain(..3).next().map(|_| group),
            _ => None,
        };
        let Some(group) = group else {
            return Self { verb: verb(method), ..Self::default() };
        };
        let namespace = match parts[..] {
            ["namespaces", namespace, resource, ..] if !["status", "finalize"].contains(&resource) => {
                parts.drain(..2);
                namespace
            }
            _ => "",
        };
        let part = |index: usize| parts.get(index).map_or_else(String::new, |part| (*part).to_owned());
        let mut info = Self {
            verb: verb(method),
            group: group.to_owned(),
            resource: part(0),
            name: part(1),
            subresource: part(2),
            namespace: namespace.to_owned(),
            rest: parts.iter().skip(3).map(|part| (*part).to_owned()).collect(),
        };
        if info.name.is_empty() && info.verb == "get" {
            info.verb = if is_watch(query) { "watch" } else { "list" };
        }
        info
    }
}

fn verb(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" | "HEAD" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

fn is_watch(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "watch" | "watch=" | "watch=1" | "watch=true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, target: &str, expected: &str) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let info = RequestInfo::of(&method, path, query);
        let rest = info.rest.join("|");
        let told = [info.verb, &info.group, &info.namespace, &info.resource, &info.name, &info.subresource, &rest];
        assert_eq!(told.join(","), expected, "{target}");
    }

    #[test]
    fn reads_paths() {
        check(Method::GET, "/api/v1/services?limit=5", "list,,,services,,,");
        check(Method::GET, "/api/v1/namespaces/a/services?watch=true", "watch,,a,services,,,");
        check(Method::GET, "/api/v1/namespaces/a/services/b", "get,,a,services,b,,");
        check(Method::POST, "/api/v1/namespaces/a/services/b:c/proxy", "create,,a,services,b:c,proxy,");
        check(Method::HEAD, "/api/v1/namespaces/a/services/b/proxy/x//y/", "get,,a,services,b,proxy,x||y");
        check(Method::OPTIONS, "/api/v1/namespaces/a/services/b/proxy/", ",,a,services,b,proxy,");
        check(Method::GET, "/api/v1/namespaces", "list,,,namespaces,,,");
        check(Method::GET, "/api/v1/namespaces/a", "get,,,namespaces,a,,");
        check(Method::GET, "/apis/discovery.k8s.io/v1/endpointslices", "list,discovery.k8s.io,,endpointslices,,,");
        check(Method::GET, "/version", "get,,,,,,");
    }
}
