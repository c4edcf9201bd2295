//! An app that runs, as its container in a Pod would.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpStream;

use super::App;
use support::cluster::Cluster;
use support::http;

/// The slowest app takes 6 seconds alone; others may be starting on the same two cores.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// An app's processes and files. Dropped, its processes are killed.
pub(super) struct Instance {
    process: Child,
    ip: Ipv4Addr,
    data: PathBuf,
}

impl Instance {
    /// The port every app is told to listen on.
    pub(super) const PORT: u16 = 8080;

    /// Starts the app with its files in `data`, on a new Pod address, and returns once it answers.
    pub(super) async fn start(cluster: &Cluster, app: &App, data: PathBuf) -> Self {
        use std::os::unix::process::CommandExt as _;

        let ip = cluster.pod_address();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps").join(app.name).join("start");
        let log = fs::File::create(data.join("log")).unwrap();
        let process = Command::new(script)
            .args([ip.to_string(), Self::PORT.to_string()])
            .arg(&data)
            .env("APPS", installed().expect("tests/apps/install has installed the apps"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0) // some apps are several processes
            .spawn()
            .unwrap();
        let mut instance = Self { process, ip, data };
        instance.until_it_answers(app).await;
        instance
    }

    async fn until_it_answers(&mut self, app: &App) {
        let deadline = Instant::now() + START_DEADLINE;
        let ready = self.url() + app.ready.replace("IP", &self.ip.to_string()).trim_start_matches('/');
        while !self.answers(&ready).await {
            let ended = self.process.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.data.join("log")).unwrap_or_default();
                panic!("{} did not start; it said: {log}", app.name);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn answers(&self, url: &str) -> bool {
        if TcpStream::connect((self.ip, Self::PORT)).await.is_err() {
            return false;
        }
        http::get(url).await.status.is_success()
    }

    /// The URL of its `/`.
    pub(super) fn url(&self) -> String {
        format!("http://{}:{}/", self.ip, Self::PORT)
    }

    pub(super) fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// The folder of its files.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Kills it at once and leaves its files.
    pub(super) fn end(self) -> PathBuf {
        self.data.clone()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let group = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).expect("a child has a number");
        let _ = kill_process_group(group, Signal::KILL); // it may have ended by itself
        let _ = self.process.wait();
    }
}

/// Installs the apps where they are not yet: minutes, once. What went wrong is on stderr.
pub(crate) fn install() {
    let _ = installer().stdout(Stdio::null()).status(); // `installed` tells
}

/// Where the apps are, if they are installed.
pub(crate) fn installed() -> Option<&'static Path> {
    static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let printed = installer().arg("--where").stderr(Stdio::null()).output().ok()?;
        printed.status.success().then(|| String::from_utf8_lossy(&printed.stdout).trim().into())
    });
    FOLDER.as_deref()
}

fn installer() -> Command {
    let mut installer = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apps/install"));
    installer.stdin(Stdio::null());
    installer
}
