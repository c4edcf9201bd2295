//! WebSockets that are cut: whether the times after which that happens have something in common. Pure.
//!
//! Gateways and load balancers cut an upgraded connection after a fixed time, or when nothing passes for a fixed time
//! (nginx `proxy_read_timeout`, 60 seconds), without the close that WebSockets have (RFC 6455 section 7). A network that
//! breaks cuts many of them at once, after any time.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// As many cuts are compared with the next one.
const COMPARED: usize = 8;
/// Whatever ends sooner has other reasons: an app that crashes, a page that is left.
const MIN_CUT_LIFETIME: Duration = Duration::from_secs(5);
/// Timers of gateways are exact; this is for what the way takes.
const MAX_CUT_DIFFERENCE: Duration = Duration::from_secs(1);
/// Cuts that follow each other faster have one cause.
const MIN_CUT_INTERVAL: Duration = Duration::from_secs(2);

/// How a WebSocket was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WebSocketCut {
    /// When, counted from a moment that is the same for all.
    pub(super) at: Duration,
    /// How long it was open.
    pub(super) life: Duration,
    /// For how long nothing had passed, in either direction.
    pub(super) idle: Duration,
}

/// What two cuts have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutPattern {
    /// Nothing may pass for so long, and no longer.
    Idle(Duration),
    /// So long they may be open.
    Life(Duration),
}

/// The last cuts of one Target's WebSockets.
#[derive(Debug, Default)]
pub(super) struct RecentCuts(VecDeque<WebSocketCut>);

impl RecentCuts {
    /// Compares `cut` with those before it.
    pub(super) fn note(&mut self, cut: WebSocketCut) -> Option<CutPattern> {
        let limit = self.0.iter().find_map(|before| in_common(before, &cut));
        if self.0.len() == COMPARED {
            self.0.pop_front();
        }
        self.0.push_back(cut);
        limit
    }
}

fn in_common(one: &WebSocketCut, other: &WebSocketCut) -> Option<CutPattern> {
    let near = |one: Duration, other: Duration| {
        one.min(other) >= MIN_CUT_LIFETIME && one.abs_diff(other) <= MAX_CUT_DIFFERENCE
    };
    if one.at.abs_diff(other.at) < MIN_CUT_INTERVAL {
        return None;
    }
    match () {
        () if near(one.idle, other.idle) => Some(CutPattern::Idle(other.idle)),
        () if near(one.life, other.life) => Some(CutPattern::Life(other.life)),
        () => None,
    }
}

/// After what they are cut, and what can be done about it.
impl fmt::Display for CutPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Idle(time) | Self::Life(time)) = self;
        let seconds = time.as_secs_f64().round();
        match self {
            Self::Idle(_) => write!(
                f,
                "cut when nothing has passed for {seconds} s, by something between here and the API server or by the app \
                 itself: let the app ping more often than that, or raise the timeout of the gateway (nginx: \
                 proxy_read_timeout)"
            ),
            Self::Life(_) => write!(
                f,
                "cut {seconds} s after they begin, by something between here and the API server or by the app itself: \
                 raise the gateway's limit on how long a connection lasts, or let the page open them anew"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts as `(at, life, idle)` in tenths of seconds; what the last one shows.
    fn check(cuts: &[(u64, u64, u64)], expect: Option<CutPattern>) {
        let tenths = |tenths: u64| Duration::from_millis(tenths * 100);
        let mut all = RecentCuts::default();
        let mut last = None;
        for (number, &(at, life, idle)) in cuts.iter().enumerate() {
            assert_eq!(last, None, "before cut {number} of {cuts:?}");
            last = all.note(WebSocketCut { at: tenths(at), life: tenths(life), idle: tenths(idle) });
        }
        assert_eq!(last, expect, "{cuts:?}");
    }

    #[test]
    fn what_cuts_have_in_common() {
        let seconds = Duration::from_secs;
        check(&[], None);
        check(&[(600, 600, 600)], None);
        // Nobody says anything, and it is opened anew each time.
        check(&[(600, 600, 600), (1210, 600, 600)], Some(CutPattern::Idle(seconds(60))));
        check(&[(700, 700, 608), (2000, 900, 600)], Some(CutPattern::Idle(seconds(60))));
        // Something is said all the time.
        check(&[(3000, 3000, 4), (6100, 3000, 20)], Some(CutPattern::Life(seconds(300))));
        check(&[(3000, 3000, 4), (6100, 3011, 20)], None);
        // Two others came between.
        check(&[(600, 600, 3), (700, 90, 3), (800, 200, 90), (1300, 600, 9)], Some(CutPattern::Life(seconds(60))));
    }

    #[test]
    fn what_is_no_limit() {
        // The network broke under two tabs that were opened together.
        check(&[(600, 600, 600), (601, 600, 600)], None);
        check(&[(600, 600, 600), (615, 600, 600)], None);
        // An app that crashes as soon as somebody comes.
        check(&[(100, 20, 10), (200, 20, 10), (300, 20, 10)], None);
        check(&[(600, 600, 600), (1210, 300, 300)], None);
    }

    #[test]
    fn only_the_last_cuts_are_compared() {
        let mut cuts = RecentCuts::default();
        for number in 1..100_u64 {
            let (at, time) = (Duration::from_secs(1000 * number), Duration::from_secs(10 * number));
            assert_eq!(cuts.note(WebSocketCut { at, life: time, idle: time }), None);
        }
        assert_eq!(cuts.0.len(), COMPARED);
    }
}
