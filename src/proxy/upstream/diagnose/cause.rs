//! Why there is no answer of the Service: the API server's messages, told apart by their fixed words.

use http::StatusCode;

use super::{AnswerFault, ApiServerStatus};
use crate::cluster::{CredentialsNotSeen, MissingRight, SendError};
use crate::service::Scheme;

/// Why a request got no answer of the Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureCause {
    /// Nothing ready behind this port of the Service.
    NoEndpoints,
    /// There is no such Service.
    NoService,
    /// The Service has no port of this number.
    NoSuchPort,
    /// The API server cannot read the ID.
    InvalidId,
    /// The Pods speak the other scheme.
    WrongScheme {
        /// What they speak.
        right: Scheme,
    },
    /// Packets of the API server do not arrive at the Pod.
    PodUnreachable,
    /// Nothing listens at the Pod's port.
    PodRefuses,
    /// The Pod closed the connection without an answer.
    PodBreaksOff,
    /// The API server did not get through to the Pod, for a reason that is not one of these.
    PodNotReached,
    /// What the Pod said is no HTTP.
    NotHttp,
    /// The head of the Pod's answer is larger than what anybody takes.
    HeadTooLarge,
    /// The Pod's answer is malformed in a way that its reader, mostly the API server, does not put up with.
    MalformedAnswer(AnswerFault),
    /// The Pod's TLS is there but came to no agreement.
    PodTls,
    /// The Pod answered a WebSocket handshake with something that the API server does not pass on.
    UpgradeRefused,
    /// A `Location` that the API server cannot parse.
    BadRedirect,
    /// HTML in an encoding that the API server cannot read.
    BadEncoding,
    /// The app leads to https for ever, whatever it is told.
    InsistsOnHttps,
    /// The app leads to the URL that was asked for for ever, under the name that it wants too.
    RedirectsToItself,
    /// The API server does not accept the credentials.
    Unauthorized,
    /// The API server knows the user, who lacks a right.
    Forbidden(MissingRight),
    /// The API server did not see who we are.
    Unseen(CredentialsNotSeen),
    /// An admission webhook or policy said no.
    Denied,
    /// A method that the service proxy does not carry.
    MethodNotAllowed,
    /// A `dryRun` in the query, which the API server takes for its own.
    DryRun,
    /// No answer of the API server itself.
    ApiServer(ApiServerFailure),
    /// The API server cannot reach the node that would forward to the Pod.
    NodeUnreachable,
    /// The API server, or something in front of it, knows none of the handshakes of port-forward.
    NoPortForward,
    /// The API server saw no upgrade where one was sent.
    UpgradeLost,
    /// The request cannot be carried without changing it.
    NotFaithful,
    /// Only port-forward could carry the request without changing it, and that is not to be had.
    OnlyByPortForward(NoPortForwardReason),
}

/// Why there is no port-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPortForwardReason {
    /// The user lacks the right.
    Right,
    /// `--via service-proxy`.
    Flag,
}

/// Why the API server itself cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiServerFailure {
    /// No connection to it.
    Unreachable,
    /// No credentials to show.
    Credentials,
    /// The connection broke before the answer began.
    BrokeOff,
    /// The connection led nowhere any more.
    Lost,
}

impl From<&SendError> for ApiServerFailure {
    fn from(error: &SendError) -> Self {
        match error {
            SendError::Credentials(_) => Self::Credentials,
            SendError::Lost { .. } => Self::Lost,
            SendError::Interrupted { .. } | SendError::HeadTooLarge => Self::BrokeOff,
            _ => Self::Unreachable,
        }
    }
}

impl FailureCause {
    /// Whether it shows that the app has not seen the request: the API server answered it by itself, or never got through
    /// to an app that speaks what was sent.
    pub(crate) fn is_before_app(&self) -> bool {
        let by_api_server_alone = matches!(
            self,
            Self::NoEndpoints
                | Self::NoService
                | Self::NoSuchPort
                | Self::InvalidId
                | Self::Unauthorized
                | Self::Forbidden(_)
                | Self::Unseen(_)
                | Self::Denied
                | Self::MethodNotAllowed
                | Self::DryRun
        );
        let on_the_way =
            matches!(self, Self::WrongScheme { .. } | Self::PodUnreachable | Self::PodRefuses | Self::PodTls);
        by_api_server_alone || on_the_way
    }

    /// What `status` means; `None` for a message that is not one of the service proxy's.
    pub fn of(status: &ApiServerStatus) -> Option<Self> {
        let message = status.message.as_str();
        let starts = ["error trying to reach service: ", "error dialing backend: "];
        if let Some(dialling) = starts.iter().find_map(|start| message.strip_prefix(start)) {
            return Some(of_dialling(dialling));
        }
        match status.code {
            StatusCode::UNAUTHORIZED if message == "Unauthorized" => Some(Self::Unauthorized),
            StatusCode::FORBIDDEN => of_refusal(message),
            StatusCode::METHOD_NOT_ALLOWED if status.reason == "MethodNotAllowed" => Some(Self::MethodNotAllowed),
            _ => of_fixed_words(message),
        }
    }
}

/// Sentences of the API server's proxy code (kubernetes `pkg/registry/core/service/storage/storage.go`, apimachinery
/// `pkg/util/proxy/upgradeaware.go`), and of Go's `net` and `crypto/tls` below it.
fn of_fixed_words(message: &str) -> Option<FailureCause> {
    let begins = |start: &str| message.starts_with(start);
    Some(match message {
        _ if begins("no endpoints available for service ") => FailureCause::NoEndpoints,
        _ if begins("no service port ") && message.contains(" found for service ") => FailureCause::NoSuchPort,
        _ if begins("services ") && message.ends_with(" not found") => FailureCause::NoService,
        _ if begins("endpoints ") && message.ends_with(" not found") => FailureCause::NoService,
        _ if begins("invalid service request ") => FailureCause::InvalidId,
        _ if begins("invalid upgrade response: ") => FailureCause::UpgradeRefused,
        _ if message.contains("error trying to parse Location header: ") => FailureCause::BadRedirect,
        _ if begins("flate: corrupt input before offset ") || begins("errorf making gzip reader: ") => {
            FailureCause::BadEncoding
        }
        "dryRun is not supported" => FailureCause::DryRun,
        "Upgrade request required" => FailureCause::UpgradeLost,
        // As it is where the API server reads a page to change its links (apimachinery `pkg/util/proxy/transport.go`).
        "gzip: invalid header" | "gzip: invalid checksum" => FailureCause::MalformedAnswer(AnswerFault::Compression),
        "unexpected EOF" => FailureCause::MalformedAnswer(AnswerFault::TooShort),
        // Some apps see a handshake by its key alone. Go's `httputil.ReverseProxy`.
        _ if begins("backend tried to switch protocol ") && message.ends_with(r#" when "" was requested"#) => {
            FailureCause::UpgradeLost
        }
        _ => return None,
    })
}

/// Words of Go's dialler, TLS and HTTP client, and of the tunnels that some clusters put between API server and Pods.
/// The first that are in a message say what it means.
const DIALLING: [(&[&str], FailureCause); 8] = [
    (&["server response headers exceeded", "message too large"], FailureCause::HeadTooLarge),
    (
        &["first record does not look like a TLS handshake", "server gave HTTP response to HTTPS client"],
        FailureCause::WrongScheme { right: Scheme::Http },
    ),
    (&[r#"malformed HTTP response "\x15\x03"#], FailureCause::WrongScheme { right: Scheme::Https }),
    (&["malformed HTTP"], FailureCause::NotHttp),
    (&["connection refused"], FailureCause::PodRefuses),
    (&["tls: ", "TLS handshake timeout", "x509: "], FailureCause::PodTls),
    (&["EOF", "connection reset by peer", "broken pipe", "server closed idle connection"], FailureCause::PodBreaksOff),
    (
        &[
            "i/o timeout",
            "no route to host",
            "network is unreachable",
            "connection timed out",
            "context deadline exceeded",
            "No agent available",     // Konnectivity without an agent
            "dial timeout, backstop", // Konnectivity with one that does not answer
            "proxy error from ",      // k3s' tunnel
        ],
        FailureCause::PodUnreachable,
    ),
];

fn of_dialling(message: &str) -> FailureCause {
    let is_said = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if let Some(fault) = AnswerFault::told_by(message) {
        return FailureCause::MalformedAnswer(fault);
    }
    let known = DIALLING.into_iter().find(|(words, _)| is_said(words));
    known.map_or(FailureCause::PodNotReached, |(_, cause)| cause)
}

fn of_refusal(message: &str) -> Option<FailureCause> {
    if message.starts_with("admission webhook ") || message.contains(" denied the request") {
        return Some(FailureCause::Denied);
    }
    MissingRight::read(message).map(FailureCause::Forbidden)
}

/// Whether an answer is a server's complaint that it was spoken to without TLS: Go, nginx, Apache and Tomcat answer
/// 400 with these words of their own.
pub(super) fn complains_of_plain_http(code: StatusCode, body: &[u8]) -> bool {
    const COMPLAINTS: [&str; 4] = [
        "Client sent an HTTP request to an HTTPS server",
        "The plain HTTP request was sent to HTTPS port",
        "speaking plain HTTP to an SSL-enabled server port",
        "This combination of host and port requires TLS",
    ];
    let text = String::from_utf8_lossy(body);
    code == StatusCode::BAD_REQUEST && COMPLAINTS.iter().any(|complaint| text.contains(complaint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(code: u16, reason: &str, message: &str) -> Option<FailureCause> {
        let code = StatusCode::from_u16(code).unwrap();
        FailureCause::of(&ApiServerStatus { code, reason: reason.to_owned(), message: message.to_owned() })
    }

    fn check(code: u16, reason: &str, message: &str, expect: FailureCause) {
        assert_eq!(cause(code, reason, message), Some(expect), "{message}");
    }

    #[test]
    fn of_the_service() {
        let unavailable = "ServiceUnavailable";
        check(503, unavailable, r#"no endpoints available for service "web:http""#, FailureCause::NoEndpoints);
        check(503, unavailable, r#"no service port 81 found for service "web""#, FailureCause::NoSuchPort);
        check(404, "NotFound", r#"services "web" not found"#, FailureCause::NoService);
        check(404, "NotFound", r#"endpoints "web" not found"#, FailureCause::NoService);
        check(400, "BadRequest", r#"invalid service request "a:b:c:d""#, FailureCause::InvalidId);
        check(400, "BadRequest", "dryRun is not supported", FailureCause::DryRun);
        check(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
            FailureCause::MethodNotAllowed,
        );
    }

    #[test]
    fn of_dialling_the_pod() {
        let check = |error: &str, expect: FailureCause| {
            check(503, "ServiceUnavailable", &format!("error trying to reach service: {error}"), expect.clone());
            check(500, "", &format!("error dialing backend: {error}"), expect);
        };
        check("dial tcp 10.0.0.9:80: connect: connection refused", FailureCause::PodRefuses);
        check("dial tcp 10.0.0.9:80: i/o timeout", FailureCause::PodUnreachable);
        check("dial tcp 10.0.0.9:80: connect: no route to host", FailureCause::PodUnreachable);
        check(
            "proxy error from 127.0.0.1:6443 while dialing 10.42.1.5:80, code 502: 502 Bad Gateway",
            FailureCause::PodUnreachable,
        );
        check(
            "tls: first record does not look like a TLS handshake",
            FailureCause::WrongScheme { right: Scheme::Http },
        );
        check("http: server gave HTTP response to HTTPS client", FailureCause::WrongScheme { right: Scheme::Http });
        check(
            r#"net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02""#,
            FailureCause::WrongScheme { right: Scheme::Https },
        );
        check(r#"malformed HTTP response "-ERR unknown command""#, FailureCause::NotHttp);
        check("net/http: server response headers exceeded 10485760 bytes; aborted", FailureCause::HeadTooLarge);
        check(
            r#"net/http: HTTP/1.x transport connection broken: bad Content-Length "5, 5""#,
            FailureCause::MalformedAnswer(AnswerFault::ContentLength),
        );
        check("remote error: tls: bad certificate", FailureCause::PodTls);
        check("net/http: TLS handshake timeout", FailureCause::PodTls);
        check("EOF", FailureCause::PodBreaksOff);
        check("read tcp 10.0.0.1:1->10.0.0.9:80: read: connection reset by peer", FailureCause::PodBreaksOff);
        check("something new", FailureCause::PodNotReached);
    }

    #[test]
    fn of_the_answer() {
        check(500, "", "invalid upgrade response: status code 302", FailureCause::UpgradeRefused);
        check(
            500,
            "InternalError",
            r#"Internal error occurred: error trying to parse Location header: parse "/%zz": invalid URL escape "%zz""#,
            FailureCause::BadRedirect,
        );
        check(400, "BadRequest", "Upgrade request required", FailureCause::UpgradeLost);
        let switched = r#"backend tried to switch protocol "websocket" when "" was requested"#;
        check(500, "", switched, FailureCause::UpgradeLost);
        check(500, "", "flate: corrupt input before offset 1", FailureCause::BadEncoding);
        check(500, "", "errorf making gzip reader: EOF", FailureCause::BadEncoding);
        check(500, "", "gzip: invalid header", FailureCause::MalformedAnswer(AnswerFault::Compression));
        check(500, "", "unexpected EOF", FailureCause::MalformedAnswer(AnswerFault::TooShort));
    }

    #[test]
    fn of_the_user() {
        check(401, "Unauthorized", "Unauthorized", FailureCause::Unauthorized);
        let missing = |user: &str, verb: &str, resource: &str| {
            FailureCause::Forbidden(MissingRight {
                user: user.to_owned(),
                verb: verb.to_owned(),
                resource: resource.to_owned(),
            })
        };
        check(
            403,
            "Forbidden",
            r#"services "https:web:443" is forbidden: User "ann" cannot get resource "services/proxy" in API group "" in the namespace "default""#,
            missing("ann", "get", "services/proxy"),
        );
        check(
            403,
            "Forbidden",
            r#"services "web" is forbidden: User "ann" cannot  resource "services/proxy" in API group "" in the namespace "default": no"#,
            missing("ann", "", "services/proxy"),
        );
        check(
            403,
            "Forbidden",
            r#"users "bob" is forbidden: User "ann" cannot impersonate resource "users" in API group "" at the cluster scope"#,
            missing("ann", "impersonate", "users"),
        );
        check(403, "Forbidden", r#"admission webhook "x.example" denied the request: no"#, FailureCause::Denied);
    }

    #[test]
    fn an_unknown_message_is_not_explained() {
        assert_eq!(cause(503, "ServiceUnavailable", "the server is currently unable to handle the request"), None);
        assert_eq!(cause(401, "Unauthorized", "token expired, says the app"), None);
        assert_eq!(cause(403, "Forbidden", "not you"), None);
        assert_eq!(cause(404, "NotFound", "the server could not find the requested resource"), None);
    }

    #[test]
    fn servers_that_want_tls() {
        let complains =
            |code: u16, body: &str| complains_of_plain_http(StatusCode::from_u16(code).unwrap(), body.as_bytes());
        assert!(complains(400, "Client sent an HTTP request to an HTTPS server.\n"));
        assert!(complains(400, "<center>The plain HTTP request was sent to HTTPS port</center>"));
        assert!(!complains(200, "Client sent an HTTP request to an HTTPS server."));
        assert!(!complains(400, "Bad Request"));
    }
}
