//! The one table of what is tried first, what an answer teaches, and what is tried next. Pure: plain values in, plain
//! values out; [`super::send`] does what is decided here.
//!
//! The page's own request reaches an app at most twice (`MAX_SENDS_TO_APP` in [`super::send`]), and a second time only after
//! an answer that shows that it did nothing, or, for a method that may be repeated (RFC 9110 section 9.2.2), where the
//! answer was lost on the way or was no more than "not under this host".

use std::fmt;
use std::time::Instant;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body as _;

use super::diagnose::{ApiServerFailure, FailureCause};
use super::endpoint_gap::GapPatience;
use super::entrance::PodEntrance;
use super::judge_host;
use super::judge_https;
use super::known::{Known, SuspectAnswer};
use super::limitation::{ProxyLimitation, Via};
use super::notices::Notice;
use super::self_redirect::{AskedUrl, SelfRedirect};
use super::{Body, Transport};
use crate::message::client_kind::{ClientKind, RequestingClient};
use crate::message::content_kind;
use crate::message::replay::{self, SendFacts};
use crate::service::Scheme;

/// The right that the service proxy takes.
const PROXY_RESOURCE: &str = "services/proxy";

/// What of the page's own request counts for how it is sent.
#[derive(Debug, Clone)]
pub(super) struct RequestHead {
    /// What the service proxy could not carry.
    limitation: Option<ProxyLimitation>,
    method: Method,
    /// Whether its method may be repeated.
    is_repeatable: bool,
    /// Whether it only reads: a GET or HEAD without a body.
    pub(super) is_reading: bool,
    /// Its URL.
    pub(super) asked: AskedUrl,
    /// Whether it is a WebSocket handshake.
    pub(super) is_handshake: bool,
    /// Whether it asks only for what has changed, and can be asked without that.
    is_conditional: bool,
    /// Who reads the answer.
    pub(super) client: RequestingClient,
    /// How long it can wait for an endpoint.
    patience: GapPatience,
    /// The host that the client used.
    pub(super) local_host: Option<HeaderValue>,
    /// `localhost` at the port that the client used, if it used another host.
    pub(super) localhost: Option<HeaderValue>,
    /// Whether the user may port-forward, if that was asked since it came.
    pub(super) may_port_forward: Option<bool>,
    /// Whether the user may send OPTIONS through the service proxy, if that was asked since.
    pub(super) may_options: Option<bool>,
    /// Whether the host that the app leads to leads to the Service, if that was asked since.
    pub(super) leads_here: Option<bool>,
}

/// One way to send the page's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// How it travels.
    pub(super) transport: Transport,
    /// Where and in what the Pod is spoken to.
    pub(super) entrance: PodEntrance,
    /// The host that the app sees; `None` for the local one.
    pub(super) app_host: Option<HeaderValue>,
    /// Without what leads to a `304` or to a part.
    pub(super) whole: bool,
    /// Why it is tried.
    pub(super) reason: AttemptReason,
}

/// Why something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptReason {
    /// It is the first thing to try.
    First,
    /// An answer taught something that holds from now on, and showed that the app did nothing.
    Taught,
    /// It may have been bad luck, or this request alone wants another way.
    Repeat,
    /// It was lost on a connection that had been kept, which may have been dead.
    LostOnKept,
    /// The app answered this under the local host, and may want another.
    OtherHost(StatusCode),
    /// The app insists on https, and may mean this entrance.
    Https,
    /// Plain HTTP got no byte, and TLS may.
    Silence,
    /// The service proxy answered a handshake with this status, and that was doubted.
    Handshake(SuspectAnswer, StatusCode),
}

impl Attempt {
    /// Whether it finds out if the app is to be had in another way at all.
    fn is_trial(&self) -> bool {
        matches!(self.reason, AttemptReason::Https | AttemptReason::Silence)
    }
}

/// For the log.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport.as_str(), self.entrance)?;
        if let Some(host) = &self.app_host {
            write!(f, " as {}", String::from_utf8_lossy(host.as_bytes()))?;
        }
        match self.reason {
            AttemptReason::First => Ok(()),
            reason => write!(f, " ({reason:?})"),
        }
    }
}

/// Something that matters for what is tried, and has to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NeededFact {
    /// Whether the user may port-forward.
    PortForward,
    /// Whether the user may send OPTIONS through the service proxy.
    Options,
    /// Whether this host leads to the Service from outside.
    LeadsHere(HeaderValue),
}

/// Why there is no first attempt yet, or none at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoAttempt {
    /// This has to be known before.
    Ask(NeededFact),
    /// No way is honest.
    Refuse(ProxyLimitation),
}

/// What an answer shows.
#[derive(Debug, Clone)]
pub(super) struct Observation {
    /// Its status.
    pub(super) status: StatusCode,
    /// Why it is not the app's own, if it is not.
    pub(super) cause: Option<FailureCause>,
    /// Whether it is a part of a page, which the API server has changed, and so is none of what the app has.
    is_partial_page: bool,
    /// Whether it says when to come again.
    pub(super) says_when: bool,
    /// How the app wants to be asked for the same URL, if it is a redirect to that.
    pub(super) redirect: Option<SelfRedirect>,
    /// What it lets suspect if it answers a handshake.
    suspect: Option<SuspectAnswer>,
    /// Whether TLS was tried where plain HTTP is spoken: who has none may end the connection at its first octets.
    is_tls_trial: bool,
    /// How the request went out.
    facts: SendFacts,
    /// When it came.
    at: Instant,
}

/// What to do with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Give it to the client.
    Deliver,
    /// Give the client the answer before it, which was kept.
    DeliverKept,
    /// Keep it if `keep`, else drop it, and try this.
    Again { attempt: Attempt, keep: bool },
    /// Find out under which host the app shows `/`, then decide again.
    FindHost,
    /// Find this out, then decide again.
    Ask(NeededFact),
    /// Explain why no answer of the app will do.
    Explain(FailureCause),
    /// Wait until an endpoint is ready, then try the same.
    Hold(GapPatience),
    /// Break off without an answer, so that the client asks again.
    BreakOff,
}

impl RequestHead {
    /// Reads it off a request, before that is sent.
    pub(super) fn of(request: &Request<Body>) -> Self {
        let headers = request.headers();
        let is_bare = request.body().is_end_stream();
        let is_reading = matches!(*request.method(), Method::GET | Method::HEAD) && is_bare;
        let asks_for_changes =
            headers.contains_key(header::IF_NONE_MATCH) || headers.contains_key(header::IF_MODIFIED_SINCE);
        Self {
            limitation: ProxyLimitation::of(request),
            method: request.method().clone(),
            is_repeatable: replay::is_idempotent(request.method()),
            is_reading,
            asked: AskedUrl::of(request),
            is_handshake: headers.contains_key(header::UPGRADE),
            is_conditional: asks_for_changes
                && is_bare
                && request.method() == Method::GET
                && !headers.contains_key(header::RANGE),
            client: RequestingClient::of(request),
            patience: patience(request),
            local_host: headers.get(header::HOST).cloned(),
            localhost: headers.get(header::HOST).and_then(localhost),
            may_port_forward: None,
            may_options: None,
            leads_here: None,
        }
    }

    /// Whether a person opened it, in a browser or at a terminal: not something that a page fetches for itself.
    pub(super) fn is_opened(&self) -> bool {
        self.is_reading && !self.is_handshake && self.client.reader != ClientKind::Program
    }
}

fn patience(request: &Request<Body>) -> GapPatience {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let accepted = request.headers().get(header::ACCEPT).map_or(&b""[..], HeaderValue::as_bytes);
    let is_event_stream =
        accepted.get(..EVENT_STREAM.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENT_STREAM));
    if is_event_stream && request.method() == Method::GET { GapPatience::EventStream } else { GapPatience::Usual }
}

/// `localhost` at the port of `host`, if that is not what it is already.
fn localhost(host: &HeaderValue) -> Option<HeaderValue> {
    let authority: http::uri::Authority = host.to_str().ok()?.parse().ok()?;
    let named = authority.port_u16().map_or_else(|| "localhost".to_owned(), |port| format!("localhost:{port}"));
    HeaderValue::try_from(named).ok().filter(|named| named != host)
}

impl Observation {
    /// Reads it off the answer to `attempt`, which went out as `facts` say and came `at` this time.
    pub(super) fn of(answer: &Response<Body>, attempt: &Attempt, facts: SendFacts, at: Instant) -> Self {
        let is_tls_trial = attempt.is_trial() && attempt.entrance.scheme() == Scheme::Https;
        let cause = answer.extensions().get::<FailureCause>().cloned();
        let redirect = answer.extensions().get::<SelfRedirect>().cloned();
        let is_partial_page = answer.status() == StatusCode::PARTIAL_CONTENT && content_kind::is_html(answer.headers());
        let says_when = answer.headers().contains_key(header::RETRY_AFTER);
        Self {
            status: answer.status(),
            cause,
            is_partial_page,
            says_when,
            redirect,
            suspect: SuspectAnswer::of(answer),
            is_tls_trial,
            facts,
            at,
        }
    }

    /// Whether the app may have seen the request: it was sent, and no answer shows that it got no further than to
    /// somebody before the app.
    pub(super) fn reached_app(&self) -> bool {
        let stopped_before = match &self.cause {
            None => self.status == StatusCode::MISDIRECTED_REQUEST,
            Some(FailureCause::PodBreaksOff) => self.is_tls_trial,
            Some(cause) => cause.is_before_app(),
        };
        self.facts.sends > 0 && !stopped_before
    }
}

/// What is tried first.
///
/// # Errors
/// When a right has to be asked for first, or there is no honest way.
pub(super) fn first(head: &RequestHead, known: &mut Known) -> Result<Attempt, NoAttempt> {
    let transport = first_transport(head, known)?;
    let app_host = known.app_host.clone();
    Ok(Attempt { transport, entrance: known.entrance, app_host, whole: false, reason: AttemptReason::First })
}

fn first_transport(head: &RequestHead, known: &mut Known) -> Result<Transport, NoAttempt> {
    if known.via == Via::PortForward {
        return Ok(Transport::PortForward);
    }
    let has_moved = known.has_moved
        || (head.is_handshake && known.handshakes.by_port_forward)
        || known.refused_methods.contains(&head.method);
    let usual = if has_moved { Transport::PortForward } else { Transport::ServiceProxy };
    let one_pod = known.keeps_to_pod.then_some(ProxyLimitation::OnePod);
    let Some(limitation) = head.limitation.or(one_pod) else { return Ok(usual) };
    let may_port_forward = may_port_forward(head, known).map_err(NoAttempt::Ask)?;
    if limitation == ProxyLimitation::Options && head.may_options.ok_or(NoAttempt::Ask(NeededFact::Options))? {
        return Ok(usual);
    }
    let choice = limitation.choose(may_port_forward);
    known.tell(Notice::Limitation(limitation, choice, known.via));
    match choice.ok_or(NoAttempt::Refuse(limitation))? {
        Transport::PortForward => Ok(Transport::PortForward),
        Transport::ServiceProxy => Ok(usual),
    }
}

/// Whether `auto` may go by port-forward, or that this has to be asked.
fn may_port_forward(head: &RequestHead, known: &Known) -> Result<bool, NeededFact> {
    if known.via != Via::Auto {
        return Ok(false);
    }
    head.may_port_forward.ok_or(NeededFact::PortForward)
}

/// What becomes of the answer to `attempt`: the rows of the table, the first that fits.
pub(super) fn next(head: &RequestHead, attempt: &Attempt, seen: &Observation, known: &mut Known) -> Next {
    if seen.cause.is_none() {
        known.note_answer(&head.method, attempt.transport);
    }
    if let Some(FailureCause::WrongScheme { right }) = seen.cause
        && !attempt.is_trial()
    {
        return turn(head, attempt, right, known);
    }
    match attempt.reason {
        AttemptReason::Https => return judge_https::after_trial(attempt, seen, known),
        AttemptReason::Silence => return judge_https::after_silence(attempt, seen, known),
        AttemptReason::Handshake(doubt, status) => {
            return after_handshake(head.asked.target.path(), doubt, status, seen, known);
        }
        AttemptReason::OtherHost(refusal) => return judge_host::after_other_host(head, attempt, refusal, seen, known),
        AttemptReason::First | AttemptReason::Taught | AttemptReason::Repeat | AttemptReason::LostOnKept => {}
    }
    let by_service_proxy = attempt.transport == Transport::ServiceProxy;
    if let (true, Some(doubt), true) = (head.is_handshake, seen.suspect, by_service_proxy) {
        return examine_handshake(head, attempt, doubt, seen.status, known);
    }
    if seen.cause == Some(FailureCause::PodBreaksOff)
        && let Some(next) = judge_https::doubt_silence(head, attempt, known)
    {
        return next;
    }
    let outcome = match &seen.cause {
        // Nobody but the API server has seen it.
        Some(FailureCause::NoEndpoints) => Ok(Next::Hold(head.patience)),
        None if by_service_proxy && seen.is_partial_page && head.is_reading => after_partial_page(head, attempt, known),
        Some(cause) if by_service_proxy => after_service_proxy(head, attempt, cause, seen, known),
        Some(FailureCause::PodBreaksOff) if seen.facts.sends > 0 => Ok(repeat(head, attempt)),
        Some(FailureCause::ApiServer(ApiServerFailure::Lost)) => Ok(repeat(head, attempt)),
        // Where port-forward is not to be had, the connection was just dead.
        Some(_) if attempt.reason == AttemptReason::LostOnKept && seen.facts.sends == 0 => {
            Ok(repeat(head, &Attempt { transport: Transport::ServiceProxy, ..attempt.clone() }))
        }
        Some(_) => Ok(Next::Deliver),
        None => Ok(judge_https::judge(head, attempt, seen, known)
            .unwrap_or_else(|| judge_host::judge(head, attempt, seen, known))),
    };
    match outcome.unwrap_or_else(Next::Ask) {
        Next::Deliver if asks_again_later(head, seen, known) => Next::BreakOff,
        next => next,
    }
}

/// Whether it is an event stream of an app that answered before, and there is no way to it now: a page gives up for good when
/// it gets an answer that is none of the app's, and asks again when it gets none.
fn asks_again_later(head: &RequestHead, seen: &Observation, known: &Known) -> bool {
    use ApiServerFailure::{Lost, Unreachable};
    let is_away = matches!(seen.cause, Some(FailureCause::ApiServer(Lost | Unreachable)));
    is_away && known.has_answered && head.patience == GapPatience::EventStream
}

/// The Pods speak the other scheme.
fn turn(head: &RequestHead, attempt: &Attempt, right: Scheme, known: &mut Known) -> Next {
    let before = known.entrance.scheme();
    if !known.turn_to(right) {
        return Next::Deliver;
    }
    if before != right {
        known.tell(Notice::OtherScheme { right, before });
    }
    let reason = if attempt.reason == AttemptReason::First { AttemptReason::Taught } else { attempt.reason };
    again(head, Attempt { entrance: PodEntrance::OwnPort(right), reason, ..attempt.clone() })
}

/// Tries `attempt`, unless the request must not be repeated.
fn again(head: &RequestHead, attempt: Attempt) -> Next {
    if head.is_repeatable { Next::Again { attempt, keep: false } } else { Next::Deliver }
}

/// The same once more, unless that was done.
fn repeat(head: &RequestHead, attempt: &Attempt) -> Next {
    match attempt.reason {
        AttemptReason::Repeat => Next::Deliver,
        _ => again(head, Attempt { reason: AttemptReason::Repeat, ..attempt.clone() }),
    }
}

/// The API server said why there is no answer of the app.
fn after_service_proxy(
    head: &RequestHead,
    attempt: &Attempt,
    cause: &FailureCause,
    seen: &Observation,
    known: &mut Known,
) -> Result<Next, NeededFact> {
    let was_asked_whole = attempt.whole || !head.is_conditional;
    known.has_unreadable_pages |= was_asked_whole && *cause == FailureCause::BadEncoding;
    match cause {
        FailureCause::Forbidden(missing) if missing.resource == PROXY_RESOURCE => {
            leave_service_proxy(head, attempt, &missing.verb, seen.at, known)
        }
        FailureCause::PodUnreachable => {
            if !may_port_forward(head, known)? {
                return Ok(Next::Deliver);
            }
            known.has_moved = true;
            known.tell(Notice::Unreachable);
            Ok(by_port_forward(head, attempt, AttemptReason::Taught))
        }
        FailureCause::PodBreaksOff | FailureCause::PodRefuses => Ok(repeat(head, attempt)),
        // The API server takes a `304` that still names `text/html` and `gzip` for a page, and fails at its missing body.
        FailureCause::BadEncoding if head.is_conditional && !attempt.whole && !known.has_unreadable_pages => {
            Ok(again(head, Attempt { whole: true, reason: AttemptReason::Taught, ..attempt.clone() }))
        }
        // So it ends, too, when the API server cannot read the encoding of HTML.
        FailureCause::BadEncoding
        | FailureCause::BadRedirect
        | FailureCause::MalformedAnswer(_)
        | FailureCause::ApiServer(ApiServerFailure::BrokeOff)
            if may_port_forward(head, known)? =>
        {
            if seen.facts.lost_on_kept {
                return Ok(by_port_forward(head, attempt, AttemptReason::LostOnKept));
            }
            known.tell(Notice::AnswerNotPassedOn);
            match attempt.reason {
                AttemptReason::Repeat => Ok(Next::Deliver),
                _ => Ok(by_port_forward(head, attempt, AttemptReason::Repeat)),
            }
        }
        FailureCause::ApiServer(ApiServerFailure::BrokeOff | ApiServerFailure::Lost) => Ok(repeat(head, attempt)),
        _ => Ok(Next::Deliver),
    }
}

/// Without `get` there is no use in it; without another verb requests with its methods go another way. What may pass
/// teaches nothing.
fn leave_service_proxy(
    head: &RequestHead,
    attempt: &Attempt,
    verb: &str,
    now: Instant,
    known: &mut Known,
) -> Result<Next, NeededFact> {
    if !may_port_forward(head, known)? {
        return Ok(Next::Deliver);
    }
    // Nobody but the API server has seen it, so any method may go again.
    let onward = |reason| {
        let attempt = Attempt { transport: Transport::PortForward, reason, ..attempt.clone() };
        Next::Again { attempt, keep: true }
    };
    if known.carried_methods.refuse(&head.method, now) {
        return Ok(onward(AttemptReason::Repeat));
    }
    if verb == "get" {
        known.has_moved = true;
        known.tell(Notice::ProxyForbidden);
    } else {
        known.refused_methods.insert(head.method.clone());
        known.tell(Notice::MethodForbidden(head.method.clone()));
    }
    Ok(onward(AttemptReason::Taught))
}

/// Links in a page are longer by service proxy than the app knows.
fn after_partial_page(head: &RequestHead, attempt: &Attempt, known: &Known) -> Result<Next, NeededFact> {
    let is_forwarded = may_port_forward(head, known)?;
    let transport = if is_forwarded { Transport::PortForward } else { attempt.transport };
    let reason = AttemptReason::Taught;
    Ok(again(head, Attempt { transport, whole: !is_forwarded, reason, ..attempt.clone() }))
}

fn by_port_forward(head: &RequestHead, attempt: &Attempt, reason: AttemptReason) -> Next {
    again(head, Attempt { transport: Transport::PortForward, reason, ..attempt.clone() })
}

/// The service proxy's answer to a handshake is doubted: port-forward shows what the app says.
fn examine_handshake(
    head: &RequestHead,
    attempt: &Attempt,
    doubt: SuspectAnswer,
    status: StatusCode,
    known: &mut Known,
) -> Next {
    if known.handshakes.are_settled(head.asked.target.path()) {
        return Next::Deliver;
    }
    match may_port_forward(head, known) {
        Err(right) => Next::Ask(right),
        Ok(false) => {
            known.tell(Notice::HandshakeDoubted(doubt, status));
            Next::Deliver
        }
        Ok(true) => {
            let reason = AttemptReason::Handshake(doubt, status);
            let attempt = Attempt { transport: Transport::PortForward, reason, ..attempt.clone() };
            Next::Again { attempt, keep: true }
        }
    }
}

/// Port-forward's answer to the same handshake, or why there is none, shows what was wrong with the first.
fn after_handshake(path: &str, doubt: SuspectAnswer, first: StatusCode, seen: &Observation, known: &mut Known) -> Next {
    match seen.cause {
        Some(FailureCause::UpgradeLost) => {
            known.handshakes.lost_everywhere = true;
            known.tell(Notice::UpgradesLost);
            return Next::DeliverKept;
        }
        Some(_) => return Next::DeliverKept,
        None if seen.status == StatusCode::SWITCHING_PROTOCOLS || doubt == SuspectAnswer::Lost => {
            known.handshakes.by_port_forward = true;
            known.tell(Notice::HandshakesMove(doubt, first));
        }
        None if seen.status == first => known.handshakes.settle(path),
        // The app says something else when it sees the upgrade.
        None => {}
    }
    Next::Deliver
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proxy::upstream::diagnose::ApiServerFailure::BrokeOff;
    use crate::proxy::upstream::diagnose::{AnswerFault, MissingRight};
    use crate::proxy::upstream::known::LearnedHandshakes;

    /// One request, what is known, and what was done so far.
    struct Story {
        head: RequestHead,
        known: Known,
        attempt: Attempt,
        now: Instant,
    }

    const NAVIGATION: (&str, &str) = ("sec-fetch-mode", "navigate");
    const FETCH: (&str, &str) = ("sec-fetch-mode", "cors");
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");

    fn head(line: &str, fields: &[(&str, &str)], may_port_forward: bool) -> RequestHead {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).header("host", "web.localhost:8001");
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut head = RequestHead::of(&request.body(Body::Empty).unwrap());
        (head.may_port_forward, head.may_options) = (Some(may_port_forward), Some(false));
        head
    }

    impl Story {
        fn new(line: &str, fields: &[(&str, &str)], may_port_forward: bool) -> Self {
            let head = head(line, fields, may_port_forward);
            let mut known = Known::at_start(Via::Auto, false, Scheme::Http, None);
            let attempt = first(&head, &mut known).unwrap();
            Self { head, known, attempt, now: Instant::now() }
        }

        /// What follows an answer; an attempt is told by what it changes.
        fn see(&mut self, status: u16, cause: Option<FailureCause>) -> String {
            self.see_sent(status, cause, SendFacts { sends: 1, lost_on_kept: false })
        }

        /// What follows a redirect to the URL that was asked for.
        fn see_redirect(&mut self, redirect: SelfRedirect) -> String {
            let mut answer = Response::new(Body::Empty);
            *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            answer.extensions_mut().insert(redirect);
            self.see_answer(&answer, SendFacts { sends: 1, lost_on_kept: false })
        }

        fn see_sent(&mut self, status: u16, cause: Option<FailureCause>, facts: SendFacts) -> String {
            let mut answer = Response::new(Body::Empty);
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            answer.extensions_mut().extend(
                cause
                    .map(|cause| {
                        let mut extensions = http::Extensions::new();
                        extensions.insert(cause);
                        extensions
                    })
                    .unwrap_or_default(),
            );
            self.see_answer(&answer, facts)
        }

        fn see_answer(&mut self, answer: &Response<Body>, facts: SendFacts) -> String {
            let seen = Observation::of(answer, &self.attempt, facts, self.now);
            let mut then = next(&self.head, &self.attempt, &seen, &mut self.known);
            let searches = if then == Next::FindHost { "search " } else { "" };
            if then == Next::FindHost {
                self.known.has_searched_hosts = true;
                then = judge_host::after_search(&self.head, &self.attempt, &seen, &mut self.known);
            }
            let told = match then {
                Next::Again { attempt, keep } => {
                    let told = told(&self.attempt, &attempt, keep);
                    self.attempt = attempt;
                    told
                }
                Next::DeliverKept => "kept".to_owned(),
                Next::Deliver => "deliver".to_owned(),
                Next::Explain(cause) => format!("explain {cause:?}"),
                Next::Hold(patience) => format!("hold {patience:?}"),
                Next::BreakOff => "break off".to_owned(),
                Next::FindHost | Next::Ask(_) => unreachable!("rights are known, and it was searched"),
            };
            format!("{searches}{told}")
        }
    }

    fn told(before: &Attempt, after: &Attempt, keep: bool) -> String {
        let mut words = Vec::new();
        words.extend((after.transport != before.transport).then(|| after.transport.as_str().to_owned()));
        words.extend((after.entrance != before.entrance).then(|| after.entrance.to_string()));
        if after.app_host != before.app_host {
            words.extend(after.app_host.as_ref().map(|host| host.to_str().unwrap().to_owned()));
        }
        words.extend((after.whole != before.whole).then(|| "whole".to_owned()));
        let change = if words.is_empty() { "the same".to_owned() } else { words.join(" ") };
        if keep { format!("{change}, keep") } else { change }
    }

    fn check(line: &str, fields: &[(&str, &str)], may_port_forward: bool, steps: &[(u16, Option<FailureCause>, &str)]) {
        let mut story = Story::new(line, fields, may_port_forward);
        for (status, cause, expect) in steps {
            assert_eq!(story.see(*status, cause.clone()), *expect, "{line} {fields:?} {status} {cause:?}");
        }
    }

    #[test]
    fn what_the_app_answers() {
        for status in [200, 204, 302, 304, 401, 408, 412, 416, 429] {
            check("GET /a", &[NAVIGATION], true, &[(status, None, "deliver")]);
        }
        for status in [400, 403, 404, 405, 421, 500, 502, 503] {
            let refused = (status, None, "search localhost:8001, keep");
            check("GET /a", &[NAVIGATION], true, &[refused.clone(), (200, None, "deliver")]);
            check("HEAD /a", &[], true, &[refused.clone(), (status, None, "kept")]);
            check("GET /a", &[], true, &[refused, (401, None, "deliver")]);
            check("GET /a", &[FETCH], true, &[(status, None, "localhost:8001, keep"), (302, None, "deliver")]);
        }
        check("POST /a", &[NAVIGATION], true, &[(403, None, "deliver")]);
        check("GET /s", &[UPGRADE], true, &[(403, None, "deliver")]);
    }

    #[test]
    fn whoever_keeps_to_a_pod_goes_by_port_forward_where_that_may_be() {
        for (may_port_forward, expect) in [(true, Transport::PortForward), (false, Transport::ServiceProxy)] {
            let mut story = Story::new("GET /a", &[NAVIGATION], may_port_forward);
            assert_eq!(story.attempt.transport, Transport::ServiceProxy);
            story.known.keeps_to_pod = true;
            assert_eq!(first(&story.head, &mut story.known).unwrap().transport, expect);
            let said = Notice::Limitation(ProxyLimitation::OnePod, Some(expect), Via::Auto);
            assert_eq!(story.known.take_news(), [said]);
        }
    }

    #[test]
    fn a_421_lets_any_request_go_again() {
        for (line, fields) in [("POST /a", NAVIGATION), ("GET /a", FETCH), ("DELETE /a", FETCH)] {
            check(line, &[fields], true, &[(421, None, "localhost:8001, keep"), (421, None, "kept")]);
        }
    }

    #[test]
    fn an_accepted_page_settles_nothing_for_what_was_not_asked_yet() {
        let mut story = Story::new("GET /a", &[NAVIGATION], true);
        assert_eq!(story.see(200, None), "deliver");
        story.head = head("GET /api", &[FETCH], true);
        assert_eq!([story.see(403, None), story.see(200, None)], ["localhost:8001, keep", "deliver"]);
        story.head = head("POST /api", &[FETCH], true);
        assert_eq!(first(&story.head, &mut story.known).unwrap().app_host.unwrap(), "localhost:8001");
        assert_eq!(story.known.take_news().len(), 1);
    }

    #[test]
    fn what_is_refused_under_both_hosts_is_not_doubted_again() {
        let mut story = Story::new("GET /a", &[FETCH], true);
        assert_eq!([story.see(403, None), story.see(403, None)], ["localhost:8001, keep", "kept"]);
        story.attempt = first(&story.head, &mut story.known).unwrap();
        assert_eq!(story.see(403, None), "deliver");
        story.head = head("GET /b", &[FETCH], true);
        assert_eq!(story.see(404, None), "localhost:8001, keep");
    }

    #[test]
    fn apps_that_insist_on_https() {
        let tls = || Some(FailureCause::WrongScheme { right: Scheme::Http });
        let mut story = Story::new("GET /a", &[NAVIGATION], true);
        assert_eq!(story.see_redirect(SelfRedirect::ToHttps), "https, keep");
        assert_eq!(story.see(200, None), "deliver");
        assert_eq!(story.known.entrance, PodEntrance::OwnPort(Scheme::Https));

        let mut story = Story::new("GET /a", &[FETCH], true);
        story.known.has_https_port = true;
        assert_eq!(story.see_redirect(SelfRedirect::ToHttps), "https, keep");
        assert_eq!(story.see(502, tls()), "https at another port");
        assert_eq!(story.see(502, Some(FailureCause::PodRefuses)), "http as if behind https");
        assert_eq!(story.see(200, None), "deliver");
        assert_eq!(first(&story.head, &mut story.known).unwrap().entrance, PodEntrance::BehindHttps);
        assert_eq!(story.known.take_news(), [Notice::Entrance(PodEntrance::BehindHttps)]);
    }

    #[test]
    fn nobody_loops_for_ever() {
        let mut story = Story::new("GET /a", &[NAVIGATION], true);
        assert_eq!(story.see_redirect(SelfRedirect::ToHttps), "https, keep");
        assert_eq!(story.see(502, Some(FailureCause::PodTls)), "http as if behind https");
        assert_eq!(story.see_redirect(SelfRedirect::ToHttps), "explain InsistsOnHttps");
        story.attempt = first(&story.head, &mut story.known).unwrap();
        assert_eq!(story.see_redirect(SelfRedirect::ToHttps), "explain InsistsOnHttps");
        story.head = head("POST /a", &[NAVIGATION], true);
        assert_eq!(story.see_redirect(SelfRedirect::ToHttps), "deliver");
    }

    #[test]
    fn whoever_has_seen_a_request_twice_gets_the_next_one_by_the_redirect() {
        let mut story = Story::new("GET /a", &[NAVIGATION], true);
        story.known.has_https_port = true;
        story.known.close_entrance(PodEntrance::OwnPort(Scheme::Https));
        assert_eq!(story.see_redirect(SelfRedirect::ToHttps), "https at another port, keep");
        assert_eq!(story.see(404, None), "kept");
        story.attempt = first(&story.head, &mut story.known).unwrap();
        assert_eq!(story.see_redirect(SelfRedirect::ToHttps), "http as if behind https, keep");
        assert_eq!(story.see(503, Some(FailureCause::NoEndpoints)), "deliver");
        assert_eq!(story.known.entrance, PodEntrance::OwnPort(Scheme::Http));
    }

    #[test]
    fn an_app_with_a_name_of_its_own() {
        let shop = || SelfRedirect::ToHost { host: HeaderValue::from_static("shop.example"), is_https: true };
        let story = |leads_here| {
            let mut story = Story::new("GET /a", &[NAVIGATION], true);
            story.head.leads_here = Some(leads_here);
            story
        };
        let mut named = story(true);
        assert_eq!(named.see_redirect(shop()), "http as if behind https shop.example, keep");
        assert_eq!(named.see(200, None), "deliver");
        assert_eq!(first(&named.head, &mut named.known).unwrap().app_host.unwrap(), "shop.example");
        assert_eq!(named.known.entrance, PodEntrance::BehindHttps);
        let mut stubborn = story(true);
        stubborn.see_redirect(shop());
        assert_eq!(stubborn.see_redirect(shop()), "explain RedirectsToItself");
        let mut elsewhere = story(false);
        assert_eq!(elsewhere.see_redirect(shop()), "deliver");
        assert_eq!(elsewhere.known.take_news(), [Notice::LeadsElsewhere(HeaderValue::from_static("shop.example"))]);
    }

    #[test]
    fn a_connection_that_ends_without_a_byte_may_want_tls() {
        let silent = || Some(FailureCause::PodBreaksOff);
        check("GET /a", &[FETCH], true, &[(502, silent(), "https, keep"), (200, None, "deliver")]);
        let wrong = Some(FailureCause::WrongScheme { right: Scheme::Http });
        check(
            "GET /a",
            &[FETCH],
            true,
            &[(502, silent(), "https, keep"), (502, wrong, "http"), (200, None, "deliver")],
        );
        check("GET /a", &[FETCH], true, &[(502, silent(), "https, keep"), (502, silent(), "http")]);
        check("POST /a", &[FETCH], true, &[(502, silent(), "deliver")]);
        let mut story = Story::new("GET /a", &[FETCH], true);
        assert_eq!([story.see(200, None), story.see(502, silent())], ["deliver", "the same"]);
    }

    fn lacks(verb: &str) -> Option<FailureCause> {
        let (user, resource) = ("dev".to_owned(), PROXY_RESOURCE.to_owned());
        Some(FailureCause::Forbidden(MissingRight { user, verb: verb.to_owned(), resource }))
    }

    #[test]
    fn who_may_not_use_the_service_proxy_goes_by_port_forward() {
        let forwarded = "port-forward, keep";
        check("GET /a", &[FETCH], true, &[(403, lacks("get"), forwarded), (200, None, "deliver")]);
        check("POST /a", &[FETCH], true, &[(403, lacks("create"), forwarded), (200, None, "deliver")]);
        check("GET /a", &[FETCH], false, &[(403, lacks("get"), "deliver")]);
        let mut story = Story::new("POST /a", &[FETCH], true);
        story.see(403, lacks("create"));
        let transport = |line, story: &mut Story| first(&head(line, &[], true), &mut story.known).unwrap().transport;
        assert_eq!(transport("POST /b", &mut story), Transport::PortForward);
        assert_eq!(transport("GET /b", &mut story), Transport::ServiceProxy);
        story.attempt = first(&head("GET /b", &[], true), &mut story.known).unwrap();
        story.see(403, lacks("get"));
        assert_eq!(transport("GET /b", &mut story), Transport::PortForward);
        assert_eq!(story.known.take_news(), [Notice::MethodForbidden(Method::POST), Notice::ProxyForbidden]);
    }

    #[test]
    fn an_api_server_that_starts_refuses_what_it_carried() {
        for (line, verb) in [("GET /a", "get"), ("HEAD /a", "get"), ("POST /a", "create")] {
            let mut story = Story::new(line, &[FETCH], true);
            assert_eq!(story.see(200, None), "deliver");
            for seconds in [0, 10, 35] {
                story.attempt = first(&story.head, &mut story.known).unwrap();
                assert_eq!(story.attempt.transport, Transport::ServiceProxy, "{line} {seconds}");
                story.now += Duration::from_secs(seconds);
                assert_eq!(story.see(403, lacks(verb)), "port-forward, keep", "{line} {seconds}");
            }
            let stays = first(&story.head, &mut story.known).unwrap();
            assert_eq!((stays.transport, story.known.take_news().len()), (Transport::PortForward, 1), "{line}");
        }
    }

    #[test]
    fn what_the_api_server_says() {
        use FailureCause::{
            ApiServer, BadEncoding, BadRedirect, MalformedAnswer, NoEndpoints, PodBreaksOff, PodRefuses, PodUnreachable,
        };
        let get = |may, steps: &[_]| check("GET /a", &[FETCH], may, steps);
        get(true, &[(503, Some(NoEndpoints), "hold Usual"), (503, Some(NoEndpoints), "hold Usual")]);
        check("GET /a", &[("accept", "text/event-stream")], true, &[(503, Some(NoEndpoints), "hold EventStream")]);
        get(true, &[(503, Some(PodUnreachable), "port-forward"), (200, None, "deliver")]);
        get(false, &[(503, Some(PodUnreachable), "deliver")]);
        get(true, &[(502, Some(PodRefuses), "the same"), (502, Some(PodRefuses), "deliver")]);
        for cause in [PodBreaksOff, PodRefuses] {
            check("POST /a", &[FETCH], true, &[(502, Some(cause), "deliver")]);
        }
        let malformed = MalformedAnswer(AnswerFault::Compression);
        for cause in [BadEncoding, BadRedirect, malformed, ApiServer(BrokeOff)] {
            get(true, &[(500, Some(cause.clone()), "port-forward"), (200, None, "deliver")]);
        }
        get(false, &[(500, Some(BadEncoding), "deliver")]);
        get(false, &[(502, Some(ApiServer(BrokeOff)), "the same"), (502, Some(ApiServer(BrokeOff)), "deliver")]);
        let https = || Some(FailureCause::WrongScheme { right: Scheme::Https });
        get(true, &[(502, https(), "https"), (200, None, "deliver")]);
        check("POST /a", &[FETCH], true, &[(502, https(), "deliver")]);
    }

    #[test]
    fn no_way_to_the_api_server() {
        let [lost, away] = [ApiServerFailure::Lost, ApiServerFailure::Unreachable].map(FailureCause::ApiServer);
        let lost = || Some(lost.clone());
        check("GET /a", &[FETCH], true, &[(502, lost(), "the same"), (502, lost(), "deliver")]);
        check("POST /a", &[FETCH], true, &[(502, lost(), "deliver")]);
        check("GET /a", &[FETCH], true, &[(200, None, "deliver"), (502, Some(away.clone()), "deliver")]);
        let stream = ("accept", "text/event-stream");
        check("GET /a", &[stream], true, &[(502, Some(away.clone()), "deliver")]);
        check("GET /a", &[stream], true, &[(200, None, "deliver"), (502, Some(away), "break off")]);
        check(
            "GET /a",
            &[stream],
            true,
            &[(200, None, "deliver"), (502, lost(), "the same"), (502, lost(), "break off")],
        );
        let mut story = Story::new("GET /a", &[FETCH], true);
        story.attempt.transport = Transport::PortForward;
        assert_eq!(story.see(502, lost()), "the same");
        assert_eq!(story.see(502, lost()), "deliver");
    }

    #[test]
    fn a_kept_connection_may_have_been_dead() {
        let kept = SendFacts { sends: 1, lost_on_kept: true };
        let unsent = SendFacts { sends: 0, lost_on_kept: false };
        let broke_off = || Some(FailureCause::ApiServer(BrokeOff));
        let mut story = Story::new("GET /a", &[FETCH], true);
        assert_eq!(story.see_sent(502, broke_off(), kept), "port-forward");
        assert_eq!(story.see_sent(501, Some(FailureCause::NoPortForward), unsent), "service-proxy");
        assert_eq!(story.see(502, broke_off()), "deliver");
        let mut story = Story::new("GET /a", &[FETCH], false);
        assert_eq!(story.see_sent(502, broke_off(), kept), "the same");
        assert!(story.known.take_news().is_empty());
    }

    #[test]
    fn what_has_not_changed_is_asked_for_as_a_whole() {
        let condition = [("if-none-match", "\"1\"")];
        let unreadable = || Some(FailureCause::BadEncoding);
        check("GET /a", &condition, true, &[(500, unreadable(), "whole"), (200, None, "deliver")]);
        let mut story = Story::new("GET /a", &condition, true);
        assert_eq!([story.see(500, unreadable()), story.see(500, unreadable())], ["whole", "port-forward"]);
        story.attempt = first(&story.head, &mut story.known).unwrap();
        assert_eq!(story.see(500, unreadable()), "port-forward");
    }

    #[test]
    fn a_part_of_a_page() {
        let part = |story: &mut Story, kind: &'static str| {
            let mut answer = Response::new(Body::Empty);
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            story.see_answer(&answer, SendFacts { sends: 1, lost_on_kept: false })
        };
        let asked = |may| Story::new("GET /a", &[("range", "bytes=1-")], may);
        let mut story = asked(true);
        assert_eq!(["text/html; charset=x"; 2].map(|kind| part(&mut story, kind)), ["port-forward", "deliver"]);
        let mut story = asked(false);
        assert_eq!(part(&mut story, "text/html"), "whole");
        assert_eq!(part(&mut asked(true), "video/mp4"), "deliver");
    }

    #[test]
    fn handshakes() {
        let by_port_forward = "port-forward, keep";
        for (status, second, expect) in [(200, 101, "deliver"), (400, 400, "deliver"), (503, 101, "deliver")] {
            check("GET /s", &[UPGRADE], true, &[(status, None, by_port_forward), (second, None, expect)]);
        }
        let lost = Some(FailureCause::UpgradeLost);
        check("GET /s", &[UPGRADE], true, &[(400, lost.clone(), by_port_forward), (501, lost, "kept")]);
        check("GET /s", &[UPGRADE], false, &[(400, None, "deliver")]);
        check("GET /s", &[UPGRADE], true, &[(101, None, "deliver")]);
        check("GET /s", &[UPGRADE], true, &[(429, None, "port-forward, keep"), (429, None, "deliver")]);
    }

    #[test]
    fn what_the_second_answer_to_a_handshake_shows() {
        use SuspectAnswer::{Lost, PerhapsLost, Refused};
        let check = |doubt, first: u16, second: u16, cause: Option<FailureCause>, next: Next, learned: &str| {
            let mut known = Known::at_start(Via::Auto, false, Scheme::Http, None);
            let [first, status] = [first, second].map(|code| StatusCode::from_u16(code).unwrap());
            let facts = SendFacts { sends: 1, lost_on_kept: false };
            let seen = Observation {
                status,
                cause: cause.clone(),
                is_partial_page: false,
                says_when: false,
                redirect: None,
                suspect: None,
                is_tls_trial: false,
                facts,
                at: Instant::now(),
            };
            assert_eq!(
                after_handshake("/s", doubt, first, &seen, &mut known),
                next,
                "{doubt:?} {first} {second} {cause:?}"
            );
            let mut expect = LearnedHandshakes::default();
            match learned {
                "by port-forward" => expect.by_port_forward = true,
                "lost everywhere" => expect.lost_everywhere = true,
                "no WebSocket" => expect.settle("/s"),
                _ => {}
            }
            assert_eq!(known.handshakes, expect, "{doubt:?} {first} {second} {cause:?}");
        };
        check(PerhapsLost, 400, 101, None, Next::Deliver, "by port-forward");
        check(Refused, 503, 101, None, Next::Deliver, "by port-forward");
        check(Lost, 200, 101, None, Next::Deliver, "by port-forward");
        check(Lost, 200, 403, None, Next::Deliver, "by port-forward");
        check(PerhapsLost, 400, 400, None, Next::Deliver, "no WebSocket");
        check(Refused, 503, 503, None, Next::Deliver, "no WebSocket");
        check(PerhapsLost, 400, 403, None, Next::Deliver, "");
        check(PerhapsLost, 400, 501, Some(FailureCause::UpgradeLost), Next::DeliverKept, "lost everywhere");
        check(Lost, 200, 501, Some(FailureCause::UpgradeLost), Next::DeliverKept, "lost everywhere");
        check(PerhapsLost, 400, 503, Some(FailureCause::NoEndpoints), Next::DeliverKept, "");
    }

    #[test]
    fn the_first_way() {
        let check = |line: &str, via: Via, may: bool, expect: Result<Transport, ProxyLimitation>| {
            let mut known = Known::at_start(via, false, Scheme::Http, None);
            let first = first(&head(line, &[], may), &mut known).map(|attempt| attempt.transport);
            assert_eq!(first, expect.map_err(NoAttempt::Refuse), "{line} {via:?} {may}");
        };
        use Transport::{PortForward, ServiceProxy};
        check("GET /", Via::Auto, true, Ok(ServiceProxy));
        check("GET /a%2Fb", Via::Auto, true, Ok(PortForward));
        check("GET /a%2Fb", Via::Auto, false, Err(ProxyLimitation::EncodedSlash));
        check("GET /a%2Fb", Via::ServiceProxy, true, Err(ProxyLimitation::EncodedSlash));
        check("GET /a%2Fb", Via::PortForward, false, Ok(PortForward));
        check("GET /a//b", Via::Auto, false, Ok(ServiceProxy));
        let unasked = RequestHead { may_port_forward: None, may_options: None, ..head("GET /a%2Fb", &[], true) };
        let mut known = Known::at_start(Via::Auto, false, Scheme::Http, None);
        assert_eq!(first(&unasked, &mut known), Err(NoAttempt::Ask(NeededFact::PortForward)));
    }

    #[test]
    fn every_choice() {
        use Transport::{PortForward, ServiceProxy};
        const PLAIN: &str = "GET /";
        const WEB_SOCKET_QUERY: (&str, (&str, &str)) = ("GET /s?a", UPGRADE);
        const AUTHORIZATION: (&str, (&str, &str)) = ("GET /", ("authorization", "Basic YTpi"));
        const TRAILER: (&str, (&str, &str)) = ("POST /", ("trailer", "x-sum"));
        let bare = |line: &'static str| (line, FETCH);
        let table = [
            // request, via, may port-forward, may OPTIONS → choice, `None` for a refusal
            (bare(PLAIN), Via::Auto, true, false, Some(ServiceProxy)),
            (bare(PLAIN), Via::Auto, false, false, Some(ServiceProxy)),
            (bare(PLAIN), Via::ServiceProxy, true, false, Some(ServiceProxy)),
            (bare(PLAIN), Via::PortForward, true, false, Some(PortForward)),
            (bare(PLAIN), Via::PortForward, false, false, Some(PortForward)),
            (WEB_SOCKET_QUERY, Via::Auto, true, false, Some(PortForward)),
            (WEB_SOCKET_QUERY, Via::Auto, false, false, None),
            (WEB_SOCKET_QUERY, Via::ServiceProxy, true, false, None),
            (WEB_SOCKET_QUERY, Via::PortForward, false, false, Some(PortForward)),
            (AUTHORIZATION, Via::Auto, true, false, Some(PortForward)),
            (AUTHORIZATION, Via::Auto, false, false, None),
            (AUTHORIZATION, Via::ServiceProxy, true, true, None),
            (bare("GET /a%2Fb"), Via::Auto, true, false, Some(PortForward)),
            (bare("GET /a%2Fb"), Via::Auto, false, false, None),
            (bare("GET /?dryRun=All"), Via::Auto, true, false, Some(PortForward)),
            (bare("GET /?dryRun=All"), Via::ServiceProxy, true, false, None),
            (bare("PROPFIND /"), Via::Auto, true, false, Some(PortForward)),
            (bare("PROPFIND /"), Via::Auto, false, true, None),
            (TRAILER, Via::Auto, true, false, Some(PortForward)),
            (TRAILER, Via::Auto, false, false, None),
            (TRAILER, Via::ServiceProxy, true, false, None),
            (bare("GET /(a)"), Via::Auto, true, false, Some(PortForward)),
            (bare("GET /(a)"), Via::Auto, false, false, Some(ServiceProxy)),
            (bare("GET /a//b"), Via::Auto, true, false, Some(PortForward)),
            (bare("GET /a//b"), Via::Auto, false, false, Some(ServiceProxy)),
            (bare("GET /a//b"), Via::ServiceProxy, true, false, Some(ServiceProxy)),
            (bare("OPTIONS /"), Via::Auto, true, false, Some(PortForward)),
            (bare("OPTIONS /"), Via::Auto, true, true, Some(ServiceProxy)),
            (bare("OPTIONS /"), Via::Auto, false, false, Some(ServiceProxy)),
            (bare("OPTIONS /"), Via::PortForward, true, true, Some(PortForward)),
        ];
        for ((line, field), via, may_port_forward, may_options, expect) in table {
            let head = RequestHead { may_options: Some(may_options), ..head(line, &[field], may_port_forward) };
            let mut known = Known::at_start(via, false, Scheme::Http, None);
            let choice = first_transport(&head, &mut known).ok();
            assert_eq!(choice, expect, "{line} {field:?} {via:?} {may_port_forward} {may_options}");
        }
    }
}
