//! `tests/run soak [MINUTES]`: the built program, three runs of it with three Services each, under a steady load for an hour,
//! while API server, connections, Pods, apps and credentials fail on purpose.
//!
//! Both ends hash every body and every WebSocket message, and the app counts each POST. Fails at one octet that is another,
//! at a POST that the app sees twice, at a request that fails while nothing is broken, at what hangs, at a crash, and where
//! memory or descriptors grow. Prints a table, and with `SVCPROXY_RECORD=1` draws the curves: `.github/soak.svg`.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test program talks to a person")]

mod app;
mod client;
mod content;
mod faults;
mod load;
mod picture;
#[path = "../e2e/harness/plugin.rs"]
#[allow(dead_code, reason = "the end-to-end tests start it in more ways")]
mod plugin;
mod report;
mod samples;
mod stage;
mod tally;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::cluster::{Cluster, isolation};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::HANG;
use crate::load::Shared;
use crate::report::Report;
use crate::samples::descriptors;
use crate::stage::{SERVICES, Stage};
use crate::tally::Tally;

/// Between two faults, at least and at most.
const FAULT_PERIOD: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(40));
/// Of those periods so many make the whole time, if faults took none.
const FAULTS: u32 = 90;
/// After the load, descriptors must be as few as before within this time: kept connections end after a minute.
const REST: Duration = Duration::from_secs(150);
/// So many connections more than before may be there at rest: the two watches of each Service, which begin a second after the
/// start, and spare ones.
const REST_ALLOWED: usize = 2 * SERVICES.len() + 2;
const POLL: Duration = Duration::from_millis(200);
/// Between two lines that say how far it is.
const PROGRESS: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let minutes = env::args().skip(1).find_map(|argument| argument.parse::<f64>().ok());
    let Some(minutes) = minutes.filter(|minutes| *minutes > 0.0) else {
        eprintln!("NOT RUN: the soak test wants to be told for how many minutes: tests/run soak 1");
        return ExitCode::SUCCESS;
    };
    let directory = match isolation::enter(&["certutil"]) {
        Ok(directory) => directory,
        Err(reason) => {
            eprintln!("NOT RUN: the soak test, because {reason}.");
            return if env::var("CI").is_ok_and(|value| value == "true") {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let duration = Duration::from_secs_f64(minutes * 60.0);
    let is_good = Runtime::new().unwrap().block_on(async {
        tokio::select! {
            is_good = soak(&directory, duration) => is_good,
            _ = tokio::signal::ctrl_c() => false,
        }
    });
    let verdict = if is_good { "ok. 1 passed; 0 failed" } else { "FAILED. 0 passed; 1 failed" };
    println!("\ntest result: {verdict}");
    isolation::leave(&directory, i32::from(!is_good))
}

async fn soak(directory: &std::path::Path, duration: Duration) -> bool {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(directory).await.unwrap()));
    let seed = u64::from_le_bytes(bytes_of_seed());
    println!("The seed is {seed}.");
    let tally = Arc::new(Tally::default());
    let mut stage = Stage::start(cluster, duration, Arc::clone(&tally)).await;
    let stop = CancellationToken::new();
    let shared = Arc::new(Shared { ledger: Arc::clone(&stage.ledger), tally: Arc::clone(&tally), stop: stop.clone() });

    let began = Instant::now();
    let followers = stage.follow((duration / 720).max(Duration::from_secs(1)));
    let clients = load::start(&stage.sites, &shared, seed);
    let period = (duration / FAULTS).clamp(FAULT_PERIOD.0, FAULT_PERIOD.1);
    let breaking = stage.faults.take().expect("it is there at the start").run(duration, period, stop.clone());
    let over = async {
        tokio::select! {
            () = sleep(duration) => {}
            () = tell_progress(&stage, began) => {}
        }
        stop.cancel();
    };
    // The apps stay until the program has let go of them.
    let (_apps, ()) = tokio::join!(breaking, over);
    until_stopped(clients, &tally).await;
    until_at_rest(&stage).await;
    for follower in followers {
        follower.abort();
    }
    let report = Report::of(&stage, began, duration);
    stage.end().await;
    report.finish(&tally, &shared.ledger)
}

fn bytes_of_seed() -> [u8; 8] {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).expect("the system has random numbers");
    seed
}

async fn tell_progress(stage: &Stage, began: Instant) {
    loop {
        sleep(PROGRESS).await;
        println!("{}", report::progress(stage, began));
    }
}

/// The clients end what they are at.
async fn until_stopped(mut clients: JoinSet<()>, tally: &Tally) {
    let ended = timeout(HANG * 2, async {
        while let Some(client) = clients.join_next().await {
            if let Err(error) = client {
                tally.complain(format!("a client failed: {error}"));
            }
        }
    });
    if ended.await.is_err() {
        tally.complain(format!("{} clients never come to an end", clients.len()));
        clients.abort_all();
    }
}

/// A condition: what the load took is given back.
async fn until_at_rest(stage: &Stage) {
    stage.hang_up().await;
    let deadline = Instant::now() + REST;
    for run in &stage.runs {
        let may = run.at_rest + REST_ALLOWED;
        while descriptors(run.curve.pid).is_some_and(|count| count > may) {
            if Instant::now() > deadline {
                let count = descriptors(run.curve.pid).unwrap_or_default();
                stage.tally.complain(format!("{}: {count} descriptors at rest, {may} at most", run.curve.name));
                break;
            }
            sleep(POLL).await;
        }
    }
}
