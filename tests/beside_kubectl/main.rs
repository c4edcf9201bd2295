//! kubectl and this program, given the same kubeconfig, flags, environment and proxies, do the same to the same API server:
//! each row of the tables is one test. `row` says how a row is written, `seen` what is compared.
//!
//! It needs the real kubectl, which `tests/cluster/build` builds, or `build` beside this; where that cannot be, this says what was not run and
//! succeeds, but fails under `CI=true`.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test program talks to a person")]

mod combined;
mod flags;
mod listener;
mod place;
mod row;
mod seen;

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;

use place::Programs;
use row::Row;

/// Rows of one kind each.
const TABLES: [(&str, &str); 4] = [
    ("kubeconfig", include_str!("kubeconfig.txt")),
    ("flags", include_str!("flags.txt")),
    ("proxies", include_str!("proxies.txt")),
    ("kuberc", include_str!("kuberc.txt")),
];

/// What is other than with kubectl on purpose, and why.
const DIFFERENCES: &str = include_str!("differences.txt");

/// They mostly wait for processes.
const TESTS_AT_ONCE: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(TESTS_AT_ONCE));
    let rows = all_rows();
    let programs = match kubectl() {
        Ok(kubectl) => Programs { kubectl, own: PathBuf::from(env!("CARGO_BIN_EXE_kubectl-svcproxy")) },
        Err(reason) => return not_run(rows.len(), &reason),
    };
    let runtime = Arc::new(Runtime::new().expect("threads can be started"));
    let programs = Arc::new(programs);
    let mut trials: Vec<Trial> = rows.into_iter().map(|row| trial(row, &programs, &runtime)).collect();
    let kubectl = programs.clone();
    trials.push(Trial::test("options", move || {
        flags::every_option_is_taken(&kubectl);
        Ok(())
    }));
    trials.push(Trial::test("differences", || {
        row::every_difference_is_used(DIFFERENCES, &all_rows());
        Ok(())
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn all_rows() -> Vec<Row> {
    let written = TABLES.iter().flat_map(|(table, text)| row::read(table, text));
    written.chain(combined::rows()).filter(|row| is_next_kubernetes() || !row.since_1_37).collect()
}

fn trial(row: Row, programs: &Arc<Programs>, runtime: &Arc<Runtime>) -> Trial {
    let (programs, runtime) = (programs.clone(), runtime.clone());
    Trial::test(row.name.clone(), move || runtime.block_on(place::compare(&row, &programs)).map_err(Into::into))
}

/// That of Kubernetes 1.36, or of 1.37 where `SVCPROXY_TEST_KUBERNETES` says so, as for e2e.
fn kubectl() -> Result<PathBuf, String> {
    if is_next_kubernetes() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/beside_kubectl/build");
        let built = Command::new(script).stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
        let path = PathBuf::from(String::from_utf8_lossy(&built.stdout).trim());
        return if path.is_file() { Ok(path) } else { Err("kubectl could not be built".to_owned()) };
    }
    support::cluster::Programs::find()?.path("kubectl")
}

fn is_next_kubernetes() -> bool {
    env::var("SVCPROXY_TEST_KUBERNETES").is_ok_and(|version| version == "1.37")
}

fn not_run(rows: usize, reason: &str) -> ExitCode {
    eprintln!("NOT RUN: {rows} rows beside kubectl, because {reason}.");
    if env::var("CI").is_ok_and(|value| value == "true") { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
