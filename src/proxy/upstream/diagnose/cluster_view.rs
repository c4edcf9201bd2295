//! What the cluster shows of a Service and its endpoints.

use futures_util::future::BoxFuture;

use super::ClusterView;
use super::endpoint_facts::EndpointFacts;
use crate::cluster::{Cluster, CredentialsNotSeen, EndpointSlice, MissingRight, Pod};
use crate::proxy::upstream::backends::selector;
use crate::service::{Service, Target};

/// Looks with the user's own rights; what they may not see is left out.
#[derive(Clone)]
pub struct LiveClusterView {
    cluster: Cluster,
    target: Target,
    service: Option<Service>,
}

impl LiveClusterView {
    /// Looks at the endpoints of `target`; `service` is `None` where the user may not read it.
    pub fn new(cluster: &Cluster, target: &Target, service: Option<&Service>) -> Self {
        Self { cluster: cluster.clone(), target: target.clone(), service: service.cloned() }
    }

    async fn unready(&self) -> Vec<(String, String)> {
        let Some(selector) = self.service.as_ref().and_then(selector) else { return Vec::new() };
        let pods = self.cluster.pods(&self.target.namespace, &selector).await.unwrap_or_default();
        let unready = |pod: Pod| pod.unready.map(|why| (pod.name, why));
        pods.into_iter().filter_map(unready).collect()
    }

    async fn is_gone(&self) -> bool {
        matches!(self.cluster.service(&self.target.namespace, self.target.service()).await, Ok(None))
    }

    async fn slices(&self) -> Option<Vec<EndpointSlice>> {
        self.cluster.endpoints(&self.target.namespace, self.target.service()).await.ok()
    }
}

impl ClusterView for LiveClusterView {
    fn unseen(&self, missing: &MissingRight) -> Option<CredentialsNotSeen> {
        self.cluster.api().unseen(missing)
    }

    fn facts(&self) -> BoxFuture<'static, EndpointFacts> {
        let look = self.clone();
        Box::pin(async move {
            let selector = look.service.as_ref().map(|service| selector(service).unwrap_or_default());
            let (is_gone, slices, unready) = tokio::join!(look.is_gone(), look.slices(), look.unready());
            EndpointFacts { is_gone, selector, slices, unready }
        })
    }
}
