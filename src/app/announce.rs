//! What is said once everything is bound and before anything is served, and the browser.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::open::{OpenService, ServingSession};
use super::plan::DEFAULT_PORT;
use super::ready_block::{ReadyBlock, ReadyRow};
use super::serving_keys::{KEYS, ServingDesk, open_browser};
use crate::proxy::local::guard::token::TokenAsked;
use crate::proxy::local::{LocalListener, LocalProxy};
use crate::service::choose_port::{PortChoice, openable};
use crate::service::{Service, Target, direct_urls};
use crate::terminal::browser::{BrowserOpening, NoBrowserReason};
use crate::terminal::editor_front::ForwardedPort;
use crate::terminal::output::OutputFormat;

/// How long the first count of endpoints may hold up what is said.
const FIRST_COUNT_TIMEOUT: Duration = Duration::from_millis(300);

/// In URLs and commands for other machines.
const THIS_MACHINE: &str = "THIS-MACHINE";

impl ServingSession<'_> {
    /// Says what is served and to whom; the context too, since the wrong one costs hours. Gives back the desk of the person who
    /// reads it, if there is one.
    pub async fn announce(
        &self,
        local: &LocalProxy,
        services: &[OpenService],
        listener: &LocalListener,
    ) -> Option<ServingDesk> {
        let desk = match &local.log {
            Some(log) if self.plan.for_person => {
                self.count_endpoints(services).await;
                let url = self.url_to_open(local, services, listener);
                let (output, opening) = (self.output.clone(), self.plan.opening.clone());
                Some(ServingDesk {
                    output,
                    block: self.block(local, services, listener),
                    url,
                    opening,
                    log: log.clone(),
                })
            }
            _ => None,
        };
        match &desk {
            Some(desk) => desk.print_block(),
            None => self.print_lines(local, services, listener),
        }
        for address in listener.local_addrs().iter().filter(|address| !address.ip().is_loopback()) {
            let reached = format!("{address} can be reached from other machines, and they act with your rights");
            self.output.print_warning(&reached);
        }
        desk
    }

    /// Opens the first Service, or the start page where there are several, without waiting for it.
    pub fn open_browser(&self, local: &LocalProxy, services: &[OpenService], listener: &LocalListener) {
        if !matches!(self.plan.opening, BrowserOpening::Not(_)) {
            let url = self.url_to_open(local, services, listener);
            open_browser(self.plan.opening.clone(), url, self.output.clone());
        }
    }

    fn url_to_open(&self, local: &LocalProxy, services: &[OpenService], listener: &LocalListener) -> String {
        let url = if services.len() == 1 || local.token.is_some() {
            local.open_url(&services[0].site, listener)
        } else {
            format!("http://{}/", listener.authority())
        };
        self.as_forwarded(url, listener)
    }

    /// `url` as the editor shows it, if there is one.
    fn as_forwarded(&self, url: String, listener: &LocalListener) -> String {
        match (self.forwarded(listener), url.strip_prefix(&format!("http://{}", listener.authority()))) {
            (Some(ForwardedPort::Origin(origin)), Some(path)) => format!("{origin}{path}"),
            _ => url,
        }
    }

    /// What to open once where a token is asked for. Secrets.
    fn token_urls(&self, local: &LocalProxy, services: &[OpenService], listener: &LocalListener) -> Vec<String> {
        let Some(token) = &local.token else { return Vec::new() };
        if token.asked == TokenAsked::Always {
            let urls = services.iter().map(|service| local.open_url(&service.site, listener));
            return urls.map(|url| self.as_forwarded(url, listener)).collect();
        }
        let hosts = self.hosts_without_fetch_metadata(listener);
        let of_host =
            |host: &String| services.iter().filter_map(|service| local.named_url(&service.site, host)).collect();
        hosts.iter().flat_map(|host| -> Vec<String> { of_host(host) }).collect()
    }

    /// The names and addresses that are not this machine's alone.
    fn hosts_without_fetch_metadata(&self, listener: &LocalListener) -> Vec<String> {
        let addresses = listener.local_addrs().iter().filter(|address| !address.ip().is_loopback());
        let name = |address: &SocketAddr| match address.ip().is_unspecified() {
            true => format!("{THIS_MACHINE}:{}", address.port()),
            false => address.to_string(),
        };
        self.plan.guard.allow_hosts.iter().cloned().chain(addresses.map(name)).collect()
    }

    /// Why a token is asked for that nobody asked to be asked for.
    fn token_reason(&self, local: &LocalProxy, listener: &LocalListener) -> Option<String> {
        let is_implied = local.token.as_ref().is_some_and(|token| token.asked == TokenAsked::WithoutFetchMetadata);
        let hosts = self.hosts_without_fetch_metadata(listener).join(", ");
        is_implied.then(|| {
            format!("under {hosts} without https a token is needed, since any web page could ask; not with --require-token=false")
        })
    }

    /// So that the first lines can say how many endpoints are ready; a slow API server does not hold them up.
    async fn count_endpoints(&self, services: &[OpenService]) {
        let counts = services.iter().map(|service| service.count_endpoints(self.cluster));
        let _ = timeout(FIRST_COUNT_TIMEOUT, join_all(counts)).await;
    }

    /// For a person.
    fn block(&self, local: &LocalProxy, services: &[OpenService], listener: &LocalListener) -> ReadyBlock {
        ReadyBlock {
            context: self.cluster.context().map(str::to_owned),
            server: self.cluster.server().to_owned(),
            rows: services.iter().map(|service| self.row(service, services.len(), listener)).collect(),
            notes: self.notes(local, services, listener),
            footer: self.footer(),
        }
    }

    fn row(&self, service: &OpenService, count: usize, listener: &LocalListener) -> ReadyRow {
        let OpenService { target, transport, ready, .. } = service;
        let port = target.port.as_ref().map(|port| match &port.name {
            Some(name) => format!("{name}:{}", port.number),
            None => port.number.to_string(),
        });
        ReadyRow {
            name: format!("{}/{}", target.namespace, target.service()),
            port: port.or_else(|| target.port_text()).unwrap_or_default(),
            ready: *transport.ready().borrow(),
            url: self.browser_url(target, &ready.site_url, count, listener),
        }
    }

    fn browser_url(&self, target: &Target, site_url: &str, count: usize, listener: &LocalListener) -> String {
        let landing = target.path.trim_start_matches('/');
        match self.forwarded(listener) {
            Some(ForwardedPort::Origin(origin)) if count == 1 => format!("{origin}/{landing}"),
            Some(ForwardedPort::Origin(origin)) => format!("{origin}{}{landing}", target.proxy_path()),
            _ => format!("{site_url}{landing}"),
        }
    }

    fn notes(&self, local: &LocalProxy, services: &[OpenService], listener: &LocalListener) -> Vec<Vec<String>> {
        let mut notes: Vec<Vec<String>> = Vec::new();
        notes.extend(services.iter().filter(|service| service.read.is_none()).map(|service| vec![unread(service)]));
        if let [OpenService { target, read: Some((service, choice)), .. }] = services {
            notes.extend(self.other_ports(target, service, choice));
            notes.extend(direct_urls(service, choice).iter().map(|url| vec![format!("also without a proxy: {url}")]));
        }
        notes.extend(self.token_urls(local, services, listener).into_iter().map(token_note));
        let short = "another host needs a token, or --require-token=false".to_owned();
        notes.extend(self.token_reason(local, listener).map(|reason| vec![reason, short]));
        notes.push(curl_note(services, listener));
        if self.plan.opening == BrowserOpening::Not(NoBrowserReason::Ssh) {
            notes.push(vec![format!("on your own machine: {}", ssh_tunnel(listener))]);
        }
        notes.extend(self.editor_note(listener).map(|note| vec![note]));
        notes
    }

    /// What else could have been meant.
    fn other_ports(&self, target: &Target, service: &Service, choice: &PortChoice) -> Option<Vec<String>> {
        let choices = openable(service).ok()?;
        let others: Vec<String> = choices
            .iter()
            .map(|other| &other.port)
            .filter(|port| **port != choice.port)
            .map(|port| {
                port.name.as_ref().map_or_else(|| port.number.to_string(), |name| format!("{name}:{}", port.number))
            })
            .collect();
        let first = others.first()?.split(':').next()?.to_owned();
        let is_here = target.namespace == self.cluster.namespace();
        let place = if is_here { String::new() } else { format!("{}/", target.namespace) };
        let command = format!("kubectl svcproxy {place}{}:{first}", target.service());
        Some(vec![format!("also {}: {command}", others.join(", ")), format!("also {command}")])
    }

    fn footer(&self) -> String {
        let browser = match &self.plan.opening {
            BrowserOpening::Not(NoBrowserReason::Ssh) => "no browser over SSH",
            BrowserOpening::Not(NoBrowserReason::NoDisplay) => "no display to open a browser on",
            BrowserOpening::Not(_) => "not opened in a browser",
            BrowserOpening::With(_) | BrowserOpening::Default => "opening in the browser",
        };
        if self.plan.keys { format!("{browser} · {KEYS}") } else { format!("{browser} · Ctrl-C ends") }
    }

    fn editor_note(&self, listener: &LocalListener) -> Option<String> {
        let Some(ForwardedPort::Below(url)) = self.forwarded(listener) else { return None };
        let works = "where only pages whose links are relative work, and only with --allow-host";
        Some(format!("the editor shows this port at {url}, {works}"))
    }

    /// For a program, or somebody who keeps what is printed. COMMAND has stdout for itself.
    fn print_lines(&self, local: &LocalProxy, services: &[OpenService], listener: &LocalListener) {
        let Self { cluster, plan, output, .. } = self;
        let server = format!("server {}", cluster.server());
        output
            .print_hint(&cluster.context().map_or_else(|| server.clone(), |name| format!("context {name}, {server}")));
        services
            .iter()
            .filter(|service| service.read.is_none())
            .for_each(|service| output.print_hint(&unread(service)));
        for OpenService { target, ready, .. } in services {
            match plan.command.is_empty() {
                true => output.print_data(&ready.line(plan.format)),
                false if plan.format == OutputFormat::Json => output.print_record(&ready.line(plan.format)),
                false => output.print_notice(&ready.line(plan.format)),
            }
            let url = self.browser_url(target, &ready.site_url, services.len(), listener);
            let is_elsewhere = ready.site_url != ready.proxy_url || !url.starts_with(&ready.site_url);
            if plan.format == OutputFormat::Text && is_elsewhere {
                output.print_hint(&format!("  in a browser: {url}"));
            }
        }
        if let Some(note) = self.editor_note(listener) {
            output.print_hint(&format!("  {note}"));
        }
        if let Some(path) = listener.socket_path() {
            output.print_hint(&format!("  curl --unix-socket {} {}", path.display(), services[0].ready.proxy_url));
        }
        for url in self.token_urls(local, services, listener) {
            output.print_notice(&format!("open once: {url}"));
        }
        if let Some(reason) = self.token_reason(local, listener) {
            output.print_hint(&reason);
        }
        if plan.opening == BrowserOpening::Not(NoBrowserReason::Ssh) {
            output.print_hint(&format!("  no browser over SSH; on your own machine: {}", ssh_tunnel(listener)));
        }
    }
}

fn unread(OpenService { target, .. }: &OpenService) -> String {
    let (service, namespace) = (target.service(), &target.namespace);
    format!("you may not read Service {service} in {namespace}: port and scheme are as typed")
}

fn token_note(url: String) -> Vec<String> {
    vec![format!("open once: {url}"), url]
}

fn ssh_tunnel(listener: &LocalListener) -> String {
    let port = listener.port().unwrap_or(DEFAULT_PORT);
    format!("ssh -L {port}:127.0.0.1:{port} {THIS_MACHINE}")
}

/// Where programs find it: of several Services how their URLs are made.
fn curl_note(services: &[OpenService], listener: &LocalListener) -> Vec<String> {
    if let (Some(path), [OpenService { ready, .. }, ..]) = (listener.socket_path(), services) {
        return vec![format!("curl --unix-socket {} {}", path.display(), ready.proxy_url)];
    }
    let [OpenService { site, ready, .. }] = services else {
        let pattern = format!("http://{}/api/v1/namespaces/NAMESPACE/services/NAME/proxy/", listener.authority());
        return vec![format!("for curl: {pattern}"), pattern];
    };
    let whole = ready.proxy_url.clone();
    let shortest =
        site.paths.iter().min_by_key(|path| path.len()).map(|path| format!("http://{}{path}", listener.authority()));
    let shortest = shortest.unwrap_or_else(|| whole.clone());
    vec![format!("for curl: {whole}"), format!("for curl: {shortest}"), whole, shortest]
}
