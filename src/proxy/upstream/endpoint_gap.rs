//! Holds requests back while a Service has no ready endpoint, as between two Pods of a rollout.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::lock::lock;
use crate::service::Readiness;

/// How long requests are held back after the last endpoint went, since most rollouts need no longer, and after one came:
/// the API server's own view of the endpoints may be older than ours.
const GAP_HOLD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an event stream is held back. Answered anything but 200 a page gives it up for good; broken off it asks again
/// (HTML standard, "processing model" of server-sent events).
const EVENT_STREAM_HOLD_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request that is held back is tried.
const GAP_RETRY_INTERVAL: Duration = Duration::from_millis(300);

/// How long a request can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GapPatience {
    /// It is a page, or something that a page fetches.
    Usual,
    /// It is an event stream.
    EventStream,
}

/// What is seen of one Service's ready endpoints.
pub(super) struct EndpointGap {
    /// How many there are, once somebody has seen them.
    ready: watch::Sender<Option<Readiness>>,
    /// When the last one went or the first came, if that was seen.
    turned: Mutex<Option<Instant>>,
}

impl Default for EndpointGap {
    fn default() -> Self {
        Self { ready: watch::Sender::new(None), turned: Mutex::default() }
    }
}

impl EndpointGap {
    /// So many are ready.
    pub(super) fn learn(&self, count: Readiness) {
        let before = self.ready.send_replace(Some(count));
        if before.is_some_and(|before| (before.ready > 0) != (count.ready > 0)) {
            *lock(&self.turned) = Some(Instant::now());
        }
    }

    /// How many are ready.
    pub(super) fn ready(&self) -> watch::Receiver<Option<Readiness>> {
        self.ready.subscribe()
    }

    /// Waits until it is worth trying again; not, if that is too long for a request that came at `asked`. `was_open` says
    /// whether the app ever answered.
    pub(super) async fn wait(&self, patience: GapPatience, asked: Instant, was_open: bool) -> bool {
        let Some(end) = self.end(patience, asked, was_open).filter(|end| *end > Instant::now()) else { return false };
        let mut ready = self.ready.subscribe();
        let until_ready = async {
            sleep(GAP_RETRY_INTERVAL).await;
            // Where nobody watches, trying shows.
            ready.wait_for(|count| count.is_none_or(|count| count.ready > 0)).await.is_ok()
        };
        timeout_at(end, until_ready).await.unwrap_or(false)
    }

    fn end(&self, patience: GapPatience, asked: Instant, was_open: bool) -> Option<Instant> {
        match patience {
            GapPatience::EventStream => Some(asked + EVENT_STREAM_HOLD_TIMEOUT),
            GapPatience::Usual if self.ready.borrow().is_some() => {
                lock(&self.turned).map(|turned| turned + GAP_HOLD_TIMEOUT)
            }
            GapPatience::Usual => was_open.then_some(asked + GAP_HOLD_TIMEOUT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(ready: usize) -> Readiness {
        Readiness { ready, total: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn the_beginning_of_a_gap_is_bridged() {
        let (gap, asked) = (EndpointGap::default(), Instant::now());
        gap.learn(count(1));
        gap.learn(count(0));
        let (waited, ()) = tokio::join!(gap.wait(GapPatience::Usual, asked, true), async {
            sleep(Duration::from_secs(2)).await;
            gap.learn(count(1));
        });
        assert!(waited && asked.elapsed() < GAP_HOLD_TIMEOUT);
        gap.learn(count(0));
        assert!(!gap.wait(GapPatience::Usual, Instant::now(), true).await);
        let later = Instant::now();
        assert!(!gap.wait(GapPatience::Usual, later, true).await);
        assert_eq!(later.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_sees_it_later_is_waited_for() {
        let (gap, asked) = (EndpointGap::default(), Instant::now());
        gap.learn(count(0));
        gap.learn(count(1));
        let mut tries = 0;
        while gap.wait(GapPatience::Usual, asked, false).await {
            tries += 1;
        }
        assert!(tries > 5 && asked.elapsed() <= GAP_HOLD_TIMEOUT, "{tries} in {:?}", asked.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_was_ready_is_not_waited_for() {
        let (gap, asked) = (EndpointGap::default(), Instant::now());
        assert!(!gap.wait(GapPatience::Usual, asked, false).await);
        gap.learn(count(0));
        assert!(!gap.wait(GapPatience::Usual, asked, true).await);
        assert_eq!(asked.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_stream_waits_a_minute() {
        let (gap, asked) = (EndpointGap::default(), Instant::now());
        gap.learn(count(0));
        assert!(!gap.wait(GapPatience::EventStream, asked, true).await);
        assert_eq!(asked.elapsed(), EVENT_STREAM_HOLD_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_watches_it_is_tried() {
        let (gap, asked) = (EndpointGap::default(), Instant::now());
        let mut tries = 0;
        while gap.wait(GapPatience::Usual, asked, true).await {
            tries += 1;
        }
        assert!(tries > 5 && asked.elapsed() <= GAP_HOLD_TIMEOUT);
    }
}
