//! Tab, as real kubectl hands it on for every shell: `kubectl __complete svcproxy …`.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::rig::{Finished, Running};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![services_ports_namespaces_and_flags, quick, silent_and_patient_for_two_seconds_at_most]
}

/// A home in which kubectl finds the plugin and the script that it installed itself.
struct Shell {
    kubectl: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
}

impl Shell {
    async fn new(cluster: &Cluster, kubeconfig: PathBuf) -> Self {
        let home = cluster.scratch();
        symlink(env!("CARGO_BIN_EXE_kubectl-svcproxy"), home.join("kubectl-svcproxy")).unwrap();
        let shell = Self { kubectl: cluster.programs().path("kubectl").unwrap(), home, kubeconfig };
        let installed = shell.run(&shell.kubectl, &["svcproxy", "--install-completion"]).await;
        assert_eq!(installed.code(), 0, "{}", installed.stderr);
        shell
    }

    async fn run(&self, program: &Path, arguments: &[&str]) -> Finished {
        let mut command = Command::new(program);
        let path = format!("{}:/usr/bin:/bin", self.home.display());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig);
        command.stdin(Stdio::null());
        Running::spawn(command).end().await
    }

    /// What kubectl tells the shell: candidates without what is said about them, and the directive.
    async fn tab(&self, words: &[&str]) -> Vec<String> {
        let asked = self.run(&self.kubectl, &[&["__complete", "svcproxy"], words].concat()).await;
        assert_eq!(asked.code(), 0, "{}", asked.stderr);
        asked.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    }

    /// The script alone, which must not be heard.
    async fn silently(&self, words: &[&str]) -> (String, Duration) {
        let start = Instant::now();
        let asked = self.run(&self.home.join("kubectl_complete-svcproxy"), words).await;
        assert_eq!((asked.code(), &asked.stderr[..]), (0, ""));
        (asked.stdout, start.elapsed())
    }
}

async fn services_ports_namespaces_and_flags(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    for name in ["grafana", "graphite", "redis"] {
        namespace.service(name, json!([{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}])).await;
    }
    let shell = Shell::new(cluster, cluster.admin().kubeconfig(namespace.name())).await;
    assert_eq!(shell.tab(&["gra"]).await, ["grafana", "graphite", ":4"]);
    assert_eq!(shell.tab(&["grafana", "gra"]).await, ["graphite", ":4"]);
    assert_eq!(shell.tab(&["grafana:"]).await, ["grafana:http", "grafana:metrics", ":4"]);
    assert_eq!(shell.tab(&["grafana:9"]).await, ["grafana:9090", ":4"]);
    assert_eq!(shell.tab(&["https:redis:m"]).await, ["https:redis:metrics", ":4"]);
    assert_eq!(shell.tab(&["-n", "default", "gra"]).await, [":4"]);
    assert_eq!(shell.tab(&["-n", "kube-n"]).await, ["kube-node-lease", ":4"]);
    assert_eq!(shell.tab(&["--context", "t"]).await, ["test", ":4"]);
    assert_eq!(shell.tab(&["--origin", ""]).await, ["localhost", "path", "site", ":4"]);
    assert_eq!(shell.tab(&["--via=s"]).await, ["--via=service-proxy", ":4"]);
    assert_eq!(shell.tab(&["--svc"]).await, ["--svc-port", ":4"]);
    assert_eq!(shell.tab(&["redis", "--svc-port", ""]).await, ["http", "metrics", ":4"]);
    assert_eq!(shell.tab(&["--kubeconfig", ""]).await, [":0"]);
    assert_eq!(shell.tab(&["redis", "--", "cu"]).await, [":0"]);
    let dotted = format!("graphite.{}", namespace.name());
    assert_eq!(shell.tab(&[&dotted]).await, [dotted, ":4".to_owned()]);

    let user = cluster.user();
    namespace.grant(&user, json!([{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}])).await;
    let narrow = Shell::new(cluster, user.kubeconfig(namespace.name())).await;
    assert_eq!(narrow.tab(&["graf"]).await, ["grafana", ":4"]);
    assert_eq!(narrow.tab(&["-n", "test"]).await, [namespace.name(), ":4"]);
}

async fn quick(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("grafana", json!([{"name": "http", "port": 80}])).await;
    let shell = Shell::new(cluster, cluster.admin().kubeconfig(namespace.name())).await;
    let mut times = Vec::new();
    for _ in 0..9 {
        let (text, time) = shell.silently(&["gra"]).await;
        assert_eq!(text, "grafana\tClusterIP http:80\n:4\n");
        times.push(time);
    }
    times.sort();
    println!("Tab: median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
    assert!(times[times.len() / 2] < Duration::from_millis(300), "{times:?}");
}

async fn silent_and_patient_for_two_seconds_at_most(cluster: &'static Cluster) {
    let nobody = Shell::new(cluster, cluster.user().kubeconfig("default")).await;
    assert_eq!(nobody.silently(&["gra"]).await.0, ":4\n");
    assert_eq!(nobody.silently(&["--context", "none", "gra"]).await.0, ":4\n");

    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = format!("--server=https://{}", silent.local_addr().unwrap());
    let (text, time) = nobody.silently(&[&server, "gra"]).await;
    assert_eq!(text, ":4\n");
    assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&time), "{time:?}");

    let refused = Shell { kubeconfig: OsString::from("/nowhere").into(), ..nobody };
    assert_eq!(refused.silently(&["gra"]).await.0, ":4\n");
}
