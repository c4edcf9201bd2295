//! `cargo bench --bench list`: beside `kubectl get services -A`, on one real API server with 5,000 and then 50,000 Services and
//! an EndpointSlice for each, rounds interleaved: wall time and peak memory of the whole process. Prints medians and ratios,
//! and fails when `--list -A` exceeds what the design allows at 50,000. What the API server needs by itself shows a reader: it
//! gets the same two lists, and looks at nothing of them.
#![allow(clippy::unwrap_used, reason = "a benchmark fails with a panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use support::cluster::{Cluster, isolation};
use support::figures::{PEAK, median};
use support::tls_client::TlsClient;
use tokio::io::AsyncWriteExt as _;

/// How many Services, and how often each program then lists them.
const SIZES: [(usize, usize); 2] = [(5_000, 7), (50_000, 3)];
/// Namespaces they are spread over.
const NAMESPACES: usize = 50;
/// Objects that are created at once.
const AT_ONCE: usize = 64;
/// At most this part of `kubectl get services -A`'s time, and so many MiB, at the largest size.
const LIMITS: (f64, f64) = (1.0 / 15.0, 12.0);
/// The column that they are about.
const LIMITED: &str = "--list -A";
/// Between two looks at a process's memory.
const LOOK: Duration = Duration::from_millis(2);

/// The program itself, as kubectl executes it.
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-svcproxy");

/// Given to this program, makes it the reader: of this server, trusting this file, with this token, in this encoding.
const READER: &str = "--reader";
/// What `--list -A` reads, side by side.
const LISTS: [&str; 2] = ["/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"];

/// A program and how it fared.
struct Column {
    name: &'static str,
    program: fn(&Cluster) -> Command,
    arguments: &'static [&'static str],
    times: Vec<Duration>,
    memory: Vec<u64>,
}

fn columns() -> Vec<Column> {
    let column = |program, name, arguments| Column { name, program, arguments, times: Vec::new(), memory: Vec::new() };
    vec![
        column(kubectl, "kubectl get services -A", &["get", "services", "-A"][..]),
        column(kubectl, "kubectl get services -A -o name", &["get", "services", "-A", "-o", "name"]),
        column(plugin, "--list -A", &["--list", "-A"]),
        column(plugin, "--list -A -o json", &["--list", "-A", "-o", "json"]),
        column(plugin, "--list -A -o name", &["--list", "-A", "-o", "name"]),
        column(reader, "reader", &["gzip"]),
        column(reader, "reader, not compressed", &["identity"]),
    ]
}

fn kubectl(cluster: &Cluster) -> Command {
    Command::new(cluster.programs().path("kubectl").unwrap())
}

fn plugin(_: &Cluster) -> Command {
    Command::new(PLUGIN)
}

fn reader(cluster: &Cluster) -> Command {
    let authority = cluster.scratch().join("ca.crt");
    fs::write(&authority, cluster.authority().pem()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([READER, &Cluster::url()]).arg(authority).arg(cluster.admin().token());
    command
}

/// Gets one list as the program does.
async fn read(client: &TlsClient, list: &str, [server, token, encoding]: [&str; 3]) {
    let mut stream = client.connect(server, "").await.unwrap();
    let host = server.trim_start_matches("https://");
    let request = format!(
        "GET {list} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Accept: application/vnd.kubernetes.protobuf\r\nAccept-Encoding: {encoding}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let read = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    assert!(read.unwrap() > 1000, "no list");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let [_, reader, server, authority, token, encoding] = &arguments[..]
        && reader == READER
    {
        let client = TlsClient::trusting(&fs::read_to_string(authority).unwrap());
        runtime.block_on(join_all(LISTS.map(|list| read(&client, list, [server, token, encoding]))));
        return ExitCode::SUCCESS;
    }
    let directory = match isolation::enter(&[]) {
        Ok(directory) => directory,
        Err(reason) => {
            eprintln!("NOT RUN: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let cluster: &'static Cluster = Box::leak(Box::new(runtime.block_on(Cluster::start(&directory)).unwrap()));
    let kubeconfig = cluster.admin().kubeconfig("default");
    let mut made = 0;
    let mut holds = true;
    for (size, rounds) in SIZES {
        runtime.block_on(furnish(cluster, made, size));
        made = size;
        holds = report(size, &measure(cluster, &kubeconfig, rounds));
    }
    println!("\n{LIMITED} {} 1/15 of kubectl's time and 12 MiB", if holds { "keeps within" } else { "EXCEEDS" });
    isolation::leave(&directory, i32::from(!holds))
}

async fn furnish(cluster: &'static Cluster, from: usize, to: usize) {
    let api = cluster.api();
    if from == 0 {
        for number in 0..NAMESPACES {
            api.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace(number)}})).await;
        }
    }
    let start = Instant::now();
    let create = |number: usize| async move {
        let place = format!("namespaces/{}", namespace(number));
        api.create(&format!("/api/v1/{place}/services"), &service(number)).await;
        api.create(&format!("/apis/discovery.k8s.io/v1/{place}/endpointslices"), &slice(number)).await;
    };
    stream::iter(from..to).map(create).buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    eprintln!("{} Services and slices made in {:.0?}", to - from, start.elapsed());
}

fn namespace(number: usize) -> String {
    format!("team-{:02}", number % NAMESPACES)
}

fn name(number: usize) -> String {
    format!("service-{number:05}")
}

/// Headless, since addresses are few, and without a selector, since controllers are slow; with what Helm adds.
fn service(number: usize) -> Value {
    let name = name(number);
    json!({
        "metadata": {"name": name,
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name, "helm.sh/chart": "app-1.2.3",
                       "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/version": "4.5.6"},
            "annotations": {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace(number)}},
        "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}]},
    })
}

fn slice(number: usize) -> Value {
    let address = format!("10.77.{}.{}", number / 250, number % 250 + 1);
    json!({
        "metadata": {"name": format!("{}-x{number:05}", name(number)), "labels": {"kubernetes.io/service-name": name(number)}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "metrics", "port": 9090, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": true},
                       "targetRef": {"kind": "Pod", "name": format!("{}-0", name(number)), "namespace": namespace(number)}}],
    })
}

fn measure(cluster: &Cluster, kubeconfig: &Path, rounds: usize) -> Vec<Column> {
    let mut columns = columns();
    for _ in 0..rounds {
        for column in &mut columns {
            let mut command = (column.program)(cluster);
            let (time, memory) = run(command.args(column.arguments).env("KUBECONFIG", kubeconfig));
            column.times.push(time);
            column.memory.push(memory);
        }
    }
    columns
}

/// Wall time, and peak memory in KiB.
fn run(command: &mut Command) -> (Duration, u64) {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let mut memory = 0;
    while child.try_wait().unwrap().is_none() {
        memory = support::figures::memory(child.id(), PEAK).unwrap_or(memory);
        std::thread::sleep(LOOK);
    }
    let status = child.wait().unwrap();
    assert!(status.success(), "{command:?}: {status}");
    (started.elapsed(), memory)
}

/// Prints the figures, and returns whether they keep within the limits.
fn report(size: usize, columns: &[Column]) -> bool {
    println!(
        "\n{size} Services: medians of {} interleaved rounds; ratios to kubectl get services -A",
        columns[0].times.len()
    );
    println!("{:<32} {:>10} {:>8} {:>16}", "", "time s", "ratio", "peak memory MiB");
    let seconds = |column: &Column| median(column.times.iter().map(Duration::as_secs_f64).collect());
    let base = seconds(&columns[0]);
    let mut holds = true;
    for column in columns {
        let ratio = seconds(column) / base;
        let memory = median(column.memory.iter().map(|&kib| kib as f64 / 1024.0).collect());
        println!("{:<32} {:>10.3} {ratio:>8.3} {memory:>16.1}", column.name, seconds(column));
        holds &= column.name != LIMITED || (ratio <= LIMITS.0 && memory <= LIMITS.1);
    }
    holds
}
