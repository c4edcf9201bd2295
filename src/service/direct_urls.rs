//! Where a Service can be reached without any proxy. Pure.

use super::choose_port::PortChoice;
use super::{Service, ServiceType};
use crate::message::host_port::url_authority;

/// URLs of the load balancer for the port of `choice`, if there is one.
pub fn direct_urls(service: &Service, choice: &PortChoice) -> Vec<String> {
    if service.kind != ServiceType::LoadBalancer {
        return Vec::new();
    }
    let (scheme, port) = (choice.scheme, Some(choice.port.number));
    let url = |address: &String| format!("{scheme}://{}/", url_authority(scheme, address, port));
    service.load_balancer.iter().map(url).collect()
}
