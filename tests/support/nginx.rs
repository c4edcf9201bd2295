//! nginx from the distribution's packages.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::eventually;

/// Runs nginx in `folder` until the result is dropped, and returns once it listens on `address`. `http` is what its
/// configuration says of HTTP, with file names in `folder`; bodies may be of any length.
///
/// It is one process in the foreground. Whoever starts it need not be a user that the machine knows, so it stays that one.
pub async fn nginx(folder: &Path, http: &str, address: SocketAddr) -> Child {
    fs::write(folder.join("nginx.conf"), configuration(http)).unwrap();
    let mut process = Command::new("nginx")
        // Debian keeps it out of the PATH of ordinary users.
        .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
        .arg("-p")
        .arg(folder)
        .args(["-c", "nginx.conf", "-e", "error.log"])
        .stdin(Stdio::null())
        .stderr(Stdio::null()) // the same as in error.log
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    eventually("nginx listens", async || {
        let ended = process.try_wait().unwrap();
        assert!(ended.is_none(), "nginx ended: {}", fs::read_to_string(folder.join("error.log")).unwrap());
        TcpStream::connect(address).await.ok()
    })
    .await;
    process
}

fn configuration(http: &str) -> String {
    format!(
        "user root;
        daemon off;
        master_process off;
        pid nginx.pid;
        events {{ worker_connections 1024; }}
        http {{
            access_log off;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            client_max_body_size 0;
            map $http_upgrade $upstream_connection {{ default upgrade; '' ''; }}
            {http}
        }}
        "
    )
}
