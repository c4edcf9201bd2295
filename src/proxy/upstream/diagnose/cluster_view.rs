//! What the cluster shows of a Service and its endpoints.

use futures_util::future::BoxFuture;

use super::ClusterView;
use super::endpoint_facts::EndpointFacts;
use crate::cluster::{Cluster, CredentialsNotSeen, MissingRight, Pod};
use crate::proxy::upstream::backends::selector;
use crate::service::{Service, Target};

/// Looks with the user's own rights; what they may not see is left out.
#[derive(Clone)]
pub struct LiveClusterView {
    pub(in crate::proxy::upstream) cluster: Cluster,
    /// Whose endpoints are looked at.
    pub(in crate::proxy::upstream) target: Target,
    /// `None` where the user may not read it.
    pub(in crate::proxy::upstream) service: Option<Service>,
}

impl LiveClusterView {
    async fn look(self) -> EndpointFacts {
        let (namespace, name) = (&self.target.namespace, self.target.service());
        let selector = self.service.as_ref().map(|service| selector(service).unwrap_or_default());
        let pods = async {
            let selector = selector.as_deref().filter(|selector| !selector.is_empty())?;
            self.cluster.pods(namespace, selector).await.ok()
        };
        let (service, slices, pods) =
            tokio::join!(self.cluster.service(namespace, name), self.cluster.endpoints(namespace, name), pods);
        let unready = |pod: Pod| pod.unready.map(|why| (pod.name, why));
        EndpointFacts {
            is_gone: matches!(service, Ok(None)),
            slices: slices.ok(),
            unready: pods.into_iter().flatten().filter_map(unready).collect(),
            selector,
        }
    }
}

impl ClusterView for LiveClusterView {
    fn unseen(&self, missing: &MissingRight) -> Option<CredentialsNotSeen> {
        self.cluster.api().unseen(missing)
    }

    fn facts(&self) -> BoxFuture<'static, EndpointFacts> {
        Box::pin(self.clone().look())
    }
}
