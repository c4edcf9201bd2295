//! Users with narrow rights, and every way to log in.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Plugin, assert_shows_nginx, nginx_in, proxy_right};
use support::cluster::{Cluster, Login, User, backend_in};
use support::{eventually, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        one_literal_id_and_one_verb,
        one_namespace_only,
        view_may_look_but_not_open,
        no_rights_at_all,
        no_right_to_find_the_pods,
        create_alone_is_enough_for_port_forward,
        only_what_one_verb_lacks_goes_by_port_forward,
        every_login_opens_nginx,
        a_credential_plugin_runs_once,
        a_withdrawn_token_is_replaced,
        a_withdrawn_token_is_replaced_by_port_forward,
        impersonation_counts,
    ]
}

fn plugin_of(cluster: &Cluster, user: &User, namespace: &str, arguments: &[&str]) -> Plugin {
    Plugin::new(cluster, &user.kubeconfig(namespace)).args(arguments)
}

async fn one_literal_id_and_one_verb(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let user = cluster.user();
    namespace.grant(&user, proxy_right("app:http", &["get"])).await;

    let serving = plugin_of(cluster, &user, namespace.name(), &["app:http"]).serve().await;
    assert_eq!(http::get(&serving.proxy_url()).await.json()["method"], "GET");
    let post = http::send(&serving.proxy_url(), ::http::Request::builder().method("POST")).await;
    assert_forbidden(&post, "create", "app:http");

    assert_no_way_in(plugin_of(cluster, &user, namespace.name(), &["app:80"]), "app:80").await;
    assert_eq!(backend.requests().len(), 1);
}

/// The status stays; the text has the right that is missing, and the command that grants it.
fn assert_forbidden(answer: &http::Answer, verb: &str, id: &str) {
    let text = answer.text();
    assert_eq!((answer.status.as_u16(), answer.header("svcproxy-error")), (403, "forbidden"), "{text}");
    assert!(text.contains(&format!("the verb {verb} on services/proxy")), "{text}");
    assert!(text.contains(&format!("--resource=services/proxy --resource-name={id}")), "{text}");
}

/// It is said at the start, with the rules to ask for, the smaller first.
async fn assert_no_way_in(plugin: Plugin, id: &str) {
    let finished = plugin.finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{}", finished.stderr);
    let said = &finished.stderr;
    assert!(said.contains("you lack services/proxy and pods/portforward"), "{said}");
    let smaller = format!("--verb=get --resource=services/proxy --resource-name={id}, or kubectl");
    assert!(said.contains(&smaller) && said.contains("--verb=create --resource=pods/portforward"), "{said}");
}

async fn one_namespace_only(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let user = cluster.user();
    namespace.bind(&user, "edit").await;
    let serving = plugin_of(cluster, &user, namespace.name(), &["ngi", "--svc-port=80"]).serve().await;
    assert_shows_nginx(&serving.proxy_url()).await;

    let everywhere = plugin_of(cluster, &user, namespace.name(), &["ngi", "-A"]).finish().await;
    assert_eq!((everywhere.code(), everywhere.stdout.as_str()), (1, ""), "{}", everywhere.stderr);
    assert!(everywhere.stderr.contains("you may not list services in all namespaces"), "{}", everywhere.stderr);
}

async fn view_may_look_but_not_open(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let user = cluster.user();
    cluster.bind(&user, "view").await;
    let list = Plugin::new(cluster, &user.kubeconfig(namespace.name())).plain().args(["--list", "-o", "name"]);
    assert_eq!(list.finish().await.stdout, "service/app\n");
    let serving = plugin_of(cluster, &user, namespace.name(), &["app"]).serve().await;
    assert_forbidden(&http::get(&serving.proxy_url()).await, "get", "app:http");
    assert_eq!(backend.requests().len(), 0);
}

async fn no_rights_at_all(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let user = cluster.user();
    assert_no_way_in(plugin_of(cluster, &user, namespace.name(), &["app:http"]), "app:http").await;
}

fn forward_rules(verbs: &[&str]) -> serde_json::Value {
    json!([
        {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": verbs},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ])
}

/// What is given is not asked for.
async fn no_right_to_find_the_pods(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let user = cluster.user();
    let rule = json!([{"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["create"]}]);
    namespace.grant(&user, rule).await;
    let finished = plugin_of(cluster, &user, namespace.name(), &["app:http"]).finish().await;
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{}", finished.stderr);
    let said = &finished.stderr;
    assert!(said.contains("you lack services/proxy and endpointslices"), "{said}");
    assert!(said.contains("--verb=list --resource=endpointslices.discovery.k8s.io"), "{said}");
}

async fn create_alone_is_enough_for_port_forward(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let user = cluster.user();
    namespace.grant(&user, forward_rules(&["create"])).await;
    for via in ["--via=port-forward", "--via=auto"] {
        let serving = plugin_of(cluster, &user, namespace.name(), &["app:http", via]).serve().await;
        let post = http::send(&serving.proxy_url(), ::http::Request::builder().method("POST")).await;
        assert_eq!((post.status.as_u16(), &post.json()["method"]), (200, &json!("POST")), "{via}");
        serving.stop().await;
    }
}

async fn only_what_one_verb_lacks_goes_by_port_forward(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let user = cluster.user();
    let mut rules = forward_rules(&["get", "create"]);
    rules.as_array_mut().unwrap().extend(proxy_right("app:http", &["get"]).as_array().unwrap().clone());
    namespace.grant(&user, rules).await;
    let serving = plugin_of(cluster, &user, namespace.name(), &["app:http"]).serve().await;
    for method in ["POST", "GET", "POST"] {
        let answer = http::send(&serving.proxy_url(), ::http::Request::builder().method(method)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["method"]), (200, &json!(method)));
    }
    serving.until_stderr("you may not send POST through the API server: it goes by port-forward").await;
    serving.stop().await;
    assert_eq!(backend.requests().len(), 3);
}

async fn every_login_opens_nginx(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    for login in [Login::Token, Login::TokenFile, Login::Certificate, Login::Exec] {
        let user = cluster.user_with(login);
        namespace.bind(&user, "edit").await;
        let serving = plugin_of(cluster, &user, namespace.name(), &["nginx:http"]).serve().await;
        assert_shows_nginx(&serving.proxy_url()).await;
        serving.stop().await;
    }
}

async fn a_credential_plugin_runs_once(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let user = cluster.user_with(Login::Exec);
    namespace.bind(&user, "edit").await;
    let serving = plugin_of(cluster, &user, namespace.name(), &["nginx:http"]).serve().await;
    for _ in 0..3 {
        assert_shows_nginx(&serving.proxy_url()).await;
    }
    assert_eq!(user.plugin_runs(), 1);
}

/// The token of a ServiceAccount that is bound to a Pod ends with that Pod, before its time.
async fn a_withdrawn_token_is_replaced(cluster: &'static Cluster) {
    withdrawn(cluster, "--via=service-proxy").await;
}

/// Pods are looked for in lists, which are refused in the form in which they are asked for.
async fn a_withdrawn_token_is_replaced_by_port_forward(cluster: &'static Cluster) {
    withdrawn(cluster, "--via=port-forward").await;
}

async fn withdrawn(cluster: &'static Cluster, via: &str) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let first = bound_token(cluster, namespace.name(), "first").await;
    let user = cluster.user_with(Login::Exec);
    namespace.bind(&user, "edit").await;
    let account = json!([{"kind": "ServiceAccount", "name": "default", "namespace": namespace.name()}]);
    namespace
        .create(json!({
            "kind": "RoleBinding", "metadata": {"name": "account"}, "subjects": account,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        }))
        .await;
    user.set_credential(&first, None);
    let serving = plugin_of(cluster, &user, namespace.name(), &["nginx:http", via]).serve().await;
    assert_shows_nginx(&serving.proxy_url()).await;

    namespace.delete_pod("first").await;
    // The API server remembers for 10 seconds that a token was good.
    eventually("the API server refuses the token", async || {
        let bearer = format!("Authorization: Bearer {first}");
        let output = http::curl(["--insecure", "--header", &bearer, &format!("{}/version", Cluster::url())]).await;
        String::from_utf8_lossy(&output.stdout).contains("Unauthorized").then_some(())
    })
    .await;
    user.set_credential(user.token(), None);
    // A connection into the Pod that was open stays open, and serves one request at a time.
    let url = serving.proxy_url();
    eventually("the token is replaced", async || {
        join_all((0..8).map(|_| assert_shows_nginx(&url))).await;
        (user.plugin_runs() > 1).then_some(())
    })
    .await;
    assert_eq!(user.plugin_runs(), 2);
}

/// A token of the ServiceAccount `default` that is good as long as a new Pod called `pod` is there.
async fn bound_token(cluster: &'static Cluster, namespace: &str, pod: &str) -> String {
    let namespace = cluster.existing_namespace(namespace);
    namespace.create(json!({"kind": "ServiceAccount", "metadata": {"name": "default"}})).await;
    let (labels, ports) = (json!({}), json!([]));
    namespace.pod(support::cluster::Pod { name: pod, ip: cluster.pod_address(), labels, ports, ready: true }).await;
    let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": pod});
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"boundObjectRef": bound, "expirationSeconds": 3600},
    });
    let path = format!("{}/default/token", namespace.path("ServiceAccount"));
    let answer = cluster.api().create(&path, &request).await;
    answer["status"]["token"].as_str().unwrap().to_owned()
}

async fn impersonation_counts(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let user = cluster.user();
    namespace.bind(&user, "view").await;
    let as_user = format!("--as={}", user.name());
    let arguments = ["nginx:http", as_user.as_str()];
    let serving = plugin_of(cluster, cluster.admin(), namespace.name(), &arguments).serve().await;
    assert_forbidden(&http::get(&serving.proxy_url()).await, "get", "nginx:http");
    namespace.grant(&user, proxy_right("nginx:http", &["get"])).await;
    eventually("the right counts", async || {
        (http::get(&serving.proxy_url()).await.status.as_u16() == 200).then_some(())
    })
    .await;
}
