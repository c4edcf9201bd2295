//! The story of one run: connect, find, choose, bind, say, open, serve, drain.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;

use super::open;
use super::plan::{OpenPlan, Plan};
use super::ready_line;
use crate::cluster::{Cluster, ConnectFlags, ProcessEnvironment};
use crate::error::{Error, Exit};
use crate::find::FoundTarget;
use crate::find::history::History;
use crate::find::list::list;
use crate::find::resolve::TargetResolver;
use crate::service::Target;
use crate::terminal::command::ServedUrls;
use crate::terminal::output::{Output, OutputFormat};
use crate::terminal::signals::StopSignals;

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
    let history = History::new(history_folder, &cluster);
    match plan {
        Plan::Open(open) => open_services(&cluster, &open, history, output).await,
        Plan::List(plan) => {
            let recalled = history.recall();
            if let Some(warning) = &recalled.warning {
                output.print_warning(warning);
            }
            let visited: Vec<String> = recalled.entries.into_iter().map(|entry| entry.namespace).collect();
            list(&cluster, &plan, &visited, now(), output).await.map(|()| Exit::Ok)
        }
    }
}

async fn open_services(cluster: &Cluster, plan: &OpenPlan, history: History, output: &Output) -> Result<Exit, Error> {
    let mut signals =
        StopSignals::listen().map_err(|error| Error::failed(format!("cannot listen for signals: {error}")))?;
    let choosing = TargetResolver {
        cluster,
        query: &plan.query,
        can_prompt: plan.can_prompt,
        history: &history,
        now: now(),
        output,
    };
    let found = choosing.targets(&mut signals).await?;
    let listener = open::bind(cluster, plan, &found).await?;
    let log = open::request_log(plan, output);
    let ways = open::transports(cluster, plan, &found, output)?;
    let local = open::local_proxy(cluster, plan, &found, log, &ways)?;
    let ready = open::ready(cluster, plan, &found, &local, &listener);
    if plan.dry_run {
        explain(plan, &found, &ready, output);
        return Ok(Exit::Ok);
    }
    open::wait_until_ready(cluster, plan, &found, &mut signals, output).await?;
    let remembered = remember(history, &found, output);
    open::print_ready(cluster, plan, &found, &ready, &listener, output);
    open::open_browser(plan, &local, &listener, output);
    let urls = ServedUrls { url: ready[0].proxy_url.clone(), site_url: ready[0].site_url.clone() };
    let watching = open::watch(cluster, &found, &ways, output);
    let exit = open::serve_until_stopped(plan, local, listener, signals, urls, &ways, output).await;
    drop(watching);
    let _ = remembered.await;
    exit
}

/// Beside everything else: a slow disk must not hold up the browser.
fn remember(history: History, found: &[FoundTarget], output: &Output) -> JoinHandle<()> {
    let targets: Vec<Target> = found.iter().map(|found| found.target.clone()).collect();
    let output = output.clone();
    tokio::task::spawn_blocking(move || {
        if let Some(warning) = history.remember(&targets) {
            output.print_warning(&warning);
        }
    })
}

/// Seconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn explain(plan: &OpenPlan, found: &[FoundTarget], ready: &[ready_line::ReadyLine], output: &Output) {
    for (found, ready) in found.iter().zip(ready) {
        match plan.format {
            OutputFormat::Text => ready_line::explanation(found, ready).iter().for_each(|line| output.print_data(line)),
            format => output.print_data(&ready.line(format)),
        }
    }
}
