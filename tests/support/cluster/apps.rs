//! Web applications in Pods.

use std::fs;
use std::net::Ipv4Addr;

use serde_json::json;
use tokio::process::Child;

use super::{Cluster, Namespace};
use crate::{Backend, nginx};

/// A [`Backend`] in a Pod, behind a Service `app` with the port `http` (80).
pub async fn backend_in(cluster: &Cluster, namespace: &Namespace) -> Backend {
    let backend = Backend::start(cluster.pod_address(), 8080).await;
    namespace.expose("app", backend.ip(), json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    backend
}

/// nginx from the distribution's packages, on a Pod address: http on port 8080, https on port 8443. `/` is a static page that
/// says "Welcome to nginx!", `/numbers.txt` holds the numbers from 5 to 999, one a line; what is below `/app/` is answered by a [`Backend`] behind it, unbuffered, WebSockets included.
pub struct Nginx {
    ip: Ipv4Addr,
    backend: Backend,
    _process: Child,
}

impl Nginx {
    /// Its port for http.
    pub const HTTP: u16 = 8080;
    /// Its port for https.
    pub const HTTPS: u16 = 8443;

    /// Starts it on a new Pod address and returns once it listens.
    pub async fn start(cluster: &Cluster) -> Self {
        let ip = cluster.pod_address();
        let backend = Backend::start(cluster.pod_address(), 80).await;
        let directory = cluster.scratch();
        let (certificate, key) = cluster.authority().server(&[&ip.to_string()]);
        fs::write(directory.join("tls.crt"), certificate).unwrap();
        fs::write(directory.join("tls.key"), key).unwrap();
        fs::create_dir(directory.join("html")).unwrap();
        fs::write(directory.join("html/index.html"), PAGE).unwrap();
        let numbers: String = (5..1000).map(|number| format!("{number}\n")).collect();
        fs::write(directory.join("html/numbers.txt"), numbers).unwrap();
        let process = nginx(&directory, &configuration(ip, backend.ip()), (ip, Self::HTTPS).into()).await;
        Self { ip, backend, _process: process }
    }

    /// Its address, which is its Pod's.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// What answers below `/app/`; there `/app` is cut off.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }
}

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head>\n\
    <body><h1>Welcome to nginx!</h1><a href=\"/app/hello\">hello</a></body></html>\n";

fn configuration(ip: Ipv4Addr, backend: Ipv4Addr) -> String {
    format!(
        "types {{ text/html html; }}
        server {{
            listen {ip}:{http};
            listen {ip}:{https} ssl;
            ssl_certificate tls.crt;
            ssl_certificate_key tls.key;
            root html;
            location /app/ {{
                proxy_pass http://{backend}/;
                proxy_http_version 1.1;
                proxy_buffering off;
                proxy_request_buffering off;
                proxy_set_header Host $http_host;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $upstream_connection;
            }}
        }}
        ",
        http = Nginx::HTTP,
        https = Nginx::HTTPS,
    )
}
