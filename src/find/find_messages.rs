//! Why nothing was found, or what was found cannot be opened, in the user's words.

use super::elsewhere::ServicesElsewhere;
use super::query::NamedService;
use super::scan::scopes_text;
use crate::cluster::{ApiError, Scope};
use crate::error::Error;
use crate::service::choose_port::NotOpenable;
use crate::service::{Service, ServicePort};

/// Kinds of kubectl's that some type in front of the name, as a word of its own.
const KINDS: [&str; 3] = ["svc", "service", "services"];
/// Flags that some type as if they were commands.
const FLAGS: [&str; 4] = ["help", "list", "pick", "version"];

/// At most so many Services are named.
const SHOWN: usize = 10;

/// No Service has that name, not even in part, but `near` ones; `elsewhere` is what there is in other namespaces, where
/// it was looked.
pub(super) fn no_such_service(
    named: &NamedService,
    scope: &Scope,
    elsewhere: Option<&ServicesElsewhere>,
    near: &[&str],
) -> Error {
    let name = named.spelling.id.name();
    let only_in = elsewhere.and_then(|elsewhere| elsewhere.only_in.as_deref());
    let error = Error::failed(match (scope, elsewhere, only_in) {
        (_, _, Some(scopes)) => {
            let place = scopes_text(scopes);
            format!("no Service \"{name}\" in {place}, and you may not list Services in all namespaces")
        }
        (Scope::Namespace(namespace), None, _) => format!("no Service \"{name}\" in namespace \"{namespace}\""),
        _ => format!("no Service \"{name}\" in any namespace"),
    });
    if let Some(hint) = meant_otherwise(named) {
        return error.hint(hint);
    }
    let mut near: Vec<String> = near.iter().map(|&near| near.to_owned()).collect();
    if let Some(found) = elsewhere.filter(|_| near.is_empty()) {
        near = found.proposals(name);
    }
    match (&near[..], elsewhere) {
        ([], None) if *scope != Scope::All => error.hint("look in all namespaces with -A"),
        ([], _) if only_in.is_some() => {
            error.hint(format!("name its namespace: kubectl svcproxy {} -n NAMESPACE", named.spelling.id))
        }
        ([], _) => error.hint("kubectl svcproxy --list -A shows what there is"),
        (near, _) => error.hint(format!("did you mean {}?", near.join(", "))),
    }
}

/// There is such a Service, but in other namespaces than the one it was looked for in, and nobody to ask which is meant.
pub fn only_elsewhere(named: &NamedService, found: &ServicesElsewhere) -> Error {
    let (name, own) = (named.spelling.id.name(), &found.own);
    if found.exact.is_empty() {
        return no_such_service(named, &Scope::Namespace(own.clone()), Some(found), &[]);
    }
    let namespaces = || found.exact.iter().map(|service| service.namespace.as_str());
    let places = some(namespaces().map(str::to_owned).collect());
    let message = if found.is_own_closed {
        format!("you may not open Service \"{name}\" in namespace \"{own}\", but there is one in {places}")
    } else {
        format!("Service \"{name}\" is not in namespace \"{own}\" but in {places}")
    };
    let commands = namespaces().map(|namespace| format!("kubectl svcproxy {} -n {namespace}", named.spelling.id));
    Error::failed(message).hint(commands.take(SHOWN).collect::<Vec<_>>().join("; or "))
}

/// `a, b and 3 more`.
fn some(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 {
        names.truncate(SHOWN);
        names.push(format!("{more} more"));
    }
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
        None => String::new(),
    }
}

/// What was typed is no name that failed, but something else spelled as a name.
pub(super) fn meant_otherwise(named: &NamedService) -> Option<String> {
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

    fn named(text: &str) -> NamedService {
        let spelling = ServiceSpelling::parse(text).unwrap();
        NamedService { text: text.to_owned(), spelling, wish: TargetWish::default() }
    }

    fn said(error: &Error) -> (&str, &str) {
        (error.message(), error.hint_text().unwrap())
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
        let check = |text: &str, scope: &Scope, near: &[&str], expect: &str| {
            assert_eq!(no_such_service(&named(text), scope, None, near).hint_text(), Some(expect), "{text}");
        };
        check("foo", &here, &[], "look in all namespaces with -A");
        check("foo", &Scope::All, &[], "kubectl svcproxy --list -A shows what there is");
        check("fo", &here, &["foo"], "did you mean foo?");
        check("svc", &here, &["svc-a"], "each word is the name of a Service: leave \"svc\" out");
        check("list", &here, &[], "did you mean --list?");
        check("list.shop", &here, &["lists"], "did you mean lists?");
    }

    /// What was found of `default/grafana` outside it.
    fn elsewhere(exact: &[&str], parts: &str, only_in: Option<&str>) -> ServicesElsewhere {
        let scope = |name: &str| Scope::Namespace(name.to_owned());
        ServicesElsewhere {
            exact: exact.iter().map(|at| (*service(&format!("{at}/grafana"), "80")).clone()).collect(),
            parts: parts.split_whitespace().map(str::to_owned).collect(),
            only_in: only_in.map(|names| names.split_whitespace().map(scope).collect()),
            ..ServicesElsewhere::than("default", false)
        }
    }

    #[test]
    fn not_even_elsewhere() {
        let here = Scope::Namespace("default".to_owned());
        let check = |found: ServicesElsewhere, near: &[&str], message: &str, hint: &str| {
            let error = no_such_service(&named("grafana:web"), &here, Some(&found), near);
            assert_eq!(said(&error), (message, hint));
        };
        let nowhere = "no Service \"grafana\" in any namespace";
        check(elsewhere(&[], "", None), &[], nowhere, "kubectl svcproxy --list -A shows what there is");
        check(elsewhere(&[], "grafana-x.shop", None), &[], nowhere, "did you mean grafana-x.shop?");
        check(elsewhere(&[], "grafana-x.shop", None), &["graf"], nowhere, "did you mean graf?");
        let narrow =
            "no Service \"grafana\" in namespaces default, shop, and you may not list Services in all namespaces";
        let way_out = "name its namespace: kubectl svcproxy grafana:web -n NAMESPACE";
        check(elsewhere(&[], "", Some("default shop")), &[], narrow, way_out);
        check(elsewhere(&[], "", Some("default shop")), &["graf"], narrow, "did you mean graf?");
    }

    #[test]
    fn elsewhere_with_the_command_for_each() {
        let check = |found: ServicesElsewhere, message: &str, hint: &str| {
            assert_eq!(said(&only_elsewhere(&named("svc/grafana:web"), &found)), (message, hint));
        };
        let one = "kubectl svcproxy grafana:web -n shop";
        check(elsewhere(&["shop"], "", None), "Service \"grafana\" is not in namespace \"default\" but in shop", one);
        let closed = ServicesElsewhere { is_own_closed: true, ..elsewhere(&["shop"], "", Some("shop")) };
        let message = "you may not open Service \"grafana\" in namespace \"default\", but there is one in shop";
        check(closed, message, one);
        let message = "Service \"grafana\" is not in namespace \"default\" but in a, b and shop";
        let commands = ["a", "b", "shop"].map(|at| format!("kubectl svcproxy grafana:web -n {at}")).join("; or ");
        check(elsewhere(&["a", "b", "shop"], "", None), message, &commands);
        let error = only_elsewhere(&named("grafana"), &elsewhere(&["x"; 12], "", None));
        assert!(error.message().ends_with("x and 2 more"), "{}", error.message());
        assert_eq!(error.hint_text().unwrap().matches("-n x").count(), 10);
    }
}
