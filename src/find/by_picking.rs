//! From the picker to Targets: what it is fed with, and what becomes of the choice.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::history::HistoryEntry;
use super::picker::frame::PickerPlace;
use super::picker::row::{PickerRow, RecentTarget};
use super::picker::state::ReadinessLookup;
use super::picker::{PickRequest, PickedPort, PickerArrival, pick};
use super::scan::{ServiceScan, scan_services, scopes_text};
use super::{FindOutcome, FoundTarget, choose_port_of, several_ports, unlisted};
use crate::cluster::{Cluster, Scope};
use crate::error::Error;
use crate::service::Target;
use crate::service::choose_port::{ChoiceReason, TargetWish};
use crate::terminal::signals::StopSignals;

/// Pages that may wait while the screen is being drawn.
const WAITING: usize = 4;

/// What is to be picked from.
#[derive(Debug, Clone)]
pub struct PickOffer<'a> {
    /// The first filter text.
    pub typed: &'a str,
    /// Where to look.
    pub scope: Scope,
    /// Label selector.
    pub selector: Option<&'a str>,
    /// What flags say of port, scheme and path.
    pub wish: &'a TargetWish,
    /// The Targets opened last, the latest first.
    pub recalled: &'a [HistoryEntry],
    /// Seconds since the Unix epoch.
    pub now: i64,
    /// Whether the terminal may show colours.
    pub colour: bool,
}

/// Lets the user pick, and makes Targets of what was picked.
///
/// # Errors
/// When the user leaves (exit code 130), or there is nothing to pick from.
pub async fn pick_targets(
    cluster: &Cluster,
    offer: &PickOffer<'_>,
    signals: &mut StopSignals,
) -> Result<Vec<FoundTarget>, Error> {
    let place = PickerPlace {
        context: cluster.context().map(str::to_owned),
        server: cluster.server().to_owned(),
        scope: scopes_text(std::slice::from_ref(&offer.scope)),
    };
    let ask = PickRequest {
        typed: offer.typed.to_owned(),
        place,
        recent: offer.recalled.iter().map(recent).collect(),
        now: offer.now,
        colour: offer.colour,
    };
    let (sender, arrivals) = mpsc::channel(WAITING);
    let others: Vec<String> = offer.recalled.iter().map(|entry| entry.namespace.clone()).collect();
    let feeder =
        tokio::spawn(feed(cluster.clone(), offer.scope.clone(), offer.selector.map(str::to_owned), others, sender));
    let picked = pick(ask, arrivals, signals).await;
    feeder.abort();
    picked?.into_iter().map(|picked| found(picked, offer.wish)).collect()
}

fn recent(entry: &HistoryEntry) -> RecentTarget {
    RecentTarget {
        namespace: entry.namespace.clone(),
        service: entry.id.name().to_owned(),
        port: entry.id.port().cloned(),
    }
}

/// Sends what there is until all is sent or nobody listens any more.
async fn feed(
    cluster: Cluster,
    scope: Scope,
    selector: Option<String>,
    others: Vec<String>,
    sender: mpsc::Sender<PickerArrival>,
) {
    let ServiceScan { scopes, narrowed, mut portions } =
        match scan_services(&cluster, scope, selector.as_deref(), &others).await {
            Ok(sweep) => sweep,
            Err(error) => return drop(sender.send(PickerArrival::Failed(unlisted(error, selector.as_deref()))).await),
        };
    if let Some(why) = narrowed {
        let _ = sender.send(PickerArrival::Scope(scopes_text(&scopes), why)).await;
    }
    let services = async {
        while let Some(page) = portions.next().await {
            let arrival = page.map_or_else(|error| PickerArrival::Failed(error.into()), PickerArrival::Services);
            if sender.send(arrival).await.is_err() {
                return;
            }
        }
        let _ = sender.send(PickerArrival::ServicesComplete).await;
    };
    let endpoints = async {
        // Without the right to know, or without an answer, the column stays empty.
        if let Ok(table) = cluster.readiness(&scopes).await {
            let of = move |row: &PickerRow| table.get(&row.service.namespace, &row.service.name, row.port().as_ref());
            let _ = sender.send(PickerArrival::Readiness(ReadinessLookup(Box::new(of)))).await;
        }
    };
    tokio::join!(services, endpoints);
}

/// The Target of a row; flags go before what the row says.
fn found(picked: PickedPort, wish: &TargetWish) -> Result<FoundTarget, Error> {
    let PickedPort { service, mut choice } = picked;
    if wish.port.is_some() {
        return match choose_port_of(Arc::unwrap_or_clone(service), wish, None)? {
            FindOutcome::Found(found) => Ok(*found),
            FindOutcome::SeveralServices(_) => unreachable!("one Service was picked"),
            FindOutcome::SeveralPorts(service, ports) => Err(several_ports(&service, ports)),
        };
    }
    if let Some(scheme) = wish.scheme {
        (choice.scheme, choice.why_scheme) = (scheme, ChoiceReason::Asked);
    }
    if let Some(path) = &wish.path {
        choice.path.clone_from(path);
    }
    let target = Target::new(&service, &choice, None);
    Ok(FoundTarget { target, read: Some((Arc::unwrap_or_clone(service), choice)) })
}
