//! What a name will most likely turn out to mean, before anybody was asked. Pure.

use std::collections::BTreeMap;

use super::history::HistoryEntry;
use super::query::NamedService;
use crate::service::choose_port::{TargetWish, choose};
use crate::service::{PortRef, Protocol, Scheme, Service, ServiceId, ServicePort, ServiceType, Target};

/// The Target that `named` leads to if it is a whole name in `namespace`: by the `history` (the latest first), else by the name
/// of the port that was typed. `None` where that says too little: the site's name goes by the names of ports.
pub(super) fn guess(named: &NamedService, namespace: &str, history: &[HistoryEntry]) -> Option<Target> {
    if named.spelling.site.is_some() {
        return None;
    }
    let id = remembered(named, namespace, history).or_else(|| typed(named))?;
    let is_certain = !matches!(id.port(), Some(PortRef::Number(_))) && id.scheme() != Some(Scheme::Http);
    is_certain.then(|| Target::unread(namespace, id, named.wish.path.clone()))
}

fn remembered(named: &NamedService, namespace: &str, history: &[HistoryEntry]) -> Option<ServiceId> {
    let TargetWish { port, scheme, .. } = &named.wish;
    let is_meant = |entry: &&HistoryEntry| {
        entry.namespace == namespace
            && entry.id.name() == named.spelling.id.name()
            && port.as_ref().is_none_or(|port| entry.id.port() == Some(port))
            && scheme.is_none_or(|scheme| entry.id.scheme().unwrap_or(Scheme::Http) == scheme)
    };
    history.iter().find(is_meant).map(|entry| entry.id.clone())
}

/// By the rules for a Service that has no more than that port.
fn typed(named: &NamedService) -> Option<ServiceId> {
    let Some(PortRef::Name(port)) = &named.wish.port else { return None };
    let service = with_only(named.spelling.id.name(), port);
    let choice = choose(&service, &named.wish).ok()?;
    Some(Target::new(&service, &choice, None).id)
}

fn with_only(name: &str, port: &str) -> Service {
    /// Says nothing about a scheme.
    const UNTOLD: u16 = 1;
    let port = ServicePort {
        name: Some(port.to_owned()),
        number: UNTOLD,
        protocol: Protocol::Tcp,
        app_protocol: None,
        target_port: None,
        node_port: None,
    };
    Service {
        namespace: String::new(),
        name: name.to_owned(),
        kind: ServiceType::ClusterIp,
        cluster_ip: None,
        external_name: None,
        selector: BTreeMap::new(),
        ports: vec![port],
        annotations: BTreeMap::new(),
        load_balancer: Vec::new(),
        session_affinity: false,
        created: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find::history::tests::entry;
    use crate::service::ServiceSpelling;

    fn check(typed: &str, history: &[(&str, &str)], expect: Option<&str>) {
        let spelling = ServiceSpelling::parse(typed).unwrap();
        let wish =
            TargetWish { port: spelling.id.port().cloned(), scheme: spelling.id.scheme(), path: spelling.path.clone() };
        let named = NamedService { text: typed.to_owned(), spelling, wish };
        let history: Vec<HistoryEntry> = history.iter().map(|(namespace, id)| entry(namespace, id, "/x")).collect();
        let guessed = guess(&named, "shop", &history);
        assert_eq!(guessed.as_ref().map(|target| target.id.to_string()).as_deref(), expect, "{typed} {history:?}");
        assert!(guessed.is_none_or(|target| target.namespace == "shop"));
    }

    #[test]
    fn by_what_was_opened_last() {
        check("web", &[], None);
        check("web", &[("other", "web:http"), ("shop", "webs:http")], None);
        check("web", &[("shop", "web:ui"), ("shop", "web:http")], Some("web:ui"));
        check("web:http", &[("shop", "web:ui"), ("shop", "web:http")], Some("web:http"));
        check("web", &[("shop", "https:web:tls")], Some("https:web:tls"));
        check("web", &[("shop", "web")], Some("web"));
        check("http:web:", &[("shop", "https:web:tls")], None);
    }

    #[test]
    fn by_the_name_of_the_port() {
        check("web:ui", &[], Some("web:ui"));
        check("web:https", &[], Some("https:web:https"));
        check("http:web:https", &[], Some("web:https"));
        check("https:web:ui", &[], Some("https:web:ui"));
    }

    #[test]
    fn a_number_does_not_tell_the_name_of_the_site() {
        check("web:80", &[], None);
        check("web", &[("shop", "web:80")], None);
    }
}
