//! What the user is told while Services are served: each "from now on" is a line of one table, told once, and printed by
//! somebody else.

use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};

use super::Transport;
use super::entrance::PodEntrance;
use super::known::SuspectAnswer;
use super::limitation::{ProxyLimitation, Via};
use crate::service::{Scheme, Target};

/// Whoever tells the user. A clone tells the same one.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(&str) + Send + Sync>);

/// Something that is not as usual, and holds from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// The Pods speak `right`, not what they were spoken to in `before`.
    OtherScheme { right: Scheme, before: Scheme },
    /// The app insists on https, and gets it here.
    Entrance(PodEntrance),
    /// The app leads to another name, which nothing in the cluster says to be its own.
    LeadsElsewhere(HeaderValue),
    /// The user lacks the right to the service proxy.
    ProxyForbidden,
    /// The user lacks the right to send this method through the service proxy.
    MethodForbidden(Method),
    /// The API server cannot reach the Pods.
    Unreachable,
    /// The API server could not pass on an answer.
    AnswerNotPassedOn,
    /// A kind of request takes another way than usual, or none.
    Limitation(ProxyLimitation, Option<Transport>, Via),
    /// The app refuses the local host, and accepts this one.
    OtherHost { local: HeaderValue, accepted: HeaderValue },
    /// A handshake was answered as if it were none, and port-forward cannot show what is behind it.
    HandshakeDoubted(SuspectAnswer, StatusCode),
    /// Handshakes go by port-forward.
    HandshakesMove(SuspectAnswer, StatusCode),
    /// Upgrades are lost whichever way they go.
    UpgradesLost,
}

impl Notice {
    /// Whether whoever was told `other` knows this too.
    pub(super) fn is_same_news(&self, other: &Self) -> bool {
        self == other
            || (discriminant(self) == discriminant(other)
                && !matches!(self, Self::Limitation(..) | Self::MethodForbidden(_)))
    }

    /// The line, without its end; `None` where there is nothing to say that helps.
    pub(super) fn line(&self, target: &Target) -> Option<String> {
        let service = target.service();
        Some(match self {
            Self::OtherScheme { right, before } => {
                format!("{service} speaks {right}, not {before}: it is spoken to in {right} from now on")
            }
            Self::Entrance(entrance) => format!("{service} insists on https: {}", where_it_gets_it(*entrance)),
            Self::LeadsElsewhere(host) => {
                let host = String::from_utf8_lossy(host.as_bytes());
                format!(
                    "{service} leads to {host}, out of the cluster: if that is its own name, use --host-header {host}"
                )
            }
            Self::ProxyForbidden => format!(
                "you may not open {service} through the API server: everything goes by port-forward from now on"
            ),
            Self::MethodForbidden(method) => {
                format!("{service}: you may not send {method} through the API server: it goes by port-forward")
            }
            Self::Unreachable => format!(
                "the API server cannot reach the Pods of {service}: everything goes by port-forward from now on"
            ),
            Self::AnswerNotPassedOn => {
                format!("{service}: the API server could not pass on an answer: such requests go by port-forward")
            }
            Self::Limitation(limitation, choice, via) => {
                format!("{service}: {}", way_of(*limitation, *choice, *via, &target.namespace))
            }
            Self::OtherHost { local, accepted } => {
                let [local, accepted] = [local, accepted].map(|host| String::from_utf8_lossy(host.as_bytes()));
                format!("{service} refuses the host {local}: it sees {accepted} from now on")
            }
            Self::HandshakeDoubted(doubt, status) => format!("{service}: {}", doubted(*doubt, *status)?),
            Self::HandshakesMove(doubt, status) => format!(
                "{service}: WebSockets go by port-forward from now on, the service proxy answered one {}: {doubt}",
                status.as_u16()
            ),
            Self::UpgradesLost => format!(
                "{service}: something between here and the API server takes Upgrade out of requests, so neither \
                 WebSockets nor port-forward can pass: let it pass Upgrade and Connection on, or go to the API server \
                 itself with --server"
            ),
        })
    }
}

fn where_it_gets_it(entrance: PodEntrance) -> &'static str {
    match entrance {
        PodEntrance::OwnPort(_) => "it is spoken to by TLS from now on",
        PodEntrance::HttpsPort => "it is spoken to at its https port from now on",
        PodEntrance::BehindHttps => "it is told from now on that the browser speaks https",
    }
}

fn way_of(limitation: ProxyLimitation, choice: Option<Transport>, via: Via, namespace: &str) -> String {
    let harm = limitation.harm();
    let why_not = why_no_port_forward(via, namespace);
    match choice {
        Some(Transport::PortForward) => {
            format!("{limitation} goes by port-forward, the service proxy would {harm}")
        }
        Some(Transport::ServiceProxy) => {
            format!("{limitation} goes by the service proxy, which will {harm}: {why_not}")
        }
        None => format!("{limitation} is refused, the service proxy would {harm}: {why_not}"),
    }
}

/// Why port-forward is out of the question, as the end of a sentence.
pub(super) fn why_no_port_forward(via: Via, namespace: &str) -> String {
    match via {
        Via::ServiceProxy => "--via service-proxy leaves no other way".to_owned(),
        Via::Auto | Via::PortForward => format!("you may not port-forward in {namespace}"),
    }
}

/// Nothing of a busy app, which looks the same as a gateway that limits WebSockets.
fn doubted(doubt: SuspectAnswer, status: StatusCode) -> Option<String> {
    let words = format!("a WebSocket was answered {}, as if it were none", status.as_u16());
    match doubt {
        SuspectAnswer::Lost => Some(format!("{words}: {doubt}")),
        SuspectAnswer::PerhapsLost => Some(format!(
            "{words}: the app has none there, or something between here and the API server does not let WebSockets pass"
        )),
        SuspectAnswer::Refused => None,
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

impl Notices {
    /// `tell` gets each line, without a line end, on the task where it came up: it must not block.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Tells one line.
    pub(super) fn tell(&self, line: impl fmt::Display) {
        (self.0)(&line.to_string());
    }
}
