//! EndpointSlices: which Pods answer for a Service.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use prost::Message;
use serde::Deserialize;

use super::api_error::ApiError;
use super::list::{self, FromProtobuf, ListRequest, ListedObject, Scope};
use super::object_fields::{self, port_number, protocol};
use crate::cluster::Cluster;
use crate::service::{PortRef, Protocol, Readiness, Target};

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
        self.portions::<EndpointSlice>(slices_of(namespace, service)).try_concat().await
    }
}

/// The slices of all Services in `scope`.
pub(super) fn slices_in(scope: &Scope) -> ListRequest {
    ListRequest::new(GROUP, "endpointslices", scope.namespace())
}

/// The slices of one Service.
pub(crate) fn slices_of(namespace: &str, service: &str) -> ListRequest {
    let list = ListRequest::new(GROUP, "endpointslices", Some(namespace));
    list.labelled(Some(&format!("{SERVICE_LABEL}={service}")))
}

/// Which of the endpoints' ports requests to `target` go to: by the Service port's name, empty for an unnamed one, or by
/// the number that the user gave of a Service that they may not read. Pure.
pub(crate) fn wanted_port(target: &Target) -> PortRef {
    match (&target.port, target.id.port()) {
        (Some(port), _) => PortRef::Name(port.name.clone().unwrap_or_default()),
        (None, Some(port)) => port.clone(),
        (None, None) => PortRef::Name(String::new()),
    }
}

impl EndpointSlice {
    /// The number of the `wanted` port in the Pods of this slice; `None` where they have no such port, or every port.
    pub(crate) fn container_port(&self, wanted: &PortRef) -> Option<u16> {
        port_in(&self.ports, wanted)?.number
    }
}

/// The one of a slice's `ports` that is `wanted`. Pure.
fn port_in<'a>(ports: &'a [EndpointPort], wanted: &PortRef) -> Option<&'a EndpointPort> {
    let tcp: Vec<&EndpointPort> = ports.iter().filter(|port| port.protocol == Protocol::Tcp).collect();
    match (wanted, &tcp[..]) {
        (PortRef::Name(name), _) => tcp.into_iter().find(|port| port.name == *name),
        // Slices know no numbers of Service ports; with one port there is no doubt.
        (PortRef::Number(_), [only]) => Some(only),
        (PortRef::Number(number), _) => tcp.into_iter().find(|port| port.number == Some(*number)),
    }
}

/// How many endpoints of a Service, all of whose slices these are, are ready behind `port`: the one number that everybody
/// shows. Pure.
pub(crate) fn ready(slices: &[EndpointSlice], port: &PortRef) -> Readiness {
    let mut service = ServiceReadiness::default();
    slices.iter().for_each(|slice| service.add(slice));
    service.behind(Some(port))
}

/// How many endpoints of one Service are ready, behind each of its ports.
#[derive(Debug, Clone, Default)]
pub struct ServiceReadiness(Vec<CountedSlice>);

/// A slice without its endpoints.
#[derive(Debug, Clone)]
struct CountedSlice {
    addresses: AddressType,
    ports: Vec<EndpointPort>,
    count: Readiness,
}

impl ServiceReadiness {
    /// Takes in one of the Service's slices.
    pub(crate) fn add(&mut self, slice: &EndpointSlice) {
        let ready = slice.endpoints.iter().filter(|endpoint| endpoint.ready).count();
        let count = Readiness { ready, total: slice.endpoints.len() };
        self.0.push(CountedSlice { addresses: slice.addresses, ports: slice.ports.clone(), count });
    }

    /// Those in slices that have `port`; all, where no port is meant. A dual-stack Service has each endpoint once per
    /// family of addresses, so the family with more of them counts.
    pub fn behind(&self, port: Option<&PortRef>) -> Readiness {
        let mut families = [Readiness::default(); 3];
        for slice in self.0.iter().filter(|slice| port.is_none_or(|port| port_in(&slice.ports, port).is_some())) {
            let family = &mut families[slice.addresses as usize];
            family.ready += slice.count.ready;
            family.total += slice.count.total;
        }
        let most = |part: fn(&Readiness) -> usize| families.iter().map(part).max().unwrap_or_default();
        Readiness { ready: most(|count| count.ready), total: most(|count| count.total) }
    }
}

/// The EndpointSlices of a list as the API server writes it, in JSON or protobuf, which comes in `pieces`.
///
/// # Errors
/// Why it is no list of EndpointSlices.
pub fn slices_in_list<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    is_protobuf: bool,
) -> Result<Vec<EndpointSlice>, String> {
    list::read_whole(pieces, is_protobuf)
}

impl ListedObject for EndpointSlice {
    type Wire = WireEndpointSlice;

    const FROM_PROTOBUF: Option<FromProtobuf<Self>> =
        Some(|bytes| WireEndpointSlice::decode(bytes).ok().map(Self::from));
}

/// What is looked at of an EndpointSlice (k8s.io/api `discovery/v1/generated.proto`).
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireEndpointSlice {
    #[prost(message, required, tag = "1")]
    metadata: SliceMetadata,
    #[prost(message, repeated, tag = "2")]
    #[serde(default, deserialize_with = "object_fields::or_empty")]
    endpoints: Vec<WireEndpoint>,
    #[prost(message, repeated, tag = "3")]
    #[serde(default, deserialize_with = "object_fields::or_empty")]
    ports: Vec<WireEndpointPort>,
    #[prost(string, tag = "4")]
    #[serde(default)]
    address_type: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
struct SliceMetadata {
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(btree_map = "string, string", tag = "11")]
    #[serde(deserialize_with = "object_fields::or_empty")]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireEndpoint {
    #[prost(string, repeated, tag = "1")]
    #[serde(deserialize_with = "object_fields::or_empty")]
    addresses: Vec<String>,
    #[prost(message, required, tag = "2")]
    conditions: EndpointConditions,
    #[prost(message, optional, tag = "4")]
    target_ref: Option<TargetRef>,
}

#[derive(Clone, Copy, PartialEq, Message, Deserialize)]
#[serde(default)]
struct EndpointConditions {
    #[prost(bool, optional, tag = "1")]
    ready: Option<bool>,
    #[prost(bool, optional, tag = "2")]
    serving: Option<bool>,
    #[prost(bool, optional, tag = "3")]
    terminating: Option<bool>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
struct TargetRef {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "3")]
    name: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
struct WireEndpointPort {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "object_fields::or_empty")]
    name: String,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "object_fields::or_empty")]
    protocol: String,
    #[prost(int32, optional, tag = "3")]
    port: Option<i32>,
}

impl From<WireEndpointSlice> for EndpointSlice {
    fn from(mut slice: WireEndpointSlice) -> Self {
        Self {
            namespace: slice.metadata.namespace,
            service: slice.metadata.labels.remove(SERVICE_LABEL).unwrap_or_default(),
            addresses: address_type(&slice.address_type),
            ports: slice.ports.into_iter().map(EndpointPort::from).collect(),
            endpoints: slice.endpoints.into_iter().map(Endpoint::from).collect(),
        }
    }
}

impl From<WireEndpointPort> for EndpointPort {
    fn from(port: WireEndpointPort) -> Self {
        Self { name: port.name, number: port.port.map(port_number), protocol: protocol(&port.protocol) }
    }
}

impl From<WireEndpoint> for Endpoint {
    fn from(endpoint: WireEndpoint) -> Self {
        let EndpointConditions { ready, serving, terminating } = endpoint.conditions;
        let ready = ready.unwrap_or(true);
        Self {
            addresses: endpoint.addresses,
            ready,
            serving: serving.unwrap_or(ready),
            terminating: terminating.unwrap_or(false),
            pod: endpoint.target_ref.filter(|target| target.kind == "Pod").map(|pod| pod.name),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(addresses: AddressType, ports: &[&str], ready: &[bool]) -> EndpointSlice {
        let port = |name: &&str| EndpointPort { name: (*name).to_owned(), number: Some(80), protocol: Protocol::Tcp };
        let endpoint = |ready: &bool| Endpoint {
            addresses: Vec::new(),
            ready: *ready,
            serving: *ready,
            terminating: false,
            pod: None,
        };
        EndpointSlice {
            namespace: "shop".to_owned(),
            service: "web".to_owned(),
            addresses,
            ports: ports.iter().map(port).collect(),
            endpoints: ready.iter().map(endpoint).collect(),
        }
    }

    #[test]
    fn ready_behind_a_port() {
        let slices = [
            slice(AddressType::Ipv4, &["http", "admin"], &[true, false]),
            slice(AddressType::Ipv4, &["http"], &[true]),
            slice(AddressType::Ipv6, &["http", "admin"], &[true, false]),
        ];
        let check = |port: PortRef, ready, total| assert_eq!(super::ready(&slices, &port), Readiness { ready, total });
        check(PortRef::Name("http".to_owned()), 2, 3);
        check(PortRef::Name("admin".to_owned()), 1, 2);
        check(PortRef::Name("other".to_owned()), 0, 0);
        check(PortRef::Number(8080), 1, 1);
    }
}
