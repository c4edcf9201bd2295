//! WebSocket handshakes that something on the way does not let pass: what an answer lets suspect, and what was learned.
//! Decisions over plain values; `auto` acts on them.

use crate::lock::lock;
use std::collections::HashSet;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};

use super::diagnose::FailureCause;

/// Paths that are remembered; an app has few WebSockets.
const PATHS: usize = 256;

/// What the service proxy's answer to a handshake lets suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SuspectAnswer {
    /// The API server says so, or passes on what it passes on to no upgrade (apimachinery
    /// `pkg/util/proxy/upgradeaware.go`): it saw a plain request.
    Lost,
    /// An app that sees a handshake without its upgrade answers so; but an app that has no WebSocket there does too.
    PerhapsLost,
    /// Gateways that carry only so many upgrades answer so; but a busy app does too.
    Refused,
}

/// What port-forward's answer to the same handshake shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandshakeResult {
    /// Port-forward carries what the service proxy does not.
    ByPortForward,
    /// The app has no WebSocket there.
    NoWebSocket,
    /// The upgrade is lost for port-forward too.
    LostEverywhere,
    /// The app says something else when it sees the upgrade.
    Other,
    /// Nothing: port-forward got no answer.
    Unknown,
}

/// What was learned of one Target's handshakes.
#[derive(Debug, Default)]
pub(super) struct LearnedHandshakes {
    by_port_forward: AtomicBool,
    lost_everywhere: AtomicBool,
    without_web_socket: Mutex<HashSet<String>>,
}

impl SuspectAnswer {
    /// Doubts an answer to a handshake that is not explained otherwise. Whoever answers in JSON is no gateway that is overrun.
    pub(super) fn of<B>(answer: &Response<B>) -> Option<Self> {
        match answer.extensions().get() {
            Some(FailureCause::UpgradeLost) => return Some(Self::Lost),
            Some(_) => return None,
            None => {}
        }
        let kind = answer.headers().get(CONTENT_TYPE).map_or(&b""[..], http::HeaderValue::as_bytes);
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

/// What is wrong with the way to the API server, as the end of a sentence.
impl fmt::Display for SuspectAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "something between here and the API server takes Upgrade out of requests",
            Self::PerhapsLost => "something between here and the API server seems to take Upgrade out of requests",
            Self::Refused => "something between here and the API server seems to limit WebSockets",
        })
    }
}

impl HandshakeResult {
    /// Compares the answers that the same handshake got by the service proxy, which was doubted, and by port-forward,
    /// which may have got none for a reason.
    pub(super) fn new(
        doubt: SuspectAnswer,
        first: StatusCode,
        second: StatusCode,
        cause: Option<&FailureCause>,
    ) -> Self {
        match cause {
            Some(FailureCause::UpgradeLost) => Self::LostEverywhere,
            Some(_) => Self::Unknown,
            None if second == StatusCode::SWITCHING_PROTOCOLS || doubt == SuspectAnswer::Lost => Self::ByPortForward,
            None if second == first => Self::NoWebSocket,
            None => Self::Other,
        }
    }
}

impl LearnedHandshakes {
    /// Whether handshakes go by port-forward.
    pub(super) fn go_by_port_forward(&self) -> bool {
        self.by_port_forward.load(Ordering::Relaxed)
    }

    /// Whether it is known already what an answer at `path` is to be doubted for.
    pub(super) fn are_settled(&self, path: &str) -> bool {
        self.lost_everywhere.load(Ordering::Relaxed) || self.paths().contains(path)
    }

    /// Takes over what became of a handshake at `path`. Whether that is news to the user.
    pub(super) fn learn(&self, path: &str, verdict: HandshakeResult) -> bool {
        match verdict {
            HandshakeResult::ByPortForward => !self.by_port_forward.swap(true, Ordering::Relaxed),
            HandshakeResult::LostEverywhere => !self.lost_everywhere.swap(true, Ordering::Relaxed),
            HandshakeResult::NoWebSocket => {
                let mut paths = self.paths();
                if paths.len() < PATHS {
                    paths.insert(path.to_owned());
                }
                false
            }
            HandshakeResult::Other | HandshakeResult::Unknown => false,
        }
    }

    fn paths(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        lock(&self.without_web_socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).unwrap()
    }

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
    fn what_the_second_answer_shows() {
        use SuspectAnswer::{Lost, PerhapsLost, Refused};
        let check = |doubt, first: u16, second: u16, cause: Option<FailureCause>, expect| {
            let verdict = HandshakeResult::new(doubt, status(first), status(second), cause.as_ref());
            assert_eq!(verdict, expect, "{doubt:?} {first} {second} {cause:?}");
        };
        check(PerhapsLost, 400, 101, None, HandshakeResult::ByPortForward);
        check(Refused, 503, 101, None, HandshakeResult::ByPortForward);
        check(Lost, 200, 101, None, HandshakeResult::ByPortForward);
        check(Lost, 200, 403, None, HandshakeResult::ByPortForward);
        check(PerhapsLost, 400, 400, None, HandshakeResult::NoWebSocket);
        check(Refused, 503, 503, None, HandshakeResult::NoWebSocket);
        check(PerhapsLost, 400, 403, None, HandshakeResult::Other);
        check(PerhapsLost, 400, 501, Some(FailureCause::UpgradeLost), HandshakeResult::LostEverywhere);
        check(Lost, 200, 501, Some(FailureCause::UpgradeLost), HandshakeResult::LostEverywhere);
        check(PerhapsLost, 400, 503, Some(FailureCause::NoEndpoints), HandshakeResult::Unknown);
    }

    #[test]
    fn what_is_learned_holds() {
        let handshakes = LearnedHandshakes::default();
        assert!(!handshakes.learn("/a", HandshakeResult::Other) && !handshakes.learn("/a", HandshakeResult::Unknown));
        assert!(!handshakes.are_settled("/a"));
        assert!(!handshakes.learn("/a", HandshakeResult::NoWebSocket));
        assert!(handshakes.are_settled("/a") && !handshakes.are_settled("/b"));
        assert!(!handshakes.go_by_port_forward());
        assert_eq!([1, 2].map(|_| handshakes.learn("/b", HandshakeResult::ByPortForward)), [true, false]);
        assert!(handshakes.go_by_port_forward());
        assert_eq!([1, 2].map(|_| handshakes.learn("/b", HandshakeResult::LostEverywhere)), [true, false]);
        assert!(handshakes.are_settled("/b"));
    }

    #[test]
    fn not_every_path_in_the_world_is_remembered() {
        let handshakes = LearnedHandshakes::default();
        for number in 0..=PATHS {
            handshakes.learn(&format!("/{number}"), HandshakeResult::NoWebSocket);
        }
        assert_eq!(handshakes.paths().len(), PATHS);
    }
}
