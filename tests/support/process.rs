//! The plugin as a process.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::eventually;

/// How long the plugin may take to get ready, or to end.
const DEADLINE: Duration = Duration::from_secs(30);

/// The plugin, running; its output is collected from the start. It is killed when dropped.
pub struct Running {
    child: Child,
    stdout: Collected,
    stderr: Collected,
    _unread: Option<ChildStderr>,
}

impl Running {
    /// Starts `command`, which is all but stdout and stderr. It ignores no signal, whatever this program was started with.
    pub fn spawn(mut command: Command) -> Self {
        heed_signals();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let stdout = Collected::from(child.stdout.take().expect("stdout is piped"));
        let stderr = Collected::from(child.stderr.take().expect("stderr is piped"));
        Self { child, stdout, stderr, _unread: None }
    }

    /// The same, but nobody reads its stderr.
    pub fn spawn_unread(mut command: Command) -> Self {
        heed_signals();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let stdout = Collected::from(child.stdout.take().expect("stdout is piped"));
        let unread = child.stderr.take();
        Self { child, stdout, stderr: Collected::from(tokio::io::empty()), _unread: unread }
    }

    /// Waits for as many ready lines on stdout.
    pub async fn ready(mut self, count: usize) -> Serving {
        let ready = eventually("the ready line", async || {
            let lines = self.stdout.complete_lines();
            if lines.len() < count && self.child.try_wait().unwrap().is_some() {
                panic!("the plugin ended before it was ready: {}", self.stderr.text());
            }
            (lines.len() >= count).then_some(lines)
        })
        .await;
        Serving { running: self, ready }
    }

    /// Waits for the first line on stdout; `None` where it ends without one.
    pub async fn first_line(&mut self) -> Option<String> {
        eventually("a line, or the end", async || {
            let line = self.stdout.complete_lines().into_iter().next();
            (line.is_some() || self.child.try_wait().unwrap().is_some()).then_some(line)
        })
        .await
    }

    /// What it has said on stderr.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until it ends by itself.
    pub async fn end(mut self) -> Finished {
        let status = timeout(DEADLINE, self.child.wait()).await;
        let Ok(status) = status else {
            panic!("the plugin did not end; stderr: {}", self.stderr.text());
        };
        Finished { status: status.unwrap(), stdout: self.stdout.whole().await, stderr: self.stderr.whole().await }
    }
}

/// Handles signals that were ignored at the start, as shells start what runs in the background: a program that is executed has
/// their default again.
fn heed_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
        if ignored >> (kind.as_raw_value() - 1) & 1 == 1 {
            drop(signal(kind).expect("signals can be listened for"));
        }
    }
}

/// What a plugin that ended said.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything on stdout.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
}

impl Finished {
    /// Its exit code; panics if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{}: {}", self.status, self.stderr))
    }
}

/// A plugin that serves. It is killed when dropped; [`Serving::stop`] ends it as a user would.
pub struct Serving {
    running: Running,
    ready: Vec<String>,
}

impl Serving {
    /// The lines on stdout that said it was ready.
    pub fn ready_lines(&self) -> &[String] {
        &self.ready
    }

    /// The ready line of the first Target as JSON.
    pub fn ready(&self) -> Value {
        self.ready_target(0)
    }

    /// The ready line of a Target as JSON, in the order of the command line.
    pub fn ready_target(&self, number: usize) -> Value {
        let line = &self.ready[number];
        serde_json::from_str(line).unwrap_or_else(|_| panic!("the ready line is not JSON: {line}"))
    }

    /// The computed proxy URL, which ends in `/proxy/`.
    pub fn proxy_url(&self) -> String {
        text(&self.ready(), "proxyUrl")
    }

    /// The URL at whose `/` the Service is served.
    pub fn site_url(&self) -> String {
        text(&self.ready(), "siteUrl")
    }

    /// What it said on stderr so far.
    pub fn stderr(&self) -> String {
        self.running.stderr.text()
    }

    /// Waits until stderr holds `text`.
    pub async fn until_stderr(&self, text: &str) {
        eventually(&format!("{text:?} on stderr"), async || self.stderr().contains(text).then_some(())).await;
    }

    /// Its number. kubectl replaced itself by the plugin, so it is the plugin's.
    pub fn pid(&self) -> u32 {
        self.running.child.id().expect("it runs")
    }

    /// Resident memory now and at its highest, in KiB.
    pub fn memory(&self) -> (u64, u64) {
        let pid = self.running.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let figure = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel counts memory");
            line.trim_end_matches("kB").trim().parse().unwrap()
        };
        (figure("VmRSS:"), figure("VmHWM:"))
    }

    /// Sends a signal. kubectl replaced itself by the plugin, so it is the plugin that gets it.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.running.child.id().expect("it runs")).unwrap();
        kill_process(Pid::from_raw(pid).expect("a child has a number"), signal).unwrap();
    }

    /// Waits until it ends by itself.
    pub async fn end(self) -> Finished {
        self.running.end().await
    }

    /// Ends it with SIGTERM; it must end with 0.
    pub async fn stop(self) -> Finished {
        self.signal(Signal::TERM);
        let finished = self.end().await;
        assert_eq!(finished.code(), 0, "after SIGTERM; stderr: {}", finished.stderr);
        finished
    }
}

fn text(ready: &Value, field: &str) -> String {
    ready[field].as_str().unwrap_or_else(|| panic!("the ready line has no {field}: {ready}")).to_owned()
}

/// What a stream has brought so far.
struct Collected {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Collected {
    fn from(mut stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&text);
        let reader = tokio::spawn(async move {
            let mut piece = Vec::with_capacity(4096);
            while stream.read_buf(&mut piece).await.is_ok_and(|length| length > 0) {
                collected.lock().unwrap().append(&mut piece);
            }
        });
        Self { text, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    fn complete_lines(&self) -> Vec<String> {
        let text = self.text();
        let Some((complete, _)) = text.rsplit_once('\n') else { return Vec::new() };
        complete.lines().map(str::to_owned).collect()
    }

    /// Everything, once the stream ended.
    async fn whole(self) -> String {
        let text = Arc::clone(&self.text);
        let ended = timeout(DEADLINE, self.reader).await;
        assert!(ended.is_ok(), "somebody keeps the plugin's output open after its end");
        String::from_utf8_lossy(&text.lock().unwrap()).into_owned()
    }
}
