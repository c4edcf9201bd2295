//! Which transport carries a request. Pure.

use std::borrow::Cow;
use std::fmt;

use clap::ValueEnum;
use http::Request;
use http::header::{AUTHORIZATION, TRAILER, UPGRADE};
use percent_encoding::{percent_decode, percent_decode_str};
use serde::Serialize;

use super::Transport;
use crate::message::client_connection::ClientConnection;

/// The methods that the service proxy carries.
const ROUTED_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// `--via`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Through the API server's service proxy; by port-forward what that cannot carry
    #[default]
    Auto,
    /// Through the API server's service proxy only
    ServiceProxy,
    /// By port-forward to a ready Pod only
    PortForward,
}

/// Something in a request that the API server's service proxy would lose or change (apimachinery
/// `pkg/util/proxy/upgradeaware.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyLimitation {
    /// The query of a WebSocket handshake is dropped (kubernetes/kubernetes#77142).
    WebSocketQuery,
    /// `Authorization` is taken for the user's own and removed (kubernetes/kubernetes#38775).
    Authorization,
    /// `%2F` in the path becomes `/`.
    EncodedSlash,
    /// A `dryRun` in the query is taken for the API server's own.
    DryRun,
    /// Only seven methods are routed.
    Method,
    /// Fields after the body are announced, and then left out.
    Trailer,
    /// `//` in the path becomes `/`.
    EmptySegment,
    /// The path is decoded and escaped anew, by other rules than the client's.
    Escapes,
    /// OPTIONS takes the verb `*`, which few roles give.
    Options,
    /// The API server sends the requests of many clients on one connection.
    ConnectionLogin,
    /// The API server chooses a Pod for each of its connections, whoever they are for.
    OnePod,
}

impl ProxyLimitation {
    /// What the service proxy could not give `request`; the worst of it where it is several things.
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        let (path, query) = (request.uri().path(), request.uri().query());
        let is_upgrade = request.headers().contains_key(UPGRADE);
        match request.method().as_str() {
            _ if is_upgrade && query.is_some() => Some(Self::WebSocketQuery),
            _ if request.headers().contains_key(AUTHORIZATION) => Some(Self::Authorization),
            _ if has_encoded_slash(path) => Some(Self::EncodedSlash),
            _ if query.is_some_and(has_dry_run) => Some(Self::DryRun),
            _ if request.headers().contains_key(TRAILER) => Some(Self::Trailer),
            method if !ROUTED_METHODS.contains(&method) => Some(Self::Method),
            _ if path.contains("//") => Some(Self::EmptySegment),
            _ if is_escaped_anew(path) => Some(Self::Escapes),
            "OPTIONS" => Some(Self::Options),
            _ if ClientConnection::of(request).is_some_and(ClientConnection::has_login) => Some(Self::ConnectionLogin),
            _ => None,
        }
    }

    /// How a request with it goes, where the service proxy was asked for or is usual; `None` where neither way is honest.
    pub(super) fn choose(self, may_port_forward: bool) -> Option<Transport> {
        match self {
            _ if may_port_forward => Some(Transport::PortForward),
            _ if self.is_bearable() => Some(Transport::ServiceProxy),
            _ => None,
        }
    }

    /// Whether the service proxy changes so little, or says so plainly itself, that it may do where there is nothing else.
    fn is_bearable(self) -> bool {
        // Servers and other proxies collapse slashes too; whoever decodes the path sees the same; and to OPTIONS the API
        // server answers 403 itself. Without a login the app asks for one again, and most apps do with any Pod.
        matches!(self, Self::EmptySegment | Self::Escapes | Self::Options | Self::ConnectionLogin | Self::OnePod)
    }

    /// What the service proxy would do to it.
    pub fn harm(self) -> &'static str {
        match self {
            Self::WebSocketQuery => "drop the query",
            Self::Authorization => "take it for yours and remove it",
            Self::EncodedSlash | Self::EmptySegment => "make it /",
            Self::DryRun => "take it for its own",
            Self::Trailer => "drop them",
            Self::Method | Self::Options => "refuse it",
            Self::Escapes => "escape it otherwise",
            Self::ConnectionLogin => "lose it",
            Self::OnePod => "choose one for each connection",
        }
    }
}

fn has_encoded_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(|octets| octets.eq_ignore_ascii_case(b"%2f"))
}

/// Whether Go's `net/url` (`URL.EscapedPath`) would write `path` so that it is no longer equal (RFC 3986 section 6.2.2):
/// it escapes some of the octets that may delimit something, and leaves the others as they are.
fn is_escaped_anew(path: &str) -> bool {
    const ESCAPED: &[u8] = b"!'()*";
    const LEFT: &[u8] = b"$&+,:;=@";
    let escapes = path.as_bytes().windows(3).filter(|octets| octets[0] == b'%');
    let mut decoded = escapes.filter_map(|octets| percent_decode(octets).next());
    path.bytes().any(|octet| ESCAPED.contains(&octet)) || decoded.any(|octet| LEFT.contains(&octet))
}

/// As Go reads a query: keys are decoded, and their case counts.
fn has_dry_run(query: &str) -> bool {
    let key = |pair: &str| -> bool {
        let key = pair.split('=').next().unwrap_or_default();
        percent_decode_str(key).decode_utf8().map(Cow::into_owned).is_ok_and(|key| key == "dryRun")
    };
    query.split('&').any(key)
}

/// The kind of request, as the subject of a sentence.
impl fmt::Display for ProxyLimitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebSocketQuery => "a WebSocket with a query",
            Self::Authorization => "a request with an Authorization of the page's own",
            Self::EncodedSlash => "a path with %2F",
            Self::DryRun => "a query with dryRun",
            Self::Method => "a method other than GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS",
            Self::Trailer => "a request with trailers",
            Self::EmptySegment => "a path with //",
            Self::Escapes => "a path with ! ' ( ) * or an escape of $ & + , : ; = @",
            Self::Options => "OPTIONS, for which you lack the verb *",
            Self::ConnectionLogin => "a login that belongs to a connection",
            Self::OnePod => "one Pod for the whole run",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(line: &str, headers: &[(&str, &str)]) -> Option<ProxyLimitation> {
        let (method, target) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        ProxyLimitation::of(&request.body(()).unwrap())
    }

    #[test]
    fn a_login_that_belongs_to_a_connection() {
        let client = ClientConnection::default();
        let request = Request::builder().extension(client.clone()).body(()).unwrap();
        assert_eq!(ProxyLimitation::of(&request), None);
        client.give_login();
        assert_eq!(ProxyLimitation::of(&request), Some(ProxyLimitation::ConnectionLogin));
    }

    #[test]
    fn what_the_service_proxy_cannot_give() {
        let upgrade = ("upgrade", "websocket");
        let basic = ("authorization", "Basic YTpi");
        let check = |line: &str, headers: &[(&str, &str)], expect: Option<ProxyLimitation>| {
            assert_eq!(need(line, headers), expect, "{line} {headers:?}");
        };
        check("GET /", &[], None);
        check("POST /a/b?c=d%2Fe//f", &[], None);
        check("GET /socket", &[upgrade], None);
        check("GET /socket?", &[upgrade], Some(ProxyLimitation::WebSocketQuery));
        check("GET /socket?token=1", &[upgrade], Some(ProxyLimitation::WebSocketQuery));
        check("GET /", &[basic], Some(ProxyLimitation::Authorization));
        check("PROPFIND /a%2fb", &[basic], Some(ProxyLimitation::Authorization));
        check("GET /a%2Fb", &[], Some(ProxyLimitation::EncodedSlash));
        check("GET /a%2fb", &[], Some(ProxyLimitation::EncodedSlash));
        check("GET /a%252Fb", &[], None);
        check("DELETE //a", &[], Some(ProxyLimitation::EmptySegment));
        check("GET /a//b", &[], Some(ProxyLimitation::EmptySegment));
        check("OPTIONS /a//b", &[], Some(ProxyLimitation::EmptySegment));
        check("PROPFIND /a//b", &[], Some(ProxyLimitation::Method));
        check("PROPFIND /", &[], Some(ProxyLimitation::Method));
        check("TRACE /", &[], Some(ProxyLimitation::Method));
        check("OPTIONS /", &[], Some(ProxyLimitation::Options));
        check("POST /", &[("trailer", "x-sum")], Some(ProxyLimitation::Trailer));
        check("GET /", &[("te", "trailers")], None);
        for path in ["/a!", "/a'b", "/(a)", "/a*", "/%24", "/%26", "/%2b", "/%2C", "/%3a", "/%3B", "/%3D", "/@%40"] {
            check(&format!("GET {path}"), &[], Some(ProxyLimitation::Escapes));
        }
        for path in ["/$&+,:;=@", "/%21%27%28%29%2A", "/%20%25"] {
            check(&format!("GET {path}"), &[], None);
        }
        check("GET /%253B%7E%41%c3%A9", &[], None);
        check("GET /?a=(b)%3B", &[], None);
        check("GET //(a)", &[], Some(ProxyLimitation::EmptySegment));
        check("OPTIONS /(a)", &[], Some(ProxyLimitation::Escapes));
        check("GET /?dryRun=All", &[], Some(ProxyLimitation::DryRun));
        check("GET /?a=b&dryRun", &[], Some(ProxyLimitation::DryRun));
        check("GET /?dry%52un=1", &[], Some(ProxyLimitation::DryRun));
        check("GET /?dryrun=1&xdryRun=1&a=dryRun", &[], None);
    }
}
