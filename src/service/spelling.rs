//! What may be typed for SERVICE.

use super::service_id::{Scheme, ServiceId, ServiceIdError, is_dns_label, parse_port};

/// SERVICE as typed, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpelling {
    /// Namespace, name, port and scheme as far as they were said. The name may be only the beginning or a part of one.
    pub id: ServiceId,
    /// The namespace, if the spelling says it.
    pub namespace: Option<String>,
    /// Path and query, if the spelling is a URL with more than `/`.
    pub path: Option<String>,
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
    /// A URL that is neither in-cluster nor a service proxy URL.
    #[error("is a URL of neither a Service (http://NAME.NAMESPACE.svc/) nor a service proxy (…/services/NAME/proxy/)")]
    Url,
    /// The `[scheme:]name[:port]` part.
    #[error(transparent)]
    Id(#[from] ServiceIdError),
}

impl ServiceSpelling {
    /// Reads SERVICE in any of the forms of the command line's description.
    ///
    /// # Errors
    /// When it is none of them; the message continues the sentence «SERVICE "x" …».
    pub fn parse(text: &str) -> Result<Self, SpellingError> {
        if text.is_empty() {
            return Err(SpellingError::Empty);
        }
        if let Some((server_path, rest)) = text.split_once("/api/v1/namespaces/")
            && (server_path.is_empty() || server_path.contains("://"))
        {
            return proxy_url(rest);
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return cluster_url(scheme, rest);
        }
        if let Some((kind, rest)) = text.split_once('/') {
            return match kind {
                "svc" | "service" | "services" | "service.v1." | "services.v1." => dotted_id(rest),
                _ => Err(SpellingError::Kind(kind.to_owned())),
            };
        }
        dotted_id(text)
    }
}

/// `NAMESPACE/services/ID/proxy[/PATH]`, what follows `/api/v1/namespaces/` in a service proxy URL.
fn proxy_url(rest: &str) -> Result<ServiceSpelling, SpellingError> {
    let (namespace, rest) = rest.split_once("/services/").ok_or(SpellingError::Url)?;
    let (id, rest) = rest.split_once("/proxy").ok_or(SpellingError::Url)?;
    if !(rest.is_empty() || rest.starts_with(['/', '?', '#'])) {
        return Err(SpellingError::Url);
    }
    let id = id.replace("%3A", ":").replace("%3a", ":");
    Ok(ServiceSpelling { id: id.parse()?, namespace: Some(checked_namespace(namespace)?), path: landing_path(rest) })
}

/// `HOST[:PORT][/PATH]`, what follows `://` in an in-cluster URL.
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
    let (name, namespace) = dns_name(host)?;
    // Without a port a URL means the scheme's default one, but Services listen on 80 for http far less often than the
    // port choice finds the right one: so the scheme alone is taken from it, except that https means https.
    let scheme = (scheme == Scheme::Https).then_some(scheme);
    let id = ServiceId::from_parts(scheme, &name, port)?;
    Ok(ServiceSpelling { id, namespace, path: landing_path(path) })
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
    Ok(ServiceSpelling { id: undotted.join(":").parse()?, namespace, path: None })
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
        assert!(reason("pod/nginx").contains("only a Service"));
        assert!(reason("nginx.default.pod").contains("DNS name"));
        assert!(reason("ftp://nginx").contains("ftp"));
        assert!(reason("a:b:c:d").contains("three parts"));
        assert!(reason("https://x/api/v1/namespaces/a/pods/b").contains("service proxy"));
        assert!(reason("nginx.De fault").contains("namespace"));
        assert!(reason("http://u:p@nginx/").contains("URL"));
        assert!(reason("nginx:99999").contains("65535"));
    }
}
