//! Whether anything is going on: what `--idle-timeout` asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Counts the requests and tunnels that are open, and remembers when the last one ended. Clones share the count.
#[derive(Debug, Clone)]
pub struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    open: AtomicUsize,
    /// Milliseconds from `started` to the end of the last one.
    last_end: AtomicU64,
    started: Instant,
}

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(State { open: AtomicUsize::new(0), last_end: AtomicU64::new(0), started: Instant::now() }))
    }
}

impl Activity {
    /// Something begins; it lasts until the result is dropped.
    pub(crate) fn begin(&self) -> Busy {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(&self.0))
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
        if self.0.open.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        self.0.started.elapsed().saturating_sub(Duration::from_millis(self.0.last_end.load(Ordering::Acquire)))
    }
}

/// One thing that is open.
#[derive(Debug)]
pub(crate) struct Busy(Arc<State>);

impl Drop for Busy {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end.fetch_max(now, Ordering::AcqRel);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
