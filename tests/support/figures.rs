//! What the system knows of a process, and what is made of several rounds.

use std::fs;
use std::time::Duration;

/// Resident memory of a process now, in its `/proc/PID/status` (proc(5)).
pub const RESIDENT: &str = "VmRSS:";
/// The most that it ever was.
pub const PEAK: &str = "VmHWM:";

/// KiB of `kind`; `None` once the process has ended.
pub fn memory(pid: u32, kind: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(kind))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Processor time of a process, in user and in kernel mode (proc(5)).
pub fn processor_time(pid: u32) -> Duration {
    /// Ticks per second that Linux shows to programs, on every architecture.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    Duration::from_secs_f64((ticks(11) + ticks(12)) / TICKS)
}

/// Of an even number the greater one of the two in the middle.
pub fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).expect("figures are numbers"));
    values[values.len() / 2]
}
