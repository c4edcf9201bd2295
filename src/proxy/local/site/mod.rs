//! What one open Service looks like to a browser: its paths, headers, WebSockets, and this program's own pages.

pub mod route;
pub(crate) mod headers;
pub(crate) mod below_proxy_path;
pub(crate) mod served_urls;
pub(crate) mod asked_hrefs;
pub(crate) mod web_socket_pump;
pub(crate) mod own_pages;
pub(crate) mod start_page;

use std::fmt;
use std::sync::Arc;

use clap::ValueEnum;

use super::guard::refusal::ClosedSite;
use crate::proxy::upstream::Upstream;

/// One open Service.
#[derive(Clone)]
pub struct Site {
    /// First label of its own host name: a DNS label, never empty, different from every other site's.
    pub label: String,
    /// What pages say of it.
    pub shown: ShownService,
    /// The proxy paths under which it is served too, each beginning and ending in `/`; the first is the computed one.
    pub paths: Vec<String>,
    /// Where the browser is sent first: path and query below the Service's `/`, beginning with `/`.
    pub landing: String,
    /// Where its requests go.
    pub upstream: Arc<dyn Upstream>,
}

impl Site {
    /// The computed proxy path. Pure.
    pub(crate) fn proxy_path(&self) -> &str {
        self.paths.first().map_or("/", String::as_str)
    }

    /// Its own host name. Pure.
    pub(crate) fn host_name(&self) -> String {
        format!("{}.localhost", self.label)
    }
}

/// Tells how many endpoints are ready at the moment; `None` as long as nobody has seen them.
#[derive(Clone)]
pub struct ReadyCount(Arc<dyn Fn() -> Option<usize> + Send + Sync>);

impl ReadyCount {
    /// Asks `count` each time.
    pub fn new(count: impl Fn() -> Option<usize> + Send + Sync + 'static) -> Self {
        Self(Arc::new(count))
    }

    pub(crate) fn get(&self) -> Option<usize> {
        (self.0)()
    }
}

impl fmt::Debug for ReadyCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadyCount").field(&self.get()).finish()
    }
}

/// What pages say of an open Service, in plain words.
#[derive(Debug, Clone)]
pub struct ShownService {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The port that is open, as people read it; none where none is known.
    pub port: Option<String>,
    /// Its ready endpoints.
    pub ready: ReadyCount,
}

/// Whose site has a label, if that looks like one of a Service.
pub type ClosedSiteLookup = Arc<dyn Fn(&str) -> Option<ClosedSite> + Send + Sync>;

/// What pages say of a run: where its Services are, and what it does not serve.
#[derive(Clone)]
pub struct ShownRun {
    /// Context of the kubeconfig; none in a Pod.
    pub context: Option<String>,
    /// URL of the API server.
    pub server: String,
    /// Commands that open something else, each with what that is.
    pub others: Vec<(String, String)>,
    /// Knows the sites that are not open here.
    pub closed_site: ClosedSiteLookup,
}

impl ShownService {
    /// As in `kubectl svcproxy NAMESPACE/NAME`. Pure.
    pub fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// `--origin`: where browsers find a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Origin {
    /// http://SERVICE--NAMESPACE--HASH.localhost:PORT/
    #[default]
    Site,
    // Only one Service can have that; with several it is as `Path`.
    /// http://localhost:PORT/
    Localhost,
    /// Below the proxy path only
    Path,
}
