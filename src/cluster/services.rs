//! Services: one by name, or all of them in pages, keeping only what somebody looks at.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use futures_util::Stream;
use prost::Message;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Cluster;
use super::api_error::ApiError;
use super::lists::{FromProtobuf, List, Listed, Scope, encoded};
use super::rights::Rule;
use crate::service::{PortRef, Protocol, Service, ServicePort, ServiceType};
use crate::target::choose::ANNOTATIONS;

impl Cluster {
    /// The Service `name`, `None` when there is none. One request.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn service(&self, namespace: &str, name: &str) -> Result<Option<Service>, ApiError> {
        let target = format!("/api/v1/namespaces/{}/services/{}", encoded(namespace), encoded(name));
        let rule = Rule::new("get", "services", Some(namespace)).named(Some(name));
        match self.read::<Entry>(&target, &rule).await {
            Ok(entry) => Ok(Some(entry.into())),
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
        scope: Scope,
        selector: Option<&str>,
    ) -> impl Stream<Item = Result<Vec<Service>, ApiError>> + Send + 'static {
        self.portions::<Service>(List::new("/api/v1", "services", scope).labelled(selector))
    }
}

impl Listed for Service {
    type Json = Entry;

    const FROM_PROTOBUF: Option<FromProtobuf<Self>> =
        Some(|bytes| protobuf::Service::decode(bytes).ok().map(Self::from));
}

#[derive(Deserialize)]
pub(crate) struct Entry {
    metadata: EntryMetadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct EntryMetadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(rename = "creationTimestamp")]
    created: Option<String>,
    #[serde(default, deserialize_with = "steering_annotations")]
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    external_name: Option<String>,
    selector: Option<BTreeMap<String, String>>,
    session_affinity: Option<String>,
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    name: Option<String>,
    port: u16,
    protocol: Option<String>,
    app_protocol: Option<String>,
    target_port: Option<IntOrString>,
    node_port: Option<u16>,
}

/// `targetPort`; zero and the empty text mean "the same".
#[derive(Deserialize)]
#[serde(untagged)]
enum IntOrString {
    Number(u16),
    Text(String),
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(rename = "loadBalancer", default)]
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
struct LoadBalancer {
    ingress: Option<Vec<Ingress>>,
}

#[derive(Deserialize)]
struct Ingress {
    ip: Option<String>,
    hostname: Option<String>,
}

impl From<Entry> for Service {
    fn from(Entry { metadata, spec, status }: Entry) -> Self {
        let ingress = status.load_balancer.ingress.unwrap_or_default();
        Self {
            namespace: metadata.namespace,
            name: metadata.name,
            kind: kind(spec.kind.as_deref()),
            cluster_ip: set(spec.cluster_ip),
            external_name: set(spec.external_name),
            selector: spec.selector.unwrap_or_default(),
            ports: spec.ports.unwrap_or_default().into_iter().map(ServicePort::from).collect(),
            annotations: metadata.annotations,
            load_balancer: ingress.into_iter().filter_map(|at| set(at.ip).or(set(at.hostname))).collect(),
            session_affinity: spec.session_affinity.as_deref() == Some("ClientIP"),
            created: metadata.created.as_deref().and_then(seconds),
        }
    }
}

impl From<Port> for ServicePort {
    fn from(port: Port) -> Self {
        Self {
            name: set(port.name),
            number: port.port,
            protocol: protocol(port.protocol.as_deref()),
            app_protocol: set(port.app_protocol),
            target_port: port.target_port.and_then(port_ref),
            node_port: port.node_port.filter(|number| *number != 0),
        }
    }
}

fn set(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn kind(text: Option<&str>) -> ServiceType {
    match text {
        Some("NodePort") => ServiceType::NodePort,
        Some("LoadBalancer") => ServiceType::LoadBalancer,
        Some("ExternalName") => ServiceType::ExternalName,
        _ => ServiceType::ClusterIp,
    }
}

fn protocol(text: Option<&str>) -> Protocol {
    match text {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

fn port_ref(port: IntOrString) -> Option<PortRef> {
    match port {
        IntOrString::Number(0) => None,
        IntOrString::Number(number) => Some(PortRef::Number(number)),
        IntOrString::Text(text) if text.is_empty() => None,
        IntOrString::Text(text) => Some(text.parse().map_or(PortRef::Name(text), PortRef::Number)),
    }
}

fn seconds(timestamp: &str) -> Option<i64> {
    timestamp.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// The annotations that steer this program, and none of the others, which may be large.
fn steering_annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Steering;
    impl<'de> Visitor<'de> for Steering {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("annotations")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut kept = BTreeMap::new();
            while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                if ANNOTATIONS.contains(&key.as_ref()) {
                    kept.insert(key.into_owned(), map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(kept)
        }
    }
    deserializer.deserialize_any(Steering)
}

/// The same in protobuf (k8s.io/api `core/v1/generated.proto`).
mod protobuf {
    use std::collections::HashMap;

    use prost::Message;

    use super::super::protobuf::ObjectMeta;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Service {
        #[prost(message, optional, tag = "1")]
        pub(super) metadata: Option<ObjectMeta>,
        #[prost(message, optional, tag = "2")]
        pub(super) spec: Option<Spec>,
        #[prost(message, optional, tag = "3")]
        pub(super) status: Option<Status>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Spec {
        #[prost(message, repeated, tag = "1")]
        pub(super) ports: Vec<Port>,
        #[prost(map = "string, string", tag = "2")]
        pub(super) selector: HashMap<String, String>,
        #[prost(string, tag = "3")]
        pub(super) cluster_ip: String,
        #[prost(string, tag = "4")]
        pub(super) kind: String,
        #[prost(string, tag = "7")]
        pub(super) session_affinity: String,
        #[prost(string, tag = "10")]
        pub(super) external_name: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Port {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "2")]
        pub(super) protocol: String,
        #[prost(int32, tag = "3")]
        pub(super) port: i32,
        #[prost(message, optional, tag = "4")]
        pub(super) target_port: Option<IntOrString>,
        #[prost(int32, tag = "5")]
        pub(super) node_port: i32,
        #[prost(string, tag = "6")]
        pub(super) app_protocol: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct IntOrString {
        /// 1 where it is a text.
        #[prost(int64, tag = "1")]
        pub(super) kind: i64,
        #[prost(int32, tag = "2")]
        pub(super) number: i32,
        #[prost(string, tag = "3")]
        pub(super) text: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Status {
        #[prost(message, optional, tag = "1")]
        pub(super) load_balancer: Option<LoadBalancer>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct LoadBalancer {
        #[prost(message, repeated, tag = "1")]
        pub(super) ingress: Vec<Ingress>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Ingress {
        #[prost(string, tag = "1")]
        pub(super) ip: String,
        #[prost(string, tag = "2")]
        pub(super) hostname: String,
    }
}

impl From<protobuf::Service> for Service {
    fn from(service: protobuf::Service) -> Self {
        let (metadata, spec) = (service.metadata.unwrap_or_default(), service.spec.unwrap_or_default());
        let load_balancer = service.status.and_then(|status| status.load_balancer).unwrap_or_default();
        let steering = |(name, _): &(String, String)| ANNOTATIONS.contains(&name.as_str());
        let address = |at: protobuf::Ingress| set(Some(at.ip)).or(set(Some(at.hostname)));
        Self {
            namespace: metadata.namespace,
            name: metadata.name,
            kind: kind(Some(&spec.kind)),
            cluster_ip: set(Some(spec.cluster_ip)),
            external_name: set(Some(spec.external_name)),
            selector: spec.selector.into_iter().collect(),
            ports: spec.ports.into_iter().map(ServicePort::from).collect(),
            annotations: metadata.annotations.into_iter().filter(steering).collect(),
            load_balancer: load_balancer.ingress.into_iter().filter_map(address).collect(),
            session_affinity: spec.session_affinity == "ClientIP",
            created: metadata.created.map(|time| time.seconds),
        }
    }
}

impl From<protobuf::Port> for ServicePort {
    fn from(port: protobuf::Port) -> Self {
        let number = |number: i32| u16::try_from(number).unwrap_or_default();
        let target_port = port.target_port.map(|target| match target.kind {
            1 => IntOrString::Text(target.text),
            _ => IntOrString::Number(number(target.number)),
        });
        Self {
            name: set(Some(port.name)),
            number: number(port.port),
            protocol: protocol(Some(&port.protocol)),
            app_protocol: set(Some(port.app_protocol)),
            target_port: target_port.and_then(port_ref),
            node_port: Some(number(port.node_port)).filter(|number| *number != 0),
        }
    }
}
