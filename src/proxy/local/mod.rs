//! The local side: one listener, one guard, a site for each open Service. Knows no Kubernetes.

pub(crate) mod server;
pub mod guard;
pub mod site;
mod handle;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

pub use server::listener::{BindError, ListenOn, LocalListener, LocalPort};
pub use server::request_log::{RequestLog, RequestRecord};
pub use server::serve::{ServeSummary, serve};
pub use server::stats::{TrafficCounts, TrafficStats};

use super::upstream::Upstream;

/// Everything that is served on one listener, and to whom.
#[derive(Debug)]
pub struct LocalProxy {
    /// The open Services, at least one.
    pub sites: Vec<Site>,
    /// How they are presented to browsers.
    pub presentation: Origin,
    /// Who may use them.
    pub policy: GuardPolicy,
    /// Told of every finished request.
    pub log: RequestLog,
    /// Told of every request as it comes and goes; the caller keeps a clone to notice idleness.
    pub activity: TrafficStats,
}

/// One open Service.
pub struct Site {
    /// First label of its own host name: a DNS label, never empty, different from every other site's.
    pub label: String,
    /// What pages call it: "nginx in default".
    pub title: String,
    /// The proxy paths under which it is served too, each beginning and ending in `/`; the first is the computed one.
    pub paths: Vec<String>,
    /// Where the browser is sent first: path and query below the Service's `/`, beginning with `/`.
    pub landing: String,
    /// Where its requests go.
    pub upstream: Arc<dyn Upstream>,
}

impl Site {
    /// The computed proxy path.
    fn proxy_path(&self) -> &str {
        self.paths.first().map_or("/", String::as_str)
    }

    /// Its own host name.
    fn host_name(&self) -> String {
        format!("{}.localhost", self.label)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("label", &self.label).field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// `--origin`: where browsers find a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// At `/` of a host name of its own, `LABEL.localhost`.
    #[default]
    Site,
    /// At `/` of `localhost`, which only one Service can have; with several it is as [`Origin::Path`].
    Localhost,
    /// Only below its proxy path, as `kubectl proxy` does.
    Path,
}

/// Who may use what is served.
#[derive(Debug, Clone, Default)]
pub struct GuardPolicy {
    /// Only GET, HEAD and OPTIONS, and no WebSockets.
    pub read_only: bool,
    /// Further `Host` values: `NAME` with whatever port, or `NAME:PORT`.
    pub allow_hosts: Vec<String>,
    /// Further `Origin` values, `SCHEME://HOST[:PORT]`, whose pages may send any request.
    pub allow_origins: Vec<String>,
    /// Whether other users of this machine may connect.
    pub allow_other_users: bool,
    /// A token that opens each site once; without, there is none.
    pub token: Option<String>,
}

impl LocalProxy {
    /// The computed proxy URL of `site`, as the kubectl book builds it, at the address that clients reach first.
    pub fn proxy_url(&self, site: &Site, listener: &LocalListener) -> String {
        format!("http://{}{}", listener.authority(), site.proxy_path())
    }

    /// Where browsers find `site`, ending in `/`.
    pub fn site_url(&self, site: &Site, listener: &LocalListener) -> String {
        let is_only = self.sites.len() == 1;
        let host = match self.presentation {
            Origin::Path => return self.proxy_url(site, listener),
            // Names below `localhost` lead to this machine only.
            _ if !listener.is_at_loopback() => is_only.then(|| listener.authority()),
            Origin::Localhost => is_only.then(|| with_port("localhost", listener.port())),
            Origin::Site => Some(with_port(&site.host_name(), listener.port())),
        };
        host.map_or_else(|| self.proxy_url(site, listener), |host| format!("http://{host}/"))
    }

    /// What to open in the browser: the computed proxy URL, the landing page below it and the token, if there is one.
    /// A secret where there is a token: for the browser and the user's own terminal, never for a log.
    pub fn open_url(&self, site: &Site, listener: &LocalListener) -> String {
        let url = self.proxy_url(site, listener);
        let landing = site.landing.strip_prefix('/').unwrap_or(&site.landing);
        match &self.policy.token {
            None => format!("{url}{landing}"),
            Some(token) => with_parameter(&format!("{url}{landing}"), guard::token::PARAMETER, token),
        }
    }
}

/// `host:port`, without the port where HTTP's own is meant or there is none.
fn with_port(host: &str, port: Option<u16>) -> String {
    match port {
        None | Some(80) => host.to_owned(),
        Some(port) => format!("{host}:{port}"),
    }
}

/// `url` with a query parameter more, before its fragment.
fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let (url, fragment) = match url.split_once('#') {
        Some((url, fragment)) => (url, format!("#{fragment}")),
        None => (url, String::new()),
    };
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{name}={value}{fragment}")
}

/// The authority of `address` as a URL has it.
fn authority_of(address: SocketAddr) -> String {
    let host = match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    with_port(&host, Some(address.port()))
}
