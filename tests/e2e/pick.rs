//! Picking and listing on a real cluster, through real kubectl, in a real pseudo-terminal.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Plugin, default_port};
use support::cluster::{Cluster, Nginx};
use support::terminal::{USUAL, is_drawn};
use support::{Running, eventually, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        first_use_ends_on_the_app,
        as_much_as_rbac_lets_one_see,
        a_rollout_shows_as_readiness,
        what_cluster_info_shows_and_more,
        five_thousand_services,
    ]
}

/// `kubectl svcproxy`, three letters, Enter.
async fn first_use_ends_on_the_app(cluster: &'static Cluster) {
    let _port = default_port().await;
    let nginx = Nginx::start(cluster).await;
    let namespace = cluster.namespace().await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": Nginx::HTTP}]);
    namespace.expose("welcome", nginx.ip(), ports).await;
    namespace.service("redis", json!([{"port": 6379}])).await;
    namespace.until_endpoints("welcome", 1).await;

    let (browser, opened) = (cluster.scratch().join("browser"), cluster.scratch().join("opened"));
    fs::write(&browser, format!("#!/bin/sh\nprintf %s \"$1\" > {}\n", opened.display())).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let plugin = Plugin::new(cluster, &kubeconfig).plain().env("BROWSER", &browser);
    let mut terminal = plugin.in_terminal(USUAL);
    terminal.until_text("all namespaces").await;
    for letter in ["w", "e", "l"] {
        terminal.press(letter);
    }
    terminal
        .until("the Service", |text| text.contains("> wel") && text.contains("/welcome") && text.contains("1/1"))
        .await;
    terminal.press("\r");
    let url = eventually("the browser", async || fs::read_to_string(&opened).ok().filter(|url| !url.is_empty())).await;
    assert!(http::get(&url).await.text().contains("Welcome to nginx!"));
    terminal.press("\x03");
    assert_eq!(terminal.end().await, 0);
    assert!(terminal.is_given_back());
}

async fn as_much_as_rbac_lets_one_see(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("mine", json!([{"name": "http", "port": 80}])).await;
    let user = cluster.user();
    namespace.bind(&user, "view").await;
    let kubeconfig = user.kubeconfig(namespace.name());
    let place = format!("namespace {}", namespace.name());
    let mut terminal = Plugin::new(cluster, &kubeconfig).in_terminal(USUAL);
    let text = terminal.until("what may be seen", |text| text.contains(&place) && text.contains("/mine")).await;
    assert!(text.contains("you may not list Services in all namespaces"), "{text}");
    terminal.press("\x1b");
    assert_eq!(terminal.end().await, 130);

    let run = Plugin::new(cluster, &kubeconfig).plain().args(["--list", "-A", "-o", "name"]).finish().await;
    assert_eq!((run.code(), &run.stdout[..]), (0, "service/mine\n"));
    assert!(run.stderr.contains(&place), "{}", run.stderr);
}

async fn a_rollout_shows_as_readiness(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.expose("app", cluster.pod_address(), json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    namespace.until_endpoints("app", 1).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let listed = async || {
        let run = Plugin::new(cluster, &kubeconfig).plain().args(["--list", "-o", "json"]).finish().await;
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        let service = &document["services"][0];
        (service["ready"].as_u64().unwrap(), service["endpoints"].as_u64().unwrap())
    };
    assert_eq!(listed().await, (1, 1));
    namespace.set_ready("app-0", false).await;
    eventually("the endpoint to be unready", async || (listed().await == (0, 1)).then_some(())).await;
}

/// What `kubectl cluster-info` prints leads to the same Services; what it leaves out or gets wrong is right here.
async fn what_cluster_info_shows_and_more(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace
        .create(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "dash", "labels": {"kubernetes.io/cluster-service": "true"}},
            "spec": {"ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "web-tls", "port": 8443},
                {"name": "metrics", "port": 9153},
            ]},
        }))
        .await;
    let kubeconfig = cluster.admin().kubeconfig("default");
    let place = ["-n", namespace.name()];
    let run = Plugin::new(cluster, &kubeconfig).plain().args(["--list", "--builtin"]).args(place).finish().await;
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let proxy = |id: &str| format!("http://127.0.0.1:8001{}/", namespace.proxy_path(id));
    for url in [proxy("https:dash:web-tls"), proxy("dash:metrics")] {
        assert!(run.stdout.contains(&url), "{url} is not in\n{}", run.stdout);
    }
    let mut kubectl = Command::new(cluster.programs().path("kubectl").unwrap());
    kubectl.env("KUBECONFIG", &kubeconfig).args(["cluster-info", "-n", namespace.name()]);
    let info = Running::spawn(kubectl).end().await.stdout;
    assert!(info.contains("services/dash:dns/proxy"), "the only link that cluster-info shows is of no use: {info}");
}

/// The first rows come before the list is complete, and a keystroke is not felt.
async fn five_thousand_services(cluster: &'static Cluster) {
    const COUNT: usize = 5_000;
    let namespace = cluster.namespace().await;
    let path = namespace.path("Service");
    let create = |number: usize| {
        // Headless, since addresses are few, and without a selector, since controllers are slow.
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("api-{number:04}")},
            "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]},
        });
        let path = &path;
        async move { drop(cluster.api().create(path, &service).await) }
    };
    stream::iter(0..COUNT).map(create).buffer_unordered(64).collect::<Vec<()>>().await;

    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let start = Instant::now();
    let mut terminal = Plugin::new(cluster, &kubeconfig).args(["-n", namespace.name()]).in_terminal(USUAL);
    terminal.until_text("/api-0000 ").await;
    let first = start.elapsed();
    terminal.until("the whole list", |text| text.contains("5000/5000") && !text.contains("loading")).await;
    let whole = start.elapsed();

    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..5 {
        for typed in ["4", "49", "499"] {
            times.push(terminal.time_to(&typed[typed.len() - 1..], |screen| is_drawn(screen, typed)));
        }
        for typed in ["49", "4", ""] {
            times.push(terminal.time_to("\x7f", |screen| is_drawn(screen, typed)));
        }
    }
    times.sort();
    println!(
        "5000 Services: first rows after {first:?}, all after {whole:?}; a key: median {:?}, worst {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
    terminal.press("4999");
    terminal.until("the best match", |text| text.contains(&format!("> {}/api-4999 ", namespace.name()))).await;
    terminal.press("\x1b");
    assert_eq!(terminal.end().await, 130);

    let run = Plugin::new(cluster, &kubeconfig).plain().args(["--list", "-o", "name"]).finish().await;
    let names: BTreeSet<&str> = run.stdout.lines().collect();
    assert_eq!(names.len(), COUNT);
}
