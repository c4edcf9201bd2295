//! What another user of this machine prepares, and what the system allows a user. The tests need root, to become one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use tokio::process::Command;

use super::*;
use crate::harness::kubeconfig;

/// A number that nobody has.
const ANOTHER: u32 = 54_321;

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root || std::env::var_os("CI").is_none(), "needs root, to become another user");
    is_root
}

/// As with `sudo`, which may keep the HOME of who calls it.
#[tokio::test]
async fn t4_links_that_another_user_has_laid_for_root() {
    if !is_root() {
        return;
    }
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let (home, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = home.path().join(".local/state/kubectl-svcproxy");
    let victim = own.path().join("victim");
    fs::create_dir_all(&folder).unwrap();
    fs::write(&victim, "kept").unwrap();
    symlink(&victim, folder.join("history.json")).unwrap();
    for path in folder.ancestors().take(4) {
        chown(path, Some(ANOTHER), Some(ANOTHER)).unwrap();
    }
    let served = Plugin::new(&fake).env("HOME", home.path()).args(["web"]).serve().await;
    assert_eq!(client::get(&served.proxy_url()).await.status, StatusCode::OK);
    served.stop().await;
    assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
    assert!(fs::symlink_metadata(folder.join("history.json")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing was written");
    assert_eq!(fs::read_dir(own.path()).unwrap().count(), 1, "nor beside what the link leads to");
}

/// Where a user may have no more processes.
#[tokio::test]
async fn no_threads_are_told_in_words() {
    if !is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config");
    fs::write(&file, kubeconfig("https://127.0.0.1:1", "", "token: t")).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let user = ANOTHER.to_string();
    let limited = ["--nproc=1", "setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
    let mut command = Command::new("prlimit");
    command
        .args(limited)
        .args([env!("CARGO_BIN_EXE_kubectl-svcproxy"), "web"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("KUBECONFIG", &file);
    let finished = support::Running::spawn(command).end().await;
    let said = &finished.stderr;
    assert_eq!((finished.code(), said.lines().count()), (1, 2), "{said}");
    assert!(said.starts_with("error: ") && said.contains("threads") && !said.contains("panicked"), "{said}");
}
