//! A credential plugin: a script that notes each run and prints what it is told to.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What runs a script, and what it is told besides the script's name.
pub(crate) const SHELL: &str = if cfg!(windows) { "cmd" } else { "sh" };
const SHELL_OPTIONS: &[&str] = if cfg!(windows) { &["/c"] } else { &[] };
const SCRIPT_NAME: &str = if cfg!(windows) { "plugin.cmd" } else { "plugin" };

#[cfg(not(windows))]
const SCRIPT: &str = r#"echo run >> "$0.runs"
n=$(wc -l < "$0.runs")
echo "$KUBERNETES_EXEC_INFO" > "$0.info"
env > "$0.env"
[ -f "$0.fail" ] && { echo "please log in" >&2; exit 3; }
f="$0.$((n)).json"
[ -f "$f" ] || f="$0.last.json"
cat "$f"
"#;
#[cfg(windows)]
const SCRIPT: &str = "@echo off\r
set f=%~dp0plugin\r
echo run>>\"%f%.runs\"\r
set n=0\r
for /f %%l in (%f%.runs) do set /a n+=1\r
echo %KUBERNETES_EXEC_INFO%>\"%f%.info\"\r
set>\"%f%.env\"\r
if exist \"%f%.fail\" echo please log in 1>&2\r
if exist \"%f%.fail\" exit 3\r
if exist \"%f%.%n%.json\" type \"%f%.%n%.json\"\r
if not exist \"%f%.%n%.json\" type \"%f%.last.json\"\r
";

/// A plugin in a folder of its own.
pub(crate) struct Script {
    folder: TempDir,
}

impl Script {
    /// Prints these, one each time it runs, and the last one from then on; a text as it is.
    pub(crate) fn new(answers: &[Value]) -> Self {
        let script = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(script.path(), SCRIPT).unwrap();
        for (number, answer) in answers.iter().enumerate() {
            let printed = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
            std::fs::write(script.beside(&format!("{}.json", number + 1)), &printed).unwrap();
            std::fs::write(script.beside("last.json"), &printed).unwrap();
        }
        script
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(SCRIPT_NAME)
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.folder.path().join(format!("plugin.{end}"))
    }

    /// From now on it prints nothing, complains and ends with code 3.
    pub(crate) fn fail(&self) {
        std::fs::write(self.beside("fail"), "").unwrap();
    }

    pub(crate) fn runs(&self) -> usize {
        std::fs::read_to_string(self.beside("runs")).unwrap_or_default().lines().count()
    }

    /// What it found in its environment at the last run.
    pub(crate) fn env(&self) -> String {
        std::fs::read_to_string(self.beside("env")).unwrap()
    }

    /// What it was told about the cluster at the last run.
    pub(crate) fn info(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.beside("info")).unwrap()).unwrap()
    }

    /// The user of a kubeconfig who logs in with it; `more` is put into `exec`.
    pub(crate) fn user(&self, more: &str) -> String {
        let script = self.path().display().to_string();
        let arguments: Vec<&str> = SHELL_OPTIONS.iter().copied().chain([&*script]).collect();
        user(Path::new(SHELL), &arguments, more)
    }
}

pub(crate) fn user(command: &Path, arguments: &[&str], more: &str) -> String {
    let mode = if more.contains("interactiveMode") { "" } else { ", interactiveMode: IfAvailable" };
    format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{}', args: ['{}']{mode}{more}}}}}",
        command.display(),
        arguments.join("', '")
    )
}

/// An ExecCredential with this status.
pub(crate) fn issues(status: &Value) -> Value {
    json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": status})
}

/// An ExecCredential with a token that says nothing about its end.
pub(crate) fn token(token: &str) -> Value {
    issues(&json!({ "token": token }))
}

/// The time in so many seconds, as Kubernetes writes it.
pub(crate) fn in_seconds(seconds: f64) -> String {
    let at = SystemTime::now() + Duration::from_secs_f64(seconds);
    jiff::Timestamp::try_from(at).unwrap().to_string()
}
