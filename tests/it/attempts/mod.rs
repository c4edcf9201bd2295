//! Who sends a request again, and how often: every request that reaches API server and app for one request of a client,
//! held against a table, `attempts.txt`. Its beginning tells how it is read, written anew, and how a change is marked.
//!
//! - `scenarios`: the rows; `run`, `ask`, `answer`: what they are made of
//! - `stage`, `setting`, `app`, `seen`: how they are played, and what both sides saw
//! - `recording`: the table

mod answer;
mod app;
mod ask;
mod recording;
mod run;
mod scenarios;
mod seen;
mod setting;
mod stage;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use futures_util::{StreamExt as _, stream};

use recording::{PlayedRun, Recording};
use run::Run;

/// Runs at a time.
const AT_ONCE: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_attempt_is_as_recorded() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/attempts.txt");
    let kept = Recording::read(&fs::read_to_string(&file).unwrap_or_default());
    let runs = scenarios::all();
    assert_titles_are_unique(&runs);
    let played = play_all(&runs).await;
    let reason = std::env::var("SVCPROXY_CHANGED").ok();
    if reason.is_some() || std::env::var_os("SVCPROXY_RECORD").is_some() {
        let kept = reason.map_or_else(|| kept.clone(), |reason| kept.marked(&played, &reason));
        fs::write(&file, kept.renewed(&played)).unwrap();
        return;
    }
    let differences = kept.differences(&played);
    assert!(differences.is_empty(), "tests/it/attempts.txt (`-`) is not what was played (`+`):\n{differences}");
    assert!(
        fs::read_to_string(&file).unwrap() == kept.renewed(&played),
        "tests/it/attempts.txt is not as it is written"
    );
}

fn assert_titles_are_unique(runs: &[Run]) {
    let mut seen = HashSet::new();
    for run in runs {
        for row in &run.rows {
            assert!(seen.insert((run.to_string(), row.to_string())), "twice in {run}: {row}; give one a note");
        }
    }
}

async fn play_all(runs: &[Run]) -> Vec<PlayedRun> {
    let playing = runs.iter().map(async |run| (run.to_string(), stage::play(run).await));
    stream::iter(playing).buffered(AT_ONCE).collect().await
}
