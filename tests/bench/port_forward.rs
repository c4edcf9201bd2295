//! `cargo bench --bench port_forward`: `kubectl svcproxy --via port-forward` beside `kubectl port-forward`, in one run on one
//! real API server, rounds interleaved. Prints medians of what a request takes and of the processor time that it costs the
//! proxy's process, and ratios.
#![allow(clippy::unwrap_used, reason = "a benchmark fails with a panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use ::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use support::cluster::{Cluster, backend_in, isolation};
use support::figures::{median, processor_time};
use support::pattern;
use tokio::net::TcpStream;
use tokio::time::timeout;

const ROUNDS: usize = 3;
const GIBIBYTE: u64 = 1 << 30;
/// A request beside a slow one that takes longer has stalled.
const STALL: Duration = Duration::from_secs(5);
/// The program itself, as kubectl executes it.
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-svcproxy");
/// Local ports of the two programs, in their order.
const PORTS: [u16; 2] = [20_001, 20_002];
/// Columns: what is compared with, and what is compared.
const NAMES: [&str; 2] = ["kubectl port-forward", "kubectl svcproxy"];

/// One kind of load.
struct Row {
    name: &'static str,
    load: Load,
    /// For each column, a value per round.
    took: [Vec<f64>; 2],
    cpu: [Vec<f64>; 2],
}

#[derive(Clone, Copy)]
enum Load {
    /// GET of so many octets, so often in all, over so many connections.
    Get { octets: u64, requests: usize, connections: usize },
    /// 1 GiB from the app.
    Download,
    /// 1 GiB to the app.
    Upload,
    /// Small requests while another connection's answer is not read.
    BesideSlow { requests: usize },
}

/// What a load took: milliseconds per request (a median) or in all, and processor time in the same unit.
struct Taken {
    took: f64,
    cpu: f64,
}

fn rows() -> Vec<Row> {
    let get = |octets, requests, connections| Load::Get { octets, requests, connections };
    let row = |name, load| Row { name, load, took: Default::default(), cpu: Default::default() };
    vec![
        row("1 KiB, 1 connection", get(1 << 10, 1000, 1)),
        row("1 KiB, 32 connections", get(1 << 10, 6400, 32)),
        row("100 KiB, 1 connection", get(100 << 10, 500, 1)),
        row("100 KiB, 32 connections", get(100 << 10, 1600, 32)),
        row("1 GiB down", Load::Download),
        row("1 GiB up", Load::Upload),
        row("1 KiB beside a slow reader", Load::BesideSlow { requests: 200 }),
    ]
}

fn main() -> ExitCode {
    let directory = match isolation::enter(&[]) {
        Ok(directory) => directory,
        Err(reason) => {
            eprintln!("NOT RUN: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rows = runtime.block_on(measure(&directory));
    report(&rows);
    isolation::leave(&directory, 0)
}

async fn measure(directory: &Path) -> Vec<Row> {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(directory).await.unwrap()));
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let mut kubectl = Command::new(cluster.programs().path("kubectl").unwrap());
    kubectl.args(["port-forward", "svc/app", &format!("{}:80", PORTS[0])]);
    let mut plugin = Command::new(PLUGIN);
    plugin.args(["app", "--via=port-forward", "--origin=localhost", "--no-browser", &format!("--port={}", PORTS[1])]);
    let programs = [kubectl, plugin].map(|mut command| {
        command.env("KUBECONFIG", &kubeconfig).env("HOME", cluster.scratch());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    });
    let mut rows = rows();
    for port in PORTS {
        support::eventually("an answer", async || Client::connect(port).await).await.get(1).await;
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            for (column, program) in programs.iter().enumerate() {
                let taken = row.load.run(PORTS[column], program.id()).await;
                row.took[column].push(taken.took);
                row.cpu[column].push(taken.cpu);
            }
        }
    }
    for mut program in programs {
        program.kill().unwrap();
        program.wait().unwrap();
    }
    rows
}

/// A connection that is kept.
struct Client {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
}

impl Client {
    async fn connect(port: u16) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some(Self { sender, host: host(port) })
    }

    /// Gets as many octets of the app; returns how long that took.
    async fn get(&mut self, octets: u64) -> Duration {
        let started = Instant::now();
        let mut body = self.begin(octets).await;
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().data_ref().map_or(0, Bytes::len) as u64;
        }
        assert_eq!(length, octets);
        started.elapsed()
    }

    async fn begin(&mut self, octets: u64) -> hyper::body::Incoming {
        self.sender.ready().await.unwrap();
        let request = Request::get(format!("/bytes/{octets}")).header("host", &self.host);
        let request = request.body(Empty::new()).unwrap();
        self.sender.send_request(request).await.unwrap().into_body()
    }
}

/// A name that the plugin answers to; kubectl and the app do not look at it.
fn host(port: u16) -> String {
    format!("localhost:{port}")
}

impl Load {
    async fn run(self, port: u16, pid: u32) -> Taken {
        let (used, started) = (processor_time(pid), Instant::now());
        let (took, requests) = match self {
            Self::Get { octets, requests, connections } => {
                (get_many(port, octets, requests, connections).await, requests)
            }
            Self::Download => {
                Client::connect(port).await.unwrap().get(GIBIBYTE).await;
                (started.elapsed(), 1)
            }
            Self::Upload => {
                upload(port).await;
                (started.elapsed(), 1)
            }
            Self::BesideSlow { requests } => (beside_slow(port, requests).await, requests),
        };
        let cpu = (processor_time(pid) - used).as_secs_f64() * 1e3 / requests as f64;
        Taken { took: took.as_secs_f64() * 1e3, cpu }
    }
}

/// The median of a request.
async fn get_many(port: u16, octets: u64, requests: usize, connections: usize) -> Duration {
    let one = || async move {
        let mut client = Client::connect(port).await.unwrap();
        let mut took = Vec::new();
        for _ in 0..requests / connections {
            took.push(client.get(octets).await);
        }
        took
    };
    let all: Vec<_> = (0..connections).map(|_| tokio::spawn(one())).collect();
    let mut took = Vec::new();
    for one in all {
        took.extend(one.await.unwrap());
    }
    median(took)
}

async fn upload(port: u16) {
    const PIECE: u64 = 64 * 1024 - 16;
    let pieces = futures_util::stream::unfold(0, |offset| async move {
        let length = usize::try_from(PIECE.min(GIBIBYTE - offset)).unwrap();
        let frame = || Ok::<_, std::io::Error>(Frame::data(pattern(offset, length)));
        (length > 0).then(|| (frame(), offset + length as u64))
    });
    let request = Request::put("/").header("host", host(port)).body(StreamBody::new(Box::pin(pieces))).unwrap();
    let answer = support::http::stream(&format!("http://127.0.0.1:{port}/sink"), request).await;
    let said = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(said, format!("{{\"length\":{GIBIBYTE}}}"));
}

/// The median of a small request, or [`STALL`] if one of them does not end, while nobody reads a large answer.
async fn beside_slow(port: u16, requests: usize) -> Duration {
    let mut slow = Client::connect(port).await.unwrap();
    let unread = slow.begin(GIBIBYTE).await;
    let mut took = Vec::new();
    if let Ok(Some(mut client)) = timeout(STALL, Client::connect(port)).await {
        for _ in 0..requests {
            match timeout(STALL, client.get(1 << 10)).await {
                Ok(time) => took.push(time),
                Err(_) => return STALL,
            }
        }
    }
    drop(unread);
    median(took)
}

fn report(rows: &[Row]) {
    println!("medians of {ROUNDS} interleaved rounds, milliseconds per request or transfer; ratios: {} = 1", NAMES[0]);
    println!("{:<28} {:>30} {:>30}", "", "time", "processor time of the proxy");
    println!(
        "{:<28} {:>11} {:>11} {:>6} {:>11} {:>11} {:>6}",
        "", "port-fwd", "svcproxy", "ratio", "port-fwd", "svcproxy", "ratio"
    );
    for row in rows {
        let [base, ours] = row.took.clone().map(median);
        let [base_cpu, our_cpu] = row.cpu.clone().map(median);
        let stalled = |took: f64| {
            if took >= STALL.as_secs_f64() * 1e3 && row.is_small() { "stalls".to_owned() } else { format!("{took:.3}") }
        };
        println!(
            "{:<28} {:>11} {:>11} {:>6.2} {base_cpu:>11.3} {our_cpu:>11.3} {:>6.2}",
            row.name,
            stalled(base),
            stalled(ours),
            ours / base,
            our_cpu / base_cpu
        );
    }
}

impl Row {
    /// Whether its requests are small.
    fn is_small(&self) -> bool {
        !matches!(self.load, Load::Download | Load::Upload)
    }
}
