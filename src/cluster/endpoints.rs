//! EndpointSlices: which Pods answer for a Service, and how many of them are ready.

use std::hash::{BuildHasher, RandomState};

use futures_util::{StreamExt, TryStreamExt, pin_mut};
use serde::Deserialize;

use super::Cluster;
use super::api_error::ApiError;
use super::lists::{List, Scope};
use crate::service::{Protocol, Readiness};

const GROUP: &str = "/apis/discovery.k8s.io/v1";

/// The label by which a slice names its Service (`discovery.k8s.io`).
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// One EndpointSlice, as far as reaching its endpoints is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Namespace of the slice and of its Service.
    pub namespace: String,
    /// The Service, from the slice's label; empty when the slice belongs to none.
    pub service: String,
    /// What its addresses are.
    pub addresses: AddressType,
    /// Ports of every endpoint in it.
    pub ports: Vec<EndpointPort>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// `addressType` of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressType {
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// Host names.
    Fqdn,
}

/// A port of the endpoints in a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointPort {
    /// The Service port's name, empty for an unnamed one.
    pub name: String,
    /// The Pod's own port number, already resolved; `None` means every port.
    pub number: Option<u16>,
    /// `protocol`.
    pub protocol: Protocol,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Addresses; they mean the same endpoint.
    pub addresses: Vec<String>,
    /// Whether it takes traffic; not said means yes.
    pub ready: bool,
    /// Whether it still answers, ready or terminating; not said means what `ready` says.
    pub serving: bool,
    /// Whether its Pod is going away.
    pub terminating: bool,
    /// The Pod; `None` when it is something else.
    pub pod: Option<String>,
}

impl Cluster {
    /// The EndpointSlices of one Service.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn endpoints(&self, namespace: &str, service: &str) -> Result<Vec<EndpointSlice>, ApiError> {
        self.portions::<Entry, EndpointSlice>(slices_of(namespace, service)).try_concat().await
    }

    /// How many endpoints of one Service are ready.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn service_readiness(&self, namespace: &str, service: &str) -> Result<Readiness, ApiError> {
        let mut tally = Tally::default();
        for slice in self.endpoints(namespace, service).await? {
            tally.add(&slice);
        }
        Ok(tally.table().get(namespace, service))
    }

    /// How many endpoints of every Service in `scope` are ready.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn readiness(&self, scope: &Scope) -> Result<ReadinessTable, ApiError> {
        let mut tally = Tally::default();
        let pages = self.portions::<Entry, EndpointSlice>(List::new(GROUP, "endpointslices", scope.clone()));
        pin_mut!(pages);
        while let Some(page) = pages.next().await {
            page?.iter().for_each(|slice| tally.add(slice));
        }
        Ok(tally.table())
    }
}

/// The slices of one Service.
pub(crate) fn slices_of(namespace: &str, service: &str) -> List {
    let scope = Scope::Namespace(namespace.to_owned());
    List::new(GROUP, "endpointslices", scope).labelled(Some(&format!("{SERVICE_LABEL}={service}")))
}

/// Slices are counted here as they come.
#[derive(Debug, Default)]
struct Tally {
    hasher: RandomState,
    families: [Vec<Row>; 3],
}

/// Readiness by Service: 50,000 of them in 0.6 MiB, since names are kept as 64-bit keyed hashes only. That two of 50,000
/// Services share one is a matter of 1 in 10,000,000,000.
#[derive(Debug)]
pub struct ReadinessTable {
    hasher: RandomState,
    /// Sorted by key, each key once. A dual-stack Service has each Pod in two slices, once per family, so families are
    /// counted apart.
    families: [Vec<Row>; 3],
}

/// What is known of one Service. More endpoints than can be counted here are as good as infinitely many.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// A hash in two halves, which need not be aligned like a whole.
    key: [u32; 2],
    ready: u16,
    total: u16,
}

impl Tally {
    fn add(&mut self, slice: &EndpointSlice) {
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        self.families[slice.addresses as usize].push(Row {
            key: key(&self.hasher, &slice.namespace, &slice.service),
            ready: count(slice.endpoints.iter().filter(|endpoint| endpoint.ready).count()),
            total: count(slice.endpoints.len()),
        });
    }

    fn table(self) -> ReadinessTable {
        let Self { hasher, mut families } = self;
        for rows in &mut families {
            rows.sort_unstable_by_key(|row| row.key);
            rows.dedup_by(|next, kept| {
                let is_same = next.key == kept.key;
                if is_same {
                    kept.take_in(*next);
                }
                is_same
            });
        }
        ReadinessTable { hasher, families }
    }
}

impl Row {
    /// Adds another slice of the same Service.
    fn take_in(&mut self, other: Self) {
        self.ready = self.ready.saturating_add(other.ready);
        self.total = self.total.saturating_add(other.total);
    }
}

impl ReadinessTable {
    /// What is known of a Service; nothing known is nothing there.
    pub fn get(&self, namespace: &str, service: &str) -> Readiness {
        let key = key(&self.hasher, namespace, service);
        let row = |rows: &Vec<Row>| rows.binary_search_by_key(&key, |row| row.key).ok().map(|at| rows[at]);
        let rows = self.families.iter().filter_map(row);
        rows.fold(Readiness { ready: 0, total: 0 }, |most, row| Readiness {
            ready: most.ready.max(row.ready.into()),
            total: most.total.max(row.total.into()),
        })
    }
}

fn key(hasher: &RandomState, namespace: &str, service: &str) -> [u32; 2] {
    let hash = hasher.hash_one((namespace, service));
    [(hash >> 32) as u32, hash as u32]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    metadata: EntryMetadata,
    #[serde(default)]
    address_type: String,
    ports: Option<Vec<EntryPort>>,
    endpoints: Option<Vec<EntryEndpoint>>,
}

#[derive(Deserialize)]
struct EntryMetadata {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: Labels,
}

#[derive(Default, Deserialize)]
struct Labels {
    #[serde(rename = "kubernetes.io/service-name", default)]
    service: String,
}

#[derive(Deserialize)]
struct EntryPort {
    name: Option<String>,
    port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryEndpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    target_ref: Option<TargetRef>,
}

#[derive(Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Deserialize)]
struct TargetRef {
    kind: Option<String>,
    name: Option<String>,
}

impl From<Entry> for EndpointSlice {
    fn from(entry: Entry) -> Self {
        Self {
            namespace: entry.metadata.namespace,
            service: entry.metadata.labels.service,
            addresses: address_type(&entry.address_type),
            ports: entry.ports.unwrap_or_default().into_iter().map(EndpointPort::from).collect(),
            endpoints: entry.endpoints.unwrap_or_default().into_iter().map(Endpoint::from).collect(),
        }
    }
}

impl From<EntryPort> for EndpointPort {
    fn from(port: EntryPort) -> Self {
        let protocol = match port.protocol.as_deref() {
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        Self { name: port.name.unwrap_or_default(), number: port.port, protocol }
    }
}

impl From<EntryEndpoint> for Endpoint {
    fn from(endpoint: EntryEndpoint) -> Self {
        let Conditions { ready, serving, terminating } = endpoint.conditions;
        let ready = ready.unwrap_or(true);
        let pod = endpoint.target_ref.filter(|target| target.kind.as_deref() == Some("Pod")).and_then(|pod| pod.name);
        Self {
            addresses: endpoint.addresses,
            ready,
            serving: serving.unwrap_or(ready),
            terminating: terminating.unwrap_or(false),
            pod,
        }
    }
}

fn address_type(text: &str) -> AddressType {
    match text {
        "IPv6" => AddressType::Ipv6,
        "FQDN" => AddressType::Fqdn,
        _ => AddressType::Ipv4,
    }
}
