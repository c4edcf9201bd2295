//! What one open Service looks like to a browser: its paths, headers, WebSockets, and this program's own pages.

pub mod route;
pub(crate) mod headers;
pub(crate) mod below_proxy_path;
pub(crate) mod served_urls;
pub(crate) mod asked_hrefs;
pub(crate) mod web_socket_pump;
pub(crate) mod own_pages;

use std::sync::Arc;

use clap::ValueEnum;

use crate::proxy::upstream::Upstream;

/// One open Service.
#[derive(Clone)]
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
    /// The computed proxy path. Pure.
    pub(crate) fn proxy_path(&self) -> &str {
        self.paths.first().map_or("/", String::as_str)
    }

    /// Its own host name. Pure.
    pub(crate) fn host_name(&self) -> String {
        format!("{}.localhost", self.label)
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
