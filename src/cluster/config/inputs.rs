//! What decides where and who, from outside: kubectl's global flags, and the environment as it was at the start.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueHint};
use secrecy::{ExposeSecret, SecretString};

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
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
          action = ArgAction::Set, default_value_t = false, hide_default_value = true)]
    pub insecure_skip_tls_verify: bool,
    /// Name to check the API server's certificate against
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// How long one request to the API server itself may take; proxied requests have no limit
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub request_timeout: Option<Duration>,
    /// User name for basic authentication
    #[arg(long)]
    pub username: Option<String>,
    /// Password for basic authentication
    #[arg(long)]
    pub password: Option<SecretString>,
    /// Accepted for kubectl's sake: nothing is cached
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub cache_dir: Option<PathBuf>,
    /// Do not ask the API server for compressed lists
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL",
          action = ArgAction::Set, default_value_t = false, hide_default_value = true)]
    pub disable_compression: bool,
    /// Refuse to run if the API server's version is not this program's Kubernetes version
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide = true)]
    pub match_server_version: Option<bool>,
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

/// The variables that name proxies. The lower-case spelling wins, as in Go.
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
            home,
            proxies: ProxyVariables {
                https: text("https_proxy").or_else(|| text("HTTPS_PROXY")),
                http: text("http_proxy").or_else(|| text("HTTP_PROXY")),
                none: text("no_proxy").or_else(|| text("NO_PROXY")),
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
