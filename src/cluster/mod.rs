//! kubeconfig and flags → the cluster: Services, rights and the connection to the API server.

pub(crate) mod api;
pub(crate) mod client;
pub(crate) mod auth;
pub(crate) mod config;
mod connection_settings;
mod cluster_messages;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use api::api_error::ApiError;
pub use api::api_server::ApiServer;
pub use api::api_server_health::{ApiServerHealth, HealthTrouble};
pub use api::endpoint_slices::{AddressType, Endpoint, EndpointPort, EndpointSlice, ServiceReadiness, slices_in_list};
pub use api::endpoints_ahead::EndpointsAhead;
pub use api::forbidden::{CredentialsNotSeen, MissingRight};
pub use api::list::Scope;
pub use api::namespaces::{KubeconfigNames, contexts_at};
pub use api::pods::Pod;
pub use api::readiness::{ReadinessInOrder, ReadinessTable};
pub use api::rule::AccessRule;
pub use api::services::services_in_list;
pub use client::send_error::SendError;
pub use config::inputs::{ConnectFlags, ProcessEnvironment, ProxyVariables, parse_duration};

pub use client::tls::TlsProblem;

use api::lost_connections;
use auth::credentials::Credentials;
use client::connect::ClusterConnector;
use client::pool::ConnectionPool;
use cluster_messages::no_credentials;
use connection_settings::ConnectionSettings;

use crate::error::Error;

/// One cluster as one user sees it. Context, server and namespace stay the same for the whole run, whatever happens to
/// the kubeconfig. A clone is the same cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<ClusterShared>,
}

#[derive(Debug)]
struct ClusterShared {
    context: Option<String>,
    server: String,
    namespace: String,
    /// How long a call of our own may take.
    request_timeout: Option<Duration>,
    /// Whether lists are to come uncompressed.
    disable_compression: bool,
    credential_plugin: Option<String>,
    /// What the API server warned of so far.
    warnings: Mutex<HashSet<String>>,
    /// Why requests show no credentials, and what to do; `None` where they do.
    no_credentials: Option<String>,
    api: Arc<ApiServer>,
}

impl Cluster {
    /// Reads the kubeconfig and applies the flags as kubectl does. Connects to nothing and runs no credential plugin:
    /// the first request does.
    ///
    /// # Errors
    /// When there is no cluster to connect to, or what is configured makes no sense.
    pub async fn load(flags: &ConnectFlags, environment: &ProcessEnvironment) -> Result<Self, Error> {
        let settings = ConnectionSettings::read(flags, environment)?;
        let ConnectionSettings { server, trust, server_name, proxy, login, impersonation, .. } = settings;
        let url = server.to_string();
        tracing::info!(context = settings.context, server = url, namespace = settings.namespace, "cluster");
        tracing::info!(?proxy, certificate_for = server_name, trusted = trust.as_str(), "connects");
        tracing::info!(
            user = settings.user,
            credentials = login.as_str(),
            acts_as_another = !impersonation.is_empty(),
            "logs in"
        );
        let credential_plugin = login.plugin_decision();
        let no_credentials =
            login.is_nobodys().then(|| no_credentials(settings.context.as_deref(), &settings.user, server.https));
        let pool = ConnectionPool::new(ClusterConnector::new(server.clone(), &trust, &server_name, proxy)?);
        let way = pool.connector.way.clone();
        let credentials = Credentials::new(login, pool.clone());
        let api = Arc::new(ApiServer::new(server, impersonation, credentials, pool));
        tokio::spawn(lost_connections::look_after(Arc::downgrade(&api), way));
        let inner = ClusterShared {
            context: settings.context,
            server: url,
            namespace: settings.namespace,
            request_timeout: settings.request_timeout,
            disable_compression: settings.disable_compression,
            credential_plugin,
            warnings: Mutex::default(),
            no_credentials,
            api,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The context's name; `None` when flags or the Pod's service account took its place.
    pub fn context(&self) -> Option<&str> {
        self.inner.context.as_deref()
    }

    /// The API server's URL, without user and password.
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// The namespace to look in when nothing else is said.
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// The credential plugin, and who decided whether it may run; `None` where there is none.
    pub fn credential_plugin(&self) -> Option<&str> {
        self.inner.credential_plugin.as_deref()
    }

    /// The connection to the API server.
    pub fn api(&self) -> &Arc<ApiServer> {
        &self.inner.api
    }
}
