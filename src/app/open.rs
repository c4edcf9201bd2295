//! From Targets to a listener with a site for each: bind, say, open the browser, serve until told to stop.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::args::{LogFormat, OriginFlag, ViaFlag};
use super::plan::{self, DEFAULT_PORT, OpenPlan};
use super::ready_line::{self, ReadyLine};
use super::request_line::RequestLine;
use super::service_changes;
use super::status_line::StatusLine;
use crate::cluster::Cluster;
use crate::error::{Error, Exit};
use crate::find::FoundTarget;
use crate::proxy::local::{GuardPolicy, LocalListener, LocalProxy, Origin, RequestLog, Site, TrafficStats, serve};
use crate::proxy::upstream::limitation::Via;
use crate::proxy::upstream::{self, Dispatcher, Notices};
use crate::service::{Target, served_paths, site_label};
use crate::terminal::browser::{self, BrowserOpening, NoBrowserReason};
use crate::terminal::command::{self, ServedUrls};
use crate::terminal::output::{Output, OutputFormat};
use crate::terminal::signals::StopSignals;

/// Local ports derived from a Target: below the range that systems give to outgoing connections.
const DERIVED_PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How long running requests may go on once the user wants to stop.
const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// Before watching begins: until then the first page has the machine and the connections to itself.
const WATCH_START_DELAY: Duration = Duration::from_secs(1);

/// Binds where `plan` says.
///
/// # Errors
/// When the address is taken, missing or not allowed.
pub async fn bind(cluster: &Cluster, plan: &OpenPlan, found: &[FoundTarget]) -> Result<LocalListener, Error> {
    let derived = found.first().map_or(0, |found| derived_port(cluster, &found.target));
    LocalListener::bind(&plan.listen, &[DEFAULT_PORT, derived, derived + 1, derived + 2]).await
}

/// The same port for the same Target on every run, so that bookmarks and cookies stay good.
fn derived_port(cluster: &Cluster, target: &Target) -> u16 {
    let label = label(cluster, target);
    let sum = label.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let width = u32::from(DERIVED_PORTS.end - DERIVED_PORTS.start);
    DERIVED_PORTS.start + u16::try_from(sum % width).expect("smaller than a range of ports")
}

fn label(cluster: &Cluster, target: &Target) -> String {
    site_label(cluster.server(), &target.proxy_path(), target.service(), &target.namespace)
}

/// Prints a line for each finished request, if `plan` says so.
pub fn request_log(plan: &OpenPlan, output: &Output) -> RequestLog {
    let format = plan.log_requests?;
    let output = output.clone();
    Some(Arc::new(move |record| {
        let line = RequestLine::new(record);
        match format {
            LogFormat::Text => output.print_notice(&line.text()),
            LogFormat::Json => output.print_notice(&line.json()),
        }
    }))
}

/// The way to each Target.
///
/// # Errors
/// When certificates are to be verified and the system trusts nobody.
pub fn transports(
    cluster: &Cluster,
    plan: &OpenPlan,
    found: &[FoundTarget],
    output: &Output,
) -> Result<Vec<Dispatcher>, Error> {
    let output = output.clone();
    let options = upstream::DispatchOptions {
        via: match plan.via {
            ViaFlag::Auto => Via::Auto,
            ViaFlag::ServiceProxy => Via::ServiceProxy,
            ViaFlag::PortForward => Via::PortForward,
        },
        verify_tls: plan.verify_tls,
        host_header: plan.host_header.clone(),
        notices: Notices::new(move |line| output.print_notice(line)),
    };
    let open = |found: &FoundTarget| {
        let service = found.read.as_ref().map(|(service, _)| service);
        Dispatcher::new(cluster, &found.target, service, options.clone())
    };
    found.iter().map(open).collect()
}

/// What is served: a site for each Target, under every spelling of its proxy path.
pub fn local_proxy(
    cluster: &Cluster,
    plan: &OpenPlan,
    found: &[FoundTarget],
    log: RequestLog,
    ways: &[Dispatcher],
) -> Result<LocalProxy, Error> {
    let targets: Vec<Target> = found.iter().map(|found| found.target.clone()).collect();
    let site = |((found, paths), way): ((&FoundTarget, Vec<String>), &Dispatcher)| Site {
        label: label(cluster, &found.target),
        title: format!("{} in {}", found.target.service(), found.target.namespace),
        paths,
        landing: found.target.path.clone(),
        upstream: Arc::new(way.clone()),
    };
    Ok(LocalProxy {
        sites: found.iter().zip(served_paths(&targets)).zip(ways).map(site).collect(),
        presentation: match plan.origin {
            OriginFlag::Site => Origin::Site,
            OriginFlag::Localhost => Origin::Localhost,
            OriginFlag::Path => Origin::Path,
        },
        policy: policy(&plan.guard)?,
        log,
        activity: TrafficStats::default(),
    })
}

fn policy(guard: &plan::GuardPlan) -> Result<GuardPolicy, Error> {
    Ok(GuardPolicy {
        read_only: guard.read_only,
        allow_hosts: guard.allow_hosts.clone(),
        allow_origins: guard.allow_origins.clone(),
        allow_other_users: guard.allow_other_users,
        token: guard.require_token.then(new_token).transpose()?,
    })
}

/// 128 random bits, more than anybody can try.
fn new_token() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::failed(format!("cannot make a random token: {error}")))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

/// The ready lines of `local`, in the order of `found`.
pub fn ready(
    cluster: &Cluster,
    plan: &OpenPlan,
    found: &[FoundTarget],
    local: &LocalProxy,
    listener: &LocalListener,
) -> Vec<ReadyLine> {
    let line = |(found, site): (&FoundTarget, &Site)| ReadyLine {
        context: cluster.context().map(str::to_owned),
        server: cluster.server().to_owned(),
        namespace: found.target.namespace.clone(),
        service: found.target.service().to_owned(),
        port: ready_line::port_text(&found.target),
        scheme: found.target.scheme.as_str(),
        via: match plan.via {
            ViaFlag::Auto => "auto",
            ViaFlag::ServiceProxy => "service-proxy",
            ViaFlag::PortForward => "port-forward",
        },
        proxy_url: local.proxy_url(site, listener),
        site_url: local.site_url(site, listener),
    };
    found.iter().zip(&local.sites).map(line).collect()
}

/// Waits for a ready endpoint of each Target, if `plan` says so.
///
/// # Errors
/// When there is none in time, or the user does not want to wait any more.
pub async fn wait_until_ready(
    cluster: &Cluster,
    plan: &OpenPlan,
    found: &[FoundTarget],
    signals: &mut StopSignals,
    output: &Output,
) -> Result<(), Error> {
    let Some(limit) = plan.wait else { return Ok(()) };
    output.print_hint("waiting for a ready endpoint");
    let all_ready =
        try_join_all(found.iter().map(|found| service_changes::wait_for_endpoint(cluster, &found.target, limit)));
    tokio::select! {
        outcome = all_ready => outcome.map(drop),
        _ = signals.next() => Err(Error::cancelled()),
    }
}

/// Tells what happens to each Target, and each of `ways` about its endpoints, rights permitting, until the result is
/// dropped.
pub fn watch(cluster: &Cluster, found: &[FoundTarget], ways: &[Dispatcher], output: &Output) -> JoinSet<()> {
    let mut watching = JoinSet::new();
    for (FoundTarget { target, read }, way) in found.iter().zip(ways) {
        let seen = service_changes::SeenService::at_start(read.as_ref().map(|(service, _)| service));
        let (target, told, output) = (target.clone(), target.clone(), output.clone());
        let tell = move |change: &service_changes::ServiceChange| output.print_notice(&change.line(&told));
        let (cluster, way) = (cluster.clone(), way.clone());
        watching.spawn(async move {
            way.warm().await;
            tokio::time::sleep(WATCH_START_DELAY).await;
            service_changes::report_changes(cluster, target, way, seen, tell).await;
        });
    }
    watching
}

/// Says what is served and to whom; the context too, since the wrong one costs hours.
pub fn print_ready(
    cluster: &Cluster,
    plan: &OpenPlan,
    found: &[FoundTarget],
    ready: &[ReadyLine],
    listener: &LocalListener,
    output: &Output,
) {
    let context = cluster.context().map_or_else(|| "in-cluster".to_owned(), |context| format!("context {context}"));
    output.print_hint(&format!("{context}, server {}", cluster.server()));
    for found in found.iter().filter(|found| found.read.is_none()) {
        let (service, namespace) = (found.target.service(), &found.target.namespace);
        output.print_hint(&format!("you may not read Service {service} in {namespace}: port and scheme are as typed"));
    }
    for (found, ready) in found.iter().zip(ready) {
        output.print_data(&ready.line(plan.format));
        if plan.format == OutputFormat::Text && ready.site_url != ready.proxy_url {
            let landing = found.target.path.trim_start_matches('/');
            output.print_hint(&format!("  in a browser: {}{landing}", ready.site_url));
        }
    }
    if let Some(path) = listener.socket_path() {
        output.print_hint(&format!("  curl --unix-socket {} {}", path.display(), ready[0].proxy_url));
    }
    for address in listener.local_addrs().iter().filter(|address| !address.ip().is_loopback()) {
        output.print_warning(&format!("{address} can be reached from other machines, and they act with your rights"));
    }
}

/// Opens the first Target, or the start page where there are several, without waiting for it.
pub fn open_browser(plan: &OpenPlan, local: &LocalProxy, listener: &LocalListener, output: &Output) {
    let url = if local.sites.len() == 1 || local.policy.token.is_some() {
        local.open_url(&local.sites[0], listener)
    } else {
        format!("http://{}/", listener.authority())
    };
    if local.policy.token.is_some() && plan.opening != BrowserOpening::Default {
        output.print_notice(&format!("open once: {url}"));
    }
    match &plan.opening {
        BrowserOpening::Not(NoBrowserReason::Ssh) => output.print_hint(&ssh_hint(listener)),
        BrowserOpening::Not(_) => {}
        opening => {
            let (opening, output) = (opening.clone(), output.clone());
            tokio::task::spawn_blocking(move || {
                if let Err(cause) = browser::open(&opening, &url) {
                    output.print_hint(&format!("could not open a browser ({cause}); open the URL yourself"));
                }
            });
        }
    }
}

fn ssh_hint(listener: &LocalListener) -> String {
    let port = listener.port().unwrap_or(DEFAULT_PORT);
    format!("  no browser over SSH; on your own machine: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE")
}

/// Serves until the first signal, the idle limit or COMMAND's end, then drains. A second signal ends at once.
///
/// # Errors
/// When COMMAND cannot be started.
pub async fn serve_until_stopped(
    plan: &OpenPlan,
    local: LocalProxy,
    listener: LocalListener,
    mut signals: StopSignals,
    urls: ServedUrls,
    ways: &[Dispatcher],
    output: &Output,
) -> Result<Exit, Error> {
    let activity = local.activity.clone();
    let ready = ways.iter().map(Dispatcher::ready).collect();
    let status = plan.live_status.then(|| StatusLine::show(output, activity.clone(), ready));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, local, async { drop(stopped.await) }, DRAIN_GRACE));
    let exit = if plan.command.is_empty() {
        wait_for_the_end(plan.idle_timeout, &activity, &mut signals, output).await;
        Ok(Exit::Ok)
    } else {
        command::run(&plan.command, &urls, plan.can_prompt, &mut signals).await
    };
    drop(status);
    drop(stop);
    wait_for_drain(server, &mut signals, output).await;
    exit
}

async fn wait_for_the_end(
    limit: Option<Duration>,
    activity: &TrafficStats,
    signals: &mut StopSignals,
    output: &Output,
) {
    let idle = async {
        match limit {
            Some(limit) => activity.idle_for(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signals.next() => {}
        () = idle => output.print_hint("idle for as long as --idle-timeout allows"),
    }
}

/// Waits for what is under way, and says what did not finish in time; not when a second signal ends it all.
async fn wait_for_drain(server: JoinHandle<usize>, signals: &mut StopSignals, output: &Output) {
    tokio::select! {
        cut = server => match cut.unwrap_or(0) {
            0 => {}
            1 => output.print_hint(&format!("cut off a connection that was still busy after {} s", DRAIN_GRACE.as_secs())),
            cut => output.print_hint(&format!("cut off {cut} connections that were still busy after {} s", DRAIN_GRACE.as_secs())),
        },
        _ = signals.next() => {}
    }
}
