//! The built plugin, started the way its users start it: by kubectl, which finds it on PATH.

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use support::cluster::Cluster;
use support::terminal::{Size, Terminal};
use support::{Finished, Running, Serving};

/// A `kubectl svcproxy …` to be run. Nothing of the environment of the tests reaches it.
pub(crate) struct Plugin {
    home: PathBuf,
    command: Command,
    options: Vec<OsString>,
    arguments: Vec<OsString>,
}

impl Plugin {
    /// With this kubeconfig, without a browser, on a port of the kernel's choice, ready lines as JSON.
    pub(crate) fn new(cluster: &Cluster, kubeconfig: &Path) -> Self {
        let home = cluster.scratch();
        symlink(env!("CARGO_BIN_EXE_kubectl-svcproxy"), home.join("kubectl-svcproxy")).unwrap();
        let mut command = Command::new(cluster.programs().path("kubectl").unwrap());
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", home.display()))
            .env("HOME", &home)
            .env("KUBECONFIG", kubeconfig)
            .env("NO_COLOR", "1")
            .env("LANG", "C.UTF-8")
            .current_dir(&home)
            .stdin(Stdio::null());
        let options = ["--no-browser", "--port=0", "--output=json"].map(OsString::from).to_vec();
        Self { home, command, options, arguments: Vec::new() }
    }

    /// What is typed after `kubectl svcproxy`.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Lets it have only so many open files until it asks for more, as many as its hard limit: on macOS that is 256.
    pub(crate) fn open_files(self, soft: u32) -> Self {
        let built = env!("CARGO_BIN_EXE_kubectl-svcproxy");
        self.program(&format!("#!/bin/sh\nulimit -Sn {soft} && exec {built} \"$@\"\n"))
    }

    /// What kubectl starts is this script.
    pub(crate) fn program(self, script: &str) -> Self {
        let program = self.home.join("kubectl-svcproxy");
        std::fs::remove_file(&program).unwrap();
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// An environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Leaves out everything that [`Plugin::new`] adds to the command line, as a person would.
    pub(crate) fn plain(mut self) -> Self {
        self.options.clear();
        self
    }

    /// In front of what is typed, which may end in `-- COMMAND`.
    fn command(mut self) -> Command {
        self.command.arg("svcproxy").args(self.options).args(self.arguments);
        self.command
    }

    /// Starts it, whatever comes of it.
    pub(crate) fn spawn(self) -> Running {
        Running::spawn(self.command())
    }

    /// Starts it in a terminal of that size.
    pub(crate) fn in_terminal(self, size: Size) -> Terminal {
        Terminal::start(self.command().as_std(), size)
    }

    /// Runs it to its end, which it must reach by itself.
    pub(crate) async fn finish(self) -> Finished {
        self.spawn().end().await
    }

    /// Starts it and waits for a ready line on stdout.
    pub(crate) async fn serve(self) -> Serving {
        self.serve_targets(1).await
    }

    /// The same, but nobody reads its stderr.
    pub(crate) async fn serve_unread(self) -> Serving {
        Running::spawn_unread(self.command()).ready(1).await
    }

    /// Starts it and waits for as many ready lines on stdout.
    pub(crate) async fn serve_targets(self, count: usize) -> Serving {
        self.spawn().ready(count).await
    }
}
