//! What this program knows of a Service: plain values, whoever read them. Pure.

pub mod target;
pub mod choose_port;
mod direct_urls;
pub(crate) mod service_id;
pub(crate) mod site_label;
pub(crate) mod spelling;

pub use crate::message::scheme::Scheme;
pub use direct_urls::direct_urls;
pub use service_id::{ServiceId, ServiceIdError, is_dns_label, parse_port};
pub(crate) use site_label::names_in_label;
pub use site_label::{is_old_label, is_site_label, site_label};
pub use spelling::{ServiceSpelling, SpellingError, rooted};
pub use target::{Target, TargetPort, port_at_site, served_paths};

use std::collections::BTreeMap;

/// A Service as far as opening it is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Namespace it lives in.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `spec.type`.
    pub kind: ServiceType,
    /// `spec.clusterIP`; `None` when there is none yet, `Some("None")` for a headless Service.
    pub cluster_ip: Option<String>,
    /// `spec.externalName`.
    pub external_name: Option<String>,
    /// `spec.selector`; empty when somebody else writes the endpoints.
    pub selector: BTreeMap<String, String>,
    /// `spec.ports`, in their order.
    pub ports: Vec<ServicePort>,
    /// The annotations that steer this program (see [`crate::service::choose_port`]), no others.
    pub annotations: BTreeMap<String, String>,
    /// Addresses a load balancer gave it: IP addresses or host names.
    pub load_balancer: Vec<String>,
    /// Whether `spec.sessionAffinity` is `ClientIP`.
    pub session_affinity: bool,
    /// `metadata.creationTimestamp`, seconds since the Unix epoch.
    pub created: Option<i64>,
}

/// `spec.type` of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceType {
    /// Reachable inside the cluster only (headless ones too).
    ClusterIp,
    /// Also on a port of each node.
    NodePort,
    /// Also through a load balancer.
    LoadBalancer,
    /// A name for something outside: there is nothing to proxy to.
    ExternalName,
}

impl ServiceType {
    /// Kubernetes' own spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ExternalName => "ExternalName",
        }
    }
}

/// One entry of `spec.ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// `name`; `None` for the unnamed port of a single-port Service.
    pub name: Option<String>,
    /// `port`: the Service's own number, never the target's or the node's.
    pub number: u16,
    /// `protocol`.
    pub protocol: Protocol,
    /// `appProtocol`.
    pub app_protocol: Option<String>,
    /// `targetPort`; `None` means the same number.
    pub target_port: Option<PortRef>,
    /// `nodePort`.
    pub node_port: Option<u16>,
}

impl ServicePort {
    /// What the port is called in EndpointSlices: as here, with the empty text for an unnamed one.
    pub fn endpoint_port(&self) -> PortRef {
        PortRef::Name(self.name.clone().unwrap_or_default())
    }

    /// The port of the container behind it.
    pub fn container_port(&self) -> PortRef {
        self.target_port.clone().unwrap_or(PortRef::Number(self.number))
    }
}

/// Transport protocol of a Service port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// The only one that can be proxied.
    Tcp,
    /// Never offered.
    Udp,
    /// Never offered.
    Sctp,
}

impl Protocol {
    /// Kubernetes' own spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// A port by name or by number, as people and `targetPort` write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortRef {
    /// A port name.
    Name(String),
    /// A port number, 1 to 65535.
    Number(u16),
}

impl std::fmt::Display for PortRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl PortRef {
    /// Whether this is the name or the number of `port`.
    pub fn means(&self, port: &ServicePort) -> bool {
        match self {
            Self::Name(name) => port.name.as_ref() == Some(name),
            Self::Number(number) => port.number == *number,
        }
    }
}

/// How many of a Service's endpoints are ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Readiness {
    /// Endpoints that take traffic.
    pub ready: usize,
    /// All of them.
    pub total: usize,
}
