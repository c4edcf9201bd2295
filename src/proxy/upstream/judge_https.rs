//! Rows of the table in [`super::attempt`]: apps that insist on https. Pure.

use super::attempt::{Attempt, AttemptReason, Next, Observation, RequestHead};
use super::diagnose::FailureCause;
use super::entrance::PodEntrance;
use super::known::Known;
use super::notices::Notice;
use super::self_redirect::SelfRedirect;
use crate::service::Scheme;

/// The app leads a GET or HEAD to https, at the URL that was asked for. It did nothing, so that may be asked for once more.
pub(super) fn judge(head: &RequestHead, attempt: &Attempt, seen: &Observation, known: &Known) -> Option<Next> {
    let is_led = seen.redirect == Some(SelfRedirect::ToHttps) && head.is_reading && !head.is_handshake;
    (is_led && attempt.entrance == PodEntrance::OwnPort(Scheme::Http)).then(|| try_next(attempt, known, true))
}

fn try_next(attempt: &Attempt, known: &Known, keep: bool) -> Next {
    match known.next_https_entrance() {
        Some(entrance) => {
            Next::Again { attempt: Attempt { entrance, reason: AttemptReason::Https, ..attempt.clone() }, keep }
        }
        None => Next::Explain(FailureCause::InsistsOnHttps),
    }
}

/// What another entrance shows.
pub(super) fn after_trial(attempt: &Attempt, seen: &Observation, known: &mut Known) -> Next {
    if seen.cause.as_ref().is_some_and(says_nothing_of_entrance) {
        return Next::Deliver;
    }
    if seen.cause.is_none() && seen.redirect != Some(SelfRedirect::ToHttps) && is_open(attempt.entrance, seen) {
        settle(attempt.entrance, known);
        return Next::Deliver;
    }
    known.close_entrance(attempt.entrance);
    // The app has seen the request twice. Who follows the redirect comes back for the next entrance.
    if seen.reached_app() && known.next_https_entrance().is_some() {
        return Next::DeliverKept;
    }
    try_next(attempt, known, false)
}

/// Somebody else may listen at another port.
fn is_open(entrance: PodEntrance, seen: &Observation) -> bool {
    entrance != PodEntrance::HttpsPort || !(seen.status.is_client_error() || seen.status.is_server_error())
}

fn says_nothing_of_entrance(cause: &FailureCause) -> bool {
    use FailureCause::{ApiServer, NoEndpoints, NoService, NodeUnreachable, PodUnreachable, Unauthorized, Unseen};
    matches!(
        cause,
        ApiServer(_) | NoEndpoints | NoService | NodeUnreachable | PodUnreachable | Unauthorized | Unseen(_)
    )
}

/// The Target's requests go in by `entrance` from now on.
pub(super) fn settle(entrance: PodEntrance, known: &mut Known) {
    if known.entrance != entrance {
        known.entrance = entrance;
        known.tell(Notice::Entrance(entrance));
    }
}

/// A connection that ends without a byte is what some listeners with TLS answer to plain HTTP: asked once, as long as the
/// app never answered in plain HTTP.
pub(super) fn doubt_silence(head: &RequestHead, attempt: &Attempt, known: &Known) -> Option<Next> {
    let entrance = PodEntrance::OwnPort(Scheme::Https);
    let may_be_tls = head.is_reading
        && !known.has_answered
        && attempt.entrance == PodEntrance::OwnPort(Scheme::Http)
        && known.next_https_entrance() == Some(entrance);
    let attempt = Attempt { entrance, reason: AttemptReason::Silence, ..attempt.clone() };
    may_be_tls.then_some(Next::Again { attempt, keep: true })
}

/// What TLS shows where plain HTTP got no byte.
pub(super) fn after_silence(attempt: &Attempt, seen: &Observation, known: &mut Known) -> Next {
    if seen.cause.is_none() && known.turn_to(Scheme::Https) {
        known.tell(Notice::OtherScheme { right: Scheme::Https, before: Scheme::Http });
        return Next::Deliver;
    }
    known.close_entrance(attempt.entrance);
    let entrance = PodEntrance::OwnPort(Scheme::Http);
    Next::Again { attempt: Attempt { entrance, reason: AttemptReason::Repeat, ..attempt.clone() }, keep: false }
}
