//! What decides where and who, from outside: kubectl's global flags, and the environment as it was at the start.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use secrecy::{ExposeSecret, SecretString};

use crate::search_path::SearchPath;

/// kubectl's global flags, with kubectl's meaning. An empty text counts as not typed, as for kubectl.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "kubectl's flags")]
pub struct ConnectFlags {
    /// Namespace
    #[arg(short = 'n', long)]
    pub namespace: Option<String>,
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long)]
    pub context: Option<String>,
    /// Cluster of the kubeconfig
    #[arg(long)]
    pub cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long)]
    pub user: Option<String>,
    /// User to impersonate
    #[arg(long = "as", value_name = "USER")]
    pub as_user: Option<String>,
    /// Group to impersonate, may be repeated
    #[arg(long, value_name = "GROUP")]
    pub as_group: Vec<String>,
    /// UID to impersonate
    #[arg(long, value_name = "UID")]
    pub as_uid: Option<String>,
    /// Extra of the impersonated user (KEY=VALUE), may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub as_user_extra: Vec<String>,
    /// Address of the API server
    #[arg(short = 's', long, value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token
    #[arg(long)]
    pub token: Option<SecretString>,
    /// File with the CA certificates of the API server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub certificate_authority: Option<PathBuf>,
    /// File with the client certificate
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub client_certificate: Option<PathBuf>,
    /// File with the client certificate's key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub client_key: Option<PathBuf>,
    /// Do not check the API server's certificate
    #[arg(long)]
    pub insecure_skip_tls_verify: bool,
    /// Name to check the API server's certificate against
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Proxy to the API server
    #[arg(long, value_name = "URL")]
    pub proxy_url: Option<String>,
    /// How long one request to the API server itself may take; proxied requests have no limit
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub request_timeout: Option<Duration>,
    /// User name for basic authentication
    #[arg(long)]
    pub username: Option<String>,
    /// Password for basic authentication
    #[arg(long)]
    pub password: Option<SecretString>,
    /// Do not ask the API server for compressed lists
    #[arg(long)]
    pub disable_compression: bool,
    /// Path to the kuberc file; of several the first counts
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kuberc: Vec<PathBuf>,
    /// What kubectl takes and means nothing here.
    #[command(flatten)]
    pub ignored: IgnoredFlags,
}

/// Flags of `kubectl options` that only kubectl has a use for, so that its users need not take them out.
#[derive(Debug, Clone, Default, Args)]
pub struct IgnoredFlags {
    /// Nothing is cached.
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub cache_dir: Option<String>,
    /// This program has no Kubernetes version of its own.
    #[arg(long, hide = true)]
    pub match_server_version: bool,
    /// Logs are not held back.
    #[arg(long, value_name = "DURATION", hide = true)]
    pub log_flush_frequency: Option<String>,
    /// kubectl's log, by file.
    #[arg(long, value_name = "PATTERNS", hide = true)]
    pub vmodule: Option<String>,
    /// kubectl's profile.
    #[arg(long, value_name = "NAME", hide = true)]
    pub profile: Option<String>,
    /// Where it would be.
    #[arg(long, value_name = "FILE", hide = true)]
    pub profile_output: Option<String>,
    /// What the API server warns of ends nothing here.
    #[arg(long, hide = true)]
    pub warnings_as_errors: bool,
}

impl ConnectFlags {
    /// Forgets what was typed as an empty text.
    pub(crate) fn without_empty(&self) -> Self {
        let mut flags = self.clone();
        for text in [
            &mut flags.context,
            &mut flags.cluster,
            &mut flags.user,
            &mut flags.namespace,
            &mut flags.server,
            &mut flags.username,
            &mut flags.tls_server_name,
            &mut flags.proxy_url,
            &mut flags.as_user,
            &mut flags.as_uid,
        ] {
            text.take_if(|text| text.is_empty());
        }
        let files = [&mut flags.certificate_authority, &mut flags.client_certificate, &mut flags.client_key];
        for file in files.into_iter().chain([&mut flags.kubeconfig]) {
            file.take_if(|file| file.as_os_str().is_empty());
        }
        for secret in [&mut flags.token, &mut flags.password] {
            secret.take_if(|secret| secret.expose_secret().is_empty());
        }
        flags
    }
}

/// What counts of the process's environment, read once at the start.
#[derive(Debug, Clone, Default)]
pub struct ProcessEnvironment {
    /// `KUBECONFIG`: files, in the platform's list syntax.
    pub kubeconfig: Option<OsString>,
    /// `KUBERC`: kubectl's preferences, or `off`.
    pub kuberc: Option<OsString>,
    /// Whether `KUBECTL_KUBERC` turns them off.
    pub kuberc_disabled: bool,
    /// `KUBECTL_PATH`: kubectl, where it is known.
    pub kubectl: Option<OsString>,
    /// `PATH`, and `PATHEXT` on Windows: where credential plugins are.
    pub search_path: SearchPath,
    /// The home folder, where `.kube/config` is.
    pub home: Option<PathBuf>,
    /// Proxies.
    pub proxies: ProxyVariables,
    /// `KUBERNETES_SERVICE_HOST`, set inside a cluster.
    pub service_host: Option<String>,
    /// `KUBERNETES_SERVICE_PORT`, set inside a cluster.
    pub service_port: Option<String>,
    /// `POD_NAMESPACE`.
    pub pod_namespace: Option<String>,
    /// Where a Pod finds its service account's `token`, `ca.crt` and `namespace`.
    pub service_account: PathBuf,
    /// Whether standard input is a terminal that a credential plugin may use.
    pub terminal: bool,
}

/// The variables that name proxies. The upper-case spelling wins, as in Go (golang.org/x/net `http/httpproxy`).
#[derive(Debug, Clone, Default)]
pub struct ProxyVariables {
    /// `https_proxy` or `HTTPS_PROXY`.
    pub https: Option<String>,
    /// `http_proxy` or `HTTP_PROXY`.
    pub http: Option<String>,
    /// `no_proxy` or `NO_PROXY`.
    pub none: Option<String>,
}

impl ProcessEnvironment {
    /// Picks what counts, where `variable` looks one up; `terminal` says whether standard input is one.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>, terminal: bool) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        Self {
            kubeconfig: set("KUBECONFIG"),
            kuberc: set("KUBERC"),
            kuberc_disabled: text("KUBECTL_KUBERC").is_some_and(|value| value.eq_ignore_ascii_case("false")),
            kubectl: set("KUBECTL_PATH"),
            search_path: SearchPath::new(set("PATH").as_deref(), set("PATHEXT").as_deref()),
            home,
            proxies: ProxyVariables {
                https: text("HTTPS_PROXY").or_else(|| text("https_proxy")),
                http: text("HTTP_PROXY").or_else(|| text("http_proxy")),
                none: text("NO_PROXY").or_else(|| text("no_proxy")),
            },
            service_host: text("KUBERNETES_SERVICE_HOST"),
            service_port: text("KUBERNETES_SERVICE_PORT"),
            pod_namespace: text("POD_NAMESPACE"),
            service_account: PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount"),
            terminal,
        }
    }
}

/// A duration as kubectl reads it: `90s`, `1m30s`, or a number of seconds.
///
/// # Errors
/// When it is none, or a negative one.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| duration.try_into().ok());
    parsed.ok_or_else(|| "not a duration such as 30s, 5m or 1h30m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(parse_duration(text).ok(), expect.map(Duration::from_millis), "{text:?}");
        };
        check("30s", Some(30_000));
        check("1m30s", Some(90_000));
        check("500ms", Some(500));
        check("2h", Some(7_200_000));
        check("10", Some(10_000));
        check("0", Some(0));
        check("", None);
        check("-1s", None);
        check("soon", None);
    }
}
