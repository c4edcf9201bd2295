//! When to stop: one future for the first signal, one for the second.

use std::io;

/// Ctrl-C, SIGTERM and, where the terminal goes away, SIGHUP. From [`StopSignals::listen`] on they no longer end the
/// process by themselves, so whoever holds this must act on the second one too. A signal that whoever started us has us ignore
/// (`nohup`) is none of them.
#[derive(Debug)]
pub struct StopSignals(Option<InterruptSource>, Option<TerminateSource>, Option<HangUpSource>);

#[cfg(unix)]
use tokio::signal::unix::{Signal as InterruptSource, Signal as TerminateSource, Signal as HangUpSource};
#[cfg(windows)]
use tokio::signal::windows::{CtrlBreak as TerminateSource, CtrlC as InterruptSource, CtrlClose as HangUpSource};

/// What was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// Ctrl-C.
    Interrupt,
    /// A request to end, from another program.
    Terminate,
    /// The terminal is gone.
    HangUp,
}

impl StopSignals {
    /// Starts listening.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let ignored = ignored_at_start();
            let unless_ignored = |kind: SignalKind| match ignored >> (kind.as_raw_value() - 1) & 1 {
                0 => signal(kind).map(Some),
                _ => Ok(None),
            };
            let interrupt = unless_ignored(SignalKind::interrupt())?;
            Ok(Self(interrupt, unless_ignored(SignalKind::terminate())?, unless_ignored(SignalKind::hangup())?))
        }
        #[cfg(windows)]
        {
            use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close};
            Ok(Self(Some(ctrl_c()?), Some(ctrl_break()?), Some(ctrl_close()?)))
        }
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> StopSignal {
        let Self(interrupt, terminate, hang_up) = self;
        tokio::select! {
            Some(_) = async { interrupt.as_mut()?.recv().await } => StopSignal::Interrupt,
            Some(_) = async { terminate.as_mut()?.recv().await } => StopSignal::Terminate,
            Some(_) = async { hang_up.as_mut()?.recv().await } => StopSignal::HangUp,
            else => std::future::pending().await,
        }
    }
}

/// The signals that this process was started to ignore: signal 1 is the lowest bit. Nothing that is safe asks the kernel for
/// it, so where it tells is read.
#[cfg(target_os = "linux")]
fn ignored_at_start() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map_or(0, mask)
}

/// The same from `ps`, which every other Unix has.
#[cfg(all(unix, not(target_os = "linux")))]
fn ignored_at_start() -> u64 {
    let id = std::process::id().to_string();
    let told = std::process::Command::new("ps").args(["-o", "ignored=", "-p", &id]).output();
    told.map_or(0, |told| mask(&String::from_utf8_lossy(&told.stdout)))
}

/// A mask in hexadecimal digits; none where there is something else.
#[cfg(unix)]
fn mask(digits: &str) -> u64 {
    u64::from_str_radix(digits.trim(), 16).unwrap_or_default()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        assert_eq!(mask("\t0000000000001001\n"), 1 << 12 | 1);
        assert_eq!(mask("-"), 0);
        assert_eq!(mask(""), 0);
    }
}
