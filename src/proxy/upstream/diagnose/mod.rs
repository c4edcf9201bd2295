//! Why there is no answer of the Service, in the user's words and in the form that the client reads best.
//!
//! The API server's errors are told by their shape and fixed words, never guessed: what is not recognised passes as it
//! is. A browser that navigates gets a page, curl gets text, a program keeps the API server's own JSON; the status stays.

mod answer_fault;
mod cause;
mod explanation;
mod endpoint_facts;
mod cluster_view;
mod render;
mod api_status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Response, StatusCode};

pub use answer_fault::AnswerFault;
pub use api_status::ApiServerStatus;
pub use cause::{ApiServerFailure, FailureCause, NoPortForwardReason};
pub use cluster_view::LiveClusterView;
pub use endpoint_facts::EndpointFacts;
pub use explanation::{Explanation, FailingService, SuggestedCheck, WayTaken};

use super::{Body, Transport};
pub use crate::cluster::{CredentialsNotSeen, MissingRight};
use crate::error::plain_words;
pub use crate::message::client_kind::{ClientKind, RequestingClient};
use crate::message::content_kind;
use crate::message::peek::peek;
pub use crate::proxy::page::ERROR_HEADER;
use crate::service::Scheme;
use crate::terminal::printable::printable;

/// How long an explanation waits for what the cluster shows of the Service.
const CLUSTER_VIEW_TIMEOUT: Duration = Duration::from_secs(2);
/// Octets of a Service's own 400 that are searched for a complaint about the scheme.
const COMPLAINT_LIMIT: usize = 4096;

/// Who knows more than an error says: who we are, and what the cluster shows of a Service's endpoints.
pub trait ClusterView: Send + Sync + 'static {
    /// What the API server cannot have seen of who we are, since it says that `missing` lacks a right. Asks nobody.
    fn unseen(&self, missing: &MissingRight) -> Option<CredentialsNotSeen>;

    /// Looks; what cannot be seen is left out.
    fn facts(&self) -> BoxFuture<'static, EndpointFacts>;
}

/// Explains errors of one Target. Each answer that it recognises carries its [`FailureCause`] as an extension.
#[derive(Clone)]
pub struct Diagnostics {
    subject: Arc<FailingService>,
    look: Option<Arc<dyn ClusterView>>,
    transport: Transport,
    /// Whether the API server's own packets did not reach the Pods: then port-forward was the other way.
    unreached: Arc<AtomicBool>,
}

impl Diagnostics {
    /// Explains errors of `subject` on the way through the service proxy, with what `look` sees.
    pub fn new(subject: FailingService, look: Option<Arc<dyn ClusterView>>) -> Self {
        Self { subject: Arc::new(subject), look, transport: Transport::ServiceProxy, unreached: Arc::default() }
    }

    /// The same for what goes by `transport`. Each knows what the other one met.
    #[must_use]
    pub fn by(&self, transport: Transport) -> Self {
        Self { transport, ..self.clone() }
    }

    /// Gives back the answer of an API server: as it is where it is the Service's own or unknown; explained to a
    /// person, and as it is to a program, where the API server itself said what went wrong.
    pub async fn examine(&self, asker: RequestingClient, response: Response<Body>) -> Response<Body> {
        if is_fine(&response) {
            return response;
        }
        if is_json(&response) { self.examine_json(asker, response).await } else { self.examine_own(response).await }
    }

    /// An answer of our own for a request that got none.
    pub async fn explain(
        &self,
        asker: RequestingClient,
        cause: FailureCause,
        code: StatusCode,
        original: &str,
    ) -> Response<Body> {
        let facts = self.facts(&cause).await;
        let cause = if facts.is_gone { FailureCause::NoService } else { self.nearer(cause) };
        let original = printable(&plain_words(original));
        let way = self.way(&cause);
        let explanation = Explanation::new(&cause, code, &original, &self.subject, &facts, way);
        let mut response = explanation.answer(asker, &self.subject);
        response.extensions_mut().insert(cause);
        response
    }

    async fn examine_json(&self, asker: RequestingClient, response: Response<Body>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        let peeked = peek(body, |start| start.len() > api_status::LIMIT || !api_status::may_begin(start)).await;
        let status = if peeked.whole { ApiServerStatus::read(parts.status, &peeked.start) } else { None };
        let Some((status, cause)) = status.and_then(|status| FailureCause::of(&status).map(|cause| (status, cause)))
        else {
            return Response::from_parts(parts, peeked.body);
        };
        let cause = self.nearer(cause);
        self.way(&cause);
        if asker.reader == ClientKind::Program {
            parts.extensions.insert(cause);
            return Response::from_parts(parts, peeked.body);
        }
        self.explain(asker, cause, status.code, &status.message).await
    }

    /// Gives back an answer that is surely the Service's own, as it is. Servers that want TLS say so in a 400 of their
    /// own; that is noticed.
    pub async fn examine_own(&self, response: Response<Body>) -> Response<Body> {
        if response.status() != StatusCode::BAD_REQUEST || self.subject.target.scheme == Scheme::Https {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let peeked = peek(body, |start| start.len() > COMPLAINT_LIMIT).await;
        if cause::complains_of_plain_http(parts.status, &peeked.start) {
            parts.extensions.insert(FailureCause::WrongScheme { right: Scheme::Https });
        }
        Response::from_parts(parts, peeked.body)
    }

    /// The way on which `cause` was met, which is remembered where the other one may be tried next.
    fn way(&self, cause: &FailureCause) -> WayTaken {
        if self.transport == Transport::ServiceProxy && *cause == FailureCause::PodUnreachable {
            self.unreached.store(true, Ordering::Relaxed);
        }
        match self.transport {
            Transport::ServiceProxy => WayTaken::ServiceProxy,
            Transport::PortForward if self.unreached.load(Ordering::Relaxed) => WayTaken::BothInVain,
            Transport::PortForward => WayTaken::PortForward,
        }
    }

    /// What a missing right means, given who we are.
    fn nearer(&self, cause: FailureCause) -> FailureCause {
        match (&cause, &self.look) {
            (FailureCause::Forbidden(missing), Some(look)) => look.unseen(missing).map_or(cause, FailureCause::Unseen),
            _ => cause,
        }
    }

    async fn facts(&self, cause: &FailureCause) -> EndpointFacts {
        match &self.look {
            Some(look) if *cause == FailureCause::NoEndpoints => {
                tokio::time::timeout(CLUSTER_VIEW_TIMEOUT, look.facts()).await.unwrap_or_default()
            }
            _ => EndpointFacts::default(),
        }
    }
}

fn is_fine(response: &Response<Body>) -> bool {
    !response.status().is_client_error() && !response.status().is_server_error()
}

fn is_json(response: &Response<Body>) -> bool {
    content_kind::media_type(response.headers()) == b"application/json"
}

#[cfg(test)]
mod tests;
