//! `cargo run --example demo [-- ARGUMENT...]`: the program on a stand-in for a cluster, with a few sample Services.
//!
//! On a terminal it opens the Service `shop` in the browser, or does what the arguments say (`-- --pick`, `-- --list`).
//! Elsewhere it makes one request through the proxy and prints the answer.
#![allow(clippy::unwrap_used, reason = "a demonstration that cannot be set up ends with a panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a person")]

// The program itself, in this executable: an example cannot count on another one being built.
#[path = "../src/main.rs"]
mod program;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{ExitCode, ExitStatus};

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use support::fake::{ADMIN_TOKEN, FakeApiServer};
use support::{Backend, Canned, Running, http};

/// Set for the process that is to be the program rather than the stage around it.
const IS_PROGRAM: &str = "SVCPROXY_DEMO_PROGRAM";
/// What is opened unless the arguments say otherwise.
const SHOWN: &str = "shop";

fn main() -> ExitCode {
    if std::env::var_os(IS_PROGRAM).is_some() {
        return program::main();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(perform(std::env::args_os().skip(1).collect()))
}

async fn perform(arguments: Vec<OsString>) -> ExitCode {
    let stage = Stage::set().await;
    let code = if std::io::stdout().is_terminal() || !arguments.is_empty() {
        show(&stage, arguments).await
    } else {
        show_one_request(&stage).await;
        0
    };
    stage.leave();
    ExitCode::from(code)
}

/// The stand-in, the apps behind it, and a folder with the kubeconfig.
struct Stage {
    fake: FakeApiServer,
    _apps: Vec<Backend>,
    folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let fake = FakeApiServer::start().await;
        let shop = shop().await;
        let plain = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
        let secure = Backend::start_tls(Ipv4Addr::LOCALHOST, 0, fake.authority()).await;
        fake.expose("default", SHOWN, json!({"name": "http", "port": 80}), shop.address());
        fake.expose("default", "echo", json!({"port": 8080}), plain.address());
        fake.expose("default", "vault", json!({"name": "https", "port": 8443}), secure.address());
        fake.service("default", "starting", json!([{"name": "web", "port": 3000}]));
        fake.pod("default", "starting-0", IpAddr::from([127, 0, 0, 1]), false);
        fake.put(json!({
            "kind": "Service", "metadata": {"namespace": "default", "name": "elsewhere"},
            "spec": {"type": "ExternalName", "externalName": "www.example.com"},
        }));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), kubeconfig(&fake)).unwrap();
        Self { fake, _apps: vec![shop, plain, secure], folder }
    }

    fn program(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(IS_PROGRAM, "1").env("KUBECONFIG", self.folder.path().join("config"));
        command.env("XDG_STATE_HOME", self.folder.path());
        command
    }

    /// Whether or not anybody asked it anything.
    fn leave(self) {
        std::mem::forget(self.fake);
    }
}

fn kubeconfig(fake: &FakeApiServer) -> String {
    let authority = data_encoding::BASE64.encode(fake.authority().pem().as_bytes());
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "demo",
        "clusters": [{"name": "demo", "cluster": {"server": fake.url(), "certificate-authority-data": authority}}],
        "users": [{"name": "demo", "user": {"token": ADMIN_TOKEN}}],
        "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "demo", "namespace": "default"}}],
    })
    .to_string()
}

/// An app as they are: absolute paths, a cookie, a WebSocket.
async fn shop() -> Backend {
    let app = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
    let files = [
        ("/", "text/html", include_str!("demo/index.html")),
        ("/static/style.css", "text/css", include_str!("demo/style.css")),
        ("/static/app.js", "text/javascript", include_str!("demo/app.js")),
    ];
    for (path, kind, text) in files {
        let headers = vec![
            ("Content-Type".to_owned(), kind.to_owned()),
            ("Set-Cookie".to_owned(), "session=demo; Path=/; HttpOnly; SameSite=Lax".to_owned()),
        ];
        app.answer(path, Canned { status: 200, headers, body: text.as_bytes().to_vec() });
    }
    app
}

async fn show(stage: &Stage, mut arguments: Vec<OsString>) -> u8 {
    println!("A stand-in for a cluster, with sample Services; yours is not touched. q or Ctrl-C ends it.\n");
    if arguments.is_empty() {
        arguments.push(SHOWN.into());
    }
    let mut child = stage.program().args(arguments).spawn().unwrap();
    loop {
        tokio::select! {
            status = child.wait() => return code(status.unwrap()),
            // Ctrl-C reaches the program too; the stage stays until it has ended.
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

fn code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

async fn show_one_request(stage: &Stage) {
    let mut command = stage.program();
    command.args([SHOWN, "--no-browser", "--port=0", "--output=json"]).stdin(std::process::Stdio::null());
    let served = Running::spawn(command).ready(1).await;
    let url = served.proxy_url();
    let answer = http::get(&url).await;
    println!("GET {url}\n{}\n\n{}", answer.status, answer.text());
    served.stop().await;
}
