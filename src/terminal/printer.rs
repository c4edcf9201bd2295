//! Writes what is printed. Once it is [`Printer::set_aside`], a thread of its own does so: a terminal that takes nothing (Ctrl-S) or
//! a pipe that nobody reads holds up nobody else. What is too much to keep meanwhile is left out, and that is said.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lock::lock;

/// Back to the start of the line, and nothing on it.
const CLEAR: &str = "\r\u{1b}[2K";
/// Nothing on the screen, nor above it, and back to its first line.
const CLEAR_SCREEN: &str = "\u{1b}[2J\u{1b}[3J\u{1b}[H";
/// How much may wait to be printed, in octets: what programs wait for, and errors, may always.
const MAX_WAITING: usize = 256 * 1024;
/// How long whoever prints waits for it where nothing is served yet: questions are asked by others, on the same terminal.
const PRINTED_TIMEOUT: Duration = Duration::from_secs(1);

/// Something to be printed, or to be done to the status line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PrintJob {
    /// Whole lines for stdout.
    Data(String),
    /// Whole lines for stderr, of which the run goes on without.
    Lines(String),
    /// Whole lines for stderr that may not be left out.
    Error(String),
    /// Another status line.
    Status(String),
    /// The status line goes for as long as the shell has the terminal.
    HideStatus,
    /// The status line goes until there is another one.
    ClearStatus,
    /// The status line is drawn again, on an empty screen if so.
    RedrawStatus { clear: bool },
    /// The status line goes for good.
    EndStatus,
}

/// Prints one job after the other.
pub(super) struct Printer {
    queue: Mutex<PrintQueue>,
    changed: Condvar,
    /// Whoever prints holds it.
    bottom: Mutex<BottomLine>,
    words: PrinterWords,
    /// Whether some of the data could not be written.
    is_unwritten: AtomicBool,
}

/// What it says of itself, in whole lines.
pub(super) struct PrinterWords {
    /// Of so many lines that were left out.
    pub(super) left_out: Box<dyn Fn(usize) -> String + Send + Sync>,
    /// Of data that could not be written.
    pub(super) unwritten: Box<dyn Fn(&io::Error) -> String + Send + Sync>,
}

/// What waits for the thread.
#[derive(Debug, Default)]
struct PrintQueue {
    mode: PrintMode,
    jobs: VecDeque<PrintJob>,
    /// Octets of its lines.
    waiting: usize,
    is_printing: bool,
    /// Lines that were left out since it was full.
    left_out: usize,
    /// Whether what is printed was waited for in vain.
    is_stuck: bool,
}

/// Who prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum PrintMode {
    /// Whoever has something to print.
    #[default]
    Directly,
    /// The thread, and whoever has something to print waits a moment for it.
    Aside,
    /// The thread, and nobody waits.
    Behind,
}

/// What is shown below everything else.
#[derive(Debug, Default)]
struct BottomLine {
    /// The status line; empty where there is none.
    line: String,
    /// Whether there will be none any more.
    over: bool,
}

impl Printer {
    pub(super) fn new(words: PrinterWords) -> Self {
        Self {
            queue: Mutex::default(),
            changed: Condvar::new(),
            bottom: Mutex::default(),
            words,
            is_unwritten: AtomicBool::new(false),
        }
    }

    /// From now on a thread prints.
    pub(super) fn set_aside(self: &Arc<Self>) -> io::Result<()> {
        let printer = Arc::clone(self);
        std::thread::Builder::new().name("printer".to_owned()).spawn(move || printer.print_on())?;
        lock(&self.queue).mode = PrintMode::Aside;
        Ok(())
    }

    /// From now on nobody waits for what is printed.
    pub(super) fn never_wait(&self) {
        let mut queue = lock(&self.queue);
        if queue.mode == PrintMode::Aside {
            queue.mode = PrintMode::Behind;
        }
    }

    pub(super) fn print(&self, job: PrintJob) {
        let mut queue = lock(&self.queue);
        match queue.mode {
            PrintMode::Directly => {
                drop(queue);
                self.print_job(job);
            }
            mode => {
                queue.add(job);
                self.changed.notify_all();
                if mode == PrintMode::Aside && !queue.is_stuck {
                    let mut queue = self.wait_until_printed(queue, PRINTED_TIMEOUT);
                    queue.is_stuck = queue.is_busy();
                }
            }
        }
    }

    fn print_job(&self, job: PrintJob) {
        let printed = lock(&self.bottom).print(job);
        if let Err(cause) = printed {
            self.note_unwritten(&cause);
        }
    }

    /// Some of the data could not be written, which is said once. A reader that went away is no error: the run goes on for those
    /// who use the URL.
    pub(super) fn note_unwritten(&self, cause: &io::Error) {
        if cause.kind() != io::ErrorKind::BrokenPipe && !self.is_unwritten.swap(true, Ordering::Relaxed) {
            let _ = lock(&self.bottom).print(PrintJob::Error((self.words.unwritten)(cause)));
        }
    }

    /// Waits until all is printed, at most `limit`; whether all of the data was written that there was.
    pub(super) fn finish(&self, limit: Duration) -> bool {
        drop(self.wait_until_printed(lock(&self.queue), limit));
        !self.is_unwritten.load(Ordering::Relaxed)
    }

    fn wait_until_printed<'a>(&self, queue: MutexGuard<'a, PrintQueue>, limit: Duration) -> MutexGuard<'a, PrintQueue> {
        let waited = self.changed.wait_timeout_while(queue, limit, |queue| queue.is_busy());
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Prints for ever.
    fn print_on(&self) {
        loop {
            let queue = lock(&self.queue);
            let waited = self.changed.wait_while(queue, |queue| !queue.has_job());
            let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
            let job = queue.take(&self.words.left_out);
            queue.is_printing = true;
            drop(queue);
            self.print_job(job);
            let mut queue = lock(&self.queue);
            queue.is_printing = false;
            queue.is_stuck &= queue.is_busy();
            self.changed.notify_all();
        }
    }
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl PrintQueue {
    fn has_job(&self) -> bool {
        !self.jobs.is_empty() || self.left_out > 0
    }

    fn is_busy(&self) -> bool {
        self.has_job() || self.is_printing
    }

    /// Lines are left out from the first for which there is no room until all before them are printed, so that what is printed has
    /// one gap and no holes. Of status lines only the last counts.
    fn add(&mut self, job: PrintJob) {
        match &job {
            PrintJob::Lines(text) if self.left_out > 0 || self.waiting + text.len() > MAX_WAITING => {
                self.left_out += text.matches('\n').count();
                return;
            }
            PrintJob::Status(_) => self.jobs.retain(|waiting| !matches!(waiting, PrintJob::Status(_))),
            _ => {}
        }
        self.waiting += job.lines_length();
        self.jobs.push_back(job);
    }

    /// The next one; where there is none any more, what is to be said of those that were left out.
    fn take(&mut self, left_out: impl Fn(usize) -> String) -> PrintJob {
        match self.jobs.pop_front() {
            Some(job) => {
                self.waiting -= job.lines_length();
                job
            }
            None => PrintJob::Lines(left_out(std::mem::take(&mut self.left_out))),
        }
    }
}

impl PrintJob {
    fn lines_length(&self) -> usize {
        if let Self::Lines(text) = self { text.len() } else { 0 }
    }
}

impl BottomLine {
    /// # Errors
    /// When data cannot be written.
    fn print(&mut self, job: PrintJob) -> io::Result<()> {
        match job {
            PrintJob::Data(text) => return self.above(|| to_stdout(text.as_bytes())),
            PrintJob::Lines(text) | PrintJob::Error(text) => {
                let is_shown = self.is_shown();
                let [before, after] = if is_shown { [CLEAR, &self.line] } else { ["", ""] };
                to_stderr(&format!("{before}{text}{after}"));
            }
            PrintJob::Status(line) => self.draw(line),
            PrintJob::HideStatus => self.hide(),
            PrintJob::ClearStatus => {
                self.hide();
                self.line.clear();
            }
            PrintJob::RedrawStatus { clear } if is_in_foreground() => {
                to_stderr(&format!("{}{}", if clear { CLEAR_SCREEN } else { CLEAR }, self.line));
            }
            PrintJob::RedrawStatus { .. } => {}
            PrintJob::EndStatus => self.end(),
        }
        Ok(())
    }

    /// Whether there is a status line; of a job in the background there is none any more.
    fn is_shown(&mut self) -> bool {
        if !self.line.is_empty() && !is_in_foreground() {
            self.line.clear();
        }
        !self.line.is_empty()
    }

    fn above<T>(&mut self, print: impl FnOnce() -> T) -> T {
        if self.is_shown() {
            to_stderr(CLEAR);
        }
        let printed = print();
        if !self.line.is_empty() {
            to_stderr(&self.line);
        }
        printed
    }

    fn draw(&mut self, line: String) {
        if self.over || !is_in_foreground() {
            // What is on the terminal's last line by now is the shell's.
            self.line.clear();
            return;
        }
        to_stderr(&format!("{CLEAR}{line}"));
        self.line = line;
    }

    fn hide(&self) {
        if !self.line.is_empty() {
            to_stderr(CLEAR);
        }
    }

    fn end(&mut self) {
        self.over = true;
        if !std::mem::take(&mut self.line).is_empty() && is_in_foreground() {
            to_stderr(CLEAR);
        }
    }
}

/// Writes `octets` to stdout.
///
/// # Errors
/// When nobody reads them any more, or there is no room for them.
pub(super) fn to_stdout(octets: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(octets)?;
    stdout.flush()
}

fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether the terminal's last line is this program's: a job that was sent to the background shares it with the shell.
#[cfg(unix)]
pub(super) fn is_in_foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stderr()).map_or(true, |group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
fn is_in_foreground() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> PrintJob {
        PrintJob::Lines(text.to_owned())
    }

    fn taken(queue: &mut PrintQueue) -> Vec<PrintJob> {
        let mut jobs = Vec::new();
        while queue.has_job() {
            jobs.push(queue.take(|count| format!("{count} left out\n")));
        }
        jobs
    }

    #[test]
    fn what_is_too_much_is_left_out_and_said_once() {
        let mut queue = PrintQueue::default();
        let full = format!("{}\n", "x".repeat(MAX_WAITING - 1));
        for text in [&full[..], "a\nb\n", "c\n"] {
            queue.add(lines(text));
        }
        queue.add(PrintJob::Data("data\n".to_owned()));
        queue.add(PrintJob::Error("error\n".to_owned()));
        assert_eq!(queue.take(|_| String::new()), lines(&full));
        queue.add(lines("there is room, but that would be a hole\n"));
        let expect =
            [PrintJob::Data("data\n".to_owned()), PrintJob::Error("error\n".to_owned()), lines("4 left out\n")];
        assert_eq!(taken(&mut queue), expect);
        queue.add(lines("d\n"));
        assert_eq!(taken(&mut queue), [lines("d\n")]);
        assert_eq!(queue.waiting, 0);
    }

    #[test]
    fn of_status_lines_only_the_last_counts() {
        let mut queue = PrintQueue::default();
        for job in [PrintJob::Status("1".to_owned()), lines("a\n"), PrintJob::Status("2".to_owned())] {
            queue.add(job);
        }
        assert_eq!(taken(&mut queue), [lines("a\n"), PrintJob::Status("2".to_owned())]);
    }
}
