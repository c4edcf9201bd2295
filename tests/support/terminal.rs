//! A program in a real pseudo-terminal, and what a person would see there.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use super::{POLL, eventually};

/// Lines and columns.
pub type Size = (u16, u16);

/// What terminals have had for fifty years.
pub const USUAL: Size = (24, 80);

/// How long a screen may take to become what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal with one program in it, which is killed when this is dropped.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn std::io::Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    shown: Arc<Shown>,
    modes: String,
}

#[derive(Default)]
struct Shown {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    parser: vt100::Parser,
    /// Everything the program wrote.
    written: Vec<u8>,
    /// Nobody can write any more.
    ended: bool,
}

impl Terminal {
    /// Starts `command` in a terminal of that size.
    pub fn start(command: &Command, (rows, cols): Size) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let modes = format!("{:?}", pair.master.get_termios());
        let child = pair.slave.spawn_command(builder(command)).unwrap();
        drop(pair.slave);
        let shown = Arc::new(Shown::default());
        shown.resize((rows, cols));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let filled = Arc::clone(&shown);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Linux reports an error where others report the end.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                filled.add(&bytes[..count]);
            }
            filled.state().ended = true;
        });
        let keyboard = pair.master.take_writer().unwrap();
        Self { master: pair.master, keyboard, child, shown, modes }
    }

    /// Types. Control characters are keys: `\r` is Enter, `\x1b[B` an arrow.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// The lines on the screen, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        self.look(|screen| {
            let (_, columns) = screen.size();
            screen.rows(0, columns.get()).map(|line| line.trim_end().to_owned()).collect()
        })
    }

    /// The screen as one text.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Looks at the screen in detail.
    pub fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.shown.state().parser.screen())
    }

    /// Everything that was written to the terminal.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.shown.state().written).into_owned()
    }

    /// Waits until the screen's text fits, and returns it; panics with the screen after 30 seconds.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if fits(&text) {
                return text;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(Instant::now() < deadline, "waited in vain for {what} ({ended:?}); the screen shows\n{text}\n");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the screen shows `text`.
    pub async fn until_text(&mut self, text: &str) -> String {
        self.until(&format!("{text:?} on the screen"), |shown| shown.contains(text)).await
    }

    /// How long it takes after `keys` until the screen's text fits. Blocks this thread.
    pub fn time_to(&mut self, keys: &str, fits: impl Fn(&vt100::Screen) -> bool) -> Duration {
        let shown = Arc::clone(&self.shown);
        let start = Instant::now();
        self.press(keys);
        let mut state = shown.state();
        while !fits(state.parser.screen()) {
            let limit = PATIENCE.checked_sub(start.elapsed()).expect("the screen never got there");
            state = shown.changed.wait_timeout(state, limit).unwrap().0;
        }
        start.elapsed()
    }

    /// Gives the terminal another size, as dragging a window's edge does.
    pub fn resize(&self, (rows, cols): Size) {
        self.shown.resize((rows, cols));
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// Whether the terminal is as a program found it: line mode with echo, cursor shown, ordinary screen.
    pub fn is_given_back(&self) -> bool {
        let ordinary =
            |screen: &vt100::Screen| !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste();
        self.look(ordinary) && format!("{:?}", self.master.get_termios()) == self.modes
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits until the program ends, and returns its exit code.
    pub async fn end(&mut self) -> u32 {
        let status =
            eventually("the end of the program in the terminal", async || self.child.try_wait().unwrap()).await;
        eventually("the rest of what it wrote", async || self.shown.state().ended.then_some(())).await;
        status.exit_code()
    }
}

/// Whether the picker has drawn the whole screen for what is `typed`: it shows the text cursor last.
pub fn is_drawn(screen: &vt100::Screen, typed: &str) -> bool {
    let (_, columns) = screen.size();
    let prompt = screen.rows(0, columns.get()).nth(1).unwrap_or_default();
    let shown = prompt.strip_prefix("> ").and_then(|rest| rest.split("  ").next()).unwrap_or_default();
    !screen.hide_cursor() && shown.trim_end() == typed
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

impl Shown {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn resize(&self, (rows, columns): Size) {
        let (rows, columns) = (NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap());
        self.state().parser.screen_mut().set_size(rows, columns);
    }

    fn add(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.parser.process(bytes);
        state.written.extend_from_slice(bytes);
        self.changed.notify_all();
    }
}

/// The same program with the same arguments in the same folder, with no environment but its own.
fn builder(command: &Command) -> CommandBuilder {
    let mut builder = CommandBuilder::new(command.get_program());
    builder.args(command.get_args());
    builder.env_clear();
    builder.env("TERM", "xterm-256color");
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            builder.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        builder.cwd(folder);
    }
    builder
}
