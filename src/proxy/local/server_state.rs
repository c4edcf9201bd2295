//! What is served, at which URLs, and what all connections share.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Instant;

use http::header::{HOST, ORIGIN, REFERER};
use http::{HeaderMap, Uri};
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guard::admit::{GuardRefusal, is_led_here, is_unmarked};
use super::guard::hosts::{OwnHost, OwnHosts};
use super::guard::logins_elsewhere::LoginsElsewhere;
use super::guard::policy::GuardPolicy;
use super::guard::refusal::{ExplainedRefusal, closed_site};
use super::guard::token::{RequiredToken, TokenAsked, TokenGate};
use super::server::client_places::{ClientPlaces, open_files_limit};
use super::server::listener::LocalListener;
use super::server::request_log::RequestLog;
use super::server::stats::TrafficStats;
use super::site::headers::AnswerShield;
use super::site::route::SiteLayout;
use super::site::{Origin, ShownRun, Site};
use crate::message::field_tokens::only_value;
use crate::message::host_port::{self, strip_suffix_ignoring_case, url_authority};
use crate::message::scheme::Scheme;
use crate::message::token_parameter::TOKEN_PARAMETER;

/// Everything that is served on one listener, and to whom.
pub struct LocalProxy {
    /// The open Services, at least one.
    pub sites: Vec<Site>,
    /// What pages say of the run.
    pub shown: ShownRun,
    /// How they are presented to browsers.
    pub presentation: Origin,
    /// Who may use them.
    pub policy: GuardPolicy,
    /// A token that opens each site once; without, none is asked for.
    pub token: Option<RequiredToken>,
    /// How sites are served by https, on the same port; without, they are not.
    pub tls: Option<Arc<ServerConfig>>,
    /// Told of every request, if anybody wants to hear of them.
    pub log: Option<RequestLog>,
    /// Told of every request as it comes and goes; the caller keeps a clone to notice idleness.
    pub activity: TrafficStats,
}

impl LocalProxy {
    /// The computed proxy URL of `site`, as the kubectl book builds it, at the address that clients reach first.
    pub fn proxy_url(&self, site: &Site, listener: &LocalListener) -> String {
        format!("http://{}{}", listener.authority(), site.proxy_path())
    }

    /// How pages are served at names of this machine.
    fn page_scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// Where browsers find `site`, ending in `/`.
    pub fn site_url(&self, site: &Site, listener: &LocalListener) -> String {
        let is_only = self.sites.len() == 1;
        let scheme = if listener.is_at_loopback() { self.page_scheme() } else { Scheme::Http };
        let host = match self.presentation {
            Origin::Path => return self.proxy_url(site, listener),
            // Names below `localhost` lead to this machine only.
            _ if !listener.is_at_loopback() => is_only.then(|| listener.authority()),
            Origin::Localhost => is_only.then(|| url_authority(scheme, "localhost", listener.port())),
            Origin::Site => Some(url_authority(scheme, &site.host_name(), listener.port())),
        };
        host.map_or_else(|| self.proxy_url(site, listener), |host| format!("{scheme}://{host}/"))
    }

    /// What to open in the browser: the computed proxy URL, the landing page below it and the token, if there is one.
    /// A secret where there is a token: for the browser and the user's own terminal, never for a log.
    pub fn open_url(&self, site: &Site, listener: &LocalListener) -> String {
        let url = self.proxy_url(site, listener);
        let landing = site.landing.strip_prefix('/').unwrap_or(&site.landing);
        match &self.token {
            Some(token) if token.asked == TokenAsked::Always || !listener.is_at_loopback() => {
                with_parameter(&format!("{url}{landing}"), TOKEN_PARAMETER, &token.of_site(&site.label))
            }
            _ => format!("{url}{landing}"),
        }
    }

    /// What to open once under `host`, a name that the user allowed, to be let in there. A secret, as [`Self::open_url`].
    pub fn named_url(&self, site: &Site, host: &str) -> Option<String> {
        let token = self.token.as_ref()?;
        let landing = site.landing.strip_prefix('/').unwrap_or(&site.landing);
        let url = format!("http://{host}{}{landing}", site.proxy_path());
        Some(with_parameter(&url, TOKEN_PARAMETER, &token.of_site(&site.label)))
    }
}

/// `url` with a query parameter more, before its fragment.
fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let (url, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{name}={value}{fragment}")
}

/// What all connections share.
pub(crate) struct ServerState {
    pub(crate) local: LocalProxy,
    pub(crate) hosts: OwnHosts,
    pub(crate) gate: Option<TokenGate>,
    pub(crate) logins: LoginsElsewhere,
    /// Where the start page says that things are, for those who read it as text.
    pub(crate) origin: String,
    pub(crate) stages: ShutdownStages,
    pub(crate) tasks: TaskTracker,
    pub(crate) places: Arc<ClientPlaces>,
    /// Whether what is served is not certain yet.
    pub(crate) is_guess: bool,
    pub(crate) tls_wanted: Once,
}

impl ServerState {
    pub(crate) fn new(local: LocalProxy, listener: &LocalListener) -> Self {
        let port = listener.port();
        let labels = local.sites.iter().map(|site| site.label.as_str());
        let gate = local.token.clone().map(|token| TokenGate::new(token, labels, port));
        let addresses = listener.local_addrs().iter().map(SocketAddr::ip);
        let hosts = OwnHosts {
            labels: local.sites.iter().map(|site| site.label.clone()).collect(),
            port,
            addresses: addresses.filter(|address| !address.is_unspecified()).collect(),
            allowed: local.policy.allow_hosts.clone(),
        };
        Self {
            hosts,
            gate,
            logins: LoginsElsewhere::default(),
            origin: format!("http://{}", listener.authority()),
            stages: ShutdownStages::default(),
            tasks: TaskTracker::new(),
            places: Arc::new(ClientPlaces::within(open_files_limit())),
            is_guess: false,
            tls_wanted: Once::new(),
            local,
        }
    }

    /// Whether the page that sends a request with `headers` is one at which people log in to the site that is asked.
    pub(crate) fn is_from_login(&self, headers: &HeaderMap) -> bool {
        let (Some(authority), Some(origin)) = (only_value(headers, &HOST), only_value(headers, &ORIGIN)) else {
            return false;
        };
        let Some(site) = self.site_at(authority) else { return false };
        self.hosts.is_other_site(site, authority, origin) || self.logins.may_come_back(site, origin, Instant::now())
    }

    /// Whether a request with `headers` may be the way back from a login, to which the site that is asked sent the browser lately.
    pub(crate) fn may_be_back_from_login(&self, headers: &HeaderMap) -> bool {
        let site = only_value(headers, &HOST).and_then(|authority| self.site_at(authority));
        site.is_some_and(|site| self.logins.is_any_under_way(site, Instant::now()))
    }

    /// What the answer to a request with `headers` needs against pages elsewhere.
    pub(crate) fn shield(&self, headers: &HeaderMap) -> AnswerShield {
        let host = only_value(headers, &HOST).and_then(|authority| self.hosts.find(authority));
        AnswerShield {
            is_unmarked: host.is_some_and(|host| is_unmarked(host, headers)),
            is_shared: !matches!(host, Some(OwnHost::Site(_))),
            // A login in a window of its own tells the page that opened it.
            is_held: is_led_here(headers) && !self.may_be_back_from_login(headers),
        }
    }

    fn site_at(&self, authority: &str) -> Option<usize> {
        match self.hosts.find(authority)? {
            OwnHost::Site(site) => Some(site),
            _ => (self.local.sites.len() == 1).then_some(0),
        }
    }

    /// Whether the page that `headers` name as the one before is one of ours.
    pub(crate) fn is_referred_by_us(&self, headers: &HeaderMap) -> bool {
        let referrer = only_value(headers, &REFERER).and_then(|referrer| referrer.parse::<Uri>().ok());
        referrer.is_some_and(|url| url.authority().is_some_and(|host| self.hosts.find(host.as_str()).is_some()))
    }

    /// `refusal` in words.
    pub(crate) fn explained(&self, refusal: &GuardRefusal) -> ExplainedRefusal {
        let closed = match refusal {
            GuardRefusal::UnknownHost(host) => strip_suffix_ignoring_case(host_port::split(host).0, ".localhost"),
            _ => None,
        };
        let closed = closed.and_then(|label| (self.local.shown.closed_site)(&label.to_ascii_lowercase()));
        closed.map_or_else(|| refusal.explained(), |closed| closed_site(&closed))
    }

    /// What a page in answer to a request with `headers` is about, from the large to the small: the context, and the Service
    /// whose name was asked.
    pub(crate) fn about(&self, headers: &HeaderMap) -> Vec<String> {
        let host = only_value(headers, &HOST).and_then(|authority| self.hosts.find(authority));
        let site = match host {
            Some(OwnHost::Site(site)) => self.local.sites.get(site),
            _ => None,
        };
        self.local.shown.context.iter().cloned().chain(site.map(|site| site.shown.place())).collect()
    }

    /// Says once that somebody speaks TLS where nobody set it up.
    pub(crate) fn tell_of_tls(&self) {
        self.tls_wanted.call_once(|| {
            tracing::warn!(
                "somebody opened an https URL here, where http is spoken: use http, or set https up with kubectl svcproxy --install-ca"
            );
        });
    }

    pub(crate) fn layout(&self) -> SiteLayout<'_> {
        SiteLayout {
            sites: &self.local.sites,
            presentation: self.local.presentation,
            has_port: self.hosts.port.is_some(),
            page_scheme: self.local.page_scheme(),
        }
    }
}

/// The end comes in two stages; the second includes the first.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownStages {
    /// No new requests, no tunnels.
    pub(crate) drain: CancellationToken,
    /// Nothing at all.
    pub(crate) cut: CancellationToken,
}

impl Default for ShutdownStages {
    fn default() -> Self {
        let cut = CancellationToken::new();
        Self { drain: cut.child_token(), cut }
    }
}
