//! Which transports this user may use for one Target: asked once, when it first matters.

use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::cluster::{AccessRule, ApiError, Cluster};
use crate::service::Target;

/// From this minor version on the API server wants `create` for a port-forward over WebSocket too (its gate
/// `AuthorizePodWebsocketUpgradeCreatePermission`).
const CREATE_SINCE: u32 = 35;

/// The user's rights on one Target.
#[derive(Debug, Default)]
pub(super) struct TransportRights {
    port_forward: OnceCell<bool>,
    options: OnceCell<bool>,
}

impl TransportRights {
    /// Whether requests can go by port-forward. Where that cannot be found out, the attempt will show.
    pub(super) async fn port_forward(&self, cluster: &Cluster, namespace: &str) -> bool {
        self.port_forward.get_or_try_init(|| ask_port_forward(cluster, namespace)).await.copied().unwrap_or(true)
    }

    /// Whether OPTIONS can go by the service proxy. Where that cannot be found out, the attempt will show.
    pub(super) async fn options(&self, cluster: &Cluster, target: &Target) -> bool {
        let id = target.id.to_string();
        let rule = AccessRule::new("*", "services/proxy", Some(&target.namespace)).named(Some(&id));
        self.options.get_or_try_init(|| cluster.allows(&rule)).await.copied().unwrap_or(true)
    }
}

async fn ask_port_forward(cluster: &Cluster, namespace: &str) -> Result<bool, ApiError> {
    let rule = |verb, resource| AccessRule::new(verb, resource, Some(namespace));
    let [get, create] = ["get", "create"].map(|verb| rule(verb, "pods/portforward"));
    let [slices, pods] = [rule("list", "endpointslices").group("discovery.k8s.io"), rule("list", "pods")];
    let (get, create, slices, pods) = tokio::try_join!(
        cluster.allows(&get),
        cluster.allows(&create),
        cluster.allows(&slices),
        cluster.allows(&pods),
    )?;
    Ok(get && (create || is_old(cluster).await?) && (slices || pods))
}

async fn is_old(cluster: &Cluster) -> Result<bool, ApiError> {
    let version: ServerVersion = cluster.read("/version", &AccessRule::new("get", "/version", None)).await?;
    Ok(version.major == "1" && minor(&version.minor).is_some_and(|minor| minor < CREATE_SINCE))
}

#[derive(Deserialize)]
struct ServerVersion {
    major: String,
    minor: String,
}

/// Some vendors write `34+`.
fn minor(text: &str) -> Option<u32> {
    text.trim_end_matches(|character: char| !character.is_ascii_digit()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_versions() {
        assert_eq!(minor("34"), Some(34));
        assert_eq!(minor("34+"), Some(34));
        assert_eq!(minor(""), None);
    }
}
