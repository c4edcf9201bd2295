//! What decides where and who, from outside: kubectl's global flags, and the environment as it was at the start.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

/// kubectl's global flags as typed. An empty text counts as not typed, as for kubectl.
#[derive(Debug, Clone, Default)]
pub struct ConnectFlags {
    /// `--kubeconfig`: this file alone.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `--namespace`.
    pub namespace: Option<String>,
    /// `--server`.
    pub server: Option<String>,
    /// `--token`: beats every other login.
    pub token: Option<SecretString>,
    /// `--username`.
    pub username: Option<String>,
    /// `--password`.
    pub password: Option<SecretString>,
    /// `--certificate-authority`.
    pub certificate_authority: Option<PathBuf>,
    /// `--client-certificate`.
    pub client_certificate: Option<PathBuf>,
    /// `--client-key`.
    pub client_key: Option<PathBuf>,
    /// `--insecure-skip-tls-verify`.
    pub insecure_skip_tls_verify: bool,
    /// `--tls-server-name`.
    pub tls_server_name: Option<String>,
    /// `--as`.
    pub as_user: Option<String>,
    /// `--as-group`, each one.
    pub as_group: Vec<String>,
    /// `--as-uid`.
    pub as_uid: Option<String>,
    /// `--as-user-extra`, each one as `KEY=VALUE`.
    pub as_user_extra: Vec<String>,
    /// `--request-timeout`: of our own calls only; proxied requests have no limit. Zero means none.
    pub request_timeout: Option<Duration>,
    /// `--disable-compression`: of lists.
    pub disable_compression: bool,
}

impl ConnectFlags {
    /// Forgets what was typed as an empty text.
    pub(crate) fn without_empty(&self) -> Self {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let path = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let secret = |secret: &Option<SecretString>| secret.clone().filter(|secret| !secret.expose_secret().is_empty());
        Self {
            kubeconfig: path(&self.kubeconfig),
            context: text(&self.context),
            cluster: text(&self.cluster),
            user: text(&self.user),
            namespace: text(&self.namespace),
            server: text(&self.server),
            token: secret(&self.token),
            username: text(&self.username),
            password: secret(&self.password),
            certificate_authority: path(&self.certificate_authority),
            client_certificate: path(&self.client_certificate),
            client_key: path(&self.client_key),
            tls_server_name: text(&self.tls_server_name),
            as_user: text(&self.as_user),
            as_uid: text(&self.as_uid),
            ..self.clone()
        }
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
