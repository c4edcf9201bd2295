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
        rule: Box<Rule>,
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
    /// 410: the API server has forgotten the state that was asked for.
    #[error("the list changed too fast to be read to its end")]
    Expired,
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
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Status {
    kind: String,
    #[serde(default)]
    pub(crate) code: u16,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
}

impl Status {
    /// Reads a `Status` object of the Kubernetes API (`meta/v1`); `None` when `json` is something else.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().filter(|status: &Self| status.kind == "Status")
    }
}

impl ApiError {
    /// What an answer with an error status means; `rule` is what the call needed.
    pub(crate) fn from_answer(code: http::StatusCode, body: &[u8], rule: &Rule) -> Self {
        let unsaid = || Status { message: format!("the API server answered {code}"), ..Status::default() };
        let Status { message, reason, .. } = Status::parse(body).unwrap_or_else(unsaid);
        match code.as_u16() {
            401 => Self::Unauthorized,
            403 => Self::Forbidden { message, rule: Box::new(rule.clone()) },
            404 => Self::NotFound { message },
            410 => Self::Expired,
            code => Self::Status { code, reason, message },
        }
    }
}
