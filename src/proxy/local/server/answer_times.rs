//! How long requests took, in classes: a few hundred octets for any number of requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Classes for each doubling of the time, so that each is about a fifth wider than the one before.
const CLASSES_PER_DOUBLING: f64 = 4.0;

/// From a microsecond to some nine hours.
const CLASSES: usize = 140;

/// A count of requests for each class of time.
#[derive(Debug)]
pub(crate) struct AnswerTimes([AtomicU64; CLASSES]);

impl Default for AnswerTimes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl AnswerTimes {
    /// One request took so long.
    pub(crate) fn record(&self, duration: Duration) {
        self.0[class_of(duration)].fetch_add(1, Ordering::Relaxed);
    }

    /// The time that so many in a hundred requests did not exceed, up to the width of a class; `None` where there was no request.
    pub(crate) fn percentile(&self, percent: u64) -> Option<Duration> {
        let counts = self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        let wanted = (counts.iter().sum::<u64>() * percent).div_ceil(100);
        let mut seen = 0;
        let reaches = |count: &u64| {
            seen += count;
            *count > 0 && seen >= wanted
        };
        counts.iter().position(reaches).map(middle_of)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the logarithm of a time in microseconds is small"
)]
fn class_of(duration: Duration) -> usize {
    let microseconds = (duration.as_secs_f64() * 1e6).max(1.0);
    ((microseconds.log2() * CLASSES_PER_DOUBLING) as usize).min(CLASSES - 1)
}

#[allow(clippy::cast_precision_loss, reason = "there are few classes")]
fn middle_of(class: usize) -> Duration {
    Duration::from_secs_f64(((class as f64 + 0.5) / CLASSES_PER_DOUBLING).exp2() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_up_to_a_tenth() {
        let times = AnswerTimes::default();
        assert_eq!(times.percentile(50), None);
        (1..=1000).for_each(|milliseconds| times.record(Duration::from_millis(milliseconds)));
        for (percent, expect) in [(1, 0.010), (50, 0.5), (95, 0.95), (100, 1.0)] {
            let found = times.percentile(percent).unwrap().as_secs_f64();
            assert!((found / expect - 1.0).abs() < 0.1, "{percent} %: {found} s, not {expect} s");
        }
    }

    #[test]
    fn no_time_is_too_short_or_too_long() {
        for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let times = AnswerTimes::default();
            times.record(duration);
            assert!(times.percentile(50).is_some(), "{duration:?}");
        }
    }
}
