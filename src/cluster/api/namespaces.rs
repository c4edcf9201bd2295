//! Names alone: of the kubeconfig's parts and of namespaces.

use futures_util::TryStreamExt;

use super::api_error::ApiError;
use super::list::{ListRequest, ListedObject};
use super::object_fields::BareObject;
use crate::cluster::Cluster;
use crate::cluster::config::inputs::{ConnectFlags, ProcessEnvironment};
use crate::cluster::config::kubeconfig::{self, KubeconfigFiles};
use crate::cluster::config::server_url::ServerUrl;
use crate::error::Error;

/// What the kubeconfig names, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubeconfigNames {
    /// Contexts.
    pub contexts: Vec<String>,
    /// Clusters.
    pub clusters: Vec<String>,
    /// Users.
    pub users: Vec<String>,
}

impl KubeconfigNames {
    /// Reads the kubeconfig that the flags and the environment mean.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn read(flags: &ConnectFlags, environment: &ProcessEnvironment) -> Result<Self, Error> {
        let config = KubeconfigFiles::of(flags, environment).read()?;
        Ok(Self {
            contexts: config.contexts.into_iter().map(|context| context.name).collect(),
            clusters: config.clusters.into_iter().map(|cluster| cluster.name).collect(),
            users: config.auth_infos.into_iter().map(|user| user.name).collect(),
        })
    }
}

/// The contexts of the kubeconfig whose API server is at `server`.
///
/// # Errors
/// When the kubeconfig cannot be read or understood.
pub fn contexts_at(server: &str, flags: &ConnectFlags, environment: &ProcessEnvironment) -> Result<Vec<String>, Error> {
    let config = KubeconfigFiles::of(flags, environment).read()?;
    let is_there = |url: &str| ServerUrl::parse(url).is_ok_and(|url| url.to_string() == server);
    let names = config.contexts.iter().filter(|named| {
        let context = kubeconfig::context(&config, &named.name).unwrap_or_default();
        let cluster = kubeconfig::cluster(&config, &context.cluster);
        cluster.and_then(|cluster| cluster.server).is_some_and(|url| is_there(&url))
    });
    Ok(names.map(|named| named.name.clone()).collect())
}

impl Cluster {
    /// The namespaces of the cluster, by name.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn namespaces(&self) -> Result<Vec<String>, ApiError> {
        let list = ListRequest::new("/api/v1", "namespaces", None);
        self.portions::<String>(list).try_concat().await
    }
}

impl ListedObject for String {
    type Wire = BareObject;
}

impl From<BareObject> for String {
    fn from(namespace: BareObject) -> Self {
        namespace.metadata.name
    }
}
