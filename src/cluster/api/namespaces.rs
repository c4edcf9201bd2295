//! Names alone: of the kubeconfig's parts and of namespaces.

use futures_util::TryStreamExt;

use super::api_error::ApiError;
use super::list::{ListRequest, ListedObject};
use super::object_fields::BareObject;
use crate::cluster::Cluster;
use crate::cluster::config::inputs::{ConnectFlags, ProcessEnvironment};
use crate::cluster::config::kubeconfig::KubeconfigFiles;
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
