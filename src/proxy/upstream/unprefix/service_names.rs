//! Under which hosts a Service is known inside the cluster.

use std::net::IpAddr;

use crate::cluster::EndpointSlice;
use crate::cluster::api::endpoint_slices::wanted_port;
use crate::message::host_port::{split, unbracketed};
use crate::service::{PortRef, Service, Target};

/// A Service's names and addresses in its cluster: what an app says in a redirect to itself when it does not go by
/// `Host`.
#[derive(Debug, Clone)]
pub struct ServiceNames {
    /// From the shortest: `web`, `web.ns`, `web.ns.svc`.
    names: Vec<String>,
    cluster_ip: Option<IpAddr>,
    /// The numbers that mean the one port: the Service's and the container's.
    ports: Vec<u16>,
    /// The same port, as slices know it.
    wanted: PortRef,
    /// Whether a URL without a port can only mean this one.
    is_only_port: bool,
    /// Addresses of its Pods, each with the container's port, if that is known.
    endpoints: Vec<(IpAddr, Option<u16>)>,
}

impl ServiceNames {
    /// What is known of `target` itself, and of its Service where that may be read; nothing of its endpoints.
    pub fn of(target: &Target, service: Option<&Service>) -> Self {
        let (name, namespace) = (target.service(), &target.namespace);
        let number = |port: &PortRef| match port {
            PortRef::Number(number) => Some(*number),
            PortRef::Name(_) => None,
        };
        let ports = match &target.port {
            Some(port) => [Some(port.number), port.target_port.as_ref().and_then(number)],
            None => [target.id.port().and_then(number), None],
        };
        Self {
            names: vec![name.to_owned(), format!("{name}.{namespace}"), format!("{name}.{namespace}.svc")],
            cluster_ip: service.and_then(|service| service.cluster_ip.as_deref()?.parse().ok()),
            ports: ports.into_iter().flatten().collect(),
            wanted: wanted_port(target),
            is_only_port: target.port.as_ref().is_none_or(|port| !port.has_siblings),
            endpoints: Vec::new(),
        }
    }

    /// The same with the addresses of the endpoints of `slices`, ready or not, and the port that they have there.
    #[must_use]
    pub fn with_endpoints(&self, slices: &[EndpointSlice]) -> Self {
        let endpoints = slices.iter().flat_map(|slice| {
            let port = slice.container_port(&self.wanted);
            let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
            addresses.filter_map(move |address| Some((address.parse().ok()?, port)))
        });
        Self { endpoints: endpoints.collect(), ..self.clone() }
    }

    /// Whether `authority` (`host[:port]`) of a URL with a scheme whose port is `default` means this port of the Service.
    pub(super) fn contains(&self, authority: &str, default: u16) -> bool {
        let (host, port) = split(authority);
        (self.has_host(host) && self.has_port(port, default)) || self.has_endpoint(authority, default)
    }

    /// Whether it means this port of one of the Service's Pods, by address: what the API server itself looks for.
    pub(super) fn has_endpoint(&self, authority: &str, default: u16) -> bool {
        let (host, port) = split(authority);
        let (Some(address), Some(port)) = (address(host), port_of(port, default)) else { return false };
        let is_it = |(own, container): &(IpAddr, Option<u16>)| {
            *own == address && container.map_or_else(|| self.ports.contains(&port), |own| own == port)
        };
        self.endpoints.iter().any(is_it)
    }

    /// Whether `port` of a URL with a scheme whose port is `default` means this port of the Service.
    pub(super) fn has_port(&self, port: Option<&str>, default: u16) -> bool {
        let Some(port) = port_of(port, default) else { return false };
        self.ports.contains(&port) || (port == default && self.is_only_port)
    }

    fn has_host(&self, host: &str) -> bool {
        let is_name = |name: &String| host.eq_ignore_ascii_case(name);
        self.names.iter().any(is_name) || self.is_full_name(host) || self.has_address(host)
    }

    /// `web.ns.svc.` and the cluster's domain, which may be anything.
    fn is_full_name(&self, host: &str) -> bool {
        self.names.last().is_some_and(|svc| {
            host.get(..svc.len()).is_some_and(|start| start.eq_ignore_ascii_case(svc))
                && host[svc.len()..].starts_with('.')
        })
    }

    fn has_address(&self, host: &str) -> bool {
        self.cluster_ip.is_some() && address(host) == self.cluster_ip
    }
}

fn address(host: &str) -> Option<IpAddr> {
    unbracketed(host).parse().ok()
}

fn port_of(port: Option<&str>, default: u16) -> Option<u16> {
    port.map_or(Some(default), |port| port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::upstream::unprefix::tests::{names, slice};

    fn check(names: &ServiceNames, authority: &str, expect: bool) {
        assert_eq!(names.contains(authority, 80), expect, "{authority}");
    }

    #[test]
    fn hosts() {
        let with_address = |address: &str| ServiceNames { cluster_ip: address.parse().ok(), ..names(&[], true) };
        let (v4, v6) = (with_address("10.0.0.1"), with_address("fd00::1"));
        for own in ["10.0.0.1", "10.0.0.1:80"] {
            check(&v4, own, true);
            check(&v6, own, false);
        }
        for own in ["[fd00::1]", "[fd00::1]:80"] {
            check(&v4, own, false);
            check(&v6, own, true);
        }
        for own in [
            "web",
            "WEB.ns",
            "web.ns.svc",
            "web.ns.svc.cluster.local",
            "web.ns.svc.corp.example",
            "web:80",
            "web.ns.svc.cluster.local:",
        ] {
            check(&v4, own, true);
            check(&v6, own, true);
        }
        for other in ["web2", "web.other", "web.ns.example", "web.ns.svcx", "x.web.ns.svc", "10.0.0.2", "", "web:99999"]
        {
            check(&v4, other, false);
            check(&v6, other, false);
        }
    }

    #[test]
    fn ports() {
        let only = names(&[8080, 3000], true);
        let one_of_several = names(&[8080, 3000], false);
        let on_80 = names(&[80], false);
        check(&only, "web", true);
        check(&one_of_several, "web", false);
        check(&on_80, "web", true);
        for names in [&only, &one_of_several] {
            check(names, "web:8080", true);
            check(names, "web:3000", true);
            check(names, "web:9090", false);
        }
    }

    #[test]
    fn endpoints() {
        let addresses = ["10.1.0.1", "fd00::2"];
        let on_80 = names(&[80], true);
        let names = on_80.with_endpoints(&[slice(&addresses, Some(8080))]);
        for own in ["10.1.0.1:8080", "[fd00::2]:8080", "[FD00:0::2]:8080"] {
            check(&names, own, true);
            assert!(names.has_endpoint(own, 80), "{own}");
        }
        for other in ["10.1.0.1", "10.1.0.1:80", "10.1.0.1:9090", "10.1.0.2:8080", "10.1.0.1:x", "010.1.0.1:8080"] {
            check(&names, other, false);
        }
        assert!(names.contains("web", 80) && !names.has_endpoint("web", 80));
        let unknown = on_80.with_endpoints(&[slice(&addresses, None)]);
        check(&unknown, "10.1.0.1", true);
        check(&unknown, "10.1.0.1:8080", false);
    }
}
