//! A real Kubernetes control plane for the tests: etcd, kube-apiserver, the controllers that make endpoints, and a node that
//! forwards ports. No container engine: a Pod is an object whose status the test writes, and a server on its address.
//!
//! [`isolation::enter`] first, then [`Cluster::start`] once for the whole program.

mod apps;
pub mod isolation;
mod objects;
pub mod programs;
mod users;

use std::fs::{self, File};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

pub use apps::{Nginx, backend_in};
pub use objects::{Api, Namespace, Pod};
pub use programs::Programs;
pub use users::{Login, User};

use crate::{Authority, POLL};

/// Addresses of the parts; all of 10.77.0.0/16 is this network namespace's own.
const API_SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const NODE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const ETCD: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
/// Pods get this address plus 1, 2, 3 and so on.
const FIRST_POD: u32 = u32::from_be_bytes([10, 77, 1, 0]);

/// Addresses that nobody has, in networks that are there: to connect fails with "no route to host" after some seconds.
pub const SILENT: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 79, 0, 2), Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2));
/// Packets to these addresses vanish: to connect takes as long as somebody waits.
pub const VANISHING: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(10, 79, 1, 2), Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2));

/// The only Node.
const NODE_NAME: &str = "node";

/// Longer than any step of a start took on a busy machine with two cores.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// A running control plane. It ends with the program, or when it is dropped.
pub struct Cluster {
    programs: Programs,
    directory: PathBuf,
    authority: Authority,
    api: Api,
    admin: User,
    tokens: users::Tokens,
    pods: AtomicU32,
    namespaces: AtomicU32,
    /// etcd and the API server first.
    processes: Mutex<Vec<Child>>,
}

impl Cluster {
    /// Starts everything, keeping files below `directory`, and returns when the API server is ready.
    pub async fn start(directory: &Path) -> Result<Self, String> {
        let programs = Programs::find()?;
        let authority = Authority::new();
        let tokens = users::Tokens::write(&directory.join("tokens.csv"));
        write_certificates(directory, &authority);
        fs::write(directory.join("audit.yaml"), AUDIT_POLICY).unwrap();
        let mut processes = vec![start_etcd(&programs, directory)?, start_api_server(&programs, directory)?];
        let api = Api::connect(&Self::url(), &authority, users::ADMIN_TOKEN);
        let admin = User::admin(directory, &authority);
        until_ready(&api, &mut processes, directory).await?;
        add_node(&api).await;
        let kubeconfig = admin.kubeconfig("default");
        processes.push(start_controllers(&programs, directory, &kubeconfig)?);
        processes.push(start_node(&programs, directory)?);
        Ok(Self {
            programs,
            directory: directory.to_owned(),
            authority,
            api,
            admin,
            tokens,
            pods: AtomicU32::new(FIRST_POD),
            namespaces: AtomicU32::new(0),
            processes: Mutex::new(processes),
        })
    }

    /// The API server's URL, as kubeconfigs name it.
    pub fn url() -> String {
        format!("https://{API_SERVER}:6443")
    }

    /// The API server's address and port.
    pub fn authority_of_url() -> String {
        format!("{API_SERVER}:6443")
    }

    /// The programs it runs, and kubectl and krew.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Who signed the API server's certificate; signs others for backends.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The API, as the administrator.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The user who may do everything.
    pub fn admin(&self) -> &User {
        &self.admin
    }

    /// A new user without any rights, who logs in with a token.
    pub fn user(&self) -> User {
        self.user_with(Login::Token)
    }

    /// A new user without any rights. Give some with [`Namespace::grant`], [`Namespace::bind`] or [`Cluster::bind`].
    pub fn user_with(&self, login: Login) -> User {
        User::new(&self.directory, &self.authority, self.tokens.next(), login)
    }

    /// Gives `user` a ClusterRole in every namespace.
    pub async fn bind(&self, user: &User, cluster_role: &str) {
        let binding = objects::binding("ClusterRoleBinding", user, "ClusterRole", cluster_role);
        self.api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await;
    }

    /// A new namespace that no other test knows.
    pub async fn namespace(&'static self) -> Namespace {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        let name = format!("test-{number}");
        self.api.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await;
        self.existing_namespace(&name)
    }

    /// A namespace that is there already, such as `default`: shared with every test.
    pub fn existing_namespace(&'static self, name: &str) -> Namespace {
        Namespace::new(self, name)
    }

    /// An address for a Pod that no other test uses. Every server in this program may listen there at once.
    pub fn pod_address(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.pods.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Kills the API server, and with it every connection to it; it comes back with [`Cluster::start_api_server`].
    pub async fn kill_api_server(&self) {
        self.processes.lock().await[1].kill().await.expect("it runs");
    }

    /// Starts the API server again, and returns when it is ready.
    pub async fn start_api_server(&self) {
        let mut processes = self.processes.lock().await;
        processes[1] = start_api_server(&self.programs, &self.directory).unwrap();
        until_ready(&self.api, &mut processes[..2], &self.directory).await.unwrap();
    }

    /// From its next start on the API server knows `user` by `token` alone.
    pub fn replace_token(&self, user: &User, token: &str) {
        users::Tokens::replace(&self.directory.join("tokens.csv"), user.name(), token);
    }

    /// How often `user` has asked the API server about their own rights, as its audit log says.
    pub fn reviews_of(&self, user: &User) -> usize {
        let log = fs::read_to_string(self.directory.join("audit.log")).unwrap();
        let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["user"]["username"] == user.name()).count()
    }

    /// A new empty folder that lives as long as the cluster.
    pub fn scratch(&self) -> PathBuf {
        users::fresh_directory(&self.directory)
    }
}

/// Only who asked about their rights is logged, once it was answered.
const AUDIT_POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources: [{group: authorization.k8s.io, resources: [selfsubjectaccessreviews]}]
- level: None
"#;

fn write_certificates(directory: &Path, authority: &Authority) {
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    let (certificate, key) = authority.server(&[&API_SERVER.to_string(), "kubernetes.default.svc", "localhost"]);
    write("ca.crt", &authority.pem());
    write("apiserver.crt", &certificate);
    write("apiserver.key", &key);
    let (certificate, key) = authority.server(&[&NODE.to_string()]);
    write("node.crt", &certificate);
    write("node.key", &key);
    let (key, public) = users::new_key();
    write("service-account.key", &key);
    write("service-account.pub", &public);
}

fn start_etcd(programs: &Programs, directory: &Path) -> Result<Child, String> {
    let url = format!("http://{ETCD}:2379");
    let peers = format!("http://{ETCD}:2380");
    let mut command = Command::new(programs.path("etcd")?);
    command
        .args(["--unsafe-no-fsync", "--name=etcd", "--log-level=warn"])
        .arg(format!("--data-dir={}", directory.join("etcd").display()))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .arg(format!("--listen-peer-urls={peers}"))
        .arg(format!("--initial-advertise-peer-urls={peers}"))
        .arg(format!("--initial-cluster=etcd={peers}"));
    spawn(command, directory, "etcd")
}

fn start_api_server(programs: &Programs, directory: &Path) -> Result<Child, String> {
    let file = |name: &str| directory.join(name).display().to_string();
    let mut command = Command::new(programs.path("kube-apiserver")?);
    command
        .arg(format!("--etcd-servers=http://{ETCD}:2379"))
        .arg(format!("--bind-address={API_SERVER}"))
        .arg(format!("--advertise-address={API_SERVER}"))
        .args(["--secure-port=6443", "--service-cluster-ip-range=10.78.0.0/16"])
        .arg(format!("--tls-cert-file={}", file("apiserver.crt")))
        .arg(format!("--tls-private-key-file={}", file("apiserver.key")))
        .arg(format!("--cert-dir={}", file("apiserver")))
        .arg(format!("--client-ca-file={}", file("ca.crt")))
        .arg(format!("--token-auth-file={}", file("tokens.csv")))
        .args(["--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount"])
        .args(["--service-account-issuer=https://kubernetes.default.svc"])
        .arg(format!("--service-account-key-file={}", file("service-account.pub")))
        .arg(format!("--service-account-signing-key-file={}", file("service-account.key")))
        .arg(format!("--kubelet-certificate-authority={}", file("ca.crt")))
        .arg("--kubelet-preferred-address-types=InternalIP")
        .arg(format!("--audit-policy-file={}", file("audit.yaml")))
        .arg(format!("--audit-log-path={}", file("audit.log")));
    spawn(command, directory, "kube-apiserver")
}

fn start_controllers(programs: &Programs, directory: &Path, kubeconfig: &Path) -> Result<Child, String> {
    let mut command = Command::new(programs.path("kube-controller-manager")?);
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        // The last one fills the ClusterRoles view, edit and admin.
        .arg(
            "--controllers=endpoints-controller,endpointslice-controller,namespace-controller,\
             garbage-collector-controller,clusterrole-aggregation-controller",
        )
        .args(["--leader-elect=false", "--secure-port=0"])
        // Many tests at once, on nobody else's cluster.
        .args(["--kube-api-qps=1000", "--kube-api-burst=2000"]);
    spawn(command, directory, "kube-controller-manager")
}

fn start_node(programs: &Programs, directory: &Path) -> Result<Child, String> {
    let mut command = Command::new(programs.path("node")?);
    command
        .arg(format!("--listen={NODE}:10250"))
        .arg(format!("--tls-cert-file={}", directory.join("node.crt").display()))
        .arg(format!("--tls-private-key-file={}", directory.join("node.key").display()))
        .arg(format!("--api-server={}", Cluster::url()))
        .arg(format!("--token={}", users::ADMIN_TOKEN));
    spawn(command, directory, "node")
}

fn spawn(mut command: Command, directory: &Path, name: &str) -> Result<Child, String> {
    let log = File::create(log_file(directory, name)).map_err(|error| format!("{name}: {error}"))?;
    let errors = log.try_clone().map_err(|error| format!("{name}: {error}"))?;
    command.stdin(Stdio::null()).stdout(log).stderr(errors).kill_on_drop(true);
    command.spawn().map_err(|error| format!("{name} did not start: {error}"))
}

fn log_file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.log"))
}

async fn until_ready(api: &Api, processes: &mut [Child], directory: &Path) -> Result<(), String> {
    let deadline = Instant::now() + START_DEADLINE;
    while api.text("/readyz").await.is_none() {
        for (process, name) in processes.iter_mut().zip(["etcd", "kube-apiserver"]) {
            if let Ok(Some(status)) = process.try_wait() {
                return Err(format!("{name} ended with {status}:\n{}", last_lines(directory, name)));
            }
        }
        if Instant::now() > deadline {
            return Err(format!("the API server did not become ready:\n{}", last_lines(directory, "kube-apiserver")));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn last_lines(directory: &Path, name: &str) -> String {
    let log = fs::read_to_string(log_file(directory, name)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The slice controller waits for the Node of a Pod, and the API server asks it for the port to forward through.
async fn add_node(api: &Api) {
    api.create("/api/v1/nodes", &json!({"metadata": {"name": NODE_NAME}})).await;
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": NODE.to_string()}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}],
    }});
    api.patch(&format!("/api/v1/nodes/{NODE_NAME}/status"), &status).await;
}
