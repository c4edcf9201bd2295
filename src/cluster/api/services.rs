//! Services: one by name, or all of them in pages, keeping only what somebody looks at.

use std::collections::BTreeMap;

use futures_util::Stream;
use prost::Message;
use serde::Deserialize;

use super::api_error::ApiError;
use super::list::{self, FromProtobuf, ListRequest, ListedObject, Scope, encoded};
use super::object_fields::{self, WireTime, port_number, protocol, set};
use super::rule::AccessRule;
use crate::cluster::Cluster;
use crate::service::choose_port::ANNOTATIONS;
use crate::service::{PortRef, Service, ServicePort, ServiceType};

impl Cluster {
    /// The Service `name`, `None` when there is none. One request.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn service(&self, namespace: &str, name: &str) -> Result<Option<Service>, ApiError> {
        let target = format!("/api/v1/namespaces/{}/services/{}", encoded(namespace), encoded(name));
        let rule = AccessRule::new("get", "services", Some(namespace)).named(Some(name));
        match self.read::<WireService>(&target, &rule).await {
            Ok(service) => Ok(Some(service.into())),
            Err(ApiError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The Services in `scope` that `selector` (a label selector) selects, in portions of about 250, by namespace and
    /// name.
    ///
    /// When the API server has forgotten the state that the first page shows, the rest comes from a newer one.
    pub fn services(
        &self,
        scope: &Scope,
        selector: Option<&str>,
    ) -> impl Stream<Item = Result<Vec<Service>, ApiError>> + Send + 'static {
        self.portions::<Service>(ListRequest::new("/api/v1", "services", scope.namespace()).labelled(selector))
    }
}

/// The Services of a list as the API server writes it, in JSON or protobuf, which comes in `pieces`.
///
/// # Errors
/// Why it is no list of Services.
pub fn services_in_list<'a>(pieces: impl Iterator<Item = &'a [u8]>, is_protobuf: bool) -> Result<Vec<Service>, String> {
    list::read_whole(pieces, is_protobuf)
}

impl ListedObject for Service {
    type Wire = WireService;

    const FROM_PROTOBUF: Option<FromProtobuf<Self>> = Some(|bytes| WireService::decode(bytes).ok().map(Self::from));
}

/// What is looked at of a Service (k8s.io/api `core/v1/generated.proto`).
#[derive(Clone, PartialEq, Message, Deserialize)]
pub(crate) struct WireService {
    #[prost(message, required, tag = "1")]
    metadata: ServiceMetadata,
    #[prost(message, required, tag = "2")]
    #[serde(default)]
    spec: ServiceSpec,
    #[prost(message, required, tag = "3")]
    #[serde(default)]
    status: ServiceStatus,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
struct ServiceMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "3")]
    #[serde(default)]
    namespace: String,
    #[prost(message, optional, tag = "8")]
    #[serde(rename = "creationTimestamp", default, deserialize_with = "object_fields::time")]
    created: Option<WireTime>,
    #[prost(btree_map = "string, string", tag = "12")]
    #[serde(default, deserialize_with = "object_fields::or_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "object_fields::or_empty")]
    ports: Vec<WireServicePort>,
    #[prost(btree_map = "string, string", tag = "2")]
    #[serde(deserialize_with = "object_fields::or_empty")]
    selector: BTreeMap<String, String>,
    #[prost(string, tag = "3")]
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[prost(string, tag = "4")]
    #[serde(rename = "type")]
    kind: String,
    #[prost(string, tag = "7")]
    session_affinity: String,
    #[prost(string, tag = "10")]
    external_name: String,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireServicePort {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    protocol: String,
    #[prost(int32, tag = "3")]
    port: i32,
    #[prost(message, optional, tag = "4")]
    target_port: Option<IntOrString>,
    #[prost(int32, tag = "5")]
    node_port: i32,
    #[prost(string, tag = "6")]
    app_protocol: String,
}

/// `util.intstr.IntOrString`.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(from = "NumberOrText")]
struct IntOrString {
    /// 1 where it is a text.
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int32, tag = "2")]
    number: i32,
    #[prost(string, tag = "3")]
    text: String,
}

/// The same in JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(i32),
    Text(String),
}

impl From<NumberOrText> for IntOrString {
    fn from(either: NumberOrText) -> Self {
        match either {
            NumberOrText::Number(number) => Self { kind: 0, number, text: String::new() },
            NumberOrText::Text(text) => Self { kind: 1, number: 0, text },
        }
    }
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    #[prost(message, required, tag = "1")]
    load_balancer: LoadBalancerStatus,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
struct LoadBalancerStatus {
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "object_fields::or_empty")]
    ingress: Vec<LoadBalancerIngress>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
struct LoadBalancerIngress {
    #[prost(string, tag = "1")]
    ip: String,
    #[prost(string, tag = "2")]
    hostname: String,
}

impl From<WireService> for Service {
    fn from(WireService { metadata, spec, status }: WireService) -> Self {
        let steering = |(name, _): &(String, String)| ANNOTATIONS.contains(&name.as_str());
        Self {
            namespace: metadata.namespace,
            name: metadata.name,
            kind: kind(&spec.kind),
            cluster_ip: set(spec.cluster_ip),
            external_name: set(spec.external_name),
            selector: spec.selector,
            ports: spec.ports.into_iter().map(ServicePort::from).collect(),
            annotations: metadata.annotations.into_iter().filter(steering).collect(),
            load_balancer: status.load_balancer.ingress.into_iter().filter_map(address).collect(),
            session_affinity: spec.session_affinity == "ClientIP",
            created: metadata.created.map(|time| time.seconds),
        }
    }
}

impl From<WireServicePort> for ServicePort {
    fn from(port: WireServicePort) -> Self {
        Self {
            name: set(port.name),
            number: port_number(port.port),
            protocol: protocol(&port.protocol),
            app_protocol: set(port.app_protocol),
            target_port: port.target_port.and_then(port_ref),
            node_port: Some(port_number(port.node_port)).filter(|number| *number != 0),
        }
    }
}

fn address(at: LoadBalancerIngress) -> Option<String> {
    set(at.ip).or(set(at.hostname))
}

fn kind(text: &str) -> ServiceType {
    match text {
        "NodePort" => ServiceType::NodePort,
        "LoadBalancer" => ServiceType::LoadBalancer,
        "ExternalName" => ServiceType::ExternalName,
        _ => ServiceType::ClusterIp,
    }
}

/// `targetPort`; zero and the empty text mean "the same".
fn port_ref(target: IntOrString) -> Option<PortRef> {
    match (target.kind, port_number(target.number), target.text) {
        (1, _, text) if text.is_empty() => None,
        (1, _, text) => Some(text.parse().map_or(PortRef::Name(text), PortRef::Number)),
        (_, 0, _) => None,
        (_, number, _) => Some(PortRef::Number(number)),
    }
}
