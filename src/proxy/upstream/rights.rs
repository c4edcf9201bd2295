//! Which transports this user may use for one Target: asked once, when it first matters.

use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::cluster::{AccessRule, ApiError, Cluster};
use crate::service::Target;

/// From this minor version on the API server wants `create` for a port-forward over WebSocket too (its gate
/// `AuthorizePodWebsocketUpgradeCreatePermission`).
const CREATE_SINCE: u32 = 35;

/// The user's rights on one Target.
#[derive(Debug)]
pub(super) struct TransportRights {
    cluster: Cluster,
    target: Target,
    port_forward: OnceCell<bool>,
    options: OnceCell<bool>,
}

impl TransportRights {
    pub(super) fn new(cluster: &Cluster, target: &Target) -> Self {
        Self {
            cluster: cluster.clone(),
            target: target.clone(),
            port_forward: OnceCell::new(),
            options: OnceCell::new(),
        }
    }

    /// Whether requests can go by port-forward. Where that cannot be found out, the attempt will show.
    pub(super) async fn port_forward(&self) -> bool {
        self.port_forward.get_or_try_init(|| self.ask_port_forward()).await.copied().unwrap_or(true)
    }

    /// Whether OPTIONS can go by the service proxy. Where that cannot be found out, the attempt will show.
    pub(super) async fn options(&self) -> bool {
        let id = self.target.id.to_string();
        let rule = AccessRule::new("*", "services/proxy", Some(&self.target.namespace)).named(Some(&id));
        self.options.get_or_try_init(|| self.cluster.allows(&rule)).await.copied().unwrap_or(true)
    }

    async fn ask_port_forward(&self) -> Result<bool, ApiError> {
        let rule = |verb, resource| AccessRule::new(verb, resource, Some(&self.target.namespace));
        let [get, create] = ["get", "create"].map(|verb| rule(verb, "pods/portforward"));
        let [slices, pods] = [rule("list", "endpointslices").group("discovery.k8s.io"), rule("list", "pods")];
        let (get, create, slices, pods) = tokio::try_join!(
            self.cluster.allows(&get),
            self.cluster.allows(&create),
            self.cluster.allows(&slices),
            self.cluster.allows(&pods),
        )?;
        Ok(get && (create || self.is_old().await?) && (slices || pods))
    }

    async fn is_old(&self) -> Result<bool, ApiError> {
        let version: ServerVersion = self.cluster.read("/version", &AccessRule::new("get", "/version", None)).await?;
        Ok(version.major == "1" && minor(&version.minor).is_some_and(|minor| minor < CREATE_SINCE))
    }
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
