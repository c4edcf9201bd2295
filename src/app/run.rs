//! The story of one run: connect, find, choose, bind, say, open, serve, drain.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::local_https::LocalHttps;
use super::open::{OpenService, ServingSession};
use super::plan::{OpenPlan, Plan};
use crate::cluster::{Cluster, ConnectFlags, EndpointsAhead, ProcessEnvironment, contexts_at};
use crate::error::{Error, Exit};
use crate::find::history::History;
use crate::find::list::list;
use crate::find::query::WantedServices;
use crate::find::resolve::TargetResolver;
use crate::proxy::upstream::learn_routing;
use crate::service::Target;
use crate::terminal::command;
use crate::terminal::output::Output;
use crate::terminal::signals::StopSignals;

/// How long the end waits for the history to be written.
const HISTORY_GRACE: Duration = Duration::from_millis(400);

/// Does what `plan` says.
///
/// # Errors
/// Whatever ends the run before its time, in the user's words.
pub async fn run(
    plan: Plan,
    connect: ConnectFlags,
    environment: ProcessEnvironment,
    history_folder: Option<PathBuf>,
    output: &Output,
) -> Result<Exit, Error> {
    let cluster = Cluster::load(&connect, &environment).await?;
    check_servers(&plan, &cluster, &connect, &environment, output)?;
    let history = History::new(history_folder.clone(), &cluster);
    match plan {
        Plan::Open(open) => {
            command::check(&open.command, &environment.search_path)?;
            let https = LocalHttps::of(&open, history_folder.as_deref())?;
            if !open.dry_run {
                cluster.api().keep_ready();
                tokio::spawn(learn_routing(cluster.api().clone()));
            }
            open_services(&cluster, &open, history, https.as_ref(), output).await
        }
        Plan::List(plan) => {
            let recalled = history.recall().await;
            if let Some(warning) = &recalled.warning {
                output.print_warning(warning);
            }
            let visited: Vec<String> = recalled.entries.into_iter().map(|entry| entry.namespace).collect();
            list(&cluster, &plan, &visited, now(), output).await.map(|()| Exit::Ok)
        }
    }
}

/// A proxy URL names its API server, and that may be another one's.
fn check_servers(
    plan: &Plan,
    cluster: &Cluster,
    connect: &ConnectFlags,
    environment: &ProcessEnvironment,
    output: &Output,
) -> Result<(), Error> {
    let Plan::Open(open) = plan else { return Ok(()) };
    let WantedServices::Named(names) = &open.query.wanted else { return Ok(()) };
    let others = names.iter().filter_map(|named| named.spelling.server.as_deref());
    for server in others.filter(|server| server.trim_end_matches('/') != cluster.server().trim_end_matches('/')) {
        let contexts = contexts_at(server, connect, environment)?;
        let said = format!("that URL is of the API server {server}, not of {}", cluster.server());
        match &contexts[..] {
            // It may be another name of the same.
            [] => output.print_warning(&format!("{said}: it is looked for there")),
            contexts => return Err(Error::usage(said).hint(format!("--context {}", contexts.join(" or --context ")))),
        }
    }
    Ok(())
}

async fn open_services(
    cluster: &Cluster,
    plan: &OpenPlan,
    history: History,
    https: Option<&LocalHttps>,
    output: &Output,
) -> Result<Exit, Error> {
    let mut signals =
        StopSignals::listen().map_err(|error| Error::failed(format!("cannot listen for signals: {error}")))?;
    output.set_aside().map_err(|_| Error::no_threads())?;
    let endpoints = EndpointsAhead::default();
    let resolver = TargetResolver {
        cluster,
        query: &plan.query,
        prompting: plan.prompting,
        history: &history,
        now: now(),
        endpoints: plan.wants_endpoints().then_some(&endpoints),
        output,
    };
    let session = ServingSession { cluster, plan, endpoints: &endpoints, output, https };
    let before = session.serve_guess(resolver.guess().await).await;
    let found = resolver.targets(&mut signals).await?;
    let (listener, before) = session.listener_for(&found, before).await?;
    let (mut local, services) = session.open(found, &listener)?;
    if plan.dry_run {
        session.explain(&services, &listener).await;
        return Ok(Exit::Ok);
    }
    session.check_rights(&services, &history).await?;
    session.wait_until_ready(&services, &mut signals).await?;
    before.iter().for_each(|before| before.settle(&mut local, &services[0].transport));
    let remembered = remember(history, &services, output);
    output.never_wait();
    let desk = session.announce(&local, &services, &listener).await;
    session.open_browser(&local, &services, &listener);
    let watching = session.watch(&services);
    let exit = session.serve_until_stopped(local, listener, &services, desk.as_ref(), before, signals).await;
    drop(watching);
    let _ = timeout(HISTORY_GRACE, remembered).await;
    exit
}

/// Beside everything else: a slow disk must not hold up the browser.
fn remember(history: History, services: &[OpenService], output: &Output) -> JoinHandle<()> {
    let targets: Vec<Target> = services.iter().map(|service| service.target.clone()).collect();
    let output = output.clone();
    tokio::spawn(async move { history.remember(&targets).await.iter().for_each(|text| output.print_warning(text)) })
}

/// Seconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
