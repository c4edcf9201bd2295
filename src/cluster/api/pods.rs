//! Pods: which are ready, and why the others are not.

use futures_util::TryStreamExt;
use serde::Deserialize;

use super::api_error::ApiError;
use super::list::{ListRequest, ListedObject, Scope};
use crate::cluster::Cluster;

/// A Pod, as far as its traffic is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// `None` when it takes traffic, else why not, in the cluster's own words.
    pub unready: Option<String>,
    /// The ports that its containers name, by name.
    pub ports: Vec<(String, u16)>,
}

impl Cluster {
    /// The Pods of `namespace` that `selector` (a label selector) selects.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses.
    pub async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>, ApiError> {
        let scope = Scope::Namespace(namespace.to_owned());
        let list = ListRequest::new("/api/v1", "pods", scope).labelled(Some(selector));
        self.portions::<Pod>(list).try_concat().await
    }
}

impl ListedObject for Pod {
    type Wire = WirePod;
}

#[derive(Deserialize)]
pub(crate) struct WirePod {
    metadata: PodMetadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMetadata {
    name: String,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
struct PodSpec {
    containers: Option<Vec<PodContainer>>,
}

#[derive(Deserialize)]
struct PodContainer {
    ports: Option<Vec<ContainerPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    name: Option<String>,
    container_port: u16,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    #[serde(default)]
    phase: String,
    conditions: Option<Vec<PodCondition>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Deserialize)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct ContainerStatus {
    name: String,
    #[serde(default)]
    state: ContainerState,
}

#[derive(Default, Deserialize)]
struct ContainerState {
    waiting: Option<ContainerHalt>,
    terminated: Option<ContainerHalt>,
}

/// Why a container does not run.
#[derive(Deserialize)]
struct ContainerHalt {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl From<WirePod> for Pod {
    fn from(WirePod { metadata, spec, status }: WirePod) -> Self {
        let unready = match metadata.deletion_timestamp {
            Some(_) => Some("it is being deleted".to_owned()),
            None => status.unready(),
        };
        let ports = spec.containers.into_iter().flatten().flat_map(|container| container.ports.unwrap_or_default());
        let named = |port: ContainerPort| Some((port.name?, port.container_port));
        Self { name: metadata.name, unready, ports: ports.filter_map(named).collect() }
    }
}

impl PodStatus {
    fn unready(&self) -> Option<String> {
        let condition = |kind: &str| self.conditions.iter().flatten().find(|condition| condition.kind == kind);
        let ready = condition("Ready");
        if ready.is_some_and(|ready| ready.status == "True") {
            return None;
        }
        let unscheduled = condition("PodScheduled").filter(|scheduled| scheduled.status == "False");
        let said = |condition: &PodCondition| (!condition.message.is_empty()).then(|| condition.message.clone());
        self.halted()
            .or_else(|| unscheduled.and_then(said))
            .or_else(|| ready.and_then(said))
            .or_else(|| Some(if self.phase == "Running" { "it is not ready".to_owned() } else { self.phase.clone() }))
    }

    /// The first container that does not run, and why.
    fn halted(&self) -> Option<String> {
        let containers = self.init_container_statuses.iter().flatten().chain(self.container_statuses.iter().flatten());
        containers.filter_map(ContainerStatus::halted).next()
    }
}

impl ContainerStatus {
    fn halted(&self) -> Option<String> {
        let halt = self.state.waiting.as_ref().or(self.state.terminated.as_ref())?;
        match (halt.reason.as_str(), halt.message.as_str()) {
            // What happens between start and readiness, and the proper end of an init container.
            ("" | "PodInitializing" | "Completed", _) => None,
            (reason, "") => Some(format!("container {} {reason}", self.name)),
            (reason, message) => Some(format!("container {} {reason}: {message}", self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(pod: &Value, expect: Option<&str>) {
        let pod = Pod::from(serde_json::from_value::<WirePod>(pod.clone()).unwrap());
        assert_eq!(pod.unready.as_deref(), expect);
    }

    fn pod(status: &Value) -> Value {
        json!({"metadata": {"name": "web-1"}, "status": status})
    }

    #[test]
    fn why_a_pod_is_not_ready() {
        let unready = json!([{"type": "Ready", "status": "False", "message": "containers with unready status: [web]"}]);
        let waiting =
            json!([{"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]);
        let done = json!([{"name": "init", "state": {"terminated": {"reason": "Completed"}}}]);
        check(&pod(&json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})), None);
        check(&pod(&json!({"phase": "Running", "conditions": unready})), Some("containers with unready status: [web]"));
        check(
            &pod(
                &json!({"phase": "Pending", "conditions": unready, "containerStatuses": waiting, "initContainerStatuses": done}),
            ),
            Some("container web ImagePullBackOff: no such image"),
        );
        let unscheduled = json!([{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]);
        check(&pod(&json!({"phase": "Pending", "conditions": unscheduled})), Some("0/3 nodes are available"));
        check(&pod(&json!({"phase": "Pending"})), Some("Pending"));
        check(&pod(&json!({"phase": "Running"})), Some("it is not ready"));
        let mut deleted = pod(&json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        check(&deleted, Some("it is being deleted"));
    }

    #[test]
    fn ports_by_name() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [
            {"ports": [{"name": "web", "containerPort": 8080}, {"containerPort": 9090}]}, {}
        ]}});
        let pod = Pod::from(serde_json::from_value::<WirePod>(pod).unwrap());
        assert_eq!(pod.ports, [("web".to_owned(), 8080)]);
    }
}
