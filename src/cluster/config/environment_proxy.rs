//! Which proxy, if any, is between us and the API server: Go's rules, which are kubectl's (pure).
//!
//! `proxy-url` of the kubeconfig goes before the environment and knows no exceptions (client-go `rest.Config.Proxy`).
//! The environment's proxies are those of `golang.org/x/net/http/httpproxy`.

use std::net::IpAddr;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::inputs::ProxyVariables;
use super::server_url::ServerUrl;
use crate::error::Error;
use crate::message::host_port::{join, split, unbracketed};

/// A proxy and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OutboundProxy {
    pub(crate) protocol: ProxyProtocol,
    /// Host name or IP address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) login: Option<ProxyLogin>,
}

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyProtocol {
    /// HTTP.
    Http,
    /// HTTP through TLS.
    Https,
    /// SOCKS version 5; it looks up host names itself, as in Go.
    Socks5,
}

/// What a proxy wants to know of its user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ProxyLogin {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The proxy in front of `server`, `None` for a direct connection.
///
/// # Errors
/// When the proxy that applies is not a URL that means a proxy.
pub(crate) fn proxy_for(
    server: &ServerUrl,
    proxy_url: Option<&str>,
    variables: &ProxyVariables,
) -> Result<Option<OutboundProxy>, Error> {
    if let Some(url) = proxy_url.filter(|url| !url.is_empty()) {
        return OutboundProxy::parse(url).map(Some).ok_or_else(|| unusable("proxy-url of the kubeconfig"));
    }
    let (name, url) = match server.https {
        true => ("HTTPS_PROXY", variables.https.as_deref()),
        false => ("HTTP_PROXY", variables.http.as_deref()),
    };
    let Some(url) = url.filter(|_| !is_exempt(server.host(), server.port(), variables.none.as_deref())) else {
        return Ok(None);
    };
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    OutboundProxy::parse(&with_scheme).map(Some).ok_or_else(|| unusable(name))
}

/// The URL itself is not shown: it may hold a password.
fn unusable(name: &str) -> Error {
    Error::usage(format!("{name} is not a http, https or socks5 URL of a proxy"))
}

impl OutboundProxy {
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let (protocol, default_port) = match uri.scheme_str()? {
            "http" => (ProxyProtocol::Http, 80),
            "https" => (ProxyProtocol::Https, 443),
            "socks5" | "socks5h" => (ProxyProtocol::Socks5, 1080),
            _ => return None,
        };
        let authority = uri.authority()?;
        let host = unbracketed(authority.host());
        let login = authority.as_str().rsplit_once('@').map(|(userinfo, _)| ProxyLogin::parse(userinfo));
        let port = authority.port_u16().unwrap_or(default_port);
        (!host.is_empty()).then(|| Self { protocol, host: host.to_owned(), port, login })
    }
}

/// Without user and password.
impl std::fmt::Display for OutboundProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.protocol {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Https => "https",
            ProxyProtocol::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", join(&self.host, self.port))
    }
}

impl std::fmt::Debug for OutboundProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl ProxyLogin {
    fn parse(userinfo: &str) -> Self {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        Self { user: decoded(user), password: decoded(password) }
    }
}

/// Whether the environment's proxies are not for this host: the loopback never is, nor what `NO_PROXY` lists.
fn is_exempt(host: &str, port: u16, no_proxy: Option<&str>) -> bool {
    let host = host.to_ascii_lowercase();
    let ip: Option<IpAddr> = host.parse().ok().map(|ip: IpAddr| ip.to_canonical());
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    let items = no_proxy.unwrap_or_default().split(',').map(|item| item.trim().to_ascii_lowercase());
    items.filter(|item| !item.is_empty()).any(|item| match ip {
        _ if item == "*" => true,
        Some(ip) => names_address(&item, ip, port),
        None => names_host(&item, &host, port),
    })
}

/// `10.0.0.1`, `10.0.0.1:6443`, `[fd00::1]:6443`, `10.0.0.0/8`.
fn names_address(item: &str, ip: IpAddr, port: u16) -> bool {
    if let Some(is_in) = is_in_network(item, ip) {
        return is_in;
    }
    let (host, at) = split(item);
    let same = unbracketed(host).parse().is_ok_and(|other: IpAddr| other.to_canonical() == ip);
    same && at.is_none_or(|at| at == port.to_string())
}

/// `example.com` (and what ends in `.example.com`), `.example.com` and `*.example.com` (only that), each with a port or
/// without.
fn names_host(item: &str, host: &str, port: u16) -> bool {
    let (name, at) = split(item);
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    let named = match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|front| front.ends_with('.')),
    };
    named && !name.is_empty() && at.is_none_or(|at| at == port.to_string())
}

/// Whether `text` is a network that `ip` is in; `None` when it is no network.
fn is_in_network(text: &str, ip: IpAddr) -> Option<bool> {
    let (address, bits) = text.split_once('/')?;
    let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
    if address.is_ipv4() != ip.is_ipv4() || bits > if ip.is_ipv4() { 32 } else { 128 } {
        return Some(false);
    }
    // The first bit of both families stands first.
    let left = |ip| match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    Some((left(address) ^ left(ip)).checked_shr(128 - bits).unwrap_or_default() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(server: &str, proxy_url: &str, https: &str, http: &str, none: &str) -> String {
        let set = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let variables = ProxyVariables { https: set(https), http: set(http), none: set(none) };
        match proxy_for(&ServerUrl::parse(server).unwrap(), set(proxy_url).as_deref(), &variables) {
            Ok(Some(proxy)) => proxy.to_string(),
            Ok(None) => "direct".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn trap_5_no_proxy_is_about_the_cluster() {
        let server = "https://10.1.2.3:6443";
        let cases = [
            ("", "http://proxy:3128"),
            ("10.1.2.3", "direct"),
            ("10.1.2.3:6443", "direct"),
            ("10.1.2.3:443", "http://proxy:3128"),
            ("10.0.0.0/8", "direct"),
            ("192.168.0.0/16", "http://proxy:3128"),
            ("10.1.2.3/32", "direct"),
            ("0.0.0.0/0", "direct"),
            ("10.1.2.3/64", "http://proxy:3128"),
            ("*", "direct"),
            ("example.com, ,10.1.2.0/24,", "direct"),
            ("proxy", "http://proxy:3128"),
            ("proxy:3128", "http://proxy:3128"),
            ("::ffff:10.1.2.3", "direct"),
            ("2.3", "http://proxy:3128"),
        ];
        for (none, expected) in cases {
            assert_eq!(choose(server, "", "http://proxy:3128", "", none), expected, "NO_PROXY={none}");
        }
    }

    #[test]
    fn no_proxy_by_name() {
        let cases = [
            ("example.com", "direct"),
            ("EXAMPLE.com", "direct"),
            (".example.com", "direct"),
            ("*.example.com", "direct"),
            ("api.example.com", "direct"),
            ("api.example.com:443", "direct"),
            ("api.example.com:6443", "http://proxy:3128"),
            (".api.example.com", "http://proxy:3128"),
            ("*.api.example.com", "http://proxy:3128"),
            ("ample.com", "http://proxy:3128"),
            ("com", "direct"),
            (":443", "http://proxy:3128"),
            ("*", "direct"),
            ("10.0.0.0/8", "http://proxy:3128"),
        ];
        for (none, expected) in cases {
            assert_eq!(
                choose("https://API.example.com", "", "http://proxy:3128", "", none),
                expected,
                "NO_PROXY={none}"
            );
        }
    }

    #[test]
    fn no_proxy_for_ipv6() {
        for (none, expected) in [
            ("fd00::/8", "direct"),
            ("fd00::1", "direct"),
            ("[fd00::1]:6443", "direct"),
            ("[fd00::1]:443", "http://proxy:3128"),
            ("fe80::/10", "http://proxy:3128"),
        ] {
            assert_eq!(
                choose("https://[fd00::1]:6443", "", "http://proxy:3128", "", none),
                expected,
                "NO_PROXY={none}"
            );
        }
    }

    #[test]
    fn which_variable() {
        let cases = [
            ("https://api:6443", "", "https-proxy:1", "http-proxy:2", "http://https-proxy:1"),
            ("http://api:8080", "", "https-proxy:1", "http-proxy:2", "http://http-proxy:2"),
            ("https://api:6443", "", "", "http-proxy:2", "direct"),
            ("https://api", "", "https://p", "", "https://p:443"),
            ("https://api", "", "socks5://p", "", "socks5://p:1080"),
            ("https://api", "", "socks5h://[fd00::2]:9", "", "socks5://[fd00::2]:9"),
            ("https://api", "", "http://user:pass@p:3128/", "", "http://p:3128"),
            ("https://api", "", "ftp://p", "", "HTTPS_PROXY is not a http, https or socks5 URL of a proxy"),
            ("https://localhost:6443", "", "p:1", "", "direct"),
            ("https://127.9.9.9:6443", "", "p:1", "", "direct"),
            ("https://[::1]:6443", "", "p:1", "", "direct"),
            ("https://localhost:6443", "http://p:1", "", "", "http://p:1"),
            ("https://api", "socks5://p:1", "q:2", "", "socks5://p:1"),
            (
                "https://api",
                "p:1",
                "q:2",
                "",
                "proxy-url of the kubeconfig is not a http, https or socks5 URL of a proxy",
            ),
        ];
        for (server, proxy_url, https, http, expected) in cases {
            assert_eq!(choose(server, proxy_url, https, http, ""), expected, "{server} {proxy_url} {https}");
        }
    }

    #[test]
    fn proxy_url_knows_no_exceptions() {
        assert_eq!(choose("https://api", "http://p:1", "", "", "*"), "http://p:1");
    }

    #[test]
    fn logins() {
        let proxy = OutboundProxy::parse("http://me:p%40ss:word@p:1").unwrap();
        let ProxyLogin { user, password } = proxy.login.clone().unwrap();
        assert_eq!((user.as_str(), password.as_str()), ("me", "p@ss:word"));
        assert_eq!(format!("{proxy:?}"), "Proxy(http://p:1)");
    }
}
