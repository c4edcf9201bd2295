//! When to stop: one future for the first signal, one for the second.

use std::io;

/// Ctrl-C, SIGTERM and, where the terminal goes away, SIGHUP. From [`StopSignals::listen`] on they no longer end the
/// process by themselves, so whoever holds this must act on the second one too.
#[derive(Debug)]
pub struct StopSignals(InterruptSource, TerminateSource, HangUpSource);

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
            Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?))
        }
        #[cfg(windows)]
        {
            use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close};
            Ok(Self(ctrl_c()?, ctrl_break()?, ctrl_close()?))
        }
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.0.recv() => StopSignal::Interrupt,
            _ = self.1.recv() => StopSignal::Terminate,
            _ = self.2.recv() => StopSignal::HangUp,
        }
    }
}
