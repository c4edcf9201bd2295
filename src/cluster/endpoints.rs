//! EndpointSlices: which Pods answer for a Service.

use futures_util::TryStreamExt;
use prost::Message;
use serde::Deserialize;

use super::Cluster;
use super::api_error::ApiError;
use super::lists::{FromProtobuf, List, Listed, Scope};
use crate::service::Protocol;

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
pub(super) fn slices_in(scope: &Scope) -> List {
    List::new(GROUP, "endpointslices", scope.clone())
}

/// The slices of one Service.
pub(crate) fn slices_of(namespace: &str, service: &str) -> List {
    let scope = Scope::Namespace(namespace.to_owned());
    List::new(GROUP, "endpointslices", scope).labelled(Some(&format!("{SERVICE_LABEL}={service}")))
}

impl Listed for EndpointSlice {
    type Json = Entry;

    const FROM_PROTOBUF: Option<FromProtobuf<Self>> =
        Some(|bytes| protobuf::EndpointSlice::decode(bytes).ok().map(Self::from));
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

#[derive(Default, Clone, Copy, Deserialize)]
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
        let protocol = protocol(port.protocol.as_deref().unwrap_or_default());
        Self { name: port.name.unwrap_or_default(), number: port.port, protocol }
    }
}

impl From<EntryEndpoint> for Endpoint {
    fn from(endpoint: EntryEndpoint) -> Self {
        let pod = endpoint.target_ref.filter(|target| target.kind.as_deref() == Some("Pod")).and_then(|pod| pod.name);
        Self::new(endpoint.addresses, endpoint.conditions, pod)
    }
}

impl Endpoint {
    fn new(addresses: Vec<String>, conditions: Conditions, pod: Option<String>) -> Self {
        let Conditions { ready, serving, terminating } = conditions;
        let ready = ready.unwrap_or(true);
        Self { addresses, ready, serving: serving.unwrap_or(ready), terminating: terminating.unwrap_or(false), pod }
    }
}

/// The same in protobuf (k8s.io/api `discovery/v1/generated.proto`).
mod protobuf {
    use prost::Message;

    use super::super::protobuf::ObjectMeta;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct EndpointSlice {
        #[prost(message, optional, tag = "1")]
        pub(super) metadata: Option<ObjectMeta>,
        #[prost(message, repeated, tag = "2")]
        pub(super) endpoints: Vec<Endpoint>,
        #[prost(message, repeated, tag = "3")]
        pub(super) ports: Vec<Port>,
        #[prost(string, tag = "4")]
        pub(super) address_type: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Endpoint {
        #[prost(string, repeated, tag = "1")]
        pub(super) addresses: Vec<String>,
        #[prost(message, optional, tag = "2")]
        pub(super) conditions: Option<Conditions>,
        #[prost(message, optional, tag = "4")]
        pub(super) target: Option<Target>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Conditions {
        #[prost(bool, optional, tag = "1")]
        pub(super) ready: Option<bool>,
        #[prost(bool, optional, tag = "2")]
        pub(super) serving: Option<bool>,
        #[prost(bool, optional, tag = "3")]
        pub(super) terminating: Option<bool>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Target {
        #[prost(string, tag = "1")]
        pub(super) kind: String,
        #[prost(string, tag = "3")]
        pub(super) name: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Port {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) protocol: String,
        #[prost(int32, optional, tag = "3")]
        pub(super) number: Option<i32>,
    }
}

impl From<protobuf::EndpointSlice> for EndpointSlice {
    fn from(slice: protobuf::EndpointSlice) -> Self {
        let mut metadata = slice.metadata.unwrap_or_default();
        Self {
            namespace: metadata.namespace,
            service: metadata.labels.remove(SERVICE_LABEL).unwrap_or_default(),
            addresses: address_type(&slice.address_type),
            ports: slice.ports.into_iter().map(EndpointPort::from).collect(),
            endpoints: slice.endpoints.into_iter().map(Endpoint::from).collect(),
        }
    }
}

impl From<protobuf::Port> for EndpointPort {
    fn from(port: protobuf::Port) -> Self {
        let number = port.number.and_then(|number| u16::try_from(number).ok());
        Self { name: port.name, number, protocol: protocol(&port.protocol) }
    }
}

impl From<protobuf::Endpoint> for Endpoint {
    fn from(endpoint: protobuf::Endpoint) -> Self {
        let protobuf::Conditions { ready, serving, terminating } = endpoint.conditions.unwrap_or_default();
        let pod = endpoint.target.filter(|target| target.kind == "Pod").map(|pod| pod.name);
        Self::new(endpoint.addresses, Conditions { ready, serving, terminating }, pod)
    }
}

fn protocol(text: &str) -> Protocol {
    match text {
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

fn address_type(text: &str) -> AddressType {
    match text {
        "IPv6" => AddressType::Ipv6,
        "FQDN" => AddressType::Fqdn,
        _ => AddressType::Ipv4,
    }
}
