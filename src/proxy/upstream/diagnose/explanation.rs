//! A cause in the user's words: what happened, what to look at, with commands that can be pasted.

use std::time::Duration;

use http::StatusCode;

use super::cause::{ApiServerFailure, FailureCause, NoPortForwardReason};
use super::endpoint_facts::EndpointFacts;
use crate::cluster::{CredentialsNotSeen, MissingRight};
use crate::service::{Scheme, Target};

/// How long a page waits before it looks again whether the Service is there.
const PAGE_REFRESH_INTERVAL: Duration = Duration::from_secs(2);

/// What an explanation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailingService {
    /// The Service's name.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// The literal ID in the proxy path.
    pub id: String,
    /// The Service port as people write it; empty when it is not known.
    pub port: String,
    /// What the port is called or numbered in the Pods, where the Service says so.
    pub target_port: Option<String>,
    /// What the Pods are spoken to in.
    pub scheme: Scheme,
    /// Whether that is not the scheme that was asked for, since the Pods speak another.
    pub turned: bool,
    /// The kubeconfig's context.
    pub context: Option<String>,
    /// URL of the API server.
    pub server: String,
}

/// An explanation, in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestedCheck {
    /// In words.
    pub text: String,
    /// A command that does it.
    pub command: Option<String>,
}

impl FailingService {
    /// The subject of a Target of the cluster at `server`.
    pub fn new(target: &Target, context: Option<&str>, server: &str) -> Self {
        let port = target.port.as_ref().map(|port| match &port.name {
            Some(name) => format!("{name} ({})", port.number),
            None => port.number.to_string(),
        });
        Self {
            service: target.service().to_owned(),
            namespace: target.namespace.clone(),
            id: target.id.to_string(),
            port: port.or_else(|| target.id.port().map(ToString::to_string)).unwrap_or_default(),
            target_port: target.port.as_ref().and_then(|port| port.target_port.as_ref()).map(ToString::to_string),
            scheme: target.scheme,
            turned: false,
            context: context.map(str::to_owned),
            server: server.to_owned(),
        }
    }

    /// The same, for when the Pods turned out to speak another scheme than was asked for.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { turned: true, ..self }
    }

    /// A kubectl command in the Service's namespace.
    fn kubectl(&self, rest: &str) -> String {
        let context = self.context.as_deref().map(|name| format!(" --context {}", quoted(name))).unwrap_or_default();
        format!("kubectl{context} -n {} {rest}", self.namespace)
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

/// What is said of a cause before status and original words are added.
struct CauseWords {
    word: &'static str,
    title: String,
    text: String,
    checks: Vec<SuggestedCheck>,
    again: Option<Duration>,
}

impl CauseWords {
    fn new(word: &'static str, title: impl Into<String>, text: impl Into<String>, checks: Vec<SuggestedCheck>) -> Self {
        Self { word, title: title.into(), text: text.into(), checks, again: None }
    }

    fn again(mut self) -> Self {
        self.again = Some(PAGE_REFRESH_INTERVAL);
        self
    }
}

impl Explanation {
    /// Explains `cause`, which was met under the status `code` and said with the words `original`.
    pub fn new(
        cause: &FailureCause,
        code: StatusCode,
        original: &str,
        subject: &FailingService,
        facts: &EndpointFacts,
    ) -> Self {
        let words = words(cause, original, subject, facts);
        let is_said = original.is_empty() || words.text == original;
        Self {
            code,
            word: words.word,
            title: words.title,
            text: words.text,
            checks: words.checks,
            original: (!is_said).then(|| original.to_owned()),
            again: words.again,
        }
    }
}

fn words(cause: &FailureCause, original: &str, subject: &FailingService, facts: &EndpointFacts) -> CauseWords {
    match cause {
        FailureCause::NoEndpoints => no_endpoints(subject, facts),
        FailureCause::NoService | FailureCause::NoSuchPort | FailureCause::InvalidId => of_service(cause, subject),
        FailureCause::PodUnreachable | FailureCause::NodeUnreachable | FailureCause::PodNotReached => {
            unreachable(cause, subject, facts)
        }
        FailureCause::PodRefuses | FailureCause::PodBreaksOff | FailureCause::NotHttp => of_pod(cause, subject, facts),
        FailureCause::WrongScheme { .. } | FailureCause::PodTls => of_tls(cause, subject),
        FailureCause::UpgradeRefused | FailureCause::BadRedirect | FailureCause::BadEncoding => {
            of_answer(cause, subject)
        }
        FailureCause::MethodNotAllowed | FailureCause::DryRun | FailureCause::NotFaithful => {
            of_request(cause, original)
        }
        FailureCause::OnlyByPortForward(hindrance) => only_by_port_forward(*hindrance, original, subject),
        FailureCause::Unauthorized | FailureCause::Denied => of_user(cause, subject),
        FailureCause::Forbidden(missing) => forbidden(missing, subject),
        FailureCause::Unseen(unseen) => not_seen(unseen, subject),
        FailureCause::ApiServer(trouble) => of_api_server(*trouble, subject),
        FailureCause::NoPortForward => CauseWords::new(
            "no-port-forward",
            "The API server offers no port-forward",
            "It, or something in front of it, takes a port-forward neither over WebSocket nor by SPDY.",
            vec![SuggestedCheck::run(
                "whether kubectl's own port-forward can",
                subject.kubectl(&format!("port-forward svc/{} 8080:PORT", subject.service)),
            )],
        ),
        FailureCause::UpgradeLost => upgrade_lost(subject),
    }
}

fn upgrade_lost(subject: &FailingService) -> CauseWords {
    let cluster = subject.whose_cluster();
    CauseWords::new(
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
    )
}

fn no_endpoints(subject: &FailingService, facts: &EndpointFacts) -> CauseWords {
    let FailingService { service, namespace, port, .. } = subject;
    let (title, text) = match facts.why_none() {
        NoEndpointReason::Unknown => (format!("{service} has no ready endpoint"), String::new()),
        NoEndpointReason::NoPods => (
            format!("{service} has no Pods"),
            match &facts.selector {
                Some(selector) => format!("No Pod in {namespace} has the labels that the Service selects: {selector}."),
                None => format!("No Pod in {namespace} has the labels that the Service selects."),
            },
        ),
        NoEndpointReason::NoSelector => (
            format!("{service} has no endpoints"),
            "It has no selector, so somebody else must write its endpoints, and nobody did.".to_owned(),
        ),
        NoEndpointReason::NotReady => (format!("No Pod of {service} is ready"), facts.unready_pods()),
        NoEndpointReason::NoSuchPort => (
            format!("No Pod of {service} has the port {port}"),
            match (&facts.port_names()[..], &subject.target_port) {
                ([], Some(name)) => {
                    format!("The Service leads to a port named {name}, and no container of the Pods has one.")
                }
                ([], None) => "Its endpoints have no port at all.".to_owned(),
                (names, _) => format!("Its endpoints have: {}.", names.join(", ")),
            },
        ),
        NoEndpointReason::NotPods => (
            format!("{service} leads to addresses that are no Pods"),
            "The API server proxies only to Pods of the same namespace.".to_owned(),
        ),
        NoEndpointReason::ReadyNow => (format!("{service} is ready now"), "It was not a moment ago.".to_owned()),
    };
    let checks = vec![
        SuggestedCheck::run("the Pods", subject.get_pods(facts)),
        SuggestedCheck::run(
            "the endpoints",
            subject.kubectl(&format!("get endpointslices -l kubernetes.io/service-name={service}")),
        ),
    ];
    CauseWords::new("no-ready-endpoint", title, text, checks).again()
}

/// Why a Service has no endpoint to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEndpointReason {
    /// Not allowed to look.
    Unknown,
    /// The selector matches nothing.
    NoPods,
    /// No selector, no endpoints.
    NoSelector,
    /// Pods, but none ready.
    NotReady,
    /// Ready Pods, but no such port.
    NoSuchPort,
    /// Ready addresses without a Pod.
    NotPods,
    /// There is one by now.
    ReadyNow,
}

fn of_service(cause: &FailureCause, subject: &FailingService) -> CauseWords {
    let FailingService { service, namespace, id, port, .. } = subject;
    let services = SuggestedCheck::run("the Services there", subject.kubectl("get services"));
    match cause {
        FailureCause::NoSuchPort => CauseWords::new(
            "no-such-port",
            format!("{service} has no port {port}"),
            "It had one when this program started, or the number is that of a container or node.",
            vec![SuggestedCheck::run("its ports", subject.kubectl(&format!("get service {service}")))],
        ),
        FailureCause::InvalidId => CauseWords::new(
            "invalid-service-id",
            format!("The API server cannot read the Service ID {id}"),
            "It is [scheme:]name[:port].",
            vec![services],
        ),
        _ => CauseWords::new(
            "no-such-service",
            format!("There is no Service {service} in {namespace}"),
            "It was deleted, or it is of the type ExternalName, which leads out of the cluster.",
            vec![services],
        )
        .again(),
    }
}

fn unreachable(cause: &FailureCause, subject: &FailingService, facts: &EndpointFacts) -> CauseWords {
    let FailingService { service, .. } = subject;
    let by_port_forward = SuggestedCheck::say(
        "port-forward takes another way: run again with --via port-forward (it needs a right of its own)",
    );
    match cause {
        FailureCause::NodeUnreachable => CauseWords::new(
            "node-unreachable",
            format!("The API server cannot reach the node of {service}'s Pod"),
            "Connections to the node's kubelet get no answer.",
            vec![SuggestedCheck::run("the nodes", "kubectl get nodes -o wide".to_owned())],
        ),
        FailureCause::PodNotReached => CauseWords::new(
            "pod-not-reached",
            format!("The API server did not get through to {service}"),
            String::new(),
            vec![SuggestedCheck::run("the Pods", subject.get_pods(facts)), by_port_forward],
        ),
        _ => CauseWords::new(
            "pod-unreachable",
            format!("The API server cannot reach the Pods of {service}"),
            "Its packets to the Pod's address and port get no answer: a firewall between control plane and nodes (usual \
             on private clusters of cloud providers), a NetworkPolicy, or a tunnel to the nodes that is down.",
            vec![by_port_forward, SuggestedCheck::run("NetworkPolicies", subject.kubectl("get networkpolicies"))],
        ),
    }
}

fn of_pod(cause: &FailureCause, subject: &FailingService, facts: &EndpointFacts) -> CauseWords {
    let FailingService { service, scheme, .. } = subject;
    let pods = SuggestedCheck::run("the Pods", subject.get_pods(facts));
    let target_port = SuggestedCheck::run(
        "the Service's targetPort",
        subject.kubectl(&format!("get service {service} -o jsonpath='{{.spec.ports}}'")),
    );
    match cause {
        FailureCause::PodRefuses => CauseWords::new(
            "connection-refused",
            format!("Nothing listens on the port that {service} leads to"),
            "The app is not up yet, listens on another port than the Service's targetPort, or only on the Pod's own \
             loopback address, which --via port-forward reaches.",
            vec![target_port, pods],
        )
        .again(),
        FailureCause::NotHttp => CauseWords::new(
            "not-http",
            format!("{service} does not speak HTTP on this port"),
            "What it said is no HTTP answer. Databases and message brokers have no web page.",
            vec![target_port],
        ),
        _ => CauseWords::new(
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

fn of_tls(cause: &FailureCause, subject: &FailingService) -> CauseWords {
    let FailingService { service, scheme, .. } = subject;
    match cause {
        FailureCause::WrongScheme { right } => CauseWords::new(
            "wrong-scheme",
            format!("{service} speaks {right} on this port, not {scheme}"),
            String::new(),
            vec![SuggestedCheck::say(format!("run again with --scheme {right}"))],
        ),
        _ => CauseWords::new(
            "pod-tls",
            format!("No TLS connection to {service}"),
            "The port speaks TLS but came to no agreement: it may want a client certificate, or the port speaks no TLS \
             at all and waits.",
            vec![SuggestedCheck::say(format!("if it is plain, run again with --scheme {}", scheme.other()))],
        ),
    }
}

fn of_answer(cause: &FailureCause, subject: &FailingService) -> CauseWords {
    let FailingService { service, .. } = subject;
    let way_out = vec![SuggestedCheck::say("run again with --via port-forward, which passes every answer as it is")];
    match cause {
        FailureCause::UpgradeRefused => CauseWords::new(
            "websocket-refused",
            format!("{service} did not accept the WebSocket"),
            "It answered with a page or a redirect, often to its login, and the API server does not pass that on.",
            way_out,
        ),
        FailureCause::BadRedirect => CauseWords::new(
            "bad-redirect",
            format!("{service} redirects to something that is no URL"),
            "The API server parses each Location and could not parse this one.",
            way_out,
        ),
        _ => CauseWords::new(
            "bad-encoding",
            format!("The API server could not read {service}'s HTML"),
            "It unpacks HTML to change its links, and knows no other compression than gzip.",
            way_out,
        ),
    }
}

fn of_request(cause: &FailureCause, original: &str) -> CauseWords {
    let way_out = vec![SuggestedCheck::say("run again with --via port-forward, which carries any request")];
    match cause {
        FailureCause::MethodNotAllowed => CauseWords::new(
            "method-not-allowed",
            "The API server's service proxy does not carry this method",
            "It carries GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.",
            way_out,
        ),
        FailureCause::DryRun => CauseWords::new(
            "dry-run",
            "The API server took dryRun in the query for its own",
            "A query with dryRun never reaches a Service through the service proxy.",
            way_out,
        ),
        _ => {
            CauseWords::new("not-faithful", "This request cannot be carried without changing it", original, Vec::new())
        }
    }
}

fn only_by_port_forward(hindrance: NoPortForwardReason, original: &str, subject: &FailingService) -> CauseWords {
    let checks = match hindrance {
        NoPortForwardReason::Right => rule("get,create", "pods/portforward", None, None, subject),
        NoPortForwardReason::Flag => vec![SuggestedCheck::say("run again without --via service-proxy")],
    };
    CauseWords::new("only-by-port-forward", "The service proxy would change this request", original, checks)
}

fn of_user(cause: &FailureCause, subject: &FailingService) -> CauseWords {
    let cluster = subject.whose_cluster();
    match cause {
        FailureCause::Denied => CauseWords::new(
            "denied",
            "A policy of the cluster denied the request",
            "An admission webhook or policy said no to proxying.",
            Vec::new(),
        ),
        _ => CauseWords::new(
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

fn forbidden(missing: &MissingRight, subject: &FailingService) -> CauseWords {
    let FailingService { service, namespace, id, scheme, turned, .. } = subject;
    let MissingRight { user, verb, resource } = missing;
    if missing.is_impersonation() {
        let text = format!("{user} lacks the verb {verb} on {resource}, which acting as somebody else takes.");
        let way_out = "run again without --as, or ask for a role with the verb impersonate on the user";
        return CauseWords::new(
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
        "services/proxy" if *turned => format!(
            "{service} speaks {scheme} on this port, not {}, and {id} takes a right of its own. {lacks}",
            scheme.other()
        ),
        _ => lacks,
    };
    let rule = match resource.as_str() {
        "services/proxy" if verb == "*" => rule("'*'", resource, Some(id), Some(user), subject),
        "services/proxy" => rule("get,create,update,patch,delete", resource, Some(id), Some(user), subject),
        "pods/portforward" => rule("get,create", resource, None, Some(user), subject),
        _ => Vec::new(),
    };
    CauseWords::new("forbidden", title, text, rule)
}

fn not_seen(unseen: &CredentialsNotSeen, subject: &FailingService) -> CauseWords {
    let cluster = subject.whose_cluster();
    let (word, title) = match unseen {
        CredentialsNotSeen::Header | CredentialsNotSeen::Certificate => {
            ("credentials-unseen", "The API server did not see your credentials".to_owned())
        }
        CredentialsNotSeen::Impersonation { as_user, .. } => {
            ("impersonation-unseen", format!("The API server did not see that you act as {as_user}"))
        }
    };
    let text = format!("No right is missing: {unseen} ({cluster}). The reason: {}.", unseen.why());
    CauseWords::new(
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
    name: Option<&str>,
    user: Option<&str>,
    subject: &FailingService,
) -> Vec<SuggestedCheck> {
    let role = format!("svcproxy-{}", subject.service);
    let only = name.map(|name| format!(" --resource-name={name}")).unwrap_or_default();
    let create = format!("create role {role} --verb={verbs} --resource={resource}{only}");
    let bind = format!("create rolebinding {role} --role={role} --user={}", user.map_or("USER".to_owned(), quoted));
    vec![
        SuggestedCheck::run("a role", subject.kubectl(&create)),
        SuggestedCheck::run("for you", subject.kubectl(&bind)),
    ]
}

fn of_api_server(trouble: ApiServerFailure, subject: &FailingService) -> CauseWords {
    let cluster = subject.whose_cluster();
    match trouble {
        ApiServerFailure::Unreachable => CauseWords::new(
            "api-server-unreachable",
            "No connection to the API server",
            format!("Nothing can be asked of {cluster}. The network, a VPN or the API server itself is down."),
            vec![SuggestedCheck::run("the same with kubectl", subject.kubectl("version"))],
        )
        .again(),
        ApiServerFailure::Credentials => CauseWords::new(
            "no-credentials",
            "No credentials for the API server",
            format!("What the kubeconfig says about them for {cluster} did not work."),
            vec![SuggestedCheck::run("the same with kubectl", subject.kubectl("auth whoami"))],
        ),
        ApiServerFailure::BrokeOff => CauseWords::new(
            "broke-off",
            "The connection broke before the answer came",
            "The request may or may not have had its effect, so it was not sent a second time.",
            Vec::new(),
        ),
    }
}
