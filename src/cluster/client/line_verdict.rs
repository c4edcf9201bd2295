//! When a connection to the API server leads nowhere any more. Pure.
//!
//! An app may take minutes to answer, an upload may wait for as long as its receiver likes, and whoever downloads may pause:
//! silence alone shows nothing. What counts is that octets are not acknowledged, that the address which the connection
//! goes out from is gone, or that nobody is at the other end of a new connection either.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// For this long octets may be without an acknowledgement, or nobody at the other end, while somebody waits for an answer.
pub(super) const MAX_STALL: Duration = Duration::from_secs(4);

/// For this long nobody may be at the other end before connections end on which nobody waits for an answer, such as event
/// streams: they outlive a short gap.
const MAX_SILENCE_OF_STREAMS: Duration = Duration::from_secs(8);

/// What is known of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LineFacts {
    /// How long somebody has waited for the answer to what was written last; `None` where nobody does.
    pub(super) waiting: Option<Duration>,
    /// How long no octet was acknowledged of those that were sent again; `None` where all is well, or nobody knows.
    pub(super) stalled: Option<Duration>,
    /// The address that it goes out from, if the machine has it no more.
    pub(super) gone_address: Option<IpAddr>,
    /// How long nothing has come from the API server on any connection, and none could be made.
    pub(super) silent: Option<Duration>,
}

/// Why a connection leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineLoss {
    /// The machine has another address now.
    AddressGone(IpAddr),
    /// Nobody says that octets arrive.
    Unacknowledged,
    /// Nobody is there for new connections either.
    Silent,
}

/// For people, to stand in parentheses or behind a colon.
impl fmt::Display for LineLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressGone(address) => write!(f, "this machine has lost its address {address}"),
            Self::Unacknowledged => write!(f, "nothing that was sent arrived for {} s", MAX_STALL.as_secs()),
            Self::Silent => write!(f, "nothing has come from there for {} s", MAX_STALL.as_secs()),
        }
    }
}

/// Why the connection is lost, if it is.
pub(super) fn judge(facts: &LineFacts) -> Option<LineLoss> {
    let is_over = |time: Option<Duration>, limit: Duration| time.is_some_and(|time| time >= limit);
    let is_silent = match facts.waiting {
        Some(waiting) => waiting >= MAX_STALL && is_over(facts.silent, MAX_STALL),
        None => is_over(facts.silent, MAX_SILENCE_OF_STREAMS),
    };
    match facts.gone_address {
        Some(address) => Some(LineLoss::AddressGone(address)),
        None if is_over(facts.stalled, MAX_STALL) => Some(LineLoss::Unacknowledged),
        None if is_silent => Some(LineLoss::Silent),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    #[test]
    fn what_is_lost() {
        let facts = LineFacts::default();
        let check = |facts: LineFacts, expect: Option<LineLoss>| assert_eq!(judge(&facts), expect, "{facts:?}");
        let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
        check(facts, None);
        // The app takes its time, and so does the receiver of an upload.
        check(LineFacts { waiting: seconds(600), ..facts }, None);
        // A gap of the network.
        check(LineFacts { waiting: seconds(600), stalled: seconds(3), ..facts }, None);
        check(LineFacts { waiting: seconds(600), stalled: seconds(4), ..facts }, Some(LineLoss::Unacknowledged));
        check(LineFacts { gone_address: Some(ADDRESS), ..facts }, Some(LineLoss::AddressGone(ADDRESS)));
        check(LineFacts { waiting: seconds(3), silent: seconds(60), ..facts }, None);
        check(LineFacts { waiting: seconds(5), silent: seconds(3), ..facts }, None);
        check(LineFacts { waiting: seconds(5), silent: seconds(5), ..facts }, Some(LineLoss::Silent));
        // An event stream, or a WebSocket of which the app is to speak next.
        check(LineFacts { silent: seconds(7), ..facts }, None);
        check(LineFacts { silent: seconds(8), ..facts }, Some(LineLoss::Silent));
    }
}
