//! What is said of a Target to programs: the ready line, and COMMAND's variables. Pure.

use serde::Serialize;

use crate::proxy::upstream::limitation::Via;
use crate::service::{Scheme, Target};
use crate::terminal::output::OutputFormat;
use crate::terminal::printable::json_line;

/// Everything that the ready line may say of one Target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadyLine {
    /// Context of the kubeconfig; none in a Pod.
    pub context: Option<String>,
    /// URL of the API server.
    pub server: String,
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// Its port, by name or else by number; none where the Service could not be read and no port was typed.
    pub port: Option<String>,
    /// What the Pods speak.
    pub scheme: Scheme,
    /// The transport asked for.
    pub via: Via,
    /// The computed proxy URL.
    pub proxy_url: String,
    /// The Service's own origin.
    pub site_url: String,
}

impl ReadyLine {
    /// The line on stdout, without its line end.
    pub fn line(&self, format: OutputFormat) -> String {
        match format {
            OutputFormat::Url => self.proxy_url.clone(),
            OutputFormat::Json => json_line(self),
            _ => {
                let port = self.port.as_ref().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}/{}{port} is at {}", self.namespace, self.service, self.proxy_url)
            }
        }
    }
}

/// Short names of `targets`, each only as long as it takes to tell them apart.
pub fn short_names(targets: &[Target]) -> Vec<String> {
    let spellings: [fn(&Target) -> String; 3] = [
        |target| target.service().to_owned(),
        |target| format!("{}/{}", target.namespace, target.service()),
        |target| format!("{}/{}", target.namespace, target.id),
    ];
    let is_only = |target: &Target, spelling: fn(&Target) -> String| {
        targets.iter().filter(|other| spelling(other) == spelling(target)).count() == 1
    };
    let name = |target: &Target| {
        let spelling = spellings.into_iter().find(|spelling| is_only(target, *spelling));
        spelling.map_or_else(|| target.proxy_path(), |spelling| spelling(target))
    };
    targets.iter().map(name).collect()
}

/// The variables by which COMMAND finds what is served, their values without a slash at the end: of the first Service, and where
/// there are several of each by its name. What is at the computed proxy URL is found everywhere, a site where `*.localhost` is.
pub fn command_urls(services: &[(String, &ReadyLine)]) -> Vec<(String, String)> {
    let of = |suffix: &str, ready: &ReadyLine| {
        let urls = [("SVCPROXY_URL", &ready.proxy_url), ("SVCPROXY_SITE_URL", &ready.site_url)];
        urls.map(|(name, url)| (format!("{name}{suffix}"), url.trim_end_matches('/').to_owned()))
    };
    let first = services.iter().take(1).flat_map(|(_, ready)| of("", ready));
    let each = services.iter().filter(|_| services.len() > 1);
    first.chain(each.flat_map(|(name, ready)| of(&format!("_{}", variable_suffix(name)), ready))).collect()
}

/// `kube-dns` as a part of a variable's name: `KUBE_DNS`.
fn variable_suffix(name: &str) -> String {
    let letter = |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> ReadyLine {
        ReadyLine {
            context: Some("dev".to_owned()),
            server: "https://10.0.0.1:6443".to_owned(),
            namespace: "default".to_owned(),
            service: "nginx".to_owned(),
            port: Some("http".to_owned()),
            scheme: Scheme::Http,
            via: Via::Auto,
            proxy_url: "http://127.0.0.1:8001/p/".to_owned(),
            site_url: "http://nginx.localhost:8001/".to_owned(),
        }
    }

    #[test]
    fn variables_of_command() {
        let (one, two) = (ready(), ReadyLine { site_url: "http://kube-dns.localhost:8001/".to_owned(), ..ready() });
        let names = |services: &[(String, &ReadyLine)]| {
            command_urls(services).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[("nginx".to_owned(), &one)]), ["SVCPROXY_URL", "SVCPROXY_SITE_URL"]);
        let both = [("nginx".to_owned(), &one), ("kube-dns".to_owned(), &two)];
        let expect = [
            "SVCPROXY_URL",
            "SVCPROXY_SITE_URL",
            "SVCPROXY_URL_NGINX",
            "SVCPROXY_SITE_URL_NGINX",
            "SVCPROXY_URL_KUBE_DNS",
            "SVCPROXY_SITE_URL_KUBE_DNS",
        ];
        assert_eq!(names(&both), expect);
        assert_eq!(command_urls(&both)[5].1, "http://kube-dns.localhost:8001");
    }

    #[test]
    fn names_only_as_long_as_needed() {
        let target = |namespace: &str, id: &str| Target::unread(namespace, id.parse().unwrap(), None);
        let check = |targets: &[Target], expect: &[&str]| assert_eq!(short_names(targets), expect);
        check(&[target("a", "web:http"), target("a", "db")], &["web", "db"]);
        check(&[target("a", "web"), target("b", "web"), target("b", "db")], &["a/web", "b/web", "db"]);
        check(&[target("a", "web:http"), target("a", "web:admin")], &["a/web:http", "a/web:admin"]);
    }

    #[test]
    fn one_line_in_each_format() {
        assert_eq!(ready().line(OutputFormat::Text), "default/nginx:http is at http://127.0.0.1:8001/p/");
        assert_eq!(ready().line(OutputFormat::Url), "http://127.0.0.1:8001/p/");
        let json: serde_json::Value = serde_json::from_str(&ready().line(OutputFormat::Json)).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        let expect = ["context", "namespace", "port", "proxyUrl", "scheme", "server", "service", "siteUrl", "via"];
        assert_eq!(keys, expect);
    }
}
