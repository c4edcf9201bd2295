//! What the cluster shows of a Service's endpoints, when it can be asked.

use crate::cluster::EndpointSlice;
use crate::cluster::api::endpoint_slices::wanted_port;
use crate::service::Target;

/// What is known beside the error itself. Nothing, where the user may not look.
#[derive(Clone, Default)]
pub struct EndpointFacts {
    /// Whether there is no such Service. From Kubernetes 1.37 on the API server then only says that there are no endpoints.
    pub is_gone: bool,
    /// The Service's selector as `kubectl -l` takes it; `Some("")` when it has none.
    pub selector: Option<String>,
    /// The Service's endpoints, ready or not.
    pub slices: Option<Vec<EndpointSlice>>,
    /// Its Pods that take no traffic: the name of each, and why in the container's or the condition's own words.
    pub unready: Vec<(String, String)>,
}

/// Pods that are named one by one.
const NAMED: usize = 5;

impl EndpointFacts {
    /// Why `target` has no endpoint to send to: in one line without a final period, and in a few sentences, which may
    /// be none.
    pub(super) fn why_none(&self, target: &Target) -> (String, String) {
        let service = target.service();
        let Some(slices) = &self.slices else {
            return (format!("{service} has no ready endpoint"), String::new());
        };
        let endpoints = || slices.iter().flat_map(|slice| &slice.endpoints);
        let ready = || endpoints().filter(|endpoint| endpoint.ready);
        match (endpoints().count(), ready().count()) {
            (0, _) if self.selector.as_deref() == Some("") => (
                format!("{service} has no endpoints"),
                "It has no selector, so somebody else must write its endpoints, and nobody did.".to_owned(),
            ),
            (0, _) if self.unready.is_empty() => (format!("{service} has no Pods"), self.no_pods(&target.namespace)),
            (_, 0) => self.none_ready(service),
            _ if !has_port(slices, target) => (
                format!("No Pod of {service} has the port {}", target.shown_port().unwrap_or_default()),
                other_ports(slices, target),
            ),
            _ if ready().all(|endpoint| endpoint.pod.is_none()) => (
                format!("{service} leads to addresses that are no Pods"),
                "The API server proxies only to Pods of the same namespace.".to_owned(),
            ),
            _ => (format!("{service} is ready now"), "It was not a moment ago.".to_owned()),
        }
    }

    fn no_pods(&self, namespace: &str) -> String {
        let labels = self.selector.as_ref().map(|selector| format!(": {selector}")).unwrap_or_default();
        format!("No Pod in {namespace} has the labels that the Service selects{labels}.")
    }

    /// One Pod is named in the first line, several below it, a line each.
    fn none_ready(&self, service: &str) -> (String, String) {
        if let [(name, why)] = &self.unready[..] {
            let is_said = why == "it is not ready";
            return (format!("{name} is not ready"), if is_said { String::new() } else { why.clone() });
        }
        let mut lines: Vec<String> =
            self.unready.iter().take(NAMED).map(|(name, why)| format!("{name}: {why}")).collect();
        if self.unready.len() > NAMED {
            lines.push(format!("and {} more", self.unready.len() - NAMED));
        }
        let title = match self.unready.len() {
            0 => format!("No Pod of {service} is ready"),
            count => format!("None of the {count} Pods of {service} is ready"),
        };
        (title, lines.join("\n"))
    }
}

fn has_port(slices: &[EndpointSlice], target: &Target) -> bool {
    let wanted = wanted_port(target);
    slices.iter().any(|slice| slice.container_port(&wanted).is_some())
}

fn other_ports(slices: &[EndpointSlice], target: &Target) -> String {
    let mut names: Vec<&str> = Vec::new();
    for port in slices.iter().flat_map(|slice| &slice.ports) {
        let name = if port.name.is_empty() { "one without a name" } else { &port.name };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match (&names[..], target.port.as_ref().and_then(|port| port.target_port.as_ref())) {
        ([], Some(name)) => format!("The Service leads to a port named {name}, and no container of the Pods has one."),
        ([], None) => "Its endpoints have no port at all.".to_owned(),
        (names, _) => format!("Its endpoints have: {}.", names.join(", ")),
    }
}
