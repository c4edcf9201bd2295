//! Why nothing was found, or what was found cannot be opened, in the user's words.

use super::query::NamedService;
use crate::cluster::{ApiError, Scope};
use crate::error::Error;
use crate::service::choose_port::NotOpenable;
use crate::service::{Service, ServicePort};

/// Kinds of kubectl's that some type in front of the name, as a word of its own.
const KINDS: [&str; 3] = ["svc", "service", "services"];
/// Flags that some type as if they were commands.
const FLAGS: [&str; 4] = ["help", "list", "pick", "version"];

/// No Service has that name, not even in part; `is_place_typed` is whether the user said where to look.
pub(super) fn no_such_service(named: &NamedService, scope: &Scope, is_place_typed: bool, near: &[&str]) -> Error {
    let name = named.spelling.id.name();
    let place = match scope {
        Scope::All => "any namespace".to_owned(),
        Scope::Namespace(namespace) => format!("namespace \"{namespace}\""),
    };
    let error = Error::failed(format!("no Service \"{name}\" in {place}"));
    if let Some(hint) = meant_otherwise(named) {
        return error.hint(hint);
    }
    match near {
        [] if *scope == Scope::All => error.hint("kubectl svcproxy --list -A shows what there is"),
        [] if is_place_typed => error.hint("look in all namespaces with -A"),
        [] => error.hint("name its namespace with -n, or look in all of them with -A"),
        near => error.hint(format!("did you mean {}?", near.join(", "))),
    }
}

/// What was typed is no name that failed, but something else spelled as a name.
fn meant_otherwise(named: &NamedService) -> Option<String> {
    let (text, name) = (&named.text, named.spelling.id.name());
    if named.spelling.id.looks_like_scheme_and_name() {
        let meant = named.spelling.id.port().map(ToString::to_string).unwrap_or_default();
        return Some(format!(
            "\"{text}\" is Service \"{name}\", port \"{meant}\"; Service \"{meant}\" over {name} is spelled {name}:{meant}:"
        ));
    }
    if KINDS.contains(&text.as_str()) {
        return Some(format!("each word is the name of a Service: leave \"{text}\" out"));
    }
    FLAGS.contains(&text.as_str()).then(|| format!("did you mean --{text}?"))
}

/// Why Services cannot be listed. That a selector cannot be understood only the API server says.
pub fn unlisted(error: ApiError, selector: Option<&str>) -> Error {
    match (error, selector) {
        (ApiError::Status { code: 400, reason, message }, Some(selector)) if !reason.is_empty() => {
            Error::usage(format!("--selector {selector:?} means nothing: {message}"))
        }
        (error @ ApiError::Forbidden { .. }, _) => {
            let error = Error::from(error);
            let hint = format!(
                "an exact name needs no list: kubectl svcproxy NAME -n NAMESPACE; or {}",
                error.hint_text().unwrap_or_default()
            );
            error.hint(hint)
        }
        (error, _) => error.into(),
    }
}

/// Several Services have a name that begins so, or contains it.
pub fn several_services(named: &NamedService, services: &[Service]) -> Error {
    const SHOWN: usize = 10;
    let name = |service: &Service| format!("{}.{}", service.name, service.namespace);
    let mut names: Vec<String> = services.iter().take(SHOWN).map(name).collect();
    if services.len() > SHOWN {
        names.push(format!("and {} more", services.len() - SHOWN));
    }
    Error::failed(format!("\"{}\" is {} Services: {}", named.text, services.len(), names.join(", ")))
        .hint("name one of them, or choose on a terminal with --pick")
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
pub fn refusal(service: &Service, refused: &NotOpenable) -> Error {
    let name = &service.name;
    match refused {
        NotOpenable::ExternalName(host) => {
            Error::failed(format!("Service \"{name}\" is of type ExternalName: it only stands for {host}"))
                .hint(format!("open {host} directly"))
        }
        NotOpenable::ApiServer => {
            Error::failed("Service \"kubernetes\" is the API server itself, which the API server does not proxy to")
                .hint("kubectl get --raw / talks to it")
        }
        NotOpenable::NoPorts => Error::failed(format!("Service \"{name}\" has no ports"))
            .hint(format!("add the port under spec.ports: kubectl edit service {name} -n {}", service.namespace)),
        NotOpenable::NoTcpPort => Error::failed(format!(
            "Service \"{name}\" has no TCP port ({}), and a browser needs one",
            listed(&service.ports)
        )),
        NotOpenable::NoSuchPort { wanted, have } => {
            let error = Error::failed(format!("Service \"{name}\" has no port {wanted}"));
            match have.iter().find(|port| port.container_port() == *wanted) {
                Some(port) => error.hint(format!(
                    "{wanted} is the Pods' own port, to which the Service's port {0} leads: {name}:{0}",
                    port.number
                )),
                None => error.hint(format!("it has {}", listed(have))),
            }
        }
        NotOpenable::Ambiguous(ports) => {
            Error::failed(format!("Service \"{name}\" has several ports: {}", listed(ports)))
                .hint(format!("say which: kubectl svcproxy {name}:PORT"))
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::AccessRule;
    use crate::find::picker::row::tests::service;
    use crate::service::choose_port::TargetWish;
    use crate::service::{PortRef, ServiceSpelling};

    fn hint(text: &str, scope: &Scope, is_place_typed: bool, near: &[&str]) -> String {
        let spelling = ServiceSpelling::parse(text).unwrap();
        let named = NamedService { text: text.to_owned(), spelling, wish: TargetWish::default() };
        no_such_service(&named, scope, is_place_typed, near).hint_text().unwrap().to_owned()
    }

    #[test]
    fn the_port_of_the_pods_leads_to_the_services() {
        let mut service = (*service("a/nginx", "http:80")).clone();
        service.ports[0].target_port = Some(PortRef::Number(8080));
        let hint = |wanted: PortRef| {
            let refused = NotOpenable::NoSuchPort { wanted, have: service.ports.clone() };
            refusal(&service, &refused).hint_text().unwrap().to_owned()
        };
        let meant = "8080 is the Pods' own port, to which the Service's port 80 leads: nginx:80";
        assert_eq!(hint(PortRef::Number(8080)), meant);
        assert_eq!(hint(PortRef::Number(81)), "it has http 80");
    }

    #[test]
    fn a_selector_that_cannot_be_understood_is_named() {
        let (reason, message) = ("BadRequest".to_owned(), "found '!'".to_owned());
        let refused = ApiError::Status { code: 400, reason, message };
        let error = unlisted(refused.clone(), Some("b!"));
        assert_eq!(error.message(), "--selector \"b!\" means nothing: found '!'");
        assert_eq!(unlisted(refused.clone(), None), refused.into());
    }

    #[test]
    fn who_may_not_list_may_still_open() {
        let rule = Box::new(AccessRule::new("list", "services", Some("shop")));
        let error = unlisted(ApiError::Forbidden { message: String::new(), rule }, None);
        let hint = error.hint_text().unwrap();
        assert!(
            hint.starts_with("an exact name needs no list: kubectl svcproxy NAME -n NAMESPACE; or ask for"),
            "{hint}"
        );
    }

    #[test]
    fn the_way_out_fits_what_was_typed() {
        let here = Scope::Namespace("default".to_owned());
        let check = |text: &str, scope: &Scope, is_place_typed: bool, near: &[&str], expect: &str| {
            assert_eq!(hint(text, scope, is_place_typed, near), expect, "{text}");
        };
        check("foo", &here, false, &[], "name its namespace with -n, or look in all of them with -A");
        check("foo", &here, true, &[], "look in all namespaces with -A");
        check("foo", &Scope::All, false, &[], "kubectl svcproxy --list -A shows what there is");
        check("fo", &here, false, &["foo"], "did you mean foo?");
        check("svc", &here, false, &["svc-a"], "each word is the name of a Service: leave \"svc\" out");
        check("list", &here, false, &[], "did you mean --list?");
        check("list.shop", &here, true, &["lists"], "did you mean lists?");
    }
}
