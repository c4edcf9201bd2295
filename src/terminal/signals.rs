//! When to stop: one future for the first signal, one for the second.

use std::io;

/// Ctrl-C, SIGTERM and, where the terminal goes away, SIGHUP. From [`StopSignals::listen`] on they no longer end the
/// process by themselves, so whoever holds this must act on the second one too.
#[derive(Debug)]
pub struct StopSignals {
    #[cfg(unix)]
    streams: [tokio::signal::unix::Signal; 3],
    #[cfg(windows)]
    streams: (tokio::signal::windows::CtrlC, tokio::signal::windows::CtrlBreak, tokio::signal::windows::CtrlClose),
}

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
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let streams =
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
        Ok(Self { streams })
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    pub async fn next(&mut self) -> StopSignal {
        let [interrupt, terminate, hang_up] = &mut self.streams;
        tokio::select! {
            _ = interrupt.recv() => StopSignal::Interrupt,
            _ = terminate.recv() => StopSignal::Terminate,
            _ = hang_up.recv() => StopSignal::HangUp,
        }
    }

    /// Starts listening.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    #[cfg(windows)]
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close};
        Ok(Self { streams: (ctrl_c()?, ctrl_break()?, ctrl_close()?) })
    }

    /// Waits for the next signal.
    #[cfg(windows)]
    pub async fn next(&mut self) -> StopSignal {
        let (interrupt, terminate, hang_up) = &mut self.streams;
        tokio::select! {
            _ = interrupt.recv() => StopSignal::Interrupt,
            _ = terminate.recv() => StopSignal::Terminate,
            _ = hang_up.recv() => StopSignal::HangUp,
        }
    }
}
