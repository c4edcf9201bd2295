//! Single keys, typed while something else goes on: without an echo, and without waiting for Enter. Ctrl-C stays a signal.

use std::io::stdin;
use std::sync::{Mutex, Once};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::read;
use rustix::process::{Signal as UnixSignal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::panic_hook::give_back_on_panic;
use super::printer::is_in_foreground;
use crate::lock::lock;

/// How often a job in the background looks whether it has the terminal again: what is typed is the shell's until then.
const BACKGROUND_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The terminal's modes as they were; `None` while they are so.
static USUAL_MODES: Mutex<Option<Termios>> = Mutex::new(None);

/// Whether a panic gives them back.
static HOOKED: Once = Once::new();

/// Something that the user did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPress {
    /// A key with a character.
    Key(char),
    /// Ctrl-Z.
    Suspend,
}

/// The keys of the terminal behind standard input. Dropping this and a panic give the terminal its usual modes back.
#[derive(Debug)]
pub struct KeyPresses {
    typed: mpsc::UnboundedReceiver<u8>,
    suspends: Signal,
}

impl KeyPresses {
    /// Listens from now on; `None` where that cannot be.
    pub fn listen() -> Option<Self> {
        give_back_on_panic(&HOOKED, give_back);
        let suspends = signal(SignalKind::from_raw(UnixSignal::TSTP.as_raw())).ok()?;
        let (sender, typed) = mpsc::unbounded_channel();
        take();
        // Reading a terminal cannot be broken off, so this ends with the process.
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || read_keys(&sender)).ok()?;
        Some(Self { typed, suspends })
    }

    /// The next one; for ever none where the terminal is gone.
    pub async fn next(&mut self) -> KeyPress {
        tokio::select! {
            Some(octet) = self.typed.recv() => KeyPress::Key(char::from(octet)),
            Some(()) = self.suspends.recv() => KeyPress::Suspend,
            else => std::future::pending().await,
        }
    }

    /// Stops this process as Ctrl-Z does, until the shell lets it go on.
    pub fn suspend(&self) {
        give_back();
        let _ = kill_process(getpid(), UnixSignal::STOP);
        take();
    }
}

impl Drop for KeyPresses {
    fn drop(&mut self) {
        give_back();
    }
}

fn read_keys(sender: &mpsc::UnboundedSender<u8>) {
    let mut octet = [0];
    loop {
        if poll(&mut [PollFd::new(&stdin(), PollFlags::IN)], None).is_err() {
            continue; // a signal
        }
        // What is typed when nobody listens any more is the shell's.
        if sender.is_closed() {
            return;
        }
        // Whoever reads in the background is stopped.
        if !is_in_foreground() {
            std::thread::sleep(BACKGROUND_CHECK_INTERVAL);
            continue;
        }
        take();
        // Not by way of a buffer, which would keep what `poll` waits for.
        if !matches!(read(stdin(), &mut octet), Ok(1)) || sender.send(octet[0]).is_err() {
            return;
        }
    }
}

/// No echo, no lines: as long as this is not done in the background, which would stop the process.
fn take() {
    let mut usual = lock(&USUAL_MODES);
    if usual.is_some() || !is_in_foreground() {
        return;
    }
    let Ok(modes) = tcgetattr(stdin()) else { return };
    let mut quiet = modes.clone();
    quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    if tcsetattr(stdin(), OptionalActions::Now, &quiet).is_ok() {
        *usual = Some(modes);
    }
}

fn give_back() {
    if let Some(modes) = lock(&USUAL_MODES).take().filter(|_| is_in_foreground()) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &modes);
    }
}
