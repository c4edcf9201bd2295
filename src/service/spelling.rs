//! What may be typed for SERVICE.

use super::Scheme;
use super::service_id::{ServiceId, ServiceIdError, is_dns_label, parse_port};
use super::site_label::names_in_label;

/// Kinds that people type in front of a name, in kubectl's spellings, and are not a Service.
const OTHER_KINDS: [&[&str]; 12] = [
    &["po", "pod", "pods"],
    &["deploy", "deployment", "deployments"],
    &["ds", "daemonset", "daemonsets"],
    &["rs", "replicaset", "replicasets"],
    &["sts", "statefulset", "statefulsets"],
    &["rc", "replicationcontroller", "replicationcontrollers"],
    &["job", "jobs"],
    &["cj", "cronjob", "cronjobs"],
    &["ing", "ingress", "ingresses"],
    &["httproute", "httproutes"],
    &["ep", "endpoints", "endpointslice", "endpointslices"],
    &["ns", "namespace", "namespaces"],
];

/// SERVICE as typed, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpelling {
    /// Namespace, name, port and scheme as far as they were said. The name may be only the beginning or a part of one.
    pub id: ServiceId,
    /// The namespace, if the spelling says it.
    pub namespace: Option<String>,
    /// Path and query, if more than `/` follows.
    pub path: Option<String>,
    /// The API server's URL, if a proxy URL was typed that names it by https.
    pub server: Option<String>,
    /// The label of the site whose URL was typed: it tells the port to whoever knows the Service.
    pub site: Option<String>,
}

/// Why SERVICE cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpellingError {
    /// Nothing was typed.
    #[error("is empty")]
    Empty,
    /// Some other kind of object.
    #[error("is of kind {0}, and only a Service can be opened")]
    Kind(String),
    /// A namespace that cannot be one.
    #[error("has the namespace \"{0}\", which is not a valid name (a-z, 0-9 and -)")]
    Namespace(String),
    /// A DNS name that is not a Service's.
    #[error("is not a Service's DNS name (NAME.NAMESPACE.svc)")]
    DnsName,
    /// The site of names too long for its label.
    #[error("is the URL of a site in which the names are cut short")]
    CutSite,
    /// A URL that is neither in-cluster nor a service proxy URL.
    #[error("is a URL of neither a Service (http://NAME.NAMESPACE.svc/) nor a service proxy (…/services/NAME/proxy/)")]
    Url,
    /// The `[scheme:]name[:port]` part.
    #[error(transparent)]
    Id(#[from] ServiceIdError),
}

impl ServiceSpelling {
    /// Of what people say of a Service themselves.
    pub fn new(id: ServiceId, namespace: Option<String>, path: Option<String>) -> Self {
        Self { id, namespace, path, server: None, site: None }
    }

    /// Reads SERVICE in any of the forms of the command line's description.
    ///
    /// # Errors
    /// When it is none of them; the message continues the sentence «SERVICE "x" …».
    pub fn parse(text: &str) -> Result<Self, SpellingError> {
        if text.is_empty() {
            return Err(SpellingError::Empty);
        }
        for (marker, read) in PROXY_PATHS {
            if let Some((server, rest)) = text.split_once(marker)
                && (server.is_empty() || server.contains("://"))
            {
                let server = server.starts_with("https://").then(|| server.to_owned());
                return read(rest).map(|spelling| Self { server, ..spelling });
            }
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return cluster_url(scheme, rest);
        }
        match text.split_once('/') {
            None => dotted_id(text),
            Some((head, "")) => dotted_id(head),
            Some(("svc" | "service" | "services" | "service.v1." | "services.v1.", rest)) => id_and_path(rest),
            Some((head, _)) if is_other_kind(head) => Err(SpellingError::Kind(head.to_owned())),
            Some((head, _)) if head.contains([':', '.']) => id_and_path(text),
            Some((namespace, rest)) => in_namespace(namespace, rest),
        }
    }
}

/// What a text is read by.
type SpellingReader = fn(&str) -> Result<ServiceSpelling, SpellingError>;

/// Where the API server has its service proxy, and had it before Kubernetes 1.10.
const PROXY_PATHS: [(&str, SpellingReader); 2] =
    [("/api/v1/namespaces/", proxy_url), ("/api/v1/proxy/namespaces/", old_proxy_url)];

/// Whether `head` is the kind of something else, perhaps with its group: `deploy`, `deployments.apps`.
fn is_other_kind(head: &str) -> bool {
    let (kind, group) = head.split_once('.').unwrap_or((head, ""));
    let is_group = matches!(group, "" | "apps" | "batch") || group.ends_with(".apps") || group.ends_with(".k8s.io");
    is_group && OTHER_KINDS.iter().any(|kinds| kinds.contains(&kind))
}

/// `NAMESPACE/` and what follows it, as the picker and the ready line write it.
fn in_namespace(namespace: &str, rest: &str) -> Result<ServiceSpelling, SpellingError> {
    let namespace = checked_namespace(namespace)?;
    let spelling = id_and_path(rest)?;
    if spelling.namespace.as_ref().is_some_and(|other| *other != namespace) {
        return Err(SpellingError::DnsName);
    }
    Ok(ServiceSpelling { namespace: Some(namespace), ..spelling })
}

/// `[scheme:]name[.namespace][:port][/PATH]`.
fn id_and_path(text: &str) -> Result<ServiceSpelling, SpellingError> {
    let (id, path) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    Ok(ServiceSpelling { path: landing_path(path), ..dotted_id(id)? })
}

/// `NAMESPACE/services/ID/proxy[/PATH]`, what follows `/api/v1/namespaces/` in a service proxy URL.
fn proxy_url(rest: &str) -> Result<ServiceSpelling, SpellingError> {
    let (namespace, rest) = rest.split_once("/services/").ok_or(SpellingError::Url)?;
    let (id, rest) = rest.split_once("/proxy").ok_or(SpellingError::Url)?;
    if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
        return Err(SpellingError::Url);
    }
    spelled_in_path(namespace, id, rest)
}

/// `NAMESPACE/services/ID[/PATH]`, what follows `/api/v1/proxy/namespaces/`.
fn old_proxy_url(rest: &str) -> Result<ServiceSpelling, SpellingError> {
    let (namespace, rest) = rest.split_once("/services/").ok_or(SpellingError::Url)?;
    let (id, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    spelled_in_path(namespace, id, rest)
}

fn spelled_in_path(namespace: &str, id: &str, rest: &str) -> Result<ServiceSpelling, SpellingError> {
    let id = id.replace("%3A", ":").replace("%3a", ":").parse()?;
    let namespace = Some(checked_namespace(namespace)?);
    Ok(ServiceSpelling::new(id, namespace, landing_path(rest)))
}

/// `HOST[:PORT][/PATH]`, what follows `://` in an in-cluster URL and in that of a site.
fn cluster_url(scheme: &str, rest: &str) -> Result<ServiceSpelling, SpellingError> {
    let scheme: Scheme = scheme.to_ascii_lowercase().parse()?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(SpellingError::Url);
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (authority, None),
    };
    if let Some(label) = host.strip_suffix(".localhost") {
        let (name, namespace) = names_in_label(label).ok_or(SpellingError::CutSite)?;
        let id = ServiceId::from_parts(None, name, None)?;
        let namespace = Some(checked_namespace(namespace)?);
        let spelling = ServiceSpelling::new(id, namespace, landing_path(path));
        return Ok(ServiceSpelling { site: Some(label.to_owned()), ..spelling });
    }
    let (name, namespace) = dns_name(host)?;
    // Without a port a URL means the scheme's default one, but Services listen on 80 for http far less often than the
    // port choice finds the right one: so the scheme alone is taken from it, except that https means https.
    let scheme = (scheme == Scheme::Https).then_some(scheme);
    let id = ServiceId::from_parts(scheme, &name, port)?;
    Ok(ServiceSpelling::new(id, namespace, landing_path(path)))
}

/// `[scheme:]name[.namespace[.svc[.domain]]][:port]`.
fn dotted_id(text: &str) -> Result<ServiceSpelling, SpellingError> {
    let parts: Vec<&str> = text.split(':').collect();
    let index = match parts.len() {
        1 | 2 => 0,
        3 => 1,
        _ => return Err(ServiceIdError::Parts.into()),
    };
    let (name, namespace) = dns_name(parts[index])?;
    let mut undotted = parts.clone();
    undotted[index] = &name;
    Ok(ServiceSpelling::new(undotted.join(":").parse()?, namespace, None))
}

/// Name and namespace of `name`, `name.namespace`, `name.namespace.svc` and `name.namespace.svc.some.domain`.
fn dns_name(host: &str) -> Result<(String, Option<String>), SpellingError> {
    let parts: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    match parts[..] {
        [name] => Ok((name.to_owned(), None)),
        [name, namespace] | [name, namespace, "svc", ..] => Ok((name.to_owned(), Some(checked_namespace(namespace)?))),
        _ => Err(SpellingError::DnsName),
    }
}

fn checked_namespace(namespace: &str) -> Result<String, SpellingError> {
    if is_dns_label(namespace) { Ok(namespace.to_owned()) } else { Err(SpellingError::Namespace(namespace.to_owned())) }
}

/// Path and query of a URL's rest; a fragment is the browser's own affair but must reach it.
fn landing_path(rest: &str) -> Option<String> {
    (!matches!(rest, "" | "/")).then(|| rooted(rest))
}

/// `path` as one that starts with `/`.
pub fn rooted(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expect` is `namespace id path`, each `-` when absent.
    fn check(text: &str, expect: &str) {
        let found = ServiceSpelling::parse(text).map(|spelling| {
            let namespace = spelling.namespace.unwrap_or_else(|| "-".to_owned());
            format!("{namespace} {} {}", spelling.id, spelling.path.unwrap_or_else(|| "-".to_owned()))
        });
        assert_eq!(found, Ok(expect.to_owned()), "{text:?}");
    }

    #[test]
    fn reads_every_form() {
        check("nginx", "- nginx -");
        check("svc/nginx", "- nginx -");
        check("service/nginx:http", "- nginx:http -");
        check("nginx:http", "- nginx:http -");
        check("nginx:8080", "- nginx:8080 -");
        check("https:nginx:", "- https:nginx: -");
        check("https:nginx:443", "- https:nginx:443 -");
        check("https:nginx", "- https:nginx -");
        check("nginx.default", "default nginx -");
        check("nginx.default:8080", "default nginx:8080 -");
        check("nginx.default.svc", "default nginx -");
        check("nginx.default.svc.cluster.local:8080", "default nginx:8080 -");
        check("nginx.default.svc.corp.example.:http", "default nginx:http -");
        check("https:nginx.default:443", "default https:nginx:443 -");
        check("https://nginx.default.svc:8443/ui?x=1", "default https:nginx:8443 /ui?x=1");
        check("http://nginx.default.svc/", "default nginx -");
        check("http://nginx:80", "- nginx:80 -");
        check("HTTPS://nginx?x=1", "- https:nginx: /?x=1");
    }

    #[test]
    fn reads_what_is_printed_and_what_lies_near() {
        check("nginx/", "- nginx -");
        check("svc/nginx/", "- nginx -");
        check("svc/nginx:80/ui", "- nginx:80 /ui");
        check("nginx.default:80/path?x=1", "default nginx:80 /path?x=1");
        check("nginx.default/path", "default nginx /path");
        check("nginx:80/", "- nginx:80 -");
        check("https:nginx:/ui", "- https:nginx: /ui");
        check("default/nginx", "default nginx -");
        check("default/nginx:http", "default nginx:http -");
        check("default/nginx.default:http/ui", "default nginx:http /ui");
        check("monitoring/https:grafana:", "monitoring https:grafana: -");
        check("http://nginx--default--abc234.localhost:8001/", "default nginx -");
        check("https://my-web--kube-system--abc234.localhost/ui?x#y", "kube-system my-web /ui?x#y");
        check("gateway.istio-system:80/path", "istio-system gateway:80 /path");
    }

    #[test]
    fn reads_the_proxy_urls_of_before() {
        let old = "http://localhost:8001/api/v1/proxy/namespaces";
        check(&format!("{old}/kube-system/services/dash/"), "kube-system dash -");
        check(&format!("{old}/kube-system/services/https:dash:/#!/login"), "kube-system https:dash: /#!/login");
        check("/api/v1/proxy/namespaces/a/services/b:web", "a b:web -");
        check("https://10.0.0.1/api/v1/proxy/namespaces/a/services/b/c?d", "a b /c?d");
    }

    #[test]
    fn knows_whose_proxy_url_it_is() {
        let server = |text: &str| ServiceSpelling::parse(text).unwrap().server;
        let path = "/api/v1/namespaces/a/services/b/proxy/";
        assert_eq!(server(&format!("https://10.0.0.1:6443{path}")).as_deref(), Some("https://10.0.0.1:6443"));
        assert_eq!(server(&format!("https://r/k8s/clusters/c{path}")).as_deref(), Some("https://r/k8s/clusters/c"));
        assert_eq!(server(&format!("http://127.0.0.1:8001{path}")), None);
        assert_eq!(server(path), None);
    }

    #[test]
    fn reads_service_proxy_urls() {
        let api = "https://10.0.0.1:6443/api/v1/namespaces/kube-system/services";
        check(&format!("{api}/https:dash:/proxy"), "kube-system https:dash: -");
        check(&format!("{api}/dash:web/proxy/ui?x#y"), "kube-system dash:web /ui?x#y");
        check(&format!("{api}/https%3Adash%3A/proxy/"), "kube-system https:dash: -");
        check("https://rancher/k8s/clusters/c-1/api/v1/namespaces/a/services/b/proxy/", "a b -");
        check("/api/v1/namespaces/default/services/nginx/proxy/", "default nginx -");
        check("http://127.0.0.1:8001/api/v1/namespaces/default/services/nginx/proxy/", "default nginx -");
    }

    #[test]
    fn refuses_with_the_reason() {
        let reason = |text: &str| ServiceSpelling::parse(text).unwrap_err().to_string();
        assert!(reason("").contains("empty"));
        for text in
            ["pod/nginx", "deploy/nginx:80", "ingress/nginx", "deployments.apps/nginx", "ing.networking.k8s.io/a"]
        {
            assert!(reason(text).contains("only a Service"), "{text}");
        }
        assert!(reason("a/b.c").contains("DNS name"));
        assert!(reason("Shop/web").contains("namespace"));
        assert!(reason("http://web.localhost:8001/").contains("cut short"));
        assert!(reason("nginx.default.pod").contains("DNS name"));
        assert!(reason("ftp://nginx").contains("ftp"));
        assert!(reason("a:b:c:d").contains("three parts"));
        assert!(reason("https://x/api/v1/namespaces/a/pods/b").contains("service proxy"));
        assert!(reason("nginx.De fault").contains("namespace"));
        assert!(reason("http://u:p@nginx/").contains("URL"));
        assert!(reason("nginx:99999").contains("65535"));
    }
}
