//! What flags, kubeconfig and environment come to.

use std::path::PathBuf;

use secrecy::SecretString;
use tempfile::TempDir;

use super::certificates::Authority;
use super::server::{Server, get, hello};
use crate::cluster::connection_settings::SelectedContext;
use crate::cluster::{Cluster, ConnectFlags, ProcessEnvironment};
use crate::error::{Error, Exit};

struct Folder(TempDir);

impl Folder {
    fn new(kubeconfig: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("config", kubeconfig);
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn flags(&self) -> ConnectFlags {
        ConnectFlags { kubeconfig: Some(self.0.path().join("config")), ..ConnectFlags::default() }
    }
}

const TWO: &str = "
current-context: one
contexts:
- {name: one, context: {cluster: first, user: jane, namespace: web}}
- {name: two, context: {cluster: second}}
- {name: gone, context: {cluster: nowhere, user: nobody}}
- {name: bare, context: {cluster: ''}}
clusters:
- {name: first, cluster: {server: 'https://first.example:6443/prefix/', insecure-skip-tls-verify: true}}
- {name: second, cluster: {server: 'https://second.example', insecure-skip-tls-verify: true}}
users:
- {name: jane, user: {token: t}}
";

async fn load(flags: &ConnectFlags) -> Result<Cluster, Error> {
    Cluster::load(flags, &ProcessEnvironment::default()).await
}

/// context, cluster, user, server, namespace
async fn known(flags: ConnectFlags) -> [String; 5] {
    let cluster = load(&flags).await.unwrap();
    let selected = SelectedContext::read(&flags.without_empty(), &ProcessEnvironment::default()).unwrap();
    [
        cluster.context().unwrap_or("-"),
        &selected.cluster_name,
        &selected.user_name,
        cluster.server(),
        cluster.namespace(),
    ]
    .map(str::to_owned)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn what_is_chosen() {
    let folder = Folder::new(TWO);
    let flags = || folder.flags();
    let first = "https://first.example:6443/prefix";
    assert_eq!(known(flags()).await, ["one", "first", "jane", first, "web"]);
    let two = ConnectFlags { context: some("two"), ..flags() };
    assert_eq!(known(two.clone()).await, ["two", "second", "", "https://second.example", "default"]);
    let typed = ConnectFlags { cluster: some("first"), user: some("jane"), namespace: some("ns"), ..two };
    assert_eq!(known(typed).await, ["two", "first", "jane", first, "ns"]);
    let elsewhere = ConnectFlags { server: some("https://10.0.0.1:1"), ..flags() };
    assert_eq!(known(elsewhere).await, ["one", "first", "jane", "https://10.0.0.1:1", "web"]);
    let empty = ConnectFlags { context: some(""), namespace: some(""), server: some(""), ..flags() };
    assert_eq!(known(empty).await, ["one", "first", "jane", first, "web"]);
}

#[tokio::test]
async fn a_server_alone_is_enough() {
    let flags = ConnectFlags { server: some("http://localhost:8080"), ..ConnectFlags::default() };
    assert_eq!(known(flags).await, ["-", "", "", "http://localhost:8080", "default"]);
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let folder = Folder::new(TWO);
    let flags = || folder.flags();
    let unset = Folder::new(&TWO.replace("current-context: one", ""));
    let cases = [
        (
            ConnectFlags { context: some("ome"), ..flags() },
            r#"the kubeconfig has no context "ome""#,
            "did you mean one?",
        ),
        (
            ConnectFlags { context: some("production"), ..flags() },
            r#"the kubeconfig has no context "production""#,
            "it has one, two, gone, bare",
        ),
        (
            ConnectFlags { cluster: some("x"), ..flags() },
            r#"the kubeconfig has no cluster "x""#,
            "it has first, second",
        ),
        (ConnectFlags { user: some("jan"), ..flags() }, r#"the kubeconfig has no user "jan""#, "did you mean jane?"),
        (
            ConnectFlags { context: some("gone"), ..flags() },
            r#"context "gone" names cluster "nowhere", of which the kubeconfig has no server"#,
            "`kubectl config view` shows what is there; --server URL gives one",
        ),
        (
            ConnectFlags { context: some("bare"), ..flags() },
            r#"context "bare" names no cluster"#,
            "`kubectl config view` shows what is there; --server URL gives one",
        ),
        (
            unset.flags(),
            "the kubeconfig has no current context",
            "choose one with --context NAME or `kubectl config use-context NAME`: one, two, gone, bare",
        ),
        (
            ConnectFlags::default(),
            "there is no kubeconfig, so no cluster is known",
            "get one from whoever runs the cluster, then set KUBECONFIG or give --kubeconfig FILE",
        ),
    ];
    for (flags, message, hint) in cases {
        let error = load(&flags).await.unwrap_err();
        assert_eq!((error.message(), error.hint_text(), error.exit()), (message, Some(hint), Exit::Usage));
    }
    let empty = tempfile::tempdir().unwrap();
    let home = ProcessEnvironment { home: Some(empty.path().to_owned()), ..ProcessEnvironment::default() };
    let error = Cluster::load(&ConnectFlags::default(), &home).await.unwrap_err();
    let default = empty.path().join(".kube").join("config");
    assert_eq!(error.message(), format!("there is no kubeconfig ({}), so no cluster is known", default.display()));
}

#[tokio::test]
async fn an_empty_kubeconfig_is_there() {
    let check = async |text: &str, message: &str, hint: &str| {
        let folder = Folder::new(text);
        let file = folder.write("config", text).display().to_string();
        for flags in [folder.flags(), ConnectFlags::default()] {
            let kubeconfig = Some(file.clone().into());
            let error =
                Cluster::load(&flags, &ProcessEnvironment { kubeconfig, ..ProcessEnvironment::default() }).await;
            let error = error.unwrap_err();
            assert_eq!((error.message().replace(&file, "FILE").as_str(), error.hint_text()), (message, Some(hint)));
        }
    };
    let get_one = "get one from whoever runs the cluster, then set KUBECONFIG or give --kubeconfig FILE";
    check("", "the kubeconfig FILE is empty, so no cluster is known", get_one).await;
    check("apiVersion: v1\nkind: Config\nclusters: ~", "the kubeconfig FILE is empty, so no cluster is known", get_one)
        .await;
    check(
        "clusters: [{name: c, cluster: {server: 'https://c'}}]",
        "the kubeconfig FILE has no context, so it is not known which cluster is meant",
        "choose one with --cluster NAME, and a user with --user NAME; clusters: c",
    )
    .await;
}

#[tokio::test]
async fn what_makes_no_sense_is_said() {
    let folder = Folder::new(TWO);
    let nothing = folder.write("nothing.crt", "no certificate");
    let flags = || folder.flags();
    let cases = [
        (
            ConnectFlags { insecure_skip_tls_verify: true, certificate_authority: Some(nothing.clone()), ..flags() },
            "insecure-skip-tls-verify and a certificate authority exclude each other",
        ),
        (
            ConnectFlags { certificate_authority: Some(nothing.clone()), ..flags() },
            r#"the certificate authority of cluster "first" holds no PEM certificate"#,
        ),
        (
            ConnectFlags { client_certificate: Some(nothing.clone()), ..flags() },
            r#"user "jane" has a client certificate without a key"#,
        ),
        (
            ConnectFlags { client_certificate: Some(nothing.clone()), client_key: Some(nothing), ..flags() },
            r#"the client certificate of user "jane" is not a PEM certificate"#,
        ),
        (
            ConnectFlags { server: some("ftp://x"), ..flags() },
            r#"the API server's address "ftp://x" is not a http or https URL"#,
        ),
        (
            ConnectFlags { as_group: vec!["g".to_owned()], ..flags() },
            "a group, UID or extra can be impersonated only together with a user",
        ),
        (
            ConnectFlags { as_user: some("u"), as_user_extra: vec!["x".to_owned()], ..flags() },
            r#"--as-user-extra "x" is not KEY=VALUE"#,
        ),
        (
            ConnectFlags { token: Some(SecretString::from("hunter\n2")), ..flags() },
            "the token holds characters that no token can have",
        ),
    ];
    for (flags, message) in cases {
        assert_eq!(load(&flags).await.unwrap_err().message(), message);
    }
}

#[tokio::test]
async fn what_is_typed_beats_what_is_written() {
    let server = Server::https(hello).await;
    let user = "{token: written, as: jane, as-groups: [a]}";
    let kubeconfig = server.kubeconfig(user);
    let cases = [
        (ConnectFlags { token: Some("typed".into()), ..kubeconfig.flags() }, "Bearer typed", "jane"),
        (ConnectFlags { as_user: some("joe"), ..kubeconfig.flags() }, "Bearer written", "joe"),
        (kubeconfig.flags(), "Bearer written", "jane"),
    ];
    for (flags, authorization, impersonated) in cases {
        get(load(&flags).await.unwrap().api(), "/").await;
        let seen = server.notes.last();
        assert_eq!(seen.header("authorization"), Some(authorization));
        assert_eq!(seen.header("impersonate-user"), Some(impersonated));
    }
    let basic = server.kubeconfig("{username: me, password: hunter2}");
    get(basic.load().await.api(), "/").await;
    assert_eq!(server.notes.last().header("authorization"), Some("Basic bWU6aHVudGVyMg=="));
    let flags = ConnectFlags { username: some("you"), password: Some("pw".into()), ..server.kubeconfig("{}").flags() };
    let kubeconfig = server.kubeconfig("{}");
    let flags = ConnectFlags { kubeconfig: Some(kubeconfig.path()), ..flags };
    get(load(&flags).await.unwrap().api(), "/").await;
    assert_eq!(server.notes.last().header("authorization"), Some("Basic eW91OnB3"));
}

#[tokio::test]
async fn a_token_beats_a_plugin() {
    let server = Server::https(hello).await;
    let kubeconfig = server
        .kubeconfig("{exec: {apiVersion: client.authentication.k8s.io/v1, command: 'false', interactiveMode: Never}}");
    let flags = ConnectFlags { token: Some("typed".into()), ..kubeconfig.flags() };
    get(load(&flags).await.unwrap().api(), "/").await;
    assert_eq!(server.notes.last().header("authorization"), Some("Bearer typed"));
}

#[tokio::test]
async fn the_servers_name_belongs_to_the_server() {
    let authority = Authority::new("cluster");
    let server = Server::start(hello, Some(authority.server(&["127.0.0.1"]).config()), authority.pem()).await;
    let other = super::server::Kubeconfig::new("https://192.0.2.1', tls-server-name: 'api.example", &server.ca, "{}");
    let flags = ConnectFlags { server: Some(server.url()), ..other.flags() };
    get(load(&flags).await.unwrap().api(), "/").await;
}

#[tokio::test]
async fn inside_a_cluster() {
    let server = Server::https(hello).await;
    let account = tempfile::tempdir().unwrap();
    for (name, text) in [("token", "of-the-pod"), ("ca.crt", &server.ca), ("namespace", "pods\n")] {
        std::fs::write(account.path().join(name), text).unwrap();
    }
    let inside = ProcessEnvironment {
        service_host: some("127.0.0.1"),
        service_port: some(&server.address.port().to_string()),
        service_account: account.path().to_owned(),
        ..ProcessEnvironment::default()
    };
    let cluster = Cluster::load(&ConnectFlags::default(), &inside).await.unwrap();
    assert_eq!((cluster.context(), cluster.namespace(), cluster.server()), (None, "pods", server.url().as_str()));
    get(cluster.api(), "/").await;
    assert_eq!(server.notes.last().header("authorization"), Some("Bearer of-the-pod"));

    let flags = ConnectFlags { token: Some("typed".into()), namespace: some("ns"), ..ConnectFlags::default() };
    let cluster = Cluster::load(&flags, &inside).await.unwrap();
    assert_eq!(cluster.namespace(), "ns");
    get(cluster.api(), "/").await;
    assert_eq!(server.notes.last().header("authorization"), Some("Bearer typed"));

    let kubeconfig = server.kubeconfig("{token: written}");
    let cluster = Cluster::load(&kubeconfig.flags(), &inside).await.unwrap();
    assert_eq!((cluster.context(), cluster.namespace()), (Some("x"), "web"));
}

#[test]
fn the_environment() {
    let variables = |name: &str| match name {
        "KUBECONFIG" => Some("/a:/b".into()),
        "HTTPS_PROXY" => Some("upper".into()),
        "https_proxy" => Some("lower".into()),
        "HTTP_PROXY" => Some("".into()),
        "http_proxy" => Some("lower".into()),
        _ => None,
    };
    let environment = ProcessEnvironment::new(variables, None, false);
    assert_eq!(environment.kubeconfig.unwrap(), "/a:/b");
    assert_eq!(environment.proxies.https.unwrap(), "upper");
    assert_eq!(environment.proxies.http.unwrap(), "lower");
    assert_eq!(environment.proxies.none, None);
}
