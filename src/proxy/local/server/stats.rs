//! What is going on: whether anything, as `--idle-timeout` asks, and how much, as the status line shows.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answer_times::AnswerTimes;

/// Counts requests, octets and tunnels, and remembers when the last one ended. Clones share the count.
#[derive(Debug, Clone)]
pub struct TrafficStats {
    started: Instant,
    shared: Arc<TrafficShared>,
}

#[derive(Debug, Default)]
struct TrafficShared {
    open: AtomicUsize,
    /// Milliseconds from `started` to the end of the last one.
    last_end: AtomicU64,
    requests: AtomicU64,
    tunnels: AtomicUsize,
    /// Counted only while somebody watches.
    octets: AtomicU64,
    /// Requests whose answer was a 5xx, or broke off.
    failed: AtomicU64,
    watcher: OnceLock<TrafficWatcher>,
}

/// What is kept for whoever watches.
#[derive(Debug, Default)]
struct TrafficWatcher {
    changed: Notify,
    times: AnswerTimes,
}

/// How much has been going on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Requests so far.
    pub requests: u64,
    /// Those of them whose answer was a 5xx, or broke off.
    pub failed: u64,
    /// Octets of bodies and tunnels so far, both ways.
    pub octets: u64,
    /// Tunnels that are open.
    pub tunnels: usize,
}

impl Default for TrafficStats {
    fn default() -> Self {
        Self { started: Instant::now(), shared: Arc::default() }
    }
}

impl TrafficStats {
    /// Something begins; it lasts until the result is dropped.
    pub(crate) fn begin(&self) -> OngoingActivity {
        self.shared.open.fetch_add(1, Ordering::AcqRel);
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        self.tell();
        let began = self.is_watched().then(Instant::now);
        OngoingActivity { stats: self.clone(), is_counted: true, is_tunnel: false, began, failed: false }
    }

    /// Something begins that nobody asked for, such as a look of one of our own pages: it counts for nothing.
    pub(crate) fn begin_uncounted(&self) -> OngoingActivity {
        OngoingActivity { stats: self.clone(), is_counted: false, is_tunnel: false, began: None, failed: false }
    }

    /// From now on octets are counted too, and [`TrafficStats::changed`] tells of changes.
    pub fn watch(&self) {
        let _ = self.shared.watcher.set(TrafficWatcher::default()); // or somebody watches already
    }

    /// Whether anybody wants to know of octets.
    pub(crate) fn is_watched(&self) -> bool {
        self.shared.watcher.get().is_some()
    }

    /// What was counted so far.
    pub fn counts(&self) -> TrafficCounts {
        TrafficCounts {
            requests: self.shared.requests.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
            octets: self.shared.octets.load(Ordering::Relaxed),
            tunnels: self.shared.tunnels.load(Ordering::Relaxed),
        }
    }

    /// Waits for the next change since the last time, for one who watches; without [`TrafficStats::watch`] for ever.
    pub async fn changed(&self) {
        match self.shared.watcher.get() {
            Some(watcher) => watcher.changed.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The time that so many in a hundred requests did not exceed; `None` where nobody watched, or none ended.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        self.shared.watcher.get()?.times.percentile(percent)
    }

    fn tell(&self) {
        if let Some(watcher) = self.shared.watcher.get() {
            watcher.changed.notify_one();
        }
    }

    /// So many more octets were carried, in whichever direction.
    pub(crate) fn carried(&self, octets: u64) {
        if self.is_watched() {
            self.shared.octets.fetch_add(octets, Ordering::Relaxed);
            self.tell();
        }
    }

    /// Waits until nothing has been open for `limit`. An open WebSocket or an answer still streaming is not idle.
    pub async fn idle_for(&self, limit: Duration) {
        loop {
            let idle = self.idle_time();
            if idle >= limit {
                return;
            }
            tokio::time::sleep(limit.saturating_sub(idle).max(Duration::from_millis(1))).await;
        }
    }

    fn idle_time(&self) -> Duration {
        if self.shared.open.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        self.started.elapsed().saturating_sub(Duration::from_millis(self.shared.last_end.load(Ordering::Acquire)))
    }
}

/// One thing that is open.
#[derive(Debug)]
pub(crate) struct OngoingActivity {
    pub(crate) stats: TrafficStats,
    is_counted: bool,
    is_tunnel: bool,
    /// `None` where nobody watches.
    began: Option<Instant>,
    /// Whether its answer says so, or did not get to its end.
    failed: bool,
}

impl OngoingActivity {
    /// It was answered.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.failed = status.is_server_error();
    }

    /// Its answer broke off.
    pub(crate) fn failed(&mut self) {
        self.failed = true;
    }

    /// It has become a tunnel.
    pub(crate) fn tunnels(&mut self) {
        if !self.is_counted {
            return;
        }
        self.is_tunnel = true;
        self.stats.shared.tunnels.fetch_add(1, Ordering::Relaxed);
        self.stats.tell();
    }
}

impl Drop for OngoingActivity {
    fn drop(&mut self) {
        if !self.is_counted {
            return;
        }
        let shared = &self.stats.shared;
        let now = u64::try_from(self.stats.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        shared.last_end.fetch_max(now, Ordering::AcqRel);
        shared.open.fetch_sub(1, Ordering::AcqRel);
        if self.failed {
            shared.failed.fetch_add(1, Ordering::Relaxed);
        }
        match (shared.watcher.get(), self.began) {
            _ if self.is_tunnel => drop(shared.tunnels.fetch_sub(1, Ordering::Relaxed)),
            (Some(watcher), Some(began)) => watcher.times.record(began.elapsed()),
            _ => {}
        }
        if self.is_tunnel || self.failed {
            self.stats.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn what_was_counted() {
        let activity = TrafficStats::default();
        let mut first = activity.begin();
        first.stats.carried(7);
        assert_eq!(activity.counts(), TrafficCounts { requests: 1, ..TrafficCounts::default() }, "nobody watches");
        activity.watch();
        first.stats.carried(7);
        first.stats.clone().carried(3);
        first.tunnels();
        first.answered(StatusCode::SWITCHING_PROTOCOLS);
        let (second, mut third) = (activity.begin(), activity.begin());
        third.answered(StatusCode::BAD_GATEWAY);
        assert_eq!(activity.counts(), TrafficCounts { requests: 3, octets: 10, tunnels: 1, failed: 0 });
        drop((first, second, third));
        assert_eq!(activity.counts(), TrafficCounts { requests: 3, octets: 10, tunnels: 0, failed: 1 });
        assert!(activity.percentile(95).is_some());
        let before = activity.counts();
        drop(activity.begin_uncounted());
        assert_eq!(activity.counts(), before);
    }

    #[test]
    fn who_watches_is_told() {
        let activity = TrafficStats::default();
        drop(activity.begin());
        assert_eq!(activity.changed().now_or_never(), None, "nobody watches");
        activity.watch();
        assert_eq!(activity.changed().now_or_never(), None);
        let busy = activity.begin();
        busy.stats.carried(1);
        assert_eq!(activity.changed().now_or_never(), Some(()), "even of what happened before");
        assert_eq!(activity.changed().now_or_never(), None, "once");
    }
}
