//! The line at the bottom of the terminal that says what is going on while Services are served.

mod status_text;

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{pending, select_all};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::trouble_line;
use crate::cluster::ApiServerHealth;
use crate::proxy::local::TrafficStats;
use crate::service::Readiness;
use crate::terminal::output::Output;
pub use status_text::StatusFacts;

/// How long a line stays at least: four a second are as many as anybody can read.
const MIN_REDRAW_INTERVAL: Duration = Duration::from_millis(250);
/// How often a line that says since when something is wrong is drawn.
const TROUBLE_REDRAW_INTERVAL: Duration = Duration::from_secs(1);

/// A status line. It goes away when this is dropped.
#[derive(Debug)]
pub struct StatusLine {
    output: Output,
    task: JoinHandle<()>,
}

/// Where the line gets what it says.
#[derive(Debug)]
pub struct StatusSources {
    /// What goes through.
    pub activity: TrafficStats,
    /// The Services by their short names, and how many of their endpoints are ready.
    pub services: Vec<(String, watch::Receiver<Option<Readiness>>)>,
    /// How the API server is.
    pub health: watch::Receiver<ApiServerHealth>,
}

impl StatusLine {
    /// Shows what `sources` tell; nothing is done while nothing changes.
    pub fn show(output: &Output, sources: StatusSources) -> Self {
        sources.activity.watch();
        let task = tokio::spawn(sources.keep_up(output.clone()));
        Self { output: output.clone(), task }
    }
}

/// What went through in all, for the end.
pub fn sums(activity: &TrafficStats) -> String {
    status_text::sums(activity.counts(), [50, 95].map(|percent| activity.percentile(percent)))
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.task.abort();
        self.output.end_status();
    }
}

impl StatusSources {
    async fn keep_up(mut self, output: Output) {
        let mut shown = None;
        loop {
            let facts = self.facts();
            if shown.as_ref() != Some(&facts) {
                output.status(|width| facts.text(width));
            }
            let is_trouble = facts.trouble.is_some();
            shown = Some(facts);
            sleep(MIN_REDRAW_INTERVAL).await;
            let Self { activity, services, health } = &mut self;
            tokio::select! {
                () = activity.changed() => {}
                () = any_changed(services) => {}
                () = change_of(health) => {}
                () = sleep(TROUBLE_REDRAW_INTERVAL), if is_trouble => {}
            }
        }
    }

    fn facts(&mut self) -> StatusFacts {
        let known = |(name, ready): &mut (String, watch::Receiver<_>)| (name.clone(), *ready.borrow_and_update());
        StatusFacts {
            services: self.services.iter_mut().map(known).collect(),
            traffic: self.activity.counts(),
            trouble: trouble_line::status(&self.health.borrow_and_update()),
        }
    }
}

async fn any_changed(services: &mut [(String, watch::Receiver<Option<Readiness>>)]) {
    select_all(services.iter_mut().map(|(_, ready)| change_of(ready).boxed())).await;
}

/// An error: whoever knew is gone, and nothing will change any more.
async fn change_of<T>(source: &mut watch::Receiver<T>) {
    if source.changed().await.is_err() {
        pending::<()>().await;
    }
}
