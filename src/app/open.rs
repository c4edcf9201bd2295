//! From Targets to a listener with a site for each: bind, say, open the browser, serve until told to stop.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::args::LogFormat;
use super::plan::{DEFAULT_PORT, OpenPlan};
use super::ready_line::{self, ReadyLine};
use super::request_line::RequestLine;
use super::service_changes::{self, SeenService};
use super::status_line::StatusLine;
use crate::cluster::Cluster;
use crate::error::{Error, Exit};
use crate::find::FoundTarget;
use crate::find::missing_namespace::closed_namespace;
use crate::proxy::local::guard::token::random_text;
use crate::proxy::local::{
    GuardPolicy, ListenOn, LocalListener, LocalProxy, RequestLog, Site, TrafficStats, serve, serves_site,
};
use crate::proxy::upstream::{self, Dispatcher, Notices};
use crate::service::choose_port::PortChoice;
use crate::service::{Service, Target, served_paths, site_label};
use crate::terminal::browser::{self, BrowserOpening, NoBrowserReason};
use crate::terminal::command;
use crate::terminal::editor_front::ForwardedPort;
use crate::terminal::output::{Output, OutputFormat};
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
}

/// What all steps of one run share, from the listener to the end.
#[derive(Debug, Clone, Copy)]
pub struct ServingSession<'a> {
    /// Where the Services are.
    pub cluster: &'a Cluster,
    /// What to do.
    pub plan: &'a OpenPlan,
    /// Where everything is said.
    pub output: &'a Output,
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

    fn label(&self, target: &Target) -> String {
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
            let transport = self.transport(&found)?;
            let site = self.site(&found.target, paths, transport.clone());
            Ok((found, transport, site))
        });
        let parts = parts.collect::<Result<Vec<_>, Error>>()?;
        let local = self.local_proxy(parts.iter().map(|(_, _, site)| site.clone()).collect(), listener)?;
        let services = parts.into_iter().map(|(FoundTarget { target, read }, transport, site)| {
            let ready = self.ready_line(&target, local.proxy_url(&site, listener), local.site_url(&site, listener));
            OpenService { target, read, transport, site, ready }
        });
        let services = services.collect();
        Ok((local, services))
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
        Dispatcher::new(self.cluster, &found.target, found.read.as_ref().map(|(service, _)| service), options)
    }

    fn site(&self, target: &Target, paths: Vec<String>, transport: Dispatcher) -> Site {
        Site {
            label: self.label(target),
            title: format!("{} in {}", target.service(), target.namespace),
            paths,
            landing: target.path.clone(),
            upstream: Arc::new(transport),
        }
    }

    fn local_proxy(&self, sites: Vec<Site>, listener: &LocalListener) -> Result<LocalProxy, Error> {
        let token = self.plan.guard.require_token.then(random_text).transpose();
        Ok(LocalProxy {
            sites,
            presentation: self.plan.serving.origin,
            policy: self.policy(listener),
            token: token.map_err(|error| Error::failed(format!("cannot make a random token: {error}")))?,
            log: self.request_log(),
            activity: TrafficStats::default(),
        })
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

    fn forwarded(&self, listener: &LocalListener) -> Option<ForwardedPort> {
        self.plan.editor.as_ref()?.at(listener.port()?)
    }

    /// Prints a line for each finished request, if the plan says so.
    fn request_log(&self) -> RequestLog {
        let format = self.plan.log_requests?;
        let output = self.output.clone();
        Some(Arc::new(move |record| {
            let line = RequestLine::new(record);
            output.print_notice(&match format {
                LogFormat::Text => line.text(),
                LogFormat::Json => line.json(),
            });
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

    /// Says what would be opened, and why.
    pub fn explain(&self, services: &[OpenService]) {
        for OpenService { target, read, ready, .. } in services {
            if self.plan.format == OutputFormat::Text {
                let choice = read.as_ref().map(|(_, choice)| choice);
                ready_line::explanation(target, choice, ready).iter().for_each(|line| self.output.print_data(line));
            } else {
                self.output.print_data(&ready.line(self.plan.format));
            }
        }
        if let Some(plugin) = self.cluster.credential_plugin().filter(|_| self.plan.format == OutputFormat::Text) {
            self.output.print_data(&format!("plugin    {plugin}"));
        }
    }

    /// Looks for a way into the Services that the user may not read: their addresses are what was typed. `known` are
    /// namespaces where the user has been.
    ///
    /// # Errors
    /// When there is none.
    pub async fn check_rights(&self, services: &[OpenService], known: &[String]) -> Result<(), Error> {
        let unread = services.iter().filter(|service| service.read.is_none());
        let checks = unread.map(async |OpenService { target, transport, .. }| {
            let Err(error) = transport.check_rights().await else { return Ok(()) };
            let is_place_typed =
                self.plan.query.search.namespace.is_some() || target.namespace != self.cluster.namespace();
            Err(closed_namespace(self.cluster, &target.namespace, is_place_typed, known, error).await)
        });
        try_join_all(checks).await.map(drop)
    }

    /// Waits for a ready endpoint of each Service, if the plan says so.
    ///
    /// # Errors
    /// When there is none in time, or the user does not want to wait any more.
    pub async fn wait_until_ready(&self, services: &[OpenService], signals: &mut StopSignals) -> Result<(), Error> {
        let Some(limit) = self.plan.serving.wait else { return Ok(()) };
        self.output.print_hint("waiting for a ready endpoint");
        let targets = services.iter().map(|service| &service.target);
        let waits = targets.map(|target| service_changes::wait_for_endpoint(self.cluster, target, limit));
        tokio::select! {
            outcome = try_join_all(waits) => outcome.map(drop),
            _ = signals.next() => Err(Error::cancelled()),
        }
    }

    /// Tells what happens to each Service, and its transport about its endpoints, rights permitting, until the result
    /// is dropped.
    pub fn watch(&self, services: &[OpenService]) -> JoinSet<()> {
        let mut watching = JoinSet::new();
        for OpenService { target, read, transport, .. } in services {
            // Its ports were seen when it was read, if it could be.
            let ports = read.as_ref().map(|(service, _)| Some(service.ports.clone()));
            let (target, transport) = (target.clone(), transport.clone());
            let (cluster, output) = (self.cluster.clone(), self.output.clone());
            tracing::info!(service = target.service(), "watches the Service and its endpoints");
            watching.spawn(async move {
                transport.warm().await;
                tokio::time::sleep(WATCH_START_DELAY).await;
                let seen = SeenService { ready: None, ports };
                service_changes::report_changes(cluster, target, transport, seen, output).await;
            });
        }
        watching
    }

    /// Says what is served and to whom; the context too, since the wrong one costs hours.
    pub fn print_ready(&self, services: &[OpenService], listener: &LocalListener) {
        let Self { cluster, plan, output } = self;
        let context = cluster.context().map_or_else(|| "in-cluster".to_owned(), |context| format!("context {context}"));
        output.print_hint(&format!("{context}, server {}", cluster.server()));
        for OpenService { target, .. } in services.iter().filter(|service| service.read.is_none()) {
            let (service, namespace) = (target.service(), &target.namespace);
            output.print_hint(&format!(
                "you may not read Service {service} in {namespace}: port and scheme are as typed"
            ));
        }
        for OpenService { target, ready, .. } in services {
            output.print_data(&ready.line(plan.format));
            let landing = target.path.trim_start_matches('/');
            match self.forwarded(listener) {
                _ if plan.format != OutputFormat::Text => {}
                Some(ForwardedPort::Origin(origin)) => {
                    let path = if services.len() == 1 { "/" } else { &target.proxy_path() };
                    output.print_hint(&format!("  in a browser: {origin}{path}{landing}"));
                }
                _ if ready.site_url == ready.proxy_url => {}
                _ => output.print_hint(&format!("  in a browser: {}{landing}", ready.site_url)),
            }
        }
        if let Some(ForwardedPort::Below(url)) = self.forwarded(listener) {
            let works = "where only pages whose links are relative work, and only with --allow-host";
            output.print_hint(&format!("  the editor shows this port at {url}, {works}"));
        }
        if let Some(path) = listener.socket_path() {
            output.print_hint(&format!("  curl --unix-socket {} {}", path.display(), services[0].ready.proxy_url));
        }
        for address in listener.local_addrs().iter().filter(|address| !address.ip().is_loopback()) {
            let reached = format!("{address} can be reached from other machines, and they act with your rights");
            output.print_warning(&reached);
        }
    }

    /// Opens the first Service, or the start page where there are several, without waiting for it.
    pub fn open_browser(&self, local: &LocalProxy, services: &[OpenService], listener: &LocalListener) {
        let url = if services.len() == 1 || local.token.is_some() {
            local.open_url(&services[0].site, listener)
        } else {
            format!("http://{}/", listener.authority())
        };
        let url = match (self.forwarded(listener), url.strip_prefix(&format!("http://{}", listener.authority()))) {
            (Some(ForwardedPort::Origin(origin)), Some(path)) => format!("{origin}{path}"),
            _ => url,
        };
        if local.token.is_some() && self.plan.opening != BrowserOpening::Default {
            self.output.print_notice(&format!("open once: {url}"));
        }
        match &self.plan.opening {
            BrowserOpening::Not(NoBrowserReason::Ssh) => {
                let port = listener.port().unwrap_or(DEFAULT_PORT);
                let tunnel = format!("ssh -L {port}:127.0.0.1:{port} THIS-MACHINE");
                self.output.print_hint(&format!("  no browser over SSH; on your own machine: {tunnel}"));
            }
            BrowserOpening::Not(_) => {}
            opening => {
                let (opening, output) = (opening.clone(), self.output.clone());
                tokio::task::spawn_blocking(move || {
                    if let Err(cause) = browser::open(&opening, &url) {
                        output.print_hint(&format!("could not open a browser ({cause}); open the URL yourself"));
                    }
                });
            }
        }
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
        mut signals: StopSignals,
    ) -> Result<Exit, Error> {
        let activity = local.activity.clone();
        let ready = services.iter().map(|service| service.transport.ready()).collect();
        let status = self.plan.live_status.then(|| StatusLine::show(self.output, activity.clone(), ready));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, local, async { drop(stopped.await) }, DRAIN_GRACE));
        let exit = if self.plan.command.is_empty() {
            self.wait_for_the_end(&activity, &mut signals).await;
            Ok(Exit::Ok)
        } else {
            let ReadyLine { proxy_url, site_url, .. } = &services[0].ready;
            // The first is resolvable everywhere, the second where the client resolves `*.localhost`.
            let urls = [("SVCPROXY_URL", &proxy_url[..]), ("SVCPROXY_SITE_URL", site_url)];
            command::run(&self.plan.command, &urls, self.plan.can_prompt, &mut signals).await
        };
        drop(status);
        drop(stop);
        self.wait_for_drain(server, &mut signals).await;
        exit
    }

    async fn wait_for_the_end(&self, activity: &TrafficStats, signals: &mut StopSignals) {
        let limit = self.plan.serving.idle_timeout.unwrap_or_default();
        tokio::select! {
            _ = signals.next() => {}
            () = activity.idle_for(limit), if !limit.is_zero() =>
                self.output.print_hint("idle for as long as --idle-timeout allows"),
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
