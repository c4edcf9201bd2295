//! One URL: as the browser gets it from the API server, as the app meant it.

use std::str;

use super::service_names::ServiceNames;
use super::template;
use crate::message::host_port::split;
use crate::service::Scheme;

/// Characters that, behind a first slash, make a browser read a host instead of a path: it takes `\` for `/`, and
/// overlooks tabs and line ends (WHATWG URL).
const LEADS_TO_HOST: [u8; 5] = [b'/', b'\\', b'\t', b'\n', b'\r'];

/// Undoes URLs of one answer.
pub(super) struct AnswerUrls<'a> {
    /// What stands in front of paths, without a slash at the end.
    pub(super) prefixes: &'a [String],
    /// The API server's own host and port, where it is on the way.
    pub(super) api: Option<&'a str>,
    /// The Service's own, where somebody puts something in front.
    pub(super) names: Option<&'a ServiceNames>,
    /// The `Host` that the app was sent.
    pub(super) sent: &'a [u8],
    /// The host and port in the browser's address bar.
    pub(super) local: &'a [u8],
    /// And the scheme there.
    pub(super) browser: Scheme,
}

/// A URL in pieces of the one it is made from: `url[..keep]`, a slash if `slash`, `url[rest..]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct UndoneUrl {
    keep: usize,
    slash: bool,
    rest: usize,
}

/// A URL with an authority.
struct AbsoluteUrl<'a> {
    /// Without `:`; `None` in `//host/path`.
    scheme: Option<&'a [u8]>,
    /// Without user and password.
    authority: &'a [u8],
    /// Where the path begins.
    path: usize,
}

/// Whose URL it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UrlOwner {
    /// Of the host that the app was sent.
    Sent,
    /// Of the API server itself, which nobody but it or a gateway writes, or of nobody.
    ApiServer,
    /// Of the Service by one of its names in the cluster, or by the host that it was sent with a port of its own.
    Service,
    Other,
}

impl AnswerUrls<'_> {
    /// The URL that the app meant; `None` where it is this one. An app that was told of its proxy path in another spelling than
    /// the API server's has written it too.
    pub(super) fn undo(&self, url: &[u8]) -> Option<Vec<u8>> {
        let undone = self.look_at(url, true).map(|undone| undone.of(url))?;
        let told = self.prefix_of(&undone).map(|cut| UndoneUrl::path(&undone, cut).of(&undone));
        Some(told.unwrap_or(undone))
    }

    /// The same for an attribute's value as it stands in HTML. Names of the Service in the cluster stay; the address of
    /// its Pod does not, nor does it at the API server if there is a path behind it.
    pub(super) fn undo_in_html(&self, value: &str) -> Option<String> {
        let cut = self.cut_in_html(value);
        let restored = self.api.is_some().then(|| template::restore(cut.as_deref().unwrap_or(value))).flatten();
        restored.or(cut)
    }

    fn cut_in_html(&self, value: &str) -> Option<String> {
        let undone = self.look_at(value.as_bytes(), false)?;
        if undone.slash && undone.keep == 0 && is_any_character(&value[undone.rest..]) {
            return None; // the local side takes prefixed paths, too
        }
        Some(String::from_utf8(undone.of(value.as_bytes())).expect("cut before and after ASCII"))
    }

    /// The path of a cookie.
    pub(super) fn undo_path(&self, path: &[u8]) -> Option<Vec<u8>> {
        let cut = self.prefix_of(path)?;
        Some(UndoneUrl::path(path, cut).of(path))
    }

    /// Length of the prefix of `path`, if it begins with one: as a path, not as a text.
    fn prefix_of(&self, path: &[u8]) -> Option<usize> {
        let is_prefix = |prefix: &&String| {
            path.strip_prefix(prefix.as_bytes())
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?' | b'#')))
        };
        self.prefixes.iter().find(is_prefix).map(String::len)
    }

    fn look_at(&self, url: &[u8], with_names: bool) -> Option<UndoneUrl> {
        if url.first() == Some(&b'/') && url.get(1) != Some(&b'/') {
            let cut = self.prefix_of(url)?;
            return Some(UndoneUrl::path(url, cut));
        }
        let absolute = AbsoluteUrl::read(url)?;
        let cut = self.prefix_of(&url[absolute.path..]).map(|length| absolute.path + length);
        match self.whose(&absolute, with_names) {
            UrlOwner::Sent if self.is_as_the_browser_knows_it(&absolute) => {
                cut.map(|rest| UndoneUrl { keep: absolute.path, slash: !url[rest..].starts_with(b"/"), rest })
            }
            UrlOwner::Sent | UrlOwner::Service => Some(UndoneUrl::path(url, cut.unwrap_or(absolute.path))),
            UrlOwner::ApiServer => cut.map(|rest| UndoneUrl::path(url, rest)),
            UrlOwner::Other => None,
        }
    }

    fn whose(&self, url: &AbsoluteUrl<'_>, with_names: bool) -> UrlOwner {
        let is = |host: &[u8]| url.authority.eq_ignore_ascii_case(host);
        if is(self.sent) {
            return UrlOwner::Sent;
        }
        // Of `http://user@pod-address/path` the API server leaves `//user@`.
        let is_nameless = url.authority.is_empty() && url.scheme.is_none();
        if is_nameless || self.api.is_some_and(|api| is(api.as_bytes())) {
            return UrlOwner::ApiServer;
        }
        let Some(scheme) = url.scheme.map_or(Some(Scheme::Http), Scheme::of_url) else { return UrlOwner::Other };
        let default = scheme.default_port();
        let is_name = |authority: &str| match with_names {
            true => {
                self.names.is_some_and(|names| names.contains(authority, default))
                    || self.is_sent_with_own_port(authority, default)
            }
            false => self.names.is_some_and(|names| names.has_endpoint(authority, default)),
        };
        if str::from_utf8(url.authority).is_ok_and(is_name) { UrlOwner::Service } else { UrlOwner::Other }
    }

    /// An app that takes its name from `Host` and the port from its own listener (nginx's `port_in_redirect`), where the
    /// browser finds nothing. At a name below `localhost`, which is the site's alone, that may be any port.
    fn is_sent_with_own_port(&self, authority: &str, default: u16) -> bool {
        let Ok(sent) = str::from_utf8(self.sent) else { return false };
        let ((host, port), (sent, _)) = (split(authority), split(sent));
        let is_our_port = || self.names.is_some_and(|names| names.has_port(port, default));
        host.eq_ignore_ascii_case(sent) && (sent.ends_with(".localhost") || is_our_port())
    }

    /// The app does not know which of the two the local side speaks. Other schemes are not ours to change.
    fn is_as_the_browser_knows_it(&self, url: &AbsoluteUrl<'_>) -> bool {
        let is = |scheme: Scheme, text: &[u8]| text.eq_ignore_ascii_case(scheme.as_str().as_bytes());
        match url.scheme {
            Some(scheme) if is(self.browser.other(), scheme) => false,
            Some(scheme) if !is(self.browser, scheme) => true,
            _ => self.sent.eq_ignore_ascii_case(self.local),
        }
    }
}

impl UndoneUrl {
    /// `url[rest..]` as an absolute path, which no browser takes for a host.
    fn path(url: &[u8], rest: usize) -> Self {
        let slashes = match url.get(rest) {
            Some(b'/') => url[rest..].iter().take_while(|byte| LEADS_TO_HOST.contains(byte)).count(),
            _ => 0,
        };
        Self { keep: 0, slash: true, rest: rest + slashes }
    }

    fn of(self, url: &[u8]) -> Vec<u8> {
        let slash: &[u8] = if self.slash { b"/" } else { b"" };
        [&url[..self.keep], slash, &url[self.rest..]].concat()
    }
}

impl<'a> AbsoluteUrl<'a> {
    fn read(url: &'a [u8]) -> Option<Self> {
        let (scheme, start) = if url.starts_with(b"//") { (None, 2) } else { scheme(url)? };
        let length = url[start..].iter().position(|byte| b"/?#".contains(byte)).unwrap_or(url.len() - start);
        let authority = &url[start..start + length];
        let host = authority.iter().rposition(|&byte| byte == b'@').map_or(0, |at| at + 1);
        Some(Self { scheme, authority: &authority[host..], path: start + length })
    }
}

/// Whether text in HTML begins with a character reference, which can be any of [`LEADS_TO_HOST`]; but not with the one that
/// the API server writes for `&`.
fn is_any_character(text: &str) -> bool {
    text.starts_with('&') && !text.starts_with("&amp;")
}

/// The scheme of `scheme://…`, and where the rest begins.
fn scheme(url: &[u8]) -> Option<(Option<&[u8]>, usize)> {
    let length = url.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte))?;
    let is_scheme = url[0].is_ascii_alphabetic() && url[length..].starts_with(b"://");
    is_scheme.then(|| (Some(&url[..length]), length + 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::upstream::unprefix::tests::{PREFIX, hosts, slice, spelled, unprefix};
    use proptest::prelude::*;

    #[test]
    fn an_app_that_was_told_of_its_path_in_another_spelling() {
        assert_eq!(undo("l:1", "§/api/v1/namespaces/ns/services/web/proxy/login?x"), "/login?x");
        assert_eq!(undo("l:1", "/api/v1/namespaces/ns/services/web/proxy"), "/");
        assert_eq!(
            undo("l:1", "§/api/v1/namespaces/ns/services/other/proxy/"),
            "/api/v1/namespaces/ns/services/other/proxy/"
        );
    }

    fn undo(sent: &'static str, url: &str) -> String {
        let (unprefix, hosts) = (unprefix(), hosts(sent, "web.localhost:8001"));
        let url = spelled(url);
        let undone = unprefix.references(&hosts).undo(url.as_bytes());
        undone.map_or(url, |undone| String::from_utf8(undone).unwrap())
    }

    fn check(url: &str, expect: &str) {
        assert_eq!(undo("web.localhost:8001", url), spelled(expect), "{url}");
    }

    fn same(url: &str) {
        check(url, url);
    }

    #[test]
    fn paths() {
        check("§/login", "/login");
        check("§/", "/");
        check("§", "/");
        check("§?a=1", "/?a=1");
        check("§#f", "/#f");
        check("§/x?next=§/y#§", "/x?next=§/y#§");
        check("/k8s/c-1§/x", "/x");
        check("/k8s/c-1§", "/");
    }

    #[test]
    fn what_is_not_ours_stays() {
        for url in [
            "",
            "/",
            "/x",
            "x",
            "../x",
            "?a=1",
            "#f",
            "§xyz",
            "§%2Fx",
            "x/§",
            "/x§/",
            "/k8s/c-1/x",
            "/k8s/c-2§/x",
            "javascript:alert(1)",
            "data:text/html,§/",
            "mailto:a@web",
            "http:§/x",
            "://web.localhost:8001§/x",
        ] {
            same(url);
        }
    }

    #[test]
    fn absolute_where_the_browser_speaks_https() {
        let (unprefix, mut hosts) = (unprefix(), hosts("web.localhost:8001", "web.localhost:8001"));
        hosts.browser = Scheme::Https;
        let undone = |url: &str| {
            let undone = unprefix.references(&hosts).undo(url.as_bytes());
            undone.map(|undone| String::from_utf8(undone).unwrap())
        };
        assert_eq!(undone("http://web.localhost:8001/x"), Some("/x".to_owned()), "the page is not by http");
        assert_eq!(undone("https://web.localhost:8001/x"), None);
        assert_eq!(undone("ftp://web.localhost:8001/x"), None);
    }

    #[test]
    fn absolute_by_the_host_that_was_sent() {
        check("http://web.localhost:8001§/x", "http://web.localhost:8001/x");
        check("http://web.localhost:8001§", "http://web.localhost:8001/");
        check("http://web.localhost:8001§?q", "http://web.localhost:8001/?q");
        check("HTTP://WEB.localhost:8001§//x", "HTTP://WEB.localhost:8001//x");
        check("//web.localhost:8001§/x", "//web.localhost:8001/x");
        check("http://user:pw@web.localhost:8001§/x", "http://user:pw@web.localhost:8001/x");
        check("http://web.localhost:8001/k8s/c-1§/x", "http://web.localhost:8001/x");
        check("ws://web.localhost:8001§/x", "ws://web.localhost:8001/x");
        same("http://web.localhost:8001/x");
        same("http://web.localhost.evil:8001§/x");
        same("http://other@x/web.localhost:8001§/x");
    }

    #[test]
    fn absolute_by_the_host_that_was_sent_and_a_port_of_the_app() {
        check("http://web.localhost:8080/x", "/x");
        check("http://web.localhost/x/?y#z", "/x/?y#z");
        check("https://web.localhost:8443//evil.example", "/evil.example");
        check("http://web.localhost:8002§/x", "/x");
        same("http://web2.localhost:8080/x");
        same("ftp://web.localhost:8080/x");
        for (sent, url, expect) in [
            ("localhost:8001", "https://localhost/x", "/x"),
            ("localhost:8001", "http://localhost:8443/x", "/x"),
            ("localhost:8001", "http://localhost:3000/x", "http://localhost:3000/x"),
        ] {
            assert_eq!(undo(sent, url), expect, "{url}");
        }
        let (unprefix, hosts) = (unprefix(), hosts("web.localhost:8001", "web.localhost:8001"));
        assert_eq!(unprefix.references(&hosts).undo_in_html("http://web.localhost:8080/x"), None);
    }

    #[test]
    fn templates_in_html() {
        let (unprefix, hosts) = (unprefix(), hosts("l:1", "l:1"));
        let undo = |value: &str| unprefix.references(&hosts).undo_in_html(&spelled(value));
        assert_eq!(undo("§/%7B%7Bid%7D%7D").as_deref(), Some("/{{id}}"));
        assert_eq!(undo("%7B%7Bbase%7D%7D/x?a=§").as_deref(), Some(&*spelled("{{base}}/x?a=§")));
        assert_eq!(undo("§/%7Bid%7D").as_deref(), Some("/%7Bid%7D"));
    }

    #[test]
    fn https_at_the_local_host_is_a_mistake_of_the_app() {
        check("https://web.localhost:8001§/x?y", "/x?y");
        check("https://web.localhost:8001/x", "/x");
        check("https://web.localhost:8001", "/");
        check("https://web.localhost:8001?q", "/?q");
    }

    #[test]
    fn another_host_that_was_sent_comes_back_as_the_local_one() {
        for (url, expect) in [
            ("http://app.example/x", "/x"),
            ("https://app.example§/x", "/x"),
            ("//app.example/x", "/x"),
            ("https://app.example", "/"),
            ("https://app.example#f", "/#f"),
            ("https://app.example//evil.example", "/evil.example"),
            ("http://app.example:8080/x", "http://app.example:8080/x"),
            ("http://app.example.evil/x", "http://app.example.evil/x"),
            ("ws://app.example§/x", "ws://app.example/x"),
            ("http://web.localhost:8001/x", "http://web.localhost:8001/x"),
        ] {
            assert_eq!(undo("app.example", url), expect, "{url}");
        }
    }

    #[test]
    fn absolute_by_the_api_server() {
        check("https://api.example:6443§/x", "/x");
        check("https://api.example:6443/k8s/c-1§/x", "/x");
        check("//user@§/x", "/x");
        same("https://api.example:6443/x");
        same("https://api.example:6443/api/v1/secrets");
        same("//user@/x");
        same("file://§/x");
    }

    #[test]
    fn absolute_by_a_name_in_the_cluster() {
        check("https://web.ns.svc.cluster.local/x", "/x");
        check("https://web:8443", "/");
        check("https://web§/x?q", "/x?q");
        check("//web.ns//evil.example", "/evil.example");
        same("ftp://web/x");
        same("https://web.other/x");
        let (unprefix, hosts) = (unprefix(), hosts("l:1", "l:1"));
        assert_eq!(unprefix.references(&hosts).undo_in_html("https://web.ns/x"), None);
    }

    #[test]
    fn absolute_by_the_address_of_a_pod() {
        let (unprefix, hosts) = (unprefix().with_endpoints(&[slice(&["10.1.0.1"], Some(8080))]), hosts("l:1", "l:1"));
        let references = unprefix.references(&hosts);
        for (url, expect) in [
            ("http://10.1.0.1:8080", Some("/")),
            ("http://10.1.0.1:8080?a=b", Some("/?a=b")),
            ("//10.1.0.1:8080#f", Some("/#f")),
            ("https://10.1.0.1:8080//evil.example", Some("/evil.example")),
            ("http://10.1.0.1", None),
            ("http://10.1.0.1:8080.evil.example/", None),
            ("ftp://10.1.0.1:8080/x", None),
        ] {
            assert_eq!(references.undo(url.as_bytes()).as_deref(), expect.map(str::as_bytes), "{url}");
            assert_eq!(references.undo_in_html(url).as_deref(), expect, "{url}");
        }
    }

    #[test]
    fn what_is_no_utf_8_stays_as_it_is() {
        let (unprefix, hosts) = (unprefix(), hosts("l:8001", "l:8001"));
        let references = unprefix.references(&hosts);
        assert_eq!(references.undo(b"//l:443#\xff\xfe").as_deref(), Some(&b"/#\xff\xfe"[..]));
        assert_eq!(references.undo(&[PREFIX.as_bytes(), b"/\xff"].concat()).as_deref(), Some(&b"/\xff"[..]));
        assert_eq!(references.undo(b"//l\xff/x"), None);
    }

    #[test]
    fn never_a_host_where_a_path_was_meant() {
        check("§//evil.example", "/evil.example");
        check("§///evil.example", "/evil.example");
        check("§/\\evil.example", "/evil.example");
        check("§/\t/evil.example", "/evil.example");
        check("§/\n\\\r/evil.example", "/evil.example");
        check("§//", "/");
        check("§/%2f/evil.example", "/%2f/evil.example");
        check("§/./evil", "/./evil");
        same("§\\evil");
        let (unprefix, hosts) = (unprefix(), hosts("l:1", "l:1"));
        for value in ["§/&sol;evil.example", "§/&#47;evil", "§//&Tab;/evil", "§/&#13;/evil"] {
            assert_eq!(unprefix.references(&hosts).undo_in_html(&spelled(value)), None, "{value}");
        }
        let of_the_app = unprefix.references(&hosts).undo_in_html(&spelled("§/&amp;http:/10.1.0.1:8080"));
        assert_eq!(of_the_app.as_deref(), Some("/&amp;http:/10.1.0.1:8080"));
    }

    /// Segments that the API server's cleaning leaves as they are.
    const CLEAN: &str = "(/[a-z0-9_~:@-]{1,5}){0,4}/?(\\?[a-z=&/]{0,6})?(#[a-z/]{0,3})?";

    proptest! {
        #[test]
        fn what_the_api_server_prefixed_comes_back(path in CLEAN) {
            prop_assume!(path.starts_with('/'));
            prop_assert_eq!(undo("web.localhost:8001", &format!("§{path}")), path.as_str());
            let absolute = format!("http://web.localhost:8001{path}");
            prop_assert_eq!(undo("web.localhost:8001", &format!("http://web.localhost:8001§{path}")), absolute);
        }

        #[test]
        fn a_path_stays_a_path(
            start in "(|https?://web\\.localhost:8001|//app\\.example|https://web|https://api.example:6443)",
            end in "[/\\\\\t\n\r.?#&;:@a]{0,8}",
        ) {
            let url = format!("{start}{PREFIX}{end}");
            for sent in ["web.localhost:8001", "app.example"] {
                let undone = undo(sent, &url);
                let is_path = undone.starts_with('/') && !undone.starts_with("//app");
                prop_assert!(!is_path || !undone[1..].starts_with(['/', '\\', '\t', '\n', '\r']), "{}", undone);
            }
        }

        #[test]
        fn any_text_is_taken(url in "\\PC{0,30}") {
            undo("web.localhost:8001", &url);
            let (unprefix, hosts) = (unprefix(), hosts("l:1", "l:1"));
            unprefix.references(&hosts).undo_in_html(&format!("{PREFIX}/{url}"));
        }
    }
}
