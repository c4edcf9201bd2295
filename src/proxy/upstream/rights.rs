//! Which transports this user may use for one Target: asked when it first matters, and again later as long as it is not given.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::limitation::Via;
use crate::cluster::{AccessRule, ApiError, Cluster};
use crate::error::Error;
use crate::service::Target;

/// From this minor version on the API server wants `create` for a port-forward over WebSocket too (its gate
/// `AuthorizePodWebsocketUpgradeCreatePermission`).
const CREATE_SINCE: u32 = 35;
/// So long a right that was not given is not asked for again. Somebody may give it meanwhile, and an API server that starts
/// denies everything.
const MAX_DENIAL_AGE: Duration = Duration::from_secs(10);

/// How the user may port-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortForwardRight {
    /// Not at all.
    Nothing,
    /// Not to any Pod, since there is no way to find them.
    NoPods,
    /// By any handshake, or by all but one that the API server will refuse.
    ByWebSocket,
    /// By SPDY alone, a POST.
    BySpdy,
}

impl PortForwardRight {
    /// Whether requests can go that way.
    pub(super) fn is_given(self) -> bool {
        matches!(self, Self::ByWebSocket | Self::BySpdy)
    }
}

/// The user's rights on one Target.
#[derive(Debug, Default)]
pub(super) struct TransportRights {
    service_proxy: ReviewedRight<bool>,
    port_forward: ReviewedRight<PortForwardRight>,
    options: ReviewedRight<bool>,
}

/// What the API server said of a right, and when.
#[derive(Debug)]
struct ReviewedRight<R>(Mutex<Option<(R, Instant)>>);

impl<R> Default for ReviewedRight<R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<R: Copy> ReviewedRight<R> {
    /// What was said, or is said now, to whoever asks first: what is given (`is_given`) stays so.
    async fn get_or_ask(
        &self,
        is_given: impl Fn(R) -> bool,
        ask: impl AsyncFnOnce() -> Result<R, ApiError>,
    ) -> Result<R, ApiError> {
        let mut said = self.0.lock().await;
        match *said {
            Some((right, at)) if is_given(right) || at.elapsed() < MAX_DENIAL_AGE => Ok(right),
            _ => {
                let right = ask().await?;
                *said = Some((right, Instant::now()));
                Ok(right)
            }
        }
    }
}

impl TransportRights {
    /// Whether anything can go by the service proxy. Where that cannot be found out, the attempt will show.
    pub(super) async fn service_proxy(&self, cluster: &Cluster, target: &Target) -> bool {
        let rule = proxy_rule("get", target);
        self.service_proxy.get_or_ask(|given| given, async || cluster.allows(&rule).await).await.unwrap_or(true)
    }

    /// How requests can go by port-forward, to Pods that are found by slices or, where the Service was read (`is_read`), by
    /// its selector. Where that cannot be found out, the attempt will show.
    /// `sees_slices` says that slices could be listed.
    pub(super) async fn port_forward(
        &self,
        cluster: &Cluster,
        namespace: &str,
        is_read: bool,
        sees_slices: bool,
    ) -> PortForwardRight {
        let ask = async || ask_port_forward(cluster, namespace, is_read, sees_slices).await;
        self.port_forward.get_or_ask(PortForwardRight::is_given, ask).await.unwrap_or(PortForwardRight::ByWebSocket)
    }

    /// Whether OPTIONS can go by the service proxy. Where that cannot be found out, the attempt will show.
    pub(super) async fn options(&self, cluster: &Cluster, target: &Target) -> bool {
        let rule = proxy_rule("*", target);
        self.options.get_or_ask(|given| given, async || cluster.allows(&rule).await).await.unwrap_or(true)
    }
}

fn proxy_rule(verb: &str, target: &Target) -> AccessRule {
    AccessRule::new(verb, "services/proxy", Some(&target.namespace)).named(Some(&target.id.to_string()))
}

fn forward_rule(verb: &str, namespace: &str) -> AccessRule {
    AccessRule::new(verb, "pods/portforward", Some(namespace))
}

fn slices_rule(namespace: &str) -> AccessRule {
    AccessRule::new("list", "endpointslices", Some(namespace)).group("discovery.k8s.io")
}

/// That there is no way in, where port-forward is `right`, and what to ask for: first the smaller right, which is the one on
/// this Service alone.
pub(super) fn no_way_in(target: &Target, via: Via, right: PortForwardRight) -> Error {
    let (service, namespace) = (target.service(), &target.namespace);
    let proxy = proxy_rule("get", target);
    let forward = match right {
        PortForwardRight::NoPods => slices_rule(namespace),
        _ => forward_rule("create", namespace),
    };
    let rules = match via {
        Via::Auto => vec![proxy, forward],
        Via::ServiceProxy => vec![proxy],
        Via::PortForward => vec![forward],
    };
    let lacking: Vec<&str> = rules.iter().map(|rule| rule.resource.as_str()).collect();
    let commands: Vec<String> = rules.iter().map(AccessRule::create_command).collect();
    Error::failed(format!("you may not open {service} in {namespace}: you lack {}", lacking.join(" and ")))
        .hint(hint_to_ask(&commands))
}

/// Each of `commands` is enough.
fn hint_to_ask(commands: &[String]) -> String {
    let which = if commands.len() > 1 { "one of these" } else { "this" };
    format!("ask for {which}: {}", commands.join(", or "))
}

async fn ask_port_forward(
    cluster: &Cluster,
    namespace: &str,
    is_read: bool,
    sees_slices: bool,
) -> Result<PortForwardRight, ApiError> {
    let [get, create] = ["get", "create"].map(|verb| forward_rule(verb, namespace));
    let (get, create, finds_pods) = tokio::try_join!(
        cluster.allows(&get),
        cluster.allows(&create),
        may_find_pods(cluster, namespace, is_read, sees_slices),
    )?;
    let right = match (get, create) {
        (false, false) => PortForwardRight::Nothing,
        (true, false) if !is_old(cluster).await? => PortForwardRight::Nothing,
        _ if !finds_pods => PortForwardRight::NoPods,
        (false, true) => PortForwardRight::BySpdy,
        (true, _) => PortForwardRight::ByWebSocket,
    };
    tracing::info!(?right, "asked whether port-forward is allowed");
    Ok(right)
}

async fn may_find_pods(cluster: &Cluster, namespace: &str, is_read: bool, sees_slices: bool) -> Result<bool, ApiError> {
    if sees_slices {
        return Ok(true);
    }
    let (slices, pods) = (slices_rule(namespace), AccessRule::new("list", "pods", Some(namespace)));
    let (slices, pods) = tokio::try_join!(cluster.allows(&slices), cluster.allows(&pods))?;
    Ok(slices || (pods && is_read))
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

    #[tokio::test(start_paused = true)]
    async fn a_right_that_is_not_given_is_asked_for_again() {
        let right = ReviewedRight::default();
        let get = async |says: bool| right.get_or_ask(|given| given, async || Ok(says)).await.unwrap();
        assert!(!get(false).await && !get(true).await);
        tokio::time::advance(MAX_DENIAL_AGE).await;
        assert!(get(true).await && get(false).await);
        tokio::time::advance(MAX_DENIAL_AGE).await;
        assert!(get(false).await);
    }

    #[test]
    fn what_to_ask_for() {
        let commands = ["kubectl create role a", "kubectl create role b"].map(str::to_owned);
        assert_eq!(hint_to_ask(&commands), "ask for one of these: kubectl create role a, or kubectl create role b");
        assert_eq!(hint_to_ask(&commands[..1]), "ask for this: kubectl create role a");
    }

    #[test]
    fn minor_versions() {
        assert_eq!(minor("34"), Some(34));
        assert_eq!(minor("34+"), Some(34));
        assert_eq!(minor(""), None);
    }
}
