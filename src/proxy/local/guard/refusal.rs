//! How a refused request is told why, and which flag would let it pass. Pure.

use http::StatusCode;

use super::admit::GuardRefusal;
use super::token::GateClosed;
use crate::message::safe_path::PathFault;
use crate::terminal::printable::printable_line;

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
    /// A command that does it.
    pub(crate) command: Option<String>,
    /// What it is about, as `NAMESPACE/NAME`, where that is not what is open under the name that was asked.
    pub(crate) service: Option<String>,
    /// Whether whoever reads it may be a stranger, who is told neither Service nor context.
    pub(crate) is_to_stranger: bool,
    /// Whether the same request may be let in soon.
    pub(crate) may_pass_soon: bool,
}

/// The site of a Service that is not open here: a tab or a bookmark of another run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedSite {
    /// Namespace and name, where the label has room for both.
    pub service: Option<(String, String)>,
    /// The command that opens it.
    pub command: String,
    /// Whether the name is of an older version, under which nothing is served any more.
    pub is_old: bool,
}

impl GuardRefusal {
    pub(crate) fn explained(&self) -> ExplainedRefusal {
        let is_to_stranger = matches!(self, Self::Stranger(_) | Self::NoSingleHost | Self::UnknownHost(_));
        ExplainedRefusal { is_to_stranger, ..self.in_words() }
    }

    fn in_words(&self) -> ExplainedRefusal {
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
            Self::Framed | Self::Prefetched | Self::ServiceWorker | Self::TransferCoding => self.without_flag(),
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

    /// What no flag allows.
    fn without_flag(&self) -> ExplainedRefusal {
        match self {
            Self::Framed => refused(
                StatusCode::FORBIDDEN,
                "framed",
                "a page of another site shows this inside of itself",
                "No flag allows that, since such a page could steer clicks: open the address in a tab of its own.",
            ),
            Self::Prefetched => refused(
                StatusCode::FORBIDDEN,
                "prefetch",
                "this was fetched ahead, and by no page of its own",
                "No flag allows that: open the address itself.",
            ),
            Self::ServiceWorker => refused(
                StatusCode::FORBIDDEN,
                "service-worker",
                "a service worker would stay at this address, for whatever is served here next",
                "Use the Service under its own name, as without --origin: there it may have one.",
            ),
            _ => refused(
                StatusCode::NOT_IMPLEMENTED,
                "transfer-coding",
                "the body is in a transfer coding other than chunked",
                "Send it as it is or chunked, and say what it is encoded in by Content-Encoding.",
            ),
        }
    }
}

/// A refusal whose words may come from outside.
fn refused(status: StatusCode, word: &'static str, reason: &str, way_out: &str) -> ExplainedRefusal {
    ExplainedRefusal {
        status,
        word,
        reason: printable_line(reason),
        way_out: printable_line(way_out),
        command: None,
        service: None,
        is_to_stranger: false,
        may_pass_soon: false,
    }
}

/// The name that was asked for is `closed`'s. It is never to be allowed: its answers would be another Service's.
pub(crate) fn closed_site(closed: &ClosedSite) -> ExplainedRefusal {
    let (reason, way_out) = match &closed.service {
        Some((namespace, name)) if closed.is_old => (
            format!("Service {name} in {namespace} is not open here"),
            "This address is of an older version of kubectl svcproxy, under a name that others could have taken. The command \
             below opens the Service at its new address.",
        ),
        Some((namespace, name)) => (
            format!("Service {name} in {namespace} is not open here"),
            "This address is of another run. Open the Service again with the command below: this page goes on by itself \
             once the address is served.",
        ),
        None => (
            "the Service of this site is not open here".to_owned(),
            "This address is of another run, and too long to hold the whole name of its Service. Choose it with the command \
             below.",
        ),
    };
    ExplainedRefusal {
        command: Some(printable_line(&closed.command)),
        service: closed.service.as_ref().map(|(namespace, name)| printable_line(&format!("{namespace}/{name}"))),
        may_pass_soon: !closed.is_old,
        ..refused(StatusCode::MISDIRECTED_REQUEST, "host", &reason, way_out)
    }
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
        PathFault::Relative => "the path does not begin with /",
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
                                 with --require-token=false there is none.";
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
        // Once the URL was opened in another tab, this one may come in.
        let may_pass_soon = self == Self::NoToken;
        ExplainedRefusal { is_to_stranger: true, may_pass_soon, ..refused(status, "token", reason, way_out) }
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

    #[test]
    fn a_closed_site_names_its_service_and_is_never_to_be_allowed() {
        let command = "kubectl svcproxy http://web--shop--abc234.localhost:8001/".to_owned();
        let service = Some(("shop".to_owned(), "web".to_owned()));
        let explained = closed_site(&ClosedSite { service, command: command.clone(), is_old: false });
        assert_eq!(explained.reason, "Service web in shop is not open here");
        assert_eq!((explained.service.as_deref(), explained.command), (Some("shop/web"), Some(command.clone())));
        for closed in [None, Some(("shop".to_owned(), "web".to_owned()))] {
            let old = ClosedSite { service: closed.clone(), command: command.clone(), is_old: true };
            let old = closed_site(&old);
            assert!(!old.may_pass_soon && !old.way_out.contains("goes on by itself"), "{old:?}");
            let explained = closed_site(&ClosedSite { service: closed, command: command.clone(), is_old: false });
            assert!(explained.may_pass_soon && !explained.way_out.contains("--allow-host"), "{explained:?}");
        }
    }

    #[test]
    fn strangers_are_told_no_names() {
        for (refusal, expect) in [
            (GuardRefusal::Stranger(None), true),
            (GuardRefusal::NoSingleHost, true),
            (GuardRefusal::UnknownHost("evil.example".to_owned()), true),
            (GuardRefusal::ReadOnlyTunnel, false),
            (GuardRefusal::Path(PathFault::Control), false),
        ] {
            assert_eq!(refusal.explained().is_to_stranger, expect, "{refusal:?}");
        }
        assert!(GateClosed::WrongToken.explained().is_to_stranger);
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
