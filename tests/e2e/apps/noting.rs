//! The browser that `kubectl svcproxy` starts, for tests that open the URL in one of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use support::cluster::Cluster;
use support::eventually;

/// A program that only notes what it is given.
pub(crate) struct Noting {
    flag: String,
    noted: PathBuf,
}

impl Noting {
    /// In a folder of its own.
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let home = cluster.scratch();
        let (program, noted) = (home.join("browser"), home.join("opened"));
        let script = format!("#!/bin/sh\nprintf %s \"$1\" > {0}.new && mv {0}.new {0}\n", noted.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { flag: format!("--browser={}", program.display()), noted }
    }

    /// What names it on the command line.
    pub(crate) fn flag(&self) -> &str {
        &self.flag
    }

    /// The URL that it was given, once it was.
    pub(crate) async fn opened(&self) -> String {
        eventually("the browser is started", async || fs::read_to_string(&self.noted).ok()).await
    }
}
