//! Credential plugins: a program that logs in and prints what to send (`client.authentication.k8s.io/v1` and `v1beta1`).

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{Cluster as ClusterEntry, ExecConfig, ExecInteractiveMode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::issued::{IssuedCredentials, bearer, in_time};
use super::plugin_policy::PluginPolicy;
use crate::cluster::client::client_identity;
use crate::cluster::config::server_url::ServerUrl;
use crate::error::{Error, system_words};

/// The variable in which a plugin finds what we are about (client-go `exec.execInfoEnv`).
const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// The name of the cluster's extension that is meant for plugins (client-go `clientcmd.clusterExtensionKey`).
const EXTENSION: &str = "client.authentication.k8s.io/exec";

/// How long a plugin may take when nobody waits at the terminal.
const UNATTENDED_PLUGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// `exec` of a kubeconfig's user.
pub(crate) struct ExecPlugin {
    command: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    api_version: String,
    install_hint: Option<String>,
    interaction: ExecInteractiveMode,
    cluster: Option<ClusterInfo>,
    terminal: bool,
    user: String,
    policy: PluginPolicy,
}

/// What a plugin with `provideClusterInfo` is told.
#[derive(Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ClusterInfo {
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    insecure_skip_tls_verify: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_compression: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
}

impl ClusterInfo {
    /// About `server`, which the kubeconfig describes as `cluster`.
    pub(crate) fn new(server: &ServerUrl, cluster: &ClusterEntry, authority: Option<&[u8]>) -> Self {
        let extension = cluster.extensions.iter().flatten().find(|named| named.name == EXTENSION);
        Self {
            server: server.to_string(),
            tls_server_name: cluster.tls_server_name.clone(),
            insecure_skip_tls_verify: cluster.insecure_skip_tls_verify == Some(true),
            certificate_authority_data: authority.map(|pem| STANDARD.encode(pem)),
            proxy_url: cluster.proxy_url.clone().filter(|url| !url.is_empty()),
            disable_compression: cluster.disable_compression == Some(true),
            config: extension.map(|named| named.extension.clone()),
        }
    }
}

impl ExecPlugin {
    /// Reads `exec` of the user called `user`. `terminal` is whether there is one that it may ask on, `policy` whether it may
    /// run.
    ///
    /// # Errors
    /// When it lacks a command, does not say whether it asks (v1 must), or wants a version that nobody speaks any more.
    pub(crate) fn new(
        exec: &ExecConfig,
        user: &str,
        cluster: ClusterInfo,
        terminal: bool,
        policy: PluginPolicy,
    ) -> Result<Self, Error> {
        let command = exec.command.clone().filter(|command| !command.is_empty());
        let api_version = exec.api_version.clone().unwrap_or_default();
        if !matches!(api_version.as_str(), "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1") {
            return Err(Error::usage(format!("the credential plugin of user {user:?} has apiVersion {api_version:?}"))
                .hint("client.authentication.k8s.io/v1 and v1beta1 are known; a newer plugin or `kubectl` setup writes them"));
        }
        if api_version.ends_with("/v1") && exec.interactive_mode.is_none() {
            let lacks = format!(
                "the credential plugin of user {user:?} lacks interactiveMode, without which kubectl does not run it"
            );
            return Err(Error::usage(lacks).hint("Never, IfAvailable and Always are known"));
        }
        Ok(Self {
            command: command
                .ok_or_else(|| Error::usage(format!("user {user:?} has a credential plugin without a command")))?,
            args: exec.args.clone().unwrap_or_default(),
            env: exec.env.iter().flatten().filter_map(variable).collect(),
            api_version,
            install_hint: exec.install_hint.clone(),
            interaction: exec.interactive_mode.clone().unwrap_or(ExecInteractiveMode::IfAvailable),
            cluster: exec.provide_cluster_info.then_some(cluster),
            terminal,
            user: user.to_owned(),
            policy,
        })
    }

    /// Runs it. While `attended`, it may use the terminal; later it has only our log.
    ///
    /// # Errors
    /// One line that names the command. What the plugin itself has to say it says on stderr.
    pub(crate) async fn run(&self, attended: bool) -> Result<IssuedCredentials, Error> {
        let interactive = self.is_interactive(attended)?;
        let program = self.policy.program(&self.command).map_err(|refusal| self.error(refusal))?;
        let mut command = self.command(&program, interactive, attended);
        let finished = async { command.spawn()?.wait_with_output().await };
        let output = match attended {
            true => finished.await,
            false => timeout(UNATTENDED_PLUGIN_TIMEOUT, finished)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        };
        let output = output.map_err(|error| self.not_run(&error))?;
        // What it says while nobody waits for it would otherwise end in the middle of other output.
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            tracing::warn!(plugin = self.command, "{line}");
        }
        if !output.status.success() {
            return Err(self.error(format_args!("failed with {}", ending(output.status))));
        }
        self.issued(&output.stdout)
    }

    /// What it is called, and who decided whether it may run.
    pub(crate) fn decision(&self) -> String {
        format!("{}, {}", self.command, self.policy.decided_by())
    }

    fn is_interactive(&self, attended: bool) -> Result<bool, Error> {
        let may_ask = attended && self.terminal;
        match self.interaction {
            ExecInteractiveMode::Never => Ok(false),
            ExecInteractiveMode::IfAvailable => Ok(may_ask),
            ExecInteractiveMode::Always if may_ask => Ok(true),
            ExecInteractiveMode::Always if attended => Err(self.error("needs a terminal")),
            ExecInteractiveMode::Always => {
                Err(self.error("needs a terminal").hint("log in anew: start kubectl svcproxy again"))
            }
        }
    }

    fn command(&self, program: &Path, interactive: bool, attended: bool) -> Command {
        let mut command = Command::new(program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env(EXEC_INFO, self.info(interactive))
            .stdin(if interactive { Stdio::inherit() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(if attended { Stdio::inherit() } else { Stdio::piped() })
            .kill_on_drop(true);
        command
    }

    fn info(&self, interactive: bool) -> String {
        let spec = ExecCredentialSpec { cluster: self.cluster.as_ref(), interactive };
        let info = ExecCredentialRequest { kind: "ExecCredential", api_version: &self.api_version, spec };
        serde_json::to_string(&info).expect("names and texts are JSON")
    }

    fn not_run(&self, error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::NotFound => {
                let hint = self.install_hint.clone();
                self.error("is not installed")
                    .hint(hint.unwrap_or_else(|| format!("install {}, or put it on PATH", self.command)))
            }
            io::ErrorKind::TimedOut => {
                self.error(format_args!("did not end within {} seconds", UNATTENDED_PLUGIN_TIMEOUT.as_secs()))
            }
            _ => self.error(format_args!("cannot be run: {}", system_words(error))),
        }
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::failed(format!("the credential plugin {} of user {:?} {what}", self.command, self.user))
    }

    fn issued(&self, stdout: &[u8]) -> Result<IssuedCredentials, Error> {
        let answer = answer(stdout).ok_or_else(|| self.error("does not print an ExecCredential"))?;
        if answer.kind != "ExecCredential" {
            return Err(self.error(format_args!("does not print an ExecCredential of {}", self.api_version)));
        }
        if answer.api_version != self.api_version {
            let (came, asked) = (&answer.api_version, &self.api_version);
            return Err(
                self.error(format_args!("prints an ExecCredential of {came:?}, and the kubeconfig asks for {asked}"))
            );
        }
        let status = answer.status.ok_or_else(|| self.error("prints no credentials"))?;
        let set = |text: Option<String>| text.filter(|text| !text.is_empty());
        let authorization = set(status.token).map(|token| bearer(&token)).transpose()?;
        let identity = match (set(status.client_certificate_data), set(status.client_key_data)) {
            (Some(certificate), Some(key)) => {
                Some(client_identity::identity(certificate.as_bytes(), key.as_bytes(), &self.command)?)
            }
            (None, None) if authorization.is_some() => None,
            (None, None) => return Err(self.error("prints neither a token nor a client certificate")),
            _ => return Err(self.error("prints a client certificate without its key, or a key alone")),
        };
        let no_time = || self.error("prints an expirationTimestamp that is no time");
        let expires = set(status.expiration_timestamp).map(|text| time(&text).ok_or_else(no_time)).transpose()?;
        Ok(IssuedCredentials { authorization, identity, expires, renew: expires.and_then(in_time) })
    }
}

/// JSON, or YAML, as client-go's decoder takes it (`plugin/pkg/client/auth/exec/exec.go`).
fn answer(stdout: &[u8]) -> Option<ExecCredentialAnswer> {
    serde_json::from_slice(stdout).ok().or_else(|| serde_saphyr::from_slice(stdout).ok())
}

fn time(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

fn variable(entry: &std::collections::HashMap<String, String>) -> Option<(String, String)> {
    Some((entry.get("name")?.clone(), entry.get("value")?.clone()))
}

/// What it ended with: a code, or the signal that killed it.
fn ending(status: ExitStatus) -> String {
    match status.code() {
        // What Windows ends a program for, as its documentation has it: `0xc0000005`.
        Some(code) if code < 0 => format!("exit code {code:#x}"),
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

#[derive(Serialize)]
struct ExecCredentialRequest<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    spec: ExecCredentialSpec<'a>,
}

#[derive(Serialize)]
struct ExecCredentialSpec<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a ClusterInfo>,
    interactive: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredentialAnswer {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    status: Option<ExecCredentialStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredentialStatus {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_plugin_ends_with_a_code_or_by_a_signal() {
        assert_eq!(ending(ExitStatus::from_raw(3 << 8)), "exit code 3");
        assert_eq!(ending(ExitStatus::from_raw(9)), "signal: 9 (SIGKILL)");
    }
}
