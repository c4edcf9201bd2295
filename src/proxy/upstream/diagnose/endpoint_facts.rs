//! What the cluster shows of a Service's endpoints, when it can be asked.

use super::explanation::NoEndpointReason;

/// What is known beside the error itself. Nothing, where the user may not look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointFacts {
    /// Whether there is no such Service. From Kubernetes 1.37 on the API server then only says that there are no endpoints.
    pub is_gone: bool,
    /// The Service's selector as `kubectl -l` takes it; `Some("")` when it has none.
    pub selector: Option<String>,
    /// The Service's endpoints.
    pub endpoints: Option<EndpointCounts>,
    /// Its Pods that are not ready, and why.
    pub unready: Vec<UnreadyPod>,
}

/// Endpoints of a Service, over all its slices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointCounts {
    /// All of them.
    pub total: usize,
    /// Those that take traffic.
    pub ready: usize,
    /// Those of `ready` that are Pods.
    pub ready_pods: usize,
    /// Names of their ports; an empty one for the unnamed port.
    pub ports: Vec<String>,
    /// Whether the port that is asked for is one of them.
    pub has_port: bool,
}

/// A Pod that takes no traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadyPod {
    /// Its name.
    pub name: String,
    /// Why: the container's or the condition's own words.
    pub why: String,
}

/// Pods that are named one by one.
const NAMED: usize = 5;

impl EndpointFacts {
    pub(super) fn why_none(&self) -> NoEndpointReason {
        let Some(endpoints) = &self.endpoints else { return NoEndpointReason::Unknown };
        match (endpoints.total, endpoints.ready) {
            (0, _) if self.selector.as_deref() == Some("") => NoEndpointReason::NoSelector,
            (0, _) if self.unready.is_empty() => NoEndpointReason::NoPods,
            (_, 0) => NoEndpointReason::NotReady,
            _ if !endpoints.has_port => NoEndpointReason::NoSuchPort,
            _ if endpoints.ready_pods == 0 => NoEndpointReason::NotPods,
            _ => NoEndpointReason::ReadyNow,
        }
    }

    pub(super) fn port_names(&self) -> Vec<&str> {
        let ports = self.endpoints.as_ref().map_or(&[][..], |endpoints| &endpoints.ports);
        ports.iter().map(|name| if name.is_empty() { "one without a name" } else { name }).collect()
    }

    /// The unready Pods, a line each.
    pub(super) fn unready_pods(&self) -> String {
        let mut lines: Vec<String> =
            self.unready.iter().take(NAMED).map(|pod| format!("{}: {}", pod.name, pod.why)).collect();
        if self.unready.len() > NAMED {
            lines.push(format!("and {} more", self.unready.len() - NAMED));
        }
        lines.join("\n")
    }
}
