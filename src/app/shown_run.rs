//! What pages say of a run beside what is open: commands that open something else. Pure.

use std::sync::Arc;

use super::plan::DEFAULT_PORT;
use crate::find::FoundTarget;
use crate::proxy::local::{ClosedSite, ShownRun};
use crate::service::choose_port::openable;
use crate::service::{Scheme, Target, is_old_label, is_site_label, names_in_label};

/// The run that opened `found` at `server`, through `context`, on `port`.
pub(super) fn shown_run(context: Option<&str>, server: &str, found: &[&FoundTarget], port: Option<u16>) -> ShownRun {
    let flag = context.map(|context| format!(" --context {}", shell_words::quote(context))).unwrap_or_default();
    let program = format!("kubectl svcproxy{flag}");
    let mut others = other_ports(&program, found);
    others.push(("one of all Services".to_owned(), format!("{program} -A --pick")));
    others.push(("what there is, with computed proxy URLs".to_owned(), format!("{program} -A --list")));
    ShownRun {
        context: context.map(str::to_owned),
        server: server.to_owned(),
        others,
        closed_site: Arc::new(move |label| closed_site(&program, label, port)),
    }
}

/// The ports of the Services of `found` that are not open.
fn other_ports(program: &str, found: &[&FoundTarget]) -> Vec<(String, String)> {
    let is_open = |target: &Target| {
        let place = |target: &Target| (target.canonical_path(), target.scheme);
        found.iter().any(|found| place(&found.target) == place(target))
    };
    let mut others: Vec<(String, String)> = Vec::new();
    for (service, _) in found.iter().filter_map(|found| found.read.as_ref()) {
        let targets =
            openable(service).unwrap_or_default().into_iter().map(|choice| Target::new(service, &choice, None));
        for target in targets.filter(|target| !is_open(target)) {
            let (port, name, namespace) = (target.port_text().unwrap_or_default(), &service.name, &service.namespace);
            let id =
                if target.scheme == Scheme::Https { format!("https:{name}:{port}") } else { format!("{name}:{port}") };
            let what = format!("port {} of {name}", target.shown_port().unwrap_or_default());
            let command = (what, format!("{program} -n {namespace} {id}"));
            if !others.contains(&command) {
                others.push(command);
            }
        }
    }
    others
}

/// Whose site has `label`, and the command that opens it: its URL is a spelling of just that Service, port and scheme. On
/// another port than the default one it is given too, for the address to be the same.
fn closed_site(program: &str, label: &str, port: Option<u16>) -> Option<ClosedSite> {
    if !is_site_label(label) {
        return None;
    }
    let Some((name, namespace)) = names_in_label(label) else {
        let command = format!("{program} -A --pick");
        return Some(ClosedSite { service: None, command, is_old: is_old_label(label) });
    };
    let (at, flag) = match port {
        Some(DEFAULT_PORT) | None => (DEFAULT_PORT, String::new()),
        Some(port) => (port, format!(" -p {port}")),
    };
    let command = format!("{program} http://{label}.localhost:{at}/{flag}");
    Some(ClosedSite { service: Some((namespace.to_owned(), name.to_owned())), command, is_old: is_old_label(label) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::choose_port::{TargetWish, choose};
    use crate::service::{Protocol, Service, ServicePort, ServiceType};

    fn service(name: &str, ports: &[(&str, u16, Protocol)]) -> Service {
        let port = |&(name, number, protocol): &(&str, u16, Protocol)| ServicePort {
            name: Some(name.to_owned()),
            number,
            protocol,
            app_protocol: None,
            target_port: None,
            node_port: None,
        };
        Service {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            kind: ServiceType::ClusterIp,
            cluster_ip: None,
            external_name: None,
            selector: [("app".to_owned(), name.to_owned())].into(),
            ports: ports.iter().map(port).collect(),
            annotations: [].into(),
            load_balancer: Vec::new(),
            session_affinity: false,
            created: None,
        }
    }

    fn found(service: Service) -> FoundTarget {
        let choice = choose(&service, &TargetWish::default()).unwrap();
        FoundTarget { target: Target::new(&service, &choice, None), read: Some((service, choice)) }
    }

    #[test]
    fn other_ports_are_opened_by_commands() {
        let web = found(service(
            "web",
            &[("http", 80, Protocol::Tcp), ("https", 443, Protocol::Tcp), ("dns", 53, Protocol::Udp)],
        ));
        let run = shown_run(Some("prod eu"), "https://a", &[&web], Some(8001));
        let commands: Vec<&str> = run.others.iter().map(|(_, command)| command.as_str()).collect();
        assert_eq!(
            commands,
            [
                "kubectl svcproxy --context 'prod eu' -n shop https:web:https",
                "kubectl svcproxy --context 'prod eu' -A --pick",
                "kubectl svcproxy --context 'prod eu' -A --list",
            ]
        );
    }

    #[test]
    fn a_closed_site_is_opened_by_its_url() {
        let label = "web--shop--abc234abc234a";
        let command = |label: &str, port: u16| {
            let run = shown_run(None, "https://a", &[], Some(port));
            (run.closed_site)(label).map(|closed| (closed.service, closed.command, closed.is_old))
        };
        let web = Some(("shop".to_owned(), "web".to_owned()));
        let url = |label: &str| format!("kubectl svcproxy http://{label}.localhost");
        assert_eq!(command(label, 8001), Some((web.clone(), format!("{}:8001/", url(label)), false)));
        assert_eq!(command(label, 20000), Some((web.clone(), format!("{}:20000/ -p 20000", url(label)), false)));
        let old = "web--shop--abc234";
        assert_eq!(command(old, 8001), Some((web, format!("{}:8001/", url(old)), true)));
        let cut = format!("{}--abc234abc234a", "a".repeat(48));
        assert_eq!(command(&cut, 8001), Some((None, "kubectl svcproxy -A --pick".to_owned(), false)));
        assert_eq!(command("dev", 8001), None);
    }
}
