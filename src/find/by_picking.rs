//! What the picker is fed with, and what becomes of the choice.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::missing_namespace::missing_namespace;
use super::picker::row::PickerRow;
use super::picker::state::ReadinessLookup;
use super::picker::{PickedPort, PickerArrival, PickerFeed};
use super::scan::{ServiceScan, scan_services, scopes_text};
use super::{FoundTarget, choose_port_of, refusal, unlisted};
use crate::cluster::{ApiError, Cluster, Scope};
use crate::error::Error;
use crate::service::Target;
use crate::service::choose_port::{ChoiceReason, TargetWish};

/// Pages that may wait while the screen is being drawn.
const MAX_WAITING_ARRIVALS: usize = 4;

/// What the picker shows, and where it is from.
#[derive(Debug, Clone)]
pub(super) struct PickerSource {
    /// Whose Services.
    pub cluster: Cluster,
    /// The namespaces asked for.
    pub scope: Scope,
    /// Label selector.
    pub selector: Option<String>,
    /// The namespaces to look in where all may not be listed.
    pub visited: Vec<String>,
}

impl PickerSource {
    /// Begins to ask.
    pub(super) fn feed(&self) -> PickerFeed {
        let (sender, arrivals) = mpsc::channel(MAX_WAITING_ARRIVALS);
        let feeder = AbortOnDropHandle::new(tokio::spawn(send_all(self.clone(), sender)));
        PickerFeed { arrivals, feeder }
    }
}

/// Sends what there is until all is sent or nobody listens any more.
async fn send_all(source: PickerSource, sender: mpsc::Sender<PickerArrival>) {
    let PickerSource { cluster, scope, selector, visited } = source;
    let ServiceScan { scopes, narrowed, mut portions } =
        match scan_services(&cluster, scope.clone(), selector.as_deref(), &visited).await {
            Ok(sweep) => sweep,
            Err(error) => return drop(sender.send(not_listed(error, &scope, selector.as_deref())).await),
        };
    if let Some(why) = narrowed {
        let listed = scopes.iter().filter_map(Scope::namespace).map(str::to_owned).collect();
        let _ = sender.send(PickerArrival::Narrowed { scope: scopes_text(&scopes), listed, why }).await;
    }
    let services = async {
        let mut is_empty = true;
        while let Some(page) = portions.next().await {
            is_empty &= page.as_ref().is_ok_and(Vec::is_empty);
            let arrival = page.map_or_else(|error| PickerArrival::Failed(error.into()), PickerArrival::Services);
            if sender.send(arrival).await.is_err() {
                return;
            }
        }
        let end = match &scope {
            Scope::Namespace(namespace) if is_empty => missing_namespace(&cluster, namespace, &visited).await,
            _ => None,
        };
        let _ = sender.send(end.map_or(PickerArrival::ServicesComplete, PickerArrival::Failed)).await;
    };
    let endpoints = async {
        // Without the right to know, or without an answer, the column stays empty.
        if let Ok(table) = cluster.readiness(&scopes).await {
            let of = move |row: &PickerRow| table.get(&row.namespace, &row.name, row.port().as_ref());
            let _ = sender.send(PickerArrival::Readiness(ReadinessLookup(Box::new(of)))).await;
        }
    };
    tokio::join!(services, endpoints);
}

fn not_listed(error: ApiError, scope: &Scope, selector: Option<&str>) -> PickerArrival {
    let is_refused = matches!(error, ApiError::Forbidden { .. });
    let error = unlisted(error, selector);
    if is_refused {
        return PickerArrival::NotListed(scope.namespace().map(str::to_owned), error);
    }
    PickerArrival::Failed(error)
}

/// The Target of a row; flags go before what the row says.
///
/// # Errors
/// When the port that a flag names is none of the Service's.
pub(super) fn target_of(picked: PickedPort, wish: &TargetWish) -> Result<FoundTarget, Error> {
    let PickedPort { service, mut choice } = picked;
    if wish.port.is_some() {
        return choose_port_of(&service, wish, None).map_err(|refused| refusal(&service, &refused));
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
