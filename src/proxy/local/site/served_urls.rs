//! URLs of ours in a request: whichever of our names and proxy paths a client used in them, the Service
//! reads the one host of the request and its own path. Pure.

use http::HeaderMap;

use crate::message::{host_port, link_fields, safe_path};
use crate::proxy::local::guard::hosts::{OwnHost, OwnHosts};

/// The URLs that lead to one site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServedUrls<'a> {
    /// Names that are ours.
    pub(crate) hosts: &'a OwnHosts,
    /// Index of the site.
    pub(crate) site: usize,
    /// Its proxy paths, each beginning and ending in `/`.
    pub(crate) paths: &'a [String],
    /// What the client called us in `Host`.
    pub(crate) authority: &'a str,
}

impl ServedUrls<'_> {
    /// Makes the URLs in `headers` those that the Service has at the host of the request.
    pub(crate) fn make_own(&self, headers: &mut HeaderMap) {
        link_fields::change_asked_urls(headers, |url| self.own(std::str::from_utf8(url).ok()?).map(String::into_bytes));
    }

    /// The one of them that the Service has for `url`; `None` for a URL that is right already, or leads elsewhere.
    pub(crate) fn own(&self, url: &str) -> Option<String> {
        if url.starts_with('/') && !url.starts_with("//") {
            return self.below(url);
        }
        let (scheme, after) = url.split_once("://")?;
        let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
        let host = self.find(authority).filter(|_| is_http)?;
        let path = match self.below(rest) {
            Some(own) => own,
            None if host == OwnHost::Site(self.site) || self.hosts.labels.len() == 1 => rest.to_owned(),
            None => return None,
        };
        Some(format!("{scheme}://{}{path}", self.authority))
    }

    /// Another port of this machine is another server's, unless the request itself came by it.
    fn find(&self, authority: &str) -> Option<OwnHost> {
        let port = |authority| host_port::split(authority).1.map_or(Some(80), |port| port.parse::<u16>().ok());
        let is_own_port = port(authority) == port(self.authority) || port(authority) == self.hosts.port;
        self.hosts.find(authority).filter(|_| is_own_port)
    }

    /// The Service's own path, where `path` is below one of its proxy paths.
    fn below(&self, path: &str) -> Option<String> {
        self.paths.iter().find_map(|prefix| {
            let rest = safe_path::strip_prefix(path, prefix.strip_suffix('/')?)?;
            match rest.bytes().next() {
                Some(b'/') => Some(rest.to_owned()),
                None | Some(b'?' | b'#') => Some(format!("/{rest}")),
                Some(_) => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/api/v1/namespaces/ns/services/web:80/proxy";

    fn hosts(labels: &[&str]) -> OwnHosts {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        OwnHosts { labels, port: Some(8001), ..OwnHosts::default() }
    }

    /// `P` stands for the proxy path.
    fn own(labels: &[&str], url: &str) -> String {
        let url = url.replace('P', PATH);
        let paths = ["/api/v1/namespaces/ns/services/web/proxy/".to_owned(), format!("{PATH}/")];
        let (hosts, authority) = (hosts(labels), "web.localhost:9000");
        let urls = ServedUrls { hosts: &hosts, site: 0, paths: &paths, authority };
        urls.own(&url).unwrap_or(url)
    }

    fn check(url: &str, expect: &str) {
        assert_eq!(own(&["web", "api"], url), expect.replace('P', PATH), "{url}");
    }

    #[test]
    fn every_spelling_of_ours() {
        for base in [
            "http://127.0.0.1:8001P",
            "http://localhost:8001P",
            "http://[::1]:9000P",
            "http://127.0.0.1:9000/api/v1/namespaces/ns/services/web/proxy",
            "http://WEB.localhost:8001",
            "http://web.localhost:9000/api/v1/namespaces/ns/services/web%3A80/proxy",
        ] {
            check(&format!("{base}/a?b#c"), "http://web.localhost:9000/a?b#c");
        }
        check("https://127.0.0.1:8001P", "https://web.localhost:9000/");
        check("http://127.0.0.1:8001P?q", "http://web.localhost:9000/?q");
        check("P/a", "/a");
        assert_eq!(own(&["web"], "http://127.0.0.1:8001/a"), "http://web.localhost:9000/a");
    }

    #[test]
    fn what_leads_elsewhere() {
        for same in [
            "http://127.0.0.1:8001/a",
            "http://api.localhost:8001/a",
            "http://127.0.0.1:3000P/a",
            "http://other.example:8001P/a",
            "http://127.0.0.1:8001Px/a",
            "ftp://127.0.0.1:8001P/a",
            "//127.0.0.1:8001P/a",
            "/a",
            "",
        ] {
            check(same, same);
        }
    }
}
