//! What the tests of this program are written with.
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_named_port() {
//!     let fake = FakeApiServer::start().await;
//!     let backend = web(&fake).await; // the Service `web` in `default`, with the port `http` 80
//!     let served = Plugin::new(&fake).args(["web"]).serve().await;
//!     assert_eq!(http::get(&served.proxy_url()).await.json()["target"], "/");
//!     served.stop().await; // ends with 0, and said nothing but where it served from
//! }
//! ```
//!
//! Strict: a run has its exit code, its whole stdout and its whole stderr asserted ([`Plugin::ends`]), and one that serves may
//! say nothing on stderr but the one line about the cluster ([`Served::stop`]) unless the test looks at it itself.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use support::fake::{ADMIN_TOKEN, FakeApiServer};
use support::terminal::{Size, Terminal};
use support::{Backend, Finished, Running, Serving};

/// A backend behind the Service `web` of the namespace `default`, whose port `http` is 80.
pub(crate) async fn web(fake: &FakeApiServer) -> Backend {
    let backend = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
    fake.expose("default", "web", json!({"name": "http", "port": 80}), backend.address());
    backend
}

/// A `kubectl svcproxy …` to be run, in a folder of its own that is also its home. Nothing of the environment of the tests
/// reaches it.
pub(crate) struct Plugin {
    command: Command,
    options: Vec<OsString>,
    arguments: Vec<OsString>,
    server: String,
    home: TempDir,
}

impl Plugin {
    /// As the administrator of `fake`, without a browser, on a port of the kernel's choice, ready lines as JSON.
    pub(crate) fn new(fake: &FakeApiServer) -> Self {
        let plugin = Self::without_kubeconfig(fake);
        plugin.login(fake, &format!("token: {ADMIN_TOKEN}"))
    }

    /// With a kubeconfig in which the user has this `credential`: the lines below `user:`.
    pub(crate) fn login(mut self, fake: &FakeApiServer, credential: &str) -> Self {
        let text = kubeconfig(&fake.url(), &fake.authority().pem(), credential);
        let file = self.write("config", &text);
        self.command.env("KUBECONFIG", file);
        self
    }

    /// Nothing says where the cluster is.
    pub(crate) fn without_kubeconfig(fake: &FakeApiServer) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-svcproxy"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home.path())
            .env("LANG", "C.UTF-8")
            .current_dir(home.path())
            .stdin(Stdio::null());
        let options = ["--no-browser", "--port=0", "--output=json"].map(OsString::from).to_vec();
        Self { command, options, arguments: Vec::new(), server: fake.url(), home }
    }

    /// What is typed after `kubectl svcproxy`.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// An environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Has it ignore a signal from the start, as `nohup` does.
    pub(crate) fn ignoring(self, signal: &str) -> Self {
        self.after(&format!("trap '' {signal}"))
    }

    /// Within the limits of a shell that was told `limits`, such as `ulimit -n 40`.
    pub(crate) fn within(self, limits: &str) -> Self {
        self.after(limits)
    }

    /// A shell does something, then it becomes the plugin.
    fn after(mut self, preparation: &str) -> Self {
        let mut shell = Command::new("sh");
        let plugin = env!("CARGO_BIN_EXE_kubectl-svcproxy");
        shell.args(["-c", &format!("{preparation}; exec \"$0\" \"$@\""), plugin]);
        shell.env_clear().current_dir(self.home.path()).stdin(Stdio::null());
        for (name, value) in self.command.as_std().get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        self.command = shell;
        self
    }

    /// Leaves out everything that [`Plugin::new`] adds to the command line, as a person would.
    pub(crate) fn plain(mut self) -> Self {
        self.options.clear();
        self
    }

    /// Its folder.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file in its folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.home.path().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// Writes a shell script in its folder.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let file = self.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    fn spawn(&mut self) -> Running {
        // In front of what is typed, which may end in `-- COMMAND`.
        self.command.args(&self.options).args(&self.arguments);
        let command = std::mem::replace(&mut self.command, Command::new("true"));
        Running::spawn(command)
    }

    /// The command with what was typed, to be started in a way of the test's own.
    pub(crate) fn command(&mut self) -> &mut Command {
        self.command.args(&self.options).args(&self.arguments)
    }

    /// Starts it in a terminal, without a ready line's worth of waiting.
    pub(crate) fn in_terminal(mut self, size: Size) -> InTerminal {
        self.command();
        InTerminal::start(self, size)
    }

    /// Starts an interactive shell in a terminal instead, in which `$PLUGIN` is the plugin.
    pub(crate) fn in_shell(mut self, size: Size) -> InTerminal {
        let mut shell = Command::new("bash");
        shell.args(["--norc", "--noprofile", "-i"]).env_clear().current_dir(self.home.path());
        for (name, value) in self.command.as_std().get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        shell.env("PS1", "$ ").env("PLUGIN", self.command.as_std().get_program());
        self.command = shell;
        InTerminal::start(self, size)
    }

    /// Runs it to its end, which it must reach by itself.
    pub(crate) async fn finish(mut self) -> Finished {
        self.spawn().end().await
    }

    /// Runs it to its good end; what is given back is not started yet, and has the same home.
    pub(crate) async fn finish_and_stay(mut self) -> Self {
        let mut again = Command::new(self.command.as_std().get_program());
        again.env_clear().current_dir(self.home.path()).stdin(Stdio::null());
        for (name, value) in self.command.as_std().get_envs() {
            again.env(name, value.unwrap_or_default());
        }
        let finished = self.spawn().end().await;
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        self.arguments.clear();
        Self { command: again, ..self }
    }

    /// Runs it to its end and asserts all that it says. `{SERVER}` is the API server's URL, `{ADDRESS}` its address,
    /// `{HOME}` the folder.
    pub(crate) async fn ends(mut self, code: i32, stdout: &str, stderr: &str) {
        let finished = self.spawn().end().await;
        let line = format!("kubectl svcproxy {:?}", self.arguments);
        let fill = |text: &str| {
            let address = self.server.trim_start_matches("https://");
            let home = self.home.path().display().to_string();
            text.replace("{SERVER}", &self.server).replace("{ADDRESS}", address).replace("{HOME}", &home)
        };
        let found = (finished.code(), &finished.stdout[..], &finished.stderr[..]);
        assert_eq!(found, (code, &fill(stdout)[..], &fill(stderr)[..]), "{line}");
    }

    /// Starts it and waits for a ready line on stdout.
    pub(crate) async fn serve(self) -> Served {
        self.serve_targets(1).await
    }

    /// The same, but nobody reads its stderr.
    pub(crate) async fn serve_unread(mut self) -> Served {
        self.command();
        let command = std::mem::replace(&mut self.command, Command::new("true"));
        Served { serving: Running::spawn_unread(command).ready(1).await, server: self.server, _home: self.home }
    }

    /// Starts it and waits for as many ready lines on stdout.
    pub(crate) async fn serve_targets(mut self, count: usize) -> Served {
        let serving = self.spawn().ready(count).await;
        Served { serving, server: self.server, _home: self.home }
    }
}

/// A plugin in a terminal. It is killed when dropped.
pub(crate) struct InTerminal {
    terminal: Terminal,
    plugin: Plugin,
}

impl InTerminal {
    fn start(plugin: Plugin, size: Size) -> Self {
        Self { terminal: Terminal::start(plugin.command.as_std(), size), plugin }
    }

    /// Starts it again in a new terminal with the same home, with other words after `kubectl svcproxy`.
    pub(crate) fn again(mut self, arguments: &[&str], size: Size) -> Self {
        let mut command = Command::new(self.plugin.command.as_std().get_program());
        command.env_clear().current_dir(self.plugin.home.path()).args(&self.plugin.options).args(arguments);
        for (name, value) in self.plugin.command.as_std().get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        self.plugin.command = command;
        Self::start(self.plugin, size)
    }
}

impl Deref for InTerminal {
    type Target = Terminal;

    fn deref(&self) -> &Terminal {
        &self.terminal
    }
}

impl DerefMut for InTerminal {
    fn deref_mut(&mut self) -> &mut Terminal {
        &mut self.terminal
    }
}

/// A plugin that serves. It is killed when dropped.
pub(crate) struct Served {
    serving: Serving,
    server: String,
    _home: TempDir,
}

impl Deref for Served {
    type Target = Serving;

    fn deref(&self) -> &Serving {
        &self.serving
    }
}

impl Served {
    /// Ends it with SIGTERM. It must end with 0, and must have said nothing on stderr but which cluster this is.
    pub(crate) async fn stop(self) {
        let finished = self.serving.stop().await;
        assert_eq!(finished.stderr, format!("context test, server {}\n", self.server));
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(self) -> Finished {
        self.serving.end().await
    }
}

/// A kubeconfig with one context, called `test`, in the namespace `default`.
pub(crate) fn kubeconfig(server: &str, authority: &str, credential: &str) -> String {
    let authority = STANDARD.encode(authority);
    let credential: String = credential.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters:\n- name: test\n  cluster:\n    server: {server}\n    certificate-authority-data: {authority}\n\
         contexts:\n- name: test\n  context:\n    cluster: test\n    user: test\n    namespace: default\n\
         users:\n- name: test\n  user:\n{credential}"
    )
}
