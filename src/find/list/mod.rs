//! `--list`: what could be opened, page by page as it arrives.

mod nothing_listed;
mod ready_column;
mod list_text;

use futures_util::TryStreamExt;

use super::missing_namespace::missing_namespace;
use super::query::ServiceSearch;
use super::scan::{ServiceScan, scan_services};
use super::unlisted;
use crate::cluster::{Cluster, Scope};
use crate::error::Error;
use crate::terminal::output::{Output, OutputFormat};
use list_text::{ListContext, PrintedList};
use nothing_listed::EmptyList;
use ready_column::ReadyColumn;

/// What `kubectl cluster-info` looks for (kubectl `pkg/cmd/clusterinfo`).
const BUILTIN_SELECTOR: &str = "kubernetes.io/cluster-service=true";
/// Where it looks.
const BUILTIN_NAMESPACE: &str = "kube-system";

/// Listing Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlan {
    /// Where to look.
    pub search: ServiceSearch,
    /// Only what `kubectl cluster-info` shows.
    pub builtin: bool,
    /// How it is printed.
    pub format: OutputFormat,
    /// Only names that contain this.
    pub filter: Option<String>,
    /// The local port of the URLs.
    pub port: u16,
    /// Whether a person reads it.
    pub for_person: bool,
}

/// Prints the list. `others` are the namespaces to look in where all may not be listed; `now` is in seconds since the
/// Unix epoch.
///
/// # Errors
/// When the API server cannot be asked or refuses.
pub async fn list(
    cluster: &Cluster,
    plan: &ListPlan,
    others: &[String],
    now: i64,
    output: &Output,
) -> Result<(), Error> {
    let selector = selector(plan);
    let scope = scope(cluster, plan);
    let ready = (plan.format != OutputFormat::Name).then(|| ReadyColumn::of_scope(cluster, &scope));
    let sweep = scan_services(cluster, scope, selector.as_deref(), others)
        .await
        .map_err(|error| unlisted(error, selector.as_deref()))?;
    if let Some(why) = &sweep.narrowed {
        output.print_warning(why);
    }
    let ready = ready.map(|ready| ready.narrowed_to(cluster, &sweep.scopes));
    let about = ListContext {
        format: plan.format,
        context: cluster.context().map(str::to_owned),
        server: cluster.server().to_owned(),
        several_namespaces: sweep.scopes.len() > 1 || sweep.scopes.contains(&Scope::All),
        local: format!("http://127.0.0.1:{}", plan.port),
        now,
        columns: plan.for_person.then(Output::data_columns),
    };
    let is_place_typed = plan.search.namespace.is_some() || plan.search.all_namespaces;
    let nothing = EmptyList::new(plan.filter.as_deref(), selector.as_deref(), is_place_typed);
    let scopes = sweep.scopes.clone();
    let printed = print(sweep, nothing, ready, PrintedList::new(about), output).await?;
    let Some(sentence) = printed.said_of_nothing else { return Ok(()) };
    let missing = match &scopes[..] {
        [Scope::Namespace(namespace)] if printed.is_empty_place => missing_namespace(cluster, namespace, others).await,
        _ => None,
    };
    match missing {
        Some(missing) => output.print_warning(&missing.one_line()),
        None => output.print_notice(&sentence),
    }
    Ok(())
}

/// What became of a list.
struct ListEnd {
    /// What to say where nothing was listed.
    said_of_nothing: Option<String>,
    /// Whether there is no Service at all where it was looked.
    is_empty_place: bool,
}

/// Prints what there is.
async fn print(
    sweep: ServiceScan,
    mut nothing: EmptyList<'_>,
    mut ready: Option<ReadyColumn>,
    mut listing: PrintedList,
    output: &Output,
) -> Result<ListEnd, Error> {
    let ServiceScan { scopes, mut portions, .. } = sweep;
    let (mut found_any, mut is_empty_place) = (false, true);
    while let Some(mut page) = portions.try_next().await? {
        is_empty_place &= page.is_empty();
        if !found_any {
            nothing.look_at(&page);
        }
        page.retain(|service| nothing.is_wanted(service));
        found_any |= !page.is_empty();
        let page = match &mut ready {
            Some(ready) => ready.fill_in(page, output).await,
            None => page.into_iter().map(|service| (service, None)).collect(),
        };
        if output.pages(&listing.page(&page)).is_err() {
            return Ok(ListEnd { said_of_nothing: None, is_empty_place });
        }
    }
    // Whoever closed stdout has seen enough.
    let _ = output.pages(&listing.end());
    Ok(ListEnd { said_of_nothing: (!found_any).then(|| nothing.sentence(&scopes)), is_empty_place })
}

fn scope(cluster: &Cluster, plan: &ListPlan) -> Scope {
    if plan.search.all_namespaces {
        Scope::All
    } else if plan.builtin && plan.search.namespace.is_none() {
        Scope::Namespace(BUILTIN_NAMESPACE.to_owned())
    } else {
        Scope::Namespace(plan.search.namespace.clone().unwrap_or_else(|| cluster.namespace().to_owned()))
    }
}

fn selector(plan: &ListPlan) -> Option<String> {
    match (&plan.search.selector, plan.builtin) {
        (selector, false) => selector.clone(),
        (None, true) => Some(BUILTIN_SELECTOR.to_owned()),
        (Some(selector), true) => Some(format!("{selector},{BUILTIN_SELECTOR}")),
    }
}
