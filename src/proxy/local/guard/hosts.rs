//! The names that this program answers to. Exactly these: a page whose name is made to lead here gets nothing. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::message::host_port::{self, strip_suffix_ignoring_case};
use crate::message::scheme::Scheme;

/// What the client called us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnHost {
    /// The own name of the site with this index.
    Site(usize),
    /// `localhost`.
    Localhost,
    /// `127.0.0.1` or `[::1]`.
    Loopback,
    /// A name or address that the user allowed.
    Named,
}

/// All names that are ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnHosts {
    /// Labels of the sites.
    pub labels: Vec<String>,
    /// The port listened on; `None` on a Unix socket, where the port a client names means nothing.
    pub port: Option<u16>,
    /// Addresses that the user asked to listen on, other than "all".
    pub addresses: Vec<IpAddr>,
    /// `NAME` or `NAME:PORT` that the user allowed.
    pub allowed: Vec<String>,
}

impl OwnHosts {
    /// Whom `authority`, the value of `Host`, means; `None` for anybody else.
    pub fn find(&self, authority: &str) -> Option<OwnHost> {
        let (name, port) = split_port(authority)?;
        if self.is_allowed(authority, name) {
            return Some(OwnHost::Named);
        }
        match self.find_name(name)? {
            OwnHost::Loopback if self.port.is_none() => Some(OwnHost::Localhost),
            OwnHost::Named => self.is_our_port(port).then_some(OwnHost::Named),
            host => is_some_port(port).then_some(host),
        }
    }

    /// Whether `origin` is the site of another Service than `site`, by the port of `authority`.
    pub(crate) fn is_other_site(&self, site: usize, authority: &str, origin: &str) -> bool {
        let Some(other) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else {
            return false;
        };
        let is_site = matches!(self.find(other), Some(OwnHost::Site(found)) if found != site);
        is_site && host_port::split(other).1 == host_port::split(authority).1
    }

    fn find_name(&self, name: &str) -> Option<OwnHost> {
        if name.eq_ignore_ascii_case("localhost") {
            return Some(OwnHost::Localhost);
        }
        if let Some(label) = strip_suffix_ignoring_case(name, ".localhost") {
            return self.labels.iter().position(|site| site.eq_ignore_ascii_case(label)).map(OwnHost::Site);
        }
        match ip_address(name)? {
            IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(OwnHost::Loopback),
            address => self.addresses.contains(&address).then_some(OwnHost::Named),
        }
    }

    /// At an address that others reach, the port is part of the name. HTTP's own is the one that clients leave out.
    fn is_our_port(&self, port: Option<&str>) -> bool {
        match (self.port, port) {
            (None, _) => true,
            (Some(ours), None) => ours == Scheme::Http.default_port(),
            (Some(ours), Some(port)) => !port.starts_with('0') && port.parse() == Ok(ours),
        }
    }

    fn is_allowed(&self, authority: &str, name: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(authority) || allowed.eq_ignore_ascii_case(name))
    }
}

/// Names of this machine lead to us by any port: one that is forwarded to ours (`ssh -L`, editors). Whose page a request comes
/// from is told by its `Origin`, which has that port too.
fn is_some_port(port: Option<&str>) -> bool {
    port.is_none_or(|port| !port.starts_with('0') && port.parse::<u16>().is_ok())
}

/// Name and port; the name of an IPv6 address keeps its brackets. `None` where the port is no number.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let (name, port) = host_port::split(authority);
    let is_whole = match port {
        Some(port) => port.bytes().all(|octet| octet.is_ascii_digit()),
        None => name == authority,
    };
    is_whole.then_some((name, port))
}

fn ip_address(name: &str) -> Option<IpAddr> {
    match host_port::unbracketed(name) {
        bare if bare == name => name.parse().ok().map(IpAddr::V4),
        address => address.parse().ok().map(IpAddr::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> OwnHosts {
        OwnHosts {
            labels: vec!["nginx--default--abc123".to_owned(), "redis--default--abc124".to_owned()],
            port: Some(8001),
            addresses: vec!["192.168.1.5".parse().unwrap(), "fd00::5".parse().unwrap()],
            allowed: vec!["dev.example".to_owned(), "box.example:8443".to_owned()],
        }
    }

    fn check(authority: &str, expect: Option<OwnHost>) {
        assert_eq!(hosts().find(authority), expect, "{authority}");
    }

    #[test]
    fn our_names() {
        check("nginx--default--abc123.localhost:8001", Some(OwnHost::Site(0)));
        check("REDIS--default--ABC124.LocalHost:8001", Some(OwnHost::Site(1)));
        check("localhost:8001", Some(OwnHost::Localhost));
        check("LOCALHOST:8001", Some(OwnHost::Localhost));
        check("127.0.0.1:8001", Some(OwnHost::Loopback));
        check("[::1]:8001", Some(OwnHost::Loopback));
        check("[0:0:0:0:0:0:0:1]:8001", Some(OwnHost::Loopback));
        check("localhost", Some(OwnHost::Localhost));
        check("localhost:9000", Some(OwnHost::Localhost));
        check("127.0.0.1:80", Some(OwnHost::Loopback));
        check("[::1]", Some(OwnHost::Loopback));
        check("nginx--default--abc123.localhost:9000", Some(OwnHost::Site(0)));
        check("192.168.1.5:8001", Some(OwnHost::Named));
        check("[fd00::5]:8001", Some(OwnHost::Named));
        check("dev.example", Some(OwnHost::Named));
        check("Dev.Example:443", Some(OwnHost::Named));
        check("box.example:8443", Some(OwnHost::Named));
    }

    #[test]
    fn t1_other_names() {
        for authority in [
            "evil.example:8001",
            "nginx--default--abc123.localhost.evil:8001",
            "nginx--default--abc123.localhost.:8001",
            "nginx--default--abc123:8001",
            "x.nginx--default--abc123.localhost:8001",
            "other--default--abc123.localhost:8001",
            ".localhost:8001",
            "localhost:65536",
            "localhost:0",
            "localhost:",
            "localhost:08001",
            "localhost:+8001",
            "localhost:8001:8001",
            "localhost:8001@evil.example",
            "user@localhost:8001",
            "127.1:8001",
            "2130706433:8001",
            "127.0.0.2:8001",
            "0.0.0.0:8001",
            "::1:8001",
            "::1",
            "[::1]8001",
            "[::2]:8001",
            "[::ffff:127.0.0.1]:8001",
            "[::1%25lo]:8001",
            "[::1",
            "]",
            "[]",
            "",
            ":8001",
            " localhost:8001",
            "localhost:8001 ",
            "localhost:8001/",
            "localhost:8001,evil",
            "192.168.1.6:8001",
            "192.168.1.5:8002",
            "evil.dev.example",
            "dev.example.evil",
            "box.example",
            "box.example:8444",
        ] {
            check(authority, None);
        }
    }

    #[test]
    fn the_port_may_be_left_out_where_clients_do() {
        let at = |port| OwnHosts { port, ..hosts() };
        assert_eq!(at(Some(80)).find("localhost"), Some(OwnHost::Localhost));
        assert_eq!(at(Some(80)).find("localhost:80"), Some(OwnHost::Localhost));
        assert_eq!(at(None).find("localhost"), Some(OwnHost::Localhost));
        assert_eq!(at(None).find("127.0.0.1:9"), Some(OwnHost::Localhost));
        assert_eq!(at(None).find("nginx--default--abc123.localhost"), Some(OwnHost::Site(0)));
        assert_eq!(at(None).find("evil.example"), None);
    }
}
