//! Rows of the table in [`super::attempt`]: what the app refuses under the local host and gives under another, it refused
//! because of the host, whatever the status and whoever asked. Pure.

use http::{HeaderValue, StatusCode};

use super::attempt::{Attempt, AttemptReason, NeededFact, Next, Observation, RequestHead};
use super::diagnose::FailureCause;
use super::entrance::PodEntrance;
use super::judge_https;
use super::known::Known;
use super::notices::Notice;
use super::self_redirect::SelfRedirect;
use crate::service::Scheme;

/// Refusals that give another reason than the host (RFC 9110 section 15.5, RFC 6585, RFC 8470): credentials, a condition, a
/// range, a size, a time or a number of requests.
const OTHER_REFUSALS: [StatusCode; 12] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PRECONDITION_FAILED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::URI_TOO_LONG,
    StatusCode::RANGE_NOT_SATISFIABLE,
    StatusCode::EXPECTATION_FAILED,
    StatusCode::TOO_EARLY,
    StatusCode::UPGRADE_REQUIRED,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// The app itself answered: may it mean "not under this host"?
pub(super) fn judge(head: &RequestHead, attempt: &Attempt, seen: &Observation, known: &mut Known) -> Next {
    if let Some(SelfRedirect::ToHost { host, is_https }) = &seen.redirect {
        return judge_name(head, attempt, seen.status, (host, *is_https), known);
    }
    let is_read = head.is_reading && !head.is_handshake;
    if attempt.app_host.is_some() || !may_refuse_host(seen) || !(is_read || did_nothing(seen.status)) {
        return Next::Deliver;
    }
    if head.is_opened() && known.app_host.is_none() && !known.has_searched_hosts {
        return Next::FindHost;
    }
    after_search(head, attempt, seen, known)
}

/// The app leads to `name`, by https or not, at the URL that was asked for. If others reach it under that name, it is shown
/// it.
fn judge_name(
    head: &RequestHead,
    attempt: &Attempt,
    status: StatusCode,
    (name, is_https): (&HeaderValue, bool),
    known: &mut Known,
) -> Next {
    if !head.is_opened() || attempt.app_host.is_some() {
        return Next::Deliver;
    }
    match head.leads_here {
        None => Next::Ask(NeededFact::LeadsHere(name.clone())),
        Some(false) => {
            known.tell(Notice::LeadsElsewhere(name.clone()));
            Next::Deliver
        }
        Some(true) => {
            let is_plain = attempt.entrance == PodEntrance::OwnPort(Scheme::Http);
            let entrance = if is_https && is_plain { PodEntrance::BehindHttps } else { attempt.entrance };
            let reason = AttemptReason::OtherHost(status);
            let attempt = Attempt { app_host: Some(name.clone()), entrance, reason, ..attempt.clone() };
            Next::Again { attempt, keep: true }
        }
    }
}

/// What follows once it was looked for a host under which the app shows `/`.
pub(super) fn after_search(head: &RequestHead, attempt: &Attempt, seen: &Observation, known: &mut Known) -> Next {
    let host = match &known.app_host {
        Some(host) => Some(host.clone()),
        None if did_nothing(seen.status) => head.localhost.clone(),
        None => head.localhost.clone().filter(|_| known.may_doubt_host_at(head.asked.target.path())),
    };
    let Some(host) = host else { return Next::Deliver };
    let reason = AttemptReason::OtherHost(seen.status);
    Next::Again { attempt: Attempt { app_host: Some(host), reason, ..attempt.clone() }, keep: true }
}

/// The answer under another host: is it what was wanted instead of `refusal`?
pub(super) fn after_other_host(
    head: &RequestHead,
    attempt: &Attempt,
    refusal: StatusCode,
    seen: &Observation,
    known: &mut Known,
) -> Next {
    if refusal.is_redirection() && seen.redirect.is_some() {
        return Next::Explain(FailureCause::RedirectsToItself);
    }
    let is_accepted = accepts(seen.status);
    if seen.cause.is_some() || !is_accepted {
        return Next::DeliverKept;
    }
    if let Some(host) = &attempt.app_host {
        settle(head, host, known);
        judge_https::settle(attempt.entrance, known);
    }
    Next::Deliver
}

/// The app sees `host` from now on, if nothing else was found out meanwhile.
pub(super) fn settle(head: &RequestHead, host: &HeaderValue, known: &mut Known) {
    if let (None, Some(local)) = (&known.app_host, &head.local_host) {
        known.app_host = Some(host.clone());
        known.tell(Notice::OtherHost { local: local.clone(), accepted: host.clone() });
    }
}

/// Whether an answer under another host is better than a refusal: a login is.
pub(super) fn accepts(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection() || status == StatusCode::UNAUTHORIZED
}

fn may_refuse_host(seen: &Observation) -> bool {
    let is_refusal = seen.status.is_client_error() || seen.status.is_server_error();
    is_refusal && !seen.says_when && !OTHER_REFUSALS.contains(&seen.status)
}

/// By 421 the app says that it did nothing, whoever asked for what (RFC 9110 section 15.5.20).
fn did_nothing(status: StatusCode) -> bool {
    status == StatusCode::MISDIRECTED_REQUEST
}
