//! What goes wrong on the user's own machine: a full disk, a clock that jumps.

use std::fs;
use std::path::{Path, PathBuf};

use ::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use tokio::process::Command;

use crate::harness::{Plugin, plugin};
use crate::local_https::trusting_home;
use support::cluster::{Cluster, Login, backend_in};
use support::{http, pattern};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![a_full_disk, a_clock_that_jumps]
}

/// What is served does not need it, what was remembered is not lost, and a key is not left in halves.
async fn a_full_disk(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let disk = small_disk(cluster).await;
    let plugin = |arguments: &[&str]| plugin(cluster, &namespace, arguments).env("XDG_STATE_HOME", &disk);
    plugin(&["app"]).serve().await.stop().await;
    let history = disk.join("kubectl-svcproxy/history.json");
    let remembered = fs::read_to_string(&history).unwrap();
    assert!(fs::write(disk.join("everything"), vec![0; 1 << 20]).is_err(), "it is full");

    let serving = plugin(&["app:http"]).serve().await;
    let upload = http::send_body(&format!("{}sink", serving.proxy_url()), Request::post("/"), pattern(0, 60_000)).await;
    assert_eq!(upload.text(), "{\"length\":60000}");
    serving.stop().await;
    assert_eq!(fs::read_to_string(&history).unwrap(), remembered);

    let refused = plugin(&[]).plain().args(["--install-ca=browsers"]).finish().await;
    let said = refused.stderr.lines().last().unwrap_or_default();
    let folder = disk.join("kubectl-svcproxy");
    let expected = format!("error: cannot write the local CA into {}: no space left on device", folder.display());
    assert_eq!((refused.code(), said), (1, &expected[..]));
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["history.json"]);
}

/// A folder on a disk of 64 KiB.
async fn small_disk(cluster: &Cluster) -> PathBuf {
    let disk = cluster.scratch();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&disk).status().await;
    assert!(mount.unwrap().success());
    disk
}

/// A clock of a program's own, which only `CLOCK_REALTIME` goes by: the kernel lets nobody set the other.
struct OwnClock {
    library: PathBuf,
    /// What it shows.
    file: PathBuf,
}

impl OwnClock {
    fn new(folder: &Path) -> Self {
        // Below a folder that is named after the architecture.
        let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
        let libraries = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
        let library = libraries.into_iter().find(|library| library.exists()).expect("libfaketime is installed");
        let clock = Self { library, file: folder.join("clock") };
        clock.jump("+0");
        clock
    }

    /// So far from the machine's, as libfaketime reads it: `+8d`.
    fn jump(&self, by: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, by).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    fn variables(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}

/// Weeks forth and back, under an event stream: nothing that is open ends, whoever's time has run out is renewed, and sites have
/// certificates that are good by whatever time it is.
async fn a_clock_that_jumps(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let user = cluster.user_with(Login::Exec);
    namespace.bind(&user, "edit").await;
    let kubeconfig = user.kubeconfig(namespace.name());
    let home = trusting_home(cluster, &kubeconfig).await;
    let clock = OwnClock::new(&home);
    let in_an_hour = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    user.set_credential(user.token(), Some(&in_an_hour.to_string()));
    let mut plugin = Plugin::new(cluster, &kubeconfig).env("HOME", &home).args(["app"]);
    for (name, value) in clock.variables() {
        plugin = plugin.env(name, value);
    }
    let serving = plugin.serve().await;
    let mut events =
        http::stream(&format!("{}events/9", serving.proxy_url()), Request::new(Empty::<Bytes>::new())).await;
    let authority = home.join(".local/state/kubectl-svcproxy/local-ca.pem");
    for (jump, runs) in [("+0", 1), ("+20d", 2), ("+3d", 2), ("+60d", 3), ("+0", 3)] {
        clock.jump(jump);
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 30);
        user.set_credential(user.token(), Some(&end.to_string()));
        assert_eq!(http::get(&serving.proxy_url()).await.status, 200, "{jump}: {}", serving.stderr());
        let mut curl = Command::new("curl");
        curl.args(["-q", "--silent", "--show-error", "--fail", "--cacert"]).arg(&authority).arg(serving.site_url());
        let output = curl.env_clear().envs(clock.variables()).output().await.unwrap();
        assert!(output.status.success(), "{jump}: {}", String::from_utf8_lossy(&output.stderr));
        backend.tick();
        assert!(events.body_mut().frame().await.unwrap().is_ok(), "{jump}");
        assert_eq!(user.plugin_runs(), runs, "{jump}: {}", serving.stderr());
    }
    serving.stop().await;
}
