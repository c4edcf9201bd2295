//! What a user reads when the cluster does not play along: one sentence, one way out.

use super::api_error::ApiError;
use super::rights::Rule;
use super::send_error::SendError;
use crate::error::Error;

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Credentials(error) => error,
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Send(error) => error.into(),
            ApiError::Forbidden { rule, .. } => forbidden(&rule),
            ApiError::Unauthorized => Self::failed("the API server does not accept these credentials")
                .hint("log in again; `kubectl auth whoami` shows whom it takes you for"),
            other => Self::failed(other.to_string()),
        }
    }
}

fn forbidden(rule: &Rule) -> Error {
    let place = match &rule.namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "in all namespaces".to_owned(),
    };
    Error::failed(format!("you may not {} {} {place}", rule.verb, rule.resource))
        .hint(format!("ask for the rule {rule}: {}", rule.create_command()))
}
