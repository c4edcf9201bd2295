//! How a refused request is told why, and which flag would let it pass. Pure.

use http::StatusCode;

use super::admit::GuardRefusal;
use super::token::GateClosed;
use crate::message::safe_path::PathFault;
use crate::terminal::output::printable;

/// A refusal in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExplainedRefusal {
    pub(crate) status: StatusCode,
    /// One word for programs.
    pub(crate) word: &'static str,
    /// What is wrong: a sentence without its period.
    pub(crate) reason: String,
    /// What to do about it.
    pub(crate) way_out: String,
}

impl GuardRefusal {
    pub(crate) fn explained(&self) -> ExplainedRefusal {
        match self {
            Self::Stranger(user) => stranger(*user),
            Self::NoSingleHost => refused(
                StatusCode::BAD_REQUEST,
                "host",
                "the request needs exactly one Host header",
                "Send the host and port of the URL.",
            ),
            Self::UnknownHost(host) => unknown_host(host),
            Self::ForeignOrigin(origin) => foreign_origin(origin),
            Self::NoOrigin(own) => no_origin(own),
            Self::CrossSite => refused(
                StatusCode::FORBIDDEN,
                "cross-site",
                "a page of another site sent this request",
                "Open the address itself, or start kubectl svcproxy with --allow-origin and that page's origin.",
            ),
            Self::Framed => refused(
                StatusCode::FORBIDDEN,
                "framed",
                "a page of another site shows this inside of itself",
                "No flag allows that, since such a page could steer clicks: open the address in a tab of its own.",
            ),
            Self::ReadOnly(method) => {
                let others = "other methods than GET, HEAD and OPTIONS";
                read_only(StatusCode::METHOD_NOT_ALLOWED, &format!("{method} can write"), others)
            }
            Self::ReadOnlyTunnel => read_only(StatusCode::FORBIDDEN, "WebSockets can write", "them"),
            Self::ReadOnlyOverride => read_only(StatusCode::FORBIDDEN, "a header asks for another method", "that"),
            Self::Connect => no_path(StatusCode::METHOD_NOT_ALLOWED, "connect", "this is not a forward proxy"),
            Self::NotAPath => no_path(StatusCode::BAD_REQUEST, "target", "the request's target is not a path"),
            Self::Path(fault) => unsafe_path(*fault),
        }
    }
}

/// A refusal whose words may come from outside.
fn refused(status: StatusCode, word: &'static str, reason: &str, way_out: &str) -> ExplainedRefusal {
    ExplainedRefusal { status, word, reason: printable(reason), way_out: printable(way_out) }
}

fn stranger(user: Option<u32>) -> ExplainedRefusal {
    let reason = match user {
        Some(user) => format!("this connection belongs to another user of this machine (user ID {user})"),
        None => "cannot tell which user of this machine this connection belongs to".to_owned(),
    };
    let way_out = "What is served here acts with somebody else's rights in the cluster. They can allow it with \
                   --allow-other-users.";
    refused(StatusCode::FORBIDDEN, "other-user", &reason, way_out)
}

fn unknown_host(host: &str) -> ExplainedRefusal {
    let reason = format!("nothing is served under the name \"{host}\"");
    let way_out = format!("Use the printed URL, or start kubectl svcproxy with --allow-host {host}");
    refused(StatusCode::MISDIRECTED_REQUEST, "host", &reason, &way_out)
}

fn foreign_origin(origin: &str) -> ExplainedRefusal {
    let reason = format!("the request comes from a page of another origin, {origin}");
    let way_out = format!("To trust that page, start kubectl svcproxy with --allow-origin {origin}");
    refused(StatusCode::FORBIDDEN, "origin", &reason, &way_out)
}

fn no_origin(own: &str) -> ExplainedRefusal {
    let way_out = format!("Send the header Origin: {own} (or that of an --allow-origin).");
    refused(StatusCode::FORBIDDEN, "origin", "a WebSocket needs an Origin header", &way_out)
}

/// `what` could write; without the flag `allowed` would be.
fn read_only(status: StatusCode, what: &str, allowed: &str) -> ExplainedRefusal {
    let reason = format!("{what}, and kubectl svcproxy runs with --read-only");
    refused(status, "read-only", &reason, &format!("Start it without --read-only to allow {allowed}."))
}

fn no_path(status: StatusCode, word: &'static str, reason: &str) -> ExplainedRefusal {
    refused(status, word, reason, "Use the printed URL as it is, without a proxy setting.")
}

fn unsafe_path(fault: PathFault) -> ExplainedRefusal {
    let reason = match fault {
        PathFault::Escape => "the path has a % without two hexadecimal digits after it",
        PathFault::Control => "the path has a control character in it",
        PathFault::Overlong => "the path has an overlong character in it",
        PathFault::DotSegment => "the path has a segment in it that is . or .., perhaps encoded",
    };
    let way_out = "No flag allows that: such paths could lead out of the Service.";
    refused(StatusCode::BAD_REQUEST, "path", reason, way_out)
}

impl GateClosed {
    pub(crate) fn explained(self) -> ExplainedRefusal {
        const NEW_TOKEN: &str = "Open the printed URL in one browser, or start kubectl svcproxy again for a new token; \
                                 without --require-token there is none.";
        let (status, reason, way_out) = match self {
            Self::NoToken => {
                (StatusCode::UNAUTHORIZED, "this needs the token from the URL that was printed", NEW_TOKEN)
            }
            Self::WrongToken => (StatusCode::UNAUTHORIZED, "that is not the token that was printed", NEW_TOKEN),
            Self::UsedToken => {
                (StatusCode::UNAUTHORIZED, "the token was used already, and it is good only once", NEW_TOKEN)
            }
            Self::SeveralCookies => (
                StatusCode::BAD_REQUEST,
                "there are several cookies of the name that holds the session",
                "Delete the cookies of this address.",
            ),
        };
        refused(status, "token", reason, way_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use proptest::prelude::*;

    #[test]
    fn t17_nothing_is_obeyed_by_a_terminal() {
        let refusal = GuardRefusal::UnknownHost("e\u{1b}]0;x\u{7}vil\u{9b}2J\u{202e}".to_owned());
        let explained = refusal.explained();
        assert_eq!(explained.reason, r#"nothing is served under the name "e\u{1b}]0;x\u{7}vil\u{9b}2J\u{202e}""#);
        assert!(explained.way_out.ends_with(r"--allow-host e\u{1b}]0;x\u{7}vil\u{9b}2J\u{202e}"));
    }

    #[test]
    fn a_refusal_names_its_flag() {
        for (refusal, flag) in [
            (GuardRefusal::Stranger(Some(1000)), "--allow-other-users"),
            (GuardRefusal::Stranger(None), "--allow-other-users"),
            (GuardRefusal::UnknownHost("a:1".to_owned()), "--allow-host a:1"),
            (GuardRefusal::ForeignOrigin("http://a".to_owned()), "--allow-origin http://a"),
            (GuardRefusal::CrossSite, "--allow-origin"),
            (GuardRefusal::NoOrigin("http://a".to_owned()), "--allow-origin"),
            (GuardRefusal::ReadOnly(Method::POST), "--read-only"),
            (GuardRefusal::ReadOnlyTunnel, "--read-only"),
            (GuardRefusal::ReadOnlyOverride, "--read-only"),
        ] {
            assert!(refusal.explained().way_out.contains(flag), "{refusal:?}");
        }
        assert!(GateClosed::NoToken.explained().way_out.contains("--require-token"));
    }

    proptest! {
        #[test]
        fn t17_any_text_is_printable(text in any::<String>()) {
            let explained = GuardRefusal::UnknownHost(text).explained();
            let said = explained.reason + &explained.way_out;
            prop_assert!(!said.chars().any(|character| character.is_control() && !matches!(character, '\t' | '\n')));
        }
    }
}
