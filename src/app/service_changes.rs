//! What happens to an open Service while it is served: endpoints come and go, ports change, it is deleted.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;

use crate::cluster::api::endpoint_slices::{ready, wanted_port};
use crate::cluster::{ApiError, Cluster};
use crate::error::Error;
use crate::proxy::upstream::Dispatcher;
use crate::service::{Readiness, ServicePort, Target};
use crate::terminal::output::Output;
use crate::terminal::styled_text::TextTone;

/// What is seen of a Service; `None` where nothing has been seen yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenService {
    /// How many of its endpoints are ready.
    pub ready: Option<usize>,
    /// Whether it is there.
    pub is_there: Option<bool>,
    /// Its ports when it was last there.
    pub ports: Option<Vec<ServicePort>>,
}

/// Something that the user wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceChange {
    /// There is no ready endpoint, or no longer one.
    NothingReady,
    /// There are ready endpoints again.
    ReadyAgain(usize),
    /// The port that is open is not there any more, or leads elsewhere.
    PortChanged,
    /// The Service is gone.
    Deleted,
    /// The Service is back.
    Recreated,
}

impl ServiceChange {
    /// One line about `target`.
    pub fn line(&self, target: &Target) -> String {
        let what = match self {
            Self::NothingReady => "has no ready endpoint",
            Self::ReadyAgain(1) => "has a ready endpoint again",
            Self::ReadyAgain(count) => &format!("has {count} ready endpoints again"),
            Self::PortChanged => "has changed its ports: start again to open the new one",
            Self::Deleted => "has been deleted",
            Self::Recreated => "is there again",
        };
        format!("{} in {} {what}", target.service(), target.namespace)
    }

    fn tone(&self) -> TextTone {
        match self {
            Self::NothingReady | Self::Deleted => TextTone::Bad,
            Self::PortChanged => TextTone::Doubtful,
            Self::ReadyAgain(_) | Self::Recreated => TextTone::Good,
        }
    }
}

/// What there is to tell about `target` when `old` has become `new`. Pure.
pub fn changes(target: &Target, old: &SeenService, new: &SeenService) -> Vec<ServiceChange> {
    let mut changes = Vec::new();
    match (old.is_there, new.is_there) {
        (Some(true), Some(false)) => changes.push(ServiceChange::Deleted),
        (Some(false), Some(true)) => changes.push(ServiceChange::Recreated),
        _ => {}
    }
    if let (Some(old), Some(new)) = (&old.ports, &new.ports)
        && open_port(target, old) != open_port(target, new)
    {
        changes.push(ServiceChange::PortChanged);
    }
    match (old.ready, new.ready) {
        (None | Some(1..), Some(0)) => changes.push(ServiceChange::NothingReady),
        (Some(0), Some(count @ 1..)) => changes.push(ServiceChange::ReadyAgain(count)),
        _ => {}
    }
    changes
}

/// What of the open port decides where requests go: which one it is, and the port of the Pods behind it. Pure.
fn open_port<'a>(target: &Target, ports: &'a [ServicePort]) -> Option<(Option<&'a str>, u16, String)> {
    let open = target.port.as_ref()?;
    let port = ports.iter().find(|port| port.name == open.name && port.number == open.number)?;
    let behind = port.target_port.as_ref().map_or_else(|| port.number.to_string(), ToString::to_string);
    Some((port.name.as_deref(), port.number, behind))
}

/// Prints every change of `target` after it was `seen`, and tells `transport` of its endpoints, as long as the user
/// may see them and it is polled.
pub async fn report_changes(
    cluster: Cluster,
    target: Target,
    transport: Dispatcher,
    mut seen: SeenService,
    output: Output,
) {
    let port = wanted_port(&target);
    let mut endpoints = pin!(cluster.watch_endpoints(&target.namespace, target.service()).fuse());
    let mut services = pin!(cluster.watch_service(&target.namespace, target.service()).fuse());
    loop {
        let mut now = seen.clone();
        tokio::select! {
            Some(slices) = endpoints.next() => {
                let Ok(slices) = slices else {
                    transport.is_unwatched();
                    continue;
                };
                now.ready = Some(ready(&slices, &port).ready);
                transport.follow(&slices).await;
            }
            Some(services) = services.next() => {
                let Ok(services) = services else { continue };
                // Not everything that passes for an API server selects by name.
                let found = services.into_iter().find(|service| service.name == target.service());
                now.is_there = Some(found.is_some());
                now.ports = found.map(|service| service.ports).or(now.ports);
            }
            else => return transport.is_unwatched(),
        }
        changes(&target, &seen, &now)
            .iter()
            .for_each(|change| output.print_event(change.tone(), &change.line(&target)));
        seen = now;
    }
}

/// Waits until `target` has a ready endpoint, at most `limit`, and tells what was `seen`.
///
/// # Errors
/// When there is none in time, or the endpoints may not be seen.
pub async fn wait_for_endpoint(
    cluster: &Cluster,
    target: &Target,
    limit: Duration,
    seen: &watch::Sender<Option<Readiness>>,
) -> Result<(), Error> {
    tokio::time::timeout(limit, ready_endpoint(cluster, target, seen)).await.unwrap_or_else(|_| {
        let (service, namespace, seconds) = (target.service(), &target.namespace, limit.as_secs());
        let message =
            format!("Service \"{service}\" in namespace {namespace} still has no ready endpoint after {seconds} s");
        Err(Error::failed(message).hint(format!("kubectl -n {namespace} get pods shows why")))
    })
}

async fn ready_endpoint(
    cluster: &Cluster,
    target: &Target,
    seen: &watch::Sender<Option<Readiness>>,
) -> Result<(), Error> {
    let port = wanted_port(target);
    let mut slices = pin!(cluster.watch_endpoints(&target.namespace, target.service()));
    while let Some(changed) = slices.next().await {
        let count = changed.as_ref().ok().map(|slices| ready(slices, &port));
        seen.send_if_modified(|seen| count.is_some_and(|count| seen.replace(count) != Some(count)));
        match changed {
            Ok(slices) if ready(&slices, &port).ready > 0 => return Ok(()),
            Err(error @ (ApiError::Forbidden { .. } | ApiError::Unseen(_) | ApiError::Unauthorized)) => Err(error)?,
            Ok(_) | Err(_) => {}
        }
    }
    Err(Error::failed("the endpoints cannot be watched, so --wait cannot tell when one is ready"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{PortRef, Protocol};
    use crate::service::{Scheme, ServiceId, TargetPort};

    fn port(name: &str, number: u16, behind: u16) -> ServicePort {
        ServicePort {
            name: Some(name.to_owned()),
            number,
            protocol: Protocol::Tcp,
            app_protocol: None,
            target_port: Some(PortRef::Number(behind)),
            node_port: None,
        }
    }

    fn check(old: &SeenService, new: &SeenService, expect: &[ServiceChange]) {
        let id: ServiceId = "web:http".parse().unwrap();
        let port = TargetPort { name: Some("http".to_owned()), number: 80, target_port: None, has_siblings: false };
        let target =
            Target { namespace: "ns".to_owned(), id, port: Some(port), scheme: Scheme::Http, path: "/".to_owned() };
        assert_eq!(changes(&target, old, new), expect, "{old:?} -> {new:?}");
    }

    fn ready(ready: Option<usize>) -> SeenService {
        SeenService { ready, ..SeenService::default() }
    }

    fn seen(is_there: Option<bool>, ports: Option<&[ServicePort]>) -> SeenService {
        SeenService { is_there, ports: ports.map(<[ServicePort]>::to_vec), ready: None }
    }

    #[test]
    fn endpoints() {
        check(&ready(None), &ready(Some(2)), &[]);
        check(&ready(None), &ready(Some(0)), &[ServiceChange::NothingReady]);
        check(&ready(Some(1)), &ready(Some(0)), &[ServiceChange::NothingReady]);
        check(&ready(Some(0)), &ready(Some(0)), &[]);
        check(&ready(Some(0)), &ready(Some(2)), &[ServiceChange::ReadyAgain(2)]);
        check(&ready(Some(1)), &ready(Some(2)), &[]);
    }

    #[test]
    fn the_service() {
        let (one, other, more) =
            ([port("http", 80, 8080)], [port("http", 80, 9090)], [port("http", 80, 8080), port("x", 1, 1)]);
        let there = |ports: &[ServicePort]| seen(Some(true), Some(ports));
        let gone = seen(Some(false), Some(&one));
        check(&seen(None, None), &there(&one), &[]);
        check(&seen(None, None), &seen(Some(false), None), &[]);
        check(&there(&one), &gone, &[ServiceChange::Deleted]);
        check(&gone, &there(&one), &[ServiceChange::Recreated]);
        check(&gone, &there(&other), &[ServiceChange::Recreated, ServiceChange::PortChanged]);
        check(&there(&one), &there(&other), &[ServiceChange::PortChanged]);
        check(&there(&one), &there(&[]), &[ServiceChange::PortChanged]);
        check(&there(&one), &there(&more), &[]);
    }
}
