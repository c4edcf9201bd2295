//! What the word being typed asks for, and what of the cluster answers it. Pure.

use std::collections::HashSet;

use clap_complete::engine::CompletionCandidate;

use crate::find::picker::row::port_text;
use crate::service::choose_port::openable;
use crate::service::{Protocol, Service, ServicePort};

/// Marks what lies in other namespaces: it comes last.
pub(super) const ELSEWHERE: &str = "elsewhere";

/// SERVICE as far as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypedService<'a> {
    /// What stands before the name and stays: `svc/`, `https:`.
    lead: &'a str,
    /// The name, whole or its beginning.
    pub(super) name: &'a str,
    /// The namespace after a dot, whole or its beginning.
    pub(super) namespace: Option<&'a str>,
    /// The port after a colon, whole or its beginning.
    pub(super) port: Option<&'a str>,
}

impl<'a> TypedService<'a> {
    /// Takes `text` apart; `None` where nothing of the cluster can complete it.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        if text.contains("://") || text.starts_with('-') {
            return None;
        }
        let kind = text.find('/').map_or(0, |slash| slash + 1);
        if !["", "svc/", "service/", "services/"].contains(&&text[..kind]) {
            return None;
        }
        let named = &text[kind..];
        let rest = ["http:", "https:"].iter().find_map(|scheme| named.strip_prefix(scheme)).unwrap_or(named);
        let lead = &text[..text.len() - rest.len()];
        let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
        let (name, namespace) = host.split_once('.').map_or((host, None), |(name, rest)| (name, Some(rest)));
        Some(Self { lead, name, namespace, port })
    }

    /// The namespace without what may follow it in a DNS name.
    pub(super) fn whole_namespace(&self) -> Option<&'a str> {
        self.namespace.map(|namespace| namespace.split_once('.').map_or(namespace, |(namespace, _)| namespace))
    }

    /// The Services of `services` that the word is the beginning of. `with_namespace` spells them `NAME.NAMESPACE`.
    pub(super) fn services(&self, services: &[Service], with_namespace: bool) -> Vec<CompletionCandidate> {
        let with_namespace = with_namespace || self.namespace.is_some();
        // There is no two-part form with a scheme.
        let trail = if self.lead.ends_with(':') { ":" } else { "" };
        let fits = |service: &&Service| match self.namespace {
            Some(namespace) => service.name == self.name && service.namespace.starts_with(namespace),
            None => service.name.starts_with(self.name),
        };
        let candidate = |service: &Service| {
            openable(service).ok()?;
            let namespace = if with_namespace { format!(".{}", service.namespace) } else { String::new() };
            let value = format!("{}{}{namespace}{trail}", self.lead, service.name);
            Some(CompletionCandidate::new(value).help(Some(about(service).into())))
        };
        services.iter().filter(fits).filter_map(candidate).collect()
    }

    /// Those of `services` that are not in `own`, where there is no Service of that name, spelled `NAME.NAMESPACE`; they
    /// come after `here`, the Services of that namespace.
    pub(super) fn services_elsewhere(
        &self,
        own: &str,
        here: &[Service],
        services: Vec<Service>,
    ) -> Vec<CompletionCandidate> {
        let here: HashSet<&str> = here.iter().map(|service| service.name.as_str()).collect();
        let is_elsewhere = |service: &Service| service.namespace != own && !here.contains(service.name.as_str());
        let services: Vec<Service> = services.into_iter().filter(is_elsewhere).collect();
        self.services(&services, true).into_iter().map(|found| found.tag(Some(ELSEWHERE.into()))).collect()
    }

    /// The ports of `service` that the word is the beginning of: by number if that is what was begun, else by name.
    pub(super) fn ports(&self, service: &Service) -> Vec<CompletionCandidate> {
        let typed = self.port.unwrap_or_default();
        let namespace = self.namespace.map(|namespace| format!(".{namespace}")).unwrap_or_default();
        let head = format!("{}{}{namespace}:", self.lead, self.name);
        port_candidates(service, typed).into_iter().map(|port| port.add_prefix(&head)).collect()
    }
}

/// The TCP ports of `service` that begin with `typed`: by number if that is what was begun, else by name.
pub(super) fn port_candidates(service: &Service, typed: &str) -> Vec<CompletionCandidate> {
    let by_number = typed.starts_with(|first: char| first.is_ascii_digit());
    let spelled = |port: &ServicePort| match &port.name {
        Some(name) if !by_number => (name.clone(), Some(port.number.to_string())),
        name => (port.number.to_string(), name.clone()),
    };
    let tcp = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    tcp.map(spelled)
        .filter(|(value, _)| value.starts_with(typed))
        .map(|(value, about)| CompletionCandidate::new(value).help(about.map(Into::into)))
        .collect()
}

/// `ClusterIP http:80 metrics:9090`.
fn about(service: &Service) -> String {
    let ports = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(port_text);
    std::iter::once(service.kind.as_str().to_owned()).chain(ports).collect::<Vec<_>>().join(" ")
}

/// Names that begin with `typed`, without a word about them.
pub(super) fn names(names: impl IntoIterator<Item: AsRef<str>>, typed: &str) -> Vec<CompletionCandidate> {
    let fits = names.into_iter().filter(|name| name.as_ref().starts_with(typed));
    fits.map(|name| CompletionCandidate::new(name.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::picker::row::tests::service;

    fn services() -> Vec<Service> {
        [
            ("a/grafana", "service:80 metrics:9090"),
            ("b/grafana", "3000"),
            ("a/graphite", "http:80"),
            ("a/dns", "53/UDP"),
            ("a/https", "80"),
        ]
        .map(|(name, ports)| (*service(name, ports)).clone())
        .to_vec()
    }

    fn values(candidates: &[CompletionCandidate]) -> Vec<&str> {
        candidates.iter().map(|candidate| candidate.get_value().to_str().unwrap()).collect()
    }

    fn check_services(typed: &str, with_namespace: bool, expect: &[&str]) {
        let found = TypedService::read(typed).unwrap().services(&services(), with_namespace);
        assert_eq!(values(&found), expect, "{typed}");
    }

    #[test]
    fn services_that_can_be_opened() {
        check_services("gra", true, &["grafana.a", "grafana.b", "graphite.a"]);
        check_services("graph", false, &["graphite"]);
        check_services("svc/graph", false, &["svc/graphite"]);
        check_services("https:graph", false, &["https:graphite:"]);
        check_services("grafana.", false, &["grafana.a", "grafana.b"]);
        check_services("grafana.b", false, &["grafana.b"]);
        check_services("d", false, &[]);
        check_services("", false, &["grafana", "grafana", "graphite", "https"]);
    }

    #[test]
    fn names_that_are_elsewhere_only() {
        let check = |typed: &str, own: &str, expect: &[&str]| {
            let here: Vec<Service> = services().into_iter().filter(|service| service.namespace == own).collect();
            let found = TypedService::read(typed).unwrap().services_elsewhere(own, &here, services());
            assert_eq!(values(&found), expect, "{typed} in {own}");
        };
        check("gra", "a", &[]);
        check("gra", "b", &["graphite.a"]);
        check("gra", "c", &["grafana.a", "grafana.b", "graphite.a"]);
        check("https:graph", "b", &["https:graphite.a:"]);
        check("svc/graph", "b", &["svc/graphite.a"]);
    }

    fn check_ports(typed: &str, expect: &[&str]) {
        assert_eq!(values(&TypedService::read(typed).unwrap().ports(&services()[0])), expect, "{typed}");
    }

    #[test]
    fn ports_by_name_or_number() {
        check_ports("grafana:", &["grafana:service", "grafana:metrics"]);
        check_ports("grafana:m", &["grafana:metrics"]);
        check_ports("grafana:9", &["grafana:9090"]);
        check_ports("grafana.a:s", &["grafana.a:service"]);
        check_ports("https:grafana:s", &["https:grafana:service"]);
        check_ports("svc/grafana:s", &["svc/grafana:service"]);
        check_ports("grafana:x", &[]);
    }

    #[test]
    fn words_taken_apart() {
        let check = |typed: &str, expect: Option<(&str, Option<&str>, Option<&str>)>| {
            let found = TypedService::read(typed);
            let parts = found.as_ref().map(|word| (word.name, word.whole_namespace(), word.port));
            assert_eq!(parts, expect, "{typed}");
        };
        check("", Some(("", None, None)));
        check("nginx", Some(("nginx", None, None)));
        check("nginx:h", Some(("nginx", None, Some("h"))));
        check("https:nginx:h", Some(("nginx", None, Some("h"))));
        check("nginx.default.svc:80", Some(("nginx", Some("default"), Some("80"))));
        check("http://nginx", None);
        check("pod/nginx", None);
        check("-", None);
    }

    #[test]
    fn says_something_about_each() {
        let found = TypedService::read("grafana.a").unwrap().services(&services(), false);
        assert_eq!(found[0].get_help().unwrap().to_string(), "ClusterIP service:80 metrics:9090");
    }
}
