//! Why nothing was found, or what was found cannot be opened, in the user's words.

use crate::cluster::Scope;
use crate::error::Error;
use crate::plan::Named;
use crate::service::{Service, ServicePort};
use crate::target::choose::Refused;

/// No Service has that name, not even in part.
pub(super) fn no_such_service(named: &Named, scope: &Scope, near: &[&str]) -> Error {
    let name = named.spelling.id.name();
    let place = match scope {
        Scope::All => "any namespace".to_owned(),
        Scope::Namespace(namespace) => format!("namespace \"{namespace}\""),
    };
    let error = Error::failed(format!("no Service \"{name}\" in {place}"));
    if named.spelling.id.looks_like_scheme_and_name() {
        let meant = named.spelling.id.port().map(ToString::to_string).unwrap_or_default();
        return error.hint(format!(
            "\"{}\" is Service \"{name}\", port \"{meant}\"; Service \"{meant}\" over {name} is spelled {name}:{meant}:",
            named.text
        ));
    }
    match near {
        [] if *scope == Scope::All => error.hint("kubectl svcproxy --list -A shows what there is"),
        [] => error.hint("name its namespace with -n, or look in all of them with -A"),
        near => error.hint(format!("did you mean {}?", near.join(", "))),
    }
}

/// Several Services have a name that begins so, or contains it.
pub fn several_services(named: &Named, services: &[Service]) -> Error {
    const SHOWN: usize = 10;
    let name = |service: &Service| format!("{}.{}", service.name, service.namespace);
    let mut names: Vec<String> = services.iter().take(SHOWN).map(name).collect();
    if services.len() > SHOWN {
        names.push(format!("and {} more", services.len() - SHOWN));
    }
    Error::failed(format!("\"{}\" is {} Services: {}", named.text, services.len(), names.join(", ")))
        .hint("name one of them, or choose on a terminal with --pick")
}

/// Nothing speaks for any one of a Service's ports.
pub fn several_ports(service: &Service, ports: Vec<ServicePort>) -> Error {
    refusal(service, &Refused::Ambiguous(ports))
}

/// Endpoints that are not Pods: the API server refuses to proxy to them.
pub(super) fn no_pods(service: &Service) -> Error {
    Error::failed(format!(
        "Service \"{}\" has no selector and none of its endpoints is a Pod, and the API server proxies to Pods only",
        service.name
    ))
    .hint("open the address of its endpoints directly, if you can reach it")
}

/// Why `service` cannot be opened, and what to do instead.
pub fn refusal(service: &Service, refused: &Refused) -> Error {
    let name = &service.name;
    match refused {
        Refused::ExternalName(host) => {
            Error::failed(format!("Service \"{name}\" is of type ExternalName: it only stands for {host}"))
                .hint(format!("open {host} directly"))
        }
        Refused::ApiServer => {
            Error::failed("Service \"kubernetes\" is the API server itself, which the API server does not proxy to")
                .hint("kubectl get --raw / talks to it")
        }
        Refused::NoPorts => Error::failed(format!("Service \"{name}\" has no ports"))
            .hint(format!("add the port under spec.ports: kubectl edit service {name} -n {}", service.namespace)),
        Refused::NoTcpPort => Error::failed(format!(
            "Service \"{name}\" has no TCP port ({}), and a browser needs one",
            listed(&service.ports)
        )),
        Refused::NoSuchPort { wanted, have } => {
            Error::failed(format!("Service \"{name}\" has no port {wanted}")).hint(format!("it has {}", listed(have)))
        }
        Refused::Ambiguous(ports) => Error::failed(format!("Service \"{name}\" has several ports: {}", listed(ports)))
            .hint(format!("say which: kubectl svcproxy {name}:PORT")),
    }
}

/// `http 80, metrics 9090, dns 53/UDP`.
fn listed(ports: &[ServicePort]) -> String {
    let one = |port: &ServicePort| {
        let name = port.name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
        let protocol = match port.protocol {
            crate::service::Protocol::Tcp => String::new(),
            other => format!("/{}", other.as_str()),
        };
        format!("{name}{}{protocol}", port.number)
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}
