//! `cargo bench --bench far [WORD]`: what a cluster costs that is 20 or 100 ms away, in round trips: the real API server behind a
//! relay that takes its time, beside `kubectl proxy` and `kubectl port-forward`, rounds interleaved. Prints medians, and fails
//! where a goal is missed at the longer distance. With a WORD, only the rows whose names contain it. A round trip is what one
//! octet there and one back take through such a relay, measured in the same run: a machine that wakes threads late makes the
//! distance half a millisecond longer.
//!
//! The time at the longer distance holds what the machine takes by itself: programs that start, the API server, the browser. To
//! tell the two apart, what it takes longer than at the shorter one stands beside it ("of distance"), and beside pages what the
//! browser needs for the same page of the app itself. Goals are for the whole.
//!
//! The page of 300 scripts has a goal by https alone: over HTTP/1.1 a browser asks for six of them at a time, whoever answers. With
//! six event streams open it asks for nothing more, which shows as "never". Of a second visit only what it takes longer than the
//! same page kept whole counts, asked of the app itself: what a browser does with 300 kept scripts is no distance.
#![allow(clippy::unwrap_used, reason = "a benchmark fails with a panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

#[path = "../e2e/browser.rs"]
#[allow(dead_code, reason = "the tests do more with it than to load a page")]
mod browser;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::cluster::{Cluster, Namespace, backend_in, isolation};
use support::figures::median;
use support::{Backend, Canned, FarRelay};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use browser::Browser;

/// Distances, the last of them the one at which goals count.
const ROUND_TRIPS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];
/// Rounds at each distance; each starts every program once for each row.
const ROUNDS: usize = 5;
/// Rounds in which a page is loaded: each takes seconds.
const PAGE_ROUNDS: usize = 3;
/// Scripts of a page.
const SCRIPTS: usize = 300;
/// Event streams of a page.
const STREAMS: usize = 100;
/// Longer than any start; a program that needs more has failed.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks whether a program listens. The thread sleeps, since the timers of an executor are a millisecond late.
const POLL: Duration = Duration::from_micros(200);
/// So long a program is left alone between two things that are measured, in round trips: whatever it does ahead is done.
const PAUSE: u32 = 8;
/// After so long a program watches its Service, and what it read at the start is no longer new.
const WATCHED: Duration = Duration::from_secs(3);
/// Local ports, one per start, so that none waits for another's sockets.
const FIRST_PORT: u16 = 20_000;
/// The relays' ports, at the address of the API server, whose certificate names it.
const FIRST_RELAY: u16 = 7_443;
/// The program itself, as kubectl executes it.
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-svcproxy");
/// Columns: what is compared with, and what is compared.
const OURS: usize = 1;

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
enum Measure {
    /// From the start of the program to the first answer.
    FirstByte(Start),
    /// A WebSocket, in a program that has served a page.
    WebSocket,
    /// The same with a query, the first one.
    FirstWithQuery,
    /// The same, once the first has shown the way.
    NextWithQuery,
    /// A page of many scripts in Chromium, in a program that has served nothing yet.
    Page(Carrier),
    /// The same by https for the second time, where the app lets browsers keep the scripts and ask whether the page is the
    /// same; without what the browser itself does.
    SecondVisit,
    /// By https, a request of a page that has many event streams open.
    BesideStreams,
}

/// How the program is told what to open.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    Name,
    NameAndPort,
    Remembered,
    ByPortForward,
}

/// Through what.
#[derive(Clone, Copy, PartialEq)]
enum Carrier {
    ServiceProxy,
    PortForward,
    /// By the service proxy, and over HTTP/2 to the browser.
    Https,
}

/// One thing that is measured, at one distance.
struct Row {
    name: &'static str,
    measure: Measure,
    /// Round trips at most.
    goal: Option<f64>,
    /// For each column, the time of each round, the longest there is where nothing came.
    took: [Vec<Duration>; 2],
    /// What a page takes that the browser asks the app itself for, at no distance.
    beside_app: Vec<Duration>,
}

fn rows() -> Vec<Row> {
    use Measure::{BesideStreams, FirstByte, FirstWithQuery, NextWithQuery, Page, SecondVisit, WebSocket};
    let row = |name, measure, goal| Row { name, measure, goal, took: Default::default(), beside_app: Vec::new() };
    vec![
        row("first byte: NAME", FirstByte(Start::Name), Some(4.1)),
        row("first byte: NAME:PORT", FirstByte(Start::NameAndPort), Some(3.2)),
        row("first byte: remembered", FirstByte(Start::Remembered), Some(3.2)),
        row("first byte: by port-forward", FirstByte(Start::ByPortForward), Some(5.2)),
        row("a WebSocket", WebSocket, Some(1.2)),
        row("a WebSocket with a query, first", FirstWithQuery, None),
        row("a WebSocket with a query, next", NextWithQuery, Some(2.2)),
        row("page: 300 scripts", Page(Carrier::ServiceProxy), None),
        row("page: 300 scripts, by port-forward", Page(Carrier::PortForward), None),
        row("page: 300 scripts, by https", Page(Carrier::Https), Some(15.0)),
        row("page: second visit, by https", SecondVisit, Some(2.0)),
        row("a fetch beside 100 streams, by https", BesideStreams, Some(1.3)),
    ]
}

/// What all programs share.
struct Setup {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    /// Where a run was before, and its history is.
    home: PathBuf,
    /// Where https is set up, for the browser too.
    trusting: PathBuf,
    cluster: &'static Cluster,
    /// The proxy path of the Service, without a slash at its end.
    proxy_path: String,
    /// The app itself, without a slash at the end of its URL.
    app: String,
    round_trip: Duration,
    browser: Option<Browser>,
}

fn main() -> ExitCode {
    let directory = match isolation::enter(&["chromedriver"]) {
        Ok(directory) => directory,
        Err(reason) => {
            eprintln!("NOT RUN: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let word = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let missed = runtime.block_on(measure(&directory, &word));
    isolation::leave(&directory, i32::from(missed > 0))
}

/// Gives the number of goals that were missed.
async fn measure(directory: &Path, word: &str) -> usize {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(directory).await.unwrap()));
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    put_page(&backend);
    let mut ports = FIRST_PORT..;
    let (mut missed, mut near) = (0, None);
    for (number, round_trip) in ROUND_TRIPS.into_iter().enumerate() {
        let measured = FarRelay::measure(round_trip);
        let setup = set_up(cluster, (&namespace, &backend), number, round_trip).await;
        let mut rows: Vec<Row> = rows().into_iter().filter(|row| row.name.contains(word)).collect();
        for round in 0..ROUNDS {
            for row in rows.iter_mut().filter(|row| round < row.rounds()) {
                row.take(&setup, &mut ports).await;
            }
        }
        if let Some(browser) = setup.browser {
            browser.close().await;
        }
        missed = report(&rows, round_trip, measured, near.as_ref());
        near = Some(NearResults { round_trip: measured, took: rows.iter().map(Row::ours).collect() });
    }
    missed
}

async fn set_up(
    cluster: &'static Cluster,
    (namespace, backend): (&Namespace, &Backend),
    number: usize,
    round_trip: Duration,
) -> Setup {
    let far: SocketAddr = Cluster::authority_of_url().parse().unwrap();
    let near = SocketAddr::new(far.ip(), FIRST_RELAY + u16::try_from(number).unwrap());
    FarRelay::start(near, far, round_trip);
    let text = fs::read_to_string(cluster.admin().kubeconfig(namespace.name())).unwrap();
    let kubeconfig = cluster.scratch().join("kubeconfig");
    fs::write(&kubeconfig, text.replace(&Cluster::url(), &format!("https://{near}"))).unwrap();
    let trusting = cluster.scratch();
    let trusted = Command::new(PLUGIN).arg("--install-ca=browsers").env("HOME", &trusting).output().unwrap();
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    Setup {
        kubectl: cluster.programs().path("kubectl").unwrap(),
        kubeconfig,
        home: cluster.scratch(),
        cluster,
        proxy_path: namespace.proxy_path("app:http"),
        app: format!("http://{}", backend.address()),
        round_trip,
        browser: Some(Browser::start(&trusting).await),
        trusting,
    }
}

/// A page at `/page` and its scripts, which nobody keeps, the same below `/kept`, where scripts are kept for an hour, and below
/// `/whole`, where the page is kept too.
fn put_page(backend: &Backend) {
    const KEPT: &str = "max-age=3600";
    for (folder, of_page, of_scripts) in
        [("", "no-store", "no-store"), ("/kept", "no-cache", KEPT), ("/whole", KEPT, KEPT)]
    {
        let mut page = "<!DOCTYPE html><title>scripts</title>".to_owned();
        for number in 0..SCRIPTS {
            page.push_str(&format!("<script src=\"script-{number}.js\" async></script>"));
            let script = format!("globalThis.loaded = (globalThis.loaded ?? 0) + 1; // {}", "x".repeat(2000));
            backend.answer(&format!("{folder}/script-{number}.js"), canned("text/javascript", of_scripts, script));
        }
        backend.answer(&format!("{folder}/page"), canned("text/html", of_page, page));
    }
    backend.answer("/small", canned("text/plain", "no-store", "small".to_owned()));
}

fn canned(kind: &str, cache_control: &str, body: String) -> Canned {
    let headers = [("content-type", kind), ("cache-control", cache_control), ("etag", "\"1\"")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Canned { headers, body: body.into_bytes(), ..Canned::default() }
}

impl Row {
    fn rounds(&self) -> usize {
        if self.measure.is_in_browser() { PAGE_ROUNDS } else { ROUNDS }
    }

    /// The median of the program itself.
    fn ours(&self) -> Duration {
        median(self.took[OURS].clone())
    }

    /// That of the browser with the app itself, where a page is measured.
    fn beside_app(&self) -> Option<Duration> {
        (!self.beside_app.is_empty()).then(|| median(self.beside_app.clone()))
    }

    async fn take(&mut self, setup: &Setup, ports: &mut std::ops::RangeFrom<u16>) {
        for (column, took) in self.took.iter_mut().enumerate() {
            took.push(self.measure.run(setup, column == OURS, ports.next().unwrap()).await);
        }
        if let Measure::Page(_) = self.measure {
            self.beside_app.push(setup.browse(self.measure, &setup.app).await);
        }
    }
}

impl Measure {
    fn is_in_browser(self) -> bool {
        matches!(self, Self::Page(_) | Self::SecondVisit | Self::BesideStreams)
    }

    /// What `kubectl` is told, or else the program itself.
    fn command(self, setup: &Setup, is_ours: bool, port: u16) -> Command {
        let by_port_forward = matches!(
            self,
            Self::FirstByte(Start::ByPortForward)
                | Self::Page(Carrier::PortForward)
                | Self::FirstWithQuery
                | Self::NextWithQuery
        );
        let mut command = Command::new(if is_ours { Path::new(PLUGIN) } else { &setup.kubectl });
        if is_ours {
            command.args([self.service(), "--no-browser", &format!("--port={port}")]);
            let only = matches!(self, Self::FirstByte(Start::ByPortForward) | Self::Page(Carrier::PortForward));
            command.args(only.then_some("--via=port-forward"));
        } else if by_port_forward {
            command.args(["port-forward", "svc/app", &format!("{port}:80")]);
        } else {
            command.args(["proxy", &format!("--port={port}")]);
        }
        let is_remembered = self == Self::FirstByte(Start::Remembered);
        let home = match self {
            _ if is_remembered => setup.home.clone(),
            Self::Page(Carrier::Https) | Self::SecondVisit | Self::BesideStreams => setup.trusting.clone(),
            _ => setup.cluster.scratch(),
        };
        command.env("KUBECONFIG", &setup.kubeconfig).env("HOME", home).env_remove("XDG_STATE_HOME");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn service(self) -> &'static str {
        if self == Self::FirstByte(Start::NameAndPort) { "app:http" } else { "app" }
    }

    /// Where the app is, for a program on `port`.
    fn app(self, setup: &Setup, is_ours: bool) -> String {
        let is_forward = matches!(
            self,
            Self::FirstByte(Start::ByPortForward)
                | Self::Page(Carrier::PortForward)
                | Self::FirstWithQuery
                | Self::NextWithQuery
        );
        if is_forward && !is_ours { String::new() } else { setup.proxy_path.clone() }
    }

    async fn run(self, setup: &Setup, is_ours: bool, port: u16) -> Duration {
        if self == Self::FirstByte(Start::Remembered) && is_ours {
            // The first of them is remembered by the others, and does not count.
            Program::start(self.command(setup, is_ours, port))
                .until_served(port, &self.app(setup, is_ours))
                .await
                .end();
        }
        let app = self.app(setup, is_ours);
        let program = Program::start(self.command(setup, is_ours, port));
        let started = program.started;
        if self.is_in_browser() {
            program.until_listening(port).await;
            let took = setup.browse(self, &format!("http://127.0.0.1:{port}{app}")).await;
            program.end();
            return took;
        }
        let program = program.until_served(port, &app).await;
        let first = started.elapsed();
        let took = match self {
            Self::FirstByte(_) | Self::Page(_) | Self::SecondVisit | Self::BesideStreams => first,
            Self::WebSocket => setup.web_socket(port, &format!("{app}/socket")).await,
            Self::FirstWithQuery => setup.web_socket(port, &format!("{app}/socket?a=b")).await,
            Self::NextWithQuery => {
                setup.web_socket(port, &format!("{app}/socket?a=b")).await;
                tokio::time::sleep(WATCHED).await;
                setup.web_socket(port, &format!("{app}/socket?a=b")).await
            }
        };
        program.end();
        took
    }
}

impl Setup {
    /// How long a WebSocket takes to open, after a pause.
    async fn web_socket(&self, port: u16, path: &str) -> Duration {
        tokio::time::sleep(self.round_trip * PAUSE).await;
        let started = Instant::now();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{path} ended");
        }
        let took = started.elapsed();
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{path}: {}", String::from_utf8_lossy(&answer));
        took
    }
}

impl Setup {
    /// What is measured in a browser, of the app at `app`.
    async fn browse(&self, measure: Measure, app: &str) -> Duration {
        let browser = self.browser.as_ref().unwrap();
        let took = match measure {
            Measure::SecondVisit => {
                let took = visit_again(browser, &format!("{app}/kept/page")).await;
                took.saturating_sub(visit_again(browser, &format!("{}/whole/page", self.app)).await)
            }
            Measure::BesideStreams => {
                visit(browser, &format!("{app}/page")).await;
                beside_streams(browser, self.round_trip).await
            }
            _ => visit(browser, &format!("{app}/page")).await,
        };
        browser.open("about:blank").await.unwrap();
        took
    }
}

/// How long a page takes that was open before, where it was found.
async fn visit_again(browser: &Browser, url: &str) -> Duration {
    visit(browser, url).await;
    let url = browser.url().await.unwrap();
    browser.open("about:blank").await.unwrap();
    visit(browser, &url).await
}

async fn visit(browser: &Browser, url: &str) -> Duration {
    browser.open(url).await.unwrap();
    let script = "const { loadEventEnd, navigationStart } = performance.timing;
                  return globalThis.loaded === 300 && loadEventEnd > 0 && loadEventEnd - navigationStart";
    let took = browser.until("all scripts", script, &[]).await.unwrap();
    Duration::from_millis(took.as_u64().unwrap())
}

/// The median of some fetches beside event streams, all of them open if that can be.
async fn beside_streams(browser: &Browser, round_trip: Duration) -> Duration {
    let script = "const [count, pause] = [...arguments].map(Number), limit = 3000;
        const wait = time => new Promise(resolve => setTimeout(resolve, time));
        const streams = Array.from({length: count}, () => new EventSource('events/9'));
        const open = Promise.all(streams.map(stream => new Promise(open => { stream.onopen = open; })));
        await Promise.race([open, wait(limit)]);
        const took = [];
        try {
            for (let round = 0; round < 5; round++) {
                await wait(pause);
                const started = performance.now();
                await (await fetch('small', {signal: AbortSignal.timeout(limit)})).text();
                took.push(performance.now() - started);
            }
        } catch { return -1 } finally { streams.forEach(stream => stream.close()) }
        return took.sort((one, other) => one - other)[2]";
    let pause = (round_trip * PAUSE).as_millis().to_string();
    let took = browser.run(script, &[&STREAMS.to_string(), &pause]).await.unwrap().as_f64().unwrap();
    if took < 0.0 { Duration::MAX } else { Duration::from_secs_f64(took / 1000.0) }
}

/// One that runs. It is killed when dropped.
struct Program {
    child: Child,
    started: Instant,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let started = Instant::now();
        Self { child: command.spawn().unwrap(), started }
    }

    async fn until_listening(&self, port: u16) {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            assert!(self.started.elapsed() < LIMIT, "it does not listen");
            thread::sleep(POLL);
        }
    }

    async fn until_served(mut self, port: u16, app: &str) -> Self {
        while !is_served(port, &format!("{app}/small")).await {
            assert!(self.started.elapsed() < LIMIT, "it serves nothing");
            assert!(self.child.try_wait().unwrap().is_none(), "it ended");
            thread::sleep(POLL);
        }
        self
    }

    /// As a user would: what is remembered is written by then.
    fn end(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
    }
}

async fn is_served(port: u16, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    // Not to the end: kubectl port-forward closes a connection a second later than the app.
    let mut first = [0; 12];
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_exact(&mut first).await.is_ok()
        && first == *b"HTTP/1.1 200"
}

/// What was seen at the shorter distance.
struct NearResults {
    /// As measured.
    round_trip: Duration,
    /// What each row took.
    took: Vec<Duration>,
}

impl NearResults {
    /// How often the way there and back was waited for by the row of this number: by so many times the difference of the two
    /// distances did it take longer at the one where a round trip takes `measured`, namely `took`.
    fn round_trips(&self, number: usize, took: Duration, measured: Duration) -> f64 {
        let longer = |far: Duration, near: Duration| far.as_secs_f64() - near.as_secs_f64();
        longer(took, self.took[number]) / longer(measured, self.round_trip)
    }
}

/// In round trips of which each takes `measured`. Gives the number of goals that were missed.
fn report(rows: &[Row], round_trip: Duration, measured: Duration, near: Option<&NearResults>) -> usize {
    println!(
        "{} ms away, medians of {ROUNDS} interleaved rounds ({PAGE_ROUNDS} of pages), in round trips of {:.2} ms as measured",
        round_trip.as_millis(),
        measured.as_secs_f64() * 1e3
    );
    println!(
        "{:<37} {:>8} {:>9} {:>11} {:>6} {:>9} {:>8}",
        "", "kubectl", "svcproxy", "of distance", "goal", "svcproxy", "browser"
    );
    let is_judged = ROUND_TRIPS.last() == Some(&round_trip);
    let mut missed = 0;
    for (number, row) in rows.iter().enumerate() {
        let [theirs, ours] = row.took.clone().map(median);
        let trips = |took: Duration| took.as_secs_f64() / measured.as_secs_f64();
        let shown = |took: Duration| match took {
            Duration::MAX => "never".to_owned(),
            took => format!("{:.2}", trips(took)),
        };
        let of_distance = near.map(|near| near.round_trips(number, ours, measured));
        // That of a page was set in seconds.
        let unit = if row.beside_app.is_empty() { measured } else { round_trip };
        let is_missed = is_judged && row.goal.is_some_and(|goal| ours > unit.mul_f64(goal));
        missed += usize::from(is_missed);
        println!(
            "{:<37} {:>8} {:>9} {:>11} {:>6} {:>7.3} s {:>8}{}",
            row.name,
            shown(theirs),
            shown(ours),
            of_distance.map_or_else(|| "-".to_owned(), |trips| format!("{trips:.2}")),
            row.goal.map_or_else(|| "-".to_owned(), |goal| format!("{goal:.1}")),
            ours.as_secs_f64(),
            row.beside_app().map_or_else(|| "-".to_owned(), shown),
            if is_missed { "  MISSED" } else { "" }
        );
    }
    missed
}
