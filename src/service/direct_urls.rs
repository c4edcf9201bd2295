//! Where a Service can be reached without any proxy. Pure.

use super::choose_port::PortChoice;
use super::{Service, ServiceType};

/// URLs of the load balancer for the port of `choice`, if there is one.
pub fn direct_urls(service: &Service, choice: &PortChoice) -> Vec<String> {
    if service.kind != ServiceType::LoadBalancer {
        return Vec::new();
    }
    let url = |address: &String| {
        let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        let port = choice.port.number;
        let port = if port == choice.scheme.default_port() { String::new() } else { format!(":{port}") };
        format!("{}://{host}{port}/", choice.scheme)
    };
    service.load_balancer.iter().map(url).collect()
}
