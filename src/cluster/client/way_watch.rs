//! Looks after the connections to the API server: those that lead nowhere any more are ended, so that nobody waits on them.
//! What is looked at is decided here, what it means in [`super::line_verdict`].

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::kernel_sockets::SocketTable;
use super::line_verdict::{LineFacts, LineLoss, judge};
use super::tcp_line::{TcpLine, TcpLineStream};
use crate::lock::lock;

/// How often it is looked while somebody waits for an answer.
const BUSY_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked while nobody does, and there are connections.
const QUIET_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Whoever gets an answer sooner is not looked after.
const UNSUSPICIOUS_WAIT: Duration = Duration::from_secs(1);
/// How long a new connection may take that is made to see whether anybody is there.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Once a new connection came to be, nobody doubts for so long that the API server is there; who waits longer, half as long as
/// that.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// How long making a connection may take, with everything that belongs to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// The same after connections were lost, when somebody has waited already.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Whoever comes so much later than planned has slept, as a laptop does.
const MIN_SLEEP: Duration = Duration::from_secs(10);

/// Everything about the way to one API server.
pub(crate) struct WayWatch {
    lines: Mutex<Vec<WatchedLine>>,
    way: Mutex<WayFacts>,
    /// Told when somebody begins to wait.
    asked: Arc<Notify>,
    /// How often connections were lost: older ones serve no new request.
    losses: AtomicU64,
    /// Whether no connection came to be since some were lost.
    is_in_trouble: AtomicBool,
}

/// A connection, and what was seen of it at the last look.
struct WatchedLine {
    line: Weak<TcpLine>,
    signs: u64,
    /// Since when somebody waits.
    waiting: Option<Instant>,
    /// When all was well for the last time.
    well: Instant,
    queued: u64,
    /// After how many writes everything was acknowledged.
    acknowledged: Option<u64>,
}

/// What is known of the way itself.
struct WayFacts {
    looked: (Instant, SystemTime),
    /// The last sign of life on any connection.
    sign: Instant,
    /// When it was begun to try whether a new connection comes to be, while that goes on.
    probing: Option<Instant>,
    /// When a new connection came to be, and when one did not.
    reached: Option<Instant>,
    missed: Option<Instant>,
    /// Since when none does: from the beginning of the first attempt.
    missed_since: Option<Instant>,
}

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct FoundLosses {
    /// How many connections were ended, and why the first of them.
    pub(crate) lost: Option<(usize, LineLoss)>,
    /// Whether it is to be tried if a new connection comes to be.
    pub(crate) is_probe_due: bool,
}

impl WayWatch {
    /// Nothing to look after yet.
    pub(crate) fn new() -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            lines: Mutex::default(),
            way: Mutex::new(WayFacts {
                looked: (now, SystemTime::now()),
                sign: now,
                probing: None,
                reached: None,
                missed: None,
                missed_since: None,
            }),
            asked: Arc::default(),
            losses: AtomicU64::new(0),
            is_in_trouble: AtomicBool::new(false),
        })
    }

    /// How often connections were lost.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// How long making a connection may take now.
    pub(super) fn patience(&self) -> Duration {
        if self.is_in_trouble.load(Ordering::Relaxed) { RECONNECT_TIMEOUT } else { CONNECT_TIMEOUT }
    }

    /// Looks after `stream` from now on.
    ///
    /// # Errors
    /// When it has ended already.
    pub(super) fn look_after(&self, stream: TcpStream) -> io::Result<TcpLineStream> {
        let stream = TcpLineStream::new(stream, self.asked.clone())?;
        let line = Arc::downgrade(stream.line());
        let well = Instant::now();
        let watched = WatchedLine { line, signs: 0, waiting: None, well, queued: 0, acknowledged: None };
        lock(&self.lines).push(watched);
        self.asked.notify_one();
        Ok(stream)
    }

    /// A connection came to be: somebody is there.
    pub(super) fn reached(&self, line: &TcpLine) {
        line.opened();
        self.is_in_trouble.store(false, Ordering::Relaxed);
        lock(&self.way).was_reached(Instant::now());
    }

    /// Returns when it is time to look.
    pub(crate) async fn until_due(&self) {
        let (is_empty, is_busy) = {
            let lines = lock(&self.lines);
            let is_silent = lock(&self.way).silent(Instant::now()).is_some();
            (lines.is_empty(), is_silent || lines.iter().any(|line| line.waiting.is_some()))
        };
        if is_empty {
            self.asked.notified().await;
            lock(&self.way).looked = (Instant::now(), SystemTime::now());
        } else if !is_busy && timeout(QUIET_LOOK_INTERVAL, self.asked.notified()).await.is_err() {
            return;
        }
        sleep(BUSY_LOOK_INTERVAL).await;
    }

    /// Looks at every connection, and ends those that lead nowhere.
    pub(crate) fn look(&self) -> FoundLosses {
        let now = Instant::now();
        let has_slept = self.has_slept(now);
        let mut lines = lock(&self.lines);
        lines.retain(|watched| watched.line.strong_count() > 0);
        let mut machine = MachineFacts::default();
        let mut looked: Vec<_> = Vec::new();
        for watched in lines.iter_mut() {
            let Some(line) = watched.line.upgrade() else { continue };
            if watched.look(&line, now, has_slept, &mut machine) && line.is_open() {
                lock(&self.way).sign = now;
            }
            looked.push((line, watched.facts(now)));
        }
        drop(lines);
        let silent = lock(&self.way).silent(now);
        let lost = self.end_lost(looked.iter().map(|(line, facts)| {
            let gone_address = machine.is_gone(line.local).then_some(line.local.ip());
            (line.as_ref(), LineFacts { silent, gone_address, ..*facts })
        }));
        let waits = looked.iter().filter_map(|(_, facts)| facts.waiting);
        let shortest = waits.filter(|waiting| *waiting >= UNSUSPICIOUS_WAIT).min();
        FoundLosses { lost, is_probe_due: lock(&self.way).is_probe_due(now, shortest) }
    }

    fn has_slept(&self, now: Instant) -> bool {
        let (before, wall_before) = std::mem::replace(&mut lock(&self.way).looked, (now, SystemTime::now()));
        let by_wall_clock = wall_before.elapsed().unwrap_or_default();
        let has_slept = by_wall_clock.max(now - before) > QUIET_LOOK_INTERVAL + BUSY_LOOK_INTERVAL + MIN_SLEEP;
        if has_slept {
            tracing::info!("slept, and uses no connection from before");
            self.losses.fetch_add(1, Ordering::AcqRel);
            lock(&self.way).sign = now;
        }
        has_slept
    }

    fn end_lost<'a>(&self, lines: impl Iterator<Item = (&'a TcpLine, LineFacts)>) -> Option<(usize, LineLoss)> {
        let mut lost: Option<(usize, LineLoss)> = None;
        for (line, facts) in lines {
            let Some(loss) = judge(&facts) else { continue };
            if lost.is_none() {
                // Before anybody is told, who may then want a new one.
                self.losses.fetch_add(1, Ordering::AcqRel);
                self.is_in_trouble.store(true, Ordering::Relaxed);
            }
            tracing::debug!(from = %line.local, to = %line.remote, ?facts, %loss, "a connection is lost");
            lost = Some(lost.map_or((1, loss), |(count, first)| (count + 1, first)));
            line.lose(loss);
        }
        lost
    }

    /// It was tried whether a new connection comes to be.
    pub(crate) fn probed(&self, is_somebody_there: bool) {
        let now = Instant::now();
        let mut way = lock(&self.way);
        let began = way.probing.take().unwrap_or(now);
        if is_somebody_there {
            return way.was_reached(now);
        }
        way.missed = Some(now);
        if way.missed_since.is_none_or(|since| since < way.sign) {
            way.missed_since = Some(began);
        }
    }
}

impl WatchedLine {
    /// Takes in what can be seen now; gives whether there was a sign of life.
    fn look(&mut self, line: &TcpLine, now: Instant, has_slept: bool, machine: &mut MachineFacts) -> bool {
        let signs = line.signs();
        let has_sign = std::mem::replace(&mut self.signs, signs) != signs;
        if has_sign || has_slept || !line.is_waiting() {
            self.waiting = None;
        }
        if line.is_waiting() && self.waiting.is_none() {
            (self.waiting, self.well, self.queued) = (Some(now), now, 0);
        }
        let is_suspicious = self.waiting.is_some_and(|since| now - since >= UNSUSPICIOUS_WAIT);
        if !is_suspicious || self.acknowledged == Some(line.writes()) {
            self.well = now;
            return has_sign;
        }
        let writes = line.writes();
        match machine.table().find(line.local, line.remote) {
            Some(sent) if sent.unheard && (self.queued == 0 || sent.queued >= self.queued) => self.queued = sent.queued,
            sent => {
                (self.well, self.queued) = (now, sent.map_or(0, |sent| sent.queued));
                self.acknowledged = sent.filter(|sent| sent.queued == 0).map(|_| writes);
            }
        }
        has_sign
    }

    fn facts(&self, now: Instant) -> LineFacts {
        let waiting = self.waiting.map(|since| now - since);
        LineFacts { waiting, stalled: Some(now - self.well), ..LineFacts::default() }
    }
}

impl WayFacts {
    fn was_reached(&mut self, now: Instant) {
        (self.sign, self.reached, self.missed, self.missed_since) = (now, Some(now), None, None);
    }

    fn silent(&self, now: Instant) -> Option<Duration> {
        self.missed_since.filter(|since| *since > self.sign).map(|since| now - since)
    }

    /// `waiting` is how long somebody has waited for an answer who began last, of those who wait long.
    fn is_probe_due(&mut self, now: Instant, waiting: Option<Duration>) -> bool {
        let is_older = |moment: Option<Instant>, age: Duration| moment.is_none_or(|moment| now - moment >= age);
        let is_suspicious = match waiting {
            Some(waiting) => is_older(self.reached, waiting.min(PROBE_INTERVAL.max(waiting / 2))),
            None => self.silent(now).is_some(),
        };
        let is_due = is_suspicious
            && self.probing.is_none()
            && is_older(Some(self.sign), UNSUSPICIOUS_WAIT)
            && is_older(self.missed, BUSY_LOOK_INTERVAL);
        self.probing = self.probing.or(is_due.then_some(now));
        is_due
    }
}

/// What is asked of the machine at most once a look.
#[derive(Default)]
struct MachineFacts {
    table: Option<SocketTable>,
    addresses: Vec<(IpAddr, bool)>,
}

impl MachineFacts {
    fn table(&mut self) -> &SocketTable {
        self.table.get_or_insert_with(SocketTable::read)
    }

    /// Whether the machine no longer has the address of `local`: then nobody can listen there.
    fn is_gone(&mut self, local: SocketAddr) -> bool {
        let ip = local.ip();
        if let Some((_, is_gone)) = self.addresses.iter().find(|(known, _)| *known == ip) {
            return *is_gone;
        }
        let mut any_port = local;
        any_port.set_port(0);
        let is_gone = UdpSocket::bind(any_port).is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable);
        self.addresses.push((ip, is_gone));
        is_gone
    }
}
