//! What the kernel counts of each run of the plugin, and whether it grows.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::figures::{RESIDENT, median, memory, processor_time};
use tokio::time::interval;

use crate::tally::Tally;

/// What may be more at the end than at the start.
struct Allowance {
    /// In KiB: allocators keep what they once needed, and each transfer comes at its peak now and then.
    memory: f64,
    /// How many requests are at work at a time is chance.
    descriptors: f64,
}

impl Allowance {
    /// In a few minutes neither has come to what is usual, and a single fault is a large part of the time.
    fn after(time: Duration) -> Self {
        if time < Duration::from_secs(600) {
            return Self { memory: 16.0 * 1024.0, descriptors: 48.0 };
        }
        Self { memory: 6.0 * 1024.0, descriptors: 12.0 }
    }
}

/// One look at one process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// KiB.
    pub(crate) memory: f64,
    pub(crate) descriptors: f64,
    pub(crate) threads: f64,
    /// Since its start.
    pub(crate) processor: Duration,
}

impl Sample {
    /// Nothing where the process has ended.
    pub(crate) fn take(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()?;
        Some(Self {
            at: Instant::now(),
            memory: memory(pid, RESIDENT)? as f64,
            descriptors: descriptors(pid)? as f64,
            threads,
            processor: processor_time(pid),
        })
    }
}

/// How many it has open.
pub(crate) fn descriptors(pid: u32) -> Option<usize> {
    fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count)
}

/// The samples of one process.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
    samples: Mutex<Vec<Sample>>,
}

impl Curve {
    pub(crate) fn new(name: &'static str, pid: u32) -> Self {
        Self { name, pid, samples: Mutex::default() }
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap().clone()
    }

    /// Looks each `period`, until it is dropped or the process has ended.
    pub(crate) async fn follow(self: Arc<Self>, period: Duration, tally: Arc<Tally>) {
        let mut next = interval(period);
        loop {
            next.tick().await;
            match Sample::take(self.pid) {
                Some(sample) => self.samples.lock().unwrap().push(sample),
                None => return tally.complain(format!("{} has ended", self.name)),
            }
        }
    }

    /// Complains of what is higher in the last sixth of the time than in the second; in the first the program warms up.
    pub(crate) fn judge(&self, samples: &[Sample], tally: &Tally) {
        let (early, late) = (sixth(samples, 1), sixth(samples, 5));
        if early.is_empty() || late.is_empty() {
            return tally.complain(format!("{} was not looked at often enough", self.name));
        }
        let allowance = Allowance::after(late[late.len() - 1].at.duration_since(samples[0].at));
        let grown = |figure: fn(&Sample) -> f64| {
            let middle = |samples: &[Sample]| median(samples.iter().map(figure).collect());
            (middle(early), middle(late))
        };
        let checks = [
            ("KiB of memory", grown(|sample| sample.memory), allowance.memory),
            ("descriptors", grown(|sample| sample.descriptors), allowance.descriptors),
        ];
        for (what, (early, late), allowed) in checks {
            if late > early + allowed {
                tally.complain(format!("{} grows: from {early} to {late} {what}", self.name));
            }
        }
    }
}

/// One of six parts of equal length.
pub(crate) fn sixth(samples: &[Sample], part: usize) -> &[Sample] {
    &samples[samples.len() * part / 6..samples.len() * (part + 1) / 6]
}

/// Processor time between neighbours, in hundredths of a core.
pub(crate) fn processor_use(samples: &[Sample]) -> Vec<f64> {
    let used = |pair: &[Sample]| {
        let time = pair[1].at.duration_since(pair[0].at).as_secs_f64();
        (pair[1].processor.saturating_sub(pair[0].processor)).as_secs_f64() / time * 100.0
    };
    samples.windows(2).map(used).collect()
}
