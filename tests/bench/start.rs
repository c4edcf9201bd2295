//! `cargo bench --bench start`: beside `kubectl proxy`, in one run on one real API server, rounds interleaved: from the start
//! of the process to the first byte of the Service, and the memory it holds when it is idle, without https and where that is set
//! up. Prints medians and ratios. What the machine can do at best shows a pump: it looks for no Service, and copies bytes into TLS.
#![allow(clippy::unwrap_used, reason = "a benchmark fails with a panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

mod pump;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use support::cluster::{Cluster, Nginx, isolation};
use support::figures::{RESIDENT, median, memory};

/// Rounds; each starts every program once.
const ROUNDS: usize = 15;
/// Rounds in which the programs, after one request, have nothing to do.
const IDLE_ROUNDS: usize = 5;
/// So long they do nothing before their memory is read: by then everything that follows a start is over.
const IDLE: Duration = Duration::from_secs(4);
/// Longer than any start; a program that needs more has failed.
const LIMIT: Duration = Duration::from_secs(20);
/// Local ports, one per start, so that none waits for another's sockets.
const FIRST_PORT: u16 = 20_000;

/// Programs that are started.
const COLUMNS: usize = 5;

/// How a program is started, and what it then served.
struct Column {
    name: &'static str,
    command: fn(&Setup, u16) -> Command,
    /// What its client says beside the usual.
    headers: fn(&Setup) -> &str,
    /// The home of its user.
    home: fn(&Setup) -> &Path,
    starts: Vec<Duration>,
    memory: Vec<u64>,
}

/// What all programs share.
struct Setup {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    plugin_folder: PathBuf,
    /// A home in which https was set up.
    trusting: PathBuf,
    path: String,
    authority: PathBuf,
    /// Lets in the requests of whoever adds no credentials.
    authorization: String,
}

/// The program itself, as kubectl executes it.
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-svcproxy");

fn main() -> ExitCode {
    pump::be_pump_if_told();
    let directory = match isolation::enter(&["nginx"]) {
        Ok(directory) => directory,
        Err(reason) => {
            eprintln!("NOT RUN: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let setup = runtime.block_on(set_up(&directory));
    report(&measure(&setup));
    isolation::leave(&directory, 0)
}

async fn set_up(directory: &Path) -> Setup {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(directory).await.unwrap()));
    let nginx = Box::leak(Box::new(Nginx::start(cluster).await));
    let namespace = cluster.namespace().await;
    namespace.expose("nginx", nginx.ip(), json!([{"name": "http", "port": 80, "targetPort": Nginx::HTTP}])).await;
    namespace.until_endpoints("nginx", 1).await;
    let plugin_folder = cluster.scratch();
    std::os::unix::fs::symlink(PLUGIN, plugin_folder.join("kubectl-svcproxy")).unwrap();
    let authority = plugin_folder.join("ca.crt");
    fs::write(&authority, cluster.authority().pem()).unwrap();
    Setup {
        kubectl: cluster.programs().path("kubectl").unwrap(),
        authorization: format!("Authorization: Bearer {}\r\n", cluster.admin().token()),
        authority,
        kubeconfig: cluster.admin().kubeconfig(namespace.name()),
        plugin_folder,
        trusting: with_https(cluster.scratch()),
        path: format!("{}/", namespace.proxy_path("nginx:http")),
    }
}

/// Sets https up for the user whose `home` this is.
fn with_https(home: PathBuf) -> PathBuf {
    let trusted = Command::new(PLUGIN).arg("--install-ca=browsers").env("HOME", &home).output().unwrap();
    assert!(trusted.status.success(), "{}", String::from_utf8_lossy(&trusted.stderr));
    home
}

fn columns() -> [Column; COLUMNS] {
    let column = |name, command| Column {
        name,
        command,
        headers: |_| "",
        home: |setup| &setup.plugin_folder,
        starts: Vec::new(),
        memory: Vec::new(),
    };
    let plugin = |_: &Setup, port| {
        let mut command = Command::new(PLUGIN);
        command.args(["nginx", &format!("--port={port}"), "--no-browser"]);
        command
    };
    [
        column("kubectl proxy", |setup, port| {
            let mut command = Command::new(&setup.kubectl);
            command.args(["proxy", &format!("--port={port}")]);
            command
        }),
        column("kubectl-svcproxy", plugin),
        Column { home: |setup| &setup.trusting, ..column("the same, --tls", plugin) },
        column("kubectl svcproxy", |setup, port| {
            let mut command = Command::new(&setup.kubectl);
            command.args(["svcproxy", "nginx", &format!("--port={port}"), "--no-browser"]);
            command.env("PATH", &setup.plugin_folder);
            command
        }),
        Column {
            headers: |setup| &setup.authorization,
            ..column("pump", |setup, port| pump::command(port, &Cluster::url(), &setup.authority))
        },
    ]
}

fn measure(setup: &Setup) -> [Column; COLUMNS] {
    let mut columns = columns();
    let mut ports = FIRST_PORT..;
    for _ in 0..ROUNDS {
        for column in &mut columns {
            let (program, took) = Program::start(setup, column, ports.next().unwrap());
            program.end();
            column.starts.push(took);
        }
    }
    for _ in 0..IDLE_ROUNDS {
        let start = |column: &Column| Program::start(setup, column, ports.next().unwrap()).0;
        let programs: Vec<Program> = columns.iter().map(start).collect();
        std::thread::sleep(IDLE);
        for (column, program) in columns.iter_mut().zip(programs) {
            column.memory.push(memory(program.0.id(), RESIDENT).unwrap());
            program.end();
        }
    }
    columns
}

/// One that has served a request.
struct Program(Child);

impl Program {
    /// And how long it took to the first byte.
    fn start(setup: &Setup, column: &Column, port: u16) -> (Self, Duration) {
        let mut command = (column.command)(setup, port);
        command.env("KUBECONFIG", &setup.kubeconfig).env("HOME", (column.home)(setup));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        until_served(&mut child, started, port, (&setup.path, (column.headers)(setup)));
        (Self(child), started.elapsed())
    }

    fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn until_served(child: &mut Child, started: Instant, port: u16, ask: (&str, &str)) {
    while !is_served(port, ask) {
        assert!(started.elapsed() < LIMIT, "it serves nothing");
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn is_served(port: u16, (path, headers): (&str, &str)) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}Connection: close\r\n\r\n");
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_end(&mut answer).is_ok()
        && answer.starts_with(b"HTTP/1.1 200")
}

fn report(columns: &[Column; COLUMNS]) {
    let micros = |column: &Column| median(column.starts.iter().map(|start| start.as_secs_f64() * 1e3).collect());
    let mebibytes = |column: &Column| median(column.memory.iter().map(|&kib| kib as f64 / 1024.0).collect());
    println!("medians of {ROUNDS} interleaved starts, and of {IDLE_ROUNDS} times idling; ratios to kubectl proxy");
    println!("{:<18} {:>14} {:>7} {:>12} {:>7}", "", "first byte ms", "ratio", "idle MiB", "ratio");
    let (base_start, base_memory) = (micros(&columns[0]), mebibytes(&columns[0]));
    for column in columns {
        let (start, memory) = (micros(column), mebibytes(column));
        let (start_ratio, memory_ratio) = (start / base_start, memory / base_memory);
        println!("{:<18} {start:>14.1} {start_ratio:>7.3} {memory:>12.1} {memory_ratio:>7.3}", column.name);
    }
}
