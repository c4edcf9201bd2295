//! kubeconfig and flags → everything that decides how and as whom to connect, by kubectl's rules
//! (client-go `tools/clientcmd/client_config.go`).

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use kube::config::{AuthInfo, Cluster as ClusterEntry, Context};

use super::auth::exec_plugin::ClusterInfo;
use super::auth::kubectl_renewal::KubectlRenewal;
use super::auth::login::{self, UserLogin};
use super::auth::plugin_policy::PluginPolicy;
use super::client::tls::ServerTrust;
use super::cluster_messages::{self, no_entry};
use super::config::environment_proxy::{OutboundProxy, proxy_for};
use super::config::impersonation;
use super::config::inputs::{ConnectFlags, ProcessEnvironment};
use super::config::kubeconfig::{self, Kubeconfig, KubeconfigFiles};
use super::config::kuberc::PluginRules;
use super::config::pem_source::PemSource;
use super::config::server_url::ServerUrl;
use super::config::service_account;
use crate::error::Error;

/// How and as whom to connect.
pub(crate) struct ConnectionSettings {
    pub(crate) context: Option<String>,
    pub(crate) user: String,
    pub(crate) namespace: String,
    pub(crate) server: ServerUrl,
    pub(crate) trust: ServerTrust,
    /// The name that the server's certificate must have.
    pub(crate) server_name: String,
    pub(crate) proxy: Option<OutboundProxy>,
    pub(crate) login: UserLogin,
    pub(crate) impersonation: Vec<(HeaderName, HeaderValue)>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) disable_compression: bool,
}

/// What a context stands for, before any flag but those that choose.
pub(super) struct SelectedContext {
    context: Option<String>,
    pub(super) cluster_name: String,
    pub(super) user_name: String,
    namespace: Option<String>,
    cluster: ClusterEntry,
    user: AuthInfo,
    files: KubeconfigFiles,
}

impl ConnectionSettings {
    /// Reads the kubeconfig, or finds the service account of the Pod we are in, and applies the flags.
    ///
    /// # Errors
    /// One for each thing that is missing, unknown or unreadable.
    pub(crate) fn read(flags: &ConnectFlags, environment: &ProcessEnvironment) -> Result<Self, Error> {
        let flags = &flags.without_empty();
        let mut chosen = SelectedContext::read(flags, environment)?;
        override_cluster(&mut chosen.cluster, flags);
        login::override_user(&mut chosen.user, flags)?;
        chosen.settings(flags, environment)
    }
}

impl SelectedContext {
    pub(super) fn read(flags: &ConnectFlags, environment: &ProcessEnvironment) -> Result<Self, Error> {
        let files = KubeconfigFiles::of(flags, environment);
        let config = files.read()?;
        let chosen = Self::from_config(&config, files, flags)?;
        if chosen.cluster.server.is_some() || flags.server.is_some() {
            return Ok(chosen);
        }
        match service_account::find(environment) {
            Some((cluster, mut user)) => {
                // A token that was typed takes the account's place (client-go `tools/clientcmd/client_config.go`).
                user.token_file = user.token_file.filter(|_| flags.token.is_none());
                Ok(Self { cluster, user, context: None, ..chosen })
            }
            None => Err(chosen.no_server(&config, environment)),
        }
    }

    /// What a flag names must be there; what the context names may be missing, as for kubectl.
    fn from_config(config: &Kubeconfig, files: KubeconfigFiles, flags: &ConnectFlags) -> Result<Self, Error> {
        let name = flags.context.as_ref().unwrap_or(&config.current_context);
        let context = match config.context(name)? {
            Some(context) => context,
            None if name.is_empty() => Context::default(),
            None => return Err(no_entry("context", name, config.contexts.names())),
        };
        let cluster_name = flags.cluster.clone().unwrap_or(context.cluster);
        let user_name = flags.user.clone().or(context.user).unwrap_or_default();
        let cluster = config.cluster(&cluster_name)?;
        let user = config.user(&user_name)?;
        if flags.cluster.is_some() && cluster.is_none() {
            return Err(no_entry("cluster", &cluster_name, config.clusters.names()));
        }
        if flags.user.is_some() && user.is_none() {
            return Err(no_entry("user", &user_name, config.users.names()));
        }
        Ok(Self {
            context: Some(name.clone()).filter(|name| !name.is_empty()),
            cluster_name,
            user_name,
            namespace: context.namespace,
            cluster: cluster.unwrap_or_default(),
            user: user.unwrap_or_default(),
            files,
        })
    }

    fn no_server(&self, config: &Kubeconfig, environment: &ProcessEnvironment) -> Error {
        match &self.context {
            Some(context) => cluster_messages::no_server_in_context(context, &self.cluster_name),
            None if config.files.is_empty() => cluster_messages::no_kubeconfig(&kubeconfig::places(environment)),
            None if config.contexts.names().next().is_none() => cluster_messages::no_context(config),
            None => cluster_messages::no_current_context(config),
        }
    }

    fn settings(self, flags: &ConnectFlags, environment: &ProcessEnvironment) -> Result<ConnectionSettings, Error> {
        let server = ServerUrl::parse(self.cluster.server.as_deref().unwrap_or_default())?;
        let authority = PemSource::new(
            self.cluster.certificate_authority_data.as_deref(),
            self.cluster.certificate_authority.as_deref(),
        );
        let authority = authority.read(&format!("certificate authority of cluster {:?}", self.cluster_name))?;
        let rules = PluginRules::read(flags, environment)?;
        let policy = PluginPolicy::new(rules, environment.search_path.clone());
        let info = ClusterInfo::new(&server, &self.cluster, authority.as_deref());
        let namespace = flags
            .namespace
            .clone()
            .or(self.namespace.filter(|name| !name.is_empty()))
            .or_else(|| service_account::namespace(environment));
        Ok(ConnectionSettings {
            trust: trust(&self.cluster, authority.as_deref(), &self.cluster_name)?,
            server_name: self.cluster.tls_server_name.clone().unwrap_or_else(|| server.host().to_owned()),
            proxy: proxy_for(&server, self.cluster.proxy_url.as_deref(), &environment.proxies)?,
            impersonation: impersonation::headers(&self.user)?,
            login: login::of_user(
                &self.user,
                &self.user_name,
                &server,
                info,
                KubectlRenewal::new(self.files, self.context.clone(), environment),
                environment.terminal,
                policy,
            )?,
            context: self.context,
            user: self.user_name,
            namespace: namespace.unwrap_or_else(|| "default".to_owned()),
            server,
            request_timeout: flags.request_timeout.filter(|limit| !limit.is_zero()),
            disable_compression: flags.disable_compression || self.cluster.disable_compression == Some(true),
        })
    }
}

/// `--certificate-authority` and `--insecure-skip-tls-verify` replace everything that the kubeconfig says about trust,
/// and `--server` takes away its `tls-server-name`, which is another server's.
fn override_cluster(cluster: &mut ClusterEntry, flags: &ConnectFlags) {
    if let Some(server) = &flags.server {
        cluster.server = Some(server.clone());
        cluster.tls_server_name = None;
    }
    login::replace(&mut cluster.tls_server_name, &flags.tls_server_name);
    login::replace(&mut cluster.proxy_url, &flags.proxy_url);
    if flags.insecure_skip_tls_verify || flags.certificate_authority.is_some() {
        cluster.insecure_skip_tls_verify = Some(flags.insecure_skip_tls_verify);
        cluster.certificate_authority = flags.certificate_authority.as_ref().map(|path| path.display().to_string());
        cluster.certificate_authority_data = None;
    }
}

fn trust(cluster: &ClusterEntry, authority: Option<&[u8]>, name: &str) -> Result<ServerTrust, Error> {
    match (cluster.insecure_skip_tls_verify == Some(true), authority) {
        (true, Some(_)) => Err(Error::usage("insecure-skip-tls-verify and a certificate authority exclude each other")),
        (true, None) => Ok(ServerTrust::Anything),
        (false, Some(pem)) => ServerTrust::from_pem(pem, &format!("the certificate authority of cluster {name:?}")),
        (false, None) => Ok(ServerTrust::System),
    }
}
