//! How many endpoints of many Services are ready.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;

use futures_util::TryStreamExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio_util::task::AbortOnDropHandle;

use super::api_error::ApiError;
use super::endpoint_slices::{EndpointSlice, ServiceReadiness, slices_in};
use super::list::Scope;
use crate::cluster::Cluster;
use crate::service::{PortRef, Readiness};

impl Cluster {
    /// How many endpoints of every Service in `scopes` are ready.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn readiness(&self, scopes: &[Scope]) -> Result<ReadinessTable, ApiError> {
        let mut table = ReadinessTable::default();
        for scope in scopes {
            let mut portions = pin!(self.portions::<EndpointSlice>(slices_in(scope)));
            while let Some(slices) = portions.try_next().await? {
                slices.iter().for_each(|slice| table.add(slice));
            }
        }
        Ok(table)
    }

    /// How many endpoints of every Service in `scope` are ready, for one who goes through Services in the API server's
    /// order. It is asked for at once, beside the Services.
    pub fn readiness_in_order(&self, scope: &Scope) -> ReadinessInOrder {
        ReadinessInOrder {
            slices: begun(self.portions::<EndpointSlice>(slices_in(scope)).boxed()),
            ahead: VecDeque::new(),
            newest: String::new(),
            namespace: None,
            services: HashMap::new(),
            is_in_order: true,
        }
    }
}

/// `portions`, of which the first is asked for before anybody reads.
fn begun(mut portions: SlicePortions) -> SlicePortions {
    let beginning = AbortOnDropHandle::new(tokio::spawn(async move { (portions.next().await, portions) }));
    let read_on = |(first, others): (Option<_>, SlicePortions)| stream::iter(first).chain(others);
    stream::once(beginning).flat_map(move |begun| read_on(begun.expect("it ends by itself"))).boxed()
}

type SlicePortions = BoxStream<'static, Result<Vec<EndpointSlice>, ApiError>>;

/// Readiness by namespace and Service.
#[derive(Debug, Default)]
pub struct ReadinessTable(HashMap<String, HashMap<String, ServiceReadiness>>);

impl ReadinessTable {
    fn add(&mut self, slice: &EndpointSlice) {
        let services = self.0.entry(slice.namespace.clone()).or_default();
        services.entry(slice.service.clone()).or_default().add(slice);
    }

    /// What is known of a Service, behind `port` or whichever; nothing known is nothing there.
    pub fn get(&self, namespace: &str, service: &str, port: Option<&PortRef>) -> Readiness {
        let service = self.0.get(namespace).and_then(|services| services.get(service));
        service.map(|service| service.behind(port)).unwrap_or_default()
    }
}

/// Readiness by Service, read from the API server no further than it is asked for: of one namespace at a time, for both
/// lists come in the order of their keys in etcd (apiserver `pkg/storage/etcd3/store.go`), which begin with the namespace.
pub struct ReadinessInOrder {
    slices: SlicePortions,
    /// Those that were read and not yet counted or passed over.
    ahead: VecDeque<EndpointSlice>,
    /// Namespace of the slice that was taken last.
    newest: String,
    /// The namespace that was asked for last.
    namespace: Option<String>,
    /// What is known of its Services.
    services: HashMap<String, ServiceReadiness>,
    /// Whether slices came, and namespaces were asked for, in order. What only looks like an API server may have another
    /// one.
    is_in_order: bool,
}

impl ReadinessInOrder {
    /// What is known of a Service, whose namespace must not come before one that was asked for earlier; nothing known is
    /// nothing there. `None` where something came out of order, so that slices may have been passed over.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn get(&mut self, namespace: &str, service: &str) -> Result<Option<ServiceReadiness>, ApiError> {
        if self.namespace.as_deref() != Some(namespace) {
            self.go_on_to(namespace).await?;
        }
        Ok(self.is_in_order.then(|| self.services.get(service).cloned().unwrap_or_default()))
    }

    async fn go_on_to(&mut self, namespace: &str) -> Result<(), ApiError> {
        self.is_in_order &= self.namespace.as_deref().is_none_or(|before| order(before, namespace).is_lt());
        self.namespace = Some(namespace.to_owned());
        self.services.clear();
        while let Some(slice) = self.next().await? {
            match order(&slice.namespace, namespace) {
                Ordering::Less => {}
                Ordering::Equal => self.services.entry(slice.service.clone()).or_default().add(&slice),
                Ordering::Greater => {
                    self.ahead.push_front(slice);
                    break;
                }
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<EndpointSlice>, ApiError> {
        while self.ahead.is_empty() {
            let Some(portion) = self.slices.next().await.transpose()? else { return Ok(None) };
            self.ahead = portion.into();
        }
        let slice = self.ahead.pop_front();
        if let Some(EndpointSlice { namespace, .. }) = &slice
            && *namespace != self.newest
        {
            self.is_in_order &= order(&self.newest, namespace).is_lt();
            self.newest.clone_from(namespace);
        }
        Ok(slice)
    }
}

/// The order of namespaces in etcd, where a `/` follows them: `a-b` is before `a`.
fn order(one: &str, other: &str) -> Ordering {
    one.bytes().chain([b'/']).cmp(other.bytes().chain([b'/']))
}
