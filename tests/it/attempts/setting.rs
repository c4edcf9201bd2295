//! What is in the cluster before a run, and who runs it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use super::run::{Route, User};
use crate::harness::Plugin;
use support::fake::users::Rule;
use support::fake::{ADMIN_TOKEN, FakeApiServer};

/// The Service `web`, a Pod at each address, and what else leads to it.
pub(super) fn put_objects(fake: &FakeApiServer, pods: &[SocketAddr], route: Option<Route>) {
    fake.expose("default", "web", json!({"name": "http", "port": 80}), pods[0]);
    for (number, address) in pods.iter().enumerate().skip(1) {
        fake.put(json!({
            "kind": "Pod",
            "metadata": {"namespace": "default", "name": format!("web-{number}"), "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "app"}]},
            "status": {"phase": "Running", "podIP": address.ip(), "ready": true},
        }));
    }
    let object =
        |kind: &str, spec| json!({"kind": kind, "metadata": {"namespace": "default", "name": "web"}, "spec": spec});
    match route {
        None => {}
        Some(Route::Ingress(host)) => {
            let paths = json!([{"backend": {"service": {"name": "web"}}}]);
            fake.put(object("Ingress", json!({"rules": [{"host": host, "http": {"paths": paths}}]})));
        }
        Some(Route::HttpRoute(host)) => {
            let rules = json!([{"backendRefs": [{"name": "web"}]}]);
            fake.put(object("HTTPRoute", json!({"hostnames": [host], "rules": rules})));
        }
    }
}

/// The token of `user`, who may do what is said of them.
pub(super) fn log_in(fake: &FakeApiServer, plugin: &Plugin, user: User) -> String {
    const VERBS: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete"];
    const SEEN: &[&str] = &["services", "endpointslices", "pods", "ingresses", "httproutes"];
    const PROXIED: &[&str] = &["services/proxy"];
    let rule = |verbs, resources| Rule { verbs, resources, names: &[], namespace: None };
    let rules = match user {
        User::Admin => return ADMIN_TOKEN.to_owned(),
        User::Renewable => {
            write_credential(plugin.home(), ADMIN_TOKEN);
            return ADMIN_TOKEN.to_owned();
        }
        User::WithoutPortForward => vec![rule(VERBS, SEEN), rule(&["*"], PROXIED)],
        User::WithoutOptions => vec![rule(VERBS, SEEN), rule(VERBS, PROXIED), rule(VERBS, &["pods/portforward"])],
        User::WithoutProxy => vec![rule(VERBS, SEEN)],
    };
    fake.grant("ann", &rules);
    fake.add_token("ann-token", "ann");
    "ann-token".to_owned()
}

/// What the credential plugin prints from now on.
pub(super) fn write_credential(home: &Path, token: &str) {
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token},
    });
    fs::write(home.join("credential"), credential.to_string()).unwrap();
}

/// The user of the kubeconfig: a token, or a credential plugin that prints what was written for it.
pub(super) fn credential(home: &Path, token: &str, user: User) -> String {
    if user != User::Renewable {
        return format!("token: {token}");
    }
    let file = home.join("credential");
    format!(
        "exec:\n  apiVersion: client.authentication.k8s.io/v1\n  command: cat\n  args: [{}]\n  interactiveMode: Never",
        file.display()
    )
}
