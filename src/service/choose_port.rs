//! Which port of a Service, and what its Pods speak there.
//!
//! In this order: flags and spelling, annotations, `appProtocol`, the port's name, its number, the only port, the TCP
//! port that looks most like a web UI. UDP and SCTP are never offered.

use std::fmt;

use http::uri::PathAndQuery;

use super::{PortRef, Protocol, Scheme, Service, ServicePort, ServiceType, parse_port, rooted};
use crate::message::safe_path::SafePath;
use crate::message::token_parameter::{TOKEN_PARAMETER, has_token_parameter};

/// Port (name or number) of the Service to open. Read, never written.
pub const PORT_ANNOTATION: &str = "svcproxy.dev/port";
/// `http` or `https`.
pub const SCHEME_ANNOTATION: &str = "svcproxy.dev/scheme";
/// Path and query to open first.
pub const PATH_ANNOTATION: &str = "svcproxy.dev/path";
/// Rancher's `PORT[/http|https]`, comma separated.
pub const RANCHER_ANNOTATION: &str = "ui.rancher/service-links";
/// All of them: what a list has to keep.
pub const ANNOTATIONS: [&str; 4] = [PORT_ANNOTATION, SCHEME_ANNOTATION, PATH_ANNOTATION, RANCHER_ANNOTATION];

/// What the user said of the port, the scheme and the path; it goes before everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetWish {
    /// Port by name or number.
    pub port: Option<PortRef>,
    /// Scheme.
    pub scheme: Option<Scheme>,
    /// Path and query to open first.
    pub path: Option<String>,
}

/// The port, scheme and path to open, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortChoice {
    /// The port.
    pub port: ServicePort,
    /// Why that port.
    pub why_port: ChoiceReason,
    /// The scheme.
    pub scheme: Scheme,
    /// Why that scheme.
    pub why_scheme: ChoiceReason,
    /// Path and query to open first; starts with `/`.
    pub path: String,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceReason {
    /// A flag or the spelling of SERVICE.
    Asked,
    /// An annotation of the Service.
    Annotation,
    /// The port's `appProtocol`.
    AppProtocol,
    /// The port's name.
    Name,
    /// The port's number.
    Number,
    /// The Service has no other port.
    OnlyPort,
    /// It looks more like a web UI than the others.
    LooksLikeWeb,
    /// Nothing says otherwise.
    Default,
}

impl fmt::Display for ChoiceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "as asked",
            Self::Annotation => "by annotation",
            Self::AppProtocol => "by appProtocol",
            Self::Name => "by the port's name",
            Self::Number => "by the port's number",
            Self::OnlyPort => "the only port",
            Self::LooksLikeWeb => "looks most like a web UI",
            Self::Default => "nothing says otherwise",
        })
    }
}

/// Why a Service cannot be opened; shown as the reason in a few words, for lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOpenable {
    /// It only stands for a name outside the cluster.
    #[error("only a name for {0}")]
    ExternalName(String),
    /// The API server itself: its endpoints have no Pods.
    #[error("the API server itself")]
    ApiServer,
    /// It has no ports, so the API server has nowhere to connect to.
    #[error("no ports")]
    NoPorts,
    /// It has ports, but none of TCP.
    #[error("no TCP port")]
    NoTcpPort,
    /// The port asked for, by flag, spelling or annotation, is not one of these.
    #[error("no port {wanted}")]
    NoSuchPort {
        /// What was asked for.
        wanted: PortRef,
        /// The TCP ports there are.
        have: Vec<ServicePort>,
    },
    /// None of several ports is more likely than the others.
    #[error("several ports")]
    Ambiguous(Vec<ServicePort>),
}

/// Decides what to open of `service`.
///
/// # Errors
/// When nothing can be opened, or several ports are equally likely.
pub fn choose(service: &Service, wish: &TargetWish) -> Result<PortChoice, NotOpenable> {
    let (port, why_port) = choose_port(service, &tcp_ports(service)?, wish)?;
    Ok(choice_of(service, port, why_port, wish))
}

/// Every TCP port of `service` as something to open, the one [`choose`] would take first; for lists and the picker.
///
/// # Errors
/// When nothing of it can be opened.
pub fn openable(service: &Service) -> Result<Vec<PortChoice>, NotOpenable> {
    let mut ports = tcp_ports(service)?;
    let wish = TargetWish::default();
    let preferred = choose(service, &wish).ok().map(|choice| choice.port);
    ports.sort_by_key(|port| Some(*port) != preferred.as_ref());
    Ok(ports.into_iter().map(|port| choice_of(service, port, ChoiceReason::Asked, &wish)).collect())
}

fn choice_of(service: &Service, port: &ServicePort, why_port: ChoiceReason, wish: &TargetWish) -> PortChoice {
    let (scheme, why_scheme) = choose_scheme(service, port, wish);
    let path = wish.path.clone().or_else(|| annotated_path(service)).unwrap_or_else(|| "/".to_owned());
    PortChoice { port: port.clone(), why_port, scheme, why_scheme, path }
}

/// What may be opened: at least one port.
fn tcp_ports(service: &Service) -> Result<Vec<&ServicePort>, NotOpenable> {
    if service.kind == ServiceType::ExternalName {
        return Err(NotOpenable::ExternalName(service.external_name.clone().unwrap_or_default()));
    }
    if service.namespace == "default" && service.name == "kubernetes" {
        return Err(NotOpenable::ApiServer);
    }
    let tcp: Vec<_> = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp).collect();
    match tcp[..] {
        [] if service.ports.is_empty() => Err(NotOpenable::NoPorts),
        [] => Err(NotOpenable::NoTcpPort),
        _ => Ok(tcp),
    }
}

fn choose_port<'a>(
    service: &Service,
    tcp: &[&'a ServicePort],
    wish: &TargetWish,
) -> Result<(&'a ServicePort, ChoiceReason), NotOpenable> {
    if let Some(wanted) = &wish.port {
        return find_port(tcp, wanted).map(|port| (port, ChoiceReason::Asked));
    }
    if let Some(wanted) = annotated_port(service) {
        return find_port(tcp, &wanted).map(|port| (port, ChoiceReason::Annotation));
    }
    match tcp {
        [only] => Ok((only, ChoiceReason::OnlyPort)),
        several => most_like_web(&speaking(service, several, wish)).map(|port| (port, ChoiceReason::LooksLikeWeb)),
    }
}

/// The ports that speak the scheme asked for; all of them if none was asked for or none speaks it. Where two ports lead to
/// one listener, that speaks https if one of them does: to http it has nothing but a redirect.
fn speaking<'a>(service: &Service, tcp: &[&'a ServicePort], wish: &TargetWish) -> Vec<&'a ServicePort> {
    let speaks = |port: &ServicePort, scheme| choose_scheme(service, port, &TargetWish::default()).0 == scheme;
    let is_twin_of_https = |port: &ServicePort| {
        let twin =
            |other: &&ServicePort| other.container_port() == port.container_port() && speaks(other, Scheme::Https);
        !speaks(port, Scheme::Https) && tcp.iter().any(twin)
    };
    let is_wanted = |port: &&ServicePort| match wish.scheme {
        Some(scheme) => speaks(port, scheme),
        None => !is_twin_of_https(port),
    };
    let speaking: Vec<_> = tcp.iter().copied().filter(is_wanted).collect();
    if speaking.is_empty() { tcp.to_vec() } else { speaking }
}

/// The ports of `service` that speak https, as choices, those with the container port of `port` first.
pub fn https_ports(service: &Service, port: &ServicePort) -> Vec<PortChoice> {
    let wish = TargetWish::default();
    let tcp = tcp_ports(service).unwrap_or_default();
    let choices = tcp.into_iter().filter(|other| *other != port);
    let choices = choices.map(|other| choice_of(service, other, ChoiceReason::LooksLikeWeb, &wish));
    let mut https: Vec<PortChoice> = choices.filter(|choice| choice.scheme == Scheme::Https).collect();
    https.sort_by_key(|choice| choice.port.container_port() != port.container_port());
    https
}

fn find_port<'a>(tcp: &[&'a ServicePort], wanted: &PortRef) -> Result<&'a ServicePort, NotOpenable> {
    tcp.iter().copied().find(|port| wanted.means(port)).ok_or_else(|| NotOpenable::NoSuchPort {
        wanted: wanted.clone(),
        have: tcp.iter().map(|port| (*port).clone()).collect(),
    })
}

/// The likeliest port; among equals the first listed, as the Service's author put it. Ambiguous only where nothing
/// speaks for any of them.
fn most_like_web<'a>(tcp: &[&'a ServicePort]) -> Result<&'a ServicePort, NotOpenable> {
    let best = tcp.iter().map(|port| port_likeness(port)).max().unwrap_or_default();
    let mut equals = tcp.iter().copied().filter(|port| port_likeness(port) == best);
    let first = equals.next();
    match first {
        Some(port) if best > 0 || equals.next().is_none() => Ok(port),
        _ => Err(NotOpenable::Ambiguous(tcp.iter().map(|port| (*port).clone()).collect())),
    }
}

/// Ports that web UIs like to listen on.
const USUAL_NUMBERS: [u16; 16] =
    [80, 443, 3000, 3001, 4200, 5000, 5601, 7860, 8000, 8080, 8081, 8443, 8501, 8888, 9090, 9443];

/// How much a port looks like one that a browser should open: positive for yes, negative for no.
pub fn port_likeness(port: &ServicePort) -> i8 {
    if let Some(protocol) = &port.app_protocol {
        let http = ["http", "https", "kubernetes.io/ws", "kubernetes.io/wss"].contains(&protocol.as_str());
        return if http { 4 } else { -2 };
    }
    port.name.as_deref().and_then(name_likeness).unwrap_or_else(|| i8::from(USUAL_NUMBERS.contains(&port.number)))
}

/// What a port's name says, by its words (`http-web` has two); a word for something else outweighs one for the web.
fn name_likeness(name: &str) -> Option<i8> {
    let of_word = |word: &str| match word {
        "metrics" | "grpc" | "probe" | "health" | "healthz" | "admin" | "debug" | "telemetry" | "gossip" | "raft"
        | "peer" | "dns" | "ssh" | "tcp" => Some(-1),
        "web" | "ui" | "dashboard" | "console" | "webui" | "gui" | "service" => Some(3),
        "http" | "https" | "http2" | "tls" | "www" | "websecure" => Some(if word == name { 3 } else { 2 }),
        _ => None,
    };
    name.split('-').filter_map(of_word).reduce(|one, other| if one.min(other) < 0 { -1 } else { one.max(other) })
}

impl PortChoice {
    /// What is spoken there, for people: the scheme, unless nothing but a guess is against what the port says itself.
    pub fn spoken(&self) -> &'static str {
        let is_guess = matches!(self.why_scheme, ChoiceReason::Number | ChoiceReason::Default);
        let other = if is_guess { other_protocol(&self.port) } else { None };
        other.unwrap_or_else(|| self.scheme.as_str())
    }
}

/// The protocol that a port says it speaks, by `appProtocol` or its name, where that is not HTTP. Names begin with the
/// protocol, as Istio asks for it, or have it after `tcp-`, as Bitnami's charts do.
fn other_protocol(port: &ServicePort) -> Option<&'static str> {
    let of_word = |word: &str| OTHER_PROTOCOLS.into_iter().find(|known| *known == word);
    let said = port.app_protocol.as_deref().map(|protocol| protocol.rsplit('/').next().unwrap_or_default());
    let name = said.or(port.name.as_deref())?.to_ascii_lowercase();
    if name == "grpc-web" || name.starts_with("grpc-web-") {
        return None; // which is made for browsers
    }
    let mut words = name.split('-');
    match words.next() {
        Some("tcp") => words.next().and_then(of_word),
        first => first.and_then(of_word),
    }
}

/// What ports are named after that no browser speaks.
const OTHER_PROTOCOLS: [&str; 33] = [
    "amqp",
    "amqps",
    "cassandra",
    "cql",
    "dns",
    "epmd",
    "ftp",
    "grpc",
    "grpcs",
    "imap",
    "imaps",
    "kafka",
    "ldap",
    "ldaps",
    "memcache",
    "memcached",
    "mongo",
    "mongodb",
    "mqtt",
    "mqtts",
    "mysql",
    "nats",
    "pop3",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "rtsp",
    "smtp",
    "smtps",
    "ssh",
    "thrift",
    "zookeeper",
];

fn choose_scheme(service: &Service, port: &ServicePort, wish: &TargetWish) -> (Scheme, ChoiceReason) {
    let number = matches!(port.number, 443 | 8443 | 9443).then_some(Scheme::Https);
    let decisions = [
        (wish.scheme, ChoiceReason::Asked),
        (annotated_scheme(service, port), ChoiceReason::Annotation),
        (port.app_protocol.as_deref().and_then(scheme_of_app_protocol), ChoiceReason::AppProtocol),
        (port.name.as_deref().and_then(scheme_of_name), ChoiceReason::Name),
        (number, ChoiceReason::Number),
    ];
    let first = decisions.into_iter().find_map(|(scheme, why)| Some((scheme?, why)));
    first.unwrap_or((Scheme::Http, ChoiceReason::Default))
}

/// Standard names of KEP-1422 and IANA.
fn scheme_of_app_protocol(protocol: &str) -> Option<Scheme> {
    match protocol.to_ascii_lowercase().as_str() {
        "https" | "kubernetes.io/wss" | "wss" | "tls" => Some(Scheme::Https),
        "http" | "kubernetes.io/ws" | "ws" | "kubernetes.io/h2c" => Some(Scheme::Http),
        _ => None,
    }
}

fn scheme_of_name(name: &str) -> Option<Scheme> {
    let secure = ["https", "tls", "ssl", "websecure"].contains(&name)
        || name.starts_with("https-")
        || ["-https", "-tls", "-ssl"].iter().any(|end| name.ends_with(end));
    if secure {
        return Some(Scheme::Https);
    }
    (name == "http" || name.starts_with("http-") || name.ends_with("-http")).then_some(Scheme::Http)
}

fn annotated_port(service: &Service) -> Option<PortRef> {
    match service.annotations.get(PORT_ANNOTATION) {
        Some(text) => parse_port(text.trim()).ok(),
        None => rancher_links(service).next().map(|(port, _)| port),
    }
}

fn annotated_scheme(service: &Service, port: &ServicePort) -> Option<Scheme> {
    if let Some(text) = service.annotations.get(SCHEME_ANNOTATION) {
        return text.trim().parse().ok();
    }
    let mut links = rancher_links(service);
    links.find(|(link, _)| *link == PortRef::Number(port.number)).and_then(|(_, scheme)| scheme)
}

fn annotated_path(service: &Service) -> Option<String> {
    let path = rooted(service.annotations.get(PATH_ANNOTATION)?.trim());
    path_fault(&path).is_none().then_some(path)
}

/// What is wrong with the path that an annotation of `service` gives, if so: whoever may write it is a stranger. Then it is not
/// taken.
pub fn annotation_fault(service: &Service) -> Option<String> {
    let fault = path_fault(&rooted(service.annotations.get(PATH_ANNOTATION)?.trim()))?;
    Some(format!("annotation {PATH_ANNOTATION} of {} in {} is not followed: {fault}", service.name, service.namespace))
}

fn path_fault(path: &str) -> Option<String> {
    let (path, _fragment) = path.split_once('#').unwrap_or((path, ""));
    if !path.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Some("the path has more in it than printable ASCII".to_owned());
    }
    if path.starts_with("//") || path.contains('\\') {
        return Some("the path could lead to another host".to_owned());
    }
    if path.split_once('?').is_some_and(|(_, query)| has_token_parameter(query)) {
        return Some(format!("its query has {TOKEN_PARAMETER} in it, which is for this program"));
    }
    let Ok(target) = PathAndQuery::try_from(path) else { return Some("that is no path".to_owned()) };
    SafePath::check(&target).err().map(|fault| fault.to_string())
}

/// `PORT[/http|https]`, comma separated; what does not read so is passed over, as Rancher does.
fn rancher_links(service: &Service) -> impl Iterator<Item = (PortRef, Option<Scheme>)> {
    let links = service.annotations.get(RANCHER_ANNOTATION).map_or("", String::as_str);
    links.split(',').filter_map(|link| {
        let (port, scheme) = match link.trim().split_once('/') {
            Some((port, scheme)) => (port, Some(scheme.trim().parse().ok()?)),
            None => (link.trim(), None),
        };
        let number = port.trim().parse().ok().filter(|&number| number != 0)?;
        Some((PortRef::Number(number), scheme))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Target;
    use std::collections::BTreeMap;

    /// Ports as `name:number[/PROTOCOL][=appProtocol][>targetPort]`, blank separated; a name of `-` is none.
    fn service(ports: &str) -> Service {
        let port = |text: &str| {
            let (text, target_port) = match text.split_once('>') {
                Some((text, target)) => (text, parse_port(target).ok()),
                None => (text, None),
            };
            let (text, app_protocol) = match text.split_once('=') {
                Some((text, app)) => (text, Some(app.to_owned())),
                None => (text, None),
            };
            let (text, protocol) = match text.split_once('/') {
                Some((text, "UDP")) => (text, Protocol::Udp),
                Some((text, _)) => (text, Protocol::Sctp),
                None => (text, Protocol::Tcp),
            };
            let (name, number) = text.split_once(':').unwrap();
            ServicePort {
                name: (name != "-").then(|| name.to_owned()),
                number: number.parse().unwrap(),
                protocol,
                app_protocol,
                target_port,
                node_port: None,
            }
        };
        Service {
            namespace: "ns".to_owned(),
            name: "web".to_owned(),
            kind: ServiceType::ClusterIp,
            cluster_ip: Some("10.0.0.1".to_owned()),
            external_name: None,
            selector: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
            ports: ports.split_whitespace().map(port).collect(),
            annotations: BTreeMap::new(),
            load_balancer: Vec::new(),
            session_affinity: false,
            created: None,
        }
    }

    #[test]
    fn what_a_port_says_that_it_speaks() {
        let check = |ports: &str, expect: &str| {
            let service = service(ports);
            let choice = choice_of(&service, &service.ports[0], ChoiceReason::OnlyPort, &TargetWish::default());
            assert_eq!(choice.spoken(), expect, "{ports}");
        };
        check("redis:6379", "redis");
        check("tcp-postgresql:5432", "postgresql");
        check("grpc-api:443", "grpc");
        check("grpc-web:8080", "http");
        check("web:80=kubernetes.io/ws", "http");
        check("web:80=mysql", "mysql");
        check("api:80=example.com/amqp", "amqp");
        check("https-redis:6379", "https");
        check("http-redis:6379", "http");
        check("-:6379", "http");
        check("AMQP:5672", "amqp");
    }

    fn annotated(ports: &str, key: &str, value: &str) -> Service {
        let mut service = service(ports);
        service.annotations.insert(key.to_owned(), value.to_owned());
        service
    }

    /// `expect` is the ID, and why port and scheme.
    fn check_service(service: &Service, spelled: &str, expect: &str) {
        let spelling = crate::service::ServiceSpelling::parse(spelled).unwrap();
        let wish = TargetWish { port: spelling.id.port().cloned(), scheme: spelling.id.scheme(), path: spelling.path };
        let found = choose(service, &wish).map(|choice| {
            let target = Target::new(service, &choice, Some(&spelling.id));
            format!("{} {:?} {:?}", target.id, choice.why_port, choice.why_scheme)
        });
        assert_eq!(found.as_deref(), Ok(expect), "{spelled:?} of {:?}", service.ports);
    }

    fn check(ports: &str, spelled: &str, expect: &str) {
        check_service(&service(ports), spelled, expect);
    }

    #[test]
    fn the_only_port() {
        check("-:80", "web", "web OnlyPort Default");
        check("http:80", "web", "web:http OnlyPort Name");
        check("foo:81", "web", "web:foo OnlyPort Default");
        check("-:443", "web", "https:web: OnlyPort Number");
        check("https:8080", "web", "https:web:https OnlyPort Name");
        check("http:443", "web", "web:http OnlyPort Name");
        check("dns:53/UDP http:80", "web", "web:http OnlyPort Name");
    }

    #[test]
    fn the_users_spelling_stays() {
        check("http:80", "web:80", "web:80 Asked Name");
        check("http:80", "web:http", "web:http Asked Name");
        check("http:80", "http:web:80", "http:web:80 Asked Asked");
        check("-:80", "web:80", "web:80 Asked Default");
        check("https:443", "web:443", "https:web:https Asked Name");
        check("https:443", "https:web:443", "https:web:443 Asked Asked");
        check("http:80", "https:web:", "https:web:http OnlyPort Asked");
        check("http:80 https:443", "https:web:", "https:web:https LooksLikeWeb Asked");
        check("http:80 alt:81", "https:web:", "https:web:http LooksLikeWeb Asked");
        check("dns:53/UDP dns-tcp:53", "web:53", "web:dns-tcp Asked Default");
    }

    #[test]
    fn schemes() {
        check("web:80=https", "web", "https:web:web OnlyPort AppProtocol");
        check("https:443=http", "web", "web:https OnlyPort AppProtocol");
        check("x:1=kubernetes.io/wss", "web", "https:web:x OnlyPort AppProtocol");
        check("ui-tls:1", "web", "https:web:ui-tls OnlyPort Name");
        check("https-ui:1", "web", "https:web:https-ui OnlyPort Name");
        check("x:8443", "web", "https:web:x OnlyPort Number");
        check("x:9443", "web", "https:web:x OnlyPort Number");
    }

    #[test]
    fn the_port_that_looks_like_a_web_ui() {
        check("metrics:9090 http:8080", "web", "web:http LooksLikeWeb Name");
        check("http-metrics:8080 web:3000", "web", "web:web LooksLikeWeb Default");
        check("grpc:9095 http:3100", "web", "web:http LooksLikeWeb Name");
        check("http:80 https:443", "web", "web:http LooksLikeWeb Name");
        check("https:443 http:80", "web", "https:web:https LooksLikeWeb Name");
        check("a:7000 b:8080", "web", "web:b LooksLikeWeb Default");
        check("amqp:5672=amqp mgmt:15672=http", "web", "web:mgmt LooksLikeWeb AppProtocol");
    }

    #[test]
    fn of_two_ports_with_one_listener_the_one_that_speaks_https() {
        check("http:80>8080 https:443>8080", "web", "https:web:https LooksLikeWeb Name");
        check("http:80>http https:443>http", "web", "https:web:https LooksLikeWeb Name");
        check("http:8443 https:443>8443", "web", "https:web:https LooksLikeWeb Name");
        check("http:80>8080 https:443>8443", "web", "web:http LooksLikeWeb Name");
        check("http:80>8080 https:443>8080", "web:80", "web:80 Asked Name");
        check("http:80>8080 https:443>8080", "http:web:", "web:http LooksLikeWeb Asked");
    }

    #[test]
    fn ports_that_speak_https() {
        let service = service("http:80>8080 admin:9443 https:443>8080 secure:8443/UDP");
        let https = https_ports(&service, &service.ports[0]);
        let numbers: Vec<u16> = https.iter().map(|choice| choice.port.number).collect();
        assert_eq!(numbers, [443, 9443]);
    }

    #[test]
    fn ambiguous_only_if_nothing_speaks_for_any() {
        let refused = choose(&service("a:7000 b:7001"), &TargetWish::default());
        assert!(matches!(refused, Err(NotOpenable::Ambiguous(ref ports)) if ports.len() == 2), "{refused:?}");
    }

    #[test]
    fn a_path_of_a_stranger() {
        let path = |text: &str| {
            let service = annotated("a:1", PATH_ANNOTATION, text);
            (choose(&service, &TargetWish::default()).unwrap().path, annotation_fault(&service))
        };
        for taken in ["/ui/", "/a%2Fb?next=/../x#top", "/svcproxy-token/?token=svcproxy-token"] {
            assert_eq!(path(taken), (taken.to_owned(), None));
        }
        for text in [
            "/../../other:http/proxy/delete?all=1",
            "/a/%2e%2e/b",
            "/a/%252e%252e%252fb",
            "/..;x/b",
            "//evil.example/",
            "/\\evil.example/",
            "/a\nerror: forged",
            "/a\u{1b}]0;x\u{7}",
            "/a b",
            "/ä",
            "/%0d%0a",
            "/?svcproxy-token=x",
            "/?a&%73vcproxy-token=x",
        ] {
            let (path, fault) = path(text);
            assert_eq!(path, "/", "{text:?}");
            let fault = fault.unwrap();
            assert!(fault.starts_with("annotation svcproxy.dev/path of ") && fault.is_ascii(), "{fault}");
        }
    }

    #[test]
    fn annotations() {
        check_service(&annotated("a:1 b:2", PORT_ANNOTATION, "b"), "web", "web:b Annotation Default");
        check_service(&annotated("a:1 b:2", PORT_ANNOTATION, "2"), "web", "web:b Annotation Default");
        check_service(&annotated("a:1 b:2", PORT_ANNOTATION, "b"), "web:a", "web:a Asked Default");
        check_service(&annotated("a:1", SCHEME_ANNOTATION, "https"), "web", "https:web:a OnlyPort Annotation");
        check_service(
            &annotated("a:1 b:2", RANCHER_ANNOTATION, " x, 2/https,1"),
            "web",
            "https:web:b Annotation Annotation",
        );
        let landing = choose(&annotated("a:1", PATH_ANNOTATION, "ui/?x=1"), &TargetWish::default()).unwrap();
        assert_eq!(landing.path, "/ui/?x=1");
    }

    #[test]
    fn what_cannot_be_opened() {
        let refused = |service: &Service| choose(service, &TargetWish::default()).unwrap_err();
        assert_eq!(refused(&service("")), NotOpenable::NoPorts);
        assert_eq!(refused(&service("dns:53/UDP x:1/SCTP")), NotOpenable::NoTcpPort);
        let mut external = service("http:80");
        external.kind = ServiceType::ExternalName;
        external.external_name = Some("db.example".to_owned());
        assert_eq!(refused(&external), NotOpenable::ExternalName("db.example".to_owned()));
        let mut api = service("https:443");
        (api.namespace, api.name) = ("default".to_owned(), "kubernetes".to_owned());
        assert_eq!(refused(&api), NotOpenable::ApiServer);
        let wish = TargetWish { port: Some(PortRef::Number(81)), ..TargetWish::default() };
        assert!(matches!(choose(&service("http:80"), &wish), Err(NotOpenable::NoSuchPort { .. })));
    }

    #[test]
    fn every_spelling_of_one_target_is_served() {
        let service = service("http:80");
        let choice = choose(&service, &TargetWish::default()).unwrap();
        let served = crate::service::served_paths(&[Target::new(&service, &choice, None)]);
        let ids: Vec<&str> = served[0].iter().map(|path| path.split('/').nth(6).unwrap()).collect();
        assert_eq!(ids, ["web:http", "web", "web:80", "http:web:", "http:web:80", "http:web:http"]);
    }

    #[test]
    fn an_exact_spelling_goes_before_a_lenient_one() {
        let service = service("https:443 http:80");
        let target = |port: u16| {
            let wish = TargetWish { port: Some(PortRef::Number(port)), ..TargetWish::default() };
            Target::new(&service, &choose(&service, &wish).unwrap(), None)
        };
        let served = crate::service::served_paths(&[target(443), target(80)]);
        let claims = |index: usize, id: &str| served[index].iter().any(|path| path.contains(&format!("/{id}/proxy/")));
        assert!(
            claims(1, "web") && claims(1, "web:80") && claims(0, "web:443") && claims(0, "https:web:"),
            "{served:?}"
        );
    }
}
