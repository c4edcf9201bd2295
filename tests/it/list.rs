//! `--list` in its formats, as a process prints it.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::harness::{Plugin, web};
use support::fake::FakeApiServer;
use support::fake::faults::Fault;
use support::fake::users::Rule;

fn list(fake: &FakeApiServer, arguments: &[&str]) -> Plugin {
    Plugin::new(fake).plain().args(["--list"]).args(arguments)
}

/// One Service of each kind; `default/web` has a ready Pod.
async fn furnish(fake: &FakeApiServer) -> support::Backend {
    fake.service("monitoring", "grafana", json!([{"name": "service", "port": 80}, {"name": "metrics", "port": 9090}]));
    fake.put(json!({
        "kind": "Service",
        "metadata": {"namespace": "edge", "name": "ingress", "labels": {"app": "ingress"}},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.9",
                 "ports": [{"name": "https", "port": 443, "nodePort": 30443}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"hostname": "lb.example"}]}},
    }));
    fake.put(json!({
        "kind": "Service",
        "metadata": {"namespace": "edge", "name": "outside"},
        "spec": {"type": "ExternalName", "externalName": "db.example"},
    }));
    fake.put(json!({
        "kind": "Service",
        "metadata": {"namespace": "kube-system", "name": "dash",
                     "labels": {"kubernetes.io/cluster-service": "true", "k8s-app": "dash"}},
        "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.8",
                 "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "web", "port": 443}]},
    }));
    web(fake).await
}

#[tokio::test]
async fn one_namespace() {
    let fake = FakeApiServer::start().await;
    let _backend = furnish(&fake).await;
    let table = "NAME   PORT      SCHEME   READY   WITHOUT PROXY   PROXY URL\n\
                 web    http:80   http     1/1     -               http://127.0.0.1:8001/api/v1/namespaces/default/services/web:http/proxy/\n";
    list(&fake, &[]).ends(0, table, "").await;
}

#[tokio::test]
async fn one_service_in_every_spelling() {
    let fake = FakeApiServer::start().await;
    let _backend = furnish(&fake).await;
    for spelling in ["svc/grafana", "grafana:metrics", "https:grafana:"] {
        list(&fake, &["-o", "name", "-n", "monitoring", spelling]).ends(0, "service/grafana\n", "").await;
    }
    let proxy_url = "/api/v1/namespaces/monitoring/services/grafana/proxy/";
    for spelling in ["grafana.monitoring", "monitoring/grafana", "http://grafana.monitoring.svc/", proxy_url] {
        list(&fake, &["-o", "name", spelling]).ends(0, "service/grafana\n", "").await;
    }
}

#[tokio::test]
async fn all_namespaces() {
    let fake = FakeApiServer::start().await;
    let _backend = furnish(&fake).await;
    let run = list(&fake, &["-A"]).finish().await;
    assert_eq!((run.code(), &run.stderr[..]), (0, ""));
    let lines: Vec<Vec<&str>> = run.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let expect = [
        ["default", "web", "http:80", "http", "1/1"],
        ["edge", "ingress", "https:443", "https", "0/0"],
        ["edge", "outside", "-", "-", "-"],
        ["kube-system", "dash", "web:443", "https", "0/0"],
        ["monitoring", "grafana", "service:80", "http", "0/0"],
        ["monitoring", "grafana", "metrics:9090", "http", "0/0"],
    ];
    assert_eq!(lines[0][..2], ["NAMESPACE", "NAME"]);
    for (line, expect) in lines[1..].iter().zip(expect) {
        assert_eq!(line[..5], expect, "{}", run.stdout);
    }
    assert_eq!(lines.len(), expect.len() + 1);
    assert!(run.stdout.contains("(only a name for db.example)"), "{}", run.stdout);
    let direct = "https://203.0.113.7/, https://lb.example/, port 30443 of every node";
    assert!(run.stdout.contains(direct), "{}", run.stdout);
}

#[tokio::test]
async fn what_cluster_info_shows() {
    let fake = FakeApiServer::start().await;
    let _backend = furnish(&fake).await;
    let run = Plugin::new(&fake).plain().args(["--builtin", "-o", "json"]).finish().await;
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["services"].as_array().unwrap().len(), 1);
    let url = "http://127.0.0.1:8001/api/v1/namespaces/kube-system/services/https:dash:web/proxy/";
    assert_eq!(document["services"][0]["ports"][0]["proxyUrl"], url);
    let elsewhere = list(&fake, &["--builtin", "-n", "default"]).finish().await;
    assert_eq!(
        elsewhere.stderr,
        "No Services with labels kubernetes.io/cluster-service=true found in namespace default.\n"
    );
}

#[tokio::test]
async fn machine_readable() {
    let fake = FakeApiServer::start().await;
    let _backend = furnish(&fake).await;
    let json = list(&fake, &["-A", "-o", "json"]).finish().await;
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&document["context"], &document["server"]), (&json!("test"), &json!(fake.url())));
    let names: Vec<&str> =
        document["services"].as_array().unwrap().iter().map(|service| service["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["web", "ingress", "outside", "dash", "grafana"]);
    assert_eq!(document["services"][0]["ready"], 1);
    assert_eq!(document["services"][1]["ports"][0]["nodePort"], 30_443);
    assert_eq!(document["services"][2]["notOpenable"], "only a name for db.example");

    let names = "service/web.default\nservice/ingress.edge\nservice/outside.edge\nservice/dash.kube-system\n\
                 service/grafana.monitoring\n";
    list(&fake, &["-A", "-o", "name"]).ends(0, names, "").await;
    let yaml = list(&fake, &["-n", "monitoring", "-o", "yaml", "-p", "9000"]).finish().await;
    assert!(yaml.stdout.starts_with("context: \"test\"\n"), "{}", yaml.stdout);
    assert!(yaml.stdout.contains("services:\n- namespace: monitoring\n  name: grafana\n"), "{}", yaml.stdout);
    assert!(!yaml.stdout.contains(":8001/"), "the port that was asked for: {}", yaml.stdout);
    let wide = list(&fake, &["-A", "-o", "wide"]).finish().await;
    assert!(wide.stdout.lines().next().unwrap().contains("CLUSTER-IP"), "{}", wide.stdout);
}

#[tokio::test]
async fn selected_and_filtered() {
    let fake = FakeApiServer::start().await;
    let _backend = furnish(&fake).await;
    list(&fake, &["-A", "-o", "name", "-l", "app=ingress"]).ends(0, "service/ingress.edge\n", "").await;
    list(&fake, &["-A", "-o", "name", "gra"]).ends(0, "service/grafana.monitoring\n", "").await;
    let nothing = "No Service of any namespace has \"nothing\" in its name.\n";
    list(&fake, &["-A", "-o", "name", "nothing"]).ends(0, "", nothing).await;
    let near = "No Service in namespace monitoring has \"grafna\" in its name; did you mean grafana?\n";
    list(&fake, &["-n", "monitoring", "grafna"]).ends(0, "", near).await;
}

#[tokio::test]
async fn as_much_as_one_may_see() {
    let fake = FakeApiServer::start().await;
    let _backend = furnish(&fake).await;
    fake.add_token("narrow-token", "narrow");
    let rule =
        |namespace| Rule { verbs: &["list", "get"], resources: &["services"], names: &[], namespace: Some(namespace) };
    fake.grant("narrow", &[rule("default"), rule("monitoring")]);
    let narrow = |arguments: &[&str]| list(&fake, arguments).login(&fake, "token: narrow-token");
    let why = "warning: you may not list Services in all namespaces; these are from namespace default \
               (-n NAMESPACE for another)\n";
    narrow(&["-A", "-o", "name"]).ends(0, "service/web\n", why).await;
    let run = narrow(&[]).finish().await;
    assert!(run.stdout.contains("web    http:80   http     -  "), "{}", run.stdout);
    assert_eq!(run.stderr, "READY is not known: you may not list endpointslices\n");

    // A namespace where something was opened before is looked in too.
    let plugin = narrow(&["-A", "-o", "name"]);
    let history = json!({"version": 1, "targets": [
        {"context": "test", "server": fake.url(), "namespace": "monitoring", "id": "grafana:service", "path": "/"},
        {"context": "test", "server": fake.url(), "namespace": "secret", "id": "x", "path": "/"},
    ]});
    std::fs::create_dir_all(plugin.home().join(".local/state/kubectl-svcproxy")).unwrap();
    plugin.write(".local/state/kubectl-svcproxy/history.json", &history.to_string());
    let why = "warning: you may not list Services in all namespaces; these are from namespaces default, monitoring \
               (-n NAMESPACE for another)\n";
    plugin.ends(0, "service/web.default\nservice/grafana.monitoring\n", why).await;

    fake.add_token("nobody-token", "nobody");
    let nobody = list(&fake, &["-A"]).login(&fake, "token: nobody-token").finish().await;
    assert_eq!(nobody.code(), 1);
    assert!(nobody.stderr.starts_with("error: you may not list services in all namespaces\n"), "{}", nobody.stderr);
}

#[tokio::test]
async fn a_list_that_breaks_off_ends_with_the_reason() {
    let fake = FakeApiServer::start().await;
    let service = |number: usize| {
        json!({"kind": "Service", "metadata": {"namespace": "default", "name": format!("s-{number:04}")},
               "spec": {"type": "ClusterIP", "ports": [{"port": 80}]}})
    };
    fake.put_all((0..700).map(service));
    fake.fault("/services", 1, Fault::Cut(50_000));
    let run = list(&fake, &["-o", "name", "--disable-compression"]).finish().await;
    let lines = run.stdout.lines().count();
    assert!(run.code() == 1 && (100..700).contains(&lines), "{lines}");
    assert!(run.stderr.starts_with("error: the connection to the API server "), "{}", run.stderr);
    let whole = list(&fake, &["-o", "name"]).finish().await;
    assert_eq!((whole.code(), whole.stdout.lines().count()), (0, 700));
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_error() {
    let fake = FakeApiServer::start().await;
    let service = |number: usize| {
        json!({"kind": "Service", "metadata": {"namespace": "default", "name": format!("s-{number:04}")},
               "spec": {"type": "ClusterIP", "ports": [{"port": 80}]}})
    };
    fake.put_all((0..3_000).map(service));
    let mut plugin = list(&fake, &[]);
    let mut child = plugin.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().starts_with("NAME "));
    drop(lines);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
