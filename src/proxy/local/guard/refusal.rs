//! How a refused request is told why, and which flag would let it pass. Pure.

use http::{Method, StatusCode};

use super::admit::GuardRefusal;
use super::token::GateClosed;
use crate::message::safe_path::PathFault;

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
        let (status, word) = self.status();
        let (reason, way_out) = self.words();
        ExplainedRefusal { status, word, reason: printable(&reason), way_out: printable(&way_out) }
    }

    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Stranger(_) => (StatusCode::FORBIDDEN, "other-user"),
            Self::NoSingleHost => (StatusCode::BAD_REQUEST, "host"),
            Self::UnknownHost(_) => (StatusCode::MISDIRECTED_REQUEST, "host"),
            Self::ForeignOrigin(_) | Self::NoOrigin(_) => (StatusCode::FORBIDDEN, "origin"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross-site"),
            Self::Framed => (StatusCode::FORBIDDEN, "framed"),
            Self::ReadOnly(_) => (StatusCode::METHOD_NOT_ALLOWED, "read-only"),
            Self::ReadOnlyTunnel | Self::ReadOnlyOverride => (StatusCode::FORBIDDEN, "read-only"),
            Self::Connect => (StatusCode::METHOD_NOT_ALLOWED, "connect"),
            Self::NotAPath => (StatusCode::BAD_REQUEST, "target"),
            Self::Path(_) => (StatusCode::BAD_REQUEST, "path"),
        }
    }

    fn words(&self) -> (String, String) {
        let (reason, way_out) = match self {
            Self::Stranger(Some(user)) => {
                let reason = format!("this connection belongs to another user of this machine (user ID {user})");
                return (reason, ALLOW_OTHER_USERS.to_owned());
            }
            Self::Stranger(None) => {
                ("cannot tell which user of this machine this connection belongs to", ALLOW_OTHER_USERS)
            }
            Self::UnknownHost(host) => return unknown_host(host),
            Self::ForeignOrigin(origin) => return foreign_origin(origin),
            Self::NoOrigin(own) => return no_origin(own),
            Self::ReadOnly(method) => return read_only(method),
            Self::NoSingleHost => ("the request needs exactly one Host header", "Send the host and port of the URL."),
            Self::CrossSite => (
                "a page of another site sent this request",
                "Open the address itself, or start kubectl svcproxy with --allow-origin and that page's origin.",
            ),
            Self::Framed => (
                "a page of another site shows this inside of itself",
                "No flag allows that, since such a page could steer clicks: open the address in a tab of its own.",
            ),
            Self::ReadOnlyTunnel => (
                "WebSockets can write, and kubectl svcproxy runs with --read-only",
                "Start it without --read-only to allow them.",
            ),
            Self::ReadOnlyOverride => (
                "a header asks for another method, and kubectl svcproxy runs with --read-only",
                "Start it without --read-only to allow that.",
            ),
            Self::Connect => ("this is not a forward proxy", "Use the printed URL as it is, without a proxy setting."),
            Self::NotAPath => {
                ("the request's target is not a path", "Use the printed URL as it is, without a proxy setting.")
            }
            Self::Path(fault) => (fault_of(*fault), "No flag allows that: such paths could lead out of the Service."),
        };
        (reason.to_owned(), way_out.to_owned())
    }
}

const ALLOW_OTHER_USERS: &str =
    "What is served here acts with somebody else's rights in the cluster. They can allow it with --allow-other-users.";

fn unknown_host(host: &str) -> (String, String) {
    let way_out = format!("Use the printed URL, or start kubectl svcproxy with --allow-host {host}");
    (format!("nothing is served under the name \"{host}\""), way_out)
}

fn foreign_origin(origin: &str) -> (String, String) {
    let way_out = format!("To trust that page, start kubectl svcproxy with --allow-origin {origin}");
    (format!("the request comes from a page of another origin, {origin}"), way_out)
}

fn no_origin(own: &str) -> (String, String) {
    let way_out = format!("Send the header Origin: {own} (or that of an --allow-origin).");
    ("a WebSocket needs an Origin header".to_owned(), way_out)
}

fn read_only(method: &Method) -> (String, String) {
    let way_out = "Start it without --read-only to allow other methods than GET, HEAD and OPTIONS.".to_owned();
    (format!("{method} can write, and kubectl svcproxy runs with --read-only"), way_out)
}

fn fault_of(fault: PathFault) -> &'static str {
    match fault {
        PathFault::Escape => "the path has a % without two hexadecimal digits after it",
        PathFault::Control => "the path has a control character in it",
        PathFault::Overlong => "the path has an overlong character in it",
        PathFault::DotSegment => "the path has a segment in it that is . or .., perhaps encoded",
    }
}

impl GateClosed {
    pub(crate) fn explained(self) -> ExplainedRefusal {
        let (status, reason) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "this needs the token from the URL that was printed"),
            Self::WrongToken => (StatusCode::UNAUTHORIZED, "that is not the token that was printed"),
            Self::UsedToken => (StatusCode::UNAUTHORIZED, "the token was used already, and it is good only once"),
            Self::SeveralCookies => {
                (StatusCode::BAD_REQUEST, "there are several cookies of the name that holds the session")
            }
        };
        let way_out = match self {
            Self::SeveralCookies => "Delete the cookies of this address.",
            _ => {
                "Open the printed URL in one browser, or start kubectl svcproxy again for a new token; without --require-token there is none."
            }
        };
        ExplainedRefusal { status, word: "token", reason: reason.to_owned(), way_out: way_out.to_owned() }
    }
}

/// `text` with nothing in it that a terminal would obey or that would change the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    let is_hidden = |character: char| {
        character.is_control()
            || matches!(character, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    text.chars()
        .flat_map(|character| match is_hidden(character) {
            true => character.escape_unicode().collect::<Vec<_>>(),
            false => vec![character],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
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
            prop_assert!(!printable(&text).chars().any(char::is_control));
        }
    }
}
