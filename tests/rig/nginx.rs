//! nginx from the distribution's packages.

use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// Runs `nginx.conf` of `folder` in the foreground, until the result is dropped; what goes wrong is in `error.log` there.
pub(crate) fn nginx(folder: &Path) -> Child {
    Command::new("nginx")
        // Debian keeps it out of the PATH of ordinary users.
        .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
        .arg("-p")
        .arg(folder)
        .args(["-c", "nginx.conf", "-e", "error.log"])
        .stdin(Stdio::null())
        .stderr(Stdio::null()) // the same as in error.log
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
