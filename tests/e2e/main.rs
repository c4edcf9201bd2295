//! The built program against a real API server, as its users run it. How to write such a test: [`harness`].
//!
//! All tests run beside each other on one cluster, in namespaces (of the kernel) of their own. Where that is not possible, this
//! says what was not run and succeeds, but fails under `CI=true`.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test program talks to a person")]

mod apps;
mod at_terminal;
mod attack_suite;
mod browser;
mod browser_attacks;
mod harness;
mod golden;
mod completion;
mod http2_conformance;
mod journey;
mod paths;
mod bulk;
mod rights;
mod trouble;
mod diagnosis;
mod far_away;
mod gateways;
mod life;
mod local_attacks;
mod odd_answers;
mod own_pages;
mod krew;
mod lattice;
mod local_https;
mod machine_trouble;
mod networks;
mod pick;
mod service_proxy;
mod stubborn;
mod transports;
mod web_socket_bridge;
mod web_socket_conformance;
mod web_sockets;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use support::cluster::{Cluster, isolation};

/// Programs of the distribution's packages that the tests start; those of apps and of the browser are looked for apart.
const NEEDED: [&str; 6] = ["nginx", "curl", "bash", "zsh", "fish", "certutil"];

/// They mostly wait for others.
const TESTS_AT_ONCE: usize = 4;

/// A test: its name and what it does with the cluster.
struct Test {
    name: &'static str,
    run: fn(&'static Cluster) -> futures_util::future::LocalBoxFuture<'static, ()>,
}

impl Test {
    fn short_name(&self) -> &'static str {
        self.name.trim_start_matches("e2e::")
    }

    fn needs_apps(&self) -> bool {
        ["apps::", "browser_attacks::", "stubborn::in_a_browser", "stubborn::a_login"]
            .iter()
            .any(|module| self.short_name().starts_with(module))
    }
}

/// Lists the tests of a module: `tests![first, second]`.
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        vec![$($crate::Test {
            name: concat!(module_path!(), "::", stringify!($test)),
            run: |cluster| Box::pin($test(cluster)),
        }),*]
    };
}
pub(crate) use tests;

fn all_tests() -> Vec<Test> {
    [
        // Before any browser wants the network to itself (see `support::network_turn`).
        networks::tests(),
        golden::tests(),
        journey::tests(),
        paths::tests(),
        bulk::tests(),
        rights::tests(),
        lattice::tests(),
        trouble::tests(),
        diagnosis::tests(),
        far_away::tests(),
        gateways::tests(),
        life::tests(),
        http2_conformance::tests(),
        local_https::tests(),
        local_attacks::tests(),
        machine_trouble::tests(),
        odd_answers::tests(),
        own_pages::tests(),
        service_proxy::tests(),
        stubborn::tests(),
        transports::tests(),
        web_socket_conformance::tests(),
        web_sockets::tests(),
        apps::tests(),
        at_terminal::tests(),
        attack_suite::tests(),
        browser_attacks::tests(),
        pick::tests(),
        completion::tests(),
        krew::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() -> ExitCode {
    if let Some(code) = harness::run_relay() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(TESTS_AT_ONCE));
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    if !isolation::is_inside() && all_tests().iter().any(|test| test.needs_apps() && is_selected(&arguments, test)) {
        apps::install();
    }
    let directory = match isolation::enter(&NEEDED) {
        Ok(directory) => directory,
        Err(reason) => return not_run(&reason),
    };
    let runtime = Runtime::new().expect("threads can be started");
    runtime.spawn(leave_when_told(directory.clone()));
    let code = match runtime.block_on(Cluster::start(&directory)) {
        Ok(cluster) => i32::from(run(&arguments, Box::leak(Box::new(cluster)), runtime.handle()).has_failed()),
        Err(reason) => {
            eprintln!("The test cluster did not start: {reason}");
            1
        }
    };
    isolation::leave(&directory, code)
}

fn run(arguments: &Arguments, cluster: &'static Cluster, runtime: &Handle) -> Conclusion {
    let conclusion = libtest_mimic::run(arguments, trials(Some((cluster, runtime))));
    apps::print_scores();
    conclusion
}

fn trials(on: Option<(&'static Cluster, &Handle)>) -> Vec<Trial> {
    let trial = |test: Test| {
        let on = on.map(|(cluster, runtime)| (cluster, runtime.clone()));
        let cannot_run = test.needs_apps() && !must_run_all() && apps::installed().is_none();
        let trial = Trial::test(test.short_name(), move || {
            let (cluster, runtime) = on.ok_or_else(Failed::without_message)?;
            runtime.block_on((test.run)(cluster));
            Ok(())
        });
        trial.with_ignored_flag(cannot_run)
    };
    all_tests().into_iter().map(trial).collect()
}

fn not_run(reason: &str) -> ExitCode {
    eprintln!("NOT RUN: {} end-to-end tests against a real API server, because {reason}.", all_tests().len());
    if must_run_all() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn must_run_all() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

fn is_selected(arguments: &Arguments, test: &Test) -> bool {
    let named = |part: &String| test.short_name().contains(part.as_str());
    arguments.filter.as_ref().is_none_or(named) && !arguments.skip.iter().any(named)
}

/// As the first process of its namespace this program gets no signal that it does not ask for.
async fn leave_when_told(directory: impl AsRef<Path>) {
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened for");
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened for");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    isolation::leave(directory.as_ref(), 130)
}
