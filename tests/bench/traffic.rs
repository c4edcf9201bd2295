//! `cargo bench --bench traffic`: requests, transfers and WebSockets through `kubectl svcproxy` and `kubectl proxy`, and what
//! the machine can do at best: a pump that only copies bytes into TLS, and no proxy at all. nginx stands in for the API
//! server, since the real one would be what is measured. All columns take turns in one run; prints medians, and ratios to
//! `kubectl proxy`.
#![allow(clippy::unwrap_used, reason = "a benchmark fails with a panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

mod load;
mod pump;
mod stand_in;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use load::{Client, Load, Taken};
use stand_in::StandIn;
use support::cluster::isolation;
use support::cluster::programs::Programs;
use support::figures::{PEAK, RESIDENT, median, processor_time};

const ROUNDS: usize = 3;
/// The program itself, as kubectl executes it.
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-svcproxy");
/// Where kubectl proxy, the program and the pump listen.
const PORTS: [u16; 3] = [20_001, 20_002, 20_003];

/// What is measured: a program, or a client that needs none.
struct Column {
    name: &'static str,
    /// None for no proxy at all.
    program: Option<Child>,
    port: u16,
}

/// One kind of load.
struct Row {
    name: &'static str,
    load: Load,
    /// For each column what each round took.
    taken: Vec<Vec<Taken>>,
}

fn rows() -> Vec<Row> {
    let get = |octets, connections| Load::Get { octets, connections };
    let row = |name, load| Row { name, load, taken: (0..4).map(|_| Vec::new()).collect() };
    vec![
        row("1 KiB, 1 connection", get(1 << 10, 1)),
        row("1 KiB, 32 connections", get(1 << 10, 32)),
        row("1 KiB, 128 connections", get(1 << 10, 128)),
        row("100 KiB, 32 connections", get(100 << 10, 32)),
        row("1 GiB down", Load::Download),
        row("1 GiB up", Load::Upload),
        row("WebSocket, 128 octets", Load::Echo { octets: 128 }),
        row("WebSocket, 64 KiB", Load::Echo { octets: 64 << 10 }),
    ]
}

fn main() -> ExitCode {
    pump::be_pump_if_told();
    let directory = match isolation::enter(&["nginx"]) {
        Ok(directory) => directory,
        Err(reason) => {
            eprintln!("NOT RUN: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(&directory));
    isolation::leave(&directory, 0)
}

async fn measure(directory: &Path) {
    let stand_in = StandIn::start(directory).await;
    let mut columns = columns(&stand_in).await;
    let mut rows = rows();
    let idle: Vec<_> = columns.iter().map(|column| column.memory(RESIDENT)).collect();
    let mut crowded = Vec::new();
    for _ in 0..ROUNDS {
        for row in &mut rows {
            for (column, taken) in columns.iter().zip(&mut row.taken) {
                taken.push(column.run(row.load, &stand_in).await);
            }
            if matches!(row.load, Load::Get { connections: 128, .. }) {
                crowded = columns.iter().map(|column| column.memory(RESIDENT)).collect();
            }
        }
    }
    report(&columns, &rows);
    let peak: Vec<_> = columns.iter().map(|column| column.memory(PEAK)).collect();
    for (name, memory) in [("idle", &idle), ("after 128 connections", &crowded), ("at most", &peak)] {
        report_memory(name, memory);
    }
    for column in &mut columns {
        column.end();
    }
}

async fn columns(stand_in: &StandIn) -> [Column; 4] {
    let kubectl = Programs::find().unwrap().path("kubectl").unwrap();
    let [kubectl_port, plugin_port, pump_port] = PORTS;
    let mut proxy = Command::new(kubectl);
    proxy.args(["proxy", &format!("--port={kubectl_port}")]);
    let mut plugin = Command::new(PLUGIN);
    plugin.args(["web", "--no-browser", &format!("--port={plugin_port}")]);
    let pump = pump::command(pump_port, &stand_in::url(), &stand_in.authority());
    let column = |name, command: Option<Command>, port| {
        let program = command.map(|mut command| {
            command.env("KUBECONFIG", stand_in.kubeconfig()).env("HOME", stand_in.folder());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        });
        Column { name, program, port }
    };
    let columns = [
        column("kubectl proxy", Some(proxy), kubectl_port),
        column("kubectl svcproxy", Some(plugin), plugin_port),
        column("pump", Some(pump), pump_port),
        column("no proxy", None, 0),
    ];
    for column in &columns {
        support::eventually("an answer", async || column.client(stand_in).await?.get(1 << 10).await.ok()).await;
    }
    // What follows a start is over, and the memory is that of an idle program.
    tokio::time::sleep(Duration::from_secs(4)).await;
    columns
}

impl Column {
    async fn client(&self, stand_in: &StandIn) -> Option<Client> {
        match self.program {
            Some(_) => Client::plain(SocketAddr::from(([127, 0, 0, 1], self.port))).await,
            None => Client::tls(stand_in).await,
        }
    }

    async fn run(&self, load: Load, stand_in: &StandIn) -> Taken {
        let used = self.processor_time();
        let (took, count) = load.run(async || self.client(stand_in).await.unwrap()).await;
        Taken { took, cpu: (self.processor_time() - used) / u32::try_from(count).unwrap() }
    }

    fn processor_time(&self) -> Duration {
        self.program.as_ref().map_or(Duration::ZERO, |program| processor_time(program.id()))
    }

    /// KiB.
    fn memory(&self, kind: &str) -> Option<f64> {
        let program = self.program.as_ref()?;
        Some(support::figures::memory(program.id(), kind).unwrap() as f64)
    }

    fn end(&mut self) {
        if let Some(program) = &mut self.program {
            program.kill().unwrap();
            program.wait().unwrap();
        }
    }
}

fn report(columns: &[Column; 4], rows: &[Row]) {
    println!("medians of {ROUNDS} interleaved rounds; in brackets the ratio to {}", columns[0].name);
    let head: String = columns.iter().map(|column| format!("{:>22}", column.name)).collect();
    println!("{:<36}{head}", "");
    for row in rows {
        let unit = if row.load.is_transfer() { "s" } else { "µs p50" };
        let scale = if row.load.is_transfer() { 1.0 } else { 1e6 };
        let per = |of: fn(&Taken) -> f64| -> Vec<Option<f64>> {
            row.taken.iter().map(|taken| Some(median(taken.iter().map(of).collect()))).collect()
        };
        line(&format!("{}, {unit}", row.name), &per(|taken| taken.took.typical), scale);
        if matches!(row.load, Load::Get { .. }) {
            line("  requests/s", &per(|taken| taken.took.rate), 1.0);
        }
        let cpu = per(|taken| taken.cpu.as_secs_f64()).into_iter().zip(columns);
        let cpu: Vec<_> = cpu.map(|(cpu, column)| cpu.filter(|_| column.program.is_some())).collect();
        let unit = if row.load.is_transfer() { "s" } else { "µs" };
        line(&format!("  its processor time, {unit}"), &cpu, scale);
    }
}

fn report_memory(name: &str, memory: &[Option<f64>]) {
    line(&format!("memory {name}, MiB"), memory, 1.0 / 1024.0);
}

fn line(name: &str, values: &[Option<f64>], scale: f64) {
    let base = values[0].unwrap_or(f64::NAN);
    let cell = |value: &Option<f64>| match value {
        Some(value) => format!("{:>13.1} ({:>5.2})", value * scale, value / base),
        None => format!("{:>21}", "-"),
    };
    let cells: String = values.iter().map(|value| format!("{:>22}", cell(value))).collect();
    println!("{name:<36}{cells}");
}
