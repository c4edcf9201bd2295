//! WebSocket handshakes that something on the way does not let pass: what an answer lets suspect, and what was learned.
//! Decisions over plain values; `auto` acts on them.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};

use super::diagnose::Cause;

/// Paths that are remembered; an app has few WebSockets.
const PATHS: usize = 256;

/// What the service proxy's answer to a handshake lets suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
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
pub(super) enum Verdict {
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
pub(super) struct Handshakes {
    by_port_forward: AtomicBool,
    lost_everywhere: AtomicBool,
    without_web_socket: Mutex<HashSet<String>>,
}

impl Doubt {
    /// Doubts an answer to a handshake that is not explained otherwise. Whoever answers in JSON is no gateway that is overrun.
    pub(super) fn of<B>(answer: &Response<B>) -> Option<Self> {
        match answer.extensions().get() {
            Some(Cause::UpgradeLost) => return Some(Self::Lost),
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
impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "something between here and the API server takes Upgrade out of requests",
            Self::PerhapsLost => "something between here and the API server seems to take Upgrade out of requests",
            Self::Refused => "something between here and the API server seems to limit WebSockets",
        })
    }
}

impl Verdict {
    /// Compares the answers that the same handshake got by the service proxy, which was doubted, and by port-forward,
    /// which may have got none for a reason.
    pub(super) fn new(doubt: Doubt, first: StatusCode, second: StatusCode, cause: Option<&Cause>) -> Self {
        match cause {
            Some(Cause::UpgradeLost) => Self::LostEverywhere,
            Some(_) => Self::Unknown,
            None if second == StatusCode::SWITCHING_PROTOCOLS || doubt == Doubt::Lost => Self::ByPortForward,
            None if second == first => Self::NoWebSocket,
            None => Self::Other,
        }
    }
}

impl Handshakes {
    /// Whether handshakes go by port-forward.
    pub(super) fn go_by_port_forward(&self) -> bool {
        self.by_port_forward.load(Ordering::Relaxed)
    }

    /// Whether it is known already what an answer at `path` is to be doubted for.
    pub(super) fn are_settled(&self, path: &str) -> bool {
        self.lost_everywhere.load(Ordering::Relaxed) || self.paths().contains(path)
    }

    /// Takes over what became of a handshake at `path`. Whether that is news to the user.
    pub(super) fn learn(&self, path: &str, verdict: Verdict) -> bool {
        match verdict {
            Verdict::ByPortForward => !self.by_port_forward.swap(true, Ordering::Relaxed),
            Verdict::LostEverywhere => !self.lost_everywhere.swap(true, Ordering::Relaxed),
            Verdict::NoWebSocket => {
                let mut paths = self.paths();
                if paths.len() < PATHS {
                    paths.insert(path.to_owned());
                }
                false
            }
            Verdict::Other | Verdict::Unknown => false,
        }
    }

    fn paths(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.without_web_socket.lock().unwrap_or_else(PoisonError::into_inner)
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
        let check = |code: u16, kind: &str, expect: Option<Doubt>| {
            let answer = Response::builder().status(code).header(CONTENT_TYPE, kind).body(()).unwrap();
            assert_eq!(Doubt::of(&answer), expect, "{code} {kind}");
        };
        check(101, "", None);
        for code in [200, 204, 302] {
            check(code, "text/html", Some(Doubt::Lost));
        }
        for code in [400, 426] {
            check(code, "application/json", Some(Doubt::PerhapsLost));
        }
        for code in [429, 503] {
            check(code, "text/html", Some(Doubt::Refused));
            check(code, "application/json; charset=utf-8", None);
        }
        for code in [401, 403, 404, 500, 502] {
            check(code, "text/html", None);
        }
        let mut explained = Response::builder().status(400).body(()).unwrap();
        for (cause, expect) in [(Cause::UpgradeLost, Some(Doubt::Lost)), (Cause::PodRefuses, None)] {
            explained.extensions_mut().insert(cause);
            assert_eq!(Doubt::of(&explained), expect);
        }
    }

    #[test]
    fn what_the_second_answer_shows() {
        use Doubt::{Lost, PerhapsLost, Refused};
        let check = |doubt, first: u16, second: u16, cause: Option<Cause>, expect| {
            let verdict = Verdict::new(doubt, status(first), status(second), cause.as_ref());
            assert_eq!(verdict, expect, "{doubt:?} {first} {second} {cause:?}");
        };
        check(PerhapsLost, 400, 101, None, Verdict::ByPortForward);
        check(Refused, 503, 101, None, Verdict::ByPortForward);
        check(Lost, 200, 101, None, Verdict::ByPortForward);
        check(Lost, 200, 403, None, Verdict::ByPortForward);
        check(PerhapsLost, 400, 400, None, Verdict::NoWebSocket);
        check(Refused, 503, 503, None, Verdict::NoWebSocket);
        check(PerhapsLost, 400, 403, None, Verdict::Other);
        check(PerhapsLost, 400, 501, Some(Cause::UpgradeLost), Verdict::LostEverywhere);
        check(Lost, 200, 501, Some(Cause::UpgradeLost), Verdict::LostEverywhere);
        check(PerhapsLost, 400, 503, Some(Cause::NoEndpoints), Verdict::Unknown);
    }

    #[test]
    fn what_is_learned_holds() {
        let handshakes = Handshakes::default();
        assert!(!handshakes.learn("/a", Verdict::Other) && !handshakes.learn("/a", Verdict::Unknown));
        assert!(!handshakes.are_settled("/a"));
        assert!(!handshakes.learn("/a", Verdict::NoWebSocket));
        assert!(handshakes.are_settled("/a") && !handshakes.are_settled("/b"));
        assert!(!handshakes.go_by_port_forward());
        assert_eq!([1, 2].map(|_| handshakes.learn("/b", Verdict::ByPortForward)), [true, false]);
        assert!(handshakes.go_by_port_forward());
        assert_eq!([1, 2].map(|_| handshakes.learn("/b", Verdict::LostEverywhere)), [true, false]);
        assert!(handshakes.are_settled("/b"));
    }

    #[test]
    fn not_every_path_in_the_world_is_remembered() {
        let handshakes = Handshakes::default();
        for number in 0..=PATHS {
            handshakes.learn(&format!("/{number}"), Verdict::NoWebSocket);
        }
        assert_eq!(handshakes.paths().len(), PATHS);
    }
}
