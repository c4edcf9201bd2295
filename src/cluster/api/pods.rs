//! Pods: which are ready, and why the others are not.

use futures_util::TryStreamExt;
use serde_json::Value;

use super::api_error::ApiError;
use super::list::{ListRequest, ListedObject};
use super::object_fields::{each, set, text};
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
        let list = ListRequest::new("/api/v1", "pods", Some(namespace)).labelled(Some(selector));
        self.portions::<Pod>(list).try_concat().await
    }
}

impl ListedObject for Pod {
    type Wire = Value;
}

impl From<Value> for Pod {
    fn from(pod: Value) -> Self {
        let unready = match pod["metadata"]["deletionTimestamp"].is_string() {
            true => Some("it is being deleted".to_owned()),
            false => unready(&pod["status"]),
        };
        let ports = each(&pod["spec"], "containers").flat_map(|container| each(container, "ports"));
        Self { name: text(&pod["metadata"], "name").to_owned(), unready, ports: ports.filter_map(named_port).collect() }
    }
}

fn named_port(port: &Value) -> Option<(String, u16)> {
    Some((port["name"].as_str()?.to_owned(), port["containerPort"].as_u64()?.try_into().ok()?))
}

fn unready(status: &Value) -> Option<String> {
    let condition = |kind: &str| each(status, "conditions").find(|condition| condition["type"] == kind);
    let ready = condition("Ready");
    if ready.is_some_and(|ready| ready["status"] == "True") {
        return None;
    }
    let unscheduled = condition("PodScheduled").filter(|scheduled| scheduled["status"] == "False");
    let said = |condition: &Value| set(text(condition, "message").to_owned());
    // The first container that does not run says most.
    let mut containers = each(status, "initContainerStatuses").chain(each(status, "containerStatuses"));
    containers.find_map(halted).or_else(|| unscheduled.and_then(said)).or_else(|| ready.and_then(said)).or_else(|| {
        let phase = text(status, "phase");
        Some(if phase == "Running" { "it is not ready" } else { phase }.to_owned())
    })
}

/// Why a container does not run, from its status.
fn halted(container: &Value) -> Option<String> {
    let state = &container["state"];
    let halt = [&state["waiting"], &state["terminated"]].into_iter().find(|halt| halt.is_object())?;
    let name = text(container, "name");
    match (text(halt, "reason"), text(halt, "message")) {
        // What happens between start and readiness, and the proper end of an init container.
        ("" | "PodInitializing" | "Completed", _) => None,
        (reason, "") => Some(format!("container {name} {reason}")),
        (reason, message) => Some(format!("container {name} {reason}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(pod: &Value, expect: Option<&str>) {
        let pod = Pod::from(pod.clone());
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
        let pod = Pod::from(pod);
        assert_eq!(pod.ports, [("web".to_owned(), 8080)]);
    }
}
