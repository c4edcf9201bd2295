//! What a user reads when the cluster does not play along: one sentence, one way out.

use std::path::PathBuf;

use kube::config::Kubeconfig;

use super::api::api_error::{ApiError, StrangersAnswer};
use super::api::forbidden::MissingRight;
use super::api::rule::AccessRule;
use super::client::send_error::SendError;
use super::client::tls::TlsProblem;
use crate::error::Error;
use crate::suggest::near_names;

/// At most so many names are listed.
const SOME: usize = 5;

/// There is no kubeconfig at any of `places`.
pub(crate) fn no_kubeconfig(places: &[PathBuf]) -> Error {
    let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    let where_looked = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    Error::usage(format!("there is no kubeconfig{where_looked}, so no cluster is known"))
        .hint("get one from whoever runs the cluster, then set KUBECONFIG or give --kubeconfig FILE")
}

/// No context is chosen.
pub(crate) fn no_current_context(config: &Kubeconfig) -> Error {
    let names = some(config.contexts.iter().map(|context| context.name.as_str()));
    Error::usage("the kubeconfig has no current context")
        .hint(format!("choose one with --context NAME or `kubectl config use-context NAME`: {names}"))
}

/// The context names a cluster that has no server.
pub(crate) fn no_server_in_context(context: &str, cluster: &str) -> Error {
    let error = Error::usage(match cluster {
        "" => format!("context {context:?} names no cluster"),
        cluster => format!("context {context:?} names cluster {cluster:?}, of which the kubeconfig has no server"),
    });
    error.hint("`kubectl config view` shows what is there; --server URL gives one")
}

/// The kubeconfig has no `kind` called `name`, but these.
pub(crate) fn no_entry<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a String> + Clone) -> Error {
    let near = near_names(known.clone().map(String::as_str), name);
    let error = Error::usage(format!("the kubeconfig has no {kind} {name:?}"));
    match near.is_empty() {
        false => error.hint(format!("did you mean {}?", near.join(" or "))),
        true => error.hint(format!("it has {}", some(known.map(String::as_str)))),
    }
}

fn some<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let more = names.clone().count().saturating_sub(SOME);
    let listed: Vec<_> = names.take(SOME).collect();
    match (listed.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (false, 0) => listed.join(", "),
        (false, more) => format!("{} and {more} more", listed.join(", ")),
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        let hint = match &error {
            SendError::Credentials(error) => return error.clone(),
            SendError::Resolve { .. } => "is the VPN up? `kubectl cluster-info` goes the same way",
            SendError::Connect { .. } => {
                "is the cluster running, and the VPN up? `kubectl cluster-info` goes the same way"
            }
            SendError::Proxy { .. } => "check proxy-url in the kubeconfig, or HTTPS_PROXY and NO_PROXY",
            SendError::Tls { problem, .. } => problem.hint(),
            SendError::HeadTooLarge | SendError::Interrupted { .. } => {
                "try again; `kubectl cluster-info` goes the same way"
            }
        };
        Self::failed(error.to_string()).hint(hint)
    }
}

impl TlsProblem {
    fn hint(&self) -> &'static str {
        match self {
            Self::Expired(_) => "whoever runs the cluster has to renew it; is this machine's clock right?",
            Self::NotValidYet(_) => "is this machine's clock right?",
            Self::WrongName { .. } => "give the name that it is for: --tls-server-name NAME",
            Self::UnknownAuthority => {
                "the kubeconfig may be of an older cluster: get a new one, or give --certificate-authority FILE"
            }
            Self::ClientCertificate(_) => "log in again, or get a new kubeconfig",
            Self::NotTls => "should `server` in the kubeconfig begin with http://?",
            Self::Other(_) => "`kubectl cluster-info` goes the same way",
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Send(error) => error.into(),
            ApiError::Forbidden { rule, message } => forbidden(&rule, &message),
            ApiError::Unseen(unseen) => Self::failed(unseen.to_string()).hint(unseen.why()),
            ApiError::Unauthorized => Self::failed(
                "the API server does not accept these credentials; they may have expired",
            )
            .hint(
                "log in again; `kubectl auth whoami` shows whether that worked. If it never does, something between \
                 here and the API server may drop the Authorization header",
            ),
            ApiError::Status { code, reason, message } if !reason.is_empty() => {
                Self::failed(format!("the API server answered {code}: {message}"))
            }
            ApiError::SpeaksTls => Self::failed(error.to_string())
                .hint("should `server` in the kubeconfig, or --server, begin with https://?"),
            ApiError::NoApi => Self::failed(error.to_string())
                .hint("is `server` in the kubeconfig, or --server, complete? `kubectl cluster-info` goes the same way"),
            ApiError::NotKubernetes(StrangersAnswer::Redirect { .. }) => Self::failed(error.to_string())
                .hint("log in there, or connect the VPN, or take a kubeconfig that names the API server itself"),
            ApiError::NotKubernetes(StrangersAnswer::Page(_)) => Self::failed(error.to_string())
                .hint("a gateway, firewall or proxy did: log in to it, or see proxy-url, HTTPS_PROXY and NO_PROXY"),
            ApiError::TimedOut(_) => Self::failed(error.to_string()).hint("give more time with --request-timeout"),
            other => Self::failed(other.to_string()),
        }
    }
}

fn forbidden(rule: &AccessRule, message: &str) -> Error {
    if let Some(MissingRight { user, verb, resource }) =
        MissingRight::read(message).filter(MissingRight::is_impersonation)
    {
        return Error::failed(format!(
            "{user} may not act as somebody else: the right to {verb} {resource} is missing"
        ))
        .hint("leave out --as, or ask for a role with the verb impersonate on the user");
    }
    let place = match &rule.namespace {
        Some(namespace) => format!("in namespace {namespace}"),
        None => "in all namespaces".to_owned(),
    };
    let AccessRule { verb, resource, .. } = rule;
    Error::failed(format!("you may not {verb} {resource} {place}"))
        .hint(format!("ask for the rule {rule}: {}", rule.create_command()))
}
