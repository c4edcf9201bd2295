//! Which Pods take a Service's traffic, and on which of their ports. Pure.

use std::sync::Arc;

use crate::cluster::{EndpointSlice, Pod};
use crate::service::{PortRef, Service, Target};

/// A Pod that takes traffic, and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    /// The Pod's name.
    pub(super) pod: Arc<str>,
    /// The port in the Pod.
    pub(super) port: u16,
}

/// The ready Pods of `slices`, each once: a dual-stack Service has every Pod in two.
pub(super) fn ready_in_slices(slices: &[EndpointSlice], wanted: &PortRef) -> Vec<Backend> {
    let mut found: Vec<Backend> = Vec::new();
    for slice in slices {
        let Some(port) = slice.container_port(wanted) else { continue };
        for pod in
            slice.endpoints.iter().filter(|endpoint| endpoint.ready).filter_map(|endpoint| endpoint.pod.as_deref())
        {
            if found.iter().all(|backend| *backend.pod != *pod) {
                found.push(Backend { pod: pod.into(), port });
            }
        }
    }
    found
}

/// The ready Pods among `pods`, for those who may not see slices.
pub(super) fn ready_among_pods(pods: &[Pod], target: &Target) -> Vec<Backend> {
    let ready = pods.iter().filter(|pod| pod.unready.is_none());
    let backend = |pod: &Pod| Some(Backend { pod: pod.name.as_str().into(), port: port_of_pod(pod, target)? });
    ready.filter_map(backend).collect()
}

fn port_of_pod(pod: &Pod, target: &Target) -> Option<u16> {
    let port = target.port.as_ref()?;
    match &port.target_port {
        None => Some(port.number),
        Some(PortRef::Number(number)) => Some(*number),
        Some(PortRef::Name(name)) => pod.ports.iter().find(|(named, _)| named == name).map(|(_, number)| *number),
    }
}

/// A Service's selector as a label selector; `None` where somebody else writes its endpoints.
pub(super) fn selector(service: &Service) -> Option<String> {
    let terms: Vec<String> = service.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    (!terms.is_empty()).then(|| terms.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{AddressType, Endpoint, EndpointPort};
    use crate::service::Protocol;

    /// Ports as `name:number`, Pods as names; one with a `!` is not ready, `-` is no Pod.
    fn slice(addresses: AddressType, ports: &[&str], pods: &[&str]) -> EndpointSlice {
        let port = |text: &&str| {
            let (name, number) = text.split_once(':').unwrap();
            EndpointPort { name: name.to_owned(), number: number.parse().ok(), protocol: Protocol::Tcp }
        };
        let endpoint = |text: &&str| Endpoint {
            addresses: vec!["10.0.0.1".to_owned()],
            ready: !text.starts_with('!'),
            serving: true,
            terminating: false,
            pod: (*text != "-").then(|| text.trim_start_matches('!').to_owned()),
        };
        EndpointSlice {
            namespace: "shop".to_owned(),
            service: "web".to_owned(),
            addresses,
            ports: ports.iter().map(port).collect(),
            endpoints: pods.iter().map(endpoint).collect(),
        }
    }

    fn check(slices: &[EndpointSlice], wanted: &PortRef, expect: &[(&str, u16)]) {
        let found = ready_in_slices(slices, wanted);
        let found: Vec<_> = found.iter().map(|backend| (&*backend.pod, backend.port)).collect();
        assert_eq!(found, expect, "{wanted:?}");
    }

    fn name(name: &str) -> PortRef {
        PortRef::Name(name.to_owned())
    }

    #[test]
    fn ready_pods_with_their_own_ports() {
        let v4 = AddressType::Ipv4;
        let one = slice(v4, &["http:8080", "admin:9000"], &["a", "!b", "-"]);
        check(std::slice::from_ref(&one), &name("http"), &[("a", 8080)]);
        check(std::slice::from_ref(&one), &name("admin"), &[("a", 9000)]);
        check(std::slice::from_ref(&one), &name(""), &[]);
        let other = slice(v4, &["http:8081"], &["c"]);
        check(&[one.clone(), other], &name("http"), &[("a", 8080), ("c", 8081)]);
        let same = slice(AddressType::Ipv6, &["http:8080"], &["a"]);
        check(&[one, same], &name("http"), &[("a", 8080)]);
        check(&[slice(v4, &[":80"], &["a"])], &name(""), &[("a", 80)]);
    }

    #[test]
    fn a_number_of_a_service_that_cannot_be_read() {
        let v4 = AddressType::Ipv4;
        check(&[slice(v4, &["http:8080"], &["a"])], &PortRef::Number(80), &[("a", 8080)]);
        let two = [slice(v4, &["http:8080", "admin:9000"], &["a"])];
        check(&two, &PortRef::Number(9000), &[("a", 9000)]);
        check(&two, &PortRef::Number(80), &[]);
    }
}
