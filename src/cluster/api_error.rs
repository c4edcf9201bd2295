//! Why one of our own calls to the API server did not do what it should.

use std::time::Duration;

use serde::Deserialize;

use super::rights::Rule;
use super::send_error::SendError;

/// Why a call failed. What a user reads is in `cluster/wording.rs`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 403: the user lacks a right.
    #[error("{message}")]
    Forbidden {
        /// The API server's own words.
        message: String,
        /// The right that is needed.
        rule: Rule,
    },
    /// 401: the API server does not know the user (any more).
    #[error("the API server does not accept the credentials")]
    Unauthorized,
    /// 404.
    #[error("{message}")]
    NotFound {
        /// The API server's own words.
        message: String,
    },
    /// Any other error status.
    #[error("{message}")]
    Status {
        /// HTTP status code.
        code: u16,
        /// `reason` of the `Status` object, empty when there was none.
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

/// The part of a `Status` object that says what went wrong.
#[derive(Debug, Deserialize)]
struct Status {
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
}

/// Whether `body` is a `Status` object of the Kubernetes API (`meta/v1`).
pub(crate) fn is_status(body: &[u8]) -> bool {
    serde_json::from_slice::<Status>(body).is_ok_and(|status| status.kind == "Status")
}

impl ApiError {
    /// What an answer with an error status means; `rule` is what the call needed.
    pub(crate) fn from_answer(code: http::StatusCode, body: &[u8], rule: &Rule) -> Self {
        let Status { message, reason, .. } = serde_json::from_slice(body)
            .ok()
            .filter(|status: &Status| status.kind == "Status")
            .unwrap_or_else(|| Status {
                kind: String::new(),
                message: format!("the API server answered {code}"),
                reason: String::new(),
            });
        match code.as_u16() {
            401 => Self::Unauthorized,
            403 => Self::Forbidden { message, rule: rule.clone() },
            404 => Self::NotFound { message },
            code => Self::Status { code, reason, message },
        }
    }

    /// Whether a page of a list came too late to go on with the next (410, "Expired").
    pub(crate) fn is_expired(&self) -> bool {
        matches!(self, Self::Status { code: 410, .. })
    }
}
