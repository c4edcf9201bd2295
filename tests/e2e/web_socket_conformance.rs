//! The Autobahn test suite's client against an echoing app: directly, and through this program. What comes between must change no
//! verdict. `tests/run autobahn` runs it; the table in `docs/websockets.md` is what came of it (`SVCPROXY_RECORD=1` writes it).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::{origin_of, plugin, serve};
use crate::local_https::trusting_home;
use crate::web_socket_bridge::WebSocketBridge;
use support::TlsClient;
use support::cluster::{Cluster, backend_in};

/// Set to the command that starts the test suite, as `tests/autobahn/install` prints it.
const WSTEST: &str = "SVCPROXY_TEST_WSTEST";

pub(crate) fn tests() -> Vec<crate::Test> {
    match std::env::var_os(WSTEST) {
        Some(_) => crate::tests![no_verdict_changes],
        None => Vec::new(),
    }
}

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/websockets.md");
const HEAD: &str = "\
# WebSockets on the way

Verdicts of the Autobahn test suite (its client, without performance and compression) on an echoing app, directly and through
`kubectl svcproxy`; made by `tests/run autobahn`. The same means: case for case. By port-forward the end of the app's connection
shows a second late, since container runtimes wait so long for the other direction, as they do for kubectl; where an app only
hangs up (6.*: at text that is no UTF-8), the suite gives up before it sees that. The suite itself knows HTTP/1.1 alone: HTTP/2 is
spoken, by TLS, by a bridge that passes octets.

| cases | of | directly | by the service proxy | by port-forward | over HTTP/2, by the service proxy | over HTTP/2, by port-forward |
| --- | --- | --- | --- | --- | --- | --- |
";
const WAYS: [&str; 5] = ["directly", "service-proxy", "port-forward", "http2-service-proxy", "http2-port-forward"];
/// Five times some two hundred and fifty cases, a few of which wait.
const SUITE_TIMEOUT: Duration = Duration::from_secs(25 * 60);
async fn no_verdict_changes(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let home = trusting_home(cluster, &cluster.admin().kubeconfig(namespace.name())).await;
    let mut servers = vec![json!({"agent": WAYS[0], "url": format!("ws://{}/ws", backend.address())})];
    let (mut ways, mut bridges) = (Vec::new(), Vec::new());
    for (agent, via) in WAYS[1..3].iter().zip(["auto", "port-forward"]) {
        let serving = serve(cluster, &namespace, &["app", "--via", via]).await;
        let url = format!("{}ws", serving.proxy_url().replace("http://", "ws://"));
        servers.push(json!({"agent": agent, "url": url, "origin": origin_of(&serving)}));
        ways.push(serving);
    }
    for (agent, via) in WAYS[3..].iter().zip(["auto", "port-forward"]) {
        let serving = plugin(cluster, &namespace, &["app", "--via", via]).env("HOME", &home).serve().await;
        let bridge = WebSocketBridge::start(client_of(&home), format!("{}ws", serving.site_url())).await;
        let origin = serving.site_url().trim_end_matches('/').to_owned();
        servers.push(json!({"agent": agent, "url": bridge.url(), "origin": origin}));
        ways.push(serving);
        bridges.push(bridge);
    }
    let outdir = cluster.scratch();
    let said = ask_all(&outdir, &servers).await;
    let table = format!("{HEAD}{}", rows(&outdir, &said));
    if std::env::var_os("SVCPROXY_RECORD").is_some() {
        std::fs::write(TABLE, &table).unwrap();
    }
    assert_eq!(table, std::fs::read_to_string(TABLE).unwrap_or_default());
    drop(bridges);
    for serving in ways {
        serving.stop().await;
    }
}

/// A client that trusts the authority of this home.
fn client_of(home: &Path) -> TlsClient {
    let pem = home.join(".local/state/kubectl-svcproxy/local-ca.pem");
    TlsClient::trusting(&std::fs::read_to_string(pem).unwrap())
}

/// Runs the suite's client, which reports below `outdir`; what it said beside that.
async fn ask_all(outdir: &Path, servers: &[Value]) -> String {
    let spec = json!({
        "outdir": outdir, "servers": servers, "cases": ["*"],
        "exclude-cases": ["9.*", "12.*", "13.*"], "exclude-agent-cases": {},
    });
    let file = outdir.join("spec.json");
    std::fs::write(&file, spec.to_string()).unwrap();
    let command = std::env::var(WSTEST).unwrap();
    let mut words = command.split(' ');
    let mut wstest = Command::new(words.next().unwrap());
    wstest.args(words).args(["--mode", "fuzzingclient", "--spec"]).arg(&file).env("HOME", outdir);
    let run = timeout(SUITE_TIMEOUT, wstest.kill_on_drop(true).output()).await.expect("it ends").unwrap();
    String::from_utf8_lossy(&run.stderr).into_owned()
}

/// A line for each group of cases.
fn rows(outdir: &Path, said: &str) -> String {
    let index = std::fs::read_to_string(outdir.join("index.json")).unwrap_or_else(|error| panic!("{error}: {said}"));
    let index: Value = serde_json::from_str(&index).unwrap();
    let mut groups: BTreeMap<u32, CaseGroup> = BTreeMap::new();
    for (case, directly) in index[WAYS[0]].as_object().unwrap() {
        let group = groups.entry(case.split('.').next().unwrap().parse().unwrap()).or_default();
        *group.verdicts.entry(directly["behavior"].as_str().unwrap().to_owned()).or_default() += 1;
        for (difference, way) in group.differences.iter_mut().zip(&WAYS[1..]) {
            let found = &index[way][case];
            difference.verdicts += usize::from(found["behavior"] != directly["behavior"]);
            difference.ends |= found["behaviorClose"] != directly["behaviorClose"];
        }
    }
    let row = |(group, CaseGroup { verdicts, differences }): (&u32, &CaseGroup)| {
        let count: usize = verdicts.values().sum();
        let verdicts: Vec<String> = verdicts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        let differences = differences.each_ref().map(CaseDifference::words).join(" | ");
        format!("| {group}.* | {count} | {} | {differences} |\n", verdicts.join(", "))
    };
    groups.iter().map(row).collect()
}

/// Cases whose numbers begin alike.
#[derive(Default)]
struct CaseGroup {
    /// How many end in each verdict, directly.
    verdicts: BTreeMap<String, usize>,
    /// In each of the other ways.
    differences: [CaseDifference; WAYS.len() - 1],
}

/// What is otherwise than directly.
#[derive(Default)]
struct CaseDifference {
    verdicts: usize,
    /// Whether the connection below the WebSocket ends otherwise.
    ends: bool,
}

impl CaseDifference {
    fn words(&self) -> String {
        match self {
            Self { verdicts: 0, ends: false } => "the same".to_owned(),
            Self { verdicts: 0, ends: true } => "the same, and the connection ends later".to_owned(),
            // Of many that differ by who waits longer, one or another does not: both wait a second.
            Self { verdicts, .. } if *verdicts > 10 => format!("some {} differ", (verdicts + 2) / 5 * 5),
            Self { verdicts, .. } => format!("{verdicts} differ"),
        }
    }
}
