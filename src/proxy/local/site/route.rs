//! What a request that may pass is for: which site, at `/` or below one of its proxy paths, or a redirect to where
//! browsers find it. Pure.

use std::borrow::Cow;

use http::{Method, StatusCode};

use super::{Origin, Site};
use crate::message::host_port::url_authority;
use crate::message::safe_path::strip_prefix;
use crate::message::scheme::Scheme;
use crate::proxy::local::guard::admit::is_reading;
use crate::proxy::local::guard::hosts::OwnHost;

/// What of a request counts for its route.
#[derive(Debug, Clone, Copy)]
pub struct RouteQuery<'a> {
    /// Whom it is for.
    pub host: OwnHost,
    /// The port that the client used, which may be forwarded to ours.
    pub port: u16,
    /// By what it came: https is TLS that ends here.
    pub scheme: Scheme,
    /// Its method.
    pub method: &'a Method,
    /// Its path and query, beginning with `/`.
    pub target: &'a str,
    /// Whether a browser goes to this page.
    pub is_navigation: bool,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestRoute<'a> {
    /// To the site with this index.
    Serve {
        /// Its index.
        site: usize,
        /// The Service's own path and query.
        target: Cow<'a, str>,
        /// The proxy path as the client spelled it, ending in `/`, if the answer must be put below it again.
        below: Option<String>,
    },
    /// Elsewhere.
    Redirect {
        /// With which status.
        status: StatusCode,
        /// Where to.
        location: String,
    },
    /// To the list of what is open.
    StartPage,
    /// Nowhere.
    Nothing,
}

/// Everything that does not change from request to request.
#[derive(Clone, Copy)]
pub struct SiteLayout<'a> {
    /// The open Services.
    pub sites: &'a [Site],
    /// How they are presented.
    pub presentation: Origin,
    /// Whether it is listened on a port: by a Unix socket no browser comes.
    pub has_port: bool,
    /// How sites serve pages: by https where that is served at all, and nothing else must be.
    pub page_scheme: Scheme,
}

/// A target below one of the proxy paths of a site.
struct BelowProxyPath {
    site: usize,
    /// The proxy path as spelled, with its final `/`.
    prefix: String,
    /// The Service's own path and query.
    own: String,
    /// Whether the final `/` of the proxy path is missing.
    is_bare: bool,
}

impl SiteLayout<'_> {
    /// Where `ask` goes.
    pub fn route<'a>(&self, ask: &RouteQuery<'a>) -> RequestRoute<'a> {
        if let Some(location) = self.by_https(ask) {
            return temporary_redirect(location);
        }
        match ask.host {
            OwnHost::Site(site) => self.at_site(site, ask),
            OwnHost::Localhost | OwnHost::Loopback | OwnHost::Named => {
                match self.find_below(0..self.sites.len(), ask.target) {
                    Some(below) => self.below(below, ask),
                    None => self.at_shared_host(ask),
                }
            }
        }
    }

    /// Where a page asked for by http is by https.
    fn by_https(&self, ask: &RouteQuery<'_>) -> Option<String> {
        let is_other = (ask.scheme, self.page_scheme) == (Scheme::Http, Scheme::Https);
        let is_wanted = is_other && self.presentation != Origin::Path && ask.is_navigation;
        let name = match ask.host {
            OwnHost::Site(site) => self.sites[site].host_name(),
            OwnHost::Localhost => "localhost".to_owned(),
            OwnHost::Loopback | OwnHost::Named => return None,
        };
        is_wanted.then(|| format!("https://{}{}", url_authority(Scheme::Https, &name, Some(ask.port)), ask.target))
    }

    /// At a site's own name everything is the Service's, at `/`. Its proxy path leads there too: old bookmarks, and
    /// apps that honour `X-Forwarded-Uri`.
    fn at_site<'a>(&self, site: usize, ask: &RouteQuery<'a>) -> RequestRoute<'a> {
        match self.find_below(site..site + 1, ask.target) {
            None => serve_whole(site, ask),
            Some(below) if ask.is_navigation => temporary_redirect(path_reference(below.own)),
            Some(below) => RequestRoute::Serve { site, target: Cow::Owned(below.own), below: None },
        }
    }

    /// Below a proxy path, where pages are not shown if there is a better place for them.
    fn below<'a>(&self, below: BelowProxyPath, ask: &RouteQuery<'a>) -> RequestRoute<'a> {
        if below.is_bare && is_reading(ask.method) {
            let (status, location) = (StatusCode::MOVED_PERMANENTLY, with_final_slash(ask.target));
            return RequestRoute::Redirect { status, location };
        }
        if ask.is_navigation
            && let Some(origin) = self.origin_for_pages(below.site, ask)
        {
            let location = if origin.is_empty() { path_reference(below.own) } else { format!("{origin}{}", below.own) };
            return temporary_redirect(location);
        }
        RequestRoute::Serve { site: below.site, target: Cow::Owned(below.own), below: Some(below.prefix) }
    }

    /// What is neither a site's name nor below a proxy path.
    fn at_shared_host<'a>(&self, ask: &RouteQuery<'a>) -> RequestRoute<'a> {
        let is_root = ask.target.split('?').next() == Some("/");
        match self.sites {
            [_] if self.presentation != Origin::Path && ask.host != OwnHost::Loopback => serve_whole(0, ask),
            [site] if is_root => temporary_redirect(self.landing(site, ask)),
            // Command-line clients follow URLs that the app made of `Host`.
            [_] if self.presentation != Origin::Path => match self.origin_for_pages(0, ask) {
                Some(origin) if ask.is_navigation => temporary_redirect(format!("{origin}{}", ask.target)),
                _ => serve_whole(0, ask),
            },
            _ if is_root => RequestRoute::StartPage,
            _ => RequestRoute::Nothing,
        }
    }

    fn landing(&self, site: &Site, ask: &RouteQuery<'_>) -> String {
        match self.origin_for_pages(0, ask) {
            Some(origin) => format!("{origin}{}", site.landing),
            None => format!("{}{}", site.proxy_path(), site.landing.trim_start_matches('/')),
        }
    }

    /// Where the browser of `ask`, which is at the origin `here`, finds the first page of each site: URLs.
    pub fn addresses(&self, ask: &RouteQuery<'_>, here: &str) -> Vec<String> {
        let address = |(index, site): (usize, &Site)| match self.origin_for_pages(index, ask) {
            Some(origin) if origin.is_empty() => format!("{here}{}", site.landing),
            Some(origin) => format!("{origin}{}", site.landing),
            None => format!("{here}{}{}", site.proxy_path(), site.landing.trim_start_matches('/')),
        };
        self.sites.iter().enumerate().map(address).collect()
    }

    /// Where the browser of `ask` finds `site` at `/`: an origin, or nothing for the host it is at already. `None`
    /// where only the proxy path leads to it.
    fn origin_for_pages(&self, site: usize, ask: &RouteQuery<'_>) -> Option<String> {
        if !self.has_port {
            return None;
        }
        let is_only = self.sites.len() == 1;
        let scheme = self.page_scheme;
        let origin = |host: &str| format!("{scheme}://{}", url_authority(scheme, host, Some(ask.port)));
        let localhost = is_only.then(|| origin("localhost"));
        match (self.presentation, ask.host) {
            (Origin::Path, _) => None,
            (_, OwnHost::Named) => is_only.then(String::new),
            (Origin::Localhost, _) => localhost,
            (Origin::Site, _) if !resolves_names_below_localhost(ask.user_agent) => localhost,
            (Origin::Site, _) => Some(origin(&self.sites[site].host_name())),
        }
    }

    fn find_below(&self, mut among: std::ops::Range<usize>, target: &str) -> Option<BelowProxyPath> {
        among.find_map(|site| self.sites[site].paths.iter().find_map(|path| strip_proxy_path(site, path, target)))
    }
}

fn strip_proxy_path(site: usize, path: &str, target: &str) -> Option<BelowProxyPath> {
    let bare = path.strip_suffix('/')?;
    let rest = strip_prefix(target, bare)?;
    let is_bare = match rest.bytes().next() {
        None | Some(b'?') => true,
        Some(b'/') => false,
        Some(_) => return None,
    };
    let own = if is_bare { format!("/{rest}") } else { rest.to_owned() };
    Some(BelowProxyPath { site, prefix: format!("{}/", &target[..target.len() - rest.len()]), own, is_bare })
}

fn serve_whole<'a>(site: usize, ask: &RouteQuery<'a>) -> RequestRoute<'a> {
    RequestRoute::Serve { site, target: Cow::Borrowed(ask.target), below: None }
}

fn temporary_redirect<'a>(location: String) -> RequestRoute<'a> {
    RequestRoute::Redirect { status: StatusCode::TEMPORARY_REDIRECT, location }
}

/// `target` as a reference to the same host: one that begins with `//` would name another (RFC 3986 section 4.2).
pub(crate) fn path_reference(target: String) -> String {
    if target.starts_with("//") || target.starts_with("/\\") { format!("/.{target}") } else { target }
}

fn with_final_slash(target: &str) -> String {
    match target.split_once('?') {
        Some((path, query)) => format!("{path}/?{query}"),
        None => format!("{target}/"),
    }
}

/// Whether the browser knows by itself where `NAME.localhost` is (RFC 6761 section 6.3). Safari asks the system, which
/// before version 26 does not know.
fn resolves_names_below_localhost(user_agent: Option<&str>) -> bool {
    let Some(user_agent) = user_agent else { return true };
    let is_safari = user_agent.contains(" Safari/") && !user_agent.contains("Chrom");
    let version = user_agent.split_once(" Version/").and_then(|(_, rest)| rest.split(['.', ' ']).next()?.parse().ok());
    !is_safari || version.is_none_or(|version: u32| version >= 26)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::body::Body;
    use crate::proxy::local::{ReadyCount, ShownService};
    use crate::proxy::upstream::Upstream;
    use futures_util::future::BoxFuture;
    use proptest::prelude::*;
    use std::sync::Arc;

    struct Nobody;

    impl Upstream for Nobody {
        fn send(&self, _: http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> {
            unreachable!("only routes are asked for")
        }
    }

    const NGINX: &str = "/api/v1/namespaces/default/services/nginx:http/proxy/";
    const SHORT: &str = "/api/v1/namespaces/default/services/nginx/proxy/";
    const REDIS: &str = "/api/v1/namespaces/default/services/https:redis:/proxy/";
    const SAFARI: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15";
    const CHROMIUM: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

    fn sites(count: usize) -> Vec<Site> {
        let site = |label: &str, paths: &[&str], landing: &str| Site {
            label: label.to_owned(),
            shown: ShownService {
                name: label.to_owned(),
                namespace: "default".to_owned(),
                port: None,
                ready: ReadyCount::new(|| None),
            },
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            landing: landing.to_owned(),
            upstream: Arc::new(Nobody),
        };
        let all = [
            site("nginx--default--abc123", &[NGINX, SHORT], "/ui/?x=1"),
            site("redis--default--abc124", &[REDIS], "/"),
        ];
        all.into_iter().take(count).collect()
    }

    struct Case {
        sites: usize,
        presentation: Origin,
        host: OwnHost,
        port: u16,
        method: Method,
        is_navigation: bool,
        user_agent: &'static str,
        /// How pages are served, and by what this came.
        schemes: (Scheme, Scheme),
    }

    /// A browser going to a page at a loopback address, with the default presentation.
    fn navigation(sites: usize) -> Case {
        Case {
            sites,
            presentation: Origin::Site,
            host: OwnHost::Loopback,
            port: 8001,
            method: Method::GET,
            is_navigation: true,
            user_agent: CHROMIUM,
            schemes: (Scheme::Http, Scheme::Http),
        }
    }

    fn curl(sites: usize) -> Case {
        Case { is_navigation: false, user_agent: "curl/8.5", ..navigation(sites) }
    }

    impl Case {
        fn at(self, host: OwnHost) -> Self {
            Self { host, ..self }
        }

        fn beside_tls(self, scheme: Scheme) -> Self {
            Self { schemes: (Scheme::Https, scheme), ..self }
        }

        fn presented(self, presentation: Origin) -> Self {
            Self { presentation, ..self }
        }

        fn describe(&self, target: &str) -> String {
            let sites = sites(self.sites);
            let (presentation, (page_scheme, scheme)) = (self.presentation, self.schemes);
            let layout = SiteLayout { sites: &sites, presentation, has_port: true, page_scheme };
            let ask = RouteQuery {
                host: self.host,
                port: self.port,
                scheme,
                method: &self.method,
                target,
                is_navigation: self.is_navigation,
                user_agent: Some(self.user_agent),
            };
            match layout.route(&ask) {
                RequestRoute::Serve { site, target, below: None } => format!("{site} {target}"),
                RequestRoute::Serve { site, target, below: Some(below) } => format!("{site} {target} below {below}"),
                RequestRoute::Redirect { status, location } => format!("{} {location}", status.as_str()),
                RequestRoute::StartPage => "start".to_owned(),
                RequestRoute::Nothing => "nothing".to_owned(),
            }
        }

        fn check(&self, target: &str, expect: &str) {
            assert_eq!(self.describe(target), expect, "{target}");
        }
    }

    #[test]
    fn pages_are_by_https_where_there_is_tls_and_nothing_else_must_be() {
        let site = "https://nginx--default--abc123.localhost:8001";
        let check = |case: Case, target: &str, expect: &str| assert_eq!(case.describe(target), expect, "{target}");
        check(navigation(1).beside_tls(Scheme::Http).at(OwnHost::Site(0)), "/a?b", &format!("307 {site}/a?b"));
        check(navigation(1).beside_tls(Scheme::Http), &format!("{NGINX}a?b"), &format!("307 {site}/a?b"));
        check(navigation(1).beside_tls(Scheme::Http).at(OwnHost::Localhost), "/a", "307 https://localhost:8001/a");
        check(navigation(1).beside_tls(Scheme::Https).at(OwnHost::Site(0)), "/a?b", "0 /a?b");
        check(curl(1).beside_tls(Scheme::Http).at(OwnHost::Site(0)), "/a?b", "0 /a?b");
        check(navigation(1).beside_tls(Scheme::Http).at(OwnHost::Named), "/a", "0 /a");
        let path = navigation(1).beside_tls(Scheme::Http).presented(Origin::Path).at(OwnHost::Localhost);
        check(path, &format!("{NGINX}a"), &format!("0 /a below {NGINX}"));
        for (port, origin) in [(80, "https://localhost:80"), (443, "https://localhost")] {
            let case = Case { port, ..navigation(1).beside_tls(Scheme::Http).at(OwnHost::Localhost) };
            check(case, "/a", &format!("307 {origin}/a"));
        }
    }

    #[test]
    fn a_navigation_to_the_proxy_url_goes_to_the_site() {
        let site = "http://nginx--default--abc123.localhost:8001";
        navigation(1).check(NGINX, &format!("307 {site}/"));
        navigation(2).check(&format!("{SHORT}ui/?a=b&c"), &format!("307 {site}/ui/?a=b&c"));
        navigation(2).check(&format!("{SHORT}/evil.example"), &format!("307 {site}//evil.example"));
        navigation(2).at(OwnHost::Localhost).check(NGINX, &format!("307 {site}/"));
        navigation(2).check(REDIS, "307 http://redis--default--abc124.localhost:8001/");
        navigation(2).check(&REDIS.replace(':', "%3A"), "307 http://redis--default--abc124.localhost:8001/");
    }

    #[test]
    fn addresses_are_where_the_browser_finds_the_sites() {
        let check = |case: Case, expect: [&str; 2]| {
            let sites = sites(2);
            let (presentation, (page_scheme, scheme)) = (case.presentation, case.schemes);
            let layout = SiteLayout { sites: &sites, presentation, has_port: true, page_scheme };
            let ask = RouteQuery {
                host: case.host,
                port: case.port,
                scheme,
                method: &case.method,
                target: "/",
                is_navigation: true,
                user_agent: Some(case.user_agent),
            };
            assert_eq!(layout.addresses(&ask, "http://localhost:9000"), expect);
        };
        let forwarded = || Case { port: 9000, ..navigation(2) };
        let by_name =
            ["http://nginx--default--abc123.localhost:9000/ui/?x=1", "http://redis--default--abc124.localhost:9000/"];
        check(forwarded(), by_name);
        let (nginx, redis) = (format!("http://localhost:9000{NGINX}ui/?x=1"), format!("http://localhost:9000{REDIS}"));
        check(forwarded().presented(Origin::Path), [&nginx, &redis]);
        check(Case { user_agent: SAFARI, ..forwarded() }.presented(Origin::Path), [&nginx, &redis]);
    }

    #[test]
    fn a_forwarded_port_stays_in_the_address_bar() {
        let forwarded = |case: Case| Case { port: 9000, ..case };
        forwarded(navigation(1)).check(NGINX, "307 http://nginx--default--abc123.localhost:9000/");
        forwarded(navigation(1)).check("/", "307 http://nginx--default--abc123.localhost:9000/ui/?x=1");
        let localhost = forwarded(navigation(1)).presented(Origin::Localhost);
        localhost.check(NGINX, "307 http://localhost:9000/");
    }

    #[test]
    fn what_is_below_no_proxy_path_is_the_only_services() {
        curl(1).check("/archives/a-1.tgz?x", "0 /archives/a-1.tgz?x");
        navigation(1).check("/a?b", "307 http://nginx--default--abc123.localhost:8001/a?b");
        curl(2).check("/archives/a-1.tgz", "nothing");
        curl(1).presented(Origin::Path).check("/a", "nothing");
    }

    #[test]
    fn everything_else_is_served_in_place() {
        curl(2).check(NGINX, &format!("0 / below {NGINX}"));
        curl(2).check(&format!("{SHORT}a?b"), &format!("0 /a?b below {SHORT}"));
        curl(2).check(&format!("{SHORT}/a"), &format!("0 //a below {SHORT}"));
        curl(2).check(&format!("{REDIS}?q"), &format!("1 /?q below {REDIS}"));
        curl(2).check("/api/v1/namespaces/default/services/other/proxy/", "nothing");
        let post = Case { method: Method::POST, ..curl(1) };
        post.check(NGINX.trim_end_matches('/'), &format!("0 / below {NGINX}"));
    }

    #[test]
    fn the_missing_slash_is_put_there_as_the_api_server_does() {
        let bare = SHORT.trim_end_matches('/');
        curl(1).check(bare, &format!("301 {SHORT}"));
        curl(1).check(&format!("{bare}?a=b"), &format!("301 {SHORT}?a=b"));
        navigation(1).check(bare, &format!("301 {SHORT}"));
        curl(2).check(&format!("{bare}foo"), "nothing");
    }

    #[test]
    fn a_site_is_the_service_at_its_root() {
        let site = |case: Case| case.at(OwnHost::Site(1));
        site(navigation(2)).check("/a//b?c=/%2F", "1 /a//b?c=/%2F");
        site(navigation(2)).check(&format!("{REDIS}a?b"), "307 /a?b");
        site(navigation(2)).check(&format!("{REDIS}/evil.example"), "307 /.//evil.example");
        site(navigation(2)).check(&format!("{REDIS}\\evil.example"), "307 /./\\evil.example");
        site(navigation(2)).check(REDIS.trim_end_matches('/'), "307 /");
        site(curl(2)).check(&format!("{REDIS}a?b"), "1 /a?b");
        site(curl(2)).check(NGINX, &format!("1 {NGINX}"));
    }

    #[test]
    fn the_bare_address() {
        navigation(1).check("/", "307 http://nginx--default--abc123.localhost:8001/ui/?x=1");
        curl(1).check("/", "307 http://nginx--default--abc123.localhost:8001/ui/?x=1");
        navigation(2).check("/", "start");
        curl(2).check("/api/v1/namespaces/default/secrets", "nothing");
        curl(1).at(OwnHost::Localhost).check("/a?b", "0 /a?b");
        curl(2).at(OwnHost::Localhost).check("/a?b", "nothing");
        curl(2).at(OwnHost::Localhost).check("/?b", "start");
    }

    #[test]
    fn a_browser_that_does_not_resolve_the_name_stays_at_localhost() {
        let safari = |sites| Case { user_agent: SAFARI, ..navigation(sites) };
        safari(1).check(&format!("{NGINX}a"), "307 http://localhost:8001/a");
        safari(1).check("/", "307 http://localhost:8001/ui/?x=1");
        safari(2).check(&format!("{NGINX}a"), &format!("0 /a below {NGINX}"));
        for (user_agent, expect) in [
            (SAFARI, false),
            (&SAFARI.replace("18.1", "26.0"), true),
            (CHROMIUM, true),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", true),
            ("curl/8.5", true),
        ] {
            assert_eq!(resolves_names_below_localhost(Some(user_agent)), expect, "{user_agent}");
        }
    }

    #[test]
    fn presented_at_localhost() {
        let case = |case: Case| case.presented(Origin::Localhost);
        case(navigation(1)).check(&format!("{NGINX}a"), "307 http://localhost:8001/a");
        case(navigation(1)).check("/", "307 http://localhost:8001/ui/?x=1");
        case(navigation(1)).at(OwnHost::Localhost).check("/a", "0 /a");
        case(navigation(2)).check(&format!("{NGINX}a"), &format!("0 /a below {NGINX}"));
    }

    #[test]
    fn presented_below_the_path() {
        let case = |case: Case| case.presented(Origin::Path);
        case(navigation(1)).check(&format!("{NGINX}a"), &format!("0 /a below {NGINX}"));
        case(navigation(1)).check("/", &format!("307 {NGINX}ui/?x=1"));
        case(navigation(1)).at(OwnHost::Localhost).check("/", &format!("307 {NGINX}ui/?x=1"));
        case(navigation(1)).at(OwnHost::Localhost).check("/a", "nothing");
        case(navigation(2)).check("/", "start");
    }

    #[test]
    fn at_a_name_the_user_allowed() {
        navigation(1).at(OwnHost::Named).check("/a", "0 /a");
        navigation(1).at(OwnHost::Named).check(&format!("{NGINX}/a"), "307 /.//a");
        navigation(2).at(OwnHost::Named).check("/", "start");
        navigation(2).at(OwnHost::Named).check(&format!("{NGINX}a"), &format!("0 /a below {NGINX}"));
    }

    proptest! {
        #[test]
        fn t7_no_redirect_leaves(rest in "[/\\\\a.:@?]{0,6}", count in 1usize..3, navigates in any::<bool>(), host in 0usize..5) {
            let host = [OwnHost::Localhost, OwnHost::Loopback, OwnHost::Named, OwnHost::Site(0), OwnHost::Site(count - 1)][host];
            let case = Case { is_navigation: navigates, ..navigation(count) }.at(host);
            let route = case.describe(&format!("{NGINX}{rest}"));
            if let Some(location) = route.strip_prefix("307 ").or(route.strip_prefix("301 ")) {
                let ours = location.starts_with("http://nginx--default--abc123.localhost:8001/");
                let same_host = location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\");
                prop_assert!(ours || same_host, "{}", location);
            }
        }

        #[test]
        fn only_what_was_asked_for_reaches_one_of_several(target in "/[a-z0-9/:%?]{0,30}") {
            let route = curl(2).describe(&target);
            prop_assert!(route == "nothing" || route == "start" || route.starts_with("307 "), "{}", route);
        }
    }
}
