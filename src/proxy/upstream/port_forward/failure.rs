//! Why a Pod gave no answer, told apart from what each layer says.

use std::error::Error as StdError;
use std::io;

use http::StatusCode;

use super::pod_stream::{RemoteError, SpeaksTls};
use crate::cluster::client::tcp_line::LostLine;
use crate::cluster::{ApiError, SendError};
use crate::proxy::upstream::diagnose::{AnswerFault, ApiServerFailure, ApiServerStatus, FailureCause};
use crate::service::Scheme;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodFailure {
    /// What it means.
    pub(super) cause: FailureCause,
    /// The status to answer with.
    pub(super) code: StatusCode,
    /// Who said so, in their words.
    pub(super) words: String,
    /// Whether another Pod may do better.
    pub(super) pod_is_gone: bool,
}

impl PodFailure {
    pub(super) fn new(cause: FailureCause, words: impl Into<String>) -> Self {
        let code = match &cause {
            FailureCause::NoEndpoints | FailureCause::NoService | FailureCause::NoSuchPort => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            FailureCause::Forbidden(_) | FailureCause::Unseen(_) | FailureCause::Denied => StatusCode::FORBIDDEN,
            FailureCause::Unauthorized => StatusCode::UNAUTHORIZED,
            FailureCause::PodUnreachable | FailureCause::NodeUnreachable => StatusCode::GATEWAY_TIMEOUT,
            FailureCause::NoPortForward | FailureCause::UpgradeLost => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self { cause, code, words: words.into(), pod_is_gone: false }
    }

    /// The connection to the API server broke.
    pub(super) fn broke_off(error: &impl ToString) -> Self {
        Self::new(FailureCause::ApiServer(ApiServerFailure::BrokeOff), error.to_string())
    }

    fn gone(words: impl Into<String>) -> Self {
        Self { pod_is_gone: true, ..Self::new(FailureCause::PodBreaksOff, words) }
    }

    /// Why there is no TLS with the Pod.
    pub(super) fn tls(error: &io::Error) -> Self {
        if let Some(failure) = Self::of_stream(error) {
            return failure;
        }
        match find::<rustls::Error>(error) {
            Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
                Self::new(FailureCause::WrongScheme { right: Scheme::Http }, "the port does not speak TLS")
            }
            Some(error) => Self::new(FailureCause::PodTls, error.to_string()),
            None => Self::gone("the connection ended before it was secure"),
        }
    }

    /// What an error status in answer to a call or to the opening of a port-forward says.
    pub(super) fn refused(status: ApiServerStatus) -> Self {
        let message = &status.message;
        if message.starts_with("error dialing backend: ") {
            return Self::new(FailureCause::NodeUnreachable, message);
        }
        let no_pod = ["pod does not exist", "pod not found", "container not running", "not in the running state"];
        if status.code == StatusCode::NOT_FOUND || no_pod.iter().any(|words| message.contains(words)) {
            return Self::gone(message);
        }
        let cause = FailureCause::of(&status).unwrap_or(match status.code.as_u16() {
            // What servers answer to a handshake that they do not know.
            200..=399 | 400 | 405 | 406 | 426 | 501 => FailureCause::NoPortForward,
            _ => FailureCause::PodNotReached,
        });
        Self::new(cause, status.message)
    }

    fn said(code: StatusCode, reason: &str, message: &str) -> Self {
        Self::refused(ApiServerStatus { code, reason: reason.to_owned(), message: message.to_owned() })
    }

    /// What the byte stream itself said.
    fn of_stream(error: &(dyn StdError + 'static)) -> Option<Self> {
        if let Some(lost) = LostLine::within(error) {
            return Some(SendError::from(lost).into());
        }
        if let Some(RemoteError(words)) = find::<RemoteError>(error) {
            return Some(Self::remote(words));
        }
        find::<SpeaksTls>(error)
            .map(|said| Self::new(FailureCause::WrongScheme { right: Scheme::Https }, said.to_string()))
    }

    /// What a kubelet or container runtime says when it cannot connect to the port.
    fn remote(words: &str) -> Self {
        let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        if says(&["connection refused"]) {
            return Self::new(FailureCause::PodRefuses, words);
        }
        if says(&["i/o timeout", "no route to host", "network is unreachable"]) {
            return Self::new(FailureCause::PodUnreachable, words);
        }
        Self::gone(words)
    }
}

/// The first `T` among an error and its sources, also below the wrappers of [`io::Error`].
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

/// Why a request that was sent got no answer.
impl From<hyper::Error> for PodFailure {
    fn from(error: hyper::Error) -> Self {
        if let Some(failure) = Self::of_stream(&error) {
            return failure;
        }
        if error.is_parse_too_large() {
            return Self::new(FailureCause::HeadTooLarge, "");
        }
        if error.is_parse() {
            let words = error.to_string();
            let cause = AnswerFault::told_by(&words).map_or(FailureCause::NotHttp, FailureCause::MalformedAnswer);
            return Self::new(cause, words);
        }
        Self::gone("the connection ended before the answer")
    }
}

impl From<SendError> for PodFailure {
    fn from(error: SendError) -> Self {
        Self::new(FailureCause::ApiServer(ApiServerFailure::from(&error)), error.to_string())
    }
}

impl From<ApiError> for PodFailure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Forbidden { message, .. } => Self::said(StatusCode::FORBIDDEN, "Forbidden", &message),
            ApiError::Unseen(unseen) => Self::new(FailureCause::Unseen(unseen), ""),
            ApiError::Unauthorized => Self::said(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized"),
            ApiError::Send(error) => error.into(),
            other => Self::new(FailureCause::ApiServer(ApiServerFailure::Unreachable), other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: &PodFailure, cause: &FailureCause, code: u16, gone: bool) {
        assert_eq!((&failure.cause, failure.code.as_u16(), failure.pod_is_gone), (cause, code, gone), "{failure:?}");
    }

    #[test]
    fn what_the_kubelet_says() {
        let remote = |words: &str| PodFailure::tls(&io::Error::other(RemoteError(words.to_owned())));
        let refused = "error forwarding port 80 to pod web-1, uid : failed to connect to localhost:80 inside namespace: dial tcp4 127.0.0.1:80: connect: connection refused";
        check(&remote(refused), &FailureCause::PodRefuses, 502, false);
        check(&remote("dial tcp 10.0.0.1:80: i/o timeout"), &FailureCause::PodUnreachable, 504, false);
        check(&remote("network namespace for sandbox is closed"), &FailureCause::PodBreaksOff, 502, true);
    }

    #[test]
    fn what_tls_says() {
        let rustls = |error: rustls::Error| PodFailure::tls(&io::Error::new(io::ErrorKind::InvalidData, error));
        let plain = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        check(&rustls(plain), &FailureCause::WrongScheme { right: Scheme::Http }, 502, false);
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        check(&rustls(unknown), &FailureCause::PodTls, 502, false);
        check(&PodFailure::tls(&io::ErrorKind::UnexpectedEof.into()), &FailureCause::PodBreaksOff, 502, true);
    }

    #[test]
    fn what_the_api_server_says() {
        let failed = |code: u16, message: &str| PodFailure::said(StatusCode::from_u16(code).unwrap(), "", message);
        check(
            &failed(500, "error dialing backend: dial tcp 10.0.0.2:10250: i/o timeout"),
            &FailureCause::NodeUnreachable,
            504,
            false,
        );
        check(&failed(404, r#"pods "web-1" not found"#), &FailureCause::PodBreaksOff, 502, true);
        check(&failed(500, "unable to upgrade connection: pod does not exist"), &FailureCause::PodBreaksOff, 502, true);
        check(&failed(400, "Upgrade request required"), &FailureCause::UpgradeLost, 501, false);
        check(
            &failed(400, "unable to upgrade: missing upgrade headers in request"),
            &FailureCause::NoPortForward,
            501,
            false,
        );
        check(&failed(500, "something"), &FailureCause::PodNotReached, 502, false);
        let refused = failed(
            403,
            r#"pods "web-1" is forbidden: User "ann" cannot create resource "pods/portforward" in API group "" in the namespace "shop""#,
        );
        assert!(matches!(&refused.cause, FailureCause::Forbidden(missing) if missing.verb == "create"), "{refused:?}");
        assert_eq!(refused.code, 403);
    }
}
