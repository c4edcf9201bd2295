//! The story of one run: connect, find, choose, bind, say, open, serve, drain.

use crate::announce;
use crate::cluster::{Cluster, ConnectFlags, Environment};
use crate::command::Urls;
use crate::error::{Error, Exit};
use crate::find::{self, Found, Outcome};
use crate::output::Output;
use crate::plan::{Named, Open, Plan, ReadyFormat, Wanted};
use crate::serving;
use crate::shutdown::Signals;
use crate::upstream;

/// Does what `plan` says.
///
/// # Errors
/// Whatever ends the run before its time, in the user's words.
pub async fn run(plan: Plan, connect: ConnectFlags, environment: Environment, output: &Output) -> Result<Exit, Error> {
    let cluster = Cluster::load(&connect, &environment).await?;
    match plan {
        Plan::Open(open) => open_services(&cluster, &open, output).await,
        Plan::List(list) => Err(Error::failed(format!("not built yet: {list:?}"))),
    }
}

async fn open_services(cluster: &Cluster, plan: &Open, output: &Output) -> Result<Exit, Error> {
    let found = find_wanted(cluster, plan).await?;
    let listener = serving::bind(cluster, plan, &found).await?;
    let log = serving::request_log(plan, output);
    let local = serving::local(cluster, plan, &found, log, |found| upstream::open(cluster, &found.target))?;
    let ready = serving::ready(cluster, plan, &found, &local, &listener);
    if plan.dry_run {
        explain(plan, &found, &ready, output);
        return Ok(Exit::Ok);
    }
    let signals = Signals::listen().map_err(|error| Error::failed(format!("cannot listen for signals: {error}")))?;
    serving::say(cluster, plan, &found, &ready, &listener, output);
    serving::open_browser(plan, &local, &listener, output);
    let urls = Urls { url: ready[0].proxy_url.clone(), site_url: ready[0].site_url.clone() };
    serving::until_told_to_stop(plan, local, listener, signals, urls, output).await
}

async fn find_wanted(cluster: &Cluster, plan: &Open) -> Result<Vec<Found>, Error> {
    match &plan.wanted {
        Wanted::Named(names) => find_named(cluster, plan, names).await,
        Wanted::Pick(_) | Wanted::Last => Err(Error::failed("not built yet")),
    }
}

async fn find_named(cluster: &Cluster, plan: &Open, names: &[Named]) -> Result<Vec<Found>, Error> {
    let mut all: Vec<Found> = Vec::new();
    for named in names {
        let found = match find::find(cluster, &plan.search, named).await? {
            Outcome::Found(found) => *found,
            Outcome::SeveralServices(services) => return Err(find::several_services(named, &services)),
            Outcome::SeveralPorts(service, ports) => return Err(find::several_ports(&service, ports)),
        };
        if all.iter().all(|other| other.target != found.target) {
            all.push(found);
        }
    }
    Ok(all)
}

fn explain(plan: &Open, found: &[Found], ready: &[announce::Ready], output: &Output) {
    for (found, ready) in found.iter().zip(ready) {
        match plan.ready {
            ReadyFormat::Text => announce::explanation(found, ready).iter().for_each(|line| output.data(line)),
            format => output.data(&ready.line(format)),
        }
    }
}
