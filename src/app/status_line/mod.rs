//! The line at the bottom of the terminal that says what is going on while Services are served.

mod status_text;

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{pending, select_all};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::proxy::local::TrafficStats;
use crate::terminal::output::Output;
pub use status_text::StatusCounts;

/// How long a line stays at least: four a second are as many as anybody can read.
const MIN_REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// A status line. It goes away when this is dropped.
#[derive(Debug)]
pub struct StatusLine {
    output: Output,
    task: JoinHandle<()>,
}

impl StatusLine {
    /// Shows what happens in `activity`, and how many endpoints of each Service are ready; nothing is done while nothing
    /// changes.
    pub fn show(output: &Output, activity: TrafficStats, ready: Vec<watch::Receiver<Option<usize>>>) -> Self {
        activity.watch();
        let task = tokio::spawn(keep_up(output.clone(), activity, ready));
        Self { output: output.clone(), task }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.task.abort();
        self.output.end_status();
    }
}

async fn keep_up(output: Output, activity: TrafficStats, mut ready: Vec<watch::Receiver<Option<usize>>>) {
    let mut shown = None;
    loop {
        let endpoints = ready.iter_mut().map(|ready| *ready.borrow_and_update()).sum();
        let status = StatusCounts { traffic: activity.counts(), ready: endpoints };
        if shown != Some(status) {
            output.status(|width| status.text(width));
            shown = Some(status);
        }
        tokio::time::sleep(MIN_REDRAW_INTERVAL).await;
        tokio::select! {
            () = activity.changed() => {}
            () = any_changed(&mut ready) => {}
        }
    }
}

async fn any_changed(ready: &mut [watch::Receiver<Option<usize>>]) {
    // An error: whoever knew of the endpoints is gone, and nothing will change any more.
    let change = async |ready: &mut watch::Receiver<_>| {
        if ready.changed().await.is_err() {
            pending::<()>().await;
        }
    };
    select_all(ready.iter_mut().map(|ready| change(ready).boxed())).await;
}
