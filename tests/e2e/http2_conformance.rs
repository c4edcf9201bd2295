//! h2spec against the listener: every requirement of RFC 9113 and RFC 7541 that it knows. What came of it is a table in
//! `docs/http2.md`, which this test holds (`SVCPROXY_RECORD=1` writes it).

use std::fmt::Write as _;
use std::path::Path;

use tokio::process::Command;

use crate::harness::Plugin;
use crate::local_https::trusting_home;
use support::Running;
use support::cluster::{Cluster, backend_in};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![as_the_specification_asks]
}

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http2.md");
const HEAD: &str = "\
# HTTP/2 to the browser

What h2spec says of the listener by TLS, made by `tests/run e2e http2_conformance`. Passed and failed are cases.

| of | passed | failed |
| --- | --- | --- |
";

async fn as_the_specification_asks(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let home = trusting_home(cluster, &kubeconfig).await;
    let serving = Plugin::new(cluster, &kubeconfig).env("HOME", &home).args(["app"]).serve().await;
    let port = serving.site_url().rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    let report = home.join("report.xml");
    let mut h2spec = Command::new(program().await);
    h2spec.args(["--tls", "--insecure", "--host", "localhost", "--port", &port, "--timeout", "5", "--junit-report"]);
    h2spec.arg(&report).env("HOME", &home);
    let run = Running::spawn(h2spec).end().await;
    let report =
        std::fs::read_to_string(&report).unwrap_or_else(|error| panic!("{error}: {}{}", run.stdout, run.stderr));
    let table = format!("{HEAD}{}", rows(&report));
    if std::env::var_os("SVCPROXY_RECORD").is_some() {
        std::fs::write(TABLE, &table).unwrap();
    }
    let kept = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(table, kept, "{}", run.stdout);
    serving.stop().await;
}

/// Where it is: `tests/run` has built it, outside of the network namespace of the tests.
async fn program() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/h2spec/build");
    let built = Running::spawn(Command::new(script)).end().await;
    assert_eq!(built.code(), 0, "{}", built.stderr);
    built.stdout.trim().to_owned()
}

/// A line for each suite of a JUnit report, and the sums.
fn rows(report: &str) -> String {
    let mut rows = String::new();
    let [mut passed, mut failed] = [0, 0];
    for suite in report.split("<testsuite ").skip(1) {
        let attribute = |name: &str| suite.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        let count = |name: &str| attribute(name).and_then(|count| count.parse::<usize>().ok()).unwrap_or_default();
        let bad = count("failures") + count("errors");
        let good = count("tests") - bad - count("skipped");
        if good + bad > 0 {
            let _ = writeln!(rows, "| {} | {good} | {bad} |", attribute("name").unwrap_or_default());
        }
        (passed, failed) = (passed + good, failed + bad);
    }
    let _ = writeln!(rows, "| **all** | **{passed}** | **{failed}** |");
    rows
}
