//! From Targets to a listener with a site for each: bind, say, open the browser, serve until told to stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{OptionFuture, pending, try_join_all};
use tokio::sync::{OnceCell, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use unicode_width::UnicodeWidthStr;

use super::endpoint_wait::{self, EndpointWait};
use super::local_https::LocalHttps;
use super::plan::{DEFAULT_PORT, OpenPlan};
use super::ready_line::{ReadyLine, command_urls, short_names};
use super::request_line::RequestLine;
use super::served_before::ServedBefore;
use super::service_changes::{self, SeenService};
use super::serving_keys::ServingDesk;
use super::shown_run::shown_run;
use super::status_line::{self, StatusLine, StatusSources};
use super::trouble_line;
use crate::cluster::{Cluster, EndpointsAhead};
use crate::error::{Error, Exit};
use crate::find::FoundTarget;
use crate::find::history::History;
use crate::find::missing_namespace::closed_namespace;
use crate::proxy::local::guard::token::{RequiredToken, TokenAsked};
use crate::proxy::local::{
    GuardPolicy, ListenOn, LocalListener, LocalProxy, ReadyCount, RequestLog, ShownRun, ShownService, Site,
    TrafficStats, serve, serves_site,
};
use crate::proxy::upstream::limitation::Via;
use crate::proxy::upstream::{self, Dispatcher, Notices, Upstream};
use crate::service::choose_port::{PortChoice, annotation_fault};
use crate::service::{Readiness, Service, Target, served_paths, site_label};
use crate::terminal::command;
use crate::terminal::editor_front::ForwardedPort;
use crate::terminal::local_time::{clock, timestamp};
use crate::terminal::output::{LogFormat, Output};
use crate::terminal::signals::StopSignals;

/// Local ports derived from a Target: below the range that systems give to outgoing connections.
const DERIVED_PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How long running requests may go on once the user wants to stop.
const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// Before watching begins: until then the first page has the machine and the connections to itself.
const WATCH_START_DELAY: Duration = Duration::from_secs(1);

/// One open Service: what was found, how requests reach it, where it is served, and what is said of it.
pub struct OpenService {
    /// What is open.
    pub target: Target,
    /// The Service and why that port and scheme; `None` where the user may not read it.
    pub read: Option<(Service, PortChoice)>,
    /// How requests reach its Pods.
    pub transport: Dispatcher,
    /// Where it is served.
    pub site: Site,
    /// Its ready line.
    pub ready: ReadyLine,
    /// What was asked of its endpoints while it was read.
    endpoints: EndpointsAhead,
}

impl OpenService {
    /// Has its transport know how many of its endpoints are ready, rights permitting: asked once, unless it was just now.
    pub(super) async fn count_endpoints(&self, cluster: &Cluster) {
        let (namespace, service) = (&self.target.namespace, self.target.service());
        let slices = match self.endpoints.answer(namespace, service).await {
            Some(answer) => answer,
            None => cluster.endpoints(namespace, service).await,
        };
        if let Ok(slices) = slices {
            self.transport.learn(&slices).await;
        }
    }
}

/// What all steps of one run share, from the listener to the end.
#[derive(Debug, Clone, Copy)]
pub struct ServingSession<'a> {
    /// Where the Services are.
    pub cluster: &'a Cluster,
    /// What to do.
    pub plan: &'a OpenPlan,
    /// What was asked of endpoints while Services were read.
    pub endpoints: &'a EndpointsAhead,
    /// Where everything is said.
    pub output: &'a Output,
    /// How it is served by https too, if it is.
    pub https: Option<&'a LocalHttps>,
}

impl ServingSession<'_> {
    /// Binds where the plan says; the port that is used where none is asked for goes by the `first` Target. Where
    /// another run serves that one already on a port that is taken, that is said.
    ///
    /// # Errors
    /// When the address is taken, missing or not allowed.
    pub async fn bind(&self, first: &Target) -> Result<LocalListener, Error> {
        let derived = derived_port(&self.label(first));
        let preferred = [DEFAULT_PORT, derived, derived + 1, derived + 2];
        let bound = LocalListener::bind(&self.plan.listen, &preferred).await;
        let taken = match (&self.plan.listen, &bound) {
            (ListenOn::Tcp { addresses, port: Some(port) }, Err(_)) if addresses.is_empty() => vec![*port],
            (ListenOn::Tcp { port: None, .. }, Ok(listener)) => ports_before(listener.port(), &preferred),
            _ => Vec::new(),
        };
        let open_at = self.find_open(first, &taken).await;
        let open_at = open_at.map(|url| format!("{}/{} is open already at {url}", first.namespace, first.service()));
        match (bound, open_at) {
            (Err(error), Some(open_at)) => {
                let message = format!("{} by another kubectl svcproxy of yours: {open_at}", error.message());
                Err(Error::failed(message).hint("open that URL, or choose another port with --port"))
            }
            (Err(error), None) => Err(error),
            (Ok(listener), open_at) => {
                open_at.iter().for_each(|line| self.output.print_notice(line));
                tracing::info!(addresses = ?listener.local_addrs(), socket = ?listener.socket_path(), "listens");
                Ok(listener)
            }
        }
    }

    /// Where another run of this user serves `target`.
    async fn find_open(&self, target: &Target, ports: &[u16]) -> Option<String> {
        let label = self.label(target);
        for &port in ports {
            if serves_site(port, &label).await {
                return Some(format!("http://127.0.0.1:{port}{}", target.canonical_path()));
            }
        }
        None
    }

    pub(super) fn label(&self, target: &Target) -> String {
        site_label(self.cluster.server(), &target.canonical_path(), target.service(), &target.namespace)
    }

    /// What is served: a site for each Target, under every spelling of its proxy path.
    ///
    /// # Errors
    /// When certificates are to be verified and the system trusts nobody, or it has no random bits for a token.
    pub fn open(
        &self,
        found: Vec<FoundTarget>,
        listener: &LocalListener,
    ) -> Result<(LocalProxy, Vec<OpenService>), Error> {
        let targets: Vec<Target> = found.iter().map(|found| found.target.clone()).collect();
        let parts = found.into_iter().zip(served_paths(&targets)).map(|(found, paths)| {
            log_choice(&found);
            self.warn_of_annotations(&found);
            let transport = self.transport(&found)?;
            let site = self.site(&found.target, paths, Arc::new(transport.clone()), transport.ready());
            Ok((found, transport, site))
        });
        let parts = parts.collect::<Result<Vec<_>, Error>>()?;
        let sites: Vec<Site> = parts.iter().map(|(_, _, site)| site.clone()).collect();
        check_labels(sites.iter().map(|site| (&site.label[..], site.shown.place())))?;
        let names = sites.iter().map(|site| site.label.clone()).zip(short_names(&targets)).collect();
        let found: Vec<&FoundTarget> = parts.iter().map(|(found, _, _)| found).collect();
        let shown = shown_run(self.cluster.context(), self.cluster.server(), &found, listener.port());
        let local = self.local_proxy(sites, names, shown, listener)?;
        let services = parts.into_iter().map(|(FoundTarget { target, read }, transport, site)| {
            let ready = self.ready_line(&target, local.proxy_url(&site, listener), local.site_url(&site, listener));
            OpenService { target, read, transport, site, ready, endpoints: self.endpoints.clone() }
        });
        let services = services.collect();
        Ok((local, services))
    }

    /// Where a path of the user's own was not taken instead.
    fn warn_of_annotations(&self, FoundTarget { target, read }: &FoundTarget) {
        let read = read.as_ref().filter(|_| target.path == "/");
        read.and_then(|(service, _)| annotation_fault(service))
            .iter()
            .for_each(|fault| self.output.print_warning(fault));
    }

    fn transport(&self, found: &FoundTarget) -> Result<Dispatcher, Error> {
        let output = self.output.clone();
        tracing::info!(via = ?self.plan.serving.via, "carries requests");
        let options = upstream::DispatchOptions {
            via: self.plan.serving.via,
            verify_tls: self.plan.serving.verify_tls,
            sticky: self.plan.serving.sticky,
            host_header: self.plan.serving.host_header.clone(),
            notices: Notices::new(move |line| output.print_notice(line)),
        };
        let service = found.read.as_ref().map(|(service, _)| service);
        let transport = Dispatcher::new(self.cluster, &found.target, service, options)?;
        if self.plan.serving.via == Via::PortForward && !self.plan.dry_run {
            transport.expect(self.endpoints.answer(&found.target.namespace, found.target.service()));
        }
        Ok(transport)
    }

    pub(super) fn site(
        &self,
        target: &Target,
        paths: Vec<String>,
        upstream: Arc<dyn Upstream>,
        ready: watch::Receiver<Option<Readiness>>,
    ) -> Site {
        Site {
            label: self.label(target),
            shown: ShownService {
                name: target.service().to_owned(),
                namespace: target.namespace.clone(),
                port: target.shown_port(),
                ready: ReadyCount::new(move || ready.borrow().map(|count| count.ready)),
            },
            paths,
            landing: target.path.clone(),
            upstream,
        }
    }

    pub(super) fn local_proxy(
        &self,
        sites: Vec<Site>,
        names: HashMap<String, String>,
        shown: ShownRun,
        listener: &LocalListener,
    ) -> Result<LocalProxy, Error> {
        let token = self.token_asked(listener).map(RequiredToken::new).transpose();
        Ok(LocalProxy {
            sites,
            shown,
            presentation: self.plan.serving.origin,
            policy: self.policy(listener),
            token: token.map_err(|error| Error::failed(format!("cannot make a random token: {error}")))?,
            tls: self.https.map(|https| Arc::clone(&https.config)),
            log: self.request_log(names),
            activity: TrafficStats::default(),
        })
    }

    /// Of whom a token is asked: where browsers do not say whose page sends a request also without a flag.
    fn token_asked(&self, listener: &LocalListener) -> Option<TokenAsked> {
        let is_reached_by_others = !self.plan.guard.allow_hosts.is_empty()
            || listener.local_addrs().iter().any(|address| !address.ip().is_loopback());
        match self.plan.guard.require_token {
            Some(true) => Some(TokenAsked::Always),
            None if is_reached_by_others => Some(TokenAsked::WithoutFetchMetadata),
            _ => None,
        }
    }

    /// What the user allowed, and the origin under which an editor shows the listener: its pages are what is served.
    fn policy(&self, listener: &LocalListener) -> GuardPolicy {
        let mut policy = self.plan.guard.clone();
        if let Some(ForwardedPort::Origin(origin)) = self.forwarded(listener) {
            policy.allow_hosts.extend(origin.split_once("://").map(|(_, host)| host.to_owned()));
            policy.allow_origins.push(origin);
        }
        policy
    }

    pub(super) fn forwarded(&self, listener: &LocalListener) -> Option<ForwardedPort> {
        self.plan.editor.as_ref()?.at(listener.port()?)
    }

    /// Prints a line for each request: from the start if the plan says so, else once a key asks for it.
    fn request_log(&self, names: HashMap<String, String>) -> Option<RequestLog> {
        let (format, is_on) = match self.plan.log_requests {
            Some(format) => (format, true),
            None if self.plan.for_person => (LogFormat::Text, false),
            None => return None,
        };
        let (output, in_columns) = (self.output.clone(), self.plan.for_person);
        let widest = names.values().map(|name| name.width()).max().unwrap_or_default();
        Some(RequestLog::new(is_on, move |record| {
            let line = RequestLine::new(record, timestamp());
            let name = record.site.as_ref().and_then(|label| names.get(label)).map_or("-", String::as_str);
            match format {
                LogFormat::Text if in_columns => output.print_styled(&line.columns(&clock(), name, widest)),
                LogFormat::Text => output.print_notice(&line.text()),
                LogFormat::Json => output.print_record(&line.json()),
            }
        }))
    }

    fn ready_line(&self, target: &Target, proxy_url: String, site_url: String) -> ReadyLine {
        ReadyLine {
            context: self.cluster.context().map(str::to_owned),
            server: self.cluster.server().to_owned(),
            namespace: target.namespace.clone(),
            service: target.service().to_owned(),
            port: target.port_text(),
            scheme: target.scheme,
            via: self.plan.serving.via,
            proxy_url,
            site_url,
        }
    }

    /// Looks for a way into the Services that the user may not read: their addresses are what was typed. `history`
    /// tells in which namespaces the user has been.
    ///
    /// # Errors
    /// When there is none.
    pub async fn check_rights(&self, services: &[OpenService], history: &History) -> Result<(), Error> {
        let unread = services.iter().filter(|service| service.read.is_none());
        let visited = OnceCell::new();
        let checks = unread.map(async |OpenService { target, transport, .. }| {
            let Err(error) = transport.check_rights().await else { return Ok(()) };
            let is_place_typed =
                self.plan.query.search.namespace.is_some() || target.namespace != self.cluster.namespace();
            let visited = visited.get_or_init(|| history.namespaces()).await;
            Err(closed_namespace(self.cluster, &target.namespace, is_place_typed, visited, error).await)
        });
        try_join_all(checks).await.map(drop)
    }

    /// Waits for a ready endpoint of each Service, if the plan says so.
    ///
    /// # Errors
    /// When there is none in time, or the user does not want to wait any more.
    pub async fn wait_until_ready(&self, services: &[OpenService], signals: &mut StopSignals) -> Result<(), Error> {
        let Some(limit) = self.plan.serving.wait else { return Ok(()) };
        let waits: Vec<EndpointWait> = services.iter().map(|service| EndpointWait::new(&service.target)).collect();
        let waited = try_join_all(waits.iter().map(|wait| wait.until_ready(self.cluster, limit)));
        tokio::select! {
            outcome = waited => outcome.map(drop),
            () = endpoint_wait::show(&waits, self.plan.for_person, self.output) => Ok(()),
            _ = signals.next() => Err(Error::cancelled()),
        }
        .inspect(|()| self.output.clear_status())
        .inspect_err(|_| self.output.end_status())
    }

    /// Tells what happens to each Service, and its transport about its endpoints, rights permitting, until the result
    /// is dropped.
    pub fn watch(&self, services: &[OpenService]) -> JoinSet<()> {
        let mut watching = JoinSet::new();
        watching.spawn(trouble_line::report_health(self.cluster.api().health(), self.output.clone()));
        for OpenService { target, read, transport, .. } in services {
            let ports = read.as_ref().map(|(service, _)| service.ports.clone());
            let (target, transport) = (target.clone(), transport.clone());
            let (cluster, output) = (self.cluster.clone(), self.output.clone());
            tracing::info!(service = target.service(), "watches the Service and its endpoints");
            watching.spawn(async move {
                tokio::time::sleep(WATCH_START_DELAY).await;
                let seen = SeenService { ready: None, is_there: ports.as_ref().map(|_| true), ports };
                service_changes::report_changes(cluster, target, transport, seen, output).await;
            });
        }
        watching
    }

    /// Serves until the first signal, the idle limit or COMMAND's end, then drains. A second signal ends at once.
    ///
    /// # Errors
    /// When COMMAND cannot be started.
    pub async fn serve_until_stopped(
        &self,
        local: LocalProxy,
        listener: LocalListener,
        services: &[OpenService],
        desk: Option<&ServingDesk>,
        before: Option<ServedBefore>,
        mut signals: StopSignals,
    ) -> Result<Exit, Error> {
        let activity = local.activity.clone();
        let cookie = local.token.as_ref().map(|token| token.cookie(&listener.authority(), listener.port()));
        let status = self.plan.for_person.then(|| StatusLine::show(self.output, self.sources(&activity, services)));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve(listener, local, async { drop(stopped.await) }, DRAIN_GRACE);
        let before = before.map(ServedBefore::hand_over);
        let server = tokio::spawn(async move {
            let cut = serving.await;
            let before = async { drop(OptionFuture::from(before).await) };
            cut + usize::from(timeout(DRAIN_GRACE, before).await.is_err())
        });
        let exit = if self.plan.command.is_empty() {
            self.wait_for_the_end(&activity, desk, &mut signals).await;
            Ok(Exit::Ok)
        } else {
            let named = names_of(services).into_iter().zip(services.iter().map(|service| &service.ready));
            let mut variables = command_urls(&named.collect::<Vec<_>>());
            variables.extend(cookie.map(|cookie| ("SVCPROXY_COOKIE".to_owned(), cookie)));
            variables.extend(self.https.map(LocalHttps::environment).unwrap_or_default());
            self.output.catch_up();
            command::run(&self.plan.command, &variables, self.plan.prompting.is_possible(), &mut signals).await
        };
        drop(status);
        if self.plan.for_person {
            self.output.print_hint(&status_line::sums(&activity));
        }
        drop(stop);
        self.wait_for_drain(server, &mut signals).await;
        exit
    }

    fn sources(&self, activity: &TrafficStats, services: &[OpenService]) -> StatusSources {
        let ready = services.iter().map(|service| service.transport.ready());
        StatusSources {
            activity: activity.clone(),
            services: names_of(services).into_iter().zip(ready).collect(),
            health: self.cluster.api().health(),
        }
    }

    async fn wait_for_the_end(&self, activity: &TrafficStats, desk: Option<&ServingDesk>, signals: &mut StopSignals) {
        let limit = self.plan.serving.idle_timeout.unwrap_or_default();
        let keys = async {
            match desk.filter(|_| self.plan.keys) {
                Some(desk) => desk.obey().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = signals.next() => {}
            () = keys => {}
            () = activity.idle_for(limit), if !limit.is_zero() => {
                let seconds = limit.as_secs_f64();
                self.output.print_hint(&format!("no request for {seconds} s (--idle-timeout): stopped"));
            }
        }
    }

    /// Waits for what is under way, and says what did not finish in time; not when a second signal ends it all.
    async fn wait_for_drain(&self, server: JoinHandle<usize>, signals: &mut StopSignals) {
        let cut = tokio::select! {
            cut = server => cut.unwrap_or(0),
            _ = signals.next() => 0,
        };
        let busy = match cut {
            0 => return,
            1 => "a connection that was".to_owned(),
            cut => format!("{cut} connections that were"),
        };
        self.output.print_hint(&format!("cut off {busy} still busy after {} s", DRAIN_GRACE.as_secs()));
    }
}

/// A label is one origin: of two Services each would get the other's cookies.
fn check_labels<'a>(sites: impl Iterator<Item = (&'a str, String)>) -> Result<(), Error> {
    let mut taken: HashMap<&str, String> = HashMap::new();
    for (label, place) in sites {
        if let Some(other) = taken.insert(label, place.clone()) {
            let message = format!("{other} and {place} would be one site to browsers, {label}.localhost");
            return Err(
                Error::failed(message).hint("somebody may have chosen the name for that: open only the one you trust")
            );
        }
    }
    Ok(())
}

fn names_of(services: &[OpenService]) -> Vec<String> {
    short_names(&services.iter().map(|service| service.target.clone()).collect::<Vec<_>>())
}

fn log_choice(FoundTarget { target, read }: &FoundTarget) {
    let (service, namespace, id) = (target.service(), &target.namespace, &target.id);
    match read {
        Some((_, PortChoice { why_port, why_scheme, .. })) => {
            let (port, scheme) = (target.shown_port(), target.scheme);
            tracing::info!(service, namespace, port, %why_port, %scheme, %why_scheme, %id, "opens");
        }
        None => tracing::info!(service, namespace, %id, "opens as typed: the Service may not be read"),
    }
}

/// Those of the `preferred` ports that were not to be had.
fn ports_before(bound: Option<u16>, preferred: &[u16]) -> Vec<u16> {
    preferred.iter().copied().take_while(|port| Some(*port) != bound).collect()
}

/// The same port for the same site on every run, so that bookmarks and cookies stay good.
fn derived_port(label: &str) -> u16 {
    let sum = label.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    DERIVED_PORTS.start + u16::try_from(sum as usize % DERIVED_PORTS.len()).expect("smaller than a range of ports")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_are_never_one_site() {
        let check = |labels: [&str; 2]| check_labels(labels.into_iter().zip(["a/web".to_owned(), "b/web".to_owned()]));
        assert!(check(["web--a--abc234abc234a", "web--b--abc234abc234b"]).is_ok());
        let error = check(["web--a--abc234abc234a"; 2]).unwrap_err();
        assert!(error.message().starts_with("a/web and b/web would be one site"), "{error}");
    }
}
