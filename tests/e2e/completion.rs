//! Tab, as real kubectl hands it on for every shell: `kubectl __complete svcproxy …`.

use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;

use support::cluster::Cluster;
use support::terminal::Terminal;
use support::{Finished, Running};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        services_ports_namespaces_and_flags,
        at_tab_in_bash,
        at_tab_in_zsh,
        at_tab_in_fish,
        quick,
        silent_and_patient_for_two_seconds_at_most,
    ]
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
    for name in ["tabular", "tabulate", "redis"] {
        namespace.service(name, json!([{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}])).await;
    }
    let shell = Shell::new(cluster, cluster.admin().kubeconfig(namespace.name())).await;
    assert_eq!(shell.tab(&["tabu"]).await, ["tabular", "tabulate", ":4"]);
    assert_eq!(shell.tab(&["tabular", "tabu"]).await, ["tabulate", ":4"]);
    assert_eq!(shell.tab(&["tabular:"]).await, ["tabular:http", "tabular:metrics", ":4"]);
    assert_eq!(shell.tab(&["tabular:9"]).await, ["tabular:9090", ":4"]);
    assert_eq!(shell.tab(&["https:redis:m"]).await, ["https:redis:metrics", ":4"]);
    assert_eq!(shell.tab(&["-n", "default", "tabu"]).await, [":4"]);
    assert_eq!(shell.tab(&["-n", "kube-n"]).await, ["kube-node-lease", ":4"]);
    assert_eq!(shell.tab(&["--context", "t"]).await, ["test", ":4"]);
    assert_eq!(shell.tab(&["--origin", ""]).await, ["localhost", "path", "site", ":4"]);
    assert_eq!(shell.tab(&["--via=s"]).await, ["service-proxy", ":4"]);
    assert_eq!(shell.tab(&["--svc"]).await, ["--svc-port", ":4"]);
    assert_eq!(shell.tab(&["redis", "--svc-port", ""]).await, ["http", "metrics", ":4"]);
    assert_eq!(shell.tab(&["--kubeconfig", ""]).await, [":0"]);
    assert_eq!(shell.tab(&["redis", "--", "cu"]).await, [":0"]);
    let dotted = format!("tabulate.{}", namespace.name());
    assert_eq!(shell.tab(&[&dotted]).await, [dotted, ":4".to_owned()]);

    let elsewhere = cluster.namespace().await;
    for name in ["tabular", "tabulator", "taboo"] {
        elsewhere.service(name, json!([{"name": "http", "port": 80}])).await;
    }
    let dotted = |name: &str| format!("{name}.{}", elsewhere.name());
    // What the own namespace has comes first, and means what is there.
    let all = ["tabular", "tabulate", &dotted("tabulator"), ":4"].map(str::to_owned);
    assert_eq!(shell.tab(&["tabu"]).await, all);
    assert_eq!(shell.tab(&["taboo"]).await, [&dotted("taboo"), ":4"]);
    assert_eq!(shell.tab(&["https:taboo"]).await, [format!("https:{}:", dotted("taboo")), ":6".to_owned()]);
    assert_eq!(shell.tab(&["-n", namespace.name(), "taboo"]).await, [":4"]);
    assert_eq!(shell.tab(&[""]).await, ["redis", "tabular", "tabulate", ":4"]);
    let nowhere = Shell::new(cluster, cluster.admin().kubeconfig("no-such-namespace")).await;
    assert!(nowhere.tab(&[""]).await.contains(&dotted("tabulator")));

    let user = cluster.user();
    namespace.grant(&user, json!([{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}])).await;
    let narrow = Shell::new(cluster, user.kubeconfig(namespace.name())).await;
    assert_eq!(narrow.tab(&["tabular"]).await, ["tabular", ":4"]);
    assert_eq!(narrow.tab(&["-n", "test"]).await, [namespace.name(), ":4"]);
}

/// An interactive shell with kubectl's own completion script, and what its keys do to the line.
struct Line {
    terminal: Terminal,
}

impl Line {
    /// `command` starts the shell, which reads `script` (`$KUBECTL_SCRIPT` is a file with kubectl's) from its own
    /// start-up file.
    async fn start(
        cluster: &Cluster,
        kubeconfig: PathBuf,
        name: &str,
        arguments: &[&str],
        start_up: (&str, &str),
    ) -> Self {
        let shell = Shell::new(cluster, kubeconfig).await;
        symlink(&shell.kubectl, shell.home.join("kubectl")).unwrap();
        let script = shell.run(&shell.kubectl, &["completion", name]).await;
        assert_eq!(script.code(), 0, "{}", script.stderr);
        fs::write(shell.home.join("kubectl-completion"), script.stdout).unwrap();
        let (file, text) = start_up;
        let file = shell.home.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        let mut command = std::process::Command::new(name);
        command
            .args(arguments)
            .env("PATH", format!("{}:/usr/bin:/bin", shell.home.display()))
            .env("HOME", &shell.home)
            .env("KUBECONFIG", &shell.kubeconfig)
            .env("LANG", "C.UTF-8")
            .current_dir(&shell.home);
        let mut line = Self { terminal: Terminal::start(&command, (24, 100)) };
        line.terminal.until("the prompt", |text| text.lines().any(|line| line.starts_with("ready$"))).await;
        line
    }

    /// Types `typed` and Tab after `kubectl svcproxy `, waits until the line has become `completed`, and takes it back.
    /// Shells put a blank after what is complete, which does not show.
    async fn completes(&mut self, typed: &str, completed: &str) {
        let line = format!("ready$ kubectl svcproxy {completed}");
        let start = Instant::now();
        self.terminal.press(&format!("kubectl svcproxy {typed}\t"));
        self.terminal.until(&format!("{typed}: {line}"), |text| text.lines().any(|shown| shown == line)).await;
        println!("{typed} Tab: {:?}", start.elapsed());
        self.clear().await;
    }

    /// Types `typed` and Tab twice, and waits until each of `offered` is on the screen below the line.
    async fn offers(&mut self, typed: &str, offered: &[&str]) {
        self.terminal.press(&format!("kubectl svcproxy {typed}\t\t"));
        self.terminal
            .until(&format!("{typed}: {offered:?}"), |text| {
                let below = text.lines().skip_while(|line| !line.starts_with("ready$")).skip(1);
                let words: Vec<&str> = below.flat_map(str::split_whitespace).collect();
                offered.iter().all(|offer| words.contains(offer))
            })
            .await;
        self.clear().await;
    }

    /// Ctrl-U takes the line back in every shell, Ctrl-L what is on the screen. (Ctrl-C would take Ctrl-L along: a terminal
    /// forgets what was typed when it sends a signal.)
    async fn clear(&mut self) {
        self.terminal.press("\x15\x0c");
        self.terminal.until("an empty line", |text| text.trim() == "ready$").await;
    }
}

/// The same for every shell; the words after a colon are what shells differ in most.
async fn at_tab(cluster: &'static Cluster, name: &str, arguments: &[&str], start_up: (&str, &str), ports: &[&str]) {
    let namespace = cluster.namespace().await;
    namespace.service("nginx", json!([{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}])).await;
    namespace.service("redis", json!([{"name": "redis", "port": 6379}])).await;
    // No other namespace has one of that name.
    let only = format!("only-{name}");
    namespace.service(&only, json!([{"name": "http", "port": 80}])).await;
    let (elsewhere, there) = (cluster.namespace().await, format!("there-for-{name}"));
    elsewhere.service(&there, json!([{"name": "http", "port": 80}])).await;
    let mut line = Line::start(cluster, cluster.admin().kubeconfig(namespace.name()), name, arguments, start_up).await;
    line.completes("ngi", "nginx").await;
    line.completes("nginx:h", "nginx:http").await;
    line.completes("nginx:9", "nginx:9090").await;
    line.completes("redis:", "redis:redis").await;
    line.completes("https:ngi", "https:nginx:").await;
    line.completes("https:nginx:m", "https:nginx:metrics").await;
    line.completes(&format!("{only}.te"), &format!("{only}.{}", namespace.name())).await;
    line.completes(&there[..there.len() - 1], &format!("{there}.{}", elsewhere.name())).await;
    line.completes("-n kube-n", "-n kube-node-lease").await;
    line.completes("--namespace=kube-n", "--namespace=kube-node-lease").await;
    line.completes("--via=s", "--via=service-proxy").await;
    line.completes("--svc", "--svc-port").await;
    line.completes("--context t", "--context test").await;
    line.offers("nginx:", ports).await;
    line.offers("", &["nginx", "redis"]).await;
}

/// bash splits words at colons.
async fn at_tab_in_bash(cluster: &'static Cluster) {
    let start_up = ".bashrc";
    let script = "PS1='ready$ '\n. /usr/share/bash-completion/bash_completion\n. ~/kubectl-completion\n";
    at_tab(cluster, "bash", &["-i"], (start_up, script), &["http", "metrics"]).await;
}

async fn at_tab_in_zsh(cluster: &'static Cluster) {
    let script = "PS1='ready$ '\nunsetopt zle_bracketed_paste 2>/dev/null\nautoload -Uz compinit\ncompinit -D -u\n. ~/kubectl-completion\n";
    at_tab(cluster, "zsh", &["-i"], (".zshrc", script), &["nginx:http", "nginx:metrics"]).await;
}

/// Where that folder is missing, fish reads every manual page of the machine first.
async fn at_tab_in_fish(cluster: &'static Cluster) {
    let script = "mkdir -p $__fish_user_data_dir/generated_completions\n\
                  function fish_prompt; echo -n 'ready$ '; end\nset -g fish_greeting\n\
                  set -g fish_autosuggestion_enabled 0\nsource ~/kubectl-completion\n";
    at_tab(cluster, "fish", &["-i"], (".config/fish/config.fish", script), &["nginx:http", "nginx:metrics"]).await;
}

async fn quick(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("quickly", json!([{"name": "http", "port": 80}])).await;
    let shell = Shell::new(cluster, cluster.admin().kubeconfig(namespace.name())).await;
    let mut times = Vec::new();
    for _ in 0..9 {
        let (text, time) = shell.silently(&["quick"]).await;
        assert_eq!(text, "quickly\tClusterIP http:80\n:4\n");
        times.push(time);
    }
    times.sort();
    println!("Tab: median {:?}, worst {:?}; 300 ms are allowed", times[times.len() / 2], times[times.len() - 1]);
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
