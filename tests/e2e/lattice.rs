//! Every set of the rights that matter, beside what the real `kubectl proxy` and `kubectl port-forward` do with them:
//! whatever one of those opens, `kubectl svcproxy` opens, without a flag.

use std::path::Path;
use std::process::Stdio;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::Plugin;
use support::cluster::{Cluster, Namespace, User};
use support::{Backend, Running, eventually, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![whatever_kubectl_opens]
}

/// What each right is, as a part of a Role.
const RIGHTS: [(&str, &str, &str, &[&str]); 6] = [
    ("get Service", "", "services", &["get"]),
    ("list Pods", "", "pods", &["get", "list", "watch"]),
    ("list EndpointSlices", "discovery.k8s.io", "endpointslices", &["list", "watch"]),
    ("get services/proxy", "", "services/proxy", &["get"]),
    ("get pods/portforward", "", "pods/portforward", &["get"]),
    ("create pods/portforward", "", "pods/portforward", &["create"]),
];

/// Users at a time: each starts three programs.
const AT_ONCE: usize = 8;

/// Who opens the Service with one set of rights.
struct Outcome {
    rights: String,
    proxy: bool,
    port_forward: bool,
    /// What `kubectl svcproxy` said, if it did not.
    ours: Result<(), String>,
}

async fn whatever_kubectl_opens(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = Backend::start(cluster.pod_address(), 8080).await;
    namespace.expose("app", backend.ip(), json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    let mut users = Vec::new();
    for set in 0..1_usize << RIGHTS.len() {
        let user = cluster.user();
        namespace.grant(&user, rules(set)).await;
        users.push((set, user));
    }
    until_known(cluster, &namespace, &users[users.len() - 1].1).await;
    let outcomes = stream::iter(users.iter().map(|(set, user)| outcome(cluster, &namespace, *set, user)));
    let outcomes: Vec<Outcome> = outcomes.buffered(AT_ONCE).collect().await;
    let line = |outcome: &Outcome| {
        let word = |opens| if opens { "opens" } else { "-" };
        let [proxy, forward] = [outcome.proxy, outcome.port_forward].map(word);
        format!("{proxy:8} {forward:8} {:8} {}", word(outcome.ours.is_ok()), outcome.rights)
    };
    let table: Vec<String> = outcomes.iter().map(line).collect();
    println!("proxy    forward  ours     rights\n{}", table.join("\n"));
    let missed = |outcome: &&Outcome| (outcome.proxy || outcome.port_forward) && outcome.ours.is_err();
    let missed: Vec<&str> =
        outcomes.iter().filter(missed).filter_map(|outcome| outcome.ours.as_ref().err()).map(String::as_str).collect();
    assert!(missed.is_empty(), "{}\n{}", table.join("\n"), missed.join("\n"));
    assert!(outcomes.iter().any(|outcome| outcome.proxy) && outcomes.iter().any(|outcome| outcome.port_forward));
}

fn rights_of(
    set: usize,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str, &'static [&'static str])> {
    RIGHTS.iter().enumerate().filter(move |(number, _)| set >> number & 1 == 1).map(|(_, right)| right)
}

fn rules(set: usize) -> Value {
    let rule = |(_, group, resource, verbs): &(&str, &str, &str, &[&str])| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    // A Role has to have a rule.
    let nothing = json!({"apiGroups": [""], "resources": ["limitranges"], "verbs": ["list"]});
    Value::Array(rights_of(set).map(rule).chain([nothing]).collect())
}

/// Waits until the API server has heard of the rights of `last`, who got them last.
async fn until_known(cluster: &'static Cluster, namespace: &Namespace, last: &User) {
    let attributes = json!({"namespace": namespace.name(), "verb": "list", "resource": "limitranges"});
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": last.name(), "resourceAttributes": attributes},
    });
    eventually("the rights to be known", async || {
        let answer = cluster.api().create("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).await;
        (answer["status"]["allowed"] == true).then_some(())
    })
    .await;
}

async fn outcome(cluster: &'static Cluster, namespace: &Namespace, set: usize, user: &User) -> Outcome {
    let kubeconfig = user.kubeconfig(namespace.name());
    let names: Vec<&str> = rights_of(set).map(|right| right.0).collect();
    let rights = names.join(", ");
    let proxy =
        kubectl(cluster, &kubeconfig, &["proxy", "--port=0"], &format!("{}/", namespace.proxy_path("app:http"))).await;
    let port_forward = kubectl(cluster, &kubeconfig, &["port-forward", "service/app", ":80"], "/").await;
    // Who may not read the Service types its port, as for `kubectl proxy`.
    let typed = if names.contains(&"get Service") { "app" } else { "app:http" };
    let ours = svcproxy(Plugin::new(cluster, &kubeconfig).args([typed])).await;
    Outcome { ours: ours.map_err(|said| format!("{rights}: {said}")), rights, proxy, port_forward }
}

/// Whether `path` is shown by the kubectl command that says on its first line where it listens.
async fn kubectl(cluster: &Cluster, kubeconfig: &Path, command: &[&str], path: &str) -> bool {
    let mut kubectl = Command::new(cluster.programs().path("kubectl").unwrap());
    kubectl.args(command).env("KUBECONFIG", kubeconfig).stdin(Stdio::null());
    let mut running = Running::spawn(kubectl);
    let Some(line) = running.first_line().await else { return false };
    let port: u16 = line
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("{command:?} said {line}"));
    http::get(&format!("http://127.0.0.1:{port}{path}")).await.status.is_success()
}

async fn svcproxy(plugin: Plugin) -> Result<(), String> {
    let mut running = plugin.spawn();
    let Some(line) = running.first_line().await else { return Err(running.stderr()) };
    let ready: Value = serde_json::from_str(&line).unwrap();
    let answer = http::get(ready["proxyUrl"].as_str().unwrap()).await;
    if answer.status.is_success() { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
}
