//! Under which hosts a Service is known inside the cluster.

use std::net::IpAddr;

/// A Service's names and addresses in its cluster: what an app says in a redirect to itself when it does not go by
/// `Host`.
#[derive(Debug, Clone, Default)]
pub struct ServiceNames {
    /// From the shortest: `web`, `web.ns`, `web.ns.svc`.
    names: Vec<String>,
    /// Its cluster IP.
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
    /// Addresses of its Pods, each with the container's port, if that is known.
    endpoints: Vec<(IpAddr, Option<u16>)>,
    /// Whether a URL without a port can only mean this one.
    is_only_port: bool,
}

impl ServiceNames {
    /// The names of Service `name`, for its only port of whatever number.
    pub fn new(namespace: &str, name: &str) -> Self {
        let names = vec![name.to_owned(), format!("{name}.{namespace}"), format!("{name}.{namespace}.svc")];
        Self { names, addresses: Vec::new(), ports: Vec::new(), endpoints: Vec::new(), is_only_port: true }
    }

    /// For one port, by the numbers that mean it: the Service's and the container's. `is_only` says that the Service
    /// has no other.
    #[must_use]
    pub fn with_ports(mut self, ports: impl IntoIterator<Item = u16>, is_only: bool) -> Self {
        self.ports = ports.into_iter().collect();
        self.is_only_port = is_only;
        self
    }

    /// Adds cluster IPs.
    #[must_use]
    pub fn with_addresses(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.addresses.extend(addresses);
        self
    }

    /// Adds addresses of Pods, with the number of the port there.
    #[must_use]
    pub fn with_endpoints(mut self, addresses: impl IntoIterator<Item = IpAddr>, port: Option<u16>) -> Self {
        self.endpoints.extend(addresses.into_iter().map(|address| (address, port)));
        self
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
        !self.addresses.is_empty() && address(host).is_some_and(|address| self.addresses.contains(&address))
    }
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn port_of(port: Option<&str>, default: u16) -> Option<u16> {
    port.map_or(Some(default), |port| port.parse().ok())
}

/// Host (with brackets, if any) and port of an authority.
pub(super) fn split(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, (!port.is_empty()).then_some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &ServiceNames, authority: &str, expect: bool) {
        assert_eq!(names.contains(authority, 80), expect, "{authority}");
    }

    #[test]
    fn hosts() {
        let addresses = ["10.0.0.1", "fd00::1"].map(|address| address.parse().unwrap());
        let names = ServiceNames::new("ns", "web").with_addresses(addresses);
        for own in [
            "web",
            "WEB.ns",
            "web.ns.svc",
            "web.ns.svc.cluster.local",
            "web.ns.svc.corp.example",
            "web:80",
            "web.ns.svc.cluster.local:",
            "10.0.0.1",
            "10.0.0.1:80",
            "[fd00::1]",
            "[fd00::1]:80",
        ] {
            check(&names, own, true);
        }
        for other in ["web2", "web.other", "web.ns.example", "web.ns.svcx", "x.web.ns.svc", "10.0.0.2", "", "web:99999"]
        {
            check(&names, other, false);
        }
    }

    #[test]
    fn ports() {
        let only = ServiceNames::new("ns", "web").with_ports([8080, 3000], true);
        let one_of_several = ServiceNames::new("ns", "web").with_ports([8080, 3000], false);
        let on_80 = ServiceNames::new("ns", "web").with_ports([80], false);
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
        let addresses = || ["10.1.0.1", "fd00::2"].map(|address| address.parse().unwrap());
        let names = ServiceNames::new("ns", "web").with_ports([80], true).with_endpoints(addresses(), Some(8080));
        for own in ["10.1.0.1:8080", "[fd00::2]:8080", "[FD00:0::2]:8080"] {
            check(&names, own, true);
            assert!(names.has_endpoint(own, 80), "{own}");
        }
        for other in ["10.1.0.1", "10.1.0.1:80", "10.1.0.1:9090", "10.1.0.2:8080", "10.1.0.1:x", "010.1.0.1:8080"] {
            check(&names, other, false);
        }
        assert!(names.contains("web", 80) && !names.has_endpoint("web", 80));
        let unknown = ServiceNames::new("ns", "web").with_ports([80], true).with_endpoints(addresses(), None);
        check(&unknown, "10.1.0.1", true);
        check(&unknown, "10.1.0.1:8080", false);
    }

    #[test]
    fn none() {
        check(&ServiceNames::default(), "web", false);
        check(&ServiceNames::default(), "", false);
    }
}
