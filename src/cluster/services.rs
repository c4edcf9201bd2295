//! Services: one by name, or all of them in pages, keeping only what somebody looks at.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use futures_util::Stream;
use futures_util::stream::try_unfold;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Cluster;
use super::api_error::ApiError;
use super::rights::Rule;
use crate::service::{PortRef, Protocol, Service, ServicePort, ServiceType};
use crate::target::choose::ANNOTATIONS;

/// Objects per page: what kubectl asks for (`--chunk-size`).
const PAGE: usize = 500;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In one namespace.
    Namespace(String),
    /// In all namespaces.
    All,
}

impl Scope {
    /// The namespace, if it is one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::All => None,
        }
    }
}

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

    /// The Services in `scope` that `selector` (a label selector) selects, in pages of 500 by namespace and name.
    ///
    /// A list that the API server can no longer continue starts again after what was already given, as kubectl does.
    pub fn services(
        &self,
        scope: Scope,
        selector: Option<&str>,
    ) -> impl Stream<Item = Result<Vec<Service>, ApiError>> + Send + 'static {
        let list = List {
            path: collection("/api/v1", &scope, "services"),
            selector: selector.map(str::to_owned),
            rule: Rule::new("list", "services", scope.namespace()),
        };
        self.pages::<Entry, Service>(list)
    }

    pub(crate) fn pages<T, U>(&self, list: List) -> impl Stream<Item = Result<Vec<U>, ApiError>> + Send + 'static
    where
        T: for<'de> Deserialize<'de> + Send,
        U: From<T> + Send + 'static,
    {
        let start = Some(Continue::default());
        let cluster = self.clone();
        try_unfold((cluster, list, start), |(cluster, list, at)| async move {
            let Some(at) = at else { return Ok(None) };
            let page: Page<T> = cluster.read(&list.target(&at), &list.rule).await?;
            let next = page.metadata.next.filter(|token| !token.is_empty()).map(|token| Continue { token });
            let items = page.items.unwrap_or_default().into_iter().map(U::from).collect();
            Ok(Some((items, (cluster, list, next))))
        })
    }
}

/// A list to be read in pages.
pub(crate) struct List {
    pub(crate) path: String,
    pub(crate) selector: Option<String>,
    pub(crate) rule: Rule,
}

/// Where the next page begins.
#[derive(Default)]
pub(crate) struct Continue {
    token: String,
}

impl List {
    fn target(&self, at: &Continue) -> String {
        let mut target = format!("{}?limit={PAGE}", self.path);
        if let Some(selector) = &self.selector {
            target += &format!("&labelSelector={}", encoded(selector));
        }
        if !at.token.is_empty() {
            target += &format!("&continue={}", encoded(&at.token));
        }
        target
    }
}

/// The path of a collection.
pub(crate) fn collection(group: &str, scope: &Scope, resource: &str) -> String {
    match scope {
        Scope::Namespace(namespace) => format!("{group}/namespaces/{}/{resource}", encoded(namespace)),
        Scope::All => format!("{group}/{resource}"),
    }
}

/// A path segment or query value.
pub(crate) fn encoded(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, &ENCODED)
}

const ENCODED: percent_encoding::AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Page<T> {
    metadata: PageMetadata,
    items: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
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
