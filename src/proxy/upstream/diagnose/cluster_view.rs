//! What the cluster shows of a Service and its endpoints.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use super::ClusterView;
use super::endpoint_facts::{EndpointCounts, EndpointFacts};
use crate::cluster::{Cluster, CredentialsNotSeen, EndpointSlice, MissingRight, Pod};
use crate::proxy::upstream::backends::{port_in_slice, selector, wanted_port};
use crate::service::{PortRef, Service, Target};

/// Looks with the user's own rights; what they may not see is left out.
#[derive(Debug, Clone)]
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

    async fn endpoints(&self) -> Option<EndpointCounts> {
        let slices = self.cluster.endpoints(&self.target.namespace, self.target.service()).await.ok()?;
        Some(summary(&slices, &wanted_port(&self.target)))
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
            let (is_gone, endpoints, unready) = tokio::join!(look.is_gone(), look.endpoints(), look.unready());
            EndpointFacts { is_gone, selector, endpoints, unready }
        })
    }
}

/// Counts each endpoint once, though a dual-stack Service has every one in two slices.
fn summary(slices: &[EndpointSlice], wanted: &PortRef) -> EndpointCounts {
    let mut by_name: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    let mut all = EndpointCounts::default();
    for slice in slices {
        all.has_port |= port_in_slice(wanted, &slice.ports).is_some();
        for port in slice.ports.iter().filter(|port| !all.ports.contains(&port.name)).collect::<Vec<_>>() {
            all.ports.push(port.name.clone());
        }
        for endpoint in &slice.endpoints {
            let name = endpoint.pod.as_deref().or(endpoint.addresses.first().map(String::as_str)).unwrap_or_default();
            by_name.insert(name, (endpoint.ready, endpoint.pod.is_some()));
        }
    }
    all.total = by_name.len();
    all.ready = by_name.values().filter(|(ready, _)| *ready).count();
    all.ready_pods = by_name.values().filter(|(ready, is_pod)| *ready && *is_pod).count();
    all
}
