//! nginx in the API server's place: it knows one Service, and answers what is below its proxy path itself.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

use support::{Authority, Backend, nginx};

/// Where it listens. It has no name, so nobody has to ask whether a gateway routes by name.
pub(crate) const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 6443);
/// Below it are files named after their length, `sink` and `socket`.
pub(crate) const PROXY_PATH: &str = "/api/v1/namespaces/default/services/web:http/proxy/";
/// Where what nginx cannot do itself is done.
const SINK: &str = "127.0.0.1:7001";
const ECHO: u16 = 7002;

/// A running nginx and what is behind it.
pub(crate) struct StandIn {
    folder: PathBuf,
    _nginx: Child,
    _echo: Backend,
}

impl StandIn {
    /// Starts it.
    pub(crate) async fn start(folder: &Path) -> Self {
        let authority = Authority::new();
        let (certificate, key) = authority.server(&["127.0.0.1"]);
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("ca.crt", &authority.pem());
        write("tls.crt", &certificate);
        write("tls.key", &key);
        write("service.json", &service());
        write("kubeconfig", &kubeconfig(folder));
        fs::create_dir(folder.join("files")).unwrap();
        for length in [1 << 10, 100 << 10, 1 << 30] {
            // As long as it says, and empty on the disk.
            let file = fs::File::create(folder.join("files").join(length.to_string())).unwrap();
            file.set_len(length).unwrap();
        }
        tokio::spawn(swallow(TcpListener::bind(SINK).await.unwrap()));
        let echo = Backend::start(std::net::Ipv4Addr::LOCALHOST, ECHO).await;
        let nginx = nginx(folder, &configuration(), ADDRESS).await;
        Self { folder: folder.to_owned(), _nginx: nginx, _echo: echo }
    }

    /// A folder that goes with it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The certificate of its authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// How to reach it as an API server.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }
}

/// Its URL.
pub(crate) fn url() -> String {
    format!("https://{ADDRESS}")
}

fn service() -> String {
    json!({
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"type": "ClusterIP", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    })
    .to_string()
}

fn kubeconfig(folder: &Path) -> String {
    json!({
        "kind": "Config",
        "apiVersion": "v1",
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": {
            "server": url(),
            "certificate-authority": folder.join("ca.crt"),
        }}],
        "users": [{"name": "bench", "user": {"token": "a-token"}}],
    })
    .to_string()
}

fn configuration() -> String {
    format!(
        "sendfile off;
        keepalive_requests 100000000;
        default_type application/octet-stream;
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_request_buffering off;
        server {{
            listen {ADDRESS} ssl;
            ssl_certificate tls.crt;
            ssl_certificate_key tls.key;
            location = /api/v1/namespaces/default/services/web {{ default_type application/json; alias service.json; }}
            location {PROXY_PATH} {{ alias files/; }}
            location {PROXY_PATH}sink {{ proxy_pass http://{SINK}; }}
            location {PROXY_PATH}socket {{
                proxy_pass http://127.0.0.1:{ECHO}/socket;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
            }}
        }}"
    )
}

/// Takes requests with bodies and answers when it has the whole of one.
async fn swallow(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(swallow_one(stream));
    }
}

async fn swallow_one(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut length = 0;
    let end = loop {
        length += stream.read(&mut buffer[length..]).await?;
        if let Some(end) = buffer[..length].windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    let announced = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    let mut rest = announced.parse::<u64>().unwrap() - (length - end) as u64;
    while rest > 0 {
        match stream.read(&mut buffer).await? as u64 {
            0 => return Ok(()),
            read => rest -= read,
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await
}
