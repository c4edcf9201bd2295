//! What a user reads when the cluster does not play along: one sentence, one way out.

use std::path::PathBuf;

use super::api::api_error::{ApiError, StrangersAnswer};
use super::api::forbidden::MissingRight;
use super::api::rule::AccessRule;
use super::client::send_error::SendError;
use super::client::tls::TlsProblem;
use super::config::kubeconfig::Kubeconfig;
use crate::error::Error;
use crate::suggest::near_names;

/// At most so many names are listed.
const SOME: usize = 5;

/// The way out where nothing says which cluster is meant.
const GET_A_KUBECONFIG: &str = "get one from whoever runs the cluster, then set KUBECONFIG or give --kubeconfig FILE";

/// There is no kubeconfig at any of `places`.
pub(crate) fn no_kubeconfig(places: &[PathBuf]) -> Error {
    let where_looked = if places.is_empty() { String::new() } else { format!(" ({})", listed(places)) };
    Error::usage(format!("there is no kubeconfig{where_looked}, so no cluster is known")).hint(GET_A_KUBECONFIG)
}

/// There is a kubeconfig, and it has no context.
pub(crate) fn no_context(config: &Kubeconfig) -> Error {
    let files = listed(&config.files);
    if config.is_empty() {
        return Error::usage(format!("the kubeconfig {files} is empty, so no cluster is known")).hint(GET_A_KUBECONFIG);
    }
    let clusters = some(config.clusters.names());
    Error::usage(format!("the kubeconfig {files} has no context, so it is not known which cluster is meant"))
        .hint(format!("choose one with --cluster NAME, and a user with --user NAME; clusters: {clusters}"))
}

fn listed(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// No context is chosen.
pub(crate) fn no_current_context(config: &Kubeconfig) -> Error {
    let names = some(config.contexts.names());
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
pub(crate) fn no_entry<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let near = near_names(known.clone(), name);
    let error = Error::usage(format!("the kubeconfig has no {kind} {name:?}"));
    match near.is_empty() {
        false => error.hint(format!("did you mean {}?", near.join(" or "))),
        true => error.hint(format!("it has {}", some(known))),
    }
}

/// Why requests show no credentials, and what to do.
pub(crate) fn no_credentials(context: Option<&str>, user: &str, https: bool) -> String {
    if !https {
        return "credentials go only to servers whose address begins with https://, as with kubectl".to_owned();
    }
    let why = match (context, user) {
        (Some(context), "") => format!("context {context:?} names no user"),
        (None, "") => "neither a context nor a flag names a user".to_owned(),
        (_, user) => format!("the kubeconfig has no credentials of user {user:?}"),
    };
    format!("{why}; choose one with --user NAME, or give --token")
}

/// Some of the names; those without a letter are nothing to choose.
fn some<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let names = names.filter(|name| !name.is_empty());
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
            SendError::HeadTooLarge | SendError::Interrupted { .. } | SendError::Lost { .. } => {
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
            Self::UncheckableKey(_) => {
                "whoever runs the cluster has to make it anew, with a key of RSA 2048 to 8192, P-256, P-384 or Ed25519"
            }
            Self::WeakKey(_) => "whoever runs the cluster has to make it anew, with a key of RSA 2048, P-256 or longer",
            Self::UnknownSignature => {
                "kubectl knows some more; whoever runs the cluster can sign it with RSA or P-256 and SHA-256"
            }
            Self::NothingInCommon(_) => {
                "kubectl knows some more, such as keys of P-521; whoever runs the cluster can allow TLS 1.3, with a key of \
                 RSA 2048 or P-256"
            }
            Self::Other(_) => "does `kubectl cluster-info` get through?",
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
