//! What is learned about one Target while it is served: one value, which [`super::attempt`] reads and changes. Pure.

use std::collections::HashSet;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response, StatusCode};

use super::Transport;
use super::carried_methods::CarriedMethods;
use super::diagnose::FailureCause;
use super::entrance::PodEntrance;
use super::limitation::Via;
use super::notices::Notice;
use crate::service::Scheme;

/// Paths without a WebSocket that are remembered; an app has few.
const MAX_REMEMBERED_PATHS: usize = 256;
/// Refused paths that are asked for under another host too.
const MAX_DOUBTED_PATHS: usize = 16;

/// Everything learned about one Target.
#[derive(Debug)]
pub(super) struct Known {
    /// `--via`.
    pub(super) via: Via,
    /// `--verify-tls`.
    pub(super) verify_tls: bool,
    /// Whether everything is to go to one Pod.
    pub(super) keeps_to_pod: bool,
    /// Where the Pods are spoken to, and in what.
    pub(super) entrance: PodEntrance,
    /// Whether that is another scheme than was chosen at the start. It turns once.
    pub(super) has_turned: bool,
    /// Whether the Service has another port that speaks https.
    pub(super) has_https_port: bool,
    /// Whether the app ever answered.
    pub(super) has_answered: bool,
    /// Where an app that insists on https was not to be had.
    closed_entrances: Vec<PodEntrance>,
    /// Whether everything goes by port-forward, since the API server cannot reach the Pods.
    pub(super) has_moved: bool,
    /// Methods that the service proxy has carried.
    pub(super) carried_methods: CarriedMethods,
    /// Methods that the user may not send through the service proxy.
    pub(super) refused_methods: HashSet<Method>,
    /// The host that the app is to see, where that is not the local one.
    pub(super) app_host: Option<HeaderValue>,
    /// Whether it was looked for a host under which the app shows `/`. It is once a run.
    pub(super) has_searched_hosts: bool,
    /// Paths that were asked once more since the app refused them under the local host.
    refused_paths: HashSet<String>,
    /// What became of WebSocket handshakes.
    pub(super) handshakes: LearnedHandshakes,
    /// Whether the API server could not read a page that was asked for as a whole.
    pub(super) has_unreadable_pages: bool,
    /// What the user was told already.
    told: Vec<Notice>,
    /// What the user is still to be told.
    news: Vec<Notice>,
}

/// What was learned of one Target's WebSocket handshakes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LearnedHandshakes {
    /// They go by port-forward.
    pub(super) by_port_forward: bool,
    /// They are lost whichever way they go.
    pub(super) lost_everywhere: bool,
    /// The app has no WebSocket at these paths.
    without_web_socket: HashSet<String>,
}

/// What the service proxy's answer to a handshake lets suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SuspectAnswer {
    /// The API server says so, or passes on what it passes on to no upgrade (apimachinery
    /// `pkg/util/proxy/upgradeaware.go`): it saw a plain request.
    Lost,
    /// An app that sees a handshake without its upgrade answers so; but an app that has no WebSocket there does too.
    PerhapsLost,
    /// Gateways that carry only so many upgrades answer so; but a busy app does too.
    Refused,
}

impl Known {
    /// What is known at the start: what flags say, and the scheme that was chosen. `shown` is the host that the app is to
    /// see whatever it says.
    pub(super) fn at_start(via: Via, verify_tls: bool, scheme: Scheme, shown: Option<HeaderValue>) -> Self {
        Self {
            via,
            verify_tls,
            keeps_to_pod: false,
            entrance: PodEntrance::OwnPort(scheme),
            has_turned: false,
            has_https_port: false,
            has_answered: false,
            closed_entrances: Vec::new(),
            has_moved: false,
            carried_methods: CarriedMethods::default(),
            refused_methods: HashSet::new(),
            app_host: shown,
            has_searched_hosts: false,
            refused_paths: HashSet::new(),
            handshakes: LearnedHandshakes::default(),
            has_unreadable_pages: false,
            told: Vec::new(),
            news: Vec::new(),
        }
    }

    /// The app has answered a request with `method`.
    pub(super) fn note_answer(&mut self, method: &Method, transport: Transport) {
        self.has_answered = true;
        if transport == Transport::ServiceProxy {
            self.carried_methods.carry(method);
        }
    }

    /// Tells the user, unless the user was told so before.
    pub(super) fn tell(&mut self, notice: Notice) {
        if !self.told.iter().any(|told| told.is_same_news(&notice)) {
            self.told.push(notice.clone());
            self.news.push(notice);
        }
    }

    /// What the user is still to be told; that is nothing afterwards.
    pub(super) fn take_news(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.news)
    }

    /// Whether `path`, which the app has just refused under the local host, may be asked for under another: once, and only
    /// so many paths, since most refusals have nothing to do with the host.
    pub(super) fn may_doubt_host_at(&mut self, path: &str) -> bool {
        !self.refused_paths.contains(path)
            && self.refused_paths.len() < MAX_DOUBTED_PATHS
            && self.refused_paths.insert(path.to_owned())
    }

    /// Whether `right` is what the Pods speak. Nobody who asked for verified certificates is led to plain text.
    pub(super) fn turn_to(&mut self, right: Scheme) -> bool {
        if self.verify_tls && right == Scheme::Http {
            return false;
        }
        if !self.has_turned && self.entrance == PodEntrance::OwnPort(right.other()) {
            (self.has_turned, self.entrance) = (true, PodEntrance::OwnPort(right));
        }
        self.entrance == PodEntrance::OwnPort(right)
    }

    /// Where an app that insists on https is tried next.
    pub(super) fn next_https_entrance(&self) -> Option<PodEntrance> {
        let is_there = |entrance: &PodEntrance| *entrance != PodEntrance::HttpsPort || self.has_https_port;
        let is_open = |entrance: &PodEntrance| !self.closed_entrances.contains(entrance);
        PodEntrance::WITH_HTTPS.into_iter().filter(is_there).find(is_open)
    }

    /// `entrance` leads nowhere.
    pub(super) fn close_entrance(&mut self, entrance: PodEntrance) {
        if !self.closed_entrances.contains(&entrance) {
            self.closed_entrances.push(entrance);
        }
    }
}

impl SuspectAnswer {
    /// Doubts an answer to a handshake that is not explained otherwise. Whoever answers in JSON is no gateway that is
    /// overrun.
    pub(super) fn of<B>(answer: &Response<B>) -> Option<Self> {
        match answer.extensions().get() {
            Some(FailureCause::UpgradeLost) => return Some(Self::Lost),
            Some(_) => return None,
            None => {}
        }
        let kind = answer.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        match answer.status() {
            StatusCode::SWITCHING_PROTOCOLS => None,
            status if status.is_success() || status.is_redirection() => Some(Self::Lost),
            StatusCode::BAD_REQUEST | StatusCode::UPGRADE_REQUIRED => Some(Self::PerhapsLost),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                if !kind.starts_with(b"application/json") =>
            {
                Some(Self::Refused)
            }
            _ => None,
        }
    }
}

impl LearnedHandshakes {
    /// Whether it is known already what an answer at `path` is to be doubted for.
    pub(super) fn are_settled(&self, path: &str) -> bool {
        self.lost_everywhere || self.without_web_socket.contains(path)
    }

    /// The app has no WebSocket at `path`.
    pub(super) fn settle(&mut self, path: &str) {
        if self.without_web_socket.len() < MAX_REMEMBERED_PATHS {
            self.without_web_socket.insert(path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_doubted() {
        let check = |code: u16, kind: &str, expect: Option<SuspectAnswer>| {
            let answer = Response::builder().status(code).header(CONTENT_TYPE, kind).body(()).unwrap();
            assert_eq!(SuspectAnswer::of(&answer), expect, "{code} {kind}");
        };
        check(101, "", None);
        for code in [200, 204, 302] {
            check(code, "text/html", Some(SuspectAnswer::Lost));
        }
        for code in [400, 426] {
            check(code, "application/json", Some(SuspectAnswer::PerhapsLost));
        }
        for code in [429, 503] {
            check(code, "text/html", Some(SuspectAnswer::Refused));
            check(code, "application/json; charset=utf-8", None);
        }
        for code in [401, 403, 404, 500, 502] {
            check(code, "text/html", None);
        }
        let mut explained = Response::builder().status(400).body(()).unwrap();
        for (cause, expect) in
            [(FailureCause::UpgradeLost, Some(SuspectAnswer::Lost)), (FailureCause::PodRefuses, None)]
        {
            explained.extensions_mut().insert(cause);
            assert_eq!(SuspectAnswer::of(&explained), expect);
        }
    }

    #[test]
    fn what_is_learned_holds() {
        let mut handshakes = LearnedHandshakes::default();
        assert!(!handshakes.are_settled("/a"));
        handshakes.settle("/a");
        assert!(handshakes.are_settled("/a") && !handshakes.are_settled("/b") && !handshakes.by_port_forward);
        handshakes.by_port_forward = true;
        assert!(!handshakes.are_settled("/b"));
        handshakes.lost_everywhere = true;
        assert!(handshakes.are_settled("/b"));
    }

    #[test]
    fn not_every_path_in_the_world_is_remembered() {
        let mut handshakes = LearnedHandshakes::default();
        for number in 0..=MAX_REMEMBERED_PATHS {
            handshakes.settle(&format!("/{number}"));
        }
        assert_eq!(handshakes.without_web_socket.len(), MAX_REMEMBERED_PATHS);
    }

    #[test]
    fn the_scheme_turns_once_and_never_to_plain_text_where_certificates_are_verified() {
        let mut known = Known::at_start(Via::Auto, false, Scheme::Http, None);
        assert!(known.turn_to(Scheme::Https) && known.turn_to(Scheme::Https) && !known.turn_to(Scheme::Http));
        let mut verified = Known::at_start(Via::Auto, true, Scheme::Https, None);
        assert!(!verified.turn_to(Scheme::Http));
    }

    #[test]
    fn so_many_refused_paths_are_doubted_and_each_once() {
        let mut known = Known::at_start(Via::Auto, false, Scheme::Http, None);
        assert!(known.may_doubt_host_at("/0") && !known.may_doubt_host_at("/0"));
        let doubted = (0..100).filter(|number| known.may_doubt_host_at(&format!("/{number}"))).count();
        assert_eq!(doubted, MAX_DOUBTED_PATHS - 1);
    }

    #[test]
    fn nobody_is_told_twice() {
        let mut known = Known::at_start(Via::Auto, false, Scheme::Http, None);
        known.tell(Notice::Unreachable);
        known.tell(Notice::Unreachable);
        assert_eq!((known.take_news(), known.take_news()), (vec![Notice::Unreachable], vec![]));
    }
}
