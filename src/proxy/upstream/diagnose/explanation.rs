//! A cause in the user's words: what happened, what to look at, with commands that can be pasted.

use std::time::Duration;

use http::StatusCode;

use super::cause::{ApiServerFailure, FailureCause, NoPortForwardReason};
use super::endpoint_facts::EndpointFacts;
use crate::cluster::{CredentialsNotSeen, MissingRight};
use crate::service::{PortRef, ServiceId, Target};

/// How long a page waits before it looks for the first time whether the Service is there.
const PAGE_LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// The same where somebody has to log in or to grant a right first, and each look may start a credential plugin.
const SLOW_LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// What an explanation is about.
pub struct FailingService {
    /// The Service, its port, and what its Pods are spoken to in.
    pub target: Target,
    /// The kubeconfig's context.
    pub context: Option<String>,
    /// URL of the API server.
    pub server: String,
    /// Whether the scheme is not the one that was asked for, since the Pods speak another.
    pub turned: bool,
}

/// How a request went that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayTaken {
    /// Through the service proxy.
    ServiceProxy,
    /// By port-forward.
    PortForward,
    /// By port-forward, since the API server's own packets do not reach the Pods.
    BothInVain,
}

/// An explanation, in plain text.
#[derive(Default)]
pub struct Explanation {
    /// The status of the answer: the API server's own where it answered.
    pub code: StatusCode,
    /// One word for scripts, in the header `svcproxy-error`.
    pub word: &'static str,
    /// What happened, in one line without a final period.
    pub title: String,
    /// Why, in a few sentences; may be empty.
    pub text: String,
    /// What to look at or do.
    pub checks: Vec<SuggestedCheck>,
    /// The API server's or the Pod's own words.
    pub original: Option<String>,
    /// After how long it is worth looking again.
    pub again: Option<Duration>,
}

/// Something to look at or do.
pub struct SuggestedCheck {
    /// In words.
    pub text: String,
    /// A command that does it.
    pub command: Option<String>,
}

impl FailingService {
    /// The subject of a Target of the cluster at `server`.
    pub fn new(target: &Target, context: Option<&str>, server: &str) -> Self {
        Self { target: target.clone(), context: context.map(str::to_owned), server: server.to_owned(), turned: false }
    }

    fn service(&self) -> &str {
        self.target.service()
    }

    /// A kubectl command in the Service's namespace.
    fn kubectl(&self, rest: &str) -> String {
        self.kubectl_anywhere(&format!("-n {} {rest}", self.target.namespace))
    }

    /// A kubectl command in no namespace.
    fn kubectl_anywhere(&self, rest: &str) -> String {
        let context = self.context.as_deref().map(|name| format!(" --context {}", quoted(name))).unwrap_or_default();
        format!("kubectl{context} {rest}")
    }

    /// The way to what is no HTTP: to the same port on this machine, where only root may have one below 1024 to another.
    fn kubectl_port_forward(&self) -> String {
        let number = match (&self.target.port, self.target.id.port()) {
            (Some(port), _) => Some(port.number),
            (None, Some(PortRef::Number(number))) => Some(*number),
            (None, _) => None,
        };
        let ports = match number {
            Some(number @ 1024..) => number.to_string(),
            Some(number) => format!(":{number}"),
            None => ":PORT".to_owned(),
        };
        self.kubectl(&format!("port-forward svc/{} {ports}", self.service()))
    }

    fn get_pods(&self, facts: &EndpointFacts) -> String {
        match &facts.selector {
            Some(selector) if !selector.is_empty() => self.kubectl(&format!("get pods -l {}", quoted(selector))),
            _ => self.kubectl("get pods"),
        }
    }

    fn whose_cluster(&self) -> String {
        match &self.context {
            Some(context) => format!("context {context}, {}", self.server),
            None => self.server.clone(),
        }
    }
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

impl SuggestedCheck {
    fn say(text: impl Into<String>) -> Self {
        Self { text: text.into(), command: None }
    }

    fn run(text: impl Into<String>, command: String) -> Self {
        Self { text: text.into(), command: Some(command) }
    }
}

impl Explanation {
    /// Explains `cause`, which was met on the `way` under the status `code` and said with the words `original`.
    pub fn new(
        cause: &FailureCause,
        code: StatusCode,
        original: &str,
        subject: &FailingService,
        facts: &EndpointFacts,
        way: WayTaken,
    ) -> Self {
        let explanation = explained(cause, original, subject, facts, way);
        let is_said = original.is_empty() || explanation.text == original;
        let original = (!is_said).then(|| original.to_owned());
        Self { code, original, again: look_interval(cause), ..explanation }
    }

    /// What there is to say of a cause, whatever status it was met under.
    fn of(word: &'static str, title: impl Into<String>, text: impl Into<String>, checks: Vec<SuggestedCheck>) -> Self {
        Self { word, title: title.into(), text: text.into(), checks, ..Self::default() }
    }
}

/// After how long the same request may be answered, without anybody's doing in this program; `None` for never.
fn look_interval(cause: &FailureCause) -> Option<Duration> {
    match cause {
        FailureCause::NoEndpoints
        | FailureCause::NoService
        | FailureCause::PodRefuses
        | FailureCause::ApiServer(ApiServerFailure::Unreachable) => Some(PAGE_LOOK_INTERVAL),
        FailureCause::Unauthorized | FailureCause::Forbidden(_) => Some(SLOW_LOOK_INTERVAL),
        _ => None,
    }
}

fn explained(
    cause: &FailureCause,
    original: &str,
    subject: &FailingService,
    facts: &EndpointFacts,
    way: WayTaken,
) -> Explanation {
    match cause {
        FailureCause::NoEndpoints => no_endpoints(subject, facts),
        FailureCause::NoService
        | FailureCause::NoSuchPort
        | FailureCause::InvalidId
        | FailureCause::WrongScheme { .. } => of_target(cause, subject),
        FailureCause::PodUnreachable | FailureCause::NodeUnreachable | FailureCause::PodNotReached => {
            unreachable(cause, subject, facts, way)
        }
        FailureCause::PodRefuses | FailureCause::PodBreaksOff | FailureCause::NotHttp | FailureCause::PodTls => {
            of_pod(cause, subject, facts, way)
        }
        FailureCause::HeadTooLarge | FailureCause::MalformedAnswer(_) => malformed(cause, subject, way),
        FailureCause::UpgradeRefused
        | FailureCause::BadRedirect
        | FailureCause::BadEncoding
        | FailureCause::MethodNotAllowed
        | FailureCause::DryRun => of_service_proxy(cause, subject),
        FailureCause::InsistsOnHttps | FailureCause::RedirectsToItself => of_redirects(cause, subject),
        FailureCause::NotFaithful => {
            Explanation::of("not-faithful", "This request cannot be carried without changing it", original, Vec::new())
        }
        FailureCause::OnlyByPortForward(hindrance) => only_by_port_forward(*hindrance, original, subject),
        FailureCause::Unauthorized | FailureCause::Denied => of_user(cause, subject),
        FailureCause::Forbidden(missing) => forbidden(missing, subject),
        FailureCause::Unseen(unseen) => not_seen(unseen, subject),
        FailureCause::ApiServer(trouble) => of_api_server(*trouble, subject),
        FailureCause::NoPortForward | FailureCause::UpgradeLost => of_gateway(cause, subject),
    }
}

fn malformed(cause: &FailureCause, subject: &FailingService, way: WayTaken) -> Explanation {
    let service = subject.service();
    let by_port_forward = SuggestedCheck::say("port-forward passes it as it is: run again with --via port-forward");
    let by_port_forward = (way == WayTaken::ServiceProxy).then_some(by_port_forward);
    match cause {
        FailureCause::MalformedAnswer(fault) => Explanation::of(
            "malformed-answer",
            format!("{service}'s answer is malformed: {fault}"),
            "Whoever reads it strictly, as the API server does, cannot pass it on. Browsers and curl may put up with it.",
            by_port_forward.into_iter().collect(),
        ),
        _ => Explanation::of(
            "header-too-large",
            format!("The header of {service}'s answer is too large"),
            "More than 1,000 lines or 1 MiB is taken neither here nor by the API server. Often the app sets a cookie for \
             each of many things.",
            vec![SuggestedCheck::say("delete this site's cookies in the browser, and look at what the app sets")],
        ),
    }
}

fn of_redirects(cause: &FailureCause, subject: &FailingService) -> Explanation {
    let service = subject.service();
    let name = SuggestedCheck::say("if it has a name of its own that it leads to, run again with --host-header NAME");
    match cause {
        FailureCause::InsistsOnHttps => Explanation::of(
            "insists-on-https",
            format!("{service} leads every request to https, without end"),
            "It speaks no TLS on this port, the Service has no other port with https that would do, and it goes on although \
             it was told that the browser speaks https (X-Forwarded-Proto and its like).",
            vec![
                SuggestedCheck::run("the Service's ports", subject.kubectl(&format!("get service {service} -o yaml"))),
                SuggestedCheck::say(
                    "whether the app trusts X-Forwarded-Proto: many want to be told which proxies may say it",
                ),
                name,
            ],
        ),
        _ => Explanation::of(
            "redirect-loop",
            format!("{service} leads to the page that was asked for, without end"),
            "It was shown the name that it leads to, one of its Ingresses or HTTPRoutes, and leads there all the same.",
            vec![name],
        ),
    }
}

fn of_gateway(cause: &FailureCause, subject: &FailingService) -> Explanation {
    let cluster = subject.whose_cluster();
    match cause {
        FailureCause::NoPortForward => Explanation::of(
            "no-port-forward",
            "The API server offers no port-forward",
            "It, or something in front of it, takes a port-forward neither over WebSocket nor by SPDY.",
            vec![SuggestedCheck::run("whether kubectl's own port-forward can", subject.kubectl_port_forward())],
        ),
        _ => Explanation::of(
            "upgrade-lost",
            "Something on the way to the API server takes Upgrade out of requests",
            format!(
                "The API server saw a plain request where an upgrade was sent: a gateway between here and it ({cluster}) does not \
                 pass Upgrade and Connection on. Neither WebSockets nor port-forward can pass there."
            ),
            vec![
                SuggestedCheck::say(
                    "whoever runs the gateway can let both pass; nginx: proxy_http_version 1.1; \
                     proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;",
                ),
                SuggestedCheck::say("or go to the API server itself: run again with --server https://ADDRESS:PORT"),
                SuggestedCheck::say("everything else can go by the service proxy, without --via port-forward"),
            ],
        ),
    }
}

fn no_endpoints(subject: &FailingService, facts: &EndpointFacts) -> Explanation {
    let (title, text) = facts.why_none(&subject.target);
    let slices = format!("get endpointslices -l kubernetes.io/service-name={}", subject.service());
    let checks = vec![
        SuggestedCheck::run("the Pods", subject.get_pods(facts)),
        SuggestedCheck::run("the endpoints", subject.kubectl(&slices)),
    ];
    Explanation::of("no-ready-endpoint", title, text, checks)
}

fn of_target(cause: &FailureCause, subject: &FailingService) -> Explanation {
    let (service, Target { namespace, id, scheme, .. }) = (subject.service(), &subject.target);
    let services = SuggestedCheck::run("the Services there", subject.kubectl("get services"));
    match cause {
        FailureCause::NoSuchPort => Explanation::of(
            "no-such-port",
            format!("{service} has no port {}", subject.target.shown_port().unwrap_or_default()),
            "It had one when this program started, or the number is that of a container or node.",
            vec![SuggestedCheck::run("its ports", subject.kubectl(&format!("get service {service}")))],
        ),
        FailureCause::InvalidId => Explanation::of(
            "invalid-service-id",
            format!("The API server cannot read the Service ID {id}"),
            "It is [scheme:]name[:port].",
            vec![services],
        ),
        FailureCause::WrongScheme { right } => Explanation::of(
            "wrong-scheme",
            format!("{service} speaks {right} on this port, not {scheme}"),
            String::new(),
            vec![SuggestedCheck::say(format!("run again with --scheme {right}"))],
        ),
        _ => Explanation::of(
            "no-such-service",
            format!("There is no Service {service} in {namespace}"),
            "It was deleted, or it is of the type ExternalName, which leads out of the cluster.",
            vec![services],
        ),
    }
}

fn unreachable(cause: &FailureCause, subject: &FailingService, facts: &EndpointFacts, way: WayTaken) -> Explanation {
    let service = subject.service();
    let pods = SuggestedCheck::run("the Pods", subject.get_pods(facts));
    match (cause, way) {
        (FailureCause::NodeUnreachable, _) => node_unreachable(subject, pods, way),
        (FailureCause::PodNotReached, WayTaken::ServiceProxy) => Explanation::of(
            "pod-not-reached",
            format!("The API server did not get through to {service}"),
            String::new(),
            vec![pods, by_port_forward()],
        ),
        (FailureCause::PodNotReached, _) => Explanation::of(
            "pod-not-reached",
            format!("No port-forward got through to {service}"),
            String::new(),
            vec![pods],
        ),
        _ => pod_unreachable(subject, pods, way),
    }
}

fn by_port_forward() -> SuggestedCheck {
    SuggestedCheck::say(
        "port-forward takes another way: run again with --via port-forward (it needs a right of its own)",
    )
}

fn node_unreachable(subject: &FailingService, pods: SuggestedCheck, way: WayTaken) -> Explanation {
    let service = subject.service();
    let nodes = SuggestedCheck::run("the nodes", subject.kubectl_anywhere("get nodes -o wide"));
    match way {
        WayTaken::BothInVain => Explanation::of(
            "node-unreachable",
            format!("The API server reaches neither the Pods of {service} nor their node"),
            "Neither the Pod's own address nor the node's kubelet, which would pass a port-forward on, gives an answer: the \
             node may be down, or a firewall or a broken tunnel is between it and the control plane.",
            vec![nodes, pods],
        ),
        WayTaken::ServiceProxy | WayTaken::PortForward => Explanation::of(
            "node-unreachable",
            format!("The API server cannot reach the node of {service}'s Pod"),
            "Connections to the node's kubelet get no answer.",
            vec![nodes],
        ),
    }
}

fn pod_unreachable(subject: &FailingService, pods: SuggestedCheck, way: WayTaken) -> Explanation {
    let service = subject.service();
    let policies = SuggestedCheck::run("NetworkPolicies", subject.kubectl("get networkpolicies"));
    let (title, text, first) = match way {
        WayTaken::ServiceProxy => (
            format!("The API server cannot reach the Pods of {service}"),
            "Its packets to the Pod's address and port get no answer: a firewall between control plane and nodes (usual \
             on private clusters of cloud providers), a NetworkPolicy, or a tunnel to the nodes that is down.",
            by_port_forward(),
        ),
        WayTaken::BothInVain => (
            format!("{service} is reached neither by the API server nor by the node"),
            "Packets to the Pod's address and port get no answer, neither the API server's own nor, by port-forward, those \
             of the Pod's node: the Pod may be gone, its network down, or it listens elsewhere and drops the rest.",
            pods,
        ),
        WayTaken::PortForward => (
            format!("The node cannot reach the Pod of {service}"),
            "Packets to the Pod's port get no answer even from its own node: its network may be down, or it listens \
             elsewhere and drops the rest.",
            pods,
        ),
    };
    Explanation::of("pod-unreachable", title, text, vec![first, policies])
}

fn of_pod(cause: &FailureCause, subject: &FailingService, facts: &EndpointFacts, way: WayTaken) -> Explanation {
    let (service, scheme) = (subject.service(), subject.target.scheme);
    let pods = SuggestedCheck::run("the Pods", subject.get_pods(facts));
    let target_port = SuggestedCheck::run(
        "the Service's targetPort",
        subject.kubectl(&format!("get service {service} -o jsonpath='{{.spec.ports}}'")),
    );
    match cause {
        FailureCause::PodRefuses => pod_refuses(subject, vec![target_port, pods], way),
        FailureCause::NotHttp => Explanation::of(
            "not-http",
            format!("{service} does not speak HTTP on this port"),
            "What it said is no HTTP answer. Databases and message brokers have no web page; their own clients get there by \
             kubectl port-forward.",
            vec![SuggestedCheck::run("the way to it", subject.kubectl_port_forward()), target_port],
        ),
        FailureCause::PodTls => Explanation::of(
            "pod-tls",
            format!("No TLS connection to {service}"),
            "The port speaks TLS but came to no agreement: it may want a client certificate, or the port speaks no TLS \
             at all and waits.",
            vec![SuggestedCheck::say(format!("if it is plain, run again with --scheme {}", scheme.other()))],
        ),
        _ => Explanation::of(
            "connection-closed",
            format!("{service} closed the connection without an answer"),
            format!(
                "The Pod ended or crashed while it answered, the port wants something else than {scheme}, or a service \
                 mesh with strict mutual TLS let nobody in."
            ),
            vec![pods, target_port],
        ),
    }
}

fn pod_refuses(subject: &FailingService, checks: Vec<SuggestedCheck>, way: WayTaken) -> Explanation {
    let text = match way {
        WayTaken::ServiceProxy => {
            "The app is not up yet, listens on another port than the Service's targetPort, or only on the Pod's own \
             loopback address, which --via port-forward reaches."
        }
        WayTaken::PortForward | WayTaken::BothInVain => {
            "The app is not up yet, or listens on another port than the Service's targetPort."
        }
    };
    let title = format!("Nothing listens on the port that {} leads to", subject.service());
    Explanation::of("connection-refused", title, text, checks)
}

fn of_service_proxy(cause: &FailureCause, subject: &FailingService) -> Explanation {
    let service = subject.service();
    let every_answer =
        vec![SuggestedCheck::say("run again with --via port-forward, which passes every answer as it is")];
    let any_request = vec![SuggestedCheck::say("run again with --via port-forward, which carries any request")];
    match cause {
        FailureCause::UpgradeRefused => Explanation::of(
            "websocket-refused",
            format!("{service} did not accept the WebSocket"),
            "It answered with a page or a redirect, often to its login, and the API server does not pass that on.",
            every_answer,
        ),
        FailureCause::BadRedirect => Explanation::of(
            "bad-redirect",
            format!("{service} redirects to something that is no URL"),
            "The API server parses each Location and could not parse this one.",
            every_answer,
        ),
        FailureCause::BadEncoding => Explanation::of(
            "bad-encoding",
            format!("The API server could not read {service}'s HTML"),
            "It unpacks HTML to change its links, and knows no other compression than gzip.",
            every_answer,
        ),
        FailureCause::MethodNotAllowed => Explanation::of(
            "method-not-allowed",
            "The API server's service proxy does not carry this method",
            "It carries GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.",
            any_request,
        ),
        _ => Explanation::of(
            "dry-run",
            "The API server took dryRun in the query for its own",
            "A query with dryRun never reaches a Service through the service proxy.",
            any_request,
        ),
    }
}

fn only_by_port_forward(hindrance: NoPortForwardReason, original: &str, subject: &FailingService) -> Explanation {
    let checks = match hindrance {
        NoPortForwardReason::Right => rule("get,create", "pods/portforward", None, None, subject),
        NoPortForwardReason::Flag => vec![SuggestedCheck::say("run again without --via service-proxy")],
    };
    Explanation::of("only-by-port-forward", "The service proxy would change this request", original, checks)
}

fn of_user(cause: &FailureCause, subject: &FailingService) -> Explanation {
    let cluster = subject.whose_cluster();
    match cause {
        FailureCause::Denied => Explanation::of(
            "denied",
            "A policy of the cluster denied the request",
            "An admission webhook or policy said no to proxying.",
            Vec::new(),
        ),
        _ => Explanation::of(
            "unauthorized",
            "The API server no longer accepts your credentials",
            format!(
                "They have expired or were withdrawn ({cluster}), or something on the way there drops them. Log in again; new \
                 credentials are picked up here."
            ),
            vec![SuggestedCheck::run("who you are", subject.kubectl("auth whoami"))],
        ),
    }
}

fn forbidden(missing: &MissingRight, subject: &FailingService) -> Explanation {
    let (service, Target { namespace, id, scheme, .. }) = (subject.service(), &subject.target);
    let MissingRight { user, verb, resource } = missing;
    if missing.is_impersonation() {
        let text = format!("{user} lacks the verb {verb} on {resource}, which acting as somebody else takes.");
        let way_out = "run again without --as, or ask for a role with the verb impersonate on the user";
        return Explanation::of(
            "forbidden",
            "You may not act as somebody else",
            text,
            vec![SuggestedCheck::say(way_out)],
        );
    }
    let verb = if verb.is_empty() { "*" } else { verb };
    let title = match resource.as_str() {
        "services/proxy" => format!("You may not open {service} through the API server"),
        _ => format!("You may not {verb} {resource}"),
    };
    let lacks = format!("{user} lacks the verb {verb} on {resource} in {namespace}. An administrator can grant it:");
    let text = match resource.as_str() {
        "services/proxy" if subject.turned => format!(
            "{service} speaks {scheme} on this port, not {}, and {id} takes a right of its own. {lacks}",
            scheme.other()
        ),
        _ => lacks,
    };
    let rule = match resource.as_str() {
        "services/proxy" if verb == "*" => rule("'*'", resource, Some(id), Some(user), subject),
        "services/proxy" => {
            let mut checks = rule("get,create,update,patch,delete", resource, Some(id), Some(user), subject);
            checks.push(SuggestedCheck::say("or, to go by port-forward, which reaches any Pod there:"));
            checks.extend(rule("get,create", "pods/portforward", None, Some(user), subject));
            checks
        }
        "pods/portforward" => rule("get,create", resource, None, Some(user), subject),
        _ => Vec::new(),
    };
    Explanation::of("forbidden", title, text, rule)
}

fn not_seen(unseen: &CredentialsNotSeen, subject: &FailingService) -> Explanation {
    let cluster = subject.whose_cluster();
    let (word, title) = match unseen {
        CredentialsNotSeen::Header | CredentialsNotSeen::Certificate => {
            ("credentials-unseen", "The API server did not see your credentials".to_owned())
        }
        CredentialsNotSeen::Impersonation { as_user, .. } => {
            ("impersonation-unseen", format!("The API server did not see that you act as {as_user}"))
        }
        CredentialsNotSeen::NoneSent { .. } => ("credentials-missing", "No credentials were sent".to_owned()),
    };
    let text = format!("No right is missing: {unseen} ({cluster}). The reason: {}.", unseen.why());
    Explanation::of(
        word,
        title,
        text,
        vec![SuggestedCheck::run("whom it takes you for", subject.kubectl("auth whoami"))],
    )
}

/// Commands that grant `verbs` on `resource`. A role for one Service must name the literal ID: RBAC compares
/// `resourceNames` with the text in the path.
fn rule(
    verbs: &str,
    resource: &str,
    id: Option<&ServiceId>,
    user: Option<&str>,
    subject: &FailingService,
) -> Vec<SuggestedCheck> {
    // Both may be made, one after the other.
    let way = if resource == "pods/portforward" { "-port-forward" } else { "" };
    let role = format!("svcproxy-{}{way}", subject.service());
    let only = id.map(|id| format!(" --resource-name={id}")).unwrap_or_default();
    let (user, quoted_user) = user.map_or(("USER", "USER".to_owned()), |user| (user, quoted(user)));
    // An administrator's contexts are not the user's.
    let kubectl = format!("kubectl -n {}", subject.target.namespace);
    let create = format!("{kubectl} create role {role} --verb={verbs} --resource={resource}{only}");
    let bind = format!("{kubectl} create rolebinding {role} --role={role} --user={quoted_user}");
    vec![SuggestedCheck::run("a role", create), SuggestedCheck::run(format!("and bind it to {user}"), bind)]
}

fn of_api_server(trouble: ApiServerFailure, subject: &FailingService) -> Explanation {
    let cluster = subject.whose_cluster();
    match trouble {
        ApiServerFailure::Unreachable => Explanation::of(
            "api-server-unreachable",
            "No connection to the API server",
            format!("Nothing can be asked of {cluster}. The network, a VPN or the API server itself is down."),
            vec![SuggestedCheck::run("the same with kubectl", subject.kubectl("version"))],
        ),
        ApiServerFailure::Credentials => Explanation::of(
            "no-credentials",
            "No credentials for the API server",
            format!("What the kubeconfig says about them for {cluster} did not work."),
            vec![SuggestedCheck::run("the same with kubectl", subject.kubectl("auth whoami"))],
        ),
        ApiServerFailure::Lost => Explanation::of(
            "connection-lost",
            "The connection to the API server was lost",
            "The network of this machine has changed, or the API server did not answer any more. The request may or may \
             not have had its effect, so it is not sent again by itself.",
            vec![SuggestedCheck::run("whether it answers again", subject.kubectl("version"))],
        ),
        ApiServerFailure::BrokeOff => Explanation::of(
            "broke-off",
            "The connection broke before the answer came",
            "The request may or may not have had its effect, so it was not sent a second time.",
            Vec::new(),
        ),
    }
}
