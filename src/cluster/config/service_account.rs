//! The service account of the Pod we run in, in the form of a kubeconfig's entries (client-go `rest.InClusterConfig`).

use kube::config::{AuthInfo, Cluster as ClusterEntry};

use super::inputs::ProcessEnvironment;
use crate::message::host_port::bracketed;

/// The cluster that we are in; `None` outside of one.
pub(crate) fn find(environment: &ProcessEnvironment) -> Option<(ClusterEntry, AuthInfo)> {
    let (host, port) = (environment.service_host.as_ref()?, environment.service_port.as_ref()?);
    let token = environment.service_account.join("token");
    if !token.is_file() {
        return None;
    }
    let authority = environment.service_account.join("ca.crt");
    let cluster = ClusterEntry {
        server: Some(format!("https://{}:{port}", bracketed(host))),
        certificate_authority: authority.is_file().then(|| authority.display().to_string()),
        ..ClusterEntry::default()
    };
    let user = AuthInfo { token_file: Some(token.display().to_string()), ..AuthInfo::default() };
    Some((cluster, user))
}

/// The namespace of the Pod; `None` outside of a cluster.
pub(crate) fn namespace(environment: &ProcessEnvironment) -> Option<String> {
    find(environment)?;
    let of_account = || std::fs::read_to_string(environment.service_account.join("namespace")).ok();
    let namespace = environment.pod_namespace.clone().or_else(of_account)?;
    Some(namespace.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}
