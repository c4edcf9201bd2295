//! nginx between users and the API server, as clusters have gateways and load balancers there.

use std::fs;
use std::net::Ipv4Addr;

use tokio::process::Child;

use support::cluster::Cluster;
use support::nginx;

/// An nginx that passes everything on to the API server, whole and at once. It does not pass `Upgrade` on unless told to.
pub(crate) struct Gateway {
    ip: Ipv4Addr,
    _process: Child,
}

/// What lets upgrades pass.
pub(crate) const UPGRADES: &str =
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upstream_connection;";

impl Gateway {
    /// `locations` are paths as nginx writes them, and further directives for each.
    pub(crate) async fn start(cluster: &Cluster, locations: &[(&str, &str)]) -> Self {
        let ip = cluster.pod_address();
        let folder = cluster.scratch();
        let (certificate, key) = cluster.authority().server(&[&ip.to_string()]);
        fs::write(folder.join("tls.crt"), certificate).unwrap();
        fs::write(folder.join("tls.key"), key).unwrap();
        let process = nginx(&folder, &configuration(ip, locations), (ip, 443).into()).await;
        Self { ip, _process: process }
    }

    /// The flag that leads through it.
    pub(crate) fn flag(&self) -> String {
        format!("--server={}", self.url())
    }

    /// What it is called in a kubeconfig.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.ip)
    }
}

fn configuration(ip: Ipv4Addr, locations: &[(&str, &str)]) -> String {
    let location = |(path, directives): &(&str, &str)| {
        format!(
            "location {path} {{
                proxy_pass {server};
                proxy_http_version 1.1;
                proxy_buffering off;
                proxy_request_buffering off;
                proxy_set_header Host $http_host;
                {directives}
            }}
            ",
            server = Cluster::url(),
        )
    };
    let locations: String = locations.iter().map(location).collect();
    format!(
        "server {{
            listen {ip}:443 ssl;
            ssl_certificate tls.crt;
            ssl_certificate_key tls.key;
            {locations}
        }}"
    )
}
