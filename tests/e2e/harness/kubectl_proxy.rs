//! `kubectl proxy`, for comparison.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use support::cluster::Cluster;

/// `kubectl proxy` with these `flags`, which writes its log to `log`, and its port.
pub(crate) async fn kubectl_proxy(cluster: &Cluster, kubeconfig: &Path, flags: &[&str], log: Stdio) -> (Child, u16) {
    let mut proxy = Command::new(cluster.programs().path("kubectl").unwrap())
        .args(["proxy", "--port=0"])
        .args(flags)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(proxy.stdout.take().expect("stdout is piped")).lines();
    let line = lines.next_line().await.unwrap().expect("kubectl proxy says where it listens");
    let port = line.rsplit_once(':').and_then(|(_, port)| port.trim().parse().ok());
    (proxy, port.unwrap_or_else(|| panic!("kubectl proxy said: {line}")))
}
