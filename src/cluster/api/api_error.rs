//! Why one of our own calls to the API server did not do what it should.

use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use prost::Message;
use serde::Deserialize;

use super::forbidden::CredentialsNotSeen;
use super::list_protobuf::{MAGIC, ProtobufEnvelope};
use super::rule::AccessRule;
use crate::cluster::client::send_error::SendError;
use crate::message::content_kind;

/// Why a call failed. What a user reads is in `cluster_messages.rs`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 403: the user lacks a right.
    #[error("{message}")]
    Forbidden {
        /// The API server's own words.
        message: String,
        /// The right that is needed.
        rule: Box<AccessRule>,
    },
    /// 403, but of somebody whom the API server takes us for only if it did not see who we are.
    #[error("{0}")]
    Unseen(CredentialsNotSeen),
    /// 401: the API server does not know the user (any more).
    #[error("the API server does not accept the credentials")]
    Unauthorized,
    /// 404.
    #[error("{message}")]
    NotFound {
        /// The API server's own words.
        message: String,
    },
    /// 404, but not of Kubernetes' own kind: the path of the server is wrong.
    #[error("the server of the kubeconfig has no Kubernetes API at its path")]
    NoApi,
    /// Somebody on the way to the API server answered in its place.
    #[error("{0}")]
    NotKubernetes(StrangersAnswer),
    /// 410: the API server has forgotten the state that was asked for.
    #[error("the list changed too fast to be read to its end")]
    Expired,
    /// A server that speaks https was spoken to in http.
    #[error("the API server speaks https, not http")]
    SpeaksTls,
    /// Any other error status.
    #[error("{message}")]
    Status {
        /// HTTP status code.
        code: u16,
        /// `reason` of the `StatusObject` object, empty when there was none.
        reason: String,
        /// The API server's own words, or the status line's.
        message: String,
    },
    /// No answer.
    #[error(transparent)]
    Send(#[from] SendError),
    /// No answer within `--request-timeout`.
    #[error("no answer within {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    /// An answer that is not what the Kubernetes API says.
    #[error("the answer to {path} is not the Kubernetes API's: {cause}")]
    Malformed {
        /// Path of the call.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// An answer that no API server gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrangersAnswer {
    /// A redirect, which gateways send to whoever has not logged in.
    #[error("the way to the API server leads to {place} instead ({code})")]
    Redirect {
        /// HTTP status code.
        code: StatusCode,
        /// Scheme and host, if it names them; the rest may hold secrets.
        place: String,
    },
    /// A page.
    #[error("something on the way to the API server answered {0} with a page, in its place")]
    Page(StatusCode),
}

/// What Go says to plain text on a port for TLS (`net/http` `server.go`).
const SPEAKS_TLS: &[u8] = b"Client sent an HTTP request to an HTTPS server";

/// How an API server's objects begin in YAML: the names of their fields are in order.
const YAML: &[u8] = b"apiVersion:";

/// The part of a `StatusObject` object that says what went wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StatusObject {
    kind: String,
    api_version: String,
    status: String,
    pub(crate) code: u16,
    pub(crate) message: String,
    pub(crate) reason: String,
}

impl StatusObject {
    /// Reads a `StatusObject` object of the Kubernetes API (`meta/v1`) in any of its forms; `None` when `body` is something
    /// else.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        match body.strip_prefix(&MAGIC) {
            Some(envelope) => Self::from_protobuf(envelope),
            None if body.starts_with(YAML) => serde_saphyr::from_slice(body).ok().filter(Self::is_status),
            None => serde_json::from_slice(body).ok().filter(Self::is_status),
        }
    }

    /// Whether it has every mark of an error that an API server answers with under the status `code`, and in JSON.
    pub(crate) fn is_failure_of(&self, code: StatusCode) -> bool {
        self.api_version == "v1" && self.status == "Failure" && self.code == code.as_u16()
    }

    fn is_status(&self) -> bool {
        self.kind == "Status"
    }

    fn from_protobuf(envelope: &[u8]) -> Option<Self> {
        let ProtobufStatus { message, reason, code } =
            ProtobufStatus::decode(&ProtobufEnvelope::decode(envelope).ok()?.raw[..]).ok()?;
        Some(Self { code: code.try_into().unwrap_or_default(), message, reason, ..Self::default() })
    }
}

/// `meta.v1.Status`: errors come in the form that was asked for.
#[derive(Clone, PartialEq, Message)]
struct ProtobufStatus {
    #[prost(string, tag = "3")]
    message: String,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(int32, tag = "6")]
    code: i32,
}

impl ApiError {
    /// What an answer with an error status means; `rule` is what the call needed.
    pub(crate) fn from_answer(code: StatusCode, headers: &HeaderMap, body: &[u8], rule: &AccessRule) -> Self {
        let Some(StatusObject { message, reason, .. }) = StatusObject::parse(body) else {
            return Self::without_status(code, headers, body, rule);
        };
        match code.as_u16() {
            401 => Self::Unauthorized,
            403 => Self::Forbidden { message, rule: Box::new(rule.clone()) },
            404 => Self::NotFound { message },
            410 => Self::Expired,
            code => Self::Status { code, reason, message },
        }
    }

    /// The same of an answer that is not in Kubernetes' own form, and so may be of somebody between here and the API server.
    fn without_status(code: StatusCode, headers: &HeaderMap, body: &[u8], rule: &AccessRule) -> Self {
        let message = format!("the API server answered {code}");
        match code.as_u16() {
            300..=399 => Self::NotKubernetes(StrangersAnswer::Redirect { code, place: redirect_place(headers) }),
            401 => Self::Unauthorized,
            _ if content_kind::is_html(headers) => Self::NotKubernetes(StrangersAnswer::Page(code)),
            400 if body.starts_with(SPEAKS_TLS) => Self::SpeaksTls,
            403 => Self::Forbidden { message, rule: Box::new(rule.clone()) },
            404 => Self::NoApi,
            410 => Self::Expired,
            code => Self::Status { code, reason: String::new(), message },
        }
    }
}

/// Where a redirect leads, without its path and query.
fn redirect_place(headers: &HeaderMap) -> String {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok()?.parse::<http::Uri>().ok());
    let scheme = location.as_ref().and_then(http::Uri::scheme_str).unwrap_or("https");
    let host = location.as_ref().and_then(http::Uri::host);
    host.map_or_else(|| "another page".to_owned(), |host| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_protobuf_say_the_same() {
        let status = ProtobufStatus { message: "no \"x\"".to_owned(), reason: "NotFound".to_owned(), code: 404 };
        let body = [MAGIC.to_vec(), ProtobufEnvelope { raw: status.encode_to_vec() }.encode_to_vec()].concat();
        let json = br#"{"kind":"Status","message":"no \"x\"","reason":"NotFound","code":404}"#;
        for body in [&body[..], json] {
            let error = ApiError::from_answer(
                StatusCode::NOT_FOUND,
                &HeaderMap::new(),
                body,
                &AccessRule::new("list", "services", None),
            );
            assert_eq!(error, ApiError::NotFound { message: "no \"x\"".to_owned() });
        }
        assert!(StatusObject::parse(b"k8s\0\xff").is_none());
        let yaml = b"apiVersion: v1\ncode: 401\nkind: Status\nmessage: Unauthorized\nmetadata: {}\nreason: Unauthorized\nstatus: Failure\n";
        assert!(StatusObject::parse(yaml).is_some_and(|status| status.is_failure_of(StatusCode::UNAUTHORIZED)));
        assert!(StatusObject::parse(b"apiVersion: v1\nkind: Pod\n").is_none());
    }
}
