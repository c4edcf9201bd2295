//! What an app may call itself, from what is known of its Service. Pure.

use std::net::IpAddr;

use crate::cluster::EndpointSlice;
use crate::proxy::upstream::backends::WantedPort;
use crate::proxy::upstream::unprefix::ServiceNames;
use crate::service::Target;
use crate::service::{PortRef, Service};

/// A Target's names, addresses and port numbers in its cluster.
pub(super) struct AppNames {
    lasting: ServiceNames,
    port: WantedPort,
}

impl AppNames {
    /// From the Target, and from the Service where it may be read.
    pub(super) fn new(target: &Target, service: Option<&Service>) -> Self {
        let cluster_ip = service.and_then(|service| service.cluster_ip.as_deref()?.parse().ok());
        Self { lasting: of(target).with_addresses(cluster_ip), port: WantedPort::of(target) }
    }

    /// As long as nobody has seen endpoints.
    pub(super) fn without_endpoints(&self) -> ServiceNames {
        self.lasting.clone()
    }

    /// With the addresses of the endpoints of `slices`, ready or not, and the port that they have there.
    pub(super) fn with_endpoints(&self, slices: &[EndpointSlice]) -> ServiceNames {
        slices.iter().fold(self.lasting.clone(), |names, slice| {
            let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
            let addresses = addresses.filter_map(|address| address.parse::<IpAddr>().ok());
            names.with_endpoints(addresses, self.port.in_slice(&slice.ports))
        })
    }
}

fn of(target: &Target) -> ServiceNames {
    let names = ServiceNames::new(&target.namespace, target.service());
    let number = |port: &PortRef| match port {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(_) => None,
    };
    match &target.port {
        Some(port) => {
            let container = port.target_port.as_ref().and_then(number);
            names.with_ports([Some(port.number), container].into_iter().flatten(), !port.has_siblings)
        }
        None => names.with_ports(target.id.port().and_then(number), true),
    }
}
