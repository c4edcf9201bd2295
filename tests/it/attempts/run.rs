//! A run of the program, and the rows that are played in it one after the other.

use std::fmt;

use super::answer::Answer;
use super::app::Speaks;
use super::ask::Ask;
use support::fake::Handshakes;
use support::fake::faults::Fault;
use support::fake::status::Status;

/// Who runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum User {
    /// May do everything.
    #[default]
    Admin,
    /// May do everything but port-forward.
    WithoutPortForward,
    /// Has the usual verbs, so no `*`, which OPTIONS takes.
    WithoutOptions,
    /// May only look: no service proxy, no port-forward.
    WithoutProxy,
    /// May do everything, and gets new credentials by a credential plugin.
    Renewable,
}

/// How others reach the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Ingress(&'static str),
    HttpRoute(&'static str),
}

/// One run and its rows.
pub(super) struct Run {
    pub(super) title: &'static str,
    pub(super) flags: &'static [&'static str],
    pub(super) user: User,
    pub(super) speaks: Speaks,
    pub(super) pods: u8,
    pub(super) handshakes: Handshakes,
    /// A gateway before the API server that routes by `Host`.
    pub(super) gateway: Option<&'static str>,
    pub(super) route: Option<Route>,
    pub(super) rows: Vec<Row>,
}

/// One request, what is answered, and what happens before.
pub(super) struct Row {
    pub(super) ask: Ask,
    pub(super) answer: Says,
    pub(super) before: Vec<Before>,
    /// Tells it from another row of the run with the same request and answer.
    pub(super) note: &'static str,
}

/// What the app answers in a row.
pub(super) enum Says {
    One(Answer),
    /// Plain text with one of these statuses; the request is sent once for each. `CODE` in its target is the status.
    Each(&'static [u16]),
    /// The same in HTML.
    EachInHtml(&'static [u16]),
}

impl From<Answer> for Says {
    fn from(answer: Answer) -> Self {
        Self::One(answer)
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |codes: &[u16]| codes.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::One(answer) => write!(f, "{answer}"),
            Self::Each(codes) => write!(f, "app {}, each", list(codes)),
            Self::EachInHtml(codes) => write!(f, "app {} in text/html, each", list(codes)),
        }
    }
}

/// What happens before a row's request is sent.
#[derive(Clone, Debug)]
pub(super) enum Before {
    /// This befalls the next so many requests for the row's path at the service proxy.
    ServiceProxy(usize, Fault),
    /// This befalls the next so many port-forwards to a Pod, the first by name or `""` for any.
    PortForward(&'static str, usize, Fault),
    /// Connections wait that the request can be sent on, and again.
    ConnectionIsKept,
    /// No connection waits.
    NoConnectionIsKept,
    /// The credentials are no longer good; the credential plugin has newer ones.
    CredentialsExpire,
    /// The same, but it has none.
    CredentialsExpireForGood,
    /// Nothing listens in the Pods any more.
    AppStops,
    /// No Pod is ready any more, and the program has seen that.
    NothingIsReady,
    /// The ready Pod is another one, and the program has seen that.
    PodIsReplaced,
    /// What the user may do cannot be found out.
    RightsAreUnknown,
    /// The Service is deleted.
    ServiceIsDeleted,
}

impl fmt::Display for Before {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceProxy(times, fault) => write!(f, "{} at the service proxy{}", words(fault), often(*times)),
            Self::PortForward(pod, times, fault) => {
                let pod = if pod.is_empty() { "any Pod" } else { pod };
                write!(f, "{} at port-forward to {pod}{}", words(fault), often(*times))
            }
            Self::ConnectionIsKept => f.write_str("on a kept connection"),
            Self::NoConnectionIsKept => f.write_str("on a new connection"),
            Self::CredentialsExpire => f.write_str("the credentials have expired, and there are newer ones"),
            Self::CredentialsExpireForGood => f.write_str("the credentials have expired"),
            Self::AppStops => f.write_str("nothing listens in the Pod"),
            Self::NothingIsReady => f.write_str("no Pod is ready"),
            Self::PodIsReplaced => f.write_str("the Pod was replaced"),
            Self::RightsAreUnknown => f.write_str("rights cannot be found out"),
            Self::ServiceIsDeleted => f.write_str("the Service was deleted"),
        }
    }
}

fn often(times: usize) -> String {
    match times {
        1 => " once".to_owned(),
        2 => " twice".to_owned(),
        _ => String::new(),
    }
}

fn words(fault: &Fault) -> String {
    match fault {
        Fault::Answer(status) => format!("{status}"),
        Fault::Page(code, text) => format!("a gateway's {code} {text:?}"),
        Fault::Break => "the connection ends before an answer, nothing was done,".to_owned(),
        Fault::Cut(length) => format!("the connection ends after {length} octets of the answer"),
        Fault::Hold(length) => format!("nothing comes after {length} octets of the answer"),
        Fault::Await(part) => format!("the answer waits until {part} is asked for"),
    }
}

/// A run in which everything is as usual.
pub(super) fn run(title: &'static str) -> Run {
    Run {
        title,
        flags: &[],
        user: User::default(),
        speaks: Speaks::default(),
        pods: 1,
        handshakes: Handshakes::default(),
        gateway: None,
        route: None,
        rows: Vec::new(),
    }
}

impl Run {
    pub(super) fn flags(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    pub(super) fn user(self, user: User) -> Self {
        Self { user, ..self }
    }

    pub(super) fn speaks(self, speaks: Speaks) -> Self {
        Self { speaks, ..self }
    }

    pub(super) fn pods(self, pods: u8) -> Self {
        Self { pods, ..self }
    }

    pub(super) fn handshakes(self, handshakes: Handshakes) -> Self {
        Self { handshakes, ..self }
    }

    pub(super) fn gateway(self, gateway: &'static str) -> Self {
        Self { gateway: Some(gateway), ..self }
    }

    pub(super) fn route(self, route: Route) -> Self {
        Self { route: Some(route), ..self }
    }

    /// One more row.
    pub(super) fn row(mut self, ask: Ask, answer: impl Into<Says>) -> Self {
        self.rows.push(Row { ask, answer: answer.into(), before: Vec::new(), note: "" });
        self
    }

    /// What happens before the last row's request.
    pub(super) fn before(mut self, before: Before) -> Self {
        self.last().before.push(before);
        self
    }

    /// The API server's own answer to the last row's request, as often as it comes.
    pub(super) fn api_server(self, status: Status) -> Self {
        self.before(Before::ServiceProxy(ALWAYS, Fault::Answer(status)))
    }

    /// Tells the last row from another.
    pub(super) fn note(mut self, note: &'static str) -> Self {
        self.last().note = note;
        self
    }

    fn last(&mut self) -> &mut Row {
        self.rows.last_mut().expect("there is a row")
    }
}

/// More often than anybody asks.
pub(super) const ALWAYS: usize = 100;

/// `TITLE | --flags | who runs it`.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title)?;
        self.flags.iter().try_for_each(|flag| write!(f, " | {flag}"))?;
        f.write_str(match self.user {
            User::Admin => "",
            User::WithoutPortForward => " | may not port-forward",
            User::WithoutOptions => " | has no verb *",
            User::WithoutProxy => " | may only look",
            User::Renewable => " | with a credential plugin",
        })?;
        f.write_str(match self.speaks {
            Speaks::Http => "",
            Speaks::Tls => " | Pods speak TLS",
            Speaks::TlsAndSaysSo => " | Pods speak TLS, and say so to others",
            Speaks::Redis => " | Pods speak no HTTP",
        })
    }
}

/// `WHAT is asked → WHAT is answered; WHAT happened before`.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {}", self.ask, self.answer)?;
        self.before.iter().try_for_each(|before| write!(f, " | {before}"))?;
        if self.note.is_empty() { Ok(()) } else { write!(f, " ({})", self.note) }
    }
}
