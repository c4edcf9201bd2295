//! `--list`: what could be opened, page by page as it arrives.

mod text;

use futures_util::TryStreamExt;

use crate::cluster::{Cluster, Scope};
use crate::error::Error;
use crate::find::sweep::{ReadinessBoard, Sweep, readiness, scopes_text, sweep};
use crate::output::Output;
use crate::plan::{List, ListFormat};
use crate::serving::DEFAULT_PORT;
use text::{About, Listing};

/// What `kubectl cluster-info` looks for (kubectl `pkg/cmd/clusterinfo`).
const BUILTIN_SELECTOR: &str = "kubernetes.io/cluster-service=true";
/// Where it looks.
const BUILTIN_NAMESPACE: &str = "kube-system";

/// Prints the list. `others` are the namespaces to look in where all may not be listed; `now` is in seconds since the
/// Unix epoch.
///
/// # Errors
/// When the API server cannot be asked or refuses.
pub async fn list(cluster: &Cluster, plan: &List, others: &[String], now: i64, output: &Output) -> Result<(), Error> {
    let sweep = sweep(cluster, scope(cluster, plan), selector(plan).as_deref(), others).await?;
    if let Some(why) = &sweep.narrowed {
        output.warn(why);
    }
    let board = if plan.format == ListFormat::Name { None } else { board(cluster, &sweep.scopes, output).await };
    let about = About {
        format: plan.format,
        context: cluster.context().map(str::to_owned),
        server: cluster.server().to_owned(),
        several_namespaces: sweep.scopes.len() > 1 || sweep.scopes.contains(&Scope::All),
        local: format!("http://127.0.0.1:{DEFAULT_PORT}"),
        now,
    };
    print(sweep, plan.filter.as_deref(), board.as_ref(), Listing::new(about), output).await
}

async fn print(
    sweep: Sweep,
    filter: Option<&str>,
    board: Option<&ReadinessBoard>,
    mut listing: Listing,
    output: &Output,
) -> Result<(), Error> {
    let Sweep { scopes, mut pages, .. } = sweep;
    let mut found_any = false;
    while let Some(mut page) = pages.try_next().await? {
        page.retain(|service| filter.is_none_or(|part| service.name.contains(part)));
        found_any |= !page.is_empty();
        let text = listing.page(&page, |service| board.and_then(|board| board.of(service)));
        if output.pages(&text).is_err() {
            return Ok(());
        }
    }
    // Whoever closed stdout has seen enough.
    let _ = output.pages(&listing.end());
    if !found_any {
        output.say(&format!("No Services found in {}.", scopes_text(&scopes)));
    }
    Ok(())
}

fn scope(cluster: &Cluster, plan: &List) -> Scope {
    if plan.search.all_namespaces {
        Scope::All
    } else if plan.builtin && plan.search.namespace.is_none() {
        Scope::Namespace(BUILTIN_NAMESPACE.to_owned())
    } else {
        Scope::Namespace(cluster.namespace().to_owned())
    }
}

fn selector(plan: &List) -> Option<String> {
    match (&plan.search.selector, plan.builtin) {
        (selector, false) => selector.clone(),
        (None, true) => Some(BUILTIN_SELECTOR.to_owned()),
        (Some(selector), true) => Some(format!("{selector},{BUILTIN_SELECTOR}")),
    }
}

/// Readiness is worth a column, not a failure.
async fn board(cluster: &Cluster, scopes: &[Scope], output: &Output) -> Option<ReadinessBoard> {
    match readiness(cluster, scopes).await {
        Ok(Some(board)) => Some(board),
        Ok(None) => {
            output.whisper("READY is not known: you may not list endpointslices");
            None
        }
        Err(error) => {
            output.whisper(&format!("READY is not known: {error}"));
            None
        }
    }
}
