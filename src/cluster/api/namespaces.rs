//! Names alone: of the kubeconfig's parts and of namespaces.

use futures_util::TryStreamExt;

use super::api_error::ApiError;
use super::list::{ListRequest, ListedObject, encoded};
use super::object_fields::BareObject;
use super::rule::AccessRule;
use crate::cluster::Cluster;
use crate::cluster::config::inputs::{ConnectFlags, ProcessEnvironment};
use crate::cluster::config::kubeconfig::{EntryList, KubeconfigFiles};
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
        let names = |list: &EntryList| list.names().filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(Self { contexts: names(&config.contexts), clusters: names(&config.clusters), users: names(&config.users) })
    }
}

/// The contexts of the kubeconfig whose API server is at `server`; one that makes no sense is none of them.
///
/// # Errors
/// When the kubeconfig cannot be read or understood.
pub fn contexts_at(server: &str, flags: &ConnectFlags, environment: &ProcessEnvironment) -> Result<Vec<String>, Error> {
    let config = KubeconfigFiles::of(flags, environment).read()?;
    let is_there = |url: &str| ServerUrl::parse(url).is_ok_and(|url| url.to_string() == server);
    let leads_there = |name: &&str| {
        if name.is_empty() {
            return false; // nobody can choose it
        }
        let context = config.context(name).ok().flatten().unwrap_or_default();
        let cluster = config.cluster(&context.cluster).ok().flatten();
        cluster.and_then(|cluster| cluster.server).is_some_and(|url| is_there(&url))
    };
    Ok(config.contexts.names().filter(leads_there).map(str::to_owned).collect())
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

    /// Whether there is a namespace `name`. One request.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn has_namespace(&self, name: &str) -> Result<bool, ApiError> {
        let rule = AccessRule::new("get", "namespaces", None).named(Some(name));
        match self.read::<BareObject>(&format!("/api/v1/namespaces/{}", encoded(name)), &rule).await {
            Ok(_) => Ok(true),
            Err(ApiError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
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
