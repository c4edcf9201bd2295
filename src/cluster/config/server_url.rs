//! `server` of a kubeconfig: scheme, authority and the path in front of every request.

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::error::Error;
use crate::message::host_port::unbracketed;

/// The address of an API server, as far as requests need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    /// Whether requests go over TLS.
    pub(crate) https: bool,
    /// Host and port as written.
    pub(crate) authority: Authority,
    /// The path in front of every request, without a slash at its end; empty when there is none.
    pub(crate) base_path: String,
}

impl ServerUrl {
    /// Reads `server`. Without a scheme it means `http`, as for kubectl (client-go `rest.DefaultServerURL`).
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let refused = || Error::usage(format!("the API server's address {text:?} is not a http or https URL"));
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|_| refused())?;
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(refused()),
        };
        let authority = uri.authority().and_then(without_userinfo).ok_or_else(refused)?;
        Ok(Self { https, authority, base_path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// The host without the brackets of an IPv6 address.
    pub(crate) fn host(&self) -> &str {
        unbracketed(self.authority.host())
    }

    /// The port, the scheme's own when none is written.
    pub(crate) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.https { 443 } else { 80 })
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

/// A password in an address is never sent nor shown.
fn without_userinfo(authority: &Authority) -> Option<Authority> {
    let text = authority.as_str();
    let bare = text.rsplit_once('@').map_or(text, |(_, bare)| bare);
    if authority.host().is_empty() { None } else { bare.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let cases = [
            ("https://10.0.0.1:6443", "https://10.0.0.1:6443", "10.0.0.1", 6443, ""),
            ("https://example.com", "https://example.com", "example.com", 443, ""),
            (
                "https://rancher.example/k8s/clusters/c-1/",
                "https://rancher.example/k8s/clusters/c-1",
                "rancher.example",
                443,
                "/k8s/clusters/c-1",
            ),
            ("https://[fd00::1]:6443/", "https://[fd00::1]:6443", "fd00::1", 6443, ""),
            ("http://localhost:8080", "http://localhost:8080", "localhost", 8080, ""),
            ("localhost:8080", "http://localhost:8080", "localhost", 8080, ""),
            ("https://user:pw@example.com/x?y=1#z", "https://example.com/x", "example.com", 443, "/x"),
        ];
        for (text, shown, host, port, base_path) in cases {
            let url = ServerUrl::parse(text).unwrap();
            assert_eq!(
                (url.to_string().as_str(), url.host(), url.port(), url.base_path.as_str()),
                (shown, host, port, base_path),
                "{text}"
            );
        }
    }

    #[test]
    fn no_address() {
        for text in ["", "ftp://example.com", "https://", "unix:///run/x.sock", "https://a b"] {
            assert!(ServerUrl::parse(text).is_err(), "{text}");
        }
    }
}
